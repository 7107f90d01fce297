/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The format of DNS messages, with ldns as the oracle. No sockets, no root. */
#include "dns_fixture.h"

#include "base/str.h"

/* Reads a copy that ends where the message ends, so that a sanitizer sees what reads beyond. */
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

/* The same for a reply. */
static int read_reply(struct dns_records *ret, const uint8_t *msg, size_t len, size_t question_len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, msg, len);
	rc = dns_read_reply(ret, copy, len, question_len);
	free(copy);
	return rc;
}

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
		{ BYTES(HDR("\1\0", "\0\1\0\1\0\0\0\0") Q_A OPT("\0")),
		  DNS_FORMERR }, /* an answer */
		{ BYTES(HDR("\1\0", "\0\1\0\0\0\1\0\1") Q_A OPT("\0") OPT("\0")), DNS_FORMERR },
		/* names of records that point at themselves, ahead, into the header, and far off */
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\xc0\x13\0\1\0\1\0\0\0\0\0\0"), DNS_FORMERR },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\1b\xc0\x13\0\1\0\1\0\0\0\0\0\0"), DNS_FORMERR },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\xc0\x15\0\1\0\1\0\0\0\0\0\0"), DNS_FORMERR },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\xc0\x0b\0\1\0\1\0\0\0\0\0\0"), DNS_FORMERR },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\xff\xff\0\1\0\1\0\0\0\0\0\0"), DNS_FORMERR },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\xc0\x0c\0\1\0\1\0\0\0\0\0\0"), DNS_NOERROR },
		/* and of 64-byte labels, and of 256 bytes */
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\x40" L63 "x\0\0\1\0\1\0\0\0\0\0\0"),
		  DNS_FORMERR },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\x3f" L63 "\x3f" L63 "\x3f" L63 "\x3e" L61
						 "b\0\0\1\0\1\0\0\0\0\0\0"),
		  DNS_FORMERR },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\x3f" L63 "\x3f" L63 "\x3f" L63 "\x3d" L61
						 "\0\0\1\0\1\0\0\0\0\0\0"),
		  DNS_NOERROR },
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

