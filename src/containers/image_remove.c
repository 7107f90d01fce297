/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tagging and removing, by Docker's rules.
 *
 * Whether an image is used is asked without a lock, so a container could be made of it meanwhile.
 * Therefore the image is `leaving` while that is decided: images_find() waits until it stays or is
 * gone. Who makes a container adds it where user_of() sees it and then finds the image once more.
 */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "containers/images_internal.h"

static int no_such(const char *ref, struct cnm_error *err)
{
	struct image_ref parsed;
	char name[IMAGE_REF_STR];

	if (image_ref_parse(&parsed, ref, NULL) == 0)
		ref = image_ref_format(&parsed, name);
	return cnm_error_set(err, CNM_E_NOT_FOUND, "No such image: %.300s", ref);
}

/* ------------------------------------------------------------------------------------------ tag */

int images_tag(struct images *im, const char *ref, const char *repo, const char *tag,
	       struct cnm_error *err)
{
	_free_ char *asked = image_text(err, tag && *tag ? "%s:%s" : "%s", repo, tag);
	_json_ json_t *tags = NULL;
	char name[IMAGE_REF_STR], id[ID_SIZE];
	struct image_ref parsed;
	struct image *i;
	int r = asked ? image_ref_parse(&parsed, asked, err) : -ENOMEM;

	if (r < 0)
		return r;
	if (parsed.digest[0])
		return cnm_error_set(err, CNM_E_INVALID,
				     "refusing to create a tag with a digest reference");
	tags = json_pack("[s]", image_ref_format(&parsed, name));
	if (!tags)
		return cnm_error_errno(err, ENOMEM, "tag an image");
	image_turn_begin(im);
	i = image_lookup(im, ref);
	if (i)
		memcpy(id, i->id, ID_SIZE);
	r = i ? image_add_names(im, i, tags, NULL, false, err) : no_such(ref, err);
	image_turn_end(im);
	if (r == 0)
		image_tell(im, "tag", id, name);
	return r;
}

/* --------------------------------------------------------------------------------------- remove */

/* A removal under way, by who has the turn. */
struct removal {
	struct images *im;
	struct image *image;
	const char *ref;
	char name[IMAGE_REF_STR]; /* ref in full */
	bool by_name, force;
	char *used, *running; /* a container that uses it, and one that runs */
	json_t *dropped;      /* the names it lost */
	char *gone;           /* where its directory went, once it is deleted */
};

static void removal_free(struct removal *rm)
{
	free(rm->used);
	free(rm->running);
	json_decref(rm->dropped);
	image_work_done(&rm->gone);
}

/* Docker names a container by the beginning of its id. */
static int short_of(const char *name)
{
	return id_is_valid(name) ? ID_SHORT : 128;
}

static int in_use_by_name(const struct removal *rm, struct cnm_error *err)
{
	return cnm_error_set(
		err, CNM_E_CONFLICT,
		"conflict: unable to remove repository reference \"%.300s\" (must force) "
		"- container %.*s is using its referenced image %.12s",
		rm->ref, short_of(rm->used), rm->used, rm->image->id);
}

static int in_use(const struct removal *rm, struct cnm_error *err)
{
	const char *by = rm->running ? rm->running : rm->used;

	return cnm_error_set(err, CNM_E_CONFLICT,
			     "conflict: unable to delete %.12s (%s) - image is being used by %s "
			     "container %.*s",
			     rm->image->id, rm->running ? "cannot be forced" : "must be forced",
			     rm->running ? "running" : "stopped", short_of(by), by);
}

/* Are the names a and b of one repository? */
static bool same_repository(const char *a, const char *b)
{
	struct image_ref one, other;

	return image_ref_parse(&one, a, NULL) == 0 && image_ref_parse(&other, b, NULL) == 0 &&
	       streq(one.name, other.name);
}

/* Are all its names of one repository, and at most one a tag? */
static bool has_one_name(const struct image *i)
{
	const char *tag = json_string_value(json_array_get(i->tags, 0));
	json_t *v;
	size_t k;

	if (json_array_size(i->tags) > 1)
		return false;
	json_array_foreach (i->digests, k, v)
		if (tag && !same_repository(tag, json_string_value(v)))
			return false;
	return true;
}

static int drop(struct removal *rm, const json_t *names, struct cnm_error *err)
{
	int r = image_drop_names(rm->im, rm->image, names, err);

	if (r < 0)
		return r;
	if (json_array_extend(rm->dropped, (json_t *)names) < 0)
		return cnm_error_errno(err, ENOMEM, "remove an image");
	return 0;
}

