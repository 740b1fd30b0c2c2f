/*
 * What the hub does for other nodes: what is for them, how far it was sent, what came of them, and what a death of the bridge leaves.
 */
#include "tests/unit/hub_fixture.h"

#include "shm/nodes.h"
#include "shm/publish.h"

#define SLOT 4			/* of a worker that publishes */
#define FD 17
#define EPOCH 4711

static struct publish_item items[200];
static unsigned count;

/* One more item; a message of which nothing counts but its members. */
static void put(const char *topic, const char *message, uint64_t parsed)
{
	items[count++] = (struct publish_item){
		.hash = index_hash(topic, strlen(topic)), .topic = topic, .topic_len = (uint8_t)strlen(topic), .message = message, .len = (uint32_t)strlen(message), .parsed = parsed,
	};
}

static void publish_one(struct fixture *f, const char *topic, const char *message)
{
	count = 0;
	put(topic, message, 1);
	assert_int_equal(publish(&f->hub, SLOT, FD, items, 1), 1);
	publish_done(&f->hub, SLOT);
	check(f);
}

static void on(struct fixture *f)
{
	nodes_begin(&f->hub, "here");
	assert_int_equal(nodes_state(&f->hub), NODES_CONNECTING);
	assert_int_equal(nodes_sent(&f->hub), ring_tail(&f->hub.ring));
}

/* The next message that is for others, from *seq on; "" there is none. */
static const char *next(struct fixture *f, uint64_t *seq, struct nodes_message *m)
{
	static char text[256];
	uint64_t overtaken = 0;
	int r = nodes_next(&f->hub, seq, ring_tail(&f->hub.ring), m, &overtaken);

	assert_true(r >= 0 && overtaken == 0);
	snprintf(text, sizeof(text), "%.*s", r ? (int)m->len : 0, r ? m->bytes : "");
	return text;
}

#define A "\"topic\":\"a\",\"data\":1}"
#define BOB "\"to\":\"bob\",\"data\":1}"
#define BOTH "\"topic\":\"a\",\"to\":\"bob\",\"data\":1}"	/* as a publisher of the flash socket may have it */
#define ALL "\"broadcast\":true,\"data\":1}"

/* ---- out ---- */

static void alone_nothing_is_stored_that_nobody_subscribes(void **state)
{
	struct fixture *f = *state;

	publish_one(f, "a", A);
	assert_int_equal(ring_tail(&f->hub.ring), 1);
	assert_int_equal(f->hub.index.shm->unheard, 1);
}

static void what_nobody_here_subscribes_is_for_others(void **state)
{
	struct fixture *f = *state;
	struct nodes_message m;
	uint64_t seq;

	join(f, 1, "heard", 1);
	on(f);
	atomic_store(&slot_of(f, SLOT_BRIDGE)->sleeping, 1);
	seq = nodes_sent(&f->hub);
	publish_one(f, "a", A);
	assert_int_equal(woken(f, SLOT_BRIDGE), 1);
	publish_one(f, "heard", "\"topic\":\"heard\"}");
	publish_one(f, "\1bob", BOB);
	publish_one(f, "\2", ALL);
	publish_one(f, "\1bob", BOTH);
	publish_one(f, "a", BOTH);
	assert_int_equal(ring_tail(&f->hub.ring), 7);
	assert_int_equal(f->hub.index.shm->unheard, 0);
	assert_int_equal(f->hub.index.shm->used, 1);	/* none of these is in the index */
	assert_int_equal(hub_counter(&f->hub, SLOT, COUNTER_published_unheard), 5);
	assert_string_equal(next(f, &seq, &m), A);
	assert_int_equal(m.seq, 1);
	assert_int_equal(m.to, MESSAGE_TO_TOPIC);
	assert_int_equal(m.view.topic.len, 3);
	assert_string_equal(next(f, &seq, &m), "\"topic\":\"heard\"}");
	assert_string_equal(next(f, &seq, &m), BOB);
	assert_int_equal(m.to, MESSAGE_TO_USER);
	assert_string_equal(next(f, &seq, &m), ALL);
	assert_int_equal(m.to, MESSAGE_TO_ALL);
	assert_string_equal(next(f, &seq, &m), BOTH);
	assert_int_equal(m.to, MESSAGE_TO_USER);
	assert_string_equal(next(f, &seq, &m), BOTH);
	assert_int_equal(m.to, MESSAGE_TO_TOPIC);
	assert_string_equal(next(f, &seq, &m), "");
	assert_int_equal(seq, 7);
}

