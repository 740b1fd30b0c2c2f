/*
 * proto/websocket_handshake.c.
 */
#include "proto/websocket_handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define HEAD "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static struct http_request parse(const char *input)
{
	static const struct http_limits limits = { .line = 100, .head = 1000, .headers = 20, .body = 10 };
	struct http_scan scan = { 0 };
	struct http_request req;
	char scratch[10];

	http_next(input, strlen(input), &limits, &scan, scratch, &req);
	assert_int_equal(req.kind, HTTP_REQUEST);
	return req;
}

static void test_check(void **state)
{
	static const struct { const char *input; unsigned status; } cases[] = {
		{ HEAD V13 KEY "\r\n", 0 },
		{ HEAD KEY "\r\n", 426 },
		{ HEAD KEY "Sec-WebSocket-Version: 8\r\n\r\n", 426 },
		{ HEAD V13 "\r\n", 400 },
		{ HEAD V13 "Sec-WebSocket-Key:\r\n\r\n", 400 },
		{ HEAD V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n\r\n", 400 },
		{ HEAD V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==AAAA\r\n\r\n", 400 },
		{ HEAD V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n\r\n", 400 },
		{ HEAD V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n\r\n", 400 },
		{ HEAD V13 "Sec-WebSocket-Key: dGhlIHNhb XBsZSBub25jZ==\r\n\r\n", 400 },
		{ HEAD V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j====\r\n\r\n", 400 },
		{ HEAD V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n\r\n", 0 },	/* four bits that mean nothing */
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" V13 KEY "\r\n", 405 },
		{ "GET / HTTP/1.0\r\n" V13 KEY "\r\n", 400 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_request req = parse(cases[i].input);
		const char *error = NULL;

		assert_int_equal(websocket_check(&req, &error), cases[i].status);
		assert_int_equal(error != NULL, cases[i].status != 0);
	}
}

/* The example of RFC 6455, section 1.3. */
static void test_answer(void **state)
{
	static const char want[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
	struct http_request req = parse(HEAD V13 KEY "\r\n");
	char got[512];

	(void)state;
	assert_int_equal(websocket_answer(got, sizeof(got), &req, (struct http_text){ "chat", 4 }), sizeof(want) - 1);
	assert_memory_equal(got, want, sizeof(want) - 1);
	assert_int_equal(websocket_answer(got, sizeof(got), &req, (struct http_text){ NULL, 0 }), sizeof(want) - 1 - 30);
	assert_int_equal(websocket_answer(got, sizeof(want) - 2, &req, (struct http_text){ "chat", 4 }), 0);
}

static void test_protocol(void **state)
{
	static const struct { const char *offered, *taken; } cases[] = {
		{ "", NULL },
		{ "Sec-WebSocket-Protocol: chat\r\n", "chat" },
		{ "Sec-WebSocket-Protocol: chat, superchat\r\n", "chat" },
		{ "Sec-WebSocket-Protocol: chat,\tjanus , x\r\n", "janus" },
		{ "Sec-WebSocket-Protocol: Janus, chat\r\n", "Janus" },
		{ "Sec-WebSocket-Protocol: graphql-transport-ws\r\n", "graphql-transport-ws" },
		{ "Sec-WebSocket-Protocol: , a b, c:d, \"e\", good\r\n", "good" },
		{ "Sec-WebSocket-Protocol:\r\n", NULL },
		{ "Sec-WebSocket-Protocol: ,\r\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char input[512];
		struct http_request req;
		struct http_text got;

		snprintf(input, sizeof(input), HEAD V13 KEY "%s\r\n", cases[i].offered);
		req = parse(input);
		got = websocket_protocol(&req);
		if (!cases[i].taken) {
			assert_null(got.p);
			continue;
		}
		assert_int_equal(got.len, strlen(cases[i].taken));
		assert_memory_equal(got.p, cases[i].taken, got.len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_check), cmocka_unit_test(test_answer), cmocka_unit_test(test_protocol) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
