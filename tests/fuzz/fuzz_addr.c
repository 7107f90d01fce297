/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parsers of addresses, prefixes, MACs and instants: what is accepted survives print and parse. */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/clock.h"

#define ROUND_TRIP(type, parse, format, size, equal)                                          \
	do {                                                                                  \
		type a, b;                                                                    \
		char text[size];                                                              \
		if (parse(&a, s) == 0 && (parse(&b, format(&a, text)) < 0 || !equal(&a, &b))) \
			abort();                                                              \
	} while (0)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char *s = strndup((const char *)data, size), when[TIME_STR];
	int64_t t, u;

	ROUND_TRIP(struct cnm_ip, ip_parse, ip_format, IP_STR, ip_eq);
	ROUND_TRIP(struct cnm_prefix, prefix_parse, prefix_format, PREFIX_STR, prefix_eq);
	ROUND_TRIP(struct cnm_mac, mac_parse, mac_format, MAC_STR, mac_eq);
	if (clock_parse(s, 0, &t) == 0 && (clock_parse(clock_format(t, when), 0, &u) < 0 || t != u))
		abort();
	free(s);
	return 0;
}
