/*
 * The assembler takes the files in: no tool turns them into C, and the compiler does not parse them. The paths are seen from where make
 * runs; the Makefile knows that this object depends on the files.
 */
#include "worker/protocol/http_page.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include "proto/http_response.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

#define TAKE_IN(name, path)                                                      \
	__asm__(                                                                 \
		".pushsection .rodata, \"a\"\n"                                  \
		".globl " #name "\n"                                             \
		".type " #name ", %object\n"                                     \
		#name ":\n"                                                      \
		".incbin \"" path "\"\n"                                         \
		".L" #name "_end:\n"                                             \
		".size " #name ", .L" #name "_end - " #name "\n"                 \
		".if .L" #name "_end - " #name " > " TEXT(PAGE_MAX) "\n"         \
		".error \"" path " is larger than PAGE_MAX\"\n"                   \
		".endif\n"                                                       \
		".byte 0\n"                                                      \
		".balign " TEXT(__SIZEOF_SIZE_T__) "\n"                          \
		".globl " #name "_len\n"                                         \
		".type " #name "_len, %object\n"                                 \
		".size " #name "_len, " TEXT(__SIZEOF_SIZE_T__) "\n"             \
		#name "_len:\n"                                                  \
		"." TEXT(__SIZEOF_SIZE_T__) "byte .L" #name "_end - " #name "\n" \
		".popsection\n");                                                \
	extern const char name[];                                                \
	extern const size_t name##_len;

TAKE_IN(page_html, "worker/protocol/page.html")
TAKE_IN(page_janus_js, "packaging/janus.js/janus.js")

static struct page pages[PAGES];	/* with bytes NULL: not asked for yet */

/* FNV-1a: it need only be another one of the next version's bytes. */
static void put_tag(struct page *page)
{
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < page->len; i++)
		hash = (hash ^ (uint8_t)page->bytes[i]) * 1099511628211u;
	snprintf(page->tag, sizeof(page->tag), "\"%016" PRIx64 "\"", hash);
}

const struct page *page_get(enum page_name name)
{
	struct page *page = &pages[name];

	if (page->bytes)
		return page;
	if (name == PAGE_HTML)
		*page = (struct page){ .bytes = page_html, .len = page_html_len, .type = HTTP_HTML };
	else
		*page = (struct page){ .bytes = page_janus_js, .len = page_janus_js_len, .type = HTTP_JAVASCRIPT };
	put_tag(page);
	return page;
}
