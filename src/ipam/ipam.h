/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Address management: which subnet a network gets, and which address an endpoint gets. Pure: no
 * I/O, no clock, no global state, so that everything here is tested without root. The caller (the
 * controller, under the model's lock) rebuilds it from rows at start; nothing derived is stored but
 * the cursor of a pool.
 */
#ifndef IPAM_IPAM_H
#define IPAM_IPAM_H

#include "base/addr.h"
#include "cnm/error.h"

/* ---- one subnet's addresses */

/*
 * Taken addresses are kept in an ordered set, so a /8 or a /64 costs nothing until used. Network
 * and broadcast addresses (IPv4, unless /31 or /32) and the subnet-router anycast address (IPv6,
 * unless /127 or /128) are never handed out and count as in use.
 *
 * ipam_pool_next() walks forward from the cursor, wrapping at the end of the range. An address
 * that was released rests until the walk has passed over it, so that at least a full round lies
 * between a release and the next use; when nothing else is left the one that has rested longest is
 * given. At most 65,536 addresses of a pool rest; beyond that the longest-rested becomes free.
 */
struct ipam_pool;

/*
 * range: where ipam_pool_next() looks; NULL or unset: the whole subnet. 0, -ENOMEM, or -EINVAL if
 * either is not masked or the range is not inside the subnet.
 */
int ipam_pool_new(struct ipam_pool **ret, const struct cnm_prefix *subnet,
		  const struct cnm_prefix *range);
void ipam_pool_free(struct ipam_pool *p);

/* Take one address: 0, -EEXIST taken, -ERANGE outside the subnet, -EINVAL reserved, -ENOMEM. */
int ipam_pool_take(struct ipam_pool *p, const struct cnm_ip *ip);
/* Choose and take the next one: 0, -ENOSPC, -ENOMEM. Moves the cursor. */
int ipam_pool_next(struct ipam_pool *p, struct cnm_ip *ret);
/*
 * Choose and take the first free one from the start of the range, without moving the cursor: for a
 * gateway. 0, -ENOSPC, -ENOMEM.
 */
int ipam_pool_first(struct ipam_pool *p, struct cnm_ip *ret);
/* Give back. Unknown addresses are ignored. `rest` false: as if it had never been taken (undo). */
void ipam_pool_release(struct ipam_pool *p, const struct cnm_ip *ip, bool rest);
bool ipam_pool_is_taken(const struct ipam_pool *p, const struct cnm_ip *ip);

/* Where the walk stands (the last address given); unset before the first. */
struct cnm_ip ipam_pool_cursor(const struct ipam_pool *p);
/* An address outside the range is ignored. */
void ipam_pool_set_cursor(struct ipam_pool *p, const struct cnm_ip *ip);

/* In use, with the reserved ones, as Docker's Status.IPAM counts; saturate at UINT64_MAX. */
uint64_t ipam_pool_in_use(const struct ipam_pool *p);
/* Free or resting addresses within the range; saturates alike. */
uint64_t ipam_pool_available(const struct ipam_pool *p);

/* ---- choosing a subnet */

/*
 * Docker's 31 default pools (172.17.0.0/16 ... 172.31.0.0/16, then the sixteen /20 of
 * 192.168.0.0/16), in that order, then the /24s of 10.128.0.0/9. The first that overlaps none of
 * `used` (subnets of networks) and `reserved` (routes of the host, name servers). A default route
 * (length 0) in reserved is ignored; so are 0.0.0.0/1 and 128.0.0.0/1, the halves a VPN makes.
 * 0 or CNM_E_INVALID "all predefined address pools have been fully subnetted".
 */
int ipam_choose_subnet4(const struct cnm_prefix *used, size_t n_used,
			const struct cnm_prefix *reserved, size_t n_reserved,
			struct cnm_prefix *ret, struct cnm_error *err);
/*
 * A free block of length `len` anywhere in the default pools (Docker's "0.0.0.0/24" request). Also
 * CNM_E_INVALID if none of them is that large.
 */
int ipam_choose_subnet4_len(unsigned len, const struct cnm_prefix *used, size_t n_used,
			    const struct cnm_prefix *reserved, size_t n_reserved,
			    struct cnm_prefix *ret, struct cnm_error *err);
/* For networks of several hosts: the first free /24 of 10.0.0.0/9, which no default pool has. */
int ipam_choose_subnet4_global(const struct cnm_prefix *used, size_t n_used,
			       const struct cnm_prefix *reserved, size_t n_reserved,
			       struct cnm_prefix *ret, struct cnm_error *err);
/*
 * A /64 of the engine's own ULA: fd, the low 40 bits of the FNV-1a 64 hash of engine_id, then the
 * first free of 65536 subnet numbers. Of `reserved`, prefixes shorter than 2 are ignored here too.
 */
int ipam_choose_subnet6(const char *engine_id, const struct cnm_prefix *used, size_t n_used,
			const struct cnm_prefix *reserved, size_t n_reserved,
			struct cnm_prefix *ret, struct cnm_error *err);
/* JSON-ready description of the defaults, for /info: base and size of each group. */
struct ipam_default_pool {
	struct cnm_prefix base;
	unsigned size;
};
const struct ipam_default_pool *ipam_default_pools(size_t *ret_n);

/* ---- checking a request */

struct ipam_request {
	const char *subnet, *ip_range, *gateway; /* NULL or "" when not given */
	const struct ipam_aux {
		const char *name, *address;
	} * aux;
	size_t n_aux;
};

struct ipam_checked {
	struct cnm_prefix subnet; /* masked; unset when none was given */
	struct cnm_prefix range;  /* unset when none was given */
	struct cnm_ip gateway;    /* unset when none was given */
};

/*
 * Check one IPAM config entry as Docker does and parse it. Problems are collected in `problems`,
 * one line each in Docker's wording ("invalid subnet 10.0.0.1/8: it should be 10.0.0.0/8",
 * "invalid ip-range X: CIDR block is bigger than its parent subnet S", "invalid ip-range X: it
 * should be Y", "invalid ip-range X: parent subnet S doesn't contain ip-range", "invalid ip-range
 * X: parent subnet is an IPv4 block", "invalid gateway X: parent subnet S doesn't contain this
 * address", "invalid auxiliary address NAME: ..."); unparsable ones are "invalid subnet X: invalid
 * CIDR block notation" and "invalid gateway X: invalid address". A newline separates the lines, and
 * the first from what `problems` held before. Entries with an IPv6 subnet are passed over when
 * !ipv6: only ret->subnet is set then. Returns the number of problems; ret is written if it is 0.
 */
struct strbuf;
int ipam_check_request(const struct ipam_request *req, bool ipv6, struct ipam_checked *ret,
		       struct strbuf *problems);

#endif
