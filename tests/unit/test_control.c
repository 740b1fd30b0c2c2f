/*
 * The control protocol: there and back, other versions' packets, and bytes from hell. And janusctl's end of the socket.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/ctl/client.h"

static uint8_t packet[CONTROL_PACKET_MAX];
static struct control_status status, got_status;
static struct control_reply reply;
static struct control_request request;

static void small_status(struct control_status *s)
{
	memset(s, 0, sizeof(*s));
	strcpy(s->version, "0.1.0");
	s->pid = 4711;
	s->started = 1700000000;
	strcpy(s->file, "/etc/janus.ini");
	strcpy(s->runtime_dir, "/run/janus");
	strcpy(s->data, "/var/lib/janus");
	strcpy(s->data_error, "No space left on device");
	strcpy(s->nodes, "a; NATS connected; 2 other nodes here");
	strcpy(s->listen[s->listeners++], "flash://127.0.0.1:8081");
	strcpy(s->listen[s->listeners++], "flash://*:1");
	s->connections_max = 100000;
	s->buffered = 4096;
	s->buffered_max = 1 << 30;
	s->by_transport[GROUP_FLASH] = 120;
	s->by_transport[GROUP_WEBSOCKET] = 30;
	s->by_transport[GROUP_PAGE] = 1;
	s->worker[0] = (struct control_worker){0, CONTROL_STATE_LIVE, 4712, 4713, 1200, 3, 4};
	s->worker[1] = (struct control_worker){1, CONTROL_STATE_DRAINING, 4714, 0, 0, UINT64_MAX, 1};
	s->workers = 2;
}

static void fill(char *dst, size_t size)
{
	memset(dst, 'x', size - 1);
	dst[size - 1] = '\0';
}

/* As large as a status gets. */
static void large_status(struct control_status *s)
{
	memset(s, 0, sizeof(*s));
	fill(s->version, sizeof(s->version));
	fill(s->file, sizeof(s->file));
	fill(s->runtime_dir, sizeof(s->runtime_dir));
	fill(s->data, sizeof(s->data));
	fill(s->data_error, sizeof(s->data_error));
	fill(s->nodes, sizeof(s->nodes));
	s->pid = UINT32_MAX;
	s->started = s->connections_max = s->buffered = s->buffered_max = UINT64_MAX;
	for (unsigned i = 0; i < TRANSPORT_GROUPS; i++)
		s->by_transport[i] = UINT64_MAX - i;
	for (; s->listeners < CONTROL_LISTEN_MAX; s->listeners++)
		fill(s->listen[s->listeners], sizeof(s->listen[0]));
	for (; s->workers < CONTROL_WORKERS_MAX; s->workers++)
		s->worker[s->workers] = (struct control_worker){UINT32_MAX, CONTROL_STATE_STARTING, UINT32_MAX, UINT32_MAX,
								UINT64_MAX, UINT64_MAX, UINT64_MAX};
}

static void round_trips(void **state)
{
	char error[2 * CONTROL_ERROR_MAX];
	size_t len;

	(void)state;
	for (enum control_command c = CONTROL_STATUS; c <= CONTROL_STOP; c++) {
		len = control_request_pack(packet, c);
		assert_int_equal(control_request_unpack(packet, len, &request), 0);
		assert_int_equal(request.command, c);
		assert_string_equal(request.name, control_command_name(c));
		assert_int_equal(control_command_find(request.name), c);
	}
	assert_int_equal(control_command_find("unknown"), CONTROL_UNKNOWN);
	len = control_request_write(packet, &(struct control_request){ .command = CONTROL_LOG, .argument = "debug", .slot = CONTROL_NO_SLOT });
	assert_int_equal(control_request_unpack(packet, len, &request), 0);
	assert_int_equal(request.command, CONTROL_LOG);
	assert_string_equal(request.argument, "debug");

	len = control_reply_pack(packet, NULL);
	assert_int_equal(control_reply_unpack(packet, len, &reply, NULL), 0);
	assert_true(reply.ok);
	assert_string_equal(reply.error, "");
	len = control_reply_pack(packet, "janus.ini:3: no");
	assert_int_equal(control_reply_unpack(packet, len, &reply, &got_status), 0);
	assert_false(reply.ok);
	assert_string_equal(reply.error, "janus.ini:3: no");
	fill(error, sizeof(error));
	len = control_reply_pack(packet, error);
	assert_int_equal(control_reply_unpack(packet, len, &reply, NULL), 0);
	assert_int_equal(strlen(reply.error), CONTROL_ERROR_MAX - 1);
}

