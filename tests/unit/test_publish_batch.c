/*
 * Messages on their way into the ring: gathered, published once, put off as a whole or in part, or all of a request or none of it.
 */
#include "tests/unit/worker_fixture.h"

/* A cursor at a buffer with 100 bytes of input, of which a message is ten. */
static struct cursor cursor_at_input(struct worker_fixture *w, int fd)
{
	struct session_state_shm st = *state_of(w, fd);
	struct buffer_shm *head;

	st.in = session_buffer(&w->base, fd, 100);
	assert_int_not_equal(st.in, BUFFER_NONE);
	head = pool_header(&w->base.slot, st.in);
	head->len = 100;
	session_commit(&w->base, fd, &st);
	return (struct cursor){ .sid = fd, .head = head, .bytes = (const char *)pool_bytes(&w->base.slot, st.in) };
}

/* The next message; false: the batch has no room. */
static bool add(struct worker_fixture *w, struct cursor *c, const char *topic, const char *message, uint32_t flags)
{
	char *dst = publish_batch_add(&w->service, c, topic, (uint8_t)strlen(topic), strlen(message), c->at + 10, flags);

	if (dst) {
		memcpy(dst, message, strlen(message));
		cursor_take(c, 10);
	}
	return dst;
}

static void assert_record(const struct worker_fixture *w, uint64_t seq, const char *message)
{
	struct ring_record rec;

	assert_int_equal(ring_read(&w->base.hub.ring, seq, &rec), 0);
	assert_int_equal(rec.len, strlen(message));
	assert_memory_equal(ring_peek(&w->base.hub.ring, &rec), message, rec.len);
}

/* Another worker has not come further than this many records from the tail. */
static void fall_behind(struct worker_fixture *w, unsigned records)
{
	go_live(w->hub, OTHER, false);
	put_others(w, records);
	w->base.self->delivered = ring_tail(&w->base.hub.ring);
	w->base.hub.shm->slot[OTHER].delivered = ring_tail(&w->base.hub.ring) - records;
}

static void what_is_gathered_is_published_once(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	struct cursor c = cursor_at_input(w, fd);
	uint64_t tail = ring_tail(&w->base.hub.ring);

	subscribe(w, fd, "a");
	assert_true(add(w, &c, "a", "one", 0) && add(w, &c, "a", "two", 0) && add(w, &c, "nobody's", "three", 0) && add(w, &c, "a", "four", 0));
	assert_int_equal(ring_tail(&w->base.hub.ring), tail);
	assert_int_equal(state_of(w, fd)->parsed, 0);
	publish_batch_publish(&w->service, &c);
	assert_int_equal(ring_tail(&w->base.hub.ring), tail + 3);
	assert_record(w, tail, "one");
	assert_record(w, tail + 1, "two");
	assert_record(w, tail + 2, "four");
	assert_int_equal(state_of(w, fd)->parsed, 40);
	assert_int_equal(w->base.self->intent.state, INTENT_NONE);
	assert_int_equal(counted(w, COUNTER_published), 4);
	assert_int_equal(counted(w, COUNTER_published_unheard), 1);
	publish_batch_publish(&w->service, &c);
	assert_int_equal(ring_tail(&w->base.hub.ring), tail + 3);
	assert_false(c.stop);
}

static void flags_take_effect_with_their_message(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	struct cursor c = cursor_at_input(w, fd);

	subscribe(w, fd, "a");
	assert_true(add(w, &c, "a", "one", 0) && add(w, &c, "a", "last", SESSION_CLOSE));
	assert_int_equal(state_of(w, fd)->flags, 0);
	assert_true(publish_batch_begin(&w->service, &c));
	assert_int_equal(state_of(w, fd)->flags, SESSION_CLOSE);
}

static void a_batch_has_an_end(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	struct cursor c = cursor_at_input(w, fd);
	unsigned n = 0;

	while (publish_batch_add(&w->service, &c, "a", 1, 1, 1, 0))
		n++;
	assert_int_equal(n, PUBLISH_BATCH_MAX);
	publish_batch_drop(&w->service);
	assert_null(publish_batch_add(&w->service, &c, "a", 1, w->service.item_room, 1, 0));
	assert_non_null(publish_batch_add(&w->service, &c, "a", 1, publish_batch_record_max(&w->base), 1, 0));
}

/* Nothing of it is taken: it is read again from the first message on. */
static void it_is_put_off_when_somebody_is_behind(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	struct cursor c = cursor_at_input(w, fd);
	uint64_t tail;

	subscribe(w, fd, "a");
	cursor_skip(&c, 20);
	fall_behind(w, RING_MESSAGES / 2 + 2);
	tail = ring_tail(&w->base.hub.ring);
	assert_true(add(w, &c, "a", "one", 0) && add(w, &c, "a", "two", 0));
	assert_false(publish_batch_begin(&w->service, &c));
	assert_int_equal(ring_tail(&w->base.hub.ring), tail);
	assert_true(c.stop && c.stalled);
	assert_int_equal(c.at, 20);
	assert_int_equal(state_of(w, fd)->parsed, 0);
	assert_int_equal(counted(w, COUNTER_publish_deferred), 1);
	assert_int_equal(w->service.item_count, 0);

	w->base.hub.shm->slot[OTHER].delivered = tail;
	c.stop = c.stalled = false;
	assert_true(add(w, &c, "a", "one", 0) && add(w, &c, "a", "two", 0));
	assert_true(publish_batch_begin(&w->service, &c));
	assert_int_equal(ring_tail(&w->base.hub.ring), tail + 2);
	assert_int_equal(state_of(w, fd)->parsed, 40);
}

