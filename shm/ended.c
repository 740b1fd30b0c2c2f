/*
 * Whether another process has ended. See ended.h. A pidfd says so of any process, also of one that nobody has reaped.
 */
#include "shm/ended.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

bool process_ended(uint32_t pid)
{
	struct pollfd p = { .events = POLLIN };
	bool ended;

	if (pid == 0)
		return true;
	p.fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (p.fd < 0)		/* (also for want of a descriptor) */
		return errno == ESRCH || (kill((pid_t)pid, 0) < 0 && errno == ESRCH);
	ended = poll(&p, 1, 0) == 1;
	close(p.fd);
	return ended;
}
