/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The three objects in memory: what a reference names, which endpoint is the way out, and the
 * indexes against lists that are searched from end to end.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "unit.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "drivers/driver.h"
#include "model/model.h"

#define _model_ _cleanup_(model_free)

static struct cnm_ip ip(const char *s)
{
	struct cnm_ip v;

	assert_int_equal(ip_parse(&v, s), 0);
	return v;
}

/* An id that begins like this. */
static void set_id(char id[static ID_SIZE], const char *begin)
{
	memset(id, '0', ID_LEN);
	id[ID_LEN] = '\0';
	memcpy(id, begin, strlen(begin));
}

static struct network *add_network(struct model *m, const char *name, const char *id)
{
	struct network *n = network_new(name, driver_by_name("bridge"));

	assert_non_null(n);
	if (id)
		set_id(n->id, id);
	assert_int_equal(model_add_network(m, n), 0);
	return n;
}

static struct sandbox *add_sandbox(struct model *m, const char *name, const char *id)
{
	struct sandbox *sb = sandbox_new(name);

	assert_non_null(sb);
	if (id)
		set_id(sb->id, id);
	assert_int_equal(model_add_sandbox(m, sb), 0);
	return sb;
}

static struct endpoint *add_endpoint(struct model *m, struct network *n, const char *name,
				     const char *id)
{
	struct endpoint *ep = endpoint_new(name, n);

	assert_non_null(ep);
	if (id)
		set_id(ep->id, id);
	assert_int_equal(model_add_endpoint(m, ep), 0);
	return ep;
}

