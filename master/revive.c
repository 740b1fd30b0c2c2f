/*
 * The next master. See revive.h.
 */
#include "master/revive.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "master/privileges.h"
#include "master/program.h"
#include "master/runtime_dir.h"
#include "shm/log.h"

#define ARGUMENTS_MAX 512
#define LOOK_MS 50		/* when it is time, and somebody has the lock */

static bool may_start(const struct keeper *k)
{
	return k->h.settings.next_master == 0 && k->h.arguments_there && !k->h.managed && !atomic_load(&k->hub.shm->masters.given_up);
}

/* ---- the new process ---- */

/* Its descriptors are a copy of the keeper's: all but these are closed. */
static void close_others(int *kept, unsigned count)
{
	int from = STDERR_FILENO + 1;

	for (;;) {
		int next = -1;

		for (unsigned i = 0; i < count; i++)
			if (kept[i] >= from && (next < 0 || kept[i] < next))
				next = kept[i];
		if (next < 0)
			break;
		if (next > from)
			syscall(SYS_close_range, from, next - 1, 0);
		from = next + 1;
	}
	syscall(SYS_close_range, from, ~0U, 0);
}

/* Signals were blocked; and what the keeper's score has beyond the master's is taken back. */
static void begin(void)
{
	sigset_t none;

	setsid();
	signal(SIGINT, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, "janus");
}

static __attribute__((noreturn)) void become_master(struct keeper *k, int handover)
{
	int kept[] = { k->h.lock, k->program, handover };
	char *argv[ARGUMENTS_MAX + 3], option[64];
	unsigned n = 0;

	close_others(kept, sizeof(kept) / sizeof(kept[0]));
	begin();
	privileges_oom(atomic_load(&k->hub.shm->masters.oom), 0);
	fcntl(k->h.lock, F_SETFD, 0);
	snprintf(option, sizeof(option), "--revived=%d", handover);
	argv[n++] = k->h.program;
	argv[n++] = option;
	for (const char *p = k->h.arguments; p < k->h.arguments + k->h.arguments_len && n < ARGUMENTS_MAX + 2; p += strlen(p) + 1)
		argv[n++] = (char *)(uintptr_t)p;
	argv[n] = NULL;
	execv(k->h.program, argv);
	log_warning("%s: %m; the next master is of this keeper's program", k->h.program);
	program_execute(k->program, argv);
	log_error("the next master can't be executed: %m");
	_exit(1);
}

/* It is not this process's child, but its parent's: nobody waits for it here. */
static void start(struct keeper *k)
{
	int handover = handover_write(&k->h);
	long pid = -1;

	if (handover >= 0)
		pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		become_master(k, handover);
	if (pid < 0)
		log_error("the next master: %m");
	else
		log_warning("process %ld is to be the next master", pid);
	if (handover >= 0)
		close(handover);
}

/* ---- when ---- */

/* Whether there is to be another. What masters_shm says of those before is this keeper's alone, as it has taken next_at. */
static bool note_start(struct keeper *k, uint64_t now)
{
	struct masters_shm *m = &k->hub.shm->masters;
	uint32_t before = atomic_load(&m->started);
	struct restarts r = { .count = before > 0 ? before - 1 : 0, .last = atomic_load(&m->started_at) };

	if (before > 0 && restarts_note(&r, &k->h.settings, now) != RESTART) {
		atomic_store(&m->given_up, 1);
		log_error("%u masters have died one behind the other, before they got anywhere (restart_limit): no more are started. Connections are served until %lld s after the last; start janus by hand",
			  before, (long long)k->h.settings.master_linger / 1000);
		events_say(&k->hub.events, k->slot, EVENT_SERVER, 0, "a crash loop of masters: no more are started");
		return false;
	}
	atomic_store(&m->started, before > 0 ? r.count + 1 : 1);
	atomic_store(&m->started_at, now);
	return true;
}

static uint64_t pause_ms(const struct keeper *k)
{
	struct restarts r = { .pauses = atomic_load(&k->hub.shm->masters.started) };

	return REVIVE_PAUSE_MS + restarts_pause(&r);
}

void revive_look(struct keeper *k)
{
	struct masters_shm *m = &k->hub.shm->masters;
	uint64_t now = restarts_now(), at = atomic_load(&m->next_at);

	if (!may_start(k) || runtime_dir_master(k->h.lock) != 0 || !atomic_load(&m->gone))
		return;
	if (now < at || !atomic_compare_exchange_strong(&m->next_at, &at, now + pause_ms(k)))
		return;
	if (note_start(k, now))
		start(k);
}

void revive_no_more(struct keeper *k)
{
	atomic_store(&k->hub.shm->masters.given_up, 1);
}

int revive_wait_ms(const struct keeper *k, int most)
{
	uint64_t now = restarts_now(), at = atomic_load(&k->hub.shm->masters.next_at);

	if (!may_start(k) || !atomic_load(&k->hub.shm->masters.gone))
		return most;
	return at <= now ? LOOK_MS : at - now < (uint64_t)most ? (int)(at - now) : most;
}
