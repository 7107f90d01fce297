/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The relay and the logs with the real other side: conmon's attach socket and log, and processes
 * executed in a container by the real runtime, over pipes and over a terminal.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "base/str.h"
#include "containers/logs.h"
#include "containers/process.h"
#include "containers/relay.h"
#include "containers/runtime.h"

#define PATIENCE 60 /* seconds; only a failure waits so long */
#define BUNDLE   "/run/bundle"
#define LOG      BUNDLE "/log"
#define CTRL_PQ  "\x10\x11"
#define PROCESS                                                                                  \
	"\"cwd\":\"/\",\"env\":[\"PATH=/bin\"],\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"sh\"," \
	"\"-c\",\"%s\"],\"terminal\":%s"

struct fixture {
	struct runtime *runtime;
	struct runtime_made made;
	struct relay *relay;
	struct relay_session *session;
	char id[ID_SIZE], cgroup[ID_SIZE + 16];
	int client;
	sem_t ended;
	enum relay_end why;
};

static void write_file(const char *path, const char *text)
{
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* All below a tmpfs of our own, which goes with us. */
static int group_setup(void **state)
{
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("cnm-test", "/run", "tmpfs", 0, NULL), 0);
	assert_int_equal(process_become_reaper(), 0);
	return 0;
}

static void write_bundle(struct fixture *f, const char *program)
{
	char config[2048];

	assert_int_equal(mkdir(BUNDLE, 0700) | mkdir(BUNDLE "/rootfs", 0755) |
				 mkdir(BUNDLE "/rootfs/bin", 0755) |
				 mkdir(BUNDLE "/rootfs/proc", 0755) |
				 mkdir(BUNDLE "/rootfs/dev", 0755),
			 0);
	assert_int_equal(
		process_run((char *const *)(const char *const[]){ "cp", "/bin/busybox",
								  BUNDLE "/rootfs/bin/sh", NULL },
			    &(struct process_options){ .what = "copy" }, NULL, NULL),
		0);
	for (const char *const *name = (const char *const[]){ "cat", "sleep", "stty", NULL }; *name;
	     name++) {
		char path[64];

		snprintf(path, sizeof(path), BUNDLE "/rootfs/bin/%s", *name);
		assert_int_equal(link(BUNDLE "/rootfs/bin/sh", path), 0);
	}
	snprintf(
		config, sizeof(config),
		"{\"ociVersion\":\"1.0.0\",\"process\":{" PROCESS "},"
		"\"root\":{\"path\":\"rootfs\"},\"mounts\":["
		"{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
		"{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"},"
		"{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\","
		"\"options\":[\"newinstance\",\"ptmxmode=0666\"]}],"
		"\"linux\":{\"cgroupsPath\":\"%s\",\"namespaces\":[{\"type\":\"pid\"},"
		"{\"type\":\"mount\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"network\"}]}}",
		program, "false", f->cgroup);
	write_file(BUNDLE "/config.json", config);
}

static void create(struct fixture *f, const char *program)
{
	struct cnm_error err = { 0 };
	struct runtime_create c = { .id = f->id,
				    .name = "test",
				    .bundle = BUNDLE,
				    .log = LOG,
				    .stdin_open = true,
				    .stdin_once = true };

	write_bundle(f, program);
	if (runtime_create(f->runtime, &c, &f->made, &err) < 0)
		fail_msg("%s", err.text);
}

static int setup(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;
	struct cnm_error err = { 0 };

	*f = (struct fixture){ 0 };
	id_new(f->id);
	strcpy(stpcpy(f->cgroup, "/cnm-relay-"), f->id);
	f->client = f->made.pidfd = f->made.conmon_pidfd = -1;
	sem_init(&f->ended, 0, 0);
	assert_int_equal(runtime_open(&f->runtime,
				      &(struct runtime_options){ .root = "/run/runtime" }, &err),
			 0);
	assert_int_equal(relay_start(&f->relay, &err), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	relay_stop(f->relay);
	relay_release(f->session);
	assert_int_equal(runtime_delete(f->runtime, f->id, BUNDLE, f->cgroup, NULL), 0);
	process_reap_strays();
	runtime_close(f->runtime);
	close_fd(&f->made.pidfd);
	close_fd(&f->made.conmon_pidfd);
	close_fd(&f->client);
	sem_destroy(&f->ended);
	process_run((char *const *)(const char *const[]){ "rm", "-rf", BUNDLE, NULL },
		    &(struct process_options){ .what = "clean up" }, NULL, NULL);
	return 0;
}

static void on_end(enum relay_end why, void *arg)
{
	struct fixture *f = arg;

	f->why = why;
	sem_post(&f->ended);
}

static enum relay_end wait_end(struct fixture *f)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += PATIENCE;
	assert_int_equal(sem_timedwait(&f->ended, &t), 0);
	return f->why;
}

static void begin(struct fixture *f, bool terminal)
{
	struct relay_options o = { .in = true,
				   .out = true,
				   .err = true,
				   .terminal = terminal,
				   .ended = on_end,
				   .arg = f };
	int fds[2];

	memcpy(o.detach, CTRL_PQ, 2);
	o.n_detach = 2;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	f->client = fds[0];
	o.client = fds[1];
	f->session = relay_begin(f->relay, &o);
	assert_non_null(f->session);
}

/* All that comes until the end; terminated. */
static char *read_all(int fd, size_t *ret_n)
{
	struct strbuf b = { 0 };
	char part[4096];
	ssize_t n;

	strbuf_add(&b, "");
	while ((n = read(fd, part, sizeof(part))) > 0)
		strbuf_addn(&b, part, (size_t)n);
	assert_int_equal(n, 0);
	*ret_n = b.len;
	return strbuf_take(&b);
}

