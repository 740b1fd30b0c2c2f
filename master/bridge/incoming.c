/*
 * From NATS to the ring. See incoming.h.
 */
#include "master/bridge/incoming.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/crash.h"
#include "shm/log.h"

#define TURN 1024			/* arrivals a turn */
#define TEXT_LEAST (1u << 20)
#define EXTRA 8192			/* bytes of a record beside payload and headers, and its name */

int incoming_init(struct incoming *i, struct bridge *b, struct peers *peers, struct marks *marks, struct again *again, struct counts *counts, const struct interest *interest,
		  struct stream *stream, struct acks *acks)
{
	size_t room = 6 * (size_t)b->settings.max_frame + EXTRA;

	*i = (struct incoming){ .bridge = b, .peers = peers, .marks = marks, .again = again, .counts = counts, .interest = interest, .stream = stream, .acks = acks,
				 .peer = NODE_NONE };
	json_init(&i->json);
	if (room > publish_bytes_max(&b->hub))
		room = publish_bytes_max(&b->hub);
	i->room = room > TEXT_LEAST ? room : TEXT_LEAST;
	if (i->room > publish_bytes_max(&b->hub) + EXTRA)
		i->room = publish_bytes_max(&b->hub) + EXTRA;
	i->text = malloc(i->room);
	return i->text ? 0 : -1;
}

void incoming_drop(struct incoming *i)
{
	/* What is in the batch counts as taken: it was not. */
	if (i->count > 0 && i->peer == NODE_OF_STREAM)
		stream_drop(i->stream);
	else if (i->count > 0 && i->peer != NODE_NONE)
		i->peers->peer[i->peer].taken = atomic_load(&i->bridge->hub.shm->nodes.peer[i->peer].seq);
	while (i->count > 0) {
		const struct beside_before *before = &i->before[--i->count];

		if (before->peer != NODE_NONE)
			i->beside[before->peer] = before->was;
	}
	i->used = 0;
	natsMsg_Destroy(i->held.msg);
	i->held.msg = NULL;
}

/* Publishes the batch. False: workers are behind, and some of it is left. */
static bool publish_batch(struct incoming *i)
{
	unsigned done = 0;

	while (done < i->count) {
		unsigned n;

		CRASH_POINT("bridge-came");
		n = nodes_publish(&i->bridge->hub, i->peer, i->item + done, i->count - done);
		if (n == 0)
			break;
		done += n;
	}
	bridge_count(i->bridge, i->peer == NODE_OF_STREAM ? COUNTER_nodes_stream_in : COUNTER_nodes_in, done);
	if (done > 0 && i->peer < NODES_MAX)
		atomic_fetch_add_explicit(&i->bridge->hub.shm->nodes.peer[i->peer].in, done, memory_order_relaxed);
	i->count -= done;
	memmove(i->item, i->item + done, i->count * sizeof(i->item[0]));
	memmove(i->before, i->before + done, i->count * sizeof(i->before[0]));
	if (i->count > 0)
		return false;
	i->used = 0;
	stream_settled(i->stream);
	return true;
}

/* ---- one message ---- */

/* What has come, taken apart. */
struct letter {
	const char *subject;		/* behind the prefix */
	struct nats_message message;
	struct nats_origin origin;	/* node "": another client's */
	uint64_t sseq;			/* in the stream; 0: it is not of that */
	const char *again;		/* the header of what is sent again */
	bool given;			/* its node has given it to the stream */
	unsigned peer;
	uint64_t mark;			/* of the subscription */
};

static const char *header(natsMsg *msg, const char *name)
{
	const char *value = NULL;

	return natsMsgHeader_Get(msg, name, &value) == NATS_OK ? value : NULL;
}

