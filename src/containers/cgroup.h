/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A container's cgroup, "/cnm/ID", in whatever hierarchies this machine has: one (cgroup v2), one
 * for each controller (v1), or both (hybrid). Thread-safe.
 */
#ifndef CONTAINERS_CGROUP_H
#define CONTAINERS_CGROUP_H

/*
 * Kill every process in it, and wait until they have ended: 0, or -ETIME when one did not within
 * seconds, -EINVAL for a path that is none of a container ("/", or with "..").
 */
int cgroup_kill(const char *cgroup);

#endif
