/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of kv-suite share (kv_suite.c). */
#ifndef TEST_KV_SUITE_H
#define TEST_KV_SUITE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/kv.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MS           20000 /* the deadline of what must succeed */
#define PATIENCE     90    /* seconds until what must come is missed; Consul keeps 20 at least */

extern struct kv_options options; /* of this run */

/* ---- a copy of the store, kept up to date by the watcher (kv_suite_copy.c) */

struct copied {
	char *key, *value;
	size_t len;
	uint64_t version;
};

struct copy {
	pthread_mutex_t lock;
	pthread_cond_t news;
	struct copied *v; /* sorted by key */
	size_t n;
	unsigned alls, changes; /* calls */
	unsigned wrong;         /* calls that should not have been as they were */
	bool told, reached;
	char why[256];
	char (*order)[64]; /* keys as they came by changes, if somebody wants to know */
	size_t n_order, cap_order;
};

extern const struct kv_watcher watcher; /* its arg: the copy */
void copy_init(struct copy *c);
void copy_free(struct copy *c);
/* Until condition(c, arg), which is called with the lock held. False: it did not come. */
bool copy_wait(struct copy *c, bool (*condition)(struct copy *c, void *arg), void *arg,
	       unsigned seconds);
/* No call of the watcher was wrong. */
void assert_fine(struct copy *c);

struct expected {
	const char *key, *value; /* value NULL: it is not there */
};
/* Conditions, and what their arg points at. */
bool has_all(struct copy *c, void *arg);    /* nothing */
bool is_told(struct copy *c, void *arg);    /* bool: reached or not */
bool has_key(struct copy *c, void *arg);    /* struct expected */
bool has_number(struct copy *c, void *arg); /* size_t: of keys */
bool equals(struct copy *c, void *arg);     /* struct kv_entries */

/* ---- short ways to call the store; what must succeed does, or the check fails (kv_suite.c) */

/* url NULL: that of the run. copy NULL: nothing is watched. */
struct kv *opened(const char *url, struct copy *copy);
int txn(struct kv *kv, const struct kv_op *ops, size_t n, size_t *which);
int one(struct kv *kv, enum kv_op_kind kind, const char *key, const void *value, size_t len,
	uint64_t version);
int create(struct kv *kv, const char *key, const char *value);
void delete_key(struct kv *kv, const char *key);
/* Everything, whoever may still be writing. */
void clear(struct kv *kv);
/* Of a key that is there; 0: it is not. */
uint64_t version_of(struct kv *kv, const char *key);
void assert_value(struct kv *kv, const char *key, const void *value, size_t len);
struct kv_entries listed(struct kv *kv, const char *prefix);
/* keys: with a space between. */
void assert_listed(struct kv *kv, const char *prefix, const char *keys);

/* ---- the checks, each of which begins with an empty store, in *state */

int setup(void **state);
int teardown(void **state);
#define CHECK(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* What failed. */
int check_data(void);
int check_watch(void);
int check_kept(void);

int shell(void);

#endif
