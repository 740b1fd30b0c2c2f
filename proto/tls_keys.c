/*
 * Keys out of secrets, by libcrypto's KDFs. This happens a few times a handshake, 2 us each, of which fetching the KDF is the lesser part; so nothing is kept.
 */
#include "proto/tls_record.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#define RANDOM 32	/* bytes of a client's or server's */
#define SALT 4		/* 1.2 with AES-GCM: what of a nonce follows from the master secret */
#define IV sizeof(((struct tls_keys *)0)->iv)

size_t tls_key_len(struct tls_kind kind)
{
	return kind.suite == TLS_AES_128_GCM ? 16 : 32;
}

static const char *digest(bool sha384)
{
	return sha384 ? "SHA384" : "SHA256";
}

static size_t secret_len(uint8_t suite)
{
	return suite == TLS_AES_256_GCM ? 48 : 32;
}

static int derive(const char *name, const OSSL_PARAM *params, uint8_t *dst, size_t len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, name, NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	int done = ctx ? EVP_KDF_derive(ctx, dst, len, params) : 0;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return done > 0 ? 0 : -1;
}

/* HKDF-Expand-Label() with an empty context. */
static int expand(uint8_t suite, const uint8_t *secret, const char *label, uint8_t *dst, size_t len)
{
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)digest(suite == TLS_AES_256_GCM), 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, secret_len(suite)),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, (char *)"tls13 ", 6),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, (char *)label, strlen(label)),
		OSSL_PARAM_construct_end(),
	};

	return derive(OSSL_KDF_NAME_TLS1_3_KDF, params, dst, len);
}

int tls_keys_1_3(struct tls_keys *keys, uint8_t suite, const uint8_t *secret, size_t len)
{
	struct tls_keys made = { .generation = 0 };
	int result = -1;

	if (len == secret_len(suite)) {
		memcpy(made.secret, secret, len);
		if (expand(suite, secret, "key", made.key, tls_key_len((struct tls_kind){ TLS_1_3, suite })) == 0 && expand(suite, secret, "iv", made.iv, IV) == 0)
			result = 0;
	}
	if (result == 0)
		*keys = made;
	explicit_bzero(&made, sizeof(made));
	return result;
}

int tls_keys_next(struct tls_keys *keys, uint8_t suite)
{
	uint32_t generation = keys->generation + 1;
	uint8_t secret[TLS_SECRET_MAX];
	int result = expand(suite, keys->secret, "traffic upd", secret, secret_len(suite));

	if (result == 0)
		result = tls_keys_1_3(keys, suite, secret, secret_len(suite));
	if (result == 0)
		keys->generation = generation;
	explicit_bzero(secret, sizeof(secret));
	return result;
}

int tls_keys_1_2(struct tls_keys *client, struct tls_keys *server, uint8_t suite, bool sha384, const uint8_t master[48], const uint8_t client_random[32],
		 const uint8_t server_random[32], const uint8_t nonce[8])
{
	static const char label[] = "key expansion";
	size_t key = tls_key_len((struct tls_kind){ TLS_1_2, suite }), iv = suite == TLS_CHACHA20_POLY1305 ? IV : SALT;
	uint8_t seed[sizeof(label) - 1 + 2 * RANDOM], block[2 * (sizeof(client->key) + IV)], *p = block;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)digest(sha384), 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, (void *)master, 48),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof(seed)),
		OSSL_PARAM_construct_end(),
	};
	int result;

	memcpy(seed, label, sizeof(label) - 1);
	memcpy(seed + sizeof(label) - 1, server_random, RANDOM);
	memcpy(seed + sizeof(label) - 1 + RANDOM, client_random, RANDOM);
	result = derive(OSSL_KDF_NAME_TLS1_PRF, params, block, 2 * (key + iv));
	if (result == 0) {
		memset(client, 0, sizeof(*client));
		memset(server, 0, sizeof(*server));
		memcpy(client->key, p, key);
		memcpy(server->key, p += key, key);
		memcpy(client->iv, p += key, iv);
		memcpy(server->iv, p += iv, iv);
		if (iv == SALT)
			memcpy(server->iv + SALT, nonce, IV - SALT);
	}
	explicit_bzero(block, sizeof(block));
	return result;
}
