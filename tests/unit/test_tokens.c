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
#include "worker/service/token_memory.h"
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

static enum jwt_refusal verify_anew(const char *token)
{
	struct tokens *t = create(RFC_OCT);
	enum jwt_refusal refusal = verify(t, token);

	tokens_destroy(t);
	return refusal;
}

static void by_the_settings(void **state)
{
	(void)state;
	assert_true(tokens_are_on(&settings));
	strcpy(settings.token_issuer, "ann joe");
	assert_int_equal(verify_anew(RFC_HS256), JWT_ACCEPTED);
	strcpy(settings.token_issuer, "ann");
	assert_int_equal(verify_anew(RFC_HS256), JWT_ISSUER);
	settings.token_issuer[0] = '\0';
	strcpy(settings.token_audience, "us");
	assert_int_equal(verify_anew(RFC_HS256), JWT_AUDIENCE);
	settings.token_jwks_url[0] = settings.token_keys[0] = '\0';
	assert_false(tokens_are_on(&settings));
}

/* A token that was good is not checked again (as settings that are changed under it show), but for its time; one that was not is. */
static void checked_once(void **state)
{
	static char block[RIGHTS_SIZE_MAX];
	struct tokens *t = create(RFC_OCT);
	const char *error;
	size_t size;

	(void)state;
	assert_int_equal(verify(t, RFC_HS256), JWT_ACCEPTED);
	strcpy(settings.token_issuer, "ann");
	memset(block, 0xee, sizeof(block));
	assert_int_equal(tokens_verify(t, RFC_HS256, strlen(RFC_HS256), RFC_EXP + JWT_SKEW - 1, block, sizeof(block), &size, &error), JWT_ACCEPTED);
	assert_true(rights_check(block, size));
	assert_int_equal(((const struct rights *)block)->expires, RFC_EXP + JWT_SKEW);
	settings.token_issuer[0] = '\0';
	assert_int_equal(tokens_verify(t, RFC_HS256, strlen(RFC_HS256), RFC_EXP + JWT_SKEW, block, sizeof(block), &size, &error), JWT_EXPIRED);
	assert_int_equal(tokens_verify(t, RFC_HS256, strlen(RFC_HS256), RFC_EXP, block, sizeof(block), &size, &error), JWT_ACCEPTED);
	for (int i = 0; i < 2; i++)
		assert_int_not_equal(tokens_verify(t, RFC_HS256, strlen(RFC_HS256) - 1, RFC_EXP, block, sizeof(block), &size, &error), JWT_ACCEPTED);
	/* other keys: what these found is nothing any more */
	strcpy(settings.token_issuer, "ann");
	fetch(RFC_EC);
	assert_int_equal(verify(t, RFC_HS256), JWT_ISSUER);
	tokens_destroy(t);
	settings.token_issuer[0] = '\0';
}

static const struct rights *rights_of(const char *sub, unsigned grants, int64_t expires)
{
	static _Alignas(struct rights) char block[RIGHTS_SIZE_MAX];
	struct rights_writer w;
	const char *error;

	rights_begin(&w, block, sizeof(block), sub, strlen(sub), expires);
	for (unsigned i = 0; i < grants; i++)
		rights_grant(&w, RIGHTS_TOPICS, RIGHT_PUBLISH, "news", 4);
	assert_true(rights_end(&w, &error) > 0);
	return (const struct rights *)block;
}

static void memory(void **state)
{
	uint8_t one[SHA256_DIGEST_LENGTH] = { 1, 2, 3 }, same_place[SHA256_DIGEST_LENGTH] = { 1, 2, 4 }, other[SHA256_DIGEST_LENGTH] = { 1, 3, 3 };
	struct token_memory m = { 0 };

	(void)state;
	assert_null(token_memory_find(&m, one, 0));
	token_memory_add(&m, one, rights_of("bob", 1, 100));
	token_memory_add(&m, other, rights_of("ann", 1, INT64_MAX));
	assert_int_equal(token_memory_find(&m, one, 99)->sub_len, 3);
	assert_memory_equal(token_memory_find(&m, one, 99)->sub, "bob", 3);
	assert_memory_equal(token_memory_find(&m, other, INT64_MAX - 1)->sub, "ann", 3);
	assert_null(token_memory_find(&m, one, 100));
	assert_null(token_memory_find(&m, same_place, 0));
	token_memory_add(&m, same_place, rights_of("eve", 1, 100));
	assert_null(token_memory_find(&m, one, 0));
	assert_memory_equal(token_memory_find(&m, same_place, 0)->sub, "eve", 3);
	token_memory_add(&m, one, rights_of("bob", 200, 100));		/* too large to be kept */
	assert_null(token_memory_find(&m, one, 0));
	token_memory_clear(&m);
	assert_null(token_memory_find(&m, other, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(fetched_while_it_runs, setup, teardown), cmocka_unit_test_setup_teardown(fetched_before, setup, teardown),
		cmocka_unit_test_setup_teardown(by_the_settings, setup, teardown), cmocka_unit_test_setup_teardown(checked_once, setup, teardown), cmocka_unit_test(memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
