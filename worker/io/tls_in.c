/*
 * Receiving through TLS. See tls_in.h.
 */
#include "worker/io/tls_in.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "shm/crash.h"
#include "worker/io/tls_out.h"
#include "worker/session/tell.h"

#define LOOK 65536		/* bytes looked at at a time */
#define UPDATES_MAX 8		/* KeyUpdates at a time, each of which costs some microseconds */
#define DISCARD_MAX 65536	/* bytes of input that are thrown away behind an error, so that the client reads the alert */

enum { CLIENT_HELLO = 1, KEY_UPDATE = 24, USER_CANCELED = 90, WARNING = 1, ILLEGAL_PARAMETER = 47 };

_Static_assert(LOOK >= 2 * TLS_RECORD_MAX, "a record fits");
static uint8_t wire[LOOK];	/* what was looked at */

static struct tls_entry_shm *entry_of(const struct base *base, session_id sid)
{
	return tls_entry(&base->tls, session_fd(base, sid));
}

/* ---- the socket ---- */

static void discard(const struct base *base, session_id sid, size_t bytes)
{
	static uint8_t rubbish[LOOK];
	ssize_t n;

	while (bytes > 0 && (n = recv(session_fd(base, sid), rubbish, bytes < LOOK ? bytes : LOOK, MSG_TRUNC | MSG_DONTWAIT)) > 0)
		bytes -= (size_t)n;
}

void tls_in_take(struct base *base, session_id sid, const struct tls_in *in)
{
	discard(base, sid, in->taken);
	base_count(base, COUNTER_bytes_in, in->taken);
}

/*
 * Has the flow hold wire[from..in->len), the beginning of a record of `size` bytes (0: that can't be told yet). In the buffer that holds it already only what is new is
 * written, behind what counts. The buffer is the session's when the flow is committed. False: there is none.
 */
static bool hold(struct base *base, session_id sid, const struct tls_in *in, size_t from, size_t size, struct tls_flow_shm *flow)
{
	size_t len = in->len - from, there = from == 0 ? in->held : 0;

	if (!there || pool_room(&base->slot, flow->held) < len) {
		uint32_t ref = session_buffer(base, sid, size > len ? size : len);

		if (ref == BUFFER_NONE)
			return false;
		pool_header(&base->slot, ref)->since = base->now;
		flow->held = ref;
		there = 0;
	} else if (!session_buffer_grow(base, sid, flow->held, len)) {
		return false;
	}
	memcpy(pool_bytes(&base->slot, flow->held) + there, wire + from + there, len - there);
	flow->held_len = (uint32_t)len;
	return true;
}

static void commit(struct base *base, session_id sid, const struct tls_entry_shm *e)
{
	uint32_t held = entry_of(base, sid)->flow.held;

	CRASH_POINT("tls-input-opened");
	if (e->in.generation != entry_of(base, sid)->in.generation)
		tls_commit_keys(&base->tls, session_fd(base, sid), e);
	else
		tls_commit(&base->tls, session_fd(base, sid), &e->flow);
	if (held != e->flow.held)
		pool_give(&base->pool, held);
	CRASH_POINT("tls-input-committed");
}

/* All that is there is the beginning of a record, which is taken and held. */
static enum received hold_all(struct base *base, session_id sid, struct tls_in *in, size_t size)
{
	struct tls_entry_shm e = *entry_of(base, sid);
	bool held = hold(base, sid, in, 0, size, &e.flow);

	if (held) {
		in->taken = in->len - in->held;
		e.flow.wire_in += in->taken;
		commit(base, sid, &e);
		tls_in_take(base, sid, in);
	}
	explicit_bzero(&e, sizeof(e));
	return held ? RECEIVED_NOTHING : RECEIVED_NO_MEMORY;
}

enum received tls_in_look(struct base *base, session_id sid, struct tls_in *in)
{
	const struct tls_entry_shm *e = entry_of(base, sid);
	size_t held = e->flow.held ? e->flow.held_len : 0;
	ssize_t n;
	long len = 0;

	if (e->flow.control & TLS_PEER_CLOSED)
		return RECEIVED_END;
	if (held > 0)
		memcpy(wire, pool_bytes(&base->slot, e->flow.held), held);
	n = recv(session_fd(base, sid), wire + held, sizeof(wire) - held, MSG_PEEK | MSG_DONTWAIT);
	if (n == 0)
		return held > 0 ? RECEIVED_ERROR : RECEIVED_END;	/* the rest of a record will not come */
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? RECEIVED_NOTHING : RECEIVED_ERROR;
	*in = (struct tls_in){ .held = held, .len = held + (size_t)n };
	while ((len = tls_record_length(e->kind, wire + in->whole, in->len - in->whole)) > 0 && (size_t)len <= in->len - in->whole)
		in->whole += (size_t)len;
	return in->whole > 0 || len < 0 ? RECEIVED : hold_all(base, sid, in, (size_t)len);
}

/* ---- records ---- */

/* The client is told what is wrong, and its connection is over. */
static enum received refuse(struct base *base, session_id sid, uint8_t alert)
{
	tell_ends(base, sid, COUNTER_bad_input, "a TLS record that is none, can't be opened or is not expected");
	tls_out_alert(base, sid, alert);
	discard(base, sid, DISCARD_MAX);
	return RECEIVED_ERROR;
}

