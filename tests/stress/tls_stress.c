/*
 * tls_stress [few]: a worker's death at each single instruction while it sends and receives through TLS; `few`: without what takes most instructions.
 *
 * A child does what a worker does for some sessions, one instruction at a time (ptrace). Whenever what it leaves has changed, shared memory or the
 * kernel's counts of bytes, it is judged: a fork of this program, in which the segments are private copies, is the next worker.
 * It accounts for what was under way, gets other sockets in the place of those, goes on, and in the end opens all that was ever sent, in order: each session
 * must have had its whole text once. A record that was sealed anew with another text, or under another number, can't be opened.
 */
#define RING_BYTES (1 << 22)
#include "tests/unit/tls_peer.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/stress/stepping.h"
#include "worker/delivery/landed_tls.h"
#include "worker/io/receive.h"
#include "worker/io/tcp_counts.h"
#include "worker/io/tls_in.h"

#define CLIENTS_MAX 3
#define TEXT_MAX 70000

/*
 * All that was given to the kernel for a client: the first tcp_accepted() bytes are what it has. (The client's socket can't be asked, as it has no room for all of it.)
 * It is there before the kernel has it.
 */
struct given {
	size_t len;			/* what the kernel has said that it took */
	uint8_t bytes[2 * TEXT_MAX];
};

/* A session's client: what it has had and what it has sent. */
struct client {
	int fd;
	struct tls_entry_shm begin;	/* the entry before anything was sent or received */
	uint8_t wire[2 * TEXT_MAX];	/* what the client has received */
	size_t wire_len;
	uint8_t text[TEXT_MAX];		/* what it must have received in the end */
	size_t text_len;
	bool closed;			/* and close_notify behind that */
	uint8_t sent[4096];		/* the records that it has sent */
	size_t sent_len;
	char input[TEXT_MAX];		/* and their text */
	size_t input_len;
	bool ended;
	size_t cut;			/* what of its last record it sends later */
};

static struct world {
	struct worker_fixture *w;
	struct client client[CLIENTS_MAX];
	unsigned clients;
	bool receives;			/* what is under way is receive() */
	bool judges;			/* this is the next worker */
} world;

static struct given *given;		/* by client; children have it, too */
static _Atomic uint32_t *finished;
static const char *action;
static unsigned long instructions, faults, changes, judged;

void world_fault(const char *where, const char *what)
{
	if (faults++ < 10)
		fprintf(stderr, "tls_stress: %s, change %lu, %s: %s\n", action, changes, where, what);
}

/* ---- the kernel ---- */

ssize_t __real_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags);

/* All of this program's send()s come here (ld's --wrap). */
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags)
{
	struct given *g = NULL;
	ssize_t n;

	for (unsigned i = 0; i < world.clients; i++)
		if (world.client[i].fd == fd && !world.judges)
			g = &given[i];
	if (!g)
		return __real_send(fd, bytes, len, flags);
	memcpy(g->bytes + g->len, bytes, len);
	n = __real_send(fd, bytes, len, flags);
	if (n > 0)
		g->len += (size_t)n;
	return n;
}

/* ---- clients ---- */

static struct client *open_client(const struct tls_kind kind, uint32_t transport, bool small)
{
	struct client *c = &world.client[world.clients++];
	struct tls_entry_shm *e;
	uint8_t secret[TLS_SECRET_MAX];
	int fd[2];

	memset(c, 0, sizeof(*c));
	given[c - world.client].len = 0;
	tcp_pair(fd);
	if (small) {
		setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &(int){ 4096 }, sizeof(int));
		setsockopt(fd[1], SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int));
	}
	c->fd = open_session(world.w, fd[0], fd[1], transport);
	state_of(world.w, c->fd)->flags = SESSION_TLS;
	tls_begin(&world.w->base.tls, c->fd);
	e = tls_entry(&world.w->base.tls, c->fd);
	e->kind = kind;
	e->flow.out_seq = 3;
	if (kind.version == TLS_1_3) {
		memset(secret, 0x5a + c->fd, sizeof(secret));
		tls_keys_1_3(&e->out, kind.suite, secret, kind.suite == TLS_AES_256_GCM ? 48 : 32);
		memset(secret, 0xa5 + c->fd, sizeof(secret));
		tls_keys_1_3(&e->in, kind.suite, secret, kind.suite == TLS_AES_256_GCM ? 48 : 32);
	} else {
		memset(&e->out, 0x5a + c->fd, sizeof(e->out));
		memset(&e->in, 0xa5 + c->fd, sizeof(e->in));
		e->out.generation = e->in.generation = 0;
	}
	tls_settled(&world.w->base.tls);
	c->begin = *e;
	assert_true(tls_out_ready(&world.w->base));
	return c;
}

