/*
 * The keys that tokens are checked with (proto/jwt.h): read from files' contents by the master, packed into bytes that go to the workers in a sealed memfd,
 * and unpacked there. No I/O here; who holds packed keys or files' bytes wipes them when done.
 *
 * What a file is, is told by what is in it:
 *   JSON, an object with `keys` or `kty`    a JWK set or a JWK (RFC 7517): oct, RSA, EC (P-256, P-384), OKP (Ed25519), with use, key_ops, alg, kid
 *   PEM                                     public keys and certificates, one or several: RSA, EC, Ed25519. A private key can sign, too (janusctl token)
 *   anything else                           a secret, for HS256, HS384 and HS512; line ends behind it are not part of it. What looks like a key in another form
 *                                           (proto/key_look.h) is refused: a public key that were taken for a secret would let everybody make tokens
 *
 * Algorithms that a key checks: its `alg` alone, if it has one; else what its type is for: a secret HS*, RSA RS* and PS*, P-256 ES256, P-384 ES384, Ed25519
 * EdDSA. A secret that has fewer than 32 bytes and an RSA key of fewer than 2048 bits are refused (RFC 7518, 3.2 and 3.3); so is a secret that
 * would be PEM or JSON, cut short.
 */
#ifndef PROTO_JWT_KEYS_H
#define PROTO_JWT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	JWT_KEYS_MAX = 64,			/* of files together, and of what was fetched: each */
	JWT_KEYS_FILE_MAX = 256 * 1024,		/* bytes of a file or of a JWKS answer */
	JWT_KEYS_ERROR_MAX = 256,
};

struct jwt_keys;

/* No keys. NULL: no memory. */
struct jwt_keys *jwt_keys_create(void);
void jwt_keys_destroy(struct jwt_keys *keys);		/* wipes them */
unsigned jwt_keys_count(const struct jwt_keys *keys);
/* What those from number `from` on are, for people: "HS256 secret, RSA public key". Nothing of the keys themselves. */
void jwt_keys_describe(const struct jwt_keys *keys, unsigned from, char text[JWT_KEYS_ERROR_MAX]);
void jwt_keys_keep(struct jwt_keys *keys, unsigned count);	/* the first ones; others go */
bool jwt_keys_has_secret(const struct jwt_keys *keys);

/*
 * Adds the keys of a file's bytes. 0; or -1 with a sentence in why[], which has nothing of the keys in it, and nothing is added: also if there were more than JWT_KEYS_MAX then. Of a JWK set, keys of
 * types, curves, uses or algorithms that are not for this are passed over (RFC 7517, 5), but one at least must be left.
 */
int jwt_keys_add(struct jwt_keys *keys, const void *bytes, size_t len, char why[JWT_KEYS_ERROR_MAX]);
/*
 * Only a JWK set or a JWK, and no secrets (oct), which nobody gives away on the web: for what was fetched from a URL. A set that has no key for tokens is good, and adds none:
 * by that, its owner withdraws what he had there.
 */
int jwt_keys_add_jwks(struct jwt_keys *keys, const void *bytes, size_t len, char why[JWT_KEYS_ERROR_MAX]);

/* All that is needed to check tokens, in malloc()ed memory of *size bytes: private keys are left out. NULL: no memory. */
void *jwt_keys_pack(const struct jwt_keys *keys, size_t *size);
/* Adds what was packed: up to JWT_KEYS_MAX keys, beside as many that are there. 0, or -1: it is no such bytes, or there is no memory. */
int jwt_keys_unpack(struct jwt_keys *keys, const void *bytes, size_t size);

#endif
