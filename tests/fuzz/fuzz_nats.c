/*
 * proto/subject.c and nats_message.c over what NATS may bring of anybody: subject, four headers, an origin, payload, with a byte 0 behind each but the last. What is taken is a good record,
 * and that one, sent and taken again, is the same.
 */
#include "proto/nats_message.h"

#include <stdlib.h>
#include <string.h>

#include "proto/message_view.h"
#include "tests/fuzz/fuzz.h"

/* The next of the texts; "": none is left. Ahead of one that begins with a byte 1 there is no such header. */
static const char *next_text(const struct fuzz_input *in, size_t *at)
{
	const char *text = in->bytes + *at, *end = memchr(text, 0, in->len - *at);

	if (end == NULL)
		return "";
	*at += (size_t)(end - text) + 1;
	return text;
}

static const char *next_header(const struct fuzz_input *in, size_t *at)
{
	const char *text = next_text(in, at);

	return *text == 1 ? NULL : text;
}

static void check_subject(const struct subject_name *name, const char *subject)
{
	char again[SUBJECT_MAX];

	fuzz_check(name->len > 0 || name->to == MESSAGE_TO_ALL);
	subject_write(again, name->to, name->name, name->len);
	fuzz_check(strcmp(again, subject) == 0);
}

/* What the message makes, sent and taken again. */
static void check_back(struct json *json, const struct subject_name *name, const char *record, size_t len)
{
	char *scratch = fuzz_alloc(nats_message_scratch(len)), *back = fuzz_alloc(8 * len + 4096);
	struct sink s = { .dst = back, .room = 8 * len + 4096 };
	struct message_view view;
	struct subject_name read;
	struct nats_message m;

	fuzz_check(message_view_parse(record, len, &view));
	fuzz_check(nats_message_name(&view, name->to, &read));
	fuzz_check(read.len == name->len && memcmp(read.name, name->name, name->len) == 0);
	fuzz_check(nats_message_write(&m, name, &view, len, scratch));
	fuzz_check(nats_message_read(&s, json, &m, name) == NULL);
	/* Once more: what is written otherwise is written so from then on. */
	fuzz_check(message_view_parse(back, s.len, &view));
	fuzz_check((view.bytes.p == NULL) == (*record != 0));
	free(scratch);
	free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nats_message m = { 0 };
	struct subject_name name;
	struct nats_origin origin;
	struct fuzz_input in;
	struct sink s = { 0 };
	struct json json;
	const char *subject;
	size_t at = 0;

	fuzz_open_bare(&in, data, size);
	subject = next_text(&in, &at);
	m.type = next_header(&in, &at);
	m.event = next_header(&in, &at);
	m.message_id = next_header(&in, &at);
	m.members = next_header(&in, &at);
	(void)nats_origin_read(next_text(&in, &at), &origin);
	m.payload = in.bytes + at;
	m.len = in.len - at;
	if (subject_read(subject, &name) == NULL) {
		check_subject(&name, subject);
		json_init(&json);
		s.room = 6 * in.len + 4096;
		s.dst = fuzz_alloc(s.room);
		if (nats_message_read(&s, &json, &m, &name) == NULL)
			check_back(&json, &name, s.dst, s.len);
		free(s.dst);
		json_fini(&json);
	}
	fuzz_close(&in);
	return 0;
}
