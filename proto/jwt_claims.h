/*
 * What a token claims, and the rights that follow from it. Used by jwt.c, when the signature is known to be good.
 */
#ifndef PROTO_JWT_CLAIMS_H
#define PROTO_JWT_CLAIMS_H

#include <jansson.h>

#include "proto/jwt.h"

/* Whether it is for now, for us and from whom we trust. *expires is what rights.expires is to be. */
enum jwt_refusal jwt_claims_check(const json_t *claims, int64_t now, const struct jwt_options *options, int64_t *expires, const char **error);

/* The rights, as jwt_verify() has it. */
enum jwt_refusal jwt_claims_rights(const json_t *claims, int64_t expires, void *dst, size_t room, size_t *size, const char **error);

/* A block with nothing but whose the token is: its bytes, 0: it says nobody, or nonsense. */
size_t jwt_claims_name(const json_t *claims, void *dst, size_t room);

#endif
