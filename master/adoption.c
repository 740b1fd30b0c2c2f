/*
 * Adoption. See adoption.h.
 */
#include "master/adoption.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/differs.h"
#include "master/door.h"
#include "master/kin.h"
#include "master/privileges.h"
#include "master/process.h"
#include "master/program.h"
#include "master/programs.h"
#include "shm/crash.h"
#include "shm/log.h"

#define PATIENCE_MS 8000	/* for a keeper's sign of life, and for what has none to end */
#define WOKEN_MS 2000		/* for that of one that is told to go on */
#define POLL_MS 20

/* ---- one state of all ---- */

/* Listen sockets of a keeper whose state is not the one that all get, as a reload had come to one of both. */
static void join(struct handover *h, const struct kept *k)
{
	for (unsigned i = 0; i < k->h.listeners && h->listeners < LISTENERS_OPEN_MAX; i++) {
		bool there = false;

		for (unsigned j = 0; j < h->listeners && !there; j++)
			there = h->listen[j].fd == k->h.listen[i].fd;
		if (!there)
			h->listen[h->listeners++] = k->h.listen[i];
	}
}

/* NULL: none has said any. */
static struct kept *newest(const struct kin *kin)
{
	struct kept *found = NULL;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (kin->slot[i] && kin->slot[i]->whole && (!found || kin->slot[i]->h.reload_number > found->h.reload_number))
			found = kin->slot[i];
	return found;
}

/* Its hub is that of the newest. If another has another one, it waits there with a snapshot, for a program of another layout to be given to it. */
static bool is_here(const struct kept *k, const struct kept *newest)
{
	return k && k->whole && (k->h.hub == newest->h.hub || program_same_file(k->h.hub, newest->h.hub));
}

/* The one whose state is the truth: of those that a reload had come to and those that it had not, the latter: to these a way back leads. */
static struct kept *oldest(const struct kin *kin, const struct kept *newest)
{
	struct kept *found = NULL;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (is_here(kin->slot[i], newest) && (!found || kin->slot[i]->h.reload_number < found->h.reload_number))
			found = kin->slot[i];
	return found;
}

static void put_slot(struct handover *h, unsigned slot, const struct kept *k, bool here)
{
	h->slots[slot] = (struct handover_slot){
		.used = true,
		.draining = k->h.slots[slot].draining,
		.segment = here ? k->h.slots[slot].segment : -1,
		.orders = k->orders,
		.door = -1,
		.keeper = (uint32_t)k->told.keeper,
		.spare = k->h.slots[slot].spare,
	};
	if (here) {
		if (k->h.reload_number > h->reload_number)
			h->reload_number = k->h.reload_number;
		return;
	}
	kin_close(k->h.slots[slot].segment);
	kin_close(k->h.hub);
}

/*
 * Keepers run as the workers' user, and who has broken into a worker can answer in their stead. So what they hand over may be no program that this user has made: it belongs to root, to whom this process runs as, or to
 * whom its own program belongs to, and nobody else can write to it (as to any memfd). Nor does root execute one that was never this server's (programs.h).
 */
static bool may_execute(const struct master *m, int program)
{
	struct stat st, own;
	int fd = program_running();
	bool may = fd >= 0 && fstat(fd, &own) == 0 && fstat(program, &st) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & S_IWOTH) &&
		   (st.st_uid == 0 || st.st_uid == geteuid() || st.st_uid == own.st_uid) &&
		   (geteuid() != 0 || programs_has(m->dir.path, program));

	kin_close(fd);
	return may;
}

/* For the same reason: whom keepers that root makes are to run as is whom this one runs as. */
static bool has_its_user(const struct kept *k)
{
	const struct passwd *pw = privileges_user(k->h.settings.user);

	return geteuid() != 0 || (pw && process_runs_as((uint32_t)k->told.keeper, pw->pw_uid));
}

/* As a master leaves it to the program that it executes: what is the server's is as the keepers have it, what is the master's as this one was started. */
static struct handover *make_state(const struct kin *kin, const struct kept *newest, const struct kept *first)
{
	static struct handover h;
	const struct master *m = kin->m;

