/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DNS furniture of a sandbox: two sockets on 127.0.0.11, on ports of the kernel's choice, and an
 * nf_tables table that leads port 53 of that address to them:
 *
 *	table ip cnm-dns {
 *		chain queries {
 *			type filter hook output priority -300; policy accept;
 *			ip daddr 127.0.0.11 udp dport 53 udp dport set UDPPORT
 *			ip daddr 127.0.0.11 tcp dport 53 tcp dport set TCPPORT
 *		}
 *		chain answers {
 *			type filter hook output priority -150; policy accept;
 *			ip saddr 127.0.0.11 udp sport UDPPORT udp sport set 53
 *			ip saddr 127.0.0.11 tcp sport TCPPORT tcp sport set 53
 *		}
 *	}
 *
 * No address is translated and no connection tracked, which would cost a quarter of the queries a
 * second. Where rules of the sandbox's own track connections (at -200), both directions are seen
 * with our ports, as one. The sockets are not bound to port 53 itself, so that a server in the
 * sandbox may bind it on every address.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/netns_internal.h"
#include "kernel/nft_msg.h"

#define TABLE   NETNS_DNS_TABLE
#define QUERIES "queries"
#define ANSWERS "answers"
#define DNS_IP  0x7f00000b /* 127.0.0.11 */
#define BACKLOG 128

/* Ports in network byte order. */
struct dns_ports {
	uint16_t udp, tcp;
};

/* ---- the rules as messages */

static void put_be32(struct nlmsghdr *h, uint16_t type, uint32_t value)
{
	mnl_attr_put_u32(h, type, htonl(value));
}

/* One expression of a rule; closed by end_expr(). */
struct expr {
	struct nlattr *elem, *data;
};

static struct expr start_expr(struct nlmsghdr *h, const char *name)
{
	struct expr e = { .elem = mnl_attr_nest_start(h, NFTA_LIST_ELEM) };

	mnl_attr_put_strz(h, NFTA_EXPR_NAME, name);
	e.data = mnl_attr_nest_start(h, NFTA_EXPR_DATA);
	return e;
}

static void end_expr(struct nlmsghdr *h, const struct expr *e)
{
	mnl_attr_nest_end(h, e->data);
	mnl_attr_nest_end(h, e->elem);
}

static void put_data(struct nlmsghdr *h, uint16_t type, const void *value, size_t size)
{
	struct nlattr *nest = mnl_attr_nest_start(h, type);

	mnl_attr_put(h, NFTA_DATA_VALUE, size, value);
	mnl_attr_nest_end(h, nest);
}

/* Go on if register 1 holds this value. */
static void put_cmp(struct nlmsghdr *h, const void *value, size_t size)
{
	struct expr e = start_expr(h, "cmp");

	put_be32(h, NFTA_CMP_SREG, NFT_REG_1);
	put_be32(h, NFTA_CMP_OP, NFT_CMP_EQ);
	put_data(h, NFTA_CMP_DATA, value, size);
	end_expr(h, &e);
}

/* Go on if the packet has this value there. */
static void put_match(struct nlmsghdr *h, uint32_t base, uint32_t offset, const void *value,
		      size_t size)
{
	struct expr e = start_expr(h, "payload");

	put_be32(h, NFTA_PAYLOAD_DREG, NFT_REG_1);
	put_be32(h, NFTA_PAYLOAD_BASE, base);
	put_be32(h, NFTA_PAYLOAD_OFFSET, offset);
	put_be32(h, NFTA_PAYLOAD_LEN, (uint32_t)size);
	end_expr(h, &e);
	put_cmp(h, value, size);
}

static void put_match_l4proto(struct nlmsghdr *h, uint8_t proto)
{
	struct expr e = start_expr(h, "meta");

	put_be32(h, NFTA_META_DREG, NFT_REG_1);
	put_be32(h, NFTA_META_KEY, NFT_META_L4PROTO);
	end_expr(h, &e);
	put_cmp(h, &proto, sizeof(proto));
}

