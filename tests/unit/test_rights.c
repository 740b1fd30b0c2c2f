/*
 * Rights as a block: how it is written and checked, and what its patterns fit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "proto/rights.h"

enum { T = RIGHTS_TOPICS, U = RIGHTS_USERS, E = RIGHTS_EVERYBODY };
enum { SUB = RIGHT_SUBSCRIBE, PUB = RIGHT_PUBLISH, HST = RIGHT_HISTORY, PRS = RIGHT_PRESENCE };

static _Alignas(8) char block[RIGHTS_SIZE_MAX];

static void grant(struct rights_writer *w, int kind, unsigned rights, const char *pattern)
{
	rights_grant(w, (enum rights_kind)kind, rights, pattern, strlen(pattern));
}

static const struct rights *end(struct rights_writer *w)
{
	const char *error;
	size_t size = rights_end(w, &error);

	assert_null(error);
	assert_true(rights_check(block, size));
	return (const struct rights *)block;
}

static const struct rights *one(int kind, unsigned rights, const char *pattern)
{
	struct rights_writer w;

	rights_begin(&w, block, sizeof(block), "", 0, INT64_MAX);
	grant(&w, kind, rights, pattern);
	return end(&w);
}

static bool may(const struct rights *r, unsigned rights, int kind, const char *name)
{
	return rights_may(r, rights, (enum rights_kind)kind, name, strlen(name));
}

static void test_names(void **state)
{
	static const struct {
		const char *pattern, *name;
		bool fits;
	} rows[] = {
		{ "news", "news", true }, { "news", "new", false }, { "news", "news2", false }, { "news", "News", false },
		{ "chat:*", "chat:", true }, { "chat:*", "chat:a.b", true }, { "chat:*", "chat", false }, { "chat:*", "xchat:a", false },
		{ "*", "a", true }, { "*", "a.b.c", true }, { ">", "a.b.c", true },
		{ "news.*", "news.uk", true }, { "news.*", "news.", true }, { "news.*", "news", false }, { "news.*", "news.uk.x", false },
		{ "news.>", "news.uk", true }, { "news.>", "news.uk.x", true }, { "news.>", "news", false }, { "news.>", "newsx.a", false },
		{ "*.uk", "news.uk", true }, { "*.uk", "news.fr", false }, { "*.a*", "x.a*", true }, { "*.a*", "x.ab", false },
		{ "a*b", "a*b", true }, { "a*b", "axb", false }, { "news.x*", "news.xy.z", true }, { "news.x*", "news.y", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		for (int kind = T; kind <= U; kind++)
			if (may(one(kind, SUB, rows[i].pattern), SUB, kind, rows[i].name) != rows[i].fits)
				fail_msg("%s %s: %d", rows[i].pattern, rows[i].name, !rows[i].fits);
}

static void test_patterns(void **state)
{
	static const struct {
		const char *granted, *asked;
		bool fits;
	} rows[] = {
		{ "news.*", "news.*", true }, { "news.>", "news.*", true }, { "news.>", "news.>", true }, { "news.>", "news.*.x", true },
		{ "news.*", "news.>", false }, { "news.*", "*.*", false }, { "*.*", "news.*", true }, { "*.*", "news.>", false },
		{ "*.>", "news.>", true }, { "*.*.>", "news.>", false }, { "news.>", ">", false }, { ">", ">", true }, { ">", "*", true },
		{ "*", ">", true }, { "*", "a.*.>", true }, { "news.*", "news.uk", false }, { "news.uk", "news.*", false },
		{ "news.*", "sport.*", false }, { "news.*", "new.*", false }, { "news.a.*", "news.*.*", false },
		{ "news*", "news.*", true }, { "news*", "news*.>", true }, { "new*", "news.*", true }, { "news.u*", "news.*", false }, { "news.u*", "news.>", false },
		{ "chat:*", "chat:.*", true }, { "chat:*", "*.chat:", false }, { "x.y*", "x.y.*", true }, { "x.y*", "x.yz.>", true },
		/* what looks like a wildcard, and is a part of a name that begins so */
		{ "a.**", "a.*", false }, { "a.**", "a.*.b", false }, { "a.>>*", "a.>", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		bool fits = rights_may_pattern(one(T, SUB, rows[i].granted), SUB, rows[i].asked, strlen(rows[i].asked));

		if (fits != rows[i].fits)
			fail_msg("%s %s: %d", rows[i].granted, rows[i].asked, fits);
	}
}

