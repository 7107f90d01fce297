/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The resolver's pure parts: the message format, with ldns as the oracle; the names and who sees
 * them; the replies; the files. No sockets, no root.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ldns/ldns.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "resolver/answer.h"
#include "resolver/files.h"
#include "resolver/resolv_conf.h"
#include "resolver/zone.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define N10 "0123456789"
#define L63 N10 N10 N10 N10 N10 N10 "abc"
#define L61 N10 N10 N10 N10 N10 N10 "a"
/* 3 * 64 + 62 + 1 = 255 bytes on the wire */
#define LONGEST L63 "." L63 "." L63 "." L61

/* ------------------------------------------------------------------------------- helpers */

/* A query as ldns writes it. size 0: no EDNS. */
static size_t query_make(uint8_t buf[DNS_UDP_MAX], const char *name, unsigned type, unsigned size)
{
	ldns_rdf *rdf = ldns_dname_new_frm_str(name);
	ldns_pkt *pkt;
	uint8_t *wire;
	size_t len;

	assert_non_null(rdf);
	pkt = ldns_pkt_query_new(rdf, (ldns_rr_type)type, LDNS_RR_CLASS_IN, LDNS_RD);
	ldns_pkt_set_id(pkt, 0x1234);
	if (size) {
		ldns_pkt_set_edns_udp_size(pkt, (uint16_t)size);
		ldns_pkt_set_edns_do(pkt, true);
	}
	assert_int_equal(ldns_pkt2wire(&wire, pkt, &len), LDNS_STATUS_OK);
	assert_true(len <= DNS_UDP_MAX);
	memcpy(buf, wire, len);
	free(wire);
	ldns_pkt_free(pkt);
	return len;
}

/* Parses a copy that ends where the message ends, so that a sanitizer sees what reads beyond. */
static int parse(struct dns_query *q, const uint8_t *msg, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, msg, len);
	rc = dns_parse_query(q, copy, len);
	free(copy);
	return rc;
}

static struct cnm_ip ip_of(const char *s)
{
	struct cnm_ip ip = { 0 };

	if (*s)
		assert_int_equal(ip_parse(&ip, s), 0);
	return ip;
}

/* names: separated by spaces */
static void put(struct zone *z, const char *network, const char *endpoint, const char *names,
		const char *ip4, const char *ip6)
{
	char copy[512], network_id[64], *save = NULL;
	const char *list[16];
	struct resolver_names n = { .network_id = network_id,
				    .network_name = network,
				    .endpoint_id = endpoint,
				    .names = list,
				    .ip4 = ip_of(ip4),
				    .ip6 = ip_of(ip6) };
	struct zone_endpoint *e;

	snprintf(network_id, sizeof(network_id), "id-%s", network);
	assert_true(str_copy(copy, sizeof(copy), names));
	for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save))
		list[n.n_names++] = s;
	e = zone_endpoint_new(&n);
	assert_non_null(e);
	zone_put_endpoint(z, e);
}

static struct zone_view *view_of(struct zone *z, bool forward, size_t n,
				 const char *const *networks)
{
	struct resolver_sandbox sb = {
		.id = "sb", .network_ids = networks, .n_networks = n, .forward = forward
	};
	struct zone_view *v = zone_view_new(&sb);

	assert_non_null(v);
	zone_enter_view(z, v);
	return v;
}
#define VIEW(z, ...)                                                     \
	view_of(z, false, COUNT(((const char *const[]){ __VA_ARGS__ })), \
		(const char *const[]){ __VA_ARGS__ })

static uint64_t shuffle = 1;

/* The reply by TCP (or, with udp, by UDP), as ldns reads it; NULL if it is to be forwarded. */
static ldns_pkt *ask_raw(const struct zone *z, const struct zone_view *v, const uint8_t *msg,
			 size_t len, bool udp)
{
	static uint8_t buf[DNS_TCP_MAX];
	struct dns_query q;
	ldns_pkt *pkt;
	size_t n = 0;
	enum answer a = answer_query(z, v, &shuffle, msg, len, &q, buf,
				     udp ? DNS_UDP_MAX : DNS_TCP_MAX, &n);

	if (a != ANSWER_REPLY)
		return NULL;
	if (udp)
		assert_true(n <= q.size && n <= DNS_UDP_MAX);
	assert_int_equal(ldns_wire2pkt(&pkt, buf, n), LDNS_STATUS_OK);
	assert_true(ldns_pkt_qr(pkt));
	assert_true(ldns_pkt_ra(pkt));
	assert_int_equal(ldns_pkt_id(pkt), 0x1234);
	return pkt;
}

