/*
 * What NATS is asked for. See interest.h.
 *
 * Subscriptions have marks: an entry's is its number in the index, a rule's is RULE and its place, those of nodes among themselves and of broadcasts have 0.
 */
#include "master/bridge/interest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/presence.h"
#include "shm/crash.h"
#include "shm/log.h"

#define RULE (UINT64_C(1) << 32)

/* ---- rules of history ---- */

static bool starts(const struct interest_rule *r, enum message_to to, const char *name, size_t len)
{
	return r->to == to && (r->prefix ? len >= r->len : len == r->len) && memcmp(r->start, name, r->len) == 0;
}

/* Whether what a rule asks for has these names. */
static bool is_covered(const struct interest *i, enum message_to to, const char *name, size_t len)
{
	for (unsigned n = 0; n < i->rules; n++)
		if (starts(&i->rule[n], to, name, len))
			return true;
	return false;
}

/* NATS asks by whole tokens: of a prefix, up to its last dot. A user is one token. */
static void add_rule(struct interest *i, const struct history_rule *rule)
{
	const struct topic_pattern *p = &rule->pattern;
	struct interest_rule r = { .to = p->user ? MESSAGE_TO_USER : MESSAGE_TO_TOPIC, .prefix = p->prefix, .len = (uint8_t)p->len };

	memcpy(r.start, i->bridge->hub.rules.text + p->at, p->len);
	while (r.prefix && r.len > 0 && (p->user || r.start[r.len - 1] != '.'))
		r.len--;
	if (rule->messages > 0 && !is_covered(i, r.to, r.start, r.len))
		i->rule[i->rules++] = r;
}

static void read_rules(struct interest *i)
{
	const struct history_rules *rules = &i->bridge->hub.rules;

	/* Prefixes first, as they cover others. */
	for (unsigned prefix = 2; prefix-- > 0; )
		for (unsigned n = 0; n < rules->count; n++)
			if (rules->rule[n].pattern.prefix == prefix)
				add_rule(i, &rules->rule[n]);
}

static void subject_of_rule(const struct interest_rule *r, char subject[SUBJECT_MAX])
{
	size_t len = r->len - (r->prefix && r->len > 0);	/* without the dot */

	if (r->prefix && r->to == MESSAGE_TO_USER)
		strcpy(subject, "inbox.*");
	else if (r->prefix && r->len == 0)
		strcpy(subject, "topic.>");
	else
		strcpy(subject + subject_write(subject, r->to, r->start, len), r->prefix ? ".>" : "");
}

bool interest_subject(const struct interest *i, unsigned n, char subject[BRIDGE_SUBJECT])
{
	char of_rule[SUBJECT_MAX];

	if (n >= i->rules)
		return false;
	subject_of_rule(&i->rule[n], of_rule);
	snprintf(subject, BRIDGE_SUBJECT, "%s%s", i->bridge->prefix, of_rule);
	return true;
}

/* ---- asking ---- */

/* Whether what rules keep comes of the stream. */
static bool has_stream(const struct interest *i)
{
	return nodes_stream(&i->bridge->hub) != STREAM_OFF;
}

static natsSubscription *subscribe(struct interest *i, const char *subject, uint64_t mark)
{
	char whole[BRIDGE_SUBJECT];

	snprintf(whole, sizeof(whole), "%s%s", i->bridge->prefix, subject);
	return uplink_subscribe(&i->bridge->uplink, whole, mark);
}

/* Sets subject[] to that of an entry that NATS is to be asked for. False: it is not, as presence is a node's own, broadcasts are always asked for, and rules ask for more. */
static bool subject_of(const struct interest *i, const struct nodes_interest *found, char subject[SUBJECT_MAX])
{
	bool user = found->name[0] == NAME_INBOX;
	enum message_to to = user ? MESSAGE_TO_USER : MESSAGE_TO_TOPIC;
	const char *name = found->name + user;
	size_t len = (size_t)found->name_len - user;

	if (!found->wanted || found->name[0] == NAME_EVERYBODY || (!user && presence_in(name, len)))
		return false;
	if (has_stream(i) ? nodes_is_stream(&i->bridge->hub, found->name, found->name_len) : is_covered(i, to, name, len))
		return false;
	subject_write(subject, to, name, len);
	return true;
}

static void let_go(struct interest *i, struct interest_entry *e)
{
	if (e->subscription == NULL)
		return;
	uplink_unsubscribe(e->subscription);
	e->subscription = NULL;
	atomic_fetch_sub_explicit(&i->bridge->hub.shm->nodes.interests, 1, memory_order_relaxed);
}

static void update(struct interest *i, const struct nodes_interest *found)
{
	struct interest_entry *e = &i->entry[found->number];
	char subject[SUBJECT_MAX];

	if (!subject_of(i, found, subject)) {
		if (found->number <= i->high)
			let_go(i, e);
		return;
	}
	if (e->subscription && e->generation == found->generation)
		return;
	let_go(i, e);
	e->subscription = subscribe(i, subject, found->number);
	e->generation = found->generation;
	e->age = ++i->ages;
	if (e->subscription)
		atomic_fetch_add_explicit(&i->bridge->hub.shm->nodes.interests, 1, memory_order_relaxed);
	if (found->number > i->high)
		i->high = found->number;
}

