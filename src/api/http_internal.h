/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the HTTP server share: http_server.c (loop, listeners, deadlines, stop),
 * http_conn.c (one connection), http_body.c (bodies that handlers read), http_reply.c (answers),
 * http_pool.c (threads).
 *
 * Who owns what. "The server's thread" is the one that leads (http_pool.c); leadership passes under
 * a mutex. All of a connection belongs to it, except while it is CONN_WORKING: then its exchange
 * belongs to the handler, with `early`, `sent` and `continued`. The hand-over in either direction
 * goes through a queue under a mutex. A stream's buffer is shared with its writers under the
 * stream's own mutex. No mutex is held across a system call that could wait.
 */
#ifndef API_HTTP_INTERNAL_H
#define API_HTTP_INTERNAL_H

#include <pthread.h>

#include "api/http_server.h"
#include "base/list.h"
#include "base/str.h"

struct conn;

/* --------------------------------------------------------------------------------- an exchange */

enum answer { ANSWER_NONE, ANSWER_WHOLE, ANSWER_STREAM, ANSWER_PIPE, ANSWER_HIJACK };

struct http_exchange {
	struct http_message request;
	struct strbuf headers; /* lines of the answer's head, by http_set_header() */
	struct strbuf out;     /* the answer, ready to send */
	enum answer answer;
	bool close;   /* close the connection after the answer */
	bool chunked; /* of a stream or a pipe: else the end of the connection is that of the body
		       */
	bool *given;  /* set when a handler gives the exchange up before it returns; may be NULL */
	int pipe;     /* with ANSWER_PIPE: what the body is read from */
	struct http_stream *stream;
	void (*take)(int fd, const char *early, size_t n, void *arg);
	void *take_arg;
};

struct http_stream {
	pthread_mutex_t lock;
	struct strbuf pending; /* framed records that the server's thread has not fetched yet */
	size_t unsent;         /* bytes in pending and in the connection's out */
	bool ended, cut;       /* by the writer; cut: unsent would have passed the bound */
	bool over;             /* by the server: takes no more */
	bool chunked;          /* as the exchange's */
	bool started;          /* its handler goes on, and ends it */
	struct http_stream_options options;
	struct conn *conn;
};

/*
 * Memory for the head and a short body before the handler runs: what it changed it can then report.
 * false: there is none.
 */
bool exchange_reserve(struct http_exchange *x);
/* Status line, Date, Connection and the lines of http_set_header(); more lines may follow. */
void exchange_begin_head(struct http_exchange *x, int status);
/* An answer of the server itself: {"message": reason}. */
void exchange_refuse(struct http_exchange *x, int status, const char *reason);
void exchange_free(struct http_exchange *x);
void stream_free(struct http_stream *stream);

/* -------------------------------------------------------------------------------- a connection */

enum conn_state {
	CONN_READING,   /* waits for a request, or reads it */
	CONN_WORKING,   /* a handler has the exchange */
	CONN_SENDING,   /* sends a whole answer, or the head of the others */
	CONN_STREAMING, /* sends records as they come */
	CONN_PIPING,    /* sends what it reads from a pipe, piece by piece */
	CONN_DRAINING,  /* has refused, and reads away what the client still sends */
	CONN_DEAD,      /* waits for conn_free() at the end of the turn */
};

enum conn_note {
	NOTE_NEW = 1,     /* the server's thread does not know it yet */
	NOTE_HANDLED = 2, /* the handler has returned, or given the exchange up */
	NOTE_GO = 4,      /* there is something to do: the stream has records or has ended, ... */
};

/* What an epoll event is about. */
enum source { SOURCE_WAKE, SOURCE_LISTENER, SOURCE_CONN, SOURCE_PIPE };

struct conn {
	enum source source; /* first */
	int fd;
	enum conn_state state;
	struct http_server *server;
	struct http_exchange x;
	struct strbuf early; /* bytes read beyond the current request */
	size_t sent;         /* how much of x.out */
	bool continued;      /* 100 Continue was sent */
	bool registered;     /* with epoll, for: */
	uint32_t events;
	enum source pipe_source; /* x.pipe's own, while it is waited for: */
	bool pipe_registered;
	uint64_t deadline;         /* monotonic; 0: none, and not in a list */
	struct list node;          /* of server->conns or ->dead */
	struct list deadline_node; /* of server->deadlines */
	struct list idle_node; /* of server->idle while waiting for the first byte of a request */
	struct list work_node; /* of the pool's queue */
	struct list note_node; /* of server->noted; under its lock, as notes */
	unsigned notes;
};

/* Takes the socket; conn_start() makes it part of the server, on the server's thread. */
struct conn *conn_new(struct http_server *server, int fd);
void conn_start(struct conn *c);
/* For a connection in server->dead. */
void conn_free(struct conn *c);
void conn_on_event(struct conn *c, uint32_t events);
/* Its pipe has something, or has ended. */
void conn_on_pipe(struct conn *c);
void conn_on_notes(struct conn *c, unsigned notes);
void conn_on_deadline(struct conn *c);
/* The server is stopping: end what would wait for the client. */
void conn_on_stop(struct conn *c);
/*
 * By the handler's thread, when it is done with the exchange: send what the socket takes at once,
 * and give it back to the server's.
 */
void conn_give_back(struct conn *c);
/*
 * Give the connection up: it moves to server->dead. While a handler has it only its reading ends,
 * so that a handler that waits for a body does not wait on.
 */
void conn_close(struct conn *c);

/* Tell a client that waits for it, once, that its body is wanted. Whoever reads calls it. */
int body_invite(struct conn *c);

/* ---------------------------------------------------------------- what a connection needs of it */

#define READ_SIZE 16384

struct pool;

struct http_server {
	struct http_server_options options;
	struct http_limits limits;
	enum source wake_source;
	int epoll, wake; /* wake is an eventfd */
	struct pool *pool;

	/* Of the server's thread. */
	struct list conns, dead;
	struct list idle;      /* waiting for a request, the longest first */
	struct list deadlines; /* ascending */
	unsigned n_conns;
	uint64_t accept_again; /* accepting is suspended until then; 0: it is not */
	bool stopping;         /* stop_at has been seen */
	char buffer[READ_SIZE];

	pthread_mutex_t lock; /* for what follows */
	struct list noted;    /* connections with notes */
	struct list listeners;
	uint64_t stop_at; /* http_server_stop() was called: when its patience ends. 0: it was not */
};

/* Tell the server's thread about a connection. Any thread. */
void server_note(struct conn *c, unsigned note);
/* In milliseconds from now. */
void server_set_deadline(struct conn *c, unsigned ms);
void server_set_deadline_at(struct conn *c, uint64_t mono_ns);
void server_clear_deadline(struct conn *c);
/* A connection has gone, or one is idle and may go: accepting may go on. */
void server_accept_again(struct http_server *server);

/*
 * Run the loop until a request waits for a thread that may take it (true), or the server has
 * stopped (false).
 */
bool server_lead(struct http_server *server);

/* ------------------------------------------------------------------------------------- threads */

int pool_new(struct pool **ret, struct http_server *server, unsigned max_workers);
/* Starts the first thread. */
int pool_start(struct pool *pool);
/* By the leader: have the handler run on some thread; NOTE_HANDLED follows. */
void pool_submit(struct pool *pool, struct conn *c);
/* Should the leader leave the loop for a request? */
bool pool_has_work(struct pool *pool);
/* Until all threads have ended, which they do once server_lead() returned false, else -ETIMEDOUT.
 */
int pool_wait(struct pool *pool, uint64_t until_ns);
void pool_free(struct pool *pool);

#endif
