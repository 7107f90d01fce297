/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading netlink attributes. */
#include "kernel/nlattr.h"

#include <string.h>

#include <libmnl/libmnl.h>

void nlattr_table(const void *p, size_t len, const struct nlattr **tb, unsigned n)
{
	const struct nlattr *attr;

	memset(tb, 0, n * sizeof(*tb));
	mnl_attr_for_each_payload(p, len)
	{
		if (mnl_attr_get_type(attr) < n)
			tb[mnl_attr_get_type(attr)] = attr;
	}
}

void nlattr_str(const struct nlattr *a, char *dst, size_t size)
{
	size_t n = a ? strnlen(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a)) : 0;

	if (n >= size)
		n = size - 1;
	if (n)
		memcpy(dst, mnl_attr_get_payload(a), n);
	dst[n] = 0;
}
