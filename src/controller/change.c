/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One request's way through kernel and store; see engine.h for the steps. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "controller/cluster.h"
#include "controller/remote.h"
#include "model/codec.h"

int change_prepare(struct change *c, struct cnm_error *err)
{
	int r = plan_check(&c->before, err);

	if (r == 0)
		r = plan_check(&c->after, err);
	if (r == 0 && (r = plan_diff(&c->before, &c->after, &c->diff)) < 0)
		cnm_error_errno(err, r, "compare the plans");
	c->diffed = r == 0;
	return r;
}

int change_tell(struct change *c, struct cnm_dry_run *dry, struct cnm_error *err)
{
	dry->plan = plan_diff_text(&c->diff);
	return dry->plan ? 0 : cnm_error_errno(err, ENOMEM, "write the plan down");
}

void change_revert(struct cnm_engine *e, struct change *c)
{
	struct plan_diff back = { 0 };
	struct cnm_error err = { 0 };

	if (plan_diff(&c->after, &c->before, &back) < 0 || applier_run(e->applier, &back, &err) < 0)
		log_err("take back a change: %s; the next comparison mends it",
			err.text[0] ? err.text : "out of memory");
	plan_diff_free(&back);
}

int change_carry_out(struct cnm_engine *e, struct change *c, struct store_tx *first,
		     struct store_tx *last, enum store_durability how, struct cnm_error *err)
{
	int r = store_commit(e->store, first, STORE_NORMAL, err);

	if (r == 0)
		r = applier_run(e->applier, &c->diff, err);
	if (r < 0) {
		store_tx_free(last);
		return r;
	}
	r = store_commit(e->store, last, how, err);
	if (r < 0)
		change_revert(e, c);
	return r;
}

void change_free(struct change *c)
{
	plan_free(&c->before);
	plan_free(&c->after);
	plan_diff_free(&c->diff);
}

/* ---- others, who are asked before and told afterwards */

void engine_afterwards(struct cnm_engine **e)
{
	cluster_afterwards(*e);
	remote_afterwards(*e);
}

int engine_ask_endpoint(struct cnm_engine *e, struct endpoint *ep, struct cnm_error *err)
{
	int r = remote_give_addresses(e, ep, err);

	return r < 0 ? r : cluster_claim_endpoint(e, ep, err);
}

int engine_ask_to_join(struct cnm_engine *e, struct sandbox *sb, struct cnm_error *err)
{
	int r = cluster_claim_sandbox(e, sb, err);

	return r < 0 ? r : remote_join_sandbox(e, sb, err);
}

int engine_ask_sandbox(struct cnm_engine *e, struct sandbox *sb, struct cnm_error *err)
{
	bool was_busy = sb->busy;
	struct endpoint *ep;
	int r = 0;

	sb->busy = true;
	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (r == 0 && ep->state == OBJ_CREATING)
			r = remote_give_addresses(e, ep, err);
	if (r == 0 && !sb->stopped)
		r = engine_ask_to_join(e, sb, err);
	sb->busy = was_busy;
	return r;
}

/* ---- rows */

int row_network(const struct network *n, enum store_state s, struct store_row *row)
{
	*row = (struct store_row){
		.kind = STORE_NETWORK, .state = s, .id = n->id, .name = n->name
	};
	row->body = network_encode(n);
	return row->body ? 0 : -ENOMEM;
}

int row_endpoint(const struct endpoint *ep, enum store_state s, struct row_bufs *bufs,
		 struct store_row *row)
{
	*row = (struct store_row){
		.kind = STORE_ENDPOINT,
		.state = s,
		.id = ep->id,
		.name = ep->name,
		.network = ep->network->id,
		.sandbox = ep->sandbox ? ep->sandbox->id : NULL,
		.ip4 = ip_format(&ep->ip4, bufs->ip4),
		.ip6 = ip_format(&ep->ip6, bufs->ip6),
		.mac = mac_is_set(&ep->mac) ? mac_format(&ep->mac, bufs->mac) : NULL,
	};
	/* What others have is theirs to keep apart: it is in the body only. */
	if (endpoint_is_remote(ep))
		row->name = row->ip4 = row->ip6 = row->mac = NULL;
	row->body = endpoint_encode(ep);
	return row->body ? 0 : -ENOMEM;
}

int row_sandbox(const struct sandbox *sb, enum store_state s, struct store_row *row)
{
	*row = (struct store_row){
		.kind = STORE_SANDBOX, .state = s, .id = sb->id, .name = sb->name
	};
	row->body = sandbox_encode(sb);
	return row->body ? 0 : -ENOMEM;
}

/* A row that cannot be encoded spoils the transaction: committing NULL fails with -ENOMEM. */
static void put_row(struct store_tx **tx, int r, struct store_row *row, bool insert)
{
	if (r < 0) {
		store_tx_free(*tx);
		*tx = NULL;
	} else if (insert) {
		store_tx_insert(*tx, row);
	} else {
		store_tx_update(*tx, row);
	}
	free((char *)row->body);
}

void tx_put_network(struct store_tx **tx, const struct network *n, enum store_state s, bool insert)
{
	struct store_row row;

	if (*tx)
		put_row(tx, row_network(n, s, &row), &row, insert);
}

void tx_put_endpoint(struct store_tx **tx, const struct endpoint *ep, enum store_state s,
		     bool insert)
{
	struct row_bufs bufs;
	struct store_row row;

	if (*tx)
		put_row(tx, row_endpoint(ep, s, &bufs, &row), &row, insert);
}

void tx_put_sandbox(struct store_tx **tx, const struct sandbox *sb, enum store_state s, bool insert)
{
	struct store_row row;

	if (*tx)
		put_row(tx, row_sandbox(sb, s, &row), &row, insert);
}
