/*
 * One connection's TLS handshake. See tls_handshake.h.
 *
 * What libssl does not tell, its output does: how many records it has sealed with the keys of the traffic (1.3: tickets, behind the client's Finished; 1.2: its
 * Finished), and which explicit nonce was the last one's. Its records are walked as they are written.
 */
#include "worker/io/tls_handshake.h"

#include <errno.h>
#include <linux/sockios.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "worker/io/tls_certificate.h"

#define RECORDS_AT_ONCE 8
#define INPUT_MAX (256 * 1024)		/* bytes of a handshake: a client's chain of certificates may have 100 KB (SSL_CTX_set_max_cert_list()) */
#define NONCE 8

struct tls_handshake {
	SSL *ssl;
	BIO *in, *out;			/* the connection object's */
	struct tls_told told;
	enum tls_step step;
	const char *error;
	uint64_t wire_in, wire_out;
	uint8_t begin[TLS_HEAD];
	uint8_t head[TLS_HEAD];		/* of the record that is coming */
	size_t head_len, left;		/* what is there of that; what is missing of its body */
	size_t walked;			/* bytes of the output that are records which were looked at */
	bool changed;			/* our change_cipher_spec is among them */
	uint64_t sealed;		/* 1.2: records behind that; 1.3: of the last step */
	uint8_t nonce[NONCE];		/* of the first one behind that */
};

struct tls_handshake *tls_handshake_create(const struct tls_server *server, bool http)
{
	struct tls_handshake *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->told.http = http;
	h->ssl = tls_server_accept(server, &h->told);
	h->in = BIO_new(BIO_s_mem());
	h->out = BIO_new(BIO_s_mem());
	if (!h->ssl || !h->in || !h->out) {
		BIO_free(h->in);
		BIO_free(h->out);
		SSL_free(h->ssl);
		free(h);
		return NULL;
	}
	BIO_set_mem_eof_return(h->in, -1);
	SSL_set_bio(h->ssl, h->in, h->out);
	return h;
}

void tls_handshake_destroy(struct tls_handshake *h)
{
	if (!h)
		return;
	SSL_free(h->ssl);
	explicit_bzero(h, sizeof(*h));
	free(h);
}

const char *tls_handshake_error(const struct tls_handshake *h)
{
	return h->error ? h->error : "?";
}

const uint8_t *tls_handshake_begin(const struct tls_handshake *h, size_t *len)
{
	*len = h->wire_in < TLS_HEAD ? (size_t)h->wire_in : TLS_HEAD;
	return h->begin;
}

static enum tls_step fail(struct tls_handshake *h, enum tls_step step, const char *error)
{
	h->error = error;
	return h->step = step;
}

/* ---- output ---- */

const uint8_t *tls_handshake_output(const struct tls_handshake *h, size_t *len)
{
	char *bytes = NULL;
	long n = BIO_get_mem_data(h->out, &bytes);

	*len = n > 0 ? (size_t)n : 0;
	return (const uint8_t *)bytes;
}

bool tls_handshake_sends(const struct tls_handshake *h)
{
	return BIO_ctrl_pending(h->out) > 0;
}

void tls_handshake_sent(struct tls_handshake *h, size_t len)
{
	char away[4096];

	h->wire_out += len;
	h->walked -= len < h->walked ? len : h->walked;
	while (len > 0) {
		int n = BIO_read(h->out, away, len < sizeof(away) ? (int)len : (int)sizeof(away));

		if (n <= 0)
			break;
		len -= (size_t)n;
	}
}

/* Looks at what a step has written. */
static void walk(struct tls_handshake *h)
{
	size_t len;
	const uint8_t *bytes = tls_handshake_output(h, &len);

	if (SSL_version(h->ssl) == TLS1_3_VERSION)
		h->sealed = 0;
	while (len - h->walked >= TLS_HEAD) {
		const uint8_t *record = bytes + h->walked;
		size_t size = TLS_HEAD + ((size_t)record[3] << 8 | record[4]);

		if (len - h->walked < size)
			break;
		h->walked += size;
		if (SSL_version(h->ssl) == TLS1_3_VERSION) {
			h->sealed++;
			continue;
		}
		if (h->changed && h->sealed++ == 0 && size >= TLS_HEAD + NONCE)
			memcpy(h->nonce, record + TLS_HEAD, NONCE);
		h->changed |= record[0] == TLS_CHANGE_CIPHER_SPEC;
	}
}

/* ---- input ---- */

