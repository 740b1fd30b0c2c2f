/*
 * What the parts of janus-bridge share. See bridge.h.
 */
#include "master/bridge/bridge.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shm/log.h"

bool bridge_is_orphan(const struct bridge *b)
{
	return (uint32_t)getppid() != b->master;
}

size_t bridge_subject_to(const struct bridge *b, char dst[BRIDGE_SUBJECT], const char *node, const char *what)
{
	char token[SUBJECT_MAX];

	subject_write_token(token, node, strlen(node));
	return (size_t)snprintf(dst, BRIDGE_SUBJECT, "%s" SUBJECT_TO "%s.%s", b->prefix, token, what);
}

void bridge_refuse(const struct bridge *b, const char *what, const char *from, const char *why)
{
	bridge_count(b, COUNTER_nodes_refused, 1);
	log_warning_limited("refused of NATS: %s %.200s: %s", what, from, why);
}
