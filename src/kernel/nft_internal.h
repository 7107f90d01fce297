/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of kernel/nft* share. */
#ifndef KERNEL_NFT_INTERNAL_H
#define KERNEL_NFT_INTERNAL_H

#include "kernel/netlink.h"
#include "kernel/nft.h"
#include "kernel/nft_msg.h"

#define NFT_TABLE_MAX 32

struct nft {
	struct nft_sock *changes; /* transactions; nft_portid() */
	struct nl *reads;
	char table[NFT_TABLE_MAX + 1];
};

/* Our tables, by struct nft_set's `bridge`. */
struct nft_table {
	uint8_t family; /* NFPROTO_* */
	const char *family_name;
	unsigned n_rules; /* in ruleset.nft, without those of chain `user` */
};
#define NFT_N_TABLES 2
extern const struct nft_table nft_tables[NFT_N_TABLES];

/* "version-" and 8 hex digits: the name of the empty chain that tells which ruleset is loaded. */
#define NFT_VERSION_CHAIN_SIZE 17
const char *nft_version_chain(char buf[static NFT_VERSION_CHAIN_SIZE]);

/* Does e name a set of ours, with the fields of that set? */
bool nft_elem_is_valid(const struct nft_elem *e);
/* The element, which is valid, as nft reads it: like its text, with names in quotes. */
void nft_elem_source(const struct nft_elem *e, struct strbuf *b);
/* The element, which is valid, as an NFTA_LIST_ELEM; with_data: for adding to a map. */
void nft_elem_put(struct nlmsghdr *h, const struct nft_elem *e, bool with_data);
/* From an NFTA_LIST_ELEM of set. false if its fields have not the size of the set's. */
bool nft_elem_read(const struct nft_set *set, const struct nlattr *attr, struct nft_elem *ret);

#endif
