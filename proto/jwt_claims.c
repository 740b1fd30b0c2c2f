/*
 * Claims of tokens.
 */
#include "proto/jwt_claims.h"

#include <math.h>
#include <string.h>

#include "proto/rights.h"

static enum jwt_refusal refuse(const char **error, enum jwt_refusal refusal, const char *text)
{
	*error = text;
	return refusal;
}

/* ---- when, for whom, from whom ---- */

/* A NumericDate (RFC 7519, section 2): seconds, which may have a fraction. False: it is none. */
static bool date_of(const json_t *v, int64_t *seconds)
{
	const int64_t most = INT64_C(1) << 53;
	double real;

	if (json_is_integer(v)) {
		*seconds = json_integer_value(v);
		return *seconds >= -most && *seconds <= most;
	}
	real = floor(json_real_value(v));
	if (!json_is_real(v) || !(real >= (double)-most && real <= (double)most))
		return false;
	*seconds = (int64_t)real;
	return true;
}

/* Whether a text is one of a list's items. */
static bool in_list(const char *list, const json_t *v)
{
	size_t len = json_string_length(v), n;

	if (!json_is_string(v) || len == 0)
		return false;
	for (const char *p = list + strspn(list, " ,"); *p; p += n + strspn(p + n, " ,")) {
		n = strcspn(p, " ,");
		if (n == len && memcmp(p, json_string_value(v), n) == 0)
			return true;
	}
	return false;
}

static bool is_for(const char *audience, const json_t *aud)
{
	const json_t *v;
	size_t i;

	json_array_foreach(aud, i, v)
		if (in_list(audience, v))
			return true;
	return in_list(audience, aud);
}

enum jwt_refusal jwt_claims_check(const json_t *claims, int64_t now, const struct jwt_options *options, int64_t *expires, const char **error)
{
	const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf"), *iat = json_object_get(claims, "iat");
	int64_t from = 0, ignored;

	*expires = INT64_MAX;
	if (exp && !date_of(exp, expires))
		return refuse(error, JWT_MALFORMED, "the token's exp is no number of seconds");
	if (nbf && !date_of(nbf, &from))
		return refuse(error, JWT_MALFORMED, "the token's nbf is no number of seconds");
	if (iat && !date_of(iat, &ignored))
		return refuse(error, JWT_MALFORMED, "the token's iat is no number of seconds");
	if (exp)
		*expires += JWT_SKEW;
	if (exp && *expires <= now)
		return refuse(error, JWT_EXPIRED, "the token has expired");
	if (nbf && from > now + JWT_SKEW)
		return refuse(error, JWT_NOT_YET, "the token is not valid yet");
	if (options->audience && *options->audience && !is_for(options->audience, json_object_get(claims, "aud")))
		return refuse(error, JWT_AUDIENCE, "the token is not for this server (aud)");
	if (options->issuer && *options->issuer && !in_list(options->issuer, json_object_get(claims, "iss")))
		return refuse(error, JWT_ISSUER, "the token is not from an issuer that is trusted here (iss)");
	return JWT_ACCEPTED;
}

/* ---- rights ---- */

struct granting {
	struct rights_writer w;
	const char *error;		/* the first one */
};

static void fail(struct granting *g, const char *text)
{
	if (!g->error)
		g->error = text;
}

/* Names begin with no control character: the server's own ones do. */
static bool is_name(const json_t *v)
{
	return json_is_string(v) && json_string_length(v) > 0 && (unsigned char)json_string_value(v)[0] >= ' ';
}

static void grant(struct granting *g, enum rights_kind kind, unsigned rights, const json_t *name)
{
	if (is_name(name))
		rights_grant(&g->w, kind, rights, json_string_value(name), json_string_length(name));
	else
		fail(g, "the token has something else where the name of a topic or user should be");
}

/* Grants of all names of an array. */
static void grant_all(struct granting *g, enum rights_kind kind, unsigned rights, const json_t *names)
{
	const json_t *name;
	size_t i;

	if (names && !json_is_array(names))
		fail(g, "the token has something else where a list of topics or users should be");
	json_array_foreach(names, i, name)
		grant(g, kind, rights, name);
}

static unsigned right_of(const json_t *word)
{
	static const struct {
		const char *word;
		unsigned right;
	} words[] = { { "sub", RIGHT_SUBSCRIBE }, { "pub", RIGHT_PUBLISH }, { "hst", RIGHT_HISTORY }, { "prs", RIGHT_PRESENCE } };

	for (unsigned i = 0; json_is_string(word) && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(json_string_value(word), words[i].word) == 0)
			return words[i].right;
	return 0;
}

static unsigned rights_of(struct granting *g, const json_t *allow)
{
	const json_t *word;
	unsigned rights = 0;
	size_t i;

	if (!json_is_array(allow))
		fail(g, "a cap of the token has no list `allow`");
	json_array_foreach(allow, i, word) {
		if (!right_of(word))
			fail(g, "a cap of the token allows what is none of sub, pub, hst and prs");
		rights |= right_of(word);
	}
	return rights;
}

