/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `cnm dns`: the names a sandbox can resolve, and where the rest goes; or what becomes of one name.
 * The latter is found in the former, as the DNS server finds it.
 */
#include "cnm/cmd_dns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/output.h"

/* What the daemon said of the sandbox. */
struct view {
	json_t *answer;
	const json_t *names, *servers;
	const char *self; /* what the sandbox is called */
};

static void view_free(struct view *v)
{
	json_decref(v->answer);
}

/* Is the name a the first n bytes of b? */
static bool is_same(const char *a, const char *b, size_t n)
{
	return strlen(a) == n && strncasecmp(a, b, n) == 0;
}

/* The first name of the endpoint that is called so, or the same. Links are no endpoints. */
static const char *first_name(const json_t *names, const char *name)
{
	const char *endpoint = NULL;
	const json_t *n;
	size_t i;

	json_array_foreach (names, i, n)
		if (!endpoint && *output_string(n, "Network") &&
		    is_same(output_string(n, "Name"), name, strlen(name)))
			endpoint = output_string(n, "Endpoint");
	json_array_foreach (names, i, n)
		if (endpoint && *output_string(n, "Network") &&
		    streq(output_string(n, "Endpoint"), endpoint))
			return output_string(n, "Name");
	return name;
}

/* A link may be told by a short id: have a name there that says more. */
static void name_links(const json_t *names)
{
	json_t *n;
	size_t i;

	json_array_foreach (names, i, n) {
		const char *to = output_string(n, "LinkTo");

		if (*to)
			json_put(n, "LinkTo", json_string(first_name(names, to)));
	}
}

static int fetch(const struct client *client, const char *ref, char **ret_text, struct view *ret,
		 struct cnm_error *err)
{
	_free_ char *path = api_path("/cnm/v1/dns", ref, NULL, NULL);
	int r;

	if (!*ref)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid sandbox name or ID: value is empty");
	r = path ? client_call(client, "GET", path, NULL, ret_text, err) : api_oom(err);
	if (r < 0)
		return r;
	ret->answer = json_loads(*ret_text, 0, NULL);
	if (!ret->answer)
		return cnm_error_set(err, CNM_E_UNAVAILABLE, "the answer is not JSON: %s",
				     *ret_text);
	ret->names = json_object_get(ret->answer, "Names");
	name_links(ret->names);
	ret->servers = json_object_get(ret->answer, "Servers");
	ret->self = output_string(ret->answer, "SandboxName");
	return 0;
}

static bool says(const struct view *v, const char *key)
{
	return json_is_true(json_object_get(v->answer, key));
}

/* "10.0.0.1 (asked from the host), 10.0.0.2 (asked from con1)"; bare, of one that asks itself */
static void add_servers(struct strbuf *out, const struct view *v)
{
	const json_t *s;
	size_t i;

	json_array_foreach (v->servers, i, s) {
		strbuf_addf(out, "%s%s", i ? ", " : "", output_string(s, "Address"));
		if (says(v, "Embedded"))
			strbuf_addf(out, " (asked from %s)",
				    streq(output_string(s, "From"), "host") ? "the host" : v->self);
	}
}

/* "backend, frontend": the networks whose names it sees */
static void add_networks(struct strbuf *out, const struct view *v)
{
	const json_t *name, *before;
	size_t i, j;

	json_array_foreach (v->names, i, name) {
		const char *network = output_string(name, "Network");

		json_array_foreach (v->names, j, before)
			if (j == i || streq(output_string(before, "Network"), network))
				break;
		if (j == i && *network)
			strbuf_addf(out, "%s%s", out->len ? ", " : "", network);
	}
}

/* ---- all of it */

static const char *const name_fields[] = {
	"IPv4", "IPv4", "IPv6", "IPv6", "Name", "NAME", "Network", "NETWORK", NULL,
};

static json_t *name_row(const json_t *n, bool no_trunc)
{
	const char *to = output_string(n, "LinkTo");

	return json_pack("{s:s s:s s:s s:o}", "IPv4", output_string(n, "IPv4"), "IPv6",
			 output_string(n, "IPv6"), "Name", output_string(n, "Name"), "Network",
			 *to ? json_sprintf("(link to %s)", to)
			     : json_string(output_string(n, "Network")));
}

static const struct table_view names_view = {
	.fields = name_fields,
	.standard = "{{.Name}}\t{{.Network}}\t{{.IPv4}}\t{{.IPv6}}",
	.row = name_row,
};

