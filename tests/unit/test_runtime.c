/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Containers with the real conmon, runc and crun: needs root. The program runs in a mount and a
 * network namespace of its own, with a /run of its own; cgroups are named after its pid. crun,
 * which refuses hybrid cgroups, comes last, when /sys/fs/cgroup/unified has been covered.
 *
 * Where something has to be killed half made, a hook of the OCI configuration says through a fifo
 * that it is being run, and waits: the runtime stands still in the middle of its work.
 */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "containers/process.h"
#include "containers/rootfs.h"
#include "containers/runtime.h"

#define PATIENCE 30000 /* ms; then the test fails */

static struct cnm_error err;
static struct runtime *rt;
static char parent[60]; /* of the cgroups */
static int children;    /* readable when SIGCHLD has come */

#define assert_ok(call)                                             \
	do {                                                        \
		int r_ = (call);                                    \
		if (r_ < 0)                                         \
			fail_msg("%s: %d %s", #call, r_, err.text); \
	} while (0)

/* A container of a test: its names, and what became of it. */
struct box {
	char id[ID_SIZE], cgroup[160], bundle[200];
	struct runtime_made made;
};

/* ---- furniture */

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void make_root(void)
{
	static const char *const dirs[] = { "", "/bin", "/proc", "/dev", "/etc", "/tmp", "/sys" };
	char path[100];
	char *copy[] = { "cp", "/bin/busybox", "/run/t/root/bin/busybox", NULL };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		snprintf(path, sizeof(path), "/run/t/root%s", dirs[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	assert_ok(process_run(copy, &(struct process_options){ .what = "copy" }, NULL, &err));
	static const char *const links[] = { "sh", "cat", "sleep", "true", "stty", "kill", "echo" };
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		snprintf(path, sizeof(path), "/run/t/root/bin/%s", links[i]);
		assert_int_equal(symlink("busybox", path), 0);
	}
	write_file("/run/t/root/etc/plain", "text", 0644);
}

static void open_runtime(const char *name)
{
	const struct runtime_options options = { .program = name, .root = "/run/t/state" };

	assert_ok(runtime_open(&rt, &options, &err));
	assert_ok(runtime_check(rt, &err));
	assert_string_equal(runtime_name(rt), name);
}

static int runc_setup(void **state)
{
	open_runtime("runc");
	return 0;
}

static int group_teardown(void **state)
{
	runtime_close(rt);
	cgroup_remove(parent);
	return 0;
}

/* crun takes what is not cgroup2 there for a directory like others. */
static int crun_setup(void **state)
{
	if (access("/sys/fs/cgroup/unified", F_OK) == 0) {
		assert_int_equal(umount2("/sys/fs/cgroup/unified", MNT_DETACH), 0);
		assert_int_equal(mount("none", "/sys/fs/cgroup/unified", "tmpfs", 0, NULL), 0);
	}
	open_runtime("crun");
	return 0;
}

static json_t *mount_of(const char *target, const char *type)
{
	return json_pack("{s:s, s:s, s:s}", "destination", target, "type", type, "source", type);
}

static json_t *process_of(char *const args[], bool terminal)
{
	json_t *list = json_array();

	for (; *args; args++)
		json_array_append_new(list, json_string(*args));
	return json_pack("{s:b, s:{s:i,s:i}, s:o, s:[s], s:s}", "terminal", terminal, "user", "uid",
			 0, "gid", 0, "args", list, "env", "PATH=/bin", "cwd", "/");
}

/* A bundle whose path is longer than that of a socket may be. hook: a shell command, or NULL. */
static void box_make(struct box *b, char *const args[], bool terminal, const char *hook)
{
	char path[300];
	json_t *config;

	*b = (struct box){ .made = { .pidfd = -1, .conmon_pidfd = -1 } };
	id_new(b->id);
	snprintf(b->cgroup, sizeof(b->cgroup), "%s/%s", parent, b->id);
	snprintf(b->bundle, sizeof(b->bundle), "/run/t/containers-in-a-long-directory-name/%s",
		 b->id);
	mkdir("/run/t/containers-in-a-long-directory-name", 0700);
	assert_int_equal(mkdir(b->bundle, 0700), 0);
	config = json_pack("{s:s, s:o, s:{s:s}, s:[o,o,o], s:{s:s, s:[{s:s},{s:s},{s:s},{s:s}]}}",
			   "ociVersion", "1.0.2", "process", process_of(args, terminal), "root",
			   "path", "/run/t/root", "mounts", mount_of("/proc", "proc"),
			   mount_of("/dev", "tmpfs"), mount_of("/dev/pts", "devpts"), "linux",
			   "cgroupsPath", b->cgroup, "namespaces", "type", "pid", "type", "mount",
			   "type", "ipc", "type", "uts");
	assert_non_null(config);
	if (hook)
		json_object_set_new(config, "hooks",
				    json_pack("{s:[{s:s, s:[s,s,s]}]}", "prestart", "path",
					      "/bin/busybox", "args", "sh", "-c", hook));
	snprintf(path, sizeof(path), "%s/config.json", b->bundle);
	assert_int_equal(json_dump_file(config, path, 0), 0);
	json_decref(config);
}

static int box_create(struct box *b, struct runtime_create c)
{
	char log[300];

	snprintf(log, sizeof(log), "%s/log", b->bundle);
	c.id = c.name = b->id;
	c.bundle = b->bundle;
	c.log = log;
	return runtime_create(rt, &c, &b->made, &err);
}

/* Collecting strays, as the daemon does on SIGCHLD: which is blocked, and comes by a descriptor. */
static void await_readable(int fd)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN },
			      { .fd = children, .events = POLLIN } };
	struct signalfd_siginfo info;

	for (;;) {
		assert_true(poll(p, 2, PATIENCE) > 0);
		if (p[0].revents)
			return;
		assert_int_equal(read(children, &info, sizeof(info)), sizeof(info));
		process_reap_strays();
	}
}

