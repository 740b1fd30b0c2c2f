/*
 * Writing the journal. See journal.h.
 *
 * Where the file ends is noted behind each write, and then what it has by that: whoever goes on after a death cuts off what is behind the note, and may write
 * some messages again.
 */
#include "shm/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shm/crash.h"

#define CHUNK (1u << 20)		/* bytes that are written at once */
#define SLACK (8u << 20)		/* a file may be twice what it was at first, and this more */

static uint64_t load(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_acquire);
}

static void store(_Atomic uint64_t *p, uint64_t n)
{
	atomic_store_explicit(p, n, memory_order_release);
}

void journal_init(struct journal *j, struct hub *hub, int dir, uint64_t rules)
{
	*j = (struct journal){ .hub = hub, .dir = dir, .rules = rules, .out.fd = -1 };
}

void journal_fini(struct journal *j)
{
	if (j->out.fd >= 0)
		close(j->out.fd);
	free(j->out.buffer);
	j->out = (struct journal_out){ .fd = -1 };
}

/* ---- messages ---- */

/*
 * The topic's name, if it is this one still. No lock is taken: an entry that is being given to another topic has another generation, or a name that does not
 * have its hash.
 */
static bool name_of(const struct index *ix, uint32_t topic, uint32_t generation, char name[TOPIC_NAME_MAX], size_t *len)
{
	const struct topic_shm *t = index_topic(ix, topic);
	uint64_t hash = t->hash;

	*len = t->name_len;
	memcpy(name, t->name, *len);
	atomic_thread_fence(memory_order_acquire);
	return *len > 0 && index_hash(name, *len) == hash && __atomic_load_n(&t->generation, __ATOMIC_RELAXED) == generation;
}

static void *put_message(struct journal *j, const struct ring_record *rec, uint64_t after, const char *name, size_t name_len)
{
	const struct journal_message_file fixed = {
		.seq = rec->seq, .time = rec->time, .number = rec->number, .after = after < rec->seq ? after : rec->seq - 1,
	};

	return journal_put(&j->out, JOURNAL_MESSAGE, &fixed, sizeof(fixed), name, name_len, rec->len);
}

/* A record of the ring: 1 it is put, 0 it is none that is kept, -1 ESTALE: it is gone. */
static int put_record(struct journal *j, uint64_t seq)
{
	const struct hub *hub = j->hub;
	struct ring_record rec;
	char name[TOPIC_NAME_MAX];
	uint64_t since;
	size_t len;
	void *dst;

	if (ring_read(&hub->ring, seq, &rec) < 0)
		return -1;
	if (rec.topic == TOPIC_NONE)
		return 0;
	since = index_topic(&hub->index, rec.topic)->since;
	if (!name_of(&hub->index, rec.topic, rec.generation, name, &len))
		return 0;
	/* (A topic that becomes one that is kept with this message is marked so a little later; a worker may have other rules than this process.) */
	if (!history_rules_find(hub->history.rules, name, len) && !index_is_kept(&hub->index, rec.topic))
		return 0;
	dst = put_message(j, &rec, rec.prev ? rec.prev : since ? since - 1 : 0, name, len);
	if (!dst)
		return -1;
	if (ring_copy(&hub->ring, &rec, dst) < 0) {
		journal_unput(&j->out);
		return -1;
	}
	journal_seal(&j->out);
	hub_count(hub, 0, COUNTER_journal_written, 1);
	return 1;
}

/* A topic's messages of history with from <= sequence < below, as far as one chunk goes: 1 there may be more, from *from on; 0; -1. */
static int put_some(struct journal *j, uint32_t topic, uint32_t generation, const char *name, size_t len, uint64_t *from, uint64_t below)
{
	const struct history *h = &j->hub->history;
	struct ring_record rec;
	int r;

	/* (As hub_pin() does.) */
	store(&j->hub->shm->journal.pinned, ring_tail(&j->hub->ring));
	for (r = history_seek(h, lock_as(JOURNAL_OWNER, getpid()), topic, generation, *from, below, &rec); r == 0 && rec.seq < below && j->out.used < CHUNK;
	     r = history_next(h, &rec)) {
		void *dst = put_message(j, &rec, rec.prev, name, len);

		if (!dst) {
			store(&j->hub->shm->journal.pinned, 0);
			return -1;
		}
		history_copy(h, &rec, dst);
		journal_seal(&j->out);
		hub_count(j->hub, 0, COUNTER_journal_written, 1);
		*from = rec.seq + 1;
	}
	store(&j->hub->shm->journal.pinned, 0);
	return r == 0 && rec.seq < below;
}

