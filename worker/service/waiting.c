/*
 * Requests that wait. See waiting.h.
 */
#include "worker/service/waiting.h"

#include <string.h>

#include "shm/crash.h"
#include "shm/nodes.h"

#define STREAM_SAYS_NOTHING "the stream of all nodes has not said in time that it has the message (nats_stream_timeout): it may have it yet"
#define STREAM_IS_AWAY "the stream of all nodes is away, and as many wait for it as may: the message was not published; try again later"
#define STREAM_TOOK_NOT "the stream of all nodes does not take the message"
#define STREAM_TOOK_NOT_ALL "the stream of all nodes does not take one of the messages; it may have the others"

static struct waiting_shm *note(const struct base *base, unsigned place)
{
	return &base->self->waiting[place];
}

static unsigned place_of(const struct base *base, const struct waiting_shm *w)
{
	return (unsigned)(w - base->self->waiting);
}

void waiting_recover(struct service *service)
{
	struct base *base = service->base;

	base->waiting = 0;
	for (unsigned i = 0; i < WAITING_MAX; i++)
		if (atomic_load_explicit(&note(base, i)->number, memory_order_relaxed))
			base->waiting |= 1ull << i;
}

struct waiting_shm *waiting_of(const struct service *service, const struct cursor *c)
{
	int place = session_waiting(service->base, c->sid);

	return place < 0 || note(service->base, (unsigned)place)->at != c->at ? NULL : note(service->base, (unsigned)place);
}

void waiting_end(struct service *service, struct waiting_shm *w)
{
	struct base *base = service->base;

	atomic_store_explicit(&w->number, 0, memory_order_relaxed);
	base->waiting &= ~(1ull << place_of(base, w));
}

/* A note that is free. NULL: there is none. */
static struct waiting_shm *take(struct base *base)
{
	unsigned place = base->waiting == UINT64_MAX ? WAITING_MAX : (unsigned)__builtin_ctzll(~base->waiting);

	if (place == WAITING_MAX)
		return NULL;
	base->waiting |= 1ull << place;
	return note(base, place);
}

