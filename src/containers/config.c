/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The body of POST /containers/create. Its top level is Config itself with two members more,
 * HostConfig and NetworkingConfig. HostConfig is read first, since the other two depend on its
 * network mode; then Config, then the endpoints and the mounts, which draw on both.
 */
#include "containers/config.h"

#include <limits.h>
#include <signal.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/config_internal.h"

#define STOP_TIMEOUT 10

/* In the order in which inspect shows them. */
static const struct config_member config_table[] = {
	{ "Hostname", M_STRING, "\"\"", NULL, NULL },
	{ "Domainname", M_STRING, "\"\"", NULL, NULL },
	{ "User", M_STRING, "\"\"", NULL, NULL },
	{ "AttachStdin", M_BOOL, "false", NULL, NULL },
	{ "AttachStdout", M_BOOL, "false", NULL, NULL },
	{ "AttachStderr", M_BOOL, "false", NULL, NULL },
	{ "ExposedPorts", M_PORTS, NULL, NULL, NULL },
	{ "Tty", M_BOOL, "false", NULL, NULL },
	{ "OpenStdin", M_BOOL, "false", NULL, NULL },
	{ "StdinOnce", M_BOOL, "false", NULL, NULL },
	{ "Env", M_STRINGS, "[]", NULL, NULL },
	{ "Cmd", M_COMMAND, "null", NULL, NULL },
	{ "Healthcheck", M_OBJECT, NULL, "--health-cmd", "{\"Test\":[\"NONE\"]}" },
	{ "ArgsEscaped", M_BOOL, NULL, NULL, NULL },
	{ "Image", M_STRING, "\"\"", NULL, NULL },
	{ "Volumes", M_SET, "null", NULL, NULL },
	{ "WorkingDir", M_STRING, "\"\"", NULL, NULL },
	{ "Entrypoint", M_COMMAND, "null", NULL, NULL },
	{ "NetworkDisabled", M_BOOL, NULL, "a container without networking", NULL },
	{ "MacAddress", M_STRING, NULL, NULL, NULL },
	{ "OnBuild", M_STRINGS, "null", NULL, NULL },
	{ "Labels", M_MAP, "{}", NULL, NULL },
	{ "StopSignal", M_STRING, NULL, NULL, NULL },
	{ "StopTimeout", M_INT, NULL, NULL, NULL },
	{ "Shell", M_STRINGS, NULL, NULL, NULL },
	{ NULL, M_STRING, NULL, NULL, NULL },
};

enum network_mode container_network_mode(const json_t *host, const char **ret_container)
{
	const char *mode = config_text(host, "NetworkMode");
	const char *container = str_after(mode, "container:");

	if (container && ret_container)
		*ret_container = container;
	return container             ? NETWORK_CONTAINER
	       : streq(mode, "host") ? NETWORK_HOST
	       : streq(mode, "none") ? NETWORK_NONE
				     : NETWORK_NAMED;
}

int container_stop_signal(const json_t *config)
{
	int n = signal_parse(config_text(config, "StopSignal"));

	return n > 0 ? n : SIGTERM;
}

int container_stop_timeout(const json_t *config)
{
	const json_t *v = json_object_get(config, "StopTimeout");

	return json_is_integer(v) ? (int)json_integer_value(v) : STOP_TIMEOUT;
}

static int check_env(const json_t *config, struct cnm_error *err)
{
	json_t *v;
	size_t i;

	json_array_foreach (json_object_get(config, "Env"), i, v)
		if (*json_string_value(v) == '=' || !*json_string_value(v))
			return cnm_error_set(err, CNM_E_INVALID, "invalid environment variable: %s",
					     json_string_value(v));
	return 0;
}

static int check_stop(const json_t *config, struct cnm_error *err)
{
	const char *signal = config_text(config, "StopSignal");
	int64_t seconds = config_number(config, "StopTimeout");

	if (*signal && signal_parse(signal) < 0)
		return cnm_error_set(err, CNM_E_INVALID, "invalid signal: %s", signal);
	if (seconds < -1 || seconds > INT_MAX)
		return cnm_error_set(
			err, CNM_E_INVALID,
			"invalid StopTimeout %lld: give seconds, or -1 to wait for ever",
			(long long)seconds);
	return 0;
}

int config_working_dir(json_t *config, struct cnm_error *err)
{
	const char *dir = config_text(config, "WorkingDir");
	_free_ char *clean = NULL;

	if (!*dir)
		return 0;
	if (*dir != '/')
		return cnm_error_set(err, CNM_E_INVALID,
				     "the working directory '%s' is invalid, it needs to be an "
				     "absolute path",
				     dir);
	clean = path_clean(dir);
	if (!clean || json_object_set_new(config, "WorkingDir", json_string(clean)) < 0)
		return config_no_memory(err);
	return 0;
}

static int decode_config(json_t *ret, const json_t *body, struct cnm_error *err)
{
	int r = config_members(ret, body, "", config_table, err);

	r = r < 0 ? r : config_hostname_check(ret, err);
	r = r < 0 ? r : check_env(ret, err);
	r = r < 0 ? r : config_exposed_settle(ret, err);
	r = r < 0 ? r : check_stop(ret, err);
	return r < 0 ? r : config_working_dir(ret, err);
}

static int settle_network_mode(json_t *host, struct cnm_error *err)
{
	const char *mode = config_text(host, "NetworkMode");

	if (!str_is_printable(mode))
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid network mode: it has control characters");
	if (streq(mode, "default") &&
	    json_object_set_new(host, "NetworkMode", json_string("bridge")) < 0)
		return config_no_memory(err);
	return 0;
}

/* own: body without the two members that are no part of Config. */
static int decode(struct container_config *c, const json_t *body, json_t *own, unsigned version,
		  const char *id, struct cnm_error *err)
{
	json_t *host = NULL, *networking = NULL;
	int r = json_get_object(body, "HostConfig", &host, err);

	r = r < 0 ? r : json_get_object(body, "NetworkingConfig", &networking, err);
	if (r < 0)
		return r;
	json_object_del(own, "HostConfig");
	json_object_del(own, "NetworkingConfig");
	r = config_host_decode(c->host, host, err);
	r = r < 0 ? r : settle_network_mode(c->host, err);
	r = r < 0 ? r : decode_config(c->config, own, err);
	r = r < 0 ? r : config_endpoints_decode(c, networking, version, err);
	r = r < 0 ? r : config_ports_warn(c, err);
	r = r < 0 ? r : config_mounts_decode(c, err);
	json_object_del(c->config, "MacAddress");
	return r < 0 ? r : config_hostname_settle(c, id, err);
}

int container_config_decode(struct container_config *ret, const json_t *body, unsigned version,
			    const char *id, struct cnm_error *err)
{
	struct container_config c = { json_object(), json_object(), json_object(), json_array(),
				      json_array() };
	_json_ json_t *own = NULL;
	int r;

	if (!json_is_object(body)) {
		r = cnm_error_set(err, CNM_E_INVALID,
				  "config cannot be empty in order to create a container");
	} else if (!c.config || !c.host || !c.endpoints || !c.mounts || !c.warnings ||
		   !(own = json_copy((json_t *)body))) {
		r = config_no_memory(err);
	} else {
		r = decode(&c, body, own, version, id, err);
	}
	if (r < 0)
		container_config_free(&c);
	else
		*ret = c;
	return r;
}

void container_config_free(struct container_config *c)
{
	if (!c)
		return;
	json_decref(c->config);
	json_decref(c->host);
	json_decref(c->endpoints);
	json_decref(c->mounts);
	json_decref(c->warnings);
	*c = (struct container_config){ 0 };
}
