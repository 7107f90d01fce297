/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cnm chooses Docker's addresses: RequestPool, RequestAddress and their reverse.
 *
 * A pool's id is its subnet, so nothing has to be remembered of it. Docker asks for the pool first
 * and makes the network afterwards: in between a subnet that was chosen is promised to it, so that
 * nobody else is given it. An address is an endpoint in cnm, which in an overlay network claims it
 * among all hosts; it is named by the MAC that Docker tells with the request, so that a request
 * which is repeated, or that for the other family, finds it again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "adapters/docker_internal.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"

#define SECOND       1000000000ull
#define PROMISE_NS   (60 * SECOND)
#define INSIST_NS    (2 * SECOND)
#define INSIST_TIMES 3

/* ---- promises; with the plugin's lock */

static void forget(struct docker_plugin *p, const struct cnm_prefix *subnet)
{
	uint64_t now = clock_mono_ns();
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_promises; i++)
		if (now - p->promises[i].since < PROMISE_NS &&
		    !(subnet && prefix_eq(&p->promises[i].subnet, subnet)))
			p->promises[n++] = p->promises[i];
	p->n_promises = n;
}

/* How often it was asked for in short. When there is no room the oldest one goes. */
static unsigned promise(struct docker_plugin *p, const struct cnm_prefix *subnet)
{
	uint64_t now = clock_mono_ns();
	struct docker_promise made = { .subnet = *subnet, .since = now };

	for (unsigned i = 0; i < p->n_promises; i++)
		if (prefix_eq(&p->promises[i].subnet, subnet) &&
		    now - p->promises[i].since < INSIST_NS)
			made.times = p->promises[i].times;
	made.times++;
	forget(p, subnet);
	if (p->n_promises == MAX_PROMISES)
		memmove(p->promises, p->promises + 1, --p->n_promises * sizeof(*p->promises));
	p->promises[p->n_promises++] = made;
	return made.times;
}

static unsigned list_promises(struct docker_plugin *p, char (*texts)[PREFIX_STR], const char **ret)
{
	LOCKED(&p->lock);

	forget(p, NULL);
	for (unsigned i = 0; i < p->n_promises; i++)
		ret[i] = prefix_format(&p->promises[i].subnet, texts[i]);
	return p->n_promises;
}

/* ---- pools */

/*
 * Docker asks again, and again, when a subnet overlaps a route or a name server of its host, unless
 * its user has named the subnet. For a network that exists there is no other.
 */
static int insist(struct docker_call *c, const char *network, const struct cnm_prefix *subnet)
{
	char buf[PREFIX_STR];
	unsigned times;

	pthread_mutex_lock(&c->plugin->lock);
	times = promise(c->plugin, subnet);
	pthread_mutex_unlock(&c->plugin->lock);
	if (times <= INSIST_TIMES)
		return 0;
	return cnm_error_set(&c->err, CNM_E_CONFLICT,
			     "Docker refuses the subnet %s of network %s, since this host has a "
			     "route or a name server there: give it by --subnet %s besides",
			     prefix_format(subnet, buf), network, buf);
}

static int pool_of(struct docker_call *c, const struct docker_pool *d, const json_t *network,
		   struct cnm_prefix *ret)
{
	char asked[PREFIX_STR], has[PREFIX_STR];

	*ret = docker_subnet_of(network, d->ipv6 ? AF_INET6 : AF_INET);
	if (!prefix_is_set(ret))
		return cnm_error_set(&c->err, CNM_E_CONFLICT,
				     "network %s exists in cnm and has no IPv%c subnet: create it "
				     "with%s --ipv6",
				     d->network, d->ipv6 ? '6' : '4', d->ipv6 ? "out" : "");
	if (!prefix_is_set(&d->subnet))
		return insist(c, d->network, ret);
	if (!docker_subnet(network, &d->subnet))
		return cnm_error_set(&c->err, CNM_E_CONFLICT,
				     "network %s exists in cnm with the subnet %s, and not %s: "
				     "leave out --subnet, or give its own",
				     d->network, prefix_format(ret, has),
				     prefix_format(&d->subnet, asked));
	*ret = d->subnet;
	return 0;
}

/* Two requests at once may choose the same: then one of them chooses again. */
static int choose(struct docker_call *c, const struct docker_pool *d, struct cnm_prefix *ret)
{
	char texts[MAX_PROMISES][PREFIX_STR], chosen[CNM_SUBNET_SIZE];
	const char *avoid[MAX_PROMISES];
	unsigned times = 0;
	int r = 0;

	while (r == 0 && times != 1) {
		unsigned n = list_promises(c->plugin, texts, avoid);

		r = cnm_subnet_choose(c->engine, c->driver->driver, d->ipv6, avoid, n, chosen,
				      &c->err);
		if (r < 0 || prefix_parse(ret, chosen) < 0)
			continue;
		pthread_mutex_lock(&c->plugin->lock);
		times = promise(c->plugin, ret);
		pthread_mutex_unlock(&c->plugin->lock);
	}
	return r;
}

