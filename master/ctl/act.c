/*
 * janusctl kick, drain and stop.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "master/ctl/client.h"
#include "master/ctl/ctl.h"
#include "worker/service/order.h"

#define ANSWER_SECONDS 30
#define KICK_SECONDS 30		/* for the workers to have done it */
#define LOOK_MS 1000		/* between looks whether the hub is still the server's */
#define STOP_MORE_SECONDS 30	/* beyond stop_limit, in which workers deliver what they owe */
#define RATE 100		/* clients a second */

/* Sends the request. 0 and the reply, or the status. *left: the connection, for who waits for its end; NULL: it is closed. */
static int act(const struct ctl_arguments *args, const struct control_request *request, struct control_reply *reply, int *left)
{
	const char *name = control_command_name(request->command);
	int fd, rc = ctl_connect(args, false, &fd);

	if (rc)
		return rc;
	if (control_client_act(fd, request, ANSWER_SECONDS, reply) < 0) {
		rc = ctl_complain(fd, request->command);
	} else if (!reply->ok) {
		fprintf(stderr, "janusctl: %s: %s\n", name, reply->error);
		rc = EXIT_REFUSED;
	}
	if (left && rc == 0)
		*left = fd;
	else
		close(fd);
	return rc;
}

/* Copies an argument, if there is one. */
static int put(char *dst, size_t size, const char *what, const char *text)
{
	if (!text)
		return 0;
	if (*text && strlen(text) < size) {
		strcpy(dst, text);
		return 0;
	}
	fprintf(stderr, "janusctl: %s: 1 to %zu bytes\n", what, size - 1);
	return EXIT_USAGE;
}

/* ---- kick ---- */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Which hub segment is the server's, by its inode. 0: that can't be said now. */
static uint64_t which_hub(const struct ctl_arguments *args)
{
	struct stat st;
	int fd = -1;

	if (ctl_ask(args, true, CONTROL_HUB, NULL, &fd) != 0 || fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		st.st_ino = 0;
	close(fd);
	return (uint64_t)st.st_ino;
}

struct kicked {
	uint64_t count;			/* clients that were sent away */
	uint64_t left;			/* slots that have not done it */
	bool more;			/* perhaps more than that: a slot's count was gone before it was read */
	bool unseen;			/* `left` is how it was when the server was given another hub, where nothing stands of it */
};

/* Waits until these slots have done it. A slot is asked no more when it has, as its count goes when many orders come behind. */
static struct kicked wait_for(const struct ctl_arguments *args, const struct hub *hub, uint64_t inode, uint64_t order, uint64_t slots)
{
	uint64_t deadline = now_ms() + KICK_SECONDS * 1000, look_at = now_ms() + LOOK_MS, done = 0, count, now;
	struct kicked k;

	for (k = (struct kicked){ .left = slots };; nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL)) {
		uint64_t begun = 0;

		for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
			if (!(k.left >> i & 1))
				continue;
			if (order_done(hub, i, order, &count) < 0) {
				begun += count;
				continue;
			}
			k.left &= ~(UINT64_C(1) << i);
			k.more |= count == ORDER_COUNT_GONE;
			done += count == ORDER_COUNT_GONE ? 0 : count;
		}
		k.count = done + begun;
		if (k.left == 0 || k.unseen || now_ms() >= deadline)
			return k;
		if (now_ms() >= look_at) {
			now = which_hub(args);
			k.unseen = inode && now && now != inode;	/* (After one more look: it may have been done before.) */
			look_at = now_ms() + LOOK_MS;
		}
	}
}

static int report_kicked(const struct kicked *k, bool json)
{
	printf(json ? "{\"kicked\":%" PRIu64 "}\n" : "%" PRIu64 " kicked\n", k->count);
	if (k->left && k->unseen) {
		fprintf(stderr, "janusctl: kick: the server has another hub by now (an upgrade, or a new start), which says nothing of it; janusctl clients shows who is there\n");
		return EXIT_REFUSED;
	}
	if (k->left) {
		fprintf(stderr, "janusctl: kick: %d workers have not done it yet; they will as soon as they can\n", __builtin_popcountll(k->left));
		return EXIT_REFUSED;
	}
	if (k->more) {
		fprintf(stderr, "janusctl: kick: it is done; there may have been more, as so many kicks came behind that some counts are gone\n");
		return EXIT_DONE;
	}
	if (k->count)
		return EXIT_DONE;
	fprintf(stderr, "janusctl: kick: no such client is there\n");
	return EXIT_REFUSED;
}

