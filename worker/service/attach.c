/*
 * Attaching to a session. See attach.h.
 *
 * A token says where its session is: in which slot, and by which number. One that was taken over has another number: those are strays (strays.h).
 */
#include "worker/service/attach.h"

#include <string.h>
#include <unistd.h>

#include "shm/client_id.h"
#include "shm/crash.h"
#include "shm/nodes_ids.h"
#include "worker/delivery/stream.h"
#include "worker/io/gate.h"
#include "worker/service/strays.h"
#include "worker/session/tell.h"
#include "worker/session/watch.h"

static bool is_home(const struct base *base, session_id sid)
{
	const uint8_t *token = session(base, sid)->token;

	return token_slot(token) == base->number && token_session(token) == (uint32_t)sid;
}

static bool has_token(const struct base *base, session_id sid, const uint8_t token[TOKEN_BYTES])
{
	const struct session_shm *s = session(base, sid);

	return s->status == SESSION_OPEN && s->until != 0 && s->state.transport != TRANSPORT_HTTP && token_is(s->token, token) &&
	       (s->state.flags & SESSION_PARKED || !(s->state.flags & (SESSION_CLOSE | SESSION_LINGER)));
}

/* *sid if it is here, *slot if it may be elsewhere. */
static enum attach_where find(const struct base *base, const uint8_t token[TOKEN_BYTES], session_id *sid, unsigned *slot)
{
	int moved = strays_slot(base, token);

	*slot = moved >= 0 ? (unsigned)moved : token_slot(token);
	if (*slot != base->number)
		return atomic_load_explicit(&base->hub.shm->slot[*slot].state, memory_order_relaxed) == SLOT_UNUSED ? ATTACH_NOWHERE : ATTACH_ELSEWHERE;
	*sid = (session_id)token_session(token);
	if (token_slot(token) == base->number && (uint32_t)*sid < atomic_load_explicit(&base->slot.shm->fd_end, memory_order_relaxed) && has_token(base, *sid, token))
		return ATTACH_HERE;
	*sid = strays_find(base, token);
	return *sid >= 0 && has_token(base, *sid, token) ? ATTACH_HERE : ATTACH_NOWHERE;
}

enum attach_where attach_locate(struct service *service, struct cursor *c, const uint8_t token[TOKEN_BYTES], session_id *sid)
{
	unsigned slot;
	enum attach_where where = find(service->base, token, sid, &slot);

	/* It is on its way here, and comes before long; or it is about to be put into the queue, perhaps by the next worker of the slot that gives it. */
	if (where == ATTACH_NOWHERE && strays_slot(service->base, token) == (int)service->base->number &&
	    !gate_is_quiet(service->base, service->queue[service->base->number])) {
		cursor_stall(c);
		return ATTACH_ELSEWHERE;
	}
	if (where != ATTACH_ELSEWHERE)
		return where;
	if (!service->base->move(service->base->above, c->sid, slot))
		return ATTACH_FULL;
	c->stop = c->waits = true;
	return where;
}

/* ---- what is taken over ---- */

void attach_begin(struct attach *a, const struct base *base, session_id from, const struct resume *asked, struct resume *resume)
{
	*a = (struct attach){
		.base = base, .from = from, .asked = *asked, .resume = resume,
		.next = atomic_load_explicit(&session(base, from)->subscriptions, memory_order_relaxed),
	};
	resume->kind = RESUME_SINCE;
}

/* Whether it is in the topic; *seq is its sequence here. */
static bool find_message(const struct base *base, uint32_t topic, struct position at, uint64_t *seq)
{
	const struct topic_shm *t = index_topic(&base->hub.index, topic);
	struct nodes_place place;
	uint64_t last;

	if (history_rules_reach(base->hub.history.rules, t->name, t->name_len) == HISTORY_NONE)
		return false;
	/* Only under the lock is the topic's last record one that is published. */
	lock_acquire(&base->hub.shm->lock, base->number + 1);
	last = atomic_load_explicit(&t->last, memory_order_relaxed);
	lock_release(&base->hub.shm->lock, base->number + 1);
	nodes_find_id(&base->hub, base->number + 1, topic, t->generation, last, at, &place);
	*seq = place.had.id;
	return place.is_had && place.had_id.epoch == at.epoch && place.had_id.seq == at.seq;
}

void attach_settle(struct base *base, session_id from, struct resume *asked)
{
	const struct subscription_shm *sub = base->slot.subscriptions;
	uint32_t i = atomic_load_explicit(&session(base, from)->subscriptions, memory_order_relaxed);
	uint64_t seq;

	if (asked->kind != RESUME_SINCE || !replay_is_of_stream(base, &asked->since))
		return;
	hub_pin(&base->hub, base->number);
	while (i && !find_message(base, sub[i].topic, asked->since, &seq))
		i = atomic_load_explicit(&sub[i].next, memory_order_relaxed);
	hub_unpin(&base->hub, base->number);
	if (i)
		asked->since = (struct position){ base->hub.shm->epoch / 1000, seq };
}

