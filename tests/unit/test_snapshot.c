/*
 * Snapshots: hub and slot there and back, into segments of the same and of other sizes; other versions' snapshots, and bytes from hell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/transport.h"
#include "shm/lend.h"
#include "shm/snapshot.h"

#define SEQS 200			/* records published by populate_hub() */
#define OWNER 7

/* What damaged lengths ask for is refused, as malloc() would, instead of being the end. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1:max_allocation_size_mb=1024";
}

struct server {
	int hub_fd, slot_fd;
	struct hub hub;
	struct slot slot;
};

/* What was published, by sequence. */
static struct noted {
	const char *topic;		/* NULL: gone */
	uint64_t number, time;
	uint32_t len;
} noted[SEQS + 1];

static void start(struct server *s, uint32_t ring_bytes, uint32_t ring_messages, uint32_t topics, uint32_t sessions)
{
	struct settings settings;

	settings_defaults(&settings);
	settings.ring_bytes = ring_bytes;
	settings.ring_messages = ring_messages;
	settings.max_topics = topics;
	s->hub_fd = hub_create(&settings);
	s->slot_fd = slot_create("slot", &(struct slot_size){ .sessions = sessions, .frame = 1024, .buffered = 1 << 28 });
	assert_int_equal(hub_attach(&s->hub, s->hub_fd, true), 0);
	assert_int_equal(slot_attach(&s->slot, s->slot_fd), 0);
}

static void stop(struct server *s)
{
	hub_detach(&s->hub);
	slot_detach(&s->slot);
	close(s->hub_fd);
	close(s->slot_fd);
}

static int file(void)
{
	return memfd_create("snapshot", 0);
}

static void check(const struct server *s)
{
	const char *why;

	if (index_check(&s->hub.index, &why) < 0)
		fail_msg("index_check: %s", why);
	if (ring_check(&s->hub.ring, &why) < 0)
		fail_msg("ring_check: %s", why);
}

static uint32_t find(const struct server *s, const char *name)
{
	return index_find(&s->hub.index, index_hash(name, strlen(name)), name, strlen(name));
}

static uint32_t join(struct server *s, unsigned slot, const char *name)
{
	return index_join(&s->hub.index, slot, index_hash(name, strlen(name)), name, strlen(name));
}

static uint64_t publish_len(struct server *s, const char *name, uint64_t now, uint32_t len)
{
	struct ring_batch b;
	uint8_t *dst;

	ring_begin(&s->hub.ring, &b);
	dst = ring_add(&s->hub.ring, &b, find(s, name), len, (uint32_t)b.first + 5, now);
	assert_non_null(dst);
	for (uint32_t i = 0; i < len; i++)
		dst[i] = (uint8_t)(b.first * 31 + i);
	ring_commit(&s->hub.ring, &b);
	if (b.first <= SEQS)
		noted[b.first] = (struct noted){ name, index_topic(&s->hub.index, find(s, name))->published, b.time, len };
	return b.first;
}

static void publish(struct server *s, const char *name, uint32_t len)
{
	publish_len(s, name, 1000000 + 10 * ring_tail(&s->hub.ring), len);
}

/* All that was published for it so far is a gone topic's. */
static void end_topic(struct server *s, const char *name)
{
	index_leave(&s->hub.index, 0, find(s, name));
	for (unsigned i = 1; i <= SEQS; i++)
		if (noted[i].topic && strcmp(noted[i].topic, name) == 0)
			noted[i].topic = NULL;
}

static void populate_slots(struct hub *hub)
{
	atomic_store(&hub->shm->slot[0].generation, 3);
	atomic_store(&hub->shm->slot[0].restarts, 2);
	atomic_store(&hub->shm->slot[0].emptied, 1);
	atomic_store(&hub->shm->slot[0].delivered, SEQS - 40);
	atomic_store(&hub->shm->slot[63].delivered, 1);
	hub_count(hub, 0, COUNTER_accepted, 12345);
	hub_count(hub, 0, COUNTER_loops, UINT64_MAX);
}

/* Topics of all kinds: with records, with none, with none any more, gone, gone and made again. */
static void populate_hub(struct server *s)
{
	const char *const names[] = { "alpha", "beta", "gone", "again", "alpha" };

	memset(noted, 0, sizeof(noted));
	s->hub.shm->epoch = 4711;
	populate_slots(&s->hub);
	for (unsigned i = 0; i < 4; i++)
		join(s, 0, names[i]);
	join(s, 3, "alpha");
	join(s, 63, "quiet");
	join(s, 0, "old");
	atomic_store(hub_count_of(&s->hub, 0, find(s, "alpha")), 5);
	atomic_store(hub_count_of(&s->hub, 3, find(s, "alpha")), UINT32_MAX);
	atomic_store(hub_count_of(&s->hub, 5, find(s, "alpha")), 1000);	/* has not joined it */
	atomic_store(hub_count_of(&s->hub, 63, find(s, "quiet")), 1);
	publish(s, "old", 9);
	publish(s, "old", 10);
	while (ring_tail(&s->hub.ring) <= SEQS) {
		uint64_t seq = ring_tail(&s->hub.ring);

		if (seq == SEQS - 30) {
			end_topic(s, "again");
			end_topic(s, "gone");
			join(s, 1, "other");	/* in the entry of one of the two */
			join(s, 0, "again");
		}
		publish(s, seq % 5 == 2 && seq >= SEQS - 30 ? "other" : names[seq % 5], 1 + (uint32_t)(seq * 37 % 200));
	}
	check(s);
}

/* The topic's records from `first` on, found from each other, are those that were published. */
static void verify_links(const struct server *s, const char *name, uint64_t first)
{
	uint32_t topic = find(s, name);
	uint64_t hint = 0, from = first;
	struct ring_record rec;

	for (uint64_t seq = first; seq <= SEQS; seq++) {
		if (!noted[seq].topic || strcmp(noted[seq].topic, name) != 0)
			continue;
		assert_int_equal(ring_seek(&s->hub.ring, topic, 1, from, SEQS + 1, hint, &rec), 0);
		assert_int_equal(rec.seq, seq);
		assert_int_equal(rec.number, noted[seq].number);
		hint = seq;
		from = seq + 1;
	}
	assert_int_equal(ring_seek(&s->hub.ring, topic, 1, from, SEQS + 1, hint, &rec), -1);
}

