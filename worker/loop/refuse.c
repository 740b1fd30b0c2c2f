/*
 * Connections that the server has no room for. They are told so and closed; but not at once, as closing on input that was not read, or that is
 * still under way, resets the connection, and takes the answer from a peer that has not read it yet. So our side is shut, and what comes is
 * read until the peer closes, for a moment. An HTTP client is waited for, first: its answer depends on its request.
 *
 * They are no sessions. A successor closes those that were told, and takes or refuses the others as if they had just been accepted. (Of Unix
 * sockets it closes all: what was received there, only a session knows.)
 */
#include "worker/loop/refuse.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/transport.h"
#include "worker/io/tcp_counts.h"
#include "worker/protocol/http.h"

#define AT_ONCE 16		/* of them, as descriptors may be what there is none of; those beyond are closed when they are told */
#define WAIT 1000		/* milliseconds for a request */
#define LINGER 2000		/* that the peer has to close */
#define TEXT "the server is full (max_connections)"

struct refused {
	struct ev_io io;	/* not active: nobody is here */
	uint32_t transport;
	bool told;
	uint64_t since;		/* when that became so, milliseconds */
};

static void end(struct worker *w, struct refused *r)
{
	ev_io_stop(w->base.loop, &r->io);
	close(r->io.fd);
}

static void tell(struct worker *w, int fd, uint32_t transport, const char *input, size_t len)
{
	char frame[TRANSPORT_NOTICE_MAX];
	size_t size = transport == TRANSPORT_HTTP ? http_last_words(&w->protocols, input, len, 503, TEXT, frame)
						  : transport_error(transport, hub_now(), 503, TEXT, frame);

	(void)!send(fd, frame, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
}

/* Receives. False: the peer has closed, or is gone. */
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
		tell(w, io->fd, r->transport, bytes, len);
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

void refuse_take(struct worker *w, int fd, uint32_t transport)
{
	struct refused *r = (uint32_t)fd < w->base.slot.shm->sessions_max ? free_place(w) : NULL;	/* (no successor looks for one beyond) */
	char bytes[16384];
	size_t len;
	bool more = receive(fd, bytes, sizeof(bytes), &len), waits = r && more && len == 0 && transport == TRANSPORT_HTTP;

	base_count(&w->base, COUNTER_refused, 1);
	socket_peek_anew(fd);		/* as if it was a session: a successor that finds it is not to greet it */
	if (!waits)
		tell(w, fd, transport, bytes, len);
	if (!r || !more) {
		close(fd);
		return;
	}
	*r = (struct refused){ .transport = transport, .told = !waits, .since = w->base.now_ms };
	ev_io_init(&r->io, on_refused, fd, EV_READ);
	ev_io_start(w->base.loop, &r->io);
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
			tell(w, r->io.fd, r->transport, "", 0);
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
