/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm image pull|load|save|import`: images on their way. */
#include "cnm/cmd_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/demux.h"
#include "cnm/pull.h"

int image_pull_command(const struct command *self, const struct client *client, struct args args)
{
	bool quiet = false;
	const struct cli_option options[] = {
		{ 'q', OPTION_FLAG, "quiet", &quiet, NULL, "Suppress verbose output" },
		{ 0 },
	};
	struct cnm_error err = { 0 };
	const char *tag;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	image_ref_split(args.v[0], &tag);
	if (!tag && !quiet)
		printf("Using default tag: latest\n");
	if (image_pull(client, args.v[0], quiet ? NULL : stdout, &err) < 0)
		return api_fail(&err);
	image_ref_print(args.v[0], stdout);
	return EXIT_OK;
}

/* ---- load and import: a file to the daemon */

/* path NULL or "-": standard input. *ret is the caller's to close. */
static int open_input(const char *path, int *ret, struct cnm_error *err)
{
	if (path && !streq(path, "-")) {
		*ret = open(path, O_RDONLY | O_CLOEXEC);
		return *ret < 0 ? cnm_error_errno(err, errno, "open %s", path) : 0;
	}
	if (isatty(STDIN_FILENO))
		return cnm_error_set(err, CNM_E_INVALID,
				     "requested load from stdin, but stdin is empty");
	*ret = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	return *ret < 0 ? cnm_error_errno(err, errno, "read standard input") : 0;
}

static int upload(const struct client *client, const char *input, const char *path, FILE *progress,
		  struct cnm_error *err)
{
	_close_ int fd = -1;
	struct client_lines lines = { "POST", path, -1, progress_line, progress };
	int r = open_input(input, &fd, err);

	lines.upload = fd;
	return r < 0 ? r : client_lines(client, &lines, err);
}

int image_load(const struct command *self, const struct client *client, struct args args)
{
	const char *input = NULL;
	bool quiet = false;
	const struct cli_option options[] = {
		{ 'i', OPTION_STRING, "input", &input, "string",
		  "Read from tar archive file, instead of STDIN" },
		{ 'q', OPTION_FLAG, "quiet", &quiet, NULL, "Suppress the load output" },
		{ 0 },
	};
	struct cnm_error err = { 0 };

	if (!options_parse(self, options, &args))
		return args.exit_code;
	return upload(client, input, quiet ? "/images/load?quiet=1" : "/images/load?quiet=0",
		      stdout, &err) < 0
		       ? api_fail(&err)
		       : EXIT_OK;
}

int image_import(const struct command *self, const struct client *client, struct args args)
{
	_strv_ struct strv changes = { 0 };
	const char *message = NULL;
	const struct cli_option options[] = {
		{ 'c', OPTION_LIST, "change", &changes, "list",
		  "Apply Dockerfile instruction to the created image" },
		{ 'm', OPTION_STRING, "message", &message, "string",
		  "Set commit message for imported image" },
		{ 0 },
	};
	_cleanup_(strbuf_free) struct strbuf path = { 0 };
	struct cnm_error err = { 0 };
	int r;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	strbuf_add(&path, "/images/create?fromSrc=-");
	api_add_query(&path, "repo", args.n > 1 ? args.v[1] : NULL);
	api_add_query(&path, "message", message);
	for (size_t i = 0; i < changes.n; i++)
		api_add_query(&path, "changes", changes.v[i]);
	r = path.failed ? api_oom(&err) : upload(client, args.v[0], path.s, stdout, &err);
	return r < 0 ? api_fail(&err) : EXIT_OK;
}

/* ---- save: from the daemon to a file */

static int deliver_to_fd(const char *data, size_t n, void *arg, struct cnm_error *err)
{
	return write_all(*(const int *)arg, data, n, err);
}

static int save_to_fd(const struct client *client, struct args refs, int fd, struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf path = { 0 };
	struct client_transfer t = { "GET", NULL, -1, deliver_to_fd, &fd };

	strbuf_add(&path, "/images/get");
	for (size_t i = 0; i < refs.n; i++)
		api_add_query(&path, "names", refs.v[i]);
	t.path = path.s;
	return path.failed ? api_oom(err) : client_transfer(client, &t, err);
}

/* The file has its name once it is whole: an archive cut short is none. */
static int save_to_file(const struct client *client, struct args refs, const char *output,
			struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf part = { 0 };
	_close_ int fd = -1;
	int r;

	strbuf_addf(&part, "%s.part.%ld", output, (long)getpid());
	if (part.failed)
		return api_oom(err);
	fd = open(part.s, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return cnm_error_errno(err, errno, "create %s", part.s);
	r = save_to_fd(client, refs, fd, err);
	if (r == 0 && rename(part.s, output) < 0)
		r = cnm_error_errno(err, errno, "write %s", output);
	if (r < 0)
		unlink(part.s);
	return r;
}

int image_save(const struct command *self, const struct client *client, struct args args)
{
	const char *output = NULL;
	const struct cli_option options[] = {
		{ 'o', OPTION_STRING, "output", &output, "string",
		  "Write to a file, instead of STDOUT" },
		{ 0 },
	};
	struct cnm_error err = { 0 };
	int r;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (output)
		r = save_to_file(client, args, output, &err);
	else if (isatty(STDOUT_FILENO))
		r = cnm_error_set(&err, CNM_E_INVALID,
				  "cowardly refusing to save to a terminal. Use the -o flag or "
				  "redirect");
	else
		r = save_to_fd(client, args, STDOUT_FILENO, &err);
	return r < 0 ? api_fail(&err) : EXIT_OK;
}
