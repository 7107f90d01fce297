/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugins/plugin_address.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

#define MAX_FILE 65536
#define MAX_NAME 64

/* NULL stands for the folder "plugins" of the daemon's own. */
static const char *const socket_dirs[] = { NULL, "/run/docker/plugins" };
static const char *const spec_dirs[] = { "/etc/cnm/plugins", "/usr/lib/cnm/plugins",
					 "/etc/docker/plugins", "/usr/lib/docker/plugins" };
#define N_SOCKET_DIRS (sizeof(socket_dirs) / sizeof(*socket_dirs))
#define N_SPEC_DIRS   (sizeof(spec_dirs) / sizeof(*spec_dirs))

static void dir_of(const char *dir, const char *run_dir, char ret[static PATH_MAX])
{
	if (dir)
		str_copy(ret, PATH_MAX, dir);
	else
		snprintf(ret, PATH_MAX, "%s/plugins", run_dir);
}

static bool is_name(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > MAX_NAME || !isalnum((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("_.-", name[i]))
			return false;
	return true;
}

void plugin_address_free(struct plugin_address *a)
{
	free(a->found);
	free(a->url);
	free(a->socket);
	free(a->cacertfile);
	free(a->certfile);
	free(a->keyfile);
	memset(a, 0, sizeof(*a));
}

static int no_memory(struct cnm_error *err)
{
	return cnm_error_errno(err, ENOMEM, "plugin");
}

/* 0: it is not there. */
static struct timespec made_at(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ctim : (struct timespec){ 0 };
}

bool plugin_address_is_stale(const struct plugin_address *a)
{
	struct timespec now = a->socket ? made_at(a->socket) : a->made;

	return now.tv_sec != a->made.tv_sec || now.tv_nsec != a->made.tv_nsec;
}

/* The host only serves as the header that Docker sends. */
static int set_socket(struct plugin_address *a, const char *path, struct cnm_error *err)
{
	if (path[0] != '/')
		return cnm_error_set(err, CNM_E_INVALID,
				     "unix://%s: the path of a socket begins with '/'", path);
	a->made = made_at(path);
	a->socket = strdup(path);
	a->url = strdup("http://plugin.moby.localhost");
	return a->socket && a->url ? 0 : no_memory(err);
}

static int set_url(struct plugin_address *a, const char *url, bool tls, struct cnm_error *err)
{
	const char *rest;
	size_t len;

	if ((rest = str_after(url, "unix://")))
		return set_socket(a, rest, err);
	if ((rest = str_after(url, "https://")))
		tls = true;
	else if (!(rest = str_after(url, "tcp://")) && !(rest = str_after(url, "http://")))
		return cnm_error_set(err, CNM_E_INVALID,
				     "\"%.128s\" is no address of a plugin: it begins with "
				     "unix://, tcp://, http:// or https://",
				     url);
	len = strlen(rest);
	while (len && rest[len - 1] == '/')
		len--;
	if (!len || !str_is_printable(rest) || strpbrk(rest, " \"\\@"))
		return cnm_error_set(err, CNM_E_INVALID, "\"%.128s\" names no host", url);
	if (asprintf(&a->url, "%s://%.*s", tls ? "https" : "http", (int)len, rest) < 0)
		a->url = NULL;
	return a->url ? 0 : no_memory(err);
}

int plugin_address_from_spec(const char *text, struct plugin_address *ret, struct cnm_error *err)
{
	size_t skip = strspn(text, " \t\r\n"), len = strcspn(text + skip, " \t\r\n");
	_free_ char *url = strndup(text + skip, len);
	struct plugin_address a = { 0 };
	int r = url ? set_url(&a, url, false, err) : no_memory(err);

	if (r < 0)
		plugin_address_free(&a);
	else
		*ret = a;
	return r;
}

static int set_file(char **slot, const json_t *tls, const char *key, struct cnm_error *err)
{
	const char *path = "";
	int r = json_get_string(tls, key, &path, err);

	if (r < 0 || !path[0])
		return r;
	if (path[0] != '/')
		return cnm_error_set(err, CNM_E_INVALID,
				     "TLSConfig.%s: \"%.128s\" is no absolute "
				     "path",
				     key, path);
	*slot = strdup(path);
	return *slot ? 0 : no_memory(err);
}

static int set_tls(struct plugin_address *a, const json_t *tls, struct cnm_error *err)
{
	int r;

	if ((r = json_get_bool(tls, "InsecureSkipVerify", &a->tls.insecure, err)) < 0 ||
	    (r = set_file(&a->cacertfile, tls, "CAFile", err)) < 0 ||
	    (r = set_file(&a->certfile, tls, "CertFile", err)) < 0 ||
	    (r = set_file(&a->keyfile, tls, "KeyFile", err)) < 0)
		return r;
	if (!a->certfile != !a->keyfile)
		return cnm_error_set(err, CNM_E_INVALID,
				     "TLSConfig: CertFile and KeyFile go together");
	a->tls.cacertfile = a->cacertfile;
	a->tls.certfile = a->certfile;
	a->tls.keyfile = a->keyfile;
	return 0;
}

int plugin_address_from_json(const char *text, struct plugin_address *ret, struct cnm_error *err)
{
	json_error_t why;
	_json_ json_t *o = json_loads(text, 0, &why);
	struct plugin_address a = { 0 };
	const char *url = "";
	json_t *tls = NULL;
	int r;

	if (!json_is_object(o))
		return cnm_error_set(err, CNM_E_INVALID, "it is no JSON object: %s",
				     o ? "something else" : why.text);
	if ((r = json_get_string(o, "Addr", &url, err)) == 0 &&
	    (r = json_get_object(o, "TLSConfig", &tls, err)) == 0 &&
	    (r = set_url(&a, url, tls, err)) == 0 && tls)
		r = set_tls(&a, tls, err);
	if (r < 0)
		plugin_address_free(&a);
	else
		*ret = a;
	return r;
}

/* ---- looking */

static char *read_file(const char *path)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = fd >= 0 ? malloc(MAX_FILE) : NULL;
	ssize_t n = text ? read(fd, text, MAX_FILE - 1) : -1;

	if (n < 0) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	return text;
}

