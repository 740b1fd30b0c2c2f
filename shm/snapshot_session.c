/*
 * A session, there and back. See snapshot_session.h, and snapshot.h for the form.
 *
 * Transports and flags are numbers that belong to a layout: in a snapshot they go by names (proto/transport.def; the table of flags here).
 */
#include "shm/snapshot_session.h"

#include <errno.h>
#include <string.h>

#include "proto/transport.h"
#include "shm/slot_peers.h"
#include "shm/slot_rights.h"
#include "shm/slow_rules.h"

#define PROTO_OF_TLS "tls_proto"	/* a program that knows no TLS finds no "proto", and does not take the session for a plain one */
#define FLAGS (sizeof(flags) / sizeof(flags[0]))

static const struct {
	const char *name;
	uint32_t mask, flag;		/* it is set if what the mask covers is `flag` */
} flags[] = {
	{ "behind", SESSION_BEHIND, SESSION_BEHIND },
	{ "close", SESSION_CLOSE, SESSION_CLOSE },
	{ "linger", SESSION_LINGER, SESSION_LINGER },
	{ "cut", SESSION_CUT, SESSION_CUT },
	{ "parked", SESSION_PARKED, SESSION_PARKED },
	{ "slow-skip", SESSION_SLOW, SESSION_SLOW_IS(SLOW_SKIP) },
	{ "slow-latest", SESSION_SLOW, SESSION_SLOW_IS(SLOW_LATEST) },
	{ "slow-disconnect", SESSION_SLOW, SESSION_SLOW_IS(SLOW_DISCONNECT) },
	{ "lists", SESSION_LISTS, SESSION_LISTS },
	{ "admin", SESSION_ADMIN, SESSION_ADMIN },
	{ "tls", SESSION_TLS, SESSION_TLS },
};

/* ---- writing ---- */

/* A session, looked through before anything of it is written: a map's head says how many keys follow. */
struct view {
	const struct session_shm *session;
	const char *transport;
	const uint8_t *in, *out;
	uint32_t in_len, out_len, flags, topics;
	const struct rights *rights;
	enum peer_by peer_by;
	struct event_peer peer;
	const struct tls_entry_shm *tls;	/* NULL: none */
};

static const struct topic_shm *topic_of(const struct hub *hub, const struct subscription_shm *sub)
{
	const struct topic_shm *t = index_topic(&hub->index, sub->topic);

	if (sub->topic == TOPIC_NONE || sub->topic > hub->index.shm->high || atomic_load(&t->state) != TOPIC_USED)
		return NULL;
	return t;
}

static bool has_flag(const struct view *v, unsigned i)
{
	return (v->session->state.flags & flags[i].mask) == flags[i].flag;
}

static int view_flags(struct view *v)
{
	uint32_t known = 0;

	for (unsigned i = 0; i < FLAGS; i++) {
		known |= flags[i].mask;
		v->flags += has_flag(v, i);
	}
	return v->session->state.flags & ~known ? snapshot_bad() : 0;
}

static int view_buffers(struct view *v, const struct slot *slot)
{
	const struct session_state_shm *st = &v->session->state;

	if (st->in != BUFFER_NONE) {
		const struct buffer_shm *head = pool_header(slot, st->in);

		if (st->parsed < head->base || st->parsed - head->base > head->len || head->len > pool_room(slot, st->in))
			return snapshot_bad();
		v->in = pool_bytes(slot, st->in) + (st->parsed - head->base);
		v->in_len = head->len - (uint32_t)(st->parsed - head->base);
	}
	if (st->out != BUFFER_NONE) {
		if (st->out_start > st->out_end || st->out_end > pool_room(slot, st->out))
			return snapshot_bad();
		v->out = pool_bytes(slot, st->out) + st->out_start;
		v->out_len = st->out_end - st->out_start;
	}
	return 0;
}

/* (What a parked session has means nothing, and of one that speaks HTTP only what the certificate of its connection says does.) */
static int view_rights(struct view *v, const struct slot *slot, uint32_t sid)
{
	uint32_t ref = v->session->state.flags & SESSION_PARKED ? 0 : slot_rights_ref(slot, (int)sid);

	v->rights = ref ? slot_rights_read(slot, ref) : NULL;
	if (v->session->state.transport == TRANSPORT_HTTP && !(v->rights && v->rights->certified)) {
		v->rights = NULL;
		ref = 0;
	}
	v->peer_by = v->session->state.flags & SESSION_PARKED ? PEER_BY_NOBODY : slot_peers_get(slot, (int)sid, &v->peer);
	return ref && !v->rights ? snapshot_bad() : 0;
}

