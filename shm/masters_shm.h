/*
 * Is there a master? Keepers serve on without one (ARCHITECTURE.md, "The master's death"). Here stands, in the hub, what they and janusctl know of it.
 */
#ifndef SHM_MASTERS_SHM_H
#define SHM_MASTERS_SHM_H

#include <stdatomic.h>
#include <stdint.h>

struct masters_shm {
	_Alignas(64) _Atomic uint32_t pid;	/* the last one; by itself, when it starts or has adopted the keepers */
	_Atomic uint32_t count;		/* masters that this hub has had; by them. A program that one executes in its place is the same */
	/* When the last one had gone, microseconds since 1970; 0: there is one. By the keeper that sees it first (from 0, by a compare-exchange), and to 0 by
	 * the next master. */
	_Atomic uint64_t gone;
	_Atomic uint64_t ends_at;	/* when keepers stop unless one comes, milliseconds of CLOCK_MONOTONIC; by who has set `gone`, and later (master/bereft.c) */

	/* When there is no service manager: the keepers' (master/revive.h). A master that has got somewhere sets `started` and `given_up` to 0. */
	_Atomic uint64_t next_at;	/* when one of them starts the next master, milliseconds of CLOCK_MONOTONIC; who takes it on with a compare-exchange does */
	_Atomic uint64_t started_at;	/* when one of them started the last, the same */
	_Atomic uint32_t started;	/* how many they have, one behind the other, of which none has got anywhere yet */
	_Atomic uint32_t given_up;	/* 1: they start none any more */
	_Atomic int32_t oom;		/* what the kernel adds to the master's score when memory is short: others' is this and something (privileges.h); the masters' */
	_Atomic uint32_t revived;	/* 1: a keeper has started the one that there is, which may have fewer privileges than the first; the masters' */
	_Atomic uint32_t moving;		/* 1: a program with another layout may have this hub's sessions, from their snapshots. The master's */
	_Atomic uint32_t looked_at;	/* when a keeper looked last whether it is time to stop: the lower half of that clock's milliseconds */
};
_Static_assert(sizeof(struct masters_shm) == 64, "a cache line");

#endif
