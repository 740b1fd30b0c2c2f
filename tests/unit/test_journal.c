/*
 * The journal: what is written is read again by the next server; what is torn, damaged, missing or twice in the file.
 */
#define RING_BYTES 65536
#include "tests/unit/history_fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "shm/journal.h"

#define RULES "news: 100 messages; b*: 100 messages; large: 8 messages"
#define HOUR 3600000u

/* A server's life: its hub, and its journal in the folder. */
struct life {
	struct fixture f;
	struct journal j;
	struct journal_restored restored;
};

static char folder[64];

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/janus-journal-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int remove_folder(void **state)
{
	(void)state;
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void open_life(struct life *l, const char *rules)
{
	memset(l, 0, sizeof(*l));
	begin_with(&l->f, rules, PAGES);
	l->f.hub.once.keep = HOUR;
	journal_init(&l->j, &l->f.hub, open(folder, O_RDONLY | O_DIRECTORY), index_hash(rules, strlen(rules)));
}

/* A server that starts: reads what is there. */
static void begin_life(struct life *l, const char *rules)
{
	open_life(l, rules);
	assert_int_equal(journal_restore(&l->j, &l->restored), 0);
	check_history(&l->f);
	assert_int_equal(journal_begin(&l->j), 0);
}

/* As kill -9 does it. */
static void end_life(struct life *l)
{
	close(l->j.dir);
	journal_fini(&l->j);
	hub_detach(&l->f.hub);
	close(l->f.fd);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		close(l->f.wake[i]);
}

static struct index_shm *index_of(const struct life *l)
{
	return l->f.hub.index.shm;
}

static size_t path_of(const char *name, char *path, size_t size)
{
	return (size_t)snprintf(path, size, "%s/%s", folder, name);
}

static size_t read_file(const char *name, uint8_t **bytes)
{
	char path[128];
	struct stat st;
	FILE *file;

	path_of(name, path, sizeof(path));
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &st), 0);
	*bytes = malloc((size_t)st.st_size);
	assert_int_equal(fread(*bytes, 1, (size_t)st.st_size, file), st.st_size);
	fclose(file);
	return (size_t)st.st_size;
}

static void write_file(const uint8_t *bytes, size_t len)
{
	char path[128];
	FILE *file;

	path_of(JOURNAL_NAME, path, sizeof(path));
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	fclose(file);
}

/* How many messages there are of a topic, whose newest has this number; their bytes are what they should be. */
static unsigned count_of(const struct life *l, const char *name, uint64_t newest)
{
	uint64_t first, last = 0;
	unsigned n = find(&l->f, name) ? read_from(&l->f, name, 0, &first, &last) : 0;

	assert_int_equal(last, n ? newest : 0);
	return n;
}

static void remember(struct life *l, const char *key, uint64_t seq)
{
	struct once *once = &l->f.hub.once;
	struct once_id id;
	unsigned evicted;
	uint64_t number;

	once_id(once, "news", 4, key, strlen(key), &id);
	once_add_message(once, &id, "m", 1);
	number = once_write(once, &id, once_now(), seq, 1, &evicted);
	once_put_answer(once, number, 0, seq, 7);
	once_stage(once, number, 0);
	once_commit(once);
}

/* The sequence that the key was answered, 0: it is not known. */
static uint64_t answer_of(const struct life *l, const char *key)
{
	const struct once *once = &l->f.hub.once;
	uint64_t number, seq, subscribers;
	struct once_id id;

	once_id(once, "news", 4, key, strlen(key), &id);
	once_add_message(once, &id, "m", 1);
	number = once_find(once, &id, once_now());
	if (!number)
		return 0;
	assert_true(once_is_same(once, number, &id));
	once_answer(once, number, 0, &seq, &subscribers);
	assert_int_equal(subscribers, 7);
	return seq;
}

/* ---- from life to life ---- */

