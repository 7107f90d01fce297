/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Endpoints: one transaction each to join, to change and to go. What an address or a name leads to
 * is the id of the endpoint that has it; one that leads to an endpoint that is not there is
 * nobody's.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "cluster/claims_internal.h"

#define NS_PER_S 1000000000

/* ---- what belongs to an endpoint besides its own key */

struct part {
	enum cluster_kind kind;
	enum cluster_clash clash;
	char id[129];
};

static size_t parts_of(const char *name, const struct cnm_ip *ip4, const struct cnm_ip *ip6,
		       struct part ret[static 3])
{
	size_t n = 0;

	if (ip_is_set(ip4)) {
		ret[n] = (struct part){ CLUSTER_ADDRESS, CLASH_IPV4, "" };
		claim_hex(ip4, ret[n++].id);
	}
	if (ip_is_set(ip6)) {
		ret[n] = (struct part){ CLUSTER_ADDRESS, CLASH_IPV6, "" };
		claim_hex(ip6, ret[n++].id);
	}
	if (name && name[0]) {
		ret[n] = (struct part){ CLUSTER_NAME, CLASH_NAME, "" };
		str_copy(ret[n].id, sizeof(ret[n].id), name);
		n++;
	}
	return n;
}

/* Of the store's word only what can be true: an address of the family, a name that makes a key. */
static size_t parts_of_value(const char *network_id, const json_t *value, struct part ret[static 3])
{
	struct cnm_ip ip4 = { 0 }, ip6 = { 0 };
	const char *name = claim_text(value, "Name");
	struct cluster_key parsed;
	char key[KV_KEY_MAX + 1];

	if (ip_parse(&ip4, claim_text(value, "IPv4")) < 0 || ip4.family != AF_INET)
		ip4 = (struct cnm_ip){ 0 };
	if (ip_parse(&ip6, claim_text(value, "IPv6")) < 0 || ip6.family != AF_INET6)
		ip6 = (struct cnm_ip){ 0 };
	cluster_key_make(key, CLUSTER_NAME, network_id, name);
	return parts_of(cluster_key_parse(&parsed, key) ? name : "", &ip4, &ip6, ret);
}

bool endpoint_is_good(const json_t *value)
{
	return id_is_valid(claim_text(value, "Host"));
}

static json_t *body_of(const struct attempt *a, const struct cluster_endpoint *ep)
{
	json_t *o = json_deep_copy(ep->body);
	char text[IP_STR];

	json_put(o, "Name", json_str(ep->name));
	json_put(o, "Host", json_string(a->c->host));
	json_put(o, "IPv4", json_string(ip_format(&ep->ip4, text)));
	json_put(o, "IPv6", json_string(ip_format(&ep->ip6, text)));
	return o;
}

/* ---- joining */

static int refuse(const struct cluster_endpoint *ep, const struct part *p, struct cnm_error *err)
{
	char text[IP_STR];

	if (p->clash == CLASH_NAME)
		return cnm_error_set(err, CNM_E_FORBIDDEN,
				     "endpoint with name %s already exists in network %.12s of the "
				     "cluster",
				     ep->name, ep->network_id);
	return cnm_error_set(err, CNM_E_FORBIDDEN,
			     "Address already in use: %s is that of another endpoint of the "
			     "cluster",
			     ip_format(p->clash == CLASH_IPV4 ? &ep->ip4 : &ep->ip6, text));
}

/*
 * Whose is the part? Nobody's, if that endpoint is not there; nor is a name that of an endpoint
 * whose host is lost. It is so still when the transaction is carried out.
 */
static int find_owner(struct attempt *a, const struct cluster_endpoint *ep, const struct part *p,
		      const json_t *value, struct claim_txn *checks, bool *ret_taken,
		      struct cnm_error *err)
{
	const char *id = json_string_value(value), *host;
	_found_ struct found owner = { 0 };
	char key[KV_KEY_MAX + 1];
	int r;

	*ret_taken = false;
	if (!id || !id_is_valid(id) || streq(id, ep->id))
		return 0;
	cluster_key_make(key, CLUSTER_ENDPOINT, ep->network_id, id);
	r = attempt_look(a, OWNER_OP, key, &owner, err);
	if (r < 0)
		return r;
	if (!owner.value) {
		claim_check(checks, key, 0);
		return 0;
	}
	host = claim_text(owner.value, "Host");
	*ret_taken = true;
	if (p->kind == CLUSTER_NAME && id_is_valid(host))
		r = attempt_has(a, CLUSTER_ALIVE, NULL, host, ret_taken, err);
	if (r == 0 && !*ret_taken)
		claim_check(checks, cluster_key_make(key, CLUSTER_ALIVE, NULL, host), 0);
	return r;
}

