/*
 * How snapshots are written and read, whatever is in them: a buffered stream of msgpack maps. For snapshot_*.c; see snapshot.h.
 */
#ifndef SHM_SNAPSHOT_IO_H
#define SHM_SNAPSHOT_IO_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/msgpack_walk.h"

/* ---- writing: the first error is kept, what comes after it is not written, and snapshot_end() tells ---- */

struct snapshot_writer {
	msgpack_packer pack;
	int fd;			/* -1: nothing is written to a file yet (snapshot_begin()) */
	int error;		/* errno, 0 none */
	uint64_t at;		/* in the file, of the buffer's first byte */
	size_t used;
	char buffer[65536];
};

/*
 * Empties the file and starts the head, a map of `v`, `kind` and `more` keys that the caller adds. `fd` -1: what has room in `buffer` stays there, `used` bytes; if there is more, all of it is
 * in a memfd when snapshot_end() returns: `fd` then, the caller's.
 */
void snapshot_begin(struct snapshot_writer *w, int fd, const char *kind, uint32_t more);
int snapshot_end(struct snapshot_writer *w);				/* 0, or -1 with errno */

void snapshot_put_map(struct snapshot_writer *w, uint32_t keys);	/* starts the next map */
void snapshot_put_key(struct snapshot_writer *w, const char *key);
void snapshot_put_uint(struct snapshot_writer *w, const char *key, uint64_t n);
void snapshot_put_text(struct snapshot_writer *w, const char *key, const char *text, size_t len);
void snapshot_put_bytes(struct snapshot_writer *w, const char *key, const void *bytes, size_t len);
void snapshot_put_array(struct snapshot_writer *w, const char *key, uint32_t count);

/* ---- reading: a value that is not what it should be makes the snapshot bad, which is asked when an object is through ---- */

struct snapshot_reader {
	char *mem;		/* the file, mapped */
	size_t size, at;
	struct msgpack_value map;	/* the one that was read last */
	bool bad;
};

/* Given as a number's default: the number must be there. (Its `most` must be less than this.) */
#define SNAPSHOT_NEEDED UINT64_MAX

/* A number's `most`, if there is no other limit: something may be added to it without an overflow. */
#define SNAPSHOT_MOST ((uint64_t)INT64_MAX)

/* Maps the file. The head, if it is one of this kind (NULL: any) and of a version that can be read; else NULL with errno.
 * snapshot_close() in either case. */
const struct msgpack_value *snapshot_open(struct snapshot_reader *r, int fd, const char *kind);
/* The same of what is in memory; it is read in place, and not to be closed. */
const struct msgpack_value *snapshot_open_bytes(struct snapshot_reader *r, const void *bytes, size_t len, const char *kind);
void snapshot_close(struct snapshot_reader *r);

/* The next map; the one before it is gone. NULL with EPROTO when there is none, or the one before was bad. */
const struct msgpack_value *snapshot_next(struct snapshot_reader *r);

/* Nothing is left and nothing was bad: 0, else -1 with EPROTO. */
int snapshot_finish(const struct snapshot_reader *r);

/* A number up to `most`. */
uint64_t snapshot_get_uint(struct snapshot_reader *r, const struct msgpack_value *map, const char *key, uint64_t absent, uint64_t most);

/* Text or bytes, in the mapped file; "" with *len 0 when absent. */
const char *snapshot_get_text(struct snapshot_reader *r, const struct msgpack_value *map, const char *key, size_t *len);
const uint8_t *snapshot_get_bytes(struct snapshot_reader *r, const struct msgpack_value *map, const char *key, uint32_t *len);

/* An array, an empty one when absent. */
void snapshot_get_array(struct snapshot_reader *r, const struct msgpack_value *map, const char *key, struct msgpack_value *array);

/* ---- snapshot_latency.c: a slot's histogram, as the key "latency" ---- */

struct latency_shm;
void snapshot_put_latency(struct snapshot_writer *w, const struct latency_shm *latency);
/* Adds to what is there; nothing when absent. */
void snapshot_get_latency(struct snapshot_reader *r, const struct msgpack_value *map, struct latency_shm *latency);

/* ---- snapshot_tls.c: a session's TLS connection, as the key "tls" ---- */

struct tls_entry_shm;
void snapshot_put_tls(struct snapshot_writer *w, const struct tls_entry_shm *e, const void *pending, const void *held);	/* its buffers' bytes */
/* All but what follows from the session, and `pending` and `held`, which stand in *tls. False: bad. */
bool snapshot_get_tls(struct snapshot_reader *r, const struct msgpack_value *map, struct tls_entry_shm *e, struct msgpack_value *tls);

/* -1 with EPROTO. */
int snapshot_bad(void);

#endif
