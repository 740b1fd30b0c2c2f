/*
 * The journal's file: records, each with a checksum, one behind the other. What is in them is journal.h's.
 *
 *   record   crc | len | type | name_len | fixed part, by type | name | bytes | up to 7 zeros
 *
 * The checksum (zlib's CRC-32) is over all that stands behind it, and begins with the file's id: what is left of another file on the same disk is no record.
 * The first record is the head, which has that id; its own checksum begins with 0. Numbers are the machine's own; another machine's file has another magic.
 *
 * What a power cut tore has a wrong checksum, or a length that leads beyond the file: reading ends there.
 */
#ifndef SHM_JOURNAL_FILE_H
#define SHM_JOURNAL_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JOURNAL_MAGIC 0x314c4e4a53554e4aull	/* "JNUSJNL1" */
#define JOURNAL_VERSION 1		/* goes up when an older program would read it wrong */

enum journal_type { JOURNAL_HEAD = 1, JOURNAL_MESSAGE, JOURNAL_KEY, JOURNAL_TOPIC, JOURNAL_END };

struct journal_record_file {
	uint32_t crc;
	uint32_t len;			/* of what stands behind these 16 bytes, without the zeros */
	uint32_t type;
	uint32_t name_len;
};

struct journal_head_file {
	uint64_t magic;			/* where they are, whatever the version */
	uint64_t version;
	uint64_t id;			/* of this file */
	uint64_t epoch;			/* of ids: hub_shm.epoch */
	uint64_t tail;			/* the ring's, when the file was begun */
	uint64_t unknown;		/* index_shm.unknown, .forgotten and .unheard */
	uint64_t forgotten, unheard;
	uint64_t secret[2];		/* with which keys are hashed (once.h) */
};

struct journal_message_file {		/* name: the topic's; bytes: the message */
	uint64_t seq, time, number;
	uint64_t after;			/* the topic has had no other message behind this sequence and before this one */
};

struct journal_key_file {		/* bytes: an answer, uint64_t[2], for each message: sequence (0 none) and subscribers */
	uint64_t key[2], digest;
	uint64_t time;			/* when it was used, milliseconds since 1970 */
	uint64_t first;
};

struct journal_topic_file {		/* name: the topic's. What is known of it at an end in order */
	uint64_t since, published, last;
};

struct journal_end_file {		/* the last record, if the server ended in order and all it had is here */
	uint64_t tail, forgotten, unheard;
	uint64_t rules;			/* a hash of the setting `history` */
};

/* ---- writing ---- */

struct journal_out {
	int fd;
	uint32_t seed;			/* of checksums: from the file's id */
	uint64_t at;			/* where in the file the buffer's first byte goes */
	size_t used, begun, room;	/* bytes in the buffer; of them, up to the record that is being put */
	uint8_t *buffer;		/* its own; NULL at first */
};

/*
 * Puts a record into the buffer, which grows as it must. Returns where its `len` bytes go, or NULL: no memory. journal_seal() when they are there;
 * journal_unput() takes it back.
 */
void *journal_put(struct journal_out *out, enum journal_type type, const void *fixed, size_t fixed_len, const char *name, size_t name_len, size_t len);
void journal_seal(struct journal_out *out);
void journal_unput(struct journal_out *out);

/* Writes what is in the buffer. 0, or -1 with errno: then the file may have some of it, and the buffer is as it was. */
int journal_flush(struct journal_out *out);

/* ---- reading ---- */

struct journal_in {
	FILE *file;
	uint64_t at, size;		/* of the next record; of the file */
	struct journal_head_file head;
	uint8_t *record;		/* the last one, whole */
	size_t room;
};

struct journal_record {
	enum journal_type type;
	const void *fixed;
	const char *name;
	const uint8_t *bytes;
	size_t name_len, len;
};

/*
 * Takes `fd` over and reads the head. 0; or -1 with errno: EBADMSG it is no whole journal's beginning, ENOTSUP it is of a later version, or EIO and others.
 * journal_in_close() in any case.
 */
int journal_in_open(struct journal_in *in, int fd);
void journal_in_close(struct journal_in *in);

/* The next record, good until the one after it: 1. 0: the file ends here. -1 with errno: EBADMSG it is not whole; or it can't be read. */
int journal_in_next(struct journal_in *in, struct journal_record *record);

#endif
