/*
 * proto/flash.c. Input is fed as a connection would: into a buffer, whose whole content is looked at again after every piece.
 */
#include "proto/flash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/json_fixture.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define T(s) s, sizeof(s) - 1
#define MAX 4096
#define UNKNOWN "unknown frame: frames are JSON objects with an action, PUBLISH, PING, PONG and <regular-socket/>, each with a NUL (byte 0) behind it"
#define LINE "a frame ends in a NUL (byte 0), not in a line feed"

/* The captured greetings' time and token. */
#define GREETING_TIME 1448434925303633u
static const uint8_t greeting_token[FLASH_TOKEN_BYTES] = {
	0x7a, 0x7d, 0x0f, 0x8b, 0xfa, 0xa1, 0x6e, 0x00, 0x0d, 0xec, 0x67, 0x09, 0x7c, 0xec, 0xac, 0x88,
};

/*
 * What flash_next() makes of an input: per frame a letter (A action, P publish, . nothing, ! bad), the text or error and a line
 * break. `plain` leaves out frames that mean nothing.
 */
struct feed {
	char log[8192];
	size_t log_len;
	bool plain, over;
	size_t start, end;	/* of what is in the buffer */
	size_t max;
	struct flash_scan scan;
};

static void note(struct feed *feed, char letter, const char *text, size_t len)
{
	assert_true(feed->log_len + len + 3 < sizeof(feed->log));
	feed->log[feed->log_len++] = letter;
	memcpy(feed->log + feed->log_len, text, len);
	feed->log_len += len;
	feed->log[feed->log_len++] = '\n';
	feed->log[feed->log_len] = '\0';
}

static void note_frame(struct feed *feed, const struct flash_frame *frame)
{
	switch (frame->kind) {
	case FLASH_MORE:
		break;
	case FLASH_NOTHING:
		if (!feed->plain)
			note(feed, '.', "", 0);
		break;
	case FLASH_ACTION:
		note(feed, 'A', frame->text, frame->len);
		break;
	case FLASH_PUBLISH:
		note(feed, 'P', frame->text, frame->len);
		break;
	case FLASH_BAD:
		note(feed, '!', frame->error, strlen(frame->error));
		feed->over = true;
		break;
	}
}

/* Takes all frames that are there. The buffer is a block of exactly its size, and each call is made twice. */
static void drain(struct feed *feed, const char *input)
{
	while (!feed->over) {
		size_t len = feed->end - feed->start;
		char *block = malloc(len > 0 ? len : 1);
		struct flash_frame frame, again;

		assert_non_null(block);
		memcpy(block, input + feed->start, len);
		flash_next(block, len, feed->max, &feed->scan, &frame);
		flash_next(block, len, feed->max, &feed->scan, &again);
		assert_int_equal(frame.kind, again.kind);
		assert_ptr_equal(frame.text, again.text);
		assert_int_equal(frame.len, again.len);
		assert_int_equal(frame.taken, again.taken);
		assert_ptr_equal(frame.error, again.error);
		assert_true(frame.taken <= len && frame.taken <= feed->max + FLASH_FRAME_EXTRA);
		note_frame(feed, &frame);
		free(block);
		if (frame.kind == FLASH_MORE) {
			assert_int_equal(frame.taken, 0);
			return;
		}
		if (!feed->over) {
			assert_true(frame.taken > 0);
			feed->start += frame.taken;
			feed->scan = (struct flash_scan){ 0 };
		}
	}
}

static void feed_init(struct feed *feed, size_t max, bool plain)
{
	*feed = (struct feed){ .max = max, .plain = plain };
}

static void feed_to(struct feed *feed, const char *input, size_t end)
{
	feed->end = end;
	drain(feed, input);
}

