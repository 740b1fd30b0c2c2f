/*
 * Records, sealed and opened. Each one has other keys than the last, as a message goes to one connection after the other; and most are short. So what counts
 * is what a key and a record take beside their bytes. That is far less with nettle than with libcrypto, which is the faster one for long texts, and for
 * ChaCha20-Poly1305 (ARCHITECTURE.md, "TLS"). What they make of a text is the same. libcrypto's contexts are made once.
 */
#include "proto/tls_record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <nettle/aes.h>
#include <nettle/gcm.h>
#include <nettle/memops.h>
#include <nettle/nettle-meta.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#define TAG 16
#define NONCE 12
#define EXPLICIT 8		/* 1.2 with AES-GCM: the part of the nonce that a record carries */
#define AAD_MAX 13
#define SHORT 1536		/* bytes up to which nettle's AES-GCM is the faster one */
#define SUITES (TLS_CHACHA20_POLY1305 + 1)

struct tls_crypto {
	/* nettle's */
	union { struct aes128_ctx aes128; struct aes256_ctx aes256; } cipher;
	struct gcm_key hash;
	struct gcm_ctx gcm;
	/* libcrypto's */
	EVP_CIPHER_CTX *seal[SUITES], *open[SUITES];
};

static const char *const ciphers[SUITES] = {
	[TLS_AES_128_GCM] = "AES-128-GCM", [TLS_AES_256_GCM] = "AES-256-GCM", [TLS_CHACHA20_POLY1305] = "ChaCha20-Poly1305",
};

/* What is authenticated, or also sealed, beside the text. */
struct aead {
	const uint8_t *key;
	uint8_t nonce[NONCE], aad[AAD_MAX];
	size_t aad_len;
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
	explicit_bzero(crypto, sizeof(*crypto));
	free(crypto);
}

/* ---- the ciphers: behind a sealed text is the tag ---- */

static bool is_short(uint8_t suite, size_t len)
{
	return len <= SHORT && suite != TLS_CHACHA20_POLY1305;
}

static const struct nettle_cipher *gcm_begin(struct tls_crypto *crypto, uint8_t suite, const struct aead *with)
{
	const struct nettle_cipher *aes = suite == TLS_AES_128_GCM ? &nettle_aes128 : &nettle_aes256;

	aes->set_encrypt_key(&crypto->cipher, with->key);
	gcm_set_key(&crypto->hash, &crypto->cipher, aes->encrypt);
	gcm_set_iv(&crypto->gcm, &crypto->hash, NONCE, with->nonce);
	gcm_update(&crypto->gcm, &crypto->hash, with->aad_len, with->aad);
	return aes;
}

/* In place: a short text is copied sooner than its last bytes are looked after. */
static void gcm_seal(struct tls_crypto *crypto, uint8_t suite, const struct aead *with, uint8_t *text, size_t len)
{
	const struct nettle_cipher *aes = gcm_begin(crypto, suite, with);

	gcm_encrypt(&crypto->gcm, &crypto->hash, &crypto->cipher, aes->encrypt, len, text, text);
	gcm_digest(&crypto->gcm, &crypto->hash, &crypto->cipher, aes->encrypt, TAG, text + len);
}

static bool gcm_open(struct tls_crypto *crypto, uint8_t suite, const struct aead *with, const uint8_t *sealed, size_t len, uint8_t *text)
{
	const struct nettle_cipher *aes = gcm_begin(crypto, suite, with);
	uint8_t tag[TAG];

	gcm_decrypt(&crypto->gcm, &crypto->hash, &crypto->cipher, aes->encrypt, len, text, sealed);
	gcm_digest(&crypto->gcm, &crypto->hash, &crypto->cipher, aes->encrypt, TAG, tag);
	return memeql_sec(tag, sealed + len, TAG);
}

/* Not in place: a long text is not copied first. Behind it, sealed[len..len + more) is sealed in place: the type. */
static bool evp_seal(EVP_CIPHER_CTX *ctx, const struct aead *with, const uint8_t *text, size_t len, size_t more, uint8_t *sealed)
{
	uint8_t *end = sealed + len;
	int done;

	return EVP_CipherInit_ex2(ctx, NULL, with->key, with->nonce, 1, NULL) > 0 && EVP_EncryptUpdate(ctx, NULL, &done, with->aad, (int)with->aad_len) > 0 &&
	       EVP_EncryptUpdate(ctx, sealed, &done, text, (int)len) > 0 && EVP_EncryptUpdate(ctx, end, &done, end, (int)more) > 0 &&
	       EVP_EncryptFinal_ex(ctx, end + more, &done) > 0 && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, end + more) > 0;
}

