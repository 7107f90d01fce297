/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images made, saved, loaded, imported, pulled, named and removed, with the real skopeo, umoci, tar
 * and busybox. Archives that are wrong, and crashes, are in test_images_hostile.c.
 */
#include "images_fixture.h"

#include <sched.h>
#include <sys/mount.h>

#include "containers/process.h"

#define BUSYBOX "busybox:latest"

/* -------------------------------------------------------------------------------------- busybox */

static void test_busybox(void **state)
{
	struct image_info info;
	char command[256], id[ID_SIZE], prefix[16];

	must(images_find(im, "busybox", &info, &err));
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(info.config, "Cmd"), 0)), "sh");
	assert_string_equal(info.rootfs, path_of("images/%s/rootfs", info.id));
	snprintf(command, sizeof(command),
		 "chroot images/%s/rootfs /bin/sh -c 'ls /tmp && grep -q root /etc/passwd'",
		 info.id);
	shell(command);
	assert_string_equal(events, "import " BUSYBOX ";");
	assert_int_equal(entries(), 1);

	find_id("docker.io/library/busybox", id);
	assert_string_equal(id, info.id);
	snprintf(prefix, sizeof(prefix), "%.7s", info.id);
	find_id(prefix, id);
	assert_string_equal(id, info.id);
	snprintf(prefix, sizeof(prefix), "sha256:%.5s", info.id);
	find_id(prefix, id);
	assert_string_equal(id, info.id);
	assert_true(images_names(im, "busybox", info.id));
	assert_string_equal(events, "import " BUSYBOX ";"); /* made once */
	image_info_free(&info);
}

static void test_busybox_is_reproducible(void **state)
{
	char id[ID_SIZE], again[ID_SIZE];

	find_id("busybox", id);
	remove_image("busybox", false);
	assert_int_equal(images_count(im), 0);
	assert_int_equal(entries(), 0);
	find_id(BUSYBOX, again);
	assert_string_equal(id, again);
}

static void *find_busybox(void *arg)
{
	struct cnm_error why;
	struct image_info info;
	long r = images_find(im, "busybox", &info, &why);

	if (r == 0)
		image_info_free(&info);
	return (void *)r;
}

static void test_first_uses_at_once(void **state)
{
	pthread_t threads[6];
	void *r;

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, find_busybox, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], &r);
		assert_null(r);
	}
	assert_string_equal(events, "import " BUSYBOX ";");
	assert_int_equal(entries(), 1);
}

static void test_busybox_missing(void **state)
{
	struct image_info info;

	close_images();
	open_images(0, path_of("none"));
	expect_error(images_find(im, "busybox", &info, &err), CNM_E_UNAVAILABLE,
		     "install the package busybox-static");
	close_images();
	open_images(0, "/bin/ls"); /* needs ld.so */
	expect_error(images_find(im, "busybox", &info, &err), CNM_E_UNAVAILABLE, "is not static");
	assert_int_equal(entries(), 0);
}

static void test_absent(void **state)
{
	struct image_info info;
	char id[ID_SIZE];

	expect_error(images_find(im, "debian", &info, &err), CNM_E_NOT_FOUND,
		     "No such image: debian:latest");
	expect_error(images_find(im, "busybox:1.35", &info, &err), CNM_E_NOT_FOUND,
		     "No such image: busybox:1.35");
	expect_error(images_find(im, "Debian", &info, &err), CNM_E_INVALID, "must be lowercase");
	assert_int_equal(images_lookup(im, "busybox", id), -ENOENT); /* makes none */
}

/* -------------------------------------------------------------------------------- save and load */

static void test_save_and_load(void **state)
{
	const char *refs[] = { "busybox" };
	char id[ID_SIZE], again[ID_SIZE];

	find_id("busybox", id);
	must(images_tag(im, "busybox", "host:5000/a/b", "2", &err));
	save(refs, 1);
	remove_image(BUSYBOX, false);
	remove_image("host:5000/a/b:2", false);
	assert_int_equal(entries(), 0);
	events[0] = '\0';
	must(load(path_of("saved.tar")));
	assert_string_equal(said, "{\"stream\":\"Loaded image: " BUSYBOX "\\n\"}\n");
	assert_string_equal(events, "load " BUSYBOX ";");
	find_id("busybox", again);
	assert_string_equal(id, again);
	assert_int_equal(images_lookup(im, "host:5000/a/b:2", again), -ENOENT);
	must(load(path_of("saved.tar"))); /* once more changes nothing */
	assert_int_equal(images_count(im), 1);
	assert_int_equal(entries(), 1);
}

