/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images from archives that are wrong or mean harm, images half made when the daemon was killed,
 * and many at once. Whatever happens, the error says what is wrong and nothing is left.
 */
#include "images_fixture.h"

#include "containers/process.h"

#define SHA0 "sha256:0000000000000000000000000000000000000000000000000000000000000000"
#define HEX0 "0000000000000000000000000000000000000000000000000000000000000000"
#define MANIFEST(config, layers) \
	"[{\"Config\":\"" config "\",\"RepoTags\":[\"evil:1\"],\"Layers\":[" layers "]}]"
#define CONFIG(ids) "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[" ids "]}}"

/* A load that fails so; nothing is left of it. */
static void expect_refused(const char *path, const char *words)
{
	expect_error(load(path), CNM_E_INVALID, words);
	assert_int_equal(entries(), 0);
	assert_int_equal(images_count(im), 0);
	assert_string_equal(events, "");
}

/* -------------------------------------------------------------------------- what archives claim */

static void test_claims(void **state)
{
	static const struct {
		const char *words;
		struct member members[4];
	} cases[] = {
		{ "neither a manifest.json", { { "x", '0', "" } } },
		{ "manifest.json is no JSON", { { "manifest.json", '0', "[{" } } },
		{ "array of 1 to", { { "manifest.json", '0', "{}" } } },
		{ "array of 1 to", { { "manifest.json", '0', "[]" } } },
		{ "must name a \"Config\"", { { "manifest.json", '0', "[{}]" } } },
		{ "must name a \"Config\"",
		  { { "manifest.json", '0', "[{\"Config\":1,\"Layers\":[]}]" } } },
		{ "\"Layers\" must be strings", { { "manifest.json", '0', MANIFEST("c", "1") } } },
		{ "invalid reference format",
		  { { "manifest.json", '0',
		      "[{\"Config\":\"c\",\"RepoTags\":[\"a b\"],\"Layers\":[]}]" } } },
		{ "there is no file \"c\"", { { "manifest.json", '0', MANIFEST("c", "\"l\"") } } },
		{ "there is no file \"/etc/passwd\"",
		  { { "manifest.json", '0', MANIFEST("/etc/passwd", "\"l\"") } } },
		{ "there is no file \"../../../../../../../etc/passwd\"",
		  { { "manifest.json", '0',
		      MANIFEST("../../../../../../../etc/passwd", "\"l\"") } } },
		{ "there is no file \"c\"",
		  { { "manifest.json", '0', MANIFEST("c", "\"l\"") },
		    { "c", '2', "/etc/passwd" } } },
		{ "there is no file \"c\"",
		  { { "manifest.json", '0', MANIFEST("c", "\"l\"") }, { "c", '6', "" } } },
		{ "there is no file \"c\"",
		  { { "manifest.json", '0', MANIFEST("c", "\"l\"") }, { "c", '5', "" } } },
		{ "configuration is no JSON:",
		  { { "manifest.json", '0', MANIFEST("c", "\"l\"") },
		    { "c", '0',
		      "\x7f"
		      "ELF" } } },
		{ "configuration is no JSON object",
		  { { "manifest.json", '0', MANIFEST("c", "\"l\"") }, { "c", '0', "[]" } } },
		{ "names no layers",
		  { { "manifest.json", '0', MANIFEST("c", "\"l\"") }, { "c", '0', "{}" } } },
		{ "\"Env\" must be an array of strings",
		  { { "manifest.json", '0', MANIFEST("c", "\"l\"") },
		    { "c", '0', "{\"config\":{\"Env\":[1]}}" } } },
		{ "\"history\" must hold objects",
		  { { "manifest.json", '0', MANIFEST("c", "\"l\"") },
		    { "c", '0', "{\"history\":[1]}" } } },
		{ "has 1 layers, but its configuration names 2",
		  { { "manifest.json", '0', MANIFEST("c", "\"l\"") },
		    { "c", '0', CONFIG("\"" SHA0 "\",\"" SHA0 "\"") } } },
		{ "layer 1 has no sha256 digest",
		  { { "manifest.json", '0', MANIFEST("c", "\"l\"") },
		    { "c", '0', CONFIG("\"sha256:../../x\"") } } },
		{ "layer 1: there is no file \"l\"",
		  { { "manifest.json", '0', MANIFEST("c", "\"l\"") },
		    { "c", '0', CONFIG("\"" SHA0 "\"") } } },
		{ "layer 1: there is no file \"l\"",
		  { { "manifest.json", '0', MANIFEST("c", "\"l\"") },
		    { "c", '0', CONFIG("\"" SHA0 "\"") },
		    { "l", '2', "/etc/passwd" } } },
		{ "unpack the image: umoci",
		  { { "manifest.json", '0', MANIFEST("c", "\"l\"") },
		    { "c", '0', CONFIG("\"" SHA0 "\"") },
		    { "l", '0', "not what the digest says" } } },
		{ "contains '..'", { { "../up", '0', "x" } } },
		{ "must name 1 to", { { "index.json", '0', "{}" } } },
		{ "no sha256 digest",
		  { { "index.json", '0', "{\"manifests\":[{\"digest\":\"sha256:../x\"}]}" } } },
		{ "there is no file \"blobs/sha256/" HEX0,
		  { { "index.json", '0', "{\"manifests\":[{\"digest\":\"" SHA0 "\"}]}" } } },
		{ "must name a \"config\"",
		  { { "index.json", '0', "{\"manifests\":[{\"digest\":\"" SHA0 "\"}]}" },
		    { "blobs/sha256/" HEX0, '0', "{}" } } },
		{ "it has no image for linux/",
		  { { "index.json", '0', "{\"manifests\":[{\"digest\":\"" SHA0 "\"}]}" },
		    { "blobs/sha256/" HEX0, '0', "{\"manifests\":[]}" } } },
		{ "has the digest 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a, but",
		  { { "index.json", '0', "{\"manifests\":[{\"digest\":\"" SHA0 "\"}]}" },
		    { "blobs/sha256/" HEX0, '0',
		      "{\"config\":{\"digest\":\"sha256:"
		      "1111111111111111111111111111111111111111111111111111111111111111\"},"
		      "\"layers\":[]}" },
		    { "blobs/sha256/1111111111111111111111111111111111111111111111111111111111111111",
		      '0', "{}" } } },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		expect_refused(tar_of(path_of("a.tar"), cases[i].members), cases[i].words);
}

/* prefix, n times middle, suffix: as the member of that name beside an honest manifest. */
static const char *long_member(const char *name, const char *prefix, const char *middle, size_t n,
			       const char *suffix)
{
	const char *path = path_of("a.tar");
	FILE *f = tar_begin(path);
	struct strbuf b = { .s = NULL };
	char *text;

	strbuf_add(&b, prefix);
	for (size_t i = 0; i < n; i++)
		strbuf_add(&b, middle);
	strbuf_add(&b, suffix);
	text = strbuf_take(&b);
	if (!streq(name, "manifest.json"))
		tar_member(f, &(struct member){ "manifest.json", '0', MANIFEST("c", "\"l\"") });
	tar_member(f, &(struct member){ name, '0', text });
	tar_end(f);
	free(text);
	return path;
}

static void test_too_much(void **state)
{
	expect_refused(long_member("manifest.json", "", "[", 100, ""), "deeper than 64 levels");
	expect_refused(long_member("manifest.json", "[\"", "x", 2 << 20, "\"]"),
		       "more than the 1048576 that such a file may have");
	expect_refused(long_member("manifest.json", "[", "1,", 64, "1]"), "array of 1 to 64");
	expect_refused(long_member("manifest.json", "[{\"Config\":\"c\",\"Layers\":[", "\"l\",",
				   127, "\"l\"]}]"),
		       "at most 127");
	expect_refused(long_member("c", "{\"x\":", "[", 5000, ""), "deeper than 64 levels");
	expect_refused(long_member("c", "{\"rootfs\":{\"diff_ids\":[", "\"x\",", 127, "\"x\"]}}"),
		       "has 128 layers");
	expect_refused(long_member("c", "{\"x\":\"", "y", 2 << 20, "\"}"), "more than the 1048576");
}

/* An honest archive cut anywhere. */
static void test_cut(void **state)
{
	const char *refs[] = { "busybox" };
	struct stat sb;

	find_id("busybox", (char[ID_SIZE]){ "" });
	save(refs, 1);
	remove_image("busybox", false);
	events[0] = '\0';
	assert_int_equal(stat(path_of("saved.tar"), &sb), 0);
	for (off_t size = sb.st_size * 15 / 16; size > 0; size -= sb.st_size / 8) {
		assert_int_equal(truncate(path_of("saved.tar"), size), 0);
		expect_refused(path_of("saved.tar"), "the archive cannot be loaded: ");
	}
	assert_int_equal(truncate(path_of("saved.tar"), 0), 0);
	expect_refused(path_of("saved.tar"), "the archive cannot be loaded: ");
}

/* -------------------------------------------------------------------------- what layers contain */

/* dir/victim as seen from the unpacked tree of an image that is being made. */
#define OUT "../../../../"

static void test_layers_stay_inside(void **state)
{
	static const struct member members[][5] = {
		{ { OUT "victim", '0', "owned" } },
		{ { "a/../" OUT OUT "victim", '0', "owned" } },
		{ { "up", '2', OUT }, { "up/victim", '0', "owned" } },
		{ { "up", '2', OUT }, { "up/new", '0', "owned" } },
		{ { "d", '5', "" }, { "d/up", '2', "../" OUT }, { "d/up/victim", '0', "owned" } },
		{ { "h", '1', OUT "victim" }, { "h", '0', "owned" } },
		{ { "s", '2', OUT "victim" }, { "s", '0', "owned" } },
		{ { "s", '2', OUT "victim" }, { "h", '1', "s" }, { "h", '0', "owned" } },
		{ { "up", '2', OUT }, { "h", '1', "up/victim" }, { "h", '0', "owned" } },
		{ { "up", '2', OUT }, { "up/.wh.victim", '0', "" } },
		{ { "up", '2', OUT }, { "up/.wh..wh..opq", '0', "" } },
		{ { OUT ".wh.victim", '0', "" } },
		{ { ".wh...", '0', "" } },
		{ { ".", '2', OUT }, { "victim", '0', "owned" } },
	};

	shell("echo safe > victim && chmod 640 victim");
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		tar_of(path_of("layer.tar"), members[i]);
		if (load(docker_archive(path_of("layer.tar"))) == 0)
			remove_image("made:1", false);
		shell("test $(cat victim) = safe && test $(stat -c %a%h victim) = 6401 &&"
		      "test \"$(ls | tr '\\n' ' ')\" = 'archive.tar images layer.tar state victim '");
		assert_int_equal(entries(), 0);
	}
}

