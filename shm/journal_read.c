/*
 * Reading the journal at a server's start. See journal.h.
 *
 * Messages go into history as they come, so the rules in force say what stays of them. What is known besides (until when the file is whole, which ids must not
 * be given again, what was forgotten) is put into the hub at the end.
 */
#include "shm/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/log.h"

struct reading {
	struct journal *j;
	struct journal_in in;
	struct journal_restored *result;
	uint64_t tail;			/* above all sequences that are known */
	uint64_t time;			/* of the newest message */
	bool ended;			/* the last record was an end; */
	struct journal_end_file end;	/* this one */
	uint8_t *listed;		/* by topic number: the end says that it has history */
};

static struct topic_shm *topic_of(const struct reading *x, uint32_t topic)
{
	return index_topic(&x->j->hub->index, topic);
}

/* ---- records ---- */

static int bad(void)
{
	errno = EBADMSG;
	return -1;
}

/* The topic that messages of this name go to. TOPIC_NONE: it has no rule any more, or there is no room. */
static uint32_t keep(struct reading *x, const char *name, size_t len)
{
	struct hub *hub = x->j->hub;

	return history_rules_find(hub->history.rules, name, len) ? index_keep(&hub->index, index_hash(name, len), name, len, 0) : TOPIC_NONE;
}

static int read_message(struct reading *x, const struct journal_record *record)
{
	struct journal_message_file m;
	struct ring_record rec;
	const struct history_topic_shm *s;
	uint32_t topic;

	memcpy(&m, record->fixed, sizeof(m));
	if (record->name_len == 0 || record->name_len > TOPIC_NAME_MAX || record->len == 0 || m.seq == 0 || m.seq > UINT64_MAX - 2 * JOURNAL_JUMP ||
	    m.number == 0 || m.number > m.seq || m.after >= m.seq)
		return bad();
	x->tail = m.seq + 1 > x->tail ? m.seq + 1 : x->tail;
	x->time = m.time > x->time ? m.time : x->time;
	topic = keep(x, record->name, record->name_len);
	if (topic == TOPIC_NONE)
		return 0;
	s = &x->j->hub->history.topics[topic];
	if (s->from && s->generation == topic_of(x, topic)->generation && m.seq <= s->newest_seq)
		return 0;		/* (written twice) */
	topic_of(x, topic)->published = m.number;
	atomic_store(&topic_of(x, topic)->last, m.seq);
	rec = (struct ring_record){ .seq = m.seq, .time = m.time, .number = m.number, .prev = m.after, .len = (uint32_t)record->len };
	x->result->messages += history_restore(&x->j->hub->history, topic, &rec, record->bytes) == 0;
	return 0;
}

static int read_key(struct reading *x, const struct journal_record *record)
{
	struct once *once = &x->j->hub->once;
	struct journal_key_file k;
	unsigned count = (unsigned)(record->len / (2 * sizeof(uint64_t))), evicted;
	uint64_t answer[2], now = hub_now() / 1000, age, number;
	struct once_id id;

	memcpy(&k, record->fixed, sizeof(k));
	if (count == 0 || count > ONCE_MESSAGES_MAX || record->len != count * sizeof(answer) || k.first == 0 || k.first > UINT64_MAX - 2 * JOURNAL_JUMP)
		return bad();
	for (unsigned i = 0; i < count; i++) {
		memcpy(answer, record->bytes + i * sizeof(answer), sizeof(answer));
		if (answer[0] && (answer[0] < k.first || answer[0] - k.first > i))
			return bad();
		x->tail = answer[0] + 1 > x->tail ? answer[0] + 1 : x->tail;
	}
	age = now > k.time ? now - k.time : 0;
	if (!once_is_on(once) || age >= once->keep)
		return 0;
	id = (struct once_id){ .key = { k.key[0], k.key[1] }, .digest = k.digest };
	number = once_write(once, &id, once_now() > age ? once_now() - age : 0, k.first, count, &evicted);
	for (unsigned i = 0; i < count; i++) {
		memcpy(answer, record->bytes + i * sizeof(answer), sizeof(answer));
		once_put_answer(once, number, i, answer[0], answer[1]);
	}
	once_stage(once, number, 0);
	once_commit(once);
	x->result->keys++;
	return 0;
}

static int read_topic(struct reading *x, const struct journal_record *record)
{
	struct hub *hub = x->j->hub;
	struct journal_topic_file t;
	uint32_t topic;

	memcpy(&t, record->fixed, sizeof(t));
	if (record->name_len == 0 || record->name_len > TOPIC_NAME_MAX || t.last > UINT64_MAX - 2 * JOURNAL_JUMP || t.published > t.last)
		return bad();
	topic = index_find(&hub->index, index_hash(record->name, record->name_len), record->name, record->name_len);
	if (topic == TOPIC_NONE) {
		index_forget(&hub->index, t.last + 1);
		return 0;
	}
	x->listed[topic] = 1;
	topic_of(x, topic)->since = t.since;
	topic_of(x, topic)->published = t.published;
	atomic_store(&topic_of(x, topic)->last, t.last);
	return 0;
}

static int read_end(struct reading *x, const struct journal_record *record)
{
	memcpy(&x->end, record->fixed, sizeof(x->end));
	if (x->end.tail < x->tail || x->end.tail > UINT64_MAX - 2 * JOURNAL_JUMP)
		return bad();
	x->ended = true;
	return 0;
}

