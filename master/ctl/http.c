/*
 * A client of HTTP/1.1. See http.h.
 */
#include "master/ctl/http.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "master/config.h"

#define CONNECT_MS 5000
#define HEAD_MAX 16384

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- where it is ---- */

/* Whether somebody listens there, whom this user may ask. */
static bool answers(const struct http_place *place)
{
	struct http h = { 0 };
	bool there = http_open(&h, place) == 0;

	http_close(&h);
	return there;
}

/* From a URL of the status. False: it is none of HTTP. */
static bool read_url(struct http_place *place, const char *url)
{
	struct listen_address address;
	char host[sizeof(place->name)];
	const char *path;
	char error[CONFIG_ERROR_MAX];
	unsigned port;

	if (config_address_read(&address, url, error) < 0 || address.proto != PROTO_HTTP)
		return false;
	path = config_address_path(&address);
	if (path) {
		place->local = true;
		snprintf(place->name, sizeof(place->name), "%s", path);
		return true;
	}
	if (sscanf(url, "http://[%127[^]]]:%u", host, &port) != 2 && sscanf(url, "http://%127[^:]:%u", host, &port) != 2)
		return false;
	place->local = false;
	if (strcmp(host, "*") == 0 || strcmp(host, "0.0.0.0") == 0)
		strcpy(host, "127.0.0.1");
	else if (strcmp(host, "::") == 0)
		strcpy(host, "::1");
	strcpy(place->name, host);
	place->port = (uint16_t)port;
	return true;
}

int http_find(const struct ctl_arguments *args, struct http_place *place)
{
	static struct config config;
	static struct control_status status;
	char error[CONFIG_ERROR_MAX];
	int rc;

	if (config_read(&config, &args->source, error) == 0) {
		int n = snprintf(place->name, sizeof(place->name), "%s/admin", config.settings.runtime_dir);

		place->local = true;
		if (n > 0 && (size_t)n < sizeof(place->name) && answers(place))
			return 0;
	}
	rc = ctl_ask(args, false, CONTROL_STATUS, &status, NULL);
	if (rc)
		return rc;
	for (unsigned i = 0; i < status.listeners; i++)
		if (read_url(place, status.listen[i]) && answers(place))
			return 0;
	fprintf(stderr, "janusctl: the server has no listener of HTTP that answers\n");
	return EXIT_REFUSED;
}

/* ---- the connection ---- */

static int wait_for(const struct http *h, short events, uint64_t deadline)
{
	for (;;) {
		uint64_t now = now_ms();
		struct pollfd p[] = { { .fd = h->fd, .events = events }, { .fd = h->passes_on ? STDOUT_FILENO : -1 } };
		int n = now < deadline ? poll(p, 2, (int)(deadline - now)) : 0;

		if (n == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		if (n > 0 && p[0].revents)
			return 0;
		if (n > 0) {
			errno = EPIPE;
			return -1;
		}
		if (errno != EINTR)
			return -1;
	}
}

/* Connects, or begins to. */
static int begin(int fd, const struct http_place *place)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(place->port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(place->port) };

	if (place->local) {
		if (strlen(place->name) >= sizeof(local.sun_path)) {
			errno = ENAMETOOLONG;
			return -1;
		}
		strcpy(local.sun_path, place->name);
		return connect(fd, (struct sockaddr *)&local, sizeof(local));
	}
	if (strchr(place->name, ':'))
		return inet_pton(AF_INET6, place->name, &in6.sin6_addr) == 1 ? connect(fd, (struct sockaddr *)&in6, sizeof(in6)) : -1;
	return inet_pton(AF_INET, place->name, &in.sin_addr) == 1 ? connect(fd, (struct sockaddr *)&in, sizeof(in)) : -1;
}

