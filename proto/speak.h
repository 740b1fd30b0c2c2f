/* What the server says of itself, in the words of each transport. Each function writes to dst[SPEAK_MAX] and returns the length; 0: there is
 * nothing to say. `now`: microseconds since 1970. */
#ifndef PROTO_SPEAK_H
#define PROTO_SPEAK_H

#include <stddef.h>
#include <stdint.h>

#define SPEAK_MAX 2560

size_t speak_greeting(uint32_t transport, uint64_t now, const uint8_t token[16], char *dst);
size_t speak_heartbeat(uint32_t transport, uint64_t now, char *dst);
size_t speak_goodbye(uint32_t transport, char *dst);	/* the server stops */
size_t speak_error(uint32_t transport, uint64_t now, unsigned status, const char *text, char *dst);	/* text: at most 256 bytes */

#endif
