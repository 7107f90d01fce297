/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fetching an image from its registry, and the progress that long work on images tells. */
#ifndef CNM_PULL_H
#define CNM_PULL_H

#include <stdbool.h>
#include <stdio.h>

#include "cnm/client.h"

/*
 * A line of progress, {"status":..,"id":..}, {"stream":..} or {"error":..}: printed to the FILE *
 * that arg is (NULL: not), bars of progress excepted. An error is one.
 */
int progress_line(const char *line, void *arg, struct cnm_error *err);

/* "repo:tag" and "repo@digest" taken apart: the length of repo, and the rest or NULL. */
size_t image_ref_split(const char *ref, const char **ret_tag);
/* Print "docker.io/library/busybox:latest" for "busybox". */
void image_ref_print(const char *ref, FILE *out);

/* progress NULL: quietly. */
int image_pull(const struct client *c, const char *ref, FILE *progress, struct cnm_error *err);

#endif
