/*
 * A worker's keys: from files, by way of secrets, and fetched ones, which change under it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "shm/fetched_keys.h"
#include "tests/unit/jwt_fixture.h"
#include "worker/service/tokens.h"

#define URL "https://example.org/jwks"

static struct settings settings;
static int fetched;
static struct fetched_keys_shm *shm;

static int setup(void **state)
{
	(void)state;
	memset(&settings, 0, sizeof(settings));
	strcpy(settings.token_keys, "/somewhere");
	strcpy(settings.token_jwks_url, URL);
	fetched = fetched_keys_create();
	shm = fetched >= 0 ? fetched_keys_map(fetched, true) : NULL;
	return shm ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	fetched_keys_unmap(shm);
	close(fetched);
	return 0;
}

static void fetch(const char *jwks)
{
	struct jwt_keys *keys = jwks ? keys_of(jwks) : jwt_keys_create();
	size_t size;
	void *packed = jwt_keys_pack(keys, &size);

	assert_non_null(packed);
	assert_true(size <= FETCHED_KEYS_MAX);
	fetched_keys_write(shm, URL, packed, size);
	free(packed);
	jwt_keys_destroy(keys);
}

static enum jwt_refusal verify(struct tokens *t, const char *token)
{
	static char block[RIGHTS_SIZE_MAX];
	const char *error;
	size_t size;

	return tokens_verify(t, token, strlen(token), RFC_EXP - 1, block, sizeof(block), &size, &error);
}

static struct tokens *create(const char *file)
{
	struct jwt_keys *keys = keys_of(file);
	struct secrets secrets;
	struct tokens *t;
	size_t size;
	void *packed = jwt_keys_pack(keys, &size);
	int fd = secrets_begin();

	assert_int_equal(secrets_add(fd, SECRET_TOKEN_KEYS, "token_keys", packed, size), 0);
	assert_int_equal(secrets_seal(fd), 0);
	assert_int_equal(secrets_map(&secrets, fd), 0);
	t = tokens_create(&settings, &secrets, fetched);
	assert_non_null(t);
	secrets_unmap(&secrets);
	close(fd);
	free(packed);
	jwt_keys_destroy(keys);
	return t;
}

/* Fetched keys come and go beside those of files, which stay. */
static void fetched_while_it_runs(void **state)
{
	struct tokens *t = create(RFC_OCT);

	(void)state;
	assert_int_equal(verify(t, RFC_HS256), JWT_ACCEPTED);
	assert_int_equal(verify(t, RFC_ES256), JWT_NO_KEY);
	fetch(RFC_EC);
	assert_int_equal(verify(t, RFC_ES256), JWT_ACCEPTED);
	assert_int_equal(verify(t, RFC_HS256), JWT_ACCEPTED);
	fetch(RFC_RSA);
	assert_int_equal(verify(t, RFC_ES256), JWT_NO_KEY);
	assert_int_equal(verify(t, RFC_RS256), JWT_ACCEPTED);
	fetch(NULL);
	assert_int_equal(verify(t, RFC_RS256), JWT_NO_KEY);
	assert_int_equal(verify(t, RFC_HS256), JWT_ACCEPTED);
	tokens_destroy(t);
}

/* A worker that comes later has what was fetched before; and no such keys if the setting is gone. */
static void fetched_before(void **state)
{
	struct tokens *t;

	(void)state;
	fetch(RFC_EC);
	assert_true(fetched_keys_from(shm, URL));
	assert_false(fetched_keys_from(shm, URL "2"));
	t = create(RFC_OCT);
	assert_int_equal(verify(t, RFC_ES256), JWT_ACCEPTED);
	tokens_destroy(t);
	settings.token_jwks_url[0] = '\0';
	t = create(RFC_OCT);
	assert_int_equal(verify(t, RFC_ES256), JWT_NO_KEY);
	tokens_destroy(t);
}

static void by_the_settings(void **state)
{
	struct tokens *t = create(RFC_OCT);

	(void)state;
	assert_true(tokens_are_on(&settings));
	strcpy(settings.token_issuer, "ann joe");
	assert_int_equal(verify(t, RFC_HS256), JWT_ACCEPTED);
	strcpy(settings.token_issuer, "ann");
	assert_int_equal(verify(t, RFC_HS256), JWT_ISSUER);
	settings.token_issuer[0] = '\0';
	strcpy(settings.token_audience, "us");
	assert_int_equal(verify(t, RFC_HS256), JWT_AUDIENCE);
	tokens_destroy(t);
	settings.token_jwks_url[0] = settings.token_keys[0] = '\0';
	assert_false(tokens_are_on(&settings));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(fetched_while_it_runs, setup, teardown), cmocka_unit_test_setup_teardown(fetched_before, setup, teardown),
		cmocka_unit_test_setup_teardown(by_the_settings, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
