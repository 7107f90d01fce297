/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is below the prefix in ZooKeeper.
 *
 * A key is a znode with data, be it of 0 bytes, and without children. A folder is one without data;
 * folders below the prefix are containers, which the server removes some time after their last
 * child. Of each znode the data is watched, of each folder the list of children, too. A watch
 * fires once and says only what kind of change there was, so the znode is read again, which sets
 * the watch anew: one request for a changed key, two for one that is new, and the list of names in
 * its folder for one that came or went. No request depends on how many keys there are elsewhere.
 *
 * Reads are done in phases: all that watches have said so far, and all that is found from there.
 * The library tells a watch's event before any answer that shows what caused it. So when a phase
 * ends and nothing more was said, everything read is as of one moment, and this is what a list
 * waits for. When there is more, what happened up to the last zxid seen before the phase began is
 * known completely by its end, and is told to the watcher, in the order of zxids; the rest waits
 * for the end of the next phase. A key's deletion has no zxid of its own; it is put where its
 * folder changed last.
 */
#include "cluster/zookeeper_tree.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"

#define CHUNK 256 /* requests on their way at a time */

enum kind { UNKNOWN, FOLDER, LEAF };

struct node {
	struct node *parent;
	struct list kids, sibling;
	struct list todo; /* in the tree's: something of it must be read */
	enum kind kind;
	bool read_data, read_kids;
	bool absent;   /* it was not there; its folder's list will say what became of it */
	bool dropped;  /* it is no part of the tree any more */
	unsigned mark; /* the last listing of its folder that had it */
	int64_t mzxid; /* of a key */
	char *value;   /* of a key that is being listed */
	size_t len;
	char path[];
};

struct change {
	int64_t zxid;
	size_t number;
	struct kv_entry entry; /* owns key and value */
};

struct zk_tree {
	struct zk *zk;
	struct map nodes;
	struct node *root; /* NULL: nothing was read yet in this session */
	struct list todo, dead;
	size_t watch_bytes;
	unsigned mark;
	int64_t seen; /* the highest zxid in any answer */
	struct change *changes;
	size_t n_changes, cap_changes, number;
	bool told_all;
	const char *listing; /* the folder whose keys keep their values, or NULL */
	int error;           /* something could not be noted: the session is of no use */
};

/* ---- changes */

static void change_free(struct change *c)
{
	free((char *)c->entry.key);
	free((void *)c->entry.value);
}

static void changes_drop(struct zk_tree *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		change_free(&t->changes[i]);
	t->n_changes -= n;
	if (t->n_changes)
		memmove(t->changes, t->changes + n, t->n_changes * sizeof(t->changes[0]));
}

/* value NULL: the key is gone. Takes the value. */
static void note_change(struct zk_tree *t, const struct node *n, int64_t zxid, char *value,
			size_t len)
{
	_free_ char *owned = value;
	const char *key = kv_own_key(t->zk->kv, n->path + 1);
	struct change *c;

	if (!t->zk->kv->watcher || !key)
		return;
	if (t->n_changes == t->cap_changes) {
		size_t cap = t->cap_changes ? 2 * t->cap_changes : 64;

		c = reallocarray(t->changes, cap, sizeof(*c));
		if (!c) {
			t->error = -ENOMEM;
			return;
		}
		t->changes = c;
		t->cap_changes = cap;
	}
	c = &t->changes[t->n_changes];
	c->entry = (struct kv_entry){ .key = strdup(key), .len = len, .version = (uint64_t)zxid };
	if (!c->entry.key) {
		t->error = -ENOMEM;
		return;
	}
	c->entry.value = take_ptr(owned);
	c->zxid = zxid;
	c->number = t->number++;
	t->n_changes++;
}

static int by_zxid(const void *a, const void *b)
{
	const struct change *x = a, *y = b;

	if (x->zxid != y->zxid)
		return x->zxid < y->zxid ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static int by_key(const void *a, const void *b)
{
	const struct change *x = a, *y = b;
	int r = strcmp(x->entry.key, y->entry.key);

	return r ? r : x->number < y->number ? -1 : x->number > y->number;
}

/* The last change of each key is what there is. */
static size_t last_of_each(const struct zk_tree *t, struct kv_entry *v)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_changes; i++) {
		const struct kv_entry *e = &t->changes[i].entry;
		bool last = i + 1 == t->n_changes || !streq(e->key, t->changes[i + 1].entry.key);

		if (last && e->value)
			v[n++] = *e;
	}
	return n;
}

