/*
 * Listen sockets, on ports that the kernel chooses, and at paths.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/listen.h"
#include "shm/log.h"

static char error[CONFIG_ERROR_MAX];
static char folder[] = "/tmp/janus-test-XXXXXX", path[64], local[128];

static struct listen_address address(const char *url)
{
	struct listen_address a;

	if (config_address_read(&a, url, error) < 0)
		fail_msg("%s", error);
	return a;
}

/* Connects to a URL; 0 or -1. */
static int dial(const char *url)
{
	struct listen_address a = address(url);
	int fd = socket(a.addr.ss_family, SOCK_STREAM, 0);
	int rc = fd < 0 ? -1 : connect(fd, (struct sockaddr *)&a.addr, a.addr_len);

	close(fd);
	return rc;
}

static int port_of(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	return ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
						: ((struct sockaddr_in *)&addr)->sin_port);
}

/* Opens it, or the test fails. */
static struct handover_listener begin(const char *url)
{
	struct listen_address a = address(url);
	struct handover_listener l;

	if (listen_begin(&l, &a, error) < 0)
		fail_msg("%s", error);
	assert_int_equal(l.proto, a.proto);
	assert_string_equal(l.url, url);
	return l;
}

/* It must not open, and this is what is said. */
static void refused(const char *url, const char *why)
{
	struct listen_address a = address(url);
	struct handover_listener l;
	char expected[CONFIG_ERROR_MAX + 200];

	assert_int_equal(listen_begin(&l, &a, error), -1);
	snprintf(expected, sizeof(expected), "listen %s: %s", url, why);
	assert_string_equal(error, expected);
}

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void ipv4(void **state)
{
	struct handover_listener l = begin("http://localhost:0");
	char expected[200];

	(void)state;
	assert_int_not_equal(fcntl(l.fd, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(l.fd, F_GETFD), 0);
	assert_int_equal(option(l.fd, SOL_SOCKET, SO_REUSEADDR), 1);
	assert_int_not_equal(port_of(l.fd), 0);
	snprintf(expected, sizeof(expected), "http://127.0.0.1:%d", port_of(l.fd));
	assert_string_equal(l.bound, expected);
	assert_int_equal(dial(l.bound), 0);

	/* taken: says so, with the address as the configuration has it */
	refused(l.bound, "bind: Address already in use");
	listen_end(&l);
	assert_int_equal(l.fd, -1);
	assert_int_equal(dial(expected), -1);
}

/* What connections have from their listener. */
static void inherited(const struct handover_listener *l)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	int client, fd;

	assert_int_equal(getsockname(l->fd, (struct sockaddr *)&addr, &len), 0);
	client = socket(addr.ss_family, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&addr, len), 0);
	fd = accept(l->fd, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_not_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	assert_int_not_equal(option(fd, SOL_SOCKET, SO_OOBINLINE), 0);
	close(fd);
	close(client);
}

static void connections_inherit(void **state)
{
	struct handover_listener l = begin("flash://localhost:0");
	int off = 0;

	(void)state;
	inherited(&l);
	/* and from one that an earlier program made otherwise */
	assert_int_equal(setsockopt(l.fd, IPPROTO_TCP, TCP_NODELAY, &off, sizeof(off)), 0);
	listen_inherit(&l);
	inherited(&l);
	listen_end(&l);
	l = begin(local);
	listen_inherit(&l);
	assert_int_equal(dial(local), 0);
	listen_end(&l);
}

/* As many connections as the kernel grants wait for somebody to accept them. */
static void backlog(void **state)
{
	struct handover_listener l = begin("flash://localhost:0");
	int fds[200];

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		struct listen_address a = address(l.bound);

		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		assert_true(connect(fds[i], (struct sockaddr *)&a.addr, a.addr_len) == 0 || errno == EINPROGRESS);
		assert_int_equal(poll(&(struct pollfd){.fd = fds[i], .events = POLLOUT}, 1, 500), 1);
	}
	for (unsigned i = 0; i < 200; i++)
		close(fds[i]);
	listen_end(&l);
}

static bool have_ipv6(void)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool have = fd >= 0 && bind(fd, (struct sockaddr *)&in6, sizeof(in6)) == 0;

	close(fd);
	return have;
}

