/*
 * Clients' addresses. See peers.h.
 */
#include "master/ctl/peers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "shm/events.h"

#define ANSWER_SECONDS 5
#define TCP_LISTENING 10		/* states, as in <netinet/tcp.h>, which has another struct tcp_info than the kernel's headers */

struct peer {
	uint32_t inode;
	uint8_t family;
	uint16_t port;			/* network order, as the next */
	uint8_t address[16];
};

struct peers {
	uint32_t pid;			/* whose descriptors are looked at, 0: nobody's yet */
	int process;			/* its pidfd, -1 none */
	bool all;			/* the kernel was asked for all sockets: the list is what it said */
	int error;			/* errno of that, 0 none */
	struct peer *list;		/* by inode */
	size_t count, room;
};

static int add(struct peers *p, const struct peer *peer)
{
	if (p->count == p->room) {
		size_t room = p->room ? 2 * p->room : 1024;
		struct peer *list = realloc(p->list, room * sizeof(*list));

		if (!list)
			return -1;
		p->list = list;
		p->room = room;
	}
	p->list[p->count++] = *peer;
	return 0;
}

/* Takes what one message of the kernel's says. */
static int take(struct peers *p, uint8_t family, const void *data, size_t len)
{
	struct peer peer = { .family = family };

	if (family == AF_UNIX) {
		const struct unix_diag_msg *u = data;

		if (len < sizeof(*u))
			return 0;
		peer.inode = u->udiag_ino;
	} else {
		const struct inet_diag_msg *m = data;

		if (len < sizeof(*m))
			return 0;
		peer.inode = m->idiag_inode;
		peer.family = m->idiag_family;
		peer.port = m->id.idiag_dport;
		memcpy(peer.address, m->id.idiag_dst, sizeof(peer.address));
	}
	return peer.inode ? add(p, &peer) : 0;
}

/* Reads answers until the kernel says that there are no more. 0, or -1 with errno. */
static int receive(struct peers *p, int fd, uint8_t family)
{
	static _Alignas(struct nlmsghdr) char bytes[65536];

	for (;;) {
		ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		for (const struct nlmsghdr *h = (const struct nlmsghdr *)bytes; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR) {
				errno = -((const struct nlmsgerr *)NLMSG_DATA(h))->error;
				return -1;
			}
			if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY && take(p, family, NLMSG_DATA(h), h->nlmsg_len - NLMSG_HDRLEN) < 0)
				return -1;
		}
	}
}

static int ask(struct peers *p, int fd, uint8_t family)
{
	struct {
		struct nlmsghdr head;
		union {
			struct inet_diag_req_v2 inet;
			struct unix_diag_req local;
		};
	} request = { .head = { .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };

	if (family == AF_UNIX) {
		request.local = (struct unix_diag_req){ .sdiag_family = AF_UNIX, .udiag_states = ~(1u << TCP_LISTENING) };
		request.head.nlmsg_len = NLMSG_LENGTH(sizeof(request.local));
	} else {
		request.inet = (struct inet_diag_req_v2){ .sdiag_family = family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~(1u << TCP_LISTENING) };
		request.head.nlmsg_len = NLMSG_LENGTH(sizeof(request.inet));
	}
	if (send(fd, &request, request.head.nlmsg_len, 0) < 0)
		return -1;
	return receive(p, fd, family);
}

static int by_inode(const void *a, const void *b)
{
	const struct peer *p = a, *q = b;

	return p->inode < q->inode ? -1 : p->inode > q->inode;
}

/* All sockets' peers at this moment. 0, or -1 with errno. */
static int ask_for_all(struct peers *p)
{
	static const uint8_t families[] = { AF_INET, AF_INET6, AF_UNIX };
	struct timeval wait = { .tv_sec = ANSWER_SECONDS };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), rc = -1;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
		goto out;
	/* A kernel may lack one of the families, as one without IPv6 does. */
	for (size_t i = 0; i < sizeof(families); i++)
		if (ask(p, fd, families[i]) < 0 && errno != ENOENT && errno != EINVAL)
			goto out;
	if (p->count > 1)
		qsort(p->list, p->count, sizeof(*p->list), by_inode);
	rc = 0;
out:
	close(fd);
	return rc;
}

struct peers *peers_open(void)
{
	struct peers *p = calloc(1, sizeof(*p));

	if (p)
		p->process = -1;
	return p;
}

void peers_close(struct peers *p)
{
	if (!p)
		return;
	if (p->process >= 0)
		close(p->process);
	free(p->list);
	free(p);
}

static void write_peer(const struct peer *peer, char text[PEER_TEXT])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char address[INET6_ADDRSTRLEN] = "?";

	if (peer->family == AF_UNIX) {
		strcpy(text, "unix");
	} else if (peer->family == AF_INET6 && memcmp(peer->address, mapped, sizeof(mapped)) != 0) {
		inet_ntop(AF_INET6, peer->address, address, sizeof(address));
		snprintf(text, PEER_TEXT, "[%s]:%u", address, ntohs(peer->port));
	} else {
		inet_ntop(AF_INET, peer->address + (peer->family == AF_INET6 ? sizeof(mapped) : 0), address, sizeof(address));
		snprintf(text, PEER_TEXT, "%s:%u", address, ntohs(peer->port));
	}
}

