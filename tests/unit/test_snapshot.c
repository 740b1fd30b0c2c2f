/*
 * Snapshots: the hub there and back, into segments of the same and of other sizes.
 */
#include "tests/unit/snapshot_fixture.h"

static void hub_round(uint64_t from, uint32_t bytes, uint32_t messages, uint64_t first)
{
	struct server a, b;
	int fd = file();

	start(&a, 65536, 128, 16, 8);
	start(&b, bytes, messages, 300, 8);
	populate_hub(&a);
	assert_int_equal(snapshot_write_hub(&a.hub, from, fd), 0);
	assert_int_equal(snapshot_version(fd), SNAPSHOT_VERSION);
	assert_int_equal(snapshot_read_hub(&b.hub, fd), 0);
	verify_hub(&b, first ? first : ring_oldest(&b.hub.ring));
	go_on(&b);
	stop(&a);
	stop(&b);
	close(fd);
}

static void hub_comes_back(void **state)
{
	(void)state;
	hub_round(0, 65536, 128, SEQS + 1 - 128);
	hub_round(SEQS - 50, 65536, 128, SEQS - 50);
	hub_round(SEQS, 65536, 128, SEQS);
	hub_round(SEQS + 1, 65536, 128, SEQS + 1);
	hub_round(UINT64_MAX, 65536, 128, SEQS + 1);
}

static void hub_comes_back_to_another_ring(void **state)
{
	(void)state;
	hub_round(0, 65536, 32, SEQS + 1 - 32);
	hub_round(0, 1 << 20, 1024, SEQS + 1 - 128);
	hub_round(0, 4096, 1024, 0);
}

static void hub_snapshot_of_restored_is_the_same(void **state)
{
	struct server a, b;
	int x = file(), y = file();

	(void)state;
	start(&a, 65536, 128, 16, 8);
	start(&b, 65536, 128, 16, 8);
	populate_hub(&a);
	atomic_store(&a.hub.once.shm->oldest, atomic_load(&a.hub.once.shm->end));	/* keys grow older meanwhile */
	assert_int_equal(write(y, noted, sizeof(noted)), sizeof(noted));	/* in the way */
	assert_int_equal(snapshot_write_hub(&a.hub, 0, x), 0);
	assert_int_equal(snapshot_read_hub(&b.hub, x), 0);
	assert_int_equal(snapshot_write_hub(&b.hub, 0, y), 0);
	same_bytes(x, y);
	stop(&a);
	stop(&b);
	close(x);
	close(y);
}

/* More than a buffer's worth, in pieces of all sizes. */
static void hub_of_many_records(void **state)
{
	struct ring_record x, y;
	struct server a, b;
	int fd = file();

	(void)state;
	start(&a, 1 << 20, 4096, 16, 8);
	start(&b, 1 << 20, 4096, 16, 8);
	join(&a, 0, "alpha");
	for (uint32_t i = 1; i <= 3000; i++)
		publish_len(&a, "alpha", i, i == 1500 ? 100000 : 1 + i % 250);
	assert_int_equal(snapshot_write_hub(&a.hub, 0, fd), 0);
	assert_int_equal(snapshot_read_hub(&b.hub, fd), 0);
	check(&b);
	assert_int_equal(ring_oldest(&b.hub.ring), 1);
	for (uint64_t seq = 1; seq <= 3000; seq++) {
		ring_read(&a.hub.ring, seq, &x);
		assert_int_equal(ring_read(&b.hub.ring, seq, &y), 0);
		assert_int_equal(x.len, y.len);
		assert_memory_equal(ring_peek(&a.hub.ring, &x), ring_peek(&b.hub.ring, &y), x.len);
	}
	stop(&a);
	stop(&b);
	close(fd);
}

