/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Elements: as text, and as the bytes in which the kernel has them. A key is the bytes of its
 * fields, one behind the other; interface names are padded with zeros to 16, and the fields of a
 * key of several to whole words of 4. A verdict is a code and, for goto and jump, a chain.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/nft_internal.h"

const struct nft_set nft_sets[] = {
	{ .name = "brs", .key = { NFT_T_IFNAME } },
	{ .name = "internal", .key = { NFT_T_IFNAME } },
	{ .name = "masq4", .key = { NFT_T_IFNAME } },
	{ .name = "masq6", .key = { NFT_T_IFNAME } },
	{ .name = "snat4", .map = true, .key = { NFT_T_IFNAME }, .data = { NFT_T_IP4 } },
	{ .name = "snat6", .map = true, .key = { NFT_T_IFNAME }, .data = { NFT_T_IP6 } },
	{ .name = "unprotected", .key = { NFT_T_IFNAME, NFT_T_NFPROTO } },
	{ .name = "routed", .key = { NFT_T_IFNAME, NFT_T_NFPROTO } },
	{ .name = "same",
	  .map = true,
	  .key = { NFT_T_IFNAME, NFT_T_IFNAME },
	  .data = { NFT_T_VERDICT } },
	{ .name = "foreign", .map = true, .key = { NFT_T_NFPROTO }, .data = { NFT_T_VERDICT } },
	{ .name = "noicc", .bridge = true, .key = { NFT_T_IFNAME } },
};
const unsigned nft_n_sets = sizeof(nft_sets) / sizeof(nft_sets[0]);

const struct nft_table nft_tables[NFT_N_TABLES] = {
	[false] = { NFPROTO_INET, "inet", 23 },
	[true] = { NFPROTO_BRIDGE, "bridge", 1 },
};

const struct nft_set *nft_set_by_name(const char *name)
{
	for (unsigned i = 0; i < nft_n_sets; i++)
		if (streq(nft_sets[i].name, name))
			return &nft_sets[i];
	return NULL;
}

bool nft_elem_is_valid(const struct nft_elem *e)
{
	const struct nft_set *set = e->set ? nft_set_by_name(e->set) : NULL;

	if (!set)
		return false;
	for (unsigned i = 0; i < NFT_MAX_KEY; i++)
		if (e->key[i].type != set->key[i])
			return false;
	if (set->data[0] == NFT_T_IP4 || set->data[0] == NFT_T_IP6)
		return e->data[0].type == set->data[0] &&
		       e->data[0].ip.family == (set->data[0] == NFT_T_IP4 ? AF_INET : AF_INET6);
	return e->data[0].type == set->data[0];
}

/* ---- text */

static void value_text(const struct nft_value *v, const char *quote, struct strbuf *b)
{
	char ip[IP_STR];

	switch (v->type) {
	case NFT_T_NONE:
		break;
	case NFT_T_IFNAME:
		strbuf_addf(b, "%s%.16s%s", quote, v->ifname, quote);
		break;
	case NFT_T_NFPROTO:
		if (v->proto == NFPROTO_IPV4 || v->proto == NFPROTO_IPV6)
			strbuf_add(b, v->proto == NFPROTO_IPV4 ? "ipv4" : "ipv6");
		else
			strbuf_addf(b, "%u", v->proto);
		break;
	case NFT_T_IP4:
	case NFT_T_IP6:
		strbuf_add(b, ip_format(&v->ip, ip));
		break;
	case NFT_T_VERDICT:
		strbuf_add(b, v->verdict);
		break;
	}
}

static void key_text(const struct nft_elem *e, const char *quote, struct strbuf *b)
{
	for (unsigned i = 0; i < NFT_MAX_KEY && e->key[i].type != NFT_T_NONE; i++) {
		if (i > 0)
			strbuf_add(b, " . ");
		value_text(&e->key[i], quote, b);
	}
}

