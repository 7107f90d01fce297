/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stand-in for containers and images: part of api_fixture.h. */
#ifndef UNIT_CONTAINERS_STANDIN_H
#define UNIT_CONTAINERS_STANDIN_H

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "containers/containers.h"
#include "unit.h"

/* What calls that need not do the same each time do next. */
static struct {
	int result;     /* of start and stop */
	bool terminal;  /* what attach, logs and exec say */
	bool waits;     /* a wait is told later, by tell_wait() */
	unsigned lines; /* of progress */
	bool fails;     /* the work, after its lines */
	int cancelled;  /* waits */
} next;

static struct {
	pthread_mutex_t lock; /* a wait is not cancelled while it is being told */
	void (*done)(int code, const char *error, void *arg);
	void *arg;
} waiting = { .lock = PTHREAD_MUTEX_INITIALIZER };

static inline void tell_wait(int code)
{
	LOCKED(&waiting.lock);
	waiting.done(code, NULL, waiting.arg);
}

static inline char *object_text(const json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : strdup("-");

	assert_non_null(text);
	return text;
}

static inline int note_and_fail(const char *what, const char *ref, struct cnm_error *err)
{
	note("%s [%s]", what, ref);
	return failure_of(ref, err);
}

static inline int note_and_show(const char *what, const char *ref, char **ret,
				struct cnm_error *err)
{
	int r = note_and_fail(what, ref, err);

	if (r == 0)
		*ret = strdup("{}");
	return r;
}

/* ----------------------------------------------------------------------------------- containers */

struct images *containers_images(struct containers *cs)
{
	return NULL;
}

int containers_info(struct containers *cs, json_t **ret, struct cnm_error *err)
{
	*ret = json_pack("{s:i, s:s, s:s, s:s, s:[s]}", "Containers", 3, "DefaultRuntime", "runc",
			 "RuncVersion", "1.1.5", "ConmonVersion", "2.1.6", "Warnings", "careful");
	return 0;
}

int containers_create(struct containers *cs, const char *name, const json_t *body, unsigned version,
		      char id[static ID_SIZE], json_t **ret_warnings, struct cnm_error *err)
{
	_free_ char *text = object_text(body);

	note("container [%s] %u %s", name ? name : "-", version, text);
	new_id(id);
	*ret_warnings = json_pack("[s]", "careful");
	return 0;
}

int containers_start(struct containers *cs, const char *ref, struct cnm_error *err)
{
	int r = note_and_fail("start", ref, err);

	return r < 0 ? r : next.result;
}

int containers_stop(struct containers *cs, const char *ref, const char *sig, int timeout,
		    struct cnm_error *err)
{
	note("stop [%s] %s %d", ref, sig ? sig : "-", timeout);
	return next.result;
}

int containers_restart(struct containers *cs, const char *ref, const char *sig, int timeout,
		       struct cnm_error *err)
{
	note("restart [%s] %s %d", ref, sig ? sig : "-", timeout);
	return 0;
}

int containers_kill(struct containers *cs, const char *ref, const char *sig, struct cnm_error *err)
{
	note("kill [%s] %s", ref, sig ? sig : "-");
	return 0;
}

int containers_rename(struct containers *cs, const char *ref, const char *name,
		      struct cnm_error *err)
{
	note("rename [%s] [%s]", ref, name);
	return 0;
}

int containers_remove(struct containers *cs, const char *ref, bool force, bool volumes,
		      struct cnm_error *err)
{
	note("remove container [%s] %d %d", ref, force, volumes);
	return 0;
}

int containers_inspect(struct containers *cs, const char *ref, unsigned version, bool size,
		       char **ret, struct cnm_error *err)
{
	note("%u %d ", version, size);
	return note_and_show("inspect container", ref, ret, err);
}

int containers_list(struct containers *cs, const char *filters, bool all, unsigned limit,
		    unsigned version, char **ret, struct cnm_error *err)
{
	note("list containers %s %d %u %u", filters ? filters : "-", all, limit, version);
	*ret = strdup("[]");
	return 0;
}