/* Of one that has no server in us. */
static void add_alone(struct strbuf *out, const struct view *v, const char *why)
{
	strbuf_addf(out,
		    "%s is on no network with names: it has those of its hosts file, and asks ",
		    v->self);
	if (*why) {
		strbuf_addf(out, "nobody for others: %s\n", why);
		return;
	}
	add_servers(out, v);
	strbuf_add(out, " for others itself\n");
}

static void add_rest(struct strbuf *out, const struct view *v)
{
	const char *why = output_string(v->answer, "Why");

	if (!says(v, "Embedded")) {
		add_alone(out, v, why);
		return;
	}
	if (*why) {
		strbuf_addf(out, "nothing is forwarded: %s\n", why);
		return;
	}
	strbuf_add(out, "other names go to ");
	add_servers(out, v);
	strbuf_add(out, "\n");
	if (!says(v, "ForwardDotless"))
		strbuf_add(out, "names without a dot are not forwarded\n");
}

static void add_more(struct strbuf *out, const struct view *v)
{
	if (says(v, "More"))
		strbuf_addf(out, "these are the first %zu names; there are more\n",
			    json_array_size(v->names));
}

static long long number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static void add_counts(struct strbuf *out, const struct view *v)
{
	const json_t *c = json_object_get(v->answer, "Counters"), *s;
	size_t i;

	if (!says(v, "Embedded"))
		return;
	strbuf_addf(out,
		    "queries: %lld (%lld by TCP): %lld answered here, %lld from the cache, "
		    "%lld forwarded, %lld failed, %lld refused, %lld on their way\n",
		    number(c, "Queries"), number(c, "Tcp"), number(c, "Local"), number(c, "Cached"),
		    number(c, "Forwarded"), number(c, "Failed"), number(c, "Refused"),
		    number(c, "InFlight"));
	json_array_foreach (v->servers, i, s)
		if (number(s, "Queries"))
			strbuf_addf(out, "%s: %lld asked, %lld answered, %lld failed, %.3g ms\n",
				    output_string(s, "Address"), number(s, "Queries"),
				    number(s, "Answers"), number(s, "Failures"),
				    json_number_value(json_object_get(s, "Milliseconds")));
}

static int show_all(const struct view *v, struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf out = { 0 };
	int r = 0;

	if (says(v, "Embedded"))
		r = table_print(&names_view, v->names, NULL, false, false, err);
	if (r < 0)
		return r;
	add_more(&out, v);
	add_rest(&out, v);
	add_counts(&out, v);
	if (out.failed)
		return cnm_error_errno(err, ENOMEM, "print the names");
	printf("%s%s", says(v, "Embedded") ? "\n" : "", out.s);
	return EXIT_OK;
}

/* ---- one name */

/* What bears the name on the network or, with NULL, on the first that has it. */
static json_t *find_on(const json_t *names, const char *name, size_t len, const char *network)
{
	json_t *found = json_array(), *n;
	const char *first = network;
	size_t i;

	json_array_foreach (names, i, n) {
		const char *on = output_string(n, "Network");

		if (!*on || !is_same(output_string(n, "Name"), name, len) ||
		    (first && strcasecmp(on, first) != 0))
			continue;
		first = on;
		json_push(found, json_incref(n));
	}
	return found;
}

/* The name itself, or else NAME.NETWORK with the dot as far behind as can be. A new array. */
static json_t *find_name(const json_t *names, const char *name)
{
	json_t *found = find_on(names, name, strlen(name), NULL);

	for (size_t dot = strlen(name); dot-- > 0 && json_array_size(found) == 0;) {
		if (name[dot] != '.')
			continue;
		json_decref(found);
		found = find_on(names, name, dot, name + dot + 1);
	}
	return found;
}

/* Whom a link of its own by this name leads to; NULL: there is none. */
static const char *find_link(const json_t *names, const char *name)
{
	const json_t *n;
	size_t i;

	json_array_foreach (names, i, n)
		if (*output_string(n, "LinkTo") &&
		    is_same(output_string(n, "Name"), name, strlen(name)))
			return output_string(n, "LinkTo");
	return NULL;
}

/* The first name of what has the address: what a question for it is answered with. */
static const json_t *find_address(const json_t *names, const char *text)
{
	char address[IP_STR];
	struct cnm_ip ip;
	const json_t *n;
	size_t i;

	if (ip_parse(&ip, text) < 0)
		return NULL;
	ip_format(&ip, address);
	json_array_foreach (names, i, n)
		if (*output_string(n, "Network") && (streq(output_string(n, "IPv4"), address) ||
						     streq(output_string(n, "IPv6"), address)))
			return n;
	return NULL;
}

