/*
 * Keys of tokens that were fetched from the setting token_jwks_url: a segment of its own, written by the master, read by all workers. So new keys are in use at
 * once, and no worker is replaced for them; old ones stay until there are new ones, whatever becomes of the server that has them, and over reloads. They
 * are public keys, packed (proto/jwt_keys.h).
 *
 * There are two places: the current one, and the one that is written next. There is no lock: who has copied a place looks again whether it is still current.
 */
#ifndef SHM_FETCHED_KEYS_H
#define SHM_FETCHED_KEYS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FETCHED_KEYS_MAGIC 0x3159454b4e414aull	/* "JANKEY1" */
#define FETCHED_KEYS_MAX (160 * 1024)		/* bytes: 64 keys of RSA with 16384 bits */
#define FETCHED_KEYS_URL 256

struct fetched_keys_place_shm {
	char url[FETCHED_KEYS_URL];	/* where they are from */
	uint32_t len;			/* 0: none */
	uint8_t bytes[FETCHED_KEYS_MAX];
};

struct fetched_keys_shm {
	_Alignas(64) _Atomic uint64_t magic;	/* stored last */
	_Atomic uint32_t current;		/* counts what was written; the newest is at current % 2 */
	struct fetched_keys_place_shm place[2];
};

/* A segment without keys, not close-on-exec. -1 with errno. */
int fetched_keys_create(void);
/* NULL with errno; EPROTO: it is another version's. */
struct fetched_keys_shm *fetched_keys_map(int fd, bool writable);
void fetched_keys_unmap(struct fetched_keys_shm *f);

/* By the master: from now on, these are the keys. len <= FETCHED_KEYS_MAX; the URL is cut to what there is room for. */
void fetched_keys_write(struct fetched_keys_shm *f, const char *url, const void *bytes, size_t len);
/* By the master: whether what is there is from this URL. */
bool fetched_keys_from(const struct fetched_keys_shm *f, const char *url);

/* Counts changes. */
static inline uint32_t fetched_keys_number(const struct fetched_keys_shm *f)
{
	return atomic_load_explicit(&f->current, memory_order_acquire);
}

/* Copies the keys to dst[0..FETCHED_KEYS_MAX). How many bytes; *number is which they are. */
size_t fetched_keys_copy(const struct fetched_keys_shm *f, void *dst, uint32_t *number);

#endif
