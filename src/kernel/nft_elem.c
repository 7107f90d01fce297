/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Elements: as text, and as the bytes in which the kernel has them. A key is the bytes of its
 * fields, one behind the other; interface names are padded with zeros to 16, and the fields of a
 * key of several to whole words of 4. So is the data of a map, but for a verdict, which is a code
 * and, for goto and jump, a chain.
 *
 * In a set of intervals an element has two keys, the first and the last of what it holds; also one
 * of a single port, which the kernel would else keep in another form. Ours differ in the port
 * alone.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/nft_internal.h"

#define VALUE_MAX 16
#define KEY_MAX   (NFT_MAX_KEY * VALUE_MAX)

/* ---- what is an element of ours */

static bool is_valid_value(const struct nft_value *v, enum nft_type type, bool interval)
{
	if (v->type != type)
		return false;
	switch (type) {
	case NFT_T_IP4:
		return v->ip.family == AF_INET;
	case NFT_T_IP6:
	case NFT_T_ND:
		return v->ip.family == AF_INET6;
	case NFT_T_PORT:
		return v->port.first == v->port.last || (interval && v->port.first < v->port.last);
	case NFT_T_NONE:
	case NFT_T_IFNAME:
	case NFT_T_NFPROTO:
	case NFT_T_ETHER:
	case NFT_T_PROTO:
	case NFT_T_VERDICT:
		break;
	}
	return true;
}

bool nft_elem_is_valid(const struct nft_elem *e)
{
	const struct nft_set *set = e->set ? nft_set_by_name(e->set) : NULL;

	if (!set)
		return false;
	for (unsigned i = 0; i < NFT_MAX_KEY; i++)
		if (!is_valid_value(&e->key[i], set->key[i], set->interval))
			return false;
	for (unsigned i = 0; i < NFT_MAX_DATA; i++)
		if (!is_valid_value(&e->data[i], set->data[i], false))
			return false;
	return true;
}

static int value_cmp(const struct nft_value *a, const struct nft_value *b)
{
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	switch (a->type) {
	case NFT_T_IFNAME:
		return strncmp(a->ifname, b->ifname, sizeof(a->ifname));
	case NFT_T_NFPROTO:
	case NFT_T_PROTO:
		return a->proto - b->proto;
	case NFT_T_IP4:
	case NFT_T_IP6:
	case NFT_T_ND:
		return ip_cmp(&a->ip, &b->ip);
	case NFT_T_ETHER:
		return memcmp(a->mac.b, b->mac.b, sizeof(a->mac.b));
	case NFT_T_PORT:
		return a->port.first != b->port.first ? a->port.first - b->port.first
						      : a->port.last - b->port.last;
	case NFT_T_NONE:
	case NFT_T_VERDICT:
		break;
	}
	return 0;
}

int nft_elem_cmp(const struct nft_elem *a, const struct nft_elem *b)
{
	int r = 0;

	for (unsigned i = 0; i < NFT_MAX_KEY && r == 0; i++)
		r = value_cmp(&a->key[i], &b->key[i]);
	return r;
}

/* ---- text */

static void proto_text(uint8_t proto, struct strbuf *b)
{
	switch (proto) {
	case IPPROTO_TCP:
		strbuf_add(b, "tcp");
		break;
	case IPPROTO_UDP:
		strbuf_add(b, "udp");
		break;
	case IPPROTO_SCTP:
		strbuf_add(b, "sctp");
		break;
	default:
		strbuf_addf(b, "%u", proto);
	}
}

static void number_text(const uint8_t b[static 16], struct strbuf *to)
{
	strbuf_add(to, "0x");
	for (unsigned i = 0; i < 16; i++)
		strbuf_addf(to, "%02x", b[i]);
}

/* source: as nft reads it. */
static void value_text(const struct nft_value *v, bool source, struct strbuf *b)
{
	const char *quote = source ? "\"" : "";
	char ip[IP_STR], mac[MAC_STR];

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
	case NFT_T_ND:
		if (source) {
			number_text(v->ip.b, b);
			break;
		}
		__attribute__((fallthrough));
	case NFT_T_IP4:
	case NFT_T_IP6:
		strbuf_add(b, ip_format(&v->ip, ip));
		break;
	case NFT_T_ETHER:
		strbuf_add(b, mac_format(&v->mac, mac));
		break;
	case NFT_T_PROTO:
		proto_text(v->proto, b);
		break;
	case NFT_T_PORT:
		strbuf_addf(b, "%u", v->port.first);
		if (v->port.last != v->port.first)
			strbuf_addf(b, "-%u", v->port.last);
		break;
	case NFT_T_VERDICT:
		strbuf_addf(b, "%.24s", v->verdict);
		break;
	}
}

