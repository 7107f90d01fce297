/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Base64 with padding (RFC 4648, section 4), in which etcd and Consul speak of values. */
#ifndef CLUSTER_BASE64_H
#define CLUSTER_BASE64_H

#include <stddef.h>

#include "base/str.h"

void base64_add(struct strbuf *b, const void *bytes, size_t n);
/* *ret is the caller's, and is terminated besides. -EINVAL: it is no base64; -ENOMEM. */
int base64_decode(const char *s, size_t n, void **ret, size_t *ret_len);

#endif
