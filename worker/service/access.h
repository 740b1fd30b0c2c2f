/*
 * Who may do what, as far as settings (anonymous, api_key, token_keys, tls_client_rights) ask for it: whoever serves a request asks here first.
 *
 * What a client has shown, a token or a key, becomes rights (proto/rights.h). On HTTP each request shows it for itself, and its rights are here while it is
 * dealt with; elsewhere they are the session's, in shared memory (session_rights()). What `anonymous` gives, everybody has besides. On admin listeners, and if none
 * of those settings says anything, everything may be done.
 *
 * A certificate says who the client of a connection is for as long as that lasts, whatever is spoken on it: his name stands in the session's rights, marked (`certified`). What tls_client_rights
 * gives, he has besides; a token or key of another's is refused.
 */
#ifndef WORKER_SERVICE_ACCESS_H
#define WORKER_SERVICE_ACCESS_H

#include "proto/rights.h"
#include "worker/service/service.h"
#include "worker/service/subscribe.h"

struct access;

/*
 * By the settings, and what the master has read of files and had fetched: descriptors of shm/secrets.h and shm/fetched_keys.h, -1 none. NULL with errno, logged: no
 * memory, or nonsense was handed over.
 */
struct access *access_create(struct base *base, int secrets, int fetched);

/* Whether anything is asked for at all, on this session's connection. */
bool access_is_on(const struct service *service, session_id sid);

/*
 * What a token or key gives, until the next call. NULL: it is no good, which is counted and told, and *error says why, to the peer.
 */
const struct rights *access_verify(struct service *service, session_id sid, const char *text, size_t len, const char **error);

/* Who a client is whose certificate has this name, for session_set_rights(); until the next call. NULL: it says nothing here, or the name is "". */
const struct rights *access_certificate(struct service *service, const char *name);

/* A request of HTTP begins, which has shown nothing so far. */
void access_begin(struct service *service, session_id sid);
/* It is that of the client whom the connection's certificate names, if that names one. */
void access_certified(struct service *service, session_id sid);
/* It shows this, and asks for `path`, which is told if that is no good. False: it is no good, as above. */
bool access_show(struct service *service, session_id sid, const char *text, size_t len, const char *path, size_t path_len, const char **error);
/* What it shows does not count, for this reason: a static sentence, which its client is told if it is refused for having shown nothing. */
void access_passed_over(struct service *service, const char *why);
/* Whether the request was refused here, and that was told. */
bool access_was_refused(const struct service *service);

/* What the session's client has shown. NULL: nothing. */
const struct rights *access_rights(const struct service *service, session_id sid);

/* Whether `shown` (NULL: nothing), or what everybody has, gives all of these rights (enum right) of the name, or pattern. Nothing is counted. */
bool access_gives(const struct service *service, session_id sid, const struct rights *shown, unsigned rights, const struct topic_name *name);

/*
 * Whether the session's client has no such rights. 0: it has. 401: it has shown nothing, and not everybody may; 403: what it has shown does not give that. Then it is
 * counted and told, and *error says it to the peer. 503: nobody may yet, as the stream is being read that all nodes share (nodes.h, STREAM_FILLING), which has that name's messages.
 */
#define ACCESS_FILLING "the server is reading what is kept of this from other servers (nats_stream): try again"
unsigned access_refuses(struct service *service, session_id sid, unsigned rights, const struct topic_name *name, const char **error);

/*
 * What messages of the session's client begin with, to say who published them, if the setting publish_from asks for it: "from":"bob", in dst. Its length; 0:
 * nothing, also if it is nobody in particular.
 */
#define ACCESS_FROM_MAX (6 * RIGHTS_SUB_MAX + 16)
size_t access_from(const struct service *service, session_id sid, char dst[ACCESS_FROM_MAX]);

#endif
