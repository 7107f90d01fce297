/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The HTTP server by raw bytes over socket pairs and a listening socket. The handler answers by
 * path; what it must wait for is given by semaphores, so that nothing here depends on timing.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/http_server.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"

#define PATIENCE_S 20

struct fixture {
	struct http_server *server;
	struct http_stream *stream; /* of GET /stream, once `streaming` is posted */
	struct http_stream_options stream_options;
	sem_t entered, leave; /* of GET /wait */
	sem_t streaming, closed;
	sem_t taken;
	int hijacked; /* socket, once `taken` is posted */
	char early[256];
	size_t n_early;
};

static void wait_for(sem_t *sem)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += PATIENCE_S;
	assert_int_equal(sem_timedwait(sem, &ts), 0);
}

/* --------------------------------------------------------------------------------- the handler */

static void on_closed(void *arg)
{
	struct fixture *f = arg;

	sem_post(&f->closed);
}

static void on_taken(int fd, const char *early, size_t n, void *arg)
{
	struct fixture *f = arg;

	f->hijacked = fd;
	f->n_early = n < sizeof(f->early) ? n : sizeof(f->early);
	if (n)
		memcpy(f->early, early, f->n_early);
	sem_post(&f->taken);
}

static void echo(struct http_exchange *x)
{
	const struct http_message *m = http_request(x);
	const char *param = http_message_param(m, "q");
	struct strbuf b = { 0 };

	strbuf_addf(&b, "[%s %s q=%s body=%.*s]", m->method, m->path, param ? param : "-",
		    (int)m->body.len, m->body.s ? m->body.s : "");
	http_set_header(x, "X-Test", "yes");
	http_reply(x, 200, "text/plain", b.s, b.len);
	strbuf_free(&b);
}

static void handle(struct http_exchange *x, void *arg)
{
	const char *path = http_request(x)->path;
	struct fixture *f = arg;

	if (streq(path, "/wait")) {
		sem_post(&f->entered);
		wait_for(&f->leave);
		echo(x);
	} else if (streq(path, "/stream")) {
		f->stream = http_reply_stream(x, &f->stream_options);
		sem_post(&f->streaming);
	} else if (streq(path, "/hijack")) {
		http_reply_hijack(x, "application/vnd.docker.raw-stream", on_taken, f);
	} else if (streq(path, "/nothing")) {
		http_reply(x, 204, NULL, "", 0);
	} else if (!streq(path, "/silent")) {
		echo(x);
	}
}

static bool is_quick(const struct http_message *m, void *arg)
{
	return str_after(m->path, "/quick") != NULL;
}

/* ----------------------------------------------------------------------------------- the client */

static void start(struct fixture *f, struct http_server_options options)
{
	struct cnm_error err = { 0 };

	memset(f, 0, sizeof(*f));
	f->hijacked = -1;
	f->stream_options = (struct http_stream_options){ .type = "application/json",
							  .closed = on_closed,
							  .arg = f };
	sem_init(&f->entered, 0, 0);
	sem_init(&f->leave, 0, 0);
	sem_init(&f->streaming, 0, 0);
	sem_init(&f->closed, 0, 0);
	sem_init(&f->taken, 0, 0);
	options.handle = handle;
	options.quick = is_quick;
	options.arg = f;
	assert_int_equal(http_server_start(&f->server, &options, &err), 0);
}

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	start(*state, (struct http_server_options){ 0 });
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r = f->server ? http_server_stop(f->server, PATIENCE_S * 1000) : 0;

	close_fd(&f->hijacked);
	free(f);
	return r;
}

/* Another server for the fixture. */
static void restart(struct fixture *f, struct http_server_options options)
{
	assert_int_equal(http_server_stop(f->server, PATIENCE_S * 1000), 0);
	start(f, options);
}

/* A client's end of a connection to the server. */
static int dial(struct fixture *f)
{
	struct cnm_error err;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(http_server_adopt(f->server, fds[1], &err), 0);
	return fds[0];
}