/* An address or a name, which nobody has as far as is known. */
static int take_part(struct attempt *a, const struct cluster_endpoint *ep, const struct part *p,
		     struct claim_txn *t, struct claim_txn *checks, enum cluster_clash *ret,
		     struct cnm_error *err)
{
	char key[KV_KEY_MAX + 1];
	_found_ struct found f = { 0 };
	bool taken = false;
	int r = 0;

	cluster_key_make(key, p->kind, ep->network_id, p->id);
	if (attempt_suspects(a, (unsigned)t->n))
		r = attempt_look(a, (unsigned)t->n, key, &f, err);
	if (r == 0)
		r = find_owner(a, ep, p, f.value, checks, &taken, err);
	if (r < 0)
		return r;
	if (taken) {
		*ret = p->clash;
		return refuse(ep, p, err);
	}
	claim_put(t, key, json_string(ep->id), f.version);
	return 0;
}

/* Its network is there, and is not about to go; a removal whose host is gone has no end. */
static int check_network(struct attempt *a, const struct cluster_endpoint *ep, struct claim_txn *t,
			 enum cluster_clash *ret, struct cnm_error *err)
{
	char key[KV_KEY_MAX + 1];
	_found_ struct found net = { 0 };
	bool good, goes_on = false;
	const char *remover;
	int r = attempt_look(a, 0, cluster_key_make(key, CLUSTER_NETWORK, NULL, ep->network_id),
			     &net, err);

	if (r < 0)
		return r;
	good = network_is_good(net.value);
	remover = claim_text(net.value, "Removing");
	if (good && !remover[0]) {
		claim_check(t, key, net.version);
		return 0;
	}
	if (!attempt_suspects(a, 0)) {
		attempt_suspect_all(a); /* nobody is refused by a guess */
		return KV_CONFLICT;
	}
	if (good) {
		if (id_is_valid(remover))
			r = attempt_has(a, CLUSTER_ALIVE, NULL, remover, &goes_on, err);
		if (r == 0 && !goes_on)
			r = network_unremove(a, ep->network_id, err);
		if (r < 0 || !goes_on)
			return r < 0 ? r : KV_CONFLICT;
	}
	*ret = CLASH_NETWORK;
	return cnm_error_set(err, good ? CNM_E_CONFLICT : CNM_E_NOT_FOUND,
			     good ? "network %.12s is being removed by another host"
				  : "network %.12s is not in the cluster any more",
			     ep->network_id);
}

/* Nobody has removed it from elsewhere. */
static int check_tombstone(struct attempt *a, const struct cluster_endpoint *ep,
			   struct claim_txn *t, enum cluster_clash *ret, struct cnm_error *err)
{
	char key[KV_KEY_MAX + 1];
	_found_ struct found f = { 0 };
	int r = 0;

	cluster_key_make(key, CLUSTER_TOMBSTONE, NULL, ep->id);
	if (attempt_suspects(a, 1) || cluster_copy_version(a->c->copy, key))
		r = attempt_look(a, 1, key, &f, err);
	if (r < 0)
		return r;
	if (!f.value) {
		claim_check(t, key, 0);
		return 0;
	}
	*ret = CLASH_BURIED;
	return cnm_error_set(err, CNM_E_CONFLICT, "endpoint %.12s was removed from another host",
			     ep->id);
}

/*
 * The order of the operations is that in which the conflicts are told apart: network, tombstone,
 * endpoint, its parts, and last whatever those need to be true.
 */
int endpoint_attempt(struct attempt *a, const struct cluster_endpoint *ep, enum cluster_clash *ret,
		     struct cnm_error *err)
{
	_txn_ struct claim_txn t = { 0 }, checks = { 0 };
	char key[KV_KEY_MAX + 1];
	struct part parts[3];
	size_t n = parts_of(ep->name, &ep->ip4, &ep->ip6, parts);
	_found_ struct found there = { 0 };
	int r = 0;

