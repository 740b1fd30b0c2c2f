/*
 * Frames of the flash-socket protocol. A connection's input is looked at again whenever more of it has arrived, so everything that
 * reads a frame of the peer's length goes on where the last call stopped: scan->looked. The words of the protocol are short and are
 * simply compared again.
 */
#include "proto/flash.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <nettle/base16.h>

#include "proto/sink.h"
#include "proto/stranger.h"
#include "proto/utf8.h"

#define SOCKET "<regular-socket/>"	/* the NUL behind it, here as everywhere below, is the one that ends the frame */
#define PUBLISH "PUBLISH"
#define UNKNOWN "unknown frame: frames are JSON objects with an action, PUBLISH, PING, PONG and <regular-socket/>, each with a NUL (byte 0) behind it"
#define LINE "a frame ends in a NUL (byte 0), not in a line feed"
#define BEFORE_MAX FLASH_FRAME_EXTRA	/* the object after PUBLISH starts at a smaller offset; so there is room for its NUL */

enum match { MATCH_NO, MATCH_PART, MATCH_WHOLE };

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Whether in[0..len) starts with the word, of `size` bytes with its NUL, or is the first part of it. */
static enum match match(const char *in, size_t len, const char *word, size_t size)
{
	if (memcmp(in, word, min(len, size)) != 0)
		return MATCH_NO;
	return len < size ? MATCH_PART : MATCH_WHOLE;
}

static void good(struct flash_frame *frame, enum flash_kind kind, const char *text, size_t len, size_t taken)
{
	*frame = (struct flash_frame){ .kind = kind, .text = text, .len = len, .taken = taken };
}

static void bad(struct flash_frame *frame, const char *error)
{
	*frame = (struct flash_frame){ .kind = FLASH_BAD, .error = error };
}

/* A frame that starts with white space or {. */
static void next_action(const char *in, size_t len, size_t max, struct flash_scan *scan, struct flash_frame *frame)
{
	size_t seen = min(len, max + 1);	/* text and NUL are in it, or the frame is too long */
	size_t i = min(scan->looked, seen);
	const char *nul;

	if (!scan->started) {
		while (i < seen && is_space(in[i]))
			i++;
		if (i < seen && in[i] != '{' && in[i] != '\0') {
			bad(frame, UNKNOWN);
			return;
		}
		scan->started = i < seen && in[i] == '{';
	}
	nul = memchr(in + i, '\0', seen - i);
	if (nul != NULL) {
		size_t text = (size_t)(nul - in);

		scan->looked = (uint32_t)text;
		good(frame, scan->started ? FLASH_ACTION : FLASH_NOTHING, in, text, text + 1);
		return;
	}
	scan->looked = (uint32_t)seen;
	if (len > max)
		bad(frame, "the frame is too long");
}

/* Finds the { after PUBLISH: scan->object. False if there is none, or none yet. */
static bool find_object(const char *in, size_t len, struct flash_scan *scan, struct flash_frame *frame)
{
	size_t end = min(len, BEFORE_MAX);
	size_t i = scan->looked < sizeof(PUBLISH) ? sizeof(PUBLISH) : scan->looked;
	enum match found;

	for (;;) {
		while (i < end && is_space(in[i]))
			i++;
		if (i >= BEFORE_MAX) {
			bad(frame, "too much between PUBLISH and its object");
			return false;
		}
		scan->looked = (uint32_t)i;
		if (i == len)
			return false;
		if (in[i] == '{') {
			scan->object = (uint32_t)i;
			return true;
		}
		found = match(in + i, len - i, SOCKET, sizeof(SOCKET));
		if (found == MATCH_NO)
			bad(frame, "what follows PUBLISH is not an object");
		if (found != MATCH_WHOLE)
			return false;
		i += sizeof(SOCKET);
	}
}

/* Goes through the object from scan->looked to `end`. True if the object ends there or before: scan->looked is where. False with
 * *nul set if a NUL is in the way. */