/* Who asked is told what he would be told without other nodes, also by a successor. */
static void answers_are_of_this_node(void **state)
{
	struct fixture *f = *state;

	join(f, 1, "heard", 3);
	on(f);
	count = 0;
	put("a", A, 1);
	put("heard", A, 2);
	put("a", A, 3);
	for (unsigned died = 0; died < 2; died++) {
		assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, count), 0);
		assert_int_equal(ring_tail(&f->hub.ring), 4);
		assert_int_equal(items[0].seq, 0);
		assert_int_equal(items[1].seq, 2);
		assert_int_equal(items[1].subscribers, 3);
		assert_int_equal(items[2].seq, 0);
		hub_repair(&f->hub, SLOT);
	}
	publish_done(&f->hub, SLOT);
	check(f);
}

/* A message for patterns alone has its own record with the first of them, and the others are passed by. */
static void messages_with_echoes_are_sent_once(void **state)
{
	struct fixture *f = *state;
	struct nodes_message m;
	uint64_t seq;

	join(f, 1, "x.*", 1);
	join(f, 1, "x.>", 1);
	on(f);
	seq = nodes_sent(&f->hub);
	publish_one(f, "x.y", "\"topic\":\"x.y\"}");
	assert_int_equal(ring_tail(&f->hub.ring), 3);
	publish_one(f, "a", A);
	assert_string_equal(next(f, &seq, &m), "\"topic\":\"x.y\"}");
	assert_string_equal(next(f, &seq, &m), A);
	assert_string_equal(next(f, &seq, &m), "");
}

static void changes_of_presence_are_a_nodes_own(void **state)
{
	struct fixture *f = *state;
	struct member_change change;
	struct nodes_message m;
	uint64_t seq;
	uint32_t topic;
	bool made;

	join(f, 1, "t@presence", 1);
	on(f);
	seq = nodes_sent(&f->hub);
	topic = members_watch(&f->hub.members, index_hash("t", 1), "t", 1, 0, 1, &made);
	assert_true(members_whole(&f->hub.members, topic, 1));
	assert_int_equal(members_set(&f->hub.members, topic, members_cell(&f->hub.members, topic)->serial, index_hash("u", 1), "u", 1, 1, true), 0);
	assert_true(members_next_change(&f->hub.members, &change));
	assert_int_equal(publish_change(&f->hub, SLOT, &change), 0);
	assert_int_equal(ring_tail(&f->hub.ring), 2);
	assert_string_equal(next(f, &seq, &m), "");
}

/* The publisher dies in the middle of a batch of such records; others follow in their place. */
static void a_batch_is_undone(void **state)
{
	struct fixture *f = *state;
	struct ring_batch batch;

	on(f);
	publish_one(f, "a", A);
	lock_acquire(&f->hub.shm->lock, SLOT + 1);
	ring_begin(&f->hub.ring, &batch);
	assert_non_null(ring_add(&f->hub.ring, &batch, TOPIC_NONE, 10, 0, 5));
	assert_non_null(ring_add(&f->hub.ring, &batch, TOPIC_NONE, 10, 0, 5));
	hub_repair(&f->hub, SLOT);
	check(f);
	publish_one(f, "a", A);
	publish_one(f, "a", A);
	assert_int_equal(ring_tail(&f->hub.ring), 4);
}

static void what_is_overtaken_is_told(void **state)
{
	struct fixture *f = *state;
	struct nodes_message m;
	uint64_t seq, overtaken = 0;

	on(f);
	seq = nodes_sent(&f->hub);
	for (unsigned i = 0; i < RING_MESSAGES + 10; i++)
		publish_one(f, "a", A);
	assert_int_equal(nodes_next(&f->hub, &seq, ring_tail(&f->hub.ring), &m, &overtaken), -1);
	assert_int_equal(overtaken, 10);
	assert_int_equal(seq, ring_oldest(&f->hub.ring));
	assert_int_equal(nodes_next(&f->hub, &seq, ring_tail(&f->hub.ring), &m, &overtaken), 1);
	assert_int_equal(m.seq, 11);
}

