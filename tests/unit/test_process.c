/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs run for real, and who collects them. No privilege is needed. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "containers/process.h"

#define PATIENCE 30000 /* ms; then the test fails */

/* ThreadSanitizer makes a fork of vfork: the child cannot tell its parent why it could not start.
 */
#ifdef __SANITIZE_THREAD__
#define TOLD_WHY 0
#elif defined(__has_feature)
#define TOLD_WHY !__has_feature(thread_sanitizer)
#else
#define TOLD_WHY 1
#endif

static struct cnm_error err;
static char dir[] = "/tmp/test-process-XXXXXX";

#define SH(script)                                    \
	(char *[])                                    \
	{                                             \
		"/bin/sh", "-c", (char *)script, NULL \
	}

static void await_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, PATIENCE), 1);
}

static int run(const char *script, struct process_options o, struct process_result *ret)
{
	o.what = "try it";
	return process_run(SH(script), &o, ret, &err);
}

static void assert_said(const char *script, struct process_options o, const char *out,
			const char *error)
{
	struct process_result r;

	if (run(script, o, &r) < 0)
		fail_msg("%s: %s", script, err.text);
	assert_string_equal(r.out, out);
	assert_string_equal(r.err, error);
	process_result_free(&r);
	assert_null(r.out);
}

static void assert_no_children(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

/* For strays that may not have ended yet. It looks, and does not collect. */
static void await_no_children(void)
{
	siginfo_t ended;

	while (waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT) == 0)
		process_reap_strays();
	assert_int_equal(errno, ECHILD);
}

/* ---- what it is given */

static void test_output(void **state)
{
	const char *const env[] = { "ONLY=this", NULL };

	assert_said("echo out; echo err >&2", (struct process_options){ 0 }, "out\n", "err\n");
	assert_said("cat", (struct process_options){ 0 }, "", "");
	assert_said("pwd", (struct process_options){ .dir = "/proc" }, "/proc\n", "");
	assert_said("echo $HOME $LANG", (struct process_options){ 0 }, "/root C.UTF-8\n", "");
	assert_said("echo $ONLY $HOME", (struct process_options){ .env = env }, "this\n", "");
	assert_int_equal(run("true", (struct process_options){ 0 }, NULL), 0);
}

static void test_looked_up_in_path(void **state)
{
	char *argv[] = { "echo", "found", NULL };
	struct process_result r;
	char path[100];

	assert_int_equal(process_run(argv, &(struct process_options){ .what = "x" }, &r, &err), 0);
	assert_string_equal(r.out, "found\n");
	process_result_free(&r);
	assert_int_equal(process_find("sh", path, sizeof(path)), 0);
	assert_int_equal(access(path, X_OK), 0);
	assert_int_equal(process_find("sh", path, 4), -ENOENT);
	assert_int_equal(process_find("/etc/hostname-that-is-not", path, sizeof(path)), -ENOENT);
}

static void test_long_output_is_cut(void **state)
{
	struct process_result r;

	assert_int_equal(run("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done",
			     (struct process_options){ .max_output = 25 }, &r),
			 0);
	assert_string_equal(r.out, "0123456789\n0123456789\n012");
	process_result_free(&r);
}

/* Nothing of ours but what is named: the program lists its descriptors. */
static void test_descriptors(void **state)
{
	int leaky = open("/dev/null", O_RDONLY), given = fcntl(leaky, F_DUPFD_CLOEXEC, 50), p[2];
	char expected[40], text[20] = "", script[80];

	assert_said("cd /proc/self/fd; for i in *; do [ $i -gt 9 ] || echo $i; done",
		    (struct process_options){ 0 }, "0\n1\n2\n3\n", ""); /* 3: the directory */
	snprintf(script, sizeof(script),
		 "cd /proc/$$/fd; for i in *; do [ $i -lt 20 ] || echo $i; "
		 "done");
	snprintf(expected, sizeof(expected), "%d\n", given);
	assert_said(script, (struct process_options){ .fds = &given, .n_fds = 1 }, expected, "");
	assert_true(fcntl(given, F_GETFD) & FD_CLOEXEC); /* here still */

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_said("echo away; echo kept >&2", (struct process_options){ .out_fd = p[1] }, "",
		    "kept\n");
	assert_int_equal(read(p[0], text, sizeof(text)), 5);
	assert_string_equal(text, "away\n");
	assert_int_equal(write(p[1], "line\n", 5), 5);
	assert_said("read x; echo got:$x", (struct process_options){ .in_fd = p[0] }, "got:line\n",
		    "");
	assert_said("echo kept; echo away >&2", (struct process_options){ .err_fd = p[1] },
		    "kept\n", "");
	close(p[0]);
	close(p[1]);
	close(given);
	close(leaky);
}

