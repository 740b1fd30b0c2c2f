/*
 * Patterns in the hub: which of them a publish finds, the records that it writes for them, and what is left of both after a death or in a snapshot.
 */
#include "tests/unit/hub_fixture.h"

#include "shm/publish.h"
#include "shm/snapshot.h"

#include <sys/mman.h>

#define SLOT 2

static unsigned match(const struct fixture *f, const char *topic, uint32_t found[INDEX_SHAPES_MAX])
{
	return index_match(&f->hub.index, topic, strlen(topic), found);
}

/* The pattern is among those that fit the topic. */
static bool is_matched(const struct fixture *f, const char *pattern, const char *topic)
{
	uint32_t found[INDEX_SHAPES_MAX];
	unsigned n = match(f, topic, found);

	for (unsigned i = 0; i < n; i++)
		if (found[i] == find(f, pattern))
			return true;
	return false;
}

static void put(struct publish_item *item, const char *topic, uint32_t len)
{
	static const char message[4096];

	*item = (struct publish_item){ .hash = index_hash(topic, strlen(topic)), .topic = topic, .topic_len = (uint8_t)strlen(topic), .message = message, .len = len };
}

static void patterns_are_found(void **state)
{
	struct fixture *f = *state;
	uint32_t found[INDEX_SHAPES_MAX];

	assert_false(index_has_patterns(&f->hub.index));
	assert_int_equal(match(f, "a.b", found), 0);
	join(f, 0, "a.*", 1);
	join(f, 1, "a.*", 1);
	join(f, 1, "b.*", 1);
	join(f, 1, "*.b", 1);
	join(f, 1, ">", 1);
	join(f, 1, "\x01" "bob.*", 1);		/* a user */
	join(f, 1, "a.>.b", 1);			/* (what an old program let in) */
	join(f, 1, "a.b", 1);
	assert_int_equal(f->hub.index.shm->patterns, 4);
	assert_int_equal(f->hub.index.shm->shapes, 3);
	assert_int_equal(match(f, "a.b", found), 3);
	assert_int_equal(match(f, "b.b", found), 3);
	assert_int_equal(match(f, "b.c", found), 2);
	assert_int_equal(match(f, "c", found), 1);
	assert_int_equal(match(f, "\x01" "a.b", found), 0);
	assert_int_equal(match(f, "\x02", found), 0);
	check(f);
	index_leave(&f->hub.index, 0, find(f, "a.*"));
	assert_true(is_matched(f, "a.*", "a.b"));
	index_leave(&f->hub.index, 1, find(f, "a.*"));
	index_leave(&f->hub.index, 1, find(f, ">"));
	assert_int_equal(f->hub.index.shm->shapes, 2);
	assert_int_equal(match(f, "a.b", found), 1);
	check(f);
	index_leave(&f->hub.index, 1, find(f, "b.*"));
	index_leave(&f->hub.index, 1, find(f, "*.b"));
	assert_false(index_has_patterns(&f->hub.index));
	check(f);
}

static uint32_t try_join(struct fixture *f, const char *name)
{
	return index_join(&f->hub.index, 0, index_hash(name, strlen(name)), name, strlen(name), 1);
}

static void patterns_are_limited(void **state)
{
	struct fixture *f = *state;

	index_limit(f->hub.index.shm, 3, 2);
	join(f, 0, "a.*", 1);
	join(f, 0, "a.>", 1);
	assert_int_equal(try_join(f, "*.a"), TOPIC_NONE);
	assert_int_equal(errno, ENOBUFS);
	join(f, 0, "b.*", 1);
	assert_int_equal(try_join(f, "c.*"), TOPIC_NONE);
	assert_int_equal(errno, EDQUOT);
	assert_int_not_equal(try_join(f, "b.*"), TOPIC_NONE);
	assert_int_not_equal(try_join(f, "c"), TOPIC_NONE);
	index_leave(&f->hub.index, 0, find(f, "a.>"));
	assert_int_not_equal(try_join(f, "*.a"), TOPIC_NONE);
	check(f);
}

/* Whatever a death has left of what is counted. */
static void patterns_are_repaired(void **state)
{
	struct fixture *f = *state;
	struct index_shm *shm = f->hub.index.shm;
	unsigned sieved;

	join(f, 0, "a.*", 1);
	join(f, 0, "b.*", 1);
	join(f, 0, "a.>", 1);
	for (unsigned i = 0; i < 5; i++) {
		atomic_store(&shm->dirty, 1);
		shm->patterns = i;
		shm->shapes = i == 4 ? INDEX_SHAPES_MAX : i;
		shm->shape[0].patterns = 77;
		shm->shape[1].shape.stars = i;
		memset(f->hub.index.sieve, i % 2 ? 0 : 255, INDEX_SIEVE * shm->buckets);
		index_repair(&f->hub.index);
		check(f);
		assert_int_equal(shm->patterns, 3);
		for (unsigned k = sieved = 0; k < INDEX_SIEVE * shm->buckets; k++)
			sieved += f->hub.index.sieve[k];
		assert_int_equal(sieved, 3);
		assert_true(is_matched(f, "b.*", "b.x") && is_matched(f, "a.>", "a.b") && !is_matched(f, "a.*", "b.x"));
	}
	for (unsigned i = 0; i < 3 * UINT8_MAX; i++) {	/* a place in the sieve that is full stays so */
		index_leave(&f->hub.index, 0, find(f, "b.*"));
		join(f, 0, "b.*", 1);
	}
	check(f);
}

