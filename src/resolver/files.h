/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The contents of a sandbox's /etc/hosts and /etc/resolv.conf. Pure: values in, text out, owned by
 * the caller; NULL means out of memory.
 */
#ifndef RESOLVER_FILES_H
#define RESOLVER_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

/* A line: the address, a tab, the names with spaces between them. */
struct files_host_entry {
	struct cnm_ip ip;
	const char *names;
};

/*
 * What an endpoint's line calls its sandbox: "web"; "web.example.org web", where the host name has
 * a domain, which may come as part of it or apart (NULL or "": none).
 */
char *files_host_names(const char *hostname, const char *domainname);

/*
 * The lines for localhost (those of IPv6 only with ipv6), then the entries as ordered: the user's
 * own, then one per address of the sandbox. Entries without address, and those whose names hold a
 * control character (they could make lines of their own), are left out.
 */
char *files_hosts(const struct files_host_entry *entries, size_t n, bool ipv6);

enum files_mode {
	FILES_EMBEDDED, /* in a user's network: ask us at 127.0.0.11 */
	FILES_LEGACY,   /* in the default bridge only: ask the host's servers directly */
	FILES_HOST,     /* shares the host's network: the host's file */
};

/*
 * host is the text of the host's resolv.conf; NULL: there is none. Its search list and options are
 * kept in every mode.
 *
 * Embedded: the one server is 127.0.0.11, and ndots:0 is among the options unless the host sets a
 * number of its own, so that names without a dot are asked for as they are. Legacy: servers at
 * loopback addresses are left out, as they would be the sandbox's own, and those with IPv6
 * addresses unless ipv6; if none remains, public ones are named.
 */
char *files_resolv_conf(enum files_mode mode, const char *host, bool ipv6);

#endif
