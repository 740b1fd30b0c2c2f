/*
 * One key, as jwt_keys.c keeps it, jwk.c reads it and jwt_signature.c uses it. For them alone: others have jwt_keys.h.
 */
#ifndef PROTO_JWT_KEY_H
#define PROTO_JWT_KEY_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/jwt_keys.h"

enum jwt_alg {
	JWT_HS256, JWT_HS384, JWT_HS512, JWT_RS256, JWT_RS384, JWT_RS512, JWT_PS256, JWT_PS384, JWT_PS512, JWT_ES256, JWT_ES384, JWT_EDDSA,
	JWT_ALGS
};

enum jwt_key_type { JWT_KEY_SECRET = 1, JWT_KEY_RSA, JWT_KEY_P256, JWT_KEY_P384, JWT_KEY_ED25519 };

enum { JWT_KID_MAX = 255, JWT_SECRET_MAX = 4096 };

struct jwt_key {
	enum jwt_key_type type;
	unsigned algs;			/* those it is for: a bit each */
	bool can_sign;
	uint8_t kid_len;		/* 0: it has none */
	char kid[JWT_KID_MAX];
	/* of a secret */
	uint8_t *secret;
	size_t secret_len;
	EVP_MAC_CTX *mac[3];		/* keyed, for each hash; made when first used */
	/* of others */
	EVP_PKEY *pkey;
};

struct jwt_keys {
	unsigned count;
	struct jwt_key of[2 * JWT_KEYS_MAX];	/* those of files, and those that were fetched */
};

/* By its name, which is case-sensitive (RFC 7515, 4.1.1). -1: it is none of ours. */
int jwt_alg_find(const char *name);
const char *jwt_alg_name(enum jwt_alg alg);

/* All algorithms that a key of this type and size may be for. */
unsigned jwt_key_algs(const struct jwt_key *key);

/* Takes over `pkey`, whatever it returns: NULL, or why it is no key for tokens, a static sentence. */
const char *jwt_key_set(struct jwt_key *key, EVP_PKEY *pkey);
/* Copies the secret. */
const char *jwt_key_set_secret(struct jwt_key *key, const void *secret, size_t len);
void jwt_key_fini(struct jwt_key *key);

/* ---- jwk.c ---- */

enum jwk_outcome { JWK_TAKEN, JWK_OTHER, JWK_WRONG };	/* JWK_OTHER: a key for something else, to be passed over */

/* Reads a JWK. *error is a static sentence unless it was taken. */
enum jwk_outcome jwk_read(struct jwt_key *key, const json_t *jwk, bool secrets, const char **error);

/* ---- jwt_signature.c ---- */

enum { JWT_SIGNATURE_MAX = 2048 };	/* bytes: RSA of 16384 bits */

bool jwt_signature_good(struct jwt_key *key, enum jwt_alg alg, const void *text, size_t len, const uint8_t *signature, size_t signature_len);
/* Its length; -1: it could not be made. */
int jwt_signature_make(struct jwt_key *key, enum jwt_alg alg, const void *text, size_t len, uint8_t signature[JWT_SIGNATURE_MAX]);

/* ---- jwt_json.c ---- */

/* An object, strictly: no member twice, no deeper than JWT_DEPTH_MAX. NULL: it is none. json_decref() by the caller. */
json_t *jwt_json_object(const char *text, size_t len);

#endif
