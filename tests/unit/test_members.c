/*
 * Members of watched topics: what is told of them, lists, limits; and what a message of presence looks like.
 */
#include "tests/unit/hub_fixture.h"

#include "proto/presence.h"
#include "shm/publish.h"

#define SLOT 4
#define NOW 100000u

static uint32_t watch(struct hub *hub, const char *topic, uint64_t slots, bool *made)
{
	return members_watch(&hub->members, index_hash(topic, strlen(topic)), topic, strlen(topic), slots, NOW, made);
}

static int set(struct hub *hub, uint32_t topic, const char *user, unsigned slot, bool here)
{
	return members_set(&hub->members, topic, members_cell(&hub->members, topic)->serial, index_hash(user, strlen(user)), user, strlen(user), slot, here);
}

static void verify(const struct hub *hub)
{
	const char *why;

	if (members_check(&hub->members, &why) < 0)
		fail_msg("members_check: %s", why);
}

/* The list, as one text. */
static const char *list(struct hub *hub, uint32_t topic)
{
	static char text[4096];
	struct member_cursor cursor = { 0 };
	uint32_t more;

	text[members_list(&hub->members, topic, &cursor, text, sizeof(text) - 1, &more)] = '\0';
	assert_int_equal(more, 0);
	return text;
}

/* Publishes what is due, and says it: "+alice-bob". */
static const char *told(struct hub *hub)
{
	static char text[256];
	struct member_change c;
	size_t n = 0;

	while (members_next_change(&hub->members, &c)) {
		n += (size_t)sprintf(text + n, "%c%.*s", c.here ? '+' : '-', c.user_len, c.user);
		assert_int_equal(publish_change(hub, SLOT, &c), 0);
		verify(hub);
	}
	text[n] = '\0';
	return text;
}

/* ---- names and texts ---- */

static void which_names(void **state)
{
	(void)state;
	assert_int_equal(presence_topic("news@presence", 13), 4);
	assert_int_equal(presence_topic("@presence", 9), 0);
	assert_int_equal(presence_topic("a@presence@presence", 19), 0);
	assert_int_equal(presence_topic("a.*@presence", 12), 0);
	assert_int_equal(presence_topic(">@presence", 10), 0);
	assert_int_equal(presence_topic("news@presenc", 12), 0);
	assert_true(presence_in("@presence", 9));
	assert_false(presence_in("presence", 8));
}

static void texts(void **state)
{
	char text[256];
	struct sink s = { .dst = text, .room = sizeof(text) };

	(void)state;
	presence_put_change(&s, "ne\"ws", 5, "bob\\", 4, true);
	assert_int_equal(s.len, strlen("\"topic\":\"ne\\\"ws@presence\",\"event\":\"subscribed\",\"data\":{\"user\":\"bob\\\\\"}}"));
	assert_memory_equal(text, "\"topic\":\"ne\\\"ws@presence\",\"event\":\"subscribed\",\"data\":{\"user\":\"bob\\\\\"}}", s.len);
}

/* ---- the table ---- */

static void a_user_is_there_once(void **state)
{
	struct hub *hub = &((struct fixture *)*state)->hub;
	bool made;
	uint32_t t = watch(hub, "news", 0, &made);

	assert_true(made);
	assert_int_equal(watch(hub, "news", 0, &made), t);
	assert_false(made);
	set(hub, t, "alice", 1, true);
	set(hub, t, "alice", 2, true);
	assert_string_equal(told(hub), "+alice");
	set(hub, t, "alice", 1, false);
	assert_string_equal(told(hub), "");
	set(hub, t, "bob", 63, true);
	set(hub, t, "alice", 2, false);
	assert_string_equal(told(hub), "-alice+bob");
	assert_string_equal(list(hub, t), "\"topic\":\"news@presence\",\"event\":\"members\",\"data\":{\"users\":[\"bob\"],\"more\":0}}");
	verify(hub);
}

static void taken_back(void **state)
{
	struct hub *hub = &((struct fixture *)*state)->hub;
	bool made;
	uint32_t t = watch(hub, "news", 0, &made);
	struct member_change c;

	set(hub, t, "alice", 1, true);
	assert_true(members_next_change(&hub->members, &c));
	set(hub, t, "alice", 1, false);
	assert_int_equal(publish_change(hub, SLOT, &c), 0);	/* it is not due any more */
	assert_int_equal(hub->index.shm->unheard, 0);
	assert_string_equal(told(hub), "");
	verify(hub);
}