static void join(struct endpoint *ep, struct sandbox *sb)
{
	ep->sandbox = sb;
	list_append(&sb->endpoints, &ep->in_sandbox);
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

/* ---- what a reference names */

static void expect_network(const struct model *m, const char *ref, enum ref_result want,
			   const struct network *n, unsigned matches)
{
	struct network *untouched = (void *)m, *got = untouched;
	unsigned count = 99;

	assert_int_equal(model_find_network(m, ref, &got, &count), want);
	assert_ptr_equal(got, want == REF_FOUND ? n : untouched);
	assert_int_equal(count, matches);
}

static void test_find_network(void **state)
{
	_model_ struct model m;
	struct network *a, *b, *named;

	model_init(&m);
	expect_network(&m, "a", REF_NONE, NULL, 0);
	a = add_network(&m, "alpha", "abc1");
	b = add_network(&m, "beta", "abc2");
	expect_network(&m, "alpha", REF_FOUND, a, 1);
	expect_network(&m, "abc1", REF_FOUND, a, 1);
	expect_network(&m, "abc2", REF_FOUND, b, 1);
	expect_network(&m, "abc", REF_AMBIGUOUS_ID, NULL, 2);
	expect_network(&m, a->id, REF_FOUND, a, 1);
	expect_network(&m, "", REF_NONE, NULL, 0);
	expect_network(&m, "ALPHA", REF_NONE, NULL, 0);
	expect_network(&m, "alph", REF_NONE, NULL, 0);
	expect_network(&m, "ABC1", REF_NONE, NULL, 0);

	/* A name beats a prefix, a full id beats a name. */
	named = add_network(&m, "abc1", "ff");
	expect_network(&m, "abc1", REF_FOUND, named, 1);
	named = add_network(&m, a->id, "ee");
	expect_network(&m, a->id, REF_FOUND, a, 1);

	/* Longer than an id is no prefix of one. */
	expect_network(&m, "abc10000000000000000000000000000000000000000000000000000000000000000",
		       REF_NONE, NULL, 0);
	model_del_network(&m, b);
	expect_network(&m, "abc", REF_FOUND, a, 1);
	expect_network(&m, "beta", REF_NONE, NULL, 0);
}

static void test_find_sandbox(void **state)
{
	_model_ struct model m;
	struct sandbox *a, *got = NULL;
	unsigned matches;

	model_init(&m);
	a = add_sandbox(&m, "con1", "12ab");
	add_sandbox(&m, "con2", "12cd");
	assert_int_equal(model_find_sandbox(&m, "12", &got, &matches), REF_AMBIGUOUS_ID);
	assert_int_equal(matches, 2);
	assert_null(got);
	assert_int_equal(model_find_sandbox(&m, "12a", &got, &matches), REF_FOUND);
	assert_ptr_equal(got, a);
	assert_int_equal(model_find_sandbox(&m, "con1", &got, &matches), REF_FOUND);
	assert_ptr_equal(got, a);
	assert_int_equal(model_find_sandbox(&m, "con3", &got, &matches), REF_NONE);
}

static void expect_endpoint(const struct model *m, const char *ref, enum ref_result want,
			    const struct endpoint *ep, unsigned matches)
{
	struct endpoint *untouched = (void *)m, *got = untouched;
	unsigned count = 99;

	assert_int_equal(model_find_endpoint(m, ref, &got, &count), want);
	assert_ptr_equal(got, want == REF_FOUND ? ep : untouched);
	assert_int_equal(count, matches);
}

static void test_find_endpoint(void **state)
{
	_model_ struct model m;
	struct network *n1, *n2;
	struct endpoint *a, *b, *c;

	model_init(&m);
	expect_endpoint(&m, "x", REF_NONE, NULL, 0);
	n1 = add_network(&m, "net1", "a1");
	n2 = add_network(&m, "net/2", "b2");
	a = add_endpoint(&m, n1, "con", "cc1");
	b = add_endpoint(&m, n2, "con", "cc2");
	c = add_endpoint(&m, n2, "only", "dd");

	expect_endpoint(&m, "con", REF_AMBIGUOUS_NAME, NULL, 2);
	expect_endpoint(&m, "only", REF_FOUND, c, 1);
	expect_endpoint(&m, "net1/con", REF_FOUND, a, 1);
	expect_endpoint(&m, "net/2/con", REF_FOUND, b, 1);
	expect_endpoint(&m, "b2/con", REF_FOUND, b, 1);
	expect_endpoint(&m, "net1/only", REF_NONE, NULL, 0);
	expect_endpoint(&m, "nowhere/con", REF_NONE, NULL, 0);
	expect_endpoint(&m, "/con", REF_NONE, NULL, 0);
	expect_endpoint(&m, "net1/", REF_NONE, NULL, 0);
	expect_endpoint(&m, "cc", REF_AMBIGUOUS_ID, NULL, 2);
	expect_endpoint(&m, "cc1", REF_FOUND, a, 1);
	expect_endpoint(&m, b->id, REF_FOUND, b, 1);
	expect_endpoint(&m, "", REF_NONE, NULL, 0);

	/* A name beats a prefix. */
	c = add_endpoint(&m, n1, "cc2", "ee");
	expect_endpoint(&m, "cc2", REF_FOUND, c, 1);
	model_del_endpoint(&m, b, true);
	expect_endpoint(&m, "con", REF_FOUND, a, 1);
	expect_endpoint(&m, "cc", REF_FOUND, a, 1);
}

/* ---- adding and taking away */

static void test_doubles(void **state)
{
	_model_ struct model m;
	struct network *n, *other;
	struct sandbox *sb, *sb2;
	struct endpoint *ep;

	model_init(&m);
	n = add_network(&m, "net", "aa");
	other = network_new("net", n->driver);
	assert_int_equal(model_add_network(&m, other), -EEXIST);
	assert_null(map_get(&m.network_by_id, other->id));
	network_free(other);
	other = network_new("net2", n->driver);
	set_id(other->id, "aa");
	assert_int_equal(model_add_network(&m, other), -EEXIST);
	assert_null(map_get(&m.network_by_name, "net2"));
	network_free(other);
	assert_ptr_equal(map_get(&m.network_by_id, n->id), n);
	assert_ptr_equal(map_get(&m.network_by_name, "net"), n);

	sb = add_sandbox(&m, "con", "bb");
	sb2 = sandbox_new("con");
	assert_int_equal(model_add_sandbox(&m, sb2), -EEXIST);
	sandbox_free(sb2);
	assert_ptr_equal(map_get(&m.sandbox_by_name, "con"), sb);

	add_endpoint(&m, n, "con", "cc");
	ep = endpoint_new("con", n);
	assert_int_equal(model_add_endpoint(&m, ep), -EEXIST);
	endpoint_free(ep);
	ep = endpoint_new("con2", n);
	set_id(ep->id, "cc");
	assert_int_equal(model_add_endpoint(&m, ep), -EEXIST);
	assert_null(network_endpoint_by_name(n, "con2"));
	endpoint_free(ep);
	other = add_network(&m, "net3", NULL);
	add_endpoint(&m, other, "con", NULL);
}

static void test_free_takes_null(void **state)
{
	network_free(NULL);
	endpoint_free(NULL);
	sandbox_free(NULL);
}

static void test_new_objects(void **state)
{
	struct network *n = network_new("net", driver_by_name("bridge"));
	struct sandbox *sb = sandbox_new("con");
	struct endpoint *ep = endpoint_new("con", n);

	assert_true(id_is_valid(n->id) && id_is_valid(sb->id) && id_is_valid(ep->id));
	assert_string_not_equal(n->id, ep->id);
	assert_int_equal(n->state, OBJ_CREATING);
	assert_int_equal(sb->state, OBJ_CREATING);
	assert_int_equal(ep->state, OBJ_CREATING);
	assert_true(n->ipv4 && !n->ipv6 && n->created > 0 && ep->created > 0 && sb->created > 0);
	assert_int_equal(sb->nsid, -1);
	assert_true(list_empty(&ep->in_sandbox) && list_empty(&ep->in_network));
	assert_null(ep->sandbox);
	endpoint_free(ep);
	sandbox_free(sb);
	network_free(n);
}

/* An address that is given back rests, unless it was never really used. */
static void test_addresses_are_given_back(void **state)
{
	_model_ struct model m;
	struct cnm_ip two = ip("10.0.0.2"), next;
	struct network *n;
	struct endpoint *ep;

	model_init(&m);
	n = add_network(&m, "net", NULL);
	add_pool(n, "10.0.0.0/29", "10.0.0.1");
	for (unsigned rest = 0; rest < 2; rest++) {
		ep = add_endpoint(&m, n, "con", NULL);
		ep->ip4 = two;
		assert_int_equal(ipam_pool_take(n->pools[0].taken, &two), 0);
		model_del_endpoint(&m, ep, rest);
		assert_false(ipam_pool_is_taken(n->pools[0].taken, &two));
	}
	assert_int_equal(ipam_pool_next(n->pools[0].taken, &next), 0);
	assert_false(ip_eq(&next, &two));
}

/* A sandbox that publishes port 80 and has not been entered. */
static struct sandbox *new_publisher(const char *name)
{
	struct sandbox *sb = sandbox_new(name);

	assert_non_null(sb);
	sb->ports = calloc(1, sizeof(*sb->ports));
	sb->n_ports = 1;
	sb->ports[0] = (struct port){ .proto = IPPROTO_TCP,
				      .first = 80,
				      .last = 80,
				      .host_first = 80,
				      .by = { { PORT_NAT, ip("0.0.0.0") } },
				      .sandbox = sb };
	return sb;
}

static void test_ports_come_and_go(void **state)
{
	_model_ struct model m;
	struct cnm_ip host = ip("10.0.0.1");
	struct sandbox *sb = new_publisher("con"), *doubled = new_publisher("con"),
		       *late = new_publisher("late");

	model_init(&m);
	assert_int_equal(model_add_sandbox(&m, sb), 0);
	assert_int_equal(model_add_sandbox(&m, doubled), -EEXIST);
	assert_int_equal(doubled->n_ports, 1);
	sandbox_free(doubled);
	assert_int_equal(model_add_sandbox(&m, late), 0);
	assert_null(late->ports);
	assert_int_equal(late->n_ports, 0);
	assert_ptr_equal(port_index_find(&m.ports, IPPROTO_TCP, &host, 80, 80), sb->ports);
	assert_int_equal(model_rename_sandbox(&m, sb, "again"), 0);
	assert_ptr_equal(port_index_find(&m.ports, IPPROTO_TCP, &host, 80, 80), sb->ports);
	model_del_sandbox(&m, sb);
	assert_null(port_index_find(&m.ports, IPPROTO_TCP, &host, 1, 65535));
	assert_int_equal(model_add_sandbox(&m, new_publisher("con")), 0);
}

static void test_lookups(void **state)
{
	_model_ struct model m;
	struct network *n, *none;
	struct sandbox *sb;
	struct endpoint *ep;
	struct cnm_ip in4 = ip("10.1.2.3"), out4 = ip("10.2.0.1"), in6 = ip("fd00::9"),
		      unset = { 0 };

	model_init(&m);
	n = add_network(&m, "net", NULL);
	none = add_network(&m, "bare", NULL);
	sb = add_sandbox(&m, "con", NULL);
	add_pool(n, "10.1.0.0/16", NULL);
	add_pool(n, "fd00::/64", NULL);
	assert_ptr_equal(network_pool(n, AF_INET), &n->pools[0]);
	assert_ptr_equal(network_pool(n, AF_INET6), &n->pools[1]);
	assert_null(network_pool(none, AF_INET));
	assert_ptr_equal(network_pool_of(n, &in4), &n->pools[0]);
	assert_ptr_equal(network_pool_of(n, &in6), &n->pools[1]);
	assert_null(network_pool_of(n, &out4));
	assert_null(network_pool_of(n, &unset));
	ep = add_endpoint(&m, n, "con", NULL);
	assert_null(sandbox_endpoint_on(sb, n));
	join(ep, sb);
	assert_ptr_equal(sandbox_endpoint_on(sb, n), ep);
	assert_null(sandbox_endpoint_on(sb, none));
	assert_ptr_equal(network_endpoint_by_name(n, "con"), ep);
	assert_null(network_endpoint_by_name(none, "con"));
	assert_true(network_is_user_defined(n));
	n->predefined = true;
	assert_false(network_is_user_defined(n));
	none->driver = driver_by_name("null");
	assert_false(network_is_user_defined(none));
}

/* ---- the way out */

/*
 * An endpoint and its network, "name:flags@priority". Flags: 4 and 6, it has an address and a
 * gateway of that family; i, the network is internal; r, the endpoint is being removed.
 */
static struct endpoint *add_candidate(struct model *m, struct sandbox *sb, const char *text)
{
	char name[8], flags[8] = "";
	struct network *n;
	struct endpoint *ep;
	int priority = 0;

	assert_true(sscanf(text, "%7[^:]:%7[46ir]", name, flags) >= 1);
	if (strchr(text, '@'))
		priority = atoi(strchr(text, '@') + 1);
	n = add_network(m, name, NULL);
	ep = add_endpoint(m, n, "con", NULL);
	if (strchr(flags, '4')) {
		add_pool(n, "10.0.0.0/24", "10.0.0.1");
		ep->ip4 = ip("10.0.0.2");
	}
	if (strchr(flags, '6')) {
		add_pool(n, "fd00::/64", "fd00::1");
		ep->ip6 = ip("fd00::2");
	}
	n->internal = strchr(flags, 'i');
	ep->state = strchr(flags, 'r') ? OBJ_REMOVING : OBJ_READY;
	ep->gw_priority = priority;
	join(ep, sb);
	return ep;
}

static const char *gateway_name(const struct sandbox *sb, int family)
{
	const struct endpoint *ep = sandbox_gateway(sb, family);

	return ep ? ep->network->name : "-";
}

#define MAX_CANDIDATES 4

static const struct election {
	const char *c[MAX_CANDIDATES];
	const char *gateway4, *gateway6, *order; /* order: names, best first */
} elections[] = {
	/* nobody, and nobody with a gateway */
	{ { NULL }, "-", "-", "" },
	{ { "a:" }, "-", "-", "a" },
	/* one */
	{ { "a:4" }, "a", "-", "a" },
	{ { "a:6" }, "-", "a", "a" },
	{ { "a:46" }, "a", "a", "a" },
	{ { "a:4i" }, "-", "-", "a" },
	/* the name decides last, by bytes: capitals first, what is not ASCII last */
	{ { "b:4", "a:4" }, "a", "-", "a b" },
	{ { "a:4", "B:4" }, "B", "-", "B a" },
	{ { "\xc3\xa4:4", "z:4" }, "z", "-", "z \xc3\xa4" },
	/* a higher priority wins over everything; each family by itself */
	{ { "a:4", "b:4@1" }, "b", "-", "b a" },
	{ { "a:4@-1", "b:4" }, "b", "-", "b a" },
	{ { "a:46", "b:4@1" }, "b", "a", "b a" },
	{ { "a:4@-2147483648", "b:4@2147483647" }, "b", "-", "b a" },
	/* an internal network is no way out, whatever its priority */
	{ { "a:4i@9", "b:4" }, "b", "-", "a b" },
	{ { "a:4i", "b:4" }, "b", "-", "b a" },
	{ { "a:46i", "b:" }, "-", "-", "b a" },
	/* both families before one, one before none */
	{ { "a:4", "b:46" }, "b", "b", "b a" },
	{ { "a:", "b:6" }, "-", "b", "b a" },
	{ { "a:", "c:4", "b:6" }, "c", "b", "b c a" },
	{ { "a:4", "b:6" }, "a", "b", "a b" },
	{ { "a:6@5", "b:46", "c:4" }, "b", "a", "a b c" },
	/* what is being removed is none any more */
	{ { "a:4r", "b:4" }, "b", "-", "b" },
	{ { "a:4r" }, "-", "-", "" },
};

static void order_names(const struct sandbox *sb, char *ret, size_t size)
{
	struct endpoint *order[MAX_CANDIDATES];
	unsigned n = sandbox_gateway_order(sb, order, MAX_CANDIDATES);

	ret[0] = '\0';
	for (unsigned i = 0; i < n; i++) {
		size_t len = strlen(ret);

		snprintf(ret + len, size - len, "%s%s", i ? " " : "", order[i]->network->name);
	}
}

/* In whatever order they joined. */
static void expect_election(const struct election *e, bool backwards)
{
	_model_ struct model m;
	struct sandbox *sb;
	char order[64];
	unsigned n = 0;

	model_init(&m);
	sb = add_sandbox(&m, "con", NULL);
	while (n < MAX_CANDIDATES && e->c[n])
		n++;
	for (unsigned i = 0; i < n; i++)
		add_candidate(&m, sb, e->c[backwards ? n - 1 - i : i]);
	order_names(sb, order, sizeof(order));
	if (!streq(gateway_name(sb, AF_INET), e->gateway4) ||
	    !streq(gateway_name(sb, AF_INET6), e->gateway6) || !streq(order, e->order))
		fail_msg("election %td%s: %s, %s, \"%s\"; want %s, %s, \"%s\"", e - elections,
			 backwards ? " backwards" : "", gateway_name(sb, AF_INET),
			 gateway_name(sb, AF_INET6), order, e->gateway4, e->gateway6, e->order);
}

static void test_gateway(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(elections); i++) {
		expect_election(&elections[i], false);
		expect_election(&elections[i], true);
	}
}

