/*
 * Keys and tokens for tests: the examples of RFC 7515 (A.1 to A.3) and RFC 8037 (A.4), and tokens put together by hand, right or wrong.
 */
#ifndef TESTS_JWT_FIXTURE_H
#define TESTS_JWT_FIXTURE_H

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base64url.h"
#include "proto/jwt.h"
#include "proto/jwt_key.h"
#include "proto/rights.h"

#define RFC_CLAIMS "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define RFC_EXP 1300819380
#define RFC_HS256 "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC_CLAIMS ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define RFC_OCT "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}"
#define RFC_RS256 "eyJhbGciOiJSUzI1NiJ9." RFC_CLAIMS \
	".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4" \
	"BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnv" \
	"Wh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define RFC_RSA_N "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b" \
	"32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJ" \
	"H7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define RFC_RSA "{\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "\",\"e\":\"AQAB\"}"
#define RFC_ES256 "eyJhbGciOiJFUzI1NiJ9." RFC_CLAIMS ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define RFC_EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define RFC_EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define RFC_EC "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_EC_X "\",\"y\":\"" RFC_EC_Y "\"}"
#define RFC_OKP "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
#define RFC_EDDSA_TEXT "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
#define RFC_EDDSA_SIGNATURE "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"

#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"	/* 64 bytes */

static inline void add_key(struct jwt_keys *keys, const char *text)
{
	char why[JWT_KEYS_ERROR_MAX] = "";

	if (jwt_keys_add(keys, text, strlen(text), why) < 0) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
}

static inline struct jwt_keys *keys_of(const char *text)
{
	struct jwt_keys *keys = jwt_keys_create();

	add_key(keys, text);
	return keys;
}

/* PEM of a key, malloc()ed. */
static inline char *pem_of(EVP_PKEY *pkey, int private)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p, *text;
	long n;

	if (private)
		PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL);
	else
		PEM_write_bio_PUBKEY(bio, pkey);
	n = BIO_get_mem_data(bio, &p);
	text = strndup(p, (size_t)n);
	BIO_free(bio);
	return text;
}

/* What both parts of a token are before the signature, malloc()ed. */
static inline char *unsigned_token(const char *header, const char *claims)
{
	char *text = malloc(BASE64URL_TEXT(strlen(header)) + BASE64URL_TEXT(strlen(claims)) + 2);
	size_t n = base64url_write(text, header, strlen(header));

	text[n++] = '.';
	n += base64url_write(text + n, claims, strlen(claims));
	text[n] = '\0';
	return text;
}

/* Appends a signature. Frees `text`. */
static inline char *with_signature(char *text, const void *signature, size_t len)
{
	size_t n = strlen(text);

	text = realloc(text, n + 2 + BASE64URL_TEXT(len));
	text[n] = '.';
	text[n + 1 + base64url_write(text + n + 1, signature, len)] = '\0';
	return text;
}

/* A token of any header, signed with the first key by `alg`, whatever the header says. */
static inline char *token_of(struct jwt_keys *keys, enum jwt_alg alg, const char *header, const char *claims)
{
	uint8_t signature[JWT_SIGNATURE_MAX];
	char *text = unsigned_token(header, claims);
	int n = jwt_signature_make(&keys->of[0], alg, text, strlen(text), signature);

	if (n < 0)
		abort();
	return with_signature(text, signature, (size_t)n);
}

#endif
