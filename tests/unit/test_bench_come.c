/*
 * What janusbench says of where it was when it comes back (tests/bench/speak_*.c: come), read by the server's parsers; and what the server says of where a
 * stream begins and of what is missing, read by janusbench (told).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/http.h"
#include "proto/http_response.h"
#include "proto/packet.h"
#include "proto/transport.h"
#include "proto/web_message.h"
#include "proto/web_request.h"
#include "proto/websocket.h"
#include "tests/bench/comeback.h"
#include "tests/bench/speak.h"
#include "tests/bench/wire.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define EPOCH 1448434925395u		/* "ihegr977" */
#define POSITION "ihegr977-6"
#define HEAD "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Type: "

static const struct speak *const all[] = { &speak_ws, &speak_actions, &speak_sse, &speak_json_lines, &speak_packet };

/* ---- the client's words ---- */

static struct http_request http_read(const char *text, size_t len)
{
	static const struct http_limits limits = { .line = 4000, .head = 8000, .headers = 20, .body = 4000 };
	static char scratch[4000];
	struct http_scan scan = { 0 };
	struct http_request req;

	http_next(text, len, &limits, &scan, scratch, &req);
	assert_int_equal(req.kind, HTTP_REQUEST);
	return req;
}

static bool is(struct http_text text, const char *wanted)
{
	return text.p && text.len == strlen(wanted) && !memcmp(text.p, wanted, text.len);
}

static void verify_since(const struct resume *resume, bool back)
{
	assert_int_equal(resume->kind, back ? RESUME_SINCE : RESUME_NOT);
	if (back)
		assert_true(resume->since.epoch == EPOCH && resume->since.seq == 6);
}

