/*
 * A keeper's door. See door.h.
 */
#include "master/door.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "master/runtime_dir.h"
#include "shm/index.h"
#include "shm/log.h"

#define KNOCKS_MAX 16

static int address_of(struct sockaddr_un *addr, const char *runtime_dir, unsigned slot)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if ((size_t)snprintf(addr->sun_path, sizeof(addr->sun_path), "%s/slot.%u", runtime_dir, slot) < sizeof(addr->sun_path))
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

static int fail(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
	return -1;
}

/* ---- the master ---- */

int door_open(const char *runtime_dir, unsigned slot, uid_t owner)
{
	struct sockaddr_un addr;
	int fd;

	if (address_of(&addr, runtime_dir, slot) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (unlink(addr.sun_path) < 0 && errno != ENOENT)
		return fail(fd);
	/* The mode of a socket becomes that of the file that bind() makes. */
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, KNOCKS_MAX) < 0)
		return fail(fd);
	/* (Who is fenced in may not be able to give it: then root alone may connect, who is the next master.) */
	if (owner != geteuid())
		(void)!chown(addr.sun_path, owner, (gid_t)-1);
	return fd;
}

void door_remove(const char *runtime_dir, unsigned slot)
{
	struct sockaddr_un addr;

	if (address_of(&addr, runtime_dir, slot) == 0)
		unlink(addr.sun_path);
}

void door_remove_all(const char *runtime_dir)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		door_remove(runtime_dir, i);
}

bool door_there(const char *runtime_dir, unsigned slot)
{
	struct sockaddr_un addr;

	return address_of(&addr, runtime_dir, slot) == 0 && access(addr.sun_path, F_OK) == 0;
}

bool door_any(const char *runtime_dir)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (door_there(runtime_dir, i))
			return true;
	return false;
}

int door_connect(const char *runtime_dir, unsigned slot)
{
	struct sockaddr_un addr;
	int fd, on = 1;

	if (address_of(&addr, runtime_dir, slot) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return fail(fd);
	return fd;
}

/* ---- the keeper ---- */

int door_answer(int door, int lock, pid_t *master)
{
	int fd = accept(door, NULL, NULL);
	struct ucred who;
	socklen_t len = sizeof(who);

	if (fd < 0)
		return -1;
	/* (One of another pid namespace has no number here, and is none.) */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.pid > 0 && who.pid == runtime_dir_master(lock)) {
		*master = who.pid;
		return fd;
	}
	log_warning_limited("process %d of user %u knocked at the door, and is not the master", (int)who.pid, (unsigned)who.uid);
	close(fd);
	return -1;
}
