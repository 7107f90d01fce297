/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The resolver as the engine sees it: each call becomes a message to the server's thread. The
 * server looks for messages before it answers anything, so it is woken only when sockets come or
 * go, or when so many messages wait that they take up room.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "resolver/server.h"
#include "resolver/upstream.h"

/* The deepest call holds the endpoints found for a name (answer.c), 32 KiB. */
#define STACK_SIZE (256 * 1024)

static void wake(struct resolver *r)
{
	static const uint64_t one = 1;

	/* It fails only when the counter is full, and then the server is about to wake. */
	while (write(r->wake.fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void send_message(struct resolver *r, struct message *m, bool now)
{
	if (inbox_add(&r->inbox, m) || now)
		wake(r);
}

/* Signals are for the program's own threads. */
static int thread_start(struct resolver *r)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int err;

	sigfillset(&all);
	err = pthread_attr_init(&attr);
	if (err)
		return -err;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&r->thread, &attr, server_run, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

int resolver_start(struct resolver **ret, const char *host_resolv_conf, struct cnm_error *err)
{
	struct resolver *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return cnm_error_errno(err, ENOMEM, "start the DNS server");
	rc = server_prepare(r, host_resolv_conf, err);
	if (rc == 0) {
		rc = thread_start(r);
		if (rc < 0)
			cnm_error_errno(err, rc, "start the DNS server: make a thread");
	}
	if (rc < 0) {
		server_destroy(r);
		free(r);
		return rc;
	}
	*ret = r;
	return 0;
}

void resolver_stop(struct resolver *r)
{
	if (!r)
		return;
	atomic_store(&r->stop, true);
	wake(r);
	pthread_join(r->thread, NULL);
	server_destroy(r);
	free(r);
}

static struct message *message_new(enum message_kind kind)
{
	struct message *m = calloc(1, sizeof(*m));

	if (m) {
		m->kind = kind;
		m->udp = m->tcp = -1;
	}
	return m;
}

static struct sandbox *sandbox_candidate(const char *id)
{
	size_t size = strlen(id) + 1;
	struct sandbox *sb = calloc(1, sizeof(*sb) + size);

	if (!sb)
		return NULL;
	memcpy(sb->id, id, size);
	sb->udp.fd = sb->tcp.fd = -1;
	list_init(&sb->clients);
	list_init(&sb->forwards);
	return sb;
}

int resolver_set_names(struct resolver *r, const struct resolver_names *names)
{
	_free_ struct message *m = message_new(MESSAGE_PUT_ENDPOINT);

	if (!m)
		return -ENOMEM;
	m->endpoint = zone_endpoint_new(names);
	if (!m->endpoint)
		return -ENOMEM;
	send_message(r, take_ptr(m), false);
	return 0;
}

int resolver_set_sandbox(struct resolver *r, const struct resolver_sandbox *sandbox)
{
	_free_ struct message *m = message_new(MESSAGE_SET_VIEW);
	_free_ struct sandbox *candidate = sandbox_candidate(sandbox->id);
	_free_ struct upstreams *own = NULL;

	if (!m || !candidate)
		return -ENOMEM;
	if (sandbox->n_servers) {
		own = upstreams_new(sandbox->servers, sandbox->n_servers, sandbox->netns);
		if (!own)
			return -ENOMEM;
	}
	m->view = zone_view_new(sandbox);
	if (!m->view)
		return -ENOMEM;
	m->own = take_ptr(own);
	m->sandbox = take_ptr(candidate);
	send_message(r, take_ptr(m), false);
	return 0;
}

int resolver_set_sockets(struct resolver *r, const char *sandbox_id, int udp, int tcp)
{
	_free_ struct message *m = message_new(MESSAGE_SET_SOCKETS);
	_free_ struct sandbox *candidate = sandbox_candidate(sandbox_id);
	_close_ int our_udp = -1, our_tcp = -1;

	if (!m || !candidate)
		return -ENOMEM;
	our_udp = fcntl(udp, F_DUPFD_CLOEXEC, 0);
	if (our_udp < 0)
		return -errno;
	our_tcp = fcntl(tcp, F_DUPFD_CLOEXEC, 0);
	/* accept() has no flag that spares it to wait, as recv() has. */
	if (our_tcp < 0 || fcntl(our_tcp, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	m->sandbox = take_ptr(candidate);
	m->udp = take_fd(&our_udp);
	m->tcp = take_fd(&our_tcp);
	send_message(r, take_ptr(m), true);
	return 0;
}

/* Sends a message that lives with the caller, until it has been handled. */
static void send_and_wait(struct resolver *r, struct message *m)
{
	m->waited_for = true;
	sem_init(&m->done, 0, 0);
	send_message(r, m, true);
	while (sem_wait(&m->done) < 0 && errno == EINTR)
		;
	sem_destroy(&m->done);
}

/*
 * Dropping cannot fail: when there is no memory for the message, it lives here until it has been
 * handled.
 */
static void drop(struct resolver *r, enum message_kind kind, const char *id)
{
	size_t size = strlen(id) + 1;
	struct message *m = calloc(1, sizeof(*m) + size);
	struct message here = { .kind = kind, .id = id };

	if (m) {
		m->kind = kind;
		m->id = memcpy(m->text, id, size);
		send_message(r, m, kind == MESSAGE_DROP_SANDBOX);
		return;
	}
	send_and_wait(r, &here);
}

void resolver_drop_names(struct resolver *r, const char *endpoint_id)
{
	drop(r, MESSAGE_DROP_ENDPOINT, endpoint_id);
}

void resolver_drop_sandbox(struct resolver *r, const char *sandbox_id)
{
	drop(r, MESSAGE_DROP_SANDBOX, sandbox_id);
}

json_t *resolver_describe(struct resolver *r, const char *sandbox_id)
{
	json_t *ret = NULL;
	struct message here = { .kind = MESSAGE_DESCRIBE, .id = sandbox_id, .description = &ret };

	send_and_wait(r, &here);
	return ret;
}