static const struct { const char *input; size_t len; const char *log; } inputs[] = {
	/* the captures */
	{ T("<regular-socket/>\0PING\0<regular-socket/>\0{\"action\":\"subscribe\",\"data\":\"events\"}\0"
	    "<regular-socket/>\0{\"action\":\"unsubscribe\",\"data\":\"events\"}\0"),
	  "A{\"action\":\"subscribe\",\"data\":\"events\"}\nA{\"action\":\"unsubscribe\",\"data\":\"events\"}\n" },
	{ T("<regular-socket/>\0PUBLISH\0{\"topic\":\"events\",\"event\":\"test_event\",\"message_id\":\"\",\"data\":\"test\"}"),
	  "P{\"topic\":\"events\",\"event\":\"test_event\",\"message_id\":\"\",\"data\":\"test\"}\n" },
	/* PUBLISH */
	{ T("PUBLISH\0{}\0"), "P{}\n" },
	{ T("PUBLISH\0{}"), "P{}\n" },
	{ T("PUBLISH\0{}PUBLISH\0{\"a\":1}\0\0PONG\0"), "P{}\nP{\"a\":1}\n" },
	{ T("PUBLISH\0<regular-socket/>\0{}\0"), "P{}\n" },
	{ T("PUBLISH\0 \r\n\t<regular-socket/>\0 <regular-socket/>\0\n{}\n\0{}\0"), "P{}\nA{}\n" },
	{ T("PUBLISH\0{\"}\":\"\\\"}]\",\"a\":[{},[]],\"b\":\"\\\\\"}\0"), "P{\"}\":\"\\\"}]\",\"a\":[{},[]],\"b\":\"\\\\\"}\n" },
	{ T("PUBLISH\0{\\\"}\"}\0"), "P{\\\"}\"}\n" },
	{ T("PUBLISH\0{]\0"), "P{]\n" },
	{ T("PUBLISH\0{\"a\":\"\\"), "" },
	{ T("PUBLISH\0{\"a\":[}"), "" },
	{ T("PUBLISH"), "" },
	{ T("PUBLISH\0"), "" },
	{ T("PUBLISH\0<regular"), "" },
	{ T("PUBLISH\0[]"), "!what follows PUBLISH is not an object\n" },
	{ T("PUBLISH\0\0{}"), "!what follows PUBLISH is not an object\n" },
	{ T("PUBLISH\0PING\0{}"), "!what follows PUBLISH is not an object\n" },
	{ T("PUBLISH\0<regular-socket />\0{}"), "!what follows PUBLISH is not an object\n" },
	{ T("PUBLISH\0{\"a\":\0}"), "!the object after PUBLISH has no end\n" },
	{ T("PUBLISH\0{\"a\0\":1}"), "!the object after PUBLISH has no end\n" },
	{ T("PUBLISH\0{\"a\\\0\":1}"), "!the object after PUBLISH has no end\n" },
	{ T("PUBLISH {}\0"), "!" UNKNOWN "\n" },
	/* actions */
	{ T("{}\0{}\0"), "A{}\nA{}\n" },
	{ T(" \t\r\n{}\n\0"), "A \t\r\n{}\n\n" },
	{ T("{ not JSON }}}\0"), "A{ not JSON }}}\n" },
	{ T("{\"a\":1}"), "" },
	/* nothing, and nonsense */
	{ T(""), "" },
	{ T("\0\0 \0\r\n\0PONG\0PING\0"), "" },
	{ T("  "), "" },
	{ T("GET / HTTP/1.1\r\n"), "!this looks like HTTP: speak HTTP at the http:// address\n" },
	{ T("POST /pub/a HTTP/1.1\r\n"), "!this looks like HTTP: speak HTTP at the http:// address\n" },
	{ T("GE"), "" },
	{ T("GEX"), "!" UNKNOWN "\n" },
	{ T("\x16\x03\x01"), "!this looks like TLS (https://, wss://): it is spoken at addresses with TLS (https://, flash+tls://, packet+tls://), and this is none\n" },
	{ T("PING\n"), "!" LINE "\n" },
	{ T("PUBLISH\r\n"), "!" LINE "\n" },
	{ T("<regular-socket/>\n"), "!" LINE "\n" },
	{ T("PINGS\n"), "!" UNKNOWN "\n" },
	{ T("PINGX\0"), "!" UNKNOWN "\n" },
	{ T("PIN\0"), "!" UNKNOWN "\n" },
	{ T("PO\0NG"), "!" UNKNOWN "\n" },
	{ T("ping\0"), "!" UNKNOWN "\n" },
	{ T(" PING\0"), "!" UNKNOWN "\n" },
	{ T("<regular-socket>\0"), "!" UNKNOWN "\n" },
	{ T("<policy-file-request/>\0"), "!" UNKNOWN "\n" },
	{ T("[]\0"), "!" UNKNOWN "\n" },
	{ T(" []\0"), "!" UNKNOWN "\n" },
	{ T("\"a\"\0"), "!" UNKNOWN "\n" },
	{ T("\1"), "!" UNKNOWN "\n" },
	{ T("{}\0X{}\0"), "A{}\n!" UNKNOWN "\n" },
};

