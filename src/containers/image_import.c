/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tar of a root file system made an image of one layer, with what Dockerfile lines say of its
 * configuration.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/str.h"
#include "containers/images_internal.h"

#define MAX_CHANGE 65536 /* bytes of a line */

/* ----------------------------------------------------------------------------- Dockerfile lines */

static int bad_change(const char *line, const char *why, struct cnm_error *err)
{
	return cnm_error_set(err, CNM_E_INVALID, "the change \"%.200s\" is not valid: %s", line,
			     why);
}

static const char *skip_space(const char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	return s;
}

/*
 * The next word, its quotes and backslashes resolved, into out, which is large enough for the line.
 * Returns where it ended, or NULL: there is none, or a quote is left open (*ret_open).
 */
static const char *next_word(const char *s, char *out, bool *ret_open)
{
	char quote = '\0';

	s = skip_space(s);
	if (!*s)
		return NULL;
	for (; *s && (quote || !isspace((unsigned char)*s)); s++) {
		if (quote ? *s == quote : *s == '"' || *s == '\'')
			quote = quote ? '\0' : *s;
		else if (*s == '\\' && s[1] && quote != '\'')
			*out++ = *++s;
		else
			*out++ = *s;
	}
	*out = '\0';
	*ret_open = quote;
	return quote ? NULL : s;
}

/* ["a","b"] as it stands, anything else for the shell. */
static int set_command(json_t *config, const char *key, const char *args, const char *line,
		       struct cnm_error *err)
{
	json_t *j = *args == '[' ? json_loads(args, 0, NULL)
				 : json_pack("[s,s,s]", "/bin/sh", "-c", args),
	       *v;
	size_t i;

	json_array_foreach (j, i, v)
		if (!json_is_string(v)) {
			json_decref(j);
			return bad_change(line, "the array must hold strings", err);
		}
	if (!j)
		return bad_change(line, "it is no JSON array", err);
	return json_put(config, key, j) < 0 ? cnm_error_errno(err, ENOMEM, "import") : 0;
}

/* A later ENV replaces an earlier one of the same name. */
static int put_env(json_t *config, const char *name, const char *value)
{
	json_t *env = json_object_get(config, "Env"), *v;
	size_t i, n = strlen(name);

	if (!env && json_put(config, "Env", env = json_array()) < 0)
		return -ENOMEM;
	json_array_foreach (env, i, v)
		if (strncmp(json_string_value(v), name, n) == 0 && json_string_value(v)[n] == '=') {
			json_array_remove(env, i);
			break;
		}
	return json_push(env, json_sprintf("%s=%s", name, value));
}

static int put_in(json_t *config, const char *key, const char *name, json_t *value)
{
	json_t *o = json_object_get(config, key);

	if (!o && json_put(config, key, o = json_object()) < 0) {
		json_decref(value);
		return -ENOMEM;
	}
	return json_put(o, name, value);
}

static int put_pair(json_t *config, const char *key, const char *name, const char *value)
{
	return streq(key, "Env") ? put_env(config, name, value)
				 : put_in(config, key, name, json_string(value));
}

/* "k=v k2=v2", or "k the rest". */
static int set_pairs(json_t *config, const char *key, const char *args, const char *line,
		     struct cnm_error *err)
{
	_free_ char *word = malloc(strlen(args) + 1);
	bool open = false, any = false;
	char *equals;
	int r = 0;

	if (!word)
		return cnm_error_errno(err, ENOMEM, "import");
	for (const char *s = args; r == 0 && (s = next_word(s, word, &open)); any = true) {
		equals = strchr(word, '=');
		if (equals == word || (!equals && any))
			return bad_change(line, "it must be NAME=VALUE", err);
		if (!equals) { /* the rest of the line is its value */
			r = put_pair(config, key, word, skip_space(s));
			break;
		}
		*equals = '\0';
		r = put_pair(config, key, word, equals + 1);
	}
	if (open)
		return bad_change(line, "a quote is left open", err);
	return r < 0 ? cnm_error_errno(err, ENOMEM, "import") : 0;
}

static bool is_port(char *s)
{
	char *slash = strchr(s, '/');
	long port;
	bool good;

	if (slash)
		*slash = '\0';
	good = str_to_long(s, 1, 65535, &port) == 0;
	if (slash)
		*slash = '/';
	return good &&
	       (!slash || streq(slash, "/tcp") || streq(slash, "/udp") || streq(slash, "/sctp"));
}

static int set_ports(json_t *config, const char *args, const char *line, struct cnm_error *err)
{
	_free_ char *word = malloc(strlen(args) + sizeof("/tcp"));
	bool open = false;

	if (!word)
		return cnm_error_errno(err, ENOMEM, "import");
	for (const char *s = args; (s = next_word(s, word, &open));) {
		if (!is_port(word))
			return bad_change(line, "it must be PORT[/tcp|/udp|/sctp]", err);
		if (!strchr(word, '/'))
			strcat(word, "/tcp");
		if (put_in(config, "ExposedPorts", word, json_object()) < 0)
			return cnm_error_errno(err, ENOMEM, "import");
	}
	return open ? bad_change(line, "a quote is left open", err) : 0;
}

