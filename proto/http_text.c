/*
 * The small texts that HTTP is made of: fields, lists, paths, queries, percent-encoding.
 */
#include "proto/http_text.h"

#include <string.h>

#include "proto/hex.h"
#include "proto/utf8.h"

bool http_is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Each of these takes what it is named for off the front; false: it is not there. */

static void skip_blanks(struct http_text *text)
{
	while (text->len > 0 && is_blank(text->p[0])) {
		text->p++;
		text->len--;
	}
}

static bool skip_byte(struct http_text *text, char c)
{
	if (text->len == 0 || text->p[0] != c)
		return false;
	text->p++;
	text->len--;
	return true;
}

static bool skip_token(struct http_text *text)
{
	size_t i = 0;

	while (i < text->len && http_is_token(text->p[i]))
		i++;
	text->p += i;
	text->len -= i;
	return i > 0;
}

/* Behind the opening quote, up to the closing one. */
static bool skip_quoted(struct http_text *text)
{
	while (text->len > 0) {
		if (skip_byte(text, '"'))
			return true;
		if (skip_byte(text, '\\') && text->len == 0)
			return false;
		if (((uint8_t)text->p[0] < 0x20 && text->p[0] != '\t') || text->p[0] == 0x7f)
			return false;
		skip_byte(text, text->p[0]);
	}
	return false;
}

bool http_is_chunk_extension(struct http_text text)
{
	if (text.len > 0 && is_blank(text.p[text.len - 1]))
		return false;
	while (text.len > 0) {
		skip_blanks(&text);
		if (!skip_byte(&text, ';'))
			return false;
		skip_blanks(&text);
		if (!skip_token(&text))
			return false;
		skip_blanks(&text);
		if (!skip_byte(&text, '='))
			continue;
		skip_blanks(&text);
		if (skip_byte(&text, '"') ? !skip_quoted(&text) : !skip_token(&text))
			return false;
	}
	return true;
}

struct http_text http_trim(struct http_text text)
{
	while (text.len > 0 && is_blank(text.p[0])) {
		text.p++;
		text.len--;
	}
	while (text.len > 0 && is_blank(text.p[text.len - 1]))
		text.len--;
	return text;
}

const char *http_split_field(struct http_text line, struct http_text *name, struct http_text *value)
{
	size_t i = 0;

	while (i < line.len && http_is_token(line.p[i]))
		i++;
	if (i == 0 && line.len > 0 && is_blank(line.p[0]))
		return "a header field is folded";
	if (i == 0 || i == line.len || line.p[i] != ':')
		return "a header field is malformed";
	*name = (struct http_text){ line.p, i };
	for (size_t j = i + 1; j < line.len; j++)
		if (((uint8_t)line.p[j] < 0x20 && line.p[j] != '\t') || line.p[j] == 0x7f)
			return "a header field has a control character in it";
	*value = http_trim((struct http_text){ line.p + i + 1, line.len - i - 1 });
	return NULL;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool http_is(struct http_text text, const char *value)
{
	for (size_t i = 0; i < text.len; i++)
		if (value[i] == '\0' || lower(text.p[i]) != lower(value[i]))
			return false;
	return text.p != NULL && value[text.len] == '\0';
}

bool http_list_next(struct http_text *list, char by, struct http_text *item)
{
	const char *at;

	if (list->p == NULL)
		return false;
	*item = *list;
	at = memchr(list->p, by, list->len);
	if (at == NULL) {
		list->p = NULL;
		return true;
	}
	item->len = (size_t)(at - list->p);
	*list = (struct http_text){ at + 1, list->len - item->len - 1 };
	return true;
}

bool http_has_token(struct http_text list, const char *token)
{
	struct http_text item;

	while (http_list_next(&list, ',', &item))
		if (http_is(http_trim(item), token))
			return true;
	return false;
}

bool http_media_type_is(struct http_text type, const char *value)
{
	struct http_text name;

	return http_list_next(&type, ';', &name) && http_is(http_trim(name), value);
}

bool http_path(struct http_text path, struct http_path *out)
{
	size_t from = 1;

	out->count = 0;
	if (path.len == 0 || path.p[0] != '/')
		return false;
	for (size_t i = 1; i <= path.len; i++) {
		if (i < path.len && path.p[i] != '/')
			continue;
		if (out->count == HTTP_SEGMENTS_MAX)
			return false;
		out->segment[out->count++] = (struct http_text){ path.p + from, i - from };
		from = i + 1;
	}
	return true;
}

bool http_query_next(struct http_text *query, struct http_text *name, struct http_text *value)
{
	struct http_text item;
	const char *equals;

	do {
		if (!http_list_next(query, '&', &item))
			return false;
	} while (item.len == 0);
	equals = memchr(item.p, '=', item.len);
	*name = item;
	*value = (struct http_text){ item.p + item.len, 0 };
	if (equals != NULL) {
		name->len = (size_t)(equals - item.p);
		*value = (struct http_text){ equals + 1, item.len - name->len - 1 };
	}
	return true;
}

/* NULL, or why the decoded text is refused. */
static const char *check_text(const char *text, size_t len)
{
	const uint8_t *p = (const uint8_t *)text, *end = p + len;

	while (p < end) {
		size_t n = *p < 0x80 ? 1 : utf8_length(p, end);

		if (n == 0)
			return "the address is not UTF-8";
		if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] <= 0x9f))
			return "the address has a control character in it";
		p += n;
	}
	return NULL;
}

int http_decode(struct http_text raw, bool plus, char *dst, size_t max, const char **error)
{
	size_t len = 0;

	for (size_t i = 0; i < raw.len; i++) {
		char c = raw.p[i];

		if (c == '+' && plus)
			c = ' ';
		if (c == '%') {
			int high = raw.len - i > 2 ? hex_digit(raw.p[i + 1]) : -1, low = high >= 0 ? hex_digit(raw.p[i + 2]) : -1;

			if (low < 0) {
				*error = "the address has a % without two hex digits behind it";
				return -1;
			}
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (len == max) {
			*error = "a part of the address is too long";
			return -1;
		}
		dst[len++] = c;
	}
	*error = check_text(dst, len);
	return *error == NULL ? (int)len : -1;
}

void http_bad(struct http_request *req, unsigned status, const char *error)
{
	*req = (struct http_request){ .kind = HTTP_BAD, .status = status, .error = error };
}
