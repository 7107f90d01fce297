/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A session with ZooKeeper: its requests, its events, its servers. */
#include "cluster/zookeeper_session.h"

#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/str.h"

/* ---- batches */

struct zk_batch *zk_batch_new(struct zk *zk, size_t n)
{
	struct zk_batch *b = calloc(1, sizeof(*b) + n * sizeof(b->calls[0]));

	if (!b)
		return NULL;
	if (cond_init(&b->done)) {
		free(b);
		return NULL;
	}
	b->zk = zk;
	b->refs = 1;
	b->n = n;
	for (size_t i = 0; i < n; i++) {
		b->calls[i].batch = b;
		list_init(&b->calls[i].node);
	}
	return b;
}

static void names_free(struct String_vector *names)
{
	for (int32_t i = 0; i < names->count; i++)
		free(names->data[i]);
	free(names->data);
}

static void batch_free(struct zk_batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		free(b->calls[i].value);
		names_free(&b->calls[i].names);
	}
	free(b->results);
	pthread_cond_destroy(&b->done);
	free(b);
}

static void unref_locked(struct zk_batch *b)
{
	if (--b->refs == 0)
		batch_free(b);
}

void zk_batch_unref(struct zk_batch *b)
{
	LOCKED(&b->zk->lock);

	unref_locked(b);
}

static void finish_locked(struct zk_call *c, int rc)
{
	struct zk_batch *b = c->batch;

	c->rc = rc;
	c->answered = true;
	list_del(&c->node);
	if (--b->pending == 0)
		pthread_cond_broadcast(&b->done);
	unref_locked(b);
}

/* May a request be made now? If not it is answered. Under the lock. */
static zhandle_t *begin_locked(struct zk_call *c)
{
	struct zk *zk = c->batch->zk;

	c->batch->refs++;
	c->batch->pending++;
	list_append(&zk->calls, &c->node);
	if (zk->connected && zk->zh && !zk->closing)
		return zk->zh;
	finish_locked(c, ZK_UNSENT);
	return NULL;
}

/* What the library said when it was given the request. */
static void made_locked(struct zk_call *c, int rc)
{
	if (rc != ZOK)
		finish_locked(c, rc);
}

/* ---- answers: the library's thread */

static void answer(struct zk_call *c, int rc)
{
	struct zk *zk = c->batch->zk;

	/* Its own codes of failure say nothing of the server. */
	if (rc == ZOK || (rc <= ZAPIERROR && rc != ZCLOSING))
		zk->answered = clock_mono_ns();
	finish_locked(c, rc);
}

static void on_void(int rc, const void *data)
{
	struct zk_call *c = (struct zk_call *)data;
	LOCKED(&c->batch->zk->lock);

	answer(c, rc);
}

static void on_string(int rc, const char *value, const void *data)
{
	on_void(rc, data);
}

static void on_stat(int rc, const struct Stat *stat, const void *data)
{
	struct zk_call *c = (struct zk_call *)data;
	LOCKED(&c->batch->zk->lock);

	if (rc == ZOK)
		c->stat = *stat;
	answer(c, rc);
}

static void on_data(int rc, const char *value, int len, const struct Stat *stat, const void *data)
{
	struct zk_call *c = (struct zk_call *)data;
	LOCKED(&c->batch->zk->lock);

	if (rc == ZOK) {
		c->stat = *stat;
		c->len = len;
		/* One byte more, so that there is something to point at. */
		c->value = len >= 0 ? malloc((size_t)len + 1) : NULL;
		if (len > 0 && c->value)
			memcpy(c->value, value, (size_t)len);
		if (len >= 0 && !c->value)
			rc = ZSYSTEMERROR;
	}
	answer(c, rc);
}

static int names_copy(struct String_vector *to, const struct String_vector *from)
{
	if (from->count <= 0)
		return ZOK;
	to->data = calloc((size_t)from->count, sizeof(to->data[0]));
	if (!to->data)
		return ZSYSTEMERROR;
	for (; to->count < from->count; to->count++) {
		to->data[to->count] = strdup(from->data[to->count]);
		if (!to->data[to->count])
			return ZSYSTEMERROR;
	}
	return ZOK;
}

