/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names, who sees them, and the replies, with ldns to read these. No sockets, no root. (The
 * messages as such: test_dns_wire.c.)
 */
#include "dns_fixture.h"

#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "resolver/answer.h"
#include "resolver/zone.h"

/* ------------------------------------------------------------------------------- helpers */

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

static struct zone_view *view_of(struct zone *z, size_t n, const char *const *networks)
{
	struct resolver_sandbox sb = { .id = "sb", .network_ids = networks, .n_networks = n };
	struct zone_view *v = zone_view_new(&sb);

	assert_non_null(v);
	zone_enter_view(z, v);
	return v;
}
#define VIEW(z, ...)                                              \
	view_of(z, COUNT(((const char *const[]){ __VA_ARGS__ })), \
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

/* The answers in order, each followed by a space; or "forward". */
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
		str_copy(text, sizeof(text), "forward");
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
	assert_string_equal(asked(&z, v, "web.nothing.", A), "forward");
	assert_string_equal(asked(&z, v, "we.", A), "forward");
	assert_string_equal(asked(&z, v, "webb.", A), "forward");
	assert_string_equal(asked(&z, v, "front.", A), "forward");
	assert_string_equal(asked(&z, v, ".", A), "forward");
	v->ndots = true;
	assert_string_equal(asked(&z, v, "web.", A), "10.0.0.2 ");
	assert_string_equal(asked(&z, v, "webb.", A), "");
	assert_string_equal(asked(&z, v, "webb.x.", A), "forward");
	assert_string_equal(asked(&z, v, ".", 2), "forward");
	assert_string_equal(asked(&z, NULL, "db.", A), "forward");
	zone_drop_view(&z, v);

	v = VIEW(&z, "id-back", "id-front");
	assert_string_equal(asked(&z, v, "web.", A), "10.1.0.2 ");
	zone_drop_view(&z, v);
	v = VIEW(&z, "id-back");
	assert_string_equal(asked(&z, v, "db.", A), "forward");
	assert_string_equal(asked(&z, v, "web.front.", A), "forward");
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
	assert_string_equal(asked(&z, v, "a.b.c.", A), "forward");
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
	assert_string_equal(asked(&z, v, "2.0.1.10.in-addr.arpa.", PTR), "forward");
	assert_string_equal(asked(&z, v, "02.0.0.10.in-addr.arpa.", PTR), "forward");
	assert_string_equal(asked(&z, v, "2.0.0.0.10.in-addr.arpa.", PTR), "forward");
	assert_string_equal(asked(&z, v, "0.0.10.in-addr.arpa.", PTR), "forward");
	assert_string_equal(asked(&z, v, "258.0.0.10.in-addr.arpa.", PTR), "forward");
	assert_string_equal(asked(&z, v, "2.0.0.0010.in-addr.arpa.", PTR), "forward");
	assert_string_equal(asked(&z, v, "in-addr.arpa.", PTR), "forward");
	assert_string_equal(asked(&z, v, "2.a.ip6.arpa.", PTR), "forward");
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
	assert_string_equal(asked(&z, v, "a.", A), "forward");
	assert_string_equal(asked(&z, v, "b.", A), "10.0.0.9 ");
	assert_string_equal(asked(&z, v, "2.0.0.10.in-addr.arpa.", PTR), "forward");
	assert_string_equal(asked(&z, v, "9.0.0.10.in-addr.arpa.", PTR), "b.front. ");
	put(&z, "back", "e1", "b", "10.1.0.9", "");
	assert_string_equal(asked(&z, v, "b.", A), "10.1.0.9 ");
	assert_string_equal(asked(&z, v, "b.front.", A), "forward");
	put(&z, "back", "e1", "", "10.1.0.9", "");
	assert_string_equal(asked(&z, v, "9.0.1.10.in-addr.arpa.", PTR), "forward");
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
	assert_string_equal(asked(&z, v, "con5000.", A), "forward");
	assert_string_equal(asked(&z, v, "con5001.", A), "10.0.19.137 ");
	assert_int_equal(z.names.used, 5000);
	zone_drop_view(&z, v);
	zone_destroy(&z);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),       cmocka_unit_test(test_splits),
		cmocka_unit_test(test_pointers),    cmocka_unit_test(test_replace),
		cmocka_unit_test(test_shared_name), cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_10000_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
