/*
 * proto/subject.c: names as subjects and back, and subjects that are nobody's.
 */
#include "proto/subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static const struct { enum message_to to; const char *name, *subject; } pairs[] = {
	{ MESSAGE_TO_TOPIC, "events", "topic.events" },
	{ MESSAGE_TO_TOPIC, "news.uk.sport", "topic.news.uk.sport" },
	{ MESSAGE_TO_TOPIC, "a b", "topic.a%20b" },
	{ MESSAGE_TO_TOPIC, "100%", "topic.100%25" },
	{ MESSAGE_TO_TOPIC, "%", "topic.%25" },
	{ MESSAGE_TO_TOPIC, "a*b.>>", "topic.a%2Ab.%3E%3E" },
	{ MESSAGE_TO_TOPIC, "caf\xc3\xa9", "topic.caf\xc3\xa9" },
	/* empty parts */
	{ MESSAGE_TO_TOPIC, ".", "topic.%.%" },
	{ MESSAGE_TO_TOPIC, "a..b", "topic.a.%.b" },
	{ MESSAGE_TO_TOPIC, ".a", "topic.%.a" },
	{ MESSAGE_TO_TOPIC, "a.", "topic.a.%" },
	{ MESSAGE_TO_TOPIC, "...", "topic.%.%.%.%" },
	{ MESSAGE_TO_USER, "bob", "inbox.bob" },
	{ MESSAGE_TO_USER, "bob.smith@x", "inbox.bob%2Esmith@x" },
	{ MESSAGE_TO_USER, "*", "inbox.%2A" },
	{ MESSAGE_TO_USER, ">", "inbox.%3E" },
	{ MESSAGE_TO_ALL, "", "broadcast" },
};

static void names_and_back(void **state)
{
	char subject[SUBJECT_MAX];
	struct subject_name name;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		size_t len = strlen(pairs[i].name);

		assert_int_equal(subject_write(subject, pairs[i].to, pairs[i].name, len), strlen(pairs[i].subject));
		assert_string_equal(subject, pairs[i].subject);
		assert_null(subject_read(subject, &name));
		assert_int_equal(name.to, pairs[i].to);
		assert_int_equal(name.len, len);
		assert_memory_equal(name.name, pairs[i].name, len);
	}
}

/* A pattern asks NATS for what it asks Janus for. */
static void patterns(void **state)
{
	static const char *const cases[][2] = {
		{ "a.*.c", "topic.a.*.c" }, { "a.>", "topic.a.>" }, { ">", "topic.>" }, { "*", "topic.*" }, { "a..*", "topic.a.%.*" }, { "a b.*", "topic.a%20b.*" },
	};
	char subject[SUBJECT_MAX];
	struct subject_name name;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		subject_write(subject, MESSAGE_TO_TOPIC, cases[i][0], strlen(cases[i][0]));
		assert_string_equal(subject, cases[i][1]);
		assert_non_null(subject_read(subject, &name));	/* nobody publishes to it */
	}
}

static void refused(void **state)
{
	static const char *const cases[] = {
		"", "topic", "topic.", "topic", "topics.a", "inbox.", "inbox", "broadcast.x", "node.mark",
		"topic.a..b", "topic..a", "topic.a.", "topic.%%", "topic.a%", "topic.a%2", "topic.a%4", "topic.%.", "topic.a.%%",
		"topic.a%41",			/* it is written a A */
		"topic.a%2ab", "topic.a%2Eb",	/* small hex; a dot stands for itself */
		"topic.a b", "topic.a*b", "topic.a>", "inbox.a.b", "inbox.%", "inbox.a%2e",
		"topic.%01", "topic.%7F", "topic.%0A", "topic.\xff", "topic.\xc3",
		"topic.*", "topic.%2A", "topic.a.%3E",	/* reserved for subscriptions */
		"topic.news@presence",
	};
	struct subject_name name;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (subject_read(cases[i], &name) == NULL)
			fail_msg("%s is taken", cases[i]);
}

static void lengths(void **state)
{
	char name[256], subject[SUBJECT_MAX + 16];
	struct subject_name read;

	(void)state;
	memset(name, ' ', sizeof(name));
	assert_int_equal(subject_write(subject, MESSAGE_TO_TOPIC, name, 255), 6 + 3 * 255);
	assert_null(subject_read(subject, &read));
	assert_int_equal(read.len, 255);
	strcat(subject, "a");
	assert_non_null(subject_read(subject, &read));
	memset(name, '.', sizeof(name));
	assert_int_equal(subject_write(subject, MESSAGE_TO_TOPIC, name, 255), 6 + 255 + 256);
	assert_null(subject_read(subject, &read));
	assert_int_equal(read.len, 255);
	assert_int_equal(subject_write(subject, MESSAGE_TO_USER, name, 254), 6 + 3 * 254);
	assert_null(subject_read(subject, &read));
	strcat(subject, "a");
	assert_non_null(subject_read(subject, &read));	/* a user has 254 bytes at most */
}

/* Whatever a subject says: if it is a name's, it is that name's only one. */
static void one_subject_each(void **state)
{
	static const char bytes[] = "a.%2A0E* >";
	char text[SUBJECT_MAX], again[SUBJECT_MAX];
	struct subject_name name;
	unsigned taken = 0;

	(void)state;
	for (unsigned n = 0; n < 100000; n++) {
		unsigned rest = n;
		size_t len;

		strcpy(text, n & 1 ? "inbox." : "topic.");
		for (len = 6; rest > 0; rest /= 10)
			text[len++] = bytes[rest % 10];
		text[len] = '\0';
		if (subject_read(text, &name) != NULL)
			continue;
		taken++;
		subject_write(again, name.to, name.name, name.len);
		assert_string_equal(again, text);
	}
	assert_true(taken > 1000);
}

static void words(void **state)
{
	static const char *const none[] = { "", "a.b", "a b", "a%", "a%2e", "%01", "\xff" };
	char text[SUBJECT_MAX];
	struct subject_name name;

	(void)state;
	assert_int_equal(subject_write_token(text, "a.example.com", 13), 17);
	assert_string_equal(text, "a%2Eexample%2Ecom");
	assert_null(subject_read_token(text, &name));
	assert_int_equal(name.len, 13);
	assert_memory_equal(name.name, "a.example.com", 13);
	/* a name that is subscribed, whatever nobody may publish to */
	subject_write_token(text, "a@presence.*.>", 14);
	assert_null(subject_read_token(text, &name));
	assert_int_equal(name.len, 14);
	assert_memory_equal(name.name, "a@presence.*.>", 14);
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		assert_non_null(subject_read_token(none[i], &name));
	assert_null(subject_prefix_error("janus"));
	assert_null(subject_prefix_error("a.b-c_1"));
	assert_non_null(subject_prefix_error(""));
	assert_non_null(subject_prefix_error("a..b"));
	assert_non_null(subject_prefix_error(".a"));
	assert_non_null(subject_prefix_error("a."));
	assert_non_null(subject_prefix_error("a b"));
	assert_non_null(subject_prefix_error("a.>"));
	assert_non_null(subject_prefix_error("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_back), cmocka_unit_test(patterns), cmocka_unit_test(refused), cmocka_unit_test(lengths),
		cmocka_unit_test(one_subject_each), cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
