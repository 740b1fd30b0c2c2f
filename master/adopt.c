/*
 * What a keeper has, told to a new master. See adopt.h.
 */
#include "master/adopt.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/crash.h"
#include "shm/descriptors.h"

#define AT_ONCE 100		/* descriptors with a message */

struct packet {
	uint8_t kind, first, last, count;
	int32_t number[AT_ONCE];
};

/* All that a keeper's handover state names, where it names them. Those that are -1 are none. */
static unsigned members(struct handover *h, int *at[ADOPT_FDS_MAX])
{
	unsigned n = 0;

	at[n++] = &h->hub;
	at[n++] = &h->secrets;
	at[n++] = &h->tickets;
	at[n++] = &h->fetched;
	at[n++] = &h->control;
	at[n++] = &h->slots[h->slot].segment;
	for (unsigned i = 0; i < INDEX_SLOTS_MAX; i++) {
		at[n++] = &h->wake[i];
		at[n++] = &h->queue[i];
	}
	for (unsigned i = 0; i < h->listeners; i++)
		at[n++] = &h->listen[i].fd;
	return n;
}

/* ---- the keeper ---- */

static int send_some(int orders, const int *number, const int *fds, unsigned count, bool first, bool last)
{
	struct packet packet = { .kind = 'T', .first = first, .last = last, .count = (uint8_t)count };
	struct iovec iov = { &packet, offsetof(struct packet, number) + count * sizeof(int32_t) };

	memcpy(packet.number, number, count * sizeof(int32_t));
	return descriptors_send(orders, &iov, 1, fds, count, MSG_DONTWAIT) < 0 ? -1 : 0;
}

int adopt_tell(int orders, const struct handover *h, int program)
{
	static struct handover mine;
	int *at[ADOPT_FDS_MAX], number[ADOPT_FDS_MAX], fds[ADOPT_FDS_MAX], state = handover_write(h), r = 0;
	unsigned count = 0, all;

	if (state < 0)
		return -1;
	number[count] = ADOPT_STATE;
	fds[count++] = state;
	number[count] = ADOPT_PROGRAM;
	fds[count++] = program;
	mine = *h;
	all = members(&mine, at);
	for (unsigned i = 0; i < all; i++) {
		if (*at[i] < 0)
			continue;
		number[count] = fds[count] = *at[i];
		count++;
	}
	for (unsigned i = 0; i < count && r == 0; i += AT_ONCE) {
		if (i > 0)
			CRASH_POINT("keeper-half");
		r = send_some(orders, number + i, fds + i, count - i < AT_ONCE ? count - i : AT_ONCE, i == 0, count - i <= AT_ONCE);
	}
	all = (unsigned)errno;
	close(state);
	errno = (int)all;
	return r;
}

/* ---- the master ---- */

void adopt_forget(struct adopt_told *told)
{
	for (unsigned i = 0; i < told->count; i++)
		if (told->fd[i] >= 0)
			close(told->fd[i]);
	told->count = 0;
}

static bool is_packet(const struct packet *packet, size_t len)
{
	return len >= offsetof(struct packet, number) && packet->kind == 'T' && packet->count <= AT_ONCE &&
	       len == offsetof(struct packet, number) + packet->count * sizeof(int32_t);
}

enum adopt_result adopt_hear(int orders, struct adopt_told *told)
{
	struct packet packet;
	struct descriptors came;

	for (;;) {
		struct iovec iov = { &packet, sizeof(packet) };
		ssize_t n = descriptors_receive(orders, &iov, 1, &came, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return ADOPT_MORE;
		if (n <= 0)
			return ADOPT_END;
		if (came.sender)
			told->keeper = came.sender;
		if (!is_packet(&packet, (size_t)n) || came.count != packet.count || came.flags & MSG_CTRUNC) {
			descriptors_close(&came, 0);
			return ADOPT_END;
		}
		if (packet.first)
			adopt_forget(told);
		if (told->count + came.count > ADOPT_FDS_MAX) {
			descriptors_close(&came, 0);
			return ADOPT_END;
		}
		memcpy(told->number + told->count, packet.number, came.count * sizeof(int));
		memcpy(told->fd + told->count, came.fd, came.count * sizeof(int));
		told->count += came.count;
		if (packet.last)
			return told->number[0] == ADOPT_STATE ? ADOPT_WHOLE : ADOPT_END;
	}
}

/* Who names it has it from then on. */
static int named(struct adopt_told *told, int number)
{
	for (unsigned i = 0; i < told->count; i++)
		if (told->number[i] == number && told->fd[i] >= 0) {
			int fd = told->fd[i];

			told->fd[i] = -1;
			return fd;
		}
	return -1;
}

int adopt_take(struct adopt_told *told, struct handover *h, int *program)
{
	int *at[ADOPT_FDS_MAX];
	unsigned all;

	/* (handover_read() closes what it reads.) */
	if (handover_read(h, named(told, ADOPT_STATE)) < 0 || h->slot < 0 || h->slot >= INDEX_SLOTS_MAX || h->listeners > LISTENERS_OPEN_MAX) {
		adopt_forget(told);
		return -1;
	}
	*program = named(told, ADOPT_PROGRAM);
	all = members(h, at);
	for (unsigned i = 0; i < all; i++)
		*at[i] = *at[i] < 0 ? -1 : named(told, *at[i]);
	adopt_forget(told);
	return 0;
}
