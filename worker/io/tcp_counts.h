/*
 * What the kernel knows of a connection's bytes, whichever process sent or received them. tcp_accepted() and tcp_taken() count since the connection
 * was opened, and return 0, or -1 when the kernel can't tell.
 */
#ifndef WORKER_IO_TCP_COUNTS_H
#define WORKER_IO_TCP_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

int tcp_accepted(int fd, uint64_t *bytes);	/* bytes that the kernel has accepted for sending */
uint64_t socket_queued(int fd);			/* how much of that the peer has not received yet; of a Unix socket only roughly */
uint64_t tcp_unsent(int fd);			/* how much of that has not left yet, as the peer has no room for it, or the way */
int tcp_taken(int fd, uint64_t *bytes);	/* bytes that recv() has handed out */
bool tcp_is_reset(int fd);			/* whether it is broken: nothing comes or goes any more, and tcp_taken() can't tell */
/* The kernel has sent the same `attempts` times in vain, and no acknowledgement has come for `limit` milliseconds. */
bool tcp_unanswered(int fd, int64_t limit, unsigned attempts);
void socket_reset_at_close(int fd);			/* close() will reset the connection, and drop what was not sent yet */
bool socket_is_local(int fd);			/* whether it is a Unix-domain socket */
/* Of a Unix socket: bytes that were peeked at and not taken; -1: no worker has dealt with the connection yet. */
int socket_peeked(int fd);
void socket_peek_anew(int fd);			/* the next peek begins at the next byte to be taken */

#endif
