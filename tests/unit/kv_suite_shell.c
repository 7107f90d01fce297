/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shell of kv-suite: a client of the store that keeps a copy of it, told what to do by lines of
 * its input, so that tests/host/test_kv.py can have servers fail in between. Its lines are those of
 * shell_commands[]; each is answered by one line.
 */
#include "kv_suite.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

struct load {
	pthread_t thread;
	struct kv *kv;
	char key[32];
	_Atomic bool stop;
	unsigned long done, conflicts, failed; /* what was answered, refused, and is unknown */
	unsigned long value;                   /* of the last one that was answered */
	char text[256];
};

struct shell {
	struct kv *kv;
	struct copy copy;
	struct load load[8];
	size_t n_load;
};

/* value 0 creates the counter; else reads it, sees that no answered one was lost, adds one. */
static void load_once(struct load *l)
{
	struct kv_entries e = { 0 };
	struct cnm_error err = { 0 };
	unsigned long found;
	char text[32] = "";
	int r = kv_get(l->kv, l->key, 5000, &e, &err);

	if (r == 0) {
		snprintf(text, sizeof(text), "%.*s", e.n ? (int)e.v[0].len : 0,
			 e.n ? (const char *)e.v[0].value : "");
		found = strtoul(text, NULL, 10);
		if (found < l->value)
			snprintf(l->text, sizeof(l->text), "LOST: %lu is %lu", l->value, found);
		snprintf(text, sizeof(text), "%lu", found + 1);
		struct kv_op op = { e.n ? KV_SET : KV_CREATE, l->key, text, strlen(text),
				    e.n ? e.v[0].version : 0 };
		r = kv_txn(l->kv, &op, 1, 5000, NULL, &err);
		if (r == 0)
			l->value = found + 1;
		kv_entries_free(&e);
	}
	if (r < 0 && strncmp(l->text, "LOST", 4) != 0)
		str_copy(l->text, sizeof(l->text), err.text);
	l->done += r == 0;
	l->conflicts += r == KV_CONFLICT;
	l->failed += r < 0;
}

static void *load_run(void *arg)
{
	struct load *l = arg;

	while (!l->stop)
		load_once(l);
	return NULL;
}

static void said(int r, const struct cnm_error *err)
{
	if (r == 0)
		printf("ok\n");
	else if (r == KV_CONFLICT)
		printf("conflict\n");
	else
		printf("error %s: %s\n", cnm_error_class_name(err->class), err->text);
}

/* put KEY VALUE MS: creates it, or sets it whatever it is. */
static void do_put(struct shell *s, char **arg)
{
	struct kv_entries e = { 0 };
	struct cnm_error err = { 0 };
	unsigned ms = (unsigned)atoi(arg[2]);
	int r = kv_get(s->kv, arg[0], ms, &e, &err);

	if (r == 0) {
		struct kv_op op = { e.n ? KV_SET : KV_CREATE, arg[0], arg[1], strlen(arg[1]),
				    e.n ? e.v[0].version : 0 };
		r = kv_txn(s->kv, &op, 1, ms, NULL, &err);
	}
	kv_entries_free(&e);
	said(r, &err);
}

/* delete KEY MS */
static void do_delete(struct shell *s, char **arg)
{
	struct kv_entries e = { 0 };
	struct cnm_error err = { 0 };
	int r = kv_get(s->kv, arg[0], (unsigned)atoi(arg[1]), &e, &err);

	if (r == 0) {
		struct kv_op op = { KV_DELETE, arg[0], .version = e.n ? e.v[0].version : 1 };

		r = kv_txn(s->kv, &op, 1, (unsigned)atoi(arg[1]), NULL, &err);
	}
	kv_entries_free(&e);
	said(r, &err);
}

/* get KEY MS */
static void do_get(struct shell *s, char **arg)
{
	struct kv_entries e = { 0 };
	struct cnm_error err = { 0 };
	int r = kv_get(s->kv, arg[0], (unsigned)atoi(arg[1]), &e, &err);

	if (r == 0)
		printf(e.n ? "value %.*s\n" : "absent\n", e.n ? (int)e.v[0].len : 0,
		       e.n ? (const char *)e.v[0].value : "");
	else
		said(r, &err);
	kv_entries_free(&e);
}

/* list PREFIX MS ("-": all) */
static void do_list(struct shell *s, char **arg)
{
	struct kv_entries e = { 0 };
	struct cnm_error err = { 0 };
	int r = kv_list(s->kv, streq(arg[0], "-") ? "" : arg[0], (unsigned)atoi(arg[1]), &e, &err);

	if (r == 0) {
		printf("keys");
		for (size_t i = 0; i < e.n; i++)
			printf(" %s", e.v[i].key);
		printf("\n");
	} else {
		said(r, &err);
	}
	kv_entries_free(&e);
}

/* same SECONDS: the copy becomes what a list says. */
static void do_same(struct shell *s, char **arg)
{
	struct kv_entries e = { 0 };
	struct cnm_error err = { 0 };
	int r = kv_list(s->kv, "", 1000 * (unsigned)atoi(arg[0]), &e, &err);

	if (r != 0) {
		said(r, &err);
		return;
	}
	if (copy_wait(&s->copy, equals, &e, (unsigned)atoi(arg[0])))
		printf("same %zu\n", e.n);
	else
		printf("different: the store has %zu, the copy %zu\n", e.n, s->copy.n);
	kv_entries_free(&e);
}