static void test_save_several(void **state)
{
	const char *all[] = { "x/app", "busybox", "busybox" };
	char id[ID_SIZE], made[ID_SIZE];
	const char *none[] = { "busybox", "none" };
	int fd;

	find_id("busybox", id);
	must(images_tag(im, "busybox", "x/app", "1", &err));
	must(images_tag(im, "busybox", "x/app", "2", &err));
	shell("mkdir r && echo hi > r/file && tar -C r -cf layer.tar .");
	must(load(docker_archive(path_of("layer.tar"))));
	find_id("made:1", made);
	must(images_tag(im, "made:1", "x/app", "3", &err));
	save(all, 3);
	for (const char *const *ref = (const char *const[]){ "busybox", "x/app:1", "x/app:2",
							     "x/app:3", "made:1", NULL };
	     *ref; ref++)
		remove_image(*ref, false);
	assert_int_equal(entries(), 0);
	must(load(path_of("saved.tar")));
	assert_int_equal(images_count(im), 2);
	assert_true(images_names(im, "x/app:1", id) && images_names(im, "x/app:2", id));
	assert_true(images_names(im, "x/app:3", made) && images_names(im, "busybox", id));
	assert_false(images_names(im, "made:1", made));
	expect_error(images_save(im, none, 2, &fd, &err), CNM_E_NOT_FOUND, "No such image: none");
}

/* What skopeo makes of our archives, and we of its. */
static void test_skopeo(void **state)
{
	static const char *const copies[] = {
		"skopeo --insecure-policy copy docker-archive:saved.tar docker-archive:a.tar:q:1",
		"skopeo --insecure-policy copy oci-archive:saved.tar:latest oci-archive:a.tar:q:1",
	};
	const char *refs[] = { "busybox" };
	char id[ID_SIZE], again[ID_SIZE];

	find_id("busybox", id);
	save(refs, 1);
	remove_image("busybox", false);
	for (size_t i = 0; i < ARRAY_LEN(copies); i++) {
		shell("rm -f a.tar");
		shell(copies[i]);
		must(load(path_of("a.tar")));
		find_id("q:1", again);
		assert_string_equal(id, again);
		remove_image("q:1", false);
	}
	shell("rm -f a.tar; skopeo --insecure-policy copy docker-archive:saved.tar "
	      "oci-archive:a.tar:justatag"); /* its layers are packed by skopeo */
	said[0] = '\0';
	must(load(path_of("a.tar")));
	assert_non_null(strstr(said, "Loaded image ID: sha256:"));
	assert_int_equal(images_count(im), 1);
}

static void test_packed_archives(void **state)
{
	static const char *const packers[] = { "gzip", "xz", "zstd", "bzip2" };
	const char *refs[] = { "busybox" };
	char command[64];

	find_id("busybox", (char[ID_SIZE]){ "" });
	save(refs, 1);
	for (size_t i = 0; i < ARRAY_LEN(packers); i++) {
		remove_image("busybox", false);
		snprintf(command, sizeof(command), "%s -c saved.tar > packed", packers[i]);
		shell(command);
		must(load(path_of("packed")));
		assert_int_equal(images_count(im), 1);
	}
	assert_int_equal(entries(), 1);
}

static void test_packed_layer(void **state)
{
	char config[512], digest[ID_SIZE];
	FILE *f;

	shell("mkdir r && echo hi > r/file && tar -C r -cf layer.tar . && gzip -k layer.tar");
	must(image_digest(path_of("layer.tar"), digest, &err));
	snprintf(config, sizeof(config),
		 "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\",\"sha256:%s\"]}}",
		 digest, digest);
	f = tar_begin(path_of("archive.tar"));
	tar_member(f, &(struct member){ "c", '0', config });
	tar_file(f, "1/layer.tar", path_of("layer.tar.gz"));
	tar_member(f, &(struct member){ "2/layer.tar", '2', "../1/layer.tar" });
	tar_member(f, &(struct member){ "manifest.json", '0',
					"[{\"Config\":\"c\",\"RepoTags\":null,\"Layers\":"
					"[\"1/layer.tar\",\"2/layer.tar\"]}]" });
	tar_end(f);
	must(load(path_of("archive.tar")));
	assert_non_null(strstr(said, "Loaded image ID: sha256:"));
	shell("grep -q hi images/*/rootfs/file");
}

