/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Executions: further processes in a running container. They are children of the daemon; their
 * stdio is relayed from pipes or a terminal, and ends with the client that attached. They are not
 * kept over a restart of the daemon, as in Docker.
 *
 * An execution is created, started once, and remembered for inspect until its container's run ends,
 * or ten minutes after its own end. `users` keeps it in memory while somebody works with it without
 * the lock; the monitor's epoll holds it as long as its pidfd is open.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "containers/container.h"
#include "containers/process.h"
#include "containers/rootfs.h"

#define REMEMBERED (600 * 1000000000ull)

struct exec {
	enum watched watched;
	char id[ID_SIZE], container[ID_SIZE];
	json_t *config; /* as exec_config_decode() gave it */
	unsigned users;
	bool started, running, gone; /* gone: out of the table, freed by the last user */
	int exit_code;
	uint64_t ended; /* monotonic */
	pid_t pid;
	int pidfd;
	int terminal, in, out, err; /* until a client is attached; -1 */
	struct relay_session *session;
};

/* ---- the table; lock held */

static void exec_free(struct exec *x)
{
	close_fd(&x->pidfd);
	close_fd(&x->terminal);
	close_fd(&x->in);
	close_fd(&x->out);
	close_fd(&x->err);
	relay_release(x->session);
	json_decref(x->config);
	free(x);
}

static void forget(struct containers *cs, struct exec *x)
{
	map_del(&cs->execs, x->id);
	x->gone = true;
	if (!x->users)
		exec_free(x);
}

static void leave(struct exec *x)
{
	x->users--;
	if (x->gone && !x->users)
		exec_free(x);
}

static bool is_forgettable(const struct exec *x)
{
	return !x->running && x->ended && clock_mono_ns() - x->ended > REMEMBERED;
}

static void forget_old(struct containers *cs)
{
	size_t pos = 0;
	struct exec *x;

	while ((x = map_next(&cs->execs, &pos)))
		if (is_forgettable(x))
			forget(cs, x);
}

/* One that still runs is forgotten when the monitor hears of its end. */
void container_end_execs(struct containers *cs, const char *id)
{
	size_t pos = 0;
	struct exec *x;

	while ((x = map_next(&cs->execs, &pos)))
		if (streq(x->container, id) && !x->running)
			forget(cs, x);
}

void containers_forget_execs(struct containers *cs)
{
	size_t pos = 0;
	struct exec *x;

	while ((x = map_next(&cs->execs, &pos))) {
		x->users = 0; /* the monitor has ended */
		forget(cs, x);
	}
	map_free(&cs->execs);
}

json_t *container_exec_ids(struct containers *cs, const char *id)
{
	json_t *ids = json_array();
	size_t pos = 0;
	struct exec *x;

	while ((x = map_next(&cs->execs, &pos)))
		if (streq(x->container, id) && (x->running || !x->started))
			json_push(ids, json_string(x->id));
	return ids;
}

static int find(struct containers *cs, const char *id, struct exec **ret, struct cnm_error *err)
{
	size_t pos = 0, len = strlen(id);
	struct exec *x;

	*ret = map_get(&cs->execs, id);
	while (!*ret && len >= ID_SHORT && (x = map_next(&cs->execs, &pos)))
		if (strncmp(x->id, id, len) == 0)
			*ret = x;
	return *ret ? 0 : cnm_error_set(err, CNM_E_NOT_FOUND, "No such exec instance: %s", id);
}

/* ---- create */

static int check_running(const struct container *c, struct cnm_error *err)
{
	if (c->state == CONTAINER_RUNNING)
		return 0;
	if (c->state == CONTAINER_RESTARTING)
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "Container %s is restarting, wait until the container is "
				     "running",
				     c->id);
	return cnm_error_set(err, CNM_E_CONFLICT, "container %s is not running", c->id);
}

static int enter(struct containers *cs, const struct container *c, json_t *config,
		 char ret_id[static ID_SIZE], struct cnm_error *err)
{
	struct exec *x = calloc(1, sizeof(*x));

	if (!x) {
		json_decref(config);
		return cnm_error_errno(err, ENOMEM, "create an execution");
	}
	x->watched = WATCHED_EXEC;
	x->config = config;
	x->pidfd = x->terminal = x->in = x->out = x->err = -1;
	id_new(x->id);
	memcpy(x->container, c->id, ID_SIZE);
	if (map_add(&cs->execs, x->id, x) < 0) {
		exec_free(x);
		return cnm_error_errno(err, ENOMEM, "create an execution");
	}
	memcpy(ret_id, x->id, ID_SIZE);
	return 0;
}

/* "exec_start: sh -c ..." */
static void exec_event(struct containers *cs, const struct exec *x, const char *what,
		       bool with_args)
{
	const struct container *c = container_by_id(cs, x->container);
	struct strbuf action = { 0 };
	json_t *word;
	size_t i;

	strbuf_addf(&action, "%s%s", what, with_args ? ":" : "");
	if (with_args)
		json_array_foreach (json_object_get(x->config, "Cmd"), i, word)
			strbuf_addf(&action, " %s", json_string_value(word));
	if (c && action.s)
		container_event(cs, c, action.s, json_pack("{s:s}", "execID", x->id));
	strbuf_free(&action);
}

