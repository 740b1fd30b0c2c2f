/*
 * The hub's snapshot: topics with their history, records, and what is known of the slots. See snapshot.h.
 *
 * Topics get new numbers, so records and sessions name them by name. A record's place in the ring's order, its time and its number
 * within its topic are what they were; its links follow from the order in which records are added again.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shm/journal.h"
#include "shm/nodes.h"
#include "shm/snapshot.h"
#include "shm/snapshot_io.h"

/* ---- writing ---- */

static bool is_at_rest(const struct hub *hub)
{
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (atomic_load(&hub->shm->slot[i].intent.state) != INTENT_NONE)
			return false;
	/* (Who writes the journal takes the lock only to look.) */
	return (lock_owner(&hub->shm->lock) == 0 || lock_number(lock_owner(&hub->shm->lock)) == JOURNAL_OWNER) && !atomic_load(&hub->index.shm->dirty) && !atomic_load(&hub->history.shm->redo.topic) &&
	       atomic_load(&hub->ring.shm->claimed) == ring_tail(&hub->ring) &&
	       atomic_load(&hub->once.shm->staged) == atomic_load(&hub->once.shm->end);
}

/* ---- other nodes ---- */

static void put_peer(struct snapshot_writer *w, const struct node_shm *peer)
{
	snapshot_put_map(w, 10);
	snapshot_put_text(w, "node", peer->name, strlen(peer->name));
	snapshot_put_uint(w, "epoch", peer->epoch);
	snapshot_put_uint(w, "seq", atomic_load(&peer->seq));
	snapshot_put_uint(w, "mark", atomic_load(&peer->mark));
	snapshot_put_uint(w, "marked", atomic_load(&peer->marked));
	snapshot_put_uint(w, "acked", atomic_load(&peer->acked));
	snapshot_put_uint(w, "since", atomic_load(&peer->since));
	snapshot_put_uint(w, "in", atomic_load(&peer->in));
	snapshot_put_uint(w, "lost", atomic_load(&peer->lost));
	snapshot_put_uint(w, "doubled", atomic_load(&peer->doubled));
}

static void put_stream(struct snapshot_writer *w, const struct hub *hub)
{
	const struct stream_shm *stream = &hub->shm->nodes.stream;

	snapshot_put_key(w, "stream");
	snapshot_put_map(w, 8);
	snapshot_put_text(w, "name", stream->name, strlen(stream->name));
	snapshot_put_uint(w, "state", nodes_stream(hub));
	snapshot_put_uint(w, "epoch", atomic_load(&stream->epoch));
	snapshot_put_uint(w, "last", atomic_load(&stream->last));
	snapshot_put_uint(w, "first", atomic_load(&stream->first));
	snapshot_put_uint(w, "begun", atomic_load(&stream->begun));
	snapshot_put_uint(w, "end", atomic_load(&stream->end));
	snapshot_put_uint(w, "acked_to", nodes_acked_to(hub));
}

/* (In the head, as keys are. None if they are off: what the next one has then is as in a new hub.) */
static void put_nodes(struct snapshot_writer *w, const struct hub *hub)
{
	const struct nodes_shm *nodes = &hub->shm->nodes;
	bool on = nodes_state(hub) != NODES_OFF;
	uint32_t count = 0;

	for (unsigned i = 0; on && i < NODES_MAX; i++)
		count += atomic_load(&nodes->peer[i].state) != NODE_FREE;
	snapshot_put_key(w, "nodes");
	snapshot_put_map(w, on ? 6 + (nodes_stream(hub) != STREAM_OFF) : 0);
	if (!on)
		return;
	snapshot_put_text(w, "node", nodes->name, strlen(nodes->name));
	snapshot_put_uint(w, "proven", atomic_load(&nodes->proven));
	snapshot_put_uint(w, "mark", atomic_load(&nodes->mark));
	snapshot_put_uint(w, "made", atomic_load(&nodes->made));
	snapshot_put_uint(w, "connected", atomic_load(&nodes->connected));
	if (nodes_stream(hub) != STREAM_OFF)
		put_stream(w, hub);
	snapshot_put_array(w, "peers", count);
	for (unsigned i = 0; i < NODES_MAX; i++)
		if (atomic_load(&nodes->peer[i].state) != NODE_FREE)
			put_peer(w, &nodes->peer[i]);
}

static bool was_used(const struct hub_slot_shm *s)
{
	return atomic_load(&s->generation) || atomic_load(&s->delivered);
}