/* A record too large for the ring is lost with those before it, and counted in its topic. */
static void hub_record_too_large(void **state)
{
	struct server a, b;
	int fd = file();

	(void)state;
	memset(noted, 0, sizeof(noted));
	start(&a, 65536, 128, 16, 8);
	start(&b, 4096, 128, 16, 8);
	join(&a, 0, "alpha");
	join(&a, 0, "beta");
	publish(&a, "alpha", 100);
	publish(&a, "beta", 100);
	publish(&a, "alpha", 4000);
	publish(&a, "beta", 100);
	publish(&a, "alpha", 100);
	assert_int_equal(snapshot_write_hub(&a.hub, 0, fd), 0);
	assert_int_equal(snapshot_read_hub(&b.hub, fd), 0);
	check(&b);
	assert_int_equal(ring_oldest(&b.hub.ring), 4);
	verify_record(&b, 4);
	verify_record(&b, 5);
	verify_topic(&b, "alpha", 1, 3);
	stop(&a);
	stop(&b);
	close(fd);
}

/* Each topic's first record says where the one before it was, though that one is not there any more. */
static void hub_links_back(void **state)
{
	struct ring_record rec;
	struct server a, b;
	int fd = file();

	(void)state;
	start(&a, 65536, 128, 16, 8);
	start(&b, 65536, 128, 16, 8);
	join(&a, 0, "alpha");
	join(&a, 0, "beta");
	join(&a, 0, "gamma");
	publish(&a, "alpha", 10);
	publish(&a, "gamma", 10);
	for (unsigned i = 0; i < 8; i++)
		publish(&a, "beta", 10);
	publish(&a, "alpha", 10);
	publish(&a, "beta", 10);
	assert_int_equal(snapshot_write_hub(&a.hub, 6, fd), 0);
	assert_int_equal(snapshot_read_hub(&b.hub, fd), 0);
	assert_int_equal(ring_oldest(&b.hub.ring), 6);
	for (uint64_t seq = 6; seq < 13; seq++) {
		assert_int_equal(ring_read(&b.hub.ring, seq, &rec), 0);
		assert_int_equal(rec.prev, seq == 11 ? 1 : seq == 12 ? 10 : seq - 1);
	}
	check(&b);
	stop(&a);
	stop(&b);
	close(fd);
}

/* Nothing restored but the place, and the first producer dies. */
static void hub_empty_ring_is_repaired(void **state)
{
	struct server a, b;
	struct ring_batch batch;
	int fd = file();

	(void)state;
	start(&a, 65536, 128, 16, 8);
	start(&b, 65536, 128, 16, 8);
	populate_hub(&a);
	snapshot_write_hub(&a.hub, UINT64_MAX, fd);
	assert_int_equal(snapshot_read_hub(&b.hub, fd), 0);
	ring_begin(&b.hub.ring, &batch);
	assert_non_null(ring_add(&b.hub.ring, &batch, find(&b, "alpha"), 10, 0, 5));
	ring_repair(&b.hub.ring);
	assert_int_equal(b.hub.ring.shm->end, batch.end - 16);
	verify_hub(&b, SEQS + 1);
	go_on(&b);
	stop(&a);
	stop(&b);
	close(fd);
}

/* Keys of publishes, with their answers and ages. */
static void hub_has_keys(void **state)
{
	struct server from, to;
	int fd = file();
	struct once_id id;
	uint64_t n, seq, subscribers;

	(void)state;
	start(&from, 4096, 16, 8, 16);
	for (unsigned i = 1; i <= 300; i++) {
		unsigned evicted;

		once_id(&from.hub.once, "a", 1, (char *)&i, sizeof(i), &id);
		id.digest = i;
		n = once_write(&from.hub.once, &id, once_now() - 1000 * i, 1, 1 + i % 3, &evicted);
		once_put_answer(&from.hub.once, n, 0, i % 2, i);
		for (unsigned k = 1; k < 1 + i % 3; k++)
			once_put_answer(&from.hub.once, n, k, k + 1, k);
		once_stage(&from.hub.once, n, 1);
		assert_int_equal(snapshot_write_hub(&from.hub, 1, fd), -1);	/* not at rest */
		once_commit(&from.hub.once);
		if (i > 3)
			i += 20;
	}
	assert_int_equal(snapshot_write_hub(&from.hub, 1, fd), 0);
	start(&to, 4096, 16, 8, 16);
	to.hub.once.keep = 150000;
	assert_int_equal(snapshot_read_hub(&to.hub, fd), 0);
	check(&to);
	for (unsigned i = 1; i <= 300; i++) {
		once_id(&to.hub.once, "a", 1, (char *)&i, sizeof(i), &id);
		id.digest = i;
		n = once_find(&to.hub.once, &id, once_now());
		if (i < 150) {
			assert_true(n > 0 && once_is_same(&to.hub.once, n, &id) && once_count(&to.hub.once, n) == 1 + i % 3);
			once_answer(&to.hub.once, n, 0, &seq, &subscribers);
			assert_int_equal(seq, i % 2);
			assert_int_equal(subscribers, i);
			for (unsigned k = 1; k < 1 + i % 3; k++) {
				once_answer(&to.hub.once, n, k, &seq, &subscribers);
				assert_int_equal(seq, k + 1);
				assert_int_equal(subscribers, k);
			}
		} else {
			assert_int_equal(n, 0);		/* by its age */
		}
		if (i > 3)
			i += 20;
	}
	stop(&from);
	stop(&to);
	close(fd);
}

