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

/* From `at` on the page is the file. Where that ends. */
static size_t check_file(enum page_name name, size_t at, const char *path)
{
	const struct page *page = page_get(name);
	FILE *f = fopen(path, "r");
	if (!f)
		skip();
	char *file = malloc(PAGE_MAX);
	assert_non_null(file);
	size_t len = fread(file, 1, PAGE_MAX, f);
	assert_true(len > 0 && len <= page->len - at);
	assert_memory_equal(file, page->bytes + at, len);
	free(file);
	fclose(f);
	return at + len;
}

static void the_files_as_they_stand(void **state)
{
	(void)state;
	assert_int_equal(check_file(PAGE_HTML, 0, "worker/protocol/page.html"), page_get(PAGE_HTML)->len);
	assert_int_equal(check_file(PAGE_JANUS_JS, 0, "packaging/janus.js/janus.js"), page_get(PAGE_JANUS_JS)->len);
	size_t page = check_file(PAGE_ADMIN_HTML, 0, "worker/protocol/page.html");
	assert_int_equal(check_file(PAGE_ADMIN_HTML, page, "worker/protocol/figures.html"), page_get(PAGE_ADMIN_HTML)->len);
}

static void end_where_they_say(void **state)
{
	(void)state;
	for (enum page_name name = 0; name < PAGES; name++)
		assert_int_equal(strlen(page_get(name)->bytes), page_get(name)->len);
	for (enum page_name name = PAGE_HTML; name <= PAGE_ADMIN_HTML; name++) {
		const struct page *page = page_get(name);
		assert_memory_equal(page->bytes, "<!doctype html>", 15);
		assert_string_equal(page->bytes + page->len - 10, "</script>\n");
	}
}

static void have_tags(void **state)
{
	(void)state;
	const char *html = page_get(PAGE_HTML)->tag, *admin = page_get(PAGE_ADMIN_HTML)->tag, *js = page_get(PAGE_JANUS_JS)->tag;
	assert_int_equal(strlen(html), 18);
	assert_true(html[0] == '"' && html[17] == '"');
	assert_string_not_equal(html, js);
	assert_string_not_equal(html, admin);
	assert_ptr_equal(page_get(PAGE_HTML)->tag, html);
}

/* Nothing is loaded from elsewhere, and no message becomes HTML. */
static void keeps_to_itself(void **state)
{
	(void)state;
	static const char *const never[] = {"src=", "@import", "url(", "<base", "innerHTML", "outerHTML", "insertAdjacentHTML",
		"document.write", "eval(", "http:/" "/", "https:/" "/"};
	for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
		const char *at = strstr(page_get(PAGE_ADMIN_HTML)->bytes, never[i]);
		if (at && !strncmp(at, "http://www.w3.org/2000/svg", 26))	/* a name, not an address */
			at = strstr(at + 1, never[i]);
		if (at)
			fail_msg("%.60s", at);
	}
}

/* Who is not to have the figures has a page that knows nothing of them. */
static void figures_are_for_admins(void **state)
{
	(void)state;
	assert_non_null(strstr(page_get(PAGE_ADMIN_HTML)->bytes, "fetch(\"metrics\""));
	assert_null(strstr(page_get(PAGE_HTML)->bytes, "metrics"));
	assert_null(strstr(page_get(PAGE_HTML)->bytes, "figures"));
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
		cmocka_unit_test(figures_are_for_admins),
		cmocka_unit_test(says_what_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
