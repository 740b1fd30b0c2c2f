/*
 * What a peer speaks that has taken the wrong address: told by its first bytes, so that it can be told what to
 * do. Only for input that is refused anyway; what is found changes the words, never what is done.
 */
#ifndef PROTO_STRANGER_H
#define PROTO_STRANGER_H

#include <stddef.h>

enum stranger {
	STRANGER_NONE,
	STRANGER_PART,		/* so far it may be one: the bytes are fewer than it takes to say */
	STRANGER_HTTP,
	STRANGER_TLS,
	STRANGER_FLASH,		/* a frame of the flash socket */
	STRANGER_JSON,
	STRANGER_PACKET,
};

/* By in[0..len). Four bytes are enough to say, so that the answer to four or more does not depend on how they are cut. */
enum stranger stranger_find(const char *in, size_t len);

/* "this looks like ...", and what to do about it: a static sentence. NULL for STRANGER_NONE and STRANGER_PART. */
const char *stranger_text(enum stranger stranger);

#endif
