/*
 * Orders: what operators have done to clients of all slots, by janusctl (through the master) or by an admin listener (through any worker).
 *
 * An order is a message in the queue of each slot that it is for (worker/loop/move.h), where it waits while the slot has no worker. What became of it
 * stands in the hub (hub_slot_shm.order), where whoever sent it may look: so nobody waits for an answer that a dead worker would owe.
 *
 * Crash rules. A worker looks at the order at the head of its queue, notes it as begun, does it in pieces, notes it as done, and only then takes it out. A
 * successor that finds it begins again: who was sent away is not there any more, or ends already. What was counted stays counted; one that was sent
 * away in the instant of a death may be missing from the count. If it finds it noted as done, it only takes it out.
 */
#ifndef WORKER_SERVICE_ORDER_H
#define WORKER_SERVICE_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/client_id.h"
#include "shm/hub.h"

#define ORDER_REASON_MAX 120		/* bytes: what a WebSocket's close has room for */

enum order_kind { ORDER_KICK_CLIENT = 1, ORDER_KICK_TOPIC, ORDER_KICK_USER, ORDER_KICK_SUB };

/* Whom it is for: one of these; NULL: not by that. */
struct order_who {
	const char *id;
	const char *topic, *user;	/* those that subscribe it, are logged in as him */
	const char *sub;		/* those that have shown a token, key or certificate that says so */
};

struct client_order {
	uint32_t magic;			/* nothing else in a queue begins so */
	uint32_t kind;
	uint64_t number;		/* no two orders have the same one, also over upgrades; they go up */
	uint32_t session, check;	/* KICK_CLIENT */
	uint8_t name_len;		/* KICK_TOPIC, KICK_USER: as it stands in the index; KICK_SUB: as rights have it */
	char name[TOPIC_NAME_MAX];
	char reason[ORDER_REASON_MAX + 1];	/* terminated */
};

/* NULL, or why these are no order; `reason` may be NULL. *slot: KICK_CLIENT's. */
const char *order_read(struct client_order *order, unsigned *slot, const struct order_who *who, const char *reason);

/*
 * Numbers the order and puts it into the queues of the slots in use, KICK_CLIENT into that slot's. *slots: a bit for each that has it. 0; or -1 with errno:
 * EAGAIN, some queue is full, and the slots in *slots have it all the same; ESRCH, the slot is not in use.
 */
int order_send(const struct hub *hub, const int *queue, struct client_order *order, unsigned slot, uint64_t *slots);

/* The order at the head of a queue. False: there is none, or something else is there. */
bool order_look(int queue, struct client_order *order);
void order_take_out(int queue);

/* What a slot has noted of an order. -1: it has not done it yet; *count: clients sent away so far. 0: it is done; ORDER_COUNT_GONE: so many came
 * later that the count is not there any more. */
#define ORDER_COUNT_GONE UINT64_MAX
int order_done(const struct hub *hub, unsigned slot, uint64_t number, uint64_t *count);

/* The worker's notes. order_begin(): false, it is done already. */
bool order_begin(struct hub_slot_shm *slot, uint64_t number);
void order_count(struct hub_slot_shm *slot, uint64_t number);
void order_end(struct hub_slot_shm *slot, uint64_t number);

/* The highest number that a slot has noted as done, by whichever worker it had; 0: none. */
uint64_t order_last(const struct hub_slot_shm *slot);

#endif
