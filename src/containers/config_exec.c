/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The body of POST /containers/ID/exec, and detach keys. */
#include <ctype.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/config_internal.h"

#define MAX_KEYS 16

static const struct config_member exec_table[] = {
	{ "User", M_STRING, "\"\"", NULL, NULL },
	{ "Privileged", M_BOOL, "false", NULL, NULL },
	{ "Tty", M_BOOL, "false", NULL, NULL },
	{ "ConsoleSize", M_ARRAY, NULL, NULL, NULL },
	{ "AttachStdin", M_BOOL, "false", NULL, NULL },
	{ "AttachStderr", M_BOOL, "false", NULL, NULL },
	{ "AttachStdout", M_BOOL, "false", NULL, NULL },
	{ "Detach", M_BOOL, NULL, NULL, NULL },
	{ "DetachKeys", M_STRING, "\"\"", NULL, NULL },
	{ "Env", M_STRINGS, "[]", NULL, NULL },
	{ "WorkingDir", M_STRING, "\"\"", NULL, NULL },
	{ "Cmd", M_COMMAND, "[]", NULL, NULL },
	{ "Container", M_STRING, NULL, NULL, NULL },
	{ NULL, M_STRING, NULL, NULL, NULL },
};

int exec_config_decode(json_t **ret, const json_t *body, struct cnm_error *err)
{
	_json_ json_t *exec = json_object();
	unsigned char keys[MAX_KEYS];
	unsigned n;
	int r;

	if (!exec)
		return config_no_memory(err);
	if (!json_is_object(body))
		return cnm_error_set(err, CNM_E_INVALID, "No exec command specified");
	r = config_members(exec, body, "", exec_table, err);
	if (r == 0 && json_array_size(json_object_get(exec, "Cmd")) == 0)
		r = cnm_error_set(err, CNM_E_INVALID, "No exec command specified");
	r = r < 0 ? r : config_working_dir(exec, err);
	r = r < 0 ? r : detach_keys_parse(config_text(exec, "DetachKeys"), keys, &n, err);
	if (r == 0)
		*ret = take_ptr(exec);
	return r;
}

/* One key's byte, or -1: a character, "ctrl-" and what makes a control character, or DEL. */
static int parse_key(const char *s, size_t n)
{
	if (n == 1)
		return (unsigned char)*s;
	if (n == 3 && memcmp(s, "DEL", 3) == 0)
		return 127;
	if (n != 6 || strncasecmp(s, "ctrl-", 5) != 0)
		return -1;
	if (isalpha((unsigned char)s[5]))
		return toupper((unsigned char)s[5]) - 'A' + 1;
	return strchr("@[\\]^_", s[5]) ? s[5] - '@' : -1;
}

int detach_keys_parse(const char *s, unsigned char ret[static MAX_KEYS], unsigned *ret_n,
		      struct cnm_error *err)
{
	unsigned char keys[MAX_KEYS];
	unsigned n = 0;

	for (const char *p = *s ? s : "ctrl-p,ctrl-q";;) {
		size_t len = strcspn(p, ",");
		int key = parse_key(p, len);

		if (key < 0 || n == MAX_KEYS)
			return cnm_error_set(
				err, CNM_E_INVALID,
				"Invalid detach keys (%s) provided: give at most %d of "
				"single characters, ctrl-a to ctrl-z, ctrl-@ ctrl-[ "
				"ctrl-\\ ctrl-] ctrl-^ ctrl-_, with commas between",
				s, MAX_KEYS);
		keys[n++] = (unsigned char)key;
		if (!p[len])
			break;
		p += len + 1;
	}
	memcpy(ret, keys, n);
	*ret_n = n;
	return 0;
}
