/*
 * What presence's files share; for them alone. presence.c has its turns; of what is done there, presence_users.c does what is about users here and what the
 * hub is told, presence_topics.c what is about topics that are watched, and presence_lists.c what is about lists.
 */
#ifndef WORKER_SERVICE_PRESENCE_OWN_H
#define WORKER_SERVICE_PRESENCE_OWN_H

#include <unistd.h>

#include "worker/service/presence.h"

#define PRESENCE_LOCKED 64		/* members set, or topics looked at, while the lock is held once */

struct watched_topic {
	uint64_t hash, serial;
	uint32_t cell;			/* in the hub's table */
	bool is_new;			/* its sessions here are not counted yet */
};

/* Without memory for what is counted, the worker's successor counts anew. */
static inline void *presence_need(void *p)
{
	if (!p)
		_exit(BASE_SHORTAGE);
	return p;
}

static inline void presence_lock(const struct presence *p)
{
	lock_acquire(&p->base->hub.shm->lock, p->base->number + 1);
}

static inline void presence_unlock(const struct presence *p)
{
	lock_release(&p->base->hub.shm->lock, p->base->number + 1);
}

/* ---- presence_users.c ---- */

int presence_by_hash(const void *a, const void *b);		/* watched topics, for qsort() and bsearch() */
void presence_count_changed(struct presence *p);		/* counts those whose subscriptions have changed (base_changed()) */
void presence_tell_hub(struct presence *p);			/* brings the hub's bits up to date, and frees users who are not here any more */
void presence_tell_changes(struct presence *p);			/* publishes changes that are due, whoever has made them */
void presence_retry(struct presence *p);			/* tries users again for whom there was no room */
bool presence_is_here(struct presence *p, uint64_t serial, const struct member_cell_shm *user);		/* on the topic with this serial */

/* ---- presence_topics.c ---- */

/* Finds the topic in the hub, or has it watched. 0: there is no room. */
uint32_t presence_watch_topic(struct presence *p, const char *topic, size_t len);
/* Finds out what is watched now, counts the sessions of what is new, and says so. */
void presence_look(struct presence *p);
/* Topics that nobody watches any more are watched no longer: `count` from `from` on, which nobody has watched for so long. */
void presence_sweep(struct presence *p, uint32_t from, uint32_t count, uint64_t keep_ms);

/* ---- presence_lists.c ---- */

void presence_owe_topic(struct presence *p, session_id sid, uint32_t topic);	/* notes it; `topic`: T@presence */
void presence_send_lists(struct presence *p);

#endif
