/*
 * janus-data. See data_process.h.
 *
 * It sleeps, looks at the ring's tail, writes what is new, and forces it to the disk when it is time. Nobody wakes it: who publishes would have to.
 */
#include "master/data_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "master/handover.h"
#include "master/privileges.h"
#include "master/process.h"
#include "master/restarts.h"
#include "master/runtime_dir.h"
#include "shm/crash.h"
#include "shm/journal.h"
#include "shm/log.h"
#include "shm/title.h"

#define BUSY_MS 2		/* until it looks again, when there was something new */
#define IDLE_MS 20		/* the most */
#define LOOK_MS 1000		/* whether the file is there still */
#define RETRY_MS 1000		/* after a failure */
#define LARGE_RETRY_MS 30000	/* when a file that has become too large could not be written anew */
#define LOCK_MS 2000		/* for a process that is about to end */

struct data {
	struct handover h;
	struct hub hub;
	struct journal journal;
	int dir;
	uint64_t unsynced_since;	/* milliseconds, as those below; 0: all is on the disk */
	uint64_t look_at, retry_at, begin_at;
	bool lost;			/* somebody has removed the folder: the next process makes it, or says why it can't */
};

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

static bool is_orphan(const struct data *d)
{
	return (uint32_t)getppid() != d->h.master;
}

/* ---- the folder ---- */

/* (At a server's start the master has made it, as root if need be.) */
static int make_folder(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

static int open_folder(struct data *d, const char *path)
{
	struct stat st;

	d->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->dir < 0 || fstat(d->dir, &st) < 0) {
		log_error("%s: %s", path, strerror(errno));
		return -1;
	}
	if (st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH)) {
		log_error("%s must belong to the user that Janus runs as (uid %u), and nobody else may write to it: it has uid %u, mode %04o", path,
			  (unsigned)geteuid(), (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777));
		errno = EPERM;
		return -1;
	}
	return 0;
}

/* The lock goes with the process. (The file stays: who removes a lock file takes it from under somebody who waits for it.) */
static int lock_folder(const struct data *d, const char *path)
{
	int fd = openat(d->dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	uint64_t deadline = restarts_now() + LOCK_MS;

	if (fd < 0) {
		log_error("%s/lock: %s", path, strerror(errno));
		return -1;
	}
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK && restarts_now() < deadline) {
			pause_ms(BUSY_MS);
			continue;
		}
		errno = errno == EWOULDBLOCK ? EBUSY : errno;
		log_error("%s %s", path, errno == EBUSY ? "is another server's, which runs" : strerror(errno));
		return -1;
	}
	return 0;
}

static int open_data(struct data *d)
{
	const char *path = d->h.settings.data;

	if (privileges_drop(d->h.settings.user) < 0)
		return -1;
	if (make_folder(path) < 0) {
		log_error("cannot make %s: %s", path, strerror(errno));
		return -1;
	}
	return open_folder(d, path) < 0 ? -1 : lock_folder(d, path);
}

/* ---- how it is ---- */

static void set_state(struct data *d, enum journal_state state, int error)
{
	struct journal_shm *shm = &d->hub.shm->journal;

	atomic_store(&shm->error, (uint32_t)error);
	atomic_store(&shm->since, hub_now());
	atomic_store(&shm->state, state);
}

/* Says once what is wrong, until it is something else. */
static void failed(struct data *d)
{
	int error = errno;
	const struct journal_shm *shm = &d->hub.shm->journal;

	hub_count(&d->hub, 0, COUNTER_journal_failed, 1);
	d->retry_at = restarts_now() + RETRY_MS;
	if (atomic_load(&shm->state) == JOURNAL_FAILING && atomic_load(&shm->error) == (uint32_t)error)
		return;
	log_error("%s/" JOURNAL_NAME " can't be written: %s; what is published is in memory alone until it can", d->h.settings.data, strerror(error));
	events_say(&d->hub.events, EVENTS_DATA, EVENT_DATA, (uint64_t)error, "the journal can't be written: %s", strerror(error));
	set_state(d, JOURNAL_FAILING, error);
}

