/*
 * Sessions by their token. See strays.h.
 */
#include "worker/service/strays.h"

#include <bsd/sys/tree.h>
#include <stdlib.h>

#include "shm/siphash.h"

struct stray {
	RB_ENTRY(stray) node;
	uint64_t key[2];
	session_id sid;
};

RB_HEAD(stray_tree, stray);

static int compare(const struct stray *a, const struct stray *b)
{
	if (a->key[0] != b->key[0])
		return a->key[0] < b->key[0] ? -1 : 1;
	return a->key[1] < b->key[1] ? -1 : a->key[1] > b->key[1];
}

RB_GENERATE_INTERNAL(stray_tree, stray, node, compare, static __attribute__((unused)))

static struct stray *find(const struct base *base, const uint8_t token[TOKEN_BYTES])
{
	struct stray key;

	if (!base->strays)
		return NULL;
	siphash(base->hub.once.shm->secret, token, TOKEN_BYTES, key.key);
	return RB_FIND(stray_tree, base->strays, &key);
}

/* ---- who is in another slot than its token says ---- */

static uint64_t hash_of(const struct base *base, const uint8_t token[TOKEN_BYTES])
{
	uint64_t hash[2];

	siphash(base->hub.once.shm->secret, token, TOKEN_BYTES, hash);
	return hash[1];
}

int strays_slot(const struct base *base, const uint8_t token[TOKEN_BYTES])
{
	return moved_tokens_find(base->hub.moved, hash_of(base, token));
}

int strays_place(struct base *base, session_id sid, unsigned slot)
{
	const uint8_t *token = session(base, sid)->token;
	uint64_t hash = hash_of(base, token);
	int was = moved_tokens_find(base->hub.moved, hash), r = 0;
	bool home = slot == token_slot(token) && slot == base->number;

	if (home ? was < 0 : was == (int)slot)
		return 0;
	lock_acquire(&base->hub.shm->lock, base->number + 1);
	if (home)
		moved_tokens_remove(base->hub.moved, hash, (unsigned)was);
	else
		r = moved_tokens_put(base->hub.moved, hash, slot);
	lock_release(&base->hub.shm->lock, base->number + 1);
	return r;
}

void strays_end(struct base *base, session_id sid)
{
	uint64_t hash;

	if (token_slot(session(base, sid)->token) == base->number)
		return;
	hash = hash_of(base, session(base, sid)->token);
	lock_acquire(&base->hub.shm->lock, base->number + 1);
	moved_tokens_remove(base->hub.moved, hash, base->number);
	lock_release(&base->hub.shm->lock, base->number + 1);
}

/* ---- who has another number here ---- */

session_id strays_find(const struct base *base, const uint8_t token[TOKEN_BYTES])
{
	const struct stray *stray = find(base, token);

	return stray ? stray->sid : -1;
}

int strays_add(struct base *base, session_id sid)
{
	struct stray *stray = malloc(sizeof(*stray)), *there;

	if (!base->strays)
		base->strays = calloc(1, sizeof(*base->strays));
	if (!stray || !base->strays) {
		free(stray);
		return -1;
	}
	siphash(base->hub.once.shm->secret, session(base, sid)->token, TOKEN_BYTES, stray->key);
	stray->sid = sid;
	there = RB_INSERT(stray_tree, base->strays, stray);
	if (there) {
		there->sid = sid;
		free(stray);
	}
	return 0;
}

bool strays_remove(struct base *base, session_id sid)
{
	struct stray *stray = find(base, session(base, sid)->token);

	if (!stray || stray->sid != sid)
		return false;
	RB_REMOVE(stray_tree, base->strays, stray);
	free(stray);
	return true;
}
