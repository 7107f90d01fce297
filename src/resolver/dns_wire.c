/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The DNS message format: RFC 1035; for the OPT record RFC 6891; for what may be kept of a reply,
 * and for how long, RFC 2308 and RFC 2181.
 */
#include "resolver/dns_wire.h"

#include <errno.h>
#include <string.h>

enum {
	FLAG_QR = 0x8000,
	FLAG_OPCODE = 0x7800,
	FLAG_AA = 0x0400,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	FLAG_RA = 0x0080,
	FLAG_AD = 0x0020,
	FLAG_CD = 0x0010,
	FLAG_RCODE = 0x000f,
};

#define LABEL_MAX   63
#define POINTER     0xc0   /* both bits: the rest of the name is elsewhere */
#define ANSWER_NAME 0xc00c /* a pointer to the question's name */
#define OPT_LEN     11
#define OPT_DO      0x8000
#define OPT_SUBNET  8

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

uint16_t dns_id(const uint8_t *msg)
{
	return get16(msg);
}

void dns_set_id(uint8_t *msg, uint16_t id)
{
	put16(msg, id);
}

/* One label into the text of the name. false if it cannot be told from another one there. */
static bool label_append(struct dns_query *q, const uint8_t *label, size_t n)
{
	if (q->name_len)
		q->name[q->name_len++] = '.';
	for (size_t i = 0; i < n; i++) {
		if (label[i] == '.' || label[i] == '\0')
			return false;
		q->name[q->name_len++] = (char)lower(label[i]);
	}
	return true;
}

/* The name of the question, which nothing precedes: so it has no pointer. End, or 0 if broken. */
static size_t question_name(struct dns_query *q, const uint8_t *msg, size_t len)
{
	size_t at = DNS_HEADER;
	bool plain = true;

	while (at < len && msg[at]) {
		size_t n = msg[at++];

		/* The root's byte must find room as well. */
		if (n > LABEL_MAX || at + n >= len || at + n + 1 - DNS_HEADER > DNS_NAME_MAX)
			return 0;
		plain = plain && label_append(q, msg + at, n);
		at += n;
	}
	if (!plain)
		q->name_len = 0;
	return at < len ? at + 1 : 0;
}

/*
 * Steps over a name anywhere in a message up to len. A pointer ends it, and must lead to what came
 * before. End, or 0 if broken.
 */
static size_t name_skip(const uint8_t *msg, size_t len, size_t start)
{
	size_t at = start;

	while (at < len && at - start < DNS_NAME_MAX) {
		uint8_t n = msg[at];

		if (n == 0)
			return at + 1;
		if ((n & POINTER) == POINTER) {
			size_t to = at + 1 < len ? get16(msg + at) & ~(POINTER << 8) : 0;

			return to >= DNS_HEADER && to < start ? at + 2 : 0;
		}
		if (n > LABEL_MAX)
			return 0;
		at += 1u + n;
	}
	return 0;
}

/* A record of a message, as offsets into it. */
struct record {
	size_t name, end;
	size_t at; /* of the type; behind it, the class at 2, the TTL at 4, the data's length at 8
		    */
	uint16_t type;
};

#define RECORD_FIXED 10

/* The one that begins here. Each takes 11 bytes at least, so that no count makes a long loop. */
static bool record_read(struct record *ret, const uint8_t *msg, size_t len, size_t start)
{
	ret->name = start;
	ret->at = name_skip(msg, len, start);
	if (!ret->at || ret->at + RECORD_FIXED > len)
		return false;
	ret->type = get16(msg + ret->at);
	ret->end = ret->at + RECORD_FIXED + get16(msg + ret->at + 8);
	return ret->end <= len;
}

/* ------------------------------------------------------------------------------- queries */

/* Is there this option in an OPT? false also where the options are not well-formed. */
static bool has_option(const uint8_t *msg, const struct record *opt, uint16_t code)
{
	size_t at = opt->at + RECORD_FIXED;

	while (at + 4 <= opt->end) {
		if (get16(msg + at) == code)
			return true;
		at += 4u + get16(msg + at + 2);
	}
	return false;
}

