/*
 * proto/json*.c, and what passes values on: texts, compared with the grammar; members; strings; and as msgpack and back.
 */
#include "proto/json.h"

#include <stdlib.h>
#include <string.h>

#include "proto/message_view.h"
#include "proto/msgpack_json.h"
#include "proto/utf8.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/grammar.h"
#include "tests/fuzz/values.h"
#include "tests/unit/json_fixture.h"

/* What a string stands for: no longer than it is, UTF-8, and all or nothing. */
static void check_string(const char *raw, size_t len)
{
	char *dst = fuzz_alloc(len), *tight;
	ssize_t n = json_read_string(raw, len, dst, len);

	fuzz_check(n >= 0 && (size_t)n <= len - 2);
	fuzz_check(grammar_utf8((const uint8_t *)dst, (size_t)n));
	tight = fuzz_alloc((size_t)n);
	fuzz_check(json_read_string(raw, len, tight, (size_t)n) == n);
	fuzz_check(n == 0 || json_read_string(raw, len, tight, (size_t)n - 1) == -1);
	free(tight);
	free(dst);
}

static void check_name(const struct json_member *m)
{
	static const char *const names[] = { "topic", "data", "action", "timestamp", "id", "event", "to", "user", "ok", "ref", "broadcast", "janus" };
	static const enum message_name kinds[] = {
		MESSAGE_NAME_TOPIC, MESSAGE_NAME_DATA, MESSAGE_NAME_OTHER, MESSAGE_NAME_RESERVED, MESSAGE_NAME_RESERVED, MESSAGE_NAME_EVENT, MESSAGE_NAME_TO,
		MESSAGE_NAME_RESERVED, MESSAGE_NAME_RESERVED, MESSAGE_NAME_RESERVED, MESSAGE_NAME_BROADCAST, MESSAGE_NAME_RESERVED,
	};
	char text[16];
	ssize_t len = json_read_string(m->name, m->name_len, text, sizeof(text));

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		bool is = len == (ssize_t)strlen(names[i]) && memcmp(text, names[i], (size_t)len) == 0;

		fuzz_check(json_name_is(m, names[i]) == is);
		if (is)
			fuzz_check(message_name_of((struct message_range){ m->name, m->name_len }) == kinds[i]);
	}
	if (len < 0)
		fuzz_check(message_name_of((struct message_range){ m->name, m->name_len }) == MESSAGE_NAME_OTHER);
}

static void check_object(const struct fuzz_input *in, const struct grammar *g, bool good)
{
	struct json json;
	const char *error = NULL;
	int status;

	json_init(&json);
	status = json_read_object(&json, in->bytes, in->len, &error);
	fuzz_check((status == 0) == (good && g->object) && (status == 0) == (error == NULL));
	if (status == 0) {
		fuzz_check(json.count == g->count);
		for (unsigned i = 0; i < json.count && i < GRAMMAR_MEMBERS; i++) {
			const struct json_member *m = &json.members[i], *want = &g->members[i];

			fuzz_check(m->name == want->name && m->name_len == want->name_len && m->type == want->type);
			fuzz_check(m->value == want->value && m->value_len == want->value_len);
			fuzz_check(json_walk_scalar(m->name, in->bytes + in->len) == m->name + m->name_len);
			fuzz_check(json_walk_value(m->value, in->bytes + in->len) == m->value + m->value_len);
			check_name(m);
			check_string(m->name, m->name_len);
			if (m->type == JSON_STRING)
				check_string(m->value, m->value_len);
		}
	}
	json_fini(&json);
}

/* As msgpack, in memory of its own; false: the text is too broken for that. */
static bool to_msgpack(const char *text, size_t len, struct sink *s)
{
	struct sink count = { 0 };
	bool good = msgpack_from_json(&count, (struct message_range){ text, len });

	*s = (struct sink){ .dst = fuzz_alloc(count.len), .room = count.len };
	fuzz_check(msgpack_from_json(s, (struct message_range){ text, len }) == good && s->len == count.len);
	return good;
}

/* Of a text that is JSON: the msgpack is whole, and as JSON and msgpack again the same. */
static void check_values(const struct sink *packed)
{
	const uint8_t *at = (const uint8_t *)packed->dst, *end = at + packed->len;
	struct msgpack_value value, again;
	struct sink text = { 0 }, back;

	fuzz_check(msgpack_walk_take(&at, end, &value) && at == end);
	if (msgpack_to_json(&text, &value) != NULL)
		return;		/* 1e999 */
	text = (struct sink){ .dst = fuzz_alloc(text.len), .room = text.len };
	fuzz_check(msgpack_to_json(&text, &value) == NULL && text.len == text.room);
	fuzz_check(json_check(text.dst, text.len) == NULL);
	fuzz_check(to_msgpack(text.dst, text.len, &back));
	at = (const uint8_t *)back.dst;
	fuzz_check(msgpack_walk_take(&at, at + back.len, &again) && values_same(&value, &again));
	free(back.dst);
	free(text.dst);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in;
	struct grammar g;
	struct sink packed;
	bool good, whole;

	fuzz_open_bare(&in, data, size);
	good = grammar_text(&g, in.bytes, in.len);
	fuzz_check((json_check(in.bytes, in.len) == NULL) == good);
	fuzz_check(utf8_text(in.bytes, in.len) == grammar_utf8(in.original, in.len));
	check_object(&in, &g, good);
	whole = to_msgpack(in.bytes, in.len, &packed);
	fuzz_check(whole || !good);
	if (good && g.deepest <= MSGPACK_WALK_DEPTH)
		check_values(&packed);
	free(packed.dst);
	fuzz_close(&in);
	return 0;
}
