/*
 * A keeper without a master. See bereft.h.
 *
 * A slot that has a state and nobody who delivers holds all publishers up, when the ring is full (hub_lag()). A master would take it away or fill it; without one, a keeper does that for its own when it ends, and the
 * lowest one that lives for those of others of which nobody is left.
 *
 * How long they wait is one clock's, which is in the hub: so all of them end together, also a keeper that was made meanwhile. It begins with the death, and anew when a master that had come to keepers has
 * died before it was through. Only time in which keepers are run counts: a container that is paused does not end.
 */
#include "master/bereft.h"

#include "master/process.h"
#include "master/revive.h"
#include "master/runtime_dir.h"
#include "shm/log.h"

#define LOOK_MS 1000		/* between looks at others */
#define QUIESCED_MS 30000		/* in which a master that is there comes for a slot that serves nobody */

static struct masters_shm *masters_of(const struct keeper *k)
{
	return &k->hub.shm->masters;
}

static void start_clock(struct keeper *k)
{
	uint64_t now = restarts_now();

	atomic_store(&masters_of(k)->looked_at, (uint32_t)now);
	atomic_store(&masters_of(k)->ends_at, now + (uint64_t)k->h.settings.master_linger);
}

/* The master has gone: noted in the hub by the first keeper that sees it. (The next one may be there already.) */
static void miss(struct keeper *k)
{
	struct masters_shm *m = masters_of(k);
	uint64_t none = 0;

	if (runtime_dir_master(k->h.lock) != 0 || !atomic_compare_exchange_strong(&m->gone, &none, hub_now()))
		return;
	start_clock(k);
	atomic_store(&m->next_at, restarts_now() + REVIVE_PAUSE_MS);
	events_say(&k->hub.events, k->slot, EVENT_DEATH, atomic_load(&k->self->connections), "the master, process %u", atomic_load(&m->pid));
}

static uint64_t left_ms(const struct keeper *k)
{
	uint64_t now = restarts_now(), ends_at = atomic_load(&masters_of(k)->ends_at);

	return !atomic_load(&masters_of(k)->gone) ? (uint64_t)k->h.settings.master_linger : ends_at > now ? ends_at - now : 0;
}

bool bereft_begin(struct keeper *k)
{
	miss(k);
	if (k->h.settings.master_linger == 0)
		return false;
	if (k->h.slots[k->slot].door < 0) {
		log_error("the master is gone, and the next one can't find this keeper, as it has no door: stopping");
		return false;
	}
	if (k->met)
		start_clock(k);
	k->bereft = true;
	k->met = false;
	k->looked = restarts_now();
	k->alone = 0;
	log_warning("the master is gone; going on without one for %lld ms", (long long)left_ms(k));
	return true;
}

void bereft_end(struct keeper *k)
{
	k->bereft = false;
	k->met = true;
}

static struct hub_slot_shm *shm_of(const struct keeper *k, unsigned slot)
{
	return &k->hub.shm->slot[slot];
}

/* Publishers wait for it no longer; the next master finds it unused. */
static void clear(struct keeper *k, unsigned slot)
{
	hub_clear_slot(&k->hub, slot, hub_owner_master());	/* (in the master's stead: this keeper's number its own worker may use) */
	atomic_store(&shm_of(k, slot)->worker, 0);
	atomic_store(&shm_of(k, slot)->keeper, 0);
	atomic_store(&shm_of(k, slot)->spare, 0);
	atomic_store(&shm_of(k, slot)->state, SLOT_UNUSED);
}

void bereft_leave(struct keeper *k)
{
	if (k->bereft)
		clear(k, k->slot);
}

static bool is_dead(const struct keeper *k, unsigned slot)
{
	const struct hub_slot_shm *s = shm_of(k, slot);

	return process_ended(atomic_load(&s->keeper)) && process_ended(atomic_load(&s->spare)) && process_ended(atomic_load(&s->worker));
}

/* A master may have been just making it; or a spare has become the keeper, and made another, between two of these looks: so only one that is found so twice is lost. */
static void look_at(struct keeper *k, unsigned slot)
{
	struct hub_slot_shm *s = shm_of(k, slot);
	uint32_t count = atomic_load(&s->connections) + atomic_load(&s->parked);
	uint64_t bit = 1ull << slot;

	if (atomic_load(&s->state) == SLOT_UNUSED || !is_dead(k, slot)) {
		k->dead &= ~bit;
		return;
	}
	if (!(k->dead & bit)) {
		k->dead |= bit;
		return;
	}
	hub_repair(&k->hub, slot);
	clear(k, slot);
	hub_count(&k->hub, slot, COUNTER_closed_slot, count);
	hub_count(&k->hub, slot, COUNTER_closed, count);
	atomic_fetch_add(&s->emptied, 1);
	log_error("slot %u has neither keeper nor worker, nor is there a master: %u connections closed", slot, count);
}

static bool is_lowest(const struct keeper *k)
{
	for (unsigned i = 0; i < k->slot; i++)
		if (atomic_load(&shm_of(k, i)->state) != SLOT_UNUSED && !process_ended(atomic_load(&shm_of(k, i)->keeper)))
			return false;
	return true;
}

/*
 * Whether it is time to stop. What is more than two looks' time without a look of anybody was a pause of all, and the end comes so much later. Who was not run for as long does not judge: somebody may just be
 * putting that off.
 */
static bool is_over(struct keeper *k, uint64_t now, uint64_t passed)
{
	int32_t pause = (int32_t)((uint32_t)now - atomic_exchange(&masters_of(k)->looked_at, (uint32_t)now)) - 2 * LOOK_MS;

	if (pause > 0)
		atomic_fetch_add(&masters_of(k)->ends_at, (uint64_t)pause);
	return passed < 2 * LOOK_MS && now >= atomic_load(&masters_of(k)->ends_at);
}

bool bereft_look(struct keeper *k)
{
	uint64_t now = restarts_now(), passed = now - k->looked;
	bool over;

	if (!k->bereft || passed < LOOK_MS / 4)
		return true;
	k->looked = now;
	over = is_over(k, now, passed);
	k->alone += passed < 2 * LOOK_MS ? passed : 2 * LOOK_MS;
	/* One is about to come; unless it has given this slot up, as the keeper that it knew died, and this process is that one's spare of which it does not know. */
	if (runtime_dir_master(k->h.lock) != 0)
		return !k->quiesced || k->alone < QUIESCED_MS;
	if (!atomic_load(&masters_of(k)->gone)) {
		miss(k);
		return true;
	}
	if (is_lowest(k))
		for (unsigned i = 0; i < SLOT_BRIDGE; i++)
			if (i != k->slot)
				look_at(k, i);
	if (!over)
		return true;
	log_error("no master has come for %lld ms (master_linger): stopping", (long long)k->h.settings.master_linger);
	return false;
}