static ldns_pkt *ask(const struct zone *z, const struct zone_view *v, const char *name,
		     unsigned type)
{
	uint8_t msg[DNS_UDP_MAX];

	return ask_raw(z, v, msg, query_make(msg, name, type, 0), false);
}

/* The answers in order, each followed by a space; or the rcode; or "forward". */
static const char *asked(const struct zone *z, const struct zone_view *v, const char *name,
			 unsigned type)
{
	static char text[4096];
	ldns_pkt *pkt = ask(z, v, name, type);
	size_t n = 0;

	if (!pkt)
		return "forward";
	text[0] = '\0';
	if (ldns_pkt_get_rcode(pkt) == LDNS_RCODE_SERVFAIL)
		str_copy(text, sizeof(text), "servfail");
	else
		assert_int_equal(ldns_pkt_get_rcode(pkt), LDNS_RCODE_NOERROR);
	for (size_t i = 0; i < ldns_pkt_ancount(pkt); i++) {
		ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_answer(pkt), i);
		char *s = ldns_rdf2str(ldns_rr_rdf(rr, 0));
		char *owner = ldns_rdf2str(ldns_rr_owner(rr));

		assert_int_equal(ldns_rr_get_type(rr), type);
		assert_int_equal(ldns_rr_ttl(rr), 5);
		assert_int_equal(strncmp(owner, name, strlen(name)), 0);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s ", s);
		free(s);
		free(owner);
	}
	ldns_pkt_free(pkt);
	return text;
}

enum { A = DNS_A, AAAA = DNS_AAAA, PTR = DNS_PTR, MX = 15, ANY = 255 };

/* ------------------------------------------------------------------------------- queries */

static void test_query(void **state)
{
	static const struct {
		const char *name, *want;
		unsigned type, size, want_size;
	} cases[] = {
		{ "con1.", "con1", A, 0, 512 },
		{ "CoN1.FrontEnd.", "con1.frontend", AAAA, 1232, 1232 },
		{ "x.", "x", MX, 100, 512 },
		{ ".", "", A, 4096, 4096 },
		{ L63 ".", L63, ANY, 65535, 65535 },
		{ LONGEST ".", LONGEST, A, 0, 512 },
		{ "a\\.b.c.", "", A, 0, 512 }, /* not the name a.b.c */
		{ "a\\000b.", "", A, 0, 512 },
		{ "a\\\\b\\255.", "a\\b\xff", A, 0, 512 },
	};
	uint8_t msg[DNS_UDP_MAX];
	struct dns_query q;

	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t len = query_make(msg, cases[i].name, cases[i].type, cases[i].size);

		assert_int_equal(parse(&q, msg, len), DNS_NOERROR);
		assert_int_equal(q.name_len, strlen(cases[i].want));
		assert_memory_equal(q.name, cases[i].want, q.name_len);
		assert_int_equal(q.type, cases[i].type);
		assert_int_equal(q.size, cases[i].want_size);
		assert_int_equal(q.edns, cases[i].size != 0);
		assert_int_equal(q.dnssec_ok, cases[i].size != 0);
		assert_int_equal(q.question_len, len - DNS_HEADER - (cases[i].size ? 11 : 0));
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(parse(&q, msg, cut),
					 cut < DNS_HEADER ? -EBADMSG : DNS_FORMERR);
	}
}

#define HDR(flags, counts) "\x12\x34" flags counts
#define ONE                "\0\1\0\0\0\0\0\0"
#define ONE_ONE            "\0\1\0\0\0\0\0\1"
#define OPT(version)       "\0\0\x29\x04\xd0\0" version "\0\0\0\0"
#define Q_A                "\1a\0\0\1\0\1"
#define BYTES(s)           (const uint8_t *)(s), sizeof(s) - 1