#define TOKEN "000102030405060708090a0b0c0d0e0f"
static const uint8_t token[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

/* What the first words are: SUBSCRIBE, by one who is new or `back`; or ATTACH. */
static void verify_action(const char *text, size_t len, bool back, bool attaches)
{
	struct web_names names = { 0 };
	struct websocket_event event;
	struct json_request req;
	struct error_text why;
	const char *error;
	char scratch[4096];
	struct json json;

	websocket_next(text, len, sizeof(scratch), &(struct websocket_scan){ 0 }, scratch, &event);
	assert_int_equal(event.kind, WEBSOCKET_TEXT);
	assert_int_equal(event.taken, len);
	json_init(&json);
	assert_int_equal(web_request_parse(&json, event.text, event.len, &why, &req, &error), 0);
	assert_int_equal(req.kind, attaches ? REQUEST_ATTACH : REQUEST_SUBSCRIBE);
	verify_since(&req.resume, back);
	if (attaches) {
		assert_memory_equal(req.token, token, sizeof(token));
		json_fini(&json);
		return;
	}
	assert_true(web_request_next_name(&req, &names));
	assert_memory_equal(req.name, "bench-14", req.name_len);
	assert_true(web_request_next_name(&req, &names));
	assert_memory_equal(req.name, "bench-15", req.name_len);
	assert_false(web_request_next_name(&req, &names));
	json_fini(&json);
}

static void verify_packet(const char *text, size_t len, bool back, bool attaches)
{
	struct packet_request packet;
	struct error_text why;

	packet_next(text, len, PACKET_MAX_DEFAULT, &why, &packet);
	assert_int_equal(packet.kind, PACKET_REQUEST);
	assert_int_equal(packet.taken, len);
	assert_int_equal(packet.op, attaches ? REQUEST_ATTACH : REQUEST_SUBSCRIBE);
	verify_since(&packet.resume, back);
	if (attaches) {
		assert_memory_equal(packet.token, token, sizeof(token));
		return;
	}
	assert_true(packet_next_name(&packet));
	assert_memory_equal(packet.name, "bench-14", packet.name_len);
	assert_true(packet_next_name(&packet));
	assert_memory_equal(packet.name, "bench-15", packet.name_len);
	assert_false(packet_next_name(&packet));
}

static void verify_http(const struct speak *speak, const char *text, size_t len, bool back, const char *said)
{
	struct http_request req = http_read(text, len);
	bool since = back && speak != &speak_sse;
	char query[100];

	if (speak == &speak_actions) {
		assert_true(is(req.path, "/ws") && req.websocket);
		verify_action(text + req.taken, len - req.taken, back, said && *said);
		return;
	}
	assert_int_equal(req.taken, len);
	assert_true(is(req.path, "/sub/bench-14,bench-15"));
	assert_int_equal(req.websocket, speak == &speak_ws);
	assert_int_equal(req.event_stream, speak == &speak_sse);
	if (speak == &speak_sse)
		assert_true(back ? is(req.field[HTTP_LAST_EVENT_ID], POSITION) : !req.field[HTTP_LAST_EVENT_ID].p);
	snprintf(query, sizeof(query), "%s%s%s%s", since ? "since=" POSITION : "", since && said ? "&" : "", said ? "token=" : "", said ? said : "");
	assert_true(*query ? is(req.query, query) : !req.query.p);
}

static void test_come(void **state)
{
	static const char *const said[] = { NULL, "", TOKEN };
	char text[SPEAK_COME_MAX];

	(void)state;
	wire_init("bench", 2, true);
	for (size_t r = 0; r < ARRAY_LEN(all); r++)
		for (int way = 0; way < 6; way++) {
			bool back = way % 2;
			size_t len = all[r]->come(text, 7, back ? POSITION : NULL, said[way / 2]);

			if (all[r] == &speak_packet)
				verify_packet(text, len, back, way >= 4);
			else
				verify_http(all[r], text, len, back, said[way / 2]);
		}
}

/* As many topics as there may be, of the longest names. */
static void test_come_with_many(void **state)
{
	char text[SPEAK_COME_MAX];

	(void)state;
	wire_init("a-rather-long-name-of-a-topic-such-as-fits-stil", SPEAK_COME_TOPICS_MAX, true);
	for (size_t r = 0; r < ARRAY_LEN(all); r++)
		assert_in_range(all[r]->come(text, 100000000, POSITION, ""), 100, SPEAK_COME_MAX);
}

static void test_positions(void **state)
{
	static const char *const bad[] = { "", "-", "-1", "a", "a-", "a-01", "A-1", "0a-1", "a-1 ", "a-1-", "ihegr977-99999999999999999999" };
	char text[TOLD_POSITION_MAX];
	struct stamp at;

	(void)state;
	assert_int_equal(told_position(text, &(struct stamp){ .epoch = EPOCH, .id = 0 }), 10);
	assert_string_equal(text, "ihegr977-0");
	assert_int_equal(told_position_read(text, 10, &at), 0);
	assert_true(at.epoch == EPOCH && at.id == 0);
	told_position(text, &(struct stamp){ .epoch = 1, .id = WIRE_ID_MAX });
	assert_string_equal(text, "1-999999999999999999");
	assert_int_equal(told_position_read(text, strlen(text), &at), 0);
	assert_true(at.epoch == 1 && at.id == WIRE_ID_MAX);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(told_position_read(bad[i], strlen(bad[i]), &at), -1);
}

/* ---- the server's words ---- */

/* The frame in which the server says it: the head of event streams, the first words of the others. */
static size_t start_of(const struct speak *speak, const struct position_start *start, char *dst, size_t room)
{
	char fields[200] = "";
	struct sink s = { .dst = fields, .room = sizeof(fields) - 1 };
	struct http_answer answer = { .status = 200, .minor = 1, .type = HTTP_EVENT_STREAM, .fields = fields };

	if (speak == &speak_packet)
		return packet_reply(dst, &(struct packet_reply){ .start = start });
	if (speak != &speak_sse)
		return web_start(speak == &speak_json_lines ? WEB_JSON_LINES : WEB_WEBSOCKET, speak == &speak_json_lines, start, 0, dst, room);
	position_put_fields(&s, start);
	fields[s.len] = 0;
	return http_stream(dst, room, &answer);
}

static void test_told_start(void **state)
{
	struct position_epoch epoch = position_epoch(EPOCH);
	char frame[2048];

	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(all); r++)
		for (int way = 0; way < 6; way++) {
			int how = way % 3;
			struct position_start start = { .epoch = &epoch, .seq = 6, .resumed = how > 0, .recovered = how == 1, .missing = how == 2 ? 300 : 0,
				.token = way < 3 ? NULL : token };
			size_t len = start_of(all[r], &start, frame, sizeof(frame));
			struct told told = { 0 };

			assert_int_equal(all[r]->cut(frame, len), len);
			assert_int_not_equal(all[r]->kind(frame, len), SPEAK_BAD);
			assert_int_not_equal(all[r]->kind(frame, len), SPEAK_MESSAGE);
			assert_int_equal(all[r]->told(frame, len, &told), 0);
			assert_true(told.at.epoch == EPOCH && told.at.id == 6);
			assert_int_equal(told.recovered, how == 0 ? TOLD_NOTHING : how == 1 ? TOLD_RECOVERED : TOLD_NOT_RECOVERED);
			assert_int_equal(told.missing, how == 2 ? 300 : 0);
			assert_int_equal(told.missed, 0);
			assert_string_equal(told.token, way < 3 ? "" : TOKEN);
		}
}

