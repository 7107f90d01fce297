/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The drivers that come with cnm; table.c lists them. */
#ifndef DRIVERS_BUILTIN_H
#define DRIVERS_BUILTIN_H

#include "drivers/driver.h"

extern const struct driver bridge_driver, host_driver, null_driver, overlay_driver, ovs_driver;
/* Of plugins; not in the table, since nobody asks for them by name. */
extern const struct driver remote_driver, remote_global_driver;

#endif
