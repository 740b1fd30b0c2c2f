/*
 * The keys of TLS session tickets (RFC 5077, RFC 8446 section 4.6.1): a segment of its own, written by the master, read by all workers. So a client may resume with
 * any worker, and a reload changes nothing. A key seals tickets for tls_ticket_lifetime and opens them for as long again; then it is written over, and what was
 * sealed with it nobody can open.
 *
 * There are three places: the current key, the one before, and the next one, which nobody looks at while it is written. So there is no lock: who has read `current`
 * has a lifetime's time to copy a key.
 */
#ifndef SHM_TICKETS_H
#define SHM_TICKETS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TICKETS_MAGIC 0x314b49544e414aull	/* "JANTIK1" */
#define TICKET_NAME 16
#define TICKET_KEYS 3

struct ticket_key_shm {
	uint8_t name[TICKET_NAME];	/* stands ahead of a ticket, in clear */
	uint8_t cipher[32];		/* AES-256-CBC */
	uint8_t mac[32];		/* HMAC-SHA-256 */
};

struct tickets_shm {
	_Alignas(64) _Atomic uint64_t magic;	/* stored last */
	_Atomic uint32_t current;		/* number of the newest key, which is at current % TICKET_KEYS; 0: there is none yet */
	uint32_t pad;
	uint64_t since;				/* the master's: since when it is, seconds of CLOCK_MONOTONIC */
	struct ticket_key_shm key[TICKET_KEYS];
};

/* A segment without a key, not close-on-exec. -1 with errno. */
int tickets_create(void);
/* Maps it, locked in memory if that is allowed, in no core dump. NULL with errno; EPROTO: it is another version's. */
struct tickets_shm *tickets_map(int fd, bool writable);
void tickets_unmap(struct tickets_shm *t);

/* By the master, now and then: makes a new key if there is none, or the current one is older than `lifetime` seconds. `now`: CLOCK_MONOTONIC. 0, or -1 with errno. */
int tickets_renew(struct tickets_shm *t, uint64_t now, uint64_t lifetime);

/* Copies the key to seal with; with a name, the key to open with: *old, as it is not the current one any more. False: there is none. Who has a copy wipes it. */
bool tickets_current(const struct tickets_shm *t, struct ticket_key_shm *key);
bool tickets_find(const struct tickets_shm *t, const uint8_t name[TICKET_NAME], struct ticket_key_shm *key, bool *old);

#endif
