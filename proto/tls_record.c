/*
 * Records, sealed and opened with libcrypto's AEADs. Fetching a cipher and making a context of it takes longer than sealing a short record; so there is a
 * context for each suite and direction, made once, and each record keys it.
 */
#include "proto/tls_record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#define TAG 16
#define NONCE 12
#define EXPLICIT 8		/* 1.2 with AES-GCM: the part of the nonce that a record carries */
#define AAD_MAX 13
#define SUITES (TLS_CHACHA20_POLY1305 + 1)

struct tls_crypto {
	EVP_CIPHER_CTX *seal[SUITES], *open[SUITES];
};

static const char *const ciphers[SUITES] = {
	[TLS_AES_128_GCM] = "AES-128-GCM", [TLS_AES_256_GCM] = "AES-256-GCM", [TLS_CHACHA20_POLY1305] = "ChaCha20-Poly1305",
};

static EVP_CIPHER_CTX *make_context(const EVP_CIPHER *cipher, bool seal)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx != NULL && EVP_CipherInit_ex2(ctx, cipher, NULL, NULL, seal, NULL) <= 0) {
		EVP_CIPHER_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

struct tls_crypto *tls_crypto_create(void)
{
	struct tls_crypto *crypto = calloc(1, sizeof(*crypto));
	bool made = crypto != NULL;

	for (unsigned i = TLS_AES_128_GCM; made && i < SUITES; i++) {
		EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, ciphers[i], NULL);

		made = cipher != NULL && (crypto->seal[i] = make_context(cipher, true)) != NULL && (crypto->open[i] = make_context(cipher, false)) != NULL;
		EVP_CIPHER_free(cipher);	/* the contexts hold it */
	}
	if (made)
		return crypto;
	tls_crypto_destroy(crypto);
	return NULL;
}

void tls_crypto_destroy(struct tls_crypto *crypto)
{
	if (crypto == NULL)
		return;
	for (unsigned i = 0; i < SUITES; i++) {
		EVP_CIPHER_CTX_free(crypto->seal[i]);
		EVP_CIPHER_CTX_free(crypto->open[i]);
	}
	free(crypto);
}

uint64_t tls_records_max(struct tls_kind kind)
{
	if (kind.suite == TLS_CHACHA20_POLY1305)
		return 1ull << 48;		/* no limit, but that of the sequence number */
	return kind.version == TLS_1_3 ? 1ull << 22 : 1ull << 24;	/* of 2^24.5 */
}

/* ---- what a record is made of ---- */

static size_t explicit_len(struct tls_kind kind)
{
	return kind.version == TLS_1_2 && kind.suite != TLS_CHACHA20_POLY1305 ? EXPLICIT : 0;
}

size_t tls_overhead(struct tls_kind kind)
{
	return TLS_HEAD + explicit_len(kind) + (kind.version == TLS_1_3) + TAG;
}

static void put_be(uint8_t *dst, size_t len, uint64_t value)
{
	for (size_t i = len; i-- > 0; value >>= 8)
		dst[i] = (uint8_t)value;
}

static uint64_t get_be(const uint8_t *src, size_t len)
{
	uint64_t value = 0;

	for (size_t i = 0; i < len; i++)
		value = value << 8 | src[i];
	return value;
}

static void put_head(uint8_t *dst, uint8_t type, size_t body)
{
	dst[0] = type;
	put_be(dst + 1, 2, 0x0303);
	put_be(dst + 3, 2, body);
}

/* The nonce of a record that carries no part of it. */
static void make_nonce(uint8_t nonce[NONCE], const struct tls_keys *keys, uint64_t seq)
{
	memcpy(nonce, keys->iv, NONCE);
	put_be(nonce + 4, 8, get_be(nonce + 4, 8) ^ seq);
}

/* What is authenticated beside the text, of which there are `len` bytes. Returns how much it is. */
static int make_aad(uint8_t aad[AAD_MAX], struct tls_kind kind, uint64_t seq, const uint8_t *head, size_t len)
{
	if (kind.version == TLS_1_3) {
		memcpy(aad, head, TLS_HEAD);
		return TLS_HEAD;
	}
	put_be(aad, 8, seq);
	memcpy(aad + 8, head, 3);
	put_be(aad + 11, 2, len);
	return AAD_MAX;
}

/* ---- sealing ---- */

