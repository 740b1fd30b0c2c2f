/*
 * proto/http_response.c: whole answers, byte for byte; and too little room.
 */
#include "proto/http_response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TIME 784111777000000u		/* RFC 9110's example: Sun, 06 Nov 1994 08:49:37 GMT */
#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define ORIGIN { "http://x", 8 }

enum writer { ANSWER, STREAM, ERROR, PREFLIGHT };

static const struct {
	enum writer writer;
	struct http_answer answer;
	const char *text, *want;
} cases[] = {
	{ ANSWER, { .status = 200, .minor = 1, .keep_alive = true, .type = HTTP_JSON }, "{}",
	  "HTTP/1.1 200 OK\r\n" DATE "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" },
	{ ANSWER, { .status = 200, .minor = 0, .keep_alive = true }, "",
	  "HTTP/1.1 200 OK\r\n" DATE "Connection: keep-alive\r\nContent-Length: 0\r\n\r\n" },
	{ ANSWER, { .status = 404, .minor = 1, .head = true, .fields = "A: b\r\n" }, "gone",
	  "HTTP/1.1 404 Not Found\r\n" DATE "A: b\r\nConnection: close\r\nContent-Length: 4\r\n\r\n" },
	{ ANSWER, { .status = 204, .minor = 1, .keep_alive = true }, "", "HTTP/1.1 204 No Content\r\n" DATE "\r\n" },
	{ ANSWER, { .status = 304, .minor = 1, .keep_alive = true }, "", "HTTP/1.1 304 Not Modified\r\n" DATE "\r\n" },
	{ ANSWER, { .status = 599, .minor = 1, .keep_alive = true, .origin = { "*", 1 } }, "x",
	  "HTTP/1.1 599 Error\r\n" DATE "Access-Control-Allow-Origin: *\r\nContent-Length: 1\r\n\r\nx" },
	{ STREAM, { .status = 200, .minor = 1, .keep_alive = true, .type = HTTP_EVENT_STREAM, .origin = ORIGIN, .fields = HTTP_STREAM_FIELDS }, "",
	  "HTTP/1.1 200 OK\r\n" DATE "Content-Type: text/event-stream\r\nAccess-Control-Allow-Origin: http://x\r\nVary: Origin\r\n"
	  "Cache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n" },
	{ STREAM, { .status = 200, .minor = 0, .keep_alive = true }, "", "HTTP/1.1 200 OK\r\n" DATE "Connection: close\r\n\r\n" },
	{ ERROR, { .status = 400, .minor = 1, .keep_alive = true }, "say \"it\"\n",
	  "HTTP/1.1 400 Bad Request\r\n" DATE "Content-Type: application/json\r\nContent-Length: 29\r\n\r\n{\"error\":\"say \\\"it\\\"\\u000a\"}\n" },
	{ ERROR, { .status = 400, .minor = 1 }, "\xc3\xa9 \xff\x80 \xc3",
	  "HTTP/1.1 400 Bad Request\r\n" DATE "Content-Type: application/json\r\nConnection: close\r\nContent-Length: 20\r\n\r\n{\"error\":\"\xc3\xa9 ?? ?\"}\n" },
	{ PREFLIGHT, { .status = 200, .minor = 1, .keep_alive = true, .origin = ORIGIN }, "content-type",
	  "HTTP/1.1 204 No Content\r\n" DATE "Access-Control-Allow-Origin: http://x\r\nVary: Origin\r\nAccess-Control-Allow-Methods: GET, POST\r\n"
	  "Access-Control-Allow-Headers: content-type\r\nAccess-Control-Max-Age: 86400\r\n\r\n" },
};

static size_t write_case(size_t i, char *dst, size_t room)
{
	struct http_answer answer = cases[i].answer;
	const char *text = cases[i].text;

	answer.time = TIME;
	switch (cases[i].writer) {
	case ANSWER: return http_answer(dst, room, &answer, text, strlen(text));
	case STREAM: return http_stream(dst, room, &answer);
	case ERROR: return http_error(dst, room, &answer, text);
	case PREFLIGHT: return http_preflight(dst, room, &answer, "GET, POST", (struct http_text){ text, strlen(text) });
	}
	return 0;
}

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char got[HTTP_ANSWER_MAX + 1];
		size_t len = write_case(i, got, sizeof(got) - 1);

		got[len] = '\0';
		assert_string_equal(got, cases[i].want);
		for (size_t room = 0; room < len; room++) {
			char *block = malloc(room ? room : 1);

			assert_non_null(block);
			assert_int_equal(write_case(i, block, room), 0);
			free(block);
		}
		assert_int_equal(write_case(i, got, len), len);
	}
}

/* An error text that does not fit gives way to the status's name. */
static void test_long_error(void **state)
{
	const struct http_answer answer = { .status = 400, .minor = 1, .time = TIME };
	char text[3000], got[HTTP_ANSWER_MAX];
	size_t len;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	len = http_error(got, sizeof(got), &answer, text);
	assert_true(len > 24);
	assert_memory_equal(got + len - 24, "{\"error\":\"Bad Request\"}\n", 24);
}

/* Every status that is answered anywhere has a name; they are the registry's. */
static void test_reasons(void **state)
{
	static const struct { unsigned status; const char *reason; } reasons[] = {
		{ 101, "Switching Protocols" }, { 200, "OK" }, { 204, "No Content" }, { 304, "Not Modified" }, { 400, "Bad Request" },
		{ 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" }, { 406, "Not Acceptable" },
		{ 408, "Request Timeout" }, { 409, "Conflict" }, { 413, "Content Too Large" }, { 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" }, { 417, "Expectation Failed" }, { 422, "Unprocessable Content" }, { 426, "Upgrade Required" },
		{ 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
		{ 501, "Not Implemented" }, { 503, "Service Unavailable" }, { 505, "HTTP Version Not Supported" }, { 0, "Error" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		assert_string_equal(http_reason(reasons[i].status), reasons[i].reason);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_answers), cmocka_unit_test(test_long_error), cmocka_unit_test(test_reasons) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
