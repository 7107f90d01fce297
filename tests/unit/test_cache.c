/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cache of replies. ldns writes the queries and the replies that go in, and reads those that
 * come out. No sockets, no root, and time is a number.
 */
#include "cache_fixture.h"

/* ------------------------------------------------------------------------------- time */

#define CHAIN                                   \
	"an www.example. 300 IN CNAME a.cdn.\n" \
	"an a.cdn. 20 IN CNAME b.cdn.\n"        \
	"an b.cdn. 60 IN A 10.0.0.1\n"          \
	"an b.cdn. 60 IN A 10.0.0.2\n"          \
	"ns cdn. 86400 IN NS ns.cdn.\n"         \
	"ar ns.cdn. 3600 IN AAAA fd00::53"

static void test_ages(void **state)
{
	struct cache *c = new_cache(MAX_BYTES);

	said(c, "www.example.", A, 0, 0, CHAIN, T0);
	assert_string_equal(asked(c, "www.example.", A, 0, T0),
			    "NOERROR rd www.example.\n"
			    "an www.example. 300 IN CNAME a.cdn.\n"
			    "an a.cdn. 20 IN CNAME b.cdn.\n"
			    "an b.cdn. 60 IN A 10.0.0.1\n"
			    "an b.cdn. 60 IN A 10.0.0.2\n"
			    "ns cdn. 86400 IN NS ns.cdn.\n"
			    "ar ns.cdn. 3600 IN AAAA fd00::53");
	/* Whole seconds count. */
	assert_non_null(strstr(asked(c, "www.example.", A, 0, T0 + S - 1), " 20 IN CNAME"));
	assert_non_null(strstr(asked(c, "www.example.", A, 0, T0 + S), " 19 IN CNAME"));
	/* In its last nanosecond the smallest is still 1. */
	assert_string_equal(asked(c, "www.example.", A, 0, T0 + 20 * S - 1),
			    "NOERROR rd www.example.\n"
			    "an www.example. 281 IN CNAME a.cdn.\n"
			    "an a.cdn. 1 IN CNAME b.cdn.\n"
			    "an b.cdn. 41 IN A 10.0.0.1\n"
			    "an b.cdn. 41 IN A 10.0.0.2\n"
			    "ns cdn. 86381 IN NS ns.cdn.\n"
			    "ar ns.cdn. 3581 IN AAAA fd00::53");
	assert_int_equal(cache_entries(c), 1);
	assert_string_equal(asked(c, "www.example.", A, 0, T0 + 20 * S), "nothing");
	empty_is_small(c);
}

static void test_newer_reply(void **state)
{
	struct cache *c = new_cache(MAX_BYTES);

	said(c, "a.", A, 0, 0, "an a. 10 IN A 10.0.0.1", T0);
	said(c, "A.", A, 0, 0, "an a. 10 IN A 10.0.0.2", T0 + 5 * S);
	assert_int_equal(cache_entries(c), 1);
	assert_string_equal(asked(c, "a.", A, 0, T0 + 14 * S),
			    "NOERROR rd a.\nan a. 1 IN A 10.0.0.2");
	/* What is none to keep does not end what holds. */
	said(c, "a.", A, 0, 2, "", T0 + 6 * S);
	assert_string_equal(asked(c, "a.", A, 0, T0 + 14 * S),
			    "NOERROR rd a.\nan a. 1 IN A 10.0.0.2");
	assert_string_equal(asked(c, "a.", A, 0, T0 + 15 * S), "nothing");
	empty_is_small(c);
}

