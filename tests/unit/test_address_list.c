/*
 * Lists of addresses, and X-Forwarded-For.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/forwarded.h"

static struct address_list list;

static void read_list(const char *text)
{
	const char *wrong;
	size_t len;

	assert_null(address_list_read(&list, text, &wrong, &len));
}

static bool has(const char *text)
{
	uint8_t address[16], family = address_read(text, strlen(text), address);

	assert_true(family == 4 || family == 6);
	return address_list_has(&list, family, address);
}

static void lists(void **state)
{
	static const uint8_t nowhere[16];

	(void)state;
	read_list("");
	assert_false(has("127.0.0.1"));
	read_list(" 10.0.0.0/8,192.0.2.7  2001:db8::/33 , ::1 172.16.0.0/12");
	assert_int_equal(list.count, 5);
	assert_true(has("10.255.0.1"));
	assert_false(has("11.0.0.0"));
	assert_true(has("::ffff:10.0.0.1"));
	assert_true(has("192.0.2.7"));
	assert_false(has("192.0.2.6"));
	assert_true(has("2001:db8:7fff:ffff::1"));
	assert_false(has("2001:db8:8000::1"));
	assert_true(has("::1"));
	assert_false(has("::2"));
	assert_true(has("172.31.255.255"));
	assert_false(has("172.32.0.0"));
	assert_false(address_list_has(&list, 1, nowhere));
	read_list("unix");
	assert_true(address_list_has(&list, 1, nowhere));
	assert_false(address_list_has(&list, 0, nowhere));
	assert_false(has("0.0.0.0"));
	read_list("0.0.0.0/0 ::/0");
	assert_true(has("203.0.113.9"));
	assert_true(has("fe80::1"));
}

static void bad_lists(void **state)
{
	static const char *const bad[] = {
		"localhost", "10.0.0", "10.0.0.1/33", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/8/8", "10.0.0.1/8", "2001:db8::1/64", "::/129", "[::1]", "10.0.0.1:80", "/8", "unix/8",
		"10.0.0.0/0008", "1111111111111111111111111111111111111111111111111111111111111111",
	};
	char text[300], many[ADDRESS_LIST_MAX * 11 + 20];
	const char *wrong;
	size_t len, n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "10.0.0.0/8, %s ::1", bad[i]);
		if (!address_list_read(&list, text, &wrong, &len))
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(len, strlen(bad[i]));
		assert_memory_equal(wrong, bad[i], len);
	}
	for (unsigned i = 0; i < ADDRESS_LIST_MAX; i++)
		n += (size_t)snprintf(many + n, sizeof(many) - n, "10.0.%u.%u ", i / 100, i % 100);
	assert_null(address_list_read(&list, many, &wrong, &len));
	strcpy(many + n, "::1");
	assert_string_equal(address_list_read(&list, many, &wrong, &len), "is one address too many");
}

static void forwarded(void **state)
{
	static const struct {
		const char *head, *client;	/* NULL: none */
	} cases[] = {
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", NULL},
		{"GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n", "203.0.113.9"},
		{"GET / HTTP/1.1\r\nX-FORWARDED-FOR:203.0.113.9 \t\r\n\r\n", "203.0.113.9"},
		/* what the client has made up stands on the left */
		{"GET / HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4, 203.0.113.9\r\n\r\n", "203.0.113.9"},
		{"GET / HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n", "203.0.113.9"},
		{"GET / HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4, 203.0.113.9, 10.0.0.7\r\n\r\n", "203.0.113.9"},
		{"GET / HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4, 203.0.113.9\r\nX: y\r\nX-Forwarded-For: 10.0.0.7,10.0.0.8\r\n\r\n", "203.0.113.9"},
		/* all are proxies: the first */
		{"GET / HTTP/1.1\r\nX-Forwarded-For: 10.0.0.9\r\nX-Forwarded-For: 10.0.0.7, 10.0.0.8\r\n\r\n", "10.0.0.9"},
		/* behind what is no address nobody is believed */
		{"GET / HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4, unknown\r\n\r\n", NULL},
		{"GET / HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4, unknown, 10.0.0.7\r\n\r\n", "10.0.0.7"},
		{"GET / HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For:\r\n\r\n", NULL},
		{"GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9:4711\r\n\r\n", "203.0.113.9"},
		{"GET / HTTP/1.1\r\nX-Forwarded-For: 2001:db8::9\r\n\r\n", "2001:db8::9"},
		{"GET / HTTP/1.1\r\nX-Forwarded-For: [2001:db8::9]:4711, [2001:db8:ffff::1]\r\n\r\n", "2001:db8:ffff::1"},
		{"GET / HTTP/1.1\r\nX-Forwarded-For: [2001:db8::9\r\n\r\n", NULL},
		{"GET / HTTP/1.1\r\nX-Forwarded-For-Not: 203.0.113.9\r\nNot-X-Forwarded-For: 203.0.113.9\r\n\r\n", NULL},
		{"", NULL},
	};
	uint8_t address[16];
	char text[INET6_ADDRSTRLEN];

	(void)state;
	read_list("10.0.0.0/8");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].head);
		char *exact = malloc(len ? len : 1);
		uint8_t family;

		memcpy(exact, cases[i].head, len);
		family = forwarded_client(&list, exact, len, address);
		free(exact);
		if (!cases[i].client) {
			if (family)
				fail_msg("%s", cases[i].head);
			continue;
		}
		assert_int_equal(family, strchr(cases[i].client, ':') ? 6 : 4);
		inet_ntop(family == 4 ? AF_INET : AF_INET6, address, text, sizeof(text));
		assert_string_equal(text, cases[i].client);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(bad_lists),
		cmocka_unit_test(forwarded),
	};

	return cmocka_run_group_tests_name("address_list", tests, NULL, NULL);
}
