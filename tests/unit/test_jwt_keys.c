/*
 * Keys of tokens: files of all kinds, those that are refused, and packed ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/rand.h>

#include "tests/unit/jwt_fixture.h"

static char why[JWT_KEYS_ERROR_MAX];

static int add(struct jwt_keys *keys, const char *text)
{
	return jwt_keys_add(keys, text, strlen(text), why);
}

/* A self-signed certificate, as PEM. */
static char *certificate(EVP_PKEY *pkey)
{
	X509 *cert = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	char *p, *text;
	long n;

	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, pkey);
	assert_true(X509_sign(cert, pkey, EVP_sha256()) > 0);
	PEM_write_bio_X509(bio, cert);
	n = BIO_get_mem_data(bio, &p);
	text = strndup(p, (size_t)n);
	BIO_free(bio);
	X509_free(cert);
	return text;
}

static void files(void **state)
{
	EVP_PKEY *ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"), *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	char *cert = certificate(ec), *public = pem_of(ed, 0), *private = pem_of(ed, 1), both[4000];
	struct jwt_keys *keys = jwt_keys_create();

	(void)state;
	assert_int_equal(add(keys, SECRET), 0);
	assert_int_equal(jwt_keys_count(keys), 1);
	assert_int_equal(keys->of[0].secret_len, 64);
	assert_int_equal(add(keys, SECRET "\n"), 0);
	assert_int_equal(keys->of[1].secret_len, 64);
	assert_int_equal(add(keys, "{\"keys\":[" RFC_RSA "," RFC_EC "," RFC_OKP "," RFC_OCT "]}"), 0);
	assert_int_equal(jwt_keys_count(keys), 6);
	assert_int_equal(keys->of[2].type, JWT_KEY_RSA);
	assert_int_equal(keys->of[3].type, JWT_KEY_P256);
	assert_int_equal(keys->of[4].type, JWT_KEY_ED25519);
	assert_int_equal(keys->of[5].type, JWT_KEY_SECRET);
	snprintf(both, sizeof(both), "my keys\n%stext\n%s%s", cert, public, private);
	assert_int_equal(add(keys, both), 0);
	assert_int_equal(jwt_keys_count(keys), 9);
	assert_int_equal(keys->of[6].type, JWT_KEY_P384);
	assert_false(keys->of[6].can_sign);
	assert_false(keys->of[7].can_sign);
	assert_true(keys->of[8].can_sign);
	jwt_keys_destroy(keys);
	free(cert);
	free(public);
	free(private);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(ed);
}

/* An error names what is wrong, and nothing was added. */
static void refused(struct jwt_keys *keys, const char *text, const char *said)
{
	unsigned before = jwt_keys_count(keys);

	assert_int_equal(add(keys, text), -1);
	if (!strstr(why, said))
		fail_msg("\"%s\" and not \"%s\"", why, said);
	assert_int_equal(jwt_keys_count(keys), before);
}