static void verify_record(const struct server *s, uint64_t seq)
{
	const struct noted *n = &noted[seq];
	struct ring_record rec;
	uint8_t bytes[8192];

	assert_int_equal(ring_read(&s->hub.ring, seq, &rec), 0);
	assert_int_equal(rec.time, n->time);
	assert_int_equal(rec.topic, n->topic ? find(s, n->topic) : TOPIC_NONE);
	if (!n->topic)
		return;
	assert_int_equal(rec.generation, index_topic(&s->hub.index, rec.topic)->generation);
	assert_int_equal(rec.number, n->number);
	assert_int_equal(rec.flags, seq + 5);
	assert_int_equal(rec.len, n->len);
	assert_int_equal(ring_copy(&s->hub.ring, &rec, bytes), 0);
	for (uint32_t i = 0; i < rec.len; i++)
		assert_int_equal(bytes[i], (uint8_t)(seq * 31 + i));
}

static void verify_topic(const struct server *s, const char *name, uint64_t interest, uint64_t published)
{
	uint32_t topic = find(s, name);

	assert_int_not_equal(topic, TOPIC_NONE);
	assert_int_equal(index_topic(&s->hub.index, topic)->interest, interest);
	assert_int_equal(index_topic(&s->hub.index, topic)->published, published);
}

/* The hub is what populate_hub() made, with records from `first` on. */
static void verify_hub(const struct server *s, uint64_t first)
{
	const struct hub_slot_shm *slot = &s->hub.shm->slot[0];

	check(s);
	assert_int_equal(s->hub.shm->epoch, 4711);
	assert_int_equal(s->hub.ring.shm->time, noted[SEQS].time);
	assert_int_equal(ring_tail(&s->hub.ring), SEQS + 1);
	assert_int_equal(ring_oldest(&s->hub.ring), first);
	for (uint64_t seq = first; seq <= SEQS; seq++)
		verify_record(s, seq);
	verify_topic(s, "alpha", 9, noted[SEQS].number);
	verify_topic(s, "beta", 1, noted[SEQS - 4].number);
	verify_topic(s, "other", 2, noted[SEQS - 3].number);
	verify_topic(s, "again", 1, noted[SEQS - 2].number);
	verify_topic(s, "quiet", 1ull << 63, 0);
	verify_topic(s, "old", 1, 2);
	assert_int_equal(hub_subscribers(&s->hub, find(s, "alpha")), 5ull + UINT32_MAX);
	assert_int_equal(*hub_count_of(&s->hub, 3, find(s, "alpha")), UINT32_MAX);
	assert_int_equal(*hub_count_of(&s->hub, 5, find(s, "alpha")), 0);
	assert_int_equal(hub_subscribers(&s->hub, find(s, "quiet")), 1);
	assert_int_equal(s->hub.index.shm->used, 6);
	verify_links(s, "alpha", first);
	verify_links(s, "other", first);
	verify_links(s, "again", first);
	verify_links(s, "old", first);
	assert_int_equal(slot->generation, 3);
	assert_int_equal(slot->restarts, 2);
	assert_int_equal(slot->emptied, 1);
	assert_int_equal(slot->delivered, SEQS - 40);
	assert_int_equal(slot->counters[COUNTER_accepted], 12345);
	assert_int_equal(slot->counters[COUNTER_loops], UINT64_MAX);
	assert_int_equal(s->hub.shm->slot[63].delivered, 1);
	assert_int_equal(s->hub.shm->slot[1].generation, 0);
}

/* Publishing goes on as if nothing had been. */
static void go_on(struct server *s)
{
	const char *const names[] = { "alpha", "beta", "other", "again", "quiet", "old" };
	struct ring_record rec;

	for (unsigned i = 0; i < 600; i++) {
		const struct topic_shm *t = index_topic(&s->hub.index, find(s, names[i % 6]));
		uint64_t number = t->published + 1, prev = t->last;
		uint64_t seq = publish_len(s, names[i % 6], 5, 1 + i % 100);

		assert_int_equal(seq, SEQS + 1 + i);
		assert_int_equal(ring_read(&s->hub.ring, seq, &rec), 0);
		assert_int_equal(rec.number, number);
		assert_int_equal(rec.prev, prev);
		assert_int_equal(rec.time, noted[SEQS].time + 1 + i);
		check(s);
	}
}

static void hub_round(uint64_t from, uint32_t bytes, uint32_t messages, uint64_t first)
{
	struct server a, b;
	int fd = file();

	start(&a, 65536, 128, 16, 8);
	start(&b, bytes, messages, 300, 8);
	populate_hub(&a);
	assert_int_equal(snapshot_write_hub(&a.hub, from, fd), 0);
	assert_int_equal(snapshot_version(fd), SNAPSHOT_VERSION);
	assert_int_equal(snapshot_read_hub(&b.hub, fd), 0);
	verify_hub(&b, first ? first : ring_oldest(&b.hub.ring));
	go_on(&b);
	stop(&a);
	stop(&b);
	close(fd);
}

static void hub_comes_back(void **state)
{
	(void)state;
	hub_round(0, 65536, 128, SEQS + 1 - 128);
	hub_round(SEQS - 50, 65536, 128, SEQS - 50);
	hub_round(SEQS, 65536, 128, SEQS);
	hub_round(SEQS + 1, 65536, 128, SEQS + 1);
	hub_round(UINT64_MAX, 65536, 128, SEQS + 1);
}

static void hub_comes_back_to_another_ring(void **state)
{
	(void)state;
	hub_round(0, 65536, 32, SEQS + 1 - 32);
	hub_round(0, 1 << 20, 1024, SEQS + 1 - 128);
	hub_round(0, 4096, 1024, 0);
}

static void same_bytes(int x, int y)
{
	struct stat sx, sy;
	char *px, *py;

	fstat(x, &sx);
	fstat(y, &sy);
	assert_int_equal(sx.st_size, sy.st_size);
	px = mmap(NULL, (size_t)sx.st_size, PROT_READ, MAP_SHARED, x, 0);
	py = mmap(NULL, (size_t)sx.st_size, PROT_READ, MAP_SHARED, y, 0);
	assert_memory_equal(px, py, (size_t)sx.st_size);
	munmap(px, (size_t)sx.st_size);
	munmap(py, (size_t)sx.st_size);
}

