/*
 * Records as messages of NATS, handed to libnats. See sender.h.
 */
#include "master/bridge/sender.h"

#include <stdlib.h>
#include <string.h>

#include "shm/log.h"

#define ROOM_FIRST 65536

static bool make_room(struct sender *s, size_t len)
{
	char *scratch;

	if (len <= s->room)
		return true;
	scratch = malloc(nats_message_scratch(2 * len));
	if (scratch == NULL)
		return false;
	free(s->scratch);
	s->scratch = scratch;
	s->room = 2 * len;
	return true;
}

int sender_init(struct sender *s, struct bridge *b)
{
	*s = (struct sender){ .bridge = b };
	return make_room(s, ROOM_FIRST) ? 0 : -1;
}

static natsStatus put_headers(natsMsg *msg, const struct nats_message *m, const char *origin, const char *again)
{
	const struct { const char *name, *value; } headers[] = {
		{ NATS_HEADER_ORIGIN, origin }, { HEADER_AGAIN, again }, { NATS_HEADER_TYPE, m->type }, { NATS_HEADER_EVENT, m->event },
		{ NATS_HEADER_MESSAGE_ID, m->message_id }, { NATS_HEADER_MEMBERS, m->members },
	};
	natsStatus status = NATS_OK;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]) && status == NATS_OK; i++)
		if (headers[i].value)
			status = natsMsgHeader_Set(msg, headers[i].name, headers[i].value);
	return status;
}

static natsMsg *make(const char *subject, const struct nats_message *m, const char *origin, const char *again)
{
	natsMsg *msg = NULL;

	if (natsMsg_Create(&msg, subject, NULL, m->payload, (int)m->len) == NATS_OK && put_headers(msg, m, origin, again) == NATS_OK)
		return msg;
	natsMsg_Destroy(msg);
	return NULL;
}

/* The record is read where it is. What was made of it counts if it is there still. */
static enum sent hand_over(const struct sender *s, const struct nodes_message *m, natsMsg *msg)
{
	struct bridge *b = s->bridge;
	int r;

	if (!ring_holds(&b->hub.ring, m->seq))
		return SENT_OVERTAKEN;
	if (msg == NULL)
		return SENT_NOT;
	r = uplink_publish(&b->uplink, msg);
	if (r > 0) {
		bridge_count(b, COUNTER_nodes_refused, 1);
		log_warning_limited("refused by NATS: a message of %zu bytes to %.200s is more than max_payload says", m->len, natsMsg_GetSubject(msg));
	}
	return r == 0 ? SENT : r > 0 ? SENT_NOT : SENT_LOST;
}

enum sent sender_send(struct sender *s, const struct nodes_message *m, const char *head, uint64_t mark, const char *again)
{
	const struct bridge *b = s->bridge;
	struct nats_origin from = { .epoch = b->epoch, .seq = m->seq, .mark = mark };
	char subject[BRIDGE_SUBJECT], origin[NATS_ORIGIN_MAX];
	size_t head_len = strlen(head);
	struct subject_name name;
	struct nats_message out;
	natsMsg *msg = NULL;
	enum sent sent;

	if (make_room(s, m->len) && nats_message_name(&m->view, m->to, &name) && nats_message_write(&out, &name, &m->view, m->len, s->scratch)) {
		memcpy(subject, head, head_len);
		subject_write(subject + head_len, name.to, name.name, name.len);
		memcpy(from.node, b->node, sizeof(from.node));
		nats_origin_write(origin, &from);
		msg = make(subject, &out, origin, again);
	}
	sent = hand_over(s, m, msg);
	spent_add(&s->bridge->spent, msg);
	return sent;
}
