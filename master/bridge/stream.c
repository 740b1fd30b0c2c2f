/*
 * The stream: how it is found, and what comes of it. See stream.h.
 *
 * What comes is that of a consumer of the server's, which lives as long as its subscription: messages numbered from 1, heartbeats that say the last number, and requests to say that all before was dealt with
 * (flow control). So a gap is seen, and another consumer asked for, that begins behind what was taken.
 */
#include "master/bridge/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/json_walk.h"
#include "shm/crash.h"
#include "shm/log.h"

#define MARK (UINT64_C(2) << 32)	/* subscriptions' marks of this and above (interest.c has those below) */
#define ANSWER_MS 2000			/* a question is asked anew */
#define PAUSE_MS 1000			/* behind an answer that is none */
#define EARLY_MS 5000			/* until workers have the rules that we have */
#define EARLY_PAUSE_MS 10
#define HEARTBEAT_MS 1000
#define SILENT_MS (3 * HEARTBEAT_MS)
#define DUPLICATES_MS 120000		/* within which a message's id is known, at least: it may be sent again so long */
#define SAME_MS 10000			/* two times of when it was made that differ by less are one stream's: servers of a cluster differ, and a description may have been changed */
#define NO_CLUSTER 10074		/* err_code: replicas are a cluster's alone */
#define TRIES 10
#define MADE "Janus, made at "	/* description of a stream that we make; and the milliseconds since 1970 */
#define REPLICAS 3			/* where the servers are a cluster that has so many */
#define TEXT_MAX (HISTORY_RULES_MAX * (SUBJECT_MAX + 64) + 2048)

static struct stream_shm *shm_of(const struct stream *s)
{
	return &s->bridge->hub.shm->nodes.stream;
}

void stream_init(struct stream *s, struct bridge *b, const struct interest *interest)
{
	*s = (struct stream){ .bridge = b, .interest = interest, .name = b->settings.nats_stream, .questions = hub_now(), .mark = MARK, .replicas = REPLICAS };
	s->taken = atomic_load(&shm_of(s)->last);
}

static void step(struct stream *s, enum stream_step to)
{
	s->step = to;
	s->at = s->bridge->now;
}

/* ---- questions ---- */

static void ask(struct stream *s, enum stream_step to, const char *what, const char *text)
{
	char subject[BRIDGE_SUBJECT], reply[BRIDGE_REPLY];

	snprintf(subject, sizeof(subject), "$JS.API.%s.%s", what, s->name);
	snprintf(reply, sizeof(reply), "%s" SUBJECT_STREAM "%" PRIu64, s->bridge->own, ++s->questions);
	uplink_request(&s->bridge->uplink, subject, reply, text, strlen(text));
	step(s, to);
}

/*
 * What is known of a topic that is made while workers have other rules is not known from its beginning (hub_counted_since()): so who fills a new hub waits until they have begun, if they do.
 */
static bool is_early(const struct stream *s)
{
	return nodes_stream(&s->bridge->hub) == STREAM_FILLING && !hub_rules_agree(&s->bridge->hub) && s->bridge->now - s->began < EARLY_MS;
}

static void look(struct stream *s)
{
	if (is_early(s)) {
		step(s, STREAM_WAITS);
		s->pause = EARLY_PAUSE_MS;
		return;
	}
	ask(s, STREAM_LOOKS, "STREAM.INFO", "");
}

/* It is tried again in a while. */
static void fail(struct stream *s, const char *why)
{
	log_warning_limited("the stream %s: %s", s->name, why);
	nodes_set_stream(&s->bridge->hub, nodes_stream(&s->bridge->hub) == STREAM_HERE ? STREAM_AWAY : nodes_stream(&s->bridge->hub), why);
	s->open = false;
	s->pause = PAUSE_MS;
	step(s, STREAM_WAITS);
}

void stream_begin(struct stream *s)
{
	s->began = s->bridge->now;
	if (stream_is_on(s))
		look(s);
}