/*
 * Behind which sequence the client wants messages of the subscription: what it says, if it does. Whether the subscription began later nobody knows any
 * more: a `from` behind `pos` may as well be the next message owed, behind some that were sent and, as the connection broke, did not come; or what
 * `slow` jumped to, or where it was when another topic was subscribed with its past. Without a word of the client all of these are where to go on.
 */
static uint64_t since_of(const struct attach *a, const struct subscription_shm *sub)
{
	uint64_t pos = session(a->base, a->from)->state.pos, from = stream_begins(a->base, sub), begun = from > pos ? from - 1 : 0;

	if (a->asked.kind == RESUME_SINCE)
		return a->asked.since.seq;
	return begun ? begun : (pos ? pos - 1 : 0);
}

bool attach_next(void *attach, struct topic_name *name)
{
	struct attach *a = attach;
	uint64_t epoch = a->base->hub.shm->epoch / 1000;
	const struct subscription_shm *sub;
	const struct topic_shm *topic;

	if (!a->next)
		return false;
	sub = &a->base->slot.subscriptions[a->next];
	a->next = atomic_load_explicit(&sub->next, memory_order_relaxed);
	topic = index_topic(&a->base->hub.index, sub->topic);
	name->len = topic->name_len;
	memcpy(name->bytes, topic->name, topic->name_len);
	if (a->asked.kind == RESUME_SINCE && a->asked.since.epoch != epoch) {
		a->resume->since = a->asked.since;
		return true;
	}
	a->resume->since.epoch = epoch;
	a->resume->since.seq = since_of(a, sub);
	return true;
}

/* ---- the step from one session to the other ---- */

void attach_note(const struct base *base, session_id sid, session_id from)
{
	struct slot_shm *slot = base->slot.shm;

	slot->attaching_parsed = session(base, sid)->state.parsed;
	/* release: whoever finds the note finds all of it */
	atomic_store_explicit(&slot->attaching, ATTACHING(sid, from), memory_order_release);
	CRASH_POINT("attach-noted");
}

static void take_token(const struct slot *slot, session_id sid, session_id from)
{
	struct session_shm *s = slot_session(slot, sid);

	memcpy(s->token, slot_session(slot, from)->token, sizeof(s->token));
	s->until = s->last_in ? s->last_in : 1;
}

/* By the id that the connection has from here on; before, it had `was`. */
static void tell_attached(struct base *base, session_id sid, session_id from, uint32_t was)
{
	struct client_id old = { .slot = base->number, .session = (uint32_t)sid, .check = was };
	struct client_id taken = { .slot = base->number, .session = (uint32_t)from, .check = client_id_check(session(base, from)->token) };
	char text[2 * CLIENT_ID_TEXT + 16];
	size_t len;

	client_id_write(text, &old);
	len = strlen(text);
	memcpy(text + len, " took over ", 11);
	client_id_write(text + len + 11, &taken);
	tell_session(base, sid, EVENT_ATTACH, (uint64_t)from, text, strlen(text), NULL);
}

void attach_finish(struct base *base, session_id sid, session_id from)
{
	uint32_t was = client_id_check(session(base, sid)->token);

	CRASH_POINT("attach-committed");
	attach_forget(base, sid);
	take_token(&base->slot, sid, from);
	CRASH_POINT("attach-taken");
	tell_attached(base, sid, from, was);
	/* Before the other one ends: its token leads here at each moment, whichever worker is asked. */
	if (attach_recover(base, sid) < 0)
		base_count(base, COUNTER_no_buffer, 1);		/* its token finds nothing until the next worker lists it */
	base->unpark(base->above, from);
	CRASH_POINT("attach-unparked");
	/* release: behind all of that */
	atomic_store_explicit(&base->slot.shm->attaching, 0, memory_order_release);
	base_count(base, COUNTER_attached, 1);
}

void attach_forget(struct base *base, session_id sid)
{
	if (!is_home(base, sid) && strays_remove(base, sid))
		strays_end(base, sid);
}

void attach_redo(const struct slot *slot)
{
	/* acquire: pairs with the release in attach_note() */
	uint64_t attaching = atomic_load_explicit(&slot->shm->attaching, memory_order_acquire);
	session_id sid = (session_id)(attaching >> 32) - 1, from = (session_id)(uint32_t)attaching;
	struct session_shm *s, *was;

	if (!attaching)
		return;
	s = slot_session(slot, sid);
	was = slot_session(slot, from);
	if (s->status == SESSION_OPEN && s->state.parsed != slot->shm->attaching_parsed && was->status == SESSION_OPEN) {
		take_token(slot, sid, from);
		atomic_store_explicit(&was->status, SESSION_FREE, memory_order_release);
		watch_end(slot, from);
		close(from);
	}
	atomic_store_explicit(&slot->shm->attaching, 0, memory_order_release);
}

int attach_recover(struct base *base, session_id sid)
{
	if (session(base, sid)->until == 0)
		return 0;
	(void)strays_place(base, sid, base->number);	/* (without room for it, its token finds nothing) */
	return is_home(base, sid) ? 0 : strays_add(base, sid);
}