static struct cnm_prefix first_of(const struct cnm_prefix *subnet)
{
	struct cnm_prefix p = *subnet;

	return ip_add(&p.ip, 1) && prefix_has(subnet, &p.ip) ? p : *subnet;
}

/*
 * Docker has a gateway for every network, and asks for one if it is told none. An overlay network
 * has none: there it is told the address of the network itself, which is never an endpoint's.
 */
static struct cnm_prefix gateway_of(struct docker_call *c, const json_t *network,
				    const struct cnm_prefix *subnet)
{
	bool overlay =
		network ? streq(docker_get(network, "Driver"), "overlay") : c->driver->overlay;
	const json_t *config = network ? docker_subnet(network, subnet) : NULL;
	struct cnm_prefix p = *subnet;

	if (overlay)
		return p;
	return config && ip_parse(&p.ip, docker_get(config, "Gateway")) == 0 ? p : first_of(subnet);
}

static int answer_pool(struct docker_call *c, const json_t *network,
		       const struct cnm_prefix *subnet)
{
	struct cnm_prefix gateway = gateway_of(c, network, subnet);
	char a[PREFIX_STR], b[PREFIX_STR];
	int r = json_put(c->answer, "PoolID", json_string(prefix_format(subnet, a)));

	r |= json_put(c->answer, "Pool", json_string(a));
	r |= json_put(c->answer, "Data",
		      json_pack("{s:s}", "com.docker.network.gateway", prefix_format(&gateway, b)));
	return r < 0 ? cnm_error_errno(&c->err, ENOMEM, "write the answer") : 0;
}

int docker_request_pool(struct docker_call *c)
{
	_json_ json_t *network = NULL;
	struct cnm_prefix subnet;
	struct docker_pool d;
	int r = docker_decode_pool(c->body, &d, &c->err);

	if (r == 0)
		r = d.network ? docker_find_network(c, d.network, &network) : 1;
	if (r == 0) {
		r = pool_of(c, &d, network, &subnet);
	} else if (r > 0 && prefix_is_set(&d.subnet)) {
		subnet = d.subnet;
		pthread_mutex_lock(&c->plugin->lock);
		promise(c->plugin, &subnet);
		pthread_mutex_unlock(&c->plugin->lock);
		r = 0;
	} else if (r > 0) {
		r = choose(c, &d, &subnet);
	}
	return r < 0 ? r : answer_pool(c, network, &subnet);
}

int docker_release_pool(struct docker_call *c)
{
	struct cnm_prefix subnet;
	int r = docker_decode_pool_id(c->body, &subnet, &c->err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&c->plugin->lock);
	forget(c->plugin, &subnet);
	pthread_mutex_unlock(&c->plugin->lock);
	return 0;
}

/* ---- addresses */

static int answer_address(struct docker_call *c, const struct cnm_prefix *p)
{
	char buf[PREFIX_STR];

	return json_put(c->answer, "Address", json_string(prefix_format(p, buf))) < 0
		       ? cnm_error_errno(&c->err, ENOMEM, "write the answer")
		       : 0;
}

static int make(struct docker_call *c, const json_t *network, const char *name,
		const struct docker_address *d, const struct cnm_ip *ip4, const struct cnm_ip *ip6,
		json_t **ret)
{
	char text4[IP_STR], text6[IP_STR], mac[MAC_STR], id[CNM_ID_SIZE];
	const struct cnm_endpoint_config config = { .name = name,
						    .ipv4 = ip_format(ip4, text4),
						    .ipv6 = ip_format(ip6, text6),
						    .mac = mac_format(&d->mac, mac) };
	int r = cnm_endpoint_create(c->engine, docker_get(network, "Id"), &config, NULL, id,
				    &c->err);

	if (r == 0 && (r = docker_find_endpoint(c, id, ret)) > 0)
		r = cnm_error_set(&c->err, CNM_E_CONFLICT, "endpoint %s went as it came", name);
	return r;
}

/*
 * An endpoint has an address of each of its network's families at once; Docker asks for them one by
 * one. If it then asks for another than was chosen, the endpoint is made anew with that.
 */
