/*
 * proto/message_text.c: every kind of record byte for byte, and that those who pass records on understand it.
 */
#include "proto/message_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/message_view.h"
#include "proto/packet.h"
#include "proto/web_message.h"
#include "tests/unit/json_fixture.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define B(s) s, sizeof(s) - 1
#define TOPIC(s) .key = "topic", .name = s, .name_len = sizeof(s) - 1
#define TO(s) .key = "to", .name = s, .name_len = sizeof(s) - 1
#define EVENT(s) .event = s, .event_len = sizeof(s) - 1

static const struct {
	struct message_names names;
	enum message_kind kind;
	const char *data;
	size_t len;
	const char *record;
	size_t record_len;
} cases[] = {
	{ { TOPIC("events") }, MESSAGE_TEXT, B("hi"), B("\"topic\":\"events\",\"data\":\"hi\"}") },
	{ { TOPIC("events"), EVENT("e") }, MESSAGE_TEXT, B("hi"), B("\"topic\":\"events\",\"event\":\"e\",\"data\":\"hi\"}") },
	{ { TO("bob") }, MESSAGE_TEXT, B("hi"), B("\"to\":\"bob\",\"data\":\"hi\"}") },
	{ { .name = NULL }, MESSAGE_TEXT, B("hi"), B("\"broadcast\":true,\"data\":\"hi\"}") },
	{ { .key = "topic", EVENT("e") }, MESSAGE_TEXT, B("hi"), B("\"broadcast\":true,\"event\":\"e\",\"data\":\"hi\"}") },
	{ { TOPIC("t"), EVENT("e"), .message_id = "\"m", .message_id_len = 2 }, MESSAGE_TEXT, B(""),
	  B("\"topic\":\"t\",\"event\":\"e\",\"message_id\":\"\\\"m\",\"data\":\"\"}") },
	{ { TOPIC("t"), EVENT("") }, MESSAGE_TEXT, B(""), B("\"topic\":\"t\",\"event\":\"\",\"data\":\"\"}") },
	{ { TOPIC("a\"\\"), EVENT("\n\"") }, MESSAGE_TEXT, B(" \0\"\xc3\xa9\r\n"),
	  B("\"topic\":\"a\\\"\\\\\",\"event\":\"\\u000a\\\"\",\"data\":\" \\u0000\\\"\xc3\xa9\\u000d\\u000a\"}") },
	{ { TOPIC("t") }, MESSAGE_TEXT, B("{\"a\":1}"), B("\"topic\":\"t\",\"data\":\"{\\\"a\\\":1}\"}") },
	{ { TOPIC("t") }, MESSAGE_JSON, B("{ \"a\" : 1.50 }"), B("\"topic\":\"t\",\"data\":{ \"a\" : 1.50 }}") },
	{ { TOPIC("t") }, MESSAGE_JSON, B("\r\n\t [ 1,\n2 ] \t\r\n"), B("\"topic\":\"t\",\"data\":[ 1,\n2 ]}") },
	{ { TO("bob"), EVENT("e") }, MESSAGE_JSON, B(" null\n"), B("\"to\":\"bob\",\"event\":\"e\",\"data\":null}") },
	{ { TO("bob") }, MESSAGE_JSON, B("\" \\u0061 \""), B("\"to\":\"bob\",\"data\":\" \\u0061 \"}") },
	{ { .name = NULL }, MESSAGE_JSON, B("7"), B("\"broadcast\":true,\"data\":7}") },
	{ { TOPIC("t") }, MESSAGE_BINARY, B("\0\xff\n "), B("\0\0\0\x0c\"topic\":\"t\"}\0\xff\n ") },
	{ { TO("bob"), EVENT("e") }, MESSAGE_BINARY, B(" x"), B("\0\0\0\x17\"to\":\"bob\",\"event\":\"e\"} x") },
	{ { .name = NULL }, MESSAGE_BINARY, B(""), B("\0\0\0\x11\"broadcast\":true}") },
};

/* In blocks of every size up to the right one. */
static void test_records(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sink count = { 0 };
		char *data = malloc(cases[i].len > 0 ? cases[i].len : 1);

		assert_non_null(data);
		memcpy(data, cases[i].data, cases[i].len);
		assert_true(message_text(&count, &cases[i].names, cases[i].kind, data, cases[i].len));
		assert_int_equal(count.len, cases[i].record_len);
		for (size_t room = 1; room <= count.len; room++) {
			char *block = malloc(room);
			struct sink s = { .dst = block, .room = room };

			assert_non_null(block);
			assert_true(message_text(&s, &cases[i].names, cases[i].kind, data, cases[i].len));
			assert_int_equal(sink_end(&s), room == count.len ? room : 0);
			if (room == count.len)
				assert_memory_equal(block, cases[i].record, room);
			free(block);
		}
		free(data);
	}
}

/* The view finds what was put in; JSON and packets can be made of it. */
static void test_understood(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct web_record rec = { .time = 1, .epoch = &(struct position_epoch){ .len = 2, .text = "x-" }, .seq = 2, .text = cases[i].record, .len = cases[i].record_len };
		struct message_view view;
		char line[512];
		size_t len;

		assert_true(message_view_parse(rec.text, rec.len, &view));
		assert_int_equal(view.bytes.p != NULL, cases[i].kind == MESSAGE_BINARY);
		assert_int_equal(view.data.p != NULL, cases[i].kind != MESSAGE_BINARY);
		assert_int_equal(view.event.p != NULL, cases[i].names.event != NULL);
		if (view.bytes.p != NULL) {
			assert_int_equal(view.bytes.len, cases[i].len);
			assert_memory_equal(view.bytes.p, cases[i].data, cases[i].len);
		}
		len = web_message(WEB_JSON_LINES, false, &rec, line, sizeof(line));
		assert_true(len > 0);
		assert_null(json_check(line, len));
		assert_true(packet_message_size(&rec) > 0);
	}
}

/* The head of a binary record counts to 2^24 - 1. */
static void test_long_event(void **state)
{
	static const size_t around = sizeof("\"topic\":\"t\",\"event\":\"\"}") - 1;
	size_t most = MESSAGE_BINARY_TEXT_MAX - around;
	struct message_names names = { TOPIC("t") };
	char *event = malloc(most + 1);

	(void)state;
	assert_non_null(event);
	memset(event, 'e', most + 1);
	names.event = event;
	for (size_t len = most; len <= most + 1; len++) {
		struct sink s = { 0 };

		names.event_len = len;
		assert_int_equal(message_text(&s, &names, MESSAGE_BINARY, "x", 1), len == most);
		assert_int_equal(s.len, len == most ? MESSAGE_BINARY_EXTRA + MESSAGE_BINARY_TEXT_MAX + 1 : 0);
		s.len = 0;
		assert_true(message_text(&s, &names, MESSAGE_TEXT, "x", 1));
	}
	free(event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records), cmocka_unit_test(test_understood), cmocka_unit_test(test_long_event),
	};

	return cmocka_run_group_tests_name("message_text", tests, NULL, NULL);
}
