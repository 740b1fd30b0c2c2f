/*
 * Orders: what a master sends a keeper comes out at the other end under its own name, and nothing that comes along is left open.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/orders.h"

#define SLOT 3
#define LISTENERS 2

struct fixture {
	int master, keeper;			/* the socket's ends */
	int program;
	struct handover h;			/* what the keeper is to be given */
	struct order_received r;
	unsigned open;				/* descriptors, before anything was sent */
};

static unsigned count_open(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(folder))
		n++;
	closedir(folder);
	return n;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(orders_open(&f->master, &f->keeper), 0);
	f->program = memfd_create("program", 0);
	settings_defaults(&f->h.settings);
	f->h.slot = SLOT;
	f->h.hub = memfd_create("hub", 0);
	f->h.secrets = -1;
	f->h.slots[SLOT].segment = memfd_create("segment", 0);
	f->h.listeners = LISTENERS;
	for (int i = 0; i < LISTENERS; i++) {
		f->h.listen[i].fd = memfd_create("listener", 0);
		strcpy(f->h.listen[i].url, "tcp://127.0.0.1:1");
	}
	f->h.reload_number = 77;
	f->open = count_open();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->master);
	close(f->keeper);
	close(f->program);
	close(f->h.hub);
	close(f->h.slots[SLOT].segment);
	for (int i = 0; i < LISTENERS; i++)
		close(f->h.listen[i].fd);
	free(f);
	return 0;
}

/* Two numbers of one file. */
static void assert_same(int a, int b)
{
	struct stat sa, sb;

	assert_int_not_equal(a, b);
	assert_int_equal(fstat(a, &sa), 0);
	assert_int_equal(fstat(b, &sb), 0);
	assert_true(sa.st_ino == sb.st_ino && sa.st_dev == sb.st_dev);
}

static enum order receive(struct fixture *f)
{
	orders_receive(f->keeper, &f->r);
	return f->r.order;
}

static void test_nothing_then_orders_then_the_end(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(receive(f), ORDER_NONE);
	assert_int_equal(orders_send(f->master, ORDER_QUIESCE), 0);
	assert_int_equal(orders_send(f->master, ORDER_RESUME), 0);
	assert_int_equal(receive(f), ORDER_QUIESCE);
	assert_int_equal(receive(f), ORDER_RESUME);
	assert_int_equal(receive(f), ORDER_NONE);
	close(f->master);
	assert_int_equal(receive(f), ORDER_END);
	f->master = -1;
}

static void test_keeper_that_is_gone(void **state)
{
	struct fixture *f = *state;

	close(f->keeper);
	f->keeper = -1;
	assert_int_equal(orders_send(f->master, ORDER_QUIESCE), -1);
	assert_int_equal(orders_send_replace(f->master, &f->h, f->program), -1);
	assert_int_equal(count_open(), f->open - 1);
}

/* A keeper that reads no orders holds nobody up. */
static void test_sending_never_waits(void **state)
{
	struct fixture *f = *state;

	alarm(10);
	while (orders_send(f->master, ORDER_QUIESCE) == 0)
		;
	alarm(60);
}

static void test_replace(void **state)
{
	struct fixture *f = *state;
	struct handover *h = &f->r.handover;

	assert_int_equal(orders_send_replace(f->master, &f->h, f->program), 0);
	assert_int_equal(receive(f), ORDER_REPLACE);
	assert_int_equal(h->reload_number, 77);
	assert_int_equal(h->slot, SLOT);
	assert_same(f->r.program, f->program);
	assert_int_equal(h->hub, -1);
	assert_int_equal(h->slots[SLOT].segment, -1);
	assert_int_equal(h->listeners, LISTENERS);
	for (int i = 0; i < LISTENERS; i++)
		assert_same(h->listen[i].fd, f->h.listen[i].fd);
	assert_int_equal(count_open(), f->open + 1 + LISTENERS);
	orders_close(&f->r);
	assert_int_equal(count_open(), f->open);
}

