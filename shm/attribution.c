/*
 * Crash attribution. See attribution.h.
 */
#include "shm/attribution.h"

#include <string.h>

static void skip(struct slot_shm *s, uint64_t encoding)
{
	uint32_t n = atomic_load_explicit(&s->skips, memory_order_relaxed);

	atomic_store_explicit(&s->skip[n % SKIP_MAX], encoding, memory_order_relaxed);
	atomic_store_explicit(&s->skips, n + 1, memory_order_release);
}

static enum verdict attribute_record(struct slot_shm *s, uint64_t encoding, enum death death)
{
	struct suspect_shm *suspect = &s->suspect;
	uint32_t count = suspect->encoding == encoding ? suspect->count + 1 : 1;

	*suspect = (struct suspect_shm){ .encoding = encoding, .count = count };
	if (count < (death == DEATH_KILLED ? ATTRIBUTION_KILLS : ATTRIBUTION_FAULTS))
		return VERDICT_SUSPECT;
	skip(s, encoding);
	*suspect = (struct suspect_shm){ 0 };
	return VERDICT_RECORD;
}

static enum verdict attribute_session(const struct slot *slot, uint32_t on, enum death death)
{
	struct suspect_shm *suspect = &slot->shm->suspect;
	const struct session_shm *s = slot_session(slot, (int)(on & ~WORKING_ELSE) - 1);
	uint64_t place = on & WORKING_ELSE ? s->state.sent : s->state.parsed;
	bool same = suspect->session == on && suspect->place == place && memcmp(suspect->token, s->token, sizeof(s->token)) == 0;
	uint32_t count = same ? suspect->count + 1 : 1;

	*suspect = (struct suspect_shm){ .session = on, .count = count, .place = place };
	memcpy(suspect->token, s->token, sizeof(s->token));
	if (death == DEATH_KILLED && count < ATTRIBUTION_KILLS)
		return VERDICT_SUSPECT;
	*suspect = (struct suspect_shm){ .blamed = on & ~WORKING_ELSE };
	return VERDICT_SESSION;
}

enum verdict attribution_note(const struct slot *slot, enum death death)
{
	struct slot_shm *s = slot->shm;
	uint64_t encoding = atomic_exchange(&s->encoding, 0);
	uint32_t on = atomic_exchange(&s->working_on, 0), number = on & ~WORKING_ELSE, blamed = s->suspect.blamed;
	enum verdict verdict;

	if (encoding)
		verdict = attribute_record(s, encoding, death);
	else if (number && number <= s->sessions_max && slot_session(slot, (int)number - 1)->status == SESSION_OPEN)
		verdict = attribute_session(slot, on, death);
	else {
		s->suspect = (struct suspect_shm){ 0 };
		verdict = VERDICT_NONE;
	}
	/* One that was blamed before is still to be closed, if the worker that was to do so has died first. */
	if (!s->suspect.blamed)
		s->suspect.blamed = blamed;
	return verdict;
}

bool attribution_skips(const struct slot *slot, uint64_t seq, uint32_t transport)
{
	const struct slot_shm *s = slot->shm;

	if (atomic_load_explicit(&s->skips, memory_order_acquire) == 0)
		return false;
	for (int i = 0; i < SKIP_MAX; i++)
		if (atomic_load_explicit(&s->skip[i], memory_order_relaxed) == ENCODING(seq, transport))
			return true;
	return false;
}