static int read_opt(struct dns_query *q, const uint8_t *msg, const struct record *opt)
{
	const uint8_t *p = msg + opt->at;

	if (q->edns || opt->at != opt->name + 1) /* the second one, or not of the root */
		return DNS_FORMERR;
	q->edns = true;
	if (get16(p + 2) > DNS_UDP_MIN)
		q->size = get16(p + 2);
	q->dnssec_ok = get16(p + 6) & OPT_DO;
	q->peculiar = q->peculiar || has_option(msg, opt, OPT_SUBNET);
	return p[5] ? DNS_BADVERS : DNS_NOERROR;
}

/* Walks the records after the question for the OPT, which is one of the additional ones. */
static int read_records(struct dns_query *q, const uint8_t *msg, size_t len, size_t at)
{
	unsigned additional = get16(msg + 10);
	int rcode = DNS_NOERROR;

	for (unsigned n = get16(msg + 6) + get16(msg + 8) + additional; n; n--) {
		struct record rec;

		if (!record_read(&rec, msg, len, at))
			return DNS_FORMERR;
		at = rec.end;
		if (rec.type != DNS_OPT) {
			q->peculiar = true;
			continue;
		}
		rcode = n <= additional ? read_opt(q, msg, &rec) : DNS_FORMERR;
		if (rcode == DNS_FORMERR)
			return rcode;
	}
	return rcode;
}

int dns_parse_query(struct dns_query *ret, const uint8_t *msg, size_t len)
{
	uint16_t flags;
	size_t at;
	int rcode;

	ret->type = 0;
	ret->size = DNS_UDP_MIN;
	ret->question_len = 0;
	ret->edns = ret->dnssec_ok = ret->peculiar = false;
	ret->name_len = 0;
	if (len < DNS_HEADER)
		return -EBADMSG;
	flags = get16(msg + 2);
	if (flags & FLAG_QR)
		return -EBADMSG;
	ret->recursion = flags & FLAG_RD;
	ret->checking_disabled = flags & FLAG_CD;
	ret->authentic = flags & FLAG_AD;
	if (flags & FLAG_OPCODE)
		return DNS_NOTIMP;
	if (get16(msg + 4) != 1)
		return DNS_FORMERR;
	at = question_name(ret, msg, len);
	if (!at || at + 4 > len)
		return DNS_FORMERR;
	ret->type = get16(msg + at);
	ret->question_len = at + 4 - DNS_HEADER;
	rcode = read_records(ret, msg, len, at + 4);
	if (rcode == DNS_NOERROR && get16(msg + at + 2) != DNS_CLASS_IN)
		return DNS_REFUSED;
	return rcode;
}

/* ------------------------------------------------------------------------------- our replies */

void dns_reply_begin(struct dns_reply *r, uint8_t *buf, size_t max, const uint8_t *msg,
		     const struct dns_query *q, enum dns_rcode rcode)
{
	uint16_t kept = get16(msg + 2) & (FLAG_OPCODE | FLAG_RD | FLAG_CD);

	*r = (struct dns_reply){ .buf = buf, .max = max - (q->edns ? OPT_LEN : 0) };
	memset(buf, 0, DNS_HEADER);
	memcpy(buf, msg, 2);
	put16(buf + 2, (uint16_t)(FLAG_QR | kept | FLAG_RA | (rcode & FLAG_RCODE)));
	put16(buf + 4, q->question_len ? 1 : 0);
	memcpy(buf + DNS_HEADER, msg + DNS_HEADER, q->question_len);
	r->len = DNS_HEADER + q->question_len;
}

