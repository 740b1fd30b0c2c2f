/*
 * Snapshots: what is known of other nodes, and what they may still be owed.
 */
#include "tests/unit/snapshot_fixture.h"

#include "shm/nodes.h"

#define NODE "\"topic\":\"nobody's\",\"data\":1}"

/* A message of nobody here, for other nodes, or of one. */
static void publish_abroad(struct server *s, uint32_t flags)
{
	struct ring_batch b;
	void *dst;

	ring_begin(&s->hub.ring, &b);
	dst = ring_add(&s->hub.ring, &b, TOPIC_NONE, sizeof(NODE) - 1, flags, 7);
	memcpy(dst, NODE, sizeof(NODE) - 1);
	ring_commit(&s->hub.ring, &b);
	check(s);
}

static void populate(struct server *s)
{
	struct nodes_shm *nodes = &s->hub.shm->nodes;
	unsigned peer;

	nodes_begin(&s->hub, "here");
	nodes_set_state(&s->hub, NODES_CONNECTED, "nats://127.0.0.1:4222", "");
	join(s, 0, "gone");
	publish_abroad(s, 0);			/* 1: proven */
	publish_abroad(s, 0);			/* 2 */
	publish(s, "gone", 20);			/* 3 */
	publish_abroad(s, RING_FOREIGN);	/* 4 */
	publish_abroad(s, RING_TO_USER);	/* 5 */
	index_leave(&s->hub.index, 0, find(s, "gone"));
	nodes_set_proven(&s->hub, 2);
	nodes_set_sent(&s->hub, 4);
	nodes->mark = 77;
	peer = nodes_meet(&s->hub, "there", 4711, 1000);
	nodes->peer[peer].mark = 12;
	nodes->peer[peer].marked = 990;
	nodes->peer[peer].acked = 3;
	nodes->peer[peer].in = 100;
	peer = nodes_meet(&s->hub, "forgotten", 1, 1);
	nodes_meet(&s->hub, "yonder", UINT64_MAX, 5);
	nodes_forget(&s->hub, peer);
	hub_count(&s->hub, SLOT_BRIDGE, COUNTER_nodes_out, 3);
}

static void verify(struct server *s)
{
	const struct nodes_shm *nodes = &s->hub.shm->nodes;
	struct nodes_message m;
	uint64_t seq = nodes->proven, overtaken = 0;
	unsigned peer;

	check(s);
	assert_int_equal(nodes_state(&s->hub), NODES_CONNECTING);
	assert_string_equal(nodes->name, "here");
	assert_int_equal(nodes->proven, 2);
	assert_int_equal(nodes_sent(&s->hub), 4);
	assert_int_equal(nodes->mark, 77);
	assert_int_equal(hub_counter(&s->hub, SLOT_BRIDGE, COUNTER_nodes_out), 3);
	peer = nodes_find(&s->hub, "there");
	assert_int_not_equal(peer, NODE_NONE);
	assert_int_equal(nodes->peer[peer].epoch, 4711);
	assert_int_equal(nodes->peer[peer].seq, 1000);
	assert_int_equal(nodes->peer[peer].mark, 12);
	assert_int_equal(nodes->peer[peer].marked, 990);
	assert_int_equal(nodes->peer[peer].acked, 3);
	assert_int_equal(nodes->peer[peer].in, 100);
	assert_int_equal(nodes->peer[nodes_find(&s->hub, "yonder")].epoch, UINT64_MAX);
	assert_int_equal(nodes_find(&s->hub, "forgotten"), NODE_NONE);
	assert_int_equal(nodes_next(&s->hub, &seq, 6, &m, &overtaken), 1);
	assert_int_equal(m.seq, 2);
	assert_memory_equal(m.bytes, NODE, m.len);
	assert_int_equal(nodes_next(&s->hub, &seq, 6, &m, &overtaken), 1);
	assert_int_equal(m.seq, 5);
	assert_int_equal(nodes_next(&s->hub, &seq, 6, &m, &overtaken), 0);
	assert_int_equal(overtaken, 0);
}