static void test_told_event_stream(void **state)
{
	struct position_epoch epoch = position_epoch(EPOCH);
	struct position_start start = { .epoch = &epoch, .seq = 6, .resumed = true, .recovered = true };
	struct told told = { 0 };
	char frame[256];
	size_t len = web_start(WEB_SSE, true, &start, 2000, frame, sizeof(frame));

	(void)state;
	assert_int_equal(speak_sse.told(frame, len, &told), 0);
	assert_true(told.at.epoch == EPOCH && told.at.id == 6 && told.recovered == TOLD_NOTHING);
	assert_string_equal(told.token, "");
	start.token = token;
	assert_int_equal(speak_sse.told(frame, web_start(WEB_SSE, true, &start, 2000, frame, sizeof(frame)), &told), 0);
	assert_string_equal(told.token, TOKEN);
	start.token = NULL;
	web_start(WEB_SSE, true, &start, 2000, frame, sizeof(frame));
	frame[len - 3] = 'x';		/* the empty line's end: the browser would not take the id */
	assert_int_equal(speak_sse.told(frame, len, &told), -1);
}

/* Of a server whose sessions stay, or do not. */
static void test_told_greeting(void **state)
{
	(void)state;
	for (int resumes = 0; resumes < 2; resumes++)
		for (int packets = 0; packets < 2; packets++) {
			struct transport_hello hello = { .token = token, .has.sessions = resumes };
			const struct speak *speak = packets ? &speak_packet : &speak_actions;
			char frame[TRANSPORT_NOTICE_MAX];
			struct told told = { 0 };
			size_t len = transport_greeting(packets ? TRANSPORT_PACKET : TRANSPORT_WEBSOCKET, &hello, frame);

			assert_int_equal(speak->cut(frame, len), len);
			assert_int_equal(speak->kind(frame, len), SPEAK_GREETING);
			assert_int_equal(speak->told(frame, len, &told), 0);
			assert_string_equal(told.token, resumes ? TOKEN : "");
			assert_int_equal(told.at.epoch, 0);
		}
}

/* ---- the books of one who comes back ---- */

static void told_of(struct comeback *c, const char *text)
{
	struct told told = { 0 };

	assert_int_equal(told_token(text, strlen(text), &told), 0);
	comeback_told(c, &told);
}

static void test_comeback(void **state)
{
	struct comeback c = { 0 };

	(void)state;
	comeback_begin(&c, true);			/* it has no session yet */
	assert_null(comeback_words(&c, false));
	assert_string_equal(comeback_words(&c, true), "");
	told_of(&c, TOKEN);
	comeback_dropped(&c, true, false, 5);		/* before it was answered: no session, no doubt */
	comeback_begin(&c, true);
	assert_false(c.attaches || c.doubt);
	told_of(&c, TOKEN);
	assert_int_equal(comeback_answered(&c), COMEBACK_SUBSCRIBED);

	comeback_begin(&c, false);
	assert_string_equal(comeback_words(&c, true), "");
	comeback_begin(&c, true);
	assert_string_equal(comeback_words(&c, true), TOKEN);
	comeback_dropped(&c, true, true, 5);		/* its attach may be done later */
	comeback_begin(&c, false);
	assert_false(comeback_excuses(&c, 6));		/* what it subscribes anew, nobody takes */
	comeback_begin(&c, true);
	assert_true(c.stands && comeback_excuses(&c, 6));
	told_of(&c, TOKEN);
	assert_int_equal(comeback_answered(&c), COMEBACK_ATTACHED);
	assert_true(comeback_excuses(&c, 4 + COMEBACK_DOUBT));
	assert_false(comeback_excuses(&c, 5 + COMEBACK_DOUBT));

	comeback_begin(&c, true);
	told_of(&c, "000102030405060708090a0b0c0d0e00");
	assert_int_equal(comeback_answered(&c), COMEBACK_GONE);
	assert_false(comeback_excuses(&c, 6));
	comeback_forget(&c);
	comeback_begin(&c, true);
	assert_false(c.attaches);
}