/* The same with absolute names, and links to absolute places. */
static void test_layers_absolute(void **state)
{
	char victim[256], below[300];

	shell("mkdir safe && echo safe > safe/victim");
	snprintf(victim, sizeof(victim), "%s/safe/victim", dir);
	snprintf(below, sizeof(below), "%s/safe", dir);
	const struct member members[][3] = {
		{ { victim, '0', "owned" } },
		{ { "s", '2', victim }, { "s", '0', "owned" } },
		{ { "h", '1', victim }, { "h", '0', "owned" } },
		{ { "up", '2', below }, { "up/victim", '0', "owned" } },
		{ { "up", '2', below }, { "up/.wh.victim", '0', "" } },
	};
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		char with_end[sizeof(struct member) * 4] = { 0 };

		memcpy(with_end, members[i], sizeof(members[i]));
		tar_of(path_of("layer.tar"), (const struct member *)(const void *)with_end);
		if (load(docker_archive(path_of("layer.tar"))) == 0)
			remove_image("made:1", false);
		shell("test $(cat safe/victim) = safe && test \"$(ls safe)\" = victim");
		assert_int_equal(entries(), 0);
	}
}

/* Devices are made, as in Docker; a container's cgroup says which it may open. */
static void test_device(void **state)
{
	static const struct member members[] = { { "null", '3', "" }, { NULL, 0, NULL } };

	tar_of(path_of("layer.tar"), members);
	must(load(docker_archive(path_of("layer.tar"))));
	shell("test -c images/*/rootfs/null");
}

