/*
 * Death at each single instruction of publishes that keep history, of the sweep, and of the repair that follows.
 */
#ifndef STRESS_EVERY_HISTORY_H
#define STRESS_EVERY_HISTORY_H

/* Faults are told with world_fault(). Prints what was done. */
void every_history(void);

#endif
