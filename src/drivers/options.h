/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading a driver's options from a table: one row an option, with how to parse it and where it
 * goes. What is not in the table is refused by name.
 */
#ifndef DRIVERS_OPTIONS_H
#define DRIVERS_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cnm/error.h"

struct option_spec {
	const char *key;
	/*
	 * Parse value into *field. Returns NULL, or the reason it is refused ("it must be ...").
	 */
	const char *(*parse)(const char *value, void *field);
	size_t offset; /* of the field in the driver's private struct */
};

/* what: "bridge network", for the message. specs end with a NULL key. */
int options_parse(const json_t *options, const struct option_spec *specs, const char *what,
		  void *priv, struct cnm_error *err);

/* Parsers for common types of field. */
const char *option_bool(const char *value, void *bool_field);
const char *option_mtu(const char *value, void *unsigned_field);
const char *option_ifname(const char *value, void *char_ifnamsiz_field);
const char *option_ip4(const char *value, void *cnm_ip_field);
const char *option_ip6(const char *value, void *cnm_ip_field);

/* Docker's driver option for a family, tri-state: unset unless given. */
struct option_tristate {
	bool set, value;
};
const char *option_tristate(const char *value, void *tristate_field);

#endif
