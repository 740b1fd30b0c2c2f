/*
 * The master, and what its files offer each other.
 *
 *   master.c           signals, what janusctl may ask, orderly stop
 *   master_start.c     what a server opens, and in which order
 *   master_prepare.c   before that: the configuration, and what a predecessor or a keeper has left for this program
 *   adoption.c         keepers that serve on without a master are found, and taken over
 *   rolling.c          the rolling replacement, a reload's second half: the new program goes to slot after slot, or back to the old one
 *   reload.c           SIGHUP: configuration and program anew, as far as the old program sees to it
 *   probe.c            can the next program take over?
 *   quiesce.c          before a program with another layout: everything into snapshots
 *   slots_watch.c      once a second: keepers' signs of life, and what else is looked at though nothing has come
 *   slots_death.c      what a keeper's death leads to: its spare is the keeper, or the slot starts empty
 *   slots.c            a slot's segment and its keeper: made, told, ended
 *   data.c             janus-data, which writes the journal: started, missed, replaced, and told to end
 *   bridge.c           janus-bridge, which speaks with NATS: started, missed, replaced, held while the layout changes, and told to end
 *   jwks.c             janus-jwks, which fetches keys of tokens: started, missed, replaced, and listened to
 *   ticket_keys.c      the keys of TLS tickets, renewed in time
 *   service.c          what the service manager is told (systemd)
 *   report.c           what a reload has done, for who asked for it and for the log
 *   control_server.c   takes janusctl's requests, for those whom master.c has told it
 *   control_status.c   answers those that only want to know; control_config.c, what is in force
 *   control_act.c      and those that act on clients: kick, drain
 *
 * Each of them calls only files of later lines. What an earlier one is to know it reads from what they return, or from struct master.
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <ev.h>
#include <stdbool.h>

#include "master/config.h"
#include "master/handover.h"
#include "master/orders.h"
#include "master/restarts.h"
#include "master/runtime_dir.h"
#include "master/silence.h"
#include "proto/control.h"
#include "shm/hub.h"

struct master_slot {
	bool lost;			/* its keeper and its spare have died; its worker is there, and is to end */
	uint32_t worker;		/* that one */
	bool ordered;			/* the keeper was told to have the worker replaced: the next one is told again, if that has not been done */
	bool vacant;			/* all are gone, and a keeper is to be made: now, or at retry_at */
	bool uncleared;			/* and what its sessions were still stands in the hub and the segment */
	bool shortage;			/* the keeper could not start, as the machine was short of something */
	struct ev_io end;		/* its keeper's pidfd */
	bool ours;			/* its keeper was made by this program, and not by a predecessor */
	uint64_t retry_at;		/* milliseconds of CLOCK_MONOTONIC */
	struct restarts restarts;	/* of keepers */
	uint64_t beat, looked, silent;	/* the keeper's last sign of life seen; when it was looked for; milliseconds without one */
};

enum rolling_step {
	ROLLING_CANARY,			/* one slot has the new program: do its workers live? */
	ROLLING_ALL,			/* all slots at once, as all workers have left: wait until they live */
	ROLLING_EACH,			/* one slot after the other */
	ROLLING_MOVES,			/* slots were added, or end: wait while connections go from one to another */
};

struct master {
	struct config_source source;
	char **argv;			/* as started */
	struct config config;
	struct runtime_dir dir;
	bool by_path;			/* a predecessor's keepers execute what stands at its path, and expect no program with an order */
	int program;			/* O_PATH, of the program that this is: keepers are made from it, whatever stands at the path */
	struct handover h;		/* descriptors, listeners, slots: all that goes on over an upgrade */
	struct hub hub;
	struct master_slot slot[INDEX_SLOTS_MAX];
	uid_t workers_uid;		/* whom keepers and workers run as */
	uint32_t sessions_max;		/* descriptors a slot may have */

	struct ev_loop *loop;
	struct ev_signal on_term, on_int, on_hup, on_leave, on_child;
	struct ev_prepare on_turn;
	struct ev_io on_control;
	struct ev_timer stop_timer;
	struct ev_timer slots_timer;	/* slots_watch(), which looks sooner if slots_death.c says so */
	/* data.c */
	struct ev_timer data_timer;
	struct restarts data_restarts;
	uint64_t data_next;		/* how far the journal was when it was made */
	struct silence data_silence;
	bool data_replaced;		/* killed, as another one is to follow */
	bool data_ending, data_ended;

	struct tickets_shm *tickets;	/* ticket_keys.c: mapped; NULL not yet */
	uint64_t watched_since;		/* slots_watch(); milliseconds of CLOCK_MONOTONIC */
	bool held;			/* slots_hold() */
	uint32_t keepers_died;		/* how many did while this program was about */
	bool stopping;
	int status;			/* to exit with */

	/* quiesce.c */
	struct ev_timer quiesce_timer;
	void (*quiesced)(struct master *m, const char *error);
	uint64_t quiesce_deadline;	/* milliseconds of CLOCK_MONOTONIC */
	uint32_t quiesce_refusals, quiesce_died;	/* of keepers, before */

