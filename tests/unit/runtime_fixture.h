/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Containers with the real conmon, runc and crun: needs root. The program runs in a mount and a
 * network namespace of its own, with a /run of its own; cgroups are named after its pid. crun,
 * which refuses hybrid cgroups, comes last, when /sys/fs/cgroup/unified has been covered.
 */
#ifndef UNIT_RUNTIME_FIXTURE_H
#define UNIT_RUNTIME_FIXTURE_H

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

static inline void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static inline void make_root(void)
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

static inline void open_runtime(const char *name)
{
	const struct runtime_options options = { .program = name, .root = "/run/t/state" };

	assert_ok(runtime_open(&rt, &options, &err));
	assert_ok(runtime_check(rt, &err));
	assert_string_equal(runtime_name(rt), name);
}

static inline int runc_setup(void **state)
{
	open_runtime("runc");
	return 0;
}

static inline int group_teardown(void **state)
{
	runtime_close(rt);
	cgroup_remove(parent);
	return 0;
}

/* crun takes what is not cgroup2 there for a directory like others. */
static inline int crun_setup(void **state)
{
	if (access("/sys/fs/cgroup/unified", F_OK) == 0) {
		assert_int_equal(umount2("/sys/fs/cgroup/unified", MNT_DETACH), 0);
		assert_int_equal(mount("none", "/sys/fs/cgroup/unified", "tmpfs", 0, NULL), 0);
	}
	open_runtime("crun");
	return 0;
}

static inline json_t *mount_of(const char *target, const char *type)
{
	return json_pack("{s:s, s:s, s:s}", "destination", target, "type", type, "source", type);
}

static inline json_t *process_of(char *const args[], bool terminal)
{
	json_t *list = json_array();

	for (; *args; args++)
		json_array_append_new(list, json_string(*args));
	return json_pack("{s:b, s:{s:i,s:i}, s:o, s:[s], s:s}", "terminal", terminal, "user", "uid",
			 0, "gid", 0, "args", list, "env", "PATH=/bin", "cwd", "/");
}

/* A bundle whose path is longer than that of a socket may be. hook: a shell command, or NULL. */
static inline void box_make(struct box *b, char *const args[], bool terminal, const char *hook)
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

static inline int box_create(struct box *b, struct runtime_create c)
{
	char log[300];

	snprintf(log, sizeof(log), "%s/log", b->bundle);
	c.id = c.name = b->id;
	c.bundle = b->bundle;
	c.log = log;
	return runtime_create(rt, &c, &b->made, &err);
}

/* Collecting strays, as the daemon does on SIGCHLD: which is blocked, and comes by a descriptor. */
static inline void await_readable(int fd)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN },
			      { .fd = children, .events = POLLIN } };
	struct signalfd_siginfo info;

	for (;;) {
		assert_true(poll(p, 2, PATIENCE) > 0);
		if (p[0].revents)
			return;
		(void)!read(children, &info, sizeof(info)); /* another thread may have it */
		process_reap_strays();
	}
}

static inline void close_made(struct box *b)
{
	close_fd(&b->made.pidfd);
	close_fd(&b->made.conmon_pidfd);
}

/* The status, once conmon has ended. */
static inline int box_wait(struct box *b)
{
	int status = -1;

	await_readable(b->made.conmon_pidfd);
	assert_int_equal(runtime_exit_status(b->bundle, &status), 0);
	return status;
}

/* ---- nothing is left */

static inline bool file_mentions(const char *path, const char *word)
{
	char text[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : 0;

	close_fd(&fd);
	return n > 0 && memmem(text, (size_t)n, word, strlen(word));
}

/* Processes that have the id in their command line or their cgroup. */
static inline unsigned count_processes(const char *id)
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

static inline void assert_no_cgroup(const char *cgroup)
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

static inline void assert_nothing_left(const struct box *b)
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

static inline void box_delete(struct box *b)
{
	assert_ok(runtime_delete(rt, b->id, b->bundle, b->cgroup, &err));
	close_made(b);
	assert_nothing_left(b);
	assert_ok(tree_remove(b->bundle, &err));
}

/* ---- talking to it */

/* Reads packets until the wanted text has come on the stream, or the socket ends. */
static inline bool expect_packet(int fd, char stream, const char *wanted)
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

static inline void read_to_end(int fd, char *ret, size_t size)
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

static inline void send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

#define SH(script)                                    \
	(char *[])                                    \
	{                                             \
		"/bin/sh", "-c", (char *)script, NULL \
	}

/* A container that does nothing until it is killed. */
static inline void sleeper(struct box *b)
{
	box_make(b, SH("exec sleep 1000"), false, NULL);
	assert_ok(box_create(b, (struct runtime_create){ 0 }));
	assert_ok(runtime_start(rt, b->id, &err));
}

/* ---- the whole */

static inline void make_world(void)
{
	if (geteuid() != 0) {
		print_message("1..0 # SKIP needs root\n");
		exit(77);
	}
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	children = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (children < 0 || unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount("", "/", "none", MS_PRIVATE | MS_REC, NULL) < 0 ||
	    mount("none", "/run", "tmpfs", 0, "mode=755") < 0 || mkdir("/run/t", 0755) < 0 ||
	    process_become_reaper() < 0)
		abort();
	make_root();
	snprintf(parent, sizeof(parent), "/cnm-test-%d", (int)getpid());
}

/* The tests with runc, then with crun. How many failed. */
#define RUN_WITH_EACH(tests)                                                      \
	(cmocka_run_group_tests_name("runc", tests, runc_setup, group_teardown) + \
	 cmocka_run_group_tests_name("crun", tests, crun_setup, group_teardown))

#endif
