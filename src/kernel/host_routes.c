/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Routes of others. To list a host's routes takes the longer the more networks are there, each of
 * which has three; so the IPv4 ones are listed once and kept. A socket of its own hears of every
 * change before the one who made it goes on, and one over a link that is not ours has the list made
 * anew. What it says of our own links is read and forgotten.
 *
 * IPv6 routes are listed each time: few networks ask for them, and every veth has some.
 */
#include "kernel/host_routes.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "kernel/rtnl_parse.h"

#define RECV_SIZE 16384

struct host_routes {
	struct mnl_socket *events;
	uint32_t group;
	atomic_bool stale;
	struct prefixes kept; /* IPv4 */
};

void prefixes_free(struct prefixes *p)
{
	free(p->p);
	*p = (struct prefixes){ 0 };
}

int prefixes_add(struct prefixes *list, const struct cnm_prefix *one)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 32;
		struct cnm_prefix *p = reallocarray(list->p, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		list->p = p;
		list->cap = cap;
	}
	list->p[list->n++] = *one;
	return 0;
}

int host_routes_open(struct host_routes **ret, uint32_t group, struct cnm_error *err)
{
	struct host_routes *h = calloc(1, sizeof(*h));

	if (!h)
		return cnm_error_errno(err, ENOMEM, "hear of routes");
	h->group = group;
	h->stale = true;
	h->events = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!h->events || mnl_socket_bind(h->events, RTMGRP_IPV4_ROUTE, MNL_SOCKET_AUTOPID) < 0) {
		int e = errno;

		host_routes_close(h);
		return cnm_error_errno(err, e, "hear of routes");
	}
	*ret = h;
	return 0;
}

void host_routes_close(struct host_routes *h)
{
	if (!h)
		return;
	if (h->events)
		mnl_socket_close(h->events);
	prefixes_free(&h->kept);
	free(h);
}

static bool is_ours(const struct host_routes *h, uint32_t group)
{
	return group == h->group || group == h->group + 1;
}

void host_routes_link_down(struct host_routes *h, uint32_t group)
{
	if (!is_ours(h, group))
		h->stale = true;
}

static bool is_subnet(const struct rtnl_route *r)
{
	return r->dst.len > 0 && !ip_is_multicast(&r->dst.ip) && !ip_is_linklocal(&r->dst.ip) &&
	       !ip_is_loopback(&r->dst.ip);
}

/* ---- listing */

struct listing {
	const struct host_routes *h;
	struct prefixes *ret;
	size_t before; /* what ret had already */
	int *ours;     /* links, sorted */
	size_t n_ours, cap_ours;
};

static int add_link(const struct rtnl_link *l, void *arg)
{
	struct listing *s = arg;

	if (!is_ours(s->h, l->group))
		return 0;
	if (s->n_ours == s->cap_ours) {
		size_t cap = s->cap_ours ? s->cap_ours * 2 : 32;
		int *p = reallocarray(s->ours, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		s->ours = p;
		s->cap_ours = cap;
	}
	s->ours[s->n_ours++] = l->ifindex;
	return 0;
}

static void restart_links(void *arg)
{
	((struct listing *)arg)->n_ours = 0;
}

static int compare_ints(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static int add_route(const struct rtnl_route *r, void *arg)
{
	struct listing *s = arg;

	if (!is_subnet(r) ||
	    (s->n_ours && bsearch(&r->ifindex, s->ours, s->n_ours, sizeof(*s->ours), compare_ints)))
		return 0;
	return prefixes_add(s->ret, &r->dst);
}

static void restart_routes(void *arg)
{
	struct listing *s = arg;

	s->ret->n = s->before;
}

/* Appends to ret. */
static int list(const struct host_routes *h, struct nl *nl, int family, struct prefixes *ret,
		struct cnm_error *err)
{
	struct listing s = { .h = h, .ret = ret, .before = ret->n };
	int r = rtnl_links(nl, add_link, restart_links, &s, err);

	if (r == 0) {
		if (s.n_ours)
			qsort(s.ours, s.n_ours, sizeof(*s.ours), compare_ints);
		r = rtnl_routes(nl, family, add_route, restart_routes, &s, err);
	}
	free(s.ours);
	return r == -ENOMEM ? cnm_error_errno(err, r, "list routes") : r;
}

/* ---- hearing */

/* May it stay out of the list? A link that is gone took its routes along. */
static bool is_of_ours(const struct host_routes *h, struct nl *nl, int ifindex)
{
	struct rtnl_link l;
	int r = ifindex ? rtnl_link_by_index(nl, ifindex, &l) : 1;

	return r == -ENODEV || (r == 0 && is_ours(h, l.group));
}

/* One datagram: 1, or 0 if there is none. Whatever is odd makes the list anew. */
static int hear_one(struct host_routes *h, struct nl *nl, int *ours)
{
	char buf[RECV_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t n = recv(mnl_socket_get_fd(h->events), buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);
	int len = (int)n;

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0 || (size_t)n > sizeof(buf)) {
		h->stale = true;
		return n >= 0 || errno == EINTR || errno == ENOBUFS;
	}
	for (const struct nlmsghdr *m = (const void *)buf; !h->stale && mnl_nlmsg_ok(m, len);
	     m = mnl_nlmsg_next(m, &len)) {
		struct rtnl_route r;

		if (!rtnl_parse_route(m, &r) || !is_subnet(&r) || (*ours && r.ifindex == *ours))
			continue;
		if (is_of_ours(h, nl, r.ifindex))
			*ours = r.ifindex;
		else
			h->stale = true;
	}
	return 1;
}

int host_routes_get(struct host_routes *h, struct nl *nl, int family, struct prefixes *ret,
		    struct cnm_error *err)
{
	int ours = 0, r = 0;

	if (family != AF_INET)
		return list(h, nl, family, ret, err);
	while (hear_one(h, nl, &ours))
		;
	if (atomic_exchange(&h->stale, false)) {
		h->kept.n = 0;
		r = list(h, nl, AF_INET, &h->kept, err);
	}
	if (r < 0)
		h->stale = true;
	for (size_t i = 0; r == 0 && i < h->kept.n; i++)
		if (prefixes_add(ret, &h->kept.p[i]) < 0)
			r = cnm_error_errno(err, ENOMEM, "list routes");
	return r;
}
