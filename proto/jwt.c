/*
 * Tokens: their parts, and the order in which they are looked at. Nothing of the claims is read before the signature is known to be good.
 */
#include "proto/jwt.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base64url.h"
#include "proto/jwt_claims.h"
#include "proto/jwt_key.h"

struct part {
	const char *text;
	size_t len;
};

static enum jwt_refusal refuse(const char **error, enum jwt_refusal refusal, const char *text)
{
	*error = text;
	return refusal;
}

/* header.claims.signature, none of them empty. */
static bool divide(struct part part[3], const char *text, size_t len)
{
	const char *end = text + len;

	for (unsigned i = 0; i < 3; i++) {
		const char *dot = memchr(text, '.', (size_t)(end - text));

		if (i < 2 ? !dot : dot != NULL)
			return false;
		part[i] = (struct part){ text, (size_t)((dot ? dot : end) - text) };
		if (part[i].len == 0)
			return false;
		text += part[i].len + 1;
	}
	return true;
}

/* A part that is an object. NULL: it is none. */
static json_t *read_object(const struct part *part)
{
	char text[BASE64URL_BYTES(JWT_SIZE_MAX)];
	ssize_t n = base64url_read(text, sizeof(text), part->text, part->len);

	return n < 0 ? NULL : jwt_json_object(text, (size_t)n);
}

struct header {
	int alg;
	uint8_t kid_len;		/* 0: it has none */
	char kid[JWT_KID_MAX];
};

/* Of all that a header may have, this is what we look at. Where keys may be found (jwk, jku, x5c, x5u) is nothing that a token may say. */
static enum jwt_refusal read_header(struct header *header, const struct part *part, const char **error)
{
	json_t *json = read_object(part), *alg = json_object_get(json, "alg"), *kid = json_object_get(json, "kid");
	enum jwt_refusal refusal = JWT_ACCEPTED;

	*header = (struct header){ .alg = json_is_string(alg) ? jwt_alg_find(json_string_value(alg)) : -1 };
	if (!json)
		refusal = refuse(error, JWT_MALFORMED, "the token's header is no JSON object in base64url, or has a member twice, a NUL, or more than 16 objects and arrays in each other");
	else if (!json_is_string(alg))
		refusal = refuse(error, JWT_MALFORMED, "the token's header has no alg");
	else if (json_object_get(json, "crit"))
		refusal = refuse(error, JWT_MALFORMED, "the token asks for what is not understood here (crit)");
	else if (kid && (!json_is_string(kid) || json_string_length(kid) == 0))
		refusal = refuse(error, JWT_MALFORMED, "the token's kid is no text");
	else if (header->alg < 0 || json_string_length(kid) > JWT_KID_MAX)
		refusal = refuse(error, JWT_NO_KEY, header->alg < 0 ? "the token has no signature of a kind that is accepted here" : "there is no key of the token's kid");
	else if (kid)
		memcpy(header->kid, json_string_value(kid), header->kid_len = (uint8_t)json_string_length(kid));
	json_decref(json);
	return refusal;
}

/* A kid only chooses among the keys that there are. A key without one is for any. */
static bool is_meant(const struct jwt_key *key, const struct header *header)
{
	if (!(key->algs >> header->alg & 1))
		return false;
	return !header->kid_len || !key->kid_len || (key->kid_len == header->kid_len && memcmp(key->kid, header->kid, key->kid_len) == 0);
}

static enum jwt_refusal check_signature(struct jwt_keys *keys, const struct header *header, const char *text, const struct part *part, const char **error)
{
	uint8_t signature[JWT_SIGNATURE_MAX];
	ssize_t n = base64url_read(signature, sizeof(signature), part->text, part->len);
	bool any = false;

