/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The HTTP server: requests in every shape, limits, many connections, stop. */
#include <sys/un.h>

#include "http_fixture.h"

/* ------------------------------------------------------------------------------------ requests */

static void test_keep_alive(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	for (int i = 0; i < 3; i++) {
		put(fd, i == 1 ? "GET /a" H : "GET /quick" H);
		get(fd, "]", b, sizeof(b));
		expect_contains(b, "HTTP/1.1 200 OK\r\n");
		expect_contains(b, "X-Test: yes\r\n");
		expect_contains(b, i == 1 ? "[GET /a q=- body=]" : "[GET /quick q=- body=]");
	}
}

/* Answers come in the order of the requests, whichever thread gave them. */
static void test_pipelining(void **state)
{
	struct fixture *f = *state;
	struct strbuf all = { 0 };
	char *b = malloc(1 << 20), *p = b;

	for (int i = 0; i < 500; i++)
		strbuf_addf(&all, "POST /%s HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\n\r\n%03d",
			    i % 3 ? "quick" : "work", i);
	ask(f, all.s, b, 1 << 20);
	for (int i = 0; i < 500; i++) {
		char part[32];

		snprintf(part, sizeof(part), "body=%03d]", i);
		p = strstr(p, part);
		assert_non_null(p);
	}
	strbuf_free(&all);
	free(b);
}

static void test_byte_by_byte(void **state)
{
	static const char request[] =
		"\r\nPOST /x%2Fy?a=1&q=%41+b HTTP/1.1\r\nHost: d\r\n"
		"Transfer-Encoding: chunked\r\n\r\n"
		"3\r\nabc\r\n10;ext=1\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n"
		"GET /next" HC;
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	for (const char *p = request; *p; p++)
		assert_int_equal(send(fd, p, 1, MSG_NOSIGNAL), 1);
	get(fd, NULL, b, sizeof(b));
	expect_contains(b, "[POST /x%2Fy q=A b body=abc0123456789abcdef]");
	expect_contains(b, "[GET /next q=- body=]");
	expect_contains(b, "Connection: close\r\n");
}

static void test_refusals(void **state)
{
	static const struct {
		const char *request, *status;
	} cases[] = {
		{ "nonsense\r\n\r\n", "400" },
		{ "GET\r\n\r\n", "400" },
		{ "GET / HTTP/2.0\r\n\r\n", "505" },
		{ "GET / HTTP/1.1\r\nBad\001Header: x\r\n\r\n", "400" },
		{ "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "400" },
		{ "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400" },
		{ "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "400" },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "400" },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400" },
		{ "GET nowhere HTTP/1.1\r\n\r\n", "400" },
		{ "GET /?a=%zz HTTP/1.1\r\n\r\n", "400" },
		{ "GET /?a=%00 HTTP/1.1\r\n\r\n", "400" },
		{ "GET /?a=%ff HTTP/1.1\r\n\r\n", "400" },
		{ "CONNECT a:1 HTTP/1.1\r\n\r\n", "405" },
		{ "POST / HTTP/1.1\r\nExpect: more\r\nContent-Length: 1\r\n\r\n", "417" },
		{ "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", "413" },
		{ "GET /silent" HC, "500" },
	};
	struct fixture *f = *state;
	char b[4096], line[32];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ask(f, cases[i].request, b, sizeof(b));
		snprintf(line, sizeof(line), "HTTP/1.1 %s ", cases[i].status);
		if (strncmp(b, line, strlen(line)) != 0)
			fail_msg("%s: expected %s, got %s", cases[i].request, cases[i].status, b);
		expect_contains(b, "Connection: close\r\n");
		expect_contains(b, "{\"message\":\"");
	}
}

static void test_limits(void **state)
{
	struct fixture *f = *state;
	struct strbuf big = { 0 };
	char b[4096];

	restart(f, (struct http_server_options){ .max_head = 2000, .max_body = 10 });
	strbuf_add(&big, "GET /");
	for (int i = 0; i < 3000; i++)
		strbuf_add(&big, "a");
	expect_contains(ask(f, big.s, b, sizeof(b)), "HTTP/1.1 431 ");
	strbuf_free(&big);
	strbuf_add(&big, "GET / HTTP/1.1\r\n");
	for (int i = 0; i < HTTP_MAX_PAIRS + 1; i++)
		strbuf_add(&big, "a: b\r\n");
	expect_contains(ask(f, big.s, b, sizeof(b)), "HTTP/1.1 431 ");
	strbuf_free(&big);
	expect_contains(ask(f, "POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n", b, sizeof(b)),
			"HTTP/1.1 413 ");
	expect_contains(ask(f,
			    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
			    "6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n",
			    b, sizeof(b)),
			"HTTP/1.1 413 ");
	expect_contains(
		ask(f, "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789", b, sizeof(b)),
		"body=0123456789]");
}

/* A refused client that is still sending gets its answer, not a reset. */
static void test_refused_while_sending(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096], junk[1000];

	memset(junk, 'x', sizeof(junk));
	put(fd, "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n");
	for (int i = 0; i < 50; i++)
		send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
	expect_contains(get(fd, NULL, b, sizeof(b)), "HTTP/1.1 413 ");
}

