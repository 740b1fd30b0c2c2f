/*
 * Snapshots of a hub with history: it goes along, whole or as much as has room.
 */
#include <sys/mman.h>

#include "tests/unit/history_fixture.h"

#include "shm/snapshot.h"

/* Another hub, with so many pages. */
static struct fixture *other(const char *rules, uint32_t pages)
{
	struct fixture *f = calloc(1, sizeof(*f));

	begin_with(f, rules, pages);
	return f;
}

static void end(struct fixture *f)
{
	void *state = f;

	teardown(&state);
}

static int written(const struct fixture *f)
{
	int fd = memfd_create("snapshot", 0);

	assert_int_equal(snapshot_write_hub(&f->hub, UINT64_MAX, fd), 0);
	return fd;
}

/* Three topics: one unheard, one with a subscriber and large messages, one whose history has messages that the ring has not. */
static void populate(struct fixture *f)
{
	rule(f, "*: 100 messages");
	join(f, 2, "heard", 1);
	for (unsigned i = 0; i < 150; i++) {
		say(f, "unheard", 300 + i);
		say(f, "heard", i % 10 ? 20 : 9000);
		if (i < 20)
			say(f, "early", 40);
	}
}

static void verify_same(const struct fixture *a, const struct fixture *b, const char *name)
{
	const struct history_topic_shm *x = kept(a, name), *y = kept(b, name);
	uint64_t first = 0, last = 0;

	assert_int_equal(x->messages, y->messages);
	assert_int_equal(x->bytes, y->bytes);
	assert_int_equal(x->from, y->from);
	assert_int_equal(x->newest_seq, y->newest_seq);
	assert_int_equal(x->newest, y->newest);
	assert_int_equal(read_from(b, name, 0, &first, &last), x->messages);
	assert_int_equal(index_topic(&a->hub.index, find(a, name))->since, index_topic(&b->hub.index, find(b, name))->since);
	assert_int_equal(index_topic(&b->hub.index, find(b, name))->kept, 1);
}

static void comes_back(void **state)
{
	struct fixture *a = *state, *b = other("*: 100 messages", PAGES);
	uint64_t first = 0, last = 0, n;
	int fd;

	populate(a);
	fd = written(a);
	assert_int_equal(snapshot_read_hub(&b->hub, fd), 0);
	check_history(b);
	verify_same(a, b, "unheard");
	verify_same(a, b, "heard");
	verify_same(a, b, "early");
	assert_int_equal(b->hub.history.counts.kept, 0);
	n = read_from(a, "unheard", 0, &first, &last);
	say(b, "unheard", 10);
	assert_int_equal(read_from(b, "unheard", 0, &first, &last), n + 1);
	assert_int_equal(last, 151);
	close(fd);
	end(b);
}

static void comes_back_without_rules(void **state)
{
	struct fixture *a = *state, *b = other("", PAGES);
	int fd;

	populate(a);
	fd = written(a);
	assert_int_equal(snapshot_read_hub(&b->hub, fd), 0);
	history_sweep(&b->hub.history, hub_now(), 100);
	check_history(b);
	assert_int_equal(find(b, "unheard"), TOPIC_NONE);
	assert_int_not_equal(find(b, "heard"), TOPIC_NONE);
	assert_int_equal(b->hub.history.shm->books.live, 0);
	close(fd);
	end(b);
}

/* Each topic has what has a place, and no gaps. */
static void comes_back_to_less(void **state)
{
	struct fixture *a = *state, *b = other("*: 100 messages", 20);
	uint64_t first = 0, last = 0;
	int fd;

	populate(a);
	fd = written(a);
	assert_int_equal(snapshot_read_hub(&b->hub, fd), 0);
	check_history(b);
	assert_true(read_from(b, "unheard", 0, &first, &last) > 0);
	assert_int_equal(last, 150);
	assert_true(read_from(b, "early", 0, &first, &last) > 0);
	assert_int_equal(last, 20);
	if (kept(b, "heard")->messages) {
		read_from(b, "heard", 0, &first, &last);
		assert_int_equal(last, 150);
	}
	close(fd);
	end(b);
}

/* Records of the ring get into history where there was none. */
static void new_rules(void **state)
{
	struct fixture *a = *state, *b = other("*: 100 messages", PAGES);
	uint64_t first = 0, last = 0;
	int fd = memfd_create("snapshot", 0);

	join(a, 0, "a", 1);
	for (unsigned i = 0; i < 10; i++)
		say(a, "a", 100);
	assert_int_equal(snapshot_write_hub(&a->hub, 5, fd), 0);
	assert_int_equal(snapshot_read_hub(&b->hub, fd), 0);
	check_history(b);
	assert_int_equal(read_from(b, "a", 0, &first, &last), 6);
	assert_int_equal(first, 5);
	assert_int_equal(kept(b, "a")->from, 5);
	close(fd);
	end(b);
}

/* One that is cut short or has a byte that is another is refused, or is another snapshot; whatever it is, history is in order. */
static void damaged(void **state)
{
	struct fixture *f = *state;
	static uint8_t bytes[1 << 16];
	const char *why;
	size_t size;
	int fd;

	rule(f, "*: 100 messages");
	for (unsigned i = 0; i < 5; i++)
		say(f, "a", 30 + 4000 * (i == 2));
	fd = written(f);
	size = (size_t)pread(fd, bytes, sizeof(bytes), 0);
	close(fd);
	srandom(3);
	for (unsigned i = 0; i < 1500; i++) {
		struct fixture *b = other("*: 100 messages", 20);
		size_t at = (size_t)random() % size, len = i % 3 ? size : at;
		uint8_t was = bytes[at];

		if (i % 2)
			at %= 400;
		was = bytes[at];
		bytes[at] = (uint8_t)(i % 3 ? random() : was);
		fd = memfd_create("snapshot", 0);
		assert_int_equal(write(fd, bytes, len), len);
		if (snapshot_read_hub(&b->hub, fd) == 0) {
			if (history_check(&b->hub.history, &why) < 0)
				fail_msg("byte %zu: %s", at, why);
		} else {
			assert_int_equal(errno, EPROTO);
		}
		bytes[at] = was;
		close(fd);
		end(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(comes_back), TEST(comes_back_without_rules), TEST(comes_back_to_less), TEST(new_rules), TEST(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
