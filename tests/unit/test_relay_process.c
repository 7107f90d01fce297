/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The relay between a client and a process's pipes or terminal, which end otherwise than conmon's
 * socket; and under load: much data, many sessions, several threads.
 */
#include "relay_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#define MB     (1024 * 1024)
#define N_IDLE 1000

/* ------------------------------------------------------------------------------ pipes, terminal */

static void test_pipes(void **state)
{
	struct fixture *f = *state;

	begin(f, all_streams(f));
	assert_int_equal(relay_resize(f->session, 1, 1), -EAGAIN);
	connect_pipes(f);
	assert_int_equal(relay_resize(f->session, 1, 1), -ENOTTY);
	put(f->client, "in", 2);
	shutdown(f->client, SHUT_WR);
	expect_text(f->in, "in");
	expect_eof(f->in);
	put(f->err, "err", 3);
	expect_frame(f->client, 2, "err");
	close_fd(&f->err);
	put(f->out, "out", 3);
	expect_frame(f->client, 1, "out");
	close_fd(&f->out);
	/* Both are closed, and the process lives: the session goes on until it ends. */
	assert_int_equal(recv(f->client, &(char){ 0 }, 1, MSG_DONTWAIT), -1);
	relay_finish(f->session);
	expect_eof(f->client);
	assert_int_equal(wait_end(f), RELAY_SOURCE_END);
}

/* stdin closed by the process: what is typed goes nowhere, the rest works. */
static void test_stdin_closed(void **state)
{
	struct fixture *f = *state;

	begin(f, all_streams(f));
	connect_pipes(f);
	close_fd(&f->in);
	put(f->client, "a", 1);
	put(f->client, "b", 1);
	put(f->out, "out", 3);
	expect_frame(f->client, 1, "out");
	relay_finish(f->session);
	assert_int_equal(wait_end(f), RELAY_SOURCE_END);
}

/* What was left is delivered, though the pipes are still held; also to a client that is slow. */
static void test_finish_held(void **state)
{
	struct fixture *f = *state;
	static unsigned char left[60000], got[sizeof(left) + 256];
	struct relay_source source = no_source();
	size_t n = 0, payload = 0;
	int fds[2];
	ssize_t r;

	rng_seed();
	for (size_t i = 0; i < sizeof(left); i++)
		left[i] = (unsigned char)rng64();
	begin(f, all_streams(f));
	setsockopt(f->client, SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int));
	relay_finish(f->session); /* also before there is a source */
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	put(fds[1], left, sizeof(left));
	f->out = fds[1];
	source.out = fds[0];
	assert_int_equal(relay_connect(f->session, &source), 0);
	while ((r = read(f->client, got + n, sizeof(got) - n)) > 0)
		n += (size_t)r;
	assert_int_equal(r, 0);
	for (size_t at = 0; at < n;) {
		size_t size = (size_t)got[at + 6] << 8 | got[at + 7] | (size_t)got[at + 5] << 16;

		assert_memory_equal(got + at + 8, left + payload, size);
		payload += size;
		at += 8 + size;
	}
	assert_int_equal(payload, sizeof(left));
	assert_int_equal(wait_end(f), RELAY_SOURCE_END);
}

static void *write_for_ever(void *arg)
{
	static const char b[4096];

	while (write(*(int *)arg, b, sizeof(b)) > 0)
		;
	return NULL;
}

/* A background process that never stops writing does not keep the session from its end. */
static void test_finish_flooded(void **state)
{
	struct fixture *f = *state;
	struct relay_options o = all_streams(f);
	pthread_t writer;

	o.out = false;
	begin(f, o);
	connect_pipes(f);
	pthread_create(&writer, NULL, write_for_ever, &f->out);
	relay_finish(f->session);
	assert_int_equal(wait_end(f), RELAY_SOURCE_END);
	pthread_join(writer, NULL); /* by EPIPE */
}

/* A process whose client has left neither blocks nor breaks. */
static void test_process_goes_on(void **state)
{
	struct fixture *f = *state;
	static const char b[MB];

	begin(f, all_streams(f));
	connect_pipes(f);
	put(f->client, "x", 1);
	close_fd(&f->client);
	assert_int_equal(wait_end(f), RELAY_CLIENT_GONE);
	expect_text(f->in, "x");
	expect_eof(f->in);
	put(f->out, b, sizeof(b));
	put(f->err, b, sizeof(b));
	close_fd(&f->err);
	put(f->out, b, sizeof(b));
	relay_finish(f->session);
	wait_for(f->out, 0); /* POLLERR: nobody reads any more */
}

