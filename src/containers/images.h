/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images. Each is a directory, DIR/<id>/, with the image as an OCI layout (layout/) and its
 * unpacked tree (rootfs/), which is the read-only lower layer of every container made of it. The id
 * is the SHA-256 of the image's configuration, as Docker has it. What an image is called (its tags)
 * and shows (size, time) is a row in the store; the row is committed last and deleted first, so
 * that a directory without a row is the leftover of a crash, and swept at open.
 *
 * skopeo pulls, umoci unpacks layers, tar archives; they run as programs, in a directory DIR/tmp.*
 * of which what is to stay is moved out by one rename. Archives are hostile: each file, the sum of
 * the layers, their number and the unpacked tree are bounded, and tar and umoci resolve every name
 * beneath their root. (The upload's size is the caller's to bound.)
 *
 * One mutex guards the table of images in memory and is never held across a program or the disk.
 * Thread-safe.
 */
#ifndef CONTAINERS_IMAGES_H
#define CONTAINERS_IMAGES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "cnm/error.h"
#include "state/store.h"

struct images;

struct images_options {
	struct store *store;
	const char *dir;     /* made if missing */
	const char *busybox; /* a static busybox; NULL: /bin/busybox */
	uint64_t max_bytes;  /* of one image, packed or unpacked; 0: 16 GiB */
	/* Who uses the image: the name of a container, or NULL. Called without a lock. running:
	 * only such. */
	char *(*user_of)(const char *id, bool running, void *arg); /* the caller frees */
	/* event: pull, load, import, tag, untag, delete, save. May be NULL. */
	void (*event)(const char *action, const char *id, const char *name, void *arg);
	void *arg;
};

int images_open(struct images **ret, const struct images_options *options, struct cnm_error *err);
void images_close(struct images *im);

struct image_info {
	char id[ID_SIZE]; /* without "sha256:" */
	char *rootfs;     /* path of the unpacked tree */
	json_t *config;   /* "config" of the OCI image configuration */
};
void image_info_free(struct image_info *i);

/*
 * "busybox", "busybox:1.35", "docker.io/library/busybox", "sha256:<id>", "<id or its unique
 * prefix>". NOT_FOUND "No such image: X" (with ":latest" as Docker completes it). "busybox:latest"
 * is made from the machine's static busybox when it is asked for and there is none (/bin/busybox
 * and a link an applet, /etc/passwd and group with root, /tmp, ...; Cmd ["sh"]; reproducible, so
 * its id is stable).
 *
 * Waits for an image that is just being removed, until that is decided. So that no image vanishes
 * from under a new container: add the container where user_of() sees it, then find the image by its
 * id again. Not to be called with a lock held that user_of() takes.
 */
int images_find(struct images *im, const char *ref, struct image_info *ret, struct cnm_error *err);
/* Only those at hand, and the id alone: for filters and ps. Never waits. -ENOENT. */
int images_lookup(struct images *im, const char *ref, char ret_id[static ID_SIZE]);
/* What /containers/json shows: the name asked for if it still names that image, else the id. */
bool images_names(struct images *im, const char *ref, const char *id);

/*
 * Where long work tells its progress: lines of JSON ({"stream":..}, {"status":..,"id":..},
 * {"error":..,"errorDetail":{"message":..}}), without the newline.
 */
typedef void (*image_progress)(const char *json, void *arg);

/* A docker-archive or OCI archive (plain or compressed tar) in a file at path. */
int images_load(struct images *im, const char *path, image_progress tell, void *arg,
		struct cnm_error *err);
/* A tar of a root file system at path, as ref ("" none). changes: Dockerfile lines, CMD,
 * ENTRYPOINT, ENV, WORKDIR, USER, EXPOSE, LABEL. ret_id: "sha256:..". */
int images_import(struct images *im, const char *path, const char *ref, const char *message,
		  const char *const *changes, unsigned n_changes, char **ret_id,
		  struct cnm_error *err);
/*
 * By skopeo from its registry. NOT_FOUND "pull access denied for X, repository does not exist or
 * may require 'docker login'" style words when it cannot be had, with why (no registry was
 * reached). auth: "user:password" or NULL.
 */
int images_pull(struct images *im, const char *ref, const char *auth, image_progress tell,
		void *arg, struct cnm_error *err);
/* A docker-archive of these, readable from *ret_fd (an unlinked file). */
int images_save(struct images *im, const char *const *refs, unsigned n, int *ret_fd,
		struct cnm_error *err);
int images_tag(struct images *im, const char *ref, const char *repo, const char *tag,
	       struct cnm_error *err);
/*
 * Docker's: a name that is one of several is only untagged; the last name goes with the image.
 * CONFLICT in Docker's words while a container uses it. With force a used image loses its names and
 * stays; asked for by its id while a container of it runs, it refuses always.
 * *ret_json: [{"Untagged":..},{"Deleted":..}].
 */
int images_remove(struct images *im, const char *ref, bool force, char **ret_json,
		  struct cnm_error *err);

/* JSON as Docker's GET /images/json (filters: reference, dangling, label, before, since; Docker's
 * filters text or NULL), GET /images/X/json, GET /images/X/history. */
int images_list(struct images *im, const char *filters, bool all, char **ret_json,
		struct cnm_error *err);
int images_inspect(struct images *im, const char *ref, char **ret_json, struct cnm_error *err);
int images_history(struct images *im, const char *ref, char **ret_json, struct cnm_error *err);
unsigned images_count(struct images *im);

#endif
