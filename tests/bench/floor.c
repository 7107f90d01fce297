/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * floor: what the kernel alone costs. The least that attaches a namespace to a bridge by raw
 * rtnetlink, done one step at a time as standard input says, so that the steps of another program
 * can be measured between them.
 *
 * Runs in a network and a mount namespace of its own. Commands, a line each; each is answered by a
 * line of times in nanoseconds, the whole step first, or ends the program with a message:
 *
 *   bridge N       create bridge N, up (timed), and give it an address (not timed)
 *   attach N       a pinned namespace, a veth on bridge N with its peer born inside, loopback and
 *                  peer up, address, default route: "whole netns veth inside"
 *   join N         into the namespace of the last attach a further veth on bridge N: "whole veth
 *                  inside"
 *   leave          delete the link of the last join by one RTM_DELLINK
 *   unbridge N     delete bridge N by one RTM_DELLINK
 *
 * The peer is never moved between namespaces (that waits 15 ms for RCU), each namespace has an
 * rtnetlink socket opened while the thread was in it, and the messages for the inside go in one
 * sendmsg. IPv6 is off in each namespace.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_NETNS   8192
#define MAX_BRIDGES 64
#define PIN_DIR     "/run/floor"
#define THIS_NETNS  "/proc/thread-self/ns/net"

struct netns {
	int fd;
	struct mnl_socket *nl;
	int next_index; /* of the next link made inside; loopback is 1 */
};

static struct mnl_socket *host_nl;
static int host_fd;
static unsigned sequence = 1;
static struct netns spaces[MAX_NETNS];
static int n_spaces;
static int bridge_index[MAX_BRIDGES];
static unsigned n_links;     /* ever made: names never repeat */
static unsigned last_joined; /* the number in the name of the link that leave deletes */

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* ------------------------------------------------------------------------------------- messages */

static struct mnl_socket *open_rtnl(void)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		die("open an rtnetlink socket");
	return nl;
}

/* Send n messages at once and take their n answers. */
static void talk(struct mnl_socket *nl, const void *buf, size_t len, unsigned n, const char *what)
{
	char answer[16384];

	if (mnl_socket_sendto(nl, buf, len) < 0)
		die(what);
	while (n) {
		int left = (int)mnl_socket_recvfrom(nl, answer, sizeof(answer));
		struct nlmsghdr *h = (void *)answer;

		if (left < 0)
			die(what);
		for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

			if (h->nlmsg_type != NLMSG_ERROR)
				continue;
			errno = -e->error;
			if (errno)
				die(what);
			n--;
		}
	}
}

static struct nlmsghdr *put_header(void *at, int type, int flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(at);

	h->nlmsg_type = (unsigned short)type;
	h->nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags);
	h->nlmsg_seq = sequence++;
	return h;
}

/* Where the message after h goes. */
static void *after(const struct nlmsghdr *h)
{
	return (char *)h + NLMSG_ALIGN(h->nlmsg_len);
}

static struct nlmsghdr *put_new_link(void *at, const char *name, unsigned flags)
{
	struct nlmsghdr *h = put_header(at, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof(*i));

	i->ifi_flags = i->ifi_change = flags;
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	return h;
}

static struct nlmsghdr *put_bridge(void *at, const char *name)
{
	struct nlmsghdr *h = put_new_link(at, name, IFF_UP);
	struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);

	mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(h, info);
	return h;
}

/* The host's end up and on its bridge, the peer in the namespace. The peer can't be up yet. */
static struct nlmsghdr *put_veth(void *at, unsigned number, int master, const struct netns *in)
{
	unsigned char mac[6] = {
		2, 0x42, 10, 254, (unsigned char)(number >> 8), (unsigned char)number
	};
	char name[IFNAMSIZ];
	struct nlattr *info, *data, *peer;
	struct nlmsghdr *h;
	struct ifinfomsg *i;