int containers_exec_create(struct containers *cs, const char *ref, const json_t *body,
			   char ret_id[static ID_SIZE], struct cnm_error *err)
{
	struct container *c;
	json_t *config;
	int r;
	LOCKED(&cs->lock);

	forget_old(cs);
	r = container_find(cs, ref, &c, err);
	if (r == 0)
		r = check_running(c, err);
	if (r == 0)
		r = exec_config_decode(&config, body, err);
	if (r == 0)
		r = enter(cs, c, config, ret_id, err);
	if (r == 0)
		exec_event(cs, map_get(&cs->execs, ret_id), "exec_create", true);
	return r;
}

/* ---- start */

static bool flag(const struct exec *x, const char *key)
{
	return json_is_true(json_object_get(x->config, key));
}

/* Without the lock; c and x are held by `users`. */
static int run(struct containers *cs, const struct container *c, struct exec *x, bool detach,
	       struct runtime_executed *ret, struct cnm_error *err)
{
	char dir[CONTAINER_PATH + 32];
	_free_ char *process = NULL;
	struct spec_paths paths;
	struct spec_input in;
	int r = container_spec_input(cs, c, &paths, &in, err);

	if (detach) /* a terminal that nobody reads would stop it */
		json_object_set_new(x->config, "Tty", json_false());
	if (r == 0)
		r = spec_exec(&in, x->config, &process, err);
	if (r < 0)
		return r;
	container_bundle(cs, c->id, dir);
	snprintf(dir + strlen(dir), 32, "/exec-%.12s", x->id);
	if (mkdir(dir, 0700) < 0)
		return cnm_error_errno(err, errno, "make directory %s", dir);
	r = runtime_exec(cs->runtime,
			 &(struct runtime_exec){ .id = c->id,
						 .process = process,
						 .dir = dir,
						 .terminal = flag(x, "Tty"),
						 .no_stdio = detach },
			 ret, err);
	tree_remove(dir, NULL);
	return r;
}

/* Lock held: it runs. */
static int take_over(struct containers *cs, struct exec *x, const struct runtime_executed *made,
		     struct cnm_error *err)
{
	int r;

	x->pid = made->pid;
	x->pidfd = made->pidfd;
	x->terminal = made->terminal;
	x->in = made->in;
	x->out = made->out;
	x->err = made->err;
	x->running = true;
	x->users++; /* the monitor's */
	r = monitor_watch_exec(cs, x, x->pidfd);
	if (r == 0)
		return 0;
	x->users--;
	kill(x->pid, SIGKILL);
	return cnm_error_errno(err, r, "watch an execution");
}

static int check_start(struct containers *cs, const char *id, struct exec **x, struct container **c,
		       struct cnm_error *err)
{
	int r = find(cs, id, x, err);

	if (r < 0)
		return r;
	if ((*x)->started)
		return cnm_error_set(err, CNM_E_CONFLICT, "exec command %s is already running", id);
	*c = container_by_id(cs, (*x)->container);
	if (!*c)
		return cnm_error_set(err, CNM_E_NOT_FOUND, "No such exec instance: %s", id);
	return check_running(*c, err);
}

static void set_size(int terminal, unsigned rows, unsigned columns)
{
	struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };

	if (terminal >= 0 && rows && columns)
		ioctl(terminal, TIOCSWINSZ, &size);
}

int containers_exec_start(struct containers *cs, const char *id, bool detach, unsigned rows,
			  unsigned columns, bool *ret_terminal, struct cnm_error *err)
{
	struct runtime_executed made = { 0 };
	struct container *c = NULL;
	struct exec *x = NULL;
	int r;
	LOCKED(&cs->lock);

	r = check_start(cs, id, &x, &c, err);
	if (r < 0)
		return r;
	x->started = true;
	x->users++;
	c->users++;
	pthread_mutex_unlock(&cs->lock);
	r = run(cs, c, x, detach, &made, err);
	if (r == 0)
		set_size(made.terminal, rows, columns);
	pthread_mutex_lock(&cs->lock);
	if (r == 0)
		r = take_over(cs, x, &made, err);
	if (r == 0)
		exec_event(cs, x, "exec_start", true);
	if (r < 0)
		x->exit_code = strstr(err->text, "not found") || strstr(err->text, "no such file")
				       ? 127
				       : 126;
	*ret_terminal = flag(x, "Tty");
	c->users--;
	leave(x);
	pthread_cond_broadcast(&cs->changed);
	return r;
}

/* ---- attach */

/* The end of the process is what counts, not that of the client. */
static void session_ended(enum relay_end why, void *arg)
{
}

