/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The DNS message format, as far as a server of names and a forwarder need it: reading a query,
 * writing a reply to it, and telling whether a message is the reply to a query. Pure functions over
 * buffers, no allocation. Everything read is hostile; names are never followed through compression
 * pointers, so nothing can loop.
 */
#ifndef RESOLVER_DNS_WIRE_H
#define RESOLVER_DNS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_HEADER       12
#define DNS_NAME_MAX     255                /* on the wire, with its length bytes and the root */
#define DNS_QUESTION_MAX (DNS_NAME_MAX + 4) /* with type and class */
#define DNS_UDP_MIN      512                /* what every client takes */
#define DNS_UDP_MAX      4096 /* the largest query we read and the largest answer of our own by UDP */
#define DNS_TCP_MAX      65535

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
	DNS_BADVERS = 16,
};

enum dns_type {
	DNS_A = 1,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_AAAA = 28,
	DNS_OPT = 41,
	DNS_META = 128, /* from here to DNS_ANY are ways to ask, and no types of records */
	DNS_ANY = 255,
};

#define DNS_CLASS_IN 1

struct dns_query {
	uint16_t type;
	uint16_t size;       /* the largest UDP reply its sender takes; at least DNS_UDP_MIN */
	size_t question_len; /* of the question that follows the header; 0: none could be read */
	bool recursion, checking_disabled, authentic; /* the flags RD, CD and AD */
	bool edns;
	bool dnssec_ok;
	/*
	 * The reply depends on more than the above: the query is signed, or says for whom else it
	 * asks (the client subnet of RFC 7871), or holds other records.
	 */
	bool peculiar;
	/*
	 * In lower case with dots between the labels and none at the end. Empty for the root, and
	 * for a name that cannot be written so because a label holds a dot or a NUL.
	 */
	size_t name_len;
	char name[DNS_NAME_MAX];
};

/*
 * Reads a query. Negative: not to be answered at all (too short, or a reply). Else the rcode to
 * answer with at once, of which DNS_NOERROR means: go on, *ret is complete. *ret is always good
 * for dns_reply_begin() unless the return value is negative.
 */
int dns_parse_query(struct dns_query *ret, const uint8_t *msg, size_t len);

struct dns_reply {
	uint8_t *buf;
	size_t len, max;
	uint16_t n_answers;
};

/*
 * Starts the reply to msg in buf: header and question, which always fit into DNS_UDP_MIN bytes.
 * max is the size to keep within, at least DNS_UDP_MIN.
 */
void dns_reply_begin(struct dns_reply *r, uint8_t *buf, size_t max, const uint8_t *msg,
		     const struct dns_query *q, enum dns_rcode rcode);
/* Adds an answer for the name asked. false: it did not fit, and the reply says so (TC). */
bool dns_reply_add(struct dns_reply *r, enum dns_type type, uint32_t ttl, const void *data,
		   size_t len);
/* Completes the reply (EDNS, if the query had it). Its length. */
size_t dns_reply_end(struct dns_reply *r, const struct dns_query *q, enum dns_rcode rcode);
/* The three in one: a reply without answers, within DNS_UDP_MIN bytes. Its length. */
size_t dns_reply_empty(uint8_t *buf, const uint8_t *msg, const struct dns_query *q,
		       enum dns_rcode rcode);

/*
 * Writes dotted text as a name on the wire. Its length, or 0 if it is none: an empty label, a label
 * over 63 bytes, more than DNS_NAME_MAX in all.
 */
size_t dns_name_encode(uint8_t ret[static DNS_NAME_MAX], const char *text, size_t len);

/*
 * What there is in a reply. Bytes for a record: name 1, type, class, TTL and length 10. So there
 * are not more of them than this in DNS_TCP_MAX.
 */
#define DNS_RECORDS_MAX ((DNS_TCP_MAX - DNS_HEADER) / 11)

struct dns_records {
	uint16_t rcode;        /* with what the OPT adds to it */
	bool truncated;        /* TC */
	bool answered;         /* there is a record of the type asked for among the answers */
	bool negative_known;   /* a SOA says for how long there is none */
	uint32_t ttl;          /* the smallest; UINT32_MAX: there is no TTL */
	uint32_t negative_ttl; /* if known */
	bool edns;             /* there is an OPT */
	size_t bare_len;       /* up to the OPT's options; 0: others follow on them */
	size_t n_ttls;
	uint16_t ttl_at[DNS_RECORDS_MAX]; /* where the TTLs are; that of an OPT is none */
};

/*
 * Reads the records of a reply that dns_check_reply() accepted. 0, or -EBADMSG: it comes without
 * the question, or is not made of just the records that it says it has. The data of records is
 * looked at only in a SOA and an OPT. A TTL with the top bit set is 0 (RFC 2181).
 */
int dns_read_reply(struct dns_records *ret, const uint8_t *msg, size_t len, size_t question_len);
/* Takes away the options of an OPT: the first bare_len bytes of a reply become one by itself. */
void dns_drop_options(uint8_t *msg, const struct dns_records *r);
/*
 * Makes a reply that was kept one to this query, which has the same question, case apart: its id,
 * its question as it spells it, RD and CD; and not authoritative. Of the reply must be there the
 * header and the question.
 */
void dns_readdress(uint8_t *reply, const uint8_t *query, size_t question_len);
/* Lowers the TTL at this offset, which is larger than seconds. */
void dns_age(uint8_t *msg, size_t ttl_at, uint32_t seconds);
/* Writes the question of a query in lower case. */
void dns_question_lower(uint8_t *ret, const uint8_t *query, size_t question_len);

uint16_t dns_id(const uint8_t *msg);
void dns_set_id(uint8_t *msg, uint16_t id);

/*
 * Is msg the reply to query, whose question takes question_len bytes? Its rcode, or -EBADMSG. The
 * id and the question must be the same (case apart); an error may come without the question, as
 * there is nothing in it that could be taken for an answer.
 */
int dns_check_reply(const uint8_t *msg, size_t len, const uint8_t *query, size_t question_len);
/* Cuts a checked reply down to its header and question and marks it truncated. Its new length. */
size_t dns_reply_cut(uint8_t *msg, size_t question_len);

#endif