/* Each input at once, cut in two at every byte, and a byte at a time. */
static void test_inputs(void **state)
{
	struct feed feed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
		for (size_t cut = 0; cut <= inputs[i].len; cut++) {
			feed_init(&feed, MAX, true);
			feed_to(&feed, inputs[i].input, cut);
			feed_to(&feed, inputs[i].input, inputs[i].len);
			if (strcmp(feed.log, inputs[i].log) != 0)
				fail_msg("input %zu cut at %zu: %s", i, cut, feed.log);
		}
		feed_init(&feed, MAX, true);
		for (size_t end = 1; end <= inputs[i].len; end++)
			feed_to(&feed, inputs[i].input, end);
		assert_string_equal(feed.log, inputs[i].log);
	}
}

/* No prefix of a good input yields a frame before it is whole, nor an error. */
static void test_prefixes(void **state)
{
	static const size_t whole[2][3] = { { 18, 23, 41 }, { 18, 0, 0 } };
	struct feed feed;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		for (size_t end = 0; end < inputs[i].len; end++) {
			size_t expected = 0;

			for (size_t k = 0; k < 3; k++)
				expected += whole[i][k] > 0 && end >= whole[i][k];
			if (i == 0)
				expected += (end >= 80) + (end >= 98);
			feed_init(&feed, MAX, false);
			feed_to(&feed, inputs[i].input, end);
			assert_false(feed.over);
			for (const char *p = feed.log; *p != '\0'; p++)
				expected -= *p == '\n';
			assert_int_equal(expected, 0);
		}
	}
}

/* How much a frame takes, with the NUL after the object there, not there, and later. */
static void test_taken(void **state)
{
	static const char input[] = "PUBLISH\0{\"a\":1}\0{}";
	struct flash_scan scan = { 0 };
	struct flash_frame frame;

	(void)state;
	flash_next(input, 15, MAX, &scan, &frame);
	assert_int_equal(frame.kind, FLASH_PUBLISH);
	assert_int_equal(frame.taken, 15);
	assert_int_equal(frame.len, 7);
	assert_ptr_equal(frame.text, input + 8);
	flash_next(input, sizeof(input) - 1, MAX, &scan, &frame);
	assert_int_equal(frame.kind, FLASH_PUBLISH);
	assert_int_equal(frame.taken, 16);
	assert_int_equal(frame.len, 7);

	scan = (struct flash_scan){ 0 };
	flash_next(input + 15, 3, MAX, &scan, &frame);
	assert_int_equal(frame.kind, FLASH_NOTHING);
	assert_int_equal(frame.taken, 1);

	scan = (struct flash_scan){ 0 };
	flash_next("<regular-socket/>\0PING", 22, MAX, &scan, &frame);
	assert_int_equal(frame.kind, FLASH_NOTHING);
	assert_int_equal(frame.taken, 18);
}

/* An object of `len` bytes, after `before` (which may hold NULs), with a NUL behind it if `nul`. */
static size_t put_object(char *dst, const char *before, size_t before_len, size_t len, bool nul)
{
	memcpy(dst, before, before_len);
	memset(dst + before_len, 'x', len);
	memcpy(dst + before_len, "{\"", 2);
	memcpy(dst + before_len + len - 2, "\"}", 2);
	dst[before_len + len] = '\0';
	return before_len + len + nul;
}

