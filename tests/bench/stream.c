#include "tests/bench/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MIN 4096u
#define FRAMES_MIN 16u

int stream_init(struct stream *stream, uint32_t publishers)
{
	stream->next = calloc(publishers, sizeof(*stream->next));
	return stream->next ? 0 : -1;
}

void stream_fini(struct stream *stream)
{
	free(stream->bytes);
	free(stream->frame);
	free(stream->next);
}

void stream_reset(struct stream *stream, uint32_t publishers)
{
	memset(stream->next, 0, publishers * sizeof(*stream->next));
	stream->len = stream->count = 0;
	stream->before = stream->stamp;
}

static void *grow(void *p, uint32_t *max, uint32_t min, size_t need, size_t each)
{
	size_t n = *max ? *max : min;

	while (n < need)
		n *= 2;
	if (n == *max)
		return p;
	p = realloc(p, n * each);
	if (!p) {
		fprintf(stderr, "janusbench: no memory for %zu bytes of a topic\n", n * each);
		exit(3);
	}
	*max = (uint32_t)n;
	return p;
}

void stream_append(struct stream *stream, const char *bytes, size_t len, const struct payload *p, const struct stamp *stamp,
		   uint64_t sent)
{
	stream->bytes = grow(stream->bytes, &stream->bytes_max, BYTES_MIN, stream->len + len, 1);
	stream->frame = grow(stream->frame, &stream->frames_max, FRAMES_MIN, (size_t)stream->count + 1, sizeof(*stream->frame));
	memcpy(stream->bytes + stream->len, bytes, len);
	stream->len += (uint32_t)len;
	stream->frame[stream->count++] = (struct stream_frame){ .end = stream->len, .publisher = p->publisher, .seq = p->seq,
		.sent = sent };
	stream->next[p->publisher]++;
	stream->stamp = *stamp;
}

uint64_t stream_hash_upto(const struct stream *stream, uint32_t count)
{
	uint64_t h = STREAM_HASH;

	for (uint32_t i = 0; i < count; i++)
		h = stream_hash(h, stream->frame[i].publisher, stream->frame[i].seq);
	return h;
}