	h = first->h;
	handover_strip(&h);
	h.adopted = true;
	h.canary = h.again = h.new_segments = h.restore = false;
	h.answer = -1;
	h.data = h.bridge = 0;
	h.dropped_count = 0;
	h.died = 0;
	h.keepers = (struct restarts){ 0 };
	h.lock = m->dir.lock;
	h.master = (uint32_t)getpid();
	memcpy(h.program, m->h.program, sizeof(h.program));
	memcpy(h.arguments, m->h.arguments, sizeof(h.arguments));
	h.arguments_len = m->h.arguments_len;
	h.arguments_there = m->h.arguments_there;
	h.managed = m->h.managed;
	h.revived = m->h.revived;
	snprintf(h.settings.runtime_dir, sizeof(h.settings.runtime_dir), "%s", m->dir.path);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		h.slots[i] = (struct handover_slot){ .segment = -1, .orders = -1, .door = -1 };
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (!kin->slot[i] || !kin->slot[i]->whole)
			continue;
		put_slot(&h, i, kin->slot[i], is_here(kin->slot[i], newest));
		if (kin->slot[i] != first)
			join(&h, kin->slot[i]);
	}
	return &h;
}

static int take_all(struct kin *kin)
{
	char error[RUNTIME_DIR_ERROR_MAX];
	struct master *m = kin->m;
	const struct kept *last = newest(kin), *first;
	struct handover *h;
	int fd;

	if (!last)
		return 0;
	first = oldest(kin, last);
	if (!may_execute(m, first->program) || !has_its_user(first) || !has_its_user(last)) {
		log_error("the keepers that are there are not to be trusted: they run as another user than they say, or their program belongs to another one, or others can write to it, or it was never the master's here");
		return -1;
	}
	h = make_state(kin, last, first);
	if (h->control < 0 && runtime_dir_serve(&m->dir, error) < 0) {
		log_error("%s", error);
		return -1;
	}
	m->dir.control = h->control = h->control < 0 ? m->dir.control : h->control;
	fd = handover_write(h);
	if (fd < 0) {
		log_error("handover state: %m");
		return -1;
	}
	CRASH_POINT("adopt-all");
	m->next.caller = -1;
	reload_execute(m, first->program, fd);
	log_error("the program of the keepers that are there can't be executed: %m");
	return -1;
}

