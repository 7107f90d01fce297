/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening the images, and finding one. See images_internal.h for how the whole works. */
#include "containers/images.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/str.h"
#include "containers/images_internal.h"
#include "containers/rootfs.h"

#define DEFAULT_MAX_BYTES (UINT64_C(16) << 30)

/* -------------------------------------------------------------------------------------- opening */

/* Rows that cannot be read, or whose directory is gone. */
struct reading {
	struct images *im;
	json_t *lost;
};

static int read_row(const struct store_row *row, void *arg, struct cnm_error *err)
{
	struct reading *rd = arg;
	struct cnm_error why = { .class = CNM_E_INVALID, .text = "its row is damaged" };
	struct image *i = image_from_row(rd->im, row, &why);

	if (i) {
		list_append(&rd->im->all, &i->node);
		return 0;
	}
	log_warn("the image %.12s is dropped: %s; load or pull it again", row->id, why.text);
	return json_push(rd->lost, json_string(row->id));
}

static int drop_lost(struct images *im, const json_t *lost, struct cnm_error *err)
{
	struct store_tx *tx = store_tx_new(im->store);
	json_t *id;
	size_t i;

	json_array_foreach (lost, i, id)
		if (tx)
			store_tx_delete(tx, STORE_IMAGE, json_string_value(id));
	return store_commit(im->store, tx, STORE_FULL, err);
}

static int read_rows(struct images *im, struct cnm_error *err)
{
	_json_ json_t *lost = json_array();
	struct reading rd = { .im = im, .lost = lost };
	int r = lost ? store_each(im->store, STORE_IMAGE, read_row, &rd, err)
		     : cnm_error_errno(err, ENOMEM, "read the images");

	return r < 0 ? r : drop_lost(im, lost, err);
}

/* What a crash left: unfinished work, and directories that no row tells of. */
static bool is_leftover(struct images *im, const char *name)
{
	return str_after(name, "tmp.") || (id_is_valid(name) && !image_by_id(im, name));
}

static int sweep(struct images *im, struct cnm_error *err)
{
	DIR *d = opendir(im->dir);
	struct dirent *e;

	if (!d)
		return cnm_error_errno(err, errno, "read %s", im->dir);
	while ((e = readdir(d))) {
		_free_ char *path = image_text(NULL, "%s/%s", im->dir, e->d_name);
		struct cnm_error why;

		if (!path || !is_leftover(im, e->d_name))
			continue;
		log_info("%s is the leftover of an image that was never complete: it is removed",
			 path);
		if (tree_remove(path, &why) < 0)
			log_warn("%s", why.text);
	}
	closedir(d);
	return 0;
}

static int start(struct images *im, const struct images_options *o, struct cnm_error *err)
{
	int r;

	im->dir = strdup(o->dir);
	im->busybox = strdup(o->busybox ? o->busybox : "/bin/busybox");
	if (!im->dir || !im->busybox)
		return cnm_error_errno(err, ENOMEM, "open the images");
	if (mkdir(im->dir, 0700) < 0 && errno != EEXIST)
		return cnm_error_errno(err, errno, "make the images' directory %s", im->dir);
	r = read_rows(im, err);
	return r < 0 ? r : sweep(im, err);
}

int images_open(struct images **ret, const struct images_options *options, struct cnm_error *err)
{
	struct images *im = calloc(1, sizeof(*im));
	int r;

	if (!im)
		return cnm_error_errno(err, ENOMEM, "open the images");
	im->store = options->store;
	im->max_bytes = options->max_bytes ? options->max_bytes : DEFAULT_MAX_BYTES;
	im->user_of = options->user_of;
	im->event = options->event;
	im->arg = options->arg;
	list_init(&im->all);
	pthread_mutex_init(&im->mutex, NULL);
	pthread_cond_init(&im->changed, NULL);
	r = start(im, options, err);
	if (r < 0)
		images_close(im);
	else
		*ret = im;
	return r;
}

