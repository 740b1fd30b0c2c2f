/*
 * Sending again what a peer has missed. See again.h.
 */
#include "master/bridge/again.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shm/log.h"

#define PIECE 256			/* messages a turn, for each who has asked */

void again_init(struct again *a, struct bridge *b, struct sender *sender, struct marks *marks)
{
	*a = (struct again){ .bridge = b, .sender = sender, .marks = marks };
}

void again_begin(struct again *a)
{
	memset(a->job, 0, sizeof(a->job));
	a->jobs = 0;
}

/* The one's who has asked before, or a free one. */
static struct again_job *find(struct again *a, const char *node)
{
	struct again_job *free = NULL;

	for (unsigned i = 0; i < NODES_MAX; i++) {
		if (strcmp(a->job[i].node, node) == 0)
			return &a->job[i];
		if (!a->job[i].node[0] && !free)
			free = &a->job[i];
	}
	return free;
}

void again_asked(struct again *a, const char *text)
{
	char node[NATS_NODE_MAX + 1];
	uint64_t number, epoch, seq;
	struct again_job *job;

	if (!nats_take_word(&text, node, sizeof(node)) || !nats_node_is_good(node) || !nats_take_number(&text, &number) || !nats_take_number(&text, &epoch) ||
	    !nats_take_number(&text, &seq)) {
		bridge_refuse(a->bridge, "a question", "of nobody", "it is none");
		return;
	}
	if (epoch != a->bridge->epoch || (job = find(a, node)) == NULL)
		return;		/* (who asks hears of our epoch, and asks again) */
	a->jobs += !job->node[0];
	*job = (struct again_job){ .number = number, .next = seq > 0 ? seq : 1 };
	memcpy(job->node, node, sizeof(node));
}

static void end(struct again *a, struct again_job *job)
{
	const struct bridge *b = a->bridge;
	char subject[BRIDGE_SUBJECT], text[NATS_NODE_MAX + 6 * 21 + 1];
	int len = snprintf(text, sizeof(text), "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, b->node, b->epoch, job->number, job->ordinal,
			   a->marks->number, nodes_sent(&b->hub), job->lost);

	bridge_subject_to(b, subject, job->node, SUBJECT_LIVE);
	uplink_publish_text(&a->bridge->uplink, subject, text, (size_t)len);
	if (job->lost > 0)
		log_warning("node %s has missed up to %" PRIu64 " messages, which the ring has no more", job->node, job->lost);
	memset(job, 0, sizeof(*job));
	a->jobs--;
}

static void send_piece(struct again *a, struct again_job *job)
{
	const struct bridge *b = a->bridge;
	char head[BRIDGE_SUBJECT], header[2 * 21 + 1];
	struct nodes_message m;
	unsigned n;
	int r = 1;

	bridge_subject_to(b, head, job->node, SUBJECT_AGAIN);
	for (n = 0; n < PIECE && (r = nodes_next(&b->hub, &job->next, nodes_sent(&b->hub), &m, &job->lost)) != 0; n++) {
		if (r < 0 || m.sseq == STREAM_REFUSED)
			continue;		/* (what the stream has is sent, too: who asks may not have the rule that has him read it there) */
		snprintf(header, sizeof(header), "%" PRIu64 " %" PRIu64, job->number, job->ordinal + 1);
		switch (sender_send(a->sender, &m, head, a->marks->number, header)) {
		case SENT:
			job->ordinal++;
			break;
		case SENT_OVERTAKEN:
			job->lost++;
			break;
		case SENT_NOT:
			break;
		case SENT_LOST:
			return;
		}
	}
	if (r == 0)
		end(a, job);
}

bool again_turn(struct again *a)
{
	for (unsigned i = 0; a->jobs > 0 && i < NODES_MAX; i++)
		if (a->job[i].node[0] && !uplink_is_full(&a->bridge->uplink))
			send_piece(a, &a->job[i]);
	return a->jobs > 0;
}
