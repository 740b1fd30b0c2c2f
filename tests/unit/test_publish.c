/*
 * Publishing: what gets into the ring, who is woken, and what is found again after a death.
 */
#include "tests/unit/hub_fixture.h"

#include "shm/publish.h"

#define SLOT 4			/* that publishes */
#define FD 17
#define MANY 200		/* more than the ring takes at once */

static struct publish_item items[MANY];
static char texts[MANY][16];

/* items[i] is of this topic. */
static void put(unsigned i, const char *topic, uint32_t len)
{
	static char message[60000];

	sprintf(texts[i], "%s", topic);
	memset(message, 'm', sizeof(message));
	items[i] = (struct publish_item){
		.hash = index_hash(topic, strlen(topic)), .topic = texts[i], .topic_len = (uint8_t)strlen(topic),
		.message = message, .len = len, .parsed = 1000 + i, .flags = i,
		.seq = 77, .subscribers = 77,
	};
}

/* One topic a letter. Their count. */
static unsigned put_all(const char *topics)
{
	unsigned n = (unsigned)strlen(topics);

	for (unsigned i = 0; i < n; i++)
		put(i, (char[]){ topics[i], '\0' }, 10 + i);
	return n;
}

static struct intent_shm *intent_of(const struct fixture *f)
{
	return &slot_of(f, SLOT)->intent;
}

static uint64_t counted(const struct fixture *f, enum counter counter)
{
	return atomic_load(&slot_of(f, SLOT)->counters[counter]);
}

/* The record of items[i] is what it says, and of its topic. */
static void verify_record(const struct fixture *f, uint64_t seq, unsigned i)
{
	struct ring_record rec;

	assert_int_equal(ring_read(&f->hub.ring, seq, &rec), 0);
	assert_int_equal(rec.topic, find(f, items[i].topic));
	assert_int_equal(rec.len, items[i].len);
	assert_memory_equal(ring_peek(&f->hub.ring, &rec), items[i].message, rec.len);
}

/* The worker dies, with nothing more done, or in possession of the lock. */
static void die(struct fixture *f, bool locked)
{
	if (locked)
		lock_acquire(&f->hub.shm->lock, SLOT + 1);
	hub_repair(&f->hub, SLOT);
	check(f);
}

static void answers_tell_sequence_and_subscribers(void **state)
{
	struct fixture *f = *state;
	unsigned n = put_all("abxa");
	uint64_t tail = ring_tail(&f->hub.ring);

	join(f, 1, "a", 3);
	join(f, SLOT, "a", 4);
	join(f, 2, "b", 1);
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, n), 0);
	assert_int_equal(items[0].seq, tail);
	assert_int_equal(items[1].seq, tail + 1);
	assert_int_equal(items[2].seq, 0);
	assert_int_equal(items[3].seq, tail + 2);
	assert_int_equal(items[0].subscribers, 7);
	assert_int_equal(items[1].subscribers, 1);
	assert_int_equal(items[2].subscribers, 0);
	assert_int_equal(items[3].subscribers, 7);
	assert_int_equal(ring_tail(&f->hub.ring), tail + 3);
	for (unsigned i = 0; i < n; i++)
		if (items[i].seq)
			verify_record(f, items[i].seq, i);
	assert_int_equal(counted(f, COUNTER_published), 4);
	assert_int_equal(counted(f, COUNTER_published_unheard), 1);
	assert_int_equal(intent_of(f)->state, INTENT_WRITTEN);
	assert_int_equal(intent_of(f)->answered, 1);
	assert_int_equal(intent_of(f)->fd, FD);
	publish_done(&f->hub, SLOT);
	assert_int_equal(intent_of(f)->state, INTENT_NONE);
	check(f);
}

static void the_intent_names_the_last_item(void **state)
{
	struct fixture *f = *state;
	unsigned n = put_all("aax");

	join(f, 1, "a", 3);
	assert_int_equal(publish(&f->hub, SLOT, FD, items, n), n);
	assert_int_equal(intent_of(f)->state, INTENT_WRITTEN);
	assert_int_equal(intent_of(f)->answered, 0);
	assert_int_equal(intent_of(f)->parsed, items[2].parsed);
	assert_int_equal(intent_of(f)->flags, items[2].flags);
	assert_int_equal(intent_of(f)->first, 1);
	assert_int_equal(ring_tail(&f->hub.ring), 3);
	assert_int_equal(items[0].seq, 77);	/* nobody asked */
	check(f);
}

