/*
 * Other nodes: what of them stands in the hub. What it is for, and who does what with it, is in nodes.h.
 *
 * Written by the bridge alone, but for `state`, which the master sets before it starts one and when one has ended; a peer's `seq`, which who repairs in
 * its stead may have to set; `asked`; and `changed` (index.h), which goes with the topic index. Everybody reads it. Texts are terminated whenever they are read, but may be of two moments.
 */
#ifndef SHM_NODES_SHM_H
#define SHM_NODES_SHM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODES_MAX 64			/* peers */
#define NODE_NAME_MAX 63		/* bytes of a node's name: letters, digits, - _ and . */
#define NODES_TEXT 128
#define NODE_OF_STREAM (NODES_MAX + 1)	/* in place of a peer, with what is published: it is the stream's, and its sequence there */

/*
 * OFF: nobody asked for other nodes (the setting `nats`). In all other states what clients here publish is written to the ring, whoever subscribes it. Publishers wait for the
 * bridge only in CONNECTED, which it says only while NATS takes what it is given.
 */
enum nodes_state { NODES_OFF, NODES_CONNECTING, NODES_CONNECTED, NODES_AWAY };

/* A peer. Its place in the table stays as long as it is in use: NODE_FREE comes before anything else of it changes, and another state is stored last. */
enum node_state {
	NODE_FREE,
	NODE_HERE,			/* gives signs of life, and what it sends comes in order */
	NODE_BEHIND,			/* the same, but something was missed, and is on its way again */
	NODE_AWAY,			/* has given no sign of life for a while */
};

struct node_shm {
	_Alignas(64) _Atomic uint32_t state;
	_Atomic uint32_t asked;		/* the bridge's own: how far it is with asking for what was missed */
	char name[NODE_NAME_MAX + 1];
	uint64_t epoch;			/* of its life: another one, and its sequences begin anew */
	_Atomic uint64_t seq;		/* of its messages, those up to this one are in the ring here, or are wanted by nobody here */
	_Atomic uint64_t mark;		/* of its marks, the last one that came in order */
	_Atomic uint64_t marked;	/* what that one said: below this sequence it had sent all */
	_Atomic uint64_t acked;		/* below this sequence of ours, it has had all that it wanted */
	_Atomic uint64_t seen;		/* when its last sign of life came, and when it was first met: microseconds since 1970 */
	_Atomic uint64_t since;
	_Atomic uint64_t lag;		/* microseconds that its last message was under way, by both clocks; 0: not known */
	_Atomic uint64_t in;		/* messages taken of it */
	_Atomic uint64_t lost;		/* messages of it that were lost, as its ring had them no more */
	_Atomic uint64_t doubled;	/* messages of it that came again, and were dropped */
	uint64_t pad[12];
};
_Static_assert(sizeof(struct node_shm) == 256, "layout");

/*
 * One history for all nodes (the setting nats_stream). OFF: each node has its own. FILLING: the stream was never read here, or is being read for the first time; HERE: what is published there is here, too, as soon as it comes;
 * AWAY: it is not, for the time being; or it was switched on while there were clients, and not reached yet: then what is newer than that moment will come.
 */
enum stream_state { STREAM_OFF, STREAM_FILLING, STREAM_HERE, STREAM_AWAY };

#define NODES_TO_STREAM 2		/* the first byte of a RING_TO_STREAM record that has a key (nodes.h) */
#define STREAM_REFUSED UINT64_MAX	/* in place of a message's sequence there: it does not have it */
#define STREAM_DUPLICATE (UINT64_C(1) << 63)	/* with a sequence: it had the message, with this id, before */

struct stream_shm {
	_Alignas(64) _Atomic uint32_t state;	/* the master's as nodes_shm.state is */
	uint32_t pad0;
	_Atomic uint64_t since;		/* when the state began, microseconds since 1970 */
	_Atomic uint64_t epoch;		/* when the stream was made, milliseconds since 1970: another one, and sequences begin anew; 0: it was never reached */
	_Atomic uint64_t last;		/* its messages up to this one are in the ring here, or nobody wants them */
	_Atomic uint64_t first;		/* those from this one on have come, up to `last`; 0: none has. Those before it never have, or have been lost */
	_Atomic uint64_t begun;		/* the ring's tail when that was decided: nothing of what has come since lies before it */
	_Atomic uint64_t end;		/* its last message, as far as is known */
	uint8_t pad1[8];

