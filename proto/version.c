/*
 * The list of features.
 */
#include "proto/version.h"

#include "proto/token.h"

const char *version_feature(unsigned number, const struct version_now *now)
{
	const struct {
		const char *name;
		bool there;
	} features[] = {
		{ "subscribe-many", true },	/* arrays of topics and users in subscribe, unsubscribe, login and logout */
		{ "publish-many", true },	/* POST /pub with an array */
		{ "envelope", true },		/* server-sent events with ?envelope=json */
		{ "positions", true },		/* ids and the starts of streams are positions */
		{ "patterns", true },		/* a.* and a.> in subscribe, unsubscribe and /sub */
		{ "publish-once", now->once },	/* Idempotency-Key, and message_id as a key */
		{ "sessions", now->sessions },	/* attach */
		{ "presence", now->presence },	/* topic@presence in subscribe, unsubscribe and /sub */
		{ "broadcast", now->broadcast },	/* POST /broadcast */
	};

	for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (features[i].there && number-- == 0)
			return features[i].name;
	return NULL;
}

static void put_features(struct sink *s, const struct version_now *now)
{
	const char *feature;

	sink_literal(s, "\"" JANUS_VERSION "\",\"features\":[");
	for (unsigned i = 0; (feature = version_feature(i, now)) != NULL; i++) {
		sink_text(s, i > 0 ? ",\"" : "\"");
		sink_text(s, feature);
		sink_byte(s, '"');
	}
	sink_byte(s, ']');
}

void version_greeting(struct sink *s, const struct version_now *now, const uint8_t *token)
{
	char text[TOKEN_TEXT];

	sink_literal(s, "{\"janus\":");
	put_features(s, now);
	if (token) {
		token_write(text, token);
		sink_literal(s, ",\"token\":\"");
		sink_bytes(s, text, sizeof(text));
		sink_byte(s, '"');
	}
	sink_byte(s, '}');
}

void version_object(struct sink *s, const struct version_now *now)
{
	sink_literal(s, "{\"name\":\"janus\",\"version\":");
	put_features(s, now);
	sink_byte(s, '}');
}
