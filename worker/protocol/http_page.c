/*
 * The assembler takes the page in: no tool turns it into C, and the compiler does not parse it. The path is seen from where make
 * runs; the Makefile knows that this object depends on the page.
 */
#include "worker/protocol/http_page.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

__asm__(
	".pushsection .rodata, \"a\"\n"
	".globl page_html\n"
	".type page_html, %object\n"
	"page_html:\n"
	".incbin \"worker/protocol/page.html\"\n"
	".Lpage_html_end:\n"
	".size page_html, .Lpage_html_end - page_html\n"
	".byte 0\n"
	".balign " TEXT(__SIZEOF_SIZE_T__) "\n"
	".globl page_html_len\n"
	".type page_html_len, %object\n"
	".size page_html_len, " TEXT(__SIZEOF_SIZE_T__) "\n"
	"page_html_len:\n"
	"." TEXT(__SIZEOF_SIZE_T__) "byte .Lpage_html_end - page_html\n"
	".popsection\n"
);
