/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows: every member of the three objects there and back, and rows that are damaged. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "unit.h"

#include "base/cleanup.h"
#include "drivers/driver.h"
#include "model/codec.h"

static struct cnm_ip ip(const char *s)
{
	struct cnm_ip v;

	assert_int_equal(ip_parse(&v, s), 0);
	return v;
}

static void add_pool(struct network *n, const char *subnet, const char *gateway)
{
	struct network_pool *p = &n->pools[n->n_pools];

	assert_int_equal(prefix_parse(&p->subnet, subnet), 0);
	assert_int_equal(ipam_pool_new(&p->taken, &p->subnet, NULL), 0);
	n->n_pools++;
	if (gateway) {
		p->gateway = ip(gateway);
		assert_int_equal(ipam_pool_take(p->taken, &p->gateway), 0);
	}
}

/* What no row holds: the object's own id and name, and what other columns say. */
static struct network *network_again(const struct network *n, const char *body)
{
	struct cnm_error err = { 0 };
	struct network *again = NULL;

	if (network_decode(n->id, n->name, body, &again, &err) < 0)
		fail_msg("%s: %s", err.text, body);
	assert_string_equal(again->id, n->id);
	assert_string_equal(again->name, n->name);
	assert_ptr_equal(again->driver, n->driver);
	assert_int_equal(again->state, OBJ_CREATING);
	return again;
}

static json_t *strings(const char *text)
{
	json_t *o = json_loads(text, 0, NULL);

	assert_non_null(o);
	return o;
}

static void fill_network(struct network *n)
{
	struct cnm_ip taken;

	n->created = INT64_C(1234567890123456789);
	n->predefined = n->ipv6 = n->internal = n->attachable = n->borrowed_link = true;
	n->ipv4 = n->config_only = true;
	n->config_from = strdup("conf\n\"ig");
	json_decref(n->options);
	json_decref(n->labels);
	json_decref(n->ipam_options);
	n->options = strings("{\"o\":\"1\",\"\":\"\"}");
	n->labels = strings("{\"l\":\"\\u00e4\"}");
	n->ipam_options = strings("{\"i\":\"x\"}");
	n->config_pools = strings("[{\"Subnet\":\"10.0.0.0/8\"}]");
	add_pool(n, "10.7.0.0/16", "10.7.0.1");
	assert_int_equal(prefix_parse(&n->pools[0].range, "10.7.4.0/24"), 0);
	ipam_pool_free(n->pools[0].taken);
	assert_int_equal(ipam_pool_new(&n->pools[0].taken, &n->pools[0].subnet, &n->pools[0].range),
			 0);
	assert_int_equal(ipam_pool_take(n->pools[0].taken, &n->pools[0].gateway), 0);
	assert_int_equal(ipam_pool_next(n->pools[0].taken, &taken), 0);
	assert_int_equal(ipam_pool_next(n->pools[0].taken, &taken), 0);
	n->pools[0].aux = strings("{\"router\":\"10.7.4.9\"}");
	add_pool(n, "fd07::/64", NULL);
}

static void expect_same_network(const struct network *a, const struct network *b)
{
	assert_int_equal(a->created, b->created);
	assert_true(a->predefined == b->predefined && a->ipv4 == b->ipv4 && a->ipv6 == b->ipv6 &&
		    a->internal == b->internal && a->attachable == b->attachable &&
		    a->config_only == b->config_only && a->borrowed_link == b->borrowed_link);
	assert_int_equal(!a->config_from, !b->config_from);
	if (a->config_from)
		assert_string_equal(a->config_from, b->config_from);
	assert_true(json_equal(a->options, b->options) && json_equal(a->labels, b->labels) &&
		    json_equal(a->ipam_options, b->ipam_options));
	assert_true(a->config_pools == b->config_pools ||
		    json_equal(a->config_pools, b->config_pools));
	assert_int_equal(a->n_pools, b->n_pools);
	for (unsigned i = 0; i < a->n_pools; i++) {
		const struct network_pool *p = &a->pools[i], *q = &b->pools[i];
		struct cnm_ip pc = ipam_pool_cursor(p->taken), qc = ipam_pool_cursor(q->taken);

		assert_int_equal(prefix_cmp(&p->subnet, &q->subnet), 0);
		assert_int_equal(prefix_cmp(&p->range, &q->range), 0);
		assert_int_equal(ip_cmp(&p->gateway, &q->gateway), 0);
		assert_int_equal(ip_cmp(&pc, &qc), 0);
		assert_true(p->aux == q->aux || json_equal(p->aux, q->aux));
	}
}

