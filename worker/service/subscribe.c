/*
 * Subscribing and unsubscribing, logging in and out, whatever the transport. Publishing is in publish_batch.c.
 *
 * To log in as a user is to subscribe to a topic that no client can name: its name begins with a control character.
 *
 * What a death leaves. If a topic is joined and not subscribed, recover() leaves it again. A subscription is there from the store that links it.
 * Its answer, and that its input is taken, follow in one commit. If the worker dies before that, its successor is given the same input again, and
 * finds the topic subscribed.
 */
#include "worker/service/subscribe.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "shm/crash.h"
#include "worker/delivery/fanout.h"
#include "worker/delivery/frame.h"
#include "worker/delivery/landed.h"
#include "worker/delivery/local_topics.h"
#include "worker/delivery/multi_topic.h"
#include "worker/delivery/partial_frame.h"
#include "worker/delivery/stream.h"
#include "worker/delivery/subscription_list.h"
#include "worker/service/presence.h"
#include "worker/session/tell.h"

struct topic_name subscribe_topic_name(bool inbox, const char *name, size_t len)
{
	struct topic_name topic = { .len = (uint8_t)(len + inbox) };

	assert(len + inbox <= TOPIC_NAME_MAX);
	topic.bytes[0] = NAME_INBOX;
	memcpy(topic.bytes + inbox, name, len);
	return topic;
}

struct topic_name subscribe_everybody_name(void)
{
	return (struct topic_name){ .len = 1, .bytes = { NAME_EVERYBODY } };
}

/* Joins the topic, so that this worker sees every later record of it. joined.topic is TOPIC_NONE if there are too many. */
static struct joined join(struct service *service, const struct topic_name *name)
{
	struct hub *hub = &service->base->hub;
	uint64_t hash = index_hash(name->bytes, name->len);
	struct joined j;

	lock_acquire(&hub->shm->lock, service->base->number + 1);
	j.tail = ring_tail(&hub->ring);
	j.topic = index_join(&hub->index, service->base->number, hash, name->bytes, name->len,
			     hub_counted_since(hub, name->bytes, name->len));
	j.refused = j.topic == TOPIC_NONE ? errno : 0;
	joined_fill(hub, &j);
	lock_release(&hub->shm->lock, service->base->number + 1);
	return j;
}

/*
 * Whether the session may have one subscription more. SLOT_SHARE of them it may always have. Beyond that, all sessions of the server have one
 * limit. Of what is left of it, a worker takes a small part, and counts all slots again when that is used up.
 */
static bool may_subscribe(struct service *service, const struct session_shm *s)
{
	uint64_t all, most = service->base->hub.shm->subscriptions_max;

	if (s->count < SLOT_SHARE)
		return true;
	if (service->subscriptions_spare == 0) {
		all = hub_subscriptions(&service->base->hub);
		if (all >= most)
			return false;
		service->subscriptions_spare = 1 + (uint32_t)((most - all) / (2 * INDEX_SLOTS_MAX));
	}
	service->subscriptions_spare--;
	return true;
}

static uint32_t take_subscription(struct service *service)
{
	uint32_t number = topics_take_subscription(service->topics);

	while (!number && service->base->fewer_parked(service->base->above))
		number = topics_take_subscription(service->topics);
	return number;
}

/* Leaves a topic that was joined, unless a session here subscribes to it. */
static void leave_unsubscribed(struct service *service, uint32_t t)
{
	if (!topics_find(service->topics, t))
		topics_leave(service->topics, t);
}

/*
 * The session is about to have a second topic: moves it apart. If the fan-out of the first topic has not served it everything yet, it is put
 * behind, and its own stream brings that. 0, or -1: no memory.
 */
static int go_apart(struct service *service, session_id sid, struct session_state_shm *st)
{
	bool owed = !(st->flags & SESSION_BEHIND) && topics_owe(service->topics, sid, st->pos);

	if (topics_move_apart(service->topics, st->transport, sid) < 0)
		return -1;
	if (owed) {
		landed_defer(service->streams, sid);
		st->flags |= session(service->base, sid)->state.flags & SESSION_BEHIND;
	}
	return 0;
}

