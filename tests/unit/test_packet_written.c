/*
 * Packets that the server writes: messages, replies, pings; as msgpack-c reads them.
 */
#include "proto/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <msgpack.h>

#include "proto/message_view.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define B(s) s, sizeof(s) - 1
#define MAX 600

#define OP(s) "\xa2op" s
#define TOPIC "\xa5topic\xa1t"
#define DATA "\xa4" "data"
#define PUBLISH(data) "\x83" OP("\xa7publish") TOPIC DATA data

static void show_list(FILE *to, const msgpack_object *o);

/* A value as text: JSON, but for bin, which is hex. */
static void show(FILE *to, const msgpack_object *o)
{
	switch (o->type) {
	case MSGPACK_OBJECT_NIL: fputs("null", to); break;
	case MSGPACK_OBJECT_BOOLEAN: fputs(o->via.boolean ? "true" : "false", to); break;
	case MSGPACK_OBJECT_POSITIVE_INTEGER: fprintf(to, "%llu", (unsigned long long)o->via.u64); break;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER: fprintf(to, "%lld", (long long)o->via.i64); break;
	case MSGPACK_OBJECT_FLOAT64: fprintf(to, "%.1f", o->via.f64); break;
	case MSGPACK_OBJECT_STR: fprintf(to, "\"%.*s\"", (int)o->via.str.size, o->via.str.ptr); break;
	case MSGPACK_OBJECT_BIN:
		fputs("b", to);
		for (uint32_t i = 0; i < o->via.bin.size; i++)
			fprintf(to, "%02x", (uint8_t)o->via.bin.ptr[i]);
		break;
	default: show_list(to, o);
	}
}

static void show_list(FILE *to, const msgpack_object *o)
{
	bool map = o->type == MSGPACK_OBJECT_MAP;

	assert_true(map || o->type == MSGPACK_OBJECT_ARRAY);
	fputs(map ? "{" : "[", to);
	for (uint32_t i = 0; i < o->via.array.size; i++) {
		fputs(i > 0 ? "," : "", to);
		if (map) {
			show(to, &o->via.map.ptr[i].key);
			fputs(":", to);
		}
		show(to, map ? &o->via.map.ptr[i].val : &o->via.array.ptr[i]);
	}
	fputs(map ? "}" : "]", to);
}

/* A written packet, as msgpack-c reads it. */
static void print(const char *packet, size_t len, char *text, size_t size)
{
	FILE *to = fmemopen(text, size, "w");
	msgpack_unpacked got;
	size_t at = 0, announced = (size_t)(uint8_t)packet[2] << 8 | (uint8_t)packet[3];

	assert_non_null(to);
	assert_int_equal(announced, len - 4);
	msgpack_unpacked_init(&got);
	assert_int_equal(msgpack_unpack_next(&got, packet + 4, len - 4, &at), MSGPACK_UNPACK_SUCCESS);
	assert_int_equal(at, len - 4);
	show(to, &got.data);
	msgpack_unpacked_destroy(&got);
	fclose(to);
}

static const struct position_epoch epoch = { .len = 9, .text = "ihegr977-" };
#define HEAD "{\"id\":\"ihegr977-7\",\"timestamp\":1448434925395864,"