static void unsubscribe(struct stream *s)
{
	if (s->subscription)
		uplink_unsubscribe(s->subscription);
	s->subscription = NULL;
}

void stream_end(struct stream *s)
{
	unsubscribe(s);
	s->open = false;
	s->step = STREAM_NOT;
	if (nodes_stream(&s->bridge->hub) == STREAM_HERE)
		nodes_set_stream(&s->bridge->hub, STREAM_AWAY, "NATS is away");
}

static uint64_t patience(const struct stream *s)
{
	return s->step == STREAM_WAITS ? s->pause : s->step == STREAM_FOLLOWS ? SILENT_MS : ANSWER_MS;
}

static uint64_t since(const struct stream *s)
{
	return s->bridge->now - (s->step == STREAM_FOLLOWS ? s->heard : s->at);
}

unsigned stream_wait(const struct stream *s)
{
	if (s->step == STREAM_NOT)
		return UINT32_MAX;
	return since(s) >= patience(s) ? 0 : (unsigned)(patience(s) - since(s));
}

void stream_turn(struct stream *s)
{
	if (stream_wait(s) > 0)
		return;
	if (s->step != STREAM_WAITS)
		fail(s, s->step == STREAM_FOLLOWS ? "nothing comes of it: it is asked for once more" : "it does not answer");
	look(s);
}

/* ---- making it ---- */

/* Whether all that fits one subject fits the other. */
static bool covers(const char *wide, const char *subject)
{
	while (*wide && *subject) {
		size_t a = strcspn(wide, "."), b = strcspn(subject, ".");

		if (a == 1 && *wide == '>')
			return true;
		if (!(a == 1 && *wide == '*' && *subject != '>') && (a != b || memcmp(wide, subject, a) != 0))
			return false;
		wide += a + (wide[a] == '.');
		subject += b + (subject[b] == '.');
	}
	return !*wide && !*subject;
}

/* The subjects of all rules, each once, and whole. The next one from *n on. */
static bool next_subject(const struct stream *s, unsigned *n, char subject[BRIDGE_SUBJECT])
{
	char other[BRIDGE_SUBJECT];

	while (interest_subject(s->interest, *n, subject)) {
		bool covered = false;

		for (unsigned k = 0; !covered && interest_subject(s->interest, k, other); k++)
			covered = k != *n && covers(other, subject) && !(covers(subject, other) && *n < k);
		++*n;
		if (!covered)
			return true;
	}
	return false;
}

/* The longest that a rule keeps anything, in seconds; 0: there is one without an end. (A little at least, so that a node may be away for a moment.) */
static uint64_t longest_age(const struct bridge *b)
{
	uint64_t most = DUPLICATES_MS / 1000;

	for (unsigned i = 0; i < b->hub.rules.count; i++) {
		const struct history_rule *r = &b->hub.rules.rule[i];

		if (r->messages > 0 && r->age == UINT64_MAX)
			return 0;
		if (r->messages > 0 && r->age / 1000000 > most)
			most = r->age / 1000000;
	}
	return most;
}

/* How long the stream is to know a message by its id: as keys of publishes count elsewhere. JetStream has it no longer than messages. */
static uint64_t duplicates_ms(const struct bridge *b, uint64_t age)
{
	uint64_t ms = (uint64_t)b->settings.once_time > DUPLICATES_MS ? (uint64_t)b->settings.once_time : DUPLICATES_MS;

	return age && 1000 * age < ms ? 1000 * age : ms;
}

