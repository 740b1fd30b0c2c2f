/*
 * Other nodes, and whether we have all of what they sent. See peers.h.
 */
#include "master/bridge/peers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shm/log.h"

#define AWAY_MS 10000			/* without a mark */
#define ASK_MS 1000			/* without an answer: the question is asked anew */

static struct node_shm *shm_of(const struct peers *p, unsigned peer)
{
	return &p->bridge->hub.shm->nodes.peer[peer];
}

static bool is_used(const struct node_shm *n)
{
	return atomic_load(&n->state) != NODE_FREE;
}

void peers_init(struct peers *p, struct bridge *b)
{
	*p = (struct peers){ .bridge = b, .questions = hub_now() };
	for (unsigned i = 0; i < NODES_MAX; i++)
		p->peer[i] = (struct peer){ .taken = atomic_load(&shm_of(p, i)->seq), .seen = b->now };
}

void peers_begin(struct peers *p)
{
	for (unsigned i = 0; i < NODES_MAX; i++) {
		p->peer[i].order = OUT_OF_ORDER;
		p->peer[i].met = false;
	}
}

void peers_look(struct peers *p)
{
	for (unsigned i = 0; i < NODES_MAX; i++) {
		struct node_shm *n = shm_of(p, i);

		if (!is_used(n) || atomic_load(&n->state) == NODE_AWAY || p->bridge->now - p->peer[i].seen < AWAY_MS)
			continue;
		atomic_store(&n->state, NODE_AWAY);
		p->peer[i].order = OUT_OF_ORDER;
		log_warning("node %s is away: no sign of life for %d s", n->name, AWAY_MS / 1000);
	}
}

unsigned peers_named(const struct peers *p, const char *name, uint64_t epoch)
{
	unsigned peer = nodes_find(&p->bridge->hub, name);

	return peer != NODE_NONE && shm_of(p, peer)->epoch == epoch ? peer : NODE_NONE;
}

static void set_order(struct peers *p, unsigned peer, enum order order)
{
	p->peer[peer].order = order;
	p->peer[peer].heard = p->bridge->now;
	atomic_store(&shm_of(p, peer)->state, order == IN_ORDER ? NODE_HERE : NODE_BEHIND);
}

static void in_order(struct peers *p, unsigned peer, uint64_t mark, uint64_t seq)
{
	struct peer *e = &p->peer[peer];
	struct node_shm *n = shm_of(p, peer);

	if (seq > e->taken + 1)
		e->taken = seq - 1;
	nodes_set_seq(&p->bridge->hub, peer, e->taken);
	atomic_store(&n->mark, mark);
	atomic_store(&n->marked, seq);
	e->mark = mark;
	e->met = true;
	set_order(p, peer, IN_ORDER);
}

/* Asks for all behind what was taken. */
static void ask(struct peers *p, unsigned peer)
{
	const struct bridge *b = p->bridge;
	const struct node_shm *n = shm_of(p, peer);
	struct peer *e = &p->peer[peer];
	char subject[BRIDGE_SUBJECT], text[256];
	int len;

	e->number = ++p->questions;
	e->ordinal = 0;
	set_order(p, peer, ASKING);
	len = snprintf(text, sizeof(text), "%s %" PRIu64 " %" PRIu64 " %" PRIu64, b->node, e->number, n->epoch, e->taken + 1);
	bridge_subject_to(b, subject, n->name, SUBJECT_ASK);
	log_debug("node %s: asked for all from %" PRIu64 " on", n->name, e->taken + 1);
	uplink_publish_text(&p->bridge->uplink, subject, text, (size_t)len);
}

/* ---- marks ---- */

/* Forgets who is away, and has been for the longest. */
static bool forget_one(struct peers *p)
{
	unsigned oldest = NODE_NONE;

	for (unsigned i = 0; i < NODES_MAX; i++)
		if (atomic_load(&shm_of(p, i)->state) == NODE_AWAY && (oldest == NODE_NONE || p->peer[i].seen < p->peer[oldest].seen))
			oldest = i;
	if (oldest == NODE_NONE)
		return false;
	nodes_forget(&p->bridge->hub, oldest);
	return true;
}

/* A node that we know nothing of, or that begins another life: up to `seq` nothing of it is for us. */
static unsigned meet(struct peers *p, const char *name, uint64_t epoch, uint64_t seq)
{
	unsigned peer = nodes_meet(&p->bridge->hub, name, epoch, seq);

	if (peer == NODE_NONE && forget_one(p))
		peer = nodes_meet(&p->bridge->hub, name, epoch, seq);
	if (peer == NODE_NONE) {
		bridge_refuse(p->bridge, "a mark", name, "there are 64 other nodes");
		return NODE_NONE;
	}
	p->peer[peer] = (struct peer){ .taken = seq, .seen = p->bridge->now };
	return peer;
}

