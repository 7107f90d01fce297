/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets of the host by sock_diag, and whose they are: the kernel tells a socket's inode, and a
 * process has it if one of the links in its /proc/PID/fd says so.
 */
#include "kernel/hostports_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "kernel/netlink.h"
#include "kernel/nlattr.h"

/* How many links of /proc/PID/fd are read for one question. */
#define FD_LINKS_MAX 200000

/* ---- listing */

static bool is_mapped(const uint8_t *b)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(b, prefix, sizeof(prefix)) == 0;
}

static struct cnm_ip address_of(const struct inet_diag_msg *m)
{
	const uint8_t *b = (const uint8_t *)m->id.idiag_src;
	struct cnm_ip ip = { .family = m->idiag_family };

	if (m->idiag_family == AF_INET6 && is_mapped(b)) {
		ip.family = AF_INET;
		b += 12;
	}
	memcpy(ip.b, b, ip.family == AF_INET ? 4 : 16);
	return ip;
}

bool hostsock_parse(const struct nlmsghdr *h, struct hostsock *ret)
{
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct inet_diag_msg));
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[INET_DIAG_SKV6ONLY + 1], *only;

	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || h->nlmsg_len < head ||
	    (m->idiag_family != AF_INET && m->idiag_family != AF_INET6) || !m->id.idiag_sport)
		return false;
	nlattr_table((const char *)h + head, h->nlmsg_len - head, tb, INET_DIAG_SKV6ONLY + 1);
	only = tb[INET_DIAG_SKV6ONLY];
	*ret = (struct hostsock){
		.ip = address_of(m),
		.port = ntohs(m->id.idiag_sport),
		.connected = m->id.idiag_dport != 0,
		.listening = m->idiag_state == TCP_LISTEN,
		.inode = m->idiag_inode,
	};
	ret->dual = ret->ip.family == AF_INET6 && ip_is_unspecified(&ret->ip) &&
		    !(only && mnl_attr_get_payload_len(only) >= 1 && mnl_attr_get_u8(only));
	return true;
}

struct listing {
	int (*fn)(const struct hostsock *s, void *arg);
	void *arg;
	bool stopped;
};

static int list_one(const struct nlmsghdr *h, void *arg)
{
	struct listing *l = arg;
	struct hostsock s;
	int r = hostsock_parse(h, &s) ? l->fn(&s, l->arg) : 0;

	l->stopped = r < 0;
	return r;
}

static int list_family(struct nl *nl, int family, uint8_t proto, uint32_t states, uint16_t port,
		       struct listing *l, struct cnm_error *err)
{
	char room[128] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(room);
	struct inet_diag_req_v2 *q = mnl_nlmsg_put_extra_header(h, sizeof(*q));
	struct cnm_error why = { 0 };
	int r;

	h->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	h->nlmsg_flags = NLM_F_DUMP;
	q->sdiag_family = (uint8_t)family;
	q->sdiag_protocol = proto;
	q->idiag_states = states;
	q->id.idiag_sport = htons(port);
	r = nl_request(nl, h, list_one, NULL, l, &why);
	if (l->stopped || r == 0 || r == -ENOENT || r == -EINVAL || r == -EOPNOTSUPP)
		return l->stopped ? r : 0;
	if (err)
		*err = why;
	cnm_error_prefix(err, "list the sockets of the host");
	return r;
}

int hostsocks(uint8_t proto, enum hostsocks_which which, uint16_t port,
	      int (*fn)(const struct hostsock *s, void *arg), void *arg, struct cnm_error *err)
{
	uint32_t states = ~(1u << TCP_TIME_WAIT);
	struct listing l = { .fn = fn, .arg = arg };
	struct nl *nl;
	int r = nl_open(&nl, NETLINK_SOCK_DIAG, err);

	if (r < 0)
		return r;
	if (which == HOSTSOCKS_SERVING && proto != IPPROTO_UDP)
		states = 1u << TCP_LISTEN;
	r = list_family(nl, AF_INET, proto, states, port, &l, err);
	if (r == 0)
		r = list_family(nl, AF_INET6, proto, states, port, &l, err);
	nl_close(nl);
	return r;
}

bool hostsock_overlaps(const struct hostsock *s, const struct cnm_ip *ip)
{
	if (ip->family != s->ip.family)
		return ip->family == AF_INET && s->dual;
	return ip_is_unspecified(ip) || ip_is_unspecified(&s->ip) || ip_eq(ip, &s->ip);
}

/* ---- owners */

/* Has the process this socket? *left is how many more links may be read. */
static bool has_socket(const char *pid, const char *link, unsigned *left)
{
	char path[64], target[64];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	d = opendir(path);
	while (d && !found && *left && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);

		--*left;
		if (n < 0)
			continue;
		target[n] = '\0';
		found = streq(target, link);
	}
	if (d)
		closedir(d);
	return found;
}

/* A process chooses its name: what is not plain is not passed on. */
static void describe(const char *pid, char *buf, size_t size)
{
	char path[64], name[32];
	_close_ int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);
	if (n <= 0)
		return;
	name[n] = '\0';
	name[strcspn(name, "\n")] = '\0';
	for (char *p = name; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	snprintf(buf, size, "%s, pid %.16s", name, pid);
}

void hostsock_owner(const struct hostsock *s, char *buf, size_t size)
{
	unsigned left = FD_LINKS_MAX;
	struct dirent *e;
	char link[32];
	DIR *proc;

	*buf = '\0';
	snprintf(link, sizeof(link), "socket:[%u]", s->inode);
	if (!s->inode || has_socket("self", link, &left))
		return;
	proc = opendir("/proc");
	while (proc && left && !*buf && (e = readdir(proc)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
		    has_socket(e->d_name, link, &left))
			describe(e->d_name, buf, size);
	if (proc)
		closedir(proc);
}
