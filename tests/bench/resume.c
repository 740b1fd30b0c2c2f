/*
 * What it costs a server that many come back at one moment, each of whom has missed some messages (make bench-peers):
 *
 *   bench-resume --speak sse --publish flash --server-pid PID -n 10000 -m 100 -T 10 flash://127.0.0.1:8081 http://127.0.0.1:8080
 *
 * First a witness of each topic comes, hears the message that all those who come back are to have had last, and the -m messages that they have missed: so
 * the server has them. Then the crowd comes, from behind the first one. Measured is the time from the first connect() until the last one has had its last
 * message, and the CPU that the server used meanwhile and in a moment behind it, in which nothing more may come. -r times over, each with a crowd anew.
 * One line of JSON with medians; or what was wrong, and exit status 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/bench/clock.h"
#include "tests/bench/crowd.h"
#include "tests/bench/net.h"
#include "tests/bench/tool.h"
#include "tests/bench/wire.h"

#define ROUNDS_MAX 100u
#define TOPICS_MAX 1000u
#define BEHIND (300 * CLOCK_MS)		/* after the last message */
#define SPARE_FILES 64u

static struct resume {
	const char *speak, *publish;
	uint32_t clients, messages, topics, size, rounds, at_once, timeout_s, server_pid;
	struct transport from, to;	/* whom messages come from; whom they are published to */
	uint32_t run;
	struct stamp *position;		/* a topic */
} resume = { .speak = "sse", .publish = "flash", .clients = 10000, .messages = 100, .topics = 1, .size = 100, .rounds = 1, .at_once = 1000, .timeout_s = 60 };

struct measured {
	double seconds, server_us, client_us;	/* us of CPU a message */
};

static uint64_t deadline(void)
{
	return clock_now() + resume.timeout_s * CLOCK_S;
}

static void check(int failed, struct crowd *crowd, const char *who)
{
	if (failed)
		die(who, crowd_fault(crowd));
}

/* ---- what they have missed ---- */

static void send_all(int fd, const char *bytes, size_t n)
{
	for (ssize_t sent; n; bytes += sent, n -= (size_t)sent) {
		sent = send(fd, bytes, n, MSG_NOSIGNAL);
		if (sent <= 0)
			die("publishing", strerror(errno));
	}
}

/* Reads until the server has said what a publisher waits for. */
static void greeted(int fd, const struct speak *speak)
{
	static char buf[SPEAK_ANSWER_MAX];
	size_t n = 0, len;

	while (n < sizeof(buf)) {
		ssize_t got = recv(fd, buf + n, sizeof(buf) - n, 0);

		if (got <= 0)
			die("a publisher's connection", got ? strerror(errno) : "closed");
		n += (size_t)got;
		while (n && (len = speak->cut(buf, n))) {
			enum speak_frame kind = speak->kind(buf, len);

			if (kind == SPEAK_GREETING || (kind == SPEAK_ACK && !speak->greets_after_ack))
				return;
			n -= len;
			memmove(buf, buf + len, n);
		}
	}
	die("a publisher's connection", "no greeting");
}

/* A publisher's connection, which blocks. */
static int publisher(const char *topic)
{
	const struct speak *speak = resume.to.speak;
	char words[SPEAK_OPEN_MAX];
	int fd = net_connect(&resume.to.address, resume.to.address_len, false, NET_PUBLISHER, 0);
	struct pollfd writable = { .fd = fd, .events = POLLOUT };
	struct timeval patience = { .tv_sec = resume.timeout_s };

	if (fd < 0 || poll(&writable, 1, (int)resume.timeout_s * 1000) != 1 || net_ready(fd) || fcntl(fd, F_SETFL, 0) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)))
		die("connecting a publisher", strerror(errno));
	if (speak->open_publisher)
		send_all(fd, words, speak->open_publisher(words, topic));
	if (speak->greets_publisher)
		greeted(fd, speak);
	return fd;
}

static void publish_to(uint32_t topic, int fd)
{
	char *words = malloc(resume.size + SPEAK_EXTRA);

	if (!words)
		die("publishing", strerror(errno));
	for (uint32_t seq = 0; seq <= resume.messages; seq++) {
		struct payload p = { .run = resume.run, .topic = topic, .seq = seq, .sent = seq };

		send_all(fd, words, resume.to.speak->publish(words, &p, resume.size));
	}
	free(words);
}

/* Publishes the messages, has each topic's witness hear them, and keeps the position behind the first one. */
static void prepare(void)
{
	struct crowd_plan plan = { .transport = &resume.from, .count = resume.topics, .topics = resume.topics, .run = resume.run, .from = 0,
		.until = resume.messages + 1, .size = resume.size, .at_once = resume.at_once };
	struct crowd *witnesses = crowd_create(&plan);
	char topic[WIRE_TOPIC_MAX];
	int fd[TOPICS_MAX];

	if (!witnesses)
		die("witnesses", strerror(errno));
	check(crowd_until(witnesses, CROWD_ANSWERED, deadline()), witnesses, "witnesses");
	for (uint32_t i = 0; i < resume.topics; i++) {
		wire_topic(topic, i);
		fd[i] = i == 0 || resume.to.speak->topics_max == 1 ? publisher(topic) : fd[0];
		publish_to(i, fd[i]);
	}
	check(crowd_until(witnesses, CROWD_COMPLETE, deadline()), witnesses, "witnesses");
	for (uint32_t i = 0; i < resume.topics; i++) {
		resume.position[i] = crowd_first(witnesses, i);
		if (i == 0 || fd[i] != fd[0])
			net_abort(fd[i]);
	}
	crowd_destroy(witnesses);
}

