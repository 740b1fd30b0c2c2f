/*
 * The keys that tokens are checked with.
 */
#include "proto/jwt_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/jwt_key.h"
#include "proto/key_look.h"
#include "proto/sink.h"

enum { RSA_BITS_LEAST = 2048, RSA_BITS_MOST = 16384 };

#define ALGS3(first) (7u << (first))
#define ALG(one) (1u << (one))

struct jwt_keys *jwt_keys_create(void)
{
	return calloc(1, sizeof(struct jwt_keys));
}

void jwt_keys_keep(struct jwt_keys *keys, unsigned count)
{
	while (keys->count > count)
		jwt_key_fini(&keys->of[--keys->count]);
}

bool jwt_keys_has_secret(const struct jwt_keys *keys)
{
	for (unsigned i = 0; i < keys->count; i++)
		if (keys->of[i].type == JWT_KEY_SECRET)
			return true;
	return false;
}

void jwt_keys_destroy(struct jwt_keys *keys)
{
	if (keys)
		jwt_keys_keep(keys, 0);
	free(keys);
}

unsigned jwt_keys_count(const struct jwt_keys *keys)
{
	return keys->count;
}

static const char *what_it_is(const struct jwt_key *key)
{
	switch (key->type) {
	case JWT_KEY_SECRET: return key->algs >> JWT_HS256 & 1 ? "HS256 secret" : key->algs >> JWT_HS384 & 1 ? "HS384 secret" : "HS512 secret";
	case JWT_KEY_RSA: return key->can_sign ? "RSA private key" : "RSA public key";
	case JWT_KEY_P256: return key->can_sign ? "P-256 private key" : "P-256 public key";
	case JWT_KEY_P384: return key->can_sign ? "P-384 private key" : "P-384 public key";
	case JWT_KEY_ED25519: return key->can_sign ? "Ed25519 private key" : "Ed25519 public key";
	}
	return "nothing";
}

void jwt_keys_describe(const struct jwt_keys *keys, unsigned from, char text[JWT_KEYS_ERROR_MAX])
{
	struct sink s = { .dst = text, .room = JWT_KEYS_ERROR_MAX - 1 };

	/* (Each takes 21 bytes at most, and what is left out 20.) */
	for (unsigned i = from; i < keys->count; i++) {
		sink_text(&s, i > from ? ", " : "");
		if (s.len > JWT_KEYS_ERROR_MAX - 48) {
			sink_number(&s, keys->count - i);
			sink_text(&s, " more");
			break;
		}
		sink_text(&s, what_it_is(&keys->of[i]));
	}
	text[s.len] = '\0';
}

/* ---- one key ---- */

unsigned jwt_key_algs(const struct jwt_key *key)
{
	switch (key->type) {
	case JWT_KEY_SECRET:	/* as long as the hash, at least (RFC 7518, 3.2) */
		return (key->secret_len >= 32 ? ALG(JWT_HS256) : 0) | (key->secret_len >= 48 ? ALG(JWT_HS384) : 0) | (key->secret_len >= 64 ? ALG(JWT_HS512) : 0);
	case JWT_KEY_RSA:
		return ALGS3(JWT_RS256) | ALGS3(JWT_PS256);
	case JWT_KEY_P256:
		return ALG(JWT_ES256);
	case JWT_KEY_P384:
		return ALG(JWT_ES384);
	case JWT_KEY_ED25519:
		return ALG(JWT_EDDSA);
	}
	return 0;
}

/* 0: it is none for tokens. */
static enum jwt_key_type type_of(EVP_PKEY *pkey)
{
	char group[32];

	if (EVP_PKEY_is_a(pkey, "RSA"))
		return JWT_KEY_RSA;
	if (EVP_PKEY_is_a(pkey, "ED25519"))
		return JWT_KEY_ED25519;
	if (!EVP_PKEY_is_a(pkey, "EC") || EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), NULL) != 1)
		return 0;
	return strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0 ? JWT_KEY_P256
	     : strcmp(group, "secp384r1") == 0 || strcmp(group, "P-384") == 0  ? JWT_KEY_P384
									       : 0;
}