static void test_signals_are_clean(void **state)
{
	struct process_result r;
	sigset_t all, old;

	signal(SIGPIPE, SIG_IGN);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	assert_int_equal(run("exec grep -E '^Sig(Blk|Ign)' /proc/self/status",
			     (struct process_options){ 0 }, &r),
			 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	signal(SIGPIPE, SIG_DFL);
	assert_string_equal(r.out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	process_result_free(&r);
}

static void test_file_size_limit(void **state)
{
	char script[200];
	struct process_result r;
	struct stat st;

	snprintf(script, sizeof(script), "cd %s && exec dd if=/dev/zero of=big bs=1000 count=100",
		 dir);
	assert_true(run(script, (struct process_options){ .max_file = 5000 }, &r) < 0);
	process_result_free(&r);
	snprintf(script, sizeof(script), "%s/big", dir);
	assert_int_equal(stat(script, &st), 0);
	assert_int_equal(st.st_size, 5000);
	unlink(script);
}

/* ---- how it fails */

static void test_failures(void **state)
{
	struct process_result r;

	assert_int_equal(
		run("echo one >&2; echo two >&2; exit 3", (struct process_options){ 0 }, &r), -EIO);
	assert_string_equal(err.text, "try it: /bin/sh: one; two");
	assert_int_equal(err.class, CNM_E_INTERNAL);
	assert_int_equal(WEXITSTATUS(r.status), 3);
	assert_string_equal(r.err, "one\ntwo\n");
	process_result_free(&r);
	assert_true(run("exit 3", (struct process_options){ 0 }, NULL) < 0);
	assert_string_equal(err.text, "try it: /bin/sh exited with status 3");
	assert_true(run("echo why >&2; kill -9 $$", (struct process_options){ 0 }, NULL) < 0);
	assert_string_equal(err.text, "try it: /bin/sh was killed by signal 9: why");
	assert_true(run("true", (struct process_options){ .dir = "/no/where" }, NULL) < 0);
	assert_true(!TOLD_WHY || strstr(err.text, "No such file or directory"));
	assert_no_children();
}

static void test_absent_program(void **state)
{
	char *absent[] = { "/nowhere/skopeo", NULL }, *text[] = { NULL, NULL };
	char path[100];
	struct process_result r;
	int fd;

	assert_int_equal(process_run(absent, &(struct process_options){ .what = "load" }, &r, &err),
			 -ENOENT);
	assert_int_equal(err.class, CNM_E_UNAVAILABLE);
	assert_string_equal(err.text, "load: /nowhere/skopeo is not there: install the package "
				      "skopeo (apt-get install skopeo)");
	process_result_free(&r);
	snprintf(path, sizeof(path), "%s/garbage", dir);
	fd = open(path, O_CREAT | O_WRONLY, 0755);
	assert_int_equal(write(fd, "garbage", 7), 7);
	close(fd);
	text[0] = path;
	r.status = process_run(text, &(struct process_options){ .what = "x" }, NULL, &err);
	assert_int_equal(r.status, TOLD_WHY ? -ENOEXEC : -EIO);
	unlink(path);
	assert_no_children();
}

/* The program and what it started are killed; the pipes that these hold are not waited for. */
static void test_deadline(void **state)
{
	struct process_result r;
	pid_t background;

	assert_true(run("sleep 1000 & echo $!; exec sleep 1000",
			(struct process_options){ .deadline_ms = 200 }, &r) < 0);
	assert_non_null(strstr(err.text, "did not end within 0 s, and was killed"));
	background = (pid_t)atoi(r.out);
	assert_true(background > 1);
	process_result_free(&r);
	await_no_children(); /* it comes to us */
	assert_int_equal(kill(background, 0), -1);
}

static void test_background_holds_the_output(void **state)
{
	struct process_result r;
	pid_t background;

	assert_int_equal(run("sleep 1000 & echo $!", (struct process_options){ 0 }, &r), 0);
	background = (pid_t)atoi(r.out);
	process_result_free(&r);
	assert_int_equal(kill(background, SIGKILL), 0);
	await_no_children();
}

/* ---- spawned, and waited for */

static void test_spawn(void **state)
{
	char path[100], text[20] = "";
	const struct process_options o = {
		.what = "x", .dir = dir, .session = true, .pid_file = "pid"
	};
	pid_t pid = process_spawn(SH("kill -STOP $$; exit 7"), &o, &err);
	int status, fd;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_int_equal(getsid(pid), pid);
	snprintf(path, sizeof(path), "%s/pid", dir);
	fd = open(path, O_RDONLY);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	unlink(path);
	assert_int_equal(atoi(text), pid);
	kill(pid, SIGCONT);
	assert_int_equal(process_wait(pid, &status), 0);
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_int_equal(process_wait(pid, &status), -ECHILD);
}

/* A zombie that somebody waits for is not touched, nor does it hide others for good. */
static void test_strays_and_known(void **state)
{
	const struct process_options o = { .what = "x" };
	pid_t known = process_spawn(SH("exit 5"), &o, &err);
	pid_t stray = process_spawn(SH("exit 6"), &o, &err);
	_close_ int known_fd = process_open(known), stray_fd = process_open(stray);
	int status;

	process_forget(stray);
	await_readable(known_fd);
	await_readable(stray_fd);
	process_reap_strays();
	assert_int_equal(process_wait(known, &status), 0);
	assert_int_equal(WEXITSTATUS(status), 5);
	assert_no_children(); /* the wait collected what was owed */
}

/* The grandchild comes to us and has ended; its pid is known to us only afterwards. */
static void test_held_strays(void **state)
{
	struct process_result r;
	int status;
	pid_t pid;

	/* the child ends under awk, which collects no child, and ends when it sees the zombie */
	if (run("(until grep -q awk /proc/$$/comm; do :; done; exit 4) & echo $!; exec awk "
		"-v f=/proc/$!/status 'BEGIN { while (!z) "
		"{ while ((getline l < f) > 0) if (l ~ /State:.Z/) z = 1; close(f) } }'",
		(struct process_options){ .hold_strays = true }, &r) < 0)
		fail_msg("%s", err.text);
	pid = (pid_t)atoi(r.out);
	process_result_free(&r);
	process_reap_strays();
	process_expect(pid);
	process_release_strays();
	process_reap_strays();
	assert_int_equal(process_wait(pid, &status), 0);
	assert_int_equal(WEXITSTATUS(status), 4);

	/* a failure holds nothing back */
	assert_true(run("exit 1", (struct process_options){ .hold_strays = true }, NULL) < 0);
	assert_int_equal(run("(exit 4) & true", (struct process_options){ 0 }, NULL), 0);
	await_no_children();
}

/* A library's own child, which stays in our process group, is left to it. */
static void test_others_children(void **state)
{
	char *argv[] = { "sh", "-c", "exit 8", NULL }, *env[] = { NULL };
	_close_ int fd = -1;
	int status;
	pid_t pid;

	assert_int_equal(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, env), 0);
	fd = process_open(pid);
	await_readable(fd);
	process_reap_strays();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 8);
}