/* All that history has with from <= sequence < below, topic by topic. */
static int put_history(struct journal *j, uint64_t from, uint64_t below)
{
	const struct index *ix = &j->hub->index;
	uint32_t high = __atomic_load_n(&ix->shm->high, __ATOMIC_RELAXED);

	for (uint32_t topic = 1; topic <= high; topic++) {
		uint32_t generation = __atomic_load_n(&index_topic(ix, topic)->generation, __ATOMIC_ACQUIRE);
		char name[TOPIC_NAME_MAX];
		uint64_t at = from;
		size_t len;
		int more = 1;

		if (!index_is_kept(ix, topic) || !name_of(ix, topic, generation, name, &len))
			continue;
		while (more > 0)
			if ((more = put_some(j, topic, generation, name, len, &at, below)) < 0 || (j->out.used >= CHUNK && journal_flush(&j->out) < 0))
				return -1;
	}
	return 0;
}

/* ---- keys ---- */

static uint64_t wall_ms(void)
{
	return hub_now() / 1000;
}

/* 1: it is put; 0: it has given way to others; -1: no memory. *next: the key behind it. */
static int put_key(struct journal *j, uint64_t number, uint64_t *next)
{
	const struct once *once = &j->hub->once;
	union once_cell_shm c = *once_cell(once, number);
	uint64_t now = once_now(), age = now > c.entry.time ? now - c.entry.time : 0;
	struct journal_key_file fixed = { .digest = c.entry.digest, .time = wall_ms() - age, .first = c.entry.first };
	uint64_t *answers;

	*next = once_next(once, number);
	atomic_thread_fence(memory_order_acquire);
	if (number < load(&once->shm->oldest) || c.entry.count > ONCE_MESSAGES_MAX)
		return 0;
	memcpy(fixed.key, c.entry.key, sizeof(fixed.key));
	answers = journal_put(&j->out, JOURNAL_KEY, &fixed, sizeof(fixed), NULL, 0, c.entry.count * 2 * sizeof(uint64_t));
	if (!answers)
		return -1;
	for (unsigned i = 0; i < c.entry.count; i++) {
		uint64_t answer[2];

		once_answer(once, number, i, &answer[0], &answer[1]);
		memcpy(answers + 2 * i, answer, sizeof(answer));
	}
	atomic_thread_fence(memory_order_acquire);
	if (number < load(&once->shm->oldest)) {
		journal_unput(&j->out);
		return 0;
	}
	journal_seal(&j->out);
	return 1;
}

/* Those with numbers in [from, end). */
static int put_keys(struct journal *j, uint64_t from, uint64_t end)
{
	const struct once *once = &j->hub->once;
	uint64_t number = load(&once->shm->oldest), next;

	if (!once_is_on(once))
		return 0;
	for (number = from > number ? from : number; number && number < end; number = next) {
		int r = put_key(j, number, &next);

		if (r < 0)
			return -1;
		if (r == 0)	/* what is behind it may be gone as well */
			next = load(&once->shm->oldest) > number ? load(&once->shm->oldest) : number + 1;
	}
	return 0;
}

/* ---- following ---- */

/* Writes what was put, and notes it. */
static int flush(struct journal *j, uint64_t next)
{
	struct journal_shm *shm = &j->hub->shm->journal;

	if (j->out.used > 0) {
		if (journal_flush(&j->out) < 0)
			return -1;
		j->unsynced = true;
	}
	CRASH_POINT("journal-written");
	store(&shm->end, j->out.at);
	CRASH_POINT("journal-noted");
	store(&shm->next, next);
	return 0;
}

