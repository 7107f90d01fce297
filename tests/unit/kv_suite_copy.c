/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A copy of the store, kept up to date by the watcher: what kv-suite compares. */
#include "kv_suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/str.h"

static void copied_free(struct copied *c)
{
	free(c->key);
	free(c->value);
}

/* Where the key is, or should be. */
static size_t copy_place(const struct copy *c, const char *key, bool *ret_there)
{
	size_t low = 0, high = c->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(c->v[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_there = low < c->n && streq(c->v[low].key, key);
	return low;
}

static void copy_take(struct copy *c, const struct kv_entry *e)
{
	bool there;
	size_t i = copy_place(c, e->key, &there);

	if (there) {
		copied_free(&c->v[i]);
		c->n--;
		memmove(c->v + i, c->v + i + 1, (c->n - i) * sizeof(c->v[0]));
	}
	if (!e->value)
		return;
	c->v = reallocarray(c->v, c->n + 1, sizeof(c->v[0]));
	memmove(c->v + i + 1, c->v + i, (c->n - i) * sizeof(c->v[0]));
	c->v[i] = (struct copied){ strdup(e->key), malloc(e->len + 1), e->len, e->version };
	memcpy(c->v[i].value, e->value, e->len);
	c->n++;
}

static void copy_clear(struct copy *c)
{
	for (size_t i = 0; i < c->n; i++)
		copied_free(&c->v[i]);
	c->n = 0;
}

static void on_all(void *arg, const struct kv_entry *v, size_t n)
{
	struct copy *c = arg;
	LOCKED(&c->lock);

	copy_clear(c);
	for (size_t i = 0; i < n; i++) {
		c->wrong += !v[i].value || !v[i].version;
		copy_take(c, &v[i]);
	}
	c->wrong += c->n != n; /* a key twice */
	c->alls++;
	pthread_cond_broadcast(&c->news);
}

static void on_changed(void *arg, const struct kv_entry *v, size_t n)
{
	struct copy *c = arg;
	LOCKED(&c->lock);

	c->wrong += c->alls == 0 || n == 0;
	for (size_t i = 0; i < n; i++) {
		c->wrong += v[i].value && !v[i].version;
		copy_take(c, &v[i]);
		if (c->n_order < c->cap_order)
			snprintf(c->order[c->n_order++], sizeof(c->order[0]), "%s%s",
				 v[i].value ? "" : "-", v[i].key);
	}
	c->changes++;
	pthread_cond_broadcast(&c->news);
}

static void on_reached(void *arg, bool yes, const char *why)
{
	struct copy *c = arg;
	LOCKED(&c->lock);

	c->wrong += c->told && c->reached == yes;
	c->told = true;
	c->reached = yes;
	str_copy(c->why, sizeof(c->why), why ? why : "");
	pthread_cond_broadcast(&c->news);
}

const struct kv_watcher watcher = { on_all, on_changed, on_reached };

void copy_init(struct copy *c)
{
	*c = (struct copy){ .lock = PTHREAD_MUTEX_INITIALIZER };
	cond_init(&c->news);
}

void copy_free(struct copy *c)
{
	copy_clear(c);
	free(c->v);
	free(c->order);
}

bool copy_wait(struct copy *c, bool (*condition)(struct copy *c, void *arg), void *arg,
	       unsigned seconds)
{
	uint64_t until = clock_mono_ns() + seconds * UINT64_C(1000000000);
	LOCKED(&c->lock);

	while (!condition(c, arg))
		if (cond_wait(&c->news, &c->lock, until) == -ETIMEDOUT)
			return condition(c, arg);
	return true;
}

bool has_all(struct copy *c, void *arg)
{
	return c->alls > 0;
}

bool is_told(struct copy *c, void *arg)
{
	return c->told && c->reached == *(bool *)arg;
}

bool has_key(struct copy *c, void *arg)
{
	const struct expected *e = arg;
	bool there;
	size_t i = copy_place(c, e->key, &there);

	if (!e->value)
		return !there && c->alls;
	return there && c->v[i].len == strlen(e->value) &&
	       memcmp(c->v[i].value, e->value, c->v[i].len) == 0;
}

bool has_number(struct copy *c, void *arg)
{
	return c->alls && c->n == *(size_t *)arg;
}

bool equals(struct copy *c, void *arg)
{
	const struct kv_entries *e = arg;

	if (c->n != e->n || !c->alls)
		return false;
	for (size_t i = 0; i < c->n; i++)
		if (!streq(c->v[i].key, e->v[i].key) || c->v[i].version != e->v[i].version ||
		    c->v[i].len != e->v[i].len ||
		    memcmp(c->v[i].value, e->v[i].value, e->v[i].len) != 0)
			return false;
	return true;
}

void assert_fine(struct copy *c)
{
	LOCKED(&c->lock);

	assert_int_equal(c->wrong, 0);
}
