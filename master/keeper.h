/*
 * A keeper: owns a slot's descriptor table and segment, makes its worker, and makes it again.
 */
#ifndef MASTER_KEEPER_H
#define MASTER_KEEPER_H

#include "master/heritage.h"

/* Exit statuses of a keeper. */
enum {
	KEEPER_STOPPED = 0,		/* as ordered */
	KEEPER_FAILED = 1,		/* at start; logged */
	KEEPER_DRAINED = 3,		/* its last connection has ended, and it was to take no more */
	KEEPER_LACKING = 5,		/* the program could not be executed for want of something */
	KEEPER_GAVE_UP = 4,		/* its workers die faster than restart_limit allows, even with an empty slot */
};

/* What the master tells a keeper over the orders socket: one packet each. The end of the socket means stop. */
enum keeper_order {
	ORDER_REPLACE = 'R',	/* execute the program anew with the heritage that comes along, descriptors and all (SCM_RIGHTS: the heritage;
				   if it says `fresh`, the hub and slot segments; the listen sockets in its order), and replace the worker */
	ORDER_FREEZE = 'F',	/* have the worker leave a snapshot, and wait: the slot's state becomes SLOT_FROZEN */
	ORDER_THAW = 'T',	/* go on as if nothing had been */
};

#define KEEPER_NAME "janus-keeper"
#define WORKER_NAME "janus-worker"

/* main() of a keeper: `heritage` is the memfd. Returns its exit status. */
int keeper_main(int heritage);

#endif
