/*
 * Who listens on a TCP port, as /proc tells.
 */
#ifndef MASTER_PORT_OWNER_H
#define MASTER_PORT_OWNER_H

#include <stddef.h>

/* "process 1234 (nginx)", of the processes that have such a socket the one with the lowest number; "" if it can't be told: it is another user's. */
void port_owner(unsigned port, char *dst, size_t size);

#endif
