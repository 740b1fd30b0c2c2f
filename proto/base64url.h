/*
 * base64url without padding (RFC 4648, section 5; RFC 7515, section 2), strictly: no other byte, no padding, and the bits behind the last byte are zero, so
 * that bytes have one text.
 */
#ifndef PROTO_BASE64URL_H
#define PROTO_BASE64URL_H

#include <stddef.h>
#include <sys/types.h>

/* Bytes of len characters, and characters of len bytes. */
#define BASE64URL_BYTES(len) ((len) / 4 * 3 + (len) % 4 * 3 / 4)
#define BASE64URL_TEXT(len) (((len) * 4 + 2) / 3)

/* Into dst[0..room). Number of bytes; -1: it is not base64url, or longer than that. */
ssize_t base64url_read(void *dst, size_t room, const char *text, size_t len);

/* Writes BASE64URL_TEXT(len) characters, not terminated; returns how many. */
size_t base64url_write(char *dst, const void *bytes, size_t len);

#endif