/* The port at this offset of the transport header becomes another. */
static void put_set_port(struct nlmsghdr *h, uint8_t proto, uint32_t offset, uint16_t port)
{
	struct expr e = start_expr(h, "immediate");

	put_be32(h, NFTA_IMMEDIATE_DREG, NFT_REG_1);
	put_data(h, NFTA_IMMEDIATE_DATA, &port, sizeof(port));
	end_expr(h, &e);

	e = start_expr(h, "payload");
	put_be32(h, NFTA_PAYLOAD_SREG, NFT_REG_1);
	put_be32(h, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
	put_be32(h, NFTA_PAYLOAD_OFFSET, offset);
	put_be32(h, NFTA_PAYLOAD_LEN, sizeof(port));
	put_be32(h, NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
	put_be32(h, NFTA_PAYLOAD_CSUM_OFFSET, proto == IPPROTO_UDP ? 6 : 16);
	end_expr(h, &e);
}

static void add_table(struct nft_txn *t, int type, int flags)
{
	struct nft_msg m;
	struct nlmsghdr *h = nft_msg_start(&m, type, flags, NFPROTO_IPV4);

	mnl_attr_put_strz(h, NFTA_TABLE_NAME, TABLE);
	nft_txn_add(t, h);
}

static void add_chain(struct nft_txn *t, const char *name, int priority)
{
	struct nft_msg m;
	struct nlmsghdr *h = nft_msg_start(&m, NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFPROTO_IPV4);
	struct nlattr *hook;

	mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, TABLE);
	mnl_attr_put_strz(h, NFTA_CHAIN_NAME, name);
	hook = mnl_attr_nest_start(h, NFTA_CHAIN_HOOK);
	put_be32(h, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
	put_be32(h, NFTA_HOOK_PRIORITY, (uint32_t)priority);
	mnl_attr_nest_end(h, hook);
	mnl_attr_put_strz(h, NFTA_CHAIN_TYPE, "filter");
	nft_txn_add(t, h);
}

/* The addresses and ports of a header, the source's first. */
enum end { SOURCE, DESTINATION };

/* What goes to, or comes from, the address at port `from` does so at port `to`. */
static void add_rule(struct nft_txn *t, const char *chain, enum end end, uint8_t proto,
		     uint16_t from, uint16_t to)
{
	struct nft_msg m;
	struct nlmsghdr *h =
		nft_msg_start(&m, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, NFPROTO_IPV4);
	const uint32_t address = htonl(DNS_IP), port_at = end == SOURCE ? 0 : 2;
	struct nlattr *list;

	mnl_attr_put_strz(h, NFTA_RULE_TABLE, TABLE);
	mnl_attr_put_strz(h, NFTA_RULE_CHAIN, chain);
	list = mnl_attr_nest_start(h, NFTA_RULE_EXPRESSIONS);
	put_match(h, NFT_PAYLOAD_NETWORK_HEADER, end == SOURCE ? 12 : 16, &address,
		  sizeof(address));
	put_match_l4proto(h, proto);
	put_match(h, NFT_PAYLOAD_TRANSPORT_HEADER, port_at, &from, sizeof(from));
	put_set_port(h, proto, port_at, to);
	mnl_attr_nest_end(h, list);
	nft_txn_add(t, h);
}

/* ---- the table */

/* exclusive: -EEXIST if there is one; else it is replaced. */
static int install(struct nft_sock *s, const struct dns_ports *ports, bool exclusive)
{
	const uint16_t domain = htons(53);
	struct nft_txn t = { 0 };
	int r, failed = 0;

	if (!exclusive) {
		add_table(&t, NFT_MSG_NEWTABLE, NLM_F_CREATE);
		add_table(&t, NFT_MSG_DELTABLE, 0);
	}
	add_table(&t, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
	add_chain(&t, QUERIES, -300);
	add_chain(&t, ANSWERS, -150);
	add_rule(&t, QUERIES, DESTINATION, IPPROTO_UDP, domain, ports->udp);
	add_rule(&t, QUERIES, DESTINATION, IPPROTO_TCP, domain, ports->tcp);
	add_rule(&t, ANSWERS, SOURCE, IPPROTO_UDP, ports->udp, domain);
	add_rule(&t, ANSWERS, SOURCE, IPPROTO_TCP, ports->tcp, domain);
	r = nft_txn_run(s, &t, &failed);
	strbuf_free(&t.b);
	return r;
}

/*
 * Without a deletion when there is nothing to delete: closing a socket that has deleted costs 15
 * ms.
 */
static int install_here(const struct dns_ports *ports)
{
	struct nft_sock *s = NULL;
	int r = nft_sock_open(&s);

	if (r < 0)
		return r;
	r = install(s, ports, true);
	if (r == -EEXIST)
		r = install(s, ports, false);
	nft_sock_close(s);
	return r;
}

static int remove_here(void *arg)
{
	struct nft_sock *s = NULL;
	struct nft_txn t = { 0 };
	int r = nft_sock_open(&s), failed;

	if (r < 0)
		return r;
	add_table(&t, NFT_MSG_DELTABLE, 0);
	r = nft_txn_run(s, &t, &failed);
	strbuf_free(&t.b);
	nft_sock_close(s);
	return r == -ENOENT ? 0 : r;
}

static int local_port(int fd, uint16_t *ret)
{
	struct sockaddr_in a = { 0 };
	socklen_t size = sizeof(a);

	if (getsockname(fd, (struct sockaddr *)&a, &size) < 0)
		return -errno;
	*ret = a.sin_port;
	return 0;
}

static int local_ports(int udp, int tcp, struct dns_ports *ret)
{
	int r = local_port(udp, &ret->udp);

	return r < 0 ? r : local_port(tcp, &ret->tcp);
}

static int install_job(void *arg)
{
	return install_here(arg);
}

int netns_dns_table(int ns, int udp, int tcp, struct cnm_error *err)
{
	struct dns_ports ports = { 0 };
	int r = local_ports(udp, tcp, &ports);

	if (r == 0)
		r = netns_call(ns, install_job, &ports);
	return r < 0 ? cnm_error_errno(err, r, "load the nf_tables table ip " TABLE) : 0;
}

int netns_dns_table_remove(int ns, struct cnm_error *err)
{
	int r = netns_call(ns, remove_here, NULL);

	return r < 0 ? cnm_error_errno(err, r, "remove the nf_tables table ip " TABLE) : 0;
}

/* ---- the check: read protocol and port back out of the rules */

struct reading {
	struct dns_ports want;
	unsigned rules, good;
};

/* What a cmp or an immediate compares or loads, into value[2]; its size. */
static size_t read_data(const struct nlattr *expr, uint16_t data_attr, uint8_t value[static 2])
{
	const struct nlattr *tb[NFTA_CMP_MAX + 1], *data[NFTA_DATA_MAX + 1];
	size_t size;

	nft_parse_nested(expr, tb, NFTA_CMP_MAX);
	nft_parse_nested(tb[data_attr], data, NFTA_DATA_MAX);
	if (!data[NFTA_DATA_VALUE])
		return 0;
	size = mnl_attr_get_payload_len(data[NFTA_DATA_VALUE]);
	memcpy(value, mnl_attr_get_payload(data[NFTA_DATA_VALUE]), size < 2 ? size : 2);
	return size;
}

static bool leads(uint16_t from, uint16_t to, uint16_t port)
{
	const uint16_t domain = htons(53);

	return (from == domain && to == port) || (from == port && to == domain);
}

/* The protocol is the one comparison of a byte, the ports the one of two bytes and what is loaded.
 */
static int read_rule(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *tb[NFTA_RULE_MAX + 1], *elem;
	uint16_t from = 0, to = 0;
	struct reading *r = arg;
	uint8_t value[2], proto = 0;

	nft_parse(h, tb, NFTA_RULE_MAX);
	r->rules++;
	if (!tb[NFTA_RULE_EXPRESSIONS])
		return 0;
	mnl_attr_for_each_nested (elem, tb[NFTA_RULE_EXPRESSIONS]) {
		const struct nlattr *e[NFTA_EXPR_MAX + 1];
		const char *name;
		size_t size;

		nft_parse_nested(elem, e, NFTA_EXPR_MAX);
		name = nft_attr_str(e[NFTA_EXPR_NAME]);
		if (streq(name, "cmp")) {
			size = read_data(e[NFTA_EXPR_DATA], NFTA_CMP_DATA, value);
			if (size == sizeof(proto))
				proto = value[0];
			else if (size == sizeof(from))
				memcpy(&from, value, sizeof(from));
		} else if (streq(name, "immediate") &&
			   read_data(e[NFTA_EXPR_DATA], NFTA_IMMEDIATE_DATA, value) == sizeof(to)) {
			memcpy(&to, value, sizeof(to));
		}
	}
	if ((proto == IPPROTO_UDP && leads(from, to, r->want.udp)) ||
	    (proto == IPPROTO_TCP && leads(from, to, r->want.tcp)))
		r->good++;
	return 0;
}

static void read_again(void *arg)
{
	struct reading *r = arg;

	r->rules = r->good = 0;
}

int netns_dns_table_check(int ns, int udp, int tcp, struct cnm_error *err)
{
	struct reading reading = { 0 };
	struct nft_msg m;
	struct nlmsghdr *h = nft_msg_start(&m, NFT_MSG_GETRULE, NLM_F_DUMP, NFPROTO_IPV4);
	struct nl *nl = NULL;
	int r = local_ports(udp, tcp, &reading.want);

	if (r < 0)
		return cnm_error_errno(err, r, "look at the DNS sockets");
	mnl_attr_put_strz(h, NFTA_RULE_TABLE, TABLE);
	r = netns_nl_open(&nl, ns, NETLINK_NETFILTER, err);
	if (r < 0)
		return r;
	r = nl_request(nl, h, read_rule, read_again, &reading, err);
	nl_close(nl);
	if (r < 0) {
		cnm_error_prefix(err, "list the nf_tables table ip " TABLE);
		return r;
	}
	return reading.rules == 4 && reading.good == 4;
}

/* ---- the sockets */

static int open_socket(int type, int *ret, struct cnm_error *err)
{
	const struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(DNS_IP) };
	_close_ int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, BACKLOG) < 0))
		return cnm_error_errno(err, errno, "open a %s socket on 127.0.0.11 for DNS",
				       type == SOCK_STREAM ? "TCP" : "UDP");
	*ret = take_fd(&fd);
	return 0;
}

int netns_open_dns_here(int *ret_udp, int *ret_tcp, struct cnm_error *err)
{
	_close_ int udp = -1, tcp = -1;
	struct dns_ports ports = { 0 };
	int r = open_socket(SOCK_DGRAM, &udp, err);

	if (r == 0)
		r = open_socket(SOCK_STREAM, &tcp, err);
	if (r < 0)
		return r;
	r = local_ports(udp, tcp, &ports);
	if (r == 0)
		r = install_here(&ports);
	if (r < 0)
		return cnm_error_errno(err, r, "load the nf_tables table ip " TABLE);
	*ret_udp = take_fd(&udp);
	*ret_tcp = take_fd(&tcp);
	return 0;
}

struct open_job {
	int udp, tcp;
	struct cnm_error *err;
};

static int open_job(void *arg)
{
	struct open_job *o = arg;

	return netns_open_dns_here(&o->udp, &o->tcp, o->err);
}

int netns_open_dns(int ns, int *ret_udp, int *ret_tcp, struct cnm_error *err)
{
	struct open_job o = { .err = err };
	int r = netns_call_err(ns, open_job, &o, err);

	if (r < 0)
		return r;
	*ret_udp = o.udp;
	*ret_tcp = o.tcp;
	return 0;
}
