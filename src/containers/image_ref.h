/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What images are called: [DOMAIN/]PATH[:TAG][@DIGEST], by Docker's grammar and defaults. Pure.
 *
 * Names are kept as people write them ("busybox", not "docker.io/library/busybox"), which is unique
 * too: everything that names the same repository is brought to the same text.
 */
#ifndef CONTAINERS_IMAGE_REF_H
#define CONTAINERS_IMAGE_REF_H

#include <stdbool.h>

#include "cnm/error.h"

#define IMAGE_NAME_MAX   255 /* with its domain, as Docker counts */
#define IMAGE_TAG_MAX    128
#define IMAGE_DIGEST_LEN 71 /* "sha256:" and 64 hex digits */

struct image_ref {
	char name[IMAGE_NAME_MAX + 1];     /* "busybox", "user/app", "host:5000/app" */
	char tag[IMAGE_TAG_MAX + 1];       /* "" if there is none */
	char digest[IMAGE_DIGEST_LEN + 1]; /* "sha256:..." or "" */
};

#define IMAGE_REF_STR (IMAGE_NAME_MAX + 1 + IMAGE_TAG_MAX + 1)

/* INVALID, in Docker's words ("invalid reference format", "... must be lowercase"). */
int image_ref_parse(struct image_ref *ret, const char *s, struct cnm_error *err);
/* "name:tag", with "latest" where there is none, or "name@digest" if it has one. Returns buf. */
const char *image_ref_format(const struct image_ref *r, char buf[static IMAGE_REF_STR]);
/* The same as a registry is asked: "docker.io/library/busybox:latest". */
#define IMAGE_REF_FULL (IMAGE_REF_STR + sizeof("docker.io/library/"))
const char *image_ref_full(const struct image_ref *r, char buf[static IMAGE_REF_FULL]);
/* "sha256:" and 64 lower-case hex digits: these digits, else NULL. */
const char *image_digest_hex(const char *s);

#endif