static void put_slot(struct snapshot_writer *w, const struct hub_slot_shm *s, unsigned number)
{
	snapshot_put_map(w, 10);
	snapshot_put_uint(w, "slot", number);
	snapshot_put_uint(w, "rules", atomic_load(&s->rules));
	snapshot_put_uint(w, "delivered", atomic_load(&s->delivered));
	snapshot_put_uint(w, "generation", atomic_load(&s->generation));
	snapshot_put_uint(w, "restarts", atomic_load(&s->restarts));
	snapshot_put_uint(w, "emptied", atomic_load(&s->emptied));
	snapshot_put_uint(w, "connections", atomic_load(&s->connections));	/* from the start, as those of other slots count for a limit */
	snapshot_put_uint(w, "drain", atomic_load(&s->drain));
	snapshot_put_key(w, "counters");
	snapshot_put_map(w, COUNTERS);
	for (unsigned i = 0; i < COUNTERS; i++)
		snapshot_put_uint(w, counters[i].name, atomic_load(&s->counters[counters[i].number]));
	snapshot_put_latency(w, &s->latency);
}

/* (The slots' workers start one after the other, and publish meanwhile. Their answers have to count the subscribers of all slots from the start.) */
static void put_subscribers(struct snapshot_writer *w, const struct hub *hub, uint32_t topic)
{
	uint64_t slots = atomic_load(&index_topic(&hub->index, topic)->interest);

	snapshot_put_array(w, "subscribers", (uint32_t)__builtin_popcountll(slots));
	for (; slots; slots &= slots - 1) {
		unsigned slot = (unsigned)__builtin_ctzll(slots);

		snapshot_put_map(w, 2);
		snapshot_put_uint(w, "slot", slot);
		snapshot_put_uint(w, "count", atomic_load(hub_count_of(hub, slot, topic)));
	}
}

static void put_message(struct snapshot_writer *w, const struct ring_record *rec, const uint8_t *bytes)
{
	snapshot_put_map(w, 4);
	snapshot_put_uint(w, "seq", rec->seq);
	snapshot_put_uint(w, "time", rec->time);
	snapshot_put_uint(w, "number", rec->number);
	snapshot_put_bytes(w, "bytes", bytes, rec->len);
}

/* The topic's messages. -1 with errno: no memory. */
static int put_history(struct snapshot_writer *w, const struct hub *hub, uint32_t topic)
{
	struct ring_record rec;
	int more = history_first(&hub->history, topic, &rec);

	for (; more == 0; more = history_next(&hub->history, &rec)) {
		uint8_t *bytes = malloc(rec.len);

		if (!bytes)
			return -1;
		history_copy(&hub->history, &rec, bytes);
		put_message(w, &rec, bytes);
		free(bytes);
	}
	return 0;
}

static int put_topic(struct snapshot_writer *w, const struct hub *hub, uint32_t topic)
{
	const struct history_topic_shm *kept = &hub->history.topics[topic];
	const struct topic_shm *t = index_topic(&hub->index, topic);
	bool there = t->kept && kept->generation == t->generation;

	snapshot_put_map(w, 9);
	snapshot_put_text(w, "topic", t->name, t->name_len);
	snapshot_put_uint(w, "interest", atomic_load(&t->interest));
	snapshot_put_uint(w, "published", t->published);
	snapshot_put_uint(w, "last", atomic_load(&t->last));
	put_subscribers(w, hub, topic);
	snapshot_put_uint(w, "kept", t->kept);
	snapshot_put_uint(w, "since", t->since);
	snapshot_put_uint(w, "from", there ? kept->from : 0);
	snapshot_put_uint(w, "history", there ? kept->messages : 0);
	return there ? put_history(w, hub, topic) : 0;
}

/* The record's topic, or NULL: it is gone. */
static const struct topic_shm *topic_of(const struct hub *hub, const struct ring_record *rec)
{
	const struct topic_shm *t = index_topic(&hub->index, rec->topic);

	if (rec->topic == TOPIC_NONE || rec->topic > hub->index.shm->high || atomic_load(&t->state) != TOPIC_USED ||
	    t->generation != rec->generation)
		return NULL;
	return t;
}

/* From this sequence on, other nodes may still be owed what has no topic here. */
static uint64_t owed_abroad(const struct hub *hub)
{
	uint64_t proven = nodes_state(hub) == NODES_OFF ? UINT64_MAX : atomic_load(&hub->shm->nodes.proven);
	uint64_t acked_to = nodes_stream(hub) == STREAM_OFF ? UINT64_MAX : nodes_acked_to(hub);

	return acked_to < proven ? acked_to : proven;
}

/* `first`: the first record that goes along. Of what lies before it a record says where its topic's last one was: who comes back knows then what he missed. */
static void put_record(struct snapshot_writer *w, const struct hub *hub, const struct ring_record *rec, uint64_t first)
{
	const struct topic_shm *t = topic_of(hub, rec);
	bool echoed = rec->flags & RING_ECHOED, behind = rec->id < rec->seq, bytes = !behind && (t || echoed || rec->seq >= owed_abroad(hub)), links_back = t && rec->prev < first;
	uint64_t ack = rec->flags & RING_TO_STREAM ? nodes_ack_of(hub, rec->seq) : 0;

	snapshot_put_map(w, 2u + (t ? 2 : 0) + links_back + echoed + behind + 2u * bytes + (ack != 0));
	snapshot_put_uint(w, "seq", rec->seq);
	snapshot_put_uint(w, "time", rec->time);
	if (t) {
		snapshot_put_text(w, "topic", t->name, t->name_len);
		snapshot_put_uint(w, "number", rec->number);
	}
	if (links_back)
		snapshot_put_uint(w, "prev", rec->prev);
	if (bytes)
		snapshot_put_uint(w, "flags", rec->flags & RING_KEPT);
	if (echoed)
		snapshot_put_uint(w, "echoed", 1);
	if (behind)
		snapshot_put_uint(w, "behind", rec->seq - rec->id);
	if (ack)
		snapshot_put_uint(w, "ack", ack);
	if (bytes)
		snapshot_put_bytes(w, "bytes", ring_peek(&hub->ring, rec), rec->len);
}