static void test_expect_continue(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	put(fd, "POST /a HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	get(fd, "\r\n\r\n", b, sizeof(b));
	assert_string_equal(b, "HTTP/1.1 100 Continue\r\n\r\n");
	put(fd, "ok");
	expect_contains(get(fd, "]", b, sizeof(b)), "body=ok]");
}

static void test_head_and_empty(void **state)
{
	struct fixture *f = *state;
	char b[4096];

	ask(f, "HEAD /a" HC, b, sizeof(b));
	expect_contains(b, "Content-Length: 19\r\n");
	assert_string_equal(strstr(b, "\r\n\r\n"), "\r\n\r\n");
	ask(f, "DELETE /nothing" HC, b, sizeof(b));
	expect_contains(b, "HTTP/1.1 204 No Content\r\n");
	assert_null(strstr(b, "Content-Length"));
}

static void test_http_1_0(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	put(fd, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	expect_contains(get(fd, "]", b, sizeof(b)), "Connection: keep-alive\r\n");
	put(fd, "GET /a HTTP/1.0\r\n\r\n");
	expect_contains(get(fd, NULL, b, sizeof(b)), "[GET /a ");
}

static void test_whole_url(void **state)
{
	struct fixture *f = *state;
	char b[4096];

	expect_contains(ask(f, "GET http://d/x/y?q=1" HC, b, sizeof(b)), "[GET /x/y q=1 ");
	expect_contains(ask(f, "GET http://d" HC, b, sizeof(b)), "[GET / q=- ");
}

/* The client has closed its sending side before the request was handled. */
static void test_half_closed_request(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	put(fd, "GET /wait" H "GET /second" H);
	shutdown(fd, SHUT_WR);
	wait_for(&f->entered);
	sem_post(&f->leave);
	get(fd, NULL, b, sizeof(b));
	expect_contains(b, "[GET /wait ");
	expect_contains(b, "[GET /second ");
}

/* The client has gone while its request is handled: nothing but that connection is affected. */
static void test_gone_while_working(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	put(fd, "GET /wait" H);
	wait_for(&f->entered);
	close_fd(&fd);
	expect_contains(ask(f, "GET /a" HC, b, sizeof(b)), "[GET /a ");
	sem_post(&f->leave);
	expect_contains(ask(f, "GET /b" HC, b, sizeof(b)), "[GET /b ");
}

static void test_percent_decode(void **state)
{
	static const struct {
		const char *in, *out; /* out NULL: refused */
		bool plus;
	} cases[] = {
		{ "", "", false },
		{ "a%2Fb%2fc", "a/b/c", false },
		{ "a+b", "a+b", false },
		{ "a+b", "a b", true },
		{ "%", NULL, false },
		{ "%4", NULL, false },
		{ "%4g", NULL, false },
		{ "%00", NULL, false },
		{ "%c3%a9", "\xc3\xa9", false },
		{ "%c3", NULL, false },
		{ "%c0%80", NULL, false },
		{ "%ed%a0%80", NULL, false },
		{ "%f4%90%80%80", NULL, false },
		{ "%80", NULL, false },
		{ "%F0%9F%90%B3", "\xf0\x9f\x90\xb3", false },
	};
	char b[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int n = http_percent_decode(b, cases[i].in, strlen(cases[i].in), cases[i].plus);

		if (!cases[i].out) {
			assert_int_equal(n, -EINVAL);
			continue;
		}
		assert_int_equal(n, strlen(cases[i].out));
		assert_string_equal(b, cases[i].out);
	}
}

/* ----------------------------------------------------------------------------- the whole server */

static void test_slow_client(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = -1, idle = -1;
	char b[4096];

	restart(f, (struct http_server_options){ .deadline_ms = 50 });
	idle = dial(f);
	fd = dial(f);
	put(fd, "GET / HTTP/1.1\r\nHo");
	expect_contains(get(fd, NULL, b, sizeof(b)), "HTTP/1.1 408 ");
	put(idle, "GET /a" HC); /* who has not begun a request is not late */
	expect_contains(get(idle, NULL, b, sizeof(b)), "[GET /a ");
}

struct listening {
	char path[64];
	int fd;
};

static void open_listener(struct fixture *f, struct listening *l)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct cnm_error err;

	snprintf(l->path, sizeof(l->path), "/tmp/test_http.%d.sock", (int)getpid());
	str_copy(addr.sun_path, sizeof(addr.sun_path), l->path);
	unlink(l->path);
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(l->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(l->fd, 512), 0);
	assert_int_equal(http_server_listen(f->server, l->fd, &err), 0);
}

static int dial_listener(const struct listening *l)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	str_copy(addr.sun_path, sizeof(addr.sun_path), l->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void close_listener(struct fixture *f, struct listening *l)
{
	assert_int_equal(http_server_stop(f->server, PATIENCE_S * 1000), 0);
	f->server = NULL;
	close_fd(&l->fd);
	unlink(l->path);
}

/* 200 connections at once, all with requests under way. */
static void test_many_connections(void **state)
{
	struct fixture *f = *state;
	struct listening l;
	int fds[200];
	char b[4096];

	open_listener(f, &l);
	for (int i = 0; i < 200; i++)
		fds[i] = dial_listener(&l);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 200; i++) {
			snprintf(b, sizeof(b), "GET /%s?q=%d" H, i % 2 ? "quick" : "work", i);
			put(fds[i], b);
		}
		for (int i = 0; i < 200; i++) {
			char part[32];

			snprintf(part, sizeof(part), "q=%d body=]", i);
			expect_contains(get(fds[i], "]", b, sizeof(b)), part);
		}
	}
	for (int i = 0; i < 200; i++)
		close(fds[i]);
	close_listener(f, &l);
}

