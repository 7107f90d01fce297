/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Notices that a file changed, was replaced, appeared or went, by inotify. The file may be a
 * symbolic link, also to nothing yet: what is watched is the directory of each link on the way and
 * of the target, or where one does not exist, the nearest directory above it that does.
 */
#ifndef RESOLVER_RESOLV_WATCH_H
#define RESOLVER_RESOLV_WATCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define RESOLV_WATCH_HOPS 8 /* links followed; with more, the rest is not watched */

struct resolv_watch {
	int fd; /* becomes readable; the caller closes it */
	size_t n_hops;
	struct {
		int wd;
		char name[NAME_MAX + 1]; /* what matters in that directory */
	} hops[RESOLV_WATCH_HOPS];
	char path[PATH_MAX];
};

/* 0 or a negative errno. */
int resolv_watch_open(struct resolv_watch *w, const char *path);
/* Takes what is to be read from fd. true: the file may have changed. */
bool resolv_watch_changed(struct resolv_watch *w);

#endif