static void test_hostile_queries(void **state)
{
	static const struct {
		const uint8_t *msg;
		size_t len;
		int want;
	} cases[] = {
		{ BYTES(HDR("\1\0", ONE) Q_A), DNS_NOERROR },
		{ BYTES(HDR("\x81\0", ONE) Q_A), -EBADMSG },              /* a reply */
		{ BYTES(HDR("\xa9\0", ONE) Q_A), -EBADMSG },              /* with an opcode */
		{ BYTES(HDR("\x10\0", ONE) Q_A), DNS_NOTIMP },            /* STATUS */
		{ BYTES(HDR("\x28\0", "\0\0\0\0\0\0\0\0")), DNS_NOTIMP }, /* UPDATE */
		{ BYTES(HDR("\1\0", "\0\0\0\0\0\0\0\0")), DNS_FORMERR },  /* no question */
		{ BYTES(HDR("\1\0", "\0\2\0\0\0\0\0\0") Q_A Q_A), DNS_FORMERR },
		{ BYTES(HDR("\1\0", "\xff\xff\0\0\0\0\0\0") Q_A), DNS_FORMERR },
		{ BYTES(HDR("\1\0", ONE) "\1a\0\0\1\0\3"), DNS_REFUSED },       /* CHAOS */
		{ BYTES(HDR("\1\0", ONE) "\1a\0\0\1\0\xff"), DNS_REFUSED },     /* class ANY */
		{ BYTES(HDR("\1\0", ONE) "\xc0\x0c\0\1\0\1"), DNS_FORMERR },    /* at itself */
		{ BYTES(HDR("\1\0", ONE) "\1a\xc0\x0c\0\1\0\1"), DNS_FORMERR }, /* a loop */
		{ BYTES(HDR("\1\0", ONE) "\xc0\x00\0\1\0\1"), DNS_FORMERR },    /* at the header */
		{ BYTES(HDR("\1\0", ONE) "\1a\xff\xff\0\1\0\1"), DNS_FORMERR }, /* far off */
		{ BYTES(HDR("\1\0", ONE) "\x40" L63 "x\0\0\1\0\1"), DNS_FORMERR }, /* 64 */
		{ BYTES(HDR("\1\0", ONE) "\x80" L63 "\0\0\1\0\1"), DNS_FORMERR },
		{ BYTES(HDR("\1\0", ONE) "\x3f" L63 "\x3f" L63 "\x3f" L63 "\x3e" L61 "b\0\0\1\0\1"),
		  DNS_FORMERR }, /* 256 bytes */
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A OPT("\0")), DNS_NOERROR },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A OPT("\1")), DNS_BADVERS },
		{ BYTES(HDR("\1\0", "\0\1\0\0\0\0\0\2") Q_A OPT("\0") OPT("\0")), DNS_FORMERR },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\1a\0\0\x29\4\0\0\0\0\0\0\0"), DNS_FORMERR },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\xc0\x0c\0\x29\4\0\0\0\0\0\0\0"), DNS_FORMERR },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\0\0\x29\4\0\0\0\0\0\0\1"), DNS_FORMERR },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\xc0"), DNS_FORMERR },
		{ BYTES(HDR("\1\0", "\0\1\xff\xff\xff\xff\xff\xff") Q_A OPT("\0")), DNS_FORMERR },
		/* another record, with a name that points, and then the OPT */
		{ BYTES(HDR("\1\0", "\0\1\0\1\0\0\0\1") Q_A
			"\1b\xc0\x0c\0\1\0\1\0\0\0\0\0\4abcd" OPT("\0")),
		  DNS_NOERROR },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint8_t buf[DNS_UDP_MIN];
		struct dns_query q;
		ldns_pkt *pkt;
		int rc = parse(&q, cases[i].msg, cases[i].len);
		size_t len;

		if (rc != cases[i].want)
			fail_msg("case %zu: %d, not %d", i, rc, cases[i].want);
		if (rc < 0)
			continue;
		/* Whatever it was, a reply to it can be written and read. */
		len = dns_reply_empty(buf, cases[i].msg, &q, (enum dns_rcode)rc);
		assert_int_equal(ldns_wire2pkt(&pkt, buf, len), LDNS_STATUS_OK);
		assert_int_equal(ldns_pkt_get_rcode(pkt), rc & 15);
		assert_int_equal(ldns_pkt_edns_extended_rcode(pkt), rc >> 4);
		assert_true(ldns_pkt_qr(pkt));
		assert_int_equal(ldns_pkt_qdcount(pkt), q.question_len ? 1 : 0);
		ldns_pkt_free(pkt);
	}
}

