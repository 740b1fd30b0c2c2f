/*
 * proto/flash.c: frames out of a stream, whole and in pieces, and the frames that the server sends.
 */
#include "proto/flash.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/json_fixture.h"

static const size_t limits[] = { 0, 1, 7, 20, 64, 300, 4096, FLASH_FRAME_MAX };

/* The NUL behind an object is said to be a frame of its own: whether it is depends on when it came, and on nothing else. */
static void note(struct fuzz_log *log, const struct fuzz_input *in, size_t at, const struct flash_frame *frame)
{
	size_t taken = frame->taken;
	bool nul = frame->kind == FLASH_PUBLISH && frame->text + frame->len < in->bytes + at + taken;

	fuzz_say(log, "%d at %zu takes %zu, text %ld + %zu, %s\n", (int)frame->kind, at, taken - nul, fuzz_where(in, frame->text), frame->len,
		 frame->error ? frame->error : "-");
	if (nul)
		fuzz_say(log, "%d at %zu takes 1, text %zu + 0, -\n", (int)FLASH_NOTHING, at + taken - 1, at + taken - 1);
}

static void check_frame(const struct fuzz_input *in, size_t at, size_t max, const struct flash_frame *frame)
{
	const char *start = in->bytes + at, *text = frame->text, *end = start + frame->taken;

	if (frame->kind == FLASH_BAD) {
		fuzz_check(frame->error != NULL);
		return;
	}
	fuzz_check(frame->error == NULL);
	if (frame->kind == FLASH_MORE) {
		fuzz_check(in->seen - at <= max + FLASH_FRAME_EXTRA);
		return;
	}
	fuzz_check(frame->taken > 0 && frame->taken <= in->seen - at && frame->taken <= max + FLASH_FRAME_EXTRA);
	fuzz_check(text >= start && text + frame->len <= end && memchr(text, '\0', frame->len) == NULL);
	switch (frame->kind) {
	case FLASH_PUBLISH:
		fuzz_check(memcmp(start, "PUBLISH", 8) == 0 && frame->len <= max);
		fuzz_check(*text == '{' && (text[frame->len - 1] == '}' || text[frame->len - 1] == ']'));
		fuzz_check(text + frame->len == end || (text + frame->len + 1 == end && end[-1] == '\0'));
		break;
	case FLASH_ACTION:
		fuzz_check(text == start && frame->len <= max && text + frame->len + 1 == end && end[-1] == '\0');
		fuzz_check(memchr(text, '{', frame->len) != NULL);
		break;
	default:
		fuzz_check(text == start && frame->len + 1 == frame->taken && end[-1] == '\0');
		fuzz_check(memchr(text, '{', frame->len) == NULL);
	}
}

static void check_again(const struct fuzz_input *in, size_t at, size_t max, struct flash_scan *scan, const struct flash_frame *frame)
{
	struct flash_scan lost = { 0 };
	struct flash_frame again;

	flash_next(in->bytes + at, in->seen - at, max, scan, &again);
	fuzz_check(again.kind == frame->kind && again.taken == frame->taken && again.text == frame->text && again.len == frame->len);
	flash_next(in->bytes + at, in->seen - at, max, &lost, &again);
	fuzz_check(again.kind == frame->kind && again.taken == frame->taken && again.text == frame->text && again.len == frame->len);
}

/* Goes on at *at with what is seen. False: the connection would be closed. */
static bool read_frames(const struct fuzz_input *in, size_t *at, size_t max, struct flash_scan *scan, bool twice, struct fuzz_log *log)
{
	struct flash_frame frame;

	for (;;) {
		flash_next(in->bytes + *at, in->seen - *at, max, scan, &frame);
		check_frame(in, *at, max, &frame);
		if (twice)
			check_again(in, *at, max, scan, &frame);
		if (frame.kind == FLASH_MORE)
			return true;
		note(log, in, *at, &frame);
		if (frame.kind == FLASH_BAD)
			return false;
		*at += frame.taken;
		*scan = (struct flash_scan){ 0 };
	}
}

static void check_stream(struct fuzz_input *in, size_t max)
{
	struct fuzz_log whole = { 0 }, pieces = { 0 };
	struct flash_scan scan = { 0 };
	size_t at = 0;

	read_frames(in, &at, max, &scan, false, &whole);
	scan = (struct flash_scan){ 0 };
	at = 0;
	fuzz_hide(in);
	while (fuzz_more(in) && read_frames(in, &at, max, &scan, true, &pieces))
		;
	fuzz_same(&whole, &pieces);
	fuzz_log_free(&whole);
	fuzz_log_free(&pieces);
}

/* One frame of the server's: JSON, then the byte that ends it, which stands nowhere else. */
static void check_sent(const char *frame, size_t len)
{
	fuzz_check(len > 1 && memchr(frame, '\1', len) == frame + len - 1);
	fuzz_check(json_check(frame, len - 1) == NULL);
}

static void check_encoders(const uint8_t *data, size_t size)
{
	char *text = fuzz_alloc(size + 1), *dst = fuzz_alloc(FLASH_ERROR_MAX);
	uint8_t token[FLASH_TOKEN_BYTES] = { 0 };
	uint64_t time = 0;
	size_t len;

	memcpy(text, data, size);
	text[size] = '\0';
	memcpy(&time, data, size < sizeof(time) ? size : sizeof(time));
	memcpy(token, data, size < sizeof(token) ? size : sizeof(token));
	len = flash_error(dst, time, text);
	fuzz_check(len <= FLASH_ERROR_MAX);
	check_sent(dst, len);
	len = flash_greeting(dst, time, token);
	fuzz_check(len <= FLASH_GREETING_MAX);
	check_sent(dst, len);
	free(dst);

	len = flash_message_size(time, size);
	fuzz_check(len <= size + FLASH_MESSAGE_EXTRA);
	dst = fuzz_alloc(len);
	fuzz_check(flash_message(dst, time, text, size) == len);
	fuzz_check(dst[len - 1] == '\1' && memcmp(dst + len - 1 - size, text, size) == 0);
	free(dst);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in;

	if (!fuzz_open(&in, data, size))
		return 0;
	check_stream(&in, limits[in.settings % (sizeof(limits) / sizeof(limits[0]))]);
	check_encoders(in.original, in.len);
	fuzz_close(&in);
	return 0;
}
