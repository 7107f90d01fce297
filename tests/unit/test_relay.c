/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The relay between a client and conmon's socket. A session's end is waited for; everything else
 * shows in the bytes.
 */
#include "relay_fixture.h"

#include <signal.h>

#define MB (1024 * 1024)

/* ------------------------------------------------------------------------------ conmon's socket */

static void test_streams(void **state)
{
	struct fixture *f = *state;

	begin(f, all_streams(f));
	connect_conmon(f, true);
	packet(f, 2, "out");
	packet(f, 3, "err");
	expect_frame(f->client, 1, "out");
	expect_frame(f->client, 2, "err");
	put(f->client, "input", 5);
	expect_text(f->conmon, "input");
	packet(f, 2, "last");
	close_fd(&f->conmon);
	expect_frame(f->client, 1, "last");
	expect_eof(f->client);
	assert_int_equal(wait_end(f), RELAY_SOURCE_END);
}

static void test_terminal_is_raw(void **state)
{
	struct fixture *f = *state;
	struct relay_options o = all_streams(f);

	o.terminal = true;
	begin(f, o);
	connect_conmon(f, true);
	packet(f, 2, "raw");
	expect_text(f->client, "raw");
}

static void test_not_asked_for(void **state)
{
	struct fixture *f = *state;
	struct relay_options o = all_streams(f);

	o.in = o.out = false;
	begin(f, o);
	connect_conmon(f, true);
	packet(f, 2, "dropped");
	put(f->client, "dropped", 7);
	shutdown(f->client, SHUT_WR); /* as docker run without -i does at once */
	packet(f, 3, "err");
	expect_frame(f->client, 2, "err");
	packet(f, 3, "more");
	expect_frame(f->client, 2, "more");
	/* Neither its bytes nor its end have come through. */
	assert_int_equal(recv(f->conmon, &o, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	close_fd(&f->client);
	assert_int_equal(wait_end(f), RELAY_CLIENT_GONE);
}

static void test_half_close(void **state)
{
	struct fixture *f = *state;

	begin(f, all_streams(f));
	connect_conmon(f, true);
	put(f->client, "all", 3);
	shutdown(f->client, SHUT_WR);
	expect_text(f->conmon, "all");
	expect_eof(f->conmon);
	packet(f, 2, "after");
	expect_frame(f->client, 1, "after");
	close_fd(&f->conmon);
	expect_eof(f->client);
	assert_int_equal(wait_end(f), RELAY_SOURCE_END);
}

/* stdin that is to stay open does, though the client has ended its own. */
static void test_half_close_kept_open(void **state)
{
	struct fixture *f = *state;
	char c;

	begin(f, all_streams(f));
	connect_conmon(f, false);
	put(f->client, "all", 3);
	shutdown(f->client, SHUT_WR);
	expect_text(f->conmon, "all");
	packet(f, 2, "after");
	expect_frame(f->client, 1, "after");
	assert_int_equal(recv(f->conmon, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

/* conmon's socket is reset when it ends with input unread; what it wrote before must arrive. */
static void test_source_ends_with_input_unread(void **state)
{
	struct fixture *f = *state;

	begin(f, all_streams(f));
	connect_conmon(f, true);
	put(f->client, "unread", 6);
	wait_for(f->conmon, POLLIN);
	packet(f, 2, "one");
	packet(f, 3, "two");
	close_fd(&f->conmon);
	expect_frame(f->client, 1, "one");
	expect_frame(f->client, 2, "two");
	expect_eof(f->client);
	assert_int_equal(wait_end(f), RELAY_SOURCE_END);
}

/* And the client, though nobody has read what it typed last. */
static void test_client_input_unread(void **state)
{
	struct fixture *f = *state;
	static char kept[256 * 1024];
	ssize_t n;

	begin(f, all_streams(f));
	fcntl(f->client, F_SETFL, O_NONBLOCK);
	do { /* more than is kept: some of it stays in the socket */
		n = write(f->client, kept, sizeof(kept));
	} while (n > 0);
	relay_end(f->session);
	expect_eof(f->client);
	assert_int_equal(wait_end(f), RELAY_CANCELLED);
}

/* ---------------------------------------------------------------------------- before a source */

static void test_early_bytes(void **state)
{
	struct fixture *f = *state;
	struct relay_options o = all_streams(f);

	o.early = "early ";
	o.n_early = 6;
	begin(f, o);
	put(f->client, "and later", 9);
	shutdown(f->client, SHUT_WR);
	connect_conmon(f, true);
	expect_text(f->conmon, "early and later");
	expect_eof(f->conmon);
	packet(f, 2, "still");
	expect_frame(f->client, 1, "still");
}

static void test_kept_up_to_a_bound(void **state)
{
	struct fixture *f = *state;
	static unsigned char sent[4 * MB], got[8192];
	size_t n_sent = 0, n_got = 0;
	ssize_t n;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (unsigned char)(i * 7 + i / 251);
	begin(f, all_streams(f));
	fcntl(f->client, F_SETFL, O_NONBLOCK);
	/* It is not read for ever: the socket fills. */
	for (struct pollfd p = { .fd = f->client, .events = POLLOUT }; poll(&p, 1, 200) == 1;) {
		n = write(f->client, sent + n_sent, sizeof(sent) - n_sent);
		assert_true(n > 0);
		n_sent += (size_t)n;
		assert_true(n_sent < sizeof(sent));
	}
	shutdown(f->client, SHUT_WR);
	connect_conmon(f, true);
	while ((n = read(f->conmon, got, sizeof(got))) > 0) {
		assert_memory_equal(got, sent + n_got, n);
		n_got += (size_t)n;
	}
	assert_int_equal(n_got, n_sent);
}

static void test_gone_before_source(void **state)
{
	struct fixture *f = *state;

	begin(f, all_streams(f));
	shutdown(f->client, SHUT_WR);
	close_fd(&f->client);
	assert_int_equal(wait_end(f), RELAY_CLIENT_GONE);
	assert_int_equal(relay_resize(f->session, 1, 1), -ESHUTDOWN);
	connect_conmon(f, true);
	expect_eof(f->conmon);
}

static void test_gone_before_begin(void **state)
{
	struct fixture *f = *state;
	struct relay_options o = all_streams(f);

	o.client = -1;
	f->session = relay_begin(f->relay, &o);
	assert_non_null(f->session);
	assert_int_equal(wait_end(f), RELAY_CLIENT_GONE);
}

/* --------------------------------------------------------------------------------- detach keys */

static void test_detach_split(void **state)
{
	struct fixture *f = *state;

	begin(f, with_keys(f));
	connect_conmon(f, false);
	put(f->client, "ab" CTRL_P, 3);
	expect_text(f->conmon, "ab"); /* the key was read, and is held back */
	put(f->client, CTRL_Q "rest", 5);
	assert_int_equal(wait_end(f), RELAY_DETACHED);
	expect_eof(f->client);
	expect_eof(f->conmon); /* nothing more came */
}

static void test_detach_prefix_only(void **state)
{
	struct fixture *f = *state;

	begin(f, with_keys(f));
	connect_conmon(f, true);
	put(f->client, CTRL_P, 1);
	put(f->client, "x", 1);
	expect_text(f->conmon, CTRL_P "x");
	put(f->client, "a" CTRL_P CTRL_P "b" CTRL_Q, 5);
	expect_text(f->conmon, "a" CTRL_P CTRL_P "b" CTRL_Q);
	put(f->client, "end" CTRL_P, 4);
	expect_text(f->conmon, "end");
	shutdown(f->client, SHUT_WR);
	expect_text(f->conmon, CTRL_P);
	expect_eof(f->conmon);
}

static void test_detach_early(void **state)
{
	struct fixture *f = *state;
	struct relay_options o = with_keys(f);

	o.early = "x" CTRL_P CTRL_Q;
	o.n_early = 3;
	begin(f, o);
	assert_int_equal(wait_end(f), RELAY_DETACHED);
	expect_eof(f->client);
}

/* Long keys, each byte by itself; and without a terminal they are only bytes. */
static void test_detach_long(void **state)
{
	struct fixture *f = *state;
	struct relay_options o = all_streams(f);

	o.terminal = true;
	memcpy(o.detach, "0123456789abcdef", 16);
	o.n_detach = 16;
	begin(f, o);
	connect_conmon(f, false);
	put(f->client, "0123456789abcdeX", 16);
	expect_text(f->conmon, "0123456789abcdeX");
	for (int i = 0; i < 16; i++)
		put(f->client, &"0123456789abcdef"[i], 1);
	assert_int_equal(wait_end(f), RELAY_DETACHED);
}

static void test_no_detach_without_terminal(void **state)
{
	struct fixture *f = *state;
	struct relay_options o = with_keys(f);

	o.terminal = false;
	begin(f, o);
	connect_conmon(f, true);
	put(f->client, CTRL_P CTRL_Q, 2);
	expect_text(f->conmon, CTRL_P CTRL_Q);
}

/* -------------------------------------------------------------------------- the client is gone */

static void test_gone_idle(void **state)
{
	struct fixture *f = *state;

	begin(f, all_streams(f));
	connect_conmon(f, false);
	packet(f, 2, "x");
	expect_frame(f->client, 1, "x");
	close_fd(&f->client);
	assert_int_equal(wait_end(f), RELAY_CLIENT_GONE);
	expect_eof(f->conmon);
}

static void test_gone_after_half_close(void **state)
{
	struct fixture *f = *state;

	begin(f, all_streams(f));
	connect_conmon(f, true);
	shutdown(f->client, SHUT_WR);
	expect_eof(f->conmon);
	close_fd(&f->client);
	assert_int_equal(wait_end(f), RELAY_CLIENT_GONE);
}

/* Its last words reach stdin. */
static void test_gone_with_last_words(void **state)
{
	struct fixture *f = *state;

	begin(f, all_streams(f));
	connect_conmon(f, true);
	put(f->client, "last words", 10);
	close_fd(&f->client);
	expect_text(f->conmon, "last words");
	assert_int_equal(wait_end(f), RELAY_CLIENT_GONE);
}

static void fill(int fd, char first)
{
	static char b[4096];

	b[0] = first;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (struct pollfd p = { .fd = fd, .events = POLLOUT }; poll(&p, 1, 100) == 1;)
		assert_true(write(fd, b, sizeof(b)) > 0 || errno == EAGAIN);
}

static void test_gone_while_output_waits(void **state)
{
	struct fixture *f = *state;

	begin(f, all_streams(f));
	connect_conmon(f, true);
	fill(f->conmon, 2);
	close_fd(&f->client);
	assert_int_equal(wait_end(f), RELAY_CLIENT_GONE);
}

static void test_gone_while_input_waits(void **state)
{
	struct fixture *f = *state;

	begin(f, all_streams(f));
	connect_conmon(f, true);
	fill(f->client, 'x');
	packet(f, 2, "output goes on");
	expect_frame(f->client, 1, "output goes on");
	close_fd(&f->client);
	assert_int_equal(wait_end(f), RELAY_CLIENT_GONE);
}

/* ---------------------------------------------------------------------------------- the calls */

static void test_end(void **state)
{
	struct fixture *f = *state;
	struct relay_source source = no_source();

	begin(f, all_streams(f));
	connect_conmon(f, true);
	packet(f, 2, "x");
	expect_frame(f->client, 1, "x");
	relay_end(f->session);
	expect_eof(f->client);
	assert_int_equal(wait_end(f), RELAY_CANCELLED);
	/* All of this is allowed, and nothing. */
	relay_end(f->session);
	relay_finish(f->session);
	assert_int_equal(relay_connect(f->session, &source), -EALREADY);
}

static void test_stop_of_nothing(void **state)
{
	relay_stop(NULL);
	relay_release(NULL);
}

#ifdef CAN_FAIL_ALLOC
static void test_no_memory(void **state)
{
	struct fixture *f = *state;
	struct relay_options o = all_streams(f);
	struct relay *r;
	int fds[2];

	fail_in = 1;
	assert_int_equal(relay_start(&r, NULL), -ENOMEM);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	o.client = fds[1];
	o.early = "early";
	o.n_early = 5;
	for (int at = 1; at <= 2; at++) {
		fail_in = at;
		assert_null(relay_begin(f->relay, &o));
		expect_eof(fds[0]);
		o.client = -1;
	}
	fail_in = 0;
	close(fds[0]);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_streams),
		T(test_terminal_is_raw),
		T(test_not_asked_for),
		T(test_half_close),
		T(test_half_close_kept_open),
		T(test_source_ends_with_input_unread),
		T(test_client_input_unread),
		T(test_early_bytes),
		T(test_kept_up_to_a_bound),
		T(test_gone_before_source),
		T(test_gone_before_begin),
		T(test_detach_split),
		T(test_detach_prefix_only),
		T(test_detach_early),
		T(test_detach_long),
		T(test_no_detach_without_terminal),
		T(test_gone_idle),
		T(test_gone_after_half_close),
		T(test_gone_with_last_words),
		T(test_gone_while_output_waits),
		T(test_gone_while_input_waits),
		T(test_end),
		T(test_stop_of_nothing),
#ifdef CAN_FAIL_ALLOC
		T(test_no_memory),
#endif
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
