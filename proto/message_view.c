/*
 * Members of a text that is known to be good JSON, by json_walk.c. Every step is bounded by the end of the text, never by what a byte said a
 * moment ago.
 */
#include "proto/message_view.h"

#include <string.h>

#include "proto/json_walk.h"

bool message_member_next(struct message_range *text, struct message_member *member)
{
	const char *p = text->p, *end, *after;

	if (p == NULL || text->len < 2 || *p != '"')
		return false;
	end = p + text->len;
	after = json_walk_scalar(p, end);
	if (after == NULL || end - after < 2 || *after != ':')
		return false;
	member->name = (struct message_range){ p, (size_t)(after - p) };
	p = after + 1;
	after = json_walk_value(p, end);
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
	json_put_string(&s, name.p, name.len, sink_bytes);
	return name_of(text, sink_end(&s));
}

static uint64_t read_number(const char *p)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < 8; i++)
		n = n << 8 | (uint8_t)p[i];
	return n;
}

static void write_number(char *dst, uint64_t n)
{
	for (unsigned i = 8; i-- > 0; n >>= 8)
		dst[i] = (char)(n & 255);
}

struct position message_stream_id(const char *record, size_t len)
{
	struct position id = { 0 };

	if (len < MESSAGE_STREAM_EXTRA || *record != 1)
		return id;
	id = (struct position){ read_number(record + 1), read_number(record + 9) };
	return id.seq ? id : (struct position){ 0 };
}

/* Sets view->stream and view->text and, for a binary record, view->bytes. */
static bool split(const char *record, size_t len, struct message_view *view)
{
	const uint8_t *p;
	size_t n;

	*view = (struct message_view){ .text = { record, len } };
	if (len == 0 || message_is_plain(record))
		return len > 0;
	if (*record == 1) {
		view->stream = message_stream_id(record, len);
		if (!view->stream.epoch || len == MESSAGE_STREAM_EXTRA)
			return false;
		record += MESSAGE_STREAM_EXTRA;
		len -= MESSAGE_STREAM_EXTRA;
		view->text = (struct message_range){ record, len };
	}
	p = (const uint8_t *)record;
	if (p[0] != 0)
		return true;
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

void message_stream_head(char dst[MESSAGE_STREAM_EXTRA], uint64_t epoch, uint64_t seq)
{
	dst[0] = 1;
	write_number(dst + 1, epoch);
	write_number(dst + 9, seq);
}
