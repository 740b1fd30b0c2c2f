/*
 * Presence: the lists that sessions are owed. See presence.h.
 */
#include "worker/service/presence_own.h"

#include <stdlib.h>

#include "proto/presence.h"
#include "proto/transport.h"
#include "proto/web_message.h"
#include "shm/crash.h"
#include "worker/delivery/subscription_list.h"

#define LIST_MAX (16 * 1024)		/* bytes of a list in one message */
#define PIECES_A_TURN 32		/* of lists */

struct owed_list {
	session_id sid;
	uint32_t topic;			/* the one that was subscribed, T@presence */
	struct member_cursor cursor;
};

static bool is_owed_already(const struct presence *p, session_id sid, uint32_t topic)
{
	for (uint32_t i = 0; p->owed_of[sid] > 0 && i < p->owed_count; i++)
		if (p->owed[i].sid == sid && p->owed[i].topic == topic)
			return true;
	return false;
}

void presence_owe_topic(struct presence *p, session_id sid, uint32_t topic)
{
	if (is_owed_already(p, sid, topic))
		return;
	if (p->owed_count == p->owed_room) {
		p->owed_room = p->owed_room ? 2 * p->owed_room : 64;
		p->owed = presence_need(realloc(p->owed, p->owed_room * sizeof(*p->owed)));
	}
	p->owed[p->owed_count++] = (struct owed_list){ .sid = sid, .topic = topic };
	p->owed_of[sid]++;
}

bool presence_owe(struct presence *p, session_id sid, const char *name, size_t len)
{
	uint32_t topic;

	if (presence_topic(name, len) == 0)
		return false;
	presence_lock(p);
	topic = index_find(&p->base->hub.index, index_hash(name, len), name, len);
	presence_unlock(p);
	presence_owe_topic(p, sid, topic);
	return true;
}

/*
 * What the session is to be sent next of the list. Its length; 0: the list is not whole yet. (The topic may not be watched: there was no room at a worker's
 * start, or it was swept before the session had subscribed.)
 */
static size_t next_piece(struct presence *p, struct owed_list *o, char text[LIST_MAX], uint32_t *more)
{
	const struct topic_shm *t = index_topic(&p->base->hub.index, o->topic);
	size_t len = 0, topic = presence_topic(t->name, t->name_len);
	uint32_t cell;

	presence_lock(p);
	cell = members_find(&p->base->hub.members, index_hash(t->name, topic), t->name, topic);
	if (cell && members_whole(&p->base->hub.members, cell, once_now()))
		len = members_list(&p->base->hub.members, cell, &o->cursor, text, LIST_MAX, more);
	presence_unlock(p);
	if (!cell)
		presence_watch_topic(p, t->name, topic);
	return len;
}

/* Puts the piece into the session's out buffer. False: there is no room. */
static bool put_piece(struct presence *p, session_id sid, const char *text, size_t len, bool last)
{
	struct base *base = p->base;
	struct session_state_shm st = session(base, sid)->state;
	struct web_record rec = { .time = hub_now(), .epoch = &base->epoch, .to = MESSAGE_TO_TOPIC, .text = text, .len = len };
	size_t n = transport_table[st.transport].encoder.encode(&rec, base->scratch, base->scratch_room);

	if (session_append_if_room(base, sid, &st, base->scratch, n) < 0)
		return false;
	if (last)
		st.flags &= ~(uint32_t)SESSION_LISTS;
	session_commit(base, sid, &st);
	CRASH_POINT("presence-listed");
	output_flush(p->output, sid);
	return true;
}

/* Whether the session can be sent lists. If it is behind they wait, until all that was told before has been sent. */
static bool takes_lists(const struct presence *p, session_id sid)
{
	const struct session_state_shm *st = &session(p->base, sid)->state;

	return !(st->flags & SESSION_BEHIND) && st->out_end - st->out_start <= SESSION_OUT_MAX;
}

/* Sends up to *pieces of the list. True: that was all of it. */
static bool send_list(struct presence *p, struct owed_list *o, unsigned *pieces)
{
	static char text[LIST_MAX];
	uint32_t more = 1;

	for (; more > 0 && *pieces > 0 && takes_lists(p, o->sid); --*pieces) {
		struct owed_list next = *o;
		size_t len = next_piece(p, &next, text, &more);

		if (!len || !put_piece(p, o->sid, text, len, more == 0 && p->owed_of[o->sid] == 1))
			return false;
		*o = next;
	}
	return more == 0;
}

/* Whether the session is still owed lists; else nobody is. */
static bool is_owed_lists(const struct presence *p, session_id sid)
{
	const struct session_shm *s = session(p->base, sid);

	return s->status == SESSION_OPEN && s->state.flags & SESSION_LISTS && !(s->state.flags & (SESSION_CLOSE | SESSION_LINGER | SESSION_PARKED)) &&
	       !session_has(p->base, sid, MARK_OVER);
}

static void owe_no_more(struct presence *p, session_id sid)
{
	struct session_state_shm st = session(p->base, sid)->state;

	st.flags &= ~(uint32_t)SESSION_LISTS;
	session_commit(p->base, sid, &st);
}

/* True: it is done with. */
static bool deal_with(struct presence *p, struct owed_list *o, unsigned *pieces)
{
	if (!is_owed_lists(p, o->sid))
		return true;
	if (!subscription_list_find(p->topics, o->sid, o->topic)) {
		if (p->owed_of[o->sid] == 1)
			owe_no_more(p, o->sid);
		return true;
	}
	return *pieces > 0 && takes_lists(p, o->sid) && send_list(p, o, pieces);
}

/* Those that have waited longest come first. */
void presence_send_lists(struct presence *p)
{
	unsigned pieces = PIECES_A_TURN;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < p->owed_count; i++) {
		session_id sid = p->owed[i].sid;
		bool done;

		base_on(p->base, sid);
		done = deal_with(p, &p->owed[i], &pieces);
		base_on(p->base, -1);
		p->owed_of[sid] -= done;
		if (!done)
			p->owed[kept++] = p->owed[i];
	}
	p->owed_count = kept;
	p->listing = pieces == 0;
}
