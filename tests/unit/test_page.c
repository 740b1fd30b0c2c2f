/*
 * worker/protocol/http_page.c: the page and janus.js are there, whole, and need nothing from elsewhere. Runs where make runs.
 */
#include "worker/protocol/http_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check_file(enum page_name name, const char *path)
{
	const struct page *page = page_get(name);
	FILE *f = fopen(path, "r");
	if (!f)
		skip();
	char *file = malloc(page->len + 1);
	assert_non_null(file);
	assert_int_equal(fread(file, 1, page->len + 1, f), page->len);
	assert_memory_equal(file, page->bytes, page->len);
	free(file);
	fclose(f);
}

static void the_files_as_they_stand(void **state)
{
	(void)state;
	check_file(PAGE_HTML, "worker/protocol/page.html");
	check_file(PAGE_JANUS_JS, "packaging/janus.js/janus.js");
}

static void end_where_they_say(void **state)
{
	(void)state;
	for (enum page_name name = 0; name < PAGES; name++)
		assert_int_equal(strlen(page_get(name)->bytes), page_get(name)->len);
	const struct page *page = page_get(PAGE_HTML);
	assert_memory_equal(page->bytes, "<!doctype html>", 15);
	assert_string_equal(page->bytes + page->len - 8, "</html>\n");
}

static void have_tags(void **state)
{
	(void)state;
	const char *html = page_get(PAGE_HTML)->tag, *js = page_get(PAGE_JANUS_JS)->tag;
	assert_int_equal(strlen(html), 18);
	assert_true(html[0] == '"' && html[17] == '"');
	assert_string_not_equal(html, js);
	assert_ptr_equal(page_get(PAGE_HTML)->tag, html);
}

/* Nothing is loaded from elsewhere, and no message becomes HTML. */
static void keeps_to_itself(void **state)
{
	(void)state;
	static const char *const never[] = {"src=", "@import", "url(", "<base", "innerHTML", "outerHTML", "insertAdjacentHTML",
		"document.write", "eval(", "http:/" "/", "https:/" "/"};
	for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
		const char *at = strstr(page_get(PAGE_HTML)->bytes, never[i]);
		if (at && !strncmp(at, "http://www.w3.org/2000/svg", 26))	/* a name, not an address */
			at = strstr(at + 1, never[i]);
		if (at)
			fail_msg("%.60s", at);
	}
}

/* Who looks at it knows what runs, and where to read on. */
static void says_what_it_is(void **state)
{
	(void)state;
	assert_non_null(strstr(page_get(PAGE_HTML)->bytes, "Janus " JANUS_VERSION "."));
	assert_non_null(strstr(page_get(PAGE_HTML)->bytes, "PROTOCOL.md"));
	assert_non_null(strstr(page_get(PAGE_JANUS_JS)->bytes, "VERSION = \"" JANUS_VERSION "\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_files_as_they_stand),
		cmocka_unit_test(end_where_they_say),
		cmocka_unit_test(have_tags),
		cmocka_unit_test(keeps_to_itself),
		cmocka_unit_test(says_what_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
