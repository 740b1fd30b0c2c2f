/*
 * Slots' shares of the connections: who takes, and how many a slot gives to whom; and the gates of their queues.
 */
#include "tests/unit/hub_fixture.h"

#include <sys/socket.h>

#include "worker/io/gate.h"
#include "worker/io/shares.h"
#include "worker/loop/move.h"

#define ROOM 16000

static struct base base;
static uint32_t gives[INDEX_SLOTS_MAX];

static struct hub_slot_shm *slot(unsigned i)
{
	return &base.hub.shm->slot[i];
}

static void be(unsigned number)
{
	base.number = number;
	base.self = slot(number);
}

/* Live slots with so many connections; the first is us. */
static void slots(unsigned count, const uint32_t *connections)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		struct hub_slot_shm *s = slot(i);

		s->state = i < count ? SLOT_LIVE : SLOT_UNUSED;
		s->connections = i < count ? connections[i] : 0;
		s->connections_max = ROOM;
		s->accepting = i < count;
		s->worker_beat = 5000;
		s->reload_number = 3;
		s->parked = s->draining = s->drain = s->gate = 0;
		s->giving = 0;
	}
	be(0);
}

static int up(void **state)
{
	setup(state);
	base = (struct base){ .hub = ((struct fixture *)*state)->hub };
	return 0;
}

static uint32_t plan(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t sum = shares_plan(&base, gives);

	assert_int_equal(gives[0], a);
	assert_int_equal(gives[1], b);
	assert_int_equal(gives[2], c);
	return sum;
}

static void test_beyond_the_share(void **state)
{
	(void)state;
	slots(3, (uint32_t[]){ 9000, 0, 0 });
	assert_int_equal(plan(0, 3000, 3000), 6000);
	assert_int_equal(shares_beyond(&base), 200);
	slots(3, (uint32_t[]){ 5000, 3000, 1000 });
	assert_int_equal(plan(0, 0, 2000), 2000);
	assert_int_equal(shares_beyond(&base), 66);
	slots(3, (uint32_t[]){ 11, 10, 10 });
	assert_int_equal(plan(0, 0, 0), 0);
	slots(2, (uint32_t[]){ 1, 0 });
	assert_int_equal(plan(0, 0, 0), 0);
	assert_int_equal(shares_beyond(&base), 0);
	slots(1, (uint32_t[]){ 100 });
	assert_int_equal(plan(0, 0, 0), 0);
}

/* Several that give at once fill up what others lack, together. */
static void test_together(void **state)
{
	uint32_t sum = 0;

	(void)state;
	slots(3, (uint32_t[]){ 700, 500, 0 });
	for (unsigned i = 0; i < 2; i++) {
		be(i);
		sum += shares_plan(&base, gives);
		assert_int_equal(gives[0] + gives[1], 0);
	}
	assert_in_range(sum, 396, 400);
}

static void test_drains(void **state)
{
	(void)state;
	slots(3, (uint32_t[]){ 90, 100, 50 });
	slot(0)->draining = 1;
	slot(0)->parked = 10;
	assert_int_equal(plan(0, 25, 75), 100);
	/* One that has more than its share does not give for it. */
	slots(3, (uint32_t[]){ 10, 100, 0 });
	slot(0)->draining = 1;
	assert_int_equal(plan(0, 0, 10), 10);
	/* The last ones go, too. */
	slots(3, (uint32_t[]){ 1, 0, 0 });
	slot(0)->draining = 1;
	assert_int_equal(plan(0, 1, 0), 1);
	slots(3, (uint32_t[]){ 5, 7, 7 });
	slot(0)->draining = 1;
	assert_int_equal(shares_plan(&base, gives), 5);
	/* Another that ends as well takes none. */
	slots(3, (uint32_t[]){ 100, 100, 0 });
	slot(0)->draining = slot(1)->draining = 1;
	assert_int_equal(plan(0, 0, 100), 100);
	be(1);
	assert_int_equal(plan(0, 0, 100), 100);
}

static void test_who_takes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		slots(2, (uint32_t[]){ 1000, 0 });
		assert_int_equal(shares_plan(&base, gives), 500);
		if (i == 0)
			slot(1)->state = SLOT_STARTING;
		else if (i == 1)
			slot(1)->drain = 5;
		else if (i == 2)
			slot(1)->draining = 1;
		else if (i == 3)
			slot(1)->accepting = 0;
		else if (i == 4)
			slot(1)->worker_beat = 4000;
		else if (i == 5)
			slot(1)->reload_number = 2;
		else if (i == 6)
			slot(1)->gate = 1;
		else
			slot(1)->connections_max = 0;
		assert_int_equal(shares_plan(&base, gives), 0);
	}
}

/* As far as there is room, but for what is left to those who come. */
static void test_room(void **state)
{
	(void)state;
	slots(2, (uint32_t[]){ 10000, 5000 });
	slot(0)->draining = 1;
	slot(1)->connections_max = 8000;
	assert_int_equal(plan(0, 2500, 0), 2500);
	slot(1)->connections = 7500;
	assert_int_equal(plan(0, 0, 0), 0);
	slots(2, (uint32_t[]){ 0, 0 });
	slot(0)->draining = 1;
	assert_int_equal(plan(0, 0, 0), 0);
}

static void test_gate(void **state)
{
	int queue = move_queue();

	(void)state;
	slots(3, (uint32_t[]){ 1, 1, 1 });
	assert_true(gate_pass(&base, 1));
	assert_true(gate_pass(&base, 2));
	be(1);
	gate_close(&base);
	assert_true(gate_is_closed(&base, 1));
	assert_false(gate_is_quiet(&base, queue));		/* somebody may be giving */
	be(0);
	assert_false(gate_pass(&base, 1));
	assert_true(gate_pass(&base, 2));
	assert_true(slot(0)->giving == 6);
	gate_leave(&base, 2);
	assert_int_equal(slot(0)->giving, 2);		/* (of the gate that was passed before it was closed) */
	gate_leave(&base, 1);
	be(1);
	assert_true(gate_is_quiet(&base, queue));
	assert_int_equal(send(queue, "x", 1, MSG_DONTWAIT), 1);
	assert_false(gate_is_quiet(&base, queue));		/* something is there */
	gate_open(&base);
	be(0);
	assert_true(gate_pass(&base, 1));
	/* What a slot gave whose processes are gone. */
	hub_clear_slot(&base.hub, 0, INDEX_SLOTS_MAX + 1);
	assert_int_equal(slot(0)->giving, 0);
	close(queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_beyond_the_share, up, teardown),
		cmocka_unit_test_setup_teardown(test_together, up, teardown),
		cmocka_unit_test_setup_teardown(test_drains, up, teardown),
		cmocka_unit_test_setup_teardown(test_who_takes, up, teardown),
		cmocka_unit_test_setup_teardown(test_room, up, teardown),
		cmocka_unit_test_setup_teardown(test_gate, up, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
