/*
 * Texts and numbers for encoders. Runs of bytes that need nothing done to them are copied at once.
 */
#include "proto/sink.h"

#include <nettle/base16.h>
#include <nettle/base64.h>

#include "proto/utf8.h"

#define BLOCK 192u	/* bytes made into base64 at a time: three are four letters */

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
	char digits[16], *p = digits + sizeof(digits);

	do {
		*--p = "0123456789abcdef"[n & 15];
		n >>= 4;
	} while (n != 0);
	sink_bytes(s, p, (size_t)(digits + sizeof(digits) - p));
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
	const uint8_t *p = bytes;
	char block[BASE64_ENCODE_RAW_LENGTH(BLOCK)];

	while (len > 0) {
		size_t n = len < BLOCK ? len : BLOCK;

		base64_encode_raw(block, n, p);
		sink_bytes(s, block, BASE64_ENCODE_RAW_LENGTH(n));
		p += n;
		len -= n;
	}
}

static void json_control(struct sink *s, uint8_t c)
{
	char u[6] = { '\\', 'u', '0', '0' };

	base16_encode_single(u + 4, c);
	sink_bytes(s, u, sizeof(u));
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
