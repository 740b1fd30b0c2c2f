/*
 * Batches of sends, by send() and by io_uring: each outcome is told, in order, while the send still stands in the list of those under way.
 */
#include "tests/unit/worker_fixture.h"

#include "worker/io/send_batch.h"

#define ARENA 100000
#define MOST 600

/* What was told. */
static struct {
	unsigned count;
	struct batch_send send[MOST];
	int result[MOST];
	uint32_t flights;		/* under way at that time, */
	uint32_t flight[FLIGHT_MAX];	/* these */
} told;

static void landed(void *above, const struct batch_send *send, int result)
{
	const struct worker_fixture *w = above;

	assert_in_range(told.count, 0, MOST - 1);
	told.send[told.count] = *send;
	told.result[told.count++] = result;
	told.flights = w->base.slot.shm->flights;
	memcpy(told.flight, w->base.slot.shm->flight, sizeof(told.flight));
}

static int base_with(void **state, int io)
{
	struct worker_fixture *w;

	base_up(state);
	w = *state;
	w->batch = batch_create(&w->base, io, ARENA, landed, w);	/* (NULL: no io_uring here) */
	memset(&told, 0, sizeof(told));
	return 0;
}

static int send_up(void **state)
{
	return base_with(state, IO_SEND);
}

static int uring_up(void **state)
{
	return base_with(state, IO_URING);
}

static struct worker_fixture *begun(void **state)
{
	if (!((struct worker_fixture *)*state)->batch)
		skip();
	return *state;
}

/* A session whose peer can be sent some kilobytes and no more. */
static int narrow(struct worker_fixture *w)
{
	int fd = opened(w, TRANSPORT_FLASH), least = 1;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	return fd;
}

static void each_is_told_in_order_while_it_is_listed(void **state)
{
	struct worker_fixture *w = begun(state);
	int fd[6];

	for (int i = 0; i < 6; i++) {
		fd[i] = opened(w, TRANSPORT_FLASH);
		batch_add(w->batch, fd[i], "abcdef", (size_t)i + 1, 100u + (unsigned)i, 2, (uint32_t)i);
	}
	assert_int_equal(told.count, 0);
	batch_flush(w->batch);
	assert_int_equal(told.count, 6);
	assert_int_equal(told.flights, 6);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(told.result[i], i + 1);
		assert_int_equal(told.send[i].sid, fd[i]);
		assert_int_equal(told.send[i].len, i + 1);
		assert_int_equal(told.send[i].pos, 100 + i);
		assert_int_equal(told.send[i].messages, 2);
		assert_int_equal(told.send[i].skipped, i);
		assert_int_equal(told.flight[i], fd[i]);
		expect_bytes(w, "abcdef", (size_t)i + 1);
		assert_got_expected(w, fd[i]);
	}
	assert_int_equal(w->base.slot.shm->flights, 0);
	assert_int_equal(counted(w, COUNTER_sends), 6);
	assert_int_equal(counted(w, COUNTER_bytes_out), 1 + 2 + 3 + 4 + 5 + 6);
	batch_flush(w->batch);
	assert_int_equal(told.count, 6);
}

/* A full socket takes a part, then nothing; one that is broken, an error: those beside them have all of theirs. */
static void what_the_kernel_took_is_told(void **state)
{
	struct worker_fixture *w = begun(state);
	static char bytes[60000];
	int fd[7];

	for (int i = 0; i < 7; i++)
		fd[i] = narrow(w);
	cram(fd[1]);
	close(w->peer[fd[2]]);
	w->peer[fd[2]] = -1;
	for (int i = 0; i < 7; i++)
		batch_add(w->batch, fd[i], bytes, i == 3 ? sizeof(bytes) : 100, 1, 1, 0);
	batch_flush(w->batch);
	assert_int_equal(told.count, 7);
	assert_int_equal(told.result[0], 100);
	assert_int_equal(told.result[1], -EAGAIN);
	assert_int_equal(told.result[2], -EPIPE);
	assert_in_range(told.result[3], 1, sizeof(bytes) - 1);
	assert_int_equal(receive_all(w, fd[3]), told.result[3]);
	for (int i = 4; i < 7; i++)
		assert_int_equal(told.result[i], 100);
	assert_int_equal(counted(w, COUNTER_bytes_out), 400u + (unsigned)told.result[3]);
}

