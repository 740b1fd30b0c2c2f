/*
 * One publishing connection. It either stays and streams actions, or (--classic) is made anew for each message, as the original's
 * bots did; then the next message waits until the server has closed, so that messages keep their order.
 *
 *   streaming:  CLOSED -> CONNECTING -> GREETING -> OPEN                       -> GONE
 *   classic:    CLOSED -> CONNECTING -> GREETING -> OPEN -> ENDING -> CLOSED -> ...
 */
#ifndef BENCH_OUTLET_H
#define BENCH_OUTLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/member.h"
#include "tests/bench/schedule.h"
#include "tests/bench/speak.h"

enum outlet_state { OUTLET_CLOSED, OUTLET_CONNECTING, OUTLET_GREETING, OUTLET_OPEN, OUTLET_ENDING, OUTLET_GONE };

struct outlet {
	struct member *m;
	const struct transport *transport;
	struct schedule next;
	enum outlet_state state;
	int fd, epoll;
	uint32_t number;
	bool active;			/* a round is on and not all of it is out */
	bool blocked;			/* the server does not read: wait for EPOLLOUT */
	size_t out_len, out_sent, out_max;
	char *out;			/* whole frames, of which out_sent bytes are gone */
	size_t in_len;
	char in[SPEAK_ANSWER_MAX];
};

/* 0 or -1 with errno. Events of the connection carry `number` as their epoll data. */
int outlet_init(struct outlet *o, struct member *m, int epoll, uint32_t number);

/* Begins to connect. What becomes of it shows in o->state; OUTLET_GONE has been counted as a fault. */
void outlet_open(struct outlet *o);

/* A round starts: there are messages to send. */
void outlet_start(struct outlet *o);

/* Sends what is due at `now`, a buffer at most. `start` is when the round began. Returns when to call again: at once if `now`, not
 * before an event if UINT64_MAX. */
uint64_t outlet_advance(struct outlet *o, uint64_t start, uint64_t now);

void outlet_event(struct outlet *o, uint32_t events);

#endif
