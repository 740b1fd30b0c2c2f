#include "tests/bench/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/clock.h"
#include "tests/bench/gaps.h"
#include "tests/bench/histogram.h"
#include "tests/bench/wire.h"

#define SHOWN 60	/* bytes of a torn frame in a note */

struct spill {
	struct spill *next;
	size_t len;
	char bytes[];
};

int check_init(struct checker *c, struct member *m)
{
	const struct options *opt = m->opt;

	*c = (struct checker){ .m = m, .spill_max = options_size_most(opt) + SPEAK_EXTRA + SPEAK_ANSWER_MAX };
	c->pause = options_pause_ns(opt, false);
	c->sub_pause = options_pause_ns(opt, true);
	c->streams = opt->transports * opt->topics;
	c->stream = calloc(c->streams, sizeof(*c->stream));
	if (!c->stream)
		return -1;
	for (uint32_t i = 0; i < c->streams; i++)
		if (stream_init(&c->stream[i], opt->publishers))
			return -1;
	return 0;
}

static struct stream *stream_of(const struct checker *c, const struct sub *sub)
{
	return &c->stream[sub->transport * c->m->opt->topics + sub->topic];
}

static const struct speak *speak_of(const struct checker *c, const struct sub *sub)
{
	return c->m->opt->transport[sub->transport].speak;
}

/* Spills are all of one size and used again: receiving allocates nothing once it is under way. */
static struct spill *spill_take(struct checker *c)
{
	struct spill *s = c->spare;

	if (s)
		c->spare = s->next;
	else if (!(s = malloc(sizeof(*s) + c->spill_max)))
		exit(3);
	s->len = 0;
	return s;
}

static void spill_give(struct checker *c, struct sub *sub)
{
	if (!sub->spill)
		return;
	sub->spill->next = c->spare;
	c->spare = sub->spill;
	sub->spill = NULL;
}

/* What it has of the frame it is in the middle of, if those bytes are in the stream, is moved to a spill. */
static void spill_start(struct checker *c, struct sub *sub)
{
	const struct stream *st = stream_of(c, sub);
	uint32_t start = stream_start(st, sub->pos);

	if (sub->spill)
		return;
	sub->spill = spill_take(c);
	if (!sub->own && sub->at > start) {
		sub->spill->len = sub->at - start;
		memcpy(sub->spill->bytes, st->bytes + start, sub->spill->len);
		sub->at = start;
	}
}

void check_arm_sub(struct checker *c, struct sub *sub)
{
	if (!sub->own && sub->at > stream_start(stream_of(c, sub), sub->pos))
		spill_start(c, sub);
	account_destroy(sub->own);
	sub->own = NULL;
	sub->pos = sub->at = 0;
	if (!(sub->flags & SUB_SLOW))
		sub->heard = 0;
	sub->flags &= (uint8_t)~(SUB_WHOLE | SUB_COUNTS);
	if (sub->state == SUB_READY)
		sub->flags |= SUB_COUNTS;
}

void check_arm(struct checker *c)
{
	for (uint32_t i = 0; i < c->streams; i++)
		stream_reset(&c->stream[i], c->m->opt->publishers);
	gaps_forget(&c->m->me->gaps);
}

static void measure(struct checker *c, const struct sub *sub, uint64_t sent, uint64_t now)
{
	struct member_shm *me = c->m->me;

	if (sub->flags & SUB_SLOW)
		return;		/* what it is late by is its own doing */
	histogram_add(&me->latency, now - sent);
	if (me->exact_count < me->exact_max)
		me->exact[me->exact_count++] = now - sent;
}

/* Frames that end at or before sub->at have arrived. This and the memcmp() before it are where the time goes. */
static void take_frames(struct checker *c, struct sub *sub, uint64_t now)
{
	struct stream *st = stream_of(c, sub);
	uint32_t pos = sub->pos, from = pos;

	for (; pos < st->count && st->frame[pos].end <= sub->at; pos++) {
		measure(c, sub, st->frame[pos].sent, now);
		if (!(sub->flags & SUB_SLOW))
			st->frame[pos].last = now;
	}
	sub->pos = pos;
	member_count(&c->m->me->deliveries, pos - from);
}

