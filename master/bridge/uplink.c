/*
 * A connection to NATS. See uplink.h.
 *
 * libnats calls us from several threads: attach from the one that connects, read and write from whichever has to do with the socket, detach from the one that finds it broken, on_message()
 * from its delivery thread. They touch atomics, epoll, and the queue under its lock; nothing else of struct uplink.
 */
#include "master/bridge/uplink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shm/log.h"

#define WAITING_MAX (8u << 20)		/* bytes that may wait to be taken before no more is read */
#define UNSENT_MAX (256u * 1024)		/* bytes */
#define PENDING_MAX 1000000		/* messages in libnats' own lists, which the above keeps from being reached; a thousand times as many bytes */
#define BUFFER (64 * 1024)		/* of libnats, for each read */
#define QUEUE_FIRST 1024

static void wake(struct uplink *c)
{
	uint64_t one = 1;

	if (write(c->wake, &one, sizeof(one)) < 0)
		return;		/* (its count is full: it is awake) */
}

static void wake_if_asleep(struct uplink *c)
{
	/* Either the loop sees what was put there before, or we see it sleep (uplink_may_sleep()). */
	if (atomic_load(&c->asleep) && atomic_exchange(&c->asleep, false))
		wake(c);
}

/* ---- the event loop that libnats is given ---- */

static void poll_for(struct uplink *c, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };

	/* (The socket may be closed already: then it has left epoll.) */
	epoll_ctl(c->epoll, EPOLL_CTL_MOD, c->socket, &e);
}

static natsStatus on_attach(void **data, void *loop, natsConnection *nc, natsSock fd)
{
	struct uplink *c = loop;
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

	(void)nc;
	*data = c;
	c->socket = fd;
	c->reading = true;
	c->polled_writing = false;
	return epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &e) == 0 ? NATS_OK : NATS_ERR;
}

static natsStatus on_read(void *data, bool add)
{
	(void)data;
	(void)add;		/* it is, until it is detached */
	return NATS_OK;
}

static natsStatus on_write(void *data, bool add)
{
	struct uplink *c = data;

	atomic_store(&c->writing, add);
	if (add)
		wake_if_asleep(c);
	return NATS_OK;
}

static natsStatus on_detach(void *data)
{
	struct uplink *c = data;

	atomic_store(&c->lost, true);
	wake_if_asleep(c);
	return NATS_OK;
}

static void on_error(natsConnection *nc, natsSubscription *s, natsStatus error, void *data)
{
	struct uplink *c = data;

	(void)nc;
	(void)s;
	atomic_store(&c->error, (int)error);
	wake_if_asleep(c);
}

/* ---- the queue ---- */

static void drop_all(struct arrival *a, size_t from, size_t count)
{
	for (size_t i = from; i < count; i++)
		natsMsg_Destroy(a[i].msg);
}

static bool make_room(struct uplink *c)
{
	size_t room = c->in_room ? 2 * c->in_room : QUEUE_FIRST;
	struct arrival *in;

	if (c->in_count < c->in_room)
		return true;
	in = realloc(c->in, room * sizeof(*in));
	if (in == NULL)
		return false;
	c->in = in;
	c->in_room = room;
	return true;
}

static size_t size_of(natsMsg *msg)
{
	return (size_t)natsMsg_GetDataLength(msg) + 256;
}

/* There is one connection in a process: libnats hands the callback the mark alone. */
static struct uplink *ours;

static void on_message(natsConnection *nc, natsSubscription *s, natsMsg *msg, void *mark)
{
	struct uplink *c = ours;
	bool taken;

	(void)s;
	pthread_mutex_lock(&c->lock);
	/* (Of one that was closed, a last message may be on its way.) */
	taken = nc == c->of && make_room(c);
	if (taken) {
		c->in[c->in_count++] = (struct arrival){ msg, (uint64_t)(uintptr_t)mark };
		atomic_fetch_add_explicit(&c->waiting, size_of(msg), memory_order_relaxed);
	}
	pthread_mutex_unlock(&c->lock);
	if (!taken)
		natsMsg_Destroy(msg);
	if (atomic_load(&c->asleep) && !c->at_once(c->with))
		wake_if_asleep(c);
}