static void test_odd_ttls(void **state)
{
	static const struct {
		uint32_t ttl, kept;
	} cases[] = {
		{ 0, 0 },
		{ 1, 1 },
		{ CACHE_TTL_MAX - 1, CACHE_TTL_MAX - 1 },
		{ CACHE_TTL_MAX, CACHE_TTL_MAX },
		{ CACHE_TTL_MAX + 1, CACHE_TTL_MAX },
		{ INT32_MAX, CACHE_TTL_MAX },
		{ 0x80000000, 0 },
		{ 0x8000003c, 0 },
		{ UINT32_MAX, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cache *c = new_cache(MAX_BYTES);
		uint64_t end = T0 + cases[i].kept * S;
		struct message query, reply, out;
		char want[128];

		query_make(&query, "abc.", A, 0, 7);
		reply_make(&reply, &query, 0, "an abc. 1 IN A 10.0.0.1");
		for (unsigned b = 0; b < 4; b++)
			reply.data[query.len + 6 + b] = (uint8_t)(cases[i].ttl >> (24 - 8 * b));
		put(c, 1, &query, &reply, T0);
		assert_int_equal(cache_entries(c), cases[i].kept != 0);
		if (cases[i].kept) {
			snprintf(want, sizeof(want), "NOERROR rd abc.\nan abc. %u IN A 10.0.0.1",
				 cases[i].ttl - (cases[i].kept - 1));
			assert_true(get(c, 1, &query, end - 1, &out));
			assert_string_equal(text_of(&out), want);
		}
		assert_false(get(c, 1, &query, end, &out));
		cache_free(c);
	}
}

/* ------------------------------------------------------------------------------- what is kept */

#define SOA_OF(ttl, minimum) \
	"ns example. " #ttl " IN SOA ns.example. root.example. 1 7200 900 1209600 " #minimum

static void test_for_how_long(void **state)
{
	static const struct {
		unsigned type, rcode, seconds;
		const char *records;
	} cases[] = {
		/* nothing, for as long as the SOA says */
		{ A, 3, 60, SOA_OF(300, 60) },
		{ A, 3, 30, SOA_OF(30, 60) },
		{ A, 0, 60, SOA_OF(300, 60) },
		{ A, 3, 0, SOA_OF(300, 0) },
		{ A, 3, 0, SOA_OF(0, 300) },
		{ A, 3, 5, SOA_OF(300, 60) "\nns www.example. 5 IN NSEC x.example. A" },
		{ A, 3, 60, SOA_OF(300, 60) "\n" SOA_OF(300, 90) },
		{ A, 3, 60, SOA_OF(300, 90) "\n" SOA_OF(300, 60) },
		{ A, 3, 0, SOA_OF(300, 2147483648) },
		{ A, 0, CACHE_TTL_MAX, SOA_OF(2147483647, 2147483647) },
		/* it does not say */
		{ A, 3, 0, "" },
		{ A, 0, 0, "" },
		{ A, 0, 0, "ns example. 300 IN NS ns.example." }, /* a referral */
		{ A, 3, 0, "ar example. 30 IN SOA a. b. 1 2 3 4 5" },
		{ A, 3, 0, "an example. 30 IN SOA a. b. 1 2 3 4 5" },
		/* at the end of a chain */
		{ A, 3, 60, "an www.example. 300 IN CNAME b.example.\n" SOA_OF(300, 60) },
		{ A, 0, 60, "an www.example. 300 IN CNAME b.example.\n" SOA_OF(300, 60) },
		{ A, 0, 40, "an www.example. 40 IN CNAME b.example.\n" SOA_OF(300, 60) },
		{ A, 0, 0, "an www.example. 300 IN CNAME b.example." },
		/* something */
		{ A, 0, 60, "an www.example. 60 IN A 10.0.0.1" },
		{ A, 0, 60, "an www.example. 60 IN A 10.0.0.1\n" SOA_OF(300, 5) },
		{ A, 0, 10, "an www.example. 60 IN A 10.0.0.1\nar ns.example. 10 IN A 10.0.0.2" },
		{ A, 0, 0, "an www.example. 60 IN A 10.0.0.1\nan www.example. 0 IN A 10.0.0.2" },
		{ AAAA, 0, 0, "an www.example. 60 IN A 10.0.0.1" },
		{ CNAME, 0, 60, "an www.example. 60 IN CNAME b.example." },
		{ SOA, 0, 60, "an www.example. 60 IN SOA a. b. 1 2 3 4 5" },
		{ ANY, 0, 60, "an www.example. 60 IN A 10.0.0.1" },
		{ TXT, 0, 60, "an www.example. 60 IN TXT \"a\" \"\"" },
		{ 257, 0, 60, "an www.example. 60 IN CAA 0 issue \"a\"" },
		{ 65280, 0, 60, "an www.example. 60 IN TYPE65280 \\# 1 00" },
		{ AXFR, 0, 0, "an www.example. 60 IN SOA a. b. 1 2 3 4 5" },
		/* failed */
		{ A, 1, 0, "an www.example. 60 IN A 10.0.0.1" },
		{ A, 2, 0, SOA_OF(300, 60) },
		{ A, 5, 0, SOA_OF(300, 60) },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cache *c = new_cache(MAX_BYTES);
		uint64_t end = T0 + cases[i].seconds * S;

		said(c, "www.example.", cases[i].type, 0, cases[i].rcode, cases[i].records, T0);
		if (cache_entries(c) != (cases[i].seconds != 0))
			fail_msg("case %zu: %s", i, cases[i].records);
		if (cases[i].seconds &&
		    strcmp(asked(c, "www.example.", cases[i].type, 0, end - 1), "nothing") == 0)
			fail_msg("case %zu: too short: %s", i, cases[i].records);
		if (strcmp(asked(c, "www.example.", cases[i].type, 0, end), "nothing") != 0)
			fail_msg("case %zu: too long: %s", i, cases[i].records);
		cache_free(c);
	}
}

static void test_negative(void **state)
{
	struct cache *c = new_cache(MAX_BYTES);

	said(c, "no.example.", A, 0, 3, SOA_OF(300, 60), T0);
	assert_string_equal(asked(c, "no.example.", A, 0, T0 + 59 * S),
			    "NXDOMAIN rd no.example.\nns example. 241 IN SOA ns.example. "
			    "root.example. 1 7200 900 1209600 60");
	/* Another type is another question. */
	assert_string_equal(asked(c, "no.example.", AAAA, 0, T0), "nothing");
	cache_free(c);
}

static void test_truncated_and_bare(void **state)
{
	struct cache *c = new_cache(MAX_BYTES);
	struct message query, reply;

	query_make(&query, "a.", A, 0, 1);
	reply_make(&reply, &query, 0, "an a. 60 IN A 10.0.0.1");
	reply.data[2] |= 0x02; /* TC */
	put(c, 1, &query, &reply, T0);
	assert_int_equal(cache_entries(c), 0);
	reply.data[2] &= 0xfd;
	put(c, 1, &query, &reply, T0);
	assert_int_equal(cache_entries(c), 1);
	/* An error without the question. */
	reply.data[3] = 0x80 | DNS_SERVFAIL;
	memset(reply.data + 4, 0, 8);
	reply.len = DNS_HEADER;
	put(c, 2, &query, &reply, T0);
	assert_int_equal(cache_entries(c), 1);
	cache_free(c);
}

/* Cut anywhere, with more behind it, and with other counts. */
static void test_malformed(void **state)
{
	struct cache *c = new_cache(MAX_BYTES);
	struct message query, reply;
	size_t len;

	query_make(&query, "www.example.", A, EDNS, 1);
	reply_make(&reply, &query, 0, CHAIN "\n" SOA_OF(300, 60));
	len = reply.len;
	for (reply.len = 0; reply.len < len; reply.len++) {
		if (reply.len >= DNS_HEADER)
			put(c, 1, &query, &reply, T0);
		assert_int_equal(cache_entries(c), 0);
	}
	reply.data[len] = 0;
	for (reply.len = len + 1; reply.len < len + 20; reply.len++) {
		put(c, 1, &query, &reply, T0);
		assert_int_equal(cache_entries(c), 0);
	}
	reply.len = len;
	for (unsigned at = 4; at < 12; at++) {
		for (unsigned v = 1; v < 256; v++) {
			reply.data[at] = (uint8_t)(reply.data[at] + v);
			put(c, 1, &query, &reply, T0);
			assert_int_equal(cache_entries(c), 0);
			reply.data[at] = (uint8_t)(reply.data[at] - v);
		}
	}
	put(c, 1, &query, &reply, T0);
	assert_int_equal(cache_entries(c), 1);
	cache_free(c);
}

/* A byte changed: if it is kept, it comes out as it went in. */
static void test_changed_replies(void **state)
{
	struct cache *c = new_cache(MAX_BYTES);
	struct message query, reply, out;
	unsigned kept = 0;

	query_make(&query, "www.example.", A, EDNS, 1);
	reply_make(&reply, &query, 0, CHAIN "\n" SOA_OF(300, 60));
	reply.data[2] &= 0xfb; /* AA */
	for (size_t at = DNS_HEADER + 17; at < reply.len; at++) {
		uint8_t was = reply.data[at];

		for (unsigned v = 0; v < 256; v++) {
			reply.data[at] = (uint8_t)v;
			put(c, 1, &query, &reply, T0);
			if (!get(c, 1, &query, T0, &out))
				continue;
			kept++;
			assert_int_equal(out.len, reply.len);
			assert_memory_equal(out.data, reply.data, out.len);
			assert_true(get(c, 1, &query, T0 + S - 1, &out));
			assert_memory_equal(out.data, reply.data, out.len);
			cache_drop_scope(c, 1);
		}
		reply.data[at] = was;
	}
	assert_true(kept > 1000);
	cache_free(c);
}

/* ------------------------------------------------------------------------------- the key */

static void test_spelling(void **state)
{
	struct cache *c = new_cache(MAX_BYTES);

	said(c, "WwW.exaMple.", A, 0, 0, "an wwW.example. 60 IN A 10.0.0.1", T0);
	assert_string_equal(asked(c, "wWw.EXAMPLE.", A, 0, T0),
			    "NOERROR rd wWw.EXAMPLE.\nan wWw.EXAMPLE. 60 IN A 10.0.0.1");
	assert_string_equal(asked(c, "www.example.", A, 0, T0),
			    "NOERROR rd www.example.\nan www.example. 60 IN A 10.0.0.1");
	assert_string_equal(asked(c, "www.example.com.", A, 0, T0), "nothing");
	assert_string_equal(asked(c, "ww.example.", A, 0, T0), "nothing");
	assert_string_equal(asked(c, "www.exampl\\037.", A, 0, T0), "nothing");
	cache_free(c);
}

#define N10 "0123456789"
#define L63 N10 N10 N10 N10 N10 N10 "abc"
#define L61 N10 N10 N10 N10 N10 N10 "a"

static void test_odd_names(void **state)
{
	static const char *const names[] = {
		".",       "a.",          "b.",
		"aa.",     "a.a.",        "a\\.a.",
		"\\000.",  "\\000\\000.", "_.",
		"\\255.",  "a\\@b.",      "a\\091.",
		"a\\123.", L63 ".",       L63 "." L63 "." L63 "." L61 ".", /* 255 bytes */
	};
	struct cache *c = new_cache(MAX_BYTES);
	char line[512];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(line, sizeof(line), "an %s 60 IN TXT \"%zu\"", names[i], i);
		said(c, names[i], TXT, 0, 0, line, T0);
	}
	assert_int_equal(cache_entries(c), ARRAY_LEN(names));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(line, sizeof(line), " 60 IN TXT \"%zu\"", i);
		assert_non_null(strstr(asked(c, names[i], TXT, 0, T0), line));
	}
	cache_free(c);
}

