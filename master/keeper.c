/*
 * The keeper. It waits, for its worker to end and for orders, and does as little as it can in between: whatever goes wrong here costs the
 * slot all of its connections. How it starts is keeper_start.c's, how a worker is made and made again supervisor.c's (and what it is given, keeper_worker.c's), what an order looks
 * like orders.c's, and how it comes to another program keeper_follow.c's. Here is what follows when a worker has ended or an order has come.
 *
 * A worker that starts closes the descriptors that nobody owns, those of an order among them. So orders wait until it is live, or until
 * there is none.
 */
#include "master/keeper.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "master/adopt.h"
#include "master/bereft.h"
#include "master/door.h"
#include "master/keeper_follow.h"
#include "master/keeper_start.h"
#include "master/keeper_worker.h"
#include "master/orders.h"
#include "master/revive.h"
#include "master/spare.h"
#include "shm/crash.h"
#include "shm/log.h"

#define BEAT_MS 1000			/* between this process's own signs of life, at most */
#define SPARE_WAIT_MS 50			/* until a spare is made, if it can't be now */
#define QUIESCE_DEATHS 2			/* workers that die while they are to leave a snapshot, before that is refused */

/* ---- signals ---- */

/* (The worker is told first: until it is, the spare has it end if this process dies; then it ends by itself, and nobody is to go on.) */
static void stop(struct keeper *k)
{
	if (k->supervisor.stopping)
		return;
	supervisor_stop(&k->supervisor);
	CRASH_POINT("keeper-stops");
	spare_end(k);
	if (k->bereft)
		revive_no_more(k);
	if (k->supervisor.worker == 0 && !k->replacing)
		supervisor_start(&k->supervisor);	/* it delivers what is owed */
}

