/*
 * The slot segment's layout: everything of a slot's connections that must outlive their worker. Mapped by the slot's keeper and worker,
 * and by janusctl read-only (clients.h); written by the worker, and by its successor.
 *
 *   slot_shm | sessions, by descriptor | subscriptions | rights, by descriptor | clients behind proxies, by descriptor | what is watched, by descriptor
 *            | the buffer pool, by class
 *
 * Crash rules. A session is there when `status` says so (one store). What changes about it as bytes move is one struct, replaced as
 * a whole through the slot's redo record: written there, committed by the store of redo.fd, copied, and redo.fd cleared; a
 * successor that finds redo.fd set copies again. Subscriptions are a singly linked list a session: one store links or unlinks one. Which
 * subscriptions and buffers are free follows from the sessions, so nothing is kept about that.
 */
#ifndef SHM_SESSION_SHM_H
#define SHM_SESSION_SHM_H

#include <stdatomic.h>
#include <stdint.h>

#include "proto/token.h"

#define SLOT_MAGIC 0x31544f4c5353414aull	/* "JASSLOT1" */

enum session_status { SESSION_FREE, SESSION_OPEN };

/* session_state_shm.flags */
enum {
	SESSION_BEHIND = 1,	/* waits for writability; what it is owed is its out buffer, then the ring from pos */
	SESSION_CLOSE = 2,	/* takes no more input; to be closed when its out buffer is empty */
	SESSION_LINGER = 4,	/* our side is shut; input is thrown away until the peer closes or time is up */
	SESSION_CUT = 8,	/* in the middle of the frame of the record at `pos`, whose rest comes before all else */
	SESSION_PARKED = 16,	/* its connection broke, at `last_out`: it has no buffers, is behind, and waits for another connection (worker/loop/park.h) */
	SESSION_SLOW = 96,	/* two bits: what its listener says of slow readers (enum slow_policy, slow_rules.h), from its beginning to its end */
	SESSION_LISTS = 128,	/* is owed lists of who is on topics (worker/service/presence.h) */
	SESSION_ADMIN = 256,	/* came by an admin listener, from its beginning to its end */
	SESSION_TLS = 512,	/* its connection is a TLS one (tls_shm.h), from its beginning to its end */
	SESSION_LISTENER = SESSION_SLOW | SESSION_ADMIN | SESSION_TLS,	/* all that its listener says of it */
};
#define SESSION_SLOW_IS(policy) ((uint32_t)(policy) * 32)

struct session_state_shm {
	uint64_t pos;		/* ring sequence below which nothing is owed */
	uint64_t sent;		/* bytes the kernel has accepted for this connection */
	uint64_t parsed;	/* bytes of input dealt with, since the connection was opened */
	uint32_t in;		/* pool buffer with input from `parsed` on, 0 none */
	uint32_t out;		/* pool buffer with output that comes before anything of the ring, 0 none */
	uint32_t out_start, out_end;	/* what of it is still to be sent */
	uint32_t last_out;	/* when something was last sent, seconds of CLOCK_MONOTONIC */
	uint32_t flags;
	uint32_t cut;		/* with SESSION_CUT, bytes of that frame that were sent; with SESSION_PARKED, whose it is (worker/loop/park.c), 0 unknown */
	uint32_t transport;	/* enum transport: what it speaks from here on */
};
_Static_assert(sizeof(struct session_state_shm) == 56, "layout");

struct session_shm {
	_Atomic uint32_t status;
	_Atomic uint32_t subscriptions;		/* the first, 0 none */
	uint32_t count;				/* of them; derived, put right by a successor */
	uint32_t last_in;			/* when something was last received, seconds of CLOCK_MONOTONIC */
	uint32_t page_base;			/* TRANSPORT_PAGE: number of the topic's record ahead of the first one owed: it counts from there. HTTP: see poll.h.
						   Others: when it was connected or became a stream, seconds of CLOCK_MONOTONIC */
	uint32_t until;				/* TRANSPORT_HTTP: when a poll is answered in any case, seconds of CLOCK_MONOTONIC (worker/service/poll.h).
						   Others: when it was connected, if its client knows its token, else 0 */
	uint8_t token[TOKEN_BYTES];		/* proto/token.h */
	struct session_state_shm state;
#ifdef JANUS_OTHER_LAYOUT
	uint64_t other;				/* a build for tests: an upgrade to another layout */
#endif
};
#ifndef JANUS_OTHER_LAYOUT
_Static_assert(sizeof(struct session_shm) == 96, "layout");
#endif

