/*
 * A worker's storeys, built from below: the hub and a slot with what all modules stand on (base_up), delivery on it (delivery_up), services on
 * that (service_up). There is no loop that turns: a test calls what it tests. A session's connection is a socketpair.
 */
#ifndef UNIT_WORKER_FIXTURE_H
#define UNIT_WORKER_FIXTURE_H

#include "tests/unit/hub_fixture.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "proto/transport.h"
#include "worker/delivery/fanout.h"
#include "worker/delivery/frame.h"
#include "worker/delivery/leave.h"
#include "worker/delivery/output.h"
#include "worker/delivery/subscription_list.h"
#include "worker/service/publish_batch.h"
#include "worker/service/request.h"

#define SLOT 3				/* ours */
#define OTHER 5				/* another worker's */
#define SESSIONS 1024
#define FRAME_MAX 1024			/* the setting max_frame */
#define STREAM_EPOCH UINT64_C(1448434925395)	/* ihegr977 */
#define KEEP_RECORDS (RING_MESSAGES * 192 / 1024)	/* behind by more than these, a partial frame is kept (KEEP_LAG) */

struct bytes {
	size_t len;
	char at[1 << 20];
};

struct worker_fixture {
	struct fixture *hub;
	struct settings settings;
	struct base base;
	struct batch *batch;
	struct topics topics;
	struct partial_frames *partial;
	struct streams streams;
	struct multi_topic *multi_topic;
	struct output output;
	struct fanout fanout;
	struct service service;

	int slot_fd, tls_fd;
	int peer[SESSIONS];			/* by descriptor: the connection's other end */
	struct bytes got, expected;

	/* what base was asked of the higher storeys, and what they answer */
	unsigned asked_for_room;
	bool pinned_then;			/* what is read of history was, when room was asked for */
	bool has_room;				/* then lending is without limit from there on */
	int no_memory;				/* the session that ends for it, -1 none */
	unsigned cuts_moved;
	uint32_t cut_from, cut_to;		/* flags */
	struct worker_fixture *before;
};

/* ---- from below ---- */

static inline bool fixture_make_room(void *above, int fd, size_t bytes)
{
	struct worker_fixture *w = above;

	(void)fd;
	(void)bytes;
	w->asked_for_room++;
	w->pinned_then = atomic_load(&w->base.self->pinned) != 0;
	if (w->has_room)
		w->base.pool.hub = NULL;
	return w->has_room;
}

static inline void fixture_no_memory(void *above, int fd)
{
	((struct worker_fixture *)above)->no_memory = fd;
}

static inline void fixture_cut_moved(void *above, int fd, const struct session_state_shm *from, const struct session_state_shm *to)
{
	struct worker_fixture *w = above;

	w->cuts_moved++;
	w->cut_from = from->flags;
	w->cut_to = to->flags;
	if (w->partial)
		partial_moved(w->partial, fd, from, to);
}

static inline void fixture_behind_changed(void *above, int fd)
{
	struct worker_fixture *w = above;

	if (w->topics.of)
		topics_behind_changed(&w->topics, fd);
}

static inline int base_up(void **state)
{
	static struct worker_fixture *last;	/* What modules have allocated has no end but the process's: it stays within reach. */
	struct worker_fixture *w = calloc(1, sizeof(*w));
	struct base *base = &w->base;

	w->before = last;
	last = w;
	*state = w;
	setup((void **)&w->hub);
	settings_defaults(&w->settings);
	w->settings.max_frame = FRAME_MAX;
	w->no_memory = -1;
	w->slot_fd = slot_create("test", &(struct slot_size){ .sessions = SESSIONS, .frame = FRAME_MAX, .buffered = 1 << 24 });
	assert_int_equal(slot_attach(&base->slot, w->slot_fd, true), 0);
	w->tls_fd = tls_create("test", SESSIONS);
	assert_int_equal(tls_attach(&base->tls, w->tls_fd, SESSIONS), 0);
	assert_int_equal(hub_attach(&base->hub, w->hub->fd, true), 0);
	base->hub.wake = w->hub->wake;
	base->epoch = position_epoch(base->hub.shm->epoch / 1000);
	base->hub.once.keep = (uint64_t)w->settings.once_time;
	base->settings = &w->settings;
	base->number = SLOT;
	base->self = &base->hub.shm->slot[SLOT];
	base->self->connections_max = SESSIONS;
	go_live(w->hub, SLOT, false);
	assert_int_equal(pool_init(&base->pool, &base->slot), 0);
	base->loop = ev_loop_new(EVFLAG_NOENV);
	base->io = calloc(SESSIONS, sizeof(*base->io));
	base->over = calloc(SESSIONS, sizeof(*base->over));
	base->why = calloc(SESSIONS, 1);
	base->scratch_room = 65536;
	base->scratch = malloc(base->scratch_room);
	base->copy = calloc(1, sizeof(*base->copy));
	base->above = w;
	base->make_room = fixture_make_room;
	base->no_memory = fixture_no_memory;
	base->cut_moved = fixture_cut_moved;
	base->behind_changed = fixture_behind_changed;
	base_beat(base);
	return 0;
}