static int take(struct docker_call *c, const json_t *network, const struct docker_address *d,
		json_t **ret)
{
	struct cnm_prefix ip4 = { 0 }, ip6 = { 0 };
	struct cnm_prefix *asked = d->pool.ip.family == AF_INET ? &ip4 : &ip6;
	char name[DOCKER_NAME], ref[ID_SIZE + DOCKER_NAME], mac[MAC_STR];
	struct docker_endpoint wanted = { .mac = d->mac };
	_json_ json_t *made = NULL;
	int r;

	snprintf(ref, sizeof(ref), "%s/%s", docker_get(network, "Id"),
		 docker_mac_name(&d->mac, name));
	r = docker_find_endpoint(c, ref, &made);
	ip4 = docker_address_of(made, AF_INET);
	ip6 = docker_address_of(made, AF_INET6);
	if (r == 0 && docker_get(made, "Sandbox")[0])
		return cnm_error_set(&c->err, CNM_E_FORBIDDEN,
				     "MAC address %s is in use in network %s",
				     mac_format(&d->mac, mac), docker_get(network, "Name"));
	if (r == 0 && (!ip_is_set(&d->ip) || ip_eq(&d->ip, &asked->ip))) {
		*ret = json_incref(made);
		return 0;
	}
	if (r == 0)
		r = cnm_endpoint_remove(c->engine, docker_get(made, "Id"), false, NULL, &c->err);
	asked->ip = d->ip;
	wanted.ip4 = ip4;
	wanted.ip6 = ip6;
	if (r >= 0)
		r = make(c, network, name, d, &ip4.ip, &ip6.ip, ret);
	if (r < 0 && docker_make_way(c, docker_get(network, "Id"), &wanted) > 0)
		r = make(c, network, name, d, &ip4.ip, &ip6.ip, ret);
	return r;
}

/* Without a MAC it is a gateway or an auxiliary address, which is the network's matter. */
int docker_request_address(struct docker_call *c)
{
	_json_ json_t *network = NULL, *endpoint = NULL;
	struct docker_address d;
	struct cnm_prefix p;
	char buf[PREFIX_STR];
	int r = docker_decode_address(c->body, &d, &c->err);

	if (r < 0)
		return r;
	p = d.pool;
	r = docker_find_network_at(c, &d.pool, &network);
	if (r >= 0 && !mac_is_set(&d.mac)) {
		if (ip_is_set(&d.ip))
			p.ip = d.ip;
		else
			p = gateway_of(c, network, &d.pool);
		return answer_address(c, &p);
	}
	if (r > 0)
		r = cnm_error_set(&c->err, CNM_E_NOT_FOUND,
				  "cnm has no network with the subnet %s any more: remove Docker's "
				  "by `docker network rm`, and create it again",
				  prefix_format(&d.pool, buf));
	if (r == 0)
		r = take(c, network, &d, &endpoint);
	if (r < 0)
		return r;
	p = docker_address_of(endpoint, d.pool.ip.family);
	if (!prefix_has(&d.pool, &p.ip))
		return cnm_error_set(
			&c->err, CNM_E_CONFLICT,
			"cnm gives addresses out of the first subnet of network %s, and "
			"not of %s: create Docker's network with that",
			docker_get(network, "Name"), prefix_format(&d.pool, buf));
	return answer_address(c, &p);
}

/* The endpoint that was made for this address, if it is in no sandbox. */
static const json_t *find_reserved(const json_t *endpoints, const struct cnm_ip *ip)
{
	const json_t *ep;
	size_t i;

	json_array_foreach (endpoints, i, ep) {
		struct cnm_prefix has = docker_address_of(ep, ip->family);

		if (ip_eq(&has.ip, ip) && str_after(docker_get(ep, "Name"), "docker-mac-") &&
		    !docker_get(ep, "Host")[0] && !docker_get(ep, "Sandbox")[0])
			return ep;
	}
	return NULL;
}

int docker_release_address(struct docker_call *c)
{
	_json_ json_t *network = NULL, *endpoints = NULL;
	struct docker_address d;
	const json_t *ep;
	char *text = NULL;
	int r = docker_decode_address(c->body, &d, &c->err);

	if (r == 0)
		r = docker_find_network_at(c, &d.pool, &network);
	if (r == 0)
		r = cnm_endpoint_list(c->engine, docker_get(network, "Id"), &text, &c->err);
	if (r == 0)
		r = docker_load(c, text, &endpoints);
	ep = r == 0 ? find_reserved(endpoints, &d.ip) : NULL;
	if (ep)
		r = cnm_endpoint_remove(c->engine, docker_get(ep, "Id"), false, NULL, &c->err);
	return r > 0 ? 0 : docker_unless_gone(c, r);
}
