/*
 * Messages between processes that carry descriptors (SCM_RIGHTS, unix(7)).
 */
#ifndef SHM_DESCRIPTORS_H
#define SHM_DESCRIPTORS_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#define DESCRIPTORS_MAX 253		/* with a message: the kernel's SCM_MAX_FD */

/* What came along with a message. */
struct descriptors {
	int fd[DESCRIPTORS_MAX];	/* the receiver's own from then on */
	unsigned count;
	int flags;			/* of recvmsg(): MSG_CTRUNC, there was no room for all of them, and those missing are closed; MSG_TRUNC */
	pid_t sender;			/* where SO_PASSCRED is set, the process that sent it; 0 else */
};

/* sendmsg(), with `count` of them, DESCRIPTORS_MAX at most. No signal is raised. They stay the caller's. */
ssize_t descriptors_send(int socket, const struct iovec *parts, size_t parts_count, const int *fds, unsigned count, int flags);

/* recvmsg(). If it fails, none came. */
ssize_t descriptors_receive(int socket, struct iovec *parts, size_t parts_count, struct descriptors *came, int flags);

/* Closes those from number `from` on. */
void descriptors_close(const struct descriptors *came, unsigned from);

#endif
