/*
 * Tokens that run out. See expiry.h.
 */
#include "worker/loop/expiry.h"

#include "shm/slot_rights.h"
#include "worker/delivery/output.h"
#include "worker/protocol/answer.h"
#include "worker/session/tell.h"

#define AHEAD 90		/* seconds: half a minute before `exp`, as clocks may differ by one (JWT_SKEW) */
#define SECOND 1000000u

enum { TOLD };			/* in the header of the block's buffer, buffer_shm.scan: that it was told */

static void end(struct worker *w, session_id sid)
{
	tell_ends(&w->base, sid, COUNTER_closed_expired, NULL);
	session_part(&w->protocols, sid, &(struct parting){ .expired = true, .reason = "the token has run out", .now = hub_now() });
	output_flush(&w->output, sid);
}

bool expiry_look(struct worker *w, session_id sid)
{
	uint32_t ref = slot_rights_ref(&w->base.slot, sid);
	const struct session_state_shm *st = &session(&w->base, sid)->state;
	const struct rights *rights = ref ? session_rights(&w->base, sid) : NULL;
	uint32_t *scan;
	int64_t left;

	if (!rights || rights->expires == INT64_MAX || st->transport == TRANSPORT_HTTP || st->flags & SESSION_CLOSE)
		return false;
	left = rights->expires - (int64_t)(hub_now() / SECOND);
	if (left <= 0) {
		end(w, sid);
		return true;
	}
	scan = pool_header(&w->base.slot, ref)->scan;
	/* (Who dies behind the telling has it told again.) */
	if (left <= AHEAD && !scan[TOLD] && session_warn(&w->protocols, sid, (uint64_t)left))
		scan[TOLD] = 1;
	return false;
}
