/*
 * Orders. See orders.h.
 */
#include "master/orders.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/descriptors.h"

#define FDS_MAX (LISTENERS_OPEN_MAX + 5)	/* handover state, program, hub, segment, secrets, listen sockets */
_Static_assert(FDS_MAX <= DESCRIPTORS_MAX, "they come with one message");

int orders_open(int *masters_end, int *keepers_end)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0)
		return -1;
	*masters_end = ends[0];
	*keepers_end = ends[1];
	return fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

/* ---- the master's side ---- */

static int send_order(int socket, enum order order, const int *fds, unsigned count)
{
	char byte = (char)order;

	return descriptors_send(socket, &(struct iovec){ &byte, 1 }, 1, fds, count, 0) == 1 ? 0 : -1;
}

int orders_send(int socket, enum order order)
{
	return send_order(socket, order, NULL, 0);
}

int orders_send_door(int socket, int door, int control)
{
	return send_order(socket, ORDER_DOOR, (int[]){ door, control }, 2);
}

int orders_send_replace(int socket, const struct handover *h, int program)
{
	int fds[FDS_MAX], r;
	unsigned count = 0;

	fds[count++] = handover_write(h);
	if (fds[0] < 0)
		return -1;
	if (program >= 0)
		fds[count++] = program;
	if (h->new_segments) {
		fds[count++] = h->hub;
		fds[count++] = h->slots[h->slot].segment;
	}
	if (h->secrets >= 0)
		fds[count++] = h->secrets;
	for (unsigned i = 0; i < h->listeners; i++)
		fds[count++] = h->listen[i].fd;
	r = send_order(socket, ORDER_REPLACE, fds, count);
	close(fds[0]);
	return r;
}

/* ---- the keeper's side ---- */

/* How many descriptors come with this handover state, its own among them. */
static unsigned fds_of(const struct handover *h)
{
	return 2 + (h->new_segments ? 2 : 0) + (h->secrets >= 0) + h->listeners;
}

/* Puts the descriptors where the handover state names them. */
static void name_passed(struct order_received *r, const struct descriptors *passed)
{
	struct handover *h = &r->handover;
	const int *fd = passed->fd + 1;
	int *segment = &h->slots[h->slot].segment;

	r->program = *fd++;
	h->hub = *segment = -1;
	if (h->new_segments) {
		h->hub = *fd++;
		*segment = *fd++;
	}
	if (h->secrets >= 0)
		h->secrets = *fd++;
	for (unsigned i = 0; i < h->listeners; i++)
		h->listen[i].fd = *fd++;
}

static void bad(struct order_received *r, const char *error)
{
	r->order = ORDER_BAD;
	r->error = error;
}

static void receive_replace(struct order_received *r, const struct descriptors *passed)
{
	/* (handover_read() closes what it reads. Nobody may close that number again: the worker may have been given it for something else.) */
	bool read = passed->count > 0 && handover_read(&r->handover, passed->fd[0]) == 0;

	if (read && r->handover.slot >= 0 && r->handover.slot < INDEX_SLOTS_MAX && fds_of(&r->handover) == passed->count) {
		name_passed(r, passed);
		return;
	}
	descriptors_close(passed, 1);
	bad(r, "it makes no sense");
}

static void receive_door(struct order_received *r, const struct descriptors *passed)
{
	if (passed->count == 2) {
		r->door = passed->fd[0];
		r->control = passed->fd[1];
		return;
	}
	descriptors_close(passed, 0);
	bad(r, "it makes no sense");
}

void orders_receive(int socket, struct order_received *r)
{
	char byte = 0;
	struct descriptors passed;
	ssize_t n = descriptors_receive(socket, &(struct iovec){ &byte, 1 }, 1, &passed, MSG_DONTWAIT);

	r->order = ORDER_NONE;
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			r->order = ORDER_END;
		return;
	}
	r->order = (enum order)byte;
	if (passed.flags & MSG_CTRUNC) {
		descriptors_close(&passed, 0);
		bad(r, "too few descriptors for those that come with it");
	} else if (r->order == ORDER_REPLACE) {
		receive_replace(r, &passed);
	} else if (r->order == ORDER_DOOR) {
		receive_door(r, &passed);
	} else {
		descriptors_close(&passed, 0);
		if (r->order != ORDER_QUIESCE && r->order != ORDER_RESUME && r->order != ORDER_TELL)
			bad(r, "it is none that this version knows");
	}
}

void orders_close(const struct order_received *r)
{
	const struct handover *h = &r->handover;

	if (r->order != ORDER_REPLACE)
		return;
	close(r->program);
	if (h->new_segments) {
		close(h->hub);
		close(h->slots[h->slot].segment);
	}
	if (h->secrets >= 0)
		close(h->secrets);
	for (unsigned i = 0; i < h->listeners; i++)
		close(h->listen[i].fd);
}