/* An exponent that is even, 1 or huge is a broken key, or one that keeps a worker busy. */
static bool rsa_exponent_good(EVP_PKEY *pkey)
{
	BIGNUM *e = NULL;
	bool good = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) && !BN_is_one(e) && BN_num_bits(e) <= 64;

	BN_free(e);
	return good;
}

const char *jwt_key_set(struct jwt_key *key, EVP_PKEY *pkey)
{
	key->pkey = pkey;
	key->type = type_of(pkey);
	key->algs = jwt_key_algs(key);
	if (!key->type)
		return "a key is neither RSA nor of the curves P-256, P-384 or Ed25519";
	if (key->type == JWT_KEY_RSA && (EVP_PKEY_get_bits(pkey) < RSA_BITS_LEAST || EVP_PKEY_get_bits(pkey) > RSA_BITS_MOST))
		return "an RSA key has fewer than 2048 bits, or more than 16384";
	if (key->type == JWT_KEY_RSA && !rsa_exponent_good(pkey))
		return "an RSA key has an exponent that can't be right";
	return NULL;
}

const char *jwt_key_set_secret(struct jwt_key *key, const void *secret, size_t len)
{
	if (len < 32)
		return "a secret has fewer than 32 bytes";
	if (len > JWT_SECRET_MAX)
		return "a secret has more than 4096 bytes";
	key->secret = malloc(len);
	if (!key->secret)
		return "there is no memory";
	memcpy(key->secret, secret, len);
	key->secret_len = len;
	key->type = JWT_KEY_SECRET;
	key->algs = jwt_key_algs(key);
	key->can_sign = true;
	return NULL;
}

void jwt_key_fini(struct jwt_key *key)
{
	if (key->secret)
		OPENSSL_cleanse(key->secret, key->secret_len);
	free(key->secret);
	for (unsigned i = 0; i < 3; i++)
		EVP_MAC_CTX_free(key->mac[i]);
	EVP_PKEY_free(key->pkey);
	*key = (struct jwt_key){ 0 };
}

/* A place for another one to be read, or NULL. */
static struct jwt_key *next(struct jwt_keys *keys, const char **error)
{
	*error = "there are more than 64 keys";
	return keys->count < JWT_KEYS_MAX ? &keys->of[keys->count] : NULL;
}

/* ---- files ---- */

/* One block of PEM. 1: a key; 0: something that is none, and need not be; -1: *error. */
static int pem_block(struct jwt_key *key, const char *name, const char *header, const uint8_t *der, long len, const char **error)
{
	const uint8_t *p = der;
	EVP_PKEY *pkey = NULL;

	if (strcmp(name, PEM_STRING_ECPARAMETERS) == 0)
		return 0;
	*error = "a private key in it is encrypted: this takes no password";
	if (*header || strcmp(name, PEM_STRING_PKCS8) == 0)
		return -1;
	if (strcmp(name, PEM_STRING_PUBLIC) == 0) {
		pkey = d2i_PUBKEY(NULL, &p, len);
	} else if (strcmp(name, PEM_STRING_RSA_PUBLIC) == 0) {
		pkey = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, len);
	} else if (strcmp(name, PEM_STRING_X509) == 0) {
		X509 *cert = d2i_X509(NULL, &p, len);

		pkey = cert ? X509_get_pubkey(cert) : NULL;
		X509_free(cert);
	} else if (strcmp(name, PEM_STRING_PKCS8INF) == 0 || strcmp(name, PEM_STRING_RSA) == 0 || strcmp(name, PEM_STRING_ECPRIVATEKEY) == 0) {
		pkey = d2i_AutoPrivateKey(NULL, &p, len);
		key->can_sign = true;
	} else {
		*error = "there is PEM in it that is no key and no certificate";
		return -1;
	}
	*error = "a key or certificate in it can't be read";
	if (pkey)
		*error = jwt_key_set(key, pkey);
	return *error ? -1 : 1;
}

