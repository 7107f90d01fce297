/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An HTTP/1.1 server on listening sockets it is handed. It knows nothing of cnm.
 *
 * One thread at a time, "the server's thread", runs an epoll loop over all connections and never
 * waits for anything else. A complete request goes to options.handle, which answers through one of
 * the http_reply functions below: beside the loop or, where options.quick says that the request
 * needs no waiting, within it. Handlers of different connections run beside one another; a
 * connection's requests run in order. Handlers run on stacks of 256 KiB.
 *
 * An answer is whole (http_reply), a stream that other threads write records to
 * (http_reply_stream), what a pipe or file holds (http_reply_pipe), or the connection itself
 * (http_reply_hijack).
 */
#ifndef API_HTTP_SERVER_H
#define API_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "api/http_message.h"
#include "cnm/error.h"

struct http_server;
struct http_exchange; /* a request and its answer; a handler's until it returns */
struct http_stream;

struct http_server_options {
	void (*handle)(struct http_exchange *x, void *arg);
	/* May the request be handled on the server's thread? NULL: none may. */
	bool (*quick)(const struct http_message *request, void *arg);
	/*
	 * Asked of a request with a body once its head is complete, on the server's thread: is the
	 * body left to the handler, who reads it with http_body_read()? Such a request is never
	 * quick, and max_body does not bound it. NULL: none is.
	 */
	bool (*streams)(const struct http_message *request, void *arg);
	void *arg;
	/* Each 0: the default. */
	size_t max_head;          /* bytes of request line and headers: 64 KiB */
	size_t max_body;          /* 4 MiB */
	unsigned max_connections; /* 1024; beyond, the longest idle one makes room */
	unsigned max_workers;     /* 64; they start on demand and end when idle */
	unsigned deadline_ms; /* to read one request, for more of a body, or to take more: 30 s */
};

/* Starts the first thread. */
int http_server_start(struct http_server **ret, const struct http_server_options *options,
		      struct cnm_error *err);
/*
 * Accept connections on fd, which is made non-blocking and stays the caller's; it must stay open
 * until http_server_stop() returns. Any number of sockets may be added.
 */
int http_server_listen(struct http_server *server, int fd, struct cnm_error *err);
/* Serve a connected socket, which becomes the server's, also on failure. */
int http_server_adopt(struct http_server *server, int fd, struct cnm_error *err);
/*
 * Stop accepting, let requests in progress finish and streams end, for at most timeout_ms; then
 * close what is left and release the server. -ETIMEDOUT: a handler still runs; the server, and what
 * handlers use, must stay. It may be called again, to wait on.
 */
int http_server_stop(struct http_server *server, unsigned timeout_ms);

const struct http_message *http_request(const struct http_exchange *x);

/*
 * Up to n > 0 bytes of a body that `streams` left to the handler, waiting for them if there are
 * none: how many, 0 at the body's end, or a negative errno: -ECONNRESET (the client has gone, or
 * the server stops), -ETIMEDOUT (nothing came before the deadline), -EBADMSG (it is no proper
 * body), -ENOMEM. Invites the body of a client that waits to be. A handler may answer without
 * having read all; then the connection is closed after the answer.
 */
ssize_t http_body_read(struct http_exchange *x, void *buf, size_t n);

/* Adds a line to the head of the answer; before the reply. */
void http_set_header(struct http_exchange *x, const char *name, const char *value);
/*
 * Answer with a body of n bytes, which are copied; type NULL: no Content-Type. For HEAD only the
 * head is sent; 204 and 304 carry no body. One reply to an exchange. A body of less than half a
 * KiB needs no memory that is not there; a longer one that does not fit costs the connection.
 */
void http_reply(struct http_exchange *x, int status, const char *type, const char *body, size_t n);

struct http_stream_options {
	const char *type;  /* Content-Type */
	size_t max_unsent; /* bytes that may wait for a slow reader; 0: 1 MiB */
	uint64_t end_ns;   /* monotonic instant at which the stream ends itself; 0: none */
	/*
	 * Runs once, on the server's thread and after the handler returned (or, sooner, after
	 * http_stream_start()), when the stream has
	 * ended, its client is gone, or it was too slow. It must see to it that nobody uses the
	 * stream any more: it is released when this returns. It must not wait for long.
	 */
	void (*closed)(void *arg);
	void *arg;
	/* Also a handler that goes on beside it ends soon after closed(): a server that stops need
	 * not let it finish. */
	bool endless;
};

/*
 * Answer 200 with a body that is written later, by any thread; the head is sent when the handler
 * returns. NULL if memory is out: then nothing was replied and closed() will not run.
 */
struct http_stream *http_reply_stream(struct http_exchange *x,
				      const struct http_stream_options *options);
/*
 * Send the head now, by a handler that goes on beside its stream. The exchange, its request
 * included, is no more the handler's afterwards, and the stream is its until closed() runs. A
 * server that stops lets it finish, while other streams end. Without effect in a handler on the
 * server's thread.
 */
void http_stream_start(struct http_stream *stream);
/*
 * Queue one record, which is sent at once, as a chunk of its own. Never waits. -EPIPE: the stream
 * is over; -ENOBUFS: the reader is too slow, and the connection is cut. Thread-safe.
 */
int http_stream_write(struct http_stream *stream, const void *data, size_t n);
/* No more records: the answer is completed and the connection kept. Thread-safe. */
void http_stream_end(struct http_stream *stream);

/*
 * Answer with a body that is read from fd, a pipe or a file, until its end, and sent as it comes;
 * while the client takes no more, nothing is read. fd becomes the server's, also on failure, and is
 * closed at the end or when the client has gone, also if there is nothing to send to it. A read
 * that fails cuts the connection. Returns 0, or a negative errno: then nothing was replied.
 */
int http_reply_pipe(struct http_exchange *x, int status, const char *type, int fd);

/*
 * Answer by handing over the connection: 101 if the client offered to upgrade, else 200, both as
 * Docker's clients expect them. Once the head is sent, take() receives the socket (non-blocking;
 * now the caller's) with the bytes that came after the request; they are valid during the call. It
 * runs on the server's thread after the handler returned and must not wait. fd is -1 if the client
 * went away first.
 */
void http_reply_hijack(struct http_exchange *x, const char *type,
		       void (*take)(int fd, const char *early, size_t n, void *arg), void *arg);

#endif
