/*
 * Input: received straight into a buffer lent to the session in shared memory, cut into frames, acted upon.
 *
 * What is in the buffer beyond `parsed` survives a crash: how much that is, the kernel knows (kernel_taken()). Frames are therefore
 * dealt with at most once if `parsed` moves in the same commit as their effect; a publish has its effect in the ring, and the
 * intent (see publish.h) ties the two together.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/flash.h"
#include "proto/message.h"
#include "shm/crash.h"
#include "worker/worker.h"

#define RECEIVE 65000			/* bytes of room lent for one recv() */
#define ACTIONS_A_TURN 32		/* of one connection, but for publishing, before others get their turn */
#define RECEIVES_A_TURN 8		/* of one connection that sends faster than it is read */
#define ROOM_LEAST 4096			/* a buffer with less than this left is replaced by a larger one */

_Static_assert(sizeof(struct flash_scan) <= sizeof(((struct lent_shm *)0)->scan), "a parser's state has room");

/* What is being parsed: a session's input from `at` on. */
struct cursor {
	int fd;
	struct lent_shm *head;
	const char *bytes;
	uint64_t at;			/* place in the stream */
	uint64_t staged_from;		/* where the first staged message starts */
	bool stop;
	bool stalled;
	unsigned actions;
};

static size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->head->base + c->head->len - c->at);
}

static const char *cursor_text(const struct cursor *c)
{
	return c->bytes + (c->at - c->head->base);
}

int input_init(struct worker *w)
{
	size_t frame = (size_t)w->settings->max_frame + 4096;

	json_init(&w->json);
	w->item_room = publish_bytes_max(&w->hub) < 256 * 1024 ? publish_bytes_max(&w->hub) : 256 * 1024;
	if (w->item_room < frame)
		w->item_room = frame;
	w->items = malloc(PUBLISH_BATCH_MAX * sizeof(*w->items));
	w->item_text = malloc(w->item_room);
	return w->items && w->item_text ? 0 : -1;
}

/* Publishes what is staged. On being put off, c->at goes back to the first message that was not published. */
static void publish_staged(struct worker *w, struct cursor *c)
{
	unsigned done = 0;

	while (done < w->item_count) {
		unsigned n = publish(&w->hub, w->number, c->fd, w->items + done, w->item_count - done);
		struct session_state_shm st = session(w, c->fd)->state;

		if (n == 0)
			break;
		done += n;
		st.parsed = w->items[done - 1].parsed;
		st.flags |= w->items[done - 1].flags;
		CRASH_POINT("publish-unmarked");
		session_commit(w, c->fd, &st);
		CRASH_POINT("publish-marked");
		publish_done(&w->hub, w->number);
	}
	if (done < w->item_count) {
		c->at = done ? w->items[done - 1].parsed : c->staged_from;
		c->stop = c->stalled = true;
		memset(c->head->scan, 0, sizeof(c->head->scan));
		worker_count(w, COUNTER_publish_deferred, 1);
	}
	w->item_count = 0;
	w->item_used = 0;
}

/* Room for a message of `bytes` beside those staged, or false: publish those first. */
static bool stage_room(const struct worker *w, size_t bytes)
{
	return w->item_count < PUBLISH_BATCH_MAX && w->item_used + bytes <= w->item_room;
}

static void stage(struct worker *w, const struct request *req, uint64_t parsed, uint32_t flags)
{
	struct publish_item *item = &w->items[w->item_count++];
	char *text = w->item_text + w->item_used;

	memcpy(text, req->topic, req->topic_len);
	request_message(req, text + req->topic_len);
	w->item_used += req->topic_len + req->size;
	*item = (struct publish_item){
		.hash = index_hash(req->topic, req->topic_len),
		.topic = text,
		.topic_len = req->topic_len,
		.message = text + req->topic_len,
		.len = (uint32_t)req->size,
		.parsed = parsed,
		.flags = flags,
	};
}

