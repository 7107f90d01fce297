/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/domain.h"

#include <ctype.h>

static bool is_label(const char *s, size_t n)
{
	if (n == 0 || n > DOMAIN_LABEL_MAX || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '-')
			return false;
	return true;
}

bool is_domain(const char *s, size_t n)
{
	const char *end = s + n;
	bool letter = false;

	if (end > s && end[-1] == '.')
		end--;
	if (end - s > DOMAIN_MAX)
		return false;
	for (const char *label = s; s <= end; s++) {
		letter |= s < end && isalpha((unsigned char)*s);
		if (s < end && *s != '.')
			continue;
		if (!is_label(label, (size_t)(s - label)))
			return false;
		label = s + 1;
	}
	return letter;
}
