/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The HTTP server: connections handed over, and answers that are streams or pipes. */
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

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

/* A handler that goes on after its head was sent. */
static void test_stream_started(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	put(fd, "POST /progress" H);
	get(fd, "6\r\nfirst\n\r\n", b, sizeof(b));
	sem_post(&f->leave);
	get(fd, "7\r\nsecond\n\r\n0\r\n\r\n", b, sizeof(b));
	wait_for(&f->closed);
	put(fd, "GET /after" HC);
	expect_contains(get(fd, NULL, b, sizeof(b)), "[GET /after ");
}

/* The stop lets it finish; when its patience ends the client sees that it did not. */
static void test_stream_started_stop(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	put(fd, "POST /progress" H);
	get(fd, "first\n\r\n", b, sizeof(b));
	assert_int_equal(http_server_stop(f->server, 10), -ETIMEDOUT);
	wait_for(&f->closed);
	assert_string_equal(get(fd, NULL, b, sizeof(b)), "");
	sem_post(&f->leave);
	assert_int_equal(http_server_stop(f->server, PATIENCE_S * 1000), 0);
	f->server = NULL;
}

/* --------------------------------------------------------------------------------------- pipes */

/* The head of GET /pipe has arrived. Returns the client's end; *ret_writer writes to the pipe. */
static int open_pipe(struct fixture *f, int *ret_writer)
{
	int fd = dial(f), fds[2];
	char b[4096];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	f->pipe = fds[0];
	*ret_writer = fds[1];
	put(fd, "GET /pipe" H);
	get(fd, "\r\n\r\n", b, sizeof(b));
	expect_contains(b, "HTTP/1.1 201 Created\r\n");
	expect_contains(b, "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n");
	return fd;
}

static void put_pipe(int fd, const char *s)
{
	assert_int_equal(write(fd, s, strlen(s)), strlen(s));
}

/* Waits until nobody reads the pipe any more. */
static void expect_unread(int writer)
{
	struct pollfd p = { .fd = writer };

	assert_int_equal(poll(&p, 1, PATIENCE_S * 1000), 1);
	assert_true(p.revents & POLLERR);
}

static void test_pipe(void **state)
{
	struct fixture *f = *state;
	_close_ int writer = -1, fd = open_pipe(f, &writer);
	char b[4096];

	for (int i = 0; i < 100; i++) {
		put_pipe(writer, "line\n");
		assert_string_equal(get(fd, "\n\r\n", b, sizeof(b)), "5\r\nline\n\r\n");
	}
	close_fd(&writer);
	assert_string_equal(get(fd, "0\r\n\r\n", b, sizeof(b)), "0\r\n\r\n");
	put(fd, "GET /after" HC);
	expect_contains(get(fd, NULL, b, sizeof(b)), "[GET /after ");
}

/* A client that goes, or loses interest, is noticed while the pipe says nothing. */
static void test_pipe_client_gone(void **state)
{
	struct fixture *f = *state;
	_close_ int writer = -1, fd = open_pipe(f, &writer);

	close_fd(&fd);
	expect_unread(writer);
	close_fd(&writer);
	fd = open_pipe(f, &writer);
	shutdown(fd, SHUT_WR);
	expect_unread(writer);
}

struct flood {
	int fd;
	size_t written;
};

static void *flood(void *arg)
{
	struct flood *f = arg;
	char piece[5000];
	ssize_t n;

	memset(piece, 'x', sizeof(piece));
	while (f->written < (16 << 20) && (n = write(f->fd, piece, sizeof(piece))) > 0)
		f->written += (size_t)n;
	close_fd(&f->fd);
	return NULL;
}

/* Reads a chunked body of x; how many there were. */
static size_t read_chunks(int fd)
{
	char b[65536], *p;
	size_t n = 0;
	FILE *in = fdopen(fd, "r");

	assert_non_null(in);
	for (;;) {
		size_t size;

		assert_non_null(fgets(b, sizeof(b), in));
		size = strtoul(b, &p, 16);
		assert_string_equal(p, "\r\n");
		assert_true(size < sizeof(b) - 2);
		assert_int_equal(fread(b, 1, size + 2, in), size + 2);
		assert_memory_equal(b + size, "\r\n", 2);
		assert_int_equal(strspn(b, "x"), size);
		n += size;
		if (size == 0)
			break;
	}
	fclose(in);
	return n;
}

