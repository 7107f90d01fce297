/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The contents of a sandbox's /etc/hosts, /etc/hostname and /etc/resolv.conf. */
#include "resolver/files.h"

#include <string.h>
#include <sys/socket.h>

#include "base/str.h"
#include "resolver/resolv_conf.h"

/* ---- hosts and hostname */

char *files_host_names(const char *hostname, const char *domainname)
{
	struct strbuf b = { 0 };
	size_t label = strcspn(hostname, ".");

	strbuf_add(&b, hostname);
	if (domainname && *domainname)
		strbuf_addf(&b, ".%s", domainname);
	if (b.len > label && label) {
		strbuf_add(&b, " ");
		strbuf_addn(&b, hostname, label);
	}
	return strbuf_take(&b);
}

char *files_hosts(const struct files_host_entry *entries, size_t n, bool ipv6)
{
	struct strbuf b = { 0 };
	char ip[IP_STR];

	strbuf_add(&b, "127.0.0.1\tlocalhost\n");
	if (ipv6)
		strbuf_add(&b, "::1\tlocalhost ip6-localhost ip6-loopback\n"
			       "fe00::\tip6-localnet\n"
			       "ff00::\tip6-mcastprefix\n"
			       "ff02::1\tip6-allnodes\n"
			       "ff02::2\tip6-allrouters\n");
	for (size_t i = 0; i < n; i++) {
		if (ip_is_set(&entries[i].ip) && str_is_printable(entries[i].names))
			strbuf_addf(&b, "%s\t%s\n", ip_format(&entries[i].ip, ip),
				    entries[i].names);
	}
	return strbuf_take(&b);
}

char *files_hostname(const char *hostname)
{
	struct strbuf b = { 0 };

	if (str_is_printable(hostname))
		strbuf_add(&b, hostname);
	strbuf_add(&b, "\n");
	return strbuf_take(&b);
}

/* ---- options */

static bool is_ndots(struct text option)
{
	static const char name[] = "ndots";
	size_t n = strlen(name);

	return option.n >= n && memcmp(option.s, name, n) == 0 &&
	       (option.n == n || option.s[n] == ':');
}

/* "ndots:" and a number that fits an int. */
static bool sets_ndots(struct text option)
{
	size_t prefix = strlen("ndots:");

	if (!is_ndots(option) || option.n <= prefix || option.n > prefix + 9)
		return false;
	for (size_t i = prefix; i < option.n; i++) {
		if (option.s[i] < '0' || option.s[i] > '9')
			return false;
	}
	return true;
}

static bool any_sets_ndots(struct text options)
{
	struct text word;

	while (text_next_word(&options, &word)) {
		if (sets_ndots(word))
			return true;
	}
	return false;
}

/* A value of one of the arrays that can stand on a line. */
static bool value_at(const json_t *array, size_t i, struct text *ret)
{
	const char *s = json_string_value(json_array_get(array, i));

	if (!s || !str_is_printable(s))
		return false;
	*ret = (struct text){ s, strlen(s) };
	return true;
}

bool files_ndots_given(const struct files_resolv *in)
{
	const char *pos = in->host ? in->host : "";
	struct text keyword, rest;

	for (size_t i = 0; i < json_array_size(in->options); i++) {
		if (value_at(in->options, i, &rest) && any_sets_ndots(rest))
			return true;
	}
	while (!json_array_size(in->options) && resolv_conf_next(&pos, &keyword, &rest)) {
		if (text_is(keyword, "options") && any_sets_ndots(rest))
			return true;
	}
	return false;
}

/* ---- resolv.conf: gathered as words with single spaces between them */

struct parts {
	struct strbuf servers, search, options, others, invalid;
	unsigned n_servers;
	bool is_default; /* the servers are the public ones */
};

static void parts_free(struct parts *p)
{
	strbuf_free(&p->servers);
	strbuf_free(&p->search);
	strbuf_free(&p->options);
	strbuf_free(&p->others);
	strbuf_free(&p->invalid);
}

static void word_add(struct strbuf *b, struct text word)
{
	if (b->len)
		strbuf_add(b, " ");
	strbuf_addn(b, word.s, word.n);
}

