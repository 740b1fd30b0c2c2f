/*
 * A TLS client, which is libssl, at the other end of a session's connection. The handshake is made in memory, and the server's side of it goes: what is left of
 * it is the entry of the session's descriptor.
 */
#ifndef UNIT_TLS_PEER_H
#define UNIT_TLS_PEER_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>

#include "tests/unit/worker_fixture.h"
#include "worker/io/tls_kernel.h"
#include "worker/io/tls_out.h"

struct tls_peer {
	SSL_CTX *context;
	SSL *ssl;
	BIO *in, *out;			/* what it reads, what it has written */
};

static struct tls_peer tls_peer[SESSIONS];	/* by descriptor of the session */

/* What the server's libssl says of its secrets. */
static struct {
	uint8_t client[TLS_SECRET_MAX], server[TLS_SECRET_MAX];
	size_t len;
} tls_secrets;

static inline size_t peer_unhex(const char *hex, uint8_t *dst)
{
	size_t n = 0;

	for (unsigned byte; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
		dst[n] = (uint8_t)byte;
	return n;
}

static inline void peer_keylog(const SSL *ssl, const char *line)
{
	const char *secret = strrchr(line, ' ') + 1;

	(void)ssl;
	if (strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0)
		tls_secrets.len = peer_unhex(secret, tls_secrets.client);
	if (strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) == 0)
		tls_secrets.len = peer_unhex(secret, tls_secrets.server);
}

static inline SSL_CTX *peer_server(bool rsa)
{
	static EVP_PKEY *key[2];
	static X509 *cert[2];
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (!key[rsa]) {
		key[rsa] = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
		cert[rsa] = X509_new();
		X509_set_pubkey(cert[rsa], key[rsa]);
		X509_gmtime_adj(X509_getm_notBefore(cert[rsa]), 0);
		X509_gmtime_adj(X509_getm_notAfter(cert[rsa]), 3600);
		assert_true(X509_sign(cert[rsa], key[rsa], EVP_sha256()) > 0);
	}
	assert_int_equal(SSL_CTX_use_certificate(context, cert[rsa]), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(context, key[rsa]), 1);
	SSL_CTX_set_keylog_callback(context, peer_keylog);
	return context;
}

static inline void peer_pump(BIO *from, BIO *to, uint8_t *last, size_t *last_len)
{
	uint8_t bytes[16384];
	int n;

	while ((n = BIO_read(from, bytes, sizeof(bytes))) > 0) {
		BIO_write(to, bytes, n);
		if (last) {
			memcpy(last, bytes, (size_t)n);
			*last_len = (size_t)n;
		}
	}
}

/* The explicit nonce of the Finished at the end of what the server has sent last. */
static inline const uint8_t *peer_nonce(const uint8_t *bytes, size_t len)
{
	const uint8_t *last = bytes;

	for (size_t at = 0; at + 5 <= len; at += 5u + (bytes[at + 3] << 8 | bytes[at + 4]))
		last = bytes + at;
	return last + 5;
}

/* The suite as our kind; the names that libssl has for it. */
struct peer_kind {
	int version;
	const char *suite;
	struct tls_kind kind;
	bool rsa;
};

