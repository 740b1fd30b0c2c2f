/*
 * Requests that are refused. See refused.h.
 */
#include "worker/service/refused.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "proto/sink.h"
#include "shm/log.h"
#include "worker/io/session_peer.h"
#include "worker/session/tell.h"

#define NAME_LOGGED 512		/* bytes of a path, at most */

static void log_peer(const struct service *service, session_id sid, char text[INET6_ADDRSTRLEN])
{
	struct event_peer peer = session_peer(service->base, sid);

	if (peer.family == EVENT_IPV4 || peer.family == EVENT_IPV6)
		inet_ntop(peer.family == EVENT_IPV4 ? AF_INET : AF_INET6, peer.address, text, INET6_ADDRSTRLEN);
	else
		snprintf(text, INET6_ADDRSTRLEN, "%s", peer.family == EVENT_UNIX ? "a Unix socket" : "-");
}

/* Names are quoted, and escaped as in JSON: so none of them can say who another one is. */
static void put_quoted(struct sink *s, const char *before, const char *name, size_t len)
{
	sink_text(s, before);
	sink_byte(s, '"');
	sink_json(s, name, len);
	sink_byte(s, '"');
}

void refused_tell(struct service *service, session_id sid, enum counter why, unsigned status, const char *error, const struct refused_about *about,
		  const struct rights *who)
{
	static struct log_limit limit[2];	/* of what is too much, of the rest */
	static char text[8 * NAME_LOGGED];
	struct sink s = { .dst = text, .room = sizeof(text) - 1 };
	char address[INET6_ADDRSTRLEN];
	bool much = status == 429;

	base_count(service->base, why, 1);
	tell_refusal(service->base, sid, status, error, about->what, about->text, about->len, who);
	sink_text(&s, error);
	if (about->len > 0)
		put_quoted(&s, ": ", about->text, about->len < NAME_LOGGED ? about->len : NAME_LOGGED);
	if (who && who->sub_len > 0)
		put_quoted(&s, ", sub ", who->sub, who->sub_len);
	text[s.len] = '\0';
	log_peer(service, sid, address);
	log_field("code", "%u", status);
	if (about->len > 0)
		log_field(event_about_name(about->what), "%.*s", (int)(about->len < NAME_LOGGED ? about->len : NAME_LOGGED), about->text);
	if (who && who->sub_len > 0)
		log_field("sub", "%.*s", (int)who->sub_len, who->sub);
	log_limited(&limit[much], much ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "refused, from %s: %s", address, text);
}