static void close_made(struct box *b)
{
	close_fd(&b->made.pidfd);
	close_fd(&b->made.conmon_pidfd);
}

/* The status, once conmon has ended. */
static int box_wait(struct box *b)
{
	int status = -1;

	await_readable(b->made.conmon_pidfd);
	assert_int_equal(runtime_exit_status(b->bundle, &status), 0);
	return status;
}

/* ---- nothing is left */

static bool file_mentions(const char *path, const char *word)
{
	char text[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : 0;

	close_fd(&fd);
	return n > 0 && memmem(text, (size_t)n, word, strlen(word));
}

/* Processes that have the id in their command line or their cgroup. */
static unsigned count_processes(const char *id)
{
	DIR *proc = opendir("/proc");
	const struct dirent *d;
	unsigned n = 0;
	char path[300];

	while ((d = readdir(proc))) {
		if (d->d_name[0] < '1' || d->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/cmdline", d->d_name);
		bool mine = file_mentions(path, id);

		snprintf(path, sizeof(path), "/proc/%s/cgroup", d->d_name);
		n += mine || file_mentions(path, id);
	}
	closedir(proc);
	return n;
}

static void assert_no_cgroup(const char *cgroup)
{
	char path[600];
	DIR *root = opendir("/sys/fs/cgroup");
	const struct dirent *d;

	snprintf(path, sizeof(path), "/sys/fs/cgroup%s", cgroup);
	assert_int_equal(access(path, F_OK), -1);
	while ((d = readdir(root))) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s%s", d->d_name, cgroup);
		if (access(path, F_OK) == 0)
			fail_msg("%s is left", path);
	}
	closedir(root);
}

static void assert_nothing_left(const struct box *b)
{
	char path[300];

	snprintf(path, sizeof(path), "/run/t/state/%s", b->id);
	assert_int_equal(access(path, F_OK), -1);
	assert_no_cgroup(b->cgroup);
	assert_int_equal(count_processes(b->id), 0);
	assert_false(file_mentions("/proc/self/mountinfo", b->id));
	/* and no zombie that nobody collects */
	process_reap_strays();
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void box_delete(struct box *b)
{
	assert_ok(runtime_delete(rt, b->id, b->bundle, b->cgroup, &err));
	close_made(b);
	assert_nothing_left(b);
	assert_ok(tree_remove(b->bundle, &err));
}

/* ---- talking to it */

/* Reads packets until the wanted text has come on the stream, or the socket ends. */
static bool expect_packet(int fd, char stream, const char *wanted)
{
	char all[8192], buf[9000];
	size_t n_all = 0;

	for (;;) {
		await_readable(fd);
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n <= 0)
			return false;
		if (buf[0] != stream)
			continue;
		memcpy(all + n_all, buf + 1, (size_t)n - 1);
		n_all += (size_t)n - 1;
		if (memmem(all, n_all, wanted, strlen(wanted)))
			return true;
	}
}

static void read_to_end(int fd, char *ret, size_t size)
{
	size_t at = 0;
	ssize_t n;

	do {
		await_readable(fd);
		n = read(fd, ret + at, size - 1 - at);
		at += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	ret[at] = 0;
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

/* ---- a container's life */

#define SH(script)                                    \
	(char *[])                                    \
	{                                             \
		"/bin/sh", "-c", (char *)script, NULL \
	}

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

static void sleeper(struct box *b)
{
	box_make(b, SH("exec sleep 1000"), false, NULL);
	assert_ok(box_create(b, (struct runtime_create){ 0 }));
	assert_ok(runtime_start(rt, b->id, &err));
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

/* ---- the whole */

static void private_namespaces(void)
{
	if (geteuid() != 0) {
		print_message("1..0 # SKIP needs root\n");
		exit(77);
	}
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	children = signalfd(-1, &child, SFD_CLOEXEC);
	if (children < 0 || unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount("", "/", "none", MS_PRIVATE | MS_REC, NULL) < 0 ||
	    mount("none", "/run", "tmpfs", 0, "mode=755") < 0 || mkdir("/run/t", 0755) < 0 ||
	    process_become_reaper() < 0)
		abort();
}

#define EACH_RUNTIME                                                                            \
	cmocka_unit_test(test_probe), cmocka_unit_test(test_versions),                          \
		cmocka_unit_test(test_stdio_and_status), cmocka_unit_test(test_stdin_once),     \
		cmocka_unit_test(test_stdin_stays_open), cmocka_unit_test(test_terminal),       \
		cmocka_unit_test(test_log), cmocka_unit_test(test_no_log),                      \
		cmocka_unit_test(test_killed_container),                                        \
		cmocka_unit_test(test_delete_of_a_running_one),                                 \
		cmocka_unit_test(test_same_bundle_again), cmocka_unit_test(test_bad_program),   \
		cmocka_unit_test(test_bad_program_with_terminal),                               \
		cmocka_unit_test(test_refused_configuration),                                   \
		cmocka_unit_test(test_start_of_nothing), cmocka_unit_test(test_exec),           \
		cmocka_unit_test(test_exec_ends_at_once), cmocka_unit_test(test_exec_terminal), \
		cmocka_unit_test(test_exec_bad_program),                                        \
		cmocka_unit_test(test_end_after_failed_execs),                                  \
		cmocka_unit_test(test_exec_in_nothing), cmocka_unit_test(test_pids),            \
		cmocka_unit_test(test_adopt), cmocka_unit_test(test_adopt_after_the_process),   \
		cmocka_unit_test(test_conmon_killed),                                           \
		cmocka_unit_test(test_runtime_killed_while_creating),                           \
		cmocka_unit_test(test_conmon_killed_while_creating),                            \
		cmocka_unit_test(test_daemon_killed_while_creating),                            \
		cmocka_unit_test(test_leftovers_without_a_runtime),                             \
		cmocka_unit_test(test_no_way_out_of_the_root)

int main(void)
{
	const struct CMUnitTest choice[] = { cmocka_unit_test(test_no_runtime),
					     cmocka_unit_test(test_no_conmon) };
	const struct CMUnitTest each[] = { EACH_RUNTIME };
	int failed;

	private_namespaces();
	make_root();
	snprintf(parent, sizeof(parent), "/cnm-test-%d", (int)getpid());
	failed = cmocka_run_group_tests_name("choice", choice, NULL, NULL);
	failed += cmocka_run_group_tests_name("runc", each, runc_setup, group_teardown);
	failed += cmocka_run_group_tests_name("crun", each, crun_setup, group_teardown);
	return failed;
}