static void test_limits(void **state)
{
	static const struct { const char *before; size_t len; } kinds[] = { { T("") }, { T("  ") }, { T("PUBLISH\0") } };
	enum { LIMIT = 64 };
	char input[256];

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(kinds); i++) {
		bool publish = i / 2 == 2, nul = i % 2 == 0 || !publish;
		size_t spaces = publish ? 0 : kinds[i / 2].len;

		for (size_t text = LIMIT - 1; text <= LIMIT + 1; text++) {
			size_t len = put_object(input, kinds[i / 2].before, kinds[i / 2].len, text - spaces, nul);
			struct feed once, bytes;

			feed_init(&once, LIMIT, true);
			feed_to(&once, input, len);
			feed_init(&bytes, LIMIT, true);
			for (size_t end = 1; end <= len; end++)
				feed_to(&bytes, input, end);
			assert_string_equal(once.log, bytes.log);
			if (text <= LIMIT) {
				assert_int_equal(once.log[0], publish ? 'P' : 'A');
				assert_int_equal(once.log_len, text + 2);
			} else {
				assert_string_equal(once.log, "!the frame is too long\n");
			}
		}
	}
}

/* Too long is said when the first byte too many is there, not when the frame ends. */
static void test_limit_at_once(void **state)
{
	struct flash_scan scan = { 0 };
	struct flash_frame frame;
	char input[MAX + 16];

	(void)state;
	memset(input, ' ', sizeof(input));
	flash_next(input, 100, 100, &scan, &frame);
	assert_int_equal(frame.kind, FLASH_MORE);
	flash_next(input, 101, 100, &scan, &frame);
	assert_int_equal(frame.kind, FLASH_BAD);

	memcpy(input, "PUBLISH\0{", 9);
	scan = (struct flash_scan){ 0 };
	flash_next(input, 108, 100, &scan, &frame);
	assert_int_equal(frame.kind, FLASH_MORE);
	flash_next(input, 109, 100, &scan, &frame);
	assert_int_equal(frame.kind, FLASH_BAD);

	/* what stands between PUBLISH and the object is limited too */
	input[8] = ' ';
	for (size_t object = FLASH_FRAME_EXTRA - 1; object <= FLASH_FRAME_EXTRA; object++) {
		memset(input + 8, ' ', sizeof(input) - 8);
		memcpy(input + object, "{}", 3);
		scan = (struct flash_scan){ 0 };
		flash_next(input, object, 100, &scan, &frame);
		assert_int_equal(frame.kind, object < FLASH_FRAME_EXTRA ? FLASH_MORE : FLASH_BAD);
		flash_next(input, object + 3, 100, &scan, &frame);
		assert_int_equal(frame.kind, object < FLASH_FRAME_EXTRA ? FLASH_PUBLISH : FLASH_BAD);
	}
}

/* Random pieces put together: the same frames come out however the input is cut, and also if the scan is lost in between. */
static void test_random(void **state)
{
	static const struct { const char *text; size_t len; } pieces[] = {
		{ T("<regular-socket/>\0") }, { T("PING\0") }, { T("PONG\0") }, { T("PUBLISH\0") }, { T("PUBLISH\0") }, { T("{\"a\":1}") },
		{ T("{\"a\":1}\0") }, { T("{\"s\":\"\\\"}{\\\\\"}") }, { T("\0") }, { T(" ") }, { T("\n") }, { T("{") }, { T("}") }, { T("[]") },
		{ T("\"") }, { T("\\") }, { T("x") }, { T("{[[{}]]}\0") }, { T("          ") },
	};
	static const struct { const char *text; size_t len; } likely[] = {
		{ T("<regular-socket/>\0") }, { T("PUBLISH\0{\"a\":\"}\"}") }, { T("{\"b\":1}\0") }, { T("PING\0") }, { T("\0") }, { T("PUBLISH\0") },
	};
	unsigned good = 0;

	(void)state;
	srandom(2009);
	for (int round = 0; round < 20000; round++) {
		struct feed once, bytes, cuts;
		char input[512];
		size_t len = 0, max = random() % 4 == 0 ? 8 + (size_t)random() % 24 : MAX;

		for (long n = 1 + random() % 10; n > 0; n--) {
			size_t k = (size_t)random();
			bool wild = random() % 4 == 0;
			const char *text = wild ? pieces[k % ARRAY_LEN(pieces)].text : likely[k % ARRAY_LEN(likely)].text;
			size_t size = wild ? pieces[k % ARRAY_LEN(pieces)].len : likely[k % ARRAY_LEN(likely)].len;

			memcpy(input + len, text, size);
			len += size;
		}
		feed_init(&once, max, true);
		feed_to(&once, input, len);
		feed_init(&bytes, max, true);
		for (size_t end = 1; end <= len; end++)
			feed_to(&bytes, input, end);
		feed_init(&cuts, max, true);
		for (size_t end = 0; end < len;) {
			end += 1 + (size_t)random() % (len - end);
			if (random() % 4 == 0)
				cuts.scan = (struct flash_scan){ 0 };
			feed_to(&cuts, input, end);
		}
		assert_string_equal(once.log, bytes.log);
		assert_string_equal(once.log, cuts.log);
		good += !once.over && once.log_len > 0;
	}
	assert_true(good > 2000);
}

