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

#include "master/bridge/jetstream.h"
#include "master/bridge/stream_config.h"
#include "shm/crash.h"
#include "shm/log.h"

#define MARK (UINT64_C(2) << 32)	/* subscriptions' marks of this and above (interest.c has those below) */
#define ANSWER_MS 2000			/* a question is asked anew */
#define PAUSE_MS 1000			/* behind an answer that is none */
#define EARLY_MS 5000			/* until workers have the rules that we have */
#define EARLY_PAUSE_MS 10
#define OPENS_MS 500			/* from a connection's beginning on (stream_opens()) */
#define SETTLES_MS 3000			/* the same (stream_is_settled()) */
#define HEARTBEAT_MS 1000
#define SILENT_MS (3 * HEARTBEAT_MS)
#define SAME_MS 10000			/* two times of when it was made that differ by less are one stream's: servers of a cluster differ, and a description may have been changed */
#define LESS_MS 10000			/* until it is believed that it has lost its end */
#define NO_CLUSTER 10074		/* err_code: replicas are a cluster's alone */
#define OVERLAPS 10065			/* err_code: another stream has the subject */
#define TRIES 10
#define EXTENDS 3			/* times that it is waited for before it is read without the subjects that it lacks */
#define EXTENDED_MS 3000		/* behind that it is looked at once more: who changed it at the same time did not know of our change */
#define REFUSED_MS 60000		/* it is asked again */
#define REPLICAS 3			/* where the servers are a cluster that has so many */

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

void stream_connected(struct stream *s)
{
	s->began = s->bridge->now;
}

void stream_begin(struct stream *s)
{
	s->extends = 0;
	s->refused_until = 0;
	s->less_since = 0;
	s->told = false;
	if (stream_is_on(s))
		look(s);
}

bool stream_is_settled(const struct stream *s)
{
	return !stream_is_on(s) || s->step == STREAM_ASKS || s->step == STREAM_FOLLOWS || s->bridge->now - s->began >= SETTLES_MS;
}

