/*
 * Snapshots of other versions, and such as contradict themselves.
 */
#include "tests/unit/snapshot_fixture.h"

struct pair {
	const char *key, *text;		/* text NULL: the number */
	uint64_t number;		/* text BYTES: that many bytes */
};
#define BYTES "(bytes)"

/* A map of the pairs but for one, and something that no version knows. */
static void pack_map(msgpack_packer *p, const struct pair *pair, unsigned count, const struct pair *skip)
{
	msgpack_pack_map(p, count + 1 - (skip >= pair && skip < pair + count));
	for (unsigned i = 0; i < count; i++) {
		if (&pair[i] == skip)
			continue;
		msgpack_pack_str_with_body(p, pair[i].key, strlen(pair[i].key));
		if (pair[i].text && strcmp(pair[i].text, BYTES) == 0)
			msgpack_pack_bin_with_body(p, BYTES, pair[i].number);
		else if (pair[i].text)
			msgpack_pack_str_with_body(p, pair[i].text, strlen(pair[i].text));
		else
			msgpack_pack_uint64(p, pair[i].number);
	}
	msgpack_pack_str_with_body(p, "colour", 6);
	msgpack_pack_array(p, 2);
	msgpack_pack_nil(p);
	msgpack_pack_double(p, 1.5);
}

/* The maps' pairs stand one map behind the other; one of them is left out. */
static int packed(const struct pair *pairs, const unsigned *counts, unsigned maps, const struct pair *skip)
{
	msgpack_sbuffer buf;
	msgpack_packer p;
	int fd;

	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&p, &buf, msgpack_sbuffer_write);
	for (unsigned i = 0; i < maps; i++) {
		pack_map(&p, pairs, counts[i], skip);
		pairs += counts[i];
	}
	fd = bytes_file(buf.data, buf.size);
	msgpack_sbuffer_destroy(&buf);
	return fd;
}

/* All that a slot's snapshot must have; there is room for another key of the session. */
static const struct pair least_slot[9] = {
	{ "v", NULL, 1 }, { "kind", "slot", 0 }, { "sessions", NULL, 1 },
	{ "fd", NULL, 5 }, { "proto", "flash", 0 }, { "pos", NULL, 1 }, { "sent", NULL, 2 }, { "parsed", NULL, 3 },
};
#define LEAST_SLOT 8

static const struct pair least_hub[] = {
	{ "v", NULL, 1 }, { "kind", "hub", 0 }, { "epoch", NULL, 9 }, { "time", NULL, 77 }, { "first", NULL, 4 },
	{ "tail", NULL, 6 }, { "slots", NULL, 1 }, { "topics", NULL, 1 },
	{ "slot", NULL, 2 }, { "delivered", NULL, 3 },
	{ "topic", "t", 0 }, { "interest", NULL, 4 }, { "published", NULL, 1 }, { "last", NULL, 3 },
	{ "seq", NULL, 4 }, { "time", NULL, 70 },
	{ "seq", NULL, 5 }, { "time", NULL, 77 },
};
#define LEAST_HUB (sizeof(least_hub) / sizeof(least_hub[0]))
static const unsigned hub_counts[] = { 8, 2, 4, 2, 2 };

/* What the snapshot is taken for with one of its values changed. */
static int read_slot_with(unsigned at, struct pair value)
{
	const unsigned counts[] = { 3, at < LEAST_SLOT ? 5 : 6 };
	struct pair changed[LEAST_SLOT + 1];
	int fd, r;

	memcpy(changed, least_slot, sizeof(changed));
	changed[at] = value;
	fd = packed(changed, counts, 2, NULL);
	r = other_slot(fd, -1, 5, 23);
	close(fd);
	return r;
}

static int read_hub_with(unsigned at, struct pair value)
{
	struct pair changed[LEAST_HUB];
	int fd, r;

	memcpy(changed, least_hub, sizeof(changed));
	changed[at] = value;
	fd = packed(changed, hub_counts, 5, NULL);
	r = other_hub(fd);
	close(fd);
	return r;
}

static struct pair other_type(const struct pair *p)
{
	return p->text ? (struct pair){ p->key, NULL, 1 } : (struct pair){ p->key, "x", 0 };
}