/* "172.18.0.2, 172.18.0.3 and fd00::2" */
static void add_addresses(struct strbuf *out, const json_t *found)
{
	const char *before = NULL;
	const json_t *n;
	size_t i, count = 0;

	for (unsigned family = 0; family < 2; family++)
		json_array_foreach (found, i, n) {
			const char *ip = output_string(n, family ? "IPv6" : "IPv4");

			if (!*ip)
				continue;
			if (before)
				strbuf_addf(out, "%s%s", count++ ? ", " : "", before);
			before = ip;
		}
	strbuf_addf(out, "%s%s", count ? " and " : "", before ? before : "without an address");
}

static void add_found(struct strbuf *out, const struct view *v, const char *name, const char *link,
		      const json_t *found)
{
	strbuf_addf(out, "%s is ", name);
	add_addresses(out, found);
	if (link)
		strbuf_addf(out, ", by %s's link to %s", v->self, link);
	else
		strbuf_addf(out, ", by %s", output_string(json_array_get(found, 0), "Network"));
}

/* ---- a name that is not known here */

/* Who bears it, where it is of no use. Borrowed from the list of sandboxes. */
struct elsewhere {
	const char *network, *sandbox;
	bool stopped;
};

/* "web", or "web.frontend" */
static bool is_name_of(const json_t *settings, const char *network, const char *name)
{
	const json_t *known;
	size_t i, len, n = strlen(name), tail = strlen(network) + 1;

	json_array_foreach (json_object_get(settings, "DNSNames"), i, known) {
		const char *s = json_string_value(known);

		len = s ? strlen(s) : 0;
		if (s && (is_same(s, name, n) ||
			  (len + tail == n && is_same(s, name, len) && name[len] == '.' &&
			   strcasecmp(name + len + 1, network) == 0)))
			return true;
	}
	return false;
}

static bool is_on(const struct view *v, const char *network)
{
	const json_t *n;
	size_t i;

	json_array_foreach (v->names, i, n)
		if (streq(output_string(n, "Network"), network))
			return true;
	return false;
}

/* It has the host's network, and can be on no other. */
static bool is_on_host(const struct view *v)
{
	return !says(v, "Embedded") &&
	       streq(output_string(json_array_get(v->servers, 0), "From"), "host");
}

/* A stopped one of a network of its own, or else a running one of another's. */
static void look_elsewhere(const struct view *v, const json_t *sandboxes, const char *name,
			   struct elsewhere *e)
{
	const json_t *sb;
	const char *network;
	json_t *settings;
	size_t i;

	json_array_foreach (sandboxes, i, sb) {
		bool stopped = streq(output_string(sb, "State"), "stopped");

		json_object_foreach (json_object_get(sb, "Networks"), network, settings)
			if (!e->stopped && is_on(v, network) == stopped &&
			    is_name_of(settings, network, name))
				*e = (struct elsewhere){ network, output_string(sb, "Name"),
							 stopped };
	}
}

static void add_elsewhere(struct strbuf *out, const struct view *v, const char *name,
			  const struct elsewhere *e)
{
	if (says(v, "Embedded"))
		strbuf_addf(out, "; it is one on %s", e->network);
	else
		strbuf_addf(out, "; %s is a name on %s", name, e->network);
	if (e->stopped)
		strbuf_addf(out, " while %s runs: `cnm start %s`", e->sandbox, e->sandbox);
	else
		strbuf_addf(out, ": `cnm network connect %s %s` would join it", e->network,
			    v->self);
}

/* What it is not: "db is not a name on con1's networks (backend)" */
static void add_unknown(struct strbuf *out, const struct view *v, const char *name,
			const char *link)
{
	_cleanup_(strbuf_free) struct strbuf networks = { 0 };

	add_networks(&networks, v);
	if (!says(v, "Embedded"))
		strbuf_addf(out, "%s is on no network with names", v->self);
	else if (says(v, "More"))
		strbuf_addf(out, "%s is not among the first %zu names of %s's networks (%s)", name,
			    json_array_size(v->names), v->self, networks.s ? networks.s : "");
	else if (link)
		strbuf_addf(out, "%s is %s's link to %s, which is not a name on its networks (%s)",
			    name, v->self, link, networks.s ? networks.s : "");
	else
		strbuf_addf(out, "%s is not a name on %s's networks (%s)", name, v->self,
			    networks.s ? networks.s : "");
	out->failed |= networks.failed;
}

