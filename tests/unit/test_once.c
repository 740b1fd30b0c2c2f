/*
 * Keys of publishes: what is remembered and for how long, and what a death at each step of once.h leaves.
 */
#include "tests/unit/hub_fixture.h"

#include "shm/publish.h"
#include "shm/siphash.h"

#define KEYS 128u
#define KEEP 1000u
#define SLOT 4
#define FD 17

/* ---- the table alone ---- */

struct table {
	struct once once;
	void *mem;
	size_t size;
};

static struct table make(uint32_t keys)
{
	struct table t = { .size = once_size(keys) };

	t.mem = aligned_alloc(64, t.size);
	memset(t.mem, 0, t.size);
	once_format(t.mem, keys);
	assert_int_equal(once_attach(&t.once, t.mem, t.size), 0);
	t.once.keep = KEEP;
	return t;
}

static void verify(const struct table *t)
{
	const char *why;

	if (once_check(&t->once, &why) < 0)
		fail_msg("once_check: %s", why);
}

static struct once_id id_of(const struct table *t, const char *name, unsigned number, const char *message)
{
	struct once_id id;
	char key[16];

	once_id(&t->once, name, strlen(name), key, (size_t)sprintf(key, "key %u", number), &id);
	once_add_message(&t->once, &id, message, strlen(message));
	return id;
}

/* Remembers a key, of `count` messages, each second of which has a record. Keys that gave way. */
static unsigned add(struct table *t, unsigned number, uint64_t now, unsigned count)
{
	struct once_id id = id_of(t, "a", number, "m");
	unsigned evicted;
	uint64_t n = once_write(&t->once, &id, now, 1000 * number, count, &evicted);

	for (unsigned i = 0; i < count; i++)
		once_put_answer(&t->once, n, i, i % 2 ? 0 : 1000 * number + i / 2, 10 * number + i);
	once_stage(&t->once, n, 0);
	once_commit(&t->once);
	verify(t);
	return evicted;
}

/* Whether the key is remembered, with its answer. */
static bool has(const struct table *t, unsigned number, uint64_t now, unsigned count)
{
	struct once_id id = id_of(t, "a", number, "m");
	uint64_t n = once_find(&t->once, &id, now), seq, subscribers;

	if (!n)
		return false;
	assert_true(once_is_same(&t->once, n, &id));
	assert_int_equal(once_count(&t->once, n), count);
	for (unsigned i = 0; i < count; i++) {
		once_answer(&t->once, n, i, &seq, &subscribers);
		assert_int_equal(seq, i % 2 ? 0 : 1000 * number + i / 2);
		assert_int_equal(subscribers, 10 * number + i);
	}
	return true;
}

static void the_hash_is_siphash(void **state)
{
	uint8_t bytes[64];
	uint64_t key[2], hash[2];

	(void)state;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	memcpy(key, bytes, sizeof(key));
	/* the vectors of its authors */
	siphash(key, bytes, 0, hash);
	assert_memory_equal(hash, "\xa3\x81\x7f\x04\xba\x25\xa8\xe6\x6d\xf6\x72\x14\xc7\x55\x02\x93", 16);
	siphash(key, bytes, 1, hash);
	assert_memory_equal(hash, "\xda\x87\xc1\xd8\x6b\x99\xaf\x44\x34\x76\x59\x11\x9b\x22\xfc\x45", 16);
	siphash(key, bytes, 15, hash);
	assert_memory_equal(hash, "\x54\x93\xe9\x99\x33\xb0\xa8\x11\x7e\x08\xec\x0f\x97\xcf\xc3\xd9", 16);
}

static void sizes(void **state)
{
	struct table t = make(0), other;

	(void)state;
	assert_false(once_is_on(&t.once));
	assert_int_equal(t.size, sizeof(struct once_shm));
	free(t.mem);
	assert_int_equal(once_size(1), once_size(128));
	assert_int_equal(once_size(129), once_size(256));
	other = make(256);
	assert_true(once_is_on(&other.once));
	assert_int_equal(once_attach(&t.once, other.mem, other.size - 1), -1);
	assert_int_equal(errno, EINVAL);
	other.once.shm->cells = 100;
	assert_int_equal(once_attach(&t.once, other.mem, other.size), -1);
	free(other.mem);
}