/* What everybody may know is no secret, in whatever form it stands in a file. */
static void public_keys_in_other_forms(void **state)
{
	EVP_PKEY *pair[3] = { EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") };
	struct jwt_keys *keys = jwt_keys_create(), *rsa = keys_of(RFC_RSA);
	char text[8192];

	(void)state;
	pair[2] = rsa->of[0].pkey;
	EVP_PKEY_up_ref(pair[2]);
	for (unsigned i = 0; i < 3; i++) {
		char *pem = pem_of(pair[i], 0), *cert = i == 0 ? certificate(pair[i]) : NULL, *body = strchr(pem, '\n') + 1, *end = strstr(pem, "-----END");
		uint8_t *der = NULL, *raw = NULL;
		int n = i2d_PUBKEY(pair[i], &der), raw_n = i == 2 ? i2d_PublicKey(pair[i], &raw) : 0;
		size_t len;

		assert_int_equal(jwt_keys_add(keys, der, (size_t)n, why), -1);
		assert_non_null(strstr(why, "looks like a key"));
		memcpy(text, der, (size_t)n);
		memcpy(text + n, "\n", 1);
		assert_int_equal(jwt_keys_add(keys, text, (size_t)n + 1, why), -1);
		if (raw)		/* as RSAPublicKey, which names no algorithm */
			assert_int_equal(jwt_keys_add(keys, raw, (size_t)raw_n, why), -1);
		refused(keys, body, "looks like a key");				/* its first line is lost, */
		snprintf(text, sizeof(text), "%.*s", (int)(end - body), body);
		refused(keys, text, "looks like a key");				/* and its last one */
		if (raw) {
			len = base64url_write(text, raw, (size_t)raw_n);
			assert_int_equal(jwt_keys_add(keys, text, len, why), -1);
		}
		for (int at = 0; at < n; at++)
			snprintf(text + 2 * at, 3, "%02x", der[at]);
		refused(keys, text, "looks like a key");
		refused(keys, pem + 1, "looks like a key");				/* a dash is */
		for (len = 0; pem[len]; len++)						/* UTF-16 */
			text[2 * len] = pem[len], text[2 * len + 1] = '\0';
		assert_int_equal(jwt_keys_add(keys, text, 2 * len, why), -1);
		len = base64url_write(text, pem, strlen(pem));
		text[len] = '\0';
		refused(keys, text, "looks like a key");
		/* (as a key of JSON, by who thinks that all keys are `oct`) */
		base64url_write(text, der, (size_t)n);
		text[BASE64URL_TEXT((size_t)n)] = '\0';
		{
			char jwk[8300];

			snprintf(jwk, sizeof(jwk), "{\"kty\":\"oct\",\"k\":\"%s\"}", text);
			refused(keys, jwk, "looks like a key");
		}
		if (cert) {
			snprintf(text, sizeof(text), "%.*s", (int)(strstr(cert, "-----END") - strchr(cert, '\n')), strchr(cert, '\n'));
			refused(keys, text, "looks like a key");
		}
		free(cert);
		free(pem);
		OPENSSL_free(der);
		OPENSSL_free(raw);
		EVP_PKEY_free(pair[i]);
	}
	refused(keys, "[" RFC_RSA "]", "looks like a key");
	refused(keys, "// our keys\n{\"keys\":[" RFC_EC "]}", "looks like a key");
	refused(keys, "\xef\xbb\xbf{\"keys\":[" RFC_EC "]}", "looks like a key");
	refused(keys, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0GtvnXQqXNKzMmRNlDJvSbcEiTjYHuPYnDhMJ6Mv0o me@here", "looks like a key");
	refused(keys, "AAAAC3NzaC1lZDI1NTE5AAAAIB0GtvnXQqXNKzMmRNlDJvSbcEiTjYHuPYnDhMJ6Mv0o", "looks like a key");
	refused(keys, "---- BEGIN SSH2 PUBLIC KEY ----\nAAAAB3Nza", "looks like a key");
	refused(keys, "<RSAKeyValue><Modulus>ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd</Modulus></RSAKeyValue>", "looks like a key");
	jwt_keys_destroy(rsa);
	jwt_keys_destroy(keys);
}

/* And what is random is one. */
static void secrets(void **state)
{
	struct jwt_keys *keys = jwt_keys_create();
	uint8_t random[48];
	char text[128];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		size_t len;

		assert_int_equal(RAND_bytes(random, sizeof(random)), 1);
		random[0] = 0x30, random[1] = sizeof(random) - 2;	/* (so that only what is in it tells it from ASN.1) */
		random[2] = (uint8_t)(i & 1 ? 0xa0 : random[2] == 0x30 || random[2] == 2 ? 1 : random[2]);
		len = base64url_write(text, random, sizeof(random));
		assert_int_equal(jwt_keys_add(keys, random, sizeof(random), why), 0);
		jwt_keys_keep(keys, 0);
		assert_int_equal(jwt_keys_add(keys, text, len, why), 0);
		jwt_keys_keep(keys, 0);
	}
	assert_int_equal(add(keys, "a pass phrase of several words, and of several lines\nof text"), 0);
	assert_int_equal(add(keys, RFC_EC), 0);
	jwt_keys_describe(keys, 0, why);
	assert_string_equal(why, "HS256 secret, P-256 public key");
	jwt_keys_describe(keys, 1, why);
	assert_string_equal(why, "P-256 public key");
	while (jwt_keys_count(keys) < JWT_KEYS_MAX)
		add_key(keys, RFC_OKP);
	jwt_keys_describe(keys, 0, why);
	assert_non_null(strstr(why, " more"));
	jwt_keys_destroy(keys);
}

static void refusals(void **state)
{
	EVP_PKEY *small = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024), *curve = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521"),
		 *exchange = EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), *good = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	char *pem, text[3000], *much = malloc(JWT_KEYS_FILE_MAX + 2);
	struct jwt_keys *keys = keys_of(RFC_EC);

	(void)state;
	refused(keys, "", "fewer than 32 bytes");
	refused(keys, "0123456789abcdef0123456789abcde\n", "fewer than 32 bytes");
	memset(much, 'x', JWT_KEYS_FILE_MAX + 1);
	much[JWT_KEYS_FILE_MAX + 1] = '\0';
	refused(keys, much, "256 KiB");
	much[JWT_SECRET_MAX + 1] = '\0';
	refused(keys, much, "more than 4096 bytes");
	pem = pem_of(small, 0);
	refused(keys, pem, "2048");
	free(pem);
	pem = pem_of(curve, 0);
	refused(keys, pem, "P-256");
	free(pem);
	pem = pem_of(exchange, 0);
	refused(keys, pem, "P-256");
	free(pem);
	pem = pem_of(good, 0);
	snprintf(text, sizeof(text), "%s%.*s", pem, (int)strlen(pem) - 30, pem);	/* the first one is whole */
	refused(keys, text, "broken");
	snprintf(text, sizeof(text), "%s-----BEGIN FOO-----\nAAAA\n-----END FOO-----\n", pem);
	refused(keys, text, "no key and no certificate");
	snprintf(text, sizeof(text), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
	refused(keys, text, "can't be read");
	free(pem);
	{
		BIO *bio = BIO_new(BIO_s_mem());
		char *p;
		long n;

		PEM_write_bio_PrivateKey(bio, good, EVP_aes_128_cbc(), NULL, 0, NULL, (void *)"word");
		n = BIO_get_mem_data(bio, &p);
		snprintf(text, sizeof(text), "%.*s", (int)n, p);
		BIO_free(bio);
		refused(keys, text, "encrypted");
	}
	refused(keys, "{\"keys\":[" RFC_EC "]", "JSON");
	refused(keys, " {\"keys\":[],\"keys\":[" RFC_EC "]}", "JSON");
	refused(keys, "{\"keys\":{}}", "no array");
	refused(keys, "{\"keys\":[]}", "no key");
	refused(keys, "{}", "no key");
	refused(keys, "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_EC_X "\",\"y\":\"" RFC_EC_X "\"}]}", "wrong one");		/* not on the curve */
	refused(keys, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_EC_X "\"}", "lacks");
	refused(keys, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_EC_X "\",\"y\":\"AA" RFC_EC_Y "\"}", "wrong one");
	refused(keys, "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" RFC_EC_X "\",\"y\":\"" RFC_EC_Y "\"}", "wrong one");
	refused(keys, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", "wrong one");
	refused(keys, "{\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "\",\"e\":\"AQ\"}", "exponent");
	refused(keys, "{\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "\",\"e\":\"AQAA\"}", "exponent");
	refused(keys, "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", "2048");
	refused(keys, "{\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "=\",\"e\":\"AQAB\"}", "wrong one");
	refused(keys, "{\"kty\":\"oct\",\"k\":\"AyM1\"}", "fewer than 32 bytes");
	refused(keys, "{\"kty\":\"oct\",\"k\":7}", "base64url");
	refused(keys, "{\"alg\":\"ES384\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_EC_X "\",\"y\":\"" RFC_EC_Y "\"}", "alg");
	refused(keys, "{\"kid\":7,\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_EC_X "\",\"y\":\"" RFC_EC_Y "\"}", "kid");
	/* one that is wrong among good ones */
	refused(keys, "{\"keys\":[" RFC_RSA ",{\"kty\":\"oct\",\"k\":\"AyM1\"}]}", "fewer than 32 bytes");
	jwt_keys_destroy(keys);
	free(much);
	EVP_PKEY_free(small);
	EVP_PKEY_free(curve);
	EVP_PKEY_free(exchange);
	EVP_PKEY_free(good);
}

/* Keys of a set that are for something else are passed over. */
static void passed_over(void **state)
{
	static const char *const others[] = { "7", "{}", "{\"kty\":\"EC\",\"crv\":\"P-521\"}", "{\"kty\":\"EC\",\"crv\":\"secp256k1\"}", "{\"kty\":\"OKP\",\"crv\":\"X25519\"}", "{\"kty\":\"AKP\"}",
		"{\"use\":\"enc\",\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "\",\"e\":\"AQAB\"}", "{\"alg\":\"RSA-OAEP\",\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "\",\"e\":\"AQAB\"}",
		"{\"key_ops\":[\"encrypt\"],\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "\",\"e\":\"AQAB\"}" };
	char text[3000];

	(void)state;
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct jwt_keys *keys = jwt_keys_create();

		snprintf(text, sizeof(text), "{\"keys\":[%s]}", others[i]);
		refused(keys, text, "no key");
		snprintf(text, sizeof(text), "{\"keys\":[%s,{\"use\":\"sig\",\"key_ops\":[\"verify\"],\"alg\":\"PS384\",\"kid\":\"k1\",\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "\",\"e\":\"AQAB\"}]}", others[i]);
		assert_int_equal(add(keys, text), 0);
		assert_int_equal(jwt_keys_count(keys), 1);
		assert_int_equal(keys->of[0].algs, 1u << JWT_PS384);
		assert_int_equal(keys->of[0].kid_len, 2);
		jwt_keys_destroy(keys);
	}
}

