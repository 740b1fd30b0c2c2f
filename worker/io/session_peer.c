/*
 * Who a session's client is. See session_peer.h.
 */
#include "worker/io/session_peer.h"

#include <string.h>

#include "proto/forwarded.h"
#include "worker/io/peer.h"
#include "worker/session/session.h"

struct event_peer session_peer(const struct base *base, session_id sid)
{
	struct event_peer peer;

	return slot_peers_get(&base->slot, sid, &peer) != PEER_BY_NOBODY ? peer : peer_ask(session_fd(base, sid));
}

bool peer_is_proxy(const struct base *base, const struct event_peer *peer)
{
	return address_list_has(&base->proxies, peer->family, peer->address);
}

/*
 * Whom a header has named is the one who sends the request: what he says of others counts only if he is a proxy, too. (If he was, and a request has named somebody,
 * that was before, on this connection.)
 */
static bool may_forward(const struct base *base, session_id sid, enum peer_by by, const struct event_peer *known)
{
	struct event_peer peer;

	if (by == PEER_BY_REQUEST)
		return true;
	if (by == PEER_BY_HEADER)
		return peer_is_proxy(base, known);
	peer = peer_ask(session_fd(base, sid));
	return peer_is_proxy(base, &peer);
}

void session_peer_forwarded(struct base *base, session_id sid, const char *head, size_t len)
{
	struct event_peer known, peer = { .family = EVENT_NOWHERE };
	enum peer_by by;

	if (base->proxies.count == 0)
		return;
	by = slot_peers_get(&base->slot, sid, &known);
	if (!may_forward(base, sid, by, &known))
		return;
	peer.family = forwarded_client(&base->proxies, head, len, peer.address);
	if (peer.family == EVENT_NOWHERE && by != PEER_BY_REQUEST)
		return;
	if (by != PEER_BY_REQUEST || peer.family != known.family || memcmp(peer.address, known.address, sizeof(peer.address)) != 0)
		slot_peers_put(&base->slot, sid, &peer, PEER_BY_REQUEST);
}
