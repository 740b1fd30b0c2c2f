/*
 * Connections that the server has no room for. Each is told so, and closed, but not at once: if a connection is closed while input of it was not
 * read or is still on its way, it is reset, and the peer may lose the answer before it has read it. So our side is shut, and input is read and
 * thrown away until the peer closes, or for LINGER. An HTTP client's request is waited for first, as the answer depends on it.
 *
 * They are no sessions. A successor closes those that were told, and takes or refuses the others as if they had just been accepted. It closes all
 * Unix sockets among them, as only a session could tell what was received there.
 */
#include "worker/loop/refuse.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/transport.h"
#include "worker/io/tcp_counts.h"
#include "worker/protocol/http.h"
#include "worker/session/tell.h"

#define AT_ONCE 16		/* the most that are kept, as descriptors may be scarce; any further ones are closed as soon as they are told */
#define WAIT 1000		/* milliseconds that an HTTP client has for its request */
#define LINGER 2000		/* milliseconds that the peer has to close */
#define FULL "the server is full (max_connections)"
#define DRAINS "the server is being drained: try again later"

struct refused {
	struct ev_io io;	/* not active: this place is free */
	uint32_t transport;
	struct refusal why;
	bool told;
	uint64_t since;		/* when it was told, or taken if it was not told yet, milliseconds */
};

static void end(struct worker *w, struct refused *r)
{
	ev_io_stop(w->base.loop, &r->io);
	close(r->io.fd);
}

/* Sends the peer its answer, and shuts our side. `input` is what an HTTP client has sent, which may be nothing. */
static void tell(struct worker *w, int fd, uint32_t transport, const struct refusal *why, const char *input, size_t len)
{
	char frame[TRANSPORT_NOTICE_MAX];
	size_t size = transport == TRANSPORT_HTTP ? http_last_words(&w->protocols, input, len, why->status, why->text, frame)
						  : transport_error(transport, hub_now(), why->status, why->text, frame);

	(void)!send(fd, frame, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
}

/* Receives what there is, *len bytes. False: the peer has closed, or the connection is broken. */
static bool receive(int fd, char *bytes, size_t room, size_t *len)
{
	ssize_t n = recv(fd, bytes, room, MSG_DONTWAIT);

	*len = n > 0 ? (size_t)n : 0;
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void on_refused(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct worker *w = ev_userdata(loop);
	struct refused *r = (struct refused *)io;
	char bytes[16384];
	size_t len;
	bool more = receive(io->fd, bytes, sizeof(bytes), &len);

	(void)events;
	if (!r->told && (len > 0 || !more)) {
		tell(w, io->fd, r->transport, &r->why, bytes, len);
		r->told = true;
		r->since = w->base.now_ms;
	}
	if (!more)
		end(w, r);
}

static struct refused *free_place(struct worker *w)
{
	if (!w->refused)
		w->refused = calloc(AT_ONCE, sizeof(*w->refused));
	for (int i = 0; w->refused && i < AT_ONCE; i++)
		if (!ev_is_active(&w->refused[i].io))
			return &w->refused[i];
	return NULL;
}

static void begin(struct worker *w, struct refused *r, int fd, uint32_t transport, const struct refusal *why, bool told)
{
	*r = (struct refused){ .transport = transport, .told = told, .since = w->base.now_ms };
	if (why)
		r->why = *why;
	ev_io_init(&r->io, on_refused, fd, EV_READ);
	ev_io_start(w->base.loop, &r->io);
}

struct refusal refuse_full(struct worker *w, uint32_t transport, const struct event_peer *peer)
{
	base_count(&w->base, COUNTER_refused, 1);
	tell_refused(&w->base, COUNTER_refused, transport, peer);
	return (struct refusal){ COUNTER_refused, 503, listener_drains(&w->listeners) ? DRAINS : FULL };
}

void refuse_take(struct worker *w, int fd, uint32_t transport, const struct refusal *why)
{
	/* A successor does not look for descriptors beyond the session table: those are closed at once. */
	struct refused *r = (uint32_t)fd < w->base.slot.shm->sessions_max ? free_place(w) : NULL;
	char bytes[16384];
	size_t len;
	bool more = receive(fd, bytes, sizeof(bytes), &len), waits = r && more && len == 0 && transport == TRANSPORT_HTTP;

	socket_peek_anew(fd);		/* as for a session: a successor that finds it closes it, and does not greet it */
	if (!waits)
		tell(w, fd, transport, why, bytes, len);
	if (!r || !more) {
		close(fd);
		return;
	}
	begin(w, r, fd, transport, why, !waits);
}

void refuse_told(struct worker *w, int fd)
{
	struct refused *r = (uint32_t)fd < w->base.slot.shm->sessions_max ? free_place(w) : NULL;

	shutdown(fd, SHUT_WR);
	if (r)
		begin(w, r, fd, TRANSPORT_HTTP, NULL, true);
	else
		close(fd);
}

void refuse_sweep(struct worker *w)
{
	for (int i = 0; w->refused && i < AT_ONCE; i++) {
		struct refused *r = &w->refused[i];

		if (!ev_is_active(&r->io) || w->base.now_ms - r->since < (r->told ? LINGER : WAIT))
			continue;
		if (r->told) {
			end(w, r);
		} else {
			tell(w, r->io.fd, r->transport, &r->why, "", 0);
			r->told = true;
			r->since = w->base.now_ms;
		}
	}
}

bool refuse_fewer(struct worker *w)
{
	struct refused *oldest = NULL;

	for (int i = 0; w->refused && i < AT_ONCE; i++)
		if (ev_is_active(&w->refused[i].io) && (!oldest || w->refused[i].since < oldest->since))
			oldest = &w->refused[i];
	if (oldest)
		end(w, oldest);
	return oldest != NULL;
}
