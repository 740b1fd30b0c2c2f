/*
 * janusctl subscribe: prints messages as they come, one a line. When the connection ends it connects again, and goes on behind the last message.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "master/ctl/stream.h"

#define AWAY_SECONDS 60		/* that a server may be away */
#define PAUSE_MS 200
#define LAST_MAX 1000
#define TOLD_MAX 64			/* bytes of a position, with its NUL */

enum { NOBODY_READS = 100 };	/* beside the statuses: standard output's reader is gone */

struct subscriber {
	struct http_place place;
	struct line_stream stream;
	char names[CTL_TOPICS_MAX * (3 * TOPIC_NAME_MAX + 8) + 32];
	char position[TOLD_MAX];	/* of the last message; "": none was had */
	unsigned long last;
	const char *since;
	unsigned silence_ms;		/* after which the connection is taken for dead */
	bool json, several;		/* several: topics stand before the data */
	char *text;			/* of one message, as it is printed */
	size_t room;
};

/* A text in one line, with nothing in it that a terminal would act on: control characters as JSON writes them, all else as it is. */
static void put_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\n' || c == '\r' || c == '\t')
			printf("\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
		else if (c < 0x20 || c == 0x7f)
			printf("\\u%04x", c);
		else if (c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] < 0xa0)
			printf("\\u%04x", (unsigned char)text[++i]);
		else
			putchar(c);
	}
}

/* A string's text; of other values the JSON. */
static void put_value(struct subscriber *s, const struct json_member *m)
{
	ssize_t n;

	if (m->type != JSON_STRING) {
		put_text(m->value, m->value_len);	/* (Escaped so it is the same JSON.) */
		return;
	}
	if (s->room < m->value_len) {
		char *text = realloc(s->text, m->value_len);

		if (!text)
			return;
		s->text = text;
		s->room = m->value_len;
	}
	n = json_read_string(m->value, m->value_len, s->text, m->value_len);
	put_text(s->text, n < 0 ? 0 : (size_t)n);
}

/* 0, or the status. */
static int print_line(struct subscriber *s, const struct stream_line *line)
{
	switch (line->kind) {
	case STREAM_START:
		if (line->told && line->told->type == JSON_FALSE)
			fprintf(stderr, "janusctl: some messages before these are gone: %.*s\n", (int)line->len, line->text);
		return 0;
	case STREAM_KICKED:
		fprintf(stderr, "janusctl: the server has ended this: %.*s\n", (int)line->told->value_len, line->told->value);
		return EXIT_REFUSED;
	case STREAM_MISSED:
		fprintf(stderr, "janusctl: messages were lost, as this reader is too slow: %.*s\n", (int)line->len, line->text);
		return 0;
	case STREAM_MESSAGE:
		break;
	}
	if (s->json) {
		fwrite(line->text, 1, line->len, stdout);
	} else {
		if (s->several && line->topic)
			put_value(s, line->topic);
		if (s->several)
			putchar('\t');
		if (line->data)
			put_value(s, line->data);
		else
			fwrite(line->text, 1, line->len, stdout);
	}
	putchar('\n');
	return 0;
}

/* Where to go on if the connection ends now. */
static void note_position(struct subscriber *s, const struct stream_line *line)
{
	if (line->id && line->id->type == JSON_STRING && line->id->value_len < TOLD_MAX)
		snprintf(s->position, sizeof(s->position), "%.*s", (int)line->id->value_len - 2, line->id->value + 1);
}

/* What was not written: nobody reads it any more, or it can't be written, which is an error. */
static int not_written(void)
{
	if (errno == EPIPE)
		return NOBODY_READS;
	fprintf(stderr, "janusctl: standard output: %s\n", strerror(errno));
	return EXIT_REFUSED;
}

