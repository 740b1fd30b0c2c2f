/*
 * HTTP/1.1 and 1.0 requests (RFC 9110, RFC 9112), as a server sees them. No I/O, no allocation, and the input is never written to: a
 * connection's input can be parsed again after a crash.
 *
 * Strict where leniency lets two programs disagree on where a request ends: every line ends in CR LF; no space before a colon, no
 * folded lines; Content-Length and Transfer-Encoding at most once and not together; the only transfer coding is chunked; chunk lines
 * by the letter; a POST says how long its body is. Anything else is HTTP_BAD with the status to answer, and the connection is to be closed.
 *
 * Why no library: llhttp is not in Debian 12 (it is from 13 on), http-parser has had no maintainer since 2020, picohttpparser is not
 * packaged for C. And all of those push events out of bytes they see once, where Janus needs a unit that can be looked at again.
 */
#ifndef PROTO_HTTP_H
#define PROTO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_BODY_MAX (1u << 30)	/* the largest limits->body */
#define HTTP_HEAD_MAX 65535u		/* the largest limits->head */
#define HTTP_CHUNK_EXTRA 16384		/* what a chunked body may take up beyond its content, trailers too */

enum http_kind {
	HTTP_MORE,		/* no whole request yet */
	HTTP_CONTINUE,		/* none yet, and the client waits for "100 Continue" before it sends the body: HTTP_100 */
	HTTP_REQUEST,		/* a whole request with its body, `taken` bytes */
	HTTP_BAD,		/* answer `status` with `error`, then close */
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OPTIONS, HTTP_OTHER };

/* Header fields that are kept. Those up to HTTP_AUTHORIZATION may stand only once; of the others the first one is kept. */
enum http_field {
	HTTP_HOST,
	HTTP_CONTENT_LENGTH,
	HTTP_TRANSFER_ENCODING,
	HTTP_CONTENT_TYPE,
	HTTP_ORIGIN,
	HTTP_WEBSOCKET_KEY,
	HTTP_WEBSOCKET_VERSION,
	HTTP_REQUEST_METHOD,		/* Access-Control-Request-Method */
	HTTP_IDEMPOTENCY_KEY,		/* see http_key.h */
	HTTP_LAST_EVENT_ID,
	HTTP_AUTHORIZATION,
	HTTP_REQUEST_HEADERS,		/* Access-Control-Request-Headers */
	HTTP_ACCEPT,
	HTTP_CONNECTION,
	HTTP_UPGRADE,
	HTTP_WEBSOCKET_PROTOCOL,
	HTTP_EXPECT,
	HTTP_CONTENT_ENCODING,
	HTTP_ACCEPT_LANGUAGE,
	HTTP_FETCH_SITE,		/* Sec-Fetch-Site */
	HTTP_FETCH_MODE,		/* Sec-Fetch-Mode */
	HTTP_IF_NONE_MATCH,
	HTTP_COOKIE,
	HTTP_FIELDS
};

/* A range of bytes. `p` is NULL when there is none, which is not the same as an empty one. */
struct http_text {
	const char *p;
	size_t len;
};

/* host[:port], see http_origin.h. */
struct http_authority {
	struct http_text host;	/* may be empty; p NULL: there is none */
	unsigned port;		/* 0 none */
};

struct http_limits {
	uint32_t line;		/* bytes of the request line, without CR LF; more: 414 */
	uint32_t head;		/* bytes of request line and header fields with all line ends, <= HTTP_HEAD_MAX; more: 431 */
	uint32_t headers;	/* header fields, < 65535; more: 431 */
	uint32_t body;		/* bytes of content, <= HTTP_BODY_MAX; more: 413 */
};

/* How far the request at the start of the buffer has been looked through. Zero it when the buffer's start moves to another
 * request; losing it costs time, and at worst a second "100 Continue". */
