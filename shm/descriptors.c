/*
 * Descriptors in messages. See descriptors.h.
 */
#include "shm/descriptors.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(int) * DESCRIPTORS_MAX) + CMSG_SPACE(sizeof(struct ucred))];
};

ssize_t descriptors_send(int socket, const struct iovec *parts, size_t parts_count, const int *fds, unsigned count, int flags)
{
	union control control;
	struct msghdr msg = { .msg_iov = (struct iovec *)(void *)parts, .msg_iovlen = parts_count };

	if (count > 0) {
		memset(&control, 0, CMSG_SPACE(sizeof(int) * count));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * count);
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * count);
	}
	return sendmsg(socket, &msg, flags | MSG_NOSIGNAL);
}

static void take(struct descriptors *came, struct cmsghdr *c)
{
	struct ucred who;

	if (c->cmsg_level != SOL_SOCKET)
		return;
	if (c->cmsg_type == SCM_CREDENTIALS) {
		memcpy(&who, CMSG_DATA(c), sizeof(who));
		came->sender = who.pid;
	} else if (c->cmsg_type == SCM_RIGHTS) {
		came->count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(came->fd, CMSG_DATA(c), came->count * sizeof(int));
	}
}

ssize_t descriptors_receive(int socket, struct iovec *parts, size_t parts_count, struct descriptors *came, int flags)
{
	union control control;
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = parts_count, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(socket, &msg, flags);

	came->count = 0;
	came->flags = 0;
	came->sender = 0;
	if (n < 0)
		return n;
	came->flags = msg.msg_flags;
	/* (A message has all its descriptors in one of these.) */
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		take(came, c);
	return n;
}

void descriptors_close(const struct descriptors *came, unsigned from)
{
	for (unsigned i = from; i < came->count; i++)
		close(came->fd[i]);
}