static void test_ended_in_order(void **state)
{
	struct life a, b;
	uint64_t tail, news, epoch;

	(void)state;
	begin_life(&a, RULES);
	assert_false(a.restored.found);
	for (unsigned i = 0; i < 5; i++)
		news = say(&a.f, "news", 10 + i);
	say(&a.f, "b\x02\xff name", 100);
	say(&a.f, "large", 20000);
	remember(&a, "k1", news);
	assert_int_equal(journal_follow(&a.j), 1);
	assert_int_equal(journal_follow(&a.j), 0);
	say(&a.f, "news", 15);
	remember(&a, "k2", news + 1);
	index_forget(&a.f.hub.index, 3);
	index_of(&a)->unheard = 4;
	tail = ring_tail(&a.f.hub.ring);
	epoch = a.f.hub.shm->epoch;
	assert_int_equal(journal_end(&a.j), 0);
	end_life(&a);

	begin_life(&b, RULES);
	assert_true(b.restored.found && b.restored.ended);
	assert_int_equal(b.restored.messages, 8);
	assert_int_equal(b.restored.keys, 2);
	assert_int_equal(b.restored.cut, 0);
	assert_int_equal(count_of(&b, "news", 6), 6);
	assert_int_equal(count_of(&b, "b\x02\xff name", 1), 1);
	assert_int_equal(count_of(&b, "large", 1), 1);
	assert_int_equal(answer_of(&b, "k1"), news);
	assert_int_equal(answer_of(&b, "k2"), news + 1);
	assert_int_equal(answer_of(&b, "k3"), 0);
	assert_int_equal(b.f.hub.shm->epoch, epoch);
	assert_int_equal(ring_tail(&b.f.hub.ring), tail);
	assert_int_equal(index_of(&b)->unknown, 0);
	assert_int_equal(atomic_load(&index_of(&b)->forgotten), 3);
	assert_int_equal(index_of(&b)->unheard, 4);
	/* It goes on: the next message joins those of before. */
	assert_int_equal(say(&b.f, "news", 16), tail);
	assert_int_equal(count_of(&b, "news", 7), 7);
	end_life(&b);
}

/* Nothing says that the file has all: ids jump, and what is before is not known to be whole. */
static void test_killed(void **state)
{
	struct life a, b, c, d;
	uint64_t tail, jumped;

	(void)state;
	begin_life(&a, RULES);
	say(&a.f, "news", 10);
	tail = say(&a.f, "news", 11) + 1;
	journal_follow(&a.j);
	say(&a.f, "news", 12);		/* nobody wrote it down */
	end_life(&a);

	begin_life(&b, RULES);
	assert_true(b.restored.found && !b.restored.ended);
	assert_int_equal(count_of(&b, "news", 2), 2);
	jumped = ring_tail(&b.f.hub.ring);
	assert_int_equal(jumped, tail + JOURNAL_JUMP);
	assert_int_equal(index_of(&b)->unknown, jumped);
	assert_int_equal(atomic_load(&index_of(&b)->forgotten), jumped);
	end_life(&b);

	/* A life in which nothing was published has its ids all the same. */
	begin_life(&c, RULES);
	jumped += JOURNAL_JUMP;
	assert_int_equal(ring_tail(&c.f.hub.ring), jumped);
	say(&c.f, "news", 12);
	assert_int_equal(journal_end(&c.j), 0);
	end_life(&c);

	/* What was not known stays unknown. */
	begin_life(&d, RULES);
	assert_true(d.restored.ended);
	assert_int_equal(index_of(&d)->unknown, jumped);
	assert_int_equal(ring_tail(&d.f.hub.ring), jumped + 1);
	assert_int_equal(count_of(&d, "news", 3), 3);
	end_life(&d);
}

static void test_rules_of_the_next_life(void **state)
{
	struct life a, b;

	(void)state;
	begin_life(&a, RULES);
	for (unsigned i = 0; i < 90; i++)
		say(&a.f, "news", 2000), say(&a.f, "b", 10);
	assert_int_equal(journal_end(&a.j), 0);
	end_life(&a);

	begin_life(&b, "news: 10 messages; c: 10 messages");
	assert_int_equal(find(&b.f, "b"), TOPIC_NONE);
	assert_in_range(count_of(&b, "news", 90), 10, 15);
	assert_int_equal(atomic_load(&index_of(&b)->forgotten), ring_tail(&b.f.hub.ring) + 1);
	end_life(&b);
}

