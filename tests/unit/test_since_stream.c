/*
 * Topics whose messages come of the stream that all nodes share: what is behind an id of the stream, whether that is all, and where what is subscribed begins in it.
 */
#include "tests/unit/worker_fixture.h"

#include "shm/nodes.h"
#include "shm/nodes_ids.h"
#include "shm/publish.h"
#include "worker/service/access.h"
#include "worker/service/attach.h"
#include "worker/service/history_query.h"

#define EPOCH UINT64_C(1448434925395)	/* ihegr977 */
#define RULES "news.*: 100 messages; short: 1 message"

static uint64_t hub_epoch(const struct worker_fixture *w)
{
	return w->base.hub.shm->epoch / 1000;
}

static void everything_was_delivered(struct worker_fixture *w)
{
	atomic_store(&w->base.self->delivered, ring_tail(&w->base.hub.ring));
}

/* The stream is there, from its message `first` on. */
static void stream_is_there(struct worker_fixture *w, uint64_t first)
{
	struct settings settings;

	settings_defaults(&settings);
	strcpy(settings.history, RULES);
	hub_keep(&w->hub->hub, &settings);
	hub_keep(&w->base.hub, &settings);
	nodes_begin(&w->hub->hub, "here");
	nodes_stream_is(&w->hub->hub, "S", true);
	nodes_stream_begins(&w->hub->hub, EPOCH, first);
	nodes_set_stream(&w->hub->hub, STREAM_HERE, "");
}

static struct publish_item item_of(const char *name, uint64_t epoch, uint64_t sseq, size_t data)
{
	static char record[4096];
	char *p = record + MESSAGE_STREAM_EXTRA;

	message_stream_head(record, epoch, sseq);
	p += sprintf(p, "\"topic\":\"%s\",\"data\":\"", name);
	memset(p, 'x', data);
	p = stpcpy(p + data, "\"}");
	return (struct publish_item){
		.hash = index_hash(name, strlen(name)), .topic = name, .topic_len = (uint8_t)strlen(name), .message = record, .len = (uint32_t)(p - record), .parsed = sseq,
	};
}

/* One message comes of the stream. Its sequence here. */
static uint64_t come_of(struct worker_fixture *w, uint64_t epoch, const char *name, uint64_t sseq, size_t data)
{
	uint64_t seq = ring_tail(&w->base.hub.ring);
	struct publish_item item = item_of(name, epoch, sseq, data);

	everything_was_delivered(w);
	assert_int_equal(nodes_publish(&w->hub->hub, NODE_OF_STREAM, &item, 1), 1);
	everything_was_delivered(w);
	check(w->hub);
	return seq;
}

static uint64_t come(struct worker_fixture *w, const char *name, uint64_t sseq)
{
	return come_of(w, EPOCH, name, sseq, 1);
}

static void go_round(struct worker_fixture *w)
{
	put_others(w, 2 * RING_MESSAGES);
	everything_was_delivered(w);
}

/* ---- requests ---- */

static struct cursor opened_with_input(struct worker_fixture *w, uint32_t transport)
{
	int fd = opened(w, transport);
	struct session_state_shm st = *state_of(w, fd);
	struct buffer_shm *head;

	st.in = session_buffer(&w->base, fd, 10);
	head = pool_header(&w->base.slot, st.in);
	head->len = 10;
	session_commit(&w->base, fd, &st);
	return (struct cursor){ .sid = fd, .head = head, .bytes = (const char *)pool_bytes(&w->base.slot, st.in) };
}

struct names {
	const char *name[4];
	unsigned n;
};

static bool next_of(void *from, struct topic_name *name)
{
	struct names *names = from;

	if (names->n == 4 || !names->name[names->n])
		return false;
	*name = subscribe_topic_name(false, names->name[names->n], strlen(names->name[names->n]));
	names->n++;
	return true;
}

/* A new session subscribes these; *from is where its last one's first message is. */
static struct outcome subscribed(struct worker_fixture *w, struct names names, enum resume_kind kind, struct position since, uint64_t *from)
{
	struct cursor c = opened_with_input(w, TRANSPORT_WEBSOCKET);
	struct request req = {
		.kind = REQUEST_SUBSCRIBE, .after = 10, .names = { .next = next_of, .from = &names }, .resume = { .kind = kind, .since = since },
	};
	struct outcome o;
	uint32_t sub;

	request_serve(&w->service, &c, &req, &o);
	sub = session(&w->base, c.sid)->subscriptions;
	if (from)
		*from = sub ? w->base.slot.subscriptions[sub].from : 0;
	if (!o.error)
		assert_true(outcome_commit(&w->service, &c, &o, 10, "ok", 2, 0));
	end_session(w, c.sid);
	return o;
}

