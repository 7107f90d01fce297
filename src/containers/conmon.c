/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creation: conmon is started, which starts the runtime.
 *
 * It is started with --sync, which means that the process we start is the one that stays: its pid
 * is known from the outset, and in BUNDLE/conmon.pid before it begins, so that whoever finds a
 * container half made finds what is making it (bundle.c has the instant between). It leads a
 * session of its own and has the bundle as its directory: there it makes the terminal's socket
 * (TMPDIR=.), under a name short enough for any bundle, and nothing outside the bundle is left by a
 * conmon that is killed.
 *
 * Over the pipe _OCI_SYNCPIPE it says {"data": PID}, or {"data": -1, "message": what the runtime
 * wrote to stderr}, or nothing when the runtime wrote nothing. It holds the only other end of the
 * pipe: its death is the pipe's end. The runtime dies with it, by a death signal that it sets.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "containers/runtime_internal.h"

#define CREATE_MS   60000
#define LOOK_MS     200
#define IDLE_LOOKS  15
#define MAX_MESSAGE 65536
#define MAX_ARGS    64
#define PATH_ENV    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char what_create[] = "create the container";

/* ---- starting it */

struct command {
	char *argv[MAX_ARGS];
	unsigned n;
};

static void add(struct command *c, const char *word)
{
	if (c->n < MAX_ARGS - 1)
		c->argv[c->n++] = (char *)word; /* execve()'s type; nothing writes to it */
}

static void add_runtime(struct command *cmd, const struct runtime *rt)
{
	char *options[RUNTIME_ARGS];
	unsigned n = runtime_options_args(rt, options, NULL);

	add(cmd, "--runtime");
	add(cmd, options[0]);
	for (unsigned i = 1; i < n; i++) {
		add(cmd, "--runtime-arg");
		add(cmd, options[i]);
	}
}

static void add_container(struct command *cmd, const struct runtime_create *c, const char *log)
{
	const char *const words[] = {
		"--cid",         c->id,
		"--cuuid",       c->id,
		"--name",        c->name,
		"--bundle",      c->bundle,
		"--persist-dir", c->bundle,
		"--log-path",    log,
		"--full-attach", "--no-new-keyring",
		"--no-sync-log", "--log-level",
		"error",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		add(cmd, words[i]);
	if (c->terminal)
		add(cmd, "--terminal");
	if (c->stdin_open)
		add(cmd, "--stdin");
	if (!c->stdin_once || c->terminal) /* one may detach, and come back */
		add(cmd, "--leave-stdin-open");
}

/* sync, error: the descriptors that it writes to. Its pid, a known child. */
static pid_t start_conmon(const struct runtime *rt, const struct runtime_create *c, int sync,
			  int error, struct cnm_error *err)
{
	struct command cmd = { .argv = { rt->conmon }, .n = 1 };
	char pidfile[PATH_MAX], log[PATH_MAX] = "none:", pipe_env[40];
	const char *env[] = { PATH_ENV, "HOME=/root", "LANG=C.UTF-8", "TMPDIR=.", pipe_env, NULL };
	struct process_options options = {
		.what = what_create,
		.dir = c->bundle,
		.env = env,
		.fds = &sync,
		.n_fds = 1,
		.err_fd = error,
		.session = true,
		.pid_file = "conmon.pid",
	};

	if (snprintf(pidfile, sizeof(pidfile), "%s/pidfile", c->bundle) >= (int)sizeof(pidfile) ||
	    (c->log && snprintf(log, sizeof(log), "k8s-file:%s", c->log) >= (int)sizeof(log)))
		return cnm_error_errno(err, ENAMETOOLONG, "%s %s", what_create, c->id);
	snprintf(pipe_env, sizeof(pipe_env), "_OCI_SYNCPIPE=%d", sync);
	add(&cmd, "--api-version");
	add(&cmd, "1");
	add(&cmd, "--sync");
	add(&cmd, "--container-pidfile");
	add(&cmd, pidfile);
	add_container(&cmd, c, log);
	add_runtime(&cmd, rt);
	cmd.argv[cmd.n] = NULL;
	return process_spawn(cmd.argv, &options, err);
}

/* What an earlier life of the container left in its bundle. */
static void clear_bundle(int dir)
{
	static const char *const names[] = { "exit",   "oom", "pidfile", "conmon.pid",
					     "attach", "ctl", "winsz" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlinkat(dir, names[i], 0);
}

/* ---- what it answers */

/* Reads what there is: 1 when the line, or the pipe, has ended. */
static int read_more(int fd, struct strbuf *b)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n <= 0)
		return n == 0 || errno != EINTR;
	strbuf_addn(b, buf, (size_t)n);
	return memchr(buf, '\n', (size_t)n) || b->len > MAX_MESSAGE;
}

/*
 * The whole answer, maybe empty: 0; or -ETIME. A runtime that is killed may leave a process that
 * keeps its stderr, of which conmon waits for the end, for ever: so when there is no answer for a
 * while (a slow machine takes its time between the two) and no runtime either, there will be none.
 */
static int read_answer(int fd, pid_t conmon, const char *id, struct strbuf *b)
{
	int idle = 0;

	for (int waited = 0; waited < CREATE_MS; waited += LOOK_MS) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int n = poll(&p, 1, LOOK_MS);

		if (n > 0 && read_more(fd, b))
			return 0;
		idle = n == 0 && !conmon_is_creating(conmon, id) ? idle + 1 : 0;
		if (idle == IDLE_LOOKS)
			return 0;
	}
	return -ETIME;
}

