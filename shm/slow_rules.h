/*
 * What the setting `slow` says: what becomes of a subscriber of a topic whose messages were given up before it got them.
 *
 *   slow = ticker.*: latest; orders.*: disconnect; *: skip          or a word alone, for all topics, users and broadcasts: slow = disconnect
 *
 * Rules are those of topic_pattern.h, with a word behind the `:`. A topic that no rule is for is skipped in. Broadcasts get what a rule for `*` says.
 *
 * A listener may have a word of its own (`listen = http://0.0.0.0:8080 slow=latest`), which its connections keep. A rule that names topics or users, `@*` among
 * them, stands before it; it stands before what is said of all: `*`, a word alone, or nothing.
 */
#ifndef SHM_SLOW_RULES_H
#define SHM_SLOW_RULES_H

#include "shm/settings.h"
#include "shm/topic_pattern.h"

#define SLOW_RULES_MAX 64

/* Kept in sessions' states (session_shm.h): the numbers stay. */
enum slow_policy {
	SLOW_UNSAID,		/* of a listener: it has no word of its own */
	SLOW_SKIP,		/* it goes on with the oldest message that is there */
	SLOW_LATEST,		/* with the newest one */
	SLOW_DISCONNECT,	/* it loses its connection */
};

struct slow_rule {
	struct topic_pattern pattern;
	enum slow_policy policy;
};

struct slow_rules {
	unsigned count;
	enum slow_policy all;		/* of what no rule is for */
	bool disconnects;		/* somebody may lose its connection, whatever listeners say */
	struct slow_rule rule[SLOW_RULES_MAX];
	char text[SETTINGS_LIST_MAX];
};

/* Reads the setting. 0, or -1 and what is wrong with it in error[size]; all is skipped in then. */
int slow_rules_parse(struct slow_rules *rules, const char *text, char *error, size_t size);

/* The policy for a name in the index, of a subscriber whose listener says `listener`. Never SLOW_UNSAID. */
enum slow_policy slow_rules_find(const struct slow_rules *rules, enum slow_policy listener, const char *name, size_t len);

/* A policy's word, "" for SLOW_UNSAID; and the policy with this word, SLOW_UNSAID if there is none. */
const char *slow_policy_word(enum slow_policy policy);
enum slow_policy slow_policy_read(struct text_piece word);

#endif
