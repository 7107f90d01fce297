/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cluster/base64.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_add(struct strbuf *b, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (; n > 0; p += 3) {
		size_t have = n < 3 ? n : 3;
		uint32_t v = (uint32_t)p[0] << 16 | (have > 1 ? (uint32_t)p[1] << 8 : 0) |
			     (have > 2 ? p[2] : 0);
		char four[4] = { digits[v >> 18], digits[v >> 12 & 63],
				 have > 1 ? digits[v >> 6 & 63] : '=',
				 have > 2 ? digits[v & 63] : '=' };

		strbuf_addn(b, four, sizeof(four));
		n -= have;
	}
}

/* The value of a digit, or -1. */
static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters, of which the last `pad` are padding, as 3 - pad bytes. */
static bool decode_four(const char *s, size_t pad, uint8_t *out)
{
	uint32_t v = 0;

	for (size_t i = 0; i < 4; i++) {
		int d = i < 4 - pad ? digit(s[i]) : 0;

		if (d < 0)
			return false;
		v = v << 6 | (uint32_t)d;
	}
	for (size_t i = 0; i < 3 - pad; i++)
		out[i] = (uint8_t)(v >> (16 - 8 * i));
	return (v & ((1u << 8 * pad) - 1)) == 0;
}

int base64_decode(const char *s, size_t n, void **ret, size_t *ret_len)
{
	size_t pad = 0, len;
	uint8_t *out;

	if (n % 4)
		return -EINVAL;
	while (pad < 2 && pad < n && s[n - 1 - pad] == '=')
		pad++;
	len = n / 4 * 3 - pad;
	out = malloc(len + 1);
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < n; i += 4) {
		if (!decode_four(s + i, i + 4 == n ? pad : 0, out + i / 4 * 3)) {
			free(out);
			return -EINVAL;
		}
	}
	out[len] = '\0';
	*ret = out;
	*ret_len = len;
	return 0;
}
