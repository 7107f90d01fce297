/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host driver: a sandbox that shares the host's own network stack. */
#include "drivers/builtin.h"

const struct driver host_driver = {
	.name = "host",
	.scope = "local",
	.single = true,
	.shares_host = true,
};