	snprintf(name, sizeof(name), "v%u", number);
	h = put_new_link(at, name, IFF_UP);
	mnl_attr_put_u32(h, IFLA_MASTER, (unsigned)master);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
	i = mnl_nlmsg_put_extra_header(h, sizeof(*i));
	i->ifi_index = in->next_index;
	snprintf(name, sizeof(name), "eth%d", in->next_index - 2);
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	mnl_attr_put(h, IFLA_ADDRESS, sizeof(mac), mac);
	mnl_attr_put_u32(h, IFLA_NET_NS_FD, (unsigned)in->fd);
	mnl_attr_nest_end(h, peer);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return h;
}

static struct nlmsghdr *put_up(void *at, int index)
{
	struct nlmsghdr *h = put_header(at, RTM_NEWLINK, 0);
	struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof(*i));

	i->ifi_index = index;
	i->ifi_flags = i->ifi_change = IFF_UP;
	return h;
}

/* A /16 of bridge N is 10.N.0.0; ip is host byte order. */
static struct nlmsghdr *put_addr(void *at, int index, unsigned ip)
{
	struct nlmsghdr *h = put_header(at, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(h, sizeof(*a));

	a->ifa_family = AF_INET;
	a->ifa_prefixlen = 16;
	a->ifa_index = (unsigned)index;
	mnl_attr_put_u32(h, IFA_LOCAL, htonl(ip));
	mnl_attr_put_u32(h, IFA_ADDRESS, htonl(ip));
	mnl_attr_put_u32(h, IFA_BROADCAST, htonl(ip | 0xffff));
	return h;
}

static struct nlmsghdr *put_default_route(void *at, unsigned gateway)
{
	struct nlmsghdr *h = put_header(at, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	struct rtmsg *r = mnl_nlmsg_put_extra_header(h, sizeof(*r));

	r->rtm_family = AF_INET;
	r->rtm_table = RT_TABLE_MAIN;
	r->rtm_protocol = RTPROT_BOOT;
	r->rtm_scope = RT_SCOPE_UNIVERSE;
	r->rtm_type = RTN_UNICAST;
	mnl_attr_put_u32(h, RTA_GATEWAY, htonl(gateway));
	return h;
}

static void delete_link(const char *name)
{
	char buf[256];
	struct nlmsghdr *h = put_header(buf, RTM_DELLINK, 0);

	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	talk(host_nl, buf, h->nlmsg_len, 1, "delete a link");
}

/* ---------------------------------------------------------------------------------------- steps */

static void write_sysctl(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "1", 1) != 1)
		die(path);
	close(fd);
}

static void disable_ipv6(void)
{
	write_sysctl("/proc/sys/net/ipv6/conf/default/disable_ipv6");
	write_sysctl("/proc/sys/net/ipv6/conf/all/disable_ipv6");
}

static struct netns *new_netns(void)
{
	struct netns *n = &spaces[n_spaces];
	char pin[64];

	if (n_spaces == MAX_NETNS) {
		errno = ENOSPC;
		die("attach");
	}
	if (unshare(CLONE_NEWNET) < 0)
		die("unshare");
	n->nl = open_rtnl();
	disable_ipv6();
	n->fd = open(THIS_NETNS, O_RDONLY | O_CLOEXEC);
	snprintf(pin, sizeof(pin), PIN_DIR "/%d", n_spaces);
	close(open(pin, O_CREAT | O_RDONLY | O_CLOEXEC, 0600));
	if (n->fd < 0 || mount(THIS_NETNS, pin, NULL, MS_BIND, NULL) < 0)
		die("pin a namespace");
	if (setns(host_fd, CLONE_NEWNET) < 0)
		die("return to the host's namespace");
	n->next_index = 2;
	n_spaces++;
	return n;
}

static long long make_veth(struct netns *in, int bridge)
{
	long long start = now_ns();
	char buf[1024];
	struct nlmsghdr *h = put_veth(buf, n_links++, bridge_index[bridge], in);

	talk(host_nl, buf, h->nlmsg_len, 1, "make a veth");
	return now_ns() - start;
}

