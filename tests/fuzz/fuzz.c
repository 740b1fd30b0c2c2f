/*
 * What of an input is not yet seen is poisoned, so ASan notices a parser that looks at it; the bytes stay where they are, as they do in a
 * connection's buffer.
 */
#include "tests/fuzz/fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nettle/base16.h>
#include <sanitizer/asan_interface.h>

#define PIECES 512	/* an input is cut into: about this many at most, as each is looked at once for every piece */

void fuzz_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	abort();
}

void *fuzz_alloc(size_t len)
{
	void *p = malloc(len);

	if (p == NULL)
		fuzz_fail(__FILE__, __LINE__, "memory");
	return p;
}

void fuzz_open_bare(struct fuzz_input *in, const uint8_t *data, size_t size)
{
	*in = (struct fuzz_input){ .bytes = fuzz_alloc(size), .len = size, .seen = size, .original = data };
	if (size > 0)
		memcpy(in->bytes, data, size);
}

bool fuzz_open(struct fuzz_input *in, const uint8_t *data, size_t size)
{
	if (size < FUZZ_HEAD)
		return false;
	fuzz_open_bare(in, data + FUZZ_HEAD, size - FUZZ_HEAD);
	in->settings = data[0];
	memcpy(in->pieces, data + 1, sizeof(in->pieces));
	return true;
}

void fuzz_close(struct fuzz_input *in)
{
	ASAN_UNPOISON_MEMORY_REGION(in->bytes, in->len);
	fuzz_check(in->len == 0 || memcmp(in->bytes, in->original, in->len) == 0);
	free(in->bytes);
}

void fuzz_hide(struct fuzz_input *in)
{
	in->seen = 0;
	in->turn = 0;
	ASAN_POISON_MEMORY_REGION(in->bytes, in->len);
}

bool fuzz_more(struct fuzz_input *in)
{
	size_t piece = 1 + in->pieces[in->turn++ % sizeof(in->pieces)] + in->len / PIECES;

	if (in->seen == in->len)
		return false;
	in->seen = piece < in->len - in->seen ? in->seen + piece : in->len;
	ASAN_UNPOISON_MEMORY_REGION(in->bytes, in->seen);
	return true;
}

static void reserve(struct fuzz_log *log, size_t more)
{
	if (log->max - log->len > more)
		return;
	log->max = 2 * log->max + more + 256;
	log->text = realloc(log->text, log->max);
	fuzz_check(log->text != NULL);
}

void fuzz_say(struct fuzz_log *log, const char *format, ...)
{
	va_list args;
	int len;

	reserve(log, 256);
	va_start(args, format);
	len = vsnprintf(log->text + log->len, 256, format, args);
	va_end(args);
	fuzz_check(len >= 0 && len < 256);
	log->len += (size_t)len;
}

void fuzz_say_bytes(struct fuzz_log *log, const void *bytes, size_t len)
{
	reserve(log, BASE16_ENCODE_LENGTH(len) + 1);
	base16_encode_update(log->text + log->len, len, bytes);
	log->len += BASE16_ENCODE_LENGTH(len);
	log->text[log->len++] = '\n';
}

void fuzz_same(const struct fuzz_log *whole, const struct fuzz_log *pieces)
{
	if (whole->len == pieces->len && (whole->len == 0 || memcmp(whole->text, pieces->text, whole->len) == 0))
		return;
	fprintf(stderr, "whole:\n%.*s\nin pieces:\n%.*s\n", (int)whole->len, whole->text, (int)pieces->len, pieces->text);
	fuzz_fail(__FILE__, __LINE__, "the pieces don't matter");
}

void fuzz_log_free(struct fuzz_log *log)
{
	free(log->text);
	*log = (struct fuzz_log){ 0 };
}

long fuzz_where(const struct fuzz_input *in, const void *p)
{
	const char *at = p;

	if (at == NULL)
		return -1;
	return at >= in->bytes && at <= in->bytes + in->len ? (long)(at - in->bytes) : -2;
}