static void make(struct stream *s)
{
	static char text[TEXT_MAX];
	uint64_t age = longest_age(s->bridge);
	char subject[BRIDGE_SUBJECT];
	struct sink to = { .dst = text, .room = sizeof(text) - 1 };
	unsigned n = 0;

	sink_literal(&to, "{\"name\":\"");
	sink_json(&to, s->name, strlen(s->name));
	sink_literal(&to, "\",\"description\":\"" MADE);
	sink_number(&to, hub_now() / 1000);
	sink_literal(&to, "\",\"subjects\":[");
	for (const char *comma = ""; next_subject(s, &n, subject); comma = ",") {
		sink_text(&to, comma);
		sink_literal(&to, "\"");
		sink_json(&to, subject, strlen(subject));
		sink_literal(&to, "\"");
	}
	sink_literal(&to, "],\"retention\":\"limits\",\"storage\":\"file\",\"discard\":\"old\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,\"max_age\":");
	sink_number(&to, age * 1000000000);
	sink_literal(&to, ",\"duplicate_window\":");
	sink_number(&to, duplicates_ms(s->bridge, age) * 1000000);
	sink_literal(&to, ",\"num_replicas\":");
	sink_number(&to, s->replicas);
	sink_literal(&to, "}");
	text[sink_end(&to)] = '\0';
	CRASH_POINT("bridge-stream-make");
	ask(s, STREAM_MAKES, "STREAM.CREATE", text);
}

/* ---- answers ---- */

struct message_range stream_json_of(natsMsg *msg)
{
	return (struct message_range){ natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg) };
}

/* Blanks may stand between all parts. */
static bool next_member(struct message_range *text, struct message_member *m)
{
	const char *end, *p, *after;

	if (text->p == NULL)
		return false;
	end = text->p + text->len;
	p = json_walk_space(text->p, end);
	if (p == end || *p != '"' || (after = json_walk_scalar(p, end)) == NULL)
		return false;
	m->name = (struct message_range){ p, (size_t)(after - p) };
	p = json_walk_space(after, end);
	if (p == end || *p != ':' || (p = json_walk_space(p + 1, end)) == end)
		return false;
	after = json_walk_value(p, end);
	if (after == NULL || after == p)
		return false;
	m->value = (struct message_range){ p, (size_t)(after - p) };
	p = json_walk_space(after, end);
	*text = p < end && *p == ',' ? (struct message_range){ p + 1, (size_t)(end - p) - 1 } : (struct message_range){ NULL, 0 };
	return true;
}

bool stream_json(struct message_range object, const char *name, struct message_range *value)
{
	struct message_range text;
	struct message_member m;

	if (object.len < 2 || *object.p != '{')
		return false;
	text = (struct message_range){ object.p + 1, object.len - 1 };
	while (next_member(&text, &m))
		if (json_string_is(m.name.p, m.name.len, name)) {
			*value = m.value;
			return true;
		}
	return false;
}

uint64_t stream_json_number(struct message_range object, const char *name)
{
	struct message_range value;
	uint64_t n = 0;

	if (!stream_json(object, name, &value))
		return 0;
	for (size_t i = 0; i < value.len && value.p[i] >= '0' && value.p[i] <= '9'; i++)
		n = 10 * n + (uint64_t)(value.p[i] - '0');
	return n;
}

/* Milliseconds since 1970 of "2026-01-02T03:04:05.678901Z"; 0: it is none. */
static uint64_t read_time(struct message_range value)
{
	char text[64] = "", *rest;
	struct tm tm = { 0 };
	double part = 0;

	if (value.len < 3 || value.len > sizeof(text))
		return 0;
	memcpy(text, value.p + 1, value.len - 2);
	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (rest == NULL)
		return 0;
	if (*rest == '.')
		part = strtod(rest, NULL);
	return (uint64_t)timegm(&tm) * 1000 + (uint64_t)(part * 1000);
}

/* What is wrong with the answer, in why[size]; its code, 0: nothing is. */
static uint64_t error_of(struct message_range answer, char *why, size_t size)
{
	struct message_range error, text = { "\"\"", 2 };

	if (!stream_json(answer, "error", &error))
		return 0;
	stream_json(error, "description", &text);
	snprintf(why, size, "%.*s", text.len > 2 ? (int)(text.len - 2) : 0, text.p + 1);
	return stream_json_number(error, "code");
}