/* 0, or -1 with EPROTO. */
static int view_session(struct view *v, const struct hub *hub, const struct slot *slot, const struct session_shm *s, const struct session_leaves *leaves)
{
	const struct subscription_shm *sub;

	*v = (struct view){ .session = s };
	if (s->state.transport < TRANSPORTS)
		v->transport = transport_table[s->state.transport].word;
	if (!v->transport || view_flags(v) < 0 || view_buffers(v, slot) < 0 ||
	    view_rights(v, slot, (uint32_t)(s - slot->sessions)) < 0)
		return snapshot_bad();
	for (uint32_t i = leaves && leaves->alone ? 0 : atomic_load(&s->subscriptions); i; i = atomic_load(&sub->next)) {
		sub = &slot->subscriptions[i];
		if (i > slot->shm->subscriptions_max || ++v->topics > slot->shm->subscriptions_max || !topic_of(hub, sub))
			return snapshot_bad();
	}
	return 0;
}

static void put_subscriptions(struct snapshot_writer *w, const struct hub *hub, const struct slot *slot, const struct view *v, const struct passed_shm *passed)
{
	const struct subscription_shm *sub;

	snapshot_put_array(w, "topics", v->topics);
	for (uint32_t i = atomic_load(&v->session->subscriptions); i; i = atomic_load(&sub->next)) {
		const struct topic_shm *t;

		sub = &slot->subscriptions[i];
		t = index_topic(&hub->index, sub->topic);
		snapshot_put_map(w, 3);
		snapshot_put_text(w, "topic", t->name, t->name_len);
		snapshot_put_uint(w, "from", passed ? passed->from : sub->from);
		snapshot_put_uint(w, "number", passed ? passed->number : sub->number);
		passed += passed != NULL;
	}
}

static void put_flags(struct snapshot_writer *w, const struct view *v)
{
	snapshot_put_array(w, "flags", v->flags);
	for (unsigned i = 0; i < FLAGS; i++)
		if (has_flag(v, i))
			snapshot_put_key(w, flags[i].name);
}

/* by | family | port, high byte first | address */
#define PEER_BYTES 20
static void put_peer(struct snapshot_writer *w, const struct view *v)
{
	uint8_t bytes[PEER_BYTES] = { (uint8_t)v->peer_by, v->peer.family, (uint8_t)(v->peer.port >> 8), (uint8_t)v->peer.port };

	memcpy(bytes + 4, v->peer.address, sizeof(v->peer.address));
	snapshot_put_bytes(w, "peer", bytes, sizeof(bytes));
}

static int view_tls(struct view *v, const struct slot *slot, const struct tls *tls, uint32_t fd)
{
	const struct session_state_shm *st = &v->session->state;
	const struct tls_flow_shm *flow;

	if (!(st->flags & SESSION_TLS))
		return 0;
	if (!tls || fd >= tls->shm->entries)
		return snapshot_bad();
	v->tls = tls_entry(tls, (int)fd);
	flow = &v->tls->flow;
	if (flow->pending_start > flow->pending_end || (flow->pending ? flow->pending_end > pool_room(slot, flow->pending) : flow->pending_end > 0) ||
	    (flow->held ? flow->held_len > pool_room(slot, flow->held) : flow->held_len > 0) || (flow->taken != st->sent && !(st->flags & SESSION_LINGER)))
		return snapshot_bad();
	return 0;
}