static void hub_snapshot_of_restored_is_the_same(void **state)
{
	struct server a, b;
	int x = file(), y = file();

	(void)state;
	start(&a, 65536, 128, 16, 8);
	start(&b, 65536, 128, 16, 8);
	populate_hub(&a);
	assert_int_equal(write(y, noted, sizeof(noted)), sizeof(noted));	/* in the way */
	assert_int_equal(snapshot_write_hub(&a.hub, 0, x), 0);
	assert_int_equal(snapshot_read_hub(&b.hub, x), 0);
	assert_int_equal(snapshot_write_hub(&b.hub, 0, y), 0);
	same_bytes(x, y);
	stop(&a);
	stop(&b);
	close(x);
	close(y);
}

/* More than a buffer's worth, in pieces of all sizes. */
static void hub_of_many_records(void **state)
{
	struct ring_record x, y;
	struct server a, b;
	int fd = file();

	(void)state;
	start(&a, 1 << 20, 4096, 16, 8);
	start(&b, 1 << 20, 4096, 16, 8);
	join(&a, 0, "alpha");
	for (uint32_t i = 1; i <= 3000; i++)
		publish_len(&a, "alpha", i, i == 1500 ? 100000 : 1 + i % 250);
	assert_int_equal(snapshot_write_hub(&a.hub, 0, fd), 0);
	assert_int_equal(snapshot_read_hub(&b.hub, fd), 0);
	check(&b);
	assert_int_equal(ring_oldest(&b.hub.ring), 1);
	for (uint64_t seq = 1; seq <= 3000; seq++) {
		ring_read(&a.hub.ring, seq, &x);
		assert_int_equal(ring_read(&b.hub.ring, seq, &y), 0);
		assert_int_equal(x.len, y.len);
		assert_memory_equal(ring_peek(&a.hub.ring, &x), ring_peek(&b.hub.ring, &y), x.len);
	}
	stop(&a);
	stop(&b);
	close(fd);
}

/* A record too large for the ring is lost with those before it, and counted in its topic. */
static void hub_record_too_large(void **state)
{
	struct server a, b;
	int fd = file();

	(void)state;
	memset(noted, 0, sizeof(noted));
	start(&a, 65536, 128, 16, 8);
	start(&b, 4096, 128, 16, 8);
	join(&a, 0, "alpha");
	join(&a, 0, "beta");
	publish(&a, "alpha", 100);
	publish(&a, "beta", 100);
	publish(&a, "alpha", 4000);
	publish(&a, "beta", 100);
	publish(&a, "alpha", 100);
	assert_int_equal(snapshot_write_hub(&a.hub, 0, fd), 0);
	assert_int_equal(snapshot_read_hub(&b.hub, fd), 0);
	check(&b);
	assert_int_equal(ring_oldest(&b.hub.ring), 4);
	verify_record(&b, 4);
	verify_record(&b, 5);
	verify_topic(&b, "alpha", 1, 3);
	stop(&a);
	stop(&b);
	close(fd);
}

/* Nothing restored but the place, and the first producer dies. */
static void hub_empty_ring_is_repaired(void **state)
{
	struct server a, b;
	struct ring_batch batch;
	int fd = file();

	(void)state;
	start(&a, 65536, 128, 16, 8);
	start(&b, 65536, 128, 16, 8);
	populate_hub(&a);
	snapshot_write_hub(&a.hub, UINT64_MAX, fd);
	assert_int_equal(snapshot_read_hub(&b.hub, fd), 0);
	ring_begin(&b.hub.ring, &batch);
	assert_non_null(ring_add(&b.hub.ring, &batch, find(&b, "alpha"), 10, 0, 5));
	ring_repair(&b.hub.ring);
	assert_int_equal(b.hub.ring.shm->end, batch.end - 16);
	verify_hub(&b, SEQS + 1);
	go_on(&b);
	stop(&a);
	stop(&b);
	close(fd);
}

static void hub_must_be_at_rest(void **state)
{
	struct server a;
	int fd = file();

	(void)state;
	start(&a, 65536, 128, 16, 8);
	lock_acquire(&a.hub.shm->lock, OWNER);
	assert_int_equal(snapshot_write_hub(&a.hub, 0, fd), -1);
	assert_int_equal(errno, EBUSY);
	lock_release(&a.hub.shm->lock, OWNER);
	atomic_store(&a.hub.shm->slot[5].intent.state, INTENT_DONE);
	assert_int_equal(snapshot_write_hub(&a.hub, 0, fd), -1);
	assert_int_equal(errno, EBUSY);
	atomic_store(&a.hub.shm->slot[5].intent.state, INTENT_NONE);
	assert_int_equal(snapshot_write_hub(&a.hub, 0, fd), 0);
	atomic_store(&a.slot.shm->redo_fd, 1);
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, fd, NULL, NULL), -1);
	assert_int_equal(errno, EBUSY);
	stop(&a);
	close(fd);
}

static void hub_has_no_place(void **state)
{
	struct server a, b;
	int fd = file();

	(void)state;
	start(&a, 65536, 128, 16, 8);
	start(&b, 65536, 128, 5, 8);
	populate_hub(&a);
	snapshot_write_hub(&a.hub, 0, fd);
	assert_int_equal(snapshot_read_hub(&b.hub, fd), -1);
	assert_int_equal(errno, ENOSPC);
	stop(&a);
	stop(&b);
	close(fd);
}

/* ---- slot ---- */

struct spec {
	int fd;
	uint32_t transport;
	uint32_t flags;
	uint64_t pos, parsed;
	const char *in, *out;		/* whole buffers, NULL none */
	uint32_t in_skip, out_skip;	/* bytes of them already dealt with */
	const char *topics[4];
};

static const struct spec specs[] = {
	{ .fd = 3, .pos = 7, .parsed = 100 },
	{ .fd = 4, .transport = TRANSPORT_HTTP, .parsed = 4711, .in = "PUBLISH{", .in_skip = 3 },
	{ .fd = 5, .transport = TRANSPORT_WEBSOCKET, .pos = SEQS + 1, .out = "ACK\1", .topics = { "beta" } },
	{ .fd = 9, .transport = TRANSPORT_PACKET, .flags = SESSION_BEHIND, .pos = SEQS - 60, .in = "half", .out = "long frame", .out_skip = 5,
	  .topics = { "again", "alpha", "quiet", "beta" } },
	{ .fd = 20, .flags = SESSION_CLOSE | SESSION_BEHIND, .out = "bye" },
	{ .fd = 21, .flags = SESSION_CLOSE | SESSION_LINGER, .parsed = 1ull << 40, .topics = { "alpha" } },
	{ .fd = 22, .transport = TRANSPORT_PAGE_10, .parsed = 4, .in = "done", .in_skip = 4, .topics = { "old", "alpha" } },
};
#define SPECS (sizeof(specs) / sizeof(specs[0]))

