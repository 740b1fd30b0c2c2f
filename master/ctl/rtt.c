/*
 * janusctl rtt: is the server healthy end to end? Publishes to a topic of its own, which it subscribes, and measures until each message is back.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "master/ctl/stream.h"

#define COUNT 10
#define COUNT_MAX 100000
#define WAIT_MS 5000		/* for a message to come back */
#define LOST_MAX 3		/* behind which no more are tried */

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *p = a, *q = b;

	return *p < *q ? -1 : *p > *q;
}

/* Publishes message n, and waits until it is back. Microseconds, 0: it is lost. */
static uint64_t there_and_back(struct line_stream *s, struct http *h, const char *topic, unsigned long n)
{
	char target[128], body[32], answer[256];
	uint64_t since = now_us();
	struct stream_line line;

	snprintf(target, sizeof(target), "/pub?topic=%s", topic);
	snprintf(body, sizeof(body), "%lu", n);
	if (http_ask(h, target, "Content-Type: application/json\r\n", body, strlen(body), WAIT_MS) != 200)
		return 0;
	while (now_us() - since < WAIT_MS * 1000ull && line_stream_next(s, &line, WAIT_MS) == 0)
		if (line.kind == STREAM_MESSAGE && line.data && line.data->value_len == strlen(body) && memcmp(line.data->value, body, strlen(body)) == 0) {
			uint64_t took = now_us() - since;

			return http_take_all(h, answer, sizeof(answer), WAIT_MS) < 0 ? 0 : took ? took : 1;
		}
	return 0;
}

static void report(uint64_t *took, unsigned long count, unsigned long back, bool json)
{
	qsort(took, back, sizeof(*took), by_value);
	if (json && back)
		printf("{\"sent\":%lu,\"lost\":%lu,\"min_us\":%" PRIu64 ",\"median_us\":%" PRIu64 ",\"max_us\":%" PRIu64 "}\n", count, count - back, took[0],
		       took[back / 2], took[back - 1]);
	else if (json)
		printf("{\"sent\":%lu,\"lost\":%lu}\n", count, count - back);
	else if (back)
		printf("%lu messages, %lu lost: min %.3f ms, median %.3f ms, max %.3f ms\n", count, count - back, (double)took[0] / 1000,
		       (double)took[back / 2] / 1000, (double)took[back - 1] / 1000);
	else
		printf("%lu messages, all lost\n", count);
}

int ctl_rtt(const struct ctl_arguments *args)
{
	static struct line_stream stream;
	static struct http http;
	static struct http_place place;
	char topic[64], target[128], error[1024] = "";
	unsigned long count, sent = 0, back = 0;
	uint64_t *took, random = 0;
	int status, rc = ctl_number(args, CTL_COUNT, "count", COUNT_MAX, COUNT, &count);

	if (rc == 0)
		rc = http_find(args, &place);
	if (rc)
		return rc;
	took = calloc(count, sizeof(*took));
	if (!took || getrandom(&random, sizeof(random), 0) < 0) {
		fprintf(stderr, "janusctl: rtt: %s\n", strerror(errno));
		free(took);
		return EXIT_REFUSED;
	}
	snprintf(topic, sizeof(topic), "janusctl.rtt.%016" PRIx64, random);
	snprintf(target, sizeof(target), "/sub?topic=%s", topic);
	http.fd = stream.http.fd = -1;
	status = line_stream_open(&stream, &place, target, error, sizeof(error));
	if (status != 0 || http_open(&http, &place) < 0) {
		fprintf(stderr, "janusctl: rtt: %s\n", status > 0 ? error : strerror(errno));
		rc = EXIT_REFUSED;
	}
	while (rc == 0 && sent < count && sent - back < LOST_MAX) {
		took[back] = there_and_back(&stream, &http, topic, sent++);
		back += took[back] > 0;
	}
	if (rc == 0) {
		report(took, sent, back, args->json);
		rc = back < sent ? EXIT_REFUSED : EXIT_DONE;
	}
	http_close(&http);
	line_stream_close(&stream);
	free(took);
	return rc;
}
