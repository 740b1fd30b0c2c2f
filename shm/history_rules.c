/*
 * The rules of history: reading them, and which of them is for a topic.
 */
#include "shm/history_rules.h"

#include <stdio.h>
#include <string.h>

#include "shm/index.h"

/* Which of the rule's limits the unit is one of, and what it multiplies by. NULL: no such unit. */
static uint64_t *limit_of(struct history_rule *rule, struct text_piece unit, uint64_t *by)
{
	static const struct {
		const char *unit;
		size_t limit;
		uint64_t by;
	} units[] = {
		{ "message", offsetof(struct history_rule, messages), 1 },  { "messages", offsetof(struct history_rule, messages), 1 },
		{ "K", offsetof(struct history_rule, bytes), 1 << 10 },	    { "M", offsetof(struct history_rule, bytes), 1 << 20 },
		{ "G", offsetof(struct history_rule, bytes), 1 << 30 },	    { "k", offsetof(struct history_rule, bytes), 1000 },
		{ "KiB", offsetof(struct history_rule, bytes), 1 << 10 },   { "MiB", offsetof(struct history_rule, bytes), 1 << 20 },
		{ "GiB", offsetof(struct history_rule, bytes), 1 << 30 },   { "kB", offsetof(struct history_rule, bytes), 1000 },
		{ "KB", offsetof(struct history_rule, bytes), 1000 },	    { "MB", offsetof(struct history_rule, bytes), 1000000 },
		{ "GB", offsetof(struct history_rule, bytes), 1000000000 },
		{ "s", offsetof(struct history_rule, age), 1000000 },	    { "m", offsetof(struct history_rule, age), 60 * 1000000ull },
		{ "h", offsetof(struct history_rule, age), 3600 * 1000000ull },
		{ "d", offsetof(struct history_rule, age), 86400 * 1000000ull },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (text_piece_is(unit, units[i].unit)) {
			*by = units[i].by;
			return (uint64_t *)(void *)((char *)rule + units[i].limit);
		}
	return NULL;
}

/* NULL, or what is wrong with the limit. */
static const char *read_limit(struct history_rule *rule, struct text_piece piece)
{
	uint64_t n = 0, by, *limit;
	size_t digits = 0;

	for (; digits < piece.len && piece.p[digits] >= '0' && piece.p[digits] <= '9'; digits++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(piece.p[digits] - '0'), &n))
			n = UINT64_MAX;
	limit = limit_of(rule, text_piece(piece.p + digits, piece.len - digits), &by);
	if (digits == 0 || !limit)
		return "is no limit: a number of messages (100 messages), a size (K, M, G, MiB, MB and so on) or an age (s, m, h or d)";
	if (*limit != UINT64_MAX)
		return "limits again what is limited already";
	if (n == 0 && limit != &rule->messages)
		return "is nothing; to keep nothing say 0 messages";
	if (__builtin_mul_overflow(n, by, &n) || n > INT64_MAX)
		n = INT64_MAX;
	*limit = n;
	return NULL;
}

static int fail(struct history_rules *rules, char *error, size_t size, struct text_piece piece, const char *why)
{
	rules->count = 0;
	return text_piece_error(error, size, piece, why);
}

static int read_rule(struct history_rules *rules, struct text_piece text, char *error, size_t size)
{
	struct history_rule *rule = &rules->rule[rules->count];
	struct text_piece limits, limit;
	const char *why;

	if (rules->count == HISTORY_RULES_MAX)
		return fail(rules, error, size, text, "is one rule too many: there may be 64");
	*rule = (struct history_rule){ .messages = UINT64_MAX, .bytes = UINT64_MAX, .age = UINT64_MAX };
	why = topic_pattern_read(&rule->pattern, text, rules->text, &limits);
	if (why)
		return fail(rules, error, size, text, *why ? why : "is not of the form TOPIC: LIMIT, LIMIT...");
	while (text_piece_next(&limits, ',', &limit))
		if ((why = read_limit(rule, limit)))
			return fail(rules, error, size, limit.len ? limit : text, limit.len ? why : "has no limit where one should be");
	rules->count++;
	return 0;
}

int history_rules_parse(struct history_rules *rules, const char *text, char *error, size_t size)
{
	struct text_piece rest = { rules->text, strlen(text) }, rule;

	rules->count = 0;
	if (rest.len >= sizeof(rules->text)) {
		snprintf(error, size, "is longer than %zu bytes", sizeof(rules->text) - 1);
		return -1;
	}
	memcpy(rules->text, text, rest.len + 1);
	while (text_piece_next(&rest, ';', &rule))
		if (rule.len > 0 && read_rule(rules, rule, error, size) < 0)
			return -1;
	return 0;
}

const struct history_rule *history_rules_find(const struct history_rules *rules, const char *name, size_t len)
{
	if (!rules || rules->count == 0 || index_is_pattern(name, len))
		return NULL;
	for (const struct history_rule *rule = rules->rule; rule < rules->rule + rules->count; rule++)
		if (topic_pattern_fits(&rule->pattern, rules->text, name, len))
			return rule->messages > 0 ? rule : NULL;
	return NULL;
}

/* What all topics begin with that the pattern fits: its parts before the first one that is not a word. */
static size_t words_of(const char *name, size_t len)
{
	struct wildcard_topic parts;
	unsigned n = 0;

	wildcard_divide(name, len, &parts);
	for (size_t part_len; n < parts.parts && n < WILDCARD_PARTS_MAX; n++) {
		const char *part = wildcard_part(&parts, n, &part_len);

		if (part_len == 1 && (*part == '*' || (*part == '>' && n + 1 == parts.parts)))
			break;
	}
	return parts.at[n];
}

enum history_reach history_rules_reach(const struct history_rules *rules, const char *name, size_t len)
{
	bool some = false, not_all = false;	/* of rules so far that fit some of the topics: one keeps them, one does not */
	size_t words;

	if (!rules || rules->count == 0)
		return HISTORY_NONE;
	if (!index_is_pattern(name, len))
		return history_rules_find(rules, name, len) ? HISTORY_ALL : HISTORY_NONE;
	words = words_of(name, len);
	for (const struct history_rule *rule = rules->rule; rule < rules->rule + rules->count; rule++) {
		const struct topic_pattern *p = &rule->pattern;
		bool keeps = rule->messages > 0;

		if (p->user || memcmp(name, rules->text + p->at, p->len < words ? p->len : words) != 0)
			continue;
		some |= keeps;
		not_all |= !keeps;
		if (p->prefix && p->len <= words)	/* it fits all of those that no rule before it does */
			return !some ? HISTORY_NONE : not_all ? HISTORY_SOME : HISTORY_ALL;
	}
	return some ? HISTORY_SOME : HISTORY_NONE;
}
