/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Namespaces of sandboxes and networks: taken from the pool or adopted, pinned, and let go of when
 * the run that removes them cannot fail any more.
 */
#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "plan/apply_internal.h"

/*
 * Give it an id, without which the monitor hears nothing of it. The kernel does so for one that has
 * the other end of a link of the host's; one that has an id keeps it.
 */
static void number(struct applier *a, const struct handle *h)
{
	struct nl_batch b = { 0 };

	rtnl_put_nsid(&b, h->ns, -1);
	nl_batch_run(a->rtnl, &b, NULL);
	nl_batch_free(&b);
}

static int netns_fill(struct applier *a, struct handle *h, const char *source,
		      struct cnm_error *err)
{
	struct netns_ready ready;
	int rc;

	if (!streq(source, "new") && !streq(source, "bare")) {
		rc = netns_open_path(streq(source, "host") ? "/proc/self/ns/net" : source, &h->ns,
				     err);
		return rc < 0 ? rc : netns_nl_open(&h->rtnl, h->ns, NETLINK_ROUTE, err);
	}
	rc = netns_pool_take(a->pool, &ready, err);
	if (rc < 0)
		return rc;
	h->own = true;
	h->ns = ready.ns;
	h->rtnl = ready.rtnl;
	h->udp = ready.dns_udp;
	h->tcp = ready.dns_tcp;
	number(a, h);
	if (streq(source, "bare")) { /* nobody asks for names in it */
		close_fd(&h->udp);
		close_fd(&h->tcp);
	}
	return 0;
}

/* An adopted namespace that already is pinned under this very name is not pinned again. */
static bool is_own_pin(const struct applier *a, const struct plan_item *i)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", a->opt.netns_dir, i->netns.name);
	return streq(path, i->netns.source);
}

static struct handle *limbo_take(struct run *r, const char *sandbox)
{
	for (struct handle **p = &r->limbo; *p; p = &(*p)->next) {
		struct handle *h = *p;

		if (streq(h->sandbox, sandbox)) {
			*p = h->next;
			return h;
		}
	}
	return NULL;
}

static int netns_add(struct run *r, const struct plan_item *want)
{
	struct applier *a = r->a;
	struct handle *h = map_get(&a->handles, want->sandbox);
	int rc;

	if (!h && (h = limbo_take(r, want->sandbox)) && map_add(&a->handles, h->sandbox, h) < 0)
		return cnm_error_errno(r->err, ENOMEM, "namespace");
	if (!h && !(h = handle_new(a, want->sandbox, want->netns.name)))
		return cnm_error_errno(r->err, ENOMEM, "namespace");
	rc = h->ns < 0 ? netns_fill(a, h, want->netns.source, r->err) : 0;
	if (rc == 0 && !is_own_pin(a, want)) {
		if (r->locked) /* repair: what is left of the old pin goes */
			netns_unpin(a->opt.netns_dir, want->netns.name, NULL);
		rc = netns_pin(h->ns, a->opt.netns_dir, want->netns.name, r->err);
	}
	if (rc < 0) {
		map_del(&a->handles, h->sandbox);
		handle_free(h);
	}
	return rc;
}

static int netns_remove(struct run *r, const struct plan_item *have)
{
	struct handle *h = map_del(&r->a->handles, have->sandbox);

	if (h) {
		h->next = r->limbo;
		r->limbo = h;
	}
	if (is_own_pin(r->a, have))
		return 0;
	return netns_unpin(r->a->opt.netns_dir, have->netns.name, r->err);
}

int apply_netns(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];

	return op->want ? netns_add(r, op->want) : netns_remove(r, op->have);
}
