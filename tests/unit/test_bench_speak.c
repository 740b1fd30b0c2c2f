/*
 * What janusbench reads and writes (tests/bench/speak_*.c), beside what the server writes and reads (proto/): they share no code. Any
 * byte of a message that is not as it must be is found, and no frame is taken before it is whole.
 */
#include "tests/bench/speak.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/http.h"
#include "proto/packet.h"
#include "proto/transport.h"
#include "proto/web_message.h"
#include "proto/websocket.h"
#include "tests/bench/httpc.h"
#include "tests/bench/pack.h"
#include "tests/bench/wire.h"
#include "tests/bench/wsframe.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define TIME 1448434925395864u
#define ID 700
#define EPOCH 1448434925395u		/* "ihegr977" */
#define SIZE_MAX_HERE 70000u

static const struct payload sent = { .run = 0xabcdef01, .topic = 7, .round = 3, .publisher = 5, .seq = 11, .sent = 123456789 };

/* ---- the server's words ---- */

static size_t frame_of(const struct speak *speak, char *dst, size_t room, size_t size)
{
	static char object[SIZE_MAX_HERE + SPEAK_EXTRA];
	size_t len = wire_object(object, &sent, size), n;
	struct position_epoch epoch = position_epoch(EPOCH);
	struct web_record rec = { .time = TIME, .epoch = &epoch, .seq = ID, .text = object + 1, .len = len - 1 };

	if (speak == &speak_packet)
		return packet_message(&rec, dst, room);
	if (speak != &speak_ws)
		return web_message(speak == &speak_sse ? WEB_SSE : WEB_JSON_LINES, true, &rec, dst, room);
	n = web_message_size(WEB_WEBSOCKET, false, &rec);
	assert_true(n <= room);
	return web_message(WEB_WEBSOCKET, false, &rec, dst, room);
}

static const struct speak *const readers[] = { &speak_ws, &speak_sse, &speak_json_lines, &speak_packet };

static void test_messages(void **state)
{
	static const size_t sizes[] = { 40, 41, 63, 100, 127, 200, 255, 256, 65000, 65535, 65536, SIZE_MAX_HERE };
	static char frame[SIZE_MAX_HERE + SPEAK_EXTRA];

	(void)state;
	for (int message_id = 0; message_id < 2; message_id++) {
		wire_init("bench", 1, message_id);
		for (size_t r = 0; r < ARRAY_LEN(readers); r++)
			for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
				const struct speak *speak = readers[r];
				size_t len = frame_of(speak, frame, sizeof(frame), sizes[i]);
				struct payload p = { .topic = sent.topic };
				struct stamp stamp = { 0 };

				assert_true(len > sizes[i]);
				assert_int_equal(speak->cut(frame, len), len);
				assert_int_equal(speak->cut(frame, len - 1), 0);
				assert_int_equal(speak->kind(frame, len), SPEAK_MESSAGE);
				assert_int_equal(speak->message(frame, len, sizes[i], &p, &stamp), 0);
				assert_true(p.run == sent.run && p.topic == sent.topic && p.round == sent.round &&
					    p.publisher == sent.publisher && p.seq == sent.seq && p.sent == sent.sent);
				assert_int_equal(stamp.id, ID);
				assert_int_equal(stamp.epoch, EPOCH);
				assert_int_equal(stamp.time, speak == &speak_sse ? 0 : TIME);
				assert_int_equal(speak->message(frame, len, sizes[i] - 1, &p, &stamp), -1);
				p.seq = 0;
				assert_int_equal(speak->message(frame, len, 0, &p, &stamp), 0);
				assert_int_equal(p.seq, sent.seq);
			}
	}
}

static void test_every_prefix(void **state)
{
	char frame[1024];

	(void)state;
	wire_init("bench", 1, true);
	for (size_t r = 0; r < ARRAY_LEN(readers); r++) {
		size_t len = frame_of(readers[r], frame, sizeof(frame) / 2, 200);

		memcpy(frame + len, frame, len);
		for (size_t n = 1; n < 2 * len; n++)
			assert_int_equal(readers[r]->cut(frame, n), n < len ? 0 : len);
	}
}

