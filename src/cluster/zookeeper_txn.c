/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transactions with ZooKeeper.
 *
 * A key is a znode; its version is the zxid of the transaction that wrote it last, which no other
 * write ever has. ZooKeeper itself compares another number, the count of writes to the znode,
 * which begins anew when a key is deleted and made again. So what must have a version is read
 * first, and the transaction is made with the counts that were found. What remains is a key that
 * another host deletes, makes again and writes as many times as before, all between that read and
 * the transaction, within one round trip: it would be taken for the one that was read.
 *
 * A transaction that was sent and never answered is not sent again: it may have been carried out.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cluster/zookeeper_session.h"

struct txn {
	struct zk *zk;
	const struct kv_op *ops;
	size_t n;
	uint64_t until;
	unsigned ms;
	char *paths[KV_TXN_MAX];
	int counts[KV_TXN_MAX]; /* of writes, as the server compares them */
	/* That a key is not there cannot be asked for: it is made and deleted again. */
	zoo_op_t zops[2 * KV_TXN_MAX];
	size_t op_of[2 * KV_TXN_MAX], n_zops;
	size_t which; /* of a conflict */
	struct cnm_error *err;
};

static bool must_be_there(const struct kv_op *op)
{
	return op->kind == KV_SET || op->kind == KV_DELETE ||
	       (op->kind == KV_CHECK && op->version != 0);
}

static int txn_failed(struct txn *t, int r, int rc)
{
	return zk_failed(t->zk, r, rc, t->ms, "write to the store", t->err);
}

/* Waits; 0, ZK_AGAIN, or an errno with err set. What was lost is ZK_AGAIN for reads only. */
static int txn_read(struct txn *t, struct zk_batch *b)
{
	int r;

	zk_count(t->zk, b->n);
	r = zk_wait(b, t->until);
	if (r)
		return txn_failed(t, r, ZOK);
	for (size_t i = 0; i < b->n; i++) {
		int rc = b->calls[i].rc;

		if (zk_was_lost(rc) || zk_was_refused(rc))
			return ZK_AGAIN;
		if (rc != ZOK && rc != ZNONODE)
			return txn_failed(t, 0, rc);
	}
	return 0;
}

/* Is there one before op `end` that must not be there but is? It is the conflict, then. */
static int find_earlier(struct txn *t, size_t end)
{
	_batch_ struct zk_batch *b = NULL;
	size_t asked = 0, n = 0;
	int r;

	t->which = end;
	for (size_t i = 0; i < end; i++)
		n += !must_be_there(&t->ops[i]);
	b = zk_batch_new(t->zk, n);
	if (!b)
		return txn_failed(t, -ENOMEM, ZOK);
	for (size_t i = 0; i < end; i++)
		if (!must_be_there(&t->ops[i]))
			zk_ask_get(b, asked++, t->paths[i], ZK_NO_WATCH);
	r = txn_read(t, b);
	asked = 0;
	for (size_t i = 0; i < end && r == 0; i++)
		if (!must_be_there(&t->ops[i]) && zk_is_key(&b->calls[asked++])) {
			t->which = i;
			break;
		}
	return r ? r : KV_CONFLICT;
}

/* Compares versions, and finds the server's counts for them. 0, ZK_AGAIN, KV_CONFLICT, or an errno.
 */
static int compare_versions(struct txn *t)
{
	_batch_ struct zk_batch *b = NULL;
	size_t n = 0, asked = 1;
	int r;

	for (size_t i = 0; i < t->n; i++)
		n += must_be_there(&t->ops[i]);
	if (n == 0)
		return 0;
	b = zk_batch_new(t->zk, 1 + n);
	if (!b)
		return txn_failed(t, -ENOMEM, ZOK);
	zk_ask_sync(b, 0);
	for (size_t i = 0; i < t->n; i++)
		if (must_be_there(&t->ops[i]))
			zk_ask_exists(b, asked++, t->paths[i], ZK_NO_WATCH);
	r = txn_read(t, b);
	asked = 1;
	for (size_t i = 0; i < t->n && r == 0; i++) {
		const struct zk_call *c;

		if (!must_be_there(&t->ops[i]))
			continue;
		c = &b->calls[asked++];
		if (c->rc != ZOK || (uint64_t)c->stat.mzxid != t->ops[i].version)
			return find_earlier(t, i);
		t->counts[i] = c->stat.version;
	}
	return r;
}

static zoo_op_t *add_zop(struct txn *t, size_t op)
{
	t->op_of[t->n_zops] = op;
	return &t->zops[t->n_zops++];
}

static void add_create(struct txn *t, size_t i, const void *value, size_t len)
{
	const struct zk_lib *lib = t->zk->lib;

	lib->zoo_create_op_init(add_zop(t, i), t->paths[i], value ? value : "", (int)len,
				lib->open_acl, lib->ZOO_PERSISTENT, NULL, 0);
}