int http_open(struct http *h, const struct http_place *place)
{
	int family = place->local ? AF_UNIX : strchr(place->name, ':') ? AF_INET6 : AF_INET, error = 0, saved;
	socklen_t len = sizeof(error);

	h->at = h->end = 0;
	h->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (h->fd < 0)
		return -1;
	if (begin(h->fd, place) == 0)
		return 0;
	if (errno == EINPROGRESS && wait_for(h, POLLOUT, now_ms() + CONNECT_MS) == 0 &&
	    getsockopt(h->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0)
		return 0;
	saved = error ? error : errno;
	http_close(h);
	errno = saved;
	return -1;
}

void http_close(struct http *h)
{
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
}

static int send_all(struct http *h, const char *bytes, size_t len, uint64_t deadline)
{
	while (len > 0) {
		ssize_t n = send(h->fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			if (wait_for(h, POLLOUT, deadline) < 0)
				return -1;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			errno = errno == EPIPE ? ECONNRESET : errno;
			return -1;
		}
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Receives more, behind what is there. */
static int receive(struct http *h, uint64_t deadline)
{
	if (h->at > 0) {
		memmove(h->bytes, h->bytes + h->at, h->end - h->at);
		h->end -= h->at;
		h->at = 0;
	}
	if (h->end == sizeof(h->bytes)) {
		errno = EBADMSG;
		return -1;
	}
	for (;;) {
		ssize_t n = recv(h->fd, h->bytes + h->end, sizeof(h->bytes) - h->end, 0);

		if (n > 0) {
			h->end += (size_t)n;
			return 0;
		}
		if (n == 0) {
			errno = ECONNRESET;
			return -1;
		}
		if (errno == EAGAIN ? wait_for(h, POLLIN, deadline) < 0 : errno != EINTR)
			return -1;
	}
}

/* ---- requests and answers ---- */

/* A line of what was received, terminated in its place; NULL with errno. */
static char *take_line(struct http *h, uint64_t deadline)
{
	for (;;) {
		char *from = h->bytes + h->at, *lf = memchr(from, '\n', h->end - h->at);

		if (lf) {
			h->at = (size_t)(lf + 1 - h->bytes);
			*lf = '\0';
			if (lf > from && lf[-1] == '\r')
				lf[-1] = '\0';
			return from;
		}
		if (receive(h, deadline) < 0)
			return NULL;
	}
}

/* Reads the head of an answer. */
static int read_head(struct http *h, uint64_t deadline)
{
	char *line = take_line(h, deadline);
	int status;

	if (!line)
		return -1;
	if (sscanf(line, "HTTP/1.%*1d %3d", &status) != 1)
		goto bad;
	h->chunked = h->last = false;
	h->left = 0;
	for (unsigned lines = 0; (line = take_line(h, deadline)) != NULL && *line; lines++) {
		if (lines == 100)
			goto bad;
		if (strncasecmp(line, "Content-Length:", 15) == 0)
			h->left = strtoull(line + 15, NULL, 10);
		else if (strncasecmp(line, "Transfer-Encoding:", 18) == 0)
			h->chunked = true;
	}
	if (!line)
		return -1;
	h->last = !h->chunked && h->left == 0;
	return status;
bad:
	errno = EBADMSG;
	return -1;
}

int http_ask(struct http *h, const char *target, const char *fields, const void *body, size_t len, unsigned wait_ms)
{
	uint64_t deadline = now_ms() + wait_ms;
	char head[HEAD_MAX];
	int n = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: localhost\r\n%s", body ? "POST" : "GET", target, fields);

	if (n > 0 && (size_t)n < sizeof(head))
		n += body ? snprintf(head + n, sizeof(head) - (size_t)n, "Content-Length: %zu\r\n\r\n", len)
			  : snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
	if (n < 0 || (size_t)n >= sizeof(head)) {
		errno = EMSGSIZE;
		return -1;
	}
	/* (A refusal may come before all of a large body is sent.) */
	if (send_all(h, head, (size_t)n, deadline) < 0 || (send_all(h, body, len, deadline) < 0 && errno != ECONNRESET))
		return -1;
	return read_head(h, deadline);
}

/* The next chunk's size. 0, or -1. */
static int next_chunk(struct http *h, uint64_t deadline)
{
	char *line = take_line(h, deadline), *end;

	if (line && !*line)		/* what ends the chunk before */
		line = take_line(h, deadline);
	if (!line)
		return -1;
	h->left = strtoull(line, &end, 16);
	if (end == line || h->left > UINT32_MAX) {
		errno = EBADMSG;
		return -1;
	}
	h->last = h->left == 0;
	return h->last && !take_line(h, deadline) ? -1 : 0;
}

ssize_t http_take(struct http *h, void *dst, size_t room, unsigned wait_ms)
{
	uint64_t deadline = now_ms() + wait_ms;
	size_t n;

	if (!h->last && h->chunked && h->left == 0 && next_chunk(h, deadline) < 0)
		return -1;
	if (h->last)
		return 0;
	if (h->at == h->end && receive(h, deadline) < 0)
		return -1;
	n = h->end - h->at;
	n = n < room ? n : room;
	n = n < h->left ? n : (size_t)h->left;
	memcpy(dst, h->bytes + h->at, n);
	h->at += n;
	h->left -= n;
	h->last = !h->chunked && h->left == 0;
	return (ssize_t)n;
}

ssize_t http_take_all(struct http *h, char *dst, size_t room, unsigned wait_ms)
{
	char more[4096];
	size_t len = 0;
	ssize_t n;

	while ((n = len + 1 < room ? http_take(h, dst + len, room - 1 - len, wait_ms) : http_take(h, more, sizeof(more), wait_ms)) > 0)
		len += len + 1 < room ? (size_t)n : 0;
	dst[len] = '\0';
	return n < 0 ? -1 : (ssize_t)len;
}

void http_escape(char *dst, const char *name)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (isalnum(c) || strchr("-._~", c)) {
			*dst++ = (char)c;
		} else {
			*dst++ = '%';
			*dst++ = hex[c >> 4];
			*dst++ = hex[c & 15];
		}
	}
	*dst = '\0';
}
