/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text of ruleset.nft, and its loading by the nft program as one transaction.
 *
 * What is there of ours is emptied and filled anew, so that what an operator added, and what rules
 * of the chain `user` refer to, stays. nft refuses that where something of ours is there as another
 * kind (another version's set with other fields, a chain at another hook): then the tables are
 * deleted and made anew, in a transaction as well.
 */
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kernel/nft_internal.h"

/* How often somebody may be quicker than our list of what is there. */
#define MAX_TRIES 4

static const char ruleset[] =
#include "kernel/ruleset.nft.h"
	;

/* ---- the text */

const char *nft_version_chain(char buf[static NFT_VERSION_CHAIN_SIZE])
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (const char *p = ruleset; *p; p++)
		hash = (hash ^ (uint8_t)*p) * 16777619u;
	snprintf(buf, NFT_VERSION_CHAIN_SIZE, "version-%08x", hash);
	return buf;
}

/* The text with @TABLE@ and @VERSION@ filled in. */
static void add_ruleset(struct strbuf *b, const char *table)
{
	char chain[NFT_VERSION_CHAIN_SIZE];
	const char *version = str_after(nft_version_chain(chain), "version-");

	for (const char *p = ruleset; *p;) {
		const char *rest;

		if ((rest = str_after(p, "@TABLE@"))) {
			strbuf_add(b, table);
			p = rest;
		} else if ((rest = str_after(p, "@VERSION@"))) {
			strbuf_add(b, version);
			p = rest;
		} else {
			size_t n = 1 + strcspn(p + 1, "@");

			strbuf_addn(b, p, n);
			p += n;
		}
	}
}

char *nft_ruleset_text(const char *table)
{
	struct strbuf b = { 0 };

	add_ruleset(&b, table);
	return strbuf_take(&b);
}

/* All elements of a set are one command. */
static void add_elements(struct strbuf *b, const char *table, const struct nft_set *set,
			 const struct nft_elem *elems, unsigned n_elems)
{
	const char *before = NULL;

	for (unsigned i = 0; i < n_elems; i++) {
		if (!streq(elems[i].set, set->name))
			continue;
		if (before)
			strbuf_add(b, before);
		else
			strbuf_addf(b, "add element %s %s %s { ",
				    nft_tables[set->bridge].family_name, table, set->name);
		nft_elem_source(&elems[i], b);
		before = ",\n\t";
	}
	if (before)
		strbuf_add(b, " }\n");
}

/* What comes behind the preparations: the tables, and the elements set by set. */
static void add_content(struct strbuf *b, const char *table, const struct nft_elem *elems,
			unsigned n_elems)
{
	add_ruleset(b, table);
	for (unsigned i = 0; i < nft_n_sets; i++)
		add_elements(b, table, &nft_sets[i], elems, n_elems);
}

/* A quote would end the name, a star is a wildcard. */
static bool is_safe_name(const struct nft_value *v)
{
	return v->ifname[0] && memchr(v->ifname, '\0', sizeof(v->ifname)) &&
	       !strpbrk(v->ifname, "\"\\*") && str_is_printable(v->ifname);
}

static bool is_safe_verdict(const struct nft_value *v)
{
	return memchr(v->verdict, '\0', sizeof(v->verdict)) &&
	       !v->verdict[strspn(v->verdict, "abcdefghijklmnopqrstuvwxyz0123456789_- ")];
}

/* Would nft read the element as what it is? Of the other fields we write numbers. */
static bool is_safe(const struct nft_elem *e)
{
	for (unsigned i = 0; i < NFT_MAX_KEY; i++)
		if (e->key[i].type == NFT_T_IFNAME && !is_safe_name(&e->key[i]))
			return false;
	return e->data[0].type != NFT_T_VERDICT || is_safe_verdict(&e->data[0]);
}

static int check(const struct nft_elem *elems, unsigned n_elems, struct cnm_error *err)
{
	for (unsigned i = 0; i < n_elems; i++) {
		struct strbuf text = { 0 };

		if (nft_elem_is_valid(&elems[i]) && is_safe(&elems[i]))
			continue;
		nft_elem_text(&elems[i], &text);
		cnm_error_set(
			err, CNM_E_INVALID,
			"\"%s\" cannot be an element of set %s; use a name of letters, digits, "
			"'.', '_' and '-'",
			text.s ? text.s : "", elems[i].set ? elems[i].set : "(none)");
		strbuf_free(&text);
		return -EINVAL;
	}
	return 0;
}

/* ---- what is there of ours */

struct present {
	const char *table;
	const struct nft_table *t;
	struct strbuf text; /* the commands that empty it */
};

static bool is_version_chain(const char *name)
{
	const char *hash = str_after(name, "version-");

	return hash && strlen(hash) == 8 && strspn(hash, "0123456789abcdef") == 8;
}

static int empty_chain(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *tb[NFTA_CHAIN_MAX + 1];
	char current[NFT_VERSION_CHAIN_SIZE];
	struct present *p = arg;
	const char *name, *family = p->t->family_name;
	bool old;

	nft_parse(h, tb, NFTA_CHAIN_MAX);
	name = nft_attr_str(tb[NFTA_CHAIN_NAME]);
	if (!streq(nft_attr_str(tb[NFTA_CHAIN_TABLE]), p->table))
		return 0;
	old = is_version_chain(name) && !streq(name, nft_version_chain(current));
	if (old || nft_chain_index(p->t, name) >= 0)
		strbuf_addf(&p->text, "flush chain %s %s %s\n", family, p->table, name);
	if (old)
		strbuf_addf(&p->text, "delete chain %s %s %s\n", family, p->table, name);
	return 0;
}