/* Takes over all that has come, when what was taken before is done with. */
static bool refill(struct uplink *c)
{
	struct arrival *empty = c->out;
	size_t room = c->out_room;

	pthread_mutex_lock(&c->lock);
	c->out = c->in;
	c->out_room = c->in_room;
	c->out_count = c->in_count;
	c->out_at = 0;
	c->in = empty;
	c->in_room = room;
	c->in_count = 0;
	pthread_mutex_unlock(&c->lock);
	return c->out_count > 0;
}

bool uplink_take(struct uplink *c, struct arrival *arrival)
{
	if (c->out_at == c->out_count && !refill(c))
		return false;
	*arrival = c->out[c->out_at++];
	atomic_fetch_sub_explicit(&c->waiting, size_of(arrival->msg), memory_order_relaxed);
	return true;
}

bool uplink_has(const struct uplink *c)
{
	return atomic_load(&c->waiting) > 0;
}

/* ---- its life ---- */

int uplink_init(struct uplink *c, natsOptions *options, int epoll, int wake_fd)
{
	*c = (struct uplink){ .options = options, .epoll = epoll, .wake = wake_fd, .socket = -1 };
	ours = c;
	pthread_mutex_init(&c->lock, NULL);
	if (nats_SetMessageDeliveryPoolSize(1) == NATS_OK && natsOptions_UseGlobalMessageDelivery(options, true) == NATS_OK &&
	    natsOptions_SetAllowReconnect(options, false) == NATS_OK && natsOptions_SetNoEcho(options, true) == NATS_OK &&
	    natsOptions_SetSendAsap(options, true) == NATS_OK &&	/* to what stands for the socket: no thread that waits for more */
	    natsOptions_SetMaxPendingMsgs(options, PENDING_MAX) == NATS_OK && natsOptions_SetIOBufSize(options, BUFFER) == NATS_OK &&
	    natsOptions_SetErrorHandler(options, on_error, c) == NATS_OK &&
	    natsOptions_SetEventLoop(options, c, on_attach, on_read, on_write, on_detach) == NATS_OK)
		return 0;
	log_error("libnats: %s", nats_GetLastError(NULL));
	return -1;
}

int uplink_open(struct uplink *c, char *why, size_t size)
{
	natsConnection *nc = NULL;
	natsStatus s;

	atomic_store(&c->lost, false);
	atomic_store(&c->writing, false);
	s = natsConnection_Connect(&nc, c->options);
	if (s != NATS_OK) {
		const char *text = nats_GetLastError(NULL);

		snprintf(why, size, "%s", text && *text ? text : natsStatus_GetText(s));
		return -1;
	}
	if (natsConnection_HasHeaderSupport(nc) != NATS_OK) {
		snprintf(why, size, "that server knows no headers: 2.2 is the least");
		natsConnection_Destroy(nc);
		return -1;
	}
	pthread_mutex_lock(&c->lock);
	c->of = nc;
	pthread_mutex_unlock(&c->lock);
	c->nc = nc;
	return 0;
}