/* --------------------------------------------------------------------------------------- import */

static void test_import(void **state)
{
	const char *changes[] = { "CMD [\"a\", \"b\"]",    "entrypoint run it",
				  "ENV A=1 B=\"x y\" A=2", "ENV C the rest",
				  "LABEL k='v w'",         "EXPOSE 80 53/udp",
				  "WORKDIR /srv",          "USER 1:2" };
	char *id = NULL, *env;
	json_t *j;

	shell("mkdir r && echo hi > r/file && tar -C r -czf root.tar.gz .");
	must(images_import(im, path_of("root.tar.gz"), "made", "a word", changes,
			   ARRAY_LEN(changes), &id, &err));
	assert_string_equal(events, "import made:latest;");
	j = inspect(id);
	assert_string_equal(json_string_value(json_object_get(j, "Comment")), "a word");
	env = json_text(json_object_get(json_object_get(j, "Config"), "Env"));
	assert_string_equal(env, "[\"B=x y\",\"A=2\",\"C=the rest\"]");
	free(env);
	json_decref(j);
	free(id);
	shell("grep -q hi images/*/rootfs/file");
}

static void test_import_refuses(void **state)
{
	static const struct {
		const char *change, *words;
	} wrong[] = {
		{ "RUN true", "RUN is not a valid change command" },
		{ "CMD", "needs an argument" },
		{ "CMD [1]", "must hold strings" },
		{ "CMD [\"a\"", "no JSON array" },
		{ "ENV A=\"x", "quote is left open" },
		{ "ENV A=1 B", "NAME=VALUE" },
		{ "EXPOSE 70000", "must be PORT" },
		{ "EXPOSE 80/icmp", "must be PORT" },
	};
	char *id = NULL;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		expect_error(images_import(im, path_of("none"), "", NULL, &wrong[i].change, 1, &id,
					   &err),
			     CNM_E_INVALID, wrong[i].words);
	expect_error(images_import(im, path_of("none"), "A", NULL, NULL, 0, &id, &err),
		     CNM_E_INVALID, "must be lowercase");
	expect_error(images_import(im, "/bin/ls", "a", NULL, NULL, 0, &id, &err), CNM_E_INVALID,
		     "unpack the image");
	assert_int_equal(entries(), 0);
}

/* ---------------------------------------------------------------------------- names and removal */

static void test_tags(void **state)
{
	char id[ID_SIZE], other[ID_SIZE], found[ID_SIZE];

	find_id("busybox", id);
	shell("mkdir r && echo hi > r/file && tar -C r -cf layer.tar .");
	must(load(docker_archive(path_of("layer.tar"))));
	find_id("made:1", other);
	must(images_tag(im, "made:1", "app", "", &err));
	must(images_tag(im, id, "app", "latest", &err)); /* moves */
	assert_int_equal(images_lookup(im, "app", found), 0);
	assert_string_equal(found, id);
	expect_error(images_tag(im, "none", "a", "", &err), CNM_E_NOT_FOUND,
		     "No such image: none:latest");
	expect_error(images_tag(im, "app", "App", "", &err), CNM_E_INVALID, "must be lowercase");
	expect_error(images_tag(im, "app", "app", "a b", &err), CNM_E_INVALID,
		     "invalid reference format");

	close_images(); /* and all is kept */
	open_images(0, NULL);
	assert_int_equal(images_count(im), 2);
	assert_true(images_names(im, "app", id) && images_names(im, "busybox", id));
	assert_true(images_names(im, "made:1", other));
	assert_int_equal(entries(), 2);
}

static void expect_answer(const char *ref, bool force, const char *want)
{
	char *answer = NULL;

	must(images_remove(im, ref, force, &answer, &err));
	assert_string_equal(answer, want);
	free(answer);
}

