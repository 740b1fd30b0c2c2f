/*
 * proto/web_message.c and message_view.c: every format of every kind of record, byte for byte; and records that are no records.
 */
#include "proto/web_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/message_view.h"
#include "tests/unit/json_fixture.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define TIME 1448434925395864u
static const struct position_epoch epoch = { .len = 9, .text = "ihegr977-" };
#define HEAD "{\"id\":\"ihegr977-7\",\"timestamp\":1448434925395864,"
#define T "\"topic\":\"t\""

/* NULL: no matter. */
static const struct { const char *text, *object, *sse, *test; } cases[] = {
	{ "\"topic\":\"events\",\"event\":\"test_event\",\"message_id\":\"\",\"data\":\"test\"}",
	  HEAD "\"topic\":\"events\",\"event\":\"test_event\",\"message_id\":\"\",\"data\":\"test\"}",
	  "id: ihegr977-7\nevent: test_event\ndata: test\n\n", "Recvd msg #3: 'test'<br>\r\n" },
	/* no topic */
	{ "\"to\":\"bob\",\"event\":\"e\",\"data\":\"hi\"}", HEAD "\"user\":\"bob\",\"event\":\"e\",\"data\":\"hi\"}",
	  "id: ihegr977-7\nevent: e\ndata: hi\n\n", "Recvd msg #3: 'hi'<br>\r\n" },
	{ "\"to\":\"bob\"}", HEAD "\"user\":\"bob\"}", "id: ihegr977-7\ndata: " HEAD "\"user\":\"bob\"}\n\n", NULL },
	{ "\"x\":[1],\"t\\u006f\":\"bob\",\"y\":2}", HEAD "\"x\":[1],\"user\":\"bob\",\"y\":2}", NULL, NULL },
	{ "\"broadcast\":true,\"data\":[1]}", HEAD "\"broadcast\":true,\"data\":[1]}", "id: ihegr977-7\ndata: [1]\n\n", "Recvd msg #3: '[1]'<br>\r\n" },
	{ "\"broadcast\":true}", HEAD "\"broadcast\":true}", "id: ihegr977-7\ndata: " HEAD "\"broadcast\":true}\n\n", NULL },
	/* data */
	{ T ",\"data\":\"\"}", HEAD T ",\"data\":\"\"}", "id: ihegr977-7\ndata: \n\n", "Recvd msg #3: ''<br>\r\n" },
	{ T ",\"data\":\"a\\nb\"}", NULL, "id: ihegr977-7\ndata: a\ndata: b\n\n", "Recvd msg #3: 'a\nb'<br>\r\n" },
	{ T ",\"data\":\"a\\r\\nb\\rc\\n\\rd\\n\"}", NULL, "id: ihegr977-7\ndata: a\ndata: b\ndata: c\ndata: \ndata: d\ndata: \n\n", NULL },
	{ T ",\"data\":\"a\\rx\\nb\"}", NULL, "id: ihegr977-7\ndata: a\ndata: x\ndata: b\n\n", NULL },
	{ T ",\"data\":\"\\u000d\\u000Ab\"}", NULL, "id: ihegr977-7\ndata: \ndata: b\n\n", NULL },
	{ T ",\"data\":\"\\r\\n\\r\\n\"}", NULL, "id: ihegr977-7\ndata: \ndata: \ndata: \n\n", NULL },
	{ T ",\"data\":\"\\nb\"}", NULL, "id: ihegr977-7\ndata: \ndata: b\n\n", NULL },
	{ T ",\"data\":\"\\ud800\\udc00\\udbff\\udfff\\ue000\"}", NULL, "id: ihegr977-7\ndata: \xf0\x90\x80\x80\xf4\x8f\xbf\xbf\xee\x80\x80\n\n", NULL },
	{ T ",\"data\":\" data: x\"}", NULL, "id: ihegr977-7\ndata:  data: x\n\n", NULL },
	{ T ",\"data\":\"q\\\"\\\\\\/\\b\\f\\t\\u00e9\\ud83d\\ude00\"}", NULL, "id: ihegr977-7\ndata: q\"\\/\b\f\t\xc3\xa9\xf0\x9f\x98\x80\n\n", NULL },
	{ T ",\"data\":\"\\\\\"}", HEAD T ",\"data\":\"\\\\\"}", "id: ihegr977-7\ndata: \\\n\n", NULL },
	{ T ",\"data\":\"\\\\\\\"\",\"x\":1}", NULL, "id: ihegr977-7\ndata: \\\"\n\n", NULL },
	{ T ",\"data\":\"<a href='x'>&\\\"\\u003c\"}", NULL, NULL, "Recvd msg #3: '&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;'<br>\r\n" },
	{ T ",\"data\":{\"a\":[1,2,\"}\"]}}", HEAD T ",\"data\":{\"a\":[1,2,\"}\"]}}", "id: ihegr977-7\ndata: {\"a\":[1,2,\"}\"]}\n\n",
	  "Recvd msg #3: '{&quot;a&quot;:[1,2,&quot;}&quot;]}'<br>\r\n" },
	{ T ",\"data\":[1,\n 2,\r\n\t3]}", HEAD T ",\"data\":[1,\n 2,\r\n\t3]}", "id: ihegr977-7\ndata: [1,  2,  \t3]\n\n", NULL },
	{ T ",\"data\":12}", NULL, "id: ihegr977-7\ndata: 12\n\n", NULL },
	{ T ",\"data\":null}", NULL, "id: ihegr977-7\ndata: null\n\n", "Recvd msg #3: 'null'<br>\r\n" },
	{ T "}", HEAD T "}", "id: ihegr977-7\ndata: " HEAD T "}\n\n", NULL },
	{ T ",\"d\\u0061ta\":\"x\"}", NULL, "id: ihegr977-7\ndata: x\n\n", NULL },
	{ T ",\"data\":\"x\",\"d\\u0061tb\":\"y\"}", NULL, "id: ihegr977-7\ndata: x\n\n", NULL },
	{ T ",\"data\":\"x\",\"datafive5\":\"y\"}", NULL, "id: ihegr977-7\ndata: x\n\n", NULL },
	{ T ",\"\\u0064\\u0061\\u0074\\u0061\":\"x\"}", NULL, "id: ihegr977-7\ndata: x\n\n", NULL },
	{ T ",\"data\":\"x\",\"data\":\"y\"}", NULL, "id: ihegr977-7\ndata: y\n\n", NULL },
	{ "\"o\":{\"data\":\"no\",\"event\":\"no\",\"id\":1}," T ",\"data\":\"x\"}", HEAD "\"o\":{\"data\":\"no\",\"event\":\"no\",\"id\":1}," T ",\"data\":\"x\"}",
	  "id: ihegr977-7\ndata: x\n\n", NULL },
	/* event */
	{ T ",\"event\":\"\",\"data\":\"x\"}", NULL, "id: ihegr977-7\ndata: x\n\n", NULL },
	{ T ",\"event\":5,\"data\":\"x\"}", NULL, "id: ihegr977-7\ndata: x\n\n", NULL },
	{ T ",\"event\":\"a\\nb\",\"data\":\"x\"}", NULL, "id: ihegr977-7\ndata: x\n\n", NULL },
	{ T ",\"event\":\"a\\u000d\",\"data\":\"x\"}", NULL, "id: ihegr977-7\ndata: x\n\n", NULL },
	{ T ",\"event\":\"\\u0000\",\"data\":\"x\"}", NULL, "id: ihegr977-7\ndata: x\n\n", NULL },
	{ T ",\"event\":\"a\\tb\",\"data\":\"x\"}", NULL, "id: ihegr977-7\nevent: a\tb\ndata: x\n\n", NULL },
	/* the publisher's id */
	{ "\"id\":99," T ",\"data\":1}", HEAD T ",\"data\":1}", NULL, NULL },
	{ T ",\"data\":1,\"i\\u0064\":{\"a\":\"}\"}}", HEAD T ",\"data\":1}", NULL, NULL },
	{ T ",\"id\":1,\"data\":1,\"id\":2}", HEAD T ",\"data\":1}", NULL, NULL },
	{ T ",\"di\":1,\"i\":2}", HEAD T ",\"di\":1,\"i\":2}", NULL, NULL },
};