static int empty_set(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *tb[NFTA_SET_MAX + 1];
	const struct nft_set *set;
	struct present *p = arg;

	nft_parse(h, tb, NFTA_SET_MAX);
	set = nft_set_by_name(nft_attr_str(tb[NFTA_SET_NAME]));
	if (set && &nft_tables[set->bridge] == p->t &&
	    streq(nft_attr_str(tb[NFTA_SET_TABLE]), p->table))
		strbuf_addf(&p->text, "flush %s %s %s %s\n", set->map ? "map" : "set",
			    p->t->family_name, p->table, set->name);
	return 0;
}

static void empty_again(void *arg)
{
	strbuf_free(&((struct present *)arg)->text);
}

/* Rules go before the sets that they look into. */
static int add_emptying(struct nft *n, const struct nft_table *t, struct strbuf *b,
			struct cnm_error *err)
{
	static const struct {
		int type;
		int (*fn)(const struct nlmsghdr *h, void *arg);
	} kinds[] = { { NFT_MSG_GETCHAIN, empty_chain }, { NFT_MSG_GETSET, empty_set } };
	struct present p = { .table = n->table, .t = t };
	struct nft_msg m;
	int r = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && r >= 0; i++) {
		r = nl_request(n->reads, nft_msg_start(&m, kinds[i].type, NLM_F_DUMP, t->family),
			       kinds[i].fn, empty_again, &p, err);
		if (r >= 0 && p.text.len > 0)
			strbuf_addn(b, p.text.s, p.text.len);
		b->failed |= p.text.failed;
		strbuf_free(&p.text);
	}
	if (r < 0)
		cnm_error_prefix(err, "list the chains and sets of nf_tables");
	return r;
}

/* ---- loading */

static int run_script(const char *text, struct cnm_error *err)
{
	static const char *const argv[] = { "nft", "-f", "-", NULL };

	return nft_run(argv, text, NULL, err);
}

static int out_of_memory(struct cnm_error *err)
{
	return cnm_error_errno(err, ENOMEM, "write the ruleset");
}

/*
 * Empty and fill anew. Refused, and nothing has changed that would make another script of it: then
 * nft's exit status.
 */
static int refill(struct nft *n, const struct nft_elem *elems, unsigned n_elems,
		  struct cnm_error *err)
{
	_free_ char *before = NULL;
	int r = 0;

	for (int i = 0; i < MAX_TRIES; i++) {
		struct strbuf b = { 0 };
		_free_ char *text = NULL;

		for (unsigned j = 0; j < NFT_N_TABLES && r >= 0; j++)
			r = add_emptying(n, &nft_tables[j], &b, err);
		if (r >= 0)
			add_content(&b, n->table, elems, n_elems);
		text = strbuf_take(&b);
		if (r < 0)
			return r;
		if (!text)
			return out_of_memory(err);
		if (before && streq(text, before))
			return 1;
		r = run_script(text, err);
		if (r <= 0)
			return r;
		free(before);
		before = take_ptr(text);
		r = 0;
	}
	return 1;
}

/* The chain `user` as nft writes it; NULL if it is not there or empty. */
static int read_user_rules(struct nft *n, char **ret, struct cnm_error *err)
{
	const char *argv[] = { "nft", "-s", "list", "chain", "inet", n->table, "user", NULL };
	_free_ char *text = NULL;
	char empty[128];
	int r = nft_run(argv, "", &text, err);

	if (r < 0)
		return r;
	snprintf(empty, sizeof(empty), "table inet %s {\n\tchain user {\n\t}\n}\n", n->table);
	*ret = r > 0 || streq(text, empty) ? NULL : take_ptr(text);
	return 0;
}

static int load_new(struct nft *n, const struct nft_elem *elems, unsigned n_elems, const char *user,
		    struct cnm_error *err)
{
	struct strbuf b = { 0 };
	_free_ char *text = NULL;

	for (unsigned i = 0; i < NFT_N_TABLES; i++) {
		const char *family = nft_tables[i].family_name;

		strbuf_addf(&b, "table %s %s {}\ndelete table %s %s\n", family, n->table, family,
			    n->table);
	}
	add_content(&b, n->table, elems, n_elems);
	strbuf_add(&b, user);
	text = strbuf_take(&b);
	return text ? run_script(text, err) : out_of_memory(err);
}

/* A record a line, as a record holds no more than that. */
static void log_lost(const char *table, const char *rules, const char *why)
{
	log_err("the rules of chain user, table inet %s, could not be carried over to the new "
		"tables (%s); add them again as far as they are wanted. They were:",
		table, why);
	while (*rules) {
		size_t n = strcspn(rules, "\n");

		log_err("%.*s", (int)n, rules);
		rules += n + (rules[n] == '\n');
	}
}

/* Delete and make anew. */
static int replace(struct nft *n, const struct nft_elem *elems, unsigned n_elems,
		   struct cnm_error *err)
{
	struct cnm_error why = { 0 };
	_free_ char *user = NULL;
	int r = read_user_rules(n, &user, err);

	if (r < 0)
		return r;
	if (user) {
		r = load_new(n, elems, n_elems, user, &why);
		if (r == 0)
			return 0;
	}
	r = load_new(n, elems, n_elems, "", err);
	if (r == 0 && user)
		log_lost(n->table, user, why.text);
	return r;
}

int nft_load(struct nft *n, const struct nft_elem *elems, unsigned n_elems, struct cnm_error *err)
{
	struct cnm_error why = { 0 };
	int r = check(elems, n_elems, err);

	if (r < 0)
		return r;
	r = refill(n, elems, n_elems, &why);
	if (r > 0)
		r = replace(n, elems, n_elems, &why);
	if (r != 0 && err) {
		*err = why;
		cnm_error_prefix(err, "load tables inet and bridge %s", n->table);
	}
	return r > 0 ? -EIO : r;
}