static void test_network_row(void **state)
{
	for (unsigned full = 0; full < 2; full++) {
		struct network *n = network_new("net", driver_by_name("bridge")), *again;
		_free_ char *body = NULL, *body2 = NULL;

		if (full)
			fill_network(n);
		body = network_encode(n);
		assert_non_null(body);
		again = network_again(n, body);
		expect_same_network(n, again);
		body2 = network_encode(again);
		assert_string_equal(body, body2);
		if (full) {
			struct cnm_ip aux = ip("10.7.4.9");

			assert_true(ipam_pool_is_taken(again->pools[0].taken, &aux));
			assert_true(ipam_pool_is_taken(again->pools[0].taken,
						       &again->pools[0].gateway));
		}
		network_free(again);
		network_free(n);
	}
}

/* Each flag has a member of its own. */
static void test_network_flags(void **state)
{
	struct network *n = network_new("net", driver_by_name("bridge"));
	bool *const flags[] = { &n->predefined, &n->ipv4,        &n->ipv6,         &n->internal,
				&n->attachable, &n->config_only, &n->borrowed_link };

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		_free_ char *body = NULL;
		struct network *again;

		for (size_t k = 0; k < ARRAY_LEN(flags); k++)
			*flags[k] = k == i;
		body = network_encode(n);
		again = network_again(n, body);
		expect_same_network(n, again);
		network_free(again);
	}
	network_free(n);
}

static void fill_endpoint(struct endpoint *ep)
{
	ep->created = -7;
	ep->declared = ep->fixed_mac = true;
	ep->ip4 = ip("10.7.0.9");
	ep->ip6 = ip("fd07::9");
	assert_int_equal(mac_parse(&ep->mac, "02:42:0a:07:00:09"), 0);
	ep->link_local[0] = ip("169.254.7.7");
	ep->link_local[1] = ip("fe80::7");
	ep->link_local[2] = ip("fe80::8");
	ep->link_local[3] = ip("fe80::9");
	ep->n_link_local = 4;
	json_decref(ep->aliases);
	json_decref(ep->driver_opts);
	ep->aliases = strings("[\"web\",\"db\"]");
	json_decref(ep->links);
	ep->driver_opts = strings("{\"k\":\"v\"}");
	ep->links = strings("{\"db\":\"aa\",\"other\":\"bb\"}");
	ep->gw_priority = INT_MIN;
	strcpy(ep->ifname, "fifteen-letters");
}

static void expect_same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	assert_string_equal(a->id, b->id);
	assert_string_equal(a->name, b->name);
	assert_ptr_equal(a->network, b->network);
	assert_int_equal(a->created, b->created);
	assert_true(a->declared == b->declared && a->fixed_mac == b->fixed_mac);
	assert_int_equal(ip_cmp(&a->ip4, &b->ip4), 0);
	assert_int_equal(ip_cmp(&a->ip6, &b->ip6), 0);
	assert_memory_equal(&a->mac, &b->mac, sizeof(a->mac));
	assert_int_equal(a->n_link_local, b->n_link_local);
	for (unsigned i = 0; i < a->n_link_local; i++)
		assert_true(ip_eq(&a->link_local[i], &b->link_local[i]));
	assert_true(json_equal(a->aliases, b->aliases) &&
		    json_equal(a->driver_opts, b->driver_opts) && json_equal(a->links, b->links));
	assert_int_equal(a->gw_priority, b->gw_priority);
	assert_string_equal(a->ifname, b->ifname);
}

static void test_endpoint_row(void **state)
{
	struct network *n = network_new("net", driver_by_name("bridge"));

	for (unsigned full = 0; full < 2; full++) {
		struct endpoint *ep = endpoint_new("con", n), *again = NULL;
		_free_ char *body = NULL;
		struct cnm_error err = { 0 };

		if (full)
			fill_endpoint(ep);
		body = endpoint_encode(ep);
		assert_non_null(body);
		assert_int_equal(endpoint_decode(ep->id, "con", n, body, &again, &err), 0);
		assert_string_equal(err.text, "");
		expect_same_endpoint(ep, again);
		assert_null(again->sandbox);
		endpoint_free(again);
		endpoint_free(ep);
	}
	network_free(n);
}