/* ---- flow control ---- */

static bool can_publish(struct fixture *f)
{
	bool ready = publish_ready(&f->hub, false);

	count = 0;
	put("a", A, 1);
	assert_int_equal(publish(&f->hub, SLOT, FD, items, 1), ready);
	publish_done(&f->hub, SLOT);
	return ready;
}

/* Publishers wait for a bridge that is connected and alive, and for no other. */
static void publishers_wait_for_nats_only_while_it_is_there(void **state)
{
	struct fixture *f = *state;

	on(f);
	nodes_set_state(&f->hub, NODES_CONNECTED, "nats://127.0.0.1:4222", "");
	nodes_beat(&f->hub, once_now());
	assert_true(nodes_may_sleep(&f->hub, ring_tail(&f->hub.ring)));
	for (unsigned i = 0; i <= RING_MESSAGES / 2; i++)
		assert_true(can_publish(f));
	assert_false(can_publish(f));
	assert_int_equal(woken(f, SLOT_BRIDGE), 1);
	nodes_set_sent(&f->hub, ring_tail(&f->hub.ring) - 10);
	assert_true(can_publish(f));
	nodes_set_sent(&f->hub, 1);
	assert_false(can_publish(f));
	nodes_beat(&f->hub, once_now() - 10000);
	assert_true(can_publish(f));
	nodes_beat(&f->hub, once_now());
	assert_false(can_publish(f));
	nodes_set_state(&f->hub, NODES_AWAY, "", "it is gone");
	assert_true(can_publish(f));
	assert_string_equal(f->hub.shm->nodes.error, "it is gone");
	nodes_set_state(&f->hub, NODES_CONNECTED, NULL, "");
	assert_false(can_publish(f));
	nodes_bereave(&f->hub);
	assert_int_equal(nodes_state(&f->hub), NODES_CONNECTING);
	assert_true(can_publish(f));
}

static void the_bridge_is_no_worker(void **state)
{
	struct fixture *f = *state;

	on(f);
	assert_false(hub_slot_used(&f->hub, SLOT_BRIDGE));
	nodes_set_state(&f->hub, NODES_CONNECTED, "", "");
	assert_false(hub_slot_used(&f->hub, SLOT_BRIDGE));
	hub_wake_all(&f->hub);
	assert_int_equal(woken(f, SLOT_BRIDGE), 1);
	nodes_end(&f->hub, INDEX_SLOTS_MAX + 1);
	hub_wake_all(&f->hub);
	assert_int_equal(woken(f, SLOT_BRIDGE), 0);
	publish_one(f, "a", A);
	assert_int_equal(ring_tail(&f->hub.ring), 1);
}

/* ---- in ---- */

static uint64_t seq_of(struct fixture *f, unsigned peer)
{
	return f->hub.shm->nodes.peer[peer].seq;
}

static void what_comes_is_not_sent_on(void **state)
{
	struct fixture *f = *state;
	struct nodes_message m;
	unsigned peer;
	uint64_t seq;

	join(f, 1, "a", 1);
	on(f);
	seq = nodes_sent(&f->hub);
	peer = nodes_meet(&f->hub, "there", EPOCH, 10);
	count = 0;
	put("a", A, 11);
	put("nobody's", A, 12);
	put("a", A, 15);
	assert_int_equal(nodes_publish(&f->hub, peer, items, 3), 3);
	assert_int_equal(ring_tail(&f->hub.ring), 3);
	assert_int_equal(seq_of(f, peer), 15);
	assert_int_equal(slot_of(f, SLOT_BRIDGE)->intent.state, INTENT_NONE);
	assert_string_equal(next(f, &seq, &m), "");
	count = 0;
	put("a", A, 0);
	assert_int_equal(nodes_publish(&f->hub, NODE_NONE, items, 1), 1);
	assert_int_equal(seq_of(f, peer), 15);
	check(f);
}