static void test_told_missed(void **state)
{
	static const struct transport_missed missed = { .to = MESSAGE_TO_TOPIC, .name = "bench-14", .len = 8, .messages = 4243 };
	char frame[2048];

	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(all); r++) {
		struct told told = { .missed = 1 };
		size_t len = all[r] == &speak_packet ? packet_missed(frame, &missed)
						     : web_missed(all[r] == &speak_sse	       ? WEB_SSE
								  : all[r] == &speak_json_lines ? WEB_JSON_LINES
												: WEB_WEBSOCKET,
								  all[r] == &speak_sse || all[r] == &speak_json_lines, &missed, frame, sizeof(frame));

		assert_int_equal(all[r]->cut(frame, len), len);
		assert_int_equal(all[r]->kind(frame, len), SPEAK_OTHER);
		assert_int_equal(all[r]->told(frame, len, &told), 0);
		assert_int_equal(told.missed, 4244);
		assert_int_equal(told.at.epoch, 0);
	}
}

static void test_told_badly(void **state)
{
	static const char *const bad[] = {
		"{\"ok\":true,\"position\":\"x\"}", "{\"ok\":true,\"position\":\"ihegr977-6\"", "{\"ok\":true,\"position\":\"ihegr977-6\",\"recovered\":1}",
		"{\"ok\":true,\"position\":\"ihegr977-6\",\"recovered\":false}", "{\"ok\":true,\"position\":\"ihegr977-6\",\"recovered\":false,\"missing\":}",
		"{\"ok\":true,\"position\":\"ihegr977-6\",\"token\":\"00\"}", "{\"janus\":\"0.1.0\",\"token\":\"" TOKEN "\",",
		"{\"missed\":{\"topic\":\"a\",\"messages\":0}}", "{\"missed\":{\"topic\":\"a\"}}", "{\"missed\":{\"topic\":\"a\",\"messages\":1}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(told_object(bad[i], strlen(bad[i]), &(struct told){ 0 }), -1);
}

/* ---- other servers, who keep messages too (make bench-peers). Their words are as nginx 1.22 with nchan 1.3.6 and nats-server 2.9.10 say them. ---- */

static const struct payload sent = { .run = 0xabcdef01, .topic = 7, .round = 0, .publisher = 0, .seq = 11, .sent = 11 };

struct peer {
	const struct speak *speak;
	const char *before, *behind;	/* of a message's object */
	bool length;			/* its length ends the line before it */
	struct stamp stamp;		/* what it has */
	size_t free_from, free_to;	/* of `before`: bytes that may be others */
};

static const struct peer peers[] = {
	{ &speak_nchan_sse, "id: 1795780672:20\ndata: ", "\n\n", false, { .epoch = 1795780672, .id = 20 }, 0, 0 },
	{ &speak_jetstream, "MSG bench-7 1 $JS.ACK.bench-7.ecDBtBtE.1.4.3.1795780678779924507.0 ", "\r\n", true, { .epoch = 1, .id = 4 }, 22, 67 },
};

static size_t peer_message(const struct peer *peer, char *dst)
{
	size_t len = wire_object_size(&sent, 100), n;

	n = (size_t)sprintf(dst, "%s", peer->before);
	if (peer->length)
		n += (size_t)sprintf(dst + n, "%zu\r\n", len);
	n += wire_object(dst + n, &sent, 100);
	return n + (size_t)sprintf(dst + n, "%s", peer->behind);
}

static void test_peers_messages(void **state)
{
	char frame[1024];

	(void)state;
	wire_init("bench", 1, true);
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		const struct speak *speak = peers[i].speak;
		size_t len = peer_message(&peers[i], frame);
		struct payload p = { .topic = sent.topic };
		struct stamp stamp = { 0 };

		for (size_t n = 1; n < len; n++)
			assert_int_equal(speak->cut(frame, n), 0);
		memcpy(frame + len, frame, 40);		/* the next one */
		assert_int_equal(speak->cut(frame, len + 40), len);
		assert_int_equal(speak->kind(frame, len), SPEAK_MESSAGE);
		assert_int_equal(speak->message(frame, len, 100, &p, &stamp), 0);
		assert_true(p.run == sent.run && p.seq == sent.seq && p.sent == sent.sent);
		assert_true(stamp.epoch == peers[i].stamp.epoch && stamp.id == peers[i].stamp.id);
		assert_int_equal(speak->message(frame, len, 99, &p, &stamp), -1);
		p.topic = sent.topic + 1;
		assert_int_equal(speak->message(frame, len, 100, &p, &stamp), -1);
	}
}

