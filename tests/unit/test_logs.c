/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading logs: files as conmon writes them, read whole, from their end, and while they grow. The
 * tail is compared with a plain count over the whole text.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "containers/logs.h"
#include "containers/logs_line.h"

#define PATIENCE 30000 /* ms; only a failure waits so long */
#define AT(s)    "2026-11-22T19:00:0" #s ".123456789+00:00 "

struct fixture {
	char dir[32], path[64];
	int follow; /* an eventfd */
};

static int setup(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	strcpy(f->dir, "/tmp/cnm-logs.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	strcpy(stpcpy(f->path, f->dir), "/log");
	f->follow = eventfd(0, EFD_CLOEXEC);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	assert_int_equal(rmdir(f->dir), 0);
	close_fd(&f->follow);
	return 0;
}

/* ---- the parts */

static void append(struct fixture *f, const char *data, size_t n)
{
	_close_ int fd = open(f->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, data, n), n);
}

static void append_text(struct fixture *f, const char *text)
{
	append(f, text, strlen(text));
}

/* Everything, raw. */
static struct logs_options all(struct fixture *f)
{
	return (struct logs_options){ .path = f->path,
				      .out = true,
				      .err = true,
				      .terminal = true,
				      .tail = -1,
				      .follow = -1 };
}

static struct logs_options following(struct fixture *f)
{
	struct logs_options o = all(f);

	o.follow = f->follow;
	return o;
}

static int start(const struct logs_options *o)
{
	struct cnm_error err;
	int fd;

	assert_int_equal(logs_read(&fd, o, &err), 0);
	return fd;
}

/* What comes until the end; terminated. */
static char *read_all(int fd, size_t *ret_n)
{
	struct strbuf b = { 0 };
	char part[4096];
	ssize_t n;

	strbuf_add(&b, "");
	while ((n = read(fd, part, sizeof(part))) > 0)
		strbuf_addn(&b, part, (size_t)n);
	assert_int_equal(n, 0);
	close(fd);
	if (ret_n)
		*ret_n = b.len;
	return strbuf_take(&b);
}

static void expect_all(const struct logs_options *o, const char *text)
{
	_free_ char *got = read_all(start(o), NULL);

	assert_string_equal(got, text);
}

static void expect_next(int fd, const char *text)
{
	size_t n = strlen(text);
	char b[256];

	for (size_t have = 0; have < n;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t r;

		assert_int_equal(poll(&p, 1, PATIENCE), 1);
		r = read(fd, b + have, n - have);
		assert_true(r > 0);
		have += (size_t)r;
	}
	assert_memory_equal(b, text, n);
}

static void end_container(struct fixture *f)
{
	assert_int_equal(eventfd_write(f->follow, 1), 0);
}

/* ---------------------------------------------------------------------------------- the whole */

static const char three[] = AT(1) "stdout F one\n" AT(2) "stderr F two\n" AT(3) "stdout F \n";

static void test_frames(void **state)
{
	struct fixture *f = *state;
	struct logs_options o = all(f);
	static const char expected[] =
		"\1\0\0\0\0\0\0\4one\n\2\0\0\0\0\0\0\4two\n\1\0\0\0\0\0\0\1\n";
	_free_ char *got = NULL;
	size_t n;

	append_text(f, three);
	o.terminal = false;
	got = read_all(start(&o), &n);
	assert_int_equal(n, sizeof(expected) - 1);
	assert_memory_equal(got, expected, n);
}

static void test_streams(void **state)
{
	struct fixture *f = *state;
	struct logs_options o = all(f);

	append_text(f, three);
	expect_all(&o, "one\ntwo\n\n");
	o.err = false;
	expect_all(&o, "one\n\n");
	o.out = false;
	expect_all(&o, "");
	o.err = true;
	expect_all(&o, "two\n");
}

static void test_timestamps(void **state)
{
	struct fixture *f = *state;
	struct logs_options o = all(f);

	o.timestamps = true;
	append_text(f, "2026-03-01T00:30:00.000000001+05:30 stdout F east\n"
		       "2026-02-28T23:59:59.100000000-11:00 stdout F west\n");
	expect_all(&o,
		   "2026-02-28T19:00:00.000000001Z east\n2026-03-01T10:59:59.100000000Z west\n");
}

/* Pieces are put together, and the time is that of the first. */
static void test_pieces(void **state)
{
	struct fixture *f = *state;
	struct logs_options o = all(f);

	append_text(f, AT(1) "stdout P be\n" AT(2) "stdout P gin\n" AT(3) "stdout F  end\n" AT(
			       4) "stdout P prompt\n");
	expect_all(&o, "begin end\nprompt");
	o.timestamps = true;
	expect_all(&o, "2026-11-22T19:00:01.123456789Z begin end\n"
		       "2026-11-22T19:00:04.123456789Z prompt");
}