static int tell_all(struct zk_tree *t)
{
	struct kv *kv = t->zk->kv;
	_free_ struct kv_entry *v = calloc(t->n_changes + 1, sizeof(*v));
	size_t n;

	if (!v)
		return -ENOMEM;
	if (t->n_changes)
		qsort(t->changes, t->n_changes, sizeof(t->changes[0]), by_key);
	n = last_of_each(t, v);
	kv->watcher->all(kv->arg, v, n);
	changes_drop(t, t->n_changes);
	t->told_all = true;
	return 0;
}

static int tell_changes(struct zk_tree *t, int64_t horizon)
{
	struct kv *kv = t->zk->kv;
	_free_ struct kv_entry *v = NULL;
	size_t n = 0;

	if (t->n_changes == 0)
		return 0;
	qsort(t->changes, t->n_changes, sizeof(t->changes[0]), by_zxid);
	v = calloc(t->n_changes, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (; n < t->n_changes && t->changes[n].zxid <= horizon; n++)
		v[n] = t->changes[n].entry;
	if (n)
		kv->watcher->changed(kv->arg, v, n);
	changes_drop(t, n);
	return 0;
}

/* ---- nodes */

static void mark(struct zk_tree *t, struct node *n, bool data, bool kids)
{
	n->read_data |= data;
	n->read_kids |= kids;
	if ((n->read_data || n->read_kids) && list_empty(&n->todo))
		list_append(&t->todo, &n->todo);
}

static struct node *node_new(struct zk_tree *t, struct node *parent, const char *path)
{
	size_t size = strlen(path) + 1;
	struct node *n = calloc(1, sizeof(*n) + size);

	if (!n)
		return NULL;
	memcpy(n->path, path, size);
	if (map_add(&t->nodes, n->path, n)) {
		free(n);
		return NULL;
	}
	n->parent = parent;
	list_init(&n->kids);
	list_init(&n->sibling);
	list_init(&n->todo);
	if (parent)
		list_append(&parent->kids, &n->sibling);
	t->watch_bytes += size + sizeof(int);
	return n;
}

static void forget_value(struct node *n)
{
	free(take_ptr(n->value));
	n->len = 0;
}

/* With all that is below it. Whoever is reading it now still may: it is freed later. */
static void node_drop(struct zk_tree *t, struct node *n, int64_t zxid)
{
	struct node *kid, *next;

	list_for_each_safe (kid, next, &n->kids, sibling)
		node_drop(t, kid, zxid);
	if (n->kind == LEAF)
		note_change(t, n, zxid, NULL, 0);
	map_del(&t->nodes, n->path);
	t->watch_bytes -= strlen(n->path) + 1 + sizeof(int);
	list_del(&n->todo);
	list_del(&n->sibling);
	list_append(&t->dead, &n->sibling);
	n->dropped = true;
}

static void bury(struct zk_tree *t)
{
	struct node *n, *next;

	list_for_each_safe (n, next, &t->dead, sibling) {
		forget_value(n);
		free(n);
	}
	list_init(&t->dead);
}

static void drop_kids(struct zk_tree *t, struct node *n, int64_t zxid)
{
	struct node *kid, *next;

	list_for_each_safe (kid, next, &n->kids, sibling)
		node_drop(t, kid, zxid);
}

/* Is the path below the folder? */
static bool is_below(const char *path, const char *folder)
{
	const char *rest = str_after(path, streq(folder, "/") ? "" : folder);

	return rest && *rest == '/';
}

/* ---- answers */

static void see(struct zk_tree *t, const struct Stat *stat)
{
	int64_t zxid = stat->mzxid > stat->pzxid ? stat->mzxid : stat->pzxid;

	if (zxid > t->seen)
		t->seen = zxid;
}

static void became_folder(struct zk_tree *t, struct node *n, int64_t zxid)
{
	if (n->kind == LEAF)
		note_change(t, n, zxid, NULL, 0);
	forget_value(n);
	if (n->kind != FOLDER)
		mark(t, n, false, true);
	n->kind = FOLDER;
}

static void became_leaf(struct zk_tree *t, struct node *n, struct zk_call *c)
{
	bool changed = n->kind != LEAF || n->mzxid != c->stat.mzxid;

	drop_kids(t, n, c->stat.czxid);
	n->read_kids = false;
	n->kind = LEAF;
	n->mzxid = c->stat.mzxid;
	forget_value(n);
	if (t->listing && is_below(n->path, t->listing)) {
		n->value = malloc((size_t)c->len + 1);
		if (!n->value) {
			t->error = -ENOMEM;
			return;
		}
		memcpy(n->value, c->value, (size_t)c->len);
		n->len = (size_t)c->len;
	}
	if (changed)
		note_change(t, n, n->mzxid, take_ptr(c->value), (size_t)c->len);
}

static void got_data(struct zk_tree *t, struct node *n, struct zk_call *c)
{
	n->read_data = false;
	n->absent = c->rc == ZNONODE;
	if (c->rc != ZOK)
		return;
	see(t, &c->stat);
	if (n == t->root || c->len < 0 || c->stat.numChildren > 0)
		became_folder(t, n, c->stat.czxid);
	else
		became_leaf(t, n, c);
}

static void got_name(struct zk_tree *t, struct node *folder, const char *name)
{
	const char *above = streq(folder->path, "/") ? "" : folder->path;
	char path[ZK_PATH_MAX];
	struct node *n;

	if (strlen(above) + strlen(name) + 2 > sizeof(path))
		return;
	snprintf(path, sizeof(path), "%s/%s", above, name);
	if (zk_is_reserved(path))
		return;
	n = map_get(&t->nodes, path);
	if (!n) {
		n = node_new(t, folder, path);
		if (!n) {
			t->error = -ENOMEM;
			return;
		}
		mark(t, n, true, false);
	} else if (n->absent) {
		mark(t, n, true, n->kind == FOLDER);
	}
	n->mark = t->mark;
}

static void got_kids(struct zk_tree *t, struct node *n, struct zk_call *c)
{
	struct node *kid, *next;

	n->read_kids = false;
	n->absent = c->rc == ZNONODE;
	if (c->rc != ZOK)
		return;
	see(t, &c->stat);
	t->mark++;
	for (int32_t i = 0; i < c->names.count; i++)
		got_name(t, n, c->names.data[i]);
	list_for_each_safe (kid, next, &n->kids, sibling)
		if (kid->mark != t->mark)
			node_drop(t, kid, c->stat.pzxid);
}

/* ---- reading */

/* Up to CHUNK of what is to be read. */
static size_t choose(struct zk_tree *t, struct node *nodes[static CHUNK])
{
	struct node *n;
	size_t count = 0;

	list_for_each (n, &t->todo, todo) {
		if (count == CHUNK)
			break;
		nodes[count++] = n;
	}
	return count;
}

/* The answer for a node: what it was is still to be seen from what was asked. */
static int apply(struct zk_tree *t, struct node *n, bool data, struct zk_call *c)
{
	if (zk_was_lost(c->rc) || zk_was_refused(c->rc))
		return -EAGAIN;
	if (c->rc == ZSYSTEMERROR)
		return -ENOMEM;
	if (n->dropped)
		return 0;
	if (c->rc != ZOK && c->rc != ZNONODE)
		log_debug("zookeeper: cannot read %s: %s", n->path, t->zk->lib->zerror(c->rc));
	if (data)
		got_data(t, n, c);
	else
		got_kids(t, n, c);
	if (!n->dropped && !n->read_data && !n->read_kids)
		list_del(&n->todo);
	return t->error;
}

static int read_chunk(struct zk_tree *t, uint64_t until)
{
	struct node *nodes[CHUNK];
	bool data[CHUNK];
	size_t count = choose(t, nodes);
	_batch_ struct zk_batch *b = zk_batch_new(t->zk, count);
	int r, first = 0;

	if (!b)
		return -ENOMEM;
	if (t->listing)
		zk_count(t->zk, count);
	for (size_t i = 0; i < count; i++) {
		data[i] = nodes[i]->read_data;
		if (data[i])
			zk_ask_get(b, i, nodes[i]->path, ZK_WATCH_TREE);
		else
			zk_ask_children(b, i, nodes[i]->path);
	}
	r = zk_wait(b, until);
	if (r)
		return r;
	for (size_t i = 0; i < count; i++) {
		r = apply(t, nodes[i], data[i], &b->calls[i]);
		first = first ? first : r;
	}
	bury(t);
	return first;
}

/* The folder of the prefix. */
static int make_root(struct zk_tree *t, uint64_t until)
{
	_free_ char *path = zk_path(t->zk, ""), *below = NULL;
	int rc, r;

	if (!path || asprintf(&below, "%s/x", streq(path, "/") ? "" : path) < 0)
		return -ENOMEM;
	r = zk_make_parents(t->zk, below, false, until, &rc);
	if (r)
		return r == -EIO && !zk_was_lost(rc) && !zk_was_refused(rc) ? r
		       : r == -EIO                                          ? -EAGAIN
									    : r;
	if (!t->root)
		t->root = node_new(t, NULL, path);
	if (!t->root)
		return -ENOMEM;
	t->root->kind = FOLDER;
	t->root->absent = false;
	mark(t, t->root, true, true);
	return 0;
}

/* Marks what events say, which are freed. */
static int take_events(struct zk_tree *t)
{
	struct zk *zk = t->zk;
	LOCKED(&zk->lock);
	struct zk_event *e, *next;

	list_for_each_safe (e, next, &zk->events, node) {
		struct node *n = map_get(&t->nodes, e->path);
		bool gone = e->type == zk->lib->ZOO_DELETED_EVENT;

		if (n)
			mark(t, n, gone || e->type == zk->lib->ZOO_CHANGED_EVENT,
			     n->kind == FOLDER && (gone || e->type == zk->lib->ZOO_CHILD_EVENT));
		list_del(&e->node);
		free(e);
	}
	return zk->deaf ? -ENOMEM : t->error;
}

static bool settled(struct zk_tree *t)
{
	LOCKED(&t->zk->lock);

	return list_empty(&t->zk->events) && list_empty(&t->todo);
}

static int phase(struct zk_tree *t, uint64_t until)
{
	int64_t before = t->seen;
	int r = take_events(t);

	if (r == 0 && !t->root)
		r = make_root(t, until);
	while (r == 0 && (!list_empty(&t->todo) || t->root->absent)) {
		if (t->root->absent) {
			drop_kids(t, t->root, t->seen);
			bury(t);
			r = make_root(t, until);
		}
		if (r == 0)
			r = read_chunk(t, until);
	}
	if (r || !t->zk->kv->watcher)
		return r;
	return t->told_all ? tell_changes(t, settled(t) ? INT64_MAX : before) : tell_all(t);
}

/* ---- for the thread */

struct zk_tree *zk_tree_new(struct zk *zk)
{
	struct zk_tree *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->zk = zk;
	list_init(&t->todo);
	list_init(&t->dead);
	return t;
}

void zk_tree_reset(struct zk_tree *t)
{
	struct node *n;
	size_t pos = 0;

	while ((n = map_next(&t->nodes, &pos))) {
		forget_value(n);
		free(n);
	}
	map_free(&t->nodes);
	changes_drop(t, t->n_changes);
	free(t->changes);
	*t = (struct zk_tree){ .zk = t->zk };
	list_init(&t->todo);
	list_init(&t->dead);
}

void zk_tree_free(struct zk_tree *t)
{
	if (!t)
		return;
	zk_tree_reset(t);
	free(t);
}

bool zk_tree_is_behind(const struct zk_tree *t)
{
	return !t->root || !list_empty(&t->todo) || (t->zk->kv->watcher && t->n_changes);
}

size_t zk_tree_watch_bytes(const struct zk_tree *t)
{
	return t->watch_bytes;
}

int zk_tree_step(struct zk_tree *t, uint64_t until)
{
	return phase(t, until);
}

static int collect(struct zk_tree *t, const char *path, struct kv_entries *ret)
{
	const struct node *n;
	const char *key;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (n = map_next(&t->nodes, &pos))) {
		key = n->value && is_below(n->path, path) ? kv_own_key(t->zk->kv, n->path + 1)
							  : NULL;
		if (key)
			r = kv_entries_add(ret, key, n->value, n->len, (uint64_t)n->mzxid);
	}
	kv_entries_sort(ret);
	return r;
}