/* A pool without a gateway, or an endpoint without an address of the family, gives none. */
static void test_gateway_needs_both(void **state)
{
	_model_ struct model m;
	struct sandbox *sb;
	struct endpoint *ep;

	model_init(&m);
	sb = add_sandbox(&m, "con", NULL);
	ep = add_candidate(&m, sb, "a:46");
	ep->ip6 = (struct cnm_ip){ 0 };
	ep->network->pools[0].gateway = (struct cnm_ip){ 0 };
	assert_string_equal(gateway_name(sb, AF_INET), "-");
	assert_string_equal(gateway_name(sb, AF_INET6), "-");
	ep->state = OBJ_CREATING;
	ep->ip6 = ip("fd00::2");
	assert_string_equal(gateway_name(sb, AF_INET6), "a");
}

static void test_gateway_order_is_bounded(void **state)
{
	_model_ struct model m;
	struct endpoint *order[2];
	struct sandbox *sb;

	model_init(&m);
	sb = add_sandbox(&m, "con", NULL);
	for (unsigned i = 0; i < 4; i++) {
		char text[] = { (char)('d' - i), ':', '4', '\0' };

		add_candidate(&m, sb, text);
	}
	assert_int_equal(sandbox_gateway_order(sb, order, 2), 2);
	assert_int_equal(sandbox_gateway_order(sb, order, 0), 0);
}