/* ---------------------------------------------------------------------------------------- bombs */

#define BOUND (1 << 20)

static void test_bombs(void **state)
{
	close_images();
	open_images(BOUND, NULL);
	shell("truncate -s 4M zero && gzip -k zero && mkdir d && cp zero.gz d/");
	expect_refused(path_of("zero.gz"), "larger than may be");
	shell("tar -cf a.tar zero");
	expect_refused(path_of("a.tar"), "larger than may be");
	shell("truncate -s 512G huge && tar --format=pax -Scf layer.tar huge && rm huge");
	expect_refused(docker_archive(path_of("layer.tar")), "larger than may be");
	shell("rm zero; for i in 1 2 3; do head -c 400000 /dev/zero > d/$i; done;"
	      "tar -C d -cf layer.tar 1 2 3 && gzip layer.tar");
	expect_refused(docker_archive(path_of("layer.tar.gz")), "larger than may be");
}

/* Each layer is within the bound, all together are not. */
static void test_sum_of_layers(void **state)
{
	char ids[2][ID_SIZE], config[400];
	FILE *f;

	close_images();
	open_images(BOUND, NULL);
	shell("for i in 0 1; do head -c 600000 /dev/zero > $i; tar -cf $i.tar $i; gzip $i.tar -k; done");
	must(image_digest(path_of("0.tar"), ids[0], &err));
	must(image_digest(path_of("1.tar"), ids[1], &err));
	snprintf(config, sizeof(config), CONFIG("\"sha256:%s\",\"sha256:%s\""), ids[0], ids[1]);
	for (int packed = 0; packed < 2; packed++) {
		f = tar_begin(path_of("a.tar"));
		tar_member(f,
			   &(struct member){ "manifest.json", '0', MANIFEST("c", "\"0\",\"1\"") });
		tar_member(f, &(struct member){ "c", '0', config });
		tar_file(f, "0", path_of(packed ? "0.tar.gz" : "0.tar"));
		tar_file(f, "1", path_of(packed ? "1.tar.gz" : "1.tar"));
		tar_end(f);
		expect_refused(path_of("a.tar"),
			       packed ? "layer 2: unpack the archive: it is larger"
				      : "layer 2: its layers have more than");
	}
}

