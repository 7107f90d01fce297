/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs: how they are started, and whose they are when they end.
 *
 * A child of a subreaper comes in three kinds. Known ones somebody waits for; their pids are in a
 * table, and a zombie is collected by that waiter only, so its pid cannot be given to another
 * process meanwhile. Those in our own process group are the children of a library that waits for
 * them itself (every child that is started here leads a group of its own). All others are strays.
 *
 * A program may leave a child to us whose pid its starter learns only when the program has ended
 * (the runtime, of an execution). As long as such a program lives that child is its own and none of
 * our zombies can be the one; from its end until process_release_strays() nothing is collected.
 *
 * The table's lock is never held over a wait: collecting strays asks the kernel with WNOHANG. The
 * kernel shows one ended child at a time; when that is a known one the strays behind it are owed,
 * and collected as soon as it has been waited for.
 */
#include "containers/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define KILL_MS      5000

struct known {
	pid_t pid;
	bool leaves; /* process_options.hold_strays */
};

static struct {
	pthread_mutex_t lock;
	struct known *known; /* a pid may be in it twice */
	unsigned n, cap;
	unsigned holds; /* those that prevent a collection now */
	bool owed;      /* strays may have been left */
} table = { .lock = PTHREAD_MUTEX_INITIALIZER };

int process_become_reaper(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* ---- the table */

static bool is_known(pid_t pid)
{
	for (unsigned i = 0; i < table.n; i++)
		if (table.known[i].pid == pid)
			return true;
	return getpgid(pid) == getpgrp();
}

/*
 * Is a program known that leaves us a child? Not only one that has ended: the kernel hands its
 * children over, ended ones too, before it can be waited for itself.
 */
static bool may_be_left(void)
{
	for (unsigned i = 0; i < table.n; i++)
		if (table.known[i].leaves)
			return true;
	return false;
}

static void remember(pid_t pid, bool leaves)
{
	if (table.n == table.cap) {
		unsigned cap = table.cap ? table.cap * 2 : 64;
		struct known *more = reallocarray(table.known, cap, sizeof(*more));

		if (!more) {
			table.holds++; /* for good: rather zombies than a lost exit status */
			return;
		}
		table.known = more;
		table.cap = cap;
	}
	table.known[table.n++] = (struct known){ pid, leaves };
}

void process_expect(pid_t pid)
{
	LOCKED(&table.lock);

	remember(pid, false);
}

/* The zombie is looked at first, and then who may have left it: not the other way round. */
static void collect_strays(void)
{
	table.owed = table.holds > 0;
	while (!table.owed) {
		siginfo_t ended = { .si_pid = 0 };

		if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) < 0 || ended.si_pid == 0)
			return;
		if (is_known(ended.si_pid) || may_be_left())
			table.owed = true;
		else
			(void)waitid(P_PID, (id_t)ended.si_pid, &ended, WEXITED | WNOHANG);
	}
}

void process_reap_strays(void)
{
	LOCKED(&table.lock);

	collect_strays();
}

void process_forget(pid_t pid)
{
	LOCKED(&table.lock);

	for (unsigned i = 0; i < table.n; i++)
		if (table.known[i].pid == pid) {
			table.holds += table.known[i].leaves;
			table.known[i] = table.known[--table.n];
			break;
		}
	if (table.n == 0) { /* which leaves nothing allocated at the end of a program */
		free(take_ptr(table.known));
		table.cap = 0;
	}
	if (table.owed)
		collect_strays();
}

static void hold_strays(void)
{
	LOCKED(&table.lock);

	table.holds++;
}

void process_release_strays(void)
{
	LOCKED(&table.lock);

	table.holds--;
	collect_strays();
}

int process_wait(pid_t pid, int *ret_status)
{
	pid_t r;

	do
		r = waitpid(pid, ret_status, 0);
	while (r < 0 && errno == EINTR);
	process_forget(pid);
	return r < 0 ? -ECHILD : 0;
}

/* ---- finding and starting */

static const char *search_path(void)
{
	const char *path = getenv("PATH");

	return path && *path ? path : DEFAULT_PATH;
}

int process_find(const char *name, char *ret, size_t size)
{
	const char *at = search_path(), *end;

	if (strchr(name, '/'))
		return str_copy(ret, size, name) && access(name, X_OK) == 0 ? 0 : -ENOENT;
	for (; at; at = *end ? end + 1 : NULL) {
		int n;

		end = strchrnul(at, ':');
		n = snprintf(ret, size, "%.*s/%s", (int)(end - at), at, name);
		if (*at == '/' && n > 0 && (size_t)n < size && access(ret, X_OK) == 0)
			return 0;
	}
	return -ENOENT;
}

const char *process_package_hint(const char *program, char *buf, size_t size)
{
	static const char *const packages[][2] = {
		{ "runc", "runc" },     { "crun", "crun" },   { "conmon", "conmon" },
		{ "skopeo", "skopeo" }, { "umoci", "umoci" }, { "ps", "procps" },
		{ "tar", "tar" },       { "gzip", "gzip" },   { "busybox", "busybox-static" },
	};
	const char *slash = strrchr(program, '/'), *base = slash ? slash + 1 : program;

	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++)
		if (streq(base, packages[i][0])) {
			snprintf(buf, size, "install the package %s (apt-get install %s)",
				 packages[i][1], packages[i][1]);
			return buf;
		}
	snprintf(buf, size, "install it, or name another one");
	return buf;
}

