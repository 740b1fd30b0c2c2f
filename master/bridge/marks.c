/*
 * Marks. See marks.h, and peers.h for what follows from others'.
 */
#include "master/bridge/marks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shm/crash.h"

#define BEHIND_MS 5			/* from a message to the mark behind it */
#define LIFE_MS 1000			/* from one to the next, if nothing is sent */
#define TEXT_MAX ((NODES_MAX + 1) * (NATS_NODE_MAX + 3 * 21 + 2))

void marks_init(struct marks *m, struct bridge *b, struct peers *peers)
{
	*m = (struct marks){ .bridge = b, .peers = peers, .number = atomic_load(&b->hub.shm->nodes.mark) };
}

static size_t put_peers(const struct marks *m, char *text, size_t len)
{
	for (unsigned i = 0; i < NODES_MAX; i++) {
		const struct node_shm *n = &m->bridge->hub.shm->nodes.peer[i];

		if (atomic_load(&n->state) != NODE_FREE)
			len += (size_t)snprintf(text + len, TEXT_MAX - len, "%s %" PRIu64 " %" PRIu64 "\n", n->name, n->epoch, atomic_load(&n->seq) + 1);
	}
	return len;
}

static void send_mark(struct marks *m, uint64_t number)
{
	static char text[TEXT_MAX];
	struct bridge *b = m->bridge;
	char subject[BRIDGE_SUBJECT];
	size_t len;

	/* No number is sent twice: it is noted before. */
	m->number = number;
	atomic_store(&b->hub.shm->nodes.mark, number);
	CRASH_POINT("bridge-mark");
	len = (size_t)snprintf(text, sizeof(text), "%s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", b->node, b->epoch, number, nodes_sent(&b->hub));
	len = put_peers(m, text, len);
	snprintf(subject, sizeof(subject), "%s" SUBJECT_MARK, b->prefix);
	uplink_publish_text(&b->uplink, subject, text, len);
	m->at = b->now;
	m->due = false;
}

void marks_begin(struct marks *m)
{
	send_mark(m, m->number + 2);
}

unsigned marks_wait(const struct marks *m)
{
	uint64_t passed = m->bridge->now - m->at, most = m->due ? BEHIND_MS : LIFE_MS;

	return passed < most ? (unsigned)(most - passed) : 0;
}

/* The least that anybody who is here has had of us. */
static void find_proven(const struct marks *m)
{
	struct bridge *b = m->bridge;
	uint64_t least = nodes_sent(&b->hub);

	for (unsigned i = 0; i < NODES_MAX; i++) {
		const struct node_shm *n = &b->hub.shm->nodes.peer[i];
		uint32_t state = atomic_load(&n->state);
		uint64_t acked = atomic_load(&n->acked);

		if (nodes_is_here(state) && acked > 0 && acked < least)
			least = acked;
	}
	nodes_set_proven(&b->hub, least);
}

void marks_turn(struct marks *m)
{
	if (marks_wait(m) > 0)
		return;
	send_mark(m, m->number + 1);
	peers_look(m->peers);
	find_proven(m);
}

/* ---- those of others ---- */

static void read_peers(const struct marks *m, const char *text, unsigned peer)
{
	const struct bridge *b = m->bridge;
	char name[NATS_NODE_MAX + 1];
	uint64_t epoch, seq;

	while (*text++ == '\n' && *text) {
		if (!nats_take_word(&text, name, sizeof(name)) || !nats_take_number(&text, &epoch) || !nats_take_number(&text, &seq))
			return;
		if (strcmp(name, b->node) == 0 && epoch == b->epoch && seq <= nodes_sent(&b->hub))
			atomic_store(&b->hub.shm->nodes.peer[peer].acked, seq);
	}
}

void marks_came(struct marks *m, const char *text)
{
	char name[NATS_NODE_MAX + 1];
	uint64_t epoch, mark, seq;
	unsigned peer;
	bool news = false;

	if (!nats_take_word(&text, name, sizeof(name)) || !nats_node_is_good(name) || !nats_take_number(&text, &epoch) || !nats_take_number(&text, &mark) ||
	    !nats_take_number(&text, &seq)) {
		bridge_refuse(m->bridge, "a mark", "of nobody", "it is none");
		return;
	}
	if (strcmp(name, m->bridge->node) == 0) {
		bridge_refuse(m->bridge, "a mark", name, "another node has our name");
		return;
	}
	peer = peers_mark(m->peers, name, epoch, mark, seq, &news);
	if (peer != NODE_NONE)
		read_peers(m, text, peer);
	if (news)
		marks_owe(m);
}