/* What stands in id and timestamp can be others, but then they are read as others. */
static void test_every_byte(void **state)
{
	char frame[1024];

	(void)state;
	wire_init("bench", 1, true);
	for (size_t r = 0; r < ARRAY_LEN(readers); r++) {
		const struct speak *speak = readers[r];
		size_t len = frame_of(speak, frame, sizeof(frame), 100);

		for (size_t i = 0; i < len; i++) {
			struct payload p = { .topic = sent.topic };
			struct stamp stamp = { 0 };

			frame[i] ^= 1;
			if (speak->cut(frame, len) == len && speak->kind(frame, len) == SPEAK_MESSAGE &&
			    !speak->message(frame, len, 100, &p, &stamp))
				assert_true(stamp.id != ID || stamp.epoch != EPOCH || (stamp.time && stamp.time != TIME));
			frame[i] ^= 1;
		}
	}
}

static void test_other_topic(void **state)
{
	char frame[1024];

	(void)state;
	wire_init("bench", 1, true);
	for (size_t r = 0; r < ARRAY_LEN(readers); r++) {
		size_t len = frame_of(readers[r], frame, sizeof(frame), 100);
		struct payload p = { .topic = sent.topic + 1 };
		struct stamp stamp = { 0 };

		assert_int_equal(readers[r]->message(frame, len, 100, &p, &stamp), -1);
	}
}

#define HTTP_OK "HTTP/1.1 200 OK\r\nDate: Wed, 25 Nov 2015 07:02:05 GMT\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define UPGRADED "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