/* Why a topic could not be joined. */
static const char *not_joined(struct service *service, int why)
{
	base_count(service->base, why != EDQUOT && why != ENOBUFS ? COUNTER_refused_topics : COUNTER_refused_patterns, 1);
	if (why != EDQUOT && why != ENOBUFS)
		return "too many topics on this server (max_topics)";
	return why == EDQUOT ? "too many patterns on this server (max_patterns_total)" : "too many shapes of patterns on this server (max_pattern_shapes)";
}

/* Whether the session may have no pattern more, and it is one. */
static bool has_patterns(struct service *service, session_id sid, const struct topic_name *name)
{
	if (!index_is_pattern(name->bytes, name->len) || service->topics->patterns[sid] < (uint64_t)service->base->settings->max_patterns)
		return false;
	base_count(service->base, COUNTER_refused_patterns, 1);
	return true;
}

const char *subscribe_add(struct service *service, session_id sid, struct session_state_shm *st, const struct topic_name *name,
			  struct replay *replay)
{
	struct session_shm *s = session(service->base, sid);
	struct joined joined = join(service, name);
	struct subscription_shm *sub;
	uint32_t number, t = joined.topic;

	while (t == TOPIC_NONE && service->base->fewer_parked(service->base->above)) {
		joined = join(service, name);
		t = joined.topic;
	}
	if (t == TOPIC_NONE)
		return not_joined(service, joined.refused);
	CRASH_POINT("subscribe-joined");
	number = subscription_list_find(service->topics, sid, t);
	if (number) {
		if (replay)
			replay_had(service, sid, replay, st, number);
		return NULL;
	}
	if (s->count >= (uint64_t)service->base->settings->max_subscriptions) {
		leave_unsubscribed(service, t);
		base_count(service->base, COUNTER_refused_topics, 1);
		return "too many subscriptions on one connection (max_subscriptions)";
	}
	if (has_patterns(service, sid, name)) {
		leave_unsubscribed(service, t);
		return "too many patterns on one connection (max_patterns)";
	}
	if (may_subscribe(service, s))
		number = take_subscription(service);
	if (!number) {
		leave_unsubscribed(service, t);
		base_count(service->base, COUNTER_refused_topics, 1);
		return "too many subscriptions on this server (max_subscriptions_total)";
	}
	sub = &service->base->slot.subscriptions[number];
	sub->topic = t;
	if ((s->count == 1 && go_apart(service, sid, st) < 0) ||
	    topics_add(service->topics, st->transport, sid, number, s->count > 0 || transport_has(st->transport, TRANSPORT_OWN_FRAMES)) < 0) {
		topics_give_subscription(service->topics, number);
		leave_unsubscribed(service, t);
		return "out of memory";
	}
	sub->from = joined.tail;
	sub->number = (uint32_t)joined.next;
	if (replay)
		replay_start(service, replay, &joined, &sub->from, &sub->number);
	/* With one topic, only `pos` says what a live session is owed. */
	if (s->count == 0 && !(st->flags & SESSION_BEHIND) && st->pos < joined.tail)
		st->pos = joined.tail;
	CRASH_POINT("subscribe-filled");
	subscription_list_add(service->topics, sid, number);
	CRASH_POINT("subscribe-linked");
	s->count++;
	base_count(service->base, COUNTER_subscribed, 1);
	if (*name->bytes == NAME_INBOX)
		tell_session(service->base, sid, EVENT_LOGIN, 0, name->bytes + 1, name->len - 1u, NULL);
	atomic_fetch_add_explicit(&service->base->self->subscriptions, 1, memory_order_relaxed);
	return NULL;
}

static uint32_t find_topic(struct service *service, const struct topic_name *name)
{
	uint64_t hash = index_hash(name->bytes, name->len);
	uint32_t t;

	lock_acquire(&service->base->hub.shm->lock, service->base->number + 1);
	t = index_find(&service->base->hub.index, hash, name->bytes, name->len);
	lock_release(&service->base->hub.shm->lock, service->base->number + 1);
	return t;
}

