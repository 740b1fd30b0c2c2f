/*
 * Requests in JSON of clients other than those of the flash socket: actions of /ws, and the objects that POST /pub takes an array of. Their
 * words are those of vocabulary.h; anything else in them is an error that names it.
 */
#ifndef PROTO_WEB_REQUEST_H
#define PROTO_WEB_REQUEST_H

#include "proto/json.h"
#include "proto/message.h"
#include "proto/vocabulary.h"

#define REQUEST_REF_MAX 255	/* bytes, as it stands */

/*
 * Parses `text` as a JSON object with an `action`. Subscribe and unsubscribe want a `topic`, login and logout a `user`, each of them a string or
 * an array of strings; or, as it was spelled once, as `data`. Publish wants a `topic`, send a `user`, both `data`, and both may have an `event`
 * and a `message_id`; a user is sent on as `to`. With `nodes`, "all", all nodes are asked for their subscribers. Attach and auth want a `token`. Any of them may carry `ref`, a string or a number; ping wants nothing.
 * 0; or -1 and *error is a sentence fit for the peer, which may stand in *why. req->kind and req->ref are what was found before the error; the
 * ref is looked at first, so whatever follows can be answered with it. An action that is not one of these is REQUEST_UNKNOWN and no error. All
 * names have been looked at.
 */
int web_request_parse(struct json *json, const char *text, size_t len, struct error_text *why, struct json_request *req, const char **error);

/* Parses one of the objects of POST /pub: `topic`, `data`, `event`, `message_id`. */
int web_request_parse_publish(struct json *json, const char *text, size_t len, struct error_text *why, struct json_request *req,
			      const char **error);

/* For each name of a request: req->name and req->name_len are the next one's. False when there is none left. *names begins as zeroes. */
struct web_names {
	struct json_array left;
	bool begun;
};
bool web_request_next_name(struct json_request *req, struct web_names *names);

#endif
