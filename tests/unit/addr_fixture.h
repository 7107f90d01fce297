/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An address and a port, as sockets take them. */
#ifndef TESTS_UNIT_ADDR_FIXTURE_H
#define TESTS_UNIT_ADDR_FIXTURE_H

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "unit.h"

union addr {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static inline union addr make_addr(const char *ip, uint16_t port)
{
	union addr a = { 0 };
	struct cnm_ip parsed;

	assert_int_equal(ip_parse(&parsed, ip), 0);
	a.any.sa_family = parsed.family;
	if (parsed.family == AF_INET) {
		a.v4.sin_port = htons(port);
		memcpy(&a.v4.sin_addr, parsed.b, 4);
	} else {
		a.v6.sin6_port = htons(port);
		memcpy(&a.v6.sin6_addr, parsed.b, 16);
	}
	return a;
}

#endif
