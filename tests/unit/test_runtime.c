/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A container's life with the real conmon, runc and crun; see runtime_fixture.h. */
#include "runtime_fixture.h"

/* ---- a container's life */

static void test_versions(void **state)
{
	unsigned a, b;

	assert_int_equal(sscanf(runtime_version(rt), "%u.%u", &a, &b), 2);
	assert_int_equal(sscanf(runtime_conmon_version(rt), "%u.%u", &a, &b), 2);
	assert_ptr_equal(runtime_version(rt), runtime_version(rt));
}

static void test_stdio_and_status(void **state)
{
	_close_ int fd = -1;
	struct box b;
	int status;

	box_make(&b, SH("echo out; echo err >&2; read x; echo got:$x; exit 42"), false, NULL);
	assert_ok(box_create(&b, (struct runtime_create){ .stdin_open = true }));
	assert_int_equal(runtime_exit_status(b.bundle, &status), -ENOENT);
	fd = runtime_attach(b.bundle);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_ok(runtime_start(rt, b.id, &err));
	assert_true(expect_packet(fd, 3, "err\n"));
	send_text(fd, "hello\n");
	assert_true(expect_packet(fd, 2, "got:hello\n"));
	assert_int_equal(box_wait(&b), 42);
	box_delete(&b);
}

/* The first client's end ends stdin; what the container said after it is heard by another. */
static void test_stdin_once(void **state)
{
	_close_ int fd = -1, other = -1;
	struct box b;

	box_make(&b, SH("cat; echo end"), false, NULL);
	assert_ok(
		box_create(&b, (struct runtime_create){ .stdin_open = true, .stdin_once = true }));
	fd = runtime_attach(b.bundle);
	other = runtime_attach(b.bundle);
	assert_true(fd >= 0 && other >= 0);
	assert_ok(runtime_start(rt, b.id, &err));
	send_text(fd, "one\n");
	assert_true(expect_packet(other, 2, "one\n"));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_true(expect_packet(other, 2, "end\n"));
	assert_int_equal(box_wait(&b), 0);
	box_delete(&b);
}

static void test_stdin_stays_open(void **state)
{
	_close_ int fd = -1, other = -1;
	struct box b;

	box_make(&b, SH("read x; echo 1:$x; read x; echo 2:$x"), false, NULL);
	assert_ok(box_create(&b, (struct runtime_create){ .stdin_open = true }));
	fd = runtime_attach(b.bundle);
	assert_ok(runtime_start(rt, b.id, &err));
	send_text(fd, "a\n");
	assert_true(expect_packet(fd, 2, "1:a\n"));
	close_fd(&fd);
	other = runtime_attach(b.bundle);
	send_text(other, "b\n");
	assert_true(expect_packet(other, 2, "2:b\n"));
	assert_int_equal(box_wait(&b), 0);
	box_delete(&b);
}

static void test_terminal(void **state)
{
	_close_ int fd = -1;
	struct box b;

	box_make(&b,
		 SH("read x; trap 'stty size; exit 5' WINCH; echo ready:$x; "
		    "while :; do sleep 1000 & wait $!; done"),
		 true, NULL);
	assert_ok(box_create(&b, (struct runtime_create){ .terminal = true, .stdin_open = true }));
	fd = runtime_attach(b.bundle);
	assert_true(fd >= 0);
	assert_ok(runtime_start(rt, b.id, &err));
	send_text(fd, "typed\n");
	assert_true(expect_packet(fd, 2, "ready:typed"));
	assert_ok(runtime_resize(b.bundle, 33, 77, &err));
	assert_true(expect_packet(fd, 2, "33 77"));
	assert_int_equal(box_wait(&b), 5);
	box_delete(&b);
	assert_int_equal(runtime_resize(b.bundle, 1, 1, &err), -ENOENT);
}

