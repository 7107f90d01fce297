/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `cnm doctor`: every difference between what should exist and what does, and mending them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "controller/cluster.h"
#include "controller/compare.h"
#include "controller/remote.h"

static json_t *attrs_json(const struct plan_item *i)
{
	struct strbuf b = { 0 };
	json_t *s;

	if (i)
		plan_item_attrs(i, &b);
	s = json_str(b.s);
	strbuf_free(&b);
	return s;
}

/* The key without its kind, which has a field of its own. */
static json_t *key_json(const struct plan_item *i)
{
	struct strbuf b = { 0 };
	const char *key = "";
	json_t *s;

	plan_item_key(i, &b);
	if (b.s)
		key = strchr(b.s, ' ') + 1;
	s = json_string(key);
	strbuf_free(&b);
	return s;
}

/* name: of the sandbox or network that is looked at. */
static json_t *op_json(const struct plan_op *op, const char *name)
{
	static const char *const actions[] = { "remove", "change", "add" };
	const struct plan_item *i = op->want ? op->want : op->have;
	json_t *o = json_object();

	json_put(o, "Action", json_string(actions[op->action]));
	json_put(o, "Kind", json_string(plan_kind_name(i->kind)));
	json_put(o, "Where", json_string(i->sandbox[0] ? name : "host"));
	json_put(o, "Key", key_json(i));
	json_put(o, "Want", attrs_json(op->want));
	json_put(o, "Have", attrs_json(op->have));
	json_put(o, "Owner", json_string(i->owner));
	return o;
}

static json_t *ruleset_json(const struct cnm_engine *e)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "Action", "add", "Kind", "ruleset",
			 "Where", "host", "Key", applier_table(e->applier), "Want", "loaded",
			 "Have", "", "Owner", "host");
}

static void name_of(struct cnm_engine *e, const char *place, char name[static 256])
{
	const struct sandbox *sb;
	const struct network *n;
	LOCKED(&e->lock);

	sb = map_get(&e->model.sandbox_by_id, place);
	n = map_get(&e->model.network_by_id, place);
	str_copy(name, 256, sb ? sb->name : n ? n->name : "");
}

static int examine(struct cnm_engine *e, const char *place, bool repair, json_t *list,
		   struct cnm_error *err)
{
	struct comparison c = { 0 };
	char name[256];
	int r;

	if (repair && (r = compare_and_mend(e, place, NULL, err)) != COMPARED)
		return r;
	applier_enter(e->applier);
	r = compare_place(e, place, &c, err);
	applier_leave(e->applier);
	if (r != COMPARED)
		return r;
	name_of(e, place, name);
	if (c.ruleset_missing)
		json_push(list, ruleset_json(e));
	for (size_t i = 0; i < c.diff.n; i++)
		json_push(list, op_json(&c.diff.ops[i], name));
	comparison_free(&c);
	return COMPARED;
}

static void take_notes(struct cnm_engine *e, json_t *notes)
{
	char drop[256] = "", line[512];
	char *fault = store_fault(e->store);

	applier_enter(e->applier);
	applier_foreign_drop(e->applier, drop, sizeof(drop), NULL);
	applier_leave(e->applier);
	if (drop[0]) {
		snprintf(
			line, sizeof(line),
			"%s drops forwarded packets, those of cnm's networks too: accept them there "
			"(docs/FIREWALL.md has the rule)",
			drop);
		json_push(notes, json_string(line));
	}
	if (fault)
		json_push(notes, json_string(fault));
	free(fault);
	cluster_doctor(e, notes);
	remote_doctor(e, notes);
}

static int examine_all(struct cnm_engine *e, char (*ids)[ID_SIZE], unsigned n, bool repair,
		       json_t *list, struct cnm_error *err)
{
	int r = ids ? 0 : cnm_error_errno(err, ENOMEM, "doctor");

	for (unsigned i = 0; i < n && r >= 0; i++)
		r = examine(e, ids[i], repair, list, err);
	free(ids);
	return r;
}

int cnm_engine_doctor(struct cnm_engine *e, bool repair, char **ret_json, struct cnm_error *err)
{
	_json_ json_t *o = json_object();
	json_t *differences = json_array(), *notes = json_array();
	unsigned n = 0;
	char *text;
	int r;

	json_put(o, "Differences", differences);
	json_put(o, "Notes", notes);
	r = examine(e, "", repair, differences, err);
	if (r >= 0) {
		char(*ids)[ID_SIZE] = compare_networks(e, &n);

		r = examine_all(e, ids, n, repair, differences, err);
	}
	if (r >= 0) {
		char(*ids)[ID_SIZE] = compare_sandboxes(e, NULL, &n);

		r = examine_all(e, ids, n, repair, differences, err);
	}
	if (r < 0)
		return r;
	take_notes(e, notes);
	text = json_text(o);
	if (!text)
		return cnm_error_errno(err, ENOMEM, "doctor");
	*ret_json = text;
	return 0;
}
