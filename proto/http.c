/*
 * Where a request ends. First the head's end is looked for, line by line, each byte once; only a whole head is parsed (http_head.c), again
 * whenever its body was not whole, unless scan->at tells that it still is not. Then come the content's bytes, or chunks.
 *
 * Errors are found in the order of the bytes and do not depend on what follows them, so the pieces an input comes in don't matter.
 */
#include "proto/http.h"

#include <assert.h>
#include <string.h>

#include "proto/hex.h"
#include "proto/http_text.h"
#include "proto/stranger.h"

#define CHUNK_LINE_MAX 256	/* with extensions and CR LF */
#define TRAILER_MAX 4096
#define SMALL_MAX (HTTP_CHUNK_EXTRA - TRAILER_MAX - CHUNK_LINE_MAX - 2)	/* chunk lines and line ends */

enum step { STEP_MORE, STEP_DONE, STEP_BAD };

static enum step bad(struct http_request *req, unsigned status, const char *error)
{
	http_bad(req, status, error);
	return STEP_BAD;
}

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* No request line. By its first byte alone, so that it does not matter in which pieces it comes. */
static enum step bad_start(const char *at, struct http_request *req)
{
	const char *stranger = *at == '<' ? stranger_text(STRANGER_FLASH) : stranger_text(stranger_find(at, 1));

	return bad(req, 400, stranger != NULL ? stranger : "this is not an HTTP request");
}

/* PUBLISH, PING or PONG, with the NUL that ends them, begin like a method. */
static bool is_flash(const char *in, size_t len)
{
	return *in == 'P' && ((len >= 8 && memcmp(in, "PUBLISH", 8) == 0) || (len >= 5 && (memcmp(in, "PING", 5) == 0 || memcmp(in, "PONG", 5) == 0)));
}

/* Sets *start to where the request line begins. */
static enum step find_start(const char *in, size_t len, size_t *start, struct http_request *req)
{
	*start = in[0] == '\r' ? 2 : 0;
	if (*start == 2 && len > 1 && in[1] != '\n')
		return bad(req, 400, "a line does not end in CR LF");
	if (len <= *start)
		return STEP_MORE;
	if (!http_is_token(in[*start]))
		return bad_start(in + *start, req);
	return is_flash(in + *start, len - *start) ? bad(req, 400, stranger_text(STRANGER_FLASH)) : STEP_DONE;
}

/* Sets scan->head. */
static enum step find_head(const char *in, size_t len, size_t start, const struct http_limits *limits, struct http_scan *scan,
			   struct http_request *req)
{
	size_t i = scan->looked > start ? scan->looked : start;
	size_t end = min(len, start + limits->head);
	const char *nl;

	while ((nl = memchr(in + i, '\n', end - i)) != NULL) {
		size_t at = (size_t)(nl - in);

		if (scan->lines == 0 && at - start > (size_t)limits->line + 1)
			return bad(req, 414, "the request line is too long");
		if (in[at - 1] != '\r')
			return bad(req, 400, "a line does not end in CR LF");
		if (in[at - 2] == '\n') {
			scan->head = (uint32_t)at + 1;
			return STEP_DONE;
		}
		if (scan->lines++ > limits->headers)
			return bad(req, 431, "too many header fields");
		i = at + 1;
		scan->looked = (uint32_t)i;
	}
	scan->looked = (uint32_t)end;
	if (scan->lines == 0 && end - start > (size_t)limits->line + 1)
		return bad(req, 414, "the request line is too long");
	if (len - start >= limits->head)
		return bad(req, 431, "the header fields are too long");
	return STEP_MORE;
}

/* A chunk's line in[at..): its length with CR LF, and the chunk's size, cut off at HTTP_BODY_MAX + 1. */
static enum step chunk_line(const char *in, size_t len, size_t at, size_t *line, size_t *size, struct http_request *req)
{
	const char *nl = memchr(in + at, '\n', min(len - at, CHUNK_LINE_MAX)), *p = in + at;

	if (nl == NULL && len - at < CHUNK_LINE_MAX)
		return STEP_MORE;
	if (nl == NULL)
		return bad(req, 400, "a chunk's line is too long");
	*line = (size_t)(nl - p) + 1;
	*size = 0;
	for (int digit; p < nl && (digit = hex_digit(*p)) >= 0; p++)
		*size = min(*size * 16 + (unsigned)digit, HTTP_BODY_MAX + 1);
	if (p == in + at)
		return bad(req, 400, "a chunk has no size");
	if (nl[-1] != '\r' || !http_is_chunk_extension((struct http_text){ p, (size_t)(nl - p) - 1 }))
		return bad(req, 400, "a chunk's line is malformed");
	return STEP_DONE;
}

