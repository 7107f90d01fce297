/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The other hosts of the cluster, as they come and go.
 *
 * A host whose key is not alive is lost. cnm.linger later (a daemon that is restarted is back by
 * then) its names are not told any more; after its grace time its endpoints are removed, by
 * whichever host comes first: they begin one after another, in the order of their ids. Both times
 * begin anew when the store is reached again, since meanwhile nobody could say that he was back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "controller/cluster.h"

#define NS_PER_S  1000000000ull
#define NS_PER_MS 1000000ull
#define MISSING   (10 * NS_PER_S)
#define REJOIN    (2 * NS_PER_S) /* a host rests at most so long before it tries the store again */
#define MAX_RANK  60u            /* seconds behind the first */
#define MAX_WAIT  3600000u

static struct cluster_host *find(const struct engine_cluster *c, const char *id)
{
	for (size_t i = 0; i < c->n_hosts; i++)
		if (streq(c->hosts[i].id, id))
			return &c->hosts[i];
	return NULL;
}

/* One not heard of before is lost, and nothing of it is told. */
static struct cluster_host *find_or_add(struct engine_cluster *c, const char *id)
{
	struct cluster_host *h = find(c, id), *more;

	if (h)
		return h;
	more = reallocarray(c->hosts, c->n_hosts + 1, sizeof(*more));
	if (!more)
		return NULL;
	c->hosts = more;
	h = &more[c->n_hosts++];
	*h = (struct cluster_host){ .since = clock_mono_ns() };
	str_copy(h->id, ID_SIZE, id);
	return h;
}

int cluster_hosts_restore(struct cnm_engine *e)
{
	const struct network *n;
	const struct endpoint *ep;

	list_for_each (n, &e->model.networks, node) {
		list_for_each (ep, &n->endpoints, in_network) {
			struct cluster_host *h =
				endpoint_is_remote(ep) ? find_or_add(e->cluster, ep->host) : NULL;

			if (!endpoint_is_remote(ep))
				continue;
			if (!h)
				return -ENOMEM;
			h->told = true;
		}
	}
	return 0;
}

int cluster_host_follow(struct engine_cluster *c, const char *id, bool alive, bool *ret_told)
{
	bool known = find(c, id);
	struct cluster_host *h = find_or_add(c, id);

	*ret_told = false;
	if (!h)
		return -ENOMEM;
	if (known && !h->since == alive)
		return 0;
	h->since = alive ? 0 : clock_mono_ns();
	h->tried = 0;
	*ret_told = alive && !h->told;
	h->told |= alive;
	log_info("host %.12s of the cluster is %s", id, alive ? "up" : "lost");
	return 0;
}

bool cluster_host_is_up(const struct engine_cluster *c, const char *id)
{
	const struct cluster_host *h = find(c, id);

	return h && !h->since;
}

bool cluster_host_is_told(const struct engine_cluster *c, const char *id)
{
	const struct cluster_host *h = find(c, id);

	return h && h->told;
}

bool cluster_name_is_taken(const struct cnm_engine *e, const struct network *n, const char *name)
{
	const struct endpoint *ep;

	list_for_each (ep, &n->endpoints, in_network)
		if (streq(ep->name, name) && (!endpoint_is_remote(ep) || !e->cluster ||
					      cluster_host_is_told(e->cluster, ep->host)))
			return true;
	return false;
}

unsigned cluster_host_lost_s(const struct engine_cluster *c, const char *id)
{
	const struct cluster_host *h = find(c, id);

	return h && h->since ? (unsigned)((clock_mono_ns() - h->since) / NS_PER_S) + 1 : 0;
}

static unsigned grace_of(const struct engine_cluster *c, const char *id)
{
	char key[KV_KEY_MAX + 1];
	_json_ json_t *host =
		cluster_copy_get(c->copy, cluster_key_make(key, CLUSTER_HOST, NULL, id), NULL);
	json_int_t s = json_integer_value(json_object_get(host, "Grace"));

	return s > 0 && s < 365 * 86400 ? (unsigned)s : c->options.grace_s;
}

