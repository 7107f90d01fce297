/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who a name is inside an image: its /etc/passwd and /etc/group, read here because the runtime
 * takes numbers only. Both files are hostile: the kernel resolves their paths within the root,
 * whatever links they are made of, and only so much of a regular file is read.
 *
 * The rules are Docker's: a user is found by name or number, the first line wins; a number that no
 * line has is itself; with a group named, memberships do not count.
 */
#include "containers/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/beneath.h"
#include "containers/spec_internal.h"

#define MAX_FILE   (1024 * 1024)
#define MAX_LINE   8192
#define MAX_GROUPS 1024
#define MAX_USER   256

struct person {
	uint32_t uid, gid;
	char *name; /* NULL: no line is his */
	char *home;
};

/* A line's fields; what it lacks is "". */
struct fields {
	char *at[7];
};

/* ---- files */

/* A descriptor, -ENOENT, or another negative errno. */
static int open_file(const char *rootfs, const char *path)
{
	int fd = open_beneath(rootfs, path, O_RDONLY | O_NOCTTY | O_NONBLOCK);

	return fd == -ENOTDIR ? -ENOENT : fd;
}

static int read_all(int fd, char *text, size_t size)
{
	size_t n = 0;

	while (n < size) {
		ssize_t r = read(fd, text + n, size - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		n += (size_t)r;
	}
	text[n] = 0;
	return 0;
}

/* *ret is "" where the file does not exist. */
static int read_file(const char *rootfs, const char *path, char **ret, struct cnm_error *err)
{
	_close_ int fd = open_file(rootfs, path);
	_free_ char *text = NULL;
	struct stat st = { 0 };
	int r;

	if (fd < 0 && fd != -ENOENT)
		return cnm_error_errno(err, fd, "read /%s of the image", path);
	if (fd >= 0 && fstat(fd, &st) < 0)
		return cnm_error_errno(err, errno, "read /%s of the image", path);
	if (fd >= 0 && (!S_ISREG(st.st_mode) || st.st_size > MAX_FILE))
		return cnm_error_set(err, CNM_E_INVALID,
				     "/%s of the image is no regular file of at most %d bytes",
				     path, MAX_FILE);
	text = calloc(1, (size_t)st.st_size + 1);
	if (!text)
		return cnm_error_errno(err, ENOMEM, "read /%s of the image", path);
	r = fd < 0 ? 0 : read_all(fd, text, (size_t)st.st_size);
	if (r < 0)
		return cnm_error_errno(err, r, "read /%s of the image", path);
	*ret = take_ptr(text);
	return 0;
}

/* The next line that is no comment, cut into its fields; false at the end. Changes the text. */
static bool next_line(char **text, struct fields *f)
{
	static char none[] = "";
	char *line;

	do {
		line = strsep(text, "\n");
	} while (line && (!*line || *line == '#' || strlen(line) > MAX_LINE));
	if (!line)
		return false;
	for (size_t i = 0; i < sizeof(f->at) / sizeof(f->at[0]); i++)
		f->at[i] = line ? strsep(&line, ":") : none;
	return true;
}

/* -EINVAL: no number. -ERANGE: none that can be an id. */
static int parse_id(const char *s, uint32_t *ret)
{
	long n;
	int r = strspn(s, "0123456789") == strlen(s) ? str_to_long(s, 0, INT_MAX, &n) : -EINVAL;

	if (r == 0)
		*ret = (uint32_t)n;
	return r;
}

static int out_of_range(struct cnm_error *err)
{
	return cnm_error_set(err, CNM_E_INVALID, "uids and gids must be in range 0-%d", INT_MAX);
}

/* ---- /etc/passwd */

/* wanted "": the superuser. */
static int take_person(struct person *p, char *passwd, const char *wanted, bool numeric,
		       uint32_t number, struct cnm_error *err)
{
	struct fields f;
	uint32_t uid = 0, gid = 0;

	while (next_line(&passwd, &f)) {
		if (parse_id(f.at[2], &uid) < 0 || parse_id(f.at[3], &gid) < 0)
			continue;
		if (!(*wanted && streq(f.at[0], wanted)) && !(numeric && uid == number))
			continue;
		p->uid = uid;
		p->gid = gid;
		p->name = strdup(f.at[0]);
		p->home = strdup(*f.at[5] == '/' && str_is_printable(f.at[5]) ? f.at[5] : "/");
		if (!p->name || !p->home)
			return cnm_error_errno(err, ENOMEM, "look up the user");
		return 0;
	}
	if (!numeric)
		return cnm_error_set(err, CNM_E_INVALID,
				     "unable to find user %s: no matching entries in passwd file",
				     wanted);
	p->uid = number;
	p->home = strdup("/");
	return p->home ? 0 : cnm_error_errno(err, ENOMEM, "look up the user");
}

static int find_person(struct person *p, const char *rootfs, const char *wanted,
		       struct cnm_error *err)
{
	_free_ char *passwd = NULL;
	uint32_t number = 0;
	int is_number = *wanted ? parse_id(wanted, &number) : 0, r;

	if (is_number == -ERANGE)
		return out_of_range(err);
	r = read_file(rootfs, "etc/passwd", &passwd, err);
	return r < 0 ? r : take_person(p, passwd, wanted, is_number == 0, number, err);
}

/* ---- /etc/group */

static bool is_member(char *members, const char *name)
{
	char *one;

	while ((one = strsep(&members, ",")))
		if (streq(one, name))
			return true;
	return false;
}

static bool has_id(const json_t *list, uint32_t id)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (json_integer_value(v) == id)
			return true;
	return false;
}