/* A byte of a good query changed: what is still taken, ldns reads the same way. */
static void test_changed_queries(void **state)
{
	uint8_t msg[DNS_UDP_MAX];
	size_t len = query_make(msg, "con1.FrontEnd.example.", A, 1232), taken = 0;

	for (size_t at = 0; at < len; at++) {
		uint8_t was = msg[at];

		for (unsigned v = 0; v < 256; v++) {
			struct dns_query q;
			ldns_pkt *pkt;
			ldns_rr *rr;

			msg[at] = (uint8_t)v;
			if (parse(&q, msg, len) != DNS_NOERROR)
				continue;
			taken++;
			if (ldns_wire2pkt(&pkt, msg, len) != LDNS_STATUS_OK)
				continue;
			assert_int_equal(ldns_pkt_qdcount(pkt), 1);
			rr = ldns_rr_list_rr(ldns_pkt_question(pkt), 0);
			assert_int_equal(ldns_rr_get_type(rr), q.type);
			assert_int_equal(ldns_rr_get_class(rr), LDNS_RR_CLASS_IN);
			assert_int_equal(ldns_rdf_size(ldns_rr_owner(rr)) + 4, q.question_len);
			ldns_pkt_free(pkt);
		}
		msg[at] = was;
	}
	assert_true(taken > len * 50);
}

static void test_random_bytes(void **state)
{
	uint64_t rng = 42;
	uint8_t msg[600];

	for (unsigned i = 0; i < 200000; i++) {
		struct dns_query q;
		size_t len = 0;

		for (; len < 12 + i % 100; len++) {
			rng = rng * 6364136223846793005u + 1442695040888963407u;
			msg[len] = (uint8_t)(rng >> 56);
		}
		if (i % 2) {
			memcpy(msg + 2, "\1\0\0\1\0\0\0\0", 8);
			msg[10] = 0;
		}
		parse(&q, msg, len);
		dns_check_reply(msg, len, msg, 5);
	}
}

/* ------------------------------------------------------------------------------- replies */

static void test_upstream_reply(void **state)
{
	uint8_t query[DNS_UDP_MAX], msg[DNS_UDP_MAX];
	size_t len = query_make(query, "Example.org.", A, 1232), qlen = len - 11 - DNS_HEADER;

	memcpy(msg, query, len);
	assert_int_equal(dns_check_reply(msg, len, query, qlen), -EBADMSG); /* a query */
	msg[2] |= 0x80;
	assert_int_equal(dns_check_reply(msg, len, query, qlen), DNS_NOERROR);
	msg[3] |= DNS_NXDOMAIN;
	assert_int_equal(dns_check_reply(msg, len, query, qlen), DNS_NXDOMAIN);
	msg[13] ^= 0x20; /* e */
	assert_int_equal(dns_check_reply(msg, len, query, qlen), DNS_NXDOMAIN);
	msg[13] ^= 0x01; /* d */
	assert_int_equal(dns_check_reply(msg, len, query, qlen), -EBADMSG);
	msg[13] ^= 0x01;
	msg[DNS_HEADER + qlen - 3] ^= 0x20; /* another type */
	assert_int_equal(dns_check_reply(msg, len, query, qlen), -EBADMSG);
	msg[DNS_HEADER + qlen - 3] ^= 0x20;
	msg[1]++; /* another id */
	assert_int_equal(dns_check_reply(msg, len, query, qlen), -EBADMSG);
	msg[1]--;
	msg[2] |= 0x08; /* an opcode */
	assert_int_equal(dns_check_reply(msg, len, query, qlen), -EBADMSG);
	msg[2] &= 0xf7;
	for (size_t cut = 0; cut < DNS_HEADER + qlen; cut++)
		assert_int_equal(dns_check_reply(msg, cut, query, qlen), -EBADMSG);
	msg[5] = 0; /* without the question: an error, but no NXDOMAIN */
	assert_int_equal(dns_check_reply(msg, DNS_HEADER, query, qlen), -EBADMSG);
	msg[3] = DNS_REFUSED;
	assert_int_equal(dns_check_reply(msg, DNS_HEADER, query, qlen), DNS_REFUSED);
	assert_int_equal(dns_reply_cut(msg, qlen), DNS_HEADER);
	msg[5] = 1;
	assert_int_equal(dns_reply_cut(msg, qlen), DNS_HEADER + qlen);
	assert_true(msg[2] & 2);
}

static void test_name_encode(void **state)
{
	static const char *const bad[] = { "", ".", "a.", ".a", "a..b", L63 "x", LONGEST "x" };
	uint8_t wire[DNS_NAME_MAX];

	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(dns_name_encode(wire, bad[i], strlen(bad[i])), 0);
	assert_int_equal(dns_name_encode(wire, LONGEST, strlen(LONGEST)), 255);
	assert_int_equal(dns_name_encode(wire, "Con1.net", 8), 10);
	assert_memory_equal(wire, "\4Con1\3net", 10);
}