#define BREAKS(damage)							\
	do {								\
		const char *why = NULL;					\
		memcpy(saved, shm, index_size(TOPICS_MAX));		\
		damage;							\
		assert_int_equal(index_check(&f->hub.index, &why), -1);	\
		assert_non_null(why);					\
		memcpy(shm, saved, index_size(TOPICS_MAX));		\
	} while (0)

static void check_sees(void **state)
{
	struct fixture *f = *state;
	struct index_shm *shm = f->hub.index.shm;
	void *saved = malloc(index_size(TOPICS_MAX));

	join(f, 0, "a.*", 1);
	join(f, 0, "a.>", 1);
	BREAKS(shm->patterns++);
	BREAKS(shm->shapes--);
	BREAKS(shm->shapes++);
	BREAKS(shm->shapes = INDEX_SHAPES_MAX + 1);
	BREAKS(shm->shape[0].patterns++);
	BREAKS(shm->shape[1].shape.tail ^= 1);
	BREAKS(shm->shape[1] = shm->shape[0]);
	BREAKS(memset(f->hub.index.sieve, 0, INDEX_SIEVE * shm->buckets));
	check(f);
	free(saved);
}

/* A record for whom the message is first, and echoes behind it, which say what it says. */
static void a_message_has_a_record_for_each(void **state)
{
	struct fixture *f = *state;
	struct publish_item items[4];
	struct ring_record own, rec;

	join(f, 0, "a.*", 2);
	join(f, 1, "*.b", 3);
	join(f, 5, "a.b", 1);
	go_live(f, 1, true);
	put(&items[0], "a.b", 30);
	put(&items[1], "z", 10);
	put(&items[2], "a.c", 20);
	put(&items[3], "a.b", 5);
	assert_int_equal(publish_answered(&f->hub, SLOT, 9, items, 4), 0);
	assert_int_equal(woken(f, 1), 1);
	assert_int_equal(ring_tail(&f->hub.ring), 8);
	assert_int_equal(items[0].seq, 1);
	assert_int_equal(items[0].subscribers, 6);
	assert_int_equal(items[1].seq, 0);
	assert_int_equal(items[2].seq, 4);
	assert_int_equal(items[2].subscribers, 2);
	assert_int_equal(items[3].seq, 5);
	assert_int_equal(ring_read(&f->hub.ring, 1, &own), 0);
	assert_int_equal(own.topic, find(f, "a.b"));
	for (uint64_t seq = 1; seq <= 3; seq++) {
		assert_int_equal(ring_read(&f->hub.ring, seq, &rec), 0);
		assert_int_equal(rec.id, 1);
		assert_true(rec.flags & RING_ECHOED);
		assert_int_equal(!!(rec.flags & RING_ECHO), seq > 1);
		assert_true(rec.at == own.at && rec.len == own.len && rec.time == own.time);
		assert_int_equal(ring_message_from(&f->hub.ring, seq), seq == 1 ? 1 : 4);
	}
	assert_int_equal(ring_read(&f->hub.ring, 4, &rec), 0);	/* of a pattern alone: its own */
	assert_true(rec.id == 4 && rec.topic == find(f, "a.*") && rec.flags < RING_ECHOED);
	assert_int_equal(atomic_load(&slot_of(f, SLOT)->counters[COUNTER_published_matched]), 3);
	assert_int_equal(atomic_load(&slot_of(f, SLOT)->counters[COUNTER_published_unheard]), 1);
	check(f);
	/* A successor that is asked again says the same. */
	atomic_store(&slot_of(f, SLOT)->intent.state, INTENT_DONE);
	for (unsigned i = 0; i < 4; i++)
		items[i].seq = items[i].subscribers = 77;
	assert_int_equal(publish_answered(&f->hub, SLOT, 9, items, 4), 0);
	assert_true(items[0].seq == 1 && items[0].subscribers == 6 && items[1].seq == 0 && items[2].seq == 4 && items[3].seq == 5);
	assert_int_equal(ring_tail(&f->hub.ring), 8);
	publish_done(&f->hub, SLOT);
}

