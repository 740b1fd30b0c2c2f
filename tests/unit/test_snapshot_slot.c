/*
 * Snapshots: a slot there and back, into segments of the same and of other sizes.
 */
#include "tests/unit/snapshot_fixture.h"

#include "shm/snapshot_session.h"

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
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, NULL, x, NULL, NULL), 0);
	assert_int_equal(snapshot_version(x), SNAPSHOT_VERSION);
	assert_int_equal(snapshot_read_hub(&b.hub, y), 0);
	assert_int_equal(snapshot_read_slot(&b.hub, &b.slot, NULL, 40, OWNER, x), 0);
	verify_slot(&b);
	assert_int_equal(snapshot_write_slot(&b.hub, &b.slot, NULL, y, NULL, NULL), 0);
	same_bytes(x, y);
	stop(&a);
	stop(&b);
	close(x);
	close(y);
}

static uint32_t take_subscription(void *of)
{
	return ++*(uint32_t *)of;
}

static void give_subscription(void *of, uint32_t subscription)
{
	(void)of;
	assert_true(subscription > 0);
}

/* Each session by itself, under another number; and what is half read is given back. */
static void sessions_move(void **state)
{
	static struct snapshot_writer w;
	struct buffer_pool pool;
	struct server a, b;
	uint32_t taken = 0, charged;
	int y = file();

	(void)state;
	start(&a, 65536, 128, 16, 64);
	start(&b, 65536, 64, 99, 64);
	populate_hub(&a);
	populate_slot(&a);
	assert_int_equal(snapshot_write_hub(&a.hub, SEQS - 60, y), 0);
	assert_int_equal(snapshot_read_hub(&b.hub, y), 0);
	assert_int_equal(pool_init(&pool, &b.slot) + pool_ready(&pool), 0);
	for (uint32_t fd = 0; fd < a.slot.shm->fd_end; fd++) {
		const struct session_shm *s = slot_session(&a.slot, (int)fd), *t = slot_session(&b.slot, 60);
		struct passed_shm passed[8] = { { .number = 77, .from = 7 }, { .number = 78, .from = 8 }, { .number = 79, .from = 9 }, { .number = 80, .from = 10 } };
		struct session_leaves leaves = { .passed = passed };
		struct session_reading x = { .hub = &b.hub, .slot = &b.slot, .number = 40, .lock_owner = OWNER, .tail = SEQS + 1, .pool = &pool, .take = take_subscription, .of = &taken };
		uint32_t n = 0;

		if (s->status != SESSION_OPEN)
			continue;
		snapshot_begin(&w, -1, "session", 0);
		assert_int_equal(snapshot_put_session(&w, &a.hub, &a.slot, NULL, fd, &leaves), 0);
		assert_int_equal(snapshot_end(&w), 0);
		assert_int_equal(w.fd, -1);
		charged = pool_next(&pool, BUFFER_NONE);
		assert_null(snapshot_open_bytes(&x.r, w.buffer, w.used, "slot"));
		for (size_t cut = 1; cut < w.used; cut += 7)	/* never more than there is, and nothing is left of it */
			if (snapshot_open_bytes(&x.r, w.buffer, w.used - cut, "session")) {
				assert_int_equal(snapshot_get_session(&x, 60), -1);
				snapshot_forget_session(&x, give_subscription);
			}
		assert_int_equal(pool_next(&pool, BUFFER_NONE), charged);
		assert_non_null(snapshot_open_bytes(&x.r, w.buffer, w.used, "session"));
		assert_int_equal(snapshot_get_session(&x, 60), 0);
		assert_int_equal(x.fd, 60);
		assert_int_equal(t->status, SESSION_FREE);
		assert_int_equal(t->count, s->count);
		assert_memory_equal(t->token, s->token, TOKEN_BYTES);
		assert_true(t->state.pos == s->state.pos && t->state.sent == s->state.sent && t->state.parsed == s->state.parsed && t->page_base == s->page_base && t->until == s->until);
		assert_true(t->state.transport == s->state.transport && t->last_in == s->last_in);
		assert_int_equal(t->state.flags, s->state.flags);
		for (uint32_t i = t->subscriptions; i; i = b.slot.subscriptions[i].next, n++) {
			assert_int_equal(b.slot.subscriptions[i].number, passed[n].number);
			assert_int_equal(b.slot.subscriptions[i].from, passed[n].from);
		}
		assert_int_equal(n, s->count);
		snapshot_forget_session(&x, give_subscription);
		assert_int_equal(pool_next(&pool, BUFFER_NONE), charged);
		assert_int_equal(slot_rights_ref(&b.slot, 60), BUFFER_NONE);
	}
	assert_int_equal(lock_owner(&b.hub.shm->lock), 0);
	check(&b);
	pool_fini(&pool);
	stop(&a);
	stop(&b);
	close(y);
}

