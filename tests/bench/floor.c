/*
 * The floor: what Janus is measured against. It does what a fan-out can't do without, and nothing else: takes a message, and sends
 * the same bytes to the same sockets. As much of the flash protocol as janusbench needs; every message goes to every subscriber,
 * whatever its topic; no order but the lock's, nothing is checked, remembered or survives.
 *
 *   floor            says where it listens, waits
 *    |- worker 0     its own listen socket (SO_REUSEPORT), epoll, io_uring
 *    `- worker 1 ...
 *
 * A worker that receives a message writes the frame to a ring of bytes that all map (twice in a row, so that any part of it lies in one
 * piece), moves the tail, and writes to the others' eventfds. Each sends the bytes from its own cursor to the tail, straight from there. There is
 * no flow control: a worker more than RING bytes behind sends rubbish, which janusbench would notice.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX 64u
#define RING (64u << 20)		/* bytes */
#define INPUT (256u << 10)
#define EVENTS 256
#define ACCEPTS 64			/* a turn */
#define BATCH 256u			/* sends a submission */
#define STARTS(p, n, literal) ((n) >= sizeof(literal) - 1 && !memcmp((p), (literal), sizeof(literal) - 1))

struct shared {
	_Alignas(64) _Atomic uint32_t lock;
	uint64_t time;			/* us since 1970, of the last message: the next one's is later */
	_Alignas(64) _Atomic uint64_t tail;	/* bytes ever written to the ring */
};

struct conn {
	uint64_t at;			/* while it lags: what it has had of the ring */
	char *rest;			/* of its input: a frame's beginning */
	uint32_t rest_len;
	bool lags;			/* its socket is full: waits for EPOLLOUT */
	bool subscribes;
};

static struct shared *shared;
static char *ring;
static int wake[WORKERS_MAX], listener[WORKERS_MAX];
static unsigned workers = 2, batch = BATCH;
static bool use_send, use_files;

/* A worker's own. */
static unsigned self, queued;
static int epoll;
static struct io_uring uring;
static struct conn *conn;		/* by descriptor */
static int *subscriber, subscribers;
static uint64_t cursor;			/* the ring is sent up to here */
static char input[INPUT + 1];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static size_t put_stamp(char *dst, uint64_t us)
{
	return (size_t)sprintf(dst, "{\"timestamp\":[%u,%u,%u],", (unsigned)(us / 1000000000000), (unsigned)(us / 1000000 % 1000000),
			       (unsigned)(us % 1000000));
}

/* ---- sending ---- */

static void lag(int fd, uint64_t at)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.fd = fd };

	conn[fd].lags = true;
	conn[fd].at = at;
	epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}

/* What became of sending all bytes from the cursor on. */
static void sent(int fd, int result, uint64_t from, size_t len)
{
	if (result == (int)len)
		return;
	if (result >= 0 || result == -EAGAIN)
		lag(fd, from + (result > 0 ? (uint64_t)result : 0));
}

static void submit(uint64_t from, size_t len)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;

	while (seen < queued) {
		unsigned found = 0;

		io_uring_submit_and_wait(&uring, queued - seen);
		io_uring_for_each_cqe(&uring, head, cqe) {
			sent((int)cqe->user_data, cqe->res, from, len);
			found++;
		}
		io_uring_cq_advance(&uring, found);
		seen += found;
	}
	queued = 0;
}

static void queue(int fd, uint64_t from, size_t len)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring);

	io_uring_prep_send(sqe, fd, ring + from % RING, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (use_files)
		sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data64(sqe, (uint64_t)fd);
	if (++queued == batch)
		submit(from, len);
}

static void fan_out(void)
{
	uint64_t tail;

	/* acquire: pairs with the release in publish() */
	while ((tail = atomic_load_explicit(&shared->tail, memory_order_acquire)) != cursor) {
		size_t len = tail - cursor;

		for (int i = 0; i < subscribers; i++) {
			int fd = subscriber[i];

			if (conn[fd].lags)
				continue;
			if (use_send) {
				ssize_t n = send(fd, ring + cursor % RING, len, MSG_DONTWAIT | MSG_NOSIGNAL);

				sent(fd, n < 0 ? -errno : (int)n, cursor, len);
			} else {
				queue(fd, cursor, len);
			}
		}
		if (!use_send)
			submit(cursor, len);
		cursor = tail;
	}
}