/* ---- random operations */

#define MAX_OBJECTS 24

struct naive {
	struct network *networks[MAX_OBJECTS];
	struct sandbox *sandboxes[MAX_OBJECTS];
	struct endpoint *endpoints[MAX_OBJECTS];
	unsigned n_networks, n_sandboxes, n_endpoints;
};

/* Few names, and ids that often begin alike. */
static void random_name(char name[8])
{
	snprintf(name, 8, "%c%u", 'a' + (char)rng(2), rng(8));
}

static void random_id(char id[static ID_SIZE])
{
	char begin[5];

	snprintf(begin, sizeof(begin), "%c%x%x", 'a' + (char)rng(2), rng(16), rng(16));
	set_id(id, begin);
}

static void try_add_network(struct model *m, struct naive *v)
{
	struct network *n;
	bool taken = false;
	char name[8];

	if (v->n_networks == MAX_OBJECTS)
		return;
	random_name(name);
	n = network_new(name, driver_by_name("bridge"));
	random_id(n->id);
	for (unsigned i = 0; i < v->n_networks; i++)
		taken |= streq(v->networks[i]->name, name) || streq(v->networks[i]->id, n->id);
	assert_int_equal(model_add_network(m, n), taken ? -EEXIST : 0);
	if (taken)
		network_free(n);
	else
		v->networks[v->n_networks++] = n;
}