static void what_a_key_is_of(void **state)
{
	struct table t = make(KEYS), other = make(KEYS);
	struct once_id a = id_of(&t, "a", 1, "m"), b;

	(void)state;
	b = id_of(&t, "b", 1, "m");
	assert_memory_not_equal(a.key, b.key, sizeof(a.key));
	b = id_of(&t, "", 1, "m");
	assert_memory_not_equal(a.key, b.key, sizeof(a.key));
	b = id_of(&t, "a", 2, "m");
	assert_memory_not_equal(a.key, b.key, sizeof(a.key));
	b = id_of(&t, "a", 1, "n");
	assert_memory_equal(a.key, b.key, sizeof(a.key));
	assert_int_not_equal(a.digest, b.digest);
	b = id_of(&other, "a", 1, "m");		/* another secret */
	assert_memory_not_equal(a.key, b.key, sizeof(a.key));
	assert_int_not_equal(a.digest, b.digest);
	/* the same bytes as name and key, cut elsewhere; the same messages, in another order */
	once_id(&t.once, "ab", 2, "c", 1, &a);
	once_id(&t.once, "a", 1, "bc", 2, &b);
	assert_memory_not_equal(a.key, b.key, sizeof(a.key));
	b = a;
	once_add_message(&t.once, &a, "x", 1);
	once_add_message(&t.once, &a, "y", 1);
	once_add_message(&t.once, &b, "y", 1);
	once_add_message(&t.once, &b, "x", 1);
	assert_int_not_equal(a.digest, b.digest);
	free(t.mem);
	free(other.mem);
}

static void a_key_is_kept_for_its_time(void **state)
{
	struct table t = make(KEYS);

	(void)state;
	assert_false(has(&t, 1, 5000, 1));
	add(&t, 1, 5000, 1);
	assert_true(has(&t, 1, 5000, 1));
	assert_true(has(&t, 1, 4000, 1));
	assert_true(has(&t, 1, 5000 + KEEP - 1, 1));
	assert_false(has(&t, 1, 5000 + KEEP, 1));
	/* once more, with what it says now */
	assert_int_equal(add(&t, 1, 7000, 3), 0);
	assert_true(has(&t, 1, 7000, 3));
	free(t.mem);
}

/* However they come round, of several sizes: the newest are there, and those that gave way while they counted are told. */
static void the_oldest_gives_way(void **state)
{
	static const unsigned counts[] = { 1, 512, 2, 9, 10, 17, 1, 1, 100 };
	unsigned sizes_of = sizeof(counts) / sizeof(counts[0]), evicted = 0;
	struct table t = make(KEYS);

	(void)state;
	for (unsigned n = 1; n <= KEYS; n++)
		assert_int_equal(add(&t, n, 5000, 1), 0);
	for (unsigned n = 1; n <= KEYS; n++)
		assert_true(has(&t, n, 5000, 1));
	assert_int_equal(add(&t, KEYS + 1, 5000, 1), 1);
	assert_false(has(&t, 1, 5000, 1));
	assert_true(has(&t, 2, 5000, 1));
	assert_int_equal(add(&t, KEYS + 2, 5000 + KEEP, 9), 0);		/* it did not count any more */
	for (unsigned n = 1000; n < 2000; n++) {
		evicted += add(&t, n, 9000, counts[n % sizes_of]);
		assert_true(has(&t, n, 9000, counts[n % sizes_of]));
	}
	assert_true(evicted > 900 && evicted < 1000);
	assert_false(has(&t, 1000, 9000, counts[1000 % sizes_of]));
	free(t.mem);
}

/* ---- a death at each step ---- */

enum { WRITTEN, STAGED, PUBLISHED, LINKED, COMMITTED, STEPS };

