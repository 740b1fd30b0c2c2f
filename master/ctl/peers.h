/*
 * Clients' addresses. The server does not write them down anywhere, as that would cost memory for each connection; the kernel knows them (but who is behind a proxy: shm/slot_peers.h). A keeper's
 * descriptor is borrowed for a moment, and asked whom it is connected to: pidfd_getfd(2), which takes ptrace's rights over the keeper. Where
 * that is kept from the server's own user (Yama, a filter of system calls), /proc says which socket the descriptor is, and sock_diag(7) what all sockets of the machine
 * are connected to: with hundreds of thousands of them that takes seconds, so it is asked for once, and only if it must be.
 */
#ifndef MASTER_CTL_PEERS_H
#define MASTER_CTL_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#define PEER_TEXT 64			/* bytes with the terminator: "[ADDRESS]:PORT" or "unix" */

struct peers;

/* NULL with errno. What it finds is of the moment of peers_find(); or of the first one, if all sockets were asked for. */
struct peers *peers_open(void);
void peers_close(struct peers *peers);

/*
 * The peer of a process's descriptor. 0; or -1 with errno: EACCES, this user may not know; others: the socket is gone, or it is in another
 * network namespace.
 */
int peers_find(struct peers *peers, uint32_t pid, uint32_t fd, char text[PEER_TEXT]);

/* Whom a proxy has named, written in the same way; without a port (and brackets) if that was not told. Returns text. */
struct event_peer;
const char *peers_text(const struct event_peer *named, char text[PEER_TEXT]);

/* An address that is asked for, ADDRESS, IPv4:PORT, [IPv6]:PORT or unix, as peers_find() would write it, of which there is one way. False: it is none. */
bool peers_read(const char *wanted, char text[PEER_TEXT]);

/* Whether the text is what is asked for, as peers_read() has it: the address, with its port or without. */
bool peers_fits(const char *text, const char *wanted);

#endif
