/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The iptables that nftables does not see: tables of ip_tables and ip6_tables, which the commands
 * iptables-legacy and ip6tables-legacy fill.
 */
#ifndef KERNEL_XT_LEGACY_H
#define KERNEL_XT_LEGACY_H

#include <stddef.h>

#include "cnm/error.h"

/*
 * Does a filter table of theirs drop what no rule of its chain FORWARD accepts? Writes a
 * description
 * ("table filter of iptables-legacy, chain FORWARD, policy drop") or "" into buf. Looks at the
 * namespace of the calling thread, and makes no table: one that nobody has used is not asked for.
 */
int xt_legacy_forward_drop(char *buf, size_t size, struct cnm_error *err);

#endif
