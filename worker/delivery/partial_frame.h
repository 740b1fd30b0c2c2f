/*
 * Partial frames: those of which a subscriber could take only a part.
 *
 * A session in the middle of one (SESSION_CUT) remembers the record (`pos`) and how many bytes of its frame were sent (`cut`). The frame is
 * made again from the ring when the session becomes writable, so a slow subscriber costs a cursor. Some frames are *kept*, whole, in a lent
 * buffer that all sessions in the middle of that frame share: large ones, which would be made again for every piece that is sent, and those
 * whose record the ring is about to overwrite.
 *
 * Kept frames are a list in the slot segment, from slot_shm.kept along lent_shm.next. One is whole when it is linked, by one store; one store
 * unlinks it. A session names none: it is in the middle of the one with its sequence, transport and page base, if there is one, and of what
 * the ring still has, if not. So a death leaves either, and both are the same bytes. Who is in the middle of which frame is the worker's own,
 * and follows from the sessions.
 *
 * Why no partial frame is lost to the ring, in parts of 1024 of the ring, each at most: publishers stop when this worker's `delivered` is 512
 * behind, and the last batch brings a quarter of the ring and padding, 260 (publish_count_max()). So the ring's end is never more than 772
 * from `delivered`, dead or alive. Live sessions are sent nothing from before `delivered`. Others are sent frames from the ring only of
 * records less than KEEP_LAG behind; an older one is kept first, then sent (partial_begin()). And before `delivered` moves, all partial frames
 * more than KEEP_LAG behind are kept (partial_protect()). So one that is not kept is never more than KEEP_LAG + 772 behind: less than 1024,
 * for any size of the ring.
 *
 * Kept frames count for max_buffered. Where room must be made, a frame counts as those buffers do that are one session's, and all who are in
 * the middle of it are disconnected (memory_limit.c).
 */
#ifndef WORKER_DELIVERY_PARTIAL_FRAME_H
#define WORKER_DELIVERY_PARTIAL_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/ring.h"
#include "worker/session/session.h"

struct batch;
struct partial_frames;

/* With room for all sessions of the slot. NULL without memory. */
struct partial_frames *partial_create(struct base *base, struct batch *batch, uint32_t sessions_max);
/* Claims what the last worker has kept; before its sessions are taken over, */
void partial_take_over(struct partial_frames *partial);
/* and afterwards: what none of them is in the middle of goes. */
void partial_settle(struct partial_frames *partial);

/* The session's state goes from one to the other, either of which is in the middle of a frame. (session_commit() says so.) */
void partial_moved(struct partial_frames *partial, int fd, const struct session_state_shm *from, const struct session_state_shm *to);
/* The session joins or leaves those in the middle of the frame of `st`. (For one that is taken over, or closed.) */
void partial_join(struct partial_frames *partial, int fd, const struct session_state_shm *st);
void partial_leave(struct partial_frames *partial, int fd, const struct session_state_shm *st);

/* Keeps the frame that the session is in the middle of, if there is room. (For one whose topic may be gone before the rest is sent: whom a
 * record goes to is told by the topic's name.) */
void partial_hold(struct partial_frames *partial, int fd, const struct session_state_shm *st);
/* Whether the record's frame can't be sent from the ring, which may overwrite it before the rest is sent: partial_begin() first. */
bool partial_must_keep(const struct partial_frames *partial, uint64_t seq);
/* Keeps the frame of the record for the session, which is about to begin with it. `must`: those who have most are disconnected for it if there is
 * no room. -1 when it can't be. */
int partial_begin(struct partial_frames *partial, int fd, const struct session_state_shm *st, const struct ring_record *rec, bool must);
/*
 * Sends on what the session is in the middle of: 1 all of it is sent, or there was nothing; 0 it would block, or has had its share; -1 the
 * connection is broken, or what is left can't be had any more. Commits.
 */
int partial_send(struct partial_frames *partial, int fd, struct session_state_shm *st);
/* Bytes of the whole frame, 0: it is neither kept nor in the ring. For what was sent already: a death is not blamed on the record. */
uint64_t partial_size(const struct partial_frames *partial, int fd, const struct session_state_shm *st);

/* Keeps those that are in danger, for some milliseconds. True when none is left: `delivered` may move. */
bool partial_protect(struct partial_frames *partial);
/* Keeps all: another program is going to send the rest, and may make frames otherwise. */
void partial_keep_all(struct partial_frames *partial);
/* Gives back the frames that nobody is in the middle of any more; not while one is used. */
void partial_trim(struct partial_frames *partial);

/* For memory_limit.c. Whether the session is in the middle of the kept frame with this buffer. */
bool partial_holds(const struct partial_frames *partial, int fd, uint32_t ref);
/* Whoever is in the middle of it is to be disconnected, with `really`; false: there is no such frame, or nobody. */
bool partial_doom(struct partial_frames *partial, uint32_t ref, bool really);
bool partial_is_doomed(const struct partial_frames *partial, int fd);

#endif
