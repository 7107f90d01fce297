/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See image_ref.h. */
#include "containers/image_ref.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/str.h"

static const char alnum[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
static const char lower_alnum[] = "abcdefghijklmnopqrstuvwxyz0123456789";
static const char digits[] = "0123456789";

static int invalid(struct cnm_error *err, const char *s)
{
	return cnm_error_set(
		err, CNM_E_INVALID,
		"invalid reference format: \"%.300s\" must be [HOST[:PORT]/]NAME[:TAG]", s);
}

const char *image_digest_hex(const char *s)
{
	const char *hex = str_after(s, "sha256:");

	return hex && id_is_valid(hex) ? hex : NULL;
}

/* -------------------------------------------------------------------------------------- grammar */

/* Letters and digits with hyphens between them. */
static bool is_label(const char *s, size_t n)
{
	if (n == 0 || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (s[i] != '-' && !memchr(alnum, s[i], sizeof(alnum) - 1))
			return false;
	return true;
}

/* "host", "host.example", "[::1]", each with an optional ":port"; n bytes. */
static bool is_domain(const char *s, size_t n)
{
	const char *end = s + n, *at = s;
	size_t len;

	if (*s == '[') {
		len = 1 + strspn(s + 1, "0123456789abcdefABCDEF:");
		if (len < 3 || len >= n || s[len] != ']')
			return false;
		at = s + len + 1;
	} else {
		for (;; at++) {
			len = strcspn(at, ".:/");
			if (!is_label(at, len))
				return false;
			at += len;
			if (*at != '.')
				break;
		}
	}
	if (at < end && *at == ':') {
		len = strspn(at + 1, digits);
		if (len == 0)
			return false;
		at += 1 + len;
	}
	return at == end;
}

/* The length of what may stand between two words of a path: . _ __ or any number of hyphens. */
static size_t separator(const char *s)
{
	if (*s == '.')
		return 1;
	if (*s == '_')
		return s[1] == '_' ? 2 : 1;
	return strspn(s, "-");
}

/* Words with separators between them, and slashes between these. */
static bool is_path(const char *s)
{
	for (;;) {
		size_t n = strspn(s, lower_alnum);

		if (n == 0)
			return false;
		s += n;
		if (*s == '\0')
			return true;
		n = *s == '/' ? 1 : separator(s);
		if (n == 0)
			return false;
		s += n;
	}
}

static bool is_tag(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > IMAGE_TAG_MAX || *s == '.' || *s == '-')
		return false;
	for (; *s; s++)
		if (!strchr(alnum, *s) && !strchr("_.-", *s))
			return false;
	return true;
}

/* ------------------------------------------------------------------------------------ the parts */

/* Does the part before the first slash name a registry, rather than a user of the default one? */
static bool names_registry(const char *s, size_t n)
{
	if (n == strlen("localhost") && strncmp(s, "localhost", n) == 0)
		return true;
	for (size_t i = 0; i < n; i++)
		if (s[i] == '.' || s[i] == ':' || isupper((unsigned char)s[i]))
			return true;
	return false;
}

/* The length of the registry's name at the beginning of name, 0 if it has none. */
static size_t domain_length(const char *name)
{
	size_t n = strcspn(name, "/");

	return name[n] == '/' && names_registry(name, n) ? n : 0;
}

/* The default registry's names are shortened, unless what is left reads as something else. */
static const char *shortened(const char *name)
{
	const char *rest = str_after(name, "docker.io/"), *official;

	if (!rest)
		rest = str_after(name, "index.docker.io/");
	if (!rest)
		rest = name;
	official = str_after(rest, "library/");
	if (official && !strchr(official, '/'))
		return official;
	return rest;
}

static bool has_upper(const char *s)
{
	for (; *s; s++)
		if (isupper((unsigned char)*s))
			return true;
	return false;
}

/* Checks the name without tag and digest, and keeps it short. */
static int take_name(struct image_ref *r, const char *name, const char *asked,
		     struct cnm_error *err)
{
	const char *kept = shortened(name);
	size_t domain = domain_length(name), extra;

	if (id_is_valid(name))
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid repository name (%s), cannot specify 64-byte "
				     "hexadecimal strings",
				     name);
	if (has_upper(domain ? name + domain + 1 : name))
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid reference format: repository name (%.300s) must be "
				     "lowercase",
				     name);
	if ((domain && !is_domain(name, domain)) || !is_path(domain ? name + domain + 1 : name))
		return invalid(err, asked);
	if (domain_length(kept) && kept != name) /* docker.io/a.b/c is not a.b's */
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid reference format: \"%.300s\": a user of docker.io "
				     "cannot be called like a host",
				     asked);
	extra = domain_length(kept) ? 0
		: strchr(kept, '/') ? strlen("docker.io/")
				    : strlen("docker.io/library/");
	if (strlen(kept) + extra > IMAGE_NAME_MAX || id_is_valid(kept))
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid reference format: a repository name has at most %d "
				     "characters, and is no image id",
				     IMAGE_NAME_MAX);
	strcpy(r->name, kept);
	return 0;
}

int image_ref_parse(struct image_ref *ret, const char *s, struct cnm_error *err)
{
	char name[IMAGE_NAME_MAX + IMAGE_TAG_MAX + 2];
	struct image_ref r = { "", "", "" };
	size_t n = strcspn(s, "@");
	char *tag, *slash;
	int e;

	if (n >= sizeof(name))
		return invalid(err, s);
	memcpy(name, s, n);
	name[n] = '\0';
	if (s[n] == '@') {
		if (!image_digest_hex(s + n + 1))
			return invalid(err, s);
		strcpy(r.digest, s + n + 1);
	}
	slash = strrchr(name, '/');
	tag = strchr(slash ? slash : name, ':');
	if (tag) {
		*tag++ = '\0';
		if (!is_tag(tag))
			return invalid(err, s);
		strcpy(r.tag, tag);
	}
	e = take_name(&r, name, s, err);
	if (e == 0)
		*ret = r;
	return e;
}

const char *image_ref_format(const struct image_ref *r, char buf[static IMAGE_REF_STR])
{
	if (r->digest[0])
		snprintf(buf, IMAGE_REF_STR, "%s@%s", r->name, r->digest);
	else
		snprintf(buf, IMAGE_REF_STR, "%s:%s", r->name, r->tag[0] ? r->tag : "latest");
	return buf;
}

const char *image_ref_full(const struct image_ref *r, char buf[static IMAGE_REF_FULL])
{
	char text[IMAGE_REF_STR];

	snprintf(buf, IMAGE_REF_FULL, "%s%s",
		 domain_length(r->name) ? ""
		 : strchr(r->name, '/') ? "docker.io/"
					: "docker.io/library/",
		 image_ref_format(r, text));
	return buf;
}
