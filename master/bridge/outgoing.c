/*
 * From the ring to NATS. See outgoing.h, and shm/nodes.h for `sent`.
 */
#include "master/bridge/outgoing.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shm/crash.h"
#include "shm/log.h"

#define PIECE 64			/* records between two looks at how much waits to be sent */
#define PIECES 16			/* a turn */
#define STUCK_MS 1000

void outgoing_init(struct outgoing *o, struct bridge *b, struct sender *sender, struct marks *marks, struct acks *acks)
{
	*o = (struct outgoing){ .bridge = b, .sender = sender, .marks = marks, .acks = acks, .moved = b->now };
}

bool outgoing_is_stuck(const struct outgoing *o)
{
	return o->bridge->now - o->moved >= STUCK_MS;
}

static void count_lost(const struct outgoing *o, uint64_t lost)
{
	if (lost == 0)
		return;
	bridge_count(o->bridge, COUNTER_nodes_lost, lost);
	log_warning_limited("up to %" PRIu64 " messages were not sent to NATS, and are lost to other nodes: the ring had no room for more", lost);
}

/* The next messages, up to `end`; *sent is how far it has come. False: the connection is lost. */
static bool send_piece(const struct outgoing *o, uint64_t end, uint64_t *sent)
{
	const struct bridge *b = o->bridge;
	struct nodes_message m;
	uint64_t lost = 0, out = 0, next = *sent;
	enum sent became = SENT;
	int r;

	for (unsigned n = 0; n < PIECE && (r = nodes_next(&b->hub, &next, end, &m, &lost)) != 0; n++) {
		if (r > 0 && (!m.to_stream || o->acks->stream->open)) {
			became = sender_send(o->sender, &m, b->prefix, o->marks->number, NULL);
			if (became == SENT_LOST)
				break;
			if (became == SENT_NOT && m.to_stream)
				acks_refused(o->acks, m.seq);
			out += became == SENT;
			lost += became == SENT_OVERTAKEN;
		}
		*sent = next;
	}
	if (became != SENT_LOST)
		*sent = next;
	count_lost(o, lost);
	bridge_count(b, COUNTER_nodes_out, out);
	if (out > 0)
		marks_owe(o->marks);
	return became != SENT_LOST;
}

bool outgoing_turn(struct outgoing *o)
{
	struct bridge *b = o->bridge;
	uint64_t end = ring_tail(&b->hub.ring), began = nodes_sent(&b->hub), sent = began;
	bool open = true;

	if (acks_turn(o->acks)) {
		o->moved = b->now;
		return !uplink_is_full(&b->uplink);
	}
	if (stream_opens(o->acks->stream))
		return false;
	for (unsigned i = 0; i < PIECES && open && sent < end && !uplink_is_full(&b->uplink); i++)
		open = send_piece(o, end, &sent);
	if (sent != began) {
		CRASH_POINT("bridge-published");
		nodes_set_sent(&b->hub, sent);
		CRASH_POINT("bridge-sent");
	}
	if (sent != began || sent == end)
		o->moved = b->now;
	return open && sent < end && !uplink_is_full(&b->uplink);
}

void outgoing_look(struct outgoing *o)
{
	uint64_t oldest = ring_oldest(&o->bridge->hub.ring), sent = nodes_sent(&o->bridge->hub);

	o->moved = o->bridge->now;
	if (oldest <= sent)
		return;
	count_lost(o, oldest - sent);
	nodes_set_sent(&o->bridge->hub, oldest);
}
