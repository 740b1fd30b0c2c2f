/*
 * What a reload has done: which settings it took up, which wait for a restart, listen sockets, workers, connections. The new program tells it by what
 * the one before had (the handover state) and by what the hub says of the workers; when nothing has followed, it is told what is in force still.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "master/listen.h"
#include "master/master.h"
#include "proto/control_report.h"
#include "shm/log.h"

_Static_assert(CONTROL_CHANGES_MAX > SETTINGS + LISTENERS_MAX, "all of them may change");

/* ---- what the configuration said ---- */

static bool same(const struct settings *a, const struct settings *b, const struct setting *d)
{
	size_t room = settings_room(d);

	return memcmp((const char *)a + d->offset, (const char *)b + d->offset, room ? room : sizeof(int64_t)) == 0;
}

void report_note_config(struct master *m, bool fresh)
{
	struct handover_config *c = &m->h.config;
	const struct config *read = &m->config;
	struct config_lines before = c->lines;

	c->lines = c->wanted_lines = read->lines;
	c->wanted = read->settings;
	c->since = (uint64_t)time(NULL);
	for (unsigned i = 0; !fresh && c->there && i < SETTINGS; i++)
		if (settings_table[i].restart && !same(&c->wanted, &m->h.settings, &settings_table[i]))
			c->lines.of[i] = before.of[i];
	c->there = true;
}

uint64_t report_lost(const struct master *m)
{
	static const enum counter lost[] = { COUNTER_closed_slot, COUNTER_closed_uncertain, COUNTER_closed_damaged, COUNTER_closed_blamed };
	uint64_t n = 0;

	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++)
		n += hub_counter_total(&m->hub, lost[i]);
	return n;
}

uint64_t report_moved(const struct master *m)
{
	return hub_counter_total(&m->hub, COUNTER_moved_out);
}

/* ---- the report ---- */

/* What has no room ends in dots. */
static void write_value(char dst[CONTROL_VALUE_MAX], const struct setting *d, const struct settings *s)
{
	static char whole[SETTINGS_LIST_MAX];

	config_value_text(whole, sizeof(whole), d, s);
	if (strlen(whole) >= CONTROL_VALUE_MAX)
		memcpy(whole + CONTROL_VALUE_MAX - 4, "...", 4);
	memcpy(dst, whole, strlen(whole) + 1);
}

static void add_change(struct control_change *list, unsigned *count, const struct setting *d, const struct settings *old, const struct settings *now)
{
	struct control_change *c = &list[(*count)++];

	snprintf(c->name, sizeof(c->name), "%s", d->name);
	write_value(c->old, d, old);
	write_value(c->now, d, now);
}

static void fill_settings(const struct master *m, struct control_report *r)
{
	const struct settings *old = &m->before.settings, *now = &m->h.settings;
	const struct setting *d = NULL;

	for (unsigned i = 0; i < SETTINGS; i++)
		if (m->before.there && !same(old, now, &settings_table[i]))
			add_change(r->changed, &r->changes, &settings_table[i], old, now);
	if (m->before.there && old->workers != now->workers) {
		struct control_change *c = &r->changed[r->changes++];

		snprintf(c->name, sizeof(c->name), "workers");
		snprintf(c->old, sizeof(c->old), "%d", (int)old->workers);
		snprintf(c->now, sizeof(c->now), "%d", (int)now->workers);
	}
	while (m->h.config.there && (d = settings_restart(&m->h.config.wanted, now, d)) != NULL)
		add_change(r->waiting, &r->waits, d, now, &m->h.config.wanted);
}

static const struct handover_listener *find_listener(const struct handover_listener *listen, unsigned count, int fd)
{
	for (unsigned i = 0; i < count; i++)
		if (listen[i].fd == fd)
			return &listen[i];
	return NULL;
}

static void write_listener(char *dst, size_t size, const struct handover_listener *l)
{
	snprintf(dst, size, "%s%s%s%s", l->bound, l->proxy ? " proxy" : "", l->slow ? " slow=" : "", slow_policy_word(l->slow));
}

static void fill_listeners(const struct master *m, struct control_report *r)
{
	const struct handover_listener *old;
	struct control_change change = { .name = "listen" };

	for (unsigned i = 0; i < m->h.listeners; i++) {
		if (listen_is_own(&m->h.listen[i], m->dir.path))
			continue;
		old = find_listener(m->before.listen, m->before.listeners, m->h.listen[i].fd);
		if (!old) {
			snprintf(r->opened[r->opens++], sizeof(r->opened[0]), "%s", m->h.listen[i].bound);
			continue;
		}
		write_listener(change.old, sizeof(change.old), old);
		write_listener(change.now, sizeof(change.now), &m->h.listen[i]);
		if (strcmp(change.old, change.now) != 0)
			r->changed[r->changes++] = change;
	}
	for (unsigned i = 0; i < m->before.listeners; i++)
		if (!find_listener(m->h.listen, m->h.listeners, m->before.listen[i].fd))
			snprintf(r->closed[r->closes++], sizeof(r->closed[0]), "%s", m->before.listen[i].bound);
}

