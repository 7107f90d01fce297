/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnm/keys.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define DELETE 0x7f

/* The byte of one key, or 0. */
static unsigned char key_byte(const char *s, size_t n)
{
	static const char control[] = "ctrl-";

	if (n == 1)
		return (unsigned char)*s;
	if (n == 3 && memcmp(s, "DEL", 3) == 0)
		return DELETE;
	if (n == sizeof(control) && strncasecmp(s, control, n - 1) == 0)
		return (unsigned char)toupper((unsigned char)s[n - 1]) & 0x1f;
	return 0;
}

struct keys keys_parse(const char *text)
{
	struct keys k = { 0 };

	if (!text || !*text)
		text = "ctrl-p,ctrl-q";
	for (;;) {
		size_t n = strcspn(text, ",");

		if (k.n == KEYS_MAX || !key_byte(text, n))
			return (struct keys){ 0 };
		k.byte[k.n++] = key_byte(text, n);
		if (!text[n])
			return k;
		text += n + 1;
	}
}

bool keys_typed(struct keys *k, const char *data, size_t n)
{
	for (size_t i = 0; i < n && k->n > 0; i++) {
		unsigned char byte = (unsigned char)data[i];

		if (byte != k->byte[k->typed])
			k->typed = 0;
		if (byte == k->byte[k->typed] && ++k->typed == k->n) {
			k->typed = 0;
			return true;
		}
	}
	return false;
}