/* Any byte that is another one shows, but for what JetStream says of its consumer; it may then be another position. */
static void test_peers_every_byte(void **state)
{
	char frame[1024];

	(void)state;
	wire_init("bench", 1, true);
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		const struct speak *speak = peers[i].speak;
		size_t len = peer_message(&peers[i], frame);

		for (size_t at = 0; at < len; at++) {
			struct payload p = { .topic = sent.topic };
			struct stamp stamp = { 0 };

			frame[at] ^= 1;
			if ((at < peers[i].free_from || at >= peers[i].free_to) && speak->cut(frame, len) == len && speak->kind(frame, len) == SPEAK_MESSAGE &&
			    !speak->message(frame, len, 100, &p, &stamp))
				assert_true(stamp.epoch != peers[i].stamp.epoch || stamp.id != peers[i].stamp.id);
			frame[at] ^= 1;
		}
	}
}

static void test_nchan_comes(void **state)
{
	char text[SPEAK_COME_MAX];

	(void)state;
	wire_init("bench", 1, true);
	for (int back = 0; back < 2; back++) {
		size_t len = speak_nchan_sse.come(text, 7, back ? POSITION : NULL, NULL);
		struct http_request req = http_read(text, len);

		assert_int_equal(req.taken, len);
		assert_true(is(req.path, "/sub/bench-7") && req.event_stream);
		assert_true(back ? is(req.field[HTTP_LAST_EVENT_ID], "1448434925395:6") : !req.field[HTTP_LAST_EVENT_ID].p);
	}
}

#define BODY "{\"stream_name\":\"bench-7\",\"config\":{\"deliver_policy\":"

/* What it publishes is as long as it says, and asks for what is behind the position; everybody's inbox is another one. */
static void test_jetstream_comes(void **state)
{
	char text[2][SPEAK_COME_MAX], inbox[2][64], reply[64];
	int at, end;

	(void)state;
	wire_init("bench", 1, true);
	for (int back = 0; back < 2; back++) {
		size_t len = speak_jetstream.come(text[back], 7, back ? "1-6" : NULL, NULL), body;
		const char *sub;

		text[back][len] = 0;
		assert_memory_equal(text[back], "CONNECT {", 9);
		sub = strstr(text[back], "\r\nSUB ");
		assert_non_null(sub);
		assert_int_equal(sscanf(sub, "\r\nSUB %63s 1\r\nPUB $JS.API.CONSUMER.CREATE.bench-7 %63s %zu\r%n", inbox[back], reply, &body, &at), 3);
		assert_string_equal(inbox[back], reply);
		assert_string_equal(sub + at + body, "\r\n");	/* (at: behind the line's end, as sscanf() has it) */
		assert_int_equal(strncmp(sub + at, BODY, sizeof(BODY) - 1), 0);
		assert_true(!strstr(sub, "\"by_start_sequence\",\"opt_start_seq\":7,") == !back && !strstr(sub, "\"new\"") == !!back);
		end = 0;
		sscanf(strstr(sub, "\"deliver_subject\":\""), "\"deliver_subject\":\"%63[^\"]%n", reply, &end);
		assert_true(end > 0);
		assert_string_equal(inbox[back], reply);
	}
	assert_string_not_equal(inbox[0], inbox[1]);
}