int snapshot_put_session(struct snapshot_writer *w, const struct hub *hub, const struct slot *slot, const struct tls *tls, uint32_t fd, const struct session_leaves *leaves)
{
	const struct session_shm *s = &slot->sessions[fd];
	/* (Whose a parked one is says a hash with a key of this hub's.) */
	uint32_t cut = s->state.flags & SESSION_CUT ? s->state.cut : 0, owner = leaves && s->state.flags & SESSION_PARKED ? s->state.cut : 0;
	struct view v;

	if (view_session(&v, hub, slot, s, leaves) < 0 || view_tls(&v, slot, tls, fd) < 0)
		return -1;
	snapshot_put_map(w, 8u + (s->until > 0) + (s->page_base > 0) + (cut > 0) + (owner > 0) + (v.flags > 0) + (v.in_len > 0) + (v.out_len > 0) +
				    (v.topics > 0) + (v.rights != NULL) + (v.tls != NULL) + (v.peer_by != PEER_BY_NOBODY));
	snapshot_put_uint(w, "fd", fd);
	snapshot_put_text(w, v.tls ? PROTO_OF_TLS : "proto", v.transport, strlen(v.transport));
	snapshot_put_bytes(w, "token", s->token, sizeof(s->token));
	snapshot_put_uint(w, "pos", s->state.pos);
	snapshot_put_uint(w, "sent", s->state.sent);
	snapshot_put_uint(w, "parsed", s->state.parsed);
	snapshot_put_uint(w, "last_in", s->last_in);
	snapshot_put_uint(w, "last_out", s->state.last_out);
	if (s->until)
		snapshot_put_uint(w, "until", s->until);
	if (s->page_base)
		snapshot_put_uint(w, "page_base", s->page_base);
	if (cut)
		snapshot_put_uint(w, "cut", cut);
	if (owner)
		snapshot_put_uint(w, "owner", owner);
	if (v.flags)
		put_flags(w, &v);
	if (v.in_len)
		snapshot_put_bytes(w, "in", v.in, v.in_len);
	if (v.out_len)
		snapshot_put_bytes(w, "out", v.out, v.out_len);
	if (v.topics)
		put_subscriptions(w, hub, slot, &v, leaves ? leaves->passed : NULL);
	if (v.rights)
		snapshot_put_bytes(w, "rights", v.rights, v.rights->size);
	if (v.peer_by != PEER_BY_NOBODY)
		put_peer(w, &v);
	if (v.tls)
		snapshot_put_tls(w, v.tls, v.tls->flow.pending ? pool_bytes(slot, v.tls->flow.pending) : NULL,
				 v.tls->flow.held ? pool_bytes(slot, v.tls->flow.held) : NULL);
	return 0;
}

/* ---- reading ---- */

static int no_place(void)
{
	errno = ENOSPC;
	return -1;
}

int snapshot_get_transport(struct session_reading *x, const struct msgpack_value *o, uint32_t *transport)
{
	struct msgpack_value name;
	bool found = msgpack_walk_find(o, "proto", &name) || msgpack_walk_find(o, PROTO_OF_TLS, &name);

	for (uint32_t i = 0; found && i < TRANSPORTS; i++)
		if (msgpack_walk_is(&name, transport_table[i].word)) {
			*transport = i;
			return 0;
		}
	x->r.bad = true;
	return snapshot_bad();
}

/* A name that is not known is of a flag that is no more. */
static uint32_t read_flags(struct session_reading *x, const struct msgpack_value *o)
{
	struct msgpack_value array, name;
	const uint8_t *at;
	uint32_t set = 0;

	snapshot_get_array(&x->r, o, "flags", &array);
	at = array.p;
	for (uint32_t i = 0; i < array.len && msgpack_walk_take(&at, array.end, &name); i++)
		for (unsigned k = 0; k < FLAGS; k++)
			if (msgpack_walk_is(&name, flags[k].name))
				set = (set & ~flags[k].mask) | flags[k].flag;
	return set;
}

/* Lends a buffer with these bytes; none for none. */
static int read_buffer(struct session_reading *x, const struct msgpack_value *o, const char *key, uint32_t *ref, uint32_t *len)
{
	const uint8_t *bytes = snapshot_get_bytes(&x->r, o, key, len);

	*ref = BUFFER_NONE;
	if (*len == 0)
		return 0;
	*ref = pool_take(x->pool, *len);
	if (*ref == BUFFER_NONE)
		return no_place();
	pool_header(x->slot, *ref)->owner = x->fd + 1;
	memcpy(pool_bytes(x->slot, *ref), bytes, *len);
	return 0;
}

#ifdef JANUS_OTHER_LAYOUT
static bool has_frame(const struct session_reading *x, const struct session_state_shm *st)
{
	uint32_t ref = atomic_load(&x->slot->shm->kept);

	while (ref && (pool_header(x->slot, ref)->base != st->pos || pool_header(x->slot, ref)->scan[BUFFER_TRANSPORT] != st->transport))
		ref = atomic_load(&pool_header(x->slot, ref)->next);
	return ref;
}
#endif

