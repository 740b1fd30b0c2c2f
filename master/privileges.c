/*
 * Privileges. See privileges.h.
 */
#include "master/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shm/log.h"

#define USER_OWN "janus"		/* the one that packages make */

const struct passwd *privileges_user(const char *user)
{
	errno = 0;
	return geteuid() == 0 ? getpwnam(*user ? user : USER_OWN) : NULL;
}

int privileges_check(const char *user, char error[PRIVILEGES_ERROR_MAX])
{
	if (geteuid() != 0 || privileges_user(user))
		return 0;
	if (*user)
		snprintf(error, PRIVILEGES_ERROR_MAX, "user = %s: %s", user, errno ? strerror(errno) : "no such user");
	else
		snprintf(error, PRIVILEGES_ERROR_MAX,
			 "started as root, its workers need a user to run as: `useradd --system " USER_OWN "` makes one, or set another (user = nobody), or start it as one who is not root");
	return -1;
}

/* None is kept, and none comes back with a program that is executed: not for root either, for whom the bounding set is empty. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -1;
	/* A filter of system calls that was made for an earlier version stays until the service is restarted. */
	if (syscall(SYS_capset, &head, none) < 0) {
		if (errno != EPERM)
			return -1;
		log_warning("capabilities can't be given up until the service is restarted, whose SystemCallFilter has no capset");
	}
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* (Who may not, has none to be bounded, or is bounded by who started it.) */
static void empty_bounding_set(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

int privileges_drop(const char *user)
{
	const struct passwd *pw = privileges_user(user);

	if (geteuid() == 0 && !pw) {
		log_error("user = %s: %s", user, errno ? strerror(errno) : "no such user");
		return -1;
	}
	if (pw)
		empty_bounding_set();
	if (pw && pw->pw_uid != 0 && (initgroups(pw->pw_name, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)) {
		log_error("user = %s: %s", pw->pw_name, strerror(errno));
		return -1;
	}
	if (drop_capabilities() < 0) {
		log_error("capabilities: %s", strerror(errno));
		return -1;
	}
	return 0;
}

int privileges_oom_own(void)
{
	int score = 0;
	FILE *f;

	f = fopen("/proc/self/oom_score_adj", "re");
	if (f && fscanf(f, "%d", &score) != 1)
		score = 0;
	if (f)
		fclose(f);
	return score;
}

void privileges_oom(int master, int more)
{
	int score = master + more, dumpable = prctl(PR_GET_DUMPABLE);
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
