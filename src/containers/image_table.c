/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of images and its rows. A row's body is {"Tags","Digests","Size","Tagged"}; the rest is
 * read from the image's directory.
 *
 * A name belongs to one image: who gets it takes it from who had it, in one transaction. What the
 * names will be is computed beside those that are (next_tags, next_digests), committed, and only
 * then swapped in under the mutex.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "containers/images_internal.h"

void image_turn_begin(struct images *im)
{
	LOCKED(&im->mutex);
	while (im->turn)
		pthread_cond_wait(&im->changed, &im->mutex);
	im->turn = true;
}

void image_turn_end(struct images *im)
{
	LOCKED(&im->mutex);
	im->turn = false;
	pthread_cond_broadcast(&im->changed);
}

void image_tell(struct images *im, const char *action, const char *id, const char *name)
{
	if (im->event)
		im->event(action, id, name, im->arg);
}

/* -------------------------------------------------------------------------------------- look up */

static bool has_bytes(const json_t *names, const char *name, size_t *ret_at)
{
	json_t *v;
	size_t i;

	json_array_foreach (names, i, v)
		if (streq(json_string_value(v), name)) {
			*ret_at = i;
			return true;
		}
	return false;
}

bool image_has(const json_t *names, const char *name)
{
	size_t at;

	return has_bytes(names, name, &at);
}

struct image *image_by_id(struct images *im, const char *id)
{
	struct image *i;

	list_for_each (i, &im->all, node)
		if (streq(i->id, id))
			return i;
	return NULL;
}

static struct image *by_name(struct images *im, const char *ref)
{
	struct image_ref parsed;
	char name[IMAGE_REF_STR];
	struct image *i;

	if (image_ref_parse(&parsed, ref, NULL) < 0)
		return NULL;
	image_ref_format(&parsed, name);
	list_for_each (i, &im->all, node)
		if (image_has(parsed.digest[0] ? i->digests : i->tags, name))
			return i;
	return NULL;
}

static struct image *by_prefix(struct images *im, const char *ref)
{
	const char *hex = str_after(ref, "sha256:");
	struct image *i, *found = NULL;

	if (!hex)
		hex = ref;
	if (!*hex)
		return NULL;
	list_for_each (i, &im->all, node) {
		if (!str_after(i->id, hex))
			continue;
		if (found)
			return NULL;
		found = i;
	}
	return found;
}

struct image *image_lookup(struct images *im, const char *ref)
{
	struct image *i = by_name(im, ref);

	return i ? i : by_prefix(im, ref);
}

/* ----------------------------------------------------------------------------------------- rows */

void image_free(struct image *i)
{
	if (!i)
		return;
	list_del(&i->node);
	json_decref(i->document);
	json_decref(i->tags);
	json_decref(i->digests);
	json_decref(i->next_tags);
	json_decref(i->next_digests);
	free(i);
}

static char *row_body(const struct image *i, int64_t tagged)
{
	_json_ json_t *o = json_object();

	json_put(o, "Tags", json_incref(i->next_tags ? i->next_tags : i->tags));
	json_put(o, "Digests", json_incref(i->next_digests ? i->next_digests : i->digests));
	json_put(o, "Size", json_integer((json_int_t)i->size));
	json_put(o, "Tagged", json_integer(tagged));
	return json_text(o);
}

static int read_names(const json_t *body, const char *key, json_t **ret, struct cnm_error *err)
{
	json_t *names = NULL, *v;
	size_t i;
	int r = json_get_array(body, key, &names, err);

	if (r < 0)
		return r;
	json_array_foreach (names, i, v)
		if (!json_is_string(v))
			return cnm_error_set(err, CNM_E_INVALID, "field \"%s\" is damaged", key);
	*ret = names ? json_incref(names) : json_array();
	return *ret ? 0 : cnm_error_errno(err, ENOMEM, "read an image's row");
}

static int read_body(struct image *i, const char *text, struct cnm_error *err)
{
	_json_ json_t *body = NULL;
	int64_t size = 0;
	int r = image_parse(text, "an image's row", &body, err);

	if (r == 0)
		r = read_names(body, "Tags", &i->tags, err);
	if (r == 0)
		r = read_names(body, "Digests", &i->digests, err);
	if (r == 0)
		r = json_get_int(body, "Size", &size, err);
	if (r == 0)
		r = json_get_int(body, "Tagged", &i->tagged, err);
	i->size = (uint64_t)size;
	return r;
}

static int read_document(struct images *im, struct image *i, struct cnm_error *err)
{
	_free_ char *path = image_text(err, "%s/%s/layout/blobs/sha256/%s", im->dir, i->id, i->id);
	_free_ char *rootfs = image_text(err, "%s/%s/rootfs", im->dir, i->id);
	const json_t *rootfs_of;
	int r;

	if (!path || !rootfs)
		return -ENOMEM;
	r = image_read_json(path, "the image's configuration", &i->document, err);
	if (r < 0)
		return r;
	if (!i->document || access(rootfs, F_OK) < 0)
		return cnm_error_set(err, CNM_E_NOT_FOUND, "%s/%s is not there, or not whole",
				     im->dir, i->id);
	rootfs_of = json_object_get(i->document, "rootfs");
	return image_config_check(i->document,
				  json_array_size(json_object_get(rootfs_of, "diff_ids")), err);
}

struct image *image_from_row(struct images *im, const struct store_row *row, struct cnm_error *err)
{
	struct image *i = calloc(1, sizeof(*i));

