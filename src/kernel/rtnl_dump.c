/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading rtnetlink: a request each, its answers parsed (rtnl_parse.c) and handed on. Headers are
 * those the kernel's strict checking asks for, so that it leaves out what nobody wants (statistics,
 * cached routes) and refuses what it does not understand.
 */
#include "base/str.h"
#include "kernel/rtnl.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>

#include "kernel/nlattr.h"
#include "kernel/rtnl_parse.h"

/* One request of ours: a header, the largest of the structs, and an attribute or two. */
union query {
	struct nlmsghdr h;
	char room[256];
};

static void *query_init(union query *q, int type, int flags, size_t extra)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(q->room);

	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = (uint16_t)flags;
	return mnl_nlmsg_put_extra_header(h, extra);
}

/* What a dump carries along. */
struct dump {
	union {
		rtnl_link_fn link;
		rtnl_addr_fn addr;
		rtnl_route_fn route;
		rtnl_neigh_fn neigh;
	};
	void (*restart)(void *arg);
	void *arg;
	bool stopped; /* by the caller's function */
};

static int handed(struct dump *d, int r)
{
	d->stopped = r < 0;
	return r;
}

static void on_restart(void *arg)
{
	struct dump *d = arg;

	if (d->restart)
		d->restart(d->arg);
}

static int dump_run(struct nl *nl, union query *q, struct dump *d,
		    int (*fn)(const struct nlmsghdr *h, void *arg), const char *what,
		    struct cnm_error *err)
{
	int r = nl_request(nl, &q->h, fn, on_restart, d, err);

	if (r < 0 && !d->stopped)
		cnm_error_prefix(err, "list %s", what);
	return r;
}

static int on_link(const struct nlmsghdr *h, void *arg)
{
	struct dump *d = arg;
	struct rtnl_link l;

	return rtnl_parse_link(h, &l) ? handed(d, d->link(&l, d->arg)) : 0;
}

int rtnl_links(struct nl *nl, rtnl_link_fn fn, void (*restart)(void *), void *arg,
	       struct cnm_error *err)
{
	struct dump d = { .link = fn, .restart = restart, .arg = arg };
	union query q;