static void algorithms(void **state)
{
	struct jwt_keys *keys = keys_of("0123456789abcdef0123456789abcdef");

	(void)state;
	assert_int_equal(keys->of[0].algs, 1u << JWT_HS256);
	add_key(keys, "0123456789abcdef0123456789abcdef0123456789abcdef");
	assert_int_equal(keys->of[1].algs, 1u << JWT_HS256 | 1u << JWT_HS384);
	add_key(keys, RFC_RSA);
	assert_int_equal(keys->of[2].algs, 0x3f << JWT_RS256);
	jwt_keys_destroy(keys);
}

/* What comes from the web is a JWK set, and has no secrets. */
static void fetched(void **state)
{
	struct jwt_keys *keys = jwt_keys_create();

	(void)state;
	assert_int_equal(jwt_keys_add_jwks(keys, SECRET, strlen(SECRET), why), -1);
	assert_int_equal(jwt_keys_add_jwks(keys, "{\"keys\":[" RFC_OCT "]}", strlen("{\"keys\":[" RFC_OCT "]}"), why), -1);
	assert_non_null(strstr(why, "secret"));
	assert_int_equal(jwt_keys_add_jwks(keys, "{\"keys\":[" RFC_EC "]}", strlen("{\"keys\":[" RFC_EC "]}"), why), 0);
	assert_int_equal(jwt_keys_count(keys), 1);
	/* A set that has become empty is one, and an answer that is none is not. */
	assert_int_equal(jwt_keys_add_jwks(keys, "{\"keys\":[]}", strlen("{\"keys\":[]}"), why), 0);
	assert_int_equal(jwt_keys_add_jwks(keys, "{\"keys\":[{\"kty\":\"foo\"}]}", strlen("{\"keys\":[{\"kty\":\"foo\"}]}"), why), 0);
	for (unsigned i = 0; i < 4; i++) {
		const char *wrong = (const char *[]){ "{}", "{\"error\":\"later\"}", "{\"keys\":{}}", "[]" }[i];

		assert_int_equal(jwt_keys_add_jwks(keys, wrong, strlen(wrong), why), -1);
	}
	assert_int_equal(jwt_keys_count(keys), 1);
	jwt_keys_destroy(keys);
}