static void expect_text(struct client *c, const void *text, size_t len)
{
	memcpy(c->text + c->text_len, text, len);
	c->text_len += len;
}

/* The client sends a record, number `seq` of these keys. */
static void client_sends(struct client *c, const struct tls_keys *keys, uint64_t seq, uint8_t type, const void *text, size_t len)
{
	size_t n = tls_seal(world.w->base.crypto, c->begin.kind, keys, seq, type, text, len, c->sent + c->sent_len);

	assert_int_equal(send(world.w->peer[c->fd], c->sent + c->sent_len, n - c->cut, 0), n - c->cut);
	c->sent_len += n;
	if (type == TLS_APPLICATION_DATA) {
		memcpy(c->input + c->input_len, text, len);
		c->input_len += len;
	}
	assert_true(readable(c->fd));
	while (true) {		/* loopback delivers at once, or nearly so */
		int there = 0;
		uint64_t taken = 0;

		ioctl(c->fd, SIOCINQ, &there);
		tcp_taken(c->fd, &taken);
		if (taken + (uint64_t)there >= c->sent_len - c->cut)
			break;
	}
}

/* Takes what has come to the client. */
static void client_reads(struct client *c)
{
	ssize_t n;

	while ((n = recv(world.w->peer[c->fd], c->wire + c->wire_len, sizeof(c->wire) - c->wire_len, MSG_DONTWAIT)) > 0)
		c->wire_len += (size_t)n;
}

/* What the client has had and is going to have, whatever becomes of the worker. */
static void client_has(struct client *c)
{
	uint64_t accepted = 0;

	tcp_accepted(c->fd, &accepted);
	if (state_of(world.w, c->fd)->flags & SESSION_LINGER && accepted > given[c - world.client].len)
		accepted = given[c - world.client].len;		/* a FIN counts */
	memcpy(c->wire, given[c - world.client].bytes, accepted);
	c->wire_len = accepted;
}

/* Opens all that the client has received: it must be what is expected, and nothing else. */
static void check_wire(const struct client *c)
{
	static uint8_t text[2 * TEXT_MAX];
	struct tls_keys keys = c->begin.out;
	uint64_t seq = c->begin.flow.out_seq;
	size_t len = 0, at = 0;
	bool closed = false;

	while (at < c->wire_len) {
		long size = tls_record_length(c->begin.kind, c->wire + at, c->wire_len - at), n;
		uint8_t type;

		if (size <= 0 || (size_t)size > c->wire_len - at) {
			world_fault("wire", "what was sent is no whole record");
			return;
		}
		n = tls_open(world.w->base.crypto, c->begin.kind, &keys, seq++, c->wire + at, (size_t)size, text + len, &type);
		if (n < 0) {
			world_fault("wire", "a record can't be opened");
			return;
		}
		if (type == TLS_HANDSHAKE && n == 5 && text[len] == 24) {
			tls_keys_next(&keys, c->begin.kind.suite);
			seq = 0;
		} else if (type == TLS_ALERT && n == 2 && text[len + 1] == TLS_CLOSE_NOTIFY) {
			closed = true;
		} else if (type == TLS_APPLICATION_DATA && !closed) {
			len += (size_t)n;
		} else {
			world_fault("wire", "a record that was not expected");
		}
		at += (size_t)size;
	}
	if (len != c->text_len || memcmp(text, c->text, len) != 0)
		world_fault("wire", len < c->text_len ? "not all was sent" : len > c->text_len ? "something was sent twice" : "something else was sent");
	if (closed != c->closed)
		world_fault("wire", closed ? "close_notify was sent" : "close_notify was not sent");
}