static void status_round_trips(void **state)
{
	void (*const makers[])(struct control_status *) = {small_status, large_status};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		makers[i](&status);
		memset(&got_status, 0x5a, sizeof(got_status));
		assert_int_equal(control_reply_unpack(packet, control_status_pack(packet, &status), &reply, &got_status), 0);
		assert_true(reply.ok);
		assert_memory_equal(&got_status, &status, sizeof(status));
	}
}

/* ---- packets by hand ---- */

struct by_hand {
	msgpack_sbuffer buf;
	msgpack_packer to;
};

static void text(struct by_hand *p, const char *s)
{
	msgpack_pack_str(&p->to, strlen(s));
	msgpack_pack_str_body(&p->to, s, strlen(s));
}

static void begin(struct by_hand *p, unsigned pairs, unsigned version)
{
	msgpack_sbuffer_init(&p->buf);
	msgpack_packer_init(&p->to, &p->buf, msgpack_sbuffer_write);
	msgpack_pack_map(&p->to, pairs);
	text(p, "v");
	msgpack_pack_unsigned_int(&p->to, version);
}

static int end_request(struct by_hand *p)
{
	int rc = control_request_unpack(p->buf.data, p->buf.size, &request);

	msgpack_sbuffer_destroy(&p->buf);
	return rc;
}

static int end_reply(struct by_hand *p)
{
	int rc = control_reply_unpack(p->buf.data, p->buf.size, &reply, &got_status);

	msgpack_sbuffer_destroy(&p->buf);
	return rc;
}

static void other_versions(void **state)
{
	struct by_hand p;

	(void)state;
	/* keys of every shape that are not known */
	begin(&p, 5, CONTROL_VERSION);
	text(&p, "later");
	msgpack_pack_array(&p.to, 2);
	msgpack_pack_map(&p.to, 1);
	msgpack_pack_nil(&p.to);
	msgpack_pack_double(&p.to, 1.5);
	msgpack_pack_ext(&p.to, 3, 7);
	msgpack_pack_ext_body(&p.to, "abc", 3);
	msgpack_pack_int(&p.to, -70000);
	msgpack_pack_bin(&p.to, 300);
	msgpack_pack_bin_body(&p.to, packet, 300);
	msgpack_pack_float(&p.to, 2);
	msgpack_pack_ext(&p.to, 16, 1);
	msgpack_pack_ext_body(&p.to, "0123456789abcdef", 16);
	text(&p, "cmd");
	text(&p, "hub");
	assert_int_equal(end_request(&p), 0);
	assert_int_equal(request.command, CONTROL_HUB);

	begin(&p, 2, CONTROL_VERSION);
	text(&p, "cmd");
	text(&p, "upgrade");
	assert_int_equal(end_request(&p), 0);
	assert_int_equal(request.command, CONTROL_UNKNOWN);
	assert_string_equal(request.name, "upgrade");

	begin(&p, 2, CONTROL_VERSION + 1);
	text(&p, "cmd");
	text(&p, "status");
	assert_int_equal(end_request(&p), -1);
	assert_int_equal(errno, EPROTONOSUPPORT);

	/* a status with nothing in it, and a worker in a state that is not known */
	begin(&p, 3, CONTROL_VERSION);
	text(&p, "ok");
	msgpack_pack_true(&p.to);
	text(&p, "workers");
	msgpack_pack_array(&p.to, 1);
	msgpack_pack_map(&p.to, 1);
	text(&p, "state");
	text(&p, "dreaming");
	assert_int_equal(end_reply(&p), 0);
	assert_int_equal(got_status.workers, 1);
	assert_int_equal(got_status.worker[0].state, CONTROL_STATE_UNKNOWN);
	assert_string_equal(got_status.file, "");
}

