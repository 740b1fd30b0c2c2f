/*
 * A scanner for text that is known to be good JSON: it looks for quotes and brackets and passes over the rest. Every step is bounded by the
 * end of the text, never by what a byte said a moment ago.
 */
#include "proto/message_view.h"

#include <string.h>

#include "proto/utf8.h"

/* Behind the string at p, or NULL. */
static const char *skip_string(const char *p, const char *end)
{
	const char *first = p + 1, *quote;

	for (p = first; (quote = memchr(p, '"', (size_t)(end - p))) != NULL; p = quote + 1) {
		const char *slash = quote;

		while (slash > first && slash[-1] == '\\')
			slash--;
		if (((quote - slash) & 1) == 0)
			return quote + 1;
	}
	return NULL;
}

/* Behind the array or object at p, or NULL. */
static const char *skip_nested(const char *p, const char *end)
{
	size_t depth = 0;

	while (p < end) {
		switch (*p) {
		case '"':
			p = skip_string(p, end);
			if (p == NULL)
				return NULL;
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (depth <= 1)
				return p + 1;
			depth--;
			break;
		}
		p++;
	}
	return NULL;
}

static const char *skip_value(const char *p, const char *end)
{
	char first = *p;

	if (first == '"')
		return skip_string(p, end);
	if (first == '{' || first == '[')
		return skip_nested(p, end);
	while (p < end && *p != ',' && *p != '}')
		p++;
	return p;
}

bool message_member_next(struct message_range *text, struct message_member *member)
{
	const char *p = text->p, *end, *after;

	if (p == NULL || text->len < 2 || *p != '"')
		return false;
	end = p + text->len;
	after = skip_string(p, end);
	if (after == NULL || end - after < 2 || *after != ':')
		return false;
	member->name = (struct message_range){ p, (size_t)(after - p) };
	p = after + 1;
	after = skip_value(p, end);
	if (after == NULL || after == end)
		return false;
	member->value = (struct message_range){ p, (size_t)(after - p) };
	if (*after == ',')
		*text = (struct message_range){ after + 1, (size_t)(end - after) - 1 };
	else if (after + 1 == end)
		*text = (struct message_range){ NULL, 0 };	/* the } */
	else
		return false;
	return true;
}