static void read_message(natsMsg *msg, struct nats_message *m, bool of_node)
{
	*m = (struct nats_message){
		.payload = natsMsg_GetDataLength(msg) > 0 ? natsMsg_GetData(msg) : "", .len = (size_t)natsMsg_GetDataLength(msg),
		.type = header(msg, NATS_HEADER_TYPE), .event = header(msg, NATS_HEADER_EVENT), .message_id = header(msg, NATS_HEADER_MESSAGE_ID),
		.members = of_node ? header(msg, NATS_HEADER_MEMBERS) : NULL,
	};
}

/* Whether the batch can have one more. */
static bool has_room(const struct incoming *i, const struct letter *l)
{
	const struct nats_message *m = &l->message;
	size_t more = m->len + (m->members ? strlen(m->members) : 0) + (m->event ? strlen(m->event) : 0) + (m->message_id ? strlen(m->message_id) : 0);

	return i->count == 0 || (i->count < PUBLISH_BATCH_MAX && i->peer == l->peer && i->room - i->used >= 6 * more + EXTRA);
}

/* The name's place in the index: as there, at dst. Its length. */
static size_t index_name(const struct subject_name *name, char dst[TOPIC_NAME_MAX])
{
	size_t key = name->to == MESSAGE_TO_TOPIC ? 0 : 1;

	if (key)
		*dst = name->to == MESSAGE_TO_USER ? NAME_INBOX : NAME_EVERYBODY;
	memcpy(dst + key, name->name, name->len);
	return name->len + key;
}

/* Whether messages to this name come of the stream. */
static bool is_streams(const struct incoming *i, const struct subject_name *name)
{
	char text[TOPIC_NAME_MAX];

	return stream_is_on(i->stream) && name->to != MESSAGE_TO_ALL && nodes_is_stream(&i->bridge->hub, text, index_name(name, text));
}

static const char *add(struct incoming *i, const struct letter *l, const struct subject_name *name)
{
	char *text = i->text + i->used;
	size_t len = index_name(name, text), head = l->sseq ? MESSAGE_STREAM_EXTRA : 0;
	struct sink s = { .dst = text + len + head, .room = i->room - i->used - len - head };
	const char *error = nats_message_read(&s, &i->json, &l->message, name);

	if (error)
		return error;
	if (head)
		message_stream_head(text + len, atomic_load(&i->bridge->hub.shm->nodes.stream.epoch), l->sseq);
	i->item[i->count++] = (struct publish_item){
		.hash = index_hash(text, len), .topic = text, .topic_len = (uint8_t)len, .message = text + len, .len = (uint32_t)(head + s.len),
		.parsed = l->sseq ? l->sseq : l->origin.node[0] ? l->origin.seq : 0,
	};
	i->peer = l->peer;
	i->used += len + head + s.len;
	return NULL;
}

/* Whether a message of a node counts. */
static bool takes(struct incoming *i, const struct letter *l)
{
	const char *text = l->again;
	uint64_t number, ordinal;

	if (text == NULL)
		return peers_take(i->peers, l->peer, l->origin.seq, l->origin.mark);
	return nats_take_number(&text, &number) && nats_take_number(&text, &ordinal) && peers_take_again(i->peers, l->peer, l->origin.seq, number, ordinal);
}

/* Of what counts: why it can't be published. */
static const char *refusal(struct incoming *i, const struct letter *l, const char *error, const struct subject_name *name)
{
	if (error == NULL && l->message.len > (size_t)i->bridge->settings.max_frame)
		error = "it is longer than max_frame";
	return error ? error : add(i, l, name);
}

/* Whether this message of a peer is behind all that came of it so, either way. (A peer's place may be another one's by now.) */
static bool is_next_beside(struct incoming *i, unsigned peer, const struct nats_origin *of)
{
	struct beside *p = &i->beside[peer];

	if (p->epoch != of->epoch)
		*p = (struct beside){ .epoch = of->epoch };
	if (of->seq <= p->seq)
		return false;
	i->before[i->count] = (struct beside_before){ .peer = peer, .was = *p };
	p->seq = of->seq;
	return true;
}

