/*
 * How a subscriber who breaks off comes back: with a new subscription behind its position, or by the token of its session, which stays for a while without
 * a connection (PROTOCOL.md, Sessions). It is one subscriber's books about that; who it asks and what it is told is the caller's.
 *
 * An attach that was not answered may take effect later: beside the next connection, which has the session by then, and loses it to one that nobody
 * reads. For so long (COMEBACK_DOUBT) that is nobody's fault, and the subscriber just comes again.
 */
#ifndef BENCH_COMEBACK_H
#define BENCH_COMEBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/clock.h"
#include "tests/bench/told.h"

#define COMEBACK_DOUBT (10 * CLOCK_S)

struct comeback {
	char token[TOLD_TOKEN_MAX];	/* of the session that it can go on with; "" there is none */
	char told[TOLD_TOKEN_MAX];	/* what it was told on this connection; "" nothing */
	bool attaches;			/* this connection goes on with the session */
	bool stands;			/* its last connection was dropped in silence: the server still has it */
	uint64_t doubt;			/* ns; 0 none */
};

enum comeback_outcome {
	COMEBACK_SUBSCRIBED,
	COMEBACK_ATTACHED,
	COMEBACK_GONE,			/* there was no such session: what it was answered is a subscription */
};

/* A connection begins. `attach`: it is to go on with its session, if it has one. */
void comeback_begin(struct comeback *c, bool attach);

/* The token that its first words have: the session's, or "" to ask for one (`sessions`); NULL: none. */
const char *comeback_words(const struct comeback *c, bool sessions);

/* It was told something: perhaps a token. */
void comeback_told(struct comeback *c, const struct told *told);

/* It was answered: what it has subscribed is in the session whose token it was told. */
enum comeback_outcome comeback_answered(struct comeback *c);

/* It was refused: its session is gone. */
void comeback_forget(struct comeback *c);

/* It drops its connection; `asked`: before it was answered. */
void comeback_dropped(struct comeback *c, bool asked, bool silent, uint64_t now);

/* The server ends its connection: whether another one of its own may have taken the session. */
bool comeback_excuses(const struct comeback *c, uint64_t now);

/* Whether the server says in this frame that there is no such session; that another connection has it now. */
bool comeback_is_gone(const char *frame, size_t len);
bool comeback_is_taken(const char *frame, size_t len);

#endif
