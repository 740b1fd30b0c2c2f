/*
 * A server whose master has died. See masterless.h.
 */
#include "master/ctl/masterless.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "master/ctl/client.h"
#include "master/ctl/ctl.h"
#include "master/door.h"
#include "master/process.h"
#include "master/programs.h"
#include "master/runtime_dir.h"

#define LOOK_MS 20
#define AGAIN_MS 500		/* until all are told once more */

pid_t masterless_find(const char *runtime_dir)
{
	struct runtime_dir_holders holders = runtime_dir_holders(runtime_dir);

	return holders.master ? 0 : holders.keeper;
}

/* The hub, mapped. 0, or -1 with errno. */
static int open_hub(pid_t pid, struct hub *hub, struct stat *st)
{
	int fd = control_client_find_hub(pid), r;

	if (fd < 0)
		return -1;
	r = fstat(fd, st) < 0 ? -1 : hub_attach(hub, fd, false);
	close(fd);
	return r;
}

/* Keeper and worker have one table of descriptors: either will do. */
static unsigned slots_of(const struct hub_slot_shm *slot, int *fds, unsigned most)
{
	unsigned found = control_client_find_slots((pid_t)atomic_load(&slot->keeper), fds, most);

	return found ? found : control_client_find_slots((pid_t)atomic_load(&slot->worker), fds, most);
}

int masterless_slots(pid_t pid, int *fds)
{
	unsigned count = 0;
	struct hub hub;
	struct stat st;

	if (open_hub(pid, &hub, &st) < 0)
		return -1;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (hub_slot_used(&hub, i))
			count += slots_of(&hub.shm->slot[i], fds + count, INDEX_SLOTS_MAX - count);
	hub_detach(&hub);
	return (int)count;
}

void masterless_complain(pid_t pid)
{
	uint64_t now = hub_now(), gone, until;
	struct hub hub;
	struct stat st;

	fprintf(stderr, "janusctl: the server has no master");
	if (open_hub(pid, &hub, &st) == 0) {
		gone = atomic_load(&hub.shm->masters.gone);
		until = ctl_ends(&hub);
		hub_detach(&hub);
		if (gone && gone <= now)
			fprintf(stderr, " since %" PRIu64 " s", (now - gone) / 1000000);
		if (until > now)
			fprintf(stderr, ", and ends in %" PRIu64 " s if none comes", (until - now) / 1000000);
	}
	fprintf(stderr, ": it serves on, and nobody is there who could do this. Start janus (systemctl start janus), which takes it over; or end it (janusctl stop)\n");
}

/* ---- stop ---- */

/* Has that process this file open? (Numbers in the hub are what workers say. The pidfd was opened before, so it is still that process that is told.) */
static bool has_open(pid_t pid, const struct stat *wanted)
{
	struct stat st;
	int fd = control_client_find_hub(pid);
	bool has = fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == wanted->st_dev && st.st_ino == wanted->st_ino;

	if (fd >= 0)
		close(fd);
	return has;
}

/* 0, or -1 with errno. One that is not there, or not the server's, is none. */
static int tell(pid_t pid, const struct stat *hub)
{
	int fd = pid > 0 ? process_open((uint32_t)pid) : -1, r = 0;

	if (fd < 0)
		return 0;
	if (has_open(pid, hub))
		r = (int)syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0);
	close(fd);
	return r < 0 && errno != ESRCH ? -1 : 0;
}

/* Keepers, and workers that have none just now. */
static int tell_all(const struct hub *hub, const struct stat *st)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		const struct hub_slot_shm *slot = &hub->shm->slot[i];
		uint32_t keeper = atomic_load(&slot->keeper);

		if (hub_slot_used(hub, i) && tell((pid_t)(keeper ? keeper : atomic_load(&slot->worker)), st) < 0)
			return -1;
	}
	return 0;
}

/*
 * What ends by itself when there are no keepers any more, and is waited for, lest the next server finds the journal without its end: janus-data and janus-bridge, as the hub knows them. pidfds, of which -1 is none.
 */
struct others { int fds[2]; };

static int open_other(uint32_t pid, const struct stat *hub)
{
	int fd = pid ? process_open(pid) : -1;

	if (fd < 0 || has_open((pid_t)pid, hub))
		return fd;
	close(fd);
	return -1;
}

static struct others open_others(const struct hub *hub, const struct stat *st)
{
	return (struct others){ .fds = { open_other(atomic_load(&hub->shm->journal.pid), st), open_other(atomic_load(&hub->shm->nodes.pid), st) } };
}

static bool are_over(const struct others *others)
{
	return (others->fds[0] < 0 || process_is_over(others->fds[0])) && (others->fds[1] < 0 || process_is_over(others->fds[1]));
}

static void close_others(struct others *others)
{
	for (unsigned i = 0; i < 2; i++)
		if (others->fds[i] >= 0)
			close(others->fds[i]);
}

/* If another master has come meanwhile, all is that one's. */
static void remove_as_master(const char *runtime_dir)
{
	struct runtime_dir dir;
	char error[RUNTIME_DIR_ERROR_MAX], admin[SETTINGS_TEXT_MAX + 8];

	if (runtime_dir_lock(&dir, runtime_dir, error) < 0)
		return;
	door_remove_all(runtime_dir);
	programs_forget(runtime_dir);
	snprintf(admin, sizeof(admin), "%s/admin", runtime_dir);
	unlink(admin);
	runtime_dir_close(&dir);
}

/* Root does it as the user whose folder it is, who may have put anything there. If who asks may not, the next server does it. */
static void remove_files(const char *runtime_dir)
{
	struct stat st;
	uid_t before = geteuid();

	if (lstat(runtime_dir, &st) < 0 || (before == 0 && seteuid(st.st_uid) < 0))
		return;
	remove_as_master(runtime_dir);
	(void)!seteuid(before);
}

int masterless_stop(const char *runtime_dir, pid_t pid, unsigned wait_seconds)
{
	struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
	struct others others;
	struct hub hub;
	struct stat st;
	int r;

	if (open_hub(pid, &hub, &st) < 0)
		return -1;
	others = open_others(&hub, &st);
	/* (A keeper that has died just before is made again by its worker.) */
	for (unsigned ms = 0; (r = ms % AGAIN_MS ? 0 : tell_all(&hub, &st)) == 0 && (masterless_find(runtime_dir) || !are_over(&others)); ms += LOOK_MS) {
		if (ms >= wait_seconds * 1000) {
			errno = ETIMEDOUT;
			r = -1;
			break;
		}
		nanosleep(&pause, NULL);
	}
	if (r == 0)
		remove_files(runtime_dir);
	close_others(&others);
	hub_detach(&hub);
	return r;
}
