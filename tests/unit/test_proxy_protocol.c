/*
 * The PROXY protocol: headers of both versions, whole, cut and wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/proxy_protocol.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define HEADER(text) (const uint8_t *)(text), sizeof(text) - 1

static const char v2_tcp4[] = SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\xdc\4\1\xbb";
static const char v2_tcp6[] = SIGNATURE "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\xdc\4\1\xbb";
static const char v2_more[] = SIGNATURE "\x21\x11\0\x0f\xc0\0\2\1\xc6\x33\x64\1\xdc\4\1\xbb\4\0\0";
static const char v2_mapped[] = SIGNATURE "\x21\x21\0\x24\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\1\xdc\4\1\xbb";
static const char v2_local[] = SIGNATURE "\x20\0\0\0";
static const char v2_unix[] = SIGNATURE "\x21\x31\0\0";

/* Reads it with something behind it, and each piece of it, which is too short. */
static struct proxy_client read_good(const uint8_t *in, size_t len)
{
	uint8_t more[PROXY_HEADER_MAX + 16];
	struct proxy_client client;
	const char *error;

	for (size_t part = 0; part < len; part++)
		assert_int_equal(proxy_header_read(in, part, &client, &error), 0);
	memcpy(more, in, len);
	memcpy(more + len, "GET / HTTP/1.1\r\n", 16);
	assert_int_equal(proxy_header_read(more, len + 16, &client, &error), len);
	assert_int_equal(proxy_header_read(in, len, &client, &error), len);
	assert_null(error);
	return client;
}

static void assert_client(struct proxy_client client, uint8_t family, const char *address, uint16_t port)
{
	assert_int_equal(client.family, family);
	assert_memory_equal(client.address, address, family == 6 ? 16 : family);
	assert_int_equal(client.port, port);
}

static void version_1(void **state)
{
	(void)state;
	assert_client(read_good(HEADER("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n")), 4, "\xc0\0\2\1", 56324);
	assert_client(read_good(HEADER("PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n")), 6, "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 56324);
	assert_client(read_good(HEADER("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 1 0\r\n")), 4, "\xc0\0\2\1", 1);
	assert_client(read_good(HEADER("PROXY UNKNOWN\r\n")), 0, "", 0);
	assert_client(read_good(HEADER("PROXY UNKNOWN ffff::1 whatever\r\n")), 0, "", 0);
}

static void version_2(void **state)
{
	(void)state;
	assert_client(read_good(HEADER(v2_tcp4)), 4, "\xc0\0\2\1", 56324);
	assert_client(read_good(HEADER(v2_tcp6)), 6, "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 56324);
	assert_client(read_good(HEADER(v2_more)), 4, "\xc0\0\2\1", 56324);
	assert_client(read_good(HEADER(v2_mapped)), 4, "\xc0\0\2\1", 56324);
	assert_client(read_good(HEADER(v2_local)), 0, "", 0);
	assert_client(read_good(HEADER(v2_unix)), 0, "", 0);
}

static void assert_none(const uint8_t *in, size_t len)
{
	struct proxy_client client;
	const char *error;

	assert_int_equal(proxy_header_read(in, len, &client, &error), -1);
	assert_non_null(error);
	assert_int_equal(client.family, 0);
}

static void what_is_none(void **state)
{
	char line[200];

	(void)state;
	assert_none(HEADER("GET / HTTP/1.1\r\n"));
	assert_none(HEADER("\x16\x03\x01"));
	assert_none(HEADER("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n"));
	assert_none(HEADER("PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n"));
	assert_none(HEADER("PROXY TCP4 192.0.2.1 198.51.100.1 56324 65536\r\n"));
	assert_none(HEADER("PROXY TCP4 192.0.2.1 198.51.100.1 056 443\r\n"));
	assert_none(HEADER("PROXY TCP4 192.0.2.1 198.51.100.1 5 443 6\r\n"));
	assert_none(HEADER("PROXY TCP4 192.0.2.1\0 198.51.100.1 5 443\r\n"));
	assert_none(HEADER("PROXY TCP4 2001:db8::1 2001:db8::2 56324 443\r\n"));
	assert_none(HEADER("PROXY TCP5 192.0.2.1 198.51.100.1 56324 443\r\n"));
	assert_none(HEADER("PROXY  TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"));
	snprintf(line, sizeof(line), "PROXY UNKNOWN %0150d", 0);
	assert_none((const uint8_t *)line, 107);
	assert_none(HEADER(SIGNATURE "\x11\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\xdc\4\1\xbb"));
	assert_none(HEADER(SIGNATURE "\x22\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\1\xdc\4\1\xbb"));
	assert_none(HEADER(SIGNATURE "\x21\x11\0\x0b\xc0\0\2\1\xc6\x33\x64\1\xdc\4\1"));
	assert_none(HEADER(SIGNATURE "\x21\x21\0\x0c\xc0\0\2\1\xc6\x33\x64\1\xdc\4\1\xbb"));
	assert_none(HEADER(SIGNATURE "\x21\x11\xff\xff"));
	assert_none(HEADER("\r\n\r\n\0\r\nQUIX"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_1),
		cmocka_unit_test(version_2),
		cmocka_unit_test(what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
