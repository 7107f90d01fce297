/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ports of the host: holding them, and who else has them. The kernel decides whether a port can be
 * held; sock_diag (hostports_diag.c) is asked for whom to name, and about ranges too long to hold.
 */
#include "kernel/hostports.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "kernel/hostports_internal.h"
#include "kernel/netns.h"

/* ---- words */

#define PORT_STR (IP_STR + 24)

/* "0.0.0.0:80/tcp", "[::]:80/tcp" */
static const char *port_format(uint8_t proto, const struct cnm_ip *ip, uint16_t port,
			       char buf[static PORT_STR])
{
	const char *open = ip->family == AF_INET6 ? "[" : "", *shut = *open ? "]" : "";
	char addr[IP_STR];

	snprintf(buf, PORT_STR, "%s%s%s:%u/%s", open, ip_format(ip, addr), shut, port,
		 hostports_proto_name(proto));
	return buf;
}

static int tell_in_use(uint8_t proto, const struct cnm_ip *ip, uint16_t port,
		       const struct hostsock *s, struct cnm_error *err)
{
	char text[PORT_STR], who[64] = "";

	if (s)
		hostsock_owner(s, who, sizeof(who));
	cnm_error_set(err, CNM_E_INTERNAL,
		      "failed to bind host port %s: address already in use%s%s%s",
		      port_format(proto, ip, port, text), *who ? " (" : "", who, *who ? ")" : "");
	if (err)
		err->err = EADDRINUSE;
	return -EADDRINUSE;
}

static int tell_not_ours(uint8_t proto, const struct cnm_ip *ip, uint16_t port,
			 struct cnm_error *err)
{
	char text[PORT_STR], addr[IP_STR];

	cnm_error_set(
		err, CNM_E_INTERNAL,
		"failed to bind host port %s: cannot assign requested address: no interface of "
		"this host has %s",
		port_format(proto, ip, port, text), ip_format(ip, addr));
	if (err)
		err->err = EADDRNOTAVAIL;
	return -EADDRNOTAVAIL;
}

/* The socket that is in the way of one port: one that serves rather than a client's. */
struct culprit {
	const struct cnm_ip *ip;
	struct hostsock sock;
	bool found;
};

static int find_culprit(const struct hostsock *s, void *arg)
{
	struct culprit *c = arg;

	if (hostsock_overlaps(s, c->ip) && (!c->found || (c->sock.connected && !s->connected))) {
		c->sock = *s;
		c->found = true;
	}
	return 0;
}

static int refuse(uint8_t proto, const struct cnm_ip *ip, uint16_t port, int e,
		  struct cnm_error *err)
{
	struct culprit c = { .ip = ip };
	char text[PORT_STR];

	switch (e) {
	case EADDRINUSE:
		hostsocks(proto, HOSTSOCKS_ALL, port, find_culprit, &c, NULL);
		return tell_in_use(proto, ip, port, c.found ? &c.sock : NULL, err);
	case EADDRNOTAVAIL:
		return tell_not_ours(proto, ip, port, err);
	}
	return cnm_error_errno(err, e, "failed to bind host port %s",
			       port_format(proto, ip, port, text));
}

/* ---- holding */

static int open_socket(uint8_t proto, int family)
{
	int type = proto == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
	int fd = socket(family, type | SOCK_CLOEXEC, proto);

	return fd < 0 ? -errno : fd;
}

static int bind_socket(int fd, const struct cnm_ip *ip, uint16_t port)
{
	struct sockaddr_in6 sa6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in sa4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	bool is4 = ip->family == AF_INET;

	memcpy(&sa4.sin_addr, ip->b, sizeof(sa4.sin_addr));
	memcpy(&sa6.sin6_addr, ip->b, sizeof(sa6.sin6_addr));
	if (bind(fd, is4 ? (struct sockaddr *)&sa4 : (struct sockaddr *)&sa6,
		 is4 ? sizeof(sa4) : sizeof(sa6)) < 0)
		return -errno;
	return 0;
}

