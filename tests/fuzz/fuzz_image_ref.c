/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of images: what is accepted, short or in full, means the same when it is read again. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "containers/image_ref.h"

static void must_mean(const char *text, const struct image_ref *want)
{
	struct image_ref got;

	if (image_ref_parse(&got, text, NULL) < 0 || !streq(got.name, want->name) ||
	    !streq(got.digest, want->digest) ||
	    (!want->digest[0] && !streq(got.tag, want->tag[0] ? want->tag : "latest")))
		abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char *s = strndup((const char *)data, size), text[IMAGE_REF_STR], full[IMAGE_REF_FULL];
	struct image_ref r;

	if (image_ref_parse(&r, s, NULL) == 0) {
		must_mean(image_ref_format(&r, text), &r);
		must_mean(image_ref_full(&r, full), &r);
	}
	free(s);
	return 0;
}
