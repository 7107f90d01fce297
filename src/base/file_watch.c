/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Notices by inotify that a file changed, whatever links lead to it. */
#include "base/file_watch.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/str.h"

/* A file written in place is of interest when it is complete, not when it is cut. */
#define EVENTS                                                                                   \
	(IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | \
	 IN_MOVE_SELF | IN_ONLYDIR)
#define FILE_EVENTS (IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF)

/* Cuts path at its last slash, and returns what followed it. dir becomes "/" or "." if need be. */
static const char *path_split(char path[PATH_MAX], char name[NAME_MAX + 1])
{
	char *slash = strrchr(path, '/');

	str_copy(name, NAME_MAX + 1, slash ? slash + 1 : path);
	if (!slash)
		return ".";
	if (slash == path)
		return "/";
	*slash = '\0';
	return path;
}

/* Watches the directory of path, or the nearest one above it that there is. false: impossible. */
static bool watch_hop(struct file_watch *w, const char *path)
{
	char dir[PATH_MAX];

	if (w->n_hops == FILE_WATCH_HOPS || !str_copy(dir, sizeof(dir), path))
		return false;
	for (;;) {
		const char *parent = path_split(dir, w->hops[w->n_hops].name);
		int wd = inotify_add_watch(w->fd, parent, EVENTS);

		if (wd >= 0) {
			w->hops[w->n_hops++].wd = wd;
			return true;
		}
		if (errno != ENOENT || parent != dir)
			return false;
	}
}

/*
 * What is written into a file that is a mount of its own is not told of the directory it lies in.
 * The event has no name, and the hop none either.
 */
static void watch_file(struct file_watch *w, const char *path)
{
	int wd = w->n_hops < FILE_WATCH_HOPS ? inotify_add_watch(w->fd, path, FILE_EVENTS) : -1;

	if (wd < 0)
		return;
	w->hops[w->n_hops].name[0] = '\0';
	w->hops[w->n_hops++].wd = wd;
}

/* Replaces path by what the link there says. false: it is no link. */
static bool follow(char path[PATH_MAX])
{
	char target[PATH_MAX], name[NAME_MAX + 1], whole[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	const char *dir;

	if (n <= 0)
		return false;
	target[n] = '\0';
	if (*target == '/')
		return str_copy(path, PATH_MAX, target);
	dir = path_split(path, name);
	if (strlen(dir) + 1 + (size_t)n >= sizeof(whole))
		return false;
	stpcpy(stpcpy(stpcpy(whole, dir), "/"), target);
	return str_copy(path, PATH_MAX, whole);
}

static void watch_path(struct file_watch *w, const char *whole)
{
	char path[PATH_MAX];

	str_copy(path, sizeof(path), whole);
	while (watch_hop(w, path)) {
		if (!follow(path)) {
			watch_file(w, path);
			break;
		}
	}
}

static void watch_all(struct file_watch *w)
{
	w->n_hops = 0;
	for (size_t i = 0; i < w->n_paths; i++)
		watch_path(w, w->paths[i]);
}

int file_watch_open(struct file_watch *w, const char *const *paths, size_t n)
{
	memcpy(w->paths, paths, n * sizeof(*paths));
	w->n_paths = n;
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->fd < 0)
		return -errno;
	watch_all(w);
	return 0;
}

static bool concerns(const struct file_watch *w, const struct inotify_event *ev)
{
	if (ev->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF))
		return true;
	for (size_t i = 0; i < w->n_hops; i++) {
		if (ev->wd == w->hops[i].wd && streq(ev->len ? ev->name : "", w->hops[i].name))
			return true;
	}
	return false;
}

/* Watches that are still wanted are added again right away; the others would only make noise. */
static void watch_again(struct file_watch *w)
{
	for (size_t i = 0; i < w->n_hops; i++)
		inotify_rm_watch(w->fd, w->hops[i].wd);
	watch_all(w);
}

bool file_watch_changed(struct file_watch *w)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool changed = false;
	ssize_t n;

	while ((n = read(w->fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *ev = (const struct inotify_event *)p;

			changed = changed || concerns(w, ev);
			p += sizeof(*ev) + ev->len;
		}
	}
	if (changed)
		watch_again(w);
	return changed;
}
