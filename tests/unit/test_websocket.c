/*
 * proto/websocket.c: the framing rules of RFC 6455, sections 5 and 7, one by one.
 *
 * Frames are written as: + (final) or - (not), opcode in hex, then modifiers (u unmasked; 1 2 3 a reserved bit; w a length in 2 bytes, q in 8
 * bytes, though less would do; Q 8 bytes with the first bit set), a colon, the payload and |. A payload #N is N times x.
 */
#include "proto/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MAX 300
#define X10 "xxxxxxxxxx"
#define X125 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxxxx"

static size_t put_length(uint8_t *p, size_t len, char form, bool masked)
{
	unsigned bytes = form ? (form == 'w' ? 2 : 8) : len < 126 ? 0 : len < 65536 ? 2 : 8;

	p[0] = (uint8_t)((bytes == 0 ? len : bytes == 2 ? 126 : 127) | (masked ? 0x80 : 0));
	for (unsigned i = 0; i < bytes; i++)
		p[1 + i] = (uint8_t)(bytes - 1 - i > 7 ? 0 : len >> 8 * (bytes - 1 - i));
	if (form == 'Q')
		p[1] |= 0x80;
	return 1 + bytes;
}

/* Returns the frames' bytes, allocated. */
static char *build(const char *spec, size_t *len)
{
	static const uint8_t key[4] = { 0x37, 0xfa, 0x21, 0x3d };
	uint8_t *out = malloc(200000), *p = out;

	assert_non_null(out);
	while (*spec) {
		bool masked = true;
		char form = 0;
		uint8_t first = *spec++ == '+' ? 0x80 : 0;
		const char *payload, *end;
		size_t n;

		first |= (uint8_t)strtoul((const char[2]){ *spec++, 0 }, NULL, 16);
		for (; *spec != ':'; spec++) {
			if (*spec == 'u')
				masked = false;
			else if (*spec >= '1' && *spec <= '3')
				first |= (uint8_t)(0x80 >> (*spec - '0'));
			else
				form = *spec;
		}
		payload = spec + 1;
		end = strchr(payload, '|');
		n = *payload == '#' ? strtoul(payload + 1, NULL, 10) : (size_t)(end - payload);
		*p++ = first;
		p += put_length(p, n, form, masked);
		if (masked) {
			memcpy(p, key, 4);
			p += 4;
		}
		for (size_t i = 0; i < n; i++)
			*p++ = (uint8_t)((*payload == '#' ? 'x' : payload[i]) ^ (masked ? key[i & 3] : 0));
		spec = end + 1;
	}
	*len = (size_t)(p - out);
	return (char *)out;
}

/*
 * What websocket_next() makes of an input, a line an event: T text, B binary, P ping, G pong (small letters: between fragments, taken 0), C
 * close and code, ! bad and code. `forget`: the scan is lost wherever the input is cut.
 */
struct feed {
	char log[4096];
	size_t log_len, start;
	bool over;
	struct websocket_scan scan;
};

static void note(struct feed *f, const struct websocket_event *e)
{
	static const char letters[] = { [WEBSOCKET_TEXT] = 'T', [WEBSOCKET_BINARY] = 'B', [WEBSOCKET_PING] = 'P', [WEBSOCKET_PONG] = 'G',
					[WEBSOCKET_CLOSE] = 'C', [WEBSOCKET_BAD] = '!' };
	char *p = f->log + f->log_len, letter = letters[e->kind];

	assert_true(f->log_len + e->len + 16 < sizeof(f->log));
	*p++ = (char)(e->taken == 0 && letter != '!' ? letter + 32 : letter);
	if (e->kind == WEBSOCKET_CLOSE || e->kind == WEBSOCKET_BAD)
		p += sprintf(p, "%u", e->code);
	memcpy(p, e->text ? e->text : "", e->len);
	p += e->len;
	*p++ = '\n';
	*p = '\0';
	f->log_len = (size_t)(p - f->log);
}

