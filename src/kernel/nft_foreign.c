/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether another firewall drops what is forwarded: a chain hooked to forward that is not ours and
 * lets nothing pass at its end, by its policy (iptables, ufw, Docker) or by a last rule that takes
 * everything (firewalld). What its rules before let through is not looked at.
 */
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>

#include "kernel/nft_internal.h"

#define MAX_CHAINS 32

struct chain {
	uint8_t family;
	bool drops;
	char table[64], name[64];
};

struct foreign {
	const char *ours;
	struct chain chains[MAX_CHAINS];
	unsigned n;
};

/* Families whose hooks are numbered alike, and see what is forwarded. */
static bool is_of_ip(uint8_t family)
{
	return family == NFPROTO_INET || family == NFPROTO_IPV4 || family == NFPROTO_IPV6;
}

/* A base chain's type is filter or nat or route; its hook numbers are those of its family. */
static int collect_chain(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *tb[NFTA_CHAIN_MAX + 1], *hook[NFTA_HOOK_MAX + 1];
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
	struct foreign *f = arg;
	const char *table;
	struct chain *c;

	nft_parse(h, tb, NFTA_CHAIN_MAX);
	nft_parse_nested(tb[NFTA_CHAIN_HOOK], hook, NFTA_HOOK_MAX);
	table = nft_attr_str(tb[NFTA_CHAIN_TABLE]);
	if (f->n == MAX_CHAINS || !is_of_ip(g->nfgen_family) || !hook[NFTA_HOOK_HOOKNUM] ||
	    !tb[NFTA_CHAIN_POLICY] || nft_attr_u32(hook[NFTA_HOOK_HOOKNUM]) != NF_INET_FORWARD ||
	    !streq(nft_attr_str(tb[NFTA_CHAIN_TYPE]), "filter") ||
	    (g->nfgen_family == NFPROTO_INET && streq(table, f->ours)))
		return 0;
	c = &f->chains[f->n++];
	c->family = g->nfgen_family;
	c->drops = nft_attr_u32(tb[NFTA_CHAIN_POLICY]) == NF_DROP;
	str_copy(c->table, sizeof(c->table), table);
	str_copy(c->name, sizeof(c->name), nft_attr_str(tb[NFTA_CHAIN_NAME]));
	return 0;
}

static void collect_again(void *arg)
{
	((struct foreign *)arg)->n = 0;
}

/* What one expression of a rule does. */
enum effect { NOTHING, TAKES_ALL, MATCHES };

static bool is_drop(const struct nlattr *immediate)
{
	const struct nlattr *tb[NFTA_IMMEDIATE_MAX + 1], *data[NFTA_DATA_MAX + 1],
		*verdict[NFTA_VERDICT_MAX + 1];

	nft_parse_nested(immediate, tb, NFTA_IMMEDIATE_MAX);
	nft_parse_nested(tb[NFTA_IMMEDIATE_DATA], data, NFTA_DATA_MAX);
	nft_parse_nested(data[NFTA_DATA_VERDICT], verdict, NFTA_VERDICT_MAX);
	return verdict[NFTA_VERDICT_CODE] && nft_attr_u32(verdict[NFTA_VERDICT_CODE]) == NF_DROP;
}

/* Of iptables' own targets, which iptables-nft wraps. */
static bool is_reject(const struct nlattr *target)
{
	const struct nlattr *tb[NFTA_TARGET_MAX + 1];

	nft_parse_nested(target, tb, NFTA_TARGET_MAX);
	return streq(nft_attr_str(tb[NFTA_TARGET_NAME]), "REJECT");
}

static enum effect effect_of(const struct nlattr *attr)
{
	const struct nlattr *tb[NFTA_EXPR_MAX + 1];
	const char *name;

	nft_parse_nested(attr, tb, NFTA_EXPR_MAX);
	name = nft_attr_str(tb[NFTA_EXPR_NAME]);
	if (streq(name, "counter") || streq(name, "log"))
		return NOTHING;
	if (streq(name, "reject") || (streq(name, "immediate") && is_drop(tb[NFTA_EXPR_DATA])) ||
	    (streq(name, "target") && is_reject(tb[NFTA_EXPR_DATA])))
		return TAKES_ALL;
	return MATCHES;
}

/* Rules come in order, so what the last one says remains. */
static int look_at_rule(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *tb[NFTA_RULE_MAX + 1], *attr;
	bool all = false, some = false;

	nft_parse(h, tb, NFTA_RULE_MAX);
	if (tb[NFTA_RULE_EXPRESSIONS])
		mnl_attr_for_each_nested (attr, tb[NFTA_RULE_EXPRESSIONS]) {
			enum effect e = effect_of(attr);

			all |= e == TAKES_ALL;
			some |= e == MATCHES;
		}
	*(bool *)arg = all && !some;
	return 0;
}

static void look_again(void *arg)
{
	*(bool *)arg = false;
}

static int ends_in_drop(struct nft *n, const struct chain *c, bool *ret, struct cnm_error *err)
{
	struct nft_msg m;
	struct nlmsghdr *h = nft_msg_start(&m, NFT_MSG_GETRULE, NLM_F_DUMP, c->family);
	int r;

	mnl_attr_put_strz(h, NFTA_RULE_TABLE, c->table);
	mnl_attr_put_strz(h, NFTA_RULE_CHAIN, c->name);
	*ret = false;
	r = nl_request(n->reads, h, look_at_rule, look_again, ret, err);
	if (r < 0 && r != -ENOENT) /* it may have gone meanwhile */
		cnm_error_prefix(err, "list the rules of table %s", c->table);
	return r == -ENOENT ? 0 : r;
}

int nft_foreign_forward_drop(struct nft *n, char *buf, size_t size, struct cnm_error *err)
{
	struct foreign f = { .ours = n->table };
	struct nft_msg m;
	int r;

	*buf = '\0';
	r = nl_request(n->reads, nft_msg_start(&m, NFT_MSG_GETCHAIN, NLM_F_DUMP, NFPROTO_UNSPEC),
		       collect_chain, collect_again, &f, err);
	if (r < 0)
		cnm_error_prefix(err, "list the chains of nf_tables");
	for (unsigned i = 0; i < f.n && r == 0 && !*buf; i++) {
		const struct chain *c = &f.chains[i];
		bool last = false;

		if (!c->drops)
			r = ends_in_drop(n, c, &last, err);
		if (r == 0 && (c->drops || last))
			snprintf(buf, size, "table %s %s, chain %s, %s", nft_family_name(c->family),
				 c->table, c->name, c->drops ? "policy drop" : "last rule");
	}
	return r;
}
