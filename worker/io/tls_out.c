/*
 * Sending through TLS. See tls_out.h.
 */
#include "worker/io/tls_out.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/transport.h"
#include "shm/crash.h"
#include "worker/io/tcp_counts.h"
#include "worker/io/tls_kernel.h"

#define PIECE 8192		/* bytes of text of a record for one session alone, and for a slow reader: so much is pending at most if it has stopped */
#define SLOW 65536		/* bytes that have not left yet: a slow reader's. What is left of send_buffer (128 KiB) takes as much at least */
#define CONTROL_MAX 8		/* bytes of what TLS itself says */
#define TEXT_LEAST 400		/* bytes of text whose record is kept in a buffer of the smallest class */
_Static_assert(TEXT_LEAST + TLS_OVERHEAD_MAX + sizeof(struct buffer_shm) <= BUFFER_LEAST, "it has room");

enum { KEY_UPDATE = 24, WARNING = 1, FATAL = 2 };

bool tls_out_ready(struct base *base)
{
	if (!base->crypto)
		base->crypto = tls_crypto_create();
	return base->crypto != NULL;
}

/* ---- sealing ---- */

static struct tls_entry_shm *entry_of(const struct base *base, session_id sid)
{
	return tls_entry(&base->tls, session_fd(base, sid));
}

bool tls_out_by_kernel(const struct base *base, session_id sid)
{
	return tls_by_kernel(&entry_of(base, sid)->flow);
}

static size_t records(size_t len)
{
	return (len + TLS_TEXT_MAX - 1) / TLS_TEXT_MAX;
}

size_t tls_out_allowed(struct base *base, size_t len, uint64_t *promised)
{
	size_t most = len + records(len) * TLS_OVERHEAD_MAX + BUFFER_MORE;

	if (len <= TEXT_LEAST)
		return len;
	if (!pool_allows(&base->pool, *promised + most))
		return TEXT_LEAST;
	*promised += most;
	return len;
}

void tls_out_list(struct base *base, unsigned place, session_id sid, size_t len)
{
	base->tls.shm->flight_taken[place] = entry_of(base, sid)->flow.taken + len;
}

size_t tls_out_share(const struct base *base, session_id sid, size_t len)
{
	if (len <= PIECE)
		return len;
	if (tcp_unsent(session_fd(base, sid)) >= SLOW)
		return PIECE;
	return len < TLS_OUT_TEXT_MAX ? len : TLS_OUT_TEXT_MAX;
}

size_t tls_out_size(const struct base *base, session_id sid, size_t len)
{
	return len + records(len) * tls_overhead(entry_of(base, sid)->kind);
}

size_t tls_out_seal(struct base *base, session_id sid, const void *text, size_t len, uint8_t *dst)
{
	const struct tls_entry_shm *e = entry_of(base, sid);
	uint64_t seq = e->flow.out_seq;
	size_t size = 0;

	if (e->flow.pending || tls_by_kernel(&e->flow))
		return 0;		/* its connection is over, and closed soon */
	for (size_t done = 0; done < len; seq++) {
		size_t piece = len - done < TLS_TEXT_MAX ? len - done : TLS_TEXT_MAX;
		size_t n = tls_out_ready(base) ? tls_seal(base->crypto, e->kind, &e->out, seq, TLS_APPLICATION_DATA, (const uint8_t *)text + done, piece, dst + size) : 0;

		if (n == 0)
			return 0;
		done += piece;
		size += n;
	}
	return size;
}

/* ---- what is pending ---- */

/* Keeps bytes for later, in a buffer that was allowed for before they were sealed, or of the smallest class. False: there is none all the same, and the session is aborted. */
static bool keep(struct base *base, session_id sid, struct tls_flow_shm *flow, const uint8_t *bytes, size_t len)
{
	uint32_t ref = pool_take_anyway(&base->pool, len);

	if (ref == BUFFER_NONE) {
		session_abort(base, sid, COUNTER_no_buffer);
		return false;
	}
	pool_header(&base->slot, ref)->owner = (uint32_t)sid + 1;
	memcpy(pool_bytes(&base->slot, ref), bytes, len);
	flow->pending = ref;
	flow->pending_start = 0;
	flow->pending_end = (uint32_t)len;
	return true;
}

void tls_out_drained(struct base *base, session_id sid, uint32_t bytes)
{
	struct tls_flow_shm flow = entry_of(base, sid)->flow;
	uint32_t ref = flow.pending;

	flow.wire_out += bytes;
	flow.pending_start += bytes;
	if (flow.pending_start == flow.pending_end)
		flow.pending = flow.pending_start = flow.pending_end = 0;
	tls_commit(&base->tls, session_fd(base, sid), &flow);
	if (!flow.pending)
		pool_give(&base->pool, ref);
}

