/*
 * The keeper's process: its state, and what its files offer each other.
 *
 *   keeper.c          start, the wait for signals, orders and time
 *   keeper_worker.c   the worker: made, watched, missed, made again
 *   keeper_orders.c   the master's orders and the descriptors that come with them
 */
#ifndef MASTER_KEEPER_PROCESS_H
#define MASTER_KEEPER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "master/heritage.h"
#include "master/keeper.h"
#include "master/program.h"
#include "master/restarts.h"
#include "shm/blame.h"
#include "shm/hub.h"
#include "shm/slot.h"

/* How it stands with the worker that is asked to leave. */
enum asked { ASKED_NOT, ASKED_REPLACE, ASKED_FREEZE, ASKED_STOP };

struct keeper {
	struct heritage h;
	unsigned slot;
	struct hub hub;
	struct hub_slot_shm *self;
	struct slot segment;
	int signals;			/* signalfd */
	int program;			/* O_PATH: what is executed when the program is to be another, or the same anew */
	int snapshot;			/* where the worker puts one if asked to */

	/* keeper_worker.c */
	pid_t worker;			/* 0: there is none, and start_at says when there will be */
	uint64_t start_at;		/* milliseconds of CLOCK_MONOTONIC, 0: not before an order comes */
	enum asked asked;
	bool was_live;			/* the worker that is gone had become live */
	struct restarts restarts;
	struct {
		uint64_t beat, looked;	/* the worker's last sign of life that was seen, and when it was looked for last */
		uint64_t still;		/* milliseconds of looking without one */
		bool hung;		/* it was killed for that */
		uint64_t started;	/* when it was made */
	} watch;

	/* keeper_orders.c */
	bool stopping;
	uint64_t stop_at;		/* when that was asked for, milliseconds */
	bool freezing;			/* the worker is to leave a snapshot */
	unsigned frozen_deaths;		/* of workers that were to, and died instead */
	bool frozen;			/* it has, and none is made until an order comes */
	int successor;			/* heritage to execute the program with, -1 none */
	bool replacing;			/* an order to replace has come while there was no worker */
};

/* keeper_worker.c */
void keeper_start_worker(struct keeper *k);	/* now; or later, when something is lacking */
void keeper_ask_worker(struct keeper *k, enum asked what);
void keeper_watch(struct keeper *k);		/* once in a while; kills a worker that makes no progress, or does not leave */
int keeper_wait_ms(const struct keeper *k);	/* until something is to be done at the latest */
/* -1 to go on, or the exit status. */
int keeper_worker_gone(struct keeper *k, int status);

/* keeper_orders.c */
bool keeper_takes_orders(const struct keeper *k);
void keeper_take_order(struct keeper *k);
void keeper_stop(struct keeper *k);
/* No worker is there: executes the successor, if there is one and it can be. */
void keeper_follow(struct keeper *k);
void keeper_replace_now(struct keeper *k);	/* what is `replacing` */

/* keeper.c */
int keeper_open_signals(struct keeper *k);

#endif
