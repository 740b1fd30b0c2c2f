/*
 * A connection to NATS, by libnats, with what of it is not plain:
 *
 * - The socket is read and written by our loop (libnats' external event loop), so that what is published goes out together when a turn ends, and NATS is not read while there is
 *   enough to do: then TCP holds it up, and memory stays bounded.
 * - libnats gives messages to callbacks in a thread of its own. It is one thread for all subscriptions, so their order is that in which they came. It puts them into a queue, which the loop empties;
 *   or, while the loop sleeps, that thread does so itself (`at_once`), which saves waking another one.
 * - libnats is not to connect again by itself: it would not say between which two messages that was. Whoever sees that the connection is lost opens another one.
 *
 * All calls are made by one thread at a time.
 */
#ifndef MASTER_BRIDGE_UPLINK_H
#define MASTER_BRIDGE_UPLINK_H

#include <stdatomic.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nats/nats.h>

/* What has come, and the mark that its subscription was given. */
struct arrival {
	natsMsg *msg;
	uint64_t mark;
};

struct uplink {
	natsOptions *options;
	natsConnection *nc;		/* NULL: there is none */
	int epoll;			/* where the socket is waited for */
	int wake;			/* eventfd that is written when something has come and the loop sleeps */
	int socket;			/* -1: it is not waited for */
	bool reading, polled_writing;	/* what it is waited for */
	_Atomic bool writing;		/* libnats has something to send */
	_Atomic bool lost;
	_Atomic bool asleep;		/* the loop sleeps, or is about to */
	_Atomic int error;		/* a natsStatus that libnats has told of since it was last asked; NATS_OK: none */
	/* Called by libnats' thread, when something has come while the loop sleeps. False: the loop is to be woken. */
	bool (*at_once)(void *with);
	void *with;
	/* what has come */
	pthread_mutex_t lock;		/* of those below, but the counts of what was taken */
	natsConnection *of;		/* whose messages are taken */
	struct arrival *in;
	size_t in_count, in_room;
	struct arrival *out;		/* being taken: the loop's */
	size_t out_count, out_room, out_at;
	_Atomic size_t waiting;		/* bytes in both */
};

/* `options` are taken over; what concerns the above is set here. 0, or -1 (logged). */
int uplink_init(struct uplink *c, natsOptions *options, int epoll, int wake);

/* Connects, which may take as long as the options' timeout for each server. 0; or -1, and why[size] says why. */
int uplink_open(struct uplink *c, char *why, size_t size);
void uplink_close(struct uplink *c);	/* also forgets what has come */

/* Whether there is one that is not lost. */
bool uplink_is_open(const struct uplink *c);

/* Why it was lost, and its server's URL without secrets. */
void uplink_why(const struct uplink *c, char *why, size_t size);
void uplink_server(const struct uplink *c, char *url, size_t size);

/*
 * What libnats has told of, as that something is not permitted: text[size], false if there is nothing.
 */
bool uplink_error(struct uplink *c, char *text, size_t size);

/* ---- out ---- */

/* Subscribes; what comes has this mark. NULL: it is lost. */
natsSubscription *uplink_subscribe(struct uplink *c, const char *subject, uint64_t mark);
void uplink_unsubscribe(natsSubscription *s);	/* and frees it; may be called when the connection is closed */

/* Puts a message, which stays the caller's, or a text behind what is to be sent. 0; -1: it is lost; 1: NATS takes no message that is so large. */
int uplink_publish(struct uplink *c, natsMsg *msg);
int uplink_publish_text(struct uplink *c, const char *subject, const char *text, size_t len);
/* The same of a text that is to be answered, at the subject `reply`. */
int uplink_request(struct uplink *c, const char *subject, const char *reply, const char *text, size_t len);

/* Bytes that are to be sent, and whether they are so many that no more should be added before some have gone. */
size_t uplink_unsent(const struct uplink *c);
bool uplink_is_full(const struct uplink *c);
/* Once a turn: sends what the socket takes, and says what the socket is waited for: to be read, unless enough waits; to be written, if there is more to send. */
void uplink_send(struct uplink *c);

/* ---- in ---- */

/* Reads once, when epoll says that there is something. */
void uplink_receive(struct uplink *c);
/* The next message that has come, which is the caller's. False: there is none. */
bool uplink_take(struct uplink *c, struct arrival *arrival);
/* Whether something waits to be taken. */
bool uplink_has(const struct uplink *c);

/* Before the loop sleeps. False: it must not. Behind it, uplink_awake(). */
bool uplink_may_sleep(struct uplink *c);
void uplink_awake(struct uplink *c);

#endif