static void test_log(void **state)
{
	char log[300];
	struct box b;

	box_make(&b, SH("echo spoken"), false, NULL);
	assert_ok(box_create(&b, (struct runtime_create){ 0 }));
	assert_ok(runtime_start(rt, b.id, &err));
	assert_int_equal(box_wait(&b), 0);
	snprintf(log, sizeof(log), "%s/log", b.bundle);
	assert_true(file_mentions(log, "stdout F spoken"));
	box_delete(&b);
}

static void test_no_log(void **state)
{
	struct box b;

	box_make(&b, SH("echo unheard"), false, NULL);
	assert_ok(runtime_create(
		rt, &(struct runtime_create){ .id = b.id, .name = "n", .bundle = b.bundle },
		&b.made, &err));
	assert_ok(runtime_start(rt, b.id, &err));
	assert_int_equal(box_wait(&b), 0);
	box_delete(&b);
}

static void test_killed_container(void **state)
{
	struct box b;

	box_make(&b, SH("exec sleep 1000"), false, NULL);
	assert_ok(box_create(&b, (struct runtime_create){ 0 }));
	assert_ok(runtime_start(rt, b.id, &err));
	assert_int_equal(pidfd_send_signal(b.made.pidfd, SIGKILL, NULL, 0), 0);
	assert_int_equal(box_wait(&b), 137);
	box_delete(&b);
	assert_ok(runtime_delete(rt, b.id, b.bundle, b.cgroup, &err)); /* twice is fine */
	assert_int_equal(runtime_attach(b.bundle), -ENOENT);
}

static void test_delete_of_a_running_one(void **state)
{
	struct box b;

	box_make(&b, SH("sleep 1000 & sleep 1001 & wait"), false, NULL);
	assert_ok(box_create(&b, (struct runtime_create){ 0 }));
	assert_ok(runtime_start(rt, b.id, &err));
	box_delete(&b);
}

static void test_same_bundle_again(void **state)
{
	struct box b;

	box_make(&b, SH("exit 7"), false, NULL);
	for (int i = 0; i < 2; i++) {
		int status;

		assert_ok(box_create(&b, (struct runtime_create){ 0 }));
		assert_int_equal(runtime_exit_status(b.bundle, &status), -ENOENT);
		assert_ok(runtime_start(rt, b.id, &err));
		assert_int_equal(box_wait(&b), 7);
		assert_ok(runtime_delete(rt, b.id, b.bundle, b.cgroup, &err));
		close_made(&b);
	}
	box_delete(&b);
}

/* ---- programs that cannot be executed */

static const struct {
	char *program;
	const char *says;
} bad_programs[] = {
	{ "nope", "exec: \"nope\": executable file not found in $PATH" },
	{ "/bin/nope", "exec: \"/bin/nope\": stat /bin/nope: no such file or directory" },
	{ "/etc/plain", "exec: \"/etc/plain\": permission denied" },
	{ "/etc", "exec: \"/etc\": permission denied" },
};

static void test_bad_program(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_programs); i++) {
		struct box b;

		box_make(&b, (char *[]){ bad_programs[i].program, NULL }, false, NULL);
		assert_int_equal(box_create(&b, (struct runtime_create){ 0 }), -EINVAL);
		assert_string_equal(err.text, bad_programs[i].says);
		assert_int_equal(err.class, CNM_E_INVALID);
		assert_nothing_left(&b);
		assert_ok(tree_remove(b.bundle, &err));
	}
}

static void test_bad_program_with_terminal(void **state)
{
	struct box b;

	box_make(&b, (char *[]){ "nope", NULL }, true, NULL);
	assert_int_equal(box_create(&b, (struct runtime_create){ .terminal = true }), -EINVAL);
	assert_string_equal(err.text, bad_programs[0].says);
	assert_nothing_left(&b);
	assert_ok(tree_remove(b.bundle, &err));
}

