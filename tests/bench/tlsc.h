/*
 * TLS on a client's connection, which is non-blocking. All of it is libssl's: what checks the server shares none of its code for records.
 *
 * There are tens of thousands of them. So what comes is received into one buffer of the process, and a connection at rest keeps none.
 */
#ifndef BENCH_TLSC_H
#define BENCH_TLSC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tlsc;

/* To be called once before the others. Servers' certificates must be of an authority in the file `ca`, for whatever name; NULL: any will do.
 * 0; or -1, and what is wrong has been written to standard error. */
int tlsc_init(const char *ca);

/* TLS on this connection, which may still be under way. NULL: no memory. The descriptor stays the caller's. */
struct tlsc *tlsc_open(int fd);
void tlsc_close(struct tlsc *t);	/* says nothing to the server; takes NULL */

/* Goes on with the handshake. 0 it is done; EINPROGRESS the socket is to be waited for; or another errno. */
int tlsc_shake(struct tlsc *t);

/* As recv() and send(). recv: what is less than `size` was all; a server that has ended the connection has, with close_notify or without.
 * What is not as TLS has it is EPROTO. */
ssize_t tlsc_recv(struct tlsc *t, void *dst, size_t size);
ssize_t tlsc_send(struct tlsc *t, const void *bytes, size_t len);

/* Whether a ticket for a session to be resumed has come, which in TLS 1.3 is behind the handshake: so the server has ended it, too. */
bool tlsc_has_ticket(const struct tlsc *t);

/* The session of `t`, which has a ticket, is resumed by all that are opened from now on. */
void tlsc_resume(const struct tlsc *t);
bool tlsc_is_resumed(const struct tlsc *t);	/* whether the server took it */

#endif
