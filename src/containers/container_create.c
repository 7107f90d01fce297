/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Create, start, rename. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "containers/container.h"
#include "containers/rootfs.h"

/* ---- names */

static const char *const first[] = { "azure",  "brave",  "bright", "brisk",  "calm",   "clear",
				     "crisp",  "eager",  "early",  "fair",   "fleet",  "fresh",
				     "gentle", "golden", "hardy",  "jolly",  "keen",   "kind",
				     "light",  "lively", "lucid",  "mellow", "merry",  "mild",
				     "neat",   "nimble", "noble",  "plain",  "proud",  "quick",
				     "quiet",  "rapid",  "ready",  "sharp",  "silent", "smart",
				     "solid",  "steady", "swift",  "tidy",   "vivid",  "warm" };
static const char *const second[] = { "aspen", "badger", "beaver", "birch",   "canyon", "cedar",
				      "comet", "coral",  "crane",  "delta",   "dune",   "falcon",
				      "fern",  "finch",  "fjord",  "glacier", "harbor", "hawk",
				      "heron", "island", "lagoon", "lake",    "larch",  "lynx",
				      "maple", "marten", "meadow", "meteor",  "otter",  "owl",
				      "pine",  "plover", "rapids", "reef",    "ridge",  "river",
				      "wren",  "sable",  "spruce", "summit",  "swift",  "willow" };

/* One that is free; a number is added when the pairs run out of luck. Lock held. */
static char *choose_name(const struct containers *cs)
{
	for (unsigned i = 0;; i++) {
		unsigned char dice[3];
		char name[64];

		id_random(dice, sizeof(dice));
		snprintf(name, sizeof(name), "%s_%s", first[dice[0] % 42], second[dice[1] % 42]);
		if (i >= 6)
			snprintf(name + strlen(name), 8, "%u", dice[2] % 1000u);
		if (!map_get(&cs->by_name, name))
			return strdup(name);
	}
}

static int name_taken(struct containers *cs, const char *name, struct cnm_error *err)
{
	const struct container *o = map_get(&cs->by_name, name);

	return cnm_error_set(err, CNM_E_CONFLICT,
			     "Conflict. The container name \"/%s\" is already in use by container "
			     "\"%s\". You have to remove (or rename) that container to be able to "
			     "reuse that name.",
			     name, o ? o->id : "");
}

/* ---- create */

/* Everything that needs nobody else: the request, completed by the image. */
static int build(struct containers *cs, const json_t *body, unsigned version, struct container *c,
		 struct cnm_error *err)
{
	struct image_info image = { 0 };
	const char *ref;
	int r;

	id_new(c->id);
	c->created = clock_wall_ns();
	r = container_config_decode(&c->c, body, version, c->id, err);
	if (r < 0)
		return r;
	ref = json_string_value(json_object_get(c->c.config, "Image"));
	if (!ref || !*ref)
		return cnm_error_set(err, CNM_E_INVALID,
				     "no image given: \"Image\" names what the container is to "
				     "be made of");
	r = images_find(cs->images, ref, &image, err);
	if (r == 0) {
		memcpy(c->image, image.id, ID_SIZE);
		c->lower = take_ptr(image.rootfs);
		r = container_config_merge(&c->c, image.config, err);
	}
	image_info_free(&image);
	return r;
}

/* "container:NAME" is kept by id: the other may be renamed. Lock held. */
static int fix_mode(struct containers *cs, struct container *c, struct cnm_error *err)
{
	char mode[ID_SIZE + 16];
	struct container *other;
	const char *ref;

	if (container_network_mode(c->c.host, &ref) != NETWORK_CONTAINER ||
	    container_find(cs, ref, &other, NULL) < 0)
		return 0; /* start says what is wrong */
	snprintf(mode, sizeof(mode), "container:%s", other->id);
	if (json_object_set_new(c->c.host, "NetworkMode", json_string(mode)) < 0)
		return cnm_error_errno(err, ENOMEM, "network mode");
	return 0;
}

/* Lock held. It is busy from here on. */
static int enter(struct containers *cs, const char *name, struct container *c,
		 struct cnm_error *err)
{
	int r = fix_mode(cs, c, err);

	r = r < 0 ? r : container_links_fix(cs, c, err);
	if (r < 0)
		return r;
	c->name = name && *name ? strdup(name) : choose_name(cs);
	c->busy = true;
	r = c->name ? container_add(cs, c) : -ENOMEM;
	if (r == -EEXIST)
		return name_taken(cs, c->name, err);
	return r < 0 ? cnm_error_errno(err, r, "enter container %s", c->name ? c->name : "") : 0;
}

/* It may have been removed just before this container was there to be seen using it. */
static int check_image(struct containers *cs, const struct container *c, struct cnm_error *err)
{
	struct image_info image = { 0 };
	int r = images_find(cs->images, c->image, &image, err);

	image_info_free(&image);
	return r;
}

static int write_row(struct containers *cs, const struct container *c, enum store_state state,
		     bool insert, struct cnm_error *err)
{
	LOCKED(&cs->lock);

	return container_save(cs, c, state, insert,
			      state == STORE_READY ? STORE_FULL : STORE_NORMAL, err);
}

