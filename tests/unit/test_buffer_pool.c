/*
 * The buffer pool: what buffers count for, how much may be taken, and that their memory is given back.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/unit/hub_fixture.h"
#include "shm/buffer_pool.h"

#define LIMIT (8u << 20)
#define HELD(f, n) atomic_load(&(f)->hub.shm->slot[n].buffered)

struct lender {
	struct slot slot;
	struct buffer_pool pool;
	int fd;
};

static void begin(struct lender *x, const struct fixture *f, unsigned number)
{
	struct slot_size size = { .sessions = 1024, .frame = 262144, .buffered = LIMIT };

	f->hub.shm->buffered_max = LIMIT;
	atomic_store(&f->hub.shm->slot[number].state, SLOT_LIVE);
	x->fd = slot_create("slot", &size);
	assert_int_equal(slot_attach(&x->slot, x->fd, true), 0);
	assert_int_equal(pool_init(&x->pool, &x->slot), 0);
	pool_charge_to(&x->pool, &f->hub, number);
	assert_int_equal(pool_ready(&x->pool), 0);
}

static void end(struct lender *x)
{
	pool_fini(&x->pool);
	slot_detach(&x->slot);
	close(x->fd);
}

/* A new worker's, with the buffers that the last one had taken. */
static void follow(struct lender *x, const struct fixture *f, unsigned number, const uint32_t *refs, unsigned count)
{
	pool_fini(&x->pool);
	pool_init(&x->pool, &x->slot);
	pool_charge_to(&x->pool, &f->hub, number);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(pool_claim(&x->pool, refs[i]), 0);
	pool_ready(&x->pool);
}

static uint64_t memory_of(const struct lender *x)
{
	struct stat st;

	fstat(x->fd, &st);
	return (uint64_t)st.st_blocks * 512;
}

static void counts_what_is_used(void **state)
{
	struct fixture *f = *state;
	struct lender x;
	uint32_t small, large;

	begin(&x, f, 3);
	small = pool_take(&x.pool, 100);
	assert_int_equal(HELD(f, 3), 512);
	large = pool_take(&x.pool, 200000);
	assert_in_range(HELD(f, 3), 200000 + 512, 204800 + 512);
	assert_int_equal(pool_grow(&x.pool, large, 150000), 0);
	assert_in_range(HELD(f, 3), 200000 + 512, 204800 + 512);
	assert_int_equal(pool_grow(&x.pool, large, 250000), 0);
	assert_in_range(HELD(f, 3), 250000 + 512, 254000 + 512);
	pool_shrink(&x.pool, large, 210000);
	assert_in_range(HELD(f, 3), 210000 + 512, 214000 + 512);
	follow(&x, f, 3, &large, 1);		/* the small one was nobody's */
	assert_in_range(HELD(f, 3), 210000, 214000);
	pool_give(&x.pool, large);
	assert_int_equal(HELD(f, 3), 0);
	(void)small;
	end(&x);
}

/* Whoever takes first and whatever size: the sum stays within the limit, and each has its share. */
static void limit_of_all(void **state)
{
	static const size_t sizes[] = { 100, 3000, 60000, 250000, 1000000 };
	struct fixture *f = *state;
	struct lender x, y;
	uint32_t last = 0;
	unsigned n = 0;

	begin(&x, f, 0);
	begin(&y, f, 1);
	for (uint32_t ref; (ref = pool_take(&x.pool, sizes[n % 5])) != BUFFER_NONE || n % 5; n++)
		last = ref ? ref : last;
	assert_int_equal(errno, ENOMEM);
	assert_in_range(HELD(f, 0), LIMIT / 2, LIMIT - LIMIT / 4);
	n = 0;
	while (pool_take(&y.pool, 60000) != BUFFER_NONE)
		n++;
	assert_true(n >= 8);
	assert_in_range(HELD(f, 1), LIMIT / 8 - 65536, LIMIT / 8);
	assert_int_equal(pool_grow(&y.pool, pool_next(&y.pool, BUFFER_NONE), 1), 0);
	assert_true(HELD(f, 0) + HELD(f, 1) <= LIMIT);
	assert_int_equal(pool_take(&y.pool, 250000), BUFFER_NONE);
	assert_false(pool_allows(&y.pool, 250000));
	for (uint32_t ref; (ref = pool_next(&x.pool, BUFFER_NONE)) != BUFFER_NONE;)
		pool_give(&x.pool, ref);
	assert_int_equal(HELD(f, 0), 0);
	assert_int_not_equal(pool_take(&y.pool, 250000), BUFFER_NONE);
	(void)last;
	end(&x);
	end(&y);
}

