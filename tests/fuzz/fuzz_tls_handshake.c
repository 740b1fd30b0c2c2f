/*
 * worker/io/tls_handshake.c: bytes that are no client's, whole and in pieces; and a client of libssl some bytes of whose are wrong, missing or too many. What it
 * sends behind its Finished is not taken, and opens with the keys that the handshake has come to.
 */
#include "worker/io/tls_handshake.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/certificate_fixture.h"

#define INPUT_MOST (256 * 1024)		/* tls_handshake.c's INPUT_MAX */
#define TEXT "right behind"

static struct tls_server *server;
static struct tls_crypto *crypto;

static void init(void)
{
	static struct settings settings;
	char why[TLS_WHY_MAX];
	struct made m = make_certificate("localhost", "DNS:localhost", false, NULL, -HOUR, HOUR);
	int fd = secrets_begin(), tickets_fd = tickets_create();
	struct tickets_shm *tickets = tickets_map(tickets_fd, true);

	settings.tls_ticket_lifetime = 1000000;
	tickets_renew(tickets, 1, 1000);
	add_pair(fd, &m);
	server = made_server(fd, &settings, tickets, why);
	crypto = tls_crypto_create();
	fuzz_check(server && crypto);
	made_free(&m);
}

/* Gives the handshake as many of the bytes as it wants, at most `most` at a time. How many it took. */
static size_t feed(struct tls_handshake *h, const uint8_t *bytes, size_t len, size_t most, enum tls_step *step)
{
	size_t taken = 0;

	while (*step == TLS_GOES_ON && taken < len) {
		size_t wants = tls_handshake_wants(h), n = len - taken < most ? len - taken : most;

		fuzz_check(wants > 0 && wants <= TLS_RECORD_MAX);
		if (n > wants)
			n = wants;
		*step = tls_handshake_feed(h, bytes + taken, n);
		taken += n;
		fuzz_check(taken <= INPUT_MOST);
	}
	return taken;
}

static void note(struct fuzz_log *log, struct tls_handshake *h, enum tls_step step, size_t taken)
{
	size_t len, out;
	const uint8_t *begin = tls_handshake_begin(h, &len);

	tls_handshake_output(h, &out);
	fuzz_say(log, "%d %zu %s %d ", (int)step, taken, step > TLS_DONE ? tls_handshake_error(h) : "-", out > 0);
	fuzz_say_bytes(log, begin, len);
}

static void garbage(struct fuzz_input *in)
{
	struct fuzz_log whole = { 0 }, pieces = { 0 };
	struct tls_handshake *h = tls_handshake_create(server, in->settings & 2);
	enum tls_step step = TLS_GOES_ON;
	size_t taken = feed(h, (const uint8_t *)in->bytes, in->len, SIZE_MAX, &step);

	note(&whole, h, step, taken);
	fuzz_check(step != TLS_DONE);
	tls_handshake_destroy(h);

	h = tls_handshake_create(server, in->settings & 2);
	step = TLS_GOES_ON;
	taken = 0;
	fuzz_hide(in);
	while (fuzz_more(in))
		taken += feed(h, (const uint8_t *)in->bytes + taken, in->seen - taken, SIZE_MAX, &step);
	note(&pieces, h, step, taken);
	tls_handshake_destroy(h);
	fuzz_same(&whole, &pieces);
	fuzz_log_free(&whole);
	fuzz_log_free(&pieces);
}

/* ---- a client ---- */

/* What is on its way to the server. */
struct way {
	uint8_t bytes[65536];
	size_t len;
	const uint8_t *edits, *edits_end;
	bool spoiled;
};

/* All that the client has written, with one thing wrong, as the input says. */
static void carry(struct way *w, BIO *from)
{
	uint8_t bytes[32768];
	int n = BIO_read(from, bytes, sizeof(bytes));
	size_t len = n > 0 ? (size_t)n : 0, at;
	unsigned op;

	if (len > 0 && w->edits_end - w->edits >= 3) {
		op = w->edits[0] % 4;
		at = (size_t)(w->edits[1] << 8 | w->edits[2]) % len;
		w->edits += 3;
		w->spoiled |= op != 0;
		if (op == 1)
			bytes[at] ^= (uint8_t)(1 + w->edits[-3] / 4);
		if (op == 2)
			memmove(bytes + at, bytes + at + 1, --len - at);
		if (op == 3) {
			memmove(bytes + at + 1, bytes + at, len++ - at);
			bytes[at] = w->edits[-3] / 4;
		}
	}
	if (len > sizeof(w->bytes) - w->len)
		len = sizeof(w->bytes) - w->len;
	memcpy(w->bytes + w->len, bytes, len);
	w->len += len;
}

/* What the server has not taken is what the client sent behind its Finished. */
static void check_rest(struct tls_handshake *h, const struct way *w)
{
	struct tls_outcome o;
	uint8_t text[TLS_RECORD_MAX], type;
	size_t at = 0;

	fuzz_check(tls_handshake_outcome(h, &o));
	while (at < w->len) {
		long len = tls_record_length(o.entry.kind, w->bytes + at, w->len - at);

		fuzz_check(len > 0 && at + (size_t)len <= w->len);
		fuzz_check(tls_open(crypto, o.entry.kind, &o.entry.in, o.entry.flow.in_seq++, w->bytes + at, (size_t)len, text, &type) == sizeof(TEXT));
		fuzz_check(type == TLS_APPLICATION_DATA && memcmp(text, TEXT, sizeof(TEXT)) == 0);
		at += (size_t)len;
	}
}

static void client(const struct fuzz_input *in)
{
	static struct way w;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct tls_handshake *h = tls_handshake_create(server, false);
	enum tls_step step = TLS_GOES_ON;
	bool done = false;
	SSL *ssl;
	BIO *out = BIO_new(BIO_s_mem()), *back = BIO_new(BIO_s_mem());

	w = (struct way){ .edits = (const uint8_t *)in->bytes, .edits_end = (const uint8_t *)in->bytes + in->len };
	SSL_CTX_set_max_proto_version(ctx, in->settings & 2 ? TLS1_3_VERSION : TLS1_2_VERSION);
	ssl = SSL_new(ctx);
	SSL_set_bio(ssl, back, out);
	BIO_set_mem_eof_return(back, -1);
	SSL_set_connect_state(ssl);
	for (int turn = 0; turn < 6; turn++) {
		size_t len, taken;
		const uint8_t *answer;

		if (!done && SSL_do_handshake(ssl) == 1) {
			done = true;
			for (unsigned i = 0; i < in->pieces[1] % 4u; i++)
				SSL_write(ssl, TEXT, sizeof(TEXT));
		}
		ERR_clear_error();
		carry(&w, out);
		taken = feed(h, w.bytes, w.len, in->pieces[0] ? in->pieces[0] : SIZE_MAX, &step);
		memmove(w.bytes, w.bytes + taken, w.len -= taken);
		answer = tls_handshake_output(h, &len);
		BIO_write(back, answer, (int)len);
		tls_handshake_sent(h, len);
	}
	fuzz_check(w.spoiled || (done && step == TLS_DONE));
	if (step == TLS_DONE && !w.spoiled)
		check_rest(h, &w);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	tls_handshake_destroy(h);
	ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in;

	if (!server)
		init();
	if (!fuzz_open(&in, data, size))
		return 0;
	if (in.settings & 1)
		client(&in);
	else
		garbage(&in);
	fuzz_close(&in);
	return 0;
}
