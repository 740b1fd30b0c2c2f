/*
 * Presence: which users are on the topics that somebody watches (proto/presence.h, shm/members.h), as far as this worker's sessions know, and the lists that
 * those who watch are sent at first.
 *
 * A session is on a topic as a user if it subscribes both, the topic and the user's inbox; with or without a connection (loop/park.h). Who changes a
 * session's subscriptions says so (base_changed()); what that means for presence is looked at once, at the end of the turn (presence_run()): each user's
 * first session here sets the slot's bit in the hub, the last one clears it. So whatever a request, a death or a session's move does to subscriptions in a
 * turn, only what is left of it counts.
 *
 * Crash rules. All of this is the worker's own. A successor counts anew, sets the bits that are missing, and clears those of users who have gone: between,
 * nothing is told. A list that a session is owed is noted in its state (SESSION_LISTS), in the commit that subscribes it; it goes when the lists are
 * in its out buffer. So a death may have a list told again, which replaces the one before. Who comes back gets it again, too, whatever it resumes at: nobody
 * knows whether it has had one. It comes when the session is not behind: what was told before somebody watched again may be out of date, and must
 * not come behind the list.
 */
#ifndef WORKER_SERVICE_PRESENCE_H
#define WORKER_SERVICE_PRESENCE_H

#include "worker/delivery/output.h"

struct presence {
	struct base *base;
	struct topics *topics;
	struct output *output;

	uint64_t version;		/* members_version() as of the last look; 0: there was none */
	struct watched_topic *watched;	/* by their hash */
	uint32_t watched_count;
	uint64_t look_at;		/* when there may be another look, microseconds: a look at many topics is not to be all that is done */
	void *users;			/* tree of struct user_here: who is on these topics, here */
	uint32_t users_count;
	uint64_t pairs;			/* what `of` has, in all */
	struct user_here *changed;	/* those who have come or gone since the hub was told */
	bool refused, uncounted, full;	/* there was no room for some in the hub; here; for a topic */
	struct session_users **of;	/* by session; NULL: it is on none as anybody */
	struct owed_list *owed;		/* lists that sessions are to be sent */
	uint32_t owed_count, owed_room;
	uint32_t *owed_of;		/* by session: how many of them */
	bool unsettled;			/* a look was not brought to its end, as sessions have departed */
	bool telling, listing;		/* there are more changes to be published, and lists to be sent, than a turn is for */
	uint32_t swept;			/* watched topics before this one were looked at, whether somebody still watches them */
};

int presence_init(struct presence *p);		/* base, topics and output are set. 0; -1: no memory */

/* For a name that is about to be subscribed: has its topic watched, if it tells of one (presence_topic()). NULL, or why that can't be. */
const char *presence_watch(struct presence *p, const char *name, size_t len);
/* Notes that the session is to be sent the list of what this name tells of, if it does; for that the caller commits SESSION_LISTS. Whether it does. */
bool presence_owe(struct presence *p, session_id sid, const char *name, size_t len);

/* At a worker's start, when it has its sessions. */
void presence_recover(struct presence *p);

/* At the end of each turn. True: there is more to do in the next one. */
bool presence_run(struct presence *p);
void presence_departed(struct presence *p);	/* those who had departed (base.departed) are at home elsewhere: who is not here any more has gone */
void presence_tick(struct presence *p);		/* ten times a second */

#endif