int containers_top(struct containers *cs, const char *ref, const char *ps_args, char **ret,
		   struct cnm_error *err)
{
	note("(%s) ", ps_args);
	return note_and_show("top", ref, ret, err);
}

int containers_resize(struct containers *cs, const char *ref, unsigned rows, unsigned columns,
		      struct cnm_error *err)
{
	note("resize [%s] %u %u", ref, rows, columns);
	return 0;
}

int containers_wait(struct containers *cs, const char *ref, const char *condition,
		    void (*done)(int, const char *, void *), void *arg, struct container_wait **ret,
		    struct cnm_error *err)
{
	int r = note_and_fail("wait", ref, err);

	if (r < 0)
		return r;
	note(" %s", condition ? condition : "-");
	waiting.done = done;
	waiting.arg = arg;
	*ret = (struct container_wait *)&waiting;
	if (!next.waits)
		done(7, streq(ref, "gone") ? "as asked: \xff" : NULL, arg);
	return 0;
}

void containers_wait_cancel(struct containers *cs, struct container_wait *w)
{
	LOCKED(&waiting.lock);
	assert_ptr_equal(w, &waiting);
	__atomic_add_fetch(&next.cancelled, 1, __ATOMIC_SEQ_CST);
}

int containers_attach_check(struct containers *cs, const char *ref, const struct attach_request *a,
			    bool *ret_terminal, char id[static ID_SIZE], struct cnm_error *err)
{
	new_id(id);
	*ret_terminal = next.terminal;
	return note_and_fail("attach", ref, err);
}