/* All ways to ask are apart, and each gets its own. */
static void test_ways_to_ask(void **state)
{
	static const unsigned ways[] = { 0,      EDNS,  EDNS | DO, CD,
					 AD,     NO_RD, EDNS | CD, EDNS | DO | CD | AD | NO_RD,
					 CD | AD };
	struct cache *c = new_cache(MAX_BYTES);
	char text[64];

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		assert_string_equal(asked(c, "a.", A, ways[i], T0), "nothing");
		snprintf(text, sizeof(text), "an a. 60 IN A 10.0.0.%zu", i);
		said(c, "a.", A, ways[i], 0, text, T0);
	}
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		snprintf(text, sizeof(text), "NOERROR%s%s%s a.\nan a. 60 IN A 10.0.0.%zu",
			 ways[i] & NO_RD ? "" : " rd", ways[i] & EDNS ? " edns" : "",
			 ways[i] & DO ? " do" : "", i);
		assert_string_equal(asked(c, "a.", A, ways[i], T0), text);
	}
	cache_free(c);
}

/* The reply's RD and CD are what the asker said, whatever the server made of them. */
static void test_flags(void **state)
{
	struct cache *c = new_cache(MAX_BYTES);
	struct message query, reply;

	query_make(&query, "a.", A, CD, 1);
	reply_make(&reply, &query, 0, "an a. 60 IN A 10.0.0.1");
	reply.data[2] &= 0xfe;
	reply.data[3] &= 0xef;
	assert_true(reply.data[2] & 0x04);
	put(c, 1, &query, &reply, T0);
	assert_true(get(c, 1, &query, T0, &reply));
	assert_int_equal(reply.data[2], 0x81); /* QR, RD; no AA */
	assert_int_equal(reply.data[3], 0x90); /* RA, CD */
	cache_free(c);
}