static int apply_change(json_t *config, const char *line, struct cnm_error *err)
{
	const char *verb = skip_space(line), *args;
	size_t n = strcspn(verb, " \t");

	args = skip_space(verb + n);
	if (strlen(line) > MAX_CHANGE)
		return bad_change(line, "it is too long", err);
	if (!*args)
		return bad_change(line, "it needs an argument", err);
	if (n == 3 && strncasecmp(verb, "CMD", n) == 0)
		return set_command(config, "Cmd", args, line, err);
	if (n == 10 && strncasecmp(verb, "ENTRYPOINT", n) == 0)
		return set_command(config, "Entrypoint", args, line, err);
	if (n == 3 && strncasecmp(verb, "ENV", n) == 0)
		return set_pairs(config, "Env", args, line, err);
	if (n == 5 && strncasecmp(verb, "LABEL", n) == 0)
		return set_pairs(config, "Labels", args, line, err);
	if (n == 6 && strncasecmp(verb, "EXPOSE", n) == 0)
		return set_ports(config, args, line, err);
	if (n == 7 && strncasecmp(verb, "WORKDIR", n) == 0)
		return json_put(config, "WorkingDir", json_string(args)) < 0
			       ? bad_change(line, "it is no text", err)
			       : 0;
	if (n == 4 && strncasecmp(verb, "USER", n) == 0)
		return json_put(config, "User", json_string(args)) < 0
			       ? bad_change(line, "it is no text", err)
			       : 0;
	return cnm_error_set(
		err, CNM_E_INVALID,
		"%.*s is not a valid change command: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, "
		"USER and WORKDIR are",
		(int)(n > 40 ? 40 : n), verb);
}

/* --------------------------------------------------------------------------------------- import */

static char *configuration(const char *layer, const char *message, json_t *config)
{
	_json_ json_t *j = NULL;
	char now[TIME_STR];

	clock_format(clock_wall_ns(), now);
	j = json_pack("{s:s, s:s, s:s, s:s, s:O, s:{s:s, s:[o]}, s:[{s:s, s:s}]}", "created", now,
		      "architecture", image_architecture(), "os", "linux", "comment", message,
		      "config", config, "rootfs", "type", "layers", "diff_ids",
		      json_sprintf("sha256:%s", layer), "history", "created", now, "comment",
		      message);
	return j ? json_text(j) : NULL;
}

static int write_parts(struct images *im, const char *work, const char *path, const char *message,
		       json_t *config, struct cnm_error *err)
{
	_free_ char *layer = image_text(err, "%s/layer", work), *text = NULL;
	_free_ char *file = image_text(err, "%s/config", work);
	enum image_packing packing;
	char digest[ID_SIZE];
	int r = layer && file ? image_packing(path, &packing, err) : -ENOMEM;

	if (r == 0)
		r = image_plain_copy(path, layer, packing, im->max_bytes, err);
	if (r == 0)
		r = image_digest(layer, digest, err);
	if (r < 0)
		return r;
	text = configuration(digest, message ? message : "", config);
	if (!text)
		return cnm_error_set(err, CNM_E_INVALID, "import: the message must be UTF-8 text");
	return image_write(file, text, err);
}

static int read_request(const char *ref, const char *const *changes, unsigned n_changes,
			json_t *tags, json_t *config, struct cnm_error *err)
{
	char name[IMAGE_REF_STR];
	struct image_ref parsed;
	int r = 0;

	if (ref && *ref) {
		r = image_ref_parse(&parsed, ref, err);
		if (r == 0 && parsed.digest[0])
			r = cnm_error_set(err, CNM_E_INVALID, "cannot import digest reference");
		if (r == 0 && json_push(tags, json_string(image_ref_format(&parsed, name))) < 0)
			r = cnm_error_errno(err, ENOMEM, "import");
	}
	for (unsigned i = 0; i < n_changes && r == 0; i++)
		r = apply_change(config, changes[i], err);
	return r;
}

int images_import(struct images *im, const char *path, const char *ref, const char *message,
		  const char *const *changes, unsigned n_changes, char **ret_id,
		  struct cnm_error *err)
{
	_json_ json_t *config = json_object(), *tags = json_array();
	_json_ json_t *layers = json_pack("[s]", "layer");
	_work_ char *work = NULL;
	_free_ char *id = NULL;
	struct image_parts parts = { .config = "config", .layers = layers };
	struct image *i = NULL;
	int r = config && tags && layers ? 0 : cnm_error_errno(err, ENOMEM, "import");

	if (r == 0)
		r = read_request(ref, changes, n_changes, tags, config, err);
	if (r == 0)
		r = image_work_new(im, &work, err);
	if (r < 0)
		return r;
	parts.root = work;
	r = write_parts(im, work, path, message, config, err);
	if (r == 0)
		r = image_build(im, work, &parts, &i, err);
	if (r == 0)
		id = image_text(NULL, "sha256:%s", i->id);
	if (r == 0)
		r = image_add(im, work, i, tags, NULL, "import", err);
	if (r == 0)
		*ret_id = take_ptr(id);
	return r;
}