static void *run_many(void *arg)
{
	for (int i = 0; i < 50; i++) {
		char script[60], expected[20];
		struct process_result r;

		snprintf(script, sizeof(script), "(exit 1) & echo %d; exit 0", i);
		snprintf(expected, sizeof(expected), "%d\n", i);
		if (process_run(SH(script), &(struct process_options){ .what = "x" }, &r, NULL) <
			    0 ||
		    !streq(r.out, expected))
			return arg;
		process_result_free(&r);
		process_reap_strays();
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];
	void *wrong;

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_many, &threads), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	await_no_children();
}

static void test_kill(void **state)
{
	pid_t pid = process_spawn(SH("exec sleep 1000"), &(struct process_options){ .what = "x" },
				  &err);
	_close_ int fd = process_open(pid);
	int status;

	assert_int_equal(process_kill(fd), 0);
	assert_int_equal(process_wait(pid, &status), 0);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_int_equal(process_kill(fd), 0);
	assert_true(process_open(pid) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_looked_up_in_path),
		cmocka_unit_test(test_long_output_is_cut),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_signals_are_clean),
		cmocka_unit_test(test_file_size_limit),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_absent_program),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_background_holds_the_output),
		cmocka_unit_test(test_spawn),
		cmocka_unit_test(test_strays_and_known),
		cmocka_unit_test(test_held_strays),
		cmocka_unit_test(test_others_children),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_kill),
	};
	int failed;

	if (process_become_reaper() < 0 || !mkdtemp(dir))
		abort();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