/* A lagging one is writable again. */
static void go_on(int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	struct conn *c = &conn[fd];

	while (c->at < cursor) {
		ssize_t n = send(fd, ring + c->at % RING, cursor - c->at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return;
		c->at += (uint64_t)n;
	}
	c->lags = false;
	epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}

/* ---- input ---- */

static void subscribe(int fd)
{
	if (!conn[fd].subscribes)
		subscriber[subscribers++] = fd;
	conn[fd].subscribes = true;
	(void)!send(fd, "ACK\1", 4, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* `members`: the object's, from the first name to the closing bracket. */
static void publish(const char *members, size_t len)
{
	uint64_t tail, now = now_us();
	char *dst;
	size_t n;

	while (atomic_exchange_explicit(&shared->lock, 1, memory_order_acquire))
		;
	tail = atomic_load_explicit(&shared->tail, memory_order_relaxed);
	shared->time = now > shared->time ? now : shared->time + 1;
	dst = ring + tail % RING;
	n = put_stamp(dst, shared->time);
	memcpy(dst + n, members, len);
	dst[n + len] = '\1';
	/* release: the bytes are there before the tail says so */
	atomic_store_explicit(&shared->tail, tail + n + len + 1, memory_order_release);
	atomic_store_explicit(&shared->lock, 0, memory_order_release);
}

static bool handle(int fd, const char *frame, size_t len)
{
	static const char action[] = "{\"action\":\"publish\",";

	if (STARTS(frame, len, "{\"action\":\"subscribe\"")) {
		subscribe(fd);
	} else if (STARTS(frame, len, "{\"action\":\"publish\",")) {
		publish(frame + sizeof(action) - 1, len - (sizeof(action) - 1));
		return true;
	}
	return false;
}

static void drop(int fd)
{
	for (int i = 0; conn[fd].subscribes && i < subscribers; i++)
		if (subscriber[i] == fd) {
			subscriber[i] = subscriber[--subscribers];
			break;
		}
	free(conn[fd].rest);
	conn[fd] = (struct conn){ 0 };
	if (use_files) {
		int none = -1;

		io_uring_register_files_update(&uring, (unsigned)fd, &none, 1);
	}
	close(fd);
}

static void keep(struct conn *c, const char *bytes, size_t len)
{
	char *rest = NULL;

	if (len && (rest = malloc(len)))
		memcpy(rest, bytes, len);
	free(c->rest);
	c->rest = rest;
	c->rest_len = rest ? (uint32_t)len : 0;
}

static void receive(int fd)
{
	struct conn *c = &conn[fd];
	char *at = input, *end;
	bool published = false;
	uint64_t one = 1;
	size_t left;
	ssize_t n;

	if (c->rest_len)
		memcpy(input, c->rest, c->rest_len);
	n = recv(fd, input + c->rest_len, INPUT - c->rest_len, MSG_DONTWAIT);
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			drop(fd);
		return;
	}
	left = c->rest_len + (size_t)n;
	while ((end = memchr(at, 0, left))) {
		published |= handle(fd, at, (size_t)(end - at));
		left -= (size_t)(end + 1 - at);
		at = end + 1;
	}
	if (left || c->rest_len)
		keep(c, at, left);
	for (unsigned i = 0; published && i < workers; i++)
		if (i != self)
			(void)!write(wake[i], &one, sizeof(one));
}

static void greet(int fd)
{
	char frame[256];
	size_t n = put_stamp(frame, now_us());

	n += (size_t)sprintf(frame + n, "\"token\":[");
	for (int i = 0; i < 32; i++)
		n += (size_t)sprintf(frame + n, "%d,", '0' + i % 10);
	n += (size_t)sprintf(frame + n - 1, "]}\1") - 1;
	(void)!send(fd, frame, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void take_connections(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int on = 1;

	for (int i = 0; i < ACCEPTS; i++) {
		int fd = accept4(listener[self], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (use_files)
			io_uring_register_files_update(&uring, (unsigned)fd, &fd, 1);
		event.data.fd = fd;
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
		greet(fd);
	}
}

/* ---- processes ---- */

static void watch(int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		die("floor: epoll");
}

static void start_worker(size_t files)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN };

	for (unsigned i = 0; i < workers; i++)
		if (i != self)
			close(listener[i]);
	conn = mmap(NULL, files * sizeof(*conn), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	subscriber = mmap(NULL, files * sizeof(*subscriber), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (conn == MAP_FAILED || subscriber == MAP_FAILED || epoll < 0)
		die("floor: a worker");
	if (!use_send && (errno = -io_uring_queue_init_params(batch, &uring, &p)))
		die("floor: io_uring");
	if (use_files && (errno = -io_uring_register_files_sparse(&uring, (unsigned)files)))
		die("floor: registered files");
	watch(listener[self]);
	watch(wake[self]);
}

static void work(size_t files)
{
	struct epoll_event events[EVENTS];
	uint64_t ignored;

	start_worker(files);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == wake[self]) {
				(void)!read(fd, &ignored, sizeof(ignored));
			} else if (fd == listener[self]) {
				take_connections();
			} else {
				if (events[i].events & EPOLLOUT)
					go_on(fd);
				if (events[i].events & ~(uint32_t)EPOLLOUT)
					receive(fd);
			}
		}
		fan_out();
	}
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, 4096))
		die("floor: listen");
	return fd;
}