/* What history has given up and nobody subscribes is not kept any more, though the file has it still: it does not come back. */
static void test_dropped_topic(void **state)
{
	struct life a, b;
	uint64_t last;

	(void)state;
	begin_life(&a, RULES);
	last = say_at(&a.f, "b", 10, 1000000);
	say(&a.f, "news", 10);
	journal_follow(&a.j);
	rule(&a.f, "news: 100 messages; b*: 1s");
	history_sweep(&a.f.hub.history, hub_now(), 1000);
	assert_int_equal(find(&a.f, "b"), TOPIC_NONE);
	say(&a.f, "news", 10);
	assert_int_equal(journal_end(&a.j), 0);
	end_life(&a);

	begin_life(&b, RULES);
	assert_int_equal(count_of(&b, "b", 0), 0);
	assert_int_equal(count_of(&b, "news", 2), 2);
	history_sweep(&b.f.hub.history, hub_now(), 1000);
	assert_int_equal(find(&b.f, "b"), TOPIC_NONE);
	assert_true(atomic_load(&index_of(&b)->forgotten) > last);
	end_life(&b);
}

static void test_old_keys(void **state)
{
	struct life a, b;
	uint64_t remembered;

	(void)state;
	begin_life(&a, RULES);
	remember(&a, "k", 1);
	remembered = once_now();
	assert_int_equal(journal_end(&a.j), 0);
	end_life(&a);

	open_life(&b, RULES);
	b.f.hub.once.keep = 1;
	while (once_now() <= remembered + b.f.hub.once.keep)
		;
	assert_int_equal(journal_restore(&b.j, &b.restored), 0);
	assert_int_equal(b.restored.keys, 0);
	end_life(&b);
}

/* ---- the writer ---- */

static void test_overtaken(void **state)
{
	struct life a, b;

	(void)state;
	begin_life(&a, RULES);
	say(&a.f, "news", 10);
	say(&a.f, "b", 10);
	journal_follow(&a.j);
	for (unsigned i = 0; i < 90; i++)
		say(&a.f, "news", 1000);
	for (unsigned i = 0; i < 5; i++)
		say(&a.f, "b", 1000);
	assert_true(ring_oldest(&a.f.hub.ring) > atomic_load(&a.f.hub.shm->journal.next));
	assert_int_equal(journal_follow(&a.j), 1);
	assert_int_equal(atomic_load(&slot_of(&a.f, 0)->counters[COUNTER_journal_overtaken]), 1);
	assert_int_equal(atomic_load(&a.f.hub.shm->journal.pinned), 0);
	say(&a.f, "news", 10);
	assert_int_equal(journal_end(&a.j), 0);
	end_life(&a);

	begin_life(&b, RULES);
	assert_int_equal(count_of(&b, "news", 92), 92);
	assert_int_equal(count_of(&b, "b", 6), 6);
	end_life(&b);
}

/* What neither ring nor history had any more is missing; what came before is given up with it, so that no gap is joined. */
static void test_gap(void **state)
{
	struct life a, b;

	(void)state;
	begin_life(&a, "news: 10 messages");
	for (unsigned i = 0; i < 3; i++)
		say(&a.f, "news", 3000);
	journal_follow(&a.j);
	for (unsigned i = 0; i < 60; i++)
		say(&a.f, "news", 3000);
	journal_follow(&a.j);
	end_life(&a);

	begin_life(&b, "news: 100 messages");
	assert_in_range(count_of(&b, "news", 63), 10, 15);
	assert_true(kept(&b.f, "news")->from > 3);
	end_life(&b);
}

static void go_on(struct life *l)
{
	journal_fini(&l->j);
	assert_int_equal(journal_resume(&l->j), 0);
}