void images_close(struct images *im)
{
	struct image *i, *next;

	if (!im)
		return;
	list_for_each_safe (i, next, &im->all, node)
		image_free(i);
	pthread_cond_destroy(&im->changed);
	pthread_mutex_destroy(&im->mutex);
	free(im->busybox);
	free(im->dir);
	free(im);
}

/* -------------------------------------------------------------------------------------- finding */

/* The one it means, once it is certain that it stays. */
static struct image *settled(struct images *im, const char *ref)
{
	struct image *i;

	while ((i = image_lookup(im, ref)) && i == im->leaving)
		pthread_cond_wait(&im->changed, &im->mutex);
	return i;
}

static int describe(struct images *im, const struct image *i, struct image_info *ret)
{
	const json_t *config = json_object_get(i->document, "config");
	struct image_info info = { .rootfs = NULL };

	memcpy(info.id, i->id, ID_SIZE);
	info.rootfs = image_text(NULL, "%s/%s/rootfs", im->dir, i->id);
	info.config = json_is_object(config) ? json_deep_copy(config) : json_object();
	if (!info.rootfs || !info.config) {
		image_info_free(&info);
		return -ENOMEM;
	}
	*ret = info;
	return 0;
}

void image_info_free(struct image_info *i)
{
	free(i->rootfs);
	json_decref(i->config);
	i->rootfs = NULL;
	i->config = NULL;
}

/* 1: there is none. */
static int find(struct images *im, const char *ref, struct image_info *ret, struct cnm_error *err)
{
	const struct image *i;

	LOCKED(&im->mutex);
	i = settled(im, ref);
	if (!i)
		return 1;
	return describe(im, i, ret) < 0 ? cnm_error_errno(err, ENOMEM, "find an image") : 0;
}

/* One makes it; who comes meanwhile waits for that one's image. */
static int make_busybox_once(struct images *im, struct cnm_error *err)
{
	int r;

	pthread_mutex_lock(&im->mutex);
	while (im->making_busybox)
		pthread_cond_wait(&im->changed, &im->mutex);
	if (image_lookup(im, image_busybox_name)) {
		pthread_mutex_unlock(&im->mutex);
		return 0;
	}
	im->making_busybox = true;
	pthread_mutex_unlock(&im->mutex);
	r = image_make_busybox(im, err);
	LOCKED(&im->mutex);
	im->making_busybox = false;
	pthread_cond_broadcast(&im->changed);
	return r;
}

int images_find(struct images *im, const char *ref, struct image_info *ret, struct cnm_error *err)
{
	char name[IMAGE_REF_STR];
	struct image_ref parsed;
	int r = find(im, ref, ret, err);

	if (r <= 0)
		return r;
	if (id_is_valid(ref) || image_digest_hex(ref))
		return cnm_error_set(err, CNM_E_NOT_FOUND, "No such image: %s", ref);
	r = image_ref_parse(&parsed, ref, err);
	if (r < 0)
		return r;
	image_ref_format(&parsed, name);
	if (streq(name, image_busybox_name)) {
		r = make_busybox_once(im, err);
		if (r == 0)
			r = find(im, name, ret, err);
		if (r <= 0)
			return r;
	}
	return cnm_error_set(err, CNM_E_NOT_FOUND, "No such image: %s", name);
}

int images_lookup(struct images *im, const char *ref, char ret_id[static ID_SIZE])
{
	const struct image *i;

	LOCKED(&im->mutex);
	i = image_lookup(im, ref);
	if (!i)
		return -ENOENT;
	memcpy(ret_id, i->id, ID_SIZE);
	return 0;
}

bool images_names(struct images *im, const char *ref, const char *id)
{
	const struct image *i;

	LOCKED(&im->mutex);
	i = image_lookup(im, ref);
	return i && streq(i->id, id);
}

unsigned images_count(struct images *im)
{
	unsigned n = 0;
	struct image *i;

	LOCKED(&im->mutex);
	list_for_each (i, &im->all, node)
		n++;
	return n;
}
