/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Choosing a subnet: the first block, aligned to its size, of a list of bases that overlaps nothing
 * in use. What is in use is sorted first; then the blocks and it are gone through side by side, so
 * a choice among thousands of networks costs the sort.
 */
#include "ipam/ipam.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

static const struct ipam_default_pool default_pools[] = {
	{ { { AF_INET, { 172, 17 } }, 16 }, 16 },  { { { AF_INET, { 172, 18 } }, 16 }, 16 },
	{ { { AF_INET, { 172, 19 } }, 16 }, 16 },  { { { AF_INET, { 172, 20 } }, 14 }, 16 },
	{ { { AF_INET, { 172, 24 } }, 14 }, 16 },  { { { AF_INET, { 172, 28 } }, 14 }, 16 },
	{ { { AF_INET, { 192, 168 } }, 16 }, 20 }, { { { AF_INET, { 10, 128 } }, 9 }, 24 },
};
#define N_DEFAULT_POOLS (sizeof(default_pools) / sizeof(default_pools[0]))

const struct ipam_default_pool *ipam_default_pools(size_t *ret_n)
{
	*ret_n = N_DEFAULT_POOLS;
	return default_pools;
}

/* ---- what must be kept clear of */

/* Prefixes, masked, in order: so those of the other family lie all before or all behind. */
struct busy {
	struct cnm_prefix *v;
	size_t n;
};

static void busy_free(struct busy *b)
{
	free(b->v);
}

static void busy_add(struct busy *b, const struct cnm_prefix *v, size_t n, unsigned min_len)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].len >= min_len)
			b->v[b->n++] = prefix_masked(&v[i]);
}

static int compare(const void *a, const void *b)
{
	return prefix_cmp(a, b);
}

/*
 * A default route says nothing of who uses an address, and neither do the two halves of everything
 * by which a VPN overrides it; so reserved prefixes shorter than 2 do not count.
 */
static int busy_init(struct busy *ret, const struct cnm_prefix *used, size_t n_used,
		     const struct cnm_prefix *reserved, size_t n_reserved, struct cnm_error *err)
{
	struct busy b = { .v = calloc(n_used + n_reserved + 1, sizeof(*b.v)) };

	if (!b.v)
		return cnm_error_errno(err, ENOMEM, "choose a subnet");
	busy_add(&b, used, n_used, 0);
	busy_add(&b, reserved, n_reserved, 2);
	qsort(b.v, b.n, sizeof(*b.v), compare);
	*ret = b;
	return 0;
}

/* ---- the search */

/* Makes *block the block of its length that follows ip. false if there is none. */
static bool block_after(struct cnm_prefix *block, const struct cnm_ip *ip)
{
	struct cnm_prefix around = { .ip = *ip, .len = block->len };
	struct cnm_ip next = prefix_last(&around);

	if (!ip_add(&next, 1))
		return false;
	block->ip = next;
	return true;
}

/*
 * Prefixes nest or are disjoint. So, going up, one that ends before the block cannot matter to a
 * later block, and if the first that does not end before it lies beyond it, the block is free.
 */
static bool find_block(const struct cnm_prefix *base, unsigned len, const struct busy *busy,
		       struct cnm_prefix *ret)
{
	struct cnm_prefix block = { .ip = base->ip, .len = len };
	size_t i = 0;

	while (prefix_contains(base, &block)) {
		struct cnm_ip end;

		for (; i < busy->n; i++) {
			end = prefix_last(&busy->v[i]);
			if (ip_cmp(&end, &block.ip) >= 0)
				break;
		}
		if (i == busy->n || !prefix_overlaps(&busy->v[i], &block)) {
			*ret = block;
			return true;
		}
		if (!block_after(&block, &end))
			return false;
	}
	return false;
}

static int none_left(struct cnm_error *err)
{
	return cnm_error_set(err, CNM_E_INVALID,
			     "all predefined address pools have been fully subnetted");
}

/* len 0: blocks of each pool's own size. */
static int choose4(const struct ipam_default_pool *pools, size_t n_pools, unsigned len,
		   const struct cnm_prefix *used, size_t n_used, const struct cnm_prefix *reserved,
		   size_t n_reserved, struct cnm_prefix *ret, struct cnm_error *err)
{
	_cleanup_(busy_free) struct busy busy = { 0 };
	int r = busy_init(&busy, used, n_used, reserved, n_reserved, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n_pools; i++) {
		const struct ipam_default_pool *p = &pools[i];

		if (find_block(&p->base, len ? len : p->size, &busy, ret))
			return 0;
	}
	return none_left(err);
}

int ipam_choose_subnet4(const struct cnm_prefix *used, size_t n_used,
			const struct cnm_prefix *reserved, size_t n_reserved,
			struct cnm_prefix *ret, struct cnm_error *err)
{
	return choose4(default_pools, N_DEFAULT_POOLS, 0, used, n_used, reserved, n_reserved, ret,
		       err);
}

int ipam_choose_subnet4_global(const struct cnm_prefix *used, size_t n_used,
			       const struct cnm_prefix *reserved, size_t n_reserved,
			       struct cnm_prefix *ret, struct cnm_error *err)
{
	static const struct ipam_default_pool pool = { { { AF_INET, { 10 } }, 9 }, 24 };

	return choose4(&pool, 1, 0, used, n_used, reserved, n_reserved, ret, err);
}

int ipam_choose_subnet4_len(unsigned len, const struct cnm_prefix *used, size_t n_used,
			    const struct cnm_prefix *reserved, size_t n_reserved,
			    struct cnm_prefix *ret, struct cnm_error *err)
{
	unsigned shortest = 32;

	for (size_t i = 0; i < N_DEFAULT_POOLS; i++)
		if (default_pools[i].base.len < shortest)
			shortest = default_pools[i].base.len;
	if (len < shortest || len > 32)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid subnet 0.0.0.0/%u: a subnet is chosen with a length "
				     "of %u to 32; give its address to have another",
				     len, shortest);
	return choose4(default_pools, N_DEFAULT_POOLS, len, used, n_used, reserved, n_reserved, ret,
		       err);
}

/*
 * FNV-1a: the engine id is random already, all that is needed is that one engine always finds its
 * own 40 bits again and two engines rarely meet.
 */
static uint64_t hash_string(const char *s)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
	return h;
}

int ipam_choose_subnet6(const char *engine_id, const struct cnm_prefix *used, size_t n_used,
			const struct cnm_prefix *reserved, size_t n_reserved,
			struct cnm_prefix *ret, struct cnm_error *err)
{
	struct cnm_prefix base = { .ip = { .family = AF_INET6, .b = { 0xfd } }, .len = 48 };
	_cleanup_(busy_free) struct busy busy = { 0 };
	uint64_t id = hash_string(engine_id);
	int r;

	for (unsigned i = 5; i > 0; i--, id >>= 8)
		base.ip.b[i] = (uint8_t)id;
	r = busy_init(&busy, used, n_used, reserved, n_reserved, err);
	if (r < 0)
		return r;
	if (!find_block(&base, 64, &busy, ret))
		return none_left(err);
	return 0;
}
