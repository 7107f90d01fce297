/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A container that exists, known by its bundle: its processes found and checked, its exit status,
 * its attach socket, its terminal; and the end of a conmon with all that it is making.
 *
 * A bundle's directory is locked from before conmon's pid is written until conmon is executed: the
 * lock is an open directory that the child inherits and exec closes, so it outlives a daemon that
 * is killed in between, and who takes it then sees the pid, and conmon.
 *
 * Pids in files may be those of other processes by now. conmon's is believed if the process has the
 * container's id on its command line, the container's if the process is conmon's child; in both
 * cases what was opened first, and is used, is a pidfd.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "containers/runtime_internal.h"

#define ATTACH_S    5
#define WAIT_MS     1000 /* for what takes no time, but gives no event either */
#define LOCK_MS     5000 /* a child that is about to execute has it, no longer */
#define KILL_ROUNDS 100

/* The third and fourth words of /proc/PID/stat; the second is in parentheses and may hold anything.
 */
static int read_stat(pid_t pid, char *ret_state, pid_t *ret_parent)
{
	char path[40];
	_free_ char *text = NULL;
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	text = runtime_read_file(AT_FDCWD, path);
	at = text ? strrchr(text, ')') : NULL;
	return at && sscanf(at, ") %c %d", ret_state, ret_parent) == 2 ? 0 : -ESRCH;
}

static char state_of(pid_t pid)
{
	char state = 'X';
	pid_t parent;

	return read_stat(pid, &state, &parent) < 0 ? 'X' : state;
}

static bool is_dead(char state)
{
	return state == 'Z' || state == 'X';
}

/* Its command line; empty for a moment while it is being executed, and for a zombie. */
static ssize_t read_command_line(pid_t pid, char *ret, size_t size)
{
	char path[40];
	_close_ int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -1 : read(fd, ret, size);
}

struct command_line {
	char text[16384];
	size_t n;
};

static void read_settled(pid_t pid, struct command_line *ret)
{
	ssize_t n = 0;

	for (int i = 0; i < WAIT_MS && n == 0; i++) {
		n = read_command_line(pid, ret->text, sizeof(ret->text) - 1);
		if (n != 0 || is_dead(state_of(pid)))
			break;
		poll(NULL, 0, 1);
	}
	ret->n = n > 0 ? (size_t)n : 0;
	ret->text[ret->n] = 0;
}

static bool has_word(const struct command_line *line, const char *wanted)
{
	const char *end = line->text + line->n;

	for (const char *word = line->text; word < end; word += strlen(word) + 1)
		if (streq(word, wanted))
			return true;
	return false;
}

/* Is id a word of its command line? It is of conmon's, and of a runtime's that creates. */
static bool mentions(pid_t pid, const char *id)
{
	struct command_line line;

	read_settled(pid, &line);
	return has_word(&line, id);
}

/*
 * A runtime's process for this container, of this engine; or what conmon has forked to execute the
 * runtime, which looks like conmon.
 */
static bool is_runtime_of(pid_t pid, const struct runtime *rt, const char *id)
{
	struct command_line line;
	ssize_t n = read_command_line(pid, line.text, sizeof(line.text) - 1);

	line.n = n > 0 ? (size_t)n : 0;
	line.text[line.n] = 0;
	return line.n && rt->path && (streq(line.text, rt->path) || streq(line.text, rt->conmon)) &&
	       has_word(&line, rt->root) && has_word(&line, id);
}

int conmon_open_child(pid_t pid, pid_t conmon)
{
	_close_ int fd = process_open(pid);
	pid_t parent;
	char state;

	if (fd < 0 || read_stat(pid, &state, &parent) < 0 || parent != conmon)
		return -ESRCH;
	return take_fd(&fd);
}

static int open_conmon(int dir, const char *id, pid_t *ret_pid)
{
	pid_t pid = runtime_read_pid(dir, "conmon.pid");
	_close_ int fd = pid > 0 ? process_open(pid) : -1;

	if (fd < 0 || !mentions(pid, id))
		return -ENOENT;
	*ret_pid = pid;
	return take_fd(&fd);
}