unsigned peers_sender(struct peers *p, const struct nats_origin *origin)
{
	unsigned peer = nodes_find(&p->bridge->hub, origin->node);

	if (peer != NODE_NONE)
		return shm_of(p, peer)->epoch == origin->epoch ? peer : NODE_NONE;
	peer = meet(p, origin->node, origin->epoch, origin->seq > 0 ? origin->seq - 1 : 0);
	if (peer == NODE_NONE)
		return NODE_NONE;
	log_info("node %s is here", origin->node);
	in_order(p, peer, origin->mark, origin->seq);
	return peer;
}

/* Whose mark it is. */
static unsigned find_or_meet(struct peers *p, const char *name, uint64_t epoch, uint64_t seq)
{
	unsigned peer = nodes_find(&p->bridge->hub, name);
	const struct node_shm *n;

	if (peer == NODE_NONE) {
		peer = meet(p, name, epoch, seq > 0 ? seq - 1 : 0);
		if (peer != NODE_NONE)
			log_info("node %s is here", name);
		return peer;
	}
	n = shm_of(p, peer);
	if (n->epoch == epoch)
		return peer;
	if (epoch < n->epoch && atomic_load(&n->state) != NODE_AWAY) {
		bridge_refuse(p->bridge, "a mark", name, "another node has this name");
		return NODE_NONE;
	}
	log_info("node %s has begun anew", name);
	return meet(p, name, epoch, 0);
}

unsigned peers_mark(struct peers *p, const char *name, uint64_t epoch, uint64_t mark, uint64_t seq, bool *news)
{
	unsigned peer = find_or_meet(p, name, epoch, seq);
	struct peer *e;
	struct node_shm *n;

	if (peer == NODE_NONE)
		return NODE_NONE;
	e = &p->peer[peer];
	n = shm_of(p, peer);
	if (atomic_load(&n->state) == NODE_AWAY) {
		log_info("node %s is back", name);
		set_order(p, peer, OUT_OF_ORDER);
	}
	*news = e->order == OUT_OF_ORDER || mark > e->mark + 1;
	e->seen = p->bridge->now;
	atomic_store(&n->seen, hub_now());
	if ((e->order == IN_ORDER && mark == e->mark + 1) || seq <= e->taken + 1)
		in_order(p, peer, mark, seq);
	else if (e->order != ASKING || p->bridge->now - e->heard >= ASK_MS)
		ask(p, peer);
	return peer;
}

/* ---- messages ---- */

static bool take(struct peers *p, unsigned peer, uint64_t seq)
{
	if (seq <= p->peer[peer].taken) {
		atomic_fetch_add_explicit(&shm_of(p, peer)->doubled, 1, memory_order_relaxed);
		bridge_count(p->bridge, COUNTER_nodes_doubled, 1);
		return false;
	}
	p->peer[peer].taken = seq;
	return true;
}

bool peers_take(struct peers *p, unsigned peer, uint64_t seq, uint64_t mark)
{
	struct peer *e = &p->peer[peer];

	if (e->order == IN_ORDER && mark != e->mark)
		set_order(p, peer, OUT_OF_ORDER);
	return e->order == IN_ORDER && take(p, peer, seq);
}

bool peers_take_again(struct peers *p, unsigned peer, uint64_t seq, uint64_t number, uint64_t ordinal)
{
	struct peer *e = &p->peer[peer];

	if (e->order != ASKING || number != e->number)
		return false;
	e->heard = p->bridge->now;
	if (ordinal != e->ordinal + 1) {
		ask(p, peer);
		return false;
	}
	e->ordinal = ordinal;
	return take(p, peer, seq);
}

void peers_live(struct peers *p, unsigned peer, uint64_t number, uint64_t count, uint64_t mark, uint64_t seq, uint64_t lost)
{
	struct peer *e = &p->peer[peer];

	if (e->order != ASKING || number != e->number)
		return;
	if (count != e->ordinal) {
		ask(p, peer);
		return;
	}
	if (lost > 0) {
		atomic_fetch_add_explicit(&shm_of(p, peer)->lost, lost, memory_order_relaxed);
		bridge_count(p->bridge, COUNTER_nodes_lost, lost);
		log_warning("node %s: up to %" PRIu64 " messages are lost, as its ring has them no more", shm_of(p, peer)->name, lost);
	}
	in_order(p, peer, mark, seq);
}
