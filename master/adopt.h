/*
 * What a keeper has, for a master that did not make it: told when that asks (ORDER_TELL), over the orders socket, in packets that both ends are written down for here.
 *
 *   'T', first, last, count    a byte each
 *   int32_t number[count]      the descriptors' numbers in the keeper
 *   SCM_RIGHTS                 the descriptors, in that order
 *
 * The first descriptor of the first packet is the keeper's handover state, its number ADOPT_STATE; the second one its program (O_PATH), ADOPT_PROGRAM; the others are those that the state names by these numbers. So each end may know members
 * that the other does not: what nobody names is closed. A keeper that is asked again begins anew.
 */
#ifndef MASTER_ADOPT_H
#define MASTER_ADOPT_H

#include <stdbool.h>
#include <sys/types.h>

#include "master/handover.h"

enum { ADOPT_STATE = -1, ADOPT_PROGRAM = -2 };

/* By the keeper, which does not wait. `h`: its own state. 0, or -1 with errno. */
int adopt_tell(int orders, const struct handover *h, int program);

#define ADOPT_FDS_MAX (2 * INDEX_SLOTS_MAX + LISTENERS_OPEN_MAX + 16)

/* By the master: what has come so far. All zero at first. */
struct adopt_told {
	int number[ADOPT_FDS_MAX], fd[ADOPT_FDS_MAX];
	unsigned count;
	pid_t keeper;			/* as the kernel says */
};

enum adopt_result { ADOPT_MORE, ADOPT_WHOLE, ADOPT_END };	/* more is to come; all is there; the connection has ended, or what came makes no sense */

/* Takes what there is, without waiting. */
enum adopt_result adopt_hear(int orders, struct adopt_told *told);

/* ADOPT_WHOLE: the state, with the descriptors' numbers as they are here, and its program. What it does not name is closed. *told is empty from then on. 0, or -1: it makes no sense, and all is closed. */
int adopt_take(struct adopt_told *told, struct handover *h, int *program);

/* Closes what has come. */
void adopt_forget(struct adopt_told *told);

#endif