static void ipv6_only(void **state)
{
	struct handover_listener l;
	char url[128];

	(void)state;
	if (!have_ipv6())
		skip();
	l = begin("flash://[::]:0");
	snprintf(url, sizeof(url), "flash://[::1]:%d", port_of(l.fd));
	assert_int_equal(dial(url), 0);
	snprintf(url, sizeof(url), "flash://127.0.0.1:%d", port_of(l.fd));
	assert_int_equal(dial(url), -1);
	assert_memory_equal(l.bound, "flash://[::]:", 13);
	listen_end(&l);
}

static void all(void **state)
{
	struct handover_listener l = begin("packet://*:0");
	char url[128];

	(void)state;
	snprintf(url, sizeof(url), "flash://127.0.0.1:%d", port_of(l.fd));
	assert_int_equal(dial(url), 0);
	snprintf(url, sizeof(url), "flash://[::1]:%d", port_of(l.fd));
	assert_int_equal(dial(url), have_ipv6() ? 0 : -1);
	snprintf(url, sizeof(url), "packet://*:%d", port_of(l.fd));
	assert_string_equal(l.bound, url);
	listen_end(&l);
}

static void not_ours(void **state)
{
	(void)state;
	refused("flash://192.0.2.1:0", "bind: Cannot assign requested address");
}

/* ---- Unix sockets ---- */

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/socket", folder);
	snprintf(local, sizeof(local), "flash+unix:%s", path);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static bool there(void)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* A socket of somebody else at the path. */
static int foreign(int type)
{
	struct listen_address a = address(local);
	int fd = socket(AF_UNIX, type, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a.addr, a.addr_len), 0);
	return fd;
}

static void local_begins_and_ends(void **state)
{
	mode_t before = umask(077);
	struct handover_listener l = begin(local);
	struct stat st;

	(void)state;
	assert_int_equal(umask(before), 077);
	assert_int_not_equal(fcntl(l.fd, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(l.fd, F_GETFD), 0);
	assert_string_equal(l.bound, local);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0666);
	assert_int_equal(st.st_ino, l.file.ino);
	assert_int_equal(dial(local), 0);
	listen_end(&l);
	assert_false(there());

	/* once more with a descriptor that somebody else has */
	l = begin(local);
	{
		int fd = l.fd;

		l.fd = -1;
		listen_end(&l);
		close(fd);
	}
	assert_false(there());
}

static void local_left_behind(void **state)
{
	struct handover_listener l = begin(local);

	(void)state;
	close(l.fd);		/* as if killed */
	assert_true(there());
	l = begin(local);
	assert_int_equal(dial(local), 0);
	listen_end(&l);
	assert_false(there());
}

static void local_in_use(void **state)
{
	static const char why[] = "the socket is in use: somebody accepts connections there";
	struct handover_listener l = begin(local);
	int fd;

	(void)state;
	refused(local, why);
	assert_int_equal(dial(local), 0);
	listen_end(&l);

	/* one whose queue is full, and one that knows no connections */
	fd = foreign(SOCK_STREAM);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(dial(local), 0);
	refused(local, why);
	close(fd);
	unlink(path);
	fd = foreign(SOCK_DGRAM);
	refused(local, why);
	close(fd);
	assert_true(there());
	unlink(path);
}

static void local_in_the_way(void **state)
{
	static const char why[] = "what is there is no socket: remove it, or take another path";
	struct stat before, after;
	int fd = open(path, O_CREAT | O_RDWR, 0600);

	(void)state;
	assert_int_equal(write(fd, "precious", 8), 8);
	fstat(fd, &before);
	close(fd);
	refused(local, why);
	assert_int_equal(stat(path, &after), 0);
	assert_true(after.st_ino == before.st_ino && after.st_size == 8 && after.st_mode == before.st_mode);
	unlink(path);
	/* a link too, even to a socket that nobody needs */
	assert_int_equal(symlink("/nonexistent", path), 0);
	refused(local, why);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	refused(local, why);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/none/socket", folder);
	snprintf(local, sizeof(local), "flash+unix:%s", path);
	refused(local, "No such file or directory");
	snprintf(path, sizeof(path), "%s/socket", folder);
	snprintf(local, sizeof(local), "flash+unix:%s", path);
}

