/*
 * Who may do what. See access.h.
 */
#include "worker/service/access.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/api_keys.h"
#include "proto/presence.h"
#include "proto/rights_text.h"
#include "proto/sink.h"
#include "proto/vocabulary.h"
#include "proto/wildcard.h"
#include "shm/log.h"
#include "shm/nodes.h"
#include "shm/secrets.h"
#include "worker/service/refused.h"
#include "worker/service/tokens.h"

#define NEEDS_TOKEN "a token is needed for this"
#define NO_KEY "this is no API key that is known here, and no JWT: three parts, with a dot between them"

struct access {
	bool on;
	const struct rights *everybody;	/* the setting anonymous; NULL: it gives nothing */
	const struct rights *clients;	/* tls_client_rights, of those who have a certificate; NULL: that says nothing */
	uint8_t *api_keys;		/* proto/api_keys.h */
	size_t api_keys_size;
	struct tokens *tokens;		/* NULL: none means anything here */

	/* the request of HTTP at hand */
	session_id sid;			/* -1: none */
	const struct rights *shown;
	bool certified;			/* the connection's certificate counts for it */
	bool refused;
	struct error_text why;		/* what was not given, and of what */
	const char *needs;		/* what is said to who has shown nothing */

	_Alignas(struct rights) char block[RIGHTS_SIZE_MAX];	/* of the last token */
	_Alignas(struct rights) char named[sizeof(struct rights) + RIGHTS_SUB_MAX];	/* of the last certificate */
};

/* ---- beginning ---- */

/* 0, or -1 with errno. "": the setting says nothing. */
static int read_rules(const struct rights **of, const char *setting, const char *rules)
{
	char *block = *rules ? malloc(RIGHTS_SIZE_MAX) : NULL;
	struct rights_writer w;
	const char *error;

	if (!block)
		return *rules ? -1 : 0;
	rights_begin(&w, block, RIGHTS_SIZE_MAX, "", 0, INT64_MAX);
	rights_text_grant(&w, rules);
	*of = (const struct rights *)block;
	if (rights_end(&w, &error))
		return 0;
	log_error("%s: %s", setting, error);	/* (whoever read the configuration has said so before) */
	errno = EINVAL;
	return -1;
}

/* A copy, as in the mapping it need not be aligned. */
static int read_api_keys(struct access *a, const struct secrets *secrets)
{
	struct secret s;
	size_t at = 0;

	if (!secrets_next(secrets, SECRET_API_KEYS, &at, &s))
		return 0;
	a->api_keys = malloc(s.len ? s.len : 1);
	if (!a->api_keys)
		return -1;
	memcpy(a->api_keys, s.bytes, s.len);
	a->api_keys_size = s.len;
	if (api_keys_check(a->api_keys, s.len))
		return 0;
	errno = EPROTO;
	return -1;
}

static int read_tokens(struct access *a, const struct settings *s, const struct secrets *secrets, int fetched)
{
	if (!tokens_are_on(s))
		return 0;
	a->tokens = tokens_create(s, secrets, fetched);
	return a->tokens ? 0 : -1;
}

static int read_secrets(struct access *a, const struct settings *s, int fd, int fetched)
{
	struct secrets secrets;
	int r;

	if (fd < 0)
		return read_tokens(a, s, NULL, fetched);
	if (secrets_map(&secrets, fd) < 0)
		return -1;
	r = read_api_keys(a, &secrets) < 0 || read_tokens(a, s, &secrets, fetched) < 0 ? -1 : 0;
	secrets_unmap(&secrets);
	return r;
}

struct access *access_create(struct base *base, int secrets, int fetched)
{
	const struct settings *s = base->settings;
	struct access *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->sid = -1;
	a->needs = NEEDS_TOKEN;
	a->on = settings_say_who(s);
	if (read_secrets(a, s, secrets, fetched) < 0 || read_rules(&a->everybody, "anonymous", s->anonymous) < 0 ||
	    read_rules(&a->clients, "tls_client_rights", s->tls_client_rights) < 0) {
		log_error("who may do what: %m");
		tokens_destroy(a->tokens);
		free(a->api_keys);
		free((void *)(uintptr_t)a->everybody);
		free((void *)(uintptr_t)a->clients);
		free(a);
		return NULL;
	}
	return a;
}

/* What is asked for, in the words of rights.h. */
struct asked {
	enum rights_kind kind;
	unsigned rights;
	const char *name;
	size_t len;
	bool pattern;
};

/* ---- what is shown ---- */

bool access_is_on(const struct service *service, session_id sid)
{
	return service->access && service->access->on && !session_is_admin(&session(service->base, sid)->state);
}

/* What was asked for, as it is told. */
static struct refused_about about(const struct asked *asked)
{
	return (struct refused_about){ asked->kind == RIGHTS_USERS ? EVENT_ABOUT_USER : EVENT_ABOUT_TOPIC, asked->name, asked->len };
}

