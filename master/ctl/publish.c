/*
 * janusctl publish and send. Each message has a key of its own, so one of which it is not known whether it was taken is sent again, and published once.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "master/ctl/http.h"
#include "proto/json.h"

#define ANSWER_MS 10000
#define TRIES 20		/* of connecting, and asking, with PAUSE_MS between */
#define PAUSE_MS 250
#define BODY_MAX (256u << 20)	/* bytes; the server's own limit is said by the server */

struct publishing {
	struct http_place place;
	struct http http;
	char target[3 * TOPIC_NAME_MAX + 32];
	uint64_t random, number;	/* of keys */
	char answer[4096];
};

static void pause_a_moment(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = PAUSE_MS * 1000000 }, NULL);
}

/* 0 and the answer; or the status, having said why. */
static int publish(struct publishing *p, const void *data, size_t len)
{
	char fields[256];
	int status = -1;

	snprintf(fields, sizeof(fields), "Content-Type: %s\r\nIdempotency-Key: janusctl-%016" PRIx64 "-%" PRIu64 "\r\n", len ? "text/plain" : "application/json",
		 p->random, ++p->number);
	for (int tries = 0; status < 0 && tries < TRIES; tries++) {
		if (tries > 0)
			pause_a_moment();
		if (p->http.fd < 0 && http_open(&p->http, &p->place) < 0)
			continue;
		status = http_ask(&p->http, p->target, fields, len ? data : "\"\"", len ? len : 2, ANSWER_MS);
		if (status >= 0 && http_take_all(&p->http, p->answer, sizeof(p->answer), ANSWER_MS) < 0)
			status = -1;
		if (status < 0) {
			int saved = errno;

			http_close(&p->http);
			errno = saved;
			if (errno == ETIMEDOUT)
				break;
		}
	}
	if (status == 200)
		return EXIT_DONE;
	if (status < 0)
		fprintf(stderr, "janusctl: the server has not answered: %s\n", strerror(errno));
	else
		fprintf(stderr, "janusctl: refused: %s", *p->answer ? p->answer : "no reason is told\n");
	return EXIT_REFUSED;
}

static void print_answer(const struct publishing *p, bool json)
{
	struct json scratch;
	const char *error;

	if (json) {
		printf("%s", p->answer);
		return;
	}
	json_init(&scratch);
	if (json_read_object(&scratch, p->answer, strlen(p->answer), &error) == 0)
		for (unsigned i = 0; i < scratch.count; i++) {
			const struct json_member *m = &scratch.members[i];

			if (json_name_is(m, "id"))
				printf(m->type == JSON_STRING ? "%.*s\n" : "nobody has it: there are no subscribers, and no history\n", (int)m->value_len - 2, m->value + 1);
		}
	json_fini(&scratch);
}

/* All of standard input. *len; NULL with errno. */
static char *read_all(size_t *len)
{
	size_t room = 65536;
	char *data = malloc(room), *more;

	*len = 0;
	while (data && !feof(stdin)) {
		*len += fread(data + *len, 1, room - *len, stdin);
		if (ferror(stdin) || *len > BODY_MAX) {
			errno = ferror(stdin) ? errno : EFBIG;
			free(data);
			return NULL;
		}
		if (*len < room)
			continue;
		more = realloc(data, room *= 2);
		if (!more)
			free(data);
		data = more;
	}
	return data;
}

static int publish_all(struct publishing *p, bool json)
{
	size_t len;
	char *data = read_all(&len);
	int rc;

	if (!data) {
		fprintf(stderr, "janusctl: standard input: %s\n", strerror(errno));
		return EXIT_REFUSED;
	}
	rc = publish(p, data, len);
	if (rc == 0)
		print_answer(p, json);
	free(data);
	return rc;
}

static int publish_lines(struct publishing *p, bool json)
{
	char *line = NULL;
	size_t room = 0;
	uint64_t count = 0;
	ssize_t n;
	int rc = EXIT_DONE;

	while (rc == 0 && (n = getline(&line, &room, stdin)) >= 0) {
		if (n > 0 && line[n - 1] == '\n')
			n--;
		rc = publish(p, line, (size_t)n);
		count += rc == 0;
		if (rc == 0 && json)
			print_answer(p, true);
	}
	free(line);
	if (!json)
		printf("%" PRIu64 " published\n", count);
	return rc;
}

static int run(const struct ctl_arguments *args, const char *path, size_t name_max)
{
	static struct publishing p;
	const char *name = args->operand[0], *data = args->operands > 1 ? args->operand[1] : "-";
	bool lines = args->option[CTL_LINES] != NULL;
	size_t len = strlen(name);
	char escaped[3 * TOPIC_NAME_MAX + 1];
	int rc;

	if (len == 0 || len > name_max || (lines && strcmp(data, "-") != 0)) {
		fprintf(stderr, "janusctl: %s\n", lines && len ? "--lines: the data comes from standard input" : "the name is empty, or too long");
		return EXIT_USAGE;
	}
	http_escape(escaped, name);
	snprintf(p.target, sizeof(p.target), "%s%s", path, escaped);
	p.http.fd = -1;
	if (getrandom(&p.random, sizeof(p.random), 0) != (ssize_t)sizeof(p.random))
		p.random = (uint64_t)time(NULL);
	rc = http_find(args, &p.place);
	if (rc)
		return rc;
	if (lines) {
		rc = publish_lines(&p, args->json);
	} else if (strcmp(data, "-") == 0) {
		rc = publish_all(&p, args->json);
	} else {
		rc = publish(&p, data, strlen(data));
		if (rc == 0)
			print_answer(&p, args->json);
	}
	http_close(&p.http);
	return rc;
}

int ctl_publish(const struct ctl_arguments *args)
{
	return run(args, "/pub?topic=", TOPIC_NAME_MAX);
}

int ctl_send(const struct ctl_arguments *args)
{
	return run(args, "/send?user=", TOPIC_NAME_MAX - 1);
}