/* What nodes say to each other. */
static void ask_nodes(struct interest *i)
{
	static const char *const subjects[] = { "broadcast", NULL, SUBJECT_COUNT };
	char own[BRIDGE_SUBJECT];

	bridge_subject_to(i->bridge, own, i->bridge->node, ">");
	for (unsigned n = 0; n < 3; n++)
		i->fixed[n] = subscribe(i, subjects[n] ? subjects[n] : own + i->bridge->prefix_len, 0);
}

void interest_ask_marks(struct interest *i)
{
	i->fixed[3] = subscribe(i, SUBJECT_MARK, 0);
}

int interest_init(struct interest *i, struct bridge *b)
{
	*i = (struct interest){ .bridge = b, .entry = calloc((size_t)b->hub.index.shm->topics_max + 1, sizeof(*i->entry)) };
	if (i->entry == NULL)
		return -1;
	read_rules(i);
	return 0;
}

void interest_begin(struct interest *i)
{
	char subject[SUBJECT_MAX];

	atomic_store(&i->bridge->hub.shm->nodes.interests, 0);
	nodes_feed_begin(&i->bridge->hub);
	i->next = 1;
	for (unsigned n = 0; n < i->rules && !has_stream(i); n++) {
		subject_of_rule(&i->rule[n], subject);
		i->rule[n].subscription = subscribe(i, subject, RULE + n);
		i->rule[n].age = ++i->ages;
	}
}

static void forget(natsSubscription **s)
{
	natsSubscription_Destroy(*s);
	*s = NULL;
}

void interest_end(struct interest *i)
{
	for (uint32_t n = 1; n <= i->high; n++)
		forget(&i->entry[n].subscription);
	for (unsigned n = 0; n < i->rules; n++)
		forget(&i->rule[n].subscription);
	for (unsigned n = 0; n < 4; n++)
		forget(&i->fixed[n]);
	i->next = 0;
}

/* ---- changes ---- */

static bool scan(struct interest *i)
{
	static struct nodes_interest found[NODES_PIECE];
	unsigned n;

	if (i->next == 0)
		return false;
	n = nodes_scan(&i->bridge->hub, &i->next, found);
	for (unsigned k = 0; k < n; k++)
		update(i, &found[k]);
	if (n == 0) {
		i->next = 0;
		if (!interest_has_answers(i))
			ask_nodes(i);
	}
	return true;
}

bool interest_turn(struct interest *i)
{
	static struct nodes_interest changed[NODES_PIECE];
	int n;

	if (uplink_is_full(&i->bridge->uplink))
		return false;
	if (!index_has_changes(&i->bridge->hub.index) && index_feed_is_on(&i->bridge->hub.index))
		return scan(i);
	n = nodes_take_changes(&i->bridge->hub, changed);
	CRASH_POINT("bridge-interest");
	for (int k = 0; k < n; k++)
		update(i, &changed[k]);
	if (n < 0) {
		log_info("the list of topics that have changed was lost: all are looked at");
		nodes_feed_begin(&i->bridge->hub);
		i->next = 1;
	}
	scan(i);
	return true;
}

/* ---- one message by several subscriptions ---- */

static void older(const struct interest_entry *e, uint64_t mark, uint32_t *age, uint64_t *oldest)
{
	if (e->subscription == NULL || e->age > *age)
		return;
	*age = e->age;
	*oldest = mark;
}

/* The entries that fit it, under the hub lock. */
static unsigned find_entries(const struct interest *i, const struct subject_name *name, uint32_t found[1 + INDEX_SHAPES_MAX])
{
	struct hub *hub = &i->bridge->hub;
	unsigned n = 0;

	lock_acquire(&hub->shm->lock, hub_owner(hub, SLOT_BRIDGE));
	found[n] = index_find(&hub->index, index_hash(name->name, name->len), name->name, name->len);
	n += found[n] != TOPIC_NONE;
	n += index_match(&hub->index, name->name, name->len, found + n);
	lock_release(&hub->shm->lock, hub_owner(hub, SLOT_BRIDGE));
	return n;
}

bool interest_counts(const struct interest *i, const struct subject_name *name, uint64_t mark)
{
	uint32_t found[1 + INDEX_SHAPES_MAX], age = UINT32_MAX;
	uint64_t oldest = mark;
	unsigned n;

	if (name->to == MESSAGE_TO_ALL)
		return true;
	for (unsigned k = 0; k < i->rules; k++)
		if (i->rule[k].subscription && starts(&i->rule[k], name->to, name->name, name->len) && i->rule[k].age < age) {
			age = i->rule[k].age;
			oldest = RULE + k;
		}
	if (name->to == MESSAGE_TO_TOPIC && index_had_patterns(&i->bridge->hub.index)) {
		n = find_entries(i, name, found);
		for (unsigned k = 0; k < n; k++)
			older(&i->entry[found[k]], found[k], &age, &oldest);
	}
	return oldest == mark;
}
