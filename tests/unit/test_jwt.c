/*
 * Tokens: what is accepted, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/ecdsa.h>

#include "tests/unit/jwt_fixture.h"

#define NOW 1700000000
#define HS "{\"alg\":\"HS256\"}"

static const struct jwt_options none;
static union {
	struct rights rights;
	char bytes[RIGHTS_SIZE_MAX];
} block;
static const char *error;

static enum jwt_refusal verify_at(struct jwt_keys *keys, const char *token, int64_t now, const struct jwt_options *options)
{
	size_t len = strlen(token), size = 1;
	char *tight = malloc(len ? len : 1);	/* so that ASan sees what is read behind it */
	enum jwt_refusal refusal;

	memcpy(tight, token, len);
	error = NULL;
	refusal = jwt_verify(keys, tight, len, now, options, &block, sizeof(block), &size, &error);
	free(tight);
	assert_int_equal(refusal == JWT_ACCEPTED, error == NULL);
	assert_int_equal(refusal == JWT_ACCEPTED, size > 0);
	if (size)
		assert_true(rights_check(&block, size));
	return refusal;
}

static enum jwt_refusal verify(struct jwt_keys *keys, const char *token)
{
	return verify_at(keys, token, NOW, &none);
}

/* What becomes of a token of the secret with this header and these claims. */
static enum jwt_refusal made_at(const char *header, const char *claims, int64_t now, const struct jwt_options *options)
{
	struct jwt_keys *keys = keys_of(SECRET);
	char *token = token_of(keys, JWT_HS256, header, claims);
	enum jwt_refusal refusal = verify_at(keys, token, now, options);

	free(token);
	jwt_keys_destroy(keys);
	return refusal;
}

static enum jwt_refusal claims(const char *text)
{
	return made_at(HS, text, NOW, &none);
}

/* ---- signatures ---- */

static void rfc_examples(void **state)
{
	static const struct {
		const char *key, *token;
	} of[] = { { RFC_OCT, RFC_HS256 }, { RFC_RSA, RFC_RS256 }, { RFC_EC, RFC_ES256 } };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct jwt_keys *keys = keys_of(of[i].key);
		char *token = strdup(of[i].token);

		assert_int_equal(verify_at(keys, token, RFC_EXP - 1, &none), JWT_ACCEPTED);
		assert_int_equal(block.rights.expires, RFC_EXP + JWT_SKEW);
		assert_int_equal(block.rights.sub_len, 0);
		assert_int_equal(verify_at(keys, token, RFC_EXP + JWT_SKEW - 1, &none), JWT_ACCEPTED);
		assert_int_equal(verify_at(keys, token, RFC_EXP + JWT_SKEW, &none), JWT_EXPIRED);
		/* another claim; another signature */
		token[60] ^= 1;
		assert_int_equal(verify_at(keys, token, RFC_EXP - 1, &none), JWT_BAD_SIGNATURE);
		token[60] ^= 1;
		token[strlen(token) - 10] = token[strlen(token) - 10] == 'x' ? 'y' : 'x';
		assert_int_equal(verify_at(keys, token, RFC_EXP - 1, &none), JWT_BAD_SIGNATURE);
		free(token);
		jwt_keys_destroy(keys);
	}
}

static void rfc_8037(void **state)
{
	struct jwt_keys *keys = keys_of(RFC_OKP);
	uint8_t signature[64];

	(void)state;
	assert_int_equal(base64url_read(signature, 64, RFC_EDDSA_SIGNATURE, strlen(RFC_EDDSA_SIGNATURE)), 64);
	assert_true(jwt_signature_good(&keys->of[0], JWT_EDDSA, RFC_EDDSA_TEXT, strlen(RFC_EDDSA_TEXT), signature, 64));
	assert_false(jwt_signature_good(&keys->of[0], JWT_EDDSA, RFC_EDDSA_TEXT, strlen(RFC_EDDSA_TEXT) - 1, signature, 64));
	assert_false(jwt_signature_good(&keys->of[0], JWT_EDDSA, RFC_EDDSA_TEXT, strlen(RFC_EDDSA_TEXT), signature, 63));
	jwt_keys_destroy(keys);
}

