/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Three hosts, which are namespaces with a link "u0" to a switch, each with an applier of its own,
 * and an overlay network over all. The overlay driver plans what each host has of it, from one list
 * of endpoints that says where they are. One program includes it once.
 */
#ifndef TESTS_OVERLAY_FIXTURE_H
#define TESTS_OVERLAY_FIXTURE_H

#include "rtnl_fixture.h"

#include <sys/stat.h>

#include "drivers/driver.h"
#include "kernel/netns.h"
#include "plan/apply_internal.h"
#include "unit.h"

#define _plan_ _cleanup_(plan_free)
#define _diff_ _cleanup_(plan_diff_free)

#define N_HOSTS 3
#define N_CONS  4

static struct cnm_error err;
static char dir[64];
static struct fdkeep *keeper;

#define assert_ok(call)                                             \
	do {                                                        \
		int r_ = (call);                                    \
		if (r_ < 0)                                         \
			fail_msg("%s: %d %s", #call, r_, err.text); \
	} while (0)

static struct host {
	int ns;
	char pins[96];
	struct applier *applier;
	struct driver_env env;
	struct plan have; /* what was carried out last */
} hosts[N_HOSTS];

/* An endpoint, and the sandbox it is in, of the same number. */
static struct con {
	int host; /* -1: nowhere */
	struct sandbox *sb;
	struct endpoint *ep;
} cons[N_CONS];

static struct network *net;
static unsigned vxlan_port;
static int between; /* the switch's namespace */

/* ---- namespaces */

static void make_host(unsigned i)
{
	char command[256];

	hosts[i].ns = make_ns();
	snprintf(command, sizeof(command),
		 "ip link add p%u master sw up type veth peer name u0 netns /proc/%d/fd/%d", i,
		 getpid(), hosts[i].ns);
	sh_in(between, command);
	snprintf(command, sizeof(command),
		 "ip link set lo up; ip link set u0 up; ip addr add 192.0.2.%u/24 dev u0;"
		 " ip addr add 2001:db8::%u/64 dev u0 nodad",
		 i + 1, i + 1);
	sh_in(hosts[i].ns, command);
}

static void make_hosts(void)
{
	between = make_ns();
	sh_in(between, "ip link add sw type bridge forward_delay 0 mcast_snooping 0;"
		       " ip link set sw up");
	for (unsigned i = 0; i < N_HOSTS; i++)
		make_host(i);
}

static void open_applier(struct host *h)
{
	enter(h->ns);
	assert_ok(applier_new(&h->applier,
			      &(struct applier_options){ .instance = "cnmtest",
							 .netns_dir = h->pins,
							 .run_dir = dir,
							 .fdkeep = keeper },
			      &err));
	enter(home);
}

/* The namespace pinned under this name on a host. */
static int pinned(const struct host *h, const char *name)
{
	char path[160];
	int ns;

	snprintf(path, sizeof(path), "%s/%s", h->pins, name);
	assert_ok(netns_open_path(path, &ns, &err));
	return ns;
}

static void sh_pinned(const struct host *h, const char *name, const char *command)
{
	_close_ int ns = pinned(h, name);

	sh_in(ns, command);
}

/* In the network's place on a host. */
static void sh_place(unsigned host, const char *command)
{
	char name[32];

	snprintf(name, sizeof(name), "ov-%.12s", net->id);
	sh_pinned(&hosts[host], name, command);
}

static void sh_con(unsigned c, const char *command)
{
	sh_pinned(&hosts[cons[c].host], cons[c].sb->name, command);
}

/* ---- the network and its endpoints */

static void add_pool(const char *subnet)
{
	net->pools[net->n_pools++].subnet = prefix_of(subnet);
}

static void make_network(const char *key, const char *value)
{
	net = network_new("net", driver_by_name("overlay"));
	assert_non_null(net);
	net->ipv4 = net->ipv6 = true;
	net->facts = json_pack("{s:i}", "vxlan_id", 4097);
	if (key)
		json_object_set_new(net->options, key, json_string(value));
	vxlan_port = key && streq(key, "cnm.vxlan.port") ? (unsigned)atoi(value) : 4789;
	assert_ok(net->driver->network_parse(net, &hosts[0].env, &err));
	add_pool("10.99.0.0/24");
	add_pool("fd99::/64");
}

/* Endpoint c: 10.99.0.<c + 1>, fd99::<c + 1>. */
static void make_con(unsigned c)
{
	char text[64];
	struct endpoint *ep;

	snprintf(text, sizeof(text), "con%u", c);
	cons[c].host = -1;
	cons[c].sb = sandbox_new(text);
	cons[c].ep = ep = endpoint_new(text, net);
	assert_true(cons[c].sb && ep);
	snprintf(text, sizeof(text), "10.99.0.%u", c + 1);
	ep->ip4 = ip_of(text);
	snprintf(text, sizeof(text), "fd99::%u", c + 1);
	ep->ip6 = ip_of(text);
	snprintf(text, sizeof(text), "02:00:00:00:00:0%u", c + 1);
	ep->mac = mac_of(text);
	strcpy(ep->ifname, "eth0");
}

/* The endpoint as host h sees it. */
static struct endpoint *seen_by(unsigned h, struct con *c)
{
	bool local = c->host == (int)h;

	c->ep->sandbox = local ? c->sb : NULL;
	strcpy(c->ep->host, local ? "" : "another");
	c->ep->vtep = local ? (struct cnm_ip){ 0 } : hosts[c->host].env.vtep;
	return c->ep;
}

/* As the controller does it: nothing of a network without an endpoint here. */
static void plan_of_host(unsigned h, struct plan *p)
{
	const struct driver *d = net->driver;
	bool there[N_HOSTS] = { false };

	for (unsigned c = 0; c < N_CONS; c++)
		if (cons[c].host >= 0)
			there[cons[c].host] = true;
	if (!there[h])
		return;
	d->network_plan(net, &hosts[h].env, p);
	for (unsigned o = 0; o < N_HOSTS; o++)
		if (there[o] && o != h)
			d->host_plan(net, &hosts[o].env.vtep, &hosts[h].env, p);
	for (unsigned c = 0; c < N_CONS; c++) {
		if (cons[c].host < 0)
			continue;
		if (cons[c].host == (int)h)
			plan_add_netns(p, cons[c].sb->id, cons[c].sb->id, cons[c].sb->name, "new");
		d->endpoint_plan(seen_by(h, &cons[c]), &hosts[h].env, p);
	}
	assert_int_equal(plan_check(p, NULL), 0);
}

/* Make it so on one host. Returns what the applier does. */
static int go_host(unsigned h, struct plan *want /* taken if it succeeds */)
{
	_diff_ struct plan_diff d = { 0 };
	int r;

	memset(&err, 0, sizeof(err));
	assert_int_equal(plan_diff(&hosts[h].have, want, &d), 0);
	r = applier_run(hosts[h].applier, &d, &err);
	if (r == 0) {
		plan_free(&hosts[h].have);
		hosts[h].have = *want;
		memset(want, 0, sizeof(*want));
	}
	return r;
}

static void go(void)
{
	for (unsigned h = 0; h < N_HOSTS; h++) {
		_plan_ struct plan want = { 0 };

		plan_of_host(h, &want);
		assert_ok(go_host(h, &want));
	}
}

static void put(unsigned c, int host)
{
	cons[c].host = host;
}

/* What a host has of what is wanted, from all places that are concerned. */
static void dump_host(unsigned h, const struct plan *want, struct plan *have)
{
	const char *places[N_CONS + 2] = { "", net->id };
	unsigned n = 2;

	for (unsigned c = 0; c < N_CONS; c++)
		if (cons[c].host == (int)h)
			places[n++] = cons[c].sb->id;
	applier_enter(hosts[h].applier);
	for (unsigned i = 0; i < n; i++) {
		struct plan part = { 0 };

		assert_ok(applier_dump(hosts[h].applier, want, places[i], &part, &err));
		plan_move(have, &part);
	}
	applier_leave(hosts[h].applier);
}

/* What is there on a host differs from what was carried out like this. */
static void expect_differences(unsigned h, const char *text)
{
	_plan_ struct plan have = { 0 };
	_diff_ struct plan_diff d = { 0 };
	_free_ char *got = NULL;

	dump_host(h, &hosts[h].have, &have);
	assert_int_equal(plan_diff(&have, &hosts[h].have, &d), 0);
	got = plan_diff_text(&d);
	if (!streq(got, text))
		fail_msg("host %u, wanted:\n%sgot:\n%s", h, text, got);
}

/* ---- traffic */

static void ping(unsigned from, const char *address)
{
	char command[128];

	snprintf(command, sizeof(command), "ping -n -q -c1 -W5 %s >/dev/null", address);
	sh_con(from, command);
}

/* ---- each test */

static int fixture_begin(const char *key, const char *value, const char *vtep)
{
	memset(&err, 0, sizeof(err));
	strcpy(dir, "/tmp/cnm-test-overlay.XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_ok(fdkeep_open(&keeper, dir, getenv("CNM_KEEPER"), &err));
	make_hosts();
	for (unsigned h = 0; h < N_HOSTS; h++) {
		char text[64];

		snprintf(text, sizeof(text), "%s%u", vtep, h + 1);
		hosts[h].env = (struct driver_env){ .instance = "cnmtest",
						    .mtu = 1500,
						    .vtep = ip_of(text) };
		snprintf(hosts[h].pins, sizeof(hosts[h].pins), "%s/netns%u", dir, h);
		assert_return_code(mkdir(hosts[h].pins, 0700), errno);
		open_applier(&hosts[h]);
	}
	make_network(key, value);
	for (unsigned c = 0; c < N_CONS; c++)
		make_con(c);
	return 0;
}

/* Nothing is left on a host but what it had at first. */
static void expect_empty(unsigned h)
{
	char command[512];

	snprintf(
		command, sizeof(command),
		"test \"$(ip -br link | cut -d@ -f1 | cut -d' ' -f1 | sort | xargs)\" = \"lo u0\"; "
		"test -z \"$(ls %s)\"; ip link add v9 type vxlan id 4097 dstport %u",
		hosts[h].pins, vxlan_port);
	sh_in(hosts[h].ns, command);
}

static int fixture_end(void **state)
{
	char command[128];

	for (unsigned c = 0; c < N_CONS; c++)
		put(c, -1);
	go();
	for (unsigned h = 0; h < N_HOSTS; h++)
		expect_empty(h);
	for (unsigned c = 0; c < N_CONS; c++) {
		cons[c].ep->sandbox = NULL;
		endpoint_free(cons[c].ep);
		sandbox_free(cons[c].sb);
	}
	network_free(net);
	fdkeep_end(keeper);
	for (unsigned h = 0; h < N_HOSTS; h++) {
		plan_free(&hosts[h].have);
		applier_free(hosts[h].applier);
		umount2(hosts[h].pins, MNT_DETACH);
		close(hosts[h].ns);
	}
	close(between);
	fdkeep_close(keeper);
	memset(hosts, 0, sizeof(hosts));
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

#endif
