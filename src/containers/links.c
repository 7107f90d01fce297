/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "containers/links.h"

#include <string.h>

int link_parse(const char *text, const char **ret_name, size_t *ret_n, const char **ret_alias,
	       struct cnm_error *err)
{
	const char *colon = strchr(text, ':'), *name = text, *alias = colon ? colon + 1 : text;
	size_t n = colon ? (size_t)(colon - text) : strlen(text);

	if (!*text)
		return cnm_error_set(err, CNM_E_INVALID, "empty string specified for links");
	if (colon && *text == '/') {
		const char *slash = strrchr(alias, '/');

		name++;
		n--;
		alias = slash ? slash + 1 : alias;
	}
	if (n == 0 || !*alias || (colon && strchr(alias, ':')))
		return cnm_error_set(err, CNM_E_INVALID, "bad format for links: %.200s", text);
	*ret_name = name;
	*ret_n = n;
	*ret_alias = alias;
	return 0;
}