/* Where sessions are that have moved, and what their tokens were hashed with: also without keys of publishes. */
static void hub_knows_who_has_moved(void **state)
{
	struct server from, to;
	int fd = file();

	(void)state;
	start(&from, 4096, 16, 8, 16);
	start(&to, 4096, 16, 8, 16);
	to.hub.once.shm->cells = 0;
	assert_int_equal(moved_tokens_put(from.hub.moved, UINT64_MAX, 5), 0);
	assert_int_equal(moved_tokens_put(from.hub.moved, UINT64_C(77) << 32, 63), 0);
	assert_int_equal(snapshot_write_hub(&from.hub, 1, fd), 0);
	assert_int_equal(snapshot_read_hub(&to.hub, fd), 0);
	assert_int_equal(moved_tokens_find(to.hub.moved, UINT64_MAX), 5);
	assert_int_equal(moved_tokens_find(to.hub.moved, UINT64_C(77) << 32), 63);
	assert_int_equal(moved_tokens_find(to.hub.moved, 1), -1);
	assert_memory_equal(to.hub.once.shm->secret, from.hub.once.shm->secret, sizeof(from.hub.once.shm->secret));
	stop(&from);
	stop(&to);
	close(fd);
}

static void hub_must_be_at_rest(void **state)
{
	struct server a;
	int fd = file();

	(void)state;
	start(&a, 65536, 128, 16, 8);
	lock_acquire(&a.hub.shm->lock, OWNER);
	assert_int_equal(snapshot_write_hub(&a.hub, 0, fd), -1);
	assert_int_equal(errno, EBUSY);
	lock_release(&a.hub.shm->lock, OWNER);
	atomic_store(&a.hub.shm->slot[5].intent.state, INTENT_DONE);
	assert_int_equal(snapshot_write_hub(&a.hub, 0, fd), -1);
	assert_int_equal(errno, EBUSY);
	atomic_store(&a.hub.shm->slot[5].intent.state, INTENT_NONE);
	assert_int_equal(snapshot_write_hub(&a.hub, 0, fd), 0);
	atomic_store(&a.slot.shm->redo_fd, 1);
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, NULL, fd, NULL, NULL), -1);
	assert_int_equal(errno, EBUSY);
	stop(&a);
	close(fd);
}

static void hub_has_no_place(void **state)
{
	struct server a, b;
	int fd = file();

	(void)state;
	start(&a, 65536, 128, 16, 8);
	start(&b, 65536, 128, 5, 8);
	populate_hub(&a);
	snapshot_write_hub(&a.hub, 0, fd);
	assert_int_equal(snapshot_read_hub(&b.hub, fd), -1);
	assert_int_equal(errno, ENOSPC);
	stop(&a);
	stop(&b);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hub_comes_back),
		cmocka_unit_test(hub_comes_back_to_another_ring),
		cmocka_unit_test(hub_snapshot_of_restored_is_the_same),
		cmocka_unit_test(hub_of_many_records),
		cmocka_unit_test(hub_links_back), cmocka_unit_test(hub_record_too_large),
		cmocka_unit_test(hub_empty_ring_is_repaired),
		cmocka_unit_test(hub_has_keys), cmocka_unit_test(hub_knows_who_has_moved),
		cmocka_unit_test(hub_must_be_at_rest),
		cmocka_unit_test(hub_has_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
