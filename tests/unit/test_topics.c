/*
 * The list of topics: what is shown, pieces of it, what it costs; and how often there are messages.
 */
#include "hub_fixture.h"

#include "shm/topics.h"

#define SECOND UINT64_C(1000000)
#define NOW (UINT64_C(1448434925) * SECOND)

static struct topics_scan whole(const char *prefix)
{
	return (struct topics_scan){ .next = 1, .looks = 1000, .prefix = prefix, .prefix_len = strlen(prefix) };
}

static bool is_named(const struct topic_info *info, const char *name)
{
	return info->name_len == strlen(name) && memcmp(info->name, name, info->name_len) == 0;
}

static void test_subscribers_of_all_slots(void **state)
{
	struct fixture *f = *state;
	struct topics_scan scan = whole("");
	struct topic_info info[4];

	join(f, 0, "news", 2);
	join(f, 63, "news", 3);
	join(f, 5, "else", 1);
	assert_int_equal(topics_scan(&f->hub, &scan, NOW, info, 4), 2);
	assert_int_equal(scan.next, 0);
	assert_true(is_named(&info[0], "news"));
	assert_int_equal(info[0].subscribers, 5);
	assert_int_equal(info[0].last, 0);
	assert_false(info[0].kept);
	assert_true(is_named(&info[1], "else"));
	assert_int_equal(info[1].subscribers, 1);
	index_leave(&f->hub.index, 5, find(f, "else"));
	index_leave(&f->hub.index, 63, find(f, "news"));
	scan = whole("");
	assert_int_equal(topics_scan(&f->hub, &scan, NOW, info, 4), 1);
	assert_int_equal(info[0].subscribers, 2);
	check(f);
}

static void test_weight(void **state)
{
	struct fixture *f = *state;
	struct topic_weight weight;
	struct topic_info info;
	uint32_t news;

	join(f, 0, "news", 2);
	join(f, 63, "news", 3);
	news = find(f, "news");
	assert_true(topics_weigh(&f->hub, news, "", 0, &weight));
	assert_true(topics_read(&f->hub, news, NOW, &info));
	assert_int_equal(weight.subscribers, 5);
	assert_int_equal(weight.published, info.published);
	assert_int_equal(weight.number, news);
	assert_int_equal(weight.generation, info.generation);
	assert_true(topics_weigh(&f->hub, news, "news", 4, &weight));
	assert_false(topics_weigh(&f->hub, news, "news.", 5, &weight));
	assert_false(topics_weigh(&f->hub, news, "nest", 4, &weight));
	assert_false(topics_weigh(&f->hub, TOPIC_NONE, "", 0, &weight));
	assert_false(topics_weigh(&f->hub, f->hub.index.shm->high + 1, "", 0, &weight));
	index_leave(&f->hub.index, 63, news);
	assert_true(topics_weigh(&f->hub, news, "", 0, &weight));
	assert_int_equal(weight.subscribers, 2);
	index_leave(&f->hub.index, 0, news);
	assert_false(topics_weigh(&f->hub, news, "", 0, &weight));
	join(f, 0, "\1bob", 1);
	assert_false(topics_weigh(&f->hub, find(f, "\1bob"), "", 0, &weight));
}

static void test_users_are_not_shown(void **state)
{
	struct fixture *f = *state;
	struct topics_scan scan = whole("");
	struct topic_info info[4];
	const char inbox[] = { NAME_INBOX, 'b', 'o', 'b', 0 }, everybody[] = { NAME_EVERYBODY, 0 };

	join(f, 0, inbox, 1);
	join(f, 0, everybody, 1);
	join(f, 0, "bob", 1);
	assert_int_equal(topics_scan(&f->hub, &scan, NOW, info, 4), 1);
	assert_true(is_named(&info[0], "bob"));
	scan = whole(inbox);
	assert_int_equal(topics_scan(&f->hub, &scan, NOW, info, 4), 0);
	assert_false(topics_read(&f->hub, find(f, inbox), NOW, info));
	assert_false(topics_read(&f->hub, find(f, everybody), NOW, info));
	assert_false(topics_read(&f->hub, TOPIC_NONE, NOW, info));
	assert_false(topics_read(&f->hub, f->hub.index.shm->high + 1, NOW, info));
}

static void test_prefix(void **state)
{
	struct fixture *f = *state;
	struct topics_scan scan = whole("a.");
	struct topic_info info[8];

	join(f, 0, "a", 1);
	join(f, 0, "a.", 1);
	join(f, 0, "b.a.", 1);
	join(f, 0, "a.b", 1);
	assert_int_equal(topics_scan(&f->hub, &scan, NOW, info, 8), 2);
	assert_true(is_named(&info[0], "a."));
	assert_true(is_named(&info[1], "a.b"));
}

