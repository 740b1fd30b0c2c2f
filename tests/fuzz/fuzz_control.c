/*
 * proto/control.c: packets between janusctl and the master. What was unpacked is packed and unpacked again.
 */
#include "proto/control.h"
#include "proto/control_report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static bool is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static void check_request(const struct fuzz_input *in)
{
	struct control_request got, again;
	char *packet;
	size_t len;

	errno = 0;
	if (control_request_unpack(in->bytes, in->len, &got) < 0) {
		fuzz_check(errno == EBADMSG || errno == EPROTONOSUPPORT);
		return;
	}
	fuzz_check(is_text(got.name, sizeof(got.name)));
	fuzz_check(is_text(got.argument, sizeof(got.argument)) && is_text(got.id, sizeof(got.id)) && is_text(got.topic, sizeof(got.topic)));
	fuzz_check(is_text(got.user, sizeof(got.user)) && is_text(got.reason, sizeof(got.reason)));
	fuzz_check(got.command == control_command_find(got.name));
	if (got.command == CONTROL_UNKNOWN)
		return;
	packet = fuzz_alloc(CONTROL_REQUEST_MAX);
	len = control_request_write(packet, &got);
	fuzz_check(len <= CONTROL_REQUEST_MAX);
	fuzz_check(control_request_unpack(packet, len, &again) == 0 && memcmp(&again, &got, sizeof(got)) == 0);
	free(packet);
}

static void check_status(const struct control_status *status)
{
	struct control_status *again = fuzz_alloc(sizeof(*again));
	char *packet = fuzz_alloc(CONTROL_PACKET_MAX);
	size_t len = control_status_pack(packet, status);
	struct control_reply reply;

	fuzz_check(len <= CONTROL_PACKET_MAX);
	fuzz_check(is_text(status->version, sizeof(status->version)) && is_text(status->file, sizeof(status->file)));
	fuzz_check(is_text(status->runtime_dir, sizeof(status->runtime_dir)));
	for (unsigned i = 0; i < status->listeners; i++)
		fuzz_check(i < CONTROL_LISTEN_MAX && is_text(status->listen[i], sizeof(status->listen[i])));
	fuzz_check(control_reply_unpack(packet, len, &reply, again) == 0 && reply.ok);
	fuzz_check(memcmp(again, status, sizeof(*again)) == 0);		/* unpacking clears it first */
	free(packet);
	free(again);
}

static void check_reply(const struct fuzz_input *in)
{
	struct control_status *status = fuzz_alloc(sizeof(*status));
	struct control_reply got, again;
	char *packet;
	size_t len;

	errno = 0;
	if (control_reply_unpack(in->bytes, in->len, &got, status) < 0) {
		fuzz_check(errno == EBADMSG || errno == EPROTONOSUPPORT);
		free(status);
		return;
	}
	fuzz_check(is_text(got.error, sizeof(got.error)));
	fuzz_check(control_reply_unpack(in->bytes, in->len, &again, NULL) == 0 && again.ok == got.ok);
	if (got.ok)
		check_status(status);
	packet = fuzz_alloc(CONTROL_PACKET_MAX);
	len = control_reply_pack(packet, got.ok ? NULL : got.error);
	fuzz_check(control_reply_unpack(packet, len, &again, NULL) == 0 && again.ok == got.ok);
	fuzz_check(got.ok || strcmp(again.error, got.error) == 0);
	free(packet);
	free(status);
}

static void check_report(const struct fuzz_input *in)
{
	struct control_report *got = fuzz_alloc(sizeof(*got)), *again = fuzz_alloc(sizeof(*again));
	char *packet = fuzz_alloc(CONTROL_PACKET_MAX + (1 << 20));	/* (names and values of all entries at their longest are more than a master's) */
	size_t len;

	errno = 0;
	if (control_report_unpack(in->bytes, in->len, got) < 0) {
		fuzz_check(errno == EBADMSG || errno == EPROTONOSUPPORT);
	} else {
		fuzz_check(is_text(got->file, sizeof(got->file)));
		len = control_report_pack(packet, got, NULL);
		fuzz_check(control_report_unpack(packet, len, again) == 0 && memcmp(got, again, sizeof(*got)) == 0);
	}
	free(packet);
	free(again);
	free(got);
}

static void take_setting(void *arg, const struct control_setting *s)
{
	unsigned *count = arg;

	fuzz_check(strlen(s->name) < 64 && strlen(s->value) < CONTROL_SETTING_MAX && strlen(s->wanted) < CONTROL_SETTING_MAX);
	fuzz_check(s->waits || !s->wanted[0]);
	++*count;
}

static void check_config(const struct fuzz_input *in)
{
	char *file = fuzz_alloc(4096);
	unsigned count = 0;
	uint64_t since;

	errno = 0;
	if (control_config_unpack(in->bytes, in->len, file, &since, take_setting, &count) < 0)
		fuzz_check(errno == EBADMSG || errno == EPROTONOSUPPORT);
	else
		fuzz_check(is_text(file, 4096) && count <= in->len);
	free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in;

	fuzz_open_bare(&in, data, size);
	check_request(&in);
	check_reply(&in);
	check_report(&in);
	check_config(&in);
	fuzz_close(&in);
	return 0;
}