static void on_children(int rc, const struct String_vector *names, const struct Stat *stat,
			const void *data)
{
	struct zk_call *c = (struct zk_call *)data;
	LOCKED(&c->batch->zk->lock);

	if (rc == ZOK) {
		c->stat = *stat;
		rc = names_copy(&c->names, names);
	}
	answer(c, rc);
}

/* ---- events: the library's thread */

static void on_tree(zhandle_t *zh, int type, int state, const char *path, void *arg)
{
	struct zk *zk = arg;
	size_t size = strlen(path) + 1;
	struct zk_event *e;
	LOCKED(&zk->lock);

	/* The session's state is told to every watcher. */
	if (type == zk->lib->ZOO_SESSION_EVENT)
		return;
	e = malloc(sizeof(*e) + size);
	if (e) {
		e->type = type;
		memcpy(e->path, path, size);
		list_append(&zk->events, &e->node);
	} else {
		zk->deaf = true;
	}
	pthread_cond_broadcast(&zk->changed);
}

static void on_kept(zhandle_t *zh, int type, int state, const char *path, void *arg)
{
	struct zk *zk = arg;
	LOCKED(&zk->lock);

	if (type == zk->lib->ZOO_SESSION_EVENT)
		return;
	zk->kept.due = true;
	zk->kept.later = 0;
	pthread_cond_broadcast(&zk->changed);
}