/* Every algorithm: what its key has signed is accepted by that and by no other one, and not if the header names another. */
static void every_algorithm(void **state)
{
	EVP_PKEY *of[4] = { EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048), EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"),
			    EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") };
	struct jwt_keys *private[5], *public[5];
	char header[64], *token;

	(void)state;
	private[4] = keys_of(SECRET);
	public[4] = keys_of(SECRET "\r\n");
	for (unsigned i = 0; i < 4; i++) {
		char *pem = pem_of(of[i], 1);

		private[i] = keys_of(pem);
		free(pem);
		pem = pem_of(of[i], 0);
		public[i] = keys_of(pem);
		free(pem);
		EVP_PKEY_free(of[i]);
	}
	for (int alg = 0; alg < JWT_ALGS; alg++) {
		unsigned signer = alg <= JWT_HS512 ? 4 : alg <= JWT_PS512 ? 0 : (unsigned)(alg - JWT_ES256 + 1);

		snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", jwt_alg_name((enum jwt_alg)alg));
		token = token_of(private[signer], (enum jwt_alg)alg, header, "{\"sub\":\"bob\"}");
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(verify(public[i], token), i == signer ? JWT_ACCEPTED : JWT_NO_KEY);
		free(token);
		for (int other = 0; other < JWT_ALGS; other++) {
			snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", jwt_alg_name((enum jwt_alg)other));
			token = token_of(private[signer], (enum jwt_alg)alg, header, "{}");
			assert_int_equal(verify(public[signer], token) == JWT_ACCEPTED, other == alg);
			free(token);
		}
	}
	/* public keys sign nothing */
	assert_null(jwt_sign(public[0], "{}", 2, &error));
	for (unsigned i = 0; i < 5; i++) {
		token = jwt_sign(private[i], "{\"sub\":\"bob\"}", 13, &error);
		assert_non_null(token);
		assert_int_equal(verify(public[i], token), JWT_ACCEPTED);
		assert_memory_equal(block.rights.sub, "bob", 3);
		free(token);
		jwt_keys_destroy(private[i]);
		jwt_keys_destroy(public[i]);
	}
}

/* ---- attacks ---- */

static void alg_none(void **state)
{
	static const char *const names[] = { "none", "None", "NONE", "nOnE", "nonE", "none ", "", "HS256 ", "hs256", "Hs256", "HS1", "HS2560", "RS256\\u0000", "ES256K", "ES512", "dir" };
	struct jwt_keys *keys = keys_of(SECRET);
	char header[64];

	(void)state;
	add_key(keys, RFC_RSA);
	add_key(keys, RFC_EC);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *token, *text;

		snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", names[i]);
		token = token_of(keys, JWT_HS256, header, "{}");
		assert_int_not_equal(verify(keys, token), JWT_ACCEPTED);
		strrchr(token, '.')[1] = '\0';
		assert_int_equal(verify(keys, token), JWT_MALFORMED);
		*strrchr(token, '.') = '\0';
		assert_int_equal(verify(keys, token), JWT_MALFORMED);
		free(token);
		text = with_signature(unsigned_token(header, "{}"), "x", 1);
		assert_int_not_equal(verify(keys, text), JWT_ACCEPTED);
		free(text);
	}
	jwt_keys_destroy(keys);
}

/* Signed by HMAC with what everybody knows: the public key, as PEM, with and without its line end, or DER. */
static void public_key_as_secret(void **state)
{
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	char *pem = pem_of(pkey, 0);
	struct jwt_keys *keys = keys_of(pem), *forger;
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(pkey, &der);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		const void *secret = i < 2 ? (void *)pem : der;
		size_t len = i == 0 ? strlen(pem) : i == 1 ? strlen(pem) - 1 : (size_t)n;
		char *token;

		forger = jwt_keys_create();
		assert_null(jwt_key_set_secret(&forger->of[0], secret, len));
		forger->count = 1;
		token = token_of(forger, JWT_HS256, HS, "{}");
		assert_int_equal(verify(forger, token), JWT_ACCEPTED);
		assert_int_equal(verify(keys, token), JWT_NO_KEY);
		free(token);
		jwt_keys_destroy(forger);
	}
	OPENSSL_free(der);
	free(pem);
	EVP_PKEY_free(pkey);
	jwt_keys_destroy(keys);
}