static void more_than_it_holds_go_out_by_themselves(void **state)
{
	struct worker_fixture *w = begun(state);
	int fd = opened(w, TRANSPORT_FLASH);
	unsigned n;

	for (n = 0; told.count == 0 && n < MOST; n++)
		batch_add(w->batch, fd, "x", 1, n, 1, 0);
	assert_in_range(n, 2, FLIGHT_MAX);
	assert_int_equal(told.count, n - 1);
	batch_flush(w->batch);
	assert_int_equal(told.count, n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(told.send[i].pos, i);
	assert_int_equal(receive_all(w, fd), n);
}

/* Frames stay where they are until those that are sent of them are sent. */
static void room_is_made_by_sending(void **state)
{
	struct worker_fixture *w = begun(state);
	int fd = opened(w, TRANSPORT_FLASH);
	uint64_t round = batch_round(w->batch);
	char *first = batch_room(w->batch, ARENA / 2), *second;

	memset(first, 'a', ARENA / 2);
	batch_use(w->batch, ARENA / 2);
	batch_add(w->batch, fd, first, ARENA / 2, 1, 1, 0);
	second = batch_room(w->batch, ARENA / 2);
	assert_ptr_equal(second, first + ARENA / 2);
	assert_int_equal(batch_round(w->batch), round);
	assert_int_equal(told.count, 0);
	assert_non_null(batch_room(w->batch, ARENA / 2 + 1));
	assert_int_equal(told.count, 1);
	assert_int_not_equal(batch_round(w->batch), round);
	assert_null(batch_room(w->batch, ARENA + 1));
}

/* One by itself stands in the list until its outcome is recorded, which its caller says. */
static void a_single_send_is_listed_until_it_has_landed(void **state)
{
	struct worker_fixture *w = begun(state);
	int fd = opened(w, TRANSPORT_FLASH);

	assert_int_equal(batch_send(w->batch, fd, "abc", 3), 3);
	assert_int_equal(w->base.slot.shm->flights, 1);
	assert_int_equal(w->base.slot.shm->flight[0], fd);
	batch_landed(w->batch);
	assert_int_equal(w->base.slot.shm->flights, 0);
	assert_int_equal(counted(w, COUNTER_sends), 1);
	assert_int_equal(counted(w, COUNTER_bytes_out), 3);
	cram(fd);
	assert_int_equal(batch_send(w->batch, fd, "abc", 3), -1);
	assert_int_equal(errno, EAGAIN);
	batch_landed(w->batch);
	assert_int_equal(counted(w, COUNTER_bytes_out), 3);
	assert_int_equal(told.count, 0);
}

static void it_says_what_it_sends_with(void **state)
{
	struct worker_fixture *w = begun(state);
	struct batch *any;

	assert_string_equal(batch_kind(w->batch), "send()");
	any = batch_create(&w->base, IO_AUTO, ARENA, landed, w);
	assert_non_null(any);
	batch_destroy(any);
	batch_destroy(NULL);
}

/* Few sends are faster one by one; more are one submission. */
static void io_uring_is_for_many(void **state)
{
	struct worker_fixture *w = begun(state);
	int fd = opened(w, TRANSPORT_FLASH);

	assert_string_equal(batch_kind(w->batch), "io_uring");
	for (int i = 0; i < 4; i++)
		batch_add(w->batch, fd, "x", 1, 1, 1, 0);
	batch_flush(w->batch);
	assert_int_equal(counted(w, COUNTER_send_batches), 0);
	for (int i = 0; i < 5; i++)
		batch_add(w->batch, fd, "x", 1, 1, 1, 0);
	batch_flush(w->batch);
	assert_int_equal(counted(w, COUNTER_send_batches), 1);
	assert_int_equal(told.count, 9);
	assert_int_equal(receive_all(w, fd), 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(send, each_is_told_in_order_while_it_is_listed),
		TEST_ON(send, what_the_kernel_took_is_told),
		TEST_ON(send, more_than_it_holds_go_out_by_themselves),
		TEST_ON(send, room_is_made_by_sending),
		TEST_ON(send, a_single_send_is_listed_until_it_has_landed),
		TEST_ON(send, it_says_what_it_sends_with),
		TEST_ON(uring, each_is_told_in_order_while_it_is_listed),
		TEST_ON(uring, what_the_kernel_took_is_told),
		TEST_ON(uring, more_than_it_holds_go_out_by_themselves),
		TEST_ON(uring, io_uring_is_for_many),
	};

	alarm(60);
	return cmocka_run_group_tests_name("send_batch", tests, NULL, NULL);
}
