/*
 * Listen sockets.
 */
#include "master/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/log.h"

#define BACKLOG 65535		/* the kernel takes net.core.somaxconn when that is less */

/* The socket for the address; *addr is changed to IPv4 where `*` has to do without IPv6. */
static int make_socket(const struct listen_address *address, struct sockaddr_storage *addr, socklen_t *len)
{
	struct sockaddr_in *in = (struct sockaddr_in *)addr;
	in_port_t port;
	int fd;

	fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd >= 0 || !address->dual || errno != EAFNOSUPPORT)
		return fd;
	port = ((struct sockaddr_in6 *)addr)->sin6_port;
	memset(addr, 0, sizeof(*addr));
	in->sin_family = AF_INET;
	in->sin_port = port;
	*len = sizeof(*in);
	return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
}

/* Accepted sockets inherit it. A listener can do without. */
static void set_nodelay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* Whether others that say the same, of the same user, may be bound to addresses that this one's covers, or that cover this one's. False: it can't be said. */
static bool set_shared(int fd, int shared)
{
	return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, sizeof(shared)) == 0;
}

/* How far it is opened: bound alone, nobody can connect; beside others that are shared. */
enum opened { OPENED_WHOLE, OPENED_BOUND, OPENED_BESIDE };

static int open_internet(const struct listen_address *address, enum opened how, char error[CONFIG_ERROR_MAX])
{
	struct sockaddr_storage addr = address->addr;
	socklen_t len = address->addr_len;
	int on = 1, only = !address->dual, fd;
	const char *step = "socket";
	int error_number;

	fd = make_socket(address, &addr, &len);
	if (fd < 0)
		goto err;
	step = "setsockopt";
	/* Urgent data comes inline; connections inherit that. Out of line, it would be counted as received, but never be read. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 || setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) < 0)
		goto err;
	if (addr.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) < 0)
		goto err;
	if (how == OPENED_BESIDE && !set_shared(fd, 1))
		goto err;
	step = "bind";
	if (bind(fd, (struct sockaddr *)&addr, len) < 0)
		goto err;
	step = "listen";
	if (how == OPENED_BOUND)
		return fd;
	if (listen(fd, BACKLOG) < 0)
		goto err;
	if (how == OPENED_BESIDE)
		set_shared(fd, 0);
	set_nodelay(fd);
	return fd;
err:
	error_number = errno;
	snprintf(error, CONFIG_ERROR_MAX, "listen %s: %s: %s", address->url, step, strerror(error_number));
	if (fd >= 0)
		close(fd);
	errno = error_number;
	return -1;
}

static int open_local(const struct listen_address *address, struct socket_file *file, char error[CONFIG_ERROR_MAX])
{
	char why[CONFIG_ERROR_MAX - sizeof(address->url) - sizeof("listen : ")];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), error_number;

	if (fd < 0)
		snprintf(why, sizeof(why), "socket: %s", strerror(errno));
	else if (socket_file_listen(fd, config_address_path(address), address->proto == PROTO_ADMIN ? 0660 : 0666, BACKLOG, file, why, sizeof(why)) == 0)
		return fd;
	error_number = errno;
	snprintf(error, CONFIG_ERROR_MAX, "listen %s: %s", address->url, why);
	if (fd >= 0)
		close(fd);
	errno = error_number;
	return -1;
}

/* The URL that the socket is really bound to. */
static void write_bound(int fd, const struct listen_address *address, char *dst, size_t size)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char text[112];		/* fits behind any scheme */

	if (config_address_path(address) || getsockname(fd, (struct sockaddr *)&addr, &len) < 0) {
		snprintf(dst, size, "%s", address->url);
		return;
	}
	config_address_text((struct sockaddr *)&addr, text, sizeof(text));
	snprintf(dst, size, "%s://%s%s", protocol_scheme(address->proto, address->tls), address->dual ? "*" : "",
		 address->dual ? strrchr(text, ':') : text);
}

void listen_rename(struct handover_listener *listener, const struct listen_address *address)
{
	_Static_assert(sizeof(listener->url) == sizeof(address->url), "the same text");

	listener->proto = address->proto;
	listener->tls = address->tls;
	listener->slow = address->slow;
	listener->proxy = address->proxy;
	listener->line = address->line;
	memcpy(listener->url, address->url, sizeof(listener->url));
	write_bound(listener->fd, address, listener->bound, sizeof(listener->bound));
}