/* A writer dies between any two of its steps. */
static void test_writer_dies(void **state)
{
	struct life a, b;
	struct journal_shm *shm;
	uint64_t end, next;
	uint8_t *bytes;

	(void)state;
	begin_life(&a, RULES);
	shm = &a.f.hub.shm->journal;
	say(&a.f, "news", 10);
	journal_follow(&a.j);
	end = atomic_load(&shm->end);
	next = atomic_load(&shm->next);
	say(&a.f, "news", 20);
	say(&a.f, "b", 20);
	journal_follow(&a.j);
	/* It had written and noted nothing. */
	atomic_store(&shm->end, end);
	atomic_store(&shm->next, next);
	go_on(&a);
	assert_int_equal(read_file(JOURNAL_NAME, &bytes), end);
	free(bytes);
	assert_int_equal(journal_follow(&a.j), 1);
	/* It had noted where the file ends. */
	atomic_store(&shm->next, next);
	go_on(&a);
	say(&a.f, "news", 30);
	assert_int_equal(journal_follow(&a.j), 1);
	end_life(&a);

	begin_life(&b, RULES);
	assert_int_equal(b.restored.cut, 0);
	assert_int_equal(b.restored.messages, 4);
	assert_int_equal(count_of(&b, "news", 3), 3);
	assert_int_equal(count_of(&b, "b", 1), 1);
	end_life(&b);
}