/* 32 parts are as many as a pattern may have. */
static void test_longest_pattern(void **state)
{
	char wide[] = "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.*.>";
	char topic[] = "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.b.c";
	const struct rights *r = one(T, SUB, wide);

	(void)state;
	assert_true(may(r, SUB, T, topic));
	assert_true(rights_may_pattern(r, SUB, wide, strlen(wide)));
	topic[0] = 'b';
	assert_false(may(r, SUB, T, topic));
	memcpy(topic + 64, ">", 2);
	topic[0] = 'a';
	assert_true(rights_may_pattern(r, SUB, topic, strlen(topic)));
	assert_true(rights_may_pattern(one(T, SUB, "a.a*"), SUB, topic, strlen(topic)));
	assert_false(rights_may_pattern(one(T, SUB, "a.ab*"), SUB, topic, strlen(topic)));
}

static void test_rights(void **state)
{
	struct rights_writer w;
	const struct rights *r;

	(void)state;
	rights_begin(&w, block, sizeof(block), "bob", 3, 1234);
	grant(&w, T, SUB, "news.*");
	grant(&w, T, PUB | PRS, "news.uk");
	grant(&w, U, PUB, "al*");
	r = end(&w);
	assert_int_equal(r->expires, 1234);
	assert_true(may(r, SUB, T, "news.uk"));
	assert_true(may(r, SUB | PUB | PRS, T, "news.uk"));	/* of both together */
	assert_false(may(r, SUB | PUB, T, "news.fr"));
	assert_false(may(r, HST, T, "news.uk"));
	assert_false(may(r, SUB | HST, T, "news.uk"));
	assert_true(may(r, PUB, U, "alice"));
	assert_false(may(r, SUB, U, "alice"));			/* one may send, and not read */
	assert_false(may(r, PUB, T, "alice"));
	/* one's own inbox */
	assert_true(may(r, SUB | HST, U, "bob"));
	assert_false(may(r, PUB, U, "bob"));
	assert_false(may(r, PRS, U, "bob"));
	assert_false(may(r, SUB, T, "bob"));
	assert_false(may(r, SUB, U, "bobby"));
	assert_false(may(r, SUB, U, "bo"));
	assert_false(may(r, PUB, E, ""));
	assert_true(may(one(E, PUB, ""), PUB, E, ""));
	assert_false(may(one(E, SUB, ""), PUB, E, ""));
	assert_false(may(NULL, SUB, T, "news.uk"));
	assert_false(rights_may_pattern(NULL, SUB, ">", 1));
	/* nobody in particular has no inbox */
	assert_false(may(one(T, RIGHT_ALL, "*"), SUB, U, ""));
	assert_false(may(one(T, RIGHT_ALL, "*"), SUB, U, "bob"));
}

static bool collect(void *with, const char *topic, size_t len)
{
	char *all = with;

	strncat(all, topic, len);
	strcat(all, "|");
	return strlen(all) < 16;
}

