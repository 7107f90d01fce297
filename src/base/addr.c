/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses, prefixes and MACs: see addr.h. Arithmetic is done on 128-bit integers. */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef unsigned __int128 u128;

/* ---- as numbers */

static size_t ip_bytes(const struct cnm_ip *ip)
{
	return ip_bits(ip) / 8;
}

static u128 ip_value(const struct cnm_ip *ip)
{
	u128 v = 0;

	for (size_t i = 0; i < ip_bytes(ip); i++)
		v = v << 8 | ip->b[i];
	return v;
}

static struct cnm_ip ip_from_value(uint8_t family, u128 v)
{
	struct cnm_ip ip = { .family = family };

	for (size_t i = ip_bytes(&ip); i > 0; i--, v >>= 8)
		ip.b[i - 1] = (uint8_t)v;
	return ip;
}

/* The lowest n bits set. */
static u128 low_bits(unsigned n)
{
	return n >= 128 ? ~(u128)0 : ((u128)1 << n) - 1;
}

static u128 host_mask(const struct cnm_prefix *p)
{
	return low_bits(ip_bits(&p->ip) - p->len);
}

/* ---- text */

int ip_parse(struct cnm_ip *ret, const char *s)
{
	struct cnm_ip ip = { .family = strchr(s, ':') ? AF_INET6 : AF_INET };

	if (inet_pton(ip.family, s, ip.b) != 1)
		return -EINVAL;
	*ret = ip;
	return 0;
}

/* A prefix length: one to three digits, no leading zero. -1 if it is none. */
static int parse_length(const char *s)
{
	int n = 0;

	if (!*s || strlen(s) > 3 || (s[0] == '0' && s[1]))
		return -1;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		n = n * 10 + (*s - '0');
	}
	return n;
}

int prefix_parse(struct cnm_prefix *ret, const char *s)
{
	const char *slash = strchr(s, '/');
	struct cnm_prefix p;
	char addr[IP_STR];
	int len;

	if (!slash || (size_t)(slash - s) >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, s, slash - s);
	addr[slash - s] = '\0';
	len = parse_length(slash + 1);
	if (ip_parse(&p.ip, addr) < 0 || len < 0 || (unsigned)len > ip_bits(&p.ip))
		return -EINVAL;
	p.len = len;
	*ret = p;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int mac_parse(struct cnm_mac *ret, const char *s)
{
	struct cnm_mac m;

	if (strlen(s) != MAC_STR - 1 || (s[2] != ':' && s[2] != '-'))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(m.b); i++) {
		int high = hex_digit(s[3 * i]), low = hex_digit(s[3 * i + 1]);

		if (high < 0 || low < 0 || (i < 5 && s[3 * i + 2] != s[2]))
			return -EINVAL;
		m.b[i] = high << 4 | low;
	}
	*ret = m;
	return 0;
}

const char *ip_format(const struct cnm_ip *ip, char buf[static IP_STR])
{
	if (!ip_is_set(ip) || !inet_ntop(ip->family, ip->b, buf, IP_STR))
		buf[0] = '\0';
	return buf;
}

const char *prefix_format(const struct cnm_prefix *p, char buf[static PREFIX_STR])
{
	char addr[IP_STR];

	buf[0] = '\0';
	if (prefix_is_set(p))
		snprintf(buf, PREFIX_STR, "%s/%u", ip_format(&p->ip, addr), p->len);
	return buf;
}

const char *mac_format(const struct cnm_mac *m, char buf[static MAC_STR])
{
	snprintf(buf, MAC_STR, "%02x:%02x:%02x:%02x:%02x:%02x", m->b[0], m->b[1], m->b[2], m->b[3],
		 m->b[4], m->b[5]);
	return buf;
}

/* ---- addresses */

bool ip_is_set(const struct cnm_ip *ip)
{
	return ip->family != 0;
}

bool ip_eq(const struct cnm_ip *a, const struct cnm_ip *b)
{
	return ip_is_set(a) && ip_cmp(a, b) == 0;
}

int ip_cmp(const struct cnm_ip *a, const struct cnm_ip *b)
{
	unsigned wa = ip_bits(a), wb = ip_bits(b);

	if (wa != wb)
		return wa < wb ? -1 : 1;
	return memcmp(a->b, b->b, wa / 8);
}

