/*
 * The runtime folder. Locks, and why they are what they are: see the header.
 *
 * The lock file is removed at the end, by who holds its lock. Somebody may have opened it just before and get the lock of a file
 * that has no name any more; so after taking the lock one looks whether the path still leads to that file, and starts over if not.
 */
#include "master/runtime_dir.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "master/process.h"
#include "shm/log.h"

#define MASTER_BYTE 0
#define KEEPER_BYTE 1
#define REVIVED_BYTE 2
#define PROGRAMS_MAX (1u << 24)		/* bytes of a slot, one for each program that its keepers have executed. The first slot's are behind as many that are for other things */
#define LEAVE_MS 10000		/* for one that a keeper has started to leave */
#define POLL_MS 5
#define RACES_MAX 1000		/* masters that came and went just while this one opened the file */
#define CONTROL_BACKLOG 1024		/* a master that somebody has stopped is asked many times, and each asker stays in the queue */

__attribute__((format(printf, 2, 3))) static int fail(char *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, RUNTIME_DIR_ERROR_MAX, format, args);
	va_end(args);
	return -1;
}

static int take(int fd, short type, off_t byte)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return fcntl(fd, F_SETLK, &lock);
}

/* Who has a lock on one of these bytes that keeps others from it: a process id, 0 nobody, -1 somebody whom this process can't see (another pid namespace). */
static pid_t holder_of(int fd, short type, off_t from, off_t count)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = from, .l_len = count};

	if (fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		return 0;
	return lock.l_pid > 0 ? lock.l_pid : -1;
}

static pid_t holder(int fd, short type, off_t byte)
{
	return holder_of(fd, type, byte, 1);
}

static const char *process_text(pid_t pid, char *dst, size_t size)
{
	if (pid > 0)
		snprintf(dst, size, "process %d", (int)pid);
	else
		snprintf(dst, size, "a process of another container");
	return dst;
}

/* A folder that somebody else could write to is no place to trust a lock file in, /tmp above all. */
static int make_folder(const char *path, char *error)
{
	struct stat st;

	if (mkdir(path, 0755) == 0) {
		if (chmod(path, 0755) < 0)	/* (the umask may have left less) */
			return fail(error, "%s: chmod: %s", path, strerror(errno));
	} else if (errno != EEXIST) {
		return fail(error, "cannot make the runtime folder %s: %s", path, strerror(errno));
	}
	if (lstat(path, &st) < 0)
		return fail(error, "%s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return fail(error, "the runtime folder %s is not a folder", path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return fail(error, "the runtime folder %s belongs to another user (uid %u): start janus as that one, or with another runtime_dir", path, (unsigned)st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return fail(error, "the runtime folder %s may be written to by others (mode %04o): take one that is Janus's own",
			    path, (unsigned)(st.st_mode & 07777));
	return 0;
}

/* Is `name` still the file that is open as fd? */
static bool still_there(int fd, const char *name)
{
	struct stat open_st, named_st;

	return fstat(fd, &open_st) == 0 && lstat(name, &named_st) == 0 && open_st.st_dev == named_st.st_dev &&
	       open_st.st_ino == named_st.st_ino;
}

/* One that a keeper has started makes way for one that somebody starts: it is told to leave, as SIGUSR1 does. Whether it has gone. */
static bool leaves(int fd, pid_t pid)
{
	struct pollfd p = { .events = POLLIN };
	bool gone;

	if (pid <= 0 || holder(fd, F_RDLCK, REVIVED_BYTE) != pid)
		return false;
	p.fd = process_open((uint32_t)pid);
	if (p.fd < 0)
		return errno == ESRCH;
	log_info("process %d, which a keeper has started as the master, is told to leave", (int)pid);
	/* (As it is looked at once more, that number is still its own.) */
	gone = holder(fd, F_RDLCK, REVIVED_BYTE) != pid || (syscall(SYS_pidfd_send_signal, p.fd, SIGUSR1, NULL, 0) == 0 && poll(&p, 1, LEAVE_MS) > 0);
	close(p.fd);
	return gone;
}

/* The lock file's descriptor, its byte 0 locked. */
static int lock_master(const char *path, char *error)
{
	char name[SETTINGS_TEXT_MAX + 8], who[64];
	pid_t pid;
	int fd;

	snprintf(name, sizeof(name), "%s/lock", path);
	for (int i = 0; i < RACES_MAX; i++) {
		fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW, 0644);
		if (fd < 0)
			return fail(error, "cannot open %s: %s", name, strerror(errno));
		if (take(fd, F_WRLCK, MASTER_BYTE) == 0) {
			if (still_there(fd, name))
				return fd;
		} else if (errno != EACCES && errno != EAGAIN) {
			fail(error, "cannot lock %s: %s", name, strerror(errno));
			close(fd);
			return -1;
		} else if ((pid = holder(fd, F_WRLCK, MASTER_BYTE)) != 0 && !leaves(fd, pid)) {
			fail(error, "a janus runs in %s already: %s", path, process_text(pid, who, sizeof(who)));
			close(fd);
			return -1;
		}
		close(fd);
	}
	return fail(error, "cannot lock %s: it keeps changing", name);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* F_SETLKW would wait without a limit; so look again and again. Only after a master was killed is there anything to wait for. */
