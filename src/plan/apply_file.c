/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of sandboxes: written in place, with their directory, and removed with it.
 *
 * Beside one that its users may edit lies its base: "hosts" has ".hosts", which holds what we wrote
 * last. A daemon may be killed at any moment, and what comes next may finish the change or take it
 * back; so while the file is written, the base tells that it cannot be judged:
 *
 *   as we wrote it   the base is removed before and made anew after. A file without a base (or with
 *                    an empty one) is ours, whatever it holds.
 *   edited           the base has the text that was there appended to it, after a zero byte,
 * before, and is replaced after. That text is then taken for the file's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "plan/apply_internal.h"
#include "plan/file_edits.h"

#define EDITED_MAX (2 * 1024 * 1024) /* a file that is larger is left alone */
#define BASE_MAX   (4 * EDITED_MAX)

/* ---- names */

/* "/run/x/hosts": "/run/x/.hosts" and what follows. */
static void base_path(const char *path, const char *suffix, char ret[static PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	snprintf(ret, PATH_MAX, "%.*s.%s%s", (int)(name - path), path, name, suffix);
}

static int make_parents(char *path)
{
	char *last = strrchr(path, '/');

	*last = 0;
	if (mkdir(path, 0755) == 0 || errno == EEXIST) { /* usually only the last one is missing */
		*last = '/';
		return 0;
	}
	*last = '/';
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = 0;
		if (mkdir(path, 0755) < 0 && errno != EEXIST) {
			*p = '/';
			return -errno;
		}
		*p = '/';
	}
	return 0;
}

/* ---- reading */

struct look {
	char *have_buf, *base_buf;
	struct file_text have; /* s NULL: there is no such file */
	struct file_text base;
	bool interrupted; /* a daemon was killed while it wrote; have is what was there before */
	bool too_large;
};

static void look_free(struct look *l)
{
	free(l->have_buf);
	free(l->base_buf);
}

/* 0; -ENOENT, -EFBIG or another. */
static int read_text(const char *path, size_t max, char **ret_buf, struct file_text *ret)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	_free_ char *buf = NULL;
	struct stat st;
	size_t n = 0;
	ssize_t r = 1;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (size_t)st.st_size > max)
		return -EFBIG;
	buf = malloc((size_t)st.st_size + 1);
	if (!buf)
		return -ENOMEM;
	while (n < (size_t)st.st_size && (r = read(fd, buf + n, (size_t)st.st_size - n)) > 0)
		n += (size_t)r;
	if (r < 0)
		return -errno;
	*ret = (struct file_text){ buf, n };
	*ret_buf = take_ptr(buf);
	return 0;
}

static int look_at_base(struct look *l, const char *path)
{
	char base[PATH_MAX];
	const char *end;
	int r;

	base_path(path, "", base);
	r = read_text(base, BASE_MAX, &l->base_buf, &l->base);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	end = l->base.n ? memchr(l->base.s, 0, l->base.n) : NULL;
	if (end) {
		l->have = (struct file_text){ end + 1, (size_t)(l->base.s + l->base.n - end - 1) };
		l->base.n = (size_t)(end - l->base.s);
		l->interrupted = true;
	}
	if (!l->base.n)
		l->base.s = NULL;
	return 0;
}

static int look(struct look *l, const struct plan_item *w)
{
	int r = read_text(w->file.path, EDITED_MAX, &l->have_buf, &l->have);

	l->too_large = r == -EFBIG;
	if (r < 0 && r != -EFBIG && r != -ENOENT)
		return r;
	return r < 0 || w->file.edits == PLAN_EDITS_NONE ? 0 : look_at_base(l, w->file.path);
}

static struct file_text text_of(const struct strbuf *b)
{
	return (struct file_text){ b->s ? b->s : "", b->len };
}

static struct file_text wanted(const struct plan_item *w)
{
	return (struct file_text){ w->file.content, strlen(w->file.content) };
}

/* Is it as it shall be, as far as it is for us to say? */
static bool is_as_wanted(const struct look *l, const struct plan_item *w)
{
	_cleanup_(strbuf_free) struct strbuf merged = { 0 };
	bool edits = w->file.edits != PLAN_EDITS_NONE;

	if (l->too_large)
		return edits;
	if (l->interrupted || (edits && !l->base.s && *w->file.content))
		return false;
	file_edits_merge(&merged, w->file.edits, l->base, wanted(w), l->have);
	return !merged.failed && merged.len == l->have.n &&
	       (!merged.len || memcmp(merged.s, l->have.s, merged.len) == 0);
}

void file_dump(const struct plan_item *w, struct plan *have)
{
	_cleanup_(look_free) struct look l = { 0 };
	bool edits = w->file.edits != PLAN_EDITS_NONE;
	char *content;
	int r = look(&l, w);

	have->failed |= r == -ENOMEM;
	if (r < 0 || (!l.have.s && !l.too_large))
		return;
	if (is_as_wanted(&l, w))
		content = strdup(w->file.content);
	else if (l.interrupted || l.too_large || (edits && !l.base.s))
		content = strdup(""); /* who knows */
	else
		content = strndup(l.have.s, l.have.n);
	plan_add_file(have, w->sandbox, w->owner, w->file.path, content, w->file.edits);
}

/* ---- writing */

