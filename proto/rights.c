/*
 * What somebody may do. See rights.h.
 */
#include "proto/rights.h"

#include <string.h>

#include "proto/wildcard.h"

/* What stands before a grant's pattern. */
enum { GRANT_KIND, GRANT_RIGHTS, GRANT_LEN, GRANT_HEAD };

struct grant {
	enum rights_kind kind;
	unsigned rights;
	const char *pattern;
	size_t len;
};

/* ---- writing ---- */

static void put(struct rights_writer *w, const void *bytes, size_t len)
{
	if (w->error)
		return;
	if (len > w->room - w->len) {
		w->error = "the token gives more rights than a connection can hold";
		return;
	}
	memcpy(w->dst + w->len, bytes, len);
	w->len += len;
}

void rights_begin(struct rights_writer *w, void *dst, size_t room, const char *sub, size_t sub_len, int64_t expires)
{
	struct rights head = { .sub_len = (uint8_t)sub_len, .expires = expires };

	*w = (struct rights_writer){ .dst = dst, .room = room < RIGHTS_SIZE_MAX ? room : RIGHTS_SIZE_MAX };
	if (sub_len > RIGHTS_SUB_MAX)
		w->error = "the name of who it is (sub) is longer than 255 bytes";
	put(w, &head, sizeof(head));
	put(w, sub, sub_len);
}

void rights_grant(struct rights_writer *w, enum rights_kind kind, unsigned rights, const char *pattern, size_t len)
{
	uint8_t head[GRANT_HEAD] = { [GRANT_KIND] = (uint8_t)kind, [GRANT_RIGHTS] = (uint8_t)rights, [GRANT_LEN] = (uint8_t)len };
	struct rights *block = (struct rights *)w->dst;

	if (w->error)
		return;
	if (kind == RIGHTS_EVERYBODY)
		head[GRANT_LEN] = 0, len = 0;
	else if (len == 0 || len > UINT8_MAX)
		w->error = "a topic or user that rights are given for is empty or longer than 255 bytes";
	else if (kind == RIGHTS_TOPICS)
		w->error = wildcard_error(pattern, len);
	if (!w->error && block->grants == RIGHTS_GRANTS_MAX)
		w->error = "the token names more topics and users than a connection can hold";
	put(w, head, sizeof(head));
	put(w, pattern, len);
	if (!w->error)
		block->grants++;
}

size_t rights_end(struct rights_writer *w, const char **error)
{
	*error = w->error;
	if (w->error)
		return 0;
	((struct rights *)w->dst)->size = (uint32_t)w->len;
	return w->len;
}

/* ---- reading ---- */

static const char *first_grant(const struct rights *block)
{
	return block->sub + block->sub_len;
}

/* Reads the grant at p. What stands behind it. */
static const char *read_grant(const char *p, struct grant *g)
{
	const uint8_t *head = (const uint8_t *)p;

	*g = (struct grant){ .kind = head[GRANT_KIND], .rights = head[GRANT_RIGHTS], .pattern = p + GRANT_HEAD, .len = head[GRANT_LEN] };
	return g->pattern + g->len;
}

bool rights_check(const void *from, size_t size)
{
	const struct rights *block = from;
	const char *p, *end;
	struct grant g;

	if (size < sizeof(*block) || size > RIGHTS_SIZE_MAX || block->size != size || block->grants > RIGHTS_GRANTS_MAX || block->certified > 1 || block->sub_len > size - sizeof(*block))
		return false;
	p = first_grant(block);
	end = (const char *)from + size;
	for (unsigned i = 0; i < block->grants; i++) {
		if (end - p < GRANT_HEAD || end - p - GRANT_HEAD < ((const uint8_t *)p)[GRANT_LEN])
			return false;
		p = read_grant(p, &g);
		if (g.kind > RIGHTS_EVERYBODY || g.rights & ~(unsigned)(RIGHT_ALL | RIGHTS_AT_ONCE) || (g.kind == RIGHTS_EVERYBODY) != (g.len == 0))
			return false;
	}
	return p == end;
}

/* ---- what fits ---- */

static bool same(const struct grant *g, const char *name, size_t len)
{
	return g->len == len && memcmp(g->pattern, name, len) == 0;
}

/*
 * Whether the grant is of all names with a beginning, of *len bytes: `chat:*`, and `*` itself. What is subscribed at once is not: its name is
 * what the client would say.
 */
static bool is_beginning(const struct grant *g, size_t *len)
{
	*len = g->len - 1;
	if (g->rights & RIGHTS_AT_ONCE || g->len == 0 || g->pattern[*len] != '*')
		return false;
	return *len == 0 || !wildcard_in(g->pattern, g->len);
}

