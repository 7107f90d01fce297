/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the commands share in talking to the daemon: paths, dry runs, lists, and loops over names.
 */
#ifndef CNM_API_H
#define CNM_API_H

#include <errno.h>
#include <stdbool.h>

#include "base/str.h"
#include "cnm/client.h"
#include "cnm/command.h"
#include "cnm/strv.h"
#include "cnm/table.h"

/* A kind of object: "/containers/REF/json" is where one of them is looked at. */
struct api_kind {
	const char *noun, *collection;
	const char *verb; /* or NULL */
};

extern const struct api_kind api_container, api_image, api_network, api_volume, api_sandbox,
	api_endpoint;

/*
 * "/collection/REF/verb?query" with REF escaped; verb and query may be NULL. NULL if memory ran
 * out.
 */
char *api_path(const char *collection, const char *ref, const char *verb, const char *query);
/*
 * Append "?key=value", or "&key=value" after a '?', with value escaped; nothing for NULL. A failure
 * shows in the path.
 */
void api_add_query(struct strbuf *path, const char *key, const char *value);
/* path, with "?filters=" and the object that OPTION_FILTER filled unless it is empty. */
char *api_path_filtered(const char *path, const json_t *filters);
/* Memory ran out. -ENOMEM. */
#define api_oom(err) cnm_error_errno(err, ENOMEM, "build the request")

/*
 * A changing request. With dry_run the plan is printed and *ret is NULL; else *ret is the answer
 * (NULL if it has none), which is the caller's.
 */
int api_change(const struct client *c, const char *method, const char *path, const json_t *body,
	       bool dry_run, json_t **ret, struct cnm_error *err);
/* A changing request whose answer is not of interest. */
int api_do(const struct client *c, const char *method, const char *path, const json_t *body,
	   bool dry_run, struct cnm_error *err);
/* POST, and print the Id of what was made (and a warning, if any, to stderr). An exit code. */
int api_create(const struct client *c, const char *path, const json_t *body, bool dry_run);

/* Print the error on stderr. EXIT_ERROR. */
int api_fail(const struct cnm_error *err);

/* POST collection/REF/verb, body NULL: memory ran out. An exit code. */
int api_post(const struct client *c, const char *collection, const char *ref, const char *verb,
	     const json_t *body, bool dry_run);

/*
 * METHOD kind/REF/verb?query for each of refs, verb and query may be NULL: prints each name when it
 * is done, an error for each that was not. An exit code.
 */
struct api_each {
	const struct api_kind *kind;
	const char *method, *verb, *query;
	bool dry_run;
	bool force;       /* one that does not exist is no error ... */
	bool tell_absent; /* ... but told all the same */
};
int api_each(const struct client *c, const struct api_each *e, struct args refs);

/*
 * The command that removes its arguments, objects of this kind, with --force and --dry-run. pass:
 * what --force is to the daemon, a query, or NULL when it only means that none is missed.
 */
int api_remove_command(const struct command *cmd, const struct client *c,
		       const struct api_kind *kind, const char *force_help, const char *pass,
		       struct args args);

/*
 * Print a JSON array of those of refs that exist, or each through the template in format. Each is
 * looked for among the kinds, in their order.
 */
int api_inspect_all(const struct client *c, const struct api_kind *const *kinds, size_t n_kinds,
		    struct args refs, const char *query, const char *format);
/* A command that is nothing but this: its --format, and its arguments of one kind. */
int api_inspect_command(const struct command *cmd, const struct client *c,
			const struct api_kind *kind, struct args args);

/* The options of a list. */
struct api_list_options {
	const char *format;
	bool quiet, no_trunc;
};
#define API_LIST_OPTIONS(l)                                                                     \
	OPTION_LIST_FORMAT(&(l)->format),                                                       \
		{ 0, OPTION_FLAG, "no-trunc", &(l)->no_trunc, NULL, "Do not truncate output" }, \
	{                                                                                       \
		'q', OPTION_FLAG, "quiet", &(l)->quiet, NULL, "Only display IDs"                \
	}
/* GET path, a list, and print it. path NULL: memory ran out. An exit code. */
int api_list(const struct client *c, const char *path, const struct table_view *view,
	     const struct api_list_options *options);

#endif