struct subscription_shm {
	uint32_t topic;
	_Atomic uint32_t next;			/* of the same session, 0 none */
	uint32_t place;				/* in the topic's list of subscribers; the worker's own, rebuilt */
	uint32_t number;			/* while its session is behind: the topic's number (its low half) of the first record owed */
	uint64_t from;				/* sequence of the first record it may get; later, of one it has had (a hint) */
};
_Static_assert(sizeof(struct subscription_shm) == 24, "layout");

/* What becomes of a subscription together with its session's state (slot_commit_passed()). */
struct passed_shm {
	uint32_t subscription;			/* 0: nothing does */
	uint32_t number;
	uint64_t from;
};
_Static_assert(sizeof(struct passed_shm) == 16, "layout");

/* Who a client behind a proxy is (slot_peers.h). */
struct peer_shm {
	uint8_t address[16];			/* as event_peer's */
	uint16_t port;
	uint8_t by;				/* enum peer_by */
	_Atomic uint8_t family;			/* enum event_family; EVENT_NOWHERE: the entry is none */
	uint32_t pad;
};
_Static_assert(sizeof(struct peer_shm) == 24, "layout");

/* Ahead of the bytes of every buffer of the pool. */
struct buffer_shm {
	uint64_t base;		/* input: place in the connection's stream of the first byte; a kept frame: its record's sequence */
	uint32_t len;		/* input, kept frame: bytes that are there */
	uint32_t owner;		/* the session's descriptor + 1; 0: it is not one session's */
	uint32_t charged;	/* bytes that it counts for (buffer_pool.h) */
	uint32_t since;		/* input: when the unit at `parsed` began to be waited for, seconds of CLOCK_MONOTONIC */
	_Atomic uint32_t next;	/* kept frame: the next one's buffer, 0 none */
	uint32_t scan[5];	/* input: what the transport's parser keeps; kept frame: [BUFFER_TRANSPORT], [BUFFER_PAGE_BASE] */
};
enum { BUFFER_TRANSPORT, BUFFER_PAGE_BASE };
_Static_assert(sizeof(struct buffer_shm) == 48, "layout");

/* A record of a piece of a stream that is being sent (worker/delivery/landed.h). */
struct sent_shm {
	uint64_t seq;
	uint32_t subscription;
	uint32_t number;	/* the topic's, its low half */
	uint32_t page, offset;	/* where it is in history; page 0: it is in the ring */
	uint32_t size;		/* bytes of its frame */
	uint32_t skipped;	/* records before it that were passed over */
};
_Static_assert(sizeof(struct sent_shm) == 32, "layout");
#define SENT_MAX 1024

#define BUFFER_CLASSES 8
#define BUFFER_LEAST 512		/* bytes of one of the smallest class, of which there are enough for all sessions */
#define FLIGHT_MAX 1024		/* sends under way at one time */
#define FLIGHTS_ALL UINT32_MAX

#define RECEIVING(fd, len) ((uint64_t)((uint32_t)(fd) + 1) << 32 | (uint32_t)(len))

#define MOVING(fd, slot) ((uint64_t)((uint32_t)(fd) + 1) << 32 | (uint32_t)(slot))
#define MOVING_WHOLE 0x80000000u	/* or'ed with it: the session with all that it has (worker/loop/move_session.h) */
#define ATTACHING(fd, from) ((uint64_t)((uint32_t)(fd) + 1) << 32 | (uint32_t)(from))

#define OPENING(fd, subscription) ((uint64_t)((uint32_t)(fd) + 1) << 32 | (uint32_t)(subscription))

#define WORKING_ELSE 0x80000000u
#define SKIP_MAX 32

/* A record on its way to becoming a transport's frame. */
#define ENCODING(seq, transport) ((uint64_t)(seq) << 8 | (transport))

