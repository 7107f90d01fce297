/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm run` and `cnm create`. */
#include "cnm/cmd_container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/attach.h"
#include "cnm/output.h"
#include "cnm/pull.h"
#include "cnm/run_options.h"
#include "cnm/session.h"

int container_failure_code(const struct cnm_error *err)
{
	if (strstr(err->text, "executable file not found") ||
	    strstr(err->text, "no such file or directory"))
		return EXIT_NO_COMMAND;
	if (strstr(err->text, "permission denied") || strstr(err->text, "is a directory"))
		return EXIT_CANNOT_RUN;
	return EXIT_USAGE;
}

/* As Docker's command says it, with a hint. */
static int fail(const struct command *cmd, const struct cnm_error *err)
{
	char path[64];

	fprintf(stderr, "cnm: %s\n\nRun '%s --help' for more information\n", err->text,
		command_path(cmd, path));
	return container_failure_code(err);
}

/* ---- the file of the id */

/* It is made before the container: a second one would not be known by it. */
static int open_cidfile(const char *path, int *ret_fd, struct cnm_error *err)
{
	if (!path)
		return 0;
	*ret_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (*ret_fd < 0 && errno == EEXIST)
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "container ID file found, make sure the other container isn't "
				     "running or delete %s",
				     path);
	return *ret_fd < 0 ? cnm_error_errno(err, errno, "create the container ID file %s", path)
			   : 0;
}

static int write_cidfile(const char *path, int fd, const char *id, struct cnm_error *err)
{
	if (fd >= 0 && write(fd, id, strlen(id)) != (ssize_t)strlen(id))
		return cnm_error_errno(err, errno, "write the container ID file %s", path);
	return 0;
}

/* ---- create */

static int post_create(const struct client *client, const struct run_options *o, const json_t *body,
		       json_t **ret, struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf path = { 0 };

	strbuf_add(&path, "/containers/create");
	api_add_query(&path, "name", o->name);
	return path.failed ? api_oom(err)
			   : client_call_json(client, "POST", path.s, body, ret, err);
}

static bool is_missing(const struct cnm_error *err)
{
	return err->class == CNM_E_NOT_FOUND && strcasestr(err->text, "no such image");
}

/* Create it; with its image missing, pull that and try again. */
static int create_or_pull(const struct client *client, const struct run_options *o,
			  const json_t *body, json_t **ret, struct cnm_error *err)
{
	const char *image = output_string(body, "Image"), *tag;
	struct cnm_error first = { 0 };
	int r = 0;

	if (streq(o->pull, "always"))
		r = image_pull(client, image, stderr, err);
	if (r == 0)
		r = post_create(client, o, body, ret, &first);
	if (r == 0 || *err->text)
		return r;
	if (!streq(o->pull, "missing") || !is_missing(&first)) {
		*err = first;
		return r;
	}
	image_ref_split(image, &tag);
	fprintf(stderr, "Unable to find image '%s%s' locally\n", image, tag ? "" : ":latest");
	r = image_pull(client, image, stderr, err);
	return r < 0 ? r : post_create(client, o, body, ret, err);
}

static int create_with_file(const struct client *client, const struct run_options *o,
			    const json_t *body, json_t **ret, struct cnm_error *err)
{
	_close_ int fd = -1;
	int r = open_cidfile(o->cidfile, &fd, err);

	if (r < 0)
		return r;
	r = create_or_pull(client, o, body, ret, err);
	if (r == 0)
		return write_cidfile(o->cidfile, fd, output_string(*ret, "Id"), err);
	if (fd >= 0)
		unlink(o->cidfile);
	return r;
}

static void print_warnings(const json_t *answer)
{
	const json_t *w;
	size_t i;

	json_array_foreach (json_object_get(answer, "Warnings"), i, w)
		fprintf(stderr, "WARNING: %s\n", json_string_value(w));
}

static int create(const struct client *client, struct run_options *o, struct args words,
		  json_t **ret, struct cnm_error *err)
{
	_json_ json_t *body = run_options_body(o, words, err);
	int r;

	if (!body)
		return -EINVAL;
	if (!streq(o->pull, "always") && !streq(o->pull, "missing") && !streq(o->pull, "never"))
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid pull option: '%s': must be one of \"always\", "
				     "\"missing\" or \"never\"",
				     o->pull);
	r = create_with_file(client, o, body, ret, err);
	if (r == 0)
		print_warnings(*ret);
	return r;
}

int container_create(const struct command *self, const struct client *client, struct args args)
{
	_cleanup_(run_options_free) struct run_options o;
	struct cli_option options[RUN_OPTIONS_ALL];
	_json_ json_t *answer = NULL;
	struct cnm_error err = { 0 };

	run_options_init(&o);
	run_options_table(&o, options);
	if (!options_parse(self, options + RUN_OPTIONS_OWN, &args))
		return args.exit_code;
	if (create(client, &o, args, &answer, &err) < 0) {
		fail(self, &err);
		return EXIT_ERROR;
	}
	printf("%s\n", output_string(answer, "Id"));
	return EXIT_OK;
}

/* ---- run */

static int run_attached(const struct command *self, const struct client *client,
			const struct run_options *o, const struct run_attach *to, const char *id)
{
	const struct attach a = { .client = client,
				  .id = id,
				  .in = to->in,
				  .out = to->out,
				  .err = to->err,
				  .terminal = o->tty,
				  .sig_proxy = o->sig_proxy && !o->tty,
				  .detach_keys = o->detach_keys,
				  .condition = o->remove ? "removed" : "next-exit",
				  .start = true };
	struct attach_end end = { 0 };
	struct cnm_error err = { 0 };

	if (attach_run(&a, &end, &err) == 0) {
		if (!to->out && !to->err)
			printf("%s\n", id);
		return end.detached ? EXIT_OK : end.code;
	}
	if (!end.started)
		return fail(self, &err);
	api_fail(&err);
	return EXIT_USAGE;
}

/* Nothing to see of it: its id is printed, and that is all. */
static int run_detached(const struct command *self, const struct client *client, const char *id)
{
	struct cnm_error err = { 0 };
	_free_ char *path = api_path(api_container.collection, id, "start", NULL);
	int r = path ? api_do(client, "POST", path, NULL, false, &err) : api_oom(&err);

	if (r < 0)
		return fail(self, &err);
	printf("%s\n", id);
	return EXIT_OK;
}

static int run(const struct command *self, const struct client *client, struct run_options *o,
	       struct args words)
{
	_json_ json_t *answer = NULL;
	struct cnm_error err = { 0 };
	struct run_attach to = { 0 };
	const char *id;

	if (run_options_attach(o, &to, &err) < 0)
		return fail(self, &err);
	if (session_check_input(to.in, o->tty, &err) < 0)
		return api_fail(&err);
	if (create(client, o, words, &answer, &err) < 0)
		return fail(self, &err);
	id = output_string(answer, "Id");
	if (!to.in && !to.out && !to.err)
		return run_detached(self, client, id);
	return run_attached(self, client, o, &to, id);
}

int container_run(const struct command *self, const struct client *client, struct args args)
{
	_cleanup_(run_options_free) struct run_options o;
	struct cli_option options[RUN_OPTIONS_ALL];

	run_options_init(&o);
	run_options_table(&o, options);
	if (!options_parse(self, options, &args))
		return args.exit_code;
	return run(self, client, &o, args);
}
