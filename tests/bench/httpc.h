/*
 * HTTP/1.1 as a client has it: the request for a stream, answers, chunks. What reads takes the bytes that are there and says whether they
 * are all; it keeps nothing, so that it is called again from the same start when there are more.
 */
#ifndef BENCH_HTTPC_H
#define BENCH_HTTPC_H

#include <stdbool.h>
#include <stddef.h>

/* GET /sub/a,b,c: its start, each topic, and the rest with more fields ("Name: value\r\n"...). Each returns its length. */
size_t httpc_open(char *dst);
size_t httpc_topic(char *dst, const char *topic, unsigned number);	/* number: from 0 */
size_t httpc_end(char *dst, const char *fields);

/* The query with `since`, a position, and `token`; without those that are NULL. */
#define HTTPC_QUERY_MAX 128u
const char *httpc_query(char dst[HTTPC_QUERY_MAX], const char *position, const char *token);

/* The request for the topics of a stream (wire.h), all of it: `query` stands behind them ("?since=ihegr977-6"). */
size_t httpc_stream(char *dst, unsigned stream, const char *query, const char *fields);

/* The length of the answer at `bytes`: its head, and its body if Content-Length tells of one. 0: not all there. */
size_t httpc_cut(const char *bytes, size_t n);

/* A whole answer's status, 0 if it is no HTTP/1.1. */
unsigned httpc_status(const char *answer, size_t len);

/* Whether it has that field, with a value that starts so. Neither minds upper and lower case. */
bool httpc_has(const char *answer, size_t len, const char *name, const char *value);

/* The value of a whole answer's field, up to the CR that ends it; NULL: there is none. */
const char *httpc_field(const char *answer, size_t len, const char *name, size_t *value_len);

/* The length of the chunk at `bytes`, with all that frames it; 0: not all there. Its content is *content, NULL if it is malformed: then the
 * length is n. */
size_t httpc_chunk(const char *bytes, size_t n, const char **content, size_t *content_len);

/* Answers and chunks, one behind the other. */
size_t httpc_stream_cut(const char *bytes, size_t n);

/* Whether an answer begins a stream of chunks of this type. */
bool httpc_is_stream(const char *answer, size_t len, const char *type);

#endif