static bool evp_open(EVP_CIPHER_CTX *ctx, const struct aead *with, const uint8_t *sealed, size_t len, uint8_t *text)
{
	int done;

	if (EVP_CipherInit_ex2(ctx, NULL, with->key, with->nonce, 0, NULL) > 0 && EVP_DecryptUpdate(ctx, NULL, &done, with->aad, (int)with->aad_len) > 0 &&
	    EVP_DecryptUpdate(ctx, text, &done, sealed, (int)len) > 0 && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, (void *)(sealed + len)) > 0 &&
	    EVP_DecryptFinal_ex(ctx, text + len, &done) > 0)
		return true;
	ERR_clear_error();	/* libssl would take what is left there for its own, in another connection's handshake */
	return false;
}

/* (libcrypto's contexts are given another key: to make them anew would be to look for their ciphers again.) */
void tls_crypto_forget(struct tls_crypto *crypto)
{
	static const uint8_t none[32];

	if (crypto == NULL)
		return;
	explicit_bzero(&crypto->cipher, sizeof(crypto->cipher));
	explicit_bzero(&crypto->hash, sizeof(crypto->hash));
	explicit_bzero(&crypto->gcm, sizeof(crypto->gcm));
	for (unsigned i = TLS_AES_128_GCM; i < SUITES; i++) {
		EVP_CipherInit_ex2(crypto->seal[i], NULL, none, none, 1, NULL);
		EVP_CipherInit_ex2(crypto->open[i], NULL, none, none, 0, NULL);
	}
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

/* Of a record with this header, and the part of the nonce behind it, if it is one that carries some. It has `len` bytes of text. */
static void prepare(struct aead *with, struct tls_kind kind, const struct tls_keys *keys, uint64_t seq, const uint8_t *head, size_t len)
{
	with->key = keys->key;
	memcpy(with->nonce, keys->iv, NONCE);
	if (explicit_len(kind) > 0)
		memcpy(with->nonce + NONCE - EXPLICIT, head + TLS_HEAD, EXPLICIT);
	else
		put_be(with->nonce + NONCE - 8, 8, get_be(with->nonce + NONCE - 8, 8) ^ seq);

	if (kind.version == TLS_1_3) {
		memcpy(with->aad, head, with->aad_len = TLS_HEAD);
	} else {
		put_be(with->aad, 8, seq);
		memcpy(with->aad + 8, head, 3);
		put_be(with->aad + 11, 2, len);
		with->aad_len = AAD_MAX;
	}
}

/* ---- sealing ---- */

size_t tls_seal(struct tls_crypto *crypto, struct tls_kind kind, const struct tls_keys *keys, uint64_t seq, uint8_t type, const void *text, size_t len, uint8_t *dst)
{
	size_t record = len + tls_overhead(kind), typed = kind.version == TLS_1_3;
	uint8_t *body = dst + TLS_HEAD + explicit_len(kind);
	struct aead with;

	assert(len <= TLS_TEXT_MAX);
	put_head(dst, kind.version == TLS_1_3 ? TLS_APPLICATION_DATA : type, record - TLS_HEAD);
	if (explicit_len(kind) > 0)
		put_be(dst + TLS_HEAD, EXPLICIT, get_be(keys->iv + NONCE - EXPLICIT, EXPLICIT) + seq);
	prepare(&with, kind, keys, seq, dst, len);
	if (typed)
		body[len] = type;
	if (!is_short(kind.suite, len + typed))
		return evp_seal(crypto->seal[kind.suite], &with, text, len, typed, body) ? record : 0;
	if (len > 0)
		memcpy(body, text, len);
	gcm_seal(crypto, kind.suite, &with, body, len + typed);
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
	const uint8_t *body = record + TLS_HEAD + explicit_len(kind);
	long whole = tls_record_length(kind, record, len), text;
	struct aead with;
	size_t sealed;

	if (whole < 0)
		return whole;
	assert((size_t)whole == len);
	sealed = len - TLS_HEAD - explicit_len(kind) - TAG;
	prepare(&with, kind, keys, seq, record, sealed);
	if (is_short(kind.suite, sealed) ? !gcm_open(crypto, kind.suite, &with, body, sealed, dst) : !evp_open(crypto->open[kind.suite], &with, body, sealed, dst))
		return -TLS_BAD_RECORD_MAC;

	*type = record[0];
	text = kind.version == TLS_1_3 ? strip(dst, sealed, type) : (long)sealed;
	if (text >= 0 && (!is_type(*type) || (text == 0 && *type != TLS_APPLICATION_DATA)))
		return -TLS_UNEXPECTED_MESSAGE;
	return text;
}