/* True when the frame is dealt with; false when what is staged must be published before it. */
static bool flash_act(struct worker *w, struct cursor *c, const struct flash_frame *frame)
{
	uint64_t after = c->at + frame->taken;
	bool classic = frame->kind == FLASH_PUBLISH;
	struct request req;
	const char *error;
	int r = classic ? request_parse_publish(&w->json, frame->text, frame->len, &req, &error)
			: request_parse(&w->json, frame->text, frame->len, &req, &error);

	if (r == 0 && req.kind == REQUEST_PUBLISH) {
		if (!stage_room(w, req.size + req.topic_len))
			return false;
		if (w->item_count == 0)
			c->staged_from = c->at;
		stage(w, &req, after, classic ? SESSION_CLOSE : 0);
		c->stop = classic;
		return true;
	}
	if (w->item_count > 0)
		return false;
	if (c->actions++ == ACTIONS_A_TURN) {
		c->stop = c->stalled = true;	/* others first */
		return false;
	}
	if (r < 0) {
		session_error(w, c->fd, after, error, true);
		c->stop = true;
	} else if (req.kind == REQUEST_SUBSCRIBE) {
		action_subscribe(w, c->fd, after, req.topic, req.topic_len);
	} else if (req.kind == REQUEST_UNSUBSCRIBE) {
		action_unsubscribe(w, c->fd, after, req.topic, req.topic_len);
#ifdef JANUS_CRASH_POINTS
	} else if (frame->len == sizeof("{\"action\":\"crash\"}") - 1 && memcmp(frame->text, "{\"action\":\"crash\"}", frame->len) == 0) {
		__builtin_trap();
#endif
	} else {
		session_error(w, c->fd, after, "unknown action: subscribe, unsubscribe and publish are known", false);
	}
	return true;
}

/* One frame, if there is one. False when there is nothing more to do. */
static bool flash_step(struct worker *w, struct cursor *c)
{
	struct flash_scan *scan = (struct flash_scan *)c->head->scan;
	struct flash_frame frame;

	flash_next(cursor_text(c), cursor_left(c), (size_t)w->settings->max_frame, scan, &frame);
	if (frame.kind == FLASH_MORE) {
		if (c->head->len == lend_room_max(&w->slot) && c->at == c->head->base)
			frame = (struct flash_frame){ .kind = FLASH_BAD, .error = "frame too long" };
		else
			return false;
	}
	if (frame.kind == FLASH_BAD) {
		publish_staged(w, c);
		if (!c->stalled)
			session_error(w, c->fd, c->at + cursor_left(c), frame.error, true);
		return false;
	}
	if (frame.kind == FLASH_NOTHING || flash_act(w, c, &frame))
		c->at += frame.taken;
	else
		publish_staged(w, c);	/* and then the same frame again */
	memset(c->head->scan, 0, sizeof(c->head->scan));
	return !c->stop;
}

/* The rest of an incomplete frame stays in a buffer no larger than it needs. */
static void keep_rest(struct worker *w, struct cursor *c)
{
	struct session_state_shm st = session(w, c->fd)->state;
	size_t left = cursor_left(c);

	st.parsed = c->at;
	if (left == 0 || st.flags & SESSION_CLOSE) {
		st.in = LENT_NONE;
	} else if (left < c->head->len && left < lend_room(&w->slot, st.in) / 4) {
		uint32_t smaller = lend_take(&w->lend, left + left / 2);

		if (smaller != LENT_NONE) {
			struct lent_shm *head = lend_header(&w->slot, smaller);

			head->base = c->at;
			head->len = (uint32_t)left;
			memcpy(head->scan, c->head->scan, sizeof(head->scan));
			memcpy(lend_bytes(&w->slot, smaller), cursor_text(c), left);
			st.in = smaller;
		}
	}
	CRASH_POINT("input-moved");
	session_commit(w, c->fd, &st);
}

static void stall(struct worker *w, int fd)
{
	if (session_mark(w, fd, MARK_STALLED))
		return;
	if (worker_push(&w->stalled, &w->stalled_count, &w->stalled_room, fd) < 0) {
		session_abort(w, fd, COUNTER_no_buffer);
		return;
	}
	ev_timer_again(w->loop, &w->retry);
}

/* Deals with all whole frames in the session's buffer. */
static void input_parse(struct worker *w, int fd)
{
	const struct session_state_shm *st = &session(w, fd)->state;
	struct cursor c = {
		.fd = fd,
		.head = lend_header(&w->slot, st->in),
		.bytes = (const char *)lend_bytes(&w->slot, st->in),
		.at = st->parsed,
	};

	while (cursor_left(&c) > 0 && flash_step(w, &c))
		;
	publish_staged(w, &c);
	keep_rest(w, &c);
	if (c.stalled)
		stall(w, fd);
}