	_Alignas(64) _Atomic uint64_t acked_to;	/* below this sequence of our ring, the stream has answered all that it was given */
	uint8_t pad2[56];

	char name[NODE_NAME_MAX + 1];
	char error[NODES_TEXT];		/* what is wrong with it; "" */
};
_Static_assert(sizeof(struct stream_shm) == 128 + 64 + NODES_TEXT, "layout");

struct nodes_shm {
	_Alignas(64) _Atomic uint32_t state;
	_Atomic uint32_t pid;		/* of the bridge, 0: there is none. The master's; and the bridge's own, which says so before it does anything */
	_Atomic uint64_t since;		/* when the state began, microseconds since 1970 */
	_Atomic uint32_t made;		/* bridges that there were. The master's */
	_Atomic uint32_t connected;	/* times that NATS was connected */
	uint8_t pad0[40];

	_Alignas(64) _Atomic uint64_t beat;	/* the bridge's sign of life, milliseconds of CLOCK_MONOTONIC */
	_Atomic uint64_t proven;	/* below this sequence, all peers that are here have had what they wanted; what is not below may have to be sent again */
	_Atomic uint64_t mark;		/* of our marks, the last one. They begin with a time, so that no life of this server gives one again */
	_Atomic uint64_t interests;	/* subscriptions that NATS is asked for */
	_Atomic uint64_t rtt;		/* to NATS and back, microseconds; 0: not known */
	_Atomic uint64_t waiting;	/* bits of the slots whose workers wait for something of the bridge's (nodes_wake_waiting()) */
	_Atomic uint64_t asked;		/* slots, in bits, that have put questions for other nodes (question.h): set by their workers, taken by the bridge */
	uint8_t pad1[8];

	char name[NODE_NAME_MAX + 1];	/* our own */
	char server[NODES_TEXT];	/* to which we are connected, a URL without secrets; "" none */
	char error[NODES_TEXT];		/* why we are not; "" */
	struct node_shm peer[NODES_MAX];
	struct stream_shm stream;
};
_Static_assert(sizeof(struct nodes_shm) == 128 + 64 + 2 * NODES_TEXT + NODES_MAX * sizeof(struct node_shm) + sizeof(struct stream_shm), "layout");

/* Whether a peer in this state gives signs of life; those that do, a bit each. */
static inline bool nodes_is_here(uint32_t state)
{
	return state == NODE_HERE || state == NODE_BEHIND;
}
static inline uint64_t nodes_shm_here(const struct nodes_shm *nodes)
{
	uint64_t here = 0;

	for (unsigned i = 0; i < NODES_MAX; i++)
		here |= (uint64_t)nodes_is_here(atomic_load_explicit(&nodes->peer[i].state, memory_order_relaxed)) << i;
	return here;
}
_Static_assert(NODES_MAX <= 64, "peers have a bit each");

/* Whether a node's name may have this byte; whether it may be this. */
static inline bool nodes_name_has(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}
static inline bool nodes_name_is_good(const char *name)
{
	size_t len = 0;

	while (len <= NODE_NAME_MAX && nodes_name_has(name[len]))
		len++;
	return len > 0 && len <= NODE_NAME_MAX && name[len] == '\0';
}

/* Notes that the peer's messages, or the stream's, up to `seq` are dealt with, of none if it is none. */
static inline void nodes_shm_set_seq(struct nodes_shm *nodes, unsigned peer, uint64_t seq)
{
	_Atomic uint64_t *of = peer < NODES_MAX ? &nodes->peer[peer].seq : peer == NODE_OF_STREAM ? &nodes->stream.last : NULL;

	if (of && seq > atomic_load_explicit(of, memory_order_relaxed))
		atomic_store_explicit(of, seq, memory_order_relaxed);
}

#endif