#define SINCE(w, topic, since, from) subscribed(w, (struct names){ .name = { topic } }, RESUME_SINCE, (struct position){ EPOCH, since }, from)
#define LIVE(w, ...) subscribed(w, (struct names){ .name = { __VA_ARGS__ } }, RESUME_NOT, (struct position){ 0 }, NULL)
#define assert_stream(o, at) assert_true((o).stream.epoch == EPOCH && (o).stream.seq == (at))

/* ---- positions ---- */

/* In the ring, and where the ring has gone round, in history. */
static void what_is_behind_an_id(void **state)
{
	struct worker_fixture *w = *state;
	uint64_t news[40], from;
	struct outcome o;

	stream_is_there(w, 1);
	for (uint64_t n = 1; n < 40; n++)	/* the stream's even ones are news.a's */
		news[n] = come_of(w, EPOCH, n % 2 ? "news.b" : "news.a", n, 700);
	for (int round = 0; round < 2; round++) {
		for (uint64_t n = 1; n < 38; n++) {
			o = SINCE(w, "news.a", n, &from);
			assert_null(o.error);
			assert_true(o.resumed && o.recovered);
			assert_int_equal(from, news[n / 2 * 2 + 2]);
			assert_stream(o, n / 2 * 2 + 1);
		}
		o = SINCE(w, "news.a", 38, &from);	/* there is nothing */
		assert_true(o.recovered);
		assert_int_equal(from, ring_tail(&w->base.hub.ring));
		assert_stream(o, 39);
		o = SINCE(w, "news.a", 0, &from);	/* all of it */
		assert_true(o.recovered);
		assert_int_equal(from, news[2]);
		go_round(w);
		assert_true(ring_oldest(&w->base.hub.ring) > news[39]);
	}
}

/* The client comes from a node that is ahead of this one: what comes, some of which it has had. */
static void who_is_ahead(void **state)
{
	struct worker_fixture *w = *state;
	struct outcome o;
	uint64_t from;

	stream_is_there(w, 1);
	come(w, "news.a", 1);
	assert_false(SINCE(w, "news.a", 4711, &from).recovered);	/* as far as anybody here knows, there is no such message */
	atomic_store(&w->base.hub.shm->nodes.stream.end, 4711);
	o = SINCE(w, "news.a", 4711, &from);
	assert_true(o.recovered);
	assert_int_equal(from, ring_tail(&w->base.hub.ring));
	assert_stream(o, 1);
}

/* A topic that is not there, or has begun later; and one of which something has gone. */
static void what_can_be_missing(void **state)
{
	struct worker_fixture *w = *state;
	uint64_t from, seq;
	struct outcome o;

	stream_is_there(w, 10);
	o = SINCE(w, "news.a", 9, &from);
	assert_true(o.recovered);
	assert_stream(o, 9);
	assert_false(SINCE(w, "news.a", 8, &from).recovered);	/* the stream's message 9 never came */
	come(w, "news.b", 10);
	seq = come(w, "news.a", 11);
	o = SINCE(w, "news.a", 9, &from);
	assert_true(o.recovered);
	assert_int_equal(from, seq);
	/* one message is kept of this topic, of three; that it has no page of its own makes it two */
	for (uint64_t n = 20; n < 26; n++)
		come_of(w, EPOCH, "short", n, 2500);
	assert_true(SINCE(w, "short", 19, &from).recovered);	/* in the ring they are all */
	go_round(w);
	o = SINCE(w, "short", 19, &from);
	assert_false(o.recovered);
	assert_true(from < ring_oldest(&w->base.hub.ring));
	o = SINCE(w, "short", 25, &from);
	assert_true(o.recovered);
	/* some of the stream was lost */
	nodes_stream_begins(&w->hub->hub, EPOCH, 50);
	assert_false(SINCE(w, "short", 25, &from).recovered);
	assert_false(SINCE(w, "news.a", 48, &from).recovered);
	seq = come(w, "news.a", 50);
	o = SINCE(w, "news.a", 11, &from);
	assert_false(o.recovered);
	assert_int_equal(from, seq);
	assert_true(SINCE(w, "news.a", 49, &from).recovered);
	assert_true(SINCE(w, "news.a", 50, &from).recovered);
}