static uint32_t lend_text(struct lend *lend, const char *text)
{
	uint32_t ref;

	if (!text)
		return LENT_NONE;
	ref = lend_take(lend, strlen(text));
	memcpy(lend_bytes(lend->slot, ref), text, strlen(text));
	return ref;
}

static void open_session(struct server *s, struct lend *lend, const struct spec *p, uint32_t *subscriptions)
{
	struct session_shm *x = slot_session(&s->slot, p->fd);
	_Atomic uint32_t *link = &x->subscriptions;
	uint32_t n = (uint32_t)p->fd;

	x->page_base = p->transport == TRANSPORT_PAGE_10 ? 12 : 0;
	x->last_in = n * 2;
	memset(x->token, p->fd, sizeof(x->token));
	x->state = (struct session_state_shm){
		.transport = p->transport,
		.pos = p->pos, .sent = n * 1000, .parsed = p->parsed, .last_out = n * 3,
		.flags = p->flags | (p->flags == SESSION_BEHIND ? SESSION_CUT : 0),
		.cut = p->flags == SESSION_BEHIND ? 17 : 0,
		.in = lend_text(lend, p->in), .out = lend_text(lend, p->out),
		.out_start = p->out_skip, .out_end = p->out ? (uint32_t)strlen(p->out) : 0,
	};
	if (p->in) {
		lend_header(&s->slot, x->state.in)->base = p->parsed - p->in_skip;
		lend_header(&s->slot, x->state.in)->len = (uint32_t)strlen(p->in);
	}
	for (unsigned i = 0; i < 4 && p->topics[i]; i++) {
		uint32_t number = *subscriptions -= 3;		/* not in the order in which they will be restored */

		s->slot.subscriptions[number].topic = join(s, 0, p->topics[i]);
		s->slot.subscriptions[number].from = SEQS - i;
		s->slot.subscriptions[number].number = n + i;
		atomic_store(link, number);
		link = &s->slot.subscriptions[number].next;
		x->count++;
	}
	x->status = SESSION_OPEN;
	s->slot.shm->fd_end = n + 10;
}

static void populate_slot(struct server *s)
{
	uint32_t subscriptions = 100;
	struct lend lend;

	lend_init(&lend, &s->slot);
	lend_ready(&lend);
	for (unsigned i = 0; i < SPECS; i++)
		open_session(s, &lend, &specs[i], &subscriptions);
	lend_fini(&lend);
}

static void verify_session(const struct server *s, const struct spec *p, uint32_t *subscriptions)
{
	const struct session_shm *x = slot_session(&s->slot, p->fd);
	uint32_t n = (uint32_t)p->fd, topics = 0;
	const char *in = p->in ? p->in + p->in_skip : "", *out = p->out ? p->out + p->out_skip : "";

	assert_int_equal(x->status, SESSION_OPEN);
	assert_int_equal(x->state.transport, p->transport);
	assert_int_equal(x->page_base, p->transport == TRANSPORT_PAGE_10 ? 12 : 0);
	assert_int_equal(x->token[0] + x->token[15], 2 * n);
	assert_int_equal(x->last_in, n * 2);
	assert_int_equal(x->state.last_out, n * 3);
	assert_int_equal(x->state.pos, p->pos);
	assert_int_equal(x->state.sent, n * 1000);
	assert_int_equal(x->state.parsed, p->parsed);
	assert_int_equal(x->state.flags, p->flags | (p->flags == SESSION_BEHIND ? SESSION_CUT : 0));
	assert_int_equal(x->state.cut, p->flags == SESSION_BEHIND ? 17 : 0);
	assert_int_equal(x->state.in != LENT_NONE, *in != '\0');
	if (*in) {
		assert_int_equal(lend_header(&s->slot, x->state.in)->base, p->parsed);
		assert_int_equal(lend_header(&s->slot, x->state.in)->len, strlen(in));
		assert_memory_equal(lend_bytes(&s->slot, x->state.in), in, strlen(in));
	}
	assert_int_equal(x->state.out != LENT_NONE, *out != '\0');
	assert_int_equal(x->state.out_start, 0);
	assert_int_equal(x->state.out_end, strlen(out));
	if (*out)
		assert_memory_equal(lend_bytes(&s->slot, x->state.out), out, strlen(out));
	for (uint32_t i = x->subscriptions; i; i = s->slot.subscriptions[i].next) {
		const struct subscription_shm *sub = &s->slot.subscriptions[i];

		assert_int_equal(i, ++*subscriptions);
		assert_non_null(p->topics[topics]);
		assert_int_equal(sub->topic, find(s, p->topics[topics]));
		assert_true(index_topic(&s->hub.index, sub->topic)->interest & 1ull << 40);
		assert_int_equal(sub->from, SEQS - topics);
		assert_int_equal(sub->number, n + topics);
		topics++;
	}
	assert_int_equal(topics, x->count);
	assert_true(topics == 4 || !p->topics[topics]);
}

/* The buffers and descriptors are each one session's, and nothing else is there. */
static void verify_slot(const struct server *s)
{
	uint32_t subscriptions = 0, open = 0;
	struct lend lend;

	for (unsigned i = 0; i < SPECS; i++)
		verify_session(s, &specs[i], &subscriptions);
	assert_int_equal(s->slot.shm->fd_end, specs[SPECS - 1].fd + 1);
	lend_init(&lend, &s->slot);
	for (uint32_t i = 0; i < s->slot.shm->sessions_max; i++) {
		const struct session_shm *x = &s->slot.sessions[i];

		open += x->status == SESSION_OPEN;
		assert_true(!x->state.in || lend_claim(&lend, x->state.in) == 0);
		assert_true(!x->state.out || lend_claim(&lend, x->state.out) == 0);
	}
	lend_fini(&lend);
	assert_int_equal(open, SPECS);
	assert_int_equal(lock_owner(&s->hub.shm->lock), 0);
	check(s);
}

