/*
 * Sends. A batch of more than FEW sends goes to the kernel through io_uring, mostly with one system call. A smaller one goes by send(), with one
 * system call each, and so does every batch where there is no io_uring.
 *
 * Sends do not block (MSG_DONTWAIT), and submit_uring() waits until io_uring has done or refused each of them. So no send is in flight while
 * anything else of its session changes. Every session with a send under way stands in the slot segment from before the kernel sees the send
 * until its outcome is recorded.
 */
#include "worker/io/send_batch.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shm/crash.h"
#include "shm/log.h"
#include "worker/io/tcp_counts.h"
#include "worker/io/tls_out.h"
#include "worker/io/uring.h"

#define BATCH_MAX 256		/* sends a submission */
#define FEW 4			/* up to this many sends are faster one by one */
#define RECORDS_MAX (256 * 1024)	/* bytes of records of a batch: what was sealed is still in the processor's cache when the kernel copies it */
_Static_assert(RECORDS_MAX >= TLS_OUT_WIRE_MAX, "a send fits");
#define UNREPORTED INT_MIN	/* a result that io_uring has not reported yet */
_Static_assert(UNREPORTED != BATCH_UNKNOWN, "two things");
_Static_assert(BATCH_MAX <= FLIGHT_MAX, "all of them can be written down");

/* What of a send the kernel is given. */
struct wire {
	const char *bytes;
	uint32_t len;
	uint32_t text;			/* TLS: so many bytes of the send are in it, as records, or for the kernel to make records of; 0: it is the send itself */
	bool by_kernel, full;		/* with text: the kernel makes records of it; and its socket was full then */
};

struct batch {
	struct base *base;
	bool uring;
	struct io_uring ring;
	unsigned count;
	batch_landed_fn *landed;
	void *above;
	struct batch_send send[BATCH_MAX];
	struct wire wire[BATCH_MAX];
	unsigned by_kernel;		/* how many of them are of TLS sessions whose records the kernel makes */
	uint64_t promised;		/* bytes of buffers for what the kernel does not take of their records */
	size_t sealed;			/* bytes that TLS sessions' sends are as records; 0: there are none */
	uint8_t records[RECORDS_MAX];	/* these, when the batch is flushed */
	int result[BATCH_MAX];
	struct pollfd sockets[BATCH_MAX];	/* look_if_full()'s */
	uint64_t round;			/* goes up when `used` goes back to 0 */
	size_t used;
	size_t room;
	char arena[];
};

struct batch *batch_create(struct base *base, int io, size_t arena, batch_landed_fn *landed, void *above)
{
	struct batch *b = malloc(sizeof(*b) + arena);
	int r;

	if (!b)
		return NULL;
	b->uring = false;
	b->count = b->by_kernel = 0;
	b->sealed = 0;
	b->promised = 0;
	b->round = 1;
	b->used = 0;
	b->room = arena;
	b->base = base;
	b->landed = landed;
	b->above = above;
	if (io == IO_SEND)
		return b;
	r = uring_open(&b->ring, BATCH_MAX);
	b->uring = r == 0;
	if (r < 0 && io == IO_URING) {
		log_error("io = uring, but io_uring can't be had here: %s", strerror(-r));
		batch_destroy(b);
		errno = -r;
		return NULL;
	}
	return b;
}

void batch_destroy(struct batch *b)
{
	if (!b)
		return;
	if (b->uring)
		io_uring_queue_exit(&b->ring);
	free(b);
}

const char *batch_kind(const struct batch *b)
{
	return b->uring ? "io_uring" : "send()";
}

static int submit_and_wait(struct batch *b, unsigned count)
{
	if (FAIL_POINT("uring-submit")) {	/* for tests: all are sent, and none is reported */
		io_uring_submit(&b->ring);
		io_uring_cq_advance(&b->ring, io_uring_cq_ready(&b->ring));
		return -EFAULT;
	}
	if (FAIL_POINT("uring-unsubmitted"))
		return -ENOMEM;
	return io_uring_submit_and_wait(&b->ring, count);
}

/* Stores the results that are in the completion queue. Returns how many there were. */
static unsigned reap(struct batch *b)
{
	struct io_uring_cqe *cqe;
	unsigned head, found = 0;

	io_uring_for_each_cqe(&b->ring, head, cqe) {
		b->result[cqe->user_data] = cqe->res;
		found++;
	}
	io_uring_cq_advance(&b->ring, found);
	return found;
}

