/*
 * proto/http.c, http_head.c, http_text.c. Input is fed as a connection would: into a buffer, whose whole content is looked at again after
 * every piece; with and without what was remembered of it.
 */
#include "proto/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST /p HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static const struct http_limits limits = { .line = 64, .head = 512, .headers = 8, .body = 40 };

/* What http_next() makes of an input, one line a request: method path?query minor flags [body], or the status of an error. */
struct feed {
	char log[8192];
	size_t log_len, start;
	bool over, forget;	/* forget: the scan is lost before every call */
	struct http_scan scan;
};

static void note(struct feed *f, const char *text, size_t len)
{
	assert_true(f->log_len + len < sizeof(f->log));
	memcpy(f->log + f->log_len, text, len);
	f->log_len += len;
	f->log[f->log_len] = '\0';
}

static void note_request(struct feed *f, const struct http_request *req)
{
	char text[64];

	if (req->kind == HTTP_BAD) {
		note(f, text, (size_t)snprintf(text, sizeof(text), "!%u\n", req->status));
		assert_true(strlen(req->error) > 0);
		return;
	}
	note(f, req->name.p, req->name.len);
	note(f, " ", 1);
	note(f, req->path.p, req->path.len);
	if (req->query.p) {
		note(f, "?", 1);
		note(f, req->query.p, req->query.len);
	}
	note(f, text, (size_t)snprintf(text, sizeof(text), " %u%s%s%s%s [", req->minor, req->keep_alive ? "k" : "",
				       req->websocket ? "w" : "", req->event_stream ? "s" : "", req->expect_continue ? "e" : ""));
	note(f, req->body.p, req->body.len);
	note(f, "]\n", 2);
}

/* Takes all requests in input[f->start..end). The buffer is a block of exactly its size, scratch one of limits.body. */
static void feed_to(struct feed *f, const char *input, size_t end)
{
	while (!f->over) {
		size_t len = end - f->start;
		char *block = malloc(len > 0 ? len : 1), *scratch = malloc(limits.body);
		struct http_request req;

		assert_non_null(block);
		assert_non_null(scratch);
		memcpy(block, input + f->start, len);
		if (f->forget)
			f->scan = (struct http_scan){ 0 };
		http_next(block, len, &limits, &f->scan, scratch, &req);
		if (req.kind == HTTP_CONTINUE)
			assert_true(req.expect_continue && req.taken == 0);
		if (req.kind == HTTP_REQUEST || req.kind == HTTP_BAD) {
			struct http_request again;

			http_next(block, len, &limits, &f->scan, scratch, &again);
			assert_int_equal(again.kind, req.kind);
			assert_int_equal(again.taken, req.taken);
			assert_int_equal(again.status, req.status);
			assert_int_equal(again.body.len, req.body.len);
			note_request(f, &req);
		}
		assert_memory_equal(block, input + f->start, len);
		free(block);
		free(scratch);
		if (req.kind == HTTP_MORE || req.kind == HTTP_CONTINUE)
			return;
		f->over = req.kind == HTTP_BAD;
		assert_true(f->over || (req.taken > 0 && req.taken <= len));
		assert_true(req.taken <= limits.head + limits.body + HTTP_CHUNK_EXTRA + 2);
		f->start += req.taken;
		f->scan = (struct http_scan){ 0 };
	}
}

