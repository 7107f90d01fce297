/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of the images share: a store and images in a directory of their own, archives
 * written member by member (so that they can be wrong), and a record of what was told.
 */
#ifndef TESTS_IMAGES_FIXTURE_H
#define TESTS_IMAGES_FIXTURE_H

#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/images_internal.h"
#include "containers/rootfs.h"

static char dir[64];
static struct cnm_error err;
static struct store *store;
static struct images *im;
static const char *user, *running_user; /* who user_of() says uses any image */
static char events[4096], said[4096];

static inline const char *path_of(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A path in the test's directory; the last eight stay. */
static inline const char *path_of(const char *fmt, ...)
{
	static char paths[8][512];
	static unsigned next;
	char *path = paths[next++ % 8];
	va_list ap;
	int n = snprintf(path, 512, "%s/", dir);

	va_start(ap, fmt);
	vsnprintf(path + n, 512 - (size_t)n, fmt, ap);
	va_end(ap);
	return path;
}

static inline char *user_of(const char *id, bool running, void *arg)
{
	const char *name = running ? running_user : user ? user : running_user;

	return name ? strdup(name) : NULL;
}

static inline void on_event(const char *action, const char *id, const char *name, void *arg)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	size_t n;

	LOCKED(&mutex);
	n = strlen(events);
	snprintf(events + n, sizeof(events) - n, "%s %s;", action, id_is_valid(name) ? "ID" : name);
}

static inline void on_progress(const char *json, void *arg)
{
	size_t n = strlen(said);

	snprintf(said + n, sizeof(said) - n, "%s\n", json);
}

static inline void must(int r)
{
	if (r < 0)
		fail_msg("%s", err.text);
}

static inline void expect_error(int r, enum cnm_error_class class, const char *part)
{
	assert_true(r < 0);
	if (!strstr(err.text, part))
		fail_msg("expected \"%s\" in \"%s\"", part, err.text);
	if (err.class != class)
		fail_msg("class %d of \"%s\"", err.class, err.text);
	memset(&err, 0, sizeof(err));
}

static inline void open_images(uint64_t max_bytes, const char *busybox)
{
	struct images_options o = {
		.max_bytes = max_bytes, .busybox = busybox, .user_of = user_of, .event = on_event
	};

	must(store_open(&store, path_of("state"), &err));
	o.store = store;
	o.dir = path_of("images");
	must(images_open(&im, &o, &err));
}

static inline void close_images(void)
{
	images_close(im);
	store_close(store);
	im = NULL;
	store = NULL;
}

static inline int setup(void **state)
{
	strcpy(dir, "/tmp/cnm-test-images.XXXXXX");
	memset(&err, 0, sizeof(err));
	user = running_user = NULL;
	events[0] = said[0] = '\0';
	if (!mkdtemp(dir))
		return -1;
	open_images(0, NULL);
	return 0;
}

static inline int teardown(void **state)
{
	close_images();
	return tree_remove(dir, &err);
}

/* A test in a directory of its own. */
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Entries of the images' directory; unfinished work among them fails the test. */
static inline int entries(void)
{
	DIR *d = opendir(path_of("images"));
	struct dirent *e;
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		if (!id_is_valid(e->d_name))
			fail_msg("%s is left behind", e->d_name);
		n++;
	}
	closedir(d);
	return n;
}

/* Run a shell command in the test's directory. */
static inline void shell(const char *command)
{
	char line[2048];

	snprintf(line, sizeof(line), "cd %s && { %s; } >/dev/null 2>&1", dir, command);
	if (system(line) != 0)
		fail_msg("%s", command);
}

/* ---- tar archives */

struct member {
	const char *name;
	char type; /* '0' file, '1' hard link, '2' symbolic link, '3' device, '5' directory */
	const char *data; /* or where a link leads */
};