/* A client that takes nothing, for however long, stops the writer, and gets all once it reads. */
static void test_pipe_flow(void **state)
{
	struct fixture *f = *state;
	struct flood flooder = { .fd = -1 };
	int fd, piped = 0, before = -1, watched;
	pthread_t thread;

	restart(f, (struct http_server_options){ .deadline_ms = 50 });
	fd = open_pipe(f, &flooder.fd);
	watched = fcntl(flooder.fd, F_DUPFD_CLOEXEC, 0);
	pthread_create(&thread, NULL, flood, &flooder);
	/* The pipe fills up, and stays so, once the sockets are full. */
	for (int same = 0; same < 3; before = piped) {
		struct pollfd p = { .fd = watched, .events = POLLOUT };

		if (poll(&p, 1, 100) == 0 && ioctl(watched, FIONREAD, &piped) == 0)
			same = piped > 0 && piped == before ? same + 1 : 0;
	}
	close_fd(&watched);
	assert_int_equal(read_chunks(fd), ((16 << 20) + 4999) / 5000 * 5000);
	pthread_join(thread, NULL);
}

/* What there is, and a file: sent at once to its end. */
static void test_pipe_file(void **state)
{
	static const char text[] = "the file's text";
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	f->pipe = memfd_create("file", MFD_CLOEXEC);
	put_pipe(f->pipe, text);
	lseek(f->pipe, 4, SEEK_SET);
	put(fd, "GET /pipe" H);
	get(fd, "0\r\n\r\n", b, sizeof(b));
	expect_contains(b, "\r\n\r\nb\r\nfile's text\r\n0\r\n\r\n");
}

static void test_pipe_http_1_0(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	f->pipe = memfd_create("file", MFD_CLOEXEC);
	put_pipe(f->pipe, "plain");
	lseek(f->pipe, 0, SEEK_SET);
	put(fd, "GET /pipe HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	get(fd, NULL, b, sizeof(b));
	expect_contains(b, "Connection: close\r\n");
	assert_string_equal(strstr(b, "\r\n\r\n"), "\r\n\r\nplain");
}

static void test_pipe_head(void **state)
{
	struct fixture *f = *state;
	_close_ int writer = -1, fd = dial(f);
	int fds[2];
	char b[4096];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	f->pipe = fds[0];
	writer = fds[1];
	put(fd, "HEAD /pipe" H);
	expect_unread(writer);
	put(fd, "GET /after" HC);
	get(fd, NULL, b, sizeof(b));
	expect_contains(b, "[GET /after ");
	assert_null(strstr(b, "0\r\n\r\n"));
}

/* A pipe that cannot be read cuts the answer short. */
static void test_pipe_broken(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f);
	char b[4096];

	f->pipe = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(fd, "GET /pipe" H);
	get(fd, NULL, b, sizeof(b));
	expect_contains(b, "chunked\r\n\r\n");
	assert_null(strstr(b, "0\r\n\r\n"));
}

/* A silent pipe ends with the server, as a stream does. */
static void test_pipe_stop(void **state)
{
	struct fixture *f = *state;
	_close_ int writer = -1, fd = open_pipe(f, &writer);
	char b[256];

	assert_int_equal(http_server_stop(f->server, PATIENCE_S * 1000), 0);
	f->server = NULL;
	assert_string_equal(get(fd, NULL, b, sizeof(b)), "0\r\n\r\n");
	expect_unread(writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
		TEST(test_stream_started),
		TEST(test_stream_started_stop),
		TEST(test_pipe),
		TEST(test_pipe_client_gone),
		TEST(test_pipe_flow),
		TEST(test_pipe_file),
		TEST(test_pipe_http_1_0),
		TEST(test_pipe_head),
		TEST(test_pipe_broken),
		TEST(test_pipe_stop),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
