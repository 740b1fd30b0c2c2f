/*
 * Supervision of a worker: how it has ended, what it is blamed for, and when it is made again. The workers here are children that end at once
 * or wait for a signal.
 */
#include "tests/unit/hub_fixture.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "master/supervisor.h"
#include "shm/log.h"
#include "worker/loop/worker.h"

#define SLOT 2
#define SESSION 5		/* a descriptor that the slot has a session of */

struct supervised {
	struct supervisor s;
	struct settings settings;
	struct slot segment;
	struct tls tls;
	int fd, tls_fd;
	void (*worker)(struct supervised *t);	/* what the next worker does, until it exits with `status` */
	int status;
};

static struct hub_slot_shm *self(struct supervised *t)
{
	return &t->s.hub->shm->slot[SLOT];
}

static void run(void *arg)
{
	struct supervised *t = arg;

	if (t->worker)
		t->worker(t);
	_exit(t->status);
}

static int begin(void **state)
{
	struct supervised *t = calloc(1, sizeof(*t));
	struct fixture *f;

	setup(state);
	f = *state;
	settings_defaults(&t->settings);
	t->settings.restart_limit = 2;
	t->fd = slot_create("test", &(struct slot_size){ .sessions = 1024, .frame = 65536, .buffered = 1 << 24 });
	assert_int_equal(slot_attach(&t->segment, t->fd, true), 0);
	t->tls_fd = tls_create("test", 1024);
	assert_int_equal(tls_attach(&t->tls, t->tls_fd, 1024), 0);
	t->s = (struct supervisor){ .hub = &f->hub, .slot = SLOT, .settings = &t->settings, .segment = &t->segment, .segment_fd = t->fd, .tls = &t->tls, .tls_fd = t->tls_fd,
				    .reload_number = 9, .run = run, .arg = t };
	*state = t;		/* the fixture is found again by its hub */
	log_init("test", LOG_LEVEL_ERROR);
	return 0;
}

static int end(void **state)
{
	struct supervised *t = *state;
	struct fixture *f = (struct fixture *)(void *)((char *)t->s.hub - offsetof(struct fixture, hub));
	void *of_hub = f;

	if (t->s.worker > 0)
		kill(t->s.worker, SIGKILL);
	slot_detach(&t->segment);
	close(t->fd);
	tls_detach(&t->tls);
	close(t->tls_fd);
	free(t);
	return teardown(&of_hub);
}

/* Waits until the worker has ended. */
static enum worker_end ended(struct supervised *t)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, t->s.worker, 0), .events = POLLIN };
	enum worker_end how;

	assert_int_equal(poll(&p, 1, 10000), 1);
	close(p.fd);
	assert_true(supervisor_reap(&t->s, &how));
	assert_int_equal(t->s.worker, 0);
	assert_int_equal(atomic_load(&self(t)->worker), 0);
	return how;
}

static enum worker_end run_once(struct supervised *t, void (*worker)(struct supervised *), int status)
{
	t->worker = worker;
	t->status = status;
	supervisor_start(&t->s);
	assert_true(t->s.worker > 0);
	return ended(t);
}

static void wait_for_ever(struct supervised *t)
{
	(void)t;
	for (;;)
		pause();
}

static void die_killed(struct supervised *t)
{
	(void)t;
	raise(SIGKILL);
}

static void get_somewhere(struct supervised *t)
{
	atomic_store(&self(t)->state, SLOT_LIVE);
	atomic_store(&self(t)->turns, RESTARTS_PROGRESS);
}

static void be_at_a_session(struct supervised *t)
{
	atomic_store(&t->segment.shm->working_on, SESSION + 1);
}

/* The signals by which a worker is asked to leave. */
static sigset_t block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return set;
}

/* It waits to be asked to leave, and ends with `status`. */
static void leave_when_asked(struct supervised *t)
{
	sigset_t set = block_signals();
	int sig;

	atomic_store(&self(t)->state, SLOT_LIVE);
	sigwait(&set, &sig);
}

/* ---- a worker is made ---- */

static void test_what_the_hub_says_of_it(void **state)
{
	struct supervised *t = *state;
	uint32_t generation = atomic_load(&self(t)->generation);

	t->worker = wait_for_ever;
	supervisor_start(&t->s);
	assert_int_equal(atomic_load(&self(t)->worker), t->s.worker);
	assert_int_equal(atomic_load(&self(t)->state), SLOT_STARTING);
	assert_int_equal(atomic_load(&self(t)->reload_number), 9);
	assert_int_equal(atomic_load(&self(t)->generation), generation + 1);
	assert_false(supervisor_settled(&t->s));
	atomic_store(&self(t)->state, SLOT_LIVE);
	assert_true(supervisor_settled(&t->s));
	kill(t->s.worker, SIGKILL);
	assert_int_equal(ended(t), END_DIED);
	assert_true(supervisor_settled(&t->s));
}

/* ---- how it ends ---- */

