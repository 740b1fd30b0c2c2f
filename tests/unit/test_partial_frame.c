/*
 * Partial frames: the rest of each is sent, from the ring or from where it is kept, once for all who are in the middle of it.
 */
#define RING_BYTES (1 << 20)		/* for large ones */
#include "tests/unit/worker_fixture.h"

/* The session has had so much of the record's frame, and is behind. */
static void cut(struct worker_fixture *w, int fd, uint64_t seq, uint32_t bytes)
{
	struct session_state_shm st = *state_of(w, fd);

	st.pos = seq;
	st.cut = bytes;
	st.flags |= SESSION_CUT | SESSION_BEHIND;
	session_commit(&w->base, fd, &st);
}

/* Sends what there is of the rest. */
static int send_rest(struct worker_fixture *w, int fd)
{
	struct session_state_shm st = *state_of(w, fd);

	return partial_send(w->partial, fd, &st);
}

static int begin(struct worker_fixture *w, int fd, uint64_t seq, bool must)
{
	struct ring_record rec;

	assert_int_equal(ring_read(&w->base.hub.ring, seq, &rec), 0);
	return partial_begin(w->partial, fd, state_of(w, fd), &rec, must);
}

/* Frames in the list of the slot segment, each as it should be. */
static unsigned kept(const struct worker_fixture *w)
{
	unsigned n = 0;

	for (uint32_t ref = w->base.slot.shm->kept; ref != BUFFER_NONE; ref = pool_header(&w->base.slot, ref)->next) {
		const struct buffer_shm *head = pool_header(&w->base.slot, ref);

		assert_int_equal(head->owner, 0);
		assert_in_range(head->len, 1, pool_room(&w->base.slot, ref));
		assert_in_range(++n, 1, 100);
	}
	assert_int_equal(lent(w), n);
	return n;
}

/* The peer gets the rest of the frame that is expected: all but its first bytes. */
static void assert_rest(struct worker_fixture *w, int fd, size_t had)
{
	receive_all(w, fd);
	assert_int_equal(w->got.len, w->expected.len - had);
	assert_memory_equal(w->got.at, w->expected.at + had, w->got.len);
	w->got.len = 0;
}

static void the_rest_comes_from_the_ring(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t seq = put(w, "news", 1000);
	size_t size = expect(w, fd, seq);

	cut(w, fd, seq, 10);
	assert_int_equal(partial_size(w->partial, fd, state_of(w, fd)), size);
	assert_int_equal(send_rest(w, fd), 1);
	assert_rest(w, fd, 10);
	assert_int_equal(state_of(w, fd)->pos, seq + 1);
	assert_int_equal(state_of(w, fd)->cut, 0);
	assert_int_equal(state_of(w, fd)->flags, SESSION_BEHIND);
	assert_int_equal(state_of(w, fd)->sent, size - 10);
	assert_int_equal(counted(w, COUNTER_delivered), 1);
	assert_int_equal(counted(w, COUNTER_frames_kept), 0);
	assert_int_equal(w->base.slot.shm->flights, 0);
	assert_int_equal(send_rest(w, fd), 1);		/* there is nothing */
	assert_rest(w, fd, size);
}

/* Two in the middle of a frame share one that is kept; one of another transport has its own. It goes when the last one is through. */
static void a_kept_frame_is_shared(void **state)
{
	struct worker_fixture *w = *state;
	int a = opened(w, TRANSPORT_FLASH), b = opened(w, TRANSPORT_FLASH), c = opened(w, TRANSPORT_SSE);
	uint64_t seq = put(w, "news", 1000);

	expect(w, a, seq);
	cut(w, a, seq, 10);
	cut(w, b, seq, 500);
	cut(w, c, seq, 7);
	assert_int_equal(begin(w, a, seq, true), 0);
	assert_int_equal(begin(w, b, seq, true), 0);
	assert_int_equal(kept(w), 1);
	assert_int_equal(begin(w, c, seq, true), 0);
	assert_int_equal(kept(w), 2);
	assert_int_equal(counted(w, COUNTER_frames_kept), 2);
	put_others(w, 2 * RING_MESSAGES);
	assert_int_equal(send_rest(w, a), 1);
	assert_rest(w, a, 10);
	partial_trim(w->partial);
	assert_int_equal(kept(w), 2);
	assert_int_equal(send_rest(w, b), 1);
	assert_rest(w, b, 500);
	assert_int_equal(kept(w), 2);		/* not while it may be used */
	partial_trim(w->partial);
	assert_int_equal(kept(w), 1);
	assert_int_equal(send_rest(w, c), 1);
	partial_trim(w->partial);
	assert_int_equal(kept(w), 0);
}