static void slot_comes_back(void **state)
{
	struct server a, b;
	int x = file(), y = file();

	(void)state;
	start(&a, 65536, 128, 16, 64);
	start(&b, 65536, 64, 99, 23);
	populate_hub(&a);
	populate_slot(&a);
	assert_int_equal(snapshot_write_hub(&a.hub, SEQS - 60, y), 0);
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, x, NULL, NULL), 0);
	assert_int_equal(snapshot_version(x), SNAPSHOT_VERSION);
	assert_int_equal(snapshot_read_hub(&b.hub, y), 0);
	assert_int_equal(snapshot_read_slot(&b.hub, &b.slot, 40, OWNER, x), 0);
	verify_slot(&b);
	assert_int_equal(snapshot_write_slot(&b.hub, &b.slot, y, NULL, NULL), 0);
	same_bytes(x, y);
	stop(&a);
	stop(&b);
	close(x);
	close(y);
}

static int other_slot(int snapshot, int hub_snapshot, uint32_t topics, uint32_t sessions)
{
	struct server b;
	int r;

	start(&b, 65536, 128, topics, sessions);
	if (hub_snapshot >= 0)
		assert_int_equal(snapshot_read_hub(&b.hub, hub_snapshot), 0);
	else
		ring_start(&b.hub.ring, SEQS + 1, 1);
	errno = 0;
	r = snapshot_read_slot(&b.hub, &b.slot, 40, OWNER, snapshot);
	assert_int_equal(lock_owner(&b.hub.shm->lock), 0);
	check(&b);
	stop(&b);
	return r < 0 ? errno : 0;
}

/* More than 32 for each descriptor of the new table; and one of the ring's future. */
static void slot_subscriptions_do_not_fit(void **state)
{
	const struct spec one = { .fd = 1, .topics = { "alpha" } };
	uint32_t subscriptions = 200;
	struct lend lend = { 0 };
	struct server a;
	int fd = file();

	(void)state;
	start(&a, 65536, 128, 16, 64);
	populate_hub(&a);
	open_session(&a, &lend, &one, &subscriptions);
	for (uint32_t i = 1; i < 64; i++) {
		struct subscription_shm *sub = &a.slot.subscriptions[i];

		*sub = (struct subscription_shm){ .topic = find(&a, "alpha"), .next = a.slot.sessions[1].subscriptions };
		a.slot.sessions[1].subscriptions = i;
	}
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, fd, NULL, NULL), 0);
	assert_int_equal(other_slot(fd, -1, 16, 2), 0);
	a.slot.subscriptions[64] = (struct subscription_shm){ .topic = find(&a, "alpha"), .next = a.slot.sessions[1].subscriptions };
	a.slot.sessions[1].subscriptions = 64;
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, fd, NULL, NULL), 0);
	assert_int_equal(other_slot(fd, -1, 16, 2), ENOSPC);
	assert_int_equal(other_slot(fd, -1, 16, 3), 0);
	a.slot.subscriptions[64].from = SEQS + 2;
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, fd, NULL, NULL), 0);
	assert_int_equal(other_slot(fd, -1, 16, 3), EPROTO);
	stop(&a);
	close(fd);
}

static void slot_has_no_place(void **state)
{
	struct spec large = { .fd = 1 };
	static char in[200000];
	struct server a;
	struct lend lend;
	int fd = file(), big;
	uint32_t subscriptions = 100;

	(void)state;
	start(&a, 65536, 128, 16, 64);
	populate_hub(&a);
	populate_slot(&a);
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, fd, NULL, NULL), 0);
	assert_int_equal(other_slot(fd, -1, 5, 23), 0);
	assert_int_equal(other_slot(fd, -1, 4, 23), ENOSPC);
	assert_int_equal(other_slot(fd, -1, 5, 22), ENOSPC);
	/* a buffer larger than any there */
	slot_detach(&a.slot);
	close(a.slot_fd);
	a.slot_fd = slot_create("slot", &(struct slot_size){ .sessions = 64, .frame = 100000, .buffered = 1 << 28 });
	slot_attach(&a.slot, a.slot_fd);
	lend_init(&lend, &a.slot);
	lend_ready(&lend);
	large.in = memset(in, 'x', sizeof(in) - 1);
	open_session(&a, &lend, &large, &subscriptions);
	lend_fini(&lend);
	big = file();
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, big, NULL, NULL), 0);
	assert_int_equal(other_slot(big, -1, 16, 23), ENOSPC);
	stop(&a);
	close(fd);
	close(big);
}

/* ---- other versions ---- */

struct pair {
	const char *key, *text;		/* text NULL: the number */
	uint64_t number;		/* text BYTES: that many bytes */
};
#define BYTES "(bytes)"

/* A map of the pairs but for one, and something that no version knows. */
static void pack_map(msgpack_packer *p, const struct pair *pair, unsigned count, const struct pair *skip)
{
	msgpack_pack_map(p, count + 1 - (skip >= pair && skip < pair + count));
	for (unsigned i = 0; i < count; i++) {
		if (&pair[i] == skip)
			continue;
		msgpack_pack_str_with_body(p, pair[i].key, strlen(pair[i].key));
		if (pair[i].text && strcmp(pair[i].text, BYTES) == 0)
			msgpack_pack_bin_with_body(p, BYTES, pair[i].number);
		else if (pair[i].text)
			msgpack_pack_str_with_body(p, pair[i].text, strlen(pair[i].text));
		else
			msgpack_pack_uint64(p, pair[i].number);
	}
	msgpack_pack_str_with_body(p, "colour", 6);
	msgpack_pack_array(p, 2);
	msgpack_pack_nil(p);
	msgpack_pack_double(p, 1.5);
}

static int bytes_file(const void *bytes, size_t len)
{
	int fd = file();

	assert_int_equal(write(fd, bytes, len), len);
	return fd;
}

/* The maps' pairs stand one map behind the other; one of them is left out. */
static int packed(const struct pair *pairs, const unsigned *counts, unsigned maps, const struct pair *skip)
{
	msgpack_sbuffer buf;
	msgpack_packer p;
	int fd;

	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&p, &buf, msgpack_sbuffer_write);
	for (unsigned i = 0; i < maps; i++) {
		pack_map(&p, pairs, counts[i], skip);
		pairs += counts[i];
	}
	fd = bytes_file(buf.data, buf.size);
	msgpack_sbuffer_destroy(&buf);
	return fd;
}