static const struct peer_kind peer_kinds[] = {
	{ TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", { TLS_1_3, TLS_AES_128_GCM }, false },
	{ TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", { TLS_1_3, TLS_AES_256_GCM }, true },
	{ TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", { TLS_1_3, TLS_CHACHA20_POLY1305 }, false },
	{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", { TLS_1_2, TLS_AES_128_GCM }, false },
	{ TLS1_2_VERSION, "ECDHE-RSA-AES256-GCM-SHA384", { TLS_1_2, TLS_AES_256_GCM }, true },
	{ TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", { TLS_1_2, TLS_CHACHA20_POLY1305 }, false },
};
#define PEER_KINDS (sizeof(peer_kinds) / sizeof(peer_kinds[0]))

/* Makes the handshake. The entry is what a server goes on with, on a connection of which no byte has been sent. */
static inline void peer_shake(struct tls_peer *peer, const struct peer_kind *k, struct tls_entry_shm *entry)
{
	SSL_CTX *server_context = peer_server(k->rsa);
	SSL *server;
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	uint8_t last[16384], master[48], client_random[32], server_random[32];
	size_t last_len = 0;

	peer->context = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_min_proto_version(peer->context, k->version);
	SSL_CTX_set_max_proto_version(peer->context, k->version);
	SSL_CTX_set_num_tickets(server_context, 2);
	if (k->version == TLS1_3_VERSION)
		SSL_CTX_set_ciphersuites(peer->context, k->suite);
	else
		SSL_CTX_set_cipher_list(peer->context, k->suite);
	server = SSL_new(server_context);
	peer->ssl = SSL_new(peer->context);
	peer->in = BIO_new(BIO_s_mem());
	peer->out = BIO_new(BIO_s_mem());
	SSL_set_bio(peer->ssl, peer->in, peer->out);
	SSL_set_bio(server, in, out);
	SSL_set_accept_state(server);
	SSL_set_connect_state(peer->ssl);
	for (int i = 0; i < 8; i++) {
		SSL_do_handshake(peer->ssl);
		peer_pump(peer->out, in, NULL, NULL);
		SSL_do_handshake(server);
		peer_pump(out, peer->in, last, &last_len);
	}
	assert_true(SSL_is_init_finished(peer->ssl) && SSL_is_init_finished(server));
	memset(entry, 0, sizeof(*entry));
	entry->kind = k->kind;
	if (k->version == TLS1_3_VERSION) {
		assert_int_equal(tls_keys_1_3(&entry->in, k->kind.suite, tls_secrets.client, tls_secrets.len), 0);
		assert_int_equal(tls_keys_1_3(&entry->out, k->kind.suite, tls_secrets.server, tls_secrets.len), 0);
		entry->flow.out_seq = 2;	/* the tickets */
	} else {
		SSL_SESSION_get_master_key(SSL_get_session(server), master, sizeof(master));
		SSL_get_client_random(server, client_random, sizeof(client_random));
		SSL_get_server_random(server, server_random, sizeof(server_random));
		assert_int_equal(tls_keys_1_2(&entry->in, &entry->out, k->kind.suite, strstr(k->suite, "SHA384") != NULL, master, client_random, server_random,
					      peer_nonce(last, last_len)), 0);
		entry->flow.out_seq = entry->flow.in_seq = 1;
	}
	SSL_free(server);
	SSL_CTX_free(server_context);
}

/* A TCP connection's two ends. */
static inline void tcp_pair(int fd[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	fd[1] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd[1], (struct sockaddr *)&address, len), 0);
	fd[0] = accept(listener, NULL, NULL);
	assert_true(fd[0] >= 0);
	close(listener);
	fcntl(fd[1], F_SETFL, O_NONBLOCK);
}

static bool peer_by_kernel;		/* the kernel makes the records of sessions that are opened, if it can */

/* A session of a TLS connection, whose other end is libssl. */
static inline int opened_tls(struct worker_fixture *w, uint32_t transport, const struct peer_kind *k)
{
	int fd[2];

	tcp_pair(fd);
	tls_begin(&w->base.tls, fd[0]);
	peer_shake(&tls_peer[fd[0]], k, tls_entry(&w->base.tls, fd[0]));
	if (peer_by_kernel && tls_kernel_begin(fd[0], tls_entry(&w->base.tls, fd[0])) == 0)
		tls_entry(&w->base.tls, fd[0])->flow.control = TLS_BY_KERNEL;
	open_session(w, fd[0], fd[1], transport);
	state_of(w, fd[0])->flags = SESSION_TLS;
	tls_settled(&w->base.tls);
	assert_true(tls_out_ready(&w->base));
	return fd[0];
}

static inline void peer_free(int fd)
{
	SSL_free(tls_peer[fd].ssl);
	SSL_CTX_free(tls_peer[fd].context);
	tls_peer[fd] = (struct tls_peer){ 0 };
}

/* The peer sends text, as one record or several. */
static inline void peer_send_raw(struct worker_fixture *w, int fd)
{
	uint8_t bytes[65536];
	int n;

	while ((n = BIO_read(tls_peer[fd].out, bytes, sizeof(bytes))) > 0)
		assert_int_equal(send(w->peer[fd], bytes, (size_t)n, 0), n);
}

static inline void peer_send(struct worker_fixture *w, int fd, const void *text, size_t len)
{
	assert_int_equal(SSL_write(tls_peer[fd].ssl, text, (int)len), (int)len);
	peer_send_raw(w, fd);
}

/* Waits until something can be read, for a second. */
static inline bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 1000) == 1;
}

/*
 * Puts what has come to the peer behind w->got, until `len` bytes of text are there or nothing comes. What SSL_get_error() said last: SSL_ERROR_WANT_READ, if all
 * is well.
 */
static inline int peer_receive(struct worker_fixture *w, int fd, size_t len)
{
	uint8_t bytes[65536];
	ssize_t n;
	int r = 1;

	for (;;) {
		while (w->got.len < sizeof(w->got.at) && (r = SSL_read(tls_peer[fd].ssl, w->got.at + w->got.len, (int)(sizeof(w->got.at) - w->got.len))) > 0)
			w->got.len += (size_t)r;
		if (SSL_get_error(tls_peer[fd].ssl, r) != SSL_ERROR_WANT_READ)
			return SSL_get_error(tls_peer[fd].ssl, r);
		n = recv(w->peer[fd], bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n > 0)
			BIO_write(tls_peer[fd].in, bytes, (int)n);
		else if (n == 0 || w->got.len >= len || !readable(w->peer[fd]))
			return SSL_ERROR_WANT_READ;
	}
}

/* The peer has got what was expected, and nothing more. */
static inline void assert_peer_got(struct worker_fixture *w, int fd)
{
	assert_int_equal(peer_receive(w, fd, w->expected.len), SSL_ERROR_WANT_READ);
	assert_int_equal(w->got.len, w->expected.len);
	assert_memory_equal(w->got.at, w->expected.at, w->got.len);
	w->got.len = w->expected.len = 0;
}

static inline struct tls_flow_shm *flow_of(const struct worker_fixture *w, int fd)
{
	return &tls_entry(&w->base.tls, fd)->flow;
}

#endif
