/*
 * What a keeper has comes out at the master's end under its own names, in however many packets, and nothing else stays open; and who knocks at a keeper's door is answered only if it is the master.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/adopt.h"
#include "master/door.h"
#include "master/orders.h"

#define SLOT 3
#define LISTENERS 2

static unsigned count_open(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(folder))
		n++;
	closedir(folder);
	return n;
}

static ino_t inode(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

struct fixture {
	int master, keeper, program;
	struct handover h, got;
	struct adopt_told told;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int on = 1;

	assert_int_equal(orders_open(&f->master, &f->keeper), 0);
	assert_int_equal(setsockopt(f->master, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	f->program = memfd_create("program", 0);
	settings_defaults(&f->h.settings);
	f->h.slot = SLOT;
	f->h.hub = memfd_create("hub", 0);
	f->h.secrets = f->h.fetched = -1;
	f->h.tickets = memfd_create("tickets", 0);
	f->h.control = memfd_create("control", 0);
	f->h.slots[SLOT].segment = memfd_create("segment", 0);
	f->h.listeners = LISTENERS;
	for (int i = 0; i < LISTENERS; i++) {
		f->h.listen[i].fd = memfd_create("listener", 0);
		strcpy(f->h.listen[i].url, "tcp://127.0.0.1:1");
	}
	for (int i = 0; i < INDEX_SLOTS_MAX; i++) {
		f->h.wake[i] = memfd_create("wake", 0);
		f->h.queue[i] = memfd_create("queue", 0);
	}
	f->h.reload_number = 77;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void told(void **state)
{
	struct fixture *f = *state;
	unsigned open = count_open();
	int program;

	assert_int_equal(adopt_hear(f->master, &f->told), ADOPT_MORE);
	/* (Asked twice: what came first is let go.) */
	assert_int_equal(adopt_tell(f->keeper, &f->h, f->program), 0);
	assert_int_equal(adopt_hear(f->master, &f->told), ADOPT_WHOLE);
	assert_int_equal(adopt_tell(f->keeper, &f->h, f->program), 0);
	assert_int_equal(adopt_hear(f->master, &f->told), ADOPT_WHOLE);
	assert_int_equal(f->told.keeper, getpid());
	assert_int_equal(adopt_take(&f->told, &f->got, &program), 0);
	assert_int_equal(f->got.reload_number, 77);
	assert_int_equal(inode(program), inode(f->program));
	assert_int_equal(inode(f->got.hub), inode(f->h.hub));
	assert_int_equal(inode(f->got.tickets), inode(f->h.tickets));
	assert_int_equal(inode(f->got.control), inode(f->h.control));
	assert_int_equal(inode(f->got.slots[SLOT].segment), inode(f->h.slots[SLOT].segment));
	assert_int_equal(f->got.secrets, -1);
	assert_int_equal(f->got.fetched, -1);
	for (int i = 0; i < LISTENERS; i++)
		assert_int_equal(inode(f->got.listen[i].fd), inode(f->h.listen[i].fd));
	for (int i = 0; i < INDEX_SLOTS_MAX; i++) {
		assert_int_equal(inode(f->got.wake[i]), inode(f->h.wake[i]));
		assert_int_equal(inode(f->got.queue[i]), inode(f->h.queue[i]));
	}
	assert_int_equal(count_open(), open + 5 + LISTENERS + 2 * INDEX_SLOTS_MAX);
	close(f->keeper);
	assert_int_equal(adopt_hear(f->master, &f->told), ADOPT_END);
}

/* What makes no sense is closed. */
static void nonsense(void **state)
{
	struct fixture *f = *state;
	unsigned open = count_open();

	assert_int_equal(orders_send_door(f->keeper, f->program, f->program), 0);
	assert_int_equal(adopt_hear(f->master, &f->told), ADOPT_END);
	assert_int_equal(send(f->keeper, "T\1\1\2", 4, 0), 4);
	assert_int_equal(adopt_hear(f->master, &f->told), ADOPT_END);
	assert_int_equal(count_open(), open);
}

/* ---- the door ---- */

/* Another process that has the lock, or not, or only to read, and knocks. */
static pid_t knock(const char *folder, const char *lock, short type)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_len = 1 };
		int fd = open(lock, O_RDWR), door;
		char byte;

		if (type != F_UNLCK && fcntl(fd, F_SETLK, &l) < 0)
			_exit(2);
		door = door_connect(folder, SLOT);
		if (door < 0)
			_exit(3);
		fcntl(door, F_SETFL, 0);
		_exit(recv(door, &byte, 1, 0) == 1 ? 0 : 1);
	}
	return pid;
}

static int answer(int door, int lock)
{
	pid_t master = 0;
	int fd;

	fcntl(door, F_SETFL, 0);
	fd = door_answer(door, lock, &master);
	if (fd >= 0) {
		assert_int_equal(send(fd, "x", 1, 0), 1);
		close(fd);
	}
	return fd < 0 ? -1 : (int)master;
}

static void door(void **state)
{
	static const struct { short type; bool let_in; } who[] = { { F_UNLCK, false }, { F_RDLCK, false }, { F_WRLCK, true } };
	char folder[] = "/tmp/janus-test-XXXXXX", lock[64];
	int fd, slot, status;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(lock, sizeof(lock), "%s/lock", folder);
	fd = open(lock, O_RDWR | O_CREAT, 0644);
	assert_false(door_any(folder));
	slot = door_open(folder, SLOT, geteuid());
	assert_true(slot >= 0);
	assert_true(door_any(folder));
	for (size_t i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
		pid_t pid = knock(folder, lock, who[i].type);

		assert_int_equal(answer(slot, fd), who[i].let_in ? pid : -1);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WEXITSTATUS(status), who[i].let_in ? 0 : 1);
	}
	close(slot);
	assert_int_equal(door_connect(folder, SLOT), -1);
	assert_int_equal(errno, ECONNREFUSED);
	door_remove_all(folder);
	assert_false(door_any(folder));
	close(fd);
	unlink(lock);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(told, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense, setup, teardown),
		cmocka_unit_test(door),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
