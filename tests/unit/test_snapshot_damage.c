/*
 * Snapshots that were cut, added to, and changed anywhere.
 */
#include "tests/unit/snapshot_fixture.h"

struct bytes {
	uint8_t *at;
	size_t len;
	bool hub;
	int hub_snapshot;
};

static struct bytes contents(int fd, bool hub, int hub_snapshot)
{
	struct bytes b = { .hub = hub, .hub_snapshot = hub_snapshot };
	struct stat st;

	fstat(fd, &st);
	b.len = (size_t)st.st_size;
	b.at = malloc(b.len);
	assert_int_equal(pread(fd, b.at, b.len, 0), b.len);
	return b;
}

static int read_bytes(const struct bytes *b, size_t len)
{
	int fd = bytes_file(b->at, len);
	int r = b->hub ? other_hub(fd) : other_slot(fd, b->hub_snapshot, 16, 23);

	close(fd);
	return r;
}

static void cut(const struct bytes *b)
{
	assert_int_equal(read_bytes(b, b->len), 0);
	for (size_t len = 0; len < b->len; len += len < 600 || len + 600 > b->len ? 1 : 13)
		assert_int_equal(read_bytes(b, len), EPROTO);
}

static void add_rubbish(const struct bytes *b)
{
	struct bytes more = { .at = calloc(b->len + 1, 1), .len = b->len + 1, .hub = b->hub, .hub_snapshot = b->hub_snapshot };

	memcpy(more.at, b->at, b->len);
	assert_int_equal(read_bytes(&more, more.len), EPROTO);
	free(more.at);
}

/* Whatever comes of it is in order: other_hub() and other_slot() look. */
static void flip(const struct bytes *b, unsigned tries)
{
	unsigned failed = 0;

	srandom(20091);
	for (unsigned i = 0; i < tries; i++) {
		unsigned flips = 1 + i % 3;
		size_t at[3];
		uint8_t was[3];
		int r;

		for (unsigned k = 0; k < flips; k++) {
			at[k] = (size_t)random() % (k == 2 ? 64 : b->len);
			was[k] = b->at[at[k]];
			b->at[at[k]] = (uint8_t)(i % 2 ? random() : b->at[at[k]] ^ 1 << random() % 8);
		}
		r = read_bytes(b, b->len);
		assert_true(r == 0 || r == EPROTO || r == ENOSPC);
		failed += r != 0;
		for (unsigned k = flips; k-- > 0;)
			b->at[at[k]] = was[k];
	}
	assert_true(failed > tries / 10);
	assert_int_equal(read_bytes(b, b->len), 0);
}

static void damaged(bool hub)
{
	struct server a;
	int x = file(), y = file();
	struct bytes b;

	start(&a, 65536, 128, 16, 64);
	populate_hub(&a);
	populate_slot(&a);
	snapshot_write_hub(&a.hub, SEQS - 60, x);
	snapshot_write_slot(&a.hub, &a.slot, NULL, y, NULL, NULL);
	stop(&a);
	b = contents(hub ? x : y, hub, x);
	cut(&b);
	add_rubbish(&b);
	flip(&b, 4000);
	free(b.at);
	close(x);
	close(y);
}

static void hub_snapshot_damaged(void **state)
{
	(void)state;
	damaged(true);
}

static void slot_snapshot_damaged(void **state)
{
	(void)state;
	damaged(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hub_snapshot_damaged),
		cmocka_unit_test(slot_snapshot_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
