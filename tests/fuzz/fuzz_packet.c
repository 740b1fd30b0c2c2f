/*
 * proto/packet.c, packet_message.c, msgpack_json.c: packets out of a stream, in pieces as whole; what a publish becomes in the ring, and what
 * subscribers get of that. Of every second value of the settings the input is the map of one packet, whose length is put in front.
 */
#include "proto/packet.h"

#include <stdlib.h>
#include <string.h>

#include "proto/message.h"
#include "proto/utf8.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/published.h"
#include "tests/fuzz/values.h"

static const size_t limits[] = { 65536, 0, 20, 300 };

static void check_range(const struct fuzz_input *in, const char *p, size_t len)
{
	fuzz_check(p == NULL || (fuzz_where(in, p) >= 0 && len <= (size_t)(in->bytes + in->seen - p)));
}

/* The names of a request are good ones. */
static void check_names(const struct fuzz_input *in, struct packet_request r)
{
	bool user = request_is_of_user(r.op);

	fuzz_check((r.name != NULL) == (r.op != REQUEST_PING));
	if (r.name == NULL)
		return;
	do {
		check_range(in, r.name, r.name_len);
		fuzz_check(web_name_error(user, r.name, r.name_len) == NULL);
	} while (packet_next_name(&r));
}

static void check_kind(const struct fuzz_input *in, size_t at, size_t max, const struct packet_request *r)
{
	size_t left = in->seen - at;

	fuzz_check((r->error != NULL) == (r->kind == PACKET_REFUSED || r->kind == PACKET_BAD));
	fuzz_check(r->taken <= left && r->taken <= max + PACKET_HEADER);
	fuzz_check((r->taken > PACKET_HEADER) == (r->kind == PACKET_REQUEST || r->kind == PACKET_REFUSED));
	fuzz_check(r->kind != PACKET_MORE || left < max + PACKET_HEADER);
	if (r->kind != PACKET_REQUEST)
		return;
	check_range(in, r->event, r->event_len);
	check_range(in, r->message_id, r->message_id_len);
	fuzz_check(r->event == NULL || utf8_text(r->event, r->event_len));
	fuzz_check(r->message_id == NULL || utf8_text(r->message_id, r->message_id_len));
	check_names(in, *r);
}

/* What subscribers with packets get of the record is what was published. */
static void check_sent(const struct packet_request *r, const char *record, size_t len)
{
	struct web_record rec = { .time = PUBLISHED_TIME, .epoch = &published_epoch, .seq = PUBLISHED_SEQ, .text = record, .len = len };
	size_t size = packet_message_size(&rec);
	char *packet = fuzz_alloc(size);
	const uint8_t *p = (const uint8_t *)packet;
	struct msgpack_value map, data, event;

	fuzz_check(packet_message(&rec, packet, size) == size);
	fuzz_check(values_map(p + PACKET_HEADER, p + size, &map));
	data = values_find(&map, "data");
	fuzz_check(data.start != NULL);
	if (data.kind == WALK_BIN)
		fuzz_check((r->data.kind == WALK_BIN || r->data.kind == WALK_STR) && data.len == r->data.len &&
			   memcmp(data.p, r->data.p, data.len) == 0);
	else
		fuzz_check(values_same(&data, &r->data));
	event = values_find(&map, "event");
	fuzz_check((event.start != NULL) == (r->event != NULL));
	if (r->event != NULL)
		fuzz_check(event.kind == WALK_STR && event.len == r->event_len && memcmp(event.p, r->event, event.len) == 0);
	free(packet);
}

/* Data that may have no JSON and is no binary record either. */
static bool may_be_refused(enum msgpack_kind kind)
{
	return kind == WALK_ARRAY || kind == WALK_MAP || kind == WALK_EXT || kind == WALK_FLOAT;
}