bool dns_reply_add(struct dns_reply *r, enum dns_type type, uint32_t ttl, const void *data,
		   size_t len)
{
	uint8_t *p = r->buf + r->len;

	if (r->len + 12 + len > r->max) {
		put16(r->buf + 2, get16(r->buf + 2) | FLAG_TC);
		return false;
	}
	put16(p, ANSWER_NAME);
	put16(p + 2, (uint16_t)type);
	put16(p + 4, DNS_CLASS_IN);
	put32(p + 6, ttl);
	put16(p + 10, (uint16_t)len);
	memcpy(p + 12, data, len);
	r->len += 12 + len;
	r->n_answers++;
	return true;
}

size_t dns_reply_end(struct dns_reply *r, const struct dns_query *q, enum dns_rcode rcode)
{
	uint8_t *p = r->buf + r->len;

	put16(r->buf + 6, r->n_answers);
	if (!q->edns)
		return r->len;
	put16(r->buf + 10, 1);
	p[0] = 0;
	put16(p + 1, DNS_OPT);
	put16(p + 3, DNS_UDP_MAX);
	p[5] = (uint8_t)(rcode >> 4);
	p[6] = 0;
	put16(p + 7, q->dnssec_ok ? OPT_DO : 0);
	put16(p + 9, 0);
	return r->len + OPT_LEN;
}

size_t dns_reply_empty(uint8_t *buf, const uint8_t *msg, const struct dns_query *q,
		       enum dns_rcode rcode)
{
	struct dns_reply r;

	dns_reply_begin(&r, buf, DNS_UDP_MIN, msg, q, rcode);
	return dns_reply_end(&r, q, rcode);
}

size_t dns_name_encode(uint8_t ret[static DNS_NAME_MAX], const char *text, size_t len)
{
	size_t at = 0;

	if (len == 0 || len + 2 > DNS_NAME_MAX)
		return 0;
	while (at < len) {
		const char *dot = memchr(text + at, '.', len - at);
		size_t n = dot ? (size_t)(dot - text) - at : len - at;

		if (n == 0 || n > LABEL_MAX || (dot && at + n + 1 == len))
			return 0;
		ret[at] = (uint8_t)n;
		memcpy(ret + at + 1, text + at, n);
		at += n + 1;
	}
	ret[at] = 0;
	return at + 1;
}

/* ----------------------------------------------------------------------- others' replies */

/* Length bytes are below 'A', so folding them along with the letters changes nothing. */
static bool same_question(const uint8_t *a, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len - 4; i++) {
		if (lower(a[i]) != lower(b[i]))
			return false;
	}
	return memcmp(a + len - 4, b + len - 4, 4) == 0;
}

int dns_check_reply(const uint8_t *msg, size_t len, const uint8_t *query, size_t question_len)
{
	uint16_t flags, n;

	if (len < DNS_HEADER || dns_id(msg) != dns_id(query))
		return -EBADMSG;
	flags = get16(msg + 2);
	if (!(flags & FLAG_QR) || flags & FLAG_OPCODE)
		return -EBADMSG;
	n = get16(msg + 4);
	if (n == 0 && (flags & FLAG_RCODE) != DNS_NOERROR && (flags & FLAG_RCODE) != DNS_NXDOMAIN)
		return flags & FLAG_RCODE;
	if (n != 1 || len < DNS_HEADER + question_len ||
	    !same_question(msg + DNS_HEADER, query + DNS_HEADER, question_len))
		return -EBADMSG;
	return flags & FLAG_RCODE;
}

size_t dns_reply_cut(uint8_t *msg, size_t question_len)
{
	put16(msg + 2, get16(msg + 2) | FLAG_TC);
	memset(msg + 6, 0, 6);
	return DNS_HEADER + (get16(msg + 4) ? question_len : 0);
}

/* With the top bit set it is 0: RFC 2181, 8. */
static uint32_t get_ttl(const uint8_t *p)
{
	uint32_t ttl = get32(p);

	return ttl <= INT32_MAX ? ttl : 0;
}

/*
 * For how long there is nothing, as the SOA says: for its own TTL, and no longer than the last
 * number in it. false: it is broken.
 */