	query_init(&q, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(&q.h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return dump_run(nl, &q, &d, on_link, "links", err);
}

static int on_one_link(const struct nlmsghdr *h, void *arg)
{
	return rtnl_parse_link(h, arg) ? 0 : -EBADMSG;
}

int rtnl_link_by_name(struct nl *nl, const char *name, struct rtnl_link *ret, struct cnm_error *err)
{
	struct cnm_error why = { 0 };
	struct rtnl_link link = { 0 };
	union query q;
	int r;

	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	query_init(&q, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(&q.h, IFLA_IFNAME, name);
	mnl_attr_put_u32(&q.h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	r = nl_request(nl, &q.h, on_one_link, NULL, &link, &why);
	if (r < 0 && r != -ENODEV) {
		cnm_error_errno(err, r, "look up link \"%s\"", name);
		return r;
	}
	if (!r)
		*ret = link;
	return r;
}

int rtnl_link_by_index(struct nl *nl, int ifindex, struct rtnl_link *ret)
{
	struct ifinfomsg *m;
	union query q;

	m = query_init(&q, RTM_GETLINK, 0, sizeof(*m));
	m->ifi_index = ifindex;
	mnl_attr_put_u32(&q.h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return nl_request(nl, &q.h, on_one_link, NULL, ret, NULL);
}

static int on_addr(const struct nlmsghdr *h, void *arg)
{
	struct dump *d = arg;
	struct rtnl_addr a;

	if (!rtnl_parse_addr(h, &a))
		return 0;
	return handed(d, d->addr(a.ifindex, &a.addr, a.scope, a.flags, d->arg));
}

int rtnl_ifindex(struct nl *nl, const char *name, int *ret, struct cnm_error *err)
{
	struct ifreq ifr = { 0 };

	str_copy(ifr.ifr_name, sizeof(ifr.ifr_name), name);
	if (ioctl(nl_fd(nl), SIOCGIFINDEX, &ifr) < 0)
		return errno == ENODEV ? -ENODEV : cnm_error_errno(err, errno, "link %s", name);
	*ret = ifr.ifr_ifindex;
	return 0;
}

int rtnl_addrs(struct nl *nl, rtnl_addr_fn fn, void (*restart)(void *), void *arg,
	       struct cnm_error *err)
{
	struct dump d = { .addr = fn, .restart = restart, .arg = arg };
	union query q;

	query_init(&q, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg));
	return dump_run(nl, &q, &d, on_addr, "addresses", err);
}

static int on_route(const struct nlmsghdr *h, void *arg)
{
	struct dump *d = arg;
	struct rtnl_route r;

	return rtnl_parse_route(h, &r) ? handed(d, d->route(&r, d->arg)) : 0;
}

int rtnl_routes(struct nl *nl, int family, rtnl_route_fn fn, void (*restart)(void *), void *arg,
		struct cnm_error *err)
{
	struct dump d = { .route = fn, .restart = restart, .arg = arg };
	struct rtmsg *m;
	union query q;

	m = query_init(&q, RTM_GETROUTE, NLM_F_DUMP, sizeof(*m));
	m->rtm_family = (uint8_t)family;
	return dump_run(nl, &q, &d, on_route, "routes", err);
}

static int on_neigh(const struct nlmsghdr *h, void *arg)
{
	struct dump *d = arg;
	struct rtnl_neigh n;

	return rtnl_parse_neigh(h, &n) ? handed(d, d->neigh(&n, d->arg)) : 0;
}

int rtnl_neighs(struct nl *nl, int family, rtnl_neigh_fn fn, void (*restart)(void *), void *arg,
		struct cnm_error *err)
{
	struct dump d = { .neigh = fn, .restart = restart, .arg = arg };
	struct ndmsg *n;
	union query q;

	n = query_init(&q, RTM_GETNEIGH, NLM_F_DUMP, sizeof(*n));
	n->ndm_family = (uint8_t)family;
	return dump_run(nl, &q, &d, on_neigh, "neighbours", err);
}

static int on_one_neigh(const struct nlmsghdr *h, void *arg)
{
	return rtnl_parse_neigh(h, arg) ? 0 : -EBADMSG;
}

int rtnl_bridge_fdb(struct nl *nl, int bridge, const struct cnm_mac *mac, struct rtnl_neigh *ret)
{
	struct ndmsg *n;
	union query q;

	n = query_init(&q, RTM_GETNEIGH, 0, sizeof(*n));
	n->ndm_family = AF_BRIDGE;
	n->ndm_flags = NTF_MASTER;
	mnl_attr_put(&q.h, NDA_LLADDR, sizeof(mac->b), mac->b);
	mnl_attr_put_u32(&q.h, NDA_MASTER, (uint32_t)bridge);
	return nl_request(nl, &q.h, on_one_neigh, NULL, ret, NULL);
}

static int on_nsid(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *tb[NETNSA_MAX + 1];
	size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct rtgenmsg));

	if (h->nlmsg_type != RTM_NEWNSID || h->nlmsg_len < head)
		return 0;
	nlattr_table((const char *)h + head, h->nlmsg_len - head, tb, NETNSA_MAX + 1);
	if (tb[NETNSA_NSID] && mnl_attr_get_payload_len(tb[NETNSA_NSID]) >= sizeof(int))
		*(int *)arg = (int)mnl_attr_get_u32(tb[NETNSA_NSID]);
	return 0;
}

int rtnl_get_nsid(struct nl *nl, int nsfd, int *ret_nsid, struct cnm_error *err)
{
	int r, nsid = -1;
	union query q;

	query_init(&q, RTM_GETNSID, 0, sizeof(struct rtgenmsg));
	mnl_attr_put_u32(&q.h, NETNSA_FD, (uint32_t)nsfd);
	r = nl_request(nl, &q.h, on_nsid, NULL, &nsid, err);
	if (r < 0) {
		cnm_error_prefix(err, "ask for the id of a network namespace");
		return r;
	}
	*ret_nsid = nsid;
	return 0;
}
