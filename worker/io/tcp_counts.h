/*
 * What the kernel knows of a connection's bytes, whoever sent or received them: bytes since it was opened; 0, or -1 when the kernel can't tell.
 */
#ifndef WORKER_IO_TCP_COUNTS_H
#define WORKER_IO_TCP_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

int tcp_accepted(int fd, uint64_t *bytes);	/* taken by the kernel for sending */
uint64_t socket_queued(int fd);			/* of those, what the peer has not got yet; Unix sockets, too */
int tcp_taken(int fd, uint64_t *bytes);	/* handed out by recv() */
bool tcp_unanswered(int fd, int64_t limit, unsigned attempts);	/* it was attempted so often to reach the peer, and nothing has come for so many ms */
void socket_reset_at_close(int fd);			/* close() will not wait until what was sent has arrived: it resets the connection */
bool socket_is_local(int fd);			/* a Unix-domain socket */
int socket_peeked(int fd);			/* bytes peeked at and not taken; -1: nobody has dealt with this connection yet */
void socket_peek_anew(int fd);			/* from the next byte on */

#endif
