/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A container's root: an overlayfs mount of its own upper directory over the image's unpacked tree.
 * Mounts are the kernel's and outlive the daemon. Thread-safe; blocks on the disk.
 */
#ifndef CONTAINERS_ROOTFS_H
#define CONTAINERS_ROOTFS_H

#include <stdbool.h>
#include <stdint.h>

#include "cnm/error.h"

/*
 * Mount LOWER, DIR/upper and DIR/work (made if missing) at TARGET (made if missing). Mounted there
 * already: done. The error says what to do when the file system under DIR cannot be an upper layer
 * (overlay on overlay, NFS): move the state directory.
 */
int rootfs_mount(const char *lower, const char *dir, const char *target, struct cnm_error *err);
/* Unmount (lazily when busy) and remove the mount point. Absent is fine. */
int rootfs_unmount(const char *target, struct cnm_error *err);
/* Unmount everything mounted below this directory. For crashed starts. */
void rootfs_unmount_below(const char *dir);
/*
 * rm -r of a tree of any depth and any modes, never across a mount point, never through a symbolic
 * link. Absent is fine. What cannot be removed is left, the rest is removed, and the first failure
 * is told.
 */
int tree_remove(const char *path, struct cnm_error *err);
/* Bytes of the regular files, each counted once however many names it has. */
int tree_size(const char *path, uint64_t *ret, struct cnm_error *err);

#endif
