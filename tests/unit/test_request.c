/*
 * Requests of each kind, served whatever they came by: what becomes of them, and that it is one commit with the answer and the input's being taken.
 */
#include "tests/unit/worker_fixture.h"

#include "worker/service/attach.h"

static const char ring_text[] = "\"topic\":\"a\",\"data\":1}";

static void write_text(const struct request_body *body, char *dst)
{
	memcpy(dst, body->from, body->size);
}

static struct request request_of(enum request_kind kind, const char *name)
{
	return (struct request){
		.kind = kind,
		.after = 10,
		.names = { .one = subscribe_topic_name(request_is_of_user(kind), name, strlen(name)) },
		.body = { .size = sizeof(ring_text) - 1, .write = write_text, .from = ring_text },
	};
}

/* A session with ten bytes of input, and a cursor at them. */
static struct cursor opened_with_input(struct worker_fixture *w, uint32_t transport)
{
	int fd = opened(w, transport);
	struct session_state_shm st = *state_of(w, fd);
	struct buffer_shm *head;

	st.in = session_buffer(&w->base, fd, 10);
	head = pool_header(&w->base.slot, st.in);
	head->len = 10;
	session_commit(&w->base, fd, &st);
	return (struct cursor){ .sid = fd, .head = head, .bytes = (const char *)pool_bytes(&w->base.slot, st.in) };
}

static struct outcome served(struct worker_fixture *w, struct cursor *c, const struct request *req)
{
	struct outcome o;

	request_serve(&w->service, c, req, &o);
	return o;
}

static void a_topic_is_subscribed_with_its_answer(void **state)
{
	struct worker_fixture *w = *state;
	struct cursor c = opened_with_input(w, TRANSPORT_FLASH);
	struct request req = request_of(REQUEST_SUBSCRIBE, "a");
	struct outcome o = served(w, &c, &req);

	assert_int_equal(o.kind, OUTCOME_ANSWER);
	assert_null(o.error);
	assert_null(o.published);
	assert_int_equal(state_of(w, c.sid)->parsed, 0);
	assert_true(outcome_commit(&w->service, &c, &o, req.after, "ACK", 3, 0));
	assert_int_equal(state_of(w, c.sid)->parsed, 10);
	assert_int_equal(state_of(w, c.sid)->out_end, 3);
	assert_int_equal(session(&w->base, c.sid)->count, 1);
	assert_int_not_equal(find(w->hub, "a"), TOPIC_NONE);
	served(w, &c, &req);		/* once more changes nothing */
	assert_int_equal(session(&w->base, c.sid)->count, 1);
	req.kind = REQUEST_UNSUBSCRIBE;
	o = served(w, &c, &req);
	assert_true(o.kind == OUTCOME_ANSWER && !o.error);
	assert_int_equal(session(&w->base, c.sid)->count, 0);
	assert_int_equal(find(w->hub, "a"), TOPIC_NONE);
}

/* A topic and an id of the same name are two things. */
static void who_logs_in_has_an_inbox(void **state)
{
	struct worker_fixture *w = *state;
	struct cursor c = opened_with_input(w, TRANSPORT_FLASH);
	struct request in = request_of(REQUEST_LOGIN, "bob"), out = request_of(REQUEST_LOGOUT, "bob");

	served(w, &c, &in);
	assert_int_equal(find(w->hub, "bob"), TOPIC_NONE);
	assert_int_not_equal(find(w->hub, "\1bob"), TOPIC_NONE);
	served(w, &c, &out);
	assert_int_equal(find(w->hub, "\1bob"), TOPIC_NONE);
}

static bool next_of_three(void *from, struct topic_name *name)
{
	unsigned *n = from;
	char text = (char)('a' + *n);

	if (*n == 3)
		return false;
	++*n;
	*name = subscribe_topic_name(false, &text, 1);
	return true;
}

static void several_names_in_one_request(void **state)
{
	struct worker_fixture *w = *state;
	struct cursor c = opened_with_input(w, TRANSPORT_FLASH);
	struct request req = request_of(REQUEST_SUBSCRIBE, "not looked at");
	unsigned n = 0;
	struct outcome o;

	req.names.next = next_of_three;
	req.names.from = &n;
	o = served(w, &c, &req);
	assert_null(o.error);
	assert_int_equal(session(&w->base, c.sid)->count, 3);
	assert_true(find(w->hub, "a") && find(w->hub, "b") && find(w->hub, "c"));
	n = 1;
	req.kind = REQUEST_UNSUBSCRIBE;
	served(w, &c, &req);
	assert_int_equal(session(&w->base, c.sid)->count, 1);
	assert_true(find(w->hub, "a") && !find(w->hub, "b") && !find(w->hub, "c"));
}

/* What is published while the names are joined, one by one. */
static bool next_of_three_amid_messages(void *from, struct topic_name *name)
{
	struct { struct worker_fixture *w; unsigned n; } *at = from;

	if (at->n > 0)
		put_others(at->w, 1);
	return next_of_three(&at->n, name);
}

