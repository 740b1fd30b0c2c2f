/*
 * What JetStream says, read. See jetstream.h.
 */
#include "master/bridge/jetstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/json_walk.h"

struct message_range jetstream_answer(natsMsg *msg)
{
	return (struct message_range){ natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg) };
}

/* Blanks may stand between all parts. */
static bool next_member(struct message_range *text, struct message_member *m)
{
	const char *end, *p, *after;

	if (text->p == NULL)
		return false;
	end = text->p + text->len;
	p = json_walk_space(text->p, end);
	if (p == end || *p != '"' || (after = json_walk_scalar(p, end)) == NULL)
		return false;
	m->name = (struct message_range){ p, (size_t)(after - p) };
	p = json_walk_space(after, end);
	if (p == end || *p != ':' || (p = json_walk_space(p + 1, end)) == end)
		return false;
	after = json_walk_value(p, end);
	if (after == NULL || after == p)
		return false;
	m->value = (struct message_range){ p, (size_t)(after - p) };
	p = json_walk_space(after, end);
	*text = p < end && *p == ',' ? (struct message_range){ p + 1, (size_t)(end - p) - 1 } : (struct message_range){ NULL, 0 };
	return true;
}

bool jetstream_member(struct message_range object, const char *name, struct message_range *value)
{
	struct message_range text;
	struct message_member m;

	if (object.len < 2 || *object.p != '{')
		return false;
	text = (struct message_range){ object.p + 1, object.len - 1 };
	while (next_member(&text, &m))
		if (json_string_is(m.name.p, m.name.len, name)) {
			*value = m.value;
			return true;
		}
	return false;
}

uint64_t jetstream_number(struct message_range object, const char *name)
{
	struct message_range value;
	uint64_t n = 0;

	if (!jetstream_member(object, name, &value))
		return 0;
	for (size_t i = 0; i < value.len && value.p[i] >= '0' && value.p[i] <= '9'; i++)
		n = 10 * n + (uint64_t)(value.p[i] - '0');
	return n;
}

uint64_t jetstream_time(struct message_range value)
{
	char text[64] = "", *rest;
	struct tm tm = { 0 };
	double part = 0;

	if (value.len < 3 || value.len > sizeof(text))
		return 0;
	memcpy(text, value.p + 1, value.len - 2);
	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (rest == NULL)
		return 0;
	if (*rest == '.')
		part = strtod(rest, NULL);
	return (uint64_t)timegm(&tm) * 1000 + (uint64_t)(part * 1000);
}

uint64_t jetstream_error(struct message_range answer, char *why, size_t size)
{
	struct message_range error, text = { "\"\"", 2 };

	if (!jetstream_member(answer, "error", &error))
		return 0;
	jetstream_member(error, "description", &text);
	snprintf(why, size, "%.*s", text.len > 2 ? (int)(text.len - 2) : 0, text.p + 1);
	return jetstream_number(error, "code");
}

/*
 * The numbers of a message stand in the subject for its acknowledgement:
 *   $JS.ACK.STREAM.CONSUMER.DELIVERIES.SEQ.ORDINAL.TIME.PENDING, or $JS.ACK.DOMAIN.ACCOUNT.STREAM. ... .PENDING.TOKEN
 */
bool jetstream_numbers(const char *subject, uint64_t *seq, uint64_t *ordinal, uint64_t *pending)
{
	const char *token[13];
	unsigned n = 0, first;

	if (subject == NULL || strncmp(subject, "$JS.ACK.", 8) != 0)
		return false;
	for (; subject && n < 13; subject = strchr(subject, '.'), subject += subject != NULL)
		token[n++] = subject;
	if (n != 9 && n < 11)
		return false;
	first = n == 9 ? 5 : 7;
	*seq = strtoull(token[first], NULL, 10);
	*ordinal = strtoull(token[first + 1], NULL, 10);
	*pending = strtoull(token[first + 3], NULL, 10);
	return *seq > 0 && *ordinal > 0;
}
