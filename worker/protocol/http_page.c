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

#define FROM(path) ".incbin \"" path "\"\n"

/* `from`: one FROM() or several, whose bytes follow one another. */
#define TAKE_IN(name, from)                                                      \
	__asm__(                                                                 \
		".pushsection .rodata, \"a\"\n"                                  \
		".globl " #name "\n"                                             \
		".type " #name ", %object\n"                                     \
		#name ":\n"                                                      \
		from                                                             \
		".L" #name "_end:\n"                                             \
		".size " #name ", .L" #name "_end - " #name "\n"                 \
		".if .L" #name "_end - " #name " > " TEXT(PAGE_MAX) "\n"         \
		".error \"" #name " is larger than PAGE_MAX\"\n"                \
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

TAKE_IN(page_html, FROM("worker/protocol/page.html"))
TAKE_IN(page_admin_html, FROM("worker/protocol/page.html") FROM("worker/protocol/figures.html"))
TAKE_IN(page_janus_js, FROM("packaging/janus.js/janus.js"))

static const struct {
	const char *bytes;
	const size_t *len;
	const char *type;
} taken_in[PAGES] = {
	[PAGE_HTML] = { page_html, &page_html_len, HTTP_HTML },
	[PAGE_ADMIN_HTML] = { page_admin_html, &page_admin_html_len, HTTP_HTML },
	[PAGE_JANUS_JS] = { page_janus_js, &page_janus_js_len, HTTP_JAVASCRIPT },
};

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
	*page = (struct page){ .bytes = taken_in[name].bytes, .len = *taken_in[name].len, .type = taken_in[name].type };
	put_tag(page);
	return page;
}