/* Before the first message that it may be sent; of several names, before the first of any. */
static void what_is_subscribed_has_a_position(void **state)
{
	struct worker_fixture *w = *state;
	struct cursor c = opened_with_input(w, TRANSPORT_FLASH);
	struct request req = request_of(REQUEST_SUBSCRIBE, "a"), ping = request_of(REQUEST_PING, "");
	struct { struct worker_fixture *w; unsigned n; } names = { .w = w };
	struct cursor other = opened_with_input(w, TRANSPORT_FLASH);
	struct position_start start;
	struct outcome o = served(w, &c, &req);

	assert_true(o.has_position);
	assert_int_equal(o.position, 0);
	put_others(w, 2);
	o = served(w, &c, &req);		/* it is there already: what it has not been sent yet comes behind */
	assert_int_equal(o.position, 0);
	req.names.next = next_of_three_amid_messages;
	req.names.from = &names;
	o = served(w, &other, &req);		/* of several names, before the first: behind it, messages came */
	assert_int_equal(ring_tail(&w->base.hub.ring) - 1, 5);
	assert_int_equal(o.position, 2);
	assert_ptr_equal(outcome_start(&w->service, &o, &start), &start);
	assert_int_equal(start.seq, 2);
	assert_false(start.resumed);
	o = served(w, &c, &ping);
	assert_false(o.has_position);
	assert_null(outcome_start(&w->service, &o, &start));
	req.kind = REQUEST_UNSUBSCRIBE;
	names.n = 0;
	assert_false(served(w, &c, &req).has_position);
}

/* There is no room for all of the topics: it stays what it was, with no subscription. */
static void who_can_not_become_a_stream_stays_what_it_is(void **state)
{
	struct worker_fixture *w = *state;
	struct cursor c = opened_with_input(w, TRANSPORT_HTTP);
	struct request req = request_of(REQUEST_SUBSCRIBE, "");
	unsigned n = 0;
	struct outcome o;

	w->settings.max_subscriptions = 2;
	req.names.next = next_of_three;
	req.names.from = &n;
	req.becomes = true;
	req.transport = TRANSPORT_SSE;
	o = served(w, &c, &req);
	assert_int_equal(o.status, 503);
	assert_non_null(o.error);
	assert_int_equal(o.state.transport, TRANSPORT_HTTP);
	assert_int_equal(session(&w->base, c.sid)->count, 0);
	assert_int_equal(find(w->hub, "a"), TOPIC_NONE);
	n = 1;
	o = served(w, &c, &req);
	assert_null(o.error);
	assert_int_equal(o.state.transport, TRANSPORT_SSE);
	assert_int_equal(state_of(w, c.sid)->transport, TRANSPORT_HTTP);		/* with the answer's head */
	assert_true(outcome_commit(&w->service, &c, &o, 10, "head", 4, 0));
	assert_int_equal(state_of(w, c.sid)->transport, TRANSPORT_SSE);
}

static void a_publish_that_nobody_waits_for(void **state)
{
	struct worker_fixture *w = *state;
	struct cursor c = opened_with_input(w, TRANSPORT_FLASH);
	struct request req = request_of(REQUEST_PUBLISH, "a"), sub = request_of(REQUEST_SUBSCRIBE, "a");
	uint64_t tail;

	served(w, &c, &sub);
	tail = ring_tail(&w->base.hub.ring);
	assert_int_equal(served(w, &c, &req).kind, OUTCOME_BATCHED);
	assert_int_equal(ring_tail(&w->base.hub.ring), tail);
	served(w, &c, &sub);		/* what it is answered to comes behind what was published */
	assert_int_equal(ring_tail(&w->base.hub.ring), tail + 1);
	req.flags = SESSION_CLOSE;
	served(w, &c, &req);
	assert_true(c.stop);
}

static void a_publish_that_is_answered(void **state)
{
	struct worker_fixture *w = *state;
	struct cursor c = opened_with_input(w, TRANSPORT_FLASH);
	struct request req = request_of(REQUEST_SEND, "bob"), in = request_of(REQUEST_LOGIN, "bob");
	uint64_t tail;
	struct outcome o;

	served(w, &c, &in);
	topics_tell(&w->topics, find(w->hub, "\1bob"));
	tail = ring_tail(&w->base.hub.ring);
	req.answered = true;
	o = served(w, &c, &req);
	assert_int_equal(o.kind, OUTCOME_ANSWER);
	assert_int_equal(o.count, 1);
	assert_int_equal(o.published->seq, tail);
	assert_int_equal(o.published->subscribers, 1);
	assert_true(outcome_commit(&w->service, &c, &o, req.after, "yes", 3, 0));
	assert_int_equal(w->base.self->intent.state, INTENT_NONE);
}

