/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The HTTP server: bodies that the handler reads itself. */
#include "http_fixture.h"

#define POST "POST /body HTTP/1.1\r\nHost: d\r\n"

/* The answer to a request that came whole. */
static void expect_body(struct fixture *f, const char *request, const char *body)
{
	char b[4096];

	expect_contains(ask(f, request, b, sizeof(b)), body);
}

static void test_length(void **state)
{
	struct fixture *f = *state;

	expect_body(f, POST "Content-Length: 5\r\n\r\nhello", "\r\n\r\nhello<0>");
	expect_body(f, POST "Content-Length: 0\r\n\r\n", "\r\n\r\n<0>");
	expect_body(f, POST "\r\n", "\r\n\r\n<0>");
}

static void test_chunked(void **state)
{
	struct fixture *f = *state;

	expect_body(f,
		    POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10;ext=1\r\n"
			 "0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n",
		    "\r\n\r\nabc0123456789abcdef<0>");
	expect_body(f, POST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "\r\n\r\n<0>");
}

/* In the smallest pieces, sent and read. */
static void test_byte_by_byte(void **state)
{
	static const char request[] = "POST /body?n=1 HTTP/1.1\r\nHost: d\r\n"
				      "Transfer-Encoding: chunked\r\n\r\n"
				      "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\nGET /next" HC;
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	for (const char *p = request; *p; p++)
		assert_int_equal(send(fd, p, 1, MSG_NOSIGNAL), 1);
	get(fd, NULL, b, sizeof(b));
	expect_contains(b, "\r\n\r\nabcdefg<0>");
	expect_contains(b, "[GET /next q=- body=]");
}

/* A body read to its end leaves the connection as it was. */
static void test_pipelining(void **state)
{
	struct fixture *f = *state;
	struct strbuf all = { 0 };
	char *b = malloc(1 << 20), *p = b;

	for (int i = 0; i < 300; i++)
		strbuf_addf(&all,
			    "POST /body?n=%d HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n"
			    "\r\n1\r\n-\r\n3\r\n%03d\r\n0\r\n\r\n",
			    1 + i % 30, i);
	ask(f, all.s, b, 1 << 20);
	for (int i = 0; i < 300; i++) {
		char part[32];

		snprintf(part, sizeof(part), "\r\n\r\n-%03d<0>", i);
		p = strstr(p, part);
		assert_non_null(p);
	}
	strbuf_free(&all);
	free(b);
}

static void *send_large(void *arg)
{
	char piece[1 << 14];
	int fd = *(int *)arg;

	memset(piece, 'x', sizeof(piece));
	put(fd, POST "Content-Length: 8388608\r\n\r\n");
	for (size_t sent = 0; sent < 8 << 20; sent += sizeof(piece))
		assert_int_equal(send(fd, piece, sizeof(piece), MSG_NOSIGNAL), sizeof(piece));
	return NULL;
}

/* More than the server takes of a body of its own. */
static void test_large(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char *b = malloc(10 << 20), *body;
	pthread_t thread;

	pthread_create(&thread, NULL, send_large, &fd);
	get(fd, "<0>", b, 10 << 20);
	pthread_join(thread, NULL);
	body = strstr(b, "\r\n\r\n") + 4;
	assert_int_equal(strspn(body, "x"), 8 << 20);
	assert_string_equal(body + (8 << 20), "<0>");
	free(b);
}

/* A client that waits to be asked for its body is, when it is wanted. */
static void test_expect(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	put(fd, "POST /body/wait HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\n"
		"Expect: 100-continue\r\n\r\n");
	wait_for(&f->entered);
	assert_int_equal(recv(fd, b, sizeof(b), MSG_DONTWAIT), -1);
	sem_post(&f->leave);
	assert_string_equal(get(fd, "\r\n\r\n", b, sizeof(b)), "HTTP/1.1 100 Continue\r\n\r\n");
	put(fd, "hello");
	expect_contains(get(fd, "<0>", b, sizeof(b)), "\r\n\r\nhello<0>");
	put(fd, "GET /after" HC);
	expect_contains(get(fd, NULL, b, sizeof(b)), "[GET /after ");
}

/* An answer before the body's end: the client, which still sends, gets it, and is closed. */
static void test_unread(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	put(fd, "POST /body/unread HTTP/1.1\r\nHost: d\r\nContent-Length: 1000000\r\n\r\npart");
	get(fd, "]", b, sizeof(b));
	expect_contains(b, "Connection: close\r\n");
	expect_contains(b, "[POST /body/unread ");
	put(fd, "GET /no-request" H);
	shutdown(fd, SHUT_WR);
	assert_string_equal(get(fd, NULL, b, sizeof(b)), "");
}

static void test_unread_expect(void **state)
{
	struct fixture *f = *state;
	char b[4096];

	ask(f,
	    "POST /body/unread HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\n"
	    "Expect: 100-continue\r\n\r\n",
	    b, sizeof(b));
	assert_non_null(str_after(b, "HTTP/1.1 200 OK\r\n"));
}

/* What is wrong ends the reading, not the answer; what follows is no request. */
static void test_bad_bodies(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char part[64], b[4096];

	snprintf(part, sizeof(part), "\r\n\r\nabc<%d>", -EBADMSG);
	expect_body(f, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", part);
	snprintf(part, sizeof(part), "\r\n\r\nabc<%d>", -ECONNRESET);
	put(fd, POST "Transfer-Encoding: chunked\r\n\r\nzz\r\nGET /next" H);
	get(fd, NULL, b, sizeof(b));
	expect_contains(b, "Connection: close\r\n");
	assert_null(strstr(b, "[GET"));
	expect_body(f, POST "Content-Length: 4\r\n\r\nabc", part);
	expect_body(f, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", part);
}

static void test_deadline(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = -1;
	char b[4096], part[64];

	restart(f, (struct http_server_options){ .deadline_ms = 50 });
	fd = dial(f);
	put(fd, POST "Content-Length: 4\r\n\r\nabc");
	snprintf(part, sizeof(part), "\r\n\r\nabc<%d>", -ETIMEDOUT);
	expect_contains(get(fd, NULL, b, sizeof(b)), part);
	expect_contains(b, "Connection: close\r\n");
}

/* A handler that waits for a body does not keep the server from ending. */
static void test_stop(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	put(fd, "POST /body/wait HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\n\r\nabc");
	wait_for(&f->entered);
	sem_post(&f->leave);
	assert_int_equal(http_server_stop(f->server, 10), 0);
	f->server = NULL;
	get(fd, NULL, b, sizeof(b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_length),     TEST(test_chunked),       TEST(test_byte_by_byte),
		TEST(test_pipelining), TEST(test_large),         TEST(test_expect),
		TEST(test_unread),     TEST(test_unread_expect), TEST(test_bad_bodies),
		TEST(test_deadline),   TEST(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
