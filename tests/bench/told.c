#include "tests/bench/told.h"

#include <stdio.h>
#include <string.h>

#include "tests/bench/httpc.h"
#include "tests/bench/wire.h"

/* Takes a text that must be there. */
static int take(const char **at, const char *end, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(end - *at) < len || memcmp(*at, text, len))
		return -1;
	*at += len;
	return 0;
}

size_t told_position(char dst[TOLD_POSITION_MAX], const struct stamp *at)
{
	char digits[16];
	size_t n = sizeof(digits);
	uint64_t epoch = at->epoch;

	do
		digits[--n] = "0123456789abcdefghijklmnopqrstuvwxyz"[epoch % 36];
	while (epoch /= 36);
	return (size_t)snprintf(dst, TOLD_POSITION_MAX, "%.*s-%llu", (int)(sizeof(digits) - n), digits + n, (unsigned long long)at->id);
}

/* As wire_id(), but the number may be 0. */
static int take_position(const char **at, const char *end, struct stamp *stamp)
{
	const char *dash = memchr(*at, '-', (size_t)(end - *at));
	char first[32];
	const char *s = first;
	size_t len = dash ? (size_t)(dash - *at) : 0;

	if (!dash || len + 3 > sizeof(first))
		return -1;
	memcpy(first, *at, len);
	memcpy(first + len, "-1", 2);	/* so that the part in front is read as an id's */
	if (wire_id(&s, first + len + 2, stamp))
		return -1;
	*at = dash + 1;
	return wire_number(at, end, WIRE_ID_MAX, &stamp->id);
}

int told_position_read(const char *text, size_t len, struct stamp *at)
{
	const char *s = text;

	return take_position(&s, text + len, at) || s != text + len ? -1 : 0;
}

static int take_missing(const char **at, const char *end, struct told *told)
{
	told->recovered = TOLD_NOT_RECOVERED;
	return wire_number(at, end, WIRE_ID_MAX, &told->missing);
}

int told_token(const char *text, size_t len, struct told *told)
{
	if (len != TOLD_TOKEN_MAX - 1)
		return -1;
	for (size_t i = 0; i < len; i++)
		if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'a' && text[i] <= 'f'))
			return -1;
	memcpy(told->token, text, len);
	told->token[len] = '\0';
	return 0;
}

/* The member `token`, if it comes next, up to the quote behind it. */
static int take_token(const char **at, const char *end, struct told *told)
{
	const char *quote;

	if (take(at, end, ",\"token\":\""))
		return 0;
	quote = memchr(*at, '"', (size_t)(end - *at));
	if (!quote || told_token(*at, (size_t)(quote - *at), told))
		return -1;
	*at = quote + 1;
	return 0;
}

/* Its token, if it has one, is its last member. */
static int greeting(const char *at, const char *end, struct told *told)
{
	const char *member = memmem(at, (size_t)(end - at), ",\"token\":\"", 10);

	if (!member)
		return 0;
	return take_token(&member, end, told) || take(&member, end, "}") || member != end ? -1 : 0;
}

static int start(const char *at, const char *end, struct told *told)
{
	if (take_position(&at, end, &told->at) || take(&at, end, "\""))
		return -1;
	if (!take(&at, end, ",\"recovered\":true"))
		told->recovered = TOLD_RECOVERED;
	else if (!take(&at, end, ",\"recovered\":false,\"missing\":") && take_missing(&at, end, told))
		return -1;
	return take_token(&at, end, told) || take(&at, end, "}") || at != end ? -1 : 0;
}

static int missed(const char *at, const char *end, struct told *told)
{
	uint64_t n;

	at = memchr(at, '"', (size_t)(end - at));	/* topics' names here have none */
	if (!at || take(&at, end, "\",\"messages\":") || wire_number(&at, end, WIRE_ID_MAX, &n) || take(&at, end, "}}") || at != end || !n)
		return -1;
	told->missed += n;
	return 0;
}

int told_object(const char *object, size_t len, struct told *told)
{
	const char *at = object, *end = object + len;

	if (len && end[-1] == '\n')
		end--;
	if (!take(&at, end, "{\"ok\":true,\"position\":\""))
		return start(at, end, told);
	if (!take(&at, end, "{\"missed\":{\"topic\":\""))
		return missed(at, end, told);
	if (!take(&at, end, "{\"janus\":"))
		return greeting(at, end, told);
	return 0;
}

int told_head(const char *answer, size_t len, struct told *told)
{
	size_t n;
	const char *value = httpc_field(answer, len, "Janus-Position", &n), *end;

	if (value && told_position_read(value, n, &told->at))
		return -1;
	value = httpc_field(answer, len, "Janus-Token", &n);
	if (value && told_token(value, n, told))
		return -1;
	value = httpc_field(answer, len, "Janus-Recovered", &n);
	if (!value)
		return 0;
	end = value + n;
	if (n == 4 && !take(&value, end, "true")) {
		told->recovered = TOLD_RECOVERED;
		return 0;
	}
	return take(&value, end, "false; missing=") || take_missing(&value, end, told) || value != end ? -1 : 0;
}
