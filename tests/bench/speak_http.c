/*
 * Publishing to Janus by POST /pub, a message each, on one connection and without waiting for the answers.
 */
#include <stdio.h>

#include "tests/bench/httpc.h"
#include "tests/bench/speak.h"
#include "tests/bench/wire.h"

static size_t publish(char *dst, const struct payload *p, size_t size)
{
	size_t n = (size_t)sprintf(dst, "POST /pub HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
				   "Content-Length: %zu\r\n\r\n[", wire_object_size(p, size) + 2);

	n += wire_object(dst + n, p, size);
	dst[n] = ']';
	return n + 1;
}

static enum speak_frame kind(const char *frame, size_t len)
{
	return httpc_status(frame, len) == 200 ? SPEAK_OTHER : SPEAK_BAD;
}

const struct speak speak_http = {
	.name = "http", .scheme = "http", .answers = true,
	.publish = publish, .cut = httpc_cut, .kind = kind,
};
