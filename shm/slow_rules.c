/*
 * The rules for subscribers that were overtaken. See slow_rules.h.
 */
#include "shm/slow_rules.h"

#include <stdio.h>
#include <string.h>

#include "shm/index.h"

static bool read_policy(struct text_piece word, enum slow_policy *policy)
{
	static const char *const words[] = { [SLOW_SKIP] = "skip", [SLOW_LATEST] = "latest", [SLOW_DISCONNECT] = "disconnect" };

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (text_piece_is(word, words[i])) {
			*policy = (enum slow_policy)i;
			return true;
		}
	return false;
}

static int fail(struct slow_rules *rules, char *error, size_t size, struct text_piece piece, const char *why)
{
	rules->count = 0;
	rules->all = SLOW_SKIP;
	rules->disconnects = false;
	return text_piece_error(error, size, piece, why);
}

static int read_rule(struct slow_rules *rules, struct text_piece text, char *error, size_t size)
{
	struct slow_rule *rule = &rules->rule[rules->count];
	struct text_piece word;
	const char *why;

	if (rules->count == SLOW_RULES_MAX)
		return fail(rules, error, size, text, "is one rule too many: there may be 64");
	why = topic_pattern_read(&rule->pattern, text, rules->text, &word);
	if (why)
		return fail(rules, error, size, text, *why ? why : "is not of the form TOPIC: skip, latest or disconnect; nor is it one of these words alone");
	if (!read_policy(word, &rule->policy))
		return fail(rules, error, size, word.len ? word : text, word.len ? "is not one of: skip latest disconnect" : "has no word behind the :");
	rules->disconnects |= rule->policy == SLOW_DISCONNECT;
	rules->count++;
	return 0;
}

int slow_rules_parse(struct slow_rules *rules, const char *text, char *error, size_t size)
{
	struct text_piece rest = { rules->text, strlen(text) }, rule;

	rules->count = 0;
	rules->all = SLOW_SKIP;
	rules->disconnects = false;
	if (rest.len >= sizeof(rules->text)) {
		snprintf(error, size, "is longer than %zu bytes", sizeof(rules->text) - 1);
		return -1;
	}
	memcpy(rules->text, text, rest.len + 1);
	if (read_policy(text_piece(rest.p, rest.len), &rules->all)) {
		rules->disconnects = rules->all == SLOW_DISCONNECT;
		return 0;
	}
	while (text_piece_next(&rest, ';', &rule))
		if (rule.len > 0 && read_rule(rules, rule, error, size) < 0)
			return -1;
	return 0;
}

enum slow_policy slow_rules_find(const struct slow_rules *rules, const char *name, size_t len)
{
	for (const struct slow_rule *rule = rules->rule; rule < rules->rule + rules->count; rule++)
		if (topic_pattern_fits(&rule->pattern, rules->text, name, len) ||
		    (len > 0 && *name == NAME_EVERYBODY && rule->pattern.prefix && rule->pattern.len == 0 && !rule->pattern.user))
			return rule->policy;
	return rules->all;
}
