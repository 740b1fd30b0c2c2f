/*
 * Sending clients away. See orders.h.
 */
#include "worker/session/tell.h"
#include "worker/loop/orders.h"

#include <stdlib.h>
#include <string.h>

#include "proto/rights.h"
#include "shm/crash.h"
#include "worker/delivery/output.h"
#include "worker/loop/park.h"
#include "worker/protocol/answer.h"
#include "worker/service/order.h"

#define REMEMBERED 16		/* orders that were done last, */
#define REMEMBER_MS 10000	/* and for how long they count for who comes from another slot */
#define ORDER_US 5000		/* microseconds of a turn for an order */
#define LOOKS 64		/* sessions that are looked at before the clock is */
#define DRAIN_LOOKS 65536	/* sessions that draining looks at in a tick */
#define DRAIN_REASON "the worker is being drained: connect again"

struct done_order {
	struct client_order order;
	uint64_t at;			/* milliseconds */
};

/* Whether it is there, and not on its way out. */
static bool stays(const struct worker *w, session_id sid)
{
	const struct session_shm *s = session(&w->base, sid);

	return s->status == SESSION_OPEN && !(s->state.flags & (SESSION_CLOSE | SESSION_LINGER)) &&
	       (s->state.flags & SESSION_PARKED || !session_has(&w->base, sid, MARK_OVER));
}

static void send_away(struct worker *w, session_id sid, const struct parting *parting, enum counter why)
{
	base_on(&w->base, sid);
	if (session_parked(&w->base, sid)) {
		park_end(w, sid, why);
	} else {
		tell_why(&w->base, sid, EVENT_KICK, why, 0, NULL);
		tell_ends(&w->base, sid, why, NULL);
		session_part(&w->protocols, sid, parting);
		output_flush(&w->output, sid);
		session_watch(&w->base, sid);
	}
	base_on(&w->base, -1);
}

/* ---- kicks ---- */

static uint32_t find_topic(struct worker *w, const struct client_order *order)
{
	struct hub *hub = &w->base.hub;
	uint32_t owner = w->base.number + 1, topic;

	lock_acquire(&hub->shm->lock, owner);
	topic = index_find(&hub->index, index_hash(order->name, order->name_len), order->name, order->name_len);
	lock_release(&hub->shm->lock, owner);
	return topic;
}

static bool subscribes(const struct worker *w, session_id sid, uint32_t topic)
{
	uint32_t at = atomic_load_explicit(&session(&w->base, sid)->subscriptions, memory_order_relaxed);

	while (at != 0 && w->base.slot.subscriptions[at].topic != topic)
		at = atomic_load_explicit(&w->base.slot.subscriptions[at].next, memory_order_relaxed);
	return at != 0;
}

static void kick(struct worker *w, session_id sid, const struct client_order *order)
{
	send_away(w, sid, &(struct parting){ .reason = order->reason, .now = hub_now() }, COUNTER_kicked);
	CRASH_POINT("kick-told");
	order_count(w->base.self, order->number);
	CRASH_POINT("kick-counted");
}

static void kick_one(struct worker *w, const struct client_order *order)
{
	session_id sid = (session_id)order->session;

	if (order->session < w->base.slot.shm->sessions_max && stays(w, sid) && client_id_check(session(&w->base, sid)->token) == order->check)
		kick(w, sid, order);
}

/* Whether its connection has shown that it is his. (Of a request of HTTP nothing stays, but whom the certificate names.) */
static bool is_of(const struct worker *w, session_id sid, const struct client_order *order)
{
	const struct rights *rights = session_parked(&w->base, sid) ? NULL : session_rights(&w->base, sid);

	return rights && (rights->certified || session(&w->base, sid)->state.transport != TRANSPORT_HTTP) && rights->sub_len == order->name_len &&
	       memcmp(rights->sub, order->name, order->name_len) == 0;
}

/* False: more are to be looked at, from w->order_at on. */
static bool kick_several(struct worker *w, const struct client_order *order)
{
	uint32_t end = atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed), topic = order->kind == ORDER_KICK_SUB ? TOPIC_NONE : find_topic(w, order);
	uint64_t since = base_clock();

	if (order->kind != ORDER_KICK_SUB && topic == TOPIC_NONE)
		return true;
	/* (The topic may end, and its number be another's, only between the pieces: as long as one here subscribes it, it is there.) */
	for (; w->order_at < end; w->order_at++) {
		session_id sid = (session_id)w->order_at;

		if (stays(w, sid) && (topic == TOPIC_NONE ? is_of(w, sid, order) : subscribes(w, sid, topic)))
			kick(w, sid, order);
		if (w->order_at % LOOKS == 0 && base_clock() - since > ORDER_US) {
			w->order_at++;
			return false;
		}
	}
	return true;
}