/* Those whose record is in danger are kept before `delivered` moves, and no others. */
static void what_the_ring_comes_near_is_kept(void **state)
{
	struct worker_fixture *w = *state;
	int old = opened(w, TRANSPORT_FLASH), young = opened(w, TRANSPORT_FLASH);
	uint64_t first = put(w, "news", 1000), second;

	expect(w, old, first);
	cut(w, old, first, 10);
	put_others(w, KEEP_RECORDS - 2);
	assert_false(partial_must_keep(w->partial, first));
	assert_true(partial_protect(w->partial));
	assert_int_equal(kept(w), 0);
	second = put(w, "news", 1000);
	cut(w, young, second, 10);
	put_others(w, 2);
	assert_true(partial_must_keep(w->partial, first));
	assert_true(partial_protect(w->partial));
	assert_int_equal(kept(w), 1);
	assert_true(partial_protect(w->partial));
	assert_int_equal(kept(w), 1);
	assert_int_equal(pool_header(&w->base.slot, w->base.slot.shm->kept)->base, first);
	put_others(w, RING_MESSAGES);
	assert_int_equal(send_rest(w, old), 1);
	assert_rest(w, old, 10);
}

/* One of which nobody is in the middle any more is not kept. */
static void what_nobody_waits_for_is_not_kept(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t seq = put(w, "news", 1000);

	cut(w, fd, seq, 10);
	assert_int_equal(send_rest(w, fd), 1);
	put_others(w, 2 * KEEP_RECORDS);
	assert_true(partial_protect(w->partial));
	assert_int_equal(counted(w, COUNTER_frames_kept), 0);
}

/* Overwritten and not kept, as must not be: nothing else can be sent instead, so the connection ends. */
static void who_is_overtaken_in_the_middle_ends(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t seq = put(w, "news", 1000);

	cut(w, fd, seq, 10);
	put_others(w, RING_MESSAGES);
	assert_int_equal(partial_size(w->partial, fd, state_of(w, fd)), 0);
	assert_int_equal(send_rest(w, fd), -1);
	assert_int_equal(counted(w, COUNTER_closed_slow), 1);
	assert_over(w, fd);
	assert_int_equal(receive_all(w, fd), 0);
}

/* No room for what is in danger, nor can any be made: whoever is in the middle of it ends, and the ring goes on. */
static void without_room_the_slow_end(void **state)
{
	struct worker_fixture *w = *state;
	int a = opened(w, TRANSPORT_FLASH), b = opened(w, TRANSPORT_FLASH), other = opened(w, TRANSPORT_FLASH);
	uint64_t seq = put(w, "news", 1000);

	cut(w, a, seq, 10);
	cut(w, b, seq, 20);
	put_others(w, 2 * KEEP_RECORDS);
	cut(w, other, put(w, "news", 10), 5);
	pool_nothing(w);
	assert_true(partial_protect(w->partial));
	assert_int_equal(w->asked_for_room, 1);
	assert_int_equal(counted(w, COUNTER_closed_slow), 2);
	assert_int_equal(w->base.over_count, 2);
	assert_true(session_has(&w->base, a, MARK_OVER) && session_has(&w->base, b, MARK_OVER));
	assert_int_equal(state_of(w, a)->flags, SESSION_CLOSE | SESSION_LINGER);
	assert_int_equal(state_of(w, other)->flags, SESSION_CUT | SESSION_BEHIND);
}

static void room_is_asked_for_only_where_it_must_be(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t seq = put(w, "news", 1000);

	pool_nothing(w);
	assert_int_equal(begin(w, fd, seq, false), -1);
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(w->asked_for_room, 0);
	w->has_room = true;
	assert_int_equal(begin(w, fd, seq, true), 0);
	assert_int_equal(w->asked_for_room, 1);
	assert_int_equal(kept(w), 1);
	partial_trim(w->partial);	/* it did not begin after all */
	assert_int_equal(kept(w), 0);
}

/* A large one is made once, and not again for every piece that is sent. */
static void a_large_frame_is_kept_at_once(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH), least = 1, r;
	uint64_t seq = put(w, "news", 100000);
	size_t size = expect(w, fd, seq);
	unsigned pieces = 0;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	cut(w, fd, seq, 10);
	while ((r = send_rest(w, fd)) == 0) {
		assert_int_equal(kept(w), 1);
		assert_true(receive_all(w, fd) > 0);
		pieces++;
	}
	assert_int_equal(r, 1);
	assert_in_range(pieces, 2, 10000);
	receive_all(w, fd);
	assert_int_equal(w->got.len, size - 10);
	assert_memory_equal(w->got.at, w->expected.at + 10, w->got.len);
	assert_int_equal(counted(w, COUNTER_frames_kept), 1);
}

