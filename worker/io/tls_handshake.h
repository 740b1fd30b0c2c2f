/*
 * One connection's TLS handshake, by libssl over memory. When it is done, libssl's object is freed, and what is left is what shared memory has of a
 * TLS connection (shm/tls_shm.h).
 *
 * It takes a record at a time, and never a byte beyond: what a client sends right behind its Finished is not of the handshake, and stays in the socket.
 */
#ifndef WORKER_IO_TLS_HANDSHAKE_H
#define WORKER_IO_TLS_HANDSHAKE_H

#include "shm/tls_shm.h"
#include "worker/io/tls_server.h"

enum tls_step {
	TLS_GOES_ON,			/* it waits for its peer */
	TLS_DONE,
	/* It has failed. There may be an alert in the output. */
	TLS_NOT_TLS,			/* the first bytes are no TLS: tls_handshake_begin() has them */
	TLS_UNSUPPORTED,		/* no version, suite, or the like that both have */
	TLS_BAD_CERTIFICATE,		/* the client's is missing, or not good */
	TLS_ALERT_CAME,			/* the client has ended it, and says why */
	TLS_CLOSED,			/* the client has closed, or reset */
	TLS_BAD,			/* what came makes no sense, or there is no memory */
};

#define TLS_CLIENT_NAME_MAX 256

/* What has become of it. Whoever has it wipes it. */
struct tls_outcome {
	struct tls_entry_shm entry;	/* `taken` and `opened` are 0 */
	bool resumed;
	char client[TLS_CLIENT_NAME_MAX];	/* who the client is by its certificate (tls_certificate_name()); "" it has none */
};

struct tls_handshake;

/* `http`: HTTP is spoken within. NULL: no memory. */
struct tls_handshake *tls_handshake_create(const struct tls_server *server, bool http);
void tls_handshake_destroy(struct tls_handshake *h);

/*
 * Before it is made: whether the first record is there as a whole, of which nothing is taken. TLS_DONE: it is, or what comes is none, or there is no waiting for the rest of it; TLS_CLOSED: nothing
 * has come, and nothing will; TLS_GOES_ON: *awaited bytes (0 at first) must be there, and the socket is not readable before.
 */
enum tls_step tls_handshake_look(int fd, size_t *awaited);
void tls_handshake_looked(int fd);	/* whatever comes makes the socket readable again */

/* Sends and receives what can be, without waiting: up to the end of the handshake, or a few records. */
enum tls_step tls_handshake_run(struct tls_handshake *h, int fd);
/* Whether there is output that the kernel has not accepted. */
bool tls_handshake_sends(const struct tls_handshake *h);

/* Why it has failed, a static sentence. */
const char *tls_handshake_error(const struct tls_handshake *h);
/* The first bytes that came, up to TLS_HEAD. */
const uint8_t *tls_handshake_begin(const struct tls_handshake *h, size_t *len);

/* TLS_DONE: what has become of it. False: of this handshake there can be no TLS connection here; tls_handshake_error() says why. */
bool tls_handshake_outcome(struct tls_handshake *h, struct tls_outcome *outcome);
/* TLS_DONE: has the connection end with these bytes, and close_notify. Not after anything was sealed with the outcome's keys. */
void tls_handshake_say(struct tls_handshake *h, const void *bytes, size_t len);

/* ---- the same without a socket: what tls_handshake_run() is made of ---- */

/* How many bytes of the record that is coming are still missing, its header first. */
size_t tls_handshake_wants(const struct tls_handshake *h);
/* Takes bytes, at most so many. When the record is whole, it is dealt with. */
enum tls_step tls_handshake_feed(struct tls_handshake *h, const uint8_t *bytes, size_t len);
/* The output; so many bytes of it were sent. */
const uint8_t *tls_handshake_output(const struct tls_handshake *h, size_t *len);
void tls_handshake_sent(struct tls_handshake *h, size_t len);

#endif
