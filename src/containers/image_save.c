/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An archive of images as docker save writes them today: an OCI layout that has a manifest.json
 * besides, so that both kinds of reader take it. It is gathered as a directory of hard links, so an
 * image that is removed meanwhile is saved all the same.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/str.h"
#include "containers/images_internal.h"

struct save {
	struct images *im;
	char *root, *blobs;
	json_t *chosen; /* {id: [tags]} in the order asked for */
};

static void save_free(struct save *s)
{
	free(s->root);
	free(s->blobs);
	json_decref(s->chosen);
}

/* --------------------------------------------------------------------------- what was asked for */

/* Its entry in chosen. */
static json_t *choose(struct save *s, const struct image *i)
{
	json_t *tags = json_object_get(s->chosen, i->id);

	if (!tags && json_put(s->chosen, i->id, tags = json_array()) < 0)
		return NULL;
	return tags;
}

static int choose_tag(struct save *s, const struct image *i, const char *tag)
{
	json_t *tags = choose(s, i);

	if (!tags)
		return -ENOMEM;
	return image_has(tags, tag) ? 0 : json_push(tags, json_string(tag));
}

/* All tags of a repository. 1 if there is one. */
static int choose_repository(struct save *s, const char *name)
{
	struct image_ref tag;
	struct image *i;
	int found = 0;
	json_t *v;
	size_t k;

	list_for_each (i, &s->im->all, node)
		json_array_foreach (i->tags, k, v) {
			if (image_ref_parse(&tag, json_string_value(v), NULL) < 0 ||
			    !streq(tag.name, name))
				continue;
			if (choose_tag(s, i, json_string_value(v)) < 0)
				return -ENOMEM;
			found = 1;
		}
	return found;
}

static int choose_ref(struct save *s, const char *ref)
{
	bool is_name;
	const struct image *i;
	struct image_ref parsed;
	char name[IMAGE_REF_STR];
	int r;

	is_name = image_ref_parse(&parsed, ref, NULL) == 0;
	if (is_name && !parsed.tag[0] && !parsed.digest[0]) {
		r = choose_repository(s, parsed.name);
		if (r != 0)
			return r;
	}
	i = image_lookup(s->im, ref);
	if (!i)
		return 0;
	if (is_name && image_has(i->tags, image_ref_format(&parsed, name)))
		r = choose_tag(s, i, name);
	else
		r = choose(s, i) ? 0 : -ENOMEM;
	return r < 0 ? r : 1;
}

static int choose_all(struct save *s, const char *const *refs, unsigned n, struct cnm_error *err)
{
	LOCKED(&s->im->mutex);
	for (unsigned i = 0; i < n; i++) {
		int r = choose_ref(s, refs[i]);

		if (r < 0)
			return cnm_error_errno(err, ENOMEM, "save images");
		if (r == 0)
			return cnm_error_set(err, CNM_E_NOT_FOUND, "No such image: %.300s",
					     refs[i]);
	}
	return 0;
}

/* -------------------------------------------------------------------------------- the directory */

/* It was removed while it was being saved, or the disk has a fault. */
static int gone(const char *id, int e, struct cnm_error *err)
{
	return e == ENOENT ? cnm_error_set(err, CNM_E_NOT_FOUND, "No such image: sha256:%s", id)
			   : cnm_error_errno(err, e, "save the image %s", id);
}

/* All blobs of an image. */
static int link_blobs(struct save *s, const char *id, struct cnm_error *err)
{
	_free_ char *from = image_text(err, "%s/%s/layout/blobs/sha256", s->im->dir, id);
	DIR *d = from ? opendir(from) : NULL;
	struct dirent *e;
	int r = 0;

	if (!d)
		return from ? gone(id, errno, err) : -ENOMEM;
	while (r == 0 && (e = readdir(d))) {
		_free_ char *to = image_text(err, "%s/%s", s->blobs, e->d_name);

		if (!to)
			r = -ENOMEM;
		else if (id_is_valid(e->d_name) &&
			 linkat(dirfd(d), e->d_name, AT_FDCWD, to, 0) < 0 && errno != EEXIST)
			r = gone(id, errno, err);
	}
	closedir(d);
	return r;
}

/* The layers of an image as manifest.json names them. */
static int put_layers(struct save *s, const char *id, json_t *layers, struct cnm_error *err)
{
	_free_ char *path = image_text(err, "%s/%s", s->blobs, id);
	_json_ json_t *document = NULL;
	const char *hex;
	int r = path ? image_read_json(path, "the image's configuration", &document, err) : -ENOMEM;

	for (size_t i = 0; r == 0 && (hex = image_config_layer(document, i)); i++)
		if (json_push(layers, json_sprintf("blobs/sha256/%s", hex)) < 0)
			r = cnm_error_errno(err, ENOMEM, "save images");
	return r;
}

/* The entries of index.json: one for each name, or one without. */
static int put_index(struct save *s, const char *id, const json_t *tags, json_t *manifests,
		     struct cnm_error *err)
{
	_free_ char *path = image_text(err, "%s/%s/layout/index.json", s->im->dir, id);
	size_t n = json_array_size(tags);
	_json_ json_t *index = NULL;
	json_t *d, *notes;
	int r = path ? image_read_json(path, "the image's index", &index, err) : -ENOMEM;