void subscribe_remove(struct service *service, session_id sid, struct session_state_shm *st, const struct topic_name *name)
{
	uint32_t t = find_topic(service, name), number = t == TOPIC_NONE ? 0 : subscription_list_find(service->topics, sid, t);

	if (!number)
		return;
	partial_hold(service->streams->partial, sid, st);
	subscription_list_remove(service->topics, sid, number);
	CRASH_POINT("unsubscribe-unlinked");
	session(service->base, sid)->count--;
	topics_remove(service->topics, st->transport, number);
	multi_topic_changed(service->multi_topic, sid);
	CRASH_POINT("unsubscribe-left");
	topics_give_subscription(service->topics, number);
	base_count(service->base, COUNTER_unsubscribed, 1);
	if (*name->bytes == NAME_INBOX)
		tell_session(service->base, sid, EVENT_LOGOUT, 0, name->bytes + 1, name->len - 1u, NULL);
	atomic_fetch_sub_explicit(&service->base->self->subscriptions, 1, memory_order_relaxed);
}

struct topic_name subscribe_name_of(const struct base *base, uint32_t subscription)
{
	const struct topic_shm *topic = index_topic(&base->hub.index, base->slot.subscriptions[subscription].topic);
	struct topic_name name = { .len = topic->name_len };

	memcpy(name.bytes, topic->name, topic->name_len);
	return name;
}

bool subscribe_has_own(const struct base *base, session_id sid)
{
	const struct rights *rights = session_rights(base, sid);
	uint32_t i = atomic_load_explicit(&session(base, sid)->subscriptions, memory_order_relaxed);

	for (; i; i = atomic_load_explicit(&base->slot.subscriptions[i].next, memory_order_relaxed)) {
		struct topic_name name = subscribe_name_of(base, i);

		if (*name.bytes != NAME_EVERYBODY && !(rights && rights_has_at_once(rights, name.bytes, name.len)))
			return true;
	}
	return false;
}

/* ---- what a session has without asking for it ---- */

struct given {
	struct service *service;
	session_id sid;
	struct session_state_shm st;
	struct replay *replay;
};

/* (What there is no room for, it does not have.) */
static bool join_given(void *with, const char *bytes, size_t len)
{
	struct given *g = with;
	struct topic_name name = subscribe_topic_name(false, bytes, len);

	if (!presence_watch(g->service->presence, bytes, len) && !subscribe_add(g->service, g->sid, &g->st, &name, g->replay) &&
	    presence_owe(g->service->presence, g->sid, bytes, len))
		g->st.flags |= SESSION_LISTS;
	return true;
}

/* All that rights name; NULL: what goes to everybody. */
static void join_all(struct service *service, session_id sid, uint64_t from, const struct rights *rights)
{
	struct resume since = { .kind = RESUME_SINCE, .since = { .epoch = service->base->hub.shm->epoch / 1000, .seq = from - 1 } };
	struct replay replay = { .resume = &since, .begin = UINT64_MAX };
	struct given given = { .service = service, .sid = sid, .st = session(service->base, sid)->state, .replay = from ? &replay : NULL };
	const struct topic_name everybody = subscribe_everybody_name();

	if (given.st.transport == TRANSPORT_HTTP || transport_has(given.st.transport, TRANSPORT_OWN_FRAMES) || given.st.flags & (SESSION_CLOSE | SESSION_LINGER))
		return;
	if (rights)
		rights_at_once(rights, join_given, &given);
	else
		join_given(&given, everybody.bytes, everybody.len);
	if (from)
		replay_end(&replay, &given.st);
	session_commit(service->base, sid, &given.st);
}

void subscribe_join_everybody(struct service *service, session_id sid, uint64_t from)
{
	if (service->base->settings->broadcast)
		join_all(service, sid, from, NULL);
}

void subscribe_join_channels(struct service *service, session_id sid, uint64_t from)
{
	const struct rights *rights = session_rights(service->base, sid);

	if (rights)
		join_all(service, sid, from, rights);
}