static int other_hub(int snapshot)
{
	struct server b;
	int r;

	start(&b, 65536, 128, 16, 8);
	errno = 0;
	r = snapshot_read_hub(&b.hub, snapshot);
	if (r == 0)
		check(&b);
	stop(&b);
	return r < 0 ? errno : 0;
}

/* All that a slot's snapshot must have; there is room for another key of the session. */
static const struct pair least_slot[9] = {
	{ "v", NULL, 1 }, { "kind", "slot", 0 }, { "sessions", NULL, 1 },
	{ "fd", NULL, 5 }, { "proto", "flash", 0 }, { "pos", NULL, 1 }, { "sent", NULL, 2 }, { "parsed", NULL, 3 },
};
#define LEAST_SLOT 8

static const struct pair least_hub[] = {
	{ "v", NULL, 1 }, { "kind", "hub", 0 }, { "epoch", NULL, 9 }, { "time", NULL, 77 }, { "first", NULL, 4 },
	{ "tail", NULL, 6 }, { "slots", NULL, 1 }, { "topics", NULL, 1 },
	{ "slot", NULL, 2 }, { "delivered", NULL, 3 },
	{ "topic", "t", 0 }, { "interest", NULL, 4 }, { "published", NULL, 1 }, { "last", NULL, 3 },
	{ "seq", NULL, 4 }, { "time", NULL, 70 },
	{ "seq", NULL, 5 }, { "time", NULL, 77 },
};
#define LEAST_HUB (sizeof(least_hub) / sizeof(least_hub[0]))
static const unsigned hub_counts[] = { 8, 2, 4, 2, 2 };

/* What the snapshot is taken for with one of its values changed. */
static int read_slot_with(unsigned at, struct pair value)
{
	const unsigned counts[] = { 3, at < LEAST_SLOT ? 5 : 6 };
	struct pair changed[LEAST_SLOT + 1];
	int fd, r;

	memcpy(changed, least_slot, sizeof(changed));
	changed[at] = value;
	fd = packed(changed, counts, 2, NULL);
	r = other_slot(fd, -1, 5, 23);
	close(fd);
	return r;
}

static int read_hub_with(unsigned at, struct pair value)
{
	struct pair changed[LEAST_HUB];
	int fd, r;

	memcpy(changed, least_hub, sizeof(changed));
	changed[at] = value;
	fd = packed(changed, hub_counts, 5, NULL);
	r = other_hub(fd);
	close(fd);
	return r;
}

static struct pair other_type(const struct pair *p)
{
	return p->text ? (struct pair){ p->key, NULL, 1 } : (struct pair){ p->key, "x", 0 };
}

static void values_of_other_types(void **state)
{
	const char *const bytes[] = { "token", "in", "out", "flags", "topics" };

	(void)state;
	for (unsigned i = 0; i < LEAST_SLOT; i++)
		assert_int_equal(read_slot_with(i, other_type(&least_slot[i])), EPROTO);
	for (unsigned i = 0; i < LEAST_HUB; i++)
		assert_int_equal(read_hub_with(i, other_type(&least_hub[i])), EPROTO);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(read_slot_with(LEAST_SLOT, (struct pair){ bytes[i], NULL, 5 }), EPROTO);
		assert_int_equal(read_slot_with(LEAST_SLOT, (struct pair){ bytes[i], "text", 0 }), EPROTO);
	}
	assert_int_equal(read_slot_with(LEAST_SLOT, (struct pair){ "last_in", "text", 0 }), EPROTO);
	assert_int_equal(read_slot_with(LEAST_SLOT, (struct pair){ "last_in", NULL, 1ull << 32 }), EPROTO);
	assert_int_equal(read_slot_with(LEAST_SLOT, (struct pair){ "last_in", NULL, 5 }), 0);
}

/* Numbers that fit their types and not each other. The places are those in the tables above. */
static void values_that_contradict(void **state)
{
	(void)state;
	assert_int_equal(read_slot_with(LEAST_SLOT, (struct pair){ "token", BYTES, 7 }), EPROTO);
	assert_int_equal(read_slot_with(5, (struct pair){ "pos", NULL, SEQS + 2 }), EPROTO);
	assert_int_equal(read_slot_with(7, (struct pair){ "parsed", NULL, 1ull << 63 }), EPROTO);
	assert_int_equal(read_hub_with(3, (struct pair){ "time", NULL, 78 }), EPROTO);
	assert_int_equal(read_hub_with(4, (struct pair){ "first", NULL, 0 }), EPROTO);
	assert_int_equal(read_hub_with(4, (struct pair){ "first", NULL, 7 }), EPROTO);
	assert_int_equal(read_hub_with(9, (struct pair){ "delivered", NULL, 7 }), EPROTO);
	assert_int_equal(read_hub_with(10, (struct pair){ "topic", "", 0 }), EPROTO);
	assert_int_equal(read_hub_with(11, (struct pair){ "interest", NULL, 0 }), EPROTO);
	assert_int_equal(read_hub_with(12, (struct pair){ "published", NULL, 0 }), EPROTO);
	assert_int_equal(read_hub_with(12, (struct pair){ "published", NULL, 4 }), EPROTO);
	assert_int_equal(read_hub_with(13, (struct pair){ "last", NULL, 4 }), EPROTO);
	assert_int_equal(read_hub_with(14, (struct pair){ "seq", NULL, 5 }), EPROTO);
	assert_int_equal(read_hub_with(15, (struct pair){ "time", NULL, 77 }), EPROTO);
	assert_int_equal(read_hub_with(15, (struct pair){ "time", NULL, 77 + RING_TIME_BACK }), EPROTO);
	assert_int_equal(read_hub_with(15, (struct pair){ "time", NULL, 78 + RING_TIME_BACK }), 0);	/* the clock was set back */
}

