/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What handlers ask of a request beside its body, and say of their answers. */
#include "api/api_call.h"

#include <string.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"

const char *api_param(const struct api_call *call, const char *name)
{
	const char *s = http_message_param(call->request, name);

	return s && *s ? s : NULL;
}

int api_param_bool(struct api_call *call, const char *name, bool *ret)
{
	const char *s = api_param(call, name);

	if (s && str_to_bool(s, ret) < 0)
		return cnm_error_set(&call->err, CNM_E_INVALID,
				     "invalid value for %s: \"%s\": it is true or false", name, s);
	return 0;
}

int api_param_flag(struct api_call *call, const char *name, bool *ret)
{
	static const char *const no[] = { "0", "no", "false", "none" };
	const char *s = api_param(call, name);

	*ret = s != NULL;
	for (unsigned i = 0; s && i < sizeof(no) / sizeof(*no); i++)
		*ret &= strcasecmp(s, no[i]) != 0;
	return 0;
}

int api_param_int(struct api_call *call, const char *name, long *ret)
{
	const char *s = api_param(call, name);

	if (s && str_to_long(s, INT32_MIN, INT32_MAX, ret) < 0)
		return cnm_error_set(&call->err, CNM_E_INVALID,
				     "invalid value for %s: \"%s\": it is a whole number", name, s);
	return 0;
}

int api_param_time(struct api_call *call, const char *name, int64_t *ret)
{
	const char *s = api_param(call, name);

	if (!s)
		return 0;
	if (clock_parse(s, clock_wall_ns(), ret) < 0)
		return cnm_error_set(&call->err, CNM_E_INVALID,
				     "invalid value for \"%s\": \"%s\": it is RFC 3339, seconds "
				     "since 1970, or a duration like 10m",
				     name, s);
	if (*ret <= 0) /* 0 would be "not given" */
		*ret = 1;
	return 0;
}

int api_param_filters(struct api_call *call, const char **ret)
{
	const char *s = api_param(call, "filters");
	_json_ json_t *j = NULL;
	int r;

	if (!s)
		return 0;
	r = api_parse(&j, s, strlen(s), &call->err);
	if (r == 0)
		*ret = s;
	return r < 0 ? cnm_error_prefix(&call->err, "invalid filter") : 0;
}

int api_param_size(struct api_call *call, unsigned *ret_rows, unsigned *ret_columns)
{
	long h = 0, w = 0;
	int r;

	r = api_param_int(call, "h", &h);
	if (r == 0)
		r = api_param_int(call, "w", &w);
	if (r < 0)
		return r;
	if (h < 0 || h > UINT16_MAX || w < 0 || w > UINT16_MAX)
		return cnm_error_set(&call->err, CNM_E_INVALID,
				     "invalid size of a terminal: %ld rows, %ld columns: each is 0 "
				     "to %d",
				     h, w, UINT16_MAX);
	*ret_rows = (unsigned)h;
	*ret_columns = (unsigned)w;
	return 0;
}

/* ------------------------------------------------------------------------------------- platforms
 */

const char *api_arch(void)
{
	static const char *const names[][2] = {
		{ "x86_64", "amd64" }, { "aarch64", "arm64" },   { "i686", "386" },
		{ "armv7l", "arm" },   { "ppc64le", "ppc64le" }, { "s390x", "s390x" },
	};
	struct utsname u;

	uname(&u);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (streq(names[i][0], u.machine))
			return names[i][1];
	return "unknown";
}

int api_check_platform(struct api_call *call)
{
	const char *s = api_param(call, "platform"), *arch = s ? str_after(s, "linux") : NULL;
	const char *own = api_arch();
	size_t n = strlen(own);

	if (!s || (arch && *arch == '\0'))
		return 0;
	if (arch && *arch == '/' && strncmp(arch + 1, own, n) == 0 &&
	    (arch[1 + n] == '\0' || arch[1 + n] == '/'))
		return 0;
	return cnm_error_set(&call->err, CNM_E_NOT_IMPLEMENTED,
			     "platform \"%s\": this machine runs linux/%s only", s, own);
}

/* ----------------------------------------------------------------------------------------- types
 */

const char *api_stream_type(const struct api_call *call, bool terminal)
{
	return !terminal && call->version >= 1042 ? "application/vnd.docker.multiplexed-stream"
						  : "application/vnd.docker.raw-stream";
}

const char *api_hijack_type(const struct api_call *call, bool terminal)
{
	return api_stream_type(call, terminal || !call->request->upgrade);
}
