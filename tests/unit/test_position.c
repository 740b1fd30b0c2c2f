/*
 * proto/position.c: what is written is read as the same, and nothing else is read.
 */
#include "proto/position.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static void what_is_written_is_read(void **state)
{
	static const struct { uint64_t epoch, seq; const char *text; } cases[] = {
		{ 1448434925395, 7, "ihegr977-7" }, { 0, 0, "0-0" }, { 35, 10, "z-10" }, { 36, 9, "10-9" }, { 1, UINT64_MAX - 1, "1-18446744073709551614" },
		{ UINT64_MAX, UINT64_MAX - 1, "3w5e11264sgsf-18446744073709551614" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct position_epoch epoch = position_epoch(cases[i].epoch);
		char text[POSITION_MAX], *exact;
		size_t len = position_write(text, &epoch, cases[i].seq);
		struct position p;

		assert_int_equal(len, strlen(cases[i].text));
		assert_memory_equal(text, cases[i].text, len);
		exact = malloc(len);		/* a sanitizer sees a read past the end */
		assert_non_null(exact);
		memcpy(exact, text, len);
		assert_true(position_read(exact, len, &p));
		assert_true(p.epoch == cases[i].epoch && p.seq == cases[i].seq);
		free(exact);
	}
}

static void nothing_else_is_read(void **state)
{
	static const char *const cases[] = {
		"", "-", "7", "ihegr977", "ihegr977-", "-7", "--7", "ihegr977--7", "ihegr977-7-", "ihegr977-7-8", " ihegr977-7", "ihegr977-7 ",
		"ihegr977 -7", "ihegr977- 7", "ihegr977-+7", "ihegr977-07", "ihegr977-00", "0ihegr977-7", "00-7", "Ihegr977-7", "IHEGR977-7", "iheg_977-7",
		"ihegr977-a", "ihegr977-7a", "ihegr977-0x7", "ihegr977-7.0", "ihegr977:7", "\"ihegr977-7\"", "ihegr977-7\n", "ih\xc3\xa9-7",
		"ihegr977-18446744073709551615", "ihegr977-18446744073709551616", "ihegr977-99999999999999999999", "ihegr977-118446744073709551614",
		"3w5e11264sgsg-7", "zzzzzzzzzzzzz-7", "13w5e11264sgsf-7",
	};
	struct position p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (position_read(cases[i], strlen(cases[i]), &p))
			fail_msg("\"%s\" is read", cases[i]);
	assert_false(position_read("ihegr977-7\0", 11, &p));
	assert_false(position_read("ihegr977\0-7", 11, &p));
	assert_true(position_read("ihegr977-77", 10, &p));	/* no further than it is said to go */
	assert_int_equal(p.seq, 7);
}

static void in_answers(void **state)
{
	struct position_epoch epoch = position_epoch(1448434925395);
	struct position_start start = { .epoch = &epoch, .seq = 6, .recovered = true, .missing = 3 };
	char text[256];
	struct sink s = { .dst = text, .room = sizeof(text) };

	(void)state;
	position_put_id(&s, &epoch, 7);
	position_put_id(&s, &epoch, 0);
	position_put_members(&s, &start);		/* nobody has asked for more */
	position_put_fields(&s, &start);
	sink_byte(&s, '\0');
	assert_string_equal(text, "\"ihegr977-7\"null\"position\":\"ihegr977-6\"Janus-Position: ihegr977-6\r\n");
	start.resumed = true;
	s.len = 0;
	position_put_members(&s, &start);
	position_put_fields(&s, &start);
	sink_byte(&s, '\0');
	assert_string_equal(text, "\"position\":\"ihegr977-6\",\"recovered\":trueJanus-Position: ihegr977-6\r\nJanus-Recovered: true\r\n");
	start.recovered = false;
	s.len = 0;
	position_put_members(&s, &start);
	position_put_fields(&s, &start);
	sink_byte(&s, '\0');
	assert_string_equal(text, "\"position\":\"ihegr977-6\",\"recovered\":false,\"missing\":3"
				  "Janus-Position: ihegr977-6\r\nJanus-Recovered: false; missing=3\r\n");
	start.stream = (struct position){ 36, 4711 };	/* told in its place */
	s.len = 0;
	position_put_members(&s, &start);
	position_put_fields(&s, &start);
	sink_byte(&s, '\0');
	assert_string_equal(text, "\"position\":\"10-4711\",\"recovered\":false,\"missing\":3Janus-Position: 10-4711\r\nJanus-Recovered: false; missing=3\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(nothing_else_is_read),
		cmocka_unit_test(in_answers),
	};

	return cmocka_run_group_tests_name("position", tests, NULL, NULL);
}