/* Whether what a node has sent again is to be taken, though what we keep is of the stream: its node has not given it to that. */
static bool is_beside(struct incoming *i, const struct letter *l)
{
	return l->again != NULL && !l->given && is_next_beside(i, l->peer, &l->origin);
}

/* Whether a message of the stream, that its node has not given to it, is here, or comes yet as it is sent again. */
static bool was_beside(struct incoming *i, const struct letter *l)
{
	const struct bridge *b = i->bridge;
	unsigned peer = peers_named(i->peers, l->origin.node, l->origin.epoch);

	if (l->origin.epoch == b->epoch && strcmp(l->origin.node, b->node) == 0)
		return true;		/* (it was published here before a rule kept it) */
	return peer != NODE_NONE && (peers_owe(i->peers, peer, l->origin.seq) || !is_next_beside(i, peer, &l->origin));
}

/* 1: dealt with; 0: the batch must go first. */
static int take_message(struct incoming *i, struct letter *l)
{
	struct subject_name name;
	const char *error = subject_read(l->subject, &name);
	bool of_node = l->origin.node[0] != '\0';

	if (of_node && l->peer == NODE_NONE)
		return 1;		/* of another life of its node, or of one too many: its mark says so */
	if (!has_room(i, l))
		return 0;
	i->before[i->count].peer = NODE_NONE;
	/* (What of a node can't be published has come, too.) */
	if (of_node ? !takes(i, l) : error == NULL && !interest_counts(i->interest, &name, l->mark))
		return 1;
	if (error == NULL && is_streams(i, &name) && !is_beside(i, l))
		return 1;		/* (by a pattern that somebody subscribes) */
	error = refusal(i, l, error, &name);
	if (error)
		bridge_refuse(i->bridge, "a message to", l->subject, error);
	return 1;
}

/* What the stream sends, in its order. Of what no rule keeps here, the plain way brings what is wanted. */
static int take_of_stream(struct incoming *i, const struct arrival *a)
{
	const struct bridge *b = i->bridge;
	const char *subject = natsMsg_GetSubject(a->msg), *origin = header(a->msg, NATS_HEADER_ORIGIN);
	struct letter l = { .peer = NODE_OF_STREAM };
	struct subject_name name;
	bool of_node;
	const char *error;

	read_message(a->msg, &l.message, origin != NULL);
	if (!has_room(i, &l) || (i->count > 0 && stream_jumps(i->stream, a)))
		return 0;
	i->before[i->count].peer = NODE_NONE;
	l.sseq = stream_take(i->stream, a);
	if (l.sseq == 0 || strncmp(subject, b->prefix, b->prefix_len) != 0)
		return 1;
	of_node = origin && nats_origin_read(origin, &l.origin);
	l.given = header(a->msg, HEADER_STREAM_ID) != NULL;
	if (of_node && l.given && l.origin.epoch == b->epoch && strcmp(l.origin.node, b->node) == 0)
		acks_stored(i->acks, l.origin.seq, l.sseq);
	l.subject = subject + b->prefix_len;
	if (subject_read(l.subject, &name) != NULL || !is_streams(i, &name) || (of_node && !l.given && was_beside(i, &l)))
		return 1;
	error = refusal(i, &l, NULL, &name);
	if (error)
		bridge_refuse(b, "a message of the stream to", l.subject, error);
	return 1;
}

/* ---- what nodes say to each other ---- */

static void take_live(struct incoming *i, const char *text)
{
	char name[NATS_NODE_MAX + 1];
	uint64_t epoch, number, count, mark, seq, lost;
	unsigned peer;

	if (!nats_take_word(&text, name, sizeof(name)) || !nats_take_number(&text, &epoch) || !nats_take_number(&text, &number) || !nats_take_number(&text, &count) ||
	    !nats_take_number(&text, &mark) || !nats_take_number(&text, &seq) || !nats_take_number(&text, &lost)) {
		bridge_refuse(i->bridge, "a word", "of nobody", "it is none");
		return;
	}
	peer = peers_named(i->peers, name, epoch);
	if (peer != NODE_NONE)
		peers_live(i->peers, peer, number, count, mark, seq, lost);
}

