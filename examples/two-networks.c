/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two-network example in one process, without the daemon: two networks, three sandboxes, one of
 * them on both networks.
 *
 *     cc two-networks.c $(pkg-config --cflags --libs cnm) -o two-networks
 *     sudo unshare -nm ./two-networks /tmp/cnm-example
 *
 * Run it in a network and mount namespace of its own (unshare -nm), so that it makes its bridges
 * and firewall there. It prints what it does and exits 0 only if every step held.
 */
#include <cnm/cnm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

static struct cnm_engine *engine;

/* Print what was done, and give up on a failure: the sentence in the error is made for people. */
static void must(int r, const char *what, const struct cnm_error *err)
{
	printf("%-44s %s\n", what, r < 0 ? err->text : "ok");
	if (r < 0) {
		cnm_engine_teardown(engine, NULL);
		cnm_engine_close(engine);
		exit(1);
	}
}

static void create_network(const char *name)
{
	struct cnm_error err = { 0 };
	char id[CNM_ID_SIZE], what[64];

	snprintf(what, sizeof(what), "network create %s", name);
	must(cnm_network_create(engine, &(struct cnm_network_config){ .name = name }, NULL, id,
				NULL, &err),
	     what, &err);
}

static void create_sandbox(const char *name, const char *network)
{
	struct cnm_error err = { 0 };
	struct cnm_attachment on = { .network = network };
	struct cnm_sandbox_config config = { .name = name, .networks = &on, .n_networks = 1 };
	char id[CNM_ID_SIZE], what[64];

	snprintf(what, sizeof(what), "sandbox create %s --net %s", name, network);
	must(cnm_sandbox_create(engine, &config, NULL, id, &err), what, &err);
}

static void show(const char *sandbox)
{
	struct cnm_error err = { 0 };
	char *json, what[64];

	snprintf(what, sizeof(what), "sandbox inspect %s", sandbox);
	must(cnm_sandbox_inspect(engine, sandbox, &json, &err), what, &err);
	printf("%s\n", json);
	free(json);
}

int main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : "/tmp/cnm-example";
	char state[256], run[256], netns[256];
	struct cnm_options options = { .state_dir = state, .run_dir = run, .netns_dir = netns };
	struct cnm_error err = { 0 };

	snprintf(state, sizeof(state), "%s/state", dir);
	snprintf(run, sizeof(run), "%s/run", dir);
	snprintf(netns, sizeof(netns), "%s/netns", dir);
	mkdir(dir, 0700);
	must(cnm_engine_open(&engine, &options, &err), "open the engine", &err);

	create_network("backend");
	create_network("frontend");
	create_sandbox("con1", "backend");
	create_sandbox("con2", "backend");
	create_sandbox("con3", "frontend");
	must(cnm_network_connect(engine, "frontend", "con2", NULL, NULL, &err),
	     "network connect frontend con2", &err);
	show("con2");

	/* Removing a network that is in use is refused, and the error names who uses it. */
	if (cnm_network_remove(engine, "backend", NULL, &err) == 0) {
		fprintf(stderr, "network rm backend should have been refused\n");
		return 1;
	}
	printf("network rm backend: refused: %s\n", err.text);

	must(cnm_engine_teardown(engine, &err), "teardown", &err);
	cnm_engine_close(engine);
	umount2(netns, MNT_DETACH);
	return 0;
}