static void tell(struct service *service, session_id sid, enum counter why, unsigned status, const char *error, const struct refused_about *about, const struct rights *who)
{
	service->access->refused = true;
	refused_tell(service, sid, why, status, error, about, who);
}

static bool looks_like_jwt(const char *text, size_t len)
{
	const char *dot = memchr(text, '.', len);

	return dot && memchr(dot + 1, '.', len - (size_t)(dot + 1 - text));
}

/* Whether it is of somebody else than whom the connection's certificate names. */
static bool is_anothers(const struct service *service, session_id sid, const struct rights *shown)
{
	const struct rights *own = session_rights(service->base, sid);

	return own && own->certified && (own->sub_len != shown->sub_len || memcmp(own->sub, shown->sub, shown->sub_len) != 0);
}

static const struct rights *verify(struct service *service, session_id sid, const char *text, size_t len, const struct refused_about *about, const char **error)
{
	struct access *a = service->access;
	const struct rights *found = api_keys_find(a->api_keys, a->api_keys_size, text, len), *who = found;
	enum jwt_refusal refusal = found ? JWT_ACCEPTED : JWT_MALFORMED;
	size_t size = 0;

	/* (What another request has shown goes with the block.) */
	if (a->sid != sid)
		access_begin(service, -1);
	*error = "the key is none that is known here";
	if (!found && a->tokens)
		refusal = tokens_verify(a->tokens, text, len, (int64_t)(hub_now() / 1000000), a->block, sizeof(a->block), &size, error);
	if (!found && size > 0)
		who = (const struct rights *)a->block;		/* (whose it is, as its signature is good; not what he may do, unless it was accepted) */
	if (!found && refusal == JWT_ACCEPTED)
		found = who;
	else if (!found && a->api_keys && !looks_like_jwt(text, len))
		*error = NO_KEY;
	if (found && !is_anothers(service, sid, found))
		return found;
	if (found)
		*error = "this is not for the user whom the connection's certificate names";
	tell(service, sid, refusal == JWT_EXPIRED ? COUNTER_refused_expired : COUNTER_refused_token, 401, *error, about, who);
	return NULL;
}

const struct rights *access_verify(struct service *service, session_id sid, const char *text, size_t len, const char **error)
{
	return verify(service, sid, text, len, &(struct refused_about){ .len = 0 }, error);
}

void access_begin(struct service *service, session_id sid)
{
	struct access *a = service->access;

	if (!a)
		return;
	a->sid = sid;
	a->shown = NULL;
	a->refused = false;
	a->needs = NEEDS_TOKEN;
	a->certified = false;
}

/* ---- certificates ---- */

/* Nothing but who it is: what else he may do is for the setting to say, at any time. */
static const struct rights *named(struct access *a, const char *name, size_t len)
{
	struct rights *block = (struct rights *)a->named;
	struct rights_writer w;
	const char *error;

	rights_begin(&w, a->named, sizeof(a->named), name, len, INT64_MAX);
	if (!rights_end(&w, &error))
		return NULL;
	block->certified = 1;
	return block;
}

const struct rights *access_certificate(struct service *service, const char *name)
{
	struct access *a = service->access;

	return a && a->clients && *name ? named(a, name, strlen(name)) : NULL;
}

/* Whether the session has more than its certificate gave it: a request showed a token, and its connection did not become the stream that was asked for. */
static bool has_more(const struct rights *own)
{
	return own->grants > 0 || own->expires != INT64_MAX;
}

void access_certified(struct service *service, session_id sid)
{
	struct access *a = service->access;
	const struct rights *own = session_rights(service->base, sid);

	if (!own || !own->certified)
		return;
	if (has_more(own) && session_set_rights(service->base, sid, named(a, own->sub, own->sub_len)) < 0)
		session_set_rights(service->base, sid, NULL);	/* (rather than too much) */
	a->certified = session_rights(service->base, sid) != NULL;
}

bool access_show(struct service *service, session_id sid, const char *text, size_t len, const char *path, size_t path_len, const char **error)
{
	struct access *a = service->access;

	a->shown = verify(service, sid, text, len, &(struct refused_about){ EVENT_ABOUT_PATH, path, path_len }, error);
	return a->shown != NULL;
}

void access_passed_over(struct service *service, const char *why)
{
	service->access->needs = why;
}

bool access_was_refused(const struct service *service)
{
	return service->access && service->access->refused;
}

const struct rights *access_rights(const struct service *service, session_id sid)
{
	const struct access *a = service->access;

	if (session(service->base, sid)->state.transport != TRANSPORT_HTTP)
		return session_rights(service->base, sid);
	if (!a || a->sid != sid)
		return NULL;
	return !a->shown && a->certified ? session_rights(service->base, sid) : a->shown;
}

