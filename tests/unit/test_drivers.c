/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Drivers: what they plan, and what they refuse.
 *
 * Objects have fixed ids, so a situation always gives the same plan. The plans are compared with
 * the files in golden/; CNM_UPDATE_GOLDEN=1 writes those, and whoever sets it reads the difference.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "unit.h"

#include "base/cleanup.h"
#include "drivers/driver.h"
#include "drivers/options.h"

/* ---- a world: one network, and a sandbox on it */

struct world {
	struct model model;
	struct driver_env env;
	struct network *n;
	struct sandbox *sb;
	struct endpoint *ep;
};

static unsigned char next_id;

/* 0x01 0x01 ..., then 0x02 0x02 ...: no two alike, and the same in each run. */
static void fill(void *buf, unsigned n)
{
	memset(buf, ++next_id, n);
}

static void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	next_id = 0xa0;
	id_set_source(fill);
	model_init(&w->model);
	w->env = (struct driver_env){ .instance = "cnm", .model = &w->model };
}

static void world_free(struct world *w)
{
	model_free(&w->model);
	id_set_source(NULL);
}

/* "a=1 b=2" into an object of strings; a value may have anything but a space. */
static void put_options(json_t *o, const char *options)
{
	_free_ char *copy = strdup(options);
	char *at = NULL;

	for (char *s = strtok_r(copy, " ", &at); s; s = strtok_r(NULL, " ", &at)) {
		char *eq = strchr(s, '=');

		assert_non_null(eq);
		*eq = '\0';
		assert_int_equal(json_object_set_new(o, s, json_string(eq + 1)), 0);
	}
}

static void add_pool(struct network *n, const char *subnet)
{
	struct network_pool *p = &n->pools[n->n_pools];

	assert_int_equal(prefix_parse(&p->subnet, subnet), 0);
	assert_int_equal(ipam_pool_new(&p->taken, &p->subnet, NULL), 0);
	n->n_pools++;
	if (!n->driver->wants_gateway || n->driver->wants_gateway(n, p->subnet.ip.family))
		assert_int_equal(ipam_pool_first(p->taken, &p->gateway), 0);
}

struct situation {
	const char *name, *options, *endpoint_options;
	bool no_ipv4, ipv6, internal, predefined, borrowed;
	const char *link_local;
	const char *driver;        /* NULL: bridge */
	const char *vtep, *remote; /* this host's, and of one on which the endpoint is then */
	unsigned mtu;              /* of the uplinks */
	bool confined, unclaimed;  /* without a VXLAN id */
	const char *join;          /* what a plugin answered; "": nothing yet */
};

/* Until the check of the network, as a request does it. */
static int add_network(struct world *w, const struct situation *s, struct cnm_error *err)
{
	int r;

	w->env.mtu = s->mtu;
	if (s->vtep)
		assert_int_equal(ip_parse(&w->env.vtep, s->vtep), 0);
	w->n = network_new("net", driver_of_row(s->driver ? s->driver : "bridge"));
	assert_non_null(w->n);
	if (network_is_global(w->n) && !s->unclaimed)
		w->n->facts = json_pack("{s:i}", "vxlan_id", 4097);
	w->n->ipv4 = !s->no_ipv4;
	w->n->ipv6 = s->ipv6;
	w->n->internal = s->internal;
	if (s->join)
		w->n->plugin = strdup("plug");
	w->n->predefined = s->predefined;
	w->n->borrowed_link = s->borrowed;
	put_options(w->n->options, s->options ? s->options : "");
	r = w->n->driver->network_parse(w->n, &w->env, err);
	if (r == 0 && w->n->ipv4)
		add_pool(w->n, "172.18.0.0/16");
	if (r == 0 && w->n->ipv6)
		add_pool(w->n, "fd00:1::/64");
	if (r == 0 && w->n->driver->network_check)
		r = w->n->driver->network_check(w->n, &w->env, err);
	if (r == 0)
		assert_int_equal(model_add_network(&w->model, w->n), 0);
	else
		network_free(w->n);
	return r;
}