static void read_cap(struct granting *g, const json_t *cap)
{
	const json_t *channels = json_object_get(cap, "channels"), *users = json_object_get(cap, "users"), *broadcast = json_object_get(cap, "broadcast"),
		     *match = json_object_get(cap, "match");
	unsigned rights;

	if (!json_is_object(cap)) {
		fail(g, "a cap of the token is no object");
		return;
	}
	rights = rights_of(g, json_object_get(cap, "allow"));
	if (match && (!json_is_string(match) || strcmp(json_string_value(match), "wildcard") != 0))
		fail(g, "a cap of the token has a `match` that is not `wildcard`");
	if (!channels && !users && !broadcast)
		fail(g, "a cap of the token has neither channels nor users nor broadcast");
	grant_all(g, RIGHTS_TOPICS, rights, channels);
	grant_all(g, RIGHTS_USERS, rights, users);
	if (broadcast && !json_is_boolean(broadcast))
		fail(g, "a cap of the token has a `broadcast` that is neither true nor false");
	if (json_is_true(broadcast))
		rights_grant(&g->w, RIGHTS_EVERYBODY, rights, "", 0);
}

static void read_caps(struct granting *g, const json_t *caps)
{
	const json_t *cap;
	size_t i;

	if (caps && !json_is_array(caps))
		fail(g, "the token's caps are no array");
	json_array_foreach(caps, i, cap)
		read_cap(g, cap);
}

/* ---- Mercure ---- */

/*
 * A topic selector: `*`, or a topic. What Mercure's template or pattern would mean is not what it would mean here, and `*` within a name means nothing
 * there, so those give no right: less than was meant, and never more.
 */
static void grant_selector(struct granting *g, unsigned rights, const json_t *selector)
{
	const char *text = json_string_value(selector);

	if (is_name(selector) && strcmp(text, "*") != 0 && strpbrk(text, "{}*>"))
		return;
	grant(g, RIGHTS_TOPICS, rights, selector);
}

static void grant_selectors(struct granting *g, unsigned rights, const json_t *selectors)
{
	const json_t *selector;
	size_t i;

	if (selectors && !json_is_array(selectors))
		fail(g, "the token has something else where a list of topic selectors should be");
	json_array_foreach(selectors, i, selector)
		grant_selector(g, rights, selector);
}

/* A Mercure subscriber may ask for what it missed, and so for history. */
#define MERCURE_SUBSCRIBE (RIGHT_SUBSCRIBE | RIGHT_HISTORY)

static void read_mercure(struct granting *g, const json_t *mercure)
{
	if (mercure && !json_is_object(mercure))
		fail(g, "the token's mercure is no object");
	grant_selectors(g, MERCURE_SUBSCRIBE, json_object_get(mercure, "subscribe"));
	grant_selectors(g, RIGHT_PUBLISH, json_object_get(mercure, "publish"));
}

#define MERCURE_DETAIL "https://mercure.rocks/authorization-detail"

static bool has(const json_t *array, const char *word)
{
	const json_t *v;
	size_t i;

	json_array_foreach(array, i, v)
		if (json_is_string(v) && strcmp(json_string_value(v), word) == 0)
			return true;
	return false;
}

/* One topic of a detail: {"match": TOPIC}, with no other member, as others say how else it is to be read. */
static void grant_match(struct granting *g, unsigned rights, const json_t *topic)
{
	if (!json_is_object(topic) || !json_is_string(json_object_get(topic, "match")))
		fail(g, "a topic of the token's authorization_details is no object with `match`");
	else if (json_object_size(topic) == 1)
		grant_selector(g, rights, json_object_get(topic, "match"));
}

/* Details of other types are for others (RFC 9396, section 2). */
static void read_details(struct granting *g, const json_t *details)
{
	const json_t *detail, *topic;
	size_t i, j;

	if (details && !json_is_array(details))
		fail(g, "the token's authorization_details are no array");
	json_array_foreach(details, i, detail) {
		const json_t *type = json_object_get(detail, "type"), *actions = json_object_get(detail, "actions"), *topics = json_object_get(detail, "topics");
		unsigned rights = (has(actions, "subscribe") ? MERCURE_SUBSCRIBE : 0) | (has(actions, "publish") ? RIGHT_PUBLISH : 0);

		if (!json_is_string(type) || strcmp(json_string_value(type), MERCURE_DETAIL) != 0)
			continue;
		if (!json_is_array(actions) || !json_is_array(topics))
			fail(g, "the token's authorization_details lack a list `actions` or `topics`");
		json_array_foreach(topics, j, topic)
			grant_match(g, rights, topic);
	}
}

/* ---- */

enum jwt_refusal jwt_claims_rights(const json_t *claims, int64_t expires, void *dst, size_t room, size_t *size, const char **error)
{
	const json_t *sub = json_object_get(claims, "sub");
	struct granting g = { .error = NULL };
	const char *why;
	size_t n;

	if (sub && !is_name(sub) && !(json_is_string(sub) && json_string_length(sub) == 0))
		return refuse(error, JWT_MALFORMED, "the token's sub is no name");
	rights_begin(&g.w, dst, room, sub ? json_string_value(sub) : "", json_string_length(sub), expires);
	grant_all(&g, RIGHTS_TOPICS, RIGHT_SUBSCRIBE | RIGHTS_AT_ONCE, json_object_get(claims, "channels"));
	read_caps(&g, json_object_get(claims, "caps"));
	read_mercure(&g, json_object_get(claims, "mercure"));
	read_details(&g, json_object_get(claims, "authorization_details"));
	n = rights_end(&g.w, &why);
	if (g.error || n == 0)
		return refuse(error, JWT_RIGHTS, g.error ? g.error : why);
	*size = n;
	return JWT_ACCEPTED;
}

size_t jwt_claims_name(const json_t *claims, void *dst, size_t room)
{
	const json_t *sub = json_object_get(claims, "sub");
	struct rights_writer w;
	const char *why;

	if (!sub || !is_name(sub))
		return 0;
	rights_begin(&w, dst, room, json_string_value(sub), json_string_length(sub), INT64_MAX);
	return rights_end(&w, &why);
}