/* A file that has taken its place is not ours to remove. */
static void local_replaced(void **state)
{
	struct handover_listener l = begin(local), other;
	struct listen_address a = address(local);

	(void)state;
	assert_true(listen_serves(&l, &a));
	unlink(path);
	assert_false(listen_serves(&l, &a));
	other = begin(local);
	assert_false(listen_serves(&l, &a));
	assert_true(listen_serves(&other, &a));
	listen_end(&l);
	assert_true(there());
	assert_int_equal(dial(local), 0);
	listen_end(&other);
	assert_false(there());
}

/* Whoever else holds the folder's lock keeps nobody from starting, and from ending. */
static void local_locked_folder(void **state)
{
	struct handover_listener l;
	int fd = open(folder, O_RDONLY);

	(void)state;
	assert_int_equal(flock(fd, LOCK_EX), 0);
	l = begin(local);
	listen_end(&l);
	assert_false(there());
	close(fd);
}

/* Processes that begin at the same path at the same time: one gets it, and all others are told so. It stays that one's. */
static void local_race(void **state)
{
	enum { RACERS = 8, ROUNDS = 40 };

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		int go[2], done[2], won = 0;
		pid_t pid[RACERS];
		char result;

		if (round % 2)
			close(foreign(SOCK_STREAM));	/* left behind */
		assert_int_equal(pipe(go) + pipe(done), 0);
		for (unsigned i = 0; i < RACERS; i++) {
			pid[i] = fork();
			if (pid[i] != 0)
				continue;
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			struct listen_address a = address(local);
			struct handover_listener l;

			close(go[1]);
			(void)!read(go[0], &result, 1);		/* all at once, when the other end closes */
			result = listen_begin(&l, &a, error) == 0 ? 'w' : strstr(error, "in use") ? 'l' : '?';
			(void)!write(done[1], &result, 1);
			if (result == 'w')
				pause();
			_exit(0);
		}
		close(go[0]);
		close(go[1]);
		for (unsigned i = 0; i < RACERS; i++) {
			assert_int_equal(read(done[0], &result, 1), 1);
			assert_int_not_equal(result, '?');
			won += result == 'w';
		}
		assert_int_equal(won, 1);
		assert_int_equal(dial(local), 0);
		for (unsigned i = 0; i < RACERS; i++) {
			kill(pid[i], SIGKILL);
			waitpid(pid[i], NULL, 0);
		}
		close(done[0]);
		close(done[1]);
		unlink(path);
	}
}

static void renamed(void **state)
{
	struct handover_listener l = begin("flash://localhost:0");
	struct listen_address a;
	char url[128];

	(void)state;
	a = address("http://localhost:0");
	assert_false(listen_serves(&l, &a));
	a = address("flash://localhost:0");
	assert_true(listen_serves(&l, &a));
	a = address(l.bound);
	listen_end(&l);
	assert_int_equal(listen_begin(&l, &a, error), 0);
	snprintf(url, sizeof(url), "packet://localhost:%d", port_of(l.fd));
	a = address(url);
	assert_true(listen_serves(&l, &a));
	listen_rename(&l, &a);
	assert_int_equal(l.proto, PROTO_PACKET);
	assert_string_equal(l.url, url);
	snprintf(url, sizeof(url), "packet://127.0.0.1:%d", port_of(l.fd));
	assert_string_equal(l.bound, url);
	listen_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4),
		cmocka_unit_test(ipv6_only),
		cmocka_unit_test(all),
		cmocka_unit_test(not_ours),
		cmocka_unit_test(connections_inherit),
		cmocka_unit_test(backlog),
		cmocka_unit_test(renamed),
		cmocka_unit_test(local_begins_and_ends),
		cmocka_unit_test(local_left_behind),
		cmocka_unit_test(local_in_use),
		cmocka_unit_test(local_in_the_way),
		cmocka_unit_test(local_replaced),
		cmocka_unit_test(local_locked_folder),
		cmocka_unit_test(local_race),
	};

	log_init("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("listen", tests, make_folder, remove_folder);
}
