/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files and programs of the images. Names and contents that come from an archive are hostile: a
 * name is resolved beneath its root, a file is bounded before it is read, and a program that
 * unpacks one may write so much and no more.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/str.h"
#include "containers/images_internal.h"
#include "containers/rootfs.h"

#define MAX_DEPTH 64

char *image_text(struct cnm_error *err, const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n >= 0)
		return s;
	cnm_error_errno(err, ENOMEM, "work on an image");
	return NULL;
}

int image_work_new(struct images *im, char **ret, struct cnm_error *err)
{
	_free_ char *path = image_text(err, "%s/tmp.XXXXXX", im->dir);

	if (!path)
		return -ENOMEM;
	if (!mkdtemp(path))
		return cnm_error_errno(err, errno, "make a directory in %s", im->dir);
	*ret = take_ptr(path);
	return 0;
}

void image_work_done(char **work)
{
	struct cnm_error err;

	/* What stays is swept at the next start. */
	if (*work && tree_remove(*work, &err) < 0)
		log_debug("%s", err.text);
	free(*work);
	*work = NULL;
}

/* ------------------------------------------------------------------------------------- programs */

static bool ran_into_limit(const struct process_result *res)
{
	if (WIFSIGNALED(res->status) && WTERMSIG(res->status) == SIGXFSZ)
		return true;
	return res->err && (strcasestr(res->err, "file too large") || strstr(res->err, "SIGXFSZ"));
}

static bool is_full(const struct process_result *res)
{
	return res->err && (strcasestr(res->err, "no space left on device") ||
			    strcasestr(res->err, "disk quota exceeded"));
}

/* Whose fault is it that a program failed? */
static int blame(int r, const struct process_options *o, const struct process_result *res,
		 struct cnm_error *err)
{
	if (o->max_file && ran_into_limit(res))
		return cnm_error_set(err, CNM_E_INVALID,
				     "%s: it is larger than may be: a file in it would have more "
				     "than %zu bytes",
				     o->what, o->max_file);
	if (!err || err->class != CNM_E_INTERNAL || !WIFEXITED(res->status) || is_full(res))
		return r;
	err->class = CNM_E_INVALID;
	err->err = EINVAL;
	return -EINVAL;
}

int image_run(const char *const argv[], struct process_options *options, struct process_result *ret,
	      struct cnm_error *err)
{
	struct process_result res = { .status = -1 };
	int r;

	if (!options->deadline_ms)
		options->deadline_ms = IMAGE_DEADLINE_MS;
	r = process_run((char *const *)argv, options, &res, err);
	if (r < 0)
		r = blame(r, options, &res, err);
	if (r < 0 || !ret)
		process_result_free(&res);
	else
		*ret = res;
	return r;
}

int image_digest(const char *path, char ret[static ID_SIZE], struct cnm_error *err)
{
	const char *argv[] = { "sha256sum", "-z", "--", path, NULL };
	struct process_options o = { .what = "compute the digest of an image's file" };
	struct process_result res;
	char hex[ID_SIZE];
	int r = image_run(argv, &o, &res, err);

	if (r < 0)
		return r;
	str_copy(hex, sizeof(hex), res.out);
	process_result_free(&res);
	if (!id_is_valid(hex))
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "compute the digest of %s: sha256sum printed no digest", path);
	memcpy(ret, hex, ID_SIZE);
	return 0;
}

/* ---------------------------------------------------------------------------------------- files */

static int read_fd(int fd, const char *path, size_t max, char **ret, struct cnm_error *err)
{
	_free_ char *text = NULL;
	size_t len = 0;
	struct stat sb;
	ssize_t n;

	if (fstat(fd, &sb) < 0)
		return cnm_error_errno(err, errno, "read %s", path);
	if (!S_ISREG(sb.st_mode))
		return cnm_error_set(err, CNM_E_INVALID, "read %s: it is no regular file", path);
	if (sb.st_size > (off_t)max)
		return cnm_error_set(err, CNM_E_INVALID,
				     "read %s: it has %lld bytes, more than the %zu that such a "
				     "file may have",
				     path, (long long)sb.st_size, max);
	text = malloc((size_t)sb.st_size + 1);
	if (!text)
		return cnm_error_errno(err, ENOMEM, "read %s", path);
	while (len < (size_t)sb.st_size) {
		n = read(fd, text + len, (size_t)sb.st_size - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cnm_error_errno(err, errno, "read %s", path);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
	*ret = take_ptr(text);
	return 0;
}

int image_read(const char *path, size_t max, char **ret, struct cnm_error *err)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT) {
		*ret = NULL;
		return 0;
	}
	if (fd < 0)
		return cnm_error_errno(err, errno, "read %s", path);
	return read_fd(fd, path, max, ret, err);
}