/* Says so to the client, and closes. */
static inline void serve(int fd, const char *text, const char *early, size_t n)
{
	assert_true(fd >= 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	assert_int_equal(send(fd, early, n, MSG_NOSIGNAL), n);
	close(fd);
}

void containers_attach_begin(struct containers *cs, const char *id, const struct attach_request *a,
			     int fd, const char *early, size_t n)
{
	char text[256];

	snprintf(text, sizeof(text), "attached %.3s %d%d%d%d%d %s early=", id, a->stream, a->logs,
		 a->in, a->out, a->err, a->detach_keys ? a->detach_keys : "-");
	serve(fd, text, early, n);
}

int containers_logs(struct containers *cs, const char *ref, const struct logs_request *l,
		    int *ret_fd, bool *ret_terminal, struct cnm_error *err)
{
	int r = note_and_fail("logs", ref, err);

	if (r < 0)
		return r;
	note(" %d%d%d%d %lld %lld %lld", l->follow, l->out, l->err, l->timestamps,
	     (long long)l->since, (long long)l->until, (long long)l->tail);
	*ret_terminal = next.terminal;
	*ret_fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(pwrite(*ret_fd, "a log", 5, 0), 5);
	return 0;
}

int containers_exec_create(struct containers *cs, const char *ref, const json_t *body,
			   char id[static ID_SIZE], struct cnm_error *err)
{
	_free_ char *text = object_text(body);

	new_id(id);
	note("%s ", text);
	return note_and_fail("exec", ref, err);
}

int containers_exec_start(struct containers *cs, const char *id, bool detach, unsigned rows,
			  unsigned columns, bool *ret_terminal, struct cnm_error *err)
{
	*ret_terminal = next.terminal;
	note("%d %u %u ", detach, rows, columns);
	return note_and_fail("exec start", id, err);
}

void containers_exec_attach(struct containers *cs, const char *id, int fd, const char *early,
			    size_t n)
{
	serve(fd, "executed early=", early, n);
}

int containers_exec_resize(struct containers *cs, const char *id, unsigned rows, unsigned columns,
			   struct cnm_error *err)
{
	note("exec resize [%s] %u %u", id, rows, columns);
	return 0;
}

int containers_exec_inspect(struct containers *cs, const char *id, char **ret,
			    struct cnm_error *err)
{
	return note_and_show("inspect exec", id, ret, err);
}

/* To the stand-in of the engine. */
int containers_network_connect(struct containers *cs, const char *network, const char *ref,
			       const struct cnm_endpoint_config *config, struct cnm_dry_run *dry,
			       struct cnm_error *err)
{
	return cnm_network_connect(NULL, network, ref, config, dry, err);
}

int containers_network_disconnect(struct containers *cs, const char *network, const char *ref,
				  bool force, struct cnm_dry_run *dry, struct cnm_error *err)
{
	return cnm_network_disconnect(NULL, network, ref, force, dry, err);
}

int containers_volume_create(struct containers *cs, const json_t *body, char **ret,
			     struct cnm_error *err)
{
	_free_ char *text = object_text(body);

	return note_and_show("volume", text, ret, err);
}

int containers_volume_remove(struct containers *cs, const char *name, bool force,
			     struct cnm_error *err)
{
	note("remove volume [%s] %d", name, force);
	return 0;
}

int containers_volume_inspect(struct containers *cs, const char *name, char **ret,
			      struct cnm_error *err)
{
	return note_and_show("inspect volume", name, ret, err);
}

int containers_volume_list(struct containers *cs, char **ret, struct cnm_error *err)
{
	return note_and_show("list volumes", "", ret, err);
}

/* --------------------------------------------------------------------------------------- images */

/* Tells next.lines lines, then fails if it is to. */
static inline int work(image_progress tell, void *arg, struct cnm_error *err)
{
	for (unsigned i = 0; i < next.lines; i++)
		tell("{\"status\":\"working\"}", arg);
	return next.fails ? cnm_error_set(err, CNM_E_NOT_FOUND, "as asked: \xff") : 0;
}

/* What the archive at path holds, as far as it matters. */
static inline void note_file(const char *path)
{
	char text[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	note(" {%s} %lld", text, (long long)lseek(fd, 0, SEEK_END));
	close(fd);
}

int images_load(struct images *im, const char *path, image_progress tell, void *arg,
		struct cnm_error *err)
{
	note("load");
	note_file(path);
	return work(tell, arg, err);
}

int images_import(struct images *im, const char *path, const char *ref, const char *message,
		  const char *const *changes, unsigned n_changes, char **ret_id,
		  struct cnm_error *err)
{
	note("import [%s] (%s)", ref, message);
	note_texts("change", changes, n_changes);
	note_file(path);
	*ret_id = strdup("sha256:abc");
	return 0;
}

int images_pull(struct images *im, const char *ref, const char *auth, image_progress tell,
		void *arg, struct cnm_error *err)
{
	note("pull [%s] %s", ref, auth ? auth : "-");
	return work(tell, arg, err);
}

int images_save(struct images *im, const char *const *refs, unsigned n, int *ret_fd,
		struct cnm_error *err)
{
	note("save");
	note_texts("image", refs, n);
	*ret_fd = memfd_create("archive", MFD_CLOEXEC);
	assert_int_equal(pwrite(*ret_fd, "archive", 7, 0), 7);
	return 0;
}

int images_tag(struct images *im, const char *ref, const char *repo, const char *tag,
	       struct cnm_error *err)
{
	note("tag [%s] [%s] [%s]", ref, repo, tag);
	return 0;
}

int images_remove(struct images *im, const char *ref, bool force, char **ret, struct cnm_error *err)
{
	note("%d ", force);
	return note_and_show("remove image", ref, ret, err);
}

int images_list(struct images *im, const char *filters, bool all, char **ret, struct cnm_error *err)
{
	note("list images %s %d", filters ? filters : "-", all);
	*ret = strdup("[]");
	return 0;
}

int images_inspect(struct images *im, const char *ref, char **ret, struct cnm_error *err)
{
	return note_and_show("inspect image", ref, ret, err);
}

int images_history(struct images *im, const char *ref, char **ret, struct cnm_error *err)
{
	return note_and_show("history", ref, ret, err);
}

#endif
