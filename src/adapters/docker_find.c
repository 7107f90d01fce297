/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding Docker's objects among cnm's. See docker_internal.h for how they are named. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "adapters/docker_internal.h"
#include "base/json.h"
#include "base/str.h"

const char *docker_name(const char *id, char buf[static DOCKER_NAME])
{
	snprintf(buf, DOCKER_NAME, "docker-%.12s", id);
	return buf;
}

const char *docker_mac_name(const struct cnm_mac *mac, char buf[static DOCKER_NAME])
{
	const uint8_t *b = mac->b;

	snprintf(buf, DOCKER_NAME, "docker-mac-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
		 b[4], b[5]);
	return buf;
}

const char *docker_get(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

int docker_load(struct docker_call *c, char *text, json_t **ret)
{
	_free_ char *own = text;

	*ret = json_loads(own, 0, NULL);
	return *ret ? 0 : cnm_error_errno(&c->err, ENOMEM, "look at cnm's objects");
}

/* What a look found. That there is none is no error. */
static int found(struct docker_call *c, int r, char *text, json_t **ret)
{
	if (r < 0 && c->err.class != CNM_E_NOT_FOUND)
		return r;
	if (r == 0)
		return docker_load(c, text, ret);
	c->err = (struct cnm_error){ 0 };
	return 1;
}

int docker_unless_gone(struct docker_call *c, int r)
{
	return r < 0 && c->err.class == CNM_E_NOT_FOUND ? 0 : r;
}

/* By its name and nothing else: what was given may be the beginning of an id. */
int docker_find_network(struct docker_call *c, const char *name, json_t **ret)
{
	char *text = NULL;
	int r = cnm_network_inspect(c->engine, name, false, &text, &c->err);

	r = found(c, r, text, ret);
	if (r == 0 && !streq(docker_get(*ret, "Name"), name)) {
		json_decref(take_ptr(*ret));
		r = 1;
	}
	return r;
}

int docker_find_endpoint(struct docker_call *c, const char *ref, json_t **ret)
{
	char *text = NULL;
	int r = cnm_endpoint_inspect(c->engine, ref, &text, &c->err);

	return found(c, r, text, ret);
}

int docker_find_sandbox(struct docker_call *c, const char *id, json_t **ret)
{
	char *text = NULL;
	int r = cnm_sandbox_inspect(c->engine, id, &text, &c->err);

	return found(c, r, text, ret);
}

/* ---- subnets and addresses */

static bool is_subnet(const json_t *config, const struct cnm_prefix *subnet)
{
	struct cnm_prefix p;

	return prefix_parse(&p, docker_get(config, "Subnet")) == 0 && prefix_eq(&p, subnet);
}

const json_t *docker_subnet(const json_t *network, const struct cnm_prefix *subnet)
{
	const json_t *config;
	size_t i;

	json_array_foreach (json_object_get(json_object_get(network, "IPAM"), "Config"), i, config)
		if (is_subnet(config, subnet))
			return config;
	return NULL;
}

struct cnm_prefix docker_subnet_of(const json_t *network, int family)
{
	const json_t *config;
	struct cnm_prefix p;
	size_t i;

	json_array_foreach (json_object_get(json_object_get(network, "IPAM"), "Config"), i, config)
		if (prefix_parse(&p, docker_get(config, "Subnet")) == 0 && p.ip.family == family)
			return p;
	return (struct cnm_prefix){ 0 };
}

int docker_find_network_at(struct docker_call *c, const struct cnm_prefix *subnet, json_t **ret)
{
	_json_ json_t *list = NULL;
	char *text = NULL;
	json_t *n;
	size_t i;
	int r = cnm_network_list(c->engine, NULL, &text, &c->err);

	if (r == 0)
		r = docker_load(c, text, &list);
	if (r < 0)
		return r;
	json_array_foreach (list, i, n)
		if (docker_subnet(n, subnet)) {
			*ret = json_incref(n);
			return 0;
		}
	return 1;
}

struct cnm_prefix docker_address_of(const json_t *endpoint, int family)
{
	const char *key = family == AF_INET ? "IPv4Address" : "IPv6Address";
	struct cnm_prefix p;

	return prefix_parse(&p, docker_get(endpoint, key)) == 0 ? p : (struct cnm_prefix){ 0 };
}