static struct web_record record_of(const char *text, size_t len)
{
	return (struct web_record){ .time = TIME, .epoch = &epoch, .seq = 7, .number = 3, .to = MESSAGE_TO_TOPIC, .text = text, .len = len };
}

/* What web_message() writes, terminated, to be freed; in a block of exactly the size it told, and in none smaller. */
static char *written(enum web_format format, bool chunked, const struct web_record *rec)
{
	size_t size = web_message_size(format, chunked, rec);
	char *got = malloc(size + 1);

	assert_non_null(got);
	assert_true(size > 0);
	for (size_t room = 0; room <= size; room += room + 8 < size ? 7 : 1) {
		char *block = malloc(room > 0 ? room : 1);
		size_t len;

		assert_non_null(block);
		len = web_message(format, chunked, rec, block, room);
		assert_int_equal(len, room == size ? size : 0);
		if (len > 0)
			memcpy(got, block, len);
		free(block);
	}
	got[size] = '\0';
	return got;
}

/* As written, and as a chunk. */
static void expect(enum web_format format, const struct web_record *rec, const char *want)
{
	char *got = written(format, false, rec), *chunk = written(format, true, rec);
	char framed[1024];

	if (want != NULL) {
		assert_string_equal(got, want);
		snprintf(framed, sizeof(framed), "%zx\r\n%s\r\n", strlen(want), want);
		assert_string_equal(chunk, framed);
	}
	free(got);
	free(chunk);
}

