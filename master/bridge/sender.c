/*
 * Records as messages of NATS, handed to libnats. See sender.h.
 */
#include "master/bridge/sender.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/log.h"

#define ROOM_FIRST 65536
#define STREAM_ID_MAX (BRIDGE_SUBJECT + SUBJECT_MAX)

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

static natsStatus put_headers(natsMsg *msg, const struct nats_message *m, const char *origin, const char *again, const char *id)
{
	const struct { const char *name, *value; } headers[] = {
		{ NATS_HEADER_ORIGIN, origin }, { HEADER_AGAIN, again }, { NATS_HEADER_TYPE, m->type }, { NATS_HEADER_EVENT, m->event },
		{ NATS_HEADER_MESSAGE_ID, m->message_id }, { NATS_HEADER_MEMBERS, m->members },
		{ HEADER_STREAM_ID, id },
	};
	natsStatus status = NATS_OK;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]) && status == NATS_OK; i++)
		if (headers[i].value)
			status = natsMsgHeader_Set(msg, headers[i].name, headers[i].value);
	return status;
}

/* `id`: for the stream, which answers at `reply`; NULL: it is not, or is sent again to a node, which sees by the id that the stream has it. */
static natsMsg *make(const char *subject, const struct nats_message *m, const char *origin, const char *again, const char *reply, const char *id)
{
	natsMsg *msg = NULL;

	if (natsMsg_Create(&msg, subject, reply, m->payload, (int)m->len) == NATS_OK && put_headers(msg, m, origin, again, id) == NATS_OK)
		return msg;
	natsMsg_Destroy(msg);
	return NULL;
}

/* What the stream knows the message by: its place here; or a client's key, which is for this name. And where it answers. */
static void name_for_stream(const struct bridge *b, const struct nodes_message *m, const char *subject, char reply[BRIDGE_REPLY], char id[STREAM_ID_MAX])
{
	char key[SUBJECT_MAX] = "";

	snprintf(reply, BRIDGE_REPLY, "%s" SUBJECT_ACK "%" PRIu64 ".%" PRIu64, b->own, b->epoch, m->seq);
	if (m->key_len > 0)
		subject_write_token(key, m->key, m->key_len);
	if (m->key_len > 0)
		snprintf(id, STREAM_ID_MAX, "%s:%s", subject, key);
	else
		snprintf(id, STREAM_ID_MAX, "%s %" PRIu64 " %" PRIu64, b->node, b->epoch, m->seq);
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

bool sender_subject(const struct nodes_message *m, const char *head, struct subject_name *name, char subject[BRIDGE_SUBJECT])
{
	size_t len = strlen(head);

	if (!nats_message_name(&m->view, m->to, name))
		return false;
	memcpy(subject, head, len);
	subject_write(subject + len, name->to, name->name, name->len);
	return true;
}

enum sent sender_send(struct sender *s, const struct nodes_message *m, const char *head, uint64_t mark, const char *again)
{
	const struct bridge *b = s->bridge;
	struct nats_origin from = { .epoch = b->epoch, .seq = m->seq, .mark = mark };
	char subject[BRIDGE_SUBJECT], origin[NATS_ORIGIN_MAX], reply[BRIDGE_REPLY], id[STREAM_ID_MAX];
	struct subject_name name;
	struct nats_message out;
	natsMsg *msg = NULL;
	enum sent sent;

	if (make_room(s, m->len) && sender_subject(m, head, &name, subject) && nats_message_write(&out, &name, &m->view, m->len, s->scratch)) {
		memcpy(from.node, b->node, sizeof(from.node));
		nats_origin_write(origin, &from);
		if (m->to_stream)
			name_for_stream(b, m, subject + b->prefix_len, reply, id);
		msg = make(subject, &out, origin, again, m->to_stream && !again ? reply : NULL, m->to_stream ? id : NULL);
	}
	sent = hand_over(s, m, msg);
	spent_add(&s->bridge->spent, msg);
	return sent;
}