/* Of one that has no server in us. Returns whether anybody is asked. */
static bool add_own_question(struct strbuf *out, const struct view *v, const char *name)
{
	const char *why = output_string(v->answer, "Why");

	strbuf_addf(out, ": it looks for %s in its hosts file, and then asks ", name);
	if (*why)
		strbuf_addf(out, "nobody: %s", why);
	else
		add_servers(out, v);
	return !*why;
}

/* Somebody else is asked for it, or nobody. Returns whether. */
static bool add_forward(struct strbuf *out, const struct view *v, const char *name)
{
	const char *why = output_string(v->answer, "Why");
	bool kept = !strchr(name, '.') && !says(v, "ForwardDotless");

	if (!says(v, "Embedded"))
		return add_own_question(out, v, name);
	if (*why) {
		strbuf_addf(out, ", and nothing is forwarded: %s", why);
	} else if (kept) {
		strbuf_add(out, ", and names without a dot are not forwarded");
	} else {
		strbuf_add(out, ": it would be forwarded to ");
		add_servers(out, v);
	}
	return !*why && !kept;
}

static int tell_unknown(const struct client *client, const struct view *v, const char *name,
			const char *link, struct strbuf *out, struct cnm_error *err)
{
	_json_ json_t *sandboxes = NULL;
	struct elsewhere e = { 0 };
	int r = client_call_json(client, "GET", api_sandbox.collection, NULL, &sandboxes, err);

	if (r < 0)
		return r;
	if (!is_on_host(v))
		look_elsewhere(v, sandboxes, link ? link : name, &e);
	add_unknown(out, v, name, link);
	if (!e.network)
		return add_forward(out, v, name) ? EXIT_OK : EXIT_ERROR;
	add_elsewhere(out, v, name, &e);
	return EXIT_ERROR;
}

/* An exit code, or negative. */
static int tell_name(const struct client *client, const struct view *v, const char *name,
		     struct strbuf *out, struct cnm_error *err)
{
	const char *link = find_link(v->names, name);
	const json_t *bearer = find_address(v->names, name);
	_json_ json_t *found = find_name(v->names, link ? link : name);

	if (bearer)
		strbuf_addf(out, "%s is %s.%s", name, output_string(bearer, "Name"),
			    output_string(bearer, "Network"));
	else if (json_array_size(found))
		add_found(out, v, name, link, found);
	else
		return tell_unknown(client, v, name, link, out, err);
	return EXIT_OK;
}

static int show_name(const struct client *client, const struct view *v, const char *given,
		     struct cnm_error *err)
{
	_cleanup_(strbuf_free) struct strbuf out = { 0 };
	size_t n = strlen(given);
	_free_ char *name = strndup(given, n && given[n - 1] == '.' ? n - 1 : n);
	int r;

	if (!name)
		return api_oom(err);
	if (!*name)
		return cnm_error_set(err, CNM_E_INVALID, "invalid name \"%s\": it is empty", given);
	r = tell_name(client, v, name, &out, err);
	if (r >= 0 && out.failed)
		return cnm_error_errno(err, ENOMEM, "tell of %s", name);
	if (r >= 0)
		printf("%s\n", out.s);
	return r;
}

/* ---- */

static int show_formatted(const char *text, const char *format, struct cnm_error *err)
{
	_strv_ struct strv documents = { 0 };

	if (strv_add(&documents, text) < 0)
		return api_oom(err);
	return output_each(&documents, format, err);
}

int dns(const struct command *self, const struct client *client, struct args args)
{
	const char *format = NULL;
	const struct cli_option options[] = { OPTION_INSPECT_FORMAT(&format), { 0 } };
	_cleanup_(view_free) struct view v = { 0 };
	_free_ char *text = NULL;
	struct cnm_error err = { 0 };
	int r;

	if (!options_parse(self, options, &args))
		return args.exit_code;
	if (format && *format && args.n > 1)
		return usage_error(self, "--format is for all that a sandbox can resolve: give it "
					 "without a NAME");
	r = fetch(client, args.v[0], &text, &v, &err);
	if (r == 0 && format && *format)
		r = show_formatted(text, format, &err);
	else if (r == 0 && args.n > 1)
		r = show_name(client, &v, args.v[1], &err);
	else if (r == 0)
		r = show_all(&v, &err);
	return r < 0 ? api_fail(&err) : r;
}
