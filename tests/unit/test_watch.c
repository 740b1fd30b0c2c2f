/*
 * The sessions' epoll set: what is registered, what is written down of that, and what a successor makes of either.
 */
#include "tests/unit/worker_fixture.h"

#include <sys/epoll.h>

/* What the set reports of the descriptor, EPOLLIN and EPOLLOUT; 0: nothing. */
static uint32_t reported(const struct worker_fixture *w, int fd)
{
	struct epoll_event found[8];
	int n = epoll_wait(watch_set(&w->base.slot), found, 8, 0);

	for (int i = 0; i < n; i++)
		if (found[i].data.u64 == (uint64_t)fd)
			return found[i].events & (EPOLLIN | EPOLLOUT);
	return 0;
}

static void say(const struct worker_fixture *w, int fd)
{
	assert_int_equal(send(w->peer[fd], "x", 1, 0), 1);
}

static void what_is_waited_for_is_reported(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);

	assert_int_equal(watch_has(&w->base.slot, fd), EV_READ);
	assert_int_equal(reported(w, fd), 0);
	say(w, fd);
	assert_int_equal(reported(w, fd), EPOLLIN);
	assert_int_equal(watch_put(&w->base.slot, fd, EV_READ | EV_WRITE), 0);
	assert_int_equal(reported(w, fd), EPOLLIN | EPOLLOUT);
	assert_int_equal(watch_put(&w->base.slot, fd, EV_WRITE), 0);
	assert_int_equal(reported(w, fd), EPOLLOUT);
	assert_int_equal(watch_put(&w->base.slot, fd, 0), 0);
	assert_int_equal(watch_has(&w->base.slot, fd), 0);
	assert_int_equal(reported(w, fd), 0);
}

/* Input stays registered while it is not wanted for a moment; room for output, which would be reported at once, does not. */
static void what_is_not_wanted_for_a_moment_stays(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);

	session_mark(&w->base, fd, MARK_STALLED);
	session_watch(&w->base, fd);
	assert_int_equal(watch_has(&w->base.slot, fd), EV_READ);
	session_unmark(&w->base, fd, MARK_STALLED);
	state_of(w, fd)->flags = SESSION_BEHIND;
	session_watch(&w->base, fd);
	assert_int_equal(watch_has(&w->base.slot, fd), EV_READ | EV_WRITE);
	state_of(w, fd)->flags = 0;
	session_watch(&w->base, fd);
	assert_int_equal(watch_has(&w->base.slot, fd), EV_READ);
	assert_int_equal(reported(w, fd), 0);
}

/* A worker has died between the kernel's change and the note of it, on either side: the byte says less. */
static void what_is_half_done_is_done_again(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);

	w->base.slot.watch[fd] = 0;
	session_watch(&w->base, fd);
	assert_int_equal(watch_has(&w->base.slot, fd), EV_READ);
	say(w, fd);
	assert_int_equal(reported(w, fd), EPOLLIN);
	/* (A byte that says more than there is can't be; but a descriptor may have been closed by another program.) */
	assert_int_equal(epoll_ctl(watch_set(&w->base.slot), EPOLL_CTL_DEL, fd, NULL), 0);
	assert_int_equal(watch_put(&w->base.slot, fd, EV_READ | EV_WRITE), 0);
	assert_int_equal(reported(w, fd), EPOLLIN | EPOLLOUT);
}

/* The last worker died as it was about to have room for output reported no more, which is written down first. */
static void what_is_reported_and_not_wanted_ends(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH);

	assert_int_equal(watch_put(&w->base.slot, fd, EV_READ | EV_WRITE), 0);
	w->base.slot.watch[fd] &= (uint8_t)~EV_WRITE;
	session_watch(&w->base, fd);
	assert_int_equal(reported(w, fd), EPOLLOUT);
	assert_int_equal(watch_heed(&w->base.slot, fd, EPOLLOUT, EV_READ), 0);
	assert_int_equal(reported(w, fd), 0);
	say(w, fd);
	assert_int_equal(watch_heed(&w->base.slot, fd, EPOLLIN, EV_READ), 0);
	assert_int_equal(reported(w, fd), EPOLLIN);
	/* An error is no reason to change what is waited for, unless that is nothing. */
	assert_int_equal(watch_heed(&w->base.slot, fd, EPOLLERR, EV_READ), 0);
	assert_int_equal(watch_has(&w->base.slot, fd), EV_READ);
	assert_int_equal(watch_heed(&w->base.slot, fd, EPOLLERR, 0), 0);
	assert_int_equal(reported(w, fd), 0);
}

