/*
 * Requests that wait. See waiting.h.
 */
#include "worker/service/waiting.h"

#include <string.h>

#include "shm/crash.h"
#include "shm/nodes.h"

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

static void write_note(struct base *base, struct waiting_shm *w, session_id sid, const struct topic_name *name)
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
	w->name_len = name->len;
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

bool waiting_ask(struct service *service, struct cursor *c, const struct topic_name *name)
{
	struct base *base = service->base;
	struct waiting_shm *w = waiting_of(service, c);

	if (service->hurried || nodes_state(&base->hub) != NODES_CONNECTED || question_nodes(&base->hub) == 0) {
		if (w)
			waiting_end(service, w);
		return true;
	}
	settle(base, c);
	if (w == NULL && (w = take(base)) == NULL) {
		cursor_stall(c);
		return false;
	}
	write_note(base, w, c->sid, name);
	CRASH_POINT("waiting-noted");
	question_put(&base->hub, base->number);
	return true;
}

void waiting_published(struct service *service, struct waiting_shm *w, const struct publish_item *item, bool repeated)
{
	(void)service;
	w->seq = item->seq;
	w->subscribers = item->subscribers;
	w->repeated = repeated;
	/* release: after what is said of it */
	atomic_store_explicit(&w->published, 1, memory_order_release);
	CRASH_POINT("waiting-published");
}

/* Whether it need not wait any longer. */
static bool is_due(const struct base *base, const struct waiting_shm *w)
{
	return base->now_ms >= w->until || question_answer(&base->hub, base->number, place_of(base, w)).done;
}

bool waiting_goes_on(struct service *service, struct cursor *c, const struct waiting_shm *w, struct question_answer *answer)
{
	struct base *base = service->base;

	*answer = question_answer(&base->hub, base->number, place_of(base, w));
	if (!is_due(base, w)) {
		c->stop = c->waits = true;
		return true;
	}
	/* (The bridge may not have come to it: then it knows of none, and we do.) */
	if (answer->nodes == 0)
		answer->nodes = question_nodes(&base->hub);
	return false;
}

void waiting_run(struct service *service)
{
	struct base *base = service->base;

	for (uint64_t all = base->waiting; all; all &= all - 1) {
		struct waiting_shm *w = note(base, (unsigned)__builtin_ctzll(all));

		if (session_waiting(base, (session_id)w->fd) != (int)place_of(base, w))
			waiting_end(service, w);
		else if (is_due(base, w))
			base->go_on(base->above, (session_id)w->fd);
	}
}

void waiting_hurry(struct service *service)
{
	service->hurried = true;
	for (uint64_t all = service->base->waiting; all; all &= all - 1)
		note(service->base, (unsigned)__builtin_ctzll(all))->until = 0;
}