static void test_ends_that_were_asked_for(void **state)
{
	static const struct { enum asked asked; int status; enum worker_end how; } ends[] = {
		{ ASKED_REPLACE, 0, END_LEFT },
		{ ASKED_SNAPSHOT, WORKER_SNAPSHOT, END_SNAPSHOT },
		{ ASKED_SNAPSHOT, WORKER_NO_SNAPSHOT, END_NO_SNAPSHOT },
		{ ASKED_STOP, WORKER_STOPPED, END_STOPPED },
		{ ASKED_REPLACE, WORKER_DRAINED, END_DRAINED },
		{ ASKED_REPLACE, 1, END_DIED },
	};
	struct supervised *t = *state;

	block_signals();	/* and they stay blocked in children */
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		t->worker = leave_when_asked;
		t->status = ends[i].status;
		supervisor_start(&t->s);
		supervisor_ask(&t->s, ends[i].asked);
		assert_false(supervisor_settled(&t->s));
		assert_int_equal(ended(t), ends[i].how);
	}
}

static void test_ends_that_nobody_asked_for(void **state)
{
	static const struct { int status; enum worker_end how; } ends[] = {
		{ 0, END_DIED }, { 1, END_DIED }, { WORKER_SNAPSHOT, END_DIED }, { WORKER_NO_SNAPSHOT, END_DIED }, { WORKER_STOPPED, END_DIED },
		{ WORKER_DRAINED, END_DRAINED }, { WORKER_SHORTAGE, END_SHORTAGE },
	};
	struct supervised *t = *state;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		assert_int_equal(run_once(t, NULL, ends[i].status), ends[i].how);
	assert_int_equal(run_once(t, die_killed, 0), END_DIED);
}

static void hold_the_lock(struct supervised *t)
{
	lock_acquire(&t->s.hub->shm->lock, SLOT + 1);
}

static void test_lock_of_the_dead_is_let_go(void **state)
{
	struct supervised *t = *state;

	assert_int_equal(run_once(t, hold_the_lock, 1), END_DIED);
	assert_int_equal(lock_owner(&t->s.hub->shm->lock), 0);
}

/* ---- crash loops ---- */

static bool replaced(struct supervised *t)
{
	bool useful = supervisor_replace(&t->s);

	return useful && t->s.worker > 0;
}

static void test_crash_loop(void **state)
{
	struct supervised *t = *state;

	run_once(t, NULL, 1);
	for (int i = 0; i < 2; i++) {
		assert_true(replaced(t));
		assert_int_equal(atomic_load(&self(t)->emptied), 0);
		ended(t);
	}
	assert_true(replaced(t));		/* the third one that counts */
	assert_int_equal(atomic_load(&self(t)->emptied), 1);
	ended(t);
	for (int i = 0; i < 2; i++) {
		assert_true(replaced(t));
		ended(t);
	}
	assert_false(supervisor_replace(&t->s));
	assert_int_equal(t->s.worker, 0);
	assert_int_equal(atomic_load(&self(t)->restarts), 6);
}

static void test_killed_is_no_crash_loop(void **state)
{
	struct supervised *t = *state;

	run_once(t, die_killed, 0);
	for (int i = 0; i < 10; i++) {
		assert_true(replaced(t));
		ended(t);
	}
	assert_int_equal(atomic_load(&self(t)->emptied), 0);
}

static void test_progress_is_no_crash_loop(void **state)
{
	struct supervised *t = *state;

	run_once(t, get_somewhere, 1);
	for (int i = 0; i < 10; i++) {
		assert_true(replaced(t));
		ended(t);
	}
	assert_int_equal(atomic_load(&self(t)->emptied), 0);
}

static void test_blamed_is_no_crash_loop(void **state)
{
	struct supervised *t = *state;

	slot_session(&t->segment, SESSION)->status = SESSION_OPEN;
	run_once(t, be_at_a_session, 1);
	for (int i = 0; i < 5; i++) {
		assert_true(replaced(t));
		assert_int_equal(t->segment.shm->suspect.blamed, SESSION + 1);
		ended(t);
	}
	assert_int_equal(atomic_load(&self(t)->emptied), 0);
}

/* ---- a canary ---- */

static void test_canary_fails(void **state)
{
	struct supervised *t = *state;

	t->s.canary = true;
	slot_session(&t->segment, SESSION)->status = SESSION_OPEN;
	run_once(t, be_at_a_session, 1);
	assert_true(replaced(t));
	ended(t);
	assert_true(replaced(t));
	ended(t);
	assert_int_equal(atomic_load(&self(t)->refused), 0);
	assert_true(supervisor_replace(&t->s));
	/* None is made for now, the master is told, and nothing is blamed but the program. */
	assert_int_equal(t->s.worker, 0);
	assert_int_equal(atomic_load(&self(t)->refused), 1);
	assert_int_equal(t->segment.shm->suspect.blamed, 0);
	assert_true(supervisor_wait_ms(&t->s) > 0);
	supervisor_watch(&t->s);
	assert_int_equal(t->s.worker, 0);
}

static void test_canary_ends_with_progress(void **state)
{
	struct supervised *t = *state;

	t->s.canary = true;
	t->worker = wait_for_ever;
	supervisor_start(&t->s);
	supervisor_watch(&t->s);
	assert_true(t->s.canary);
	get_somewhere(t);
	supervisor_watch(&t->s);
	assert_false(t->s.canary);
}