/*
 * What publishers of the flash socket may have put beside what the server says: left out, whatever the order, and whatever the record goes to.
 * Whom it goes to only the hub knows, then; without that it can't be told.
 */
static void test_forged(void **state)
{
	static const struct { const char *text; enum message_to to; const char *object; } table[] = {
#define REST "\"data\":1}"
		{ T ",\"ok\":true,\"ref\":5,\"id\":9,\"timestamp\":1,\"user\":\"eve\",\"to\":\"eve\",\"broadcast\":true,\"janus\":1," REST, MESSAGE_TO_TOPIC,
		  HEAD T "," REST },
		{ "\"\\u006fk\":true,\"\\u0075ser\":1,\"timestam\\u0070\":2,\"br\\u006fadcast\":true," T "," REST, MESSAGE_TO_TOPIC, HEAD T "," REST },
		{ "\"broadcast\":true," T "," REST, MESSAGE_TO_TOPIC, HEAD T "," REST },
		{ "\"to\":\"bob\"," T "," REST, MESSAGE_TO_TOPIC, HEAD T "," REST },
		{ "\"to\":\"bob\"," T "," REST, MESSAGE_TO_USER, HEAD "\"user\":\"bob\"," REST },
		{ T ",\"x\":[ 1 ],\"t\\u006f\":\"bob\",\"topi\\u0063\":2," REST, MESSAGE_TO_USER, HEAD "\"x\":[ 1 ],\"user\":\"bob\"," REST },
		{ "\"user\":\"eve\",\"to\":\"bob\",\"id\":1", MESSAGE_TO_USER, NULL },
		{ "\"user\":\"eve\",\"to\":\"bob\",\"id\":1}", MESSAGE_TO_USER, HEAD "\"user\":\"bob\"}" },
		{ "\"broadcast\":true," T "," REST, MESSAGE_TO_ALL, HEAD "\"broadcast\":true," REST },
		/* names that only look like these */
		{ T ",\"Ok\":1,\"refs\":2,\"ids\":3,\"users\":4,\"to \":5,\"o\\/\":6,\"encoding\":\"base64\"," REST, MESSAGE_TO_UNKNOWN,
		  HEAD T ",\"Ok\":1,\"refs\":2,\"ids\":3,\"users\":4,\"to \":5,\"o\\/\":6,\"encoding\":\"base64\"," REST },
	};
	static const enum web_format formats[] = { WEB_WEBSOCKET, WEB_SSE, WEB_SSE_JSON, WEB_JSON_LINES, WEB_TEST };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct web_record rec = record_of(table[i].text, strlen(table[i].text));
		char line[512];

		rec.to = table[i].to;
		if (table[i].object == NULL) {
			assert_int_equal(web_message_size(WEB_JSON_LINES, false, &rec), 0);
			continue;
		}
		snprintf(line, sizeof(line), "%s\n", table[i].object);
		expect(WEB_JSON_LINES, &rec, line);
		snprintf(line, sizeof(line), "id: ihegr977-7\ndata: %s\n\n", table[i].object);
		expect(WEB_SSE_JSON, &rec, line);
		rec.to = MESSAGE_TO_UNKNOWN;
		for (size_t f = 0; f < ARRAY_LEN(formats); f++)
			assert_int_equal(web_message_size(formats[f], false, &rec) > 0, table[i].to == MESSAGE_TO_UNKNOWN);
	}