/* Small ones go, and the large one behind them waits for more room than they need. */
static void a_large_one_waits_by_itself(void **state)
{
	struct worker_fixture *w = *state;
	static char large[RING_BYTES / 1024 + 2];
	int fd = opened(w, TRANSPORT_FLASH);
	struct cursor c = cursor_at_input(w, fd);
	uint64_t tail;

	subscribe(w, fd, "a");
	fall_behind(w, RING_MESSAGES / 4 + 8);
	tail = ring_tail(&w->base.hub.ring);
	memset(large, 'x', sizeof(large) - 1);
	assert_true(add(w, &c, "a", "x", 0) && add(w, &c, "a", large, 0));
	publish_batch_publish(&w->service, &c);
	assert_int_equal(ring_tail(&w->base.hub.ring), tail + 1);
	assert_true(c.stalled);
	assert_int_equal(c.at, 10);
	assert_int_equal(state_of(w, fd)->parsed, 10);
	assert_true(session_has(&w->base, fd, MARK_HEAVY));
}

static void what_is_answered_knows_its_sequences(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH), other = opened(w, TRANSPORT_FLASH);
	struct cursor c = cursor_at_input(w, fd);
	uint64_t tail = ring_tail(&w->base.hub.ring);

	subscribe(w, fd, "a");
	subscribe(w, other, "a");
	topics_tell(&w->topics, find(w->hub, "a"));
	assert_true(publish_batch_begin(&w->service, &c));
	assert_true(add(w, &c, "a", "one", 0) && add(w, &c, "nobody's", "two", 0));
	assert_int_equal(publish_batch_answered(&w->service, &c, NULL), 0);
	assert_int_equal(w->service.item_count, 2);
	assert_int_equal(w->service.items[0].seq, tail);
	assert_int_equal(w->service.items[0].subscribers, 2);
	assert_int_equal(w->service.items[1].seq, 0);
	assert_int_equal(w->service.items[1].subscribers, 0);
	assert_int_equal(w->base.self->intent.answered, 1);
	assert_int_equal(w->base.self->intent.state, INTENT_WRITTEN);
	assert_int_equal(state_of(w, fd)->parsed, 0);		/* the answer's commit says it */
	publish_batch_end(&w->service);
	assert_int_equal(w->base.self->intent.state, INTENT_NONE);
	assert_int_equal(w->service.item_count, 0);
}

/* A successor is given what was published already, and publishes nothing. */
static void what_was_answered_is_not_published_again(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	struct cursor c = cursor_at_input(w, fd), again = c;
	uint64_t tail = ring_tail(&w->base.hub.ring);

	subscribe(w, fd, "a");
	topics_tell(&w->topics, find(w->hub, "a"));
	assert_true(add(w, &c, "a", "one", 0));
	assert_int_equal(publish_batch_answered(&w->service, &c, NULL), 0);
	hub_repair(&w->base.hub, SLOT);				/* it has died, and the lock is free */
	publish_batch_drop(&w->service);
	assert_true(add(w, &again, "a", "one", 0));
	assert_int_equal(publish_batch_answered(&w->service, &again, NULL), 0);
	assert_int_equal(ring_tail(&w->base.hub.ring), tail + 1);
	assert_int_equal(w->service.items[0].seq, tail);
	assert_int_equal(w->service.items[0].subscribers, 1);
}

static void all_of_a_request_or_none(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	struct cursor c = cursor_at_input(w, fd);
	uint64_t tail;
	unsigned n = 0;

	subscribe(w, fd, "a");
	fall_behind(w, RING_MESSAGES / 2 + 2);
	tail = ring_tail(&w->base.hub.ring);
	assert_true(add(w, &c, "a", "one", 0));
	c.at = 0;
	assert_int_equal(publish_batch_answered(&w->service, &c, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(c.stalled);
	assert_int_equal(w->service.item_count, 0);

	w->base.hub.shm->slot[OTHER].delivered = tail;
	c = (struct cursor){ .sid = fd, .head = c.head, .bytes = c.bytes };
	for (; n <= publish_count_max(&w->base.hub) && publish_batch_add(&w->service, &c, "a", 1, 1, n, 0); n++)
		*(w->service.item_text + w->service.item_used - 1) = 'x';
	assert_int_equal(n, publish_count_max(&w->base.hub) + 1);
	assert_int_equal(publish_batch_answered(&w->service, &c, NULL), -1);
	assert_int_equal(errno, EMSGSIZE);
	assert_false(c.stalled);
	assert_int_equal(ring_tail(&w->base.hub.ring), tail);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(service, what_is_gathered_is_published_once),
		TEST_ON(service, flags_take_effect_with_their_message),
		TEST_ON(service, a_batch_has_an_end),
		TEST_ON(service, it_is_put_off_when_somebody_is_behind),
		TEST_ON(service, a_large_one_waits_by_itself),
		TEST_ON(service, what_is_answered_knows_its_sequences),
		TEST_ON(service, what_was_answered_is_not_published_again),
		TEST_ON(service, all_of_a_request_or_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
