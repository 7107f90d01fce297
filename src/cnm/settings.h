/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * EndpointSettings from options: what `network connect`, `endpoint create`, `sandbox create` and
 * `run` share.
 */
#ifndef CNM_SETTINGS_H
#define CNM_SETTINGS_H

#include <jansson.h>

#include "cnm/command.h"
#include "cnm/error.h"
#include "cnm/strv.h"

struct settings {
	const char *ip, *ip6, *mac; /* borrowed; NULL: not given */
	struct strv aliases, link_local, links;
	struct strv driver_opts; /* key=value */
	long gw_priority;
};

/* The options of a command that makes one endpoint. */
#define SETTINGS_OPTIONS(s)                                                                      \
	{ 0, OPTION_CSV, "alias", &(s)->aliases, "strings", "Add network-scoped alias for it" }, \
		{ 0,                                                                             \
		  OPTION_CSV,                                                                    \
		  "driver-opt",                                                                  \
		  &(s)->driver_opts,                                                             \
		  "strings",                                                                     \
		  "driver options for the endpoint" },                                           \
		{ 0,                                                                             \
		  OPTION_INT,                                                                    \
		  "gw-priority",                                                                 \
		  &(s)->gw_priority,                                                             \
		  "int",                                                                         \
		  "Highest gw-priority provides the default gateway. Accepts positive and "      \
		  "negative values." },                                                          \
		SETTINGS_ADDRESS_OPTIONS(s)
/* The addresses alone. */
#define SETTINGS_ADDRESS_OPTIONS(s)                                                                \
	{ 0, OPTION_STRING, "ip", &(s)->ip, "string", "IPv4 address (e.g., \"172.30.100.104\")" }, \
		{ 0,         OPTION_STRING, "ip6",                                                 \
		  &(s)->ip6, "string",      "IPv6 address (e.g., \"2001:db8::33\")" },             \
	{                                                                                          \
		0, OPTION_STRING, "mac-address", &(s)->mac, "string",                              \
			"MAC address (e.g., \"92:d0:c6:0a:29:33\")"                                \
	}

void settings_free(struct settings *s);
/*
 * The JSON object; members that were not given are left out. NULL with *err set if a MAC or a
 * driver option is malformed, or memory ran out.
 */
json_t *settings_json(const struct settings *s, struct cnm_error *err);
/* {key: value, "EndpointConfig": settings_json()}. */
json_t *settings_request(const struct settings *s, const char *key, const char *value,
			 struct cnm_error *err);

/*
 * One --net: a network's name, or "name=N,ip=...,ip6=...,alias=...,mac-address=...,
 * link-local-ip=...,driver-opt=k=v,gw-priority=n" (CSV: quote a field that holds a comma).
 */
struct attachment {
	struct strv fields;  /* the text that network and settings point into */
	const char *network; /* never NULL */
	struct settings settings;
};

int attachment_parse(struct attachment *ret, const char *text, struct cnm_error *err);
void attachment_free(struct attachment *a);

#endif
