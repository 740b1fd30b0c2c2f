/*
 * A client of HTTP/1.1, as much as janusctl needs: requests one after the other on one connection, answers with a length or in chunks. It speaks to the
 * socket that the server has for who runs it (admin in the runtime folder), or if this user may not, to a listener that the server's status names.
 * Nothing takes longer than its deadline.
 */
#ifndef MASTER_CTL_HTTP_H
#define MASTER_CTL_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "master/ctl/ctl.h"

struct http_place {
	bool local;
	char name[128];			/* a Unix socket's path, or an address; "": nowhere yet */
	uint16_t port;
};

struct http {
	int fd;				/* -1: there is no connection */
	char bytes[65536];		/* received, and not taken yet: from `at` to `end` */
	size_t at, end;
	bool passes_on;			/* what comes goes to standard output: when nobody reads that any more, waiting ends with EPIPE */
	bool chunked, last;		/* last: the body has been taken */
	uint64_t left;			/* bytes of the body, or of the chunk */
};

/* Finds out where the server listens. 0, or the status, having said why. */
int http_find(const struct ctl_arguments *args, struct http_place *place);

/* Connects. 0, or -1 with errno. */
int http_open(struct http *h, const struct http_place *place);
void http_close(struct http *h);

/*
 * Sends a request, and waits up to so many milliseconds for the answer's head. `fields` are whole lines, "" none; `body` NULL: a GET. The answer's status; or
 * -1 with errno: ETIMEDOUT, ECONNRESET when the connection ended, EBADMSG.
 */
int http_ask(struct http *h, const char *target, const char *fields, const void *body, size_t len, unsigned wait_ms);

/*
 * The next bytes of the answer's body. 0: it has ended; -1 with errno as above: ETIMEDOUT if nothing has come within `wait_ms`.
 */
ssize_t http_take(struct http *h, void *dst, size_t room, unsigned wait_ms);

/* The whole body, terminated, cut to the room. -1 as above. */
ssize_t http_take_all(struct http *h, char *dst, size_t room, unsigned wait_ms);

/* Writes a name as it stands in a query; dst has room for 3 * strlen(name) + 1. */
void http_escape(char *dst, const char *name);

#endif
