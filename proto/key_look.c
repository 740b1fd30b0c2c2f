/*
 * What keys look like. See key_look.h.
 */
#include "proto/key_look.h"

#include <nettle/base16.h>
#include <nettle/base64.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SEQUENCE 0x30
#define INTEGER 0x02

static bool has(const void *bytes, size_t len, const void *what, size_t what_len)
{
	return memmem(bytes, len, what, what_len) != NULL;
}

/* ---- text ---- */

/* Without NULs, as a file may be UTF-16. */
static bool is_text_of_key(const char *text, size_t len)
{
	static const char *const words[] = {
		/* PEM and its relatives, or a part of it; what tools print */
		"-----", "BEGIN ", "END PUBLIC", "PUBLIC KEY", "Public Key", "Public-Key", "PRIVATE KEY", "CERTIFICATE", "Modulus", "KeyValue",
		/* JWK */
		"\"kty\"", "'kty'", "kty:", "\"x5c\"",
		/* OpenSSH, and its names of algorithms in base64 */
		"ssh-", "ecdsa-sha2-", "AAAAB3NzaC1", "AAAAC3NzaC1", "AAAAE2VjZHNhLXNoYTIt",
		/* the base64 of identifiers of algorithms, where keys have them: RSA, EC, Ed25519 */
		"NBgkqhkiG9w0BAQE", "YHKoZIzj0CAQ", "YDK2Vw",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (has(text, len, words[i], strlen(words[i])))
			return true;
	return false;
}

/* ---- DER ---- */

/* The length of the element at p, with its head; 0: there is none that is whole. */
static size_t element(const uint8_t *p, size_t len)
{
	size_t n, head = 2;

	if (len < 2)
		return 0;
	n = p[1];
	if (n > 0x80 && n <= 0x83) {
		unsigned bytes = p[1] & 0x7f;

		head += bytes;
		if (len < head)
			return 0;
		for (n = 0; bytes > 0; bytes--)
			n = n << 8 | p[head - bytes];
	} else if (n >= 0x80) {
		return 0;
	}
	return n <= len - head ? head + n : 0;
}

/* A sequence of whole elements, of which the first is a sequence or a number: as keys and certificates are. */
static bool is_sequence(const uint8_t *p, size_t len)
{
	size_t n = len && *p == SEQUENCE ? element(p, len) : 0, at = n > 0x81 ? (p[1] > 0x80 ? 2u + (p[1] & 0x7f) : 2) : 2, elements = 0, each;

	if (n < 32 || (p[at] != SEQUENCE && p[at] != INTEGER))
		return false;
	for (; at < n; at += each, elements++) {
		each = element(p + at, n - at);
		if (!each)
			return false;
	}
	return elements > 1;
}

static bool is_binary_key(const uint8_t *bytes, size_t len)
{
	static const uint8_t rsa[] = { 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1 }, ec[] = { 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1 },
			     ed25519[] = { SEQUENCE, 5, 6, 3, 0x2b, 0x65, 0x70 };

	return has(bytes, len, rsa, sizeof(rsa)) || has(bytes, len, ec, sizeof(ec)) || has(bytes, len, ed25519, sizeof(ed25519)) || is_sequence(bytes, len);
}

static bool is_key(const uint8_t *bytes, size_t len)
{
	return is_binary_key(bytes, len) || is_text_of_key((const char *)bytes, len);
}

/* ---- what is around it ---- */

/* base64, base64url or hex, with any blanks and line ends between. */
static bool is_key_decoded(uint8_t *dst, const char *text, size_t len)
{
	struct base64_decode_ctx base64;
	struct base16_decode_ctx hex;
	size_t n;

	base64_decode_init(&base64);
	if (base64_decode_update(&base64, &n, dst, len, text) && is_key(dst, n))
		return true;
	base64url_decode_init(&base64);
	if (base64_decode_update(&base64, &n, dst, len, text) && is_key(dst, n))
		return true;
	base16_decode_init(&hex);
	return base16_decode_update(&hex, &n, dst, len, text) && is_key(dst, n);
}

bool key_look(const void *bytes, size_t len)
{
	char *text = malloc(len + 1);
	uint8_t *decoded = malloc(BASE64_DECODE_LENGTH(len) + BASE16_DECODE_LENGTH(len) + 1);
	const uint8_t *p = bytes;
	bool found = !text || !decoded;		/* (rather than not to know) */
	size_t n = 0;

	for (size_t i = 0; text && i < len; i++)
		if (p[i] != '\0')
			text[n++] = (char)p[i];
	if (!found)
		found = is_key(bytes, len) || is_text_of_key(text, n) || is_key_decoded(decoded, text, n);
	if (text)
		OPENSSL_cleanse(text, len);
	if (decoded)
		OPENSSL_cleanse(decoded, BASE64_DECODE_LENGTH(len));
	free(text);
	free(decoded);
	return found;
}
