/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See api_auth.h. */
#include "api/api_auth.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_decode.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

/* Into dst, which has room for as much as s is long. Returns the length, or -EINVAL. */
static int decode_base64(char *dst, const char *s)
{
	uint32_t bits = 0;
	unsigned have = 0;
	int n = 0;

	for (; *s && *s != '='; s++) {
		int d = digit(*s);

		if (d < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)d;
		have += 6;
		if (have >= 8) {
			have -= 8;
			dst[n++] = (char)(bits >> have & 0xff);
		}
	}
	return s[strspn(s, "=")] == '\0' ? n : -EINVAL;
}

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

int api_decode_auth(const char *header, char **ret, struct cnm_error *err)
{
	_free_ char *text = strdup(header ? header : "");
	_json_ json_t *j = NULL;
	const char *user, *password;
	int n;

	if (!text)
		return cnm_error_errno(err, ENOMEM, "read X-Registry-Auth");
	n = decode_base64(text, text);
	if (n <= 0 || api_parse(&j, text, (size_t)n, NULL) < 0)
		return 0;
	user = text_of(j, "username");
	password = text_of(j, "password");
	if (*text_of(j, "identitytoken") || *text_of(j, "registrytoken"))
		return cnm_error_set(err, CNM_E_INVALID,
				     "X-Registry-Auth: tokens are not supported; give a username "
				     "and a password");
	if (strchr(user, ':'))
		return cnm_error_set(err, CNM_E_INVALID,
				     "X-Registry-Auth: the username \"%s\" has a colon, which "
				     "registries do not take",
				     user);
	if (*user && asprintf(ret, "%s:%s", user, password) < 0)
		return cnm_error_errno(err, ENOMEM, "read X-Registry-Auth");
	return 0;
}