static struct {
	struct control_report r;	/* what it will say of workers */
	uint64_t slots, draining;	/* in bits: those that are counted; that are to end */
} workers;

void report_begin_workers(void)
{
	memset(&workers, 0, sizeof(workers));
}

void report_note_workers(const struct master *m, bool all)
{
	struct control_report *r = &workers.r;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		const struct hub_slot_shm *s = &m->hub.shm->slot[i];
		bool before = m->before.slots >> i & 1;
		bool followed = atomic_load(&s->reload_number) == m->h.reload_number && atomic_load(&s->state) == SLOT_LIVE;

		workers.draining |= (uint64_t)(m->h.slots[i].used && m->h.slots[i].draining) << i;
		if (!m->h.slots[i].used || workers.slots >> i & 1 || (!followed && !all))
			continue;
		workers.slots |= UINT64_C(1) << i;
		r->added += !before;
		if (!before || !followed)
			continue;
		r->renewed++;
		r->kept += atomic_load(&s->taken_over);
		r->slot[r->slots++] = (struct control_pause){ i, atomic_load(&s->taken_over), atomic_load(&s->paused) };
	}
}

static void fill_workers(const struct master *m, struct control_report *r)
{
	r->renewed = workers.r.renewed;
	r->added = workers.r.added;
	r->draining = (uint64_t)__builtin_popcountll(workers.draining);
	r->kept = workers.r.kept;
	r->slots = workers.r.slots;
	memcpy(r->slot, workers.r.slot, sizeof(r->slot));
	r->moved = report_moved(m) - m->h.moved;
	r->lost = report_lost(m) - m->h.lost;
}

/* ---- the log's line ---- */

struct line {
	char text[900];
	size_t len;
};

static __attribute__((format(printf, 2, 3))) void say(struct line *l, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(l->text + l->len, sizeof(l->text) - l->len, format, args);
	va_end(args);
	if (n > 0)
		l->len = l->len + (size_t)n < sizeof(l->text) ? l->len + (size_t)n : sizeof(l->text) - 1;
}

static void log_report(const struct control_report *r)
{
	struct line l = { .len = 0 };
	uint64_t longest = 0;

	for (unsigned i = 0; i < r->slots; i++)
		if (r->slot[i].paused > longest)
			longest = r->slot[i].paused;
	say(&l, "reloaded: %llu workers renewed, %llu connections kept, none without a worker for more than %.1f ms", (unsigned long long)r->renewed,
	    (unsigned long long)r->kept, (double)longest / 1000);
	if (r->moved)
		say(&l, "; %llu moved to other workers", (unsigned long long)r->moved);
	if (r->lost)
		say(&l, "; %llu connections lost", (unsigned long long)r->lost);
	if (r->added || r->draining)
		say(&l, "; %llu new workers, %llu draining", (unsigned long long)r->added, (unsigned long long)r->draining);
	for (unsigned i = 0; i < r->opens; i++)
		say(&l, "; listening on %s", r->opened[i]);
	for (unsigned i = 0; i < r->closes; i++)
		say(&l, "; no longer on %s", r->closed[i]);
	for (unsigned i = 0; i < r->changes; i++)
		say(&l, "; %s = %s (was %s)", r->changed[i].name, r->changed[i].now, r->changed[i].old);
	for (unsigned i = 0; i < r->waits; i++)
		say(&l, "; %s = %s waits for a restart", r->waiting[i].name, r->waiting[i].now);
	log_info("%s", l.text);
}

/* ---- the answer ---- */

static struct control_report *what_is_in_force(const struct master *m)
{
	static struct control_report r;

	memset(&r, 0, sizeof(r));
	snprintf(r.file, sizeof(r.file), "%s", m->config.file);
	r.since = m->h.config.since;
	return &r;
}

static void answer(int caller, const struct control_report *r, const char *error)
{
	static char packet[CONTROL_PACKET_MAX];

	if (caller < 0)
		return;
	control_send(caller, packet, control_report_pack(packet, r, error));
	close(caller);
}

void report_refused(struct master *m, int caller, const char *error)
{
	struct control_report *r = what_is_in_force(m);

	m->before.there = false;
	fill_settings(m, r);
	answer(caller, r, error);
}

void report_done(struct master *m, int caller, const char *error)
{
	struct control_report *r = what_is_in_force(m);

	fill_settings(m, r);
	if (m->before.there)
		fill_listeners(m, r);
	fill_workers(m, r);
	if (error)
		log_error("reload: %s", error);
	else
		log_report(r);
	answer(caller, r, error);
}
