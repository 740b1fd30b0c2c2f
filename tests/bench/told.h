/*
 * What a server tells a subscriber beside messages: where its stream stands, whether that is all that it asked for, what it has lost, and the token of its
 * session. A position is kept as the two numbers of a message's id.
 */
#ifndef BENCH_TOLD_H
#define BENCH_TOLD_H

#include <stddef.h>
#include <stdint.h>

#include "tests/bench/stamp.h"

enum told_recovered { TOLD_NOTHING, TOLD_RECOVERED, TOLD_NOT_RECOVERED };

#define TOLD_TOKEN_MAX 33u		/* bytes of a token, with its NUL */

struct told {
	struct stamp at;		/* epoch 0: nothing was said of it. (id may be 0, before the first message of all) */
	enum told_recovered recovered;
	uint64_t missing;		/* beside TOLD_NOT_RECOVERED: at least so many messages */
	uint64_t missed;		/* messages lost under way */
	char token[TOLD_TOKEN_MAX];	/* by which it finds its session again; "" nothing was said of it */
};

#define TOLD_POSITION_MAX 40u		/* bytes of a position, with its NUL */

/* A position as text, `ihegr977-6`; and back: 0, or -1. */
size_t told_position(char dst[TOLD_POSITION_MAX], const struct stamp *at);
int told_position_read(const char *text, size_t len, struct stamp *at);

/* Each adds to *told what it finds. 0, or -1: it is not what the server may say. */

/* A token, 32 digits of hex. */
int told_token(const char *text, size_t len, struct told *told);

/* {"ok":true,"position":"ihegr977-6","recovered":false,"missing":3,"token":"..."}, of whose members some may not be there; the greeting, {"janus":...,"token":"..."}; or
 * {"missed":{"topic":"news","messages":3}} */
int told_object(const char *object, size_t len, struct told *told);

/* The fields Janus-Position, Janus-Recovered and Janus-Token of an answer of HTTP. */
int told_head(const char *answer, size_t len, struct told *told);

#endif