/* What a query says besides its question. */
static void test_query_extras(void **state)
{
	static const struct {
		const uint8_t *msg;
		size_t len;
		const char
			*want; /* Recursion, Checking disabled, Authentic, Edns, Dnssec, Peculiar */
	} cases[] = {
		{ BYTES(HDR("\0\0", ONE) Q_A), "" },
		{ BYTES(HDR("\1\0", ONE) Q_A), "R" },
		{ BYTES(HDR("\0\x10", ONE) Q_A), "C" },
		{ BYTES(HDR("\0\x20", ONE) Q_A), "A" },
		{ BYTES(HDR("\6\xcf", ONE) Q_A), "" }, /* AA, TC, RA, Z and an rcode */
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A OPT("\0")), "RE" },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\0\0\x29\4\0\0\0\x80\0\0\0"), "RED" },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\0\0\x29\4\0\0\0\x7f\xff\0\0"), "RE" },
		/* options: a cookie; one and a client subnet; one that is longer than the record */
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\0\0\x29\4\0\0\0\0\0\0\5\0\x0a\0\1x"), "RE" },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\0\0\x29\4\0\0\0\0\0\0\x09\0\x0a\0\1x\0\x08\0\0"),
		  "REP" },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\0\0\x29\4\0\0\0\0\0\0\4\0\x0a\xff\xff"), "RE" },
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\0\0\x29\4\0\0\0\0\0\0\3\0\x08\0"), "RE" },
		/* a signature */
		{ BYTES(HDR("\1\0", ONE_ONE) Q_A "\1k\0\0\xfa\0\xff\0\0\0\0\0\0"), "RP" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dns_query q;
		char got[8];

		assert_int_equal(parse(&q, cases[i].msg, cases[i].len), DNS_NOERROR);
		snprintf(got, sizeof(got), "%s%s%s%s%s%s", q.recursion ? "R" : "",
			 q.checking_disabled ? "C" : "", q.authentic ? "A" : "", q.edns ? "E" : "",
			 q.dnssec_ok ? "D" : "", q.peculiar ? "P" : "");
		assert_string_equal(got, cases[i].want);
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
	static struct dns_records records;
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
		read_reply(&records, msg, len, 5);
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

#define REPLY(counts) HDR("\x81\x80", counts) Q_A
/* type A, class IN, a TTL, no data */
#define RR(name, ttl) name "\0\1\0\1" ttl "\0\0"
#define SOA(name, ttl, len, names, minimum) \
	name "\0\6\0\1" ttl "\0" len names "0123456789abcdef" minimum

static void test_hostile_replies(void **state)
{
	static const struct {
		const uint8_t *msg;
		size_t len;
		const char *want; /* NULL: it is malformed */
	} cases[] = {
		{ BYTES(REPLY("\0\1\0\0\0\0\0\0")), "0 ttls" },
		{ BYTES(REPLY("\0\1\0\1\0\0\0\0") RR("\xc0\x0c", "\0\0\1\0")),
		  "1 ttls, least 256, answered" },
		{ BYTES(REPLY("\0\1\0\0\0\1\0\0") RR("\xc0\x0c", "\0\0\1\0")),
		  "1 ttls, least 256" },
		{ BYTES(REPLY("\0\1\0\0\0\0\0\1") RR("\0", "\x7f\xff\xff\xff")),
		  "1 ttls, least 2147483647" },
		{ BYTES(REPLY("\0\1\0\0\0\0\0\1") RR("\0", "\x80\0\0\1")), "1 ttls, least 0" },
		{ BYTES(REPLY("\0\1\0\0\0\2\0\0") RR("\0", "\0\0\0\2") RR("\0", "\0\0\0\3")),
		  "2 ttls, least 2" },
		/* counts that lie */
		{ BYTES(REPLY("\0\0\0\0\0\0\0\0")), NULL },
		{ BYTES(REPLY("\0\2\0\0\0\0\0\0")), NULL },
		{ BYTES(REPLY("\0\2\0\0\0\0\0\0") Q_A), NULL },
		{ BYTES(REPLY("\0\1\0\1\0\0\0\0")), NULL },
		{ BYTES(REPLY("\0\1\0\0\0\0\0\0") RR("\0", "\0\0\0\2")), NULL },
		{ BYTES(REPLY("\0\1\xff\xff\xff\xff\xff\xff") RR("\0", "\0\0\0\2")), NULL },
		{ BYTES(REPLY("\0\1\0\0\0\0\0\0") "\0"), NULL },
		/* data beyond the end */
		{ BYTES(REPLY("\0\1\0\1\0\0\0\0") "\0\0\1\0\1\0\0\0\1\0\1"), NULL },
		{ BYTES(REPLY("\0\1\0\1\0\0\0\0") "\0\0\1\0\1\0\0\0\1\xff\xff"), NULL },
		/* names */
		{ BYTES(REPLY("\0\1\0\1\0\0\0\0") RR("\xc0\x13", "\0\0\0\2")), NULL },
		{ BYTES(REPLY("\0\1\0\1\0\0\0\0") RR("\1a\xc0\x13", "\0\0\0\2")), NULL },
		{ BYTES(REPLY("\0\1\0\1\0\0\0\0") RR("\xc0\0", "\0\0\0\2")), NULL },
		{ BYTES(REPLY("\0\1\0\1\0\0\0\0") RR("\x80\0", "\0\0\0\2")), NULL },
		{ BYTES(REPLY("\0\1\0\1\0\0\0\0") RR("\x40" L63 "x\0", "\0\0\0\2")), NULL },
		{ BYTES(REPLY("\0\1\0\1\0\0\0\0") "\xc0"), NULL },
		{ BYTES(REPLY("\0\1\0\1\0\0\0\0") "\5abc"), NULL },
		/* the SOA */
		{ BYTES(REPLY("\0\1\0\0\0\1\0\0")
				SOA("\0", "\0\0\0\x09", "\x16", "\0\0", "\0\0\0\7")),
		  "1 ttls, least 9, nothing for 7" },
		{ BYTES(REPLY("\0\1\0\0\0\1\0\0")
				SOA("\0", "\0\0\0\7", "\x1a", "\1x\0\1y\0", "\0\0\0\x09")),
		  "1 ttls, least 7, nothing for 7" },
		{ BYTES(REPLY("\0\1\0\0\0\1\0\0")
				SOA("\0", "\0\0\0\7", "\x18", "\xc0\x0c\xc0\x0c", "\x80\0\0\x09")),
		  "1 ttls, least 7, nothing for 0" },
		{ BYTES(REPLY("\0\1\0\1\0\0\0\0")
				SOA("\0", "\0\0\0\x09", "\x16", "\0\0", "\0\0\0\7")),
		  "1 ttls, least 9" },
		{ BYTES(REPLY("\0\1\0\0\0\1\0\0")
				SOA("\0", "\0\0\0\x09", "\x15", "\0", "\0\0\0\7")),
		  NULL },
		{ BYTES(REPLY("\0\1\0\0\0\1\0\0")
				SOA("\0", "\0\0\0\x09", "\x17", "\0\0\0", "\0\0\0\7")),
		  NULL },
		{ BYTES(REPLY("\0\1\0\0\0\1\0\0")
				SOA("\0", "\0\0\0\x09", "\x16", "\x3f\0", "\0\0\0\7")),
		  NULL },
		{ BYTES(REPLY("\0\1\0\0\0\1\0\0") "\0\0\6\0\1\0\0\0\1\0\0"), NULL },
		/* the OPT: its TTL is none */
		{ BYTES(REPLY("\0\1\0\0\0\0\0\1") OPT("\0")), "0 ttls, edns" },
		{ BYTES(REPLY("\0\1\0\0\0\0\0\1") "\0\0\x29\4\0\0\0\0\0\0\1x"),
		  "0 ttls, edns, 1 more" },
		{ BYTES(REPLY("\0\1\0\0\0\0\0\2") OPT("\0") RR("\0", "\0\0\0\2")),
		  "1 ttls, least 2, edns, not last" },
		{ BYTES(REPLY("\0\1\0\0\0\0\0\1") "\0\0\x29\4\0\1\0\0\0\0\0"),
		  "rcode 16, 0 ttls, edns" },
		{ BYTES(REPLY("\0\1\0\0\0\0\0\2") OPT("\0") OPT("\0")), NULL },
		{ BYTES(REPLY("\0\1\0\0\0\1\0\0") OPT("\0")), NULL },
		{ BYTES(REPLY("\0\1\0\0\0\0\0\1") "\1x" OPT("\0")), NULL },
		{ BYTES(HDR("\x83\x83", "\0\1\0\0\0\0\0\0") Q_A), "rcode 3, truncated, 0 ttls" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		static struct dns_records r;
		char got[160], ttl[32], nothing[32], more[32];

		if (read_reply(&r, cases[i].msg, cases[i].len, 7) < 0) {
			if (cases[i].want)
				fail_msg("case %zu: malformed, not %s", i, cases[i].want);
			continue;
		}
		snprintf(ttl, sizeof(ttl), ", least %u", r.ttl);
		snprintf(nothing, sizeof(nothing), ", nothing for %u", r.negative_ttl);
		snprintf(more, sizeof(more), ", %zu more", cases[i].len - r.bare_len);
		snprintf(got, sizeof(got), "%s%s%zu ttls%s%s%s%s%s",
			 r.rcode == 3    ? "rcode 3, "
			 : r.rcode == 16 ? "rcode 16, "
					 : "",
			 r.truncated ? "truncated, " : "", r.n_ttls, r.n_ttls ? ttl : "",
			 r.answered ? ", answered" : "", r.negative_known ? nothing : "",
			 r.edns ? ", edns" : "",
			 !r.bare_len                 ? ", not last"
			 : r.bare_len < cases[i].len ? more
						     : "");
		if (!cases[i].want || !streq(got, cases[i].want))
			fail_msg("case %zu: %s, not %s", i, got, cases[i].want);
	}
}

/* Records of all kinds, as ldns writes them: their TTLs are where ldns reads them. */
static void test_ttls(void **state)
{
	static const char *const texts[] = {
		"www.example.org. 0 IN A 10.0.0.1",
		"www.example.org. 1 IN AAAA fd00::1",
		"example.org. 2 IN NS ns.example.org.",
		"www.example.org. 3 IN CNAME a.b.c.example.org.",
		"example.org. 4 IN MX 10 mx.example.org.",
		"www.example.org. 5 IN TXT \"a\" \"\" \"bc\"",
		"_x._tcp.example.org. 6 IN SRV 1 2 3 www.example.org.",
		"example.org. 7 IN SOA a. b. 1 2 3 4 5",
		"1.0.0.10.in-addr.arpa. 8 IN PTR www.example.org.",
		"www.example.org. 9 IN NSEC x.example.org. A AAAA",
		"example.org. 86400 IN CAA 0 issue \"ca.example.org\"",
		"example.org. 10 IN TYPE65280 \\# 3 c00c00",
		". 2147483647 IN NS a.",
	};

	for (uint32_t seed = 1; seed < 2000; seed++) {
		ldns_pkt *pkt = ldns_pkt_query_new(ldns_dname_new_frm_str("www.example.org."),
						   LDNS_RR_TYPE_A, LDNS_RR_CLASS_IN, LDNS_RD);
		uint32_t rng = seed * 2654435761u, least = UINT32_MAX;
		static struct dns_records r;
		ldns_rr_list *all;
		uint8_t *msg;
		size_t len;

		ldns_pkt_set_qr(pkt, true);
		for (unsigned n = rng >> 28; n; n--) {
			ldns_rr *rr;

			rng = rng * 1664525 + 1013904223;
			assert_int_equal(ldns_rr_new_frm_str(&rr, texts[(rng >> 16) % COUNT(texts)],
							     0, NULL, NULL),
					 LDNS_STATUS_OK);
			ldns_pkt_push_rr(pkt, (ldns_pkt_section)(1 + (rng >> 8) % 3), rr);
		}
		if (seed % 2)
			ldns_pkt_set_edns_udp_size(pkt, 1232);
		assert_int_equal(ldns_pkt2wire(&msg, pkt, &len), LDNS_STATUS_OK);
		assert_int_equal(read_reply(&r, msg, len, 21), 0);
		all = ldns_pkt_all_noquestion(pkt);
		assert_int_equal(r.n_ttls, ldns_rr_list_rr_count(all));
		for (size_t i = 0; i < r.n_ttls; i++) {
			uint32_t ttl = ldns_rr_ttl(ldns_rr_list_rr(all, i));

			assert_int_equal(ldns_read_uint32(msg + r.ttl_at[i]), ttl);
			least = ttl < least ? ttl : least;
		}
		assert_int_equal(r.ttl, least);
		assert_int_equal(r.edns, seed % 2);
		assert_int_equal(r.bare_len, len);
		ldns_rr_list_deep_free(all);
		ldns_pkt_free(pkt);
		free(msg);
	}
}

static void test_readdress(void **state)
{
	static const char query[] = "\x56\x78\1\x10" ONE "\1B\3Con\0\0\1A\1";
	static const char reply[] = "\x12\x34\x84\x83" ONE "\1b\3con\0\0\1A\1more";
	static const char want[] = "\x56\x78\x81\x93" ONE "\1B\3Con\0\0\1A\1more";
	uint8_t msg[sizeof(reply)], lower[DNS_QUESTION_MAX];

	memcpy(msg, reply, sizeof(reply));
	dns_readdress(msg, (const uint8_t *)query, sizeof(query) - 1 - DNS_HEADER);
	assert_memory_equal(msg, want, sizeof(want));
	/* The type and the class are no letters. */
	dns_question_lower(lower, (const uint8_t *)query, sizeof(query) - 1 - DNS_HEADER);
	assert_memory_equal(lower, reply + DNS_HEADER, sizeof(query) - 1 - DNS_HEADER);
	memcpy(msg, "\1\0\0\0", 4);
	dns_age(msg, 0, 1);
	assert_memory_equal(msg, "\0\xff\xff\xff", 4);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query),           cmocka_unit_test(test_hostile_queries),
		cmocka_unit_test(test_query_extras),    cmocka_unit_test(test_changed_queries),
		cmocka_unit_test(test_random_bytes),    cmocka_unit_test(test_upstream_reply),
		cmocka_unit_test(test_hostile_replies), cmocka_unit_test(test_ttls),
		cmocka_unit_test(test_readdress),       cmocka_unit_test(test_name_encode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