/* With all allowed connections open, the longest idle one makes room; one at work does not. */
static void test_full(void **state)
{
	struct fixture *f = *state;
	struct listening l;
	int busy, idle, next, last;
	char b[4096];

	restart(f, (struct http_server_options){ .max_connections = 2 });
	open_listener(f, &l);
	busy = dial_listener(&l);
	put(busy, "GET /wait" H);
	wait_for(&f->entered);
	idle = dial_listener(&l);
	put(idle, "GET /a" H);
	get(idle, "]", b, sizeof(b));
	next = dial_listener(&l);
	put(next, "GET /wait" H);
	assert_string_equal(get(idle, NULL, b, sizeof(b)), ""); /* closed */
	wait_for(&f->entered);
	last = dial_listener(&l); /* waits in the backlog */
	put(last, "GET /last" HC);
	sem_post(&f->leave);
	sem_post(&f->leave);
	get(busy, "]", b, sizeof(b));
	expect_contains(get(last, NULL, b, sizeof(b)), "[GET /last ");
	close(busy);
	close(idle);
	close(next);
	close(last);
	close_listener(f, &l);
}

static void *stop_server(void *arg)
{
	struct fixture *f = arg;

	return (void *)(intptr_t)http_server_stop(f->server, PATIENCE_S * 1000);
}

/* Requests in progress are answered, streams ended, idle connections closed. */
static void test_stop(void **state)
{
	struct fixture *f = *state;
	_close_ int working = dial(f), idle = dial(f), streaming = -1;
	pthread_t stopper;
	char b[4096];
	void *r;

	streaming = open_stream(f);
	put(working, "GET /wait" H);
	wait_for(&f->entered);
	pthread_create(&stopper, NULL, stop_server, f);
	assert_string_equal(get(idle, NULL, b, sizeof(b)), "");
	assert_string_equal(get(streaming, NULL, b, sizeof(b)), "0\r\n\r\n");
	wait_for(&f->closed);
	sem_post(&f->leave);
	expect_contains(get(working, NULL, b, sizeof(b)), "[GET /wait ");
	pthread_join(stopper, &r);
	assert_int_equal((intptr_t)r, 0);
	f->server = NULL;
}

/* More requests at work than threads: the loop goes on, and the rest take their turn. */
static void test_all_working(void **state)
{
	struct fixture *f = *state;
	int fds[20];
	char b[4096];

	restart(f, (struct http_server_options){ .max_workers = 3 });
	for (int i = 0; i < 20; i++) {
		fds[i] = dial(f);
		put(fds[i], "GET /wait" H);
	}
	for (int i = 0; i < 3; i++)
		wait_for(&f->entered);
	expect_contains(ask(f, "GET /quick" HC, b, sizeof(b)), "[GET /quick ");
	for (int i = 0; i < 20; i++)
		sem_post(&f->leave);
	for (int i = 0; i < 20; i++) {
		expect_contains(get(fds[i], "]", b, sizeof(b)), "[GET /wait ");
		close(fds[i]);
	}
}

/* A handler that does not end does not hold up the stop for ever. */
static void test_stop_stuck(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	put(fd, "GET /wait" H);
	wait_for(&f->entered);
	assert_int_equal(http_server_stop(f->server, 10), -ETIMEDOUT);
	sem_post(&f->leave);
	assert_int_equal(http_server_stop(f->server, PATIENCE_S * 1000), 0);
	f->server = NULL;
	get(fd, NULL, b, sizeof(b)); /* closed, with or without an answer */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_keep_alive),
		TEST(test_pipelining),
		TEST(test_byte_by_byte),
		TEST(test_refusals),
		TEST(test_limits),
		TEST(test_refused_while_sending),
		TEST(test_expect_continue),
		TEST(test_head_and_empty),
		TEST(test_http_1_0),
		TEST(test_whole_url),
		TEST(test_half_closed_request),
		TEST(test_gone_while_working),
		cmocka_unit_test(test_percent_decode),
		TEST(test_slow_client),
		TEST(test_many_connections),
		TEST(test_full),
		TEST(test_all_working),
		TEST(test_stop),
		TEST(test_stop_stuck),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
