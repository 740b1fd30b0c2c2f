/*
 * proto/packet.c, packet_message.c, msgpack_walk.c, msgpack_json.c. What is written is read with msgpack-c.
 */
#include "proto/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <msgpack.h>

#include "proto/message_view.h"
#include "proto/msgpack_json.h"
#include "tests/unit/json_fixture.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define B(s) s, sizeof(s) - 1
#define NONE NULL, 0
#define MAX 600

#define OP(s) "\xa2op" s
#define TOPIC "\xa5topic\xa1t"
#define DATA "\xa4" "data"
#define PUBLISH(data) "\x83" OP("\xa7publish") TOPIC DATA data
#define HEX "00112233445566778899AAbb03ffffff"
#define A10 "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"

/* A map, what packet_next() makes of it, and the record that it becomes. !: bad, ?: refused, with the error; else op and names. */
static const struct { const char *map; size_t len; const char *log, *record; size_t record_len; } requests[] = {
	{ B("\x81" OP("\xa4ping")), "6", NONE },
	{ B("\x82" OP("\xa4ping") "\xa3ref\x05"), "6 ref 5", NONE },
	{ B("\x82" OP("\xa4ping") "\xa3ref\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "6 ref 18446744073709551615", NONE },
	{ B("\x82" OP("\xa4ping") "\xa3ref\0"), "6 ref 0", NONE },
	{ B(PUBLISH("\x81\xa0\xd0\0")), "2 topic t", B("\"topic\":\"t\",\"data\":{\"\":0}}") },
	{ B("\x82" OP("\xa4ping") "\xa3ref\xff"), "?ref is an unsigned integer", NONE },
	{ B("\x82" OP("\xa9subscribe") TOPIC), "0 topic t", NONE },
	{ B("\x82" TOPIC OP("\xabunsubscribe")), "1 topic t", NONE },
	{ B("\xde\0\x02" OP("\xd9\x09subscribe") "\xd9\x05topic\xda\0\x01t"), "0 topic t", NONE },
	{ B("\xdf\0\0\0\x02\xdb\0\0\0\x02op\xa9subscribe" TOPIC), "0 topic t", NONE },
	{ B("\x82" OP("\xa5login") "\xa4user\xa2" "42"), "3 user 42", NONE },
	{ B("\x82" OP("\xa6logout") "\xa4user\xa2" "42"), "4 user 42", NONE },
	{ B("\x83" OP("\xa4send") "\xa4user\xa2" "42" DATA "\xa1x"), "5 user 42", B("\"to\":\"42\",\"data\":\"x\"}") },
	{ B("\x83" OP("\xa4send") "\xa4user\xa2" "42" DATA "\xc4\x01\xff"), "5 user 42", B("\0\0\0\x0a\"to\":\"42\"}\xff") },
	{ B("\x84" OP("\xa4send") "\xa4user\xa2" "42" DATA "\xa1x\xa7receipt\xc3"), "5 user 42 receipt", NONE },
	{ B("\x85" OP("\xa4send") "\xa4user\xa2" "42" DATA "\xa1x\xa7receipt\xc3\xa5nodes\xa3" "all"), "5 user 42 receipt everywhere", B("\"to\":\"42\",\"data\":\"x\"}") },
	{ B("\x82" OP("\xa9subscribe") "\xa5topic\x93\xa1" "a\xa1" "b\xa2" "cd"), "0 topic a,b,cd", NONE },
	{ B("\x82" OP("\xa6logout") "\xa4user\xdc\0\x01\xa1@"), "4 user @", NONE },
	{ B("\x86" OP("\xa7publish") TOPIC DATA "\xa1x\xa5" "event\xa1" "e\xaamessage_id\xa1m\xa3ref\x05"), "2 ref 5 topic t event e message_id m",
	  B("\"topic\":\"t\",\"event\":\"e\",\"message_id\":\"m\",\"data\":\"x\"}") },
	{ B("\x82" OP("\xa6" "attach") "\xa5token\xd9\x20" HEX), "7 token 0 67108863", NONE },
	{ B("\x83" OP("\xa6" "attach") "\xa5token\xd9\x20" HEX "\xa5since\xa3" "a-7"), "7 token 0 67108863 since 7", NONE },
	/* refused */
	{ B("\x81" OP("\xa6" "attach")), "?no token", NONE },
	{ B("\x82" OP("\xa6" "attach") "\xa5token\xc4\x20" HEX), "?the token is none: 32 digits of hex", NONE },
	{ B("\x82" OP("\xa6" "attach") "\xa5token\xa1" "0"), "?the token is none: 32 digits of hex", NONE },
	{ B("\x83" OP("\xa6" "attach") "\xa5token\xd9\x20" HEX "\xa4last\x01"), "?unknown member \"last\"", NONE },
	{ B("\x83" OP("\xa6" "attach") "\xa5token\xd9\x20" HEX TOPIC), "?unknown member \"topic\"", NONE },
	{ B("\x83" OP("\xa9subscribe") TOPIC "\xa5token\xd9\x20" HEX), "?unknown member \"token\"", NONE },
	{ B("\x82" OP("\xa9subscribe") "\xa5topic\x90"), "?no topic", NONE },
	{ B("\x82" OP("\xa5login") "\xa4user\x90"), "?no user", NONE },
	{ B("\x82" OP("\xa9subscribe") "\xa5topic\x92\xa1" "a\x05"), "?a topic is a str", NONE },
	{ B("\x82" OP("\xa9subscribe") "\xa5topic\x92\xa1" "a\xa0"), "?the topic is empty", NONE },
	{ B("\x82" OP("\xa9subscribe") "\xa5topic\x92\xa1" "a\x91\xa1" "b"), "?a topic is a str", NONE },
	{ B("\x82" OP("\xa5login") "\xa4user\x91\xc4\x01" "a"), "?a user is a str", NONE },
	{ B("\x83" OP("\xa7publish") "\xa5topic\x91\xa1t" DATA "\xa1x"), "?a topic is a str", NONE },
	{ B("\x83" OP("\xa7publish") "\xa5topic\xa3" "a.*" DATA "\xa1x"), "?the topic is reserved for subscriptions: a part of it between dots is * or >", NONE },
	{ B("\x82" OP("\xa9subscribe") "\xa5topic\xa3" ">.a"), "?a > is not the last part of the topic", NONE },
	{ B("\x83" OP("\xa9subscribe") "\xa5topic\x92\xa1" "a\xa3" "a.*" "\xa4last\x05"),
	  "?last is for topics: a pattern, with a part that is * or >, has no messages of its own that are kept", NONE },
	{ B("\x83" OP("\xa9subscribe") "\xa4last\x05" "\xa5topic\xa1" ">"),
	  "?last is for topics: a pattern, with a part that is * or >, has no messages of its own that are kept", NONE },
	{ B("\x82" OP("\xa9subscribe") "\xa5topic\x91\xa3" "a@b"), "?the topic is reserved: it has an @ in it", NONE },
	{ B("\x82" OP("\xa4ping") "\xa3seq\x05"), "?unknown member \"seq\"", NONE },
	{ B("\x82" OP("\xa4ping") "\xa6" "action\xa4ping"), "?unknown member \"action\"", NONE },
	{ B("\x82" OP("\xa4ping") "\xa4" "data\xc0"), "?unknown member \"data\"", NONE },
	{ B("\x83" OP("\xa9subscribe") TOPIC "\xa4" "data\xc0"), "?unknown member \"data\"", NONE },
	{ B("\x83" OP("\xa9subscribe") TOPIC "\xa7receipt\xc3"), "?unknown member \"receipt\"", NONE },
	{ B("\x84" OP("\xa7publish") TOPIC DATA "\xa1x\xa4user\xa1u"), "?unknown member \"user\"", NONE },
	{ B("\x84" OP("\xa7publish") TOPIC DATA "\xa1x\xa4" "f\"\n\xff\xc0"), "?unknown member \"f\\\"\\u000a?\"", NONE },
	{ B("\x82" OP("\xa4ping") "\x07\x08"), "?a key is not a str", NONE },
	{ B("\x84" OP("\xa7publish") TOPIC DATA "\xa1x\xaamessage_id\x01"), "?message_id is a str", NONE },
	{ B("\x84" OP("\xa7publish") TOPIC DATA "\xa1x\xaamessage_id\xa1\xff"), "?message_id is not UTF-8", NONE },
	{ B("\x83" OP("\xa4ping") "\xa3ref\x05\xa3ref\x05"), "?the member \"ref\" stands twice", NONE },
	{ B("\x80"), "?no op: subscribe, unsubscribe, publish, login, logout, send, attach, auth and ping are known", NONE },
	{ B("\x81" OP("\xa4pong")), "?unknown op: subscribe, unsubscribe, publish, login, logout, send, attach, auth and ping are known", NONE },
	{ B("\x81" OP("\x05")), "?unknown op: subscribe, unsubscribe, publish, login, logout, send, attach, auth and ping are known", NONE },
	{ B("\x81" OP("\xc4\x04ping")), "?unknown op: subscribe, unsubscribe, publish, login, logout, send, attach, auth and ping are known", NONE },
	{ B("\x82" OP("\xa4ping") OP("\xa4ping")), "?the member \"op\" stands twice", NONE },
	{ B("\x81" OP("\xa9subscribe")), "?no topic", NONE },
	{ B("\x82" OP("\xa9subscribe") "\xa5topic\xa0"), "?the topic is empty", NONE },
	{ B("\x82" OP("\xa9subscribe") "\xa5topic\xa1\x01"), "?the topic has a control character in it", NONE },
	{ B("\x82" OP("\xa9subscribe") "\xa5topic\xa1\xff"), "?the topic is not UTF-8", NONE },
	{ B("\x82" OP("\xa9subscribe") "\xa5topic\xc4\x01t"), "?topic is a str or an array of str", NONE },
	{ B("\x82" OP("\xa5login") "\xa4user\x05"), "?user is a str or an array of str", NONE },
	{ B("\x81" OP("\xa5login")), "?no user", NONE },
	{ B("\x82" OP("\xa5login") "\xa4user\xa0"), "?the user is empty", NONE },
	{ B("\x82" OP("\xa6logout") "\xa4user\xa1\x1f"), "?the user has a control character in it", NONE },
	{ B("\x83" OP("\xa4send") "\xa4user\xa1\xff" DATA "\xa1x"), "?the user is not UTF-8", NONE },
	{ B("\x82" OP("\xa7publish") TOPIC), "?no data", NONE },
	{ B("\x84" OP("\xa7publish") TOPIC DATA "\xa1x\xa7receipt\x01"), "?receipt is true or false", NONE },
	{ B("\x84" OP("\xa7publish") TOPIC DATA "\xa1x\xa5nodes\xa4" "some"), "?nodes is none that is known: all", NONE },
	{ B("\x84" OP("\xa7publish") TOPIC DATA "\xa1x\xa5nodes\x03"), "?nodes is none that is known: all", NONE },
	{ B("\x83" OP("\xa9subscribe") TOPIC "\xa5nodes\xa3" "all"), "?unknown member \"nodes\"", NONE },
	{ B("\x84" OP("\xa7publish") TOPIC DATA "\xa1x\xa5" "event\x01"), "?event is a str", NONE },
	{ B("\x84" OP("\xa7publish") TOPIC DATA "\xa1x\xa5" "event\xa1\xff"), "?event is not UTF-8", NONE },
	/* broken */
	{ B("\x90"), "!a packet is not a msgpack map", NONE },
	{ B("\xc1"), "!a packet is not a msgpack map", NONE },
	{ B("\xde\0"), "!a packet is not a msgpack map", NONE },
	{ B("\xdf\xff\xff\xff\xff"), "!a packet is not a msgpack map", NONE },
	{ B("\x81"), "!a packet is not a msgpack map", NONE },
	{ B("\x81\xa2op"), "!a packet's msgpack is broken or too deep", NONE },
	{ B("\x81" OP("\xa4ping") "x"), "!a packet's length is not that of its map", NONE },
	{ B("\x82" OP("\xa4ping") "\xa1x\xdd\xff\xff\xff\xff"), "!a packet's msgpack is broken or too deep", NONE },
	{ B("\x82" OP("\xa4ping") "\xa1x\xdf\x80\0\0\0"), "!a packet's msgpack is broken or too deep", NONE },
	{ B("\x82" OP("\xa4ping") "\xa1x\xc6\xff\xff\xff\xff"), "!a packet's msgpack is broken or too deep", NONE },
	{ B("\x82" OP("\xa4ping") "\xa1x\xc9\xff\xff\xff\xff\x01"), "!a packet's msgpack is broken or too deep", NONE },
	{ B("\x82" OP("\xa4ping") "\xa1x\xdb\0\0\0\x05xxxx"), "!a packet's msgpack is broken or too deep", NONE },
	{ B("\x82" OP("\xa4ping") "\xa1x\x91\xc1"), "!a packet's msgpack is broken or too deep", NONE },
	{ B("\x82" OP("\xa4ping") "\xa1x\x81\xa1y\x91\xc1"), "!a packet's msgpack is broken or too deep", NONE },
	{ B("\x82" OP("\xa4ping") "\xa1x\xd8\x01" "0123456789abcdef"), "?unknown member \"x\"", NONE },
	{ B("\x82" OP("\xa4ping") "\xa1x\xd8\x01" "0123456789abcde"), "!a packet's msgpack is broken or too deep", NONE },
	{ B("\x84" OP("\xa7publish") TOPIC DATA "\xa1x\xa5" "event\xa1\x80"), "?event is not UTF-8", NONE },
	{ B(PUBLISH("\xa1\x80")), "2 topic t", B("\0\0\0\x0c\"topic\":\"t\"}\x80") },
	{ B(PUBLISH("\x91\xa1\x80")), "2 topic t", B("?a str that is not UTF-8 stands inside of the data") },
	{ B(PUBLISH("\x81\xc0\x02")), "2 topic t", B("?a map inside of the data has a key that is not a str") },
	{ B(PUBLISH("\x81\xd9\x01" "a\x81\xdb\0\0\0\x01" "b\x02")), "2 topic t", B("\"topic\":\"t\",\"data\":{\"a\":{\"b\":2}}}") },
	{ B("\x82" OP("\xa4ping") "\xa1x\xc1"), "!a packet's msgpack is broken or too deep", NONE },
	{ B("\x82" OP("\xa4ping") "\xa1x\xcb\0\0\0\0\0\0\0"), "!a packet's msgpack is broken or too deep", NONE },
	{ B("\x82" OP("\xa4ping") "\xa1x" A10 A10 A10 A10 A10 A10 A10 A10 A10 A10 "\xc0"), "?unknown member \"x\"", NONE },
	{ B("\x82" OP("\xa4ping") "\xa1x" A10 A10 A10 A10 A10 A10 A10 A10 A10 A10 "\x91\xc0"), "!a packet's msgpack is broken or too deep", NONE },
	/* data */
	{ B(PUBLISH("\xa2hi")), "2 topic t", B("\"topic\":\"t\",\"data\":\"hi\"}") },
	{ B(PUBLISH("\xa5\"\\\n\0\x7f")), "2 topic t", B("\"topic\":\"t\",\"data\":\"\\\"\\\\\\u000a\\u0000\x7f\"}") },
	{ B(PUBLISH("\xa3\xe2\x82\xac")), "2 topic t", B("\"topic\":\"t\",\"data\":\"\xe2\x82\xac\"}") },
	{ B("\x84" OP("\xa7publish") TOPIC DATA "\x01\xa5" "event\xa2" "e\""), "2 topic t event e\"", B("\"topic\":\"t\",\"event\":\"e\\\"\",\"data\":1}") },
	{ B(PUBLISH("\xc0")), "2 topic t", B("\"topic\":\"t\",\"data\":null}") },
	{ B(PUBLISH("\xc2")), "2 topic t", B("\"topic\":\"t\",\"data\":false}") },
	{ B(PUBLISH("\x9b\x7f\xff\xe0\xcc\xff\xcd\x01\x02\xce\xff\xff\xff\xff\xd0\x80\xd1\xff\x7f\xd2\x80\0\0\0\xd3\x80\0\0\0\0\0\0\0\xd3\0\0\0\0\0\0\0\x07")),
	  "2 topic t", B("\"topic\":\"t\",\"data\":[127,-1,-32,255,258,4294967295,-128,-129,-2147483648,-9223372036854775808,7]}") },
	{ B(PUBLISH("\x94\xca\x3f\xc0\0\0\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a\xcb\x7f\xef\xff\xff\xff\xff\xff\xff\xcb\x40\x14\0\0\0\0\0\0")),
	  "2 topic t", B("\"topic\":\"t\",\"data\":[1.5,0.1,1.7976931348623157e+308,5.0]}") },
	{ B(PUBLISH("\x82\xa1" "a\x90\xa1" "b\x80")), "2 topic t", B("\"topic\":\"t\",\"data\":{\"a\":[],\"b\":{}}}") },
	{ B(PUBLISH("\xc4\x03\0\xff\n")), "2 topic t", B("\0\0\0\x0c\"topic\":\"t\"}\0\xff\n") },
	{ B(PUBLISH("\xa2\xc3x")), "2 topic t", B("\0\0\0\x0c\"topic\":\"t\"}\xc3x") },
	{ B(PUBLISH("\xc4\0")), "2 topic t", B("\0\0\0\x0c\"topic\":\"t\"}") },
	{ B("\x84" OP("\xa7publish") TOPIC DATA "\xc4\x01x\xa5" "event\xa1" "e"), "2 topic t event e", B("\0\0\0\x18\"topic\":\"t\",\"event\":\"e\"}x") },
	{ B(PUBLISH("\x91\xc4\x01x")), "2 topic t", B("?bin or ext stands inside of the data") },
	{ B(PUBLISH("\xd4\x01x")), "2 topic t", B("?bin or ext stands inside of the data") },
	{ B(PUBLISH("\x91\xa1\xff")), "2 topic t", B("?a str that is not UTF-8 stands inside of the data") },
	{ B(PUBLISH("\x81\x01\x02")), "2 topic t", B("?a map inside of the data has a key that is not a str") },
	{ B(PUBLISH("\xcb\x7f\xf0\0\0\0\0\0\0")), "2 topic t", B("?infinity and not-a-number have no JSON") },
	{ B(PUBLISH("\xca\x7f\xc0\0\0")), "2 topic t", B("?infinity and not-a-number have no JSON") },
};

static void describe(const struct packet_request *req, char *log, size_t size)
{
	struct packet_request left = *req;
	int n = 0;

	if (req->kind == PACKET_BAD || req->kind == PACKET_REFUSED) {
		snprintf(log, size, "%c%s", req->kind == PACKET_BAD ? '!' : '?', req->error);
		return;
	}
	n += snprintf(log, size, "%u", req->op);
	if (req->has_ref)
		n += snprintf(log + n, size - (size_t)n, " ref %llu", (unsigned long long)req->ref);
	if (req->name && req->names == NULL)
		n += snprintf(log + n, size - (size_t)n, " %s %.*s", request_is_of_user(req->op) ? "user" : "topic", (int)req->name_len, req->name);
	for (unsigned i = 0; packet_next_name(&left); i++)
		n += snprintf(log + n, size - (size_t)n, "%s%.*s", i ? "," : request_is_of_user(req->op) ? " user " : " topic ",
			      (int)left.name_len, left.name);
	if (req->event)
		n += snprintf(log + n, size - (size_t)n, " event %.*s", (int)req->event_len, req->event);
	if (req->message_id)
		n += snprintf(log + n, size - (size_t)n, " message_id %.*s", (int)req->message_id_len, req->message_id);
	if (req->op == REQUEST_ATTACH)
		n += snprintf(log + n, size - (size_t)n, " token %u %u", token_slot(req->token), token_session(req->token));
	if (req->op == REQUEST_ATTACH && req->resume.kind == RESUME_SINCE)
		n += snprintf(log + n, size - (size_t)n, " since %llu", (unsigned long long)req->resume.since.seq);
	if (req->receipt)
		n += snprintf(log + n, size - (size_t)n, " receipt");
	if (req->everywhere)
		snprintf(log + n, size - (size_t)n, " everywhere");
}

static void check_record(const struct packet_request *req, const char *want, size_t len)
{
	const char *error;
	size_t size = packet_record(NULL, 0, req, &error);

	if (want[0] == '?') {
		assert_int_equal(size, 0);
		assert_string_equal(error, want + 1);
		return;
	}
	assert_null(error);
	assert_int_equal(size, len);
	for (size_t room = 1; room <= size; room++) {
		char *block = malloc(room);

		assert_non_null(block);
		assert_int_equal(packet_record(block, room, req, &error), room == size ? size : 0);
		if (room == size)
			assert_memory_equal(block, want, size);
		free(block);
	}
}

static void test_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		size_t len = 4 + requests[i].len;
		char *block = malloc(len + 7), log[256];
		struct packet_request req;
		struct error_text why;

		assert_non_null(block);
		memcpy(block, (const uint8_t[]){ 0, 0, (uint8_t)(requests[i].len >> 8), (uint8_t)requests[i].len }, 4);
		memcpy(block + 4, requests[i].map, requests[i].len);
		memset(block + len, 0xc1, 7);
		for (size_t cut = 0; cut < len; cut++) {
			packet_next(block, cut, MAX, &why, &req);
			assert_int_equal(req.kind, PACKET_MORE);
			assert_int_equal(req.taken, 0);
		}
		for (size_t more = 0; more < 8; more += 7) {
			packet_next(block, len + more, MAX, &why, &req);
			describe(&req, log, sizeof(log));
			if (strcmp(log, requests[i].log) != 0)
				fail_msg("request %zu gives %s", i, log);
			assert_int_equal(req.taken, req.kind == PACKET_BAD ? 0 : len);
		}
		if (requests[i].record != NULL)
			check_record(&req, requests[i].record, requests[i].record_len);
		free(block);
	}
}