void uplink_close(struct uplink *c)
{
	natsConnection *nc = c->nc;

	if (nc == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	c->of = NULL;
	drop_all(c->in, 0, c->in_count);
	c->in_count = 0;
	pthread_mutex_unlock(&c->lock);
	drop_all(c->out, c->out_at, c->out_count);
	c->out_at = c->out_count = 0;
	atomic_store(&c->waiting, 0);
	c->nc = NULL;
	natsConnection_Destroy(nc);
	c->socket = -1;
}

bool uplink_is_open(const struct uplink *c)
{
	return c->nc && !atomic_load(&c->lost);
}

void uplink_why(const struct uplink *c, char *why, size_t size)
{
	const char *text = NULL;

	if (c->nc)
		natsConnection_GetLastError(c->nc, &text);
	snprintf(why, size, "%s", text && *text ? text : "the connection is closed");
}

/* Without what may stand before an @. */
void uplink_server(const struct uplink *c, char *url, size_t size)
{
	char whole[256] = "";
	const char *host, *at;

	if (c->nc)
		natsConnection_GetConnectedUrl(c->nc, whole, sizeof(whole));
	host = strstr(whole, "://");
	host = host ? host + 3 : whole;
	at = strrchr(host, '@');
	snprintf(url, size, "%.*s%s", (int)(host - whole), whole, at ? at + 1 : host);
}

bool uplink_error(struct uplink *c, char *text, size_t size)
{
	natsStatus s = (natsStatus)atomic_exchange(&c->error, NATS_OK);
	const char *more = NULL;

	if (s == NATS_OK)
		return false;
	if (c->nc)
		natsConnection_GetLastError(c->nc, &more);
	snprintf(text, size, "%s", more && *more ? more : natsStatus_GetText(s));
	return true;
}

/* ---- out ---- */

natsSubscription *uplink_subscribe(struct uplink *c, const char *subject, uint64_t mark)
{
	natsSubscription *s = NULL;

	if (!uplink_is_open(c) || natsConnection_Subscribe(&s, c->nc, subject, on_message, (void *)(uintptr_t)mark) != NATS_OK)
		return NULL;
	return s;
}

void uplink_unsubscribe(natsSubscription *s)
{
	natsSubscription_Unsubscribe(s);
	natsSubscription_Destroy(s);
}

static int outcome(natsStatus s)
{
	return s == NATS_OK ? 0 : s == NATS_MAX_PAYLOAD ? 1 : -1;
}

int uplink_publish(struct uplink *c, natsMsg *msg)
{
	return uplink_is_open(c) ? outcome(natsConnection_PublishMsg(c->nc, msg)) : -1;
}

int uplink_publish_text(struct uplink *c, const char *subject, const char *text, size_t len)
{
	return uplink_is_open(c) ? outcome(natsConnection_Publish(c->nc, subject, text, (int)len)) : -1;
}

int uplink_request(struct uplink *c, const char *subject, const char *reply, const char *text, size_t len)
{
	return uplink_is_open(c) ? outcome(natsConnection_PublishRequest(c->nc, subject, reply, text, (int)len)) : -1;
}

size_t uplink_unsent(const struct uplink *c)
{
	int n = uplink_is_open(c) ? natsConnection_Buffered(c->nc) : 0;

	return n > 0 ? (size_t)n : 0;
}

bool uplink_is_full(const struct uplink *c)
{
	return uplink_unsent(c) >= UNSENT_MAX;
}

void uplink_send(struct uplink *c)
{
	bool read, write;

	if (uplink_unsent(c) > 0)
		natsConnection_ProcessWriteEvent(c->nc);
	if (!uplink_is_open(c))
		return;
	read = atomic_load(&c->waiting) < WAITING_MAX;
	write = atomic_load(&c->writing);
	if (read != c->reading || write != c->polled_writing)
		poll_for(c, (read ? EPOLLIN : 0u) | (write ? EPOLLOUT : 0u));
	c->reading = read;
	c->polled_writing = write;
}

/* ---- in ---- */

void uplink_receive(struct uplink *c)
{
	if (uplink_is_open(c) && c->reading)
		natsConnection_ProcessReadEvent(c->nc);
}

bool uplink_may_sleep(struct uplink *c)
{
	atomic_store(&c->asleep, true);
	if (!uplink_has(c) && !(c->nc && atomic_load(&c->lost)) && atomic_load(&c->writing) == c->polled_writing)
		return true;
	atomic_store(&c->asleep, false);
	return false;
}

void uplink_awake(struct uplink *c)
{
	atomic_store(&c->asleep, false);
}
