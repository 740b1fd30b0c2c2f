/*
 * Adoption: a master that starts finds keepers that serve on without one, and takes them over (ARCHITECTURE.md, "The master's death").
 *
 * In two steps. The master that starts asks the keepers what they have, makes a handover state of it, and executes their program with that, as in a reload. That program starts as any that
 * follows another one, but with the keepers' settings; then it compares what they have with what is configured, and asks for a reload if it differs.
 */
#ifndef MASTER_ADOPTION_H
#define MASTER_ADOPTION_H

#include "master/master.h"

/* By a master that starts and has the lock, before it has made anything. Does not return if there are keepers, as their program is executed. 0: there are none; -1 (logged): they can't be adopted, or do not go, and are left as they are. */
int adoption_try(struct master *m);

/* By their program (m->h.adopted), when its loop may run: what no keeper has come for is made anew, and what differs is to be reloaded. -1 (logged): a keeper lives that did not answer; nothing was changed, and this master is to leave. */
int adoption_settle(struct master *m);

#endif
