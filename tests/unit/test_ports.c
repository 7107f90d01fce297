/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Published ports: requests that are checked and joined, the index against an array that is
 * searched from end to end, what is allotted, and rows there and back. Ports are written as their
 * rows are.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "ports_fixture.h"

/* ---- requests */

static int add(struct port_want **w, unsigned *n, const char *text, struct cnm_error *err)
{
	_json_ json_t *row = json(text);
	struct port_want one = { 0 };
	const char *proto, *host;
	int v[4];

	assert_int_equal(json_unpack(row, "[ssiiii]", &proto, &host, &v[0], &v[1], &v[2], &v[3]),
			 0);
	assert_int_equal(port_proto_parse(proto, &one.proto), 0);
	one.host = ip(host);
	one.first = (uint16_t)v[0];
	one.last = (uint16_t)v[1];
	one.host_first = (uint16_t)v[2];
	one.host_last = (uint16_t)v[3];
	return port_wants_add(w, n, &one, err);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *want, *error;
	} cases[] = {
		{ "[\"tcp\",\"\",0,0,80,80]",
		  "invalid port specification: \"80:0/tcp\": ports are from 1 to 65535" },
		{ "[\"udp\",\"10.0.0.1\",0,0,0,0]",
		  "invalid port specification: \"10.0.0.1::0/udp\": ports are from 1 to 65535" },
		{ "[\"tcp\",\"\",0,9,1,10]",
		  "invalid port specification: \"1-10:0-9/tcp\": ports are from 1 to 65535" },
		{ "[\"tcp\",\"\",1,10,0,9]",
		  "invalid port specification: \"0-9:1-10/tcp\": ports are from 1 to 65535" },
		{ "[\"sctp\",\"\",80,79,0,0]",
		  "invalid port specification: \"80-79/sctp\": a range begins with its lower port" },
		{ "[\"tcp\",\"::1\",80,80,8081,8080]",
		  "invalid port specification: \"[::1]:8081-8080:80/tcp\": a range begins with its "
		  "lower port" },
		{ "[\"tcp\",\"\",80,81,8080,8080]",
		  "invalid port specification: \"8080:80-81/tcp\": give as many ports of the host "
		  "as of the container, or several of the host for one of the container" },
		{ "[\"tcp\",\"\",80,81,8080,8090]",
		  "invalid port specification: \"8080-8090:80-81/tcp\": give as many ports of the "
		  "host as of the container, or several of the host for one of the container" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct port_want *w = NULL;
		struct cnm_error err = { 0 };
		unsigned n = 0;

		assert_int_equal(add(&w, &n, cases[i].want, &err), -EINVAL);
		assert_string_equal(err.text, cases[i].error);
		assert_int_equal(err.class, CNM_E_INVALID);
		assert_null(w);
		assert_int_equal(n, 0);
	}
}

