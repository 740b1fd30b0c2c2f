/*
 * Signatures of tokens: made and checked by libcrypto. (RFC 7518, section 3; RFC 8037, section 3.1)
 */
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

#include "proto/jwt_key.h"

static const struct {
	const char *name;
	const char *hash;
	unsigned half;			/* ECDSA: bytes of r, and of s */
} algs[JWT_ALGS] = {
	[JWT_HS256] = { "HS256", "SHA256", 0 }, [JWT_HS384] = { "HS384", "SHA384", 0 }, [JWT_HS512] = { "HS512", "SHA512", 0 },
	[JWT_RS256] = { "RS256", "SHA256", 0 }, [JWT_RS384] = { "RS384", "SHA384", 0 }, [JWT_RS512] = { "RS512", "SHA512", 0 },
	[JWT_PS256] = { "PS256", "SHA256", 0 }, [JWT_PS384] = { "PS384", "SHA384", 0 }, [JWT_PS512] = { "PS512", "SHA512", 0 },
	[JWT_ES256] = { "ES256", "SHA256", 32 }, [JWT_ES384] = { "ES384", "SHA384", 48 },
	[JWT_EDDSA] = { "EdDSA", NULL, 0 },
};

int jwt_alg_find(const char *name)
{
	for (int i = 0; i < JWT_ALGS; i++)
		if (strcmp(algs[i].name, name) == 0)
			return i;
	return -1;
}

const char *jwt_alg_name(enum jwt_alg alg)
{
	return algs[alg].name;
}

/* ---- secrets ---- */

/* The context of a hash, keyed once: beginning anew with the same key costs two blocks of the hash less. */
static EVP_MAC_CTX *mac_of(struct jwt_key *key, enum jwt_alg alg)
{
	EVP_MAC_CTX **ctx = &key->mac[alg - JWT_HS256];
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string("digest", (char *)algs[alg].hash, 0), OSSL_PARAM_construct_end() };
	EVP_MAC *mac;

	if (*ctx)
		return EVP_MAC_init(*ctx, NULL, 0, NULL) == 1 ? *ctx : NULL;
	mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	*ctx = EVP_MAC_CTX_new(mac);
	EVP_MAC_free(mac);
	if (*ctx && EVP_MAC_init(*ctx, key->secret, key->secret_len, params) == 1)
		return *ctx;
	EVP_MAC_CTX_free(*ctx);
	return *ctx = NULL;
}

static int make_mac(struct jwt_key *key, enum jwt_alg alg, const void *text, size_t len, uint8_t mac[EVP_MAX_MD_SIZE])
{
	EVP_MAC_CTX *ctx = mac_of(key, alg);
	size_t n;

	if (!ctx || EVP_MAC_update(ctx, text, len) != 1 || EVP_MAC_final(ctx, mac, &n, EVP_MAX_MD_SIZE) != 1)
		return -1;
	return (int)n;
}

/* ---- ECDSA: r and s, big-endian, of fixed length, where libcrypto has DER ---- */

enum { ECDSA_DER_MAX = 128 };

/* Length of the DER, or -1. */
static int ecdsa_to_der(uint8_t der[ECDSA_DER_MAX], const uint8_t *raw, unsigned half)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw, (int)half, NULL), *s = BN_bin2bn(raw + half, (int)half, NULL);
	int n = -1;

	if (!sig || !r || !s || ECDSA_SIG_set0(sig, r, s) != 1) {
		BN_free(r);
		BN_free(s);
	} else if (i2d_ECDSA_SIG(sig, NULL) <= ECDSA_DER_MAX) {
		n = i2d_ECDSA_SIG(sig, &der);
	}
	ECDSA_SIG_free(sig);
	return n;
}

/* 2 * half, or -1. */
static int ecdsa_from_der(uint8_t *raw, const uint8_t *der, size_t len, unsigned half)
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
	int n = -1;

	if (sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, (int)half) >= 0 && BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + half, (int)half) >= 0)
		n = (int)(2 * half);
	ECDSA_SIG_free(sig);
	return n;
}

/* ---- */

/* PSS: the salt is as long as the hash (RFC 7518, 3.5). */
static bool set_padding(EVP_PKEY_CTX *ctx, enum jwt_alg alg)
{
	if (alg < JWT_PS256 || alg > JWT_PS512)
		return true;
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0;
}

static bool check(struct jwt_key *key, enum jwt_alg alg, const void *text, size_t len, const uint8_t *signature, size_t signature_len)
{
	uint8_t buffer[ECDSA_DER_MAX];
	EVP_MD_CTX *md;
	EVP_PKEY_CTX *ctx;
	bool good;
	int n;

	if (key->type == JWT_KEY_SECRET) {
		n = make_mac(key, alg, text, len, buffer);
		return n >= 0 && signature_len == (size_t)n && CRYPTO_memcmp(signature, buffer, signature_len) == 0;
	}
	if (algs[alg].half) {
		if (signature_len != 2 * algs[alg].half || (n = ecdsa_to_der(buffer, signature, algs[alg].half)) < 0)
			return false;
		signature = buffer;
		signature_len = (size_t)n;
	}
	md = EVP_MD_CTX_new();
	good = md && EVP_DigestVerifyInit_ex(md, &ctx, algs[alg].hash, NULL, NULL, key->pkey, NULL) == 1 && set_padding(ctx, alg) &&
	       EVP_DigestVerify(md, signature, signature_len, text, len) == 1;
	EVP_MD_CTX_free(md);
	return good;
}

bool jwt_signature_good(struct jwt_key *key, enum jwt_alg alg, const void *text, size_t len, const uint8_t *signature, size_t signature_len)
{
	bool good = key->algs >> alg & 1 && check(key, alg, text, len, signature, signature_len);

	ERR_clear_error();
	return good;
}

int jwt_signature_make(struct jwt_key *key, enum jwt_alg alg, const void *text, size_t len, uint8_t signature[JWT_SIGNATURE_MAX])
{
	uint8_t der[JWT_SIGNATURE_MAX];
	size_t n = algs[alg].half ? sizeof(der) : JWT_SIGNATURE_MAX;
	EVP_MD_CTX *md;
	EVP_PKEY_CTX *ctx;
	bool made;

	if (!key->can_sign || !(key->algs >> alg & 1))
		return -1;
	if (key->type == JWT_KEY_SECRET)
		return make_mac(key, alg, text, len, signature);
	md = EVP_MD_CTX_new();
	made = md && EVP_DigestSignInit_ex(md, &ctx, algs[alg].hash, NULL, NULL, key->pkey, NULL) == 1 && set_padding(ctx, alg) &&
	       EVP_DigestSign(md, algs[alg].half ? der : signature, &n, text, len) == 1;
	EVP_MD_CTX_free(md);
	ERR_clear_error();
	if (!made)
		return -1;
	return algs[alg].half ? ecdsa_from_der(signature, der, n, algs[alg].half) : (int)n;
}