static void a_successor_finds_the_set(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH), set = watch_set(&w->base.slot);

	say(w, fd);
	assert_int_equal(watch_open(&w->base.slot), 0);
	assert_int_equal(watch_set(&w->base.slot), set);
	assert_int_equal(reported(w, fd), EPOLLIN);
}

static void a_number_that_is_no_set_s_is_forgotten(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH), set = watch_set(&w->base.slot);

	w->base.slot.shm->watch_set = (uint32_t)fd + 1;
	assert_int_equal(watch_open(&w->base.slot), 0);
	assert_int_not_equal(watch_set(&w->base.slot), fd);
	assert_true(fcntl(fd, F_GETFD) >= 0);		/* whose it is stays open */
	close(set);
	/* Another program has had the sessions: whatever the number is by now. */
	set = watch_set(&w->base.slot);
	w->base.slot.watch[fd] = EV_READ;
	w->base.slot.shm->flights = FLIGHTS_ALL;
	assert_int_equal(watch_open(&w->base.slot), 0);
	assert_int_not_equal(watch_set(&w->base.slot), set);
	assert_int_equal(watch_has(&w->base.slot, fd), 0);
	close(set);
}

/* A file that is closed here and open elsewhere is in the set for good, unless it is taken out before. */
static void who_closes_takes_out_of_the_set(void **state)
{
	struct worker_fixture *w = *state;
	int fd[2], elsewhere;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	elsewhere = dup(fd[0]);
	open_session(w, fd[0], fd[1], TRANSPORT_FLASH);
	say(w, fd[0]);
	assert_int_equal(watch_end(&w->base.slot, fd[0]), 0);
	close(fd[0]);
	assert_int_equal(reported(w, fd[0]), 0);
	assert_int_equal(dup2(elsewhere, fd[0]), fd[0]);
	assert_int_equal(watch_end(&w->base.slot, fd[0]), -1);
	session_watch(&w->base, fd[0]);
	assert_int_equal(reported(w, fd[0]), EPOLLIN);
	/* Not taken out: nothing gets rid of it but another set. */
	close(fd[0]);
	assert_int_equal(reported(w, fd[0]), EPOLLIN);
	assert_int_equal(watch_end(&w->base.slot, fd[0]), -1);
	assert_int_equal(watch_renew(&w->base.slot), 0);
	assert_int_equal(reported(w, fd[0]), 0);
	assert_int_equal(dup2(elsewhere, fd[0]), fd[0]);
	close(elsewhere);
}

static void a_socket_s_kind_is_asked_once(void **state)
{
	struct worker_fixture *w = *state;
	int fd = opened(w, TRANSPORT_FLASH), tcp = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(watch_is_local(&w->base.slot, fd));
	assert_int_equal(watch_has(&w->base.slot, fd), EV_READ);
	assert_false(watch_is_local(&w->base.slot, tcp));
	assert_int_equal(dup2(fd, tcp), tcp);
	assert_false(watch_is_local(&w->base.slot, tcp));
	watch_end(&w->base.slot, tcp);
	assert_true(watch_is_local(&w->base.slot, tcp));
	watch_end(&w->base.slot, tcp);
	close(tcp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_ON(delivery, what_is_waited_for_is_reported),
		TEST_ON(delivery, what_is_not_wanted_for_a_moment_stays),
		TEST_ON(delivery, what_is_half_done_is_done_again),
		TEST_ON(delivery, what_is_reported_and_not_wanted_ends),
		TEST_ON(delivery, a_successor_finds_the_set),
		TEST_ON(delivery, a_number_that_is_no_set_s_is_forgotten),
		TEST_ON(delivery, who_closes_takes_out_of_the_set),
		TEST_ON(delivery, a_socket_s_kind_is_asked_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
