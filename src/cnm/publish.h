/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * -p and --expose: "[ip:][host[-range]:]container[-range][/protocol]", or the long form
 * "published=8080,target=80,protocol=tcp". What is wrong is said in the words of Docker's command.
 */
#ifndef CNM_PUBLISH_H
#define CNM_PUBLISH_H

#include <jansson.h>

#include "cnm/error.h"
#include "cnm/strv.h"

/* PortBindings, {"80/tcp": [{"HostIp", "HostPort"}]}, with a range as one key; and the keys. */
int publish_bindings(const struct strv *publish, json_t *bindings, json_t *exposed,
		     struct cnm_error *err);
/* ExposedPorts, {"80/tcp": {}}. */
int publish_exposed(const struct strv *expose, json_t *exposed, struct cnm_error *err);

/* The same for a sandbox: [{"Protocol", "HostIp", "HostFirst", ...}], [{"Protocol", "First",
 * "Last"}]. */
int publish_sandbox(const struct strv *publish, json_t *list, struct cnm_error *err);
int publish_sandbox_exposed(const struct strv *expose, json_t *list, struct cnm_error *err);

#endif
