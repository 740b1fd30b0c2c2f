/*
 * Who the clients behind proxies are. See slot_peers.h.
 */
#include "shm/slot_peers.h"

#include <string.h>

void slot_peers_put(const struct slot *slot, int sid, const struct event_peer *peer, enum peer_by by)
{
	_Atomic uint32_t *end = &slot->shm->peers_end;
	struct peer_shm *p = &slot->peers[sid];

	if ((uint32_t)sid >= atomic_load_explicit(end, memory_order_relaxed)) {
		if (peer->family == EVENT_NOWHERE)
			return;
		/* (Entries in between are zero, as nothing was ever written there.) */
		atomic_store_explicit(end, (uint32_t)sid + 1, memory_order_relaxed);
	}
	atomic_store_explicit(&p->family, EVENT_NOWHERE, memory_order_relaxed);
	/* release: what is written behind this is not seen before it */
	atomic_thread_fence(memory_order_seq_cst);
	memcpy(p->address, peer->address, sizeof(p->address));
	p->port = peer->port;
	p->by = (uint8_t)by;
	/* release: the entry is whole when it is there */
	atomic_store_explicit(&p->family, peer->family, memory_order_release);
}

enum peer_by slot_peers_get(const struct slot *slot, int sid, struct event_peer *peer)
{
	const struct peer_shm *p = &slot->peers[sid];
	uint8_t family, by;

	if ((uint32_t)sid >= atomic_load_explicit(&slot->shm->peers_end, memory_order_relaxed) || (uint32_t)sid >= slot->shm->sessions_max)
		return PEER_BY_NOBODY;
	/* acquire: what is read behind this is read after it */
	family = atomic_load_explicit(&p->family, memory_order_acquire);
	*peer = (struct event_peer){ .port = p->port, .family = family };
	memcpy(peer->address, p->address, sizeof(p->address));
	by = p->by;
	return family == EVENT_NOWHERE ? PEER_BY_NOBODY : (enum peer_by)by;
}