/* The segment has room for as many buffers of any size as the limit lets be taken. */
static void room_for_the_limit(void **state)
{
	static const size_t sizes[] = { 450, 4000, 5000, 65000, 66000, 262000, 263000, 3000000 };
	struct fixture *f = *state;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct lender x;
		unsigned n = 0;

		begin(&x, f, 0);
		while (n < 2048 && pool_take(&x.pool, sizes[i]) != BUFFER_NONE)
			n++;
		assert_true(n == 2048 || (n + 1) * (sizes[i] + 8192) > LIMIT - LIMIT / 4);
		assert_true(x.slot.size < 40ull * LIMIT);
		end(&x);
	}
}

static void all_is_given_back(void **state)
{
	static const size_t sizes[] = { 100, 3000, 60000, 250000 };
	struct fixture *f = *state;
	struct lender x;
	uint64_t before;
	uint32_t kept;

	begin(&x, f, 0);
	before = memory_of(&x);
	kept = pool_take(&x.pool, 100);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned n = 0; n < 1000; n++) {
			uint32_t ref = pool_take(&x.pool, sizes[i]);

			if (ref != BUFFER_NONE)
				memset(pool_bytes(&x.slot, ref), 'x', sizes[i]);
		}
	memset(pool_bytes(&x.slot, kept), 'k', 100);
	assert_true(memory_of(&x) > 4 * 1000 * 1000);
	for (uint32_t ref = pool_next(&x.pool, kept); ref; ref = pool_next(&x.pool, ref))
		pool_give(&x.pool, ref);
	assert_true(memory_of(&x) <= before + 5 * (1024 * 1024 + 262144));	/* some of each is warm, */
	for (unsigned i = 0; i < 100; i++)
		pool_trim(&x.pool);
	assert_true(memory_of(&x) <= before + 2 * 4096);			/* for a while; and of the page it stands in, the one that stays */
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(pool_bytes(&x.slot, kept)[i], 'k');
	end(&x);
}

/* What the last worker left, warm or beyond what this one has ever taken. */
static void successors_give_back(void **state)
{
	struct fixture *f = *state;
	struct lender x;
	uint32_t refs[50];
	uint64_t before;

	begin(&x, f, 0);
	before = memory_of(&x);
	for (unsigned i = 0; i < 50; i++) {
		refs[i] = pool_take(&x.pool, 60000);
		memset(pool_bytes(&x.slot, refs[i]), 'x', 60000);
	}
	follow(&x, f, 0, &refs[20], 1);
	pool_trim(&x.pool);
	pool_trim(&x.pool);
	assert_true(memory_of(&x) <= before + 65536);
	assert_int_equal(pool_bytes(&x.slot, refs[20])[59999], 'x');
	end(&x);
}

/* What could come if buffers here were given back: not what others hold, beyond this one's share. */
static void others_are_in_the_way(void **state)
{
	struct fixture *f = *state;
	struct lender a, b;
	uint32_t share = LIMIT / 4 / 2, open = LIMIT - LIMIT / 4;

	begin(&a, f, 0);
	begin(&b, f, 1);
	while (pool_take(&a.pool, 200000) != BUFFER_NONE)
		;
	for (unsigned i = 0; i < 4; i++)
		assert_int_not_equal(pool_take(&b.pool, 200000), BUFFER_NONE);
	assert_false(pool_allows(&b.pool, 400000));
	assert_true(pool_could_allow(&b.pool, 0, 400000));
	assert_true(pool_could_allow(&b.pool, 200000, share - 200000));
	assert_false(pool_could_allow(&b.pool, 200000, share));
	assert_true(pool_could_allow(&a.pool, 0, open - 1000000));
	end(&a);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(counts_what_is_used, setup, teardown),
		cmocka_unit_test_setup_teardown(limit_of_all, setup, teardown),
		cmocka_unit_test_setup_teardown(others_are_in_the_way, setup, teardown),
		cmocka_unit_test_setup_teardown(room_for_the_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(all_is_given_back, setup, teardown),
		cmocka_unit_test_setup_teardown(successors_give_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
