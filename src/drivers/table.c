/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of drivers: adding one is its file and a line here. */
#include <stddef.h>

#include "base/str.h"
#include "drivers/builtin.h"

/* One a line, so that adding one is one line. */
/* clang-format off */
const struct driver *const drivers[] = {
	&bridge_driver,
	&host_driver,
	&null_driver,
	&overlay_driver,
	&ovs_driver,
	NULL,
};
/* clang-format on */

const struct driver *driver_by_name(const char *name)
{
	for (const struct driver *const *d = drivers; *d; d++)
		if (streq((*d)->name, name))
			return *d;
	return NULL;
}

const struct driver *driver_of_row(const char *name)
{
	return streq(name, remote_driver.name)          ? &remote_driver
	       : streq(name, remote_global_driver.name) ? &remote_global_driver
							: driver_by_name(name);
}

const struct driver *driver_of_plugin(bool global)
{
	return global ? &remote_global_driver : &remote_driver;
}