static void values_text(const struct nft_value *v, unsigned n, bool source, struct strbuf *b)
{
	for (unsigned i = 0; i < n && v[i].type != NFT_T_NONE; i++) {
		if (i > 0)
			strbuf_add(b, " . ");
		value_text(&v[i], source, b);
	}
}

static void elem_text(const struct nft_elem *e, bool source, struct strbuf *b)
{
	values_text(e->key, NFT_MAX_KEY, source, b);
	if (e->data[0].type != NFT_T_NONE)
		strbuf_add(b, " : ");
	values_text(e->data, NFT_MAX_DATA, source, b);
}

void nft_elem_key_text(const struct nft_elem *e, struct strbuf *b)
{
	values_text(e->key, NFT_MAX_KEY, false, b);
}

void nft_elem_data_text(const struct nft_elem *e, struct strbuf *b)
{
	values_text(e->data, NFT_MAX_DATA, false, b);
}

void nft_elem_text(const struct nft_elem *e, struct strbuf *b)
{
	elem_text(e, false, b);
}

void nft_elem_source(const struct nft_elem *e, struct strbuf *b)
{
	elem_text(e, true, b);
}

/* ---- verdicts */

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
	v->type = NFT_T_VERDICT;
	snprintf(v->verdict, sizeof(v->verdict), "%d", code);
	for (size_t i = 0; i < N_VERDICTS; i++)
		if (verdicts[i].code == code)
			snprintf(v->verdict, sizeof(v->verdict), "%s%s%s", verdicts[i].name,
				 verdicts[i].chain ? " " : "",
				 nft_attr_str(verdict[NFTA_VERDICT_CHAIN]));
}

/* ---- bytes */