static void put_key(struct snapshot_writer *w, const struct once *once, uint64_t number, uint64_t now)
{
	const union once_cell_shm *c = once_cell(once, number);
	uint64_t seq, subscribers;

	snapshot_put_map(w, 5);
	snapshot_put_bytes(w, "key", c->entry.key, sizeof(c->entry.key));
	snapshot_put_bytes(w, "digest", &c->entry.digest, sizeof(c->entry.digest));
	snapshot_put_uint(w, "age", now > c->entry.time ? now - c->entry.time : 0);
	snapshot_put_uint(w, "first", c->entry.first);
	snapshot_put_array(w, "answers", (uint32_t)(2 * c->entry.count));
	for (unsigned i = 0; i < c->entry.count; i++) {
		once_answer(once, number, i, &seq, &subscribers);
		msgpack_pack_uint64(&w->pack, subscribers);
		msgpack_pack_uint64(&w->pack, seq ? seq - c->entry.first + 1 : 0);
	}
}

/* (In the head, where those who do not know them pass them over.) */
static void put_keys(struct snapshot_writer *w, const struct once *once)
{
	uint64_t now = once_now(), number;
	uint32_t count = 0;

	for (number = once_first(once); number; number = once_next(once, number))
		count++;
	snapshot_put_array(w, "keys", count);
	for (number = once_first(once); number; number = once_next(once, number))
		put_key(w, once, number, now);
}

/* From the start a token leads to its session, whichever slot's worker is the first one there. */
static void put_moved(struct snapshot_writer *w, const struct moved_tokens_shm *moved)
{
	uint32_t count = 0, at = 0;
	uint64_t word;

	while (moved_tokens_next(moved, &at))
		count++;
	snapshot_put_array(w, "moved", count);
	at = 0;
	while ((word = moved_tokens_next(moved, &at)))
		msgpack_pack_uint64(&w->pack, word);
}

static void put_head(struct snapshot_writer *w, const struct hub *hub, int fd, uint64_t first, uint64_t tail)
{
	unsigned slots = 0;

	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		slots += was_used(&hub->shm->slot[i]);
	snapshot_begin(w, fd, "hub", 14);
	snapshot_put_uint(w, "epoch", hub->shm->epoch);
	snapshot_put_uint(w, "time", hub->ring.shm->time);
	snapshot_put_uint(w, "first", first);
	snapshot_put_uint(w, "tail", tail);
	snapshot_put_uint(w, "slots", slots);
	snapshot_put_uint(w, "topics", hub->index.shm->used);
	snapshot_put_uint(w, "forgotten", atomic_load(&hub->index.shm->forgotten));
	snapshot_put_uint(w, "unheard", hub->index.shm->unheard);
	snapshot_put_uint(w, "unknown", hub->index.shm->unknown);
	snapshot_put_uint(w, "started", hub->shm->started);
	put_nodes(w, hub);
	snapshot_put_bytes(w, "secret", hub->once.shm->secret, sizeof(hub->once.shm->secret));
	put_keys(w, &hub->once);
	put_moved(w, hub->moved);
}

int snapshot_write_hub(const struct hub *hub, uint64_t from, int fd)
{
	uint64_t oldest = ring_oldest(&hub->ring), tail = ring_tail(&hub->ring);
	struct snapshot_writer w;
	struct ring_record rec;

	if (!is_at_rest(hub)) {
		errno = EBUSY;
		return -1;
	}
	from = from < oldest ? oldest : from > tail ? tail : from;
	/* A message with all its records; or none of them, where the ring has begun to overwrite it. */
	from = ring_message_of(&hub->ring, from) >= oldest ? ring_message_of(&hub->ring, from) : ring_message_from(&hub->ring, from);
	put_head(&w, hub, fd, from, tail);
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++)
		if (was_used(&hub->shm->slot[i]))
			put_slot(&w, &hub->shm->slot[i], i);
	for (uint32_t i = 1; i <= hub->index.shm->high; i++)
		if (atomic_load(&index_topic(&hub->index, i)->state) == TOPIC_USED && put_topic(&w, hub, i) < 0)
			return -1;
	for (uint64_t seq = from; seq < tail; seq++) {
		if (ring_read(&hub->ring, seq, &rec) < 0)
			return snapshot_bad();
		put_record(&w, hub, &rec, from);
	}
	return snapshot_end(&w);
}

