/*
 * Can that program take over? Asked by the running master before it executes another, and answered by the other in a process of its own
 * (`janus --probe=FD`, where FD is the memfd with the handover state).
 *
 * The answer goes through a pipe that the handover state names, as a msgpack map {janus: version, nonce: that of the handover state, answer: PROBE_,
 * why: a text, with PROBE_NO}. It is the exit status as well. Only if both say the same it is believed: some other program, which knows nothing of
 * this, may end with any status. (A predecessor that names no pipe looks at the status alone.)
 */
#ifndef MASTER_PROBE_H
#define MASTER_PROBE_H

#include "master/master.h"

enum {
	PROBE_YES = 0,
	PROBE_NO = 1,
	PROBE_SNAPSHOT = 10,		/* its layout differs, but it can read a snapshot */
};

/* Asks `program` (O_PATH) about m->next. PROBE_; with PROBE_NO error[] says why. Blocks for up to ten seconds. */
int probe_ask(struct master *m, int program, char error[CONFIG_ERROR_MAX]);

/* main() of the process that is asked: its exit status. */
int probe_main(const struct config_source *source, int handover);

#endif
