/*
 * TLS handshakes with a client of libssl over a socket, and what has become of them: keys and numbers with which our records go on, a name that was asked for, a
 * ticket, a client's certificate; and all that can go wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/certificate_fixture.h"
#include "worker/io/tls_handshake.h"

static struct made authority, ours, other, with_rsa;
static struct settings settings;
static int tickets_fd;
static struct tickets_shm *tickets;
static struct tls_crypto *crypto;

static int setup(void **state)
{
	(void)state;
	settings_defaults(&settings);
	authority = make_certificate("who signs", NULL, false, NULL, -HOUR, HOUR);
	ours = make_certificate("localhost", "DNS:localhost,DNS:a.example.org", false, &authority, -HOUR, HOUR);
	other = make_certificate("wild", "DNS:*.example.org", false, &authority, -HOUR, HOUR);
	with_rsa = make_certificate("localhost", "DNS:localhost,DNS:a.example.org", true, &authority, -HOUR, HOUR);
	tickets_fd = tickets_create();
	tickets = tickets_map(tickets_fd, true);
	crypto = tls_crypto_create();
	return tickets && crypto ? tickets_renew(tickets, 1, 60) : -1;
}

static int teardown(void **state)
{
	(void)state;
	made_free(&authority);
	made_free(&ours);
	made_free(&other);
	made_free(&with_rsa);
	tickets_unmap(tickets);
	close(tickets_fd);
	tls_crypto_destroy(crypto);
	return 0;
}

/* ---- a client and a handshake ---- */

struct pair {
	struct tls_server *server;
	struct tls_handshake *h;
	SSL_CTX *ctx;
	SSL *client;
	int fd, peer;			/* the server's end, the client's */
	enum tls_step step;
	struct tls_outcome outcome;
};

static struct tls_server *server_of(const struct made *a, const struct made *b)
{
	char why[TLS_WHY_MAX];
	int fd = secrets_begin();
	struct tls_server *server;

	add_pair(fd, a);
	if (b)
		add_pair(fd, b);
	server = made_server(fd, &settings, tickets, why);
	if (!server)
		fail_msg("%s", why);
	return server;
}

static struct pair begin(struct tls_server *server, bool http)
{
	struct pair p = { .server = server };
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	p.fd = ends[0];
	p.peer = ends[1];
	p.h = tls_handshake_create(server, http);
	assert_non_null(p.h);
	p.ctx = SSL_CTX_new(TLS_client_method());
	X509_STORE_add_cert(SSL_CTX_get_cert_store(p.ctx), authority.certificate);
	SSL_CTX_set_verify(p.ctx, SSL_VERIFY_PEER, NULL);
	p.client = SSL_new(p.ctx);
	SSL_set_fd(p.client, p.peer);
	SSL_set_connect_state(p.client);
	return p;
}

static void end(struct pair *p)
{
	SSL_free(p->client);
	SSL_CTX_free(p->ctx);
	tls_handshake_destroy(p->h);
	close(p->fd);
	close(p->peer);
	explicit_bzero(&p->outcome, sizeof(p->outcome));
	ERR_clear_error();
}

/* Until both can do no more. */
static enum tls_step shake(struct pair *p)
{
	for (int turn = 0; turn < 20; turn++) {
		SSL_do_handshake(p->client);
		p->step = tls_handshake_run(p->h, p->fd);
		if (p->step != TLS_GOES_ON)
			break;
	}
	return p->step;
}

static void assert_done(struct pair *p)
{
	if (shake(p) != TLS_DONE)
		fail_msg("%d: %s", p->step, tls_handshake_error(p->h));
	if (!tls_handshake_outcome(p->h, &p->outcome))
		fail_msg("%s", tls_handshake_error(p->h));
	assert_false(tls_handshake_sends(p->h));
}

/* Our records go on where libssl's have ended, in both directions. */
static void talk(struct pair *p)
{
	struct tls_entry_shm *e = &p->outcome.entry;
	uint8_t record[TLS_RECORD_MAX], text[TLS_RECORD_MAX], type;
	ssize_t n;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(SSL_write(p->client, "from the client", 15), 15);
		n = recv(p->fd, record, sizeof(record), 0);
		assert_int_equal(tls_record_length(e->kind, record, (size_t)n), n);
		assert_int_equal(tls_open(crypto, e->kind, &e->in, e->flow.in_seq++, record, (size_t)n, text, &type), 15);
		assert_int_equal(type, TLS_APPLICATION_DATA);
		assert_memory_equal(text, "from the client", 15);
		n = (ssize_t)tls_seal(crypto, e->kind, &e->out, e->flow.out_seq++, TLS_APPLICATION_DATA, "from the server", 15, record);
		assert_int_equal(send(p->fd, record, (size_t)n, 0), n);
		assert_int_equal(SSL_read(p->client, text, sizeof(text)), 15);
		assert_memory_equal(text, "from the server", 15);
	}
}