/* From a server that knows more transports, and fewer; from one that tells none of them (other_versions()) all are 0. */
static void other_transports(void **state)
{
	struct by_hand p;

	(void)state;
	begin(&p, 3, CONTROL_VERSION);
	text(&p, "ok");
	msgpack_pack_true(&p.to);
	text(&p, "by_transport");
	msgpack_pack_map(&p.to, 3);
	text(&p, "pigeon");
	msgpack_pack_nil(&p.to);
	text(&p, "sse");
	msgpack_pack_int(&p.to, 5);
	msgpack_pack_int(&p.to, 7);
	text(&p, "flash");
	memset(&got_status, 0x5a, sizeof(got_status));
	assert_int_equal(end_reply(&p), 0);
	for (unsigned i = 0; i < TRANSPORT_GROUPS; i++)
		assert_int_equal(got_status.by_transport[i], i == GROUP_SSE ? 5 : 0);
	for (unsigned i = 0; i < TRANSPORT_GROUPS; i++)
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(transport_group_key(i), transport_group_key(k));
}

static void wrong_values(void **state)
{
	static const char *const numbers[] = {"pid", "started", "connections_max", "buffered", "buffered_max"};
	static const char *const texts[] = {"version", "file", "runtime_dir", "error", "data", "data_error", "nodes"};
	static const char *const arrays[] = {"listen", "workers"};
	struct by_hand p;

#define BAD(key, pack)                              \
	do {                                        \
		begin(&p, 3, CONTROL_VERSION);      \
		text(&p, "ok");                     \
		msgpack_pack_true(&p.to);           \
		text(&p, key);                      \
		pack;                               \
		errno = 0;                          \
		assert_int_equal(end_reply(&p), -1); \
		assert_int_equal(errno, EBADMSG);   \
	} while (0)

	(void)state;
	memset(packet, 'x', sizeof(packet));
	for (size_t i = 0; i < 5; i++) {
		BAD(numbers[i], text(&p, "5"));
		BAD(numbers[i], msgpack_pack_int(&p.to, -1));
	}
	BAD("pid", msgpack_pack_uint64(&p.to, 1ull << 32));
	for (size_t i = 0; i < 7; i++) {
		BAD(texts[i], msgpack_pack_int(&p.to, 5));
		BAD(texts[i], (msgpack_pack_str(&p.to, 4096), msgpack_pack_str_body(&p.to, packet, 4096)));
		BAD(texts[i], (msgpack_pack_str(&p.to, 2), msgpack_pack_str_body(&p.to, "a\0", 2)));
	}
	for (size_t i = 0; i < 2; i++) {
		BAD(arrays[i], text(&p, "x"));
		BAD(arrays[i], (msgpack_pack_array(&p.to, 1), msgpack_pack_nil(&p.to)));
	}
	BAD("listen", msgpack_pack_array(&p.to, 65); for (int i = 0; i < 65; i++) text(&p, "x"));
	BAD("workers", msgpack_pack_array(&p.to, 65); for (int i = 0; i < 65; i++) msgpack_pack_map(&p.to, 0));
	BAD("by_transport", msgpack_pack_int(&p.to, 1));
	BAD("by_transport", msgpack_pack_array(&p.to, 0));
	BAD("by_transport", (msgpack_pack_map(&p.to, 1), text(&p, "sse"), msgpack_pack_int(&p.to, -1)));
	BAD("by_transport", (msgpack_pack_map(&p.to, 1), text(&p, "page"), text(&p, "1")));
#undef BAD
	begin(&p, 2, CONTROL_VERSION);
	text(&p, "ok");
	msgpack_pack_int(&p.to, 1);
	assert_int_equal(end_reply(&p), -1);
	assert_int_equal(errno, EBADMSG);
}