int adoption_try(struct master *m)
{
	struct kin kin = { .m = m };
	sigset_t all, before;
	int r;

	CRASH_POINT("adopt-locked");
	/* Those that come are for the program that is executed. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	if (kin_find(&kin) < 0) {
		log_error("%m");
		return -1;
	}
	kin_ask(&kin);
	r = take_all(&kin);
	if (r == 0 && kin_untold(&kin)) {
		log_error("keepers that an earlier janus left behind are still there, and do not answer");
		r = -1;
	}
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		if (kin.slot[i])
			kin_close(kin.slot[i]->orders);
		free(kin.slot[i]);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

/* ---- their program ---- */

/* A keeper that gives signs of life, if somebody has stopped it after it was told to go on, and that the next master may find. */
static bool lives(const struct master *m, unsigned slot)
{
	const struct hub_slot_shm *s = &m->hub.shm->slot[slot];
	uint32_t pid = atomic_load(&s->keeper);
	uint64_t deadline = restarts_now() + WOKEN_MS;
	int fd = door_connect(m->dir.path, slot);

	kin_close(fd);
	if (fd < 0 || process_ended(pid) || !process_runs_as(pid, m->workers_uid))
		return false;
	if (restarts_now() - atomic_load(&s->keeper_beat) < PATIENCE_MS)
		return true;
	kill((pid_t)pid, SIGCONT);
	while (restarts_now() - atomic_load(&s->keeper_beat) >= PATIENCE_MS && restarts_now() < deadline)
		poll(NULL, 0, POLL_MS);
	return restarts_now() - atomic_load(&s->keeper_beat) < PATIENCE_MS;
}

/* It has not answered, and gives no sign of life: what is left of it ends. */
static void end_rest(struct master *m, unsigned slot)
{
	struct hub_slot_shm *s = &m->hub.shm->slot[slot];
	uint64_t deadline = restarts_now() + PATIENCE_MS;
	_Atomic uint32_t *const of[] = { &s->spare, &s->keeper, &s->worker };
	bool there = true;

	while (there && restarts_now() < deadline) {
		there = false;
		for (unsigned i = 0; i < 3; i++) {
			uint32_t pid = atomic_load(of[i]);

			if (process_ended(pid) || !process_runs_as(pid, m->workers_uid))
				continue;
			if (!there)
				log_warning("slot %u: process %u can't be taken over: killed", slot, pid);
			kill((pid_t)pid, SIGKILL);
			there = true;
		}
		if (there)
			poll(NULL, 0, POLL_MS);
	}
}

/* A slot of which nobody was left when this master came; or that was to be made just when the last one died. */
static void make_missing(struct master *m, unsigned slot)
{
	struct hub_slot_shm *s = &m->hub.shm->slot[slot];
	uint32_t count = atomic_load(&s->connections) + atomic_load(&s->parked);

	if (atomic_load(&s->state) != SLOT_UNUSED) {
		end_rest(m, slot);
		hub_repair(&m->hub, slot);
		hub_clear_slot(&m->hub, slot, hub_owner_master());
		hub_count(&m->hub, slot, COUNTER_closed_slot, count);
		hub_count(&m->hub, slot, COUNTER_closed, count);
		atomic_fetch_add(&s->emptied, 1);
		atomic_store(&s->state, SLOT_UNUSED);
		atomic_store(&s->keeper, 0);
		atomic_store(&s->spare, 0);
		atomic_store(&s->worker, 0);
		log_error("slot %u had neither keeper nor worker any more: it starts empty, %u connections closed", slot, count);
		events_say(&m->hub.events, EVENTS_MASTER, EVENT_EMPTY, count, "slot %u had neither keeper nor worker any more: it starts empty", slot);
	}
	if (slot < (unsigned)m->config.settings.workers && slots_start(m, slot) < 0)
		m->again = true;
}

/* A keeper could start it with no more rights than it had itself. */
static void say_revived(const struct master *m)
{
	struct stat st;

	if (stat(m->dir.path, &st) < 0 || st.st_uid == geteuid())
		return;
	log_warning("this master was started by a keeper, as user %u, and the first one by user %u: it may be unable to read the configuration and files of secrets, which then stay as they are, and to open ports below 1024. Start janus as before: it takes over from this one", (unsigned)geteuid(), (unsigned)st.st_uid);
}

int adoption_settle(struct master *m)
{
	unsigned keepers = 0, connections = 0;
	uint64_t apart = 0;
	const char *what;

	for (unsigned i = 0; i < SLOT_BRIDGE; i++)
		if (!m->h.slots[i].used && atomic_load(&m->hub.shm->slot[i].state) != SLOT_UNUSED && lives(m, i)) {
			log_error("slot %u has a keeper, process %u, which did not answer: it is for the next master to take over what is there", i, atomic_load(&m->hub.shm->slot[i].keeper));
			return -1;
		}
	for (unsigned i = 0; i < SLOT_BRIDGE; i++) {
		if (!m->h.slots[i].used) {
			make_missing(m, i);
			continue;
		}
		keepers++;
		if (m->h.slots[i].segment < 0) {
			apart |= 1ull << i;
			continue;
		}
#ifdef JANUS_BROKEN_ADOPTION	/* for tests, which must notice */
		kill((pid_t)m->h.slots[i].keeper, SIGTERM);
#endif
		connections += atomic_load(&m->hub.shm->slot[i].connections);
		if (m->h.slots[i].keeper && slots_order(m, i, ORDER_RESUME) < 0)
			log_error("slot %u can't be told to go on", i);
	}
	CRASH_POINT("adopt-settled");
	if (m->h.revived)
		say_revived(m);
	m->h.adopted = false;
	m->h.canary_slot = -1;
	what = differs_what(m);
	if (what)
		m->again = true;
	if (apart)
		rolling_join(m, apart);
	events_say(&m->hub.events, EVENTS_MASTER, EVENT_SERVER, connections, "process %d has taken over", (int)getpid());
	log_info("janus %s: taken over, with %u workers and %u connections; %s%s", JANUS_VERSION, keepers, connections,
		 what ? "what is configured differs, and a reload follows: " : "nothing has changed", what ? what : "");
	return 0;
}