static void put(int fd, const char *s)
{
	assert_int_equal(send(fd, s, strlen(s), MSG_NOSIGNAL), strlen(s));
}

/* Up to size - 1 bytes until the end, or until the text ends in `until`. Returns the text. */
static char *get(int fd, const char *until, char *buf, size_t size)
{
	size_t n = 0, want = until ? strlen(until) : 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t r;

		buf[n] = '\0';
		if (want && n >= want && streq(buf + n - want, until))
			return buf;
		assert_true(n < size - 1);
		assert_int_equal(poll(&p, 1, PATIENCE_S * 1000), 1);
		/* A byte at a time with a mark, so as not to read beyond it. */
		r = read(fd, buf + n, want ? 1 : size - 1 - n);
		if (r <= 0) {
			assert_null(until);
			return buf;
		}
		n += (size_t)r;
	}
}

static void expect_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in: %s", part, text);
}

/* Send all of it on a connection of its own; what comes until the server closes. */
static char *ask(struct fixture *f, const char *request, char *buf, size_t size)
{
	_close_ int fd = dial(f);

	put(fd, request);
	shutdown(fd, SHUT_WR);
	return get(fd, NULL, buf, size);
}

#define H  " HTTP/1.1\r\nHost: d\r\n\r\n"
#define HC " HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"

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

/* -------------------------------------------------------------------------------------- hijack */

/* The socket handed over works both ways, and each side can be closed by itself. */
static void use_hijacked(struct fixture *f, int client)
{
	char b[256];

	wait_for(&f->taken);
	assert_true(f->hijacked >= 0);
	assert_int_equal(f->n_early, 5);
	assert_memory_equal(f->early, "early", 5);
	put(client, "later");
	shutdown(client, SHUT_WR);
	assert_string_equal(get(f->hijacked, NULL, b, sizeof(b)), "later");
	put(f->hijacked, "still writing");
	assert_string_equal(get(client, "writing", b, sizeof(b)), "still writing");
	shutdown(f->hijacked, SHUT_WR);
	assert_string_equal(get(client, NULL, b, sizeof(b)), "");
}

static void test_hijack_upgrade(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	put(fd, "POST /hijack HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
		"Content-Length: 2\r\n\r\n{}early");
	get(fd, "\r\n\r\n", b, sizeof(b));
	assert_string_equal(b, "HTTP/1.1 101 UPGRADED\r\n"
			       "Content-Type: application/vnd.docker.raw-stream\r\n"
			       "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
	use_hijacked(f, fd);
}

static void test_hijack_without_upgrade(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	put(fd, "POST /hijack HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n"
		"2\r\n{}\r\n0\r\n\r\nearly");
	get(fd, "\r\n\r\n", b, sizeof(b));
	assert_string_equal(b, "HTTP/1.1 200 OK\r\n"
			       "Content-Type: application/vnd.docker.raw-stream\r\n\r\n");
	use_hijacked(f, fd);
}

/* An offer to upgrade that the handler does not take up is no hijack. */
static void test_upgrade_ignored(void **state)
{
	struct fixture *f = *state;
	char b[4096];

	ask(f,
	    "GET /a HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
	    "GET /b" HC,
	    b, sizeof(b));
	expect_contains(b, "[GET /a ");
	expect_contains(b, "[GET /b ");
}

/* ------------------------------------------------------------------------------------- streams */

static int open_stream(struct fixture *f)
{
	int fd = dial(f);
	char b[4096];

	put(fd, "GET /stream" H);
	wait_for(&f->streaming);
	get(fd, "\r\n\r\n", b, sizeof(b));
	expect_contains(b, "HTTP/1.1 200 OK\r\n");
	expect_contains(b, "Transfer-Encoding: chunked\r\n");
	return fd;
}

static void test_stream(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = open_stream(f);
	char b[4096];

	for (int i = 0; i < 100; i++) {
		/* Each record arrives before the next is written. */
		assert_int_equal(http_stream_write(f->stream, "{\"a\":1}\n", 8), 0);
		assert_string_equal(get(fd, "8\r\n{\"a\":1}\n\r\n", b, sizeof(b)),
				    "8\r\n{\"a\":1}\n\r\n");
	}
	http_stream_end(f->stream);
	assert_string_equal(get(fd, "0\r\n\r\n", b, sizeof(b)), "0\r\n\r\n");
	wait_for(&f->closed);
	put(fd, "GET /after" HC);
	expect_contains(get(fd, NULL, b, sizeof(b)), "[GET /after ");
}

static void *write_records(void *arg)
{
	struct fixture *f = arg;

	for (int i = 0; i < 1000; i++)
		assert_int_equal(http_stream_write(f->stream, "record\n", 7), 0);
	return NULL;
}

static void test_stream_many_writers(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = open_stream(f);
	char *b = malloc(1 << 20);
	pthread_t threads[4];
	size_t n = 0;

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, write_records, f);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	http_stream_end(f->stream);
	get(fd, "0\r\n\r\n", b, 1 << 20);
	for (const char *p = b; (p = strstr(p, "7\r\nrecord\n\r\n")); p++)
		n++;
	assert_int_equal(n, 4000);
	wait_for(&f->closed);
	free(b);
}

