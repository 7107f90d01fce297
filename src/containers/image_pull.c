/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images from a registry, by skopeo, into a directory of its `dir` transport: manifest.json and a
 * file for each blob, named by its digest. The manifest is what the registry has, so its digest is
 * the one that the image can be asked for with.
 *
 * Credentials go by a file: arguments can be read by anybody.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "containers/images_internal.h"

#define N_ENV 16

/* What skopeo may know of the daemon's environment: how to reach the network. */
static const char *const passed_on[] = { "HTTP_PROXY",    "HTTPS_PROXY", "NO_PROXY",
					 "http_proxy",    "https_proxy", "no_proxy",
					 "SSL_CERT_FILE", "SSL_CERT_DIR" };

struct pull {
	struct images *im;
	struct image_ref ref;
	char name[IMAGE_REF_STR];
	image_progress tell;
	void *arg;
};

/* ---------------------------------------------------------------------------------- credentials */

static void base64(const char *s, struct strbuf *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)(unsigned char)s[i] << 16;
		char four[5] = "====";

		if (i + 1 < n)
			v |= (unsigned)(unsigned char)s[i + 1] << 8;
		if (i + 2 < n)
			v |= (unsigned char)s[i + 2];
		for (size_t k = 0; k < 4 && i + k <= n; k++)
			four[k] = digits[v >> (18 - 6 * k) & 63];
		strbuf_add(out, four);
	}
}

/* The file skopeo takes credentials from: for this registry, or for none. */
static int write_credentials(const char *path, const char *full, const char *auth,
			     struct cnm_error *err)
{
	_json_ json_t *j = NULL;
	_free_ char *secret = NULL, *text = NULL;
	struct strbuf b = { .s = NULL };

	base64(auth ? auth : "", &b);
	secret = strbuf_take(&b);
	if (secret && auth)
		j = json_pack("{s:{s%:{s:s}}}", "auths", full, strcspn(full, "/"), "auth", secret);
	else if (secret)
		j = json_pack("{s:{}}", "auths");
	text = j ? json_text(j) : NULL;
	return text ? image_write(path, text, err) : cnm_error_errno(err, ENOMEM, "pull");
}

/* --------------------------------------------------------------------------------------- skopeo */

static bool says(const char *text, const char *const *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcasestr(text, parts[i]))
			return true;
	return false;
}

/* The end of skopeo's message, where the cause is. */
static const char *cause(const char *text)
{
	const char *at = strstr(text, "msg=\""), *inner;

	at = at ? at + strlen("msg=\"") : text;
	for (const char *const *cut = (const char *const[]){ "pinging container registry",
							     "initializing source", NULL };
	     *cut; cut++) {
		inner = strstr(at, *cut);
		if (inner)
			return inner;
	}
	return at;
}

/* It comes as a quoted string. */
static void unquote(char *text)
{
	while (text && (text = strstr(text, "\\\"")) != NULL)
		memmove(text, text + 1, strlen(text));
}

/* Docker's clients know the two ways in which an image cannot be had by how they begin. */
static int refused(const struct pull *p, const char *said, struct cnm_error *err)
{
	static const char *const absent[] = { "manifest unknown", "manifest for ",
					      "no image found" };
	static const char *const denied[] = {
		"access to the resource is denied", "unauthorized",
		"authentication required",          "name unknown",
		"repository name not known",        "invalid username/password"
	};
	_free_ char *why = strdup(cause(said));
	size_t n = why ? strcspn(why, "\n") : 0;

	while (n && strchr("\" \\", why[n - 1]))
		n--;
	if (why)
		why[n] = '\0';
	unquote(why);
	if (says(said, absent, sizeof(absent) / sizeof(absent[0])))
		return cnm_error_set(
			err, CNM_E_NOT_FOUND,
			"manifest for %s not found: manifest unknown: manifest unknown", p->name);
	return cnm_error_set(err, CNM_E_NOT_FOUND,
			     "pull access denied for %s, repository does not exist or may require "
			     "'docker login': %s%.400s",
			     p->ref.name,
			     says(said, denied, sizeof(denied) / sizeof(denied[0]))
				     ? "denied: "
				     : "no registry was reached: ",
			     why ? why : "");
}

/* Proxies as the daemon has them; names are looked up without long retries. */
static void environment(const char *env[static N_ENV], char *storage[static N_ENV])
{
	size_t n = 0, used = 0;

	env[n++] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	env[n++] = "HOME=/root";
	env[n++] = "LANG=C.UTF-8";
	env[n++] = "RES_OPTIONS=timeout:2 attempts:1";
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++) {
		const char *value = getenv(passed_on[i]);

		if (value && (storage[used] = image_text(NULL, "%s=%s", passed_on[i], value)))
			env[n++] = storage[used++];
	}
}

static int run_skopeo(const struct pull *p, const char *work, const char *credentials,
		      const char *to, struct cnm_error *err)
{
	char full[IMAGE_REF_FULL], *storage[N_ENV] = { NULL };
	const char *env[N_ENV] = { NULL };
	_free_ char *from = image_text(err, "docker://%s", image_ref_full(&p->ref, full));
	const char *argv[] = { "skopeo",
			       "--insecure-policy",
			       "--tmpdir",
			       work,
			       "copy",
			       "--quiet",
			       "--authfile",
			       credentials,
			       "--remove-signatures",
			       from,
			       to,
			       NULL };
	struct process_options o = { .what = "pull",
				     .deadline_ms = IMAGE_DEADLINE_MS,
				     .max_file = p->im->max_bytes,
				     .env = env };
	struct process_result res = { .status = -1 };
	int r;

	if (!from)
		return -ENOMEM;
	environment(env, storage);
	r = process_run((char *const *)argv, &o, &res, err);
	if (r < 0 && res.status > 0 && res.err)
		r = refused(p, res.err, err);
	process_result_free(&res);
	for (size_t i = 0; i < N_ENV; i++)
		free(storage[i]);
	return r;
}