static void what_the_reader_found_wrong_is_told(void **state)
{
	struct worker_fixture *w = *state;
	struct cursor c = opened_with_input(w, TRANSPORT_FLASH);
	struct request req = request_of(REQUEST_PUBLISH, "a");
	struct outcome o;

	req.error = "no topic";
	req.status = 400;
	o = served(w, &c, &req);
	assert_int_equal(o.kind, OUTCOME_ANSWER);
	assert_string_equal(o.error, "no topic");
	assert_int_equal(o.status, 400);
	assert_int_equal(w->service.item_count, 0);
	req.error = NULL;
	req.body.size = publish_batch_record_max(&w->base) + 1;
	assert_int_equal(served(w, &c, &req).status, 413);
	assert_true(outcome_commit(&w->service, &c, &o, req.after, "bad", 3, SESSION_CLOSE));
	assert_true(c.stop);
	assert_int_equal(state_of(w, c.sid)->flags, SESSION_CLOSE);
}

/* One who asks without end gives others their turn; nothing of the request is done. */
static void it_is_later_when_others_come_first(void **state)
{
	struct worker_fixture *w = *state;
	struct cursor c = opened_with_input(w, TRANSPORT_FLASH);
	struct request req = request_of(REQUEST_SUBSCRIBE, "a");

	c.actions = ACTIONS_A_TURN;
	assert_int_equal(served(w, &c, &req).kind, OUTCOME_LATER);
	assert_true(c.stop && c.stalled);
	assert_int_equal(session(&w->base, c.sid)->count, 0);
}

static void an_answer_without_room_breaks_the_connection(void **state)
{
	struct worker_fixture *w = *state;
	struct cursor c = opened_with_input(w, TRANSPORT_FLASH);
	struct request req = request_of(REQUEST_PING, "");
	struct outcome o = served(w, &c, &req);

	pool_nothing(w);
	assert_false(outcome_commit(&w->service, &c, &o, req.after, "pong", 4, 0));
	assert_true(c.stop);
	assert_over(w, c.sid);
	assert_int_equal(counted(w, COUNTER_no_buffer), 1);
	assert_int_equal(state_of(w, c.sid)->parsed, 0);
}

/* It was about to become a stream: then it has subscribed nothing. */
static void nor_does_it_become_a_stream(void **state)
{
	struct worker_fixture *w = *state;
	struct cursor c = opened_with_input(w, TRANSPORT_HTTP);
	struct request req = request_of(REQUEST_SUBSCRIBE, "a");
	struct outcome o;

	req.becomes = true;
	req.transport = TRANSPORT_SSE;
	o = served(w, &c, &req);
	assert_int_not_equal(find(w->hub, "a"), TOPIC_NONE);
	pool_nothing(w);
	assert_false(outcome_commit(&w->service, &c, &o, req.after, "head", 4, 0));
	assert_over(w, c.sid);
	assert_int_equal(session(&w->base, c.sid)->count, 0);
	assert_int_equal(find(w->hub, "a"), TOPIC_NONE);
	assert_null(w->topics.queue);
}

/* A subscription's `from` behind `pos` does not say when it began: with `since`, what was sent and did not come comes. */
static void who_attaches_goes_on_where_it_says(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	struct session_state_shm st = *state_of(w, fd);
	struct resume asked = { 0 }, resume;
	struct topic_name name;
	struct attach a;

	subscribe(w, fd, "a");
	w->base.slot.subscriptions[session(&w->base, fd)->subscriptions].from = 9;
	st.pos = 5;
	st.flags |= SESSION_BEHIND;
	session_commit(&w->base, fd, &st);
	attach_begin(&a, &w->base, fd, &asked, &resume);
	assert_true(attach_next(&a, &name));
	assert_int_equal(resume.since.seq, 8);		/* where the server had got to */
	asked = (struct resume){ .kind = RESUME_SINCE, .since = { .epoch = w->base.hub.shm->epoch / 1000, .seq = 3 } };
	attach_begin(&a, &w->base, fd, &asked, &resume);
	assert_true(attach_next(&a, &name));
	assert_int_equal(resume.since.seq, 3);
	assert_false(attach_next(&a, &name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(service, who_attaches_goes_on_where_it_says),
		TEST_ON(service, a_topic_is_subscribed_with_its_answer),
		TEST_ON(service, who_logs_in_has_an_inbox),
		TEST_ON(service, several_names_in_one_request),
		TEST_ON(service, what_is_subscribed_has_a_position),
		TEST_ON(service, who_can_not_become_a_stream_stays_what_it_is),
		TEST_ON(service, a_publish_that_nobody_waits_for),
		TEST_ON(service, a_publish_that_is_answered),
		TEST_ON(service, what_the_reader_found_wrong_is_told),
		TEST_ON(service, it_is_later_when_others_come_first),
		TEST_ON(service, an_answer_without_room_breaks_the_connection),
		TEST_ON(service, nor_does_it_become_a_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