/* Of a value in a key or a map's data; a verdict has none. */
static size_t value_size(enum nft_type type)
{
	switch (type) {
	case NFT_T_IFNAME:
	case NFT_T_IP6:
	case NFT_T_ND:
		return 16;
	case NFT_T_ETHER:
		return 6;
	case NFT_T_IP4:
		return 4;
	case NFT_T_PORT:
		return 2;
	case NFT_T_NFPROTO:
	case NFT_T_PROTO:
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
static void write_value(char *to, const struct nft_value *v, bool last)
{
	uint16_t port = htons(last ? v->port.last : v->port.first);

	switch (v->type) {
	case NFT_T_IFNAME:
		memcpy(to, v->ifname, strnlen(v->ifname, sizeof(v->ifname)));
		break;
	case NFT_T_NFPROTO:
	case NFT_T_PROTO:
		*to = (char)v->proto;
		break;
	case NFT_T_IP4:
	case NFT_T_IP6:
	case NFT_T_ND:
		memcpy(to, v->ip.b, value_size(v->type));
		break;
	case NFT_T_ETHER:
		memcpy(to, v->mac.b, sizeof(v->mac.b));
		break;
	case NFT_T_PORT:
		memcpy(to, &port, sizeof(port));
		break;
	case NFT_T_NONE:
	case NFT_T_VERDICT:
		break;
	}
}

/* From the bytes in the first and in the last key: but for a port they must be the same. */
static bool read_value(const char *first, const char *last, enum nft_type type, struct nft_value *v)
{
	size_t n = value_size(type);
	uint16_t port[2];

	v->type = type;
	if (type == NFT_T_PORT) {
		memcpy(&port[0], first, sizeof(port[0]));
		memcpy(&port[1], last, sizeof(port[1]));
		v->port.first = ntohs(port[0]);
		v->port.last = ntohs(port[1]);
		return true;
	}
	if (type == NFT_T_IFNAME)
		memcpy(v->ifname, first, n);
	else if (type == NFT_T_ETHER)
		memcpy(v->mac.b, first, n);
	else if (type == NFT_T_NFPROTO || type == NFT_T_PROTO)
		v->proto = (uint8_t)*first;
	else
		memcpy(v->ip.b, first, n);
	if (type == NFT_T_IP4 || type == NFT_T_IP6 || type == NFT_T_ND)
		v->ip.family = type == NFT_T_IP4 ? AF_INET : AF_INET6;
	return memcmp(first, last, n) == 0;
}

static void put_values(struct nlmsghdr *h, uint16_t attr, const struct nft_value *v, unsigned n,
		       bool last)
{
	struct nlattr *nest = mnl_attr_nest_start(h, attr);
	char bytes[KEY_MAX] = { 0 };
	size_t len = 0;

	for (unsigned i = 0; i < n && v[i].type != NFT_T_NONE; i++) {
		write_value(bytes + len, &v[i], last);
		len += field_size(v[i].type, v[1].type != NFT_T_NONE);
	}
	mnl_attr_put(h, NFTA_DATA_VALUE, len, bytes);
	mnl_attr_nest_end(h, nest);
}

void nft_elem_put(struct nlmsghdr *h, const struct nft_elem *e, bool with_data)
{
	struct nlattr *elem = mnl_attr_nest_start(h, NFTA_LIST_ELEM), *data;

	put_values(h, NFTA_SET_ELEM_KEY, e->key, NFT_MAX_KEY, false);
	if (nft_set_by_name(e->set)->interval)
		put_values(h, NFTA_SET_ELEM_KEY_END, e->key, NFT_MAX_KEY, true);
	if (with_data && e->data[0].type == NFT_T_VERDICT) {
		data = mnl_attr_nest_start(h, NFTA_SET_ELEM_DATA);
		put_verdict(h, e->data[0].verdict);
		mnl_attr_nest_end(h, data);
	} else if (with_data && e->data[0].type != NFT_T_NONE) {
		put_values(h, NFTA_SET_ELEM_DATA, e->data, NFT_MAX_DATA, false);
	}
	mnl_attr_nest_end(h, elem);
}

/* The attribute with a key's or data's bytes, or NULL if it has not len of them. */
static const char *bytes_of(const struct nlattr *nest, size_t len)
{
	const struct nlattr *tb[NFTA_DATA_MAX + 1];

	nft_parse_nested(nest, tb, NFTA_DATA_MAX);
	if (!tb[NFTA_DATA_VALUE] || mnl_attr_get_payload_len(tb[NFTA_DATA_VALUE]) != len)
		return NULL;
	return mnl_attr_get_payload(tb[NFTA_DATA_VALUE]);
}

static bool read_values(const struct nlattr *first, const struct nlattr *last,
			const enum nft_type *types, unsigned n, struct nft_value *ret)
{
	bool several = types[1] != NFT_T_NONE;
	const char *from, *to;
	size_t len = 0, at = 0;

	for (unsigned i = 0; i < n; i++)
		len += field_size(types[i], several);
	from = bytes_of(first, len);
	to = last ? bytes_of(last, len) : from;
	if (!from || !to)
		return false;
	for (unsigned i = 0; i < n && types[i] != NFT_T_NONE; i++) {
		if (!read_value(from + at, to + at, types[i], &ret[i]))
			return false;
		at += field_size(types[i], several);
	}
	return true;
}

bool nft_elem_read(const struct nft_set *set, const struct nlattr *attr, struct nft_elem *ret)
{
	const struct nlattr *tb[NFTA_SET_ELEM_MAX + 1], *data[NFTA_DATA_MAX + 1];

	*ret = (struct nft_elem){ .set = set->name };
	nft_parse_nested(attr, tb, NFTA_SET_ELEM_MAX);
	if (!read_values(tb[NFTA_SET_ELEM_KEY], tb[NFTA_SET_ELEM_KEY_END], set->key, NFT_MAX_KEY,
			 ret->key))
		return false;
	if (set->data[0] != NFT_T_VERDICT)
		return !set->map || read_values(tb[NFTA_SET_ELEM_DATA], NULL, set->data,
						NFT_MAX_DATA, ret->data);
	nft_parse_nested(tb[NFTA_SET_ELEM_DATA], data, NFTA_DATA_MAX);
	read_verdict(data[NFTA_DATA_VERDICT], &ret->data[0]);
	return true;
}

uint64_t nft_elem_packets(const struct nlattr *attr)
{
	const struct nlattr *tb[NFTA_SET_ELEM_MAX + 1], *expr[NFTA_EXPR_MAX + 1];
	const struct nlattr *counter[NFTA_COUNTER_MAX + 1], *packets;

	nft_parse_nested(attr, tb, NFTA_SET_ELEM_MAX);
	nft_parse_nested(tb[NFTA_SET_ELEM_EXPR], expr, NFTA_EXPR_MAX);
	if (!streq(nft_attr_str(expr[NFTA_EXPR_NAME]), "counter"))
		return 0;
	nft_parse_nested(expr[NFTA_EXPR_DATA], counter, NFTA_COUNTER_MAX);
	packets = counter[NFTA_COUNTER_PACKETS];
	if (!packets || mnl_attr_get_payload_len(packets) < sizeof(uint64_t))
		return 0;
	return be64toh(mnl_attr_get_u64(packets));
}
