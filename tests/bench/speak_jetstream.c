/*
 * NATS JetStream, for those who come back: a topic is the subject of a stream of its own, which has the topic's name. Who comes makes an ephemeral
 * consumer that pushes to its inbox what is behind a position, or what will come, and wants no acknowledgements: what NATS' libraries call an ordered
 * consumer, without its heartbeats. The answer to that is the ACK. A position is a sequence of the stream; its epoch is always 1.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "tests/bench/speak.h"
#include "tests/bench/wire.h"

#define CREATED "{\"type\":\"io.nats.jetstream.api.v1.consumer_create_response\""
#define BEHIND_TOPIC " 1 $JS.ACK."	/* 1: of its only subscription */
#define STARTS(at, len, literal) ((len) >= sizeof(literal) - 1 && !memcmp((at), (literal), sizeof(literal) - 1))

static size_t create(char *dst, const char *inbox, const char *position)
{
	char start[96] = "\"deliver_policy\":\"new\"";
	struct stamp at;

	if (position && !told_position_read(position, strlen(position), &at))
		snprintf(start, sizeof(start), "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":%" PRIu64, at.id + 1);
	return (size_t)sprintf(dst, "\"config\":{%s,\"deliver_subject\":\"%s\",\"ack_policy\":\"none\",\"max_deliver\":1,\"replay_policy\":\"instant\","
			       "\"num_replicas\":1,\"mem_storage\":true}}", start, inbox);
}

/* An inbox has a name by chance, as NATS' libraries give them. */
static size_t come(char *dst, uint32_t stream, const char *position, const char *token)
{
	char topic[WIRE_TOPIC_MAX], inbox[40], request[512];
	uint64_t chance = 0;
	size_t n;

	(void)token;
	if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
		return 0;
	snprintf(inbox, sizeof(inbox), "_INBOX.%016" PRIx64, chance);
	wire_topic(topic, wire_topic_number(stream, 0));
	n = (size_t)sprintf(request, "{\"stream_name\":\"%s\",", topic);
	n += create(request + n, inbox, position);
	return (size_t)sprintf(dst, "%sSUB %s 1\r\nPUB $JS.API.CONSUMER.CREATE.%s %s %zu\r\n%s\r\n",
			       "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":true}\r\n", inbox, topic, inbox, n, request);
}

static size_t cut(const char *bytes, size_t n)
{
	return speak_nats.cut(bytes, n);
}

static size_t pong(char *dst)
{
	return speak_nats.pong(dst);
}

/* What is between the line of a MSG, which says how long it is, and the end; NULL: it is not so. */
static const char *content(const char *frame, size_t len, size_t *content_len)
{
	const char *end = memchr(frame, '\n', len), *said = end ? memrchr(frame, ' ', (size_t)(end - frame)) : NULL;
	uint64_t n;

	if (!said++ || wire_number(&said, end, WIRE_ID_MAX, &n) || said != end - 1 || *said != '\r')
		return NULL;
	*content_len = (size_t)n;
	return (size_t)(frame + len - end) == n + 3 && !memcmp(end + 1 + n, "\r\n", 2) ? end + 1 : NULL;
}

static enum speak_frame kind(const char *frame, size_t len)
{
	enum speak_frame kind = speak_nats.kind(frame, len);
	const char *text;
	size_t n;

	if (kind != SPEAK_MESSAGE || !STARTS(frame, len, "MSG _INBOX."))
		return kind;
	text = content(frame, len, &n);
	return text && STARTS(text, n, CREATED) && !memmem(text, n, "\"error\":", 8) ? SPEAK_ACK : SPEAK_BAD;
}

/* $JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.OF_CONSUMER.TIME.PENDING: the stream's sequence. */
static int take_sequence(const char *at, const char *end, uint64_t *sequence)
{
	for (int dots = 0; dots < 3; dots++) {
		at = memchr(at, '.', (size_t)(end - at));
		if (!at++)
			return -1;
	}
	return wire_number(&at, end, WIRE_ID_MAX, sequence) || !*sequence || at == end || *at != '.' ? -1 : 0;
}

static int message(const char *frame, size_t len, size_t size, struct payload *p, struct stamp *stamp)
{
	size_t n;
	const char *text = content(frame, len, &n), *ack;
	char topic[WIRE_TOPIC_MAX];

	if (!text || speak_nats.message(frame, len, size, p, stamp))
		return -1;
	ack = frame + 4 + wire_topic(topic, wire_topic_of(p));
	if (!STARTS(ack, (size_t)(text - ack), BEHIND_TOPIC))
		return -1;
	stamp->epoch = 1;
	return take_sequence(ack + sizeof(BEHIND_TOPIC) - 1, text, &stamp->id);
}

const struct speak speak_jetstream = {
	.name = "jetstream", .scheme = "nats", .greets = true, .topics_max = 1, .pong = pong,
	.cut = cut, .kind = kind, .message = message, .come = come,
};