/* ---- reading ---- */

struct reading {
	struct snapshot_reader r;
	struct hub *hub;
	uint64_t first, tail;		/* records of the snapshot */
	uint64_t time;			/* of the last record, by the head */
	uint64_t own;			/* the message whose own record was put into the ring last */
	uint64_t slots, topics;
};

static bool take_uint(const uint8_t **at, const uint8_t *end, uint64_t most, uint64_t *n)
{
	struct msgpack_value v;

	if (!msgpack_walk_take(at, end, &v) || v.kind != WALK_UINT || v.u > most)
		return false;
	*n = v.u;
	return true;
}

static bool read_answers(struct once *once, uint64_t number, const struct msgpack_value *answers, uint64_t first)
{
	const uint8_t *at = answers->p;

	for (unsigned i = 0; i < answers->len / 2; i++) {
		uint64_t subscribers, place;

		if (!take_uint(&at, answers->end, UINT64_MAX, &subscribers) || !take_uint(&at, answers->end, i + 1, &place))
			return false;
		once_put_answer(once, number, i, place ? first + place - 1 : 0, subscribers);
	}
	return true;
}

static int read_key(struct reading *x, const struct msgpack_value *o, uint64_t now)
{
	struct once *once = &x->hub->once;
	struct msgpack_value answers;
	uint32_t key_len, digest_len;
	const uint8_t *key = snapshot_get_bytes(&x->r, o, "key", &key_len), *digest = snapshot_get_bytes(&x->r, o, "digest", &digest_len);
	uint64_t age = snapshot_get_uint(&x->r, o, "age", SNAPSHOT_NEEDED, SNAPSHOT_MOST), first, number;
	struct once_id id;
	unsigned evicted;

	first = snapshot_get_uint(&x->r, o, "first", SNAPSHOT_NEEDED, x->tail);
	snapshot_get_array(&x->r, o, "answers", &answers);
	if (x->r.bad || first == 0 || key_len != sizeof(id.key) || digest_len != sizeof(id.digest) || answers.len == 0 || answers.len % 2 ||
	    answers.len / 2 > ONCE_MESSAGES_MAX)
		return snapshot_bad();
	memcpy(id.key, key, key_len);
	memcpy(&id.digest, digest, digest_len);
	number = once_write(once, &id, now > age ? now - age : 0, first, answers.len / 2, &evicted);
	if (!read_answers(once, number, &answers, first))
		return snapshot_bad();
	once_stage(once, number, 0);
	once_commit(once);
	return 0;
}

/* With which keys and tokens were hashed. (An older program's snapshot may have none, nor any of these.) */
static int read_secret(struct reading *x, const struct msgpack_value *head)
{
	uint32_t len;
	const uint8_t *secret = snapshot_get_bytes(&x->r, head, "secret", &len);

	if (x->r.bad || (len != 0 && len != sizeof(x->hub->once.shm->secret)))
		return snapshot_bad();
	memcpy(x->hub->once.shm->secret, secret, len);
	return 0;
}

/* (One for which there is no room here is as one of an older program's, which says none: the slot's worker says at its start which sessions it has.) */
static int read_moved(struct reading *x, const struct msgpack_value *head)
{
	struct msgpack_value words;
	const uint8_t *at;
	uint64_t word;

	snapshot_get_array(&x->r, head, "moved", &words);
	at = words.p;
	for (uint32_t i = 0; i < words.len; i++) {
		if (!take_uint(&at, words.end, UINT64_MAX, &word))
			return snapshot_bad();
		(void)moved_tokens_put_word(x->hub->moved, word);
	}
	return x->r.bad ? snapshot_bad() : 0;
}

/* A hub that remembers none passes them over. One that remembers fewer keeps the newest. */
static int read_keys(struct reading *x, const struct msgpack_value *head)
{
	uint64_t now = once_now();
	struct msgpack_value keys, one;
	const uint8_t *at;

	snapshot_get_array(&x->r, head, "keys", &keys);
	if (x->r.bad || !once_is_on(&x->hub->once))
		return x->r.bad ? snapshot_bad() : 0;
	at = keys.p;
	for (uint32_t i = 0; i < keys.len; i++)
		if (!msgpack_walk_take(&at, keys.end, &one) || read_key(x, &one, now) < 0)
			return snapshot_bad();
	return 0;
}

/* A name of the map. "": there is none, or none that is good. */
static void read_node_name(struct reading *x, const struct msgpack_value *o, char name[NODE_NAME_MAX + 1])
{
	size_t len;
	const char *text = snapshot_get_text(&x->r, o, "node", &len);

	memset(name, 0, NODE_NAME_MAX + 1);
	if (len <= NODE_NAME_MAX)
		memcpy(name, text, len);
}