static bool all_zero(const uint8_t *b, size_t n)
{
	while (n > 0)
		if (b[--n])
			return false;
	return true;
}

bool ip_is_unspecified(const struct cnm_ip *ip)
{
	return ip_is_set(ip) && all_zero(ip->b, ip_bytes(ip));
}

bool ip_is_multicast(const struct cnm_ip *ip)
{
	if (ip->family == AF_INET)
		return (ip->b[0] & 0xf0) == 0xe0;
	return ip->family == AF_INET6 && ip->b[0] == 0xff;
}

bool ip_is_loopback(const struct cnm_ip *ip)
{
	if (ip->family == AF_INET)
		return ip->b[0] == 127;
	return ip->family == AF_INET6 && all_zero(ip->b, 15) && ip->b[15] == 1;
}

bool ip_is_linklocal(const struct cnm_ip *ip)
{
	if (ip->family == AF_INET)
		return ip->b[0] == 169 && ip->b[1] == 254;
	return ip->family == AF_INET6 && ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80;
}

unsigned ip_bits(const struct cnm_ip *ip)
{
	return ip->family == AF_INET ? 32 : ip->family == AF_INET6 ? 128 : 0;
}

bool ip_add(struct cnm_ip *ip, int64_t n)
{
	u128 v = ip_value(ip), max = low_bits(ip_bits(ip));
	u128 by = n < 0 ? -(u128)(__int128)n : (u128)n;

	if (!ip_is_set(ip) || by > (n < 0 ? v : max - v))
		return false;
	*ip = ip_from_value(ip->family, n < 0 ? v - by : v + by);
	return true;
}

uint64_t ip_distance(const struct cnm_ip *a, const struct cnm_ip *b)
{
	u128 d;

	if (a->family != b->family || ip_cmp(b, a) < 0)
		return 0;
	d = ip_value(b) - ip_value(a);
	return d > UINT64_MAX ? UINT64_MAX : (uint64_t)d;
}

/* ---- prefixes */

bool prefix_is_set(const struct cnm_prefix *p)
{
	return ip_is_set(&p->ip);
}

bool prefix_eq(const struct cnm_prefix *a, const struct cnm_prefix *b)
{
	return ip_eq(&a->ip, &b->ip) && a->len == b->len;
}

int prefix_cmp(const struct cnm_prefix *a, const struct cnm_prefix *b)
{
	int r = ip_cmp(&a->ip, &b->ip);

	return r ? r : (int)a->len - (int)b->len;
}

struct cnm_prefix prefix_masked(const struct cnm_prefix *p)
{
	return (struct cnm_prefix){ .ip = prefix_first(p), .len = p->len };
}

bool prefix_has(const struct cnm_prefix *p, const struct cnm_ip *ip)
{
	return prefix_is_set(p) && p->ip.family == ip->family &&
	       ((ip_value(&p->ip) ^ ip_value(ip)) & ~host_mask(p)) == 0;
}

bool prefix_contains(const struct cnm_prefix *outer, const struct cnm_prefix *inner)
{
	return inner->len >= outer->len && prefix_has(outer, &inner->ip);
}

bool prefix_overlaps(const struct cnm_prefix *a, const struct cnm_prefix *b)
{
	return prefix_contains(a, b) || prefix_contains(b, a);
}

struct cnm_ip prefix_first(const struct cnm_prefix *p)
{
	return ip_from_value(p->ip.family, ip_value(&p->ip) & ~host_mask(p));
}

struct cnm_ip prefix_last(const struct cnm_prefix *p)
{
	return ip_from_value(p->ip.family, ip_value(&p->ip) | host_mask(p));
}

uint64_t prefix_size(const struct cnm_prefix *p)
{
	u128 last = host_mask(p);

	if (!prefix_is_set(p))
		return 0;
	return last >= UINT64_MAX ? UINT64_MAX : (uint64_t)last + 1;
}

/* ---- MACs */

bool mac_is_set(const struct cnm_mac *m)
{
	return !all_zero(m->b, sizeof(m->b));
}

bool mac_eq(const struct cnm_mac *a, const struct cnm_mac *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool mac_is_unicast(const struct cnm_mac *m)
{
	return mac_is_set(m) && !(m->b[0] & 1);
}