/* A buffer with room for more input, or LENT_NONE. What is in it begins at `parsed` or before. */
static uint32_t input_buffer(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;
	uint32_t ref, left = 0;
	struct lent_shm *head;

	if (st.in != LENT_NONE) {
		head = lend_header(&w->slot, st.in);
		if (lend_room(&w->slot, st.in) - head->len >= ROOM_LEAST)
			return st.in;
		left = (uint32_t)(head->base + head->len - st.parsed);
	}
	ref = lend_take(&w->lend, left > RECEIVE / 2 ? lend_room_max(&w->slot) : RECEIVE);
	if (ref == LENT_NONE)
		return ref;
	head = lend_header(&w->slot, ref);
	head->base = st.parsed;
	if (left) {
		const struct lent_shm *old = lend_header(&w->slot, st.in);

		memcpy(lend_bytes(&w->slot, ref), lend_bytes(&w->slot, st.in) + (st.parsed - old->base), left);
		memcpy(head->scan, old->scan, sizeof(head->scan));
		head->len = left;
	}
	st.in = ref;
	session_commit(w, fd, &st);
	return ref;
}

static void drop_input(struct worker *w, int fd)
{
	struct session_state_shm st = session(w, fd)->state;

	st.in = LENT_NONE;
	session_commit(w, fd, &st);
}

/* Our side is shut: what still comes is thrown away. */
static void discard(struct worker *w, int fd)
{
	char rubbish[16384];
	ssize_t n = recv(fd, rubbish, sizeof(rubbish), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		session_close(w, fd);
}

/* The peer has sent its last byte. What is left is no whole frame. */
static void input_end(struct worker *w, int fd)
{
	if (session(w, fd)->state.in != LENT_NONE)
		session_error(w, fd, session(w, fd)->state.parsed, "the connection ended within a frame", true);
	session_flush(w, fd);
	session_close(w, fd);
}

/* Nothing to receive, the end, or an error. */
static void received_nothing(struct worker *w, int fd, const struct lent_shm *head, ssize_t n)
{
	int error = errno;

	if (head->base + head->len == session(w, fd)->state.parsed)
		drop_input(w, fd);
	if (n == 0)
		input_end(w, fd);
	else if (error != EAGAIN && error != EINTR)
		session_close(w, fd);
}

/* True when there is probably more: the buffer was filled, and all of it was dealt with or is part of a frame. */
static bool receive(struct worker *w, int fd)
{
	uint32_t ref = input_buffer(w, fd);
	struct lent_shm *head;
	size_t room;
	ssize_t n;

	if (ref == LENT_NONE) {
		session_abort(w, fd, COUNTER_no_buffer);
		return false;
	}
	head = lend_header(&w->slot, ref);
	room = lend_room(&w->slot, ref) - head->len;
	n = recv(fd, lend_bytes(&w->slot, ref) + head->len, room, MSG_DONTWAIT);
	if (n <= 0) {
		received_nothing(w, fd, head, n);
		return false;
	}
	CRASH_POINT("input-received");
	head->len += (uint32_t)n;
	session(w, fd)->last_in = w->now;
	worker_count(w, COUNTER_bytes_in, (uint64_t)n);
	input_parse(w, fd);
	session_flush(w, fd);
	session_watch(w, fd);
	return (size_t)n == room && (w->io[fd].events & EV_READ) && !session(w, fd)->state.flags;
}

void input_ready(struct worker *w, int fd)
{
	/* release: whom to blame is known before anything of it is looked at */
	atomic_store_explicit(&w->slot.shm->working_on, (uint32_t)fd + 1, memory_order_release);
	if (session(w, fd)->state.flags & (SESSION_LINGER | SESSION_CLOSE))
		discard(w, fd);
	else
		for (int i = 0; i < RECEIVES_A_TURN && receive(w, fd); i++)
			;
	atomic_store_explicit(&w->slot.shm->working_on, 0, memory_order_release);
}

void input_resume(struct worker *w, int fd)
{
	atomic_store_explicit(&w->slot.shm->working_on, (uint32_t)fd + 1, memory_order_release);
	input_parse(w, fd);
	session_flush(w, fd);
	session_watch(w, fd);
	atomic_store_explicit(&w->slot.shm->working_on, 0, memory_order_release);
}

/* In turn, until one is put off again. */
bool input_retry_stalled(struct worker *w)
{
	uint32_t n = w->stalled_count, i;

	for (i = 0; i < n && publish_ready(&w->hub); i++) {
		int fd = w->stalled[i];

		/* (If it has no mark, it was closed meanwhile.) */
		if (session_unmark(w, fd, MARK_STALLED) && session(w, fd)->state.in != LENT_NONE)
			input_resume(w, fd);
	}
	w->stalled_count -= i;
	memmove(w->stalled, w->stalled + i, w->stalled_count * sizeof(*w->stalled));
	return w->stalled_count > 0 && publish_ready(&w->hub);
}
