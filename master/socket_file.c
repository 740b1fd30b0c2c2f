/*
 * The file of a Unix listen socket. See socket_file.h.
 *
 * Between finding that nobody accepts on a file and removing it, another server may do the same and put its own there; and one that has
 * bound its socket and does not listen yet looks like a dead one. So all this is done under a lock of the folder. It is a matter
 * of microseconds; somebody who holds such a lock for longer is none of ours, and must not keep a server from starting: after a while it
 * is done without. So it is where a folder can't be locked (NFS) or not be read.
 */
#include "master/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "shm/log.h"

#define LOCK_POLL_MS 2
#define LOCK_PATIENCE_MS 500

/* ---- the lock ---- */

/* The folder's descriptor, locked; or -1. */
static int lock_folder(const char *path)
{
	struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000000};
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd;

	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path + 1), path);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += LOCK_POLL_MS) {
		if ((errno != EWOULDBLOCK && errno != EINTR) || waited >= LOCK_PATIENCE_MS) {
			log_warning("%s: can't be locked: %s; going on without", folder, strerror(errno));
			close(fd);
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}

static void unlock_folder(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* ---- the file ---- */

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	return addr;
}

/* 0: nobody accepts on the socket at the path, or it is gone. EADDRINUSE: somebody does. Another errno: that can't be told. */
static int probe(const char *path)
{
	struct sockaddr_un addr = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;

	if (fd < 0)
		return errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		error = EADDRINUSE;
	else if (errno == EAGAIN || errno == EPROTOTYPE)	/* its queue is full; of another type */
		error = EADDRINUSE;
	else if (errno != ECONNREFUSED && errno != ENOENT)
		error = errno;
	close(fd);
	return error;
}

/* What is at the path: 0, nothing that a server would mind, *left: one that nobody accepts on; or an errno, and why[]. */
static int look(const char *path, bool *left, char *why, size_t size)
{
	struct stat st;
	int error;

	*left = false;
	if (lstat(path, &st) < 0) {
		error = errno == ENOENT ? 0 : errno;
		snprintf(why, size, "%s", strerror(error));
		return error;
	}
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, size, "what is there is no socket: remove it, or take another path");
		return EEXIST;
	}
	error = probe(path);
	*left = error == 0;
	if (error == EADDRINUSE)
		snprintf(why, size, "the socket is in use: somebody accepts connections there");
	else if (error)
		snprintf(why, size, "what is there can't be replaced: %s", strerror(error));
	return error;
}

/* Something is at the path: removes it if it is a socket that nobody accepts on. */
static int clear_path(const char *path, char *why, size_t size)
{
	bool left;
	int error = look(path, &left, why, size);

	if (left && unlink(path) < 0 && errno != ENOENT) {
		error = errno;
		snprintf(why, size, "what is there can't be replaced: %s", strerror(error));
	} else if (left) {
		log_info("removed %s, left behind by a server that did not end by itself", path);
	}
	errno = error;
	return error ? -1 : 0;
}

int socket_file_try(const char *path, char *why, size_t size)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	bool left;
	int error = look(path, &left, why, size);

	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path + 1), path);
	if (!error && access(folder, W_OK | X_OK) < 0) {
		error = errno;
		snprintf(why, size, "%s: %s", folder, strerror(error));
	}
	errno = error;
	return error ? -1 : 0;
}

/* bind() makes the file, with what the umask leaves. */
static int bind_file(int fd, const char *path, mode_t mode)
{
	struct sockaddr_un addr = address_of(path);
	mode_t before = umask(0777 & ~mode);
	int r = bind(fd, (struct sockaddr *)&addr, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1));
	int error = errno;

	umask(before);
	errno = error;
	return r;
}

static int make(int fd, const char *path, mode_t mode, int backlog, struct socket_file *file, char *why, size_t size)
{
	struct stat st;

	if (bind_file(fd, path, mode) < 0) {
		if (errno != EADDRINUSE)
			goto err;
		if (clear_path(path, why, size) < 0)
			return -1;
		if (bind_file(fd, path, mode) < 0)
			goto err;
	}
	if (lstat(path, &st) < 0)
		goto err;
	file->dev = st.st_dev;
	file->ino = st.st_ino;
	if (listen(fd, backlog) == 0)
		return 0;
	snprintf(why, size, "listen: %s", strerror(errno));
	unlink(path);
	return -1;
err:
	snprintf(why, size, "%s", strerror(errno));
	return -1;
}

int socket_file_listen(int fd, const char *path, mode_t mode, int backlog, struct socket_file *file, char *why, size_t size)
{
	int lock = lock_folder(path);
	int r = make(fd, path, mode, backlog, file, why, size);

	unlock_folder(lock);
	return r;
}

bool socket_file_in_place(const struct socket_file *file, const char *path)
{
	struct stat st;

	/* (What a keeper says of it may be anything, and what is removed for it must be a socket's.) */
	return file->ino && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_dev == file->dev && st.st_ino == file->ino;
}

void socket_file_remove(const struct socket_file *file, const char *path)
{
	int lock = lock_folder(path);

	if (socket_file_in_place(file, path) && unlink(path) < 0)
		log_warning("%s: can't be removed: %s", path, strerror(errno));
	unlock_folder(lock);
}