static void test_kinds(void **state)
{
	static const struct { const struct speak *speak; const char *text; size_t len; enum speak_frame kind; } cases[] = {
#define CASE(speak, text, kind) { &(speak), (text), sizeof(text) - 1, (kind) }
		CASE(speak_ws, UPGRADED "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", SPEAK_ACK),
		CASE(speak_ws, UPGRADED "sec-websocket-accept:s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", SPEAK_ACK),
		CASE(speak_ws, UPGRADED "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n\r\n", SPEAK_BAD),
		CASE(speak_ws, UPGRADED "\r\n", SPEAK_BAD),
		CASE(speak_ws, "HTTP/1.1 503 No Room\r\nContent-Length: 4\r\n\r\n{}\r\n", SPEAK_BAD),
		CASE(speak_ws, "\x81\x17{\"janus\":\"0.1.0\",\"x\":1}", SPEAK_GREETING),
		CASE(speak_ws, "\x81\x17{\"id\":\"x-77\",\"time\":12}", SPEAK_MESSAGE),
		CASE(speak_ws, "\x89\x00", SPEAK_PING),
		CASE(speak_ws, "\x89\x03\x41\x42\x43", SPEAK_PING),
		CASE(speak_ws, "\x8a\x00", SPEAK_OTHER),
		CASE(speak_ws, "\x88\x02\x03\xe8", SPEAK_OTHER),
		CASE(speak_ws, "\x01\x01\x41", SPEAK_BAD),
		CASE(speak_ws, "\xc1\x01\x41", SPEAK_BAD),
		CASE(speak_sse, HTTP_OK "Content-Type: text/event-stream\r\n" CHUNKED "\r\n", SPEAK_ACK),
		CASE(speak_sse, HTTP_OK "content-type:  Text/Event-Stream; charset=utf-8\r\n" CHUNKED "\r\n", SPEAK_ACK),
		CASE(speak_sse, HTTP_OK "Content-Type: application/x-ndjson\r\n" CHUNKED "\r\n", SPEAK_BAD),
		CASE(speak_sse, HTTP_OK "Content-Type: text/event-stream\r\n\r\n", SPEAK_BAD),
		CASE(speak_sse, "HTTP/1.1 404 Not Found\r\nContent-Type: text/event-stream\r\n" CHUNKED "\r\n", SPEAK_BAD),
		CASE(speak_sse, SSE_HEARTBEAT_CHUNK, SPEAK_PING),
		CASE(speak_sse, "1c\r\nretry: 2000\nid: ihegr977-6\n\n\r\n", SPEAK_OTHER),
		CASE(speak_sse, "0\r\n\r\n", SPEAK_OTHER),
		CASE(speak_json_lines, HTTP_OK "Content-Type: application/x-ndjson\r\n" CHUNKED "\r\n", SPEAK_ACK),
		CASE(speak_json_lines, JSON_LINES_HEARTBEAT_CHUNK, SPEAK_PING),
		CASE(speak_json_lines, "0\r\n\r\n", SPEAK_OTHER),
		CASE(speak_json_lines, "24\r\n{\"ok\":true,\"position\":\"ihegr977-6\"}\n\r\n", SPEAK_OTHER),
		CASE(speak_ws, "\x81\x23{\"ok\":true,\"position\":\"ihegr977-6\"}", SPEAK_OTHER),
		CASE(speak_packet, "\0\0\0\5\x81\xa2ok\xc3", SPEAK_ACK),
		CASE(speak_packet, "\0\0\0\5\x81\xa2ok\xc2", SPEAK_BAD),
		CASE(speak_packet, "\0\0\0\1\xc0", SPEAK_BAD),
		CASE(speak_packet, "\0\0\0\0", SPEAK_BAD),
		CASE(speak_http, HTTP_OK "Content-Length: 28\r\n\r\n[{\"id\":7,\"subscribers\":30}]\n", SPEAK_OTHER),
		CASE(speak_http, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", SPEAK_BAD),
#undef CASE
	};
	char reply[PACKET_REPLY_MAX];
	size_t n = packet_ping(reply, TIME);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(cases[i].speak->cut(cases[i].text, cases[i].len), cases[i].len);
		for (size_t part = 1; part < cases[i].len; part++)
			assert_int_equal(cases[i].speak->cut(cases[i].text, part), 0);
		assert_int_equal(cases[i].speak->kind(cases[i].text, cases[i].len), cases[i].kind);
	}
	assert_int_equal(speak_packet.kind(reply, n), SPEAK_PING);
	assert_int_equal(speak_packet.kind(reply, packet_greeting(reply, &(struct transport_hello){ .has = { .broadcast = true, .once = true, .sessions = true }, .token = (const uint8_t *)"0123456789abcdef" })), SPEAK_GREETING);
	n = packet_reply(reply, &(struct packet_reply){ .start = &(struct position_start){ .epoch = &(struct position_epoch){ .len = 2, .text = "x-" } } });
	assert_int_equal(speak_packet.kind(reply, n), SPEAK_ACK);
	n = packet_reply(reply, &(struct packet_reply){ .has_ref = true, .ref = 5 });
	assert_int_equal(speak_packet.kind(reply, n), SPEAK_ACK);
	n = packet_reply(reply, &(struct packet_reply){ .error = "no" });
	assert_int_equal(speak_packet.kind(reply, n), SPEAK_BAD);
}

/* What can't be a frame is one at once, of all there is, and no message. */
static void test_malformed(void **state)
{
	static const struct { const struct speak *speak; const char *text; size_t len; } cases[] = {
#define CASE(speak, text) { &(speak), (text), sizeof(text) - 1 }
		CASE(speak_sse, "x"), CASE(speak_sse, "\r\n"), CASE(speak_sse, "5;ext\r\n"), CASE(speak_sse, "5\n"), CASE(speak_sse, "5\rx"),
		CASE(speak_sse, "000000005\r\n"), CASE(speak_json_lines, "1\r\n\nxx"), CASE(speak_json_lines, "-1\r\n"),
		CASE(speak_json_lines, "5 \r\n"),
		CASE(speak_ws, "\x81\x80"), CASE(speak_ws, "\x81\x7e\x00\x7d"), CASE(speak_ws, "\x81\x7f\0\0\0\0\0\0\xff\xff"),
		CASE(speak_ws, "\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff"),
#undef CASE
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct payload p = { 0 };
		struct stamp stamp = { 0 };

		assert_int_equal(cases[i].speak->cut(cases[i].text, cases[i].len), cases[i].len);
		assert_int_equal(cases[i].speak->message(cases[i].text, cases[i].len, 40, &p, &stamp), -1);
	}
}