/*
 * Nothing reaches it from the first moment on. With SO_REUSEADDR connections of a former owner that
 * have yet to time out are not in the way, one that listens is; to UDP it would mean sharing.
 */
static int prepare(int fd, uint8_t proto, int family)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog drop_all = { .len = 1, .filter = &none };
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &drop_all, sizeof(drop_all)) < 0 ||
	    (family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
	    (proto != IPPROTO_UDP && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0))
		return -errno;
	return 0;
}

int hostport_hold(uint8_t proto, const struct cnm_ip *ip, uint16_t port, int *ret_fd,
		  struct cnm_error *err)
{
	_close_ int fd = open_socket(proto, ip->family);
	int r;

	if (fd == -EPROTONOSUPPORT || fd == -EAFNOSUPPORT)
		return fd;
	r = fd < 0 ? fd : prepare(fd, proto, ip->family);
	if (r == 0)
		r = bind_socket(fd, ip, port);
	if (r == 0 && proto != IPPROTO_UDP && listen(fd, 1) < 0)
		r = -errno;
	if (r < 0)
		return refuse(proto, ip, port, -r, err);
	*ret_fd = take_fd(&fd);
	return 0;
}

bool hostport_can_hold(uint8_t proto, int family)
{
	_close_ int fd = open_socket(proto, family);

	return fd != -EPROTONOSUPPORT && fd != -EAFNOSUPPORT;
}

bool hostports_have_ipv6(void)
{
	_close_ int fd = open_socket(IPPROTO_UDP, AF_INET6);

	return fd >= 0 && bind_socket(fd, &(struct cnm_ip){ .family = AF_INET6 }, 0) == 0;
}

/* ---- looking */

static void set_bit(uint8_t *bits, unsigned port)
{
	bits[port / 8] |= (uint8_t)(1u << port % 8);
}

static bool has_bit(const uint8_t *bits, unsigned port)
{
	return bits[port / 8] & 1u << port % 8;
}

static int local_range(uint16_t *first, uint16_t *last, struct cnm_error *err)
{
	char text[64];
	unsigned a, b;
	int r = sysctl_read(-1, "net/ipv4/ip_local_port_range", text, sizeof(text), err);

	if (r < 0)
		return r;
	if (sscanf(text, "%u %u", &a, &b) != 2 || a > b || b > UINT16_MAX)
		return cnm_error_set(err, CNM_E_INTERNAL,
				     "net.ipv4.ip_local_port_range is \"%s\" and not two ports",
				     text);
	*first = (uint16_t)a;
	*last = (uint16_t)b;
	return 0;
}

/* "8080,9148-9150": enough room for every second port. */
#define RESERVED_TEXT 200000

static int reserved_ports(uint8_t *bits, struct cnm_error *err)
{
	_free_ char *text = malloc(RESERVED_TEXT);
	char *rest = text, *run;
	int r;

	if (!text)
		return cnm_error_errno(err, ENOMEM, "look for free ports");
	r = sysctl_read(-1, "net/ipv4/ip_local_reserved_ports", text, RESERVED_TEXT, err);
	if (r < 0)
		return r;
	while ((run = strsep(&rest, ","))) {
		unsigned a, b;
		int n = sscanf(run, "%u-%u", &a, &b);

		if (n < 1)
			continue;
		for (unsigned p = a, last = n == 2 ? b : a; p <= last && p <= UINT16_MAX; p++)
			set_bit(bits, p);
	}
	return 0;
}

static int note_port(const struct hostsock *s, void *bits)
{
	set_bit(bits, s->port);
	return 0;
}

int hostports_look(struct hostports_used *ret, struct cnm_error *err)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = local_range(&ret->first, &ret->last, err);
	if (r == 0)
		r = reserved_ports(ret->reserved, err);
	if (r == 0)
		r = hostsocks(IPPROTO_TCP, HOSTSOCKS_ALL, 0, note_port, ret->tcp, err);
	if (r == 0)
		r = hostsocks(IPPROTO_UDP, HOSTSOCKS_ALL, 0, note_port, ret->udp, err);
	return r;
}