static void test_another_file(void **state)
{
	struct life a, b;
	char path[128];

	(void)state;
	begin_life(&a, RULES);
	say(&a.f, "news", 10);
	journal_follow(&a.j);
	assert_false(journal_is_gone(&a.j));
	path_of(JOURNAL_NAME, path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	assert_true(journal_is_gone(&a.j));
	journal_fini(&a.j);
	assert_int_equal(journal_resume(&a.j), -1);
	assert_int_equal(journal_begin(&a.j), 0);
	/* It is another file than the note says; or shorter. */
	atomic_fetch_add(&a.f.hub.shm->journal.id, 1);
	journal_fini(&a.j);
	assert_int_equal(journal_resume(&a.j), -1);
	atomic_fetch_sub(&a.f.hub.shm->journal.id, 1);
	assert_int_equal(truncate(path, (off_t)atomic_load(&a.f.hub.shm->journal.end) - 1), 0);
	assert_int_equal(journal_resume(&a.j), -1);
	assert_int_equal(journal_begin(&a.j), 0);
	end_life(&a);
	begin_life(&b, RULES);
	assert_int_equal(count_of(&b, "news", 1), 1);
	end_life(&b);
}

static void test_grows_and_is_begun_anew(void **state)
{
	struct life a, b;
	uint64_t end;

	(void)state;
	begin_life(&a, RULES);
	for (unsigned i = 0; !journal_is_large(&a.j); i++) {
		assert_true(i < 2000);
		say(&a.f, "large", 14000);
		assert_int_equal(journal_follow(&a.j), 1);
	}
	end = atomic_load(&a.f.hub.shm->journal.end);
	assert_int_equal(journal_begin(&a.j), 0);
	assert_true(atomic_load(&a.f.hub.shm->journal.end) < end / 10);
	assert_false(journal_is_large(&a.j));
	end_life(&a);
	begin_life(&b, RULES);
	assert_in_range(b.restored.messages, 8, 20);
	end_life(&b);
}

/* ---- what is torn or damaged ---- */

/* A file with some of everything, without an end if not `ended`. */
static size_t make_file(uint8_t **bytes, bool ended)
{
	struct life a;

	begin_life(&a, RULES);
	for (unsigned i = 0; i < 3; i++)
		say(&a.f, "news", 5 + i);
	remember(&a, "k", 1);
	journal_follow(&a.j);
	say(&a.f, "bb", 9);
	if (ended)
		assert_int_equal(journal_end(&a.j), 0);
	else
		journal_follow(&a.j);
	end_life(&a);
	return read_file(JOURNAL_NAME, bytes);
}

/* Where records end. Returns how many there are. */
static unsigned find_records(const uint8_t *bytes, size_t len, size_t ends[32])
{
	unsigned n = 0;

	for (size_t at = 0; at < len && n < 32; n++) {
		struct journal_record_file head;

		memcpy(&head, bytes + at, sizeof(head));
		at = (at + sizeof(head) + head.len + 7) & ~(size_t)7;
		ends[n] = at;
	}
	return n;
}

/* The file being whole up to this many records: head, three messages, a key, a message; topics and the end follow. */
static void check_whole(unsigned records, bool whole, bool cut)
{
	struct life b;
	unsigned news = records == 0 ? 0 : records - 1 < 3 ? records - 1 : 3;

	open_life(&b, RULES);
	assert_int_equal(journal_restore(&b.j, &b.restored), 0);
	check_history(&b.f);
	assert_int_equal(b.restored.ended, whole);
	assert_int_equal(b.restored.error, cut ? EBADMSG : 0);
	assert_int_equal(count_of(&b, "news", news), news);
	assert_int_equal(count_of(&b, "bb", 1), records > 5);
	assert_int_equal(answer_of(&b, "k"), records > 4 ? 1 : 0);
	if (!whole && records > 0)
		assert_true(ring_tail(&b.f.hub.ring) > JOURNAL_JUMP && index_of(&b)->unknown == ring_tail(&b.f.hub.ring));
	if (cut) {
		uint8_t *damaged;

		read_file(JOURNAL_DAMAGED, &damaged);
		free(damaged);
	}
	end_life(&b);
}

/* A power cut leaves any part of what was written. */
static void test_every_length(void **state)
{
	size_t ends[32], len;
	unsigned count, n = 0;
	uint8_t *bytes;

	(void)state;
	len = make_file(&bytes, true);
	count = find_records(bytes, len, ends);
	assert_int_equal(count, 9);
	assert_int_equal(ends[count - 1], len);
	for (size_t i = 0; i <= len; i++) {
		write_file(bytes, i);
		n += n < count && i == ends[n];
		check_whole(n, i == len, n == 0 || i != ends[n - 1]);
	}
	free(bytes);
}

/* An end is the last there is. */
static void test_behind_the_end(void **state)
{
	uint8_t *bytes;
	size_t len;

	(void)state;
	len = make_file(&bytes, true);
	bytes = realloc(bytes, len + 40);
	memset(bytes + len, 0xa5, 40);
	write_file(bytes, len + 40);
	check_whole(9, false, true);
	free(bytes);
}

/* Zeros are what a file has whose bytes did not come to the disk. */
static void test_zeros_behind(void **state)
{
	size_t ends[32], len, more;
	uint8_t *bytes;

	(void)state;
	len = make_file(&bytes, false);
	assert_int_equal(find_records(bytes, len, ends), 6);
	more = len + 4096;
	bytes = realloc(bytes, more);
	memset(bytes + len, 0, 4096);
	for (; more > len; more -= 511 < more - len ? 511 : more - len) {
		write_file(bytes, more);
		check_whole(6, false, true);
	}
	free(bytes);
}

static void test_every_byte(void **state)
{
	size_t ends[32], len;
	unsigned n = 0;
	uint8_t *bytes;

	(void)state;
	len = make_file(&bytes, false);
	assert_int_equal(find_records(bytes, len, ends), 6);
	for (size_t i = 0; i < len; i++) {
		struct journal_record_file head;
		size_t begins;

		n += i == ends[n];
		begins = n ? ends[n - 1] : 0;
		memcpy(&head, bytes + begins, sizeof(head));
		if (i >= begins + sizeof(head) + head.len)
			continue;	/* zeros up to the next record: nobody reads them */
		bytes[i] ^= (uint8_t)(1u << i % 8);
		write_file(bytes, len);
		if (i >= sizeof(head) + 8 && i < sizeof(head) + 16) {	/* the version */
			struct life b;

			open_life(&b, RULES);
			if (journal_restore(&b.j, &b.restored) < 0)
				assert_int_equal(errno, ENOTSUP);
			end_life(&b);
		} else {
			check_whole(n, false, true);
		}
		bytes[i] ^= (uint8_t)(1u << i % 8);
	}
	free(bytes);
}

/* Records of another file are none, even if they are whole. */
static void test_records_of_another_file(void **state)
{
	size_t ends[32], len, other_len;
	uint8_t *bytes, *other;
	char path[128];

	(void)state;
	len = make_file(&bytes, false);
	path_of(JOURNAL_NAME, path, sizeof(path));
	assert_int_equal(unlink(path), 0);
	other_len = make_file(&other, false);
	assert_int_equal(other_len, len);
	find_records(bytes, len, ends);
	memcpy(bytes + ends[1], other + ends[1], len - ends[1]);
	write_file(bytes, len);
	check_whole(2, false, true);
	free(bytes);
	free(other);
}

/* A later version's head may be anything, behind magic and version. It is left as it is. */
static void test_later_version(void **state)
{
	const uint64_t magic = JOURNAL_MAGIC, version = JOURNAL_VERSION + 1;
	uint8_t *bytes, *after;
	struct life b;
	size_t len;

	(void)state;
	len = make_file(&bytes, true);
	memset(bytes, 0xaa, 200);
	memcpy(bytes + sizeof(struct journal_record_file), &magic, 8);
	memcpy(bytes + sizeof(struct journal_record_file) + 8, &version, 8);
	write_file(bytes, len);
	open_life(&b, RULES);
	assert_int_equal(journal_restore(&b.j, &b.restored), -1);
	assert_int_equal(errno, ENOTSUP);
	end_life(&b);
	assert_int_equal(read_file(JOURNAL_NAME, &after), len);
	assert_memory_equal(bytes, after, len);
	free(bytes);
	free(after);
}

/* ---- a disk that takes nothing more ---- */

/* A life that could not begin a file: what comes after is not taken for what came before. */
static void test_disowned(void **state)
{
	struct life b, c;
	uint64_t epoch, tail;
	uint8_t *bytes;

	(void)state;
	make_file(&bytes, true);
	free(bytes);
	open_life(&b, RULES);
	assert_int_equal(journal_restore(&b.j, &b.restored), 0);
	epoch = b.f.hub.shm->epoch;
	tail = ring_tail(&b.f.hub.ring);
	assert_int_equal(journal_disown(&b.j), 0);
	assert_true(b.f.hub.shm->epoch > epoch);
	end_life(&b);

	begin_life(&c, RULES);
	assert_true(c.restored.found && !c.restored.ended);
	assert_int_equal(count_of(&c, "news", 3), 3);
	assert_int_equal(c.f.hub.shm->epoch, epoch);
	assert_int_equal(index_of(&c)->unknown, tail + JOURNAL_JUMP);
	end_life(&c);
}

/* A write fails in its middle: the file is what it was, and what was to be written is written later. */
static void test_write_fails(void **state)
{
	struct life a, b;
	struct stat st;
	int fd;

	(void)state;
	begin_life(&a, RULES);
	say(&a.f, "news", 10);
	journal_follow(&a.j);
	fd = a.j.out.fd;
	a.j.out.fd = open("/dev/full", O_RDWR);
	say(&a.f, "news", 20);
	remember(&a, "k", 2);
	assert_int_equal(journal_follow(&a.j), -1);
	assert_int_equal(errno, ENOSPC);
	close(a.j.out.fd);
	a.j.out.fd = fd;
	/* (It could not give the room back, so it is to be written anew.) */
	assert_int_equal(atomic_load(&a.f.hub.shm->journal.id), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal((uint64_t)st.st_size, atomic_load(&a.f.hub.shm->journal.end));
	assert_int_equal(journal_begin(&a.j), 0);
	assert_int_equal(journal_end(&a.j), 0);
	end_life(&a);
	begin_life(&b, RULES);
	assert_int_equal(count_of(&b, "news", 2), 2);
	assert_int_equal(answer_of(&b, "k"), 2);
	end_life(&b);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(test_ended_in_order),
		IN_FOLDER(test_killed),
		IN_FOLDER(test_rules_of_the_next_life),
		IN_FOLDER(test_dropped_topic),
		IN_FOLDER(test_old_keys),
		IN_FOLDER(test_overtaken),
		IN_FOLDER(test_gap),
		IN_FOLDER(test_writer_dies),
		IN_FOLDER(test_another_file),
		IN_FOLDER(test_grows_and_is_begun_anew),
		IN_FOLDER(test_every_length),
		IN_FOLDER(test_behind_the_end),
		IN_FOLDER(test_zeros_behind),
		IN_FOLDER(test_every_byte),
		IN_FOLDER(test_records_of_another_file),
		IN_FOLDER(test_later_version),
		IN_FOLDER(test_disowned),
		IN_FOLDER(test_write_fails),
	};

	log_init("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
