/*
 * What is served as it stands: the page at `/`, worker/protocol/page.html, on admin listeners with worker/protocol/figures.html behind it; and the client
 * that it imports, packaging/janus.js/janus.js. UTF-8, in read-only memory, followed by a zero byte that is not counted.
 */
#ifndef WORKER_PROTOCOL_HTTP_PAGE_H
#define WORKER_PROTOCOL_HTTP_PAGE_H

#include <stddef.h>

#define PAGE_MAX 65536			/* bytes; the assembler makes sure of it */
#define PAGE_TAG_MAX 24

enum page_name { PAGE_HTML, PAGE_ADMIN_HTML, PAGE_JANUS_JS, PAGES };

struct page {
	const char *bytes, *type;
	size_t len;
	char tag[PAGE_TAG_MAX];		/* an ETag, with its quotes: another one of other bytes */
};

const struct page *page_get(enum page_name name);

#endif
