/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Traces of packets: a multicast socket, its messages as events, and the text of rules. */
#include "kernel/nft_trace.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "kernel/nft_internal.h"
#include "kernel/nlattr.h"

#define RECV_SIZE   32768
#define RECV_BUFFER (8 << 20)

struct nft_trace {
	struct mnl_socket *socket;
	char buf[RECV_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
};

int nft_trace_open(struct nft_trace **ret, struct cnm_error *err)
{
	struct nft_trace *t = calloc(1, sizeof(*t));
	int group = NFNLGRP_NFTRACE, size = RECV_BUFFER, r = 0;

	if (!t)
		return cnm_error_errno(err, ENOMEM, "listen to the firewall's traces");
	t->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!t->socket || mnl_socket_bind(t->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_setsockopt(t->socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
		r = -errno;
	if (r < 0) {
		nft_trace_close(t);
		return cnm_error_errno(err, r, "listen to the firewall's traces");
	}
	setsockopt(mnl_socket_get_fd(t->socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	*ret = t;
	return 0;
}

void nft_trace_close(struct nft_trace *t)
{
	if (!t)
		return;
	if (t->socket)
		mnl_socket_close(t->socket);
	free(t);
}

int nft_trace_fd(const struct nft_trace *t)
{
	return mnl_socket_get_fd(t->socket);
}

/* ------------------------------------------------------------------------- messages */

static void parse_verdict(const struct nlattr *nest, struct nft_trace_event *e)
{
	const struct nlattr *tb[NFTA_VERDICT_MAX + 1];
	char chain[sizeof(e->chain)];
	int code;

	nft_parse_nested(nest, tb, NFTA_VERDICT_MAX);
	code = (int)nft_attr_u32(tb[NFTA_VERDICT_CODE]);
	nlattr_str(tb[NFTA_VERDICT_CHAIN], chain, sizeof(chain));
	switch (code) {
	case NFT_CONTINUE:
		strcpy(e->verdict, "continue");
		break;
	case NFT_BREAK:
		strcpy(e->verdict, "break");
		break;
	case NFT_RETURN:
		strcpy(e->verdict, "return");
		break;
	case NFT_JUMP:
		snprintf(e->verdict, sizeof(e->verdict), "jump %s", chain);
		break;
	case NFT_GOTO:
		snprintf(e->verdict, sizeof(e->verdict), "goto %s", chain);
		break;
	default: /* of the hook; a queue's number, or a drop's reason, is in the upper half */
		switch (code & NF_VERDICT_MASK) {
		case NF_DROP:
			strcpy(e->verdict, "drop");
			break;
		case NF_ACCEPT:
			strcpy(e->verdict, "accept");
			break;
		case NF_STOLEN:
			strcpy(e->verdict, "stolen");
			break;
		case NF_QUEUE:
			strcpy(e->verdict, "queue");
			break;
		default:
			snprintf(e->verdict, sizeof(e->verdict), "verdict %d", code);
		}
	}
}

/* One that says whom it is from and to. */
static bool parse_network(const struct nlattr *a, struct nft_trace_packet *p)
{
	const uint8_t *b = a ? mnl_attr_get_payload(a) : NULL;
	size_t n = a ? mnl_attr_get_payload_len(a) : 0;

	if (n >= 20 && b[0] >> 4 == 4) {
		p->from.family = p->to.family = AF_INET;
		memcpy(p->from.b, b + 12, 4);
		memcpy(p->to.b, b + 16, 4);
		p->proto = b[9];
		return true;
	}
	if (n >= 40 && b[0] >> 4 == 6) {
		p->from.family = p->to.family = AF_INET6;
		memcpy(p->from.b, b + 8, 16);
		memcpy(p->to.b, b + 24, 16);
		p->proto = b[6]; /* the kernel hands on no extension headers */
		return true;
	}
	return false;
}

static void parse_transport(const struct nlattr *a, struct nft_trace_packet *p)
{
	const uint8_t *b = a ? mnl_attr_get_payload(a) : NULL;

	if (!a || mnl_attr_get_payload_len(a) < 4 ||
	    (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP && p->proto != IPPROTO_SCTP))
		return;
	p->sport = (uint16_t)(b[0] << 8 | b[1]);
	p->dport = (uint16_t)(b[2] << 8 | b[3]);
	p->has_ports = true;
}

static void parse_link(const struct nlattr *a, char name[static IFNAMSIZ])
{
	uint32_t index = nft_attr_u32(a);

	if (index && !if_indextoname(index, name))
		snprintf(name, IFNAMSIZ, "link %u", index);
}

static uint64_t parse_handle(const struct nlattr *a)
{
	uint64_t v = 0;

	if (a && mnl_attr_get_payload_len(a) >= sizeof(v))
		memcpy(&v, mnl_attr_get_payload(a), sizeof(v));
	return be64toh(v);
}

static bool parse_type(uint32_t type, enum nft_trace_type *ret)
{
	switch (type) {
	case NFT_TRACETYPE_RULE:
		*ret = NFT_TRACE_RULE;
		return true;
	case NFT_TRACETYPE_RETURN:
		*ret = NFT_TRACE_RETURN;
		return true;
	case NFT_TRACETYPE_POLICY:
		*ret = NFT_TRACE_POLICY;
		return true;
	default:
		return false;
	}
}

bool nft_trace_parse(const void *data, size_t n, struct nft_trace_event *ret)
{
	const size_t head = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	const struct nlattr *tb[NFTA_TRACE_MAX + 1];
	const struct nlmsghdr *h = data;
	const struct nfgenmsg *g;
	struct nft_trace_event e = { 0 };

	if (n < head || h->nlmsg_len < head || h->nlmsg_len > n ||
	    h->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_TRACE))
		return false;
	g = mnl_nlmsg_get_payload(h);
	nlattr_table((const char *)h + head, h->nlmsg_len - head, tb, NFTA_TRACE_MAX + 1);
	if (!tb[NFTA_TRACE_ID] || !tb[NFTA_TRACE_TABLE] ||
	    !parse_type(nft_attr_u32(tb[NFTA_TRACE_TYPE]), &e.type))
		return false;
	e.id = nft_attr_u32(tb[NFTA_TRACE_ID]);
	str_copy(e.family, sizeof(e.family), nft_family_name(g->nfgen_family));
	nlattr_str(tb[NFTA_TRACE_TABLE], e.table, sizeof(e.table));
	nlattr_str(tb[NFTA_TRACE_CHAIN], e.chain, sizeof(e.chain));
	e.handle = parse_handle(tb[NFTA_TRACE_RULE_HANDLE]);
	if (tb[NFTA_TRACE_VERDICT])
		parse_verdict(tb[NFTA_TRACE_VERDICT], &e);
	else if (e.type == NFT_TRACE_POLICY)
		strcpy(e.verdict, nft_attr_u32(tb[NFTA_TRACE_POLICY]) ? "accept" : "drop");
	parse_link(tb[NFTA_TRACE_IIF], e.packet.in);
	parse_link(tb[NFTA_TRACE_OIF], e.packet.out);
	e.described = parse_network(tb[NFTA_TRACE_NETWORK_HEADER], &e.packet);
	if (e.described)
		parse_transport(tb[NFTA_TRACE_TRANSPORT_HEADER], &e.packet);
	*ret = e;
	return true;
}

/* Each message of a datagram. */
static int hand_on(const char *buf, size_t n, int (*fn)(const struct nft_trace_event *e, void *arg),
		   void *arg)
{
	const struct nlmsghdr *h = (const void *)buf;
	int left = (int)n, r = 0;

	for (; r >= 0 && mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		struct nft_trace_event e;

		if (nft_trace_parse(h, (size_t)left, &e))
			r = fn(&e, arg);
	}
	return r;
}

int nft_trace_read(struct nft_trace *t, int (*fn)(const struct nft_trace_event *e, void *arg),
		   void *arg, bool *ret_lost)
{
	int fd = mnl_socket_get_fd(t->socket), r = 0;

	while (r >= 0) {
		struct sockaddr_nl from = { 0 };
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, t->buf, sizeof(t->buf), MSG_DONTWAIT,
				     (struct sockaddr *)&from, &len);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && errno == ENOBUFS)
			*ret_lost = true;
		else if (n < 0 && errno != EINTR)
			return -errno;
		else if (n > 0 && from.nl_pid == 0)
			r = hand_on(t->buf, (size_t)n, fn, arg);
	}
	return r;
}

/* ------------------------------------------------------------------------- the text of rules */

/* "... # handle 12": the number, and where the text before it ends; 0: there is none. */
static uint64_t handle_of(const char *line, size_t n, size_t *ret_end)
{
	static const char mark[] = " # handle ";
	const char *at = NULL;
	char *end;
	uint64_t v;

	for (const char *p = line; (p = memmem(p, n - (size_t)(p - line), mark, strlen(mark))); p++)
		at = p;
	if (!at)
		return 0;
	v = strtoull(at + strlen(mark), &end, 10);
	*ret_end = (size_t)(at - line);
	return end == line + n ? v : 0;
}

static int add_rule(struct nft_rules *r, const char *family, const char *table, uint64_t handle,
		    const char *text, size_t n)
{
	struct nft_rule *rule;

	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 128;

		rule = reallocarray(r->v, cap, sizeof(*rule));
		if (!rule)
			return -ENOMEM;
		r->v = rule;
		r->cap = cap;
	}
	rule = &r->v[r->n];
	*rule = (struct nft_rule){ .handle = handle };
	str_copy(rule->family, sizeof(rule->family), family);
	str_copy(rule->table, sizeof(rule->table), table);
	rule->text = strndup(text, n);
	if (!rule->text)
		return -ENOMEM;
	r->n++;
	return 0;
}

/* Rules are the lines with a handle inside of chains, which open by a line that ends in "{". */
int nft_rules_parse(struct nft_rules *ret, const char *text)
{
	char family[8] = "", table[64] = "";
	struct nft_rules r = { 0 };
	bool in_chain = false;
	int rc = 0;

	for (const char *next; rc == 0 && *text; text = next) {
		size_t n = strcspn(text, "\n"), blank = strspn(text, " \t"), end = 0;
		const char *line = text + blank;
		uint64_t handle;

		next = text + n + (text[n] == '\n');
		if (blank >= n)
			continue;
		handle = handle_of(line, n - blank, &end);
		if (str_after(line, "table "))
			sscanf(line, "table %7s %63s", family, table);
		else if (str_after(line, "chain "))
			in_chain = true;
		else if (line[0] == '}')
			in_chain = false;
		else if (in_chain && handle)
			rc = add_rule(&r, family, table, handle, line, end);
	}
	if (rc < 0)
		nft_rules_free(&r);
	else
		*ret = r;
	return rc;
}

int nft_rules_read(struct nft_rules *ret, struct cnm_error *err)
{
	static const char *const argv[] = { "nft", "-a", "-t", "list", "ruleset", NULL };
	_free_ char *text = NULL;
	int r = nft_run(argv, "", &text, err);

	if (r > 0)
		r = -EIO;
	if (r < 0)
		return cnm_error_prefix(err, "read the firewall's rules"), r;
	r = nft_rules_parse(ret, text);
	return r < 0 ? cnm_error_errno(err, r, "read the firewall's rules") : 0;
}

void nft_rules_free(struct nft_rules *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->v[i].text);
	free(r->v);
	*r = (struct nft_rules){ 0 };
}

const char *nft_rules_text(const struct nft_rules *r, const char *family, const char *table,
			   uint64_t handle)
{
	for (size_t i = 0; handle && i < r->n; i++)
		if (r->v[i].handle == handle && streq(r->v[i].family, family) &&
		    streq(r->v[i].table, table))
			return r->v[i].text;
	return "";
}