	if (r < 0)
		return r;
	if (!index)
		return gone(id, ENOENT, err);
	d = json_array_get(json_object_get(index, "manifests"), 0);
	for (size_t i = 0; i < (n ? n : 1); i++) {
		json_t *copy = json_deep_copy(d);
		const char *tag = json_string_value(json_array_get(tags, i));
		struct image_ref ref;
		char full[IMAGE_REF_FULL];

		json_object_del(copy, "annotations");
		if (tag && image_ref_parse(&ref, tag, NULL) == 0) {
			notes = json_pack("{s:s, s:s}", "io.containerd.image.name",
					  image_ref_full(&ref, full),
					  "org.opencontainers.image.ref.name", ref.tag);
			json_put(copy, "annotations", notes);
		}
		json_push(manifests, copy);
	}
	return 0;
}

static int gather_one(struct save *s, const char *id, const json_t *tags, json_t *docker,
		      json_t *manifests, struct cnm_error *err)
{
	json_t *entry = json_object(), *layers = json_array();
	int r;

	json_put(entry, "Config", json_sprintf("blobs/sha256/%s", id));
	json_put(entry, "RepoTags",
		 json_array_size(tags) ? json_copy((json_t *)tags) : json_null());
	json_put(entry, "Layers", layers);
	json_push(docker, entry);
	r = link_blobs(s, id, err);
	if (r == 0)
		r = put_layers(s, id, layers, err);
	return r < 0 ? r : put_index(s, id, tags, manifests, err);
}

static int write_json(const char *root, const char *name, const json_t *j, struct cnm_error *err)
{
	_free_ char *path = image_text(err, "%s/%s", root, name), *text = json_text(j);

	if (!path || !text)
		return cnm_error_errno(err, ENOMEM, "save images");
	return image_write(path, text, err);
}

static int gather(struct save *s, struct cnm_error *err)
{
	_json_ json_t *docker = json_array(), *index = json_object();
	_json_ json_t *layout = json_pack("{s:s}", "imageLayoutVersion", "1.0.0");
	json_t *manifests = json_array(), *tags;
	const char *id;
	int r = 0;

	json_put(index, "schemaVersion", json_integer(2));
	json_put(index, "mediaType", json_string("application/vnd.oci.image.index.v1+json"));
	json_put(index, "manifests", manifests);
	json_object_foreach (s->chosen, id, tags)
		if (r == 0)
			r = gather_one(s, id, tags, docker, manifests, err);
	if (r == 0)
		r = write_json(s->root, "manifest.json", docker, err);
	if (r == 0)
		r = write_json(s->root, "index.json", index, err);
	return r < 0 ? r : write_json(s->root, "oci-layout", layout, err);
}

static int make_dirs(struct save *s, const char *work, struct cnm_error *err)
{
	_free_ char *above = image_text(err, "%s/save/blobs", work);

	s->root = image_text(err, "%s/save", work);
	s->blobs = image_text(err, "%s/save/blobs/sha256", work);
	if (!above || !s->root || !s->blobs)
		return -ENOMEM;
	if (mkdir(s->root, 0755) < 0 || mkdir(above, 0755) < 0 || mkdir(s->blobs, 0755) < 0)
		return cnm_error_errno(err, errno, "make %s", s->blobs);
	return 0;
}

/* ---------------------------------------------------------------------------------- the archive */

static int pack(struct save *s, int fd, struct cnm_error *err)
{
	const char *argv[] = { "tar",
			       "--create",
			       "--sort=name",
			       "--format=gnu",
			       "--mtime=@0",
			       "--owner=0",
			       "--group=0",
			       "--numeric-owner",
			       "--mode=a+rX,go-w",
			       "--hard-dereference",
			       "--file",
			       "-",
			       "--directory",
			       s->root,
			       "blobs",
			       "index.json",
			       "manifest.json",
			       "oci-layout",
			       NULL };
	struct process_options o = { .what = "save images",
				     .deadline_ms = IMAGE_DEADLINE_MS,
				     .out_fd = fd };
	struct process_result res = { .status = -1 };
	struct cnm_error why;
	int r = process_run((char *const *)argv, &o, &res, &why);

	/*
	 * 1: "file changed as we read it". That is the number of a blob's links, when another
	 * archive is made or the image removed; what is in it never changes.
	 */
	if (r < 0 && WIFEXITED(res.status) && WEXITSTATUS(res.status) == 1)
		r = 0;
	process_result_free(&res);
	if (r < 0 && err)
		*err = why;
	return r;
}

static int save(struct save *s, const char *work, int *ret_fd, struct cnm_error *err)
{
	_close_ int fd = open(work, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return cnm_error_errno(err, errno, "make a file in %s", work);
	r = make_dirs(s, work, err);
	if (r == 0)
		r = gather(s, err);
	if (r == 0)
		r = pack(s, fd, err);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return cnm_error_errno(err, errno, "read the archive");
	*ret_fd = take_fd(&fd);
	return 0;
}

int images_save(struct images *im, const char *const *refs, unsigned n, int *ret_fd,
		struct cnm_error *err)
{
	struct save s = { .im = im, .chosen = json_object() };
	_work_ char *work = NULL;
	const char *id;
	json_t *tags;
	int r = s.chosen ? choose_all(&s, refs, n, err)
			 : cnm_error_errno(err, ENOMEM, "save images");

	if (r == 0)
		r = image_work_new(im, &work, err);
	if (r == 0)
		r = save(&s, work, ret_fd, err);
	if (r == 0)
		json_object_foreach (s.chosen, id, tags)
			image_tell(im, "save", id, id);
	save_free(&s);
	return r;
}
