/*
 * Descriptors that are waited for and are no sessions: TLS handshakes, and connections that wait for their proxy's header. There may be thousands of them, so they are in an epoll set
 * of their own, which is the worker's and ends with it: its successor makes another one.
 */
#ifndef WORKER_IO_ENTRANCE_H
#define WORKER_IO_ENTRANCE_H

#include <ev.h>
#include <sys/epoll.h>

#define ENTRANCE_FOUND 64

/* One of them, the caller's memory from the first guest_watch() to guest_leave(). */
struct guest {
	int fd;
	int events;		/* that are waited for, EV_READ and EV_WRITE; 0: none */
	void (*come)(void *above, struct guest *guest);
};

struct entrance {
	struct ev_io io;	/* active: it is open */
	void *above;
	struct epoll_event found[ENTRANCE_FOUND];
	int at, count;		/* of those found, that are dealt with just now */
};

/* Opens it if it is not open yet, on a loop in which it is waited for; `above` is what come() is given. 0, or -1 with errno. */
int entrance_open(struct entrance *e, struct ev_loop *loop, void *above);
/* Waits for these events, and no others; 0: for nothing. (If the kernel has no memory for that, nothing is waited for: what limits a guest's time ends it.) */
void guest_watch(struct entrance *e, struct guest *g, int events);
/* It is none any more; its descriptor stays open. It may be called for any guest in another one's come(). */
void guest_leave(struct entrance *e, struct guest *g);

#endif