	/* bridge.c */
	struct {
		struct ev_timer timer;
		struct restarts restarts;
		struct silence silence;
		uint32_t connected;		/* how often NATS had been connected when it was made */
		bool replaced;			/* killed, as another one is to follow */
		bool held;			/* there is to be none for a while */
		bool ending;
	} bridge;

	/* jwks.c */
	struct {
		pid_t pid;			/* 0: none */
		struct ev_io io;		/* its pipe */
		struct ev_timer timer;
		struct restarts restarts;
		struct fetched_keys_shm *shm;	/* NULL: no URL is set */
		uint8_t *bytes;			/* of what it has said, those that are not whole yet */
		size_t len;
	} jwks;

	/* reload.c */
	bool reloading;
	bool again;			/* another was asked for meanwhile */
	struct handover next;		/* what the following program is to be given */
	int next_program;		/* O_PATH */

	/* report.c: what there was before this program followed another one, or nothing if it is not known */
	struct {
		bool there;
		struct settings settings;
		struct handover_listener listen[LISTENERS_OPEN_MAX];
		unsigned listeners;
		uint64_t slots;			/* a bit each */
	} before;

	/* service.c */
	struct {
		struct ev_timer timer;
		bool follows;		/* the server was ready before, in another program or in this one: what makes it so again is the reload's end */
		bool ready;		/* and the service manager knows it */
		char status[128];	/* what it was told, and when; milliseconds of CLOCK_MONOTONIC, as the next */
		uint64_t status_at;
		uint64_t alive_at;	/* when it was told that the server is alive */
	} service;

	/* rolling.c */
	struct ev_timer rolling_timer;
	bool rolling;
	enum rolling_step rolling_step;
	unsigned rolling_slot;		/* being replaced */
	uint32_t rolling_refused;		/* of that slot, before */
	uint64_t rolling_deadline;		/* milliseconds of CLOCK_MONOTONIC, as the next */
	bool rolling_added;		/* slots were added, or stay that were to end */
	uint64_t rolling_moved, rolling_moved_at;	/* connections that have moved; when that was last another number */
	const char *canary_failed;	/* why; NULL it has not */
	uint64_t back_at;		/* when the way back is tried */
	char rolling_error[HANDOVER_TEXT_MAX];	/* what did not happen, "" all did */
};

/* Runs the server in the foreground. `handover` is that of the program this one follows, or -1; `revived` a keeper's, which has started this one (revive.h), or -1. Returns the exit status. */
int master_main(const struct config_source *source, char **argv, int handover, int revived);

/* slots.c */
int slots_start(struct master *m, unsigned slot);	/* a new slot and its keeper. -1 (logged) */
int slots_order(struct master *m, unsigned slot, enum order order);	/* one without descriptors */
int slots_order_replace(struct master *m, unsigned slot);	/* if it has no keeper just now, its next one is told */
int slots_renew(struct master *m, unsigned slot);	/* a new segment, to be filled from a snapshot. -1 (logged) */
void slots_note_spares(struct master *m);		/* before a program with another hub follows: in m->h, for it */
void slots_tell_spare(const struct master *m, unsigned slot);	/* in this hub, of a slot whose keeper follows from another one */
void slots_recount(const struct master *m, unsigned slot);	/* its next worker asks the kernel what every session was sent */
void slots_give_doors(const struct master *m);		/* to keepers that the next master would not find */
unsigned slots_alive(const struct master *m);
void slots_kill(struct master *m, int sig);		/* keepers; and workers that have none */
void slots_end(struct master *m);			/* keepers, spares and workers are killed, at once, and are gone */

/* slots_death.c */
bool slots_reap(struct master *m);			/* after SIGCHLD. False: a slot has come to its end, and the server must stop; call it again */
bool slots_lost(const struct master *m);		/* a keeper is gone, and the slot has no other yet */
void slots_hold(struct master *m, bool hold);		/* from now on, no keeper is made for a slot that loses its own */
void slots_take_over(struct master *m);			/* those whose keepers went while another program was about are taken care of */

/* slots_watch.c */
void slots_watch(struct master *m);			/* from now on: keepers that make no progress, and those to be made */

/* data.c: nothing is done if the setting `data` is empty */
int data_open(struct master *m);			/* at a server's start: waits until what is on the disk is in the hub. -1 (logged) */
void data_abandon(struct master *m);			/* the start has failed behind that: waits until it has ended */
void data_watch(struct master *m);			/* from now on, one that ends is replaced */
void data_take_over(struct master *m);			/* the program has followed another: its janus-data does, too */
void data_look(struct master *m, uint64_t now);		/* now and then: does it give signs of life? */
bool data_reap(struct master *m, pid_t pid, int status);	/* whether it was this process's */
void data_end(struct master *m);			/* nobody publishes any more */
bool data_alive(const struct master *m);

