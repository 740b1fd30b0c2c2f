/*
 * Patterns in the topic index: which shapes they have, and which of them fit a topic.
 *
 * A pattern is an entry of the index, found by its name. Of each shape that entries have there is a count. A look-up takes the shapes that are in use, one
 * after the other: of each, one pattern alone can fit, whose name follows from the topic's. So a publish costs as many look-ups as there are shapes at most,
 * however many patterns there are, and whatever they are. A sieve says of most patterns that are not there that they are not, without a look at entries, which
 * are far apart in memory. What is counted follows from the entries, and changes while `dirty` is 1 (index.h).
 */
#include "shm/index_patterns.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static bool shape_of(const char *name, size_t len, struct wildcard *shape)
{
	return index_is_pattern(name, len) && wildcard_read(name, len, shape);
}

/* The place of the shape, or of the next one if it is not there. */
static uint32_t find_shape(const struct index_shm *shm, const struct wildcard *shape)
{
	uint32_t i = 0;

	while (i < shm->shapes && !wildcard_same(&shm->shape[i].shape, shape))
		i++;
	return i;
}

/*
 * A name's parts as numbers, from which the sieve's place of a pattern is made. They are made once for a topic, and serve all shapes. (Who finds words that
 * are the same number only has the sieve let through what is not there.)
 */
struct numbers {
	uint64_t part[WILDCARD_PARTS_MAX];
};

static uint64_t mix(uint64_t h, uint64_t n)
{
	h = (h ^ n) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 32;
}

static void number_parts(const struct index *ix, const struct wildcard_topic *name, struct numbers *numbers)
{
	for (unsigned i = 0; i < name->parts && i < WILDCARD_PARTS_MAX; i++) {
		uint64_t h = ix->shm->seed;
		size_t len;
		const char *p = wildcard_part(name, i, &len);

		while (len-- > 0)
			h = (h ^ (uint8_t)*p++) * 0x100000001b3u;
		numbers->part[i] = h;
	}
}

/* Where the sieve has the pattern of this shape that fits the topic. */
static uint8_t *sieve_of(const struct index *ix, const struct wildcard *shape, const struct numbers *topic)
{
	uint64_t h = shape->stars ^ (uint64_t)shape->tail << 32;

	for (unsigned i = 0; i < shape->parts; i++)
		if (!(shape->stars >> i & 1))
			h = mix(h, topic->part[i] + i);
	return &ix->sieve[mix(h, ix->shm->seed) & (INDEX_SIEVE * (uint64_t)ix->shm->buckets - 1)];
}

/* Of a pattern that is there: its words are its own. */
static uint8_t *sieve_of_entry(const struct index *ix, const struct wildcard *shape, const struct topic_shm *t)
{
	struct wildcard_topic name;
	struct numbers numbers;

	wildcard_divide(t->name, t->name_len, &name);
	number_parts(ix, &name, &numbers);
	return sieve_of(ix, shape, &numbers);
}

void patterns_clear(const struct index *ix)
{
	if (ix->shm->sieved)
		memset(ix->sieve, 0, (size_t)INDEX_SIEVE * ix->shm->buckets);
	ix->shm->patterns = ix->shm->shapes = 0;
}

void patterns_count(const struct index *ix, const struct topic_shm *t)
{
	struct index_shm *shm = ix->shm;
	struct wildcard shape;
	uint8_t *sieve;
	uint32_t at;

	if (!shape_of(t->name, t->name_len, &shape))
		return;
	at = find_shape(shm, &shape);
	if (at == shm->shapes) {
		assert(at < INDEX_SHAPES_MAX);
		shm->shape[at] = (struct shape_shm){ .shape = shape };
		shm->shapes++;
	}
	shm->shape[at].patterns++;
	shm->patterns++;
	__atomic_store_n(&shm->sieved, 1, __ATOMIC_RELAXED);
	atomic_signal_fence(memory_order_seq_cst);	/* (whoever repairs clears what was written) */
	sieve = sieve_of_entry(ix, &shape, t);
	*sieve += *sieve < UINT8_MAX;
}

void patterns_uncount(const struct index *ix, const struct topic_shm *t)
{
	struct index_shm *shm = ix->shm;
	struct wildcard shape;
	uint8_t *sieve;
	uint32_t at;

	if (!shape_of(t->name, t->name_len, &shape))
		return;
	at = find_shape(shm, &shape);
	assert(at < shm->shapes);
	shm->patterns--;
	if (--shm->shape[at].patterns == 0)
		shm->shape[at] = shm->shape[--shm->shapes];
	sieve = sieve_of_entry(ix, &shape, t);
	*sieve -= *sieve < UINT8_MAX;
}

int patterns_may(const struct index_shm *shm, const char *name, size_t len)
{
	struct wildcard shape;

	if (!shape_of(name, len, &shape))
		return 0;
	if (shm->patterns >= shm->patterns_max) {
		errno = EDQUOT;
		return -1;
	}
	if (find_shape(shm, &shape) >= shm->shapes_max) {
		errno = ENOBUFS;
		return -1;
	}
	return 0;
}

unsigned index_match(const struct index *ix, const char *name, size_t len, uint32_t found[INDEX_SHAPES_MAX])
{
	const struct index_shm *shm = ix->shm;
	struct wildcard_topic topic;
	struct numbers numbers;
	char pattern[TOPIC_NAME_MAX];
	unsigned n = 0;

	if (shm->shapes == 0 || *name == NAME_INBOX || *name == NAME_EVERYBODY)
		return 0;
	wildcard_divide(name, len, &topic);
	number_parts(ix, &topic, &numbers);
	for (uint32_t i = 0; i < shm->shapes; i++) {
		const struct wildcard *shape = &shm->shape[i].shape;
		size_t size;

		if (!wildcard_fits(shape, &topic) || *sieve_of(ix, shape, &numbers) == 0)
			continue;
		size = wildcard_write(shape, &topic, pattern, sizeof(pattern));
		if (size > 0 && (found[n] = index_find(ix, index_hash(pattern, size), pattern, size)) != TOPIC_NONE)
			n++;
	}
	return n;
}

const char *patterns_check(const struct index *ix)
{
	const struct index_shm *shm = ix->shm;
	uint32_t patterns = 0, in_shapes = 0, of_shape[INDEX_SHAPES_MAX] = { 0 };
	struct wildcard shape;

	if (shm->shapes > INDEX_SHAPES_MAX)
		return "more shapes than there may be";
	for (uint32_t topic = 1; topic <= shm->high; topic++) {
		const struct topic_shm *t = &ix->topics[topic];
		uint32_t at;

		if (atomic_load_explicit(&t->state, memory_order_relaxed) != TOPIC_USED || !shape_of(t->name, t->name_len, &shape))
			continue;
		at = find_shape(shm, &shape);
		if (at == shm->shapes)
			return "a pattern whose shape is not there";
		patterns++;
		of_shape[at]++;
		if (*sieve_of_entry(ix, &shape, t) == 0)
			return "a pattern that the sieve does not know";
	}
	for (uint32_t i = 0; i < shm->shapes; i++) {
		if (of_shape[i] == 0 || of_shape[i] != shm->shape[i].patterns || find_shape(shm, &shm->shape[i].shape) != i)
			return "a shape is not counted right";
		in_shapes += of_shape[i];
	}
	return patterns == shm->patterns && patterns == in_shapes ? NULL : "patterns are not counted right";
}
