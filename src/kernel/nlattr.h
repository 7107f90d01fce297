/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading netlink attributes, within their lengths whatever they hold. libmnl's walk over a whole
 * message rounds its end up; these take the length as it is. Internal to kernel/.
 */
#ifndef KERNEL_NLATTR_H
#define KERNEL_NLATTR_H

#include <linux/netlink.h>
#include <stddef.h>

/*
 * The attributes in len bytes at p (aligned to 4), by type: tb[0..n), NULL where absent. Of two of
 * a type the last is taken; types from n on are passed over.
 */
void nlattr_table(const void *p, size_t len, const struct nlattr **tb, unsigned n);
/* A string attribute cut to size-1 bytes, with or without its terminator; "" if a is NULL. */
void nlattr_str(const struct nlattr *a, char *dst, size_t size);

#endif