static void too_many(void **state)
{
	struct jwt_keys *keys = jwt_keys_create();

	(void)state;
	for (unsigned i = 0; i < JWT_KEYS_MAX; i++)
		assert_int_equal(add(keys, SECRET), 0);
	refused(keys, SECRET, "more than 64");
	refused(keys, RFC_EC, "more than 64");
	jwt_keys_destroy(keys);
}

/* What was fetched has room beside as many keys of files; and nothing has room beside both. */
static void two_sets(void **state)
{
	struct jwt_keys *keys = jwt_keys_create(), *both = jwt_keys_create();
	uint8_t *bytes, *one;
	size_t size, size_of_one;

	(void)state;
	add_key(both, RFC_EC);
	one = jwt_keys_pack(both, &size_of_one);
	jwt_keys_keep(both, 0);
	for (unsigned i = 0; i < JWT_KEYS_MAX; i++)
		assert_int_equal(add(keys, SECRET), 0);
	bytes = jwt_keys_pack(keys, &size);
	assert_int_equal(jwt_keys_unpack(both, bytes, size), 0);
	assert_int_equal(jwt_keys_unpack(both, bytes, size), 0);
	assert_int_equal(jwt_keys_count(both), 2 * JWT_KEYS_MAX);
	assert_int_equal(jwt_keys_unpack(both, one, size_of_one), -1);
	assert_int_equal(jwt_keys_count(both), 2 * JWT_KEYS_MAX);
	jwt_keys_keep(both, 1);
	bytes[4]++;		/* their number */
	assert_int_equal(jwt_keys_unpack(both, bytes, size), -1);
	assert_int_equal(jwt_keys_count(both), 1);
	free(bytes);
	free(one);
	jwt_keys_destroy(both);
	jwt_keys_destroy(keys);
}