/* ---- shortage, hanging, stopping ---- */

static void test_shortage_is_waited_for(void **state)
{
	struct supervised *t = *state;

	/* (When it is over counts, and not what is left of it when it is looked at.) */
	for (unsigned ms = 10; ms <= 80; ms *= 2) {
		uint64_t now;

		assert_int_equal(run_once(t, NULL, WORKER_SHORTAGE), END_SHORTAGE);
		now = restarts_now();
		supervisor_retry(&t->s);
		assert_int_equal(t->s.worker, 0);
		assert_true(t->s.start_at >= now + ms);
	}
	assert_int_equal(atomic_load(&self(t)->restarts), 0);
	while (t->s.worker == 0) {
		poll(NULL, 0, supervisor_wait_ms(&t->s));
		supervisor_watch(&t->s);
	}
	ended(t);
}

/* Looks as often as it is to, until the worker has ended. */
static void watch_until_it_ends(struct supervised *t)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, t->s.worker, 0), .events = POLLIN };

	while (poll(&p, 1, supervisor_wait_ms(&t->s)) == 0)
		supervisor_watch(&t->s);
	close(p.fd);
}

static void test_hung_worker_is_killed(void **state)
{
	struct supervised *t = *state;

	t->settings.hang_limit = 200;
	slot_session(&t->segment, SESSION)->status = SESSION_OPEN;
	t->worker = wait_for_ever;
	supervisor_start(&t->s);
	be_at_a_session(t);
	atomic_store(&self(t)->state, SLOT_LIVE);
	watch_until_it_ends(t);
	assert_int_equal(ended(t), END_DIED);
	/* Other than one that somebody has killed, it is blamed at once. */
	assert_true(replaced(t));
	assert_int_equal(t->segment.shm->suspect.blamed, SESSION + 1);
}

/* The lock's owner hangs, and not who waits for it. */
static void test_who_waits_for_the_lock_does_not_hang(void **state)
{
	struct supervised *t = *state;

	t->settings.hang_limit = 100;
	t->worker = wait_for_ever;
	lock_acquire(&t->s.hub->shm->lock, SLOT + 2);
	supervisor_start(&t->s);
	atomic_store(&self(t)->state, SLOT_LIVE);
	for (int i = 0; i < 8; i++) {
		poll(NULL, 0, supervisor_wait_ms(&t->s));
		supervisor_watch(&t->s);
	}
	assert_int_equal(kill(t->s.worker, 0), 0);
	assert_true(t->s.watch.still >= 100);
	lock_release(&t->s.hub->shm->lock, SLOT + 2);
	watch_until_it_ends(t);
	assert_int_equal(ended(t), END_DIED);
}

/* By a keeper that has not made the worker: it is told to leave, watched, and missed; what it held is let go. */
static void test_worker_of_another(void **state)
{
	struct supervised *t = *state;
	pid_t worker;

	t->worker = leave_when_asked;
	block_signals();
	supervisor_start(&t->s);
	worker = t->s.worker;
	t->s.worker = 0;
	lock_acquire(&t->s.hub->shm->lock, SLOT + 1);
	supervisor_adopt(&t->s, worker);
	watch_until_it_ends(t);
	supervisor_gone(&t->s);
	assert_int_equal(t->s.worker, 0);
	assert_int_equal(atomic_load(&self(t)->worker), 0);
	assert_int_equal(atomic_load(&self(t)->state), SLOT_STARTING);
	assert_int_equal(lock_owner(&t->s.hub->shm->lock), 0);
	assert_int_equal(waitpid(worker, NULL, 0), worker);
}

static void test_stop(void **state)
{
	struct supervised *t = *state;

	block_signals();	/* and they stay blocked in children */
	supervisor_stop(&t->s);
	assert_false(supervisor_stop_overdue(&t->s));
	/* Each that is made is told to. */
	assert_int_equal(run_once(t, leave_when_asked, WORKER_STOPPED), END_STOPPED);
	/* One that does not obey is killed in the end. */
	t->worker = wait_for_ever;
	supervisor_start(&t->s);
	t->s.stop_at -= (uint64_t)t->settings.stop_limit + 10000;
	assert_true(supervisor_stop_overdue(&t->s));
	supervisor_watch(&t->s);
	assert_int_equal(ended(t), END_DIED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_the_hub_says_of_it),
		TEST(ends_that_were_asked_for),
		TEST(ends_that_nobody_asked_for),
		TEST(lock_of_the_dead_is_let_go),
		TEST(crash_loop),
		TEST(killed_is_no_crash_loop),
		TEST(progress_is_no_crash_loop),
		TEST(blamed_is_no_crash_loop),
		TEST(canary_fails),
		TEST(canary_ends_with_progress),
		TEST(shortage_is_waited_for),
		TEST(hung_worker_is_killed),
		TEST(who_waits_for_the_lock_does_not_hang),
		TEST(worker_of_another),
		TEST(stop),
	};

	alarm(60);
	return cmocka_run_group_tests_name("supervisor", tests, NULL, NULL);
}
