/*
 * What all workers know together of clients' addresses and users (the `sub` of tokens and keys): how many connections each has, and how much of its rates it has used. In the hub
 * segment; as long as no limit is set nothing but its first page is touched, and takes memory.
 *
 *   client_limits_shm | cells, from 1
 *
 * A cell is found by a hash of what it is about (SipHash with the hub's own key: who does not know that can't make two of one cell). Cells are made, found and given up under the hub
 * lock; a cell is given up when another is needed, nobody is connected by it, and its rates have recovered. If none can be, who comes is not limited, and that is counted.
 *
 * Connections stand in a column for each slot, which its worker alone writes: so a kill leaves no count that is wrong for longer than until its successor has counted its sessions anew, in a column of
 * zeroes. (Until then the dead worker's connections count, as they are still there.)
 *
 * A rate is a bucket that leaks (GCRA, ITU-T I.371): one number, the time at which it is empty, in nanoseconds of CLOCK_MONOTONIC. What a second allows may come at once.
 *
 * Crash rules, for a death under the lock. A cell is whole before a list names it, and is taken out of its list before it is another's; both are one store. One that is in no list is found by whoever
 * looks for a cell to be given up, and is free.
 */
#ifndef SHM_CLIENT_LIMITS_H
#define SHM_CLIENT_LIMITS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/index.h"

#define CLIENT_CELLS 65536

enum client_rate { CLIENT_CONNECTS, CLIENT_SUBSCRIBES, CLIENT_PUBLISHES, CLIENT_RATES };

struct client_cell_shm {
	_Alignas(64) uint64_t hash;
	_Atomic uint32_t next;				/* in its list, 0 none */
	uint32_t pad;
	_Atomic uint64_t rate[CLIENT_RATES];
	uint8_t pad2[24];
	_Atomic uint32_t connections[INDEX_SLOTS_MAX];	/* a column a slot */
};
_Static_assert(sizeof(struct client_cell_shm) == 64 + 4 * INDEX_SLOTS_MAX, "layout");

struct client_limits_shm {
	_Alignas(64) uint64_t key[2];
	_Atomic uint32_t high;				/* cells that were ever used */
	uint32_t hand;					/* where the last one was given up */
	_Atomic uint32_t head[CLIENT_CELLS];		/* lists, by hash */
};

struct client_limits {
	struct client_limits_shm *shm;
	struct client_cell_shm *cell;			/* from 1 */
};

size_t client_limits_size(void);
int client_limits_format(void *mem);			/* zeroed memory of so many bytes. 0, or -1 with errno: no key */
int client_limits_attach(struct client_limits *l, void *mem, size_t size);	/* 0, or -1 with EPROTO */

/* What a cell is about. IPv6 clients are told apart by the first 64 bits, as a host has all the rest to choose from. */
uint64_t client_limits_address(const struct client_limits *l, uint8_t family, const uint8_t address[16]);
uint64_t client_limits_sub(const struct client_limits *l, const char *sub, size_t len);

/* The cell, which is made if there is none. The caller holds the hub lock. 0: there is no room. */
uint32_t client_limits_cell(struct client_limits *l, uint64_t hash, uint64_t now);

/* Connections of all slots together. The caller holds the hub lock, if it is to be exact. */
uint64_t client_limits_connections(const struct client_limits *l, uint32_t cell);

/* For the slot's worker. A cell that it has joined is not given up. */
void client_limits_join(struct client_limits *l, uint32_t cell, unsigned slot);
void client_limits_leave(struct client_limits *l, uint32_t cell, unsigned slot);
void client_limits_clear(struct client_limits *l, unsigned slot);	/* the slot has no connections */

/* Takes `n` of what may be had `a_second` of (1 to 1,000,000,000), or more than a second has if nothing of it was used. False: they can't be had now. */
bool client_rate_take(_Atomic uint64_t *rate, uint64_t a_second, uint64_t n, uint64_t now);
void client_rate_give(_Atomic uint64_t *rate, uint64_t a_second, uint64_t n);	/* takes that back */

#endif