/* All keys below the path are to be read (again), with their values. */
static void mark_keys(struct zk_tree *t, const char *path)
{
	struct node *n;
	size_t pos = 0;

	while ((n = map_next(&t->nodes, &pos)))
		if (n->kind == LEAF && is_below(n->path, path))
			mark(t, n, true, false);
}

static void forget_values(struct zk_tree *t)
{
	struct node *n;
	size_t pos = 0;

	while ((n = map_next(&t->nodes, &pos)))
		forget_value(n);
}

static int sync_server(struct zk_tree *t, uint64_t until)
{
	_batch_ struct zk_batch *b = zk_batch_new(t->zk, 1);
	int r;

	if (!b)
		return -ENOMEM;
	zk_count(t->zk, 1);
	zk_ask_sync(b, 0);
	r = zk_wait(b, until);
	return r ? r : b->calls[0].rc != ZOK ? -EAGAIN : 0;
}

int zk_tree_list(struct zk_tree *t, const char *path, uint64_t until, struct kv_entries *ret)
{
	int r = sync_server(t, until);

	t->listing = path;
	if (r == 0) {
		mark_keys(t, path);
		do
			r = phase(t, until);
		while (r == 0 && !settled(t) && clock_mono_ns() < until);
	}
	t->listing = NULL;
	if (r == 0)
		r = settled(t) ? collect(t, path, ret) : -ETIMEDOUT;
	forget_values(t);
	return r;
}
