/*
 * proto/websocket.c: events out of a stream, whole, in pieces, and with the scan lost at every piece; and frames that the server writes, which,
 * masked, are a client's.
 */
#include "proto/websocket.h"

#include <stdlib.h>
#include <string.h>

#include "proto/utf8.h"
#include "tests/fuzz/fuzz.h"

#define CONTROL_MAX 125

static const size_t limits[] = { 0, 1, 5, 125, 126, 300, 4096, 70000 };

struct stream {
	struct fuzz_input *in;
	size_t max, at;
	char *scratch;
	struct websocket_scan scan;
	struct fuzz_log log;
	bool lossy;		/* pings and pongs are not logged: they may be reported again */
};

/* The frames of a message that was taken, read by the letter of the standard: p[0..end) is it, and nothing else. */
static void check_message(const uint8_t *p, const uint8_t *end, const struct websocket_event *e)
{
	unsigned opcode = e->kind == WEBSOCKET_TEXT ? 1 : 2;
	size_t used = 0;

	for (bool final = false; !final; ) {
		bool control = end - p >= 6 && (p[0] & 8);
		uint64_t len = end - p >= 6 ? p[1] & 0x7f : 0;
		size_t extra = len < 126 ? 0 : len == 126 ? 2 : 8;

		fuzz_check(end - p >= 6 + (long)extra && (p[0] & 0x70) == 0 && (p[1] & 0x80) != 0);
		fuzz_check(control ? p[0] == 0x89 || p[0] == 0x8a : (p[0] & 15u) == opcode);
		final = !control && (p[0] & 0x80);
		opcode = control ? opcode : 0;
		p += 2;
		for (size_t i = 0; i < extra; i++)
			len = (i == 0 ? 0 : len << 8) | *p++;
		fuzz_check(extra == 0 || len >= (extra == 2 ? 126 : 65536));
		fuzz_check(len <= (size_t)(end - p - 4) && (!control || len <= CONTROL_MAX));
		for (size_t i = 0; i < len && !control; i++, used++)
			fuzz_check(used < e->len && (uint8_t)e->text[used] == (p[4 + i] ^ p[i & 3]));
		p += 4 + len;
	}
	fuzz_check(p == end && used == e->len);
}

static void check_event(const struct stream *s, const struct websocket_event *e)
{
	size_t left = s->in->seen - s->at, most = s->max + s->max / WEBSOCKET_EXTRA_OF + WEBSOCKET_EXTRA + 14;
	const char *end = s->scratch + (s->max > CONTROL_MAX ? s->max : CONTROL_MAX);

	fuzz_check(e->taken <= left && e->taken <= most && s->scan.at <= left);
	fuzz_check(e->kind != WEBSOCKET_MORE || (e->taken == 0 && left <= most));
	fuzz_check((e->kind == WEBSOCKET_BAD) == (e->error != NULL));
	fuzz_check(e->kind != WEBSOCKET_BAD || (e->code >= 1000 && e->code != WEBSOCKET_NO_CODE));
	if (e->kind == WEBSOCKET_MORE || e->kind == WEBSOCKET_BAD)
		return;
	fuzz_check(e->text >= s->scratch && e->text + e->len <= end);
	if (e->kind == WEBSOCKET_TEXT || e->kind == WEBSOCKET_BINARY) {
		const uint8_t *p = (const uint8_t *)s->in->bytes + s->at;

		fuzz_check(e->taken > 0 && e->len <= s->max);
		check_message(p, p + e->taken, e);
	} else {
		fuzz_check(e->len <= CONTROL_MAX);
	}
	fuzz_check((e->kind != WEBSOCKET_TEXT && e->kind != WEBSOCKET_CLOSE) || utf8_text(e->text, e->len));
}

static void note(struct stream *s, const struct websocket_event *e)
{
	if (s->lossy && (e->kind == WEBSOCKET_PING || e->kind == WEBSOCKET_PONG))
		return;
	fuzz_say(&s->log, "%d at %zu takes %zu, code %u, %s: ", (int)e->kind, s->at, e->taken, e->code, e->error ? e->error : "-");
	fuzz_say_bytes(&s->log, e->text, e->kind == WEBSOCKET_BAD ? 0 : e->len);
}

