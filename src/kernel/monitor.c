/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The monitor: two multicast sockets behind one epoll descriptor. It keeps nothing: each message
 * becomes an event, and what could not be received becomes MONITOR_LOST, after which only a dump
 * tells what is so.
 */
#include "kernel/monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "kernel/nlattr.h"
#include "kernel/rtnl_parse.h"

#define RECV_SIZE 32768
/* Memory is used only while events wait. */
#define RECV_BUFFER (16 << 20)
/* Datagrams of one socket in one call. */
#define READ_AT_A_TIME 512

typedef void (*event_fn)(const struct monitor_event *e, void *arg);

struct monitor {
	struct mnl_socket *route, *netfilter;
	int epoll;
	char buf[RECV_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
};

static int open_socket(struct monitor *m, struct mnl_socket **ret, int protocol, const int *groups,
		       size_t n)
{
	struct epoll_event readable = { .events = EPOLLIN };
	int on = 1, size = RECV_BUFFER, fd;

	*ret = mnl_socket_open2(protocol, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!*ret)
		return -errno;
	fd = mnl_socket_get_fd(*ret);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (mnl_socket_setsockopt(*ret, NETLINK_LISTEN_ALL_NSID, &on, sizeof(on)) < 0 ||
	    mnl_socket_bind(*ret, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	for (size_t i = 0; i < n; i++) {
		int group = groups[i];

		if (mnl_socket_setsockopt(*ret, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
			return -errno;
	}
	return epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &readable) < 0 ? -errno : 0;
}

/*
 * Of neighbours only what is deleted: every use of one by any sandbox changes it. Filters read in
 * network byte order.
 */
static int leave_neighbours_out(struct mnl_socket *s)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWNEIGH), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog filter = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	return setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_ATTACH_FILTER, &filter,
			  sizeof(filter)) < 0
		       ? -errno
		       : 0;
}

int monitor_open(struct monitor **ret, struct cnm_error *err)
{
	static const int route[] = { RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
				     RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_NEIGH };
	static const int netfilter[] = { NFNLGRP_NFTABLES };
	struct monitor *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return cnm_error_errno(err, ENOMEM, "listen to the kernel's events");
	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = m->epoll < 0 ? -errno : 0;
	if (!r)
		r = open_socket(m, &m->route, NETLINK_ROUTE, route,
				sizeof(route) / sizeof(route[0]));
	if (!r)
		r = leave_neighbours_out(m->route);
	if (!r)
		r = open_socket(m, &m->netfilter, NETLINK_NETFILTER, netfilter, 1);
	if (r < 0) {
		monitor_close(m);
		return cnm_error_errno(err, r,
				       "listen to the events of all network namespaces "
				       "(CAP_NET_ADMIN and CAP_NET_BROADCAST are needed)");
	}
	*ret = m;
	return 0;
}

void monitor_close(struct monitor *m)
{
	if (!m)
		return;
	if (m->route)
		mnl_socket_close(m->route);
	if (m->netfilter)
		mnl_socket_close(m->netfilter);
	close_fd(&m->epoll);
	free(m);
}

int monitor_fd(const struct monitor *m)
{
	return m->epoll;
}

/* ------------------------------------------------------------------------- messages to events */

static bool link_event(const struct nlmsghdr *h, struct monitor_event *e)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	struct rtnl_link l;

	if (!rtnl_parse_link(h, &l))
		return false;
	/* Of family bridge it speaks of the port: its end is not the link's. */
	e->what = i->ifi_family == AF_BRIDGE ? MONITOR_PORT : MONITOR_LINK;
	e->gone = h->nlmsg_type == RTM_DELLINK;
	e->ifindex = l.ifindex;
	memcpy(e->name, l.name, sizeof(e->name));
	e->up = l.up;
	e->hairpin = l.port_hairpin;
	e->port = (struct rtnl_port){ .learning = l.port_learning,
				      .flood = l.port_flood,
				      .isolated = l.port_isolated,
				      .locked = l.port_locked };
	e->odd = l.kind == RTNL_BRIDGE && (l.br_stp || l.br_forward_delay || l.br_mcast_snooping);
	e->mac = l.mac;
	e->mtu = l.mtu;
	e->group = l.group;
	return true;
}

static bool addr_event(const struct nlmsghdr *h, struct monitor_event *e)
{
	struct rtnl_addr a;

	if (!rtnl_parse_addr(h, &a))
		return false;
	e->what = MONITOR_ADDR;
	e->gone = h->nlmsg_type == RTM_DELADDR;
	e->ifindex = a.ifindex;
	return true;
}

static bool route_event(const struct nlmsghdr *h, struct monitor_event *e)
{
	struct rtnl_route r;

	if (!rtnl_parse_route(h, &r))
		return false;
	e->what = MONITOR_ROUTE;
	e->gone = h->nlmsg_type == RTM_DELROUTE;
	e->is_default = r.dst.len == 0;
	e->ifindex = r.ifindex;
	return true;
}

