/*
 * Sessions: their states and what follows from them, their buffers, and their end.
 */
#include "tests/unit/worker_fixture.h"

#include "shm/slot_rights.h"

static void a_commit_gives_back_what_is_no_longer_named(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	struct session_state_shm st = *state_of(w, fd);

	st.in = session_buffer(&w->base, fd, 100);
	st.out = session_buffer(&w->base, fd, 100);
	session_commit(&w->base, fd, &st);
	assert_int_equal(lent(w), 2);
	st.in = BUFFER_NONE;
	session_commit(&w->base, fd, &st);
	assert_int_equal(lent(w), 1);
	assert_int_equal(pool_next(&w->base.pool, BUFFER_NONE), st.out);
	st.out = BUFFER_NONE;
	session_commit(&w->base, fd, &st);
	assert_int_equal(lent(w), 0);
}

static void a_commit_counts(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_HTTP);
	struct session_state_shm st = *state_of(w, fd);

	assert_int_equal(w->base.self->by_transport[GROUP_HTTP], 1);
	st.transport = TRANSPORT_SSE;
	st.flags = SESSION_BEHIND;
	session_commit(&w->base, fd, &st);
	session_commit(&w->base, fd, &st);
	assert_int_equal(w->base.self->by_transport[GROUP_HTTP], 0);
	assert_int_equal(w->base.self->by_transport[GROUP_SSE], 1);
	assert_int_equal(w->base.self->behind, 1);
	assert_int_equal(counted(w, COUNTER_behind), 1);
	st.flags = 0;
	session_commit(&w->base, fd, &st);
	assert_int_equal(w->base.self->behind, 0);
	assert_int_equal(counted(w, COUNTER_behind), 1);
}

/* Those that know who is in the middle of which frame are told, of the beginning and of the end. */
static void a_commit_tells_of_partial_frames(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	struct session_state_shm st = *state_of(w, fd);

	st.flags = SESSION_BEHIND;
	session_commit(&w->base, fd, &st);
	assert_int_equal(w->cuts_moved, 0);
	st.flags |= SESSION_CUT;
	session_commit(&w->base, fd, &st);
	assert_int_equal(w->cuts_moved, 1);
	assert_int_equal(w->cut_from, SESSION_BEHIND);
	assert_int_equal(w->cut_to, SESSION_BEHIND | SESSION_CUT);
	st.flags = 0;
	session_commit(&w->base, fd, &st);
	assert_int_equal(w->cuts_moved, 2);
	assert_int_equal(w->cut_to, 0);
}

static void assert_out(const struct worker_fixture *w, const struct session_state_shm *st, const char *text)
{
	assert_int_equal(st->out_end - st->out_start, strlen(text));
	assert_memory_equal(pool_bytes(&w->base.slot, st->out) + st->out_start, text, strlen(text));
}

/* It moves to a larger buffer, without what was sent; the one that the committed state names stays until the commit. */
static void what_is_appended_comes_behind(void **state)
{
	struct worker_fixture *w = *state;
	static const char room[3000];
	int fd = opened(w, TRANSPORT_FLASH);
	struct session_state_shm st = *state_of(w, fd);
	uint32_t first;

	assert_int_equal(session_append(&w->base, fd, &st, "one ", 4), 0);
	assert_int_equal(session_append(&w->base, fd, &st, "two", 3), 0);
	assert_out(w, &st, "one two");
	assert_int_equal(state_of(w, fd)->out, BUFFER_NONE);
	assert_int_equal(pool_header(&w->base.slot, st.out)->owner, fd + 1);
	st.out_start += 4;
	session_commit(&w->base, fd, &st);

	first = st.out;
	assert_int_equal(session_append(&w->base, fd, &st, room, sizeof(room)), 0);
	assert_int_not_equal(st.out, first);
	assert_int_equal(st.out_end - st.out_start, 3 + sizeof(room));
	assert_memory_equal(pool_bytes(&w->base.slot, st.out) + st.out_start, "two\0", 4);
	assert_out(w, state_of(w, fd), "two");
	assert_int_equal(lent(w), 2);
	for (int i = 0; i < 3; i++)		/* those in between were named by nobody */
		assert_int_equal(session_append(&w->base, fd, &st, room, sizeof(room)), 0);
	assert_int_equal(lent(w), 2);
	session_commit(&w->base, fd, &st);
	assert_int_equal(lent(w), 1);
}