static void kid_chooses_only(void **state)
{
	static const char *const tricks[] = { "../../../../dev/null", "/dev/null", "x' UNION SELECT 'secret", "key.pem; sleep 9", "https://evil.example/k", "b", "aa" };
	char header[600], long_one[400];
	struct jwt_keys *keys = keys_of("{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\"}");
	char *token;

	(void)state;
	for (unsigned i = 0; i < sizeof(tricks) / sizeof(tricks[0]); i++) {
		snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"kid\":\"%s\"}", tricks[i]);
		token = token_of(keys, JWT_HS256, header, "{}");
		assert_int_equal(verify(keys, token), JWT_NO_KEY);
		free(token);
	}
	token = token_of(keys, JWT_HS256, "{\"alg\":\"HS256\",\"kid\":\"a\"}", "{}");
	assert_int_equal(verify(keys, token), JWT_ACCEPTED);
	free(token);
	token = token_of(keys, JWT_HS256, HS, "{}");
	assert_int_equal(verify(keys, token), JWT_ACCEPTED);
	free(token);
	for (unsigned i = 0; i < 2; i++) {
		token = token_of(keys, JWT_HS256, i ? "{\"alg\":\"HS256\",\"kid\":1}" : "{\"alg\":\"HS256\",\"kid\":\"\"}", "{}");
		assert_int_equal(verify(keys, token), JWT_MALFORMED);
		free(token);
	}
	memset(long_one, 'a', sizeof(long_one) - 1);
	long_one[sizeof(long_one) - 1] = '\0';
	snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"kid\":\"%s\"}", long_one);
	token = token_of(keys, JWT_HS256, header, "{}");
	assert_int_equal(verify(keys, token), JWT_NO_KEY);
	free(token);
	jwt_keys_destroy(keys);
	/* A key without kid is for any. */
	assert_int_equal(made_at("{\"alg\":\"HS256\",\"kid\":\"whatever\"}", "{}", NOW, &none), JWT_ACCEPTED);
}

/* A key that a token brings along. */
static void own_key(void **state)
{
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	char *pem = pem_of(pkey, 1), header[300], x[64], *token;
	struct jwt_keys *forger = keys_of(pem), *keys = keys_of(RFC_OKP);
	uint8_t raw[32];
	size_t n = sizeof(raw);

	(void)state;
	assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, raw, &n), 1);
	x[base64url_write(x, raw, n)] = '\0';
	snprintf(header, sizeof(header), "{\"alg\":\"EdDSA\",\"jwk\":{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"},\"jku\":\"https://evil.example/\",\"x5u\":\"https://evil.example/\"}", x);
	token = token_of(forger, JWT_EDDSA, header, "{}");
	assert_int_equal(verify(keys, token), JWT_BAD_SIGNATURE);
	assert_int_equal(verify(forger, token), JWT_ACCEPTED);		/* and is nothing that would harm one that is good */
	free(token);
	free(pem);
	EVP_PKEY_free(pkey);
	jwt_keys_destroy(forger);
	jwt_keys_destroy(keys);
}

/* r and s of nothing (CVE-2022-21449), of the group's order, as DER, cut, or with a byte more. */
static void ecdsa(void **state)
{
	static const uint8_t order[32] = { 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					   0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51 };
	struct jwt_keys *keys = keys_of(RFC_EC);
	uint8_t raw[65] = { 0 }, der[80], *p = der;
	const char *dot = strrchr(RFC_ES256, '.');
	char *signed_part = strndup(RFC_ES256, (size_t)(dot - RFC_ES256)), *token;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	const struct { const uint8_t *bytes; size_t len; } of[] = { { raw, 64 }, { raw, 0 }, { raw, 1 }, { raw, 63 }, { raw, 65 } };
	int n;

	(void)state;
	for (unsigned i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		token = with_signature(strdup(signed_part), of[i].bytes, of[i].len);
		assert_int_equal(verify_at(keys, token, RFC_EXP, &none), of[i].len ? JWT_BAD_SIGNATURE : JWT_MALFORMED);
		free(token);
	}
	for (unsigned i = 1; i < 4; i++) {
		memset(raw, 0, sizeof(raw));
		if (i & 1)
			memcpy(raw, order, 32);
		if (i & 2)
			memcpy(raw + 32, order, 32);
		token = with_signature(strdup(signed_part), raw, 64);
		assert_int_equal(verify_at(keys, token, RFC_EXP, &none), JWT_BAD_SIGNATURE);
		free(token);
	}
	assert_int_equal(base64url_read(raw, sizeof(raw), dot + 1, strlen(dot + 1)), 64);
	assert_int_equal(ECDSA_SIG_set0(sig, BN_bin2bn(raw, 32, NULL), BN_bin2bn(raw + 32, 32, NULL)), 1);
	n = i2d_ECDSA_SIG(sig, &p);
	token = with_signature(strdup(signed_part), der, (size_t)n);
	assert_int_equal(verify_at(keys, token, RFC_EXP, &none), JWT_BAD_SIGNATURE);
	free(token);
	for (unsigned more = 0; more < 2; more++) {
		raw[64] = 0;
		token = with_signature(strdup(signed_part), raw, 64 + more);
		assert_int_equal(verify_at(keys, token, RFC_EXP, &none), more ? JWT_BAD_SIGNATURE : JWT_ACCEPTED);
		free(token);
	}
	ECDSA_SIG_free(sig);
	free(signed_part);
	jwt_keys_destroy(keys);
}