#undef REST
}

/* The whole object as an event's data, in one line; with the event's name, and binary data. */
static void test_envelope(void **state)
{
	static const char text[] = T "}", data[] = "\0\xff";
	static const char json[] = T ",\"event\":\"e\",\"data\":[1,\r\n2]}";
	struct web_record rec = record_of(json, sizeof(json) - 1);
	char bytes[64];

	(void)state;
	expect(WEB_SSE_JSON, &rec, "id: ihegr977-7\nevent: e\ndata: " HEAD T ",\"event\":\"e\",\"data\":[1,  2]}\n\n");
	message_binary_head(bytes, sizeof(text) - 1);
	memcpy(bytes + MESSAGE_BINARY_EXTRA, text, sizeof(text) - 1);
	memcpy(bytes + MESSAGE_BINARY_EXTRA + sizeof(text) - 1, data, sizeof(data) - 1);
	rec = record_of(bytes, MESSAGE_BINARY_EXTRA + sizeof(text) - 1 + sizeof(data) - 1);
	expect(WEB_SSE_JSON, &rec, "id: ihegr977-7\ndata: " HEAD T ",\"data\":\"AP8=\",\"encoding\":\"base64\"}\n\n");
	/* the flash socket has its own timestamp */
	expect(WEB_FLASH, &rec, NULL);
	{
		char *got = written(WEB_FLASH, false, &rec);

		assert_string_equal(got, "{\"timestamp\":[1448,434925,395864]," T ",\"data\":\"AP8=\",\"encoding\":\"base64\"}\1");
		free(got);
	}
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i].text);
		char *text = malloc(len), *got, line[1024];
		struct web_record rec = record_of(text, len);
		size_t size, header;

		assert_non_null(text);
		memcpy(text, cases[i].text, len);
		snprintf(line, sizeof(line), "{%.*s", (int)len, text);
		assert_null(json_check(line, strlen(line)));	/* the table itself */
		got = written(WEB_WEBSOCKET, false, &rec);
		size = web_message_size(WEB_WEBSOCKET, false, &rec);
		header = size < 126 + 2 ? 2 : 4;
		assert_int_equal((uint8_t)got[0], 0x81);
		assert_int_equal(header == 2 ? (size_t)(uint8_t)got[1] : (size_t)((uint8_t)got[2] << 8 | (uint8_t)got[3]), size - header);
		assert_null(json_check(got + header, size - header));
		if (cases[i].object != NULL)
			assert_string_equal(got + header, cases[i].object);
		/* JSON lines: the same in one line */
		snprintf(line, sizeof(line), "%s\n", got + header);
		for (char *p = line; *p; p++)
			if ((*p == '\n' && p[1]) || *p == '\r')
				*p = ' ';
		expect(WEB_JSON_LINES, &rec, line);
		expect(WEB_SSE, &rec, cases[i].sse);
		expect(WEB_TEST, &rec, cases[i].test);
		free(got);
		got = written(WEB_WEBSOCKET_RAW, true, &rec);
		assert_int_equal(strlen(got), size);
		free(got);
		free(text);
	}
}

static void test_large(void **state)
{
	static const size_t sizes[] = { 125, 126, 127, 65535, 65536, 70000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t room = sizes[i] + 20;
		char *text = malloc(room), *dst = malloc(room + 100);
		struct web_record rec;
		size_t payload, len;

		assert_non_null(text);
		assert_non_null(dst);
		memset(text, 'x', room);
		payload = sizeof(HEAD) - 1;	/* with the text: sizes[i] */
		len = sizes[i] - payload;
		memcpy(text, "\"topic\":\"", 9);
		memcpy(text + len - 2, "\"}", 2);
		rec = record_of(text, len);
		assert_int_equal(web_message_size(WEB_WEBSOCKET, false, &rec), sizes[i] + (sizes[i] < 126 ? 2 : sizes[i] < 65536 ? 4 : 10));
		assert_int_equal(web_message(WEB_WEBSOCKET, false, &rec, dst, room + 100), web_message_size(WEB_WEBSOCKET, false, &rec));
		free(text);
		free(dst);
	}
}