/* The ring's records up to the tail. -1 with ESTALE: they are gone, as far as they are not written by now. */
static int follow_ring(struct journal *j, uint64_t tail)
{
	uint64_t seq = load(&j->hub->shm->journal.next);

	while (seq < tail) {
		int r = put_record(j, seq);

		if (r < 0 && errno == ESTALE && flush(j, seq) == 0)
			errno = ESTALE;
		if (r < 0)
			return -1;
		seq++;
		if (j->out.used >= CHUNK && flush(j, seq) < 0)
			return -1;
	}
	return flush(j, seq);
}

/* What was put and not written is not to be; what was written and not noted is cut off, which gives its room back. */
static int give_up(struct journal *j)
{
	int error = errno;

	j->out.used = 0;
	j->out.at = load(&j->hub->shm->journal.end);
	if (ftruncate(j->out.fd, (off_t)j->out.at) < 0)
		store(&j->hub->shm->journal.id, 0);
	errno = error;
	return -1;
}

int journal_follow(struct journal *j)
{
	struct journal_shm *shm = &j->hub->shm->journal;
	/* The keys first, so that all their messages are before the tail. */
	uint64_t keys = load(&j->hub->once.shm->end), tail = ring_tail(&j->hub->ring), next = load(&shm->next);

	if (next == tail && load(&shm->keys) == keys)
		return 0;
	if (follow_ring(j, tail) < 0) {
		if (errno != ESTALE)
			return give_up(j);
		hub_count(j->hub, 0, COUNTER_journal_overtaken, 1);
		if (put_history(j, load(&shm->next), tail) < 0 || flush(j, tail) < 0)
			return give_up(j);
	}
	if (put_keys(j, load(&shm->keys), keys) < 0 || flush(j, tail) < 0)
		return give_up(j);
	store(&shm->keys, keys);
	return 1;
}

int journal_sync(struct journal *j)
{
	uint64_t next = load(&j->hub->shm->journal.next);

	if (FAIL_POINT("journal-sync") ? (errno = EIO, true) : fdatasync(j->out.fd) < 0) {
		store(&j->hub->shm->journal.id, 0);
		return -1;
	}
	j->unsynced = false;
	store(&j->hub->shm->journal.synced, next);
	hub_count(j->hub, 0, COUNTER_journal_synced, 1);
	return 0;
}

bool journal_is_large(const struct journal *j)
{
	const struct journal_shm *shm = &j->hub->shm->journal;

	return load(&shm->end) > 2 * load(&shm->base) + SLACK;
}

bool journal_is_gone(const struct journal *j)
{
	struct stat st;

	return fstat(j->out.fd, &st) < 0 || st.st_nlink == 0;
}

/* ---- beginning ---- */

static int put_head(struct journal *j, uint64_t id, uint64_t tail)
{
	const struct hub *hub = j->hub;
	struct journal_head_file head = {
		.magic = JOURNAL_MAGIC, .version = JOURNAL_VERSION, .id = id, .epoch = hub->shm->epoch, .tail = tail,
		.unknown = hub->index.shm->unknown, .forgotten = atomic_load(&hub->index.shm->forgotten), .unheard = hub->index.shm->unheard,
		.secret = { hub->once.shm->secret[0], hub->once.shm->secret[1] },
	};

	if (!journal_put(&j->out, JOURNAL_HEAD, &head, sizeof(head), NULL, 0, 0))
		return -1;
	journal_seal(&j->out);
	return 0;
}

/* All there is goes into j->out.fd, and to the disk. */
static int write_all(struct journal *j, uint64_t id, uint64_t tail, uint64_t keys)
{
	if (put_head(j, id, tail) < 0 || put_history(j, 0, tail) < 0 || put_keys(j, 0, keys) < 0 || journal_flush(&j->out) < 0)
		return -1;
	CRASH_POINT("journal-new-written");
	if (fsync(j->out.fd) < 0 || renameat(j->dir, JOURNAL_NEW, j->dir, JOURNAL_NAME) < 0)
		return -1;
	CRASH_POINT("journal-renamed");
	/* The name is another file's now. If that does not come to the disk, the old one is there after a power cut; it is as good as it was. */
	return fsync(j->dir);
}

