/*
 * Janus' packets: msgpack maps. A publisher does not ask for receipts, so that it is answered only if something is wrong.
 */
#include <string.h>

#include "tests/bench/pack.h"
#include "tests/bench/speak.h"
#include "tests/bench/wire.h"

/* The packet is written behind where its head will be. */
static size_t finish(char *dst, size_t len)
{
	pack_head(dst, len - PACK_HEAD);
	return len;
}

static size_t subscribe(char *dst, const char *topic, uint32_t number)
{
	size_t n = PACK_HEAD;

	(void)number;
	n += pack_map(dst + n, 2);
	n += pack_text(dst + n, "op");
	n += pack_text(dst + n, "subscribe");
	n += pack_text(dst + n, "topic");
	n += pack_text(dst + n, topic);
	return finish(dst, n);
}

static size_t put_topics(char *dst, uint32_t stream)
{
	char topic[WIRE_TOPIC_MAX];
	size_t n = pack_text(dst, "topic");

	n += pack_array(dst + n, wire_topics());
	for (uint32_t i = 0; i < wire_topics(); i++) {
		wire_topic(topic, wire_topic_number(stream, i));
		n += pack_text(dst + n, topic);
	}
	return n;
}

static size_t come(char *dst, uint32_t stream, const char *position, const char *token)
{
	bool attaches = token && *token;
	size_t n = PACK_HEAD;

	n += pack_map(dst + n, position ? 3 : 2);
	n += pack_text(dst + n, "op");
	n += pack_text(dst + n, attaches ? "attach" : "subscribe");
	if (attaches) {
		n += pack_text(dst + n, "token");
		n += pack_text(dst + n, token);
	} else {
		n += put_topics(dst + n, stream);
	}
	if (position) {
		n += pack_text(dst + n, "since");
		n += pack_text(dst + n, position);
	}
	return finish(dst, n);
}

static size_t publish(char *dst, const struct payload *p, size_t size)
{
	char topic[WIRE_TOPIC_MAX];
	size_t n = PACK_HEAD;

	wire_topic(topic, wire_topic_of(p));
	n += pack_map(dst + n, 4);
	n += pack_text(dst + n, "op");
	n += pack_text(dst + n, "publish");
	n += pack_text(dst + n, "topic");
	n += pack_text(dst + n, topic);
	n += pack_text(dst + n, "event");
	n += pack_text(dst + n, WIRE_EVENT);
	n += pack_text(dst + n, "data");
	n += pack_text_head(dst + n, size);
	payload_write(dst + n, size, p);
	return finish(dst, n + size);
}

/* The greeting starts with `janus`, replies and heartbeats with `ok`, what was lost with `missed`. */
static enum speak_frame kind(const char *frame, size_t len)
{
	const char *at = frame + PACK_HEAD, *end = frame + len, *key;
	uint64_t members;
	size_t n;

	if (pack_take_map(&at, end, &members) || pack_take_text(&at, end, &key, &n))
		return SPEAK_BAD;
	if (n == 5 && !memcmp(key, "janus", 5))
		return SPEAK_GREETING;
	if (n == 6 && !memcmp(key, "missed", 6))
		return SPEAK_OTHER;
	if (n != 2 || memcmp(key, "ok", 2))
		return SPEAK_MESSAGE;
	if (pack_take_true(&at, end))
		return SPEAK_BAD;
	return members > 1 && !pack_take_word(&at, end, "ping") ? SPEAK_PING : SPEAK_ACK;
}

static int take_token(const char **at, const char *end, struct told *told)
{
	const char *text;
	size_t n;

	return pack_take_word(at, end, "token") || pack_take_text(at, end, &text, &n) || told_token(text, n, told) ? -1 : 0;
}

/* {"janus": "0.1.0", "features": [...], "token": "..."}, behind its `janus`. */
static int told_greeting(const char *at, const char *end, uint64_t members, struct told *told)
{
	const char *text;
	uint64_t count;
	size_t n;

	if (pack_take_text(&at, end, &text, &n) || pack_take_word(&at, end, "features") || pack_take_array(&at, end, &count))
		return -1;
	while (count--)
		if (pack_take_text(&at, end, &text, &n))
			return -1;
	if (members == 2)
		return at == end ? 0 : -1;
	return take_token(&at, end, told) || at != end ? -1 : 0;
}

