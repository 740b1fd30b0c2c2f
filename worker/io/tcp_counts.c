/*
 * What the kernel knows of a connection's bytes, whichever process sent or received them. A TCP connection has counters. A Unix-domain socket has
 * none, but it has an offset for peeking (SO_PEEK_OFF). Peeking moves the offset forwards and taking moves it back, so it says how many of the
 * peeked bytes are still to be taken. It is -1 until a worker sets it. How much was sent through a Unix socket, nothing tells.
 */
#include "worker/io/tcp_counts.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>


enum { CLOSED = 7 };	/* tcpi_state: TCP_CLOSE */

static int info(int fd, struct tcp_info *ti)
{
	socklen_t len = sizeof(*ti);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, ti, &len);
}

bool socket_is_local(int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

int socket_peeked(int fd)
{
	int offset = -1;
	socklen_t len = sizeof(offset);

	return getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, &len) < 0 ? -1 : offset;
}

void socket_peek_anew(int fd)
{
	int start = 0;

	setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &start, sizeof(start));
}

/*
 * The two numbers are read one after the other. An acknowledgement in between moves bytes from the queue to `acked`, so they are read again until
 * `acked` was the same before and after.
 */
int tcp_accepted(int fd, uint64_t *bytes)
{
	struct tcp_info ti;
	uint64_t acked;
	int queued;

	if (info(fd, &ti) < 0)
		return -1;
	do {
		acked = ti.tcpi_bytes_acked;
		if (ioctl(fd, SIOCOUTQ, &queued) < 0 || info(fd, &ti) < 0)
			return -1;
	} while (acked != ti.tcpi_bytes_acked);
	*bytes = acked + (uint64_t)queued;
	return 0;
}

uint64_t socket_queued(int fd)
{
	int queued;

	return ioctl(fd, SIOCOUTQ, &queued) < 0 ? 0 : (uint64_t)queued;
}

uint64_t tcp_unsent(int fd)
{
	int unsent;

	return ioctl(fd, SIOCOUTQNSD, &unsent) < 0 ? 0 : (uint64_t)unsent;
}

/*
 * What was sent again and again and never acknowledged says that the peer is gone. Unanswered probes of a closed window don't: that is a peer which does not
 * read, and where ten thousand have stopped at one moment, their probes go out at one moment, time after time, and a queue on their way that has room for a
 * thousand packets (netdev_max_backlog, an interface's) loses most of them. Whom no probe reaches any more is left to the kernel (tcp_retries2).
 */
bool tcp_unanswered(int fd, int64_t limit, unsigned attempts)
{
	struct tcp_info ti;

	return info(fd, &ti) == 0 && ti.tcpi_last_ack_recv >= limit && ti.tcpi_retransmits >= attempts;
}

void socket_reset_at_close(int fd)
{
	struct linger at_once = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

bool tcp_is_reset(int fd)
{
	struct tcp_info ti;

	return info(fd, &ti) == 0 && ti.tcpi_state == CLOSED;
}

/* Whether the peer's FIN has arrived. tcpi_bytes_received counts it as a byte, SIOCINQ does not. */
static int fin_arrived(const struct tcp_info *ti)
{
	enum { CLOSE_WAIT = 8, LAST_ACK = 9, CLOSING = 11, TIME_WAIT = 6 };

	return ti->tcpi_state == CLOSE_WAIT || ti->tcpi_state == LAST_ACK || ti->tcpi_state == CLOSING || ti->tcpi_state == TIME_WAIT;
}

int tcp_taken(int fd, uint64_t *bytes)
{
	struct tcp_info ti, after;
	int queued;

	if (info(fd, &after) < 0)
		return -1;
	do {
		ti = after;
		if (ioctl(fd, SIOCINQ, &queued) < 0 || info(fd, &after) < 0)
			return -1;
	} while (ti.tcpi_bytes_received != after.tcpi_bytes_received || ti.tcpi_state != after.tcpi_state);
	if (ti.tcpi_state == CLOSED)
		return -1;	/* after a reset: whether a FIN was counted before it can't be told */
	*bytes = ti.tcpi_bytes_received - (uint64_t)queued - (uint64_t)fin_arrived(&ti);
	return 0;
}