/* Prints until the connection ends. 0: connect again; or the status, or NOBODY_READS. */
static int follow(struct subscriber *s)
{
	struct stream_line line;
	int rc;

	while (line_stream_next(&s->stream, &line, s->silence_ms) == 0) {
		note_position(s, &line);
		rc = print_line(s, &line);
		if (rc)
			return rc;
		/* (What has come together goes out together.) */
		if (ferror(stdout) || (!memchr(s->stream.bytes + s->stream.at, '\n', s->stream.end - s->stream.at) && fflush(stdout) != 0))
			return not_written();
	}
	return errno == EPIPE ? NOBODY_READS : 0;
}

static int connect_again(struct subscriber *s)
{
	char target[sizeof(s->names) + 128], error[1024] = "";
	int status;

	if (*s->position)
		snprintf(target, sizeof(target), "%s&since=%s", s->names, s->position);
	else if (s->since)
		snprintf(target, sizeof(target), "%s&since=%.100s", s->names, s->since);
	else if (s->last)
		snprintf(target, sizeof(target), "%s&last=%lu", s->names, s->last);
	else
		strcpy(target, s->names);
	status = line_stream_open(&s->stream, &s->place, target, error, sizeof(error));
	if (status == 0)
		return EXIT_DONE;
	if (status < 0 || status == 503)
		return EXIT_NO_SERVER;		/* perhaps later */
	fprintf(stderr, "janusctl: refused: %s", *error ? error : "no reason is told\n");
	return EXIT_REFUSED;
}

static int run(struct subscriber *s)
{
	time_t away = 0;

	for (;;) {
		int rc = connect_again(s);

		if (rc == EXIT_DONE) {
			rc = follow(s);
			http_close(&s->stream.http);
			away = time(NULL);
			if (rc)
				return rc == NOBODY_READS ? EXIT_DONE : rc;
		} else if (rc == EXIT_REFUSED) {
			return rc;
		}
		if (!away)
			away = time(NULL);
		if (time(NULL) - away > AWAY_SECONDS) {
			fprintf(stderr, "janusctl: the server has been away for %d s\n", AWAY_SECONDS);
			return EXIT_NO_SERVER;
		}
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE_MS * 1000000 }, NULL);
	}
}

static int read_names(struct subscriber *s, const struct ctl_arguments *args)
{
	char escaped[3 * TOPIC_NAME_MAX + 1];
	size_t len = 0;

	for (int i = 0; i < args->operands; i++) {
		const char *name = args->operand[i];

		if (!*name || strlen(name) > TOPIC_NAME_MAX) {
			fprintf(stderr, "janusctl: a topic has 1 to %d bytes\n", TOPIC_NAME_MAX);
			return EXIT_USAGE;
		}
		http_escape(escaped, name);
		len += (size_t)snprintf(s->names + len, sizeof(s->names) - len, "%s%s", i ? "&topic=" : "/sub?topic=", escaped);
		s->several |= i > 0 || strpbrk(name, "*>") != NULL;
	}
	return 0;
}

int ctl_subscribe(const struct ctl_arguments *args)
{
	static struct subscriber s;
	static struct config config;
	char error[CONFIG_ERROR_MAX];
	const char *since = args->option[CTL_SINCE];
	int rc = ctl_number(args, CTL_LAST, "last", LAST_MAX, 0, &s.last);

	if (rc == 0 && since && (args->option[CTL_LAST] || strspn(since, "0123456789abcdefghijklmnopqrstuvwxyz-") != strlen(since) || !*since)) {
		fprintf(stderr, "janusctl: --since ID, as messages have them, or --last N\n");
		rc = EXIT_USAGE;
	}
	if (rc == 0)
		rc = read_names(&s, args);
	if (rc == 0)
		rc = http_find(args, &s.place);
	if (rc)
		return rc;
	s.since = since;
	s.json = args->json;
	s.stream.http.fd = -1;
	s.stream.http.passes_on = true;
	s.silence_ms = config_read(&config, &args->source, error) == 0 ? (unsigned)(3 * config.settings.heartbeat + 10000) : 600000;
	rc = run(&s);
	line_stream_close(&s.stream);
	free(s.text);
	return rc;
}