/* A failure of the runtime's own: its words, and not the user's fault. */
static void test_refused_configuration(void **state)
{
	char path[300];
	struct box b;

	box_make(&b, SH("true"), false, NULL);
	snprintf(path, sizeof(path), "%s/config.json", b.bundle);
	write_file(path, "{\"ociVersion\": \"1.0.2\"}", 0644);
	assert_int_equal(box_create(&b, (struct runtime_create){ 0 }), -EIO);
	assert_int_equal(err.class, CNM_E_INTERNAL);
	assert_non_null(strstr(err.text, "create the container: "));
	assert_non_null(strstr(err.text, runtime_name(rt)));
	assert_nothing_left(&b);
	assert_ok(tree_remove(b.bundle, &err));
}

static void test_start_of_nothing(void **state)
{
	assert_int_equal(runtime_start(rt, "nothing", &err), -EIO);
	assert_non_null(strstr(err.text, "start the container: "));
}

/* ---- executions */

static void exec_directory(char ret[static 100])
{
	static int n;

	snprintf(ret, 100, "/run/t/exec-%d", n++);
	assert_int_equal(mkdir(ret, 0700), 0);
}

static int box_exec(const struct box *b, char *const args[], bool terminal,
		    struct runtime_executed *ret)
{
	char dir[100];
	_json_ json_t *process = process_of(args, terminal);
	_free_ char *text = json_text(process);
	int r;

	exec_directory(dir);
	r = runtime_exec(rt,
			 &(struct runtime_exec){
				 .id = b->id, .process = text, .dir = dir, .terminal = terminal },
			 ret, &err);
	assert_ok(tree_remove(dir, &(struct cnm_error){ 0 }));
	return r;
}

static int exec_wait(struct runtime_executed *x)
{
	int status = -1;

	await_readable(x->pidfd);
	assert_int_equal(process_wait(x->pid, &status), 0);
	close_fd(&x->pidfd);
	close_fd(&x->terminal);
	close_fd(&x->in);
	close_fd(&x->out);
	close_fd(&x->err);
	return status;
}

static void test_exec(void **state)
{
	struct runtime_executed x;
	char out[100], error[100];
	struct box b;

	sleeper(&b);
	assert_ok(box_exec(&b, SH("echo e >&2; cat; exit 9"), false, &x));
	assert_int_equal(x.terminal, -1);
	assert_true(fcntl(x.in, F_GETFL) & O_NONBLOCK && fcntl(x.out, F_GETFD) & FD_CLOEXEC);
	process_reap_strays();
	assert_int_equal(write(x.in, "ping", 4), 4);
	close_fd(&x.in); /* cat ends with it: the runtime has not kept the other end */
	read_to_end(x.out, out, sizeof(out));
	read_to_end(x.err, error, sizeof(error));
	assert_string_equal(out, "ping");
	assert_string_equal(error, "e\n");
	process_reap_strays();
	assert_int_equal(exec_wait(&x), 9 << 8);
	box_delete(&b);
}

/* It may have ended when its pid is known. */
static void test_exec_ends_at_once(void **state)
{
	struct runtime_executed x;
	struct box b;

	sleeper(&b);
	for (int i = 0; i < 20; i++) {
		assert_ok(box_exec(&b, (char *[]){ "true", NULL }, false, &x));
		process_reap_strays();
		assert_int_equal(exec_wait(&x), 0);
	}
	assert_ok(box_exec(&b, SH("kill -9 $$"), false, &x));
	assert_int_equal(exec_wait(&x), SIGKILL);
	box_delete(&b);
}