int ctl_kick(const struct ctl_arguments *args)
{
	struct control_request request = { .command = CONTROL_KICK, .slot = CONTROL_NO_SLOT };
	const char *topic = args->option[CTL_TOPIC], *user = args->option[CTL_USER], *sub = args->option[CTL_SUB];
	struct control_reply reply;
	struct client_order order;
	const char *error;
	unsigned slot;
	struct kicked kicked;
	uint64_t inode;
	struct hub hub;
	int rc;

	if ((args->operands == 1) + (topic != NULL) + (user != NULL) + (sub != NULL) != 1) {
		fprintf(stderr, "janusctl: kick: a client's id, --topic TOPIC, --user USER or --sub USER says who\n");
		return EXIT_USAGE;
	}
	if ((rc = put(request.id, sizeof(request.id), "the id", args->operands ? args->operand[0] : NULL)) != 0 ||
	    (rc = put(request.topic, sizeof(request.topic), "the topic", topic)) != 0 || (rc = put(request.user, sizeof(request.user) - 1, "the user", user)) != 0 ||
	    (rc = put(request.sub, sizeof(request.sub), "the sub", sub)) != 0 ||
	    (rc = put(request.reason, ORDER_REASON_MAX + 1, "the reason", args->option[CTL_REASON])) != 0)
		return rc;
	/* (The master reads it again: that is its own version's word.) */
	error = order_read(&order, &slot, &(struct order_who){ args->operands ? request.id : NULL, topic, user, sub }, request.reason);
	if (error) {
		fprintf(stderr, "janusctl: kick: %s\n", error);
		return EXIT_USAGE;
	}
	inode = which_hub(args);
	rc = ctl_open_hub(args, &hub);
	if (rc)
		return rc;
	rc = act(args, &request, &reply, NULL);
	if (rc == 0) {
		kicked = wait_for(args, &hub, inode, reply.order, reply.slots);
		rc = report_kicked(&kicked, args->json);
	}
	hub_detach(&hub);
	return rc;
}

/* ---- drain ---- */

int ctl_drain(const struct ctl_arguments *args)
{
	struct control_request request = { .command = CONTROL_DRAIN, .slot = CONTROL_NO_SLOT };
	bool stop = args->option[CTL_STOP] != NULL;
	struct control_reply reply;
	unsigned long rate;
	int rc = ctl_number(args, CTL_RATE, "rate", DRAIN_RATE_MAX, RATE, &rate);

	if (rc)
		return rc;
	if (args->operands) {
		char *end;

		errno = 0;
		request.slot = (uint32_t)strtoul(args->operand[0], &end, 10);
		if (*args->operand[0] < '0' || *args->operand[0] > '9' || *end || errno || request.slot >= INDEX_SLOTS_MAX) {
			fprintf(stderr, "janusctl: drain: a worker is a number, 0 to %d (janusctl workers)\n", INDEX_SLOTS_MAX - 1);
			return EXIT_USAGE;
		}
	}
	if (stop && args->option[CTL_RATE]) {
		fprintf(stderr, "janusctl: drain: --rate or --stop\n");
		return EXIT_USAGE;
	}
	request.rate = stop ? 0 : rate;
	rc = act(args, &request, &reply, NULL);
	if (rc == 0 && args->json)
		printf("{\"ok\":true}\n");
	else if (rc == 0 && stop)
		printf("draining ends\n");
	else if (rc == 0)
		printf("draining %lu clients a second%s; janusctl workers shows how far it is, janusctl drain --stop ends it\n", rate,
		       args->operands ? "" : ", of each worker");
	return rc;
}

/* ---- stop ---- */

static void say_stopped(const struct ctl_arguments *args)
{
	printf(args->json ? "{\"ok\":true}\n" : "stopped\n");
}

static int stop_masterless(const struct ctl_arguments *args, unsigned seconds)
{
	if (ctl_stop_masterless(seconds) == 0) {
		say_stopped(args);
		return EXIT_DONE;
	}
	if (errno == ETIMEDOUT)
		fprintf(stderr, "janusctl: stop: the server, which has no master, has been told, and has not ended after %u s\n", seconds);
	else
		fprintf(stderr, "janusctl: stop: the server has no master, and only root and its user can stop it then: %s\n", strerror(errno));
	return EXIT_REFUSED;
}

int ctl_stop(const struct ctl_arguments *args)
{
	struct control_request request = { .command = CONTROL_STOP, .slot = CONTROL_NO_SLOT };
	struct config config;
	char error[CONFIG_ERROR_MAX];
	struct control_reply reply;
	unsigned seconds = STOP_MORE_SECONDS;
	int fd, rc = ctl_connect(args, true, &fd);

	seconds += config_read(&config, &args->source, error) == 0 ? (unsigned)(config.settings.stop_limit / 1000) : 0;
	if (rc == EXIT_NO_MASTER)
		return stop_masterless(args, seconds);
	if (rc == 0)
		close(fd);
	rc = act(args, &request, &reply, &fd);
	if (rc)
		return rc;
	if (control_client_wait_end(fd, seconds) < 0) {
		fprintf(stderr, "janusctl: stop: the server has been told, and has not ended after %u s\n", seconds);
		rc = EXIT_REFUSED;
	} else {
		say_stopped(args);
	}
	close(fd);
	return rc;
}
