/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm start` and `cnm attach`. */
#include "cnm/cmd_container.h"

#include <stdio.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/attach.h"
#include "cnm/output.h"
#include "cnm/session.h"

int container_fetch(const struct client *client, const char *ref, json_t **ret,
		    struct cnm_error *err)
{
	_free_ char *path = api_path(api_container.collection, ref, api_container.verb, NULL);

	return path ? client_call_json(client, "GET", path, NULL, ret, err) : api_oom(err);
}

static bool is_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

/* From attached to the end; an exit code. detached: what being detached exits with. */
static int stay(struct attach *a, const json_t *container, bool want_input, int detached)
{
	const json_t *config = json_object_get(container, "Config");
	struct attach_end end = { 0 };
	struct cnm_error err = { 0 };
	int r;

	a->in = want_input && is_true(config, "OpenStdin");
	a->out = a->err = true;
	a->terminal = is_true(config, "Tty");
	a->sig_proxy = a->sig_proxy && !a->terminal;
	r = session_check_input(a->in, a->terminal, &err);
	if (r == 0)
		r = attach_run(a, &end, &err);
	if (r < 0)
		return api_fail(&err);
	return end.detached ? detached : end.code;
}

/* ---- start */

static int start_attached(const struct client *client, const char *ref, bool input,
			  const char *detach_keys)
{
	_json_ json_t *container = NULL;
	struct cnm_error err = { 0 };
	struct attach a = {
		.client = client, .sig_proxy = true, .detach_keys = detach_keys, .start = true
	};

	if (container_fetch(client, ref, &container, &err) < 0)
		return api_fail(&err);
	a.id = output_string(container, "Id");
	a.condition = is_true(json_object_get(container, "HostConfig"), "AutoRemove") ? "removed"
										      : "next-exit";
	return stay(&a, container, input, EXIT_OK);
}

int container_start(const struct command *self, const struct client *client, struct args args)
{
	bool attach = false, interactive = false;
	const char *detach_keys = NULL;
	const struct cli_option options[] = {
		{ 'a', OPTION_FLAG, "attach", &attach, NULL,
		  "Attach STDOUT/STDERR and forward signals" },
		{ 0, OPTION_STRING, "detach-keys", &detach_keys, "string",
		  "Override the key sequence for detaching a container" },
		{ 'i', OPTION_FLAG, "interactive", &interactive, NULL, "Attach container's STDIN" },
		{ 0 },
	};
	const struct api_each e = { .kind = &api_container, .method = "POST", .verb = "start" };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (!attach && !interactive)
		return api_each(client, &e, args);
	if (args.n > 1) {
		fprintf(stderr, "you cannot start and attach multiple containers at once\n");
		return EXIT_ERROR;
	}
	return start_attached(client, args.v[0], interactive, detach_keys);
}

/* ---- attach */

static int check_attachable(const json_t *state, struct cnm_error *err)
{
	if (!is_true(state, "Running"))
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "cannot attach to a stopped container, start it first");
	if (is_true(state, "Paused"))
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "cannot attach to a paused container, unpause it first");
	if (is_true(state, "Restarting"))
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "cannot attach to a restarting container, wait until it is "
				     "running");
	return 0;
}

int container_attach(const struct command *self, const struct client *client, struct args args)
{
	bool no_stdin = false;
	struct attach a = { .client = client, .sig_proxy = true, .condition = "not-running" };
	const struct cli_option options[] = {
		{ 0, OPTION_STRING, "detach-keys", &a.detach_keys, "string",
		  "Override the key sequence for detaching a container" },
		{ 0, OPTION_FLAG, "no-stdin", &no_stdin, NULL, "Do not attach STDIN" },
		{ 0, OPTION_FLAG, "sig-proxy", &a.sig_proxy, NULL,
		  "Proxy all received signals to the process (default true)" },
		{ 0 },
	};
	_json_ json_t *container = NULL;
	struct cnm_error err = { 0 };
	int code;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (container_fetch(client, args.v[0], &container, &err) < 0 ||
	    check_attachable(json_object_get(container, "State"), &err) < 0)
		return api_fail(&err);
	a.id = output_string(container, "Id");
	code = stay(&a, container, !no_stdin, -1);
	if (code >= 0)
		return code;
	fprintf(stderr, "read escape sequence\n");
	return EXIT_ERROR;
}
