/*
 * A protocol and the address at which it is spoken. Subscribers are spread over the transports of --speak; publishers use one.
 *
 * Addresses are given as the server's own settings have them, SCHEME://HOST:PORT. One without a scheme is for all protocols whose
 * scheme is not named. Within TLS are those of https and of other schemes with `+tls`, as flash+tls. Several of a kind are several nodes, which are
 * joined: the first of each kind is the first node's.
 */
#ifndef BENCH_TRANSPORT_H
#define BENCH_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "tests/bench/speak.h"

#define TRANSPORTS_MAX 32u
#define NODES_MAX 8u

struct transport {
	const struct speak *speak;
	const char *target;		/* HOST:PORT as given */
	uint32_t node;
	bool tls;
	struct sockaddr_storage address;
	socklen_t address_len;
};

/* Whether addresses[count] can be understood, and of how many nodes they are. 0; or -1, and what is wrong has been written to standard error: the
 * others do so too. */
int transport_check(char *const *addresses, int count, uint32_t *nodes);

/* The transport of the protocol `name` at a node, from 0. */
int transport_init(struct transport *t, const char *name, uint32_t node, char *const *addresses, int count);

/* Those of a list of names, divided by commas, at each of the nodes: list[0..*n). */
int transport_list(struct transport list[TRANSPORTS_MAX], uint32_t *n, const char *names, uint32_t nodes, char *const *addresses, int count);

#endif
