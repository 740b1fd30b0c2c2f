/*
 * proto/nats_message.c: records as messages of NATS and back; what other clients send; what makes no message.
 */
#include "proto/nats_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/message_view.h"
#include "tests/unit/json_fixture.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define LITERAL(text) text, sizeof(text) - 1
#define JSON "application/json"
#define BYTES "application/octet-stream"
#define T "\"topic\":\"t\""

static struct subject_name named(enum message_to to, const char *text)
{
	struct subject_name name = { .to = to, .len = (uint8_t)strlen(text) };

	memcpy(name.name, text, name.len);
	return name;
}

static const struct {
	enum message_to to;
	const char *name, *record;
	const char *payload, *type, *event, *message_id, *members;
	const char *back;	/* the record that comes back, NULL: the same one */
} cases[] = {
	{ MESSAGE_TO_TOPIC, "t", T ",\"data\":\"hi\"}", "hi", NULL, NULL, NULL, NULL, NULL },
	{ MESSAGE_TO_TOPIC, "t", T ",\"data\":\"\"}", "", NULL, NULL, NULL, NULL, NULL },
	{ MESSAGE_TO_TOPIC, "t", T ",\"event\":\"e\",\"message_id\":\"\",\"data\":\"hi\"}", "hi", NULL, "e", "\"\"", NULL, NULL },
	{ MESSAGE_TO_TOPIC, "t", T ",\"message_id\":\"7\",\"data\":{\"eur\": 7.5}}", "{\"eur\": 7.5}", JSON, NULL, "7", NULL, NULL },
	{ MESSAGE_TO_TOPIC, "t", T ",\"data\":null}", "null", JSON, NULL, NULL, NULL, NULL },
	{ MESSAGE_TO_TOPIC, "t", T ",\"data\":[1,\n 2]}", "[1,\n 2]", JSON, NULL, NULL, NULL, NULL },
	{ MESSAGE_TO_TOPIC, "t", T ",\"data\":\"a\\n\\\"b\\\" \xc3\xa9\"}", "a\n\"b\" \xc3\xa9", NULL, NULL, NULL, NULL, T ",\"data\":\"a\\u000a\\\"b\\\" \xc3\xa9\"}" },
	{ MESSAGE_TO_TOPIC, "t", T ",\"data\":\"\\u00e9\\/\\ud83d\\ude00\"}", "\xc3\xa9/\xf0\x9f\x98\x80", NULL, NULL, NULL, NULL, T ",\"data\":\"\xc3\xa9/\xf0\x9f\x98\x80\"}" },
	{ MESSAGE_TO_USER, "bob", "\"to\":\"bob\",\"event\":\"e\",\"data\":\"hi\"}", "hi", NULL, "e", NULL, NULL, NULL },
	{ MESSAGE_TO_ALL, "", "\"broadcast\":true,\"data\":\"hi\"}", "hi", NULL, NULL, NULL, NULL, NULL },
	{ MESSAGE_TO_TOPIC, "q\"\\", "\"topic\":\"q\\\"\\\\\",\"data\":1}", "1", JSON, NULL, NULL, NULL, NULL },
	/* what is no plain message */
	{ MESSAGE_TO_TOPIC, "t", T ",\"data\":\"hi\",\"x\":1}", "hi", NULL, NULL, NULL, "{" T ",\"data\":null,\"x\":1}", NULL },
	{ MESSAGE_TO_TOPIC, "t", "\"from\":\"ann\"," T ",\"data\":\"hi\"}", "hi", NULL, NULL, NULL, "{\"from\":\"ann\"," T ",\"data\":null}", NULL },
	{ MESSAGE_TO_TOPIC, "t", T ",\"data\":1,\"event\":\"e\"}", "1", JSON, "e", NULL, "{" T ",\"data\":null,\"event\":\"e\"}", NULL },
	{ MESSAGE_TO_TOPIC, "t", T ",\"event\":5,\"data\":1}", "1", JSON, NULL, NULL, "{" T ",\"event\":5,\"data\":null}", NULL },
	{ MESSAGE_TO_TOPIC, "t", T ",\"event\":\" e\",\"data\":1}", "1", JSON, NULL, NULL, "{" T ",\"event\":\" e\",\"data\":null}", NULL },
	{ MESSAGE_TO_TOPIC, "t", T ",\"event\":\"a\\nb\",\"data\":1}", "1", JSON, NULL, NULL, "{" T ",\"event\":\"a\\nb\",\"data\":null}", NULL },
	{ MESSAGE_TO_TOPIC, "t", T ",\"message_id\":\"\",\"event\":\"e\",\"data\":1}", "1", JSON, "e", NULL, "{" T ",\"message_id\":\"\",\"event\":\"e\",\"data\":null}", NULL },
	{ MESSAGE_TO_TOPIC, "t", "\"t\\u006fpic\":\"t\",\"data\":1}", "1", JSON, NULL, NULL, "{\"t\\u006fpic\":\"t\",\"data\":null}", NULL },
	{ MESSAGE_TO_TOPIC, "t", "\"topic\":\"\\u0074\",\"data\":1}", "1", JSON, NULL, NULL, "{\"topic\":\"\\u0074\",\"data\":null}", NULL },
	{ MESSAGE_TO_TOPIC, "t", T "}", "", NULL, NULL, NULL, "{" T "}", NULL },
	{ MESSAGE_TO_TOPIC, "t", T ",\"data\":1,\"data\":\"y\"}", "y", NULL, NULL, NULL, "{" T ",\"data\":1,\"data\":null}", NULL },
	{ MESSAGE_TO_TOPIC, "t", T ",\"x\":[1,\n2],\"data\":\"y\"}", "y", NULL, NULL, NULL, "{" T ",\"x\":[1, 2],\"data\":null}", T ",\"x\":[1, 2],\"data\":\"y\"}" },
	/* members that the server alone may say: whom it is to, the hub knows */
	{ MESSAGE_TO_TOPIC, "t", T ",\"to\":\"bob\",\"data\":\"y\"}", "y", NULL, NULL, NULL, "{" T ",\"to\":\"bob\",\"data\":null}", NULL },
	{ MESSAGE_TO_USER, "bob", T ",\"to\":\"bob\",\"data\":\"y\"}", "y", NULL, NULL, NULL, "{" T ",\"to\":\"bob\",\"data\":null}", NULL },
};

