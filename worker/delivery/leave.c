/*
 * Ending all subscriptions of a session (of a parked one, with TOPICS_PARKED as its transport). One store unlinks them all. If the worker dies after that, its successor finds the session without
 * subscriptions, and leaves topics that nobody here subscribes any more (recover.c).
 */
#include "worker/delivery/leave.h"

#include "worker/delivery/local_topics.h"
#include "worker/delivery/multi_topic.h"

void leave_all(struct topics *topics, struct multi_topic *multi_topic, session_id sid, uint32_t transport)
{
	struct session_shm *s = session(topics->base, sid);
	uint32_t number = atomic_load_explicit(&s->subscriptions, memory_order_relaxed);

	atomic_store_explicit(&s->subscriptions, 0, memory_order_release);
	s->count = 0;
	multi_topic_gone(multi_topic, sid);
	while (number) {
		const struct subscription_shm *sub = &topics->base->slot.subscriptions[number];
		uint32_t next = atomic_load_explicit(&sub->next, memory_order_relaxed);

		topics_remove(topics, transport, number);
		topics_give_subscription(topics, number);
		if (transport != TOPICS_PARKED)
			atomic_fetch_sub_explicit(&topics->base->self->subscriptions, 1, memory_order_relaxed);
		number = next;
	}
}
