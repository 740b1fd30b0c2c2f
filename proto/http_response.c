/*
 * Answers. Nothing of a client's is repeated but ranges of header fields, which http_head.c has let through: no control characters.
 */
#include "proto/http_response.h"

#include <time.h>

#include "proto/sink.h"

const char *http_reason(unsigned status)
{
	switch (status) {
	case 101: return "Switching Protocols";
	case 200: return "OK";
	case 202: return "Accepted";
	case 204: return "No Content";
	case 304: return "Not Modified";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 406: return "Not Acceptable";
	case 408: return "Request Timeout";
	case 409: return "Conflict";
	case 411: return "Length Required";
	case 413: return "Content Too Large";
	case 414: return "URI Too Long";
	case 415: return "Unsupported Media Type";
	case 417: return "Expectation Failed";
	case 422: return "Unprocessable Content";
	case 426: return "Upgrade Required";
	case 429: return "Too Many Requests";
	case 431: return "Request Header Fields Too Large";
	case 500: return "Internal Server Error";
	case 501: return "Not Implemented";
	case 503: return "Service Unavailable";
	case 505: return "HTTP Version Not Supported";
	default: return "Error";
	}
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static void put_date(struct sink *s, uint64_t time)
{
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t seconds = (time_t)(time / 1000000);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL)
		return;
	sink_literal(s, "Date: ");
	sink_bytes(s, days[tm.tm_wday], 3);
	sink_literal(s, ", ");
	sink_digits(s, (unsigned)tm.tm_mday, 2);
	sink_byte(s, ' ');
	sink_bytes(s, months[tm.tm_mon], 3);
	sink_byte(s, ' ');
	sink_digits(s, (unsigned)tm.tm_year + 1900, 4);
	sink_byte(s, ' ');
	sink_digits(s, (unsigned)tm.tm_hour, 2);
	sink_byte(s, ':');
	sink_digits(s, (unsigned)tm.tm_min, 2);
	sink_byte(s, ':');
	sink_digits(s, (unsigned)tm.tm_sec, 2);
	sink_literal(s, " GMT\r\n");
}

static void put_range(struct sink *s, struct http_text text)
{
	sink_bytes(s, text.p, text.len);
}

static void put_field(struct sink *s, const char *name, const char *value)
{
	sink_text(s, name);
	sink_text(s, value);
	sink_literal(s, "\r\n");
}

/* Everything but what says how long the body is. */
static void put_head(struct sink *s, const struct http_answer *a, bool keep_alive)
{
	sink_literal(s, "HTTP/1.1 ");
	sink_digits(s, a->status, 3);
	sink_byte(s, ' ');
	put_field(s, http_reason(a->status), "");
	put_date(s, a->time);
	if (a->type != NULL)
		put_field(s, "Content-Type: ", a->type);
	if (a->origin.p != NULL) {
		sink_literal(s, "Access-Control-Allow-Origin: ");
		put_range(s, a->origin);
		sink_literal(s, "\r\n");
		if (!http_is(a->origin, "*"))
			sink_literal(s, "Vary: Origin\r\n");
		if (a->credentials)
			sink_literal(s, "Access-Control-Allow-Credentials: true\r\n");
	}
	if (a->fields != NULL)
		sink_text(s, a->fields);
	if (a->status == 429)
		sink_literal(s, "Retry-After: 1\r\n");		/* what is too much is counted by the second */
	if (a->status == 503)
		sink_literal(s, "Retry-After: 5\r\n");
	if (!keep_alive)
		sink_literal(s, "Connection: close\r\n");
	else if (a->minor == 0)
		sink_literal(s, "Connection: keep-alive\r\n");
}

size_t http_answer(char *dst, size_t room, const struct http_answer *answer, const char *body, size_t len)
{
	struct sink s = { .dst = dst, .room = room };

	put_head(&s, answer, answer->keep_alive);
	if (answer->status != 204 && answer->status != 304) {
		sink_literal(&s, "Content-Length: ");
		sink_number(&s, len);
		sink_literal(&s, "\r\n\r\n");
		if (!answer->head)
			sink_bytes(&s, body, len);
	} else {
		sink_literal(&s, "\r\n");
	}
	return sink_end(&s);
}

size_t http_stream(char *dst, size_t room, const struct http_answer *answer)
{
	struct sink s = { .dst = dst, .room = room };
	bool chunked = answer->minor > 0;

	put_head(&s, answer, answer->keep_alive && chunked);
	if (chunked)
		sink_literal(&s, "Transfer-Encoding: chunked\r\n");
	sink_literal(&s, "\r\n");
	return sink_end(&s);
}

size_t http_error(char *dst, size_t room, const struct http_answer *answer, const char *text)
{
	struct http_answer json = *answer;
	char body[1024];
	struct sink s = { .dst = body, .room = sizeof(body) };

	sink_literal(&s, "{\"error\":\"");
	sink_json(&s, text, strlen(text));
	sink_literal(&s, "\"}\n");
	json.type = HTTP_JSON;
	if (sink_end(&s) == 0)
		return http_error(dst, room, answer, http_reason(answer->status));
	return http_answer(dst, room, &json, body, s.len);
}

size_t http_preflight(char *dst, size_t room, const struct http_answer *answer, const char *methods, struct http_text headers)
{
	struct http_answer empty = *answer;
	struct sink s = { .dst = dst, .room = room };

	empty.status = 204;
	put_head(&s, &empty, empty.keep_alive);
	put_field(&s, "Access-Control-Allow-Methods: ", methods);
	if (headers.p != NULL) {
		sink_literal(&s, "Access-Control-Allow-Headers: ");
		put_range(&s, headers);
		sink_literal(&s, "\r\n");
	}
	sink_literal(&s, "Access-Control-Max-Age: 86400\r\n\r\n");
	return sink_end(&s);
}