/* How many bytes are the same: halves what is looked at, so that it costs no more than a few memcmp() of it all. */
static size_t common(const char *a, const char *b, size_t n)
{
	size_t same = 0;

	while (n > 32) {
		size_t half = n / 2;

		if (memcmp(a + same, b + same, half)) {
			n = half;
		} else {
			same += half;
			n -= half;
		}
	}
	while (n && a[same] == b[same]) {
		same++;
		n--;
	}
	return same;
}

/* Takes the bytes that are the stream's next ones. Returns how many. */
static size_t feed_same(struct checker *c, struct sub *sub, const char *buf, size_t n, uint64_t now)
{
	const struct stream *st = stream_of(c, sub);
	size_t there = st->len - sub->at;

	if (there > n)
		there = n;
	if (!there)
		return 0;
	if (memcmp(buf, st->bytes + sub->at, there))
		there = common(buf, st->bytes + sub->at, there);
	sub->at += (uint32_t)there;
	take_frames(c, sub, now);
	return there;
}

static const char *show(char shown[SHOWN + 1], const char *frame, size_t len)
{
	size_t n = len < SHOWN ? len : SHOWN;

	for (size_t i = 0; i < n; i++)
		shown[i] = frame[i] >= ' ' && frame[i] <= '~' ? frame[i] : '.';
	shown[n] = 0;
	return shown;
}

static void torn(struct checker *c, const struct sub *sub, const char *frame, size_t len)
{
	char shown[SHOWN + 1];

	member_fault(c->m, FAULT_TORN, 1);
	member_note(c->m, "torn: on topic %u (%s) after %u messages, %zu bytes: %s", sub->topic, speak_of(c, sub)->name,
		    check_received(sub), len, show(shown, frame, len));
}

static void set_up(struct checker *c, struct sub *sub, const char *frame, size_t len)
{
	const struct speak *speak = speak_of(c, sub);
	enum speak_frame kind = speak->kind(frame, len);
	char shown[SHOWN + 1];

	if (sub->state == SUB_GREETING && kind == SPEAK_GREETING) {
		sub->state = SUB_ACK;
	} else if (sub->state == SUB_ACK && kind == SPEAK_ACK) {
		if (++sub->acks == speak_acks(speak))
			sub->state = SUB_READY;
	} else if (kind != SPEAK_OTHER) {
		member_note(c->m, "bad: %s: instead of %s: %s", speak->name, sub->state == SUB_GREETING ? "a greeting" : "ACK",
			    show(shown, frame, len));
		sub->state = SUB_BAD;
	}
}

static void check_stamp(struct checker *c, const struct sub *sub, const struct payload *p, const struct stamp *stamp,
			const struct stamp *before)
{
	if (stamp_follows(stamp, before))
		return;
	member_fault(c->m, FAULT_STAMPS, 1);
	member_note(c->m, "stamps: on topic %u (%s), publisher %u's message %u has time %lu, id %lu after %lu, %lu", sub->topic,
		    speak_of(c, sub)->name, p->publisher, p->seq, (unsigned long)stamp->time, (unsigned long)stamp->id,
		    (unsigned long)before->time, (unsigned long)before->id);
}

static void enter(struct checker *c, struct sub *sub, const struct payload *p, const struct stamp *stamp, uint64_t now)
{
	struct account *own = sub->own;
	uint32_t next = own->next[p->publisher];

	switch (account_enter(own, p)) {
	case ACCOUNT_AGAIN:
		member_fault(c->m, FAULT_DOUBLED, 1);
		member_note(c->m, "doubled: on topic %u (%s), publisher %u's message %u", sub->topic, speak_of(c, sub)->name,
			    p->publisher, p->seq);
		return;
	case ACCOUNT_LATE:	/* its stamp is of no interest then */
		member_fault(c->m, FAULT_REORDERED, 1);
		member_note(c->m, "reordered: on topic %u (%s), publisher %u's message %u after message %u", sub->topic,
			    speak_of(c, sub)->name, p->publisher, p->seq, next - 1);
		break;
	case ACCOUNT_NEW:
		check_stamp(c, sub, p, stamp, &own->stamp);
		own->stamp = *stamp;
	}
	measure(c, sub, c->m->shm->base + p->sent, now);
	member_count(&c->m->me->deliveries, 1);
	if (!(sub->flags & SUB_SLOW))
		member_delivered(c->m, sub->transport, p, now);
}

