/*
 * Connections on their way to another worker. See move_message.h.
 */
#include "worker/loop/move_message.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/transport.h"
#include "shm/descriptors.h"

#define VERSION 1			/* programs with different ones may follow each other */
#define VERSION_RIGHTS 2		/* with the session's rights: who does not know them must not take the connection */
#define VERSION_MAP 3			/* a session's map */
#define LISTENER_MAX (MOVED_BY_KERNEL + MOVED_PEER + MOVED_TLS + MOVED_ADMIN + SLOW_DISCONNECT)

bool move_message_has_rights(const struct move_message *m)
{
	return m->version == VERSION_RIGHTS;
}

bool move_message_is_map(const struct move_message *m)
{
	return m->version == VERSION_MAP;
}

uint32_t move_message_transport(const struct move_message *m)
{
	uint32_t t = 0;

	while (t < TRANSPORTS && strncmp(transport_table[t].word, m->transport, MOVE_WORD_MAX) != 0)
		t++;
	return t;
}

/* ---- sending ---- */

/* Sends it, and two descriptors, or one if the second is -1. */
static int send_parts(int queue, const struct iovec *parts, size_t count, int fd, int file)
{
	return descriptors_send(queue, parts, count, (int[]){ fd, file }, file >= 0 ? 2 : 1, MSG_DONTWAIT) < 0 ? -1 : 0;
}

int move_message_send_map(int queue, int fd, struct move_message *m, const void *map, int file)
{
	struct iovec parts[] = { { m, sizeof(*m) }, { (void *)map, m->input } };

	m->version = VERSION_MAP;
	return send_parts(queue, parts, 2, fd, file);
}

int move_message_send(int queue, int fd, struct move_parts *p)
{
	struct iovec parts[] = {
		{ &p->m, sizeof(p->m) }, { (void *)p->input, p->m.input }, { (void *)p->tls, p->tls ? sizeof(*p->tls) : 0 }, { (void *)p->held, p->tls ? p->tls->flow.held_len : 0 },
		{ (void *)p->peer, p->peer ? sizeof(*p->peer) : 0 }, { (void *)p->rights, p->rights ? p->rights->size : 0 },
	};

	p->m.version = p->rights ? VERSION_RIGHTS : VERSION;
	p->m.listener |= (p->tls ? MOVED_TLS : 0) | (p->tls && tls_by_kernel(&p->tls->flow) ? MOVED_BY_KERNEL : 0) | (p->peer ? MOVED_PEER : 0);
	return send_parts(queue, parts, sizeof(parts) / sizeof(parts[0]), fd, -1);
}

/* ---- receiving ---- */

/* How many bytes of the message are of its TLS connection: the entry, and what is held. More than there are: it is none. */
static size_t tls_size(const struct move_looked *l, size_t n)
{
	struct tls_flow_shm flow;

	if (n < sizeof(l->m) || l->m.input > MOVE_INPUT_MAX || !(l->m.listener & MOVED_TLS))
		return 0;
	if (n < sizeof(l->m) + l->m.input + sizeof(struct tls_entry_shm))
		return SIZE_MAX / 2;
	memcpy(&flow, l->input + l->m.input + offsetof(struct tls_entry_shm, flow), sizeof(flow));
	return flow.held_len <= TLS_RECORD_MAX ? sizeof(struct tls_entry_shm) + flow.held_len : SIZE_MAX / 2;
}

/* (A map that is in a file has no bytes here. Its file may be missing as its connection may, for want of descriptors.) */
static bool is_good_map(const struct move_looked *l, size_t n)
{
	return l->m.sender < INDEX_SLOTS_MAX && l->m.input <= MOVE_INPUT_MAX && n == sizeof(l->m) + l->m.input && (l->m.input == 0 || l->file < 0);
}

/* Whether a message of `n` bytes is one that can be taken. */
static bool is_good(struct move_looked *l, size_t n)
{
	size_t peer = l->m.listener & MOVED_PEER ? sizeof(l->peer) : 0, tls = tls_size(l, n);
	size_t rights = n - sizeof(l->m) - l->m.input - tls - peer;

	if (n < sizeof(l->m) || l->m.input > MOVE_INPUT_MAX || n < sizeof(l->m) + l->m.input + tls + peer || l->m.sender >= INDEX_SLOTS_MAX || move_message_transport(&l->m) >= TRANSPORTS ||
	    l->m.listener > LISTENER_MAX)
		return false;
	if (peer > 0)
		memcpy(&l->peer, l->input + l->m.input + tls, peer);
	if (l->m.version == VERSION)
		return rights == 0;
	if (l->m.version != VERSION_RIGHTS || rights > sizeof(l->rights))
		return false;
	memcpy(l->rights, l->input + l->m.input + tls + peer, rights);
	return rights_check(l->rights, rights);
}

bool move_message_look(int queue, struct move_looked *l)
{
	struct iovec parts[] = { { &l->m, sizeof(l->m) }, { l->input, sizeof(l->input) } };
	struct descriptors came;
	ssize_t n = descriptors_receive(queue, parts, 2, &came, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0)
		return false;
	l->fd = came.count > 0 ? came.fd[0] : -1;
	l->file = came.count > 1 ? came.fd[1] : -1;
	descriptors_close(&came, 2);
	l->good = (size_t)n >= sizeof(l->m) && move_message_is_map(&l->m) ? is_good_map(l, (size_t)n) : is_good(l, (size_t)n);
	return true;
}

void move_message_forget(struct move_looked *l)
{
	if (l->good && move_message_is_map(&l->m))
		explicit_bzero(l->input, l->m.input);
	else if (l->good && l->m.listener & MOVED_TLS)
		explicit_bzero(l->input + l->m.input, sizeof(struct tls_entry_shm));
}
