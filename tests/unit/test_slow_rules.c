/*
 * The setting `slow`: what its rules say, which topic gets which, and what is said of one that is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "shm/index.h"
#include "shm/slow_rules.h"

static struct slow_rules rules;

static void parse(const char *text)
{
	char why[256] = "";

	if (slow_rules_parse(&rules, text, why, sizeof(why)) < 0)
		fail_msg("%s: %s", text, why);
}

static void refused(const char *text, const char *said)
{
	char why[256] = "";

	parse("disconnect");
	assert_int_equal(slow_rules_parse(&rules, text, why, sizeof(why)), -1);
	if (!strstr(why, said))
		fail_msg("%s: %s", text, why);
	assert_int_equal(rules.count, 0);
	assert_int_equal(rules.all, SLOW_SKIP);
	assert_false(rules.disconnects);
}

static enum slow_policy policy(const char *name)
{
	return slow_rules_find(&rules, SLOW_UNSAID, name, strlen(name));
}

/* Of one whose listener says `latest`. */
static enum slow_policy policy_there(const char *name)
{
	return slow_rules_find(&rules, SLOW_LATEST, name, strlen(name));
}

static void a_word_is_for_all(void **state)
{
	static const char *const names[] = { "news", "@bob", "\1bob", "\2" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		parse("disconnect");
		assert_true(rules.disconnects && policy(names[i]) == SLOW_DISCONNECT);
		parse(" latest ");
		assert_true(!rules.disconnects && policy(names[i]) == SLOW_LATEST);
		parse("skip");
		assert_true(!rules.disconnects && policy(names[i]) == SLOW_SKIP);
		parse("");
		assert_true(!rules.disconnects && policy(names[i]) == SLOW_SKIP);
	}
}

static void which(void **state)
{
	(void)state;
	parse("ticker.slow: skip; ticker.*:latest;orders.*: disconnect; @bob: latest; @*: disconnect; a: b: latest; ");
	assert_true(rules.disconnects);
	assert_int_equal(policy("ticker.slow"), SLOW_SKIP);
	assert_int_equal(policy("ticker.slower"), SLOW_LATEST);
	assert_int_equal(policy("ticker"), SLOW_SKIP);
	assert_int_equal(policy("orders.1"), SLOW_DISCONNECT);
	assert_int_equal(policy("a: b"), SLOW_LATEST);
	assert_int_equal(policy("bob"), SLOW_SKIP);
	assert_int_equal(policy("\1bob"), SLOW_LATEST);
	assert_int_equal(policy("\1alice"), SLOW_DISCONNECT);
	assert_int_equal(policy("\2"), SLOW_SKIP);
	parse("a*: disconnect; *: latest");
	assert_int_equal(policy("b"), SLOW_LATEST);
	assert_int_equal(policy("\2"), SLOW_LATEST);	/* broadcasts */
	assert_int_equal(policy("\1bob"), SLOW_SKIP);
}

/* Rules that name something stand before a listener's word, which stands before what is said of all. */
static void listeners(void **state)
{
	(void)state;
	parse("a: skip; b*: disconnect; @*: skip; *: disconnect");
	assert_int_equal(policy_there("a"), SLOW_SKIP);
	assert_int_equal(policy_there("b1"), SLOW_DISCONNECT);
	assert_int_equal(policy_there("\1bob"), SLOW_SKIP);
	assert_int_equal(policy_there("c"), SLOW_LATEST);
	assert_int_equal(policy_there("\2"), SLOW_LATEST);
	assert_int_equal(policy("c"), SLOW_DISCONNECT);
	parse("*: disconnect; a: skip");
	assert_int_equal(policy_there("a"), SLOW_LATEST);	/* the first that fits is for all */
	parse("a: skip");
	assert_int_equal(policy_there("c"), SLOW_LATEST);
	assert_int_equal(policy_there("\1bob"), SLOW_LATEST);
	parse("disconnect");
	assert_int_equal(policy_there("c"), SLOW_LATEST);
	assert_int_equal(slow_rules_find(&rules, SLOW_SKIP, "c", 1), SLOW_SKIP);
}

static void words(void **state)
{
	(void)state;
	for (unsigned p = SLOW_SKIP; p <= SLOW_DISCONNECT; p++)
		assert_int_equal(slow_policy_read(text_piece(slow_policy_word(p), strlen(slow_policy_word(p)))), p);
	assert_string_equal(slow_policy_word(SLOW_UNSAID), "");
	assert_int_equal(slow_policy_read(text_piece("", 0)), SLOW_UNSAID);
	assert_int_equal(slow_policy_read(text_piece("skipped", 7)), SLOW_UNSAID);
}

static void errors(void **state)
{
	char many[SETTINGS_LIST_MAX + 10] = "";

	(void)state;
	refused("drop", "`drop` is not of the form");
	refused("skip; a: latest", "`skip` is not of the form");
	refused("a: drop", "`drop` is not one of");
	refused("a: latest, skip", "`latest, skip` is not one of");
	refused("b: disconnect; a:", "`a:` has no word");
	refused(": skip", "has no topic");
	refused("@: skip", "has no topic");
	refused("a*b: skip", "elsewhere than at the end");
	for (int i = 0; i < SLOW_RULES_MAX; i++)
		strcat(many, "a: skip; ");
	parse(many);
	assert_int_equal(rules.count, SLOW_RULES_MAX);
	strcat(many, "last: skip");
	refused(many, "one rule too many");
	memset(many, ' ', sizeof(many));
	many[SETTINGS_LIST_MAX] = '\0';
	refused(many, "longer than");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_word_is_for_all),
		cmocka_unit_test(which),
		cmocka_unit_test(listeners),
		cmocka_unit_test(words),
		cmocka_unit_test(errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
