/*
 * Another keeper, made by the worker whose keeper has died. Run by that worker; what keeper and worker know of each other is the same struct keeper, of which the worker has a copy.
 *
 * The new process shares the worker's descriptor table, as the dead one did, and is a child of the master, as that one was (CLONE_PARENT: the worker is the master's child by then). The
 * kernel writes its number into the hub (hub_slot_shm.keeper) before it runs: there the master finds it. It is not the worker's parent, so it has the worker hand over, as in a reload, waits for its end
 * (pidfd), and executes the program that the worker ran. Not before: execve() gives a process a table of its own, and what the worker accepted or closed from then on would not be in it. What
 * it executes is a keeper like any other, and makes the next worker.
 */
#ifndef MASTER_KEEPER_AGAIN_H
#define MASTER_KEEPER_AGAIN_H

#include <sys/types.h>

/* A keeper has died: milliseconds until another is to be made. 0, but for keepers that die one behind the other, each within a second. */
unsigned keeper_again_pause(void *keeper);

/* Makes another one. Its process id, or -1 with errno. */
pid_t keeper_again(void *keeper);

#endif