static void test_scopes(void **state)
{
	static const uint64_t scopes[] = { 0, 1, 2, 1ull << 32, 1ull << 63, UINT64_MAX };
	struct cache *c = new_cache(MAX_BYTES);
	struct message query, reply;
	char text[64];

	query_make(&query, "a.", A, 0, 1);
	for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
		assert_false(get(c, scopes[i], &query, T0, &reply));
		snprintf(text, sizeof(text), "an a. 60 IN A 10.0.0.%zu", i);
		reply_make(&reply, &query, 0, text);
		put(c, scopes[i], &query, &reply, T0);
	}
	cache_drop_scope(c, 1);
	cache_drop_scope(c, 77);
	assert_int_equal(cache_entries(c), ARRAY_LEN(scopes) - 1);
	for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
		assert_int_equal(get(c, scopes[i], &query, T0, &reply), scopes[i] != 1);
		if (scopes[i] == 1)
			continue;
		snprintf(text, sizeof(text), "NOERROR rd a.\nan a. 60 IN A 10.0.0.%zu", i);
		assert_string_equal(text_of(&reply), text);
	}
	cache_free(c);
}

/* ------------------------------------------------------------------------------- EDNS */

/* Lengthens the OPT at the end of a message by an option. */
static void add_option(struct message *m, uint8_t code, const char *data, uint8_t len)
{
	uint8_t option[4] = { 0, code, 0, len };

	m->data[m->len - 1] = (uint8_t)(sizeof(option) + len);
	memcpy(m->data + m->len, option, sizeof(option));
	memcpy(m->data + m->len + sizeof(option), data, len);
	m->len += sizeof(option) + len;
}

