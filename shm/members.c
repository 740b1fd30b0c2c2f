/*
 * Members of watched topics. See members.h for what is there, and for what a death leaves. As in index.c, only the order in which the compiler emits
 * stores matters.
 */
#include "shm/members.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "proto/presence.h"

#define TOPICS_PART 4			/* one cell in so many may be a topic */
#define POPPED_MOST 1024		/* members that need not be told of, passed by in one call */

static void in_order(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

static void store(_Atomic uint32_t *p, uint32_t value)
{
	in_order();
	atomic_store_explicit(p, value, memory_order_relaxed);
	in_order();
}

static uint32_t load(const _Atomic uint32_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

static struct member_cell_shm *cell(const struct members *m, uint32_t number)
{
	return &m->cells[number];
}

static uint64_t slots_of(const struct member_cell_shm *c)
{
	return atomic_load_explicit(&c->slots, memory_order_relaxed);
}

/* ---- layout ---- */

static uint32_t bucket_count(uint32_t cells)
{
	uint32_t n = 16;

	while (n < cells)
		n *= 2;
	return n;
}

size_t members_size(uint32_t cells)
{
	if (cells == 0)
		return sizeof(struct members_shm);
	return sizeof(struct members_shm) + bucket_count(cells) * sizeof(uint32_t) + ((size_t)cells + 1) * sizeof(struct member_cell_shm);
}

void members_format(void *mem, uint32_t cells)
{
	struct members_shm *shm = mem;
	struct members m;

	shm->cells = cells;
	if (cells == 0)
		return;
	shm->buckets = bucket_count(cells);
	/* release: nobody has it yet; for who looks at the number alone */
	atomic_store_explicit(&shm->version, 1, memory_order_release);
	members_attach(&m, mem, members_size(cells));
	/* cells[0] keeps the secret: which bucket a name falls into can't be told from outside */
	if (getrandom(&m.cells[0].hash, sizeof(m.cells[0].hash), GRND_NONBLOCK) < 0)
		m.cells[0].hash = (uint64_t)(uintptr_t)mem;
}

int members_attach(struct members *m, void *mem, size_t size)
{
	struct members_shm *shm = mem;

	if (size < sizeof(*shm) || (shm->cells > 0 && shm->buckets != bucket_count(shm->cells)) || size < members_size(shm->cells)) {
		errno = EINVAL;
		return -1;
	}
	m->shm = shm;
	m->heads = (uint32_t *)(shm + 1);
	m->cells = (struct member_cell_shm *)(m->heads + shm->buckets);
	return 0;
}

/* ---- chains, rings, lists: what follows from the cells; all of it is changed between begin() and end() ---- */

static void begin(struct members *m)
{
	store(&m->shm->dirty, 1);
}

static void end(struct members *m)
{
	store(&m->shm->dirty, 0);
}

static uint32_t *head_of(const struct members *m, uint64_t hash)
{
	uint64_t mixed = (hash ^ m->cells[0].hash) * UINT64_C(0x9e3779b97f4a7c15);

	return &m->heads[(mixed >> 32) & (m->shm->buckets - 1)];
}

/* A user's on a topic. */
static uint64_t hash_on(uint64_t hash, uint64_t topic_serial)
{
	return hash ^ topic_serial * UINT64_C(0xff51afd7ed558ccd);
}

static uint32_t find(const struct members *m, uint32_t kind, uint64_t hash, uint32_t topic, const char *name, size_t len)
{
	uint32_t i = *head_of(m, hash);

	for (; i; i = cell(m, i)->next) {
		const struct member_cell_shm *c = cell(m, i);

		if (c->hash == hash && load(&c->kind) == kind && (kind == MEMBERS_TOPIC || c->topic == topic) && c->name_len == len &&
		    memcmp(c->name, name, len) == 0)
			return i;
	}
	return 0;
}

static void chain(struct members *m, uint32_t i)
{
	uint32_t *head = head_of(m, cell(m, i)->hash);

	cell(m, i)->next = *head;
	*head = i;
}

static void unchain(struct members *m, uint32_t i)
{
	uint32_t *p = head_of(m, cell(m, i)->hash);

	while (*p != i)
		p = &cell(m, *p)->next;
	*p = cell(m, i)->next;
}

/* Into its topic's ring, as the last one. */
static void ring_in(struct members *m, uint32_t topic, uint32_t i)
{
	struct member_cell_shm *t = cell(m, topic), *c = cell(m, i);

	c->before = t->before;
	c->after = topic;
	cell(m, t->before)->after = i;
	t->before = i;
}

static void ring_out(struct members *m, uint32_t i)
{
	const struct member_cell_shm *c = cell(m, i);

	cell(m, c->before)->after = c->after;
	cell(m, c->after)->before = c->before;
}

/* Of a topic: all slots have counted it. */
static bool is_whole(const struct member_cell_shm *t)
{
	return slots_of(t) == 0;
}

static bool differs(const struct member_cell_shm *c)
{
	return (slots_of(c) != 0) != load(&c->announced);
}

static void push_due(struct members *m, uint32_t i)
{
	struct member_cell_shm *c = cell(m, i);

	if (c->due)
		return;
	c->due = 1;
	c->link = load(&m->shm->due);
	store(&m->shm->due, i);
}

static uint32_t take_cell(struct members *m)
{
	uint32_t i = m->shm->free;

	if (i)
		m->shm->free = cell(m, i)->next;
	else if (m->shm->high < m->shm->cells)
		i = ++m->shm->high;
	if (i)
		store(&m->shm->used, load(&m->shm->used) + 1);
	return i;
}

static void give_cell(struct members *m, uint32_t i)
{
	store(&cell(m, i)->kind, MEMBERS_FREE);
	cell(m, i)->next = m->shm->free;
	m->shm->free = i;
	store(&m->shm->used, load(&m->shm->used) - 1);
}

/* Fills in a cell that is free, but for its kind. */
static void fill(struct members *m, uint32_t i, uint64_t hash, const char *name, size_t len)
{
	struct member_cell_shm *c = cell(m, i);

	assert(len > 0 && len <= MEMBER_NAME_MAX);
	c->hash = hash;
	c->serial = ++m->shm->serial;
	c->topic = 0;
	c->before = c->after = i;
	c->link = c->made = 0;
	c->wanted = 0;
	store(&c->announced, 0);
	atomic_store_explicit(&c->slots, 0, memory_order_relaxed);
	c->name_len = (uint8_t)len;
	memcpy(c->name, name, len);
}

/* A member who is nowhere, and of whom nobody has to be told. Not one in the list of those that are due. */
static void forget(struct members *m, uint32_t i)
{
	ring_out(m, i);
	unchain(m, i);
	give_cell(m, i);
}

/* ---- topics ---- */

static void list_topic(struct members *m, uint32_t i)
{
	struct member_cell_shm *t = cell(m, i);

	t->topic = 0;
	t->link = m->shm->topics;
	if (t->link)
		cell(m, t->link)->topic = i;
	m->shm->topics = i;
	m->shm->topics_count++;
}

static void unlist_topic(struct members *m, uint32_t i)
{
	const struct member_cell_shm *t = cell(m, i);

	if (t->link)
		cell(m, t->link)->topic = t->topic;
	if (t->topic)
		cell(m, t->topic)->link = t->link;
	else
		m->shm->topics = t->link;
	m->shm->topics_count--;
}

static void next_version(struct members *m)
{
	/* release: who sees it takes the lock, and finds the topic */
	atomic_fetch_add_explicit(&m->shm->version, 1, memory_order_release);
}

uint32_t members_find(const struct members *m, uint64_t hash, const char *topic, size_t len)
{
	return members_is_on(m) ? find(m, MEMBERS_TOPIC, hash, 0, topic, len) : 0;
}

uint32_t members_watch(struct members *m, uint64_t hash, const char *topic, size_t len, uint64_t slots, uint64_t now, bool *made)
{
	uint32_t i = members_find(m, hash, topic, len);

	*made = false;
	if (i) {
		cell(m, i)->wanted = now;
		return i;
	}
	if (!members_is_on(m) || m->shm->topics_count >= (m->shm->cells + TOPICS_PART - 1) / TOPICS_PART)
		return 0;
	begin(m);
	i = take_cell(m);
	if (i) {
		fill(m, i, hash, topic, len);
		cell(m, i)->made = (uint32_t)now;
		cell(m, i)->wanted = now;
		atomic_store_explicit(&cell(m, i)->slots, slots, memory_order_relaxed);
		store(&cell(m, i)->kind, MEMBERS_TOPIC);
		chain(m, i);
		list_topic(m, i);
		next_version(m);
		*made = true;
	}
	end(m);
	return i;
}

void members_unwatch(struct members *m, uint32_t topic)
{
	struct member_cell_shm *t = cell(m, topic);

	begin(m);
	store(&t->kind, MEMBERS_FREE);		/* first: all of it goes at once, whatever else is left undone */
	while (t->after != topic) {
		uint32_t i = t->after;

		if (!cell(m, i)->due) {
			forget(m, i);
			continue;
		}
		ring_out(m, i);
		unchain(m, i);
		cell(m, i)->topic = 0;
	}
	unlist_topic(m, topic);
	unchain(m, topic);
	give_cell(m, topic);
	next_version(m);
	end(m);
}

void members_counted(struct members *m, uint32_t topic, unsigned slot)
{
	atomic_fetch_and_explicit(&cell(m, topic)->slots, ~(UINT64_C(1) << slot), memory_order_relaxed);
}

bool members_whole(struct members *m, uint32_t topic, uint64_t now)
{
	struct member_cell_shm *t = cell(m, topic);

	if ((uint32_t)now - t->made >= MEMBERS_PATIENCE)
		atomic_store_explicit(&t->slots, 0, memory_order_relaxed);
	return is_whole(t);
}

/* ---- members ---- */

static void announce(struct members *m, uint32_t i, bool here)
{
	struct member_cell_shm *c = cell(m, i), *t = cell(m, c->topic);

	if (load(&c->announced) == here)
		return;
	store(&c->announced, here);
	store(&t->announced, load(&t->announced) + (here ? 1 : UINT32_MAX));
}

/* The member's bit of the slot. */
static void set_bit(struct members *m, uint32_t i, unsigned slot, bool here)
{
	struct member_cell_shm *c = cell(m, i);
	uint64_t bit = UINT64_C(1) << slot;

	in_order();
	atomic_store_explicit(&c->slots, here ? slots_of(c) | bit : slots_of(c) & ~bit, memory_order_relaxed);
	in_order();
	if (!is_whole(cell(m, c->topic)))
		announce(m, i, slots_of(c) != 0);
	if (differs(c))
		push_due(m, i);
	else if (!slots_of(c) && !c->due)
		forget(m, i);
}

static uint32_t add_member(struct members *m, uint32_t topic, uint64_t hash, const char *user, size_t len)
{
	uint32_t i = take_cell(m);

	if (!i)
		return 0;
	fill(m, i, hash, user, len);
	cell(m, i)->topic = topic;
	store(&cell(m, i)->kind, MEMBERS_USER);
	chain(m, i);
	ring_in(m, topic, i);
	return i;
}

int members_set(struct members *m, uint32_t topic, uint64_t serial, uint64_t hash, const char *user, size_t len, unsigned slot, bool here)
{
	uint32_t i;

	if (!members_is_on(m) || load(&cell(m, topic)->kind) != MEMBERS_TOPIC || cell(m, topic)->serial != serial)
		return 0;
	hash = hash_on(hash, serial);
	i = find(m, MEMBERS_USER, hash, topic, user, len);
	if (!i && !here)
		return 0;
	begin(m);
	if (!i)
		i = add_member(m, topic, hash, user, len);
	if (i)
		set_bit(m, i, slot, here);
	end(m);
	return i ? 0 : -1;
}

void members_leave(struct members *m, unsigned slot)
{
	begin(m);
	for (uint32_t i = 1; i <= m->shm->high; i++) {
		uint32_t kind = load(&cell(m, i)->kind);

		if (kind == MEMBERS_TOPIC)
			members_counted(m, i, slot);
		else if (kind == MEMBERS_USER && cell(m, i)->topic && slots_of(cell(m, i)) >> slot & 1)
			set_bit(m, i, slot, false);
	}
	end(m);
}

/* ---- changes ---- */

/* The first one of those that are due is so no more: it was told, or there is nothing to tell. */
static void pop_due(struct members *m)
{
	uint32_t i = load(&m->shm->due);

	store(&m->shm->due, cell(m, i)->link);
	cell(m, i)->due = 0;
	if (cell(m, i)->topic == 0)
		give_cell(m, i);
	else if (differs(cell(m, i)))
		push_due(m, i);
	else if (!slots_of(cell(m, i)))
		forget(m, i);
}

bool members_next_change(struct members *m, struct member_change *change)
{
	const struct member_cell_shm *c, *t;
	uint32_t i;

	for (unsigned n = 0; (i = load(&m->shm->due)) != 0 && (cell(m, i)->topic == 0 || !differs(cell(m, i))); n++) {
		if (n == POPPED_MOST)
			return false;
		begin(m);
		pop_due(m);		/* its topic is gone, or it has been taken back before it was told */
		end(m);
	}
	if (!i)
		return false;
	c = cell(m, i);
	t = cell(m, c->topic);
	*change = (struct member_change){ .member = i, .serial = c->serial, .here = slots_of(c) != 0, .topic_len = t->name_len, .user_len = c->name_len };
	memcpy(change->topic, t->name, t->name_len);
	memcpy(change->user, c->name, c->name_len);
	return true;
}

bool members_is_due(const struct members *m, const struct member_change *change)
{
	const struct member_cell_shm *c = cell(m, change->member);

	return load(&m->shm->due) == change->member && c->serial == change->serial && c->topic && differs(c) && (slots_of(c) != 0) == change->here;
}

void members_stage(struct members *m, const struct member_change *change, uint64_t needs)
{
	m->shm->staged_here = change->here;
	m->shm->needs = needs;
	store(&m->shm->staged, change->member);
}

void members_commit(struct members *m)
{
	uint32_t i = load(&m->shm->staged);

	begin(m);
	announce(m, i, m->shm->staged_here);
	store(&m->shm->staged, 0);
	pop_due(m);
	end(m);
}

/* ---- lists ---- */

size_t members_list(const struct members *m, uint32_t topic, struct member_cursor *cursor, char *dst, size_t room, uint32_t *more)
{
	const struct member_cell_shm *t = cell(m, topic), *at = cell(m, cursor->member);
	struct sink s = { .dst = dst, .room = room };
	uint32_t i, first;

	if (!cursor->member || at->serial != cursor->serial || load(&at->kind) != MEMBERS_USER || at->topic != topic)
		*cursor = (struct member_cursor){ 0 };
	i = cursor->member ? at->after : t->after;
	first = cursor->listed;
	presence_list_begin(&s, t->name, t->name_len);
	for (; i != topic; i = cell(m, i)->after) {
		const struct member_cell_shm *c = cell(m, i);

		if (!load(&c->announced))
			continue;
		if (s.len + 1 + 2 + 6 * (size_t)c->name_len + PRESENCE_LIST_END_MAX > room)
			break;
		presence_list_add(&s, cursor->listed == first, c->name, c->name_len);
		*cursor = (struct member_cursor){ i, cursor->listed + 1, c->serial };
	}
	*more = i == topic ? 0 : load(&t->announced) > cursor->listed ? load(&t->announced) - cursor->listed : 1;
	presence_list_end(&s, *more);
	return sink_end(&s);
}

/* ---- after a death ---- */

static void relist_topic(struct members *m, uint32_t i)
{
	struct member_cell_shm *c = cell(m, i);

	c->before = c->after = i;
	store(&c->announced, 0);
	chain(m, i);
	list_topic(m, i);
}

static void relist_member(struct members *m, uint32_t i)
{
	struct member_cell_shm *c = cell(m, i), *t = cell(m, c->topic);

	c->due = 0;
	if (c->topic && load(&t->kind) == MEMBERS_TOPIC && !is_whole(t))
		store(&c->announced, slots_of(c) != 0);
	if (c->topic == 0 || load(&t->kind) != MEMBERS_TOPIC || (!slots_of(c) && !load(&c->announced))) {
		give_cell(m, i);
		return;
	}
	chain(m, i);
	ring_in(m, c->topic, i);
	store(&t->announced, load(&t->announced) + load(&c->announced));
	if (differs(c))
		push_due(m, i);
}

/* Makes anew all that follows from the cells. */
static void relist(struct members *m)
{
	memset(m->heads, 0, m->shm->buckets * sizeof(*m->heads));
	m->shm->free = m->shm->topics = m->shm->topics_count = 0;
	store(&m->shm->due, 0);
	store(&m->shm->used, m->shm->high);
	for (uint32_t i = m->shm->high; i > 0; i--) {
		if (load(&cell(m, i)->kind) == MEMBERS_TOPIC)
			relist_topic(m, i);
		else if (load(&cell(m, i)->kind) == MEMBERS_FREE)
			give_cell(m, i);
	}
	for (uint32_t i = 1; i <= m->shm->high; i++)
		if (load(&cell(m, i)->kind) == MEMBERS_USER)
			relist_member(m, i);
	next_version(m);
}

void members_repair(struct members *m, uint64_t tail)
{
	uint32_t i = load(&m->shm->staged);

	if (!members_is_on(m) || (!i && !load(&m->shm->dirty)))
		return;
	begin(m);
	if (i && tail >= m->shm->needs && load(&cell(m, i)->kind) == MEMBERS_USER)
		store(&cell(m, i)->announced, m->shm->staged_here);
	store(&m->shm->staged, 0);
	relist(m);
	end(m);
}

/* ---- check ---- */

static const char *check_cell(const struct members *m, uint32_t i)
{
	const struct member_cell_shm *c = cell(m, i), *t = cell(m, c->topic);

	if (load(&c->kind) == MEMBERS_FREE)
		return NULL;
	if (load(&c->kind) == MEMBERS_USER && c->topic == 0)
		return c->due ? NULL : "a member whose topic is gone";
	if (c->name_len == 0 || find(m, load(&c->kind), c->hash, c->topic, c->name, c->name_len) != i)
		return "a cell is not in its chain, or twice";
	if (cell(m, c->before)->after != i || cell(m, c->after)->before != i)
		return "a ring of members is broken";
	if (load(&c->kind) == MEMBERS_TOPIC)
		return NULL;
	if (load(&t->kind) != MEMBERS_TOPIC)
		return "a member without a topic";
	if (load(&c->announced) > 1 || (!slots_of(c) && !load(&c->announced) && !c->due))
		return "a member who is nowhere";
	return differs(c) && !c->due ? "a change that is not due" : NULL;
}

static const char *check_topic(const struct members *m, uint32_t topic)
{
	uint32_t announced = 0;

	for (uint32_t i = cell(m, topic)->after; i != topic; i = cell(m, i)->after) {
		if (load(&cell(m, i)->kind) != MEMBERS_USER || cell(m, i)->topic != topic)
			return "a ring with what is no member of its topic";
		announced += load(&cell(m, i)->announced);
	}
	return announced == load(&cell(m, topic)->announced) ? NULL : "a topic's members are not as many as it says";
}

int members_check(const struct members *m, const char **why)
{
	uint32_t topics = 0, due = 0, listed = 0, used = 0, i;

	*why = NULL;
	if (!members_is_on(m))
		return 0;
	if (load(&m->shm->dirty) || load(&m->shm->staged))
		*why = "somebody is at it";
	for (i = 1; !*why && i <= m->shm->high; i++) {
		*why = check_cell(m, i);
		used += load(&cell(m, i)->kind) != MEMBERS_FREE;
		topics += load(&cell(m, i)->kind) == MEMBERS_TOPIC;
		due += load(&cell(m, i)->kind) == MEMBERS_USER && cell(m, i)->due;
	}
	for (i = m->shm->topics; !*why && i; i = cell(m, i)->link, topics--)
		*why = topics == 0 ? "a list of topics without end" : check_topic(m, i);
	for (i = load(&m->shm->due); !*why && i && listed <= due; i = cell(m, i)->link)
		listed++;
	if (!*why && (topics != 0 || m->shm->topics_count > m->shm->high || listed != due))
		*why = "a list has not all that it should";
	if (!*why && used != load(&m->shm->used))
		*why = "not as many cells are used as it says";
	return *why ? -1 : 0;
}
