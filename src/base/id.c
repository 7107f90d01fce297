/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* The kernel's source cannot fail once it has been seeded; without it no id would be safe. */
static void fill_from_kernel(void *buf, unsigned n)
{
	unsigned char *p = buf;

	while (n > 0) {
		ssize_t r = getrandom(p, n, 0);

		if (r < 0 && errno != EINTR)
			abort();
		if (r > 0) {
			p += r;
			n -= (unsigned)r;
		}
	}
}

static void (*source)(void *buf, unsigned n) = fill_from_kernel;

void id_set_source(void (*fill)(void *buf, unsigned n))
{
	source = fill ? fill : fill_from_kernel;
}

void id_random(void *buf, unsigned n)
{
	source(buf, n);
}

void id_new(char id[static ID_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[ID_LEN / 2];

	id_random(raw, sizeof(raw));
	for (unsigned i = 0; i < sizeof(raw); i++) {
		id[2 * i] = hex[raw[i] >> 4];
		id[2 * i + 1] = hex[raw[i] & 15];
	}
	id[ID_LEN] = '\0';
	/* The short form becomes a host name, and one of digits alone is taken for an address. */
	if (strspn(id, "0123456789") >= ID_SHORT)
		id[0] = 'a' + (id[0] - '0') % 6;
}

bool id_is_valid(const char *s)
{
	return strlen(s) == ID_LEN && strspn(s, "0123456789abcdef") == ID_LEN;
}
