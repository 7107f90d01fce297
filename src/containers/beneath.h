/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names inside a container's tree, which is hostile: its links lead nowhere but within it. */
#ifndef CONTAINERS_BENEATH_H
#define CONTAINERS_BENEATH_H

/* Open path as a process whose root directory is `root` would: a descriptor or a negative errno. */
int open_beneath(const char *root, const char *path, int flags);

#endif
