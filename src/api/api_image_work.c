/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making images: POST /images/create (pull, import) and POST /images/load.
 *
 * An archive is spooled below the engine's state directory, where there is room for it, into a file
 * that has no name any more: a crash leaves nothing. The programs that unpack it open it by its
 * descriptor in /proc.
 */
#include "api/api_progress.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_auth.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"

#define MAX_ARCHIVE (UINT64_C(16) << 30)
#define PIECE       65536

static struct images *images(const struct api_call *call)
{
	return containers_images(call->containers);
}

/* --------------------------------------------------------------------------------------- spooling
 */

struct spool {
	int fd;
	char path[64];
};

static void spool_close(struct spool *s)
{
	close_fd(&s->fd);
}

static int spool_open(struct api_call *call, struct spool *ret)
{
	_free_ char *json = NULL;
	_json_ json_t *engine = NULL;
	const char *dir = "";
	char name[PATH_MAX];
	int r;

	r = cnm_engine_info(call->engine, &json, &call->err);
	if (r < 0)
		return r;
	engine = json_loads(json, 0, NULL);
	if (!engine)
		return cnm_error_errno(&call->err, ENOMEM, "make a file for the archive");
	r = json_get_string(engine, "StateDir", &dir, &call->err);
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%s/upload.XXXXXX", dir);
	ret->fd = mkostemp(name, O_CLOEXEC);
	if (ret->fd < 0)
		return cnm_error_errno(&call->err, errno, "make a file for the archive in %s", dir);
	unlink(name);
	snprintf(ret->path, sizeof(ret->path), "/proc/%d/fd/%d", (int)getpid(), ret->fd);
	return 0;
}

static int write_all(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, data, n);

		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0) {
			data += done;
			n -= (size_t)done;
		}
	}
	return 0;
}

static int bad_body(struct api_call *call, ssize_t r)
{
	return cnm_error_set(&call->err, CNM_E_INVALID,
			     "the archive did not arrive: %s: send it again", strerror((int)-r));
}

/* The request's body into the spool. */
static int spool_fill(struct api_call *call, struct spool *s)
{
	_free_ char *piece = malloc(PIECE);
	uint64_t size = 0;
	ssize_t n;
	int r;

	if (!piece)
		return cnm_error_errno(&call->err, ENOMEM, "receive the archive");
	while ((n = http_body_read(call->x, piece, PIECE)) > 0) {
		size += (uint64_t)n;
		if (size > MAX_ARCHIVE)
			return cnm_error_set(&call->err, CNM_E_INVALID,
					     "the archive is larger than 16 GiB, which is the most "
					     "that is taken");
		r = write_all(s->fd, piece, (size_t)n);
		if (r < 0)
			return cnm_error_errno(&call->err, r, "keep the archive");
	}
	return n < 0 ? bad_body(call, n) : 0;
}

static int spool_body(struct api_call *call, struct spool *s)
{
	int r = spool_open(call, s);

	return r < 0 ? r : spool_fill(call, s);
}

/* ----------------------------------------------------------------------------------------- load */

static int load(struct api_call *call)
{
	_cleanup_(spool_close) struct spool spool = { .fd = -1 };
	struct progress *progress = NULL;
	int r;

	r = spool_body(call, &spool);
	if (r == 0)
		r = progress_new(&progress, call);
	if (r < 0)
		return r;
	r = images_load(images(call), spool.path, progress_tell, progress, &call->err);
	return progress_end(progress, r);
}

/* --------------------------------------------------------------------------------------- import */

/* ?repo= and ?tag= as one name; "" without a repo. The caller frees; NULL: no memory. */
static char *name_of(const char *repo, const char *tag)
{
	struct strbuf b = { 0 };

	if (repo)
		strbuf_add(&b, repo);
	if (repo && tag)
		strbuf_addf(&b, "%s%s", str_after(tag, "sha256:") ? "@" : ":", tag);
	return strbuf_take(&b);
}

static int import_spooled(struct api_call *call, const char *path, const char *name, char **ret_id)
{
	const char *changes[HTTP_MAX_PAIRS], *message = api_param(call, "message");
	unsigned n = 0;

	while (n < HTTP_MAX_PAIRS &&
	       (changes[n] = http_message_param_at(call->request, "changes", n)) != NULL)
		n++;
	return images_import(images(call), path, name, message ? message : "", changes, n, ret_id,
			     &call->err);
}

static int import(struct api_call *call)
{
	_free_ char *name = name_of(api_param(call, "repo"), api_param(call, "tag")), *id = NULL;
	_cleanup_(spool_close) struct spool spool = { .fd = -1 };
	int r;

	if (!name)
		return cnm_error_errno(&call->err, ENOMEM, "import an image");
	if (!streq(api_param(call, "fromSrc"), "-"))
		return cnm_error_set(
			&call->err, CNM_E_NOT_IMPLEMENTED,
			"import from %s: this daemon fetches nothing; send the archive "
			"itself, with fromSrc=-",
			api_param(call, "fromSrc"));
	r = spool_body(call, &spool);
	if (r == 0)
		r = import_spooled(call, spool.path, name, &id);
	return r < 0 ? r : api_reply_object(call, 200, json_pack("{s:s}", "status", id));
}

/* ----------------------------------------------------------------------------------------- pull */

static int pull(struct api_call *call)
{
	_free_ char *name = name_of(api_param(call, "fromImage"), api_param(call, "tag"));
	const char *header = http_message_header(call->request, "X-Registry-Auth");
	_free_ char *auth = NULL;
	struct progress *progress = NULL;
	int r;

	if (!name)
		return cnm_error_errno(&call->err, ENOMEM, "pull an image");
	r = api_decode_auth(header, &auth, &call->err);
	if (r == 0)
		r = progress_new(&progress, call);
	if (r < 0)
		return r;
	r = images_pull(images(call), name, auth, progress_tell, progress, &call->err);
	return progress_end(progress, r);
}

static int create(struct api_call *call)
{
	int r = api_check_platform(call);

	if (r < 0)
		return r;
	if (api_param(call, "fromImage"))
		return pull(call);
	if (api_param(call, "fromSrc"))
		return import(call);
	return cnm_error_set(&call->err, CNM_E_INVALID,
			     "create an image: one of the parameters fromImage (pull) and fromSrc "
			     "(import) is needed");
}

const struct api_route api_image_work_routes[] = {
	{ "POST", "/images/create", create, ROUTE_BODY },
	{ "POST", "/images/load", load, ROUTE_BODY },
	{ NULL, NULL, NULL, 0 },
};
