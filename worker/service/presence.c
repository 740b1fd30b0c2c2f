/*
 * Presence: its turns, and a worker's start. See presence.h.
 */
#include "worker/service/presence_own.h"

#include "proto/presence.h"

#define SWEPT_A_TICK 256		/* topics that are asked for whether somebody watches them */
#define KEEP_MS 1000			/* for so long a topic stays watched without anybody */

int presence_init(struct presence *p)
{
	size_t sessions = (size_t)p->base->slot.shm->sessions_max + 1;

	p->of = base_reserve(sessions * sizeof(*p->of));
	p->owed_of = base_reserve(sessions * sizeof(*p->owed_of));
	return p->of && p->owed_of ? 0 : -1;
}

/* ---- a worker's start ---- */

/* The session is owed the list of what this topic tells of. */
static void owe_again(struct presence *p, session_id sid, uint32_t topic)
{
	struct session_state_shm st = session(p->base, sid)->state;

	presence_owe_topic(p, sid, topic);
	if (st.flags & SESSION_LISTS)
		return;
	st.flags |= SESSION_LISTS;
	session_commit(p->base, sid, &st);
}

/*
 * Has watched what this worker's sessions want to be told of. If the hub is another one (another program's), what has changed meanwhile was not
 * noted: who watches gets a list. Who was owed one still is. (Sessions are counted in the first turn: all topics are new then.)
 */
void presence_recover(struct presence *p)
{
	const struct index *ix = &p->base->hub.index;
	bool fresh = !atomic_load_explicit(&p->base->self->watched, memory_order_relaxed);

	for (uint32_t i = 1; i <= ix->shm->high; i++) {
		const struct local_topic *l = topics_find(p->topics, i);
		const struct topic_shm *t = index_topic(ix, i);
		size_t topic = l ? presence_topic(t->name, t->name_len) : 0;

		if (topic == 0)
			continue;
		if (!presence_watch_topic(p, t->name, topic))
			base_count(p->base, COUNTER_presence_full, 1);
		for (; l; l = l->sibling)
			for (uint32_t n = 0; n < l->count; n++) {
				session_id sid = l->is_apart ? l->apart[n].sid : l->subscribers[n];

				if (fresh || session(p->base, sid)->state.flags & SESSION_LISTS)
					owe_again(p, sid, i);
			}
	}
	/* release: behind what was noted in the sessions */
	atomic_store_explicit(&p->base->self->watched, 1, memory_order_release);
}

/* ---- turns ---- */

bool presence_run(struct presence *p)
{
	if (members_version(&p->base->hub.members) != p->version && base_clock() >= p->look_at)
		presence_look(p);
	if (p->base->changed_count > 0 || p->base->changed_lost) {
		presence_count_changed(p);
		presence_tell_hub(p);
		presence_tell_changes(p);
	}
	if (p->telling)
		presence_tell_changes(p);
	if (p->owed_count > 0)
		presence_send_lists(p);
	return p->telling || (p->listing && p->owed_count > 0);
}

void presence_departed(struct presence *p)
{
	presence_tell_hub(p);
	presence_tell_changes(p);
	if (p->unsettled)
		p->version = p->look_at = 0;	/* another look, in this turn */
	p->unsettled = false;
}

void presence_tick(struct presence *p)
{
	presence_tell_changes(p);
	if (p->full) {
		presence_sweep(p, 0, p->watched_count, 0);	/* somebody wants a place: those that nobody holds are free */
		p->full = false;
	}
	if (p->swept >= p->watched_count)
		p->swept = 0;
	presence_sweep(p, p->swept, SWEPT_A_TICK, KEEP_MS);
	p->swept += SWEPT_A_TICK;
	if (p->swept >= p->watched_count)
		presence_retry(p);
}
