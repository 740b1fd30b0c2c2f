/*
 * janusctl nodes: the servers that this one is joined with by NATS, read from the hub segment without asking anyone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "master/ctl/ctl.h"
#include "master/nodes_status.h"
#include "shm/nodes.h"

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

/* A peer as it was at one moment. */
struct peer {
	char name[NODE_NAME_MAX + 1];
	enum node_state state;
	uint64_t epoch, seq, acked, since, seen, lag, in, lost, doubled;
};

static bool read_peer(const struct hub *hub, unsigned place, struct peer *peer)
{
	const struct node_shm *p = &hub->shm->nodes.peer[place];
	uint32_t state = LOAD(p->state);

	if (state == NODE_FREE)
		return false;
	*peer = (struct peer){ .state = (enum node_state)state, .epoch = p->epoch, .seq = LOAD(p->seq), .acked = LOAD(p->acked), .since = LOAD(p->since),
			       .seen = LOAD(p->seen), .lag = LOAD(p->lag), .in = LOAD(p->in), .lost = LOAD(p->lost), .doubled = LOAD(p->doubled) };
	memcpy(peer->name, p->name, sizeof(peer->name));
	peer->name[NODE_NAME_MAX] = '\0';
	/* acquire: what was read of it before comes before this */
	atomic_thread_fence(memory_order_acquire);
	return LOAD(p->state) != NODE_FREE;
}

static uint64_t counter(const struct hub *hub, enum counter number)
{
	return hub_counter(hub, SLOT_BRIDGE, number);
}

static uint64_t ago(uint64_t time)
{
	uint64_t now = hub_now();

	return time && now > time ? (now - time) / 1000000 : 0;
}

/* How many records of the ring it has not had, or not been looked at for it. */
static uint64_t behind(const struct hub *hub, uint64_t upto)
{
	uint64_t tail = ring_tail(&hub->ring);

	return tail > upto ? tail - upto : 0;
}

/* ---- for people ---- */

static void text_stream(const struct hub *hub)
{
	const struct stream_shm *s = &hub->shm->nodes.stream;
	uint64_t last = LOAD(s->last), end = LOAD(s->end), first = LOAD(s->first);

	if (nodes_stream(hub) == STREAM_OFF)
		return;
	printf("stream          %s, %s for %" PRIu64 " s", s->name, stream_state_name(nodes_stream(hub)), ago(LOAD(s->since)));
	if (s->error[0])
		printf(": %s", s->error);
	printf("\n                in %" PRIu64 " messages, here from %" PRIu64 " to %" PRIu64 " of %" PRIu64 ", %" PRIu64 " missed; out %" PRIu64 ", %" PRIu64 " records without an answer\n",
	       counter(hub, COUNTER_nodes_stream_in), first, last, end > last ? end : last, counter(hub, COUNTER_nodes_stream_missed), counter(hub, COUNTER_nodes_stream_out),
	       nodes_sent(hub) > nodes_acked_to(hub) ? nodes_sent(hub) - nodes_acked_to(hub) : 0);
}

static void text_peers(const struct hub *hub)
{
	struct peer peer;
	bool any = false;

	for (unsigned i = 0; i < NODES_MAX; i++) {
		if (!read_peer(hub, i, &peer))
			continue;
		if (!any)
			printf("\n%-24s  %-6s  %9s  %9s  %9s  %12s  %9s  %9s  %9s\n", "NODE", "STATE", "SINCE (s)", "SEEN (s)", "LAG (ms)", "IN", "BEHIND", "LOST", "REPEATED");
		any = true;
		printf("%-24s  %-6s  %9" PRIu64 "  %9" PRIu64 "  %9.1f  %12" PRIu64 "  %9" PRIu64 "  %9" PRIu64 "  %9" PRIu64 "\n", peer.name, node_state_name(peer.state),
		       ago(peer.since), ago(peer.seen), (double)peer.lag / 1000, peer.in, behind(hub, peer.acked), peer.lost, peer.doubled);
	}
	if (!any)
		printf("no other nodes\n");
}

