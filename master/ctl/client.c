/*
 * janusctl's end of the control socket.
 */
#include "master/ctl/client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "master/config.h"
#include "master/runtime_dir.h"
#include "shm/hub.h"

_Static_assert(CONTROL_LISTEN_MAX >= LISTENERS_MAX && CONTROL_WORKERS_MAX >= WORKERS_MAX, "a status has room for all");
_Static_assert(sizeof(((struct control_status *)0)->listen[0]) >= sizeof(((struct listen_address *)0)->url), "and for a URL");
_Static_assert(sizeof(((struct control_status *)0)->file) >= sizeof(((struct config *)0)->file), "and for the file's name");
_Static_assert(sizeof(((struct control_status *)0)->runtime_dir) >= SETTINGS_TEXT_MAX, "and for the folder's");

#define CONNECT_SECONDS 5	/* when the master does not accept and its backlog is full */

int control_client_open(const char *runtime_dir)
{
	struct timeval wait = {.tv_sec = CONNECT_SECONDS};
	struct sockaddr_un addr;
	int fd, saved;

	if (runtime_dir_control(runtime_dir, &addr) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0 ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		saved = errno == EAGAIN ? ETIMEDOUT : errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/* The first descriptor that came with the packet, or -1; any others are closed. */
static int take_descriptor(struct msghdr *msg)
{
	int taken = -1, fd;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(fd) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(fd)) {
			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			if (taken < 0)
				taken = fd;
			else
				close(fd);
		}
	}
	return taken;
}

/* The next packet's length, or -1 with errno. */
static ssize_t receive(int fd, void *dst, size_t size, int *passed)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = {dst, size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t len;

	do
		len = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len < 0) {
		if (errno == EAGAIN)
			errno = ETIMEDOUT;
		return -1;
	}
	*passed = take_descriptor(&msg);
	if (len > 0 && !(msg.msg_flags & MSG_TRUNC))
		return len;
	errno = len ? EBADMSG : ECONNRESET;
	return -1;
}

ssize_t control_client_exchange(int fd, const void *request, size_t len, unsigned wait_seconds, void *reply, int *passed)
{
	struct timeval wait = {.tv_sec = wait_seconds};

	*passed = -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0)
		return -1;
	if (send(fd, request, len, MSG_NOSIGNAL) < 0) {
		errno = errno == EPIPE ? ECONNRESET : errno == EAGAIN ? ETIMEDOUT : errno;
		return -1;
	}
	return receive(fd, reply, CONTROL_PACKET_MAX, passed);
}

int control_client_call(int fd, enum control_command command, unsigned wait_seconds, struct control_reply *reply,
			struct control_status *status, int *passed)
{
	uint8_t packet[CONTROL_PACKET_MAX], request[CONTROL_ARGUMENT_MAX];
	int came, saved;
	ssize_t len = control_client_exchange(fd, request, control_request_pack(request, command), wait_seconds, packet, &came);

	if (passed)
		*passed = -1;
	if (len < 0 || control_reply_unpack(packet, (size_t)len, reply, status) < 0)
		goto err;
	if (passed && reply->ok)
		*passed = came;
	else if (came >= 0)
		close(came);
	return 0;
err:
	saved = errno;
	if (came >= 0)
		close(came);
	errno = saved;
	return -1;
}

/* The descriptor in the folder that is the hub segment, or -1 with errno. */
static int open_hub_in(DIR *dir)
{
	static const char hub[] = "/memfd:" HUB_SEGMENT;
	const struct dirent *entry;
	char target[sizeof(hub)];

	while ((entry = readdir(dir)) != NULL)
		if (readlinkat(dirfd(dir), entry->d_name, target, sizeof(target)) == (ssize_t)sizeof(target) &&
		    memcmp(target, hub, sizeof(hub) - 1) == 0 && target[sizeof(hub) - 1] == ' ')	/* (deleted) */
			return openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
	errno = ENOENT;
	return -1;
}

int control_client_find_hub(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	char path[64];
	int found, saved;
	DIR *dir;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)peer.pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	found = open_hub_in(dir);
	saved = errno;
	closedir(dir);
	errno = saved;
	return found;
}