static void test_options(void **state)
{
	struct cache *c = new_cache(MAX_BYTES);
	struct message query, reply, out;
	size_t bare;

	query_make(&query, "a.", A, EDNS, 1);
	reply_make(&reply, &query, 0, "an a. 60 IN A 10.0.0.1");
	bare = reply.len;
	add_option(&reply, 10, "8 bytes8 more..", 16); /* a cookie: for the first who asked */
	put(c, 1, &query, &reply, T0);
	assert_true(get(c, 1, &query, T0, &out));
	assert_int_equal(out.len, bare);
	assert_string_equal(text_of(&out), "NOERROR rd edns a.\nan a. 60 IN A 10.0.0.1");
	/* With a cookie it is the same question; for somebody's network it is none for us. */
	add_option(&query, 10, "8 bytes", 8);
	assert_true(get(c, 1, &query, T0, &out));
	query_make(&query, "a.", A, EDNS, 1);
	add_option(&query, 8, "\0\1\x18\0\n\0\0", 7);
	assert_false(get(c, 1, &query, T0, &out));
	put(c, 1, &query, &reply, T0);
	assert_int_equal(cache_entries(c), 1);
	cache_free(c);
}

static void test_odd_opts(void **state)
{
	static const uint8_t opt[] = { 0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0 };
	struct cache *c = new_cache(MAX_BYTES);
	struct message query, reply;

	query_make(&query, "a.", A, 0, 1);
	reply_make(&reply, &query, 0, "an a. 60 IN A 10.0.0.1");
	memcpy(reply.data + reply.len, opt, sizeof(opt));
	reply.len += sizeof(opt);
	reply.data[11] = 1;
	put(c, 1, &query, &reply, T0); /* unasked */
	assert_int_equal(cache_entries(c), 0);

	query_make(&query, "a.", A, EDNS, 1);
	reply.data[reply.len - 6] = 1; /* rcode 16 */
	put(c, 1, &query, &reply, T0);
	assert_int_equal(cache_entries(c), 0);
	reply.data[reply.len - 6] = 0;
	memcpy(reply.data + reply.len, opt, sizeof(opt));
	reply.len += sizeof(opt);
	reply.data[11] = 2;
	put(c, 1, &query, &reply, T0); /* twice */
	assert_int_equal(cache_entries(c), 0);
	reply.len -= sizeof(opt);
	reply.data[11] = 1;
	put(c, 1, &query, &reply, T0);
	assert_int_equal(cache_entries(c), 1);

	/* A record follows on it, to which names may point: the options cannot be taken out. */
	memcpy(reply.data + reply.len, "\1b\0\0\1\0\1\0\0\0\x3c\0\4\n\0\0\2", 17);
	reply.len += 17;
	reply.data[11] = 2;
	cache_drop_scope(c, 1);
	put(c, 1, &query, &reply, T0);
	assert_int_equal(cache_entries(c), 0);
	cache_free(c);
}