static void succeeded(struct data *d)
{
	if (atomic_load(&d->hub.shm->journal.state) == JOURNAL_GOOD)
		return;
	if (atomic_load(&d->hub.shm->journal.state) == JOURNAL_FAILING) {
		events_say(&d->hub.events, EVENTS_DATA, EVENT_DATA, 0, "the journal is written again");
		log_info("%s/" JOURNAL_NAME " is written again, and has all that history has", d->h.settings.data);
	}
	set_state(d, JOURNAL_GOOD, 0);
}

/* ---- start ---- */

static void say_restored(const struct data *d, const struct journal_restored *r)
{
	const char *path = d->h.settings.data;

	if (r->error)
		log_error("%s/" JOURNAL_NAME ": its last %llu bytes are not used: %s. All of it is kept as " JOURNAL_DAMAGED, path,
			  (unsigned long long)r->cut, r->error == EBADMSG ? "they are not whole, or damaged" : strerror(r->error));
	if (r->found)
		log_info("%s: %llu messages and %llu keys; the server before ended %s", path, (unsigned long long)r->messages,
			 (unsigned long long)r->keys, r->ended ? "in order" : "without saying so: some of its last messages may be missing");
	else
		log_info("%s is new", path);
}

/* At a server's start. */
static int restore(struct data *d)
{
	struct journal_restored restored;
	const char *path = d->h.settings.data;

	if (journal_restore(&d->journal, &restored) < 0) {
		if (errno == ENOTSUP)
			log_error("%s/" JOURNAL_NAME " was written by a later version: start that one, or move the file away to start without what is in it", path);
		else
			log_error("%s/" JOURNAL_NAME ": %s; move it away to start without what is in it", path, strerror(errno));
		return -1;
	}
	say_restored(d, &restored);
	if (journal_begin(&d->journal) == 0)
		return 0;
	failed(d);
	if (journal_disown(&d->journal) == 0)
		return 0;
	log_error("%s: nothing can be written (%s), not even that a server has begun: make that possible, or start with `data` empty", path, strerror(errno));
	return -1;
}

/* Another process of the same server has written the journal until now. */
static void resume(struct data *d)
{
	if (journal_resume(&d->journal) < 0)
		atomic_store(&d->hub.shm->journal.id, 0);
}

static int start(struct data *d, int handover)
{
	if (handover_read(&d->h, handover) < 0 || hub_attach(&d->hub, d->h.hub, true) < 0) {
		log_error("this is for the master to start: %s", strerror(errno));
		return -1;
	}
	prctl(PR_SET_NAME, DATA_NAME);
	/* From here on another master ends it; one that it could not know of ends by itself. */
	atomic_store(&d->hub.shm->journal.pid, (uint32_t)getpid());
	CRASH_POINT("data-begun");
	if (is_orphan(d))
		return -1;
	settings_log_init("data", &d->h.settings);
	log_follow_level(&d->hub.shm->log_level);
	log_count_lost(&d->hub.shm->slot[0].counters[COUNTER_log_lost]);
	title_set("janus: data");
	privileges_oom(atomic_load(&d->hub.shm->masters.oom), OOM_KEEPER);
	hub_keep(&d->hub, &d->h.settings);
	d->hub.once.keep = (uint64_t)d->h.settings.once_time;
	if (runtime_dir_hold(d->h.lock) < 0 || open_data(d) < 0) {
		if (atomic_load(&d->hub.shm->journal.state) != JOURNAL_READING)
			set_state(d, JOURNAL_FAILING, errno);
		return -1;
	}
	journal_init(&d->journal, &d->hub, d->dir, index_hash(d->h.settings.history, strlen(d->h.settings.history)));
	if (atomic_load(&d->hub.shm->journal.state) != JOURNAL_READING)
		resume(d);
	else if (restore(d) < 0)
		return -1;
	if (atomic_load(&d->hub.shm->journal.id))
		succeeded(d);
	return 0;
}