/* A byte at a time is linear: each byte is looked at a few times only. Quadratic, this would be 10^11 steps. */
static void test_linear(void **state)
{
	enum { SIZE = 256 << 10 };
	static const struct { const char *before; size_t len; } kinds[] = { { T("{") }, { T(" ") }, { T("PUBLISH\0{\"") }, { T("PUBLISH\0{[") } };
	char *input = malloc(SIZE);

	(void)state;
	assert_non_null(input);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct flash_scan scan = { 0 };
		struct flash_frame frame;

		memset(input, ' ', SIZE);
		memcpy(input, kinds[i].before, kinds[i].len);
		for (size_t len = 1; len <= SIZE; len++) {
			flash_next(input, len, SIZE, &scan, &frame);
			assert_int_equal(frame.kind, FLASH_MORE);
			assert_true(len < 9 || scan.looked == len);
			if (len > 16)	/* not looked at again */
				input[len - 1] = '\0';
		}
	}
	free(input);
}

static void test_greeting(void **state)
{
	static const char captured[] =
		"{\"timestamp\":[1448,434925,303633],\"token\":[55,97,55,100,48,102,56,98,102,97,97,49,54,101,48,48,48,100,101,99,54,55,48,"
		"57,55,99,101,99,97,99,56,56]}\1";
	uint8_t longest[FLASH_TOKEN_BYTES];
	char dst[FLASH_GREETING_MAX];
	size_t len = flash_greeting(dst, GREETING_TIME, greeting_token);

	(void)state;
	assert_int_equal(len, sizeof(captured) - 1);
	assert_int_equal(len, 0x94);	/* where ACK stands in the capture */
	assert_memory_equal(dst, captured, len);

	memset(longest, 0xff, sizeof(longest));
	len = flash_greeting(dst, UINT64_MAX, longest);
	assert_true(len <= FLASH_GREETING_MAX);
	assert_null(json_check(dst, len - 1));
}

static void test_message(void **state)
{
	static const struct { uint64_t time; const char *stamp; } times[] = {
		{ 1448434925395864, "1448,434925,395864" }, { 0, "0,0,0" }, { 7, "0,0,7" }, { 1000000, "0,1,0" }, { 999999999999, "0,999999,999999" },
		{ 1000000000000, "1,0,0" }, { 1700000000000010, "1700,0,10" }, { 1700000009000100, "1700,9,100" },
		{ UINT64_MAX, "18446744,73709,551615" },
	};
	static const char message[] = "\"topic\":\"events\",\"event\":\"test_event\",\"message_id\":\"\",\"data\":\"test\"}";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		char expected[256], dst[256];
		size_t len;

		snprintf(expected, sizeof(expected), "{\"timestamp\":[%s],%s\1", times[i].stamp, message);
		len = flash_message(dst, times[i].time, message, sizeof(message) - 1);
		assert_int_equal(len, strlen(expected));
		assert_memory_equal(dst, expected, len);
		assert_int_equal(flash_message_size(times[i].time, sizeof(message) - 1), len);
		assert_true(len <= sizeof(message) - 1 + FLASH_MESSAGE_EXTRA);
	}
}

/* The length is right on both sides of every power of ten, in each of the three numbers. */
static void test_message_size(void **state)
{
	static const uint64_t units[] = { 1, 1000000, 1000000000000 };
	char dst[FLASH_MESSAGE_EXTRA + 1];

	(void)state;
	for (size_t u = 0; u < ARRAY_LEN(units); u++) {
		for (uint64_t power = 1; power <= 1000000; power *= 10) {
			for (uint64_t n = power - 1; n <= power + 1; n++) {
				uint64_t time = n * units[u];

				assert_int_equal(flash_message(dst, time, "}", 1), flash_message_size(time, 1));
			}
		}
	}
}

