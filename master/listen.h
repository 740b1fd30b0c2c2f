/*
 * Listen sockets. The master opens them; workers accept from them.
 */
#ifndef MASTER_LISTEN_H
#define MASTER_LISTEN_H

#include <stddef.h>

#include "master/config.h"
#include "master/heritage.h"

/* Opens, binds and listens: non-blocking, not close-on-exec (it goes to the keepers), SO_REUSEADDR, the longest backlog that the
 * kernel grants. `*` falls back to IPv4 alone where the kernel has no IPv6. The descriptor, or -1 and a message in error[]. */
int listen_open(const struct listen_address *address, char error[CONFIG_ERROR_MAX]);

/* Writes the URL that the socket is really bound to (the kernel's choice for port 0, 127.0.0.1 for localhost, `*` kept). */
void listen_url(int fd, const struct listen_address *address, char *dst, size_t size);

/* Opens it and fills in what is handed on about it. 0, or -1 and a message in error[]. */
int listen_begin(struct heritage_listener *listener, const struct listen_address *address, char error[CONFIG_ERROR_MAX]);

#endif
