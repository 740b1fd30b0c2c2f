/*
 * The journal's file. See journal_file.h.
 */
#include "shm/journal_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define HEAD sizeof(struct journal_record_file)
#define ROOM_LEAST 65536u
#define RECORD_MOST (1u << 30)

static size_t padded(size_t len)
{
	return (len + 7) & ~(size_t)7;
}

static uint32_t seed_of(uint64_t id)
{
	return (uint32_t)(id ^ id >> 32);
}

static uint32_t checksum(uint32_t seed, const struct journal_record_file *record)
{
	return (uint32_t)crc32_z(seed, (const uint8_t *)record + sizeof(record->crc), HEAD - sizeof(record->crc) + record->len);
}

/* Has the buffer room for so many bytes. 0, or -1. */
static int grow(uint8_t **buffer, size_t *room, size_t need)
{
	size_t more = *room ? *room : ROOM_LEAST;
	uint8_t *bytes;

	if (need <= *room)
		return 0;
	while (more < need)
		more *= 2;
	bytes = realloc(*buffer, more);
	if (!bytes)
		return -1;
	*buffer = bytes;
	*room = more;
	return 0;
}

/* ---- writing ---- */

void *journal_put(struct journal_out *out, enum journal_type type, const void *fixed, size_t fixed_len, const char *name, size_t name_len, size_t len)
{
	struct journal_record_file head = { .len = (uint32_t)(fixed_len + name_len + len), .type = type, .name_len = (uint32_t)name_len };
	size_t size = padded(HEAD + head.len);
	uint8_t *at;

	if (grow(&out->buffer, &out->room, out->used + size) < 0)
		return NULL;
	out->begun = out->used;
	at = out->buffer + out->begun;
	out->used += size;
	memset(at + size - 8, 0, 8);
	memcpy(at, &head, HEAD);
	memcpy(at + HEAD, fixed, fixed_len);
	if (name_len > 0)
		memcpy(at + HEAD + fixed_len, name, name_len);
	return at + HEAD + fixed_len + name_len;
}

void journal_seal(struct journal_out *out)
{
	/* (Records begin at multiples of 8.) */
	struct journal_record_file *record = (struct journal_record_file *)(void *)(out->buffer + out->begun);

	record->crc = checksum(record->type == JOURNAL_HEAD ? 0 : out->seed, record);
	if (record->type == JOURNAL_HEAD)
		out->seed = seed_of(((const struct journal_head_file *)(record + 1))->id);
}

void journal_unput(struct journal_out *out)
{
	out->used = out->begun;
}

int journal_flush(struct journal_out *out)
{
	size_t done = 0;

	while (done < out->used) {
		ssize_t n = pwrite(out->fd, out->buffer + done, out->used - done, (off_t)(out->at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EIO;
			return -1;
		}
		done += (size_t)n;
	}
	out->at += done;
	out->used = 0;
	return 0;
}

/* ---- reading ---- */

static size_t fixed_len(uint32_t type)
{
	static const size_t of[] = {
		[JOURNAL_HEAD] = sizeof(struct journal_head_file),
		[JOURNAL_MESSAGE] = sizeof(struct journal_message_file),
		[JOURNAL_KEY] = sizeof(struct journal_key_file),
		[JOURNAL_TOPIC] = sizeof(struct journal_topic_file),
		[JOURNAL_END] = sizeof(struct journal_end_file),
	};

	return type < sizeof(of) / sizeof(of[0]) ? of[type] : 0;
}

static int broken(void)
{
	errno = EBADMSG;
	return -1;
}

/* So many bytes, which the file has. */
static int take(struct journal_in *in, void *dst, size_t len)
{
	errno = 0;
	if (fread(dst, 1, len, in->file) == len)
		return 0;
	if (!errno)
		errno = EBADMSG;
	return -1;
}

/* The next record's head and bytes, its checksum being good. */
static int take_record(struct journal_in *in, uint32_t seed)
{
	struct journal_record_file head, *record;
	size_t size;

	if (in->size - in->at < HEAD)
		return broken();
	if (take(in, &head, HEAD) < 0)
		return -1;
	size = padded(HEAD + head.len);
	if (head.len > RECORD_MOST || size > in->size - in->at)
		return broken();
	if (grow(&in->record, &in->room, size) < 0)
		return -1;
	memcpy(in->record, &head, HEAD);
	if (take(in, in->record + HEAD, size - HEAD) < 0)
		return -1;
	record = (struct journal_record_file *)(void *)in->record;
	if (checksum(seed, record) != head.crc || fixed_len(head.type) == 0 || head.name_len > head.len || fixed_len(head.type) > head.len - head.name_len)
		return broken();
	in->at += size;
	return 0;
}

/* Of a later version's head, magic and version are where they are in ours. */
static int look_at_version(struct journal_in *in)
{
	uint8_t bytes[HEAD + offsetof(struct journal_head_file, id)];
	uint64_t magic, version;

	if (in->size < sizeof(bytes))
		return broken();
	if (take(in, bytes, sizeof(bytes)) < 0)
		return -1;
	memcpy(&magic, bytes + HEAD, sizeof(magic));
	memcpy(&version, bytes + HEAD + sizeof(magic), sizeof(version));
	if (magic != JOURNAL_MAGIC)
		return broken();
	if (version > JOURNAL_VERSION) {
		errno = ENOTSUP;
		return -1;
	}
	rewind(in->file);
	return 0;
}

int journal_in_open(struct journal_in *in, int fd)
{
	struct stat st;

	memset(in, 0, sizeof(*in));
	in->file = fdopen(fd, "r");
	if (!in->file) {
		close(fd);
		return -1;
	}
	if (fstat(fd, &st) < 0)
		return -1;
	in->size = (uint64_t)st.st_size;
	if (look_at_version(in) < 0 || take_record(in, 0) < 0)
		return -1;
	if (((struct journal_record_file *)(void *)in->record)->type != JOURNAL_HEAD)
		return broken();
	memcpy(&in->head, in->record + HEAD, sizeof(in->head));
	return 0;
}

void journal_in_close(struct journal_in *in)
{
	if (in->file)
		fclose(in->file);
	free(in->record);
	in->file = NULL;
	in->record = NULL;
}

int journal_in_next(struct journal_in *in, struct journal_record *record)
{
	const struct journal_record_file *head;
	size_t fixed;

	if (in->at == in->size)
		return 0;
	if (take_record(in, seed_of(in->head.id)) < 0)
		return -1;
	head = (const struct journal_record_file *)(void *)in->record;
	fixed = fixed_len(head->type);
	*record = (struct journal_record){
		.type = head->type,
		.fixed = in->record + HEAD,
		.name = (const char *)in->record + HEAD + fixed,
		.name_len = head->name_len,
		.bytes = in->record + HEAD + fixed + head->name_len,
		.len = head->len - fixed - head->name_len,
	};
	return 1;
}
