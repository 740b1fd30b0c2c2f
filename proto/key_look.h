/*
 * Whether bytes look like a key that is not secret: so that what everybody may know is never taken for a secret, with which tokens are signed.
 *
 * A public key comes in more forms than can be read here: DER, with or without base64 or hex around it, PEM without one of its lines or dashes, OpenSSH's,
 * JSON that is no JWK, XML. What they have in common is looked for: the words that stand around keys, the identifiers of their algorithms (RFC 3279, 5480,
 * 8410) as they are and as base64 has them, and ASN.1 that is whole. A random secret looks so by chance less than once in a million million.
 */
#ifndef PROTO_KEY_LOOK_H
#define PROTO_KEY_LOOK_H

#include <stdbool.h>
#include <stddef.h>

#define KEY_LOOK_ERROR "it looks like a key in a form that is not read here (PEM and JWK are), and whoever knows it could make tokens if it were taken for a secret"

bool key_look(const void *bytes, size_t len);

#endif