/* Whether one of its subjects, a JSON array, has all that fits this one. */
static bool is_covered(struct message_range list, const char *subject)
{
	const char *p = list.p, *end = list.p + list.len;
	char wide[BRIDGE_SUBJECT];

	while (++p < end && *p == '"') {
		const char *after = json_walk_scalar(p, end);
		struct sink to = { .dst = wide, .room = sizeof(wide) - 1 };

		if (after == NULL)
			return false;
		json_put_string(&to, p, (size_t)(after - p), sink_bytes);
		wide[sink_end(&to)] = '\0';
		if (covers(wide, subject))
			return true;
		p = after;
	}
	return false;
}

/* It should have what rules keep; if it has not, that is not kept by all nodes alike, and publishing it is not answered. */
static void check_subjects(struct stream *s, struct message_range config)
{
	char subject[BRIDGE_SUBJECT], why[NODES_TEXT + BRIDGE_SUBJECT];
	struct message_range list = { "[]", 2 };
	unsigned n = 0;

	stream_json(config, "subjects", &list);
	free(s->subjects);
	s->subjects = strndup(list.p, list.len);
	while (next_subject(s, &n, subject)) {
		if (is_covered(list, subject))
			continue;
		snprintf(why, sizeof(why), "it does not have the subject %s of a rule of history", subject);
		log_error("the stream %s: %s: what is published there has no answer", s->name, why);
		nodes_set_stream(&s->bridge->hub, nodes_stream(&s->bridge->hub), why);
	}
}

bool stream_is_silent(struct stream *s, const char *subject)
{
	if (s->open && subject && s->subjects && !is_covered((struct message_range){ s->subjects, strlen(s->subjects) }, subject))
		return false;
	if (s->open)
		fail(s, "nobody answers what is published to it");
	return true;
}

/* Where to begin in a stream that was never read here: with as much as history may hold, twice over, as not all of it is for the same rules. */
static uint64_t fill_from(const struct stream *s, struct message_range state)
{
	uint64_t messages = stream_json_number(state, "messages"), bytes = stream_json_number(state, "bytes"), last = stream_json_number(state, "last_seq");
	uint64_t each = messages > 0 && bytes > messages ? bytes / messages : 1, most = 2 * (uint64_t)s->bridge->settings.history_bytes / each;

	return last > most ? last - most + 1 : 1;
}

/*
 * The stream has none of the messages behind `last` up to `to`: what was taken of it is in the ring, and what comes from now on begins behind them. While it is read for the first time nobody here misses them, but what lies
 * before them is not whole then, either.
 */
static void pass_over(struct stream *s, uint64_t last, uint64_t to)
{
	struct stream_shm *shm = shm_of(s);
	uint64_t first = atomic_load(&shm->first);

	if (nodes_stream(&s->bridge->hub) != STREAM_FILLING) {
		log_warning_limited("the stream %s has up to %" PRIu64 " messages no more that did not come here", s->name, to - last);
		bridge_count(s->bridge, COUNTER_nodes_stream_missed, to - last);
	}
	nodes_stream_begins(&s->bridge->hub, atomic_load(&shm->epoch), to + 1);
	if (first > to + 1)
		atomic_store(&shm->first, first);	/* (it lost its end before: begins()) */
}