static const char *add_pem(struct jwt_keys *keys, const void *bytes, size_t len)
{
	unsigned before = keys->count;
	BIO *bio = BIO_new_mem_buf(bytes, (int)len);
	const char *error = NULL;
	char *name, *header;
	uint8_t *der;
	long der_len;
	int found = 0;

	while (bio && found >= 0 && PEM_read_bio(bio, &name, &header, &der, &der_len) == 1) {
		struct jwt_key *key = next(keys, &error);

		found = key ? pem_block(key, name, header, der, der_len, &error) : -1;
		if (found > 0)
			keys->count++;
		else if (key)
			jwt_key_fini(key);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(der, (size_t)der_len);
	}
	BIO_free(bio);
	/* The end is that there is no further line that begins a block: anything else is a block that is cut, or broken. */
	if (found >= 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return "there is PEM in it that is broken";
	if (found < 0)
		return error;
	return keys->count == before ? "there is no key in it" : NULL;
}

/* A set; or a key alone. *withdrawn: it is a set, without any key for tokens. */
static const char *add_json(struct jwt_keys *keys, const char *text, size_t len, bool secrets, bool *withdrawn)
{
	json_t *json = jwt_json_object(text, len), *alone = NULL, *set = json_object_get(json, "keys"), *jwk;
	const char *error = "it is no JSON object, or has a member twice", *why;
	unsigned before = keys->count;
	size_t i;

	*withdrawn = json_is_array(set);
	if (json && !set)
		set = alone = json_pack("[O]", json);
	if (json)
		error = json_is_array(set) ? "there is no key for tokens in it" : "its keys are no array";
	json_array_foreach(set, i, jwk) {
		struct jwt_key *key = next(keys, &why);
		enum jwk_outcome outcome = key ? jwk_read(key, jwk, secrets, &why) : JWK_WRONG;

		if (outcome == JWK_TAKEN)
			keys->count++;
		else if (key)
			jwt_key_fini(key);
		if (outcome == JWK_WRONG) {
			error = why;
			*withdrawn = false;
			jwt_keys_keep(keys, before);
			break;
		}
	}
	json_decref(alone);
	json_decref(json);
	*withdrawn &= keys->count == before;
	return keys->count == before ? error : NULL;
}

static const char *add_secret(struct jwt_keys *keys, const char *bytes, size_t len)
{
	const char *error;
	struct jwt_key *key = next(keys, &error);

	while (len > 0 && (bytes[len - 1] == '\n' || bytes[len - 1] == '\r'))
		len--;
	if (!key || (error = jwt_key_set_secret(key, bytes, len)) != NULL)
		return error;
	if (key_look(bytes, len)) {
		jwt_key_fini(key);
		return KEY_LOOK_ERROR;
	}
	keys->count++;
	return NULL;
}

static int answer(struct jwt_keys *keys, unsigned before, const char *error, char why[JWT_KEYS_ERROR_MAX])
{
	ERR_clear_error();
	if (!error)
		return 0;
	jwt_keys_keep(keys, before);
	snprintf(why, JWT_KEYS_ERROR_MAX, "%s", error);
	return -1;
}

static bool begins_json(const char *bytes, size_t len)
{
	while (len > 0 && strchr(" \t\r\n", *bytes))
		bytes++, len--;
	return len > 0 && *bytes == '{';
}

int jwt_keys_add(struct jwt_keys *keys, const void *bytes, size_t len, char why[JWT_KEYS_ERROR_MAX])
{
	unsigned before = keys->count;
	const char *error;
	bool withdrawn;

	ERR_clear_error();
	if (len > JWT_KEYS_FILE_MAX)
		error = "it has more than 256 KiB";
	else if (begins_json(bytes, len))
		error = add_json(keys, bytes, len, true, &withdrawn);
	else if (memmem(bytes, len, "-----BEGIN", 10))
		error = add_pem(keys, bytes, len);
	else
		error = add_secret(keys, bytes, len);
	return answer(keys, before, error, why);
}

int jwt_keys_add_jwks(struct jwt_keys *keys, const void *bytes, size_t len, char why[JWT_KEYS_ERROR_MAX])
{
	bool withdrawn = false;
	unsigned before = keys->count;
	const char *error = len > JWT_KEYS_FILE_MAX ? "it has more than 256 KiB" : add_json(keys, bytes, len, false, &withdrawn);

	return answer(keys, before, withdrawn ? NULL : error, why);
}

/* ---- packed ---- */

/*
 *   "jwk1" | number of keys
 *   of each: type, 1 | algorithms, 2 | length of kid, 1 | length of key, 2 | kid | key: a secret, or a SubjectPublicKeyInfo in DER
 * big-endian.
 */
static const char magic[4] = "jwk1";
enum { PACKED_HEAD = sizeof(magic) + 1, PACKED_KEY = 6 };

void *jwt_keys_pack(const struct jwt_keys *keys, size_t *size)
{
	int lens[2 * JWT_KEYS_MAX];
	uint8_t *packed, *p;

	*size = PACKED_HEAD;
	for (unsigned i = 0; i < keys->count; i++) {
		const struct jwt_key *key = &keys->of[i];

		lens[i] = key->secret ? (int)key->secret_len : i2d_PUBKEY(key->pkey, NULL);
		if (lens[i] <= 0 || lens[i] > UINT16_MAX)
			return NULL;
		*size += PACKED_KEY + key->kid_len + (size_t)lens[i];
	}
	packed = p = malloc(*size);
	if (!packed)
		return NULL;
	memcpy(p, magic, sizeof(magic));
	p[sizeof(magic)] = (uint8_t)keys->count;
	p += PACKED_HEAD;
	for (unsigned i = 0; i < keys->count; i++) {
		const struct jwt_key *key = &keys->of[i];
		const uint8_t head[PACKED_KEY] = { (uint8_t)key->type, (uint8_t)(key->algs >> 8), (uint8_t)key->algs, key->kid_len, (uint8_t)(lens[i] >> 8),
						   (uint8_t)lens[i] };

		memcpy(p, head, sizeof(head));
		memcpy(p + PACKED_KEY, key->kid, key->kid_len);
		p += PACKED_KEY + key->kid_len;
		if (key->secret)
			memcpy(p, key->secret, key->secret_len), p += lens[i];
		else
			i2d_PUBKEY(key->pkey, &p);
	}
	return packed;
}

/* The key at p, of [p, end). What stands behind it, or NULL. */
static const uint8_t *unpack(struct jwt_key *key, const uint8_t *p, const uint8_t *end)
{
	unsigned type, algs;
	const uint8_t *bytes;
	EVP_PKEY *pkey;
	size_t len;

	if (end - p < PACKED_KEY)
		return NULL;
	type = p[0];
	algs = (unsigned)p[1] << 8 | p[2];
	key->kid_len = p[3];
	len = (size_t)p[4] << 8 | p[5];
	p += PACKED_KEY;
	if ((size_t)(end - p) < key->kid_len + len)
		return NULL;
	memcpy(key->kid, p, key->kid_len);
	bytes = p + key->kid_len;
	end = bytes + len;
	if (type == JWT_KEY_SECRET) {
		if (jwt_key_set_secret(key, bytes, len))
			return NULL;
	} else if (!(pkey = d2i_PUBKEY(NULL, &bytes, (long)len)) || jwt_key_set(key, pkey) || key->type != type || bytes != end) {
		return NULL;
	}
	if (!algs || algs & ~key->algs)
		return NULL;
	key->algs = algs;
	return end;
}

int jwt_keys_unpack(struct jwt_keys *keys, const void *bytes, size_t size)
{
	const uint8_t *p = bytes, *end = p + size;
	unsigned before = keys->count, count;

	if (size < PACKED_HEAD || memcmp(p, magic, sizeof(magic)) != 0)
		return -1;
	count = p[sizeof(magic)];
	if (count > JWT_KEYS_MAX || before > JWT_KEYS_MAX)
		return -1;
	p += PACKED_HEAD;
	while (p && count-- > 0) {
		struct jwt_key *key = &keys->of[keys->count];

		p = unpack(key, p, end);
		if (p)
			keys->count++;
		else
			jwt_key_fini(key);
	}
	ERR_clear_error();
	if (p == end)
		return 0;
	jwt_keys_keep(keys, before);
	return -1;
}