/* Whatever the order, the same few are left. */
static void test_joining(void **state)
{
	static const struct {
		const char *wants[6], *joined;
	} cases[] = {
		{ { NULL }, "[]" },
		{ { "[\"tcp\",\"\",80,80,80,80]", "[\"tcp\",\"\",80,80,80,80]" },
		  "[[\"tcp\",\"\",80,80,80,80]]" },
		{ { "[\"tcp\",\"\",80,80,8080,8080]", "[\"tcp\",\"\",81,90,8081,8090]",
		    "[\"tcp\",\"\",85,95,8085,8095]", "[\"tcp\",\"\",97,97,8097,8097]" },
		  "[[\"tcp\",\"\",80,95,8080,8095],[\"tcp\",\"\",97,97,8097,8097]]" },
		/* of several offsets, protocols, addresses */
		{ { "[\"tcp\",\"\",80,80,80,80]", "[\"tcp\",\"\",81,81,8081,8081]",
		    "[\"udp\",\"\",81,81,81,81]", "[\"tcp\",\"0.0.0.0\",81,81,81,81]",
		    "[\"tcp\",\"::\",81,81,81,81]", "[\"tcp\",\"\",82,82,0,0]" },
		  "[[\"tcp\",\"\",80,80,80,80],[\"tcp\",\"\",81,81,8081,8081],"
		  "[\"tcp\",\"\",82,82,0,0],[\"tcp\",\"0.0.0.0\",81,81,81,81],"
		  "[\"tcp\",\"::\",81,81,81,81],[\"udp\",\"\",81,81,81,81]]" },
		/* chosen ones, which adjoin in the container */
		{ { "[\"tcp\",\"\",80,80,0,0]", "[\"tcp\",\"\",81,90,0,0]",
		    "[\"tcp\",\"\",81,81,0,0]", "[\"tcp\",\"\",92,92,0,0]" },
		  "[[\"tcp\",\"\",80,90,0,0],[\"tcp\",\"\",92,92,0,0]]" },
		/* one out of several is never joined */
		{ { "[\"tcp\",\"\",80,80,8000,8009]", "[\"tcp\",\"\",80,80,8010,8019]",
		    "[\"tcp\",\"\",81,81,8001,8010]", "[\"tcp\",\"\",80,80,8000,8009]" },
		  "[[\"tcp\",\"\",80,80,8000,8009],[\"tcp\",\"\",80,80,8010,8019],"
		  "[\"tcp\",\"\",81,81,8001,8010]]" },
		{ { "[\"tcp\",\"\",1,1,1,1]", "[\"tcp\",\"\",2,65535,2,65535]" },
		  "[[\"tcp\",\"\",1,65535,1,65535]]" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (unsigned turn = 0; turn < 12; turn++) {
			_free_ struct port_want *w = NULL;
			_json_ json_t *have = NULL, *want = json(cases[i].joined);
			unsigned n = 0, k = 0;

			while (k < 6 && cases[i].wants[k])
				k++;
			for (unsigned j = 0; j < k; j++) {
				unsigned at = turn < 6 ? (turn + j) % k : (turn + k - j) % k;

				assert_int_equal(add(&w, &n, cases[i].wants[at], NULL), 0);
			}
			assert_int_equal(port_wants_join(w, &n, NULL), 0);
			have = port_wants_encode(w, n);
			if (!json_equal(have, want))
				fail_msg("%s, turn %u", cases[i].joined, turn);
		}
	}
}

static int add_single(struct port_want **w, unsigned *n, unsigned port)
{
	struct port_want one = { .proto = IPPROTO_UDP,
				 .first = (uint16_t)port,
				 .last = (uint16_t)port,
				 .host_first = (uint16_t)port,
				 .host_last = (uint16_t)port };

	return port_wants_add(w, n, &one, NULL);
}

/* In order, in reverse, all even ones first, at random; each twice. */
static void test_50000_are_one(void **state)
{
	static uint16_t ports[100000];

	for (unsigned order = 0; order < 4; order++) {
		_free_ struct port_want *w = NULL;
		unsigned n = 0;

		for (unsigned i = 0; i < 50000; i++)
			ports[i] = ports[50000 + i] =
				(uint16_t)(10000 + (order == 1   ? 49999 - i
						    : order == 2 ? i * 2 % 50000 + (i >= 25000)
								 : i));
		for (unsigned i = 0; order == 3 && i < 100000; i++) {
			unsigned k = rng(100000);
			uint16_t t = ports[i];

			ports[i] = ports[k];
			ports[k] = t;
		}
		for (unsigned i = 0; i < 100000; i++)
			assert_int_equal(add_single(&w, &n, ports[i]), 0);
		if (order == 0)
			assert_true(n <= 2);
		assert_int_equal(port_wants_join(w, &n, NULL), 0);
		assert_int_equal(n, 1);
		assert_int_equal(w->first, 10000);
		assert_int_equal(w->last, 59999);
		assert_int_equal(w->host_first, 10000);
		assert_int_equal(w->host_last, 59999);
	}
}

static void test_too_many(void **state)
{
	_free_ struct port_want *w = NULL;
	struct cnm_error err = { 0 };
	unsigned n = 0;

	for (unsigned i = 0; i < PORTS_MAX_WANTS; i++)
		assert_int_equal(add_single(&w, &n, 1 + 2 * i), 0);
	assert_int_equal(port_wants_join(w, &n, &err), 0);
	assert_int_equal(n, PORTS_MAX_WANTS);
	assert_int_equal(add_single(&w, &n, 60000), 0);
	assert_int_equal(port_wants_join(w, &n, &err), -EINVAL);
	assert_string_equal(err.text, "20001 ranges of ports are to be published, and at most "
				      "20000 can be: choose ports that follow one another");
}

static void test_protocols(void **state)
{
	uint8_t proto = 99;

	assert_int_equal(port_proto_parse("TCP", &proto), 0);
	assert_int_equal(proto, IPPROTO_TCP);
	assert_int_equal(port_proto_parse("sctp", &proto), 0);
	assert_string_equal(port_proto_name(proto), "sctp");
	assert_int_equal(port_proto_parse("icmp", &proto), -EINVAL);
	assert_int_equal(port_proto_parse("", &proto), -EINVAL);
	assert_int_equal(port_proto_parse("tcpx", &proto), -EINVAL);
	assert_int_equal(proto, IPPROTO_SCTP);
}

/* ---- the index */

static const char *const hosts4[] = { "0.0.0.0", "10.0.0.1", "10.0.0.2", "127.0.0.1" };
static const char *const hosts6[] = { "::", "fd00::1", "::1" };

static struct port random_port(void)
{
	struct port p = { .proto = rng(2) ? IPPROTO_TCP : IPPROTO_UDP };
	unsigned len = rng(4) ? 0 : rng(60);

	p.host_first = (uint16_t)(1 + rng(3000));
	p.first = (uint16_t)(1 + rng(60000));
	p.last = (uint16_t)(p.first + len);
	if (rng(3)) {
		p.by[0].way = PORT_NAT;
		p.by[0].host = ip(hosts4[rng(ARRAY_LEN(hosts4))]);
	}
	if (rng(3)) {
		p.by[1].way = rng(3) ? PORT_PROXY : PORT_OPEN;
		if (p.by[1].way == PORT_PROXY)
			p.by[1].host = ip(hosts6[rng(ARRAY_LEN(hosts6))]);
	}
	return p;
}

static bool meets(const struct port *p, uint8_t proto, const struct cnm_ip *host, uint16_t first,
		  uint16_t last)
{
	const struct cnm_ip *have = &p->by[host->family == AF_INET6].host;

	return p->proto == proto && have->family == host->family &&
	       (ip_eq(have, host) || ip_is_unspecified(have) || ip_is_unspecified(host)) &&
	       p->host_first <= last && port_host_last(p) >= first;
}

static bool ports_meet(const struct port *p, const struct port *q)
{
	for (unsigned f = 0; f < 2; f++)
		if (ip_is_set(&p->by[f].host) &&
		    meets(q, p->proto, &p->by[f].host, p->host_first, port_host_last(p)))
			return true;
	return false;
}

#define MAX_BATCH   4
#define MAX_BATCHES 120

struct batch {
	struct port p[MAX_BATCH];
	unsigned n;
	bool entered;
};

static bool batch_fits(const struct batch *all, const struct batch *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		for (unsigned k = 0; k < i; k++)
			if (ports_meet(&b->p[i], &b->p[k]))
				return false;
		for (unsigned o = 0; o < MAX_BATCHES; o++)
			for (unsigned k = 0; all[o].entered && k < all[o].n; k++)
				if (ports_meet(&b->p[i], &all[o].p[k]))
					return false;
	}
	return true;
}

