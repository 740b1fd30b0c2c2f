/*
 * Questions to other nodes: what a worker and the bridge tell each other in the hub, and what is counted here.
 */
#include "tests/unit/hub_fixture.h"

#include "shm/nodes.h"
#include "shm/question.h"

#define SLOT 4
#define PLACE 63

static void ask(struct fixture *f, uint64_t number, const char *name)
{
	struct waiting_shm *w = &f->hub.shm->slot[SLOT].waiting[PLACE];

	w->name_len = (uint8_t)strlen(name);
	memcpy(w->name, name, strlen(name));
	atomic_store(&w->number, number);
	question_put(&f->hub, SLOT);
}

static void bridge_is_told_of_slots(void **state)
{
	struct fixture *f = *state;
	struct question q;

	nodes_begin(&f->hub, "here");
	assert_false(question_has(&f->hub));
	assert_true(nodes_may_sleep(&f->hub, ring_tail(&f->hub.ring)));
	ask(f, 7, "a");
	/* it sleeps, and is woken */
	assert_int_equal(atomic_load(&f->hub.shm->slot[SLOT_BRIDGE].sleeping), 0);
	nodes_awake(&f->hub);
	assert_false(nodes_may_sleep(&f->hub, ring_tail(&f->hub.ring)));
	assert_true(question_slots(&f->hub) == 1ull << SLOT);
	assert_true(question_slots(&f->hub) == 0);
	assert_true(question_read(&f->hub, SLOT, PLACE, &q));
	assert_int_equal(q.number, 7);
	assert_int_equal(q.len, 1);
	assert_memory_equal(q.name, "a", 1);
	assert_false(question_read(&f->hub, SLOT, PLACE - 1, &q));
	assert_true(nodes_may_sleep(&f->hub, ring_tail(&f->hub.ring)));
}

static void worker_is_told(void **state)
{
	struct fixture *f = *state;
	struct question_answer a = { .nodes = NODES_MAX, .answered = NODES_MAX - 1, .subscribers = 3ull << 40 }, got;

	ask(f, 1ull << 50 | 3, "a");
	got = question_answer(&f->hub, SLOT, PLACE);
	assert_true(!got.done && got.nodes == 0 && got.answered == 0 && got.subscribers == 0);
	question_tell(&f->hub, SLOT, PLACE, 1ull << 50 | 3, &a);
	got = question_answer(&f->hub, SLOT, PLACE);
	assert_false(got.done);
	assert_int_equal(got.nodes, NODES_MAX);
	assert_int_equal(got.answered, NODES_MAX - 1);
	assert_int_equal(got.subscribers, QUESTION_MOST);
	assert_int_equal(woken(f, SLOT), 0);
	a = (struct question_answer){ .done = true, .nodes = 2, .answered = 2, .subscribers = 5 };
	question_tell(&f->hub, SLOT, PLACE, 1ull << 50 | 3, &a);
	got = question_answer(&f->hub, SLOT, PLACE);
	assert_true(got.done);
	assert_int_equal(got.subscribers, 5);
	assert_int_equal(woken(f, SLOT), 1);
}

/* What is told of a note's last question is none of this one's, whichever comes first. */
static void notes_are_used_again(void **state)
{
	struct fixture *f = *state;
	const struct question_answer a = { .done = true, .nodes = 2, .answered = 2, .subscribers = 5 };

	ask(f, 3, "a");
	question_tell(&f->hub, SLOT, PLACE, 3, &a);
	ask(f, 4, "b");
	assert_false(question_answer(&f->hub, SLOT, PLACE).done);
	question_tell(&f->hub, SLOT, PLACE, 3, &a);
	assert_false(question_answer(&f->hub, SLOT, PLACE).done);
	question_tell(&f->hub, SLOT, PLACE, 4, &a);
	assert_true(question_answer(&f->hub, SLOT, PLACE).done);
}

static uint64_t count(struct fixture *f, const char *name)
{
	return question_count(&f->hub, SLOT_BRIDGE + 1, name, strlen(name), false);
}

static uint64_t held(struct fixture *f, const char *name)
{
	return question_count(&f->hub, SLOT_BRIDGE + 1, name, strlen(name), true);
}

static void subscribers_are_counted(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(count(f, "a.b"), 0);
	join(f, 1, "a.b", 3);
	join(f, 2, "a.b", 4);
	assert_int_equal(count(f, "a.b"), 7);
	join(f, 2, "a.*", 10);
	join(f, 3, ">", 100);
	join(f, 3, "\1a.b", 1000);		/* a user's inbox */
	join(f, 3, "\2", 10000);
	assert_int_equal(count(f, "a.b"), 117);
	assert_int_equal(count(f, "a.c"), 110);
	assert_int_equal(count(f, "\1a.b"), 1000);
	assert_int_equal(count(f, "\1b"), 0);
	assert_int_equal(count(f, "\2"), 10000);
	assert_int_equal(held(f, "a.b"), 7);
	assert_int_equal(held(f, "a.*"), 10);
	assert_int_equal(held(f, "a.c"), 0);
}

static void nodes_that_are_away_are_none(void **state)
{
	struct fixture *f = *state;
	unsigned peer;

	assert_int_equal(question_nodes(&f->hub), 0);
	nodes_meet(&f->hub, "a", 1, 1);
	peer = nodes_meet(&f->hub, "b", 1, 1);
	atomic_store(&f->hub.shm->nodes.peer[peer].state, NODE_BEHIND);
	assert_int_equal(question_nodes(&f->hub), 2);
	atomic_store(&f->hub.shm->nodes.peer[peer].state, NODE_AWAY);
	assert_int_equal(question_nodes(&f->hub), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bridge_is_told_of_slots, setup, teardown),
		cmocka_unit_test_setup_teardown(worker_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(notes_are_used_again, setup, teardown),
		cmocka_unit_test_setup_teardown(subscribers_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(nodes_that_are_away_are_none, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
