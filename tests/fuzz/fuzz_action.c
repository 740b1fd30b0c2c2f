/*
 * proto/message.c: JSON actions, and the object after PUBLISH; the message that a publish becomes; and both as frames of the flash socket.
 * proto/web_request.c: actions of /ws, and objects of POST /pub.
 */
#include "proto/web_request.h"

#include <stdlib.h>
#include <string.h>

#include "proto/flash.h"
#include "proto/utf8.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/published.h"

static void check_name(const struct json_request *req)
{
	bool id = req->kind == REQUEST_LOGIN || req->kind == REQUEST_LOGOUT || req->kind == REQUEST_SEND;

	if (req->kind == REQUEST_PING)
		return;
	fuzz_check(req->name_len > 0 && (id ? message_id_error : message_topic_error)(req->name, req->name_len) == NULL);
}

/* The message with { in front, as `PUBLISH` would have it. To be freed. */
static char *object_of(const struct json_request *req)
{
	char *text = fuzz_alloc(req->size + 1), *message = fuzz_alloc(req->size);

	json_request_write(req, message);
	*text = '{';
	memcpy(text + 1, message, req->size);
	free(message);
	return text;
}

/* A message published again is the same message. */
static void check_message(const struct json_request *req, bool is_action)
{
	char *text = object_of(req), *second;
	const char *error = NULL;
	struct json_request again;
	struct json json;

	json_init(&json);
	fuzz_check(json_request_parse_publish(&json, text, req->size + 1, &again, &error) == 0);
	fuzz_check(again.size == req->size && again.count == req->count);
	fuzz_check(again.name_len == req->name_len && memcmp(again.name, req->name, req->name_len) == 0);
	for (unsigned i = 0; i < again.count; i++)
		fuzz_check(!json_name_is(&again.members[i], "timestamp") && !(is_action && json_name_is(&again.members[i], "action")));
	second = object_of(&again);
	fuzz_check(memcmp(second, text, req->size + 1) == 0);
	published_check(text + 1, req->size, MESSAGE_TO_TOPIC);
	free(second);
	free(text);
	json_fini(&json);
}

/* As the frame PREFIX text NUL. */
static void check_frame(const struct fuzz_input *in, const char *prefix, size_t size, enum flash_kind kind)
{
	size_t len = size + in->len + 1, text = in->len;
	char *bytes = fuzz_alloc(len);
	struct flash_scan scan = { 0 };
	struct flash_frame frame;

	memcpy(bytes, prefix, size);
	memcpy(bytes + size, in->bytes, in->len);
	bytes[len - 1] = '\0';
	flash_next(bytes, len, in->len, &scan, &frame);
	while (kind == FLASH_PUBLISH && bytes[size + text - 1] != '}')
		text--;		/* white space behind the object is not the frame's */
	fuzz_check(frame.kind == kind && frame.text == bytes + size && frame.len == text);
	free(bytes);
}

/* What is sent to an id has no topic: nothing that PUBLISH would take. */
static void check_send(const struct json_request *req)
{
	char *text = object_of(req);

	published_check(text + 1, req->size, MESSAGE_TO_USER);
	free(text);
}

static void check_action(const struct fuzz_input *in, struct json *json)
{
	const char *error = NULL;
	struct json_request req;

	if (json_request_parse(json, in->bytes, in->len, &req, &error) < 0) {
		fuzz_check(error != NULL);
		return;
	}
	fuzz_check(error == NULL);
	fuzz_check(req.ref == NULL && req.names == NULL);
	if (req.kind != REQUEST_UNKNOWN)
		check_name(&req);
	if (req.kind == REQUEST_PUBLISH)
		check_message(&req, true);
	else if (req.kind == REQUEST_SEND)
		check_send(&req);
	check_frame(in, "", 0, FLASH_ACTION);
}

static void check_error(const struct error_text *why, const char *error)
{
	fuzz_check(error != NULL && strlen(error) < sizeof(why->text));
	fuzz_check(utf8_text(error, strlen(error)));
}

/* What the web asks for: names are good, all of them; and a message has nothing but what is known. */
static void check_web(const struct fuzz_input *in, struct json *json)
{
	const char *error = NULL;
	struct web_names names = { 0 };
	struct json_request req;
	struct error_text why;

	if (web_request_parse(json, in->bytes, in->len, &why, &req, &error) < 0) {
		check_error(&why, error);
		return;
	}
	fuzz_check(error == NULL);
	fuzz_check(req.ref == NULL || (req.ref_len > 0 && req.ref_len <= REQUEST_REF_MAX));
	if (req.kind == REQUEST_UNKNOWN || req.kind == REQUEST_PING)
		return;
	if (req.kind == REQUEST_SEND)
		check_send(&req);
	else if (req.kind == REQUEST_PUBLISH)
		check_message(&req, true);
	fuzz_check(req.count <= 4);
	while (web_request_next_name(&req, &names))
		fuzz_check(req.name_len > 0 && web_name_error(request_is_of_user(req.kind), req.name, req.name_len) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *error = NULL;
	struct fuzz_input in;
	struct json_request req;
	struct error_text why;
	struct json json;

	fuzz_open_bare(&in, data, size);
	json_init(&json);
	check_action(&in, &json);
	check_web(&in, &json);
	if (json_request_parse_publish(&json, in.bytes, in.len, &req, &error) == 0) {
		fuzz_check(error == NULL && req.kind == REQUEST_PUBLISH);
		check_name(&req);
		check_message(&req, false);
		if (in.bytes[0] == '{')
			check_frame(&in, "PUBLISH", 8, FLASH_PUBLISH);
	} else {
		fuzz_check(error != NULL);
	}
	if (web_request_parse_publish(&json, in.bytes, in.len, &why, &req, &error) == 0)
		check_message(&req, false);
	else
		check_error(&why, error);
	json_fini(&json);
	fuzz_close(&in);
	return 0;
}