static void compare_find(const struct port_index *ix, const struct batch *all)
{
	struct port q = random_port();
	struct cnm_ip host =
		rng(2) ? ip(hosts4[rng(ARRAY_LEN(hosts4))]) : ip(hosts6[rng(ARRAY_LEN(hosts6))]);
	const struct port *got =
		port_index_find(ix, q.proto, &host, q.host_first, port_host_last(&q));
	bool there = false;

	if (got)
		assert_true(meets(got, q.proto, &host, q.host_first, port_host_last(&q)));
	for (unsigned o = 0; o < MAX_BATCHES; o++)
		for (unsigned k = 0; all[o].entered && k < all[o].n; k++) {
			const struct port *p = &all[o].p[k];

			there |= meets(p, q.proto, &host, q.host_first, port_host_last(&q));
		}
	assert_int_equal(there, got != NULL);
}

static void test_index_against_oracle(void **state)
{
	static struct batch all[MAX_BATCHES];
	struct port_index ix = { 0 };
	unsigned entered = 0, refused = 0;

	for (unsigned i = 0; i < 10000; i++) {
		struct batch *b = &all[rng(MAX_BATCHES)];

		compare_find(&ix, all);
		if (b->entered) {
			port_index_del(&ix, b->p, b->n);
			b->entered = false;
			continue;
		}
		b->n = rng(MAX_BATCH + 1);
		for (unsigned k = 0; k < b->n; k++)
			b->p[k] = random_port();
		b->entered = batch_fits(all, b);
		assert_int_equal(port_index_add(&ix, b->p, b->n), b->entered ? 0 : -EEXIST);
		entered += b->entered;
		refused += !b->entered;
	}
	assert_true(entered > 1000 && refused > 300);
	for (unsigned i = 0; i < MAX_BATCHES; i++)
		if (all[i].entered)
			port_index_del(&ix, all[i].p, all[i].n);
	assert_int_equal(ix.n, 0);
	port_index_free(&ix);
}

