/*
 * The service manager's socket (sd_notify(3)): a datagram of NAME=VALUE lines to $NOTIFY_SOCKET, which is a path, or an abstract name behind an @. Master
 * only: keepers and workers are started without these variables, a program that the master executes has them. Nobody waits: a datagram that can't be
 * taken at once is not sent.
 */
#ifndef MASTER_NOTIFY_H
#define MASTER_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Is anybody to be told? */
bool notify_wanted(void);

/* Can they be told? The name may be that of another's service manager, as who starts a program in a container may have left it there: then there is nobody, or only root may. */
bool notify_reachable(void);

/* Milliseconds within which a sign of life is wanted ($WATCHDOG_USEC, if it is meant for this process); 0: none is. */
uint64_t notify_watchdog_ms(void);

/* 0, or -1 with errno: EAGAIN, there is no room at the moment; EINVAL, $NOTIFY_SOCKET is no such name. */
int notify_send(const char *text);

/* In a child that is to be another process than the master. */
void notify_disinherit(void);

#endif