static void test_process_goes_on_unseen(void **state)
{
	struct fixture *f = *state;
	struct relay_options o = all_streams(f);
	static const char b[MB];

	o.client = -1;
	f->session = relay_begin(f->relay, &o);
	assert_non_null(f->session);
	connect_pipes(f);
	put(f->out, b, sizeof(b));
	assert_int_equal(wait_end(f), RELAY_CLIENT_GONE);
	put(f->err, b, sizeof(b));
}

static void test_terminal(void **state)
{
	struct fixture *f = *state;
	struct winsize size;

	begin(f, with_keys(f));
	connect_terminal(f);
	put(f->client, "typed", 5);
	expect_text(f->slave, "typed");
	put(f->slave, "shown", 5);
	expect_text(f->client, "shown");
	assert_int_equal(relay_resize(f->session, 33, 77), 0);
	assert_int_equal(ioctl(f->slave, TIOCGWINSZ, &size), 0);
	assert_int_equal(size.ws_row, 33);
	assert_int_equal(size.ws_col, 77);
	put(f->slave, "last", 4);
	close_fd(&f->slave);
	expect_text(f->client, "last");
	put(f->client, "nobody", 6); /* reads this */
	relay_finish(f->session);
	expect_eof(f->client);
	assert_int_equal(wait_end(f), RELAY_SOURCE_END);
	assert_int_equal(relay_resize(f->session, 1, 1), -ESHUTDOWN);
}

/* A terminal is not hung up when its client detaches. */
static void test_terminal_detached(void **state)
{
	struct fixture *f = *state;
	struct pollfd p;
	static const char b[MB];

	begin(f, with_keys(f));
	connect_terminal(f);
	put(f->client, CTRL_P CTRL_Q, 2);
	assert_int_equal(wait_end(f), RELAY_DETACHED);
	put(f->slave, b, sizeof(b));
	p = (struct pollfd){ .fd = f->slave };
	assert_int_equal(poll(&p, 1, 0), 0);
	relay_finish(f->session);
	p.events = 0;
	wait_for(f->slave, 0); /* POLLHUP */
}

/* ------------------------------------------------------------------------------- much data */

static unsigned char much[MB];

static void *send_packets(void *arg)
{
	struct fixture *f = arg;
	unsigned char b[8193];

	for (size_t at = 0, n; at < sizeof(much); at += n) {
		n = sizeof(much) - at < 8192 ? sizeof(much) - at : 8192 - at % 17;
		b[0] = at % 3 ? 2 : 3;
		memcpy(b + 1, much + at, n);
		put(f->conmon, b, n + 1);
	}
	return NULL;
}

static void *send_input(void *arg)
{
	struct fixture *f = arg;

	put(f->client, much, sizeof(much));
	shutdown(f->client, SHUT_WR);
	return NULL;
}

static void *receive_packets(void *arg)
{
	struct fixture *f = arg;
	unsigned char b[16384];
	size_t at = 0;
	ssize_t n;

	while (at < sizeof(much) && (n = recv(f->conmon, b, sizeof(b), 0)) > 0) {
		assert_true(n <= 8192);
		assert_memory_equal(b, much + at, n);
		at += (size_t)n;
		if (at % 5 == 0)
			sched_yield();
	}
	assert_int_equal(at, sizeof(much));
	return NULL;
}

static void receive(int fd, unsigned char *to, size_t n)
{
	while (n) {
		/* In bits, so that the relay has to wait for us. */
		ssize_t r = read(fd, to, n < 1000 ? n : 1000);

		assert_true(r > 0);
		to += r;
		n -= (size_t)r;
	}
}

static void receive_frames(struct fixture *f)
{
	static unsigned char b[65536];

	for (size_t at = 0, n; at < sizeof(much); at += n) {
		receive(f->client, b, 8);
		n = (size_t)b[4] << 24 | (size_t)b[5] << 16 | (size_t)b[6] << 8 | b[7];
		assert_int_equal(b[0], at % 3 ? 1 : 2);
		assert_true(n <= sizeof(b));
		receive(f->client, b, n);
		assert_memory_equal(b, much + at, n);
	}
}

