/*
 * A keeper: owns a slot's descriptor table and segment, makes its worker, and makes it again.
 */
#ifndef MASTER_KEEPER_H
#define MASTER_KEEPER_H

/* Exit statuses of a keeper. */
enum {
	KEEPER_STOPPED = 0,		/* as ordered */
	KEEPER_FAILED = 1,		/* at start; logged */
	KEEPER_DRAINED = 3,		/* its last connection has ended, and it was to take no more */
	KEEPER_GAVE_UP = 4,		/* its workers die faster than restart_limit allows, even with an empty slot */
	KEEPER_SHORTAGE = 5,		/* the program could not be executed, as the machine was short of something */
};

#define KEEPER_NAME "janus-keeper"
#define WORKER_NAME "janus-worker"

/* main() of a keeper: `handover` is the memfd. Returns its exit status. */
int keeper_main(int handover);

#endif