/* ---- the next worker ---- */

static bool is_tls(const void *of, int fd)
{
	(void)of;
	return session(&world.w->base, fd)->status == SESSION_OPEN && session(&world.w->base, fd)->state.flags & SESSION_TLS;
}

static void copy_segment(void *at, size_t size, int fd)
{
	if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED)
		abort();
}

static void take_over(struct base *base)
{
	slot_redo(&base->slot);
	tls_redo(&base->tls, is_tls, NULL);
	pool_fini(&base->pool);
	assert_int_equal(pool_init(&base->pool, &base->slot), 0);
	for (unsigned i = 0; i < world.clients; i++) {
		const struct session_state_shm *st = state_of(world.w, world.client[i].fd);

		if ((st->in && pool_claim(&base->pool, st->in) < 0) || (st->out && pool_claim(&base->pool, st->out) < 0) ||
		    !landed_tls_claim(base, world.client[i].fd, st))
			world_fault("take over", "a session is damaged");
	}
	assert_int_equal(pool_ready(&base->pool), 0);
}

static void land(struct base *base)
{
	uint32_t flights = atomic_load(&base->slot.shm->flights);

	for (uint32_t i = 0; i < flights; i++)
		if (!(state_of(world.w, (int)base->slot.shm->flight[i])->flags & SESSION_LINGER) &&
		    !landed_tls(&world.w->streams, (session_id)base->slot.shm->flight[i], base->tls.shm->flight_taken[i]))
			world_fault("land", "what was sent can't be told");
	for (unsigned i = 0; i < world.clients; i++)
		if (!(state_of(world.w, world.client[i].fd)->flags & SESSION_LINGER) && !landed_tls_settle(&world.w->streams, world.client[i].fd, true))
			world_fault("settle", "what was sent can't be told");
	landed_forget(base);
	atomic_store(&base->slot.shm->flights, 0);
	for (unsigned i = 0; i < world.clients; i++)
		if (state_of(world.w, world.client[i].fd)->flags & SESSION_BEHIND)
			topics_behind_changed(&world.w->topics, world.client[i].fd);
}

/* Another connection takes the place of the session's, with what was not taken of the client's records. */
static void reconnect(struct client *c, uint64_t taken)
{
	int fd[2];

	tcp_pair(fd);
	dup2(fd[0], c->fd);
	world.w->peer[c->fd] = fd[1];
	if (c->sent_len > taken)
		assert_int_equal(send(fd[1], c->sent + taken, c->sent_len - taken, 0), c->sent_len - taken);
	if (c->sent_len > taken)
		assert_true(readable(c->fd));
}

static void count_input(struct base *base, struct client *c, uint64_t taken)
{
	const struct session_state_shm *st = state_of(world.w, c->fd);
	struct buffer_shm *head = st->in ? pool_header(&base->slot, st->in) : NULL;
	uint64_t len;

	if (tls_in_settle(base, c->fd, taken, head ? head->base : st->parsed, &len) < 0 || (!head && len))
		world_fault("input", "what was received can't be told");
	else if (head)
		head->len = (uint32_t)len;
}

/* Receives all that is left. The text must be that of the client's records. */
static void receive_rest(struct base *base, struct client *c)
{
	const struct session_state_shm *st = state_of(world.w, c->fd);
	const struct buffer_shm *head;
	enum received what;
	struct intake in;

	for (int i = 0; i < 20 && (what = receive(base, c->fd, &in)) != RECEIVED_NOTHING && what != RECEIVED_END && what != RECEIVED_ERROR; i++)
		if (what == RECEIVED_OWES)
			output_flush(&world.w->output, c->fd);
	if ((what == RECEIVED_END) != c->ended)
		world_fault("input", c->ended ? "the client's end was lost" : "the input ended");
	head = st->in ? pool_header(&base->slot, st->in) : NULL;
	if ((head ? head->len : 0) != c->input_len || (head && memcmp(pool_bytes(&base->slot, st->in), c->input, c->input_len) != 0))
		world_fault("input", "what was received is not what was sent");
}

