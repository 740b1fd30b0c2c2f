/*
 * Snapshots: a slot there and back, into segments of the same and of other sizes.
 */
#include "tests/unit/snapshot_fixture.h"

static void slot_comes_back(void **state)
{
	struct server a, b;
	int x = file(), y = file();

	(void)state;
	start(&a, 65536, 128, 16, 64);
	start(&b, 65536, 64, 99, 23);
	populate_hub(&a);
	populate_slot(&a);
	assert_int_equal(snapshot_write_hub(&a.hub, SEQS - 60, y), 0);
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, x, NULL, NULL), 0);
	assert_int_equal(snapshot_version(x), SNAPSHOT_VERSION);
	assert_int_equal(snapshot_read_hub(&b.hub, y), 0);
	assert_int_equal(snapshot_read_slot(&b.hub, &b.slot, 40, OWNER, x), 0);
	verify_slot(&b);
	assert_int_equal(snapshot_write_slot(&b.hub, &b.slot, y, NULL, NULL), 0);
	same_bytes(x, y);
	stop(&a);
	stop(&b);
	close(x);
	close(y);
}

/* More than 32 for each descriptor of the new table; and one of the ring's future. */
static void slot_subscriptions_do_not_fit(void **state)
{
	const struct spec one = { .fd = 1, .topics = { "alpha" } };
	uint32_t subscriptions = 200;
	struct buffer_pool pool = { 0 };
	struct server a;
	int fd = file();

	(void)state;
	start(&a, 65536, 128, 16, 64);
	populate_hub(&a);
	open_session(&a, &pool, &one, &subscriptions);
	for (uint32_t i = 1; i < 64; i++) {
		struct subscription_shm *sub = &a.slot.subscriptions[i];

		*sub = (struct subscription_shm){ .topic = find(&a, "alpha"), .next = a.slot.sessions[1].subscriptions };
		a.slot.sessions[1].subscriptions = i;
	}
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, fd, NULL, NULL), 0);
	assert_int_equal(other_slot(fd, -1, 16, 2), 0);
	a.slot.subscriptions[64] = (struct subscription_shm){ .topic = find(&a, "alpha"), .next = a.slot.sessions[1].subscriptions };
	a.slot.sessions[1].subscriptions = 64;
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, fd, NULL, NULL), 0);
	assert_int_equal(other_slot(fd, -1, 16, 2), ENOSPC);
	assert_int_equal(other_slot(fd, -1, 16, 3), 0);
	a.slot.subscriptions[64].from = SEQS + 2;
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, fd, NULL, NULL), 0);
	assert_int_equal(other_slot(fd, -1, 16, 3), EPROTO);
	stop(&a);
	close(fd);
}

static void slot_has_no_place(void **state)
{
	struct spec large = { .fd = 1 };
	static char in[200000];
	struct server a;
	struct buffer_pool pool;
	int fd = file(), big;
	uint32_t subscriptions = 100;

	(void)state;
	start(&a, 65536, 128, 16, 64);
	populate_hub(&a);
	populate_slot(&a);
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, fd, NULL, NULL), 0);
	assert_int_equal(other_slot(fd, -1, 5, 23), 0);
	assert_int_equal(other_slot(fd, -1, 4, 23), ENOSPC);
	assert_int_equal(other_slot(fd, -1, 5, 22), ENOSPC);
	/* a buffer larger than any there */
	slot_detach(&a.slot);
	close(a.slot_fd);
	a.slot_fd = slot_create("slot", &(struct slot_size){ .sessions = 64, .frame = 100000, .buffered = 1 << 28 });
	slot_attach(&a.slot, a.slot_fd, true);
	pool_init(&pool, &a.slot);
	pool_ready(&pool);
	large.in = memset(in, 'x', sizeof(in) - 1);
	open_session(&a, &pool, &large, &subscriptions);
	pool_fini(&pool);
	big = file();
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, big, NULL, NULL), 0);
	assert_int_equal(other_slot(big, -1, 16, 23), ENOSPC);
	stop(&a);
	close(fd);
	close(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slot_comes_back),
		cmocka_unit_test(slot_has_no_place),
		cmocka_unit_test(slot_subscriptions_do_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