size_t tls_seal(struct tls_crypto *crypto, struct tls_kind kind, const struct tls_keys *keys, uint64_t seq, uint8_t type, const void *text, size_t len, uint8_t *dst)
{
	size_t explicit = explicit_len(kind), record = len + tls_overhead(kind);
	EVP_CIPHER_CTX *ctx = crypto->seal[kind.suite];
	uint8_t nonce[NONCE], aad[AAD_MAX], *body = dst + TLS_HEAD + explicit;
	int aad_len, done;

	assert(len <= TLS_TEXT_MAX);
	put_head(dst, kind.version == TLS_1_3 ? TLS_APPLICATION_DATA : type, record - TLS_HEAD);
	if (explicit > 0) {
		memcpy(nonce, keys->iv, NONCE - EXPLICIT);
		put_be(nonce + NONCE - EXPLICIT, EXPLICIT, get_be(keys->iv + NONCE - EXPLICIT, EXPLICIT) + seq);
		memcpy(dst + TLS_HEAD, nonce + NONCE - EXPLICIT, EXPLICIT);
	} else {
		make_nonce(nonce, keys, seq);
	}
	aad_len = make_aad(aad, kind, seq, dst, len);

	/* In place: so the type is sealed with the text in one piece, which is faster than two of them. */
	if (len > 0)
		memcpy(body, text, len);
	if (kind.version == TLS_1_3)
		body[len++] = type;
	if (EVP_CipherInit_ex2(ctx, NULL, keys->key, nonce, 1, NULL) <= 0 || EVP_EncryptUpdate(ctx, NULL, &done, aad, aad_len) <= 0 ||
	    EVP_EncryptUpdate(ctx, body, &done, body, (int)len) <= 0 || EVP_EncryptFinal_ex(ctx, body + len, &done) <= 0 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, body + len) <= 0)
		return 0;
	return record;
}

/* ---- opening ---- */

static bool is_type(uint8_t type)
{
	return type == TLS_APPLICATION_DATA || type == TLS_HANDSHAKE || type == TLS_ALERT;
}

long tls_record_length(struct tls_kind kind, const uint8_t *bytes, size_t len)
{
	size_t body;

	if (len < TLS_HEAD)
		return 0;
	body = get_be(bytes + 3, 2);
	if (kind.version == TLS_1_3 ? bytes[0] != TLS_APPLICATION_DATA : !is_type(bytes[0]))
		return -TLS_UNEXPECTED_MESSAGE;
	if (get_be(bytes + 1, 2) != 0x0303 || body < explicit_len(kind) + TAG)
		return -TLS_DECODE_ERROR;
	if (body > (kind.version == TLS_1_3 ? TLS_RECORD_MAX - TLS_HEAD : explicit_len(kind) + TLS_TEXT_MAX + TAG))
		return -TLS_RECORD_OVERFLOW;
	return (long)(TLS_HEAD + body);
}

/* 1.3: text, type and padding are text[0..len). The text's length, or < 0. */
static long strip(const uint8_t *text, size_t len, uint8_t *type)
{
	if (len > TLS_TEXT_MAX + 1)
		return -TLS_RECORD_OVERFLOW;
	while (len > 0 && text[len - 1] == 0)
		len--;
	if (len == 0)
		return -TLS_UNEXPECTED_MESSAGE;
	*type = text[len - 1];
	return (long)len - 1;
}

long tls_open(struct tls_crypto *crypto, struct tls_kind kind, const struct tls_keys *keys, uint64_t seq, const uint8_t *record, size_t len, void *dst, uint8_t *type)
{
	long whole = tls_record_length(kind, record, len), text;
	size_t explicit = explicit_len(kind), sealed;
	EVP_CIPHER_CTX *ctx = crypto->open[kind.suite];
	uint8_t nonce[NONCE], aad[AAD_MAX];
	const uint8_t *body = record + TLS_HEAD + explicit;
	int aad_len, done;

	if (whole < 0)
		return whole;
	assert((size_t)whole == len);
	sealed = len - TLS_HEAD - explicit - TAG;
	make_nonce(nonce, keys, seq);
	if (explicit > 0)
		memcpy(nonce + NONCE - EXPLICIT, record + TLS_HEAD, EXPLICIT);
	aad_len = make_aad(aad, kind, seq, record, sealed);
	if (EVP_CipherInit_ex2(ctx, NULL, keys->key, nonce, 0, NULL) <= 0 || EVP_DecryptUpdate(ctx, NULL, &done, aad, aad_len) <= 0 ||
	    EVP_DecryptUpdate(ctx, dst, &done, body, (int)sealed) <= 0 || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, (void *)(body + sealed)) <= 0 ||
	    EVP_DecryptFinal_ex(ctx, (uint8_t *)dst + sealed, &done) <= 0) {
		ERR_clear_error();	/* libssl would take what is left there for its own, in another connection's handshake */
		return -TLS_BAD_RECORD_MAC;
	}

	*type = record[0];
	text = kind.version == TLS_1_3 ? strip(dst, sealed, type) : (long)sealed;
	if (text >= 0 && (!is_type(*type) || (text == 0 && *type != TLS_APPLICATION_DATA)))
		return -TLS_UNEXPECTED_MESSAGE;
	return text;
}
