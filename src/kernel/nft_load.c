/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ruleset: its text, which the build makes a string of ruleset.nft, and its loading by the nft
 * program, as one transaction. nft reads from a file in memory and complains into another, so there
 * is nothing to wait for but its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kernel/nft_internal.h"

#define DEADLINE_S 20

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

static char *load_text(const char *table, const struct nft_elem *elems, unsigned n_elems)
{
	struct strbuf b = { 0 };

	for (unsigned i = 0; i < NFT_N_TABLES; i++) {
		const char *family = nft_tables[i].family_name;

		strbuf_addf(&b, "table %s %s {}\ndelete table %s %s\n", family, table, family,
			    table);
	}
	add_ruleset(&b, table);
	for (unsigned i = 0; i < nft_n_sets; i++)
		add_elements(&b, table, &nft_sets[i], elems, n_elems);
	return strbuf_take(&b);
}

/* Would nft read the element as what it is? A quote would end the name, a star is a wildcard. */
static bool is_safe(const struct nft_elem *e)
{
	for (unsigned i = 0; i < NFT_MAX_KEY && e->key[i].type != NFT_T_NONE; i++) {
		const struct nft_value *v = &e->key[i];

		if (v->type == NFT_T_IFNAME &&
		    (!v->ifname[0] || memchr(v->ifname, '\0', sizeof(v->ifname)) == NULL ||
		     strpbrk(v->ifname, "\"\\*") || !str_is_printable(v->ifname)))
			return false;
	}
	return e->data[0].type != NFT_T_VERDICT ||
	       strspn(e->data[0].verdict, "abcdefghijklmnopqrstuvwxyz0123456789_- ") ==
		       strlen(e->data[0].verdict);
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

/* ---- the program */

static int spawn(int in, int out, pid_t *ret)
{
	static const char *const paths[] = { "nft", "/usr/sbin/nft", "/sbin/nft" };
	const char *argv[] = { "nft", "-f", "-", NULL };
	const char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawn_file_actions_init(&files);
	r = posix_spawn_file_actions_adddup2(&files, in, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&files, out, 1);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&files, out, 2);
	if (r == 0)
		r = ENOENT;
	for (size_t i = 0; r == ENOENT && i < sizeof(paths) / sizeof(paths[0]); i++)
		r = posix_spawnp(ret, paths[i], &files, &attr, (char *const *)argv,
				 (char *const *)env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -r;
}

/* 0 when the process has ended, -ETIME, or another failure. */
static int wait_until(pid_t pid, uint64_t end)
{
	_close_ int pidfd = pidfd_open(pid, 0);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0)
		return -errno;
	for (;;) {
		uint64_t now = clock_mono_ns();
		int n = now < end ? poll(&p, 1, (int)((end - now) / 1000000) + 1) : 0;

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ETIME;
	}
}

/* Its exit status, or -ETIME when it had to be killed, or another failure. */
static int wait_for(pid_t pid)
{
	int r = wait_until(pid, clock_mono_ns() + DEADLINE_S * 1000000000ull), status;

	if (r < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (r < 0)
		return r;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A file in memory, not inherited but as what spawn() makes of it. */
static int memory_file(const char *content)
{
	_close_ int fd = memfd_create("nft", MFD_CLOEXEC);
	size_t done = 0, len = strlen(content);

	if (fd < 0)
		return -errno;
	while (done < len) {
		ssize_t n = pwrite(fd, content + done, len - done, (off_t)done);

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return take_fd(&fd);
}

/* The first line of what nft said. */
static void complaint(int fd, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

static int run_nft(const char *text, struct cnm_error *err)
{
	_close_ int in = memory_file(text), out = memory_file("");
	char said[512];
	pid_t pid = 0;
	int r;

	if (in < 0 || out < 0)
		return cnm_error_errno(err, in < 0 ? in : out, "make a file in memory");
	r = spawn(in, out, &pid);
	if (r == -ENOENT)
		return cnm_error_set(
			err, CNM_E_INTERNAL,
			"the program nft is neither in PATH nor in /usr/sbin or /sbin; "
			"install the package nftables");
	if (r < 0)
		return cnm_error_errno(err, r, "start nft");
	r = wait_for(pid);
	if (r == -ETIME)
		return cnm_error_set(err, CNM_E_UNAVAILABLE,
				     "nft did not end within %d seconds and was killed",
				     DEADLINE_S);
	if (r < 0)
		return cnm_error_errno(err, r, "wait for nft");
	complaint(out, said, sizeof(said));
	if (r > 0)
		return cnm_error_set(err, CNM_E_INTERNAL, "nft ended with status %d: %s", r, said);
	return 0;
}

int nft_load(struct nft *n, const struct nft_elem *elems, unsigned n_elems, struct cnm_error *err)
{
	int r = check(elems, n_elems, err);
	_free_ char *text = NULL;

	if (r < 0)
		return r;
	text = load_text(n->table, elems, n_elems);
	r = text ? run_nft(text, err) : cnm_error_errno(err, ENOMEM, "write the ruleset");
	if (r < 0)
		cnm_error_prefix(err, "load tables inet and bridge %s", n->table);
	return r;
}
