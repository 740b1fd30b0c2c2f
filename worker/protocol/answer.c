/*
 * What sessions are told that they did not ask for: errors, and the server's end.
 */
#include "worker/protocol/answer.h"

#include "proto/tls_record.h"
#include "proto/transport.h"
#include "worker/delivery/output.h"
#include "worker/io/tls_out.h"
#include "worker/protocol/http.h"
#include "worker/session/tell.h"

/* To the request that the session's input begins with. */
static size_t answer_last(struct protocols *protocols, const struct session_state_shm *st, unsigned status, const char *text, char *dst)
{
	const struct buffer_shm *head = st->in != BUFFER_NONE ? pool_header(&protocols->base->slot, st->in) : NULL;
	const char *input = head ? (const char *)pool_bytes(&protocols->base->slot, st->in) + (st->parsed - head->base) : "";

	return http_last_words(protocols, input, head ? (size_t)(head->base + head->len - st->parsed) : 0, status, text, dst);
}

static void end_with(struct protocols *protocols, session_id sid, uint64_t parsed, const char *bytes, size_t len)
{
	struct session_state_shm st = session(protocols->base, sid)->state;

	if (len && session_append(protocols->base, sid, &st, bytes, len) < 0) {
		session_abort(protocols->base, sid, COUNTER_no_buffer);
		return;
	}
	st.parsed = parsed;
	st.flags |= SESSION_CLOSE;
	session_commit(protocols->base, sid, &st);
}

void session_bad(struct protocols *protocols, session_id sid, const char *text)
{
	static const enum counter by_group[TRANSPORT_GROUPS] = {
		[GROUP_FLASH] = COUNTER_bad_flash, [GROUP_HTTP] = COUNTER_bad_http, [GROUP_WEBSOCKET] = COUNTER_bad_websocket, [GROUP_PACKET] = COUNTER_bad_packet,
		[GROUP_SSE] = COUNTER_bad_http, [GROUP_JSON_LINES] = COUNTER_bad_http, [GROUP_PAGE] = COUNTER_bad_http,
	};

	tell_ends(protocols->base, sid, COUNTER_bad_input, text);
	base_count(protocols->base, by_group[transport_group(session(protocols->base, sid)->state.transport)], 1);
}

static void put_error(struct protocols *protocols, session_id sid, uint64_t parsed, unsigned status, const char *text)
{
	const struct session_state_shm *st = &session(protocols->base, sid)->state;
	char bytes[TRANSPORT_NOTICE_MAX];

	end_with(protocols, sid, parsed, bytes, st->transport == TRANSPORT_HTTP ? answer_last(protocols, st, status, text, bytes)
									      : transport_error(st->transport, hub_now(), status, text, bytes));
}

void session_part(struct protocols *protocols, session_id sid, const struct parting *parting)
{
	const struct session_state_shm *st = &session(protocols->base, sid)->state;
	char bytes[TRANSPORT_NOTICE_MAX];
	size_t len;

	if (st->transport != TRANSPORT_HTTP)
		len = parting_write(st->transport, parting, bytes);
	else if (st->in == BUFFER_NONE)
		len = 0;		/* between requests there is nothing to answer */
	else
		len = answer_last(protocols, st, parting->again ? 503 : parting->expired ? 401 : 403, parting->reason, bytes);
	end_with(protocols, sid, st->parsed, bytes, len);
}

bool session_warn(struct protocols *protocols, session_id sid, uint64_t seconds)
{
	struct session_state_shm st = session(protocols->base, sid)->state;
	char bytes[TRANSPORT_NOTICE_MAX];
	size_t len = parting_ahead(st.transport, seconds, hub_now(), bytes);

	if (len == 0)
		return true;
	if (!session_plain(&st) || session_append_if_room(protocols->base, sid, &st, bytes, len) < 0)
		return false;
	session_commit(protocols->base, sid, &st);
	output_flush(protocols->output, sid);
	return true;
}

void session_end(struct protocols *protocols, session_id sid, uint64_t parsed, unsigned status, const char *text)
{
	put_error(protocols, sid, parsed, status, text);
	if (status == 400)
		session_bad(protocols, sid, text);
}

void session_goodbye(struct protocols *protocols, session_id sid)
{
	struct session_state_shm st = session(protocols->base, sid)->state;
	char bytes[TRANSPORT_NOTICE_MAX];
	size_t len = transport_goodbye(st.transport, bytes);

	if (len && session_plain(&st) && session_append(protocols->base, sid, &st, bytes, len) == 0) {
		session_commit(protocols->base, sid, &st);
		output_flush(protocols->output, sid);
	}
	/* Who has all that is his is told that this is the end; for others it is none. */
	if (session_is_tls(&session(protocols->base, sid)->state) && !session_is_behind(protocols->base, sid))
		tls_out_alert(protocols->base, sid, TLS_CLOSE_NOTIFY);
}