/* ------------------------------------------------------------------------------- the zone */

static void test_names(void **state)
{
	struct zone z;
	struct zone_view *v;

	assert_int_equal(zone_init(&z), 0);
	put(&z, "front", "e1", "Web www.", "10.0.0.2", "fd00::2");
	put(&z, "front", "e2", "db web-2", "10.0.0.3", "");
	put(&z, "back", "e3", "web only6", "10.1.0.2", "");
	put(&z, "back", "e4", "only6b", "", "fd01::4");
	v = VIEW(&z, "id-front", "id-back", "id-nothing");

	assert_string_equal(asked(&z, v, "web.", A), "10.0.0.2 ");
	assert_string_equal(asked(&z, v, "WWW.", AAAA), "fd00::2 ");
	assert_string_equal(asked(&z, v, "db.", AAAA), "");
	assert_string_equal(asked(&z, v, "db.", MX), "");
	assert_string_equal(asked(&z, v, "db.", PTR), "");
	assert_string_equal(asked(&z, v, "db.", ANY), "");
	assert_string_equal(asked(&z, v, "only6b.", A), "");
	assert_string_equal(asked(&z, v, "only6b.", AAAA), "fd01::4 ");
	assert_string_equal(asked(&z, v, "web.back.", A), "10.1.0.2 ");
	assert_string_equal(asked(&z, v, "web.back.", AAAA), ""); /* not front's */
	assert_string_equal(asked(&z, v, "Web.FRONT.", A), "10.0.0.2 ");
	assert_string_equal(asked(&z, v, "web.nothing.", A), "servfail");
	assert_string_equal(asked(&z, v, "we.", A), "servfail");
	assert_string_equal(asked(&z, v, "webb.", A), "servfail");
	assert_string_equal(asked(&z, v, "front.", A), "servfail");
	assert_string_equal(asked(&z, v, ".", A), "servfail");
	v->forward = true;
	assert_string_equal(asked(&z, v, "webb.", A), "forward");
	assert_string_equal(asked(&z, v, ".", 2), "forward");
	assert_string_equal(asked(&z, v, "db.", AAAA), "");
	assert_string_equal(asked(&z, NULL, "db.", A), "servfail");
	zone_drop_view(&z, v);

	v = VIEW(&z, "id-back", "id-front");
	assert_string_equal(asked(&z, v, "web.", A), "10.1.0.2 ");
	zone_drop_view(&z, v);
	v = VIEW(&z, "id-back");
	assert_string_equal(asked(&z, v, "db.", A), "servfail");
	assert_string_equal(asked(&z, v, "web.front.", A), "servfail");
	zone_drop_view(&z, v);
	zone_destroy(&z);
}

/* Names and networks with dots: the whole first, then NAME.NETWORK from the last dot on. */
static void test_splits(void **state)
{
	struct zone z;
	struct zone_view *v;

	assert_int_equal(zone_init(&z), 0);
	put(&z, "c", "e1", "a.b", "10.0.0.1", "");
	put(&z, "b.c", "e2", "a", "10.0.0.2", "");
	put(&z, "d", "e3", "a.b.c", "10.0.0.3", "");
	v = VIEW(&z, "id-b.c", "id-c", "id-d");
	assert_string_equal(asked(&z, v, "a.b.c.", A), "10.0.0.3 ");
	zone_drop_endpoint(&z, "e3");
	assert_string_equal(asked(&z, v, "a.b.c.", A), "10.0.0.1 ");
	zone_drop_endpoint(&z, "e1");
	assert_string_equal(asked(&z, v, "A.B.C.", A), "10.0.0.2 ");
	zone_drop_endpoint(&z, "e2");
	assert_string_equal(asked(&z, v, "a.b.c.", A), "servfail");
	zone_drop_endpoint(&z, "e2");
	zone_drop_view(&z, v);
	assert_int_equal(z.networks.used, 0);
	zone_destroy(&z);
}

