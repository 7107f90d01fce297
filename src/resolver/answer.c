/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a query and what a sandbox sees to the reply. */
#include "resolver/answer.h"

#include <string.h>
#include <sys/socket.h>

/*
 * Seconds a client may keep an answer. An address moves to another container as soon as one is
 * removed and another made, and asking again costs microseconds, so this is far below the 600 s of
 * Docker: long enough to spare a client that asks for every connection, short enough that nobody
 * notices a stale answer.
 */
#define TTL 5

/* No more addresses than these fit into a reply of DNS_TCP_MAX bytes. */
#define FOUND_MAX 4096

struct found {
	size_t n;
	const struct zone_endpoint *endpoints[FOUND_MAX];
};

/* xorshift64*: spreads load, keeps no secrets. */
static uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static void found_shuffle(struct found *f, uint64_t *state)
{
	for (size_t i = f->n; i > 1; i--) {
		size_t j = (size_t)((random_next(state) >> 32) * i >> 32);
		const struct zone_endpoint *e = f->endpoints[i - 1];

		f->endpoints[i - 1] = f->endpoints[j];
		f->endpoints[j] = e;
	}
}

static void add_addresses(struct dns_reply *r, struct found *f, uint16_t type, uint64_t *state)
{
	unsigned family = type == DNS_AAAA;

	found_shuffle(f, state);
	for (size_t i = 0; i < f->n; i++) {
		const struct cnm_ip *ip = &f->endpoints[i]->ip[family];

		if (ip_is_set(ip) && !dns_reply_add(r, type, TTL, ip->b, family ? 16 : 4))
			return;
	}
}

/* "<first name>.<network name>"; nothing, if that cannot be said in DNS. */
static void add_pointer(struct dns_reply *r, const struct zone_endpoint *e)
{
	const struct zone_name *first = &e->names[0];
	size_t n = strlen(e->network_name), len;
	uint8_t wire[DNS_NAME_MAX];
	char text[DNS_NAME_MAX];

	if (first->len + 1 + n > sizeof(text))
		return;
	memcpy(text, first->text, first->len);
	text[first->len] = '.';
	memcpy(text + first->len + 1, e->network_name, n);
	len = dns_name_encode(wire, text, first->len + 1 + n);
	if (len)
		dns_reply_add(r, DNS_PTR, TTL, wire, len);
}

/* name without its suffix: the length of what precedes it, or 0. */
static size_t before_suffix(const struct dns_query *q, const char *suffix)
{
	size_t n = strlen(suffix);

	if (q->name_len <= n || memcmp(q->name + q->name_len - n, suffix, n) != 0)
		return 0;
	return q->name_len - n;
}

/* "4.3.2.1" is 1.2.3.4 */
static bool reverse_ip4(struct cnm_ip *ret, const char *s, size_t len)
{
	const char *end = s + len;

	*ret = (struct cnm_ip){ .family = AF_INET };
	for (int i = 3; i >= 0; i--) {
		const char *first = s;
		unsigned v = 0;

		while (s < end && *s >= '0' && *s <= '9' && s - first < 3)
			v = v * 10 + (unsigned)(*s++ - '0');
		if (s == first || v > 255 || (*first == '0' && s - first > 1))
			return false;
		if (i ? s == end || *s++ != '.' : s != end)
			return false;
		ret->b[i] = (uint8_t)v;
	}
	return true;
}

/* 32 digits with dots between them, the last of the address first. */
static bool reverse_ip6(struct cnm_ip *ret, const char *s, size_t len)
{
	static const char digits[16] = "0123456789abcdef";

	*ret = (struct cnm_ip){ .family = AF_INET6 };
	if (len != 63)
		return false;
	for (size_t i = 0; i < 32; i++) {
		const char *digit = memchr(digits, s[2 * i], sizeof(digits));

		if (!digit || (i < 31 && s[2 * i + 1] != '.'))
			return false;
		ret->b[15 - i / 2] |= (uint8_t)((digit - digits) << (i % 2 * 4));
	}
	return true;
}

static bool reverse_parse(struct cnm_ip *ret, const struct dns_query *q)
{
	size_t n = before_suffix(q, ".in-addr.arpa");

	if (n)
		return reverse_ip4(ret, q->name, n);
	n = before_suffix(q, ".ip6.arpa");
	return n && reverse_ip6(ret, q->name, n);
}

/* Answers from the zone. false: the name asked for is not known. */
static bool answer_known(const struct zone *z, const struct zone_view *view, uint64_t *shuffle,
			 const struct dns_query *q, struct dns_reply *r)
{
	const struct zone_endpoint *e = NULL;
	struct cnm_ip ip;
	struct found f;

	f.n = zone_find_name(z, view, q->name, q->name_len, f.endpoints, FOUND_MAX);
	if (f.n) {
		if (q->type == DNS_A || q->type == DNS_AAAA)
			add_addresses(r, &f, q->type, shuffle);
		return true;
	}
	if (reverse_parse(&ip, q))
		e = zone_find_ip(z, view, &ip);
	if (!e || !e->n_names)
		return false;
	if (q->type == DNS_PTR)
		add_pointer(r, e);
	return true;
}

/* With ndots set, the client's stub tries names without a dot with its search domains. */
static bool is_nobodys(const struct zone_view *view, const struct dns_query *q)
{
	return view->ndots && q->name_len && !memchr(q->name, '.', q->name_len);
}

enum answer answer_query(const struct zone *z, const struct zone_view *view, uint64_t *shuffle,
			 const uint8_t *msg, size_t len, struct dns_query *q, uint8_t *buf,
			 size_t max, size_t *ret_len)
{
	int rcode = dns_parse_query(q, msg, len);
	struct dns_reply r;

	if (rcode < 0)
		return ANSWER_NONE;
	if (rcode == DNS_NOERROR && view && q->name_len) {
		if (max <= DNS_UDP_MAX && max > q->size)
			max = q->size;
		dns_reply_begin(&r, buf, max, msg, q, DNS_NOERROR);
		if (answer_known(z, view, shuffle, q, &r)) {
			*ret_len = dns_reply_end(&r, q, DNS_NOERROR);
			return ANSWER_REPLY;
		}
	}
	if (rcode == DNS_NOERROR && !(view && is_nobodys(view, q)))
		return ANSWER_FORWARD;
	*ret_len = dns_reply_empty(buf, msg, q, (enum dns_rcode)rcode);
	return ANSWER_REPLY;
}