const char *peers_text(const struct event_peer *named, char text[PEER_TEXT])
{
	struct peer peer = { .family = named->family == EVENT_IPV4 ? AF_INET : AF_INET6, .port = htons(named->port) };

	memcpy(peer.address, named->address, sizeof(peer.address));
	if (named->port == 0)
		return inet_ntop(peer.family, peer.address, text, PEER_TEXT);
	write_peer(&peer, text);
	return text;
}

/* What the kernel says of a descriptor that is borrowed for the moment. 0, or -1 with errno. */
static int borrow(struct peers *p, uint32_t pid, uint32_t fd, struct peer *peer)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	int copy, rc;

	if (p->pid != pid) {
		if (p->process >= 0)
			close(p->process);
		p->pid = pid;
		p->process = (int)syscall(SYS_pidfd_open, pid, 0);
	}
	copy = p->process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, p->process, fd, 0);
	if (copy < 0)
		return -1;
	rc = getpeername(copy, (struct sockaddr *)&name, &len);
	close(copy);
	if (rc < 0) {
		errno = ENOENT;
		return -1;
	}
	peer->family = (uint8_t)name.ss_family;
	if (name.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&name;

		peer->port = in->sin_port;
		memcpy(peer->address, &in->sin_addr, sizeof(in->sin_addr));
	} else if (name.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&name;

		peer->port = in->sin6_port;
		memcpy(peer->address, &in->sin6_addr, sizeof(in->sin6_addr));
	}
	return 0;
}

/* The same without having the descriptor: by its socket's number, in what the kernel says of all sockets. */
static int look_up(struct peers *p, uint32_t pid, uint32_t fd, struct peer *peer)
{
	const struct peer *found;
	char path[64], target[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/fd/%" PRIu32, pid, fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -1;
	target[n] = '\0';
	if (!p->all) {
		p->all = true;
		p->error = ask_for_all(p) < 0 ? errno : 0;
	}
	found = !p->error && sscanf(target, "socket:[%" SCNu32 "]", &peer->inode) == 1 && p->count
			? bsearch(peer, p->list, p->count, sizeof(*p->list), by_inode) : NULL;
	if (!found) {
		errno = p->error ? p->error : ENOENT;
		return -1;
	}
	*peer = *found;
	return 0;
}

int peers_find(struct peers *p, uint32_t pid, uint32_t fd, char text[PEER_TEXT])
{
	struct peer peer = { 0 };

	if (borrow(p, pid, fd, &peer) < 0 && ((errno != EPERM && errno != EACCES && errno != ENOSYS) || look_up(p, pid, fd, &peer) < 0))
		return -1;
	write_peer(&peer, text);
	return 0;
}

bool peers_read(const char *wanted, char text[PEER_TEXT])
{
	char host[PEER_TEXT], *end, *port = NULL;
	struct peer peer = { .family = AF_INET };
	unsigned long number = 0;

	if (strlen(wanted) >= sizeof(host))
		return false;
	strcpy(host, wanted + (*wanted == '['));
	strcpy(text, wanted);
	if (strcmp(wanted, "unix") == 0)
		return true;
	if (*wanted == '[' || strchr(host, ':') != strrchr(host, ':'))
		peer.family = AF_INET6;
	if (*wanted == '[' || peer.family == AF_INET) {
		end = strchr(host, *wanted == '[' ? ']' : ':');
		port = !end ? NULL : *wanted != '[' ? end + 1 : end[1] == ':' ? end + 2 : NULL;
		if (*wanted == '[' && !port)
			return false;
		if (end)
			*end = '\0';
	}
	if (port) {
		number = strtoul(port, &end, 10);
		if (*port < '1' || *port > '9' || *end || number > 65535)
			return false;
	}
	if (inet_pton(peer.family, host, peer.address) != 1)
		return false;
	peer.port = htons((uint16_t)number);
	write_peer(&peer, text);
	if (port)
		return true;
	*strrchr(text, ':') = '\0';
	if (*text == '[') {		/* without a port there are no brackets */
		text[strlen(text) - 1] = '\0';
		memmove(text, text + 1, strlen(text));
	}
	return true;
}

bool peers_fits(const char *text, const char *wanted)
{
	size_t len = strlen(text), n = strlen(wanted);
	const char *colon = strrchr(text, ':');

	if (len == n && memcmp(text, wanted, n) == 0)
		return true;
	if (colon && text[0] == '[' && wanted[0] != '[')		/* without the brackets there is no port */
		return (size_t)(colon - text) == n + 2 && memcmp(text + 1, wanted, n) == 0;
	return colon && (size_t)(colon - text) == n && memcmp(text, wanted, n) == 0;
}