	*ret = CLASH_NONE;
	cluster_key_make(key, CLUSTER_ENDPOINT, ep->network_id, ep->id);
	if (attempt_suspects(a, 2))
		r = attempt_look(a, 2, key, &there, err);
	if (r < 0 || endpoint_is_good(there.value)) /* a transaction that was carried out unheard */
		return r;
	r = check_network(a, ep, &t, ret, err);
	if (r == 0)
		r = check_tombstone(a, ep, &t, ret, err);
	if (r == 0)
		claim_put(&t, key, body_of(a, ep), there.version);
	for (size_t i = 0; i < n && r == 0; i++)
		r = take_part(a, ep, &parts[i], &t, &checks, ret, err);
	claim_move(&t, &checks);
	return r == 0 ? attempt_commit(a, &t, err) : r;
}

int cluster_join(const struct cluster *c, const struct cluster_endpoint *ep,
		 enum cluster_clash *ret, struct cnm_error *err)
{
	struct attempt a = attempt_begin(c);
	int r;

	do
		r = endpoint_attempt(&a, ep, ret, err);
	while (r == KV_CONFLICT);
	return r;
}

/* ---- going */

/* The parts that it has, and not those that have become another's. */
static int drop_parts(struct attempt *a, const char *network_id, const char *id,
		      const json_t *value, struct claim_txn *t, struct cnm_error *err)
{
	struct part parts[3];
	size_t n = parts_of_value(network_id, value, parts);

	for (size_t i = 0; i < n; i++) {
		char key[KV_KEY_MAX + 1];
		_found_ struct found f = { 0 };
		int r = attempt_look(a, ANY_OP,
				     cluster_key_make(key, parts[i].kind, network_id, parts[i].id),
				     &f, err);

		if (r < 0)
			return r;
		if (claim_is(f.value, id)) {
			claim_delete(t, key, f.version);
		} else if (f.value && !attempt_suspects(a, ANY_OP)) {
			attempt_suspect_all(a); /* an old copy would leave it behind */
			return KV_CONFLICT;
		}
	}
	return 0;
}

static int leave_tombstone(struct attempt *a, const char *id, const json_t *value,
			   struct claim_txn *t, struct cnm_error *err)
{
	char key[KV_KEY_MAX + 1];
	json_t *o;
	bool there;
	int r = attempt_has(a, CLUSTER_TOMBSTONE, NULL, id, &there, err);

	if (r < 0 || there)
		return r;
	o = json_object();
	json_put(o, "Host", json_string(claim_text(value, "Host")));
	json_put(o, "Since", json_integer(clock_wall_ns() / NS_PER_S));
	claim_create(t, cluster_key_make(key, CLUSTER_TOMBSTONE, NULL, id), o);
	return 0;
}

/* What makes this removal right. -ENOENT: it is not, so nothing is to be done. */
static int justify(struct attempt *a, const char *id, const json_t *value, enum removal why,
		   struct claim_txn *t, struct cnm_error *err)
{
	const char *host = claim_text(value, "Host");
	char key[KV_KEY_MAX + 1];
	bool alive;
	int r;

	switch (why) {
	case REMOVAL_LEAVE:
		return streq(host, a->c->host) || !endpoint_is_good(value) ? 0 : -ENOENT;
	case REMOVAL_EVICT:
		return leave_tombstone(a, id, value, t, err);
	case REMOVAL_EXPIRE:
	case REMOVAL_FORGET:
		if (!endpoint_is_good(value))
			return -ENOENT;
		r = attempt_has(a, CLUSTER_ALIVE, NULL, host, &alive, err);
		if (r < 0 || alive)
			return r < 0 ? r : -ENOENT;
		claim_check(t, cluster_key_make(key, CLUSTER_ALIVE, NULL, host), 0);
		return why == REMOVAL_FORGET ? leave_tombstone(a, id, value, t, err) : 0;
	}
	return -EINVAL;
}

int endpoint_remove(struct attempt *a, const char *network_id, const char *id, enum removal why,
		    struct cnm_error *err)
{
	char key[KV_KEY_MAX + 1];
	_found_ struct found ep = { 0 };
	_txn_ struct claim_txn t = { 0 };
	int r = attempt_look(a, ANY_OP, cluster_key_make(key, CLUSTER_ENDPOINT, network_id, id),
			     &ep, err);

	if (r < 0 || !ep.value)
		return r < 0 ? r : -ENOENT;
	claim_delete(&t, key, ep.version);
	r = justify(a, id, ep.value, why, &t, err);
	if (r == 0)
		r = drop_parts(a, network_id, id, ep.value, &t, err);
	return r == 0 ? attempt_commit(a, &t, err) : r;
}

