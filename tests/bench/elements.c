/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * elements: what a change of the firewall costs by itself, by the engine's own messages
 * (kernel/nft.h), in a network namespace of its own with cnm's ruleset in it.
 *
 * Commands on standard input, a line each, each answered by a line:
 *
 *   ports N     N published ports, one element each; answered by the time in nanoseconds
 *   ranges N    N published ranges of ten ports; the same
 *   port        one more port, whose time it is, and which is taken away again
 *   range       one more range; the same
 */
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "kernel/nft.h"

#define AT_ONCE   500 /* in one transaction */
#define RANGE     10
#define NEW_PORT  65535
#define NEW_RANGE 65500

static struct nft *nft;
static struct cnm_error error;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "elements: %s: %s\n", what, error.text);
	exit(1);
}

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static struct nft_elem element(const char *set, unsigned first, unsigned last)
{
	struct nft_elem e = { .set = nft_set_by_name(set)->name };

	e.key[0].type = NFT_T_PROTO;
	e.key[0].proto = IPPROTO_TCP;
	e.key[1].type = NFT_T_PORT;
	e.key[1].port.first = (uint16_t)first;
	e.key[1].port.last = (uint16_t)last;
	e.data[0].type = NFT_T_IP4;
	e.data[0].ip = (struct cnm_ip){ AF_INET, { 10, 0, 0, 2 } };
	if (first == last) {
		e.data[1].type = NFT_T_PORT;
		e.data[1].port.first = e.data[1].port.last = 80;
	}
	return e;
}

static void add(const char *set, unsigned n, unsigned width)
{
	static struct nft_elem elems[AT_ONCE];
	unsigned next = 1, left = n;

	while (left) {
		unsigned some = left < AT_ONCE ? left : AT_ONCE;

		for (unsigned i = 0; i < some; i++, next += width)
			elems[i] = element(set, next, next + width - 1);
		if (nft_change(nft, elems, some, NULL, 0, &error) < 0)
			die(set);
		left -= some;
	}
}

static void add_one(const char *set, unsigned first, unsigned last)
{
	struct nft_elem e = element(set, first, last);
	long long start = now_ns(), end;

	if (nft_change(nft, &e, 1, NULL, 0, &error) < 0)
		die(set);
	end = now_ns();
	if (nft_change(nft, NULL, 0, &e, 1, &error) < 0)
		die(set);
	printf("%lld\n", end - start);
}

static void run(const char *line)
{
	long long start = now_ns();
	char word[16] = "";
	unsigned n = 0;

	sscanf(line, "%15s %u", word, &n);
	if (strcmp(word, "port") == 0)
		add_one("pub4any", NEW_PORT, NEW_PORT);
	else if (strcmp(word, "range") == 0)
		add_one("range4any", NEW_RANGE, NEW_RANGE + RANGE - 1);
	else {
		if (strcmp(word, "ports") == 0)
			add("pub4any", n, 1);
		else
			add("range4any", n, RANGE);
		printf("%lld\n", now_ns() - start);
	}
	fflush(stdout);
}

int main(void)
{
	char line[64];

	if (unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "elements: unshare: %s\n", strerror(errno));
		return 1;
	}
	if (nft_open(&nft, "cnm", &error) < 0 || nft_load(nft, NULL, 0, &error) < 0)
		die("the ruleset");
	while (fgets(line, sizeof(line), stdin))
		run(line);
	nft_close(nft);
	return 0;
}
