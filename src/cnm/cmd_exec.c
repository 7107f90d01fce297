/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm exec`: another process in a running container. */
#include "cnm/cmd_container.h"

#include <errno.h>
#include <stdio.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/env.h"
#include "cnm/output.h"
#include "cnm/session.h"
#include "cnm/strv.h"
#include "cnm/tty.h"

struct exec {
	bool detach, interactive, tty, privileged;
	const char *user, *workdir, *detach_keys;
	struct strv env, env_files;
};

static void exec_free(struct exec *x)
{
	strv_free(&x->env);
	strv_free(&x->env_files);
}

/* The terminal is as large as ours from its first moment. */
static int put_size(json_t *body, bool terminal)
{
	unsigned rows, columns;

	if (!terminal || !tty_size(&rows, &columns))
		return 0;
	return json_put(body, "ConsoleSize", json_pack("[i,i]", (int)rows, (int)columns));
}

static json_t *create_body(const struct exec *x, struct args command, struct cnm_error *err)
{
	const struct strv words = { command.v, command.n };
	_strv_ struct strv env = { 0 };
	_json_ json_t *body = NULL;

	if (env_collect(&x->env, &x->env_files, &env, err) < 0)
		return NULL;
	body = json_pack("{s:b s:b s:b s:b s:b s:o s:o s:s s:s s:s}", "AttachStdin",
			 x->interactive && !x->detach, "AttachStdout", !x->detach, "AttachStderr",
			 !x->detach, "Tty", x->tty, "Privileged", x->privileged, "Cmd",
			 strv_json(&words), "Env", strv_json(&env), "User", x->user ? x->user : "",
			 "WorkingDir", x->workdir ? x->workdir : "", "DetachKeys",
			 x->detach_keys ? x->detach_keys : "");
	if (body && put_size(body, x->tty) == 0)
		return take_ptr(body);
	cnm_error_set(err, CNM_E_INVALID, "a word is not valid UTF-8, or memory ran out");
	return NULL;
}

/* *ret is the answer, which has the Id. */
static int create(const struct client *client, const struct exec *x, const char *ref,
		  struct args command, json_t **ret, struct cnm_error *err)
{
	_free_ char *path = api_path(api_container.collection, ref, "exec", NULL);
	_json_ json_t *body = create_body(x, command, err);

	if (!body)
		return -EINVAL;
	return path ? client_call_json(client, "POST", path, body, ret, err) : api_oom(err);
}

/* detach: the connection is not kept. */
static int start(const struct client *client, const struct exec *x, const char *id,
		 struct client_hijacked *ret, struct cnm_error *err)
{
	_free_ char *path = api_path("/exec", id, "start", NULL);
	_json_ json_t *body = json_pack("{s:b s:b}", "Detach", x->detach, "Tty", x->tty);

	if (!path || !body || put_size(body, x->tty) < 0)
		return api_oom(err);
	if (x->detach)
		return api_do(client, "POST", path, body, false, err);
	return client_hijack(client, path, body, ret, err);
}

static int exit_code(const struct client *client, const char *id)
{
	struct cnm_error err = { 0 };
	_json_ json_t *answer = NULL;
	_free_ char *path = api_path("/exec", id, "json", NULL);
	int r = path ? client_call_json(client, "GET", path, NULL, &answer, &err) : api_oom(&err);

	return r < 0 ? api_fail(&err)
		     : (int)json_integer_value(json_object_get(answer, "ExitCode"));
}

static int stay(const struct client *client, const struct exec *x, const char *id,
		struct client_hijacked *connection)
{
	const struct session s = { .client = client,
				   .collection = "/exec",
				   .id = id,
				   .in = x->interactive,
				   .out = true,
				   .terminal = x->tty,
				   .detach_keys = x->detach_keys };
	struct cnm_error err = { 0 };
	bool detached = false;

	if (session_run(&s, connection, NULL, &detached, &err) < 0)
		return api_fail(&err);
	if (!detached)
		return exit_code(client, id);
	fprintf(stderr, "read escape sequence\n");
	return EXIT_ERROR;
}

static int run(const struct client *client, const struct exec *x, struct args args)
{
	_cleanup_(client_hijacked_free) struct client_hijacked connection = { .fd = -1 };
	const struct args command = { args.v + 1, args.n - 1, 0 };
	_json_ json_t *answer = NULL;
	struct cnm_error err = { 0 };
	const char *id;
	int code;

	if (session_check_input(x->interactive && !x->detach, x->tty, &err) < 0 ||
	    create(client, x, args.v[0], command, &answer, &err) < 0)
		return api_fail(&err);
	id = output_string(answer, "Id");
	if (start(client, x, id, &connection, &err) < 0) {
		api_fail(&err);
		code = container_failure_code(&err);
		return code == EXIT_USAGE ? EXIT_ERROR : code;
	}
	return x->detach ? EXIT_OK : stay(client, x, id, &connection);
}

int container_exec(const struct command *self, const struct client *client, struct args args)
{
	_cleanup_(exec_free) struct exec x = { 0 };
	const struct cli_option options[] = {
		{ 'd', OPTION_FLAG, "detach", &x.detach, NULL,
		  "Detached mode: run command in the background" },
		{ 0, OPTION_STRING, "detach-keys", &x.detach_keys, "string",
		  "Override the key sequence for detaching a container" },
		{ 'e', OPTION_LIST, "env", &x.env, "list", "Set environment variables" },
		{ 0, OPTION_LIST, "env-file", &x.env_files, "list",
		  "Read in a file of environment variables" },
		{ 'i', OPTION_FLAG, "interactive", &x.interactive, NULL,
		  "Keep STDIN open even if not attached" },
		{ 0, OPTION_FLAG, "privileged", &x.privileged, NULL,
		  "Give extended privileges to the command" },
		{ 't', OPTION_FLAG, "tty", &x.tty, NULL, "Allocate a pseudo-TTY" },
		{ 'u', OPTION_STRING, "user", &x.user, "string",
		  "Username or UID (format: \"<name|uid>[:<group|gid>]\")" },
		{ 'w', OPTION_STRING, "workdir", &x.workdir, "string",
		  "Working directory inside the container" },
		{ 0 },
	};

	if (!options_parse(self, options, &args))
		return args.exit_code;
	return run(client, &x, args);
}