/* Whether the input is taken for lines, and that it is so once. */
static void test_lines(void **state)
{
	static const struct { const char *input; bool lines; } table[] = {
		{ "{\"a\":1}\n", true }, { "{\"a\":1}\r\n", true }, { " \n {\"a\":{}} \t\n", true }, { "{}\n{}\n", true }, { "{\"a\":\"}\"}\n\n", true },
		{ "{\"a\":1}", false }, { "{\"a\":1}\n ", false }, { "{\"a\":\n", false }, { "{\"a\":\"}\n", false }, { "{\"a\":[}\n", false },
		{ "{\"a\":{}\n", false }, { "{}x\n", false }, { "\n", false }, { "PING", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		size_t len = strlen(table[i].input);
		char *text = exact(table[i].input, len);
		struct flash_scan scan = { 0 };
		struct flash_frame frame;

		flash_next(text, len, MAX, &scan, &frame);
		assert_int_equal(frame.kind, FLASH_MORE);
		if (flash_is_lines(text, len, &scan) != table[i].lines)
			fail_msg("%s", table[i].input);
		assert_false(flash_is_lines(text, len, &scan));
		exact_free(text, len);
	}
}

/* Once a frame, also when more of it comes; and a frame that was not whole is looked at again. */
static void test_lines_grow(void **state)
{
	static const char input[] = "{\"a\":\n{\"b\":2}\n}\n{}\n";
	struct flash_scan scan = { 0 };
	struct flash_frame frame;
	unsigned told = 0;

	(void)state;
	for (size_t len = 1; len < sizeof(input); len++) {
		flash_next(input, len, MAX, &scan, &frame);
		if (flash_is_lines(input, len, &scan))
			assert_int_equal(len, 16 + told++);
	}
	assert_int_equal(told, 1);
}

static void test_error(void **state)
{
	static const struct { const char *text, *escaped; } table[] = {
		{ "no topic", "no topic" }, { "", "" }, { "a\"b\\c", "a\\\"b\\\\c" }, { "\n\x1f", "\\u000a\\u001f" }, { "\xc3\xa9", "\xc3\xa9" },
		{ "a\xff" "b\xc3", "a?b?" }, { "\xed\xa0\x80", "???" },
	};
	static const char *const fillers[] = { "x", "\"", "\n", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		char expected[256], dst[FLASH_ERROR_MAX];
		size_t len = flash_error(dst, 1448434925000007, table[i].text);

		snprintf(expected, sizeof(expected), "{\"timestamp\":[1448,434925,7],\"error\":\"%s\"}\1", table[i].escaped);
		assert_int_equal(len, strlen(expected));
		assert_memory_equal(dst, expected, len);
	}
	for (size_t i = 0; i < ARRAY_LEN(fillers); i++) {
		for (size_t lead = 0; lead < 6; lead++) {
			char text[4096], *dst = malloc(FLASH_ERROR_MAX), *p = text;
			size_t len;

			assert_non_null(dst);
			for (size_t n = 0; n < lead; n++)
				*p++ = 'x';
			for (size_t n = 0; n < 600; n++)
				p = stpcpy(p, fillers[i]);
			len = flash_error(dst, UINT64_MAX, text);
			assert_in_range(len, FLASH_ERROR_MAX - 5, FLASH_ERROR_MAX);
			assert_int_equal(dst[len - 1], '\1');
			assert_null(json_check(dst, len - 1));
			free(dst);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inputs), cmocka_unit_test(test_prefixes), cmocka_unit_test(test_taken), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_limit_at_once), cmocka_unit_test(test_random), cmocka_unit_test(test_linear), cmocka_unit_test(test_greeting),
		cmocka_unit_test(test_message), cmocka_unit_test(test_message_size), cmocka_unit_test(test_error), cmocka_unit_test(test_lines), cmocka_unit_test(test_lines_grow),
	};

	return cmocka_run_group_tests_name("flash", tests, NULL, NULL);
}