/* The bridge dies with its intent written, having published or not, and holding the lock or not. */
static void peers_sequence_goes_with_the_records(void **state)
{
	struct fixture *f = *state;
	unsigned peer;

	join(f, 1, "a", 1);
	on(f);
	peer = nodes_meet(&f->hub, "there", EPOCH, 10);
	count = 0;
	put("a", A, 20);
	assert_int_equal(publish(&f->hub, SLOT_BRIDGE, (int)peer, items, 1), 1);	/* it died behind it */
	assert_int_equal(seq_of(f, peer), 10);
	hub_repair(&f->hub, SLOT_BRIDGE);
	assert_int_equal(seq_of(f, peer), 20);
	assert_int_equal(slot_of(f, SLOT_BRIDGE)->intent.state, INTENT_NONE);
	slot_of(f, SLOT_BRIDGE)->intent.first = ring_tail(&f->hub.ring);	/* the next one's tail did not move */
	slot_of(f, SLOT_BRIDGE)->intent.parsed = 30;
	slot_of(f, SLOT_BRIDGE)->intent.state = INTENT_WRITTEN;
	lock_acquire(&f->hub.shm->lock, SLOT_BRIDGE + 1);
	hub_repair(&f->hub, SLOT_BRIDGE);
	assert_int_equal(seq_of(f, peer), 20);
	assert_int_equal(slot_of(f, SLOT_BRIDGE)->intent.state, INTENT_NONE);
	slot_of(f, SLOT_BRIDGE)->intent.fd = NODE_NONE;		/* of nobody */
	slot_of(f, SLOT_BRIDGE)->intent.state = INTENT_WRITTEN;
	hub_repair(&f->hub, SLOT_BRIDGE);
	assert_int_equal(seq_of(f, peer), 20);
	check(f);
}

static void peers_are_met_and_forgotten(void **state)
{
	struct fixture *f = *state;
	char name[16];
	unsigned first, again;

	on(f);
	first = nodes_meet(&f->hub, "there", EPOCH, 10);
	assert_int_equal(nodes_find(&f->hub, "there"), first);
	assert_int_equal(nodes_find(&f->hub, "ther"), NODE_NONE);
	nodes_set_seq(&f->hub, first, 20);
	nodes_set_seq(&f->hub, first, 15);
	assert_int_equal(seq_of(f, first), 20);
	again = nodes_meet(&f->hub, "there", EPOCH + 1, 3);
	assert_int_equal(again, first);
	assert_int_equal(seq_of(f, first), 3);
	assert_int_equal(f->hub.shm->nodes.peer[first].epoch, EPOCH + 1);
	for (unsigned i = 1; i < NODES_MAX; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_not_equal(nodes_meet(&f->hub, name, EPOCH, 1), NODE_NONE);
	}
	assert_int_equal(nodes_meet(&f->hub, "more", EPOCH, 1), NODE_NONE);
	nodes_forget(&f->hub, 7);
	assert_int_equal(nodes_meet(&f->hub, "more", EPOCH, 1), 7);
	nodes_end(&f->hub, INDEX_SLOTS_MAX + 1);
	assert_int_equal(nodes_find(&f->hub, "more"), NODE_NONE);
}

static void names(void **state)
{
	char name[NODE_NAME_MAX + 2];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[NODE_NAME_MAX + 1] = '\0';
	assert_false(nodes_name_is_good(name));
	name[NODE_NAME_MAX] = '\0';
	assert_true(nodes_name_is_good(name));
	assert_true(nodes_name_is_good("a-B_7.example"));
	assert_false(nodes_name_is_good(""));
	assert_false(nodes_name_is_good("a b"));
	assert_false(nodes_name_is_good("a*"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(alone_nothing_is_stored_that_nobody_subscribes, setup, teardown),
		cmocka_unit_test_setup_teardown(what_nobody_here_subscribes_is_for_others, setup, teardown),
		cmocka_unit_test_setup_teardown(answers_are_of_this_node, setup, teardown),
		cmocka_unit_test_setup_teardown(messages_with_echoes_are_sent_once, setup, teardown),
		cmocka_unit_test_setup_teardown(changes_of_presence_are_a_nodes_own, setup, teardown),
		cmocka_unit_test_setup_teardown(a_batch_is_undone, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_overtaken_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(publishers_wait_for_nats_only_while_it_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(the_bridge_is_no_worker, setup, teardown),
		cmocka_unit_test_setup_teardown(what_comes_is_not_sent_on, setup, teardown),
		cmocka_unit_test_setup_teardown(peers_sequence_goes_with_the_records, setup, teardown),
		cmocka_unit_test_setup_teardown(peers_are_met_and_forgotten, setup, teardown),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
