/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libFuzzer target: what a server of the host says to a query for a.example, type A. */
#include <stdlib.h>
#include <string.h>

#include "resolver/dns_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t query[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\1a\7example\0\0\1\0";
	size_t question_len = sizeof(query) - DNS_HEADER; /* the last byte is the literal's */
	uint8_t *msg = malloc(size ? size : 1);
	struct dns_query q;

	if (size)
		memcpy(msg, data, size);
	if (dns_check_reply(msg, size, query, question_len) >= 0) {
		size_t n = dns_reply_cut(msg, question_len);

		/* What is left is still the reply to it, and never taken for a query. */
		if (n > size || dns_check_reply(msg, n, query, question_len) < 0 ||
		    dns_parse_query(&q, msg, n) >= 0)
			abort();
	}
	free(msg);
	return 0;
}
