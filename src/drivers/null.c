/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The null driver: a sandbox with its loopback, and whatever the user puts in by hand. */
#include "drivers/builtin.h"

const struct driver null_driver = {
	.name = "null",
	.scope = "local",
	.single = true,
};