static void try_add_sandbox(struct model *m, struct naive *v)
{
	struct sandbox *sb;
	bool taken = false;
	char name[8];

	if (v->n_sandboxes == MAX_OBJECTS)
		return;
	random_name(name);
	sb = sandbox_new(name);
	random_id(sb->id);
	for (unsigned i = 0; i < v->n_sandboxes; i++)
		taken |= streq(v->sandboxes[i]->name, name) || streq(v->sandboxes[i]->id, sb->id);
	assert_int_equal(model_add_sandbox(m, sb), taken ? -EEXIST : 0);
	if (taken)
		sandbox_free(sb);
	else
		v->sandboxes[v->n_sandboxes++] = sb;
}

static void try_add_endpoint(struct model *m, struct naive *v)
{
	struct endpoint *ep;
	bool taken = false;
	char name[8];

	if (v->n_endpoints == MAX_OBJECTS || !v->n_networks)
		return;
	random_name(name);
	ep = endpoint_new(name, v->networks[rng(v->n_networks)]);
	random_id(ep->id);
	for (unsigned i = 0; i < v->n_endpoints; i++)
		taken |= streq(v->endpoints[i]->id, ep->id) ||
			 (v->endpoints[i]->network == ep->network &&
			  streq(v->endpoints[i]->name, name));
	assert_int_equal(model_add_endpoint(m, ep), taken ? -EEXIST : 0);
	if (taken) {
		endpoint_free(ep);
		return;
	}
	v->endpoints[v->n_endpoints++] = ep;
	if (v->n_sandboxes && rng(2))
		join(ep, v->sandboxes[rng(v->n_sandboxes)]);
}

