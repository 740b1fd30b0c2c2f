/*
 * What the setting `history` says: which topics are kept, and how much of each.
 *
 *   history = news.*: 100 messages, 1h, 1M; @*: 10 messages; *: 1 message
 *
 * A rule is PATTERN: LIMIT, LIMIT... with a pattern as in topic_pattern.h. Limits are a number of messages (`100 messages`), of bytes (K, M, G, k), an age (s, m, h, d); what a rule does not limit is not limited. `0 messages`: nothing is kept.
 */
#ifndef SHM_HISTORY_RULES_H
#define SHM_HISTORY_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "shm/settings.h"
#include "shm/topic_pattern.h"

#define HISTORY_RULES_MAX 64

struct history_rule {
	struct topic_pattern pattern;
	uint64_t messages, bytes, age;	/* UINT64_MAX: no limit; the age is in microseconds */
};

struct history_rules {
	unsigned count;			/* 0: nothing is kept */
	struct history_rule rule[HISTORY_RULES_MAX];
	char text[SETTINGS_LIST_MAX];
};

/* Reads the setting. 0, or -1 and what is wrong with it in error[size]; *rules then has none. */
int history_rules_parse(struct history_rules *rules, const char *text, char *error, size_t size);

/* The rule for a name in the index (users: as they are there, behind NAME_INBOX). NULL: nothing of it is kept, as of patterns, whose messages are their topics'. `rules` may be NULL. */
const struct history_rule *history_rules_find(const struct history_rules *rules, const char *name, size_t len);

/* How many of a name's messages are of topics that are kept: a topic's are or are not, a pattern may fit topics of either kind. (SOME is said where that is not looked at closely.) */
enum history_reach { HISTORY_NONE, HISTORY_SOME, HISTORY_ALL };
enum history_reach history_rules_reach(const struct history_rules *rules, const char *name, size_t len);

#endif