static int read_peer(struct reading *x, const struct msgpack_value *o)
{
	char name[NODE_NAME_MAX + 1];
	uint64_t epoch = snapshot_get_uint(&x->r, o, "epoch", SNAPSHOT_NEEDED, UINT64_MAX), seq = snapshot_get_uint(&x->r, o, "seq", SNAPSHOT_NEEDED, UINT64_MAX);
	struct node_shm *peer;
	unsigned place;

	read_node_name(x, o, name);
	if (x->r.bad || !nodes_name_is_good(name) || nodes_find(x->hub, name) != NODE_NONE || (place = nodes_meet(x->hub, name, epoch, seq)) == NODE_NONE)
		return snapshot_bad();
	peer = &x->hub->shm->nodes.peer[place];
	atomic_store(&peer->mark, snapshot_get_uint(&x->r, o, "mark", 0, UINT64_MAX));
	atomic_store(&peer->marked, snapshot_get_uint(&x->r, o, "marked", 0, UINT64_MAX));
	atomic_store(&peer->acked, snapshot_get_uint(&x->r, o, "acked", 0, x->tail));
	atomic_store(&peer->since, snapshot_get_uint(&x->r, o, "since", 0, UINT64_MAX));
	atomic_store(&peer->in, snapshot_get_uint(&x->r, o, "in", 0, UINT64_MAX));
	atomic_store(&peer->lost, snapshot_get_uint(&x->r, o, "lost", 0, UINT64_MAX));
	atomic_store(&peer->doubled, snapshot_get_uint(&x->r, o, "doubled", 0, UINT64_MAX));
	return x->r.bad ? snapshot_bad() : 0;
}

/* (None: there was none, or an older program knew of none.) */
static void read_stream(struct reading *x, const struct msgpack_value *nodes)
{
	struct stream_shm *stream = &x->hub->shm->nodes.stream;
	struct msgpack_value map;
	const char *name;
	uint64_t state;
	size_t len;

	if (!msgpack_walk_find(nodes, "stream", &map) || map.kind != WALK_MAP)
		return;
	name = snapshot_get_text(&x->r, &map, "name", &len);
	if (len < sizeof(stream->name))
		memcpy(stream->name, name, len);
	atomic_store(&stream->epoch, snapshot_get_uint(&x->r, &map, "epoch", SNAPSHOT_NEEDED, UINT64_MAX));
	atomic_store(&stream->last, snapshot_get_uint(&x->r, &map, "last", SNAPSHOT_NEEDED, UINT64_MAX));
	atomic_store(&stream->first, snapshot_get_uint(&x->r, &map, "first", SNAPSHOT_NEEDED, UINT64_MAX));
	atomic_store(&stream->begun, snapshot_get_uint(&x->r, &map, "begun", SNAPSHOT_NEEDED, x->tail));
	atomic_store(&stream->end, snapshot_get_uint(&x->r, &map, "end", 0, UINT64_MAX));
	atomic_store(&stream->acked_to, snapshot_get_uint(&x->r, &map, "acked_to", SNAPSHOT_NEEDED, x->tail));
	state = snapshot_get_uint(&x->r, &map, "state", SNAPSHOT_NEEDED, STREAM_AWAY);
	nodes_set_stream(x->hub, state == STREAM_HERE ? STREAM_AWAY : (enum stream_state)state, "");		/* (until a bridge says otherwise) */
}

/* (An older program knew none, and they are off then, until the master says otherwise. `sent` comes with the bridge's slot.) */
static int read_nodes(struct reading *x, const struct msgpack_value *head)
{
	struct nodes_shm *nodes = &x->hub->shm->nodes;
	struct msgpack_value map, peers, one;
	const uint8_t *at;

	if (!msgpack_walk_find(head, "nodes", &map) || map.kind != WALK_MAP || map.len == 0)
		return 0;
	read_node_name(x, &map, nodes->name);
	atomic_store(&nodes->proven, snapshot_get_uint(&x->r, &map, "proven", SNAPSHOT_NEEDED, x->tail));
	atomic_store(&nodes->mark, snapshot_get_uint(&x->r, &map, "mark", SNAPSHOT_NEEDED, UINT64_MAX));
	atomic_store(&nodes->made, (uint32_t)snapshot_get_uint(&x->r, &map, "made", 0, UINT32_MAX));
	atomic_store(&nodes->connected, (uint32_t)snapshot_get_uint(&x->r, &map, "connected", 0, UINT32_MAX));
	read_stream(x, &map);
	snapshot_get_array(&x->r, &map, "peers", &peers);
	if (x->r.bad)
		return snapshot_bad();
	at = peers.p;
	for (uint32_t i = 0; i < peers.len; i++)
		if (!msgpack_walk_take(&at, peers.end, &one) || read_peer(x, &one) < 0)
			return snapshot_bad();
	nodes_set_state(x->hub, NODES_CONNECTING, "", "");
	return 0;
}

