/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checking one IPAM config entry: the same checks as Docker's, in its order and its words. */
#include "ipam/ipam.h"

#include <sys/socket.h>

#include "base/str.h"

struct report {
	struct strbuf *lines; /* no newline after the last */
	int n;
};

/* Begins a line "invalid <what> <value>: "; the caller adds the reason to what is returned. */
static struct strbuf *problem(struct report *r, const char *what, const char *value)
{
	if (r->lines->len > 0)
		strbuf_add(r->lines, "\n");
	strbuf_addf(r->lines, "invalid %s %s: ", what, value);
	r->n++;
	return r->lines;
}

static bool given(const char *s)
{
	return s && *s;
}

static const char *family_name(const struct cnm_prefix *p)
{
	return p->ip.family == AF_INET ? "IPv4" : "IPv6";
}

static void check_masked(struct report *r, const char *what, const struct cnm_prefix *p)
{
	struct cnm_prefix masked = prefix_masked(p);
	char is[PREFIX_STR], should[PREFIX_STR];

	if (!prefix_eq(p, &masked))
		strbuf_addf(problem(r, what, prefix_format(p, is)), "it should be %s",
			    prefix_format(&masked, should));
}

static void check_range(struct report *r, const char *text, const struct cnm_prefix *subnet,
			struct cnm_prefix *ret)
{
	static const char what[] = "ip-range";
	char s[PREFIX_STR];

	if (prefix_parse(ret, text) < 0) {
		strbuf_add(problem(r, what, text), "invalid CIDR block notation");
		return;
	}
	if (ret->ip.family != subnet->ip.family) {
		strbuf_addf(problem(r, what, text), "parent subnet is an %s block",
			    family_name(subnet));
		return;
	}
	prefix_format(subnet, s);
	if (ret->len < subnet->len)
		strbuf_addf(problem(r, what, text),
			    "CIDR block is bigger than its parent subnet %s", s);
	check_masked(r, what, ret);
	if (!prefix_overlaps(subnet, ret))
		strbuf_addf(problem(r, what, text), "parent subnet %s doesn't contain ip-range", s);
}

/* `name` is what the line calls the address. */
static void check_address(struct report *r, const char *what, const char *name, const char *text,
			  const struct cnm_prefix *subnet, struct cnm_ip *ret)
{
	char s[PREFIX_STR];

	if (ip_parse(ret, text) < 0)
		strbuf_add(problem(r, what, name), "invalid address");
	else if (ret->family != subnet->ip.family)
		strbuf_addf(problem(r, what, name), "parent subnet is an %s block",
			    family_name(subnet));
	else if (!prefix_has(subnet, ret))
		strbuf_addf(problem(r, what, name), "parent subnet %s doesn't contain this address",
			    prefix_format(subnet, s));
}

/* Without a subnet nothing else can be asked for. */
static void check_no_subnet(struct report *r, const struct ipam_request *req)
{
	static const char reason[] = "it needs a subnet that contains it";

	if (given(req->ip_range))
		strbuf_add(problem(r, "ip-range", req->ip_range), reason);
	if (given(req->gateway))
		strbuf_add(problem(r, "gateway", req->gateway), reason);
	for (size_t i = 0; i < req->n_aux; i++)
		strbuf_add(problem(r, "auxiliary address", req->aux[i].name), reason);
}

static void check_in_subnet(struct report *r, const struct ipam_request *req,
			    struct ipam_checked *c)
{
	check_masked(r, "subnet", &c->subnet);
	if (given(req->ip_range))
		check_range(r, req->ip_range, &c->subnet, &c->range);
	if (given(req->gateway))
		check_address(r, "gateway", req->gateway, req->gateway, &c->subnet, &c->gateway);
	for (size_t i = 0; i < req->n_aux; i++) {
		struct cnm_ip ip;

		if (given(req->aux[i].address))
			check_address(r, "auxiliary address", req->aux[i].name, req->aux[i].address,
				      &c->subnet, &ip);
	}
}

int ipam_check_request(const struct ipam_request *req, bool ipv6, struct ipam_checked *ret,
		       struct strbuf *problems)
{
	struct report r = { .lines = problems };
	struct ipam_checked c = { 0 };

	if (!given(req->subnet))
		check_no_subnet(&r, req);
	else if (prefix_parse(&c.subnet, req->subnet) < 0)
		strbuf_add(problem(&r, "subnet", req->subnet), "invalid CIDR block notation");
	else if (c.subnet.ip.family == AF_INET6 && !ipv6)
		c.subnet = prefix_masked(&c.subnet);
	else
		check_in_subnet(&r, req, &c);
	if (r.n == 0)
		*ret = c;
	return r.n;
}