static const struct { const char *text; size_t len; const char *want; } messages[] = {
	{ B("\"topic\":\"t\",\"data\":\"x\"}"), HEAD "\"topic\":\"t\",\"data\":\"x\"}" },
	{ B("\"topic\":\"t\",\"data\":\"a\\n\\u00e9\\ud83d\\ude00\"}"), HEAD "\"topic\":\"t\",\"data\":\"a\n\xc3\xa9\xf0\x9f\x98\x80\"}" },
	{ B("\"topic\":\"t\",\"data\":{ \"a\" : [ 1 , -2,\n2.5 ],\"b\":{ },\"c\":[ ] ,\"d\":[\"]\\\"\"]}}"),
	  HEAD "\"topic\":\"t\",\"data\":{\"a\":[1,-2,2.5],\"b\":{},\"c\":[],\"d\":[\"]\"\"]}}" },
	{ B("\"topic\":\"t\",\"data\":[true,false,null]}"), HEAD "\"topic\":\"t\",\"data\":[true,false,null]}" },
	{ B("\"topic\":\"t\",\"data\":[0,255,65536,18446744073709551615,-9223372036854775808]}"),
	  HEAD "\"topic\":\"t\",\"data\":[0,255,65536,18446744073709551615,-9223372036854775808]}" },
	{ B("\"topic\":\"t\",\"data\":[18446744073709551616,-9223372036854775809,-0,1e2]}"),
	  HEAD "\"topic\":\"t\",\"data\":[18446744073709551616.0,-9223372036854775808.0,-0.0,100.0]}" },
	{ B("\"id\":1,\"timestamp\":2,\"ok\":3,\"topic\":\"t\",\"x\":4}"), HEAD "\"topic\":\"t\",\"x\":4}" },
	{ B("\"ref\":1,\"user\":2,\"t\\u006f\":3,\"broadcast\":true,\"janus\":4,\"topic\":\"t\",\"x\":4}"), HEAD "\"topic\":\"t\",\"x\":4}" },
	{ B("\"topic\":\"t\",\"data\":{\"id\":1}}"), HEAD "\"topic\":\"t\",\"data\":{\"id\":1}}" },
	{ B("\"to\":\"bob\",\"event\":\"e\",\"data\":1}"), HEAD "\"user\":\"bob\",\"event\":\"e\",\"data\":1}" },
	{ B("\"broadcast\":true,\"data\":\"x\"}"), HEAD "\"broadcast\":true,\"data\":\"x\"}" },
	{ B("\0\0\0\x0b\"to\":\"bob\"}\xff\0"), HEAD "\"user\":\"bob\",\"data\":bff00}" },
	{ B("\0\0\0\x11\"broadcast\":true}\xff\0"), HEAD "\"broadcast\":true,\"data\":bff00}" },
	{ B("\0\0\0\x0c\"topic\":\"t\"}\xff\0"), HEAD "\"topic\":\"t\",\"data\":bff00}" },
};

static void test_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
		struct web_record rec = { .time = 1448434925395864u, .epoch = &epoch, .seq = 7, .to = MESSAGE_TO_TOPIC, .text = messages[i].text, .len = messages[i].len };
		size_t size = packet_message_size(&rec);
		char text[1024];

		for (size_t room = 0; room <= size; room++) {
			char *block = malloc(room > 0 ? room : 1);

			assert_non_null(block);
			assert_int_equal(packet_message(&rec, block, room), room == size ? size : 0);
			if (room == size)
				print(block, size, text, sizeof(text));
			free(block);
		}
		assert_string_equal(text, messages[i].want);
	}
}

/* A topic's name in what a user is sent, and nobody who knows which of both it is. */
static void test_forged(void **state)
{
	static const char record[] = "\"topic\":\"t\",\"to\":\"bob\",\"data\":1}";
	struct web_record rec = { .time = 1448434925395864u, .epoch = &epoch, .seq = 7, .to = MESSAGE_TO_USER, .text = record, .len = sizeof(record) - 1 };
	char dst[256], text[256];

	(void)state;
	print(dst, packet_message(&rec, dst, packet_message_size(&rec)), text, sizeof(text));
	assert_string_equal(text, HEAD "\"user\":\"bob\",\"data\":1}");
	rec.to = MESSAGE_TO_UNKNOWN;
	assert_int_equal(packet_message_size(&rec), 0);
	assert_int_equal(packet_message(&rec, dst, sizeof(dst)), 0);
}