/* Dies behind the step; the tail is at 7 when it was published. How far it got beyond what the functions do at a time is made up. */
static void die_behind(struct table *t, unsigned step, unsigned number, uint64_t *tail)
{
	struct once_id id = id_of(t, "a", number, "m");
	unsigned evicted;
	uint64_t n = once_write(&t->once, &id, 5000, 1000 * number, 1, &evicted), end = atomic_load(&t->once.shm->end);

	once_put_answer(&t->once, n, 0, 1000 * number, 10 * number);
	if (step >= STAGED)
		once_stage(&t->once, n, 7);
	*tail = step >= PUBLISHED ? 7 : 6;
	if (step >= LINKED)
		once_commit(&t->once);
	if (step == LINKED)
		atomic_store(&t->once.shm->end, end);
}

static void a_death(void **state)
{
	(void)state;
	for (unsigned step = WRITTEN; step < STEPS; step++) {
		struct table t = make(KEYS);
		uint64_t tail;

		/* two chains, and entries that gave way */
		for (unsigned n = 1; n <= KEYS + 9; n++)
			add(&t, n, 5000, 1);
		die_behind(&t, step, 500, &tail);
		once_repair(&t.once, tail);
		once_repair(&t.once, tail);
		verify(&t);
		assert_int_equal(has(&t, 500, 5000, 1), step >= PUBLISHED);
		assert_true(has(&t, KEYS + 9, 5000, 1));
		add(&t, 501, 5000, 17);
		assert_true(has(&t, 501, 5000, 17));
		assert_int_equal(has(&t, 500, 5000, 1), step >= PUBLISHED);
		free(t.mem);
	}
}

/* ---- with publishing ---- */

static struct publish_item items[3];

static struct once_id put(struct fixture *f, const char *key, const char *message, const char *topics)
{
	static char texts[3];
	struct once_id id;
	size_t n = strlen(topics);

	once_id(&f->hub.once, topics, n == 1, key, strlen(key), &id);
	for (unsigned i = 0; i < n; i++) {
		texts[i] = topics[i];
		items[i] = (struct publish_item){
			.hash = index_hash(&texts[i], 1), .topic = &texts[i], .topic_len = 1, .message = message, .len = (uint32_t)strlen(message),
			.parsed = 1000, .seq = 77, .subscribers = 77,
		};
		once_add_message(&f->hub.once, &id, message, strlen(message));
	}
	return id;
}

static int publish_with(struct fixture *f, const char *key, const char *message, const char *topics)
{
	struct once_id id = put(f, key, message, topics);

	return publish_once(&f->hub, SLOT, FD, items, (unsigned)strlen(topics), &id);
}

static uint64_t counted(const struct fixture *f, enum counter counter)
{
	return atomic_load(&slot_of(f, SLOT)->counters[counter]);
}