/* Cut at every byte, and with each byte changed that can be. */
static void cut_and_changed(void **state)
{
	struct jwt_keys *keys = keys_of(SECRET);
	char *token = token_of(keys, JWT_HS256, HS, "{\"sub\":\"bob\",\"exp\":1800000000}"), *copy;
	size_t len = strlen(token);

	(void)state;
	for (size_t i = 0; i < len; i++) {
		copy = strndup(token, i);
		assert_int_not_equal(verify(keys, copy), JWT_ACCEPTED);
		free(copy);
		for (const char *c = "A._=+/ \n\x80\x7f"; *c; c++) {
			copy = strdup(token);
			if (copy[i] != *c) {
				copy[i] = *c;
				assert_int_not_equal(verify(keys, copy), JWT_ACCEPTED);
			}
			free(copy);
		}
	}
	copy = malloc(len + 3);
	for (const char *c = "A.= \n"; *c; c++) {
		snprintf(copy, len + 3, "%s%c", token, *c);
		assert_int_not_equal(verify(keys, copy), JWT_ACCEPTED);
		snprintf(copy, len + 3, "%c%s", *c, token);
		assert_int_not_equal(verify(keys, copy), JWT_ACCEPTED);
	}
	free(copy);
	free(token);
	jwt_keys_destroy(keys);
}