/* Opens for writing; makes the directory if need be, and leaves none behind. */
static int create_file(const char *path)
{
	const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	char dir[PATH_MAX];
	int fd = open(path, flags, 0644), r;

	if (fd >= 0 || errno != ENOENT || !str_copy(dir, sizeof(dir), path))
		return fd < 0 ? -errno : fd;
	r = make_parents(dir);
	if (r < 0)
		return r;
	fd = open(path, flags, 0644);
	if (fd >= 0)
		return fd;
	r = -errno;
	*strrchr(dir, '/') = 0;
	rmdir(dir);
	return r;
}

static int write_all(int fd, struct file_text text)
{
	ssize_t n = write(fd, text.s, text.n);

	if (n < 0)
		return -errno;
	return (size_t)n == text.n ? 0 : -ENOSPC;
}

/*
 * Over a longer text: with empty lines up to its end, which is cut off then, so that nobody who
 * reads meanwhile finds a part of a file.
 */
static int write_over(int fd, struct file_text text, size_t was)
{
	_free_ char *padded = NULL;
	int r;

	if (was > EDITED_MAX)
		return ftruncate(fd, 0) < 0 ? -errno : write_all(fd, text);
	padded = malloc(was);
	if (!padded)
		return -ENOMEM;
	memcpy(padded, text.s, text.n);
	memset(padded + text.n, '\n', was - text.n);
	r = write_all(fd, (struct file_text){ padded, was });
	if (r == 0 && ftruncate(fd, (off_t)text.n) < 0)
		r = -errno;
	return r;
}

/* In place: a container may have the file mounted. */
static int put(const char *path, struct file_text text, struct cnm_error *err)
{
	_close_ int fd = create_file(path);
	struct stat st;
	int r;

	if (fd < 0)
		return cnm_error_errno(err, fd, "open %s", path);
	if (fstat(fd, &st) < 0)
		return cnm_error_errno(err, errno, "look at %s", path);
	r = (size_t)st.st_size > text.n ? write_over(fd, text, (size_t)st.st_size)
					: write_all(fd, text);
	return r < 0 ? cnm_error_errno(err, r, "write %s", path) : 0;
}

static int drop(const char *path, struct cnm_error *err)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return cnm_error_errno(err, errno, "remove %s", path);
	return 0;
}

/* All of it anew. */
static int write_whole(const struct plan_item *w, struct cnm_error *err)
{
	char base[PATH_MAX];
	int r;

	if (w->file.edits == PLAN_EDITS_NONE)
		return put(w->file.path, wanted(w), err);
	base_path(w->file.path, "", base);
	r = drop(base, err);
	if (r == 0)
		r = put(w->file.path, wanted(w), err);
	return r < 0 ? r : put(base, wanted(w), err);
}

/* At once. */
static int replace_base(const char *path, struct file_text text, struct cnm_error *err)
{
	char base[PATH_MAX], new[PATH_MAX];
	int r;

	base_path(path, "", base);
	base_path(path, ".new", new);
	r = put(new, text, err);
	if (r == 0 && rename(new, base) < 0)
		r = cnm_error_errno(err, errno, "rename %s", new);
	return r;
}

/* An edited file, line by line. */
static int write_merged(const struct plan_item *w, const struct look *l, struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf before = { 0 };
	_cleanup_(strbuf_free) struct strbuf merged = { 0 };
	int r;

	strbuf_addn(&before, l->base.s, l->base.n);
	strbuf_addn(&before, "", 1);
	strbuf_addn(&before, l->have.s, l->have.n);
	file_edits_merge(&merged, w->file.edits, l->base, wanted(w), l->have);
	if (before.failed || merged.failed)
		return cnm_error_errno(err, ENOMEM, "write %s", w->file.path);
	r = replace_base(w->file.path, text_of(&before), err);
	if (r == 0)
		r = put(w->file.path, text_of(&merged), err);
	return r < 0 ? r : replace_base(w->file.path, wanted(w), err);
}

static int change(const struct plan_item *w, struct cnm_error *err)
{
	_cleanup_(look_free) struct look l = { 0 };
	int r = 0;

	if (w->file.edits != PLAN_EDITS_NONE)
		r = look(&l, w);
	if (r < 0)
		return cnm_error_errno(err, r, "read %s", w->file.path);
	if (!l.interrupted && !l.too_large && !file_is_edited(l.base, l.have))
		return write_whole(w, err);
	return l.too_large || w->file.edits == PLAN_EDITS_ALL ? 0 : write_merged(w, &l, err);
}

/* With its base, and with the last file its directory. */
static int remove_file(const struct plan_item *h, struct cnm_error *err)
{
	char path[PATH_MAX];
	int r = 0;

	if (h->file.edits != PLAN_EDITS_NONE) {
		base_path(h->file.path, "", path);
		r = drop(path, err);
	}
	if (r == 0 && h->file.edits == PLAN_EDITS_LINES) {
		base_path(h->file.path, ".new", path);
		r = drop(path, err);
	}
	if (r == 0)
		r = drop(h->file.path, err);
	if (r < 0)
		return r;
	str_copy(path, sizeof(path), h->file.path);
	*strrchr(path, '/') = 0;
	if (rmdir(path) < 0 && errno != ENOTEMPTY && errno != ENOENT)
		return cnm_error_errno(err, errno, "remove %s", path);
	return 0;
}

int apply_file(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];

	if (op->action == PLAN_REMOVE)
		return remove_file(op->have, r->err);
	return op->action == PLAN_ADD ? write_whole(op->want, r->err) : change(op->want, r->err);
}