static void wrong_bytes(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{"", 0},
		{"\xc0", 1},
		{"\x80", 1},				/* no v */
		{"\x81\xa1v\x01", 4},			/* nothing else */
		{"\x83\xa1v\xa1" "1\xa3" "cmd\xa3hub\xa2ok\xc3", 17},	/* v is no number */
		{"\x91\x01", 2},			/* no map */
		{"\xc1", 1},
		{"\xdf\xff\xff\xff\xff", 5},		/* 4,294,967,295 pairs to come */
		{"\xdd\x10\x00\x00\x00", 5},
		{"\x82\xa1v\x01\xa3" "cmd\xdd\x7f\xff\xff\xff\x00", 14},
		{"\xdb\xff\xff\xff\xff" "abc", 8},
		{"\xc9\xff\xff\xff\xff" "abc", 8},
		{"\xc7", 1},
	};
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		errno = 0;
		assert_int_equal(control_request_unpack(cases[i].bytes, cases[i].len, &request), -1);
		assert_int_equal(errno, EBADMSG);
		assert_int_equal(control_reply_unpack(cases[i].bytes, cases[i].len, &reply, &got_status), -1);
		assert_int_equal(errno, EBADMSG);
	}
	/* arrays in arrays, deeper than any packet; and something behind a whole packet */
	memset(packet, 0x91, sizeof(packet));
	assert_int_equal(control_request_unpack(packet, sizeof(packet), &request), -1);
	len = control_request_pack(packet, CONTROL_STATUS);
	packet[len] = 0xc0;
	assert_int_equal(control_request_unpack(packet, len + 1, &request), -1);
}

/* Copies to the heap, so that ASan sees every byte read beyond. */
static int unpack_exactly(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	(void)control_request_unpack(copy, len, &request);
	rc = control_reply_unpack(copy, len, &reply, &got_status);
	free(copy);
	return rc;
}

static void truncations(void **state)
{
	size_t len;

	(void)state;
	small_status(&status);
	len = control_status_pack(packet, &status);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(unpack_exactly(packet, i), -1);
	assert_int_equal(unpack_exactly(packet, len), 0);
}

static void mutations(void **state)
{
	static uint8_t mutant[CONTROL_PACKET_MAX];
	size_t len, taken = 0;

	(void)state;
	srandom(1);
	small_status(&status);
	len = control_status_pack(packet, &status);
	for (int i = 0; i < 100000; i++) {
		memcpy(mutant, packet, len);
		for (long n = 1 + random() % 4; n > 0; n--)
			mutant[(size_t)random() % len] = (uint8_t)(random() % 3 ? random() : 0xc0 | (random() & 0x3f));
		if (unpack_exactly(mutant, random() % 8 ? len : (size_t)random() % len) < 0)
			continue;
		taken++;
		/* whatever was taken is within bounds */
		assert_true(got_status.workers <= CONTROL_WORKERS_MAX && got_status.listeners <= CONTROL_LISTEN_MAX);
		assert_true(strlen(got_status.version) < sizeof(got_status.version));
		for (unsigned w = 0; w < got_status.workers; w++)
			assert_non_null(control_state_name(got_status.worker[w].state));
	}
	assert_in_range(taken, 1, 99999);
}

/* ---- janusctl's end ---- */

/* Puts a reply into the socket before it is asked for, with `count` descriptors of `fd`. */
static void put_reply(int sock, const void *bytes, size_t len, int fd, unsigned count)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(3 * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (count) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
		for (unsigned i = 0; i < count; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &fd, sizeof(int));
	}
	assert_int_equal(sendmsg(sock, &msg, 0), len);
}

