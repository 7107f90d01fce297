/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One subnet's addresses.
 *
 * Addresses that are taken or resting live in blocks of 64 neighbours, each with two words of bits;
 * the blocks are kept in an array sorted by address, and one in which nothing is taken or resting
 * is freed. So a /64 costs what is used of it, finding the next free address looks at one word per
 * 64 neighbours, and 65,536 addresses are a thousand blocks.
 *
 * An address is in one of three states: free (no bit), taken, resting. Resting ones are also
 * chained through their blocks in the order of their release, longest first, so that a release
 * allocates nothing. When the walk moves on from the cursor, the resting addresses it leaves behind
 * become free: they are reached again one round later. Only addresses of the walk's range rest, and
 * no more than REST_MAX of them: in a subnet so large, the walk takes long to come back.
 *
 * The reserved addresses have no bits: they are the ends of the subnet, and the range of the walk
 * is cut short by them.
 */
#include "ipam/ipam.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/list.h"

#define BLOCK_BITS 6
#define BLOCK_SIZE (1u << BLOCK_BITS)
#define REST_MAX   65536

struct slot {
	struct list node; /* in ipam_pool.resting, if resting */
	uint8_t index;    /* of this slot in its block */
};

struct block {
	struct cnm_ip base; /* the low BLOCK_BITS clear */
	uint64_t taken, resting;
	struct slot slots[BLOCK_SIZE];
};

struct ipam_pool {
	struct cnm_prefix subnet;
	unsigned range_bits;       /* host bits of the range */
	struct cnm_ip first, last; /* what the walk visits; first > last: nothing */
	struct cnm_ip cursor;
	struct block **blocks; /* by base */
	size_t n_blocks, cap_blocks;
	struct list resting;
	uint64_t n_resting, n_taken, n_taken_in_range;
};

/* ---- blocks */

static unsigned low_byte(const struct cnm_ip *ip)
{
	return ip_bits(ip) / 8 - 1;
}

static unsigned bit_of(const struct cnm_ip *ip)
{
	return ip->b[low_byte(ip)] % BLOCK_SIZE;
}

static struct cnm_ip base_of(const struct cnm_ip *ip)
{
	struct cnm_ip base = *ip;

	base.b[low_byte(ip)] -= bit_of(ip);
	return base;
}

static struct cnm_ip ip_at(const struct block *b, unsigned bit)
{
	struct cnm_ip ip = b->base;

	ip.b[low_byte(&ip)] |= bit;
	return ip;
}

/* The bits from bit up. */
static uint64_t bits_from(unsigned bit)
{
	return ~UINT64_C(0) << bit;
}

/* The bits up to and with bit. */
static uint64_t bits_to(unsigned bit)
{
	return ~UINT64_C(0) >> (BLOCK_SIZE - 1 - bit);
}

