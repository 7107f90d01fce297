/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From an image's parts, wherever they came from, to its directory: an OCI layout with plain
 * layers, and the unpacked tree.
 *
 * The layers are unpacked one after the other into files named by the digests that the
 * configuration gives them, each within what is left of the bound; umoci compares the digests and
 * makes the tree. The manifest of the layout is ours, so that the configuration stays what it was,
 * byte for byte, and with it the image's id.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "containers/images_internal.h"
#include "containers/rootfs.h"

#define OCI "application/vnd.oci.image."

/* ------------------------------------------------------------------------------------ the blobs */

/* The image that is being built. */
struct build {
	const struct image_parts *parts;
	char *dir, *blobs; /* WORK/image, WORK/image/layout/blobs/sha256 */
	json_t *document;
	char id[ID_SIZE];
	uint64_t left, used; /* bytes of layers: that may come, that are there */
};

static void build_free(struct build *b)
{
	free(b->dir);
	free(b->blobs);
	json_decref(b->document);
}

static int make_dirs(struct build *b, const char *work, struct cnm_error *err)
{
	static const char *const names[] = { "", "/layout", "/layout/blobs",
					     "/layout/blobs/sha256" };

	b->dir = image_text(err, "%s/image", work);
	b->blobs = image_text(err, "%s/image/layout/blobs/sha256", work);
	if (!b->dir || !b->blobs)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		_free_ char *path = image_text(err, "%s%s", b->dir, names[i]);

		if (!path)
			return -ENOMEM;
		if (mkdir(path, 0700) < 0)
			return cnm_error_errno(err, errno, "make %s", path);
	}
	return 0;
}

/* Reads the configuration and puts it at its place, by its digest. */
static int take_config(struct build *b, struct cnm_error *err)
{
	const struct image_parts *p = b->parts;
	_free_ char *from = NULL, *to = NULL;
	int r = image_beneath(p->root, p->config, &from, err);

	if (r == 0)
		r = image_digest(from, b->id, err);
	if (r == 0 && p->expect_id && !streq(p->expect_id, b->id))
		r = cnm_error_set(err, CNM_E_INVALID,
				  "the image's configuration has the digest %s, but its manifest "
				  "says %s",
				  b->id, p->expect_id);
	if (r == 0)
		r = image_read_json(from, "the image's configuration", &b->document, err);
	if (r == 0)
		r = image_config_check(b->document, json_array_size(p->layers), err);
	if (r < 0)
		return r;
	to = image_text(err, "%s/%s", b->blobs, b->id);
	if (!to)
		return -ENOMEM;
	return link(from, to) < 0 ? cnm_error_errno(err, errno, "link %s", from) : 0;
}

static int measure(struct build *b, const char *path, struct cnm_error *err)
{
	struct stat sb;

	if (stat(path, &sb) < 0)
		return cnm_error_errno(err, errno, "look at %s", path);
	if ((uint64_t)sb.st_size > b->left)
		return cnm_error_set(
			err, CNM_E_INVALID,
			"its layers have more than the %llu bytes that are left of what "
			"an image may have",
			(unsigned long long)b->left);
	b->left -= (uint64_t)sb.st_size;
	b->used += (uint64_t)sb.st_size;
	return 0;
}

static int take_layer(struct build *b, const char *name, const char *hex, struct cnm_error *err)
{
	_free_ char *from = NULL, *to = image_text(err, "%s/%s", b->blobs, hex);
	enum image_packing packing = IMAGE_PLAIN;
	int r;

	if (!to)
		return -ENOMEM;
	if (access(to, F_OK) == 0) /* the same layer once more */
		return 0;
	r = image_beneath(b->parts->root, name, &from, err);
	if (r == 0)
		r = image_packing(from, &packing, err);
	if (r < 0)
		return r;
	if (packing != IMAGE_PLAIN)
		r = image_plain_copy(from, to, packing, b->left, err);
	else if (link(from, to) < 0)
		r = cnm_error_errno(err, errno, "link %s", from);
	return r < 0 ? r : measure(b, to, err);
}

static int take_layers(struct build *b, struct cnm_error *err)
{
	json_t *name;
	size_t i;
	int r;

	json_array_foreach (b->parts->layers, i, name) {
		r = take_layer(b, json_string_value(name), image_config_layer(b->document, i), err);
		if (r < 0) {
			cnm_error_prefix(err, "layer %zu", i + 1);
			return r;
		}
	}
	return 0;
}

/* ----------------------------------------------------------------------- the layout's own files */