/* Without memory for a session the process hears it as a client that has gone. */
static void close_source(struct relay_source *source)
{
	close_fd(&source->terminal);
	close_fd(&source->in);
	close_fd(&source->out);
	close_fd(&source->err);
}

static void attach_session(struct containers *cs, struct exec *x, int fd, const char *early,
			   size_t n_early)
{
	struct relay_options options = { .client = fd,
					 .early = early,
					 .n_early = n_early,
					 .terminal = flag(x, "Tty"),
					 .in = flag(x, "AttachStdin"),
					 .out = flag(x, "AttachStdout"),
					 .err = flag(x, "AttachStderr"),
					 .ended = session_ended };
	struct relay_source source = { .packets = -1, .close_stdin = true };
	const char *keys = json_string_value(json_object_get(x->config, "DetachKeys"));

	detach_keys_parse(keys ? keys : "", options.detach, &options.n_detach, NULL);
	source.terminal = take_fd(&x->terminal);
	source.in = take_fd(&x->in);
	source.out = take_fd(&x->out);
	source.err = take_fd(&x->err);
	if (!options.in)
		close_fd(&source.in);
	x->session = relay_begin(cs->relay, &options);
	if (!x->session) {
		close_source(&source);
		return;
	}
	relay_connect(x->session, &source);
	if (!x->running)
		relay_finish(x->session);
}

void containers_exec_attach(struct containers *cs, const char *id, int fd, const char *early,
			    size_t n_early)
{
	struct exec *x;
	LOCKED(&cs->lock);

	x = map_get(&cs->execs, id);
	if (x && !x->session)
		attach_session(cs, x, fd, early, n_early);
	else
		close_fd(&fd);
}

/* ---- the end */

void container_exec_ended(struct containers *cs, void *exec)
{
	struct exec *x = exec;
	const struct container *c;
	char code[16];
	int status = 0;
	LOCKED(&cs->lock);

	process_wait(x->pid, &status); /* it has ended: this does not wait */
	x->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	x->running = false;
	x->ended = clock_mono_ns();
	close_fd(&x->pidfd);
	if (x->session)
		relay_finish(x->session);
	snprintf(code, sizeof(code), "%d", x->exit_code);
	c = container_by_id(cs, x->container);
	if (c)
		container_event(cs, c, "exec_die",
				json_pack("{s:s,s:s}", "execID", x->id, "exitCode", code));
	if (!x->gone && (!c || c->state != CONTAINER_RUNNING))
		forget(cs, x);
	leave(x);
}

/* ---- look, resize */

int containers_exec_resize(struct containers *cs, const char *id, unsigned rows, unsigned columns,
			   struct cnm_error *err)
{
	struct exec *x;
	int r;
	LOCKED(&cs->lock);

	r = find(cs, id, &x, err);
	if (r < 0)
		return r;
	if (!x->running)
		return cnm_error_set(err, CNM_E_CONFLICT, "exec command %s is not running", id);
	set_size(x->terminal, rows, columns);
	if (x->session)
		relay_resize(x->session, rows, columns);
	return 0;
}

static json_t *process_json(const struct exec *x)
{
	json_t *o = json_object(), *args = json_array(), *cmd = json_object_get(x->config, "Cmd"),
	       *v;
	const char *user = json_string_value(json_object_get(x->config, "User"));
	size_t i;

	json_array_foreach (cmd, i, v)
		if (i > 0)
			json_push(args, json_incref(v));
	json_put(o, "tty", json_boolean(flag(x, "Tty")));
	json_put(o, "entrypoint", json_incref(json_array_get(cmd, 0)));
	json_put(o, "arguments", args);
	json_put(o, "privileged", json_boolean(flag(x, "Privileged")));
	if (user && *user)
		json_put(o, "user", json_string(user));
	return o;
}

int containers_exec_inspect(struct containers *cs, const char *id, char **ret_json,
			    struct cnm_error *err)
{
	_json_ json_t *o = json_object();
	struct exec *x;
	int r;
	LOCKED(&cs->lock);

	r = find(cs, id, &x, err);
	if (r < 0)
		return r;
	json_put(o, "ID", json_string(x->id));
	json_put(o, "Running", json_boolean(x->running));
	json_put(o, "ExitCode",
		 x->running || !x->started ? json_null() : json_integer(x->exit_code));
	json_put(o, "ProcessConfig", process_json(x));
	json_put(o, "OpenStdin", json_boolean(flag(x, "AttachStdin")));
	json_put(o, "OpenStderr", json_boolean(flag(x, "AttachStderr")));
	json_put(o, "OpenStdout", json_boolean(flag(x, "AttachStdout")));
	json_put(o, "CanRemove", json_boolean(x->started && !x->running));
	json_put(o, "ContainerID", json_string(x->container));
	json_put(o, "DetachKeys", json_string(""));
	json_put(o, "Pid", json_integer(x->pid));
	*ret_json = json_text(o);
	return *ret_json ? 0 : cnm_error_errno(err, ENOMEM, "inspect execution %s", id);
}