static void test_at_once(void **state)
{
	struct rights_writer w;
	const struct rights *r;
	char all[64] = "";

	(void)state;
	rights_begin(&w, block, sizeof(block), "bob", 3, INT64_MAX);
	grant(&w, T, SUB | RIGHTS_AT_ONCE, "news.*");
	grant(&w, T, SUB, "other");
	grant(&w, T, SUB | RIGHTS_AT_ONCE, "chat:*");
	grant(&w, U, SUB | RIGHTS_AT_ONCE, "user");
	grant(&w, T, SUB | RIGHTS_AT_ONCE, "last");
	grant(&w, T, SUB | RIGHTS_AT_ONCE, "never");
	r = end(&w);
	rights_at_once(r, collect, all);
	assert_string_equal(all, "news.*|chat:*|last|");
	assert_true(rights_has_at_once(r, "news.*", 6));
	assert_true(rights_has_at_once(r, "never", 5));
	assert_false(rights_has_at_once(r, "news.uk", 7));
	assert_false(rights_has_at_once(r, "other", 5));
	assert_false(rights_has_at_once(r, "user", 4));
	/* a name to subscribe is that name */
	assert_true(may(r, SUB, T, "chat:*"));
	assert_false(may(r, SUB, T, "chat:a"));
	assert_true(may(r, SUB, T, "news.uk"));
	assert_true(rights_may_pattern(r, SUB, "news.*", 6));
	assert_false(may(one(T, SUB | RIGHTS_AT_ONCE, "*"), SUB, T, "a.b"));
}

static void refused(struct rights_writer *w)
{
	const char *error;

	assert_int_equal(rights_end(w, &error), 0);
	assert_non_null(error);
}

static void test_too_much(void **state)
{
	struct rights_writer w;
	char name[257];

	(void)state;
	memset(name, 'x', sizeof(name));
	rights_begin(&w, block, sizeof(block), name, 256, 0);
	refused(&w);
	rights_begin(&w, block, sizeof(block), "", 0, 0);
	rights_grant(&w, RIGHTS_TOPICS, SUB, name, 256);
	grant(&w, T, SUB, "a");				/* the first error stays */
	refused(&w);
	rights_begin(&w, block, sizeof(block), "", 0, 0);
	grant(&w, T, SUB, "");
	refused(&w);
	rights_begin(&w, block, sizeof(block), "", 0, 0);
	grant(&w, T, SUB, ">.a");
	refused(&w);
	rights_begin(&w, block, sizeof(block), "", 0, 0);
	for (int i = 0; i < RIGHTS_GRANTS_MAX; i++)
		grant(&w, T, SUB, "a");
	end(&w);
	grant(&w, T, SUB, "a");
	refused(&w);
	for (size_t room = 0; room < sizeof(struct rights) + 3 + 3 + 4; room++) {
		memset(block, 'z', sizeof(block));
		rights_begin(&w, block, room, "bob", 3, 0);
		grant(&w, T, SUB, "news");
		refused(&w);
		assert_int_equal(block[room], 'z');
	}
	rights_begin(&w, block, sizeof(block), "", 0, 0);
	for (int i = 0; i < 70; i++)
		rights_grant(&w, RIGHTS_TOPICS, SUB, name, 255);
	refused(&w);
}

/* No length that is wrong is believed, and no block that is called whole is read beyond its end. */
static void test_damage(void **state)
{
	struct rights_writer w;
	char whole[128];
	const char *error;
	size_t size;

	(void)state;
	rights_begin(&w, block, sizeof(block), "bob", 3, 0);
	grant(&w, T, SUB, "news");
	grant(&w, E, PUB, "");
	size = rights_end(&w, &error);
	memcpy(whole, block, size);
	for (size_t n = 0; n < size; n++) {
		assert_false(rights_check(block, n));
		((struct rights *)block)->size = (uint32_t)n;
		assert_false(rights_check(block, n));
		memcpy(block, whole, size);
	}
	assert_false(rights_check(block, size + 1));
	for (size_t at = 0; at < size; at++)
		for (int v = 0; v < 256; v++) {
			block[at] = (char)v;
			if (rights_check(block, size)) {
				may((const struct rights *)block, RIGHT_ALL, T, "news");
				assert_int_equal(((struct rights *)block)->size, size);
			}
			block[at] = whole[at];
		}
	block[sizeof(struct rights) + 3] = 3;			/* a kind that there is not */
	assert_false(rights_check(block, size));
	memcpy(block, whole, size);
	((struct rights *)block)->certified = 2;
	assert_false(rights_check(block, size));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_longest_pattern),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
