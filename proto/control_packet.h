/*
 * What packets of the control protocol (control.h) are written and read with, for control.c and control_report.c.
 */
#ifndef PROTO_CONTROL_PACKET_H
#define PROTO_CONTROL_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msgpack.h>

#include "proto/msgpack_walk.h"

/* ---- writing: the caller sees to it that what it writes has room in CONTROL_PACKET_MAX ---- */

struct control_packet {
	uint8_t *dst;
	size_t len;
	msgpack_packer to;
};

void control_packet_init(struct control_packet *p, void *dst);

void control_put_text(msgpack_packer *to, const char *text);
void control_put_pair(msgpack_packer *to, const char *key, const char *value);
void control_put_uint(msgpack_packer *to, const char *key, uint64_t value);
void control_put_int(msgpack_packer *to, const char *key, int64_t value);
void control_put_bool(msgpack_packer *to, const char *key, bool value);

/* A map with v, and in a reply ok, of `more` pairs beyond these. */
void control_begin_request(msgpack_packer *to, unsigned more);
void control_begin_reply(msgpack_packer *to, bool ok, unsigned more);

/* ---- reading: false is what is not of that kind, or has no room; finding is fine with an absent key, and leaves *dst then ---- */

bool control_get_text(const struct msgpack_value *v, char *dst, size_t size);
bool control_find_text(const struct msgpack_value *map, const char *key, char *dst, size_t size);
bool control_find_uint(const struct msgpack_value *map, const char *key, uint64_t *dst);
bool control_find_u32(const struct msgpack_value *map, const char *key, uint32_t *dst);
bool control_find_int(const struct msgpack_value *map, const char *key, int64_t *dst);
bool control_find_bool(const struct msgpack_value *map, const char *key, bool *dst);

/* What is in an array, one after the other; nothing if there is no such key. False: it is no array, or has more than `most`. */
struct control_items {
	const uint8_t *at, *end;
	uint32_t left;
};
bool control_find_items(const struct msgpack_value *map, const char *key, uint32_t most, struct control_items *items);
/* False: that was all, or (left > 0) what follows is none. */
bool control_next_item(struct control_items *items, struct msgpack_value *item);

/* The map that a packet is, of this protocol's version. 0; or -1 with errno as control.h has it. */
int control_packet_read(const void *src, size_t len, struct msgpack_value *map);
/* 0; or -1 with EBADMSG. */
int control_packet_good(bool good);

#endif
