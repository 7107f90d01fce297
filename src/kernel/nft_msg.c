/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Only the last message of a transaction asks for an answer; failures are answered unasked. Every
 * answer carries the sequence number of its message, so what a transaction leaves unread in the
 * socket is told from the answers to the next.
 */
#include "kernel/nft_msg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/nlattr.h"

#define SOCK_BUFFER (8 << 20) /* some 10 000 elements in one transaction */

struct nft_sock {
	struct mnl_socket *mnl;
	uint32_t seq;
};

int nft_sock_open(struct nft_sock **ret)
{
	struct nft_sock *s = calloc(1, sizeof(*s));
	int on = 1, size = SOCK_BUFFER, r;

	if (!s)
		return -ENOMEM;
	s->mnl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!s->mnl || mnl_socket_bind(s->mnl, 0, MNL_SOCKET_AUTOPID) < 0) {
		r = -errno;
		nft_sock_close(s);
		return r;
	}
	/* errors without a copy of the message; the buffers are no more than a help */
	mnl_socket_setsockopt(s->mnl, NETLINK_CAP_ACK, &on, sizeof(on));
	setsockopt(mnl_socket_get_fd(s->mnl), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(mnl_socket_get_fd(s->mnl), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	*ret = s;
	return 0;
}

void nft_sock_close(struct nft_sock *s)
{
	if (!s)
		return;
	if (s->mnl)
		mnl_socket_close(s->mnl);
	free(s);
}

uint32_t nft_sock_portid(const struct nft_sock *s)
{
	return mnl_socket_get_portid(s->mnl);
}

/* ---- building */

static struct nlmsghdr *start(struct nft_msg *m, int type, int flags, uint8_t family, int res_id)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(m->b);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));

	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	g->res_id = htons((uint16_t)res_id);
	return h;
}

struct nlmsghdr *nft_msg_start(struct nft_msg *m, int type, int flags, uint8_t family)
{
	return start(m, NFNL_SUBSYS_NFTABLES << 8 | type, flags, family, 0);
}

static void put_message(struct strbuf *b, const struct nlmsghdr *h)
{
	strbuf_addn(b, (const char *)h, h->nlmsg_len);
}

void nft_txn_add(struct nft_txn *t, const struct nlmsghdr *h)
{
	struct nft_msg m;

	if (t->n++ == 0)
		put_message(&t->b,
			    start(&m, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
	put_message(&t->b, h);
}

/* Number the messages from seq on; the last of ours asks for an answer. */
static void number(char *buf, size_t len, uint32_t seq)
{
	struct nlmsghdr *h = (struct nlmsghdr *)buf, *ours = NULL;
	int left = (int)len;

	while (mnl_nlmsg_ok(h, left)) {
		h->nlmsg_seq = seq++;
		if (h->nlmsg_type != NFNL_MSG_BATCH_END)
			ours = h;
		h = mnl_nlmsg_next(h, &left);
	}
	if (ours)
		ours->nlmsg_flags |= NLM_F_ACK;
}

/* ---- asking */

/* What the answers to a transaction say: the first failure, in the order of the messages, counts.
 */
struct outcome {
	uint32_t first, last; /* numbers of the begin and of the last message of ours */
	int result, failed;
	bool complete;
};

static void take_answer(struct outcome *o, const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

	if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_seq - o->first > o->last - o->first)
		return;
	if (e->error < 0 && o->result == 0) {
		o->result = e->error;
		o->failed = (int)(h->nlmsg_seq - o->first) - 1;
	}
	if (h->nlmsg_seq == o->last)
		o->complete = true;
}

/*
 * All answers are queued when the sending returns, so reading ends where the queue does. Without
 * the last answer: the begin was refused, and with it the whole; or the queue overflowed.
 */
static int collect(struct nft_sock *s, struct outcome *o)
{
	_Alignas(8) char in[8192];

	while (!o->complete) {
		ssize_t len = mnl_socket_recvfrom(s->mnl, in, sizeof(in));
		const struct nlmsghdr *h = (const struct nlmsghdr *)in;
		int left = (int)len;

		if (len < 0 && (errno == EINTR || errno == ENOBUFS))
			continue;
		if (len < 0)
			return o->result < 0 ? o->result : errno == EAGAIN ? -ENOBUFS : -errno;
		for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
			take_answer(o, h);
	}
	return o->result;
}

int nft_txn_run(struct nft_sock *s, struct nft_txn *t, int *ret_failed)
{
	struct outcome o = { .first = s->seq + 1, .last = s->seq + 1 + t->n, .failed = -1 };
	struct nft_msg end;
	int r;

	*ret_failed = -1;
	if (t->n > 0)
		put_message(&t->b,
			    start(&end, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
	if (t->b.failed)
		return -ENOMEM;
	if (t->n == 0)
		return 0;
	s->seq = o.last + 1;
	number(t->b.s, t->b.len, o.first);
	r = mnl_socket_sendto(s->mnl, t->b.s, t->b.len) < 0 ? -errno : collect(s, &o);
	*ret_failed = o.failed;
	return r;
}

/* ---- reading */

void nft_parse(const struct nlmsghdr *h, const struct nlattr **tb, unsigned max)
{
	size_t head = MNL_ALIGN(sizeof(struct nfgenmsg)), len = mnl_nlmsg_get_payload_len(h);

	nlattr_table(mnl_nlmsg_get_payload_offset(h, head), len > head ? len - head : 0, tb,
		     max + 1);
}

void nft_parse_nested(const struct nlattr *nest, const struct nlattr **tb, unsigned max)
{
	if (nest)
		nlattr_table(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), tb,
			     max + 1);
	else
		memset(tb, 0, (max + 1) * sizeof(*tb));
}

const char *nft_attr_str(const struct nlattr *a)
{
	return a && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0 ? mnl_attr_get_str(a) : "";
}

uint32_t nft_attr_u32(const struct nlattr *a)
{
	return a && mnl_attr_get_payload_len(a) >= sizeof(uint32_t) ? ntohl(mnl_attr_get_u32(a))
								    : 0;
}

const char *nft_family_name(uint8_t family)
{
	switch (family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_ARP:
		return "arp";
	case NFPROTO_NETDEV:
		return "netdev";
	case NFPROTO_BRIDGE:
		return "bridge";
	default:
		return "";
	}
}