/* A signed query wants a signed reply. */
static void test_peculiar_query(void **state)
{
	struct cache *c = new_cache(MAX_BYTES);
	struct message query, reply;

	query_make(&query, "a.", A, 0, 1);
	reply_make(&reply, &query, 0, "an a. 60 IN A 10.0.0.1");
	put(c, 1, &query, &reply, T0);
	assert_true(get(c, 1, &query, T0, &reply));
	memcpy(query.data + query.len, "\1k\0\0\xfa\0\xff\0\0\0\0\0\0", 13);
	query.len += 13;
	query.data[11] = 1;
	assert_false(get(c, 1, &query, T0, &reply));
	cache_free(c);
}

/* ------------------------------------------------------------------------------- size */

static void test_cut(void **state)
{
	struct cache *c = new_cache(MAX_BYTES);
	struct message query, reply, out;
	char records[8192] = "";

	for (unsigned i = 0; i < 40; i++) {
		char line[64];

		snprintf(line, sizeof(line), "an big.example. 60 IN A 10.0.0.%u\n", i);
		strcat(records, line);
	}
	query_make(&query, "big.example.", A, EDNS, 1);
	reply_make(&reply, &query, 0, records);
	assert_true(reply.len > 512);
	put(c, 1, &query, &reply, T0);
	assert_true(get_within(c, 1, &query, T0, 512, &out));
	assert_int_equal(out.len, DNS_HEADER + 17);
	assert_string_equal(text_of(&out), "NOERROR tc rd big.example.");
	assert_true(get_within(c, 1, &query, T0, reply.len - 1, &out));
	assert_int_equal(out.len, DNS_HEADER + 17);
	assert_true(get_within(c, 1, &query, T0, reply.len, &out));
	assert_int_equal(out.len, reply.len);
	/* The whole is still there for the one who comes again by TCP. */
	assert_true(get(c, 1, &query, T0 + S, &out));
	assert_int_equal(out.len, reply.len);
	cache_free(c);
}

/* As many records as a message can hold, the smallest there are. */
static void test_many_records(void **state)
{
	struct cache *c = new_cache(MAX_BYTES);
	struct message query, reply, out;
	unsigned n = 0;

	query_make(&query, ".", TXT, 0, 1);
	reply_make(&reply, &query, 0, "");
	for (; reply.len + 11 <= DNS_TCP_MAX; n++) {
		memcpy(reply.data + reply.len, "\0\0\x10\0\1\0\0\1\0\0\0", 11);
		reply.len += 11;
	}
	reply.data[6] = (uint8_t)(n >> 8);
	reply.data[7] = (uint8_t)n;
	put(c, 1, &query, &reply, T0);
	assert_true(get(c, 1, &query, T0 + 255 * S, &out));
	assert_int_equal(out.len, reply.len);
	for (size_t at = DNS_HEADER + 5; at < out.len; at += 11)
		assert_memory_equal(out.data + at + 5, "\0\0\0\1", 4);
	cache_free(c);
}