static inline int delivery_up(void **state)
{
	struct worker_fixture *w;
	struct base *base;

	base_up(state);
	w = *state;
	base = &w->base;
	w->batch = batch_create(base, IO_SEND, 1 << 20, landed_record, &w->streams);
	w->topics.base = base;
	w->partial = partial_create(base, w->batch, SESSIONS);
	w->streams = (struct streams){ .base = base, .topics = &w->topics, .partial = w->partial };
	w->multi_topic = multi_topic_create(base, w->batch, &w->topics, &w->streams);
	w->output = (struct output){ .base = base, .batch = w->batch, .topics = &w->topics, .partial = w->partial, .streams = &w->streams, .multi_topic = w->multi_topic };
	w->fanout = (struct fanout){ .base = base, .batch = w->batch, .topics = &w->topics, .streams = &w->streams, .multi_topic = w->multi_topic };
	assert_true(topics_init(&w->topics) == 0 && subscription_list_init(&w->topics) == 0 && fanout_init(&w->fanout) == 0);
	w->topics.scanned = ring_tail(&base->hub.ring);
	multi_topic_start(w->multi_topic, w->topics.scanned);
	return 0;
}

static inline int service_up(void **state)
{
	struct worker_fixture *w;

	delivery_up(state);
	w = *state;
	w->service = (struct service){ .base = &w->base, .topics = &w->topics, .streams = &w->streams, .multi_topic = w->multi_topic };
	assert_int_equal(publish_batch_init(&w->service), 0);
	return 0;
}

/* The session and its connection are gone, as after a worker's closing it. */
static inline void end_session(struct worker_fixture *w, int fd)
{
	session(&w->base, fd)->status = SESSION_FREE;
	ev_io_stop(w->base.loop, &w->base.io[fd]);
	if (w->multi_topic)
		leave_all(&w->topics, w->multi_topic, fd, session(&w->base, fd)->state.transport);
	close(fd);
	close(w->peer[fd]);
}

static inline int down(void **state)
{
	struct worker_fixture *w = *state;

	for (int fd = 0; fd < SESSIONS; fd++)
		if (session(&w->base, fd)->status == SESSION_OPEN)
			end_session(w, fd);
	ev_loop_destroy(w->base.loop);
	batch_destroy(w->batch);
	pool_fini(&w->base.pool);
	slot_detach(&w->base.slot);
	close(w->slot_fd);
	tls_detach(&w->base.tls);
	close(w->tls_fd);
	hub_detach(&w->base.hub);
	return teardown((void **)&w->hub);
}

#define TEST_ON(storey, function) cmocka_unit_test_setup_teardown(function, storey##_up, down)

/* ---- sessions ---- */

static inline void fixture_on_session(struct ev_loop *loop, struct ev_io *io, int events)
{
	(void)loop;
	(void)io;
	(void)events;
}

static inline struct session_state_shm *state_of(const struct worker_fixture *w, int fd)
{
	return &session(&w->base, fd)->state;
}