static bool scan_object(const char *in, size_t end, struct flash_scan *scan, bool *nul)
{
	struct flash_scan s = *scan;
	size_t i = s.looked;

	while (i < end && !(s.depth == 0 && i > s.object)) {
		char c = in[i];

		if (c == '\0') {
			*nul = true;
			return false;
		}
		i++;
		if (s.escaped) {
			s.escaped = 0;
		} else if (s.in_string) {
			s.in_string = c != '"';
			s.escaped = c == '\\';
		} else if (c == '"') {
			s.in_string = 1;
		} else if (c == '{' || c == '[') {
			s.depth++;
		} else if (c == '}' || c == ']') {
			s.depth--;
		}
	}
	s.looked = (uint32_t)i;
	*scan = s;
	return s.depth == 0 && i > s.object;
}

bool flash_is_lines(const char *in, size_t len, struct flash_scan *scan)
{
	struct flash_scan object = { 0 };
	bool nul = false;
	size_t end;

	if (!scan->started || scan->lines == UINT32_MAX || scan->lines == len || in[len - 1] != '\n')
		return false;
	scan->lines = (uint32_t)len;
	while (is_space(in[object.object]))
		object.object++;
	object.looked = object.object;
	if (!scan_object(in, len, &object, &nul))
		return false;
	end = object.looked;
	while (end < len && is_space(in[end]) && in[end] != '\n')
		end++;
	if (end == len || in[end] != '\n')
		return false;
	scan->lines = UINT32_MAX;
	return true;
}

/* A frame that starts with PUBLISH and its NUL. */
static void next_publish(const char *in, size_t len, size_t max, struct flash_scan *scan, struct flash_frame *frame)
{
	bool nul = false;
	size_t end;

	if (scan->object == 0 && !find_object(in, len, scan, frame))
		return;
	if (scan_object(in, scan->object + min(len - scan->object, max), scan, &nul)) {
		end = scan->looked;
		good(frame, FLASH_PUBLISH, in + scan->object, end - scan->object, end);
		if (end < len && in[end] == '\0')
			frame->taken++;
	} else if (nul) {
		bad(frame, "the object after PUBLISH has no end");
	} else if (len - scan->object > max) {
		bad(frame, "the frame is too long");
	}
}

/* It begins like none of them. Whatever is spoken, the same is found in whatever pieces it comes. */
static void next_unknown(const char *in, size_t len, struct flash_frame *frame)
{
	enum stranger stranger = stranger_find(in, len);

	if (stranger == STRANGER_PART)
		return;
	bad(frame, stranger == STRANGER_HTTP || stranger == STRANGER_TLS ? stranger_text(stranger) : UNKNOWN);
}

/* A frame that is one of the protocol's words. */
static void next_word(const char *in, size_t len, size_t max, struct flash_scan *scan, struct flash_frame *frame)
{
	static const struct {
		const char *text;
		size_t size;
	} words[] = {
		{ PUBLISH, sizeof(PUBLISH) }, { SOCKET, sizeof(SOCKET) }, { "PING", sizeof("PING") }, { "PONG", sizeof("PONG") },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		switch (match(in, len, words[i].text, words[i].size)) {
		case MATCH_NO:
			if (match(in, len, words[i].text, words[i].size - 1) == MATCH_WHOLE && (in[words[i].size - 1] == '\n' || in[words[i].size - 1] == '\r')) {
				bad(frame, LINE);
				return;
			}
			continue;
		case MATCH_PART:
			return;
		case MATCH_WHOLE:
			if (i == 0)
				next_publish(in, len, max, scan, frame);
			else
				good(frame, FLASH_NOTHING, in, words[i].size - 1, words[i].size);
			return;
		}
	}
	next_unknown(in, len, frame);
}

void flash_next(const char *in, size_t len, size_t max, struct flash_scan *scan, struct flash_frame *frame)
{
	assert(max <= FLASH_FRAME_MAX);
	good(frame, FLASH_MORE, NULL, 0, 0);
	if (len == 0)
		return;
	if (in[0] == '\0')
		good(frame, FLASH_NOTHING, in, 0, 1);
	else if (in[0] == '{' || is_space(in[0]))
		next_action(in, len, max, scan, frame);
	else
		next_word(in, len, max, scan, frame);
}

