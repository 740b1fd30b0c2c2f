/*
 * Clients as operators see them. See clients.h.
 */
#include "shm/clients.h"

#include <errno.h>
#include <string.h>

#include "shm/buffer_pool.h"
#include "shm/hub_shm.h"
#include "shm/slot_peers.h"
#include "shm/slot_rights.h"

/* Whether a table of `count` things lies within the segment. */
static bool lies_within(uint64_t at, uint64_t count, uint64_t each, uint64_t size)
{
	return at % 64 == 0 && at <= size && count <= (size - at) / each;
}

static bool buffers_lie_within(const struct slot_shm *s)
{
	for (unsigned i = 0; i < BUFFER_CLASSES; i++) {
		const struct buffer_class_shm *c = &s->buffer_class[i];

		if (c->size <= sizeof(struct buffer_shm) || !lies_within(c->at, c->count, c->size, s->size))
			return false;
	}
	return true;
}

int clients_attach(struct slot *slot, int fd)
{
	const struct slot_shm *s;

	if (slot_attach(slot, fd, false) < 0)
		return -1;
	s = slot->shm;
	if (lies_within(s->sessions_at, s->sessions_max, sizeof(struct session_shm), s->size) &&
	    lies_within(s->subscriptions_at, s->subscriptions_max + 1ull, sizeof(struct subscription_shm), s->size) &&
	    lies_within(s->rights_at, s->sessions_max, sizeof(uint32_t), s->size) &&
	    lies_within(s->peers_at, s->sessions_max, sizeof(struct peer_shm), s->size) && buffers_lie_within(s))
		return 0;
	slot_detach(slot);
	errno = EPROTO;
	return -1;
}

uint32_t clients_end(const struct slot *slot)
{
	uint32_t end = atomic_load_explicit(&slot->shm->fd_end, memory_order_relaxed);

	return end < slot->shm->sessions_max ? end : slot->shm->sessions_max;
}

/* Whether the session is there, and is still the one that was read. */
static bool is_same(const struct session_shm *s, const uint8_t token[TOKEN_BYTES])
{
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&s->status, memory_order_relaxed) == SESSION_OPEN && memcmp(s->token, token, TOKEN_BYTES) == 0;
}

static uint32_t seconds_since(uint32_t then, uint32_t now)
{
	return now > then ? now - then : 0;
}

/* Of one that is not behind, its worker's: it gets what the worker is about to deliver. */
static uint64_t lag_of(const struct hub *hub, unsigned number, const struct session_state_shm *st)
{
	uint64_t tail = ring_tail(&hub->ring), at = st->pos, delivered = atomic_load_explicit(&hub->shm->slot[number].delivered, memory_order_relaxed);

	if (!(st->flags & SESSION_BEHIND) && delivered > at)
		at = delivered;
	return tail > at ? tail - at : 0;
}

bool clients_read(const struct hub *hub, const struct slot *slot, unsigned number, uint32_t session, uint32_t now, struct client_info *info)
{
	const struct session_shm *s;
	struct session_state_shm st;
	uint32_t since, last_in;

	if (session >= clients_end(slot))
		return false;
	s = &slot->sessions[session];
	/* acquire: what is read behind this is read after it */
	if (atomic_load_explicit(&s->status, memory_order_acquire) != SESSION_OPEN)
		return false;
	memcpy(info->token, s->token, TOKEN_BYTES);
	st = s->state;
	since = st.transport == TRANSPORT_HTTP || st.transport >= TRANSPORTS || transport_has(st.transport, TRANSPORT_OWN_FRAMES) ? 0 : s->page_base;
	last_in = s->last_in;
	info->count = s->count;
	if (slot_peers_get(slot, (int)session, &info->behind_proxy) == PEER_BY_NOBODY)
		info->behind_proxy.family = EVENT_NOWHERE;
	if (!is_same(s, info->token) || st.transport >= TRANSPORTS)
		return false;
	info->slot = number;
	info->session = session;
	info->transport = st.transport;
	info->behind = st.flags & SESSION_BEHIND && !(st.flags & SESSION_PARKED);
	info->parked = st.flags & SESSION_PARKED;
	info->ending = st.flags & (SESSION_CLOSE | SESSION_LINGER);
	info->tls = st.flags & SESSION_TLS;
	info->lag = lag_of(hub, number, &st);
	info->bytes_in = st.parsed;
	info->bytes_out = st.sent;
	info->idle = seconds_since(last_in > st.last_out ? last_in : st.last_out, now);
	info->age = since ? seconds_since(since, now) : CLIENT_UNKNOWN;
	return true;
}