static void values_of_other_types(void **state)
{
	const char *const bytes[] = { "token", "in", "out", "flags", "topics" };

	(void)state;
	for (unsigned i = 0; i < LEAST_SLOT; i++)
		assert_int_equal(read_slot_with(i, other_type(&least_slot[i])), EPROTO);
	for (unsigned i = 0; i < LEAST_HUB; i++)
		assert_int_equal(read_hub_with(i, other_type(&least_hub[i])), EPROTO);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(read_slot_with(LEAST_SLOT, (struct pair){ bytes[i], NULL, 5 }), EPROTO);
		assert_int_equal(read_slot_with(LEAST_SLOT, (struct pair){ bytes[i], "text", 0 }), EPROTO);
	}
	assert_int_equal(read_slot_with(LEAST_SLOT, (struct pair){ "last_in", "text", 0 }), EPROTO);
	assert_int_equal(read_slot_with(LEAST_SLOT, (struct pair){ "last_in", NULL, 1ull << 32 }), EPROTO);
	assert_int_equal(read_slot_with(LEAST_SLOT, (struct pair){ "last_in", NULL, 5 }), 0);
}

/* Numbers that fit their types and not each other. The places are those in the tables above. */
static void values_that_contradict(void **state)
{
	(void)state;
	assert_int_equal(read_slot_with(LEAST_SLOT, (struct pair){ "token", BYTES, 7 }), EPROTO);
	assert_int_equal(read_slot_with(5, (struct pair){ "pos", NULL, SEQS + 2 }), EPROTO);
	assert_int_equal(read_slot_with(7, (struct pair){ "parsed", NULL, 1ull << 63 }), EPROTO);
	assert_int_equal(read_hub_with(3, (struct pair){ "time", NULL, 78 }), EPROTO);
	assert_int_equal(read_hub_with(4, (struct pair){ "first", NULL, 0 }), EPROTO);
	assert_int_equal(read_hub_with(4, (struct pair){ "first", NULL, 7 }), EPROTO);
	assert_int_equal(read_hub_with(9, (struct pair){ "delivered", NULL, 7 }), EPROTO);
	assert_int_equal(read_hub_with(10, (struct pair){ "topic", "", 0 }), EPROTO);
	assert_int_equal(read_hub_with(11, (struct pair){ "interest", NULL, 0 }), EPROTO);
	assert_int_equal(read_hub_with(12, (struct pair){ "published", NULL, 0 }), EPROTO);
	assert_int_equal(read_hub_with(12, (struct pair){ "published", NULL, 4 }), EPROTO);
	assert_int_equal(read_hub_with(13, (struct pair){ "last", NULL, 4 }), EPROTO);
	assert_int_equal(read_hub_with(14, (struct pair){ "seq", NULL, 5 }), EPROTO);
	assert_int_equal(read_hub_with(15, (struct pair){ "time", NULL, 77 }), EPROTO);
	assert_int_equal(read_hub_with(15, (struct pair){ "time", NULL, 77 + RING_TIME_BACK }), EPROTO);
	assert_int_equal(read_hub_with(15, (struct pair){ "time", NULL, 78 + RING_TIME_BACK }), 0);	/* the clock was set back */
}

static int read_records_with(unsigned at, struct pair value)
{
	static const unsigned counts[] = { 8, 4, 5, 5 };
	struct pair pairs[] = {
		{ "v", NULL, 1 }, { "kind", "hub", 0 }, { "epoch", NULL, 9 }, { "time", NULL, 77 }, { "first", NULL, 4 },
		{ "tail", NULL, 6 }, { "slots", NULL, 0 }, { "topics", NULL, 1 },
		{ "topic", "t", 0 }, { "interest", NULL, 4 }, { "published", NULL, 3 }, { "last", NULL, 5 },
		{ "seq", NULL, 4 }, { "time", NULL, 70 }, { "topic", "t", 0 }, { "number", NULL, 2 }, { "bytes", BYTES, 3 },
		{ "seq", NULL, 5 }, { "time", NULL, 77 }, { "topic", "t", 0 }, { "number", NULL, 3 }, { "bytes", BYTES, 4 },
	};
	int fd, r;

	pairs[at] = value;
	fd = packed(pairs, counts, 4, NULL);
	r = other_hub(fd);
	close(fd);
	return r;
}

