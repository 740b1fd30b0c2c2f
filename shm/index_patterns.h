/*
 * Patterns in the topic index, for index.c alone: others see index_match(). All calls are made under the hub lock, the first three while the index is dirty.
 */
#ifndef SHM_INDEX_PATTERNS_H
#define SHM_INDEX_PATTERNS_H

#include "shm/index.h"

/* An entry has come, or goes; if it is a pattern, it is counted. There is room for its shape. */
void patterns_count(const struct index *ix, const struct topic_shm *t);
void patterns_uncount(const struct index *ix, const struct topic_shm *t);
void patterns_clear(const struct index *ix);	/* none is counted */

/* Whether there may be one entry more with this name. Else -1 with errno, as index_join() says. */
int patterns_may(const struct index_shm *shm, const char *name, size_t len);

/* Whether what is counted is what the entries say. NULL, or what is wrong. */
const char *patterns_check(const struct index *ix);

#endif