static bool is_meant(struct worker *w, session_id sid, const struct client_order *order)
{
	uint32_t topic;

	if (order->kind == ORDER_KICK_SUB)
		return is_of(w, sid, order);
	topic = find_topic(w, order);
	return topic != TOPIC_NONE && subscribes(w, sid, topic);
}

/* (Without memory for it, those who come later are not looked at.) */
static void remember(struct worker *w, const struct client_order *order)
{
	if (order->kind == ORDER_KICK_CLIENT || (!w->done_orders && !(w->done_orders = calloc(REMEMBERED, sizeof(*w->done_orders)))))
		return;
	memmove(w->done_orders + 1, w->done_orders, (REMEMBERED - 1) * sizeof(*w->done_orders));
	w->done_orders[0] = (struct done_order){ .order = *order, .at = w->base.now_ms };
}

void orders_arrived(struct worker *w, session_id sid, uint64_t done)
{
	for (unsigned i = 0; w->done_orders && i < REMEMBERED; i++) {
		const struct done_order *d = &w->done_orders[i];

		if (d->order.number > done && w->base.now_ms - d->at < REMEMBER_MS && stays(w, sid) && is_meant(w, sid, &d->order))
			kick(w, sid, &d->order);
	}
}

bool orders_run(struct worker *w)
{
	int queue = w->start->queue[w->base.number];
	struct client_order order;

	if (!order_look(queue, &order))
		return false;
	if (w->order != order.number) {
		w->order = order.number;
		w->order_at = 0;
	}
	if (order_begin(w->base.self, order.number)) {
		CRASH_POINT("order-begun");
		if (order.kind == ORDER_KICK_CLIENT)
			kick_one(w, &order);
		else if (order.kind > ORDER_KICK_CLIENT && order.kind <= ORDER_KICK_SUB && !kick_several(w, &order))
			return true;
		order_end(w->base.self, order.number);
		remember(w, &order);
		CRASH_POINT("order-done");
	}
	order_take_out(queue);
	return true;
}

/* ---- draining ---- */

/* How many may go in this tick, by the pace. What is left of a whole one is kept for the next. */
static uint32_t drain_share(struct worker *w, uint32_t rate)
{
	uint64_t passed = w->base.now_ms - w->drained_at;

	if (w->drained_at == 0 || passed > 1000)
		passed = 100;		/* it begins, or the worker was busy: no crowd goes at once */
	w->drained_at = w->base.now_ms;
	w->drain_owed += passed * rate;
	passed = w->drain_owed / 1000;
	w->drain_owed %= 1000;
	return (uint32_t)passed;
}

static bool goes(const struct worker *w, session_id sid)
{
	return stays(w, sid) && !session_parked(&w->base, sid) && !session_is_admin(&session(&w->base, sid)->state);
}

/* Whether nobody is left whom draining sends away, or who is on his way. */
static bool is_empty(const struct worker *w)
{
	uint32_t end = atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed);

	for (session_id sid = 0; sid < (session_id)end; sid++)
		if (session(&w->base, sid)->status == SESSION_OPEN && !session_parked(&w->base, sid) && !session_is_admin(&session(&w->base, sid)->state))
			return false;
	return true;
}

void orders_drain(struct worker *w)
{
	uint32_t drain = atomic_load_explicit(&w->base.self->drain, memory_order_relaxed), end, share, looked = 0;

	if (drain == 0) {
		w->drained_at = 0;
		return;
	}
	atomic_store_explicit(&w->base.self->accepting, 0, memory_order_relaxed);
	end = atomic_load_explicit(&w->base.slot.shm->fd_end, memory_order_relaxed);
	for (share = drain_share(w, drain & DRAIN_RATE_MAX); share > 0 && looked < end && looked < DRAIN_LOOKS; looked++) {
		session_id sid = (session_id)(w->drain_at++ % end);

		if (!goes(w, sid))
			continue;
		send_away(w, sid, &(struct parting){ .again = true, .reason = DRAIN_REASON, .retry = session_hello(&w->base, sid).retry, .now = hub_now() },
			  COUNTER_drained);
		share--;
	}
	/* (If another order came meanwhile, that one counts.) */
	if (share > 0 && looked == end && !(drain & DRAIN_STAYS) && is_empty(w))
		atomic_compare_exchange_strong(&w->base.self->drain, &drain, 0);
}