/* No piece looks at more than it may, and every topic that stays comes once, whatever comes and goes between the pieces. */
static void test_pieces(void **state)
{
	struct fixture *f = *state;
	struct topics_scan scan = whole("stays");
	struct topic_info info[4];
	unsigned seen[6] = { 0 }, pieces = 0;
	char name[16];

	for (unsigned i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "stays%u", i);
		join(f, 0, name, 1);
		snprintf(name, sizeof(name), "goes%u", i);
		join(f, 0, name, 1);
	}
	while (scan.next) {
		uint32_t from = scan.next;

		scan.looks = 3;
		unsigned n = topics_scan(&f->hub, &scan, NOW, info, 4);

		assert_true(n <= 3);
		assert_true(scan.next == 0 || scan.next - from <= 3);
		for (unsigned i = 0; i < n; i++)
			seen[info[i].name[5] - '0']++;
		if (pieces < 6) {
			snprintf(name, sizeof(name), "goes%u", pieces);
			index_leave(&f->hub.index, 0, find(f, name));
			snprintf(name, sizeof(name), "comes%u", pieces);
			join(f, 0, name, 1);
		}
		pieces++;
		assert_true(pieces < 20);
	}
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(seen[i], 1);
}

/* A worker's count is a look, too. */
static void test_counts_cost(void **state)
{
	struct fixture *f = *state;
	struct topics_scan scan = whole("");
	struct topic_info info[4];

	for (unsigned slot = 0; slot < INDEX_SLOTS_MAX; slot++)
		join(f, slot, "wide", 1);
	join(f, 0, "narrow", 1);
	scan.looks = INDEX_SLOTS_MAX;
	assert_int_equal(topics_scan(&f->hub, &scan, NOW, info, 4), 1);
	assert_int_equal(info[0].subscribers, INDEX_SLOTS_MAX);
	assert_int_equal(scan.looks, 0);
	assert_int_equal(scan.next, 2);
}

static uint64_t hundredths(const struct topic_shm *t, uint64_t now)
{
	return (index_rate(t, now) + 5) / 10;
}

static void test_rate(void **state)
{
	struct fixture *f = *state;
	struct topic_shm *t = index_topic(&f->hub.index, join(f, 0, "news", 1));
	uint64_t now = NOW;

	assert_int_equal(index_rate(t, now), 0);
	for (unsigned i = 0; i < 10000; i++) {
		now += SECOND / 100;
		index_pulse(t, now);
		if (i > 6000)
			assert_in_range(hundredths(t, now), 9700, 10300);
	}
	assert_in_range(hundredths(t, now + 10 * SECOND), 2000, 3500);
	assert_in_range(hundredths(t, now - SECOND / 2), 9000, 11000);		/* (another process's clock) */
	assert_int_equal(index_rate(t, now + 300 * SECOND), 0);
	assert_int_equal(index_rate(t, now + (SECOND << 30)), 0);
	index_pulse(t, now - 3600 * SECOND);					/* a clock that was set back */
	assert_in_range(hundredths(t, now - 3600 * SECOND), 10, 15);
}

/* A burst doesn't wrap. */
static void test_rate_of_very_many(void **state)
{
	struct fixture *f = *state;
	struct topic_shm *t = index_topic(&f->hub.index, join(f, 0, "news", 1));

	t->pulse = UINT32_MAX - 3;
	t->pulse_at = (uint32_t)(NOW >> 20);
	index_pulse(t, NOW);
	assert_int_equal(t->pulse, UINT32_MAX - 3);
	assert_true(index_rate(t, NOW) > UINT64_C(7000000000));
}

/* What a number was before says nothing of the topic that has it now. */
static void test_number_is_used_again(void **state)
{
	struct fixture *f = *state;
	uint32_t number = join(f, 0, "old", 1);
	struct topic_info info;

	index_pulse(index_topic(&f->hub.index, number), NOW);
	index_leave(&f->hub.index, 0, number);
	assert_false(topics_read(&f->hub, number, NOW, &info));
	assert_int_equal(join(f, 0, "new", 1), number);
	assert_true(topics_read(&f->hub, number, NOW, &info));
	assert_true(is_named(&info, "new"));
	assert_int_equal(info.rate, 0);
	assert_int_equal(info.published, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_subscribers_of_all_slots, setup, teardown),
		cmocka_unit_test_setup_teardown(test_weight, setup, teardown),
		cmocka_unit_test_setup_teardown(test_users_are_not_shown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_prefix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counts_cost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate_of_very_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_number_is_used_again, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