static void test_import_bomb(void **state)
{
	char *id = NULL;

	close_images();
	open_images(BOUND, NULL);
	shell("truncate -s 4M zero && tar -czf root.tar.gz zero");
	expect_error(images_import(im, path_of("root.tar.gz"), "a", NULL, NULL, 0, &id, &err),
		     CNM_E_INVALID, "larger than may be");
	assert_int_equal(entries(), 0);
}

/* -------------------------------------------------------------------------------------- crashes */

static void test_leftovers_are_swept(void **state)
{
	char id[ID_SIZE], command[256];

	find_id("busybox", id);
	snprintf(command, sizeof(command),
		 "cd images && mkdir -p tmp.abc/image/layout " HEX0 " && cp -a %s tmp.abc/more && "
		 "touch tmp.file other",
		 id);
	close_images();
	shell(command);
	open_images(0, NULL);
	shell("test $(ls images | wc -l) = 2 && rm images/other"); /* what is not ours stays */
	assert_int_equal(entries(), 1);
	assert_int_equal(images_count(im), 1);

	close_images(); /* a row without its directory */
	snprintf(command, sizeof(command), "rm -r images/%s/rootfs", id);
	shell(command);
	open_images(0, NULL);
	assert_int_equal(images_count(im), 0);
	assert_int_equal(entries(), 0);
	close_images();
	open_images(0, NULL); /* and the row is gone too */
	find_id("busybox", id);
}