static int add_endpoint(struct world *w, const struct situation *s, struct cnm_error *err)
{
	struct cnm_ip *const ips[] = { &w->ep->ip4, &w->ep->ip6 };
	const int families[] = { AF_INET, AF_INET6 };
	const char *ifname;

	put_options(w->ep->driver_opts, s->endpoint_options ? s->endpoint_options : "");
	for (unsigned i = 0; i < 2; i++)
		if (network_pool(w->n, families[i]))
			ipam_pool_next(network_pool(w->n, families[i])->taken, ips[i]);
	assert_int_equal(mac_parse(&w->ep->mac, "02:42:ac:12:00:02"), 0);
	if (s->link_local)
		assert_int_equal(ip_parse(&w->ep->link_local[w->ep->n_link_local++], s->link_local),
				 0);
	ifname = json_string_value(
		json_object_get(w->ep->driver_opts, "com.docker.network.endpoint.ifname"));
	if (ifname)
		str_copy(w->ep->ifname, sizeof(w->ep->ifname), ifname);
	else
		snprintf(w->ep->ifname, IFNAMSIZ, "%s0",
			 w->n->driver->iface_prefix ? w->n->driver->iface_prefix(w->n) : "eth");
	return w->n->driver->endpoint_check(w->ep, &w->env, err);
}

static int join(struct world *w, const struct situation *s, struct cnm_error *err)
{
	int r;

	w->sb = sandbox_new("con1");
	assert_non_null(w->sb);
	assert_int_equal(model_add_sandbox(&w->model, w->sb), 0);
	w->ep = endpoint_new("con1", w->n);
	assert_non_null(w->ep);
	assert_int_equal(model_add_endpoint(&w->model, w->ep), 0);
	r = add_endpoint(w, s, err);
	if (r < 0)
		return r;
	if (s->remote) {
		strcpy(w->ep->host, "another");
		return ip_parse(&w->ep->vtep, s->remote);
	}
	w->sb->confined = s->confined;
	if (s->join && s->join[0]) {
		json_t *o = json_loads(s->join, 0, NULL);

		w->ep->join = calloc(1, sizeof(*w->ep->join));
		assert_int_equal(join_decode(o, w->ep->join, NULL), 0);
		json_decref(o);
	}
	w->ep->sandbox = w->sb;
	list_append(&w->sb->endpoints, &w->ep->in_sandbox);
	return 0;
}

/* ---- plans */

static char *plan_of(const struct situation *s)
{
	struct cnm_error err = { 0 };
	struct plan p = { 0 };
	struct world w;
	char *text;

	world_init(&w);
	if (add_network(&w, s, &err) < 0 || join(&w, s, &err) < 0)
		fail_msg("%s: %s", s->name, err.text);
	if (w.n->driver->network_plan)
		w.n->driver->network_plan(w.n, &w.env, &p);
	w.n->driver->endpoint_plan(w.ep, &w.env, &p);
	if (s->remote && w.n->driver->host_plan)
		w.n->driver->host_plan(w.n, &w.ep->vtep, &w.env, &p);
	assert_int_equal(plan_check(&p, NULL), 0);
	text = plan_text(&p);
	plan_free(&p);
	world_free(&w);
	assert_non_null(text);
	return text;
}

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	if (!f)
		return NULL;
	if (getdelim(&text, &size, '\0', f) < 0) {
		free(text);
		text = strdup("");
	}
	fclose(f);
	return text;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		fail_msg("cannot write %s", path);
}

/* The files lie beside this one. */
static void golden_path(const char *name, char *path, size_t size)
{
	const char *slash = strrchr(__FILE__, '/');

	snprintf(path, size, "%.*s/golden/%s.plan", slash ? (int)(slash - __FILE__) : 1,
		 slash ? __FILE__ : ".", name);
}

static void expect_golden(const struct situation *s)
{
	_free_ char *got = plan_of(s), *again = plan_of(s), *want = NULL;
	char path[512];

	assert_string_equal(got, again);
	golden_path(s->name, path, sizeof(path));
	if (getenv("CNM_UPDATE_GOLDEN"))
		write_file(path, got);
	want = read_file(path);
	if (!want)
		fail_msg("there is no %s: CNM_UPDATE_GOLDEN=1 writes it", path);
	if (strcmp(got, want) != 0)
		fail_msg("%s differs; CNM_UPDATE_GOLDEN=1 writes it anew:\n%s", path, got);
}