static void packed(void **state)
{
	EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	char *pem = pem_of(ed, 1);
	struct jwt_keys *keys = keys_of("{\"keys\":[{\"kid\":\"k1\",\"alg\":\"RS512\",\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "\",\"e\":\"AQAB\"}," RFC_EC "," RFC_OKP "," RFC_OCT "]}"), *again = jwt_keys_create();
	uint8_t *bytes, *copy;
	size_t size;

	(void)state;
	add_key(keys, pem);
	bytes = jwt_keys_pack(keys, &size);
	assert_non_null(bytes);
	assert_int_equal(jwt_keys_unpack(again, bytes, size), 0);
	assert_int_equal(jwt_keys_count(again), 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(again->of[i].type, keys->of[i].type);
		assert_int_equal(again->of[i].algs, keys->of[i].algs);
		assert_int_equal(again->of[i].kid_len, keys->of[i].kid_len);
		if (i != 3) {
			assert_int_equal(EVP_PKEY_eq(again->of[i].pkey, keys->of[i].pkey), 1);
			assert_false(again->of[i].can_sign);
		}
	}
	assert_memory_equal(again->of[3].secret, keys->of[3].secret, 64);
	jwt_keys_destroy(again);
	/* cut anywhere, or with something behind it: nothing is added */
	again = jwt_keys_create();
	for (size_t n = 0; n < size; n++) {
		copy = malloc(n ? n : 1);
		memcpy(copy, bytes, n);
		assert_int_equal(jwt_keys_unpack(again, copy, n), -1);
		assert_int_equal(jwt_keys_count(again), 0);
		free(copy);
	}
	copy = calloc(1, size + 1);
	memcpy(copy, bytes, size);
	assert_int_equal(jwt_keys_unpack(again, copy, size + 1), -1);
	free(copy);
	/* a key's type or algorithms changed to what it is not */
	bytes[5] = JWT_KEY_SECRET;
	assert_int_equal(jwt_keys_unpack(again, bytes, size), -1);
	bytes[5] = JWT_KEY_RSA;
	bytes[7] |= 1;
	assert_int_equal(jwt_keys_unpack(again, bytes, size), -1);
	free(bytes);
	jwt_keys_destroy(again);
	jwt_keys_destroy(keys);
	EVP_PKEY_free(ed);
	free(pem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files), cmocka_unit_test(public_keys_in_other_forms), cmocka_unit_test(secrets), cmocka_unit_test(refusals), cmocka_unit_test(passed_over), cmocka_unit_test(algorithms), cmocka_unit_test(fetched), cmocka_unit_test(too_many),
		cmocka_unit_test(two_sets), cmocka_unit_test(packed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