static bool neigh_event(const struct nlmsghdr *h, struct monitor_event *e)
{
	struct rtnl_neigh n;

	if (h->nlmsg_type != RTM_DELNEIGH || !rtnl_parse_neigh(h, &n))
		return false;
	e->what = ip_is_set(&n.ip) ? MONITOR_NEIGH : MONITOR_FDB;
	e->gone = true;
	e->ifindex = n.ifindex;
	e->mac = n.mac;
	e->ip = ip_is_set(&n.ip) ? n.ip : n.dst;
	return true;
}

static bool is_about_a_table(unsigned type)
{
	switch (type) {
	case NFT_MSG_NEWTABLE:
	case NFT_MSG_DELTABLE:
	case NFT_MSG_NEWCHAIN:
	case NFT_MSG_DELCHAIN:
	case NFT_MSG_NEWRULE:
	case NFT_MSG_DELRULE:
	case NFT_MSG_NEWSET:
	case NFT_MSG_DELSET:
	case NFT_MSG_NEWSETELEM:
	case NFT_MSG_DELSETELEM:
	case NFT_MSG_NEWOBJ:
	case NFT_MSG_DELOBJ:
	case NFT_MSG_NEWFLOWTABLE:
	case NFT_MSG_DELFLOWTABLE:
		return true;
	default:
		return false;
	}
}

static bool nft_event(const struct nlmsghdr *h, struct monitor_event *e)
{
	size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	unsigned type = NFNL_MSG_TYPE(h->nlmsg_type);
	/* Attribute 1 is the table's name in every one of these messages. */
	const struct nlattr *tb[NFTA_TABLE_NAME + 1];

	if (NFNL_SUBSYS_ID(h->nlmsg_type) != NFNL_SUBSYS_NFTABLES || h->nlmsg_len < head ||
	    !is_about_a_table(type))
		return false;
	nlattr_table((const char *)h + head, h->nlmsg_len - head, tb, NFTA_TABLE_NAME + 1);
	if (!tb[NFTA_TABLE_NAME])
		return false;
	e->what = MONITOR_NFT;
	e->gone = type == NFT_MSG_DELTABLE || type == NFT_MSG_DELCHAIN || type == NFT_MSG_DELRULE;
	nlattr_str(tb[NFTA_TABLE_NAME], e->table, sizeof(e->table));
	return true;
}

static bool route_message(const struct nlmsghdr *h, struct monitor_event *e)
{
	return link_event(h, e) || addr_event(h, e) || route_event(h, e) || neigh_event(h, e);
}

/* ------------------------------------------------------------------------- reading */

/* The namespace a datagram came from; it is not said of our own. */
static int nsid_of(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		int nsid;

		if (c->cmsg_level != SOL_NETLINK || c->cmsg_type != NETLINK_LISTEN_ALL_NSID ||
		    c->cmsg_len < CMSG_LEN(sizeof(nsid)))
			continue;
		memcpy(&nsid, CMSG_DATA(c), sizeof(nsid));
		return nsid;
	}
	return -1;
}

static void lost(event_fn fn, void *arg)
{
	fn(&(struct monitor_event){ .what = MONITOR_LOST, .nsid = -1 }, arg);
}

/* One datagram: 1, 0 if there is none, or a negative errno. */
static int read_one(struct monitor *m, struct mnl_socket *s,
		    bool (*parse)(const struct nlmsghdr *h, struct monitor_event *e), event_fn fn,
		    void *arg)
{
	char control[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct nl_pktinfo))]
		__attribute__((aligned(8)));
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { .iov_base = m->buf, .iov_len = sizeof(m->buf) };
	struct msghdr msg = { .msg_name = &from,
			      .msg_namelen = sizeof(from),
			      .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(mnl_socket_get_fd(s), &msg, MSG_DONTWAIT);
	int len = (int)n, nsid;

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0 && errno != EINTR && errno != ENOBUFS)
		return -errno;
	if ((n < 0 && errno == ENOBUFS) || (n >= 0 && msg.msg_flags & MSG_TRUNC))
		lost(fn, arg);
	if (n < 0 || msg.msg_flags & MSG_TRUNC || from.nl_pid != 0)
		return 1;
	nsid = nsid_of(&msg);
	for (const struct nlmsghdr *h = (const void *)m->buf; mnl_nlmsg_ok(h, len);
	     h = mnl_nlmsg_next(h, &len)) {
		struct monitor_event e = { .nsid = nsid, .portid = h->nlmsg_pid };

		if (parse(h, &e))
			fn(&e, arg);
	}
	return 1;
}

static int read_socket(struct monitor *m, struct mnl_socket *s,
		       bool (*parse)(const struct nlmsghdr *h, struct monitor_event *e),
		       event_fn fn, void *arg)
{
	int r = 1;

	for (int i = 0; r > 0 && i < READ_AT_A_TIME; i++)
		r = read_one(m, s, parse, fn, arg);
	return r < 0 ? r : 0;
}

int monitor_read(struct monitor *m, event_fn fn, void *arg)
{
	int r = read_socket(m, m->route, route_message, fn, arg);
	int r2 = read_socket(m, m->netfilter, nft_event, fn, arg);

	return r < 0 ? r : r2;
}
