/*
 * Peers of a process's descriptors: borrowed, and where that is forbidden, by what the kernel says of all sockets. Either says the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/ctl/peers.h"

struct pair {
	int near, far;
	char text[PEER_TEXT];		/* what near's peer is called */
};

/* False: this machine has no such addresses. */
static bool connected(struct pair *pair, const struct sockaddr *loopback, socklen_t len, const char *host)
{
	struct sockaddr_storage name;
	socklen_t name_len = sizeof(name);
	int listener = socket(loopback->sa_family, SOCK_STREAM, 0);

	if (listener < 0 || bind(listener, loopback, len) < 0) {
		close(listener);
		return false;
	}
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &name_len), 0);
	pair->far = socket(loopback->sa_family, SOCK_STREAM, 0);
	assert_int_equal(connect(pair->far, (struct sockaddr *)&name, name_len), 0);
	pair->near = accept(listener, NULL, NULL);
	assert_true(pair->near >= 0);
	close(listener);
	assert_int_equal(getsockname(pair->far, (struct sockaddr *)&name, &name_len), 0);
	/* (The port is at the same place in both.) */
	snprintf(pair->text, sizeof(pair->text), "%s:%u", host, ntohs(((struct sockaddr_in *)&name)->sin_port));
	return true;
}

static void disconnect(struct pair *pair)
{
	close(pair->near);
	close(pair->far);
}

static bool is_found(struct peers *peers, const struct pair *pair)
{
	char text[PEER_TEXT];

	return peers_find(peers, (uint32_t)getpid(), (uint32_t)pair->near, text) == 0 && strcmp(text, pair->text) == 0;
}

static bool is_nobody(struct peers *peers, int fd)
{
	char text[PEER_TEXT];

	return peers_find(peers, (uint32_t)getpid(), (uint32_t)fd, text) < 0 && errno != EACCES && errno != EPERM;
}

/* 0, or a number that says which is not found. */
static int look(void)
{
	const struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct pair pair, local;
	int ends[2], file = open("/dev/null", O_RDONLY), wrong = 0;
	struct peers *peers;

	assert_true(connected(&pair, (const struct sockaddr *)&four, sizeof(four), "127.0.0.1"));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	local = (struct pair){ ends[0], ends[1], "unix" };
	peers = peers_open();
	if (!is_found(peers, &pair))
		wrong = 1;
	else if (!is_found(peers, &local))
		wrong = 2;
	else if (!is_nobody(peers, file))
		wrong = 3;
	disconnect(&pair);
	if (!wrong && !is_nobody(peers, pair.near))
		wrong = 4;
	peers_close(peers);
	disconnect(&local);
	close(file);
	if (wrong || !connected(&pair, (const struct sockaddr *)&six, sizeof(six), "[::1]"))
		return wrong;
	peers = peers_open();
	if (!is_found(peers, &pair))
		wrong = 5;
	peers_close(peers);
	disconnect(&pair);
	return wrong;
}

static void test_borrowed(void **state)
{
	(void)state;
	assert_int_equal(look(), 0);
}

/* From here on nobody here borrows a descriptor. */
static void forbid(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_getfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
}

static void test_forbidden(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		forbid();
		_exit(look());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_borrowed), cmocka_unit_test(test_forbidden) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