/* More than 32 for each descriptor of the new table; and one of the ring's future. */
static void slot_subscriptions_do_not_fit(void **state)
{
	const struct spec one = { .fd = 1, .topics = { "alpha" } };
	uint32_t subscriptions = 200;
	struct buffer_pool pool = { 0 };
	struct server a;
	int fd = file();

	(void)state;
	start(&a, 65536, 128, 16, 64);
	populate_hub(&a);
	open_session(&a, &pool, &one, &subscriptions);
	for (uint32_t i = 1; i < 64; i++) {
		struct subscription_shm *sub = &a.slot.subscriptions[i];

		*sub = (struct subscription_shm){ .topic = find(&a, "alpha"), .next = a.slot.sessions[1].subscriptions };
		a.slot.sessions[1].subscriptions = i;
	}
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, NULL, fd, NULL, NULL), 0);
	assert_int_equal(other_slot(fd, -1, 16, 2), 0);
	a.slot.subscriptions[64] = (struct subscription_shm){ .topic = find(&a, "alpha"), .next = a.slot.sessions[1].subscriptions };
	a.slot.sessions[1].subscriptions = 64;
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, NULL, fd, NULL, NULL), 0);
	assert_int_equal(other_slot(fd, -1, 16, 2), ENOSPC);
	assert_int_equal(other_slot(fd, -1, 16, 3), 0);
	a.slot.subscriptions[64].from = SEQS + 2;
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, NULL, fd, NULL, NULL), 0);
	assert_int_equal(other_slot(fd, -1, 16, 3), EPROTO);
	stop(&a);
	close(fd);
}

/* Keys and all; and a program that has no place for them does not take the session for a plain one. */
/* Whether the snapshot has such a key. */
static bool says(int fd, const char *key)
{
	static char bytes[1 << 20];
	char text[32] = { (char)(0xa0 | strlen(key)) };		/* msgpack's "fixstr" */
	ssize_t n = pread(fd, bytes, sizeof(bytes), 0);

	assert_in_range(n, 1, sizeof(bytes) - 1);
	strcpy(text + 1, key);
	return memmem(bytes, (size_t)n, text, strlen(text)) != NULL;
}

