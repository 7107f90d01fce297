/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of kernel/nft* share. */
#ifndef KERNEL_NFT_INTERNAL_H
#define KERNEL_NFT_INTERNAL_H

#include "kernel/netlink.h"
#include "kernel/nft.h"
#include "kernel/nft_msg.h"
#include "kernel/program.h"

#define NFT_TABLE_MAX 32

struct nft {
	struct nft_sock *changes; /* transactions; nft_portid() */
	struct nl *reads;
	char table[NFT_TABLE_MAX + 1];
};

/* A chain of ruleset.nft that has rules. */
struct nft_chain {
	const char *name;
	unsigned n_rules;
};
#define NFT_MAX_CHAINS 32

/* Our tables, by struct nft_set's `bridge`. */
struct nft_table {
	uint8_t family; /* NFPROTO_* */
	const char *family_name;
	const struct nft_chain *chains; /* up to one without a name */
};
#define NFT_N_TABLES 2
extern const struct nft_table nft_tables[NFT_N_TABLES];
/* Which of the table's chains, or -1. */
int nft_chain_index(const struct nft_table *t, const char *name);

/* "version-" and 8 hex digits: the name of the empty chain that tells which ruleset is loaded. */
#define NFT_VERSION_CHAIN_SIZE 17
const char *nft_version_chain(char buf[static NFT_VERSION_CHAIN_SIZE]);

/* ---- nft_elem.c */

/* Does e name a set of ours, with the fields of that set? */
bool nft_elem_is_valid(const struct nft_elem *e);
/* The element, which is valid, as nft reads it: like its text, with names in quotes. */
void nft_elem_source(const struct nft_elem *e, struct strbuf *b);
/* The element, which is valid, as an NFTA_LIST_ELEM; with_data: for adding to a map. */
void nft_elem_put(struct nlmsghdr *h, const struct nft_elem *e, bool with_data);
/* From an NFTA_LIST_ELEM of set. false if it is not as an element of ours. */
bool nft_elem_read(const struct nft_set *set, const struct nlattr *attr, struct nft_elem *ret);
/* By their keys, within a set. */
int nft_elem_cmp(const struct nft_elem *a, const struct nft_elem *b);
/* What the counter of an NFTA_LIST_ELEM says in packets; 0 if there is none. */
uint64_t nft_elem_packets(const struct nlattr *attr);

/* ---- nft.c */

/*
 * Each NFTA_LIST_ELEM of the set; fn<0 stops. When the set changed meanwhile, `again` is called and
 * all comes once more.
 */
int nft_set_walk(struct nft *n, const struct nft_set *set,
		 int (*fn)(const struct nlattr *elem, void *arg), void (*again)(void *arg),
		 void *arg, struct cnm_error *err);

/* As program_run(). */
static inline int nft_run(const char *const argv[], const char *input, char **ret_out,
			  struct cnm_error *err)
{
	static const struct program nft = { "nft", "nftables", 20 };

	return program_run(&nft, argv, input, ret_out, err);
}

#endif