/* What was never entered, or equals what another entered, is not taken out. */
static void test_index_del_of_others(void **state)
{
	struct port_index ix = { 0 };
	unsigned n;
	_free_ struct port *a = NULL, *b = NULL;
	struct cnm_ip host = ip("10.0.0.7");

	a = read_ports("[[\"tcp\",80,80,80,\"nat\",\"0.0.0.0\",\"none\",\"\"]]", NULL, &n);
	b = read_ports("[[\"tcp\",80,80,80,\"nat\",\"0.0.0.0\",\"none\",\"\"]]", NULL, &n);
	port_index_del(&ix, a, n);
	assert_int_equal(port_index_add(&ix, a, n), 0);
	port_index_del(&ix, b, n);
	assert_ptr_equal(port_index_find(&ix, IPPROTO_TCP, &host, 1, 65535), a);
	assert_null(port_index_find(&ix, IPPROTO_TCP, &host, 81, 65535));
	assert_null(port_index_find(&ix, IPPROTO_UDP, &host, 80, 80));
	port_index_del(&ix, a, n);
	assert_null(port_index_find(&ix, IPPROTO_TCP, &host, 80, 80));
	port_index_free(&ix);
}

#ifdef CAN_FAIL_ALLOC
static void test_index_without_memory(void **state)
{
	struct port_index ix = { 0 };
	unsigned n;
	_free_ struct port *p =
		read_ports("[[\"tcp\",80,80,80,\"nat\",\"0.0.0.0\",\"nat\",\"::\"]]", NULL, &n);

	for (unsigned i = 1; i <= 2; i++) {
		fail_in = (int)i;
		assert_int_equal(port_index_add(&ix, p, n), -ENOMEM);
		assert_int_equal(ix.n, 0);
	}
	fail_in = 0;
	assert_int_equal(port_index_add(&ix, p, n), 0);
	port_index_free(&ix);
}
#endif

/* ---- rows */

static const char *const rows[] = {
	"[]",
	"[[\"tcp\",\"\",80,80,0,0],[\"udp\",\"0.0.0.0\",1,65535,1,65535],"
	"[\"sctp\",\"::1\",80,80,8000,8009]]",
};

static const char *const port_rows[] = {
	"[]",
	"[[\"tcp\",80,80,8080,\"nat\",\"0.0.0.0\",\"proxy\",\"::\"],"
	"[\"udp\",1,65535,1,\"nat\",\"192.0.2.1\",\"open\",\"\"]]",
	"[[\"sctp\",80,81,80,\"open\",\"\",\"none\",\"\"],"
	"[\"tcp\",80,81,65534,\"none\",\"\",\"nat\",\"::1\"]]",
};

static void test_rows(void **state)
{
	static const char runs[] = "[[\"tcp\",80,80],[\"udp\",1,65535]]";
	_json_ json_t *j = json(runs), *again = NULL;
	_free_ struct port_run *r = NULL;
	unsigned n = 9;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		_json_ json_t *want = json(rows[i]), *have = NULL;
		_free_ struct port_want *w = read_wants(rows[i], &n);

		have = port_wants_encode(w, n);
		assert_true(json_equal(have, want));
	}
	assert_int_equal(port_runs_decode(j, &r, &n), 0);
	again = port_runs_encode(r, n);
	assert_true(json_equal(j, again));
	for (size_t i = 0; i < ARRAY_LEN(port_rows); i++) {
		_free_ struct port *p = read_ports(port_rows[i], NULL, &n);

		expect_ports("there and back", p, n, port_rows[i]);
	}
}

static void test_no_rows(void **state)
{
	struct port_want *w = (void *)&w;
	struct port_run *r = (void *)&w;
	struct port *p = (void *)&w;
	unsigned n = 9;

	assert_int_equal(port_wants_decode(NULL, &w, &n), 0);
	assert_null(w);
	assert_int_equal(n, 0);
	assert_int_equal(port_runs_decode(NULL, &r, &n), 0);
	assert_null(r);
	assert_int_equal(ports_decode(NULL, NULL, &p, &n), 0);
	assert_null(p);
}