bool clients_find(const struct hub *hub, const struct slot *slot, const struct client_id *id, uint32_t now, struct client_info *info)
{
	return clients_read(hub, slot, id->slot, id->session, now, info) && client_id_check(info->token) == id->check;
}

/* The block, copied: its buffer may be given to another while it is read. False: there is none that is whole. */
static bool copy_rights(const struct slot *slot, uint32_t ref, struct rights *dst, size_t room)
{
	uint32_t len;

	if (!pool_is_ref(slot, ref))
		return false;
	len = pool_header(slot, ref)->len;
	if (len > pool_room(slot, ref) || len > room)
		return false;
	memcpy(dst, pool_bytes(slot, ref), len);
	return rights_check(dst, len);
}

void clients_who(const struct slot *slot, const struct client_info *info, struct client_who *who)
{
	static _Alignas(struct rights) char block[RIGHTS_SIZE_MAX];
	const struct rights *rights = (const struct rights *)block;
	uint32_t ref = slot_rights_ref(slot, (int)info->session);

	*who = (struct client_who){ .expires = INT64_MAX };
	if (!ref || info->parked || !copy_rights(slot, ref, (struct rights *)block, sizeof(block)))
		return;
	if (info->transport == TRANSPORT_HTTP && !rights->certified)
		return;			/* (each request says for itself who it is) */
	if (!is_same(&slot->sessions[info->session], info->token) || slot_rights_ref(slot, (int)info->session) != ref)
		return;
	who->shown = true;
	who->sub_len = rights->sub_len;
	memcpy(who->sub, rights->sub, rights->sub_len);
	who->expires = rights->expires;
}

/* The topic's name. Its length, 0: it has gone, or is none. */
static size_t read_name(const struct hub *hub, uint32_t topic, char name[TOPIC_NAME_MAX])
{
	const struct topic_shm *t;
	uint32_t generation;
	size_t len;

	if (topic == TOPIC_NONE || topic > hub->index.shm->high || topic > hub->index.shm->topics_max)
		return 0;
	t = index_topic(&hub->index, topic);
	generation = __atomic_load_n(&t->generation, __ATOMIC_RELAXED);
	/* acquire: the name is read behind this (make_topic() sets the state last) */
	if (atomic_load_explicit(&t->state, memory_order_acquire) != TOPIC_USED)
		return 0;
	len = t->name_len;
	memcpy(name, t->name, len);
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&t->state, memory_order_relaxed) == TOPIC_USED && __atomic_load_n(&t->generation, __ATOMIC_RELAXED) == generation
		? len : 0;
}

bool clients_names(const struct hub *hub, const struct slot *slot, const struct client_info *info,
		   bool (*each)(void *arg, const char *name, size_t len), void *arg)
{
	const struct session_shm *s = &slot->sessions[info->session];
	uint32_t first = atomic_load_explicit(&s->subscriptions, memory_order_acquire), at = first, left = info->count;
	char name[TOPIC_NAME_MAX];

	/* Each is told of only while the list began as it does and belongs to whom it did: as one that is freed may be another's by now. */
	for (; at != 0 && left > 0; left--) {
		uint32_t next;
		size_t len;

		if (at > slot->shm->subscriptions_max)
			return false;
		len = read_name(hub, slot->subscriptions[at].topic, name);
		next = atomic_load_explicit(&slot->subscriptions[at].next, memory_order_acquire);
		if (!is_same(s, info->token) || atomic_load_explicit(&s->subscriptions, memory_order_relaxed) != first)
			return false;
		if (len > 0 && !each(arg, name, len))
			return true;
		at = next;
	}
	return at == 0 && left == 0;
}
