/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allotting published ports: where each want goes, which ports of the host it is given, and what it
 * is told when there are none.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ports_fixture.h"

#include "base/str.h"
#include "model/model.h"

/* Which ports processes have: a word between spaces each. */
static bool is_used(void *arg, uint8_t proto, uint16_t port)
{
	char word[16];

	snprintf(word, sizeof(word), " %s%u ", port_proto_name(proto), port);
	return strstr(arg, word);
}

/* Ports to choose from: 32768 to 32777. */
static struct port_place make_place(const char *ways, const char *hosts, const char *used)
{
	static const char letters[] = "-npo"; /* in the order of enum port_way */
	struct port_place place = { .first = 32768, .last = 32777 };
	char host4[IP_STR] = "0.0.0.0", host6[IP_STR] = "::";

	place.by[0].way = (enum port_way)(strchr(letters, ways[0]) - letters);
	place.by[1].way = (enum port_way)(strchr(letters, ways[1]) - letters);
	if (hosts)
		assert_int_equal(sscanf(hosts, "%47s %47s", host4, host6), 2);
	place.by[0].host = ip(streq(host4, "-") ? "" : host4);
	place.by[1].host = ip(streq(host6, "-") ? "" : host6);
	if (used) {
		place.used = is_used;
		place.arg = (void *)used;
	}
	return place;
}

#define T80(h)            "[\"tcp\",\"\",80,80," h "," h "]"
#define NAT4(ports, host) "[\"tcp\"," ports ",\"nat\",\"" host "\",\"none\",\"\"]"
#define NAT6(ports, host) "[\"tcp\"," ports ",\"none\",\"\",\"nat\",\"" host "\"]"
#define BOTH(ports)       "[\"tcp\"," ports ",\"nat\",\"0.0.0.0\",\"nat\",\"::\"]"

