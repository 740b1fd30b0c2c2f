/*
 * Requests that are refused, as no right gives what they ask for, or as it is too much: counted, and told to who runs the server. Never with what was shown.
 */
#ifndef WORKER_SERVICE_REFUSED_H
#define WORKER_SERVICE_REFUSED_H

#include "proto/rights.h"
#include "shm/events.h"
#include "worker/service/service.h"

/* What was asked for; len 0: that is not known. */
struct refused_about {
	enum event_about what;
	const char *text;
	size_t len;
};

/* `who` has asked; NULL: he has shown nothing that is good. 429 is logged as a warning, each other status as information; a line a minute. */
void refused_tell(struct service *service, session_id sid, enum counter why, unsigned status, const char *error, const struct refused_about *about,
		  const struct rights *who);

#endif