static void elem_text(const struct nft_elem *e, const char *quote, struct strbuf *b)
{
	key_text(e, quote, b);
	if (e->data[0].type != NFT_T_NONE)
		strbuf_add(b, " : ");
	nft_elem_data_text(e, b);
}

void nft_elem_key_text(const struct nft_elem *e, struct strbuf *b)
{
	key_text(e, "", b);
}

void nft_elem_data_text(const struct nft_elem *e, struct strbuf *b)
{
	value_text(&e->data[0], "", b);
}

void nft_elem_text(const struct nft_elem *e, struct strbuf *b)
{
	elem_text(e, "", b);
}

void nft_elem_source(const struct nft_elem *e, struct strbuf *b)
{
	elem_text(e, "\"", b);
}

/* ---- bytes */

static const struct {
	const char *name;
	int code;
	bool chain; /* takes one */
} verdicts[] = {
	{ "accept", NF_ACCEPT, false },      { "drop", NF_DROP, false },
	{ "continue", NFT_CONTINUE, false }, { "return", NFT_RETURN, false },
	{ "goto", NFT_GOTO, true },          { "jump", NFT_JUMP, true },
};
#define N_VERDICTS (sizeof(verdicts) / sizeof(verdicts[0]))

static void put_verdict(struct nlmsghdr *h, const char *text)
{
	struct nlattr *verdict = mnl_attr_nest_start(h, NFTA_DATA_VERDICT);
	size_t word = strcspn(text, " ");

	for (size_t i = 0; i < N_VERDICTS; i++) {
		if (strlen(verdicts[i].name) != word || strncmp(verdicts[i].name, text, word) != 0)
			continue;
		mnl_attr_put_u32(h, NFTA_VERDICT_CODE, htonl((uint32_t)verdicts[i].code));
		if (verdicts[i].chain && text[word])
			mnl_attr_put_strz(h, NFTA_VERDICT_CHAIN, text + word + 1);
	}
	/* what is no verdict has no code, and the kernel refuses it */
	mnl_attr_nest_end(h, verdict);
}

static void read_verdict(const struct nlattr *attr, struct nft_value *v)
{
	const struct nlattr *verdict[NFTA_VERDICT_MAX + 1];
	int code;

	nft_parse_nested(attr, verdict, NFTA_VERDICT_MAX);
	code = (int)nft_attr_u32(verdict[NFTA_VERDICT_CODE]);
	snprintf(v->verdict, sizeof(v->verdict), "%d", code);
	for (size_t i = 0; i < N_VERDICTS; i++)
		if (verdicts[i].code == code)
			snprintf(v->verdict, sizeof(v->verdict), "%s%s%s", verdicts[i].name,
				 verdicts[i].chain ? " " : "",
				 nft_attr_str(verdict[NFTA_VERDICT_CHAIN]));
}

/* Its bytes in a key or a map's data; a verdict has none. */
static size_t value_size(enum nft_type type)
{
	switch (type) {
	case NFT_T_IFNAME:
	case NFT_T_IP6:
		return 16;
	case NFT_T_IP4:
		return 4;
	case NFT_T_NFPROTO:
		return 1;
	case NFT_T_NONE:
	case NFT_T_VERDICT:
		break;
	}
	return 0;
}

/* With its padding, as one of several fields or alone. */
static size_t field_size(enum nft_type type, bool several)
{
	return several ? MNL_ALIGN(value_size(type)) : value_size(type);
}

/* to is zeroed. */
static void write_value(char *to, const struct nft_value *v)
{
	switch (v->type) {
	case NFT_T_IFNAME:
		memcpy(to, v->ifname, strnlen(v->ifname, sizeof(v->ifname)));
		break;
	case NFT_T_NFPROTO:
		*to = (char)v->proto;
		break;
	case NFT_T_IP4:
	case NFT_T_IP6:
		memcpy(to, v->ip.b, value_size(v->type));
		break;
	case NFT_T_NONE:
	case NFT_T_VERDICT:
		break;
	}
}