/* Topics that history keeps are stored if nobody subscribes them; others are not. Both count as unheard. */
static void history_is_followed(void **state)
{
	struct fixture *f = *state;
	unsigned n = put_all("hhxsh");
	struct settings settings;
	struct ring_record rec;
	const char *why;

	settings_defaults(&settings);
	strcpy(settings.history, "h: 10 messages; s: 10 messages");
	hub_keep(&f->hub, &settings);
	join(f, 1, "s", 2);
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, n), 0);
	assert_int_equal(ring_tail(&f->hub.ring), 5);
	assert_int_equal(items[0].seq, 1);
	assert_int_equal(items[0].subscribers, 0);
	assert_int_equal(items[2].seq, 0);
	assert_int_equal(items[3].subscribers, 2);
	assert_int_equal(items[4].seq, 4);
	assert_int_equal(counted(f, COUNTER_published), 5);
	assert_int_equal(counted(f, COUNTER_published_unheard), 4);
	assert_int_equal(counted(f, COUNTER_history_kept), 4);
	assert_int_equal(find(f, "x"), TOPIC_NONE);
	assert_int_equal(history_check(&f->hub.history, &why), 0);
	assert_int_equal(f->hub.history.topics[find(f, "h")].messages, 3);
	assert_int_equal(f->hub.history.topics[find(f, "s")].messages, 1);
	assert_int_equal(history_seek(&f->hub.history, 1, find(f, "h"), 1, 2, 4, &rec), 0);
	assert_int_equal(rec.seq, 2);
	assert_int_equal(rec.len, items[1].len);
	for (unsigned i = 0; f->hub.index.shm->used < TOPICS_MAX; i++)
		join(f, 1, (char[]){ 'A', (char)('a' + i), '\0' }, 1);
	put(0, "h2", 5);
	put(1, "h", 5);
	publish_done(&f->hub, SLOT);
	atomic_store(&slot_of(f, SLOT)->delivered, ring_tail(&f->hub.ring));
	strcpy(settings.history, "h*: 10 messages");
	hub_keep(&f->hub, &settings);
	assert_int_equal(publish(&f->hub, SLOT, FD, items, 2), 2);
	assert_int_equal(f->hub.history.topics[find(f, "h")].messages, 4);
	check(f);
}

static void who_sleeps_and_has_subscribers_is_woken(void **state)
{
	struct fixture *f = *state;
	unsigned n = put_all("ax");

	for (unsigned slot = 0; slot < 4; slot++)
		go_live(f, slot, slot != 1);
	go_live(f, SLOT, true);
	join(f, 0, "a", 1);
	join(f, 1, "a", 1);
	join(f, 3, "b", 1);
	join(f, SLOT, "a", 1);
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, n), 0);
	assert_int_equal(woken(f, 0), 1);
	assert_int_equal(atomic_load(&slot_of(f, 0)->sleeping), 0);
	assert_int_equal(woken(f, 1), 0);	/* awake */
	assert_int_equal(woken(f, 2), 0);	/* nothing for it */
	assert_int_equal(woken(f, 3), 0);
	assert_int_equal(woken(f, SLOT), 0);	/* itself */
	assert_int_equal(counted(f, COUNTER_wakeups), 1);
}

/* ---- when not all of it fits ---- */

static void answered_is_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t tail;

	join(f, 1, "a", 3);
	put_all("aa");
	assert_int_equal(publish(&f->hub, SLOT, FD, items, 2), 2);
	publish_done(&f->hub, SLOT);
	tail = ring_tail(&f->hub.ring);
	for (unsigned i = 0; i < MANY; i++)
		put(i, i % 9 ? "a" : "x", 8);
	errno = 0;
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, MANY), -1);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(intent_of(f)->state, INTENT_NONE);
	assert_int_equal(ring_tail(&f->hub.ring), tail);
	assert_int_equal(index_topic(&f->hub.index, find(f, "a"))->published, 2);
	assert_int_equal(counted(f, COUNTER_published), 2);
	check(f);
	/* by the bytes, too */
	put(0, "a", 8);
	put(1, "a", 40000);
	put(2, "a", 40000);
	errno = 0;
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, 3), -1);
	assert_int_equal(errno, EMSGSIZE);
	assert_int_equal(ring_tail(&f->hub.ring), tail);
	check(f);
	/* and then it goes on where it was */
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, 1), 0);
	assert_int_equal(items[0].seq, tail);
	assert_int_equal(index_topic(&f->hub.index, find(f, "a"))->published, 3);
	check(f);
}

/* Without answers, what fits is taken, and the rest with the next call. */
static void a_batch_may_be_taken_in_parts(void **state)
{
	struct fixture *f = *state;
	unsigned done = 0, calls = 0;

	join(f, 1, "a", 3);
	for (unsigned i = 0; i < MANY; i++)
		put(i, i % 9 ? "a" : "x", 8);
	for (; done < MANY; calls++) {
		unsigned n = publish(&f->hub, SLOT, FD, items + done, MANY - done);

		assert_in_range(n, 1, MANY - done);
		done += n;
		assert_int_equal(intent_of(f)->parsed, items[done - 1].parsed);
		assert_int_equal(intent_of(f)->flags, items[done - 1].flags);
		publish_done(&f->hub, SLOT);
	}
	assert_true(calls > 1);
	assert_int_equal(ring_tail(&f->hub.ring), 1 + MANY - (MANY + 8) / 9);
	assert_int_equal(counted(f, COUNTER_published), MANY);
	assert_int_equal(counted(f, COUNTER_published_unheard), (MANY + 8) / 9);
	check(f);
}

