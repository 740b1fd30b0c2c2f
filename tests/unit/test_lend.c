/*
 * Lent buffers: what they count for, how much may be lent, and that their memory is given back.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/unit/hub_fixture.h"
#include "shm/lend.h"

#define LIMIT (8u << 20)
#define HELD(f, n) atomic_load(&(f)->hub.shm->slot[n].buffered)

struct lender {
	struct slot slot;
	struct lend lend;
	int fd;
};

static void begin(struct lender *x, const struct fixture *f, unsigned number)
{
	struct slot_size size = { .sessions = 1024, .frame = 262144, .buffered = LIMIT };

	f->hub.shm->buffered_max = LIMIT;
	atomic_store(&f->hub.shm->slot[number].state, SLOT_LIVE);
	x->fd = slot_create("slot", &size);
	assert_int_equal(slot_attach(&x->slot, x->fd), 0);
	assert_int_equal(lend_init(&x->lend, &x->slot), 0);
	lend_charge_to(&x->lend, &f->hub, number);
	assert_int_equal(lend_ready(&x->lend), 0);
}

static void end(struct lender *x)
{
	lend_fini(&x->lend);
	slot_detach(&x->slot);
	close(x->fd);
}

/* A new worker's, with what was lent. */
static void follow(struct lender *x, const struct fixture *f, unsigned number, const uint32_t *refs, unsigned count)
{
	lend_fini(&x->lend);
	lend_init(&x->lend, &x->slot);
	lend_charge_to(&x->lend, &f->hub, number);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(lend_claim(&x->lend, refs[i]), 0);
	lend_ready(&x->lend);
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
	small = lend_take(&x.lend, 100);
	assert_int_equal(HELD(f, 3), 512);
	large = lend_take(&x.lend, 200000);
	assert_in_range(HELD(f, 3), 200000 + 512, 204800 + 512);
	assert_int_equal(lend_grow(&x.lend, large, 150000), 0);
	assert_in_range(HELD(f, 3), 200000 + 512, 204800 + 512);
	assert_int_equal(lend_grow(&x.lend, large, 250000), 0);
	assert_in_range(HELD(f, 3), 250000 + 512, 254000 + 512);
	lend_settle(&x.lend, large, 210000);
	assert_in_range(HELD(f, 3), 210000 + 512, 214000 + 512);
	follow(&x, f, 3, &large, 1);		/* the small one was nobody's */
	assert_in_range(HELD(f, 3), 210000, 214000);
	lend_give(&x.lend, large);
	assert_int_equal(HELD(f, 3), 0);
	(void)small;
	end(&x);
}

/* Whoever lends first and whatever size: the sum stays within the limit, and each has its share. */
static void limit_of_all(void **state)
{
	static const size_t sizes[] = { 100, 3000, 60000, 250000, 1000000 };
	struct fixture *f = *state;
	struct lender x, y;
	uint32_t last = 0;
	unsigned n = 0;

	begin(&x, f, 0);
	begin(&y, f, 1);
	for (uint32_t ref; (ref = lend_take(&x.lend, sizes[n % 5])) != LENT_NONE || n % 5; n++)
		last = ref ? ref : last;
	assert_int_equal(errno, ENOMEM);
	assert_in_range(HELD(f, 0), LIMIT / 2, LIMIT - LIMIT / 4);
	n = 0;
	while (lend_take(&y.lend, 60000) != LENT_NONE)
		n++;
	assert_true(n >= 8);
	assert_in_range(HELD(f, 1), LIMIT / 8 - 65536, LIMIT / 8);
	assert_int_equal(lend_grow(&y.lend, lend_next(&y.lend, LENT_NONE), 1), 0);
	assert_true(HELD(f, 0) + HELD(f, 1) <= LIMIT);
	assert_int_equal(lend_take(&y.lend, 250000), LENT_NONE);
	assert_false(lend_allows(&y.lend, 250000));
	for (uint32_t ref; (ref = lend_next(&x.lend, LENT_NONE)) != LENT_NONE;)
		lend_give(&x.lend, ref);
	assert_int_equal(HELD(f, 0), 0);
	assert_int_not_equal(lend_take(&y.lend, 250000), LENT_NONE);
	(void)last;
	end(&x);
	end(&y);
}

/* The segment has room for all that the limit lets be lent, of any size. */
static void room_for_the_limit(void **state)
{
	static const size_t sizes[] = { 450, 4000, 5000, 65000, 66000, 262000, 263000, 3000000 };
	struct fixture *f = *state;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct lender x;
		unsigned n = 0;

		begin(&x, f, 0);
		while (n < 2048 && lend_take(&x.lend, sizes[i]) != LENT_NONE)
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
	kept = lend_take(&x.lend, 100);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned n = 0; n < 1000; n++) {
			uint32_t ref = lend_take(&x.lend, sizes[i]);

			if (ref != LENT_NONE)
				memset(lend_bytes(&x.slot, ref), 'x', sizes[i]);
		}
	memset(lend_bytes(&x.slot, kept), 'k', 100);
	assert_true(memory_of(&x) > 4 * 1000 * 1000);
	for (uint32_t ref = lend_next(&x.lend, kept); ref; ref = lend_next(&x.lend, ref))
		lend_give(&x.lend, ref);
	assert_true(memory_of(&x) <= before + 5 * (1024 * 1024 + 262144));	/* some of each is warm, */
	for (unsigned i = 0; i < 100; i++)
		lend_trim(&x.lend);
	assert_true(memory_of(&x) <= before + 2 * 4096);			/* for a while; and of the page it stands in, the one that stays */
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(lend_bytes(&x.slot, kept)[i], 'k');
	end(&x);
}

/* What the last worker left, warm or beyond what this one has ever lent. */
static void successors_give_back(void **state)
{
	struct fixture *f = *state;
	struct lender x;
	uint32_t refs[50];
	uint64_t before;

	begin(&x, f, 0);
	before = memory_of(&x);
	for (unsigned i = 0; i < 50; i++) {
		refs[i] = lend_take(&x.lend, 60000);
		memset(lend_bytes(&x.slot, refs[i]), 'x', 60000);
	}
	follow(&x, f, 0, &refs[20], 1);
	lend_trim(&x.lend);
	lend_trim(&x.lend);
	assert_true(memory_of(&x) <= before + 65536);
	assert_int_equal(lend_bytes(&x.slot, refs[20])[59999], 'x');
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
	while (lend_take(&a.lend, 200000) != LENT_NONE)
		;
	for (unsigned i = 0; i < 4; i++)
		assert_int_not_equal(lend_take(&b.lend, 200000), LENT_NONE);
	assert_false(lend_allows(&b.lend, 400000));
	assert_true(lend_could_allow(&b.lend, 0, 400000));
	assert_true(lend_could_allow(&b.lend, 200000, share - 200000));
	assert_false(lend_could_allow(&b.lend, 200000, share));
	assert_true(lend_could_allow(&a.lend, 0, open - 1000000));
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