/* The descriptor becomes a session's, with nothing sent or received so far. */
static inline int open_session(struct worker_fixture *w, int fd, int peer, uint32_t transport)
{
	struct session_shm *s = session(&w->base, fd);

	assert_in_range(fd, 0, SESSIONS - 1);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	memset(s, 0, sizeof(*s));
	s->state.transport = transport;
	s->state.pos = w->topics.scanned;
	s->status = SESSION_OPEN;
	w->peer[fd] = peer;
	if (w->base.slot.shm->fd_end <= (uint32_t)fd)
		w->base.slot.shm->fd_end = (uint32_t)fd + 1;
	session_count(&w->base, transport, 1);
	ev_init(&w->base.io[fd], fixture_on_session);
	w->base.io[fd].fd = fd;
	w->base.io[fd].data = NULL;
	session_watch(&w->base, fd);
	return fd;
}

static inline int opened(struct worker_fixture *w, uint32_t transport)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	fcntl(fd[1], F_SETFL, O_NONBLOCK);
	return open_session(w, fd[0], fd[1], transport);
}

static inline int watched(const struct worker_fixture *w, int fd)
{
	return ev_is_active(&w->base.io[fd]) ? w->base.io[fd].events & (EV_READ | EV_WRITE) : 0;
}

static inline uint64_t counted(const struct worker_fixture *w, enum counter counter)
{
	return atomic_load(&w->base.self->counters[counter]);
}

static inline void assert_over(const struct worker_fixture *w, int fd)
{
	assert_int_equal(w->base.over_count, 1);
	assert_int_equal(w->base.over[0], fd);
}

/* No buffer is lent any more. */
static inline void pool_nothing(struct worker_fixture *w)
{
	pool_charge_to(&w->base.pool, &w->base.hub, SLOT);
	w->base.hub.shm->buffered_max = 0;
	w->base.pool.spare = 0;
}

static inline unsigned lent(const struct worker_fixture *w)
{
	unsigned n = 0;

	for (uint32_t ref = pool_next(&w->base.pool, BUFFER_NONE); ref != BUFFER_NONE; ref = pool_next(&w->base.pool, ref))
		n++;
	return n;
}

/* Subscribes as a service would, and nothing else (delivery stands below it). The subscription. */
static inline uint32_t subscribe(struct worker_fixture *w, int fd, const char *name)
{
	struct session_shm *s = session(&w->base, fd);
	uint32_t topic = index_join(&w->base.hub.index, SLOT, index_hash(name, strlen(name)), name, strlen(name), ring_tail(&w->base.hub.ring));
	uint32_t number = topics_take_subscription(&w->topics);
	struct subscription_shm *sub = &w->base.slot.subscriptions[number];

	assert_true(topic != TOPIC_NONE && number);
	sub->topic = topic;
	if (s->count == 1)
		assert_int_equal(topics_move_apart(&w->topics, s->state.transport, fd), 0);
	assert_int_equal(topics_add(&w->topics, s->state.transport, fd, number,
				    s->count > 0 || transport_has(s->state.transport, TRANSPORT_OWN_FRAMES)), 0);
	sub->from = ring_tail(&w->base.hub.ring);
	sub->number = (uint32_t)index_topic(&w->base.hub.index, topic)->published + 1;
	if (s->count == 0 && s->state.pos < sub->from)
		s->state.pos = sub->from;
	subscription_list_add(&w->topics, fd, number);
	s->count++;
	return number;
}

static inline void unsubscribe(struct worker_fixture *w, int fd, uint32_t number)
{
	subscription_list_remove(&w->topics, fd, number);
	session(&w->base, fd)->count--;
	topics_remove(&w->topics, state_of(w, fd)->transport, number);
	multi_topic_changed(w->multi_topic, fd);
	topics_give_subscription(&w->topics, number);
}

/* ---- the ring ---- */