static void acting(void **state)
{
	struct control_request sent = { .command = CONTROL_KICK, .topic = "a", .reason = "why", .slot = CONTROL_NO_SLOT };
	size_t len = control_request_write(packet, &sent);

	(void)state;
	assert_int_equal(control_request_unpack(packet, len, &request), 0);
	assert_int_equal(request.command, CONTROL_KICK);
	assert_string_equal(request.topic, "a");
	assert_string_equal(request.reason, "why");
	assert_string_equal(request.id, "");
	assert_string_equal(request.user, "");
	assert_int_equal(request.slot, CONTROL_NO_SLOT);
	sent = (struct control_request){ .command = CONTROL_DRAIN, .rate = 7, .slot = 0 };
	len = control_request_write(packet, &sent);
	assert_int_equal(control_request_unpack(packet, len, &request), 0);
	assert_int_equal(request.rate, 7);
	assert_int_equal(request.slot, 0);
	/* all that a request can have fits */
	sent = (struct control_request){ .command = CONTROL_KICK, .rate = UINT64_MAX, .slot = 63 };
	memset(sent.id, 'x', sizeof(sent.id) - 1);
	memset(sent.topic, 'x', sizeof(sent.topic) - 1);
	memset(sent.user, 'x', sizeof(sent.user) - 1);
	memset(sent.reason, 'x', sizeof(sent.reason) - 1);
	assert_true(control_request_write(packet, &sent) <= CONTROL_REQUEST_MAX);

	len = control_order_pack(packet, 1ull << 50, 5);
	assert_int_equal(control_reply_unpack(packet, len, &reply, NULL), 0);
	assert_true(reply.ok);
	assert_int_equal(reply.order, 1ull << 50);
	assert_int_equal(reply.slots, 5);
}

static int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 100; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void client(void **state)
{
	int s[2], passed, pipe_fds[2], open_before;
	struct stat a, b;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0);
	assert_int_equal(pipe(pipe_fds), 0);
	open_before = descriptors();
	small_status(&status);
	put_reply(s[1], packet, control_status_pack(packet, &status), -1, 0);
	assert_int_equal(control_client_call(s[0], CONTROL_STATUS, 5, &reply, &got_status, &passed), 0);
	assert_true(reply.ok);
	assert_int_equal(passed, -1);
	assert_memory_equal(&got_status, &status, sizeof(status));
	assert_int_equal(control_request_unpack(packet, (size_t)recv(s[1], packet, sizeof(packet), 0), &request), 0);
	assert_int_equal(request.command, CONTROL_STATUS);

	/* of three descriptors it takes one and loses none */
	put_reply(s[1], packet, control_reply_pack(packet, NULL), pipe_fds[0], 3);
	assert_int_equal(control_client_call(s[0], CONTROL_HUB, 5, &reply, NULL, &passed), 0);
	assert_int_equal(fstat(passed, &a) | fstat(pipe_fds[0], &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	close(passed);
	/* refused, or not asked for: no descriptor */
	put_reply(s[1], packet, control_reply_pack(packet, "no"), pipe_fds[0], 1);
	assert_int_equal(control_client_call(s[0], CONTROL_HUB, 5, &reply, NULL, &passed), 0);
	assert_int_equal(passed, -1);
	assert_string_equal(reply.error, "no");
	put_reply(s[1], "rubbish", 7, pipe_fds[0], 1);
	assert_int_equal(control_client_call(s[0], CONTROL_RELOAD, 5, &reply, NULL, NULL), -1);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(descriptors(), open_before);

	assert_int_equal(control_client_call(s[0], CONTROL_RELOAD, 1, &reply, NULL, NULL), -1);
	assert_int_equal(errno, ETIMEDOUT);
	close(s[1]);
	assert_int_equal(control_client_call(s[0], CONTROL_RELOAD, 5, &reply, NULL, NULL), -1);
	assert_int_equal(errno, ECONNRESET);
	close(s[0]);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	assert_int_equal(control_client_open("/nonexistent"), -1);
	assert_int_equal(errno, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips),
		cmocka_unit_test(status_round_trips),
		cmocka_unit_test(other_versions),
		cmocka_unit_test(other_transports),
		cmocka_unit_test(wrong_values),
		cmocka_unit_test(wrong_bytes),
		cmocka_unit_test(truncations),
		cmocka_unit_test(mutations),
		cmocka_unit_test(acting),
		cmocka_unit_test(client),
	};

	alarm(60);
	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
