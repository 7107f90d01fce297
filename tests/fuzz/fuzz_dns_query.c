/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libFuzzer target: a datagram from a sandbox, answered from a small zone. */
#include <stdlib.h>
#include <string.h>
#include "resolver/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "a", "web.x" }, *const ids[] = { "n" };
	static const struct resolver_names e = { "n",           "net",          "e", names, 2,
						 { 2, { 10 } }, { 10, { 253 } } };
	static const struct resolver_sandbox sb = { "s", ids, 1, false };
	static struct zone z;
	static struct zone_view *view;
	uint8_t *msg = malloc(size + 1), reply[DNS_UDP_MAX];
	uint64_t shuffle = 1;
	struct dns_query q;
	size_t n;

	if (!view && zone_init(&z) == 0 && (view = zone_view_new(&sb))) {
		zone_enter_view(&z, view);
		zone_put_endpoint(&z, zone_endpoint_new(&e));
	}
	memcpy(msg + 1, data, size); /* to the very end, so that what is read beyond is found out */
	answer_query(&z, view, &shuffle, msg + 1, size, &q, reply, DNS_UDP_MAX, &n);
	free(msg);
	return 0;
}
