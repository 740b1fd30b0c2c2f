/*
 * What a worker's TLS handshakes have in common: certificates, versions, suites, tickets. Made once a worker, of what the master has read.
 *
 * TLS 1.3, and 1.2 with ECDHE and AEAD alone (RFC 9325). There is no renegotiation, no compression, no early data (RFC 8446 section 8), no session cache: who resumes
 * has a ticket, whose keys all workers share (shm/tickets.h).
 */
#ifndef WORKER_IO_TLS_SERVER_H
#define WORKER_IO_TLS_SERVER_H

#include <openssl/ssl.h>

#include "shm/secrets.h"
#include "shm/settings.h"
#include "shm/tickets.h"

struct tls_server;

/* `tickets`: NULL, there are none. Both are the caller's and may go, `tickets` behind the server. NULL: it can't be made, why[TLS_WHY_MAX] says so. */
struct tls_server *tls_server_create(const struct settings *settings, const struct secrets *secrets, const struct tickets_shm *tickets, char *why);
void tls_server_destroy(struct tls_server *server);

/* What one connection's handshake gives to libssl's callbacks, and gets of them. */
struct tls_told {
	bool http;			/* HTTP is spoken within: a client that says what it speaks (ALPN) must be able to speak that */
	uint8_t client_secret[64], server_secret[64];	/* 1.3: of the traffic (RFC 8446 section 7.1) */
	size_t secret_len;		/* 0: there are none yet */
};

/* A connection object that accepts, without any input or output yet. It notes in *told, which must stay as long as it. NULL: no memory. */
SSL *tls_server_accept(const struct tls_server *server, struct tls_told *told);

#endif