static int read_state(struct session_reading *x, const struct msgpack_value *o, struct session_state_shm *st)
{
	uint32_t len;

	st->pos = snapshot_get_uint(&x->r, o, "pos", SNAPSHOT_NEEDED, x->tail);
	st->sent = snapshot_get_uint(&x->r, o, "sent", SNAPSHOT_NEEDED, SNAPSHOT_MOST);
	st->parsed = snapshot_get_uint(&x->r, o, "parsed", SNAPSHOT_NEEDED, SNAPSHOT_MOST);
	st->last_out = (uint32_t)snapshot_get_uint(&x->r, o, "last_out", 0, UINT32_MAX);
	st->cut = (uint32_t)snapshot_get_uint(&x->r, o, "cut", 0, UINT32_MAX);
	st->flags = read_flags(x, o) | (st->cut ? SESSION_CUT : 0);
	if (st->flags & SESSION_PARKED)
		st->cut = (uint32_t)snapshot_get_uint(&x->r, o, "owner", 0, UINT32_MAX);
#ifdef JANUS_OTHER_LAYOUT
	if (st->flags & SESSION_CUT && !has_frame(x, st))
		st->cut = UINT32_MAX;	/* this build for tests makes other frames, so it can't finish one that the old program has begun */
#endif
	if (read_buffer(x, o, "in", &st->in, &len) < 0)
		return -1;
	if (st->in != BUFFER_NONE) {
		pool_header(x->slot, st->in)->base = st->parsed;
		pool_header(x->slot, st->in)->len = len;
		pool_header(x->slot, st->in)->since = st->last_out;	/* (until its worker deals with it) */
	}
	return read_buffer(x, o, "out", &st->out, &st->out_end);
}

/* Of a session that is open to be read: a program that knows no rights has written none. */
static int read_rights(struct session_reading *x, const struct msgpack_value *o)
{
	uint32_t ref, len;

	if (read_buffer(x, o, "rights", &ref, &len) < 0)
		return -1;
	if (ref == BUFFER_NONE)
		return 0;
	pool_header(x->slot, ref)->len = len;
	if (!slot_rights_read(x->slot, ref)) {
		pool_give(x->pool, ref);
		return snapshot_bad();
	}
	slot_rights_put(x->slot, (int)x->fd, ref);
	return 0;
}

/* What a proxy has said, as put_peer() writes it. (A program that knows of none has written nothing.) */
static int read_peer(struct session_reading *x, const struct msgpack_value *o)
{
	struct event_peer peer = { .family = EVENT_NOWHERE };
	uint32_t len;
	const uint8_t *bytes = snapshot_get_bytes(&x->r, o, "peer", &len);

	if (len == 0) {
		slot_peers_put(x->slot, (int)x->fd, &peer, PEER_BY_NOBODY);
		return 0;
	}
	if (len != PEER_BYTES || (bytes[0] != PEER_BY_HEADER && bytes[0] != PEER_BY_REQUEST) || (bytes[1] != EVENT_IPV4 && bytes[1] != EVENT_IPV6))
		return snapshot_bad();
	peer.family = bytes[1];
	peer.port = (uint16_t)(bytes[2] << 8 | bytes[3]);
	memcpy(peer.address, bytes + 4, sizeof(peer.address));
	slot_peers_put(x->slot, (int)x->fd, &peer, (enum peer_by)bytes[0]);
	return 0;
}

/* Of a session that is read otherwise. */
static int read_tls(struct session_reading *x, const struct msgpack_value *o, const struct session_state_shm *st)
{
	struct tls_entry_shm e;
	struct msgpack_value map;
	int r;

	if (!(st->flags & SESSION_TLS))
		return 0;
	if (!x->tls || x->fd >= x->tls->shm->entries || !snapshot_get_tls(&x->r, o, &e, &map))
		return snapshot_bad();
	e.flow.taken = st->sent;
	e.flow.opened = st->parsed + (st->in ? pool_header(x->slot, st->in)->len : 0);
	r = read_buffer(x, &map, "pending", &e.flow.pending, &e.flow.pending_end) < 0 ||
	    read_buffer(x, &map, "held", &e.flow.held, &e.flow.held_len) < 0 ? -1 : 0;
	if (r == 0) {
		tls_begin(x->tls, (int)x->fd);
		*tls_entry(x->tls, (int)x->fd) = e;
		x->has_tls = true;
		tls_settled(x->tls);
	} else {
		pool_give(x->pool, e.flow.pending);
		pool_give(x->pool, e.flow.held);
	}
	explicit_bzero(&e, sizeof(e));
	return r;
}

static uint32_t join(struct session_reading *x, const char *name, size_t len)
{
	uint64_t hash = index_hash(name, len);
	uint32_t topic;

	lock_acquire(&x->hub->shm->lock, x->lock_owner);
	topic = index_join(&x->hub->index, x->number, hash, name, len, ring_tail(&x->hub->ring));
	lock_release(&x->hub->shm->lock, x->lock_owner);
	return topic;
}