static void put_number(struct cache *c, unsigned i, uint64_t now)
{
	char name[32], line[64];

	snprintf(name, sizeof(name), "n%05u.", i);
	snprintf(line, sizeof(line), "an %s 60 IN A 10.0.%u.%u", name, i >> 8, i & 255);
	said(c, name, A, 0, 0, line, now);
}

static bool has_number(struct cache *c, unsigned i)
{
	char name[32], want[128];
	const char *got;

	snprintf(name, sizeof(name), "n%05u.", i);
	got = asked(c, name, A, 0, T0);
	if (strcmp(got, "nothing") == 0)
		return false;
	snprintf(want, sizeof(want), "NOERROR rd %s\nan %s 60 IN A 10.0.%u.%u", name, name, i >> 8,
		 i & 255);
	assert_string_equal(got, want);
	return true;
}

static void test_least_recently_used(void **state)
{
	struct cache *c = new_cache(4096);
	size_t n;

	for (unsigned i = 0; i == cache_entries(c); i++) {
		put_number(c, i, T0);
		assert_true(cache_bytes(c) <= 4096);
	}
	n = cache_entries(c);
	assert_true(n > 10);
	/* The first went; those from 1 to n are there. The second is used, so the third goes. */
	assert_false(has_number(c, 0));
	assert_true(has_number(c, 1));
	put_number(c, 1000, T0);
	assert_false(has_number(c, 2));
	assert_true(has_number(c, 1000));
	for (unsigned i = 3; i <= n; i++)
		assert_true(has_number(c, i));
	/* Now 1 is the least recently used. */
	put_number(c, 1001, T0);
	assert_false(has_number(c, 1));
	assert_true(has_number(c, 3));
	assert_int_equal(cache_entries(c), n);
	cache_free(c);
}

static void test_too_large(void **state)
{
	struct message query, reply;

	query_make(&query, "a.", A, 0, 1);
	reply_make(&reply, &query, 0, "an a. 60 IN A 10.0.0.1");
	for (size_t max = 0; max < 1024; max++) {
		struct cache *c = new_cache(max);
		size_t empty = cache_bytes(c);

		put(c, 1, &query, &reply, T0);
		if (cache_entries(c))
			assert_true(cache_bytes(c) <= max && cache_bytes(c) > empty);
		else
			assert_int_equal(cache_bytes(c), empty);
		assert_int_equal(cache_entries(c), get(c, 1, &query, T0, &reply));
		cache_free(c);
	}
}

static void test_10000_names(void **state)
{
	struct cache *c = new_cache(4 * MAX_BYTES);

	for (unsigned i = 0; i < 10000; i++)
		put_number(c, i, T0);
	assert_int_equal(cache_entries(c), 10000);
	for (unsigned i = 0; i < 10000; i++)
		assert_true(has_number(c, i));
	assert_false(has_number(c, 10000));
	print_message("# %zu bytes an entry\n", cache_bytes(c) / 10000);
	cache_drop_scope(c, 1);
	empty_is_small(c);
}

/* What was said last about each name, as a plain array. */
struct said_of {
	uint64_t at;
	uint32_t ttl;
	uint8_t ip;
};

#define RANDOM_NAMES 3000
#define RANDOM_PUTS  100000
#define RANDOM_BYTES 100000

