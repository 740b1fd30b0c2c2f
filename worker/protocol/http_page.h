/*
 * The page that is served at `/`, worker/protocol/page.html as it stands: UTF-8, in read-only memory, followed by a zero byte that is not counted.
 */
#ifndef WORKER_PROTOCOL_HTTP_PAGE_H
#define WORKER_PROTOCOL_HTTP_PAGE_H

#include <stddef.h>

extern const char page_html[];
extern const size_t page_html_len;

#endif