static bool fits_name(const struct grant *g, const char *name, size_t len)
{
	struct wildcard_topic topic;
	struct wildcard shape;
	char written[UINT8_MAX];
	size_t begin;

	if (same(g, name, len))
		return true;
	if (is_beginning(g, &begin))
		return len >= begin && memcmp(name, g->pattern, begin) == 0;
	if (!wildcard_read(g->pattern, g->len, &shape))
		return false;
	wildcard_divide(name, len, &topic);
	return same(g, written, wildcard_write(&shape, &topic, written, sizeof(written)));
}

/* The bytes that every topic begins with which the pattern fits: those before its first wildcard. */
static size_t common_beginning(const struct wildcard *shape, const struct wildcard_topic *parts)
{
	unsigned n = 0;

	while (n < shape->parts && !(shape->stars >> n & 1))
		n++;
	return parts->at[n];
}

/* Whether a pattern fits all that the other one fits. */
static bool is_wider(const struct grant *g, const struct wildcard *shape, const struct wildcard_topic *other, const struct wildcard *other_shape)
{
	struct wildcard_topic parts;

	if (shape->tail ? other_shape->parts + other_shape->tail <= shape->parts : other_shape->tail || other_shape->parts != shape->parts)
		return false;
	wildcard_divide(g->pattern, g->len, &parts);
	for (unsigned i = 0; i < shape->parts; i++) {
		size_t len, other_len;
		const char *part = wildcard_part(&parts, i, &len), *other_part = wildcard_part(other, i, &other_len);

		if (shape->stars >> i & 1)
			continue;
		if (other_shape->stars >> i & 1 || len != other_len || memcmp(part, other_part, len) != 0)
			return false;
	}
	return true;
}

static bool fits_pattern(const struct grant *g, const char *pattern, size_t len)
{
	struct wildcard shape, asked;
	struct wildcard_topic parts;
	size_t begin;

	if (same(g, pattern, len))
		return true;
	if (!wildcard_read(pattern, len, &asked))
		return false;
	wildcard_divide(pattern, len, &parts);
	if (is_beginning(g, &begin))
		return begin <= common_beginning(&asked, &parts) && memcmp(pattern, g->pattern, begin) == 0;
	return wildcard_read(g->pattern, g->len, &shape) && is_wider(g, &shape, &parts, &asked);
}

/* ---- asking ---- */

static bool may(const struct rights *block, unsigned rights, enum rights_kind kind, const char *name, size_t len,
		bool (*fits)(const struct grant *g, const char *name, size_t len))
{
	const char *p = first_grant(block);
	unsigned found = 0;
	struct grant g;

	for (unsigned i = 0; i < block->grants; i++) {
		p = read_grant(p, &g);
		/* (A grant that adds nothing is not compared.) */
		if (g.kind == kind && g.rights & rights & ~found && (kind == RIGHTS_EVERYBODY || fits(&g, name, len)))
			found |= g.rights;
	}
	return (rights & ~found) == 0;
}

bool rights_may(const struct rights *block, unsigned rights, enum rights_kind kind, const char *name, size_t len)
{
	if (!block)
		return false;
	if (kind == RIGHTS_USERS && block->sub_len > 0 && len == block->sub_len && memcmp(name, block->sub, len) == 0)
		rights &= ~(unsigned)(RIGHT_SUBSCRIBE | RIGHT_HISTORY);
	return may(block, rights, kind, name, len, fits_name);
}

bool rights_may_pattern(const struct rights *block, unsigned rights, const char *pattern, size_t len)
{
	return block && may(block, rights, RIGHTS_TOPICS, pattern, len, fits_pattern);
}

void rights_at_once(const struct rights *block, bool (*each)(void *with, const char *topic, size_t len), void *with)
{
	const char *p = first_grant(block);
	struct grant g;

	for (unsigned i = 0; i < block->grants; i++) {
		p = read_grant(p, &g);
		if (g.rights & RIGHTS_AT_ONCE && g.kind == RIGHTS_TOPICS && !each(with, g.pattern, g.len))
			return;
	}
}

/* A topic that is looked for. */
struct wanted {
	const char *topic;
	size_t len;
	bool found;
};

static bool is_wanted(void *with, const char *topic, size_t len)
{
	struct wanted *w = with;

	w->found |= len == w->len && memcmp(topic, w->topic, len) == 0;
	return !w->found;
}

bool rights_has_at_once(const struct rights *block, const char *topic, size_t len)
{
	struct wanted w = { topic, len, false };

	rights_at_once(block, is_wanted, &w);
	return w.found;
}