	if (!i) {
		cnm_error_errno(err, ENOMEM, "read an image's row");
		return NULL;
	}
	list_init(&i->node);
	if (str_copy(i->id, sizeof(i->id), row->id) && id_is_valid(i->id) &&
	    read_body(i, row->body, err) == 0 && read_document(im, i, err) == 0)
		return i;
	image_free(i);
	return NULL;
}

/* ---------------------------------------------------------------------------------------- names */

/* names without those of gone; NULL if it has none of them or memory ran out (*ret_bad). */
static json_t *without(const json_t *names, const json_t *gone, bool *ret_bad)
{
	_json_ json_t *left = json_copy((json_t *)names);
	const char *name;
	bool less = false;
	json_t *v;
	size_t i, at;

	json_array_foreach (gone, i, v) {
		name = json_string_value(v);
		if (left && has_bytes(left, name, &at)) {
			json_array_remove(left, at);
			less = true;
		}
	}
	*ret_bad |= !left;
	return less ? take_ptr(left) : NULL;
}

/* names and those of more that it lacks, in *ret; NULL if it has them all. */
static json_t *with(const json_t *names, const json_t *more, bool *ret_bad)
{
	_json_ json_t *all = json_copy((json_t *)names);
	bool grown = false;
	json_t *v;
	size_t i;

	json_array_foreach (more, i, v) {
		if (all && image_has(all, json_string_value(v)))
			continue;
		*ret_bad |= !all || json_array_append(all, v) < 0;
		grown = true;
	}
	*ret_bad |= !all;
	return grown ? take_ptr(all) : NULL;
}

static void forget_next(struct images *im, struct image *also)
{
	struct image *i;

	list_for_each (i, &im->all, node) {
		json_decref(i->next_tags);
		json_decref(i->next_digests);
		i->next_tags = i->next_digests = NULL;
	}
	json_decref(also->next_tags);
	json_decref(also->next_digests);
	also->next_tags = also->next_digests = NULL;
}

static void swap_next(struct image *i)
{
	if (i->next_tags) {
		json_decref(i->tags);
		i->tags = take_ptr(i->next_tags);
	}
	if (i->next_digests) {
		json_decref(i->digests);
		i->digests = take_ptr(i->next_digests);
	}
}

static void put_row(struct store_tx *tx, const struct image *i, bool is_new, int64_t tagged,
		    bool *ret_bad)
{
	_free_ char *body = row_body(i, tagged);
	struct store_row row = {
		.kind = STORE_IMAGE, .state = STORE_READY, .id = i->id, .body = body
	};

	*ret_bad |= !body;
	if (!body || !tx)
		return;
	if (is_new)
		store_tx_insert(tx, &row);
	else
		store_tx_update(tx, &row);
}

/* Commits what next_tags and next_digests say, and then makes it so. gets: the one that got a name.
 */
static int commit_next(struct images *im, struct image *gets, bool is_new, struct cnm_error *err)
{
	struct store_tx *tx = store_tx_new(im->store);
	int64_t now = clock_wall_ns();
	struct image *i;
	bool bad = !tx;
	int r;

	if (is_new)
		put_row(tx, gets, true, now, &bad);
	list_for_each (i, &im->all, node)
		if (i->next_tags || i->next_digests)
			put_row(tx, i, false, i == gets ? now : i->tagged, &bad);
	if (bad) {
		store_tx_free(tx);
		return cnm_error_errno(err, ENOMEM, "name an image");
	}
	r = store_commit(im->store, tx, STORE_FULL, err);
	if (r < 0)
		return r;
	LOCKED(&im->mutex);
	if (is_new || gets->next_tags || gets->next_digests)
		gets->tagged = now;
	if (is_new)
		list_append(&im->all, &gets->node);
	list_for_each (i, &im->all, node)
		swap_next(i);
	return 0;
}

int image_add_names(struct images *im, struct image *i, json_t *tags, json_t *digests, bool is_new,
		    struct cnm_error *err)
{
	struct image *other;
	bool bad = false;
	int r;

	list_for_each (other, &im->all, node)
		if (other != i)
			other->next_tags = without(other->tags, tags, &bad);
	i->next_tags = with(i->tags, tags, &bad);
	i->next_digests = with(i->digests, digests, &bad);
	r = bad ? cnm_error_errno(err, ENOMEM, "name an image") : commit_next(im, i, is_new, err);
	forget_next(im, i);
	return r;
}

int image_drop_names(struct images *im, struct image *i, const json_t *names, struct cnm_error *err)
{
	bool bad = false;
	int r;

	i->next_tags = without(i->tags, names, &bad);
	i->next_digests = without(i->digests, names, &bad);
	r = bad ? cnm_error_errno(err, ENOMEM, "untag an image") : commit_next(im, i, false, err);
	forget_next(im, i);
	return r;
}

int image_delete(struct images *im, struct image *i, char **ret_gone, struct cnm_error *err)
{
	_free_ char *dir = image_text(err, "%s/%s", im->dir, i->id);
	char *gone = NULL;
	struct store_tx *tx;
	int r = dir ? image_work_new(im, &gone, err) : -ENOMEM;

	if (r < 0)
		return r;
	tx = store_tx_new(im->store);
	if (tx)
		store_tx_delete(tx, STORE_IMAGE, i->id);
	r = store_commit(im->store, tx, STORE_FULL, err);
	if (r < 0) {
		image_work_done(&gone);
		return r;
	}
	rename(dir, gone); /* over the empty directory; else the next start sweeps it */
	*ret_gone = gone;
	LOCKED(&im->mutex);
	list_del(&i->node);
	return 0;
}
