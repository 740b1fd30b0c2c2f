/*
 * The keys of TLS tickets (shm/tickets.h), as the master sees them: it makes a new one when it is time. Whoever has the segment sees it at once.
 */
#include <errno.h>
#include <time.h>

#include "master/master.h"
#include "shm/log.h"
#include "shm/tickets.h"

void ticket_keys_look(struct master *m)
{
	const struct settings *s = &m->config.settings;
	struct timespec now;

	if (!s->tls_certificate[0] || !s->tls_ticket_lifetime || m->h.tickets < 0)
		return;
	if (!m->tickets)
		m->tickets = tickets_map(m->h.tickets, true);
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!m->tickets || tickets_renew(m->tickets, (uint64_t)now.tv_sec, (uint64_t)s->tls_ticket_lifetime / 1000) < 0)
		log_warning_limited("the keys of TLS tickets: %m");
}
