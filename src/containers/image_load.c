/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Archives of images: docker save's (manifest.json) and OCI's (index.json).
 *
 * An archive is unpacked once, made plain first if it is packed, since only then its size bounds
 * what it unpacks to. GNU tar lets no name leave the directory. Everything in it is then a claim:
 * names are resolved beneath the directory, and image_build() compares what was claimed with what
 * is there.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "containers/images_internal.h"

#define MAX_IMAGES 64

struct load {
	struct images *im;
	const char *root; /* where the archive is unpacked */
	image_progress tell;
	void *arg;
};

/* --------------------------------------------------------------------------- the archive itself */

static int untar(const char *archive, const char *to, uint64_t max, struct cnm_error *err)
{
	const char *argv[] = { "tar",    "--extract", "--no-same-owner", "--no-same-permissions",
			       "--file", archive,     "--force-local",   "--directory",
			       to,       NULL };
	struct process_options o = { .what = "load the archive", .max_file = max };

	if (mkdir(to, 0700) < 0)
		return cnm_error_errno(err, errno, "make %s", to);
	return image_run(argv, &o, NULL, err);
}

static int open_archive(struct images *im, const char *path, const char *work, const char *root,
			struct cnm_error *err)
{
	_free_ char *plain = image_text(err, "%s/archive.tar", work);
	enum image_packing packing;
	int r = plain ? image_packing(path, &packing, err) : -ENOMEM;

	if (r == 0 && packing != IMAGE_PLAIN) {
		r = image_plain_copy(path, plain, packing, im->max_bytes, err);
		path = plain;
	}
	if (r == 0)
		r = untar(path, root, im->max_bytes, err);
	if (plain)
		unlink(plain);
	return r;
}

/* ---------------------------------------------------------------------------- one of its images */

static void tell_loaded(struct load *l, const json_t *tags, const char *id)
{
	size_t n = json_array_size(tags);

	for (size_t i = 0; i < (n ? n : 1); i++) {
		_json_ json_t *line = json_object();
		_free_ char *text = NULL;

		json_put(line, "stream",
			 n ? json_sprintf("Loaded image: %s\n",
					  json_string_value(json_array_get(tags, i)))
			   : json_sprintf("Loaded image ID: sha256:%s\n", id));
		text = json_text(line);
		if (text && l->tell)
			l->tell(text, l->arg);
	}
}

/* Takes tags over. */
static int load_one(struct load *l, const struct image_parts *parts, json_t *tags,
		    struct cnm_error *err)
{
	_json_ json_t *names = tags;
	_work_ char *work = NULL;
	struct image *i = NULL;
	char id[ID_SIZE] = "";
	int r = image_work_new(l->im, &work, err);

	if (r == 0)
		r = image_build(l->im, work, parts, &i, err);
	if (r < 0 || !i)
		return r;
	memcpy(id, i->id, ID_SIZE);
	r = image_add(l->im, work, i, names, NULL, "load", err);
	if (r == 0)
		tell_loaded(l, names, id);
	return r;
}

/* Adds a name as an archive has it. */
static int add_tag(json_t *tags, const char *name, struct cnm_error *err)
{
	char text[IMAGE_REF_STR];
	struct image_ref ref;
	int r = name ? image_ref_parse(&ref, name, err)
		     : cnm_error_set(err, CNM_E_INVALID, "its \"RepoTags\" must be strings");

	if (r < 0)
		return r;
	ref.digest[0] = '\0';
	return json_push(tags, json_string(image_ref_format(&ref, text))) < 0
		       ? cnm_error_errno(err, ENOMEM, "read the names of an image")
		       : 0;
}

/* ---------------------------------------------------------------------------- docker's archives */

static int load_docker_one(struct load *l, const json_t *entry, struct cnm_error *err)
{
	const char *config = json_string_value(json_object_get(entry, "Config"));
	const json_t *layers = json_object_get(entry, "Layers"), *tags_in;
	struct image_parts parts = { .root = l->root, .config = config, .layers = layers };
	_json_ json_t *tags = json_array();
	json_t *v;
	size_t i;
	int r;

	if (!config || !json_is_array(layers) || json_array_size(layers) > IMAGE_MAX_LAYERS)
		return cnm_error_set(err, CNM_E_INVALID,
				     "its manifest.json is wrong: it must name a \"Config\" and "
				     "\"Layers\", at most %d",
				     IMAGE_MAX_LAYERS);
	json_array_foreach (layers, i, v)
		if (!json_is_string(v))
			return cnm_error_set(
				err, CNM_E_INVALID,
				"its manifest.json is wrong: \"Layers\" must be strings");
	tags_in = json_object_get(entry, "RepoTags");
	json_array_foreach (tags_in, i, v) {
		r = add_tag(tags, json_string_value(v), err);
		if (r < 0)
			return r;
	}
	return load_one(l, &parts, take_ptr(tags), err);
}

static int load_docker(struct load *l, const json_t *manifest, struct cnm_error *err)
{
	size_t n = json_array_size(manifest);
	int r = 0;

	if (n == 0 || n > MAX_IMAGES)
		return cnm_error_set(err, CNM_E_INVALID,
				     "its manifest.json must be an array of 1 to %d images",
				     MAX_IMAGES);
	for (size_t i = 0; i < n && r == 0; i++)
		r = load_docker_one(l, json_array_get(manifest, i), err);
	return r;
}