static void add_ops(struct txn *t)
{
	const struct zk_lib *lib = t->zk->lib;

	t->n_zops = 0;
	for (size_t i = 0; i < t->n; i++) {
		const struct kv_op *op = &t->ops[i];

		switch (op->kind) {
		case KV_CREATE:
			add_create(t, i, op->value, op->len);
			break;
		case KV_SET:
			lib->zoo_set_op_init(add_zop(t, i), t->paths[i], op->value ? op->value : "",
					     (int)op->len, t->counts[i], NULL);
			break;
		case KV_DELETE:
			lib->zoo_delete_op_init(add_zop(t, i), t->paths[i], t->counts[i]);
			break;
		case KV_CHECK:
			if (op->version) {
				lib->zoo_check_op_init(add_zop(t, i), t->paths[i], t->counts[i]);
				break;
			}
			add_create(t, i, NULL, 0);
			lib->zoo_delete_op_init(add_zop(t, i), t->paths[i], -1);
			break;
		}
	}
}

/* What is there is no key but a folder that lost its last key: it makes room. */
static int clear_folder(struct txn *t)
{
	_batch_ struct zk_batch *look = zk_batch_new(t->zk, 1), *clear = zk_batch_new(t->zk, 1);
	const struct zk_call *c;
	int r;

	if (!look || !clear)
		return txn_failed(t, -ENOMEM, ZOK);
	zk_ask_get(look, 0, t->paths[t->which], ZK_NO_WATCH);
	r = txn_read(t, look);
	c = &look->calls[0];
	if (r || c->rc == ZNONODE)
		return r ? r : ZK_AGAIN;
	if (zk_is_key(c) || c->stat.numChildren)
		return KV_CONFLICT;
	zk_ask_delete(clear, 0, t->paths[t->which], c->stat.version);
	zk_count(t->zk, 1);
	r = zk_wait(clear, t->until);
	return r ? txn_failed(t, r, ZOK) : ZK_AGAIN;
}

static int make_folders(struct txn *t)
{
	int rc, r = zk_make_parents(t->zk, t->paths[t->which], true, t->until, &rc);

	if (r == 0 || (r == -EIO && (zk_was_lost(rc) || zk_was_refused(rc))))
		return ZK_AGAIN;
	return txn_failed(t, r == -EIO ? 0 : r, rc);
}

/* The transaction was refused, because of this one. */
static int why_refused(struct txn *t, const struct zk_batch *b, int rc)
{
	size_t i = 0;

	while (i < t->n_zops &&
	       (b->results[i].err == ZOK || b->results[i].err == ZRUNTIMEINCONSISTENCY))
		i++;
	if (i == t->n_zops)
		return txn_failed(t, 0, rc);
	t->which = t->op_of[i];
	switch (b->results[i].err) {
	case ZNONODE:
		return must_be_there(&t->ops[t->which]) ? KV_CONFLICT : make_folders(t);
	case ZNODEEXISTS:
		return clear_folder(t);
	case ZBADVERSION:
		return KV_CONFLICT;
	default:
		return txn_failed(t, 0, b->results[i].err);
	}
}

/* It was sent, and no answer came. */
static int unheard(struct txn *t, int r, int rc)
{
	r = txn_failed(t, r, rc);
	return r == -ENOMEM || r == -ECANCELED ? r : KV_UNKNOWN;
}

static uint64_t half_way(const struct txn *t)
{
	uint64_t now = clock_mono_ns();

	return t->zk->kv->n_servers > 1 && now < t->until ? now + (t->until - now) / 2 : t->until;
}

static int txn_once(struct txn *t)
{
	_batch_ struct zk_batch *b = NULL;
	int r = zk_wait_connected(t->zk, t->until), rc;

	if (r)
		return txn_failed(t, r, ZOK);
	r = compare_versions(t);
	if (r)
		return r;
	b = zk_batch_new(t->zk, 1);
	if (!b)
		return txn_failed(t, -ENOMEM, ZOK);
	add_ops(t);
	zk_ask_multi(b, 0, t->zops, t->n_zops);
	zk_count(t->zk, 1);
	r = zk_wait(b, half_way(t));
	rc = b->calls[0].rc;
	if (r || zk_was_lost(rc))
		return unheard(t, r, rc);
	if (zk_was_refused(rc))
		return ZK_AGAIN;
	return rc == ZOK ? 0 : why_refused(t, b, rc);
}

static int txn_run(struct txn *t)
{
	int r = 0;

	for (size_t i = 0; i < t->n && r == 0; i++) {
		t->paths[i] = zk_path(t->zk, t->ops[i].key);
		if (!t->paths[i])
			r = txn_failed(t, -ENOMEM, ZOK);
		else if (zk_is_reserved(t->paths[i]))
			r = cnm_error_set(t->err, CNM_E_INVALID,
					  "key %s: at ZooKeeper's root this is its own; use a URL "
					  "with a prefix",
					  t->ops[i].key);
	}
	if (r == 0)
		do
			r = txn_once(t);
		while (r == ZK_AGAIN);
	for (size_t i = 0; i < t->n; i++)
		free(t->paths[i]);
	return r;
}

int zk_transaction(struct zk *zk, const struct kv_op *ops, size_t n, unsigned ms, size_t *ret_which,
		   struct cnm_error *err)
{
	_free_ struct txn *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return zk_failed(zk, -ENOMEM, ZOK, ms, "write to the store", err);
	*t = (struct txn){
		.zk = zk, .ops = ops, .n = n, .until = zk_deadline(ms), .ms = ms, .err = err
	};
	r = txn_run(t);
	if (r == KV_CONFLICT)
		*ret_which = t->which;
	return r;
}