static void go_on(struct base *base, struct client *c)
{
	while (fanout_poll(&world.w->fanout) | fanout_run(&world.w->fanout))
		;
	if (world.receives)
		receive_rest(base, c);
	output_flush(&world.w->output, c->fd);
	for (int i = 0; i < 1000 && state_of(world.w, c->fd)->flags & SESSION_BEHIND; i++) {
		output_run(&world.w->output, c->fd);
		client_reads(c);
		if (state_of(world.w, c->fd)->flags & SESSION_BEHIND)
			poll(&(struct pollfd){ .fd = c->fd, .events = POLLOUT }, 1, 10);
	}
	shutdown(c->fd, SHUT_WR);
	while (poll(&(struct pollfd){ .fd = world.w->peer[c->fd], .events = POLLIN }, 1, 1000) == 1 && recv(world.w->peer[c->fd], &(char){ 0 }, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
		client_reads(c);
}

static void be_the_next_worker(void)
{
	struct base *base = &world.w->base;
	uint64_t taken[CLIENTS_MAX] = { 0 };

	world.judges = true;
	copy_segment(base->slot.shm, base->slot.size, world.w->slot_fd);
	copy_segment(base->tls.shm, base->tls.size, world.w->tls_fd);
	copy_segment(base->hub.shm, base->hub.size, world.w->hub->fd);
	take_over(base);
	land(base);
	for (unsigned i = 0; i < world.clients; i++) {
		struct client *c = &world.client[i];

		client_has(c);
		tcp_taken(c->fd, &taken[i]);
		reconnect(c, taken[i]);
	}
	for (unsigned i = 0; i < world.clients; i++) {
		struct client *c = &world.client[i];

		if (world.receives)
			count_input(base, c, taken[i]);
		go_on(base, c);
		check_wire(c);
		if (tls_entry(&base->tls, c->fd)->flow.pending || atomic_load(&base->slot.shm->flights))
			world_fault("end", "something is left");
	}
}

static void judge(void)
{
	int status;
	pid_t pid = fork();

	judged++;
	if (pid == 0) {
		unsigned long before = faults;

		be_the_next_worker();
		fflush(NULL);
		_exit(faults > before);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		world_fault("judged", "the next worker failed");
}

/* ---- stepping ---- */

/* What a death leaves, as far as it is looked at to see whether it has changed. */
struct left {
	uint8_t slot[offsetof(struct slot_shm, flight) + 64 - offsetof(struct slot_shm, redo)];
	uint32_t sending, sending_count;
	struct tls_entry_shm redo;
	uint32_t redo_fd;
	uint64_t taken[CLIENTS_MAX];
	struct {
		struct session_shm session;
		struct tls_entry_shm entry;
		struct buffer_shm in;
		size_t given;
		int there;
	} of[CLIENTS_MAX];
};

static void look(struct left *l)
{
	const struct base *base = &world.w->base;

	memset(l, 0, sizeof(*l));
	memcpy(l->slot, &base->slot.shm->redo, sizeof(l->slot));
	l->sending = atomic_load(&base->slot.shm->sending);
	l->sending_count = base->slot.shm->sending_count;
	l->redo = base->tls.shm->redo;
	l->redo_fd = atomic_load(&base->tls.shm->redo_fd);
	memcpy(l->taken, base->tls.shm->flight_taken, sizeof(l->taken));
	for (unsigned i = 0; i < world.clients; i++) {
		int fd = world.client[i].fd;

		memcpy(&l->of[i].session, session(base, fd), sizeof(l->of[i].session));
		l->of[i].entry = *tls_entry(&base->tls, fd);
		if (state_of(world.w, fd)->in)
			l->of[i].in = *pool_header(&base->slot, state_of(world.w, fd)->in);
		l->of[i].given = given[i].len;
		ioctl(fd, SIOCINQ, &l->of[i].there);
	}
}

static void step_all(const char *name, void (*run)(void *))
{
	static struct left seen, now;
	pid_t pid;
	bool going = true;

	action = name;
	changes = 0;
	look(&seen);
	pid = stepping_start(run, &world, finished);
	while (going) {
		going = stepping_step(pid, finished);
		instructions++;
		look(&now);
		if (going && memcmp(&seen, &now, sizeof(now)) == 0)
			continue;
		seen = now;
		changes++;
		judge();
	}
	stepping_stop(pid);
}

/* ---- what is done ---- */

static const struct tls_kind aes = { TLS_1_3, TLS_AES_128_GCM }, chacha = { TLS_1_3, TLS_CHACHA20_POLY1305 }, old = { TLS_1_2, TLS_AES_256_GCM };

static void fan_out(void *of)
{
	struct worker_fixture *w = ((struct world *)of)->w;

	while (fanout_poll(&w->fanout) | fanout_run(&w->fanout))
		;
}

static void flush(void *of)
{
	struct world *x = of;

	output_flush(&x->w->output, x->client[0].fd);
}

static void run(void *of)
{
	struct world *x = of;

	output_run(&x->w->output, x->client[0].fd);
	output_run(&x->w->output, x->client[0].fd);
}

static void receive_all_of_it(void *of)
{
	struct world *x = of;
	struct intake in;

	for (int i = 0; i < 4; i++)
		if (receive(&x->w->base, x->client[0].fd, &in) == RECEIVED_OWES)
			output_flush(&x->w->output, x->client[0].fd);
	output_flush(&x->w->output, x->client[0].fd);
}

static void expect_record(uint64_t seq)
{
	for (unsigned i = 0; i < world.clients; i++) {
		world.w->expected.len = 0;
		expect(world.w, world.client[i].fd, seq);
		expect_text(&world.client[i], world.w->expected.at, world.w->expected.len);
	}
	world.w->expected.len = 0;
}

static void answer(struct client *c, size_t len, uint32_t flags)
{
	struct session_state_shm st = *state_of(world.w, c->fd);
	static char text[TEXT_MAX];

	for (size_t i = 0; i < len; i++)
		text[i] = (char)('a' + i % 23);
	assert_int_equal(session_append(&world.w->base, c->fd, &st, text, len), 0);
	st.flags |= flags;
	session_commit(&world.w->base, c->fd, &st);
	expect_text(c, text, len);
	c->closed = flags & SESSION_CLOSE;
}

static void begin(void)
{
	world.clients = 0;
	world.receives = false;
	delivery_up((void **)&world.w);
}

static void end(void)
{
	down((void **)&world.w);
}

static void subscribe_all(void)
{
	for (unsigned i = 0; i < world.clients; i++)
		subscribe(world.w, world.client[i].fd, "t");
}

static void batches(bool few)
{
	begin();
	open_client(aes, TRANSPORT_FLASH, false);
	open_client(chacha, TRANSPORT_WEBSOCKET, false);
	open_client(old, TRANSPORT_FLASH, false);
	subscribe_all();
	expect_record(put(world.w, "t", 20));
	expect_record(put(world.w, "t", 20));
	step_all("a batch", fan_out);
	end();
	if (few)
		return;
	begin();
	open_client(old, TRANSPORT_FLASH, true);
	open_client(aes, TRANSPORT_FLASH, true);
	subscribe_all();
	expect_record(put(world.w, "t", 9000));
	expect_record(put(world.w, "t", 1000));
	step_all("a batch that is cut", fan_out);
	end();
}

static void answers(bool few)
{
	for (int cut = 0; cut < 2 && !few; cut++) {
		begin();
		answer(open_client(cut ? old : aes, TRANSPORT_FLASH, cut), cut ? 14000 : 9000, 0);
		step_all(cut ? "an answer that is cut" : "an answer", flush);
		end();
	}
	begin();
	answer(open_client(aes, TRANSPORT_FLASH, true), 17000, 0);
	subscribe_all();
	output_flush(&world.w->output, world.client[0].fd);
	assert_true(state_of(world.w, world.client[0].fd)->flags & SESSION_BEHIND);
	expect_record(put(world.w, "t", 300));
	expect_record(put(world.w, "t", 300));
	look_at_all(world.w);
	while (poll(&(struct pollfd){ .fd = world.client[0].fd, .events = POLLOUT }, 1, 10) == 0)
		client_reads(&world.client[0]);
	step_all("what is pending", run);
	end();
	if (!few) {
		begin();
		answer(open_client(chacha, TRANSPORT_FLASH, false), 50, 0);
		flow_of(world.w, world.client[0].fd)->control |= TLS_UPDATE_OWED;
		step_all("a KeyUpdate", flush);
		end();
	}
	begin();
	answer(open_client(aes, TRANSPORT_FLASH, false), 50, SESSION_CLOSE);
	step_all("the end", flush);
	end();
}

/* What history alone has is sent, of one topic or of two, and what the ring has behind it. */
static void histories(bool few)
{
	static const struct tls_kind *const kinds[] = { &aes, &old, &chacha };

	for (int i = 0; i < (few ? 1 : 3); i++) {
		struct worker_fixture *w;
		struct client *c;
		uint64_t first;

		begin();
		w = world.w;
		snprintf(w->settings.history, sizeof(w->settings.history), "t: 100 messages; u: 100 messages");
		hub_keep(&w->hub->hub, &w->settings);
		hub_keep(&w->base.hub, &w->settings);
		c = open_client(*kinds[i], i == 2 ? TRANSPORT_WEBSOCKET : TRANSPORT_FLASH, i > 0);
		subscribe_all();
		if (i > 0)
			subscribe(w, c->fd, "u");
		landed_defer(&w->streams, c->fd);
		first = put(w, "t", 300);
		expect_record(first);
		for (int n = 0; n < 3; n++)
			expect_record(put(w, n == 1 && i > 0 ? "u" : "t", i > 0 ? 3000 : 300));
		hub_follow(&w->hub->hub);
		put_others(w, RING_MESSAGES - 8);
		expect_record(put(w, "t", 300));
		hub_follow(&w->hub->hub);
		put_others(w, 8);
		expect_record(put(w, "t", 200));
		look_at_all(w);
		hub_follow(&w->hub->hub);
		assert_false(ring_holds(&w->base.hub.ring, first));
		step_all(i > 0 ? "what history has, and is cut" : "what history has", run);
		end();
	}
}

static void inputs(bool few)
{
	static const uint8_t update[] = { 24, 0, 0, 1, 1 }, close_notify[] = { 1, 0 };
	struct client *c;
	struct tls_keys next;

	for (int k = 0; k < (few ? 1 : 2); k++) {
		begin();
		world.receives = true;
		c = open_client(k ? old : aes, TRANSPORT_FLASH, false);
		client_sends(c, &c->begin.in, 0, TLS_APPLICATION_DATA, "some text", 9);
		client_sends(c, &c->begin.in, 1, TLS_APPLICATION_DATA, ", and more of it", 16);
		client_sends(c, &c->begin.in, 2, TLS_ALERT, close_notify, 2);
		c->ended = true;
		step_all("input and its end", receive_all_of_it);
		end();
	}
	begin();
	world.receives = true;
	c = open_client(aes, TRANSPORT_FLASH, false);
	client_sends(c, &c->begin.in, 0, TLS_APPLICATION_DATA, "some text", 9);
	c->cut = 7;
	client_sends(c, &c->begin.in, 1, TLS_APPLICATION_DATA, ", and more of it", 16);
	step_all("input that is cut", receive_all_of_it);
	end();
	if (few)
		return;
	begin();
	world.receives = true;
	c = open_client(aes, TRANSPORT_FLASH, false);
	next = c->begin.in;
	tls_keys_next(&next, aes.suite);
	client_sends(c, &c->begin.in, 0, TLS_APPLICATION_DATA, "some text", 9);
	client_sends(c, &c->begin.in, 1, TLS_HANDSHAKE, update, sizeof(update));
	client_sends(c, &next, 0, TLS_APPLICATION_DATA, " with other keys", 16);
	answer(c, 30, 0);
	step_all("input with other keys", receive_all_of_it);
	end();
}

int main(int argc, char **argv)
{
	bool few = argc > 1 && strcmp(argv[1], "few") == 0;

	log_init("tls_stress", LOG_LEVEL_ERROR);
	finished = mmap(NULL, sizeof(*finished), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	given = mmap(NULL, CLIENTS_MAX * sizeof(*given), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	batches(few);
	answers(few);
	histories(few);
	inputs(few);
	printf("tls_stress: %lu instructions, %lu states judged; %lu faults\n", instructions, judged, faults);
	return faults ? 1 : 0;
}
