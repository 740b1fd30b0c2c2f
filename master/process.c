/*
 * Other processes, by their ids.
 */
#include "master/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

bool process_ended(uint32_t pid)
{
	char path[64], text[512];
	const char *state;
	ssize_t n;
	int fd;

	if (pid == 0)
		return true;
	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	state = strrchr(text, ')');
	return n <= 0 || !state || state[1] != ' ' || state[2] == 'Z' || state[2] == 'X';
}

bool process_runs_as(uint32_t pid, uid_t user)
{
	char path[64], text[1024];
	const char *uid;
	ssize_t n;
	int fd;

	if (pid == 0)
		return false;
	/* (Not by whom its folder belongs to: that is root, where a process has changed its user.) */
	snprintf(path, sizeof(path), "/proc/%u/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	uid = strstr(text, "\nUid:");
	return uid && strtoul(uid + 5, NULL, 10) == user;
}

int process_open(uint32_t pid)
{
	return (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
}

bool process_is_over(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

void process_signal(uint32_t pid, int pidfd, int sig)
{
	if (pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
	else
		kill((pid_t)pid, sig);
}