static int read_head(struct reading *x, int fd)
{
	const struct msgpack_value *head = snapshot_open(&x->r, fd, "hub");
	struct snapshot_reader *r = &x->r;

	if (!head)
		return -1;
	x->hub->shm->epoch = snapshot_get_uint(r, head, "epoch", SNAPSHOT_NEEDED, SNAPSHOT_MOST);
	x->time = snapshot_get_uint(r, head, "time", SNAPSHOT_NEEDED, SNAPSHOT_MOST);
	x->tail = snapshot_get_uint(r, head, "tail", SNAPSHOT_NEEDED, SNAPSHOT_MOST);
	x->first = snapshot_get_uint(r, head, "first", SNAPSHOT_NEEDED, x->tail);
	x->slots = snapshot_get_uint(r, head, "slots", SNAPSHOT_NEEDED, INDEX_SLOTS_MAX);
	x->topics = snapshot_get_uint(r, head, "topics", SNAPSHOT_NEEDED, UINT32_MAX);
	index_forget(&x->hub->index, snapshot_get_uint(r, head, "forgotten", x->tail, x->tail + 1));
	x->hub->index.shm->unheard = snapshot_get_uint(r, head, "unheard", x->tail, x->tail);	/* (an older program did not know) */
	x->hub->index.shm->unknown = snapshot_get_uint(r, head, "unknown", 0, x->tail);
	x->hub->shm->started = snapshot_get_uint(r, head, "started", x->hub->shm->epoch, SNAPSHOT_MOST);
	if (r->bad || x->first == 0)
		return snapshot_bad();
	ring_start(&x->hub->ring, x->first, x->first < x->tail ? 0 : x->time);
	if (read_nodes(x, head) < 0 || read_secret(x, head) < 0 || read_moved(x, head) < 0)
		return -1;
	return read_keys(x, head);
}

static int read_slot(struct reading *x)
{
	const struct msgpack_value *o = snapshot_next(&x->r);
	struct msgpack_value counts;
	struct hub_slot_shm *s;

	if (!o)
		return -1;
	s = &x->hub->shm->slot[snapshot_get_uint(&x->r, o, "slot", SNAPSHOT_NEEDED, INDEX_SLOTS_MAX - 1)];
	if (x->r.bad || was_used(s))
		return snapshot_bad();
	atomic_store(&s->delivered, snapshot_get_uint(&x->r, o, "delivered", SNAPSHOT_NEEDED, x->tail));
	atomic_store(&s->rules, snapshot_get_uint(&x->r, o, "rules", 0, UINT64_MAX));
	atomic_store(&s->generation, (uint32_t)snapshot_get_uint(&x->r, o, "generation", 0, UINT32_MAX));
	atomic_store(&s->restarts, (uint32_t)snapshot_get_uint(&x->r, o, "restarts", 0, UINT32_MAX));
	atomic_store(&s->emptied, (uint32_t)snapshot_get_uint(&x->r, o, "emptied", 0, UINT32_MAX));
	atomic_store(&s->connections, (uint32_t)snapshot_get_uint(&x->r, o, "connections", 0, UINT32_MAX));
	atomic_store(&s->drain, (uint32_t)snapshot_get_uint(&x->r, o, "drain", 0, UINT32_MAX));
	if (msgpack_walk_find(o, "counters", &counts))
		for (unsigned i = 0; i < COUNTERS; i++)
			atomic_store(&s->counters[counters[i].number], snapshot_get_uint(&x->r, &counts, counters[i].name, 0, UINT64_MAX));
	snapshot_get_latency(&x->r, o, &s->latency);
	return x->r.bad ? snapshot_bad() : 0;
}

static int read_subscribers(struct reading *x, const struct msgpack_value *o, uint32_t topic)
{
	uint64_t interest = atomic_load(&index_topic(&x->hub->index, topic)->interest);
	struct msgpack_value array, one;
	const uint8_t *at;

	snapshot_get_array(&x->r, o, "subscribers", &array);
	at = array.p;
	for (uint32_t i = 0; i < array.len && msgpack_walk_take(&at, array.end, &one); i++) {
		unsigned slot = (unsigned)snapshot_get_uint(&x->r, &one, "slot", SNAPSHOT_NEEDED, INDEX_SLOTS_MAX - 1);
		uint32_t count = (uint32_t)snapshot_get_uint(&x->r, &one, "count", SNAPSHOT_NEEDED, UINT32_MAX);

		if (x->r.bad || !(interest & 1ull << slot))
			return snapshot_bad();
		atomic_store(hub_count_of(x->hub, slot, topic), count);
	}
	return x->r.bad ? snapshot_bad() : 0;
}

/* A message of the topic's history, which comes behind *prev. */
static int read_message(struct reading *x, uint32_t topic, uint64_t number, uint64_t *prev)
{
	const struct msgpack_value *o = snapshot_next(&x->r);
	struct ring_record rec = { .prev = *prev, .number = number };
	const uint8_t *bytes;

	if (!o)
		return -1;
	rec.seq = snapshot_get_uint(&x->r, o, "seq", SNAPSHOT_NEEDED, x->tail - 1);
	rec.time = snapshot_get_uint(&x->r, o, "time", SNAPSHOT_NEEDED, SNAPSHOT_MOST);
	bytes = snapshot_get_bytes(&x->r, o, "bytes", &rec.len);
	if (snapshot_get_uint(&x->r, o, "number", SNAPSHOT_NEEDED, SNAPSHOT_MOST) != number || x->r.bad || rec.len == 0 ||
	    rec.len > INT32_MAX || rec.seq <= *prev || rec.seq > atomic_load(&index_topic(&x->hub->index, topic)->last))
		return snapshot_bad();
	history_restore(&x->hub->history, topic, &rec, bytes);
	*prev = rec.seq;
	return 0;
}