static void expect_conflict(const char *ref, bool force, const char *words)
{
	char *answer = NULL;

	expect_error(images_remove(im, ref, force, &answer, &err), CNM_E_CONFLICT, words);
}

static void test_remove(void **state)
{
	char id[ID_SIZE], want[256];

	find_id("busybox", id);
	must(images_tag(im, "busybox", "app", "1", &err));
	expect_conflict(id, false,
			"(must be forced) - image is referenced in multiple repositories");
	expect_answer("app:1", false, "[{\"Untagged\":\"app:1\"}]");
	snprintf(want, sizeof(want), "[{\"Untagged\":\"" BUSYBOX "\"},{\"Deleted\":\"sha256:%s\"}]",
		 id);
	expect_answer(id, false, want);
	assert_int_equal(entries(), 0);
	assert_string_equal(events, "import " BUSYBOX ";tag app:1;untag app:1;untag " BUSYBOX
				    ";delete ID;");
	expect_error(images_remove(im, "busybox", true, &(char *){ NULL }, &err), CNM_E_NOT_FOUND,
		     "No such image: " BUSYBOX);
}

static void test_remove_in_use(void **state)
{
	const char *container = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	char id[ID_SIZE], words[256];

	find_id("busybox", id);
	user = container;
	snprintf(
		words, sizeof(words),
		"conflict: unable to remove repository reference \"busybox\" (must force) - container "
		"0123456789ab is using its referenced image %.12s",
		id);
	expect_conflict("busybox", false, words);
	snprintf(words, sizeof(words),
		 "conflict: unable to delete %.12s (must be forced) - image is "
		 "being used by stopped container 0123456789ab",
		 id);
	expect_conflict(id, false, words);
	running_user = container;
	snprintf(words, sizeof(words),
		 "conflict: unable to delete %.12s (cannot be forced) - image is "
		 "being used by running container 0123456789ab",
		 id);
	expect_conflict(id, true, words);
	expect_answer("busybox", true, "[{\"Untagged\":\"" BUSYBOX "\"}]"); /* the image stays */
	assert_int_equal(images_count(im), 1);
	user = running_user = NULL;
	remove_image(id, false);
	assert_int_equal(entries(), 0);
}

/* -------------------------------------------------------------------------------- what is shown */

static size_t listed(const char *filters)
{
	char *text = NULL;
	json_t *j;
	size_t n;

	must(images_list(im, filters, false, &text, &err));
	j = json_loads(text, 0, NULL);
	n = json_array_size(j);
	json_decref(j);
	free(text);
	return n;
}

static void test_list(void **state)
{
	static const struct {
		const char *filters;
		size_t n;
	} cases[] = {
		{ NULL, 2 },
		{ "", 2 },
		{ "{}", 2 },
		{ "{\"reference\":[\"busy*\"]}", 1 },
		{ "{\"reference\":{\"made\":true}}", 1 },
		{ "{\"reference\":[\"made:1\",\"busybox:*\"]}", 2 },
		{ "{\"reference\":[\"x\"]}", 0 },
		{ "{\"dangling\":[\"true\"]}", 0 },
		{ "{\"dangling\":{\"false\":true}}", 2 },
		{ "{\"label\":[\"k\"]}", 1 },
		{ "{\"label\":[\"k=v\"]}", 1 },
		{ "{\"label\":[\"k=w\"]}", 0 },
		{ "{\"before\":[\"made:1\"]}", 1 },
		{ "{\"since\":[\"busybox\"]}", 1 },
		{ "{\"since\":[\"made:1\"]}", 0 },
	};
	const char *label = "LABEL k=v";
	char *text = NULL, *id = NULL;

	find_id("busybox", (char[ID_SIZE]){ "" });
	shell("mkdir r && tar -C r -cf root.tar .");
	must(images_import(im, path_of("root.tar"), "made:1", NULL, &label, 1, &id, &err));
	free(id);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (listed(cases[i].filters) != cases[i].n)
			fail_msg("%s", cases[i].filters);
	expect_error(images_list(im, "{\"x\":[]}", false, &text, &err), CNM_E_INVALID,
		     "invalid filter 'x'");
	expect_error(images_list(im, "[", false, &text, &err), CNM_E_INVALID, "filters");
	expect_error(images_list(im, "{\"before\":[\"none\"]}", false, &text, &err),
		     CNM_E_NOT_FOUND, "No such image: none");
}

