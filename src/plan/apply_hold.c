/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ports of the host that are held for sandboxes: a socket each, of which the keeper has a copy
 * under "ports:<owner>", so that a port stays held while the daemon restarts.
 *
 * A struct hold is what one owner has at the moment, sorted as the plan has it. After a restart it
 * is taken back from the keeper when it is first asked for: which port a socket holds is asked of
 * the socket. Of an owner with more than PLAN_HOLD_MAX ports nothing is held, and its struct hold
 * is empty; to compare, such ports are there.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "plan/apply_internal.h"

/* Both families of PLAN_HOLD_MAX ports. */
#define MAX_SOCKETS (2 * PLAN_HOLD_MAX)
/* How long a keeper may take to let go of sockets. */
#define SETTLE_MS 100

struct held {
	uint8_t proto;
	struct cnm_ip ip;
	uint16_t port;
	int fd;
};

struct hold {
	char owner[ID_SIZE];
	struct held socks[MAX_SOCKETS];
	unsigned n;
};

static bool is_same(const struct held *a, const struct held *b)
{
	return a->proto == b->proto && a->port == b->port && ip_eq(&a->ip, &b->ip);
}

static struct held *find(struct hold *h, const struct held *s)
{
	for (unsigned i = 0; i < h->n; i++)
		if (is_same(&h->socks[i], s))
			return &h->socks[i];
	return NULL;
}

static void close_all(struct hold *h)
{
	for (unsigned i = 0; i < h->n; i++)
		close_fd(&h->socks[i].fd);
	h->n = 0;
}

/* ---- with the keeper */

static void kept_name(const char *owner, char buf[static 80])
{
	snprintf(buf, 80, "ports:%s", owner);
}

static int keep(struct applier *a, const struct hold *h, struct cnm_error *err)
{
	int fds[MAX_SOCKETS];
	char name[80];

	for (unsigned i = 0; i < h->n; i++)
		fds[i] = h->socks[i].fd;
	kept_name(h->owner, name);
	return fdkeep_put(a->opt.fdkeep, name, fds, (int)h->n, err);
}

void hold_keep_all(struct applier *a)
{
	struct hold *h;
	size_t pos = 0;

	while ((h = map_next(&a->holds, &pos)))
		if (h->n)
			keep(a, h, NULL);
}

/* Which port a socket holds, by the socket itself. */
static bool identify(int fd, struct held *ret)
{
	struct sockaddr_in6 sa = { 0 };
	struct sockaddr_in *sa4 = (struct sockaddr_in *)&sa;
	socklen_t size = sizeof(sa), int_size = sizeof(int);
	int proto;

	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &proto, &int_size) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &size) < 0 ||
	    (sa.sin6_family != AF_INET && sa.sin6_family != AF_INET6))
		return false;
	*ret = (struct held){ .proto = (uint8_t)proto, .port = ntohs(sa.sin6_port), .fd = fd };
	ret->ip.family = (uint8_t)sa.sin6_family;
	if (sa.sin6_family == AF_INET)
		memcpy(ret->ip.b, &sa4->sin_addr, sizeof(sa4->sin_addr));
	else
		memcpy(ret->ip.b, &sa.sin6_addr, sizeof(sa.sin6_addr));
	return true;
}

static void take_back(struct applier *a, struct hold *h)
{
	int fds[MAX_SOCKETS], n;
	char name[80];

	kept_name(h->owner, name);
	n = fdkeep_take(a->opt.fdkeep, name, fds, MAX_SOCKETS);
	for (int i = 0; i < n; i++) {
		if (identify(fds[i], &h->socks[h->n]))
			h->n++;
		else
			close_fd(&fds[i]);
	}
}

/* What an owner has, which may be nothing yet. NULL: no memory. */
static struct hold *know(struct applier *a, const char *owner)
{
	struct hold *h = map_get(&a->holds, owner);

	if (h)
		return h;
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	str_copy(h->owner, sizeof(h->owner), owner);
	if (map_add(&a->holds, h->owner, h) < 0) {
		free(h);
		return NULL;
	}
	take_back(a, h);
	return h;
}

