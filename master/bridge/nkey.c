/*
 * Public keys of seeds. See nkey.h.
 */
#include "master/bridge/nkey.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#define SEED (18 << 3)			/* S */
#define USER (20 << 3)			/* U */
#define KEY 32
#define SEED_BYTES (2 + KEY + 2)
#define PUBLIC_BYTES (1 + KEY + 2)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static uint16_t crc(const uint8_t *p, size_t len)
{
	uint16_t c = 0;

	for (size_t i = 0; i < len; i++) {
		c = (uint16_t)(c ^ p[i] << 8);
		for (unsigned bit = 0; bit < 8; bit++)
			c = (uint16_t)(c & 0x8000 ? c << 1 ^ 0x1021 : c << 1);
	}
	return c;
}

static bool decode(const char *text, uint8_t *dst, size_t len)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	for (; *text; text++) {
		const char *digit = strchr(alphabet, *text);

		if (digit == NULL)
			return false;
		bits = bits << 5 | (uint32_t)(digit - alphabet);
		have += 5;
		if (have < 8)
			continue;
		if (n == len)
			return false;
		have -= 8;
		dst[n++] = (uint8_t)(bits >> have);
	}
	return n == len && have < 5;
}

static void encode(const uint8_t *p, size_t len, char *dst)
{
	uint32_t bits = 0;
	unsigned have = 0;

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | p[i];
		for (have += 8; have >= 5; have -= 5)
			*dst++ = alphabet[bits >> (have - 5) & 31];
	}
	if (have > 0)
		*dst++ = alphabet[bits << (5 - have) & 31];
	*dst = '\0';
}

int nkey_public(const char *seed, char public[NKEY_TEXT])
{
	uint8_t raw[SEED_BYTES], out[PUBLIC_BYTES];
	size_t len = KEY;
	EVP_PKEY *key = NULL;
	uint16_t sum;
	int r = -1;

	/* The first byte has S and the upper bits of what it is a seed of, the second one the rest. */
	if (decode(seed, raw, sizeof(raw)) && raw[0] == (SEED | USER >> 5) && raw[1] == (uint8_t)(USER << 3) &&
	    crc(raw, 2 + KEY) == (raw[2 + KEY] | raw[3 + KEY] << 8) && (key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw + 2, KEY)) != NULL &&
	    EVP_PKEY_get_raw_public_key(key, out + 1, &len) == 1) {
		out[0] = USER;
		sum = crc(out, 1 + KEY);
		out[1 + KEY] = (uint8_t)sum;
		out[2 + KEY] = (uint8_t)(sum >> 8);
		encode(out, sizeof(out), public);
		r = 0;
	}
	EVP_PKEY_free(key);
	OPENSSL_cleanse(raw, sizeof(raw));
	return r;
}
