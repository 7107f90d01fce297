/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers to long work that tells how far it is: a stream of JSON lines that begins with the first
 * of them. Until then an error is a status; afterwards it is a line, as Docker's clients expect.
 *
 * The work runs on the handler's thread and goes on when its client has gone: it is for all.
 */
#ifndef API_API_PROGRESS_H
#define API_API_PROGRESS_H

#include "api/api_call.h"

struct progress;

int progress_new(struct progress **ret, struct api_call *call);
/*
 * A line of JSON, without its end; an image_progress, arg is the progress. Once it was called the
 * request and its texts must not be used any more.
 */
void progress_tell(const char *json, void *arg);
/*
 * What the handler returns when the work has returned r (with call->err). Releases the progress.
 */
int progress_end(struct progress *p, int r);

#endif