/* Where what is to come begins: behind `last`, if it is the stream that that was of. `exact`: its epoch is no other one than it was, even by a little. */
static uint64_t begins(struct stream *s, uint64_t epoch, bool exact, struct message_range state)
{
	struct stream_shm *shm = shm_of(s);
	uint64_t oldest = stream_json_number(state, "first_seq"), newest = stream_json_number(state, "last_seq"), last = atomic_load(&shm->last), from = last + 1;
	uint64_t was = atomic_load(&shm->epoch);

	oldest = oldest ? oldest : 1;
	atomic_store(&shm->end, newest);
	s->reach = newest;
	if (was != 0 && !exact && (epoch > was ? epoch - was : was - epoch) < SAME_MS)
		epoch = was;
	if (was != 0 && was != epoch) {
		log_warning("the stream %s was made anew: positions that clients have of the one before mean nothing any more", s->name);
		nodes_stream_begins(&s->bridge->hub, epoch, oldest);
		return oldest;
	}
	if (was == 0) {
		from = nodes_stream(&s->bridge->hub) == STREAM_FILLING ? fill_from(s, state) : newest + 1;
		from = from > oldest ? from : oldest;
		nodes_stream_begins(&s->bridge->hub, epoch, from);
		return from;
	}
	if (from < oldest) {
		pass_over(s, last, oldest - 1);
		return oldest;
	}
	if (last > newest) {
		log_error("the stream %s ends at %" PRIu64 ", and had %" PRIu64 ": it has lost its end", s->name, newest, last);
		bridge_count(s->bridge, COUNTER_nodes_stream_missed, 1);
		nodes_stream_begins(&s->bridge->hub, epoch, newest + 1);
		/* (Nobody who has had what is lost can know what he has missed of what has its numbers now.) */
		atomic_store(&shm->first, last + 2);
		return newest + 1;
	}
	return from;
}

static void ask_for_messages(struct stream *s, uint64_t from)
{
	char subject[BRIDGE_SUBJECT], token[SUBJECT_MAX], text[BRIDGE_SUBJECT + 512];

	unsubscribe(s);
	subject_write_token(token, s->bridge->node, strlen(s->bridge->node));
	snprintf(subject, sizeof(subject), "%s" SUBJECT_OF_STREAM "%s.%" PRIu64, s->bridge->prefix, token, ++s->questions);
	s->subscription = uplink_subscribe(&s->bridge->uplink, subject, ++s->mark);
	s->taken = from - 1;
	s->ordinal = 0;
	s->level = false;
	s->heard = s->bridge->now;
	snprintf(text, sizeof(text), "{\"stream_name\":\"%s\",\"config\":{\"deliver_subject\":\"%s\",\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":%" PRIu64 ","
		 "\"ack_policy\":\"none\",\"max_deliver\":1,\"replay_policy\":\"instant\",\"flow_control\":true,\"idle_heartbeat\":%" PRIu64 ",\"mem_storage\":true,\"num_replicas\":1}}",
		 s->name, subject, from, UINT64_C(1000000) * HEARTBEAT_MS);
	ask(s, STREAM_ASKS, "CONSUMER.CREATE", text);
}

/*
 * What ids of its messages begin with: when it was made. What servers of a cluster say of that differs by some milliseconds in the first moments, so in the stream that a node makes it is written down, and for those that others
 * have made some time before, it is what the servers say. 0: it can't be read.
 */
static uint64_t epoch_of(struct message_range config, struct message_range created, bool *exact)
{
	const size_t start = sizeof("\"" MADE) - 1;
	struct message_range text;
	uint64_t epoch = 0;

	*exact = stream_json(config, "description", &text) && text.len > start && memcmp(text.p, "\"" MADE, start) == 0;
	if (!*exact)
		return read_time(created);
	for (size_t i = start; i < text.len && text.p[i] >= '0' && text.p[i] <= '9'; i++)
		epoch = 10 * epoch + (uint64_t)(text.p[i] - '0');
	return epoch;
}

static void found(struct stream *s, struct message_range answer)
{
	struct message_range config = { 0 }, state = { 0 }, created = { 0 };
	uint64_t epoch;
	bool exact;

	if (!stream_json(answer, "config", &config) || !stream_json(answer, "state", &state) || !stream_json(answer, "created", &created) || (epoch = epoch_of(config, created, &exact)) == 0) {
		fail(s, "its answer can't be read");
		return;
	}
	nodes_set_stream(&s->bridge->hub, nodes_stream(&s->bridge->hub), "");
	check_subjects(s, config);
	ask_for_messages(s, begins(s, epoch, exact, state));
}

static void no_such_stream(struct stream *s, uint64_t code, const char *why)
{
	if (code != 404) {
		fail(s, why);
		return;
	}
	make(s);
}

