/*
 * Segments are memfds, sealed against resizing: nobody who holds the descriptor can make another's mapping fault by cutting
 * the file short. They stay open over execve, which is how a keeper hands them to its next binary.
 */
#include "shm/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U	/* Linux 6.3; hosts may be set to refuse memfds without it */
#endif

int segment_memfd(const char *name)
{
	int fd = memfd_create(name, MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_ALLOW_SEALING);
	return fd;
}

int segment_create(const char *name, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd, error;

	if (size == 0 || size > (size_t)INT64_MAX - page) {
		errno = EINVAL;
		return -1;
	}
	size = (size + page - 1) / page * page;
	fd = segment_memfd(name);
	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)size) < 0)
		goto err;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		goto err;
	return fd;
err:
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

void *segment_map(int fd, int writable, size_t *size)
{
	struct stat st;
	void *mem;

	if (fstat(fd, &st) < 0)
		return NULL;
	if (st.st_size <= 0) {
		errno = EINVAL;
		return NULL;
	}
	mem = mmap(NULL, (size_t)st.st_size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		return NULL;
	/* Who writes a core reads all of it, and a hole that is read is a hole no more. */
	madvise(mem, (size_t)st.st_size, MADV_DONTDUMP);
	*size = (size_t)st.st_size;
	return mem;
}

int segment_create_struct(const char *name, size_t size, uint64_t magic)
{
	int fd = segment_create(name, size), error;
	_Atomic uint64_t *mem;
	size_t mapped;

	if (fd < 0)
		return -1;
	mem = segment_map(fd, true, &mapped);
	if (!mem) {
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	atomic_store(mem, magic);
	segment_unmap(mem, mapped);
	return fd;
}

void *segment_map_struct(int fd, bool writable, size_t size, uint64_t magic)
{
	size_t mapped;
	_Atomic uint64_t *mem = segment_map(fd, writable, &mapped);

	if (mem && (mapped < size || atomic_load(mem) != magic)) {
		segment_unmap(mem, mapped);
		errno = EPROTO;
		return NULL;
	}
	return mem;
}

uint64_t segment_used(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

void segment_unmap(void *mem, size_t size)
{
	if (mem)
		munmap(mem, size);
}