/* Ports that it wants, that it exposes and that it has. */
static void fill_ports(struct sandbox *sb)
{
	json_t *wants = strings("[[\"tcp\",\"\",80,80,0,0],[\"udp\",\"::1\",1,9,1,9]]");
	json_t *exposed = strings("[[\"tcp\",80,81],[\"sctp\",9,9]]");
	json_t *ports = strings("[[\"tcp\",80,80,32768,\"nat\",\"0.0.0.0\",\"proxy\",\"::\"]]");

	assert_int_equal(port_wants_decode(wants, &sb->wants, &sb->n_wants), 0);
	assert_int_equal(port_runs_decode(exposed, &sb->exposed, &sb->n_exposed), 0);
	assert_int_equal(ports_decode(ports, sb, &sb->ports, &sb->n_ports), 0);
	json_decref(wants);
	json_decref(exposed);
	json_decref(ports);
}

static void expect_same_ports(const struct sandbox *a, const struct sandbox *b)
{
	assert_int_equal(a->confined, b->confined);
	assert_int_equal(a->n_wants, b->n_wants);
	assert_int_equal(a->n_exposed, b->n_exposed);
	assert_int_equal(a->n_ports, b->n_ports);
	for (unsigned i = 0; i < a->n_wants; i++)
		assert_memory_equal(&a->wants[i], &b->wants[i], sizeof(a->wants[i]));
	for (unsigned i = 0; i < a->n_exposed; i++)
		assert_memory_equal(&a->exposed[i], &b->exposed[i], sizeof(a->exposed[i]));
	for (unsigned i = 0; i < a->n_ports; i++) {
		assert_int_equal(a->ports[i].host_first, b->ports[i].host_first);
		assert_memory_equal(a->ports[i].by, b->ports[i].by, sizeof(a->ports[i].by));
		assert_ptr_equal(b->ports[i].sandbox, b);
	}
}

static void fill_names(struct sandbox *sb)
{
	sb->domainname = strdup("example.org");
	sb->dns = strings("[\"10.0.0.1\",\"fe80::1%eth0\"]");
	sb->dns_search = strings("[\".\"]");
	sb->dns_options = strings("[\"ndots:2\",\"rotate\"]");
	sb->extra_hosts = strings("[\"a:10.0.0.9\",\"gw:host-gateway\",\"six:fd00::1\"]");
}

static void expect_same_list(json_t *a, json_t *b)
{
	assert_true((!a && !b) || json_equal(a, b));
}

static void expect_same_names(const struct sandbox *a, const struct sandbox *b)
{
	if (a->domainname)
		assert_string_equal(a->domainname, b->domainname);
	else
		assert_null(b->domainname);
	expect_same_list(a->dns, b->dns);
	expect_same_list(a->dns_search, b->dns_search);
	expect_same_list(a->dns_options, b->dns_options);
	expect_same_list(a->extra_hosts, b->extra_hosts);
}

static void test_sandbox_row(void **state)
{
	static const enum netns_source sources[] = { NETNS_OWN, NETNS_HOST, NETNS_ADOPTED,
						     NETNS_FOREIGN };

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		struct sandbox *sb = sandbox_new("con"), *again = NULL;
		struct cnm_error err = { 0 };
		_free_ char *body = NULL;

		sb->created = 77;
		sb->hostname = strdup("host.example");
		sb->source = sources[i];
		json_object_set_new(sb->labels, "k", json_string("v"));
		if (sb->source == NETNS_ADOPTED)
			sb->adopted_from = strdup("/proc/7/ns/net");
		sb->confined = i == 0;
		if (i > 0)
			fill_ports(sb);
		if (i == 1)
			fill_names(sb);
		body = sandbox_encode(sb);
		assert_non_null(body);
		assert_int_equal(sandbox_decode(sb->id, "con", body, &again, &err), 0);
		assert_string_equal(again->id, sb->id);
		assert_string_equal(again->name, "con");
		assert_string_equal(again->hostname, "host.example");
		assert_int_equal(again->created, 77);
		assert_int_equal(again->source, sources[i]);
		assert_true(json_equal(again->labels, sb->labels));
		if (sb->source == NETNS_ADOPTED)
			assert_string_equal(again->adopted_from, "/proc/7/ns/net");
		else
			assert_null(again->adopted_from);
		expect_same_ports(sb, again);
		expect_same_names(sb, again);
		sandbox_free(again);
		sandbox_free(sb);
	}
}

