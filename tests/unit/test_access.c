/*
 * Who a client is by its certificate: on a connection that speaks HTTP, each request is his, and what one of them shows is nothing to the next, also if a worker died over it. And an auth for
 * which there is no memory.
 */
#include "tests/unit/worker_fixture.h"

#include "proto/jwt.h"
#include "shm/secrets.h"
#include "worker/service/access.h"

static struct access *create(struct worker_fixture *w, const char *rules)
{
	static struct access *made;	/* (a worker has one as long as it lives) */

	snprintf(w->settings.tls_client_rights, sizeof(w->settings.tls_client_rights), "%s", rules);
	made = access_create(&w->base, -1, -1);
	assert_non_null(made);
	w->service.access = made;
	return made;
}

static bool may_publish(struct worker_fixture *w, int fd, const char *topic)
{
	struct topic_name name = subscribe_topic_name(false, topic, strlen(topic));

	return access_gives(&w->service, fd, access_rights(&w->service, fd), RIGHT_PUBLISH, &name);
}

static bool may_read(struct worker_fixture *w, int fd, const char *user)
{
	struct topic_name name = subscribe_topic_name(true, user, strlen(user));

	return access_gives(&w->service, fd, access_rights(&w->service, fd), RIGHT_SUBSCRIBE, &name);
}

/* What a token of bob's gives, until some time. */
static const struct rights *of_token(const char *topic, int64_t expires)
{
	static _Alignas(struct rights) char block[256];
	struct rights_writer writer;
	const char *error;

	rights_begin(&writer, block, sizeof(block), "bob", 3, expires);
	rights_grant(&writer, RIGHTS_TOPICS, RIGHT_ALL, topic, strlen(topic));
	assert_true(rights_end(&writer, &error) > 0);
	return (const struct rights *)block;
}

static void each_request_is_his(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_HTTP), other = opened(w, TRANSPORT_HTTP);

	create(w, "publish:news");
	assert_null(access_certificate(&w->service, ""));
	assert_int_equal(session_set_rights(&w->base, fd, access_certificate(&w->service, "bob")), 0);
	access_begin(&w->service, fd);			/* a page of another site: it does not count */
	assert_null(access_rights(&w->service, fd));
	assert_false(may_publish(w, fd, "news") || may_read(w, fd, "bob"));
	access_certified(&w->service, fd);
	assert_true(may_publish(w, fd, "news") && may_read(w, fd, "bob"));
	assert_false(may_publish(w, fd, "other") || may_read(w, fd, "ann"));
	access_begin(&w->service, other);
	access_certified(&w->service, other);
	assert_false(may_publish(w, other, "news") || may_read(w, other, "bob"));
	assert_false(may_publish(w, fd, "news"));	/* (it is another's request that is dealt with) */
}

/* The successor of a worker that died as a request with a token was to become a stream finds that token's block. */
static void what_a_request_left_is_gone(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_HTTP);

	create(w, "publish:news");
	assert_int_equal(session_set_rights(&w->base, fd, access_certificate(&w->service, "bob")), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(session_set_rights(&w->base, fd, i ? of_token("other", INT64_MAX) : of_token("other", 5)), 0);
		access_begin(&w->service, fd);
		access_certified(&w->service, fd);
		assert_false(may_publish(w, fd, "other"));
		assert_true(may_publish(w, fd, "news") && may_read(w, fd, "bob"));
		assert_int_equal(session_rights(&w->base, fd)->grants, 0);
		assert_int_equal(session_rights(&w->base, fd)->expires, INT64_MAX);
		assert_int_equal(session_rights(&w->base, fd)->certified, 1);
	}
	assert_int_equal(lent(w), 1);
}

/* Whatever else it is, what is there without a certificate's mark is nothing while HTTP is spoken. */
static void without_a_certificate_it_is_nobodys(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_HTTP);

	create(w, "publish:news");
	assert_int_equal(session_set_rights(&w->base, fd, of_token("other", INT64_MAX)), 0);
	access_begin(&w->service, fd);
	access_certified(&w->service, fd);
	assert_null(access_rights(&w->service, fd));
	assert_false(may_publish(w, fd, "other") || may_publish(w, fd, "news"));
	w->settings.tls_client_rights[0] = '\0';
}

