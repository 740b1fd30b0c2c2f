/*
 * Connections on their way to another worker: what was sent is found again, and nothing that is not whole is taken for one.
 */
#include "tests/unit/hub_fixture.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "proto/transport.h"
#include "worker/loop/move_message.h"

enum { TLS = 1, PEER = 2, RIGHTS = 4, ALL = 8 };

static const char input[] = "GET /session/abc HTTP/1.1\r\n";
static struct tls_entry_shm entry;
static uint8_t held[TLS_RECORD_MAX];
static struct moved_peer client;
static _Alignas(struct rights) uint8_t block[RIGHTS_SIZE_MAX];

static void send_one(int queue, int fd, int what)
{
	struct move_parts parts = {
		.m = { .sender = 3, .number = 4711, .sent = 5, .parsed = 7, .everybody = 9, .input = sizeof(input), .listener = MOVED_ADMIN | SLOW_LATEST },
		.input = input, .tls = what & TLS ? &entry : NULL, .held = what & TLS ? held : NULL, .peer = what & PEER ? &client : NULL,
		.rights = what & RIGHTS ? (const struct rights *)block : NULL,
	};

	strcpy(parts.m.transport, transport_table[TRANSPORT_WEBSOCKET].word);
	assert_int_equal(move_message_send(queue, fd, &parts), 0);
}

static void make_parts(void)
{
	struct rights_writer w;
	const char *error;

	rights_begin(&w, block, sizeof(block), "bob", 3, INT64_MAX);
	assert_true(rights_end(&w, &error) > 0);
	memset(&entry, 0x5a, sizeof(entry));
	memset(held, 0xa5, sizeof(held));
	entry.flow.held_len = 1234;
	entry.flow.control = 0;
	client = (struct moved_peer){ .peer = { .family = EVENT_IPV4, .port = 80, .address = { 203, 0, 113, 9 } }, .by = 1 };
}

static void what_was_sent_is_found(void **state)
{
	static struct move_looked l;
	struct stat was, is;
	int queue[2];

	(void)state;
	make_parts();
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, queue), 0);
	assert_int_equal(fstat(queue[0], &was), 0);
	assert_false(move_message_look(queue[1], &l));
	for (int what = 0; what < ALL; what++) {
		const char *behind = l.input + sizeof(input);

		entry.flow.control = what & PEER ? TLS_BY_KERNEL : 0;
		send_one(queue[0], queue[0], what);
		for (int i = 0; i < 2; i++) {		/* it is there until it is taken out */
			assert_true(move_message_look(queue[1], &l));
			assert_true(l.good && l.fd >= 0 && fstat(l.fd, &is) == 0 && is.st_ino == was.st_ino);
			close(l.fd);
		}
		assert_true(l.m.sender == 3 && l.m.number == 4711 && l.m.sent == 5 && l.m.parsed == 7 && l.m.everybody == 9 && l.m.input == sizeof(input));
		assert_int_equal(l.m.listener, MOVED_ADMIN | SLOW_LATEST | (what & TLS ? MOVED_TLS | (what & PEER ? MOVED_BY_KERNEL : 0) : 0) | (what & PEER ? MOVED_PEER : 0));
		assert_int_equal(move_message_transport(&l.m), TRANSPORT_WEBSOCKET);
		assert_memory_equal(l.input, input, sizeof(input));
		if (what & TLS) {
			assert_memory_equal(behind, &entry, sizeof(entry));
			assert_memory_equal(behind + sizeof(entry), held, 1234);
			move_message_forget(&l);
			for (size_t i = 0; i < sizeof(entry); i++)
				assert_int_equal(behind[i], 0);
		}
		if (what & PEER)
			assert_memory_equal(&l.peer, &client, sizeof(client));
		assert_int_equal(move_message_has_rights(&l.m), (what & RIGHTS) != 0);
		if (what & RIGHTS)
			assert_memory_equal(l.rights, block, ((const struct rights *)block)->size);
		assert_int_equal(recv(queue[1], &(char){ 0 }, 1, 0), 1);
		assert_false(move_message_look(queue[1], &l));
	}
	close(queue[0]);
	close(queue[1]);
}

/* Cut at each byte, longer than it should be, or with something in it that can't be. */
static void what_is_not_whole_is_not_good(void **state)
{
	static struct move_looked l;
	static uint8_t bytes[sizeof(l)];
	int queue[2];

	(void)state;
	make_parts();
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, queue), 0);
	for (int what = 0; what < ALL; what++) {
		struct move_message *m = (struct move_message *)bytes, good;
		ssize_t n;

		send_one(queue[0], queue[0], what);
		n = recv(queue[1], bytes, sizeof(bytes), 0);
		good = *m;
		for (ssize_t len = 0; len <= n + 1; len++) {
			assert_int_equal(send(queue[0], bytes, (size_t)len, 0), len);
			assert_true(move_message_look(queue[1], &l));
			assert_int_equal(l.good, len == n);
			assert_int_equal(l.fd, -1);
			(void)!recv(queue[1], &(char){ 0 }, 1, 0);
		}
		for (int i = 0; i < 5; i++) {
			*m = good;
			if (i == 0)
				m->version = 99;
			if (i == 1)
				m->sender = INDEX_SLOTS_MAX;
			if (i == 2)
				m->input = MOVE_INPUT_MAX + 1;
			if (i == 3)
				strcpy(m->transport, "gopher");
			if (i == 4)
				m->listener = 64;
			assert_int_equal(send(queue[0], bytes, (size_t)n, 0), n);
			assert_true(move_message_look(queue[1], &l));
			assert_false(l.good);
			(void)!recv(queue[1], &(char){ 0 }, 1, 0);
		}
	}
	close(queue[0]);
	close(queue[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_sent_is_found),
		cmocka_unit_test(what_is_not_whole_is_not_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