/* --------------------------------------------------------------------------------- OCI archives */

static int read_blob(struct load *l, const json_t *descriptor, json_t **ret, struct cnm_error *err)
{
	const char *digest = json_string_value(json_object_get(descriptor, "digest"));
	const char *hex = digest ? image_digest_hex(digest) : NULL;
	_free_ char *name = NULL, *path = NULL;
	int r;

	if (!hex)
		return cnm_error_set(err, CNM_E_INVALID,
				     "its index.json is wrong: a manifest has no sha256 digest");
	name = image_text(err, "blobs/sha256/%s", hex);
	r = name ? image_beneath(l->root, name, &path, err) : -ENOMEM;
	return r < 0 ? r : image_read_json(path, "a manifest in the archive", ret, err);
}

/* The manifest for this machine in an index of several platforms; NULL if it has none. */
static const json_t *choose_platform(const json_t *index)
{
	const json_t *all = json_object_get(index, "manifests"), *platform;
	json_t *d;
	size_t i;

	json_array_foreach (all, i, d) {
		const char *os, *arch;

		platform = json_object_get(d, "platform");
		os = json_string_value(json_object_get(platform, "os"));
		arch = json_string_value(json_object_get(platform, "architecture"));
		if (os && arch && streq(os, "linux") && streq(arch, image_architecture()))
			return d;
	}
	return NULL;
}

/* The manifest that an index's entry means: itself, or of the index it points to the right one. */
static int read_manifest(struct load *l, const json_t *descriptor, json_t **ret,
			 struct cnm_error *err)
{
	_json_ json_t *first = NULL;
	int r = read_blob(l, descriptor, &first, err);

	if (r < 0)
		return r;
	if (!json_object_get(first, "manifests")) {
		*ret = take_ptr(first);
		return 0;
	}
	descriptor = choose_platform(first);
	if (!descriptor)
		return cnm_error_set(err, CNM_E_INVALID, "it has no image for linux/%s",
				     image_architecture());
	return read_blob(l, descriptor, ret, err);
}

/* What the image is called; a tag alone names nothing. */
static int oci_tags(const json_t *descriptor, json_t *tags, struct cnm_error *err)
{
	const json_t *notes = json_object_get(descriptor, "annotations");
	const char *name = json_string_value(json_object_get(notes, "io.containerd.image.name"));

	if (!name)
		name = json_string_value(
			json_object_get(notes, "org.opencontainers.image.ref.name"));
	return name && strpbrk(name, ":/") ? add_tag(tags, name, err) : 0;
}

static int load_oci_one(struct load *l, const json_t *descriptor, struct cnm_error *err)
{
	_json_ json_t *manifest = NULL, *layers = NULL, *tags = json_array();
	struct image_parts parts = { .root = l->root };
	_free_ char *config = NULL;
	int r = read_manifest(l, descriptor, &manifest, err);

	if (r == 0)
		r = image_manifest_parts(manifest, "blobs/sha256/", &config, &parts.expect_id,
					 &layers, err);
	if (r == 0)
		r = oci_tags(descriptor, tags, err);
	if (r < 0)
		return r;
	parts.config = config;
	parts.layers = layers;
	return load_one(l, &parts, take_ptr(tags), err);
}

static int load_oci(struct load *l, const json_t *index, struct cnm_error *err)
{
	const json_t *all = json_object_get(index, "manifests");
	size_t n = json_array_size(all);
	int r = 0;

	if (n == 0 || n > MAX_IMAGES)
		return cnm_error_set(err, CNM_E_INVALID,
				     "its index.json must name 1 to %d \"manifests\"", MAX_IMAGES);
	for (size_t i = 0; i < n && r == 0; i++)
		r = load_oci_one(l, json_array_get(all, i), err);
	return r;
}

/* ------------------------------------------------------------------------------------- together */

static int load_unpacked(struct load *l, struct cnm_error *err)
{
	_free_ char *docker = image_text(err, "%s/manifest.json", l->root);
	_free_ char *oci = image_text(err, "%s/index.json", l->root);
	_json_ json_t *j = NULL;
	int r;

	if (!docker || !oci)
		return -ENOMEM;
	r = image_read_json(docker, "manifest.json", &j, err);
	if (r == 0 && j)
		return load_docker(l, j, err);
	if (r == 0)
		r = image_read_json(oci, "index.json", &j, err);
	if (r == 0 && j)
		return load_oci(l, j, err);
	return r < 0 ? r
		     : cnm_error_set(err, CNM_E_INVALID,
				     "it has neither a manifest.json (docker save) nor an "
				     "index.json (OCI); a tar of files is for `import`");
}

int images_load(struct images *im, const char *path, image_progress tell, void *arg,
		struct cnm_error *err)
{
	_work_ char *work = NULL;
	_free_ char *root = NULL;
	struct load l = { .im = im, .tell = tell, .arg = arg };
	int r = image_work_new(im, &work, err);

	if (r < 0)
		return r;
	l.root = root = image_text(err, "%s/archive", work);
	r = root ? open_archive(im, path, work, root, err) : -ENOMEM;
	if (r == 0)
		r = load_unpacked(&l, err);
	if (r < 0)
		cnm_error_prefix(err, "the archive cannot be loaded");
	return r;
}
