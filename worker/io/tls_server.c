/*
 * What a worker's TLS handshakes have in common. See tls_server.h.
 */
#include "worker/io/tls_server.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/hex.h"
#include "worker/io/tls_certificate.h"

#define SUITES_1_2 "ECDHE+AESGCM+AES128:ECDHE+AESGCM:ECDHE+CHACHA20"
#define SUITES_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CLIENT_SECRET "CLIENT_TRAFFIC_SECRET_0 "
#define SERVER_SECRET "SERVER_TRAFFIC_SECRET_0 "

struct tls_server {
	const struct tickets_shm *tickets;
	uint64_t lifetime;			/* of a ticket, seconds */
	unsigned count;
	struct {
		struct tls_certificate *certificate;
		SSL_CTX *context;
	} each[];				/* in the order of the setting: the first is for those who ask for no name, or for none that is there */
};

/* ---- libssl's callbacks ---- */

/* Which certificate: a name beats a *, and what stands first. (A context has been copied into the connection but for this.) */
static int on_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_server *server = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	int best = 0, fits;

	(void)alert;
	if (!name)
		return SSL_TLSEXT_ERR_NOACK;
	for (unsigned i = 0; i < server->count && best < 2; i++) {
		fits = tls_certificate_fits(server->each[i].certificate, name);
		if (fits > best) {
			best = fits;
			SSL_set_SSL_CTX(ssl, server->each[i].context);
		}
	}
	return best ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned len, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
	unsigned char *chosen = NULL;

	(void)arg;
	if (!((const struct tls_told *)SSL_get_app_data(ssl))->http)
		return SSL_TLSEXT_ERR_NOACK;
	if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;	/* no_application_protocol, RFC 7301 section 3.2 */
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* Hex digits, until something else. */
static size_t from_hex(uint8_t *dst, size_t room, const char *hex)
{
	size_t n = 0;

	while (n < room && hex_digit(hex[0]) >= 0 && hex_digit(hex[1]) >= 0) {
		dst[n++] = (uint8_t)(hex_digit(hex[0]) << 4 | hex_digit(hex[1]));
		hex += 2;
	}
	return n;
}

/* LABEL CLIENT_RANDOM SECRET. That is how libssl tells the secrets of the traffic, which it has no other function for. */
static void on_secret(const SSL *ssl, const char *line)
{
	struct tls_told *told = SSL_get_app_data(ssl);
	uint8_t *to = strncmp(line, CLIENT_SECRET, strlen(CLIENT_SECRET)) == 0 ? told->client_secret :
		      strncmp(line, SERVER_SECRET, strlen(SERVER_SECRET)) == 0 ? told->server_secret : NULL;
	const char *secret = strrchr(line, ' ');

	if (to && secret)
		told->secret_len = from_hex(to, sizeof(told->client_secret), secret + 1);
}

static int init_ticket(const struct ticket_key_shm *key, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac, sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, seal) == 1 && EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* 1: done; 0: no such key, so the handshake is a whole one; 2: and the client is to be given a new ticket; -1: it fails. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	const struct tls_server *server = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct ticket_key_shm key;
	bool old = false;
	int r;

	if (seal ? !tickets_current(server->tickets, &key) : !tickets_find(server->tickets, name, &key, &old))
		return 0;
	if (seal) {
		memcpy(name, key.name, sizeof(key.name));
		r = RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 ? 1 : -1;
	} else {
		/* (In 1.3 a ticket is for one time, so that nobody can tell who comes again by seeing it twice: RFC 8446, C.4.) */
		r = old || SSL_version(ssl) == TLS1_3_VERSION ? 2 : 1;
	}
	if (r > 0 && !init_ticket(&key, iv, cipher, mac, seal))
		r = -1;
	explicit_bzero(&key, sizeof(key));
	return r;
}

/* A ticket says when its client's whole handshake was, also if it is one of a row, each of which came of resuming with the one before: so that a row ends, too. */
static int on_ticket_made(SSL *ssl, void *unused)
{
	SSL_SESSION *session = SSL_get_session(ssl);
	uint64_t now = (uint64_t)time(NULL);
	void *since;
	size_t len;

	(void)unused;
	if (SSL_SESSION_get0_ticket_appdata(session, &since, &len) == 1 && len == sizeof(now))
		return 1;
	return SSL_SESSION_set1_ticket_appdata(session, &now, sizeof(now));
}

/* Whether the client could still have a whole handshake with what it has shown. */
static bool is_still_good(const struct tls_server *server, SSL_SESSION *session)
{
	X509 *peer = SSL_SESSION_get0_peer(session);
	uint64_t since;
	void *data;
	size_t len;

	if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) != 1 || len != sizeof(since))
		return false;
	memcpy(&since, data, sizeof(since));
	return (uint64_t)time(NULL) - since <= server->lifetime && (!peer || X509_cmp_current_time(X509_get0_notAfter(peer)) > 0);
}