/* A child that loads, tags and removes without end, killed at any moment. */
static void work_until_killed(void)
{
	setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failed assertion must not run on here */
	open_images(0, NULL);
	for (;;) {
		char *answer = NULL;

		if (load(path_of("saved.tar")) < 0 ||
		    images_tag(im, "busybox", "b", "2", &err) < 0 ||
		    images_remove(im, "b:2", false, &answer, &err) < 0)
			_exit(1);
		free(answer);
		if (images_remove(im, "busybox", false, &answer, &err) < 0)
			_exit(1);
		free(answer);
	}
}

static void test_killed(void **state)
{
	const char *refs[] = { "busybox" };
	int status;

	rng_seed();
	find_id("busybox", (char[ID_SIZE]){ "" });
	save(refs, 1);
	for (int i = 0; i < 12; i++) {
		pid_t pid;

		close_images();
		pid = fork();
		if (pid == 0)
			work_until_killed();
		usleep(5000 + rng(100000)); /* the moment of the crash, not a wait */
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		while (waitpid(-1, NULL, 0) > 0) /* the programs it ran come to us */
			;
		open_images(0, NULL);
		assert_int_equal(entries(), images_count(im));
		must(load(path_of("saved.tar")));
		assert_int_equal(entries(), 1);
	}
}

/* ---------------------------------------------------------------------------------- all at once */

struct worker {
	pthread_t thread;
	const char *file;
	int kind;
	char bad[CNM_ERROR_TEXT];
};

/* May fail only because the others removed what it asks for. */
static int one_step(struct worker *w, struct cnm_error *why)
{
	char *answer = NULL, id[ID_SIZE];
	const char *refs[] = { "busybox" };
	struct image_info info;
	int r = 0, fd;

	if (w->kind == 0)
		return images_load(im, w->file, NULL, NULL, why);
	if (w->kind == 1) {
		r = images_remove(im, "busybox", false, &answer, why);
		free(answer);
	} else if (w->kind == 2) {
		r = images_find(im, "busybox", &info, why);
		if (r == 0)
			image_info_free(&info);
	} else if (w->kind == 3) {
		r = images_list(im, NULL, false, &answer, why);
		free(answer);
		images_lookup(im, "busybox", id);
	} else {
		r = images_save(im, refs, 1, &fd, why);
		if (r == 0)
			close(fd);
	}
	return r;
}

static void *run_steps(void *arg)
{
	struct worker *w = arg;
	struct cnm_error why;

	for (int i = 0; i < 6; i++) {
		memset(&why, 0, sizeof(why));
		if (one_step(w, &why) < 0 && why.class != CNM_E_NOT_FOUND)
			str_copy(w->bad, sizeof(w->bad), why.text);
	}
	return NULL;
}

static void test_all_at_once(void **state)
{
	const char *refs[] = { "busybox" };
	char file[128];
	struct worker workers[10] = { { .kind = 0 } };

	find_id("busybox", (char[ID_SIZE]){ "" });
	save(refs, 1);
	snprintf(file, sizeof(file), "%s/saved.tar", dir);
	for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
		workers[i] = (struct worker){ .file = file, .kind = (int)i % 5 };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, run_steps, &workers[i]),
				 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].bad[0])
			fail_msg("%s", workers[i].bad);
	}
	assert_int_equal(entries(), images_count(im));
	must(load(path_of("saved.tar")));
	assert_int_equal(entries(), 1);
	shell("test -x images/*/rootfs/bin/sh");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_claims),
		T(test_too_much),
		T(test_cut),
		T(test_layers_stay_inside),
		T(test_layers_absolute),
		T(test_device),
		T(test_bombs),
		T(test_sum_of_layers),
		T(test_import_bomb),
		T(test_leftovers_are_swept),
		T(test_killed),
		T(test_all_at_once),
	};

	if (process_become_reaper() < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
