/*
 * A hub and a slot with some of everything in them, what they are to be like after a snapshot, and reading snapshots that may be anything.
 */
#ifndef UNIT_SNAPSHOT_FIXTURE_H
#define UNIT_SNAPSHOT_FIXTURE_H

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
#include "shm/buffer_pool.h"
#include "shm/slot_rights.h"
#include "shm/slow_rules.h"
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

static inline void start(struct server *s, uint32_t ring_bytes, uint32_t ring_messages, uint32_t topics, uint32_t sessions)
{
	struct settings settings;

	settings_defaults(&settings);
	settings.ring_bytes = ring_bytes;
	settings.ring_messages = ring_messages;
	settings.max_topics = topics;
	s->hub_fd = hub_create(&settings);
	s->slot_fd = slot_create("slot", &(struct slot_size){ .sessions = sessions, .frame = 1024, .buffered = 1 << 28 });
	assert_int_equal(hub_attach(&s->hub, s->hub_fd, true), 0);
	assert_int_equal(slot_attach(&s->slot, s->slot_fd, true), 0);
}

static inline void stop(struct server *s)
{
	hub_detach(&s->hub);
	slot_detach(&s->slot);
	close(s->hub_fd);
	close(s->slot_fd);
}

static inline int file(void)
{
	return memfd_create("snapshot", 0);
}

static inline void check(const struct server *s)
{
	const char *why;

	if (index_check(&s->hub.index, &why) < 0)
		fail_msg("index_check: %s", why);
	if (ring_check(&s->hub.ring, &why) < 0)
		fail_msg("ring_check: %s", why);
	if (once_check(&s->hub.once, &why) < 0)
		fail_msg("once_check: %s", why);
}

static inline uint32_t find(const struct server *s, const char *name)
{
	return index_find(&s->hub.index, index_hash(name, strlen(name)), name, strlen(name));
}

static inline uint32_t join(struct server *s, unsigned slot, const char *name)
{
	return index_join(&s->hub.index, slot, index_hash(name, strlen(name)), name, strlen(name), ring_tail(&s->hub.ring));
}

static inline uint64_t publish_len(struct server *s, const char *name, uint64_t now, uint32_t len)
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

static inline void publish(struct server *s, const char *name, uint32_t len)
{
	publish_len(s, name, 1000000 + 10 * ring_tail(&s->hub.ring), len);
}

/* All that was published for it so far is a gone topic's. */
static inline void end_topic(struct server *s, const char *name)
{
	index_leave(&s->hub.index, 0, find(s, name));
	for (unsigned i = 1; i <= SEQS; i++)
		if (noted[i].topic && strcmp(noted[i].topic, name) == 0)
			noted[i].topic = NULL;
}

static inline void populate_slots(struct hub *hub)
{
	atomic_store(&hub->shm->slot[0].generation, 3);
	atomic_store(&hub->shm->slot[0].restarts, 2);
	atomic_store(&hub->shm->slot[0].emptied, 1);
	atomic_store(&hub->shm->slot[0].delivered, SEQS - 40);
	atomic_store(&hub->shm->slot[63].delivered, 1);
	hub_count(hub, 0, COUNTER_accepted, 12345);
	hub_count(hub, 0, COUNTER_loops, UINT64_MAX);
	latency_add(&hub->shm->slot[0].latency, 7, 1000, 1300);
}

/* Topics of all kinds: with records, with none, with none any more, gone, gone and made again. */
/* A key, of so many messages, that begin with the sequence; all have records but the second. */
static inline void remember(struct server *s, const char *key, uint64_t first, unsigned count)
{
	struct once_id id;
	unsigned evicted;
	uint64_t number;

	once_id(&s->hub.once, "alpha", 5, key, strlen(key), &id);
	once_add_message(&s->hub.once, &id, key, strlen(key));
	number = once_write(&s->hub.once, &id, once_now(), first, count, &evicted);
	for (unsigned i = 0; i < count; i++)
		once_put_answer(&s->hub.once, number, i, i == 1 ? 0 : first + i - (i > 1), 3 * i);
	once_stage(&s->hub.once, number, first);
	once_commit(&s->hub.once);
}

static inline void populate_hub(struct server *s)
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
	remember(s, "one", 1, 1);
	remember(s, "many", 1, 12);
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
static inline void verify_links(const struct server *s, const char *name, uint64_t first)
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

