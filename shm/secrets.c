/*
 * Secrets on their way from the master to workers. See secrets.h.
 */
#include "shm/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <msgpack.h>

#include "proto/msgpack_walk.h"
#include "shm/segment.h"

int secrets_begin(void)
{
	return segment_memfd("janus-secrets");
}

static int write_all(int fd, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* (Only the head goes by the packer's buffer, which is not wiped.) */
int secrets_add(int fd, const char *kind, const char *from, const void *bytes, size_t len)
{
	msgpack_sbuffer buf;
	msgpack_packer p;
	int r;

	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&p, &buf, msgpack_sbuffer_write);
	msgpack_pack_array(&p, 3);
	msgpack_pack_str_with_body(&p, kind, strlen(kind));
	msgpack_pack_str_with_body(&p, from, strlen(from));
	msgpack_pack_bin(&p, len);
	r = write_all(fd, buf.data, buf.size);
	msgpack_sbuffer_destroy(&buf);
	return r < 0 ? -1 : write_all(fd, bytes, len);
}

/* Reads until the end, or the room is full. Its length, or -1 with errno. */
static ssize_t read_all(int fd, char *bytes, size_t room)
{
	size_t len = 0;
	ssize_t n;

	while (len < room && (n = read(fd, bytes + len, room - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

int secrets_add_file(int fd, const char *kind, const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), error, r = -1;
	char *bytes = file < 0 ? NULL : malloc(SECRETS_FILE_MAX + 1);
	struct stat st;
	ssize_t len = 0;

	if (bytes && fstat(file, &st) == 0 && (len = read_all(file, bytes, SECRETS_FILE_MAX + 1)) >= 0) {
		if (len > SECRETS_FILE_MAX)
			errno = EFBIG;
		else
			r = secrets_add(fd, kind, path, bytes, (size_t)len);
	}
	error = errno;
	if (bytes && len > 0)
		explicit_bzero(bytes, (size_t)len);
	free(bytes);
	if (file >= 0)
		close(file);
	errno = error;
	return r;
}

int secrets_seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
}

int secrets_map(struct secrets *s, int fd)
{
	s->bytes = segment_map(fd, false, &s->size);
	if (!s->bytes)
		return -1;
	/* (Without the right to lock so much, it is as safe as the rest of the process.) */
	(void)!mlock(s->bytes, s->size);
	return 0;
}

void secrets_unmap(struct secrets *s)
{
	segment_unmap((void *)(uintptr_t)s->bytes, s->size);
	s->bytes = NULL;
}

bool secrets_next(const struct secrets *s, const char *kind, size_t *at, struct secret *secret)
{
	const uint8_t *end = s->bytes + s->size, *p = s->bytes + *at, *in;
	struct msgpack_value item, of, from, bytes;

	while (p < end && msgpack_walk_take(&p, end, &item)) {
		in = item.p;
		if (item.kind != WALK_ARRAY || item.len != 3 || !msgpack_walk_take(&in, item.end, &of) || !msgpack_walk_take(&in, item.end, &from) ||
		    !msgpack_walk_take(&in, item.end, &bytes) || from.kind != WALK_STR || bytes.kind != WALK_BIN)
			return false;
		*at = (size_t)(p - s->bytes);
		if (!msgpack_walk_is(&of, kind))
			continue;
		snprintf(secret->from, sizeof(secret->from), "%.*s", (int)from.len, (const char *)from.p);
		secret->bytes = bytes.p;
		secret->len = bytes.len;
		return true;
	}
	return false;
}