static void test_binary(void **state)
{
	static const char text[] = T ",\"event\":\"e\"}", data[] = "\0\xff\n<>";
	char bytes[64], *got;
	struct web_record rec = record_of(bytes, MESSAGE_BINARY_EXTRA + sizeof(text) - 1 + sizeof(data) - 1);

	(void)state;
	message_binary_head(bytes, sizeof(text) - 1);
	memcpy(bytes + MESSAGE_BINARY_EXTRA, text, sizeof(text) - 1);
	memcpy(bytes + MESSAGE_BINARY_EXTRA + sizeof(text) - 1, data, sizeof(data) - 1);
	expect(WEB_JSON_LINES, &rec, HEAD T ",\"event\":\"e\",\"data\":\"AP8KPD4=\",\"encoding\":\"base64\"}\n");
	expect(WEB_SSE, &rec, "id: ihegr977-7\nevent: e\ndata: AP8KPD4=\n\n");
	expect(WEB_TEST, &rec, "Recvd msg #3: 'AP8KPD4='<br>\r\n");
	got = written(WEB_WEBSOCKET_RAW, false, &rec);
	assert_memory_equal(got, "\x82\x05\0\xff\n<>", 7);
	assert_int_equal(web_message_size(WEB_WEBSOCKET_RAW, false, &rec), 7);
	free(got);
	got = written(WEB_WEBSOCKET, false, &rec);
	assert_int_equal((uint8_t)got[0], 0x81);
	free(got);
	/* lengths that are not true */
	for (size_t len = 0; len < MESSAGE_BINARY_EXTRA + sizeof(text) - 1; len++) {
		rec.len = len;
		assert_int_equal(web_message_size(WEB_JSON_LINES, false, &rec), 0);
	}
}

/* Anything a record can become while it is overwritten: no byte outside, and sizes that agree as long as it does not change again. */
static void test_garbage(void **state)
{
	static const char alphabet[] = "\"\"\"\"\\\\{}[]:,,,uard0tnev\n\x00\xff";
	unsigned seed = 1;

	(void)state;
	for (unsigned round = 0; round < 200000; round++) {
		const char *base = cases[round % ARRAY_LEN(cases)].text;
		size_t len = strlen(base), cut = (size_t)rand_r(&seed) % (len + 1);
		char *text = malloc(cut + 1), *dst = malloc(300);

		assert_non_null(text);
		assert_non_null(dst);
		text = realloc(text, cut > 0 ? cut : 1);
		memcpy(text, base, cut);
		for (unsigned i = 0; cut > 0 && i < round % 5; i++)
			text[(size_t)rand_r(&seed) % cut] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		for (int format = WEB_WEBSOCKET; format <= WEB_TEST; format++) {
			struct web_record rec = record_of(text, cut);
			size_t size = web_message_size((enum web_format)format, true, &rec);

			if (size <= 300)
				assert_int_equal(web_message((enum web_format)format, true, &rec, dst, 300), size);
		}
		free(text);
		free(dst);
	}
}

/* Base64 of every length to past the block it is made in; and the heads of binary records. */
static void test_base64(void **state)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const struct { const char *bytes, *text; } vectors[] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
	};
	char head[MESSAGE_BINARY_EXTRA];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		char dst[16];
		struct sink s = { .dst = dst, .room = sizeof(dst) };

		sink_base64(&s, vectors[i].bytes, strlen(vectors[i].bytes));
		assert_int_equal(s.len, strlen(vectors[i].text));
		assert_memory_equal(dst, vectors[i].text, s.len);
	}
	for (size_t len = 0; len < 600; len++) {
		uint8_t *bytes = malloc(len > 0 ? len : 1);	/* nothing behind it */
		char dst[900];
		struct sink s = { .dst = dst, .room = sizeof(dst) };

		assert_non_null(bytes);
		for (size_t i = 0; i < len; i++)
			bytes[i] = (uint8_t)(i * 37 + len);
		sink_base64(&s, bytes, len);
		assert_int_equal(s.len, (len + 2) / 3 * 4);
		for (size_t bit = 0; bit < 8 * len; bit += 6) {
			unsigned want = (unsigned)bytes[bit / 8] << 8 | (bit / 8 + 1 < len ? bytes[bit / 8 + 1] : 0u);

			assert_int_equal(dst[bit / 6], alphabet[want >> (10 - bit % 8) & 63]);
		}
		for (size_t pad = (8 * len + 5) / 6; pad < s.len; pad++)
			assert_int_equal(dst[pad], '=');
		free(bytes);
	}
	message_binary_head(head, 0x123456);
	assert_memory_equal(head, "\0\x12\x34\x56", 4);
}

