/*
 * janusbench's TLS (tests/bench/tlsc.c) with libssl as the server at the other end of a pair of sockets: what comes in however many records and parts is what
 * was sent; an end is told from a fault; addresses say what is within TLS.
 */
#include "tests/bench/tlsc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/transport.h"

#define MUCH 300000u		/* more than is received at a time */

struct pair {
	SSL *server;
	struct tlsc *client;
	int fd[2];		/* the server's, the client's */
};

static SSL_CTX *context;
static char sent[MUCH], got[MUCH + 1];

static int set_up(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();

	(void)state;
	context = SSL_CTX_new(TLS_server_method());
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	if (!X509_sign(certificate, key, EVP_sha256()) || SSL_CTX_use_certificate(context, certificate) != 1 || SSL_CTX_use_PrivateKey(context, key) != 1)
		return -1;
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE);
	X509_free(certificate);
	EVP_PKEY_free(key);
	for (uint32_t i = 0; i < MUCH; i++)
		sent[i] = (char)(i * 2654435761u >> 24);
	return tlsc_init(NULL);
}

static int tear_down(void **state)
{
	(void)state;
	SSL_CTX_free(context);
	return 0;
}

static void open_pair(struct pair *p)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fd), 0);
	p->server = SSL_new(context);
	SSL_set_fd(p->server, p->fd[0]);
	SSL_set_accept_state(p->server);
	p->client = tlsc_open(p->fd[1]);
	assert_non_null(p->client);
	for (int shaken = EINPROGRESS, accepted = 0; shaken || accepted != 1;) {
		if (shaken)
			shaken = tlsc_shake(p->client);
		assert_true(shaken == 0 || shaken == EINPROGRESS);
		if (accepted != 1)
			accepted = SSL_do_handshake(p->server);
	}
}

static void close_pair(struct pair *p)
{
	tlsc_close(p->client);
	SSL_free(p->server);
	close(p->fd[0]);
	close(p->fd[1]);
}

/* All of sent[], written as it goes and read `part` bytes at a time. */
static void much(struct pair *p, size_t part)
{
	size_t out = 0, in = 0;

	while (in < MUCH) {
		size_t n = MUCH - in < part ? MUCH - in : part;
		ssize_t had;

		if (out < MUCH) {
			int wrote = SSL_write(p->server, sent + out, (int)(MUCH - out));

			out += wrote > 0 ? (size_t)wrote : 0;
		}
		while ((had = tlsc_recv(p->client, got + in, n)) > 0) {
			in += (size_t)had;
			n = MUCH - in < part ? MUCH - in : part;
			if (!n)
				break;
		}
		assert_true(in == MUCH || (had < 0 && errno == EAGAIN));
	}
	assert_memory_equal(got, sent, MUCH);
}

static void test_what_comes(void **state)
{
	static const size_t parts[] = { 1000, 2048, 16384, 100000, MUCH };
	struct pair p;

	(void)state;
	open_pair(&p);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		much(&p, parts[i]);
	assert_true(tlsc_has_ticket(p.client));
	assert_false(tlsc_is_resumed(p.client));
	close_pair(&p);
}

static void test_what_goes(void **state)
{
	struct pair p;
	size_t out = 0, in = 0;

	(void)state;
	open_pair(&p);
	while (in < MUCH) {
		ssize_t n = out < MUCH ? tlsc_send(p.client, sent + out, MUCH - out) : 0;
		int had;

		assert_true(n >= 0 || errno == EAGAIN);
		out += n > 0 ? (size_t)n : 0;
		while ((had = SSL_read(p.server, got + in, (int)(MUCH + 1 - in))) > 0)
			in += (size_t)had;
	}
	assert_int_equal(in, MUCH);
	assert_memory_equal(got, sent, MUCH);
	close_pair(&p);
}

static void test_ends(void **state)
{
	struct pair p;

	(void)state;
	for (int notified = 0; notified < 2; notified++) {
		open_pair(&p);
		assert_int_equal(SSL_write(p.server, "last", 4), 4);
		if (notified)
			SSL_shutdown(p.server);
		shutdown(p.fd[0], SHUT_WR);
		assert_int_equal(tlsc_recv(p.client, got, MUCH), 4);
		assert_int_equal(tlsc_recv(p.client, got, MUCH), 0);
		close_pair(&p);
	}
}