static void del_endpoint(struct model *m, struct naive *v, unsigned i)
{
	model_del_endpoint(m, v->endpoints[i], rng(2));
	v->endpoints[i] = v->endpoints[--v->n_endpoints];
}

/* Only what has no endpoints goes, as the controller sees to. */
static void try_del(struct model *m, struct naive *v)
{
	unsigned i;

	switch (rng(3)) {
	case 0:
		if (v->n_endpoints)
			del_endpoint(m, v, rng(v->n_endpoints));
		break;
	case 1:
		if (!v->n_networks)
			break;
		i = rng(v->n_networks);
		if (!list_empty(&v->networks[i]->endpoints))
			break;
		model_del_network(m, v->networks[i]);
		v->networks[i] = v->networks[--v->n_networks];
		break;
	case 2:
		if (!v->n_sandboxes)
			break;
		i = rng(v->n_sandboxes);
		if (!list_empty(&v->sandboxes[i]->endpoints))
			break;
		model_del_sandbox(m, v->sandboxes[i]);
		v->sandboxes[i] = v->sandboxes[--v->n_sandboxes];
		break;
	}
}

/* Full id, else name, else prefix; for networks and sandboxes alike. */
#define NAIVE_FIND(objects, n_objects, ref, found, count)                                          \
	do {                                                                                       \
		(count) = 0;                                                                       \
		for (unsigned rule = 0; rule < 3 && !(count); rule++) {                            \
			for (unsigned k = 0; k < (n_objects); k++) {                               \
				bool hit = rule == 0   ? streq((objects)[k]->id, ref)              \
					   : rule == 1 ? streq((objects)[k]->name, ref)            \
						       : str_after((objects)[k]->id, ref) != NULL; \
				if (hit) {                                                         \
					(found) = (objects)[k];                                    \
					(count)++;                                                 \
				}                                                                  \
			}                                                                          \
		}                                                                                  \
	} while (0)