static void server_add(struct parts *p, const struct resolv_server *server)
{
	char ip[IP_STR];

	word_add(&p->servers, (struct text){ ip, strlen(ip_format(&server->ip, ip)) });
	if (server->scope[0])
		strbuf_addf(&p->servers, "%%%s", server->scope);
	p->n_servers++;
}

/* May the sandbox have this one of the host's servers? */
static bool server_fits(const struct files_resolv *in, const struct resolv_server *server)
{
	switch (in->mode) {
	case FILES_EMBEDDED: /* the file tells which ones we ask */
		return !resolv_server_is_ours(server);
	case FILES_LEGACY:
		return !ip_is_loopback(&server->ip) && (server->ip.family == AF_INET || in->ipv6);
	case FILES_HOST:
		return true;
	}
	return false;
}

static void host_server(struct parts *p, const struct files_resolv *in, struct text rest)
{
	struct resolv_server server;
	struct text word;

	if (!text_next_word(&rest, &word))
		return;
	if (resolv_server_parse(&server, word) < 0)
		word_add(&p->invalid, word);
	else if (server_fits(in, &server))
		server_add(p, &server);
}

/* The last line that says something counts. */
static void host_search(struct parts *p, struct text rest)
{
	struct text word;

	if (rest.n)
		strbuf_free(&p->search);
	while (text_next_word(&rest, &word))
		word_add(&p->search, word);
}

/* All lines count. We need ndots to be a number, where we add our own if there is none. */
static void options_add(struct parts *p, const struct files_resolv *in, struct text options)
{
	struct text word;

	while (text_next_word(&options, &word)) {
		if (in->mode != FILES_EMBEDDED || !is_ndots(word) || sets_ndots(word))
			word_add(&p->options, word);
	}
}

static void gather_host(struct parts *p, const struct files_resolv *in)
{
	const char *pos = in->host ? in->host : "";
	struct text keyword, rest;

	while (resolv_conf_next(&pos, &keyword, &rest)) {
		if (text_is(keyword, "nameserver")) {
			if (!json_array_size(in->dns))
				host_server(p, in, rest);
		} else if (text_is(keyword, "search") || text_is(keyword, "domain")) {
			if (!json_array_size(in->search))
				host_search(p, rest);
		} else if (text_is(keyword, "options")) {
			if (!json_array_size(in->options))
				options_add(p, in, rest);
		} else {
			strbuf_addn(&p->others, keyword.s, keyword.n);
			strbuf_add(&p->others, rest.n ? " " : "");
			strbuf_addn(&p->others, rest.s, rest.n);
			strbuf_add(&p->others, "\n");
		}
	}
}

static void gather_given(struct parts *p, const struct files_resolv *in)
{
	struct resolv_server server;
	struct text value;

	for (size_t i = 0; i < json_array_size(in->dns); i++) {
		if (value_at(in->dns, i, &value) && resolv_server_parse(&server, value) == 0 &&
		    !(in->mode == FILES_EMBEDDED && resolv_server_is_ours(&server)))
			server_add(p, &server);
	}
	for (size_t i = 0; i < json_array_size(in->search); i++) {
		if (value_at(in->search, i, &value) && !text_is(value, ".") && value.n)
			word_add(&p->search, value);
	}
	for (size_t i = 0; i < json_array_size(in->options); i++) {
		if (value_at(in->options, i, &value))
			options_add(p, in, value);
	}
}

static void add_defaults(struct parts *p, const struct files_resolv *in)
{
	if (in->mode != FILES_LEGACY || p->n_servers || json_array_size(in->dns))
		return;
	strbuf_add(&p->servers, "8.8.8.8 8.8.4.4");
	if (in->ipv6)
		strbuf_add(&p->servers, " 2001:4860:4860::8888 2001:4860:4860::8844");
	p->is_default = true;
}

/* ---- resolv.conf: written */

static struct text text_of(const struct strbuf *b)
{
	return (struct text){ b->s ? b->s : "", b->len };
}

static void line_add(struct strbuf *b, const char *start, struct text rest, const char *end)
{
	strbuf_add(b, start);
	strbuf_addn(b, rest.s, rest.n);
	strbuf_add(b, end);
}

