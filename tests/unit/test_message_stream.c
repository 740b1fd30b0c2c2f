/*
 * Records of the stream that all nodes share: what is in front of them is their id, and else they are as others, for each transport.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/message_view.h"
#include "proto/transport.h"
#include "proto/web_message.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define NOW UINT64_C(1448434925395864)
#define EPOCH UINT64_C(1448434925395)	/* ihegr977 */

static const struct position_epoch epoch = { .len = 9, .text = "ihegr977-" }, other = { .len = 3, .text = "zz-" };

#define R(text) { text, sizeof(text) - 1 }
static const struct { const char *p; size_t len; } records[] = {
	R("\"topic\":\"a\",\"event\":\"e\",\"data\":\"x\\ny\"}"), R("\"to\":\"bob\",\"data\":[1,\n2]}"), R("\"broadcast\":true}"),
	R("\"topic\":\"a\",\"id\":9,\"to\":\"eve\"}"), R("\0\0\0\x0c\"topic\":\"t\"}\xff\0"), R("\0\0\0\x0b\"to\":\"bob\"}"),
};

/* In a block of exactly its length, to be freed. */
static char *headed(uint64_t seq, const char *record, size_t len, size_t *all)
{
	char *p = malloc(MESSAGE_STREAM_EXTRA + len);

	assert_non_null(p);
	message_stream_head(p, EPOCH, seq);
	memcpy(p + MESSAGE_STREAM_EXTRA, record, len);
	*all = MESSAGE_STREAM_EXTRA + len;
	return p;
}

static void a_frame_has_its_id_from_the_record(void **state)
{
	static const uint64_t seqs[] = { 1, 7, 4711, UINT64_MAX - 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(records) * ARRAY_LEN(seqs); i++) {
		uint64_t seq = seqs[i / ARRAY_LEN(records)];
		struct web_record plain = { .time = NOW, .epoch = &epoch, .seq = seq, .number = 3, .to = MESSAGE_TO_TOPIC,
					    .text = records[i % ARRAY_LEN(records)].p, .len = records[i % ARRAY_LEN(records)].len }, of_stream = plain;
		char *record = headed(seq, plain.text, plain.len, &of_stream.len);

		of_stream.text = record;
		of_stream.epoch = &other;
		of_stream.seq = 99;
		for (uint32_t t = 0; t < TRANSPORTS; t++) {
			const struct transport_ops *ops = &transport_table[t];
			char want[512], got[512];
			size_t size;

			if (!ops->encoder.size)
				continue;
			size = ops->encoder.size(&plain);
			assert_in_range(size, 1, sizeof(want));
			assert_int_equal(ops->encoder.size(&of_stream), size);
			assert_int_equal(ops->encoder.encode(&plain, want, size), size);
			assert_int_equal(ops->encoder.encode(&of_stream, got, size), size);
			assert_memory_equal(got, want, size);
			assert_int_equal(ops->encoder.encode(&of_stream, got, size - 1), 0);
		}
		free(record);
	}
}

static void a_view_says_which_it_is(void **state)
{
	struct message_view view;
	size_t len;
	char *record;

	(void)state;
	record = headed(0x0102030405060708, records[4].p, records[4].len, &len);
	assert_memory_equal(record, "\1\0\0\x01\x51\x3d\x72\xff\x53\1\2\3\4\5\6\7\x08\0\0\0\x0c", 21);
	assert_true(message_view_parse(record, len, &view));
	assert_true(view.stream.epoch == EPOCH && view.stream.seq == 0x0102030405060708);
	assert_ptr_equal(view.text.p, record + MESSAGE_STREAM_EXTRA + MESSAGE_BINARY_EXTRA);
	assert_int_equal(view.bytes.len, 2);
	free(record);
	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		assert_true(message_view_parse(records[i].p, records[i].len, &view));
		assert_int_equal(view.stream.epoch, 0);
		assert_int_equal(message_stream_id(records[i].p, records[i].len).epoch, 0);
		assert_int_equal(message_is_plain(records[i].p), *records[i].p != '\0');
	}
}

/* As of one that is being overwritten. */
static void what_is_no_such_record(void **state)
{
	struct message_view view;
	size_t len;
	char *record = headed(7, records[0].p, records[0].len, &len), *twice;

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		char *part = malloc(cut + 1);

		memcpy(part, record, cut);
		part = realloc(part, cut ? cut : 1);
		assert_false(message_view_parse(part, cut, &view));
		assert_int_equal(message_stream_id(part, cut).seq, cut < MESSAGE_STREAM_EXTRA ? 0 : 7);
		free(part);
	}
	twice = headed(8, record, len, &len);
	assert_false(message_view_parse(twice, len, &view));
	free(twice);
	memset(record + 9, 0, 8);	/* no sequence */
	assert_false(message_view_parse(record, len - MESSAGE_STREAM_EXTRA, &view));
	message_stream_head(record, 0, 7);
	assert_false(message_view_parse(record, len - MESSAGE_STREAM_EXTRA, &view));
	free(record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_has_its_id_from_the_record),
		cmocka_unit_test(a_view_says_which_it_is),
		cmocka_unit_test(what_is_no_such_record),
	};

	alarm(60);
	return cmocka_run_group_tests_name("message_stream", tests, NULL, NULL);
}
