/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options that are about the machine: resources, confinement, how it ends. */
#include "cnm/run_options.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "cnm/api.h"
#include "cnm/mounts.h"
#include "cnm/units.h"

/* ---- numbers */

static int put_bytes(json_t *host, const char *member, const char *option, const char *text,
		     struct cnm_error *err)
{
	int64_t bytes;

	if (!text)
		return 0;
	if (streq(text, "-1") && streq(option, "memory-swap"))
		bytes = -1;
	else if (units_parse_bytes(text, &bytes) < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid argument \"%s\" for \"--%s\" flag: invalid size: "
				     "'%s'",
				     text, option, text);
	return json_put(host, member, json_integer(bytes)) < 0 ? api_oom(err) : 0;
}

/* "1.5": billionths of a processor. */
static int parse_cpus(const char *text, int64_t *ret)
{
	size_t whole = strspn(text, "0123456789");
	const char *fraction = text[whole] == '.' ? text + whole + 1 : text + whole;
	size_t digits = strspn(fraction, "0123456789");
	int64_t n = 0;

	if (fraction[digits] || whole > 6 || digits > 9 || whole + digits == 0)
		return -EINVAL;
	for (size_t i = 0; i < whole; i++)
		n = n * 10 + (text[i] - '0');
	for (size_t i = 0; i < 9; i++)
		n = n * 10 + (i < digits ? fraction[i] - '0' : 0);
	*ret = n;
	return 0;
}

static int put_cpus(json_t *host, const char *text, struct cnm_error *err)
{
	int64_t nano;

	if (!text)
		return 0;
	if (parse_cpus(text, &nano) < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid argument \"%s\" for \"--cpus\" flag: give a number "
				     "like 1.5, with up to nine decimals",
				     text);
	return json_put(host, "NanoCpus", json_integer(nano)) < 0 ? api_oom(err) : 0;
}

/* "nofile=1024:2048" */
static int add_ulimit(json_t *ulimits, const char *text, struct cnm_error *err)
{
	_free_ char *name = strdup(text);
	char *soft = name ? strchr(name, '=') : NULL, *hard = soft ? strchr(soft, ':') : NULL;
	long s, h;

	if (!name)
		return api_oom(err);
	if (soft)
		*soft++ = '\0';
	if (hard)
		*hard++ = '\0';
	if (!soft || str_to_long(soft, -1, LONG_MAX, &s) < 0 ||
	    str_to_long(hard ? hard : soft, -1, LONG_MAX, &h) < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid argument \"%s\" for \"--ulimit\" flag: expected "
				     "NAME=SOFT[:HARD]",
				     text);
	return json_push(ulimits, json_pack("{s:s s:I s:I}", "Name", name, "Soft", (json_int_t)s,
					    "Hard", (json_int_t)h)) < 0
		       ? api_oom(err)
		       : 0;
}

static int put_ulimits(json_t *host, const struct strv *l, struct cnm_error *err)
{
	json_t *ulimits = json_array();
	int r = json_put(host, "Ulimits", ulimits) < 0 ? api_oom(err) : 0;

	for (size_t i = 0; r == 0 && i < l->n; i++)
		r = add_ulimit(ulimits, l->v[i], err);
	return r;
}

/* ---- restart */

/* "on-failure:3" */
static int put_restart(json_t *host, const struct run_options *o, struct cnm_error *err)
{
	const char *text = o->restart ? o->restart : "no", *colon = strchr(text, ':');
	size_t n = strcspn(text, ":");
	long max = 0;

	if (colon && str_to_long(colon + 1, 0, INT_MAX, &max) < 0)
		return cnm_error_set(err, CNM_E_INVALID,
				     "invalid restart policy format: maximum retry count must be "
				     "an integer");
	if (o->remove && !streq(text, "no") && *text)
		return cnm_error_set(err, CNM_E_INVALID,
				     "conflicting options: cannot specify both --restart and --rm");
	return json_put(host, "RestartPolicy",
			json_pack("{s:s% s:I}", "Name", text, n, "MaximumRetryCount",
				  (json_int_t)max)) < 0
		       ? api_oom(err)
		       : 0;
}

/* ---- all of it */

static void put_list(json_t *host, const char *member, const struct strv *l)
{
	if (l->n)
		json_put(host, member, strv_json(l));
}

static int put_limits(json_t *host, const struct run_options *o, struct cnm_error *err)
{
	int r = put_bytes(host, "Memory", "memory", o->memory, err);

	if (r == 0)
		r = put_bytes(host, "MemorySwap", "memory-swap", o->memory_swap, err);
	if (r == 0)
		r = put_bytes(host, "MemoryReservation", "memory-reservation",
			      o->memory_reservation, err);
	if (r == 0)
		r = put_bytes(host, "ShmSize", "shm-size", o->shm_size, err);
	if (r == 0)
		r = put_cpus(host, o->cpus, err);
	return r < 0 ? r : put_ulimits(host, &o->ulimits, err);
}

json_t *run_options_host(const struct run_options *o, struct cnm_error *err)
{
	_json_ json_t *host = json_pack(
		"{s:b s:b s:b s:b s:I s:I s:s s:O}", "AutoRemove", o->remove, "Privileged",
		o->privileged, "ReadonlyRootfs", o->read_only, "PublishAllPorts", o->publish_all,
		"CpuShares", (json_int_t)o->cpu_shares, "PidsLimit", (json_int_t)o->pids_limit,
		"CpusetCpus", o->cpuset ? o->cpuset : "", "Sysctls", o->sysctls);
	json_t *tmpfs = json_object();

	put_list(host, "CapAdd", &o->cap_add);
	put_list(host, "CapDrop", &o->cap_drop);
	put_list(host, "GroupAdd", &o->group_add);
	put_list(host, "SecurityOpt", &o->security);
	if (json_put(host, "Tmpfs", tmpfs) < 0 || mounts_add_tmpfs(&o->tmpfs, tmpfs) < 0) {
		api_oom(err);
		return NULL;
	}
	if (put_limits(host, o, err) < 0 || put_restart(host, o, err) < 0)
		return NULL;
	return take_ptr(host);
}
