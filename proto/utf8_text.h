/*
 * Whole texts of UTF-8. (Beside utf8.h, which knows single sequences; to be merged with it.)
 */
#ifndef PROTO_UTF8_TEXT_H
#define PROTO_UTF8_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Whether all of it is UTF-8. An empty text is. */
bool utf8_text(const void *bytes, size_t len);

#endif