static const struct allotment {
	const char *what, *ways, *wants, *want; /* want: ports, or the error's text */
	const char *hosts, *used;
	const char *other, *keep; /* ports of another container; those it had */
	unsigned next;
} allotments[] = {
	/* where a want goes */
	{ "nothing", "nn", "[]", "[]" },
	{ "both families", "nn", "[" T80("8080") "]", "[" BOTH("80,80,8080") "]" },
	{ "one family", "n-", "[" T80("8080") "]", "[" NAT4("80,80,8080", "0.0.0.0") "]" },
	{ "the other", "-n", "[" T80("8080") "]", "[" NAT6("80,80,8080", "::") "]" },
	{ "no family", "--", "[" T80("8080") "]", "[]" },
	{ "by the proxy", "np", "[" T80("8080") "]",
	  "[[\"tcp\",80,80,8080,\"nat\",\"0.0.0.0\",\"proxy\",\"::\"]]" },
	{ "open", "oo", "[" T80("8080") "]", "[[\"tcp\",80,80,80,\"open\",\"\",\"open\",\"\"]]" },
	{ "open in one family", "no", "[" T80("8080") "]",
	  "[[\"tcp\",80,80,8080,\"nat\",\"0.0.0.0\",\"open\",\"\"]]" },
	{ "open in one, nothing in the other", "-o", "[" T80("8080") "]",
	  "[[\"tcp\",80,80,80,\"none\",\"\",\"open\",\"\"]]" },
	{ "open is not chosen", "oo", "[[\"tcp\",\"\",80,89,0,0],[\"tcp\",\"\",95,95,1,9]]",
	  "[[\"tcp\",80,89,80,\"open\",\"\",\"open\",\"\"],"
	  "[\"tcp\",95,95,95,\"open\",\"\",\"open\",\"\"]]" },
	{ "an IPv4 address", "nn", "[[\"tcp\",\"10.0.0.7\",80,80,80,80]]",
	  "[" NAT4("80,80,80", "10.0.0.7") "]" },
	{ "an IPv6 address", "np", "[[\"tcp\",\"::1\",80,80,80,80]]",
	  "[[\"tcp\",80,80,80,\"none\",\"\",\"proxy\",\"::1\"]]" },
	{ "an address of a family without a way", "n-",
	  "[[\"tcp\",\"::\",80,80,80,80],[\"tcp\",\"\",81,81,81,81]]",
	  "[" NAT4("81,81,81", "0.0.0.0") "]" },
	{ "an address and an open way", "oo", "[[\"tcp\",\"10.0.0.7\",80,80,80,80]]",
	  "[[\"tcp\",80,80,80,\"open\",\"\",\"none\",\"\"]]" },
	{ "the network's own default", "nn", "[" T80("80") "]",
	  "[" NAT4("80,80,80", "192.0.2.1") "]", .hosts = "192.0.2.1 -" },
	{ "no default, but an address", "nn", "[[\"tcp\",\"::1\",80,80,80,80]]",
	  "[" NAT6("80,80,80", "::1") "]", .hosts = "192.0.2.1 -" },

	/* an open port is there once */
	{ "open twice", "oo", "[" T80("1") "," T80("2") "]",
	  "[[\"tcp\",80,80,80,\"open\",\"\",\"open\",\"\"]]" },
	{ "open and chosen twice", "no", "[" T80("1") "," T80("2") "]",
	  "[[\"tcp\",80,80,1,\"nat\",\"0.0.0.0\",\"open\",\"\"]," NAT4("80,80,2", "0.0.0.0") "]" },
	{ "open in part", "-o", "[[\"tcp\",\"\",80,89,0,0],[\"tcp\",\"\",75,95,75,95]]",
	  "[[\"tcp\",80,89,80,\"none\",\"\",\"open\",\"\"],"
	  "[\"tcp\",75,79,75,\"none\",\"\",\"open\",\"\"],"
	  "[\"tcp\",90,95,90,\"none\",\"\",\"open\",\"\"]]" },
	{ "open by two protocols", "o-", "[" T80("1") ",[\"udp\",\"\",80,80,2,2]]",
	  "[[\"tcp\",80,80,80,\"open\",\"\",\"none\",\"\"],"
	  "[\"udp\",80,80,80,\"open\",\"\",\"none\",\"\"]]" },

	/* given ports */
	{ "a run", "n-", "[[\"tcp\",\"\",80,89,8080,8089]]",
	  "[" NAT4("80,89,8080", "0.0.0.0") "]" },
	{ "that a process has one is told by the bind", "n-", "[" T80("80") "]",
	  "[" NAT4("80,80,80", "0.0.0.0") "]", .used = " tcp80 " },
	{ "another container's", "n-", "[" T80("80") "]",
	  "Bind for 0.0.0.0:80 failed: port is already allocated (by container con1)",
	  .other = "[" NAT4("99,99,80", "0.0.0.0") "]" },
	{ "another's run", "n-", "[[\"tcp\",\"\",80,89,8080,8089]]",
	  "Bind for 0.0.0.0:8085 failed: port is already allocated (by container con1)",
	  .other = "[" NAT4("1,20,8085", "10.0.0.7") "]" },
	{ "another's wildcard", "n-", "[[\"tcp\",\"10.0.0.7\",80,80,80,80]]",
	  "Bind for 10.0.0.7:80 failed: port is already allocated (by container con1)",
	  .other = "[" NAT4("1,200,1", "0.0.0.0") "]" },
	{ "another's, in IPv6 only", "nn", "[" T80("80") "]",
	  "Bind for [::]:80 failed: port is already allocated (by container con1)",
	  .other = "[" NAT6("80,80,80", "::1") "]" },
	{ "another's address or protocol", "nn",
	  "[[\"tcp\",\"10.0.0.8\",80,80,80,80],[\"udp\",\"10.0.0.7\",80,80,80,80]]",
	  "[" NAT4("80,80,80",
		   "10.0.0.8") ",[\"udp\",80,80,80,\"nat\",\"10.0.0.7\",\"none\",\"\"]]",
	  .other = "[" NAT4("80,80,80", "10.0.0.7") "," NAT6("80,80,80", "::") "]" },
	{ "its own", "n-", "[" T80("80") ",[\"tcp\",\"\",81,81,80,80]]",
	  "Bind for 0.0.0.0:80 failed: port is already allocated (by another -p of this "
	  "container)" },
	{ "its own, by a wildcard", "n-", "[" T80("80") ",[\"tcp\",\"10.0.0.7\",80,80,80,80]]",
	  "Bind for 10.0.0.7:80 failed: port is already allocated (by another -p of this "
	  "container)" },
	{ "its own, in the middle", "n-",
	  "[[\"tcp\",\"\",7,7,8085,8085],[\"tcp\",\"\",80,89,8080,8089]]",
	  "Bind for 0.0.0.0:8085 failed: port is already allocated (by another -p of this "
	  "container)" },

	/* one out of several */
	{ "the first", "nn", "[[\"tcp\",\"\",80,80,8000,8009]]", "[" BOTH("80,80,8000") "]" },
	{ "the first that is free", "nn", "[[\"tcp\",\"\",80,80,8000,8009]]",
	  "[" BOTH("80,80,8003") "]", .used = " tcp8000 udp8003 ",
	  .other = "[" NAT6("1,2,8001", "::1") "]" },
	{ "a given one first", "n-",
	  "[[\"tcp\",\"\",80,80,8000,8009],[\"tcp\",\"\",8,8,8000,8000]]",
	  "[" NAT4("8,8,8000", "0.0.0.0") "," NAT4("80,80,8001", "0.0.0.0") "]" },
	{ "several of the same", "n-",
	  "[[\"tcp\",\"\",80,80,8000,8001],[\"tcp\",\"\",81,81,8000,8001]]",
	  "[" NAT4("80,80,8000", "0.0.0.0") "," NAT4("81,81,8001", "0.0.0.0") "]" },
	{ "none is free", "n-", "[[\"tcp\",\"\",80,80,8000,8001],[\"tcp\",\"\",81,81,8000,8001]]",
	  "Bind for 0.0.0.0:8000-8001 failed: all ports are allocated", .used = " tcp8000 " },
	{ "none is free at that address", "nn", "[[\"tcp\",\"::1\",80,80,8000,8001]]",
	  "Bind for [::1]:8000-8001 failed: all ports are allocated",
	  .other = "[" NAT6("8000,8001,8000", "::") "]" },

	/* any */
	{ "the first of all", "nn", "[[\"tcp\",\"\",80,80,0,0]]", "[" BOTH("80,80,32768") "]" },
	{ "the next", "nn", "[[\"tcp\",\"\",80,80,0,0]]", "[" BOTH("80,80,32772") "]",
	  .next = 32772 },
	{ "the next that is free, and around", "n-",
	  "[[\"tcp\",\"\",80,80,0,0],[\"tcp\",\"\",82,82,0,0],[\"tcp\",\"\",84,84,0,0]]",
	  "[" NAT4("80,80,32776", "0.0.0.0") "," NAT4("82,82,32768", "0.0.0.0") "," NAT4(
		  "84,84,32770", "0.0.0.0") "]",
	  .next = 32775, .used = " tcp32775 tcp32777 tcp32769 " },
	{ "next is out of the range", "n-", "[[\"tcp\",\"\",80,80,0,0]]",
	  "[" NAT4("80,80,32768", "0.0.0.0") "]", .next = 80 },
	{ "a run", "n-", "[[\"tcp\",\"\",80,84,0,0]]", "[" NAT4("80,84,32770", "0.0.0.0") "]",
	  .used = " tcp32769 " },
	{ "a run around", "n-", "[[\"tcp\",\"\",80,84,0,0]]",
	  "[" NAT4("80,84,32769", "0.0.0.0") "]", .next = 32774, .used = " tcp32768 " },
	{ "a run across next", "n-", "[[\"tcp\",\"\",80,84,0,0]]",
	  "[" NAT4("80,84,32772", "0.0.0.0") "]", .next = 32775, .used = " tcp32771 " },
	{ "all of them", "n-", "[[\"tcp\",\"\",80,89,0,0]]", "[" NAT4("80,89,32768", "0.0.0.0") "]",
	  .next = 32770 },
	{ "pieces", "n-", "[[\"tcp\",\"\",80,84,0,0]]",
	  "[" NAT4("80,82,32768", "0.0.0.0") "," NAT4("83,84,32772", "0.0.0.0") "]",
	  .used = " tcp32771 tcp32775 " },
	{ "one too many", "n-", "[[\"tcp\",\"\",80,90,0,0]]",
	  "Bind for 0.0.0.0:32768-32777 failed: all ports are allocated" },
	{ "one too few", "nn", "[[\"tcp\",\"\",80,89,0,0]]",
	  "Bind for 0.0.0.0:32768-32777 failed: all ports are allocated",
	  .other = "[" NAT6("80,80,32770", "::") "]" },
	{ "another protocol's are free", "n-",
	  "[[\"tcp\",\"\",80,89,0,0],[\"udp\",\"\",80,80,0,0]]",
	  "[" NAT4("80,89,32768",
		   "0.0.0.0") ",[\"udp\",80,80,32768,\"nat\",\"0.0.0.0\",\"none\",\"\"]]" },
	{ "another address's are free", "n-",
	  "[[\"tcp\",\"10.0.0.7\",80,89,0,0],[\"tcp\",\"10.0.0.8\",80,80,0,0]]",
	  "[" NAT4("80,89,32768", "10.0.0.7") "," NAT4("80,80,32768", "10.0.0.8") "]" },
	{ "but not a wildcard's", "n-",
	  "[[\"tcp\",\"\",80,88,0,0],[\"tcp\",\"10.0.0.8\",80,80,0,0]]",
	  "[" NAT4("80,88,32768", "0.0.0.0") "," NAT4("80,80,32777", "10.0.0.8") "]" },
	{ "given ones first, then one of several", "n-",
	  "[[\"tcp\",\"\",1,1,0,0],[\"tcp\",\"\",2,2,32768,32769],"
	  "[\"tcp\",\"\",3,3,32768,32768]]",
	  "[" NAT4("3,3,32768", "0.0.0.0") "," NAT4("2,2,32769", "0.0.0.0") "," NAT4(
		  "1,1,32770", "0.0.0.0") "]" },

	/* what it had */
	{ "the same again, in use by itself", "np", "[[\"tcp\",\"\",80,80,0,0]]",
	  "[[\"tcp\",80,80,32771,\"nat\",\"0.0.0.0\",\"proxy\",\"::\"]]",
	  .keep = "[[\"tcp\",80,80,32771,\"nat\",\"0.0.0.0\",\"proxy\",\"::\"]]",
	  .used = " tcp32771 " },
	{ "by another way, at another address", "np", "[[\"tcp\",\"\",80,80,0,0]]",
	  "[[\"tcp\",80,80,32771,\"nat\",\"192.0.2.1\",\"proxy\",\"::\"]]",
	  .hosts = "192.0.2.1 ::", .keep = "[" BOTH("80,80,32771") "]" },
	{ "somebody else has it", "n-", "[[\"tcp\",\"\",80,80,0,0]]",
	  "[" NAT4("80,80,32768", "0.0.0.0") "]", .other = "[" NAT4("1,1,32771", "10.0.0.7") "]",
	  .keep = "[" NAT4("80,80,32771", "0.0.0.0") "]" },
	{ "one of several", "n-", "[[\"tcp\",\"\",80,80,8000,8009]]",
	  "[" NAT4("80,80,8004", "0.0.0.0") "]",
	  .keep = "[" NAT4("80,80,7999", "0.0.0.0") "," NAT4("80,80,8004", "0.0.0.0") "]" },
	{ "not one of these", "n-", "[[\"tcp\",\"\",80,80,8000,8009]]",
	  "[" NAT4("80,80,8000", "0.0.0.0") "]", .keep = "[" NAT4("80,80,8010", "0.0.0.0") "]" },
	{ "what was given does not follow what it had", "n-", "[" T80("81") "]",
	  "[" NAT4("80,80,81", "0.0.0.0") "]", .keep = "[" NAT4("80,80,82", "0.0.0.0") "]" },
	{ "pieces, and what lies between", "n-", "[[\"tcp\",\"\",80,89,0,0]]",
	  "[" NAT4("82,83,32776", "0.0.0.0") "," NAT4("86,87,32768", "0.0.0.0") "," NAT4(
		  "80,81,32770", "0.0.0.0") "," NAT4("84,85,32772",
						     "0.0.0.0") "," NAT4("88,89,32774",
									 "0.0.0.0") "]",
	  .keep = "[" NAT4("82,83,32776", "0.0.0.0") "," NAT4("86,87,32768", "0.0.0.0") "]" },
	{ "longer than the want", "n-", "[[\"tcp\",\"\",80,81,0,0]]",
	  "[" NAT4("80,81,32768", "0.0.0.0") "]", .keep = "[" NAT4("80,82,32771", "0.0.0.0") "]" },
	{ "each its own address's", "n-",
	  "[[\"tcp\",\"10.0.0.7\",80,80,0,0],[\"tcp\",\"10.0.0.8\",80,80,0,0]]",
	  "[" NAT4("80,80,32771", "10.0.0.7") "," NAT4("80,80,32770", "10.0.0.8") "]",
	  .keep = "[" NAT4("80,80,32770", "10.0.0.8") "," NAT4("80,80,32771", "10.0.0.7") "]" },
	{ "before what is chosen", "n-", "[[\"tcp\",\"\",1,1,0,0],[\"tcp\",\"\",80,80,0,0]]",
	  "[" NAT4("80,80,32768", "0.0.0.0") "," NAT4("1,1,32769", "0.0.0.0") "]",
	  .keep = "[" NAT4("80,80,32768", "0.0.0.0") "]" },
	{ "was open, and now is not", "n-", "[[\"tcp\",\"\",80,80,0,0]]",
	  "[" NAT4("80,80,32768", "0.0.0.0") "]",
	  .keep = "[[\"tcp\",80,80,80,\"open\",\"\",\"none\",\"\"]]" },
};

