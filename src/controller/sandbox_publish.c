/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changing what a sandbox publishes while it is there. Host ports that it has, and still wants,
 * stay the same. A crash in between leaves what the row says: the first comparison puts it right.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "controller/ports.h"

/* What is wanted, and what it was, change places. */
static void swap_wants(struct sandbox *a, struct sandbox *b)
{
	struct port_want *wants = a->wants;
	unsigned n = a->n_wants;

	a->wants = b->wants;
	a->n_wants = b->n_wants;
	b->wants = wants;
	b->n_wants = n;
}

/* Lock held on entry and exit, let go meanwhile. */
static int carry_out(struct cnm_engine *e, struct sandbox *sb, struct change *c,
		     struct cnm_error *err)
{
	struct store_tx *row = store_tx_new(e->store);
	int r;

	tx_put_sandbox(&row, sb, STORE_READY, false);
	sb->busy = true;
	pthread_mutex_unlock(&e->lock);
	r = change_carry_out(e, c, store_tx_new(e->store), row,
			     sb->declared ? STORE_FULL : STORE_NORMAL, err);
	pthread_mutex_lock(&e->lock);
	sb->busy = false;
	pthread_cond_broadcast(&e->changed);
	return r;
}

/* asked: a sandbox of nothing but what is to be published; it has what was when all went well. */
static int publish(struct cnm_engine *e, const char *ref, struct sandbox *asked,
		   const struct hostports_used *used, struct cnm_dry_run *dry,
		   struct cnm_error *err)
{
	_cleanup_(change_free) struct change c = { 0 };
	struct ports_change ports;
	struct sandbox *sb;
	int r;
	LOCKED(&e->lock);

	r = engine_sandbox(e, ref, true, &sb, err);
	if (r < 0)
		return r;
	plan_request(e, sb, &c.before);
	swap_wants(sb, asked);
	r = ports_begin(e, sb, used, &ports, err);
	if (r < 0) {
		swap_wants(sb, asked);
		return r;
	}
	plan_request(e, sb, &c.after);
	r = change_prepare(&c, err);
	if (r == 0)
		r = dry ? change_tell(&c, dry, err) : carry_out(e, sb, &c, err);
	if (r < 0)
		ports_tell(sb, err);
	if (r < 0 || dry)
		swap_wants(sb, asked);
	ports_end(e, sb, &ports, r == 0 && !dry);
	return r;
}

int cnm_sandbox_publish(struct cnm_engine *e, const char *ref, const struct cnm_publish *list,
			size_t n, struct cnm_dry_run *dry, struct cnm_error *err)
{
	const struct cnm_sandbox_config config = { .publish = list, .n_publish = n };
	_free_ struct hostports_used *used = calloc(1, sizeof(*used));
	struct sandbox *asked = sandbox_new("asked");
	int r = asked && used ? sandbox_set_ports(asked, &config, err)
			      : cnm_error_errno(err, ENOMEM, "publish ports");

	if (r == 0) {
		reconcile_sandbox_first(e, ref);
		r = -EADDRINUSE;
	}
	/* A process may be quicker at a port that was chosen. */
	for (unsigned i = 0; r == -EADDRINUSE && i < PORTS_TRIES; i++) {
		bool chooses = sandbox_chooses_ports(asked);

		if (chooses)
			hostports_look(used, NULL);
		r = publish(e, ref, asked, used, dry, err);
		if (!chooses)
			break;
	}
	sandbox_free(asked);
	return r;
}
