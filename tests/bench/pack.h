/*
 * As much of msgpack as the packets of janusbench have: maps, texts, unsigned numbers and truth; arrays. Each reader takes its value from *at,
 * which moves behind it, and returns 0; or -1, and then *at is of no use.
 */
#ifndef BENCH_PACK_H
#define BENCH_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACK_HEAD 4u		/* a packet's length: 4 bytes, big-endian, not counted in it */

/* Each writes to dst and returns its length. */
size_t pack_head(char *dst, size_t len);
size_t pack_map(char *dst, unsigned members);		/* at most 15 */
size_t pack_array(char *dst, unsigned values);		/* their head; at most 65535 */
size_t pack_text_head(char *dst, size_t len);		/* of a text, whose bytes follow */
size_t pack_text(char *dst, const char *text);

/* The length of the packet at `bytes` with its head, 0 if it is not all there. */
size_t pack_cut(const char *bytes, size_t n);

int pack_take_map(const char **at, const char *end, uint64_t *members);
int pack_take_array(const char **at, const char *end, uint64_t *values);
int pack_take_text(const char **at, const char *end, const char **text, size_t *len);
int pack_take_word(const char **at, const char *end, const char *word);	/* a text that must be this one */
int pack_take_number(const char **at, const char *end, uint64_t *v);
int pack_take_true(const char **at, const char *end);
int pack_take_bool(const char **at, const char *end, bool *v);

#endif