/* What was published comes back as it was. */
static void test_round(void **state)
{
	static const struct { const char *data; size_t len; } cases[] = {
		{ B("\xa3" "a\"\n") }, { B("\xc4\x03\0\xff\n") }, { B("\xc4\0") }, { B("\xa0") }, { B("\x05") }, { B("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a") },
		{ B("\xc3") }, { B("\xd3\x80\0\0\0\0\0\0\0") }, { B("\xcf\xff\xff\xff\xff\xff\xff\xff\xff") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char in[128] = "\0\0\0", record[512], out[512];
		struct packet_request req;
		struct web_record rec = { .time = 1, .epoch = &epoch, .seq = 2, .text = record };
		struct error_text why;
		const char *error;
		size_t map = sizeof(PUBLISH("")) - 1;

		memcpy(in + 4, PUBLISH(""), map);
		memcpy(in + 4 + map, cases[i].data, cases[i].len);
		in[3] = (char)(map + cases[i].len);
		packet_next(in, 4 + map + cases[i].len, MAX, &why, &req);
		assert_int_equal(req.kind, PACKET_REQUEST);
		rec.len = packet_record(record, sizeof(record), &req, &error);
		assert_true(rec.len > 0);
		map = packet_message(&rec, out, sizeof(out));
		assert_true(map > cases[i].len);
		assert_memory_equal(out + map - cases[i].len, cases[i].data, cases[i].len);
	}
}

static void test_replies(void **state)
{
	static const struct position_start start = { .epoch = &epoch, .seq = 6 }, all = { .epoch = &epoch, .seq = 0, .resumed = true, .recovered = true },
		some = { .epoch = &epoch, .seq = 6, .resumed = true, .missing = 300 }, shared = { .epoch = &epoch, .seq = 6, .stream = { 36, 4711 } };
	static const struct { struct packet_reply reply; const char *want; } cases[] = {
		{ { .start = &start }, "{\"ok\":true,\"position\":\"ihegr977-6\"}" },
		{ { .start = &all, .has_ref = true, .ref = 5 }, "{\"ok\":true,\"ref\":5,\"position\":\"ihegr977-0\",\"recovered\":true}" },
		{ { .start = &some }, "{\"ok\":true,\"position\":\"ihegr977-6\",\"recovered\":false,\"missing\":300}" },
		{ { .start = &shared }, "{\"ok\":true,\"position\":\"10-4711\"}" },
		{ { .error = NULL }, "{\"ok\":true}" },
		{ { .has_ref = true, .ref = 5 }, "{\"ok\":true,\"ref\":5}" },
		{ { .has_ref = true, .ref = 5, .epoch = &epoch, .seq = 9, .has_subscribers = true, .subscribers = 300 },
		  "{\"ok\":true,\"ref\":5,\"id\":\"ihegr977-9\",\"subscribers\":300}" },
		{ { .has_subscribers = true, .nodes = 2, .nodes_known = 300 }, "{\"ok\":true,\"subscribers\":0,\"nodes\":2,\"nodes_known\":300}" },
		{ { .error = "no \"op\"", .has_ref = true, .ref = 0 }, "{\"ok\":false,\"ref\":0,\"error\":\"no \"op\"\"}" },
	};
	char dst[PACKET_REPLY_MAX], text[1024], *longest = malloc(1001);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		print(dst, packet_reply(dst, &cases[i].reply), text, sizeof(text));
		assert_string_equal(text, cases[i].want);
	}
	print(dst, packet_ping(dst, 1448434925395864u), text, sizeof(text));
	assert_string_equal(text, "{\"ok\":true,\"ping\":1448434925395864}");
	assert_non_null(longest);
	for (unsigned i = 0; i < 500; i++)
		memcpy(longest + 2 * i, "\xc3\xa9", 2);
	longest[1000] = '\0';
	for (unsigned from = 0; from < 2; from++) {	/* cut before or in the middle of a character */
		struct packet_reply reply = { .error = longest, .has_ref = from, .ref = 100 };
		size_t len = packet_reply(dst, &reply);

		assert_in_range(len, PACKET_REPLY_MAX - 4, PACKET_REPLY_MAX);
		print(dst, len, text, sizeof(text));
		assert_int_equal((uint8_t)dst[len - 1], 0xa9);
	}
	free(longest);
}

/* Records changed anywhere: nothing is read or written outside, and the size is what is written. */
static void test_records_that_are_garbage(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (unsigned round = 0; round < 200000; round++) {
		size_t i = round % ARRAY_LEN(messages), len = (size_t)rand_r(&seed) % (messages[i].len + 1);
		char *text = malloc(len > 0 ? len : 1), dst[256];
		struct web_record rec = { .epoch = &epoch, .text = text, .len = len };
		size_t size;

		assert_non_null(text);
		memcpy(text, messages[i].text, len);
		for (unsigned n = 0; len > 0 && n < round % 4; n++)
			text[(size_t)rand_r(&seed) % len] = "\"\"\\{}[]:, 1\xff"[rand_r(&seed) % 13];
		size = packet_message_size(&rec);
		if (size <= sizeof(dst))
			assert_int_equal(packet_message(&rec, dst, sizeof(dst)), size);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_records_that_are_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
