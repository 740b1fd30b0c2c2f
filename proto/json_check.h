/*
 * Strings, numbers and words, strictly as RFC 8259 has them. jsmn, which finds where they begin and end, lets a lot pass that is none. Used by
 * json.c.
 */
#ifndef PROTO_JSON_CHECK_H
#define PROTO_JSON_CHECK_H

/* What stands between a string's quotes, in which jsmn has found no other. NULL; or a static sentence that says what is wrong, and *wrong is where. */
const char *json_check_string(const char *p, const char *end, const char **wrong);

/* A number, true, false or null at *p, which is moved behind it. NULL; or a static sentence. */
const char *json_check_scalar(const char **p, const char *end);

#endif
