/*
 * Records as messages of NATS, handed to libnats. See sender.h.
 */
#include "master/bridge/sender.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/log.h"

#define ROOM_FIRST 65536

static bool make_room(struct sender *s, size_t len)
{
	char *record, *scratch;

	if (len <= s->room)
		return true;
	record = malloc(2 * len);
	scratch = malloc(nats_message_scratch(2 * len));
	if (record == NULL || scratch == NULL) {
		free(record);
		free(scratch);
		return false;
	}
	free(s->record);
	free(s->scratch);
	s->record = record;
	s->scratch = scratch;
	s->room = 2 * len;
	return true;
}

int sender_init(struct sender *s, struct bridge *b)
{
	*s = (struct sender){ .bridge = b };
	return make_room(s, ROOM_FIRST) ? 0 : -1;
}

/* Whom it is to: the hub knows what kind of name it is, and its member says which. */
static bool read_name(const struct nodes_message *m, const char *record, struct subject_name *name)
{
	struct message_range left;
	struct message_view view;
	struct message_member member;
	ssize_t n = 0;

	*name = (struct subject_name){ .to = m->to };
	if (m->to == MESSAGE_TO_ALL)
		return true;
	if (nats_message_name(record, m->len, name) && name->to == m->to)
		return true;
	if (!message_view_parse(record, m->len, &view))
		return false;
	name->to = m->to;
	for (left = view.text; message_member_next(&left, &member); )
		if (json_string_is(member.name.p, member.name.len, m->to == MESSAGE_TO_USER ? "to" : "topic") && message_is_string(member.value))
			n = json_read_string(member.value.p, member.value.len, name->name, sizeof(name->name));
	name->len = n > 0 ? (uint8_t)n : 0;
	return n > 0;
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

/* -1: the connection is lost; 1: NATS does not take it. */
static int hand_over(struct sender *s, const char *subject, const struct nats_message *m, const char *origin, const char *again)
{
	natsMsg *msg = NULL;
	int r = -1;

	if (natsMsg_Create(&msg, subject, NULL, m->payload, (int)m->len) == NATS_OK && put_headers(msg, m, origin, again) == NATS_OK)
		r = uplink_publish(&s->bridge->uplink, msg);
	natsMsg_Destroy(msg);
	return r;
}

enum sent sender_send(struct sender *s, const struct nodes_message *m, const char *head, uint64_t mark, const char *again)
{
	const struct bridge *b = s->bridge;
	struct nats_origin from = { .epoch = b->epoch, .seq = m->seq, .mark = mark };
	char subject[BRIDGE_SUBJECT], own[SUBJECT_MAX], origin[NATS_ORIGIN_MAX];
	size_t head_len = strlen(head), own_len;
	struct subject_name name;
	struct nats_message out;
	int r;

	if (!make_room(s, m->len))
		return SENT_NOT;
	memcpy(s->record, m->bytes, m->len);
	if (!ring_holds(&b->hub.ring, m->seq))
		return SENT_OVERTAKEN;
	if (!read_name(m, s->record, &name) || !nats_message_write(&out, &name, s->record, m->len, s->scratch))
		return SENT_NOT;
	own_len = subject_write(own, name.to, name.name, name.len);
	memcpy(subject, head, head_len);
	memcpy(subject + head_len, own, own_len + 1);
	memcpy(from.node, b->node, sizeof(from.node));
	nats_origin_write(origin, &from);
	r = hand_over(s, subject, &out, origin, again);
	if (r > 0) {
		bridge_count(b, COUNTER_nodes_refused, 1);
		log_warning_limited("refused by NATS: a message of %zu bytes to %.200s is more than max_payload says", m->len, subject);
	}
	return r == 0 ? SENT : r > 0 ? SENT_NOT : SENT_LOST;
}
