/*
 * proto/message_view.c, web_message.c, packet_message.c over bytes that are no record, as those of a record that is being overwritten may be.
 * (Of good records, fuzz_action.c and fuzz_packet.c ask more.)
 */
#include "proto/message_view.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/published.h"

static void check_range(const struct fuzz_input *in, struct message_range range)
{
	fuzz_check(range.p == NULL || (fuzz_where(in, range.p) >= 0 && range.len <= (size_t)(in->bytes + in->len - range.p)));
}

static void check_view(const struct fuzz_input *in)
{
	struct message_view view;
	struct message_member m;

	if (!message_view_parse(in->bytes, in->len, &view))
		return;
	fuzz_check((view.stream.epoch != 0) == (*in->bytes == 1) && (view.stream.epoch != 0) == (view.stream.seq != 0));
	check_range(in, view.text);
	check_range(in, view.topic);
	check_range(in, view.event);
	check_range(in, view.data);
	check_range(in, view.to);
	check_range(in, view.bytes);
	for (struct message_range left = view.text, before = left; message_member_next(&left, &m); before = left) {
		check_range(in, m.name);
		check_range(in, m.value);
		fuzz_check(left.p == NULL || (left.p > before.p && left.p + left.len == before.p + before.len));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in;

	if (!fuzz_open(&in, data, size))
		return 0;
	check_view(&in);
	published_bounds(in.bytes, in.len, (size_t)in.pieces[0] << (in.settings & 7));
	fuzz_close(&in);
	return 0;
}
