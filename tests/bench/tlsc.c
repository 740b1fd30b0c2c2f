#include "tests/bench/tlsc.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define RAW (256u << 10)	/* bytes received at a time */

struct tlsc {
	SSL *ssl;
	int fd;
	int error;		/* what the socket has come upon; 0 nothing */
	bool ended;		/* the server has sent its last byte */
	bool ticket;		/* see tlsc_has_ticket() */
	size_t rest_len;
	char *rest;		/* what was received and not read; mostly NULL, as callers have more room than comes */
};

/* What was received for the connection that is being read: raw.bytes[at, len). */
static struct {
	size_t at, len;
	bool drained;		/* the socket gave less than there was room for */
	char bytes[RAW];
} raw;

static SSL_CTX *context;
static SSL_SESSION *session;	/* to be resumed */
static BIO_METHOD *method;

/* ---- what libssl reads and writes ---- */

static int again(BIO *bio, int flag)
{
	BIO_set_flags(bio, flag | BIO_FLAGS_SHOULD_RETRY);
	return -1;
}

static int refill(BIO *bio, struct tlsc *t)
{
	ssize_t n;

	if (raw.drained)
		return again(bio, BIO_FLAGS_READ);
	do
		n = recv(t->fd, raw.bytes, RAW, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return again(bio, BIO_FLAGS_READ);
	if (n < 0)
		t->error = errno;
	t->ended = n == 0;
	raw.at = 0;
	raw.len = n > 0 ? (size_t)n : 0;
	raw.drained = n < (ssize_t)RAW;
	return n > 0 ? 1 : (int)n;
}

static int bio_read(BIO *bio, char *dst, int size)
{
	size_t n;

	BIO_clear_retry_flags(bio);
	if (raw.at == raw.len) {
		int filled = refill(bio, BIO_get_data(bio));

		if (filled <= 0)
			return filled;
	}
	n = raw.len - raw.at < (size_t)size ? raw.len - raw.at : (size_t)size;
	memcpy(dst, raw.bytes + raw.at, n);
	raw.at += n;
	return (int)n;
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
	struct tlsc *t = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	do
		n = send(t->fd, bytes, (size_t)len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return again(bio, BIO_FLAGS_WRITE);
	if (n < 0)
		t->error = errno;
	return (int)n;
}

static long bio_ctrl(BIO *bio, int what, long n, void *p)
{
	(void)bio, (void)n, (void)p;
	return what == BIO_CTRL_FLUSH;	/* nothing is kept here */
}

/* ---- the process's ---- */

static int say(const char *what)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	fprintf(stderr, "janusbench: %s: %s\n", what, why ? why : strerror(errno));
	return -1;
}

/* Returns that libssl is to free the session, which the connection has, too. */
static int new_ticket(SSL *ssl, SSL_SESSION *with)
{
	struct tlsc *t = SSL_get_app_data(ssl);

	(void)with;
	t->ticket = true;
	return 0;
}

int tlsc_init(const char *ca)
{
	context = SSL_CTX_new(TLS_client_method());
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "janusbench");
	if (!context || !method)
		return say("TLS");
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, new_ticket);
	SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (!ca)
		return 0;
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	return SSL_CTX_load_verify_file(context, ca) == 1 ? 0 : say(ca);
}

/* ---- a connection ---- */

/* Resumes a copy: libssl lets one be resumed once. */
static int offer(SSL *ssl)
{
	SSL_SESSION *copy = SSL_SESSION_dup(session);
	int set = copy && SSL_set_session(ssl, copy) == 1;

	SSL_SESSION_free(copy);
	return set ? 0 : -1;
}

struct tlsc *tlsc_open(int fd)
{
	struct tlsc *t = calloc(1, sizeof(*t));
	BIO *bio = BIO_new(method);

	if (t)
		t->ssl = SSL_new(context);
	if (!t || !bio || !t->ssl) {
		BIO_free(bio);
		tlsc_close(t);
		errno = ENOMEM;
		return NULL;
	}
	t->fd = fd;
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_app_data(t->ssl, t);
	SSL_set_connect_state(t->ssl);
	if (session && offer(t->ssl)) {
		tlsc_close(t);
		errno = ENOMEM;
		return NULL;
	}
	return t;
}

void tlsc_close(struct tlsc *t)
{
	if (!t)
		return;
	if (t->ssl)
		SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);	/* its session remains good */
	SSL_free(t->ssl);
	free(t->rest);
	free(t);
}

/* What was left of what had been received comes first. */
static void begin_reading(struct tlsc *t)
{
	raw.at = 0;
	raw.len = t->rest_len;
	raw.drained = false;
	if (!t->rest)
		return;
	memcpy(raw.bytes, t->rest, t->rest_len);
	free(t->rest);
	t->rest = NULL;
	t->rest_len = 0;
}

/* Keeps what is left. -1 with ENOMEM. */
static int end_reading(struct tlsc *t)
{
	if (raw.at == raw.len)
		return 0;
	t->rest = malloc(raw.len - raw.at);
	if (!t->rest)
		return -1;
	t->rest_len = raw.len - raw.at;
	memcpy(t->rest, raw.bytes + raw.at, t->rest_len);
	return 0;
}

/* Why SSL_...() returned `result`: EAGAIN the socket is to be waited for, 0 the server has ended the connection, or another errno. */
static int why(const struct tlsc *t, int result)
{
	int error = SSL_get_error(t->ssl, result);

	ERR_clear_error();
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return EAGAIN;
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	return t->error ? t->error : t->ended ? 0 : EPROTO;
}

int tlsc_shake(struct tlsc *t)
{
	int result, error;

	begin_reading(t);
	result = SSL_do_handshake(t->ssl);
	error = result == 1 ? 0 : why(t, result);
	if (end_reading(t))
		return errno;
	if (result == 1)
		return 0;
	return error == EAGAIN ? EINPROGRESS : error ? error : ECONNRESET;
}

ssize_t tlsc_recv(struct tlsc *t, void *dst, size_t size)
{
	size_t had = 0, n;
	int error = 0;

	begin_reading(t);
	while (had < size) {
		int result = SSL_read_ex(t->ssl, (char *)dst + had, size - had, &n);

		if (result != 1) {
			error = why(t, result);
			break;
		}
		had += n;
		if (raw.drained && raw.at == raw.len && !SSL_pending(t->ssl))
			break;		/* that was all: libssl need not be asked */
	}
	if (end_reading(t))
		return -1;
	if (!error || (error == EAGAIN && had))
		return (ssize_t)had;
	errno = error;
	return -1;
}

ssize_t tlsc_send(struct tlsc *t, const void *bytes, size_t len)
{
	size_t sent = 0, n;

	while (sent < len) {
		int result = SSL_write_ex(t->ssl, (const char *)bytes + sent, len - sent, &n), error;

		if (result == 1) {
			sent += n;
			continue;
		}
		error = why(t, result);
		if (error == EAGAIN && sent)
			return (ssize_t)sent;
		errno = error ? error : EPIPE;
		return -1;
	}
	return (ssize_t)sent;
}

/* ---- resumption ---- */

bool tlsc_has_ticket(const struct tlsc *t)
{
	return t->ticket;
}

void tlsc_resume(const struct tlsc *t)
{
	SSL_SESSION_free(session);
	session = SSL_get1_session(t->ssl);
}

bool tlsc_is_resumed(const struct tlsc *t)
{
	return SSL_session_reused(t->ssl);
}
