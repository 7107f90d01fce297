/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keep lane: which step comes next, and what its outcome means.
 *
 * A value that is to be kept has a number; the store has the value `written`. Nothing but the
 * number is compared: whatever makes the store's state doubtful sets `written` to 0, and the value
 * is written anew, which does no harm. Once a beat the lease is renewed and the key looked at.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cluster/kv_http.h"

#define NS_PER_MS   1000000u
#define BEAT_MAX_MS 10000u /* so long a silent server may go unnoticed */
#define STEP_MIN_MS 1000u
#define STEP_MAX_MS 5000u

unsigned kv_http_beat_ms(const struct kv_http *h)
{
	return h->ttl_s >= BEAT_MAX_MS * 3 / 1000 ? BEAT_MAX_MS : h->ttl_s * 1000 / 3;
}

/* --------------------------------------------------------------------------------- orders */

int kv_http_keep(struct kv_http *h, const char *key, const void *value, size_t len)
{
	struct kv_http_keeper *k = &h->keeper;
	_free_ char *new_key = strdup(key);
	_free_ void *new_value = malloc(len + 1);

	if (!new_key || !new_value)
		return -ENOMEM;
	if (len)
		memcpy(new_value, value, len);
	{
		LOCKED(&h->lock);
		if (k->kept.key && !streq(k->kept.key, key))
			return -EINVAL;
		free(k->kept.key);
		free(k->kept.value);
		k->kept = (struct kv_kept){ take_ptr(new_key), take_ptr(new_value), len };
		k->wanted++;
	}
	kv_http_wake(h);
	return 0;
}

/* ---------------------------------------------------------------------------------- steps */

static bool choose(struct kv_http_keeper *k, uint64_t wanted, uint64_t now)
{
	if (wanted && !k->leased)
		k->step = KV_KEEP_GRANT;
	else if (wanted != k->written)
		k->step = KV_KEEP_PUT;
	else if (now >= k->renew_at && k->leased)
		k->step = KV_KEEP_RENEW;
	else if (now >= k->renew_at || k->check)
		k->step = KV_KEEP_CHECK;
	else
		return false;
	return true;
}

bool kv_http_keep_step(struct kv_http *h, uint64_t now, uint64_t *ret_at)
{
	struct kv_http_keeper *k = &h->keeper;
	LOCKED(&h->lock);

	*ret_at = k->renew_at;
	return choose(k, k->wanted, now);
}

int kv_http_keep_request(struct kv_http *h, struct kv_http_request *ret)
{
	struct kv_http_keeper *k = &h->keeper;
	unsigned beat = kv_http_beat_ms(h);
	LOCKED(&h->lock);

	k->putting = k->wanted;
	k->gone = false;
	ret->ms = beat < STEP_MIN_MS ? STEP_MIN_MS : beat > STEP_MAX_MS ? STEP_MAX_MS : beat;
	return h->ops->keep_next(h->kv, k->step, &k->kept, ret);
}

static void step_done(struct kv_http *h, uint64_t now)
{
	struct kv_http_keeper *k = &h->keeper;
	uint64_t next = now + (uint64_t)kv_http_beat_ms(h) * NS_PER_MS;

	switch (k->step) {
	case KV_KEEP_GRANT:
		k->leased = true;
		k->written = 0;
		k->renew_at = next;
		break;
	case KV_KEEP_PUT:
		k->written = k->gone ? 0 : k->putting;
		break;
	case KV_KEEP_RENEW:
		k->check = true;
		k->renew_at = next;
		break;
	case KV_KEEP_CHECK:
		k->check = false;
		if (now >= k->renew_at)
			k->renew_at = next;
		break;
	case KV_KEEP_REVOKE:
		k->leased = false;
		break;
	}
}

int kv_http_keep_answer(struct kv_http *h, const struct http_answer *a, struct cnm_error *err)
{
	struct kv_http_keeper *k = &h->keeper;
	int r;

	{
		LOCKED(&h->lock);
		r = h->ops->keep_answer(h->kv, k->step, &k->kept, a, err);
	}
	if (r < 0)
		return r;
	if (r == 0)
		step_done(h, clock_mono_ns());
	else
		k->written = 0;
	if (r == KV_KEEP_MISSING)
		k->check = false;
	if (r == KV_KEEP_LOST)
		k->leased = false;
	return r;
}

/* --------------------------------------------------------------- what the watch lane saw */

static void kept_is_gone(struct kv_http *h)
{
	h->keeper.written = 0;
	h->keeper.gone = true;
	if (!h->keep.failures)
		h->keep.at = 0;
}

static int key_is(const void *key, const void *entry)
{
	return strcmp(key, ((const struct kv_entry *)entry)->key);
}

void kv_http_saw_all(struct kv_http *h, const struct kv_entries *all)
{
	LOCKED(&h->lock);
	if (h->keeper.kept.key &&
	    (!all->n || !bsearch(h->keeper.kept.key, all->v, all->n, sizeof(*all->v), key_is)))
		kept_is_gone(h);
}

void kv_http_saw_changes(struct kv_http *h, const struct kv_entries *changes)
{
	LOCKED(&h->lock);
	for (size_t i = 0; h->keeper.kept.key && i < changes->n; i++)
		if (streq(changes->v[i].key, h->keeper.kept.key) && !changes->v[i].value)
			kept_is_gone(h);
}