static void an_answer_is_one_with_its_input(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);

	assert_true(session_answer(&w->base, fd, 17, "yes", 3));
	assert_int_equal(state_of(w, fd)->parsed, 17);
	assert_out(w, state_of(w, fd), "yes");
}

static void without_room_for_an_answer_the_connection_breaks(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	char byte;

	pool_nothing(w);
	assert_false(session_answer(&w->base, fd, 17, "yes", 3));
	assert_int_equal(w->asked_for_room, 1);
	assert_int_equal(state_of(w, fd)->parsed, 0);
	assert_int_equal(counted(w, COUNTER_no_buffer), 1);
	assert_over(w, fd);
	assert_int_equal(recv(w->peer[fd], &byte, 1, MSG_DONTWAIT), 0);	/* a successor would find it broken, too */
}

static void room_is_made_for_a_buffer(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);

	pool_nothing(w);
	w->has_room = true;
	assert_int_not_equal(session_buffer(&w->base, fd, 100), BUFFER_NONE);
	assert_int_equal(w->asked_for_room, 1);
	assert_int_equal(session_buffer(&w->base, fd, (size_t)pool_room_max(&w->base.slot) + 1), BUFFER_NONE);
	assert_int_equal(w->asked_for_room, 1);		/* no room would help */
}

static void it_is_watched_for_what_it_waits_for(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	struct session_state_shm *st = state_of(w, fd);
	static const struct {
		uint32_t flags, out;
		uint64_t marks;
		int events;
	} t[] = {
		{ 0, 0, 0, EV_READ },
		{ SESSION_BEHIND, 0, 0, EV_READ | EV_WRITE },
		{ SESSION_CLOSE, 0, 0, 0 },
		{ SESSION_CLOSE | SESSION_BEHIND, 0, 0, EV_WRITE },
		{ SESSION_CLOSE | SESSION_LINGER, 0, 0, EV_READ },
		{ 0, 0, MARK_STALLED, 0 },
		{ SESSION_BEHIND, 0, MARK_ENDED, EV_WRITE },
		{ SESSION_CUT | SESSION_BEHIND, 0, MARK_OUTPUT_BLOCKED, EV_WRITE },
		{ SESSION_BEHIND, SESSION_OUT_MAX, 0, EV_READ | EV_WRITE },
		{ SESSION_BEHIND, SESSION_OUT_MAX + 1, 0, EV_WRITE },
		{ SESSION_BEHIND, 0, MARK_OVER, 0 },
		{ 0, 0, MARK_READABLE | MARK_LOCAL, EV_READ },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		st->flags = t[i].flags;
		st->out_end = t[i].out;
		w->base.marks[fd] = t[i].marks;
		session_watch(&w->base, fd);
		assert_int_equal(watched(w, fd), t[i].events);
	}
}

/* Behind a request that waits, not all is read that its client sends. */
static void who_waits_is_read_from_within_limits(void **state)
{
	struct worker_fixture *w = *state;

	for (uint32_t polls = 0; polls < 2; polls++) {
		int fd = opened(w, TRANSPORT_HTTP);
		struct session_state_shm st = *state_of(w, fd);

		st.in = session_buffer(&w->base, fd, SESSION_WAITING_MAX + 1);
		session_commit(&w->base, fd, &st);
		session(&w->base, fd)->until = polls;
		for (uint32_t more = 0; more < 2; more++) {
			pool_header(&w->base.slot, st.in)->len = SESSION_WAITING_MAX + more;
			session_watch(&w->base, fd);
			assert_int_equal(watched(w, fd), polls && more ? 0 : EV_READ);
		}
		session(&w->base, fd)->count = 0;
	}
}

