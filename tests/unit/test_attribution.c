/*
 * What a dead worker's successor does without: nothing, the session it was at, or the record that it was encoding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/transport.h"
#include "shm/attribution.h"

struct fixture {
	struct slot slot;
	int fd;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->fd = slot_create("test-slot", &(struct slot_size){ .sessions = 512, .frame = 4096, .buffered = 1 << 28 });
	assert_int_equal(slot_attach(&f->slot, f->fd, true), 0);
	for (int fd = 10; fd < 12; fd++) {
		slot_session(&f->slot, fd)->status = SESSION_OPEN;
		memset(slot_session(&f->slot, fd)->token, fd, 16);
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	slot_detach(&f->slot);
	close(f->fd);
	free(f);
	return 0;
}

static enum verdict die(struct fixture *f, uint32_t fd, uint64_t encoding, enum death death)
{
	enum verdict verdict;

	atomic_store(&f->slot.shm->working_on, fd ? fd + 1 : 0);
	atomic_store(&f->slot.shm->encoding, encoding);
	verdict = attribution_note(&f->slot, death);
	assert_int_equal(f->slot.shm->working_on, 0);
	assert_int_equal(f->slot.shm->encoding, 0);
	return verdict;
}

static void test_nothing_at_hand(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(die(f, 0, 0, DEATH_FAULT), VERDICT_NONE);
	assert_int_equal(die(f, 0, 0, DEATH_KILLED), VERDICT_NONE);
	/* A session that is there no more, or never can have been. */
	assert_int_equal(die(f, 12, 0, DEATH_FAULT), VERDICT_NONE);
	assert_int_equal(die(f, 70000, 0, DEATH_FAULT), VERDICT_NONE);
	assert_int_equal(f->slot.shm->suspect.blamed, 0);
}

static void test_a_fault_closes_the_session(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(die(f, 10, 0, DEATH_FAULT), VERDICT_SESSION);
	assert_int_equal(f->slot.shm->suspect.blamed, 11);
	f->slot.shm->suspect.blamed = 0;
	assert_int_equal(die(f, 11, 0, DEATH_HANG), VERDICT_SESSION);
	assert_int_equal(f->slot.shm->suspect.blamed, 12);
}

static void test_kills_close_it_only_in_a_row(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(die(f, 10, 0, DEATH_KILLED), VERDICT_SUSPECT);
	assert_int_equal(die(f, 10, 0, DEATH_KILLED), VERDICT_SUSPECT);
	/* Another, or nothing, at hand: what came before was chance. */
	assert_int_equal(die(f, 11, 0, DEATH_KILLED), VERDICT_SUSPECT);
	assert_int_equal(die(f, 10, 0, DEATH_KILLED), VERDICT_SUSPECT);
	assert_int_equal(die(f, 0, 0, DEATH_KILLED), VERDICT_NONE);
	assert_int_equal(die(f, 10, 0, DEATH_KILLED), VERDICT_SUSPECT);
	assert_int_equal(die(f, 10, 0, DEATH_KILLED), VERDICT_SUSPECT);
	assert_int_equal(f->slot.shm->suspect.blamed, 0);
	assert_int_equal(die(f, 10, 0, DEATH_KILLED), VERDICT_SESSION);
	assert_int_equal(f->slot.shm->suspect.blamed, 11);
}

static void test_other_input_is_another_suspect(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 20; i++) {
		assert_int_equal(die(f, 10, 0, DEATH_KILLED), VERDICT_SUSPECT);
		if (i % 2)
			slot_session(&f->slot, 10)->state.parsed += 100;
		else
			slot_session(&f->slot, 10)->token[3]++;		/* the descriptor is another connection's */
	}
}

/* What is not input is told by how much was sent. */
static void test_output(void **state)
{
	struct fixture *f = *state;
	uint32_t on = 11 | WORKING_ELSE;

	for (int i = 0; i < 20; i++) {
		atomic_store(&f->slot.shm->working_on, on);
		assert_int_equal(attribution_note(&f->slot, DEATH_KILLED), VERDICT_SUSPECT);
		slot_session(&f->slot, 10)->state.sent += 100;
	}
	for (int i = 0; i < 2; i++) {
		atomic_store(&f->slot.shm->working_on, on);
		assert_int_equal(attribution_note(&f->slot, DEATH_KILLED), VERDICT_SUSPECT);
	}
	atomic_store(&f->slot.shm->working_on, on);
	assert_int_equal(attribution_note(&f->slot, DEATH_KILLED), VERDICT_SESSION);
	assert_int_equal(f->slot.shm->suspect.blamed, 11);
}

static void test_a_record_is_skipped_the_second_time(void **state)
{
	struct fixture *f = *state;
	uint64_t bad = ENCODING(77, TRANSPORT_SSE);

	assert_false(attribution_skips(&f->slot, 77, TRANSPORT_SSE));
	/* Whatever session it was for: that one is not to blame. */
	assert_int_equal(die(f, 10, bad, DEATH_FAULT), VERDICT_SUSPECT);
	assert_false(attribution_skips(&f->slot, 77, TRANSPORT_SSE));
	assert_int_equal(die(f, 11, bad, DEATH_FAULT), VERDICT_RECORD);
	assert_true(attribution_skips(&f->slot, 77, TRANSPORT_SSE));
	assert_false(attribution_skips(&f->slot, 77, TRANSPORT_FLASH));
	assert_false(attribution_skips(&f->slot, 78, TRANSPORT_SSE));
	assert_int_equal(f->slot.shm->suspect.blamed, 0);
}

static void test_a_record_at_a_kill(void **state)
{
	struct fixture *f = *state;
	uint64_t bad = ENCODING(5, TRANSPORT_FLASH);

	assert_int_equal(die(f, 0, bad, DEATH_KILLED), VERDICT_SUSPECT);
	assert_int_equal(die(f, 0, bad, DEATH_KILLED), VERDICT_SUSPECT);
	assert_int_equal(die(f, 0, bad, DEATH_KILLED), VERDICT_RECORD);
}

static void test_many_records(void **state)
{
	struct fixture *f = *state;

	for (uint64_t seq = 1; seq <= SKIP_MAX + 3; seq++) {
		die(f, 0, ENCODING(seq, TRANSPORT_JSON_LINES), DEATH_FAULT);
		assert_int_equal(die(f, 0, ENCODING(seq, TRANSPORT_JSON_LINES), DEATH_FAULT), VERDICT_RECORD);
	}
	for (uint64_t seq = 1; seq <= SKIP_MAX + 3; seq++)
		assert_int_equal(attribution_skips(&f->slot, seq, TRANSPORT_JSON_LINES), seq > 3);
}

/* The successor dies before it has come to closing what was blamed: that stays to be done. */
static void test_blamed_until_closed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(die(f, 10, 0, DEATH_FAULT), VERDICT_SESSION);
	assert_int_equal(die(f, 0, 0, DEATH_KILLED), VERDICT_NONE);
	assert_int_equal(f->slot.shm->suspect.blamed, 11);
	assert_int_equal(die(f, 0, ENCODING(9, TRANSPORT_SSE), DEATH_FAULT), VERDICT_SUSPECT);
	assert_int_equal(f->slot.shm->suspect.blamed, 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_at_hand, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_fault_closes_the_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kills_close_it_only_in_a_row, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_input_is_another_suspect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_output, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_record_is_skipped_the_second_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_record_at_a_kill, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_records, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blamed_until_closed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