static void random_step(struct cache *c, struct said_of *all, uint64_t now)
{
	/* The query and the reply without a library, which would take most of the time. */
	struct message m = { .len = DNS_HEADER + 9, .data = "\0\1\1\0\0\1" };
	struct message reply, out;
	uint32_t i = rng(RANDOM_NAMES);
	struct said_of *last = &all[i];
	const uint8_t *rr;

	m.data[DNS_HEADER] = 3;
	for (unsigned digit = 0; digit < 3; digit++)
		m.data[DNS_HEADER + 1 + digit] = (uint8_t)('0' + (i >> 4 * digit & 15));
	m.data[DNS_HEADER + 6] = A;
	m.data[DNS_HEADER + 8] = 1;
	if (get(c, 1, &m, now, &out)) {
		rr = out.data + m.len;
		assert_true(now < last->at + last->ttl * S);
		assert_int_equal(rr[8] << 8 | rr[9], last->ttl - (now - last->at) / S);
		assert_int_equal(rr[15], last->ip);
	}
	*last = (struct said_of){ now, 1 + rng(300), (uint8_t)rng(256) };
	memcpy(&reply, &m, sizeof(size_t) + m.len);
	reply.data[2] |= 0x80;
	for (uint32_t n = 1 + rng(rng(10) ? 4 : 100); n; n--) {
		memcpy(reply.data + reply.len, "\xc0\x0c\0\1\0\1\0\0\0\0\0\4\n\0\0", 16);
		reply.data[reply.len + 8] = (uint8_t)(last->ttl >> 8);
		reply.data[reply.len + 9] = (uint8_t)last->ttl;
		reply.data[reply.len + 15] = last->ip;
		reply.len += 16;
		reply.data[7]++;
	}
	put(c, 1, &m, &reply, now);
	assert_true(get(c, 1, &m, now, &out));
	assert_int_equal(out.len, reply.len);
}

static void test_random(void **state)
{
	static struct said_of all[RANDOM_NAMES];
	struct cache *c = new_cache(RANDOM_BYTES);
	uint64_t now = T0;

	for (unsigned i = 0; i < RANDOM_PUTS; i++) {
		now += rng(S);
		random_step(c, all, now);
		assert_true(cache_bytes(c) <= RANDOM_BYTES);
		if (i % 1000 == 999)
			assert_true(cache_bytes(c) > RANDOM_BYTES - 4096);
	}
	cache_drop_scope(c, 1);
	empty_is_small(c);
}

/* ------------------------------------------------------------------------------- no memory */

#ifdef CAN_FAIL_ALLOC
static void test_no_memory(void **state)
{
	struct message query, reply, out;
	struct cache *c;

	for (int i = 1; i <= 2; i++) {
		fail_in = i;
		assert_null(cache_new(MAX_BYTES));
		assert_int_equal(fail_in, 0);
	}
	c = new_cache(MAX_BYTES);
	query_make(&query, "a.", A, 0, 1);
	reply_make(&reply, &query, 0, "an a. 60 IN A 10.0.0.1");
	fail_in = 1;
	put(c, 1, &query, &reply, T0);
	assert_int_equal(fail_in, 0);
	assert_int_equal(cache_entries(c), 0);
	put(c, 1, &query, &reply, T0);
	/* What was known stays so if there is no memory for what is newer. */
	reply.data[reply.len - 1]++;
	fail_in = 1;
	put(c, 1, &query, &reply, T0);
	assert_true(get(c, 1, &query, T0, &out));
	assert_int_equal(out.data[out.len - 1], 1);
	/* No memory for a larger table: it is merely slower. */
	for (uint64_t scope = 2; scope < 100; scope++) {
		fail_in = 2;
		put(c, scope, &query, &reply, T0);
		fail_in = 0;
	}
	for (uint64_t scope = 2; scope < 100; scope++)
		assert_true(get(c, scope, &query, T0, &out));
	cache_free(c);
}
#endif

static int setup(void **state)
{
	rng_seed();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ages),
		cmocka_unit_test(test_newer_reply),
		cmocka_unit_test(test_odd_ttls),
		cmocka_unit_test(test_for_how_long),
		cmocka_unit_test(test_negative),
		cmocka_unit_test(test_truncated_and_bare),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_changed_replies),
		cmocka_unit_test(test_spelling),
		cmocka_unit_test(test_odd_names),
		cmocka_unit_test(test_ways_to_ask),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_scopes),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_odd_opts),
		cmocka_unit_test(test_peculiar_query),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_many_records),
		cmocka_unit_test(test_least_recently_used),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_10000_names),
		cmocka_unit_test(test_random),
#ifdef CAN_FAIL_ALLOC
		cmocka_unit_test(test_no_memory),
#endif
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