#define NET "com.docker.network."
#define BR  NET "bridge."
#define EP  NET "endpoint."

static void test_golden(void **state)
{
	static const struct situation situations[] = {
		{ .name = "plain" },
		{ .name = "predefined", .options = BR "name=cnm0", .predefined = true },
		{ .name = "named", .options = BR "name=blue0 " NET "container_iface_prefix=net" },
		{ .name = "borrowed", .options = BR "name=blue0", .borrowed = true },
		{ .name = "ipv6", .ipv6 = true },
		{ .name = "ipv6-only", .ipv6 = true, .no_ipv4 = true },
		{ .name = "internal", .ipv6 = true, .internal = true },
		{ .name = "isolated",
		  .ipv6 = true,
		  .internal = true,
		  .options = BR "gateway_mode_ipv4=isolated " BR "gateway_mode_ipv6=isolated" },
		{ .name = "routed",
		  .ipv6 = true,
		  .options = BR "gateway_mode_ipv4=routed " BR "gateway_mode_ipv6=routed" },
		{ .name = "routed-ipv6", .ipv6 = true, .options = BR "gateway_mode_ipv6=routed" },
		{ .name = "nat-unprotected",
		  .ipv6 = true,
		  .options = BR "gateway_mode_ipv4=nat-unprotected " BR
				"gateway_mode_ipv6=nat-unprotected" },
		{ .name = "no-icc", .ipv6 = true, .options = BR "enable_icc=false" },
		{ .name = "no-masquerade", .ipv6 = true, .options = BR "enable_ip_masquerade=0" },
		{ .name = "host-address",
		  .ipv6 = true,
		  .options = NET "host_ipv4=192.0.2.7 " NET "host_ipv6=2001:db8::7" },
		{ .name = "mtu", .options = NET "driver.mtu=1400" },
		{ .name = "inhibit-ipv4", .ipv6 = true, .options = BR "inhibit_ipv4=true" },
		{ .name = "inhibit-ipv4-internal",
		  .internal = true,
		  .options = BR "inhibit_ipv4=true" },
		{ .name = "endpoint-options",
		  .endpoint_options = EP "ifname=wan.7 " EP "sysctls="
					 "net.ipv4.conf.IFNAME.log_martians=1,"
					 "net.ipv6.conf.IFNAME.hop_limit=9" },
		{ .name = "link-local", .ipv6 = true, .link_local = "169.254.7.7" },
	};

	for (size_t i = 0; i < ARRAY_LEN(situations); i++)
		expect_golden(&situations[i]);
}

#define PLUG .driver = "remote", .ipv6 = true