/* ---- what it gives ---- */

static struct asked asked_for(unsigned rights, const struct topic_name *name)
{
	size_t topic;

	if (*name->bytes == NAME_INBOX)
		return (struct asked){ RIGHTS_USERS, rights, name->bytes + 1, name->len - 1u, false };
	if (*name->bytes == NAME_EVERYBODY)
		return (struct asked){ RIGHTS_EVERYBODY, rights, "", 0, false };
	topic = presence_topic(name->bytes, name->len);
	if (topic > 0)			/* to subscribe news@presence is to see who is on news */
		return (struct asked){ RIGHTS_TOPICS, (rights & ~(unsigned)RIGHT_SUBSCRIBE) | RIGHT_PRESENCE, name->bytes, topic, false };
	return (struct asked){ RIGHTS_TOPICS, rights, name->bytes, name->len, wildcard_in(name->bytes, name->len) };
}

static bool gives(const struct rights *block, const struct asked *a)
{
	return a->pattern ? rights_may_pattern(block, a->rights, a->name, a->len) : rights_may(block, a->rights, a->kind, a->name, a->len);
}

/* Whether the session's client, and if it speaks HTTP the request's, has a certificate that says who he is. */
static bool is_certified(const struct service *service, session_id sid)
{
	const struct access *a = service->access;
	const struct rights *own = session_rights(service->base, sid);

	if (session(service->base, sid)->state.transport == TRANSPORT_HTTP)
		return a->sid == sid && a->certified;
	return own && own->certified;
}

bool access_gives(const struct service *service, session_id sid, const struct rights *shown, unsigned rights, const struct topic_name *name)
{
	struct asked asked;

	if (!access_is_on(service, sid))
		return true;
	/* (What goes to everybody is everybody's to have, what is owed of it too.) */
	if (*name->bytes == NAME_EVERYBODY && !(rights & RIGHT_PUBLISH))
		return true;
	asked = asked_for(rights, name);
	return gives(shown, &asked) || gives(service->access->everybody, &asked) || (is_certified(service, sid) && gives(service->access->clients, &asked));
}

/* Of several rights, the first that is one of these. */
static const char *no_right(const struct asked *a)
{
	if (a->kind == RIGHTS_EVERYBODY)
		return "no right to send to everybody";
	if (a->kind == RIGHTS_USERS)
		return a->rights & RIGHT_PUBLISH ? "no right to send to this user" : "no right to the inbox of this user";
	if (a->rights & RIGHT_PUBLISH)
		return "no right to publish to this topic";
	if (a->rights & RIGHT_PRESENCE)
		return "no right to see who is on this topic";
	return a->rights & RIGHT_SUBSCRIBE ? "no right to subscribe this topic" : "no right to what is kept of this topic";
}

/* What the stream brings while it is read for the first time are messages of before, and nobody is to take them for new ones. */
static bool has_to_wait(const struct service *service, unsigned rights, const struct topic_name *name)
{
	const struct hub *hub = &service->base->hub;

	return nodes_stream(hub) == STREAM_FILLING && rights & (RIGHT_SUBSCRIBE | RIGHT_PUBLISH | RIGHT_HISTORY) && !presence_in(name->bytes, name->len) &&
	       history_rules_reach(hub->history.rules, name->bytes, name->len) != HISTORY_NONE;
}

unsigned access_refuses(struct service *service, session_id sid, unsigned rights, const struct topic_name *name, const char **error)
{
	const struct rights *shown;
	struct refused_about what;
	struct asked asked;
	unsigned status;

	if (has_to_wait(service, rights, name)) {
		*error = ACCESS_FILLING;
		return 503;
	}
	if (!access_is_on(service, sid))
		return 0;
	shown = access_rights(service, sid);
	if (access_gives(service, sid, shown, rights, name))
		return 0;
	asked = asked_for(rights, name);
	*error = shown ? no_right(&asked) : service->access->sid == sid ? service->access->needs : NEEDS_TOKEN;
	status = shown ? 403 : 401;
	what = about(&asked);
	tell(service, sid, shown ? COUNTER_refused_rights : COUNTER_refused_no_token, status, *error, &what, shown);
	if (shown && asked.len > 0)	/* (it may have been one of several) */
		*error = error_of(&service->access->why, *error, asked.name, asked.len);
	return status;
}

size_t access_from(const struct service *service, session_id sid, char dst[ACCESS_FROM_MAX])
{
	const struct rights *shown = service->base->settings->publish_from == PUBLISH_FROM_ON ? access_rights(service, sid) : NULL;
	struct sink s = { .dst = dst, .room = ACCESS_FROM_MAX };

	if (!shown || shown->sub_len == 0)
		return 0;
	sink_literal(&s, "\"from\":\"");
	sink_json(&s, shown->sub, shown->sub_len);
	sink_literal(&s, "\",");
	return s.len;
}