static int read_records_with(unsigned at, struct pair value)
{
	static const unsigned counts[] = { 8, 4, 5, 5 };
	struct pair pairs[] = {
		{ "v", NULL, 1 }, { "kind", "hub", 0 }, { "epoch", NULL, 9 }, { "time", NULL, 77 }, { "first", NULL, 4 },
		{ "tail", NULL, 6 }, { "slots", NULL, 0 }, { "topics", NULL, 1 },
		{ "topic", "t", 0 }, { "interest", NULL, 4 }, { "published", NULL, 3 }, { "last", NULL, 5 },
		{ "seq", NULL, 4 }, { "time", NULL, 70 }, { "topic", "t", 0 }, { "number", NULL, 2 }, { "bytes", BYTES, 3 },
		{ "seq", NULL, 5 }, { "time", NULL, 77 }, { "topic", "t", 0 }, { "number", NULL, 3 }, { "bytes", BYTES, 4 },
	};
	int fd, r;

	pairs[at] = value;
	fd = packed(pairs, counts, 4, NULL);
	r = other_hub(fd);
	close(fd);
	return r;
}

static void records_that_contradict(void **state)
{
	(void)state;
	assert_int_equal(read_records_with(0, (struct pair){ "v", NULL, 1 }), 0);
	assert_int_equal(read_records_with(14, (struct pair){ "topic", "u", 0 }), EPROTO);
	assert_int_equal(read_records_with(15, (struct pair){ "number", NULL, 0 }), EPROTO);
	assert_int_equal(read_records_with(15, (struct pair){ "number", NULL, 1 }), EPROTO);
	assert_int_equal(read_records_with(15, (struct pair){ "number", NULL, 4 }), EPROTO);
	assert_int_equal(read_records_with(20, (struct pair){ "number", NULL, 2 }), EPROTO);
	assert_int_equal(read_records_with(20, (struct pair){ "number", NULL, 4 }), EPROTO);
	assert_int_equal(read_records_with(16, (struct pair){ "bytes", BYTES, 0 }), EPROTO);
}

/* What a topic is taken for, of slots 2 and 5, whose subscribers are one map of the pairs (none: they are a number). */
static int read_subscribers_with(const struct pair *pairs, unsigned count)
{
	msgpack_sbuffer buf;
	msgpack_packer p;
	int fd, r;

	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&p, &buf, msgpack_sbuffer_write);
	pack_map(&p, (const struct pair[]){ { "v", NULL, 1 }, { "kind", "hub", 0 }, { "epoch", NULL, 9 }, { "time", NULL, 77 },
					    { "first", NULL, 4 }, { "tail", NULL, 4 }, { "slots", NULL, 0 }, { "topics", NULL, 1 } }, 8, NULL);
	msgpack_pack_map(&p, 5);
	msgpack_pack_str_with_body(&p, "subscribers", 11);
	if (count) {
		msgpack_pack_array(&p, 1);
		pack_map(&p, pairs, count, NULL);
	} else {
		msgpack_pack_int(&p, 5);
	}
	msgpack_pack_str_with_body(&p, "topic", 5);
	msgpack_pack_str_with_body(&p, "t", 1);
	msgpack_pack_str_with_body(&p, "interest", 8);
	msgpack_pack_int(&p, 1 << 2 | 1 << 5);
	msgpack_pack_str_with_body(&p, "published", 9);
	msgpack_pack_int(&p, 0);
	msgpack_pack_str_with_body(&p, "last", 4);
	msgpack_pack_int(&p, 0);
	fd = bytes_file(buf.data, buf.size);
	msgpack_sbuffer_destroy(&buf);
	r = other_hub(fd);
	close(fd);
	return r;
}

static void subscribers_that_contradict(void **state)
{
	(void)state;
#define WITH(...) read_subscribers_with((const struct pair[]){ __VA_ARGS__ }, sizeof((const struct pair[]){ __VA_ARGS__ }) / sizeof(struct pair))
	assert_int_equal(WITH({ "slot", NULL, 5 }, { "count", NULL, UINT32_MAX }), 0);
	assert_int_equal(WITH({ "slot", NULL, 5 }, { "count", NULL, 1ull << 32 }), EPROTO);
	assert_int_equal(WITH({ "slot", NULL, 4 }, { "count", NULL, 1 }), EPROTO);
	assert_int_equal(WITH({ "slot", NULL, 64 }, { "count", NULL, 1 }), EPROTO);
	assert_int_equal(WITH({ "slot", NULL, 69 }, { "count", NULL, 1 }), EPROTO);
	assert_int_equal(WITH({ "slot", NULL, 5 }, { "count", "1", 0 }), EPROTO);
	assert_int_equal(WITH({ "slot", NULL, 5 }), EPROTO);
	assert_int_equal(WITH({ "count", NULL, 5 }), EPROTO);
#undef WITH
	assert_int_equal(read_subscribers_with(NULL, 0), EPROTO);
}

/* A session, a slot or a topic that is there twice. */
static void things_twice(void **state)
{
	static const unsigned slot_counts[] = { 3, 5, 5 }, slots_counts[] = { 8, 2, 2 }, topics_counts[] = { 8, 4, 4 };
	struct pair pairs[16];
	int fd;

	(void)state;
	memcpy(pairs, least_slot, sizeof(least_slot));
	memcpy(pairs + 8, least_slot + 3, 5 * sizeof(pairs[0]));
	pairs[2].number = 2;
	fd = packed(pairs, slot_counts, 3, NULL);
	assert_int_equal(other_slot(fd, -1, 5, 23), EPROTO);
	close(fd);
	memcpy(pairs, least_hub, 8 * sizeof(pairs[0]));
	memcpy(pairs + 8, least_hub + 8, 2 * sizeof(pairs[0]));
	memcpy(pairs + 10, least_hub + 8, 2 * sizeof(pairs[0]));
	pairs[3].number = 1;
	pairs[4].number = pairs[5].number;	/* no records */
	pairs[6].number = 2;
	pairs[7].number = 0;
	fd = packed(pairs, slots_counts, 3, NULL);
	assert_int_equal(other_hub(fd), EPROTO);
	close(fd);
	memcpy(pairs + 8, least_hub + 10, 4 * sizeof(pairs[0]));
	memcpy(pairs + 12, least_hub + 10, 4 * sizeof(pairs[0]));
	pairs[6].number = 0;
	pairs[7].number = 2;
	fd = packed(pairs, topics_counts, 3, NULL);
	assert_int_equal(other_hub(fd), EPROTO);
	close(fd);
}

