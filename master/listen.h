/*
 * Listen sockets. The master opens them; workers accept from them.
 */
#ifndef MASTER_LISTEN_H
#define MASTER_LISTEN_H

#include <stdbool.h>

#include "master/config.h"
#include "master/handover.h"

/*
 * Opens, binds and listens, and fills in what is handed on about it: non-blocking, not close-on-exec (it goes to the keepers),
 * SO_REUSEADDR, TCP_NODELAY (connections inherit it), the longest backlog that the kernel grants. `*` falls back to IPv4 alone where
 * the kernel has no IPv6. `bound` is the URL that the socket is really bound to (the kernel's choice for port 0, 127.0.0.1 for
 * localhost, `*` kept). The file of a Unix socket: see socket_file.h. 0, or -1 with errno and a message in error[]
 * (EADDRINUSE: another process has it).
 */
int listen_begin(struct handover_listener *listener, const struct listen_address *address, char error[CONFIG_ERROR_MAX]);

/* The same for an address of TCP, beside `own` sockets of this server that are bound to its port by other addresses (127.0.0.1 and *). New connections find the nearer address; `own` ones are to be closed when nobody accepts from them. */
int listen_begin_beside(struct handover_listener *listener, const struct listen_address *address, const struct handover_listener *own, unsigned count, char error[CONFIG_ERROR_MAX]);

/* Whether it could be opened. Nothing is left of it, and nobody can connect meanwhile. 0, or -1 as listen_begin(). */
int listen_try(const struct listen_address *address, char error[CONFIG_ERROR_MAX]);

/* Sets on a socket that an earlier program has opened what listen_begin() sets on a new one. */
void listen_inherit(const struct handover_listener *listener);

/* How much of what was not sent yet the kernel takes for each connection from here on (send_buffer). Not for Unix sockets. */
void listen_limit(const struct handover_listener *listener, const struct settings *settings);

/* Closes it, for good: its file goes too. With descriptor -1 (somebody else has it open) only the file. */
void listen_end(struct handover_listener *listener);

/* Whether it is the server's own (config_address_own()), which is not for its clients. */
bool listen_is_own(const struct handover_listener *listener, const char *runtime_dir);

/* Whether it may be used for this address: it is bound to the same one, and its file is still there. What is spoken, and what it says of slow readers, may differ; but
 * for a Unix socket that is admin's, or was: its file has another mode. */
bool listen_serves(const struct handover_listener *listener, const struct listen_address *address);

/* An open socket that listen_serves() this address is called by it from now on, and has its options. */
void listen_rename(struct handover_listener *listener, const struct listen_address *address);

#endif
