/*
 * Orders: what is none, numbers, queues, and the notes of what was done.
 */
#include "tests/unit/hub_fixture.h"

#include <sys/socket.h>

#include "worker/loop/move.h"
#include "worker/service/order.h"

static int queue[INDEX_SLOTS_MAX];

static int up(void **state)
{
	setup(state);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		queue[i] = i < 3 ? move_queue() : -1;
	return 0;
}

static int down(void **state)
{
	for (unsigned i = 0; i < 3; i++)
		close(queue[i]);
	return teardown(state);
}

static const char *read_order(struct client_order *o, unsigned *slot, const char *id, const char *topic, const char *user, const char *reason)
{
	return order_read(o, slot, &(struct order_who){ .id = id, .topic = topic, .user = user }, reason);
}

static void test_words(void **state)
{
	struct client_order o;
	unsigned slot;
	char text[300];

	(void)state;
	assert_null(read_order(&o, &slot, "5.117.9f3a22c1", NULL, NULL, NULL));
	assert_int_equal(slot, 5);
	assert_int_equal(o.session, 117);
	assert_true(strlen(o.reason) > 0);
	assert_null(read_order(&o, &slot, NULL, NULL, "bob", "why"));
	assert_int_equal(o.name_len, 4);
	assert_memory_equal(o.name, "\1bob", 4);
	assert_string_equal(o.reason, "why");
	assert_null(read_order(&o, &slot, NULL, "a.*", NULL, ""));
	assert_null(order_read(&o, &slot, &(struct order_who){ .sub = "bob" }, NULL));
	assert_int_equal(o.kind, ORDER_KICK_SUB);
	assert_int_equal(o.name_len, 3);
	assert_memory_equal(o.name, "bob", 3);
	assert_non_null(order_read(&o, &slot, &(struct order_who){ .sub = "" }, NULL));
	assert_non_null(order_read(&o, &slot, &(struct order_who){ .sub = "bob", .user = "bob" }, NULL));
	memset(text, 'x', sizeof(text) - 1);
	text[255] = '\0';
	assert_null(read_order(&o, &slot, NULL, text, NULL, NULL));
	assert_non_null(read_order(&o, &slot, NULL, NULL, text, NULL));
	assert_non_null(read_order(&o, &slot, NULL, "a", NULL, text));
	assert_non_null(read_order(&o, &slot, NULL, "a", NULL, "\xff"));
	assert_non_null(read_order(&o, &slot, NULL, "a", NULL, "a\nb"));
	assert_non_null(read_order(&o, &slot, NULL, "\1bob", NULL, NULL));
	assert_non_null(read_order(&o, &slot, NULL, "", NULL, NULL));
	assert_non_null(read_order(&o, &slot, NULL, NULL, NULL, NULL));
	assert_non_null(read_order(&o, &slot, "5.117.9f3a22c1", "a", NULL, NULL));
	assert_non_null(read_order(&o, &slot, "64.117.9f3a22c1", NULL, NULL, NULL));
	assert_non_null(read_order(&o, &slot, "5.117", NULL, NULL, NULL));
}

static void test_queues(void **state)
{
	struct fixture *f = *state;
	struct client_order o, got;
	uint64_t slots, first;
	unsigned slot;

	go_live(f, 0, false);
	go_live(f, 2, false);
	assert_null(read_order(&o, &slot, NULL, "a", NULL, NULL));
	assert_int_equal(order_send(&f->hub, queue, &o, slot, &slots), 0);
	assert_int_equal(slots, 5);
	first = o.number;
	assert_true(order_look(queue[0], &got));
	assert_memory_equal(&got, &o, sizeof(o));
	assert_true(order_look(queue[2], &got));
	assert_false(order_look(queue[1], &got));
	order_take_out(queue[0]);
	assert_false(order_look(queue[0], &got));
	/* one client's goes to its slot alone; numbers go up */
	assert_null(read_order(&o, &slot, "0.1.00000000", NULL, NULL, NULL));
	assert_int_equal(order_send(&f->hub, queue, &o, slot, &slots), 0);
	assert_int_equal(slots, 1);
	assert_true(o.number > first);
	assert_null(read_order(&o, &slot, "1.1.00000000", NULL, NULL, NULL));
	assert_int_equal(order_send(&f->hub, queue, &o, slot, &slots), -1);
	assert_int_equal(errno, ESRCH);
	/* none is left out, so that as many as are noted have places of their own, however fast they come */
	first = o.number;
	for (unsigned i = 1; i < ORDERS_NOTED; i++) {
		assert_int_equal(order_send(&f->hub, queue, &o, 1, &slots), -1);
		assert_int_equal(o.number, first + i);
	}
	/* what is no order is left alone */
	order_take_out(queue[0]);
	assert_int_equal(send(queue[0], "else", 4, 0), 4);
	assert_false(order_look(queue[0], &got));
	/* a queue that is full */
	assert_null(read_order(&o, &slot, NULL, "a", NULL, NULL));
	for (int i = 0; i < 10000 && order_send(&f->hub, queue, &o, slot, &slots) == 0; i++)
		;
	assert_int_equal(errno, EAGAIN);
}

static void test_notes(void **state)
{
	struct fixture *f = *state;
	struct hub_slot_shm *s = slot_of(f, 1);
	uint64_t count, n = 1000;

	assert_int_equal(order_done(&f->hub, 1, n, &count), -1);
	assert_int_equal(count, 0);
	assert_true(order_begin(s, n));
	order_count(s, n);
	order_count(s, n);
	assert_int_equal(order_done(&f->hub, 1, n, &count), -1);
	assert_int_equal(count, 2);
	assert_int_equal(order_last(s), 0);
	assert_true(order_begin(s, n));		/* by a successor */
	order_count(s, n);
	order_end(s, n);
	assert_int_equal(order_done(&f->hub, 1, n, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(order_last(s), n);
	assert_false(order_begin(s, n));
	/* the next one that has its place */
	assert_true(order_begin(s, n + ORDERS_NOTED));
	assert_int_equal(order_done(&f->hub, 1, n + ORDERS_NOTED, &count), -1);
	assert_int_equal(count, 0);
	order_end(s, n + ORDERS_NOTED);
	assert_int_equal(order_done(&f->hub, 1, n, &count), 0);
	assert_true(count == ORDER_COUNT_GONE);		/* done, and of how many nobody knows */
	assert_int_equal(order_done(&f->hub, 0, n, &count), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_words, up, down),
		cmocka_unit_test_setup_teardown(test_queues, up, down),
		cmocka_unit_test_setup_teardown(test_notes, up, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
