/*
 * proto/stranger.c.
 */
#include "proto/stranger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/http.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define T(s) s, sizeof(s) - 1

static void test_beginnings(void **state)
{
	static const struct { const char *in; size_t len; enum stranger stranger; } table[] = {
		{ T("\x16\x03\x01"), STRANGER_TLS }, { T("\x16"), STRANGER_TLS },
		{ T("GET / HTTP/1.1\r\n"), STRANGER_HTTP }, { T("PUT /"), STRANGER_HTTP }, { T("OPTIONS *"), STRANGER_HTTP }, { T("PRI * HTTP/2.0"), STRANGER_HTTP },
		{ T("PING"), STRANGER_FLASH }, { T("PUBLISH"), STRANGER_FLASH }, { T("<regular-socket/>"), STRANGER_FLASH },
		{ T("{"), STRANGER_JSON }, { T("[1]"), STRANGER_JSON },
		{ T("\0\0\0\x1b"), STRANGER_PACKET }, { T("\0"), STRANGER_PACKET },
		{ T(""), STRANGER_PART }, { T("G"), STRANGER_PART }, { T("GET"), STRANGER_PART }, { T("P"), STRANGER_PART }, { T("<re"), STRANGER_PART },
		{ T("x"), STRANGER_NONE }, { T("get "), STRANGER_NONE }, { T("GETX"), STRANGER_NONE }, { T("<html>"), STRANGER_NONE }, { T("\x15\x03"), STRANGER_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		assert_int_equal(stranger_find(table[i].in, table[i].len), table[i].stranger);
		if (table[i].stranger == STRANGER_NONE || table[i].stranger == STRANGER_PART)
			assert_null(stranger_text(table[i].stranger));
		else
			assert_memory_equal(stranger_text(table[i].stranger), "this looks like ", 16);
	}
}

/* What an HTTP listener says to them, whatever the pieces. */
static void test_at_http(void **state)
{
	static const struct { const char *in; size_t len, enough; enum stranger stranger; } table[] = {
		{ T("\x16\x03\x01\x02"), 1, STRANGER_TLS }, { T("{\"action\":1}\0"), 1, STRANGER_JSON }, { T("<regular-socket/>\0"), 1, STRANGER_FLASH },
		{ T("\0\0\0\x1b\x82"), 1, STRANGER_PACKET }, { T("PUBLISH\0{}"), 8, STRANGER_FLASH }, { T("PING\0"), 5, STRANGER_FLASH }, { T("PONG\0PING\0"), 5, STRANGER_FLASH },
	};
	static const struct http_limits limits = { .line = 512, .head = 1024, .headers = 10, .body = 1024 };
	char scratch[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		for (size_t len = 1; len <= table[i].len; len++) {
			struct http_scan scan = { 0 };
			struct http_request req;

			http_next(table[i].in, len, &limits, &scan, scratch, &req);
			assert_int_equal(req.kind, len < table[i].enough ? HTTP_MORE : HTTP_BAD);
			if (req.kind == HTTP_BAD)
				assert_string_equal(req.error, stranger_text(table[i].stranger));
		}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_beginnings), cmocka_unit_test(test_at_http),
	};

	return cmocka_run_group_tests_name("stranger", tests, NULL, NULL);
}
