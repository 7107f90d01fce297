/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From rows to containers, at open, before the first request.
 *
 * A container that was being made is taken back and one that was being removed is finished. One
 * whose row says that it runs is adopted if its conmon lives; else its end is handled as if it had
 * just been heard of, with the status that conmon left, or 255 after a reboot. Everything else does
 * not run: whatever is left of a start that a crash cut short is cleaned. Directories, bundles and
 * declared sandboxes without a container are leftovers too.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/str.h"
#include "containers/container.h"
#include "containers/rootfs.h"

struct restore {
	struct containers *cs;
	struct store_tx *gone; /* rows to delete */
};

static int load(const struct store_row *row, void *arg, struct cnm_error *err)
{
	struct restore *rs = arg;
	struct cnm_error why = { 0 };
	struct container *c;
	int r = container_decode(row, &c, &why);

	if (row->state != STORE_READY) {
		store_tx_delete(rs->gone, STORE_CONTAINER, row->id);
		if (r == 0 && row->state == STORE_CREATING)
			container_remove_volumes(rs->cs, c->c.mounts);
		if (r == 0)
			container_free(c);
		return 0;
	}
	if (r == 0) {
		c->busy = true; /* until all are restored: jobs wait */
		r = container_add(rs->cs, c);
		if (r < 0) {
			cnm_error_errno(&why, r, "enter it");
			container_free(c);
		}
	}
	if (r < 0) /* it stays in the database and does not hold up the rest */
		log_err("restore container %s: %s; it is left out", row->name, why.text);
	return 0;
}

/* ---- leftovers */

/* Calls fn with the name of each entry of a directory that is an id and no container's. */
static void each_stray(struct containers *cs, const char *dir,
		       void (*fn)(struct containers *cs, const char *id))
{
	DIR *d = opendir(dir);
	const struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (id_is_valid(entry->d_name) && !container_by_id(cs, entry->d_name))
			fn(cs, entry->d_name);
	if (d)
		closedir(d);
}

static void clean_stray(struct containers *cs, const char *id)
{
	struct container c = { .state = CONTAINER_EXITED };

	str_copy(c.id, sizeof(c.id), id);
	container_clean(cs, &c);
}

static void drop_stray(struct containers *cs, const char *id)
{
	struct cnm_error err = { 0 };
	char path[CONTAINER_PATH];

	container_dir(cs, id, path);
	if (tree_remove(path, &err) < 0)
		log_warn("remove what a container left: %s", err.text);
}

/* Declared sandboxes are containers' alone. */
static void drop_stray_sandboxes(struct containers *cs)
{
	struct cnm_engine *e = cs->engine;
	char id[ID_SIZE];

	do {
		const struct sandbox *sb;
		struct cnm_error err = { 0 };

		id[0] = 0;
		pthread_mutex_lock(&e->lock);
		list_for_each (sb, &e->model.sandboxes, node)
			if (sb->declared && !container_by_id(cs, sb->id))
				memcpy(id, sb->id, ID_SIZE);
		pthread_mutex_unlock(&e->lock);
		if (id[0] && (cnm_sandbox_stop(e, id, NULL, &err) < 0 ||
			      cnm_sandbox_remove(e, id, NULL, &err) < 0)) {
			log_warn("remove the sandbox of a container that is gone: %s", err.text);
			break;
		}
	} while (id[0]);
}

/* ---- what runs, or ran */

/* A rename may have been cut short between the two rows. */
static void align_name(struct containers *cs, const struct container *c)
{
	struct cnm_engine *e = cs->engine;
	const struct sandbox *sb;
	bool differs;

	pthread_mutex_lock(&e->lock);
	sb = map_get(&e->model.sandbox_by_id, c->id);
	differs = sb && !streq(sb->name, c->name);
	pthread_mutex_unlock(&e->lock);
	if (differs)
		cnm_sandbox_rename(e, c->id, c->name, NULL);
}

static bool adopt(struct containers *cs, struct container *c)
{
	char bundle[CONTAINER_PATH];
	struct runtime_made made;

	container_bundle(cs, c->id, bundle);
	if (runtime_adopt(bundle, c->id, &made) < 0)
		return false;
	c->pid = made.pid;
	c->pidfd = made.pidfd;
	c->conmon_pidfd = made.conmon_pidfd;
	c->over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return true;
}

static void restore_one(struct containers *cs, struct container *c)
{
	align_name(cs, c);
	if (c->state == CONTAINER_RUNNING) {
		/* Adopted or not: the monitor finds out which it is. */
		if (!adopt(cs, c))
			log_info("container %s has ended while no daemon ran", c->name);
		pthread_mutex_lock(&cs->lock);
		if (monitor_watch(cs, c) < 0)
			log_err("container %s cannot be watched: its end will not be noticed",
				c->name);
		pthread_mutex_unlock(&cs->lock);
		return;
	}
	container_clean(cs, c);
	container_restore_policy(cs, c);
}

int containers_restore(struct containers *cs, struct cnm_error *err)
{
	struct restore rs = { .cs = cs, .gone = store_tx_new(cs->engine->store) };
	struct container *c, *tmp;
	int r = store_each(cs->engine->store, STORE_CONTAINER, load, &rs, err);

	if (r < 0) {
		store_tx_free(rs.gone);
		return r;
	}
	each_stray(cs, cs->run_dir, clean_stray);
	drop_stray_sandboxes(cs);
	each_stray(cs, cs->dir, drop_stray);
	if (store_commit(cs->engine->store, rs.gone, STORE_FULL, NULL) < 0)
		log_warn("tidy the database: it cannot be written; changes are refused until then");
	list_for_each_safe (c, tmp, &cs->all, node)
		restore_one(cs, c);
	pthread_mutex_lock(&cs->lock);
	list_for_each (c, &cs->all, node)
		container_release(cs, c);
	pthread_mutex_unlock(&cs->lock);
	monitor_wake(cs);
	return 0;
}
