/*
 * Rights as the configuration says them. See rights_text.h.
 */
#include "proto/rights_text.h"

#include <string.h>

#include "proto/wildcard.h"

#define BETWEEN " \t,"

static const struct {
	const char *word;
	enum rights_kind kind;
	unsigned rights;
} words[] = {
	{ "subscribe", RIGHTS_TOPICS, RIGHT_SUBSCRIBE }, { "publish", RIGHTS_TOPICS, RIGHT_PUBLISH }, { "history", RIGHTS_TOPICS, RIGHT_HISTORY },
	{ "presence", RIGHTS_TOPICS, RIGHT_PRESENCE }, { "login", RIGHTS_USERS, RIGHT_SUBSCRIBE | RIGHT_HISTORY }, { "send", RIGHTS_USERS, RIGHT_PUBLISH },
};

/* A rule as it was read. `error` NULL: it is one. */
struct rule {
	struct http_text text;
	const char *error;
	bool all, none;
	enum rights_kind kind;
	unsigned rights;
	struct http_text pattern;
};

static bool is(struct http_text text, const char *word)
{
	return text.len == strlen(word) && memcmp(text.p, word, text.len) == 0;
}

static void read_pattern(struct rule *r)
{
	if (r->pattern.len == 0 || r->pattern.len > UINT8_MAX)
		r->error = "has no pattern of 1 to 255 bytes behind its colon";
	else if (r->pattern.p[r->pattern.len - 1] == ';')
		r->error = "ends with a semicolon: rules are divided by spaces or commas";
	else if (r->kind == RIGHTS_TOPICS && memchr(r->pattern.p, '@', r->pattern.len))
		r->error = "has an @, which no topic has: presence:TOPIC is for who is on it, login:USER for an inbox";
	else if (r->kind == RIGHTS_TOPICS && wildcard_error(r->pattern.p, r->pattern.len))
		r->error = "has a pattern that is none: a > stands at its end, and it has 32 parts between dots at most";
}

static void read_rule(struct rule *r)
{
	const char *colon = memchr(r->text.p, ':', r->text.len);
	struct http_text word = { r->text.p, colon ? (size_t)(colon - r->text.p) : r->text.len };

	r->all = is(r->text, "all");
	r->none = is(r->text, "none");
	r->kind = RIGHTS_EVERYBODY;
	r->rights = RIGHT_PUBLISH;
	r->pattern = (struct http_text){ "", 0 };
	r->error = NULL;
	if (r->all || r->none || is(r->text, "broadcast"))
		return;
	r->error = "is no rule: all, none, broadcast, or subscribe, publish, history, presence, login or send, a colon and a topic or user, like subscribe:public.*";
	for (size_t i = 0; colon && i < sizeof(words) / sizeof(words[0]); i++) {
		if (!is(word, words[i].word))
			continue;
		r->kind = words[i].kind;
		r->rights = words[i].rights;
		r->pattern = (struct http_text){ colon + 1, (size_t)(r->text.p + r->text.len - colon) - 1 };
		r->error = NULL;
		read_pattern(r);
	}
}

/* Takes the next rule off the list's front. False: there is none. */
static bool next_rule(const char **list, struct rule *r)
{
	*list += strspn(*list, BETWEEN);
	r->text = (struct http_text){ *list, strcspn(*list, BETWEEN) };
	*list += r->text.len;
	if (r->text.len > 0)
		read_rule(r);
	return r->text.len > 0;
}

const char *rights_text_error(const char *list, struct http_text *wrong)
{
	unsigned rules = 0;
	bool none = false;
	struct rule r;

	while (next_rule(&list, &r)) {
		*wrong = r.text;
		none |= r.none;
		if (r.error)
			return r.error;
		if (++rules > 1 && none)
			return "is not alone: `none` stands alone, or not at all";
		if (rules > RIGHTS_GRANTS_MAX / 2)
			return "is one rule too many: there may be 128";
	}
	return NULL;
}

void rights_grant_all(struct rights_writer *w)
{
	rights_grant(w, RIGHTS_TOPICS, RIGHT_ALL, "*", 1);
	rights_grant(w, RIGHTS_USERS, RIGHT_ALL, "*", 1);
	rights_grant(w, RIGHTS_EVERYBODY, RIGHT_ALL, "", 0);
}

void rights_text_grant(struct rights_writer *w, const char *list)
{
	struct rule r;

	while (next_rule(&list, &r)) {
		if (r.error || r.none)
			continue;
		if (r.all)
			rights_grant_all(w);
		else
			rights_grant(w, r.kind, r.rights, r.pattern.p, r.pattern.len);
	}
}