/* ---- ranges that are not held */

static _Atomic uint16_t own_ports[256];

void hostports_set_own(uint8_t proto, uint16_t port)
{
	own_ports[proto] = port;
}

struct check {
	const struct hostports *ranges;
	size_t n;
	uint8_t proto;
	uint8_t wanted[8192]; /* ports of this protocol in any range */
	uint16_t local_first, local_last;
	struct hostsock other; /* the first one that is in nobody's way */
	unsigned others;
	struct cnm_error *err;
};

/* An ephemeral UDP port or a connected one is a client's: it may go any moment. */
static bool is_in_the_way(const struct check *c, const struct hostsock *s)
{
	return c->proto != IPPROTO_UDP ||
	       (!s->connected && (s->port < c->local_first || s->port > c->local_last));
}

static int check_socket(const struct hostsock *s, void *arg)
{
	struct check *c = arg;

	if (!has_bit(c->wanted, s->port) ||
	    (s->port == own_ports[c->proto] && s->ip.family == AF_INET6))
		return 0;
	for (size_t i = 0; i < c->n; i++) {
		const struct hostports *p = &c->ranges[i];

		if (p->proto != c->proto || s->port < p->first || s->port > p->last ||
		    !hostsock_overlaps(s, &p->ip))
			continue;
		if (is_in_the_way(c, s))
			return tell_in_use(p->proto, &p->ip, s->port, s, c->err);
		if (!c->others++)
			c->other = *s;
		break;
	}
	return 0;
}

static int check_sockets(struct check *c, uint8_t proto)
{
	bool any = false;

	c->proto = proto;
	memset(c->wanted, 0, sizeof(c->wanted));
	for (size_t i = 0; i < c->n; i++) {
		if (c->ranges[i].proto != proto)
			continue;
		any = true;
		for (unsigned p = c->ranges[i].first; p <= c->ranges[i].last; p++)
			set_bit(c->wanted, p);
	}
	return any ? hostsocks(proto, HOSTSOCKS_SERVING, 0, check_socket, c, c->err) : 0;
}

/* Would a socket be bound there? Which port is for the words only. */
static int check_address(const struct hostports *p, struct cnm_error *err)
{
	_close_ int fd = ip_is_unspecified(&p->ip) ? -1 : open_socket(IPPROTO_UDP, p->ip.family);

	if (fd < 0 || bind_socket(fd, &p->ip, 0) != -EADDRNOTAVAIL)
		return 0;
	return tell_not_ours(p->proto, &p->ip, p->first, err);
}

static void describe_others(const struct check *c, char *text, size_t size)
{
	char who[64];

	*text = '\0';
	if (!c->others)
		return;
	hostsock_owner(&c->other, who, sizeof(who));
	snprintf(text, size, "%u UDP socket%s, %s at port %u%s%s", c->others,
		 c->others == 1 ? "" : "s", c->others == 1 ? "it is" : "one of them", c->other.port,
		 *who ? " of " : "", who);
}

int hostports_check(const struct hostports *ranges, size_t n, unsigned *ret_others, char *text,
		    size_t size, struct cnm_error *err)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	struct check c = { .ranges = ranges, .n = n, .err = err };
	int r = local_range(&c.local_first, &c.local_last, err);

	for (size_t i = 0; i < n && r == 0; i++)
		if (i == 0 || !ip_eq(&ranges[i].ip, &ranges[i - 1].ip))
			r = check_address(&ranges[i], err);
	for (unsigned i = 0; i < sizeof(protos) && r == 0; i++)
		r = check_sockets(&c, protos[i]);
	if (r < 0)
		return r;
	describe_others(&c, text, size);
	*ret_others = c.others;
	return 0;
}
