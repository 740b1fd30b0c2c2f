/*
 * Partial frames: frames of which the kernel has taken only a part.
 *
 * A session in the middle of a frame (SESSION_CUT) remembers the record (`pos`) and how many bytes of its frame were sent (`cut`). When the session
 * becomes writable, the frame is made again from the ring. So a slow subscriber costs a position, and no copy. Some frames are *kept*, whole, in a
 * buffer that all sessions in the middle of that frame share: large frames, which would be made again for every piece that is sent, and frames
 * whose record the ring is about to overwrite.
 *
 * Kept frames are a list in the slot segment, from slot_shm.kept along buffer_shm.next. A frame is whole before one store links it, and one store
 * unlinks it. A session does not name its kept frame: it is the one with the session's `pos`, transport and page base. If there is none, the frame
 * is made from the ring, with the same bytes. So whether a death leaves a frame kept or not, its sessions go on. Which sessions are in the middle
 * of which frame, only the worker knows; its successor finds it out from the sessions.
 *
 * Why the ring never overwrites the record of a partial frame that is not kept. All numbers are parts of 1024 of the ring (ring_lag()). Publishers
 * stop when this worker's `delivered` is 512 behind the tail. The last batch adds a quarter of the ring and padding, 260 at most
 * (publish_count_max()). So `delivered` is never more than 772 behind, whether the worker is alive or dead. Live sessions are sent nothing from
 * before `delivered`. Sessions behind are sent a frame from the ring only if its record is at most KEEP_LAG behind; an older one is kept first, and
 * then sent (partial_begin()). And before `delivered` moves, all partial frames that are more than KEEP_LAG behind are kept (partial_protect()). So
 * a frame that is not kept is never more than KEEP_LAG + 772 behind. That is less than 1024, whatever the size of the ring.
 *
 * A frame of a message that is in history alone (shm/history.h) is kept before the commit that says that a session is in the middle of it, as it
 * can't be made again from its sequence.
 *
 * Kept frames count for max_buffered. When room must be made, a kept frame is weighed as a session's own buffer is. If it must go, all sessions in
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

/* For a slot of at most `sessions_max` sessions. NULL: no memory. */
struct partial_frames *partial_create(struct base *base, struct batch *batch, uint32_t sessions_max);
/* At a worker's start, before the sessions are taken over: claims the frames that the last worker has kept. */
void partial_take_over(struct partial_frames *partial);
/* After the sessions are taken over: gives back the kept frames that none of them is in the middle of. */
void partial_settle(struct partial_frames *partial);

/* Called by session_commit() before the session's state changes from one to the other, if one of them is in the middle of a frame. */
void partial_moved(struct partial_frames *partial, session_id sid, const struct session_state_shm *from, const struct session_state_shm *to);
/* Add the session to those in the middle of the frame of `st`, when it is taken over, and remove it, when it is closed. */
void partial_join(struct partial_frames *partial, session_id sid, const struct session_state_shm *st);
void partial_leave(struct partial_frames *partial, session_id sid, const struct session_state_shm *st);

/*
 * Keeps the frame that the session is in the middle of, if there is room. (For a session whose topic may be gone before the rest is sent: whom a
 * record goes to is told by the topic's name.)
 */
void partial_hold(struct partial_frames *partial, session_id sid, const struct session_state_shm *st);
/* Whether the ring may overwrite the record before its whole frame is sent. Then partial_begin() comes before the first byte. */
bool partial_must_keep(const struct partial_frames *partial, uint64_t seq);
/*
 * Keeps the frame of the record for the session, before its first byte is sent. With `must`, other sessions are disconnected if there is no room.
 * 0; -1 with errno: ENOMEM, there is no room; ESTALE, the frame can't be made any more.
 */
int partial_begin(struct partial_frames *partial, session_id sid, const struct session_state_shm *st, const struct ring_record *rec, bool must);
/*
 * Sends the rest of the frame that the session is in the middle of, and commits. 1: all of it is sent, or there was none; 0: the socket is full, or
 * the session's share is used up; -1: the connection is broken, or the rest can't be had any more and the session is aborted.
 */
int partial_send(struct partial_frames *partial, session_id sid, struct session_state_shm *st);
/*
 * The length of the frame that the session is in the middle of; 0: it is neither kept nor in the ring. As with frame_size_sent(), a death is not
 * blamed on the record.
 */
uint64_t partial_size(const struct partial_frames *partial, session_id sid, const struct session_state_shm *st);

/* The bytes of that frame, *size of them, for what was sent already. NULL: they can't be had any more. */
const char *partial_bytes(const struct partial_frames *partial, session_id sid, const struct session_state_shm *st, size_t *size);

/*
 * Keeps the partial frames whose records the ring may soon overwrite, for some milliseconds. True: there are no more of them, and `delivered` may
 * move.
 */
bool partial_protect(struct partial_frames *partial);
/* Keeps all partial frames, as far as there is memory: another program is going to send the rest, and may make frames differently. */
void partial_keep_all(struct partial_frames *partial);
/* Gives back the frames that no session is in the middle of any more. Not to be called while a frame's bytes are used. */
void partial_trim(struct partial_frames *partial);

/* For memory_limit.c: whether the session is in the middle of the kept frame in this buffer. */
bool partial_holds(const struct partial_frames *partial, session_id sid, uint32_t ref);
/*
 * Whether there is a kept frame in this buffer, and sessions are in the middle of it. With `really`, it is marked as doomed: those sessions are to
 * be disconnected.
 */
bool partial_doom(struct partial_frames *partial, uint32_t ref, bool really);
/* Whether the session is in the middle of a doomed frame. */
bool partial_is_doomed(const struct partial_frames *partial, session_id sid);

#endif
