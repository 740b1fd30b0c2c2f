/*
 * Topics as a list shows them. See topics.h.
 *
 * A topic is read between two looks at its generation and state, which is enough for who does not hold the lock: make_topic() counts the
 * generation up first and sets the state last, and end_topic() begins with the state. Memory that was never used is not touched: no
 * entries beyond `high`, no counts without interest, no states of history that are not in use.
 */
#include "shm/topics.h"

#include <string.h>

static bool is_there(const struct topic_shm *t)
{
	/* acquire: what is read behind this is read after it */
	return atomic_load_explicit(&t->state, memory_order_acquire) == TOPIC_USED;
}

static bool is_shown(const struct topic_shm *t)
{
	return t->name_len > 0 && t->name[0] != NAME_INBOX && t->name[0] != NAME_EVERYBODY;
}

static void read_history(const struct hub *hub, const struct topic_shm *t, struct topic_info *info)
{
	const struct history_topic_shm *s = &hub->history.topics[info->number];

	info->kept = t->kept == TOPIC_KEPT;
	if (!info->kept || hub->history.shm->books.live == 0 || s->generation != info->generation)
		return;
	info->messages = s->messages;
	info->bytes = s->bytes;
}

bool topics_read(const struct hub *hub, uint32_t number, uint64_t now, struct topic_info *info)
{
	const struct topic_shm *t = index_topic(&hub->index, number);

	if (number == TOPIC_NONE || number > hub->index.shm->high || !is_there(t) || !is_shown(t))
		return false;
	memset(info, 0, offsetof(struct topic_info, name));
	info->number = number;
	info->generation = t->generation;
	info->subscribers = hub_subscribers(hub, number);
	info->published = t->published;
	info->last = ring_message_of(&hub->ring, atomic_load_explicit(&t->last, memory_order_relaxed));	/* a pattern's is mostly an echo */
	info->rate = index_rate(t, now);
	info->name_len = t->name_len;
	memcpy(info->name, t->name, info->name_len);
	read_history(hub, t, info);
	atomic_thread_fence(memory_order_acquire);
	return is_there(t) && t->generation == info->generation && is_shown(t);
}

/* (memcmp() may read 32 bytes, and so, of each topic, a second line of memory.) */
static bool begins(const char *name, const char *prefix, size_t prefix_len)
{
	size_t i = 0;

	while (i < prefix_len && name[i] == prefix[i])
		i++;
	return i == prefix_len;
}

static bool fits(const struct topic_shm *t, const char *prefix, size_t prefix_len)
{
	return is_there(t) && is_shown(t) && t->name_len >= prefix_len && begins(t->name, prefix, prefix_len);
}

bool topics_weigh(const struct hub *hub, uint32_t number, const char *prefix, size_t prefix_len, struct topic_weight *weight)
{
	const struct topic_shm *t = index_topic(&hub->index, number);

	if (number == TOPIC_NONE || number > hub->index.shm->high || !fits(t, prefix, prefix_len))
		return false;
	*weight = (struct topic_weight){ hub_subscribers(hub, number), t->published, number, t->generation };
	return true;
}

unsigned topics_scan(const struct hub *hub, struct topics_scan *scan, uint64_t now, struct topic_info *dst, unsigned most)
{
	uint32_t high = hub->index.shm->high;
	unsigned found = 0;

	for (; found < most && scan->looks > 0 && scan->next != 0 && scan->next <= high; scan->next++) {
		const struct topic_shm *t = index_topic(&hub->index, scan->next);
		unsigned cost = 1;

		if (fits(t, scan->prefix, scan->prefix_len)) {
			cost += (unsigned)__builtin_popcountll(atomic_load_explicit(&t->interest, memory_order_relaxed));
			found += topics_read(hub, scan->next, now, &dst[found]);
		}
		scan->looks -= cost < scan->looks ? cost : scan->looks;
	}
	if (scan->next > high)
		scan->next = 0;
	return found;
}
