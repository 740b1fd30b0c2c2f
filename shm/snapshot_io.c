/*
 * The stream of maps that a snapshot is. Read one map at a time, in place, so that a snapshot may be of any size. msgpack-c takes the
 * lengths of arrays and maps from the bytes and asks malloc() for room before it sees that the bytes end; that room is never
 * touched, and its being refused is one way of the snapshot's being bad.
 */
#include "shm/snapshot_io.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "shm/segment.h"
#include "shm/snapshot.h"

/* ---- writing ---- */

static int write_all(struct snapshot_writer *w, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = pwrite(w->fd, bytes, len, (off_t)w->at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			w->error = n < 0 ? errno : EIO;
			return -1;
		}
		bytes += n;
		len -= (size_t)n;
		w->at += (uint64_t)n;
	}
	return 0;
}

static int flush(struct snapshot_writer *w)
{
	size_t used = w->used;

	if (w->fd < 0 && (w->fd = segment_memfd("janus-session")) < 0) {
		w->error = errno;
		return -1;
	}
	w->used = 0;
	return write_all(w, w->buffer, used);
}

static int buffered_write(void *to, const char *bytes, size_t len)
{
	struct snapshot_writer *w = to;

	if (w->error)
		return -1;
	if (len == 0)
		return 0;		/* (`bytes` may be NULL) */
	if (len > sizeof(w->buffer) - w->used && flush(w) < 0)
		return -1;
	if (len > sizeof(w->buffer))
		return write_all(w, bytes, len);
	memcpy(w->buffer + w->used, bytes, len);
	w->used += len;
	return 0;
}

void snapshot_begin(struct snapshot_writer *w, int fd, const char *kind, uint32_t more)
{
	w->fd = fd;
	w->at = 0;
	w->used = 0;
	w->error = fd >= 0 && ftruncate(fd, 0) < 0 ? errno : 0;
	msgpack_packer_init(&w->pack, w, buffered_write);
	snapshot_put_map(w, 2 + more);
	snapshot_put_uint(w, "v", SNAPSHOT_VERSION);
	snapshot_put_text(w, "kind", kind, strlen(kind));
}

int snapshot_end(struct snapshot_writer *w)
{
	if (!w->error && w->fd >= 0)
		flush(w);
	if (!w->error)
		return 0;
	errno = w->error;
	return -1;
}

void snapshot_put_map(struct snapshot_writer *w, uint32_t keys)
{
	msgpack_pack_map(&w->pack, keys);
}

void snapshot_put_key(struct snapshot_writer *w, const char *key)
{
	msgpack_pack_str_with_body(&w->pack, key, strlen(key));
}

void snapshot_put_uint(struct snapshot_writer *w, const char *key, uint64_t n)
{
	snapshot_put_key(w, key);
	msgpack_pack_uint64(&w->pack, n);
}

void snapshot_put_text(struct snapshot_writer *w, const char *key, const char *text, size_t len)
{
	snapshot_put_key(w, key);
	msgpack_pack_str_with_body(&w->pack, text, len);
}

void snapshot_put_bytes(struct snapshot_writer *w, const char *key, const void *bytes, size_t len)
{
	snapshot_put_key(w, key);
	msgpack_pack_bin_with_body(&w->pack, bytes, len);
}

void snapshot_put_array(struct snapshot_writer *w, const char *key, uint32_t count)
{
	snapshot_put_key(w, key);
	msgpack_pack_array(&w->pack, count);
}

/* ---- reading ---- */

int snapshot_bad(void)
{
	errno = EPROTO;
	return -1;
}

const struct msgpack_value *snapshot_next(struct snapshot_reader *r)
{
	const uint8_t *mem = (const uint8_t *)r->mem, *at = mem + r->at;

	if (r->bad || !msgpack_walk_take(&at, mem + r->size, &r->map) || r->map.kind != WALK_MAP) {
		snapshot_bad();
		return NULL;
	}
	r->at = (size_t)(at - mem);
	return &r->map;
}

static const struct msgpack_value *read_head(struct snapshot_reader *r, const char *kind)
{
	const struct msgpack_value *head = snapshot_next(r);
	struct msgpack_value value;

	if (!head)
		return NULL;
	if (kind && (snapshot_get_uint(r, head, "v", SNAPSHOT_NEEDED, SNAPSHOT_VERSION) == 0 ||
		     !msgpack_walk_find(head, "kind", &value) || !msgpack_walk_is(&value, kind)))
		r->bad = true;
	if (r->bad) {
		snapshot_bad();
		return NULL;
	}
	return head;
}

const struct msgpack_value *snapshot_open(struct snapshot_reader *r, int fd, const char *kind)
{
	memset(r, 0, sizeof(*r));
	r->mem = segment_map(fd, 0, &r->size);
	if (!r->mem) {
		if (errno == EINVAL)
			errno = EPROTO;		/* it is empty */
		return NULL;
	}
	return read_head(r, kind);
}

const struct msgpack_value *snapshot_open_bytes(struct snapshot_reader *r, const void *bytes, size_t len, const char *kind)
{
	*r = (struct snapshot_reader){ .mem = (char *)bytes, .size = len };
	return read_head(r, kind);
}

void snapshot_close(struct snapshot_reader *r)
{
	int error = errno;

	segment_unmap(r->mem, r->size);
	errno = error;
}

int snapshot_finish(const struct snapshot_reader *r)
{
	return r->bad || r->at != r->size ? snapshot_bad() : 0;
}

uint64_t snapshot_get_uint(struct snapshot_reader *r, const struct msgpack_value *map, const char *key, uint64_t absent, uint64_t most)
{
	struct msgpack_value value;
	uint64_t n = absent;

	if (msgpack_walk_find(map, key, &value)) {
		n = value.u;
		if (value.kind != WALK_UINT)
			r->bad = true;
	}
	if (n > most)
		r->bad = true;
	return r->bad ? 0 : n;
}

/* The value, which is of this kind; NULL: absent, or the snapshot is bad. */
static const struct msgpack_value *get(struct snapshot_reader *r, const struct msgpack_value *map, const char *key, enum msgpack_kind kind,
				       struct msgpack_value *value)
{
	if (!msgpack_walk_find(map, key, value))
		return NULL;
	if (value->kind != kind)
		r->bad = true;
	return r->bad ? NULL : value;
}

const char *snapshot_get_text(struct snapshot_reader *r, const struct msgpack_value *map, const char *key, size_t *len)
{
	struct msgpack_value value;
	const struct msgpack_value *v = get(r, map, key, WALK_STR, &value);

	*len = v ? v->len : 0;
	return *len ? (const char *)v->p : "";
}

const uint8_t *snapshot_get_bytes(struct snapshot_reader *r, const struct msgpack_value *map, const char *key, uint32_t *len)
{
	struct msgpack_value value;
	const struct msgpack_value *v = get(r, map, key, WALK_BIN, &value);

	*len = v ? v->len : 0;
	return *len ? v->p : (const uint8_t *)"";
}

void snapshot_get_array(struct snapshot_reader *r, const struct msgpack_value *map, const char *key, struct msgpack_value *array)
{
	if (!get(r, map, key, WALK_ARRAY, array))
		*array = (struct msgpack_value){ .kind = WALK_ARRAY };
}

int snapshot_version(int fd)
{
	struct snapshot_reader r;
	const struct msgpack_value *head = snapshot_open(&r, fd, NULL);
	uint64_t v = 0;

	if (head)
		v = snapshot_get_uint(&r, head, "v", SNAPSHOT_NEEDED, INT32_MAX);
	snapshot_close(&r);
	return v ? (int)v : snapshot_bad();
}
