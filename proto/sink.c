/*
 * Texts and numbers for encoders. Runs of bytes that need nothing done to them are copied at once.
 */
#include "proto/sink.h"

#include <endian.h>

#include <nettle/base16.h>
#include <nettle/base64.h>

#include "proto/utf8.h"

void sink_text(struct sink *s, const char *text)
{
	sink_bytes(s, text, strlen(text));
}

void sink_number(struct sink *s, uint64_t n)
{
	char digits[20], *p = digits + sizeof(digits);

	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n != 0);
	sink_bytes(s, p, (size_t)(digits + sizeof(digits) - p));
}

void sink_hex(struct sink *s, uint64_t n)
{
	uint64_t bytes = htobe64(n);
	char digits[BASE16_ENCODE_LENGTH(sizeof(bytes))];
	size_t zeros = 0;

	base16_encode_update(digits, sizeof(bytes), (const uint8_t *)&bytes);
	while (zeros < sizeof(digits) - 1 && digits[zeros] == '0')
		zeros++;
	sink_bytes(s, digits + zeros, sizeof(digits) - zeros);
}

void sink_digits(struct sink *s, unsigned n, unsigned count)
{
	char digits[10];

	for (unsigned i = count; i > 0; i--) {
		digits[i - 1] = (char)('0' + n % 10);
		n /= 10;
	}
	sink_bytes(s, digits, count);
}

void sink_base64(struct sink *s, const void *bytes, size_t len)
{
	char *place = len > 0 ? sink_place(s, BASE64_ENCODE_RAW_LENGTH(len)) : NULL;

	if (place != NULL)
		base64_encode_raw(place, len, bytes);
}

static void json_control(struct sink *s, uint8_t c)
{
	char hex[BASE16_ENCODE_LENGTH(1)];

	base16_encode_single(hex, c);
	sink_literal(s, "\\u00");
	sink_bytes(s, hex, sizeof(hex));
}

void sink_json(struct sink *s, const char *text, size_t len)
{
	const uint8_t *p = (const uint8_t *)text, *end = p + len, *run = p;

	while (p < end) {
		size_t n = *p < 0x80 ? 1 : utf8_length(p, end);

		if (n > 0 && *p >= 0x20 && *p != '"' && *p != '\\') {
			p += n;
			continue;
		}
		sink_bytes(s, run, (size_t)(p - run));
		if (n == 0)
			sink_byte(s, '?');
		else if (*p < 0x20)
			json_control(s, *p);
		else
			sink_bytes(s, (const char[2]){ '\\', (char)*p }, 2);
		run = ++p;
	}
	sink_bytes(s, run, (size_t)(p - run));
}

void sink_html(struct sink *s, const char *text, size_t len)
{
	const char *p = text, *end = text + len, *run = p;

	for (; p < end; p++) {
		const char *entity = NULL;

		switch (*p) {
		case '&': entity = "&amp;"; break;
		case '<': entity = "&lt;"; break;
		case '>': entity = "&gt;"; break;
		case '"': entity = "&quot;"; break;
		case '\'': entity = "&#39;"; break;
		default: continue;
		}
		sink_bytes(s, run, (size_t)(p - run));
		sink_text(s, entity);
		run = p + 1;
	}
	sink_bytes(s, run, (size_t)(p - run));
}

static void blank(char *text, size_t len, char byte)
{
	char *end = text + len;

	while ((text = memchr(text, byte, (size_t)(end - text))) != NULL)
		*text++ = ' ';
}

void sink_one_line(struct sink *s, const char *text, size_t len)
{
	size_t from = s->len;

	sink_bytes(s, text, len);
	if (len > 0 && s->len <= s->room) {
		blank(s->dst + from, len, '\n');
		blank(s->dst + from, len, '\r');
	}
}
