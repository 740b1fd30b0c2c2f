/*
 * Events of sessions. See tell.h.
 */
#include "worker/session/tell.h"

#include <string.h>

#include "shm/client_id.h"
#include "shm/slot_peers.h"

#define OFTEN_A_SECOND 200	/* events of what may happen often, of a worker */

static struct event of_session(const struct base *base, session_id sid, enum event_kind kind)
{
	const struct session_shm *s = slot_session(&base->slot, sid);

	return (struct event){
		.kind = (uint8_t)kind, .slot = (uint8_t)base->number, .transport = (uint8_t)s->state.transport,
		.session = (uint32_t)sid, .check = client_id_check(s->token),
	};
}

/* Who reads it knows a client's address from its beginning; but that of a proxy's may be another one by now. */
static void write_event(struct base *base, session_id sid, struct event *event)
{
	struct event_peer named;

	if (!event->peer && slot_peers_get(&base->slot, sid, &named) != PEER_BY_NOBODY)
		event->peer = &named;
	events_write(&base->hub.events, base->number, event);
}

void tell_session(struct base *base, session_id sid, enum event_kind kind, uint64_t n, const char *text, size_t len, const struct event_peer *peer)
{
	struct event event = of_session(base, sid, kind);

	event.n = n;
	event.text = text;
	event.text_len = len;
	event.peer = peer;
	write_event(base, sid, &event);
}

void tell_why(struct base *base, session_id sid, enum event_kind kind, unsigned why, uint64_t n, const struct event_peer *peer)
{
	struct event event = of_session(base, sid, kind);

	event.why = (uint8_t)why;
	event.n = n;
	event.peer = peer;
	write_event(base, sid, &event);
}

/* Whether one more may be told of; else it is counted. */
static bool may_tell_often(struct base *base)
{
	if (base->often_since != base->now) {
		base->often_since = base->now;
		base->often = 0;
	}
	if (base->often >= OFTEN_A_SECOND) {
		base_count(base, COUNTER_events_muted, 1);
		return false;
	}
	base->often++;
	return true;
}

void tell_often(struct base *base, session_id sid, enum event_kind kind, uint64_t n, const char *text, size_t len)
{
	if (may_tell_often(base))
		tell_session(base, sid, kind, n, text, len, NULL);
}

void tell_who(struct base *base, session_id sid, const struct rights *who)
{
	struct event event = of_session(base, sid, EVENT_AUTH);

	event.n = who->expires == INT64_MAX ? 0 : (uint64_t)who->expires;
	event.sub = who->sub;
	event.sub_len = who->sub_len;
	if (may_tell_often(base))
		write_event(base, sid, &event);
}

void tell_refusal(struct base *base, session_id sid, unsigned status, const char *error, enum event_about about, const char *text, size_t len, const struct rights *who)
{
	struct event event = of_session(base, sid, EVENT_REFUSE);

	event.n = status;
	event.text = error;
	event.text_len = strlen(error);
	event.about = about;
	event.about_text = text;
	event.about_len = len;
	event.sub = who ? who->sub : NULL;
	event.sub_len = who ? who->sub_len : 0;
	if (may_tell_often(base))
		write_event(base, sid, &event);
}

void tell_refused(struct base *base, enum counter why, uint32_t transport, const struct event_peer *peer)
{
	events_write(&base->hub.events, base->number, &(struct event){
		.kind = EVENT_REFUSE, .why = (uint8_t)why, .slot = (uint8_t)base->number, .transport = (uint8_t)transport, .session = EVENT_NO_SESSION, .peer = peer,
	});
}

void tell_ends(struct base *base, session_id sid, enum counter why, const char *text)
{
	struct event event;

	base_count(base, why, 1);
	if (base->why[sid] == 0)
		base->why[sid] = (uint8_t)why;
	if (!text)
		return;
	event = of_session(base, sid, EVENT_REFUSE);
	event.why = (uint8_t)why;
	event.text = text;
	event.text_len = strlen(text);
	write_event(base, sid, &event);
}

unsigned tell_reason(struct base *base, session_id sid)
{
	const struct session_state_shm *st = &slot_session(&base->slot, sid)->state;
	unsigned why = base->why[sid];

	if (why)
		base->why[sid] = 0;	/* (its memory is not touched for one that has none) */
	return why ? why : st->flags & (SESSION_CLOSE | SESSION_LINGER) ? EVENT_WHY_DONE : EVENT_WHY_PEER;
}