/* A record with so many bytes of data, whatever that overwrites; sseq: it is the stream's with this sequence there, 0: it is not. Its sequence. */
static inline uint64_t put_of_stream(struct worker_fixture *w, const char *name, uint64_t sseq, size_t data)
{
	struct ring *ring = &w->hub->hub.ring;
	uint32_t topic = find(w->hub, name);
	size_t len = (sseq ? MESSAGE_STREAM_EXTRA : 0) + strlen(name) + data + sizeof("\"topic\":\"\",\"data\":\"\"}") - 1;
	struct ring_batch batch;
	char *p;

	if (topic == TOPIC_NONE)
		topic = join(w->hub, OTHER, name, 1);
	ring_begin(ring, &batch);
	p = ring_add(ring, &batch, topic, (uint32_t)len, 0, 1000 + batch.next);
	assert_non_null(p);
	if (sseq) {
		message_stream_head(p, STREAM_EPOCH, sseq);
		p += MESSAGE_STREAM_EXTRA;
	}
	p += sprintf(p, "\"topic\":\"%s\",\"data\":\"", name);
	memset(p, 'a' + (int)(batch.first % 26), data);
	memcpy(p + data, "\"}", 2);
	ring_commit(ring, &batch);
	return batch.first;
}

static inline uint64_t put(struct worker_fixture *w, const char *name, size_t data)
{
	return put_of_stream(w, name, 0, data);
}

/* So many records of somebody else's topic. */
static inline void put_others(struct worker_fixture *w, unsigned n)
{
	while (n-- > 0)
		put(w, "others", 1);
}

/* All that is new has been looked at, as if it were delivered. */
static inline void look_at_all(struct worker_fixture *w)
{
	w->topics.scanned = ring_tail(&w->base.hub.ring);
	multi_topic_start(w->multi_topic, w->topics.scanned);
}

/* ---- what peers get ---- */

static inline void expect_bytes(struct worker_fixture *w, const char *bytes, size_t len)
{
	assert_true(len <= sizeof(w->expected.at) - w->expected.len);
	memcpy(w->expected.at + w->expected.len, bytes, len);
	w->expected.len += len;
}

/* The record as the session is sent it: expected behind what is expected already. Returns its length. */
static inline size_t expect(struct worker_fixture *w, int fd, uint64_t seq)
{
	uint32_t transport = state_of(w, fd)->transport, page_base = session(&w->base, fd)->page_base;
	struct ring_record rec;
	size_t size;

	assert_int_equal(ring_read(&w->base.hub.ring, seq, &rec), 0);
	size = frame_size(&w->base, transport, page_base, &rec);
	assert_in_range(size, 1, sizeof(w->expected.at) - w->expected.len);
	assert_int_equal(frame_write(&w->base, transport, page_base, &rec, w->expected.at + w->expected.len, size), 0);
	w->expected.len += size;
	return size;
}

/* What the peer has got since it last looked, behind what it had. */
static inline size_t receive_all(struct worker_fixture *w, int fd)
{
	size_t before = w->got.len;
	ssize_t n;

	while ((n = recv(w->peer[fd], w->got.at + w->got.len, sizeof(w->got.at) - w->got.len, MSG_DONTWAIT)) > 0)
		w->got.len += (size_t)n;
	return w->got.len - before;
}

/* The peer has got what was expected, and nothing more; on with nothing. */
static inline void assert_got_expected(struct worker_fixture *w, int fd)
{
	receive_all(w, fd);
	assert_int_equal(w->got.len, w->expected.len);
	assert_memory_equal(w->got.at, w->expected.at, w->got.len);
	w->got.len = w->expected.len = 0;
}

/* The peer has got the frames of these records. */
#define assert_frames(w, fd, ...) check_frames(w, fd, (const uint64_t[]){ __VA_ARGS__, 0 })
static inline void check_frames(struct worker_fixture *w, int fd, const uint64_t *seq)
{
	w->got.len = w->expected.len = 0;
	while (*seq)
		expect(w, fd, *seq++);
	assert_got_expected(w, fd);
}
#define assert_nothing(w, fd) check_frames(w, fd, (const uint64_t[]){ 0 })

/* The peer reads nothing, until the socket takes no more. */
static inline void cram(int fd)
{
	static const char filler[65536];
	size_t size = sizeof(filler);

	while (size > 0)
		if (send(fd, filler, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			size /= 2;
}

/* And reads all of that. */
static inline void drain(struct worker_fixture *w, int fd)
{
	w->got.len = 0;
	while (receive_all(w, fd) > 0)
		w->got.len = 0;
}

#endif
