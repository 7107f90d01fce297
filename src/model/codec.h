/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Objects to the JSON bodies of their rows and back. Only what cannot be derived is stored.
 * Decoding is strict: a row that does not decode is an error that names the object.
 */
#ifndef MODEL_CODEC_H
#define MODEL_CODEC_H

#include "cnm/error.h"
#include "model/model.h"

/* Text owned by the caller, NULL when memory is out. */
char *network_encode(const struct network *n);
char *endpoint_encode(const struct endpoint *ep);
char *sandbox_encode(const struct sandbox *sb);

/* The object is new, in no model, its addresses not yet taken in the pool. */
int network_decode(const char *id, const char *name, const char *body, struct network **ret,
		   struct cnm_error *err);
int endpoint_decode(const char *id, const char *name, struct network *network, const char *body,
		    struct endpoint **ret, struct cnm_error *err);
int sandbox_decode(const char *id, const char *name, const char *body, struct sandbox **ret,
		   struct cnm_error *err);

#endif
