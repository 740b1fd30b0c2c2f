/*
 * worker/protocol/http_page.c: the page is there, whole, and needs nothing from elsewhere. Runs where make runs.
 */
#include "worker/protocol/http_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void the_file_as_it_stands(void **state)
{
	(void)state;
	FILE *f = fopen("worker/protocol/page.html", "r");
	if (!f)
		skip();
	char *file = malloc(page_html_len + 1);
	assert_non_null(file);
	assert_int_equal(fread(file, 1, page_html_len + 1, f), page_html_len);
	assert_memory_equal(file, page_html, page_html_len);
	free(file);
	fclose(f);
}

static void ends_where_it_says(void **state)
{
	(void)state;
	assert_int_equal(strlen(page_html), page_html_len);
	assert_memory_equal(page_html, "<!doctype html>", 15);
	assert_string_equal(page_html + page_html_len - 8, "</html>\n");
}

/* Nothing is loaded from elsewhere, and no message becomes HTML. */
static void keeps_to_itself(void **state)
{
	(void)state;
	static const char *const never[] = {"src=", "@import", "url(", "<base", "innerHTML", "outerHTML", "insertAdjacentHTML",
		"document.write", "eval(", "http:/" "/", "https:/" "/"};
	for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
		const char *at = strstr(page_html, never[i]);
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
	assert_non_null(strstr(page_html, "Janus " JANUS_VERSION "."));
	assert_non_null(strstr(page_html, "PROTOCOL.md"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_as_it_stands),
		cmocka_unit_test(ends_where_it_says),
		cmocka_unit_test(keeps_to_itself),
		cmocka_unit_test(says_what_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