/*
 * An endpoint that is missing in the store when all of it is told anew may have left while we did
 * not hear, or the store has forgotten it. Then its host puts it back, at once if it is up, or when
 * it comes back.
 */
uint64_t cluster_missing_until(const struct engine_cluster *c, const struct endpoint *ep)
{
	return ep->missing +
	       (cluster_host_is_up(c, ep->host) ? MISSING : grace_of(c, ep->host) * NS_PER_S);
}

static uint64_t next_missing(const struct cnm_engine *e)
{
	const struct network *n;
	const struct endpoint *ep;
	uint64_t next = UINT64_MAX;

	list_for_each (n, &e->model.networks, node) {
		list_for_each (ep, &n->endpoints, in_network) {
			uint64_t at =
				ep->missing ? cluster_missing_until(e->cluster, ep) : UINT64_MAX;

			next = at < next ? at : next;
		}
	}
	return next;
}

/* ---- what is due */

static void drop_names(struct cnm_engine *e, const char *host)
{
	const struct network *n;
	const struct endpoint *ep;

	list_for_each (n, &e->model.networks, node)
		list_for_each (ep, &n->endpoints, in_network)
			if (streq(ep->host, host))
				resolver_drop_names(e->resolver, ep->id);
}

/* How many others that are up would begin before us. */
static unsigned rank_of_ours(const struct engine_cluster *c)
{
	unsigned n = 0;

	for (size_t i = 0; i < c->n_hosts && n < MAX_RANK; i++)
		n += !c->hosts[i].since && strcmp(c->hosts[i].id, c->store.host) < 0;
	return n;
}

static uint64_t begun(const struct engine_cluster *c, uint64_t since)
{
	uint64_t all_back = c->heard + REJOIN;

	return since > all_back ? since : all_back;
}

static uint64_t end_of(const struct engine_cluster *c, const struct cluster_host *h)
{
	return begun(c, h->tried ? h->tried : h->since) +
	       (grace_of(c, h->id) + rank_of_ours(c)) * NS_PER_S;
}

/* Of its names. */
static uint64_t end_of_telling(const struct engine_cluster *c, const struct cluster_host *h)
{
	return begun(c, h->since) + c->options.linger_s * NS_PER_S;
}

int cluster_hosts_wait_ms(const struct cnm_engine *e)
{
	const struct engine_cluster *c = e->cluster;
	uint64_t now = clock_mono_ns(), next = c->any_missing ? next_missing(e) : UINT64_MAX;

	for (size_t i = 0; i < c->n_hosts; i++) {
		const struct cluster_host *h = &c->hosts[i];
		uint64_t at = !h->since ? UINT64_MAX
			      : h->told ? end_of_telling(c, h)
					: end_of(c, h);

		next = at < next ? at : next;
	}
	if (next == UINT64_MAX)
		return -1;
	next = next <= now ? 0 : (next - now) / NS_PER_MS + 1;
	return (int)(next < MAX_WAIT ? next : MAX_WAIT);
}

/* One whose grace time has ended, into id; its time begins again, for what comes late. */
static bool next_due(struct cnm_engine *e, char id[static ID_SIZE])
{
	struct engine_cluster *c = e->cluster;
	uint64_t now = clock_mono_ns();
	LOCKED(&e->lock);

	for (size_t i = 0; i < c->n_hosts; i++) {
		struct cluster_host *h = &c->hosts[i];

		if (h->since && h->told && now >= end_of_telling(c, h)) {
			h->told = false;
			drop_names(e, h->id);
		}
		if (!h->since || now < end_of(c, h))
			continue;
		h->tried = now;
		memcpy(id, h->id, ID_SIZE);
		return true;
	}
	return false;
}

void cluster_hosts_work(struct cnm_engine *e)
{
	struct cnm_error err = { 0 };
	char id[ID_SIZE];

	cluster_drop_missing(e);
	while (next_due(e, id))
		if (cluster_expire_host(&e->cluster->store, id, &err) < 0)
			log_warn("free the addresses of host %.12s, which is lost: %s", id,
				 err.text);
}
