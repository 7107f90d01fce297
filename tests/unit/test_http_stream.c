/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The HTTP server: connections handed over, and answers that are streams. */
#include "http_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_hijack_upgrade),      TEST(test_hijack_without_upgrade),
		TEST(test_upgrade_ignored),     TEST(test_stream),
		TEST(test_stream_many_writers), TEST(test_stream_client_gone),
		TEST(test_stream_slow_reader),  TEST(test_stream_until),
		TEST(test_stream_http_1_0),     TEST(test_stream_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