size_t tls_handshake_wants(const struct tls_handshake *h)
{
	return h->head_len < TLS_HEAD ? TLS_HEAD - h->head_len : h->left;
}

/* What libssl has failed with. */
static enum tls_step failed(struct tls_handshake *h)
{
	unsigned long error = ERR_peek_last_error();
	int reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
	const char *text = ERR_reason_error_string(error);

	ERR_clear_error();
	h->error = text ? text : "no memory";
	switch (reason) {
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_VERSION_TOO_HIGH:
	case SSL_R_UNKNOWN_PROTOCOL:
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SHARED_GROUPS:
	case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_NO_APPLICATION_PROTOCOL:
	case SSL_R_INAPPROPRIATE_FALLBACK:
		return h->step = TLS_UNSUPPORTED;
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return h->step = TLS_BAD_CERTIFICATE;
	}
	return h->step = reason > SSL_AD_REASON_OFFSET ? TLS_ALERT_CAME : TLS_BAD;
}

/* A record is there. */
static enum tls_step deal_with_record(struct tls_handshake *h)
{
	int r;

	h->head_len = 0;
	ERR_clear_error();
	r = SSL_do_handshake(h->ssl);
	walk(h);
	if (r == 1)
		return h->step = TLS_DONE;
	return SSL_get_error(h->ssl, r) == SSL_ERROR_WANT_READ ? TLS_GOES_ON : failed(h);
}

/* The header of a record is there. */
static enum tls_step look_at_head(struct tls_handshake *h)
{
	h->left = (size_t)h->head[3] << 8 | h->head[4];
	if (h->wire_in == TLS_HEAD && (h->head[0] != TLS_HANDSHAKE || h->head[1] != 3))
		return fail(h, TLS_NOT_TLS, "the first bytes are none of TLS");
	if (h->left > TLS_RECORD_MAX - TLS_HEAD || h->wire_in + h->left > INPUT_MAX)
		return fail(h, TLS_BAD, "it is too long");
	if (BIO_write(h->in, h->head, TLS_HEAD) != TLS_HEAD)
		return fail(h, TLS_BAD, "no memory");
	return h->left ? TLS_GOES_ON : deal_with_record(h);
}

enum tls_step tls_handshake_feed(struct tls_handshake *h, const uint8_t *bytes, size_t len)
{
	if (h->step != TLS_GOES_ON || len == 0)
		return h->step;
	if (h->head_len < TLS_HEAD) {
		memcpy(h->head + h->head_len, bytes, len);
		if (h->wire_in < TLS_HEAD)
			memcpy(h->begin + h->wire_in, bytes, len);
		h->wire_in += len;
		h->head_len += len;
		return h->head_len < TLS_HEAD ? TLS_GOES_ON : look_at_head(h);
	}
	h->wire_in += len;
	h->left -= len;
	if (BIO_write(h->in, bytes, (int)len) != (int)len)
		return fail(h, TLS_BAD, "no memory");
	return h->left ? TLS_GOES_ON : deal_with_record(h);
}

/* ---- a socket ---- */

static void wait_for(int fd, size_t bytes)
{
	setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &(int){ (int)bytes }, sizeof(int));
}

enum tls_step tls_handshake_look(int fd, size_t *awaited)
{
	uint8_t head[TLS_HEAD];
	ssize_t n = recv(fd, head, sizeof(head), MSG_PEEK | MSG_DONTWAIT);
	size_t size = TLS_HEAD;
	int there = 0;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? TLS_GOES_ON : TLS_CLOSED;
	if (n == TLS_HEAD) {
		size += (size_t)head[3] << 8 | head[4];
		if (head[0] != TLS_HANDSHAKE || head[1] != 3 || size > TLS_RECORD_MAX || ioctl(fd, SIOCINQ, &there) < 0 || (size_t)there >= size)
			return TLS_DONE;
	}
	/* It is readable before: the client sends no more, or the kernel has no room for so many tiny pieces. */
	if (size <= *awaited)
		return TLS_DONE;
	*awaited = size;
	wait_for(fd, size);
	return TLS_GOES_ON;
}

void tls_handshake_looked(int fd)
{
	wait_for(fd, 1);
}