/* To a topic that is not the stream's its ids mean nothing, and it goes on with what comes; the hub's own mean to all what they ever did. */
static void topics_of_both_kinds(void **state)
{
	struct worker_fixture *w = *state;
	uint64_t from, seq;
	struct outcome o;

	stream_is_there(w, 1);
	seq = come(w, "news.a", 1);
	put(w, "plain", 1);
	come(w, "news.a", 2);
	o = SINCE(w, "plain", 1, &from);
	assert_false(o.recovered);
	assert_int_equal(from, ring_tail(&w->base.hub.ring));
	assert_int_equal(o.stream.epoch, 0);
	assert_stream(LIVE(w, "news.a", "news.b"), 2);
	assert_int_equal(LIVE(w, "news.a", "plain").stream.epoch, 0);
	assert_int_equal(LIVE(w, "plain").stream.epoch, 0);
	assert_stream(LIVE(w, "news.*"), 2);		/* it fits nothing else */
	assert_int_equal(LIVE(w, ">").stream.epoch, 0);
	o = subscribed(w, (struct names){ .name = { "news.a" } }, RESUME_SINCE, (struct position){ hub_epoch(w), seq }, &from);
	assert_true(o.recovered);
	assert_int_equal(from, seq + 2);
	assert_stream(o, 1);
	w->settings.broadcast = true;		/* which nobody asks for */
	assert_stream(LIVE(w, "news.a"), 2);
}

/* From before the stream, and of one that was made anew. */
static void records_without_its_ids(void **state)
{
	struct worker_fixture *w = *state;
	uint64_t plain, first, from;
	struct outcome o;

	join(w->hub, OTHER, "news.a", 1);
	plain = put(w, "news.a", 1);
	stream_is_there(w, 1);
	first = come(w, "news.a", 1);
	come(w, "news.a", 2);
	o = SINCE(w, "news.a", 0, &from);
	assert_int_equal(from, first);		/* what is older is not behind it */
	o = subscribed(w, (struct names){ .name = { "news.a" } }, RESUME_SINCE, (struct position){ hub_epoch(w), plain - 1 }, &from);
	assert_int_equal(from, plain);
	assert_int_equal(o.stream.epoch, 0);	/* its first message has no place there */
	plain = put(w, "news.a", 1);		/* as while it was switched off */
	come(w, "news.a", 3);
	for (int round = 0; round < 2; round++) {
		SINCE(w, "news.a", 2, &from);
		assert_int_equal(from, plain);
		go_round(w);
	}
	nodes_stream_begins(&w->hub->hub, EPOCH + 5, 1);
	first = come_of(w, EPOCH + 5, "news.a", 1, 1);
	o = SINCE(w, "news.a", 1, &from);
	assert_false(o.recovered);		/* nobody knows it any more */
	o = subscribed(w, (struct names){ .name = { "news.a" } }, RESUME_SINCE, (struct position){ EPOCH + 5, 0 }, &from);
	assert_true(o.recovered);
	assert_int_equal(from, first);
	assert_true(o.stream.epoch == EPOCH + 5 && o.stream.seq == 0);
}

/* As of the tail at which the names were joined: what is published, and not noted yet, counts. */
static void the_last_one_before_the_tail(void **state)
{
	struct worker_fixture *w = *state;
	struct publish_item item;

	stream_is_there(w, 1);
	item = item_of("news.a", EPOCH, 7, 1);
	assert_int_equal(nodes_stream_last(&w->hub->hub).seq, 0);
	assert_int_equal(publish(&w->hub->hub, SLOT_BRIDGE, NODE_OF_STREAM, &item, 1), 1);
	assert_int_equal(atomic_load(&w->base.hub.shm->nodes.stream.last), 0);
	assert_int_equal(nodes_stream_last(&w->hub->hub).seq, 7);
	nodes_set_seq(&w->hub->hub, NODE_OF_STREAM, 7);
	publish_done(&w->hub->hub, SLOT_BRIDGE);
	assert_int_equal(nodes_stream_last(&w->hub->hub).seq, 7);
}

/* ---- what is kept ---- */

static struct history_result asked(struct worker_fixture *w, uint64_t since, uint64_t before, char *text, size_t room)
{
	struct history_query query = { .limit = 100, .name = subscribe_topic_name(false, "news.a", 6) };
	struct history_result result;
	size_t len;

	if (since != UINT64_MAX)
		query.since = (struct resume){ .kind = RESUME_SINCE, .since = { EPOCH, since } };
	if (before != UINT64_MAX)
		query.before = (struct resume){ .kind = RESUME_SINCE, .since = { EPOCH, before } };
	len = history_query(&w->service, &query, text, room - 1, room, &result);
	text[len] = '\0';
	return result;
}