/* ---- the crowd ---- */

static struct measured storm(void)
{
	struct crowd_plan plan = { .transport = &resume.from, .count = resume.clients, .topics = resume.topics, .position = resume.position, .run = resume.run,
		.from = 1, .until = resume.messages + 1, .size = resume.size, .at_once = resume.at_once };
	struct crowd *crowd = crowd_create(&plan);
	double each = (double)resume.clients * resume.messages * 1000;
	uint64_t cpu, own = own_cpu();
	struct measured m;

	if (!crowd)
		die("the crowd", strerror(errno));
	cpu = server_cpu(resume.server_pid);
	check(crowd_until(crowd, CROWD_COMPLETE, deadline()), crowd, "the crowd");
	m.client_us = (double)(own_cpu() - own) / each;
	check(crowd_until(crowd, CROWD_MORE, clock_now() + BEHIND), crowd, "the crowd, when it had all");
	m.server_us = (double)(server_cpu(resume.server_pid) - cpu) / each;
	m.seconds = (double)(crowd_ended(crowd) - crowd_began(crowd)) / (double)CLOCK_S;
	crowd_destroy(crowd);
	return m;
}

static int by_value(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double median(double *v)
{
	qsort(v, resume.rounds, sizeof(*v), by_value);
	return (v[(resume.rounds - 1) / 2] + v[resume.rounds / 2]) / 2;
}

/* ---- the command line ---- */

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "speak", required_argument, NULL, 'S' }, { "publish", required_argument, NULL, 'P' }, { "server-pid", required_argument, NULL, 'p' },
		{ "clients", required_argument, NULL, 'n' }, { "messages", required_argument, NULL, 'm' }, { "topics", required_argument, NULL, 'T' },
		{ "size", required_argument, NULL, 's' }, { "rounds", required_argument, NULL, 'r' }, { "at-once", required_argument, NULL, 'a' },
		{ "timeout", required_argument, NULL, 't' }, { 0 },
	};

	uint32_t nodes;

	for (int c; (c = getopt_long(argc, argv, "n:m:T:s:r:", options, NULL)) != -1;)
		switch (c) {
		case 'S': resume.speak = optarg; break;
		case 'P': resume.publish = optarg; break;
		case 'p': resume.server_pid = number("--server-pid", optarg, 4194304); break;
		case 'n': resume.clients = number("--clients", optarg, 1000000); break;
		case 'm': resume.messages = number("--messages", optarg, PAYLOAD_SEQ_MAX); break;
		case 'T': resume.topics = number("--topics", optarg, TOPICS_MAX); break;
		case 's': resume.size = number("--size", optarg, 1 << 20); break;
		case 'r': resume.rounds = number("--rounds", optarg, ROUNDS_MAX); break;
		case 'a': resume.at_once = number("--at-once", optarg, 1000000); break;
		case 't': resume.timeout_s = number("--timeout", optarg, 3600); break;
		default: exit(2);
		}
	if (resume.size < PAYLOAD_HEAD)
		die("--size", "too small");
	if (transport_check(argv + optind, argc - optind, &nodes) || transport_init(&resume.from, resume.speak, 0, argv + optind, argc - optind) ||
	    transport_init(&resume.to, resume.publish, 0, argv + optind, argc - optind))
		exit(2);
	if (resume.from.tls || resume.to.tls)
		die("usage", "it speaks no TLS");
	if (!resume.from.speak->come || !resume.to.speak->publish || !resume.server_pid)
		die("usage", "--speak must be a protocol that comes back, --publish one that publishes, and --server-pid is needed");
}

static void raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	if (limit.rlim_max < resume.clients + SPARE_FILES)
		die("descriptors", "ulimit -Hn does not give so many");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	double seconds[ROUNDS_MAX], server[ROUNDS_MAX], client[ROUNDS_MAX];

	parse(argc, argv);
	raise_files();
	resume.run = (uint32_t)clock_now() ^ (uint32_t)getpid() << 16;
	resume.position = calloc(resume.topics, sizeof(*resume.position));
	if (!resume.position)
		die("memory", strerror(errno));
	wire_init("bench", 1, !resume.to.speak->no_message_id);
	prepare();
	for (uint32_t i = 0; i < resume.rounds; i++) {
		struct measured m = storm();

		seconds[i] = m.seconds, server[i] = m.server_us, client[i] = m.client_us;
	}
	printf("{\"seconds\": %.4f, \"server_cpu_us_per_message\": %.4f, \"client_cpu_us_per_message\": %.4f}\n", median(seconds), median(server), median(client));
	free(resume.position);
	return 0;
}
