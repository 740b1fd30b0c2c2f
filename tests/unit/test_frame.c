/*
 * Records as frames: whole or not at all, and what is to blame if a worker dies of making one.
 */
#include "tests/unit/worker_fixture.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "shm/attribution.h"

static struct ring_record record(const struct worker_fixture *w, uint64_t seq)
{
	struct ring_record rec;

	assert_int_equal(ring_read(&w->base.hub.ring, seq, &rec), 0);
	return rec;
}

/* Exactly as many bytes as were said, with the data in it, for each transport that is sent messages. */
static void a_frame_is_as_large_as_it_was_said_to_be(void **state)
{
	struct worker_fixture *w = *state;
	struct ring_record rec;
	char dst[2000];

	rec = record(w, put(w, "news", 100));
	for (uint32_t transport = 0; transport < TRANSPORTS; transport++) {
		size_t size;

		if (!transport_table[transport].encoder.size)
			continue;
		size = frame_size(&w->base, transport, 0, &rec);
		assert_in_range(size, 100, sizeof(dst) - 1);
		assert_int_equal(frame_size_sent(&w->base, transport, 0, &rec), size);
		memset(dst, '~', sizeof(dst));
		assert_int_equal(frame_write(&w->base, transport, 0, &rec, dst, size), 0);
		assert_int_equal(dst[size], '~');
		assert_non_null(memmem(dst, size, "bbbbbbbbbbbb", 12));	/* (the data of the record 1) */
	}
}

/* Of the stream, too: it has the stream's id in place of the hub's, where it has any. */
static void a_frame_of_the_stream(void **state)
{
	struct worker_fixture *w = *state;
	struct ring_record rec;
	char got[2000];
	size_t size;

	for (uint32_t transport = 0; transport < TRANSPORTS; transport++) {
		if (!transport_table[transport].encoder.size)
			continue;
		rec = record(w, put_of_stream(w, "news", 4711, 100));
		size = frame_size(&w->base, transport, 0, &rec);
		assert_in_range(size, 100, sizeof(got) - 1);
		assert_int_equal(frame_size_sent(&w->base, transport, 0, &rec), size);
		memset(got, '~', sizeof(got));
		assert_int_equal(frame_write(&w->base, transport, 0, &rec, got, size), 0);
		assert_int_equal(got[size], '~');
		assert_int_equal(memmem(got, size, "ihegr977-4711", 13) != NULL, transport != TRANSPORT_FLASH && transport_group(transport) != GROUP_PAGE);
		assert_null(memmem(got, size, w->base.epoch.text, w->base.epoch.len));
	}
}

/* A page counts from its own first one; others do not care. */
static void a_page_counts_from_its_base(void **state)
{
	struct worker_fixture *w = *state;
	struct ring_record rec;
	char a[200], b[200];
	size_t size;

	for (int i = 0; i < 5; i++)
		rec = record(w, put(w, "news", 5));
	size = frame_size(&w->base, TRANSPORT_PAGE, 0, &rec);
	assert_int_equal(frame_write(&w->base, TRANSPORT_PAGE, 0, &rec, a, size), 0);
	assert_int_equal(frame_write(&w->base, TRANSPORT_PAGE, 3, &rec, b, size), 0);
	assert_non_null(memmem(a, size, "#5", 2));
	assert_non_null(memmem(b, size, "#2", 2));
	size = frame_size(&w->base, TRANSPORT_SSE, 0, &rec);
	assert_int_equal(frame_write(&w->base, TRANSPORT_SSE, 0, &rec, a, size), 0);
	assert_int_equal(frame_write(&w->base, TRANSPORT_SSE, 3, &rec, b, size), 0);
	assert_memory_equal(a, b, size);
}

/* What was read of a record while it was overwritten is not taken for it. */
static void of_an_overwritten_record_there_is_none(void **state)
{
	struct worker_fixture *w = *state;
	struct ring_record rec;
	char dst[200];
	size_t size;

	rec = record(w, put(w, "news", 5));
	size = frame_size(&w->base, TRANSPORT_FLASH, 0, &rec);
	put_others(w, RING_MESSAGES);
	assert_int_equal(frame_size(&w->base, TRANSPORT_FLASH, 0, &rec), 0);
	assert_int_equal(frame_size_sent(&w->base, TRANSPORT_FLASH, 0, &rec), 0);
	assert_int_equal(frame_write(&w->base, TRANSPORT_FLASH, 0, &rec, dst, size), -1);
	assert_int_equal(w->base.slot.shm->encoding, 0);
}

static void records_that_kill_are_skipped_for_their_transport(void **state)
{
	struct worker_fixture *w = *state;
	struct slot_shm *s = w->base.slot.shm;

	assert_false(frame_skipped(&w->base, TRANSPORT_SSE, 7));
	s->skip[0] = ENCODING(7, TRANSPORT_SSE);
	s->skips = 1;
	assert_true(frame_skipped(&w->base, TRANSPORT_SSE, 7));
	assert_false(frame_skipped(&w->base, TRANSPORT_FLASH, 7));
	assert_false(frame_skipped(&w->base, TRANSPORT_SSE, 8));
}

static char dst[32768];

static void measure(const struct base *base, const struct ring_record *rec)
{
	frame_size(base, TRANSPORT_SSE, 0, rec);
}

static void measure_sent(const struct base *base, const struct ring_record *rec)
{
	frame_size_sent(base, TRANSPORT_SSE, 0, rec);
}

static void write_it(const struct base *base, const struct ring_record *rec)
{
	frame_write(base, TRANSPORT_SSE, 0, rec, dst, sizeof(dst));
}

/* What a worker has noted that dies when it comes to the record's bytes: they can't be read. */
static uint64_t noted_at_death(struct worker_fixture *w, const struct ring_record *rec, void (*look_at)(const struct base *, const struct ring_record *))
{
	uintptr_t page = ((uintptr_t)ring_peek(&w->base.hub.ring, rec) + 4095) & ~(uintptr_t)4095;
	int status;
	pid_t pid;

	w->base.slot.shm->encoding = 0;
	pid = fork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		close(2);		/* a sanitizer would tell of it */
		if (mprotect((void *)page, 4096, PROT_NONE) == 0)
			look_at(&w->base, rec);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(status != 0);
	return w->base.slot.shm->encoding;
}

/* But not where what was sent already is measured: whether a record is skipped must not change while sends are under way. */
static void a_death_is_put_down_to_the_record(void **state)
{
	struct worker_fixture *w = *state;
	struct ring_record rec;

	rec = record(w, put(w, "news", 12000));
	assert_int_equal(noted_at_death(w, &rec, measure), ENCODING(rec.seq, TRANSPORT_SSE));
	assert_int_equal(noted_at_death(w, &rec, write_it), ENCODING(rec.seq, TRANSPORT_SSE));
	assert_int_equal(noted_at_death(w, &rec, measure_sent), 0);
	assert_in_range(frame_size(&w->base, TRANSPORT_SSE, 0, &rec), 12000, 13000);
	assert_int_equal(w->base.slot.shm->encoding, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(base, a_frame_is_as_large_as_it_was_said_to_be),
		TEST_ON(base, a_frame_of_the_stream),
		TEST_ON(base, a_page_counts_from_its_base),
		TEST_ON(base, of_an_overwritten_record_there_is_none),
		TEST_ON(base, records_that_kill_are_skipped_for_their_transport),
		TEST_ON(base, a_death_is_put_down_to_the_record),
	};

	alarm(60);
	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