static void form(void **state)
{
	static const char *const headers[] = { "", "null", "[]", "\"HS256\"", "{", "{}", "{\"alg\":1}", "{\"alg\":null}", "{\"alg\":[\"HS256\"]}", "{\"alg\":\"HS256\"}x",
		"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", "{\"alg\":\"HS256\",\"crit\":[]}",
		"{\"alg\":\"HS256\",\"x\":\"\xff\"}", "{\"alg\":\"HS256\",\"x\":\"\xed\xa0\x80\"}", "{'alg':'HS256'}", "{\"alg\":\"HS256\",}" };
	static const char *const bodies[] = { "", "null", "[]", "1", "{", "{\"sub\":\"a\",\"sub\":\"b\"}", "{\"caps\":[],\"caps\":[]}", "{\"a\":{\"b\":1,\"b\":2}}", "{\"sub\":\"\xff\"}",
		"{\"sub\":\"a\\u0000b\"}", "{\"sub\":\"bob\"}{}", "{\"sub\":\"bob\" \"x\":1}", "{\"sub\":1}", "{\"sub\":null}", "{\"sub\":[\"bob\"]}", "{\"sub\":\"\\u0001bob\"}", "{\"a\":1e999}",
		"{\"a\":99999999999999999999999}" };

	(void)state;
	for (unsigned i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		assert_int_equal(made_at(headers[i], "{}", NOW, &none), JWT_MALFORMED);
	for (unsigned i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		assert_int_equal(claims(bodies[i]), JWT_MALFORMED);
	assert_int_equal(made_at("{\"typ\":\"at+jwt\",\"alg\":\"HS256\",\"b64\":false}", "{\"unknown\":[{}]}", NOW, &none), JWT_ACCEPTED);
}

/* Deep and long ones: nested beyond the limit, in header and claims, and 8 KiB. */
static void too_much(void **state)
{
	static char text[2 * JWT_SIZE_MAX], deep[512];
	struct jwt_keys *keys = keys_of(SECRET);

	(void)state;
	for (int depth = JWT_DEPTH_MAX - 2; depth < 200; depth += depth < JWT_DEPTH_MAX + 2 ? 1 : 50) {
		char *p = deep;

		p += sprintf(p, "{\"alg\":\"HS256\",\"\\\"[\":");
		memset(p, '[', (size_t)depth);
		memset(p + depth, ']', (size_t)depth);
		strcpy(p + 2 * depth, "}");
		assert_int_equal(made_at(deep, "{}", NOW, &none), depth < JWT_DEPTH_MAX ? JWT_ACCEPTED : JWT_MALFORMED);
		assert_int_equal(claims(deep), depth < JWT_DEPTH_MAX ? JWT_ACCEPTED : JWT_MALFORMED);
	}
	memset(text, '[', sizeof(text) - 1);
	assert_int_equal(claims(text), JWT_MALFORMED);
	/* exactly as long as it may be, and a byte more */
	for (size_t more = 0, found = 0; !found; more++) {
		char *token;

		snprintf(text, sizeof(text), "{\"pad\":\"%*s\"}", 6040 + (int)more, "");
		token = token_of(keys, JWT_HS256, HS, text);
		if (strlen(token) > JWT_SIZE_MAX) {
			assert_int_equal(verify(keys, token), JWT_MALFORMED);
			found = 1;
		} else {
			assert_int_equal(verify(keys, token), JWT_ACCEPTED);
		}
		free(token);
	}
	jwt_keys_destroy(keys);
}

/* ---- claims ---- */

static void times(void **state)
{
	static const char *const wrong[] = { "\"1800000000\"", "true", "null", "[]", "{}", "1e300", "-1e300", "9223372036854775807", "-9223372036854775807" };
	char text[100];

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		for (unsigned name = 0; name < 3; name++) {
			snprintf(text, sizeof(text), "{\"%s\":%s}", name == 0 ? "exp" : name == 1 ? "nbf" : "iat", wrong[i]);
			assert_int_equal(claims(text), JWT_MALFORMED);
		}
	assert_int_equal(claims("{\"exp\":-1}"), JWT_EXPIRED);
	assert_int_equal(claims("{\"exp\":0}"), JWT_EXPIRED);
	assert_int_equal(claims("{\"exp\":-0.5}"), JWT_EXPIRED);
	assert_int_equal(claims("{\"exp\":1699999941}"), JWT_ACCEPTED);
	assert_int_equal(block.rights.expires, NOW + 1);
	assert_int_equal(claims("{\"exp\":1699999940}"), JWT_EXPIRED);
	assert_int_equal(claims("{\"exp\":1699999940.9}"), JWT_EXPIRED);
	assert_int_equal(claims("{\"exp\":1699999941.0}"), JWT_ACCEPTED);
	assert_int_equal(claims("{\"exp\":17e8}"), JWT_ACCEPTED);
	assert_int_equal(claims("{\"nbf\":1700000060}"), JWT_ACCEPTED);
	assert_int_equal(block.rights.expires, INT64_MAX);
	assert_int_equal(claims("{\"nbf\":1700000061}"), JWT_NOT_YET);
	assert_int_equal(claims("{\"nbf\":1700000061.5}"), JWT_NOT_YET);
	assert_int_equal(claims("{\"iat\":1900000000}"), JWT_ACCEPTED);
}

static void for_and_from(void **state)
{
	const struct jwt_options for_us = { .audience = "janus, https://push.example", .issuer = "joe ann" };

	(void)state;
	assert_int_equal(made_at(HS, "{\"aud\":\"janus\",\"iss\":\"joe\"}", NOW, &for_us), JWT_ACCEPTED);
	assert_int_equal(made_at(HS, "{\"aud\":[\"x\",\"https://push.example\"],\"iss\":\"ann\"}", NOW, &for_us), JWT_ACCEPTED);
	static const char *const others[] = { "{\"iss\":\"joe\"}", "{\"iss\":\"joe\",\"aud\":\"janu\"}", "{\"iss\":\"joe\",\"aud\":\"janus,\"}", "{\"iss\":\"joe\",\"aud\":\"\"}", "{\"iss\":\"joe\",\"aud\":[]}",
		"{\"iss\":\"joe\",\"aud\":[1]}", "{\"iss\":\"joe\",\"aud\":[[\"janus\"]]}", "{\"iss\":\"joe\",\"aud\":{\"janus\":1}}", "{\"iss\":\"joe\",\"aud\":\"janus, https://push.example\"}" };
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(made_at(HS, others[i], NOW, &for_us), JWT_AUDIENCE);
	static const char *const strangers[] = { "{\"aud\":\"janus\"}", "{\"aud\":\"janus\",\"iss\":\"jo\"}", "{\"aud\":\"janus\",\"iss\":[\"joe\"]}", "{\"aud\":\"janus\",\"iss\":\"joe ann\"}" };
	for (unsigned i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++)
		assert_int_equal(made_at(HS, strangers[i], NOW, &for_us), JWT_ISSUER);
	assert_int_equal(claims("{\"aud\":\"else\",\"iss\":\"mallory\"}"), JWT_ACCEPTED);
}

static bool may(unsigned rights, enum rights_kind kind, const char *name)
{
	return rights_may(&block.rights, rights, kind, name, strlen(name));
}

static bool collect(void *with, const char *topic, size_t len)
{
	strncat(with, topic, len);
	strcat(with, " ");
	return true;
}

static void centrifugo(void **state)
{
	char at_once[100] = "";

	(void)state;
	assert_int_equal(claims("{\"sub\":\"bob\",\"info\":{},\"channels\":[\"news\",\"a.b\"],\"caps\":[{\"channels\":[\"chat:*\",\"x\"],\"match\":\"wildcard\",\"allow\":[\"sub\",\"pub\"]},"
				"{\"channels\":[\"*\"],\"allow\":[\"hst\"]},{\"users\":[\"ann\"],\"allow\":[\"pub\"]},{\"broadcast\":true,\"allow\":[\"pub\"]}]}"), JWT_ACCEPTED);
	assert_int_equal(block.rights.sub_len, 3);
	assert_memory_equal(block.rights.sub, "bob", 3);
	rights_at_once(&block.rights, collect, at_once);
	assert_string_equal(at_once, "news a.b ");
	assert_true(may(RIGHT_SUBSCRIBE, RIGHTS_TOPICS, "news"));
	assert_false(may(RIGHT_PUBLISH, RIGHTS_TOPICS, "news"));
	assert_true(may(RIGHT_SUBSCRIBE | RIGHT_PUBLISH | RIGHT_HISTORY, RIGHTS_TOPICS, "chat:1"));
	assert_false(may(RIGHT_PRESENCE, RIGHTS_TOPICS, "chat:1"));
	assert_true(may(RIGHT_HISTORY, RIGHTS_TOPICS, "other"));
	assert_false(may(RIGHT_SUBSCRIBE, RIGHTS_TOPICS, "other"));
	assert_true(may(RIGHT_PUBLISH, RIGHTS_USERS, "ann"));
	assert_false(may(RIGHT_SUBSCRIBE, RIGHTS_USERS, "ann"));
	assert_true(may(RIGHT_SUBSCRIBE, RIGHTS_USERS, "bob"));
	assert_false(may(RIGHT_PUBLISH, RIGHTS_USERS, "x"));
	assert_true(may(RIGHT_PUBLISH, RIGHTS_EVERYBODY, ""));
	assert_false(may(RIGHT_SUBSCRIBE, RIGHTS_EVERYBODY, ""));

	assert_int_equal(claims("{\"sub\":\"\",\"caps\":[{\"broadcast\":false,\"allow\":[\"pub\"]}]}"), JWT_ACCEPTED);
	assert_false(may(RIGHT_PUBLISH, RIGHTS_EVERYBODY, ""));
	assert_false(may(RIGHT_SUBSCRIBE, RIGHTS_USERS, ""));
}

/* Nobody gets half of what a token says. */
static void wrong_caps(void **state)
{
	static const char *const wrong[] = { "\"channels\":\"news\"", "\"channels\":{}", "\"channels\":[1]", "\"channels\":[\"\"]", "\"channels\":[\"\\u0001bob\"]", "\"channels\":[\"a.>.b\"]",
		"\"caps\":{}", "\"caps\":[1]", "\"caps\":[{}]", "\"caps\":[{\"channels\":[\"a\"]}]", "\"caps\":[{\"allow\":[\"sub\"]}]", "\"caps\":[{\"channels\":[\"a\"],\"allow\":\"sub\"}]",
		"\"caps\":[{\"channels\":[\"a\"],\"allow\":[\"all\"]}]", "\"caps\":[{\"channels\":[\"a\"],\"allow\":[1]}]", "\"caps\":[{\"channels\":\"a\",\"allow\":[\"sub\"]}]",
		"\"caps\":[{\"channels\":[\"a\"],\"match\":\"regex\",\"allow\":[\"sub\"]}]", "\"caps\":[{\"broadcast\":1,\"allow\":[\"pub\"]}]", "\"caps\":[{\"users\":[null],\"allow\":[\"pub\"]}]",
		"\"mercure\":[]", "\"mercure\":{\"publish\":\"*\"}", "\"mercure\":{\"subscribe\":[{}]}", "\"authorization_details\":{}",
		"\"authorization_details\":[{\"type\":\"https://mercure.rocks/authorization-detail\"}]",
		"\"authorization_details\":[{\"type\":\"https://mercure.rocks/authorization-detail\",\"actions\":[\"publish\"],\"topics\":[\"*\"]}]" };
	char text[400], *big = malloc(8000), *p = big;

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text), "{%s}", wrong[i]);
		assert_int_equal(claims(text), JWT_RIGHTS);
	}
	p += sprintf(p, "{\"channels\":[\"a\"");
	for (unsigned i = 0; i < RIGHTS_GRANTS_MAX; i++)
		p += sprintf(p, ",\"%u\"", i);
	strcpy(p, "]}");
	assert_int_equal(claims(big), JWT_RIGHTS);
	snprintf(big, 8000, "{\"sub\":\"%0256d\"}", 0);
	assert_int_equal(claims(big), JWT_RIGHTS);
	free(big);
}

