/*
 * What the master looks at now and then, though nothing has come: once a second, and sooner while a keeper is to be made again. Keepers that give no signs of life; slots that have none; and what other files look at.
 */
#include <signal.h>

#include "master/revive.h"
#include "master/slots.h"
#include "shm/ended.h"
#include "shm/log.h"

#define WATCH 1.0		/* seconds between looks at keepers */
#define SILENT_MS 10000		/* without a sign of life, if hang_limit says nothing */

/*
 * A keeper gives a sign of life once a second. One that gives none would not notice its worker's death: all publishers would wait for that
 * slot. If somebody has stopped it, it is told to go on; if that does not help and its worker is gone, it is killed, as then the slot serves
 * nobody. (As in the keeper, time counts only as far as this process was run itself.)
 */
static void watch_keeper(struct master *m, unsigned slot, uint64_t now)
{
	struct master_slot *s = &m->slot[slot];
	const struct hub_slot_shm *shm = &m->hub.shm->slot[slot];
	uint64_t beat = atomic_load_explicit(&shm->keeper_beat, memory_order_relaxed), passed = s->looked ? now - s->looked : 0;
	uint64_t limit = m->config.settings.hang_limit ? (uint64_t)m->config.settings.hang_limit : SILENT_MS, before = s->silent;
	uint32_t worker = atomic_load(&shm->worker);

	s->looked = now;
	/* (With another layout, a keeper that has not followed yet gives its signs of life in the old hub, which is not looked at.) */
	if (beat != s->beat || (m->h.new_segments && atomic_load(&shm->reload_number) != m->h.reload_number)) {
		s->beat = beat;
		s->silent = 0;
		return;
	}
	s->silent += passed < 2 * (uint64_t)(WATCH * 1000) ? passed : 2 * (uint64_t)(WATCH * 1000);
	if (s->silent < limit)
		return;
	if (before < limit || before / 1000 != s->silent / 1000)
		slots_signal(m, slot, SIGCONT);
	if (before < limit)
		log_error("keeper %u of slot %u gives no sign of life since %llu ms: told to go on (SIGCONT)", m->h.slots[slot].keeper, slot,
			  (unsigned long long)s->silent);
	if (s->silent >= 2 * limit && (worker == 0 || process_ended(worker))) {
		log_error("keeper %u of slot %u gives no sign of life, and its worker is gone: killed", m->h.slots[slot].keeper, slot);
		slots_signal(m, slot, SIGKILL);
		s->silent = 0;
	}
}

/* This master is no link of a chain of such that die one behind the other (revive.h). */
static void note_progress(const struct master *m, uint64_t now)
{
	if (now - m->watched_since < REVIVE_PROGRESS_MS)
		return;
	atomic_store(&m->hub.shm->masters.started, 0);
	atomic_store(&m->hub.shm->masters.given_up, 0);
}

static void on_watch(struct ev_loop *loop, struct ev_timer *t, int events)
{
	struct master *m = ev_userdata(loop);
	uint64_t now = restarts_now();

	(void)events;
	t->repeat = WATCH;
	if (m->stopping)
		return;
	note_progress(m, now);
	data_look(m, now);
	bridge_look(m, now);
	ticket_keys_look(m);
	slots_give_doors(m);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (!m->h.slots[i].used)
			continue;
		if (m->h.slots[i].keeper && !ev_is_active(&m->slot[i].end))
			slots_follow(m, i, m->h.slots[i].keeper);
		if (m->h.slots[i].keeper)
			watch_keeper(m, i, now);
		else
			slots_look_lost(m, i, now);
		if (m->slot[i].vacant || m->slot[i].lost)
			t->repeat = SLOTS_RETRY;
	}
	ev_timer_again(loop, t);
}

void slots_watch(struct master *m)
{
	m->watched_since = restarts_now();
	ev_timer_init(&m->slots_timer, on_watch, WATCH, WATCH);
	ev_timer_start(m->loop, &m->slots_timer);
}