/* Whether the socket is full, or the kernel's memory, which passes as well. */
static bool is_full(int error)
{
	return error == EAGAIN || error == ENOBUFS || error == ENOMEM || error == EINTR;
}

/* Sends what is pending. What tls_out_flush() returns. */
static int drain(struct base *base, session_id sid)
{
	const struct tls_flow_shm *flow = &entry_of(base, sid)->flow;
	uint32_t left = flow->pending_end - flow->pending_start;
	ssize_t n = send(session_fd(base, sid), pool_bytes(&base->slot, flow->pending) + flow->pending_start, left, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return is_full(errno) ? 0 : -1;
	CRASH_POINT("tls-drained");
	tls_out_drained(base, sid, (uint32_t)n);
	base_count(base, COUNTER_bytes_out, (uint64_t)n);
	return (uint32_t)n == left;
}

/* ---- what TLS itself says ---- */

/* The record that is next, as `control` says: its type and text. Its length. */
static size_t control_text(const struct tls_flow_shm *flow, uint8_t *type, uint8_t text[CONTROL_MAX])
{
	if (flow->control & TLS_UPDATE_OWED) {
		*type = TLS_HANDSHAKE;
		memcpy(text, (const uint8_t[]){ KEY_UPDATE, 0, 0, 1, 0 }, 5);	/* ours is not to be answered */
		return 5;
	}
	*type = TLS_ALERT;
	text[0] = flow->control & TLS_ALERT_OWED ? FATAL : WARNING;
	text[1] = flow->control & TLS_ALERT_OWED ? flow->alert : TLS_CLOSE_NOTIFY;
	return 2;
}

/* What the flow is when that record is sealed. With a KeyUpdate, our next records have other keys. False: libcrypto has failed. */
static bool control_sealed(struct tls_entry_shm *e)
{
	e->flow.out_seq++;
	if (e->flow.control & TLS_UPDATE_OWED) {
		e->flow.control &= (uint16_t)~TLS_UPDATE_OWED;
		e->flow.out_seq = 0;
		return tls_keys_next(&e->out, e->kind.suite) == 0;
	}
	if (e->flow.control & TLS_ALERT_OWED)
		e->flow.control &= (uint16_t)~TLS_ALERT_OWED;
	else
		e->flow.control = (uint16_t)((e->flow.control & ~TLS_CLOSE_OWED) | TLS_CLOSE_SEALED);
	return true;
}

/* Commits that what was owed is said. With a KeyUpdate our next keys are in the same commit. */
static void commit_said(struct base *base, session_id sid, const struct tls_entry_shm *e)
{
	if (e->out.generation != entry_of(base, sid)->out.generation)
		tls_commit_keys(&base->tls, session_fd(base, sid), e);
	else
		tls_commit(&base->tls, session_fd(base, sid), &e->flow);
}

/*
 * The kernel has made that record of `len` bytes; with a KeyUpdate it has our next keys, too (`keyed`), or is given them. Commits both. False: the kernel does not take
 * them.
 */
static bool said_by_kernel(struct base *base, session_id sid, size_t len, bool keyed)
{
	struct tls_entry_shm e = *entry_of(base, sid);
	bool update = e.flow.control & TLS_UPDATE_OWED, good;

	e.flow.wire_out += len + tls_overhead(e.kind);
	good = control_sealed(&e) && (!update || keyed || tls_kernel_keys(session_fd(base, sid), e.kind, &e.out) == 0);
	CRASH_POINT("tls-kernel-keyed");
	if (good)
		commit_said(base, sid, &e);
	explicit_bzero(&e, sizeof(e));
	return good;
}

/* Has the kernel say what is owed first. What tls_out_flush() returns. */
static int say_by_kernel(struct base *base, session_id sid)
{
	uint8_t text[CONTROL_MAX], type;
	size_t len = control_text(&entry_of(base, sid)->flow, &type, text);

	if (tls_kernel_say(session_fd(base, sid), type, text, len) < 0)
		return is_full(errno) ? 0 : -1;
	CRASH_POINT("tls-kernel-said");
	if (said_by_kernel(base, sid, len, false))
		return 1;
	session_abort(base, sid, COUNTER_no_buffer);
	return -1;
}

bool tls_out_settle(struct base *base, session_id sid)
{
	const struct tls_entry_shm *e = entry_of(base, sid);
	uint8_t text[CONTROL_MAX], type;
	uint64_t number;
	int r = tls_kernel_number(session_fd(base, sid), e->kind, &e->out, &number);

	if (r == 0 && number == e->flow.out_seq)
		return true;
	if (r < 0 || !(e->flow.control & (r == 1 ? TLS_UPDATE_OWED : TLS_OWED)) || number != (r == 1 ? 0 : e->flow.out_seq + 1))
		return false;
	return said_by_kernel(base, sid, control_text(&e->flow, &type, text), r == 1);
}

bool tls_out_kept(const struct base *base, session_id sid)
{
	uint64_t accepted;

	return tls_out_by_kernel(base, sid) && tcp_accepted(session_fd(base, sid), &accepted) == 0 && accepted < entry_of(base, sid)->flow.wire_out;
}

/* Seals what is owed first, which is pending then: one commit. False: the session is aborted. */
static bool seal_control(struct base *base, session_id sid)
{
	struct tls_entry_shm e = *entry_of(base, sid);
	uint8_t text[CONTROL_MAX], wire[CONTROL_MAX + TLS_OVERHEAD_MAX], type;
	size_t len = control_text(&e.flow, &type, text), n = 0;
	bool good;

	if (tls_out_ready(base))
		n = tls_seal(base->crypto, e.kind, &e.out, e.flow.out_seq, type, text, len, wire);
	CRASH_POINT("tls-control-sealed");
	good = n > 0 && control_sealed(&e) && keep(base, sid, &e.flow, wire, n);
	if (good)
		commit_said(base, sid, &e);
	else
		session_abort(base, sid, COUNTER_no_buffer);
	explicit_bzero(&e, sizeof(e));
	return good;
}

/* (What has gone wrong is still told to who sends or receives.) */
static bool is_broken(int fd)
{
	return poll(&(struct pollfd){ .fd = fd }, 1, 0) > 0;	/* POLLERR or POLLHUP */
}

int tls_out_flush(struct base *base, session_id sid)
{
	const struct tls_flow_shm *flow = &entry_of(base, sid)->flow;

	for (;;) {
		int r = 1;

		if (flow->pending)
			r = drain(base, sid);
		else if (flow->control & TLS_OWED)
			r = tls_by_kernel(flow) ? say_by_kernel(base, sid) : seal_control(base, sid) ? 1 : -1;
		else
			return !tls_out_kept(base, sid) ? 1 : is_broken(session_fd(base, sid)) ? -1 : 0;
		if (r <= 0)
			return r;
	}
}

int tls_out_alert(struct base *base, session_id sid, uint8_t alert)
{
	struct tls_flow_shm flow = entry_of(base, sid)->flow;
	uint16_t said = TLS_CLOSE_OWED | TLS_CLOSE_SEALED;

	if (!(flow.control & (said | TLS_ALERT_OWED))) {
		flow.control |= alert == TLS_CLOSE_NOTIFY ? TLS_CLOSE_OWED : TLS_ALERT_OWED;
		flow.alert = alert;
		tls_commit(&base->tls, session_fd(base, sid), &flow);
		CRASH_POINT("tls-owed");
	}
	return tls_out_flush(base, sid);
}

void tls_out_last(struct base *base, session_id sid, const void *text, size_t len)
{
	const struct tls_entry_shm *e = entry_of(base, sid);
	struct tls_flow_shm flow = e->flow;
	uint64_t seq = flow.out_seq;
	uint8_t wire[TRANSPORT_NOTICE_MAX + CONTROL_MAX + 2 * TLS_OVERHEAD_MAX], alert[2] = { WARNING, TLS_CLOSE_NOTIFY };
	size_t n = 0;

	assert(len <= TRANSPORT_NOTICE_MAX);
	if (flow.pending || flow.control & (TLS_OWED | TLS_CLOSE_SEALED) || !tls_out_ready(base))
		return;
	if (tls_by_kernel(&flow)) {
		if (!len || send(session_fd(base, sid), text, len, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			(void)!tls_kernel_say(session_fd(base, sid), TLS_ALERT, alert, sizeof(alert));
		return;
	}
	flow.out_seq += 2;		/* whatever becomes of them, these numbers are used */
	flow.control |= TLS_CLOSE_SEALED;
	tls_commit(&base->tls, session_fd(base, sid), &flow);
	if (len)
		n = tls_seal(base->crypto, e->kind, &e->out, seq, TLS_APPLICATION_DATA, text, len, wire);
	n += tls_seal(base->crypto, e->kind, &e->out, seq + (len > 0), TLS_ALERT, alert, sizeof(alert), wire + n);
	(void)!send(session_fd(base, sid), wire, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void tls_out_end(struct base *base, session_id sid)
{
	pool_give(&base->pool, entry_of(base, sid)->flow.pending);
	pool_give(&base->pool, entry_of(base, sid)->flow.held);
	tls_wipe(&base->tls, session_fd(base, sid));
	tls_crypto_forget(base->crypto);
}

/* ---- the stream ---- */

int tls_out_took(struct base *base, session_id sid, size_t len, const uint8_t *wire, size_t size, size_t accepted)
{
	const struct tls_entry_shm *e = entry_of(base, sid);
	struct tls_flow_shm flow = e->flow;

	flow.taken += len;
	flow.out_seq += records(len);
	flow.wire_out += accepted;
	if (accepted < size && !keep(base, sid, &flow, wire + accepted, size - accepted))
		return -1;
	if (flow.out_seq >= tls_records_max(e->kind)) {
		if (e->kind.version == TLS_1_3)
			flow.control |= TLS_UPDATE_OWED;
		else
			session_over(base, sid);	/* its client may come back, with new keys */
	}
	CRASH_POINT("tls-pending");
	tls_commit(&base->tls, session_fd(base, sid), &flow);
	CRASH_POINT("tls-taken");
	return flow.pending || flow.control & TLS_OWED;
}

int tls_out_took_by_kernel(struct base *base, session_id sid, size_t len)
{
	size_t size = tls_out_size(base, sid, len);

	return tls_out_took(base, sid, len, NULL, size, size);
}

long tls_out_made(const struct base *base, session_id sid, size_t len)
{
	const struct tls_entry_shm *e = entry_of(base, sid);
	uint64_t number, made;

	if (tls_kernel_number(session_fd(base, sid), e->kind, &e->out, &number) != 0 || number < e->flow.out_seq || number - e->flow.out_seq > records(len))
		return -1;
	made = (number - e->flow.out_seq) * TLS_TEXT_MAX;
	return (long)(made < len ? made : len);
}

/* Has the kernel make a record of listed text; *len becomes how much of it is in one. Returns what tls_out_took() does. */
static int send_by_kernel(struct base *base, session_id sid, const void *text, size_t *len)
{
	ssize_t n = send(session_fd(base, sid), text, *len, MSG_DONTWAIT | MSG_NOSIGNAL);

	CRASH_POINT("tls-kernel-sent");
	*len = n > 0 ? (size_t)n : 0;
	if (n <= 0)
		return is_full(errno) ? 1 : -1;
	base_count(base, COUNTER_bytes_out, (uint64_t)n);
	return tls_out_took_by_kernel(base, sid, (size_t)n);
}

/* Sends listed text as one record. Returns what tls_out_took() does. */
static int send_record(struct base *base, session_id sid, const void *text, size_t len)
{
	static uint8_t wire[PIECE + TLS_OVERHEAD_MAX];
	size_t size = tls_out_seal(base, sid, text, len, wire);
	ssize_t n;

	if (size == 0) {
		session_abort(base, sid, COUNTER_no_buffer);
		return -1;
	}
	CRASH_POINT("tls-sealed");
	n = send(session_fd(base, sid), wire, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	CRASH_POINT("tls-sent");
	if (n > 0)
		base_count(base, COUNTER_bytes_out, (uint64_t)n);
	/* (That the connection is broken is found when what is pending is to be sent.) */
	return tls_out_took(base, sid, len, wire, size, n > 0 ? (size_t)n : 0);
}

long tls_out_send(struct base *base, session_id sid, const void *text, size_t len)
{
	struct slot_shm *s = base->slot.shm;
	int r = tls_out_flush(base, sid);
	size_t done = 0, piece, most = tls_out_by_kernel(base, sid) ? TLS_TEXT_MAX : PIECE;
	uint64_t promised;

	if (r <= 0) {
		errno = r == 0 ? EAGAIN : EPIPE;
		return -1;
	}
	s->flight[0] = (uint32_t)sid;
	for (r = 0; r == 0 && done < len; done += piece) {
		promised = 0;
		piece = tls_out_allowed(base, len - done < most ? len - done : most, &promised);
		/* (Of the record before this, `taken` says that it is done.) */
		tls_out_list(base, 0, sid, piece);
		/* release: what the text is going to be stands there before it is sealed */
		atomic_store_explicit(&s->flights, 1, memory_order_release);
		atomic_signal_fence(memory_order_seq_cst);
		CRASH_POINT("tls-listed");
		if (tls_out_by_kernel(base, sid))
			r = send_by_kernel(base, sid, (const uint8_t *)text + done, &piece);
		else
			r = send_record(base, sid, (const uint8_t *)text + done, piece);
		if (r < 0) {
			errno = EPIPE;
			return -1;
		}
	}
	base_count(base, COUNTER_sends, 1);
	if (done == 0)
		errno = EAGAIN;
	return done > 0 ? (long)done : -1;
}