static void test_peers_kinds(void **state)
{
#define API "{\"type\":\"io.nats.jetstream.api.v1.consumer_create_response\","
	static const struct { const struct speak *speak; const char *text; enum speak_frame kind; } cases[] = {
		{ &speak_nchan_sse, HEAD "text/event-stream; charset=utf-8\r\nConnection: keep-alive\r\n\r\n", SPEAK_ACK },
		{ &speak_nchan_sse, HEAD "text/html\r\n\r\n", SPEAK_BAD },
		{ &speak_nchan_sse, "HTTP/1.1 403 Forbidden\r\nContent-Type: text/event-stream\r\n\r\n", SPEAK_BAD },
		{ &speak_nchan_sse, ": hi\n\n", SPEAK_OTHER },
		{ &speak_jetstream, "INFO {\"server_id\":\"N\"}\r\n", SPEAK_GREETING },
		{ &speak_jetstream, "PING\r\n", SPEAK_PING },
		{ &speak_jetstream, "-ERR 'Unknown Protocol Operation'\r\n", SPEAK_BAD },
		{ &speak_jetstream, "MSG _INBOX.0f 1 78\r\n" API "\"stream_name\":\"b\"}\r\n", SPEAK_ACK },
		{ &speak_jetstream, "MSG _INBOX.0f 1 79\r\n" API "\"error\":{\"code\":1}}\r\n", SPEAK_BAD },
		{ &speak_jetstream, "MSG _INBOX.0f 1 2\r\n{}\r\n", SPEAK_BAD },
		{ &speak_jetstream, "MSG _INBOX.0f 1 0\r\n\r\n", SPEAK_BAD },
	};
#undef API

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i].text);

		assert_int_equal(cases[i].speak->cut(cases[i].text, len), len);
		assert_int_equal(cases[i].speak->kind(cases[i].text, len), cases[i].kind);
	}
}

/* What can't be a message of theirs is none, and nothing behind it is read. */
static void test_peers_malformed(void **state)
{
	static const struct { const struct speak *speak; const char *text; } cases[] = {
		{ &speak_nchan_sse, "id: 5:0\n\n" }, { &speak_nchan_sse, "id: 5\n\n" }, { &speak_nchan_sse, "id: \n\n" }, { &speak_nchan_sse, "\n\n" },
		{ &speak_nchan_sse, "id: 5:0\ndata: \n\n" }, { &speak_jetstream, "MSG \r\n" }, { &speak_jetstream, "MSG bench-7 1 0\r\n\r\n" },
		{ &speak_jetstream, "MSG bench-7 1 $JS.ACK.a.b.1 2\r\n{}\r\n" },
	};

	(void)state;
	wire_init("bench", 1, true);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i].text);
		char *copy = malloc(len);	/* so that a sanitizer sees who reads on */
		struct stamp stamp = { 0 };

		memcpy(copy, cases[i].text, len);
		assert_int_equal(cases[i].speak->message(copy, len, 100, &(struct payload){ .topic = 7 }, &stamp), -1);
		free(copy);
	}
}

/* With --patterns, what is subscribed is another name than what is published to. */
static void test_patterns(void **state)
{
	char name[WIRE_TOPIC_MAX], text[SPEAK_SOME_MAX], object[512];
	struct payload p = { .topic = sent.topic };
	uint32_t asked = 0;
	size_t n;

	(void)state;
	wire_init("bench", 1, true);
	assert_int_equal(wire_subscription(name, 7), 7);
	assert_string_equal(name, "bench-7");
	wire_use_patterns(true);
	assert_int_equal(wire_topic(name, 7), 11);
	assert_string_equal(name, "bench-7.any");
	assert_int_equal(wire_subscription(name, 7), 9);
	assert_string_equal(name, "bench-7.*");
	n = speak_subscribe_some(&speak_nats, text, 7, &asked);
	assert_non_null(memmem(text, n, "SUB bench-7.* 1\r\n", 17));
	n = wire_object(object, &sent, 100);
	assert_int_equal(n, wire_object_size(&sent, 100));
	assert_int_equal(wire_object_read(object, n, 100, &p), 0);
	assert_non_null(memmem(object, n, "\"topic\":\"bench-7.any\"", 21));
	wire_use_patterns(false);
	assert_int_equal(wire_object_read(object, n, 100, &p), -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_come), cmocka_unit_test(test_come_with_many), cmocka_unit_test(test_positions), cmocka_unit_test(test_told_start),
		cmocka_unit_test(test_told_event_stream), cmocka_unit_test(test_told_greeting), cmocka_unit_test(test_comeback), cmocka_unit_test(test_told_missed), cmocka_unit_test(test_told_badly),
		cmocka_unit_test(test_peers_messages), cmocka_unit_test(test_peers_every_byte), cmocka_unit_test(test_nchan_comes),
		cmocka_unit_test(test_jetstream_comes), cmocka_unit_test(test_peers_kinds), cmocka_unit_test(test_peers_malformed),
		cmocka_unit_test(test_patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
