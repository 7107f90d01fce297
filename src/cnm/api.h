/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the commands share in talking to the daemon: paths, dry runs, and loops over names. */
#ifndef CNM_API_H
#define CNM_API_H

#include <errno.h>
#include <stdbool.h>

#include "cnm/client.h"
#include "cnm/command.h"
#include "cnm/strv.h"

/*
 * "/collection/REF/verb?query" with REF escaped; verb and query may be NULL. NULL if memory ran
 * out.
 */
char *api_path(const char *collection, const char *ref, const char *verb, const char *query);
/* s escaped for a query's value. NULL if memory ran out. */
char *api_escape(const char *s);
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

/*
 * For the command cmd, remove each of refs: prints each name removed, an error for each that was
 * not. force: an object that does not exist is no error, and with query "force=1" is what is asked
 * of the daemon.
 */
int api_remove_all(const struct command *cmd, const struct client *c, const char *collection,
		   struct args refs, bool force, const char *query, bool dry_run);
/* Print a JSON array of those of refs that exist, or each through the template in format. */
int api_inspect_all(const struct command *cmd, const struct client *c, const char *collection,
		    struct args refs, const char *query, const char *format);

#endif
