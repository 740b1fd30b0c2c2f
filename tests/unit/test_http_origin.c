/*
 * proto/http_origin.c, and what http_glance() finds in requests that are none.
 */
#include "proto/http_origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static struct http_text text(const char *p)
{
	return (struct http_text){ p, strlen(p) };
}

static void test_authority(void **state)
{
	static const struct {
		const char *text, *host;	/* NULL: none */
		unsigned port;
	} cases[] = {
		{ "", "", 0 }, { "a", "a", 0 }, { "a:80", "a", 80 }, { "a:", "a", 0 }, { "a:65535", "a", 65535 }, { ":80", "", 80 },
		{ "[::1]", "[::1]", 0 }, { "[::1]:443", "[::1]", 443 }, { "127.0.0.1:1", "127.0.0.1", 1 }, { "a_b.example.", "a_b.example.", 0 },
		{ "a:b", NULL, 0 }, { "a:80:80", NULL, 0 }, { "[::1", NULL, 0 }, { "[::1]x", NULL, 0 }, { "[]", NULL, 0 }, { "[a]", NULL, 0 },
		{ "::1", NULL, 0 }, { "a:0", NULL, 0 }, { "a:65536", NULL, 0 }, { "a:-1", NULL, 0 }, { "u@a", NULL, 0 }, { "a b", NULL, 0 },
		{ "a/b", NULL, 0 }, { "a,b", NULL, 0 }, { "a]", NULL, 0 }, { "\xc3\xa9", NULL, 0 }, { "[::1]:80:", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_authority a;
		bool good = http_authority(text(cases[i].text), &a);

		if (good != (cases[i].host != NULL))
			fail_msg("%s", cases[i].text);
		if (!good)
			continue;
		assert_int_equal(a.host.len, strlen(cases[i].host));
		assert_memory_equal(a.host.p, cases[i].host, a.host.len);
		assert_int_equal(a.port, cases[i].port);
	}
}

static void test_own(void **state)
{
	static const struct {
		const char *origin, *host;
		bool same;
	} cases[] = {
		{ "http://a", "a", true }, { "http://a", "a:80", true }, { "http://a:80", "a", true }, { "https://a", "a:443", true },
		{ "https://a:443", "a", true }, { "ws://a", "a", true }, { "wss://a", "a:443", true }, { "https://a", "a", true },
		{ "HTTP://A", "a", true }, { "http://a.", "a", true }, { "http://[::1]:81", "[0:0::1]:81", true }, { "http://a:81", "a:81", true },
		{ "http://a:443", "a", false }, { "https://a:80", "a", false }, { "https://a", "a:80", false }, { "http://a", "a:443", false },
		{ "http://a", "b", false }, { "http://a.evil", "a", false }, { "http://evil.a", "a", false }, { "ftp://a", "a", false },
		{ "http://a:81", "a:82", false }, { "http://[::1]", "[::2]", false }, { "http://[::1]", "::1", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_authority at = { 0 };
		struct http_origin origin;

		assert_true(http_origin(text(cases[i].origin), &origin));
		if (!http_authority(text(cases[i].host), &at))
			assert_false(cases[i].same);
		else if (http_origin_is(&origin, &at) != cases[i].same)
			fail_msg("%s at %s", cases[i].origin, cases[i].host);
	}
}

static void test_not_origins(void **state)
{
	static const char *const cases[] = { "", "null", "a", "a://", "://a", "http:/a", "http://a/", "http://a b", "http://a:b", "1http://a", "file://", "*" };
	struct http_origin origin;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (http_origin(text(cases[i]), &origin))
			fail_msg("%s", cases[i]);
	assert_false(http_origin((struct http_text){ 0 }, &origin));
}

static void test_origin_list(void **state)
{
	static const struct {
		const char *list, *origin;
		enum http_listed listed;
	} cases[] = {
		{ "", "http://a", HTTP_NOT_LISTED }, { " , ", "http://a", HTTP_NOT_LISTED }, { "*", "http://a", HTTP_ANY }, { "http://b, *", "null", HTTP_ANY },
		{ "http://a", "http://a", HTTP_LISTED }, { "http://b http://a", "http://a", HTTP_LISTED }, { "http://b,http://a", "HTTP://A:80", HTTP_LISTED },
		{ "https://app.example:443", "https://app.example", HTTP_LISTED }, { "https://app.example", "https://app.example:443", HTTP_LISTED },
		{ "https://app.example", "wss://app.example", HTTP_LISTED }, { "https://app.example", "http://app.example", HTTP_NOT_LISTED },
		{ "https://app.example", "https://app.example:444", HTTP_NOT_LISTED }, { "https://app.example", "https://app.example.evil", HTTP_NOT_LISTED },
		{ "http://a", "null", HTTP_NOT_LISTED }, { "null", "null", HTTP_LISTED }, { "null", "http://null", HTTP_NOT_LISTED },
		{ "https://*.example.com", "https://a.example.com", HTTP_LISTED }, { "https://*.example.com", "https://a.b.Example.com:443", HTTP_LISTED },
		{ "https://*.example.com", "https://example.com", HTTP_NOT_LISTED }, { "https://*.example.com", "https://aexample.com", HTTP_NOT_LISTED },
		{ "https://*.example.com", "https://.example.com", HTTP_NOT_LISTED }, { "https://*.example.com", "https://a.example.com.evil", HTTP_NOT_LISTED },
		{ "https://*.example.com", "http://a.example.com", HTTP_NOT_LISTED }, { "https://*.example.com:8443", "https://a.example.com", HTTP_NOT_LISTED },
		{ "https://*.example.com:8443", "https://a.example.com:8443", HTTP_LISTED }, { "https://*.example.com", "https://*.example.com", HTTP_LISTED },
		{ "capacitor://localhost", "capacitor://localhost", HTTP_LISTED }, { "http://a", "http://a/", HTTP_NOT_LISTED }, { "http://a", "", HTTP_NOT_LISTED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (http_origins_have(cases[i].list, text(cases[i].origin)) != cases[i].listed)
			fail_msg("%s in %s", cases[i].origin, cases[i].list);
}

static void test_hosts(void **state)
{
	static const struct {
		const char *list, *host;
		enum http_listed listed;
		bool safe;
	} cases[] = {
		{ "", "a", HTTP_NOT_LISTED, false }, { "*", "a", HTTP_ANY, false }, { "b, a", "A.", HTTP_LISTED, false }, { "a", "a.b", HTTP_NOT_LISTED, false },
		{ "*.b", "a.b", HTTP_LISTED, false }, { "*.b", "b", HTTP_NOT_LISTED, false }, { "", "localhost", HTTP_NOT_LISTED, true },
		{ "", "LocalHost.", HTTP_NOT_LISTED, true }, { "", "app.localhost", HTTP_NOT_LISTED, true }, { "", "xlocalhost", HTTP_NOT_LISTED, false },
		{ "", "localhost.evil", HTTP_NOT_LISTED, false }, { "", "127.0.0.1", HTTP_NOT_LISTED, true }, { "", "[::1]", HTTP_NOT_LISTED, true },
		{ "", "10.0.0.1", HTTP_NOT_LISTED, true }, { "", "10.0.0.1.evil", HTTP_NOT_LISTED, false }, { "", "1.2.3", HTTP_NOT_LISTED, false },
		{ "", "", HTTP_NOT_LISTED, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (http_hosts_have(cases[i].list, text(cases[i].host)) != cases[i].listed ||
		    http_host_is_safe(text(cases[i].host)) != cases[i].safe)
			fail_msg("%s in %s", cases[i].host, cases[i].list);
}

static void test_host_list(void **state)
{
	static const char *const good[] = { "", "a", "a.example, *.b", "*", "[::1] 10.0.0.1", "xn--bcher-kva.example." };
	static const char *const bad[] = { "a:80", "http://a", "a/b", "*.", "**", "a.*", "[::1", "\xc3\xa9" };
	struct http_text wrong;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_null(http_hosts_error(good[i], &wrong));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (http_hosts_error(bad[i], &wrong) == NULL)
			fail_msg("%s", bad[i]);
		assert_int_equal(wrong.len, strlen(bad[i]));
	}
	assert_non_null(http_hosts_error("a, b:80 c", &wrong));
	assert_true(http_is(wrong, "b:80"));
}

static void test_glance(void **state)
{
	static const struct {
		const char *input, *host, *origin;	/* NULL: none */
	} cases[] = {
		{ "GET / HTTP/1.1\r\nHost: h:81\r\nOrigin: o\r\n", "h", "o" },
		{ "\r\nGET / HTTP/1.1\r\nORIGIN: o\r\nHost: h\r\n\r\nOrigin: body\r\n", "h", "o" },
		{ "GET http://t/ HTTP/1.1\r\nHost: h\r\n", "t", NULL }, { "GET / HTTP/1.1\r\nHost: h\r\nOrigin: o", "h", NULL },
		{ "GET / HTTP/1.1\r\nbad line\r\nHost: h\r\nOrigin: o\r\n", "h", "o" }, { "rubbish\r\nOrigin: o\r\n", NULL, "o" },
		{ "GET / HTTP/1.1\r\nOrigin: o\r\nOrigin: p\r\nHost: h\r\nHost: i\r\n", NULL, NULL }, { "GET / HTTP/1.1\r\nHost: a:b\r\n", NULL, NULL },
		{ "GET / HTTP/1.1\nOrigin: o\n", NULL, NULL }, { "", NULL, NULL }, { "\r\n", NULL, NULL }, { "\n", NULL, NULL }, { "\r\n\r\n\r\n", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_request req;

		http_glance(cases[i].input, strlen(cases[i].input), &req);
		if ((req.authority.host.p != NULL) != (cases[i].host != NULL) || (cases[i].host && !http_is(req.authority.host, cases[i].host)) ||
		    (req.field[HTTP_ORIGIN].p != NULL) != (cases[i].origin != NULL) ||
		    (cases[i].origin && !http_is(req.field[HTTP_ORIGIN], cases[i].origin)))
			fail_msg("%s", cases[i].input);
		assert_int_equal(req.minor, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_authority), cmocka_unit_test(test_own), cmocka_unit_test(test_not_origins), cmocka_unit_test(test_origin_list),
		cmocka_unit_test(test_hosts), cmocka_unit_test(test_host_list), cmocka_unit_test(test_glance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
