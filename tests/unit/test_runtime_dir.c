/*
 * The runtime folder: one master at a time, keepers that outlive theirs, what a killed one leaves behind, folders that won't do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "master/runtime_dir.h"
#include "shm/log.h"

static char base[64], path[128], control[160], lock[160], error[RUNTIME_DIR_ERROR_MAX];

static int setup(void **state)
{
	(void)state;
	strcpy(base, "/tmp/janus-test-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	snprintf(path, sizeof(path), "%s/run", base);
	snprintf(control, sizeof(control), "%s/control", path);
	snprintf(lock, sizeof(lock), "%s/lock", path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(control);
	unlink(lock);
	rmdir(path);
	return rmdir(base);
}

static bool exists(const char *name)
{
	struct stat st;

	return lstat(name, &st) == 0;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A process that runs `body` and tells what it returned through *told, then stays until it is killed. */
static pid_t other(int (*body)(void), int *told)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(60);
		close(fds[0]);
		*told = body();
		if (write(fds[1], told, sizeof(*told)) != sizeof(*told))
			_exit(1);
		close(fds[1]);
		for (;;)
			pause();
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], told, sizeof(*told)), sizeof(*told));
	close(fds[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static struct runtime_dir theirs;

static int be_master(void)
{
	return runtime_dir_open(&theirs, path, 0, error);
}

/* What the lock file bears is a keeper's lock; as if the master that made it were gone. */
static int be_keeper(void)
{
	return runtime_dir_hold(open(lock, O_RDONLY));
}

static void must_open(struct runtime_dir *dir, unsigned wait_ms)
{
	if (runtime_dir_open(dir, path, wait_ms, error) < 0)
		fail_msg("%s", error);
}

static void opens_and_closes(void **state)
{
	struct runtime_dir dir;
	struct sockaddr_un addr;
	struct stat st;
	int fd;

	(void)state;
	/* An open umask adds nothing, and a narrow one takes nothing away that must be. */
	for (mode_t mask = 0; mask <= 077; mask += 077) {
		mode_t before = umask(mask);

		must_open(&dir, 0);
		umask(before);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0755);
		assert_int_equal(stat(control, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		if (mask == 0) {
			runtime_dir_close(&dir);
			assert_int_equal(rmdir(path), 0);
		}
	}
	assert_int_equal(fcntl(dir.lock, F_GETFD), 0);
	assert_int_equal(fcntl(dir.control, F_GETFD), FD_CLOEXEC);
	assert_int_not_equal(fcntl(dir.control, F_GETFL) & O_NONBLOCK, 0);

	assert_int_equal(runtime_dir_control(path, &addr), 0);
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);

	runtime_dir_close(&dir);
	assert_false(exists(control));
	assert_false(exists(lock));
	must_open(&dir, 0);		/* the folder is there now */
	runtime_dir_close(&dir);
}

static void one_master(void **state)
{
	char expected[300];
	struct runtime_dir dir;
	int told;
	pid_t pid = other(be_master, &told);

	(void)state;
	assert_int_equal(told, 0);
	assert_int_equal(runtime_dir_open(&dir, path, 1000, error), -1);
	snprintf(expected, sizeof(expected), "a janus runs in %s already: process %d", path, (int)pid);
	assert_string_equal(error, expected);
	assert_true(exists(control));
	end(pid);

	/* it was killed: its socket is there still, and in nobody's way */
	assert_true(exists(control));
	must_open(&dir, 0);
	assert_true(exists(control));
	runtime_dir_close(&dir);
}

/* Somebody removed the lock file by hand, and another master started: its files are not touched. */
static void removed_lock(void **state)
{
	struct runtime_dir dir;
	struct stat old, new;
	int told;
	pid_t pid;

	(void)state;
	must_open(&dir, 0);
	assert_int_equal(fstat(dir.lock, &old), 0);
	assert_int_equal(unlink(lock), 0);
	pid = other(be_master, &told);
	assert_int_equal(told, 0);
	assert_int_equal(stat(lock, &new), 0);
	assert_int_not_equal(old.st_ino, new.st_ino);
	runtime_dir_close(&dir);
	assert_true(exists(lock) && exists(control));
	assert_int_equal(runtime_dir_open(&dir, path, 0, error), -1);
	end(pid);
}

/* Masters that start and end all the time, each alone while it lives: who gets the lock of a file that was removed starts over. */
static int come_and_go(void)
{
	struct runtime_dir dir;
	int got = 0, marker, rounds;
	char name[160];

	snprintf(name, sizeof(name), "%s/marker", base);
	for (rounds = 0; rounds < 300 || (got == 0 && rounds < 100000); rounds++) {
		if (runtime_dir_open(&dir, path, 0, error) < 0) {
			if (!strstr(error, "runs in"))
				return -1;
			if (rounds >= 300)
				usleep(100);	/* who has it may not be running */
			continue;
		}
		marker = open(name, O_CREAT | O_EXCL, 0600);
		if (marker < 0)
			return -2;		/* two at a time */
		sched_yield();
		close(marker);
		unlink(name);
		runtime_dir_close(&dir);
		got++;
	}
	return got;
}

static void masters_race(void **state)
{
	int told[3], status;
	pid_t pid[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			int got = come_and_go();

			_exit(got > 0 ? 0 : 10 - got);
		}
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		told[i] = status;
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(told[i], 0);
	assert_false(exists(lock));
}

static void waits_for_keepers(void **state)
{
	char expected[300];
	struct runtime_dir dir;
	int told, status;
	int64_t began;
	pid_t keeper, master, killer;

	(void)state;
	master = other(be_master, &told);
	assert_int_equal(told, 0);
	keeper = other(be_keeper, &told);
	assert_int_equal(told, 0);
	end(master);

	began = now_ms();
	assert_int_equal(runtime_dir_open(&dir, path, 100, error), -1);
	assert_true(now_ms() - began >= 100);
	snprintf(expected, sizeof(expected), "a keeper that an earlier janus left behind in %s is still there: process %d", path,
		 (int)keeper);
	assert_string_equal(error, expected);
	assert_true(exists(lock));

	killer = fork();
	if (killer == 0) {
		struct timespec t = {.tv_nsec = 50000000};

		nanosleep(&t, NULL);
		_exit(kill(keeper, SIGKILL));
	}
	must_open(&dir, 20000);
	assert_int_equal(waitpid(keeper, NULL, WNOHANG), keeper);
	assert_true(exists(control));
	waitpid(killer, &status, 0);
	assert_int_equal(status, 0);
	runtime_dir_close(&dir);
}

/* ---- a keeper that shares its descriptor table with a worker ---- */

static pid_t worker;

static int be_keeper_with_worker(void)
{
	int fd = open(lock, O_RDONLY);

	if (runtime_dir_hold(fd) < 0)
		return -1;
	worker = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (worker == 0)
		alarm(60);
	for (; worker == 0;)
		pause();
	return worker;
}

static void worker_holds_on(void **state)
{
	struct runtime_dir dir;
	int told, rc;
	pid_t master = other(be_master, &told), keeper;

	(void)state;
	assert_int_equal(told, 0);
	keeper = other(be_keeper_with_worker, &told);
	assert_true(told > 0);
	end(master);
	end(keeper);
	/* the keeper is gone; its table lives on in the worker, with all its sockets: and so does the lock */
	rc = runtime_dir_open(&dir, path, 0, error);
	kill(told, SIGKILL);		/* before anything can fail: nobody else would end it */
	assert_int_equal(rc, -1);
	assert_non_null(strstr(error, "still there"));
	must_open(&dir, 20000);
	runtime_dir_close(&dir);
}

/* ---- programs that the keepers of a slot execute ---- */

static int be_program(void)
{
	uint32_t program = 5;
	int fd = open(lock, O_RDWR);

	return runtime_dir_hold_program(fd, 3, &program) < 0 ? -1 : (int)program;
}

static void programs_follow(void **state)
{
	pid_t first, second;
	int told, fd;

	(void)state;
	assert_int_equal(mkdir(path, 0700), 0);
	fd = open(lock, O_RDWR | O_CREAT, 0600);
	first = other(be_program, &told);
	assert_int_equal(told, 5);
	second = other(be_program, &told);		/* (somebody has that byte) */
	assert_int_equal(told, 6);
	assert_true(runtime_dir_followed(fd, 3, 4));
	assert_true(runtime_dir_followed(fd, 3, 5));
	assert_false(runtime_dir_followed(fd, 3, 6));
	assert_false(runtime_dir_followed(fd, 2, 4));
	assert_false(runtime_dir_followed(fd, 4, 4));
	end(second);
	assert_false(runtime_dir_followed(fd, 3, 5));
	assert_true(runtime_dir_followed(fd, 3, 4));
	end(first);
	assert_false(runtime_dir_followed(fd, 3, 4));
	close(fd);
}

static void keepers_of_one_master(void **state)
{
	struct runtime_dir dir;
	int told;
	pid_t keeper[3];

	(void)state;
	must_open(&dir, 0);
	for (int i = 0; i < 3; i++) {
		keeper[i] = other(be_keeper, &told);
		assert_int_equal(told, 0);
	}
	for (int i = 0; i < 3; i++)
		end(keeper[i]);
	runtime_dir_close(&dir);
	assert_int_equal(runtime_dir_hold(-1), -1);
	assert_int_equal(errno, EBADF);
}

static void folders_that_wont_do(void **state)
{
	struct runtime_dir dir;
	char deep[300], expected[500];
	FILE *f;

	(void)state;
	snprintf(deep, sizeof(deep), "%s/no/run", base);
	assert_int_equal(runtime_dir_open(&dir, deep, 0, error), -1);
	snprintf(expected, sizeof(expected), "cannot make the runtime folder %s: No such file or directory", deep);
	assert_string_equal(error, expected);

	memset(deep, 'x', sizeof(deep));
	deep[0] = '/';
	deep[100] = '\0';
	assert_int_equal(runtime_dir_open(&dir, deep, 0, error), -1);
	assert_non_null(strstr(error, "is too long: a socket's path may have 107 bytes, that leaves 99 for it"));
	assert_false(exists(deep));

	assert_int_equal(mkdir(path, 0700) | chmod(path, 01777), 0);
	assert_int_equal(runtime_dir_open(&dir, path, 0, error), -1);
	assert_non_null(strstr(error, "may be written to by others (mode 1777)"));
	assert_int_equal(chmod(path, 0700), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 12345, 0), 0);
		assert_int_equal(runtime_dir_open(&dir, path, 0, error), -1);
		assert_non_null(strstr(error, "belongs to another user (uid 12345)"));
		assert_int_equal(chown(path, 0, 0), 0);
	}
	f = fopen(control, "w");
	fclose(f);
	assert_int_equal(runtime_dir_open(&dir, path, 0, error), -1);
	snprintf(expected, sizeof(expected), "%s is in the way and is no socket: remove it", control);
	assert_string_equal(error, expected);
	assert_int_equal(unlink(control) | unlink(lock), 0);

	assert_int_equal(symlink("/etc/hostname", lock), 0);
	assert_int_equal(runtime_dir_open(&dir, path, 0, error), -1);
	assert_non_null(strstr(error, "lock: Too many levels of symbolic links"));
	assert_int_equal(unlink(lock) | rmdir(path), 0);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_int_equal(runtime_dir_open(&dir, path, 0, error), -1);
	assert_non_null(strstr(error, "is not a folder"));
	unlink(path);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(opens_and_closes),
		CASE(one_master),
		CASE(removed_lock),
		CASE(masters_race),
		CASE(waits_for_keepers),
		CASE(worker_holds_on),
		CASE(programs_follow),
		CASE(keepers_of_one_master),
		CASE(folders_that_wont_do),
	};

	alarm(60);
	log_init("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("runtime_dir", tests, NULL, NULL);
}