static void same(const char *what, const char *is, const char *want)
{
	if ((is == NULL) != (want == NULL) || (is && strcmp(is, want) != 0))
		fail_msg("%s is %s, not %s", what, is ? is : "not there", want ? want : "absent");
}

static void back(const struct nats_message *m, const struct subject_name *name, const char *want, size_t len)
{
	char record[4096];
	struct sink s = { .dst = record, .room = sizeof(record) };
	struct message_view view;
	struct json json;

	json_init(&json);
	same(want, nats_message_read(&s, &json, m, name), NULL);
	json_fini(&json);
	assert_int_equal(s.len, len);
	assert_memory_equal(record, want, len);
	assert_true(message_view_parse(record, s.len, &view));
}

static void records_and_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i].record);
		struct subject_name name = named(cases[i].to, cases[i].name), read;
		char *record = exact(cases[i].record, len), *scratch = exact(cases[i].record, 0);
		struct nats_message m;
		struct message_view view;

		exact_free(scratch, 0);
		scratch = malloc(nats_message_scratch(len));
		assert_true(message_view_parse(record, len, &view));
		assert_true(nats_message_write(&m, &name, &view, len, scratch));
		assert_int_equal(m.len, strlen(cases[i].payload));
		assert_memory_equal(m.payload, cases[i].payload, m.len);
		same(cases[i].record, m.type, cases[i].type);
		same(cases[i].record, m.event, cases[i].event);
		same(cases[i].record, m.message_id, cases[i].message_id);
		same(cases[i].record, m.members, cases[i].members);
		back(&m, &name, cases[i].back ? cases[i].back : cases[i].record, strlen(cases[i].back ? cases[i].back : cases[i].record));
		assert_true(nats_message_name(&view, name.to, &read));
		assert_int_equal(read.to, name.to);
		assert_int_equal(read.len, name.len);
		assert_memory_equal(read.name, name.name, name.len);
		free(scratch);
		exact_free(record, len);
	}
}

static void binary(void **state)
{
	static const char plain[] = "\0\0\0\x0c" T "}\0\xff\n", more[] = "\0\0\0\x12" T ",\"x\":1}hi";
	struct subject_name name = named(MESSAGE_TO_TOPIC, "t");
	char scratch[256];
	struct nats_message m;
	struct message_view view;

	(void)state;
	assert_true(message_view_parse(LITERAL(plain), &view) && nats_message_write(&m, &name, &view, sizeof(plain) - 1, scratch));
	assert_int_equal(m.len, 3);
	assert_memory_equal(m.payload, "\0\xff\n", 3);
	same("type", m.type, BYTES);
	assert_null(m.members);
	back(&m, &name, LITERAL(plain));
	assert_true(message_view_parse(LITERAL(more), &view) && nats_message_write(&m, &name, &view, sizeof(more) - 1, scratch));
	same("type", m.type, BYTES);
	same("members", m.members, "{" T ",\"x\":1}");
	back(&m, &name, LITERAL(more));
}