static void test_pointers(void **state)
{
	struct zone z;
	struct zone_view *v;

	assert_int_equal(zone_init(&z), 0);
	put(&z, "front", "e1", "Web www", "10.0.0.2", "fd00::a2");
	put(&z, "back", "e2", "web", "10.1.0.2", "");
	put(&z, "back", "e3", L63 "x", "10.1.0.3", "");
	v = VIEW(&z, "id-front");
	assert_string_equal(asked(&z, v, "2.0.0.10.in-addr.arpa.", PTR), "Web.front. ");
	assert_string_equal(asked(&z, v, "2.0.0.10.IN-ADDR.arpa.", PTR), "Web.front. ");
	assert_string_equal(asked(&z, v, "2.0.0.10.in-addr.arpa.", A), "");
	assert_string_equal(asked(&z, v,
				  "2.A.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
				  "d.f.ip6.arpa.",
				  PTR),
			    "Web.front. ");
	assert_string_equal(asked(&z, v, "2.0.1.10.in-addr.arpa.", PTR), "servfail");
	assert_string_equal(asked(&z, v, "02.0.0.10.in-addr.arpa.", PTR), "servfail");
	assert_string_equal(asked(&z, v, "2.0.0.0.10.in-addr.arpa.", PTR), "servfail");
	assert_string_equal(asked(&z, v, "0.0.10.in-addr.arpa.", PTR), "servfail");
	assert_string_equal(asked(&z, v, "258.0.0.10.in-addr.arpa.", PTR), "servfail");
	assert_string_equal(asked(&z, v, "2.0.0.0010.in-addr.arpa.", PTR), "servfail");
	assert_string_equal(asked(&z, v, "in-addr.arpa.", PTR), "servfail");
	assert_string_equal(asked(&z, v, "2.a.ip6.arpa.", PTR), "servfail");
	zone_drop_view(&z, v);
	v = VIEW(&z, "id-back");
	assert_string_equal(asked(&z, v, "2.0.1.10.in-addr.arpa.", PTR), "web.back. ");
	/* known, but what it is called cannot be said */
	assert_string_equal(asked(&z, v, "3.0.1.10.in-addr.arpa.", PTR), "");
	zone_drop_view(&z, v);
	zone_destroy(&z);
}

static void test_replace(void **state)
{
	struct zone z;
	struct zone_view *v;

	assert_int_equal(zone_init(&z), 0);
	v = VIEW(&z, "id-front", "id-back", "id-later");
	put(&z, "front", "e1", "a b a B.", "10.0.0.2", "");
	assert_string_equal(asked(&z, v, "b.", A), "10.0.0.2 ");
	put(&z, "front", "e1", "b c", "10.0.0.9", "");
	assert_string_equal(asked(&z, v, "a.", A), "servfail");
	assert_string_equal(asked(&z, v, "b.", A), "10.0.0.9 ");
	assert_string_equal(asked(&z, v, "2.0.0.10.in-addr.arpa.", PTR), "servfail");
	assert_string_equal(asked(&z, v, "9.0.0.10.in-addr.arpa.", PTR), "b.front. ");
	put(&z, "back", "e1", "b", "10.1.0.9", "");
	assert_string_equal(asked(&z, v, "b.", A), "10.1.0.9 ");
	assert_string_equal(asked(&z, v, "b.front.", A), "servfail");
	put(&z, "back", "e1", "", "10.1.0.9", "");
	assert_string_equal(asked(&z, v, "9.0.1.10.in-addr.arpa.", PTR), "servfail");
	zone_drop_endpoint(&z, "e1");
	assert_int_equal(z.names.used + z.ips[0].used + z.endpoints.used, 0);
	put(&z, "later", "e2", "late", "10.2.0.2", "");
	assert_string_equal(asked(&z, v, "late.later.", A), "10.2.0.2 ");
	zone_drop_view(&z, v);
	zone_destroy(&z);
}

/* ------------------------------------------------------------------------------- shared names */

static void put_shared(struct zone *z, unsigned n)
{
	char id[16], ip[IP_STR];

	for (unsigned i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "e%u", i);
		snprintf(ip, sizeof(ip), "10.0.%u.%u", i / 256, i % 256);
		put(z, "front", id, "app", ip, "");
	}
}

static void test_shared_name(void **state)
{
	unsigned first[3] = { 0 };
	struct zone z;
	struct zone_view *v;

	assert_int_equal(zone_init(&z), 0);
	put_shared(&z, 3);
	v = VIEW(&z, "id-front");
	for (unsigned i = 0; i < 3000; i++) {
		const char *s = asked(&z, v, "app.", A);
		unsigned a, b, c;

		assert_int_equal(sscanf(s, "10.0.0.%u 10.0.0.%u 10.0.0.%u ", &a, &b, &c), 3);
		assert_int_equal(1 << a | 1 << b | 1 << c, 7);
		first[a]++;
	}
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(first[i], 800, 1200);
	zone_drop_view(&z, v);
	zone_destroy(&z);
}

