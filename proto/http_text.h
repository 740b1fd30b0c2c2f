/*
 * Character classes of HTTP, and what http.c's parts share.
 */
#ifndef PROTO_HTTP_TEXT_H
#define PROTO_HTTP_TEXT_H

#include "proto/http.h"

/* A character of a token (RFC 9110, 5.6.2): methods, field names. */
bool http_is_token(char c);

/* What may stand behind a chunk's size (RFC 9112, 7.1.1): nothing, or ;name, ;name=token or ;name="text", any number of them. */
bool http_is_chunk_extension(struct http_text text);

/* Removes spaces and tabs at both ends. */
struct http_text http_trim(struct http_text text);

/* A field's line without its CR LF: name and value. NULL, or what is wrong with it. */
const char *http_split_field(struct http_text line, struct http_text *name, struct http_text *value);

/* The head in[start..head): fills in everything but body and taken, and *length, the content's (0 when chunked). False: req is HTTP_BAD. */
bool http_parse_head(const char *in, size_t start, size_t head, struct http_request *req, uint64_t *length);

/* Makes req HTTP_BAD. */
void http_bad(struct http_request *req, unsigned status, const char *error);

#endif