static void test_exec_terminal(void **state)
{
	struct winsize size = { .ws_row = 21, .ws_col = 66 };
	struct runtime_executed x;
	char out[4096];
	struct box b;

	sleeper(&b);
	assert_ok(box_exec(&b, SH("read x; stty size; exit 4"), true, &x));
	assert_true(x.terminal >= 0 && x.in == -1 && x.out == -1 && x.err == -1);
	assert_int_equal(ioctl(x.terminal, TIOCSWINSZ, &size), 0);
	assert_int_equal(write(x.terminal, "\n", 1), 1);
	read_to_end(x.terminal, out, sizeof(out)); /* up to EIO */
	assert_non_null(strstr(out, "21 66"));
	assert_int_equal(exec_wait(&x), 4 << 8);
	box_delete(&b);
}

static void test_exec_bad_program(void **state)
{
	struct runtime_executed x;
	struct box b;

	sleeper(&b);
	for (size_t i = 0; i < ARRAY_LEN(bad_programs) * 2; i++) {
		char *args[] = { bad_programs[i / 2].program, NULL };

		assert_int_equal(box_exec(&b, args, i % 2, &x), -EINVAL);
		assert_string_equal(err.text, bad_programs[i / 2].says);
		assert_int_equal(err.class, CNM_E_INVALID);
	}
	box_delete(&b);
}

/* What the runtime leaves of a failure must not keep the container from its end. */
static void test_end_after_failed_execs(void **state)
{
	struct runtime_executed x;
	struct box b;

	sleeper(&b);
	for (int i = 0; i < 4; i++)
		assert_true(box_exec(&b, (char *[]){ "nope", NULL }, false, &x) < 0);
	assert_int_equal(pidfd_send_signal(b.made.pidfd, SIGKILL, NULL, 0), 0);
	assert_int_equal(box_wait(&b), 137);
	box_delete(&b);
}

static void test_exec_in_nothing(void **state)
{
	struct runtime_executed x;
	struct box b = { .id = "0123" };

	assert_int_equal(box_exec(&b, SH("true"), false, &x), -EIO);
	assert_non_null(strstr(err.text, "execute in the container: "));
}

static void test_pids(void **state)
{
	struct runtime_executed x;
	_free_ pid_t *pids = NULL;
	bool first = false, second = false;
	unsigned n;
	struct box b;

	sleeper(&b);
	assert_ok(box_exec(&b, (char *[]){ "sleep", "1000", NULL }, false, &x));
	assert_ok(runtime_pids(rt, b.id, &pids, &n, &err));
	assert_int_equal(n, 2);
	for (unsigned i = 0; i < n; i++) {
		first |= pids[i] == b.made.pid;
		second |= pids[i] == x.pid;
	}
	assert_true(first && second);
	assert_int_equal(pidfd_send_signal(x.pidfd, SIGTERM, NULL, 0), 0);
	assert_int_equal(exec_wait(&x), SIGTERM);
	box_delete(&b);
}

/* ---- an earlier daemon's containers */

static void test_adopt(void **state)
{
	_close_ int fd = -1;
	struct box b;

	box_make(&b, SH("read x; exit $x"), false, NULL);
	assert_int_equal(runtime_adopt(b.bundle, b.id, &b.made), -ENOENT);
	assert_ok(box_create(&b, (struct runtime_create){ .stdin_open = true }));
	assert_ok(runtime_start(rt, b.id, &err));
	struct runtime_made old = b.made;

	close_made(&b);
	assert_int_equal(runtime_adopt(b.bundle, "another", &b.made), -ENOENT);
	assert_ok(runtime_adopt(b.bundle, b.id, &b.made));
	assert_int_equal(b.made.pid, old.pid);
	assert_int_equal(b.made.conmon, old.conmon);
	fd = runtime_attach(b.bundle);
	send_text(fd, "12\n");
	await_readable(b.made.pidfd);
	assert_int_equal(box_wait(&b), 12);
	close_made(&b);
	assert_int_equal(runtime_adopt(b.bundle, b.id, &b.made), -ENOENT);
	box_delete(&b);
}

