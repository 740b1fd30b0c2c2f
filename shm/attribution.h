/*
 * Crash attribution: which session or record a worker died of. A worker notes in its slot segment what it is at: the session that it deals with
 * (`working_on`), the record that it encodes (`encoding`). After its death the keeper decides here what is to be blamed; the next worker acts on
 * that.
 *
 *   death              the session that it was at                     the record that it was at
 *   its own fault      is closed                                      is tried once more, then skipped for that transport
 *   a hang             the same                                       the same
 *   a kill             is closed when three workers in a row died     is skipped when three in a row did
 *                      at the same place of its input or output
 *
 * When somebody kills a worker, what it was at has mostly nothing to do with it. But the kill may be the OOM killer's or that of a limit, and then
 * an input may have caused it.
 */
#ifndef SHM_ATTRIBUTION_H
#define SHM_ATTRIBUTION_H

#include "shm/slot.h"

enum death {
	DEATH_KILLED,		/* by a signal that is nobody's fault: SIGKILL, SIGTERM... */
	DEATH_FAULT,		/* SIGSEGV, SIGABRT..., or an exit that nobody had asked for */
	DEATH_HANG,		/* killed by its keeper, as it made no progress */
};

enum verdict {
	VERDICT_NONE,		/* nothing was at hand */
	VERDICT_SUSPECT,	/* something was, and is tried again */
	VERDICT_SESSION,	/* slot_shm.suspect.blamed is to be closed */
	VERDICT_RECORD,		/* the record is skipped from here on */
};

#define ATTRIBUTION_KILLS 3		/* deaths by somebody's hand with the same thing at hand */
#define ATTRIBUTION_FAULTS 2		/* deaths of its own fault while the same record was encoded */

/*
 * Notes the death of the slot's last worker in slot_shm.suspect and skip, and clears what it was at. Called by the keeper, when the worker is dead
 * and before the next one is made. (If the keeper dies in between, it may be that nothing is blamed for this death.)
 */
enum verdict attribution_note(const struct slot *slot, enum death death);

/* Whether the record is one that is to be passed over for this transport. Cheap while there is none. */
bool attribution_skips(const struct slot *slot, uint64_t seq, uint32_t transport);

#endif
