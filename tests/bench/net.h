/*
 * Connections to the server, from as many loopback addresses as it takes.
 */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <stdint.h>
#include <sys/socket.h>

#define NET_PER_SOURCE 8000u	/* connections from one source address: a part of the ephemeral ports, so that one is found fast */

/* Who connects, for net_connect(): subscribers count from 0; these stand apart. */
#define NET_PUBLISHER UINT32_MAX
#define NET_CHURN (UINT32_MAX - 1)

/* Parses 127.x.x.x:PORT, [::1]:PORT, localhost:PORT, or one of them without the port (8081). 0; or -1 and *error. */
int net_parse(const char *text, struct sockaddr_storage *address, socklen_t *len, const char **error);

/* Starts connecting a non-blocking socket; `who` chooses the source address. `rcvbuf` bytes of receive buffer, 0 the
 * system's choice. The descriptor, or -1 with errno. Writable means connected, or failed. */
int net_connect(const struct sockaddr_storage *address, socklen_t len, uint32_t who, int rcvbuf);

/* The error a socket has come upon, 0 none. */
int net_error(int fd);

/* Closes with a RST, so that tens of thousands of connections don't stay behind in TIME_WAIT. */
void net_abort(int fd);

#endif