static void test_since_until(void **state)
{
	struct fixture *f = *state;
	struct logs_options o = all(f);
	int64_t second_1;

	append_text(f, three);
	assert_int_equal(clock_parse("2026-11-22T19:00:01.123456789Z", 0, &second_1), 0);
	o.since = second_1;
	expect_all(&o, "one\ntwo\n\n");
	o.since = second_1 + 1;
	expect_all(&o, "two\n\n");
	o.until = second_1 + 1000000000;
	expect_all(&o, "two\n");
	o.since = 0;
	expect_all(&o, "one\ntwo\n");
	/* Docker counts first, then looks at the time. */
	o.tail = 2;
	expect_all(&o, "two\n");
}

/* Any byte may be in the text; what is no record is passed over. */
static void test_odd(void **state)
{
	struct fixture *f = *state;
	struct logs_options o = all(f);
	static char large[100000];
	static const char bytes[] = AT(1) "stdout F \0\377\33[0m stderr F\n";
	_free_ char *got = NULL;
	size_t n;

	memset(large, 'x', sizeof(large));
	append_text(f, "\n\nno record\n2026 stdout F no time\n" AT(1) "stdlog F a\n" AT(
			       1) "stdout X b\n");
	append(f, bytes, sizeof(bytes) - 1);
	append_text(f, AT(1) "stdout F ");
	append(f, large, sizeof(large));
	append_text(f, AT(1) "stdout F the end of a line too long\n" AT(1) "stdout F last\n" AT(
			       1) "stdout F being writ");
	got = read_all(start(&o), &n);
	assert_int_equal(n, 16 + 5);
	assert_memory_equal(got, "\0\377\33[0m stderr F\nlast\n", n);
	o.tail = 1;
	expect_all(&o, "last\n");
}

static void test_not_there(void **state)
{
	struct fixture *f = *state;
	struct logs_options o = all(f);
	struct cnm_error err;
	char path[80] = "";
	int fd;

	expect_all(&o, "");
	append_text(f, "");
	expect_all(&o, "");
	strcpy(stpcpy(path, f->path), "/below");
	o.path = path;
	assert_int_equal(logs_read(&fd, &o, &err), -ENOTDIR);
	assert_non_null(strstr(err.text, path));
}

/* ------------------------------------------------------------------------------------- the tail */

/* Where the last lines begin, found forwards. */
static size_t plain_tail(const char *s, size_t n, size_t lines)
{
	static size_t begins[20000];
	size_t count = 0;
	bool in_line = false;
	const char *newline;

	for (size_t at = 0; at < n; at = (size_t)(newline - s) + 1) {
		struct log_line l;
		bool whole;

		newline = memchr(s + at, '\n', n - at);
		if (!newline)
			break;
		whole = log_line_parse(s + at, (size_t)(newline - s) - at, &l) && l.whole;
		if (!in_line)
			begins[count++] = at;
		in_line = !whole;
		begins[count] = (size_t)(newline - s) + 1;
	}
	return lines > count ? 0 : begins[count - lines];
}

static size_t random_log(char *s, size_t size, bool complete)
{
	size_t n = 0;

	while (n + 9000 < size) {
		size_t length = rng(8) ? rng(60) : rng(8192);

		n += (size_t)snprintf(s + n, 64, AT(1) "std%s %c ", rng(2) ? "out" : "err",
				      rng(4) ? 'F' : 'P');
		for (; length; length--)
			s[n++] = (char)('a' + rng(20));
		s[n++] = '\n';
	}
	if (!complete)
		n += (size_t)sprintf(s + n, "%s", AT(1) "stdou");
	return n;
}

static void test_tail_random(void **state)
{
	struct fixture *f = *state;
	static char s[200000];

	rng_seed();
	for (int round = 0; round < 60; round++) {
		size_t n = random_log(s, 9100 + rng(sizeof(s) - 9100), round % 2);
		_close_ int fd = -1;

		unlink(f->path);
		append(f, s, n);
		fd = open(f->path, O_RDONLY | O_CLOEXEC);
		for (size_t lines = 0; lines < 400; lines += 1 + rng(20))
			assert_int_equal(log_tail(fd, (off_t)n, (int64_t)lines),
					 plain_tail(s, n, lines));
		assert_int_equal(log_tail(fd, (off_t)n, INT64_MAX), 0);
	}
}

static void test_tail(void **state)
{
	struct fixture *f = *state;
	struct logs_options o = all(f);

	append_text(f, three);
	o.tail = 2;
	expect_all(&o, "two\n\n");
	/* Lines of both streams count, whichever are shown. */
	o.err = false;
	expect_all(&o, "\n");
	o.err = true;
	o.tail = 0;
	expect_all(&o, "");
	o.tail = 100;
	expect_all(&o, "one\ntwo\n\n");
	append_text(f, AT(4) "stdout P a line\n" AT(5) "stdout P  without end\n");
	o.tail = 1;
	expect_all(&o, "a line without end");
	append_text(f, AT(6) "stdout F .\n" AT(7) "stdout F last\n");
	o.tail = 2;
	expect_all(&o, "a line without end.\nlast\n");
}

