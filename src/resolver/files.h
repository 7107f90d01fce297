/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The contents of a sandbox's /etc/hosts, /etc/hostname and /etc/resolv.conf. Pure: values in, text
 * out, owned by the caller; NULL means out of memory.
 *
 * Values come from users, from the store and from the host's files. Each stays on the line it is
 * meant for: what holds a control character is left out.
 */
#ifndef RESOLVER_FILES_H
#define RESOLVER_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

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
 * own, then one per address of the sandbox. Entries without address are left out.
 */
char *files_hosts(const struct files_host_entry *entries, size_t n, bool ipv6);

/* One line: the name. */
char *files_hostname(const char *hostname);

enum files_mode {
	FILES_EMBEDDED, /* in a user's network: ask us at 127.0.0.11 */
	FILES_LEGACY,   /* in the default bridge only: ask the servers directly */
	FILES_HOST,     /* shares the host's network: the host's file */
};

struct files_resolv {
	enum files_mode mode;
	const char *path; /* of the host's file, for a comment */
	const char *host; /* its text; NULL: there is none */
	bool ipv6;        /* servers with IPv6 addresses can be reached */
	/* Arrays of strings, each instead of what the host's file has of it; NULL or empty: none. A
	 * search domain "." says that there are none. */
	const json_t *dns, *search, *options;
};

/*
 * What the host's file says of other things is kept, and "domain" becomes "search". Comments at the
 * end tell where it all comes from.
 *
 * Embedded: the one server is 127.0.0.11, and ndots:0 is among the options unless a number is set
 * already, so that names without a dot are asked for as they are. Legacy: of the host's servers
 * those at loopback addresses are left out, as they would be the sandbox's own, and those with IPv6
 * addresses unless ipv6; if none remains, public ones are named. Host: without any of the arrays,
 * a copy.
 */
char *files_resolv_conf(const struct files_resolv *in);

/* Do the user's options, or failing those the host's file, set ndots to a number? */
bool files_ndots_given(const struct files_resolv *in);

/* Is the only server in this resolv.conf the stub of systemd-resolved, 127.0.0.53? */
bool files_is_stub(const char *host);

#endif
