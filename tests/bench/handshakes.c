/*
 * What TLS handshakes cost a server (make bench-tls):
 *
 *   bench-handshakes --server-pid PID [-n 64] [-m 3000] [--resume] 127.0.0.1:8443
 *
 * -m connections are made, -n at a time. Each is over when its first ticket has come, by which the server says that for it, too, the handshake has ended
 * (so both must issue tickets, and speak TLS 1.3); then it is aborted. With --resume, a first one has a whole handshake, and all others resume its session.
 * One line of JSON with handshakes a second, and the CPU of server and client a handshake; or what was wrong, and exit status 1.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "tests/bench/clock.h"
#include "tests/bench/net.h"
#include "tests/bench/tool.h"
#include "tests/bench/tlsc.h"

#define AT_ONCE_MAX 4096u
#define PATIENCE_MS 20000		/* without anything happening */

static struct {
	uint32_t at_once, count, server_pid;
	bool resume;
	struct sockaddr_storage address;
	socklen_t address_len;
} plan = { .at_once = 64, .count = 3000 };

static struct {
	int fd;
	struct tlsc *tls;
	bool shaken;
} slot[AT_ONCE_MAX];

static int epoll;
static uint32_t opened, ended;

/* TLS is spoken here, as it is looked at from inside. */
static void open_one(uint32_t i)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = i };

	slot[i].fd = net_connect(&plan.address, plan.address_len, false, opened++, 0);
	if (slot[i].fd < 0 || !(slot[i].tls = tlsc_open(slot[i].fd)) || epoll_ctl(epoll, EPOLL_CTL_ADD, slot[i].fd, &event))
		die("connect", strerror(errno));
	slot[i].shaken = false;
}

static void close_one(uint32_t i)
{
	tlsc_close(slot[i].tls);
	net_abort(slot[i].fd);
	ended++;
}

/* Returns whether this one is over. */
static bool go_on(uint32_t i)
{
	struct tlsc *t = slot[i].tls;
	char byte;

	if (!slot[i].shaken) {
		int error = net_ready(slot[i].fd);

		error = error ? error : tlsc_shake(t);
		if (error == EINPROGRESS)
			return false;
		if (error)
			die("handshake", strerror(error));
		slot[i].shaken = true;
		if (plan.resume && ended && !tlsc_is_resumed(t))
			die("handshake", "the session was not resumed");
	}
	if (tlsc_recv(t, &byte, 1) >= 0 || errno != EAGAIN)
		die("waiting for a ticket", "something else came");
	return tlsc_has_ticket(t);
}

/* Until so many have ended in all. */
static void shake(uint32_t until)
{
	uint32_t at_once = until - ended < plan.at_once ? until - ended : plan.at_once;
	struct epoll_event events[64];

	for (uint32_t i = 0; i < at_once; i++)
		open_one(i);
	while (ended < until) {
		int n = epoll_wait(epoll, events, 64, PATIENCE_MS);

		if (n == 0 || (n < 0 && errno != EINTR))
			die("waiting", n ? strerror(errno) : "the server does not answer");
		for (int k = 0; k < n; k++) {
			uint32_t i = events[k].data.u32;

			if (!go_on(i))
				continue;
			if (plan.resume && !ended)
				tlsc_resume(slot[i].tls);
			close_one(i);
			if (opened < until)
				open_one(i);
		}
	}
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = { { "server-pid", required_argument, NULL, 'p' }, { "resume", no_argument, NULL, 'r' }, { 0 } };
	const char *error;

	for (int c; (c = getopt_long(argc, argv, "n:m:", options, NULL)) != -1;)
		switch (c) {
		case 'n': plan.at_once = number("-n", optarg, AT_ONCE_MAX); break;
		case 'm': plan.count = number("-m", optarg, 10000000); break;
		case 'p': plan.server_pid = number("--server-pid", optarg, 4194304); break;
		case 'r': plan.resume = true; break;
		default: exit(2);
		}
	if (argc != optind + 1 || !plan.server_pid)
		die("usage", "--server-pid PID [-n AT_ONCE] [-m COUNT] [--resume] HOST:PORT");
	if (net_parse(argv[optind], &plan.address, &plan.address_len, &error))
		die(argv[optind], error);
}

int main(int argc, char **argv)
{
	uint64_t began, cpu, own;
	double each;

	parse(argc, argv);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0 || tlsc_init(NULL))
		die("TLS", "can't be had");
	shake(1);
	shake(64);		/* what is done once, at the first ones, is not counted */
	began = clock_now();
	cpu = server_cpu(plan.server_pid);
	own = own_cpu();
	shake(ended + plan.count);
	each = (double)plan.count * 1000;
	printf("{\"rate\": %.1f, \"cpu\": %.2f, \"client_cpu\": %.2f}\n", plan.count * (double)CLOCK_S / (double)(clock_now() - began),
	       (double)(server_cpu(plan.server_pid) - cpu) / each, (double)(own_cpu() - own) / each);
	return 0;
}
