/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm container ...`, whose commands also stand alone: those that are a request or two. */
#include "cnm/cmd_container.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"

#define TOP_COLUMN_MIN 20 /* as Docker's */

/* ---- stop, restart, kill, rm */

/* "a=1&b=2" is kept without the '?' that begins a path's query. */
static const char *query_of(const struct strbuf *b)
{
	return b->len ? b->s + 1 : NULL;
}

static int each(const struct client *client, const char *method, const char *verb,
		const struct strbuf *query, bool force, struct args refs)
{
	const struct api_each e = { .kind = &api_container,
				    .method = method,
				    .verb = verb,
				    .query = query_of(query),
				    .force = force,
				    .tell_absent = true };
	struct cnm_error err = { 0 };

	if (!query->failed)
		return api_each(client, &e, refs);
	api_oom(&err);
	return api_fail(&err);
}

static int stop_or_restart(const struct command *self, const struct client *client,
			   struct args args)
{
	const char *signal = NULL, *seconds = NULL;
	const struct cli_option options[] = {
		{ 's', OPTION_STRING, "signal", &signal, "string",
		  "Signal to send to the container" },
		{ 0, OPTION_STRING, "time", &seconds, "int", "The same as --timeout" },
		{ 't', OPTION_STRING, "timeout", &seconds, "int",
		  "Seconds to wait before killing the container" },
		{ 0 },
	};
	_cleanup_(strbuf_free) struct strbuf query = { 0 };
	long n;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (seconds && str_to_long(seconds, -1, INT_MAX, &n) < 0)
		return usage_error(self,
				   "invalid argument \"%s\" for \"-t, --timeout\" flag: not a "
				   "whole number of seconds (-1: for ever)",
				   seconds);
	api_add_query(&query, "signal", signal);
	api_add_query(&query, "t", seconds);
	return each(client, "POST", self->name, &query, false, args);
}

static int container_kill(const struct command *self, const struct client *client, struct args args)
{
	const char *signal = NULL;
	const struct cli_option options[] = {
		{ 's', OPTION_STRING, "signal", &signal, "string",
		  "Signal to send to the container" },
		{ 0 },
	};
	_cleanup_(strbuf_free) struct strbuf query = { 0 };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	api_add_query(&query, "signal", signal);
	return each(client, "POST", "kill", &query, false, args);
}

static int container_rm(const struct command *self, const struct client *client, struct args args)
{
	bool force = false, volumes = false;
	const struct cli_option options[] = {
		{ 'f', OPTION_FLAG, "force", &force, NULL,
		  "Force the removal of a running container (uses SIGKILL)" },
		{ 'v', OPTION_FLAG, "volumes", &volumes, NULL,
		  "Remove anonymous volumes associated with the container" },
		{ 0 },
	};
	_cleanup_(strbuf_free) struct strbuf query = { 0 };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	api_add_query(&query, "force", force ? "1" : NULL);
	api_add_query(&query, "v", volumes ? "1" : NULL);
	return each(client, "DELETE", NULL, &query, force, args);
}

/* ---- rename, wait */

static int container_rename(const struct command *self, const struct client *client,
			    struct args args)
{
	const struct cli_option options[] = { { 0 } };
	_cleanup_(strbuf_free) struct strbuf path = { 0 };
	struct cnm_error err = { 0 };
	_free_ char *base = NULL;
	int r;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	base = api_path(api_container.collection, args.v[0], "rename", NULL);
	strbuf_add(&path, base ? base : "");
	api_add_query(&path, "name", args.v[1]);
	r = base && !path.failed ? api_do(client, "POST", path.s, NULL, false, &err)
				 : api_oom(&err);
	return r < 0 ? api_fail(&err) : EXIT_OK;
}

static int wait_for(const struct client *client, const char *ref, struct cnm_error *err)
{
	_free_ char *path = api_path(api_container.collection, ref, "wait", NULL);
	_json_ json_t *answer = NULL;
	int r = path ? client_call_json(client, "POST", path, NULL, &answer, err) : api_oom(err);

	if (r < 0)
		return r;
	printf("%" JSON_INTEGER_FORMAT "\n",
	       json_integer_value(json_object_get(answer, "StatusCode")));
	fflush(stdout);
	return 0;
}

static int container_wait(const struct command *self, const struct client *client, struct args args)
{
	const struct cli_option options[] = { { 0 } };
	int code = EXIT_OK;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	for (size_t i = 0; i < args.n; i++) {
		struct cnm_error err = { 0 };

		if (wait_for(client, args.v[i], &err) < 0)
			code = api_fail(&err);
	}
	return code;
}

/* ---- top */

static void add_cells(struct strbuf *b, const json_t *cells)
{
	const json_t *cell;
	size_t i;

	json_array_foreach (cells, i, cell)
		strbuf_addf(b, "%s%s", i ? "\t" : "", json_string_value(cell));
	strbuf_add(b, "\n");
}

static int print_top(const json_t *answer, struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf b = { 0 };
	const json_t *row;
	size_t i;

	add_cells(&b, json_object_get(answer, "Titles"));
	json_array_foreach (json_object_get(answer, "Processes"), i, row)
		add_cells(&b, row);
	if (b.failed)
		return api_oom(err);
	table_print_columns(b.s, TOP_COLUMN_MIN);
	return 0;
}

/* The options of ps, put together as the daemon takes them apart. */
static char *top_path(struct args args)
{
	_cleanup_(strbuf_free) struct strbuf path = { 0 }, ps = { 0 };
	_free_ char *base = api_path(api_container.collection, args.v[0], "top", NULL);

	for (size_t i = 1; i < args.n; i++)
		strbuf_addf(&ps, "%s%s", i > 1 ? " " : "", args.v[i]);
	if (!base || ps.failed)
		return NULL;
	strbuf_add(&path, base);
	api_add_query(&path, "ps_args", ps.s);
	return strbuf_take(&path);
}

static int container_top(const struct command *self, const struct client *client, struct args args)
{
	const struct cli_option options[] = { { 0 } };
	struct cnm_error err = { 0 };
	_json_ json_t *answer = NULL;
	_free_ char *path = NULL;
	int r;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	path = top_path(args);
	r = path ? client_call_json(client, "GET", path, NULL, &answer, &err) : api_oom(&err);
	if (r == 0)
		r = print_top(answer, &err);
	return r < 0 ? api_fail(&err) : EXIT_OK;
}

static int container_inspect(const struct command *self, const struct client *client,
			     struct args args)
{
	return api_inspect_command(self, client, &api_container, args);
}

const struct command container_commands[] = {
	{ "container", "attach", NULL, "[OPTIONS] CONTAINER",
	  "Attach local standard input, output, and error streams to a running container", 1, 1,
	  false, container_attach },
	{ "container", "create", NULL, "[OPTIONS] IMAGE [COMMAND] [ARG...]",
	  "Create a new container", 1, ARGS_ANY, true, container_create },
	{ "container", "exec", NULL, "[OPTIONS] CONTAINER COMMAND [ARG...]",
	  "Execute a command in a running container", 2, ARGS_ANY, true, container_exec },
	{ "container", "inspect", NULL, "[OPTIONS] CONTAINER [CONTAINER...]",
	  "Display detailed information on one or more containers", 1, ARGS_ANY, false,
	  container_inspect },
	{ "container", "kill", NULL, "[OPTIONS] CONTAINER [CONTAINER...]",
	  "Kill one or more running containers", 1, ARGS_ANY, false, container_kill },
	{ "container", "logs", NULL, "[OPTIONS] CONTAINER", "Fetch the logs of a container", 1, 1,
	  false, container_logs },
	{ "container", "ls", "ps", "[OPTIONS]", "List containers", 0, 0, false, container_ls },
	{ "container", "port", NULL, "CONTAINER [PRIVATE_PORT[/PROTO]]",
	  "List port mappings or a specific mapping for the container", 1, 2, false,
	  container_port },
	{ "container", "rename", NULL, "CONTAINER NEW_NAME", "Rename a container", 2, 2, false,
	  container_rename },
	{ "container", "restart", NULL, "[OPTIONS] CONTAINER [CONTAINER...]",
	  "Restart one or more containers", 1, ARGS_ANY, false, stop_or_restart },
	{ "container", "rm", "remove", "[OPTIONS] CONTAINER [CONTAINER...]",
	  "Remove one or more containers", 1, ARGS_ANY, false, container_rm },
	{ "container", "run", NULL, "[OPTIONS] IMAGE [COMMAND] [ARG...]",
	  "Create and run a new container from an image", 1, ARGS_ANY, true, container_run },
	{ "container", "start", NULL, "[OPTIONS] CONTAINER [CONTAINER...]",
	  "Start one or more stopped containers", 1, ARGS_ANY, false, container_start },
	{ "container", "stop", NULL, "[OPTIONS] CONTAINER [CONTAINER...]",
	  "Stop one or more running containers", 1, ARGS_ANY, false, stop_or_restart },
	{ "container", "top", NULL, "CONTAINER [ps OPTIONS]",
	  "Display the running processes of a container", 1, ARGS_ANY, true, container_top },
	{ "container", "wait", NULL, "CONTAINER [CONTAINER...]",
	  "Block until one or more containers stop, then print their exit codes", 1, ARGS_ANY,
	  false, container_wait },
	{ 0 },
};
