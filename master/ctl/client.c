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
#include "shm/descriptors.h"
#include "shm/hub.h"
#include "shm/slot.h"

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

/* Descriptors that come with a packet: the first `room` of them, any others are closed. */
struct passed {
	int *fds;
	unsigned room, count;
};

static void keep(const struct descriptors *came, struct passed *passed)
{
	unsigned kept = 0;

	while (kept < came->count && passed->count < passed->room)
		passed->fds[passed->count++] = came->fd[kept++];
	descriptors_close(came, kept);
}

/* The next packet's length, or -1 with errno. */
static ssize_t receive(int fd, void *dst, size_t size, struct passed *passed)
{
	struct iovec iov = {dst, size};
	struct descriptors came;
	ssize_t len;

	do
		len = descriptors_receive(fd, &iov, 1, &came, MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len < 0) {
		if (errno == EAGAIN)
			errno = ETIMEDOUT;
		return -1;
	}
	keep(&came, passed);
	if (len > 0 && !(came.flags & MSG_TRUNC))
		return len;
	errno = len ? EBADMSG : ECONNRESET;
	return -1;
}

static ssize_t exchange(int fd, const void *request, size_t len, unsigned wait_seconds, void *reply, struct passed *passed)
{
	struct timeval wait = {.tv_sec = wait_seconds};

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

ssize_t control_client_exchange(int fd, const void *request, size_t len, unsigned wait_seconds, void *reply)
{
	struct passed none = { 0 };

	return exchange(fd, request, len, wait_seconds, reply, &none);
}

static int call(int fd, const void *request, size_t request_len, unsigned wait_seconds, struct control_reply *reply, struct control_status *status,
		struct passed *passed)
{
	uint8_t packet[CONTROL_PACKET_MAX];
	ssize_t len = exchange(fd, request, request_len, wait_seconds, packet, passed);
	int saved;

	if (len < 0 || control_reply_unpack(packet, (size_t)len, reply, status) < 0)
		goto err;
	if (reply->ok)
		return 0;
	while (passed->count > 0)
		close(passed->fds[--passed->count]);
	return 0;
err:
	saved = errno;
	while (passed->count > 0)
		close(passed->fds[--passed->count]);
	errno = saved;
	return -1;
}

int control_client_call(int fd, enum control_command command, unsigned wait_seconds, struct control_reply *reply,
			struct control_status *status, int *passed)
{
	struct passed none = { 0 }, one = { .fds = passed, .room = 1 };

	uint8_t request[CONTROL_REQUEST_MAX];
	int rc = call(fd, request, control_request_pack(request, command), wait_seconds, reply, status, passed ? &one : &none);

	if (passed && one.count == 0)
		*passed = -1;
	return rc;
}

int control_client_slots(int fd, unsigned wait_seconds, struct control_reply *reply, int *fds)
{
	struct passed passed = { .fds = fds, .room = INDEX_SLOTS_MAX };

	uint8_t request[CONTROL_REQUEST_MAX];

	return call(fd, request, control_request_pack(request, CONTROL_SLOTS), wait_seconds, reply, NULL, &passed) < 0 ? -1 : (int)passed.count;
}

int control_client_act(int fd, const struct control_request *what, unsigned wait_seconds, struct control_reply *reply)
{
	struct passed none = { 0 };
	uint8_t request[CONTROL_REQUEST_MAX];

	return call(fd, request, control_request_write(request, what), wait_seconds, reply, NULL, &none);
}

int control_client_wait_end(int fd, unsigned wait_seconds)
{
	struct timeval wait = {.tv_sec = wait_seconds};
	ssize_t n;
	char byte;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
		return -1;
	do
		n = recv(fd, &byte, 1, 0);
	while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0 && errno == EAGAIN)
		errno = ETIMEDOUT;
	return n == 0 || errno == ECONNRESET ? 0 : -1;
}

/* Opens descriptors in the folder that are memfds whose names begin so, for reading: up to `most`. How many. */
static unsigned open_memfds_in(DIR *dir, const char *name, int *fds, unsigned most)
{
	const struct dirent *entry;
	char wanted[64], target[64];
	size_t len = (size_t)snprintf(wanted, sizeof(wanted), "/memfd:%s", name);
	unsigned found = 0;

	while (found < most && (entry = readdir(dir)) != NULL) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target));
		int fd;

		if (n <= (ssize_t)len || memcmp(target, wanted, len) != 0)
			continue;
		fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			fds[found++] = fd;
	}
	return found;
}

pid_t control_client_peer(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.pid : 0;
}

static unsigned find_memfds(pid_t pid, const char *name, int *fds, unsigned most)
{
	unsigned found;
	char path[64];
	int saved;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	errno = ENOENT;
	found = open_memfds_in(dir, name, fds, most);
	saved = errno;
	closedir(dir);
	errno = saved;
	return found;
}

int control_client_find_hub(pid_t pid)
{
	int hub;

	return find_memfds(pid, HUB_SEGMENT " ", &hub, 1) ? hub : -1;	/* (deleted) */
}

unsigned control_client_find_slots(pid_t pid, int *fds, unsigned most)
{
	return find_memfds(pid, SLOT_SEGMENT, fds, most);
}

int control_client_slot_of(int fd)
{
	static const char begins[] = "/memfd:" SLOT_SEGMENT;
	char path[64], target[64];
	ssize_t n;
	unsigned slot;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -1;
	target[n] = '\0';
	if (strncmp(target, begins, sizeof(begins) - 1) != 0 || sscanf(target + sizeof(begins) - 1, "%2u ", &slot) != 1 || slot >= INDEX_SLOTS_MAX)
		return -1;
	return (int)slot;
}