/* Within the size the client takes: as many as fit, and the mark that there are more. */
static void test_truncation(void **state)
{
	static const struct {
		unsigned edns, want;
		bool tc;
	} cases[] = {
		{ 0, (512 - 12 - 9) / 16, true },
		{ 100, (512 - 12 - 9 - 11) / 16, true },
		{ 1232, (1232 - 12 - 9 - 11) / 16, true },
		{ 65535, (4096 - 12 - 9 - 11) / 16, true },
	};
	uint8_t msg[DNS_UDP_MAX];
	struct zone z;
	struct zone_view *v;
	ldns_pkt *pkt;

	assert_int_equal(zone_init(&z), 0);
	put_shared(&z, 300);
	v = VIEW(&z, "id-front");
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t len = query_make(msg, "app.", A, cases[i].edns);

		pkt = ask_raw(&z, v, msg, len, true);
		assert_int_equal(ldns_pkt_ancount(pkt), cases[i].want);
		assert_int_equal(ldns_pkt_tc(pkt), cases[i].tc);
		if (cases[i].edns) {
			assert_int_equal(ldns_pkt_edns_udp_size(pkt), DNS_UDP_MAX);
			assert_true(ldns_pkt_edns_do(pkt));
		}
		ldns_pkt_free(pkt);
	}
	pkt = ask(&z, v, "app.", A);
	assert_int_equal(ldns_pkt_ancount(pkt), 300);
	assert_false(ldns_pkt_tc(pkt));
	ldns_pkt_free(pkt);
	put_shared(&z, 5000);
	pkt = ask(&z, v, "app.", A);
	assert_int_equal(ldns_pkt_ancount(pkt), (65535 - 12 - 9) / 16);
	assert_true(ldns_pkt_tc(pkt));
	ldns_pkt_free(pkt);
	zone_drop_view(&z, v);
	zone_destroy(&z);
}

static void test_10000_names(void **state)
{
	char id[32], names[64], ip[IP_STR], name[64], want[64];
	struct zone z;
	struct zone_view *v;

	assert_int_equal(zone_init(&z), 0);
	v = VIEW(&z, "id-front");
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(id, sizeof(id), "e%u", i);
		snprintf(names, sizeof(names), "con%u", i);
		snprintf(ip, sizeof(ip), "10.0.%u.%u", i / 256, i % 256);
		put(&z, "front", id, names, ip, "");
	}
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "con%u.front.", i);
		snprintf(want, sizeof(want), "10.0.%u.%u ", i / 256, i % 256);
		assert_string_equal(asked(&z, v, name, A), want);
	}
	for (unsigned i = 0; i < 10000; i += 2) {
		snprintf(id, sizeof(id), "e%u", i);
		zone_drop_endpoint(&z, id);
	}
	assert_string_equal(asked(&z, v, "con5000.", A), "servfail");
	assert_string_equal(asked(&z, v, "con5001.", A), "10.0.19.137 ");
	assert_int_equal(z.names.used, 5000);
	zone_drop_view(&z, v);
	zone_destroy(&z);
}

/* ------------------------------------------------------------------------------- files */

static void test_resolv_conf_servers(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "" },
		{ "nameserver 10.0.0.1\n", "10.0.0.1% " },
		{ "nameserver\t10.0.0.1 trailing", "10.0.0.1% " },
		{ "  nameserver 10.0.0.1\r\n#nameserver 10.0.0.2\n;nameserver 10.0.0.3\n",
		  "10.0.0.1% " },
		{ "nameserver 127.0.0.11\nnameserver 127.0.0.53\n", "127.0.0.53% " },
		{ "nameserver fe80::1%eth0\nnameserver ::1\n", "fe80::1%eth0 ::1% " },
		{ "nameserver fe80::1%0123456789abcdef\nnameserver x\nnameserver\n"
		  "nameservers 1.2.3.4\nnameserver 1.2.3\n",
		  "" },
		{ "nameserver 10.0.0.1\nnameserver 127.0.0.11\nnameserver 10.0.0.2\nsearch x\n"
		  "nameserver 10.0.0.3\nnameserver 10.0.0.4\n",
		  "10.0.0.1% 10.0.0.2% 10.0.0.3% " },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct resolv_server servers[RESOLV_SERVERS_MAX];
		size_t n = resolv_conf_servers(cases[i].text, servers), at = 0;
		char got[256] = "", ip[IP_STR];

		for (size_t j = 0; j < n; j++)
			at += (size_t)snprintf(got + at, sizeof(got) - at, "%s%%%s ",
					       ip_format(&servers[j].ip, ip), servers[j].scope);
		assert_string_equal(got, cases[i].want);
	}
}