/* Asks the kernel for the outcome of a send that io_uring did not report. BATCH_UNKNOWN: a Unix socket can't tell. */
static int ask_kernel(const struct batch *b, session_id sid, size_t text)
{
	const struct session_state_shm *st = &session(b->base, sid)->state;
	uint64_t accepted, sent;

	if (session_is_tls(st) && tls_out_by_kernel(b->base, sid)) {
		long made = tls_out_made(b->base, sid, text);

		return made < 0 ? BATCH_UNKNOWN : made > 0 ? (int)made : -EAGAIN;
	}
	sent = session_is_tls(st) ? tls_entry(&b->base->tls, session_fd(b->base, sid))->flow.wire_out : st->sent;
	if (tcp_accepted(session_fd(b->base, sid), &accepted) < 0 || accepted < sent)
		return BATCH_UNKNOWN;
	return accepted > sent ? (int)(accepted - sent) : -EAGAIN;
}

/*
 * io_uring has failed, so send() is used from now on. Closing io_uring ends the sends that it may still hold. After that the kernel's counts of
 * what it accepted don't change any more, and can be asked for.
 */
static void give_up_uring(struct batch *b, int error)
{
	log_error("io_uring: %s; sending with send() from now on", strerror(-error));
	reap(b);
	io_uring_queue_exit(&b->ring);
	b->uring = false;
	for (unsigned i = 0; i < b->count; i++)
		if (b->result[i] == UNREPORTED)
			b->result[i] = ask_kernel(b, b->send[i].sid, b->wire[i].text);
}

static void submit_uring(struct batch *b)
{
	unsigned seen = 0;

	for (unsigned i = 0; i < b->count; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);

		io_uring_prep_send(sqe, session_fd(b->base, b->send[i].sid), b->wire[i].bytes, b->wire[i].len, MSG_DONTWAIT | MSG_NOSIGNAL);
		io_uring_sqe_set_data64(sqe, i);
		b->result[i] = UNREPORTED;
	}
	while (seen < b->count) {
		int r = submit_and_wait(b, b->count - seen);

		if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY) {
			give_up_uring(b, r);
			break;
		}
		seen += reap(b);
	}
	base_count(b->base, COUNTER_send_batches, 1);
}

static void submit_send(struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		ssize_t n = send(session_fd(b->base, b->send[i].sid), b->wire[i].bytes, b->wire[i].len, MSG_DONTWAIT | MSG_NOSIGNAL);

		b->result[i] = n < 0 ? -errno : (int)n;
	}
}

/* Seals what goes to TLS sessions, if the kernel does not: all of it is listed. */
static void seal(struct batch *b)
{
	size_t used = 0;

	for (unsigned i = 0; i < b->count; i++) {
		struct wire *wire = &b->wire[i];

		if (!wire->text)
			continue;
		wire->by_kernel = tls_out_by_kernel(b->base, b->send[i].sid);
		if (wire->by_kernel) {
			b->by_kernel++;
			wire->len = wire->text;
			continue;
		}
		wire->len = (uint32_t)tls_out_seal(b->base, b->send[i].sid, b->send[i].bytes, wire->text, b->records + used);
		wire->bytes = (const char *)b->records + used;
		used += wire->len;
	}
	CRASH_POINT("tls-sealed");
}

/* Has TLS keep of the records what the kernel did not take. Then it is recorded in the session that their text is sent. */
static void land_tls(struct batch *b, struct batch_send *send, const struct wire *wire, int result)
{
	int r;

	if (result == BATCH_UNKNOWN || wire->len == 0) {
		b->landed(b->above, send, BATCH_UNKNOWN);
		return;
	}
	r = tls_out_took(b->base, send->sid, wire->text, (const uint8_t *)wire->bytes, wire->len, result > 0 ? (size_t)result : 0);
	send->behind = r > 0;
	if (r >= 0)
		b->landed(b->above, send, (int)wire->text);
}

/* Finds out which sockets are full, of those whose records the kernel makes: it may keep some of these (tls_out_kept()), with no word in the send's result. */
static void look_if_full(struct batch *b)
{
	for (unsigned i = 0; i < b->count; i++)
		b->sockets[i] = (struct pollfd){ .fd = b->wire[i].by_kernel ? session_fd(b->base, b->send[i].sid) : -1, .events = POLLOUT };
	if (poll(b->sockets, b->count, 0) < 0)
		memset(b->sockets, 0, sizeof(b->sockets));	/* each may be */
	for (unsigned i = 0; i < b->count; i++)
		b->wire[i].full = !(b->sockets[i].revents & POLLOUT);
}

