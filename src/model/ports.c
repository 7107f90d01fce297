/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is asked for: checked, sorted, joined. */
#include "model/ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#include "model/ports_internal.h"

static const struct {
	const char *name;
	uint8_t proto;
} protos[] = { { "tcp", IPPROTO_TCP }, { "udp", IPPROTO_UDP }, { "sctp", IPPROTO_SCTP } };

#define N_PROTOS (sizeof(protos) / sizeof(*protos))

const char *port_proto_name(uint8_t proto)
{
	for (unsigned i = 0; i < N_PROTOS; i++)
		if (protos[i].proto == proto)
			return protos[i].name;
	return "unknown";
}

int port_proto_parse(const char *name, uint8_t *ret)
{
	for (unsigned i = 0; i < N_PROTOS; i++) {
		if (strcasecmp(protos[i].name, name) == 0) {
			*ret = protos[i].proto;
			return 0;
		}
	}
	return -EINVAL;
}

const char *want_mistake(const struct port_want *w)
{
	if (w->proto != IPPROTO_TCP && w->proto != IPPROTO_UDP && w->proto != IPPROTO_SCTP)
		return "ports are of tcp, udp or sctp";
	if (!w->first || !w->last || !w->host_first != !w->host_last)
		return "ports are from 1 to 65535";
	if (w->first > w->last || w->host_first > w->host_last)
		return "a range begins with its lower port";
	if (want_kind(w) == WANT_ONE_OF && w->first != w->last)
		return "give as many ports of the host as of the container, or several of the "
		       "host for one of the container";
	return NULL;
}

#define RANGE_STR 16

static void range_format(unsigned first, unsigned last, char buf[static RANGE_STR])
{
	if (first == last)
		snprintf(buf, RANGE_STR, "%u", first);
	else
		snprintf(buf, RANGE_STR, "%u-%u", first, last);
}

/* "[::1]:8000-8010:80/tcp", as it is written on a command line. */
static const char *want_format(const struct port_want *w, char *buf, size_t size)
{
	bool v6 = w->host.family == AF_INET6, set = ip_is_set(&w->host);
	char ip[IP_STR], host[RANGE_STR] = "", ports[RANGE_STR];

	if (w->host_first || w->host_last)
		range_format(w->host_first, w->host_last, host);
	range_format(w->first, w->last, ports);
	snprintf(buf, size, "%s%s%s%s%s%s%s/%s", v6 ? "[" : "", ip_format(&w->host, ip),
		 v6 ? "]" : "", set ? ":" : "", host, set || host[0] ? ":" : "", ports,
		 port_proto_name(w->proto));
	return buf;
}

/* Wants of which only container ports that adjoin can make one. */
static int group_cmp(const struct port_want *a, const struct port_want *b)
{
	enum want_kind kind = want_kind(a);
	int c = (int)a->proto - (int)b->proto;

	if (c == 0)
		c = ip_cmp(&a->host, &b->host);
	if (c == 0)
		c = (int)kind - (int)want_kind(b);
	if (c == 0 && kind == WANT_EXACT)
		c = (a->host_first - a->first) - (b->host_first - b->first);
	return c;
}

static int want_cmp(const void *pa, const void *pb)
{
	const struct port_want *a = pa, *b = pb;
	int c = group_cmp(a, b);

	if (c == 0)
		c = (int)a->first - (int)b->first;
	if (c == 0)
		c = (int)a->host_first - (int)b->host_first;
	if (c == 0)
		c = (int)a->last - (int)b->last;
	return c ? c : (int)a->host_last - (int)b->host_last;
}

/* Make a longer by b, which does not begin before it. false: they are two. */
static bool join(struct port_want *a, const struct port_want *b)
{
	if (group_cmp(a, b) != 0 || b->first < a->first || b->first > a->last + 1)
		return false;
	if (want_kind(a) == WANT_ONE_OF)
		return want_cmp(a, b) == 0;
	if (b->last > a->last) {
		a->last = b->last;
		a->host_last = b->host_last;
	}
	return true;
}

int port_wants_add(struct port_want **wants, unsigned *n, const struct port_want *w,
		   struct cnm_error *err)
{
	const char *mistake = want_mistake(w);
	char text[128];

	if (mistake)
		return cnm_error_set(err, CNM_E_INVALID, "invalid port specification: \"%s\": %s",
				     want_format(w, text, sizeof(text)), mistake);
	if (*n > 0 && join(&(*wants)[*n - 1], w))
		return 0;
	if ((*n & (*n - 1)) == 0) { /* there is room up to the next power of two */
		struct port_want *more = realloc(*wants, (*n ? 2 * (size_t)*n : 1) * sizeof(*more));

		if (!more)
			return cnm_error_errno(err, ENOMEM, "publish %s",
					       want_format(w, text, sizeof(text)));
		*wants = more;
	}
	(*wants)[(*n)++] = *w;
	return 0;
}

int port_wants_join(struct port_want *wants, unsigned *n, struct cnm_error *err)
{
	unsigned to = 0;

	if (*n == 0)
		return 0;
	qsort(wants, *n, sizeof(*wants), want_cmp);
	for (unsigned i = 1; i < *n; i++)
		if (!join(&wants[to], &wants[i]))
			wants[++to] = wants[i];
	*n = to + 1;
	if (*n > PORTS_MAX_WANTS)
		return cnm_error_set(err, CNM_E_INVALID,
				     "%u ranges of ports are to be published, and at most %d can "
				     "be: choose ports that follow one another",
				     *n, PORTS_MAX_WANTS);
	return 0;
}