static void feed_to(struct feed *f, const char *input, size_t end)
{
	while (!f->over) {
		size_t len = end - f->start;
		char *block = malloc(len > 0 ? len : 1), *scratch = malloc(MAX);
		struct websocket_event e;

		assert_non_null(block);
		assert_non_null(scratch);
		memcpy(block, input + f->start, len);
		websocket_next(block, len, MAX, &f->scan, scratch, &e);
		if (e.kind != WEBSOCKET_MORE)
			note(f, &e);
		if (e.taken > 0) {	/* the same again */
			struct websocket_event again;

			websocket_next(block, len, MAX, &f->scan, scratch, &again);
			assert_int_equal(again.kind, e.kind);
			assert_int_equal(again.taken, e.taken);
		}
		assert_memory_equal(block, input + f->start, len);
		assert_true(e.taken <= len && e.taken <= MAX + MAX / WEBSOCKET_EXTRA_OF + WEBSOCKET_EXTRA + 14);
		free(block);
		free(scratch);
		if (e.kind == WEBSOCKET_MORE)
			return;
		f->over = e.kind == WEBSOCKET_BAD || e.kind == WEBSOCKET_CLOSE;
		f->start += e.taken;
		if (e.taken > 0)
			f->scan = (struct websocket_scan){ 0 };
	}
}

static const struct { const char *frames, *log; } inputs[] = {
	/* 5.6 data frames; 5.7 the examples */
	{ "+1:Hello|", "THello\n" },
	{ "+1:|", "T\n" },
	{ "+2:\xff\xfe|", "B\xff\xfe\n" },
	{ "+2:|+1:a|+2:b|", "B\nTa\nBb\n" },
	{ "-1:Hel|+0:lo|", "THello\n" },
	{ "+9:Hello|", "PHello\n" },
	{ "+a:Hello|", "GHello\n" },
	/* 5.1 masks */
	{ "+1u:Hello|", "!1002\n" },
	{ "+9u:|", "!1002\n" },
	{ "-1:Hel|+0u:lo|", "!1002\n" },
	/* 5.2 reserved bits and opcodes */
	{ "+11:x|", "!1002\n" }, { "+12:x|", "!1002\n" }, { "+13:x|", "!1002\n" }, { "+91:x|", "!1002\n" }, { "-1:x|+02:x|", "!1002\n" },
	{ "+3:x|", "!1002\n" }, { "+4:x|", "!1002\n" }, { "+5:x|", "!1002\n" }, { "+6:x|", "!1002\n" }, { "+7:x|", "!1002\n" },
	{ "+b:|", "!1002\n" }, { "+c:|", "!1002\n" }, { "+d:|", "!1002\n" }, { "+e:|", "!1002\n" }, { "+f:|", "!1002\n" },
	{ "-3:x|", "!1002\n" },
	/* 5.2 lengths: the shortest form */
	{ "+1:" X125 "|", "T" X125 "\n" },
	{ "+1:" X125 "x|", "T" X125 "x\n" },
	{ "+1w:" X125 "|", "!1002\n" },
	{ "+1w:|", "!1002\n" },
	{ "+1q:" X125 "x|", "!1002\n" },
	{ "+1q:x|", "!1002\n" },
	{ "+1Q:x|", "!1002\n" },
	{ "+1:#65535|", "!1009\n" },
	{ "+1:#65536|", "!1009\n" },
	{ "+2:#301|", "!1009\n" },
	{ "-2:#300|+0:|", "B" X125 X125 X10 X10 X10 X10 X10 "\n" },
	{ "-2:#300|+0:x|", "!1009\n" },
	{ "-2:#200|-0:#100|-0:|+0:x|", "!1009\n" },
	/* 5.4 fragments */
	{ "-1:a|-0:b|-0:|+0:c|+1:d|", "Tabc\nTd\n" },
	{ "-2:a|+0:b|", "Bab\n" },
	{ "-1:|-0:|+0:|", "T\n" },
	{ "+0:a|", "!1002\n" },
	{ "-0:a|", "!1002\n" },
	{ "+1:a|+0:b|", "Ta\n!1002\n" },
	{ "-1:a|+1:b|", "!1002\n" },
	{ "-1:a|-2:b|", "!1002\n" },
	{ "-1:a|-0:b|", "" },
	/* 5.5 control frames */
	{ "-9:|", "!1002\n" }, { "-8:|", "!1002\n" }, { "-a:x|", "!1002\n" },
	{ "+9:" X125 "|", "P" X125 "\n" },
	{ "+9:" X125 "x|", "!1002\n" },
	{ "+9w:x|", "!1002\n" }, { "+9q:x|", "!1002\n" },
	{ "+8:#126|", "!1002\n" }, { "+a:#126|", "!1002\n" },
	{ "-1:a|+9:p|+0:b|", "pp\nTab\n" },
	{ "-1:a|+9:p|+a:g|-0:b|+9:|+0:c|+9:q|", "pp\ngg\np\nTabc\nPq\n" },
	{ "-1:a|+9:p|+1:b|", "pp\n!1002\n" },
	{ "-1:a|-9:p|", "!1002\n" },
	/* 5.5.1, 7.4 close */
	{ "+8:|+1:x|", "C1005\n" },
	{ "+8:\x03|", "!1002\n" },
	{ "+8:\x03\xe8|", "C1000\n" },
	{ "+8:\x03\xe9gone|", "C1001gone\n" },
	{ "+8:\x03\xebx|", "C1003x\n" },
	{ "-1:a|+8:\x03\xe8|+0:b|", "C1000\n" },
	{ "+8:\x03\xe8\xff|", "!1007\n" },
	{ "+8:\x03\xe8\xc3\xa9|", "C1000\xc3\xa9\n" },
	{ "+8:\x03\xe8" X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxx|",
	  "C1000" X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 "xxx\n" },
	{ "+8:\x03\xe7|", "!1002\n" }, { "+8:\x03\xec|", "!1002\n" }, { "+8:\x03\xed|", "!1002\n" }, { "+8:\x03\xee|", "!1002\n" },
	{ "+8:\x03\xef|", "C1007\n" }, { "+8:\x03\xf6|", "C1014\n" }, { "+8:\x03\xf7|", "!1002\n" }, { "+8:\x03\xf8|", "!1002\n" },
	{ "+8:\x07\xcf|", "!1002\n" }, { "+8:\x0b\xb7|", "!1002\n" }, { "+8:\x0b\xb8|", "C3000\n" }, { "+8:\x13\x87|", "C4999\n" },
	{ "+8:\x13\x88|", "!1002\n" }, { "+8:\xff\xff|", "!1002\n" },
	/* 8.1 UTF-8, of the whole message */
	{ "+1:\xff|", "!1007\n" },
	{ "-1:caf\xc3|+0:\xa9|", "Tcaf\xc3\xa9\n" },
	{ "-1:\xf0\x9f|+9:|-0:\x98|+0:\x80|", "p\nT\xf0\x9f\x98\x80\n" },
	{ "-1:caf\xc3|+0:x|", "!1007\n" },
	{ "+1:caf\xc3|", "!1007\n" },
	{ "+1:12345678\xc0\xaf|", "!1007\n" },
	{ "+1:\xc0\xaf" X10 "|", "!1007\n" },
	{ "+1:" X10 "\xc3\xa9" X10 "|", "T" X10 "\xc3\xa9" X10 "\n" },
	{ "+1:\xed\xa0\x80|", "!1007\n" },
	{ "+1:\xf4\x90\x80\x80|", "!1007\n" },
	{ "+2:caf\xc3|", "Bcaf\xc3\n" },
	{ "+9:\xff|", "P\xff\n" },
	{ "", "" },
};