static void send_output(struct tls_handshake *h, int fd)
{
	size_t len;
	const uint8_t *bytes = tls_handshake_output(h, &len);
	ssize_t n;

	while (len > 0 && (n = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) {
		tls_handshake_sent(h, (size_t)n);
		bytes = tls_handshake_output(h, &len);
	}
}

/* Receives what there is of a record. False: nothing. */
static bool receive(struct tls_handshake *h, int fd)
{
	uint8_t bytes[4096];
	size_t wanted = tls_handshake_wants(h);
	ssize_t n = recv(fd, bytes, wanted < sizeof(bytes) ? wanted : sizeof(bytes), MSG_DONTWAIT);

	if (n > 0) {
		tls_handshake_feed(h, bytes, (size_t)n);
		return true;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		fail(h, TLS_CLOSED, n == 0 ? "the client has closed the connection" : "the connection is broken");
	return false;
}

enum tls_step tls_handshake_run(struct tls_handshake *h, int fd)
{
	for (int i = 0; i < 4 * RECORDS_AT_ONCE && h->step == TLS_GOES_ON; i++)
		if (!receive(h, fd))
			break;
	if (h->step != TLS_CLOSED)
		send_output(h, fd);
	return h->step;
}

void tls_handshake_say(struct tls_handshake *h, const void *bytes, size_t len)
{
	ERR_clear_error();
	if (SSL_write(h->ssl, bytes, (int)len) > 0)
		SSL_shutdown(h->ssl);
	ERR_clear_error();
}

/* ---- what has become of it ---- */

/* False: a suite that is none of ours. */
static bool find_suite(const SSL_CIPHER *cipher, uint8_t *suite)
{
	switch (cipher ? SSL_CIPHER_get_cipher_nid(cipher) : NID_undef) {
	case NID_aes_128_gcm:
		*suite = TLS_AES_128_GCM;
		return true;
	case NID_aes_256_gcm:
		*suite = TLS_AES_256_GCM;
		return true;
	case NID_chacha20_poly1305:
		*suite = TLS_CHACHA20_POLY1305;
		return true;
	}
	return false;
}

static bool keys_1_3(const struct tls_handshake *h, struct tls_entry_shm *e)
{
	e->flow.out_seq = h->sealed;
	return h->told.secret_len > 0 && tls_keys_1_3(&e->out, e->kind.suite, h->told.server_secret, h->told.secret_len) == 0 &&
	       tls_keys_1_3(&e->in, e->kind.suite, h->told.client_secret, h->told.secret_len) == 0;
}

static bool keys_1_2(const struct tls_handshake *h, struct tls_entry_shm *e)
{
	uint8_t master[48], client[32], server[32];
	bool sha384 = EVP_MD_is_a(SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(h->ssl)), "SHA384");
	bool good;

	e->flow.out_seq = h->sealed;
	e->flow.in_seq = 1;
	SSL_get_client_random(h->ssl, client, sizeof(client));
	SSL_get_server_random(h->ssl, server, sizeof(server));
	good = h->sealed == 1 && SSL_SESSION_get_master_key(SSL_get_session(h->ssl), master, sizeof(master)) == sizeof(master) &&
	       tls_keys_1_2(&e->in, &e->out, e->kind.suite, sha384, master, client, server, h->nonce) == 0;
	explicit_bzero(master, sizeof(master));
	return good;
}

bool tls_handshake_outcome(struct tls_handshake *h, struct tls_outcome *outcome)
{
	struct tls_entry_shm *e = &outcome->entry;
	X509 *client = SSL_get0_peer_certificate(h->ssl);

	memset(outcome, 0, sizeof(*outcome));
	e->kind.version = SSL_version(h->ssl) == TLS1_3_VERSION ? TLS_1_3 : SSL_version(h->ssl) == TLS1_2_VERSION ? TLS_1_2 : 0;
	/* (RFC 6066 section 4, which libssl grants whoever asks for it. Records as short as that are not made here.) */
	if (SSL_SESSION_get_max_fragment_length(SSL_get_session(h->ssl)) != TLSEXT_max_fragment_length_DISABLED)
		h->error = "the client asks for short records (max_fragment_length)";
	else if (!e->kind.version || !find_suite(SSL_get_current_cipher(h->ssl), &e->kind.suite) || BIO_ctrl_pending(h->in) > 0 || SSL_has_pending(h->ssl) ||
		 !(e->kind.version == TLS_1_3 ? keys_1_3(h, e) : keys_1_2(h, e)))
		h->error = "no keys";
	else {
		e->flow.wire_in = h->wire_in;
		e->flow.wire_out = h->wire_out;
		outcome->resumed = SSL_session_reused(h->ssl);
		if (client)
			tls_certificate_name(client, outcome->client, sizeof(outcome->client));
		return true;
	}
	explicit_bzero(outcome, sizeof(*outcome));
	return false;
}