/* What the child needs, prepared by the parent: it shares our memory and may not allocate. */
struct launch {
	const char *path;
	char *const *argv;
	char *const *env;
	const struct process_options *o;
	volatile int error; /* an errno, by the child */
};

static int write_own_pid(const char *path)
{
	char text[16], *at = text + sizeof(text);
	pid_t pid = getpid();
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t n;

	for (; pid > 0; pid /= 10)
		*--at = (char)('0' + pid % 10);
	n = (size_t)(text + sizeof(text) - at);
	return fd >= 0 && write(fd, at, n) == (ssize_t)n ? 0 : -1;
}

/* Puts the three descriptors at 0, 1 and 2, passes those named, and closes all others on exec. */
static int place_descriptors(const struct process_options *o)
{
	int from[3] = { o->in_fd, o->out_fd, o->err_fd };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -1;
	for (int i = 0; i < 3; i++) {
		from[i] = from[i] > 0 ? from[i] : null;
		if (from[i] < 3) /* out of the way of the dup2 below */
			from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 3);
		if (from[i] < 0)
			return -1;
	}
	for (int i = 0; i < 3; i++)
		if (dup2(from[i], i) < 0)
			return -1;
	if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return -1;
	for (unsigned i = 0; i < o->n_fds; i++)
		if (fcntl(o->fds[i], F_SETFD, 0) < 0)
			return -1;
	return 0;
}

/* Handlers of ours must not run in the child, which shares our memory; and SIGPIPE is the
 * program's. */
static void default_signals(void)
{
	struct sigaction deflt = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		if (i != SIGKILL && i != SIGSTOP)
			(void)sigaction(i, &deflt, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int prepare(const struct process_options *o)
{
	struct rlimit size = { o->max_file, o->max_file };

	if (o->session ? setsid() < 0 : setpgid(0, 0) < 0)
		return -1;
	if (o->max_file && setrlimit(RLIMIT_FSIZE, &size) < 0)
		return -1;
	if (o->dir && chdir(o->dir) < 0)
		return -1;
	if (o->pid_file && write_own_pid(o->pid_file) < 0)
		return -1;
	return place_descriptors(o);
}

__attribute__((noreturn, noinline)) static void child(struct launch *l)
{
	if (prepare(l->o) == 0) {
		default_signals();
		execve(l->path, l->argv, l->env);
	}
	l->error = errno;
	_exit(127);
}

/* Every signal is blocked meanwhile, so that none is handled by the child in the parent's memory.
 */
static pid_t launch(struct launch *l)
{
	sigset_t all, old;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork): child() is made for it
			*/
	if (pid == 0)
		child(l); /* NOLINT(clang-analyzer-unix.Vfork) */
	if (pid < 0)
		l->error = errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid;
}

static pid_t launch_known(struct launch *l)
{
	pid_t pid;

	hold_strays();
	pid = launch(l);
	pthread_mutex_lock(&table.lock);
	if (pid > 0)
		remember(pid, l->o->hold_strays && !l->error);
	table.holds--;
	pthread_mutex_unlock(&table.lock);
	if (pid > 0 && l->error) {
		int status;

		(void)process_wait(pid, &status);
		pid = -1;
	}
	return pid;
}

pid_t process_spawn(char *const argv[], const struct process_options *options,
		    struct cnm_error *err)
{
	char path[PATH_MAX], search[PATH_MAX], hint[120];
	char home[] = "HOME=/root", lang[] = "LANG=C.UTF-8";
	char *env[] = { search, home, lang, NULL };
	struct launch l = { .path = path, .argv = argv, .env = env, .o = options };
	pid_t pid;

	if (process_find(argv[0], path, sizeof(path)) < 0) {
		cnm_error_set(err, CNM_E_UNAVAILABLE, "%s: %s is not there: %s", options->what,
			      argv[0], process_package_hint(argv[0], hint, sizeof(hint)));
		return -ENOENT;
	}
	snprintf(search, sizeof(search), "PATH=%s", search_path());
	if (options->env)
		l.env = (char *const *)options->env;
	pid = launch_known(&l);
	return pid > 0 ? pid
		       : cnm_error_errno(err, l.error, "%s: start %s", options->what, argv[0]);
}

/* ---- pidfds */

int process_open(pid_t pid)
{
	int fd = pidfd_open(pid, 0);

	return fd < 0 ? -errno : fd;
}

/* Strays are collected meanwhile: the first process of a pid namespace ends after all in it. */
int process_kill(int pidfd)
{
	uint64_t end = clock_mono_ns() + KILL_MS * UINT64_C(1000000);
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };

	if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0)
		return errno == ESRCH ? 0 : -errno;
	for (int ms = 1; poll(&ended, 1, ms) <= 0; ms = ms < 32 ? 2 * ms : ms) {
		process_reap_strays();
		if (clock_mono_ns() > end)
			return -ETIME;
	}
	return 0;
}