static const char *const bad_wants[] = {
	"{}",
	"[7]",
	"[[]]",
	"[[\"tcp\",\"\",80,80,80]]",
	"[[\"tcp\",\"\",80,80,80,80,80]]",
	"[[\"TCP\",\"\",80,80,80,80]]",
	"[[\"icmp\",\"\",80,80,80,80]]",
	"[[6,\"\",80,80,80,80]]",
	"[[\"tcp\",null,80,80,80,80]]",
	"[[\"tcp\",\"x\",80,80,80,80]]",
	"[[\"tcp\",\"\",0,80,0,80]]",
	"[[\"tcp\",\"\",80,65536,0,0]]",
	"[[\"tcp\",\"\",-1,80,0,0]]",
	"[[\"tcp\",\"\",\"80\",80,0,0]]",
	"[[\"tcp\",\"\",80.0,80,0,0]]",
	"[[\"tcp\",\"\",81,80,0,0]]",
	"[[\"tcp\",\"\",80,80,0,80]]",
	"[[\"tcp\",\"\",80,80,80,0]]",
	"[[\"tcp\",\"\",80,80,81,80]]",
	"[[\"tcp\",\"\",80,81,80,80]]",
	"[[\"tcp\",\"\",80,81,80,82]]",
	"[[\"tcp\",\"\",80,80,0,0],[]]",
};

static const char *const bad_runs[] = {
	"{}",
	"[[\"tcp\",80]]",
	"[[\"tcp\",80,80,80]]",
	"[[\"ip\",80,80]]",
	"[[\"tcp\",0,80]]",
	"[[\"tcp\",81,80]]",
	"[[\"tcp\",80,65536]]",
	"[[\"tcp\",80,null]]",
};

static const char *const bad_ports[] = {
	"7",
	"[[\"tcp\",80,80,80,\"nat\",\"0.0.0.0\"]]",
	"[[\"tcp\",80,80,80,\"nat\",\"0.0.0.0\",\"none\",\"\",7]]",
	"[[\"tcp\",80,80,80,\"none\",\"\",\"none\",\"\"]]",
	"[[\"tcp\",80,80,80,\"nat\",\"\",\"none\",\"\"]]",
	"[[\"tcp\",80,80,80,\"nat\",\"::\",\"none\",\"\"]]",
	"[[\"tcp\",80,80,80,\"none\",\"\",\"proxy\",\"0.0.0.0\"]]",
	"[[\"tcp\",80,80,80,\"none\",\"0.0.0.0\",\"nat\",\"::\"]]",
	"[[\"tcp\",80,80,80,\"open\",\"0.0.0.0\",\"none\",\"\"]]",
	"[[\"tcp\",80,80,81,\"open\",\"\",\"none\",\"\"]]",
	"[[\"tcp\",80,80,80,\"NAT\",\"0.0.0.0\",\"none\",\"\"]]",
	"[[\"tcp\",80,80,80,\"nat\",\"0.0.0.0\",0,\"\"]]",
	"[[\"tcp\",80,80,80,\"nat\",\"0.0.0.0\",\"\",\"\"]]",
	"[[\"tcp\",80,80,0,\"nat\",\"0.0.0.0\",\"none\",\"\"]]",
	"[[\"tcp\",80,79,80,\"nat\",\"0.0.0.0\",\"none\",\"\"]]",
	"[[\"tcp\",80,81,65535,\"nat\",\"0.0.0.0\",\"none\",\"\"]]",
	"[[\"xtp\",80,80,80,\"nat\",\"0.0.0.0\",\"none\",\"\"]]",
};

static void test_bad_rows(void **state)
{
	void *untouched = (void *)bad_wants;
	struct port_want *w = untouched;
	struct port_run *r = untouched;
	struct port *p = untouched;
	unsigned n = 7;

	for (size_t i = 0; i < ARRAY_LEN(bad_wants); i++) {
		_json_ json_t *j = json_loads(bad_wants[i], JSON_DECODE_ANY, NULL);

		if (port_wants_decode(j, &w, &n) != -EINVAL)
			fail_msg("accepted %s", bad_wants[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad_runs); i++) {
		_json_ json_t *j = json_loads(bad_runs[i], JSON_DECODE_ANY, NULL);

		if (port_runs_decode(j, &r, &n) != -EINVAL)
			fail_msg("accepted %s", bad_runs[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad_ports); i++) {
		_json_ json_t *j = json_loads(bad_ports[i], JSON_DECODE_ANY, NULL);

		if (ports_decode(j, NULL, &p, &n) != -EINVAL)
			fail_msg("accepted %s", bad_ports[i]);
	}
	assert_true(w == untouched && r == untouched && p == untouched && n == 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_joining),
		cmocka_unit_test(test_50000_are_one),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_index_against_oracle),
		cmocka_unit_test(test_index_del_of_others),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_no_rows),
		cmocka_unit_test(test_bad_rows),
#ifdef CAN_FAIL_ALLOC
		cmocka_unit_test(test_index_without_memory),
#endif
	};

	rng_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
