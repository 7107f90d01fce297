/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a container's configuration to the OCI runtime's config.json.
 *
 * Confinement is Docker's default: its 14 capabilities, a seccomp profile, masked and read-only
 * paths, no new key ring (that is conmon's), its device list, /sys and /sys/fs/cgroup read-only,
 * and private pid, ipc, uts, mount (and, on cgroup v2, cgroup) namespaces. --privileged lifts them.
 *
 * Reads the image's user tables and, for bind mounts, looks whether the source is there: -v makes a
 * missing directory, --mount is CNM_E_INVALID.
 */
#ifndef CONTAINERS_SPEC_H
#define CONTAINERS_SPEC_H

#include <jansson.h>
#include <stdbool.h>

#include "cnm/error.h"
#include "containers/config.h"

/*
 * The seccomp profile in Docker's format (conditions by capability, architecture and kernel), as
 * Debian's golang-github-containers-common installs it. Read once. NOT_FOUND with the package's
 * name.
 */
struct seccomp;
int seccomp_open(struct seccomp **ret, const char *path, struct cnm_error *err);
void seccomp_close(struct seccomp *s);
/* "linux.seccomp" for a container with these capabilities (array of "CAP_X"). NULL: no memory. */
json_t *seccomp_for(const struct seccomp *s, const json_t *capabilities);

struct spec_input {
	const char *id;
	const struct container_config *c;
	const struct seccomp *seccomp;
	const char *rootfs;     /* mounted: users and groups are looked up in it */
	const char *netns;      /* path of the namespace; NULL: the host's */
	const char *hostname;   /* NULL: the host's name. A private uts namespace all the same */
	const char *domainname; /* NULL: none */
	const char *hosts_path, *hostname_path,
		*resolv_path; /* bind mounted over /etc/...; NULL: not */
	const char *cgroup;   /* "/cnm/ID" */
	bool cgroup2;         /* the host's hierarchy is unified */
};

/* Text of config.json, the caller's. */
int spec_container(const struct spec_input *in, char **ret, struct cnm_error *err);
/*
 * Text of the OCI process for an execution: exec as exec_config_decode() gave it; environment, user
 * and capabilities follow from the container's.
 */
int spec_exec(const struct spec_input *in, const json_t *exec, char **ret, struct cnm_error *err);

/*
 * "user", "user:group", "1000", "1000:1000" or "" looked up in ROOTFS/etc/passwd and group, which
 * are hostile: opened beneath the root without following links out of it, bounded. *ret is the OCI
 * "user" object (uid, gid, additionalGids); *ret_home the home directory ("/" if unknown; caller
 * frees). Docker's words: "unable to find user X: no matching entries in passwd file" (INVALID).
 */
int rootfs_user(const char *rootfs, const char *user, json_t **ret, char **ret_home,
		struct cnm_error *err);

#endif
