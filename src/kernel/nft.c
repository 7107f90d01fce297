/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The firewall's socket: changes, dumps and questions. What the elements look like is in
 * nft_elem.c, the loading of the ruleset in nft_load.c, the transactions in nft_msg.c.
 */
#include "kernel/nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/nft_internal.h"

static bool is_table_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return n > 0 && n <= NFT_TABLE_MAX && !s[n] && !strchr("0123456789_-", s[0]);
}

int nft_open(struct nft **ret, const char *table, struct cnm_error *err)
{
	struct nft *n;
	int r;

	if (!is_table_name(table))
		return cnm_error_set(
			err, CNM_E_INVALID,
			"\"%s\" cannot be the name of an nf_tables table; use a letter, "
			"then at most 31 letters, digits, '-' or '_'",
			table);
	n = calloc(1, sizeof(*n));
	if (!n)
		return cnm_error_errno(err, ENOMEM, "open the firewall");
	str_copy(n->table, sizeof(n->table), table);
	r = nft_sock_open(&n->changes);
	if (r < 0)
		cnm_error_errno(err, r, "open a netfilter socket");
	else
		r = nl_open(&n->reads, NETLINK_NETFILTER, err);
	if (r < 0) {
		nft_close(n);
		return r;
	}
	*ret = n;
	return 0;
}

void nft_close(struct nft *n)
{
	if (!n)
		return;
	nft_sock_close(n->changes);
	nl_close(n->reads);
	free(n);
}

uint32_t nft_portid(const struct nft *n)
{
	return nft_sock_portid(n->changes);
}

/* ---- changes */

static void add_elem(const struct nft *n, struct nft_txn *t, int type, int flags,
		     const struct nft_elem *e)
{
	const struct nft_set *set = nft_set_by_name(e->set);
	struct nft_msg m;
	struct nlmsghdr *h = nft_msg_start(&m, type, flags, nft_tables[set->bridge].family);
	struct nlattr *list;

	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, n->table);
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, e->set);
	list = mnl_attr_nest_start(h, NFTA_SET_ELEM_LIST_ELEMENTS);
	nft_elem_put(h, e, type == NFT_MSG_NEWSETELEM);
	mnl_attr_nest_end(h, list);
	nft_txn_add(t, h);
}

static int tell(const struct nft *n, int r, const char *verb, const struct nft_elem *e,
		struct cnm_error *err)
{
	const struct nft_set *set = e->set ? nft_set_by_name(e->set) : NULL;
	struct strbuf text = { 0 };

	nft_elem_text(e, &text);
	cnm_error_errno(err, r, "%s element \"%s\" of set %s, table %s %s", verb,
			text.s ? text.s : "", e->set ? e->set : "",
			nft_tables[set && set->bridge].family_name, n->table);
	strbuf_free(&text);
	return r;
}

static int check(const struct nft *n, const struct nft_elem *elems, unsigned count,
		 struct cnm_error *err)
{
	for (unsigned i = 0; i < count; i++)
		if (!nft_elem_is_valid(&elems[i]))
			return tell(n, -EINVAL, "write", &elems[i], err);
	return 0;
}

int nft_change(struct nft *n, const struct nft_elem *add, unsigned n_add,
	       const struct nft_elem *del, unsigned n_del, struct cnm_error *err)
{
	struct nft_txn t = { 0 };
	int r = check(n, del, n_del, err), failed = -1;

	if (r == 0)
		r = check(n, add, n_add, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < n_del; i++)
		add_elem(n, &t, NFT_MSG_DELSETELEM, 0, &del[i]);
	for (unsigned i = 0; i < n_add; i++)
		add_elem(n, &t, NFT_MSG_NEWSETELEM, NLM_F_CREATE, &add[i]);
	r = nft_txn_run(n->changes, &t, &failed);
	strbuf_free(&t.b);
	if (r == 0)
		return 0;
	if (failed < 0 || (unsigned)failed >= n_del + n_add)
		return cnm_error_errno(err, r, "change the elements of tables inet and bridge %s",
				       n->table);
	if ((unsigned)failed < n_del)
		return tell(n, r, "delete", &del[failed], err);
	if (r == -EBUSY) /* so the kernel says that it is there, with other data */
		r = -EEXIST;
	return tell(n, r, "add", &add[(unsigned)failed - n_del], err);
}

