/*
 * What the server answers in HTTP. Every writer puts a whole answer, or the head of one that goes on, into dst[0..room) and returns
 * its length; 0: it did not fit (HTTP_ANSWER_MAX and the body's length are enough for any).
 */
#ifndef PROTO_HTTP_RESPONSE_H
#define PROTO_HTTP_RESPONSE_H

#include "proto/http.h"

#define HTTP_ANSWER_MAX 2048	/* head; with an Origin of at most HTTP_ORIGIN_MAX bytes and `fields` of at most 512 */
#define HTTP_ORIGIN_MAX 512

struct http_answer {
	unsigned status;
	uint64_t time;			/* microseconds since 1970 */
	unsigned minor;			/* of the request: 1.0 or 1.1 */
	bool keep_alive;		/* the connection goes on after this */
	bool head;			/* the request was HEAD: no body is written */
	const char *type;		/* Content-Type, NULL none */
	struct http_text origin;	/* an Origin that is allowed to read this, or "*"; p NULL: none. As sent, so Vary says Origin */
	bool credentials;		/* and may do so with cookies and the like; not with "*" */
	const char *fields;		/* more lines, each with its CR LF, or NULL */
};

#define HTTP_JSON "application/json"
#define HTTP_EVENT_STREAM "text/event-stream"
#define HTTP_NDJSON "application/x-ndjson"
#define HTTP_HTML "text/html; charset=utf-8"
#define HTTP_JAVASCRIPT "text/javascript; charset=utf-8"
#define HTTP_STREAM_FIELDS "Cache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\n"	/* for proxies: pass it on at once, as it is */
#define HTTP_LAST_CHUNK "0\r\n\r\n"

/* A whole answer: status line, fields, Content-Length (not for 204 and 304) and body. */
size_t http_answer(char *dst, size_t room, const struct http_answer *answer, const char *body, size_t len);

/* The head of an answer whose end is not known: chunked for 1.1 (end it with HTTP_LAST_CHUNK), for 1.0 it ends with the connection. With
 * `head` the answer is complete. */
size_t http_stream(char *dst, size_t room, const struct http_answer *answer);

/* {"error":"text"}; answer->type is set here. The text is escaped. 429 and 503 say when to try again. */
size_t http_error(char *dst, size_t room, const struct http_answer *answer, const char *text);

/* 204 to a CORS preflight, with the origin of `answer`. methods: "GET, POST". `headers` is what Access-Control-Request-Headers asked for,
 * which is granted as it stands; p NULL none. */
size_t http_preflight(char *dst, size_t room, const struct http_answer *answer, const char *methods, struct http_text headers);

/* "OK", "Not Found"; "Error" for a status that is not known. */
const char *http_reason(unsigned status);

#endif