static void records_that_contradict(void **state)
{
	(void)state;
	assert_int_equal(read_records_with(0, (struct pair){ "v", NULL, 1 }), 0);
	assert_int_equal(read_records_with(14, (struct pair){ "topic", "u", 0 }), EPROTO);
	assert_int_equal(read_records_with(15, (struct pair){ "number", NULL, 0 }), EPROTO);
	assert_int_equal(read_records_with(15, (struct pair){ "number", NULL, 1 }), EPROTO);
	assert_int_equal(read_records_with(15, (struct pair){ "number", NULL, 4 }), EPROTO);
	assert_int_equal(read_records_with(20, (struct pair){ "number", NULL, 2 }), EPROTO);
	assert_int_equal(read_records_with(20, (struct pair){ "number", NULL, 4 }), EPROTO);
	assert_int_equal(read_records_with(16, (struct pair){ "bytes", BYTES, 0 }), EPROTO);
}

/* What a topic is taken for, of slots 2 and 5, whose subscribers are one map of the pairs (none: they are a number). */
static int read_subscribers_with(const struct pair *pairs, unsigned count)
{
	msgpack_sbuffer buf;
	msgpack_packer p;
	int fd, r;

	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&p, &buf, msgpack_sbuffer_write);
	pack_map(&p, (const struct pair[]){ { "v", NULL, 1 }, { "kind", "hub", 0 }, { "epoch", NULL, 9 }, { "time", NULL, 77 },
					    { "first", NULL, 4 }, { "tail", NULL, 4 }, { "slots", NULL, 0 }, { "topics", NULL, 1 } }, 8, NULL);
	msgpack_pack_map(&p, 5);
	msgpack_pack_str_with_body(&p, "subscribers", 11);
	if (count) {
		msgpack_pack_array(&p, 1);
		pack_map(&p, pairs, count, NULL);
	} else {
		msgpack_pack_int(&p, 5);
	}
	msgpack_pack_str_with_body(&p, "topic", 5);
	msgpack_pack_str_with_body(&p, "t", 1);
	msgpack_pack_str_with_body(&p, "interest", 8);
	msgpack_pack_int(&p, 1 << 2 | 1 << 5);
	msgpack_pack_str_with_body(&p, "published", 9);
	msgpack_pack_int(&p, 0);
	msgpack_pack_str_with_body(&p, "last", 4);
	msgpack_pack_int(&p, 0);
	fd = bytes_file(buf.data, buf.size);
	msgpack_sbuffer_destroy(&buf);
	r = other_hub(fd);
	close(fd);
	return r;
}

static void subscribers_that_contradict(void **state)
{
	(void)state;
#define WITH(...) read_subscribers_with((const struct pair[]){ __VA_ARGS__ }, sizeof((const struct pair[]){ __VA_ARGS__ }) / sizeof(struct pair))
	assert_int_equal(WITH({ "slot", NULL, 5 }, { "count", NULL, UINT32_MAX }), 0);
	assert_int_equal(WITH({ "slot", NULL, 5 }, { "count", NULL, 1ull << 32 }), EPROTO);
	assert_int_equal(WITH({ "slot", NULL, 4 }, { "count", NULL, 1 }), EPROTO);
	assert_int_equal(WITH({ "slot", NULL, 64 }, { "count", NULL, 1 }), EPROTO);
	assert_int_equal(WITH({ "slot", NULL, 69 }, { "count", NULL, 1 }), EPROTO);
	assert_int_equal(WITH({ "slot", NULL, 5 }, { "count", "1", 0 }), EPROTO);
	assert_int_equal(WITH({ "slot", NULL, 5 }), EPROTO);
	assert_int_equal(WITH({ "count", NULL, 5 }), EPROTO);
#undef WITH
	assert_int_equal(read_subscribers_with(NULL, 0), EPROTO);
}