static void a_repeat_is_not_published(void **state)
{
	struct fixture *f = *state;

	join(f, 1, "a", 3);
	assert_int_equal(publish_with(f, "k", "m", "a"), 0);
	publish_done(&f->hub, SLOT);
	assert_int_equal(ring_tail(&f->hub.ring), 2);
	join(f, 1, "a", 9);
	assert_int_equal(publish_with(f, "k", "m", "a"), 1);
	assert_int_equal(items[0].seq, 1);
	assert_int_equal(items[0].subscribers, 3);
	assert_int_equal(slot_of(f, SLOT)->intent.state, INTENT_NONE);
	assert_int_equal(ring_tail(&f->hub.ring), 2);
	assert_int_equal(publish_with(f, "k", "n", "a"), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(ring_tail(&f->hub.ring), 2);
	assert_int_equal(publish_with(f, "k", "m", "b"), 0);		/* elsewhere it is another key */
	assert_int_equal(items[0].seq, 0);
	publish_done(&f->hub, SLOT);
	join(f, 1, "b", 1);
	assert_int_equal(publish_with(f, "k", "m", "b"), 1);
	assert_int_equal(items[0].seq, 0);
	assert_int_equal(items[0].subscribers, 0);
	assert_int_equal(counted(f, COUNTER_published), 2);
	assert_int_equal(counted(f, COUNTER_once_repeated), 2);
	check(f);
}

static void a_request_of_several(void **state)
{
	struct fixture *f = *state;

	join(f, 1, "a", 3);
	join(f, 1, "b", 1);
	assert_int_equal(publish_with(f, "k", "m", "axb"), 0);
	publish_done(&f->hub, SLOT);
	assert_int_equal(publish_with(f, "k", "m", "axb"), 1);
	assert_int_equal(items[0].seq, 1);
	assert_int_equal(items[1].seq, 0);
	assert_int_equal(items[2].seq, 2);
	assert_int_equal(items[0].subscribers, 3);
	assert_int_equal(items[1].subscribers, 0);
	assert_int_equal(items[2].subscribers, 1);
	assert_int_equal(publish_with(f, "k", "m", "ax"), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(publish_with(f, "k", "m", "a"), 0);		/* a key of one message */
	check(f);
}

/* In possession of the lock, before the tail moved: neither the message nor its key is there. Behind it both are, and the first answer is none again. */
static void a_death_while_publishing(void **state)
{
	struct fixture *f = *state;
	struct intent_shm *intent = &slot_of(f, SLOT)->intent;
	uint64_t end = atomic_load(&f->hub.once.shm->end);

	join(f, 1, "a", 3);
	assert_int_equal(publish_with(f, "k", "m", "a"), 0);
	assert_int_equal(intent->keyed, end + 1);
	lock_acquire(&f->hub.shm->lock, SLOT + 1);
	hub_repair(&f->hub, SLOT);
	check(f);
	assert_int_equal(intent->state, INTENT_DONE);
	assert_int_equal(publish_with(f, "k", "m", "a"), 0);
	assert_int_equal(items[0].seq, 1);
	assert_int_equal(counted(f, COUNTER_once_repeated), 0);
	publish_done(&f->hub, SLOT);
	assert_int_equal(publish_with(f, "k", "m", "a"), 1);

	/* nobody subscribes: staged is published */
	assert_int_equal(publish_with(f, "k", "m", "x"), 0);
	atomic_store(&f->hub.once.shm->end, end + 1);
	lock_acquire(&f->hub.shm->lock, SLOT + 1);
	hub_repair(&f->hub, SLOT);
	check(f);
	assert_int_equal(intent->state, INTENT_DONE);
	publish_done(&f->hub, SLOT);
	assert_int_equal(publish_with(f, "k", "m", "x"), 1);

	/* not staged yet */
	assert_int_equal(publish_with(f, "k", "m", "y"), 0);
	atomic_store(&f->hub.once.shm->end, end + 2);
	atomic_store(&f->hub.once.shm->staged, end + 2);
	lock_acquire(&f->hub.shm->lock, SLOT + 1);
	hub_repair(&f->hub, SLOT);
	assert_int_equal(intent->state, INTENT_NONE);
}

/* Staged, but the tail has not moved. */
static void a_death_before_the_tail(void **state)
{
	struct fixture *f = *state;
	struct once_id id = put(f, "k", "m", "a");
	unsigned evicted;
	uint64_t number;

	join(f, 1, "a", 3);
	lock_acquire(&f->hub.shm->lock, SLOT + 1);
	number = once_write(&f->hub.once, &id, once_now(), 1, 1, &evicted);
	once_put_answer(&f->hub.once, number, 0, 1, 3);
	slot_of(f, SLOT)->intent = (struct intent_shm){
		.state = INTENT_WRITTEN, .fd = FD, .first = 1, .written = 1, .answered = 1, .parsed = 1000, .keyed = once_behind(&f->hub.once, number),
	};
	once_stage(&f->hub.once, number, 2);
	hub_repair(&f->hub, SLOT);
	check(f);
	assert_int_equal(slot_of(f, SLOT)->intent.state, INTENT_NONE);
	assert_int_equal(publish_with(f, "k", "m", "a"), 0);
	assert_int_equal(ring_tail(&f->hub.ring), 2);
	publish_done(&f->hub, SLOT);
	assert_int_equal(publish_with(f, "k", "m", "a"), 1);
	check(f);
}

/* What nobody subscribes has a record nevertheless, if history keeps it: the key's answer says which. */
static void what_history_keeps(void **state)
{
	struct fixture *f = *state;
	struct settings settings;

	settings_defaults(&settings);
	strcpy(settings.history, "h: 10 messages");
	hub_keep(&f->hub, &settings);
	assert_int_equal(publish_with(f, "k", "m", "xhh"), 0);
	publish_done(&f->hub, SLOT);
	join(f, 1, "h", 9);
	for (unsigned i = 0; i < 3; i++)
		items[i].seq = items[i].subscribers = 77;
	assert_int_equal(publish_with(f, "k", "m", "xhh"), 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(items[i].seq, i);
		assert_int_equal(items[i].subscribers, 0);
	}
	assert_int_equal(ring_tail(&f->hub.ring), 3);
	assert_int_equal(f->hub.history.topics[find(f, "h")].messages, 2);
	check(f);
}

/* The tail has moved, history has not followed, and the key is not linked. */
static void a_death_before_history(void **state)
{
	struct fixture *f = *state;
	struct settings settings;
	struct ring_batch batch;
	struct once_id id;
	uint64_t number;
	unsigned evicted;
	uint32_t topic;

	settings_defaults(&settings);
	strcpy(settings.history, "h: 10 messages");
	hub_keep(&f->hub, &settings);
	id = put(f, "k", "m", "h");
	lock_acquire(&f->hub.shm->lock, SLOT + 1);
	topic = index_keep(&f->hub.index, items[0].hash, "h", 1, 1);
	ring_begin(&f->hub.ring, &batch);
	memcpy(ring_add(&f->hub.ring, &batch, topic, 1, 0, 0), "m", 1);
	number = once_write(&f->hub.once, &id, once_now(), 1, 1, &evicted);
	once_put_answer(&f->hub.once, number, 0, 1, 0);
	slot_of(f, SLOT)->intent = (struct intent_shm){
		.state = INTENT_WRITTEN, .fd = FD, .first = 1, .written = 1, .answered = 1, .parsed = 1000, .keyed = once_behind(&f->hub.once, number),
	};
	once_stage(&f->hub.once, number, 2);
	ring_commit(&f->hub.ring, &batch);
	hub_repair(&f->hub, SLOT);
	check(f);
	assert_int_equal(slot_of(f, SLOT)->intent.state, INTENT_DONE);
	assert_int_equal(f->hub.history.topics[topic].messages, 1);
	assert_int_equal(publish_with(f, "k", "m", "h"), 0);
	assert_int_equal(items[0].seq, 1);
	publish_done(&f->hub, SLOT);
	assert_int_equal(publish_with(f, "k", "m", "h"), 1);
	assert_int_equal(items[0].seq, 1);
	assert_int_equal(items[0].subscribers, 0);
	assert_int_equal(ring_tail(&f->hub.ring), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hash_is_siphash),
		cmocka_unit_test(sizes),
		cmocka_unit_test(what_a_key_is_of),
		cmocka_unit_test(a_key_is_kept_for_its_time),
		cmocka_unit_test(the_oldest_gives_way),
		cmocka_unit_test(a_death),
		cmocka_unit_test_setup_teardown(a_repeat_is_not_published, setup, teardown),
		cmocka_unit_test_setup_teardown(a_request_of_several, setup, teardown),
		cmocka_unit_test_setup_teardown(a_death_while_publishing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_death_before_the_tail, setup, teardown),
		cmocka_unit_test_setup_teardown(what_history_keeps, setup, teardown),
		cmocka_unit_test_setup_teardown(a_death_before_history, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
