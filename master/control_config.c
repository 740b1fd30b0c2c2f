/*
 * janusctl config: what is in force, where it stood, and what waits for a restart; and the level of the logs, until the next reload.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "master/listen.h"
#include "master/master.h"
#include "proto/control_report.h"
#include "shm/log.h"

_Static_assert(CONTROL_SETTING_MAX >= SETTINGS_LIST_MAX, "any value has room");
_Static_assert(sizeof(struct settings) + SETTINGS * 256 + LISTENERS_MAX * 200 + 8192 < CONTROL_PACKET_MAX, "and all of them in a packet");

/* Settings in the order of the table, behind the addresses and `workers`. */
static void get_listener(const struct handover_listener *l, struct control_setting *s)
{
	static char url[256];

	snprintf(url, sizeof(url), "%s%s%s", l->url, l->slow ? " slow=" : "", slow_policy_word(l->slow));
	s->name = "listen";
	s->value = url;
	s->line = l->line;
}

static void get_workers(const struct master *m, struct control_setting *s)
{
	static char number[32];

	snprintf(number, sizeof(number), "%d", (int)m->h.settings.workers);
	s->name = "workers";
	s->value = number;
	s->line = m->h.config.lines.of[SETTINGS];
}

static void get_log_level(const struct master *m, struct control_setting *s)
{
	uint32_t level = atomic_load(&m->hub.shm->log_level);

	if (!level)
		return;
	s->value = log_level_name((enum log_level)(level - 1));
	s->line = CONTROL_LINE_LOG;
}

static void get_setting(const struct master *m, unsigned place, struct control_setting *s)
{
	static char value[CONTROL_SETTING_MAX], wanted[CONTROL_SETTING_MAX];
	const struct setting *d = &settings_table[place], *waits = NULL;

	s->name = d->name;
	s->value = config_value_text(value, sizeof(value), d, &m->h.settings);
	s->restart = d->restart;
	s->line = m->h.config.lines.of[place];
	while (m->h.config.there && !s->waits && (waits = settings_restart(&m->h.config.wanted, &m->h.settings, waits)) != NULL)
		s->waits = waits == d;
	if (s->waits) {
		s->wanted = config_value_text(wanted, sizeof(wanted), d, &m->h.config.wanted);
		s->wanted_line = m->h.config.wanted_lines.of[place];
	}
	if (place == SETTING_PLACE_log_level)
		get_log_level(m, s);
}

/* The addresses of the configuration: the server's own listener is none of them. */
struct listing {
	const struct master *m;
	const struct handover_listener *listen[LISTENERS_OPEN_MAX];
	unsigned listeners;
};

static void get(void *arg, unsigned i, struct control_setting *s)
{
	const struct listing *l = arg;

	if (i < l->listeners)
		get_listener(l->listen[i], s);
	else if (i == l->listeners)
		get_workers(l->m, s);
	else
		get_setting(l->m, i - l->listeners - 1, s);
}

void control_config(struct master *m, int caller, const struct control_request *request)
{
	static char packet[CONTROL_PACKET_MAX];
	struct listing l = { .m = m };

	(void)request;
	for (unsigned i = 0; i < m->h.listeners; i++)
		if (!listen_is_own(&m->h.listen[i], m->dir.path))
			l.listen[l.listeners++] = &m->h.listen[i];
	control_send(caller, packet, control_config_pack(packet, m->config.file, m->h.config.since, l.listeners + 1 + SETTINGS, get, &l));
	close(caller);
}

void control_log(struct master *m, int caller, const struct control_request *request)
{
	int level = log_level_find(request->argument);

	if (level < 0 && strcmp(request->argument, "default") != 0) {
		control_answer(caller, "a level is one of: error warning info debug; or default: what the configuration says");
		return;
	}
	atomic_store(&m->hub.shm->log_level, level < 0 ? 0 : (uint32_t)level + 1);
	if (level < 0)
		log_info("log level: as the configuration says");
	else
		log_info("log level: %s, until the next reload", log_level_name((enum log_level)level));
	control_answer(caller, NULL);
}