static void not_told_until_all_have_counted(void **state)
{
	struct hub *hub = &((struct fixture *)*state)->hub;
	bool made;
	uint32_t t = watch(hub, "news", 3, &made);

	set(hub, t, "alice", 0, true);
	members_counted(&hub->members, t, 0);
	assert_false(members_whole(&hub->members, t, NOW + MEMBERS_PATIENCE - 1));
	assert_string_equal(told(hub), "");
	assert_non_null(strstr(list(hub, t), "[\"alice\"]"));
	set(hub, t, "bob", 1, true);
	members_counted(&hub->members, t, 1);
	assert_true(members_whole(&hub->members, t, NOW));
	set(hub, t, "carol", 1, true);
	assert_string_equal(told(hub), "+carol");
	/* one who says nothing is not waited for */
	t = watch(hub, "other", 1, &made);
	assert_true(members_whole(&hub->members, t, NOW + MEMBERS_PATIENCE));
	set(hub, t, "late", 0, true);
	assert_string_equal(told(hub), "+late");
}

static void a_slot_is_gone(void **state)
{
	struct hub *hub = &((struct fixture *)*state)->hub;
	bool made;
	uint32_t t = watch(hub, "news", 1 << 5, &made);

	members_counted(&hub->members, t, 5);
	set(hub, t, "alice", 5, true);
	set(hub, t, "bob", 5, true);
	set(hub, t, "bob", 6, true);
	told(hub);
	t = watch(hub, "other", 1 << 5, &made);
	hub_clear_slot(hub, 5, INDEX_SLOTS_MAX + 1);
	assert_true(members_whole(&hub->members, t, NOW));
	assert_string_equal(told(hub), "-alice");
	verify(hub);
}

static void no_longer_watched(void **state)
{
	struct hub *hub = &((struct fixture *)*state)->hub;
	bool made;
	uint32_t t = watch(hub, "news", 0, &made), other = watch(hub, "other", 0, &made), again;
	uint64_t serial = members_cell(&hub->members, t)->serial, version;

	set(hub, t, "alice", 1, true);
	set(hub, other, "bob", 1, true);
	set(hub, t, "carol", 1, true);
	version = members_version(&hub->members);
	members_unwatch(&hub->members, t);
	assert_int_not_equal(members_version(&hub->members), version);
	verify(hub);
	assert_string_equal(told(hub), "+bob");
	again = watch(hub, "news", 0, &made);
	assert_true(made);
	assert_int_equal(members_set(&hub->members, again, serial, 1, "late", 4, 1, true), 0);	/* meant for the one that is gone */
	assert_string_equal(told(hub), "");
	assert_non_null(strstr(list(hub, again), "[]"));
}

static void limits(void **state)
{
	size_t size = members_size(8);
	void *mem = aligned_alloc(64, (size + 63) / 64 * 64);
	struct members m;
	char user[2] = "a";
	uint32_t t, other;
	bool made;

	(void)state;
	memset(mem, 0, size);
	members_format(mem, 8);
	assert_int_equal(members_attach(&m, mem, size - 1), -1);
	assert_int_equal(members_attach(&m, mem, size), 0);
	t = members_watch(&m, 1, "t", 1, 0, NOW, &made);
	other = members_watch(&m, 2, "u", 1, 0, NOW, &made);
	assert_true(t && other);
	assert_int_equal(members_watch(&m, 3, "v", 1, 0, NOW, &made), 0);		/* a quarter of them may be topics */
	for (; user[0] < 'g'; user[0]++)
		assert_int_equal(members_set(&m, t, members_cell(&m, t)->serial, 7, user, 1, 1, true), 0);
	assert_int_equal(members_set(&m, t, members_cell(&m, t)->serial, 7, user, 1, 1, true), -1);
	members_unwatch(&m, t);
	assert_int_equal(members_set(&m, other, members_cell(&m, other)->serial, 7, user, 1, 1, true), 0);
	free(mem);
	mem = calloc(1, 4096);
	members_format(mem, 0);
	assert_int_equal(members_attach(&m, mem, members_size(0)), 0);
	assert_false(members_is_on(&m));
	assert_int_equal(members_watch(&m, 1, "t", 1, 0, NOW, &made), 0);
	members_leave(&m, 1);
	members_repair(&m, 7);
	free(mem);
}

