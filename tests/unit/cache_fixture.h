/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What test_cache.c says to a cache of replies, and how it reads what the cache says. ldns writes
 * the messages and reads them.
 */
#ifndef TESTS_UNIT_CACHE_FIXTURE_H
#define TESTS_UNIT_CACHE_FIXTURE_H

#include "unit.h"

#include <ldns/ldns.h>
#include <stdio.h>
#include <string.h>

#include "resolver/cache.h"

#define S 1000000000ull
/* Any instant; the cache knows only differences. */
#define T0 (12345 * S + 678)

enum { A = 1, NS = 2, CNAME = 5, SOA = 6, TXT = 16, AAAA = 28, AXFR = 252, ANY = 255 };

/* How a query is asked. */
enum { EDNS = 1, DO = 2, CD = 4, AD = 8, NO_RD = 16 };

#define MAX_BYTES (1 << 20)

/* ------------------------------------------------------------------------------- messages */

struct message {
	size_t len;
	uint8_t data[DNS_TCP_MAX];
};

static void wire(struct message *ret, ldns_pkt *pkt)
{
	uint8_t *data;

	assert_int_equal(ldns_pkt2wire(&data, pkt, &ret->len), LDNS_STATUS_OK);
	assert_true(ret->len <= sizeof(ret->data));
	memcpy(ret->data, data, ret->len);
	free(data);
	ldns_pkt_free(pkt);
}

static void query_make(struct message *ret, const char *name, unsigned type, unsigned how,
		       uint16_t id)
{
	ldns_rdf *owner = ldns_dname_new_frm_str(name);
	ldns_pkt *pkt;

	assert_non_null(owner);
	pkt = ldns_pkt_query_new(owner, (ldns_rr_type)type, LDNS_RR_CLASS_IN,
				 how & NO_RD ? 0 : LDNS_RD);
	ldns_pkt_set_id(pkt, id);
	ldns_pkt_set_cd(pkt, how & CD);
	ldns_pkt_set_ad(pkt, how & AD);
	if (how & (EDNS | DO))
		ldns_pkt_set_edns_udp_size(pkt, 1232);
	if (how & DO)
		ldns_pkt_set_edns_do(pkt, true);
	wire(ret, pkt);
}

static ldns_rr *record(const char *text)
{
	ldns_rr *rr = NULL;

	if (ldns_rr_new_frm_str(&rr, text, 0, NULL, NULL) != LDNS_STATUS_OK)
		fail_msg("not a record: %s", text);
	return rr;
}

/*
 * The reply to a query: the rcode, and the records, each in a line that begins with its section:
 * "an", "ns", "ar".
 */
static void reply_make(struct message *ret, const struct message *query, unsigned rcode,
		       const char *records)
{
	ldns_pkt *pkt;
	char line[512];

	assert_int_equal(ldns_wire2pkt(&pkt, query->data, query->len), LDNS_STATUS_OK);
	ldns_pkt_set_qr(pkt, true);
	ldns_pkt_set_ra(pkt, true);
	ldns_pkt_set_aa(pkt, true);
	ldns_pkt_set_rcode(pkt, (uint8_t)rcode);
	while (*records) {
		size_t n = strcspn(records, "\n");
		ldns_pkt_section section = records[0] == 'n'   ? LDNS_SECTION_AUTHORITY
					   : records[1] == 'n' ? LDNS_SECTION_ANSWER
							       : LDNS_SECTION_ADDITIONAL;

		assert_true(n > 3 && n < sizeof(line));
		memcpy(line, records + 3, n - 3);
		line[n - 3] = '\0';
		ldns_pkt_push_rr(pkt, section, record(line));
		records += n + (records[n] == '\n');
	}
	wire(ret, pkt);
}

static void add_text(char *text, size_t size, const char *word)
{
	size_t n = strlen(text);

	snprintf(text + n, size - n, "%s%s", n && *word != '\n' ? " " : "", word);
}

static void add_records(char *text, size_t size, const char *section, const ldns_rr_list *list)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		char *s = ldns_rr2str(ldns_rr_list_rr(list, i)), line[512];

		s[strcspn(s, "\n")] = '\0';
		for (char *tab = s; (tab = strchr(tab, '\t'));)
			*tab = ' ';
		snprintf(line, sizeof(line), "\n%s %s", section, s);
		add_text(text, size, line);
		free(s);
	}
}