/* From here on this subscriber's books are its own. */
static void diverge(struct checker *c, struct sub *sub)
{
	const struct stream *st = stream_of(c, sub);
	const struct options *opt = c->m->opt;
	uint32_t start = stream_start(st, sub->pos ? sub->pos - 1 : 0);
	struct payload p = { .topic = sub->topic };
	struct stamp stamp = st->before;

	if (sub->pos)
		speak_of(c, sub)->message(st->bytes + start, st->frame[sub->pos - 1].end - start, options_size_read(opt), &p, &stamp);
	sub->own = account_create(st, sub->pos, &stamp, opt->messages, opt->publishers);
}

/* The subscriber is at the stream's end: a message that may come next becomes the stream's. */
static void extend(struct checker *c, struct sub *sub, const char *frame, size_t len, const struct payload *p,
		   const struct stamp *stamp, uint64_t now)
{
	struct stream *st = stream_of(c, sub);

	check_stamp(c, sub, p, stamp, &st->stamp);
	stream_append(st, frame, len, p, stamp, c->m->shm->base + p->sent);
	sub->at = st->len;
	take_frames(c, sub, now);
}

static void message(struct checker *c, struct sub *sub, const char *frame, size_t len, uint64_t now)
{
	struct stream *st = stream_of(c, sub);
	const struct options *opt = c->m->opt;
	struct payload p = { .topic = sub->topic };
	struct stamp stamp = { 0 };

	if (!sub->own && sub->pos < st->count) {
		uint32_t start = stream_start(st, sub->pos), end = st->frame[sub->pos].end;

		if (end - start == len && !memcmp(frame, st->bytes + start, len)) {
			sub->at = end;
			take_frames(c, sub, now);
			return;
		}
	}
	if (speak_of(c, sub)->message(frame, len, options_size_read(opt), &p, &stamp) || p.run != c->m->shm->run || p.round > c->m->shm->round ||
	    p.publisher >= opt->publishers || account_index(p.publisher, p.seq, opt->publishers) >= opt->messages) {
		torn(c, sub, frame, len);
		return;
	}
	if (p.round != c->m->shm->round) {
		member_fault(c->m, FAULT_DOUBLED, 1);
		member_note(c->m, "doubled: on topic %u (%s), a message of round %u in round %u", sub->topic, speak_of(c, sub)->name,
			    p.round, c->m->shm->round);
		return;
	}
	if (!sub->own && sub->pos == st->count && stream_expects(st, &p)) {
		extend(c, sub, frame, len, &p, &stamp, now);
		return;
	}
	if (!sub->own)
		diverge(c, sub);
	enter(c, sub, &p, &stamp, now);
}

static void frame_whole(struct checker *c, struct sub *sub, const char *frame, size_t len, uint64_t now)
{
	enum speak_frame kind = speak_of(c, sub)->kind(frame, len);

	if (kind == SPEAK_PING) {
		member_count(&c->m->me->pings, 1);
		sub->pongs++;
	} else if (sub->state != SUB_READY) {
		set_up(c, sub, frame, len);
	} else if (kind != SPEAK_OTHER) {
		message(c, sub, frame, len, now);
	}
}

/* In a frame that is too long to be one: on to what may be the next. */
static size_t feed_skipped(struct sub *sub, const char *buf, size_t n)
{
	const char *end = memchr(buf, WIRE_END, n);

	if (end)
		sub->flags &= (uint8_t)~SUB_SKIP;
	return end ? (size_t)(end - buf) + 1 : n;
}

/* Takes the bytes up to the end of one frame, or what there is of it. Returns how many. */
static size_t feed_one(struct checker *c, struct sub *sub, const char *buf, size_t n, uint64_t now)
{
	const struct speak *speak = speak_of(c, sub);
	size_t had, more, len;

	if (sub->flags & SUB_SKIP)
		return feed_skipped(sub, buf, n);
	if (!sub->spill && (sub->own || sub->at <= stream_start(stream_of(c, sub), sub->pos)) && (len = speak->cut(buf, n))) {
		frame_whole(c, sub, buf, len, now);
		return len;
	}
	spill_start(c, sub);
	had = sub->spill->len;
	more = n < c->spill_max - had ? n : c->spill_max - had;
	memcpy(sub->spill->bytes + had, buf, more);
	sub->spill->len += more;
	len = speak->cut(sub->spill->bytes, sub->spill->len);
	if (len) {
		more = len - had;
		frame_whole(c, sub, sub->spill->bytes, len, now);
		spill_give(c, sub);
	} else if (sub->spill->len == c->spill_max) {
		torn(c, sub, sub->spill->bytes, sub->spill->len);
		spill_give(c, sub);
		sub->flags |= SUB_SKIP;
	}
	return more;
}