/* One server alone has no replicas, and says so. A cluster may be of two; or not know of the third yet, so it is asked for some time. */
static bool wants_fewer(struct stream *s, struct message_range answer)
{
	struct message_range error = { 0 };

	if (s->replicas == 1 || !stream_json(answer, "error", &error))
		return false;
	return stream_json_number(error, "err_code") == NO_CLUSTER || (stream_json_number(error, "code") != 503 && ++s->tries >= TRIES);
}

static void was_made(struct stream *s, struct message_range answer, uint64_t code, const char *why)
{
	if (code == 0) {
		log_info("the stream %s is made", s->name);
		found(s, answer);
	} else if (wants_fewer(s, answer)) {
		s->replicas = 1;
		make(s);
	} else {
		fail(s, why);
	}
}

/* What is taken goes on behind this message: the stream has none between. */
static void jump(struct stream *s, uint64_t to)
{
	pass_over(s, s->taken, to);
	s->taken = to;
}

static void follows(struct stream *s, struct message_range answer)
{
	struct message_range delivered;

	if (s->step == STREAM_ASKS)
		step(s, STREAM_FOLLOWS);
	s->heard = s->bridge->now;
	/* (What it has sent already may come behind this.) */
	if (stream_json_number(answer, "num_pending") == 0 && stream_json(answer, "delivered", &delivered) && stream_json_number(delivered, "consumer_seq") == s->ordinal) {
		if (s->reach > s->taken)
			jump(s, s->reach);
		s->level = true;
	}
	log_debug("the stream %s: from %" PRIu64 " on", s->name, s->taken + 1);
	stream_settled(s);
}

void stream_said(struct stream *s, const char *number, natsMsg *msg)
{
	struct message_range answer = stream_json_of(msg);
	char why[NODES_TEXT] = "";
	uint64_t of = 0, code;

	if (!nats_take_number(&number, &of) || of != s->questions)
		return;		/* (of one that was asked anew) */
	if (natsMsg_IsNoResponders(msg)) {
		fail(s, "NATS has no JetStream there");
		return;
	}
	code = error_of(answer, why, sizeof(why));
	switch (s->step) {
	case STREAM_LOOKS:
		if (code)
			no_such_stream(s, code, why);
		else
			found(s, answer);
		break;
	case STREAM_MAKES:
		was_made(s, answer, code, why);
		break;
	case STREAM_ASKS:
		if (code)
			fail(s, why);
		else
			follows(s, answer);
		break;
	default:
		break;
	}
}

/* ---- what comes ---- */

bool stream_has_mark(uint64_t mark)
{
	return mark >= MARK;
}

static uint64_t header_number(natsMsg *msg, const char *name)
{
	const char *value = NULL;
	uint64_t n = 0;

	return natsMsgHeader_Get(msg, name, &value) == NATS_OK && nats_take_number(&value, &n) ? n : 0;
}

/* What is behind what was taken is asked for. */
static void again(struct stream *s)
{
	log_info("the stream %s: something did not come: it is asked for once more, behind %" PRIu64, s->name, s->taken);
	unsubscribe(s);
	look(s);
}

static void answer_flow(struct stream *s, const char *subject)
{
	if (subject)
		uplink_publish_text(&s->bridge->uplink, subject, "", 0);
}

/* A message of the consumer about itself. */
static void take_status(struct stream *s, natsMsg *msg)
{
	uint64_t last = header_number(msg, "Nats-Last-Stream");
	const char *stalled = NULL;

	if (natsMsg_GetReply(msg)) {
		answer_flow(s, natsMsg_GetReply(msg));
		return;
	}
	if (header_number(msg, "Nats-Last-Consumer") != s->ordinal) {
		again(s);
		return;
	}
	if (last > s->taken)
		jump(s, last);
	s->level = true;		/* (it says so only while there is nothing else) */
	if (natsMsgHeader_Get(msg, "Nats-Consumer-Stalled", &stalled) == NATS_OK)
		answer_flow(s, stalled);
}