/* A reply as ldns reads it: rcode, flags, question, and the records a line each. */
static const char *text_of(const struct message *m)
{
	static char text[8192];
	ldns_pkt *pkt;
	char *s;

	if (ldns_wire2pkt(&pkt, m->data, m->len) != LDNS_STATUS_OK)
		return "malformed";
	s = ldns_pkt_rcode2str(ldns_pkt_get_rcode(pkt));
	snprintf(text, sizeof(text), "%s", s);
	free(s);
	assert_true(ldns_pkt_qr(pkt) && ldns_pkt_ra(pkt));
	if (ldns_pkt_aa(pkt))
		add_text(text, sizeof(text), "aa");
	if (ldns_pkt_tc(pkt))
		add_text(text, sizeof(text), "tc");
	if (ldns_pkt_rd(pkt))
		add_text(text, sizeof(text), "rd");
	if (ldns_pkt_edns(pkt))
		add_text(text, sizeof(text), ldns_pkt_edns_do(pkt) ? "edns do" : "edns");
	assert_int_equal(ldns_pkt_qdcount(pkt), 1);
	s = ldns_rdf2str(ldns_rr_owner(ldns_rr_list_rr(ldns_pkt_question(pkt), 0)));
	add_text(text, sizeof(text), s);
	free(s);
	add_records(text, sizeof(text), "an", ldns_pkt_answer(pkt));
	add_records(text, sizeof(text), "ns", ldns_pkt_authority(pkt));
	add_records(text, sizeof(text), "ar", ldns_pkt_additional(pkt));
	ldns_pkt_free(pkt);
	return text;
}

/* ------------------------------------------------------------------------------- the cache */

/* As read from exact copies, so that a sanitizer sees what is read beyond them. */
static void put(struct cache *c, uint64_t scope, const struct message *query,
		const struct message *reply, uint64_t now)
{
	uint8_t *q_copy = malloc(query->len), *copy = malloc(reply->len ? reply->len : 1);
	struct dns_query q;

	assert_non_null(q_copy);
	assert_non_null(copy);
	memcpy(q_copy, query->data, query->len);
	memcpy(copy, reply->data, reply->len);
	assert_int_equal(dns_parse_query(&q, q_copy, query->len), DNS_NOERROR);
	cache_put(c, scope, q_copy, &q, copy, reply->len, now);
	assert_memory_equal(copy, reply->data, reply->len);
	free(q_copy);
	free(copy);
}

/* What is said to a query, in room of just max bytes; false: nothing. */
static bool get_within(struct cache *c, uint64_t scope, const struct message *query, uint64_t now,
		       size_t max, struct message *ret)
{
	uint8_t *buf = malloc(max);
	struct dns_query q;
	bool found;

	assert_non_null(buf);
	assert_int_equal(dns_parse_query(&q, query->data, query->len), DNS_NOERROR);
	found = cache_get(c, scope, query->data, &q, now, buf, max, &ret->len);
	if (found) {
		assert_true(ret->len <= max);
		memcpy(ret->data, buf, ret->len);
		assert_int_equal(dns_id(ret->data), dns_id(query->data));
		assert_memory_equal(ret->data + DNS_HEADER, query->data + DNS_HEADER,
				    q.question_len);
	}
	free(buf);
	return found;
}

static bool get(struct cache *c, uint64_t scope, const struct message *query, uint64_t now,
		struct message *ret)
{
	return get_within(c, scope, query, now, DNS_TCP_MAX, ret);
}

/* A server said so in scope 1. */
static void said(struct cache *c, const char *name, unsigned type, unsigned how, unsigned rcode,
		 const char *records, uint64_t now)
{
	struct message query, reply;

	query_make(&query, name, type, how, 1);
	reply_make(&reply, &query, rcode, records);
	put(c, 1, &query, &reply, now);
}

/* What the cache says in scope 1, or "nothing". */
static const char *asked(struct cache *c, const char *name, unsigned type, unsigned how,
			 uint64_t now)
{
	static uint16_t id;
	struct message query, reply;

	query_make(&query, name, type, how, ++id);
	return get(c, 1, &query, now, &reply) ? text_of(&reply) : "nothing";
}

static struct cache *new_cache(size_t max_bytes)
{
	struct cache *c = cache_new(max_bytes);

	assert_non_null(c);
	return c;
}

static void empty_is_small(struct cache *c)
{
	struct cache *fresh = new_cache(MAX_BYTES);

	assert_int_equal(cache_entries(c), 0);
	assert_true(cache_bytes(c) >= cache_bytes(fresh));
	cache_free(fresh);
	cache_free(c);
}

#endif
