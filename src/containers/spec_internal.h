/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of spec share. Objects are built with json_put() and json_push(): a failed
 * allocation shows when the text is made (base/json.h).
 */
#ifndef CONTAINERS_SPEC_INTERNAL_H
#define CONTAINERS_SPEC_INTERNAL_H

#include <jansson.h>

#include "cnm/error.h"
#include "containers/spec.h"

/* An OCI process. exec NULL: the container's first. */
int spec_process(const struct spec_input *in, const json_t *exec, json_t **ret,
		 struct cnm_error *err);
/* "mounts" of spec, and what they ask of "linux". Makes missing directories that -v names. */
int spec_mounts(const struct spec_input *in, json_t *spec, json_t *linux_spec,
		struct cnm_error *err);
/* Namespaces, paths, devices, limits, sysctls, seccomp. */
void spec_confine(const struct spec_input *in, json_t *linux_spec);
/* Every device node of the host (bounded), as "linux.devices". */
json_t *spec_host_devices(void);

/* The name the container has: never NULL, into buf. */
const char *spec_hostname(const struct spec_input *in, char buf[static 65]);
/* An array of these, up to NULL. */
json_t *spec_list(const char *const *texts);

/* Appends the groups named by --group-add to the OCI user. */
int rootfs_groups(const char *rootfs, const json_t *names, json_t *user, struct cnm_error *err);

#endif