/* A message and one that was changed on its way: nothing is taken for good. */
static void test_damage(void **state)
{
	unsigned char record[200];
	struct pair p;
	ssize_t len;

	(void)state;
	open_pair(&p);
	assert_true(tlsc_recv(p.client, got, MUCH) < 0 && errno == EAGAIN);	/* tickets */
	assert_int_equal(SSL_write(p.server, "message", 7), 7);
	len = recv(p.fd[1], record, sizeof(record), 0);
	assert_true(len > 7);
	record[len - 1] ^= 1;
	assert_int_equal(send(p.fd[0], record, (size_t)len, 0), len);
	assert_int_equal(tlsc_recv(p.client, got, MUCH), -1);
	assert_int_equal(errno, EPROTO);
	close_pair(&p);
}

static void test_resumes(void **state)
{
	struct pair p;

	(void)state;
	open_pair(&p);
	much(&p, MUCH);
	tlsc_resume(p.client);
	close_pair(&p);
	open_pair(&p);
	assert_true(tlsc_is_resumed(p.client));
	close_pair(&p);
}

static void test_addresses(void **state)
{
	static const struct {
		char *address;
		const char *speak;
		int tls;		/* -1: refused */
	} cases[] = {
		{ "http://127.0.0.1:1", "ws", 0 }, { "https://127.0.0.1:1", "ws", 1 }, { "http+tls://127.0.0.1:1", "sse", 1 },
		{ "flash+tls://127.0.0.1:1", "flash", 1 }, { "packet+tls://127.0.0.1:1", "packet", 1 }, { "packet://127.0.0.1:1", "packet", 0 },
		{ "127.0.0.1:1", "ws", 0 }, { "httpss://127.0.0.1:1", "ws", -1 }, { "flashs://127.0.0.1:1", "flash", -1 }, { "+tls://127.0.0.1:1", "flash", -1 },
	};
	char *const both[] = { "http://127.0.0.1:1", "https://127.0.0.1:2" };
	uint32_t nodes;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *const address[] = { cases[i].address };
		struct transport t;

		assert_int_equal(transport_check(address, 1, &nodes), cases[i].tls < 0 ? -1 : 0);
		if (cases[i].tls < 0)
			continue;
		assert_int_equal(transport_init(&t, cases[i].speak, 0, address, 1), 0);
		assert_int_equal(t.tls, cases[i].tls);
		assert_string_equal(t.target, "127.0.0.1:1");
	}
	assert_int_equal(transport_check(both, 2, &nodes), -1);
}

/* The addresses of three nodes, and what is not that. */
static void test_nodes(void **state)
{
	char *const three[] = { "http://127.0.0.1:1", "flash://127.0.0.1:2", "http://127.0.0.1:3", "http://127.0.0.1:5", "flash://127.0.0.1:4", "flash://127.0.0.1:6" };
	char *const plain[] = { "127.0.0.1:1", "127.0.0.1:2" };
	static const char *const targets[] = { "127.0.0.1:2", "127.0.0.1:4", "127.0.0.1:6", "127.0.0.1:1", "127.0.0.1:3", "127.0.0.1:5" };
	struct transport list[TRANSPORTS_MAX], t;
	uint32_t nodes, n;

	(void)state;
	assert_int_equal(transport_check(three, 6, &nodes), 0);
	assert_int_equal(nodes, 3);
	assert_int_equal(transport_list(list, &n, "flash,sse", nodes, three, 6), 0);
	assert_int_equal(n, 6);
	for (uint32_t i = 0; i < n; i++) {
		assert_string_equal(list[i].target, targets[i]);
		assert_int_equal(list[i].node, i % nodes);
	}
	assert_int_equal(transport_check(three, 5, &nodes), -1);
	assert_int_equal(transport_check(plain, 2, &nodes), 0);
	assert_int_equal(nodes, 2);
	assert_int_equal(transport_init(&t, "ws", 1, plain, 2), 0);
	assert_string_equal(t.target, "127.0.0.1:2");
	assert_int_equal(transport_check(plain, 0, &nodes), 0);
	assert_int_equal(nodes, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_comes),
		cmocka_unit_test(test_what_goes),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_resumes),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_nodes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