static long long furnish(struct netns *in, int bridge)
{
	unsigned net = 10u << 24 | (unsigned)bridge << 16;
	bool first = in->next_index == 2;
	long long start = now_ns();
	struct nlmsghdr *h;
	char buf[1024];
	void *at = buf;
	unsigned n = 0;

	if (first) {
		at = after(put_up(at, 1));
		n++;
	}
	at = after(put_up(at, in->next_index));
	h = put_addr(at, in->next_index, net + 2 + n_links);
	at = after(h);
	n += 2;
	if (first) {
		at = after(put_default_route(at, net + 1));
		n++;
	}
	talk(in->nl, buf, (size_t)((char *)at - buf), n, "furnish a namespace");
	in->next_index++;
	return now_ns() - start;
}

static void do_attach(int bridge)
{
	long long start = now_ns(), netns, veth, inside;
	struct netns *n = new_netns();

	netns = now_ns() - start;
	veth = make_veth(n, bridge);
	inside = furnish(n, bridge);
	printf("%lld %lld %lld %lld\n", now_ns() - start, netns, veth, inside);
}

static void do_join(int bridge)
{
	struct netns *n = &spaces[n_spaces - 1];
	long long start = now_ns(), veth, inside;

	last_joined = n_links;
	veth = make_veth(n, bridge);
	inside = furnish(n, bridge);
	printf("%lld %lld %lld\n", now_ns() - start, veth, inside);
}

static void do_leave(void)
{
	long long start = now_ns();
	char name[IFNAMSIZ];

	snprintf(name, sizeof(name), "v%u", last_joined);
	delete_link(name);
	printf("%lld\n", now_ns() - start);
}

static void do_bridge(int bridge)
{
	long long start = now_ns(), end;
	char buf[256], name[IFNAMSIZ];
	struct nlmsghdr *h;

	snprintf(name, sizeof(name), "br%d", bridge);
	h = put_bridge(buf, name);
	talk(host_nl, buf, h->nlmsg_len, 1, "make a bridge");
	end = now_ns();
	bridge_index[bridge] = (int)if_nametoindex(name);
	h = put_addr(buf, bridge_index[bridge], (10u << 24 | (unsigned)bridge << 16) + 1);
	talk(host_nl, buf, h->nlmsg_len, 1, "address a bridge");
	printf("%lld\n", end - start);
}

static void do_unbridge(int bridge)
{
	long long start = now_ns();
	char name[IFNAMSIZ];

	snprintf(name, sizeof(name), "br%d", bridge);
	delete_link(name);
	printf("%lld\n", now_ns() - start);
}

static void run(const char *line)
{
	char word[16] = "";
	int bridge = 0;

	sscanf(line, "%15s %d", word, &bridge);
	if (bridge < 0 || bridge >= MAX_BRIDGES)
		errno = EINVAL, die(line);
	if (strcmp(word, "attach") == 0)
		do_attach(bridge);
	else if (strcmp(word, "join") == 0)
		do_join(bridge);
	else if (strcmp(word, "leave") == 0)
		do_leave();
	else if (strcmp(word, "bridge") == 0)
		do_bridge(bridge);
	else if (strcmp(word, "unbridge") == 0)
		do_unbridge(bridge);
	else
		errno = EINVAL, die(line);
	fflush(stdout);
}

int main(void)
{
	struct rlimit files = { 4 * MAX_NETNS, 4 * MAX_NETNS };
	char line[64];

	setrlimit(RLIMIT_NOFILE, &files);
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		die("unshare");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("floor", "/run", "tmpfs", 0, NULL) < 0 || mkdir(PIN_DIR, 0700) < 0)
		die("make " PIN_DIR);
	host_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	host_nl = open_rtnl();
	disable_ipv6();
	while (fgets(line, sizeof(line), stdin))
		run(line);
	return 0;
}