static SSL_TICKET_RETURN on_ticket_shown(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_len, SSL_TICKET_STATUS status, void *unused)
{
	const struct tls_server *server = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	(void)name, (void)name_len, (void)unused;
	if ((status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) || !is_still_good(server, session))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

/* ---- a context for each certificate ---- */

static bool use(SSL_CTX *ctx, const struct tls_certificate *c)
{
	return SSL_CTX_use_cert_and_key(ctx, c->leaf, c->key, c->chain, 1) == 1;
}

/* Who may resume: those whose ticket is of a server that asked for the same authorities' certificates, and as firmly: who may be without one has a ticket that says nothing of it. */
static bool set_session_id(SSL_CTX *ctx, const struct secret *ca, int mode)
{
	uint8_t id[SHA256_DIGEST_LENGTH];

	SHA256(ca ? ca->bytes : (const uint8_t *)"", ca ? ca->len : 0, id);
	id[0] = (uint8_t)mode;
	return SSL_CTX_set_session_id_context(ctx, id, sizeof(id)) == 1;
}

/* Clients' certificates. */
static bool set_clients(SSL_CTX *ctx, const struct secrets *secrets, char *why)
{
	struct tls_authorities *a;
	struct secret file;
	size_t at = 0;
	int mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;

	if (!secrets_next(secrets, SECRET_TLS_CLIENT_CA, &at, &file)) {
		at = 0;
		mode = SSL_VERIFY_PEER;
		if (!secrets_next(secrets, SECRET_TLS_CLIENT_CA_OPTIONAL, &at, &file))
			return set_session_id(ctx, NULL, SSL_VERIFY_NONE);
	}
	a = tls_authorities_read(&file, why);
	if (!a)
		return false;
	SSL_CTX_set1_cert_store(ctx, a->store);
	SSL_CTX_set_client_CA_list(ctx, a->names);
	a->names = NULL;
	tls_authorities_free(a);
	SSL_CTX_set_verify(ctx, mode, NULL);
	return set_session_id(ctx, &file, mode);
}

static bool set_tickets(SSL_CTX *ctx, const struct tls_server *server)
{
	if (!server->tickets || !server->lifetime) {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		return SSL_CTX_set_num_tickets(ctx, 0) == 1;
	}
	SSL_CTX_set_timeout(ctx, (long)server->lifetime);
	/* One is enough: who comes again is given another one. */
	return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1 && SSL_CTX_set_session_ticket_cb(ctx, on_ticket_made, on_ticket_shown, NULL) == 1 &&
	       SSL_CTX_set_num_tickets(ctx, 1) == 1;
}

static SSL_CTX *make_context(struct tls_server *server, const struct settings *settings, const struct secrets *secrets, char *why)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx)
		return NULL;
	SSL_CTX_set_app_data(ctx, server);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
				 SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(ctx, 0);
	SSL_CTX_set_max_early_data(ctx, 0);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	SSL_CTX_set_tlsext_servername_arg(ctx, server);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	SSL_CTX_set_keylog_callback(ctx, on_secret);
	if (SSL_CTX_set_min_proto_version(ctx, settings->tls_min_version == TLS_LEAST_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
	    SSL_CTX_set_cipher_list(ctx, SUITES_1_2) == 1 && SSL_CTX_set_ciphersuites(ctx, SUITES_1_3) == 1 && set_tickets(ctx, server) &&
	    set_clients(ctx, secrets, why))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

/* A client that can't use one certificate may use the one for the same names with another kind of key. */
static bool fill_context(const struct tls_server *server, unsigned i)
{
	const struct tls_certificate *c = server->each[i].certificate;

	if (!use(server->each[i].context, c))
		return false;
	for (unsigned j = 0; j < server->count; j++)
		if (j != i && tls_certificate_is_other_kind(c, server->each[j].certificate) && !use(server->each[i].context, server->each[j].certificate))
			return false;
	return true;
}

static struct tls_server *fail(struct tls_server *server, char *why)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	if (!*why)
		snprintf(why, TLS_WHY_MAX, "%s", reason ? reason : "no memory");
	ERR_clear_error();
	tls_server_destroy(server);
	return NULL;
}

struct tls_server *tls_server_create(const struct settings *settings, const struct secrets *secrets, const struct tickets_shm *tickets, char *why)
{
	struct secret certificate, key;
	struct tls_server *server;
	size_t at = 0, key_at = 0;
	unsigned count = 0;

	*why = '\0';
	while (secrets_next(secrets, SECRET_TLS_CERTIFICATE, &at, &certificate))
		count++;
	if (count == 0) {
		snprintf(why, TLS_WHY_MAX, "there is no certificate");
		return NULL;
	}
	server = calloc(1, sizeof(*server) + count * sizeof(server->each[0]));
	if (!server)
		return fail(NULL, why);
	server->tickets = tickets;
	server->lifetime = (uint64_t)settings->tls_ticket_lifetime / 1000;
	for (at = 0; secrets_next(secrets, SECRET_TLS_CERTIFICATE, &at, &certificate) && secrets_next(secrets, SECRET_TLS_KEY, &key_at, &key); server->count++) {
		server->each[server->count].certificate = tls_certificate_read(&certificate, &key, why);
		server->each[server->count].context = make_context(server, settings, secrets, why);
		if (!server->each[server->count].certificate || !server->each[server->count].context) {
			server->count++;
			return fail(server, why);
		}
	}
	for (unsigned i = 0; i < server->count; i++)
		if (!fill_context(server, i))
			return fail(server, why);
	return server;
}

void tls_server_destroy(struct tls_server *server)
{
	if (!server)
		return;
	for (unsigned i = 0; i < server->count; i++) {
		SSL_CTX_free(server->each[i].context);
		tls_certificate_free(server->each[i].certificate);
	}
	free(server);
}

SSL *tls_server_accept(const struct tls_server *server, struct tls_told *told)
{
	SSL *ssl = SSL_new(server->each[0].context);

	if (!ssl)
		return NULL;
	SSL_set_app_data(ssl, told);
	SSL_set_accept_state(ssl);
	return ssl;
}