static int wait_for_keepers(int fd, const char *path, unsigned wait_ms, char *error)
{
	int64_t deadline = now_ms() + wait_ms;
	struct timespec pause = {.tv_nsec = POLL_MS * 1000000};
	char who[64];
	pid_t pid, named = 0;

	while ((pid = holder(fd, F_WRLCK, KEEPER_BYTE)) != 0) {
		process_text(pid, who, sizeof(who));
		if (now_ms() >= deadline)
			return fail(error, "a keeper that an earlier janus left behind in %s is still there: %s", path, who);
		if (pid != named)
			log_info("waiting for what an earlier janus left behind: %s", who);
		named = pid;
		nanosleep(&pause, NULL);
	}
	return 0;
}

int runtime_dir_control(const char *path, struct sockaddr_un *addr)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if ((size_t)snprintf(addr->sun_path, sizeof(addr->sun_path), "%s/control", path) >= sizeof(addr->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

/* Master's lock held: a control socket that is there belongs to nobody. */
static int remove_leftovers(const char *name, bool *there, char *error)
{
	struct stat st;

	if (lstat(name, &st) < 0)
		return errno == ENOENT ? 0 : fail(error, "%s: %s", name, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return fail(error, "%s is in the way and is no socket: remove it", name);
	if (unlink(name) < 0)
		return fail(error, "cannot remove %s: %s", name, strerror(errno));
	*there = true;
	log_info("removed %s, left behind by a janus that did not end by itself", name);
	return 0;
}

static int open_control(const struct sockaddr_un *addr, char *error)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return fail(error, "control socket: %s", strerror(errno));
	/* The mode of a socket becomes that of the file bind() makes: so it is never open to others. */
	if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ||
	    listen(fd, CONTROL_BACKLOG) < 0) {
		fail(error, "control socket %s: %s", addr->sun_path, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

int runtime_dir_lock(struct runtime_dir *dir, const char *path, char error[RUNTIME_DIR_ERROR_MAX])
{
	struct sockaddr_un addr;

	assert(strlen(path) < sizeof(dir->path));
	snprintf(dir->path, sizeof(dir->path), "%s", path);
	dir->left_behind = false;
	dir->control = -1;
	if (runtime_dir_control(path, &addr) < 0)
		return fail(error, "runtime_dir %s is too long: a socket's path may have %zu bytes, that leaves %zu for it", path,
			    sizeof(addr.sun_path) - 1, sizeof(addr.sun_path) - sizeof("/control"));
	if (make_folder(path, error) < 0)
		return -1;
	dir->lock = lock_master(path, error);
	return dir->lock < 0 ? -1 : 0;
}

int runtime_dir_wait(struct runtime_dir *dir, unsigned wait_ms, char error[RUNTIME_DIR_ERROR_MAX])
{
	return wait_for_keepers(dir->lock, dir->path, wait_ms, error);
}

int runtime_dir_serve(struct runtime_dir *dir, char error[RUNTIME_DIR_ERROR_MAX])
{
	struct sockaddr_un addr;

	(void)runtime_dir_control(dir->path, &addr);
	if (remove_leftovers(addr.sun_path, &dir->left_behind, error) < 0)
		return -1;
	dir->control = open_control(&addr, error);
	return dir->control < 0 ? -1 : 0;
}

int runtime_dir_open(struct runtime_dir *dir, const char *path, unsigned wait_ms, char error[RUNTIME_DIR_ERROR_MAX])
{
	if (runtime_dir_lock(dir, path, error) < 0)
		return -1;
	if (runtime_dir_wait(dir, wait_ms, error) == 0 && runtime_dir_serve(dir, error) == 0)
		return 0;
	/* The file stays: keepers may hold it. */
	close(dir->lock);
	return -1;
}

pid_t runtime_dir_master(int lock)
{
	return holder(lock, F_RDLCK, MASTER_BYTE);
}

pid_t runtime_dir_keeper(int lock)
{
	return holder(lock, F_WRLCK, KEEPER_BYTE);
}

/* A socket in the folder becomes its owner's alone, or the group's too. One that is not there need not be. 0, or -1 with errno. */
static int give(const char *path, uid_t uid, const struct group *gr)
{
	gid_t gid = gr ? gr->gr_gid : getegid();
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOENT ? 0 : -1;
	/* Its group first: it is never another group's that may connect. (Who is fenced in may not be able to give, and mostly need not: it is made in the group.) */
	if ((st.st_gid != gid || st.st_uid != uid) && chown(path, uid, gid) < 0)
		return -1;
	return chmod(path, gr ? 0660 : 0600);
}

int runtime_dir_share(const struct runtime_dir *dir, uid_t owner, const char *group, char error[RUNTIME_DIR_ERROR_MAX])
{
	const struct group *gr = *group ? getgrnam(group) : NULL;
	char admin[SETTINGS_TEXT_MAX + 8];
	struct sockaddr_un addr;
	struct stat st;

	if (*group && !gr)
		return fail(error, "control_group: there is no group `%s`", group);
	snprintf(admin, sizeof(admin), "%s/admin", dir->path);
	if (runtime_dir_control(dir->path, &addr) < 0 || give(addr.sun_path, owner, gr) < 0 || give(admin, owner, gr) < 0)
		return fail(error, "the sockets in %s can't be given to user %u%s%s: %s", dir->path, (unsigned)owner, *group ? " and control_group = " : "", group, strerror(errno));
	/* A folder that others may not enter is entered by the group. */
	if (gr && stat(dir->path, &st) == 0 && !(st.st_mode & S_IXOTH) && (st.st_gid != gr->gr_gid || !(st.st_mode & S_IXGRP)) &&
	    (chown(dir->path, (uid_t)-1, gr->gr_gid) < 0 || chmod(dir->path, (st.st_mode & 07777) | S_IXGRP) < 0))
		return fail(error, "control_group = %s: %s: %s", group, dir->path, strerror(errno));
	return 0;
}

void runtime_dir_close(struct runtime_dir *dir)
{
	struct sockaddr_un addr;
	char name[SETTINGS_TEXT_MAX + 8];

	snprintf(name, sizeof(name), "%s/lock", dir->path);
	/* While the lock is held, both names are this master's; unless somebody removed the file by hand, and another master started. */
	if (runtime_dir_control(dir->path, &addr) == 0 && still_there(dir->lock, name)) {
		unlink(addr.sun_path);
		unlink(name);
	}
	close(dir->control);
	close(dir->lock);
	dir->control = dir->lock = -1;
}

struct runtime_dir_holders runtime_dir_holders(const char *path)
{
	struct runtime_dir_holders holders = { 0 };
	char name[SETTINGS_TEXT_MAX + 8];
	int fd;

	snprintf(name, sizeof(name), "%s/lock", path);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return holders;
	holders.master = holder(fd, F_RDLCK, MASTER_BYTE);
	holders.keeper = holder(fd, F_WRLCK, KEEPER_BYTE);
	close(fd);
	return holders;
}

int runtime_dir_take(struct runtime_dir *dir, int lock, char error[RUNTIME_DIR_ERROR_MAX])
{
	char name[SETTINGS_TEXT_MAX + 8], who[64];

	dir->left_behind = false;
	dir->control = dir->lock = -1;
	snprintf(name, sizeof(name), "%s/lock", dir->path);
	if (!still_there(lock, name))
		return fail(error, "%s is another file than the keepers' by now", name);
	if (take(lock, F_WRLCK, MASTER_BYTE) < 0)
		return fail(error, "there is a master already: %s", process_text(holder(lock, F_WRLCK, MASTER_BYTE), who, sizeof(who)));
	if (take(lock, F_WRLCK, REVIVED_BYTE) < 0)
		return fail(error, "cannot lock %s: %s", name, strerror(errno));
	dir->lock = lock;
	return 0;
}

int runtime_dir_hold(int lock)
{
	return take(lock, F_RDLCK, KEEPER_BYTE);
}

int runtime_dir_hold_anew(int lock)
{
	(void)!take(lock, F_UNLCK, KEEPER_BYTE);
	return runtime_dir_hold(lock);
}

static off_t byte_of(unsigned slot, uint32_t program)
{
	return (off_t)(slot + 1) * PROGRAMS_MAX + program % PROGRAMS_MAX;
}

int runtime_dir_hold_program(int lock, unsigned slot, uint32_t *program)
{
	int r = -1;

	for (unsigned i = 0; i < RACES_MAX && r < 0; i++) {
		r = take(lock, F_WRLCK, byte_of(slot, *program));
		if (r < 0 && errno != EACCES && errno != EAGAIN)
			return -1;
		*program += r < 0;
	}
	return r;
}

bool runtime_dir_followed(int lock, unsigned slot, uint32_t program)
{
	off_t next = byte_of(slot, program) + 1;

	return holder_of(lock, F_RDLCK, next, byte_of(slot + 1, 0) - next) != 0;
}
