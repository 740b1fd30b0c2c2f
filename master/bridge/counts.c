/*
 * How many subscribers a name has on all nodes. See counts.h.
 */
#include "master/bridge/counts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/crash.h"

#define HELD "held "

int counts_init(struct counts *c, struct bridge *b, const struct peers *peers)
{
	*c = (struct counts){ .bridge = b, .peers = peers, .numbers = hub_now(), .of = calloc(INDEX_SLOTS_MAX * WAITING_MAX, sizeof(*c->of)) };
	return c->of ? 0 : -1;
}

/* ---- questions of clients here ---- */

static void tell(const struct counts *c, unsigned place)
{
	const struct count *count = &c->of[place];
	struct question_answer a = {
		.done = count->answered == count->nodes, .nodes = (unsigned)__builtin_popcountll(count->nodes), .answered = (unsigned)__builtin_popcountll(count->answered),
		.subscribers = count->subscribers,
	};

	question_tell(&c->bridge->hub, place / WAITING_MAX, place % WAITING_MAX, count->number, &a);
}

/* The name's own key stands before it where it is no topic's. */
static void subject_of(const struct question *q, char subject[SUBJECT_MAX])
{
	enum message_to to = *q->name == NAME_INBOX ? MESSAGE_TO_USER : *q->name == NAME_EVERYBODY ? MESSAGE_TO_ALL : MESSAGE_TO_TOPIC;
	unsigned key = to != MESSAGE_TO_TOPIC;

	if (q->held)
		subject_write_token(subject, q->name, q->len);
	else
		subject_write(subject, to, q->name + key, q->len - key);
}

static void ask(struct counts *c, unsigned place, const struct question *q)
{
	struct bridge *b = c->bridge;
	char name[SUBJECT_MAX], subject[BRIDGE_SUBJECT], text[NATS_NODE_MAX + 2 * 21 + sizeof(HELD) + SUBJECT_MAX];
	int len;

	c->of[place] = (struct count){ .number = q->number, .asked = ++c->numbers, .nodes = nodes_shm_here(&b->hub.shm->nodes) };
	tell(c, place);
	if (c->of[place].nodes == 0 || uplink_is_full(&b->uplink))
		return;
	subject_of(q, name);
	len = snprintf(text, sizeof(text), "%s %" PRIu64 " %u %s%s", b->node, c->of[place].asked, place, q->held ? HELD : "", name);
	snprintf(subject, sizeof(subject), "%s" SUBJECT_COUNT, b->prefix);
	uplink_publish_text(&b->uplink, subject, text, (size_t)len);
	CRASH_POINT("bridge-counting");
}

void counts_turn(struct counts *c)
{
	uint64_t slots = question_slots(&c->bridge->hub);
	struct question q;

	c->due = false;
	if (!c->begun)
		slots = UINT64_MAX;
	c->begun = true;
	for (; slots; slots &= slots - 1) {
		unsigned slot = (unsigned)__builtin_ctzll(slots);

		for (unsigned i = 0; i < WAITING_MAX; i++)
			if (question_read(&c->bridge->hub, slot, i, &q) && q.number != c->of[slot * WAITING_MAX + i].number)
				ask(c, slot * WAITING_MAX + i, &q);
	}
}

void counts_came(struct counts *c, const char *text)
{
	char name[NATS_NODE_MAX + 1];
	uint64_t epoch, number, place, subscribers;
	struct count *count;
	unsigned peer;

	if (!nats_take_word(&text, name, sizeof(name)) || !nats_take_number(&text, &epoch) || !nats_take_number(&text, &number) || !nats_take_number(&text, &place) ||
	    !nats_take_number(&text, &subscribers) || place >= INDEX_SLOTS_MAX * WAITING_MAX) {
		bridge_refuse(c->bridge, "a count", "of nobody", "it is none");
		return;
	}
	count = &c->of[place];
	peer = peers_named(c->peers, name, epoch);
	if (count->asked != number || peer == NODE_NONE || count->answered >> peer & 1)
		return;
	count->nodes |= 1ull << peer;
	count->answered |= 1ull << peer;
	count->subscribers += subscribers < QUESTION_MOST ? subscribers : QUESTION_MOST;
	CRASH_POINT("bridge-counted");
	tell(c, (unsigned)place);
}

/* ---- those of others ---- */

static uint64_t subscribers_here(struct hub *hub, const struct subject_name *name, bool held)
{
	char text[1 + sizeof(name->name)];
	size_t key = name->to != MESSAGE_TO_TOPIC;

	text[0] = name->to == MESSAGE_TO_USER ? NAME_INBOX : NAME_EVERYBODY;
	memcpy(text + key, name->name, name->len);
	return question_count(hub, hub_owner(hub, SLOT_BRIDGE), text, key + name->len, held);
}

void counts_asked(struct counts *c, const char *text)
{
	struct bridge *b = c->bridge;
	char node[NATS_NODE_MAX + 1], subject[BRIDGE_SUBJECT], answer[NATS_NODE_MAX + 4 * 21 + 1];
	struct subject_name name;
	uint64_t number, place;
	const char *error = "it is none";
	bool held = false;
	int len;

	if (nats_take_word(&text, node, sizeof(node)) && nats_node_is_good(node) && nats_take_number(&text, &number) && nats_take_number(&text, &place)) {
		held = strncmp(text, HELD, sizeof(HELD) - 1) == 0;
		error = held ? subject_read_token(text + sizeof(HELD) - 1, &name) : subject_read(text, &name);
	}
	if (error) {
		bridge_refuse(b, "a question", "for a count", error);
		return;
	}
	if (strcmp(node, b->node) == 0 || uplink_is_full(&b->uplink))
		return;
	len = snprintf(answer, sizeof(answer), "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, b->node, b->epoch, number, place, subscribers_here(&b->hub, &name, held));
	bridge_subject_to(b, subject, node, SUBJECT_COUNTED);
	uplink_publish_text(&b->uplink, subject, answer, (size_t)len);
	c->due = true;
}
