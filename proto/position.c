/*
 * Positions as text. See position.h.
 */
#include "proto/position.h"

#include "proto/token.h"

/* Digits from the end of a buffer on. Returns how many there are. */
static size_t digits(char *end, uint64_t n, unsigned base)
{
	size_t len = 0;

	do {
		unsigned digit = (unsigned)(n % base);

		*--end = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
		len++;
	} while (n /= base);
	return len;
}

struct position_epoch position_epoch(uint64_t milliseconds)
{
	char text[POSITION_EPOCH_MAX] = { [POSITION_EPOCH_MAX - 1] = '-' };
	size_t len = digits(text + POSITION_EPOCH_MAX - 1, milliseconds, 36) + 1;
	struct position_epoch epoch = { .len = (uint8_t)len };

	memcpy(epoch.text, text + POSITION_EPOCH_MAX - len, len);
	return epoch;
}

void position_put(struct sink *s, const struct position_epoch *epoch, uint64_t seq)
{
	sink_bytes(s, epoch->text, epoch->len);
	sink_number(s, seq);
}

size_t position_write(char *dst, const struct position_epoch *epoch, uint64_t seq)
{
	struct sink s = { .dst = dst, .room = POSITION_MAX };

	position_put(&s, epoch, seq);
	return s.len;
}

void position_put_at(struct sink *s, struct position at)
{
	struct position_epoch epoch = position_epoch(at.epoch);

	position_put(s, &epoch, at.seq);
}

static unsigned digit_of(char c)
{
	return c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'z' ? (unsigned)(c - 'a') + 10 : 36;
}

/* All of the text as a number, without zeros in front. */
static bool number(const char *text, size_t len, unsigned base, uint64_t *n)
{
	if (len == 0 || (len > 1 && *text == '0'))
		return false;
	*n = 0;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = digit_of(text[i]);

		if (digit >= base || __builtin_mul_overflow(*n, base, n) || __builtin_add_overflow(*n, digit, n))
			return false;
	}
	return true;
}

bool position_read(const char *text, size_t len, struct position *position)
{
	const char *dash = len > 0 ? memchr(text, '-', len) : NULL;

	/* (No record has the last number: what follows it would have none.) */
	return dash && number(text, (size_t)(dash - text), 36, &position->epoch) &&
	       number(dash + 1, len - (size_t)(dash + 1 - text), 10, &position->seq) && position->seq != UINT64_MAX;
}

void position_put_id(struct sink *s, const struct position_epoch *epoch, uint64_t seq)
{
	if (seq == 0) {
		sink_literal(s, "null");
		return;
	}
	sink_byte(s, '"');
	position_put(s, epoch, seq);
	sink_byte(s, '"');
}

void position_put_start(struct sink *s, const struct position_start *start)
{
	if (start->stream.epoch)
		position_put_at(s, start->stream);
	else
		position_put(s, start->epoch, start->seq);
}

static void put_token(struct sink *s, const uint8_t *token)
{
	char text[TOKEN_TEXT];

	token_write(text, token);
	sink_bytes(s, text, sizeof(text));
}

void position_put_members(struct sink *s, const struct position_start *start)
{
	sink_literal(s, "\"position\":\"");
	position_put_start(s, start);
	sink_byte(s, '"');
	if (start->resumed)
		sink_text(s, start->recovered ? ",\"recovered\":true" : ",\"recovered\":false,\"missing\":");
	if (start->resumed && !start->recovered)
		sink_number(s, start->missing);
	if (!start->token)
		return;
	sink_literal(s, ",\"token\":\"");
	put_token(s, start->token);
	sink_byte(s, '"');
}

void position_put_token(struct sink *s, const struct position_start *start)
{
	if (!start->token)
		return;
	sink_literal(s, "event: token\ndata: ");
	put_token(s, start->token);
	sink_literal(s, "\n\n");
}

void position_put_fields(struct sink *s, const struct position_start *start)
{
	sink_literal(s, "Janus-Position: ");
	position_put_start(s, start);
	sink_literal(s, "\r\n");
	if (start->resumed) {
		sink_text(s, start->recovered ? "Janus-Recovered: true" : "Janus-Recovered: false; missing=");
		if (!start->recovered)
			sink_number(s, start->missing);
		sink_literal(s, "\r\n");
	}
	if (start->token) {
		sink_literal(s, "Janus-Token: ");
		put_token(s, start->token);
		sink_literal(s, "\r\n");
	}
}
