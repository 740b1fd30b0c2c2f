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
#define APART 0x80000000u		/* in a place; see local_topics.c */

static struct slot_shm slot;
static struct index_shm index_;
static struct session_shm sessions[SESSIONS];
static struct subscription_shm subscriptions[MOST + 1];
static uint32_t of[SESSIONS][TOPICS];	/* the model: which subscription, 0 none */
static uint32_t free_[MOST], frees;

static void begin(struct topics *topics)
{
	static struct base base;

	memset(&base, 0, sizeof(base));
	memset(topics, 0, sizeof(*topics));
	topics->base = &base;
	memset(sessions, 0, sizeof(sessions));
	memset(subscriptions, 0, sizeof(subscriptions));
	memset(of, 0, sizeof(of));
	slot.subscriptions_max = MOST;
	index_.seed = 12345;
	base.slot = (struct slot){ .shm = &slot, .sessions = sessions, .subscriptions = subscriptions };
	base.hub.index.shm = &index_;
	for (frees = 0; frees < MOST; frees++)
		free_[frees] = MOST - frees;
	assert_int_equal(subscription_list_init(topics), 0);
}

static void subscribe(struct topics *topics, uint32_t fd, uint32_t topic)
{
	uint32_t s = free_[--frees];

	subscriptions[s].topic = topic;
	subscriptions[s].place = APART;
	subscription_list_put(topics, (int)fd, s);
	subscription_list_add(topics, (int)fd, s);
	of[fd][topic] = s;
}

static void unsubscribe(struct topics *topics, uint32_t fd, uint32_t topic)
{
	uint32_t s = of[fd][topic];

	subscription_list_remove(topics, (int)fd, s);
	subscription_list_take(topics, s);
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

static void check_found(const struct topics *topics)
{
	for (uint32_t fd = 0; fd < SESSIONS; fd++)
		for (uint32_t topic = 0; topic < TOPICS; topic++)
			assert_int_equal(subscription_list_find(topics, (int)fd, topic), of[fd][topic]);
}

static void test_come_and_go(void **state)
{
	static struct topics topics;
	unsigned seed = 1;

	(void)state;
	begin(&topics);
	for (uint32_t step = 0; step < 40000; step++) {
		uint32_t fd = (uint32_t)rand_r(&seed) % SESSIONS, topic = (uint32_t)rand_r(&seed) % TOPICS;

		if (of[fd][topic])
			unsubscribe(&topics, fd, topic);
		else if (step < 20000 || step % 3 == 0)
			subscribe(&topics, fd, topic);
		if (step % 500 == 0)
			check_lists();
	}
	check_lists();
	check_found(&topics);
}

static void test_all_there_can_be(void **state)
{
	static struct topics topics;

	(void)state;
	begin(&topics);
	for (uint32_t i = 0; i < MOST; i++)
		subscribe(&topics, i % SESSIONS, i / SESSIONS);
	check_lists();
	check_found(&topics);
	for (uint32_t i = 0; i < MOST; i++)
		unsubscribe(&topics, i % SESSIONS, i / SESSIONS);
	check_lists();
	check_found(&topics);
}

/* One topic has no place in the table: it is the first of the list. */
static void test_one_topic(void **state)
{
	static struct topics topics;

	(void)state;
	begin(&topics);
	subscriptions[5].topic = 3;
	subscription_list_add(&topics, 1, 5);
	assert_int_equal(subscription_list_find(&topics, 1, 3), 5);
	assert_int_equal(subscription_list_find(&topics, 1, 4), 0);
	subscription_list_remove(&topics, 1, 5);
	assert_int_equal(subscription_list_find(&topics, 1, 3), 0);
}

/* One that goes apart, and has no second topic after all: where its subscription stood when it was another's is of no meaning. */
static void test_alone_where_another_was(void **state)
{
	static struct topics topics;

	(void)state;
	begin(&topics);
	subscribe(&topics, 0, 1);
	subscribe(&topics, 0, 2);
	assert_int_equal(subscriptions[of[0][2]].next, of[0][1]);
	uint32_t used = of[0][1];

	unsubscribe(&topics, 0, 1);
	subscriptions[used].topic = 3;
	subscriptions[used].place = 0;
	subscriptions[used].next = 0;
	subscription_list_add(&topics, 1, used);
	subscriptions[used].place = APART;
	subscription_list_put(&topics, 1, used);
	subscription_list_remove(&topics, 1, used);
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