static const struct { const char *input, *log; } inputs[] = {
	{ GET "\r\n", "GET / 1k []\n" },
	{ "\r\n" GET "\r\n", "GET / 1k []\n" },
	{ "\r\n\r\n" GET "\r\n", "!400\n" },
	{ GET "\r\n" GET "\r\n\r\nGET /2 HTTP/1.0\r\n\r\n", "GET / 1k []\nGET / 1k []\nGET /2 0 []\n" },
	{ GET, "" },
	{ "", "" },
	/* other protocols */
	{ "\x16\x03\x01", "!400\n" },
	{ "{\"action\":", "!400\n" },
	{ "<regular-socket/>", "!400\n" },
	{ "PRI * HTTP/2.0\r\n\r\n", "!505\n" },
	/* request line */
	{ "GET /a/b%20c?x=1&y=? HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a/b%20c?x=1&y=? 1k []\n" },
	{ "GET /? HTTP/1.1\r\nHost: a\r\n\r\n", "GET /? 1k []\n" },
	{ "GET /caf\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /caf\xc3\xa9 1k []\n" },
	{ "GET http://h:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x?y 1k []\n" },
	{ "GET HTTPS://h HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1k []\n" },
	{ "GET http://h?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?q 1k []\n" },
	{ "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET http://me@h/x HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET http://me:pw@h/x HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET http://h:80:80/x HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET http://:80/x HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET http://[::1/x HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET http://[::1]:/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x 1k []\n" },
	{ "GET http://h/x HTTP/1.1\r\nHost: a:b\r\n\r\n", "!400\n" },
	{ "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * 1k []\n" },
	{ "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "get / HTTP/1.1\r\nHost: a\r\n\r\n", "get / 1k []\n" },
	{ "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "DELETE / 1k []\n" },
	{ "GET  HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET ?q HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET / x HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ " GET / HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET /\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: a\n", "!400\n" },
	{ "GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "GET / 1k []\n" },
	{ "GET / HTTP/1.10\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET / http/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET / HTTP/a.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1x1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.:\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1./\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET / HTTP/:.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET / HTTP/9.9\r\nHost: a\r\n\r\n", "!505\n" },
	{ "GET HTTP/1.1\r\nHost: a\r\n\r\n", "!400\n" },
	{ "GET\r\nHost: a\r\n\r\n", "!400\n" },
	{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "!505\n" },
	{ "GET / HTTP/0.9\r\n\r\n", "!505\n" },
	{ "\x16\x03\x01", "!400\n" },
	{ "<regular-socket/>", "!400\n" },
	{ "{\"action\":", "!400\n" },
	{ "\rGET", "!400\n" },
	/* fields */
	{ GET "A:b\r\nc:\r\nD:  e \t\r\n\r\n", "GET / 1k []\n" },
	{ GET "A: \xff\r\n\r\n", "GET / 1k []\n" },
	{ GET "A : b\r\n\r\n", "!400\n" },
	{ GET "A\t: b\r\n\r\n", "!400\n" },
	{ GET ": b\r\n\r\n", "!400\n" },
	{ GET "A\r\n\r\n", "!400\n" },
	{ GET "A: b\r\n c\r\n\r\n", "!400\n" },
	{ GET "A: b\r\n\tc: d\r\n\r\n", "!400\n" },
	{ GET "A: b\rc\r\n\r\n", "!400\n" },
	{ GET "A: b\x01\r\n\r\n", "!400\n" },
	{ GET "A: b\x7f\r\n\r\n", "!400\n" },
	{ GET "A(: b\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / 1k []\n" },
	{ GET "Host: a\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: u@b\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: a:0\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: a:000080\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: [a]\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: []\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: a]\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.1\r\nHost: a:65535\r\n\r\n", "GET / 1k []\n" },
	{ "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "GET / 1k []\n" },
	{ "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "GET / 1k []\n" },
	{ GET "Connection: close\r\n\r\n", "GET / 1 []\n" },
	{ GET "Connection: x, CLOSE\r\n\r\n", "GET / 1 []\n" },
	{ GET "Connection: keep-alive\r\nConnection: close\r\n\r\n", "GET / 1 []\n" },
	{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / 0k []\n" },
	{ GET "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n", "GET / 1kw []\n" },
	{ GET "Upgrade: websocket\r\n\r\n", "GET / 1k []\n" },
	{ GET "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", "GET / 1k []\n" },
	{ GET "Accept: text/event-stream\r\n\r\n", "GET / 1ks []\n" },
	{ GET "Accept: text/html, Text/Event-Stream ; q=0.5\r\n\r\n", "GET / 1ks []\n" },
	{ GET "Accept: text/event-stream;q=0.0, */*\r\n\r\n", "GET / 1k []\n" },
	{ GET "Accept: */*\r\nAccept: text/event-stream\r\n\r\n", "GET / 1ks []\n" },
	{ GET "Accept: text/event-stream;q=0.09\r\n\r\n", "GET / 1ks []\n" },
	{ GET "Accept: text/event-stream;v;q=0\r\n\r\n", "GET / 1k []\n" },
	{ GET "Accept: text/event-stream;q=1;xx\r\n\r\n", "GET / 1ks []\n" },
	{ GET "ORIGIN: Z\r\nCONNECTION: CLOSE\r\nUPGRADE: Z\r\n\r\n", "GET / 1 []\n" },
	{ GET "A0z9: b\r\n\r\n", "GET / 1k []\n" },
	{ GET "Accept: text/event-streams\r\n\r\n", "GET / 1k []\n" },
	{ GET "Origin: a\r\nOrigin: b\r\n\r\n", "!400\n" },
	{ GET "Sec-WebSocket-Key: a\r\nsec-websocket-key: b\r\n\r\n", "!400\n" },
	/* content */
	{ POST "Content-Length: 3\r\n\r\nabc" GET "\r\n", "POST /p 1k [abc]\nGET / 1k []\n" },
	{ POST "Content-Length: 0\r\n\r\n", "POST /p 1k []\n" },
	{ POST "Content-Length: 0040\r\n\r\n0123456789012345678901234567890123456789", "POST /p 1k [0123456789012345678901234567890123456789]\n" },
	{ POST "Content-Length: 41\r\n\r\n", "!413\n" },
	{ POST "Content-Length: 18446744073709551619\r\n\r\n", "!413\n" },
	{ POST "Content-Length: \r\n\r\n", "!400\n" },
	{ POST "Content-Length: -1\r\n\r\n", "!400\n" },
	{ POST "Content-Length: +1\r\n\r\n", "!400\n" },
	{ POST "Content-Length: 1 1\r\n\r\n", "!400\n" },
	{ POST "Content-Length: 3, 3\r\n\r\nabc", "!400\n" },
	{ POST "Content-Length: 0x3\r\n\r\nabc", "!400\n" },
	{ POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "!400\n" },
	{ POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400\n" },
	{ POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", "!400\n" },
	{ POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400\n" },
	{ POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "!501\n" },
	{ POST "Transfer-Encoding: gzip ,, Chunked \r\n\r\n0\r\n\r\n", "!501\n" },
	{ POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "!400\n" },
	{ POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "!400\n" },
	{ POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", "!400\n" },
	{ POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "!400\n" },
	{ POST "Transfer-Encoding:\r\n\r\n", "!400\n" },
	/* no length */
	{ POST "\r\n", "!411\n" },
	{ POST "\r\nabc", "!411\n" },
	{ "POST / HTTP/1.0\r\n\r\nabc", "!411\n" },
	{ "PUT /p HTTP/1.1\r\nHost: a\r\n\r\n", "PUT /p 1k []\n" },
	{ "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400\n" },
	{ "GET / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab", "GET / 0 [ab]\n" },
	{ POST "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n" GET "\r\n", "POST /p 1k []\nGET / 1k []\n" },
	{ CHUNKED "3\r\nabc\r\n04;x=\"y\"\r\ndefg\r\n0\r\n\r\n" GET "\r\n", "POST /p 1k [abcdefg]\nGET / 1k []\n" },
	{ CHUNKED "A\r\n0123456789\r\n0a\r\n0123456789\r\n00\r\nT: x\r\n\r\n", "POST /p 1k [01234567890123456789]\n" },
	{ CHUNKED "28\r\n0123456789012345678901234567890123456789\r\n0\r\n\r\n", "POST /p 1k [0123456789012345678901234567890123456789]\n" },
	{ CHUNKED "28\r\n0123456789012345678901234567890123456789\r\n0\r\n\r\n5\r\nABCDE\r\n\r\n",
	  "POST /p 1k [0123456789012345678901234567890123456789]\n!400\n" },
	{ CHUNKED "3; a\t= b;c;d=\"\\\"\t;\xff\" ;e=\"\"\r\nabc\r\n0\r\n\r\n", "POST /p 1k [abc]\n" },
	{ CHUNKED "3 ;a\r\nabc\r\n0;b\r\n\r\n", "POST /p 1k [abc]\n" },
	{ CHUNKED "3;\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3;a;\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3;a \r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3;a b\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3;a=\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3;=a\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3;a==b\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3;a=\"b\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3;a=\"\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3;a=\"b\\\"\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3;a=\"b\\\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3;a=\"b\"c\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3;a=\"b\x01\"\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "0;\r\n\r\n", "!400\n" },
	{ CHUNKED "3;a\x7f\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "29\r\n", "!413\n" },
	{ CHUNKED "20\r\n01234567890123456789012345678901\r\n9\r\n", "!413\n" },
	{ CHUNKED "ffffffffffffffffffffffff\r\n", "!413\n" },
	{ CHUNKED "10000000000000003\r\nabc\r\n0\r\n\r\n", "!413\n" },
	{ CHUNKED "\r\n", "!400\n" },
	{ CHUNKED "3\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3 \r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED " 3\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "-3\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3\r\nabcd\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3\r\nabc0\r\n\r\n", "!400\n" },
	{ CHUNKED "3\r\nabc\n\r0\r\n\r\n", "!400\n" },
	{ CHUNKED "3\r\nabc\rx", "!400\n" },
	{ CHUNKED "3;a\rb\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "3;a\x01\r\nabc\r\n0\r\n\r\n", "!400\n" },
	{ CHUNKED "0\r\nT : x\r\n\r\n", "!400\n" },
	{ CHUNKED "0\r\nT: x\n\r\n", "!400\n" },
	{ CHUNKED "0\r\n\n", "!400\n" },
	{ CHUNKED "0\r\n folded\r\n\r\n", "!400\n" },
	{ POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx", "POST /p 1ke [x]\n" },
	{ POST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", "POST /p 1k []\n" },
	{ POST "Expect: else\r\nContent-Length: 1\r\n\r\nx", "!417\n" },
	/* limits: 64, 8 */
	{ "GET /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx HTTP/1.1\r\nHost: a\r\n\r\n",
	  "GET /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx 1k []\n" },
	{ "GET /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx HTTP/1.1\r\nHost: a\r\n\r\n", "!414\n" },
	{ "GET /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "!414\n" },
	{ GET "a:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\n\r\n", "GET / 1k []\n" },
	{ GET "a:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\nh:\r\n\r\n", "!431\n" },
};

static void test_inputs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
		const char *input = inputs[i].input;
		size_t len = strlen(input);

		/* In two pieces at every place, and (cut > len) byte by byte. */
		for (size_t cut = 0; cut <= len + 1; cut++) {
			for (int forget = 0; forget < 2; forget++) {
				struct feed f = { .forget = forget };

				if (cut <= len)
					feed_to(&f, input, cut);
				else
					for (size_t end = 0; end < len; end++)
						feed_to(&f, input, end);
				feed_to(&f, input, len);
				if (strcmp(f.log, inputs[i].log) != 0)
					fail_msg("input %zu cut at %zu: %s\ngives %s", i, cut, input, f.log);
			}
		}
	}
}

/* An input made of a repeated part; the log's first line. */
static void expect_repeated(const char *before, const char *part, unsigned count, const char *after, const char *log)
{
	static char input[65536];
	struct feed f = { 0 };
	char *p = stpcpy(input, before);

	for (unsigned i = 0; i < count; i++)
		p = stpcpy(p, part);
	p = stpcpy(p, after);
	feed_to(&f, input, (size_t)(p - input) / 2);
	feed_to(&f, input, (size_t)(p - input));
	assert_string_equal(f.log, log);
}

static void test_limits(void **state)
{
	(void)state;
	/* head: 512 with the empty line; GET has 25, "A: " and line ends 7 */
	expect_repeated(GET "A: ", "x", 512 - 25 - 7, "\r\n\r\n", "GET / 1k []\n");
	expect_repeated(GET "A: ", "x", 512 - 25 - 6, "\r\n\r\n", "!431\n");
	expect_repeated(GET "A: ", "x", 600, "", "!431\n");
	expect_repeated(CHUNKED "3;", "x", 256 - 4, "\r\nabc\r\n0\r\n\r\n", "POST /p 1k [abc]\n");
	expect_repeated(CHUNKED "3;", "x", 256 - 3, "\r\nabc\r\n0\r\n\r\n", "!400\n");
	expect_repeated(CHUNKED, "1\r\nx\r\n", 40, "0\r\n\r\n", "POST /p 1k [xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]\n");
	expect_repeated(CHUNKED, "1\r\nx\r\n", 41, "0\r\n\r\n", "!413\n");
	expect_repeated(CHUNKED "0\r\n", "T: x\r\n", 682, "\r\n", "POST /p 1k []\n");
	expect_repeated(CHUNKED "0\r\nT: ", "x", 4096 - 7, "\r\n\r\n", "POST /p 1k []\n");
	expect_repeated(CHUNKED "0\r\nT: ", "x", 4096 - 6, "\r\n\r\n", "!431\n");
	expect_repeated(CHUNKED "0\r\n", "T: x\r\n", 683, "\r\n", "!431\n");
	expect_repeated(CHUNKED "0\r\nT: ", "x", 5000, "\r\n\r\n", "!431\n");
}

/* Chunks whose lines are long, with a body that is allowed to be: refused for the room they take. */
static void test_small_chunks(void **state)
{
	const struct http_limits wide = { .line = 64, .head = 512, .headers = 8, .body = 100000 };
	static char input[200000], scratch[100000];
	struct http_scan scan = { 0 };
	struct http_request req;
	char *p = stpcpy(input, CHUNKED);

	(void)state;
	while (p < input + 100000)
		p = stpcpy(p, "1\r\nx\r\n");
	http_next(input, (size_t)(p - input), &wide, &scan, scratch, &req);
	assert_int_equal(req.kind, HTTP_BAD);
	assert_int_equal(req.status, 413);
	assert_true(scan.at < sizeof(CHUNKED) + 2 * HTTP_CHUNK_EXTRA);
}

/* "100 Continue" is asked for once, and not when the body is on its way. */
static void test_continue(void **state)
{
	static const char input[] = POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab";
	const size_t head = sizeof(input) - 3;
	struct http_scan scan = { 0 };
	struct http_request req;
	char scratch[40];

	(void)state;
	http_next(input, head - 1, &limits, &scan, scratch, &req);
	assert_int_equal(req.kind, HTTP_MORE);
	http_next(input, head, &limits, &scan, scratch, &req);
	assert_int_equal(req.kind, HTTP_CONTINUE);
	assert_int_equal(req.method, HTTP_POST);
	http_next(input, head, &limits, &scan, scratch, &req);
	assert_int_equal(req.kind, HTTP_MORE);
	http_next(input, head + 1, &limits, &scan, scratch, &req);
	assert_int_equal(req.kind, HTTP_MORE);
	http_next(input, head + 2, &limits, &scan, scratch, &req);
	assert_int_equal(req.kind, HTTP_REQUEST);
	scan = (struct http_scan){ 0 };
	http_next(input, head + 1, &limits, &scan, scratch, &req);
	assert_int_equal(req.kind, HTTP_MORE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inputs),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_small_chunks),
		cmocka_unit_test(test_continue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