static void compare_finds(const struct model *m, const struct naive *v, const char *ref)
{
	struct network *n = NULL, *want_n = NULL;
	struct sandbox *sb = NULL, *want_sb = NULL;
	struct endpoint *ep = NULL, *want_ep = NULL;
	unsigned count, matches;

	NAIVE_FIND(v->networks, v->n_networks, ref, want_n, count);
	model_find_network(m, ref, &n, &matches);
	assert_int_equal(matches, count);
	assert_ptr_equal(n, count == 1 ? want_n : NULL);
	NAIVE_FIND(v->sandboxes, v->n_sandboxes, ref, want_sb, count);
	model_find_sandbox(m, ref, &sb, &matches);
	assert_int_equal(matches, count);
	assert_ptr_equal(sb, count == 1 ? want_sb : NULL);
	NAIVE_FIND(v->endpoints, v->n_endpoints, ref, want_ep, count);
	model_find_endpoint(m, ref, &ep, &matches);
	assert_int_equal(matches, count);
	assert_ptr_equal(ep, count == 1 ? want_ep : NULL);
}

static void compare_lists(const struct model *m, const struct naive *v)
{
	const struct network *n;
	const struct sandbox *sb;
	const struct endpoint *ep;
	unsigned networks = 0, sandboxes = 0, endpoints = 0, joined = 0, want_joined = 0;

	list_for_each (n, &m->networks, node) {
		networks++;
		list_for_each (ep, &n->endpoints, in_network) {
			assert_ptr_equal(ep->network, n);
			endpoints++;
		}
	}
	list_for_each (sb, &m->sandboxes, node) {
		sandboxes++;
		list_for_each (ep, &sb->endpoints, in_sandbox) {
			assert_ptr_equal(ep->sandbox, sb);
			joined++;
		}
	}
	for (unsigned i = 0; i < v->n_endpoints; i++)
		want_joined += v->endpoints[i]->sandbox != NULL;
	assert_int_equal(networks, v->n_networks);
	assert_int_equal(sandboxes, v->n_sandboxes);
	assert_int_equal(endpoints, v->n_endpoints);
	assert_int_equal(joined, want_joined);
}

static void test_random_operations(void **state)
{
	_model_ struct model m;
	struct naive v = { 0 };

	rng_seed();
	model_init(&m);
	for (unsigned step = 0; step < 20000; step++) {
		char ref[ID_SIZE];

		switch (rng(5)) {
		case 0:
			try_add_network(&m, &v);
			break;
		case 1:
			try_add_sandbox(&m, &v);
			break;
		case 2:
			try_add_endpoint(&m, &v);
			break;
		default:
			try_del(&m, &v);
			break;
		}
		random_id(ref);
		if (rng(2))
			ref[1 + rng(4)] = '\0';
		compare_finds(&m, &v, ref);
		random_name(ref);
		compare_finds(&m, &v, ref);
		compare_lists(&m, &v);
	}
}

/* ---- memory */

#ifdef CAN_FAIL_ALLOC
/* Objects are made wholly or not at all, and entered likewise, whichever allocation fails. */
static void test_out_of_memory(void **state)
{
	bool done = false;

	for (int k = 1; !done && k < 100; k++) {
		_model_ struct model m;
		struct network *n;

		model_init(&m);
		fail_in = k;
		n = network_new("net", driver_by_name("bridge"));
		if (n && model_add_network(&m, n) < 0) {
			fail_in = 0;
			assert_true(list_empty(&m.networks));
			assert_null(map_get(&m.network_by_id, n->id));
			assert_null(map_get(&m.network_by_name, "net"));
			network_free(n);
		}
		done = fail_in > 0;
		fail_in = 0;
	}
	assert_true(done);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find_network),
		cmocka_unit_test(test_find_sandbox),
		cmocka_unit_test(test_find_endpoint),
		cmocka_unit_test(test_doubles),
		cmocka_unit_test(test_free_takes_null),
		cmocka_unit_test(test_new_objects),
		cmocka_unit_test(test_addresses_are_given_back),
		cmocka_unit_test(test_ports_come_and_go),
		cmocka_unit_test(test_lookups),
		cmocka_unit_test(test_gateway),
		cmocka_unit_test(test_gateway_needs_both),
		cmocka_unit_test(test_gateway_order_is_bounded),
		cmocka_unit_test(test_random_operations),
#ifdef CAN_FAIL_ALLOC
		cmocka_unit_test(test_out_of_memory),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
