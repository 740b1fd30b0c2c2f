/*
 * Other nodes, as far as they are in the hub. See nodes.h.
 */
#include "shm/nodes.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shm/crash.h"
#include "shm/publish.h"
#include "shm/question.h"

static struct nodes_shm *nodes_of(const struct hub *hub)
{
	return &hub->shm->nodes;
}

static struct hub_slot_shm *slot_of(const struct hub *hub)
{
	return &hub->shm->slot[SLOT_BRIDGE];
}

void nodes_wake(const struct hub *hub)
{
	/* Either the bridge sees it before it sleeps (nodes_may_sleep()), or we see it sleep. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&slot_of(hub)->sleeping, memory_order_relaxed) && atomic_exchange(&slot_of(hub)->sleeping, 0))
		hub_wake(hub, SLOT_BRIDGE);
}

void nodes_tell(const struct hub *hub)
{
	if (index_has_changes(&hub->index))
		nodes_wake(hub);
}

/* ---- states ---- */

static void put_text(char dst[NODES_TEXT], const char *text)
{
	char whole[NODES_TEXT] = "";

	snprintf(whole, sizeof(whole), "%s", text);
	memcpy(dst, whole, sizeof(whole) - 1);		/* (the last byte is 0 from the start) */
}

void nodes_set_state(struct hub *hub, enum nodes_state state, const char *server, const char *error)
{
	struct nodes_shm *n = nodes_of(hub);

	if (server)
		put_text(n->server, server);
	if (error)
		put_text(n->error, error);
	if (nodes_state(hub) == state)
		return;
	if (state == NODES_CONNECTED)
		atomic_fetch_add(&n->connected, 1);
	atomic_store(&n->since, hub_now());
	atomic_store(&n->state, state);
}

void nodes_begin(struct hub *hub, const char *name)
{
	struct nodes_shm *n = nodes_of(hub);

	snprintf(n->name, sizeof(n->name), "%s", name);
	if (nodes_state(hub) != NODES_OFF)
		return;
	atomic_store(&n->mark, hub_now());
	atomic_store(&n->proven, ring_tail(&hub->ring));
	nodes_set_sent(hub, ring_tail(&hub->ring));
	nodes_set_state(hub, NODES_CONNECTING, "", "");
}

void nodes_end(struct hub *hub, uint32_t owner)
{
	if (nodes_state(hub) == NODES_OFF)
		return;
	lock_acquire(&hub->shm->lock, owner);
	index_feed_end(&hub->index);
	lock_release(&hub->shm->lock, owner);
	for (unsigned i = 0; i < NODES_MAX; i++)
		nodes_forget(hub, i);
	CRASH_POINT("nodes-ending");
	/* (Last: before it, another master does all this again.) */
	nodes_set_state(hub, NODES_OFF, "", "");
}

void nodes_bereave(struct hub *hub)
{
	atomic_store(&slot_of(hub)->sleeping, 0);
	if (nodes_state(hub) != NODES_OFF)
		nodes_set_state(hub, NODES_CONNECTING, "", "");
	if (nodes_stream(hub) == STREAM_HERE)
		nodes_set_stream(hub, STREAM_AWAY, NULL);
}

/* ---- sleep ---- */

bool nodes_may_sleep(struct hub *hub, uint64_t next)
{
	atomic_store(&slot_of(hub)->sleeping, 1);
	/* Pairs with the fences in claim_wakeups() (publish.c) and nodes_wake(). */
	atomic_thread_fence(memory_order_seq_cst);
	if (ring_tail(&hub->ring) == next && !index_has_changes(&hub->index) && !question_has(hub))
		return true;
	atomic_store(&slot_of(hub)->sleeping, 0);
	return false;
}

void nodes_awake(struct hub *hub)
{
	uint64_t n;

	atomic_store(&slot_of(hub)->sleeping, 0);
	if (read(hub->wake[SLOT_BRIDGE], &n, sizeof(n)) < 0)
		return;		/* (nobody has woken it) */
}

/* ---- out ---- */

/*
 * Whom the message is for. The producer has noted it for those that name more than one, as a publisher of the flash socket may have them do: its topic may have gone since.
 */
static enum message_to goes_to(const struct message_view *view, uint32_t flags)
{
	if (view->goes_to != MESSAGE_TO_UNKNOWN)
		return view->goes_to;
	return flags & RING_TO_USER ? MESSAGE_TO_USER : MESSAGE_TO_TOPIC;
}

/* Takes off the key in front of a record for the stream. */
static bool take_key(struct nodes_message *m)
{
	m->key_len = 0;
	if (m->len < 2 || m->bytes[0] != NODES_TO_STREAM)
		return true;
	m->key_len = (uint8_t)m->bytes[1];
	m->key = m->bytes + 2;
	if (m->len <= 2 + (size_t)m->key_len)
		return false;
	m->bytes += 2 + m->key_len;
	m->len -= 2 + (size_t)m->key_len;
	return true;
}

/* Whether the record is a message of ours, for others, and whole. */
static bool is_ours(const struct hub *hub, const struct ring_record *rec, struct nodes_message *m)
{
	if (rec->flags & (RING_ECHO | RING_FOREIGN))
		return false;
	m->bytes = ring_peek(&hub->ring, rec);
	m->len = rec->len;
	m->to_stream = rec->flags & RING_TO_STREAM;
	m->sseq = m->to_stream ? rec->next : 0;
	if (m->to_stream && !take_key(m))
		return false;
	if (!message_view_parse(m->bytes, m->len, &m->view))
		return false;
	m->seq = rec->seq;
	m->time = rec->time;
	m->to = goes_to(&m->view, rec->flags);
	return true;
}

int nodes_next(const struct hub *hub, uint64_t *seq, uint64_t end, struct nodes_message *m, uint64_t *overtaken)
{
	struct ring_record rec;

	while (*seq < end) {
		bool whole = ring_read(&hub->ring, *seq, &rec) == 0, ours = whole && is_ours(hub, &rec, m);

		if (!whole || !ring_holds(&hub->ring, *seq)) {
			uint64_t oldest = ring_oldest(&hub->ring);

			*overtaken += oldest - *seq;
			*seq = oldest;
			return -1;
		}
		++*seq;
		if (ours)
			return 1;
	}
	return 0;
}

void nodes_set_sent(struct hub *hub, uint64_t seq)
{
	/* release: what was read of the ring was read before. (Publishers may overwrite it from now on.) */
	atomic_store_explicit(&slot_of(hub)->delivered, seq, memory_order_release);
}

void nodes_set_proven(struct hub *hub, uint64_t seq)
{
	atomic_store_explicit(&nodes_of(hub)->proven, seq, memory_order_relaxed);
}

/* ---- peers ---- */

static bool is_used(const struct node_shm *peer)
{
	return atomic_load_explicit(&peer->state, memory_order_acquire) != NODE_FREE;
}

unsigned nodes_find(const struct hub *hub, const char *name)
{
	unsigned i = 0;

	while (i < NODES_MAX && !(is_used(&nodes_of(hub)->peer[i]) && strcmp(nodes_of(hub)->peer[i].name, name) == 0))
		i++;
	return i;
}

static unsigned find_free(const struct hub *hub)
{
	unsigned i = 0;

	while (i < NODES_MAX && is_used(&nodes_of(hub)->peer[i]))
		i++;
	return i;
}

unsigned nodes_meet(struct hub *hub, const char *name, uint64_t epoch, uint64_t seq)
{
	unsigned place = nodes_find(hub, name);
	struct node_shm *peer;

	if (place == NODE_NONE)
		place = find_free(hub);
	if (place == NODE_NONE)
		return NODE_NONE;
	nodes_forget(hub, place);
	peer = &nodes_of(hub)->peer[place];
	memset((char *)peer + offsetof(struct node_shm, name), 0, sizeof(*peer) - offsetof(struct node_shm, name));
	snprintf(peer->name, sizeof(peer->name), "%s", name);
	peer->epoch = epoch;
	atomic_store(&peer->seq, seq);
	atomic_store(&peer->since, hub_now());
	/* release: who finds it finds all of it */
	atomic_store_explicit(&peer->state, NODE_HERE, memory_order_release);
	return place;
}

void nodes_forget(struct hub *hub, unsigned peer)
{
	atomic_store(&nodes_of(hub)->peer[peer].state, NODE_FREE);
}

void nodes_set_seq(struct hub *hub, unsigned peer, uint64_t seq)
{
	nodes_shm_set_seq(nodes_of(hub), peer, seq);
}

/* ---- in ---- */

unsigned nodes_publish(struct hub *hub, unsigned peer, const struct publish_item *items, unsigned count)
{
	unsigned n = publish(hub, SLOT_BRIDGE, (int)peer, items, count);

	if (n == 0)
		return 0;
	CRASH_POINT("bridge-put");
	nodes_shm_set_seq(nodes_of(hub), peer, items[n - 1].parsed);
	CRASH_POINT("bridge-noted");
	publish_done(hub, SLOT_BRIDGE);
	return n;
}

static void lock(struct hub *hub)
{
	lock_acquire(&hub->shm->lock, hub_owner(hub, SLOT_BRIDGE));
}

static void unlock(struct hub *hub)
{
	lock_release(&hub->shm->lock, hub_owner(hub, SLOT_BRIDGE));
}

/* ---- the stream ---- */

static struct stream_shm *stream_of(const struct hub *hub)
{
	return &nodes_of(hub)->stream;
}

void nodes_set_stream(struct hub *hub, enum stream_state state, const char *error)
{
	struct stream_shm *s = stream_of(hub);

	if (error)
		put_text(s->error, error);
	if (nodes_stream(hub) == state)
		return;
	atomic_store(&s->since, hub_now());
	atomic_store(&s->state, state);
}

void nodes_stream_is(struct hub *hub, const char *name, bool fresh)
{
	struct stream_shm *s = stream_of(hub);

	if (strcmp(s->name, name) != 0) {
		atomic_store(&s->last, 0);
		atomic_store(&s->epoch, 0);
		atomic_store(&s->first, 0);
		atomic_store(&s->end, 0);
		snprintf(s->name, sizeof(s->name), "%s", name);
	}
	if (nodes_stream(hub) != STREAM_OFF)
		return;
	atomic_store(&s->acked_to, ring_tail(&hub->ring));
	nodes_set_stream(hub, fresh ? STREAM_FILLING : STREAM_AWAY, "");
}

uint64_t nodes_stream_end(struct hub *hub, uint32_t owner)
{
	uint64_t seq = nodes_acked_to(hub), sent = nodes_sent(hub), oldest, tail, lost = 0;
	struct ring_record rec;

	if (nodes_stream(hub) == STREAM_OFF)
		return 0;
	nodes_set_stream(hub, STREAM_OFF, "");
	/* (Whose message the stream's is, publishers decide with the lock: from here on it is nobody's.) */
	lock_acquire(&hub->shm->lock, owner);
	oldest = ring_oldest(&hub->ring);
	tail = ring_tail(&hub->ring);
	lock_release(&hub->shm->lock, owner);
	if (seq < oldest) {
		lost += (oldest < sent ? oldest : sent) - seq;		/* (what lies behind `sent` the next bridge counts) */
		seq = oldest;
	}
	for (; seq < tail; seq++)
		lost += ring_read(&hub->ring, seq, &rec) == 0 && nodes_is_to_stream(&rec) && rec.next == 0;
	return lost;
}

void nodes_stream_begins(struct hub *hub, uint64_t epoch, uint64_t from)
{
	struct stream_shm *s = stream_of(hub);

	atomic_store(&s->begun, ring_tail(&hub->ring));
	atomic_store(&s->first, from);
	atomic_store(&s->last, from - 1);
	/* (Last: before it, a successor does all this again.) */
	atomic_store(&s->epoch, epoch);
}

/* `last` is stored behind the tail and without the lock. What was published meanwhile the bridge's intent says: it is written in front of the tail, with the lock. */
struct position nodes_stream_last(const struct hub *hub)
{
	const struct intent_shm *intent = &slot_of(hub)->intent;
	struct position last = { atomic_load(&stream_of(hub)->epoch), atomic_load(&stream_of(hub)->last) };

	if (atomic_load_explicit(&intent->state, memory_order_acquire) != INTENT_NONE && intent->fd == NODE_OF_STREAM && intent->parsed > last.seq)
		last.seq = intent->parsed;
	return last;
}

uint64_t nodes_ack_of(const struct hub *hub, uint64_t seq)
{
	struct ring_record rec;

	return ring_read(&hub->ring, seq, &rec) == 0 && nodes_is_to_stream(&rec) ? rec.next : 0;
}

/* (Without a key, a duplicate is one that we sent twice.) */
static uint64_t told(const struct hub *hub, const struct ring_record *rec, uint64_t sseq)
{
	bool keyed = *(const char *)ring_peek(&hub->ring, rec) == NODES_TO_STREAM;

	return keyed || sseq == STREAM_REFUSED ? sseq : sseq & ~STREAM_DUPLICATE;
}

/* Under the lock, as a producer may else take the descriptor for another record meanwhile. */
void nodes_acked(struct hub *hub, const struct node_ack *acks, unsigned count)
{
	struct ring_record rec;

	lock(hub);
	for (unsigned i = 0; i < count; i++)
		if (acks[i].seq < ring_tail(&hub->ring) && ring_read(&hub->ring, acks[i].seq, &rec) == 0 && nodes_is_to_stream(&rec) && rec.next == 0)
			atomic_store_explicit(&ring_desc(&hub->ring, acks[i].seq)->next, told(hub, &rec, acks[i].sseq), memory_order_relaxed);
	CRASH_POINT("bridge-stream-acked");
	unlock(hub);
	nodes_wake_waiting(hub);
}

void nodes_wake_waiting(struct hub *hub)
{
	/* Either who waits sees what there is to see (it sets its bit, and then looks), or we see its bit. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&nodes_of(hub)->waiting, memory_order_relaxed) == 0)
		return;
	for (uint64_t slots = atomic_exchange(&nodes_of(hub)->waiting, 0); slots; slots &= slots - 1)
		hub_wake(hub, (unsigned)__builtin_ctzll(slots));
}

uint64_t nodes_look_at_acks(struct hub *hub, unsigned most)
{
	uint64_t seq = nodes_acked_to(hub), sent = nodes_sent(hub), lost = 0;
	struct ring_record rec;

	for (; most > 0 && seq < sent; most--) {
		if (ring_read(&hub->ring, seq, &rec) < 0) {
			lost += ring_oldest(&hub->ring) - seq;
			seq = ring_oldest(&hub->ring);
			continue;
		}
		if (nodes_is_to_stream(&rec) && rec.next == 0)
			break;
		seq++;
	}
	atomic_store_explicit(&stream_of(hub)->acked_to, seq, memory_order_relaxed);
	return lost;
}

/* ---- interest ---- */

/* Lock held. */
static void look(const struct hub *hub, uint32_t number, struct nodes_interest *interest)
{
	const struct topic_shm *t = index_topic(&hub->index, number);

	interest->number = number;
	interest->generation = t->generation;
	interest->wanted = atomic_load_explicit(&t->state, memory_order_relaxed) == TOPIC_USED && atomic_load_explicit(&t->interest, memory_order_relaxed) != 0;
	interest->name_len = interest->wanted ? t->name_len : 0;
	memcpy(interest->name, t->name, interest->name_len);
}

void nodes_feed_begin(struct hub *hub)
{
	bool on;

	lock(hub);
	on = index_feed_is_on(&hub->index);	/* (without the lock it may be in the middle of a change) */
	unlock(hub);
	if (on)
		return;
	index_feed_clear(&hub->index);
	lock(hub);
	index_feed_begin(&hub->index);
	unlock(hub);
}

int nodes_take_changes(struct hub *hub, struct nodes_interest changed[NODES_PIECE])
{
	uint32_t numbers[NODES_PIECE];
	int n = -1;

	lock(hub);
	if (index_feed_is_on(&hub->index)) {
		n = (int)index_feed_take(&hub->index, numbers, NODES_PIECE);
		CRASH_POINT("bridge-taken");
		for (int i = 0; i < n; i++)
			look(hub, numbers[i], &changed[i]);
	}
	unlock(hub);
	return n;
}

unsigned nodes_scan(struct hub *hub, uint32_t *next, struct nodes_interest found[NODES_PIECE])
{
	unsigned n = 0;

	lock(hub);
	while (n < NODES_PIECE && *next <= hub->index.shm->high)
		look(hub, (*next)++, &found[n++]);
	unlock(hub);
	return n;
}