struct http_scan {
	uint32_t looked;	/* bytes without the head's end */
	uint32_t head;		/* length of the head, 0 not known yet */
	uint32_t at;		/* chunked: where the next chunk's line begins; else where the request ends */
	uint32_t body;		/* chunked: bytes of content before `at` */
	uint16_t lines;		/* of the head, before `looked` */
	uint8_t chunked, continued;
};

struct http_request {
	enum http_kind kind;
	size_t taken;		/* bytes of the buffer; the next request, if the client pipelines, begins there */
	unsigned status;	/* HTTP_BAD */
	const char *error;	/* HTTP_BAD; static, fit for the peer */

	/* HTTP_REQUEST (HTTP_CONTINUE: all but the body). Ranges of the buffer. */
	enum http_method method;
	struct http_text name;	/* of the method, as sent */
	struct http_text path;	/* begins with /; "*" for OPTIONS; not decoded */
	struct http_text query;	/* behind the ?, not decoded; p NULL: no ? */
	struct http_authority authority;	/* whom it is for: the target's if it has one, else the Host field's */
	unsigned minor;		/* version 1.0 or 1.1: which the answer is to be of */
	bool keep_alive;
	bool websocket;		/* asks to become a WebSocket: Upgrade and Connection say so; see websocket_check() */
	bool event_stream;	/* accepts text/event-stream by name */
	bool html;		/* accepts text/html by name */
	bool encoded;		/* the body has a Content-Encoding, other than identity */
	bool expect_continue;
	bool chunked;
	struct http_text field[HTTP_FIELDS];	/* without the white space around */
	struct http_text body;	/* a chunked one is in `scratch` */
};

/*
 * Looks for the first request in in[0..len). `scratch` has room for limits->body bytes; it is written to only when a chunked request is
 * whole. A call with the same bytes returns the same again, but for HTTP_CONTINUE, which comes once. One empty line ahead of the
 * request is taken with it. A request takes up at most limits->head + limits->body + HTTP_CHUNK_EXTRA + 2 bytes. What an input is
 * cut into, and the error, does not depend on the pieces it arrives in.
 */
void http_next(const char *in, size_t len, const struct http_limits *limits, struct http_scan *scan, char *scratch,
	       struct http_request *req);

/* Of a request that is bad, or not whole: what an answer to it depends on, as far as it is there and makes sense. That is method, minor,
 * authority, and the fields Host and Origin. The rest of *req is zero. */
void http_glance(const char *in, size_t len, struct http_request *req);

#define HTTP_100 "HTTP/1.1 100 Continue\r\n\r\n"

/* ---- parts of a request ---- */

#define HTTP_SEGMENTS_MAX 4

/* The path's segments, not decoded: /sub/a%2Cb,c has "sub" and "a%2Cb,c", / has one that is empty. */
struct http_path {
	unsigned count;		/* 1 to HTTP_SEGMENTS_MAX */
	struct http_text segment[HTTP_SEGMENTS_MAX];
};

/* Splits at /. False: more than HTTP_SEGMENTS_MAX (404), or it does not begin with /. Nothing is decoded or checked. */
bool http_path(struct http_text path, struct http_path *out);

/* Takes the next part of a list separated by `by` off its front: false when there is none left. "" has one, which is empty; "a," has "a"
 * and "". The list's p is NULL when the last one is taken. */
bool http_list_next(struct http_text *list, char by, struct http_text *item);

/* Takes the next parameter off the query's front; no = is an empty value; empty parameters are skipped. Not decoded. */
bool http_query_next(struct http_text *query, struct http_text *name, struct http_text *value);

/* Resolves %XX, and + as a space if `plus` (queries). Returns the length; or -1 and *error: a % without two hex digits, longer than max, not
 * UTF-8, control characters (U+0000 to U+001F, U+007F to U+009F). */
int http_decode(struct http_text raw, bool plus, char *dst, size_t max, const char **error);

bool http_is(struct http_text text, const char *value);			/* the same, but for the case of ASCII letters */
bool http_has_token(struct http_text list, const char *token);		/* in a comma-separated list */
bool http_media_type_is(struct http_text type, const char *value);	/* Content-Type, parameters aside */

#endif