/* ---- the loop ---- */

/* Is a whole file there to go on with? Else it is made, and what was wrong is over. */
static bool have_file(struct data *d, uint64_t now)
{
	if (now >= d->look_at) {
		d->look_at = now + LOOK_MS;
		if (atomic_load(&d->hub.shm->journal.id) && journal_is_gone(&d->journal)) {
			log_warning("somebody has removed %s/" JOURNAL_NAME ": it is written anew", d->h.settings.data);
			atomic_store(&d->hub.shm->journal.id, 0);
		}
	}
	if (atomic_load(&d->hub.shm->journal.id))
		return true;
	if (journal_begin(&d->journal) == 0)
		return true;
	d->lost = errno == ENOENT;
	failed(d);
	return false;
}

static void write_smaller(struct data *d, uint64_t now)
{
	if (now < d->begin_at || !journal_is_large(&d->journal))
		return;
	if (journal_begin(&d->journal) == 0)
		return;
	d->begin_at = now + LARGE_RETRY_MS;
	hub_count(&d->hub, 0, COUNTER_journal_failed, 1);
	log_warning_limited("%s/" JOURNAL_NEW ": %s; the larger file goes on", d->h.settings.data, strerror(errno));
}

static void force(struct data *d, uint64_t now)
{
	if (!d->journal.unsynced) {
		d->unsynced_since = 0;
		return;
	}
	d->unsynced_since = d->unsynced_since ? d->unsynced_since : now;
	if (now - d->unsynced_since < (uint64_t)d->h.settings.data_sync)
		return;
	if (journal_sync(&d->journal) < 0)
		failed(d);
	d->unsynced_since = 0;
}

/* Whether there was something to write. */
static bool turn(struct data *d)
{
	uint64_t now = restarts_now();
	int r;

	if (now < d->retry_at || !have_file(d, now))
		return false;
	r = journal_follow(&d->journal);
	if (r < 0) {
		failed(d);
		return false;
	}
	d->retry_at = 0;
	succeeded(d);
	force(d, now);
	write_smaller(d, now);
	return r > 0;
}

/* ---- the end ---- */

static int end(struct data *d)
{
	if (atomic_load(&d->hub.shm->journal.id) == 0 && journal_begin(&d->journal) < 0)
		goto failed;
	if (journal_end(&d->journal) == 0)
		return 0;
failed:
	log_error("%s/" JOURNAL_NAME " has no end: %s; the next server can't know whether messages are missing", d->h.settings.data, strerror(errno));
	return 1;
}

/*
 * Whether the master is gone, and all others, too: then the hub is put right in their stead. While there are keepers, they wait for another master, publish, and have a journal; that master will end this process.
 */
static bool is_bereft(struct data *d)
{
	struct lock_shm *lock = &d->hub.shm->lock;
	uint32_t ours = lock_as(JOURNAL_OWNER, getpid());

	if (!is_orphan(d) || !process_slots_ended(&d->hub))
		return false;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		hub_repair(&d->hub, i);
	lock_acquire(lock, ours);	/* (the master may have died with it) */
	lock_release(lock, ours);
	return true;
}

int data_process_main(int handover)
{
	static struct data data = { .dir = -1 };
	struct data *d = &data;
	sigset_t told;
	bool busy;

	sigemptyset(&told);
	sigaddset(&told, SIGUSR1);
	log_init("data", LOG_LEVEL_INFO);
	if (start(d, handover) < 0)
		return 1;
	for (;;) {
		struct timespec wait = { 0 };
		bool alone;

		atomic_store_explicit(&d->hub.shm->journal.beat, restarts_now(), memory_order_relaxed);
		busy = turn(d);
		alone = is_bereft(d);
		if (d->lost && !alone)
			return 1;
		wait.tv_nsec = (busy ? BUSY_MS : IDLE_MS) * 1000000L;
		if (alone || sigtimedwait(&told, NULL, &wait) == SIGUSR1)
			return end(d);
	}
}