static void read_value(const char *from, enum nft_type type, struct nft_value *v)
{
	v->type = type;
	switch (type) {
	case NFT_T_IFNAME:
		memcpy(v->ifname, from, sizeof(v->ifname));
		break;
	case NFT_T_NFPROTO:
		v->proto = (uint8_t)*from;
		break;
	case NFT_T_IP4:
	case NFT_T_IP6:
		v->ip.family = type == NFT_T_IP4 ? AF_INET : AF_INET6;
		memcpy(v->ip.b, from, value_size(type));
		break;
	case NFT_T_NONE:
	case NFT_T_VERDICT:
		break;
	}
}

static void put_data(struct nlmsghdr *h, const struct nft_value *v)
{
	struct nlattr *data = mnl_attr_nest_start(h, NFTA_SET_ELEM_DATA);
	char value[16] = { 0 };

	if (v->type == NFT_T_VERDICT) {
		put_verdict(h, v->verdict);
	} else {
		write_value(value, v);
		mnl_attr_put(h, NFTA_DATA_VALUE, value_size(v->type), value);
	}
	mnl_attr_nest_end(h, data);
}

void nft_elem_put(struct nlmsghdr *h, const struct nft_elem *e, bool with_data)
{
	char key[NFT_MAX_KEY * sizeof(e->key[0].ifname)] = { 0 };
	struct nlattr *elem = mnl_attr_nest_start(h, NFTA_LIST_ELEM), *nest;
	size_t len = 0;

	for (unsigned i = 0; i < NFT_MAX_KEY && e->key[i].type != NFT_T_NONE; i++) {
		write_value(key + len, &e->key[i]);
		len += field_size(e->key[i].type, e->key[1].type != NFT_T_NONE);
	}
	nest = mnl_attr_nest_start(h, NFTA_SET_ELEM_KEY);
	mnl_attr_put(h, NFTA_DATA_VALUE, len, key);
	mnl_attr_nest_end(h, nest);
	if (with_data && e->data[0].type != NFT_T_NONE)
		put_data(h, &e->data[0]);
	mnl_attr_nest_end(h, elem);
}

static bool read_data(const struct nlattr *attr, enum nft_type type, struct nft_value *v)
{
	const struct nlattr *tb[NFTA_DATA_MAX + 1];

	nft_parse_nested(attr, tb, NFTA_DATA_MAX);
	v->type = type;
	if (type == NFT_T_VERDICT) {
		read_verdict(tb[NFTA_DATA_VERDICT], v);
		return true;
	}
	if (!tb[NFTA_DATA_VALUE] ||
	    mnl_attr_get_payload_len(tb[NFTA_DATA_VALUE]) != value_size(type))
		return false;
	read_value(mnl_attr_get_payload(tb[NFTA_DATA_VALUE]), type, v);
	return true;
}

bool nft_elem_read(const struct nft_set *set, const struct nlattr *attr, struct nft_elem *ret)
{
	const struct nlattr *tb[NFTA_SET_ELEM_MAX + 1], *key[NFTA_DATA_MAX + 1];
	const char *bytes;
	size_t left;

	*ret = (struct nft_elem){ .set = set->name };
	nft_parse_nested(attr, tb, NFTA_SET_ELEM_MAX);
	nft_parse_nested(tb[NFTA_SET_ELEM_KEY], key, NFTA_DATA_MAX);
	if (!key[NFTA_DATA_VALUE])
		return false;
	bytes = mnl_attr_get_payload(key[NFTA_DATA_VALUE]);
	left = mnl_attr_get_payload_len(key[NFTA_DATA_VALUE]);
	for (unsigned i = 0; i < NFT_MAX_KEY && set->key[i] != NFT_T_NONE; i++) {
		size_t n = field_size(set->key[i], set->key[1] != NFT_T_NONE);

		if (left < n)
			return false;
		read_value(bytes, set->key[i], &ret->key[i]);
		bytes += n;
		left -= n;
	}
	return left == 0 &&
	       (!set->map || read_data(tb[NFTA_SET_ELEM_DATA], set->data[0], &ret->data[0]));
}
