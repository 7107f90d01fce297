/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Notices that files changed, were replaced, appeared or went, by inotify. A file may be a symbolic
 * link, also to nothing yet: what is watched is the directory of each link on the way and of the
 * target, or where one does not exist, the nearest directory above it that does; and the target
 * itself, which may be a mount of its own.
 */
#ifndef BASE_FILE_WATCH_H
#define BASE_FILE_WATCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define FILE_WATCH_FILES 3
#define FILE_WATCH_HOPS  16 /* links and directories; with more, the rest is not watched */

struct file_watch {
	int fd; /* becomes readable; the caller closes it */
	size_t n_hops, n_paths;
	struct {
		int wd;
		char name[NAME_MAX + 1]; /* what matters in that directory; "": it is the file */
	} hops[FILE_WATCH_HOPS];
	const char *paths[FILE_WATCH_FILES];
};

/* The paths, at most FILE_WATCH_FILES, are borrowed. 0 or a negative errno. */
int file_watch_open(struct file_watch *w, const char *const *paths, size_t n);
/* Takes what is to be read from fd. true: a file may have changed. */
bool file_watch_changed(struct file_watch *w);

#endif