/* {"ok": true, "position": "ihegr977-6", "recovered": false, "missing": 3, "token": "..."}, behind its `ok`, or what there is of it. */
static int told_reply(const char *at, const char *end, uint64_t members, struct told *told)
{
	const char *text;
	size_t n;
	bool recovered;

	if (pack_take_true(&at, end))
		return -1;
	if (members == 1 || pack_take_word(&at, end, "position"))
		return 0;			/* a heartbeat, or the answer to something else */
	if (pack_take_text(&at, end, &text, &n) || told_position_read(text, n, &told->at))
		return -1;
	members -= 2;
	text = at;
	if (members && !pack_take_word(&text, end, "recovered")) {
		at = text;
		if (pack_take_bool(&at, end, &recovered))
			return -1;
		told->recovered = recovered ? TOLD_RECOVERED : TOLD_NOT_RECOVERED;
		if (!recovered && (pack_take_word(&at, end, "missing") || pack_take_number(&at, end, &told->missing)))
			return -1;
		members -= recovered ? 1 : 2;
	}
	return (members && take_token(&at, end, told)) || at != end ? -1 : 0;
}

static int told(const char *frame, size_t len, struct told *told)
{
	const char *at = frame + PACK_HEAD, *end = frame + len, *key;
	uint64_t members, messages;
	size_t n;

	if (pack_take_map(&at, end, &members) || pack_take_text(&at, end, &key, &n))
		return -1;
	if (n == 2 && !memcmp(key, "ok", 2))
		return told_reply(at, end, members, told);
	if (n == 5 && !memcmp(key, "janus", 5))
		return told_greeting(at, end, members, told);
	if (n != 6 || memcmp(key, "missed", 6))
		return 0;
	if (pack_take_map(&at, end, &members) || pack_take_word(&at, end, "topic") || pack_take_text(&at, end, &key, &n) ||
	    pack_take_word(&at, end, "messages") || pack_take_number(&at, end, &messages) || at != end || !messages)
		return -1;
	told->missed += messages;
	return 0;
}

static int take_stamp(const char **at, const char *end, struct stamp *stamp)
{
	const char *id;
	size_t n;

	if (pack_take_word(at, end, "id") || pack_take_text(at, end, &id, &n) || wire_id(&id, id + n, stamp) ||
	    pack_take_word(at, end, "timestamp") || pack_take_number(at, end, &stamp->time) || !stamp->time)
		return -1;
	return 0;
}

/* The members in the order in which they were published. */
static int message(const char *frame, size_t len, size_t size, struct payload *p, struct stamp *stamp)
{
	const char *at = frame + PACK_HEAD, *end = frame + len, *topic, *data;
	size_t topic_len, data_len;
	char expected[WIRE_TOPIC_MAX];
	uint64_t members;

	if (pack_take_map(&at, end, &members) || members != 5u + wire_message_id() || take_stamp(&at, end, stamp) ||
	    pack_take_word(&at, end, "topic") || pack_take_text(&at, end, &topic, &topic_len) ||
	    pack_take_word(&at, end, "event") || pack_take_word(&at, end, WIRE_EVENT))
		return -1;
	if (wire_message_id() && (pack_take_word(&at, end, "message_id") || pack_take_word(&at, end, "")))
		return -1;
	if (pack_take_word(&at, end, "data") || pack_take_text(&at, end, &data, &data_len) || at != end || (size && data_len != size) ||
	    payload_read(data, data_len, p))
		return -1;
	return wire_topic(expected, wire_topic_of(p)) == topic_len && !memcmp(topic, expected, topic_len) ? 0 : -1;
}

const struct speak speak_packet = {
	.name = "packet", .scheme = "packet", .greets = true, .greets_publisher = true, .no_message_id = true,
	.subscribe = subscribe, .publish = publish,
	.cut = pack_cut, .kind = kind, .message = message, .come = come, .told = told,
};