static bool read_soa(struct dns_records *ret, const uint8_t *msg, const struct record *soa,
		     uint32_t ttl)
{
	size_t at = name_skip(msg, soa->end, soa->at + RECORD_FIXED);
	uint32_t minimum;

	at = at ? name_skip(msg, soa->end, at) : 0;
	if (!at || at + 20 != soa->end)
		return false;
	minimum = get_ttl(msg + at + 16);
	if (minimum > ttl)
		minimum = ttl;
	if (!ret->negative_known || minimum < ret->negative_ttl)
		ret->negative_ttl = minimum;
	ret->negative_known = true;
	return true;
}

enum section { ANSWER, AUTHORITY, ADDITIONAL, N_SECTIONS };

static bool read_reply_record(struct dns_records *ret, const uint8_t *msg, const struct record *rec,
			      enum section section, uint16_t asked)
{
	uint32_t ttl = get_ttl(msg + rec->at + 4);

	if (rec->type == DNS_OPT) {
		if (ret->edns || section != ADDITIONAL || rec->at != rec->name + 1)
			return false;
		ret->edns = true;
		ret->bare_len = rec->at + RECORD_FIXED;
		ret->rcode |= (uint16_t)(msg[rec->at + 4] << 4);
		return true;
	}
	if (ttl < ret->ttl)
		ret->ttl = ttl;
	ret->ttl_at[ret->n_ttls++] = (uint16_t)(rec->at + 4);
	if (section == ANSWER && (rec->type == asked || asked == DNS_ANY))
		ret->answered = true;
	return section != AUTHORITY || rec->type != DNS_SOA || read_soa(ret, msg, rec, ttl);
}

int dns_read_reply(struct dns_records *ret, const uint8_t *msg, size_t len, size_t question_len)
{
	size_t at = DNS_HEADER + question_len;
	uint16_t asked, last = 0;

	if (len < at || len > DNS_TCP_MAX || get16(msg + 4) != 1)
		return -EBADMSG;
	asked = get16(msg + at - 4);
	ret->rcode = get16(msg + 2) & FLAG_RCODE;
	ret->truncated = get16(msg + 2) & FLAG_TC;
	ret->answered = ret->negative_known = ret->edns = false;
	ret->ttl = UINT32_MAX;
	ret->negative_ttl = 0;
	ret->n_ttls = ret->bare_len = 0;
	for (enum section s = ANSWER; s < N_SECTIONS; s++) {
		for (unsigned n = get16(msg + 6 + 2 * s); n; n--) {
			struct record rec;

			if (!record_read(&rec, msg, len, at) ||
			    !read_reply_record(ret, msg, &rec, s, asked))
				return -EBADMSG;
			at = rec.end;
			last = rec.type;
		}
	}
	if (!ret->edns)
		ret->bare_len = len;
	else if (last != DNS_OPT)
		ret->bare_len = 0;
	return at == len ? 0 : -EBADMSG;
}

void dns_drop_options(uint8_t *msg, const struct dns_records *r)
{
	if (r->edns)
		put16(msg + r->bare_len - 2, 0);
}

void dns_readdress(uint8_t *reply, const uint8_t *query, size_t question_len)
{
	uint16_t flags = get16(reply + 2) & (uint16_t) ~(FLAG_AA | FLAG_RD | FLAG_CD);

	memcpy(reply, query, 2);
	put16(reply + 2, flags | (get16(query + 2) & (FLAG_RD | FLAG_CD)));
	memcpy(reply + DNS_HEADER, query + DNS_HEADER, question_len);
}

void dns_age(uint8_t *msg, size_t ttl_at, uint32_t seconds)
{
	put32(msg + ttl_at, get32(msg + ttl_at) - seconds);
}

void dns_question_lower(uint8_t *ret, const uint8_t *query, size_t question_len)
{
	const uint8_t *question = query + DNS_HEADER;

	for (size_t i = 0; i < question_len - 4; i++)
		ret[i] = lower(question[i]);
	memcpy(ret + question_len - 4, question + question_len - 4, 4);
}
