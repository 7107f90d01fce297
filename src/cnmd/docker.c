/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cnmd/docker.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cnmd/listen.h"
#include "controller/engine.h"

#define PATH_SIZE 256

static void path_of(const struct docker_sockets *d, unsigned i, char path[static PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s/%s.sock", d->dir, docker_plugin_names[i]);
}

/* At the keeper. */
static void name_of(unsigned i, char name[static 64])
{
	snprintf(name, 64, "docker.%s", docker_plugin_names[i]);
}

/* With its parents, as dockerd makes them. What fails is told by bind(). */
static void make_directory(const char *dir)
{
	char path[PATH_SIZE];

	for (const char *p = dir; (p = strchr(p + 1, '/'));) {
		snprintf(path, sizeof(path), "%.*s", (int)(p - dir), dir);
		mkdir(path, 0711);
	}
	mkdir(dir, 0755);
}

static int open_socket(struct docker_sockets *d, struct cnm_engine *engine, unsigned i,
		       struct cnm_error *err)
{
	char path[PATH_SIZE], name[64];
	int r;

	path_of(d, i, path);
	name_of(i, name);
	r = listen_open(path, engine_fd_take(engine, name), &d->fds[i], err);
	if (r == 0 && d->keep && engine_fd_put(engine, name, d->fds[i]) < 0)
		log_warn("%s is not kept: dockerd is refused during a restart", path);
	return r;
}

/* Nobody would answer dockerd there. */
static void let_go(struct cnm_engine *engine)
{
	for (unsigned i = 0; i < DOCKER_PLUGINS; i++) {
		struct sockaddr_un addr = { .sun_family = AF_UNIX };
		socklen_t n = sizeof(addr);
		char name[64];
		_close_ int fd = -1;

		name_of(i, name);
		fd = engine_fd_take(engine, name);
		if (fd < 0)
			continue;
		if (getsockname(fd, (struct sockaddr *)&addr, &n) == 0)
			unlink(addr.sun_path);
		engine_fd_drop(engine, name);
	}
}

int docker_start(struct docker_sockets *d, struct cnm_engine *engine, struct cnm_error *err)
{
	int r = 0;

	for (unsigned i = 0; i < DOCKER_PLUGINS; i++)
		d->fds[i] = -1;
	if (!d->dir) {
		let_go(engine);
		return 0;
	}
	make_directory(d->dir);
	for (unsigned i = 0; i < DOCKER_PLUGINS && r == 0; i++)
		r = open_socket(d, engine, i, err);
	if (r == 0)
		r = docker_plugin_start(&d->plugin, engine, d->fds, err);
	if (r < 0)
		cnm_error_prefix(err, "serve Docker in %s", d->dir);
	return r;
}

int docker_stop(struct docker_sockets *d, unsigned timeout_ms)
{
	int r = docker_plugin_stop(d->plugin, timeout_ms);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < DOCKER_PLUGINS; i++)
		close_fd(&d->fds[i]);
	if (d->dir && !d->keep)
		docker_remove(d);
	return 0;
}

void docker_remove(const struct docker_sockets *d)
{
	char path[PATH_SIZE];

	for (unsigned i = 0; d->dir && i < DOCKER_PLUGINS; i++) {
		path_of(d, i, path);
		unlink(path);
	}
}