/* A hostname that is not there is the name; what is published and linked is nothing. */
static void test_sandbox_row_of_nothing(void **state)
{
	struct sandbox *sb = NULL;

	assert_int_equal(sandbox_decode("aa", "con", "{}", &sb, NULL), 0);
	assert_string_equal(sb->hostname, "con");
	assert_int_equal(sb->source, NETNS_OWN);
	assert_false(sb->confined);
	assert_true(!sb->wants && !sb->exposed && !sb->ports);
	assert_int_equal(sb->n_wants + sb->n_exposed + sb->n_ports, 0);
	assert_null(sb->domainname);
	assert_true(!sb->dns && !sb->dns_search && !sb->dns_options && !sb->extra_hosts);
	sandbox_free(sb);
}

/* ---- rows that are damaged */

static const char *const bad_networks[] = {
	"",
	"x",
	"[]",
	"null",
	"\"text\"",
	"{\"driver\":\"bridge\"",
	"{}",
	"{\"driver\":7}",
	"{\"driver\":\"warp\"}",
	"{\"driver\":\"bridge\",\"created\":\"now\"}",
	"{\"driver\":\"bridge\",\"created\":1.5}",
	"{\"driver\":\"bridge\",\"predefined\":1}",
	"{\"driver\":\"bridge\",\"ipv4\":\"true\"}",
	"{\"driver\":\"bridge\",\"ipv6\":[]}",
	"{\"driver\":\"bridge\",\"internal\":0}",
	"{\"driver\":\"bridge\",\"attachable\":{}}",
	"{\"driver\":\"bridge\",\"config_only\":\"\"}",
	"{\"driver\":\"bridge\",\"borrowed_link\":7}",
	"{\"driver\":\"bridge\",\"config_from\":true}",
	"{\"driver\":\"bridge\",\"options\":[]}",
	"{\"driver\":\"bridge\",\"options\":{\"a\":1}}",
	"{\"driver\":\"bridge\",\"labels\":{\"a\":null}}",
	"{\"driver\":\"bridge\",\"ipam_options\":\"x\"}",
	"{\"driver\":\"bridge\",\"config_pools\":{}}",
	"{\"driver\":\"bridge\",\"pools\":{}}",
	"{\"driver\":\"bridge\",\"pools\":[7]}",
	"{\"driver\":\"bridge\",\"pools\":[{}]}",
	"{\"driver\":\"bridge\",\"pools\":[{\"subnet\":7}]}",
	"{\"driver\":\"bridge\",\"pools\":[{\"subnet\":\"10.0.0.0\"}]}",
	"{\"driver\":\"bridge\",\"pools\":[{\"subnet\":\"10.0.0.1/8\"}]}",
	"{\"driver\":\"bridge\",\"pools\":[{\"subnet\":\"10.0.0.0/8\",\"range\":\"11.0.0.0/16\"}]}",
	"{\"driver\":\"bridge\",\"pools\":[{\"subnet\":\"10.0.0.0/8\",\"range\":[]}]}",
	"{\"driver\":\"bridge\",\"pools\":[{\"subnet\":\"10.0.0.0/8\",\"gateway\":\"10.0.0\"}]}",
	"{\"driver\":\"bridge\",\"pools\":[{\"subnet\":\"10.0.0.0/8\",\"cursor\":1}]}",
	"{\"driver\":\"bridge\",\"pools\":[{\"subnet\":\"10.0.0.0/8\",\"aux\":[]}]}",
	"{\"driver\":\"bridge\",\"pools\":[{\"subnet\":\"10.0.0.0/8\",\"aux\":{\"a\":1}}]}",
	"{\"driver\":\"bridge\",\"pools\":[{\"subnet\":\"10.0.0.0/8\",\"aux\":{\"a\":\"x\"}}]}",
	"{\"driver\":\"bridge\",\"pools\":[{\"subnet\":\"10.0.0.0/8\"},{\"subnet\":\"11.0.0.0/8\"},{}]}",
};