static void all_comes_back(void **state)
{
	struct server a, b, c;
	int x = file(), y = file();

	(void)state;
	start(&a, 65536, 128, 16, 8);
	start(&b, 65536, 128, 16, 8);
	start(&c, 65536, 128, 16, 8);
	populate(&a);
	assert_int_equal(snapshot_write_hub(&a.hub, 1, x), 0);
	assert_int_equal(snapshot_read_hub(&b.hub, x), 0);
	verify(&b);
	assert_int_equal(snapshot_write_hub(&b.hub, 1, y), 0);
	assert_int_equal(snapshot_read_hub(&c.hub, y), 0);
	verify(&c);
	stop(&a);
	stop(&b);
	stop(&c);
	close(x);
	close(y);
}

/* Of what nobody is owed, nothing is kept but the sequence. */
static void alone_there_is_nothing(void **state)
{
	struct server a, b;
	struct ring_record rec;
	int fd = file();

	(void)state;
	start(&a, 65536, 128, 16, 8);
	start(&b, 65536, 128, 16, 8);
	populate(&a);
	nodes_end(&a.hub, OWNER);
	assert_int_equal(snapshot_write_hub(&a.hub, 1, fd), 0);
	assert_int_equal(snapshot_read_hub(&b.hub, fd), 0);
	check(&b);
	assert_int_equal(nodes_state(&b.hub), NODES_OFF);
	assert_int_equal(nodes_find(&b.hub, "there"), NODE_NONE);
	for (uint64_t seq = 1; seq < 6; seq++) {
		assert_int_equal(ring_read(&b.hub.ring, seq, &rec), 0);
		assert_int_equal(rec.len, 1);
	}
	stop(&a);
	stop(&b);
	close(fd);
}

/* Which stream there is, how far it came, and what it has not answered yet. */
static void the_stream_goes_on(void **state)
{
	const struct node_ack ack = { 2, 17 };
	struct server a, b;
	uint64_t seq = 1, overtaken = 0;
	struct nodes_message m;
	int fd = file();

	(void)state;
	start(&a, 65536, 128, 16, 8);
	start(&b, 65536, 128, 16, 8);
	nodes_begin(&a.hub, "here");
	nodes_stream_is(&a.hub, "events", true);
	nodes_stream_begins(&a.hub, 1780000000000, 5);
	nodes_shm_set_seq(&a.hub.shm->nodes, NODE_OF_STREAM, 40);
	nodes_set_stream(&a.hub, STREAM_HERE, "");
	for (unsigned i = 0; i < 3; i++)
		publish_abroad(&a, RING_TO_STREAM);
	nodes_acked(&a.hub, &ack, 1);
	nodes_set_sent(&a.hub, 4);
	nodes_set_proven(&a.hub, 4);
	assert_int_equal(snapshot_write_hub(&a.hub, 1, fd), 0);
	assert_int_equal(snapshot_read_hub(&b.hub, fd), 0);
	check(&b);
	assert_int_equal(nodes_stream(&b.hub), STREAM_AWAY);
	assert_string_equal(b.hub.shm->nodes.stream.name, "events");
	assert_int_equal(b.hub.shm->nodes.stream.epoch, 1780000000000);
	assert_int_equal(b.hub.shm->nodes.stream.first, 5);
	assert_int_equal(b.hub.shm->nodes.stream.last, 40);
	assert_int_equal(nodes_acked_to(&b.hub), 1);
	for (uint64_t want = 1; want < 4; want++) {
		assert_int_equal(nodes_next(&b.hub, &seq, 4, &m, &overtaken), 1);
		assert_true(m.to_stream && m.len == sizeof(NODE) - 1 && memcmp(m.bytes, NODE, m.len) == 0);
		assert_int_equal(m.sseq, want == 2 ? 17 : 0);
	}
	stop(&a);
	stop(&b);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_comes_back),
		cmocka_unit_test(alone_there_is_nothing),
		cmocka_unit_test(the_stream_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
