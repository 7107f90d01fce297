/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a reference names, waited for while another request is changing it. Each look-up returns 1
 * when it had to wait: what the caller found before is stale then.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/cond.h"
#include "controller/engine.h"

int engine_wait(struct cnm_engine *e, uint64_t *deadline)
{
	if (!*deadline)
		*deadline = clock_mono_ns() + ENGINE_WAIT_S * 1000000000ull;
	return cond_wait(&e->changed, &e->lock, *deadline);
}

static const char *doing(enum obj_state s)
{
	switch (s) {
	case OBJ_CREATING:
		return "created";
	case OBJ_REMOVING:
		return "removed";
	case OBJ_READY:
		break;
	}
	return "changed";
}

static int busy_error(const char *what, const char *name, enum obj_state s, struct cnm_error *err)
{
	return cnm_error_set(
		err, CNM_E_CONFLICT,
		"%s %s is being %s by another request, which has not ended within %d s; "
		"try again",
		what, name, doing(s), ENGINE_WAIT_S);
}

static int ref_error(enum ref_result r, const char *what, const char *ref, unsigned matches,
		     struct cnm_error *err)
{
	switch (r) {
	case REF_AMBIGUOUS_NAME:
		return cnm_error_set(err, CNM_E_INVALID,
				     "%s %s is ambiguous (%u matches found based on name)", what,
				     ref, matches);
	case REF_AMBIGUOUS_ID:
		return cnm_error_set(err, CNM_E_INVALID,
				     "%s %s is ambiguous (%u matches found based on ID prefix)",
				     what, ref, matches);
	case REF_NONE:
	case REF_FOUND:
		break;
	}
	return cnm_error_set(err, CNM_E_NOT_FOUND, "%s %s not found", what, ref);
}

int engine_network(struct cnm_engine *e, const char *ref, struct network **ret,
		   struct cnm_error *err)
{
	uint64_t deadline = 0;
	int waited = 0;
	struct network *n;
	unsigned matches;

	for (;;) {
		enum ref_result r = model_find_network(&e->model, ref, &n, &matches);

		if (r != REF_FOUND)
			return ref_error(r, "network", ref, matches, err);
		if (n->state == OBJ_READY)
			break;
		if (engine_wait(e, &deadline) < 0)
			return busy_error("network", n->name, n->state, err);
		waited = 1;
	}
	*ret = n;
	return waited;
}

/*
 * What a global network has on this host comes with the first sandbox on it and goes with the last:
 * while either is under way, nobody can tell whether it is there.
 */
static bool is_arriving(const struct network *n)
{
	const struct endpoint *ep;
	bool unsettled = false;

	if (!network_is_global(n))
		return false;
	list_for_each (ep, &n->endpoints, in_network) {
		const struct sandbox *sb = ep->sandbox;

		if (!sb)
			continue;
		if (ep->state != OBJ_READY || sb->busy || sb->state != OBJ_READY)
			unsettled = true;
		else if (!sb->stopped)
			return false;
	}
	return unsettled;
}

int engine_network_to_join(struct cnm_engine *e, const char *ref, struct network **ret,
			   struct cnm_error *err)
{
	uint64_t deadline = 0;
	int waited = 0;

	for (;;) {
		int r = engine_network(e, ref, ret, err);

		if (r < 0)
			return r;
		waited |= r;
		if (!is_arriving(*ret))
			return waited;
		if (engine_wait(e, &deadline) < 0)
			return busy_error("network", (*ret)->name, OBJ_READY, err);
		waited = 1;
	}
}

/* A network that is being removed takes the endpoints of stopped sandboxes with it. */
static bool is_losing_network(const struct sandbox *sb)
{
	const struct endpoint *ep;

	list_for_each (ep, &sb->endpoints, in_sandbox)
		if (ep->network->state != OBJ_READY || is_arriving(ep->network))
			return true;
	return false;
}

int engine_sandbox(struct cnm_engine *e, const char *ref, bool exclusive, struct sandbox **ret,
		   struct cnm_error *err)
{
	uint64_t deadline = 0;
	int waited = 0;
	struct sandbox *sb;
	unsigned matches;

	for (;;) {
		enum ref_result r = model_find_sandbox(&e->model, ref, &sb, &matches);

		if (r == REF_NONE)
			return cnm_error_set(err, CNM_E_NOT_FOUND, "No such container: %s", ref);
		if (r != REF_FOUND)
			return ref_error(r, "container", ref, matches, err);
		if (sb->state == OBJ_READY && !(exclusive && (sb->busy || is_losing_network(sb))))
			break;
		if (engine_wait(e, &deadline) < 0)
			return busy_error("sandbox", sb->name, sb->state, err);
		waited = 1;
	}
	*ret = sb;
	return waited;
}

int engine_endpoint(struct cnm_engine *e, const char *ref, struct endpoint **ret,
		    struct cnm_error *err)
{
	uint64_t deadline = 0;
	int waited = 0;
	struct endpoint *ep;
	unsigned matches;

	for (;;) {
		enum ref_result r = model_find_endpoint(&e->model, ref, &ep, &matches);

		if (r != REF_FOUND)
			return ref_error(r, "endpoint", ref, matches, err);
		if (ep->state == OBJ_READY && ep->network->state == OBJ_READY &&
		    !(ep->sandbox && ep->sandbox->busy))
			break;
		if (engine_wait(e, &deadline) < 0)
			return busy_error("endpoint", ep->name, ep->state, err);
		waited = 1;
	}
	*ret = ep;
	return waited;
}

int engine_pair(struct cnm_engine *e, const char *network, const char *sandbox, struct network **n,
		struct sandbox **sb, struct cnm_error *err)
{
	int r;

	do {
		r = engine_sandbox(e, sandbox, true, sb, err);
		if (r >= 0)
			r = engine_network_to_join(e, network, n, err);
	} while (r > 0);
	return r;
}