static uint16_t open_all(uint16_t port)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);

	for (unsigned i = 0; i < workers; i++) {
		listener[i] = listen_on(port);
		wake[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (wake[i] < 0 || getsockname(listener[i], (struct sockaddr *)&address, &len))
			die("floor");
		port = ntohs(address.sin_port);
	}
	return port;
}

static void map(void)
{
	int fd = memfd_create("floor", MFD_CLOEXEC);

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ring = mmap(NULL, 2ul * RING, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fd < 0 || ftruncate(fd, RING) || shared == MAP_FAILED || ring == MAP_FAILED ||
	    mmap(ring, RING, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
	    mmap(ring + RING, RING, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		die("floor: memory");
	close(fd);
}

static int parse(int argc, char **argv, uint16_t *port)
{
	static const struct option options[] = {
		{ "workers", required_argument, NULL, 'w' }, { "port", required_argument, NULL, 'p' },
		{ "batch", required_argument, NULL, 'b' },   { "send", no_argument, NULL, 's' },
		{ "files", no_argument, NULL, 'f' },	     { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "w:p:b:sf", options, NULL)) != -1) {
		unsigned v = optarg ? (unsigned)strtoul(optarg, NULL, 10) : 0;

		if (c == 'w' && v && v <= WORKERS_MAX)
			workers = v;
		else if (c == 'p' && v <= UINT16_MAX)
			*port = (uint16_t)v;
		else if (c == 'b' && v && v <= 4096)
			batch = v;
		else if (c == 's')
			use_send = true;
		else if (c == 'f')
			use_files = true;
		else
			return -1;
	}
	return optind < argc ? -1 : 0;
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	uint16_t port = 0;
	pid_t parent = getpid();

	if (parse(argc, argv, &port)) {
		fputs("Usage: floor [--workers N] [--port P] [--send] [--batch SENDS] [--files]\n", stderr);
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &limit))
		die("floor");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	signal(SIGPIPE, SIG_IGN);
	map();
	port = open_all(port);
	for (self = 0; self < workers; self++) {
		pid_t pid = fork();

		if (pid < 0)
			die("floor: fork");
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() == parent)
				work(limit.rlim_max);
			return 1;
		}
	}
	for (unsigned i = 0; i < workers; i++)
		close(listener[i]);
	printf("127.0.0.1:%u\n", port);
	fflush(stdout);
	wait(NULL);	/* a worker's end is everybody's */
	return 1;
}
