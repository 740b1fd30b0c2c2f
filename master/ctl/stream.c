/*
 * A stream of JSON lines. See stream.h.
 */
#include "master/ctl/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MS 5000
#define LINE_MAX_BYTES (1u << 30)

int line_stream_open(struct line_stream *s, const struct http_place *place, const char *target, char *error, size_t room)
{
	int status;

	s->at = s->end = 0;
	if (http_open(&s->http, place) < 0)
		return -1;
	status = http_ask(&s->http, target, "Accept: application/x-ndjson\r\n", NULL, 0, ANSWER_MS);
	if (status == 200)
		return 0;
	if (status > 0 && http_take_all(&s->http, error, room, ANSWER_MS) < 0)
		*error = '\0';
	http_close(&s->http);
	return status;
}

void line_stream_close(struct line_stream *s)
{
	http_close(&s->http);
	json_fini(&s->json);
	free(s->bytes);
	s->bytes = NULL;
	s->at = s->end = s->room = 0;
}

/* More of the body, behind what is there. */
static int more(struct line_stream *s, unsigned wait_ms)
{
	ssize_t n;

	if (s->at > 0) {
		memmove(s->bytes, s->bytes + s->at, s->end - s->at);
		s->end -= s->at;
		s->at = 0;
	}
	if (s->end == s->room) {
		size_t room = s->room ? 2 * s->room : 65536;
		char *bytes = room <= LINE_MAX_BYTES ? realloc(s->bytes, room) : NULL;

		if (!bytes) {
			errno = ENOMEM;
			return -1;
		}
		s->bytes = bytes;
		s->room = room;
	}
	n = http_take(&s->http, s->bytes + s->end, s->room - s->end, wait_ms);
	if (n == 0)
		errno = ENODATA;
	if (n <= 0)
		return -1;
	s->end += (size_t)n;
	return 0;
}

static int read_line(struct line_stream *s, struct stream_line *line)
{
	const char *error;

	if (json_read_object(&s->json, line->text, line->len, &error) < 0) {
		errno = EBADMSG;
		return -1;
	}
	line->kind = STREAM_MESSAGE;
	line->id = line->topic = line->data = line->told = NULL;
	for (unsigned i = 0; i < s->json.count; i++) {
		const struct json_member *m = &s->json.members[i];

		if (json_name_is(m, "id") || json_name_is(m, "position"))
			line->id = m;
		else if (json_name_is(m, "topic"))
			line->topic = m;
		else if (json_name_is(m, "data"))
			line->data = m;
		else if (json_name_is(m, "ok"))
			line->kind = STREAM_START;
		else if (json_name_is(m, "recovered") || json_name_is(m, "missed") || json_name_is(m, "kicked"))
			line->told = m;
	}
	if (!line->id && line->told)		/* (What has no id is no message, whatever a publisher calls its members.) */
		line->kind = json_name_is(line->told, "kicked") ? STREAM_KICKED : STREAM_MISSED;
	return 0;
}

int line_stream_next(struct line_stream *s, struct stream_line *line, unsigned wait_ms)
{
	size_t seen = 0;
	char *lf;

	while (!(lf = s->end > s->at + seen ? memchr(s->bytes + s->at + seen, '\n', s->end - s->at - seen) : NULL)) {
		while (s->at < s->end && s->bytes[s->at] == ' ')	/* heartbeats */
			s->at++;
		seen = s->end - s->at;
		if (more(s, wait_ms) < 0)
			return -1;
	}
	while (s->bytes[s->at] == ' ')
		s->at++;
	line->text = s->bytes + s->at;
	line->len = (size_t)(lf - line->text);
	s->at = (size_t)(lf + 1 - s->bytes);
	return read_line(s, line);
}
