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
	struct message_range left;
	struct message_member m;

	if (!split(record, len, view))
		return false;
	for (left = view->text; message_member_next(&left, &m); ) {
		if (message_name_is(m.name, "data"))
			view->data = m.value;
		else if (message_name_is(m.name, "event"))
			view->event = m.value;
		else if (message_name_is(m.name, "topic"))
			view->topic = m.value;
		else if (message_name_is(m.name, "id"))
			view->id = m.value;
	}
	return left.p == NULL;
}

void message_binary_head(char dst[MESSAGE_BINARY_EXTRA], size_t len)
{
	dst[0] = 0;
	dst[1] = (char)(len >> 16);
	dst[2] = (char)(len >> 8 & 255);
	dst[3] = (char)(len & 255);
}