static void without_the_setting_it_says_nothing(void **state)
{
	struct worker_fixture *w = *state;

	create(w, "");
	assert_null(access_certificate(&w->service, "bob"));
}

/* ---- auth ---- */

#define SECRET "a secret of the tests, of more than 32 bytes"

/* Has the service know tokens; the keys that sign them. */
static struct jwt_keys *with_tokens(struct worker_fixture *w)
{
	static struct access *made;
	struct jwt_keys *keys = jwt_keys_create();
	char why[JWT_KEYS_ERROR_MAX];
	int fd = secrets_begin();
	size_t size;
	void *packed;

	assert_int_equal(jwt_keys_add(keys, SECRET, strlen(SECRET), why), 0);
	packed = jwt_keys_pack(keys, &size);
	assert_int_equal(secrets_add(fd, SECRET_TOKEN_KEYS, "token_keys", packed, size), 0);
	assert_int_equal(secrets_seal(fd), 0);
	strcpy(w->settings.token_keys, "/somewhere");
	made = access_create(&w->base, fd, -1);
	assert_non_null(made);
	w->service.access = made;
	close(fd);
	free(packed);
	return keys;
}

/* A token of hers or his, with rights to so many topics, the caller's. */
static char *token_of(struct jwt_keys *keys, const char *sub, unsigned topics)
{
	char claims[8000];
	const char *error;
	size_t len = (size_t)snprintf(claims, sizeof(claims), "{\"sub\":\"%s\",\"caps\":[{\"allow\":[\"pub\"],\"channels\":[\"news\"", sub);
	char *token;

	for (unsigned i = 0; i < topics; i++)
		len += (size_t)snprintf(claims + len, sizeof(claims) - len, ",\"a long name of a topic%u\"", i);
	len += (size_t)snprintf(claims + len, sizeof(claims) - len, "]}]}");
	token = jwt_sign(keys, claims, len, &error);
	assert_non_null(token);
	return token;
}

static struct outcome auth(struct worker_fixture *w, struct cursor *c, const char *token)
{
	struct request req = { .kind = REQUEST_AUTH, .after = 10, .shown = token, .shown_len = strlen(token) };
	struct outcome o;

	request_serve(&w->service, c, &req, &o);
	return o;
}

static void without_memory_it_stays_what_it_was(void **state)
{
	struct worker_fixture *w = *state;
	struct jwt_keys *keys = with_tokens(w);
	char *bob = token_of(keys, "bob", 1), *alice = token_of(keys, "alice", 150);
	struct cursor c = { .sid = opened(w, TRANSPORT_FLASH) };
	struct outcome o = auth(w, &c, bob);

	assert_null(o.error);
	pool_charge_to(&w->base.pool, &w->base.hub, SLOT);
	w->base.hub.shm->buffered_max = 4096;
	w->base.pool.spare = 0;
	o = auth(w, &c, alice);
	assert_string_equal(o.error, "out of memory");
	assert_int_equal(o.status, 503);
	assert_int_equal(o.expires, 0);
	assert_true(may_read(w, c.sid, "bob") && may_publish(w, c.sid, "news"));
	assert_false(may_read(w, c.sid, "alice"));
	assert_int_equal(lent(w), 1);
	w->base.hub.shm->buffered_max = 1 << 20;
	assert_null(auth(w, &c, alice).error);
	assert_true(may_read(w, c.sid, "alice"));
	assert_false(may_read(w, c.sid, "bob"));
	assert_int_equal(lent(w), 1);
	free(bob);
	free(alice);
	jwt_keys_destroy(keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(service, each_request_is_his),
		TEST_ON(service, what_a_request_left_is_gone),
		TEST_ON(service, without_a_certificate_it_is_nobodys),
		TEST_ON(service, without_the_setting_it_says_nothing),
		TEST_ON(service, without_memory_it_stays_what_it_was),
	};

	alarm(60);
	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
