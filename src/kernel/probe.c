/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Probes. The socket of each is made in the namespace it sends from, and used from here. It asks to
 * be told of ICMP errors at once (IP_RECVERR), so that "refused" and "unreachable" need no waiting.
 */
#include "kernel/probe.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kernel/netlink.h"
#include "kernel/netns.h"
#include "kernel/nlattr.h"

/* One probe under way. */
struct shot {
	const struct probe *probe;
	int fd; /* -1: its result is known */
	uint16_t id;
	enum probe_result result;
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t make_address(const struct cnm_ip *ip, uint16_t port, union address *ret)
{
	*ret = (union address){ 0 };
	if (ip->family == AF_INET) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(port);
		memcpy(&ret->v4.sin_addr, ip->b, 4);
		return sizeof(ret->v4);
	}
	ret->v6.sin6_family = AF_INET6;
	ret->v6.sin6_port = htons(port);
	memcpy(&ret->v6.sin6_addr, ip->b, 16);
	return sizeof(ret->v6);
}

/* ------------------------------------------------------------------------- sockets */

static int open_socket(struct shot *s)
{
	int family = s->probe->to.family, type = SOCK_RAW, on = 1;
	int proto = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;

	if (s->probe->proto) {
		type = s->probe->proto == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
		proto = s->probe->proto;
	}
	s->fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, proto);
	if (s->fd < 0)
		return -errno;
	if (family == AF_INET)
		return setsockopt(s->fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)) < 0 ? -errno : 0;
	return setsockopt(s->fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on)) < 0 ? -errno : 0;
}

struct opening {
	struct shot *shots;
	unsigned n;
};

/* In the namespace. A family that it lacks is one by which nothing can be reached. */
static int open_job(void *arg)
{
	struct opening *o = arg;
	int r = 0;

	for (unsigned i = 0; i < o->n && r == 0; i++) {
		r = open_socket(&o->shots[i]);
		if (r == -EAFNOSUPPORT) {
			o->shots[i].result = PROBE_UNREACHABLE;
			r = 0;
		}
	}
	return r;
}

/* ------------------------------------------------------------------------- packets */

static void conclude(struct shot *s, enum probe_result result)
{
	s->result = result;
	close_fd(&s->fd);
}

static void conclude_error(struct shot *s, int error)
{
	if (error == ECONNREFUSED || error == ECONNRESET)
		conclude(s, PROBE_REFUSED);
	else if (error != EINPROGRESS && error != EAGAIN && error != EINTR)
		conclude(s, PROBE_UNREACHABLE);
}

/* ICMPv6 checksums are the kernel's; those of ICMP are not. */
static uint16_t checksum(const void *data, size_t n)
{
	const uint8_t *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static ssize_t send_echo(const struct shot *s)
{
	if (s->probe->to.family == AF_INET) {
		uint8_t h[] = { ICMP_ECHO, 0, 0, 0, 0, 0, 0, 1 }; /* number 1 */
		uint16_t sum;

		memcpy(h + 4, &s->id, sizeof(s->id));
		sum = checksum(h, sizeof(h));
		memcpy(h + 2, &sum, sizeof(sum));
		return send(s->fd, h, sizeof(h), 0);
	}
	struct icmp6_hdr h = { .icmp6_type = ICMP6_ECHO_REQUEST };

	h.icmp6_id = s->id;
	h.icmp6_seq = htons(1);
	return send(s->fd, &h, sizeof(h), 0);
}

static void launch(struct shot *s)
{
	uint16_t port = s->probe->proto ? s->probe->port : 0;
	union address to;
	socklen_t len = make_address(&s->probe->to, port, &to);

	if (s->fd < 0)
		return;
	if (connect(s->fd, &to.any, len) < 0 ||
	    (s->probe->proto == IPPROTO_UDP && send(s->fd, "", 1, 0) < 0) ||
	    (!s->probe->proto && send_echo(s) < 0))
		conclude_error(s, errno);
	else if (s->probe->proto == IPPROTO_TCP)
		conclude(s, PROBE_ANSWERED);
}

/* A raw socket gets whatever ICMP comes from there. */
static bool is_echo_reply(const struct shot *s, const uint8_t *data, size_t n)
{
	size_t head = 0;
	bool four = s->probe->to.family == AF_INET;
	uint16_t id;

	if (four)
		head = n ? (data[0] & 15u) * 4 : 0;
	if (n < head + 8)
		return false;
	memcpy(&id, data + head + 4, sizeof(id));
	return data[head] == (four ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) && id == s->id;
}

static void hear_datagrams(struct shot *s)
{
	uint8_t data[512];

	while (s->fd >= 0) {
		ssize_t n = recv(s->fd, data, sizeof(data), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0)
			conclude_error(s, errno);
		else if (s->probe->proto || is_echo_reply(s, data, (size_t)n))
			conclude(s, PROBE_ANSWERED);
	}
}

static void hear(struct shot *s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (s->probe->proto != IPPROTO_TCP) {
		hear_datagrams(s);
		return;
	}
	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error)
		conclude_error(s, error);
	else
		conclude(s, PROBE_ANSWERED);
}

