/*
 * The field Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): by the draft a string of structured fields (RFC 9651, 3.3.3), "abc"; here
 * also without its quotes.
 */
#ifndef PROTO_HTTP_KEY_H
#define PROTO_HTTP_KEY_H

#include "proto/http.h"

#define HTTP_KEY_MAX 255	/* bytes */

/* Takes quotes and escapes away. The key's length, 1 to HTTP_KEY_MAX; or -1 and *error. */
int http_key(struct http_text value, char dst[HTTP_KEY_MAX], const char **error);

#endif
