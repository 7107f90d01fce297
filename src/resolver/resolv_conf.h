/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text of a resolv.conf(5): lines, and the servers in it. No I/O, no allocation. The text may
 * be anything that ends in a NUL.
 */
#ifndef RESOLVER_RESOLV_CONF_H
#define RESOLVER_RESOLV_CONF_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

/* A stretch of somebody else's text. */
struct text {
	const char *s;
	size_t n;
};

/* The next word, separated by blanks. false at the end. */
bool text_next_word(struct text *rest, struct text *ret);
bool text_is(struct text t, const char *s);
/*
 * The next line of a resolv.conf that says something, without comment lines: its first word and
 * the rest, trimmed. false at the end. *pos begins as the text.
 */
bool resolv_conf_next(const char **pos, struct text *ret_keyword, struct text *ret_rest);

struct resolv_server {
	struct cnm_ip ip;
	char scope[IF_NAMESIZE]; /* of a link-local address: interface name or number; else "" */
};

/* "10.0.0.1", "fe80::1%eth0". 0 or -EINVAL. */
int resolv_server_parse(struct resolv_server *ret, struct text word);
/* Is it the address at which we answer ourselves? Whoever asks there asks us again. */
bool resolv_server_is_ours(const struct resolv_server *server);

#define RESOLV_SERVERS_MAX 3 /* as resolv.conf(5) has it */

/*
 * The servers to forward to, in order; returns how many. Left out is the address at which we
 * answer ourselves.
 */
size_t resolv_conf_servers(const char *text, struct resolv_server ret[static RESOLV_SERVERS_MAX]);

#endif
