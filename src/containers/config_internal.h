/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of config share. A request's object is read by a table of its members, in the
 * order inspect shows them; what a table does not say is checked afterwards, member by member.
 */
#ifndef CONTAINERS_CONFIG_INTERNAL_H
#define CONTAINERS_CONFIG_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>

#include "cnm/error.h"
#include "containers/config.h"

enum member_type {
	M_STRING,
	M_BOOL,
	M_INT,
	M_STRINGS, /* array of strings */
	M_COMMAND, /* the same, or one string */
	M_MAP,     /* object of strings */
	M_SET,     /* object whose names matter: {"80/tcp":{}} */
	M_OBJECT,
	M_PORTS, /* the same, large: not copied, but replaced by what is read of it */
	M_ARRAY,
};

struct config_member {
	const char *name;
	enum member_type type;
	const char *absent; /* JSON shown when it is not given or empty; NULL: it is left out */
	const char *flag;   /* cnm does not carry it: refused under this name unless it is empty */
	const char *passes; /* JSON of one more value that asks for nothing */
};

/*
 * Copy what the table names from `from` (NULL: empty) into `ret`, checked and bounded, and refuse
 * the rest. `where` is the object's path with its dot, for messages ("HostConfig."; "" at the top).
 */
int config_members(json_t *ret, const json_t *from, const char *where,
		   const struct config_member *table, struct cnm_error *err);
int config_refuse(const char *flag, const char *where, const char *name, struct cnm_error *err);
int config_no_memory(struct cnm_error *err);

/* Shorthands for objects that a table has checked: absent is "", 0, false. */
const char *config_text(const json_t *obj, const char *key);
int64_t config_number(const json_t *obj, const char *key);
bool config_flag(const json_t *obj, const char *key);

/* HostConfig, complete but for mounts; NetworkMode is settled. */
int config_host_decode(json_t *ret, const json_t *from, struct cnm_error *err);
/* Figures, limits, sysctls. */
int config_limits_check(json_t *host, struct cnm_error *err);
/* What Config.Volumes, HostConfig.Binds, Mounts and Tmpfs ask for, into c->mounts. */
int config_mounts_decode(struct container_config *c, struct cnm_error *err);
/* An anonymous volume at each name of the set that nothing is mounted at yet. */
int config_mounts_anonymous(struct container_config *c, const json_t *set, struct cnm_error *err);
/* ExposedPorts and PortBindings as runs (containers/port_spec.h), in place. */
int config_exposed_settle(json_t *config, struct cnm_error *err);
int config_bindings_settle(json_t *host, struct cnm_error *err);
/* An array of links, or NULL. */
int config_links_check(const json_t *links, struct cnm_error *err);
/* What another container's network, or the host's, has no room for. */
int config_ports_check_shared(const struct container_config *c, struct cnm_error *err);
int config_links_check_mode(const struct container_config *c, struct cnm_error *err);
int config_ports_warn(struct container_config *c, struct cnm_error *err);
/* Hostname and Domainname; and which host name it has when none was given. */
int config_hostname_check(const json_t *config, struct cnm_error *err);
int config_hostname_settle(struct container_config *c, const char *id, struct cnm_error *err);
/* Dns, DnsSearch, DnsOptions, ExtraHosts; and what contradicts another container's network. */
int config_names_check(const json_t *host, struct cnm_error *err);
int config_names_check_shared(const struct container_config *c, struct cnm_error *err);
/* NetworkingConfig, into c->endpoints; and what contradicts HostConfig.NetworkMode. */
int config_endpoints_decode(struct container_config *c, const json_t *networking, unsigned version,
			    struct cnm_error *err);

/* No "//", "." or ".." left, no '/' at the end. The caller's; NULL: no memory. */
char *path_clean(const char *path);
/* Config.WorkingDir: absolute, cleaned in place. */
int config_working_dir(json_t *config, struct cnm_error *err);

bool host_no_new_privileges(const json_t *host);
bool host_seccomp_unconfined(const json_t *host);

#endif