int journal_begin(struct journal *j)
{
	struct journal_shm *shm = &j->hub->shm->journal;
	uint64_t keys = load(&j->hub->once.shm->end), tail = ring_tail(&j->hub->ring), id = 0;
	struct journal_out old = j->out;
	int error;

	j->out = (struct journal_out){ .fd = openat(j->dir, JOURNAL_NEW, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600) };
	if (j->out.fd < 0)
		goto err;
	if (FAIL_POINT("journal-begin")) {
		errno = ENOSPC;
		goto err_file;
	}
	while (id == 0)
		if (getrandom(&id, sizeof(id), GRND_NONBLOCK) != sizeof(id))
			id = hub_now();		/* early at boot: this is another one, too */
	if (write_all(j, id, tail, keys) < 0)
		goto err_file;
	store(&shm->id, 0);
	store(&shm->base, j->out.at);
	store(&shm->end, j->out.at);
	store(&shm->next, tail);
	store(&shm->keys, keys);
	store(&shm->synced, tail);
	store(&shm->id, id);
	j->unsynced = false;
	hub_count(j->hub, 0, COUNTER_journal_begun, 1);
	if (old.fd >= 0)
		close(old.fd);
	free(old.buffer);
	return 0;
err_file:
	error = errno;
	close(j->out.fd);
	unlinkat(j->dir, JOURNAL_NEW, 0);
	errno = error;
err:
	free(j->out.buffer);
	j->out = old;
	return -1;
}

int journal_resume(struct journal *j)
{
	const struct journal_shm *shm = &j->hub->shm->journal;
	int fd = openat(j->dir, JOURNAL_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	struct journal_in in = { 0 };
	uint64_t id = load(&shm->id), end = load(&shm->end);
	int reader = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	bool same = reader >= 0 && journal_in_open(&in, reader) == 0 && id != 0 && in.head.id == id && end <= in.size;

	journal_in_close(&in);
	if (!same || ftruncate(fd, (off_t)end) < 0) {
		if (fd >= 0)
			close(fd);
		errno = ESTALE;
		return -1;
	}
	j->out.fd = fd;
	j->out.at = end;
	j->out.seed = (uint32_t)(id ^ id >> 32);
	j->unsynced = true;
	return 0;
}

/* ---- the end ---- */

/* What is known of the topics that have history: what else is in the file does not count. *forgotten: above those that are kept and have none. */
static int put_topics(struct journal *j, uint64_t *forgotten)
{
	const struct index *ix = &j->hub->index;

	for (uint32_t topic = 1; topic <= ix->shm->high; topic++) {
		const struct topic_shm *t = index_topic(ix, topic);
		const struct history_topic_shm *s = &j->hub->history.topics[topic];
		struct journal_topic_file fixed = { .since = t->since, .published = t->published, .last = atomic_load(&t->last) };

		if (atomic_load(&t->state) != TOPIC_USED || t->kept == TOPIC_KEPT_NOT)
			continue;
		if (t->kept != TOPIC_KEPT || s->generation != t->generation || s->messages == 0) {
			*forgotten = fixed.last + 1 > *forgotten ? fixed.last + 1 : *forgotten;
			continue;
		}
		if (!journal_put(&j->out, JOURNAL_TOPIC, &fixed, sizeof(fixed), t->name, t->name_len, 0))
			return -1;
		journal_seal(&j->out);
		if (j->out.used >= CHUNK && journal_flush(&j->out) < 0)
			return -1;
	}
	return 0;
}

int journal_end(struct journal *j)
{
	const struct index_shm *ix = j->hub->index.shm;
	struct journal_end_file end = {
		.tail = ring_tail(&j->hub->ring), .forgotten = atomic_load(&ix->forgotten), .unheard = ix->unheard, .rules = j->rules,
	};

	while (load(&j->hub->shm->journal.next) < end.tail || load(&j->hub->shm->journal.keys) < load(&j->hub->once.shm->end))
		if (journal_follow(j) < 0)
			return -1;
	if (put_topics(j, &end.forgotten) < 0 || !journal_put(&j->out, JOURNAL_END, &end, sizeof(end), NULL, 0, 0))
		return give_up(j);
	journal_seal(&j->out);
	if (journal_flush(&j->out) < 0)
		return give_up(j);
	return journal_sync(j);
}