void hold_free_all(struct applier *a)
{
	struct hold *h;
	size_t pos = 0;

	while ((h = map_next(&a->holds, &pos))) {
		close_all(h);
		free(h);
	}
	map_free(&a->holds);
}

/*
 * The keeper lets go of what it was told to when it gets to it. It takes messages in order: when
 * the end of a pipe that it is given and told to drop is closed, all before is done. Without the
 * turn. -EPIPE: it had to be started anew, and needs everything.
 */
static int settle(struct applier *a)
{
	struct pollfd p = { .events = POLLIN };
	int ends[2], rc;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	rc = fdkeep_put(a->opt.fdkeep, "ports:settle", &ends[1], 1, NULL);
	close(ends[1]);
	fdkeep_drop(a->opt.fdkeep, "ports:settle");
	p.fd = ends[0];
	poll(&p, 1, SETTLE_MS);
	close(ends[0]);
	return rc;
}

/* With the turn. */
static void settle_now(struct applier *a)
{
	a->unsettled = false;
	if (settle(a) == -EPIPE)
		keep_all(a);
}

/* ---- what is wanted */

/* A port published in both families counts once. */
static bool is_too_many(const struct plan_item *w)
{
	size_t n[2] = { 0 };

	for (size_t i = 0; i < w->hold.n; i++)
		n[ip_bits(&w->hold.ports[i].ip) == 128] +=
			(size_t)w->hold.ports[i].last - w->hold.ports[i].first + 1;
	return n[0] > PLAN_HOLD_MAX || n[1] > PLAN_HOLD_MAX;
}

/* Every port by itself, without a socket. Returns how many. */
static unsigned list_ports(const struct plan_item *w, struct held ret[static MAX_SOCKETS])
{
	unsigned n = 0;

	for (size_t i = 0; i < w->hold.n; i++)
		for (unsigned p = w->hold.ports[i].first; p <= w->hold.ports[i].last; p++)
			ret[n++] = (struct held){ .proto = w->hold.ports[i].proto,
						  .ip = w->hold.ports[i].ip,
						  .port = (uint16_t)p,
						  .fd = -1 };
	return n;
}

static void drop(struct applier *a, const char *owner)
{
	char name[80];

	kept_name(owner, name);
	fdkeep_drop(a->opt.fdkeep, name);
	a->unsettled = true;
}

/*
 * What goes and would be in the way of what comes, because it is the same port of another address,
 * goes first.
 */
static void make_way(struct applier *a, struct hold *h, const struct hold *want)
{
	bool any = false;

	for (unsigned i = 0; i < want->n && !any; i++) {
		const struct held *w = &want->socks[i];

		for (unsigned k = 0; k < h->n && !find(h, w) && !any; k++)
			any = w->port == h->socks[k].port && w->proto == h->socks[k].proto &&
			      w->ip.family == h->socks[k].ip.family;
	}
	if (!any)
		return;
	close_all(h);
	drop(a, h->owner);
}

/*
 * A port that was let go of a moment ago may still be with the keeper. The kernel may lack a
 * protocol or family: then nobody else can take the port either.
 */
static int open_one(struct applier *a, struct held *s, struct cnm_error *err)
{
	int rc = hostport_hold(s->proto, &s->ip, s->port, &s->fd, err);

	if (rc == -EADDRINUSE && a->unsettled) {
		settle_now(a);
		rc = hostport_hold(s->proto, &s->ip, s->port, &s->fd, err);
	}
	return rc == -EPROTONOSUPPORT || rc == -EAFNOSUPPORT ? 0 : rc;
}

/* What is new and cannot be opened is left out; what was opened before a failure is closed. */
static int open_missing(struct applier *a, struct hold *h, struct hold *want, struct cnm_error *err)
{
	unsigned n = 0;
	int rc = 0;

	for (unsigned i = 0; i < want->n && rc == 0; i++) {
		struct held *s = &want->socks[i], *had = find(h, s);

		if (had)
			s->fd = had->fd;
		else
			rc = open_one(a, s, err);
		if (s->fd >= 0)
			want->socks[n++] = *s;
	}
	want->n = n;
	for (unsigned i = 0; i < n && rc < 0; i++)
		if (!find(h, &want->socks[i]))
			close_fd(&want->socks[i].fd);
	return rc;
}