int image_write(const char *path, const char *text, struct cnm_error *err)
{
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t left = strlen(text);

	while (fd >= 0 && left) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		text += n;
		left -= (size_t)n;
	}
	return fd < 0 || left ? cnm_error_errno(err, errno, "write %s", path) : 0;
}

/* The deepest nesting of brackets outside strings. */
static unsigned nesting(const char *s)
{
	unsigned depth = 0, deepest = 0;
	bool in_string = false;

	for (; *s; s++) {
		if (in_string && *s == '\\' && s[1])
			s++;
		else if (*s == '"')
			in_string = !in_string;
		else if (!in_string && (*s == '{' || *s == '['))
			deepest = ++depth > deepest ? depth : deepest;
		else if (!in_string && (*s == '}' || *s == ']') && depth)
			depth--;
	}
	return deepest;
}

int image_parse(const char *text, const char *what, json_t **ret, struct cnm_error *err)
{
	json_error_t why;
	json_t *j;

	if (nesting(text) > MAX_DEPTH)
		return cnm_error_set(err, CNM_E_INVALID, "%s is nested deeper than %d levels", what,
				     MAX_DEPTH);
	j = json_loads(text, JSON_DECODE_ANY, &why);
	if (!j)
		return cnm_error_set(err, CNM_E_INVALID, "%s is no JSON: %s (line %d)", what,
				     why.text, why.line);
	*ret = j;
	return 0;
}

int image_read_json(const char *path, const char *what, json_t **ret, struct cnm_error *err)
{
	_free_ char *text = NULL;
	int r = image_read(path, IMAGE_MAX_DOCUMENT, &text, err);

	if (r < 0)
		return cnm_error_prefix(err, "%s", what);
	*ret = NULL;
	return text ? image_parse(text, what, ret, err) : 0;
}

int image_beneath(const char *root, const char *name, char **ret, struct cnm_error *err)
{
	_free_ char *path = image_text(err, "%s/%s", root, name), *real = NULL, *top = NULL;
	const char *rest;
	struct stat sb;

	if (!path)
		return -ENOMEM;
	top = realpath(root, NULL);
	real = realpath(path, NULL);
	if (!top || (!real && errno != ENOENT && errno != ENOTDIR && errno != ELOOP &&
		     errno != ENAMETOOLONG))
		return cnm_error_errno(err, errno, "look up %s", path);
	rest = real ? str_after(real, top) : NULL;
	if (!rest || *rest != '/' || lstat(real, &sb) < 0 || !S_ISREG(sb.st_mode))
		return cnm_error_set(err, CNM_E_INVALID, "there is no file \"%.200s\" in it", name);
	*ret = take_ptr(real);
	return 0;
}

/* ------------------------------------------------------------------------------------- packings */

static const struct {
	const char *magic;
	size_t n;
	const char *program, *option;
} packings[] = {
	[IMAGE_PLAIN] = { "", 0, "cat", "-u" },
	[IMAGE_GZIP] = { "\x1f\x8b", 2, "gzip", "-dc" },
	[IMAGE_XZ] = { "\xfd"
		       "7zXZ",
		       6, "xz", "-dcM512MiB" },
	[IMAGE_ZSTD] = { "\x28\xb5\x2f\xfd", 4, "zstd", "-dcqf" },
	[IMAGE_BZIP2] = { "BZh", 3, "bzip2", "-dc" },
};

int image_packing(const char *path, enum image_packing *ret, struct cnm_error *err)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char head[512] = "";
	ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof(head));

	if (n < 0)
		return cnm_error_errno(err, errno, "read %s", path);
	*ret = IMAGE_PLAIN;
	if (n == sizeof(head) && memcmp(head + 257, "ustar", 5) == 0)
		return 0;
	for (unsigned i = IMAGE_GZIP; i <= IMAGE_BZIP2; i++)
		if ((size_t)n >= packings[i].n &&
		    memcmp(head, packings[i].magic, packings[i].n) == 0)
			*ret = (enum image_packing)i;
	return 0;
}

int image_plain_copy(const char *from, const char *to, enum image_packing packing, uint64_t max,
		     struct cnm_error *err)
{
	const char *argv[] = { packings[packing].program, packings[packing].option, "--", from,
			       NULL };
	struct process_options o = { .what = "unpack the archive", .max_file = max ? max : 1 };

	_close_ int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return cnm_error_errno(err, errno, "write %s", to);
	o.out_fd = fd;
	return image_run(argv, &o, NULL, err);
}