static void add_table(const struct nft *n, struct nft_txn *t, int type, int flags, uint8_t family)
{
	struct nft_msg m;
	struct nlmsghdr *h = nft_msg_start(&m, type, flags, family);

	mnl_attr_put_strz(h, NFTA_TABLE_NAME, n->table);
	nft_txn_add(t, h);
}

/* A table that is not there is made first, lest its absence fail the transaction. */
int nft_unload(struct nft *n, struct cnm_error *err)
{
	struct nft_txn t = { 0 };
	int r, failed;

	for (unsigned i = 0; i < NFT_N_TABLES; i++) {
		add_table(n, &t, NFT_MSG_NEWTABLE, NLM_F_CREATE, nft_tables[i].family);
		add_table(n, &t, NFT_MSG_DELTABLE, 0, nft_tables[i].family);
	}
	r = nft_txn_run(n->changes, &t, &failed);
	strbuf_free(&t.b);
	if (r < 0)
		return cnm_error_errno(err, r, "delete tables inet and bridge %s", n->table);
	return 0;
}

/* ---- questions */

static int exists(const struct nlmsghdr *h, void *arg)
{
	*(bool *)arg = true;
	return 0;
}

static int have_version(struct nft *n, const struct nft_table *t, bool *ret, struct cnm_error *err)
{
	char name[NFT_VERSION_CHAIN_SIZE];
	struct cnm_error why = { 0 };
	struct nft_msg m;
	struct nlmsghdr *h = nft_msg_start(&m, NFT_MSG_GETCHAIN, 0, t->family);
	int r;

	mnl_attr_put_strz(h, NFTA_CHAIN_TABLE, n->table);
	mnl_attr_put_strz(h, NFTA_CHAIN_NAME, nft_version_chain(name));
	*ret = false;
	r = nl_request(n->reads, h, exists, NULL, ret, &why);
	if (r < 0 && r != -ENOENT)
		return cnm_error_errno(err, r, "look for table %s %s", t->family_name, n->table);
	return 0;
}

struct count {
	const struct nft_table *table;
	unsigned rules[NFT_MAX_CHAINS]; /* by number of the chain */
};

static int count_rule(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *tb[NFTA_RULE_MAX + 1];
	struct count *c = arg;
	int i;

	nft_parse(h, tb, NFTA_RULE_MAX);
	i = nft_chain_index(c->table, nft_attr_str(tb[NFTA_RULE_CHAIN]));
	if (i >= 0)
		c->rules[i]++;
	return 0;
}

static void count_again(void *arg)
{
	struct count *c = arg;

	memset(c->rules, 0, sizeof(c->rules));
}

static int table_loaded(struct nft *n, const struct nft_table *t, struct cnm_error *err)
{
	struct count c = { .table = t };
	struct nft_msg m;
	struct nlmsghdr *h;
	bool there;
	int r = have_version(n, t, &there, err);

	if (r < 0 || !there)
		return r;
	h = nft_msg_start(&m, NFT_MSG_GETRULE, NLM_F_DUMP, t->family);
	mnl_attr_put_strz(h, NFTA_RULE_TABLE, n->table);
	r = nl_request(n->reads, h, count_rule, count_again, &c, err);
	if (r < 0) {
		cnm_error_prefix(err, "list the rules of table %s %s", t->family_name, n->table);
		return r;
	}
	for (unsigned i = 0; t->chains[i].name; i++)
		if (c.rules[i] != t->chains[i].n_rules)
			return 0;
	return 1;
}

int nft_loaded(struct nft *n, struct cnm_error *err)
{
	int r = 1;

	for (unsigned i = 0; i < NFT_N_TABLES && r > 0; i++)
		r = table_loaded(n, &nft_tables[i], err);
	return r;
}

struct walk {
	int (*fn)(const struct nlattr *elem, void *arg);
	void (*again)(void *arg);
	void *arg;
};

