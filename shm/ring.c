/*
 * The publish ring. See ring.h for the layout and the rules.
 *
 * Against readers: a reader copies first and looks at `oldest` afterwards. make_room() moves `oldest` before anything is
 * overwritten, with a fence on either side, so a reader that has copied even one new byte sees the new `oldest`. The copied
 * memory itself is not atomic: what may have been torn is thrown away unseen.
 *
 * Against death, in ring_add(): `oldest`, then the descriptor's seq made 0, then `claimed`, then the descriptor, its seq last,
 * then the topic and the previous record's link. So whatever lies at tail..claimed-1 is either incomplete (its seq is not
 * its own, and no topic knows of it) or complete, and then its prev and number say what the topic looked like before it.
 * The seq made 0 before `claimed` keeps what an earlier dead batch left in that slot from being taken for this batch's.
 * in_order() is a compiler barrier: who repairs has reaped the dead, whose stores are all there.
 */
#include "shm/ring.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static void in_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

static uint64_t seq_of(const struct ring_desc_shm *d)
{
	return atomic_load_explicit(&d->seq, memory_order_relaxed);
}

static uint64_t round_up(uint64_t len)
{
	return (len + 7) & ~(uint64_t)7;
}

static bool is_power_of_two(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

size_t ring_size(uint64_t bytes, uint32_t descs)
{
	return sizeof(struct ring_shm) + (size_t)descs * sizeof(struct ring_desc_shm) + bytes;
}

void ring_format(void *mem, uint64_t bytes, uint32_t descs)
{
	struct ring_shm *shm = mem;

	assert(is_power_of_two(bytes) && bytes >= 4096 && is_power_of_two(descs) && descs >= 8);
	shm->descs = descs;
	shm->bytes = bytes;
	shm->end = bytes - 256;
	atomic_store_explicit(&shm->tail, 1, memory_order_relaxed);
	atomic_store_explicit(&shm->oldest, 1, memory_order_relaxed);
	atomic_store_explicit(&shm->claimed, 1, memory_order_relaxed);
}

int ring_attach(struct ring *r, void *mem, size_t size, struct index *index)
{
	struct ring_shm *shm = mem;

	if (size < sizeof *shm || !is_power_of_two(shm->bytes) || shm->bytes < 4096 || shm->bytes > size ||
	    !is_power_of_two(shm->descs) || shm->descs < 8 || size < ring_size(shm->bytes, shm->descs)) {
		errno = EINVAL;
		return -1;
	}
	r->shm = shm;
	r->desc = (struct ring_desc_shm *)(shm + 1);
	r->data = (uint8_t *)(r->desc + shm->descs);
	r->index = index;
	return 0;
}

/* ---- producer, under the hub lock ---- */

void ring_begin(struct ring *r, struct ring_batch *b)
{
	b->first = atomic_load_explicit(&r->shm->tail, memory_order_relaxed);
	b->next = b->first;
	b->end = r->shm->end;
	b->time = r->shm->time;
	/* else a batch was neither committed nor repaired */
	assert(atomic_load_explicit(&r->shm->claimed, memory_order_relaxed) == b->first);
}

/* Moves `oldest` past all records that lose their descriptor to record `seq` or bytes to those before byte count `end`. */
static void make_room(struct ring *r, uint64_t seq, uint64_t end)
{
	uint64_t was = atomic_load_explicit(&r->shm->oldest, memory_order_relaxed), oldest = was;

	if (oldest + r->shm->descs <= seq)
		oldest = seq - r->shm->descs + 1;
	while (oldest < seq && ring_desc(r, oldest)->at + r->shm->bytes < end)
		oldest++;
	if (oldest != was)
		atomic_store_explicit(&r->shm->oldest, oldest, memory_order_release);
	/* release: pairs with the acquire fence in ring_holds(). Also needed when `oldest` did not move. */
	atomic_thread_fence(memory_order_release);
}

/* Makes record `seq`, whose descriptor is complete, its topic's last. ring_repair() undoes this from any point. */
static void link_record(struct ring *r, struct topic_shm *t, const struct ring_desc_shm *d, uint64_t seq)
{
	uint64_t oldest = atomic_load_explicit(&r->shm->oldest, memory_order_relaxed);

	t->published = d->number;
	index_pulse(t, d->time);
	/* a record before `oldest` may have lost its descriptor, perhaps to this very record */
	if (d->prev >= oldest && d->topic != TOPIC_NONE)
		atomic_store_explicit(&ring_desc(r, d->prev)->next, seq, memory_order_release);
	/* release: pairs with the acquire in ring_seek(), which may follow it before the record is published */
	atomic_store_explicit(&t->last, seq, memory_order_release);
}

/* Writes the batch's next descriptor, of a record with its bytes at `at`, and links it. Times are the batch's. */
static void write_desc(struct ring *r, struct ring_batch *b, uint32_t topic, uint64_t at, uint32_t len, uint32_t flags)
{
	struct ring_shm *shm = r->shm;
	struct topic_shm *t = index_topic(r->index, topic);
	uint64_t seq = b->next;
	struct ring_desc_shm *d = ring_desc(r, seq);

	assert(len > 0 && topic <= r->index->shm->high);
	/* entry 0 of the index links nobody's records */
	assert(topic == TOPIC_NONE || atomic_load_explicit(&t->state, memory_order_relaxed) == TOPIC_USED);
	make_room(r, seq, at + round_up(len));
	atomic_store_explicit(&d->seq, 0, memory_order_relaxed);
	in_order();
	atomic_store_explicit(&shm->claimed, seq + 1, memory_order_relaxed);
	/* release: a reader that was led here by a dead batch, and sees the new fields, sees seq 0 or the new seq, too */
	atomic_thread_fence(memory_order_release);
	d->at = at;
	d->len = len;
	d->topic = topic;
	d->generation = t->generation;
	d->flags = flags;
	d->time = b->time;
	d->prev = atomic_load_explicit(&t->last, memory_order_relaxed);
	atomic_store_explicit(&d->next, 0, memory_order_relaxed);
	d->number = t->published + 1;
	in_order();
	/* release: pairs with the acquire in ring_read() */
	atomic_store_explicit(&d->seq, seq, memory_order_release);
	in_order();
	link_record(r, t, d, seq);
	b->next = seq + 1;
}

void *ring_add(struct ring *r, struct ring_batch *b, uint32_t topic, uint32_t len, uint32_t flags, uint64_t now)
{
	struct ring_shm *shm = r->shm;
	uint64_t need = round_up(len), seq = b->next, at = b->end, room = shm->bytes - (at & (shm->bytes - 1));

	if (need > shm->bytes / 2) {
		errno = EMSGSIZE;
		return NULL;
	}
	if (need > room)
		at += room;
	if (seq != b->first && (at + need - shm->end > shm->bytes / 2 || seq - b->first >= shm->descs / 2)) {
		errno = ENOSPC;
		return NULL;
	}
	b->time = ring_time_follows(b->time, now) ? now : b->time + 1;
	write_desc(r, b, topic, at, len, flags);
	b->end = at + need;
	return r->data + (at & (shm->bytes - 1));
}

void ring_echo(struct ring *r, struct ring_batch *b, uint32_t topic)
{
	const struct ring_desc_shm *last = ring_desc(r, b->next - 1);
	uint32_t behind = last->flags & RING_ECHO ? (last->flags & RING_FLAGS) + 1 : 1;

	assert(last->flags & RING_ECHOED && behind <= RING_ECHOES_MAX);
	write_desc(r, b, topic, last->at, last->len, RING_ECHO | RING_ECHOED | behind);
}

void ring_commit(struct ring *r, struct ring_batch *b)
{
	if (b->next == b->first)
		return;
	assert(atomic_load_explicit(&r->shm->claimed, memory_order_relaxed) == b->next);
	/* release: pairs with the acquire in ring_tail() */
	atomic_store_explicit(&r->shm->tail, b->next, memory_order_release);
	in_order();
	/* after the tail: ring_repair() finds these two again from the last record, which must be published for that */
	r->shm->end = b->end;
	r->shm->time = b->time;
}

void ring_start(struct ring *r, uint64_t seq, uint64_t time)
{
	struct ring_shm *shm = r->shm;
	struct ring_desc_shm *d = ring_desc(r, seq - 1);

	assert(seq >= atomic_load_explicit(&shm->tail, memory_order_relaxed));
	/* where ring_repair() finds end and time */
	d->at = shm->end;
	d->len = 0;
	d->time = time;
	atomic_store_explicit(&d->seq, seq - 1, memory_order_relaxed);
	shm->time = time;
	atomic_store_explicit(&shm->claimed, seq, memory_order_relaxed);
	atomic_store_explicit(&shm->oldest, seq, memory_order_relaxed);
	atomic_store_explicit(&shm->tail, seq, memory_order_release);
}

/* Makes the topic what it was before the unpublished record `seq`. Right at every point of link_record(). */
static void unlink_record(struct ring *r, uint64_t seq)
{
	struct ring_desc_shm *d = ring_desc(r, seq), *prev;
	struct topic_shm *t;

	if (seq_of(d) != seq)
		return;		/* not complete: its topic was not touched */
	prev = ring_desc(r, d->prev);
	if (d->topic != TOPIC_NONE && d->prev >= atomic_load_explicit(&r->shm->oldest, memory_order_relaxed) && seq_of(prev) == d->prev)
		atomic_store_explicit(&prev->next, 0, memory_order_relaxed);
	t = index_topic(r->index, d->topic);
	if (d->topic != TOPIC_NONE && (atomic_load_explicit(&t->state, memory_order_relaxed) != TOPIC_USED || t->generation != d->generation))
		return;		/* it has left the topic before it died */
	t->published = d->number - 1;
	atomic_store_explicit(&t->last, d->prev, memory_order_release);
}

/* From the newest to the oldest, so that what a topic is set to last is what it was before its first unpublished record. The
 * descriptors stay as they are until `claimed` is back at the tail: cut short, it can be done again from the start. */
void ring_repair(struct ring *r)
{
	struct ring_shm *shm = r->shm;
	uint64_t tail = atomic_load_explicit(&shm->tail, memory_order_relaxed);
	uint64_t seq = atomic_load_explicit(&shm->claimed, memory_order_relaxed);

	while (seq > tail)
		unlink_record(r, --seq);
	if (tail > 1) {
		struct ring_desc_shm *d = ring_desc(r, tail - 1);

		shm->end = d->at + round_up(d->len);
		shm->time = d->time;
	}
	in_order();
	atomic_store_explicit(&shm->claimed, tail, memory_order_relaxed);
}

/* ---- readers, no lock ---- */

int ring_read(const struct ring *r, uint64_t seq, struct ring_record *rec)
{
	const struct ring_desc_shm *d = ring_desc(r, seq);

	/* acquire: pairs with the release in ring_add() */
	if (atomic_load_explicit(&d->seq, memory_order_acquire) != seq)
		goto stale;
	rec->seq = seq;
	rec->at = d->at;
	rec->time = d->time;
	rec->prev = d->prev;
	rec->next = atomic_load_explicit(&d->next, memory_order_relaxed);
	rec->number = d->number;
	rec->len = d->len;
	rec->topic = d->topic;
	rec->generation = d->generation;
	rec->flags = d->flags;
	rec->id = rec->flags & RING_ECHO ? seq - (rec->flags & RING_FLAGS) : seq;
	rec->place.page = 0;
	if (ring_holds(r, seq) && seq_of(d) == seq)
		return 0;
stale:
	errno = ESTALE;
	return -1;
}

uint64_t ring_message_of(const struct ring *r, uint64_t seq)
{
	struct ring_record rec;

	return ring_read(r, seq, &rec) == 0 ? rec.id : seq;
}

uint64_t ring_message_from(const struct ring *r, uint64_t id)
{
	uint64_t seq = id, tail = ring_tail(r);
	struct ring_record rec;

	while (seq < tail) {
		if (ring_read(r, seq, &rec) < 0) {
			uint64_t oldest = ring_oldest(r);

			/* The echoes may go on in what is left of the ring. */
			if (oldest <= seq || ring_message_of(r, oldest) >= id)
				return seq;
			seq = oldest;
			continue;
		}
		if (rec.id >= id)
			return seq;
		seq++;
	}
	return seq;
}

int ring_copy(const struct ring *r, const struct ring_record *rec, void *dst)
{
	uint64_t place = rec->at & (r->shm->bytes - 1);

	assert(rec->len <= r->shm->bytes - place);
	memcpy(dst, r->data + place, rec->len);
	if (ring_holds(r, rec->seq))
		return 0;
	errno = ESTALE;
	return -1;
}

static unsigned parts(uint64_t n, uint64_t of)
{
	return (unsigned)((n * 1024 + of - 1) / of);
}

unsigned ring_lag(const struct ring *r, uint64_t seq)
{
	uint64_t tail = ring_tail(r);
	struct ring_record here, last;
	unsigned descs, bytes;

	if (seq >= tail)
		return 0;
	if (ring_read(r, seq, &here) < 0 || ring_read(r, tail - 1, &last) < 0)
		return 1024;
	descs = parts(tail - seq, r->shm->descs);
	bytes = parts(last.at + round_up(last.len) - here.at, r->shm->bytes);
	return descs > bytes ? descs : bytes;
}

/* ---- check ---- */

static bool same_topic(const struct ring_desc_shm *a, const struct ring_desc_shm *b)
{
	return a->topic == b->topic && a->generation == b->generation;
}

static bool is_echo(const struct ring_desc_shm *d)
{
	return d->flags & RING_ECHO;
}

/* Where a record lies, given the byte count at which the one before it ended. An echo lies where that one does. */
static const char *check_place(const struct ring *r, const struct ring_desc_shm *d, uint64_t end)
{
	const struct ring_shm *shm = r->shm;

	if (d->len == 0 || round_up(d->len) > shm->bytes / 2 || (d->at & 7) != 0)
		return "a record of impossible size or place";
	if ((d->at & (shm->bytes - 1)) + d->len > shm->bytes)
		return "a record goes over the ring's end";
	if (is_echo(d) && end != 0 ? d->at + round_up(d->len) != end : d->at < end)
		return "records overlap";
	if (d->at + shm->bytes < shm->end)
		return "a readable record has been overwritten";
	return NULL;
}

static const char *check_links(const struct ring *r, const struct ring_desc_shm *d, uint64_t seq)
{
	uint64_t oldest = ring_oldest(r), next = atomic_load_explicit(&d->next, memory_order_relaxed);
	const struct ring_desc_shm *other;

	if (d->number == 0 || d->prev >= seq || (d->number == 1) != (d->prev == 0))
		return "a record's number and prev do not fit";
	if (d->topic == TOPIC_NONE)
		return NULL;
	if (d->prev >= oldest) {
		other = ring_desc(r, d->prev);
		if (!same_topic(d, other) || other->number + 1 != d->number || atomic_load(&other->next) != seq)
			return "prev is not the topic's previous record";
	}
	if (next == 0)
		return NULL;
	if (next <= seq || next >= ring_tail(r))
		return "next names no published record";
	other = ring_desc(r, next);
	return same_topic(d, other) && other->prev == seq ? NULL : "next is not the topic's next record";
}

static const char *check_record(const struct ring *r, uint64_t seq, uint64_t *end, uint64_t *time)
{
	const struct ring_desc_shm *d = ring_desc(r, seq);
	const struct topic_shm *t;
	const char *why;

	if (seq_of(d) != seq)
		return "a descriptor has not its own sequence";
	if (d->topic > r->index->shm->high)
		return "a record of no topic";
	why = check_place(r, d, *end);
	if (!why)
		why = check_links(r, d, seq);
	if (why)
		return why;
	if (is_echo(d)) {
		const struct ring_desc_shm *before = ring_desc(r, seq - 1);
		uint32_t behind = d->flags & RING_FLAGS;

		if (!(d->flags & RING_ECHOED) || behind == 0 || behind > RING_ECHOES_MAX || behind >= seq)
			return "an echo of no record";
		if (*time != 0 && (d->time != *time || d->at != before->at || d->len != before->len || !(before->flags & RING_ECHOED) ||
				   behind != (is_echo(before) ? before->flags & RING_FLAGS : 0) + 1))
			return "an echo that does not follow its message";
	} else if (!ring_time_follows(*time, d->time))
		return "a time does not follow the one before it";
	t = index_topic(r->index, d->topic);
	if (atomic_load(&t->state) == TOPIC_USED && t->generation == d->generation && atomic_load(&d->next) == 0 &&
	    atomic_load(&t->last) != seq)
		return "a topic's newest record is not its last";
	*end = d->at + round_up(d->len);
	*time = d->time;
	return NULL;
}

static const char *check_topics(const struct ring *r)
{
	uint32_t topic;

	for (topic = 1; topic <= r->index->shm->high; topic++) {
		const struct topic_shm *t = index_topic(r->index, topic);
		uint64_t last = atomic_load(&t->last);
		const struct ring_desc_shm *d = ring_desc(r, last);

		if (atomic_load(&t->state) != TOPIC_USED)
			continue;
		if (last >= ring_tail(r))
			return "a topic's last is not published";
		if ((last == 0) != (t->published == 0))
			return "a topic's last and count do not fit";
		if (last >= ring_oldest(r) &&
		    (d->topic != topic || d->generation != t->generation || d->number != t->published || atomic_load(&d->next)))
			return "a topic's last is not its newest record";
	}
	return NULL;
}

int ring_check(const struct ring *r, const char **why)
{
	const struct ring_shm *shm = r->shm;
	uint64_t seq, end = 0, time = 0, oldest = ring_oldest(r), tail = ring_tail(r);

	*why = NULL;
	if (atomic_load(&shm->claimed) != tail)
		*why = "a batch is under way";
	else if (oldest == 0 || oldest > tail || tail - oldest > shm->descs)
		*why = "oldest and tail do not fit";
	for (seq = oldest; !*why && seq < tail; seq++)
		*why = check_record(r, seq, &end, &time);
	if (!*why && oldest < tail && (shm->end != end || shm->time != time))
		*why = "end or time is not that of the last record";
	if (!*why)
		*why = check_topics(r);
	return *why ? -1 : 0;
}
