/*
 * The rules for subscribers that were overtaken. See slow_rules.h.
 */
#include "shm/slow_rules.h"

#include <stdio.h>
#include <string.h>

#include "shm/index.h"

static const char *const words[] = { [SLOW_UNSAID] = "", [SLOW_SKIP] = "skip", [SLOW_LATEST] = "latest", [SLOW_DISCONNECT] = "disconnect" };

const char *slow_policy_word(enum slow_policy policy)
{
	return words[policy];
}

enum slow_policy slow_policy_read(struct text_piece word)
{
	for (unsigned i = SLOW_SKIP; i < sizeof(words) / sizeof(words[0]); i++)
		if (text_piece_is(word, words[i]))
			return (enum slow_policy)i;
	return SLOW_UNSAID;
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
	rule->policy = slow_policy_read(word);
	if (rule->policy == SLOW_UNSAID)
		return fail(rules, error, size, word.len ? word : text, word.len ? "is not one of: skip latest disconnect" : "has no word behind the :");
	rules->disconnects |= rule->policy == SLOW_DISCONNECT;
	rules->count++;
	return 0;
}

int slow_rules_parse(struct slow_rules *rules, const char *text, char *error, size_t size)
{
	struct text_piece rest = { rules->text, strlen(text) }, rule;
	enum slow_policy all;

	rules->count = 0;
	rules->all = SLOW_SKIP;
	rules->disconnects = false;
	if (rest.len >= sizeof(rules->text)) {
		snprintf(error, size, "is longer than %zu bytes", sizeof(rules->text) - 1);
		return -1;
	}
	memcpy(rules->text, text, rest.len + 1);
	all = slow_policy_read(text_piece(rest.p, rest.len));
	if (all != SLOW_UNSAID) {
		rules->all = all;
		rules->disconnects = rules->all == SLOW_DISCONNECT;
		return 0;
	}
	while (text_piece_next(&rest, ';', &rule))
		if (rule.len > 0 && read_rule(rules, rule, error, size) < 0)
			return -1;
	return 0;
}

/* Whether the rule is for `*`. */
static bool is_for_all(const struct slow_rule *rule)
{
	return rule->pattern.prefix && rule->pattern.len == 0 && !rule->pattern.user;
}

enum slow_policy slow_rules_find(const struct slow_rules *rules, enum slow_policy listener, const char *name, size_t len)
{
	for (const struct slow_rule *rule = rules->rule; rule < rules->rule + rules->count; rule++)
		if (topic_pattern_fits(&rule->pattern, rules->text, name, len) || (len > 0 && *name == NAME_EVERYBODY && is_for_all(rule)))
			return is_for_all(rule) && listener != SLOW_UNSAID ? listener : rule->policy;
	return listener != SLOW_UNSAID ? listener : rules->all;
}
