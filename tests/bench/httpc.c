#include "tests/bench/httpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/hex.h"
#include "tests/bench/wire.h"

#define CHUNK_DIGITS 8u

size_t httpc_open(char *dst)
{
	return (size_t)sprintf(dst, "GET /sub/");
}

size_t httpc_topic(char *dst, const char *topic, unsigned number)
{
	return (size_t)sprintf(dst, "%s%s", number ? "," : "", topic);
}

size_t httpc_end(char *dst, const char *fields)
{
	return (size_t)sprintf(dst, " HTTP/1.1\r\nHost: localhost\r\n%s\r\n", fields);
}

const char *httpc_query(char dst[HTTPC_QUERY_MAX], const char *position, const char *token)
{
	snprintf(dst, HTTPC_QUERY_MAX, "%s%s%s%s", position ? "?since=" : "", position ? position : "", !token ? "" : position ? "&token=" : "?token=",
		 token ? token : "");
	return dst;
}

size_t httpc_stream(char *dst, unsigned stream, const char *query, const char *fields)
{
	size_t n = httpc_open(dst);
	char topic[WIRE_TOPIC_MAX];

	for (uint32_t i = 0; i < wire_topics(); i++) {
		wire_topic(topic, wire_topic_number(stream, i));
		n += httpc_topic(dst + n, topic, i);
	}
	n += (size_t)sprintf(dst + n, "%s", query);
	return n + httpc_end(dst + n, fields);
}

/* The head's length, 0 if it is not all there. */
static size_t head(const char *bytes, size_t n)
{
	const char *end = memmem(bytes, n, "\r\n\r\n", 4);

	return end ? (size_t)(end - bytes) + 4 : 0;
}

/* The value of a field, up to the head's end; NULL there is none. */
static const char *field(const char *bytes, size_t n, const char *name)
{
	const char *end = bytes + head(bytes, n), *line = bytes;
	size_t len = strlen(name);

	while ((line = memchr(line, '\n', (size_t)(end - line))) && (size_t)(end - ++line) > len + 1) {
		if (strncasecmp(line, name, len) || line[len] != ':')
			continue;
		for (line += len + 1; *line == ' '; line++)
			;
		return line;
	}
	return NULL;
}

size_t httpc_cut(const char *bytes, size_t n)
{
	size_t len = head(bytes, n);
	const char *length = len ? field(bytes, len, "Content-Length") : NULL;

	if (length)
		len += strtoul(length, NULL, 10);	/* ends at the CR at the latest */
	return len <= n ? len : 0;
}

unsigned httpc_status(const char *answer, size_t len)
{
	unsigned status = 0;

	if (len < 13 || memcmp(answer, "HTTP/1.1 ", 9) || answer[12] != ' ')
		return 0;
	for (int i = 9; i < 12; i++) {
		if (answer[i] < '0' || answer[i] > '9')
			return 0;
		status = status * 10 + (unsigned)(answer[i] - '0');
	}
	return status;
}

bool httpc_has(const char *answer, size_t len, const char *name, const char *value)
{
	const char *found = field(answer, len, name);

	return found && !strncasecmp(found, value, strlen(value));	/* stops at the CR at the latest */
}

const char *httpc_field(const char *answer, size_t len, const char *name, size_t *value_len)
{
	const char *found = field(answer, len, name), *end = found ? memchr(found, '\r', (size_t)(answer + len - found)) : NULL;

	*value_len = end ? (size_t)(end - found) : 0;
	return end ? found : NULL;
}

size_t httpc_chunk(const char *bytes, size_t n, const char **content, size_t *content_len)
{
	size_t at = 0, len = 0;

	*content = NULL;
	for (; at < n && hex_digit(bytes[at]) >= 0; at++)
		len = len << 4 | (size_t)hex_digit(bytes[at]);
	if (at > CHUNK_DIGITS || (at < n && (!at || bytes[at] != '\r')) || (at + 1 < n && bytes[at + 1] != '\n'))
		return n;
	at += 2;
	if (n < at + len + 2)
		return 0;
	if (memcmp(bytes + at + len, "\r\n", 2))
		return n;
	*content = bytes + at;
	*content_len = len;
	return at + len + 2;
}

size_t httpc_stream_cut(const char *bytes, size_t n)
{
	const char *content;
	size_t len;

	return *bytes == 'H' ? httpc_cut(bytes, n) : httpc_chunk(bytes, n, &content, &len);
}

bool httpc_is_stream(const char *answer, size_t len, const char *type)
{
	return httpc_status(answer, len) == 200 && httpc_has(answer, len, "Transfer-Encoding", "chunked\r") &&
	       httpc_has(answer, len, "Content-Type", type);
}
