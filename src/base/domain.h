/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of domains, as they may stand in resolv.conf. */
#ifndef BASE_DOMAIN_H
#define BASE_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>

#define DOMAIN_MAX       253 /* without a dot at its end */
#define DOMAIN_LABEL_MAX 63

/*
 * Labels of letters, digits and inner '-', at most 63 long, dots between them and maybe one at the
 * end. A letter somewhere: figures alone are an address.
 */
bool is_domain(const char *s, size_t n);

#endif