static void test_stamps(void **state)
{
	static const struct stamp before = { .time = 10, .id = 5 }, with_epoch = { .time = 10, .epoch = 3, .id = 5 };

	(void)state;
	assert_true(stamp_follows(&(struct stamp){ .time = 11, .id = 6 }, &before));
	assert_false(stamp_follows(&(struct stamp){ .time = 11, .id = 5 }, &before));
	assert_false(stamp_follows(&(struct stamp){ .time = 10, .id = 6 }, &before));
	assert_true(stamp_follows(&(struct stamp){ .id = 6 }, &before));
	assert_true(stamp_follows(&(struct stamp){ 0 }, &before));
	assert_true(stamp_follows(&(struct stamp){ .time = 11, .epoch = 3, .id = 6 }, &with_epoch));
	assert_false(stamp_follows(&(struct stamp){ .time = 11, .epoch = 4, .id = 6 }, &with_epoch));
}

static void test_pack_numbers(void **state)
{
	static const struct { const char *text; size_t len; uint64_t v; } cases[] = {
		{ "\x00", 1, 0 }, { "\x7f", 1, 127 }, { "\xcc\xff", 2, 255 }, { "\xcd\x01\x00", 3, 256 },
		{ "\xce\xff\xff\xff\xff", 5, UINT32_MAX }, { "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t n = 0; n <= cases[i].len; n++) {
			const char *at = cases[i].text;
			uint64_t v;

			assert_int_equal(pack_take_number(&at, cases[i].text + n, &v), n == cases[i].len ? 0 : -1);
			if (n == cases[i].len)
				assert_int_equal(v, cases[i].v);
		}
}

/* ---- the client's words ---- */

static struct http_request http_read(const char *text, size_t len)
{
	static const struct http_limits limits = { .line = 4000, .head = 8000, .headers = 20, .body = 4000 };
	static char scratch[4000];
	struct http_scan scan = { 0 };
	struct http_request req;

	http_next(text, len, &limits, &scan, scratch, &req);
	return req;
}

static void test_subscribe(void **state)
{
	static const char path[] = "/sub/bench-14,bench-15";
	char text[SPEAK_SOME_MAX];
	struct packet_request packet;
	struct error_text why;
	struct http_request req;
	uint32_t asked;
	size_t n;

	(void)state;
	wire_init("bench", 2, true);
	for (size_t r = 0; readers[r] != &speak_packet; r++) {
		asked = 0;
		n = speak_subscribe_some(readers[r], text, 7, &asked);
		assert_int_equal(asked, 2);
		req = http_read(text, n);
		assert_int_equal(req.kind, HTTP_REQUEST);
		assert_int_equal(req.taken, n);
		assert_int_equal(req.path.len, sizeof(path) - 1);
		assert_memory_equal(req.path.p, path, sizeof(path) - 1);
		assert_int_equal(req.websocket, readers[r] == &speak_ws);
		assert_int_equal(req.event_stream, readers[r] == &speak_sse);
		assert_int_equal(speak_acks(readers[r]), 1);
	}
	asked = 0;
	n = speak_subscribe_some(&speak_packet, text, 7, &asked);
	packet_next(text, n, PACKET_MAX_DEFAULT, &why, &packet);
	assert_int_equal(packet.kind, PACKET_REQUEST);
	assert_int_equal(packet.op, REQUEST_SUBSCRIBE);
	assert_memory_equal(packet.name, "bench-14", packet.name_len);
	packet_next(text + packet.taken, n - packet.taken, PACKET_MAX_DEFAULT, &why, &packet);
	assert_int_equal(packet.kind, PACKET_REQUEST);
	assert_memory_equal(packet.name, "bench-15", packet.name_len);
	assert_int_equal(speak_acks(&speak_packet), 2);
}

/* All that is sent fits where it is written, and is what the server takes. */
static void test_publish(void **state)
{
	static const size_t sizes[] = { 40, 100, 255, 1000 };
	char text[2048], object[2048], scratch[2048];
	struct websocket_event event;
	struct packet_request packet;
	struct error_text why;
	struct http_request req;
	size_t n, len;

	(void)state;
	wire_init("a-rather-long-name-of-a-topic-such-as-fits-still", 1, true);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		len = wire_object(object, &sent, sizes[i]);
		assert_int_equal(len, wire_object_size(&sent, sizes[i]));

		n = speak_http.publish(text, &sent, sizes[i]);
		assert_true(n <= sizes[i] + SPEAK_EXTRA);
		req = http_read(text, n);
		assert_int_equal(req.kind, HTTP_REQUEST);
		assert_int_equal(req.taken, n);
		assert_int_equal(req.body.len, len + 2);
		assert_memory_equal(req.body.p + 1, object, len);

		n = speak_ws.publish(text, &sent, sizes[i]);
		assert_true(n <= sizes[i] + SPEAK_EXTRA);
		websocket_next(text, n, sizeof(scratch), &(struct websocket_scan){ 0 }, scratch, &event);
		assert_int_equal(event.kind, WEBSOCKET_TEXT);
		assert_int_equal(event.taken, n);
		assert_int_equal(event.len, wire_action_size(&sent, sizes[i]));
		assert_memory_equal(event.text, "{\"action\":\"publish\",", 20);
		assert_memory_equal(event.text + 20, object + 1, len - 1);

		n = speak_packet.publish(text, &sent, sizes[i]);
		assert_true(n <= sizes[i] + SPEAK_EXTRA);
		packet_next(text, n, PACKET_MAX_DEFAULT, &why, &packet);
		assert_int_equal(packet.kind, PACKET_REQUEST);
		assert_int_equal(packet.taken, n);
		assert_int_equal(packet.op, REQUEST_PUBLISH);
		assert_false(packet.receipt);
		assert_int_equal(packet.data.len, sizes[i]);
		payload_write(object, sizes[i], &sent);
		assert_memory_equal(packet.data.p, object, sizes[i]);
	}
	n = wsframe_pong(text);
	websocket_next(text, n, sizeof(scratch), &(struct websocket_scan){ 0 }, scratch, &event);
	assert_int_equal(event.kind, WEBSOCKET_PONG);
}