static bool begins(const char **text, const char *start)
{
	size_t len = strlen(start);

	if (strncmp(*text, start, len) != 0)
		return false;
	*text += len;
	return true;
}

static void take_word(struct incoming *i, const char *subject, natsMsg *msg)
{
	const char *text = natsMsg_GetData(msg) ? natsMsg_GetData(msg) : "";	/* (libnats terminates it) */

	if (begins(&subject, SUBJECT_STREAM))
		stream_said(i->stream, subject, msg);
	else if (strcmp(subject, SUBJECT_MARK) == 0)
		marks_came(i->marks, text);
	else if (strcmp(subject, SUBJECT_ASK) == 0)
		again_asked(i->again, text);
	else if (strcmp(subject, SUBJECT_COUNT) == 0)
		counts_asked(i->counts, text);
	else if (strcmp(subject, SUBJECT_COUNTED) == 0)
		counts_came(i->counts, text);
	else if (strcmp(subject, SUBJECT_LIVE) == 0)
		take_live(i, text);
	else
		bridge_refuse(i->bridge, "what came by", subject, "nothing of the kind is known");
}

/* ---- arrivals ---- */

/* 1: dealt with; 0: the batch must go first. */
static int take(struct incoming *i, const struct arrival *a)
{
	const struct bridge *b = i->bridge;
	struct letter l = { .subject = natsMsg_GetSubject(a->msg) + b->prefix_len, .mark = a->mark, .peer = NODE_NONE };
	bool own = strncmp(natsMsg_GetSubject(a->msg), b->own, b->own_len) == 0;
	const char *origin;

	if (stream_has_mark(a->mark))
		return take_of_stream(i, a);
	if (own)
		l.subject = natsMsg_GetSubject(a->msg) + b->own_len;
	if (own && begins(&l.subject, SUBJECT_ACK)) {
		acks_came(i->acks, l.subject, a->msg);
		return 1;
	}
	if (!(own && begins(&l.subject, SUBJECT_AGAIN)) && (own || strcmp(l.subject, SUBJECT_MARK) == 0 || strcmp(l.subject, SUBJECT_COUNT) == 0)) {
		if (i->count > 0)
			return 0;
		take_word(i, l.subject, a->msg);
		return 1;
	}
	origin = header(a->msg, NATS_HEADER_ORIGIN);
	if (origin == NULL ? own : !nats_origin_read(origin, &l.origin)) {
		bridge_refuse(b, "a message to", l.subject, "its header Janus is none");
		return 1;
	}
	if (strcmp(l.origin.node, b->node) == 0) {
		bridge_refuse(b, "a message to", l.subject, "another node has our name");
		return 1;
	}
	if (origin) {
		l.again = header(a->msg, HEADER_AGAIN);
		l.given = header(a->msg, HEADER_STREAM_ID) != NULL;
		if ((l.again != NULL) != own)
			return 1;
		l.peer = own ? peers_named(i->peers, l.origin.node, l.origin.epoch) : peers_sender(i->peers, &l.origin);
	}
	read_message(a->msg, &l.message, origin != NULL);
	return take_message(i, &l);
}

static enum came take_all(struct incoming *i)
{
	for (unsigned n = 0; n < TURN; n++) {
		if (i->held.msg == NULL && !uplink_take(&i->bridge->uplink, &i->held)) {
			i->held.msg = NULL;
			return publish_batch(i) ? CAME_NOTHING : CAME_BLOCKED;
		}
		if (take(i, &i->held) == 0) {
			if (!publish_batch(i))
				return CAME_BLOCKED;
			continue;
		}
		spent_add(&i->bridge->spent, i->held.msg);
		i->held.msg = NULL;
	}
	return publish_batch(i) ? CAME_MORE : CAME_BLOCKED;
}

enum came incoming_turn(struct incoming *i)
{
	enum came came = take_all(i);

	acks_flush(i->acks);
	return came;
}
