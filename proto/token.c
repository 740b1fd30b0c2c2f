/*
 * Tokens. See token.h.
 */
#include "proto/token.h"

#include <nettle/base16.h>
#include <nettle/memops.h>
#include <sys/random.h>

#include "proto/hex.h"

#define RANDOM 12
#define SESSION_BITS 26

int token_make(uint8_t token[TOKEN_BYTES], unsigned slot, uint32_t session)
{
	uint32_t home = slot << SESSION_BITS | session;

	if (getrandom(token, RANDOM, 0) != RANDOM)
		return -1;
	for (unsigned i = 0; i < 4; i++)
		token[RANDOM + i] = (uint8_t)(home >> (24 - 8 * i));
	return 0;
}

static uint32_t home(const uint8_t token[TOKEN_BYTES])
{
	const uint8_t *p = token + RANDOM;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

unsigned token_slot(const uint8_t token[TOKEN_BYTES])
{
	return home(token) >> SESSION_BITS;
}

uint32_t token_session(const uint8_t token[TOKEN_BYTES])
{
	return home(token) & ((1u << SESSION_BITS) - 1);
}

bool token_is(const uint8_t a[TOKEN_BYTES], const uint8_t b[TOKEN_BYTES])
{
	return nettle_memeql_sec(a, b, TOKEN_BYTES);
}

void token_write(char text[TOKEN_TEXT], const uint8_t token[TOKEN_BYTES])
{
	base16_encode_update(text, TOKEN_BYTES, token);
}

const char *token_read(uint8_t token[TOKEN_BYTES], const char *text, size_t len)
{
	static const char bad[] = "the token is none: 32 digits of hex";

	if (len != TOKEN_TEXT)
		return bad;
	for (unsigned i = 0; i < TOKEN_BYTES; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return bad;
		token[i] = (uint8_t)(high << 4 | low);
	}
	return NULL;
}