static void take_signals(struct keeper *k)
{
	struct signalfd_siginfo info;

	while (read(k->signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo == SIGTERM)
			stop(k);
}

/* ---- orders ---- */

static bool takes_orders(const struct keeper *k)
{
	return !k->supervisor.stopping && supervisor_settled(&k->supervisor);
}

static void refuse(struct keeper *k, const char *why)
{
	keeper_count_refusal(k);
	log_error("an order could not be followed: %s", why);
}

/* (The file leads to the door that was made last.) */
static void order_door(struct keeper *k, const struct order_received *r)
{
	keeper_take(&k->h.slots[k->slot].door, r->door);
	keeper_take(&k->h.control, r->control);
	atomic_store(&k->self->door, 1);
	k->spare_old = true;
}

/* It asks again if nothing comes. */
static void order_tell(struct keeper *k)
{
	k->h.slots[k->slot].spare = (uint32_t)k->spare;
	if (adopt_tell(k->h.slots[k->slot].orders, &k->h, k->program) < 0)
		log_warning("the master can't be told what this keeper has: %m");
	CRASH_POINT("keeper-told");
}

/*
 * The worker serves on, and so does this process. If the worker was to leave a snapshot, that is of no use any more, unless the next program may have it already: then that may be publishing in its own hub.
 */
static void lose_master(struct keeper *k)
{
	if (!bereft_begin(k))
		stop(k);
	else if (!atomic_load(&k->hub.shm->masters.moving))
		keeper_order_resume(k);
}

/* Somebody is at the door. If it is a master, what it came by is where orders come from now, at the number that the worker's copy of all this names, too. */
static void answer_door(struct keeper *k)
{
	int orders = k->h.slots[k->slot].orders, fd;
	pid_t master;

	fd = door_answer(k->h.slots[k->slot].door, k->h.lock, &master);
	if (fd < 0)
		return;
	CRASH_POINT("keeper-accepted");
	if (dup2(fd, orders) < 0)
		log_error("orders of the next master: %m");
	else
		log_info("process %d is the master now", (int)master);
	close(fd);
	bereft_end(k);
	CRASH_POINT("keeper-adopted");
}

static void take_order(struct keeper *k)
{
	static struct order_received r;
	const char *why;

	orders_receive(k->h.slots[k->slot].orders, &r);
	switch (r.order) {
	case ORDER_NONE:
		break;
	case ORDER_END:
		lose_master(k);
		break;
	case ORDER_DOOR:
		order_door(k, &r);
		break;
	case ORDER_TELL:
		order_tell(k);
		break;
	case ORDER_BAD:
		refuse(k, r.error);
		break;
	case ORDER_REPLACE:
		why = keeper_order_replace(k, &r);
		if (why)
			refuse(k, why);
		break;
	case ORDER_QUIESCE:
		k->quiescing = true;
		k->quiesce_deaths = 0;
		break;
	case ORDER_RESUME:
		keeper_order_resume(k);
		break;
	}
}

/* ---- a worker has ended ---- */

/* A worker that left for something else, or died, has not delivered what is owed: another one does, while there is time. */
static int stop_on(struct keeper *k, enum worker_end end)
{
	if (end == END_STOPPED || end == END_DRAINED || supervisor_stop_overdue(&k->supervisor))
		return KEEPER_STOPPED;
	supervisor_start(&k->supervisor);
	return -1;
}

/* It was to leave a snapshot, and could not or did not. */
static void quiesce_failed(struct keeper *k)
{
	k->quiescing = false;
	k->quiesce_deaths = 0;
	keeper_count_refusal(k);
}

/* The next worker, by the program that is to follow if there is one. -1 to go on, or the exit status. */
static int go_on(struct keeper *k, enum worker_end end)
{
	struct supervisor *s = &k->supervisor;

	if (end == END_DIED && k->successor < 0)
		return supervisor_replace(s) ? -1 : KEEPER_GAVE_UP;
	if (end == END_SHORTAGE && k->successor < 0) {
		supervisor_retry(s);
		return -1;
	}
	/* It died while it was to hand over. What it died of is noted in the slot segment, where the next program finds it. */
	if (end == END_DIED || end == END_SHORTAGE)
		supervisor_note_death(s);
	keeper_follow(k);
	keeper_start_worker(k);
	return -1;
}

/* -1 to go on, or the exit status. */
static int worker_ended(struct keeper *k, enum worker_end end)
{
	k->h.died = hub_now();
	if (k->supervisor.stopping)
		return stop_on(k, end);
	if (end == END_LEFT || end == END_SNAPSHOT || end == END_DRAINED)
		events_say(&k->hub.events, k->slot, EVENT_HANDOVER, atomic_load(&k->self->connections), "process %d%s", (int)k->supervisor.gone,
			   end == END_SNAPSHOT ? " left a snapshot" : end == END_DRAINED ? " served its last connection" : "");
	if (end == END_DRAINED && k->h.slots[k->slot].draining && k->successor < 0) {
		bereft_leave(k);
		return KEEPER_DRAINED;
	}
	if (end == END_SNAPSHOT && k->quiescing) {
		k->quiesced = true;
		atomic_store(&k->self->state, SLOT_QUIESCED);
		CRASH_POINT("keeper-quiesced");
		return -1;
	}
	if (k->quiescing && (end == END_NO_SNAPSHOT || ++k->quiesce_deaths >= QUIESCE_DEATHS))
		quiesce_failed(k);
	return go_on(k, end);
}

/* ---- the wait ---- */

static int wait_beside_spare_ms(const struct keeper *k)
{
	uint64_t now = restarts_now();

	if (!k->replacing && k->bereft && takes_orders(k))
		return revive_wait_ms(k, supervisor_wait_ms(&k->supervisor));
	if (!k->replacing)
		return supervisor_wait_ms(&k->supervisor);
	return k->replace_at <= now ? 0 : k->replace_at - now < BEAT_MS ? (int)(k->replace_at - now) : BEAT_MS;
}

static int wait_ms(const struct keeper *k)
{
	int ms = wait_beside_spare_ms(k);

	return k->spare || k->supervisor.stopping || ms < SPARE_WAIT_MS ? ms : SPARE_WAIT_MS;
}

/* Everything that time has come for. */
static void take_turn(struct keeper *k)
{
	atomic_store_explicit(&k->self->keeper_beat, restarts_now(), memory_order_relaxed);
	if (!k->supervisor.stopping && !bereft_look(k))
		stop(k);
	if (k->bereft && takes_orders(k))
		revive_look(k);
	if (k->h.tls_before >= 0 && !k->replacing && takes_orders(k) && restarts_now() >= k->started + WAY_BACK_MS)
		keeper_close_tls_before(k);
	if (k->quiescing && k->supervisor.worker > 0 && takes_orders(k)) {
		supervisor_ask(&k->supervisor, ASKED_SNAPSHOT);
		CRASH_POINT("snapshot-asked");
	}
	if (!k->replacing)
		supervisor_watch(&k->supervisor);
	else if (restarts_now() >= k->replace_at)
		keeper_replace_now(k);
	/* (One that follows a program ends the spare that it was told of: so there is no other from the order on.) */
	if (!k->supervisor.stopping && k->successor < 0 && !k->replacing && spare_due(k) && spare_make(k))
		keeper_start_worker(k);
}

static int run(struct keeper *k)
{
	enum worker_end end;
	int r;

	for (;;) {
		struct pollfd p[3] = {
			{ .fd = k->signals, .events = POLLIN },
			{ .fd = takes_orders(k) && !k->bereft ? k->h.slots[k->slot].orders : -1, .events = POLLIN },
			{ .fd = takes_orders(k) ? k->h.slots[k->slot].door : -1, .events = POLLIN },
		};

		poll(p, 3, wait_ms(k));
		take_signals(k);
		if (supervisor_reap(&k->supervisor, &end) && (r = worker_ended(k, end)) >= 0)
			return r;
		if (p[1].revents && takes_orders(k))
			take_order(k);
		if (p[2].revents && takes_orders(k))
			answer_door(k);
		if (k->supervisor.worker == 0 && (supervisor_stop_overdue(&k->supervisor) || (k->supervisor.stopping && k->replacing)))
			return KEEPER_STOPPED;
		take_turn(k);
	}
}

/* ---- main ---- */

/* For a master that is not its parent. */
static int say_end(const struct keeper *k, int status)
{
	atomic_store(&k->self->keeper_end, KEEPER_SAID | (uint32_t)status);
	return status;
}

/* The spare comes first: it is there from now on, and the one that the program before this one had goes. One that becomes the keeper within this does it again. */
static bool restore(struct keeper *k)
{
	bool again = spare_make(k), good;
	int snapshot = k->h.snapshot;

	if (snapshot >= 0)
		spare_wait(k);		/* (its segments take memory, which the new ones need) */
	good = keeper_restore(k, again);
	k->h.snapshot = -1;
	CRASH_POINT("keeper-restored");
	if (snapshot >= 0 && !spare_make(k))
		close(snapshot);
	return good;
}

int keeper_main(int handover)
{
	static struct keeper keeper;
	struct keeper *k = &keeper;
	int status;

	log_init("keeper", LOG_LEVEL_INFO);
	CRASH_ALWAYS("keeper-abort");
	if (keeper_start(k, handover) < 0)
		return KEEPER_FAILED;
	CRASH_POINT("keeper-executed");
	keeper_begin(k);
	if (!restore(k))
		keeper_count_refusal(k);
	else
		keeper_start_worker(k);
	status = run(k);
	spare_end(k);
	return say_end(k, status);
}