static void test_inspect(void **state)
{
	static const char *const keys[] = {
		"Id",      "RepoTags",      "RepoDigests", "Parent",      "Comment",
		"Created", "DockerVersion", "Author",      "Config",      "Architecture",
		"Os",      "Size",          "VirtualSize", "GraphDriver", "RootFS",
		"Metadata"
	};
	static const char *const of_config[] = { "Hostname",   "User",      "Env",    "Cmd",
						 "Entrypoint", "Volumes",   "Labels", "OnBuild",
						 "Tty",        "WorkingDir" };
	char *text = NULL;
	json_t *j;

	find_id("busybox", (char[ID_SIZE]){ "" });
	j = inspect("busybox");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_non_null(json_object_get(j, keys[i]));
	for (size_t i = 0; i < ARRAY_LEN(of_config); i++)
		assert_non_null(json_object_get(json_object_get(j, "Config"), of_config[i]));
	assert_true(json_integer_value(json_object_get(j, "Size")) > 100000);
	json_decref(j);
	must(images_history(im, "busybox", &text, &err));
	assert_non_null(strstr(text, "\"CreatedBy\":\"cnm: "));
	free(text);
	expect_error(images_inspect(im, "none", &text, &err), CNM_E_NOT_FOUND,
		     "No such image: none:latest");
}

/* ----------------------------------------------------------------------------------------- pull */

/* In a network namespace without any route. */
static void test_pull_without_network(void **state)
{
	must(images_pull(im, "busybox", NULL, on_progress, NULL, &err));
	assert_non_null(strstr(said, "{\"status\":\"made from this machine's busybox-static\"}"));
	expect_error(images_pull(im, "debian:12", "user:secret", on_progress, NULL, &err),
		     CNM_E_NOT_FOUND,
		     "pull access denied for debian, repository does not exist or may require "
		     "'docker login': no registry was reached: ");
	expect_error(images_pull(im, "192.0.2.1:5000/x", NULL, on_progress, NULL, &err),
		     CNM_E_NOT_FOUND, "network is unreachable");
	expect_error(images_pull(im, "a b", NULL, on_progress, NULL, &err), CNM_E_INVALID,
		     "invalid reference format");
	assert_int_equal(entries(), 1);
}

/* Starts Debian's docker-registry and waits until it listens. -1: there is none. */
static pid_t start_registry(void)
{
	const char *program = getenv("CNM_DOCKER_REGISTRY");
	char line[512];
	int out[2];
	FILE *f;
	pid_t pid;

	program = program ? program : "/usr/bin/docker-registry";
	if (access(program, X_OK) < 0)
		return -1;
	shell("printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: '$PWD'/data}}\n"
	      "http: {addr: 127.0.0.1:5000}\n' > r.yml &&"
	      "printf '[[registry]]\nlocation=\"127.0.0.1:5000\"\ninsecure=true\n' > r.conf &&"
	      "mount --bind r.conf /etc/containers/registries.conf && ip link set lo up");
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], 2);
		dup2(out[0], 0); /* so that it can always write */
		execl(program, program, "serve", path_of("r.yml"), NULL);
		_exit(127);
	}
	close(out[1]);
	f = fdopen(out[0], "r");
	while (fgets(line, sizeof(line), f) && !strstr(line, "listening on"))
		;
	assert_false(feof(f));
	fclose(f);
	return pid;
}

/* Twice by its tag, and by its digest. */
static void pull_from_registry(const char *id)
{
	char again[ID_SIZE], by_digest[300];
	json_t *j;

	for (int i = 0; i < 2; i++)
		must(images_pull(im, "127.0.0.1:5000/a/b:1", NULL, on_progress, NULL, &err));
	assert_non_null(strstr(said, "{\"status\":\"Pulling from a/b\",\"id\":\"1\"}"));
	assert_non_null(strstr(said, "Status: Downloaded newer image for 127.0.0.1:5000/a/b:1"));
	assert_non_null(strstr(said, "Status: Image is up to date for 127.0.0.1:5000/a/b:1"));
	find_id("127.0.0.1:5000/a/b:1", again);
	assert_string_equal(id, again);
	j = inspect(id);
	str_copy(by_digest, sizeof(by_digest),
		 json_string_value(json_array_get(json_object_get(j, "RepoDigests"), 0)));
	json_decref(j);
	remove_image("127.0.0.1:5000/a/b:1", false); /* with its digest, and so the image */
	assert_int_equal(entries(), 0);
	must(images_pull(im, by_digest, "user:secret", on_progress, NULL, &err));
	find_id(by_digest, again);
	assert_string_equal(id, again);
	remove_image(by_digest, false);
	assert_int_equal(entries(), 0);
}

