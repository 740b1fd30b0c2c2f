/*
 * What a session speaks, in a slot's snapshot: by names that every version knows it by, and with the number that a page counts from.
 */
#include "tests/unit/hub_fixture.h"

#include <msgpack.h>
#include <sys/mman.h>

#include "shm/snapshot.h"

#define FIRST_FD 8

/* Part of the format: never to be changed, whatever the numbers are. */
static const char *const names[TRANSPORTS] = {
	[TRANSPORT_FLASH] = "flash", [TRANSPORT_PACKET] = "packet", [TRANSPORT_HTTP] = "http",
	[TRANSPORT_WEBSOCKET] = "websocket", [TRANSPORT_WEBSOCKET_STREAM] = "websocket-stream",
	[TRANSPORT_SSE] = "sse", [TRANSPORT_SSE_10] = "sse-1.0", [TRANSPORT_JSON_LINES] = "comet", [TRANSPORT_JSON_LINES_10] = "comet-1.0",
	[TRANSPORT_PAGE] = "page", [TRANSPORT_PAGE_10] = "page-1.0", [TRANSPORT_SSE_JSON] = "sse-json", [TRANSPORT_SSE_JSON_10] = "sse-json-1.0",
};

struct segment {
	struct slot slot;
	int fd;
};

static void make(struct segment *s)
{
	s->fd = slot_create("slot", &(struct slot_size){ .sessions = 64, .frame = 1024, .buffered = 1 << 28 });
	assert_int_equal(slot_attach(&s->slot, s->fd, true), 0);
}

static void unmake(struct segment *s)
{
	slot_detach(&s->slot);
	close(s->fd);
}

static void open_session(const struct slot *slot, int fd, uint32_t transport, uint32_t base)
{
	struct session_shm *s = slot_session(slot, fd);

	s->state.transport = transport;
	s->page_base = base;
	s->status = SESSION_OPEN;
	atomic_store(&slot->shm->fd_end, (uint32_t)fd + 1);
}

static void all_come_back(void **state)
{
	struct fixture *f = *state;
	struct segment a, b;
	int file = memfd_create("snapshot", 0);

	make(&a);
	make(&b);
	for (uint32_t t = 0; t < TRANSPORTS; t++)
		open_session(&a.slot, FIRST_FD + (int)t, t, t == TRANSPORT_PAGE ? UINT32_MAX : t == TRANSPORT_PAGE_10 ? 12 : 0);
	assert_int_equal(snapshot_write_slot(&f->hub, &a.slot, NULL, file, NULL, NULL), 0);
	assert_int_equal(snapshot_read_slot(&f->hub, &b.slot, NULL, 3, 4, file), 0);
	for (uint32_t t = 0; t < TRANSPORTS; t++) {
		const struct session_shm *s = slot_session(&b.slot, FIRST_FD + (int)t);

		assert_int_equal(s->status, SESSION_OPEN);
		assert_int_equal(s->state.transport, t);
		assert_int_equal(s->page_base, t == TRANSPORT_PAGE ? UINT32_MAX : t == TRANSPORT_PAGE_10 ? 12 : 0);
	}
	unmake(&a);
	unmake(&b);
	close(file);
}

static void one_of_no_transport_is_not_written(void **state)
{
	struct fixture *f = *state;
	struct segment a;
	int file = memfd_create("snapshot", 0);

	make(&a);
	open_session(&a.slot, FIRST_FD, TRANSPORTS, 0);
	errno = 0;
	assert_int_equal(snapshot_write_slot(&f->hub, &a.slot, NULL, file, NULL, NULL), -1);
	assert_int_equal(errno, EPROTO);
	unmake(&a);
	close(file);
}

/* ---- snapshots by hand ---- */

static void put(msgpack_packer *p, const char *key, uint64_t value)
{
	msgpack_pack_str_with_body(p, key, strlen(key));
	msgpack_pack_uint64(p, value);
}

static void put_text(msgpack_packer *p, const char *key, const char *value)
{
	msgpack_pack_str_with_body(p, key, strlen(key));
	msgpack_pack_str_with_body(p, value, strlen(value));
}

/* A snapshot of one session. `base` UINT64_MAX: without. */
static int snapshot_of(const char *name, uint64_t base)
{
	int file = memfd_create("snapshot", 0);
	msgpack_sbuffer buf;
	msgpack_packer p;

	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&p, &buf, msgpack_sbuffer_write);
	msgpack_pack_map(&p, 3);
	put(&p, "v", SNAPSHOT_VERSION);
	put_text(&p, "kind", "slot");
	put(&p, "sessions", 1);
	msgpack_pack_map(&p, base == UINT64_MAX ? 5 : 6);
	put(&p, "fd", FIRST_FD);
	put_text(&p, "proto", name);
	put(&p, "pos", 1);
	put(&p, "sent", 2);
	put(&p, "parsed", 3);
	if (base != UINT64_MAX)
		put(&p, "page_base", base);
	assert_int_equal(write(file, buf.data, buf.size), buf.size);
	msgpack_sbuffer_destroy(&buf);
	return file;
}

/* 0 and the session, or errno. */
static int read_one(struct fixture *f, int file, struct session_shm *session)
{
	struct segment b;
	int r;

	make(&b);
	errno = 0;
	r = snapshot_read_slot(&f->hub, &b.slot, NULL, 3, 4, file) < 0 ? errno : 0;
	memcpy(session, slot_session(&b.slot, FIRST_FD), sizeof(*session));
	unmake(&b);
	close(file);
	return r;
}

static void names_are_the_formats(void **state)
{
	struct session_shm s;

	for (uint32_t t = 0; t < TRANSPORTS; t++) {
		assert_int_equal(read_one(*state, snapshot_of(names[t], 7), &s), 0);
		assert_int_equal(s.state.transport, t);
		assert_int_equal(s.page_base, 7);
	}
	assert_int_equal(read_one(*state, snapshot_of("page", UINT64_MAX), &s), 0);
	assert_int_equal(s.page_base, 0);
}

static void what_is_none_is_refused(void **state)
{
	static const char *const none[] = { "", "Flash", "flas", "flash ", "sse-1.1", "gopher" };
	struct session_shm s;

	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(read_one(*state, snapshot_of(none[i], UINT64_MAX), &s), EPROTO);
	assert_int_equal(read_one(*state, snapshot_of("page", UINT32_MAX), &s), 0);
	assert_int_equal(s.page_base, UINT32_MAX);
	assert_int_equal(read_one(*state, snapshot_of("page", 1ull << 32), &s), EPROTO);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_come_back),
		TEST(one_of_no_transport_is_not_written),
		TEST(names_are_the_formats),
		TEST(what_is_none_is_refused),
	};

	alarm(60);
	return cmocka_run_group_tests_name("snapshot_transport", tests, NULL, NULL);
}
