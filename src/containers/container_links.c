/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * HostConfig.Links. On a user-defined network they are kept as they are given, and belong to the
 * first network like those of its endpoint's settings. Elsewhere they are Docker's old links: to a
 * container that exists, kept as "ID:alias", since that may be renamed; it must be on the default
 * network and running when this one starts. A link goes with the container it leads to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "containers/container.h"
#include "containers/links.h"

#define DEFAULT_NETWORK "bridge"

static json_t *links_of(const struct container *c)
{
	return json_object_get(c->c.host, "Links");
}

static bool are_old(const struct container *c)
{
	const char *mode = json_string_value(json_object_get(c->c.host, "NetworkMode"));

	return container_network_mode(c->c.host, NULL) != NETWORK_NAMED ||
	       streq(mode, DEFAULT_NETWORK);
}

/* The container an old link leads to, and its alias there. NULL: it is gone. */
static struct container *target(struct containers *cs, const json_t *link, const char **ret_alias)
{
	const char *text = json_string_value(link);
	char id[ID_SIZE];

	if (strlen(text) <= ID_SIZE)
		return NULL;
	str_copy(id, sizeof(id), text);
	*ret_alias = text + ID_SIZE;
	return container_by_id(cs, id);
}

/* ---- create */

/* One that shares another's network is reached there. */
static int find(struct containers *cs, const char *ref, struct container **ret,
		struct cnm_error *err)
{
	struct cnm_error why = { 0 };
	struct container *at;

	for (unsigned hops = 0;; hops++) {
		if (container_find(cs, ref, &at, &why) < 0 || hops > 8)
			return cnm_error_set(err, CNM_E_INVALID,
					     "could not get container for %s: %s", ref,
					     hops > 8 ? "it leads nowhere" : why.text);
		if (container_network_mode(at->c.host, &ref) != NETWORK_CONTAINER)
			break;
	}
	if (container_network_mode(at->c.host, NULL) == NETWORK_HOST)
		return cnm_error_set(err, CNM_E_INVALID,
				     "conflicting options: host type networking can't be used with "
				     "links. This would result in undefined behavior");
	*ret = at;
	return 0;
}

static int fix(struct containers *cs, json_t *list, size_t i, struct cnm_error *err)
{
	_free_ char *ref = NULL;
	const char *name, *alias;
	struct container *to;
	size_t n;
	int r = link_parse(json_string_value(json_array_get(list, i)), &name, &n, &alias, err);

	if (r < 0)
		return r;
	ref = strndup(name, n);
	if (!ref)
		return cnm_error_errno(err, ENOMEM, "links");
	r = find(cs, ref, &to, err);
	if (r == 0 && json_array_set_new(list, i, json_sprintf("%s:%s", to->id, alias)) < 0)
		r = cnm_error_errno(err, ENOMEM, "links");
	return r;
}

int container_links_fix(struct containers *cs, struct container *c, struct cnm_error *err)
{
	json_t *list = links_of(c);
	int r = 0;

	for (size_t i = 0; r == 0 && are_old(c) && i < json_array_size(list); i++)
		r = fix(cs, list, i, err);
	return r;
}

/* ---- start */

int container_links_check(struct containers *cs, const struct container *c, struct cnm_error *err)
{
	const char *alias;
	json_t *link;
	size_t i;

	if (!are_old(c) || !json_object_get(c->c.endpoints, DEFAULT_NETWORK))
		return 0;
	json_array_foreach (links_of(c), i, link) {
		const struct container *to = target(cs, link, &alias);

		if (!to)
			continue;
		if (!json_object_get(to->c.endpoints, DEFAULT_NETWORK))
			return cnm_error_set(err, CNM_E_INTERNAL,
					     "Cannot link to /%s, as it does not belong to the "
					     "default network",
					     to->name);
		if (!container_is_running(to))
			return cnm_error_set(err, CNM_E_INTERNAL,
					     "Cannot link to a non running container: /%s AS "
					     "/%s/%s",
					     to->name, c->name, alias);
	}
	return 0;
}

json_t *container_links_add(struct containers *cs, const struct container *c, const char *network,
			    json_t *settings)
{
	const char *first = json_object_iter_key(json_object_iter(c->c.endpoints)), *alias;
	_json_ json_t *all = NULL, *list = json_copy(json_object_get(settings, "Links"));
	json_t *link;
	size_t i;

	if (!json_array_size(links_of(c)) || !first || !streq(first, network))
		return json_incref(settings);
	all = json_is_null(settings) ? json_object() : json_copy(settings);
	if (!json_is_array(list)) {
		json_decref(list);
		list = json_array();
	}
	json_array_foreach (links_of(c), i, link)
		if (!are_old(c) || target(cs, link, &alias))
			json_array_append(list, link);
	if (!list || !all || json_object_set(all, "Links", list) < 0)
		return NULL;
	return take_ptr(all);
}

/* ---- inspect */

json_t *container_links_json(struct containers *cs, const struct container *c)
{
	json_t *list = links_of(c), *shown, *link;
	const char *alias;
	size_t i;

	if (!json_array_size(list) || !are_old(c))
		return json_null();
	shown = json_array();
	json_array_foreach (list, i, link) {
		const struct container *to = target(cs, link, &alias);

		if (to)
			json_push(shown, json_sprintf("/%s:/%s/%s", to->name, c->name, alias));
	}
	if (json_array_size(shown))
		return shown;
	json_decref(shown);
	return json_null();
}