static void allot(const struct allotment *c, const struct sandbox *sb, const struct sandbox *other)
{
	struct port_place place = make_place(c->ways, c->hosts, c->used);
	struct port_index ix = { .next = (uint16_t)c->next };
	unsigned n_wants, n_keep, n_others, n = 7;
	_free_ struct port_want *wants = read_wants(c->wants, &n_wants);
	_free_ struct port *keep = read_ports(c->keep ? c->keep : "[]", sb, &n_keep);
	_free_ struct port *others = read_ports(c->other ? c->other : "[]", other, &n_others);
	struct port *got = (void *)&ix;
	struct cnm_error err = { 0 };
	int r;

	assert_int_equal(port_index_add(&ix, others, n_others), 0);
	r = ports_allot(&ix, &place, sb, wants, n_wants, keep, n_keep, &got, &n, &err);
	if (r < 0) {
		assert_ptr_equal(got, &ix);
		assert_int_equal(n, 7);
		assert_int_equal(err.class, CNM_E_INTERNAL);
		if (!streq(err.text, c->want))
			fail_msg("%s:\n have %s\n want %s", c->what, err.text, c->want);
	} else {
		expect_ports(c->what, got, n, c->want);
		for (unsigned i = 0; i < n; i++)
			assert_ptr_equal(got[i].sandbox, sb);
		assert_int_equal(port_index_add(&ix, got, n), 0);
		free(got);
	}
	port_index_free(&ix);
}

