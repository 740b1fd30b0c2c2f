/*
 * JSON Web Tokens: a token in, a block of rights out (proto/rights.h).
 *
 * RFC 7515 (the compact form of JWS), 7518 (algorithms), 7519 (claims), 8037 (EdDSA), read with RFC 8725's advice: the key says which algorithm a
 * signature is of, and the token can only agree; `none`, `crit`, and keys that a token brings along do nothing but make it be refused or are
 * not looked at. Signatures are libcrypto's work, JSON is jansson's.
 *
 * Claims that give rights (PROTOCOL.md, "Tokens", has them in full):
 *   sub                      who it is
 *   channels                 topics subscribed at once (Centrifugo)
 *   caps                     [{channels | users | broadcast, allow}] (Centrifugo's, and two of ours)
 *   mercure                  {subscribe, publish}: topic selectors (Mercure, before 1.0)
 *   authorization_details    Mercure 1.0 (RFC 9396)
 * What a claim says wrongly makes the token be refused: nobody gets half of what a token says. Claims that are not known are passed over.
 */
#ifndef PROTO_JWT_H
#define PROTO_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/jwt_keys.h"

enum {
	JWT_SIZE_MAX = 8192,		/* bytes of a token */
	JWT_DEPTH_MAX = 16,		/* arrays and objects in each other, of header and claims */
	JWT_SKEW = 60,			/* seconds by which clocks may differ: `exp` and `nbf` are read so much in the token's favour */
};

/* Why a token was refused, for counters. */
enum jwt_refusal {
	JWT_ACCEPTED,
	JWT_MALFORMED,			/* no token: its form, base64url, JSON, header or claims' types */
	JWT_NO_KEY,			/* no key for its algorithm, or of its kid */
	JWT_BAD_SIGNATURE,
	JWT_EXPIRED,
	JWT_NOT_YET,			/* nbf is to come */
	JWT_AUDIENCE,
	JWT_ISSUER,
	JWT_RIGHTS,			/* claims that give rights are not understood, or more than a block can hold */
	JWT_REFUSALS
};

struct jwt_options {
	const char *audience;		/* one of these, divided by blanks or commas, must be in `aud`; NULL or "": aud is not looked at */
	const char *issuer;		/* the same of `iss` */
};

/*
 * Checks the token and makes its rights in dst[0..room); RIGHTS_SIZE_MAX bytes are room for any. `now` is seconds since the epoch. rights.expires is `exp`
 * plus JWT_SKEW, so the token is good for as long as it would be accepted; INT64_MAX without exp.
 * JWT_ACCEPTED and *size; or why not: then, if the signature is good, the block says whose it is (sub) and gives nothing, else *size is 0; and *error is a static sentence fit for the peer, with nothing of the token in it.
 * The keys are not changed as anybody could see, but contexts in them are used: not for two threads at a time. No I/O.
 */
enum jwt_refusal jwt_verify(struct jwt_keys *keys, const char *text, size_t len, int64_t now, const struct jwt_options *options, void *dst, size_t room,
			    size_t *size, const char **error);

/*
 * Makes a token with these claims (an object's JSON, claims[0..len)), by the first of the keys that can sign: HS* from a secret, others from a private
 * key. The text in malloc()ed memory; or NULL and *error is a static sentence.
 */
char *jwt_sign(struct jwt_keys *keys, const char *claims, size_t len, const char **error);

#endif
