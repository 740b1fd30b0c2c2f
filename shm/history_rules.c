/*
 * The rules of history: reading them, and which of them is for a topic.
 */
#include "shm/history_rules.h"

#include <stdio.h>
#include <string.h>

#include "shm/index.h"

#define SHOWN 80	/* bytes of a rule that an error quotes at most */

/* A piece of the text. */
struct piece {
	const char *p;
	size_t len;
};

static struct piece trimmed(const char *p, size_t len)
{
	for (; len && (*p == ' ' || *p == '\t'); len--)
		p++;
	while (len && (p[len - 1] == ' ' || p[len - 1] == '\t'))
		len--;
	return (struct piece){ p, len };
}

/* Cuts off what stands before the next `divider`. False: nothing is left. */
static bool next_piece(struct piece *rest, char divider, struct piece *piece)
{
	const char *end;

	if (!rest->p)
		return false;
	end = memchr(rest->p, divider, rest->len);
	*piece = trimmed(rest->p, end ? (size_t)(end - rest->p) : rest->len);
	if (end) {
		rest->len -= (size_t)(end + 1 - rest->p);
		rest->p = end + 1;
	} else {
		rest->p = NULL;
	}
	return true;
}

static int shown(struct piece piece)
{
	return (int)(piece.len < SHOWN ? piece.len : SHOWN);
}

static bool is(struct piece piece, const char *word)
{
	return piece.len == strlen(word) && memcmp(piece.p, word, piece.len) == 0;
}

/* Which of the rule's limits the unit is one of, and what it multiplies by. NULL: no such unit. */
static uint64_t *limit_of(struct history_rule *rule, struct piece unit, uint64_t *by)
{
	static const struct {
		const char *unit;
		size_t limit;
		uint64_t by;
	} units[] = {
		{ "message", offsetof(struct history_rule, messages), 1 },  { "messages", offsetof(struct history_rule, messages), 1 },
		{ "K", offsetof(struct history_rule, bytes), 1 << 10 },	    { "M", offsetof(struct history_rule, bytes), 1 << 20 },
		{ "G", offsetof(struct history_rule, bytes), 1 << 30 },	    { "k", offsetof(struct history_rule, bytes), 1000 },
		{ "s", offsetof(struct history_rule, age), 1000000 },	    { "m", offsetof(struct history_rule, age), 60 * 1000000ull },
		{ "h", offsetof(struct history_rule, age), 3600 * 1000000ull },
		{ "d", offsetof(struct history_rule, age), 86400 * 1000000ull },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (is(unit, units[i].unit)) {
			*by = units[i].by;
			return (uint64_t *)(void *)((char *)rule + units[i].limit);
		}
	return NULL;
}

/* NULL, or what is wrong with the limit. */
static const char *read_limit(struct history_rule *rule, struct piece piece)
{
	uint64_t n = 0, by, *limit;
	size_t digits = 0;

	for (; digits < piece.len && piece.p[digits] >= '0' && piece.p[digits] <= '9'; digits++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(piece.p[digits] - '0'), &n))
			n = UINT64_MAX;
	limit = limit_of(rule, trimmed(piece.p + digits, piece.len - digits), &by);
	if (digits == 0 || !limit)
		return "is no limit: a number of messages (100 messages), a size (K, M, G or k) or an age (s, m, h or d)";
	if (*limit != UINT64_MAX)
		return "limits again what is limited already";
	if (n == 0 && limit != &rule->messages)
		return "is nothing; to keep nothing say 0 messages";
	if (__builtin_mul_overflow(n, by, &n) || n > INT64_MAX)
		n = INT64_MAX;
	*limit = n;
	return NULL;
}

/* NULL, or what is wrong with the pattern. */
static const char *read_pattern(struct history_rule *rule, struct piece piece, const char *text)
{
	rule->user = piece.len > 0 && piece.p[0] == '@';
	piece.p += rule->user;
	piece.len -= rule->user;
	rule->prefix = piece.len > 0 && piece.p[piece.len - 1] == '*';
	piece.len -= rule->prefix;
	if (piece.len == 0 && !rule->prefix)
		return "has no topic before the :";
	if (memchr(piece.p, '*', piece.len))
		return "has a * elsewhere than at the end of a topic";
	if (piece.len > TOPIC_NAME_MAX)
		return "has a topic that is too long";
	rule->pattern = (uint16_t)(piece.p - text);
	rule->len = (uint16_t)piece.len;
	return NULL;
}

static int fail(struct history_rules *rules, char *error, size_t size, struct piece piece, const char *why)
{
	snprintf(error, size, "`%.*s` %s", shown(piece), piece.p, why);
	rules->count = 0;
	return -1;
}

static int read_rule(struct history_rules *rules, struct piece text, char *error, size_t size)
{
	struct history_rule *rule = &rules->rule[rules->count];
	const char *colon = memrchr(text.p, ':', text.len), *why;
	struct piece limits, limit;

	if (rules->count == HISTORY_RULES_MAX)
		return fail(rules, error, size, text, "is one rule too many: there may be 64");
	*rule = (struct history_rule){ .messages = UINT64_MAX, .bytes = UINT64_MAX, .age = UINT64_MAX };
	if (!colon)
		return fail(rules, error, size, text, "is not of the form TOPIC: LIMIT, LIMIT...");
	why = read_pattern(rule, trimmed(text.p, (size_t)(colon - text.p)), rules->text);
	if (why)
		return fail(rules, error, size, text, why);
	limits = (struct piece){ colon + 1, text.len - (size_t)(colon + 1 - text.p) };
	while (next_piece(&limits, ',', &limit))
		if ((why = read_limit(rule, limit)))
			return fail(rules, error, size, limit.len ? limit : text, limit.len ? why : "has no limit where one should be");
	rules->count++;
	return 0;
}

int history_rules_parse(struct history_rules *rules, const char *text, char *error, size_t size)
{
	struct piece rest = { rules->text, strlen(text) }, rule;

	rules->count = 0;
	if (rest.len >= sizeof(rules->text)) {
		snprintf(error, size, "is longer than %zu bytes", sizeof(rules->text) - 1);
		return -1;
	}
	memcpy(rules->text, text, rest.len + 1);
	while (next_piece(&rest, ';', &rule))
		if (rule.len > 0 && read_rule(rules, rule, error, size) < 0)
			return -1;
	return 0;
}

static bool fits(const struct history_rules *rules, const struct history_rule *rule, const char *name, size_t len)
{
	return (rule->prefix ? len >= rule->len : len == rule->len) && memcmp(name, rules->text + rule->pattern, rule->len) == 0;
}

const struct history_rule *history_rules_find(const struct history_rules *rules, const char *name, size_t len)
{
	bool user = len > 0 && name[0] == NAME_INBOX;

	if (!rules || rules->count == 0 || len == 0 || (!user && (unsigned char)name[0] < ' '))
		return NULL;
	name += user;
	len -= user;
	for (const struct history_rule *rule = rules->rule; rule < rules->rule + rules->count; rule++)
		if (rule->user == user && fits(rules, rule, name, len))
			return rule->messages > 0 ? rule : NULL;
	return NULL;
}