int cluster_leave(const struct cluster *c, const char *network_id, const char *id,
		  struct cnm_error *err)
{
	struct attempt a = attempt_begin(c);
	int r;

	do
		r = endpoint_remove(&a, network_id, id, REMOVAL_LEAVE, err);
	while (r == KV_CONFLICT);
	return r == -ENOENT ? 0 : r;
}

int cluster_evict(const struct cluster *c, const char *network_id, const char *id,
		  struct cnm_error *err)
{
	struct attempt a = attempt_begin(c);
	bool by_us = false;
	int r;

	do
		r = endpoint_remove(&a, network_id, id, REMOVAL_EVICT, err);
	while (r == KV_CONFLICT);
	if (r != -ENOENT)
		return r;
	r = a.unheard ? attempt_has(&a, CLUSTER_TOMBSTONE, NULL, id, &by_us, err) : 0;
	if (r < 0 || by_us)
		return r;
	return cnm_error_set(err, CNM_E_NOT_FOUND, "endpoint %.12s is not in the cluster any more",
			     id);
}

int cluster_bury(const struct cluster *c, const char *id, struct cnm_error *err)
{
	struct attempt a = attempt_begin(c);
	char key[KV_KEY_MAX + 1];
	int r;

	cluster_key_make(key, CLUSTER_TOMBSTONE, NULL, id);
	do {
		_found_ struct found f = { 0 };
		_txn_ struct claim_txn t = { 0 };

		r = attempt_look(&a, ANY_OP, key, &f, err);
		if (r < 0 || !f.value)
			return r;
		claim_delete(&t, key, f.version);
		r = attempt_commit(&a, &t, err);
	} while (r == KV_CONFLICT);
	return r;
}

/* ---- another name, or other things to tell */

/* It has the name, or takes it; and it has the old one no more. */
static int change_name(struct attempt *a, const struct cluster_endpoint *ep, const char *old,
		       struct claim_txn *t, struct claim_txn *checks, enum cluster_clash *ret,
		       struct cnm_error *err)
{
	struct part now = { CLUSTER_NAME, CLASH_NAME, "" };
	_json_ json_t *only = json_object();
	_found_ struct found there = { 0 };
	char key[KV_KEY_MAX + 1];
	int r = 0;

	str_copy(now.id, sizeof(now.id), ep->name ? ep->name : "");
	if (now.id[0])
		r = attempt_look(a, ANY_OP,
				 cluster_key_make(key, CLUSTER_NAME, ep->network_id, now.id),
				 &there, err);
	if (r == 0 && now.id[0] && claim_is(there.value, ep->id))
		claim_check(checks, key, there.version);
	else if (r == 0 && now.id[0])
		r = take_part(a, ep, &now, t, checks, ret, err);
	if (r != 0 || streq(now.id, old))
		return r;
	json_put(only, "Name", json_string(old));
	return drop_parts(a, ep->network_id, ep->id, only, t, err);
}

int endpoint_change(struct attempt *a, const struct cluster_endpoint *ep, enum cluster_clash *ret,
		    struct cnm_error *err)
{
	_txn_ struct claim_txn t = { 0 }, checks = { 0 };
	_found_ struct found was = { 0 };
	char key[KV_KEY_MAX + 1];
	int r;

	*ret = CLASH_NONE;
	cluster_key_make(key, CLUSTER_ENDPOINT, ep->network_id, ep->id);
	r = attempt_look(a, ANY_OP, key, &was, err);
	if (r < 0)
		return r;
	if (!was.value || !streq(claim_text(was.value, "Host"), a->c->host))
		return cnm_error_set(err, CNM_E_NOT_FOUND,
				     "endpoint %.12s is not in the cluster any more", ep->id);
	claim_set(&t, key, body_of(a, ep), was.version);
	r = change_name(a, ep, claim_text(was.value, "Name"), &t, &checks, ret, err);
	claim_move(&t, &checks);
	return r == 0 ? attempt_commit(a, &t, err) : r;
}

int cluster_change(const struct cluster *c, const struct cluster_endpoint *ep,
		   enum cluster_clash *ret, struct cnm_error *err)
{
	struct attempt a = attempt_begin(c);
	int r;

	do
		r = endpoint_change(&a, ep, ret, err);
	while (r == KV_CONFLICT);
	return r;
}