/* A session, a slot or a topic that is there twice. */
static void things_twice(void **state)
{
	static const unsigned slot_counts[] = { 3, 5, 5 }, slots_counts[] = { 8, 2, 2 }, topics_counts[] = { 8, 4, 4 };
	struct pair pairs[16];
	int fd;

	(void)state;
	memcpy(pairs, least_slot, sizeof(least_slot));
	memcpy(pairs + 8, least_slot + 3, 5 * sizeof(pairs[0]));
	pairs[2].number = 2;
	fd = packed(pairs, slot_counts, 3, NULL);
	assert_int_equal(other_slot(fd, -1, 5, 23), EPROTO);
	close(fd);
	memcpy(pairs, least_hub, 8 * sizeof(pairs[0]));
	memcpy(pairs + 8, least_hub + 8, 2 * sizeof(pairs[0]));
	memcpy(pairs + 10, least_hub + 8, 2 * sizeof(pairs[0]));
	pairs[3].number = 1;
	pairs[4].number = pairs[5].number;	/* no records */
	pairs[6].number = 2;
	pairs[7].number = 0;
	fd = packed(pairs, slots_counts, 3, NULL);
	assert_int_equal(other_hub(fd), EPROTO);
	close(fd);
	memcpy(pairs + 8, least_hub + 10, 4 * sizeof(pairs[0]));
	memcpy(pairs + 12, least_hub + 10, 4 * sizeof(pairs[0]));
	pairs[6].number = 0;
	pairs[7].number = 2;
	fd = packed(pairs, topics_counts, 3, NULL);
	assert_int_equal(other_hub(fd), EPROTO);
	close(fd);
}

static void slot_of_another_version(void **state)
{
	static const unsigned counts[] = { 3, 5 };
	struct pair later[LEAST_SLOT];
	int fd;

	(void)state;
	fd = packed(least_slot, counts, 2, NULL);
	assert_int_equal(other_slot(fd, -1, 5, 23), 0);
	close(fd);
	for (unsigned i = 0; i < LEAST_SLOT; i++) {
		fd = packed(least_slot, counts, 2, &least_slot[i]);
		assert_int_equal(other_slot(fd, -1, 5, 23), EPROTO);
		close(fd);
	}
	memcpy(later, least_slot, sizeof(later));
	later[0].number = SNAPSHOT_VERSION + 1;
	fd = packed(later, counts, 2, NULL);
	assert_int_equal(snapshot_version(fd), SNAPSHOT_VERSION + 1);
	assert_int_equal(other_slot(fd, -1, 5, 23), EPROTO);
	assert_int_equal(other_hub(fd), EPROTO);
	close(fd);
}

static void hub_of_another_version(void **state)
{
	int fd = packed(least_hub, hub_counts, 5, NULL);

	(void)state;
	assert_int_equal(other_hub(fd), 0);
	assert_int_equal(other_slot(fd, -1, 5, 23), EPROTO);
	close(fd);
	for (unsigned i = 0; i < LEAST_HUB; i++) {
		fd = packed(least_hub, hub_counts, 5, &least_hub[i]);
		assert_int_equal(other_hub(fd), EPROTO);
		close(fd);
	}
}

static void no_snapshot_at_all(void **state)
{
	int fd = file();

	(void)state;
	assert_int_equal(snapshot_version(fd), -1);
	assert_int_equal(errno, EPROTO);
	assert_int_equal(other_hub(fd), EPROTO);
	assert_int_equal(other_slot(fd, -1, 5, 23), EPROTO);
	close(fd);
	fd = bytes_file("\xff\xdfrubbish", 9);
	assert_int_equal(snapshot_version(fd), -1);
	assert_int_equal(other_hub(fd), EPROTO);
	close(fd);
	assert_int_equal(snapshot_version(-1), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slot_of_another_version),
		cmocka_unit_test(hub_of_another_version),
		cmocka_unit_test(values_of_other_types),
		cmocka_unit_test(values_that_contradict),
		cmocka_unit_test(records_that_contradict),
		cmocka_unit_test(subscribers_that_contradict),
		cmocka_unit_test(things_twice),
		cmocka_unit_test(no_snapshot_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
