/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Addresses, prefixes and MACs as values: parse, print, compare, step. No I/O, no allocation.
 *
 * All bytes are in network order. A zeroed struct is "none" (family 0); every predicate is false
 * for it and it prints as "".
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cnm_ip {
	uint8_t family; /* 0 none, AF_INET, AF_INET6 */
	uint8_t b[16];  /* 4 or 16 bytes used, the rest zero */
};

struct cnm_prefix {
	struct cnm_ip ip; /* may have host bits: an interface address with its length */
	uint8_t len;
};

struct cnm_mac {
	uint8_t b[6];
};

#define IP_STR     48 /* fits any address with its terminator */
#define PREFIX_STR 52
#define MAC_STR    18

/* Strict: no leading zeros in IPv4, no scope id, no surrounding space. 0 or -EINVAL. */
int ip_parse(struct cnm_ip *ret, const char *s);
/* "10.0.0.0/8", "fd00::/8"; the length is required. Host bits are kept. 0 or -EINVAL. */
int prefix_parse(struct cnm_prefix *ret, const char *s);
/* Six two-digit hex pairs with ':' or '-'. 0 or -EINVAL. */
int mac_parse(struct cnm_mac *ret, const char *s);

/* Each returns its buffer. IPv6 in RFC 5952 form. */
const char *ip_format(const struct cnm_ip *ip, char buf[static IP_STR]);
const char *prefix_format(const struct cnm_prefix *p, char buf[static PREFIX_STR]);
const char *mac_format(const struct cnm_mac *m, char buf[static MAC_STR]);

bool ip_is_set(const struct cnm_ip *ip);
bool ip_eq(const struct cnm_ip *a, const struct cnm_ip *b);
/* Family first (none < IPv4 < IPv6), then the bytes. */
int ip_cmp(const struct cnm_ip *a, const struct cnm_ip *b);
bool ip_is_unspecified(const struct cnm_ip *ip);
bool ip_is_multicast(const struct cnm_ip *ip);
bool ip_is_loopback(const struct cnm_ip *ip);
bool ip_is_linklocal(const struct cnm_ip *ip);
/* 32, 128, or 0 for none. */
unsigned ip_bits(const struct cnm_ip *ip);
/* Adds n (may be negative) to the address. false if it leaves the family's range. */
bool ip_add(struct cnm_ip *ip, int64_t n);
/* b - a, saturated to UINT64_MAX; 0 if b < a or the families differ. */
uint64_t ip_distance(const struct cnm_ip *a, const struct cnm_ip *b);

bool prefix_is_set(const struct cnm_prefix *p);
bool prefix_eq(const struct cnm_prefix *a, const struct cnm_prefix *b);
/* By address, then length. */
int prefix_cmp(const struct cnm_prefix *a, const struct cnm_prefix *b);
/* The prefix with its host bits cleared. */
struct cnm_prefix prefix_masked(const struct cnm_prefix *p);
bool prefix_has(const struct cnm_prefix *p, const struct cnm_ip *ip);
/* Is inner wholly inside outer (or equal)? */
bool prefix_contains(const struct cnm_prefix *outer, const struct cnm_prefix *inner);
bool prefix_overlaps(const struct cnm_prefix *a, const struct cnm_prefix *b);
struct cnm_ip prefix_first(const struct cnm_prefix *p); /* all host bits 0 */
struct cnm_ip prefix_last(const struct cnm_prefix *p);  /* all host bits 1 */
/* Number of addresses, saturated to UINT64_MAX. */
uint64_t prefix_size(const struct cnm_prefix *p);

bool mac_is_set(const struct cnm_mac *m);
bool mac_eq(const struct cnm_mac *a, const struct cnm_mac *b);
/* A multicast or all-zero address cannot be an interface's. */
bool mac_is_unicast(const struct cnm_mac *m);

#endif
