/*
 * Privileges. See privileges.h.
 */
#include "master/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shm/log.h"

int privileges_drop(const char *user)
{
	const struct passwd *pw;

	if (!*user || geteuid() != 0)
		return 0;
	errno = 0;
	pw = getpwnam(user);
	if (!pw) {
		log_error("user = %s: %s", user, errno ? strerror(errno) : "no such user");
		return -1;
	}
	if (pw->pw_uid == 0)
		return 0;
	if (initgroups(user, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0) {
		log_error("user = %s: %s", user, strerror(errno));
		return -1;
	}
	return 0;
}

/* The master's own, which a keeper and a worker are given at first. */
static int oom_score_of(pid_t pid)
{
	char path[64];
	int score = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%d", &score) != 1)
		score = 0;
	if (f)
		fclose(f);
	return score;
}

void privileges_oom(pid_t master, int more)
{
	int score = oom_score_of(master) + more, dumpable = prctl(PR_GET_DUMPABLE);
	FILE *f;

	/* When a process has changed its user, its files in /proc belong to root, unless it may be dumped. */
	prctl(PR_SET_DUMPABLE, 1);
	f = fopen("/proc/self/oom_score_adj", "we");
	if (f) {
		fprintf(f, "%d", score < 1000 ? score : 1000);
		fclose(f);
	}
	if (dumpable == 0)
		prctl(PR_SET_DUMPABLE, 0);
}

uint32_t privileges_raise_descriptors(void)
{
	struct rlimit limit;
	rlim_t had;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	had = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		limit.rlim_cur = had;
	return limit.rlim_cur > DESCRIPTORS_MAX ? DESCRIPTORS_MAX : (uint32_t)limit.rlim_cur;
}