/* What a worker was at when it died. */
struct suspect_shm {
	uint32_t session;	/* as in working_on, 0 none */
	uint32_t count;		/* workers that died of it, one behind the other */
	uint64_t place;		/* where in the session's input, or output */
	uint64_t encoding;	/* 0 nothing */
	uint8_t token[TOKEN_BYTES];	/* the session's: descriptors are used again */
	uint32_t blamed;	/* the verdict: the session (descriptor + 1) that the next worker closes before it does anything else; 0 none */
	uint32_t pad;
};

struct buffer_class_shm {
	uint64_t at;		/* offset of the first buffer */
	uint32_t size;		/* of one, struct buffer_shm included */
	uint32_t count;
};

struct slot_shm {
	_Alignas(64) _Atomic uint64_t magic;	/* stored last */
	uint32_t layout;			/* HUB_LAYOUT */
	uint32_t sessions_max;
	uint64_t size;
	uint32_t subscriptions_max;
	uint32_t pad;
	uint64_t sessions_at, subscriptions_at, rights_at, peers_at, watch_at;
	struct buffer_class_shm buffer_class[BUFFER_CLASSES];

	/* one above the highest descriptor that a session ever had */
	_Alignas(64) _Atomic uint32_t fd_end;
	/* the same of those that ever had rights of their own (slot_rights.h) */
	_Atomic uint32_t rights_end;
	/* the same of those whose client a proxy has told (slot_peers.h) */
	_Atomic uint32_t peers_end;

	/* the epoll set of the sessions' connections, which outlives workers (worker/session/watch.h): its descriptor + 1; 0 none */
	_Atomic uint32_t watch_set;

	/* the descriptor of the session that is being dealt with, + 1; or'ed with WORKING_ELSE if it is something else than its input. It is blamed
	 * if the worker dies. 0 none */
	_Atomic uint32_t working_on;

	/* what is being received from a Unix socket, RECEIVING(): what its buffer's header is going to say; 0 nothing */
	_Atomic uint64_t receiving;

	/* the record that is being encoded (ENCODING()): blamed in the same way; 0 none */
	_Atomic uint64_t encoding;

	/* the buffer of the first frame that is kept for those in the middle of it (worker/delivery/partial_frame.h), 0 none */
	_Atomic uint32_t kept;

	/* what the last workers died of, by the keeper: the same thing again raises `count` */
	_Alignas(64) struct suspect_shm suspect;

	/* records that no worker is to encode for a transport any more, as two have died of it: a ring of ENCODING()s, by the keeper */
	_Atomic uint32_t skips;			/* ever noted; the last SKIP_MAX are there */
	_Atomic uint64_t skip[SKIP_MAX];

	/* the redo record */
	_Alignas(64) struct session_state_shm redo;
	_Atomic uint32_t redo_fd;		/* descriptor of the session that `redo` is the state of, + 1; 0 none */
	struct passed_shm redo_passed;		/* belongs to `redo`; while there is none it may be set, which slot_redo() clears */

	/* descriptors for which the kernel may have accepted bytes that are not recorded; FLIGHTS_ALL: any session's, and input too */
	_Alignas(64) _Atomic uint32_t flights;
	uint32_t flight[FLIGHT_MAX];

	/* the session that is being sent a piece of its stream with records that history alone may have, + 1; 0 none. Its state's `sent` before that,
	 * and the records */
	_Atomic uint32_t sending;
	uint32_t sending_count;
	uint64_t sending_sent;
	struct sent_shm sending_record[SENT_MAX];

	/* the session that is being subscribed to topics with a past, and its first subscription before that (worker/service/replay.h), as OPENING(); 0
	 * none */
	_Atomic uint64_t opening;
	uint64_t opening_parsed;		/* its state's `parsed` before that */

	/* the session whose connection is given to another slot (worker/loop/move.h), as MOVING(); 0 none */
	_Atomic uint64_t moving;
	uint64_t move_number;			/* of the last one that was given away: they only go up */
	uint64_t moves_taken[64];		/* by slot: the number of the last one that came from there */
	/* the move that is being taken in: its number, whose it is, and how many workers have begun with it. Two that died of it are enough */
	uint64_t arriving;
	uint32_t arriving_from, arriving_tries;

	/* the session that takes over the one `from` (worker/service/attach.h), as ATTACHING(); 0 none. It has, if its `parsed` is another than this */
	_Atomic uint64_t attaching;
	uint64_t attaching_parsed;
};

#endif
