/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libFuzzer target: the text of the host's resolv.conf. */
#include <stdlib.h>
#include <string.h>

#include "resolver/files.h"
#include "resolver/resolv_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct files_resolv in = { .mode = FILES_EMBEDDED,
				   .path = "/etc/resolv.conf",
				   .ipv6 = true };
	struct resolv_server servers[RESOLV_SERVERS_MAX];
	char *text = calloc(1, size + 1), *file;

	memcpy(text, data, size);
	in.host = text;
	resolv_conf_servers(text, servers);
	/* What we write for a sandbox names us alone, and we do not forward to ourselves. */
	file = files_resolv_conf(&in);
	if (!file || resolv_conf_servers(file, servers) != 0)
		abort();
	free(file);
	in.mode = FILES_LEGACY;
	in.ipv6 = size % 2;
	file = files_resolv_conf(&in);
	if (!file || resolv_conf_servers(file, servers) == 0)
		abort();
	free(file);
	free(text);
	return 0;
}