static void expect_all(int fd, const char *bytes, size_t n)
{
	size_t n_got;
	_free_ char *got = read_all(fd, &n_got);

	assert_int_equal(n_got, n);
	assert_memory_equal(got, bytes, n);
}

/* Reads until the text has come. */
static void expect_in(int fd, const char *text)
{
	char b[4096];
	size_t n = 0;

	do {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t r;

		assert_int_equal(poll(&p, 1, PATIENCE * 1000), 1);
		r = read(fd, b + n, sizeof(b) - 1 - n);
		assert_true(r > 0);
		n += (size_t)r;
		b[n] = '\0';
	} while (!strstr(b, text));
}

/* ---- tests */

/* As docker run -i does: attach, start, send, end stdin, read to the end. Then docker logs. */
static void test_attach(void **state)
{
	struct fixture *f = *state;
	static const char expected[] = "\1\0\0\0\0\0\0\6hello\n\2\0\0\0\0\0\0\4err\n";
	struct logs_options o = { .path = LOG, .out = true, .err = true, .tail = -1, .follow = -1 };
	struct relay_source source = {
		.terminal = -1, .in = -1, .out = -1, .err = -1, .close_stdin = true
	};
	int fd;

	create(f, "cat; echo err >&2; exit 3");
	begin(f, false);
	assert_int_equal(write(f->client, "hello\n", 6), 6);
	shutdown(f->client, SHUT_WR);
	source.packets = runtime_attach(BUNDLE);
	assert_true(source.packets >= 0);
	assert_int_equal(relay_connect(f->session, &source), 0);
	assert_int_equal(relay_resize(f->session, 1, 1), -ENOTTY);
	assert_int_equal(runtime_start(f->runtime, f->id, NULL), 0);
	expect_all(f->client, expected, sizeof(expected) - 1);
	assert_int_equal(wait_end(f), RELAY_SOURCE_END);
	o.follow = f->made.conmon_pidfd;
	assert_int_equal(logs_read(&fd, &o, NULL), 0);
	expect_all(fd, expected, sizeof(expected) - 1);
	close(fd);
}

static void start_exec(struct fixture *f, const char *program, bool terminal,
		       struct runtime_executed *ret)
{
	struct cnm_error err = { 0 };
	char process[512];
	struct runtime_exec x = {
		.id = f->id, .process = process, .dir = BUNDLE "/exec", .terminal = terminal
	};

	create(f, "sleep 1000");
	assert_int_equal(runtime_start(f->runtime, f->id, &err), 0);
	assert_int_equal(mkdir(x.dir, 0700), 0);
	snprintf(process, sizeof(process), "{" PROCESS "}", program, terminal ? "true" : "false");
	if (runtime_exec(f->runtime, &x, ret, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(
		relay_connect(f->session, &(struct relay_source){ .packets = -1,
								  .terminal = ret->terminal,
								  .in = ret->in,
								  .out = ret->out,
								  .err = ret->err,
								  .close_stdin = true }),
		0);
}

static void finish_exec(struct fixture *f, struct runtime_executed *x, int expected)
{
	struct pollfd p = { .fd = x->pidfd, .events = POLLIN };
	int status;

	assert_int_equal(poll(&p, 1, PATIENCE * 1000), 1);
	assert_int_equal(process_wait(x->pid, &status), 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == expected);
	relay_finish(f->session);
	close(x->pidfd);
}

static void test_exec(void **state)
{
	struct fixture *f = *state;
	static const char expected[] = "\1\0\0\0\0\0\0\6hello\n\2\0\0\0\0\0\0\4err\n";
	struct runtime_executed x;

	begin(f, false);
	assert_int_equal(write(f->client, "hello\n", 6), 6);
	shutdown(f->client, SHUT_WR);
	/* What stays in the background holds the pipes, and does not matter. */
	start_exec(f, "sleep 1000 & cat; echo err >&2; exit 4", false, &x);
	finish_exec(f, &x, 4);
	expect_all(f->client, expected, sizeof(expected) - 1);
	assert_int_equal(wait_end(f), RELAY_SOURCE_END);
}

static void test_exec_terminal(void **state)
{
	struct fixture *f = *state;
	struct runtime_executed x;
	_free_ char *rest = NULL;
	size_t n;

	begin(f, true);
	start_exec(f, "read x; stty size; echo got:$x; exit 5", true, &x);
	assert_int_equal(relay_resize(f->session, 33, 77), 0);
	assert_int_equal(write(f->client, "hello\r", 6), 6);
	expect_in(f->client, "33 77\r\n");
	finish_exec(f, &x, 5);
	rest = read_all(f->client, &n);
	assert_int_equal(wait_end(f), RELAY_SOURCE_END);
}

/* The keys leave the process alone: it ends by itself, later. */
static void test_exec_detached(void **state)
{
	struct fixture *f = *state;
	struct runtime_executed x;

	begin(f, true);
	start_exec(f, "echo here; while [ ! -e /go ]; do echo more; done; exit 6", true, &x);
	expect_in(f->client, "here");
	assert_int_equal(write(f->client, CTRL_PQ, 2), 2);
	assert_int_equal(wait_end(f), RELAY_DETACHED);
	write_file(BUNDLE "/rootfs/go", "");
	finish_exec(f, &x, 6);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_attach),
		T(test_exec),
		T(test_exec_terminal),
		T(test_exec_detached),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, group_setup, NULL);
}