static void test_stream_client_gone(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = open_stream(f);

	close_fd(&fd); /* nothing is written: the server must notice by itself */
	wait_for(&f->closed);
	fd = open_stream(f);
	shutdown(fd, SHUT_WR);
	wait_for(&f->closed);
}

static void test_stream_slow_reader(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = -1;
	char record[1000];
	int r = 0;

	memset(record, 'x', sizeof(record));
	f->stream_options.max_unsent = 20000;
	fd = open_stream(f);
	/* The socket takes some, the buffer some more, then it is cut. */
	for (int i = 0; i < 10000 && r == 0; i++)
		r = http_stream_write(f->stream, record, sizeof(record));
	assert_int_equal(r, -ENOBUFS);
	wait_for(&f->closed);
}

static void test_stream_until(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = -1;
	char b[256];

	f->stream_options.end_ns = clock_mono_ns() + 50 * UINT64_C(1000000);
	fd = open_stream(f);
	assert_string_equal(get(fd, "0\r\n\r\n", b, sizeof(b)), "0\r\n\r\n");
	wait_for(&f->closed);
	put(fd, "GET /after" HC);
	expect_contains(get(fd, NULL, b, sizeof(b)), "[GET /after ");
}

static void test_stream_http_1_0(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	put(fd, "GET /stream HTTP/1.0\r\n\r\n");
	wait_for(&f->streaming);
	assert_int_equal(http_stream_write(f->stream, "plain", 5), 0);
	http_stream_end(f->stream);
	get(fd, NULL, b, sizeof(b));
	assert_string_equal(strstr(b, "\r\n\r\n"), "\r\n\r\nplain");
	wait_for(&f->closed);
}

static void test_stream_head(void **state)
{
	struct fixture *f = *state;
	char b[4096];

	ask(f, "HEAD /stream" H "GET /after" HC, b, sizeof(b));
	expect_contains(b, "[GET /after ");
	assert_null(strstr(b, "0\r\n\r\n"));
	wait_for(&f->closed);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
		TEST(test_hijack_upgrade),
		TEST(test_hijack_without_upgrade),
		TEST(test_upgrade_ignored),
		TEST(test_stream),
		TEST(test_stream_many_writers),
		TEST(test_stream_client_gone),
		TEST(test_stream_slow_reader),
		TEST(test_stream_until),
		TEST(test_stream_http_1_0),
		TEST(test_stream_head),
		TEST(test_slow_client),
		TEST(test_many_connections),
		TEST(test_full),
		TEST(test_all_working),
		TEST(test_stop),
		TEST(test_stop_stuck),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