/*
 * The numbers of a message stand in the subject for its acknowledgement:
 *   $JS.ACK.STREAM.CONSUMER.DELIVERIES.SEQ.ORDINAL.TIME.PENDING, or $JS.ACK.DOMAIN.ACCOUNT.STREAM. ... .PENDING.TOKEN
 */
static bool read_numbers(const char *subject, uint64_t *seq, uint64_t *ordinal, uint64_t *pending)
{
	const char *token[13];
	unsigned n = 0, first;

	if (subject == NULL || strncmp(subject, "$JS.ACK.", 8) != 0)
		return false;
	for (; subject && n < 13; subject = strchr(subject, '.'), subject += subject != NULL)
		token[n++] = subject;
	if (n != 9 && n < 11)
		return false;
	first = n == 9 ? 5 : 7;
	*seq = strtoull(token[first], NULL, 10);
	*ordinal = strtoull(token[first + 1], NULL, 10);
	*pending = strtoull(token[first + 3], NULL, 10);
	return *seq > 0 && *ordinal > 0;
}

/* The consumer takes all that there is: a message in whose stead none has come is in the stream no more. The last one before what this says; 0: it says nothing of that. */
static uint64_t comes_behind(const struct stream *s, natsMsg *msg)
{
	uint64_t seq = 0, ordinal = 0, pending = 0;

	if (read_numbers(natsMsg_GetReply(msg), &seq, &ordinal, &pending))
		return ordinal == s->ordinal + 1 ? seq - 1 : 0;
	if (natsMsg_GetReply(msg) == NULL && header_number(msg, "Nats-Last-Consumer") == s->ordinal)
		return header_number(msg, "Nats-Last-Stream");
	return 0;
}

static bool is_ours(const struct stream *s, const struct arrival *a)
{
	return a->mark == s->mark && s->subscription != NULL;
}

bool stream_jumps(const struct stream *s, const struct arrival *a)
{
	return is_ours(s, a) && comes_behind(s, a->msg) > s->taken;
}

uint64_t stream_take(struct stream *s, const struct arrival *a)
{
	uint64_t seq = 0, ordinal = 0, pending = 0;
	const char *status = NULL;

	if (!is_ours(s, a))
		return 0;
	s->heard = s->bridge->now;
	/* (A message has an address for its acknowledgement, whatever headers it was given.) */
	if (!read_numbers(natsMsg_GetReply(a->msg), &seq, &ordinal, &pending)) {
		if (natsMsgHeader_Get(a->msg, "Status", &status) == NATS_OK)
			take_status(s, a->msg);
		return 0;
	}
	if (ordinal != s->ordinal + 1 || seq <= s->taken) {
		again(s);
		return 0;
	}
	if (seq > s->taken + 1)
		jump(s, seq - 1);
	s->ordinal = ordinal;
	s->taken = seq;
	s->level = pending == 0 || seq >= s->reach;
	return seq;
}

void stream_settled(struct stream *s)
{
	struct stream_shm *shm = shm_of(s);

	if (!stream_is_on(s) || s->step == STREAM_NOT)
		return;
	if (s->taken > atomic_load_explicit(&shm->last, memory_order_relaxed) && s->subscription)
		atomic_store(&shm->last, s->taken);
	if (s->taken > atomic_load_explicit(&shm->end, memory_order_relaxed))
		atomic_store(&shm->end, s->taken);
	if (s->level && s->step == STREAM_FOLLOWS && !s->open) {
		s->open = true;
		s->opened++;
	}
	if (s->level && s->step == STREAM_FOLLOWS && nodes_stream(&s->bridge->hub) != STREAM_HERE) {
		log_info("the stream %s is here up to %" PRIu64, s->name, s->taken);
		nodes_set_stream(&s->bridge->hub, STREAM_HERE, NULL);
	}
}

void stream_drop(struct stream *s)
{
	s->taken = atomic_load(&shm_of(s)->last);
}
