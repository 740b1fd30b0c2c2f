/*
 * The key of a request that may be repeated.
 */
#include "proto/http_key.h"

#include <stdbool.h>
#include <string.h>

static int fail(const char **error, const char *text)
{
	*error = text;
	return -1;
}

/* What stands behind the opening quote: the closing one must be its end, so there are no parameters. */
static int take_quoted(struct http_text in, char dst[HTTP_KEY_MAX], const char **error)
{
	size_t i = 0, len = 0;

	while (i < in.len && in.p[i] != '"') {
		bool escaped = in.p[i] == '\\';

		i += escaped;
		if (i == in.len || in.p[i] < ' ' || in.p[i] > '~' || (escaped && in.p[i] != '"' && in.p[i] != '\\'))
			return fail(error, "the Idempotency-Key is no string of structured fields (\"abc\")");
		if (len == HTTP_KEY_MAX)
			return fail(error, "the Idempotency-Key is longer than 255 bytes");
		dst[len++] = in.p[i++];
	}
	if (i + 1 != in.len)
		return fail(error, "the Idempotency-Key does not end where its quotes do");
	return len > 0 ? (int)len : fail(error, "the Idempotency-Key is empty");
}

int http_key(struct http_text value, char dst[HTTP_KEY_MAX], const char **error)
{
	if (value.len == 0)
		return fail(error, "the Idempotency-Key is empty");
	if (value.p[0] == '"')
		return take_quoted((struct http_text){ value.p + 1, value.len - 1 }, dst, error);
	if (value.len > HTTP_KEY_MAX)
		return fail(error, "the Idempotency-Key is longer than 255 bytes");
	memcpy(dst, value.p, value.len);
	return (int)value.len;
}
