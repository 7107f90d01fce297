/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who a client is to a registry. Pure. */
#ifndef API_API_AUTH_H
#define API_API_AUTH_H

#include "cnm/error.h"

/*
 * From X-Registry-Auth (base64 of {"username", "password"}, in either alphabet, padded or not) to
 * "user:password", the caller's; NULL if it names nobody. header may be NULL. What is no such
 * header counts as none, as with Docker. INVALID: a token, or a user with a colon.
 */
int api_decode_auth(const char *header, char **ret, struct cnm_error *err);

#endif
