/*
 * What the handlers of paths share: the names in a request, and those of them that do not stand in http_routes.c.
 */
#ifndef WORKER_PROTOCOL_HTTP_ROUTES_H
#define WORKER_PROTOCOL_HTTP_ROUTES_H

#include "worker/protocol/http.h"
#include "worker/service/history_query.h"

/* Those that a request names, one after the other. */
struct names {
	struct http_text path, query;	/* what is left of both */
	const char *key;		/* of the query; NULL: not looked at */
	bool inbox;
	bool patterns;			/* a name may be a pattern, too (proto/wildcard.h) */
};

/* 1 and a name; 0: no more; -1 and why it is none. */
int names_next(struct names *n, struct topic_name *name, const char **error);

/* Whether names stand in the path and in the query; then the request is answered. */
bool names_twice(const struct exchange *x, const struct names *n);

/* Reads the request's one topic, or pattern if `patterns`. False: answered with an error, `none` if there is none. */
bool names_one(const struct exchange *x, struct http_text path, bool patterns, const char *none, struct topic_name *topic);

bool names_have_parameter(struct http_text query, const char *name);

/* Whether the query has no parameters but these, bits of MEMBER_BIT(), and `_`, which means nothing. If it has, the request is answered. */
bool parameters_known(const struct exchange *x, unsigned known);

/* Reads a parameter that may stand once. Its length; or PARAMETER_NONE; or PARAMETER_BAD, and the request is answered. */
#define PARAMETER_MAX 255
enum { PARAMETER_NONE = -1, PARAMETER_BAD = -2 };
int parameter_read(const struct exchange *x, enum member name, char dst[PARAMETER_MAX]);

/* A whole number in the query, from `least` to `most`; *number stays as it is if there is none. False: answered with an error. */
bool parameter_number(const struct exchange *x, enum member name, unsigned least, unsigned most, const char *error, unsigned *number);

/* Whether all nodes are asked for their subscribers. False: answered with an error. */
bool parameter_nodes(const struct exchange *x, bool *everywhere);

/* ---- http_topics.c ---- */

void get_topics(const struct exchange *x, struct http_text path);

/* ---- http_health.c ---- */

void get_healthz(const struct exchange *x, struct http_text path);
void get_readyz(const struct exchange *x, struct http_text path);
void get_metrics(const struct exchange *x, struct http_text path);

/* ---- http_kick.c ---- */

void post_kick(const struct exchange *x, struct http_text path);

/* ---- http_session.c ---- */

void get_session(const struct exchange *x, struct http_text path);

/* ---- http_history.c ---- */

void get_history(const struct exchange *x, struct http_text path);
/* Parameters of requests for messages. False: answered with an error. */
bool history_read_limit(const struct exchange *x, unsigned *limit);
bool history_read_position(const struct exchange *x, enum member name, struct resume *resume);
/* Where an answer's messages are put: *room bytes at most, and about *most are enough. */
char *history_room(const struct exchange *x, size_t *room, size_t *most);
/* Answers with the `len` bytes of messages that stand there. */
void history_answer(const struct exchange *x, bool resumed, const struct history_result *result, size_t len);
void get_poll(const struct exchange *x, struct http_text path);

/* ---- http_publish.c. `path` is what follows the first segment; p NULL: nothing ---- */

void post_pub(const struct exchange *x, struct http_text path);
void post_send(const struct exchange *x, struct http_text path);
void post_broadcast(const struct exchange *x, struct http_text path);

/* Whether nothing that stands in the head is in the way of it. If something is, the request is answered. */
bool may_pub(const struct exchange *x, struct http_text path);
bool may_send(const struct exchange *x, struct http_text path);
bool may_broadcast(const struct exchange *x, struct http_text path);

#endif
