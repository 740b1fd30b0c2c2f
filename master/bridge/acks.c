/*
 * What the stream has of ours. See acks.h.
 */
#include "master/bridge/acks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "master/bridge/jetstream.h"
#include "shm/crash.h"
#include "shm/log.h"

#define PIECE 256			/* messages a turn that are sent again */
#define LOOKS 4096			/* records a turn that are looked at for whether all before has its answer */
#define PATIENCE_MS 2000		/* doubled each time that nothing comes */
#define PATIENCE_MOST_MS 16000

void acks_init(struct acks *a, struct bridge *b, struct stream *stream, struct sender *sender, const struct marks *marks)
{
	*a = (struct acks){ .bridge = b, .stream = stream, .sender = sender, .marks = marks, .moved = b->now, .patience = PATIENCE_MS };
}

/* What an answer says: the message's sequence in the stream, STREAM_REFUSED, 0: nothing that counts. */
static uint64_t read_answer(const struct acks *a, natsMsg *msg)
{
	struct message_range answer = jetstream_answer(msg), error, stream, text = { "\"\"", 2 };
	uint64_t code, seq;

	if (jetstream_member(answer, "error", &error)) {
		code = jetstream_number(error, "code");
		jetstream_member(error, "description", &text);
		log_warning_limited("the stream %s: %.*s", a->stream->name, text.len > 2 ? (int)(text.len - 2) : 0, text.p + 1);
		return code >= 500 ? 0 : STREAM_REFUSED;	/* (those are its troubles, which pass) */
	}
	/* (Another stream may have the subject, too.) */
	if (!jetstream_member(answer, "stream", &stream) || stream.len != strlen(a->stream->name) + 2 || memcmp(stream.p + 1, a->stream->name, stream.len - 2) != 0)
		return 0;
	seq = jetstream_number(answer, "seq");
	return seq && jetstream_member(answer, "duplicate", &text) && text.len == 4 ? seq | STREAM_DUPLICATE : seq;	/* true */
}

/* EPOCH.SEQ */
static bool read_place(const char *of, uint64_t *epoch, uint64_t *seq)
{
	char *end;

	*epoch = strtoull(of, &end, 10);
	if (*end != '.')
		return false;
	*seq = strtoull(end + 1, &end, 10);
	return *end == '\0' && *seq > 0;
}

static void add(struct acks *a, uint64_t seq, uint64_t sseq)
{
	a->came[a->count++] = (struct node_ack){ seq, sseq };
	if (a->count == ACKS)
		acks_flush(a);
}

/* By which one the record was published, if the ring has it still. */
static bool subject_of(const struct acks *a, uint64_t seq, char subject[BRIDGE_SUBJECT])
{
	const struct bridge *b = a->bridge;
	struct subject_name name;
	struct nodes_message m;
	uint64_t lost = 0;

	return nodes_next(&b->hub, &seq, seq + 1, &m, &lost) > 0 && sender_subject(&m, b->prefix, &name, subject) && ring_holds(&b->hub.ring, m.seq);
}

void acks_came(struct acks *a, const char *of, natsMsg *msg)
{
	char subject[BRIDGE_SUBJECT];
	uint64_t epoch, seq, sseq;

	if (!read_place(of, &epoch, &seq) || epoch != a->bridge->epoch || !stream_is_on(a->stream))
		return;
	if (natsMsg_IsNoResponders(msg)) {
		if (!stream_is_silent(a->stream, subject_of(a, seq, subject) ? subject : NULL))
			add(a, seq, STREAM_REFUSED);
		return;
	}
	sseq = read_answer(a, msg);
	if (sseq == 0)
		return;
	bridge_count(a->bridge, sseq == STREAM_REFUSED ? COUNTER_nodes_refused : COUNTER_nodes_stream_out, 1);
	add(a, seq, sseq);
}

void acks_stored(struct acks *a, uint64_t seq, uint64_t sseq)
{
	if (nodes_ack_of(&a->bridge->hub, seq) == 0)
		add(a, seq, sseq);
}

void acks_refused(struct acks *a, uint64_t seq)
{
	add(a, seq, STREAM_REFUSED);
}

void acks_flush(struct acks *a)
{
	if (a->count == 0)
		return;
	CRASH_POINT("bridge-stream-answered");
	nodes_acked(&a->bridge->hub, a->came, a->count);
	a->count = 0;
}

static void begin_again(struct acks *a)
{
	a->again = nodes_acked_to(&a->bridge->hub);
	a->end = nodes_sent(&a->bridge->hub);
	a->moved = a->bridge->now;
}

static void send_again(struct acks *a)
{
	struct bridge *b = a->bridge;
	struct nodes_message m;
	uint64_t lost = 0;
	unsigned n = 0;

	while (n < PIECE && !uplink_is_full(&b->uplink)) {
		int r = nodes_next(&b->hub, &a->again, a->end, &m, &lost);

		if (r == 0)
			return;
		if (r < 0 || !m.to_stream || m.sseq != 0)
			continue;
		CRASH_POINT("bridge-stream-again");
		switch (sender_send(a->sender, &m, b->prefix, a->marks->number, NULL)) {
		case SENT_LOST:
			return;
		case SENT_NOT:
			acks_refused(a, m.seq);
			break;
		default:
			break;
		}
		n++;
	}
}

bool acks_turn(struct acks *a)
{
	struct bridge *b = a->bridge;
	uint64_t lost, before = nodes_acked_to(&b->hub);

	if (!stream_is_on(a->stream))
		return false;
	acks_flush(a);
	lost = nodes_look_at_acks(&b->hub, LOOKS);
	if (lost > 0) {
		bridge_count(b, COUNTER_nodes_lost, lost);
		log_warning_limited("up to %" PRIu64 " messages are lost to the stream, which has not answered them: the ring had no room for more", lost);
	}
	if (nodes_acked_to(&b->hub) != before) {
		a->moved = b->now;
		a->patience = PATIENCE_MS;
	}
	if (!a->stream->open) {
		a->again = a->end = 0;
		return false;
	}
	if (a->opened != a->stream->opened) {
		a->opened = a->stream->opened;
		begin_again(a);
	} else if (nodes_acked_to(&b->hub) >= nodes_sent(&b->hub)) {
		a->moved = b->now;
	} else if (a->again >= a->end && b->now - a->moved >= a->patience) {
		a->patience = 2 * a->patience < PATIENCE_MOST_MS ? 2 * a->patience : PATIENCE_MOST_MS;
		begin_again(a);
	}
	if (a->again < a->end)
		send_again(a);
	return a->again < a->end;
}

bool acks_are_done(const struct acks *a)
{
	return !a->stream->open || nodes_acked_to(&a->bridge->hub) >= nodes_sent(&a->bridge->hub);
}