static void test_inputs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
		size_t len;
		char *input = build(inputs[i].frames, &len);
		bool between = inputs[i].frames[0] == '-' && strpbrk(inputs[i].log, "pg") != NULL;
		size_t most = len < 1000 ? len : 1000;

		for (size_t cut = 0; cut <= most + 1; cut++) {
			for (int forget = 0; forget < (between ? 1 : 2); forget++) {
				struct feed f = { 0 };

				for (size_t end = cut <= most ? cut : 0; end < (cut <= most ? cut + 1 : most); end++) {
					feed_to(&f, input, end);
					if (forget)
						f.scan = (struct websocket_scan){ 0 };
				}
				feed_to(&f, input, len);
				if (strcmp(f.log, inputs[i].log) != 0)
					fail_msg("input %zu cut at %zu: %s\ngives %s", i, cut, inputs[i].frames, f.log);
			}
		}
		free(input);
	}
}

/* Losing the scan between fragments reports the control frames there once more, and nothing else. */
static void test_lost_scan(void **state)
{
	size_t len, half;
	char *input = build("-1:a|+9:p|-0:b|+9:q|+0:c|", &len), *first = build("-1:a|+9:p|-0:b|", &half);
	struct feed f = { 0 };

	(void)state;
	feed_to(&f, input, half);
	f.scan = (struct websocket_scan){ 0 };
	feed_to(&f, input, len);
	assert_string_equal(f.log, "pp\npp\npq\nTabc\n");
	free(input);
	free(first);
}

