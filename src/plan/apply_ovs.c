/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bridges of Open vSwitch, and ports on them. They are rows in its database, which its own program
 * reads and writes; it returns when the switch has done what the rows say. The turn is let go of
 * meanwhile: the switch is another party. What is there is read once for a whole dump. Where Open
 * vSwitch is not there, nothing is; the first to want something from it is told.
 *
 * The database tells nobody of us when somebody else changes it: that is noticed when the host is
 * compared the next time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kernel/program.h"
#include "plan/apply_internal.h"

#define DATABASE "/run/openvswitch/db.sock"
#define TIMEOUT  "--timeout=5"
#define OUR_MARK "cnm"

static const struct program ovs_vsctl = { "ovs-vsctl", "openvswitch-switch", 10 };

/* Userspace forwards where the kernel has no module for it. */
static const char *datapath(void)
{
	return access("/sys/module/openvswitch", F_OK) == 0 ? "datapath_type=system"
							    : "datapath_type=netdev";
}

static int run_unlocked(struct run *r, const char *const argv[])
{
	int rc = run_flush(r);

	if (rc < 0)
		return rc;
	if (!r->locked)
		pthread_mutex_unlock(&r->a->turn);
	rc = program_run(&ovs_vsctl, argv, "", NULL, r->err);
	if (!r->locked)
		pthread_mutex_lock(&r->a->turn);
	return rc > 0 ? -EIO : rc;
}

static int put_bridge(struct run *r, const struct plan_item *w)
{
	char mark[160];
	int rc;

	if (w->ovs.borrowed) {
		rc = run_unlocked(r, (const char *const[]){ "ovs-vsctl", TIMEOUT, "get", "Bridge",
							    w->ovs.bridge, "name", NULL });
		if (rc < 0)
			cnm_error_prefix(r->err,
					 "is there an Open vSwitch bridge %s? Make one with "
					 "`ovs-vsctl add-br %s`, or leave out cnm.ovs.bridge",
					 w->ovs.bridge, w->ovs.bridge);
		return rc;
	}
	snprintf(mark, sizeof(mark), "external_ids:" OUR_MARK "=%s-%s", r->a->opt.instance,
		 w->owner);
	return run_unlocked(r, (const char *const[]){ "ovs-vsctl", TIMEOUT, "--may-exist", "add-br",
						      w->ovs.bridge, "--", "set", "Bridge",
						      w->ovs.bridge, datapath(), mark, NULL });
}

/*
 * One that is being mended may be there: on another bridge, with another tag, or for a link that is
 * no more, which the switch only notices when its port has gone.
 */
static int put_port(struct run *r, const struct plan_item *w)
{
	char mark[160], tag[32];
	int rc = 0;

	snprintf(mark, sizeof(mark), "external_ids:" OUR_MARK "=%s-%s", r->a->opt.instance,
		 w->owner);
	snprintf(tag, sizeof(tag), "tag=%u", w->ovs.vlan);
	if (r->locked)
		rc = run_unlocked(r, (const char *const[]){ "ovs-vsctl", TIMEOUT, "--if-exists",
							    "del-port", w->ovs.port, NULL });
	if (rc < 0)
		return rc;
	return run_unlocked(r, (const char *const[]){
				       "ovs-vsctl", TIMEOUT, "--if-exists", "del-port", w->ovs.port,
				       "--", "add-port", w->ovs.bridge, w->ovs.port, "--", "set",
				       "Port", w->ovs.port, mark, w->ovs.vlan ? tag : NULL, NULL });
}

/* The switch need not have done it, nor run. */
static int take_away(struct run *r, const struct plan_item *have)
{
	bool port = have->ovs.port[0];

	if (have->ovs.borrowed)
		return 0;
	return run_unlocked(r, (const char *const[]){ "ovs-vsctl", TIMEOUT, "--no-wait",
						      "--if-exists", port ? "del-port" : "del-br",
						      port ? have->ovs.port : have->ovs.bridge,
						      NULL });
}

int apply_ovs(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];

	if (op->action == PLAN_REMOVE)
		return take_away(r, op->have);
	return op->want->ovs.port[0] ? put_port(r, op->want) : put_bridge(r, op->want);
}

/* ---- reading back */

enum { BRIDGES, PORTS, INTERFACES };

/* The row of a name; NULL: there is none. */
static const json_t *find(const json_t *all, unsigned table, const char *name)
{
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(json_array_get(all, table), "data"), i, row)
		if (streq(json_string_value(json_array_get(row, 0)) ?: "", name))
			return row;
	return NULL;
}