	if (n < 0)
		return refuse(error, JWT_MALFORMED, "the token's signature is no base64url");
	for (unsigned i = 0; i < keys->count; i++) {
		if (!is_meant(&keys->of[i], header))
			continue;
		any = true;
		if (jwt_signature_good(&keys->of[i], (enum jwt_alg)header->alg, text, (size_t)(part->text - 1 - text), signature, (size_t)n))
			return JWT_ACCEPTED;
	}
	return any ? refuse(error, JWT_BAD_SIGNATURE, "the token's signature is wrong")
		   : refuse(error, JWT_NO_KEY, "there is no key for the token's signature");
}

enum jwt_refusal jwt_verify(struct jwt_keys *keys, const char *text, size_t len, int64_t now, const struct jwt_options *options, void *dst, size_t room,
			    size_t *size, const char **error)
{
	struct header header;
	struct part part[3];
	enum jwt_refusal refusal;
	int64_t expires;
	json_t *claims;

	*size = 0;
	*error = NULL;
	if (len > JWT_SIZE_MAX)
		return refuse(error, JWT_MALFORMED, "the token has more than 8192 bytes");
	if (!divide(part, text, len))
		return refuse(error, JWT_MALFORMED, "the token is no JWT: three parts, with a dot between them");
	if ((refusal = read_header(&header, &part[0], error)) != JWT_ACCEPTED || (refusal = check_signature(keys, &header, text, &part[2], error)) != JWT_ACCEPTED)
		return refusal;
	claims = read_object(&part[1]);
	if (!claims)
		return refuse(error, JWT_MALFORMED, "the token's claims are no JSON object in base64url, or have a member twice, a NUL, or more than 16 objects and arrays in each other");
	refusal = jwt_claims_check(claims, now, options, &expires, error);
	if (refusal == JWT_ACCEPTED)
		refusal = jwt_claims_rights(claims, expires, dst, room, size, error);
	if (refusal != JWT_ACCEPTED)
		*size = jwt_claims_name(claims, dst, room);
	json_decref(claims);
	return refusal;
}

/* ---- making one ---- */

/* Of a key: the first of its algorithms. */
static int alg_of(const struct jwt_key *key)
{
	for (int alg = 0; alg < JWT_ALGS; alg++)
		if (key->algs >> alg & 1)
			return alg;
	return -1;
}

/* {"alg":...,"typ":"JWT","kid":...} as text, or NULL. */
static char *make_header(const struct jwt_key *key)
{
	json_t *json = json_pack("{ss ss}", "alg", jwt_alg_name((enum jwt_alg)alg_of(key)), "typ", "JWT");
	char *text;

	if (json && key->kid_len && json_object_set_new(json, "kid", json_stringn(key->kid, key->kid_len)) < 0) {
		json_decref(json);
		return NULL;
	}
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	return text;
}

char *jwt_sign(struct jwt_keys *keys, const char *claims, size_t len, const char **error)
{
	uint8_t signature[JWT_SIGNATURE_MAX];
	struct jwt_key *key = NULL;
	char *header, *token = NULL;
	size_t n;
	int signed_len;

	for (unsigned i = keys->count; i-- > 0; )
		if (keys->of[i].can_sign)
			key = &keys->of[i];
	*error = "there is no secret and no private key to sign it with";
	if (!key)
		return NULL;
	*error = "there is no memory";
	header = make_header(key);
	if (!header || !(token = malloc(BASE64URL_TEXT(strlen(header)) + BASE64URL_TEXT(len) + BASE64URL_TEXT(sizeof(signature)) + 3)))
		goto out;
	n = base64url_write(token, header, strlen(header));
	token[n++] = '.';
	n += base64url_write(token + n, claims, len);
	*error = "libcrypto could not sign it";
	signed_len = jwt_signature_make(key, (enum jwt_alg)alg_of(key), token, n, signature);
	if (signed_len < 0) {
		free(token);
		token = NULL;
		goto out;
	}
	token[n++] = '.';
	n += base64url_write(token + n, signature, (size_t)signed_len);
	token[n] = '\0';
out:
	free(header);
	return token;
}
