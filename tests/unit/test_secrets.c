/*
 * Secrets on their way to workers, and the keys of TLS tickets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/secrets.h"
#include "shm/tickets.h"

static void secrets_go_along(void **state)
{
	char path[] = "/tmp/janus-test-XXXXXX", bytes[70000];
	int file = mkstemp(path), fd = secrets_begin();
	struct secret secret;
	struct secrets s;
	size_t at = 0;

	(void)state;
	memset(bytes, 'k', sizeof(bytes));
	assert_int_equal(write(file, bytes, sizeof(bytes)), sizeof(bytes));
	close(file);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	assert_int_equal(secrets_add(fd, "one", "/a/file", "abc", 3), 0);
	assert_int_equal(secrets_add_file(fd, "two", path), 0);
	assert_int_equal(secrets_add(fd, "one", "", "", 0), 0);
	assert_int_equal(secrets_add_file(fd, "two", "/nowhere/at/all"), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(truncate(path, SECRETS_FILE_MAX + 1), 0);
	assert_int_equal(secrets_add_file(fd, "two", path), -1);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(secrets_seal(fd), 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);

	assert_int_equal(secrets_map(&s, fd), 0);
	assert_true(secrets_next(&s, "two", &at, &secret));
	assert_string_equal(secret.from, path);
	assert_int_equal(secret.len, sizeof(bytes));
	assert_memory_equal(secret.bytes, bytes, sizeof(bytes));
	assert_false(secrets_next(&s, "two", &at, &secret));
	at = 0;
	assert_true(secrets_next(&s, "one", &at, &secret));
	assert_string_equal(secret.from, "/a/file");
	assert_memory_equal(secret.bytes, "abc", 3);
	assert_true(secrets_next(&s, "one", &at, &secret));
	assert_int_equal(secret.len, 0);
	assert_false(secrets_next(&s, "one", &at, &secret));
	secrets_unmap(&s);
	close(fd);
	unlink(path);
}

/* Whatever stands there, nothing beyond it is read. */
static void secrets_that_make_no_sense(void **state)
{
	static const char *const bad[] = { "\xdd\xff\xff\xff\xff", "\x93\xa1x\xa1y\xc4\x05""abc", "\x92\xa1x\xa1y", "\x93\xa1x\x01\xc4\x01z", "abc" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = secrets_begin();
		struct secret secret;
		struct secrets s;
		size_t at = 0;

		assert_int_equal(write(fd, bad[i], strlen(bad[i])), strlen(bad[i]));
		assert_int_equal(secrets_map(&s, fd), 0);
		assert_false(secrets_next(&s, "x", &at, &secret));
		secrets_unmap(&s);
		close(fd);
	}
}

static void tickets_are_renewed(void **state)
{
	int fd = tickets_create();
	struct tickets_shm *master = tickets_map(fd, true), *worker = tickets_map(fd, false);
	struct ticket_key_shm first, second, third, found;
	bool old = true;

	(void)state;
	assert_non_null(master);
	assert_non_null(worker);
	assert_false(tickets_current(worker, &first));
	assert_int_equal(tickets_renew(master, 1000, 60), 0);
	assert_true(tickets_current(worker, &first));
	assert_int_equal(tickets_renew(master, 1059, 60), 0);
	assert_true(tickets_current(worker, &found));
	assert_memory_equal(&found, &first, sizeof(found));

	/* sealed with for one lifetime, opens for another */
	assert_int_equal(tickets_renew(master, 1060, 60), 0);
	assert_true(tickets_current(worker, &second));
	assert_memory_not_equal(&second, &first, sizeof(first));
	assert_true(tickets_find(worker, second.name, &found, &old));
	assert_false(old);
	assert_true(tickets_find(worker, first.name, &found, &old));
	assert_true(old);
	assert_memory_equal(&found, &first, sizeof(found));
	assert_int_equal(tickets_renew(master, 1120, 60), 0);
	assert_true(tickets_current(worker, &third));
	assert_false(tickets_find(worker, first.name, &found, &old));
	assert_true(tickets_find(worker, second.name, &found, &old));

	/* and is then written over */
	assert_int_equal(tickets_renew(master, 1180, 60), 0);
	for (int i = 0; i < TICKET_KEYS; i++)
		assert_memory_not_equal(worker->key[i].cipher, first.cipher, sizeof(first.cipher));
	tickets_unmap(master);
	tickets_unmap(worker);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_go_along),
		cmocka_unit_test(secrets_that_make_no_sense),
		cmocka_unit_test(tickets_are_renewed),
	};

	return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}