static void write_note(struct base *base, struct waiting_shm *w, session_id sid, const struct topic_name *name, bool held)
{
	const struct session_shm *s = session(base, sid);

	/* (Nobody looks at it without its number.) */
	atomic_store_explicit(&w->number, 0, memory_order_relaxed);
	atomic_store_explicit(&w->published, 0, memory_order_relaxed);
	atomic_store_explicit(&w->told, 0, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	w->fd = (uint32_t)sid;
	w->at = s->state.parsed;
	memcpy(w->token, s->token, sizeof(w->token));
	w->until = base->now_ms + WAITING_FOR_NODES;
	w->stream_until = 0;
	w->held = held;
	w->name_len = name ? name->len : 0;
	if (name)
		memcpy(w->name, name->bytes, name->len);
	/* release: who sees the number sees the rest */
	atomic_store_explicit(&w->number, ++base->self->waited, memory_order_release);
}

/* What was passed over before the request is taken: a note says by the session's state where its request is. */
static void settle(struct base *base, const struct cursor *c)
{
	struct session_state_shm st = session(base, c->sid)->state;

	if (st.parsed == c->at)
		return;
	st.parsed = c->at;
	session_commit(base, c->sid, &st);
}

static bool others_are_asked(const struct service *service)
{
	const struct hub *hub = &service->base->hub;

	return !service->hurried && nodes_state(hub) == NODES_CONNECTED && question_nodes(hub) > 0;
}

bool waiting_begin(struct service *service, struct cursor *c, const struct topic_name *asked, bool stream, const char **error)
{
	struct base *base = service->base;
	struct waiting_shm *w = waiting_of(service, c);

	if (!others_are_asked(service))
		asked = NULL;
	if (!asked && !stream) {
		if (w)
			waiting_end(service, w);
		return true;
	}
	settle(base, c);
	/* (What is for the stream is left to who follows, if the worker leaves.) */
	if ((stream && service->hurried) || (w == NULL && (w = take(base)) == NULL)) {
		*error = stream && !service->hurried && nodes_stream(&base->hub) != STREAM_HERE ? STREAM_IS_AWAY : NULL;
		if (*error == NULL)
			cursor_stall(c);
		return false;
	}
	write_note(base, w, c->sid, asked, false);
	CRASH_POINT("waiting-noted");
	if (asked)
		question_put(&base->hub, base->number);
	return true;
}

static bool has_stream(const struct publish_item *items, unsigned count)
{
	unsigned i = 0;

	while (i < count && !items[i].to_stream)
		i++;
	return i < count;
}

void waiting_published(struct service *service, struct waiting_shm *w, const struct publish_item *items, unsigned count, bool repeated)
{
	const struct base *base = service->base;

	w->seq = items->seq;
	w->subscribers = items->subscribers;
	w->repeated = repeated;
	w->count = count;
	w->stream_until = 0;
	if (has_stream(items, count)) {
		w->stream_until = base->now_ms + (uint64_t)base->settings->nats_stream_timeout;
		w->first = base->self->intent.first;
		w->written = base->self->intent.written;
	} else if (w->name_len == 0) {
		waiting_end(service, w);
		return;
	}
	/* release: after what is said of it */
	atomic_store_explicit(&w->published, 1, memory_order_release);
	CRASH_POINT("waiting-published");
}

/* ---- what others say ---- */

static bool nodes_have_said(const struct base *base, const struct waiting_shm *w)
{
	return w->name_len == 0 || base->now_ms >= w->until || question_answer(&base->hub, base->number, place_of(base, w)).done;
}

/* (Of what the ring has no more nothing will be said.) */
static bool stream_has_said(const struct base *base, const struct waiting_shm *w)
{
	struct ring_record rec;

	if (w->stream_until == 0 || base->now_ms >= w->stream_until)
		return true;
	for (uint64_t seq = w->first; seq < w->first + w->written; seq++)
		if (ring_read(&base->hub.ring, seq, &rec) == 0 && nodes_is_to_stream(&rec) && rec.next == 0)
			return false;
	return true;
}

static bool is_due(const struct base *base, const struct waiting_shm *w)
{
	return nodes_have_said(base, w) && stream_has_said(base, w);
}

bool waiting_goes_on(struct service *service, struct cursor *c, const struct waiting_shm *w)
{
	if (is_due(service->base, w))
		return false;
	c->stop = c->waits = true;
	return true;
}

struct question_answer waiting_nodes(const struct service *service, const struct waiting_shm *w)
{
	const struct base *base = service->base;
	struct question_answer answer = { 0 };

	if (w->name_len)
		answer = question_answer(&base->hub, base->number, place_of(base, w));
	/* (The bridge may not have come to it, or was not there to be asked: then it knows of none, and we do.) */
	if (answer.nodes == 0)
		answer.nodes = question_nodes(&base->hub);
	return answer;
}

const char *waiting_items(const struct service *service, const struct waiting_shm *w, struct publish_item *items, bool *before)
{
	const struct hub *hub = &service->base->hub;

	*before = w->repeated;
	if (w->stream_until == 0) {
		items[0] = (struct publish_item){ .seq = w->seq, .subscribers = w->subscribers };
		return NULL;
	}
	publish_recall(hub, w->first, w->written, items, w->count);
	items[0].subscribers = w->subscribers;
	*before = true;
	for (unsigned i = 0; i < w->count; i++) {
		uint64_t said = items[i].to_stream ? nodes_ack_of(hub, items[i].seq) : 0;

		if (said == STREAM_REFUSED)
			return w->count > 1 ? STREAM_TOOK_NOT_ALL : STREAM_TOOK_NOT;
		if (items[i].to_stream && said == 0)
			return STREAM_SAYS_NOTHING;
		*before = *before && (!items[i].to_stream || said & STREAM_DUPLICATE);
		if (items[i].to_stream)
			items[i].seq = said & ~STREAM_DUPLICATE;
	}
	/* (What is gone from the ring is no item's any more.) */
	return ring_holds(&hub->ring, w->first) ? NULL : STREAM_SAYS_NOTHING;
}

bool waiting_held(struct service *service, struct cursor *c, const struct topic_name *name, struct question_answer *others)
{
	struct base *base = service->base;
	struct waiting_shm *w = waiting_of(service, c);

	if (w == NULL && !others_are_asked(service)) {
		*others = (struct question_answer){ .nodes = question_nodes(&base->hub) };
		return true;
	}
	if (w == NULL) {
		settle(base, c);
		w = take(base);
		if (w == NULL) {
			cursor_stall(c);
			return false;
		}
		write_note(base, w, c->sid, name, true);
		CRASH_POINT("waiting-noted");
	}
	if (waiting_goes_on(service, c, w)) {
		question_put(&base->hub, base->number);		/* (who wrote the note may have died before that) */
		return false;
	}
	*others = waiting_nodes(service, w);
	return true;
}

/* Has those dealt with again that are due, but for who does not read his answers: he is when he does. Whether somebody waits for the stream. */
static bool look(struct service *service)
{
	struct base *base = service->base;
	bool stream = false;

	service->waits = false;
	for (uint64_t all = base->waiting; all; all &= all - 1) {
		struct waiting_shm *w = note(base, (unsigned)__builtin_ctzll(all));

		if (session_waiting(base, (session_id)w->fd) != (int)place_of(base, w))
			waiting_end(service, w);
		else if (!is_due(base, w)) {
			service->waits = true;
			stream |= w->stream_until != 0;
		} else if (!session_has(base, (session_id)w->fd, MARK_OUTPUT_BLOCKED))
			base->go_on(base->above, (session_id)w->fd);
	}
	return stream;
}

void waiting_run(struct service *service)
{
	struct base *base = service->base;
	_Atomic uint64_t *waiting = &base->hub.shm->nodes.waiting;

	if ((!base->waiting && !service->waits) || !look(service) || atomic_load_explicit(waiting, memory_order_relaxed) >> base->number & 1)
		return;
	/* What the bridge says of now on it wakes us for (nodes_wake_waiting()); what it has said we see. */
	atomic_fetch_or(waiting, 1ull << base->number);
	atomic_thread_fence(memory_order_seq_cst);
	look(service);
}

void waiting_hurry(struct service *service)
{
	service->hurried = true;
	for (uint64_t all = service->base->waiting; all; all &= all - 1) {
		struct waiting_shm *w = note(service->base, (unsigned)__builtin_ctzll(all));

		w->until = 0;
		w->stream_until = w->stream_until != 0;		/* (a time long past) */
	}
}