bool stream_opens(const struct stream *s)
{
	return stream_is_on(s) && s->step != STREAM_WAITS && !s->open && s->bridge->now - s->began < OPENS_MS;
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

/* It is read without the subjects that it lacks. */
static void refused(struct stream *s, const char *why)
{
	snprintf(s->refusal, sizeof(s->refusal), "%s", why);
	s->refused_until = s->bridge->now + REFUSED_MS;
	s->told = false;
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
	uint64_t left;

	if (s->step == STREAM_NOT)
		return UINT32_MAX;
	left = since(s) >= patience(s) ? 0 : patience(s) - since(s);
	if (s->step == STREAM_FOLLOWS && s->check_at && s->check_at < s->bridge->now + left)
		left = s->check_at > s->bridge->now ? s->check_at - s->bridge->now : 0;
	return (unsigned)left;
}

void stream_turn(struct stream *s)
{
	if (stream_wait(s) > 0)
		return;
	if (s->step == STREAM_EXTENDS && ++s->extends >= EXTENDS) {
		refused(s, "not answered: does NATS permit $JS.API.STREAM.UPDATE?");
	} else if (s->step != STREAM_WAITS && since(s) >= patience(s)) {
		s->less_since = 0;	/* (Nobody knows what it says meanwhile.) */
		fail(s, s->step == STREAM_FOLLOWS ? "nothing comes of it: it is asked for once more" : "it does not answer");
	}
	look(s);
}

/* ---- answers ---- */

/* It is to have what rules keep, and is asked to; it takes nothing away from what others may want there. False: it has, or does not take it. */
static bool extend(struct stream *s, struct message_range config)
{
	char *text = s->bridge->now < s->refused_until ? NULL : stream_config_extend(s->interest, config);

	if (text == NULL)
		return false;
	CRASH_POINT("bridge-stream-extend");
	ask(s, STREAM_EXTENDS, "STREAM.UPDATE", text);
	free(text);
	return true;
}

/* What it lacks is not kept by all nodes alike, and publishing it is refused. */
static void check_subjects(struct stream *s, struct message_range config)
{
	char subject[BRIDGE_SUBJECT], why[2 * NODES_TEXT + BRIDGE_SUBJECT];
	struct message_range list = { "[]", 2 };
	unsigned n = 0;

	jetstream_member(config, "subjects", &list);
	free(s->subjects);
	s->subjects = strndup(list.p, list.len);
	while (stream_config_subject(s->interest, &n, subject)) {
		if (stream_config_has(list, subject))
			continue;
		snprintf(why, sizeof(why), "it lacks the subject %s: %s", subject, s->refusal[0] ? s->refusal : "it has none of its own");
		if (!s->told)
			log_error("the stream %s: %s; what is published there, which a rule of history keeps, is refused until the stream is given the subject (nats stream edit), or the rule is gone", s->name, why);
		nodes_set_stream(&s->bridge->hub, nodes_stream(&s->bridge->hub), why);
	}
	s->told = true;
}

bool stream_is_silent(struct stream *s, const char *subject)
{
	if (s->open && subject && s->subjects && !stream_config_has((struct message_range){ s->subjects, strlen(s->subjects) }, subject))
		return !hub_rules_agree(&s->bridge->hub);	/* (workers have a rule more already: the next bridge gives it the stream) */
	if (s->open)
		fail(s, "nobody answers what is published to it");
	return true;
}

/* Where to begin in a stream that was never read here: with as much as history may hold, twice over, as not all of it is for the same rules. */
static uint64_t fill_from(const struct stream *s, struct message_range state)
{
	uint64_t messages = jetstream_number(state, "messages"), bytes = jetstream_number(state, "bytes"), last = jetstream_number(state, "last_seq");
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

/* Whether it is the stream that it was. `exact`: its epoch is no other one than it was, even by a little. */
static bool is_same(const struct stream *s, uint64_t epoch, bool exact)
{
	uint64_t was = atomic_load(&shm_of(s)->epoch);

	return was == epoch || (was != 0 && !exact && (epoch > was ? epoch - was : was - epoch) < SAME_MS);
}

/* A server that has just begun to lead its cluster may say for a while that there is less than others have sent already. Who believes that reads the same once more. */
static bool reaches_less(struct stream *s, uint64_t epoch, bool exact, struct message_range state)
{
	if (!is_same(s, epoch, exact) || jetstream_number(state, "last_seq") >= atomic_load(&shm_of(s)->last)) {
		s->less_since = 0;
		return false;
	}
	if (s->less_since == 0)
		s->less_since = s->bridge->now;
	return s->bridge->now - s->less_since < LESS_MS;
}

/* Where what is to come begins: behind `last`, if it is the stream that that was of. */
static uint64_t begins(struct stream *s, uint64_t epoch, bool exact, struct message_range state)
{
	struct stream_shm *shm = shm_of(s);
	uint64_t oldest = jetstream_number(state, "first_seq"), newest = jetstream_number(state, "last_seq"), last = atomic_load(&shm->last), from = last + 1;
	uint64_t was = atomic_load(&shm->epoch);

	oldest = oldest ? oldest : 1;
	atomic_store(&shm->end, newest);
	s->reach = newest;
	if (is_same(s, epoch, exact))
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

static void found(struct stream *s, struct message_range answer)
{
	struct message_range config = { 0 }, state = { 0 }, created = { 0 };
	uint64_t epoch;
	bool exact;

	if (!jetstream_member(answer, "config", &config) || !jetstream_member(answer, "state", &state) || !jetstream_member(answer, "created", &created) || (epoch = stream_config_epoch(config, created, &exact)) == 0) {
		fail(s, "its answer can't be read");
		return;
	}
	if (reaches_less(s, epoch, exact, state)) {
		fail(s, "it reaches less far than it did: its server may not have all of it yet");
		return;
	}
	if (extend(s, config))
		return;
	nodes_set_stream(&s->bridge->hub, nodes_stream(&s->bridge->hub), "");
	check_subjects(s, config);
	s->check_at = s->bridge->now < s->refused_until ? s->refused_until : 0;
	ask_for_messages(s, begins(s, epoch, exact, state));
}

static void make(struct stream *s)
{
	static char text[STREAM_CONFIG_MAX];

	stream_config_write(s->bridge, s->interest, s->replicas, text);
	CRASH_POINT("bridge-stream-make");
	ask(s, STREAM_MAKES, "STREAM.CREATE", text);
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

	if (s->replicas == 1 || !jetstream_member(answer, "error", &error))
		return false;
	return jetstream_number(error, "err_code") == NO_CLUSTER || (jetstream_number(error, "code") != 503 && ++s->tries >= TRIES);
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

static void was_extended(struct stream *s, struct message_range answer, uint64_t code, const char *why)
{
	struct message_range error = { 0 };

	if (code >= 500 && ++s->extends < EXTENDS) {
		fail(s, why);		/* (that may pass) */
	} else if (code) {
		jetstream_member(answer, "error", &error);
		refused(s, jetstream_number(error, "err_code") == OVERLAPS ? "another stream has it, or a part of it, which is to let it go" : why);
		look(s);
	} else {
		log_info("the stream %s has the subjects of all rules of history now", s->name);
		s->extends = 0;
		s->told = false;
		found(s, answer);
		s->check_at = s->bridge->now + EXTENDED_MS;
	}
}

/* What is taken goes on behind this message: the stream has none between. */
static void jump(struct stream *s, uint64_t to)
{
	pass_over(s, s->taken, to);
	s->taken = to;
}

/*
 * The consumer is of one server of a cluster, which may have less of the stream than the one that said how far it reaches: after it was away, for example. So what pends there says nothing; only that all has come.
 */
static void find_level(struct stream *s)
{
	s->level = s->taken >= s->reach;
}

static void follows(struct stream *s)
{
	if (s->step == STREAM_ASKS)
		step(s, STREAM_FOLLOWS);
	s->heard = s->bridge->now;
	find_level(s);
	log_debug("the stream %s: from %" PRIu64 " on", s->name, s->taken + 1);
	stream_settled(s);
}

void stream_said(struct stream *s, const char *number, natsMsg *msg)
{
	struct message_range answer = jetstream_answer(msg);
	char why[NODES_TEXT] = "";
	uint64_t of = 0, code;

	if (!nats_take_number(&number, &of) || of != s->questions)
		return;		/* (of one that was asked anew) */
	if (natsMsg_IsNoResponders(msg)) {
		fail(s, "NATS has no JetStream there");
		return;
	}
	code = jetstream_error(answer, why, sizeof(why));
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
	case STREAM_EXTENDS:
		was_extended(s, answer, code, why);
		break;
	case STREAM_ASKS:
		if (code)
			fail(s, why);
		else
			follows(s);
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
	find_level(s);
	if (natsMsgHeader_Get(msg, "Nats-Consumer-Stalled", &stalled) == NATS_OK)
		answer_flow(s, stalled);
}

/* The consumer takes all that there is: a message in whose stead none has come is in the stream no more. The last one before what this says; 0: it says nothing of that. */
static uint64_t comes_behind(const struct stream *s, natsMsg *msg)
{
	uint64_t seq = 0, ordinal = 0, pending = 0;

	if (jetstream_numbers(natsMsg_GetReply(msg), &seq, &ordinal, &pending))
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
	if (!jetstream_numbers(natsMsg_GetReply(a->msg), &seq, &ordinal, &pending)) {
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
	find_level(s);
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
