/*
 * Connections to the server, from as many loopback addresses as it takes; within TLS (tlsc.h) if they are said to be, which then shows nowhere else.
 */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define NET_PER_SOURCE 8000u	/* connections from one source address: a part of the ephemeral ports, so that one is found fast */

/* Who connects, for net_connect(): subscribers count from 0; these stand apart. */
#define NET_PUBLISHER UINT32_MAX
#define NET_CHURN (UINT32_MAX - 1)

/* Parses 127.x.x.x:PORT, [::1]:PORT, localhost:PORT, or one of them without the port (8081). 0; or -1 and *error. */
int net_parse(const char *text, struct sockaddr_storage *address, socklen_t *len, const char **error);

/* Starts connecting a non-blocking socket; `who` chooses the source address. `rcvbuf` bytes of receive buffer, 0 the
 * system's choice. The descriptor, or -1 with errno. Then net_ready() is asked at each event. */
int net_connect(const struct sockaddr_storage *address, socklen_t len, bool tls, uint32_t who, int rcvbuf);

/* 0: connected, and with TLS the handshake is done; EINPROGRESS: not yet; or the errno it has come upon. */
int net_ready(int fd);

/* TLS: the session of this connection, which has told what it is, is resumed by all that are opened from now on; whether one has resumed a session. */
bool net_resume(int fd);	/* false: the server has given no ticket */
bool net_is_resumed(int fd);

/* As recv() and send(). recv: less than `size` was all there was. */
ssize_t net_recv(int fd, void *dst, size_t size);
ssize_t net_send(int fd, const void *bytes, size_t len);

/* Closes; with a RST, so that tens of thousands of connections don't stay behind in TIME_WAIT. */
void net_close(int fd);
void net_abort(int fd);

#endif