static unsigned digits(uint64_t n)
{
	unsigned count = 1;

	for (; n >= 10; n /= 10)
		count++;
	return count;
}

static char *put_number(char *dst, uint64_t n)
{
	char *end = dst + digits(n), *p = end;

	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n != 0);
	return end;
}

static char *put_bytes(char *dst, const char *text, size_t len)
{
	memcpy(dst, text, len);
	return dst + len;
}

#define PUT_LITERAL(dst, text) put_bytes(dst, text, sizeof(text) - 1)

/* Erlang's now(): millions of seconds, seconds, microseconds. */
static char *put_timestamp(char *dst, uint64_t time)
{
	uint64_t seconds = time / 1000000;

	dst = PUT_LITERAL(dst, "{\"timestamp\":[");
	dst = put_number(dst, seconds / 1000000);
	*dst++ = ',';
	dst = put_number(dst, seconds % 1000000);
	*dst++ = ',';
	dst = put_number(dst, time % 1000000);
	return PUT_LITERAL(dst, "],");
}

static size_t timestamp_size(uint64_t time)
{
	uint64_t seconds = time / 1000000;

	return sizeof("{\"timestamp\":[,,],") - 1 + digits(seconds / 1000000) + digits(seconds % 1000000) + digits(time % 1000000);
}

size_t flash_greeting(char *dst, uint64_t time, const uint8_t token[FLASH_TOKEN_BYTES])
{
	char hex[BASE16_ENCODE_LENGTH(FLASH_TOKEN_BYTES)];
	char *p = put_timestamp(dst, time);

	base16_encode_update(hex, FLASH_TOKEN_BYTES, token);
	p = PUT_LITERAL(p, "\"token\":[");
	for (unsigned i = 0; i < sizeof(hex); i++) {
		p = put_number(p, (uint8_t)hex[i]);
		*p++ = ',';
	}
	p--;	/* the last comma */
	p = PUT_LITERAL(p, "]}\1");
	return (size_t)(p - dst);
}

/* As many whole characters of the text as have room. */
static char *put_escaped(char *dst, const char *text, size_t room)
{
	const uint8_t *p = (const uint8_t *)text, *end = p + strlen(text);
	struct sink s = { .dst = dst, .room = room };

	while (p < end) {
		size_t n = *p < 0x80 ? 1 : utf8_length(p, end), before = s.len;

		n += n == 0;	/* no UTF-8: a byte of it */
		sink_json(&s, (const char *)p, n);
		if (s.len > room)
			return dst + before;
		p += n;
	}
	return dst + s.len;
}

size_t flash_error(char *dst, uint64_t time, const char *text)
{
	return flash_error_code(dst, time, 0, text);
}

size_t flash_error_code(char *dst, uint64_t time, unsigned code, const char *text)
{
	char *p = put_timestamp(dst, time), *limit = dst + FLASH_ERROR_MAX - (sizeof("\"}\1") - 1);

	if (code)
		p += sprintf(p, "\"code\":%u,", code);
	p = PUT_LITERAL(p, "\"error\":\"");
	p = put_escaped(p, text, (size_t)(limit - p));
	p = PUT_LITERAL(p, "\"}\1");
	return (size_t)(p - dst);
}

size_t flash_expires(char *dst, uint64_t time, uint64_t seconds)
{
	char *p = put_timestamp(dst, time);

	p += sprintf(p, "\"expires\":{\"in\":%llu}}\1", (unsigned long long)seconds);
	return (size_t)(p - dst);
}

size_t flash_message(char *dst, uint64_t time, const char *message, size_t len)
{
	char *p = put_bytes(put_timestamp(dst, time), message, len);

	*p++ = '\1';
	return (size_t)(p - dst);
}

size_t flash_message_size(uint64_t time, size_t len)
{
	return timestamp_size(time) + len + 1;
}
