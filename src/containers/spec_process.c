/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who runs what, and with which powers: the OCI process of a container and of an execution. */
#include "containers/spec_internal.h"

#include <ctype.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/capabilities.h"
#include "containers/config_internal.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* ---- environment */

/* The variable of this name; its index, or the size of the array. */
static size_t find_variable(const json_t *env, const char *text)
{
	size_t n = strcspn(text, "="), i;
	json_t *v;

	json_array_foreach (env, i, v) {
		const char *s = json_string_value(v);

		if (strncmp(s, text, n) == 0 && s[n] == '=')
			return i;
	}
	return json_array_size(env);
}

/* "A=1" sets it, "A" alone unsets it. */
static void set_variable(json_t *env, const char *text)
{
	size_t i = find_variable(env, text);
	json_t *v;

	if (!strchr(text, '=')) {
		json_array_remove(env, i);
		return;
	}
	v = json_string(text);
	if (!v || i == json_array_size(env))
		json_push(env, v);
	else
		json_array_set_new(env, i, v);
}

static void set_variables(json_t *env, const json_t *more)
{
	json_t *v;
	size_t i;

	json_array_foreach (more, i, v)
		set_variable(env, json_string_value(v));
}

static json_t *environment(const struct spec_input *in, const json_t *exec, bool terminal,
			   const char *home)
{
	json_t *env = json_array();
	char name[65], text[80];

	set_variable(env, DEFAULT_PATH);
	snprintf(text, sizeof(text), "HOSTNAME=%s", spec_hostname(in, name));
	set_variable(env, text);
	if (terminal)
		set_variable(env, "TERM=xterm");
	set_variables(env, json_object_get(in->c->config, "Env"));
	set_variables(env, json_object_get(exec, "Env"));
	if (find_variable(env, "HOME") == json_array_size(env)) {
		struct strbuf b = { 0 };
		_free_ char *set = NULL;

		strbuf_addf(&b, "HOME=%s", home);
		set = strbuf_take(&b);
		json_push(env, set ? json_string(set) : NULL);
	}
	return env;
}

/* ---- powers */

/* As execve() would leave them: an ordinary user has none, but could be given the bounding set's.
 */
static json_t *capabilities(const json_t *host, bool privileged, bool superuser)
{
	json_t *set = capability_set(json_object_get(host, "CapAdd"),
				     json_object_get(host, "CapDrop"), privileged);
	json_t *caps = json_object();

	json_put(caps, "bounding", json_incref(set));
	if (superuser) {
		json_put(caps, "effective", json_incref(set));
		json_put(caps, "permitted", json_incref(set));
	}
	json_decref(set);
	return caps;
}

static json_t *rlimits(const json_t *host)
{
	json_t *list = json_array(), *u;
	size_t i;

	json_array_foreach (json_object_get(host, "Ulimits"), i, u) {
		char type[32] = "RLIMIT_";
		size_t n = strlen(type);
		json_t *limit = json_object();

		for (const char *p = config_text(u, "Name"); *p && n < sizeof(type) - 1; p++)
			type[n++] = (char)toupper((unsigned char)*p);
		json_put(limit, "type", json_string(type));
		json_put(limit, "hard", json_integer(config_number(u, "Hard")));
		json_put(limit, "soft", json_integer(config_number(u, "Soft")));
		json_push(list, limit);
	}
	return list;
}

/* ---- the program */

static void push_all(json_t *list, const json_t *more)
{
	json_t *v;
	size_t i;

	json_array_foreach (more, i, v)
		json_push(list, json_incref(v));
}

static json_t *arguments(const json_t *config, const json_t *exec)
{
	json_t *args = json_array();

	if (!exec)
		push_all(args, json_object_get(config, "Entrypoint"));
	push_all(args, json_object_get(exec ? exec : config, "Cmd"));
	return args;
}

static const char *working_dir(const json_t *config, const json_t *exec)
{
	const char *dir = config_text(exec, "WorkingDir");

	dir = *dir ? dir : config_text(config, "WorkingDir");
	return *dir ? dir : "/";
}

static void put_console_size(json_t *process, const json_t *from)
{
	const json_t *size = json_object_get(from, "ConsoleSize");
	json_int_t height = json_integer_value(json_array_get(size, 0)),
		   width = json_integer_value(json_array_get(size, 1));
	json_t *console;

	if (height <= 0 || width <= 0)
		return;
	console = json_object();
	json_put(console, "height", json_integer(height));
	json_put(console, "width", json_integer(width));
	json_put(process, "consoleSize", console);
}

static void put_program(json_t *process, const struct spec_input *in, const json_t *exec,
			const char *home)
{
	const json_t *from = exec ? exec : in->c->config;
	bool terminal = config_flag(from, "Tty");

	json_put(process, "terminal", json_boolean(terminal));
	if (terminal)
		put_console_size(process, exec ? exec : in->c->host);
	json_put(process, "args", arguments(in->c->config, exec));
	json_put(process, "env", environment(in, exec, terminal, home));
	json_put(process, "cwd", json_string(working_dir(in->c->config, exec)));
}

static void put_powers(json_t *process, const json_t *host, const json_t *exec, bool superuser)
{
	bool privileged = config_flag(host, "Privileged") || config_flag(exec, "Privileged");

	json_put(process, "capabilities", capabilities(host, privileged, superuser));
	json_put(process, "rlimits", rlimits(host));
	json_put(process, "noNewPrivileges", json_boolean(host_no_new_privileges(host)));
	json_put(process, "oomScoreAdj", json_integer(config_number(host, "OomScoreAdj")));
}

int spec_process(const struct spec_input *in, const json_t *exec, json_t **ret,
		 struct cnm_error *err)
{
	const char *name = config_text(exec, "User");
	_json_ json_t *user = NULL, *process = NULL;
	_free_ char *home = NULL;
	int r = rootfs_user(in->rootfs, *name ? name : config_text(in->c->config, "User"), &user,
			    &home, err);

	r = r < 0 ? r
		  : rootfs_groups(in->rootfs, json_object_get(in->c->host, "GroupAdd"), user, err);
	if (r < 0)
		return r;
	process = json_object();
	put_program(process, in, exec, home);
	put_powers(process, in->c->host, exec, config_number(user, "uid") == 0);
	json_put(process, "user", json_incref(user));
	*ret = take_ptr(process);
	return 0;
}