static int fetch(const struct pull *p, const char *work, const char *root, const char *auth,
		 struct cnm_error *err)
{
	_free_ char *credentials = image_text(err, "%s/auth.json", work);
	_free_ char *to = image_text(err, "dir:%s", root);
	char full[IMAGE_REF_FULL];
	int r;

	if (!credentials || !to)
		return -ENOMEM;
	r = write_credentials(credentials, image_ref_full(&p->ref, full), auth, err);
	return r < 0 ? r : run_skopeo(p, work, credentials, to, err);
}

/* ------------------------------------------------------------------------------------ the image */

/* Takes status over. */
static void tell(const struct pull *p, const char *id, json_t *status)
{
	_json_ json_t *line = json_object();
	_free_ char *text = NULL;

	json_put(line, "status", status);
	if (id)
		json_put(line, "id", json_string(id));
	text = json_text(line);
	if (text && p->tell)
		p->tell(text, p->arg);
}

/* "library/busybox": what Docker shows of a name while it pulls. */
static json_t *pulling_from(const struct pull *p)
{
	char full[IMAGE_REF_FULL];
	const char *path;

	image_ref_full(&p->ref, full);
	path = strchr(full, '/') + 1;
	return json_sprintf("Pulling from %.*s", (int)strcspn(path, ":@"), path);
}

static bool is_present(struct images *im, const char *name, const char *id)
{
	const struct image *i;

	LOCKED(&im->mutex);
	i = image_by_id(im, id);
	return i && image_has(i->tags, name);
}

/*
 * What is asked for by its digest gets no tag, and keeps that digest, which may be that of an index
 * of several platforms.
 */
static int add(const struct pull *p, const char *work, struct image *i, const char *manifest,
	       struct cnm_error *err)
{
	_json_ json_t *tags = p->ref.digest[0] ? json_array() : json_pack("[s]", p->name);
	_json_ json_t *digest = p->ref.digest[0]
					? json_string(p->name)
					: json_sprintf("%s@sha256:%s", p->ref.name, manifest);
	_json_ json_t *digests = json_array();
	bool known;
	int r;

	if (!tags || !digests || json_array_append(digests, digest) < 0) {
		image_free(i);
		return cnm_error_errno(err, ENOMEM, "pull");
	}
	known = is_present(p->im, p->name, i->id);
	r = image_add(p->im, work, i, tags, digests, "pull", err);
	if (r < 0)
		return r;
	tell(p, p->ref.tag[0] ? p->ref.tag : "latest", pulling_from(p));
	tell(p, NULL, json_sprintf("Digest: sha256:%s", manifest));
	tell(p, NULL,
	     json_sprintf("Status: %s for %s",
			  known ? "Image is up to date" : "Downloaded newer image", p->name));
	return 0;
}

static int build_and_add(const struct pull *p, const char *work, const char *root,
			 struct cnm_error *err)
{
	_free_ char *file = image_text(err, "%s/manifest.json", root), *config = NULL;
	_json_ json_t *manifest = NULL, *layers = NULL;
	struct image_parts parts = { .root = root };
	char digest[ID_SIZE];
	struct image *i;
	int r = file ? image_read_json(file, "the registry's manifest", &manifest, err) : -ENOMEM;

	if (r == 0)
		r = image_digest(file, digest, err);
	if (r == 0)
		r = image_manifest_parts(manifest, "", &config, &parts.expect_id, &layers, err);
	if (r < 0)
		return r;
	parts.config = config;
	parts.layers = layers;
	r = image_build(p->im, work, &parts, &i, err);
	return r < 0 ? r : add(p, work, i, digest, err);
}

static int pull(const struct pull *p, const char *auth, struct cnm_error *err)
{
	_work_ char *work = NULL;
	_free_ char *root = NULL;
	int r = image_work_new(p->im, &work, err);

	if (r < 0)
		return r;
	root = image_text(err, "%s/pulled", work);
	r = root ? fetch(p, work, root, auth, err) : -ENOMEM;
	return r < 0 ? r : build_and_add(p, work, root, err);
}

/* No registry has it, or none was reached, but this machine has a busybox. */
static int make_here(const struct pull *p, struct cnm_error *err)
{
	struct image_info info;
	int r = images_find(p->im, image_busybox_name, &info, err);

	if (r < 0)
		return r;
	image_info_free(&info);
	tell(p, NULL, json_string("made from this machine's busybox-static"));
	tell(p, NULL, json_sprintf("Status: Image is up to date for %s", p->name));
	return 0;
}

int images_pull(struct images *im, const char *ref, const char *auth, image_progress progress,
		void *arg, struct cnm_error *err)
{
	struct pull p = { .im = im, .tell = progress, .arg = arg };
	struct cnm_error why;
	int r = image_ref_parse(&p.ref, ref, err);

	if (r < 0)
		return r;
	image_ref_format(&p.ref, p.name);
	r = pull(&p, auth, &why);
	if (r < 0 && streq(p.name, image_busybox_name) && make_here(&p, NULL) == 0)
		return 0;
	if (r < 0 && err)
		*err = why;
	return r;
}
