#include "tests/bench/payload.h"

#include <endian.h>
#include <math.h>
#include <string.h>

#include <nettle/base16.h>

#include "proto/hex.h"

static const struct field { unsigned at, digits; } FIELD_RUN = { 0, 8 }, FIELD_ROUND = { 8, 3 }, FIELD_PUBLISHER = { 11, 3 },
	FIELD_SEQ = { 14, 6 }, FIELD_SENT = { 20, 12 }, FIELD_SUM = { 32, 8 };

static void put(char *dst, struct field f, uint64_t v)
{
	uint64_t bytes = htobe64(v);
	char hex[BASE16_ENCODE_LENGTH(sizeof(bytes))];

	base16_encode_update(hex, sizeof(bytes), (const uint8_t *)&bytes);
	memcpy(dst + f.at, hex + sizeof(hex) - f.digits, f.digits);
}

static int get(const char *src, struct field f, uint64_t *v)
{
	*v = 0;
	for (unsigned i = 0; i < f.digits; i++) {
		char c = src[f.at + i];
		int digit = hex_digit(c);

		if (digit < 0 || (c >= 'A' && c <= 'F'))	/* written in lower case */
			return -1;
		*v = *v << 4 | (unsigned)digit;
	}
	return 0;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

static uint64_t sum(const struct payload *p, size_t size)
{
	uint64_t h = mix(0x6a616e7573ull, (uint64_t)p->run << 32 | p->topic);

	h = mix(h, (uint64_t)p->round << 48 | (uint64_t)p->publisher << 24 | p->seq);
	h = mix(h, size);
	return mix(h, p->sent);
}

/* Eight letters a to p of padding a step. */
static uint64_t pad(uint64_t *h)
{
	*h = mix(*h, 1);
	return (*h & 0x0f0f0f0f0f0f0f0full) + 0x6161616161616161ull;
}

size_t payload_size(const struct payload *p, size_t least, size_t most)
{
	uint64_t h = mix(mix(p->topic + 1, p->publisher), (uint64_t)p->round << 32 | p->seq);
	double part = (double)(mix(h, 2) >> 11) / (double)(1ull << 53);
	size_t size = (size_t)((double)least * pow((double)most / (double)least, part));

	return size < least ? least : size > most ? most : size;
}

double payload_size_mean(size_t least, size_t most)
{
	return most > least ? (double)(most - least) / log((double)most / (double)least) : (double)least;
}

void payload_write(char *dst, size_t size, const struct payload *p)
{
	uint64_t h = sum(p, size), eight;
	size_t at = PAYLOAD_HEAD;

	put(dst, FIELD_RUN, p->run);
	put(dst, FIELD_ROUND, p->round);
	put(dst, FIELD_PUBLISHER, p->publisher);
	put(dst, FIELD_SEQ, p->seq);
	put(dst, FIELD_SENT, p->sent);
	put(dst, FIELD_SUM, h);
	for (; at + 8 <= size; at += 8) {
		eight = pad(&h);
		memcpy(dst + at, &eight, 8);
	}
	eight = pad(&h);
	memcpy(dst + at, &eight, size - at);
}

int payload_read(const char *src, size_t size, struct payload *p)
{
	uint64_t run, round, publisher, seq, sent, got, h, eight;
	size_t at = PAYLOAD_HEAD;

	if (size < PAYLOAD_HEAD || get(src, FIELD_RUN, &run) || get(src, FIELD_ROUND, &round) ||
	    get(src, FIELD_PUBLISHER, &publisher) || get(src, FIELD_SEQ, &seq) || get(src, FIELD_SENT, &sent) ||
	    get(src, FIELD_SUM, &got))
		return -1;
	*p = (struct payload){ .run = (uint32_t)run, .topic = p->topic, .round = (uint32_t)round,
		.publisher = (uint32_t)publisher, .seq = (uint32_t)seq, .sent = sent };
	h = sum(p, size);
	if ((uint32_t)h != got)
		return -1;
	for (; at + 8 <= size; at += 8) {
		eight = pad(&h);
		if (memcmp(src + at, &eight, 8))
			return -1;
	}
	eight = pad(&h);
	return memcmp(src + at, &eight, size - at) ? -1 : 0;
}