/* A set of one is the one itself; none and several are ["set", [...]]. */
static bool has(const json_t *set, const json_t *one)
{
	const json_t *member;
	size_t i;

	if (json_equal((json_t *)set, (json_t *)one))
		return true;
	json_array_foreach (json_array_get(set, 1), i, member)
		if (json_equal((json_t *)member, (json_t *)one))
			return true;
	return false;
}

/* [bridges, ports, interfaces], one a line; an empty array where Open vSwitch does not answer. */
static const json_t *read_all(json_t **cache)
{
	static const char *const argv[] = { "ovs-vsctl",
					    TIMEOUT,
					    "--format=json",
					    "--columns=name,external_ids,ports",
					    "list",
					    "Bridge",
					    "--",
					    "--columns=name,external_ids,tag,_uuid",
					    "list",
					    "Port",
					    "--",
					    "--columns=name,ifindex",
					    "list",
					    "Interface",
					    NULL };
	_free_ char *text = NULL;

	if (!*cache) {
		*cache = json_array();
		program_run(&ovs_vsctl, argv, "", &text, NULL);
	}
	for (char *at = text, *line; (line = strsep(&at, "\n"));)
		if (*line)
			json_array_append_new(*cache, json_loads(line, 0, NULL));
	return *cache;
}

/* A port whose link was made anew meanwhile is one on paper only. */
static bool is_on(const json_t *all, const struct plan_item *w)
{
	const json_t *bridge = find(all, BRIDGES, w->ovs.bridge);
	const json_t *port = find(all, PORTS, w->ovs.port);
	const json_t *interface = find(all, INTERFACES, w->ovs.port);
	unsigned ifindex = if_nametoindex(w->ovs.port);

	return port && has(json_array_get(bridge, 2), json_array_get(port, 3)) && ifindex &&
	       json_integer_value(json_array_get(interface, 1)) == ifindex;
}

void ovs_dump(json_t **cache, const struct plan_item *w, struct plan *have)
{
	const json_t *all = read_all(cache);
	struct plan_item *i;

	if (!find(all, BRIDGES, w->ovs.bridge) || (w->ovs.port[0] && !is_on(all, w)))
		return;
	i = plan_add(have, w->kind, w->sandbox, w->owner);
	if (!i)
		return;
	*i = *w;
	if (w->ovs.port[0]) /* no tag is an empty set, and no integer */
		i->ovs.vlan = (unsigned)json_integer_value(
			json_array_get(find(all, PORTS, w->ovs.port), 2));
}

/* {"cnm": "INSTANCE-OWNER"} among the external ids of a row. */
static bool is_ours(const struct applier *a, const json_t *row)
{
	const json_t *pair;
	char mark[64];
	size_t i;

	snprintf(mark, sizeof(mark), "%s-", a->opt.instance);
	json_array_foreach (json_array_get(json_array_get(row, 1), 1), i, pair)
		if (streq(json_string_value(json_array_get(pair, 0)) ?: "", OUR_MARK) &&
		    str_after(json_string_value(json_array_get(pair, 1)) ?: "", mark))
			return true;
	return false;
}

static bool is_wanted(const struct plan *want, const char *name, bool port)
{
	for (size_t i = 0; i < want->n; i++) {
		const struct plan_item *w = &want->items[i];

		if (w->kind == PLAN_OVS && (w->ovs.port[0] != 0) == port &&
		    streq(port ? w->ovs.port : w->ovs.bridge, name))
			return true;
	}
	return false;
}

int ovs_dump_rest(json_t **cache, const struct applier *a, const struct plan *want,
		  struct plan *have)
{
	const json_t *all = access(DATABASE, F_OK) == 0 ? read_all(cache) : NULL, *row;
	size_t i;

	for (unsigned table = BRIDGES; table <= PORTS; table++) {
		json_array_foreach (json_object_get(json_array_get(all, table), "data"), i, row) {
			const char *name = json_string_value(json_array_get(row, 0));
			struct plan_item *it;

			if (!name || !is_ours(a, row) || is_wanted(want, name, table == PORTS))
				continue;
			it = plan_add(have, PLAN_OVS, NULL, "");
			if (!it)
				return -ENOMEM;
			str_copy(table == PORTS ? it->ovs.port : it->ovs.bridge, IFNAMSIZ, name);
		}
	}
	return 0;
}