static int walk_message(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *tb[NFTA_SET_ELEM_LIST_MAX + 1], *attr;
	const struct walk *w = arg;
	int r = 0;

	nft_parse(h, tb, NFTA_SET_ELEM_LIST_MAX);
	if (!tb[NFTA_SET_ELEM_LIST_ELEMENTS])
		return 0;
	mnl_attr_for_each_nested (attr, tb[NFTA_SET_ELEM_LIST_ELEMENTS]) {
		r = w->fn(attr, w->arg);
		if (r < 0)
			break;
	}
	return r;
}

static void walk_again(void *arg)
{
	const struct walk *w = arg;

	w->again(w->arg);
}

int nft_set_walk(struct nft *n, const struct nft_set *set,
		 int (*fn)(const struct nlattr *elem, void *arg), void (*again)(void *arg),
		 void *arg, struct cnm_error *err)
{
	const struct nft_table *t = &nft_tables[set->bridge];
	struct walk w = { fn, again, arg };
	struct nft_msg m;
	struct nlmsghdr *h = nft_msg_start(&m, NFT_MSG_GETSETELEM, NLM_F_DUMP, t->family);
	int r;

	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, n->table);
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, set->name);
	r = nl_request(n->reads, h, walk_message, walk_again, &w, NULL);
	if (r < 0)
		cnm_error_errno(err, r, "list set %s of table %s %s", set->name, t->family_name,
				n->table);
	return r;
}

struct found {
	const struct nft_set *set;
	struct nft_elem *ret;
	bool yes;
};

static int take_found(const struct nlattr *attr, void *arg)
{
	struct found *f = arg;

	f->yes = nft_elem_read(f->set, attr, f->ret);
	return 0;
}

static void find_again(void *arg)
{
	((struct found *)arg)->yes = false;
}

int nft_find(struct nft *n, const struct nft_elem *e, struct nft_elem *ret, struct cnm_error *err)
{
	const struct nft_set *set = nft_elem_is_valid(e) ? nft_set_by_name(e->set) : NULL;
	struct nft_elem elem;
	struct found f = { set, &elem, false };
	struct walk w = { take_found, find_again, &f };
	struct cnm_error why = { 0 };
	struct nlattr *list;
	struct nlmsghdr *h;
	struct nft_msg m;
	int r;

	if (!set)
		return tell(n, -EINVAL, "look for", e, err);
	h = nft_msg_start(&m, NFT_MSG_GETSETELEM, 0, nft_tables[set->bridge].family);
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, n->table);
	mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, e->set);
	list = mnl_attr_nest_start(h, NFTA_SET_ELEM_LIST_ELEMENTS);
	nft_elem_put(h, e, false);
	mnl_attr_nest_end(h, list);
	r = nl_request(n->reads, h, walk_message, walk_again, &w, &why);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return tell(n, r, "look for", e, err);
	if (f.yes)
		*ret = elem;
	return f.yes;
}

/* The elements of a set. What is not as ours are (the element "*") is passed over. */
struct elems {
	const struct nft_set *set;
	struct nft_elem *e;
	size_t n, cap;
};

static int collect(const struct nlattr *attr, void *arg)
{
	struct elems *l = arg;

	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct nft_elem *e = realloc(l->e, cap * sizeof(*e));

		if (!e)
			return -ENOMEM;
		l->e = e;
		l->cap = cap;
	}
	if (nft_elem_read(l->set, attr, &l->e[l->n]))
		l->n++;
	return 0;
}

static void collect_again(void *arg)
{
	((struct elems *)arg)->n = 0;
}

int nft_dump(struct nft *n, int (*fn)(const struct nft_elem *e, void *arg), void *arg,
	     struct cnm_error *err)
{
	struct elems l = { 0 };
	int r = 0;

	for (unsigned i = 0; i < nft_n_sets && r >= 0; i++) {
		l.set = &nft_sets[i];
		l.n = 0;
		r = nft_set_walk(n, l.set, collect, collect_again, &l, err);
		for (size_t j = 0; j < l.n && r >= 0; j++)
			r = fn(&l.e[j], arg);
	}
	free(l.e);
	return r < 0 ? r : 0;
}
