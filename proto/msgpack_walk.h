/*
 * msgpack as it stands in a buffer: a value at a time, nothing allocated. msgpack-c writes it; its unpacker makes a tree, and allocates what an
 * array's or a map's header announces before it has seen one element: five bytes can ask for gigabytes. Nobody here needs a tree, only the ranges
 * of a few values. The values of an array, and a map's keys and values, are taken one after the other from value.p on:
 *
 *   for (at = array.p; i < array.len && msgpack_walk_take(&at, array.end, &item); i++)
 */
#ifndef PROTO_MSGPACK_WALK_H
#define PROTO_MSGPACK_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MSGPACK_WALK_DEPTH 100	/* arrays and maps inside each other */

enum msgpack_kind {
	WALK_NIL, WALK_BOOL, WALK_UINT, WALK_INT, WALK_FLOAT, WALK_STR, WALK_BIN, WALK_EXT, WALK_ARRAY, WALK_MAP
};

struct msgpack_value {
	enum msgpack_kind kind;
	union {
		uint64_t u;	/* UINT; BOOL 0 or 1 */
		int64_t i;	/* INT: less than 0 */
		double f;
	};
	uint32_t len;		/* STR, BIN, EXT (with its type): bytes; ARRAY: values; MAP: pairs */
	const uint8_t *p;	/* STR, BIN, EXT; ARRAY, MAP: its first value */
	const uint8_t *start, *end;	/* the whole value */
};

/* Takes the value at *at, or of an array or map the head only: its values (a map's in pairs) follow. False: broken, or not all there. `end`
 * is then, and for arrays and maps, not set. */
bool msgpack_walk_head(const uint8_t **at, const uint8_t *end, struct msgpack_value *value);

/* Takes a value with all that is in it. False: broken, not all there, or deeper than MSGPACK_WALK_DEPTH. */
bool msgpack_walk_take(const uint8_t **at, const uint8_t *end, struct msgpack_value *value);

/* The value of a key in a map that msgpack_walk_take() took, the first one if there are several. False: there is none, or it is no map; *value
 * may be anything then. */
bool msgpack_walk_find(const struct msgpack_value *map, const char *key, struct msgpack_value *value);

/* An integer, if it is one that *n can hold. */
bool msgpack_walk_int(const struct msgpack_value *value, int64_t *n);

/* Whether it is a str of these bytes. */
bool msgpack_walk_is(const struct msgpack_value *value, const char *text);

#endif