/* sees KEY VALUE SECONDS ("-": gone) */
static void do_sees(struct shell *s, char **arg)
{
	struct expected e = { arg[0], streq(arg[1], "-") ? NULL : arg[1] };

	printf(copy_wait(&s->copy, has_key, &e, (unsigned)atoi(arg[2])) ? "yes\n" : "no\n");
}

/* reached yes|no SECONDS */
static void do_reached(struct shell *s, char **arg)
{
	bool yes = streq(arg[0], "yes");

	if (!copy_wait(&s->copy, is_told, &yes, (unsigned)atoi(arg[1])))
		printf("no\n");
	else
		printf("yes %s\n", s->copy.why);
}

/* alls: how many calls there were of all(), and how many that were wrong. */
static void do_alls(struct shell *s, char **arg)
{
	LOCKED(&s->copy.lock);

	printf("%u %u\n", s->copy.alls, s->copy.wrong);
}

static bool more_alls(struct copy *c, void *arg)
{
	return c->alls > *(unsigned *)arg;
}

/* more-alls THAN SECONDS */
static void do_more_alls(struct shell *s, char **arg)
{
	unsigned than = (unsigned)atoi(arg[0]);

	printf(copy_wait(&s->copy, more_alls, &than, (unsigned)atoi(arg[1])) ? "yes\n" : "no\n");
}

/* keep KEY VALUE */
static void do_keep(struct shell *s, char **arg)
{
	said(kv_keep(s->kv, arg[0], arg[1], strlen(arg[1])), &(struct cnm_error){ 0 });
}

/* fill N: as many new keys, with long names, in 10 folders. */
static void do_fill(struct shell *s, char **arg)
{
	size_t n = (size_t)atoi(arg[0]);
	struct cnm_error err = { 0 };
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i += KV_TXN_MAX) {
		char keys[KV_TXN_MAX][128];
		struct kv_op ops[KV_TXN_MAX];

		for (size_t j = 0; j < KV_TXN_MAX; j++) {
			snprintf(keys[j], sizeof(keys[j]), "fill/%zu/%064zu", (i + j) % 10, i + j);
			ops[j] = (struct kv_op){ KV_CREATE, keys[j], "v", 1 };
		}
		r = kv_txn(s->kv, ops, n - i < KV_TXN_MAX ? n - i : KV_TXN_MAX, MS, NULL, &err);
	}
	said(r, &err);
}

/* server: the one that was asked last */
static void do_server(struct shell *s, char **arg)
{
	struct kv_status status;

	kv_status(s->kv, &status);
	printf("%s\n", status.server);
}

/* load THREADS */
static void do_load(struct shell *s, char **arg)
{
	s->n_load = (size_t)atoi(arg[0]) < 8 ? (size_t)atoi(arg[0]) : 8;
	for (size_t i = 0; i < s->n_load; i++) {
		struct load *l = &s->load[i];

		*l = (struct load){ .kv = s->kv };
		snprintf(l->key, sizeof(l->key), "load/%zu-%d", i, (int)getpid());
		pthread_create(&l->thread, NULL, load_run, l);
	}
	printf("ok\n");
}

/* unload: what became of it: answered, conflicts, failed, and the last complaint. */
static void do_unload(struct shell *s, char **arg)
{
	unsigned long done = 0, conflicts_ = 0, failed = 0;
	const char *text = "", *lost = "";

	for (size_t i = 0; i < s->n_load; i++)
		s->load[i].stop = true;
	for (size_t i = 0; i < s->n_load; i++) {
		struct load *l = &s->load[i];

		pthread_join(l->thread, NULL);
		done += l->done;
		conflicts_ += l->conflicts;
		failed += l->failed;
		if (strncmp(l->text, "LOST", 4) == 0)
			lost = l->text;
		else if (l->text[0])
			text = l->text;
	}
	s->n_load = 0;
	printf("%lu %lu %lu %s\n", done, conflicts_, failed, *lost ? lost : text);
}

static const struct {
	const char *name;
	int args;
	void (*run)(struct shell *s, char **arg);
} shell_commands[] = {
	{ "put", 3, do_put },         { "delete", 2, do_delete },       { "get", 2, do_get },
	{ "list", 2, do_list },       { "same", 1, do_same },           { "sees", 3, do_sees },
	{ "reached", 2, do_reached }, { "alls", 0, do_alls },           { "keep", 2, do_keep },
	{ "server", 0, do_server },   { "fill", 1, do_fill },           { "load", 1, do_load },
	{ "unload", 0, do_unload },   { "more-alls", 2, do_more_alls },
};

static void shell_line(struct shell *s, char *line)
{
	char *words[8] = { NULL }, *rest = line;
	int n = 0;

	while (n < 8 && (words[n] = strsep(&rest, " \n")))
		n += words[n][0] != '\0';
	for (size_t i = 0; n && i < ARRAY_LEN(shell_commands); i++)
		if (streq(words[0], shell_commands[i].name) && n == shell_commands[i].args + 1) {
			shell_commands[i].run(s, words + 1);
			return;
		}
	printf("error: what?\n");
}

int shell(void)
{
	static struct shell s;
	struct kv_options o = options;
	struct cnm_error err;
	char line[512];

	copy_init(&s.copy);
	o.watcher = &watcher;
	o.arg = &s.copy;
	if (kv_open(&s.kv, &o, &err) != 0) {
		printf("error %s: %s\n", cnm_error_class_name(err.class), err.text);
		return 1;
	}
	printf("open\n");
	while (fflush(stdout) == 0 && fgets(line, sizeof(line), stdin))
		shell_line(&s, line);
	kv_close(s.kv);
	copy_free(&s.copy);
	return 0;
}
