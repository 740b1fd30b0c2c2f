/*
 * What a worker died of. A worker notes in its slot segment what it is at: the session that it deals with (`working_on`), the record that it
 * encodes (`encoding`). After its death the keeper draws the conclusion here; the next worker acts on it.
 *
 *   died of            the session at hand                            the record at hand
 *   its own fault      is closed                                      is tried once more, then skipped for that transport
 *   a hang             the same                                       the same
 *   somebody's kill    is closed when three workers in a row died     is skipped when three in a row did
 *                      at the same place of its input or output
 *
 * A kill from outside mostly strikes something innocent; but the OOM killer's, or that of a limit, may be an input's doing.
 */
#ifndef SHM_BLAME_H
#define SHM_BLAME_H

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

#define BLAME_KILLS 3		/* deaths by somebody's hand with the same thing at hand */
#define BLAME_RECORD 2		/* deaths of its own fault while the same record was encoded */

/*
 * Notes the death of the slot's last worker in slot_shm.suspect and skip, and clears what it was at. By the keeper, when the worker is
 * dead and before the next one is made. A keeper that dies in between costs the slot anyway.
 */
enum verdict blame(const struct slot *slot, enum death death);

/* Whether the record is one that is to be passed over for this transport. Cheap while there is none. */
bool blame_skips(const struct slot *slot, uint64_t seq, uint32_t transport);

#endif
