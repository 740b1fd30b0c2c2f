/*
 * Death at each instruction of who changes the members of watched topics (shm/members.h).
 */
#ifndef STRESS_EVERY_MEMBERS_H
#define STRESS_EVERY_MEMBERS_H

void every_members(void);	/* faults go to world_fault() */

#endif
