/*
 * The least that a program with libnats does: `make bench-nodes` puts it in janus-bridge's place.
 *
 *    bench-libnats URL out SUBJECT COUNT     publishes so many messages of 100 bytes, each with a header as nodes' have, when a line has come on standard input
 *    bench-libnats URL in SUBJECT COUNT      subscribes, and ends when so many have come
 *
 * It says "ready" when it is.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nats/nats.h>

#define BYTES 100
#define HEADER "Janus"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all = PTHREAD_COND_INITIALIZER;
static long wanted;

static void check(const char *what, natsStatus s)
{
	if (s == NATS_OK)
		return;
	fprintf(stderr, "bench-libnats: %s: %s\n", what, natsStatus_GetText(s));
	exit(1);
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

static void publish(natsConnection *nc, const char *subject, long count)
{
	char payload[BYTES], header[64];

	memset(payload, 'x', sizeof(payload));
	ready();
	getchar();
	for (long n = 0; n < count; n++) {
		natsMsg *msg;

		snprintf(header, sizeof(header), "a 1 %ld 1", n);
		check("a message", natsMsg_Create(&msg, subject, NULL, payload, sizeof(payload)));
		check("a header", natsMsgHeader_Set(msg, HEADER, header));
		check("publish", natsConnection_PublishMsg(nc, msg));
		natsMsg_Destroy(msg);
	}
	check("flush", natsConnection_FlushTimeout(nc, 60000));
}

static void on_message(natsConnection *nc, natsSubscription *s, natsMsg *msg, void *data)
{
	const char *value;
	bool last;

	(void)nc;
	(void)s;
	(void)data;
	natsMsgHeader_Get(msg, HEADER, &value);
	natsMsg_Destroy(msg);
	pthread_mutex_lock(&lock);
	last = --wanted == 0;
	pthread_mutex_unlock(&lock);
	if (last)
		pthread_cond_signal(&all);
}

static void take(natsConnection *nc, const char *subject, long count)
{
	natsSubscription *s;

	wanted = count;
	check("subscribe", natsConnection_Subscribe(&s, nc, subject, on_message, NULL));
	check("no limits", natsSubscription_SetPendingLimits(s, -1, -1));
	check("flush", natsConnection_FlushTimeout(nc, 60000));
	ready();
	pthread_mutex_lock(&lock);
	while (wanted > 0)
		pthread_cond_wait(&all, &lock);
	pthread_mutex_unlock(&lock);
}

int main(int argc, char **argv)
{
	natsConnection *nc;

	if (argc != 5)
		return 2;
	check("connect", natsConnection_ConnectTo(&nc, argv[1]));
	if (strcmp(argv[2], "out") == 0)
		publish(nc, argv[3], atol(argv[4]));
	else
		take(nc, argv[3], atol(argv[4]));
	natsConnection_Destroy(nc);
	return 0;
}