/* "process.args[0]" of the bundle's config.json, and "linux.cgroupsPath"; borrowed from *ret. */
static void read_config(int bundle, json_t **ret, const char **ret_program, const char **ret_cgroup)
{
	_close_ int fd = openat(bundle, "config.json", O_RDONLY | O_CLOEXEC);
	const json_t *args;

	*ret = fd >= 0 ? json_loadfd(fd, 0, NULL) : NULL;
	args = json_object_get(json_object_get(*ret, "process"), "args");
	*ret_program = json_string_value(json_array_get(args, 0));
	*ret_cgroup =
		json_string_value(json_object_get(json_object_get(*ret, "linux"), "cgroupsPath"));
}

/* conmon gave no pid. `error` is its own stderr, which it gives up when all went well at first. */
static int explain(const struct runtime *rt, const json_t *answer, int error, int bundle,
		   struct cnm_error *err)
{
	const char *message = json_string_value(json_object_get(answer, "message"));
	const char *program, *cgroup;
	_json_ json_t *config = NULL;
	char own[512];
	ssize_t n = message ? 0 : read(error, own, sizeof(own) - 1);

	if (n > 0) {
		own[n] = 0;
		own[strcspn(own, "\n")] = 0;
		return cnm_error_set(err, CNM_E_INTERNAL, "%s: %s", what_create, own);
	}
	read_config(bundle, &config, &program, &cgroup);
	return runtime_refused(rt, what_create, message ? message : "", program, err);
}

/* The container's pid, or a negative errno. */
static pid_t await_conmon(const struct runtime *rt, pid_t conmon, const char *id, int sync,
			  int error, int bundle, struct cnm_error *err)
{
	struct strbuf b = { .s = NULL };
	_json_ json_t *answer = NULL;
	int r = read_answer(sync, conmon, id, &b);
	json_int_t pid;

	if (r == 0 && b.s)
		answer = json_loads(b.s, JSON_DISABLE_EOF_CHECK, NULL);
	strbuf_free(&b);
	if (r < 0)
		return cnm_error_errno(err, r, "%s: conmon and %s did not answer within %d s",
				       what_create, rt->name, CREATE_MS / 1000);
	pid = json_integer_value(json_object_get(answer, "data"));
	return pid > 0 && pid <= INT_MAX ? (pid_t)pid : explain(rt, answer, error, bundle, err);
}

static int undo(struct runtime *rt, const struct runtime_create *c, int bundle, pid_t conmon,
		int conmon_pidfd)
{
	const char *program, *cgroup;
	_json_ json_t *config = NULL;
	int status;

	if (conmon_pidfd >= 0)
		conmon_kill_tree(conmon, conmon_pidfd);
	else
		(void)kill(conmon, SIGKILL); /* a child, not yet waited for */
	(void)process_wait(conmon, &status);
	read_config(bundle, &config, &program, &cgroup);
	return runtime_delete(rt, c->id, c->bundle, cgroup, NULL);
}

/* With conmon started: wait for its answer and open what it tells. */
static int take_over(struct runtime *rt, const struct runtime_create *c, struct runtime_made *m,
		     int sync, int error, int bundle, struct cnm_error *err)
{
	pid_t pid;

	m->conmon_pidfd = process_open(m->conmon);
	if (m->conmon_pidfd < 0)
		return cnm_error_errno(err, m->conmon_pidfd, "%s: watch conmon", what_create);
	pid = await_conmon(rt, m->conmon, c->id, sync, error, bundle, err);
	if (pid < 0)
		return pid;
	m->pid = pid;
	m->pidfd = conmon_open_child(pid, m->conmon);
	if (m->pidfd < 0)
		return cnm_error_errno(err, m->pidfd, "%s: its process %d ended at once",
				       what_create, (int)pid);
	return 0;
}

static int make_pipe(int *reader, int *writer, int flags)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC | flags) < 0)
		return -errno;
	*reader = p[0];
	*writer = p[1];
	return 0;
}

/* Under the bundle's lock, which the child has until it is executed. */
static pid_t launch(const struct runtime *rt, const struct runtime_create *c, int bundle, int sync,
		    int error, struct cnm_error *err)
{
	_close_ int lock = bundle_lock(c->bundle);

	if (lock < 0)
		return cnm_error_errno(err, lock, "%s: lock its bundle %s", what_create, c->bundle);
	clear_bundle(bundle);
	return start_conmon(rt, c, sync, error, err);
}

static int create(struct runtime *rt, const struct runtime_create *c, int bundle,
		  struct runtime_made *ret, struct cnm_error *err)
{
	struct runtime_made m = { .pidfd = -1, .conmon_pidfd = -1 };
	_close_ int sync = -1, error = -1, sync_end = -1, error_end = -1;
	int r = make_pipe(&sync, &sync_end, 0);

	if (r == 0)
		r = make_pipe(&error, &error_end, O_NONBLOCK);
	if (r < 0)
		return cnm_error_errno(err, r, "%s: make a pipe", what_create);
	r = m.conmon = launch(rt, c, bundle, sync_end, error_end, err);
	close_fd(&sync_end);
	close_fd(&error_end);
	if (r < 0)
		return r;
	r = take_over(rt, c, &m, sync, error, bundle, err);
	if (r < 0) {
		(void)undo(rt, c, bundle, m.conmon, m.conmon_pidfd);
		close_fd(&m.conmon_pidfd);
		return r;
	}
	process_forget(m.conmon); /* a stray from now on: its pidfd tells its end */
	*ret = m;
	return 0;
}

int runtime_create(struct runtime *rt, const struct runtime_create *c, struct runtime_made *ret,
		   struct cnm_error *err)
{
	_close_ int bundle = -1;
	int r = runtime_check(rt, err);

	if (r < 0)
		return r;
	bundle = bundle_open(c->bundle);
	if (bundle < 0)
		return cnm_error_errno(err, bundle, "%s: open its bundle %s", what_create,
				       c->bundle);
	return create(rt, c, bundle, ret, err);
}
