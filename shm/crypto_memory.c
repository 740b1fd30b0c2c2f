/* See crypto_memory.h. malloc() knows how large a block is. */
#include "shm/crypto_memory.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

static void *take(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(size);
}

static void give(void *block, const char *file, int line)
{
	(void)file;
	(void)line;
	if (block != NULL)
		explicit_bzero(block, malloc_usable_size(block));
	free(block);
}

/* Not realloc(), which may leave the old block as it is. */
static void *change(void *block, size_t size, const char *file, int line)
{
	size_t had = block != NULL ? malloc_usable_size(block) : 0;
	void *other;

	if (size == 0) {
		give(block, file, line);
		return NULL;
	}
	other = take(size, file, line);
	if (other == NULL)
		return NULL;
	if (had > 0)
		memcpy(other, block, had < size ? had : size);
	give(block, file, line);
	return other;
}

void crypto_memory_wiped(void)
{
	CRYPTO_set_mem_functions(take, change, give);
}