static void test_much_both_ways(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[3];

	rng_seed();
	for (size_t i = 0; i < sizeof(much); i++)
		much[i] = (unsigned char)rng64();
	begin(f, all_streams(f));
	setsockopt(f->client, SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int));
	connect_conmon(f, true);
	pthread_create(&threads[0], NULL, send_input, f);
	pthread_create(&threads[1], NULL, receive_packets, f);
	pthread_create(&threads[2], NULL, send_packets, f);
	receive_frames(f);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	close_fd(&f->conmon);
	expect_eof(f->client);
	assert_int_equal(wait_end(f), RELAY_SOURCE_END);
}

/* ----------------------------------------------------------------------------- many sessions */

static void count_end(enum relay_end why, void *arg)
{
	sem_post(arg);
}

static void wait_count(sem_t *s, unsigned n)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += PATIENCE;
	while (n--)
		assert_int_equal(sem_timedwait(s, &t), 0);
}

/* With a thousand idle ones beside it a session works; then half of the clients go. */
static void test_many(void **state)
{
	struct fixture *f = *state;
	static struct relay_session *sessions[N_IDLE];
	static int clients[N_IDLE], conmons[N_IDLE];
	struct relay_options o = { .in = true, .out = true, .err = true, .ended = count_end };
	struct rlimit files = { 8192, 8192 };
	sem_t ended;

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	sem_init(&ended, 0, 0);
	o.arg = &ended;
	for (int i = 0; i < N_IDLE; i++) {
		struct fixture one = { .relay = f->relay };

		begin(&one, o);
		f->session = NULL;
		sessions[i] = one.session;
		connect_conmon(&one, true);
		clients[i] = one.client;
		conmons[i] = one.conmon;
	}
	begin(f, all_streams(f));
	connect_conmon(f, true);
	packet(f, 2, "works");
	expect_frame(f->client, 1, "works");
	for (int i = 0; i < N_IDLE; i += 2)
		close(clients[i]);
	wait_count(&ended, N_IDLE / 2);
	relay_stop(f->relay);
	f->relay = NULL;
	wait_count(&ended, N_IDLE / 2);
	assert_int_equal(wait_end(f), RELAY_CANCELLED);
	for (int i = 0; i < N_IDLE; i++) {
		if (i % 2)
			expect_eof(clients[i]);
		if (i % 2)
			close(clients[i]);
		close(conmons[i]);
		relay_release(sessions[i]);
	}
	sem_destroy(&ended);
}

struct churn {
	struct fixture *f;
	sem_t ended;
	uint64_t seed;
};

/* Sessions that begin and end in all ways, from several threads at once. */
static void *churn(void *arg)
{
	struct churn *c = arg;
	struct relay_options o = { .in = true, .out = true, .ended = count_end, .arg = &c->ended };

	for (unsigned i = 0; i < 300; i++) {
		struct fixture one = { .relay = c->f->relay,
				       .client = -1,
				       .conmon = -1,
				       .in = -1,
				       .out = -1,
				       .err = -1 };
		unsigned way = (unsigned)(c->seed + i * 7) % 6;

		begin(&one, o);
		if (i % 3 == 0)
			relay_end(one.session); /* before it is connected */
		if (way % 2)
			connect_conmon(&one, true);
		else
			connect_pipes(&one);
		if (way < 2)
			close_fd(&one.client);
		else if (way < 4)
			relay_end(one.session);
		else if (way == 5)
			close_fd(&one.conmon);
		if (way % 2 == 0)
			relay_finish(one.session);
		relay_resize(one.session, 1, 1);
		relay_release(one.session);
		wait_count(&c->ended, 1);
		close_fd(&one.client);
		close_fd(&one.conmon);
		close_fd(&one.in);
		close_fd(&one.out);
		close_fd(&one.err);
	}
	return NULL;
}

static void test_churn(void **state)
{
	struct fixture *f = *state;
	struct churn c[4];
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++) {
		c[i] = (struct churn){ .f = f, .seed = i };
		sem_init(&c[i].ended, 0, 0);
		pthread_create(&threads[i], NULL, churn, &c[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		sem_destroy(&c[i].ended);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_pipes),           T(test_stdin_closed),
		T(test_finish_held),     T(test_finish_flooded),
		T(test_process_goes_on), T(test_process_goes_on_unseen),
		T(test_terminal),        T(test_terminal_detached),
		T(test_much_both_ways),  T(test_many),
		T(test_churn),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
