/*
 * What is published is passed on to every subscriber as it came: nothing may leave here that a strict parser at the other end refuses, nor a
 * raw control character, which could be taken for the end of a frame.
 */
#include "proto/json_check.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "proto/json_walk.h"
#include "proto/utf8.h"

static bool is_plain(uint8_t byte)
{
	return byte >= 0x20 && byte < 0x80 && byte != '\\';
}

/* Whether each of the eight bytes at p stands for itself. (No: a byte behind one that does not may be blamed as well, by the borrow.) */
static bool all_plain(const char *p)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return ((word | (word - ones * 0x20) | ((word ^ ones * '\\') - ones)) & ones * 0x80) == 0;
}

static const char *escape_error(const char *p, const char *end)
{
	if (end - p < 2)
		return "bad JSON: a string without an end";
	if (p[1] != 'u')
		return "bad JSON: an unknown escape in a string";
	if (json_code_unit(p + 2, end) < 0)
		return "bad JSON: \\u without four hex digits";
	return "bad JSON: half of a surrogate pair";
}

const char *json_check_string(const char *p, const char *end, const char **wrong)
{
	for (;;) {
		size_t n;

		while (end - p >= 8 && all_plain(p))
			p += 8;
		while (p < end && is_plain((uint8_t)*p))
			p++;
		if (p == end)
			return NULL;
		*wrong = p;
		if (*p == '\\') {
			char out[4];

			if (json_escape(p, end, out, &n) == 0)
				return escape_error(p, end);
		} else if ((uint8_t)*p < 0x20) {
			return "bad JSON: a control character in a string";
		} else {
			n = utf8_length((const uint8_t *)p, (const uint8_t *)end);
			if (n == 0)
				return "bad JSON: a string is not UTF-8";
		}
		p += n;
	}
}

static bool take(const char **p, const char *end, char byte)
{
	if (*p == end || **p != byte)
		return false;
	(*p)++;
	return true;
}

/* At least one digit. */
static bool take_digits(const char **p, const char *end)
{
	const char *start = *p;

	while (*p < end && **p >= '0' && **p <= '9')
		(*p)++;
	return *p > start;
}

static const char *check_number(const char **at, const char *end)
{
	const char *p = *at;

	take(&p, end, '-');
	if (take(&p, end, '0')) {
		if (take_digits(&p, end))
			return "bad JSON: a number starts with 0";
	} else if (!take_digits(&p, end)) {
		return "bad JSON: a number without digits";
	}
	if (take(&p, end, '.') && !take_digits(&p, end))
		return "bad JSON: a number without digits behind its point";
	if (take(&p, end, 'e') || take(&p, end, 'E')) {
		if (!take(&p, end, '+'))
			take(&p, end, '-');
		if (!take_digits(&p, end))
			return "bad JSON: a number without digits in its exponent";
	}
	*at = p;
	return NULL;
}

static const char *check_word(const char **p, const char *end, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(end - *p) < len || memcmp(*p, word, len) != 0)
		return "bad JSON: a value was expected";
	*p += len;
	return NULL;
}

const char *json_check_scalar(const char **p, const char *end)
{
	switch (*p < end ? **p : '\0') {
	case 't': return check_word(p, end, "true");
	case 'f': return check_word(p, end, "false");
	case 'n': return check_word(p, end, "null");
	case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9': return check_number(p, end);
	default: return "bad JSON: a value was expected";
	}
}
