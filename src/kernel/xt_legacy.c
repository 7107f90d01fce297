/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See xt_legacy.h. A table is one block of entries; the policy of a chain is the target of the
 * entry at its underflow. To ask the kernel for a table makes it, so /proc/net/ip_tables_names,
 * where those are that exist, is read first. Both families lay their tables out alike but for the
 * entry's head.
 */
#include <netinet/in.h> /* before the kernel's, which then leave out what it has */

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "kernel/xt_legacy.h"

#define MAX_TABLE (64u << 20) /* of the entries, in bytes */

static const struct family {
	int family, level;
	const char *names, *command;
	size_t target_offset; /* of the field in an entry */
	size_t entries;       /* of the entries in what IPT_SO_GET_ENTRIES fills */
} families[] = {
	{ AF_INET, IPPROTO_IP, "/proc/thread-self/net/ip_tables_names", "iptables-legacy",
	  offsetof(struct ipt_entry, target_offset), offsetof(struct ipt_get_entries, entrytable) },
	{ AF_INET6, IPPROTO_IPV6, "/proc/thread-self/net/ip6_tables_names", "ip6tables-legacy",
	  offsetof(struct ip6t_entry, target_offset),
	  offsetof(struct ip6t_get_entries, entrytable) },
};

/* Is there a table "filter"? A kernel without these modules has no such file. */
static int has_filter(const struct family *f)
{
	_close_ int fd = open(f->names, O_RDONLY | O_CLOEXEC);
	char text[512] = "\n";
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	n = read(fd, text + 1, sizeof(text) - 2);
	if (n < 0)
		return -errno;
	text[1 + n] = '\0';
	return strstr(text, "\nfilter\n") != NULL;
}

/* The verdict at this offset of the entries, which the kernel wrote; 0 if there is none. */
static int verdict_at(const struct family *f, const unsigned char *entries, unsigned size,
		      unsigned offset)
{
	struct xt_standard_target target;
	uint16_t at;

	if (offset > size || size - offset < sizeof(struct ip6t_entry))
		return 0;
	memcpy(&at, entries + offset + f->target_offset, sizeof(at));
	if (at > size - offset || size - offset - at < sizeof(target))
		return 0;
	memcpy(&target, entries + offset + at, sizeof(target));
	return target.target.u.user.name[0] ? 0
					    : target.verdict; /* a standard target has no name */
}

/* IPT_SO_GET_INFO, _GET_ENTRIES and their structures are the same in both families. */
static int read_policy(const struct family *f, int fd, bool *ret_drop)
{
	struct ipt_getinfo info = { .name = "filter" };
	socklen_t len = sizeof(info);
	_free_ unsigned char *all = NULL;
	struct ipt_get_entries head = { .name = "filter" };

	if (getsockopt(fd, f->level, IPT_SO_GET_INFO, &info, &len) < 0)
		return -errno;
	if (info.size > MAX_TABLE)
		return -E2BIG;
	len = (socklen_t)(f->entries + info.size);
	all = calloc(1, len);
	if (!all)
		return -ENOMEM;
	head.size = info.size;
	memcpy(all, &head, sizeof(head));
	if (getsockopt(fd, f->level, IPT_SO_GET_ENTRIES, all, &len) < 0)
		return -errno; /* EAGAIN: it has changed meanwhile */
	*ret_drop = verdict_at(f, all + f->entries, info.size, info.underflow[NF_INET_FORWARD]) ==
		    -NF_DROP - 1;
	return 0;
}

static int look_at(const struct family *f, bool *ret_drop)
{
	int r = has_filter(f);

	*ret_drop = false;
	if (r <= 0)
		return r;
	for (int tries = 0; tries < 8; tries++) {
		_close_ int fd = socket(f->family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

		if (fd < 0)
			return -errno;
		r = read_policy(f, fd, ret_drop);
		if (r != -EAGAIN)
			return r;
	}
	return r;
}

int xt_legacy_forward_drop(char *buf, size_t size, struct cnm_error *err)
{
	bool drop;

	*buf = '\0';
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
		int r = look_at(&families[i], &drop);

		if (r < 0)
			return cnm_error_errno(err, -r, "read the table filter of %s",
					       families[i].command);
		if (drop) {
			snprintf(buf, size, "table filter of %s, chain FORWARD, policy drop",
				 families[i].command);
			return 0;
		}
	}
	return 0;
}