/* Goes on with what is seen. False: the connection would be closed. */
static bool read_events(struct stream *s)
{
	for (;;) {
		struct websocket_event e;
		uint32_t before = s->scan.at;

		websocket_next(s->in->bytes + s->at, s->in->seen - s->at, s->max, &s->scan, s->scratch, &e);
		check_event(s, &e);
		if (e.kind == WEBSOCKET_MORE)
			return true;
		note(s, &e);
		if (e.kind == WEBSOCKET_BAD || e.kind == WEBSOCKET_CLOSE)
			return false;
		fuzz_check(e.taken > 0 || s->scan.at > before);
		s->at += e.taken;
		if (e.taken > 0)
			s->scan = (struct websocket_scan){ 0 };
	}
}

static void read_pieces(struct stream *s)
{
	fuzz_hide(s->in);
	while (fuzz_more(s->in)) {
		if (s->lossy)
			s->scan = (struct websocket_scan){ 0 };
		if (!read_events(s))
			break;
	}
	while (fuzz_more(s->in))
		;
}

static void check_stream(struct fuzz_input *in, size_t max)
{
	char *scratch = fuzz_alloc(max > CONTROL_MAX ? max : CONTROL_MAX);

	for (int lossy = 0; lossy < 2; lossy++) {
		struct stream whole = { .in = in, .max = max, .scratch = scratch, .lossy = lossy }, pieces = whole;

		read_events(&whole);
		read_pieces(&pieces);
		fuzz_same(&whole.log, &pieces.log);
		fuzz_log_free(&whole.log);
		fuzz_log_free(&pieces.log);
	}
	free(scratch);
}

/* A frame of the server's as a client would send it, read. The event's text is in scratch. */
static void read_masked(const char *frame, size_t header, size_t len, const uint8_t mask[4], char *scratch, struct websocket_event *e)
{
	char *masked = fuzz_alloc(len + 4);
	struct websocket_scan scan = { 0 };

	memcpy(masked, frame, header);
	masked[1] = (char)(masked[1] | 0x80);
	memcpy(masked + header, mask, 4);
	for (size_t i = header; i < len; i++)
		masked[i + 4] = (char)((uint8_t)frame[i] ^ mask[(i - header) & 3]);
	websocket_next(masked, len + 4, 70000, &scan, scratch, e);
	fuzz_check(e->taken == len + 4);
	free(masked);
}

static void check_encoders(const struct fuzz_input *in)
{
	const uint8_t mask[4] = { in->settings, in->pieces[0], in->pieces[1], in->pieces[2] };
	uint16_t code = (uint16_t)(1000 + in->pieces[0] % 4);
	char *scratch = fuzz_alloc(70000), *frame = fuzz_alloc(WEBSOCKET_HEADER_MAX + in->len), *text = fuzz_alloc(in->len + 1);
	char *control = fuzz_alloc(WEBSOCKET_CONTROL_MAX);
	size_t header = websocket_header(frame, WEBSOCKET_OP_BINARY, in->len), len;
	struct websocket_event e;

	fuzz_check(header == websocket_header_size(in->len));
	memcpy(frame + header, in->bytes, in->len);
	read_masked(frame, header, header + in->len, mask, scratch, &e);
	fuzz_check(e.kind == WEBSOCKET_BINARY && e.len == in->len && memcmp(e.text, in->bytes, e.len) == 0);

	len = websocket_control(control, WEBSOCKET_OP_PONG, in->bytes, in->len);
	fuzz_check(len <= WEBSOCKET_CONTROL_MAX);
	read_masked(control, 2, len, mask, scratch, &e);
	fuzz_check(e.kind == WEBSOCKET_PONG && e.len == (in->len < CONTROL_MAX ? in->len : CONTROL_MAX));
	fuzz_check(memcmp(e.text, in->bytes, e.len) == 0);

	memcpy(text, in->bytes, in->len);
	text[in->len] = '\0';
	if (utf8_text(text, strlen(text))) {
		len = websocket_close(control, code, text);
		fuzz_check(len <= WEBSOCKET_CONTROL_MAX);
		read_masked(control, 2, len, mask, scratch, &e);
		fuzz_check(e.kind == WEBSOCKET_CLOSE && e.code == code && strncmp(e.text, text, e.len) == 0);
	}
	free(control);
	free(text);
	free(frame);
	free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in;

	if (!fuzz_open(&in, data, size))
		return 0;
	check_stream(&in, limits[in.settings % (sizeof(limits) / sizeof(limits[0]))]);
	check_encoders(&in);
	fuzz_close(&in);
	return 0;
}