static void slot_of_another_version(void **state)
{
	static const unsigned counts[] = { 3, 5 };
	struct pair later[LEAST_SLOT];
	int fd;

	(void)state;
	fd = packed(least_slot, counts, 2, NULL);
	assert_int_equal(other_slot(fd, -1, 5, 23), 0);
	close(fd);
	for (unsigned i = 0; i < LEAST_SLOT; i++) {
		fd = packed(least_slot, counts, 2, &least_slot[i]);
		assert_int_equal(other_slot(fd, -1, 5, 23), EPROTO);
		close(fd);
	}
	memcpy(later, least_slot, sizeof(later));
	later[0].number = SNAPSHOT_VERSION + 1;
	fd = packed(later, counts, 2, NULL);
	assert_int_equal(snapshot_version(fd), SNAPSHOT_VERSION + 1);
	assert_int_equal(other_slot(fd, -1, 5, 23), EPROTO);
	assert_int_equal(other_hub(fd), EPROTO);
	close(fd);
}

static void hub_of_another_version(void **state)
{
	int fd = packed(least_hub, hub_counts, 5, NULL);

	(void)state;
	assert_int_equal(other_hub(fd), 0);
	assert_int_equal(other_slot(fd, -1, 5, 23), EPROTO);
	close(fd);
	for (unsigned i = 0; i < LEAST_HUB; i++) {
		fd = packed(least_hub, hub_counts, 5, &least_hub[i]);
		assert_int_equal(other_hub(fd), EPROTO);
		close(fd);
	}
}

static void no_snapshot_at_all(void **state)
{
	int fd = file();

	(void)state;
	assert_int_equal(snapshot_version(fd), -1);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(other_hub(fd), EPROTO);
	assert_int_equal(other_slot(fd, -1, 5, 23), EPROTO);
	close(fd);
	fd = bytes_file("\xff\xdfrubbish", 9);
	assert_int_equal(snapshot_version(fd), -1);
	assert_int_equal(other_hub(fd), EPROTO);
	close(fd);
	assert_int_equal(snapshot_version(-1), -1);
}

/* ---- damage ---- */

struct bytes {
	uint8_t *at;
	size_t len;
	bool hub;
	int hub_snapshot;
};

static struct bytes contents(int fd, bool hub, int hub_snapshot)
{
	struct bytes b = { .hub = hub, .hub_snapshot = hub_snapshot };
	struct stat st;

	fstat(fd, &st);
	b.len = (size_t)st.st_size;
	b.at = malloc(b.len);
	assert_int_equal(pread(fd, b.at, b.len, 0), b.len);
	return b;
}

static int read_bytes(const struct bytes *b, size_t len)
{
	int fd = bytes_file(b->at, len);
	int r = b->hub ? other_hub(fd) : other_slot(fd, b->hub_snapshot, 16, 23);

	close(fd);
	return r;
}

static void cut(const struct bytes *b)
{
	assert_int_equal(read_bytes(b, b->len), 0);
	for (size_t len = 0; len < b->len; len += len < 600 || len + 600 > b->len ? 1 : 13)
		assert_int_equal(read_bytes(b, len), EPROTO);
}

static void add_rubbish(const struct bytes *b)
{
	struct bytes more = { .at = calloc(b->len + 1, 1), .len = b->len + 1, .hub = b->hub, .hub_snapshot = b->hub_snapshot };

	memcpy(more.at, b->at, b->len);
	assert_int_equal(read_bytes(&more, more.len), EPROTO);
	free(more.at);
}

/* Whatever comes of it is in order: other_hub() and other_slot() look. */
static void flip(const struct bytes *b, unsigned tries)
{
	unsigned failed = 0;

	srandom(20091);
	for (unsigned i = 0; i < tries; i++) {
		unsigned flips = 1 + i % 3;
		size_t at[3];
		uint8_t was[3];
		int r;

		for (unsigned k = 0; k < flips; k++) {
			at[k] = (size_t)random() % (k == 2 ? 64 : b->len);
			was[k] = b->at[at[k]];
			b->at[at[k]] = (uint8_t)(i % 2 ? random() : b->at[at[k]] ^ 1 << random() % 8);
		}
		r = read_bytes(b, b->len);
		assert_true(r == 0 || r == EPROTO || r == ENOSPC);
		failed += r != 0;
		for (unsigned k = flips; k-- > 0;)
			b->at[at[k]] = was[k];
	}
	assert_true(failed > tries / 10);
	assert_int_equal(read_bytes(b, b->len), 0);
}

static void damaged(bool hub)
{
	struct server a;
	int x = file(), y = file();
	struct bytes b;

	start(&a, 65536, 128, 16, 64);
	populate_hub(&a);
	populate_slot(&a);
	snapshot_write_hub(&a.hub, SEQS - 60, x);
	snapshot_write_slot(&a.hub, &a.slot, y, NULL, NULL);
	stop(&a);
	b = contents(hub ? x : y, hub, x);
	cut(&b);
	add_rubbish(&b);
	flip(&b, 4000);
	free(b.at);
	close(x);
	close(y);
}

static void hub_snapshot_damaged(void **state)
{
	(void)state;
	damaged(true);
}

static void slot_snapshot_damaged(void **state)
{
	(void)state;
	damaged(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hub_comes_back),
		cmocka_unit_test(hub_comes_back_to_another_ring),
		cmocka_unit_test(hub_snapshot_of_restored_is_the_same),
		cmocka_unit_test(hub_of_many_records),
		cmocka_unit_test(hub_record_too_large),
		cmocka_unit_test(hub_empty_ring_is_repaired),
		cmocka_unit_test(hub_must_be_at_rest),
		cmocka_unit_test(hub_has_no_place),
		cmocka_unit_test(slot_comes_back),
		cmocka_unit_test(slot_has_no_place),
		cmocka_unit_test(slot_subscriptions_do_not_fit),
		cmocka_unit_test(slot_of_another_version),
		cmocka_unit_test(hub_of_another_version),
		cmocka_unit_test(values_of_other_types),
		cmocka_unit_test(values_that_contradict),
		cmocka_unit_test(records_that_contradict),
		cmocka_unit_test(subscribers_that_contradict),
		cmocka_unit_test(things_twice),
		cmocka_unit_test(no_snapshot_at_all),
		cmocka_unit_test(hub_snapshot_damaged),
		cmocka_unit_test(slot_snapshot_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
