/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firewall: one fixed ruleset (ruleset.nft, loaded by the nft program), and element changes by
 * our own messages on one nfnetlink socket that stays open (closing it costs 15 ms). It is two
 * tables of one name, of family inet and of family bridge, which are there together or not at all.
 *
 * An element is typed fields. From them come both the bytes for the kernel and the text nft
 * understands ("br-1 . br-1 : accept"); a dump of the kernel's sets gives the same fields, hence
 * the same text, back, so that text is what the plan compares.
 *
 * A struct nft has no lock: its callers see to it that one thread at a time uses it.
 */
#ifndef KERNEL_NFT_H
#define KERNEL_NFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/str.h"
#include "cnm/error.h"

struct nft;

enum nft_type {
	NFT_T_NONE,
	NFT_T_IFNAME,
	NFT_T_NFPROTO,
	NFT_T_IP4,
	NFT_T_IP6,
	NFT_T_ND, /* an IPv6 address as a plain number, which is how nft takes it in set nd6 */
	NFT_T_ETHER,
	NFT_T_PROTO, /* IPPROTO_*; in text tcp, udp, sctp */
	NFT_T_PORT,  /* one, or in a set of intervals first to last: "80", "80-90" */
	NFT_T_VERDICT,
};

struct nft_value {
	enum nft_type type;
	union {
		char ifname[16];
		uint8_t proto;    /* NFPROTO_IPV4, NFPROTO_IPV6; IPPROTO_* */
		struct cnm_ip ip; /* of the type's family */
		struct cnm_mac mac;
		struct {
			uint16_t first, last; /* equal but in sets of intervals; host byte order */
		} port;
		char verdict[24]; /* "accept", "drop", "goto CHAIN", "jump CHAIN" */
	};
};

#define NFT_MAX_KEY  4
#define NFT_MAX_DATA 2
struct nft_elem {
	const char *set; /* a name of nft_sets[]; points into that table */
	struct nft_value key[NFT_MAX_KEY];
	struct nft_value data[NFT_MAX_DATA]; /* maps only */
};

/* The sets and maps of ruleset.nft, which a unit test holds against that file. */
struct nft_set {
	const char *name;
	bool map;
	bool bridge;   /* in table bridge, not inet */
	bool interval; /* its ports are first to last */
	bool counter;  /* its elements count */
	enum nft_type key[NFT_MAX_KEY], data[NFT_MAX_DATA];
};
extern const struct nft_set nft_sets[];
extern const unsigned nft_n_sets;
const struct nft_set *nft_set_by_name(const char *name); /* NULL if unknown */

/* Appends "key [: data]" to b, or one part of it. Total: never fails but for memory. */
void nft_elem_text(const struct nft_elem *e, struct strbuf *b);
void nft_elem_key_text(const struct nft_elem *e, struct strbuf *b);
void nft_elem_data_text(const struct nft_elem *e, struct strbuf *b); /* "" for a set */

/*
 * table: the name of our tables in this namespace, [a-zA-Z][a-zA-Z0-9_-]{0,31} and no keyword of
 * nft ("ip", "drop"). The socket is opened in the caller's namespace.
 */
int nft_open(struct nft **ret, const char *table, struct cnm_error *err);
void nft_close(struct nft *n); /* NULL allowed */
uint32_t nft_portid(const struct nft *n);

/*
 * Additions and deletions, in both tables, as one transaction: all or nothing; deletions first.
 * Adding an element that is there and equal succeeds; one with other data fails with -EEXIST.
 * Deleting one that is not there: -ENOENT (its data is not looked at). No table: -ENOENT as well.
 *
 * Of intervals: -EEXIST also for one that begins or ends within another. But the kernel neither
 * refuses one that encloses another, nor looks at more than the first port of one to delete: what
 * holds that port goes. So callers keep theirs from overlapping, and delete what was added.
 */
int nft_change(struct nft *n, const struct nft_elem *add, unsigned n_add,
	       const struct nft_elem *del, unsigned n_del, struct cnm_error *err);
/*
 * Load the ruleset with the given elements in one transaction (nft -f -). What is there of ours is
 * emptied and filled anew; the chain `user` keeps its rules, and sets and chains that an operator
 * added to our tables stay. Only if that is refused (another version had a set of other type) the
 * tables are replaced as a whole, and the rules of `user` are carried over as text; if they cannot
 * be, they are logged and left out. Other tables are not touched. "nft" is looked up in PATH and
 * sbin.
 */
int nft_load(struct nft *n, const struct nft_elem *elems, unsigned n_elems, struct cnm_error *err);
/* Remove our tables, those that are present. */
int nft_unload(struct nft *n, struct cnm_error *err);
/*
 * Are both our tables there, with the ruleset of this version (its hash is the name of an empty
 * chain) and with as many rules as they were loaded with? The operator's chain `user` is not looked
 * at. 1, 0, or negative errno.
 */
int nft_loaded(struct nft *n, struct cnm_error *err);
/*
 * Every element of our sets, in the order of nft_sets[]; e is valid during the call. fn<0 stops.
 * -ENOENT if a table is not there. While the kernel resizes a set's hash table (soon after very
 * many elements came or went), its dump may leave some out: nft_find() does not.
 */
int nft_dump(struct nft *n, int (*fn)(const struct nft_elem *e, void *arg), void *arg,
	     struct cnm_error *err);
/* The element with e's key as the kernel has it: 1 (*ret), 0, or negative errno. */
int nft_find(struct nft *n, const struct nft_elem *e, struct nft_elem *ret, struct cnm_error *err);
/*
 * How many connections each of these elements has counted, into ret[n]; 0 for one that is not there
 * or whose set does not count.
 */
int nft_count(struct nft *n, const struct nft_elem *elems, unsigned n_elems, uint64_t *ret,
	      struct cnm_error *err);
/* The ruleset as text, with the tables' name filled in and without elements. Caller frees. */
char *nft_ruleset_text(const char *table);

/*
 * Does a chain of someone else's hooked to forward drop what none of its rules accepts, by its
 * policy or by a last rule? Writes a description ("table ip filter, chain FORWARD, policy drop") or
 * "" into buf.
 */
int nft_foreign_forward_drop(struct nft *n, char *buf, size_t size, struct cnm_error *err);

#endif
