/*
 * The messages in which connections move between workers (move.h): what of a session goes along with its descriptor. Programs of different versions may read each other's, as what is
 * in a slot's queue waits for the slot's next worker.
 *
 *   struct move_message | input | entry of its TLS connection, what of a record is held (MOVED_TLS) | who its client is (MOVED_PEER) | what it may do (its version says so)
 *
 * A session that moves with all it has (move_session.h) is a map, as in snapshots, of `input` bytes; or, `input` 0, that is in a second descriptor, a memfd.
 */
#ifndef WORKER_LOOP_MOVE_MESSAGE_H
#define WORKER_LOOP_MOVE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/rights.h"
#include "shm/events.h"
#include "shm/tls_shm.h"
#include "worker/service/service.h"

#define MOVE_INPUT_MAX 65536		/* bytes of input that go along */
#define MOVE_WORD_MAX 28		/* bytes of a transport's name */

/* move_message.listener, beside enum slow_policy */
#define MOVED_ADMIN 4			/* it came by an admin listener */
#define MOVED_TLS 8			/* its connection is a TLS one */
#define MOVED_PEER 16			/* a proxy has named its client */
#define MOVED_BY_KERNEL 32		/* with MOVED_TLS: the kernel makes its records (TLS_BY_KERNEL), which not every program knows */

struct move_message {
	uint32_t version;
	uint32_t sender;		/* slot */
	uint64_t number;		/* slot_shm.move_number */
	uint64_t sent, parsed;		/* session_state_shm. With a map: 0; the last order that the sender has done (orders.h) */
	uint64_t everybody;		/* from which sequence on it is owed what goes to everybody, and what its token names; 0: it is not. With a map: when it was sent heartbeats (heartbeat.c) */
	struct flood flood;
	uint32_t input;			/* bytes of input from `parsed` on */
	char transport[MOVE_WORD_MAX];
	uint32_t listener;		/* what its listener says: enum slow_policy, MOVED_. (The programs before knew none, and filled it with 0.) */
};

struct moved_peer {
	struct event_peer peer;
	uint32_t by;			/* enum peer_by */
};

/* What is sent. NULL: there is none of it. */
struct move_parts {
	struct move_message m;		/* but for version, and MOVED_TLS, MOVED_BY_KERNEL and MOVED_PEER */
	const void *input;
	const struct tls_entry_shm *tls;
	const void *held;		/* tls->flow.held_len bytes */
	const struct moved_peer *peer;
	const struct rights *rights;
};

/* Sends a connection. 0; -1 with errno: EAGAIN, the queue is full. */
int move_message_send(int queue, int fd, struct move_parts *parts);

/* Sends a session's map; `file`: -1, or the memfd that it is in. The same. */
int move_message_send_map(int queue, int fd, struct move_message *m, const void *map, int file);

/* A message that is looked at, and still in the queue. */
struct move_looked {
	struct move_message m;
	char input[MOVE_INPUT_MAX + sizeof(struct tls_entry_shm) + TLS_RECORD_MAX + sizeof(struct moved_peer) + RIGHTS_SIZE_MAX];
	struct moved_peer peer;		/* with MOVED_PEER */
	_Alignas(struct rights) char rights[RIGHTS_SIZE_MAX];	/* move_message_has_rights() */
	int fd;				/* the connection's, the caller's own; -1: there was no descriptor left for it */
	int file;			/* of a map, the same; -1: it is in `input` */
	bool good;			/* all of it is there, and can be true */
};

/* Looks at the one that is next. False: there is none. */
bool move_message_look(int queue, struct move_looked *l);
void move_message_forget(struct move_looked *l);	/* wipes the keys in it */

bool move_message_has_rights(const struct move_message *m);
bool move_message_is_map(const struct move_message *m);
uint32_t move_message_transport(const struct move_message *m);	/* TRANSPORTS: one that this program does not know */

#endif