static void marks_tell_what_was(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);

	assert_false(session_mark(&w->base, fd, MARK_STALLED));
	assert_true(session_mark(&w->base, fd, MARK_STALLED));
	assert_false(session_mark(&w->base, fd, MARK_HEAVY));
	assert_true(session_has(&w->base, fd, MARK_STALLED | MARK_ENDED));
	assert_true(session_unmark(&w->base, fd, MARK_STALLED));
	assert_false(session_unmark(&w->base, fd, MARK_STALLED));
	assert_true(session_has(&w->base, fd, MARK_HEAVY));
}

/* Each is in the list once, however often its end is found; nobody looks at it meanwhile. */
static void those_that_are_over_are_listed_once(void **state)
{
	struct worker_fixture *w = *state;
	int a = opened(w, TRANSPORT_FLASH), b = opened(w, TRANSPORT_FLASH), found[2];

	session_over(&w->base, a);
	session_abort(&w->base, b, COUNTER_closed_slow);
	session_over(&w->base, a);
	session_abort(&w->base, a, COUNTER_closed_slow);
	assert_int_equal(watched(w, a) + watched(w, b), 0);
	assert_int_equal(counted(w, COUNTER_closed_slow), 2);
	found[0] = session_next_over(&w->base);
	found[1] = session_next_over(&w->base);
	assert_true((found[0] == a && found[1] == b) || (found[0] == b && found[1] == a));
	assert_int_equal(session_next_over(&w->base), -1);
}

static void who_forfeits_has_nothing_left(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	struct session_state_shm st = *state_of(w, fd);

	st.in = session_buffer(&w->base, fd, 100);
	st.flags = SESSION_BEHIND | SESSION_CUT;
	st.cut = 5;
	assert_int_equal(session_append(&w->base, fd, &st, "some", 4), 0);
	session_commit(&w->base, fd, &st);
	session_forfeit(&w->base, fd);
	st = *state_of(w, fd);
	assert_int_equal(lent(w), 0);
	assert_int_equal(st.in | st.out | st.out_start | st.out_end | st.cut, 0);
	assert_int_equal(st.flags, SESSION_CLOSE | SESSION_LINGER);
	assert_int_equal(w->base.self->behind, 0);
	assert_int_equal(w->cut_to & SESSION_CUT, 0);
}

static const struct rights *rights_of(const char *sub, unsigned grants)
{
	static _Alignas(struct rights) char block[RIGHTS_SIZE_MAX];
	struct rights_writer w;
	const char *error;

	rights_begin(&w, block, sizeof(block), sub, strlen(sub), INT64_MAX);
	for (unsigned i = 0; i < grants; i++)
		rights_grant(&w, RIGHTS_TOPICS, RIGHT_PUBLISH, "news", 4);
	assert_int_not_equal(rights_end(&w, &error), 0);
	return (const struct rights *)block;
}

static bool is_me(const struct worker_fixture *w, int fd, const char *sub)
{
	const struct rights *r = session_rights(&w->base, fd);

	return r && rights_may(r, RIGHT_SUBSCRIBE, RIGHTS_USERS, sub, strlen(sub));
}

static void rights_are_replaced_whole(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH), other = opened(w, TRANSPORT_FLASH);

	assert_int_equal(w->base.slot.shm->rights_end, 0);	/* nobody has looked at the table */
	assert_null(session_rights(&w->base, fd));
	assert_int_equal(session_set_rights(&w->base, fd, NULL), 0);
	assert_int_equal(w->base.slot.shm->rights_end, 0);
	assert_int_equal(session_set_rights(&w->base, other, rights_of("bob", 1)), 0);
	assert_null(session_rights(&w->base, fd));
	assert_true(is_me(w, other, "bob"));
	assert_int_equal(session_set_rights(&w->base, other, rights_of("alice", 200)), 0);
	assert_true(is_me(w, other, "alice"));
	assert_false(is_me(w, other, "bob"));
	assert_int_equal(lent(w), 1);
	assert_int_equal(session_set_rights(&w->base, other, NULL), 0);
	assert_null(session_rights(&w->base, other));
	assert_int_equal(lent(w), 0);
}