static inline void verify_record(const struct server *s, uint64_t seq)
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

static inline void verify_topic(const struct server *s, const char *name, uint64_t interest, uint64_t published)
{
	uint32_t topic = find(s, name);

	assert_int_not_equal(topic, TOPIC_NONE);
	assert_int_equal(index_topic(&s->hub.index, topic)->interest, interest);
	assert_int_equal(index_topic(&s->hub.index, topic)->published, published);
}

/* The hub is what populate_hub() made, with records from `first` on. */
static inline void verify_hub(const struct server *s, uint64_t first)
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
	assert_int_equal(slot->latency.count[latency_class(7)][latency_bucket(300)], 1);
	assert_int_equal(slot->latency.count[latency_class(7)][latency_bucket(299)], 1);
	assert_int_equal(slot->latency.count[latency_class(7)][latency_bucket(250)], 0);
	assert_int_equal(slot->latency.sum[latency_class(7)], 300);
	assert_int_equal(s->hub.shm->slot[63].delivered, 1);
	assert_int_equal(s->hub.shm->slot[1].generation, 0);
}

/* Publishing goes on as if nothing had been. */
static inline void go_on(struct server *s)
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

static inline void same_bytes(int x, int y)
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

static inline int bytes_file(const void *bytes, size_t len)
{
	int fd = file();

	assert_int_equal(write(fd, bytes, len), len);
	return fd;
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
	const char *sub;		/* who it is; NULL: it has no rights of its own */
};

static const struct spec specs[] = {
	{ .fd = 3, .flags = SESSION_SLOW_IS(SLOW_SKIP) | SESSION_ADMIN, .pos = 7, .parsed = 100 },
	{ .fd = 4, .transport = TRANSPORT_HTTP, .flags = SESSION_ADMIN, .parsed = 4711, .in = "PUBLISH{", .in_skip = 3 },
	{ .fd = 5, .transport = TRANSPORT_WEBSOCKET, .flags = SESSION_SLOW_IS(SLOW_LATEST), .pos = SEQS + 1, .out = "ACK\1", .topics = { "beta" },
	  .sub = "alice" },
	{ .fd = 9, .transport = TRANSPORT_PACKET, .flags = SESSION_BEHIND, .pos = SEQS - 60, .in = "half", .out = "long frame", .out_skip = 5,
	  .topics = { "again", "alpha", "quiet", "beta" } },
	{ .fd = 20, .flags = SESSION_CLOSE | SESSION_BEHIND, .out = "bye" },
	{ .fd = 21, .flags = SESSION_CLOSE | SESSION_LINGER, .parsed = 1ull << 40, .topics = { "alpha" } },
	{ .fd = 22, .transport = TRANSPORT_PAGE_10, .flags = SESSION_BEHIND | SESSION_SLOW_IS(SLOW_DISCONNECT), .parsed = 4, .in = "done", .in_skip = 4, .topics = { "old", "alpha" } },
};
#define SPECS (sizeof(specs) / sizeof(specs[0]))

static inline uint32_t pool_text(struct buffer_pool *pool, const char *text)
{
	uint32_t ref;

	if (!text)
		return BUFFER_NONE;
	ref = pool_take(pool, strlen(text));
	memcpy(pool_bytes(pool->slot, ref), text, strlen(text));
	return ref;
}

static inline uint32_t pool_rights(struct buffer_pool *pool, const char *sub)
{
	uint32_t ref = pool_take(pool, RIGHTS_SIZE_MAX);
	struct rights_writer w;
	const char *error;

	rights_begin(&w, pool_bytes(pool->slot, ref), RIGHTS_SIZE_MAX, sub, strlen(sub), 4711);
	rights_grant(&w, RIGHTS_TOPICS, RIGHT_PUBLISH, "alpha", 5);
	pool_header(pool->slot, ref)->len = (uint32_t)rights_end(&w, &error);
	return ref;
}

