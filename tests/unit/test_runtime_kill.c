/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is left of a container when the daemon, conmon or the runtime is killed: nothing, once it is
 * deleted; see runtime_fixture.h.
 *
 * Where something has to be killed half made, a hook of the OCI configuration says through a fifo
 * that it is being run, and waits: the runtime stands still in the middle of its work.
 */
#include "runtime_fixture.h"

/* ---- what is killed */

static void test_conmon_killed(void **state)
{
	int status;
	struct box b;

	sleeper(&b);
	assert_int_equal(pidfd_send_signal(b.made.conmon_pidfd, SIGKILL, NULL, 0), 0);
	await_readable(b.made.conmon_pidfd);
	assert_int_equal(runtime_exit_status(b.bundle, &status), -ENOENT);
	assert_int_equal(runtime_adopt(b.bundle, b.id, &(struct runtime_made){ 0 }), -ENOENT);
	box_delete(&b);
}

/* A runtime that stands still: the pid of it, and the fifo that lets it go on. */
struct stopped {
	char here[300], go[300], hook[800];
	struct box b;
	pthread_t thread;
	int result;
	struct cnm_error err;
	pid_t runtime;
};

static void stopped_make(struct stopped *s)
{
	static int n;

	n++;
	snprintf(s->here, sizeof(s->here), "/run/t/here-%d", n);
	snprintf(s->go, sizeof(s->go), "/run/t/go-%d", n);
	assert_int_equal(mkfifo(s->here, 0600), 0);
	assert_int_equal(mkfifo(s->go, 0600), 0);
	snprintf(s->hook, sizeof(s->hook), "echo $PPID >%s; exec /bin/busybox cat %s", s->here,
		 s->go);
	box_make(&s->b, SH("exec sleep 1000"), false, s->hook);
}

static void *create_in_thread(void *arg)
{
	struct stopped *s = arg;
	char log[300];

	snprintf(log, sizeof(log), "%s/log", s->b.bundle);
	s->result = runtime_create(
		rt,
		&(struct runtime_create){
			.id = s->b.id, .name = "x", .bundle = s->b.bundle, .log = log },
		&s->b.made, &s->err);
	return NULL;
}

static void await_hook(struct stopped *s)
{
	char text[20] = "";
	int fd = open(s->here, O_RDONLY);

	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	s->runtime = (pid_t)atoi(text);
	assert_true(s->runtime > 1);
}

/* The hook, a child of the runtime's, ends when somebody opens and closes its fifo. */
static void let_go(struct stopped *s)
{
	int fd = open(s->go, O_RDWR | O_CLOEXEC);

	close(fd);
}

static void await_no_process(const char *word)
{
	for (int i = 0; i < PATIENCE && count_processes(word); i++)
		poll(NULL, 0, 1); /* processes that are no children of ours give no event */
	assert_int_equal(count_processes(word), 0);
	process_reap_strays();
}

/* Strays that are about to end. */
static void await_children(void)
{
	siginfo_t ended;

	while (waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT) == 0)
		process_reap_strays();
}

static pid_t read_conmon_pid(const struct box *b)
{
	char path[300], text[20] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/conmon.pid", b->bundle);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return (pid_t)atoi(text);
}

static void kill_while_creating(bool conmon)
{
	struct stopped s;

	stopped_make(&s);
	pthread_create(&s.thread, NULL, create_in_thread, &s);
	await_hook(&s);
	assert_true(count_processes(s.b.id) > 1);
	assert_int_equal(kill(conmon ? read_conmon_pid(&s.b) : s.runtime, SIGKILL), 0);
	pthread_join(s.thread, NULL);
	assert_true(s.result < 0);
	assert_non_null(strstr(s.err.text, "create the container: "));
	let_go(&s);
	await_no_process(s.go);
	assert_nothing_left(&s.b);
	assert_ok(tree_remove(s.b.bundle, &err));
}

static void test_runtime_killed_while_creating(void **state)
{
	kill_while_creating(false);
}

static void test_conmon_killed_while_creating(void **state)
{
	kill_while_creating(true);
}

/* Another process, the daemon, is killed while the runtime creates; we are the next daemon. */
static void test_daemon_killed_while_creating(void **state)
{
	struct stopped s;
	pid_t daemon;
	int status;

	stopped_make(&s);
	daemon = fork();
	if (daemon == 0) {
		process_become_reaper();
		create_in_thread(&s);
		_exit(0);
	}
	await_hook(&s);
	assert_int_equal(kill(daemon, SIGKILL), 0);
	assert_int_equal(waitpid(daemon, &status, 0), daemon);
	assert_true(count_processes(s.b.id) > 1);
	assert_ok(runtime_delete(rt, s.b.id, s.b.bundle, s.b.cgroup, &err));
	let_go(&s);
	await_no_process(s.go);
	assert_nothing_left(&s.b);
	assert_ok(tree_remove(s.b.bundle, &err));
}