static void test_replace_with_other_segments(void **state)
{
	struct fixture *f = *state;
	struct handover *h = &f->r.handover;

	f->h.new_segments = true;
	assert_int_equal(orders_send_replace(f->master, &f->h, f->program), 0);
	assert_int_equal(receive(f), ORDER_REPLACE);
	assert_same(h->hub, f->h.hub);
	assert_same(h->slots[SLOT].segment, f->h.slots[SLOT].segment);
	assert_same(h->listen[1].fd, f->h.listen[1].fd);
	orders_close(&f->r);
	assert_int_equal(count_open(), f->open);
}

static void test_replace_with_secrets(void **state)
{
	struct fixture *f = *state;
	struct handover *h = &f->r.handover;

	f->h.secrets = memfd_create("secrets", 0);
	for (int i = 0; i < 2; i++) {
		f->h.new_segments = i;
		assert_int_equal(orders_send_replace(f->master, &f->h, f->program), 0);
		assert_int_equal(receive(f), ORDER_REPLACE);
		assert_same(h->secrets, f->h.secrets);
		assert_same(h->listen[1].fd, f->h.listen[1].fd);
		orders_close(&f->r);
		assert_int_equal(count_open(), f->open + 1);
	}
	close(f->h.secrets);
}

/* The keeper of this version expects a program. */
static void test_replace_without_a_program(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(orders_send_replace(f->master, &f->h, -1), 0);
	assert_int_equal(receive(f), ORDER_BAD);
	assert_int_equal(count_open(), f->open);
}

/* Sends `order` with `count` descriptors of a file that is no handover state. */
static void forge(struct fixture *f, char order, unsigned count)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int) * 8)];
	} control = { 0 };
	struct iovec iov = { &order, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count > 0) {
		control.head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof(int)) };
		for (unsigned i = 0; i < count; i++)
			memcpy(CMSG_DATA(&control.head) + i * sizeof(int), &f->program, sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	assert_int_equal(sendmsg(f->master, &msg, 0), 1);
}

static void test_forged(void **state)
{
	static const struct { char order; unsigned count; enum order result; } forged[] = {
		{ ORDER_REPLACE, 0, ORDER_BAD },
		{ ORDER_REPLACE, 4, ORDER_BAD },
		{ ORDER_RESUME, 2, ORDER_RESUME },
		{ 'x', 0, ORDER_BAD },
		{ 'x', 2, ORDER_BAD },
		{ ORDER_NONE, 1, ORDER_BAD },
		{ ORDER_END, 1, ORDER_BAD },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		forge(f, forged[i].order, forged[i].count);
		assert_int_equal(receive(f), forged[i].result);
		assert_true(f->r.order != ORDER_BAD || f->r.error);
		orders_close(&f->r);
		assert_int_equal(count_open(), f->open);
	}
}

/* The kernel passes as many as there is room for. */
static void test_too_few_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit had, few;

	assert_int_equal(orders_send_replace(f->master, &f->h, f->program), 0);
	getrlimit(RLIMIT_NOFILE, &had);
	few = had;
	few.rlim_cur = (rlim_t)dup(0) + 2;
	close((int)few.rlim_cur - 2);
	setrlimit(RLIMIT_NOFILE, &few);
	assert_int_equal(receive(f), ORDER_BAD);
	setrlimit(RLIMIT_NOFILE, &had);
	assert_int_equal(count_open(), f->open);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_then_orders_then_the_end),
		TEST(keeper_that_is_gone),
		TEST(sending_never_waits),
		TEST(replace),
		TEST(replace_with_other_segments),
		TEST(replace_with_secrets),
		TEST(replace_without_a_program),
		TEST(forged),
		TEST(too_few_descriptors),
	};

	alarm(60);
	return cmocka_run_group_tests_name("orders", tests, NULL, NULL);
}