static int make(struct containers *cs, struct container *c, struct cnm_error *err)
{
	bool entered = container_has_own_volumes(c->c.mounts);
	char dir[CONTAINER_PATH];
	int r;

	container_dir(cs, c->id, dir);
	if (mkdir(dir, 0700) < 0)
		return cnm_error_errno(err, errno, "make directory %s", dir);
	r = check_image(cs, c, err);
	if (r == 0 && entered) /* only its row tells after a crash that they are of no use */
		r = write_row(cs, c, STORE_CREATING, true, err);
	if (r == 0)
		r = container_make_volumes(cs, c, err);
	if (r == 0)
		r = container_network_declare(cs, c, err);
	return r < 0 ? r : write_row(cs, c, STORE_READY, !entered, err);
}

static void drop_row(struct containers *cs, const struct container *c)
{
	struct store_tx *tx = store_tx_new(cs->engine->store);

	store_tx_delete(tx, STORE_CONTAINER, c->id);
	store_commit(cs->engine->store, tx, STORE_NORMAL, NULL);
}

static void unmake(struct containers *cs, struct container *c)
{
	char dir[CONTAINER_PATH];
	struct cnm_error err = { 0 };

	if (container_network_remove(cs, c, &err) < 0)
		log_warn("take container %s back: %s; the next start does", c->name, err.text);
	container_remove_volumes(cs, c->c.mounts);
	drop_row(cs, c);
	container_dir(cs, c->id, dir);
	tree_remove(dir, NULL);
	pthread_mutex_lock(&cs->lock);
	container_drop(cs, c);
	pthread_mutex_unlock(&cs->lock);
}

int containers_create(struct containers *cs, const char *name, const json_t *body, unsigned version,
		      char ret_id[static ID_SIZE], json_t **ret_warnings, struct cnm_error *err)
{
	struct container *c = container_new();
	int r;

	if (!c)
		return cnm_error_errno(err, ENOMEM, "create a container");
	if (name && name[0] == '/')
		name++;
	r = name && *name ? sandbox_check_name(name, err) : 0;
	if (r == 0)
		r = build(cs, body, version, c, err);
	if (r == 0) {
		pthread_mutex_lock(&cs->lock);
		r = enter(cs, name, c, err);
		pthread_mutex_unlock(&cs->lock);
	}
	if (r < 0) {
		container_free(c);
		return r;
	}
	r = make(cs, c, err);
	if (r < 0) {
		unmake(cs, c);
		return r;
	}
	pthread_mutex_lock(&cs->lock);
	memcpy(ret_id, c->id, ID_SIZE);
	*ret_warnings = json_incref(c->c.warnings);
	container_event(cs, c, "create", NULL);
	container_release(cs, c);
	pthread_mutex_unlock(&cs->lock);
	return 0;
}

/* ---- start */

int containers_start(struct containers *cs, const char *ref, struct cnm_error *err)
{
	struct container *c;
	int r;
	LOCKED(&cs->lock);

	r = container_acquire(cs, ref, &c, err);
	if (r < 0)
		return r;
	if (c->state == CONTAINER_RUNNING) {
		container_release(cs, c);
		return 1;
	}
	c->by_user = false;
	c->restarts = 0;
	c->restart_delay = 0;
	pthread_mutex_unlock(&cs->lock);
	r = container_run(cs, c, err);
	pthread_mutex_lock(&cs->lock);
	if (r < 0 && json_is_true(json_object_get(c->c.host, "AutoRemove")))
		container_after_run(cs, c);
	else
		container_release(cs, c);
	return r;
}

/* ---- rename */

/* Lock held, let go meanwhile; busy. The map's key lives in the name. */
static int set_name(struct containers *cs, struct container *c, char *name, struct cnm_error *err)
{
	char *old = c->name;
	int r = name ? map_add(&cs->by_name, name, c) : -ENOMEM;

	if (r == -EEXIST)
		r = name_taken(cs, name, err);
	else if (r < 0)
		cnm_error_errno(err, r, "rename");
	if (r < 0) {
		free(name);
		return r;
	}
	map_del(&cs->by_name, old);
	c->name = name;
	r = container_save(cs, c, STORE_READY, false, STORE_FULL, err);
	free(old);
	return r;
}

static int rename_sandbox(struct containers *cs, const struct container *c, struct cnm_error *err)
{
	int r;

	if (container_network_mode(c->c.host, NULL) == NETWORK_CONTAINER)
		return 0;
	pthread_mutex_unlock(&cs->lock);
	r = cnm_sandbox_rename(cs->engine, c->id, c->name, err);
	pthread_mutex_lock(&cs->lock);
	return r;
}

int containers_rename(struct containers *cs, const char *ref, const char *name,
		      struct cnm_error *err)
{
	_free_ char *old = NULL, *new = NULL;
	struct container *c;
	int r;
	LOCKED(&cs->lock);

	if (!name || !*name)
		return cnm_error_set(err, CNM_E_INVALID, "Neither old nor new names may be empty");
	if (name[0] == '/')
		name++;
	r = sandbox_check_name(name, err);
	if (r == 0)
		r = container_acquire(cs, ref, &c, err);
	if (r != 0)
		return r;
	old = strdup(c->name);
	new = strdup(name);
	if (!old || !new)
		r = cnm_error_errno(err, ENOMEM, "rename %s", ref);
	else if (streq(old, name))
		r = cnm_error_set(err, CNM_E_INVALID,
				  "Renaming a container with the same name as its current name");
	if (r == 0)
		r = set_name(cs, c, take_ptr(new), err);
	if (r == 0)
		r = rename_sandbox(cs, c, err);
	if (r < 0 && old && !streq(c->name, old))
		set_name(cs, c, strdup(old), NULL);
	if (r == 0)
		container_event(cs, c, "rename", json_pack("{s:s}", "oldName", old));
	container_release(cs, c);
	return r;
}