/* ---- versions, suites, keys ---- */

static void each_suite(void **state)
{
	static const struct {
		const char *name;
		bool rsa;
		struct tls_kind kind;
	} cases[] = {
		{ "TLS_AES_128_GCM_SHA256", false, { TLS_1_3, TLS_AES_128_GCM } },
		{ "TLS_AES_256_GCM_SHA384", true, { TLS_1_3, TLS_AES_256_GCM } },
		{ "TLS_CHACHA20_POLY1305_SHA256", false, { TLS_1_3, TLS_CHACHA20_POLY1305 } },
		{ "ECDHE-ECDSA-AES128-GCM-SHA256", false, { TLS_1_2, TLS_AES_128_GCM } },
		{ "ECDHE-ECDSA-AES256-GCM-SHA384", false, { TLS_1_2, TLS_AES_256_GCM } },
		{ "ECDHE-ECDSA-CHACHA20-POLY1305", false, { TLS_1_2, TLS_CHACHA20_POLY1305 } },
		{ "ECDHE-RSA-AES128-GCM-SHA256", true, { TLS_1_2, TLS_AES_128_GCM } },
		{ "ECDHE-RSA-AES256-GCM-SHA384", true, { TLS_1_2, TLS_AES_256_GCM } },
		{ "ECDHE-RSA-CHACHA20-POLY1305", true, { TLS_1_2, TLS_CHACHA20_POLY1305 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tls_server *server = server_of(cases[i].rsa ? &with_rsa : &ours, NULL);
		SSL_SESSION *session = NULL;

		/* a whole handshake, and a shorter one */
		for (int resumed = 0; resumed < 2; resumed++) {
			struct pair p = begin(server, true);
			bool old = cases[i].kind.version == TLS_1_2;

			SSL_set_max_proto_version(p.client, old ? TLS1_2_VERSION : TLS1_3_VERSION);
			assert_int_equal(old ? SSL_set_cipher_list(p.client, cases[i].name) : SSL_set_ciphersuites(p.client, cases[i].name), 1);
			if (session)
				SSL_set_session(p.client, session);
			assert_done(&p);
			assert_int_equal(p.outcome.entry.kind.version, cases[i].kind.version);
			assert_int_equal(p.outcome.entry.kind.suite, cases[i].kind.suite);
			assert_int_equal(p.outcome.entry.flow.out_seq, 1);	/* one ticket, or Finished */
			assert_int_equal(p.outcome.entry.flow.in_seq, old);
			if (p.outcome.resumed != resumed)
				fail_msg("%s: resumed %d, not %d", cases[i].name, p.outcome.resumed, resumed);
			assert_string_equal(p.outcome.client, "");
			SSL_do_handshake(p.client);
			assert_int_equal(SSL_session_reused(p.client), resumed);
			talk(&p);
			SSL_SESSION_free(session);
			session = SSL_get1_session(p.client);
			SSL_shutdown(p.client);		/* (else the session is taken for one that went wrong) */
			end(&p);
		}
		SSL_SESSION_free(session);
		tls_server_destroy(server);
	}
}

/* What is sent right behind the client's Finished, with it, is still in the socket. */
static void behind_finished(void **state)
{
	struct tls_server *server = server_of(&ours, NULL);

	(void)state;
	for (int old = 0; old < 2; old++) {
		struct pair p = begin(server, true);
		uint8_t bytes[8192], text[TLS_RECORD_MAX], type;
		BIO *out = BIO_new(BIO_s_mem());
		struct tls_entry_shm *e = &p.outcome.entry;
		size_t at = 0, len;
		char *p_bytes;
		ssize_t n;

		SSL_set_max_proto_version(p.client, old ? TLS1_2_VERSION : TLS1_3_VERSION);
		SSL_set0_wbio(p.client, out);
		for (int turn = 0; turn < 4 && p.step == TLS_GOES_ON; turn++) {
			bool done = SSL_do_handshake(p.client) == 1;

			/* (In 1.2 the server's Finished comes last: the client can't send before it has that.) */
			if (done)
				for (int i = 0; i < 3; i++)
					assert_int_equal(SSL_write(p.client, "pipelined", 9), 9);
			len = (size_t)BIO_get_mem_data(out, &p_bytes);
			assert_int_equal(send(p.peer, p_bytes, len, 0), len);
			BIO_reset(out);
			p.step = tls_handshake_run(p.h, p.fd);
		}
		assert_int_equal(p.step, TLS_DONE);
		assert_true(tls_handshake_outcome(p.h, &p.outcome));
		if (old) {
			assert_int_equal(SSL_do_handshake(p.client), 1);
			for (int i = 0; i < 3; i++)
				assert_int_equal(SSL_write(p.client, "pipelined", 9), 9);
			len = (size_t)BIO_get_mem_data(out, &p_bytes);
			assert_int_equal(send(p.peer, p_bytes, len, 0), len);
		}
		n = recv(p.fd, bytes, sizeof(bytes), 0);
		for (int i = 0; i < 3; i++) {
			len = (size_t)tls_record_length(e->kind, bytes + at, (size_t)n - at);
			assert_int_equal(tls_open(crypto, e->kind, &e->in, e->flow.in_seq++, bytes + at, len, text, &type), 9);
			assert_memory_equal(text, "pipelined", 9);
			at += len;
		}
		assert_int_equal(at, n);
		end(&p);
	}
	tls_server_destroy(server);
}

/* Bytes one at a time, a socket that takes little: it comes to the same, and wire_in and wire_out say what went over it. */
static void in_pieces(void **state)
{
	struct tls_server *server = server_of(&with_rsa, NULL);
	struct pair p = begin(server, true);
	uint8_t bytes[65536];
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	uint64_t to_server = 0, to_client = 0;
	size_t len;

	(void)state;
	BIO_set_mem_eof_return(in, -1);
	SSL_set_bio(p.client, in, out);
	for (int turn = 0; turn < 4 && p.step == TLS_GOES_ON; turn++) {
		int n;

		SSL_do_handshake(p.client);
		n = BIO_read(out, bytes, sizeof(bytes));
		for (int i = 0; i < n; i++) {
			assert_int_equal(send(p.peer, bytes + i, 1, 0), 1);
			p.step = tls_handshake_run(p.h, p.fd);
		}
		to_server += n > 0 ? (uint64_t)n : 0;
		while ((n = (int)recv(p.peer, bytes, sizeof(bytes), 0)) > 0) {
			BIO_write(in, bytes, n);
			to_client += (uint64_t)n;
		}
	}
	assert_int_equal(p.step, TLS_DONE);
	assert_true(tls_handshake_outcome(p.h, &p.outcome));
	assert_int_equal(p.outcome.entry.flow.wire_in, to_server);
	assert_int_equal(p.outcome.entry.flow.wire_out, to_client);
	end(&p);

	/* the client reads nothing, and the socket is full: the output waits, for whoever sends it */
	p = begin(server, true);
	SSL_do_handshake(p.client);
	while (send(p.fd, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(tls_handshake_run(p.h, p.fd), TLS_GOES_ON);
	assert_true(tls_handshake_sends(p.h));
	tls_handshake_output(p.h, &len);
	assert_in_range(len, 1000, 8000);
	tls_handshake_sent(p.h, 100);
	tls_handshake_output(p.h, &to_client);
	assert_int_equal(to_client, len - 100);
	end(&p);
	tls_server_destroy(server);
}

/* In 1.2 with AES-GCM the explicit nonce of our first record is one more than Finished's: none is used twice. */
static void nonces_go_on(void **state)
{
	struct tls_server *server = server_of(&ours, NULL);
	struct pair p = begin(server, true);
	struct tls_entry_shm *e = &p.outcome.entry;
	uint8_t bytes[16384], record[64];
	const uint8_t *nonce = NULL;
	BIO *in = BIO_new(BIO_s_mem());
	size_t len = 0, size;
	ssize_t n;

	(void)state;
	BIO_set_mem_eof_return(in, -1);
	SSL_set0_rbio(p.client, in);
	SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
	SSL_set_cipher_list(p.client, "ECDHE-ECDSA-AES128-GCM-SHA256");
	for (int turn = 0; turn < 4; turn++) {
		SSL_do_handshake(p.client);
		p.step = tls_handshake_run(p.h, p.fd);
		while ((n = recv(p.peer, bytes + len, sizeof(bytes) - len, 0)) > 0) {
			BIO_write(in, bytes + len, (int)n);
			len += (size_t)n;
		}
	}
	assert_int_equal(p.step, TLS_DONE);
	assert_true(tls_handshake_outcome(p.h, &p.outcome));
	for (size_t at = 0; at < len; at += size) {
		size = TLS_HEAD + ((size_t)bytes[at + 3] << 8 | bytes[at + 4]);
		if (bytes[at] == TLS_CHANGE_CIPHER_SPEC)
			nonce = bytes + at + size + TLS_HEAD;
	}
	assert_non_null(nonce);
	for (uint64_t before = 0, now, i = 0; i < 3; i++) {
		memcpy(&before, i ? record + TLS_HEAD : nonce, 8);
		assert_true(tls_seal(crypto, e->kind, &e->out, e->flow.out_seq++, TLS_APPLICATION_DATA, "x", 1, record) > 0);
		memcpy(&now, record + TLS_HEAD, 8);
		assert_int_equal(be64toh(now), be64toh(before) + 1);
	}
	end(&p);
	tls_server_destroy(server);
}

/* ---- tickets ---- */

static bool resumes(struct tls_server *server, SSL_SESSION **session)
{
	struct pair p = begin(server, true);
	bool resumed;

	if (*session)
		SSL_set_session(p.client, *session);
	assert_done(&p);
	SSL_do_handshake(p.client);
	talk(&p);
	resumed = p.outcome.resumed;
	SSL_SESSION_free(*session);
	*session = SSL_get1_session(p.client);
	SSL_shutdown(p.client);
	end(&p);
	return resumed;
}

/* With any server that has the keys, as long as there is one that opens the ticket. */
static void tickets_are_shared(void **state)
{
	struct tls_server *one = server_of(&ours, NULL), *two = server_of(&ours, &other), *none;
	SSL_SESSION *session = NULL, *kept;
	uint64_t since = tickets->since;

	(void)state;
	assert_false(resumes(one, &session));
	assert_true(resumes(two, &session));
	assert_int_equal(tickets_renew(tickets, since += 60, 60), 0);
	assert_true(resumes(one, &session));
	kept = SSL_SESSION_dup(session);
	assert_int_equal(tickets_renew(tickets, since += 60, 60), 0);
	assert_true(resumes(one, &session));
	assert_int_equal(tickets_renew(tickets, since += 60, 60), 0);
	assert_false(resumes(two, &kept));
	SSL_SESSION_free(session);
	SSL_SESSION_free(kept);

	session = NULL;
	settings.tls_ticket_lifetime = 0;
	none = server_of(&ours, NULL);
	settings_defaults(&settings);
	for (int old = 0; old < 2; old++) {
		struct pair p = begin(none, true);

		SSL_set_max_proto_version(p.client, old ? TLS1_2_VERSION : TLS1_3_VERSION);
		assert_done(&p);
		assert_int_equal(p.outcome.entry.flow.out_seq, old);	/* no ticket */
		SSL_do_handshake(p.client);
		talk(&p);
		end(&p);
	}
	tls_server_destroy(one);
	tls_server_destroy(two);
	tls_server_destroy(none);
}

/* ---- names ---- */

static void assert_certificate(struct tls_server *server, const char *name, const char *suites, const struct made *expected)
{
	struct pair p = begin(server, false);
	X509 *got;

	if (name)
		SSL_set_tlsext_host_name(p.client, name);
	SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
	if (suites)
		SSL_set_cipher_list(p.client, suites);
	assert_done(&p);
	got = SSL_get1_peer_certificate(p.client);
	assert_int_equal(X509_cmp(got, expected->certificate), 0);
	X509_free(got);
	end(&p);
}

static void names(void **state)
{
	struct tls_server *server = server_of(&other, &ours);

	(void)state;
	assert_certificate(server, NULL, NULL, &other);
	assert_certificate(server, "b.example.org", NULL, &other);
	assert_certificate(server, "a.example.org", NULL, &ours);	/* by the name itself, though it stands behind */
	assert_certificate(server, "LOCALHOST", NULL, &ours);
	assert_certificate(server, "b.c.example.org", NULL, &other);	/* nobody's: the first one's */
	assert_certificate(server, "nowhere.invalid", NULL, &other);
	tls_server_destroy(server);
	server = server_of(&ours, &other);
	assert_certificate(server, "b.example.org", NULL, &other);
	assert_certificate(server, "a.example.org", NULL, &ours);
	tls_server_destroy(server);
	/* two of other kinds for the same names */
	server = server_of(&ours, &with_rsa);
	assert_certificate(server, "a.example.org", "ECDHE-RSA-AES128-GCM-SHA256", &with_rsa);
	assert_certificate(server, "a.example.org", "ECDHE-ECDSA-AES128-GCM-SHA256", &ours);
	assert_certificate(server, NULL, "ECDHE-RSA-AES128-GCM-SHA256", &with_rsa);
	tls_server_destroy(server);
}

static void protocols(void **state)
{
	static const struct {
		const char *offered;
		bool http;
		enum tls_step step;
		bool chosen;
	} cases[] = {
		{ "\x02h2\x08http/1.1", true, TLS_DONE, true },
		{ "\x02h2", true, TLS_UNSUPPORTED, false },
		{ "\x02h2", false, TLS_DONE, false },
	};
	struct tls_server *server = server_of(&ours, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair p = begin(server, cases[i].http);
		const unsigned char *chosen;
		unsigned len;

		SSL_set_alpn_protos(p.client, (const unsigned char *)cases[i].offered, (unsigned)strlen(cases[i].offered));
		assert_int_equal(shake(&p), cases[i].step);
		SSL_do_handshake(p.client);
		SSL_get0_alpn_selected(p.client, &chosen, &len);
		assert_int_equal(len, cases[i].chosen ? 8 : 0);
		end(&p);
	}
	tls_server_destroy(server);
}

/* ---- clients' certificates ---- */

static struct tls_server *server_that_asks(const char *kind, const struct made *ca)
{
	char why[TLS_WHY_MAX];
	int fd = secrets_begin();

	add_pair(fd, &ours);
	add_made(fd, kind, "ca.pem", ca->certificate, NULL);
	return made_server(fd, &settings, tickets, why);
}

static enum tls_step shake_as(struct tls_server *server, const struct made *client, const char *name, SSL_SESSION **session)
{
	struct pair p = begin(server, true);
	enum tls_step step;

	if (client) {
		SSL_use_certificate(p.client, client->certificate);
		SSL_use_PrivateKey(p.client, client->key);
	}
	if (session && *session)
		SSL_set_session(p.client, *session);
	step = shake(&p);
	if (step == TLS_DONE) {
		assert_true(tls_handshake_outcome(p.h, &p.outcome));
		assert_string_equal(p.outcome.client, name);
		SSL_do_handshake(p.client);
		talk(&p);
		assert_int_equal(p.outcome.resumed, session && *session);
		if (session) {
			SSL_SESSION_free(*session);
			*session = SSL_get1_session(p.client);
			SSL_shutdown(p.client);
		}
	}
	end(&p);
	return step;
}

static void clients(void **state)
{
	struct made bob = make_certificate("bob", "DNS:bob.example", false, &authority, -HOUR, HOUR);
	struct made nameless = make_certificate(NULL, "email:eve@example.org,DNS:eve.example", true, &authority, -HOUR, HOUR);
	struct made late = make_certificate("late", "DNS:late.example", false, &authority, -2 * HOUR, -HOUR);
	struct made stranger = make_certificate("stranger", "DNS:x", false, NULL, -HOUR, HOUR);
	struct tls_server *must = server_that_asks(SECRET_TLS_CLIENT_CA, &authority), *may = server_that_asks(SECRET_TLS_CLIENT_CA_OPTIONAL, &authority);
	struct tls_server *asks_nobody = server_of(&ours, NULL), *asks_others = server_that_asks(SECRET_TLS_CLIENT_CA, &stranger);
	SSL_SESSION *session = NULL;

	(void)state;
	assert_int_equal(shake_as(must, &bob, "bob", NULL), TLS_DONE);
	assert_int_equal(shake_as(must, &nameless, "eve@example.org", NULL), TLS_DONE);
	assert_int_equal(shake_as(must, NULL, "", NULL), TLS_BAD_CERTIFICATE);
	assert_int_equal(shake_as(may, NULL, "", NULL), TLS_DONE);
	assert_int_equal(shake_as(may, &bob, "bob", NULL), TLS_DONE);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(shake_as(i ? may : must, &late, "", NULL), TLS_BAD_CERTIFICATE);
		assert_int_equal(shake_as(i ? may : must, &stranger, "", NULL), TLS_BAD_CERTIFICATE);
	}
	/* who resumes is who he was; and nobody comes in by a ticket of a server that did not ask, asked for others', or took him without */
	assert_int_equal(shake_as(must, &bob, "bob", &session), TLS_DONE);
	assert_int_equal(shake_as(must, NULL, "bob", &session), TLS_DONE);
	assert_int_equal(shake_as(asks_others, NULL, "", &session), TLS_BAD_CERTIFICATE);
	for (int i = 0; i < 2; i++) {
		SSL_SESSION_free(session);
		session = NULL;
		assert_int_equal(shake_as(i ? may : asks_nobody, NULL, "", &session), TLS_DONE);
		assert_int_equal(shake_as(must, NULL, "", &session), TLS_BAD_CERTIFICATE);
	}
	SSL_SESSION_free(session);
	tls_server_destroy(asks_others);
	tls_server_destroy(must);
	tls_server_destroy(may);
	tls_server_destroy(asks_nobody);
	made_free(&bob);
	made_free(&nameless);
	made_free(&late);
	made_free(&stranger);
}

/* ---- what goes wrong ---- */

static enum tls_step after(struct tls_server *server, const void *bytes, size_t len, bool closes)
{
	struct pair p = begin(server, true);
	enum tls_step step = TLS_GOES_ON;

	assert_int_equal(send(p.peer, bytes, len, 0), len);
	if (closes)
		shutdown(p.peer, SHUT_WR);
	for (int i = 0; i < 100 && step == TLS_GOES_ON; i++)
		step = tls_handshake_run(p.h, p.fd);
	end(&p);
	return step;
}

static void nonsense(void **state)
{
	struct tls_server *server = server_of(&ours, NULL);
	static char empty[5 * 100], late[9] = "\x17\x03\x03\0\x04oops";

	(void)state;
	assert_int_equal(after(server, "GET / HTTP/1.1\r\n\r\n", 18, false), TLS_NOT_TLS);
	assert_int_equal(after(server, "\x16\x02\x01\0\1x", 6, false), TLS_NOT_TLS);
	assert_int_equal(after(server, "\x16\x03\x01\xff\xffx", 6, false), TLS_BAD);
	assert_int_equal(after(server, "\x16\x03\x01\0\1x", 6, false), TLS_GOES_ON);
	assert_int_equal(after(server, "\x16\x03\x01\0\1x", 6, true), TLS_CLOSED);
	assert_int_equal(after(server, "\x16\x03\x01\0\4\x02\0\0\0", 9, false), TLS_BAD);
	assert_int_equal(after(server, "\x16\x03\x01", 3, true), TLS_CLOSED);
	assert_int_equal(after(server, "", 0, true), TLS_CLOSED);
	assert_int_equal(after(server, "\x16\x03\x01\0\4\x01\xff\xff\xff", 9, false), TLS_BAD);	/* a ClientHello of 16 MB */
	assert_int_not_equal(after(server, late, sizeof(late), false), TLS_GOES_ON);
	for (size_t i = 0; i < sizeof(empty); i += 5)
		memcpy(empty + i, "\x16\x03\x01\0\0", 5);
	assert_int_not_equal(after(server, empty, sizeof(empty), false), TLS_GOES_ON);		/* records of nothing, without end */
	tls_server_destroy(server);
}

static void refused(void **state)
{
	struct tls_server *server = server_of(&ours, NULL), *strict;
	struct pair p = begin(server, true);
	uint8_t answer[64];

	(void)state;
	/* it has no suite of ours: it is told so */
	SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
	SSL_set_cipher_list(p.client, "ECDHE-RSA-AES128-SHA:AES128-GCM-SHA256");
	assert_int_equal(shake(&p), TLS_UNSUPPORTED);
	assert_int_equal(recv(p.peer, answer, sizeof(answer), 0), 7);
	assert_int_equal(answer[0], TLS_ALERT);
	end(&p);
	/* the client does not trust our certificate */
	p = begin(server, true);
	SSL_CTX_set_cert_store(p.ctx, X509_STORE_new());
	assert_int_equal(shake(&p), TLS_ALERT_CAME);
	end(&p);
	/* it asks for records of 512 bytes */
	p = begin(server, true);
	SSL_set_tlsext_max_fragment_length(p.client, TLSEXT_max_fragment_length_512);
	assert_int_equal(shake(&p), TLS_DONE);
	assert_false(tls_handshake_outcome(p.h, &p.outcome));
	end(&p);
	settings.tls_min_version = TLS_LEAST_1_3;
	strict = server_of(&ours, NULL);
	settings_defaults(&settings);
	p = begin(strict, true);
	SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
	assert_int_equal(shake(&p), TLS_UNSUPPORTED);
	end(&p);
	p = begin(strict, true);
	assert_done(&p);
	end(&p);
	tls_server_destroy(strict);
	tls_server_destroy(server);
}

/* Last words within TLS. */
static void said(void **state)
{
	struct tls_server *server = server_of(&ours, NULL);
	struct pair p = begin(server, true);
	char text[64];

	(void)state;
	assert_int_equal(shake(&p), TLS_DONE);
	tls_handshake_say(p.h, "there is no room", 16);
	tls_handshake_run(p.h, p.fd);
	assert_int_equal(SSL_read(p.client, text, sizeof(text)), 16);
	assert_memory_equal(text, "there is no room", 16);
	assert_int_equal(SSL_read(p.client, text, sizeof(text)), 0);
	assert_int_equal(SSL_get_error(p.client, 0), SSL_ERROR_ZERO_RETURN);
	end(&p);
	tls_server_destroy(server);
}

/* ---- files ---- */

static void files(void **state)
{
	struct made late = make_certificate("late", "DNS:late.example", false, NULL, -2 * HOUR, -HOUR);
	char why[TLS_WHY_MAX];
	struct secret certificate, key;
	struct secrets secrets;
	struct tls_certificate *c;
	size_t at, key_at;
	static const struct {
		const char *certificate, *key, *why;
	} bad[] = {
		{ "", "", "c.pem: there is no certificate in it (PEM, -----BEGIN CERTIFICATE-----)" },
		{ "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "", "c.pem: a certificate in it can't be read: " },
		{ NULL, "", "k.pem: there is no key in it that can be read (PEM, -----BEGIN PRIVATE KEY-----)" },
		{ NULL, NULL, "k.pem: it is not the key of the certificate in c.pem" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = secrets_begin();

		if (bad[i].certificate)
			secrets_add(fd, SECRET_TLS_CERTIFICATE, "c.pem", bad[i].certificate, strlen(bad[i].certificate));
		else
			add_made(fd, SECRET_TLS_CERTIFICATE, "c.pem", ours.certificate, NULL);
		if (bad[i].key)
			secrets_add(fd, SECRET_TLS_KEY, "k.pem", bad[i].key, strlen(bad[i].key));
		else
			add_made(fd, SECRET_TLS_KEY, "k.pem", NULL, authority.key);
		assert_int_equal(secrets_map(&secrets, fd), 0);
		at = key_at = 0;
		assert_true(secrets_next(&secrets, SECRET_TLS_CERTIFICATE, &at, &certificate) && secrets_next(&secrets, SECRET_TLS_KEY, &key_at, &key));
		assert_null(tls_certificate_read(&certificate, &key, why));
		assert_memory_equal(why, bad[i].why, strlen(bad[i].why));
		assert_null(tls_server_create(&settings, &secrets, tickets, why));
		assert_memory_equal(why, bad[i].why, strlen(bad[i].why));
		secrets_unmap(&secrets);
		close(fd);
	}
	c = &(struct tls_certificate){ .leaf = late.certificate, .from = "c.pem" };
	assert_int_equal(tls_certificate_dates(c, time(NULL), why), -1);
	assert_memory_equal(why, "c.pem: the certificate has expired on ", 38);
	assert_int_equal(tls_certificate_dates(c, time(NULL) - 90 * 60, why), 0);
	assert_int_equal(tls_certificate_dates(c, time(NULL) - 3 * HOUR, why), -1);
	assert_memory_equal(why, "c.pem: the certificate is not good before ", 42);
	made_free(&late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_suite), cmocka_unit_test(behind_finished), cmocka_unit_test(in_pieces), cmocka_unit_test(nonces_go_on), cmocka_unit_test(tickets_are_shared),
		cmocka_unit_test(names), cmocka_unit_test(protocols), cmocka_unit_test(clients), cmocka_unit_test(nonsense), cmocka_unit_test(refused),
		cmocka_unit_test(said), cmocka_unit_test(files),
	};

	return cmocka_run_group_tests_name("tls_handshake", tests, setup, teardown);
}
