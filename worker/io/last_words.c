/*
 * What a client is told whose session is sent nothing more. See last_words.h.
 */
#include "worker/io/last_words.h"

#include <sys/socket.h>

#include "worker/io/tls_out.h"

void last_words(struct base *base, session_id sid, const struct session_state_shm *was, const void *text, size_t len)
{
	if (session_is_tls(was))
		tls_out_last(base, sid, text, len);
	else
		(void)!send(session_fd(base, sid), text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}
