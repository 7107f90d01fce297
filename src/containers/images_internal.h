/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the images share.
 *
 *   images.c         opening, sweeping, finding
 *   image_table.c    rows and names: every change of the table
 *   image_remove.c   tag, remove
 *   image_ref.c      what images are called
 *   image_files.c    temporary directories, programs, files from outside
 *   image_config.c   what a configuration must be, before anything trusts it
 *   image_build.c    a configuration and layers -> OCI layout and unpacked tree
 *   image_load.c, image_pull.c, image_import.c, image_busybox.c   where they come from
 *   image_save.c     an archive of them
 *   image_json.c, image_filter.c   what they look like
 *
 * Who changes the table has the turn (image_turn_begin): rows are committed and directories moved
 * while nobody else does, and the mutex is taken only to change what is in memory. Readers never
 * wait for the turn, except image_find() for an image that is being removed. With the turn the
 * table may be read without the mutex.
 *
 * Work takes place in a directory DIR/tmp.*, which is removed in the end; what is to stay is moved
 * out of it by one rename.
 */
#ifndef CONTAINERS_IMAGES_INTERNAL_H
#define CONTAINERS_IMAGES_INTERNAL_H

#include <pthread.h>

#include "base/json.h"
#include "base/list.h"
#include "containers/image_ref.h"
#include "containers/images.h"
#include "containers/process.h"

#define IMAGE_MAX_LAYERS   127
#define IMAGE_MAX_DOCUMENT (1024 * 1024) /* bytes of a manifest or configuration */
#define IMAGE_DEADLINE_MS  (600 * 1000)

struct image {
	struct list node;
	char id[ID_SIZE];
	json_t *document; /* the OCI image configuration; never changed, so shared */
	uint64_t size;    /* of the unpacked tree */
	int64_t tagged;   /* when it got its last name, wall clock ns */
	json_t *tags;     /* ["name:tag"], oldest first */
	json_t *digests;  /* ["name@sha256:..."] */
	/* For who has the turn: the names it is about to have, NULL where they stay. */
	json_t *next_tags, *next_digests;
};

struct images {
	struct store *store;
	char *dir, *busybox;
	uint64_t max_bytes;
	char *(*user_of)(const char *id, bool running, void *arg);
	void (*event)(const char *action, const char *id, const char *name, void *arg);
	void *arg;

	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t changed;
	struct list all;             /* of struct image, oldest first */
	bool turn;                   /* somebody has it */
	const struct image *leaving; /* it is being decided whether this one is removed */
	bool making_busybox;
};

/* ---- image_table.c */

void image_turn_begin(struct images *im);
void image_turn_end(struct images *im);
/* With the mutex or the turn. Name, digest, id or its unique prefix; NULL if there is none. */
struct image *image_lookup(struct images *im, const char *ref);
struct image *image_by_id(struct images *im, const char *id);
/* A row and its directory; NULL and *err when they cannot be an image. */
struct image *image_from_row(struct images *im, const struct store_row *row, struct cnm_error *err);
void image_free(struct image *i);
/*
 * With the turn: commit that i has these names besides its own (arrays or NULL), which other images
 * lose. is_new: i is no member of the table yet, and becomes one.
 */
int image_add_names(struct images *im, struct image *i, json_t *tags, json_t *digests, bool is_new,
		    struct cnm_error *err);
/* With the turn: commit that i has lost these tags and digests; then it may have none. */
int image_drop_names(struct images *im, struct image *i, const json_t *names,
		     struct cnm_error *err);
/* With the turn: delete the row and move the directory away, to *ret_gone (removed by the caller).
 */
int image_delete(struct images *im, struct image *i, char **ret_gone, struct cnm_error *err);
bool image_has(const json_t *names, const char *name);
void image_tell(struct images *im, const char *action, const char *id, const char *name);

/* ---- image_files.c */