static inline void tar_bytes(FILE *f, const char *name, char type, const char *link,
			     const char *data, size_t n)
{
	char h[512] = "", zero[512] = "";
	unsigned sum = 0;

	strncpy(h, name, 100);
	snprintf(h + 100, 8, "%07o", 0755);
	snprintf(h + 108, 8, "%07o", 0);
	snprintf(h + 116, 8, "%07o", 0);
	snprintf(h + 124, 12, "%011o", (unsigned)n);
	snprintf(h + 136, 12, "%011o", 0);
	memset(h + 148, ' ', 8);
	h[156] = type;
	strncpy(h + 157, link, 100);
	memcpy(h + 257, "ustar\00000", 8);
	snprintf(h + 329, 8, "%07o", type == '3' ? 1 : 0);
	snprintf(h + 337, 8, "%07o", type == '3' ? 3 : 0);
	for (size_t i = 0; i < sizeof(h); i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum);
	fwrite(h, 1, sizeof(h), f);
	fwrite(data, 1, n, f);
	fwrite(zero, 1, (512 - n % 512) % 512, f);
}

static inline void tar_member(FILE *f, const struct member *m)
{
	bool is_link = m->type == '1' || m->type == '2';

	tar_bytes(f, m->name, m->type, is_link ? m->data : "", is_link ? "" : m->data,
		  is_link ? 0 : strlen(m->data));
}

static inline FILE *tar_begin(const char *path)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	return f;
}

static inline void tar_end(FILE *f)
{
	static const char zero[1024];

	fwrite(zero, 1, sizeof(zero), f);
	assert_int_equal(fclose(f), 0);
}

/* Writes members until one without a name. */
static inline const char *tar_of(const char *path, const struct member *members)
{
	FILE *f = tar_begin(path);

	for (; members->name; members++)
		tar_member(f, members);
	tar_end(f);
	return path;
}

static inline void tar_file(FILE *f, const char *name, const char *path)
{
	char *data;
	struct stat sb;
	FILE *in = fopen(path, "r");

	assert_non_null(in);
	assert_int_equal(fstat(fileno(in), &sb), 0);
	data = malloc((size_t)sb.st_size + 1);
	assert_int_equal(fread(data, 1, (size_t)sb.st_size, in), (size_t)sb.st_size);
	fclose(in);
	tar_bytes(f, name, '0', "", data, (size_t)sb.st_size);
	free(data);
}

/* A docker-archive of one image, of the layer in the file `layer`. Returns its path. */
static inline const char *docker_archive(const char *layer)
{
	const char *path = path_of("archive.tar");
	char digest[ID_SIZE], config[512];
	FILE *f = tar_begin(path);

	must(image_digest(layer, digest, &err));
	snprintf(config, sizeof(config),
		 "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"x\"]},"
		 "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\"]}}",
		 digest);
	tar_member(f, &(struct member){ "manifest.json", '0',
					"[{\"Config\":\"c.json\",\"RepoTags\":[\"made:1\"],"
					"\"Layers\":[\"l/layer.tar\"]}]" });
	tar_member(f, &(struct member){ "c.json", '0', config });
	tar_file(f, "l/layer.tar", layer);
	tar_end(f);
	return path;
}

static inline int load(const char *path)
{
	return images_load(im, path, on_progress, NULL, &err);
}

/* An archive of these as saved.tar. */
static inline void save(const char *const *refs, unsigned n)
{
	char buf[65536];
	ssize_t got;
	FILE *f = fopen(path_of("saved.tar"), "w");
	int fd;

	assert_non_null(f);
	must(images_save(im, refs, n, &fd, &err));
	while ((got = read(fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)got, f);
	close(fd);
	assert_int_equal(fclose(f), 0);
}

/* What images_inspect() shows; the caller's. */
static inline json_t *inspect(const char *ref)
{
	char *text = NULL;
	json_t *j;

	must(images_inspect(im, ref, &text, &err));
	j = json_loads(text, 0, NULL);
	free(text);
	assert_non_null(j);
	return j;
}

static inline void find_id(const char *ref, char id[static ID_SIZE])
{
	struct image_info info = { .rootfs = NULL };

	must(images_find(im, ref, &info, &err));
	memcpy(id, info.id, ID_SIZE);
	image_info_free(&info);
}

static inline void remove_image(const char *ref, bool force)
{
	char *text = NULL;

	must(images_remove(im, ref, force, &text, &err));
	free(text);
}

#endif
