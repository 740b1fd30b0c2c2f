/*
 * What of the past a subscriber asks for: all that came behind a position, or a topic's last messages.
 */
#ifndef PROTO_RESUME_H
#define PROTO_RESUME_H

#include <stddef.h>
#include <stdint.h>

#include "proto/position.h"

#define RESUME_LAST_MAX 1000		/* messages of a topic that one may ask for */

enum resume_kind { RESUME_NOT, RESUME_SINCE, RESUME_LAST };

struct resume {
	enum resume_kind kind;
	struct position since;		/* RESUME_SINCE: what a client had last. Epoch 0 is none that a server ever had */
	uint32_t last;			/* RESUME_LAST: 1 to RESUME_LAST_MAX */
};

/* These set *resume. NULL; or a static sentence fit for the peer: it is none, or something was asked for already. */
const char *resume_since(struct resume *resume, const char *text, size_t len);
const char *resume_last(struct resume *resume, uint64_t count);
const char *resume_last_text(struct resume *resume, const char *text, size_t len);	/* of decimal digits */
/*
 * The same for Last-Event-ID, which a browser sends by itself. One that this server can't have given stands for a server that is gone: an
 * error would only end the browser's stream for good.
 */
const char *resume_last_event(struct resume *resume, const char *text, size_t len);

#endif
