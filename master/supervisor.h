/*
 * Supervision of a slot's worker, by its keeper: the worker is made, watched, asked to leave, and made again when it dies, but not for ever
 * (restarts.h). Its death is put down to what it was at (attribution.h).
 *
 * The supervisor knows nothing of the master and its orders: it says how a worker has ended, and its user decides what comes next.
 */
#ifndef MASTER_SUPERVISOR_H
#define MASTER_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "master/restarts.h"
#include "shm/attribution.h"
#include "shm/hub.h"
#include "shm/slot.h"
#include "shm/tls.h"

/* What the worker was last asked to do. */
enum asked { ASKED_NOTHING, ASKED_REPLACE, ASKED_SNAPSHOT, ASKED_STOP };

/* How a worker has ended. */
enum worker_end {
	END_LEFT,		/* as it was asked to, for a successor */
	END_SNAPSHOT,		/* as it was asked to: its sessions are in the snapshot */
	END_NO_SNAPSHOT,		/* as it could not write that snapshot */
	END_DRAINED,		/* as its last connection has ended, and it was to take no more */
	END_STOPPED,		/* as it was asked to: nothing is owed any more */
	END_SHORTAGE,		/* it could not start, as the machine was short of something: no death */
	END_DIED,		/* anything else */
};

struct supervisor {
	/* Set by the user before supervisor_start(). */
	struct hub *hub;
	unsigned slot;
	const struct settings *settings;	/* may change from one worker to the next */
	struct slot *segment;
	int segment_fd;
	const struct tls *tls;
	int tls_fd;
	uint32_t reload_number;				/* the number of the reload whose settings the next worker gets */
	bool canary;				/* the program must show that its workers live: until one has made progress */
	bool canary_until_live;			/* or is only live, as from then on there is no way back */
	void (*run)(void *arg);			/* called in the new process: what a worker does */
	void *arg;

	/* Read by the user. */
	pid_t worker;				/* 0: there is none */
	enum asked asked;
	bool stopping;				/* supervisor_stop() */

	/* Its own. */
	pid_t gone;				/* the worker that has ended, its wait() status, and whether it had been live */
	int status;
	bool was_live;
	uint64_t start_at;			/* when the next one is made, milliseconds of CLOCK_MONOTONIC; 0: when the user says so */
	uint64_t stop_at;			/* when it was told to stop */
	struct restarts restarts;
	struct {
		uint64_t beat, looked;		/* the worker's last sign of life that was seen, and when it was looked for last */
		uint64_t still;			/* milliseconds of looking without one */
		bool hung;			/* it was killed for that */
		uint64_t started;		/* when it was made */
	} watch;
};

/* Makes a worker: now, or, if the machine is short of something, in a while. */
void supervisor_start(struct supervisor *s);

/* Asks the worker to leave, if there is one. */
void supervisor_ask(struct supervisor *s, enum asked what);

/* The server stops. The worker, and each that is made from now on, is asked to deliver what is owed and to end. */
void supervisor_stop(struct supervisor *s);
/* That has taken too long. */
bool supervisor_stop_overdue(const struct supervisor *s);

/* No worker starts or leaves just now: there is none, or it is live and was asked nothing. */
bool supervisor_settled(const struct supervisor *s);

/* Once in a while: makes a worker that is due, and kills one that makes no progress or does not stop. */
void supervisor_watch(struct supervisor *s);
/* Milliseconds until supervisor_watch() is to be called again, at the latest. */
int supervisor_wait_ms(const struct supervisor *s);

/*
 * After SIGCHLD. True: the worker has ended, and *end is how. What it left half done in the hub is put right. There is no worker until the
 * user says what is to come: supervisor_start(), _retry() or _replace(), or none of them.
 */
bool supervisor_reap(struct supervisor *s, enum worker_end *end);

/*
 * For a keeper that was the spare (spare.h), and is not the worker's parent. The first watches a worker that is there, and asks it to leave for a successor; the second, when
 * it has ended, puts right what it may have left half done in the hub. How it has ended only its parent knows.
 */
void supervisor_adopt(struct supervisor *s, pid_t worker);
void supervisor_gone(struct supervisor *s);

/* After END_SHORTAGE: makes one in a while. */
void supervisor_retry(struct supervisor *s);

/* After END_DIED: makes the next one; with an empty slot after a crash loop. False: it is of no use to go on. */
bool supervisor_replace(struct supervisor *s);

/* After END_DIED, if another program is to follow instead: that one's worker finds noted what the last one died of. */
void supervisor_note_death(struct supervisor *s);

#endif
