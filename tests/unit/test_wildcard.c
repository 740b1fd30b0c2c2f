/*
 * Patterns of topics: which names are patterns, and which topics they fit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wildcard.h"

/* As one would write the rules down: part by part, without shapes. */
static bool fits(const char *pattern, const char *topic)
{
	size_t p = strcspn(pattern, "."), t = strcspn(topic, ".");

	if (strcmp(pattern, ">") == 0)
		return true;
	if (!(p == 1 && *pattern == '*') && (p != t || memcmp(pattern, topic, p) != 0))
		return false;
	if (!pattern[p] || !topic[t])
		return !pattern[p] && !topic[t];
	return fits(pattern + p + 1, topic + t + 1);
}

/* By way of the shape, as the index asks: whether the pattern of its shape that fits the topic is this one. */
static bool is_found(const char *pattern, const char *topic)
{
	struct wildcard_topic divided;
	struct wildcard shape;
	char text[255];
	size_t len;

	assert_true(wildcard_read(pattern, strlen(pattern), &shape));
	wildcard_divide(topic, strlen(topic), &divided);
	len = wildcard_write(&shape, &divided, text, sizeof(text));
	return len == strlen(pattern) && memcmp(text, pattern, len) == 0;
}

static void test_names(void **state)
{
	static const char *const topics[] = { "a", "", ".", "a.", "..", "a*", "*a", "**", ">>", "a.>>", "a.b*.c", "<>", "\xe2\x82\xac*" };
	static const char *const patterns[] = { "*", ">", "a.*", "a.>", "*.*", "*.>", "a.*.c", ".*", "*.", "*..", "..>", "a*.*" };
	static const char *const neither[] = { ">.", ">.a", "a.>.b", ">.>", ">.*", "*.>.*" };
	struct wildcard shape;

	(void)state;
	for (size_t i = 0; i < sizeof(topics) / sizeof(*topics); i++) {
		assert_false(wildcard_in(topics[i], strlen(topics[i])));
		assert_null(wildcard_error(topics[i], strlen(topics[i])));
		assert_false(wildcard_read(topics[i], strlen(topics[i]), &shape));
	}
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
		assert_true(wildcard_in(patterns[i], strlen(patterns[i])));
		assert_null(wildcard_error(patterns[i], strlen(patterns[i])));
		assert_true(wildcard_read(patterns[i], strlen(patterns[i]), &shape));
	}
	for (size_t i = 0; i < sizeof(neither) / sizeof(*neither); i++) {
		assert_true(wildcard_in(neither[i], strlen(neither[i])));
		assert_string_equal(wildcard_error(neither[i], strlen(neither[i])), "a > is not the last part of the topic");
		assert_false(wildcard_read(neither[i], strlen(neither[i]), &shape));
	}
}

static void test_shapes(void **state)
{
	struct wildcard a, b;

	(void)state;
	assert_true(wildcard_read("a.*.c", 5, &a) && wildcard_read("xx.*.", 5, &b));
	assert_true(wildcard_same(&a, &b));
	assert_int_equal(a.parts, 3);
	assert_int_equal(a.stars, 2);
	assert_true(wildcard_read("a.*.>", 5, &b));
	assert_false(wildcard_same(&a, &b));
	assert_true(wildcard_read("a.b.*", 5, &b));
	assert_false(wildcard_same(&a, &b));
	assert_true(wildcard_read("a.*", 3, &b));
	assert_false(wildcard_same(&a, &b));
	assert_true(wildcard_read(">", 1, &b));
	assert_true(b.tail && b.parts == 0);
}

/* The most parts, and one more; and names as long as they may be. */
static void test_limits(void **state)
{
	char name[256], text[255];
	struct wildcard_topic topic;
	struct wildcard shape;

	(void)state;
	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 2 ? '.' : '*';
	assert_true(wildcard_read(name, 2 * WILDCARD_PARTS_MAX - 1, &shape));
	assert_int_equal(shape.stars, UINT32_MAX);
	assert_string_equal(wildcard_error(name, 2 * WILDCARD_PARTS_MAX), "a pattern has more than 32 parts between dots");
	name[2 * WILDCARD_PARTS_MAX] = '>';
	assert_true(wildcard_read(name, 2 * WILDCARD_PARTS_MAX + 1, &shape));
	assert_true(shape.tail && shape.parts == WILDCARD_PARTS_MAX);
	memset(name, '.', 255);
	wildcard_divide(name, 255, &topic);
	assert_int_equal(topic.parts, 256);
	assert_int_equal(wildcard_write(&shape, &topic, text, sizeof(text)), 2 * WILDCARD_PARTS_MAX + 1);
	wildcard_divide(name, WILDCARD_PARTS_MAX - 1, &topic);
	assert_int_equal(wildcard_write(&shape, &topic, text, sizeof(text)), 0);
	/* What would be longer than a name can be is no pattern that anybody has. */
	for (size_t room = 0; room < 10; room++) {
		wildcard_divide("aa.b.c", 6, &topic);
		assert_true(wildcard_read("*.*.>", 5, &shape));
		assert_int_equal(wildcard_write(&shape, &topic, text, room), room >= 5 ? 5 : 0);
		assert_true(wildcard_read("aa.*.c", 6, &shape));
		assert_int_equal(wildcard_write(&shape, &topic, text, room), room >= 6 ? 6 : 0);
	}
}

static void put_name(char *dst, const char *words, bool tail)
{
	unsigned parts = 1 + (unsigned)random() % 4;
	char *at = dst;

	for (unsigned i = 0; i < parts; i++) {
		char word = words[(size_t)random() % strlen(words)];

		if (word != ' ')
			*at++ = word;
		*at++ = '.';
	}
	at[-1] = '\0';
	if (tail)
		strcpy(dst + strlen(dst), dst[0] ? ".>" : ">");
}

/* Topics and patterns of few words, so that they meet. */
static void test_random(void **state)
{
	unsigned found = 0;

	(void)state;
	srandom(7);
	for (unsigned i = 0; i < 300000; i++) {
		char pattern[64], topic[64];

		put_name(pattern, "ab** ", random() % 3 == 0);
		put_name(topic, "ab ", false);
		if (!wildcard_in(pattern, strlen(pattern)))
			continue;
		if (is_found(pattern, topic) != fits(pattern, topic))
			fail_msg("%s and %s", pattern, topic);
		found += fits(pattern, topic);
	}
	assert_true(found > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names), cmocka_unit_test(test_shapes), cmocka_unit_test(test_limits), cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