static void put_off_while_a_worker_is_half_a_ring_behind(void **state)
{
	struct fixture *f = *state;
	uint64_t tail;

	join(f, 1, "a", 1);
	go_live(f, 1, false);
	go_live(f, 2, true);	/* has no subscribers: says where it is when it is asked */
	go_live(f, SLOT, false);
	put_all("aa");
	while (publish_ready(&f->hub, false)) {
		assert_int_equal(publish(&f->hub, SLOT, FD, items, 1), 1);
		publish_done(&f->hub, SLOT);
		atomic_store(&slot_of(f, SLOT)->delivered, ring_tail(&f->hub.ring));
	}
	tail = ring_tail(&f->hub.ring);
	assert_in_range(tail, RING_MESSAGES / 2 + 1, RING_MESSAGES / 2 + 2);
	assert_int_equal(woken(f, 2), 1);	/* when it was a quarter behind, once */
	assert_int_equal(atomic_load(&slot_of(f, 2)->sleeping), 0);
	assert_int_equal(woken(f, 1), 0);
	atomic_store(&slot_of(f, 2)->sleeping, 1);
	errno = 0;
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, 2), -1);
	assert_int_equal(errno, EAGAIN);
	errno = 0;
	assert_int_equal(publish(&f->hub, SLOT, FD, items, 2), 0);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(woken(f, 2), 1);	/* who puts it off is told */
	assert_int_equal(intent_of(f)->state, INTENT_NONE);
	assert_int_equal(ring_tail(&f->hub.ring), tail);
	check(f);
	atomic_store(&slot_of(f, 1)->delivered, tail);
	assert_false(publish_ready(&f->hub, false));
	atomic_store(&slot_of(f, 2)->delivered, tail);
	assert_true(publish_ready(&f->hub, false));
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, 2), 0);
	assert_int_equal(items[1].seq, tail + 1);
	check(f);
}

/* ---- after a death ---- */

/* Publishes, dies, and does it again: the same sequences, and nothing twice. */
static void publish_die_and_ask_again(struct fixture *f, const char *topics, bool locked)
{
	unsigned n = put_all(topics);
	uint64_t seq[MANY], tail;

	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, n), 0);
	for (unsigned i = 0; i < n; i++)
		seq[i] = items[i].seq;
	tail = ring_tail(&f->hub.ring);
	die(f, locked);
	assert_int_equal(intent_of(f)->state, INTENT_DONE);
	/* twice, as the next worker may die there as well */
	for (unsigned again = 0; again < 2; again++) {
		put_all(topics);
		assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, n), 0);
		for (unsigned i = 0; i < n; i++) {
			uint32_t topic = find(f, items[i].topic);

			assert_int_equal(items[i].seq, seq[i]);
			assert_int_equal(items[i].subscribers, topic == TOPIC_NONE ? 0 : hub_subscribers(&f->hub, topic));
		}
		assert_int_equal(ring_tail(&f->hub.ring), tail);
		assert_int_equal(intent_of(f)->state, INTENT_DONE);
		die(f, false);
	}
	publish_done(&f->hub, SLOT);
	/* the next one is a new one */
	put_all(topics);
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, n), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(items[i].seq, seq[i] ? tail + seq[i] - intent_of(f)->first + intent_of(f)->written : 0);
	publish_done(&f->hub, SLOT);
	check(f);
}

static void the_same_is_found_after_a_death(void **state)
{
	struct fixture *f = *state;

	join(f, 1, "a", 3);
	join(f, 2, "a", 1);
	join(f, 2, "b", 1);
	publish_die_and_ask_again(f, "a", false);
	publish_die_and_ask_again(f, "a", true);
	publish_die_and_ask_again(f, "abba", false);
	publish_die_and_ask_again(f, "xaxxbbyaxa", false);
	publish_die_and_ask_again(f, "xaxxbbyaxa", true);
	publish_die_and_ask_again(f, "aax", false);
	publish_die_and_ask_again(f, "xy", false);
}

