/*
 * What is published to topics of the stream that all nodes have: a record that nobody gets from here, and what the stream says of it.
 */
#include "tests/unit/history_fixture.h"

#include "shm/nodes.h"
#include "shm/publish.h"

#define SLOT 4
#define FD 17
#define ONE "\"topic\":\"kept.1\",\"data\":1}"
#define TWO "\"topic\":\"kept.2\",\"data\":22}"
#define OTHER "\"topic\":\"other\",\"data\":1}"

static struct publish_item items[4];

static int begin(void **state)
{
	struct fixture *f = *state = calloc(1, sizeof(*f));

	begin_with(f, "kept.*: 10 messages", PAGES);
	nodes_begin(&f->hub, "here");
	nodes_set_stream(&f->hub, STREAM_HERE, "");
	f->hub.once.keep = 60000000;
	memset(items, 0, sizeof(items));
	return 0;
}

static void put(unsigned place, const char *topic, const char *message)
{
	items[place] = (struct publish_item){
		.hash = index_hash(topic, strlen(topic)), .topic = topic, .topic_len = (uint8_t)strlen(topic), .message = message, .len = (uint32_t)strlen(message), .parsed = 100,
	};
}

static bool next(struct fixture *f, uint64_t *seq, struct nodes_message *m)
{
	uint64_t overtaken = 0;

	return nodes_next(&f->hub, seq, ring_tail(&f->hub.ring), m, &overtaken) == 1;
}

static void nobody_here_gets_it(void **state)
{
	struct fixture *f = *state;
	uint64_t seq = ring_tail(&f->hub.ring);
	struct nodes_message m;

	go_live(f, SLOT + 1, true);
	join(f, SLOT + 1, "kept.1", 3);
	join(f, SLOT + 1, "kept.>", 2);
	put(0, "kept.1", ONE);
	put(1, "other", OTHER);
	put(2, "kept.2", TWO);
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, 3), 0);
	publish_done(&f->hub, SLOT);
	check_history(f);
	/* it is counted, and has a place; nobody is woken, and nothing is kept */
	assert_true(items[0].to_stream && !items[1].to_stream && items[2].to_stream);
	assert_int_equal(items[0].seq, seq);
	assert_int_equal(items[1].seq, 0);
	assert_int_equal(items[2].seq, seq + 2);
	assert_int_equal(items[0].subscribers, 5);
	assert_int_equal(items[2].subscribers, 2);
	assert_int_equal(woken(f, SLOT + 1), 0);
	assert_int_equal(find(f, "kept.2"), TOPIC_NONE);
	assert_true(next(f, &seq, &m) && m.to_stream && m.key_len == 0 && m.len == strlen(ONE) && memcmp(m.bytes, ONE, m.len) == 0);
	assert_true(next(f, &seq, &m) && !m.to_stream);
	assert_true(next(f, &seq, &m) && m.to_stream && memcmp(m.bytes, TWO, m.len) == 0);
	assert_false(next(f, &seq, &m));
}

static void what_comes_of_it_is_a_message_like_others(void **state)
{
	struct fixture *f = *state;

	put(0, "kept.1", ONE);
	items[0].parsed = 7;
	assert_int_equal(nodes_publish(&f->hub, NODE_OF_STREAM, items, 1), 1);
	assert_int_not_equal(find(f, "kept.1"), TOPIC_NONE);
	check_history(f);
}

static void without_a_stream_it_is_as_ever(void **state)
{
	struct fixture *f = *state;

	nodes_set_stream(&f->hub, STREAM_OFF, "");
	put(0, "kept.1", ONE);
	items[0].key = "k";
	items[0].key_len = 1;
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, 1), 0);
	publish_done(&f->hub, SLOT);
	assert_false(items[0].to_stream);
	assert_int_not_equal(find(f, "kept.1"), TOPIC_NONE);
	check_history(f);
}

/* The stream says of it what it says; who died finds it, as he finds what he has published. */
static void answers_are_recalled(void **state)
{
	struct fixture *f = *state;
	struct node_ack acks[2];
	uint64_t first = ring_tail(&f->hub.ring);

	join(f, SLOT + 1, "kept.1", 3);
	put(0, "kept.1", ONE);
	put(1, "kept.2", TWO);
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, 2), 0);
	hub_repair(&f->hub, SLOT);		/* it dies */
	memset(&items[0].seq, 0, sizeof(items[0].seq));
	items[0].to_stream = items[1].to_stream = false;
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, 2), 0);
	assert_int_equal(ring_tail(&f->hub.ring), first + 2);
	assert_true(items[0].to_stream && items[0].seq == first && items[0].subscribers == 3);
	assert_true(items[1].to_stream && items[1].seq == first + 1 && items[1].subscribers == 0);
	publish_done(&f->hub, SLOT);
	assert_int_equal(nodes_ack_of(&f->hub, first), 0);
	acks[0] = (struct node_ack){ first, 41 | STREAM_DUPLICATE };
	acks[1] = (struct node_ack){ first + 1, STREAM_REFUSED };
	nodes_acked(&f->hub, acks, 2);
	assert_true(nodes_ack_of(&f->hub, first) == 41);	/* (without a key it is none that anybody has repeated) */
	assert_true(nodes_ack_of(&f->hub, first + 1) == STREAM_REFUSED);
	check_history(f);
}