/* Echoes are records like others where it is said how many go into the ring at a time. */
static void batches_are_bounded(void **state)
{
	static struct publish_item items[RING_MESSAGES];
	struct fixture *f = *state;

	for (unsigned i = 0; i < 7; i++)
		join(f, 0, (const char *[]){ "a.b.c", "*.b.c", "a.*.c", "a.b.*", "*.*.c", "a.>", ">" }[i], 1);
	for (unsigned i = 0; i < RING_MESSAGES / 4; i++)
		put(&items[i], "a.b.c", 10);
	assert_int_equal(publish(&f->hub, SLOT, 9, items, RING_MESSAGES / 4), RING_MESSAGES / 4 / 7);
	assert_int_equal(ring_tail(&f->hub.ring), 1 + RING_MESSAGES / 4 / 7 * 7);
	publish_done(&f->hub, SLOT);
	assert_int_equal(publish_answered(&f->hub, SLOT, 9, items, RING_MESSAGES / 4 / 7 + 1), -1);
	assert_int_equal(errno, EMSGSIZE);
	check(f);
	for (unsigned i = 0; i < 100; i++) {	/* as the ring goes round, a message's records go one by one */
		uint64_t oldest;
		struct ring_record rec;

		assert_int_equal(publish(&f->hub, SLOT, 9, items, 1), 1);
		publish_done(&f->hub, SLOT);
		check(f);
		oldest = ring_oldest(&f->hub.ring);
		assert_int_equal(ring_read(&f->hub.ring, oldest, &rec), 0);
		if (rec.id < oldest)
			assert_int_equal(ring_message_from(&f->hub.ring, rec.id + 1), rec.id + 7);
	}
}

static void history_has_topics_alone(void **state)
{
	struct fixture *f = *state;
	struct settings settings;
	struct publish_item item;

	settings_defaults(&settings);
	strcpy(settings.history, "*: 10 messages");
	hub_keep(&f->hub, &settings);
	join(f, 0, "a.*", 1);
	put(&item, "a.b", 30);
	assert_int_equal(publish_answered(&f->hub, SLOT, 9, &item, 1), 0);
	assert_int_equal(ring_tail(&f->hub.ring), 3);
	assert_int_equal(f->hub.history.topics[find(f, "a.b")].messages, 1);
	assert_int_equal(index_topic(&f->hub.index, find(f, "a.*"))->kept, TOPIC_KEPT_NOT);
	assert_int_equal(hub_counted_since(&f->hub, "a.>", 3), 3);
}

/* From any record on, whatever has become of those whom a message was for; and what is read says no less than before. */
static void snapshots_have_them(void **state)
{
	struct fixture *f = *state, *other;
	struct publish_item item;
	uint64_t tail;
	int fd = memfd_create("snapshot", MFD_CLOEXEC);

	join(f, 0, "gone.*", 1);
	join(f, 0, "gone.b", 1);
	join(f, 0, "*.b", 1);
	join(f, 0, "*.*", 1);
	for (unsigned i = 0; i < 12; i++) {
		put(&item, i % 3 ? "gone.b" : "other.c", 10 + i);
		assert_int_equal(publish(&f->hub, SLOT, 9, &item, 1), 1);
		publish_done(&f->hub, SLOT);
	}
	index_leave(&f->hub.index, 0, find(f, "gone.b"));
	index_leave(&f->hub.index, 0, find(f, "gone.*"));
	tail = ring_tail(&f->hub.ring);
	for (uint64_t from = 1; from <= tail; from++) {
		assert_int_equal(snapshot_write_hub(&f->hub, from, fd), 0);
		setup((void **)&other);
		assert_int_equal(snapshot_read_hub(&other->hub, fd), 0);
		check(other);
		assert_int_equal(ring_tail(&other->hub.ring), tail);
		for (uint64_t seq = from; seq < tail; seq++) {
			struct ring_record was, is;
			char a[64], b[64];

			assert_int_equal(ring_read(&f->hub.ring, seq, &was), 0);
			assert_int_equal(ring_read(&other->hub.ring, seq, &is), 0);
			assert_true(is.id == was.id && is.time == was.time && (is.flags & ~RING_FLAGS) == (was.flags & ~RING_FLAGS));
			if (index_topic(&f->hub.index, was.topic)->generation != was.generation || index_topic(&f->hub.index, was.topic)->state != TOPIC_USED)
				continue;
			assert_int_equal(is.len, was.len);
			assert_true(ring_copy(&f->hub.ring, &was, a) == 0 && ring_copy(&other->hub.ring, &is, b) == 0 && memcmp(a, b, is.len) == 0);
		}
		teardown((void **)&other);
	}
	/* Damaged, it is refused, or what it says is in order. */
	assert_int_equal(snapshot_write_hub(&f->hub, 1, fd), 0);
	srandom(3);
	for (off_t at = random() % 5; at < lseek(fd, 0, SEEK_END); at += 1 + random() % 5) {
		uint8_t byte, damage;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		damage = byte ^ (uint8_t)(1 + random() % 255);
		assert_int_equal(pwrite(fd, &damage, 1, at), 1);
		setup((void **)&other);
		if (snapshot_read_hub(&other->hub, fd) == 0)
			check(other);
		teardown((void **)&other);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	close(fd);
}

#define IN_HUB(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_HUB(patterns_are_found), IN_HUB(patterns_are_limited), IN_HUB(patterns_are_repaired), IN_HUB(check_sees),
		IN_HUB(a_message_has_a_record_for_each), IN_HUB(batches_are_bounded), IN_HUB(history_has_topics_alone), IN_HUB(snapshots_have_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
