/*
 * proto/jwt*.c: tokens, claims, files of keys, and packed keys; which of them, the first byte says.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/jwt_fixture.h"

#define NOW 1700000000

static struct jwt_keys *keys;

static enum jwt_refusal verify(const char *text, size_t len, size_t *size)
{
	static union {
		struct rights rights;
		char bytes[RIGHTS_SIZE_MAX];
	} block;
	const struct jwt_options options = { .audience = NULL };
	const char *error;
	enum jwt_refusal refusal = jwt_verify(keys, text, len, NOW, &options, &block, sizeof(block), size, &error);

	/* A refused one whose signature is good may say whose it is. */
	fuzz_check((refusal == JWT_ACCEPTED) == (error == NULL) && (refusal != JWT_ACCEPTED || *size > 0));
	if (*size) {
		fuzz_check(rights_check(&block, *size));
		fuzz_check(block.rights.expires > NOW);
	}
	return refusal;
}

/* Nobody can have signed it. */
static void token(const struct fuzz_input *in)
{
	size_t size;

	fuzz_check(verify(in->bytes, in->len, &size) != JWT_ACCEPTED && size == 0);
}

/* As a token's claims, signed: with a good header; or, divided at the first line feed, with any. */
static void claims(const struct fuzz_input *in, bool header_too)
{
	static const char good[] = "{\"alg\":\"HS256\"}";
	const char *end = header_too ? memchr(in->bytes, '\n', in->len) : NULL, *header = end ? in->bytes : good, *body = end ? end + 1 : in->bytes;
	size_t header_len = end ? (size_t)(end - in->bytes) : strlen(good), body_len = in->len - (size_t)(body - in->bytes), n, size;
	uint8_t signature[JWT_SIGNATURE_MAX];
	char *text = fuzz_alloc(BASE64URL_TEXT(header_len) + BASE64URL_TEXT(body_len) + 2 + BASE64URL_TEXT(32)), back[BASE64URL_BYTES(JWT_SIZE_MAX)];
	int signed_len;

	n = base64url_write(text, header, header_len);
	text[n++] = '.';
	n += base64url_write(text + n, body, body_len);
	if (body_len <= sizeof(back))
		fuzz_check(base64url_read(back, sizeof(back), text + n - BASE64URL_TEXT(body_len), BASE64URL_TEXT(body_len)) == (ssize_t)body_len &&
			   memcmp(back, body, body_len) == 0);
	signed_len = jwt_signature_make(&keys->of[0], JWT_HS256, text, n, signature);
	fuzz_check(signed_len == 32);
	text[n++] = '.';
	n += base64url_write(text + n, signature, 32);
	verify(text, n, &size);
	free(text);
}

/* What can be read can be packed, and unpacked to the same. */
static void pack(const struct jwt_keys *read)
{
	struct jwt_keys *again = jwt_keys_create();
	size_t size;
	void *bytes = jwt_keys_pack(read, &size);

	fuzz_check(bytes && jwt_keys_unpack(again, bytes, size) == 0 && again->count == read->count);
	for (unsigned i = 0; i < read->count; i++)
		fuzz_check(again->of[i].type == read->of[i].type && again->of[i].algs == read->of[i].algs && again->of[i].algs);
	free(bytes);
	jwt_keys_destroy(again);
}

static void file(const struct fuzz_input *in, int (*add)(struct jwt_keys *to, const void *bytes, size_t len, char why[JWT_KEYS_ERROR_MAX]))
{
	struct jwt_keys *read = jwt_keys_create();
	char why[JWT_KEYS_ERROR_MAX] = "";
	int status = add(read, in->bytes, in->len, why);

	/* (A set of the web's may have none.) */
	fuzz_check((status == 0) == (*why == '\0') && (status == 0 ? read->count > 0 || add == jwt_keys_add_jwks : read->count == 0));
	if (status == 0)
		pack(read);
	jwt_keys_destroy(read);
}

static void packed(const struct fuzz_input *in)
{
	struct jwt_keys *read = jwt_keys_create();

	if (jwt_keys_unpack(read, in->bytes, in->len) == 0)
		pack(read);
	else
		fuzz_check(read->count == 0);
	jwt_keys_destroy(read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in;

	if (size == 0)
		return 0;
	if (!keys) {
		keys = keys_of(SECRET);
		add_key(keys, "{\"keys\":[" RFC_RSA "," RFC_EC "," RFC_OKP "]}");
	}
	fuzz_open_bare(&in, data + 1, size - 1);
	switch (data[0] % 6) {
	case 0: token(&in); break;
	case 1: claims(&in, false); break;
	case 2: claims(&in, true); break;
	case 3: file(&in, jwt_keys_add); break;
	case 4: file(&in, jwt_keys_add_jwks); break;
	case 5: packed(&in); break;
	}
	fuzz_close(&in);
	return 0;
}
