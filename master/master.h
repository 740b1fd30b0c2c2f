/*
 * The master, and what its files offer each other.
 *
 *   master.c           start, signals, orderly stop
 *   slots.c            keepers: started, missed, replaced
 *   reload.c           SIGHUP: configuration and program anew
 *   freeze.c           before a program with another layout: everything into snapshots
 *   control_server.c   answers janusctl
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <ev.h>
#include <stdbool.h>

#include "master/config.h"
#include "master/heritage.h"
#include "master/restarts.h"
#include "master/runtime_dir.h"
#include "shm/hub.h"

struct master_slot {
	bool lost;			/* its keeper died; its worker may still be about */
	struct restarts restarts;	/* of keepers */
};

struct master {
	struct config_source source;
	char **argv;			/* as started */
	struct config config;
	struct runtime_dir dir;
	struct heritage h;		/* descriptors, listeners, slots: all that goes on over an upgrade */
	struct hub hub;
	struct master_slot slot[INDEX_SLOTS_MAX];
	uint32_t sessions_max;		/* descriptors a slot may have */

	struct ev_loop *loop;
	struct ev_signal on_term, on_int, on_hup, on_child;
	struct ev_io on_control;
	struct ev_timer stop_timer;
	bool stopping;
	int status;			/* to exit with */

	/* freeze.c */
	struct ev_timer freeze_timer;
	void (*frozen)(struct master *m, const char *error);
	double freeze_deadline;

	/* reload.c */
	bool reloading;
	struct heritage next;		/* what the following program is to be given */
	struct ev_timer roll_timer;
	bool rolling;
	unsigned roll_slot;		/* being replaced */
	uint32_t roll_generation;	/* it had before */
	double roll_deadline;
};

/* Runs the server in the foreground. `heritage` is that of the program this one follows, or -1. Returns the exit status. */
int master_main(const struct config_source *source, char **argv, const char *program, int heritage);

/* Stops everything in order and ends with `status`. */
void master_stop(struct master *m, int status);

/* For a program that is about to follow: can it? (No is logged.) The exit status of `--probe`. */
enum {
	PROBE_YES = 0,
	PROBE_NO = 1,
	PROBE_SNAPSHOT = 10,		/* its layout differs, but it can read a snapshot */
};
int master_probe(const struct config_source *source, int heritage);

/* slots.c */
int slots_start(struct master *m, unsigned slot);	/* a new slot and its keeper. -1 (logged) */
int slots_order(struct master *m, unsigned slot, char order);	/* one without descriptors */
int slots_order_replace(struct master *m, unsigned slot);
int slots_renew(struct master *m, unsigned slot);	/* a new segment, to be filled from a snapshot. -1 (logged) */
void slots_reap(struct master *m);			/* after SIGCHLD */
unsigned slots_alive(const struct master *m);
bool slots_lost(const struct master *m);		/* a keeper is gone, and its worker not yet */
void slots_kill(struct master *m, int sig);

/* reload.c */
/* `caller`: the janusctl that waits for the outcome and is answered then, or -1. Does not return when the program executes anew. */
void reload(struct master *m, int caller);
void reload_abandon(struct master *m);			/* the server stops: what a reload under way has opened is closed */
void reload_roll(struct master *m);			/* in the new program: replaces slot by slot */

/* freeze.c */
/* Has all workers leave snapshots, then calls done(m, NULL), or done(m, error) when it could not be and all go on. */
void freeze(struct master *m, void (*done)(struct master *m, const char *error));
void freeze_undo(struct master *m);
int freeze_write_hub(struct master *m);			/* all are frozen: a file with the hub's snapshot, or -1 with errno */

/* control_server.c */
void control_serve(struct master *m);			/* starts answering */
void control_hurry(void);				/* answers those that wait: the program is about to be another */
void control_answer(int fd, const char *error);		/* a reply without more; closes. fd -1: nobody waits */

#endif
