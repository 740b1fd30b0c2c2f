/*
 * master/bridge/peers.c: what counts of what another node sends, what is asked for, and what a new bridge knows. (uplink.c is not in this program: what would be sent is kept here.)
 */
#include "tests/unit/hub_fixture.h"

#include "master/bridge/peers.h"
#include "shm/log.h"

#define NAME "there"
#define EPOCH 4711

static char asked[256];			/* the last question, "" none */

int uplink_publish_text(struct uplink *c, const char *subject, const char *text, size_t len)
{
	(void)c;
	assert_string_equal(subject, "janus.node.to.there.ask");
	snprintf(asked, sizeof(asked), "%.*s", (int)len, text);
	return 0;
}

static struct bridge bridge;
static struct peers peers;

static int begin(void **state)
{
	struct fixture *f;

	if (setup(state) < 0)
		return -1;
	f = *state;
	bridge.hub = f->hub;
	bridge.hub.ring.index = &bridge.hub.index;
	strcpy(bridge.node, "here");
	strcpy(bridge.prefix, "janus.");
	bridge.now = 1000;
	*asked = '\0';
	peers_init(&peers, &bridge);
	return 0;
}

static unsigned mark(uint64_t number, uint64_t seq)
{
	bool news;

	return peers_mark(&peers, NAME, EPOCH, number, seq, &news);
}

static bool take(uint64_t seq, uint64_t number)
{
	struct nats_origin origin = { .node = NAME, .epoch = EPOCH, .seq = seq, .mark = number };
	unsigned peer = peers_sender(&peers, &origin);

	return peer != NODE_NONE && peers_take(&peers, peer, seq, number);
}

/* What the last question was about, whose number this is. */
static uint64_t question(uint64_t from)
{
	unsigned long long number, epoch, seq;

	assert_int_equal(sscanf(asked, "here %llu %llu %llu", &number, &epoch, &seq), 3);
	assert_int_equal(epoch, EPOCH);
	assert_int_equal(seq, from);
	*asked = '\0';
	return number;
}

static uint64_t put(void)
{
	return atomic_load(&bridge.hub.shm->nodes.peer[0].seq);
}

static void in_order(void **state)
{
	(void)state;
	assert_int_equal(mark(7, 100), 0);
	assert_int_equal(put(), 99);		/* what was before is not for us */
	assert_true(take(100, 7));
	assert_true(take(105, 7));
	assert_false(take(105, 7));		/* a double, and an older one */
	assert_false(take(101, 7));
	mark(8, 110);
	assert_int_equal(put(), 109);
	assert_true(take(110, 8));
	assert_string_equal(asked, "");
}

static void met_by_a_message(void **state)
{
	(void)state;
	assert_true(take(100, 7));
	assert_true(take(101, 7));
	mark(8, 102);
	assert_true(take(102, 8));
	assert_string_equal(asked, "");
}

/* A mark was lost, with what was before it. */
static void missed(void **state)
{
	uint64_t number;

	(void)state;
	mark(7, 100);
	assert_true(take(100, 7));
	assert_false(take(108, 9));		/* it names a mark that we have not had */
	assert_false(take(109, 7));
	assert_string_equal(asked, "");
	mark(10, 112);
	number = question(101);
	assert_false(take(112, 10));		/* live ones wait */
	mark(11, 113);
	assert_string_equal(asked, "");		/* once */
	assert_true(peers_take_again(&peers, 0, 103, number, 1));
	assert_false(peers_take_again(&peers, 0, 100, number, 2));	/* a double */
	assert_false(peers_take_again(&peers, 0, 104, number - 1, 3));	/* another question's answer */
	assert_true(peers_take_again(&peers, 0, 112, number, 3));
	peers_live(&peers, 0, number, 3, 11, 114, 0);
	assert_int_equal(put(), 113);
	assert_true(take(114, 11));
	assert_string_equal(asked, "");
}

static void answer_is_not_whole(void **state)
{
	uint64_t number;

	(void)state;
	mark(7, 100);
	mark(9, 110);
	number = question(100);
	assert_true(peers_take_again(&peers, 0, 100, number, 1));
	assert_false(peers_take_again(&peers, 0, 103, number, 3));	/* the second one is missing */
	number = question(101);
	assert_false(peers_take_again(&peers, 0, 104, number - 1, 4));
	assert_true(peers_take_again(&peers, 0, 102, number, 1));
	peers_live(&peers, 0, number, 2, 9, 110, 0);	/* its last one is */
	number = question(103);
	/* Nothing comes: a mark has it asked anew, after a while. */
	mark(10, 110);
	assert_string_equal(asked, "");
	bridge.now += 1000;
	mark(11, 110);
	number = question(103);
	peers_live(&peers, 0, number, 0, 11, 110, 5);
	assert_int_equal(atomic_load(&bridge.hub.shm->nodes.peer[0].lost), 5);
	assert_true(take(110, 11));
}

/* Marks that say that nothing was missed. */
static void nothing_missed(void **state)
{
	(void)state;
	mark(7, 100);
	assert_true(take(100, 7));
	peers_begin(&peers);			/* another connection */
	assert_false(take(101, 7));
	mark(8, 101);
	assert_true(take(101, 8));
	mark(20, 102);				/* the peer's is another one */
	assert_true(take(102, 20));
	assert_string_equal(asked, "");
}

/* A new process knows how far it had come. */
static void new_bridge(void **state)
{
	(void)state;
	mark(7, 100);
	nodes_set_seq(&bridge.hub, 0, 104);
	peers_init(&peers, &bridge);
	assert_false(take(105, 7));
	mark(8, 106);
	question(105);
}

static void new_life(void **state)
{
	bool news;

	(void)state;
	mark(7, 100);
	assert_int_equal(peers_mark(&peers, NAME, EPOCH - 1, 1, 1, &news), NODE_NONE);	/* an earlier one: another node of this name */
	assert_int_equal(hub_counter(&bridge.hub, SLOT_BRIDGE, COUNTER_nodes_refused), 1);
	assert_int_equal(peers_mark(&peers, NAME, EPOCH + 1, 1, 1, &news), 0);
	assert_false(take(100, 7));
	assert_string_equal(asked, "");		/* it has sent nothing yet */
	assert_true(peers_take(&peers, 0, 1, 1));
	assert_int_equal(peers_mark(&peers, NAME, EPOCH + 2, 5, 4, &news), 0);
	assert_non_null(strstr(asked, " 4713 1"));	/* we were here: all of its life */
}

static void away(void **state)
{
	(void)state;
	mark(7, 100);
	bridge.now += 9999;
	peers_look(&peers);
	assert_int_equal(atomic_load(&bridge.hub.shm->nodes.peer[0].state), NODE_HERE);
	bridge.now++;
	peers_look(&peers);
	assert_int_equal(atomic_load(&bridge.hub.shm->nodes.peer[0].state), NODE_AWAY);
	assert_false(take(100, 7));
	mark(8, 101);
	question(100);
}

static int end(void **state)
{
	memset(&bridge, 0, sizeof(bridge));
	return teardown(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(in_order), TEST(met_by_a_message), TEST(missed), TEST(answer_is_not_whole), TEST(nothing_missed), TEST(new_bridge), TEST(new_life), TEST(away),
	};

	log_init("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