/* What an endpoint of a plugin's network needs follows from what the plugin answered. */
static void test_golden_plugin(void **state)
{
	static const struct situation situations[] = {
		{ PLUG, .name = "plugin", .join = "{\"InterfaceName\":{\"SrcName\":\"vethx\"}}" },
		{ PLUG, .name = "plugin-nothing", .join = "" },
		{ PLUG, .name = "plugin-nothing", .join = "{\"Gateway\":\"172.18.0.1\"}" },
		{ PLUG, .name = "plugin-routes",
		  .endpoint_options = EP "sysctls=net.ipv4.conf.IFNAME.log_martians=1 any=thing",
		  .join = "{\"InterfaceName\":{\"SrcName\":\"vethx\"},\"StaticRoutes\":["
			  "{\"Destination\":\"10.1.2.3/8\",\"RouteType\":0,"
			  "\"NextHop\":\"172.18.0.9\"},"
			  "{\"Destination\":\"fd09::/64\",\"RouteType\":1}]}" },
		{ .driver = "remote-global",
		  .name = "plugin-elsewhere",
		  .vtep = "192.0.2.1",
		  .remote = "192.0.2.2",
		  .join = "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(situations); i++)
		expect_golden(&situations[i]);
}

static void test_golden_ovs(void **state)
{
	static const struct situation situations[] = {
		{ .driver = "ovs", .name = "ovs", .mtu = 1500 },
		{ .driver = "ovs",
		  .name = "ovs-options",
		  .ipv6 = true,
		  .options = "cnm.ovs.bridge=trunk0 cnm.ovs.vlan=7 " NET "driver.mtu=1400",
		  .endpoint_options = EP "ifname=wan" },
	};

	for (size_t i = 0; i < ARRAY_LEN(situations); i++)
		expect_golden(&situations[i]);
}

#define OV .driver = "overlay"

static void test_golden_overlay(void **state)
{
	static const struct situation situations[] = {
		{ OV, .name = "overlay", .vtep = "192.0.2.1", .mtu = 9000 },
		{ OV, .name = "overlay-ipv6", .vtep = "2001:db8::1", .ipv6 = true },
		{ OV, .name = "overlay-options", .vtep = "192.0.2.1",
		  .options = NET "driver.mtu=1400 cnm.vxlan.port=8472 cnm.antispoof=on" },
		{ OV, .name = "overlay-no-icc", .vtep = "192.0.2.1", .options = BR "enable_icc=0" },
		{ OV, .name = "overlay-confined", .vtep = "192.0.2.1", .confined = true },
		{ OV, .name = "overlay-remote", .vtep = "192.0.2.1", .remote = "192.0.2.2",
		  .ipv6 = true, .link_local = "169.254.7.7" },
		{ OV, .name = "overlay-no-broadcast", .vtep = "192.0.2.1", .remote = "192.0.2.2",
		  .options = "cnm.broadcast=off" },
		/* Those that no frame can be sent to, and networks that cannot leave the host. */
		{ OV, .name = "overlay-out-of-reach", .vtep = "192.0.2.1",
		  .remote = "2001:db8::2" },
		{ OV, .name = "overlay-out-of-reach", .vtep = "192.0.2.1", .remote = "0.0.0.0" },
		{ OV, .name = "overlay-out-of-reach", .vtep = "192.0.2.1", .remote = "239.1.1.1" },
		{ OV, .name = "overlay-out-of-reach", .vtep = "192.0.2.1", .remote = "192.0.2.1" },
		{ OV, .name = "overlay-alone", .remote = "192.0.2.2" },
		{ OV, .name = "overlay-alone", .vtep = "192.0.2.1", .remote = "192.0.2.2",
		  .unclaimed = true },
		{ OV, .name = "overlay-smallest", .vtep = "2001:db8::1", .mtu = 1280,
		  .ipv6 = true },
	};

	for (size_t i = 0; i < ARRAY_LEN(situations); i++)
		expect_golden(&situations[i]);
}

/* What the store says of other hosts' endpoints is not believed blindly. */
static void test_hostile_peers(void **state)
{
	static const char *const macs[] = { "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff",
					    "01:00:5e:00:00:01" };
	static const long ids[] = { 0, -1, 1 << 24, 1ll << 32 | 7 };
	struct situation s = { OV, .vtep = "192.0.2.1", .remote = "192.0.2.2" };
	struct plan p = { 0 };
	struct world w;

	world_init(&w);
	assert_int_equal(add_network(&w, &s, NULL), 0);
	assert_int_equal(join(&w, &s, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(macs); i++) {
		assert_int_equal(mac_parse(&w.ep->mac, macs[i]), 0);
		w.n->driver->endpoint_plan(w.ep, &w.env, &p);
		assert_int_equal(p.n, 0);
	}
	assert_int_equal(mac_parse(&w.ep->mac, "02:00:00:00:00:01"), 0);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		json_object_set_new(w.n->facts, "vxlan_id", json_integer(ids[i]));
		w.n->driver->endpoint_plan(w.ep, &w.env, &p);
		assert_int_equal(p.n, 0);
	}
	json_object_set_new(w.n->facts, "vxlan_id", json_string("7"));
	w.n->driver->host_plan(w.n, &w.ep->vtep, &w.env, &p);
	assert_int_equal(p.n, 0);
	plan_free(&p);
	world_free(&w);
}

/* The id asked for is the one to be claimed; what has been claimed stays. */
static void test_vxlan_id_asked_for(void **state)
{
	for (unsigned claimed = 0; claimed < 2; claimed++) {
		struct situation s = { OV, .options = NET "driver.overlay.vxlanid_list=300",
				       .unclaimed = !claimed };
		struct world w;

		world_init(&w);
		assert_int_equal(add_network(&w, &s, NULL), 0);
		assert_int_equal(json_integer_value(json_object_get(w.n->facts, "vxlan_id")),
				 claimed ? 4097 : 300);
		world_free(&w);
	}
}

/* What is not compared as text: how often an endpoint announces itself. */
static void test_announcements(void **state)
{
	static const struct {
		const char *options;
		unsigned times, ms;
	} cases[] = {
		{ "", 1, 1000 },
		{ NET "advertise_addr_nmsgs=0", 0, 1000 },
		{ NET "advertise_addr_nmsgs=2 " NET "advertise_addr_ms=100", 2, 100 },
	};

	for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
		struct situation s = { .options = cases[k].options };
		struct plan p = { 0 };
		struct world w;
		bool found = false;

		world_init(&w);
		assert_int_equal(add_network(&w, &s, NULL), 0);
		assert_int_equal(join(&w, &s, NULL), 0);
		w.n->driver->endpoint_plan(w.ep, &w.env, &p);
		for (size_t i = 0; i < p.n; i++) {
			if (p.items[i].kind != PLAN_PEER)
				continue;
			found = true;
			assert_int_equal(p.items[i].peer.announce, cases[k].times);
			assert_int_equal(p.items[i].peer.announce_ms, cases[k].ms);
		}
		assert_true(found);
		plan_free(&p);
		world_free(&w);
	}
}

/* Other ids, other MACs; and none is a multicast address or one of a manufacturer's. */
static void test_macs(void **state)
{
	struct cnm_mac seen[64];

	for (unsigned k = 0; k < ARRAY_LEN(seen); k++) {
		struct situation s = { 0 };
		struct plan p = { 0 };
		struct world w;

		world_init(&w);
		next_id = (unsigned char)(k * 3);
		assert_int_equal(add_network(&w, &s, NULL), 0);
		w.n->driver->network_plan(w.n, &w.env, &p);
		for (size_t i = 0; i < p.n; i++)
			if (p.items[i].kind == PLAN_LINK)
				seen[k] = p.items[i].link.mac;
		assert_int_equal(seen[k].b[0] & 3, 2);
		for (unsigned i = 0; i < k; i++)
			assert_false(mac_eq(&seen[i], &seen[k]));
		plan_free(&p);
		world_free(&w);
	}
}

/* ---- refusals */

static void expect_refusal(const struct situation *s, enum cnm_error_class class, const char *text)
{
	struct cnm_error err = { 0 };
	struct world w;
	int r;

	world_init(&w);
	r = add_network(&w, s, &err);
	if (r == 0)
		r = join(&w, s, &err);
	world_free(&w);
	assert_string_equal(err.text, text);
	assert_int_equal(err.class, class);
	assert_true(r < 0);
}

static void test_bad_values(void **state)
{
	static const struct {
		const char *key, *why;
		const char *values[6];
	} cases[] = {
		{ BR "name", "it must have 1 to 15 characters", { "", "sixteen-letters-" } },
		{ BR "name", "it is no interface name", { ".", ".." } },
		{ BR "name",
		  "it may not contain a space, a quote, ':', '/' or '\\'",
		  { "a/b", "a:b", "a\"b", "a\\b", "a\tb", "\xc3\xa4" } },
		{ BR "enable_icc", "it must be true or false", { "", "yes", "2", "tRuE" } },
		{ BR "enable_ip_masquerade", "it must be true or false", { "no", "-1" } },
		{ BR "inhibit_ipv4", "it must be true or false", { "maybe" } },
		{ BR "default_bridge", "it must be true or false", { "x" } },
		{ NET "enable_ipv4", "it must be true or false", { "x" } },
		{ NET "enable_ipv6", "it must be true or false", { "" } },
		{ BR "host_binding_ipv4",
		  "it must be an address",
		  { "", "x", "1.2.3", "1.2.3.4/8" } },
		{ BR "gateway_mode_ipv4",
		  "unknown gateway mode; it must be nat, nat-unprotected, routed or isolated",
		  { "", "NAT", "bridge" } },
		{ BR "gateway_mode_ipv6",
		  "unknown gateway mode; it must be nat, nat-unprotected, routed or isolated",
		  { "none" } },
		{ NET "driver.mtu",
		  "it must be 0 or a number from 68 to 65535",
		  { "", "x", "67", "65536", "-1", "1500.5" } },
		{ NET "container_iface_prefix",
		  "it must have 1 to 15 characters",
		  { "", "sixteen-letters-" } },
		{ NET "host_ipv4", "it must be an IPv4 address", { "", "::1", "x", "10.0.0.0/8" } },
		{ NET "host_ipv6",
		  "it must be an IPv6 address",
		  { "", "10.0.0.1", "fe80::1%eth0" } },
		{ NET "advertise_addr_nmsgs",
		  "it must be a number from 0 to 3",
		  { "-1", "4", "x" } },
		{ NET "advertise_addr_ms",
		  "it must be a number of milliseconds from 100 to 2000",
		  { "99", "2001", "1s" } },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t v = 0; v < ARRAY_LEN(cases[i].values) && cases[i].values[v]; v++) {
			char option[128], want[256];

			snprintf(option, sizeof(option), "%s=%s", cases[i].key, cases[i].values[v]);
			snprintf(want, sizeof(want), "failed to parse %s value: %s (%s)",
				 cases[i].key, cases[i].values[v], cases[i].why);
			expect_refusal(&(struct situation){ .options = option }, CNM_E_INVALID,
				       want);
		}
	}
}

