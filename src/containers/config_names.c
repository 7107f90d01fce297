/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hostname, Domainname, Dns, DnsSearch, DnsOptions and ExtraHosts: checked, and kept as given. */
#include "containers/config_internal.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "base/json.h"
#include "controller/sandbox_names.h"

#define MAX_HOSTNAME   64 /* the kernel's */
#define MAX_DOMAINNAME 253

/* It is written into files and told the kernel: letters, digits, '.', '-' and '_'. */
static int check_name(const char *what, const char *name, size_t max, struct cnm_error *err)
{
	bool fine = strlen(name) <= max;

	for (const char *p = name; fine && *p; p++)
		fine = isalnum((unsigned char)*p) || strchr(".-_", *p);
	if (fine)
		return 0;
	return cnm_error_set(err, CNM_E_INVALID,
			     "invalid %s format: %s (at most %zu letters, digits, '.', '-', '_')",
			     what, name, max);
}

int config_hostname_check(const json_t *config, struct cnm_error *err)
{
	int r = check_name("hostname", config_text(config, "Hostname"), MAX_HOSTNAME, err);

	return r < 0 ? r
		     : check_name("domainname", config_text(config, "Domainname"), MAX_DOMAINNAME,
				  err);
}

/* The host's with its network, another container's with that one's, else the id's first digits. */
int config_hostname_settle(struct container_config *c, const char *id, struct cnm_error *err)
{
	enum network_mode mode = container_network_mode(c->host, NULL);
	char name[HOST_NAME_MAX + 1] = "";

	if (*config_text(c->config, "Hostname") || mode == NETWORK_CONTAINER)
		return 0;
	if (mode == NETWORK_HOST)
		gethostname(name, sizeof(name) - 1);
	else
		snprintf(name, sizeof(name), "%.*s", ID_SHORT, id);
	if (json_object_set_new(c->config, "Hostname", json_string(name)) < 0)
		return config_no_memory(err);
	return 0;
}

static int check_list(const json_t *host, const char *member, enum names_list kind,
		      struct cnm_error *err)
{
	char entry[NAMES_TEXT];
	json_t *v;
	size_t i;
	int r = 0;

	json_array_foreach (json_object_get(host, member), i, v)
		if (r == 0)
			r = names_entry(kind, json_string_value(v), entry, err);
	return r;
}

int config_names_check(const json_t *host, struct cnm_error *err)
{
	int r = check_list(host, "Dns", NAMES_DNS, err);

	r = r < 0 ? r : check_list(host, "DnsSearch", NAMES_SEARCH, err);
	r = r < 0 ? r : check_list(host, "DnsOptions", NAMES_OPTIONS, err);
	return r < 0 ? r : check_list(host, "ExtraHosts", NAMES_HOSTS, err);
}

static bool is_given(const struct container_config *c, const char *member)
{
	return json_array_size(json_object_get(c->host, member)) > 0;
}

int config_names_check_shared(const struct container_config *c, struct cnm_error *err)
{
	const char *what = *config_text(c->config, "Hostname") ? "hostname"
			   : is_given(c, "Dns")                ? "dns"
			   : is_given(c, "ExtraHosts")         ? "custom host-to-IP mapping"
							       : NULL;

	if (!what)
		return 0;
	return cnm_error_set(err, CNM_E_INVALID, "conflicting options: %s and the network mode",
			     what);
}