/* A path or other text (caller frees); NULL: no memory, and *err says so. */
char *image_text(struct cnm_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* DIR/tmp.XXXXXX; image_work_done() removes it with all that is in it. */
int image_work_new(struct images *im, char **ret, struct cnm_error *err);
void image_work_done(char **work);
#define _work_ _cleanup_(image_work_done)

/*
 * process_run() for a program that works on data from outside: that it fails is the data's fault
 * (INVALID), and a file larger than options->max_file is said in words.
 */
int image_run(const char *const argv[], struct process_options *options, struct process_result *ret,
	      struct cnm_error *err);
/* SHA-256 of a file, in hex. */
int image_digest(const char *path, char ret[static ID_SIZE], struct cnm_error *err);
/* A regular file at most max bytes long (caller frees). *ret is NULL if there is none. */
int image_read(const char *path, size_t max, char **ret, struct cnm_error *err);
int image_write(const char *path, const char *text, struct cnm_error *err);
/* Text from outside, at most 64 levels deep. what: for the message. */
int image_parse(const char *text, const char *what, json_t **ret, struct cnm_error *err);
/* Both. *ret is NULL if there is no such file. */
int image_read_json(const char *path, const char *what, json_t **ret, struct cnm_error *err);
/*
 * The regular file that name, which is hostile, means beneath root: links are followed, but not out
 * of it. The path is the caller's.
 */
int image_beneath(const char *root, const char *name, char **ret, struct cnm_error *err);
enum image_packing { IMAGE_PLAIN, IMAGE_GZIP, IMAGE_XZ, IMAGE_ZSTD, IMAGE_BZIP2 };
int image_packing(const char *path, enum image_packing *ret, struct cnm_error *err);
/* Unpack (or copy) the file from to the new file to, which may have max bytes. */
int image_plain_copy(const char *from, const char *to, enum image_packing packing, uint64_t max,
		     struct cnm_error *err);

/* ---- image_config.c */

/* Is it an image configuration with this many layers, every member of the type it must have? */
int image_config_check(const json_t *document, size_t n_layers, struct cnm_error *err);
/* The hex digits of layer i of a checked one. */
const char *image_config_layer(const json_t *document, size_t i);

/* This machine's architecture as images name it: "amd64". */
const char *image_architecture(void);

/* ---- image_build.c */

/*
 * Where an image's parts are; the names are hostile,
 * and meant beneath root, on DIR's file
 * system: plain layers are linked. */
struct image_parts {
	const char *root;
	const char *config;
	const char *expect_id; /* what the configuration's digest must be, or NULL */
	const json_t *layers;  /* array of names, lowest first; packed or plain */
};
/*
 * Makes WORK/image, the directory as it will be, and *ret, which has no names and is in no table.
 */
int image_build(struct images *im, const char *work, const struct image_parts *parts,
		struct image **ret, struct cnm_error *err);
/*
 * Puts what image_build() made at its place under these names, unless it is there already; the
 * names it gets in either case. i is taken over, always. action: the event's, or NULL.
 */
int image_add(struct images *im, const char *work, struct image *i, json_t *tags, json_t *digests,
	      const char *action, struct cnm_error *err);
/* The parts that an OCI or Docker manifest names: files BLOBS<hex>. *ret_layers is the caller's. */
int image_manifest_parts(const json_t *manifest, const char *blobs, char **ret_config,
			 const char **ret_id, json_t **ret_layers, struct cnm_error *err);

/* ---- image_busybox.c */

/* Make busybox:latest of the machine's, whatever has that name now. */
int image_make_busybox(struct images *im, struct cnm_error *err);
extern const char image_busybox_name[];

/* ---- image_filter.c */

struct image_filter;
int image_filter_parse(struct image_filter **ret, const char *text, struct cnm_error *err);
void image_filter_free(struct image_filter *f);
bool image_filter_shows(const struct image_filter *f, const char *name);
/* With the mutex: look up the images that "before" and "since" name. */
int image_filter_resolve(struct image_filter *f, struct images *im, struct cnm_error *err);
bool image_filter_matches(const struct image_filter *f, const struct image *i);
/* Seconds since 1970 when it was made, 0 if it does not say. */
int64_t image_created(const struct image *i);

#endif
