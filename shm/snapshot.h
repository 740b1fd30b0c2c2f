/*
 * Snapshots: what the segments hold, in a form that does not depend on their layout. For an upgrade to a program whose layout differs:
 * every worker stops at the end of a turn, with nothing in flight, and writes its slot's sessions; the master writes the hub; the
 * new program makes its own segments and reads both. Descriptors stay open throughout, so that a session is the same connection
 * afterwards, at the same place of its streams.
 *
 * A snapshot is a sequence of msgpack maps, keyed by name. A key that the reader does not know is ignored; one that is absent
 * gets its default (0 or empty), unless `!` says that it must be there. The first map is the head; `v` is the first key in it.
 *
 *   slot   {v!, kind!: "slot", sessions!: how many, frames: how many}
 *     then, for each frame that sessions are in the middle of:
 *          {seq!, proto!, page_base, bytes!}; one that is not there is made from its record
 *     then, for each session:
 *          {fd!, proto!: "flash", token: 16 bytes, pos!, sent!, parsed!, last_in, last_out, cut,
 *           flags: ["behind", "close", "linger", "cut", "parked", "slow-latest"...], until, page_base, in: input from `parsed` on, out: what comes before anything of the ring,
 *           topics: [{topic!: name, from!, number}...], in the order of the session's list,
 *           rights: proto/rights.h's block,
 *           tls: {minor!: 2 or 3, suite! or kernel_suite!: the kernel makes the records, out_seq!, in_seq!, wire_out!, wire_in!, pending: bytes, held: bytes, alert, update_owed, close_owed, close_sealed,
 *                 alert_owed, peer_closed, out!: {key!, iv!, secret!, generation!}, in!: the same}}
 *          A session that moves (snapshot_session.h) has the same map, in a snapshot of the kind "session" that has nothing else; parked, it has its `owner`.
 *          Of a TLS connection `proto` is called `tls_proto`, as a program that knows no TLS must not read it as another one.
 *
 *   hub    {v!, kind!: "hub", epoch!, time!: of the last record, first!, tail!: records [first, tail) follow, slots!, topics!: how many,
 *           unknown: index_shm.unknown, started: when the server began,
 *           nodes: {node, proven!, mark!, made, connected, peers: [{node!, epoch!, seq!, mark, marked, acked, since, in, lost, doubled}...]}, empty if they are off,
 *           secret: 16 bytes, with which keys and tokens were hashed, keys: those of publishes (once.h), from the oldest on:
 *               [{key!: 16 bytes, digest!, age!: milliseconds, first!, answers!: [subscribers, place of the record from 1, 0 none, and so on]}...],
 *           moved: where sessions are that have moved, each a word (moved_tokens.h)}
 *     then, for each slot that was ever used:
 *          {slot!, delivered!, generation, restarts, emptied, drain: hub_slot_shm.drain, counters: {name: n...}}
 *     then, for each topic:
 *          {topic!: name, interest: mask of slots, published!: records ever, last!: sequence of the newest, 0 none,
 *           subscribers: [{slot!, count!}...], of slots of the interest,
 *           kept: 1 if it has a history, since: the sequence that came next when it was made, history: how many messages,
 *           from: all of it from this sequence on is in its history or among the records}
 *          interest or kept is not 0. Its history follows, a map a message: {seq!, time!, number!, bytes!}
 *     then, for each record:
 *          {seq!, time!, topic: name, number, flags, echoed, behind, bytes}; with topic, number! and bytes! too. Without: its topic is gone, and all
 *          that is left of it is that it had its sequence, but for bytes if other nodes may be owed it. echoed: 1 if it is one of several records of a message (ring.h); the others follow it, have no
 *          bytes, and say how far they are behind it
 *
 * Whatever the bytes are, reading them does nothing worse than to fail. Reading fails as a whole, with errno:
 *   EPROTO   it is no such snapshot, is cut short, contradicts itself, or is of a later version
 *   ENOSPC   the new segments have no place for all of it: topics, descriptors, subscriptions or buffers. (Of history, what has a place
 *            is kept.)
 *   others   memory
 * What was read until then stays in the segment, which is then good for hub_create(), or slot_empty() and hub_clear_slot(), only.
 */
#ifndef SHM_SNAPSHOT_H
#define SHM_SNAPSHOT_H

#include <stdint.h>

#include "shm/hub.h"
#include "shm/slot.h"
#include "shm/tls.h"

#ifndef SNAPSHOT_VERSION
#define SNAPSHOT_VERSION 4
#endif

/* The version that a snapshot has, or -1 with EPROTO: it is none. */
int snapshot_version(int fd);

/*
 * Both write a snapshot to fd, a file that is emptied first; where fd's offset is does not matter. 0, or -1 with errno: EBUSY when
 * something is still under way (lock, batch or intent; redo record or flights), EPROTO when a session is not in order.
 */

/* By the master, when all workers have stopped. Records below `from` are left out: nobody is owed them. */
int snapshot_write_hub(const struct hub *hub, uint64_t from, int fd);

/*
 * By a worker as its last act. Session, topic and buffers are only read. `tls`: the slot's, whose keys go along; NULL: it has no TLS session. `beat`, if not NULL,
 * is called now and then: it may take long.
 */
int snapshot_write_slot(const struct hub *hub, const struct slot *slot, const struct tls *tls, int fd, void (*beat)(void *of), void *of);

/*
 * By the new master, into a hub that was just made: topics with their interest, records, and of each slot what does not depend on the
 * processes that served it. Sequences, times and numbers go on where they were. A ring that is smaller than the old one keeps the
 * newest records; one record that is too large for it is lost with all before it.
 */
int snapshot_read_hub(struct hub *hub, int fd);

/*
 * By the new program's keeper (by the master, as well), into a slot segment that was just made or emptied, when the hub has been
 * read. Joins `number`'s topics under the hub lock, taken as lock_owner. What follows from the sessions (places in topics, counts
 * in the hub) is left to the worker's start, and so is finding out whether each descriptor is still open.
 */
int snapshot_read_slot(struct hub *hub, const struct slot *slot, struct tls *tls, unsigned number, uint32_t lock_owner, int fd);

#endif