static void check_record(const struct packet_request *r)
{
	const char *error, *second;
	size_t len = packet_record(NULL, 0, r, &error);
	char *record = fuzz_alloc(len);

	fuzz_check(len <= 6 * ((size_t)(r->data.end - r->data.start) + r->event_len + r->message_id_len + r->name_len) + 80);
	fuzz_check((len == 0) == (error != NULL));
	fuzz_check(error == NULL || may_be_refused(r->data.kind));
	fuzz_check(packet_record(record, len, r, &second) == len && second == error);
	if (len > 0) {
		published_check(record, len, r->op == REQUEST_SEND ? MESSAGE_TO_USER : MESSAGE_TO_TOPIC);
		check_sent(r, record, len);
		fuzz_check(len == 1 || (packet_record(record, len - 1, r, &error) == 0 && error == NULL));
	}
	free(record);
}

static void check_reply(const struct packet_request *r)
{
	struct packet_reply reply = { .error = r->error, .has_ref = r->has_ref, .ref = r->ref };
	char *dst = fuzz_alloc(PACKET_REPLY_MAX);
	size_t len = packet_reply(dst, &reply);
	const uint8_t *p = (const uint8_t *)dst;
	struct msgpack_value map, ref;

	fuzz_check(len <= PACKET_REPLY_MAX && values_map(p + PACKET_HEADER, p + len, &map));
	ref = values_find(&map, "ref");
	fuzz_check(r->has_ref ? ref.start != NULL && ref.u == r->ref : ref.start == NULL);
	free(dst);
}

static void note(struct fuzz_log *log, const struct fuzz_input *in, size_t at, const struct packet_request *r)
{
	fuzz_say(log, "%d at %zu takes %zu, op %d, %d%d %llu, %s, ", (int)r->kind, at, r->taken, (int)r->op, r->has_ref, r->receipt,
		 (unsigned long long)r->ref, r->error ? r->error : "-");
	fuzz_say(log, "%ld + %zu, %ld + %zu, %ld + %zu, %ld\n", fuzz_where(in, r->name), r->name_len, fuzz_where(in, r->message_id), r->message_id_len,
		 fuzz_where(in, r->event), r->event_len, fuzz_where(in, r->data.start));
}

/* Goes on at *at with what is seen. False: the connection would be closed. */
static bool read_packets(const struct fuzz_input *in, size_t *at, size_t max, bool answer, struct fuzz_log *log)
{
	for (;;) {
		struct packet_request r;
		struct error_text why;

		packet_next(in->bytes + *at, in->seen - *at, max, &why, &r);
		check_kind(in, *at, max, &r);
		if (r.kind == PACKET_MORE)
			return true;
		note(log, in, *at, &r);
		if (answer) {
			check_reply(&r);
			if (r.kind == PACKET_REQUEST && (r.op == REQUEST_PUBLISH || r.op == REQUEST_SEND))
				check_record(&r);
		}
		if (r.kind == PACKET_BAD)
			return false;
		*at += r.taken;
	}
}

static void check_stream(struct fuzz_input *in, size_t max)
{
	struct fuzz_log whole = { 0 }, pieces = { 0 };
	size_t at = 0;

	read_packets(in, &at, max, true, &whole);
	at = 0;
	fuzz_hide(in);
	while (fuzz_more(in) && read_packets(in, &at, max, false, &pieces))
		;
	fuzz_same(&whole, &pieces);
	fuzz_log_free(&whole);
	fuzz_log_free(&pieces);
}

static void check_map(const struct fuzz_input *map, const uint8_t *data)
{
	size_t len = map->len + PACKET_HEADER;
	uint8_t *packet = fuzz_alloc(FUZZ_HEAD + len);
	struct fuzz_input in;

	memcpy(packet, data, FUZZ_HEAD);
	for (unsigned i = 0; i < PACKET_HEADER; i++)
		packet[FUZZ_HEAD + i] = (uint8_t)(map->len >> 8 * (PACKET_HEADER - 1 - i) & 255);
	memcpy(packet + FUZZ_HEAD + PACKET_HEADER, map->bytes, map->len);
	if (fuzz_open(&in, packet, FUZZ_HEAD + len)) {
		check_stream(&in, limits[0]);
		fuzz_close(&in);
	}
	free(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in;

	if (!fuzz_open(&in, data, size))
		return 0;
	if (in.settings & 1)
		check_map(&in, data);
	else
		check_stream(&in, limits[in.settings / 2 % (sizeof(limits) / sizeof(limits[0]))]);
	fuzz_close(&in);
	return 0;
}