static int publish_with(struct fixture *f, const char *key, unsigned count)
{
	struct once_id id;

	once_id(&f->hub.once, "", 0, key, strlen(key), &id);
	for (unsigned i = 0; i < count; i++) {
		items[i].key = key;
		items[i].key_len = (uint8_t)strlen(key);
		items[i].key_number = count > 1 ? (uint16_t)(i + 1) : 0;
		once_add_message(&f->hub.once, &id, items[i].message, items[i].len);
	}
	return publish_once(&f->hub, SLOT, FD, items, count, &id);
}

/* It is the stream that knows keys: each goes with its message, as often as it is shown. */
static void keys_are_the_streams(void **state)
{
	struct fixture *f = *state;
	uint64_t seq = ring_tail(&f->hub.ring);
	struct nodes_message m;
	char key[256];

	for (int n = 0; n < 2; n++) {
		put(0, "kept.1", ONE);
		assert_int_equal(publish_with(f, "k", 1), 0);
		publish_done(&f->hub, SLOT);
		assert_true(next(f, &seq, &m) && m.to_stream && m.key_len == 1 && *m.key == 'k' && m.len == strlen(ONE) && memcmp(m.bytes, ONE, m.len) == 0);
	}
	put(0, "kept.1", ONE);
	put(1, "kept.1", TWO);
	memset(key, 'x', 250);
	key[250] = '\0';
	assert_int_equal(publish_with(f, key, 2), 0);
	publish_done(&f->hub, SLOT);
	for (int n = 0; n < 2; n++)
		assert_true(next(f, &seq, &m) && m.key_len == 252 && memcmp(m.key, key, 250) == 0 && m.key[250] == '#' && m.key[251] == '1' + n);
	/* of some that are for it, and some that are not, nobody knows whether all are new */
	put(1, "other", OTHER);
	assert_int_equal(publish_with(f, "k", 2), -1);
	assert_int_equal(errno, EINVAL);
	put(1, "kept.1", TWO);
	key[250] = 'x';
	key[251] = '\0';
	assert_int_equal(publish_with(f, key, 2), -1);
	assert_int_equal(errno, EINVAL);
	assert_false(next(f, &seq, &m));
	check_history(f);
}

/* Below acked_to all have their answer. An answer is for a record for the stream, and the first one counts. */
static void answers_are_looked_through(void **state)
{
	struct fixture *f = *state;
	uint64_t first = ring_tail(&f->hub.ring);
	const struct node_ack acks[] = { { first, 11 }, { first, 12 }, { first + 1, 13 }, { first + 3, STREAM_REFUSED }, { first + 100, 14 } };

	nodes_stream_is(&f->hub, "events", true);
	assert_int_equal(nodes_stream(&f->hub), STREAM_HERE);	/* (it was) */
	atomic_store(&f->hub.shm->nodes.stream.acked_to, first);
	put(0, "kept.1", ONE);
	put(1, "other", OTHER);
	put(2, "kept.2", TWO);
	put(3, "kept.2", TWO);
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, 4), 0);
	publish_done(&f->hub, SLOT);
	nodes_set_sent(&f->hub, ring_tail(&f->hub.ring));
	assert_int_equal(nodes_look_at_acks(&f->hub, 100), 0);
	assert_int_equal(nodes_acked_to(&f->hub), first);
	f->hub.shm->nodes.waiting = 1ull << (SLOT + 1);
	nodes_acked(&f->hub, acks, 5);
	check_history(f);
	assert_int_equal(f->hub.shm->nodes.waiting, 0);
	assert_int_equal(nodes_ack_of(&f->hub, first), 11);
	assert_int_equal(nodes_ack_of(&f->hub, first + 1), 0);
	assert_int_equal(nodes_ack_of(&f->hub, first + 3), STREAM_REFUSED);
	assert_int_equal(nodes_look_at_acks(&f->hub, 100), 0);
	assert_int_equal(nodes_acked_to(&f->hub), first + 2);
	nodes_acked(&f->hub, &(struct node_ack){ first + 2, 15 }, 1);
	assert_int_equal(nodes_look_at_acks(&f->hub, 1), 0);
	assert_int_equal(nodes_acked_to(&f->hub), first + 3);
	assert_int_equal(nodes_look_at_acks(&f->hub, 100), 0);
	assert_int_equal(nodes_acked_to(&f->hub), ring_tail(&f->hub.ring));
}

/* What came of it and `last` are one commit, whoever dies. */
static void last_is_stored_in_a_dead_ones_stead(void **state)
{
	struct fixture *f = *state;

	nodes_stream_begins(&f->hub, 4711, 5);
	put(0, "kept.1", ONE);
	items[0].parsed = 7;
	assert_int_equal(publish(&f->hub, SLOT_BRIDGE, NODE_OF_STREAM, items, 1), 1);
	assert_int_equal(f->hub.shm->nodes.stream.last, 4);
	hub_repair(&f->hub, SLOT_BRIDGE);
	assert_int_equal(f->hub.shm->nodes.stream.last, 7);
	check_history(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nobody_here_gets_it, begin, teardown),
		cmocka_unit_test_setup_teardown(what_comes_of_it_is_a_message_like_others, begin, teardown),
		cmocka_unit_test_setup_teardown(without_a_stream_it_is_as_ever, begin, teardown),
		cmocka_unit_test_setup_teardown(answers_are_recalled, begin, teardown),
		cmocka_unit_test_setup_teardown(keys_are_the_streams, begin, teardown),
		cmocka_unit_test_setup_teardown(answers_are_looked_through, begin, teardown),
		cmocka_unit_test_setup_teardown(last_is_stored_in_a_dead_ones_stead, begin, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
