/*
 * The handover state: all that a process hands to the program that it executes, as one msgpack map in a memfd. The master gives it to a keeper,
 * a keeper to itself (reload), the master to itself (upgrade). Its members have names, so that another version can read it; the names, and
 * the option --heritage that passes the memfd, are those that earlier versions know, and stay.
 */
#ifndef MASTER_HANDOVER_H
#define MASTER_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "master/config.h"
#include "master/restarts.h"
#include "master/socket_file.h"
#include "shm/hub_shm.h"

#define HANDOVER_VERSION 1

struct handover_listener {
	int fd;
	int proto;
	bool tls;
	enum slow_policy slow;		/* what it says of its connections that read slowly */
	bool proxy;			/* its connections begin with the PROXY protocol's header */
	char url[128];			/* as configured, without options */
	char bound[128];		/* what it is bound to, as a URL */
	int line;			/* where it is in the configuration (config.h) */
	struct socket_file file;	/* of a Unix socket */
};

struct handover_slot {
	bool used;
	bool draining;			/* takes no new connections, and ends with its last one */
	int segment;			/* descriptor of its slot segment */
	int orders;			/* master: its end of the socket to the keeper; keeper: the other one */
	int door;			/* keeper only: where the next master finds it (door.h); -1: it has none yet */
	uint32_t keeper;		/* process id; master only */
	uint32_t spare;			/* the same, of the keeper's spare: keeper; and master, from one layout to another */
};

/* What the configuration said when it was last taken up. The master's `settings` are what is in force of it: some wait for a restart. */
struct handover_config {
	bool there;			/* (an earlier program knew none of this) */
	uint64_t since;			/* when that was, seconds since 1970 */
	struct settings wanted;
	struct config_lines wanted_lines;	/* where that stands */
	struct config_lines lines;	/* where what is in force stood */
};

/* What the master goes back to if the new program's canary fails: the old program, with what it had. */
struct handover_fallback {
	bool there;
	int program;			/* descriptors */
	int hub;			/* of another layout; -1: it is the same */
	int segment[INDEX_SLOTS_MAX];	/* with such a hub */
	struct settings settings;
	struct handover_config config;
	int secrets;
	struct handover_listener listen[LISTENERS_OPEN_MAX];
	unsigned listeners;
};

#define HANDOVER_TEXT_MAX 512
#define HANDOVER_ARGUMENTS_MAX 4096

struct handover {
	uint32_t layout;		/* HUB_LAYOUT of the writer */
	struct settings settings;
	struct handover_config config;	/* master; kept by keepers, for the next one */
	uint64_t lost;			/* master only: connections that the server had lost when the reload began (report.c) */
	uint64_t moved;			/* the same of those that had gone from one worker to another */
	char program[4096];		/* where the next program is looked for: the path by which the first master was called */
	char arguments[HANDOVER_ARGUMENTS_MAX];	/* what the first master was started with behind its name, each with its NUL */
	unsigned arguments_len;		/* bytes of it */
	bool arguments_there;		/* (an earlier program handed none over, and more than have room are not) */
	bool managed;			/* a service manager starts the next master, should this one die: keepers do not (revive.h) */
	int answer;			/* with --probe: descriptor that the answer is written to; -1 none */
	uint64_t nonce;			/* with --probe: a number that the answer must have in it */
	uint32_t master;		/* process id */
	int slot;			/* whose keeper this is for; -1 for the master */
	int hub;			/* descriptors */
	int lock;
	int secrets;			/* descriptor: what the settings' files have of secrets (shm/secrets.h); -1: there are none */
	int tickets;			/* descriptor: the keys of TLS tickets (shm/tickets.h); -1: the first program knew none */
	int fetched;			/* descriptor: keys of tokens that were fetched (shm/fetched_keys.h); -1: the first program knew none */
	int control;			/* master only, -1 else */
	int caller;			/* master only: the janusctl that waits for the end of a reload; -1 none */
	uint32_t snapshot_version;	/* SNAPSHOT_VERSION of the writer */
	int snapshot;			/* descriptor of a snapshot: the master's of the hub, a keeper's of its slot; -1 none */
	int tls;			/* keeper only: descriptor of its slot's TLS segment, which no other process is given (shm/tls.h); -1 none yet */
	int tls_before;			/* keeper only: the one that belongs to the slot segment before, while there is a way back to that; -1 none */
	bool new_segments;		/* to a keeper: hub and slot segment are other ones than before, and are sent along */
	bool restore;			/* to a keeper: and the new ones are to be filled from its snapshot */
	uint32_t reload_number;		/* counts reloads */
	bool canary;			/* to a keeper: it is the first one to get the program, whose workers must show that they live */
	int canary_slot;		/* master only: whose keeper that was; -1 none */
	bool revived;			/* master only: a keeper has started it (revive.h) */
	bool adopted;			/* master only: it has adopted the keepers (adoption.h), and these are theirs */
	bool again;			/* master only: another reload was asked for meanwhile */
	char failed[HANDOVER_TEXT_MAX];	/* master only: why the new program failed, so that the old one is back; "" it did not */
	struct handover_fallback fallback;	/* master only */
	uint32_t data, bridge;		/* master only: process ids of janus-data and janus-bridge, 0 none */
	struct restarts keepers;	/* keeper only: those that died before it, one behind the other (spare.h) */
	uint32_t programs;		/* keeper only: that it and those before it have executed (runtime_dir_hold_program()) */
	uint64_t died;			/* keeper: when its worker died or left, microseconds since 1970 */
	uint64_t started;		/* when the master began, seconds since 1970 */
	int wake[INDEX_SLOTS_MAX];
	int queue[INDEX_SLOTS_MAX];	/* of connections that workers give each other (worker/loop/move.h); -1: the first program knew none */
	struct handover_listener listen[LISTENERS_OPEN_MAX];
	unsigned listeners;
	struct handover_listener dropped[LISTENERS_OPEN_MAX];	/* to the next master: no longer wanted; their files are to go. fd -1 */
	unsigned dropped_count;
	struct handover_slot slots[INDEX_SLOTS_MAX];
};

/* What only the master has is taken out, and what is for one slot: for another process. */
void handover_strip(struct handover *h);

/* A memfd with the handover state, not close-on-exec; -1 with errno. */
int handover_write(const struct handover *h);

/* Reads and closes it. 0; or -1 with errno: EPROTO when it is none, or of a version that can't be read. */
int handover_read(struct handover *h, int fd);

#endif
