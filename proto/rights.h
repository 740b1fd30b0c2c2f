/*
 * What somebody may do: the rights that a token, an API key or the setting `anonymous` gives, as a block of bytes that shared memory can hold.
 *
 *   struct rights | name of who it is (`sub`) | grants: kind, rights, length and bytes of a pattern each
 *
 * A block has no pointers. It is made once (rights_begin ... rights_end), is never changed, and is read where it stands, at an address that a uint64_t
 * may have.
 *
 * Patterns are what users of such servers write: a topic; `news.*` and `news.>` (proto/wildcard.h); or a text with `*` as its last character, which
 * fits every name that begins with what stands before it (`chat:*`, as Centrifugo's match "wildcard" does; `*` fits all). So `news.*` is one part more
 * and no other: where a text can be read both ways, it gives the fewer topics.
 */
#ifndef PROTO_RIGHTS_H
#define PROTO_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum right {
	RIGHT_SUBSCRIBE = 1,		/* "sub": subscribe a topic, poll it; of a user: log in, read the inbox */
	RIGHT_PUBLISH = 2,		/* "pub": publish to a topic; of a user: send to that user */
	RIGHT_HISTORY = 4,		/* "hst": read what is kept: /history, since, last */
	RIGHT_PRESENCE = 8,		/* "prs": see who is there: topic@presence, /topics/TOPIC */
	RIGHT_ALL = 15,
};

/* What a grant's pattern names. */
enum rights_kind {
	RIGHTS_TOPICS,
	RIGHTS_USERS,			/* inboxes */
	RIGHTS_EVERYBODY,		/* /broadcast and what goes to everybody; has no pattern */
};

enum { RIGHTS_SUB_MAX = 255, RIGHTS_SIZE_MAX = 16384, RIGHTS_GRANTS_MAX = 256 };

struct rights {
	uint32_t size;			/* bytes of the whole block */
	uint16_t grants;
	uint8_t sub_len;		/* 0: nobody in particular */
	uint8_t certified;		/* whether the certificate of its connection says `sub`: then nothing of another's can be shown on it */
	int64_t expires;		/* seconds since the epoch; INT64_MAX: never */
	char sub[];			/* then grants */
};

/* Makes a block in dst[0..room). An error is kept and told by rights_end(). */
struct rights_writer {
	char *dst;
	size_t room, len;
	const char *error;
};

void rights_begin(struct rights_writer *w, void *dst, size_t room, const char *sub, size_t sub_len, int64_t expires);
void rights_grant(struct rights_writer *w, enum rights_kind kind, unsigned rights, const char *pattern, size_t len);
/* Bytes of the block, or 0: *error is a static sentence fit for the peer. */
size_t rights_end(struct rights_writer *w, const char **error);

/* Whether [block, block + size) is such a block, by all its lengths: for what was kept in shared memory or came from another process. */
bool rights_check(const void *block, size_t size);

/*
 * Whether all of `rights` are granted for the name, by one grant or several together. One's own inbox (kind RIGHTS_USERS, name == sub, sub_len > 0)
 * may be read without a grant, and what is kept of it too. NULL block: nothing is granted. RIGHTS_EVERYBODY has no name.
 */
bool rights_may(const struct rights *block, unsigned rights, enum rights_kind kind, const char *name, size_t len);
/*
 * The same for a pattern to be subscribed (proto/wildcard.h): every topic that it fits must be granted, so a grant fits if its pattern is the same one or a wider one.
 */
bool rights_may_pattern(const struct rights *block, unsigned rights, const char *pattern, size_t len);

/* Topics to subscribe at once (claim `channels`) are grants with RIGHTS_AT_ONCE in their rights. Such a grant's pattern is the name to subscribe: that
 * name, or pattern of wildcard.h; a `chat:*` there is the one topic of that name. Calls `each` for them; it stops when that returns false. */
enum { RIGHTS_AT_ONCE = 128 };
void rights_at_once(const struct rights *block, bool (*each)(void *with, const char *topic, size_t len), void *with);
/* Whether this topic is one of them. */
bool rights_has_at_once(const struct rights *block, const char *topic, size_t len);

#endif