static int drop_all(struct removal *rm, struct cnm_error *err)
{
	_json_ json_t *names = json_copy(rm->image->tags);

	if (!names || json_array_extend(names, rm->image->digests) < 0)
		return cnm_error_errno(err, ENOMEM, "remove an image");
	return json_array_size(names) ? drop(rm, names, err) : 0;
}

/* The name asked for, and the repository's digests if it was the repository's last tag. */
static json_t *names_to_drop(const struct removal *rm)
{
	json_t *names = json_pack("[s]", rm->name), *v;
	size_t i;

	json_array_foreach (rm->image->tags, i, v)
		if (!streq(json_string_value(v), rm->name) &&
		    same_repository(json_string_value(v), rm->name))
			return names;
	json_array_foreach (rm->image->digests, i, v)
		if (!streq(json_string_value(v), rm->name) &&
		    same_repository(json_string_value(v), rm->name))
			json_push(names, json_incref(v));
	return names;
}

static int remove_by_name(struct removal *rm, struct cnm_error *err)
{
	_json_ json_t *names = NULL;
	int r;

	if (rm->used && !rm->force && has_one_name(rm->image))
		return in_use_by_name(rm, err);
	names = names_to_drop(rm);
	r = names ? drop(rm, names, err) : cnm_error_errno(err, ENOMEM, "remove an image");
	if (r < 0 || rm->used || json_array_size(rm->image->tags) ||
	    json_array_size(rm->image->digests))
		return r;
	return image_delete(rm->im, rm->image, &rm->gone, err);
}

static int remove_by_id(struct removal *rm, struct cnm_error *err)
{
	int r;

	if (rm->running || (rm->used && !rm->force))
		return in_use(rm, err);
	if (!rm->force && !has_one_name(rm->image))
		return cnm_error_set(err, CNM_E_CONFLICT,
				     "conflict: unable to delete %.12s (must be forced) - image is "
				     "referenced in multiple repositories",
				     rm->image->id);
	r = drop_all(rm, err);
	if (r < 0 || rm->used) /* the tree is the stopped container's too */
		return r;
	return image_delete(rm->im, rm->image, &rm->gone, err);
}

static void set_leaving(struct images *im, const struct image *i)
{
	LOCKED(&im->mutex);
	im->leaving = i;
	pthread_cond_broadcast(&im->changed);
}

static int decide(struct removal *rm, struct cnm_error *err)
{
	struct images *im = rm->im;

	if (im->user_of) {
		rm->used = im->user_of(rm->image->id, false, im->arg);
		rm->running = im->user_of(rm->image->id, true, im->arg);
	}
	return rm->by_name ? remove_by_name(rm, err) : remove_by_id(rm, err);
}

/* Is it called so, or only meant by (a part of) its id? */
static bool is_name(struct removal *rm)
{
	struct image_ref parsed;

	if (image_ref_parse(&parsed, rm->ref, NULL) < 0)
		return false;
	image_ref_format(&parsed, rm->name);
	return image_has(rm->image->tags, rm->name) || image_has(rm->image->digests, rm->name);
}

/* Tells what happened, as Docker answers and as events. */
static char *report(struct removal *rm, const char *id)
{
	_json_ json_t *list = json_array();
	json_t *v;
	size_t i;

	json_array_foreach (rm->dropped, i, v) {
		json_push(list, json_pack("{s:O}", "Untagged", v));
		image_tell(rm->im, "untag", id, json_string_value(v));
	}
	if (rm->gone) {
		json_push(list, json_pack("{s:o}", "Deleted", json_sprintf("sha256:%s", id)));
		image_tell(rm->im, "delete", id, id);
	}
	return json_text(list);
}

int images_remove(struct images *im, const char *ref, bool force, char **ret_json,
		  struct cnm_error *err)
{
	struct removal rm = { .im = im, .ref = ref, .force = force, .dropped = json_array() };
	char id[ID_SIZE];
	int r;

	image_turn_begin(im);
	rm.image = image_lookup(im, ref);
	if (rm.image && rm.dropped) {
		memcpy(id, rm.image->id, ID_SIZE);
		rm.by_name = is_name(&rm);
		set_leaving(im, rm.image);
		r = decide(&rm, err);
		set_leaving(im, NULL);
	} else {
		r = rm.image ? cnm_error_errno(err, ENOMEM, "remove an image") : no_such(ref, err);
	}
	if (rm.gone)
		image_free(rm.image);
	image_turn_end(im);
	if (r == 0 && !(*ret_json = report(&rm, id)))
		r = cnm_error_errno(err, ENOMEM, "remove an image");
	removal_free(&rm);
	return r;
}
