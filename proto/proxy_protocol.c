/*
 * The PROXY protocol. See proxy_protocol.h.
 */
#include "proto/proxy_protocol.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#define V1_MAX 107
#define V2_HEAD 16

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static long wrong(const char **error, const char *why)
{
	*error = why;
	return -1;
}

/* ::ffff:192.0.2.1 is told as 192.0.2.1, as of a socket of our own. */
static void set_ipv6(struct proxy_client *client, const uint8_t address[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };
	bool is_mapped = memcmp(address, mapped, sizeof(mapped)) == 0;

	client->family = is_mapped ? 4 : 6;
	memcpy(client->address, address + (is_mapped ? 12 : 0), is_mapped ? 4 : 16);
}

/* ---- version 1 ---- */

/* The next word of the line, up to a single blank or the line's end, terminated in dst. False: there is none, or it is longer. */
static bool next_word(const char **p, const char *end, char *dst, size_t room)
{
	const char *blank = memchr(*p, ' ', (size_t)(end - *p)), *stop = blank ? blank : end;
	size_t len = (size_t)(stop - *p);

	if (len == 0 || len >= room || memchr(*p, '\0', len))
		return false;
	memcpy(dst, *p, len);
	dst[len] = '\0';
	*p = blank ? blank + 1 : end;
	return true;
}

/* Decimal, without leading zeros, as the standard has it. */
static bool read_port(const char *word, uint16_t *port)
{
	uint32_t n = 0;

	if (word[0] == '0' && word[1])
		return false;
	for (; *word; word++) {
		if (*word < '0' || *word > '9' || (n = n * 10 + (uint32_t)(*word - '0')) > 65535)
			return false;
	}
	*port = (uint16_t)n;
	return true;
}

static bool read_address(int family, const char *word, struct proxy_client *client)
{
	uint8_t address[16];

	if (inet_pton(family, word, address) != 1)
		return false;
	if (family == AF_INET6) {
		set_ipv6(client, address);
	} else {
		client->family = 4;
		memcpy(client->address, address, 4);
	}
	return true;
}

/* What stands between "PROXY " and the line's end. */
static bool read_line(const char *p, const char *end, struct proxy_client *client)
{
	char word[INET6_ADDRSTRLEN];
	struct proxy_client to;
	uint16_t port;
	int family;

	if (!next_word(&p, end, word, sizeof(word)))
		return false;
	if (strcmp(word, "UNKNOWN") == 0)
		return true;		/* what follows is to be ignored */
	if (strcmp(word, "TCP4") != 0 && strcmp(word, "TCP6") != 0)
		return false;
	family = word[3] == '4' ? AF_INET : AF_INET6;
	return next_word(&p, end, word, sizeof(word)) && read_address(family, word, client) && next_word(&p, end, word, sizeof(word)) &&
	       read_address(family, word, &to) && next_word(&p, end, word, sizeof(word)) && read_port(word, &client->port) &&
	       next_word(&p, end, word, sizeof(word)) && read_port(word, &port) && p == end;
}

static long read_v1(const uint8_t *in, size_t len, struct proxy_client *client, const char **error)
{
	static const char begin[] = "PROXY ";
	size_t known = len < sizeof(begin) - 1 ? len : sizeof(begin) - 1;
	const uint8_t *end;

	if (memcmp(in, begin, known) != 0)
		return wrong(error, "the connection does not begin with a PROXY header");
	end = memchr(in, '\n', len < V1_MAX ? len : V1_MAX);
	if (!end)
		return len < V1_MAX ? 0 : wrong(error, "the PROXY header has no end");
	if (end[-1] != '\r' || !read_line((const char *)in + sizeof(begin) - 1, (const char *)end - 1, client))
		return wrong(error, "the PROXY header says nothing that is known");
	return end + 1 - in;
}

/* ---- version 2 ---- */

static long read_v2(const uint8_t *in, size_t len, struct proxy_client *client, const char **error)
{
	size_t size;
	unsigned command, family;

	if (len < V2_HEAD)
		return 0;
	command = in[12];
	family = in[13];
	size = (size_t)in[14] << 8 | in[15];
	if (command != 0x20 && command != 0x21)
		return wrong(error, "the PROXY header is of another version, or another command");
	if (V2_HEAD + size > PROXY_HEADER_MAX)
		return wrong(error, "the PROXY header is longer than what is taken (2048 bytes)");
	if (len < V2_HEAD + size)
		return 0;
	if (command == 0x21 && family == 0x11) {
		if (size < 12)
			return wrong(error, "the PROXY header is too short for its addresses");
		client->family = 4;
		memcpy(client->address, in + V2_HEAD, 4);
		client->port = (uint16_t)(in[V2_HEAD + 8] << 8 | in[V2_HEAD + 9]);
	} else if (command == 0x21 && family == 0x21) {
		if (size < 36)
			return wrong(error, "the PROXY header is too short for its addresses");
		set_ipv6(client, in + V2_HEAD);
		client->port = (uint16_t)(in[V2_HEAD + 32] << 8 | in[V2_HEAD + 33]);
	}
	return (long)(V2_HEAD + size);
}

long proxy_header_read(const uint8_t *in, size_t len, struct proxy_client *client, const char **error)
{
	long n;

	*client = (struct proxy_client){ 0 };
	*error = NULL;
	if (len == 0)
		return 0;
	if (memcmp(in, signature, len < sizeof(signature) ? len : sizeof(signature)) == 0)
		n = len < sizeof(signature) ? 0 : read_v2(in, len, client, error);
	else
		n = read_v1(in, len, client, error);
	if (n <= 0)
		*client = (struct proxy_client){ 0 };
	return n;
}