/* Each message's size is within the bounds, short ones are not rarer than long ones, and a reader finds the size. */
static void test_sizes(void **state)
{
	static char frame[SIZE_MAX_HERE + SPEAK_EXTRA];
	unsigned shorter = 0;
	double sum = 0;

	(void)state;
	wire_init("bench", 1, true);
	for (uint32_t i = 0; i < 1000; i++) {
		struct payload p = sent, read = { .topic = sent.topic };
		size_t size, len;

		p.seq = i;
		size = payload_size(&p, PAYLOAD_HEAD, 64000);
		assert_in_range(size, PAYLOAD_HEAD, 64000);
		sum += (double)size;
		shorter += size < 1600;			/* 40 times 40, and 64,000 by 40 */
		len = wire_publish(frame, &p, size);
		assert_int_equal(wire_object_read(frame, len - 1, 0, &read), -1);	/* it begins otherwise */
		len = wire_object(frame, &p, size);
		assert_int_equal(wire_object_read(frame, len, 0, &read), 0);
		assert_int_equal(read.seq, i);
	}
	assert_in_range(shorter, 400, 600);
	assert_in_range((size_t)(sum / 1000), (size_t)payload_size_mean(PAYLOAD_HEAD, 64000) * 8 / 10,
			(size_t)payload_size_mean(PAYLOAD_HEAD, 64000) * 12 / 10);
	assert_int_equal(payload_size(&sent, 100, 100), 100);
	assert_int_equal((size_t)payload_size_mean(100, 100), 100);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages), cmocka_unit_test(test_every_prefix), cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_other_topic), cmocka_unit_test(test_kinds), cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_stamps), cmocka_unit_test(test_pack_numbers), cmocka_unit_test(test_subscribe),
		cmocka_unit_test(test_publish), cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