static int hex4(const char *p, const char *end)
{
	int value = 0;

	if (end - p < 4)
		return -1;
	for (unsigned i = 0; i < 4; i++) {
		char c = p[i];
		int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;

		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

/* \uXXXX, and a second one when the first is a high surrogate. */
static size_t unicode(const char *p, const char *end, char out[4], size_t *taken)
{
	int first = hex4(p + 2, end), second;

	*taken = 6;
	if (first < 0 || (first >= 0xdc00 && first <= 0xdfff))
		return 0;
	if (first < 0xd800 || first > 0xdfff)
		return utf8_put((uint8_t *)out, (uint32_t)first);
	if (end - p < 12 || p[6] != '\\' || p[7] != 'u')
		return 0;
	second = hex4(p + 8, end);
	if (second < 0xdc00 || second > 0xdfff)
		return 0;
	*taken = 12;
	return utf8_put((uint8_t *)out, 0x10000 + ((uint32_t)(first - 0xd800) << 10) + (uint32_t)(second - 0xdc00));
}

size_t message_escape(const char *p, const char *end, char out[4], size_t *taken)
{
	char c = end - p < 2 ? '\0' : p[1];

	*taken = 2;
	switch (c) {
	case 'b': *out = '\b'; return 1;
	case 'f': *out = '\f'; return 1;
	case 'n': *out = '\n'; return 1;
	case 'r': *out = '\r'; return 1;
	case 't': *out = '\t'; return 1;
	case '"': case '\\': case '/': *out = c; return 1;
	case 'u': return unicode(p, end, out, taken);
	default: return 0;
	}
}

void message_put_string(struct sink *s, struct message_range string, void (*put)(struct sink *s, const void *bytes, size_t len))
{
	const char *p = string.p + 1, *end = string.p + string.len - 1;

	while (p < end) {
		const char *slash = memchr(p, '\\', (size_t)(end - p));
		char out[4];
		size_t n, taken;

		if (slash != p)
			put(s, p, (size_t)((slash ? slash : end) - p));
		if (slash == NULL)
			return;
		n = message_escape(slash, end, out, &taken);
		if (n == 0)
			return;
		put(s, out, n);
		p = slash + taken;
	}
}

/* Of a name without escapes, and without its quotes. */
static enum message_name name_of(const char *p, size_t len)
{
#define IS(text) (memcmp(p, text, sizeof(text) - 1) == 0)
	switch (len) {
	case 2: return IS("to") ? MESSAGE_NAME_TO : IS("id") || IS("ok") ? MESSAGE_NAME_RESERVED : MESSAGE_NAME_OTHER;
	case 3: return IS("ref") ? MESSAGE_NAME_RESERVED : MESSAGE_NAME_OTHER;
	case 4: return IS("data") ? MESSAGE_NAME_DATA : IS("user") ? MESSAGE_NAME_RESERVED : MESSAGE_NAME_OTHER;
	case 5: return IS("topic") ? MESSAGE_NAME_TOPIC : IS("event") ? MESSAGE_NAME_EVENT : IS("janus") ? MESSAGE_NAME_RESERVED : MESSAGE_NAME_OTHER;
	case 9: return IS("broadcast") ? MESSAGE_NAME_BROADCAST : IS("timestamp") ? MESSAGE_NAME_RESERVED : MESSAGE_NAME_OTHER;
	default: return MESSAGE_NAME_OTHER;
	}
#undef IS
}

enum message_name message_name_of(struct message_range name)
{
	size_t len = name.len - 2;
	char text[16];
	struct sink s = { .dst = text, .room = sizeof(text) };

	/* An escape that stands for a letter has 6 bytes. */
	if (len < 7 || memchr(name.p + 1, '\\', len) == NULL)
		return name_of(name.p + 1, len);
	message_put_string(&s, name, sink_bytes);
	return name_of(text, sink_end(&s));
}

/* Sets view->text and, for a binary record, view->bytes. */
static bool split(const char *record, size_t len, struct message_view *view)
{
	const uint8_t *p = (const uint8_t *)record;
	size_t n;

	*view = (struct message_view){ .text = { record, len } };
	if (len == 0 || p[0] != 0)
		return len > 0;
	if (len < MESSAGE_BINARY_EXTRA)
		return false;
	n = (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	if (n > len - MESSAGE_BINARY_EXTRA)
		return false;
	view->text = (struct message_range){ record + MESSAGE_BINARY_EXTRA, n };
	view->bytes = (struct message_range){ record + MESSAGE_BINARY_EXTRA + n, len - MESSAGE_BINARY_EXTRA - n };
	return true;
}

bool message_view_parse(const char *record, size_t len, struct message_view *view)
{
	enum message_to to = MESSAGE_TO_UNKNOWN;
	struct message_range left;
	struct message_member m;
	unsigned own = 0;	/* members that the server alone may put there */

	if (!split(record, len, view))
		return false;
	for (left = view->text; message_member_next(&left, &m); ) {
		enum message_name name = message_name_of(m.name);

		switch (name) {
		case MESSAGE_NAME_OTHER:
			continue;
		case MESSAGE_NAME_DATA:
			view->data = m.value;
			continue;
		case MESSAGE_NAME_EVENT:
			view->event = m.value;
			continue;
		case MESSAGE_NAME_TOPIC:
			view->topic = m.value;
			to = MESSAGE_TO_TOPIC;
			break;
		case MESSAGE_NAME_TO:
			view->to = m.name;
			to = MESSAGE_TO_USER;
			break;
		case MESSAGE_NAME_BROADCAST:
			to = MESSAGE_TO_ALL;
			break;
		case MESSAGE_NAME_RESERVED:
			break;
		}
		own++;
	}
	view->goes_to = own == 1 ? to : MESSAGE_TO_UNKNOWN;
	return left.p == NULL;
}

void message_binary_head(char dst[MESSAGE_BINARY_EXTRA], size_t len)
{
	dst[0] = 0;
	dst[1] = (char)(len >> 16);
	dst[2] = (char)(len >> 8 & 255);
	dst[3] = (char)(len & 255);
}
