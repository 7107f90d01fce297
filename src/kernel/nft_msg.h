/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nf_tables messages, and their transactions on an nfnetlink socket. (Dumps go by nl_request().)
 *
 * A transaction is not a batch as netlink.h has it: the kernel takes all its messages or none, and
 * answers those that failed, and the last. A socket is used by one thread at a time.
 */
#ifndef KERNEL_NFT_MSG_H
#define KERNEL_NFT_MSG_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct nft_sock;

/* In the calling thread's namespace. 0 or negative errno. */
int nft_sock_open(struct nft_sock **ret);
void nft_sock_close(struct nft_sock *s); /* NULL allowed */
uint32_t nft_sock_portid(const struct nft_sock *s);

/* Room for one message. Its attributes are put by mnl_attr_put*; ours are well below this. */
struct nft_msg {
	_Alignas(8) char b[1024];
};
/* type: NFT_MSG_*; flags: NLM_F_CREATE and so on; family: NFPROTO_*. */
struct nlmsghdr *nft_msg_start(struct nft_msg *m, int type, int flags, uint8_t family);

/* Zero-initialised; free with strbuf_free(&t.b). */
struct nft_txn {
	struct strbuf b;
	unsigned n;
};
void nft_txn_add(struct nft_txn *t, const struct nlmsghdr *h);
/*
 * Send it, once. 0, or the negative errno of the first message that failed, whose number is then in
 * *ret_failed (-1: the transaction as a whole).
 */
int nft_txn_run(struct nft_sock *s, struct nft_txn *t, int *ret_failed);

/* The attributes of a message behind its struct nfgenmsg, or of a nest, by type; tb[max + 1]. */
void nft_parse(const struct nlmsghdr *h, const struct nlattr **tb, unsigned max);
void nft_parse_nested(const struct nlattr *nest, const struct nlattr **tb, unsigned max);
/* Of a table, as nft calls it: "inet", "ip", ... */
const char *nft_family_name(uint8_t family);
/* "" if a is NULL or not a terminated string. */
const char *nft_attr_str(const struct nlattr *a);
/* A number in network byte order, as nf_tables has them; 0 if a is NULL or too short. */
uint32_t nft_attr_u32(const struct nlattr *a);

#endif