static void test_allotting(void **state)
{
	struct sandbox *sb = sandbox_new("con2"), *other = sandbox_new("con1");

	for (size_t i = 0; i < ARRAY_LEN(allotments); i++)
		allot(&allotments[i], sb, other);
	sandbox_free(sb);
	sandbox_free(other);
}

/* Chosen one after another by several containers: none is given twice before all were. */
static void test_choosing_goes_around(void **state)
{
	struct port_place place = make_place("nn", NULL, NULL);
	struct port_want w = { .proto = IPPROTO_TCP, .first = 80, .last = 80 };
	struct sandbox *sb = sandbox_new("con");
	struct port_index ix = { 0 };

	for (unsigned i = 0; i < 25; i++) {
		struct port *p = NULL;
		unsigned n = 0;

		assert_int_equal(ports_allot(&ix, &place, sb, &w, 1, NULL, 0, &p, &n, NULL), 0);
		assert_int_equal(n, 1);
		assert_int_equal(p->host_first, 32768 + i % 10);
		free(p);
	}
	sandbox_free(sb);
}

/* The ports 1, 3, 5...: given, chosen, and chosen again; beside as many of another container. */
static void test_20000_singles(void **state)
{
	struct port_place place = { .by = { { PORT_NAT, ip("0.0.0.0") }, { PORT_NAT, ip("::") } },
				    .first = 1,
				    .last = 65535 };
	struct sandbox *sb = sandbox_new("con"), *other = sandbox_new("other");
	_free_ struct port_want *wants = calloc(PORTS_MAX_WANTS, sizeof(*wants));
	struct port *p[3] = { NULL };
	struct port_index ix = { 0 };
	unsigned n = 0;

	for (unsigned i = 0; i < PORTS_MAX_WANTS; i++) {
		uint16_t port = (uint16_t)(1 + 2 * i);

		wants[i] = (struct port_want){ .proto = IPPROTO_TCP,
					       .first = port,
					       .last = port,
					       .host_first = port,
					       .host_last = port };
	}
	assert_int_equal(
		ports_allot(&ix, &place, other, wants, PORTS_MAX_WANTS, NULL, 0, &p[0], &n, NULL),
		0);
	assert_int_equal(n, PORTS_MAX_WANTS);
	assert_int_equal(port_index_add(&ix, p[0], n), 0);
	assert_int_equal(
		ports_allot(&ix, &place, sb, wants, PORTS_MAX_WANTS, NULL, 0, &p[1], &n, NULL),
		-EIO);
	for (unsigned i = 0; i < PORTS_MAX_WANTS; i++)
		wants[i].host_first = wants[i].host_last = 0;
	assert_int_equal(
		ports_allot(&ix, &place, sb, wants, PORTS_MAX_WANTS, NULL, 0, &p[1], &n, NULL), 0);
	assert_int_equal(n, PORTS_MAX_WANTS);
	assert_int_equal(
		ports_allot(&ix, &place, sb, wants, PORTS_MAX_WANTS, p[1], n, &p[2], &n, NULL), 0);
	assert_int_equal(n, PORTS_MAX_WANTS);
	for (unsigned i = 0; i < n; i++)
		assert_true(p[1][i].first == p[2][i].first &&
			    p[1][i].host_first == p[2][i].host_first);
	assert_int_equal(port_index_add(&ix, p[2], n), 0);
	assert_int_equal(ix.n, 4 * PORTS_MAX_WANTS);
	port_index_del(&ix, p[0], n);
	port_index_del(&ix, p[2], n);
	assert_int_equal(ix.n, 0);
	port_index_free(&ix);
	for (unsigned i = 0; i < 3; i++)
		free(p[i]);
	sandbox_free(sb);
	sandbox_free(other);
}

