#include "tests/bench/comeback.h"

#include <stdio.h>
#include <string.h>

void comeback_begin(struct comeback *c, bool attach)
{
	c->attaches = attach && *c->token;
	*c->told = '\0';
}

const char *comeback_words(const struct comeback *c, bool sessions)
{
	return c->attaches ? c->token : sessions ? "" : NULL;
}

void comeback_told(struct comeback *c, const struct told *told)
{
	if (*told->token)
		memcpy(c->told, told->token, sizeof(c->told));
}

enum comeback_outcome comeback_answered(struct comeback *c)
{
	bool same = *c->token && !strcmp(c->token, c->told);

	if (!same) {
		memcpy(c->token, c->told, sizeof(c->token));
		c->doubt = 0;
	}
	return !c->attaches ? COMEBACK_SUBSCRIBED : same ? COMEBACK_ATTACHED : COMEBACK_GONE;
}

void comeback_forget(struct comeback *c)
{
	*c->token = '\0';
	c->doubt = 0;
}

void comeback_dropped(struct comeback *c, bool asked, bool silent, uint64_t now)
{
	c->stands = silent;
	if (asked && c->attaches)
		c->doubt = now + COMEBACK_DOUBT;
}

bool comeback_excuses(const struct comeback *c, uint64_t now)
{
	return c->attaches && now < c->doubt;
}

static bool says(const char *frame, size_t len, const char *text)
{
	return memmem(frame, len, text, strlen(text)) != NULL;
}

bool comeback_is_gone(const char *frame, size_t len)
{
	return says(frame, len, "no such session: ");
}

bool comeback_is_taken(const char *frame, size_t len)
{
	return says(frame, len, "another connection has attached to this session");
}
