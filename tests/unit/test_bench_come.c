/*
 * What janusbench says of where it was when it comes back (tests/bench/speak_*.c: come), read by the server's parsers; and what the server says of where a
 * stream begins and of what is missing, read by janusbench (told).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
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
			struct transport_hello hello = { .token = token, .resumes = resumes };
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_come), cmocka_unit_test(test_come_with_many), cmocka_unit_test(test_positions), cmocka_unit_test(test_told_start),
		cmocka_unit_test(test_told_event_stream), cmocka_unit_test(test_told_greeting), cmocka_unit_test(test_comeback), cmocka_unit_test(test_told_missed), cmocka_unit_test(test_told_badly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