int listen_begin(struct handover_listener *listener, const struct listen_address *address, char error[CONFIG_ERROR_MAX])
{
	memset(listener, 0, sizeof(*listener));
	if (config_address_path(address))
		listener->fd = open_local(address, &listener->file, error);
	else
		listener->fd = open_internet(address, OPENED_WHOLE, error);
	if (listener->fd < 0)
		return -1;
	listen_rename(listener, address);
	return 0;
}

static void share(const struct handover_listener *own, unsigned count, int shared)
{
	for (unsigned i = 0; i < count; i++)
		if (own[i].fd >= 0 && !own[i].file.ino)
			set_shared(own[i].fd, shared);
}

/*
 * The old socket can't be closed first: keepers and workers have it open, too, and who is in its queue would be lost. The kernel allows a second one if both are of one user, and both say
 * SO_REUSEPORT when it is bound (socket(7)); from then on they need not, and don't, so that no other program's can come beside them by mistake.
 */
int listen_begin_beside(struct handover_listener *listener, const struct listen_address *address, const struct handover_listener *own, unsigned count, char error[CONFIG_ERROR_MAX])
{
	int error_number;

	memset(listener, 0, sizeof(*listener));
	share(own, count, 1);
	listener->fd = open_internet(address, OPENED_BESIDE, error);
	error_number = errno;
	share(own, count, 0);
	errno = error_number;
	if (listener->fd < 0)
		return -1;
	listen_rename(listener, address);
	return 0;
}

int listen_try(const struct listen_address *address, char error[CONFIG_ERROR_MAX])
{
	const char *path = config_address_path(address);
	char why[CONFIG_ERROR_MAX - sizeof(address->url) - sizeof("listen : ")];
	int fd, error_number;

	if (!path) {
		fd = open_internet(address, OPENED_BOUND, error);
		if (fd >= 0)
			close(fd);
		return fd < 0 ? -1 : 0;
	}
	if (socket_file_try(path, why, sizeof(why)) == 0)
		return 0;
	error_number = errno;
	snprintf(error, CONFIG_ERROR_MAX, "listen %s: %s", address->url, why);
	errno = error_number;
	return -1;
}

void listen_inherit(const struct handover_listener *listener)
{
	if (!listener->file.ino)
		set_nodelay(listener->fd);
	/* (listen() again: net.core.somaxconn may have changed.) */
	if (listen(listener->fd, BACKLOG) < 0)
		log_warning("%s: listen: %s", listener->bound, strerror(errno));
}

/*
 * TCP_NOTSENT_LOWAT, and not the size of the buffer (SO_SNDBUF): that would also limit what is on its way, and so what a fast reader who is far away
 * gets. What is on its way needs no limit here, as its receiver has made room for it. Connections inherit this, so it costs them no call.
 */
void listen_limit(const struct handover_listener *listener, const struct settings *settings)
{
	int unsent = (int)settings->send_buffer;

	if (!listener->file.ino)
		setsockopt(listener->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

void listen_end(struct handover_listener *listener)
{
	struct listen_address address;
	char why[CONFIG_ERROR_MAX];

	/* The file is removed first: while the socket is open, no other file can have its inode number. */
	if (listener->file.ino && config_address_read(&address, listener->url, why) == 0 && config_address_path(&address))
		socket_file_remove(&listener->file, config_address_path(&address));
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
}

bool listen_is_own(const struct handover_listener *listener, const char *runtime_dir)
{
	struct listen_address own;

	return config_address_own(&own, runtime_dir) == 0 && strcmp(listener->url, own.url) == 0;
}

bool listen_serves(const struct handover_listener *listener, const struct listen_address *address)
{
	const char *path = config_address_path(address);
	struct listen_address own;
	char why[CONFIG_ERROR_MAX];

	if (config_address_read(&own, listener->url, why) < 0 || !config_address_same(&own, address))
		return false;
	/* (The file of an admin listener is not for everybody, from its first moment on.) */
	return !path || ((own.proto == PROTO_ADMIN) == (address->proto == PROTO_ADMIN) && socket_file_in_place(&listener->file, path));
}