/* The peer's next records have other keys. 0, or -alert. */
static int update_keys(struct tls_entry_shm *e, const uint8_t *text, size_t len)
{
	/* (It is alone in its record, as what follows it has other keys.) */
	if (e->kind.version != TLS_1_3 || len != 5 || memcmp(text, (const uint8_t[]){ KEY_UPDATE, 0, 0, 1 }, 4) != 0)
		return len > 0 && text[0] == CLIENT_HELLO && e->kind.version == TLS_1_2 ? -TLS_NO_RENEGOTIATION : -TLS_UNEXPECTED_MESSAGE;
	if (text[4] > 1)
		return -ILLEGAL_PARAMETER;
	if (tls_keys_next(&e->in, e->kind.suite) < 0)
		return -TLS_UNEXPECTED_MESSAGE;
	e->flow.in_seq = 0;
	if (text[4] == 1)
		e->flow.control |= TLS_UPDATE_OWED;
	return 0;
}

/* What the peer's alert says. */
static enum received heed_alert(struct tls_entry_shm *e, const uint8_t *text, size_t len)
{
	if (len == 2 && text[1] == TLS_CLOSE_NOTIFY) {
		e->flow.control |= TLS_PEER_CLOSED;
		return RECEIVED_END;
	}
	return len == 2 && (text[1] == USER_CANCELED || (e->kind.version == TLS_1_2 && text[0] == WARNING)) ? RECEIVED : RECEIVED_ERROR;
}

/* Deals with a record that is no data. *alert: what is wrong with it, 0 nothing. */
static enum received heed(struct tls_entry_shm *e, uint8_t type, const uint8_t *text, size_t len, int *alert)
{
	*alert = 0;
	e->flow.in_seq++;
	if (type == TLS_ALERT)
		return heed_alert(e, text, len);
	*alert = type == TLS_HANDSHAKE ? -update_keys(e, text, len) : TLS_UNEXPECTED_MESSAGE;
	return RECEIVED;
}

/*
 * Opens records one behind the other, until something else than data has been dealt with, or would be behind data. Nothing is committed. *alert: what is wrong
 * with the first one.
 */
static enum received open_records(struct base *base, struct tls_entry_shm *e, struct tls_in *in, uint8_t *dst, size_t room, size_t *len, int *alert)
{
	enum received what = RECEIVED;
	unsigned updates = 0;
	bool data = false;

	*alert = 0;
	while (what == RECEIVED && updates < UPDATES_MAX && !(*alert)) {
		long size = tls_record_length(e->kind, wire + in->opened, in->len - in->opened), n = size;
		uint8_t type;

		if (size == 0 || (size > 0 && ((size_t)size > in->len - in->opened || (size_t)size > room - *len)))
			break;
		if (size > 0)
			n = tls_open(base->crypto, e->kind, &e->in, e->flow.in_seq, wire + in->opened, (size_t)size, dst + *len, &type);
		if ((n < 0 || type != TLS_APPLICATION_DATA) && data)
			break;		/* what was opened comes first; then it is alone */
		if (n < 0) {
			*alert = (int)-n;
			break;
		}
		if (type != TLS_APPLICATION_DATA) {
			what = heed(e, type, dst + *len, (size_t)n, alert);
			updates++;
			in->bare++;
		} else {
			data = true;
			e->flow.in_seq++;
			*len += (size_t)n;
			in->bare += n == 0;
		}
		in->opened += (size_t)size;
	}
	e->flow.opened += *len;
	return what;
}

/* What is behind the records that were opened: if it is the beginning of one, it is held, if there is a buffer; else it stays in the socket. */
static void hold_rest(struct base *base, session_id sid, struct tls_in *in, struct tls_flow_shm *flow)
{
	size_t left = in->len - in->opened;
	long size;

	if (in->opened == 0)
		return;
	flow->held = flow->held_len = 0;
	in->taken = in->opened - in->held;
	size = left ? tls_record_length(entry_of(base, sid)->kind, wire + in->opened, left) : -1;
	if (size == 0 || size > (long)left)
		if (hold(base, sid, in, in->opened, (size_t)size, flow))
			in->taken += left;
	flow->wire_in += in->taken;
}

enum received tls_in_open(struct base *base, session_id sid, struct tls_in *in, uint8_t *dst, size_t room, size_t *len)
{
	struct tls_entry_shm e = *entry_of(base, sid);
	enum received what;
	int alert;

	*len = 0;
	if (!tls_out_ready(base))
		return RECEIVED_NO_MEMORY;
	what = open_records(base, &e, in, dst, room, len, &alert);
	if (alert == 0) {
		hold_rest(base, sid, in, &e.flow);
		commit(base, sid, &e);
	}
	explicit_bzero(&e, sizeof(e));
	if (alert)
		return refuse(base, sid, (uint8_t)alert);
	return what == RECEIVED && *len == 0 ? entry_of(base, sid)->flow.control & TLS_OWED ? RECEIVED_OWES : RECEIVED_NOTHING : what;
}

int tls_in_settle(struct base *base, session_id sid, uint64_t taken, uint64_t from, uint64_t *len)
{
	const struct tls_flow_shm *flow = &entry_of(base, sid)->flow;
	uint64_t left = flow->wire_in - taken;

	if (taken > flow->wire_in || left > LOOK || flow->opened < from)
		return -1;
	*len = flow->opened - from;
	discard(base, sid, left);
	return 0;
}
