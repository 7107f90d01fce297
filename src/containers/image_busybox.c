/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * busybox:latest of what the machine has: its static busybox, a hard link for each applet, and the
 * few directories and files that a shell expects. It is made of nothing that differs between two
 * runs (names are sorted, times are those of the program's file), so it has the same id whenever it
 * is made of the same busybox.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/str.h"
#include "containers/images_internal.h"

const char image_busybox_name[] = "busybox:latest";

static const struct {
	const char *name;
	mode_t mode;
} dirs[] = {
	{ "bin", 0755 },      { "dev", 0755 },     { "etc", 0755 },      { "home", 0755 },
	{ "proc", 0755 },     { "root", 0700 },    { "sys", 0755 },      { "tmp", 01777 },
	{ "usr", 0755 },      { "usr/bin", 0755 }, { "usr/sbin", 0755 }, { "var", 0755 },
	{ "var/tmp", 01777 },
};
static const struct {
	const char *name, *text;
} files[] = {
	{ "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
			"daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
			"www-data:x:33:33:www-data:/var/www:/bin/false\n"
			"nobody:x:65534:65534:nobody:/home:/bin/false\n" },
	{ "etc/group", "root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nnogroup:x:65534:\n" },
	{ "etc/shadow", "root:*:::::::\ndaemon:*:::::::\nwww-data:*:::::::\nnobody:*:::::::\n" },
};

/* ------------------------------------------------------------------------ the machine's busybox */

static int unusable(const char *path, const char *why, struct cnm_error *err)
{
	return cnm_error_set(err, CNM_E_UNAVAILABLE,
			     "the image busybox:latest is made of a static busybox, but %s %s: "
			     "install the package busybox-static, or load an image",
			     path, why);
}

/* A program that needs an interpreter (ld.so) would find none in the image. */
static bool needs_loader(int fd)
{
	Elf64_Ehdr e;
	Elf64_Phdr p;

	if (pread(fd, &e, sizeof(e), 0) != sizeof(e) || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 ||
	    e.e_ident[EI_CLASS] != ELFCLASS64)
		return false; /* 32 bits: not looked at */
	for (unsigned i = 0; i < e.e_phnum; i++)
		if (pread(fd, &p, sizeof(p), (off_t)(e.e_phoff + i * sizeof(p))) == sizeof(p) &&
		    p.p_type == PT_INTERP)
			return true;
	return false;
}

static int check_busybox(const char *path, int64_t *ret_time, struct cnm_error *err)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat sb;

	if (fd < 0)
		return unusable(path, errno == ENOENT ? "is not there" : "cannot be read", err);
	if (needs_loader(fd))
		return unusable(path, "is not static", err);
	if (fstat(fd, &sb) < 0)
		return cnm_error_errno(err, errno, "look at %s", path);
	*ret_time = sb.st_mtim.tv_sec;
	return 0;
}

/* ------------------------------------------------------------------------------------- the tree */

static int make_skeleton(const char *root, struct cnm_error *err)
{
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		_free_ char *path = image_text(err, "%s/%s", root, dirs[i].name);

		if (!path)
			return -ENOMEM;
		if (mkdir(path, 0700) < 0 || chmod(path, dirs[i].mode) < 0)
			return cnm_error_errno(err, errno, "make %s", path);
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		_free_ char *path = image_text(err, "%s/%s", root, files[i].name);
		mode_t mode = streq(files[i].name, "etc/shadow") ? 0600 : 0644;
		int r = path ? image_write(path, files[i].text, err) : -ENOMEM;

		if (r < 0)
			return r;
		if (chmod(path, mode) < 0)
			return cnm_error_errno(err, errno, "make %s", path);
	}
	return 0;
}

/* A link in bin/ for each line of list. */
static int link_applets(const char *root, char *list, struct cnm_error *err)
{
	_free_ char *busybox = image_text(err, "%s/bin/busybox", root);
	char *rest = NULL;

	if (!busybox)
		return -ENOMEM;
	for (char *name = strtok_r(list, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest)) {
		_free_ char *path = image_text(err, "%s/bin/%s", root, name);

		if (!path)
			return -ENOMEM;
		if (!strchr(name, '/') && link(busybox, path) < 0 && errno != EEXIST)
			return cnm_error_errno(err, errno, "link %s", path);
	}
	return 0;
}