/* Of clients that know nothing of Janus. */
static void others(void **state)
{
	struct subject_name name = named(MESSAGE_TO_TOPIC, "t"), bob = named(MESSAGE_TO_USER, "bob"), all = named(MESSAGE_TO_ALL, "");

	(void)state;
	back(&(struct nats_message){ .payload = "hi", .len = 2 }, &name, LITERAL(T ",\"data\":\"hi\"}"));
	back(&(struct nats_message){ .payload = "" }, &name, LITERAL(T ",\"data\":\"\"}"));
	back(&(struct nats_message){ .payload = "\0\"\n", .len = 3 }, &name, LITERAL(T ",\"data\":\"\\u0000\\\"\\u000a\"}"));
	back(&(struct nats_message){ .payload = "\xff", .len = 1 }, &name, LITERAL("\0\0\0\x0c" T "}\xff"));
	back(&(struct nats_message){ .payload = "\xff", .len = 1 }, &bob, LITERAL("\0\0\0\x0b\"to\":\"bob\"}\xff"));
	back(&(struct nats_message){ .payload = "1", .len = 1, .type = BYTES }, &all, LITERAL("\0\0\0\x11\"broadcast\":true}1"));
	back(&(struct nats_message){ .payload = " [1] \n", .len = 6, .type = "application/json; charset=utf-8" }, &name, LITERAL(T ",\"data\":[1]}"));
	back(&(struct nats_message){ .payload = "x", .len = 1, .type = "text/plain" }, &name, LITERAL(T ",\"data\":\"x\"}"));
	back(&(struct nats_message){ .payload = "x", .len = 1, .event = "a\"b", .message_id = "7" }, &name,
	     LITERAL(T ",\"event\":\"a\\\"b\",\"message_id\":\"7\",\"data\":\"x\"}"));
	back(&(struct nats_message){ .payload = " {\"a\":1}\n", .len = 9, .type = JSON, .members = " { \"topic\" : \"t\" , \"data\" : null , \"x\" : 1 } " }, &name,
	     LITERAL(T ",\"data\":{\"a\":1},\"x\":1}"));
}

static void refused(void **state)
{
	static const struct nats_message bad[] = {
		{ .payload = "{", .len = 1, .type = JSON },
		{ .payload = "", .type = JSON },
		{ .payload = "\xff", .len = 1, .type = JSON },
		{ .payload = "x", .len = 1, .event = "\xff" },
		{ .payload = "x", .len = 1, .message_id = "\xff" },
		{ .payload = "x", .len = 1, .members = "" },
		{ .payload = "x", .len = 1, .members = "{}" },
		{ .payload = "x", .len = 1, .members = "[]" },
		{ .payload = "x", .len = 1, .members = "{\"data\":null}" },
		{ .payload = "x", .len = 1, .members = "{\"topic\":\"u\",\"data\":null}" },
		{ .payload = "x", .len = 1, .members = "{\"topic\":1,\"data\":null}" },
		{ .payload = "x", .len = 1, .members = "{\"topic\":\"t\",\"topic\":\"t\",\"data\":null}" },
		{ .payload = "x", .len = 1, .members = "{\"to\":\"t\",\"data\":null}" },
		{ .payload = "x", .len = 1, .members = "{\"topic\":\"t\",\"data\":null}x" },
		{ .payload = "\xff", .len = 1, .members = "{\"topic\":\"t\",\"data\":null}" },
	};
	struct subject_name name = named(MESSAGE_TO_TOPIC, "t");
	char record[256];
	struct json json;
	struct nats_message m;

	(void)state;
	json_init(&json);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (nats_message_read(&(struct sink){ .dst = record, .room = sizeof(record) }, &json, &bad[i], &name) == NULL)
			fail_msg("number %zu is taken", i);
	m = (struct nats_message){ .payload = "hi", .len = 2 };
	assert_non_null(nats_message_read(&(struct sink){ .dst = record, .room = 23 }, &json, &m, &name));
	json_fini(&json);
}

/* A record that does not name what the hub says. */
static void nameless(void **state)
{
	static const char text[] = "\"topic\":\"t\",\"data\":1}", broken[] = "nonsense";
	struct message_view view;
	struct subject_name name;
	struct nats_message m;
	char scratch[256];

	(void)state;
	assert_true(message_view_parse(LITERAL(text), &view));
	assert_false(nats_message_name(&view, MESSAGE_TO_USER, &name));
	assert_true(nats_message_name(&view, MESSAGE_TO_ALL, &name));
	assert_true(nats_message_write(&m, &name, &view, sizeof(text) - 1, scratch));
	assert_false(message_view_parse(LITERAL(broken), &view));
	assert_false(nats_message_name(&view, MESSAGE_TO_TOPIC, &name));
}

static void origins(void **state)
{
	static const char *const bad[] = {
		"", "a", "a 1", "a 1 2", "a 1 2 3 4", "a  1 2 3", "a 1 2 x", "a 1 -2 3", "a 1 2 18446744073709551616", "a/b 1 2 3", " 1 2 3",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1 2 3",
	};
	struct nats_origin origin = { .node = "a.example-1_b", .epoch = UINT64_MAX, .seq = 7, .mark = 0 }, read;
	char text[NATS_ORIGIN_MAX];

	(void)state;
	nats_origin_write(text, &origin);
	assert_string_equal(text, "a.example-1_b 18446744073709551615 7 0");
	assert_true(nats_origin_read(text, &read));
	assert_string_equal(read.node, origin.node);
	assert_true(read.epoch == UINT64_MAX && read.seq == 7 && read.mark == 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (nats_origin_read(bad[i], &read))
			fail_msg("%s is taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_and_back), cmocka_unit_test(binary), cmocka_unit_test(others), cmocka_unit_test(refused), cmocka_unit_test(nameless),
		cmocka_unit_test(origins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