static json_t *descriptor(struct build *b, const char *type, const char *hex)
{
	_free_ char *path = image_text(NULL, "%s/%s", b->blobs, hex);
	struct stat sb = { .st_size = 0 };
	char digest[IMAGE_DIGEST_LEN + 1];

	snprintf(digest, sizeof(digest), "sha256:%s", hex);
	if (!path || stat(path, &sb) < 0)
		return NULL;
	return json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest, "size",
			 (json_int_t)sb.st_size);
}

static char *manifest_text(struct build *b)
{
	_json_ json_t *m = json_object();
	json_t *layers = json_array();
	size_t n = json_array_size(b->parts->layers);

	json_put(m, "schemaVersion", json_integer(2));
	json_put(m, "mediaType", json_string(OCI "manifest.v1+json"));
	json_put(m, "config", descriptor(b, OCI "config.v1+json", b->id));
	for (size_t i = 0; i < n; i++)
		json_push(layers,
			  descriptor(b, OCI "layer.v1.tar", image_config_layer(b->document, i)));
	json_put(m, "layers", layers);
	return json_text(m);
}

static char *index_text(struct build *b, const char *manifest)
{
	_json_ json_t *x = json_object();
	json_t *d = descriptor(b, OCI "manifest.v1+json", manifest), *all = json_array();

	json_put(d, "annotations",
		 json_pack("{s:s}", "org.opencontainers.image.ref.name", "latest"));
	json_push(all, d);
	json_put(x, "schemaVersion", json_integer(2));
	json_put(x, "manifests", all);
	return json_text(x);
}

/* Takes text over. */
static int write_under(const char *dir, const char *name, char *text, struct cnm_error *err)
{
	_free_ char *path = image_text(err, "%s/%s", dir, name), *own = text;

	if (!path)
		return -ENOMEM;
	if (!own)
		return cnm_error_errno(err, ENOMEM, "write %s", path);
	return image_write(path, own, err);
}

static int write_layout(struct build *b, struct cnm_error *err)
{
	_free_ char *plain = image_text(err, "%s/manifest", b->blobs), *named = NULL;
	char digest[ID_SIZE];
	int r;

	if (!plain)
		return -ENOMEM;
	r = write_under(b->blobs, "manifest", manifest_text(b), err);
	if (r == 0)
		r = image_digest(plain, digest, err);
	if (r < 0)
		return r;
	named = image_text(err, "%s/%s", b->blobs, digest);
	if (!named)
		return -ENOMEM;
	if (rename(plain, named) < 0)
		return cnm_error_errno(err, errno, "move %s", plain);
	r = write_under(b->dir, "layout/index.json", index_text(b, digest), err);
	if (r == 0)
		r = write_under(b->dir, "layout/oci-layout",
				strdup("{\"imageLayoutVersion\":\"1.0.0\"}"), err);
	return r;
}

/* ------------------------------------------------------------------------------------- the tree */

static int unpack(struct build *b, struct cnm_error *err)
{
	_free_ char *layout = image_text(err, "%s/layout:latest", b->dir);
	_free_ char *rootfs = image_text(err, "%s/rootfs", b->dir);
	const char *argv[] = { "umoci",   "--log=error", "raw",  "unpack",
			       "--image", layout,        rootfs, NULL };
	/* No file is larger than the layers together, unless it is all holes: a bomb. */
	struct process_options o = { .what = "unpack the image", .max_file = b->used };

	return layout && rootfs ? image_run(argv, &o, NULL, err) : -ENOMEM;
}

/* The unpacked tree, which may be no larger than the packed image may be. */
static int make_tree(struct images *im, struct build *b, uint64_t *ret_size, struct cnm_error *err)
{
	_free_ char *rootfs = image_text(err, "%s/rootfs", b->dir);
	int r = rootfs ? unpack(b, err) : -ENOMEM;

	if (r == 0)
		r = tree_size(rootfs, ret_size, err);
	if (r == 0 && *ret_size > im->max_bytes)
		r = cnm_error_set(
			err, CNM_E_INVALID,
			"it has %llu bytes unpacked, more than the %llu that an image may "
			"have",
			(unsigned long long)*ret_size, (unsigned long long)im->max_bytes);
	return r;
}

static struct image *image_of(const struct build *b, uint64_t size)
{
	struct image *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	list_init(&i->node);
	memcpy(i->id, b->id, ID_SIZE);
	i->document = json_incref(b->document);
	i->size = size;
	i->tags = json_array();
	i->digests = json_array();
	if (i->tags && i->digests)
		return i;
	image_free(i);
	return NULL;
}