static void test_resolv_conf_files(void **state)
{
#define HEAD   "# Generated by cnm.\n"
#define OURS   HEAD "nameserver 127.0.0.11\n"
#define PUBLIC "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
	static const struct {
		enum files_mode mode;
		bool ipv6;
		const char *host, *want;
	} cases[] = {
		{ FILES_EMBEDDED, false, NULL, OURS "options ndots:0\n" },
		{ FILES_EMBEDDED, true,
		  "# comment\nnameserver 127.0.0.53\nsearch a.example  b.example \n"
		  "options edns0 trust-ad\nsortlist 10.0.0.0\n",
		  OURS "search a.example  b.example\noptions edns0 trust-ad ndots:0\n"
		       "sortlist 10.0.0.0\n" },
		{ FILES_EMBEDDED, false, "options ndots:2\ndomain x.example",
		  OURS "search x.example\noptions ndots:2\n" },
		{ FILES_EMBEDDED, false, "search a\nsearch .\noptions ndots:x rotate ndots:",
		  OURS "options rotate ndots:0\n" },
		{ FILES_LEGACY, false, "", HEAD PUBLIC },
		{ FILES_LEGACY, true, "nameserver 127.0.0.53\nnameserver ::1\n",
		  HEAD PUBLIC "nameserver 2001:4860:4860::8888\n"
			      "nameserver 2001:4860:4860::8844\n" },
		{ FILES_LEGACY, false,
		  "nameserver 10.0.0.1\nnameserver fd00::1\nnameserver 127.0.0.1\n"
		  "nameserver 10.0.0.2\noptions rotate\nsearch x\n",
		  HEAD "nameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch x\noptions rotate\n" },
		{ FILES_LEGACY, true, "nameserver fd00::1\n", HEAD "nameserver fd00::1\n" },
		{ FILES_HOST, false, "# mine\nnameserver 127.0.0.53\n",
		  "# mine\nnameserver 127.0.0.53\n" },
		{ FILES_HOST, false, NULL, "" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char *got = files_resolv_conf(cases[i].mode, cases[i].host, cases[i].ipv6);

		assert_non_null(got);
		assert_string_equal(got, cases[i].want);
		free(got);
	}
}

static void test_hosts(void **state)
{
	static const struct {
		const char *host, *domain, *want;
	} names[] = {
		{ "web", NULL, "web" },
		{ "web", "", "web" },
		{ "web", "example.org", "web.example.org web" },
		{ "web.example.org", "", "web.example.org web" },
		{ "web.a", "b", "web.a.b web" },
	};
	struct files_host_entry e[] = {
		{ ip_of("192.0.2.1"), "extra" },
		{ ip_of("10.0.0.2"), "web.example web" },
		{ ip_of("fd00::2"), "web.example web" },
		{ ip_of(""), "none" },
		{ ip_of("10.0.0.3"), "evil\n6.6.6.6\tbank" },
	};
	char *s;

	for (size_t i = 0; i < COUNT(names); i++) {
		s = files_host_names(names[i].host, names[i].domain);
		assert_string_equal(s, names[i].want);
		free(s);
	}
	s = files_hosts(e, COUNT(e), false);
	assert_string_equal(s, "127.0.0.1\tlocalhost\n192.0.2.1\textra\n"
			       "10.0.0.2\tweb.example web\nfd00::2\tweb.example web\n");
	free(s);
	s = files_hosts(NULL, 0, true);
	assert_string_equal(s, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
			       "fe00::\tip6-localnet\nff00::\tip6-mcastprefix\n"
			       "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_hostile_queries),
		cmocka_unit_test(test_changed_queries),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_upstream_reply),
		cmocka_unit_test(test_name_encode),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_splits),
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_shared_name),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_10000_names),
		cmocka_unit_test(test_resolv_conf_servers),
		cmocka_unit_test(test_resolv_conf_files),
		cmocka_unit_test(test_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
