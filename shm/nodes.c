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

void nodes_tell(const struct hub *hub)
{
	if (!index_has_changes(&hub->index))
		return;
	/* Either the bridge sees the change before it sleeps (nodes_may_sleep()), or we see it sleep. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&slot_of(hub)->sleeping, memory_order_relaxed) && atomic_exchange(&slot_of(hub)->sleeping, 0))
		hub_wake(hub, SLOT_BRIDGE);
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
	nodes_set_state(hub, NODES_OFF, "", "");
	for (unsigned i = 0; i < NODES_MAX; i++)
		nodes_forget(hub, i);
	lock_acquire(&hub->shm->lock, owner);
	index_feed_end(&hub->index);
	lock_release(&hub->shm->lock, owner);
}

void nodes_bereave(struct hub *hub)
{
	atomic_store(&slot_of(hub)->sleeping, 0);
	if (nodes_state(hub) != NODES_OFF)
		nodes_set_state(hub, NODES_CONNECTING, "", "");
}

/* ---- sleep ---- */

bool nodes_may_sleep(struct hub *hub, uint64_t next)
{
	atomic_store(&slot_of(hub)->sleeping, 1);
	/* Pairs with the fences in claim_wakeups() (publish.c), nodes_tell() and question_put(). */
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

/* Whether the record is a message of ours, for others, and whole. */
static bool is_ours(const struct hub *hub, const struct ring_record *rec, struct nodes_message *m)
{
	if (rec->flags & (RING_ECHO | RING_FOREIGN))
		return false;
	m->bytes = ring_peek(&hub->ring, rec);
	m->len = rec->len;
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

/* ---- interest ---- */

static void lock(struct hub *hub)
{
	lock_acquire(&hub->shm->lock, SLOT_BRIDGE + 1);
}

static void unlock(struct hub *hub)
{
	lock_release(&hub->shm->lock, SLOT_BRIDGE + 1);
}

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