int bundle_open(const char *bundle)
{
	int fd = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int bundle_lock(const char *bundle)
{
	int fd = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	for (int i = 0; i < LOCK_MS && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
		poll(NULL, 0, 1);
	return fd;
}

/* ---- conmon's children, and its end */

static bool has_ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static void children_path(pid_t pid, char *ret, size_t size)
{
	snprintf(ret, size, "/proc/%d/task/%d/children", (int)pid, (int)pid);
}

/* fn() for each child of it that lives: how many times that was true. */
static unsigned each_child(pid_t pid, bool (*fn)(pid_t child, int pidfd, const char *id),
			   const char *id)
{
	char path[60];
	_free_ char *list = NULL;
	unsigned n = 0;
	int skip;

	children_path(pid, path, sizeof(path));
	list = runtime_read_file(AT_FDCWD, path);
	for (const char *at = list; at && sscanf(at, "%*d%n", &skip) == 0 && *at; at += skip) {
		pid_t child = (pid_t)atoi(at);
		_close_ int fd = conmon_open_child(child, pid);

		if (fd >= 0 && !has_ended(fd))
			n += fn(child, fd, id);
	}
	return n;
}

static bool kill_child(pid_t child, int pidfd, const char *id)
{
	(void)process_kill(pidfd);
	return true;
}

/* The container's processes have a pid namespace of their own from the beginning. */
static bool is_at_home(pid_t pid)
{
	char path[40];
	struct stat its, ours;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	return stat(path, &its) == 0 && stat("/proc/self/ns/pid", &ours) == 0 &&
	       its.st_ino == ours.st_ino;
}

static bool is_runtime(pid_t child, int pidfd, const char *id)
{
	return is_at_home(child) && mentions(child, id);
}

bool conmon_is_creating(pid_t conmon, const char *id)
{
	char path[60];

	children_path(conmon, path, sizeof(path));
	return access(path, F_OK) < 0 || each_child(conmon, is_runtime, id) > 0;
}

/*
 * Stopped first, so that it makes no more of them. It is a subreaper: what the runtime leaves when
 * it is killed (processes that are not in the cgroup yet) becomes a child of conmon, and is killed
 * in the next round.
 */
void conmon_kill_tree(pid_t pid, int pidfd)
{
	(void)pidfd_send_signal(pidfd, SIGSTOP, NULL, 0);
	for (int i = 0; i < WAIT_MS && !strchr("TtZX", state_of(pid)); i++)
		poll(NULL, 0, 1); /* a process that may not be a child of ours: no event tells */
	for (int i = 0; i < KILL_ROUNDS && each_child(pid, kill_child, NULL) > 0; i++)
		;
	(void)process_kill(pidfd);
}

/*
 * A conmon that was killed has taken the runtime with it, by a death signal that the runtime's
 * process asks for at its beginning; unless it was killed just before. That one is found by its
 * command line.
 */
static void kill_orphans(const struct runtime *rt, const char *id)
{
	DIR *proc = opendir("/proc");
	const struct dirent *d;
	long pid;

	while (proc && (d = readdir(proc))) {
		_close_ int fd = -1;

		if (str_to_long(d->d_name, 2, INT_MAX, &pid) < 0)
			continue;
		fd = process_open((pid_t)pid);
		if (fd >= 0 && is_runtime_of((pid_t)pid, rt, id))
			conmon_kill_tree((pid_t)pid, fd);
	}
	if (proc)
		closedir(proc);
}

void conmon_kill(const struct runtime *rt, const char *bundle, const char *id)
{
	_close_ int dir = bundle_lock(bundle), fd = -1;
	pid_t pid;

	if (dir >= 0)
		fd = open_conmon(dir, id, &pid);
	if (fd >= 0)
		conmon_kill_tree(pid, fd);
	else if (dir >= 0 && faccessat(dir, "exit", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		kill_orphans(rt, id); /* nor did it end as it should */
}

/* ---- what an earlier daemon made, and its stdio */

int runtime_adopt(const char *bundle, const char *id, struct runtime_made *ret)
{
	_close_ int dir = bundle_open(bundle);
	struct runtime_made m = { .pidfd = -1 };
	pid_t pid;

	if (dir < 0)
		return -ENOENT;
	m.conmon_pidfd = open_conmon(dir, id, &m.conmon);
	if (m.conmon_pidfd < 0)
		return -ENOENT;
	pid = runtime_read_pid(dir, "pidfile");
	if (pid > 0)
		m.pidfd = conmon_open_child(pid, m.conmon);
	if (m.pidfd >= 0)
		m.pid = pid;
	else
		m.pidfd = -1;
	*ret = m;
	return 0;
}

int runtime_exit_status(const char *bundle, int *ret)
{
	_close_ int dir = bundle_open(bundle);
	_free_ char *text = dir >= 0 ? runtime_read_file(dir, "exit") : NULL;
	long status;

	if (!text || str_to_long(text, INT_MIN, INT_MAX, &status) < 0)
		return -ENOENT;
	*ret = (int)status;
	return 0;
}

/* Through the directory's descriptor: the path of a socket is limited to 107 bytes. */
int runtime_attach(const char *bundle)
{
	_close_ int dir = bundle_open(bundle);
	_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = ATTACH_S }; /* with a conmon that does not accept */

	if (dir < 0)
		return dir;
	if (fd < 0)
		return -errno;
	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/attach", dir);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return take_fd(&fd);
}

int runtime_resize(const char *bundle, unsigned rows, unsigned columns, struct cnm_error *err)
{
	_close_ int dir = bundle_open(bundle), fd = -1;
	char line[40];
	int n = snprintf(line, sizeof(line), "1 %u %u\n", rows, columns);

	if (dir >= 0)
		fd = openat(dir, "ctl", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		return cnm_error_errno(err, errno, "resize the terminal to %u rows of %u", rows,
				       columns);
	return 0;
}