/* Which of the addresses the socket is connected to. */
static const struct zk_address *peer(struct zk *zk, zhandle_t *zh)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	char host[INET6_ADDRSTRLEN], port[8], text[64];

	if (!zk->lib->zookeeper_get_connected_host(zh, (struct sockaddr *)&sa, &len) ||
	    getnameinfo((struct sockaddr *)&sa, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		return NULL;
	snprintf(text, sizeof(text), sa.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	for (size_t i = 0; i < zk->n_addresses; i++)
		if (streq(zk->addresses[i].text, text))
			return &zk->addresses[i];
	return NULL;
}

static void connected_locked(struct zk *zk, zhandle_t *zh)
{
	const struct zk_address *address = peer(zk, zh);

	zk->connected = true;
	zk->server = address ? address->server : NULL;
	zk->since = zk->answered = clock_mono_ns();
	if (address)
		zk_lib_forget(address->text);
}

static void on_session(zhandle_t *zh, int type, int state, const char *path, void *arg)
{
	struct zk *zk = arg;
	LOCKED(&zk->lock);

	if (type != zk->lib->ZOO_SESSION_EVENT)
		return;
	if (state == zk->lib->ZOO_CONNECTED_STATE) {
		connected_locked(zk, zh);
	} else {
		zk->lost = zk->lost || zk->connected;
		if (zk->connected)
			zk->since = clock_mono_ns();
		zk->connected = false;
		zk->server = NULL;
		zk->expired = zk->expired || state == zk->lib->ZOO_EXPIRED_SESSION_STATE ||
			      state == zk->lib->ZOO_AUTH_FAILED_STATE;
	}
	pthread_cond_broadcast(&zk->changed);
}

/* ---- requests */

static watcher_fn watcher_of(enum zk_watch watch)
{
	switch (watch) {
	case ZK_NO_WATCH:
		return NULL;
	case ZK_WATCH_TREE:
		return on_tree;
	case ZK_WATCH_KEPT:
		return on_kept;
	}
	return NULL;
}

/* Makes a request as request `i` of a batch. Under the lock, which the library never waits for. */
#define ASK(b, i, function, ...)                                                      \
	do {                                                                          \
		struct zk *zk_ = (b)->zk;                                             \
		struct zk_call *call = &(b)->calls[i];                                \
		LOCKED(&zk_->lock);                                                   \
		zhandle_t *zh = begin_locked(call);                                   \
                                                                                      \
		if (zh)                                                               \
			made_locked(call, zk_->lib->function(zh, __VA_ARGS__, call)); \
	} while (0)

void zk_ask_sync(struct zk_batch *b, size_t i)
{
	ASK(b, i, zoo_async, "/", on_string);
}

void zk_ask_get(struct zk_batch *b, size_t i, const char *path, enum zk_watch watch)
{
	ASK(b, i, zoo_awget, path, watcher_of(watch), b->zk, on_data);
}

void zk_ask_exists(struct zk_batch *b, size_t i, const char *path, enum zk_watch watch)
{
	ASK(b, i, zoo_awexists, path, watcher_of(watch), b->zk, on_stat);
}

void zk_ask_children(struct zk_batch *b, size_t i, const char *path)
{
	ASK(b, i, zoo_awget_children2, path, on_tree, b->zk, on_children);
}

void zk_ask_create(struct zk_batch *b, size_t i, const char *path, const void *value, size_t len,
		   int mode)
{
	ASK(b, i, zoo_acreate, path, value, value ? (int)len : -1, b->zk->lib->open_acl, mode,
	    on_string);
}

void zk_ask_set(struct zk_batch *b, size_t i, const char *path, const void *value, size_t len)
{
	ASK(b, i, zoo_aset, path, value, (int)len, -1, on_stat);
}

void zk_ask_delete(struct zk_batch *b, size_t i, const char *path, int version)
{
	ASK(b, i, zoo_adelete, path, version, on_void);
}

void zk_ask_multi(struct zk_batch *b, size_t i, const zoo_op_t *ops, size_t n)
{
	b->results = calloc(n, sizeof(b->results[0]));
	if (!b->results) {
		struct zk *zk = b->zk;
		LOCKED(&zk->lock);

		begin_locked(&b->calls[i]);
		made_locked(&b->calls[i], ZSYSTEMERROR);
		return;
	}
	ASK(b, i, zoo_amulti, (int)n, ops, b->results, on_void);
}

/* ---- waiting */

static int wait_locked(struct zk *zk, pthread_cond_t *cond, uint64_t until)
{
	int r = cond_wait(cond, &zk->lock, until);

	return r == -ETIMEDOUT ? r : 0;
}

int zk_wait(struct zk_batch *b, uint64_t until)
{
	struct zk *zk = b->zk;
	LOCKED(&zk->lock);
	int r = 0;

	while (b->pending && !zk->closing && r == 0)
		r = wait_locked(zk, &b->done, until);
	if (b->pending == 0)
		return 0;
	return zk->closing ? -ECANCELED : r;
}

int zk_wait_connected(struct zk *zk, uint64_t until)
{
	LOCKED(&zk->lock);
	int r = 0;

	while (!(zk->connected && zk->zh) && !zk->closing && r == 0)
		r = wait_locked(zk, &zk->changed, until);
	return zk->closing ? -ECANCELED : r;
}

bool zk_was_refused(int rc)
{
	return rc == ZK_UNSENT || rc == ZINVALIDSTATE || rc == ZTHROTTLEDOP || rc == ZSESSIONMOVED;
}

bool zk_was_lost(int rc)
{
	return rc == ZCONNECTIONLOSS || rc == ZOPERATIONTIMEOUT || rc == ZSESSIONEXPIRED ||
	       rc == ZCLOSING;
}

/* ---- what is said when it fails */

void zk_count(struct zk *zk, size_t n)
{
	const struct kv_server *server;

	pthread_mutex_lock(&zk->lock);
	server = zk->server ? zk->server : &zk->kv->servers[0];
	pthread_mutex_unlock(&zk->lock);
	while (n--)
		kv_asked(zk->kv, server);
}

/* The address of this session that belongs to a server; under the lock. */
static const char *said_of(struct zk *zk, const struct kv_server *server, char *buf, size_t size)
{
	for (size_t i = 0; i < zk->n_addresses; i++)
		if (zk->addresses[i].server == server &&
		    zk_lib_said(zk->addresses[i].text, buf, size))
			return buf;
	return "no answer";
}

void zk_why(struct zk *zk, char *buf, size_t size)
{
	LOCKED(&zk->lock);
	char said[64];
	int n = 0;

	for (size_t i = 0; i < zk->kv->n_servers && n >= 0 && (size_t)n < size; i++) {
		const struct kv_server *server = &zk->kv->servers[i];

		n += snprintf(buf + n, size - (size_t)n, "%s%s: %s", i ? "; " : "", server->name,
			      server == zk->server ? "connected, but does not answer"
						   : said_of(zk, server, said, sizeof(said)));
	}
}

/* A server that is connected but says nothing: is there another one? */
static void note_stall(struct zk *zk)
{
	const uint64_t patience = UINT64_C(1000000000);
	LOCKED(&zk->lock);

	if (!zk->connected || zk->kv->n_servers < 2 || clock_mono_ns() - zk->answered < patience)
		return;
	zk->stalled = true;
	pthread_cond_broadcast(&zk->changed);
}

int zk_failed(struct zk *zk, int r, int rc, unsigned ms, const char *what, struct cnm_error *err)
{
	char why[1024];

	if (r == -ECANCELED) {
		cnm_error_set(err, CNM_E_UNAVAILABLE, "cannot %s: the store is being closed", what);
		return r;
	}
	if (r == -ENOMEM)
		return cnm_error_errno(err, ENOMEM, "cannot %s", what);
	if (r == 0 && !zk_was_lost(rc) && !zk_was_refused(rc)) {
		cnm_error_set(err, rc == ZBADARGUMENTS ? CNM_E_INVALID : CNM_E_UNAVAILABLE,
			      "cannot %s: ZooKeeper answered: %s", what, zk->lib->zerror(rc));
		return rc == ZBADARGUMENTS ? -EINVAL : -EIO;
	}
	note_stall(zk);
	zk_why(zk, why, sizeof(why));
	if (r == -ETIMEDOUT)
		cnm_error_set(err, CNM_E_UNAVAILABLE, "cannot %s within %u ms (%s)", what, ms, why);
	else
		cnm_error_set(err, CNM_E_UNAVAILABLE,
			      "cannot %s: the connection was lost before the answer (%s)", what,
			      why);
	return r ? r : -EIO;
}

/* ---- paths */

char *zk_path(const struct zk *zk, const char *key)
{
	_free_ char *full = NULL;
	char *path;

	if (*key == '\0')
		return asprintf(&path, "/%s", zk->kv->prefix) < 0 ? NULL : path;
	full = kv_full_key(zk->kv, key);
	return !full || asprintf(&path, "/%s", full) < 0 ? NULL : path;
}

bool zk_is_reserved(const char *path)
{
	const char *rest = str_after(path, "/zookeeper");

	return rest && (*rest == '\0' || *rest == '/');
}

/* The end of the path's nth folder; NULL: it has fewer. */
static const char *folder_end(const char *path, size_t nth)
{
	const char *end = path;

	for (size_t i = 0; i <= nth && end; i++)
		end = strchr(end + 1, '/');
	return end;
}

int zk_make_parents(struct zk *zk, const char *path, bool counted, uint64_t until, int *ret_rc)
{
	size_t prefix = 1 + strlen(zk->kv->prefix), n = 0;
	char folder[ZK_PATH_MAX];
	_batch_ struct zk_batch *b = NULL;
	const char *end;
	int r;

	*ret_rc = ZOK;
	while (folder_end(path, n))
		n++;
	b = zk_batch_new(zk, n);
	if (!b)
		return -ENOMEM;
	for (size_t i = 0; i < n && (end = folder_end(path, i)); i++) {
		snprintf(folder, sizeof(folder), "%.*s", (int)(end - path), path);
		zk_ask_create(b, i, folder, NULL, 0,
			      (size_t)(end - path) <= prefix ? zk->lib->ZOO_PERSISTENT
							     : zk->lib->ZOO_CONTAINER);
	}
	if (counted)
		zk_count(zk, n);
	r = zk_wait(b, until);
	for (size_t i = 0; i < n && r == 0; i++)
		if (b->calls[i].rc != ZOK && b->calls[i].rc != ZNODEEXISTS) {
			*ret_rc = b->calls[i].rc;
			r = -EIO;
		}
	return r;
}

/* ---- sessions */

struct addresses {
	struct zk_address *v;
	size_t n;
};

static int add_address(struct addresses *a, const struct kv_server *server,
		       const struct addrinfo *ai)
{
	char host[NI_MAXHOST], port[8];
	struct zk_address *grown;

	if ((ai->ai_family != AF_INET && ai->ai_family != AF_INET6) ||
	    getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) ||
	    strlen(host) > INET6_ADDRSTRLEN)
		return 0;
	grown = reallocarray(a->v, a->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	a->v = grown;
	grown += a->n++;
	grown->server = server;
	snprintf(grown->text, sizeof(grown->text),
		 ai->ai_family == AF_INET6 ? "[%.46s]:%s" : "%.46s:%s", host, port);
	return 0;
}

/* Names may have got other addresses since. A name without one is left out, and said. */
static int resolve(const struct zk *zk, struct addresses *ret, char *why, size_t size)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	int n = 0, r = 0, failed;

	for (size_t i = 0; i < zk->kv->n_servers && r == 0; i++) {
		const struct kv_server *s = &zk->kv->servers[(zk->first + i) % zk->kv->n_servers];
		struct addrinfo *found = NULL;
		char port[8];

		snprintf(port, sizeof(port), "%u", s->port);
		failed = getaddrinfo(s->host, port, &hints, &found);
		if (failed && n >= 0 && (size_t)n < size)
			n += snprintf(why + n, size - (size_t)n, "%s%s: %s", n ? "; " : "", s->name,
				      gai_strerror(failed));
		for (struct addrinfo *ai = found; ai && r == 0; ai = ai->ai_next)
			r = add_address(ret, s, ai);
		if (found)
			freeaddrinfo(found);
	}
	return r ? r : ret->n ? 0 : -EIO;
}

/* "192.0.2.1:2181,2001:db8::2:2181": the library takes what follows the last colon for the port. */
static char *address_list(const struct addresses *a)
{
	struct strbuf list = { 0 };

	for (size_t i = 0; i < a->n; i++) {
		strbuf_add(&list, i ? "," : "");
		for (const char *c = a->v[i].text; *c; c++)
			if (*c != '[' && *c != ']')
				strbuf_addn(&list, c, 1);
	}
	return strbuf_take(&list);
}

/* What the coming session is to be; the old addresses go. */
static void begin_session(struct zk *zk, const struct addresses *a)
{
	LOCKED(&zk->lock);

	free(zk->addresses);
	zk->addresses = a->v;
	zk->n_addresses = a->n;
	zk->since = clock_mono_ns();
	zk->connected = zk->expired = zk->lost = zk->stalled = zk->deaf = false;
}

int zk_session_open(struct zk *zk, char *why, size_t size)
{
	int timeout = zk->kv->ttl_s < INT_MAX / 1000 ? (int)zk->kv->ttl_s * 1000 : INT_MAX;
	struct addresses a = { 0 };
	_free_ char *list = NULL;
	zhandle_t *zh;
	int r = resolve(zk, &a, why, size);

	zk->first++;
	list = r ? NULL : address_list(&a);
	if (!list) {
		free(a.v);
		return r ? r : -ENOMEM;
	}
	begin_session(zk, &a);
	zh = zk->lib->zookeeper_init2(list, on_session, timeout, NULL, zk, ZOO_NO_LOG_CLIENTENV,
				      zk_lib_log);
	if (!zh) {
		snprintf(why, size, "the client library fails: %s", strerror(errno));
		return -EIO;
	}
	pthread_mutex_lock(&zk->lock);
	zk->zh = zh;
	pthread_cond_broadcast(&zk->changed);
	pthread_mutex_unlock(&zk->lock);
	return 0;
}

static void forget_locked(struct zk *zk)
{
	struct zk_event *e, *next_event;
	struct zk_call *c, *next_call;

	/* Those that the library did not come to. */
	list_for_each_safe (c, next_call, &zk->calls, node)
		finish_locked(c, ZCLOSING);
	list_for_each_safe (e, next_event, &zk->events, node) {
		list_del(&e->node);
		free(e);
	}
}

void zk_session_close(struct zk *zk)
{
	zhandle_t *zh;

	pthread_mutex_lock(&zk->lock);
	zh = take_ptr(zk->zh);
	zk->connected = false;
	zk->server = NULL;
	pthread_mutex_unlock(&zk->lock);
	/* Waits for the library's threads; none of its calls comes after this. */
	if (zh)
		zk->lib->zookeeper_close(zh);
	pthread_mutex_lock(&zk->lock);
	zk->connected = false;
	zk->server = NULL;
	forget_locked(zk);
	pthread_mutex_unlock(&zk->lock);
}