/* `last` and `published` are first set to what they are in the end; number_record() takes them back, and counts up to that again. */
static int read_topic(struct reading *x)
{
	const struct msgpack_value *o = snapshot_next(&x->r);
	struct index *ix = &x->hub->index;
	uint32_t topic = TOPIC_NONE;
	uint64_t interest, published, last, kept, since, messages, from, hash;
	const char *name;
	size_t len;

	if (!o)
		return -1;
	name = snapshot_get_text(&x->r, o, "topic", &len);
	interest = snapshot_get_uint(&x->r, o, "interest", 0, UINT64_MAX);
	last = snapshot_get_uint(&x->r, o, "last", SNAPSHOT_NEEDED, x->tail - 1);
	published = snapshot_get_uint(&x->r, o, "published", SNAPSHOT_NEEDED, last);
	kept = snapshot_get_uint(&x->r, o, "kept", 0, TOPIC_WAS_KEPT);
	since = snapshot_get_uint(&x->r, o, "since", x->tail + 1, x->tail + 1);	/* (an older program did not know) */
	from = snapshot_get_uint(&x->r, o, "from", 0, x->tail);
	messages = snapshot_get_uint(&x->r, o, "history", 0, published);
	if (x->r.bad || len == 0 || len > TOPIC_NAME_MAX || (interest == 0 && kept != TOPIC_KEPT) || (messages > 0 && !(kept == TOPIC_KEPT && from)))
		return snapshot_bad();
	hash = index_hash(name, len);
	if (index_find(ix, hash, name, len) != TOPIC_NONE)
		return snapshot_bad();
	if (kept == TOPIC_KEPT && (topic = index_keep(ix, hash, name, len, since)) == TOPIC_NONE)
		return -1;
	for (; interest; interest &= interest - 1) {
		topic = index_join(ix, (unsigned)__builtin_ctzll(interest), hash, name, len, since);
		if (topic == TOPIC_NONE)
			return -1;
	}
	index_topic(ix, topic)->kept = (uint32_t)kept;
	index_topic(ix, topic)->published = published;
	atomic_store(&index_topic(ix, topic)->last, last);
	if (read_subscribers(x, o, topic) < 0)
		return -1;
	from -= from > 0;
	for (uint64_t number = published - messages + 1; number <= published; number++)
		if (read_message(x, topic, number, &from) < 0)
			return -1;
	return 0;
}

/*
 * Makes the topic what it was before this record. If the topic's `last` is not below `seq`, this is the first of its records that is read. An earlier
 * one, which has left the ring, was `prev`: below the ring's oldest, so that nobody follows it.
 */
static int number_record(struct topic_shm *t, uint64_t seq, uint64_t number, uint64_t prev)
{
	if (atomic_load(&t->last) < seq)
		return number == t->published + 1 ? 0 : -1;
	if (number == 0 || number > t->published || (number == 1) != (prev == 0))
		return -1;
	t->published = number - 1;
	atomic_store(&t->last, prev);
	return 0;
}

/* What is read of a record. */
struct record {
	uint64_t seq, time;
	uint64_t behind;		/* its message's own record, 0: it is that */
	uint32_t topic, flags, len;
	const uint8_t *bytes;
};

/* Puts a record into the ring. False: it is too large for this one, or its message is. */
static bool add_record(struct reading *x, const struct record *rec)
{
	struct ring *ring = &x->hub->ring;
	struct ring_batch batch;
	void *dst = NULL;

	/* (An echo is published by itself here: nobody reads this ring yet.) */
	ring_begin(ring, &batch);
	if (rec->behind == 0) {
		dst = ring_add(ring, &batch, rec->topic, rec->len, rec->flags, rec->time);
		if (dst)
			memcpy(dst, rec->bytes, rec->len);
		x->own = dst ? rec->seq : 0;
	} else if (x->own == rec->seq - rec->behind) {
		ring_echo(ring, &batch, rec->topic);
		dst = ring;
	}
	ring_commit(ring, &batch);
	return dst != NULL;
}