#define ONE_ID \
	"it must be one number from 1 to 16777215: a network has one id, however many subnets"

static void test_bad_values_overlay(void **state)
{
	static const struct {
		const char *key, *value, *why;
	} cases[] = {
		{ NET "driver.overlay.vxlanid_list", "0", ONE_ID },
		{ NET "driver.overlay.vxlanid_list", "16777216", ONE_ID },
		{ NET "driver.overlay.vxlanid_list", "300,301", ONE_ID },
		{ "cnm.vxlan.port", "0", "it must be a UDP port from 1 to 65535" },
		{ "cnm.vxlan.port", "65536", "it must be a UDP port from 1 to 65535" },
		{ "cnm.broadcast", "true", "it must be on or off" },
		{ "cnm.antispoof", "", "it must be on or off" },
		{ BR "enable_icc", "x", "it must be true or false" },
		{ "encrypted", "",
		  "overlay networks are not encrypted: nothing would hand the keys to the hosts; "
		  "connect the hosts by WireGuard or IPsec and advertise their addresses there" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char option[128], want[512];

		snprintf(option, sizeof(option), "%s=%s", cases[i].key, cases[i].value);
		snprintf(want, sizeof(want), "failed to parse %s value: %s (%s)", cases[i].key,
			 cases[i].value, cases[i].why);
		expect_refusal(&(struct situation){ OV, .options = option }, CNM_E_INVALID, want);
	}
	expect_refusal(&(struct situation){ OV, .options = BR "name=x" }, CNM_E_INVALID,
		       "option " BR "name is not supported for an overlay network");
	expect_refusal(&(struct situation){ OV, .endpoint_options = "x=y" }, CNM_E_INVALID,
		       "option x is not supported for an overlay endpoint");
	expect_refusal(&(struct situation){ OV, .no_ipv4 = true }, CNM_E_INVALID,
		       "IPv4 or IPv6 must be enabled");
}

static void test_good_values(void **state)
{
	static const char *const options[] = {
		BR "name=a",
		BR "name=fifteen-letters",
		BR "enable_icc=T",
		BR "enable_ip_masquerade=FALSE",
		BR "host_binding_ipv4=127.0.0.1",
		BR "host_binding_ipv4=::",
		NET "driver.mtu=0",
		NET "driver.mtu=68",
		NET "driver.mtu=65535",
		NET "container_iface_prefix=elevenchars",
		NET "enable_ipv4=1",
		NET "enable_ipv6=0",
		NET "advertise_addr_nmsgs=3",
		NET "advertise_addr_ms=2000",
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		free(plan_of(&(struct situation){ .name = options[i], .options = options[i] }));
}

static void test_unknown_options(void **state)
{
	static const char *const keys[] = { "x", BR "nam", BR "name2",
					    "COM.DOCKER.NETWORK.DRIVER.MTU" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		char option[128], want[256];

		snprintf(option, sizeof(option), "%s=true", keys[i]);
		snprintf(want, sizeof(want), "option %s is not supported for a bridge network",
			 keys[i]);
		expect_refusal(&(struct situation){ .options = option }, CNM_E_INVALID, want);
		snprintf(want, sizeof(want), "option %s is not supported for a bridge endpoint",
			 keys[i]);
		expect_refusal(&(struct situation){ .endpoint_options = option }, CNM_E_INVALID,
			       want);
	}
}

static void test_refused_networks(void **state)
{
	expect_refusal(&(struct situation){ .no_ipv4 = true }, CNM_E_INVALID,
		       "IPv4 or IPv6 must be enabled");
	expect_refusal(&(struct situation){ .options = BR "gateway_mode_ipv4=isolated" },
		       CNM_E_INTERNAL,
		       "gateway mode 'isolated' can only be used for an internal network");
	expect_refusal(
		&(struct situation){ .ipv6 = true, .options = BR "gateway_mode_ipv6=isolated" },
		CNM_E_INTERNAL, "gateway mode 'isolated' can only be used for an internal network");
	expect_refusal(&(struct situation){ .options = NET "container_iface_prefix=twelve-chars" },
		       CNM_E_INVALID,
		       "container_iface_prefix twelve-chars is too long: 11 characters at most");
	expect_refusal(&(struct situation){ .options = BR "default_bridge=true" }, CNM_E_FORBIDDEN,
		       "com.docker.network.bridge.default_bridge marks the network \"bridge\" and "
		       "cannot be set on another");
}

/* Subnets that no request should get past. */
static void test_refused_subnets(void **state)
{
	static const struct {
		const char *subnet, *text;
	} cases[] = {
		{ "224.0.1.0/24", "a subnet cannot be of multicast addresses" },
		{ "ff02::/64", "a subnet cannot be of multicast addresses" },
		{ "fe80::/64",
		  "clash with the Kernel-Reserved IPv6 Link Local Network (fe80::/64)" },
		{ "fe80::/10",
		  "clash with the Kernel-Reserved IPv6 Link Local Network (fe80::/64)" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cnm_error err = { 0 };
		struct world w;

		world_init(&w);
		w.n = network_new("net", driver_by_name("bridge"));
		assert_int_equal(w.n->driver->network_parse(w.n, &w.env, &err), 0);
		w.n->ipv4 = w.n->ipv6 = true;
		add_pool(w.n, cases[i].subnet);
		assert_int_equal(w.n->driver->network_check(w.n, &w.env, &err), -EINVAL);
		assert_string_equal(err.text, cases[i].text);
		network_free(w.n);
		world_free(&w);
	}
}

static void test_two_networks_one_bridge(void **state)
{
	struct situation s = { .options = BR "name=blue0" };
	struct cnm_error err = { 0 };
	struct network *first;
	struct world w;
	char want[512];

	world_init(&w);
	assert_int_equal(add_network(&w, &s, &err), 0);
	first = w.n;
	assert_int_equal(first->driver->network_check(first, &w.env, &err), 0);
	w.n = network_new("net2", driver_by_name("bridge"));
	put_options(w.n->options, s.options);
	assert_int_equal(w.n->driver->network_parse(w.n, &w.env, &err), 0);
	assert_true(w.n->driver->network_check(w.n, &w.env, &err) < 0);
	snprintf(want, sizeof(want),
		 "cannot create network %s (blue0): conflicts with network %s (blue0): networks "
		 "have same bridge name",
		 w.n->id, first->id);
	assert_string_equal(err.text, want);
	assert_int_equal(err.class, CNM_E_FORBIDDEN);
	network_free(w.n);
	world_free(&w);
}

static void expect_bad_sysctl(const char *list, const char *named)
{
	char option[1024], want[1024];

	snprintf(option, sizeof(option), EP "sysctls=%s", list);
	snprintf(want, sizeof(want),
		 "unrecognised network interface sysctl '%s'; represent 'net.X.Y.ethN.Z=V' as "
		 "'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'",
		 named);
	expect_refusal(&(struct situation){ .endpoint_options = option }, CNM_E_INVALID, want);
}

static void test_bad_sysctls(void **state)
{
	static const char *const bad[] = {
		"x",
		"net.ipv4.conf.IFNAME.log_martians",
		"net.ipv4.conf.eth0.log_martians=1",
		"net.core.IFNAME.x=1",
		"kernel.IFNAME.x=1",
		"net.ipv4.IFNAME=1",
		"net.ipv4.conf.IFNAME=1",
		"net/ipv4/conf/IFNAME/log_martians=1",
		"net.ipv4.conf./IFNAME.log_martians=1",
		"net.ipv4.conf..IFNAME..=1",
		"=1",
	};
	char longer[600];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect_bad_sysctl(bad[i], bad[i]);
	expect_bad_sysctl("net.ipv4.conf.IFNAME.a=1,net.ipv7.conf.IFNAME.b=2,x",
			  "net.ipv7.conf.IFNAME.b=2");
	expect_bad_sysctl("net.ipv4.conf.IFNAME.a=1,,net.ipv4.conf.IFNAME.b=2", "");
	snprintf(longer, sizeof(longer), "net.ipv4.conf.IFNAME.%0*d=1", 260, 0);
	expect_bad_sysctl(longer, longer);
	snprintf(longer, sizeof(longer), "net.ipv4.conf.IFNAME.a=%0*d", 128, 0);
	expect_bad_sysctl(longer, longer);
}

static void test_bad_endpoint_values(void **state)
{
	char option[700], value[600], want[1400];

	snprintf(value, sizeof(value), "%0*d", 512, 0);
	snprintf(option, sizeof(option), EP "sysctls=%s", value);
	snprintf(want, sizeof(want), "failed to parse " EP "sysctls value: %s (%s)", value,
		 "it is longer than 511 characters");
	expect_refusal(&(struct situation){ .endpoint_options = option }, CNM_E_INVALID, want);
	expect_refusal(&(struct situation){ .endpoint_options = EP "ifname=a/b" }, CNM_E_INVALID,
		       "failed to parse " EP "ifname value: a/b (it may not contain a space, a "
		       "quote, ':', '/' or '\\')");
}

/* ---- the table */

static void test_table(void **state)
{
	for (unsigned i = 0; drivers[i]; i++) {
		assert_non_null(drivers[i]->name);
		assert_string_equal(drivers[i]->scope, drivers[i]->host_plan ? "global" : "local");
		assert_ptr_equal(driver_by_name(drivers[i]->name), drivers[i]);
		assert_true(i == 0 || strcmp(drivers[i - 1]->name, drivers[i]->name) < 0);
		assert_true(!drivers[i]->addresses || drivers[i]->max_subnets > 0);
		assert_true(drivers[i]->addresses || !drivers[i]->endpoint_plan);
	}
	assert_null(driver_by_name(""));
	assert_null(driver_by_name("Bridge"));
	assert_null(driver_by_name("bridg"));
}

static void test_drivers_without_a_link(void **state)
{
	const struct driver *host = driver_by_name("host"), *null = driver_by_name("null");

	assert_true(host->single && host->shares_host && !host->addresses);
	assert_true(null->single && !null->shares_host && !null->addresses);
	assert_true(!host->network_plan && !null->network_plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_golden_overlay),
		cmocka_unit_test(test_golden_plugin),
		cmocka_unit_test(test_golden_ovs),
		cmocka_unit_test(test_hostile_peers),
		cmocka_unit_test(test_vxlan_id_asked_for),
		cmocka_unit_test(test_announcements),
		cmocka_unit_test(test_macs),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_bad_values_overlay),
		cmocka_unit_test(test_good_values),
		cmocka_unit_test(test_unknown_options),
		cmocka_unit_test(test_refused_networks),
		cmocka_unit_test(test_refused_subnets),
		cmocka_unit_test(test_two_networks_one_bridge),
		cmocka_unit_test(test_bad_sysctls),
		cmocka_unit_test(test_bad_endpoint_values),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_drivers_without_a_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