#ifdef CAN_FAIL_ALLOC
static void test_allotting_without_memory(void **state)
{
	struct port_place place = make_place("no", NULL, NULL);
	struct sandbox *sb = sandbox_new("con");
	struct port_index ix = { 0 };
	unsigned n_wants, n_keep, n = 0, failed = 0;
	_free_ struct port_want *w =
		read_wants("[" T80("1") "," T80("2") ",[\"tcp\",\"\",80,82,0,0]]", &n_wants);
	_free_ struct port *keep = read_ports("[" NAT4("81,81,32770", "0.0.0.0") "]", sb, &n_keep);
	struct port *p = NULL;
	struct cnm_error err = { 0 };

	for (;; failed++) {
		fail_in = (int)failed + 1;
		if (ports_allot(&ix, &place, sb, w, n_wants, keep, n_keep, &p, &n, &err) == 0)
			break;
		assert_string_equal(err.text, "allot the ports of con: Cannot allocate memory");
		assert_null(p);
	}
	fail_in = 0;
	assert_true(failed >= 5);
	free(p);
	sandbox_free(sb);
	port_index_free(&ix);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allotting),
		cmocka_unit_test(test_choosing_goes_around),
		cmocka_unit_test(test_20000_singles),
#ifdef CAN_FAIL_ALLOC
		cmocka_unit_test(test_allotting_without_memory),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
