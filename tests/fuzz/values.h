/*
 * msgpack values, compared by what they mean: heads of another length, and numbers of another kind, are the same if the value is.
 */
#ifndef TESTS_FUZZ_VALUES_H
#define TESTS_FUZZ_VALUES_H

#include "proto/msgpack_walk.h"

bool values_same(const struct msgpack_value *a, const struct msgpack_value *b);

/* The map that fills p[0..end). As in packets, it is each of its values that may be MSGPACK_WALK_DEPTH deep. */
bool values_map(const uint8_t *p, const uint8_t *end, struct msgpack_value *map);

/* The value of a key in such a map; none: start is NULL. */
struct msgpack_value values_find(const struct msgpack_value *map, const char *key);

#endif