/* The next entry, filled in. Its number, or 0 with errno. */
static uint32_t read_subscription(struct session_reading *x, const struct msgpack_value *o)
{
	struct subscription_shm *sub;
	size_t len;
	const char *name = snapshot_get_text(&x->r, o, "topic", &len);
	uint64_t from = snapshot_get_uint(&x->r, o, "from", SNAPSHOT_NEEDED, x->tail);
	uint32_t number = (uint32_t)snapshot_get_uint(&x->r, o, "number", 0, UINT32_MAX), topic, place;

	if (x->r.bad || len == 0 || len > TOPIC_NAME_MAX) {
		snapshot_bad();
		return 0;
	}
	topic = join(x, name, len);
	if (topic == TOPIC_NONE)
		return 0;
	place = x->take(x->of);
	if (!place) {
		no_place();
		return 0;
	}
	sub = &x->slot->subscriptions[place];
	sub->topic = topic;
	sub->from = from;
	sub->number = number;
	atomic_store_explicit(&sub->next, 0, memory_order_relaxed);
	return place;
}

static int read_subscriptions(struct session_reading *x, const struct msgpack_value *o, struct session_shm *s)
{
	_Atomic uint32_t *link = &s->subscriptions;
	struct msgpack_value array, sub;
	const uint8_t *at;

	snapshot_get_array(&x->r, o, "topics", &array);
	at = array.p;
	s->count = array.len;
	for (uint32_t i = 0; i < array.len && msgpack_walk_take(&at, array.end, &sub); i++) {
		uint32_t number = read_subscription(x, &sub);

		if (!number)
			return -1;
		atomic_store(link, number);
		link = &x->slot->subscriptions[number].next;
	}
	return 0;
}

int snapshot_get_session(struct session_reading *x, int as)
{
	const struct msgpack_value *o = snapshot_next(&x->r);
	const uint8_t *token;
	struct session_shm *s;
	uint32_t fd, len;

	x->begun = x->has_tls = false;
	if (!o)
		return -1;
	fd = (uint32_t)snapshot_get_uint(&x->r, o, "fd", SNAPSHOT_NEEDED, INT32_MAX);
	fd = as >= 0 ? (uint32_t)as : fd;
	token = snapshot_get_bytes(&x->r, o, "token", &len);
	if (x->r.bad)
		return snapshot_bad();
	if (fd >= x->slot->shm->sessions_max)
		return no_place();
	x->fd = fd;
	s = &x->slot->sessions[fd];
	if (atomic_load(&s->status) == SESSION_OPEN || (len != 0 && len != sizeof(s->token)))
		return snapshot_bad();
	memset(s, 0, sizeof(*s));
	x->begun = true;
	memcpy(s->token, token, len);
	s->last_in = (uint32_t)snapshot_get_uint(&x->r, o, "last_in", 0, UINT32_MAX);
	s->until = (uint32_t)snapshot_get_uint(&x->r, o, "until", 0, UINT32_MAX);
	s->page_base = (uint32_t)snapshot_get_uint(&x->r, o, "page_base", 0, UINT32_MAX);
	/* Of version 1: what is left of a frame stands in `out`, and counts now. */
	if (snapshot_get_uint(&x->r, o, "rescued", 0, UINT32_MAX))
		hub_count(x->hub, x->number, COUNTER_delivered, 1);
	if (snapshot_get_transport(x, o, &s->state.transport) < 0 || read_state(x, o, &s->state) < 0 || read_subscriptions(x, o, s) < 0 ||
	    read_rights(x, o) < 0 || read_peer(x, o) < 0 || read_tls(x, o, &s->state) < 0)
		return -1;
	return x->r.bad ? snapshot_bad() : 0;
}

static void forget_tls(const struct session_reading *x)
{
	struct tls_entry_shm *e = tls_entry(x->tls, (int)x->fd);

	pool_give(x->pool, e->flow.pending);
	pool_give(x->pool, e->flow.held);
	tls_wipe(x->tls, (int)x->fd);
}

void snapshot_forget_session(struct session_reading *x, void (*give)(void *of, uint32_t subscription))
{
	struct session_shm *s = &x->slot->sessions[x->fd];
	uint32_t i, next;

	if (!x->begun)
		return;
	i = atomic_load(&s->subscriptions);
	atomic_store(&s->subscriptions, 0);
	for (; i; i = next) {
		next = atomic_load(&x->slot->subscriptions[i].next);
		give(x->of, i);
	}
	pool_give(x->pool, s->state.in);
	pool_give(x->pool, s->state.out);
	pool_give(x->pool, slot_rights_ref(x->slot, (int)x->fd));
	slot_rights_put(x->slot, (int)x->fd, BUFFER_NONE);
	slot_peers_put(x->slot, (int)x->fd, &(struct event_peer){ .family = EVENT_NOWHERE }, PEER_BY_NOBODY);
	if (x->has_tls)
		forget_tls(x);
}
