/*
 * The setting `history`: what its rules say, which topic gets which, and what is said of one that is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "shm/history_rules.h"
#include "shm/index.h"

static struct history_rules rules;

static void parse(const char *text)
{
	char why[256] = "";

	if (history_rules_parse(&rules, text, why, sizeof(why)) < 0)
		fail_msg("%s: %s", text, why);
}

static void refused(const char *text, const char *said)
{
	char why[256] = "";

	assert_int_equal(history_rules_parse(&rules, text, why, sizeof(why)), -1);
	if (!strstr(why, said))
		fail_msg("%s: %s", text, why);
	assert_int_equal(rules.count, 0);
}

/* The place of the rule that the name gets, or -1. */
static int place(const char *name)
{
	const struct history_rule *rule = history_rules_find(&rules, name, strlen(name));

	return rule ? (int)(rule - rules.rule) : -1;
}

static void check_limits(const char *text, uint64_t messages, uint64_t bytes, uint64_t age)
{
	char rule[256];

	snprintf(rule, sizeof(rule), "a: %s", text);
	parse(rule);
	assert_int_equal(rules.count, 1);
	assert_true(rules.rule[0].messages == messages);
	assert_true(rules.rule[0].bytes == bytes);
	assert_true(rules.rule[0].age == age);
}

static void limits(void **state)
{
	const uint64_t none = UINT64_MAX, s = 1000000;

	(void)state;
	check_limits("100 messages", 100, none, none);
	check_limits("1 message", 1, none, none);
	check_limits("7messages", 7, none, none);
	check_limits("1M", none, 1 << 20, none);
	check_limits("1m", none, none, 60 * s);
	check_limits("3K", none, 3 << 10, none);
	check_limits("3k", none, 3000, none);
	check_limits("2G", none, 2ull << 30, none);
	check_limits("30s", none, none, 30 * s);
	check_limits("5h", none, none, 5 * 3600 * s);
	check_limits("2d", none, none, 2 * 86400 * s);
	check_limits("  1 M , 2 messages,3 h  ", 2, 1 << 20, 3 * 3600 * s);
	check_limits("0 messages", 0, none, none);
	check_limits("99999999999999999999999 messages, 99999999999G", INT64_MAX, INT64_MAX, none);
}

static void which(void **state)
{
	(void)state;
	parse("news.sport: 1 message; news.*: 100 messages, 1h, 1M; private.*: 0 messages; @bob: 2 messages; @b*: 3 messages; a: b: 4 messages;"
	      "*: 10 messages");
	assert_int_equal(rules.count, 7);
	assert_int_equal(place("news.sport"), 0);
	assert_int_equal(place("news.sports"), 1);
	assert_int_equal(place("news."), 1);
	assert_int_equal(place("news"), 6);
	assert_int_equal(place("private.x"), -1);
	assert_int_equal(place("a: b"), 5);
	assert_int_equal(place("bob"), 6);
	assert_int_equal(place("\1bob"), 3);
	assert_int_equal(place("\1bobby"), 4);
	assert_int_equal(place("\1b"), 4);
	assert_int_equal(place("\1alice"), -1);
	assert_int_equal(place("\2"), -1);
	assert_int_equal(place(""), -1);
	parse("@*: 1 message");
	assert_int_equal(place("\1alice"), 0);
	assert_int_equal(place("alice"), -1);
	assert_int_equal(place("@alice"), -1);
	parse("");
	assert_int_equal(rules.count, 0);
	assert_int_equal(place("a"), -1);
	parse(" ; a: 1s ;; ");
	assert_int_equal(rules.count, 1);
	assert_null(history_rules_find(NULL, "a", 1));
}

static void errors(void **state)
{
	char many[SETTINGS_LIST_MAX + 10] = "";

	(void)state;
	refused("news.*", "not of the form");
	refused("news.*:", "no limit where");
	refused("news.*: 1 message,", "no limit where");
	refused("news.*: 100", "`100` is no limit");
	refused("news.*: messages", "is no limit");
	refused("news.*: 5 apples", "`5 apples` is no limit");
	refused("news.*: -1 messages", "is no limit");
	refused("a: 1s; b: 2 messages, 3 messages", "`3 messages` limits again");
	refused("a: 1h, 3s", "limits again");
	refused("a: 0M", "is nothing");
	refused("a: 0s", "is nothing");
	refused(": 1s", "has no topic");
	refused("@: 1s", "has no topic");
	refused("a*b: 1s", "elsewhere than at the end");
	refused("**: 1s", "elsewhere than at the end");
	for (int i = 0; i < HISTORY_RULES_MAX; i++)
		strcat(many, "a: 1s; ");
	parse(many);
	assert_int_equal(rules.count, HISTORY_RULES_MAX);
	strcat(many, "last: 1s");
	refused(many, "one rule too many");
	memset(many, 'a', 256);
	strcpy(many + 256, ": 1s");
	refused(many, "too long");
	memmove(many, many + 1, strlen(many));
	parse(many);
	memset(many, ' ', sizeof(many));
	many[SETTINGS_LIST_MAX] = '\0';
	refused(many, "longer than");
	many[SETTINGS_LIST_MAX - 1] = '\0';
	parse(many);
}

/* How many of a name's messages are kept: of patterns, as far as the words that they begin with tell. */
static void reach(void **state)
{
	static const struct { const char *rules, *name; enum history_reach want; } cases[] = {
		{ "", "news", HISTORY_NONE }, { "", ">", HISTORY_NONE },
		{ "news: 1 message", "news", HISTORY_ALL }, { "news: 1 message", "new", HISTORY_NONE }, { "news: 0 messages", "news", HISTORY_NONE },
		{ "@*: 1 message", "\1bob", HISTORY_ALL }, { "@*: 1 message", ">", HISTORY_NONE }, { "*: 1 message", "\2", HISTORY_NONE },
		{ "*: 1 message", ">", HISTORY_ALL }, { "*: 1 message", "*.a.>", HISTORY_ALL }, { "*: 0 messages", ">", HISTORY_NONE },
		{ "news.*: 1 message", "news.>", HISTORY_ALL }, { "news.*: 1 message", "news.*.uk", HISTORY_ALL }, { "news.u*: 1 message", "news.*", HISTORY_SOME },
		{ "news*: 1 message", "new.>", HISTORY_NONE }, { "news.*: 1 message", "*.uk", HISTORY_SOME }, { "news.*: 1 message", "sports.>", HISTORY_NONE },
		{ "news.uk: 1 message", "news.*", HISTORY_SOME }, { "news.*: 1 message", "news.uk.>", HISTORY_ALL },
		{ "news.uk: 0 messages; news.*: 1 message", "news.*", HISTORY_SOME }, { "news.uk: 1 message; news.*: 1 message", "news.>", HISTORY_ALL },
		{ "news.uk: 1 message; news.*: 0 messages; *: 1 message", "news.*", HISTORY_SOME }, { "news.*: 0 messages; *: 1 message", "news.*", HISTORY_NONE },
		{ "news.*: 0 messages; *: 1 message", "sports.*", HISTORY_ALL }, { "news.*: 0 messages; *: 1 message", ">", HISTORY_SOME },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		parse(cases[i].rules);
		if (history_rules_reach(&rules, cases[i].name, strlen(cases[i].name)) != cases[i].want)
			fail_msg("%s of %s", cases[i].name, cases[i].rules);
	}
	assert_int_equal(history_rules_reach(NULL, "news", 4), HISTORY_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits),
		cmocka_unit_test(which),
		cmocka_unit_test(reach),
		cmocka_unit_test(errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