static void test_small_things(void **state)
{
	char dst[64];

	(void)state;
	assert_int_equal(web_chunk(dst, sizeof(dst), SSE_HEARTBEAT, 2), sizeof(SSE_HEARTBEAT_CHUNK) - 1);
	assert_memory_equal(dst, SSE_HEARTBEAT_CHUNK, sizeof(SSE_HEARTBEAT_CHUNK) - 1);
	assert_int_equal(web_chunk(dst, sizeof(dst), JSON_LINES_HEARTBEAT, 1), sizeof(JSON_LINES_HEARTBEAT_CHUNK) - 1);
	assert_memory_equal(dst, JSON_LINES_HEARTBEAT_CHUNK, sizeof(JSON_LINES_HEARTBEAT_CHUNK) - 1);
}

/* Where a stream starts, in the words of each format, with room for it and without. */
static void test_start(void **state)
{
	static const struct { enum web_format format; bool chunked; struct position_start start; const char *want; } table[] = {
#define SSE_START "retry: 2000\nid: ihegr977-6\n\n"
#define JSON_START "{\"ok\":true,\"position\":\"ihegr977-6\"}"
		{ WEB_SSE, false, { .seq = 6 }, SSE_START },
		{ WEB_SSE, true, { .seq = 6 }, "1c\r\n" SSE_START "\r\n" },
		{ WEB_SSE_JSON, false, { .seq = 6, .resumed = true, .missing = 5 }, SSE_START },
		{ WEB_SSE, false, { .seq = 9, .stream = { 1448434925395, 6 } }, SSE_START },
		{ WEB_WEBSOCKET, false, { .seq = 9, .stream = { 1448434925395, 6 } }, "\x81\x23" JSON_START },
		{ WEB_JSON_LINES, false, { .seq = 6 }, JSON_START "\n" },
		{ WEB_JSON_LINES, true, { .seq = 6 }, "24\r\n" JSON_START "\n\r\n" },
		{ WEB_WEBSOCKET, false, { .seq = 6 }, "\x81\x23" JSON_START },
		{ WEB_WEBSOCKET_RAW, true, { .seq = 6 }, "\x81\x23" JSON_START },
		{ WEB_JSON_LINES, false, { .seq = 6, .resumed = true, .recovered = true },
		  "{\"ok\":true,\"position\":\"ihegr977-6\",\"recovered\":true}\n" },
		{ WEB_JSON_LINES, false, { .seq = UINT64_MAX - 1, .resumed = true, .missing = UINT64_MAX },
		  "{\"ok\":true,\"position\":\"ihegr977-18446744073709551614\",\"recovered\":false,\"missing\":18446744073709551615}\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct position_start start = table[i].start;
		size_t len = strlen(table[i].want);

		start.epoch = &epoch;
		for (size_t room = 1; room <= len; room++) {
			char *dst = malloc(room);

			assert_non_null(dst);
			assert_int_equal(web_start(table[i].format, table[i].chunked, &start, 2000, dst, room), room == len ? len : 0);
			if (room == len)
				assert_memory_equal(dst, table[i].want, len);
			free(dst);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases), cmocka_unit_test(test_forged), cmocka_unit_test(test_envelope),
		cmocka_unit_test(test_large), cmocka_unit_test(test_binary),
		cmocka_unit_test(test_garbage), cmocka_unit_test(test_base64), cmocka_unit_test(test_small_things),
		cmocka_unit_test(test_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
