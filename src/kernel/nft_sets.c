/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What ruleset.nft has, as tables: its sets and maps, and its chains with the number of their
 * rules. */
#include <linux/netfilter.h>

#include "kernel/nft_internal.h"

/* What the sets of published ports have in common. Braces would end at a macro's commas. */
#define PORT4  NFT_T_IP4, NFT_T_PROTO, NFT_T_PORT
#define PORT6  NFT_T_IP6, NFT_T_PROTO, NFT_T_PORT
#define PORT   NFT_T_PROTO, NFT_T_PORT
#define FLOW4  NFT_T_IP4, NFT_T_IP4, NFT_T_PROTO, NFT_T_PORT
#define FLOW6  NFT_T_IP6, NFT_T_IP6, NFT_T_PROTO, NFT_T_PORT
#define SOURCE NFT_T_IFNAME, NFT_T_ETHER

#define PUBLISHED .map = true, .counter = true
#define RANGE     .interval = true

const struct nft_set nft_sets[] = {
	{ .name = "brs", .key = { NFT_T_IFNAME } },
	{ .name = "internal", .key = { NFT_T_IFNAME } },
	{ .name = "masq4", .key = { NFT_T_IFNAME } },
	{ .name = "masq6", .key = { NFT_T_IFNAME } },
	{ .name = "snat4", .map = true, .key = { NFT_T_IFNAME }, .data = { NFT_T_IP4 } },
	{ .name = "snat6", .map = true, .key = { NFT_T_IFNAME }, .data = { NFT_T_IP6 } },
	{ .name = "unprotected", .key = { NFT_T_IFNAME, NFT_T_NFPROTO } },
	{ .name = "routed", .key = { NFT_T_IFNAME, NFT_T_NFPROTO } },
	{ .name = "trusted", .key = { NFT_T_IFNAME, NFT_T_IFNAME } },
	{ .name = "same",
	  .map = true,
	  .key = { NFT_T_IFNAME, NFT_T_IFNAME },
	  .data = { NFT_T_VERDICT } },
	{ .name = "foreign", .map = true, .key = { NFT_T_NFPROTO }, .data = { NFT_T_VERDICT } },
	{ .name = "pinholes4", RANGE, .key = { FLOW4 } },
	{ .name = "pinholes6", RANGE, .key = { FLOW6 } },
	{ .name = "pub4", PUBLISHED, .key = { PORT4 }, .data = { NFT_T_IP4, NFT_T_PORT } },
	{ .name = "pub4any", PUBLISHED, .key = { PORT }, .data = { NFT_T_IP4, NFT_T_PORT } },
	{ .name = "range4", PUBLISHED, RANGE, .key = { PORT4 }, .data = { NFT_T_IP4 } },
	{ .name = "range4any", PUBLISHED, RANGE, .key = { PORT }, .data = { NFT_T_IP4 } },
	{ .name = "pub6", PUBLISHED, .key = { PORT6 }, .data = { NFT_T_IP6, NFT_T_PORT } },
	{ .name = "pub6any", PUBLISHED, .key = { PORT }, .data = { NFT_T_IP6, NFT_T_PORT } },
	{ .name = "range6", PUBLISHED, RANGE, .key = { PORT6 }, .data = { NFT_T_IP6 } },
	{ .name = "range6any", PUBLISHED, RANGE, .key = { PORT }, .data = { NFT_T_IP6 } },
	{ .name = "proxied", .counter = true, .key = { PORT6 } },
	{ .name = "proxiedany", .counter = true, .key = { PORT } },
	{ .name = "proxiedrange", .counter = true, RANGE, .key = { PORT6 } },
	{ .name = "proxiedrangeany", .counter = true, RANGE, .key = { PORT } },
	{ .name = "proxy", .map = true, .key = { NFT_T_PROTO }, .data = { NFT_T_PORT } },
	{ .name = "open4", .key = { PORT4 } },
	{ .name = "openrange4", RANGE, .key = { PORT4 } },
	{ .name = "open6", .key = { PORT6 } },
	{ .name = "openrange6", RANGE, .key = { PORT6 } },
	{ .name = "trace4", .key = { NFT_T_IP4, NFT_T_IP4 } },
	{ .name = "trace6", .key = { NFT_T_IP6, NFT_T_IP6 } },
	{ .name = "noicc", .bridge = true, .key = { NFT_T_IFNAME } },
	{ .name = "links4", .bridge = true, RANGE, .key = { FLOW4 } },
	{ .name = "links6", .bridge = true, RANGE, .key = { FLOW6 } },
	{ .name = "guarded", .bridge = true, .key = { NFT_T_IFNAME } },
	{ .name = "src4", .bridge = true, .key = { SOURCE, NFT_T_IP4 } },
	{ .name = "src6", .bridge = true, .key = { SOURCE, NFT_T_IP6 } },
	{ .name = "nd6", .bridge = true, .key = { SOURCE, NFT_T_ND } },
	{ .name = "btrace4", .bridge = true, .key = { NFT_T_IP4, NFT_T_IP4 } },
	{ .name = "btrace6", .bridge = true, .key = { NFT_T_IP6, NFT_T_IP6 } },
};
const unsigned nft_n_sets = sizeof(nft_sets) / sizeof(nft_sets[0]);

static const struct nft_chain inet_chains[] = {
	{ "trace_in", 2 },     { "trace_out", 2 }, { "guard", 1 },     { "prerouting", 1 },
	{ "output", 1 },       { "publish", 5 },   { "publish6", 10 }, { "to_proxy", 1 },
	{ "mss", 2 },          { "forward", 4 },   { "fwd_in", 14 },   { "ping", 2 },
	{ "fwd_internal", 2 }, { "noicc", 6 },     { "fwd_out", 2 },   { "to_bridge", 3 },
	{ "postrouting", 5 },  { NULL, 0 },
};

static const struct nft_chain bridge_chains[] = {
	{ "trace_in", 2 }, { "prerouting", 1 }, { "guard", 4 }, { "guard6", 6 },
	{ "forward", 1 },  { "between", 9 },    { NULL, 0 },
};

_Static_assert(sizeof(inet_chains) / sizeof(inet_chains[0]) <= NFT_MAX_CHAINS, "more room");

const struct nft_table nft_tables[NFT_N_TABLES] = {
	[false] = { NFPROTO_INET, "inet", inet_chains },
	[true] = { NFPROTO_BRIDGE, "bridge", bridge_chains },
};

const struct nft_set *nft_set_by_name(const char *name)
{
	for (unsigned i = 0; i < nft_n_sets; i++)
		if (streq(nft_sets[i].name, name))
			return &nft_sets[i];
	return NULL;
}

int nft_chain_index(const struct nft_table *t, const char *name)
{
	for (int i = 0; t->chains[i].name; i++)
		if (streq(t->chains[i].name, name))
			return i;
	return -1;
}
