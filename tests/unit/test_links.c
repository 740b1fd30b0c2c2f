/*
 * A session's subscriptions: found, linked and unlinked, against a plain model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/delivery/local_topics.h"
#include "worker/delivery/subscription_list.h"

#define SESSIONS 7u
#define TOPICS 400u
#define MOST (SESSIONS * TOPICS)
#define APART 0x80000000u		/* in a place; see topics.c */

static struct slot_shm slot;
static struct index_shm index_;
static struct session_shm sessions[SESSIONS];
static struct subscription_shm subscriptions[MOST + 1];
static uint32_t of[SESSIONS][TOPICS];	/* the model: which subscription, 0 none */
static uint32_t free_[MOST], frees;

static void begin(struct worker *w)
{
	memset(w, 0, sizeof(*w));
	memset(sessions, 0, sizeof(sessions));
	memset(subscriptions, 0, sizeof(subscriptions));
	memset(of, 0, sizeof(of));
	slot.subscriptions_max = MOST;
	index_.seed = 12345;
	w->slot = (struct slot){ .shm = &slot, .sessions = sessions, .subscriptions = subscriptions };
	w->hub.index.shm = &index_;
	for (frees = 0; frees < MOST; frees++)
		free_[frees] = MOST - frees;
	assert_int_equal(links_init(w), 0);
}

static void subscribe(struct worker *w, uint32_t fd, uint32_t topic)
{
	uint32_t s = free_[--frees];

	subscriptions[s].topic = topic;
	subscriptions[s].place = APART;
	links_put(w, (int)fd, s);
	links_add(w, (int)fd, s);
	of[fd][topic] = s;
}

static void unsubscribe(struct worker *w, uint32_t fd, uint32_t topic)
{
	uint32_t s = of[fd][topic];

	links_remove(w, (int)fd, s);
	links_take(w, s);
	free_[frees++] = s;
	of[fd][topic] = 0;
}

/* Each list holds what the model has, and nothing twice. */
static void check_lists(void)
{
	for (uint32_t fd = 0; fd < SESSIONS; fd++) {
		uint32_t wanted = 0, found = 0;

		for (uint32_t topic = 0; topic < TOPICS; topic++)
			wanted += of[fd][topic] != 0;
		for (uint32_t s = sessions[fd].subscriptions; s; s = subscriptions[s].next) {
			assert_int_equal(of[fd][subscriptions[s].topic], s);
			assert_true(++found <= wanted);
		}
		assert_int_equal(found, wanted);
	}
}

static void check_found(const struct worker *w)
{
	for (uint32_t fd = 0; fd < SESSIONS; fd++)
		for (uint32_t topic = 0; topic < TOPICS; topic++)
			assert_int_equal(links_find(w, (int)fd, topic), of[fd][topic]);
}

static void test_come_and_go(void **state)
{
	static struct worker w;
	unsigned seed = 1;

	(void)state;
	begin(&w);
	for (uint32_t step = 0; step < 40000; step++) {
		uint32_t fd = (uint32_t)rand_r(&seed) % SESSIONS, topic = (uint32_t)rand_r(&seed) % TOPICS;

		if (of[fd][topic])
			unsubscribe(&w, fd, topic);
		else if (step < 20000 || step % 3 == 0)
			subscribe(&w, fd, topic);
		if (step % 500 == 0)
			check_lists();
	}
	check_lists();
	check_found(&w);
}

static void test_all_there_can_be(void **state)
{
	static struct worker w;

	(void)state;
	begin(&w);
	for (uint32_t i = 0; i < MOST; i++)
		subscribe(&w, i % SESSIONS, i / SESSIONS);
	check_lists();
	check_found(&w);
	for (uint32_t i = 0; i < MOST; i++)
		unsubscribe(&w, i % SESSIONS, i / SESSIONS);
	check_lists();
	check_found(&w);
}

/* One topic has no place in the table: it is the first of the list. */
static void test_one_topic(void **state)
{
	static struct worker w;

	(void)state;
	begin(&w);
	subscriptions[5].topic = 3;
	links_add(&w, 1, 5);
	assert_int_equal(links_find(&w, 1, 3), 5);
	assert_int_equal(links_find(&w, 1, 4), 0);
	links_remove(&w, 1, 5);
	assert_int_equal(links_find(&w, 1, 3), 0);
}

/* One that goes apart, and has no second topic after all: where its subscription stood when it was another's is of no meaning. */
static void test_alone_where_another_was(void **state)
{
	static struct worker w;

	(void)state;
	begin(&w);
	subscribe(&w, 0, 1);
	subscribe(&w, 0, 2);
	assert_int_equal(subscriptions[of[0][2]].next, of[0][1]);
	uint32_t used = of[0][1];

	unsubscribe(&w, 0, 1);
	subscriptions[used].topic = 3;
	subscriptions[used].place = 0;
	subscriptions[used].next = 0;
	links_add(&w, 1, used);
	subscriptions[used].place = APART;
	links_put(&w, 1, used);
	links_remove(&w, 1, used);
	assert_int_equal(sessions[1].subscriptions, 0);
	assert_int_equal(sessions[0].subscriptions, of[0][2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_come_and_go),
		cmocka_unit_test(test_all_there_can_be),
		cmocka_unit_test(test_one_topic),
		cmocka_unit_test(test_alone_where_another_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