/* ------------------------------------------------------------------------------------ following */

static void test_follow(void **state)
{
	struct fixture *f = *state;
	struct logs_options o = following(f);
	int fd = start(&o);

	append_text(f, AT(1) "stdout F one\n"); /* the file appears */
	expect_next(fd, "one\n");
	append_text(f, AT(1) "stdout F t");
	append_text(f, "wo\n" AT(1) "stdout F thr");
	expect_next(fd, "two\n");
	append_text(f, "ee\n");
	expect_next(fd, "three\n");
	append_text(f, AT(2) "stdout F last\n");
	end_container(f);
	expect_next(fd, "last\n");
	close(fd);
}

static void test_follow_ends(void **state)
{
	struct fixture *f = *state;
	struct logs_options o = following(f);
	_free_ char *got = NULL;
	int fd;

	append_text(f, three);
	o.tail = 0;
	fd = start(&o);
	end_container(f);
	got = read_all(fd, NULL);
	assert_string_equal(got, "");
	o.tail = 1;
	expect_all(&o, "\n"); /* it has ended before */
}

static void test_follow_until(void **state)
{
	struct fixture *f = *state;
	struct logs_options o = following(f);

	append_text(f, "2199-01-01T00:00:00.000000000+00:00 stdout F later\n");
	o.until = clock_wall_ns() + 1000000;
	expect_all(&o, "");
	unlink(f->path);
	o.until = clock_wall_ns() + 1000000;
	expect_all(&o, "");
}

/* The file is cut, then removed, under the reader. */
static void test_follow_cut(void **state)
{
	struct fixture *f = *state;
	struct logs_options o = following(f);
	int fd;

	append_text(f, three);
	fd = start(&o);
	expect_next(fd, "one\ntwo\n\n");
	assert_int_equal(truncate(f->path, 0), 0);
	append_text(f, AT(1) "stdout F anew\n");
	expect_next(fd, "anew\n");
	unlink(f->path);
	end_container(f);
	assert_int_equal(read(fd, &(char){ 0 }, 1), 0);
	close(fd);
}

/* A reader that is left alone ends: its copy of the descriptor it follows is closed then. */
static void left_alone(struct fixture *f, bool blocked)
{
	struct logs_options o = all(f);
	struct pollfd gone = { 0 };
	int fds[2], fd;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	o.follow = fds[0];
	fd = start(&o);
	close(fds[0]);
	expect_next(fd, "one\n");
	if (blocked) {
		struct pollfd full = { .fd = fd, .events = POLLIN };

		assert_int_equal(poll(&full, 1, PATIENCE), 1);
	}
	close(fd);
	gone.fd = fds[1];
	assert_int_equal(poll(&gone, 1, PATIENCE), 1);
	assert_true(gone.revents & POLLERR);
	close(fds[1]);
}

static void test_left_alone(void **state)
{
	struct fixture *f = *state;
	static char text[200];

	append_text(f, AT(1) "stdout F one\n");
	left_alone(f, false);
	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < 5000; i++) { /* much more than the pipe holds */
		append_text(f, AT(1) "stdout F ");
		append_text(f, text);
		append_text(f, "\n");
	}
	left_alone(f, true);
}

/* Without following, what is written later is not waited for, nor chased. */
static void test_large(void **state)
{
	struct fixture *f = *state;
	struct logs_options o = all(f);
	_free_ char *got = NULL, *log = malloc(8000000);
	size_t n = 0, n_got;
	int fd;

	for (unsigned i = 0; i < 100000; i++)
		n += (size_t)sprintf(log + n, AT(1) "stdout F line %u\n", i);
	append(f, log, n);
	fd = start(&o);
	expect_next(fd, "line 0\nline 1\n");
	append_text(f, AT(1) "stdout F too late\n");
	got = read_all(fd, &n_got);
	assert_string_equal(got + n_got - 22, "line 99998\nline 99999\n");
	for (unsigned i = 2, at = 0; i < 100000; i++) {
		char line[32];

		at += (unsigned)sprintf(line, "line %u\n", i);
		assert_memory_equal(got + at - strlen(line), line, strlen(line));
	}
}

#ifdef CAN_FAIL_ALLOC
static void test_no_memory(void **state)
{
	struct fixture *f = *state;
	struct logs_options o = all(f);
	int fd;

	fail_in = 1;
	assert_int_equal(logs_read(&fd, &o, NULL), -ENOMEM);
	fail_in = 0;
}
#endif

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_frames),      T(test_streams),    T(test_timestamps),  T(test_pieces),
		T(test_since_until), T(test_odd),        T(test_not_there),   T(test_tail_random),
		T(test_tail),        T(test_follow),     T(test_follow_ends), T(test_follow_until),
		T(test_follow_cut),  T(test_left_alone), T(test_large),
#ifdef CAN_FAIL_ALLOC
		T(test_no_memory),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