/* One subscriber's pause shows in its own gaps even while others, of another worker say, go on. */
static void hear(struct checker *c, struct sub *sub, uint64_t now)
{
	uint32_t us = (uint32_t)((now - c->m->shm->base) / 1000);

	if (sub->flags & SUB_SLOW)
		return;
	if (sub->heard && (uint64_t)(us - sub->heard) * 1000 >= c->sub_pause)
		histogram_add(&c->m->me->waits, (uint64_t)(us - sub->heard) * 1000);
	sub->heard = us;
	gaps_heard(&c->m->me->gaps, now, c->pause);
	gaps_heard(&c->m->shm->gaps, now, c->pause);
}

void check_feed(struct checker *c, struct sub *sub, const char *buf, size_t n, uint64_t now)
{
	uint32_t had = check_received(sub);

	member_count(&c->m->me->bytes, n);
	while (n && sub->state < SUB_BAD) {
		size_t took = 0;

		if (sub->state == SUB_READY && !sub->spill && !sub->own && !(sub->flags & SUB_SKIP))
			took = feed_same(c, sub, buf, n, now);
		if (took < n)
			took += feed_one(c, sub, buf + took, n - took, now);
		buf += took;
		n -= took;
	}
	if (c->pause && check_received(sub) != had)
		hear(c, sub, now);
}

void check_gone(struct checker *c, struct sub *sub)
{
	spill_give(c, sub);
}

void check_count(struct checker *c)
{
	const struct options *opt = c->m->opt;

	for (uint32_t s = 0; s < c->streams; s++) {
		struct stream *st = &c->stream[s];

		for (uint32_t i = 0; i < st->count; i++)
			member_delivered(c->m, s / opt->topics,
					 &(struct payload){ .topic = s % opt->topics, .publisher = st->frame[i].publisher, .seq = st->frame[i].seq },
					 st->frame[i].last);
		st->hash = stream_hash_upto(st, st->count);
		if (st->count == opt->messages)
			member_same_order(c->m, s / opt->topics, s % opt->topics, st->hash);	/* before any single subscriber that went its own way */
	}
}

static void count_missing(struct checker *c, const struct sub *sub, uint32_t n)
{
	const struct options *opt = c->m->opt;
	char first[64] = "";

	if (sub->flags & SUB_SLOW && opt->slow_may_lose) {
		member_count(&c->m->me->slow_lost, n);
		return;
	}
	if (sub->own) {
		uint32_t i = account_missing(sub->own);

		snprintf(first, sizeof(first), ", such as publisher %u's message %u", i % opt->publishers, i / opt->publishers);
	}
	member_fault(c->m, FAULT_LOST, n);
	member_note(c->m, "lost: %u of %u messages by a subscriber of topic %u (%s)%s%s", n, opt->messages, sub->topic,
		    speak_of(c, sub)->name, first,
		    sub->state == SUB_GONE ? "; its connection was lost" : "");
}

void check_count_sub(struct checker *c, struct sub *sub)
{
	const struct options *opt = c->m->opt;
	uint32_t received = check_received(sub);

	if (!(sub->flags & SUB_COUNTS))
		return;
	c->m->me->by[sub->transport].deliveries += received;
	if (received < opt->messages) {
		count_missing(c, sub, opt->messages - received);
	} else if (!(sub->own && sub->own->late) &&
		   !member_same_order(c->m, sub->transport, sub->topic, sub->own ? sub->own->hash : stream_of(c, sub)->hash)) {
		member_fault(c->m, FAULT_REORDERED, 1);
		member_note(c->m, "reordered: a subscriber of topic %u (%s) saw the publishers' messages in another order than the rest",
			    sub->topic, speak_of(c, sub)->name);
	}
}