/* The index of the first block that is not before the one of ip. */
static size_t block_index(const struct ipam_pool *p, const struct cnm_ip *ip)
{
	struct cnm_ip base = base_of(ip);
	size_t low = 0, high = p->n_blocks;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (ip_cmp(&p->blocks[mid]->base, &base) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool block_holds(const struct ipam_pool *p, size_t i, const struct cnm_ip *ip)
{
	struct cnm_ip base = base_of(ip);

	return i < p->n_blocks && ip_eq(&p->blocks[i]->base, &base);
}

static struct block *block_get(const struct ipam_pool *p, const struct cnm_ip *ip)
{
	size_t i = block_index(p, ip);

	return block_holds(p, i, ip) ? p->blocks[i] : NULL;
}

static int block_insert(struct ipam_pool *p, size_t i, const struct cnm_ip *ip)
{
	struct block *b;

	if (p->n_blocks == p->cap_blocks) {
		size_t cap = p->cap_blocks ? 2 * p->cap_blocks : 4;
		struct block **blocks = realloc(p->blocks, cap * sizeof(*blocks));

		if (!blocks)
			return -ENOMEM;
		p->blocks = blocks;
		p->cap_blocks = cap;
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->base = base_of(ip);
	for (unsigned bit = 0; bit < BLOCK_SIZE; bit++)
		b->slots[bit].index = bit;
	memmove(p->blocks + i + 1, p->blocks + i, (p->n_blocks - i) * sizeof(*p->blocks));
	p->blocks[i] = b;
	p->n_blocks++;
	return 0;
}

/* Frees block i if nothing in it is taken or resting. */
static bool block_drop(struct ipam_pool *p, size_t i)
{
	struct block *b = p->blocks[i];

	if (b->taken | b->resting)
		return false;
	free(b);
	p->n_blocks--;
	memmove(p->blocks + i, p->blocks + i + 1, (p->n_blocks - i) * sizeof(*p->blocks));
	return true;
}

/* ---- the pool */

/* An unset range asks for the whole subnet. */
static bool range_is_right(const struct cnm_prefix *subnet, const struct cnm_prefix *range)
{
	struct cnm_prefix s = prefix_masked(subnet), r = prefix_masked(range);

	return prefix_eq(&s, subnet) && prefix_eq(&r, range) && prefix_contains(subnet, range);
}

static unsigned host_bits(const struct cnm_prefix *p)
{
	return ip_bits(&p->ip) - p->len;
}

/* A subnet of one or two addresses is used to the full (RFC 3021, RFC 6164). */
static bool has_reserved(const struct cnm_prefix *subnet)
{
	return host_bits(subnet) > 1;
}

static bool is_reserved(const struct cnm_prefix *subnet, const struct cnm_ip *ip)
{
	struct cnm_ip first = prefix_first(subnet), last = prefix_last(subnet);

	if (!has_reserved(subnet))
		return false;
	return ip_eq(ip, &first) || (ip->family == AF_INET && ip_eq(ip, &last));
}

int ipam_pool_new(struct ipam_pool **ret, const struct cnm_prefix *subnet,
		  const struct cnm_prefix *range)
{
	struct ipam_pool *p;

	if (!range || !prefix_is_set(range))
		range = subnet;
	if (!range_is_right(subnet, range))
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	list_init(&p->resting);
	p->subnet = *subnet;
	p->range_bits = host_bits(range);
	p->first = prefix_first(range);
	p->last = prefix_last(range);
	/* Neither step can leave the address family: a reserved address has others beside it. */
	if (is_reserved(subnet, &p->last))
		ip_add(&p->last, -1);
	if (is_reserved(subnet, &p->first))
		ip_add(&p->first, 1);
	*ret = p;
	return 0;
}

void ipam_pool_free(struct ipam_pool *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n_blocks; i++)
		free(p->blocks[i]);
	free(p->blocks);
	free(p);
}

static bool in_range(const struct ipam_pool *p, const struct cnm_ip *ip)
{
	return ip_cmp(&p->first, ip) <= 0 && ip_cmp(ip, &p->last) <= 0;
}

/* ---- resting */

static void rest_begin(struct ipam_pool *p, struct block *b, unsigned bit)
{
	b->resting |= UINT64_C(1) << bit;
	list_append(&p->resting, &b->slots[bit].node);
	p->n_resting++;
}

static void rest_end(struct ipam_pool *p, struct block *b, unsigned bit)
{
	b->resting &= ~(UINT64_C(1) << bit);
	list_del(&b->slots[bit].node);
	p->n_resting--;
}

static struct cnm_ip longest_rested(const struct ipam_pool *p)
{
	const struct slot *s = container_of(p->resting.next, struct slot, node);
	const struct block *b = container_of(s - s->index, struct block, slots);

	return ip_at(b, s->index);
}

/* The walk passes over `from` up to and with `to`: what rests there has rested enough. */
static void rest_pass(struct ipam_pool *p, const struct cnm_ip *from, const struct cnm_ip *to)
{
	size_t i = block_index(p, from);

	while (!list_empty(&p->resting) && i < p->n_blocks) {
		struct block *b = p->blocks[i];
		uint64_t passed = b->resting;

		if (ip_cmp(&b->base, to) > 0)
			break;
		if (block_holds(p, i, from))
			passed &= bits_from(bit_of(from));
		if (block_holds(p, i, to))
			passed &= bits_to(bit_of(to));
		for (; passed; passed &= passed - 1)
			rest_end(p, b, (unsigned)__builtin_ctzll(passed));
		if (!block_drop(p, i))
			i++;
	}
}

/* ---- taking and giving back */

int ipam_pool_take(struct ipam_pool *p, const struct cnm_ip *ip)
{
	unsigned bit;
	struct block *b;
	size_t i;

	if (!prefix_has(&p->subnet, ip))
		return -ERANGE;
	if (is_reserved(&p->subnet, ip))
		return -EINVAL;
	i = block_index(p, ip);
	if (!block_holds(p, i, ip)) {
		int r = block_insert(p, i, ip);

		if (r < 0)
			return r;
	}
	b = p->blocks[i];
	bit = bit_of(ip);
	if (b->taken >> bit & 1)
		return -EEXIST;
	if (b->resting >> bit & 1)
		rest_end(p, b, bit);
	b->taken |= UINT64_C(1) << bit;
	p->n_taken++;
	p->n_taken_in_range += in_range(p, ip);
	return 0;
}

/* Ends the rest of one address, and frees its block if that was all it was for. */
static void wake(struct ipam_pool *p, const struct cnm_ip *ip)
{
	size_t i = block_index(p, ip);

	rest_end(p, p->blocks[i], bit_of(ip));
	block_drop(p, i);
}

void ipam_pool_release(struct ipam_pool *p, const struct cnm_ip *ip, bool rest)
{
	struct block *b;
	size_t i;

	if (!ipam_pool_is_taken(p, ip))
		return;
	i = block_index(p, ip);
	b = p->blocks[i];
	b->taken &= ~(UINT64_C(1) << bit_of(ip));
	p->n_taken--;
	p->n_taken_in_range -= in_range(p, ip);
	if (rest && in_range(p, ip))
		rest_begin(p, b, bit_of(ip));
	block_drop(p, i);
	if (p->n_resting > REST_MAX) {
		struct cnm_ip oldest = longest_rested(p);

		wake(p, &oldest);
	}
}

bool ipam_pool_is_taken(const struct ipam_pool *p, const struct cnm_ip *ip)
{
	const struct block *b = prefix_has(&p->subnet, ip) ? block_get(p, ip) : NULL;

	return b && (b->taken >> bit_of(ip) & 1);
}

/* ---- the walk */

/* The first address from `from` to the end of the range that is neither taken nor resting. */
static bool find_free(const struct ipam_pool *p, struct cnm_ip from, struct cnm_ip *ret)
{
	size_t i = block_index(p, &from);

	for (; ip_cmp(&from, &p->last) <= 0; i++) {
		const struct block *b;
		uint64_t vacant;

		if (!block_holds(p, i, &from)) {
			*ret = from;
			return true;
		}
		b = p->blocks[i];
		vacant = ~(b->taken | b->resting) & bits_from(bit_of(&from));
		if (vacant) {
			*ret = ip_at(b, (unsigned)__builtin_ctzll(vacant));
			return ip_cmp(ret, &p->last) <= 0;
		}
		from = b->base;
		if (!ip_add(&from, BLOCK_SIZE))
			return false;
	}
	return false;
}

/* From behind the cursor to the end, then from the start. */
static bool walk(const struct ipam_pool *p, struct cnm_ip *ret)
{
	struct cnm_ip from = p->cursor;

	if (ip_is_set(&from) && ip_add(&from, 1) && find_free(p, from, ret))
		return true;
	return find_free(p, p->first, ret);
}

static void walk_to(struct ipam_pool *p, const struct cnm_ip *ip)
{
	struct cnm_ip from = p->first;

	if (ip_is_set(&p->cursor)) {
		from = p->cursor;
		if (ip_cmp(ip, &from) <= 0) {
			rest_pass(p, &from, &p->last);
			from = p->first;
		}
	}
	rest_pass(p, &from, ip);
	p->cursor = *ip;
}

int ipam_pool_next(struct ipam_pool *p, struct cnm_ip *ret)
{
	uint64_t available = ipam_pool_available(p);
	bool walked = available > p->n_resting;
	struct cnm_ip ip;
	int r;

	if (available == 0)
		return -ENOSPC;
	/* With nothing free, a walk would pass over all that rests: the cursor jumps instead. */
	if (!walked || !walk(p, &ip))
		ip = longest_rested(p);
	r = ipam_pool_take(p, &ip);
	if (r < 0)
		return r;
	if (walked)
		walk_to(p, &ip);
	p->cursor = ip;
	*ret = ip;
	return 0;
}

int ipam_pool_first(struct ipam_pool *p, struct cnm_ip *ret)
{
	uint64_t available = ipam_pool_available(p);
	struct cnm_ip ip;
	int r;

	if (available == 0)
		return -ENOSPC;
	if (available == p->n_resting || !find_free(p, p->first, &ip))
		ip = longest_rested(p);
	r = ipam_pool_take(p, &ip);
	if (r < 0)
		return r;
	*ret = ip;
	return 0;
}

struct cnm_ip ipam_pool_cursor(const struct ipam_pool *p)
{
	return p->cursor;
}

void ipam_pool_set_cursor(struct ipam_pool *p, const struct cnm_ip *ip)
{
	if (!ip_is_set(ip) || in_range(p, ip))
		p->cursor = *ip;
}

/* ---- counts */

uint64_t ipam_pool_in_use(const struct ipam_pool *p)
{
	unsigned reserved = p->subnet.ip.family == AF_INET ? 2 : 1;

	return p->n_taken + (has_reserved(&p->subnet) ? reserved : 0);
}

uint64_t ipam_pool_available(const struct ipam_pool *p)
{
	uint64_t beyond_first = ip_distance(&p->first, &p->last);

	if (ip_cmp(&p->first, &p->last) > 0)
		return 0;
	if (p->range_bits > 64)
		return UINT64_MAX;
	if (p->n_taken_in_range > 0)
		return beyond_first - (p->n_taken_in_range - 1);
	return beyond_first == UINT64_MAX ? UINT64_MAX : beyond_first + 1;
}
