/*
 * History: what is kept of topics beyond the ring, who gives way when there is no room, and what readers find.
 */
#include "tests/unit/history_fixture.h"

static void test_messages_are_there(void **state)
{
	struct fixture *f = *state;
	uint64_t first = 0, last = 0, seq[300];
	struct ring_record rec;

	rule(f, "*: 1000 messages");
	for (unsigned i = 0; i < 300; i++)
		seq[i] = say(f, "a", 1 + i * 37 % 5000);
	assert_int_equal(read_from(f, "a", 0, &first, &last), 300);
	assert_int_equal(first, 1);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(seek(f, "a", seq[i], UINT64_MAX, &rec), 0);
		assert_int_equal(rec.seq, seq[i]);
		assert_int_equal(rec.number, i + 1);
		check_bytes(f, &rec);
		assert_int_equal(history_seek_number(&f->hub.history, 2, find(f, "a"), generation_of(f, "a"), i + 1, &rec), 0);
		assert_int_equal(rec.seq, seq[i]);
		assert_int_equal(seek(f, "a", seq[i], seq[i], &rec), -1);
	}
	assert_int_equal(seek(f, "a", seq[299] + 1, UINT64_MAX, &rec), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(history_from(&f->hub.history, 2, find(f, "a"), generation_of(f, "a")), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_messages_are_there, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