/* Fragments with next to no content, and pings between them, take up no more than WEBSOCKET_EXTRA. */
static void test_many_fragments(void **state)
{
	static const struct { const char *one; size_t bytes; } cases[] = { { "-0:|", 6 }, { "+9:abcd|", 10 }, { "-0:x|", 6 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *spec = malloc(2000 * 10 + 8), *p = spec, *input, scratch[8192];
		struct websocket_scan scan = { 0 };
		struct websocket_event e;
		size_t len, good;

		assert_non_null(spec);
		p = stpcpy(p, "-2:|");
		for (unsigned n = 0; n < 2000; n++)
			p = stpcpy(p, cases[i].one);
		input = build(spec, &len);
		good = 6 + (WEBSOCKET_EXTRA - 6) / cases[i].bytes * cases[i].bytes;
		if (i == 2)
			good = 6 + (WEBSOCKET_EXTRA - 6) / 6 * 7;
		do
			websocket_next(input, good, 8192, &scan, scratch, &e);
		while (e.kind == WEBSOCKET_PING);
		assert_int_equal(e.kind, WEBSOCKET_MORE);
		websocket_next(input, len, 8192, &scan, scratch, &e);
		assert_int_equal(e.kind, WEBSOCKET_BAD);
		assert_int_equal(e.code, WEBSOCKET_POLICY);
		free(spec);
		free(input);
	}
}

static void test_large(void **state)
{
	static const size_t sizes[] = { 65535, 65536, 100000 };
	char *scratch = malloc(100000);

	(void)state;
	assert_non_null(scratch);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct websocket_scan scan = { 0 };
		struct websocket_event e;
		char spec[32], *input;
		size_t len;

		snprintf(spec, sizeof(spec), "+1:#%zu|", sizes[i]);
		input = build(spec, &len);
		websocket_next(input, len - 1, 100000, &scan, scratch, &e);
		assert_int_equal(e.kind, WEBSOCKET_MORE);
		websocket_next(input, len, 100000, &scan, scratch, &e);
		assert_int_equal(e.kind, WEBSOCKET_TEXT);
		assert_int_equal(e.taken, len);
		assert_int_equal(e.len, sizes[i]);
		assert_int_equal(scratch[sizes[i] - 1], 'x');
		free(input);
	}
	free(scratch);
}

static void test_write(void **state)
{
	static const struct { size_t len; const char *header; size_t size; } cases[] = {
		{ 0, "\x81\x00", 2 }, { 125, "\x81\x7d", 2 }, { 126, "\x81\x7e\x00\x7e", 4 }, { 256, "\x81\x7e\x01\x00", 4 },
		{ 65535, "\x81\x7e\xff\xff", 4 }, { 65536, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10 },
	};
	char dst[WEBSOCKET_CONTROL_MAX], reason[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(websocket_header_size(cases[i].len), cases[i].size);
		assert_int_equal(websocket_header(dst, WEBSOCKET_OP_TEXT, cases[i].len), cases[i].size);
		assert_memory_equal(dst, cases[i].header, cases[i].size);
	}
	assert_int_equal(websocket_control(dst, WEBSOCKET_OP_PONG, "Hello", 5), 7);
	assert_memory_equal(dst, "\x8a\x05Hello", 7);
	assert_int_equal(websocket_control(dst, WEBSOCKET_OP_PING, NULL, 0), 2);
	assert_memory_equal(dst, "\x89\x00", 2);
	assert_int_equal(websocket_control(dst, WEBSOCKET_OP_PING, reason, 126), 127);
	assert_int_equal(websocket_close(dst, 1001, "bye"), 7);
	assert_memory_equal(dst, "\x88\x05\x03\xe9" "bye", 7);
	assert_int_equal(websocket_close(dst, WEBSOCKET_NO_CODE, "not sent"), 2);
	assert_memory_equal(dst, "\x88\x00", 2);
	memset(reason, 'x', sizeof(reason));
	memcpy(reason + 122, "\xc3\xa9", 2);
	reason[199] = '\0';
	assert_int_equal(websocket_close(dst, 1000, reason), 2 + 2 + 122);
	for (size_t len = 120; len < 130; len++) {
		memset(reason, 'x', len);
		reason[len] = '\0';
		assert_int_equal(websocket_close(dst, 1000, reason), 2 + 2 + (len < 123 ? len : 123));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inputs), cmocka_unit_test(test_lost_scan), cmocka_unit_test(test_many_fragments),
		cmocka_unit_test(test_large), cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