/* From h to want. What goes is closed when what comes is there, unless it is in its way. */
static int exchange(struct applier *a, struct hold *h, struct hold *want, struct cnm_error *err)
{
	struct hold gone;
	int rc;

	make_way(a, h, want);
	rc = open_missing(a, h, want, err);
	if (rc < 0)
		return rc;
	gone = *h;
	memcpy(h->socks, want->socks, sizeof(h->socks));
	h->n = want->n;
	for (unsigned i = 0; i < gone.n; i++) {
		if (find(h, &gone.socks[i]))
			continue;
		close(gone.socks[i].fd);
		a->unsettled = true;
	}
	rc = keep(a, h, err);
	if (rc == -EPIPE) {
		keep_all(a);
		rc = 0;
	}
	return rc;
}

static int hold_ports(struct applier *a, const struct plan_item *w, struct cnm_error *err)
{
	struct hold *h = know(a, w->owner);
	_free_ struct hold *want = calloc(1, sizeof(*want));

	if (!h || !want)
		return cnm_error_errno(err, ENOMEM, "hold ports of the host");
	want->n = list_ports(w, want->socks);
	return exchange(a, h, want, err);
}

static void release(struct applier *a, const char *owner)
{
	struct hold *h = map_del(&a->holds, owner);

	if (h)
		close_all(h);
	free(h);
	drop(a, owner);
}

static int check_ports(const struct plan_item *w, struct cnm_error *err)
{
	unsigned others;
	char text[256];
	int rc = hostports_check(w->hold.ports, w->hold.n, &others, text, sizeof(text), err);

	if (rc == 0 && others)
		log_warn("sandbox %.12s: among the ports it publishes there are %s: what comes for "
			 "them goes to the sandbox now",
			 w->owner, text);
	return rc;
}

int apply_hold(struct run *r, size_t i)
{
	const struct plan_op *op = &r->d->ops[i];

	if (op->want && !is_too_many(op->want))
		return hold_ports(r->a, op->want, r->err);
	release(r->a, (op->want ? op->want : op->have)->owner);
	if (!op->want)
		return 0;
	if (op->have)
		settle_now(r->a);
	return check_ports(op->want, r->err);
}

static bool goes(const struct plan_diff *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->ops[i].have && d->ops[i].have->kind == PLAN_HOLD)
			return true;
	return false;
}

void hold_prepare(struct applier *a, const struct plan_diff *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->ops[i].want && d->ops[i].want->kind == PLAN_HOLD)
			flows_wait(a->flows, d->ops[i].want);
}

void hold_finish(struct applier *a, const struct plan_diff *d, bool locked)
{
	bool any = goes(d);

	if (any && locked) {
		settle_now(a);
	} else if (any && settle(a) == -EPIPE) {
		LOCKED(&a->turn);

		keep_all(a);
	}
	flows_delete(a->flows, d);
}

/* ---- reading back */

void hold_dump(struct applier *a, const struct plan_item *w, struct plan *have)
{
	struct hold *h = is_too_many(w) ? NULL : know(a, w->owner);
	struct held want[MAX_SOCKETS];
	struct hostports there[MAX_SOCKETS];
	unsigned n, n_there = 0;

	if (!h) {
		if (is_too_many(w))
			plan_add_hold(have, w->owner, w->hold.ports, w->hold.n, w->hold.targets);
		return;
	}
	n = list_ports(w, want);
	for (unsigned i = 0; i < n; i++)
		if (find(h, &want[i]) || !hostport_can_hold(want[i].proto, want[i].ip.family))
			there[n_there++] = (struct hostports){ .proto = want[i].proto,
							       .ip = want[i].ip,
							       .first = want[i].port,
							       .last = want[i].port };
	if (n_there || !n)
		plan_add_hold(have, w->owner, there, n_there, w->hold.targets);
}