/* bridge.c: nothing is done if the setting `nats` is empty */
int bridge_check(const struct master *m, const struct settings *settings, char error[CONFIG_ERROR_MAX]);	/* is there such a program? -1 with error[] */
void bridge_open(struct master *m);			/* at a server's start, before there are workers: what is published is for other nodes, too */
void bridge_watch(struct master *m);			/* from now on, one that ends is replaced */
void bridge_take_over(struct master *m);		/* there is to be one, if the settings say so, and of this program */
void bridge_hold(struct master *m, bool hold);		/* there is to be none until it is taken back: it is killed, and gone when bridge_alive() says so */
void bridge_look(struct master *m, uint64_t now);	/* now and then: does it give signs of life? */
bool bridge_reap(struct master *m, pid_t pid, int status);	/* whether it was this process's */
void bridge_end(struct master *m);			/* nobody publishes any more: what there is is sent */
bool bridge_alive(const struct master *m);

/* ticket_keys.c */
void ticket_keys_look(struct master *m);			/* now and then, and before there are workers: is it time for a new one? */

/* jwks.c: nothing is done if the setting token_jwks_url is empty */
void jwks_watch(struct master *m);			/* from now on there is one, and the workers have what it says */
bool jwks_reap(struct master *m, pid_t pid, int status);	/* whether it was this process's */
void jwks_end(struct master *m);			/* the server stops */

/* reload.c */
/* `caller`: the janusctl that waits for the outcome and is answered then, or -1. Does not return when the program executes anew. */
void reload(struct master *m, int caller);
void reload_abandon(struct master *m);			/* the server stops: what a reload under way has opened is closed */
void reload_again(struct master *m);			/* if one was asked for while it could not be, and it can be now */
/*
 * Executes another program (O_PATH descriptor) with this handover state in the master's place. Signals are held. Returns only if it fails, errno
 * set.
 */
void reload_execute(struct master *m, int program, int handover);

/* rolling.c */
void rolling_begin(struct master *m);			/* the program has followed another: has the slots follow */
void rolling_join(struct master *m, uint64_t slots);	/* these wait with snapshots for this program's hub (a bit each), and follow; there is no way back */
void rolling_abandon(struct master *m);			/* the server stops */
/*
 * The program can't take over, and nothing of it runs but this master: becomes the old one again. Returns if there is none, or it can't be.
 */
void rolling_give_back(struct master *m, const char *why);

/* quiesce.c */
/* Has all workers leave snapshots, then calls done(m, NULL), or done(m, error) when it could not be and all go on. */
void quiesce(struct master *m, void (*done)(struct master *m, const char *error));
void quiesce_undo(struct master *m);			/* all go on, from where they were */
int quiesce_write_hub(struct master *m);		/* when all workers have left: a file with the hub's snapshot, or -1 with errno */

/* service.c: nothing is done if there is no service manager */
void service_start(struct master *m, bool follows);	/* follows: the program has followed another one */
void service_reloading(struct master *m);		/* a reload begins; that it has ended is found */
void service_stopping(void);
bool service_healthy(const struct master *m, uint64_t now);	/* as the watchdog is told; `now` as restarts_now() */

/* report.c */
void report_note_config(struct master *m, bool fresh);	/* m->config was read, and m->h.settings is what is in force of it; fresh: no program was before */
uint64_t report_lost(const struct master *m);		/* connections that the server, and no peer, has lost */
uint64_t report_moved(const struct master *m);		/* those that have gone from one worker to another */
/* What report_done() will say of workers: notes those that have followed since it was called last (some go soon), or all that are left. */
void report_begin_workers(void);
void report_note_workers(const struct master *m, bool all);
/* Answers the caller, if there is one. Nothing has changed, and this is why; all has been done, but for what `error` says. The second logs it. */
void report_refused(struct master *m, int caller, const char *error);
void report_done(struct master *m, int caller, const char *error);

/* control_server.c */
/* What is done with a request. The function answers with control_answer(), at once or later, or with bytes of its own, and closes. */
struct control_handler {
	enum control_command command;	/* 0: the table ends */
	void (*run)(struct master *m, int caller, const struct control_request *request);
};
void control_serve(struct master *m, const struct control_handler *handlers);	/* starts answering */
void control_send(int fd, const void *packet, size_t len);
void control_hurry(void);				/* answers those that wait: the program is about to be another */
void control_answer(int fd, const char *error);		/* a reply without more; closes. fd -1: nobody waits */

/* control_status.c: three of the handlers */
void control_status(struct master *m, int caller, const struct control_request *request);
void control_hub(struct master *m, int caller, const struct control_request *request);
void control_slots(struct master *m, int caller, const struct control_request *request);

/* control_config.c: two more */
void control_config(struct master *m, int caller, const struct control_request *request);
void control_log(struct master *m, int caller, const struct control_request *request);

/* control_act.c: those who act on clients */
void control_kick(struct master *m, int caller, const struct control_request *request);
void control_drain(struct master *m, int caller, const struct control_request *request);

#endif
