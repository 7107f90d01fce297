/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store of any kind: what may be asked of it is checked here, and its state is kept. */
#include "cluster/kv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "cluster/kv_internal.h"

/* --------------------------------------------------------------------------------- opening */

static int check_readable(const char *what, const char *path, struct cnm_error *err)
{
	if (access(path, R_OK) < 0)
		return cnm_error_errno(err, errno, "read %s of the store, %s", what, path);
	return 0;
}

static int copy_tls(struct kv *kv, const struct kv_options *opt, struct cnm_error *err)
{
	int n = !!opt->cacertfile + !!opt->certfile + !!opt->keyfile, r;

	if (n == 0)
		return 0;
	if (n != 3)
		return cnm_error_set(err, CNM_E_INVALID,
				     "TLS to the store needs three files: those of the CA, of the "
				     "certificate and of its key");
	r = check_readable("the CA", opt->cacertfile, err);
	if (r == 0)
		r = check_readable("the certificate", opt->certfile, err);
	if (r == 0)
		r = check_readable("the key", opt->keyfile, err);
	if (r < 0)
		return r;
	kv->cacertfile = strdup(opt->cacertfile);
	kv->certfile = strdup(opt->certfile);
	kv->keyfile = strdup(opt->keyfile);
	if (!kv->cacertfile || !kv->certfile || !kv->keyfile)
		return cnm_error_errno(err, ENOMEM, "open the store %s", opt->url);
	return 0;
}

static void kv_free(struct kv *kv)
{
	kv_url_free(kv);
	free(kv->cacertfile);
	free(kv->certfile);
	free(kv->keyfile);
	pthread_mutex_destroy(&kv->lock);
	free(kv);
}

static int open_checked(struct kv *kv, const struct kv_options *opt, struct cnm_error *err)
{
	int r;

	if (opt->ttl_s < 1)
		return cnm_error_set(err, CNM_E_INVALID,
				     "the store must keep keys for at least 1 second");
	kv->ttl_s = opt->ttl_s;
	kv->watcher = opt->watcher;
	kv->arg = opt->arg;
	r = kv_url_parse(opt->url, kv, err);
	if (r == 0)
		r = copy_tls(kv, opt, err);
	return r < 0 ? r : kv->backend->open(kv, err);
}

int kv_open(struct kv **ret, const struct kv_options *opt, struct cnm_error *err)
{
	struct kv *kv = calloc(1, sizeof(*kv));
	int r;

	if (!kv)
		return cnm_error_errno(err, ENOMEM, "open the store %s", opt->url);
	pthread_mutex_init(&kv->lock, NULL);
	r = open_checked(kv, opt, err);
	if (r < 0) {
		kv_free(kv);
		return r;
	}
	*ret = kv;
	return 0;
}

void kv_close(struct kv *kv)
{
	if (!kv)
		return;
	kv->backend->close(kv);
	kv_free(kv);
}

/* -------------------------------------------------------------------------------- checking */

static int check_key(const char *key, struct cnm_error *err)
{
	if (kv_key_is_good(key))
		return 0;
	return cnm_error_set(err, CNM_E_INVALID,
			     "\"%s\" is no key: it must be made of letters, digits, '.', '_' and "
			     "'-', with single '/' between, at most %d",
			     key ? key : "", KV_KEY_MAX);
}

static bool writes(const struct kv_op *op)
{
	return op->kind == KV_CREATE || op->kind == KV_SET;
}

static int check_op(const struct kv_op *op, struct cnm_error *err)
{
	int r = check_key(op->key, err);

	if (r < 0)
		return r;
	if (writes(op) && op->len && !op->value)
		return cnm_error_set(err, CNM_E_INVALID, "key %s: the value is missing", op->key);
	if ((op->kind == KV_SET || op->kind == KV_DELETE) && !op->version)
		return cnm_error_set(err, CNM_E_INVALID,
				     "key %s: what is replaced or deleted needs a version",
				     op->key);
	return 0;
}

static bool named_before(const struct kv_op *ops, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (streq(ops[i].key, ops[j].key))
			return true;
	return false;
}

static int check_txn(const struct kv_op *ops, size_t n, struct cnm_error *err)
{
	size_t sum = 0;

	if (n < 1 || n > KV_TXN_MAX)
		return cnm_error_set(err, CNM_E_INVALID,
				     "a transaction of %zu operations: it must be 1 to %d", n,
				     KV_TXN_MAX);
	for (size_t i = 0; i < n; i++) {
		int r = check_op(&ops[i], err);

		if (r < 0)
			return r;
		if (named_before(ops, i))
			return cnm_error_set(err, CNM_E_INVALID, "key %s is twice in a transaction",
					     ops[i].key);
		if (writes(&ops[i]) &&
		    (ops[i].len > KV_VALUE_MAX || (sum += ops[i].len) > KV_VALUE_MAX))
			return cnm_error_set(err, CNM_E_INVALID,
					     "key %s: a transaction may write %d bytes, this one "
					     "has more",
					     ops[i].key, KV_VALUE_MAX);
	}
	return 0;
}

/* ------------------------------------------------------------------------------- the calls */

int kv_get(struct kv *kv, const char *key, unsigned ms, struct kv_entries *ret,
	   struct cnm_error *err)
{
	int r = check_key(key, err);

	return r < 0 ? r : kv->backend->get(kv, key, ms, ret, err);
}

int kv_list(struct kv *kv, const char *prefix, unsigned ms, struct kv_entries *ret,
	    struct cnm_error *err)
{
	int r = prefix && !prefix[0] ? 0 : check_key(prefix, err);

	return r < 0 ? r : kv->backend->list(kv, prefix, ms, ret, err);
}

int kv_txn(struct kv *kv, const struct kv_op *ops, size_t n, unsigned ms, size_t *ret_which,
	   struct cnm_error *err)
{
	size_t which = n;
	int r = check_txn(ops, n, err);

	if (r == 0)
		r = kv->backend->txn(kv, ops, n, ms, &which, err);
	if (r == KV_CONFLICT && ret_which)
		*ret_which = which;
	return r;
}

int kv_keep(struct kv *kv, const char *key, const void *value, size_t len)
{
	if (!kv_key_is_good(key) || len > KV_VALUE_MAX || (len && !value))
		return -EINVAL;
	return kv->backend->keep(kv, key, value, len);
}

/* -------------------------------------------------------------------------------- its state */

void kv_at(struct kv *kv, const struct kv_server *server)
{
	LOCKED(&kv->lock);
	str_copy(kv->status.server, sizeof(kv->status.server), server->name);
}

void kv_asked(struct kv *kv, const struct kv_server *server)
{
	kv_at(kv, server);
	LOCKED(&kv->lock);
	kv->status.requests++;
}

void kv_reached(struct kv *kv, bool yes, const char *why)
{
	bool tell;

	{
		LOCKED(&kv->lock);
		tell = !kv->told || kv->status.reached != yes;
		kv->told = true;
		kv->status.reached = yes;
		str_copy(kv->status.why, sizeof(kv->status.why), yes ? "" : why);
	}
	if (tell && kv->watcher)
		kv->watcher->reached(kv->arg, yes, why);
}

void kv_status(struct kv *kv, struct kv_status *ret)
{
	LOCKED(&kv->lock);
	*ret = kv->status;
}