static void history_by_ids(void **state)
{
	static char text[1 << 16];
	struct worker_fixture *w = *state;
	struct history_result r;

	stream_is_there(w, 1);
	r = asked(w, 0, UINT64_MAX, text, sizeof(text));		/* there is no such topic */
	assert_true(r.count == 0 && r.replay.recovered);
	assert_stream(r, 0);
	for (uint64_t n = 2; n <= 20; n += 2)
		come_of(w, EPOCH, "news.a", n, 700);
	come(w, "news.b", 21);
	for (int round = 0; round < 2; round++) {
		r = asked(w, UINT64_MAX, UINT64_MAX, text, sizeof(text));
		assert_int_equal(r.count, 10);
		assert_stream(r, 20);
		r = asked(w, 7, UINT64_MAX, text, sizeof(text));
		assert_true(r.count == 7 && r.replay.recovered);
		assert_memory_equal(text, "{\"id\":\"ihegr977-8\",", 19);
		r = asked(w, 7, 12, text, sizeof(text));
		assert_int_equal(r.count, 2);
		assert_stream(r, 10);
		r = asked(w, UINT64_MAX, 6, text, sizeof(text));
		assert_int_equal(r.count, 2);
		r = asked(w, 20, UINT64_MAX, text, sizeof(text));
		assert_true(r.count == 0 && r.replay.recovered);
		assert_stream(r, 21);
		r = asked(w, 30, UINT64_MAX, text, sizeof(text));	/* a client that is ahead stays where it is */
		assert_true(r.count == 0 && r.replay.recovered);
		assert_stream(r, 30);
		go_round(w);
	}
}

/* ---- sessions ---- */

/* The node that has sent it knows where its message was among all others. */
static void where_a_session_is_that_is_attached_to(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_WEBSOCKET);
	struct resume asked = { .kind = RESUME_SINCE, .since = { EPOCH, 2 } };
	uint64_t seq;

	stream_is_there(w, 1);
	subscribe(w, fd, "plain");
	subscribe(w, fd, "news.a");
	come(w, "news.a", 1);
	put(w, "plain", 1);
	seq = come(w, "news.a", 2);
	come(w, "news.a", 4);
	attach_settle(&w->base, fd, &asked);
	assert_true(asked.since.epoch == hub_epoch(w) && asked.since.seq == seq);
	asked.since = (struct position){ EPOCH, 3 };		/* this session was not sent it */
	attach_settle(&w->base, fd, &asked);
	assert_true(asked.since.epoch == EPOCH && asked.since.seq == 3);
}

/* ---- the first reading ---- */

static unsigned refused(struct worker_fixture *w, enum request_kind kind, const char *name)
{
	struct cursor c = opened_with_input(w, TRANSPORT_WEBSOCKET);
	struct request req = { .kind = kind, .after = 10, .names = { .one = subscribe_topic_name(false, name, strlen(name)) } };
	struct outcome o;

	req.error = NULL;
	request_serve(&w->service, &c, &req, &o);
	end_session(w, c.sid);
	return o.kind == OUTCOME_ANSWER && o.error ? o.status : 0;
}

static void nobody_gets_old_messages_as_new_ones(void **state)
{
	static const char *const gated[] = { "news.a", "short", "news.>", "*.a", ">" }, *const not[] = { "plain", "other.>", "sports.*" }, *error;
	struct topic_name presence = subscribe_topic_name(false, "news.a@presence", 15);
	struct worker_fixture *w = *state;

	stream_is_there(w, 1);
	nodes_set_stream(&w->hub->hub, STREAM_FILLING, "");
	for (size_t i = 0; i < sizeof(gated) / sizeof(gated[0]); i++)
		assert_int_equal(refused(w, REQUEST_SUBSCRIBE, gated[i]), 503);
	assert_int_equal(refused(w, REQUEST_PUBLISH, "news.a"), 503);
	for (size_t i = 0; i < sizeof(not) / sizeof(not[0]); i++)
		assert_int_equal(refused(w, REQUEST_SUBSCRIBE, not[i]), 0);
	assert_int_equal(access_refuses(&w->service, 0, RIGHT_SUBSCRIBE, &presence, &error), 0);	/* (each node has its own) */
	nodes_set_stream(&w->hub->hub, STREAM_AWAY, "");
	assert_int_equal(refused(w, REQUEST_SUBSCRIBE, "news.a"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(service, what_is_behind_an_id),
		TEST_ON(service, who_is_ahead),
		TEST_ON(service, what_can_be_missing),
		TEST_ON(service, topics_of_both_kinds),
		TEST_ON(service, records_without_its_ids),
		TEST_ON(service, the_last_one_before_the_tail),
		TEST_ON(service, history_by_ids),
		TEST_ON(service, where_a_session_is_that_is_attached_to),
		TEST_ON(service, nobody_gets_old_messages_as_new_ones),
	};

	alarm(60);
	return cmocka_run_group_tests_name("since_stream", tests, NULL, NULL);
}