static void test_pull(void **state)
{
	const char *refs[] = { "busybox" };
	pid_t pid = start_registry();
	char id[ID_SIZE];

	if (pid < 0)
		skip(); /* tools/setup unpack docker-registry, and CNM_DOCKER_REGISTRY=its path */
	find_id("busybox", id);
	save(refs, 1);
	remove_image("busybox", false);
	shell("skopeo --insecure-policy copy docker-archive:saved.tar "
	      "docker://127.0.0.1:5000/a/b:1");
	pull_from_registry(id);
	expect_error(images_pull(im, "127.0.0.1:5000/a/b:2", NULL, on_progress, NULL, &err),
		     CNM_E_NOT_FOUND,
		     "manifest for 127.0.0.1:5000/a/b:2 not found: manifest unknown");
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	shell("umount /etc/containers/registries.conf");
}

/* ----------------------------------------------------------------------------------- references */

static void test_references(void **state)
{
	static const struct {
		const char *s, *short_text, *full;
	} good[] = {
		{ "busybox", "busybox:latest", "docker.io/library/busybox:latest" },
		{ "library/busybox:1", "busybox:1", "docker.io/library/busybox:1" },
		{ "docker.io/busybox", "busybox:latest", "docker.io/library/busybox:latest" },
		{ "index.docker.io/u/a", "u/a:latest", "docker.io/u/a:latest" },
		{ "localhost/a", "localhost/a:latest", "localhost/a:latest" },
		{ "h:5000/a__b/c--d.e:T_1", "h:5000/a__b/c--d.e:T_1", "h:5000/a__b/c--d.e:T_1" },
		{ "[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest" },
		{ "Host.Name/a", "Host.Name/a:latest", "Host.Name/a:latest" },
	};
	static const char *const bad[] = { "",           ":",      "a:",    "A",     "a/B",
					   "a//b",       "/a",     "a/",    "a b",   "a:b:c",
					   "-a",         "a-",     "a..b",  "a___b", "a:-x",
					   "a@b",        "a:.x",   "h:x/a", "a\n",   "../a",
					   "a@sha256:0", "h_:1/a", "[::1/a" };
	char text[IMAGE_REF_STR], full[IMAGE_REF_FULL], longest[400];
	struct image_ref r;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		must(image_ref_parse(&r, good[i].s, &err));
		assert_string_equal(image_ref_format(&r, text), good[i].short_text);
		assert_string_equal(image_ref_full(&r, full), good[i].full);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (image_ref_parse(&r, bad[i], &err) >= 0)
			fail_msg("\"%s\" is taken", bad[i]);
	memset(longest, 'a', sizeof(longest));
	longest[255 - strlen("docker.io/library/")] = '\0';
	must(image_ref_parse(&r, longest, &err));
	longest[255 - strlen("docker.io/library/")] = 'a';
	longest[256] = '\0';
	expect_error(image_ref_parse(&r, longest, &err), CNM_E_INVALID, "at most 255");
	longest[64] = '\0';
	expect_error(image_ref_parse(&r, longest, &err), CNM_E_INVALID, "64-byte hexadecimal");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_busybox),
		T(test_busybox_is_reproducible),
		T(test_first_uses_at_once),
		T(test_busybox_missing),
		T(test_absent),
		T(test_save_and_load),
		T(test_save_several),
		T(test_skopeo),
		T(test_packed_archives),
		T(test_packed_layer),
		T(test_import),
		T(test_import_refuses),
		T(test_tags),
		T(test_remove),
		T(test_remove_in_use),
		T(test_list),
		T(test_inspect),
		T(test_pull_without_network),
		T(test_pull),
		T(test_references),
	};

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/var/lib", "tmpfs", 0, NULL) < 0 || /* skopeo has a cache there */
	    process_become_reaper() < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