static int build(struct images *im, struct build *b, const char *work, struct image **ret,
		 struct cnm_error *err)
{
	uint64_t size = 0;
	int r = make_dirs(b, work, err);

	if (r == 0)
		r = take_config(b, err);
	if (r == 0)
		r = take_layers(b, err);
	if (r == 0)
		r = write_layout(b, err);
	if (r == 0)
		r = make_tree(im, b, &size, err);
	if (r < 0)
		return r;
	*ret = image_of(b, size);
	return *ret ? 0 : cnm_error_errno(err, ENOMEM, "keep an image");
}

int image_build(struct images *im, const char *work, const struct image_parts *parts,
		struct image **ret, struct cnm_error *err)
{
	struct build b = { .parts = parts, .left = im->max_bytes };
	int r = build(im, &b, work, ret, err);

	build_free(&b);
	return r;
}

/* ------------------------------------------------------------------------------------ its place */

/* What is on the disk is whole before the row says that it is there. */
static int move_in(struct images *im, const char *work, const char *id, struct cnm_error *err)
{
	_free_ char *from = image_text(err, "%s/image", work);
	_free_ char *to = image_text(err, "%s/%s", im->dir, id);
	_close_ int fd = open(im->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (!from || !to)
		return -ENOMEM;
	if (fd < 0 || syncfs(fd) < 0)
		return cnm_error_errno(err, errno, "write %s to the disk", im->dir);
	return rename(from, to) < 0 ? cnm_error_errno(err, errno, "move an image to %s", to) : 0;
}

static void move_out(struct images *im, const char *work, const char *id)
{
	_free_ char *to = image_text(NULL, "%s/image", work);
	_free_ char *from = image_text(NULL, "%s/%s", im->dir, id);

	if (from && to)
		rename(from, to); /* else the next start sweeps it */
}

/* With the turn. */
static int add_new(struct images *im, const char *work, struct image *i, json_t *tags,
		   json_t *digests, struct cnm_error *err)
{
	int r = move_in(im, work, i->id, err);

	if (r < 0)
		return r;
	r = image_add_names(im, i, tags, digests, true, err);
	if (r < 0)
		move_out(im, work, i->id);
	return r;
}

int image_add(struct images *im, const char *work, struct image *i, json_t *tags, json_t *digests,
	      const char *action, struct cnm_error *err)
{
	const char *name = json_string_value(json_array_get(tags, 0));
	char id[ID_SIZE];
	struct image *present;
	int r;

	memcpy(id, i->id, ID_SIZE);
	image_turn_begin(im);
	present = image_by_id(im, id);
	r = present ? image_add_names(im, present, tags, digests, false, err)
		    : add_new(im, work, i, tags, digests, err);
	if (present || r < 0)
		image_free(i);
	image_turn_end(im);
	if (r == 0 && action)
		image_tell(im, action, id, name ? name : id);
	return r;
}

/* ----------------------------------------------------------------------------------- a manifest */

static const char *descriptor_hex(const json_t *d)
{
	const char *digest = json_string_value(json_object_get(d, "digest"));

	return digest ? image_digest_hex(digest) : NULL;
}

int image_manifest_parts(const json_t *manifest, const char *blobs, char **ret_config,
			 const char **ret_id, json_t **ret_layers, struct cnm_error *err)
{
	const char *id = descriptor_hex(json_object_get(manifest, "config"));
	const json_t *layers = json_object_get(manifest, "layers");
	_json_ json_t *names = json_array();
	_free_ char *config = NULL;
	json_t *d;
	size_t i;

	if (!id || !json_is_array(layers) || json_array_size(layers) > IMAGE_MAX_LAYERS)
		return cnm_error_set(
			err, CNM_E_INVALID,
			"its manifest is wrong: it must name a \"config\" and \"layers\", "
			"at most %d",
			IMAGE_MAX_LAYERS);
	json_array_foreach (layers, i, d) {
		const char *hex = descriptor_hex(d);

		if (!hex)
			return cnm_error_set(
				err, CNM_E_INVALID,
				"its manifest is wrong: layer %zu has no sha256 digest", i + 1);
		if (json_push(names, json_sprintf("%s%s", blobs, hex)) < 0)
			return cnm_error_errno(err, ENOMEM, "read a manifest");
	}
	config = image_text(err, "%s%s", blobs, id);
	if (!config)
		return -ENOMEM;
	*ret_config = take_ptr(config);
	*ret_id = id;
	*ret_layers = take_ptr(names);
	return 0;
}