/* The topics go with their last subscribers before the successor asks; one is made anew, in the place of another. */
static void what_has_no_topic_any_more_is_found(void **state)
{
	struct fixture *f = *state;
	uint32_t a = join(f, 1, "a", 3), b = join(f, 1, "b", 2);
	unsigned n;

	join(f, 1, "c", 1);
	n = put_all("xabaxcx");
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, n), 0);
	die(f, false);
	index_leave(&f->hub.index, 1, a);
	index_leave(&f->hub.index, 1, b);
	join(f, 2, "b", 7);
	join(f, 2, "x", 7);
	for (unsigned again = 0; again < 2; again++) {
		static const uint64_t seq[] = { 0, 1, 2, 3, 0, 4, 0 }, subscribers[] = { 0, 3, 2, 3, 0, 1, 0 };

		put_all("xabaxcx");
		assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, n), 0);
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(items[i].seq, seq[i]);
			assert_int_equal(items[i].subscribers, subscribers[i]);
		}
		die(f, false);
	}
	assert_int_equal(ring_tail(&f->hub.ring), 5);
	publish_done(&f->hub, SLOT);
	check(f);
}

/* Others have published meanwhile, and somebody subscribes what nobody did. */
static void what_came_later_is_not_taken_for_it(void **state)
{
	struct fixture *f = *state;
	unsigned n;

	join(f, 1, "a", 3);
	join(f, 1, "b", 1);
	n = put_all("axba");
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, n), 0);
	put_all("aabb");
	assert_int_equal(publish(&f->hub, SLOT + 1, FD, items, 4), 4);
	publish_done(&f->hub, SLOT + 1);
	die(f, false);
	join(f, 2, "x", 5);
	put_all("axba");
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, n), 0);
	assert_int_equal(items[0].seq, 1);
	assert_int_equal(items[1].seq, 0);
	assert_int_equal(items[2].seq, 2);
	assert_int_equal(items[3].seq, 3);
	assert_int_equal(ring_tail(&f->hub.ring), 8);
	publish_done(&f->hub, SLOT);
	/* nothing of it was heard: a topic made since, whose first record is another's, is not taken for it either */
	put_all("yy");
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, 2), 0);
	join(f, 2, "y", 1);
	put_all("y");
	assert_int_equal(publish(&f->hub, SLOT + 1, FD, items, 1), 1);
	publish_done(&f->hub, SLOT + 1);
	die(f, false);
	put_all("yy");
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, 2), 0);
	assert_int_equal(items[0].seq, 0);
	assert_int_equal(items[1].seq, 0);
	assert_int_equal(items[0].subscribers, 0);
	assert_int_equal(ring_tail(&f->hub.ring), 9);
}

/* A death before the tail was stored: nothing was published, and it is published then. */
static void what_was_not_published_is(void **state)
{
	struct fixture *f = *state;
	unsigned n = put_all("axa");

	join(f, 1, "a", 3);
	*intent_of(f) = (struct intent_shm){ .state = INTENT_WRITTEN, .fd = FD, .first = 1, .written = 2, .answered = 1 };
	die(f, true);
	assert_int_equal(intent_of(f)->state, INTENT_NONE);
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, n), 0);
	assert_int_equal(items[0].seq, 1);
	assert_int_equal(items[2].seq, 2);
	assert_int_equal(ring_tail(&f->hub.ring), 3);
	check(f);
}

/* What another session, another slot, another request or an unanswered batch left is none of this request's. */
static void only_its_own_is_found(void **state)
{
	struct fixture *f = *state;
	unsigned n = put_all("aa");

	join(f, 1, "a", 3);
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, n), 0);
	die(f, false);
	assert_int_equal(publish_answered(&f->hub, SLOT + 1, FD, items, n), 0);
	assert_int_equal(items[0].seq, 3);
	assert_int_equal(publish_answered(&f->hub, SLOT, FD + 1, items, n), 0);
	assert_int_equal(items[0].seq, 5);
	publish_done(&f->hub, SLOT);
	assert_int_equal(publish(&f->hub, SLOT, FD, items, n), n);
	die(f, false);
	assert_int_equal(intent_of(f)->state, INTENT_DONE);
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, n), 0);
	assert_int_equal(items[0].seq, 9);
	die(f, false);
	items[n - 1].parsed++;
	assert_int_equal(publish_answered(&f->hub, SLOT, FD, items, n), 0);
	assert_int_equal(items[0].seq, 11);
	assert_int_equal(ring_tail(&f->hub.ring), 13);
	check(f);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_tell_sequence_and_subscribers),
		TEST(the_intent_names_the_last_item),
		TEST(history_is_followed),
		TEST(who_sleeps_and_has_subscribers_is_woken),
		TEST(answered_is_all_or_nothing),
		TEST(a_batch_may_be_taken_in_parts),
		TEST(put_off_while_a_worker_is_half_a_ring_behind),
		TEST(the_same_is_found_after_a_death),
		TEST(what_has_no_topic_any_more_is_found),
		TEST(what_came_later_is_not_taken_for_it),
		TEST(what_was_not_published_is),
		TEST(only_its_own_is_found),
	};

	alarm(60);
	return cmocka_run_group_tests_name("publish", tests, NULL, NULL);
}
