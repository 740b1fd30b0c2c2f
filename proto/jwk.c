/*
 * JSON Web Keys (RFC 7517; RFC 7518, section 6; RFC 8037, section 2): public ones, and secrets.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <string.h>

#include "proto/base64url.h"
#include "proto/jwt_key.h"
#include "proto/key_look.h"

enum { NUMBER_MAX = 2048 };		/* bytes: RSA's n of 16384 bits */

static bool is(const json_t *v, const char *text)
{
	return json_is_string(v) && strcmp(json_string_value(v), text) == 0;
}

/* A member that is bytes as base64url. Its length, or -1. */
static ssize_t bytes_of(const json_t *jwk, const char *name, uint8_t *dst, size_t room)
{
	const json_t *v = json_object_get(jwk, name);

	return json_is_string(v) ? base64url_read(dst, room, json_string_value(v), json_string_length(v)) : -1;
}

/* Ends the builder. NULL: libcrypto says that this is no key. */
static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *build, bool whole)
{
	OSSL_PARAM *params = whole ? OSSL_PARAM_BLD_to_param(build) : NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pkey = NULL;

	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	return pkey;
}

static EVP_PKEY *read_rsa(const json_t *jwk)
{
	uint8_t n[NUMBER_MAX], e[8];
	ssize_t n_len = bytes_of(jwk, "n", n, sizeof(n)), e_len = bytes_of(jwk, "e", e, sizeof(e));
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *modulus, *exponent;
	EVP_PKEY *pkey;

	modulus = n_len > 0 ? BN_bin2bn(n, (int)n_len, NULL) : NULL;
	exponent = e_len > 0 ? BN_bin2bn(e, (int)e_len, NULL) : NULL;
	pkey = from_params("RSA", build, build && modulus && exponent && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) &&
			   OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent));
	BN_free(modulus);
	BN_free(exponent);
	return pkey;
}

/* x and y are as long as the curve's field (RFC 7518, 6.2.1.2). */
static EVP_PKEY *read_ec(const json_t *jwk, const char *group, size_t half)
{
	uint8_t point[1 + 2 * 48] = { POINT_CONVERSION_UNCOMPRESSED };
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();

	return from_params("EC", build, build && bytes_of(jwk, "x", point + 1, half) == (ssize_t)half && bytes_of(jwk, "y", point + 1 + half, half) == (ssize_t)half &&
			   OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) &&
			   OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * half));
}

static EVP_PKEY *read_ed25519(const json_t *jwk)
{
	uint8_t x[32];

	return bytes_of(jwk, "x", x, sizeof(x)) == sizeof(x) ? EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, x, sizeof(x)) : NULL;
}

static const char *read_secret(struct jwt_key *key, const json_t *jwk)
{
	uint8_t secret[JWT_SECRET_MAX];
	ssize_t len = bytes_of(jwk, "k", secret, sizeof(secret));
	json_t *k = json_object_get(jwk, "k");
	const char *error = len < 0 ? "a key's k is not base64url, or longer than 4096 bytes" : key_look(secret, (size_t)len) ? KEY_LOOK_ERROR : jwt_key_set_secret(key, secret, (size_t)len);

	OPENSSL_cleanse(secret, sizeof(secret));
	if (json_is_string(k))
		OPENSSL_cleanse((char *)json_string_value(k), json_string_length(k));
	return error;
}

/* Whether it is one that checks signatures, by what it says of itself. */
static bool is_for_signatures(const json_t *jwk)
{
	const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops"), *op;
	bool verify = ops == NULL;
	size_t i;

	json_array_foreach(ops, i, op)
		verify |= is(op, "verify");
	return verify && (!use || is(use, "sig"));
}

/* The key itself, of a type and a curve that we have. */
static enum jwk_outcome read_type(struct jwt_key *key, const json_t *jwk, bool secrets, const char **error)
{
	const json_t *kty = json_object_get(jwk, "kty"), *crv = json_object_get(jwk, "crv");
	EVP_PKEY *pkey;

	if (is(kty, "oct")) {
		*error = secrets ? read_secret(key, jwk) : "a secret (oct) is none any more that can be fetched";
		return *error ? JWK_WRONG : JWK_TAKEN;
	}
	if (is(kty, "RSA"))
		pkey = read_rsa(jwk);
	else if (is(kty, "EC") && is(crv, "P-256"))
		pkey = read_ec(jwk, "P-256", 32);
	else if (is(kty, "EC") && is(crv, "P-384"))
		pkey = read_ec(jwk, "P-384", 48);
	else if (is(kty, "OKP") && is(crv, "Ed25519"))
		pkey = read_ed25519(jwk);
	else
		return JWK_OTHER;
	ERR_clear_error();
	*error = pkey ? jwt_key_set(key, pkey) : "a key lacks a number, or has a wrong one";
	return *error ? JWK_WRONG : JWK_TAKEN;
}

enum jwk_outcome jwk_read(struct jwt_key *key, const json_t *jwk, bool secrets, const char **error)
{
	const json_t *kid = json_object_get(jwk, "kid"), *alg = json_object_get(jwk, "alg");
	enum jwk_outcome outcome;

	*error = "no key in it is one for the signatures of tokens";
	if (!json_is_object(jwk) || !is_for_signatures(jwk))
		return JWK_OTHER;
	outcome = read_type(key, jwk, secrets, error);
	if (outcome != JWK_TAKEN)
		return outcome;
	if (alg) {
		int n = json_is_string(alg) ? jwt_alg_find(json_string_value(alg)) : -1;

		if (n < 0)
			return JWK_OTHER;
		key->algs &= 1u << n;
		*error = "a key's alg is not one of its type and size";
		if (!key->algs)
			return JWK_WRONG;
	}
	if (kid) {
		*error = "a key's kid is no text of 1 to 255 bytes";
		if (!json_is_string(kid) || json_string_length(kid) < 1 || json_string_length(kid) > JWT_KID_MAX)
			return JWK_WRONG;
		key->kid_len = (uint8_t)json_string_length(kid);
		memcpy(key->kid, json_string_value(kid), key->kid_len);
	}
	return JWK_TAKEN;
}