static inline void open_session(struct server *s, struct buffer_pool *pool, const struct spec *p, uint32_t *subscriptions)
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
		.in = pool_text(pool, p->in), .out = pool_text(pool, p->out),
		.out_start = p->out_skip, .out_end = p->out ? (uint32_t)strlen(p->out) : 0,
	};
	if (p->in) {
		pool_header(&s->slot, x->state.in)->base = p->parsed - p->in_skip;
		pool_header(&s->slot, x->state.in)->len = (uint32_t)strlen(p->in);
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
	if (p->sub)
		slot_rights_put(&s->slot, p->fd, pool_rights(pool, p->sub));
	x->status = SESSION_OPEN;
	s->slot.shm->fd_end = n + 10;
}

static inline void populate_slot(struct server *s)
{
	uint32_t subscriptions = 100;
	struct buffer_pool pool;

	pool_init(&pool, &s->slot);
	pool_ready(&pool);
	for (unsigned i = 0; i < SPECS; i++)
		open_session(s, &pool, &specs[i], &subscriptions);
	pool_fini(&pool);
}

static inline void verify_session(const struct server *s, const struct spec *p, uint32_t *subscriptions)
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
	assert_int_equal(x->state.in != BUFFER_NONE, *in != '\0');
	if (*in) {
		assert_int_equal(pool_header(&s->slot, x->state.in)->base, p->parsed);
		assert_int_equal(pool_header(&s->slot, x->state.in)->len, strlen(in));
		assert_memory_equal(pool_bytes(&s->slot, x->state.in), in, strlen(in));
	}
	assert_int_equal(x->state.out != BUFFER_NONE, *out != '\0');
	assert_int_equal(x->state.out_start, 0);
	assert_int_equal(x->state.out_end, strlen(out));
	if (*out)
		assert_memory_equal(pool_bytes(&s->slot, x->state.out), out, strlen(out));
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
	assert_int_equal(slot_rights_ref(&s->slot, p->fd) != BUFFER_NONE, p->sub != NULL);
	if (p->sub) {
		const struct rights *rights = slot_rights_read(&s->slot, slot_rights_ref(&s->slot, p->fd));

		assert_non_null(rights);
		assert_int_equal(rights->expires, 4711);
		assert_true(rights_may(rights, RIGHT_PUBLISH, RIGHTS_TOPICS, "alpha", 5));
		assert_true(rights_may(rights, RIGHT_SUBSCRIBE, RIGHTS_USERS, p->sub, strlen(p->sub)));
	}
	assert_int_equal(topics, x->count);
	assert_true(topics == 4 || !p->topics[topics]);
}

/* The buffers and descriptors are each one session's, and nothing else is there. */
static inline void verify_slot(const struct server *s)
{
	uint32_t subscriptions = 0, open = 0;
	struct buffer_pool pool;

	for (unsigned i = 0; i < SPECS; i++)
		verify_session(s, &specs[i], &subscriptions);
	assert_int_equal(s->slot.shm->fd_end, specs[SPECS - 1].fd + 1);
	pool_init(&pool, &s->slot);
	for (uint32_t i = 0; i < s->slot.shm->sessions_max; i++) {
		const struct session_shm *x = &s->slot.sessions[i];

		open += x->status == SESSION_OPEN;
		assert_true(!x->state.in || pool_claim(&pool, x->state.in) == 0);
		assert_true(!x->state.out || pool_claim(&pool, x->state.out) == 0);
		assert_true(!slot_rights_ref(&s->slot, (int)i) || pool_claim(&pool, slot_rights_ref(&s->slot, (int)i)) == 0);
	}
	pool_fini(&pool);
	assert_int_equal(open, SPECS);
	assert_int_equal(lock_owner(&s->hub.shm->lock), 0);
	check(s);
}

/* ---- what a snapshot is taken for: 0 or errno ---- */

static inline int other_slot(int snapshot, int hub_snapshot, uint32_t topics, uint32_t sessions)
{
	struct server b;
	int r;

	start(&b, 65536, 128, topics, sessions);
	if (hub_snapshot >= 0)
		assert_int_equal(snapshot_read_hub(&b.hub, hub_snapshot), 0);
	else
		ring_start(&b.hub.ring, SEQS + 1, 1);
	errno = 0;
	r = snapshot_read_slot(&b.hub, &b.slot, NULL, 40, OWNER, snapshot);
	assert_int_equal(lock_owner(&b.hub.shm->lock), 0);
	check(&b);
	stop(&b);
	return r < 0 ? errno : 0;
}

static inline int other_hub(int snapshot)
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

#endif
