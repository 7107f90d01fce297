/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What nf_tables tells of packets that are marked by `meta nftrace set 1`: each rule that matched,
 * and how each base chain ended. And the rules' text, which the kernel does not have.
 */
#ifndef KERNEL_NFT_TRACE_H
#define KERNEL_NFT_TRACE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "cnm/error.h"

enum nft_trace_type {
	NFT_TRACE_RULE,   /* this rule matched, and said this */
	NFT_TRACE_RETURN, /* a chain that was jumped to came to its end */
	NFT_TRACE_POLICY, /* a base chain came to its end, and this is its policy */
};

/* The kernel describes a packet in the first message of each base chain only. */
struct nft_trace_packet {
	char in[IFNAMSIZ], out[IFNAMSIZ]; /* "" none */
	struct cnm_ip from, to;
	uint8_t proto;         /* IPPROTO_* */
	bool has_ports;        /* TCP, UDP, SCTP */
	uint16_t sport, dport; /* host byte order */
};

struct nft_trace_event {
	uint32_t id; /* the same for what is told of one packet, until it leaves this host or bridge
		      */
	char family[8]; /* "inet", "bridge", "ip", ... */
	char table[64], chain[64];
	enum nft_trace_type type;
	uint64_t handle;  /* of the rule; 0: none */
	char verdict[96]; /* "accept", "drop", "continue", "jump CHAIN", ... */
	bool described;   /* packet is set */
	struct nft_trace_packet packet;
};

struct nft_trace;
/* Listen in the calling thread's namespace. One thread at a time uses it. */
int nft_trace_open(struct nft_trace **ret, struct cnm_error *err);
void nft_trace_close(struct nft_trace *t); /* NULL allowed */
int nft_trace_fd(const struct nft_trace *t);
/*
 * What there is, each to fn, without waiting; fn<0 stops. 0, what fn returned, or a negative errno.
 * *ret_lost is set when the kernel had more than could be received.
 */
int nft_trace_read(struct nft_trace *t, int (*fn)(const struct nft_trace_event *e, void *arg),
		   void *arg, bool *ret_lost);

/* ---- the text of rules, as `nft -a list ruleset` has it */
struct nft_rules {
	struct nft_rule {
		char family[8], table[64];
		uint64_t handle;
		char *text;
	} * v;
	size_t n, cap;
};
/* All of the ruleset in the calling thread's namespace, by the nft program. */
int nft_rules_read(struct nft_rules *ret, struct cnm_error *err);
/* From the program's text. 0 or -ENOMEM. */
int nft_rules_parse(struct nft_rules *ret, const char *text);
void nft_rules_free(struct nft_rules *r);
/* "" if there is none. */
const char *nft_rules_text(const struct nft_rules *r, const char *family, const char *table,
			   uint64_t handle);

/* One message as the kernel sends it, in n bytes at data; false: it is none, or not whole. */
bool nft_trace_parse(const void *data, size_t n, struct nft_trace_event *ret);

#endif