static void a_broken_connection_is_told(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t seq = put(w, "news", 100);

	close(w->peer[fd]);
	w->peer[fd] = -1;
	cut(w, fd, seq, 10);
	assert_int_equal(send_rest(w, fd), -1);
	assert_int_equal(state_of(w, fd)->cut, 10);
	assert_int_equal(w->base.slot.shm->flights, 0);
}

/* Three are kept, and whichever goes, the others hang together. Before another program takes over, all are. */
static void any_of_those_kept_can_go(void **state)
{
	for (int goes = 0; goes < 3; goes++) {
		struct worker_fixture *w = *state;
		struct session_state_shm st;
		int fd[3];
		uint64_t seq[3];

		for (int i = 0; i < 3; i++)
			cut(w, fd[i] = opened(w, TRANSPORT_FLASH), seq[i] = put(w, "news", 100), 5);
		partial_keep_all(w->partial);
		assert_int_equal(kept(w), 3);
		st = *state_of(w, fd[goes]);
		partial_leave(w->partial, fd[goes], &st);
		state_of(w, fd[goes])->flags = 0;
		partial_trim(w->partial);
		assert_int_equal(kept(w), 2);
		for (uint32_t ref = w->base.slot.shm->kept; ref != BUFFER_NONE; ref = pool_header(&w->base.slot, ref)->next)
			assert_int_not_equal(pool_header(&w->base.slot, ref)->base, seq[goes]);
		down(state);
		delivery_up(state);
	}
}

/* A new worker finds what was kept; what none of its sessions is in the middle of goes. */
static void a_successor_takes_them_over(void **state)
{
	struct worker_fixture *w = *state;
	int fd[3];
	uint64_t seq[3];

	for (int i = 0; i < 3; i++)
		cut(w, fd[i] = opened(w, TRANSPORT_FLASH), seq[i] = put(w, "news", 100), 5);
	expect(w, fd[1], seq[1]);
	partial_keep_all(w->partial);
	pool_fini(&w->base.pool);
	assert_int_equal(pool_init(&w->base.pool, &w->base.slot), 0);
	w->partial = partial_create(&w->base, w->batch, SESSIONS);
	partial_take_over(w->partial);
	assert_int_equal(pool_ready(&w->base.pool), 0);
	partial_join(w->partial, fd[1], state_of(w, fd[1]));
	partial_settle(w->partial);
	assert_int_equal(kept(w), 1);
	put_others(w, 2 * RING_MESSAGES);
	assert_int_equal(send_rest(w, fd[1]), 1);
	assert_rest(w, fd[1], 5);
	partial_trim(w->partial);
	assert_int_equal(kept(w), 0);
}

/* Where room is made: whoever is in the middle of a kept frame can be told to go for it. */
static void those_in_the_middle_can_be_doomed(void **state)
{
	struct worker_fixture *w = *state;
	int in = opened(w, TRANSPORT_FLASH), out = opened(w, TRANSPORT_FLASH), sse = opened(w, TRANSPORT_SSE);
	uint64_t seq = put(w, "news", 100);
	uint32_t ref, own;

	cut(w, in, seq, 5);
	cut(w, sse, seq, 5);
	assert_int_equal(begin(w, in, seq, true), 0);
	ref = w->base.slot.shm->kept;
	own = session_buffer(&w->base, in, 100);
	assert_true(partial_holds(w->partial, in, ref));
	assert_false(partial_holds(w->partial, out, ref) || partial_holds(w->partial, sse, ref) || partial_holds(w->partial, in, own));
	assert_false(partial_doom(w->partial, own, true));
	assert_true(partial_doom(w->partial, ref, false));
	assert_false(partial_is_doomed(w->partial, in));
	assert_true(partial_doom(w->partial, ref, true));
	assert_true(partial_is_doomed(w->partial, in));
	assert_false(partial_is_doomed(w->partial, out) || partial_is_doomed(w->partial, sse));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(delivery, the_rest_comes_from_the_ring),
		TEST_ON(delivery, a_kept_frame_is_shared),
		TEST_ON(delivery, what_the_ring_comes_near_is_kept),
		TEST_ON(delivery, what_nobody_waits_for_is_not_kept),
		TEST_ON(delivery, who_is_overtaken_in_the_middle_ends),
		TEST_ON(delivery, without_room_the_slow_end),
		TEST_ON(delivery, room_is_asked_for_only_where_it_must_be),
		TEST_ON(delivery, a_large_frame_is_kept_at_once),
		TEST_ON(delivery, a_broken_connection_is_told),
		TEST_ON(delivery, any_of_those_kept_can_go),
		TEST_ON(delivery, a_successor_takes_them_over),
		TEST_ON(delivery, those_in_the_middle_can_be_doomed),
	};

	alarm(60);
	return cmocka_run_group_tests_name("partial_frame", tests, NULL, NULL);
}
