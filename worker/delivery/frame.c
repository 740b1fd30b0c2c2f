/*
 * Frames: a record as a transport sends it. See frame.h.
 */
#include "worker/delivery/frame.h"

#include <stdlib.h>

#include "proto/transport.h"
#include "proto/web_message.h"
#include "shm/attribution.h"
#include "shm/crash.h"
#include "shm/log.h"

/*
 * By the name of the record's topic, which says more than the record's members, as a publisher of the flash socket may give any. It is sure
 * as long as somebody here subscribes the topic.
 */
static enum message_to goes_to(const struct base *base, const struct ring_record *rec)
{
	const struct topic_shm *t = index_topic(&base->hub.index, rec->topic);

	if (rec->flags & RING_ECHOED)
		return MESSAGE_TO_TOPIC;	/* patterns fit topics alone; and which of its records it is, is no matter */
	if (t->generation != rec->generation || !(atomic_load_explicit(&t->interest, memory_order_relaxed) & 1ull << base->number))
		return MESSAGE_TO_UNKNOWN;
	return *t->name == NAME_INBOX ? MESSAGE_TO_USER : *t->name == NAME_EVERYBODY ? MESSAGE_TO_ALL : MESSAGE_TO_TOPIC;
}

/*
 * The record's text, in one piece. In history it may be spread over pages, and is copied; the copy stays for the next call, as a frame is measured
 * first and then written. NULL: no memory.
 */
static const void *text_of(const struct base *base, const struct ring_record *rec)
{
	struct record_copy *copy = base->copy;

	if (!rec->place.page)
		return ring_peek(&base->hub.ring, rec);
	if (copy->room < rec->len) {
		void *p = realloc(copy->text, rec->len);

		if (!p)
			return NULL;
		*copy = (struct record_copy){ .text = p, .room = rec->len };
	}
	if (copy->seq != rec->seq)
		history_copy(&base->hub.history, rec, copy->text);
	copy->seq = rec->seq;
	return copy->text;
}

/* Whether what was read of the record was the record. */
static bool was_whole(const struct base *base, const struct ring_record *rec, const struct web_record *read)
{
	return rec->place.page ? read->text != NULL : ring_holds(&base->hub.ring, rec->seq);
}

static struct web_record record_of(const struct base *base, uint32_t page_base, const struct ring_record *rec)
{
	return (struct web_record){
		.time = rec->time,
		.epoch = &base->epoch,
		.seq = rec->id,
		.number = (uint32_t)rec->number - page_base,
		.to = goes_to(base, rec),
		.text = text_of(base, rec),
		.len = rec->len,
	};
}

/* Notes which record is being encoded (ENCODING()), to be blamed if the worker dies meanwhile. 0: none is. */
static void encoding(const struct base *base, uint64_t what)
{
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&base->slot.shm->encoding, what, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
}

/* Logs that a record is skipped, once for each record and transport. */
static void tell_skipped(uint64_t what)
{
	static uint64_t told[SKIP_MAX];
	static unsigned next;

	for (unsigned i = 0; i < SKIP_MAX; i++)
		if (told[i] == what)
			return;
	told[next++ % SKIP_MAX] = what;
	log_warning("message %llu: not sent to subscribers of transport %s, as workers died of encoding it", (unsigned long long)(what >> 8),
		    transport_table[what & 255].word);
}

bool frame_in_skips(const struct base *base, uint32_t transport, uint64_t seq)
{
	if (!attribution_skips(&base->slot, seq, transport))
		return false;
	tell_skipped(ENCODING(seq, transport));
	return true;
}

size_t frame_size_sent(const struct base *base, uint32_t transport, uint32_t page_base, const struct ring_record *rec)
{
	struct web_record r = record_of(base, page_base, rec);
	size_t size = r.text ? transport_table[transport].encoder.size(&r) : 0;

	return was_whole(base, rec, &r) ? size : 0;
}

size_t frame_size(const struct base *base, uint32_t transport, uint32_t page_base, const struct ring_record *rec)
{
	size_t size;

	encoding(base, ENCODING(rec->id, transport));
	size = frame_size_sent(base, transport, page_base, rec);
	encoding(base, 0);
	return size;
}

size_t frame_object(const struct base *base, enum message_to to, const struct ring_record *rec, char *dst, size_t room)
{
	struct web_record r = record_of(base, 0, rec);
	size_t n;

	if (!r.text || frame_skipped(base, TRANSPORT_JSON_LINES_10, rec->id))
		return 0;
	r.to = to;
	encoding(base, ENCODING(rec->id, TRANSPORT_JSON_LINES_10));
	n = web_message(WEB_JSON_LINES, false, &r, dst, room);
	encoding(base, 0);
	return was_whole(base, rec, &r) ? n : 0;
}

static int encode(const struct base *base, uint32_t transport, const struct ring_record *rec, const struct web_record *r, char *dst, size_t size)
{
	return transport_table[transport].encoder.encode(r, dst, size) == size && was_whole(base, rec, r) ? 0 : -1;
}

int frame_write_sent(const struct base *base, uint32_t transport, uint32_t page_base, const struct ring_record *rec, char *dst, size_t size)
{
	struct web_record r = record_of(base, page_base, rec);

	return r.text ? encode(base, transport, rec, &r, dst, size) : -1;
}

int frame_write(const struct base *base, uint32_t transport, uint32_t page_base, const struct ring_record *rec, char *dst, size_t size)
{
	struct web_record r = record_of(base, page_base, rec);
	int result;

	if (!r.text)
		return -1;
	encoding(base, ENCODING(rec->id, transport));
	CRASH_ON_RECORD(r.text, r.len);
	result = encode(base, transport, rec, &r, dst, size);
	encoding(base, 0);
	return result;
}