static void tls_connections_come_along(void **state)
{
	const struct spec spec = { .fd = 7, .flags = SESSION_TLS | SESSION_BEHIND, .parsed = 40, .in = "half", .in_skip = 1 };
	struct server a, b;
	struct buffer_pool pool = { 0 };
	struct tls tls, other;
	int fd = file(), ours = tls_create("a", 64), theirs = tls_create("b", 23);
	uint32_t subscriptions = 100;
	struct tls_entry_shm *e, *f;

	(void)state;
	start(&a, 65536, 128, 16, 64);
	start(&b, 65536, 128, 16, 23);
	populate_hub(&a);
	populate_hub(&b);
	pool_init(&pool, &a.slot);
	pool_ready(&pool);
	open_session(&a, &pool, &spec, &subscriptions);
	assert_int_equal(tls_attach(&tls, ours, 64) + tls_attach(&other, theirs, 23), 0);
	e = tls_entry(&tls, 7);
	f = tls_entry(&other, 7);
	for (uint8_t suite = TLS_AES_128_GCM; suite <= TLS_CHACHA20_POLY1305; suite++) {
		memset(&e->out, 3 * suite, sizeof(e->out));
		memset(&e->in, 5 * suite, sizeof(e->in));
		e->kind = (struct tls_kind){ suite % 2 ? TLS_1_2 : TLS_1_3, suite };
		e->flow = (struct tls_flow_shm){ .taken = 7000, .wire_out = 9000, .opened = 43, .wire_in = 90, .out_seq = 12, .in_seq = 1ull << 40,
						 .pending = pool_text(&pool, "a rest"), .pending_start = 2, .pending_end = 6,
						 .held = pool_text(&pool, "a beginning"), .held_len = 11,
						 .control = TLS_UPDATE_OWED | TLS_PEER_CLOSED | (suite == TLS_AES_256_GCM ? TLS_BY_KERNEL : 0), .alert = 20 };
		assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, &tls, fd, NULL, NULL), 0);
		assert_true(says(fd, "tls_proto") && !says(fd, "proto"));	/* who knows no TLS does not take it for a plain one */
		assert_int_equal(snapshot_read_slot(&b.hub, &b.slot, NULL, 40, OWNER, fd), -1);
		assert_int_equal(errno, EPROTO);
		assert_int_equal(slot_session(&b.slot, 7)->status, SESSION_FREE);
		assert_int_equal(snapshot_read_slot(&b.hub, &b.slot, &other, 40, OWNER, fd), 0);
		assert_true(slot_session(&b.slot, 7)->state.flags & SESSION_TLS);
		assert_memory_equal(pool_bytes(&b.slot, f->flow.pending), "rest", 4);
		assert_int_equal(f->flow.pending_end, 4);
		assert_memory_equal(pool_bytes(&b.slot, f->flow.held), "a beginning", 11);
		f->flow.held = e->flow.held;
		f->flow.pending = e->flow.pending;
		f->flow.pending_start = 2;
		f->flow.pending_end = 6;
		assert_memory_equal(e, f, sizeof(*e));
		slot_session(&b.slot, 7)->status = SESSION_FREE;
	}
	e->flow.taken++;	/* something is under way */
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, &tls, fd, NULL, NULL), -1);
	pool_fini(&pool);
	tls_detach(&tls);
	tls_detach(&other);
	stop(&a);
	stop(&b);
	close(fd);
	close(ours);
	close(theirs);
}

static void slot_has_no_place(void **state)
{
	struct spec large = { .fd = 1 };
	static char in[200000];
	struct server a;
	struct buffer_pool pool;
	int fd = file(), big;
	uint32_t subscriptions = 100;

	(void)state;
	start(&a, 65536, 128, 16, 64);
	populate_hub(&a);
	populate_slot(&a);
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, NULL, fd, NULL, NULL), 0);
	assert_int_equal(other_slot(fd, -1, 5, 23), 0);
	assert_int_equal(other_slot(fd, -1, 4, 23), ENOSPC);
	assert_int_equal(other_slot(fd, -1, 5, 22), ENOSPC);
	/* a buffer larger than any there */
	slot_detach(&a.slot);
	close(a.slot_fd);
	a.slot_fd = slot_create("slot", &(struct slot_size){ .sessions = 64, .frame = 100000, .buffered = 1 << 28 });
	slot_attach(&a.slot, a.slot_fd, true);
	pool_init(&pool, &a.slot);
	pool_ready(&pool);
	large.in = memset(in, 'x', sizeof(in) - 1);
	open_session(&a, &pool, &large, &subscriptions);
	pool_fini(&pool);
	big = file();
	assert_int_equal(snapshot_write_slot(&a.hub, &a.slot, NULL, big, NULL, NULL), 0);
	assert_int_equal(other_slot(big, -1, 16, 23), ENOSPC);
	stop(&a);
	close(fd);
	close(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slot_comes_back), cmocka_unit_test(sessions_move),
		cmocka_unit_test(tls_connections_come_along),
		cmocka_unit_test(slot_has_no_place),
		cmocka_unit_test(slot_subscriptions_do_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