/* A list in pieces has each once, also if the last one told has gone meanwhile: then from the start. */
static void pieces(void **state)
{
	struct hub *hub = &((struct fixture *)*state)->hub;
	struct member_cursor cursor = { 0 };
	uint32_t t, more = 1, all = 0, cell;
	char text[2048], user[201];
	struct member_change c;
	bool made;

	memset(user, 'u', sizeof(user));
	t = watch(hub, "news", 0, &made);
	for (unsigned i = 0; i < 40; i++) {
		sprintf(user + 196, "%04u", i);
		set(hub, t, user, 1, true);
	}
	while (members_next_change(&hub->members, &c))
		assert_int_equal(publish_change(hub, SLOT, &c), 0);
	while (more > 0) {
		size_t len = members_list(&hub->members, t, &cursor, text, sizeof(text), &more);

		assert_in_range(len, 1, sizeof(text));
		for (size_t i = 0; i + 4 < len; i++)
			all += memcmp(text + i, "uuu0", 4) == 0;
		assert_int_equal(all + more, 40);
	}
	cell = members_cell(&hub->members, t)->after;
	cursor = (struct member_cursor){ .member = cell, .listed = 40, .serial = members_cell(&hub->members, cell)->serial + 1 };
	members_list(&hub->members, t, &cursor, text, sizeof(text), &more);
	assert_non_null(strstr(text, "0000\""));
}

/* Presence is told by messages: to who subscribes it, and not to patterns. */
static void published(void **state)
{
	struct fixture *f = *state;
	struct hub *hub = &f->hub;
	uint32_t topic = join(f, SLOT, "news@presence", 1), t;
	struct ring_record rec;
	bool made;

	join(f, SLOT, ">", 1);
	t = watch(hub, "news", 0, &made);
	set(hub, t, "alice", 1, true);
	assert_string_equal(told(hub), "+alice");
	assert_int_equal(ring_tail(&hub->ring), 2);
	assert_int_equal(ring_read(&hub->ring, 1, &rec), 0);
	assert_int_equal(rec.topic, topic);
	assert_memory_equal(ring_peek(&hub->ring, &rec), "\"topic\":\"news@presence\",\"event\":\"subscribed\"", 44);
	assert_int_equal(slot_of(f, SLOT)->counters[COUNTER_presence_changes], 1);
	assert_int_equal(slot_of(f, SLOT)->intent.state, INTENT_NONE);
	check(f);
}

/* A worker is far behind: it waits, and is told later. */
static void put_off(void **state)
{
	struct fixture *f = *state;
	struct hub *hub = &f->hub;
	struct member_change c;
	bool made;
	uint32_t t;

	join(f, SLOT, "news@presence", 1);
	go_live(f, SLOT, false);
	t = watch(hub, "news", 0, &made);
	for (unsigned i = 0;; i++) {
		char user[8];

		set(hub, t, user, 1, sprintf(user, "u%u", i) > 0);
		assert_true(members_next_change(&hub->members, &c));
		if (publish_change(hub, SLOT, &c) < 0)
			break;
		assert_true(i < RING_MESSAGES);
	}
	assert_int_equal(errno, EBUSY);		/* (in a ring as small as this, the message is a large one) */
	go_live(f, SLOT, false);
	assert_true(members_is_due(&hub->members, &c));
	assert_int_equal(publish_change(hub, SLOT, &c), 0);
	assert_false(members_are_due(&hub->members));
	verify(hub);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_names),
		cmocka_unit_test(texts),
		cmocka_unit_test_setup_teardown(a_user_is_there_once, setup, teardown),
		cmocka_unit_test_setup_teardown(taken_back, setup, teardown),
		cmocka_unit_test_setup_teardown(not_told_until_all_have_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_slot_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(no_longer_watched, setup, teardown),
		cmocka_unit_test(limits),
		cmocka_unit_test_setup_teardown(pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(published, setup, teardown),
		cmocka_unit_test_setup_teardown(put_off, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