/* What it had is kept until it is known whether it is to have it again. */
static void rights_can_be_had_back(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint32_t was;

	assert_int_equal(session_change_rights(&w->base, fd, rights_of("bob", 1), &was), 0);
	assert_int_equal(was, BUFFER_NONE);
	session_restore_rights(&w->base, fd, was);
	assert_null(session_rights(&w->base, fd));
	assert_int_equal(lent(w), 0);
	assert_int_equal(session_set_rights(&w->base, fd, rights_of("bob", 1)), 0);
	assert_int_equal(session_change_rights(&w->base, fd, rights_of("alice", 1), &was), 0);
	assert_true(is_me(w, fd, "alice"));
	assert_int_equal(lent(w), 2);
	session_restore_rights(&w->base, fd, was);
	assert_true(is_me(w, fd, "bob"));
	assert_int_equal(lent(w), 1);
}

/* Whose connection it is by its certificate, it stays, whatever else is shown. */
static void certified_once_and_for_all(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	struct rights *block = (struct rights *)(uintptr_t)rights_of("bob", 0);

	block->certified = 1;
	assert_int_equal(session_set_rights(&w->base, fd, block), 0);
	assert_int_equal(session_set_rights(&w->base, fd, rights_of("bob", 3)), 0);
	assert_int_equal(session_rights(&w->base, fd)->certified, 1);
	assert_int_equal(session_rights(&w->base, fd)->grants, 3);
	assert_int_equal(session_set_rights(&w->base, fd, NULL), 0);
	assert_int_equal(session_set_rights(&w->base, fd, rights_of("bob", 3)), 0);
	assert_int_equal(session_rights(&w->base, fd)->certified, 0);
	session_set_rights(&w->base, fd, NULL);
}

static void without_room_rights_stay_what_they_were(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);

	assert_int_equal(session_set_rights(&w->base, fd, rights_of("bob", 1)), 0);
	pool_charge_to(&w->base.pool, &w->base.hub, SLOT);
	w->base.hub.shm->buffered_max = 4096;
	w->base.pool.spare = 0;
	assert_int_equal(session_set_rights(&w->base, fd, rights_of("alice", 1000 / 4)), -1);
	assert_true(is_me(w, fd, "bob"));
	assert_int_equal(lent(w), 1);
}

/* What stands in the table may be anything, for a successor: a number beyond all buffers, a buffer that never was one of rights. */
static void nonsense_is_no_rights(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);
	uint32_t ref;

	assert_null(slot_rights_read(&w->base.slot, BUFFER_NONE));
	assert_null(slot_rights_read(&w->base.slot, UINT32_MAX));
	assert_null(slot_rights_read(&w->base.slot, 0x60000000u));
	assert_int_equal(session_set_rights(&w->base, fd, rights_of("bob", 1)), 0);
	ref = slot_rights_ref(&w->base.slot, fd);
	assert_non_null(slot_rights_read(&w->base.slot, ref));
	pool_header(&w->base.slot, ref)->len = UINT32_MAX;
	assert_null(slot_rights_read(&w->base.slot, ref));
	pool_header(&w->base.slot, ref)->len = 30;
	assert_null(slot_rights_read(&w->base.slot, ref));
	session_set_rights(&w->base, fd, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(base, a_commit_gives_back_what_is_no_longer_named),
		TEST_ON(base, a_commit_counts),
		TEST_ON(base, a_commit_tells_of_partial_frames),
		TEST_ON(base, what_is_appended_comes_behind),
		TEST_ON(base, an_answer_is_one_with_its_input),
		TEST_ON(base, without_room_for_an_answer_the_connection_breaks),
		TEST_ON(base, room_is_made_for_a_buffer),
		TEST_ON(base, it_is_watched_for_what_it_waits_for),
		TEST_ON(base, who_waits_is_read_from_within_limits),
		TEST_ON(base, marks_tell_what_was),
		TEST_ON(base, those_that_are_over_are_listed_once),
		TEST_ON(base, who_forfeits_has_nothing_left),
		TEST_ON(base, rights_are_replaced_whole),
		TEST_ON(base, rights_can_be_had_back),
		TEST_ON(base, certified_once_and_for_all),
		TEST_ON(base, without_room_rights_stay_what_they_were),
		TEST_ON(base, nonsense_is_no_rights),
	};

	alarm(60);
	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