/* Its topic, and its number there, which the topic is brought to. 0, or -1 with EPROTO. */
static int find_topic(struct reading *x, const struct msgpack_value *o, struct record *rec, uint64_t *number)
{
	size_t len;
	const char *name = snapshot_get_text(&x->r, o, "topic", &len);
	uint64_t prev;

	rec->topic = TOPIC_NONE;
	if (len == 0)
		return 0;
	*number = snapshot_get_uint(&x->r, o, "number", SNAPSHOT_NEEDED, rec->seq);
	prev = snapshot_get_uint(&x->r, o, "prev", *number > 1 ? x->first - 1 : 0, x->first - 1);	/* (an older program did not say) */
	rec->topic = index_find(&x->hub->index, index_hash(name, len), name, len);
	if (x->r.bad || rec->topic == TOPIC_NONE || number_record(index_topic(&x->hub->index, rec->topic), rec->seq, *number, prev) < 0)
		return snapshot_bad();
	return 0;
}

/* Whether an echo says what the ring's last record, which it is one of, says too. */
static bool follows(const struct reading *x, const struct record *rec)
{
	struct ring_record last;

	if (!(rec->flags & RING_ECHOED) || rec->behind > RING_ECHOES_MAX || rec->behind >= rec->seq ||
	    rec->time != x->hub->ring.shm->time)
		return false;
	if (x->own != rec->seq - rec->behind)
		return true;		/* (it is too large for this ring) */
	return ring_read(&x->hub->ring, rec->seq - 1, &last) == 0 && last.id == x->own && last.flags & RING_ECHOED;
}

static int read_record(struct reading *x, uint64_t seq)
{
	const struct msgpack_value *o = snapshot_next(&x->r);
	static const uint8_t nothing;
	struct record rec = { .seq = seq };
	uint64_t number = 0;

	if (!o)
		return -1;
	rec.time = snapshot_get_uint(&x->r, o, "time", SNAPSHOT_NEEDED, SNAPSHOT_MOST);
	rec.behind = snapshot_get_uint(&x->r, o, "behind", 0, SNAPSHOT_MOST);
	rec.flags = (uint32_t)snapshot_get_uint(&x->r, o, "flags", 0, UINT32_MAX) & RING_KEPT;
	rec.flags |= snapshot_get_uint(&x->r, o, "echoed", 0, 1) ? RING_ECHOED : 0;
	rec.bytes = snapshot_get_bytes(&x->r, o, "bytes", &rec.len);
	if (snapshot_get_uint(&x->r, o, "seq", SNAPSHOT_NEEDED, SNAPSHOT_MOST) != seq || x->r.bad || find_topic(x, o, &rec, &number) < 0)
		return snapshot_bad();
	/* Of one whose topic is gone, and that has no echoes, nothing is left. */
	if (rec.topic == TOPIC_NONE && rec.behind == 0 && rec.len == 0) {
		rec.bytes = &nothing;
		rec.len = 1;
	}
	if (rec.behind ? !follows(x, &rec) : rec.len == 0 || !ring_time_follows(x->hub->ring.shm->time, rec.time))
		return snapshot_bad();
	if (add_record(x, &rec)) {
		if (rec.flags & RING_TO_STREAM && rec.topic == TOPIC_NONE)
			atomic_store(&ring_desc(&x->hub->ring, seq)->next, snapshot_get_uint(&x->r, o, "ack", 0, UINT64_MAX));
		return 0;
	}
	/* A ring has no gaps: if this record can't be in it, those before it can't, either. */
	ring_start(&x->hub->ring, seq + 1, rec.time);
	if (rec.topic != TOPIC_NONE) {
		index_topic(&x->hub->index, rec.topic)->published = number;
		atomic_store(&index_topic(&x->hub->index, rec.topic)->last, seq);
	}
	return 0;
}

static int read_all(struct reading *x, int fd)
{
	const char *why;

	if (read_head(x, fd) < 0)
		return -1;
	for (uint64_t i = 0; i < x->slots; i++)
		if (read_slot(x) < 0)
			return -1;
	for (uint64_t i = 0; i < x->topics; i++)
		if (read_topic(x) < 0)
			return -1;
	for (uint64_t seq = x->first; seq < x->tail; seq++)
		if (read_record(x, seq) < 0)
			return -1;
	/* (Records of topics that have a rule now and had none before. The others are there.) */
	if (x->hub->history.rules)
		hub_follow(x->hub);
	/* Whether topics and records agree with each other, which they do only if the snapshot is right. */
	if (x->hub->ring.shm->time != x->time || ring_check(&x->hub->ring, &why) < 0)
		return snapshot_bad();
	return snapshot_finish(&x->r);
}

int snapshot_read_hub(struct hub *hub, int fd)
{
	struct reading x = { .hub = hub };
	uint32_t patterns_max = hub->index.shm->patterns_max, shapes_max = hub->index.shm->shapes_max;
	int r;

	assert(ring_tail(&hub->ring) == 1 && hub->index.shm->high == 0);
	index_limit(hub->index.shm, UINT32_MAX, INDEX_SHAPES_MAX);	/* what is there stays, though the limits be lower now */
	r = read_all(&x, fd);
	index_limit(hub->index.shm, patterns_max, shapes_max);
	x.hub->history.counts = (struct history_counts){ 0 };	/* (they are in the old counters) */
	snapshot_close(&x.r);
	return r;
}
