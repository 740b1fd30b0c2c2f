/*
 * The list of features.
 */
#include "proto/version.h"

const char *version_feature(unsigned number, bool broadcast, bool once)
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
		{ "publish-once", once },	/* Idempotency-Key, and message_id as a key */
		{ "broadcast", broadcast },	/* POST /broadcast */
	};

	for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (features[i].there && number-- == 0)
			return features[i].name;
	return NULL;
}

static void put_features(struct sink *s, bool broadcast, bool once)
{
	const char *feature;

	sink_literal(s, "\"" JANUS_VERSION "\",\"features\":[");
	for (unsigned i = 0; (feature = version_feature(i, broadcast, once)) != NULL; i++) {
		sink_text(s, i > 0 ? ",\"" : "\"");
		sink_text(s, feature);
		sink_byte(s, '"');
	}
	sink_literal(s, "]}");
}

void version_greeting(struct sink *s, bool broadcast, bool once)
{
	sink_literal(s, "{\"janus\":");
	put_features(s, broadcast, once);
}

void version_object(struct sink *s, bool broadcast, bool once)
{
	sink_literal(s, "{\"name\":\"janus\",\"version\":");
	put_features(s, broadcast, once);
}