static int make_tree(const char *busybox, const char *root, struct cnm_error *err)
{
	_free_ char *to = image_text(err, "%s/bin/busybox", root);
	const char *argv[] = { busybox, "--list", NULL };
	struct process_options o = { .what = "list the applets of busybox" };
	struct process_result res = { 0 };
	int r = to ? 0 : -ENOMEM;

	if (r == 0 && (mkdir(root, 0755) < 0 || chmod(root, 0755) < 0))
		r = cnm_error_errno(err, errno, "make %s", root);
	if (r == 0)
		r = make_skeleton(root, err);
	if (r == 0)
		r = image_plain_copy(busybox, to, IMAGE_PLAIN, UINT64_C(1) << 30, err);
	if (r == 0 && chmod(to, 0755) < 0)
		r = cnm_error_errno(err, errno, "make %s", to);
	if (r == 0)
		r = image_run(argv, &o, &res, err);
	if (r < 0)
		return r;
	r = link_applets(root, res.out, err);
	process_result_free(&res);
	return r;
}

/* ---------------------------------------------------------------------- layer and configuration */

static int pack(const char *root, const char *to, int64_t when, struct cnm_error *err)
{
	char mtime[40];
	const char *argv[] = { "tar",
			       "--create",
			       "--sort=name",
			       "--format=gnu",
			       mtime,
			       "--owner=0",
			       "--group=0",
			       "--numeric-owner",
			       "--file",
			       to,
			       "--force-local",
			       "--directory",
			       root,
			       ".",
			       NULL };
	struct process_options o = { .what = "make the image busybox:latest" };

	snprintf(mtime, sizeof(mtime), "--mtime=@%lld", (long long)when);
	return image_run(argv, &o, NULL, err);
}

static char *configuration(const char *layer, int64_t when)
{
	char created[TIME_STR];
	_json_ json_t *j = NULL;

	clock_format(when * 1000000000, created);
	j = json_pack(
		"{s:s, s:s, s:s, s:{s:[s], s:[s]}, s:{s:s, s:[o]}, s:[{s:s, s:s}]}", "created",
		created, "architecture", image_architecture(), "os", "linux", "config", "Env",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "Cmd", "sh",
		"rootfs", "type", "layers", "diff_ids", json_sprintf("sha256:%s", layer), "history",
		"created", created, "created_by", "cnm: the machine's busybox");
	return j ? json_text(j) : NULL;
}

static int write_parts(const char *busybox, const char *work, struct cnm_error *err)
{
	_free_ char *root = image_text(err, "%s/root", work);
	_free_ char *layer = image_text(err, "%s/layer", work);
	_free_ char *config = image_text(err, "%s/config", work), *text = NULL;
	char digest[ID_SIZE];
	int64_t when = 0;
	int r = root && layer && config ? check_busybox(busybox, &when, err) : -ENOMEM;

	if (r == 0)
		r = make_tree(busybox, root, err);
	if (r == 0)
		r = pack(root, layer, when, err);
	if (r == 0)
		r = image_digest(layer, digest, err);
	if (r < 0)
		return r;
	text = configuration(digest, when);
	return text ? image_write(config, text, err)
		    : cnm_error_errno(err, ENOMEM, "make the image busybox:latest");
}

int image_make_busybox(struct images *im, struct cnm_error *err)
{
	_json_ json_t *layers = json_pack("[s]", "layer");
	_json_ json_t *tags = json_pack("[s]", image_busybox_name);
	_work_ char *work = NULL;
	struct image_parts parts = { .config = "config", .layers = layers };
	struct image *i = NULL;
	int r = image_work_new(im, &work, err);

	if (r < 0)
		return r;
	parts.root = work;
	r = layers && tags ? write_parts(im->busybox, work, err)
			   : cnm_error_errno(err, ENOMEM, "make the image busybox:latest");
	if (r == 0)
		r = image_build(im, work, &parts, &i, err);
	return r < 0 ? r : image_add(im, work, i, tags, NULL, "import", err);
}