/* ------------------------------------------------------------------------- the whole */

/* Did it reach its target? */
static bool has_arrived(const struct shot *s)
{
	return s->result >= PROBE_REFUSED;
}

/* Wait for all that are under way at once; true: there is more to wait for. */
static bool hear_some(struct shot *shots, unsigned n, uint64_t end)
{
	struct pollfd p[PROBE_MAX] = { 0 };
	uint64_t now = clock_mono_ns();
	unsigned waiting = 0;

	for (unsigned i = 0; i < n; i++) {
		p[i] = (struct pollfd){ .fd = shots[i].fd, .events = POLLIN };
		if (shots[i].probe->proto == IPPROTO_TCP)
			p[i].events = POLLOUT;
		waiting += shots[i].fd >= 0;
	}
	if (!waiting || now >= end)
		return false;
	if (poll(p, n, (int)((end - now) / 1000000) + 1) < 0 && errno != EINTR)
		return false;
	for (unsigned i = 0; i < n; i++) {
		if (p[i].revents)
			hear(&shots[i]);
		if (has_arrived(&shots[i]))
			return false;
	}
	return true;
}

static bool any_arrived(const struct shot *shots, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (has_arrived(&shots[i]))
			return true;
	return false;
}

int probe_run(int ns, const struct probe *probes, unsigned n, unsigned ms, enum probe_result *ret,
	      unsigned *ret_which, struct cnm_error *err)
{
	uint64_t end = clock_mono_ns() + ms * 1000000ull;
	struct shot shots[PROBE_MAX];
	struct opening o = { shots, n < PROBE_MAX ? n : PROBE_MAX };
	unsigned best = 0;
	int r;

	for (unsigned i = 0; i < o.n; i++) {
		shots[i] = (struct shot){ .probe = &probes[i], .fd = -1 };
		if (getrandom(&shots[i].id, sizeof(shots[i].id), 0) < 0)
			shots[i].id = (uint16_t)end;
	}
	r = netns_call(ns, open_job, &o);
	for (unsigned i = 0; i < o.n && r == 0; i++)
		launch(&shots[i]);
	while (r == 0 && !any_arrived(shots, o.n) && hear_some(shots, o.n, end))
		;
	for (unsigned i = 0; i < o.n; i++) {
		close_fd(&shots[i].fd);
		if (shots[i].result > shots[best].result)
			best = i;
	}
	if (r < 0)
		return cnm_error_errno(err, r, "open a socket to probe with");
	*ret = shots[best].result;
	*ret_which = best;
	return 0;
}

/* ------------------------------------------------------------------------- routes */

static int take_route(const struct nlmsghdr *h, void *arg)
{
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct rtmsg));
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *tb[RTA_PREFSRC + 1];
	struct probe_route *ret = arg;
	size_t size;

	if (h->nlmsg_type != RTM_NEWROUTE || h->nlmsg_len < head)
		return 0;
	nlattr_table((const char *)h + head, h->nlmsg_len - head, tb, RTA_PREFSRC + 1);
	ret->found = m->rtm_type == RTN_LOCAL || m->rtm_type == RTN_UNICAST;
	ret->local = m->rtm_type == RTN_LOCAL;
	if (tb[RTA_OIF] && mnl_attr_get_payload_len(tb[RTA_OIF]) >= sizeof(uint32_t))
		if_indextoname(mnl_attr_get_u32(tb[RTA_OIF]), ret->link);
	size = m->rtm_family == AF_INET ? 4 : 16;
	if (tb[RTA_PREFSRC] && mnl_attr_get_payload_len(tb[RTA_PREFSRC]) == size) {
		ret->source.family = m->rtm_family;
		memcpy(ret->source.b, mnl_attr_get_payload(tb[RTA_PREFSRC]), size);
	}
	return 0;
}

int probe_route(struct nl *nl, const struct cnm_ip *to, struct probe_route *ret,
		struct cnm_error *err)
{
	char room[256] __attribute__((aligned(8)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(room);
	struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	struct probe_route route = { 0 };
	struct cnm_error why = { 0 };
	struct nl *own = NULL;
	int r = nl ? 0 : nl_open(&own, NETLINK_ROUTE, err);

	if (r < 0)
		return r;
	h->nlmsg_type = RTM_GETROUTE;
	h->nlmsg_flags = NLM_F_REQUEST;
	m->rtm_family = to->family;
	m->rtm_dst_len = (unsigned char)ip_bits(to);
	mnl_attr_put(h, RTA_DST, ip_bits(to) / 8, to->b);
	r = nl_request(nl ? nl : own, h, take_route, NULL, &route, &why);
	nl_close(own);
	/* No route, also by a rule that prohibits or drops, is an answer. */
	if (r == -ENETUNREACH || r == -EHOSTUNREACH || r == -EACCES || r == -EINVAL)
		r = 0;
	if (r < 0)
		return cnm_error_errno(err, r, "ask the kernel for a route");
	*ret = route;
	return 0;
}