static void add_id(json_t *list, uint32_t id)
{
	if (json_array_size(list) < MAX_GROUPS && !has_id(list, id))
		json_push(list, json_integer(id));
}

static void add_memberships(json_t *list, char *group, const char *name)
{
	struct fields f;
	uint32_t gid = 0;

	while (next_line(&group, &f))
		if (parse_id(f.at[2], &gid) == 0 && is_member(f.at[3], name))
			add_id(list, gid);
}

/* By name or number; changes the text. */
static int find_group(char *group, const char *wanted, uint32_t *ret, struct cnm_error *err)
{
	struct fields f;
	uint32_t number = 0, gid = 0;
	int r = parse_id(wanted, &number);

	if (r == -ERANGE)
		return out_of_range(err);
	while (next_line(&group, &f)) {
		if (parse_id(f.at[2], &gid) < 0)
			continue;
		if (streq(f.at[0], wanted) || (r == 0 && gid == number)) {
			*ret = gid;
			return 0;
		}
	}
	if (r < 0 || !*wanted)
		return cnm_error_set(err, CNM_E_INVALID,
				     "unable to find group %s: no matching entries in group file",
				     wanted);
	*ret = number;
	return 0;
}

static int take_groups(struct person *p, json_t *list, const char *rootfs, const char *named,
		       struct cnm_error *err)
{
	_free_ char *group = NULL;
	int r = read_file(rootfs, "etc/group", &group, err);

	if (r < 0)
		return r;
	if (named)
		r = find_group(group, named, &p->gid, err);
	add_id(list, p->gid);
	if (!named && p->name)
		add_memberships(list, group, p->name);
	return r;
}

int rootfs_groups(const char *rootfs, const json_t *names, json_t *user, struct cnm_error *err)
{
	json_t *list = json_object_get(user, "additionalGids"), *v;
	_free_ char *group = NULL;
	size_t i;
	int r;

	if (json_array_size(names) == 0)
		return 0;
	r = read_file(rootfs, "etc/group", &group, err);
	if (r < 0)
		return r;
	json_array_foreach (names, i, v) {
		_free_ char *copy = strdup(group);
		uint32_t gid;

		if (!copy)
			return cnm_error_errno(err, ENOMEM, "look up the groups");
		r = find_group(copy, json_string_value(v), &gid, err);
		if (r < 0)
			return r;
		add_id(list, gid);
	}
	return 0;
}

/* ---- both */

static json_t *user_json(const struct person *p, json_t *groups)
{
	json_t *user = json_object();

	json_put(user, "uid", json_integer(p->uid));
	json_put(user, "gid", json_integer(p->gid));
	json_put(user, "additionalGids", groups);
	return user;
}

int rootfs_user(const char *rootfs, const char *user, json_t **ret, char **ret_home,
		struct cnm_error *err)
{
	_json_ json_t *groups = json_array();
	struct person p = { 0 };
	char name[MAX_USER], *group;
	int r;

	if (!str_copy(name, sizeof(name), user) || !str_is_printable(user))
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid user: it is longer than %d bytes or has control "
				     "characters",
				     MAX_USER - 1);
	group = strchr(name, ':');
	if (group)
		*group++ = 0;
	r = find_person(&p, rootfs, name, err);
	r = r < 0 ? r : take_groups(&p, groups, rootfs, group && *group ? group : NULL, err);
	if (r == 0) {
		*ret = user_json(&p, json_incref(groups));
		*ret_home = take_ptr(p.home);
	}
	free(p.name);
	free(p.home);
	return r;
}
