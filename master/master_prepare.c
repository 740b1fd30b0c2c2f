/*
 * What a master knows before it opens anything, and what its process is: the configuration, what came from a predecessor or a keeper, the program that it runs, descriptors, the loop. See master_start.h.
 */
#include "master/master_start.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "master/adoption.h"
#include "master/door.h"
#include "master/notify.h"
#include "master/privileges.h"
#include "master/program.h"
#include "shm/log.h"
#include "shm/snapshot.h"
#include "shm/title.h"

/* ---- what it is told ---- */

static int read_config(struct config *config, const struct config_source *source)
{
	char error[CONFIG_ERROR_MAX];

	if (config_read(config, source, error) < 0) {
		log_error("%s", error);
		return -1;
	}
	if (config_reached_admin(config))
		log_warning(CONFIG_REACHED_ADMIN, config_reached_admin(config)->url);
	return 0;
}

/* What the program before this one had. (An earlier version says nothing of it. If it came back, nothing is new.) */
static void note_before(struct master *m)
{
	m->before.settings = m->h.settings;
	if (m->h.fallback.there) {
		m->before.listeners = m->h.fallback.listeners;
		memcpy(m->before.listen, m->h.fallback.listen, sizeof(m->before.listen));
	}
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		m->before.slots |= (uint64_t)m->h.slots[i].used << i;
	m->before.there = m->h.fallback.there && !m->h.failed[0];
}

/* What a keeper says to the master that it starts: where the server is. All else this one finds by itself, or is told when it adopts the keepers. */
static int read_revived(struct master *m, int revived)
{
	static struct handover h;

	if (handover_read(&h, revived) < 0) {
		log_error("what the keeper says can't be read");
		return -1;
	}
	m->h.revived = true;
	m->h.lock = h.lock;
	m->h.settings = m->config.settings = h.settings;
	memcpy(m->h.program, h.program, sizeof(m->h.program));
	snprintf(m->dir.path, sizeof(m->dir.path), "%s", h.settings.runtime_dir);
	return 0;
}

/* ---- what it knows by itself ---- */

/* For the next master, should this one die. */
static void note_arguments(struct master *m)
{
	struct handover *h = &m->h;

	h->arguments_len = 0;
	h->arguments_there = true;
	for (char **p = m->argv + 1; m->argv[0] && *p; p++) {
		size_t len = strlen(*p) + 1;

		if (len > sizeof(h->arguments) - h->arguments_len) {
			h->arguments_there = false;
			return;
		}
		memcpy(h->arguments + h->arguments_len, *p, len);
		h->arguments_len += (unsigned)len;
	}
}

int master_prepare_alone(struct master *m)
{
	m->h.master = (uint32_t)getpid();
	m->h.slot = m->h.caller = m->h.snapshot = m->h.tls = m->h.tls_before = m->h.canary_slot = m->h.secrets = -1;
	m->h.started = (uint64_t)time(NULL);
	m->h.managed = notify_reachable();
	note_arguments(m);
	if (!m->h.revived && program_path(m->h.program, sizeof(m->h.program)) < 0) {
		log_error("the program's path: %m");
		return -1;
	}
	return 0;
}

/* A configuration with errors starts no server. One that is there goes on with what it has, if it is found. -1, or it does not return. */
static int adopt_at_least(struct master *m)
{
	struct config_source source = m->source;
	char error[RUNTIME_DIR_ERROR_MAX > CONFIG_ERROR_MAX ? RUNTIME_DIR_ERROR_MAX : CONFIG_ERROR_MAX];

	source.find = true;
	if (config_read(&m->config, &source, error) == 0 && door_any(m->config.settings.runtime_dir) && master_prepare_alone(m) == 0 && runtime_dir_lock(&m->dir, m->config.settings.runtime_dir, error) == 0)
		adoption_try(m);
	m->dir.lock = -1;
	return -1;
}

/* ---- all of it ---- */

int master_prepare(struct master *m, int handover, int revived)
{
	const struct config_source *source = &m->source;
	char error[PRIVILEGES_ERROR_MAX];
	bool taken_up = true;

	log_init("master", LOG_LEVEL_INFO);
	prctl(PR_SET_NAME, "janus");	/* (a program that is executed by descriptor is named by the number) */
	if (handover >= 0 && handover_read(&m->h, handover) < 0) {
		log_error("the handover state can't be read");
		return -1;
	}
	if (revived >= 0 && read_revived(m, revived) < 0)
		return -1;
	if (m->h.revived)
		m->source.runtime_dir = m->h.settings.runtime_dir;
	if (handover >= 0) {
		settings_log_init("master", &m->h.settings);
		m->dir.control = m->h.control;
		note_before(m);
	}
	if (revived >= 0) {
		taken_up = false;	/* by the keepers' program, if at all */
	} else if (handover >= 0 && (m->h.failed[0] || m->h.adopted)) {
		taken_up = false;
		m->config.settings = m->h.settings;	/* the configuration is the one that failed; or what it says is looked at later */
		if (source->file || (source->installed && access(source->installed, F_OK) == 0))
			snprintf(m->config.file, sizeof(m->config.file), "%s", source->file ? source->file : source->installed);
	} else if (read_config(&m->config, &m->source) < 0) {
		/* (It was good when the predecessor read it.) */
		if (handover < 0)
			return adopt_at_least(m);
		m->config.settings = m->h.settings;
		taken_up = false;
	}
	settings_log_init("master", &m->config.settings);
	title_set("janus: master%s%s", m->config.file[0] ? " " : "", m->config.file);
	if (taken_up)
		report_note_config(m, handover < 0);
	if (handover >= 0)
		settings_keep(&m->config.settings, &m->h.settings);
	if (privileges_check(m->config.settings.user, error) < 0) {
		log_error("%s", error);
		return -1;
	}
	m->workers_uid = privileges_user(m->config.settings.user) ? privileges_user(m->config.settings.user)->pw_uid : geteuid();
	m->h.settings = m->config.settings;
	m->h.layout = HUB_LAYOUT;
	m->h.snapshot_version = SNAPSHOT_VERSION;
	m->next_program = -1;
	m->program = program_running();
	if (m->program < 0) {
		log_error("/proc/self/exe: %m");
		return -1;
	}
	m->sessions_max = privileges_raise_descriptors();
	if (m->sessions_max < 512) {
		log_error("%u descriptors are too few: raise the limit (`ulimit -n 65536` before the start; in the systemd unit: LimitNOFILE=65536)", m->sessions_max);
		return -1;
	}
	/* Workers whose keeper was killed become our children. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	m->loop = ev_loop_new(EVFLAG_NOENV | EVFLAG_SIGNALFD);
	return m->loop ? 0 : -1;
}