static void mercure(void **state)
{
	(void)state;
	assert_int_equal(claims("{\"mercure\":{\"publish\":[\"*\"],\"subscribe\":[\"https://example.com/1\",\"{scheme}://{+host}/books/{id}\",\"a*\",\"b.*\",\"c.>\"],\"payload\":{\"x\":1}}}"), JWT_ACCEPTED);
	assert_true(may(RIGHT_PUBLISH, RIGHTS_TOPICS, "any"));
	assert_true(may(RIGHT_SUBSCRIBE | RIGHT_HISTORY, RIGHTS_TOPICS, "https://example.com/1"));
	assert_false(may(RIGHT_SUBSCRIBE, RIGHTS_TOPICS, "https://example.com/12"));
	assert_false(may(RIGHT_SUBSCRIBE, RIGHTS_TOPICS, "ab"));
	assert_false(may(RIGHT_SUBSCRIBE, RIGHTS_TOPICS, "b.x"));
	assert_false(may(RIGHT_SUBSCRIBE, RIGHTS_TOPICS, "c.x"));
	assert_int_equal(block.rights.grants, 2);

	assert_int_equal(claims("{\"authorization_details\":[{\"type\":\"https://mercure.rocks/authorization-detail\",\"actions\":[\"subscribe\"],\"topics\":[{\"match\":\"a\"},{\"match\":\"b\",\"match_type\":\"urlpattern\"}]},"
				"{\"type\":\"https://mercure.rocks/authorization-detail\",\"actions\":[\"subscribe\",\"publish\"],\"topics\":[{\"match\":\"c\"}]},{\"type\":\"else\",\"topics\":1},7]}"), JWT_ACCEPTED);
	assert_true(may(RIGHT_SUBSCRIBE | RIGHT_HISTORY, RIGHTS_TOPICS, "a"));
	assert_false(may(RIGHT_PUBLISH, RIGHTS_TOPICS, "a"));
	assert_false(may(RIGHT_SUBSCRIBE, RIGHTS_TOPICS, "b"));
	assert_true(may(RIGHT_SUBSCRIBE | RIGHT_PUBLISH, RIGHTS_TOPICS, "c"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_examples), cmocka_unit_test(rfc_8037), cmocka_unit_test(every_algorithm), cmocka_unit_test(alg_none), cmocka_unit_test(public_key_as_secret),
		cmocka_unit_test(kid_chooses_only), cmocka_unit_test(own_key), cmocka_unit_test(ecdsa), cmocka_unit_test(cut_and_changed), cmocka_unit_test(form),
		cmocka_unit_test(too_much), cmocka_unit_test(times), cmocka_unit_test(for_and_from), cmocka_unit_test(centrifugo), cmocka_unit_test(wrong_caps),
		cmocka_unit_test(mercure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
