/*
 * The table of transports: numbers that are kept in shared memory, and functions that say what they write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/flash.h"
#include "proto/position.h"
#include "proto/transport.h"
#include "proto/web_message.h"

#define NOW UINT64_C(1448434925395864)

static const struct position_epoch epoch = { .len = 9, .text = "ihegr977-" };

/* Part of the layout of shared memory: never to be changed. */
static void numbers_stay(void **state)
{
	static const enum transport transports[] = {
		TRANSPORT_FLASH, TRANSPORT_PACKET, TRANSPORT_HTTP, TRANSPORT_WEBSOCKET, TRANSPORT_WEBSOCKET_STREAM, TRANSPORT_SSE, TRANSPORT_SSE_10,
		TRANSPORT_JSON_LINES, TRANSPORT_JSON_LINES_10, TRANSPORT_PAGE, TRANSPORT_PAGE_10, TRANSPORT_SSE_JSON,
		TRANSPORT_SSE_JSON_10,
	};
	static const enum transport_group groups[] = {
		GROUP_FLASH, GROUP_PACKET, GROUP_HTTP, GROUP_WEBSOCKET, GROUP_SSE, GROUP_JSON_LINES, GROUP_PAGE,
	};
	static const enum protocol protocols[] = { PROTO_FLASH, PROTO_HTTP, PROTO_PACKET };

	(void)state;
	assert_int_equal(sizeof(transports) / sizeof(transports[0]), TRANSPORTS);
	for (unsigned i = 0; i < sizeof(transports) / sizeof(transports[0]); i++)
		assert_int_equal(transports[i], i);
	for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		assert_int_equal(groups[i], i);
	for (unsigned i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		assert_int_equal(protocols[i], i);
}

static void each_protocol_begins_with_its_transport(void **state)
{
	(void)state;
	assert_int_equal(protocol_transport(PROTO_FLASH), TRANSPORT_FLASH);
	assert_int_equal(protocol_transport(PROTO_HTTP), TRANSPORT_HTTP);
	assert_int_equal(protocol_transport(PROTO_PACKET), TRANSPORT_PACKET);
	for (uint32_t t = 0; t < TRANSPORTS; t++)
		for (uint32_t other = 0; other < t; other++)
			assert_string_not_equal(transport_table[t].word, transport_table[other].word);
}

/* What a frame's size is said to be it has, and nothing is written that there is no room for. */
static void an_encoder_says_what_it_writes(void **state)
{
	static const char text[] = "\"topic\":\"a\",\"data\":\"x\"}";
	struct web_record rec = { .time = NOW, .epoch = &epoch, .seq = 7, .number = 1, .text = text, .len = sizeof(text) - 1 };
	char dst[512];

	(void)state;
	for (uint32_t t = 0; t < TRANSPORTS; t++) {
		const struct transport_encoder *e = &transport_table[t].encoder;
		size_t size;

		if (!e->size) {
			assert_int_equal(t, TRANSPORT_HTTP);
			continue;
		}
		size = e->size(&rec);
		assert_in_range(size, 1, sizeof(dst));
		assert_int_equal(e->encode(&rec, dst, size), size);
		memset(dst, '#', sizeof(dst));
		assert_int_equal(e->encode(&rec, dst, size - 1), 0);
		assert_int_equal(dst[size - 1], '#');
	}
}

/* Who ends a connection over a client's frame must be able to say so, and every transport that has messages has heartbeats. */
static void no_function_is_missing(void **state)
{
	char dst[TRANSPORT_NOTICE_MAX];

	(void)state;
	for (uint32_t t = 0; t < TRANSPORTS; t++) {
		if (transport_has(t, TRANSPORT_FRAMED))
			assert_int_not_equal(transport_error(t, NOW, 408, "late", dst), 0);
		assert_int_equal(transport_heartbeat(t, NOW, dst) > 0, transport_table[t].encoder.size != NULL);
	}
	assert_int_equal(transport_goodbye(TRANSPORT_FLASH, dst), 0);
	assert_int_equal(transport_heartbeat(TRANSPORT_SSE, NOW, dst), sizeof(SSE_HEARTBEAT_CHUNK) - 1);
	assert_memory_equal(dst, SSE_HEARTBEAT_CHUNK, sizeof(SSE_HEARTBEAT_CHUNK) - 1);
}

static void assert_missed(uint32_t transport, const struct transport_missed *missed, const char *text, size_t len)
{
	char dst[TRANSPORT_NOTICE_MAX];

	assert_int_equal(transport_missed(transport, missed, dst), len);
	assert_memory_equal(dst, text, len);
}
#define MISSED(transport, missed, text) assert_missed(transport, &(missed), text, sizeof(text) - 1)

/* What a subscriber has lost, in the words of each transport; or nothing. */
static void what_was_missed(void **state)
{
	struct transport_missed topic = { MESSAGE_TO_TOPIC, "a\"b", 3, 4243 }, user = { MESSAGE_TO_USER, "bob", 3, 1 }, all = { MESSAGE_TO_ALL, "\2", 1, 7 };
	char name[255], dst[TRANSPORT_NOTICE_MAX];

	(void)state;
	MISSED(TRANSPORT_WEBSOCKET, user, "\x81\x26{\"missed\":{\"user\":\"bob\",\"messages\":1}}");
	MISSED(TRANSPORT_WEBSOCKET_STREAM, all, "\x81\x2a{\"missed\":{\"broadcast\":true,\"messages\":7}}");
	MISSED(TRANSPORT_JSON_LINES_10, topic, "{\"missed\":{\"topic\":\"a\\\"b\",\"messages\":4243}}\n");
	MISSED(TRANSPORT_JSON_LINES, user, "27\r\n{\"missed\":{\"user\":\"bob\",\"messages\":1}}\n\r\n");
	MISSED(TRANSPORT_SSE_10, user, "event: missed\ndata: {\"missed\":{\"user\":\"bob\",\"messages\":1}}\n\n");
	MISSED(TRANSPORT_SSE_JSON, user, "3c\r\nevent: missed\ndata: {\"missed\":{\"user\":\"bob\",\"messages\":1}}\n\n\r\n");
	MISSED(TRANSPORT_PACKET, user, "\0\0\0\x1c\x81\xa6missed\x82\xa4user\xa3" "bob\xa8messages\1");
	MISSED(TRANSPORT_FLASH, user, "");
	MISSED(TRANSPORT_PAGE, user, "");
	memset(name, 1, sizeof(name));
	topic = (struct transport_missed){ MESSAGE_TO_TOPIC, name, sizeof(name), UINT64_MAX };
	for (uint32_t t = 0; t < TRANSPORTS; t++)
		assert_int_equal(transport_missed(t, &topic, dst) > 0, transport_table[t].missed != NULL);
}

/* Whatever else a request asks for, its connection becomes the one that says most of what it asks for. */
static void a_stream_is_what_was_asked_for(void **state)
{
	static const struct { unsigned asked; enum transport transport; } cases[] = {
		{ ASKED_STREAM, TRANSPORT_JSON_LINES_10 },
		{ ASKED_STREAM | ASKED_CHUNKS, TRANSPORT_JSON_LINES },
		{ ASKED_STREAM | ASKED_ENVELOPE, TRANSPORT_JSON_LINES_10 },
		{ ASKED_STREAM | ASKED_CHUNKS | ASKED_ENVELOPE, TRANSPORT_JSON_LINES },
		{ ASKED_STREAM | ASKED_EVENTS, TRANSPORT_SSE_10 },
		{ ASKED_STREAM | ASKED_CHUNKS | ASKED_EVENTS, TRANSPORT_SSE },
		{ ASKED_STREAM | ASKED_EVENTS | ASKED_ENVELOPE, TRANSPORT_SSE_JSON_10 },
		{ ASKED_STREAM | ASKED_CHUNKS | ASKED_EVENTS | ASKED_ENVELOPE, TRANSPORT_SSE_JSON },
		{ ASKED_STREAM | ASKED_CHUNKS | ASKED_EVENTS | ASKED_ENVELOPE | ASKED_WEBSOCKET, TRANSPORT_WEBSOCKET_STREAM },
		{ ASKED_STREAM | ASKED_CHUNKS | ASKED_WEBSOCKET, TRANSPORT_WEBSOCKET_STREAM },
		{ ASKED_STREAM | ASKED_PAGE | ASKED_EVENTS, TRANSPORT_PAGE_10 },
		{ ASKED_STREAM | ASKED_CHUNKS | ASKED_PAGE, TRANSPORT_PAGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(transport_asked(cases[i].asked), cases[i].transport);
	/* No two are asked for in the same way, and what is one has a type, if it is an answer of HTTP. */
	for (uint32_t t = 0; t < TRANSPORTS; t++) {
		const struct transport_ops *ops = &transport_table[t];

		for (uint32_t other = 0; other < t; other++)
			assert_true(!ops->asked || ops->asked != transport_table[other].asked);
		assert_int_equal(ops->type != NULL, ops->asked && ops->group != GROUP_WEBSOCKET);
	}
}

static void greetings(void **state)
{
	static const uint8_t token[16];
	const struct position_start start = { .epoch = &epoch, .seq = 6 };
	struct transport_hello hello = { .now = NOW, .token = token, .retry = 2000, .start = &start };
	char dst[TRANSPORT_NOTICE_MAX];
	size_t len;

	(void)state;
	assert_int_equal(transport_greeting(TRANSPORT_HTTP, &hello, dst), 0);
	for (uint32_t t = 0; t < TRANSPORTS; t++) {	/* a stream says where it starts, but for a page, which has no ids */
		if (!(transport_table[t].asked & ASKED_STREAM))
			continue;
		len = transport_greeting(t, &hello, dst);
		assert_int_equal(memmem(dst, len, "ihegr977-6", 10) != NULL, transport_group(t) != GROUP_PAGE);
	}
	assert_int_equal(transport_greeting(TRANSPORT_JSON_LINES_10, &hello, dst), 36);
	assert_memory_equal(dst, "{\"ok\":true,\"position\":\"ihegr977-6\"}\n", 36);
	assert_int_equal(transport_greeting(TRANSPORT_SSE_JSON_10, &hello, dst), 28);
	assert_memory_equal(dst, "retry: 2000\nid: ihegr977-6\n\n", 28);
	assert_int_equal(transport_greeting(TRANSPORT_SSE, &hello, dst), 34);
	assert_memory_equal(dst, "1c\r\nretry: 2000\nid: ihegr977-6\n\n\r\n", 34);
	len = transport_greeting(TRANSPORT_WEBSOCKET, &hello, dst);
	assert_int_equal((uint8_t)dst[0], 0x81);
	assert_int_equal((uint8_t)dst[1], len - 2);
	assert_memory_equal(dst + 2, "{\"janus\":\"" JANUS_VERSION "\",\"features\":[\"", 23 + sizeof(JANUS_VERSION));
	assert_memory_equal(dst + len - 2, "]}", 2);
	assert_null(memmem(dst, len, "\"broadcast\"", 11));
	assert_null(memmem(dst, len, "\"publish-once\"", 14));
	hello.has.once = true;
	len = transport_greeting(TRANSPORT_WEBSOCKET, &hello, dst);
	assert_non_null(memmem(dst, len, ",\"publish-once\"]}", 17));
	hello.has.broadcast = true;
	len = transport_greeting(TRANSPORT_WEBSOCKET, &hello, dst);
	assert_non_null(memmem(dst, len, ",\"broadcast\"]}", 14));
	len = transport_greeting(TRANSPORT_PACKET, &hello, dst);
	assert_memory_equal(dst + 4, "\x82\xa5janus", 7);
	assert_memory_equal(dst + len - 10, "\xa9" "broadcast", 10);
	hello.has.broadcast = false;
	assert_int_equal(transport_greeting(TRANSPORT_PACKET, &hello, dst), len - 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_stay),
		cmocka_unit_test(each_protocol_begins_with_its_transport),
		cmocka_unit_test(an_encoder_says_what_it_writes),
		cmocka_unit_test(no_function_is_missing),
		cmocka_unit_test(what_was_missed),
		cmocka_unit_test(a_stream_is_what_was_asked_for),
		cmocka_unit_test(greetings),
	};

	alarm(60);
	return cmocka_run_group_tests_name("transport", tests, NULL, NULL);
}