/* The kernel makes the records, of all of the text or a part of it. */
static void land_by_kernel(struct batch *b, struct batch_send *send, const struct wire *wire, int result)
{
	if (result > 0)
		send->behind = tls_out_took_by_kernel(b->base, send->sid, (size_t)result) > 0 || (wire->full && tls_out_kept(b->base, send->sid));
	b->landed(b->above, send, result);
}

/* Has each outcome recorded in its session. */
static void land(struct batch *b)
{
	uint64_t bytes = 0;

	if (b->by_kernel > 0)
		look_if_full(b);
	for (unsigned i = 0; i < b->count; i++) {
		if (i == b->count / 2)
			CRASH_POINT("batch-half-recorded");
		if (b->result[i] > 0)
			bytes += (uint64_t)b->result[i];
		if (b->wire[i].by_kernel)
			land_by_kernel(b, &b->send[i], &b->wire[i], b->result[i]);
		else if (b->wire[i].text)
			land_tls(b, &b->send[i], &b->wire[i], b->result[i]);
		else
			b->landed(b->above, &b->send[i], b->result[i]);
	}
	base_count(b->base, COUNTER_bytes_out, bytes);
	base_count(b->base, COUNTER_sends, b->count);
}

void batch_flush(struct batch *b)
{
	struct slot_shm *s = b->base->slot.shm;

	if (b->count == 0)
		return;
	/* release: the list is whole before its length says so, and then the first is sent */
	atomic_store_explicit(&s->flights, b->count, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	CRASH_POINT("batch-listed");
	if (b->sealed > 0)
		seal(b);
	if (b->uring && b->count > FEW)
		submit_uring(b);
	else
		submit_send(b);
	CRASH_POINT("batch-sent");
	land(b);
	CRASH_POINT("batch-recorded");
	atomic_store_explicit(&s->flights, 0, memory_order_release);
	b->count = b->by_kernel = 0;
	b->sealed = 0;
	b->promised = 0;
}

char *batch_room(struct batch *b, size_t bytes)
{

	if (b->used + bytes > b->room) {
		batch_flush(b);
		b->used = 0;
		b->round++;
	}
	return bytes <= b->room ? b->arena + b->used : NULL;
}

void batch_use(struct batch *b, size_t bytes)
{
	b->used += bytes;
}

uint64_t batch_round(const struct batch *b)
{
	return b->round;
}

void batch_add(struct batch *b, session_id sid, const char *bytes, size_t len, uint64_t pos, uint32_t messages, uint32_t skipped)
{

	bool tls = session_is_tls(&session(b->base, sid)->state);
	uint32_t text = tls ? (uint32_t)tls_out_share(b->base, sid, len) : 0;
	size_t records = tls ? tls_out_size(b->base, sid, text) : 0;

	if (b->count == BATCH_MAX || b->sealed + records > RECORDS_MAX)
		batch_flush(b);
	if (tls) {
		text = (uint32_t)tls_out_allowed(b->base, text, &b->promised);
		records = tls_out_size(b->base, sid, text);
	}
	b->base->slot.shm->flight[b->count] = (uint32_t)sid;
	b->send[b->count] = (struct batch_send){
		.sid = sid, .bytes = bytes, .len = (uint32_t)len, .pos = pos, .messages = messages, .skipped = skipped,
	};
	b->wire[b->count] = (struct wire){ .bytes = bytes, .len = (uint32_t)len, .text = text };
	if (tls)
		tls_out_list(b->base, b->count, sid, text);
	b->sealed += records;
	b->count++;
}

long batch_send(struct batch *b, session_id sid, const void *bytes, size_t len)
{
	ssize_t n;

	assert(b->count == 0);
	if (session_is_tls(&session(b->base, sid)->state))
		return tls_out_send(b->base, sid, bytes, len);
	b->base->slot.shm->flight[0] = (uint32_t)sid;
	atomic_store_explicit(&b->base->slot.shm->flights, 1, memory_order_release);
	CRASH_POINT("send-listed");
	n = send(session_fd(b->base, sid), bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	/*
	 * A lack of memory in the kernel passes, as a full socket does. It must not be taken for a broken connection: what is sent later would
	 * overtake these bytes.
	 */
	if (n < 0 && (errno == ENOBUFS || errno == ENOMEM || errno == EINTR))
		errno = EAGAIN;
	CRASH_POINT("send-sent");
	base_count(b->base, COUNTER_sends, 1);
	if (n > 0)
		base_count(b->base, COUNTER_bytes_out, (uint64_t)n);
	return n;
}

void batch_landed(struct batch *b)
{
	atomic_store_explicit(&b->base->slot.shm->flights, 0, memory_order_release);
}