/* conmon waits for the end of the output, which a process that was executed holds. */
static void test_adopt_after_the_process(void **state)
{
	struct box b;

	box_make(&b, SH("exit 6"), false, NULL);
	assert_ok(box_create(&b, (struct runtime_create){ 0 }));
	close_made(&b);
	assert_ok(runtime_adopt(b.bundle, b.id, &b.made));
	assert_int_equal(kill(b.made.conmon, SIGSTOP), 0);
	assert_ok(runtime_start(rt, b.id, &err));
	await_readable(b.made.pidfd);
	close_made(&b);
	assert_ok(runtime_adopt(b.bundle, b.id, &b.made));
	assert_int_equal(kill(b.made.conmon, SIGCONT), 0);
	assert_int_equal(box_wait(&b), 6);
	box_delete(&b);
}

/* ---- the choice of a runtime */

static void test_no_runtime(void **state)
{
	const struct runtime_options options = { .program = "no-such-runtime", .root = "/run/t/s" };
	struct runtime *none;
	struct runtime_made made;

	assert_ok(runtime_open(&none, &options, &err));
	assert_string_equal(runtime_name(none), "");
	assert_string_equal(runtime_version(none), "");
	assert_true(runtime_check(none, &err) < 0);
	assert_int_equal(err.class, CNM_E_UNAVAILABLE);
	assert_non_null(strstr(err.text, "no-such-runtime is not there"));
	assert_true(runtime_create(none, &(struct runtime_create){ .id = "x" }, &made, &err) < 0);
	assert_true(runtime_start(none, "x", &err) < 0);
	assert_ok(runtime_delete(none, "x", NULL, NULL, &err));
	runtime_close(none);
}

static void test_no_conmon(void **state)
{
	const struct runtime_options options = { .conmon = "/no/conmon", .root = "/run/t/s" };
	struct runtime *none;

	assert_ok(runtime_open(&none, &options, &err));
	assert_true(runtime_check(none, &err) < 0);
	assert_non_null(strstr(err.text, "apt-get install conmon"));
	runtime_close(none);
}

/* crun where it works, runc where crun would refuse. */
static void test_probe(void **state)
{
	const struct runtime_options options = { .program = "", .root = "/run/t/s" };
	char path[300], path_crun[300];
	struct runtime *probed;
	bool hybrid = file_mentions("/sys/fs/cgroup/unified/cgroup.controllers", "\n");

	assert_ok(runtime_open(&probed, &options, &err));
	if (process_find("crun", path_crun, sizeof(path_crun)) == 0 && !hybrid)
		assert_string_equal(runtime_name(probed), "crun");
	else if (process_find("runc", path, sizeof(path)) == 0)
		assert_string_equal(runtime_name(probed), "runc");
	runtime_close(probed);
}

int main(void)
{
	const struct CMUnitTest choice[] = {
		cmocka_unit_test(test_no_runtime),
		cmocka_unit_test(test_no_conmon),
	};
	const struct CMUnitTest each[] = {
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_stdio_and_status),
		cmocka_unit_test(test_stdin_once),
		cmocka_unit_test(test_stdin_stays_open),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_no_log),
		cmocka_unit_test(test_killed_container),
		cmocka_unit_test(test_delete_of_a_running_one),
		cmocka_unit_test(test_same_bundle_again),
		cmocka_unit_test(test_bad_program),
		cmocka_unit_test(test_bad_program_with_terminal),
		cmocka_unit_test(test_refused_configuration),
		cmocka_unit_test(test_start_of_nothing),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_exec_ends_at_once),
		cmocka_unit_test(test_exec_terminal),
		cmocka_unit_test(test_exec_bad_program),
		cmocka_unit_test(test_end_after_failed_execs),
		cmocka_unit_test(test_exec_in_nothing),
		cmocka_unit_test(test_pids),
		cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_adopt_after_the_process),
	};
	int failed;

	make_world();
	failed = cmocka_run_group_tests_name("choice", choice, NULL, NULL);
	return failed + RUN_WITH_EACH(each);
}