static void text(const struct hub *hub)
{
	const struct nodes_shm *nodes = &hub->shm->nodes;
	enum nodes_state state = nodes_state(hub);

	if (state == NODES_OFF) {
		printf("this server is not joined with others (nats)\n");
		return;
	}
	printf("node            %s\n", nodes->name);
	printf("NATS            %s for %" PRIu64 " s", nodes_state_name(state), ago(LOAD(nodes->since)));
	if (state == NODES_CONNECTED)
		printf(", %s, %" PRIu64 ".%" PRIu64 " ms away; %" PRIu64 " subscriptions", nodes->server, LOAD(nodes->rtt) / 1000, LOAD(nodes->rtt) % 1000 / 100,
		       LOAD(nodes->interests));
	else if (nodes->error[0])
		printf(": %s", nodes->error);
	printf("\nbridge          process %" PRIu32 "; started %" PRIu32 " times, connected %" PRIu32 "\n", LOAD(nodes->pid), LOAD(nodes->made), LOAD(nodes->connected));
	printf("out             %" PRIu64 " messages, %" PRIu64 " not looked at yet, %" PRIu64 " sent again, %" PRIu64 " lost\n", counter(hub, COUNTER_nodes_out),
	       behind(hub, nodes_sent(hub)), counter(hub, COUNTER_nodes_asked), counter(hub, COUNTER_nodes_lost));
	printf("in              %" PRIu64 " messages, %" PRIu64 " that came again, %" PRIu64 " refused\n", counter(hub, COUNTER_nodes_in), counter(hub, COUNTER_nodes_doubled),
	       counter(hub, COUNTER_nodes_refused));
	text_stream(hub);
	text_peers(hub);
}

/* ---- for programs ---- */

static void number(const char *key, uint64_t value)
{
	printf(",\"%s\":%" PRIu64, key, value);
}

static void json_peer(const struct hub *hub, const struct peer *peer)
{
	printf("{");
	ctl_json_pair("node", peer->name);
	printf(",\"state\":\"%s\"", node_state_name(peer->state));
	number("epoch", peer->epoch);
	number("since", peer->since);
	number("seen", peer->seen);
	number("lag", peer->lag);
	number("position", peer->seq);
	number("acknowledged_before", peer->acked);
	number("behind", behind(hub, peer->acked));
	number("in", peer->in);
	number("lost", peer->lost);
	number("repeated", peer->doubled);
	printf("}");
}

static void json_stream(const struct hub *hub)
{
	const struct stream_shm *s = &hub->shm->nodes.stream;

	printf(",\"stream\":{");
	ctl_json_pair("stream", s->name);
	printf(",\"state\":\"%s\",", stream_state_name(nodes_stream(hub)));
	ctl_json_pair("error", s->error);
	number("since", LOAD(s->since));
	number("epoch", LOAD(s->epoch));
	number("first", LOAD(s->first));
	number("last", LOAD(s->last));
	number("end", LOAD(s->end));
	number("answered_before", nodes_acked_to(hub));
	number("in", counter(hub, COUNTER_nodes_stream_in));
	number("out", counter(hub, COUNTER_nodes_stream_out));
	number("missed", counter(hub, COUNTER_nodes_stream_missed));
	printf("}");
}

static void json(const struct hub *hub)
{
	const struct nodes_shm *nodes = &hub->shm->nodes;
	const char *comma = "";
	struct peer peer;

	printf("{");
	ctl_json_pair("node", nodes->name);
	printf(",\"state\":\"%s\",", nodes_state_name(nodes_state(hub)));
	ctl_json_pair("server", nodes->server);
	printf(",");
	ctl_json_pair("error", nodes->error);
	number("epoch", hub->shm->epoch);
	number("since", LOAD(nodes->since));
	number("rtt", LOAD(nodes->rtt));
	number("subscriptions", LOAD(nodes->interests));
	number("bridge", LOAD(nodes->pid));
	number("bridges", LOAD(nodes->made));
	number("connects", LOAD(nodes->connected));
	number("sent_before", nodes_sent(hub));
	number("proven_before", LOAD(nodes->proven));
	number("unsent", behind(hub, nodes_sent(hub)));
	number("out", counter(hub, COUNTER_nodes_out));
	number("resent", counter(hub, COUNTER_nodes_asked));
	number("lost", counter(hub, COUNTER_nodes_lost));
	number("in", counter(hub, COUNTER_nodes_in));
	number("repeated", counter(hub, COUNTER_nodes_doubled));
	number("refused", counter(hub, COUNTER_nodes_refused));
	if (nodes_stream(hub) != STREAM_OFF)
		json_stream(hub);
	printf(",\"peers\":[");
	for (unsigned i = 0; i < NODES_MAX; i++) {
		if (!read_peer(hub, i, &peer))
			continue;
		printf("%s", comma);
		json_peer(hub, &peer);
		comma = ",";
	}
	printf("]}\n");
}

int ctl_nodes(const struct ctl_arguments *args)
{
	struct hub hub;
	int rc = ctl_open_hub(args, &hub);

	if (rc)
		return rc;
	if (args->json)
		json(&hub);
	else
		text(&hub);
	hub_detach(&hub);
	return EXIT_DONE;
}