static void test_bad_network_rows(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_networks); i++) {
		struct cnm_error err = { 0 };
		struct network *n = (void *)&err;

		if (network_decode("aa", "net", bad_networks[i], &n, &err) >= 0)
			fail_msg("accepted %s", bad_networks[i]);
		assert_ptr_equal(n, &err);
		assert_string_not_equal(err.text, "");
	}
}

static const char *const bad_endpoints[] = {
	"",
	"[]",
	"{\"created\":\"x\"}",
	"{\"declared\":1}",
	"{\"fixed_mac\":\"yes\"}",
	"{\"ip4\":7}",
	"{\"ip4\":\"10.0.0.256\"}",
	"{\"ip6\":\"fd00::x\"}",
	"{\"mac\":false}",
	"{\"mac\":\"02:42\"}",
	"{\"link_local\":{}}",
	"{\"link_local\":[7]}",
	"{\"link_local\":[\"fe80::1\",\"x\"]}",
	"{\"link_local\":[\"fe80::1\",\"fe80::2\",\"fe80::3\",\"fe80::4\",\"fe80::5\"]}",
	"{\"aliases\":\"web\"}",
	"{\"aliases\":[\"web\",7]}",
	"{\"aliases\":[null]}",
	"{\"driver_opts\":[]}",
	"{\"driver_opts\":{\"a\":true}}",
	"{\"links\":[]}",
	"{\"links\":{\"a\":1}}",
	"{\"gw_priority\":\"1\"}",
	"{\"gw_priority\":2147483648}",
	"{\"gw_priority\":-2147483649}",
	"{\"ifname\":1}",
	"{\"ifname\":\"sixteen-letters-\"}",
};

static void test_bad_endpoint_rows(void **state)
{
	struct network *n = network_new("net", driver_by_name("bridge"));

	for (size_t i = 0; i < ARRAY_LEN(bad_endpoints); i++) {
		struct cnm_error err = { 0 };
		struct endpoint *ep = (void *)&err;

		if (endpoint_decode("aa", "con", n, bad_endpoints[i], &ep, &err) >= 0)
			fail_msg("accepted %s", bad_endpoints[i]);
		assert_ptr_equal(ep, &err);
		assert_string_not_equal(err.text, "");
	}
	network_free(n);
}

static const char *const bad_sandboxes[] = {
	"",
	"7",
	"{\"created\":true}",
	"{\"hostname\":1}",
	"{\"source\":1}",
	"{\"source\":\"moon\"}",
	"{\"source\":\"\"}",
	"{\"source\":\"adopted\"}",
	"{\"source\":\"adopted\",\"adopted_from\":[]}",
	"{\"labels\":\"x\"}",
	"{\"labels\":{\"a\":[]}}",
	"{\"confined\":1}",
	"{\"domainname\":7}",
	"{\"dns\":\"10.0.0.1\"}",
	"{\"dns\":[10]}",
	"{\"dns_search\":{}}",
	"{\"dns_options\":[[]]}",
	"{\"extra_hosts\":[null]}",
	"{\"publish\":{}}",
	"{\"publish\":[[\"tcp\",\"\",0,80,80,80]]}",
	"{\"exposed\":7}",
	"{\"exposed\":[[\"tcp\",80]]}",
	"{\"ports\":\"80\"}",
	"{\"ports\":[[\"tcp\",80,80,80,\"none\",\"\",\"none\",\"\"]]}",
};

static void test_bad_sandbox_rows(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_sandboxes); i++) {
		struct cnm_error err = { 0 };
		struct sandbox *sb = (void *)&err;

		if (sandbox_decode("aa", "con", bad_sandboxes[i], &sb, &err) >= 0)
			fail_msg("accepted %s", bad_sandboxes[i]);
		assert_ptr_equal(sb, &err);
		assert_string_not_equal(err.text, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_network_row),
		cmocka_unit_test(test_network_flags),
		cmocka_unit_test(test_endpoint_row),
		cmocka_unit_test(test_sandbox_row),
		cmocka_unit_test(test_sandbox_row_of_nothing),
		cmocka_unit_test(test_bad_network_rows),
		cmocka_unit_test(test_bad_endpoint_rows),
		cmocka_unit_test(test_bad_sandbox_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