/* The trailer fields from in[at..) on, which are checked and ignored; *end is behind the empty line. */
static enum step trailers(const char *in, size_t len, size_t at, size_t *end, struct http_request *req)
{
	size_t from = at, limit = min(len, at + TRAILER_MAX);
	const char *nl;

	while ((nl = memchr(in + at, '\n', limit - at)) != NULL) {
		struct http_text name, value, line = { in + at, (size_t)(nl - in) - at };
		const char *error;

		if (line.len == 0 || line.p[line.len - 1] != '\r')
			return bad(req, 400, "a line does not end in CR LF");
		line.len--;
		at += line.len + 2;
		*end = at;
		if (line.len == 0)
			return STEP_DONE;
		error = http_split_field(line, &name, &value);
		if (error != NULL)
			return bad(req, 400, error);
	}
	return len - from < TRAILER_MAX ? STEP_MORE : bad(req, 431, "the trailer fields are too long");
}

/* Goes on through the chunks from scan->at. Done: *end is where the request ends, scan->body the length of its content. */
static enum step find_chunks(const char *in, size_t len, const struct http_limits *limits, struct http_scan *scan, size_t *end,
			     struct http_request *req)
{
	for (;;) {
		size_t line, size;
		enum step step = chunk_line(in, len, scan->at, &line, &size, req);

		if (step != STEP_DONE)
			return step;
		if (size == 0)
			return trailers(in, len, scan->at + line, end, req);
		if (size > limits->body - scan->body)
			return bad(req, 413, "the body is too long");
		if (scan->at + line - scan->head - scan->body > SMALL_MAX)
			return bad(req, 413, "the body's chunks are too small");
		line += size;
		if (len - scan->at < line + 2) {
			if (len - scan->at > line && in[scan->at + line] != '\r')
				return bad(req, 400, "a chunk does not end where it says");
			return STEP_MORE;
		}
		if (memcmp(in + scan->at + line, "\r\n", 2) != 0)
			return bad(req, 400, "a chunk does not end where it says");
		scan->at += (uint32_t)line + 2;
		scan->body += (uint32_t)size;
	}
}

/* Copies the chunks of a body that find_chunks() has been through. */
static void gather(const char *in, size_t len, size_t at, char *dst)
{
	struct http_request ignored;
	size_t line, size;

	while (chunk_line(in, len, at, &line, &size, &ignored) == STEP_DONE && size > 0) {
		memcpy(dst, in + at + line, size);
		dst += size;
		at += line + size + 2;
	}
}

/* The body of a request whose head was parsed. */
static enum step find_body(const char *in, size_t len, const struct http_limits *limits, struct http_scan *scan, char *scratch,
			   struct http_request *req)
{
	size_t end = scan->at;

	if (!scan->chunked) {
		if (len < end)
			return STEP_MORE;
		req->body = (struct http_text){ in + scan->head, end - scan->head };
	} else {
		enum step step = find_chunks(in, len, limits, scan, &end, req);

		if (step != STEP_DONE)
			return step;
		gather(in, len, scan->head, scratch);
		req->body = (struct http_text){ scratch, scan->body };
	}
	req->taken = end;
	return STEP_DONE;
}

/* With a whole head. */
static enum step with_head(const char *in, size_t len, size_t start, const struct http_limits *limits, struct http_scan *scan,
			   char *scratch, struct http_request *req)
{
	uint64_t length;
	enum step step;

	if (scan->at > 0 && !scan->chunked && len < scan->at && scan->continued)
		return STEP_MORE;
	if (!http_parse_head(in, start, scan->head, req, &length))
		return STEP_BAD;
	if (length > limits->body)
		return bad(req, 413, "the body is too long");
	if (scan->at == 0) {
		scan->chunked = req->chunked;
		scan->at = scan->head + (uint32_t)length;
	}
	step = find_body(in, len, limits, scan, scratch, req);
	if (step == STEP_MORE && req->expect_continue && !scan->continued && len == scan->head)
		req->kind = HTTP_CONTINUE;
	if (step == STEP_MORE)
		scan->continued = 1;	/* asked or too late */
	return step;
}

void http_next(const char *in, size_t len, const struct http_limits *limits, struct http_scan *scan, char *scratch,
	       struct http_request *req)
{
	enum step step;
	size_t start;

	assert(limits->head <= HTTP_HEAD_MAX && limits->headers < 65535 && limits->body <= HTTP_BODY_MAX);
	*req = (struct http_request){ .kind = HTTP_MORE };
	if (len == 0)
		return;
	step = find_start(in, len, &start, req);
	if (step == STEP_DONE && scan->head == 0)
		step = find_head(in, len, start, limits, scan, req);
	if (step == STEP_DONE)
		step = with_head(in, len, start, limits, scan, scratch, req);
	if (step == STEP_DONE)
		req->kind = HTTP_REQUEST;
}