static int read_record(struct reading *x, const struct journal_record *record)
{
	if (x->ended)
		return bad();		/* nothing comes behind an end */
	switch (record->type) {
	case JOURNAL_MESSAGE:
		return read_message(x, record);
	case JOURNAL_KEY:
		return read_key(x, record);
	case JOURNAL_TOPIC:
		return read_topic(x, record);
	case JOURNAL_END:
		return read_end(x, record);
	case JOURNAL_HEAD:
		break;
	}
	return bad();
}

/* ---- what follows from all of them ---- */

/* The server before this one ended in order: what it knew is known. What is not in its list does not count. */
static void go_on(struct reading *x)
{
	struct hub *hub = x->j->hub;

	for (uint32_t topic = 1; topic <= hub->index.shm->high; topic++)
		history_restored(&hub->history, topic, x->listed[topic] ? topic_of(x, topic)->published : 0);
	hub->index.shm->unknown = x->in.head.unknown;
	hub->index.shm->unheard = x->end.unheard;
	index_forget(&hub->index, x->end.forgotten);
	/* (As in hub_keep_from_now().) */
	if (x->end.rules != x->j->rules)
		index_forget(&hub->index, x->end.tail + 1);
	ring_start(&hub->ring, x->end.tail, x->time);
}

/* It did not: there may have been messages that are not here. */
static void jump(struct reading *x)
{
	struct hub *hub = x->j->hub;
	uint64_t tail = x->tail + JOURNAL_JUMP;

	hub->index.shm->unknown = hub->index.shm->unheard = tail;
	index_forget(&hub->index, tail);
	ring_start(&hub->ring, tail, x->time);
}

static void finish(struct reading *x)
{
	struct hub *hub = x->j->hub;

	hub->shm->epoch = x->in.head.epoch;
	x->result->ended = x->ended;
	if (x->ended)
		go_on(x);
	else
		jump(x);
	hub_follow(hub);		/* (there is nothing to follow, but it says so) */
	history_sweep(&hub->history, hub_now(), UINT_MAX);	/* what has become too old meanwhile */
	hub->history.counts = (struct history_counts){ 0 };
}

/* What is damaged is kept for who wants to look at it. (A second name: the journal itself is there until the next one takes its place.) */
static void set_aside(struct reading *x, int error)
{
	x->result->cut = x->in.size - x->in.at;
	x->result->error = error;
	x->ended = false;
	unlinkat(x->j->dir, JOURNAL_DAMAGED, 0);
	if (linkat(x->j->dir, JOURNAL_NAME, x->j->dir, JOURNAL_DAMAGED, 0) < 0)
		log_warning("%s: %s", JOURNAL_DAMAGED, strerror(errno));
}

static int read_all(struct reading *x)
{
	struct journal_record record;
	uint64_t at;
	int r;

	x->tail = x->in.head.tail;
	if (once_is_on(&x->j->hub->once))
		memcpy(x->j->hub->once.shm->secret, x->in.head.secret, sizeof(x->in.head.secret));
	for (at = x->in.at; (r = journal_in_next(&x->in, &record)) > 0; at = x->in.at) {
		if (read_record(x, &record) < 0) {
			x->in.at = at;
			r = -1;
			break;
		}
	}
	if (r < 0 && errno == ENOMEM)
		return -1;
	if (r < 0)
		set_aside(x, errno);
	finish(x);
	return 0;
}

int journal_restore(struct journal *j, struct journal_restored *result)
{
	struct reading x = { .j = j, .result = result, .listed = calloc(j->hub->index.shm->topics_max + 1u, 1) };
	int fd = openat(j->dir, JOURNAL_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), error, r = -1;

	*result = (struct journal_restored){ 0 };
	if (fd < 0 || !x.listed) {
		if (fd < 0 && errno == ENOENT)
			r = 0;
		goto out;
	}
	result->found = true;
	if (journal_in_open(&x.in, fd) == 0) {
		r = read_all(&x);
	} else if (errno != ENOTSUP && errno != ENOMEM) {
		/* Nothing is known, not even the epoch: it is as if there had been none. */
		x.in.at = 0;
		set_aside(&x, errno);
		r = 0;
	}
out:
	error = errno;
	journal_in_close(&x.in);
	free(x.listed);
	errno = error;
	return r;
}

/* ---- a journal that can't be written ---- */

int journal_disown(struct journal *j)
{
	const uint8_t nothing[sizeof(struct journal_record_file)] = { 0 };
	int fd = openat(j->dir, JOURNAL_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC), error;
	struct journal_in in = { 0 };
	struct journal_record record;
	uint64_t end = 0, at;

	j->hub->shm->epoch = hub_now();
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (journal_in_open(&in, fcntl(fd, F_DUPFD_CLOEXEC, 0)) == 0)
		for (at = in.at; journal_in_next(&in, &record) > 0; at = in.at)
			if (record.type == JOURNAL_END)
				end = at;
	journal_in_close(&in);
	errno = EIO;
	if (end && (pwrite(fd, nothing, sizeof(nothing), (off_t)end) != sizeof(nothing) || fdatasync(fd) < 0)) {
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	close(fd);
	return 0;
}
