/*
 * Orders: what the master tells a keeper, and the descriptors that come with it. One packet each, over a socket that a keeper has from its
 * start. The end of the socket means that the master is gone. The next one comes by the keeper's door (door.h), and what it came by is the socket from then on.
 *
 *   one byte       enum order
 *   SCM_RIGHTS     with ORDER_REPLACE, in this order:
 *                    the handover state (handover.h)
 *                    the program (O_PATH); not from a master whose keepers are those of a version that executes what stands at its path
 *                    if that says `new_segments`: the hub, the slot segment
 *                    if it has `secrets`: these (an earlier version counts none, and would refuse the order: but it has no settings that take any, either)
 *                    the listen sockets, as many as it has and in its order
 *                  with ORDER_DOOR: the door, the control socket
 *
 * Numbers of descriptors that a handover state has in it are the sender's. orders_receive() puts in what the same things are called here.
 */
#ifndef MASTER_ORDERS_H
#define MASTER_ORDERS_H

#include "master/handover.h"

enum order {
	ORDER_NONE = 0,		/* nothing has come */
	ORDER_END = 1,		/* the master is gone */
	ORDER_BAD = 2,		/* one that can't be followed: `error` says why, and what came along is closed */
	ORDER_REPLACE = 'R',	/* execute the program that comes along, with the handover state, and replace the worker */
	ORDER_QUIESCE = 'F',	/* have the worker leave a snapshot, and wait: the slot's state becomes SLOT_QUIESCED */
	ORDER_DOOR = 'D',	/* its door (door.h) and the control socket come along: of a program that knew neither */
	ORDER_TELL = 'A',	/* by a master that did not make the keeper: say what you have (adopt.h) */
	ORDER_RESUME = 'T',	/* go on as if nothing had been */
};

struct order_received {
	enum order order;
	const char *error;		/* ORDER_BAD: why */
	/* ORDER_REPLACE: its descriptors are the receiver's to close, with orders_close() if it does not keep them. */
	int program;
	int door, control;		/* ORDER_DOOR: the receiver's to close */
	struct handover handover;	/* its `hub` and the slot's `segment` are -1 but with `new_segments` */
};

/* A socket for a slot's orders. 0, or -1 with errno. */
int orders_open(int *masters_end, int *keepers_end);

/* By the master. Neither waits; 0, or -1 with errno. */
int orders_send(int socket, enum order order);
int orders_send_door(int socket, int door, int control);
/* `h`: what the keeper is given, with the master's numbers. `program`: -1 if none is to go along. */
int orders_send_replace(int socket, const struct handover *h, int program);

/* By the keeper, who does not wait either. Whatever comes along is either in *r or closed. */
void orders_receive(int socket, struct order_received *r);
void orders_close(const struct order_received *r);

#endif
