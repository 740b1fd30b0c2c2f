#include "master/nodes_status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "shm/nodes.h"

const char *nodes_state_name(enum nodes_state state)
{
	static const char *const names[] = { "off", "connecting", "connected", "away" };

	return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

const char *node_state_name(enum node_state state)
{
	static const char *const names[] = { "free", "here", "behind", "away" };

	return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

const char *stream_state_name(enum stream_state state)
{
	static const char *const names[] = { "off", "filling", "here", "away" };

	return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

static __attribute__((format(printf, 4, 5))) size_t add(char *dst, size_t size, size_t len, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(dst + len, size - len, format, ap);
	va_end(ap);
	return n < 0 ? len : (size_t)n >= size - len ? size - 1 : len + (size_t)n;
}

void nodes_status_text(const struct hub *hub, char *dst, size_t size)
{
	const struct nodes_shm *nodes = &hub->shm->nodes;
	enum nodes_state state = nodes_state(hub);
	uint64_t lost = hub_counter(hub, SLOT_BRIDGE, COUNTER_nodes_lost);
	unsigned here = (unsigned)__builtin_popcountll(nodes_shm_here(nodes));
	size_t len;

	dst[0] = '\0';
	if (state == NODES_OFF)
		return;
	len = add(dst, size, 0, "%s; NATS %s", nodes->name, nodes_state_name(state));
	if (state != NODES_CONNECTED && nodes->error[0])
		len = add(dst, size, len, " (%s)", nodes->error);
	len = add(dst, size, len, "; %u other node%s here", here, here == 1 ? "" : "s");
	if (nodes_stream(hub) != STREAM_OFF)
		len = add(dst, size, len, "; stream %s %s", nodes->stream.name, stream_state_name(nodes_stream(hub)));
	if (nodes_stream(hub) != STREAM_OFF && nodes->stream.error[0])
		len = add(dst, size, len, " (%s)", nodes->stream.error);
	if (lost)
		add(dst, size, len, "; LOST %" PRIu64 " messages to others", lost);
}