static bool is_socket(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* 1: it is there. In the folder itself, then in the plugin's. */
static int try_sockets(const char *dir, const char *name, struct plugin_address *ret,
		       struct cnm_error *err)
{
	char path[PATH_MAX + 200];

	for (unsigned deep = 0; deep < 2; deep++) {
		int r;

		if (deep)
			snprintf(path, sizeof(path), "%s/%s/%s.sock", dir, name, name);
		else
			snprintf(path, sizeof(path), "%s/%s.sock", dir, name);
		if (!is_socket(path))
			continue;
		r = set_socket(ret, path, err);
		ret->found = strdup(path);
		return r < 0 ? r : 1;
	}
	return 0;
}

static int try_file(const char *path, bool json, struct plugin_address *ret, struct cnm_error *err)
{
	_free_ char *text = read_file(path);
	int r;

	if (!text)
		return 0;
	r = json ? plugin_address_from_json(text, ret, err)
		 : plugin_address_from_spec(text, ret, err);
	if (r < 0)
		return cnm_error_prefix(err, "%s", path), r;
	ret->found = strdup(path);
	return 1;
}

static int try_files(const char *dir, const char *name, struct plugin_address *ret,
		     struct cnm_error *err)
{
	char path[PATH_MAX + 200];
	int r = 0;

	for (unsigned i = 0; i < 4 && r == 0; i++) {
		const char *ext = i & 1 ? "json" : "spec";

		if (i < 2)
			snprintf(path, sizeof(path), "%s/%s.%s", dir, name, ext);
		else
			snprintf(path, sizeof(path), "%s/%s/%s.%s", dir, name, name, ext);
		r = try_file(path, i & 1, ret, err);
	}
	return r;
}

int plugin_address_find(const char *run_dir, const char *name, struct plugin_address *ret,
			struct cnm_error *err)
{
	char dir[PATH_MAX];
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	if (is_name(name)) {
		for (unsigned i = 0; i < N_SOCKET_DIRS && r == 0; i++) {
			dir_of(socket_dirs[i], run_dir, dir);
			r = try_sockets(dir, name, ret, err);
		}
		for (unsigned i = 0; i < N_SPEC_DIRS && r == 0; i++)
			r = try_files(spec_dirs[i], name, ret, err);
	}
	if (r == 0)
		return cnm_error_set(err, CNM_E_NOT_FOUND, "plugin \"%s\" not found", name);
	if (r > 0 && !ret->found)
		r = no_memory(err);
	if (r < 0)
		plugin_address_free(ret);
	return r < 0 ? r : 0;
}

/* ---- all of them */

static void add_name(json_t *names, const char *file, const char *ext)
{
	size_t n = strlen(file), e = strlen(ext);
	char name[MAX_NAME + 1];
	size_t at = 0;
	json_t *v;

	if (n <= e || n - e > MAX_NAME || !streq(file + n - e, ext))
		return;
	snprintf(name, sizeof(name), "%.*s", (int)(n - e), file);
	if (!is_name(name))
		return;
	json_array_foreach (names, at, v) {
		int c = strcmp(json_string_value(v), name);

		if (c == 0)
			return;
		if (c > 0)
			break;
	}
	json_array_insert_new(names, at, json_string(name));
}

static void add_dir(json_t *names, const char *dir, bool sockets, bool deep)
{
	DIR *d = opendir(dir);
	struct dirent *f;

	while (d && (f = readdir(d))) {
		char sub[PATH_MAX + NAME_MAX + 2];

		if (f->d_name[0] == '.')
			continue;
		add_name(names, f->d_name, sockets ? ".sock" : ".spec");
		if (!sockets)
			add_name(names, f->d_name, ".json");
		snprintf(sub, sizeof(sub), "%s/%s", dir, f->d_name);
		if (deep && is_name(f->d_name) && (f->d_type == DT_DIR || f->d_type == DT_UNKNOWN))
			add_dir(names, sub, sockets, false);
	}
	if (d)
		closedir(d);
}

json_t *plugin_address_names(const char *run_dir)
{
	json_t *names = json_array();
	char dir[PATH_MAX];

	for (unsigned i = 0; names && i < N_SOCKET_DIRS; i++) {
		dir_of(socket_dirs[i], run_dir, dir);
		add_dir(names, dir, true, true);
	}
	for (unsigned i = 0; names && i < N_SPEC_DIRS; i++)
		add_dir(names, spec_dirs[i], false, true);
	return names;
}