static void write_settings(struct strbuf *b, const struct files_resolv *in, const struct parts *p)
{
	struct text servers = text_of(&p->servers), word;

	if (in->mode == FILES_EMBEDDED)
		servers = (struct text){ "127.0.0.11", strlen("127.0.0.11") };
	while (text_next_word(&servers, &word))
		line_add(b, "nameserver ", word, "\n");
	if (p->search.len)
		line_add(b, "search ", text_of(&p->search), "\n");
	if (p->options.len)
		line_add(b, "options ", text_of(&p->options), "\n");
	strbuf_addn(b, text_of(&p->others).s, p->others.len);
}

static const char *ndots_origin(const struct files_resolv *in)
{
	if (files_ndots_given(in))
		return json_array_size(in->options) ? "override" : "host";
	return in->mode == FILES_EMBEDDED ? "internal" : NULL;
}

/* The servers that we ask for it; at most so many are. host(): from the host's namespace. */
static void write_asked(struct strbuf *b, const struct files_resolv *in, const struct parts *p)
{
	struct text servers = text_of(&p->servers), word;
	bool own = json_array_size(in->dns);

	strbuf_add(b, "# ExtServers: [");
	for (unsigned i = 0; i < RESOLV_SERVERS_MAX && text_next_word(&servers, &word); i++) {
		strbuf_add(b, i ? " " : "");
		line_add(b, own ? "" : "host(", word, own ? "" : ")");
	}
	strbuf_add(b, "]\n");
}

static void write_overrides(struct strbuf *b, const struct files_resolv *in)
{
	struct strbuf list = { 0 };

	if (json_array_size(in->dns))
		word_add(&list, (struct text){ "nameservers", 11 });
	if (json_array_size(in->search))
		word_add(&list, (struct text){ "search", 6 });
	if (json_array_size(in->options))
		word_add(&list, (struct text){ "options", 7 });
	b->failed |= list.failed;
	line_add(b, "# Overrides: [", text_of(&list), "]\n");
	strbuf_free(&list);
}

/* The forms are Docker's: people and programs read them. */
static void write_comments(struct strbuf *b, const struct files_resolv *in, const struct parts *p)
{
	static const char *const modes[] = { [FILES_EMBEDDED] = " (internal resolver)",
					     [FILES_LEGACY] = " (legacy)",
					     [FILES_HOST] = "" };
	const char *ndots = ndots_origin(in);

	strbuf_addf(b, "\n# Based on host file: '%s'%s\n",
		    str_is_printable(in->path) ? in->path : "", modes[in->mode]);
	if (p->is_default)
		strbuf_add(b, "# Used default nameservers.\n");
	if (in->mode == FILES_EMBEDDED && !p->n_servers)
		strbuf_add(b, "# NO EXTERNAL NAMESERVERS DEFINED\n");
	else if (in->mode == FILES_EMBEDDED)
		write_asked(b, in, p);
	if (p->invalid.len)
		line_add(b, "# Invalid nameservers: [", text_of(&p->invalid), "]\n");
	write_overrides(b, in);
	if (ndots)
		strbuf_addf(b, "# Option ndots from: %s\n", ndots);
}

char *files_resolv_conf(const struct files_resolv *in)
{
	struct strbuf b = { 0 };
	struct parts p = { 0 };

	if (in->mode == FILES_HOST && !json_array_size(in->dns) && !json_array_size(in->search) &&
	    !json_array_size(in->options)) {
		strbuf_add(&b, in->host ? in->host : "");
		return strbuf_take(&b);
	}
	gather_host(&p, in);
	gather_given(&p, in);
	add_defaults(&p, in);
	if (in->mode == FILES_EMBEDDED && !files_ndots_given(in))
		word_add(&p.options, (struct text){ "ndots:0", 7 });
	strbuf_add(&b, "# Generated by cnm.\n"
		       "# This file can be edited; cnm will not make further changes once it\n"
		       "# has been modified.\n\n");
	write_settings(&b, in, &p);
	write_comments(&b, in, &p);
	b.failed |= p.servers.failed || p.search.failed || p.options.failed || p.others.failed ||
		    p.invalid.failed;
	parts_free(&p);
	return strbuf_take(&b);
}

bool files_is_stub(const char *host)
{
	static const struct cnm_ip stub = { .family = AF_INET, .b = { 127, 0, 0, 53 } };
	struct resolv_server servers[RESOLV_SERVERS_MAX];

	return resolv_conf_servers(host, servers) == 1 && ip_eq(&servers[0].ip, &stub);
}
