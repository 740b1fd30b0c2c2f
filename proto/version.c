/*
 * The list of features.
 */
#include "proto/version.h"

const char *version_feature(unsigned number, bool broadcast)
{
	static const char *const features[] = {
		"subscribe-many",	/* arrays of topics and users in subscribe, unsubscribe, login and logout */
		"publish-many",		/* POST /pub with an array */
		"envelope",		/* server-sent events with ?envelope=json */
		"positions",		/* ids and the starts of streams are positions */
		"broadcast",		/* POST /broadcast; the last one, as it is not always there */
	};
	unsigned count = sizeof(features) / sizeof(features[0]);

	return number < count - !broadcast ? features[number] : NULL;
}

static void put_features(struct sink *s, bool broadcast)
{
	const char *feature;

	sink_literal(s, "\"" JANUS_VERSION "\",\"features\":[");
	for (unsigned i = 0; (feature = version_feature(i, broadcast)) != NULL; i++) {
		sink_text(s, i > 0 ? ",\"" : "\"");
		sink_text(s, feature);
		sink_byte(s, '"');
	}
	sink_literal(s, "]}");
}

void version_greeting(struct sink *s, bool broadcast)
{
	sink_literal(s, "{\"janus\":");
	put_features(s, broadcast);
}

void version_object(struct sink *s, bool broadcast)
{
	sink_literal(s, "{\"name\":\"janus\",\"version\":");
	put_features(s, broadcast);
}