/* What can't be a length, and what it looks like. */
static void test_lengths(void **state)
{
	static const struct { const char *bytes, *error; } table[] = {
		{ "\0\0\0\0", "length 0: a packet is a msgpack map, behind the 4 bytes of its length, big-endian" },
		{ "GET ", "length 0x47455420: this looks like HTTP: speak HTTP at the http:// address" },
		{ "\x16\x03\x01\x02", "length 0x16030102: this looks like TLS (https://, wss://): it is spoken at addresses with TLS (https://, flash+tls://, packet+tls://), and this is none" },
		{ "{\"op", "length 0x7b226f70: this looks like JSON: it is taken by the flash:// address, as frames that end in NUL, and in bodies and WebSockets (/ws) at the http:// address" },
		{ "PING", "length 0x50494e47: this looks like a frame of the flash socket: it is spoken at the flash:// address" },
		{ "\x1b\0\0\0", "length 0x1b000000 is too long: 4096 bytes at most (max_frame); little-endian it would be 27: a length is big-endian" },
		{ "\x82\xa2op", "length 0x82a26f70 is too long: 4096 bytes at most (max_frame); is this a map without the 4 bytes of its length?" },
		{ "\0\x01\0\x01", "length 0x00010001 is too long: 4096 bytes at most (max_frame)" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct packet_request req;
		struct error_text why;
		char reply[PACKET_REPLY_MAX];

		packet_next(table[i].bytes, 3, 4096, &why, &req);
		assert_int_equal(req.kind, PACKET_MORE);
		packet_next(table[i].bytes, 4, 4096, &why, &req);
		assert_int_equal(req.kind, PACKET_BAD);
		assert_string_equal(req.error, table[i].error);
		assert_true(packet_reply(reply, &(struct packet_reply){ .error = req.error }) > strlen(req.error));	/* it is not cut */
	}
}

/* A topic may have one byte more than a user. */
static void test_name_length(void **state)
{
	static const struct { const char *head; size_t len; const char *error; } cases[] = {
		{ "\x82" OP("\xa9subscribe") "\xa5topic\xd9", 255, NULL }, { "\x82" OP("\xa5login") "\xa4user\xd9", 254, NULL },
		{ "\x82" OP("\xa5login") "\xa4user\xd9", 255, "the user is longer than 254 bytes" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char in[400] = { 0 };
		size_t head = strlen(cases[i].head), len = head + 1 + cases[i].len;
		struct packet_request req;
		struct error_text why;

		in[2] = (char)(len >> 8);
		in[3] = (char)len;
		memcpy(in + 4, cases[i].head, head);
		in[4 + head] = (char)cases[i].len;
		memset(in + 5 + head, 'x', cases[i].len);
		packet_next(in, 4 + len, MAX, &why, &req);
		assert_int_equal(req.kind, cases[i].error ? PACKET_REFUSED : PACKET_REQUEST);
		if (cases[i].error)
			assert_string_equal(req.error, cases[i].error);
	}
}

static void test_length(void **state)
{
	static const struct { const char *in; enum packet_kind kind; } cases[] = {
		{ "\0\0\x02\x58", PACKET_MORE }, { "\0\0\x02\x59", PACKET_BAD }, { "\xff\xff\xff\xff", PACKET_BAD }, { "\0\x01\0\0", PACKET_BAD },
		{ "\0\0\0\0", PACKET_BAD }, { "GET ", PACKET_BAD },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct packet_request req;
		struct error_text why;

		packet_next(cases[i].in, 3, MAX, &why, &req);
		assert_int_equal(req.kind, PACKET_MORE);
		packet_next(cases[i].in, 4, MAX, &why, &req);
		assert_int_equal(req.kind, cases[i].kind);
	}
}

/* Every front part of a JSON value, with nothing behind it: refused, and nothing outside read. Nesting, to the limit and beyond. */
static void test_json_parts(void **state)
{
	static const char text[] = "{ \"a\\\"b\" : [ 1 , -2.5e3,\n{}, [ ] , \"\\u00e9\" ],\"c\":{\"d\":null } , \"e\":true}";
	char nested[300], dst[2000];

	(void)state;
	for (size_t len = 0; len <= sizeof(text) - 1; len++) {
		char *block = malloc(len > 0 ? len : 1);
		struct sink s = { .dst = dst, .room = sizeof(dst) };

		assert_non_null(block);
		memcpy(block, text, len);
		assert_int_equal(msgpack_from_json(&s, (struct message_range){ block, len }), len == sizeof(text) - 1);
		free(block);
	}
	for (unsigned depth = 127; depth < 131; depth++) {
		struct sink s = { .dst = dst, .room = sizeof(dst) };

		memset(nested, '[', depth);
		memset(nested + depth, ']', depth);
		assert_int_equal(msgpack_from_json(&s, (struct message_range){ nested, 2 * depth }), depth <= 128);
	}
	memset(dst, '1', 501);
	for (size_t len = 500; len <= 501; len++) {
		char out[600];
		struct sink s = { .dst = out, .room = sizeof(out) };

		assert_true(msgpack_from_json(&s, (struct message_range){ dst, len }));
		assert_int_equal((uint8_t)out[0], len == 500 ? 0xcb : 0xda);	/* a double; a str of 16-bit length */
	}
}

/* Maps inside each other, as arrays above. */
static void test_depth(void **state)
{
	(void)state;
	for (unsigned depth = 99; depth < 103; depth++) {
		char in[400] = { 0 };
		struct packet_request req;
		struct error_text why;
		size_t len = 4;

		len += (size_t)(stpcpy(in + len, "\x82" OP("\xa4ping") "\xa1x") - (in + len));
		for (unsigned i = 0; i < depth; i++) {
			memcpy(in + len, "\x81\x01", 2);
			len += 2;
		}
		in[len++] = 1;
		in[3] = (char)(len - 4);
		packet_next(in, len, MAX, &why, &req);
		assert_int_equal(req.kind, depth <= 100 ? PACKET_REFUSED : PACKET_BAD);
	}
}

/* Bytes changed anywhere: nothing is read or written outside, and what is accepted makes a good record. */
static void test_garbage(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (unsigned round = 0; round < 200000; round++) {
		size_t i = round % ARRAY_LEN(requests), len = 4 + requests[i].len;
		char *block = malloc(len), record[2048] = "{";
		struct packet_request req;
		struct error_text why;

		assert_non_null(block);
		memcpy(block, (const uint8_t[]){ 0, 0, (uint8_t)(requests[i].len >> 8), (uint8_t)requests[i].len }, 4);
		memcpy(block + 4, requests[i].map, requests[i].len);
		for (unsigned n = 0; n < round % 4; n++)
			block[4 + (size_t)rand_r(&seed) % requests[i].len] = (char)rand_r(&seed);
		packet_next(block, len, MAX, &why, &req);
		if (req.kind == PACKET_REQUEST && (req.op == REQUEST_PUBLISH || req.op == REQUEST_SEND)) {
			const char *error;
			size_t n = packet_record(record + 1, sizeof(record) - 1, &req, &error);
			struct web_record rec = { .epoch = &(struct position_epoch){ .len = 2, .text = "x-" }, .text = record + 1, .len = n };

			assert_int_equal(n == 0, error != NULL);
			if (n > 0 && record[1] == '"')
				assert_null(json_check(record, n + 1));
			if (n > 0)
				assert_true(packet_message_size(&rec) > 0);
		}
		free(block);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests), cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_json_parts),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_name_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
