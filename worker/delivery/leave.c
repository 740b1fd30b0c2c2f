/*
 * A session is nobody's subscriber any more.
 */
#include "worker/delivery/leave.h"

#include "worker/delivery/local_topics.h"
#include "worker/delivery/multi_topic.h"

void leave_all(struct worker *w, int fd, uint32_t transport)
{
	struct session_shm *s = session(w, fd);
	uint32_t number = atomic_load_explicit(&s->subscriptions, memory_order_relaxed);

	atomic_store_explicit(&s->subscriptions, 0, memory_order_release);
	s->count = 0;
	apart_gone(w, fd);
	while (number) {
		const struct subscription_shm *sub = &w->slot.subscriptions[number];
		uint32_t next = atomic_load_explicit(&sub->next, memory_order_relaxed);

		topics_remove(w, transport, number);
		topics_give_subscription(w, number);
		atomic_fetch_sub_explicit(&w->self->subscriptions, 1, memory_order_relaxed);
		number = next;
	}
}
