/*
 * Other processes, by their ids.
 */
#include "master/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/log.h"

#define END_MS 1000

bool process_slots_ended(const struct hub *hub)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		const struct hub_slot_shm *s = &hub->shm->slot[i];

		if (!process_ended(atomic_load(&s->keeper)) || !process_ended(atomic_load(&s->spare)) || !process_ended(atomic_load(&s->worker)))
			return false;
	}
	return true;
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

static bool is_called(uint32_t pid, const char *name)
{
	char path[64], text[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text));
	close(fd);
	return n > 1 && (size_t)n - 1 == strlen(name) && memcmp(text, name, (size_t)n - 1) == 0;
}

void process_end_orphan(uint32_t pid, uid_t user, const char *name)
{
	struct pollfd p = { .events = POLLIN };

	if (pid == 0 || pid > INT32_MAX || (p.fd = process_open(pid)) < 0)
		return;
	if (process_runs_as(pid, user) && is_called(pid, name) && syscall(SYS_pidfd_send_signal, p.fd, SIGKILL, NULL, 0) == 0) {
		poll(&p, 1, END_MS);
		log_info("%s %u was another master's: the next one goes on", name, pid);
	}
	close(p.fd);
}

bool process_is_child(uint32_t pid)
{
	siginfo_t info;

	return pid && waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
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