/* Nothing but a state directory that says nothing, and cgroups with a process. */
static void test_leftovers_without_a_runtime(void **state)
{
	char path[300];
	struct box b;

	sleeper(&b);
	snprintf(path, sizeof(path), "/run/t/state/%s/%s", b.id,
		 streq(runtime_name(rt), "crun") ? "status" : "state.json");
	write_file(path, "", 0600);
	box_delete(&b);
}

static void test_no_way_out_of_the_root(void **state)
{
	assert_int_equal(runtime_delete(rt, "../state", NULL, NULL, &err), -EINVAL);
	assert_int_equal(runtime_delete(rt, "", NULL, NULL, &err), -EINVAL);
	assert_true(runtime_delete(rt, "x", NULL, "/", &err) < 0);
	assert_true(runtime_delete(rt, "x", NULL, "/a/../..", &err) < 0);
	assert_int_equal(access("/run/t/state", F_OK), 0);
}

/* ---- at any instant */

static void kill_of_file(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

	close_fd(&fd);
	if (n > 0 && atoi(text) > 1)
		(void)kill((pid_t)atoi(text), SIGKILL);
}

enum victim { DAEMON, CONMON, RUNTIME, N_VICTIMS };

/* The daemon is a process of its own, which gives up or is killed, and leaves the rest to us. */
static void kill_after(enum victim victim, useconds_t delay)
{
	struct box b;
	char path[300];
	pid_t daemon;
	int status;

	box_make(&b, SH("exec sleep 1000"), false, NULL);
	daemon = fork();
	if (daemon == 0) {
		process_become_reaper();
		(void)box_create(&b, (struct runtime_create){ 0 });
		_exit(0);
	}
	usleep(delay); /* the instant is what varies; any is right */
	snprintf(path, sizeof(path), "%s/conmon.pid", b.bundle);
	if (victim == DAEMON)
		assert_int_equal(kill(daemon, SIGKILL), 0);
	if (victim == RUNTIME && access(path, F_OK) == 0) {
		int conmon = read_conmon_pid(&b);

		snprintf(path, sizeof(path), "/proc/%d/task/%d/children", conmon, conmon);
	}
	if (victim != DAEMON)
		kill_of_file(path);
	assert_int_equal(waitpid(daemon, &status, 0), daemon);
	assert_ok(runtime_delete(rt, b.id, b.bundle, b.cgroup, &err));
	await_children();
	assert_nothing_left(&b);
	assert_ok(tree_remove(b.bundle, &err));
}

static void test_killed_at_any_instant(void **state)
{
	rng_seed();
	for (int i = 0; i < 60; i++)
		kill_after((enum victim)(i % N_VICTIMS),
			   rng(streq(runtime_name(rt), "crun") ? 15000 : 45000));
}

/* ---- many at once */

static void *live_often(void *arg)
{
	struct cnm_error e;

	for (int i = 0; i < 4; i++) {
		struct box b;
		int status = -1;

		box_make(&b, SH("exit 3"), false, NULL);
		if (runtime_create(
			    rt,
			    &(struct runtime_create){ .id = b.id, .name = "n", .bundle = b.bundle },
			    &b.made, &e) < 0 ||
		    runtime_start(rt, b.id, &e) < 0)
			return arg;
		await_readable(b.made.conmon_pidfd);
		if (runtime_exit_status(b.bundle, &status) < 0 || status != 3 ||
		    runtime_delete(rt, b.id, b.bundle, b.cgroup, &e) < 0 ||
		    count_processes(b.id) != 0)
			return arg;
		close_made(&b);
		assert_no_cgroup(b.cgroup);
		if (tree_remove(b.bundle, &e) < 0)
			return arg;
	}
	return NULL;
}

static void test_many_at_once(void **state)
{
	pthread_t threads[20];
	void *wrong;

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, live_often, threads), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	await_children();
}

int main(void)
{
	const struct CMUnitTest each[] = {
		cmocka_unit_test(test_conmon_killed),
		cmocka_unit_test(test_runtime_killed_while_creating),
		cmocka_unit_test(test_conmon_killed_while_creating),
		cmocka_unit_test(test_daemon_killed_while_creating),
		cmocka_unit_test(test_leftovers_without_a_runtime),
		cmocka_unit_test(test_no_way_out_of_the_root),
		cmocka_unit_test(test_killed_at_any_instant),
		cmocka_unit_test(test_many_at_once),
	};

	make_world();
	return RUN_WITH_EACH(each);
}
