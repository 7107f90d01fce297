/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config.json, put together: spec_process.c says who runs what, spec_mounts.c what is to be seen,
 * spec_confine.c what may be done, seccomp.c which system calls, users.c who a name is in the
 * image.
 */
#include "containers/spec.h"

#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/config_internal.h"
#include "containers/spec_internal.h"

#define OCI_VERSION "1.0.2"

/* A jansson integer has a sign: no limit is written as -1 and spelled out in the text. */
#define UNLIMITED "18446744073709551615"

json_t *spec_list(const char *const *texts)
{
	json_t *list = json_array();

	for (; *texts; texts++)
		json_push(list, json_string(*texts));
	return list;
}

const char *spec_hostname(const struct spec_input *in, char buf[static 65])
{
	if (in->hostname)
		return in->hostname;
	buf[0] = buf[64] = 0;
	gethostname(buf, 64);
	return buf;
}

/* A quote inside a string is escaped, so what is searched for can only be a member. */
static char *spell_unlimited(char *text)
{
	static const char *const members[] = { "\"hard\":-1", "\"soft\":-1" };
	struct strbuf out = { 0 };
	const char *at = text, *next;

	do {
		const char *hard = strstr(at, members[0]), *soft = strstr(at, members[1]);

		next = !hard || (soft && soft < hard) ? soft : hard;
		if (next) {
			size_t n = (size_t)(next - at) + strlen(members[0]) - strlen("-1");

			strbuf_addn(&out, at, n);
			strbuf_add(&out, UNLIMITED);
			at += n + strlen("-1");
		}
	} while (next);
	strbuf_add(&out, at);
	free(text);
	return strbuf_take(&out);
}

static int text_of(const json_t *spec, char **ret, struct cnm_error *err)
{
	char *text = json_text(spec);

	if (text)
		text = spell_unlimited(text);
	if (!text)
		return cnm_error_errno(err, ENOMEM, "write the configuration for the runtime");
	*ret = text;
	return 0;
}

static json_t *root_of(const struct spec_input *in)
{
	json_t *root = json_object();

	json_put(root, "path", json_string(in->rootfs));
	json_put(root, "readonly", json_boolean(config_flag(in->c->host, "ReadonlyRootfs")));
	return root;
}

int spec_container(const struct spec_input *in, char **ret, struct cnm_error *err)
{
	_json_ json_t *spec = json_object(), *linux_spec = json_object();
	json_t *process = NULL;
	char hostname[65];
	int r;

	json_put(spec, "ociVersion", json_string(OCI_VERSION));
	json_put(spec, "linux", json_incref(linux_spec));
	r = spec_process(in, NULL, &process, err);
	if (r < 0)
		return r;
	json_put(spec, "process", process);
	json_put(spec, "root", root_of(in));
	json_put(spec, "hostname", json_string(spec_hostname(in, hostname)));
	r = spec_mounts(in, spec, linux_spec, err);
	if (r < 0)
		return r;
	spec_confine(in, linux_spec);
	return text_of(spec, ret, err);
}

int spec_exec(const struct spec_input *in, const json_t *exec, char **ret, struct cnm_error *err)
{
	_json_ json_t *process = NULL;
	int r = spec_process(in, exec, &process, err);

	return r < 0 ? r : text_of(process, ret, err);
}
