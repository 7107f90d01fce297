/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What clients ask of a container. golden/create.jsonl holds bodies as the stock clients 28.2 (API
 * 1.47) and 20.10 (1.41) send them, a line each, with the flags they were made by.
 */
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/config.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct cnm_error err;
static struct container_config c;

static json_t *parse(const char *text)
{
	json_error_t why;
	json_t *j = json_loads(text, JSON_DECODE_ANY, &why);

	if (!j)
		fail_msg("%s: %s", text, why.text);
	return j;
}

static int decode(const char *text, unsigned version)
{
	_json_ json_t *body = parse(text);

	container_config_free(&c);
	memset(&err, 0, sizeof(err));
	return container_config_decode(&c, body, version, ID, &err);
}

static void expect(const json_t *have, const char *text)
{
	_json_ json_t *want = parse(text);
	_free_ char *shown = have ? json_dumps(have, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	if (!have || !json_equal((json_t *)have, want))
		fail_msg("have %s, want %s", shown ? shown : "nothing", text);
}

static void expect_members(const json_t *have, const char *text)
{
	_json_ json_t *want = parse(text);
	const char *k;
	json_t *v;

	json_object_foreach (want, k, v) {
		_free_ char *value = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

		if (json_is_null(v) && !json_object_get(have, k))
			continue;
		expect(json_object_get(have, k), value);
	}
}

static void refused(const char *text, enum cnm_error_class class, const char *words)
{
	int r = decode(text, 1047);

	if (r >= 0 || err.class != class || !strstr(err.text, words))
		fail_msg("%s: %d %d \"%s\", not \"%s\"", text, r, err.class, err.text, words);
	assert_null(c.config);
}

static void invalid(const char *text, const char *words)
{
	refused(text, CNM_E_INVALID, words);
}

static void host_invalid(const char *host, const char *words)
{
	_free_ char *text = NULL;

	assert_true(asprintf(&text, "{\"HostConfig\":%s}", host) > 0);
	invalid(text, words);
}

static int done(void **state)
{
	container_config_free(&c);
	return 0;
}

/* ---- as the clients send it */

static const struct {
	const char *flags; /* as recorded, or how they begin */
	enum cnm_error_class class;
	const char *words;
	unsigned version; /* 0: of every client */
} refusals[] = {
	{ "create --net a --network b", CNM_E_INVALID,
	  "Container cannot be created with multiple network endpoints: a, b", 1041 },
	{ "create --memory 1m", CNM_E_INVALID, "Minimum memory limit allowed is 6MB", 0 },
	{ "create --net container:x --expose", CNM_E_INVALID,
	  "conflicting options: port exposing and the container type network mode", 0 },
	{ "create --cap-add FOO", CNM_E_INVALID, "invalid CapAdd: unknown capability: \"", 0 },
	{ "create --tmpfs /x:bad", CNM_E_INVALID, "Invalid tmpfs option \"bad\"", 0 },
	{ "create -w rel", CNM_E_INVALID,
	  "the working directory 'rel' is invalid, it needs to be an absolute path", 0 },
	{ "create --stop-signal FOO", CNM_E_INVALID, "invalid signal: FOO", 0 },
	{ "create -v a/b:/x", CNM_E_INVALID, "includes invalid characters for a local volume name",
	  0 },
	{ "create --security-opt apparmor=x", CNM_E_NOT_IMPLEMENTED,
	  "--security-opt apparmor (HostConfig.SecurityOpt) is not supported by cnm", 0 },
	{ "create --cpus 9999", CNM_E_INVALID, "range of CPUs is from 0.01 to ", 0 },
	{ "create --device /dev", CNM_E_NOT_IMPLEMENTED,
	  "--device (HostConfig.Devices) is not supported by cnm", 0 },
	{ "create --pid", CNM_E_NOT_IMPLEMENTED, "--ipc (HostConfig.IpcMode)", 0 },
	{ "create --health-cmd", CNM_E_NOT_IMPLEMENTED, "--health-cmd (Healthcheck)", 0 },
	{ "create --log-driver", CNM_E_NOT_IMPLEMENTED, "--log-opt (HostConfig.LogConfig.Config)",
	  0 },
	{ "create --volumes-from", CNM_E_NOT_IMPLEMENTED, "--volumes-from (HostConfig.VolumesFrom)",
	  0 },
	{ "create --init", CNM_E_NOT_IMPLEMENTED, "--init (HostConfig.Init)", 0 },
	{ "create --runtime", CNM_E_NOT_IMPLEMENTED, "--runtime foo (HostConfig.Runtime)", 0 },
	{ "create --gpus", CNM_E_NOT_IMPLEMENTED, "--gpus (HostConfig.DeviceRequests)", 0 },
	{ "create --blkio-weight", CNM_E_NOT_IMPLEMENTED, "--blkio-weight", 0 },
	{ "create --cgroup-parent", CNM_E_NOT_IMPLEMENTED, "--cgroup-parent", 0 },
	{ "create --userns", CNM_E_NOT_IMPLEMENTED, "--userns", 0 },
	{ "create -P", CNM_E_NOT_IMPLEMENTED, "(HostConfig.", 0 },
	{ "create --cpu-period", CNM_E_NOT_IMPLEMENTED, "(HostConfig.", 0 },
};

static void check_line(const json_t *line)
{
	const char *flags = json_string_value(json_object_get(line, "flags"));
	unsigned version = (unsigned)json_integer_value(json_object_get(line, "version"));
	const json_t *body = json_object_get(line, "body");
	_json_ json_t *exec = NULL;
	int r;

	memset(&err, 0, sizeof(err));
	if (str_after(flags, "exec"))
		r = exec_config_decode(&exec, body, &err);
	else
		r = container_config_decode(&c, body, version, ID, &err);
	container_config_free(&c);
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		if (!str_after(flags, refusals[i].flags) ||
		    (refusals[i].version && refusals[i].version != version))
			continue;
		if (r >= 0 || err.class != refusals[i].class ||
		    !strstr(err.text, refusals[i].words))
			fail_msg("%s: %d \"%s\", not \"%s\"", flags, r, err.text,
				 refusals[i].words);
		return;
	}
	if (r < 0)
		fail_msg("%u %s: %s", version, flags, err.text);
}

static FILE *bodies(void)
{
	const char *slash = strrchr(__FILE__, '/');
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%.*s/golden/create.jsonl",
		 slash ? (int)(slash - __FILE__) : 1, slash ? __FILE__ : ".");
	f = fopen(path, "re");
	if (!f)
		fail_msg("%s is missing", path);
	return f;
}

static void test_clients(void **state)
{
	FILE *f = bodies();
	_free_ char *text = NULL;
	size_t size = 0, n = 0;

	while (getline(&text, &size, f) > 0) {
		_json_ json_t *line = parse(text);

		check_line(line);
		n++;
	}
	fclose(f);
	assert_true(n > 80);
}

/* The recorded body of these flags. */
static void decode_recorded(const char *flags, unsigned version)
{
	FILE *f = bodies();
	_free_ char *text = NULL;
	size_t size = 0;
	bool found = false;

	while (!found && getline(&text, &size, f) > 0) {
		_json_ json_t *line = parse(text);

		if (!str_after(json_string_value(json_object_get(line, "flags")), flags) ||
		    json_integer_value(json_object_get(line, "version")) != version)
			continue;
		found = true;
		container_config_free(&c);
		if (container_config_decode(&c, json_object_get(line, "body"), version, ID, &err) <
		    0)
			fail_msg("%s: %s", flags, err.text);
	}
	fclose(f);
	assert_true(found);
}

static void test_plain(void **state)
{
	const unsigned versions[] = { 1041, 1047 };

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		decode_recorded("create busybox", versions[i]);
		expect_members(c.config,
			       "{\"Hostname\":\"0123456789ab\",\"Image\":\"busybox\",\"Env\":[],"
			       "\"Cmd\":null,\"Entrypoint\":null,\"Volumes\":null,\"Labels\":{},"
			       "\"AttachStdout\":true,\"Tty\":false,\"OnBuild\":null}");
		expect_members(c.host,
			       "{\"NetworkMode\":\"bridge\",\"ShmSize\":67108864,"
			       "\"RestartPolicy\":{\"Name\":\"no\",\"MaximumRetryCount\":0},"
			       "\"LogConfig\":{\"Type\":\"json-file\",\"Config\":{}},"
			       "\"IpcMode\":\"private\",\"Runtime\":\"runc\",\"Binds\":null,"
			       "\"PidsLimit\":null,\"MemorySwappiness\":null,\"PortBindings\":{}}");
		assert_int_equal(json_array_size(json_object_get(c.host, "MaskedPaths")), 12);
		expect(c.endpoints, "{\"bridge\":{}}");
		expect(c.mounts, "[]");
		expect(c.warnings, "[]");
	}
}

static void test_flags(void **state)
{
	decode_recorded("create -i -t --rm --net net1", 1041);
	expect(json_object_get(json_object_get(c.endpoints, "net1"), "MacAddress"),
	       "\"02:42:ac:11:00:09\"");
	assert_null(json_object_get(c.config, "MacAddress"));
	decode_recorded("create -i -t --rm --net net1", 1047);
	expect_members(json_object_get(c.endpoints, "net1"),
		       "{\"Aliases\":[\"a1\",\"a2\"],\"MacAddress\":\"02:42:ac:11:00:09\"}");
	expect_members(json_object_get(json_object_get(c.endpoints, "net1"), "IPAMConfig"),
		       "{\"IPv4Address\":\"10.0.0.9\",\"IPv6Address\":\"fd00::9\"}");
	decode_recorded("create --network name=a,alias=x", 1047);
	assert_string_equal(json_object_iter_key(json_object_iter(c.endpoints)), "a");
	assert_int_equal(json_object_size(c.endpoints), 2);
	decode_recorded("create --net container:x busybox", 1047);
	expect(c.endpoints, "{}");
	expect(json_object_get(c.config, "Hostname"), "\"\"");
	decode_recorded("create --net host busybox", 1041);
	assert_true(json_string_length(json_object_get(c.config, "Hostname")) > 0);
	expect(c.endpoints, "{\"host\":{}}");
	decode_recorded("create --privileged", 1041);
	expect_members(c.host, "{\"CapAdd\":[\"CAP_NET_ADMIN\"],\"CapDrop\":[\"CAP_MKNOD\"],"
			       "\"MaskedPaths\":null,\"ReadonlyPaths\":null}");
}

static const json_t *mount_at(const char *destination)
{
	json_t *m;
	size_t i;

	json_array_foreach (c.mounts, i, m)
		if (streq(json_string_value(json_object_get(m, "Destination")), destination))
			return m;
	fail_msg("nothing is mounted at %s", destination);
	return NULL;
}

static void test_mounts(void **state)
{
	decode_recorded("create -e A=1", 1047);
	expect(mount_at("/host"),
	       "{\"Type\":\"bind\",\"Source\":\"/etc\",\"Destination\":\"/host\","
	       "\"Mode\":\"ro\",\"RW\":false,\"Propagation\":\"rprivate\"}");
	expect(mount_at("/data"),
	       "{\"Type\":\"volume\",\"Name\":\"named\",\"Source\":\"\",\"Destination\":\"/data\","
	       "\"Driver\":\"local\",\"Mode\":\"z\",\"RW\":true,\"Propagation\":\"\"}");
	expect_members(mount_at("/t"), "{\"Mode\":\"rw,rshared\",\"Propagation\":\"rshared\"}");
	assert_int_equal(json_string_length(json_object_get(mount_at("/anon"), "Name")), 64);
	decode_recorded("create --mount type=bind,src=/etc,dst=/m,readonly", 1041);
	expect_members(mount_at("/m"), "{\"Type\":\"bind\",\"RW\":false}");
	expect_members(mount_at("/v"), "{\"Type\":\"volume\",\"Name\":\"v1\"}");
	expect_members(mount_at("/t"), "{\"Type\":\"tmpfs\",\"Source\":\"\"}");
	assert_int_equal(json_string_length(json_object_get(mount_at("/anon2"), "Name")), 64);
}

static void test_mounts_refused(void **state)
{
	host_invalid("{\"Binds\":[\"/a\"]}", "invalid volume specification: '/a'");
	host_invalid("{\"Binds\":[\"/a:/b:ro:x\"]}", "invalid volume specification: '/a:/b:ro:x'");
	host_invalid("{\"Binds\":[\"/a:b\"]}",
		     "invalid mount path: 'b' mount path must be absolute");
	host_invalid("{\"Binds\":[\"/a:/b:ro,rw\"]}", "invalid mode: ro,rw");
	host_invalid("{\"Binds\":[\"/a:/b:nocopy\"]}", "invalid mode: nocopy");
	host_invalid("{\"Binds\":[\"v:/b:rshared\"]}", "invalid mode: rshared");
	host_invalid("{\"Binds\":[\"/a:/b/..\"]}", "destination can't be '/'");
	host_invalid("{\"Binds\":[\"/a:/b\",\"v:/x/../b/\"]}", "Duplicate mount point: /b");
	host_invalid("{\"Binds\":[\"/a:/b\"],\"Tmpfs\":{\"/b/\":\"\"}}",
		     "Duplicate mount point: /b");
	host_invalid("{\"Tmpfs\":{\"rel\":\"\"}}", "mount path must be absolute");
	host_invalid("{\"Tmpfs\":{\"/\":\"\"}}", "destination can't be '/'");
	host_invalid("{\"Mounts\":[{\"Type\":\"bind\",\"Target\":\"/x\"}]}",
		     "field Source must not be empty");
	host_invalid("{\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/x\"}]}",
		     "field Target must not be empty");
	host_invalid("{\"Mounts\":[{\"Type\":\"npipe\",\"Target\":\"/x\"}]}", "mount type unknown");
	host_invalid("{\"Mounts\":[{\"Type\":\"tmpfs\",\"Target\":\"/x\","
		     "\"BindOptions\":{\"Propagation\":\"private\"}}]}",
		     "field BindOptions must not be specified");
	host_invalid("{\"Mounts\":[7]}", "must be an array of objects");
	refused("{\"HostConfig\":{\"Mounts\":[{\"Type\":\"volume\",\"Target\":\"/x\","
		"\"VolumeOptions\":{\"Labels\":{\"a\":\"b\"}}}]}}",
		CNM_E_NOT_IMPLEMENTED, "volume-label");
}

/* ---- values */

static void test_values_refused(void **state)
{
	invalid("null", "config cannot be empty");
	invalid("{\"Hostname\":7}", "Hostname must be a string");
	invalid("{\"Hostname\":\"a\\nb\"}", "invalid hostname format");
	invalid("{\"Env\":[\"=x\"]}", "invalid environment variable: =x");
	invalid("{\"Env\":{}}", "Env must be an array of strings");
	invalid("{\"Env\":[1]}", "Env must be a string");
	invalid("{\"HostConfig\":[]}", "HostConfig");
	invalid("{\"ExposedPorts\":{\"x/tcp\":{}}}", "invalid port specification: \"x\"");
	invalid("{\"ExposedPorts\":{\"80-70/tcp\":{}}}", "invalid port specification");
	invalid("{\"StopTimeout\":-2}", "invalid StopTimeout -2");
	refused("{\"Frobnicate\":1}", CNM_E_NOT_IMPLEMENTED,
		"field Frobnicate is not supported by cnm");
	refused("{\"HostConfig\":{\"Frobnicate\":[1]}}", CNM_E_NOT_IMPLEMENTED,
		"field HostConfig.Frobnicate is not supported by cnm");
	assert_int_equal(decode("{\"Frobnicate\":null,\"HostConfig\":{\"X\":\"\",\"Y\":[]}}", 1047),
			 0);
	assert_int_equal(
		decode("{\"HostConfig\":null,\"NetworkingConfig\":null,\"Env\":null}", 1047), 0);
}

static void test_limits_refused(void **state)
{
	host_invalid("{\"Memory\":-1}", "Minimum memory limit allowed is 6MB");
	host_invalid("{\"Memory\":9000000,\"MemorySwap\":8000000}",
		     "Minimum memoryswap limit should be larger than memory limit");
	host_invalid("{\"MemorySwap\":9000000}", "You should always set the Memory limit");
	host_invalid("{\"Memory\":9000000,\"MemoryReservation\":10000000}",
		     "Minimum memory limit can not be less than memory reservation limit");
	host_invalid("{\"Memory\":9223372036854775807}", "invalid memory limit");
	host_invalid("{\"NanoCpus\":1}", "range of CPUs");
	host_invalid("{\"NanoCpus\":-1}", "range of CPUs");
	host_invalid("{\"CpusetCpus\":\"1-\"}", "Invalid value 1- for cpuset cpus");
	host_invalid("{\"CpusetCpus\":\"0,\"}", "Invalid value");
	host_invalid("{\"CpusetCpus\":\"0-99999\"}", "Requested CPUs are not available");
	host_invalid("{\"OomScoreAdj\":1001}", "range for oom score adj is [-1000, 1000]");
	host_invalid("{\"ShmSize\":-1}", "SHM size can not be less than 0");
	host_invalid("{\"Ulimits\":[{\"Name\":\"x\"}]}", "invalid ulimit type: x");
	host_invalid("{\"Ulimits\":[{\"Name\":\"nofile\",\"Soft\":2,\"Hard\":1}]}",
		     "ulimit soft limit must be less than or equal to hard limit: 2 > 1");
	host_invalid("{\"Ulimits\":[{\"Name\":\"nofile\",\"Soft\":-1,\"Hard\":1}]}", "soft limit");
	host_invalid("{\"Sysctls\":{\"kernel.pid_max\":\"1\"}}",
		     "sysctl \"kernel.pid_max\" is not in a separate kernel namespace");
	host_invalid("{\"Sysctls\":{\"net./../kernel/core_pattern\":\"x\"}}",
		     "is not in a separate");
	host_invalid("{\"NetworkMode\":\"host\",\"Sysctls\":{\"net.core.somaxconn\":\"1\"}}",
		     "not allowed in host network namespace");
	host_invalid("{\"RestartPolicy\":{\"Name\":\"x\"}}", "unknown policy 'x'; use one of");
	host_invalid("{\"RestartPolicy\":{\"Name\":\"always\",\"MaximumRetryCount\":1}}",
		     "can only be used with 'on-failure'");
	host_invalid("{\"RestartPolicy\":{\"Name\":\"always\"},\"AutoRemove\":true}",
		     "can't create 'AutoRemove' container with restart policy");
	host_invalid("{\"ConsoleSize\":[1]}", "ConsoleSize must be [height, width]");
}

static void test_limits(void **state)
{
	unsigned max;

	assert_int_equal(
		decode("{\"HostConfig\":{\"Memory\":6291456,\"PidsLimit\":-1,"
		       "\"RestartPolicy\":{\"Name\":\"on-failure\",\"MaximumRetryCount\":3}}}",
		       1047),
		0);
	expect_members(c.host, "{\"MemorySwap\":12582912,\"PidsLimit\":-1}");
	assert_int_equal(container_restart_policy(c.host, &max), RESTART_ON_FAILURE);
	assert_int_equal(max, 3);
}

/* ---- networks */

#define ENDPOINTS(mode, endpoints)                 \
	"{\"HostConfig\":{\"NetworkMode\":\"" mode \
	"\"},\"NetworkingConfig\":{\"EndpointsConfig\":" endpoints "}}"

static void test_endpoints(void **state)
{
	const char *container = NULL;

	assert_int_equal(decode(ENDPOINTS("b", "{\"a\":{},\"b\":null}"), 1044), 0);
	assert_string_equal(json_object_iter_key(json_object_iter(c.endpoints)), "b");
	expect(c.endpoints, "{\"a\":{},\"b\":{}}");
	assert_int_equal(decode(ENDPOINTS("b", "{\"a\":{}}"), 1044), 0);
	expect(c.endpoints, "{\"a\":{},\"b\":{}}");
	assert_true(decode(ENDPOINTS("a", "{\"a\":{},\"b\":{}}"), 1043) < 0);
	assert_string_equal(err.text,
			    "Container cannot be created with multiple network endpoints: a, b");
	assert_int_equal(decode(ENDPOINTS("default", "{\"default\":{\"Aliases\":[\"x\"]}}"), 1047),
			 0);
	expect(c.endpoints, "{\"bridge\":{\"Aliases\":[\"x\"]}}");
	assert_int_equal(decode(ENDPOINTS("container:x", "{\"container:x\":{}}"), 1047), 0);
	assert_int_equal(container_network_mode(c.host, &container), NETWORK_CONTAINER);
	assert_string_equal(container, "x");
	invalid(ENDPOINTS("container:", "{}"), "invalid container format container:<name|id>");
	invalid(ENDPOINTS("a", "{\"a\":{\"IPAMConfig\":{\"IPv4Address\":\"1.2.3\"}}}"),
		"invalid config for network a: invalid endpoint settings: invalid IPv4 address: 1.2.3");
	invalid(ENDPOINTS("a", "{\"a\":{\"MacAddress\":\"x\"}}"), "invalid MAC address: x");
	invalid(ENDPOINTS("a", "{\"a\":{},\"host\":{}}"), "cannot attach both user-defined and");
	invalid("{\"MacAddress\":\"02:42:ac:11:00:09\",\"HostConfig\":{\"NetworkMode\":\"host\"}}",
		"conflicting options: mac-address and the network mode");
	invalid("{\"Hostname\":\"x\",\"HostConfig\":{\"NetworkMode\":\"container:y\"}}",
		"conflicting options: hostname and the network mode");
}

/* ---- names */

static void test_names(void **state)
{
	static const char *const empty[] = {
		"{\"HostConfig\":{\"Dns\":null,\"DnsOptions\":null,\"DnsSearch\":null,\"ExtraHosts\":null}}",
		"{\"HostConfig\":{}}"
	};

	decode_recorded("create --dns", 1047);
	expect_members(c.host,
		       "{\"Dns\":[\"1.1.1.1\"],\"DnsSearch\":[\"x\"],\"DnsOptions\":[\"y\"]}");
	decode_recorded("create --add-host", 1041);
	expect_members(c.host, "{\"Dns\":[],\"ExtraHosts\":[\"a:1.2.3.4\"]}");
	for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
		assert_int_equal(decode(empty[i], 1047), 0);
		expect_members(c.host, "{\"Dns\":[],\"DnsOptions\":[],\"DnsSearch\":[]}");
		expect(json_object_get(c.host, "ExtraHosts"), "null");
	}
	/* As it was given, for inspect. */
	assert_int_equal(
		decode("{\"Hostname\":\"h.sub.example\",\"Domainname\":\"org\",\"HostConfig\":"
		       "{\"ExtraHosts\":[\"a:[::1]\",\"gw:host-gateway\"],"
		       "\"DnsSearch\":[\".\"],\"Dns\":[\"fe80::1%eth0\",\"FD00::1\"]}}",
		       1047),
		0);
	expect_members(c.host, "{\"ExtraHosts\":[\"a:[::1]\",\"gw:host-gateway\"],"
			       "\"DnsSearch\":[\".\"],\"Dns\":[\"fe80::1%eth0\",\"FD00::1\"]}");
	expect_members(c.config, "{\"Hostname\":\"h.sub.example\",\"Domainname\":\"org\"}");
}

static void test_names_refused(void **state)
{
	host_invalid("{\"ExtraHosts\":[\"a\"]}", "bad format for add-host: \"a\"");
	host_invalid("{\"ExtraHosts\":[\"a:x\"]}", "invalid IP address in add-host: \"x\"");
	host_invalid("{\"ExtraHosts\":{}}", "HostConfig.ExtraHosts must be an array of strings");
	host_invalid("{\"Dns\":[\"10.0.0.1\",\"x\"]}", "bad nameserver address x");
	host_invalid("{\"Dns\":[10]}", "HostConfig.Dns must be a string");
	host_invalid("{\"DnsSearch\":[\"a b\"]}", "a b is not a valid domain");
	host_invalid("{\"DnsOptions\":[\"a\\nb\"]}", "invalid DNS option");
	host_invalid("{\"NetworkMode\":\"container:x\",\"Dns\":[\"1.1.1.1\"]}",
		     "conflicting options: dns and the network mode");
	host_invalid("{\"NetworkMode\":\"container:x\",\"ExtraHosts\":[\"a:1.1.1.1\"]}",
		     "conflicting options: custom host-to-IP mapping and the network mode");
	assert_int_equal(
		decode("{\"Domainname\":\"d\",\"HostConfig\":{\"NetworkMode\":\"container:x\","
		       "\"DnsSearch\":[\"x\"],\"DnsOptions\":[\"y\"]}}",
		       1047),
		0);
	assert_int_equal(decode("{\"HostConfig\":{\"NetworkMode\":\"host\",\"Dns\":[\"1.1.1.1\"],"
				"\"ExtraHosts\":[\"a:1.1.1.1\"]}}",
				1047),
			 0);
}

/* ---- ports and links */

static const char undefined[] = "can't be used with links. This would result in undefined behavior";

static void test_ports(void **state)
{
	assert_int_equal(
		decode("{\"ExposedPorts\":{\"81/tcp\":{},\"80\":{},\"7-9/UDP\":null},"
		       "\"HostConfig\":{\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"80\"}],"
		       "\"81/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"81\"}],\"9/udp\":null}}}",
		       1047),
		0);
	expect(json_object_get(c.config, "ExposedPorts"), "{\"80-81/tcp\":{},\"7-9/udp\":{}}");
	expect(json_object_get(c.host, "PortBindings"),
	       "{\"80-81/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"80-81\"}],"
	       "\"9/udp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}]}");
	expect(c.warnings, "[]");
	assert_int_equal(decode("{\"HostConfig\":{\"NetworkMode\":\"host\",\"PortBindings\":"
				"{\"80/tcp\":[{\"HostPort\":\"80\"}]}}}",
				1047),
			 0);
	expect(c.warnings, "[\"Published ports are discarded when using host network mode\"]");
	host_invalid("{\"NetworkMode\":\"container:x\",\"PortBindings\":{\"80/tcp\":[]}}",
		     "conflicting options: port publishing and the container type network mode");
	host_invalid("{\"NetworkMode\":\"container:x\",\"PublishAllPorts\":true}",
		     "conflicting options: port publishing and the container type network mode");
	invalid("{\"ExposedPorts\":{\"80/tcp\":{}},\"HostConfig\":{\"NetworkMode\":\"container:x\"}}",
		"conflicting options: port exposing and the container type network mode");
	invalid("{\"ExposedPorts\":{\"0/tcp\":{}}}", "invalid port specification: \"0\"");
	host_invalid("{\"PortBindings\":[]}", "HostConfig.PortBindings must be an object");
}

static void test_links(void **state)
{
	_free_ char *container = NULL, *host = NULL;

	assert_true(asprintf(&container, "conflicting options: container type network %s",
			     undefined) > 0);
	assert_true(asprintf(&host, "conflicting options: host type networking %s", undefined) > 0);
	host_invalid("{\"NetworkMode\":\"container:x\",\"Links\":[\"a:b\"]}", container);
	host_invalid("{\"NetworkMode\":\"host\",\"Links\":[\"a:b\"]}", host);
	host_invalid("{\"Links\":[\"a:b:c\"]}", "bad format for links: a:b:c");
	host_invalid("{\"Links\":[\"\"]}", "empty string specified for links");
	invalid(ENDPOINTS("a", "{\"a\":{\"Links\":[\"x:\"]}}"),
		"invalid config for network a: invalid endpoint settings: bad format for links: x:");
	assert_int_equal(decode(ENDPOINTS("a", "{\"a\":{\"Links\":[\"x:y\"]}}"), 1047), 0);
	expect(json_object_get(json_object_get(c.endpoints, "a"), "Links"), "[\"x:y\"]");
	assert_int_equal(decode("{\"HostConfig\":{\"Links\":[\"/x:/web/y\"]}}", 1047), 0);
	expect(json_object_get(c.host, "Links"), "[\"/x:/web/y\"]");
}

/* ---- with the image */

static void merge(const char *body, const char *image)
{
	_json_ json_t *config = parse(image);

	assert_int_equal(decode(body, 1047), 0);
	if (container_config_merge(&c, config, &err) < 0)
		fail_msg("%s", err.text);
}

static void test_merge(void **state)
{
	const char *image =
		"{\"Env\":[\"PATH=/bin\",\"A=1\"],\"Cmd\":[\"sh\"],\"Entrypoint\":[\"/e\"],"
		"\"User\":\"bob\",\"WorkingDir\":\"/w/\",\"Labels\":{\"a\":\"i\",\"b\":\"i\"},"
		"\"Volumes\":{\"/v\":{},\"/t\":{}},\"ExposedPorts\":{\"80/tcp\":{}},"
		"\"StopSignal\":\"SIGQUIT\",\"Healthcheck\":{\"Test\":[\"CMD\"]}}";

	merge("{\"Env\":[\"A=2\"],\"Labels\":{\"a\":\"c\"},"
	      "\"HostConfig\":{\"Tmpfs\":{\"/t\":\"\"}}}",
	      image);
	expect_members(
		c.config,
		"{\"Env\":[\"A=2\",\"PATH=/bin\"],\"Cmd\":[\"sh\"],\"Entrypoint\":[\"/e\"],"
		"\"User\":\"bob\",\"WorkingDir\":\"/w\",\"Labels\":{\"a\":\"c\",\"b\":\"i\"},"
		"\"Volumes\":{\"/v\":{},\"/t\":{}},\"ExposedPorts\":{\"80/tcp\":{}}}");
	assert_int_equal(container_stop_signal(c.config), SIGQUIT);
	assert_int_equal(json_array_size(c.mounts), 1);
	assert_int_equal(json_string_length(json_object_get(mount_at("/v"), "Name")), 64);
	merge("{\"ExposedPorts\":{\"81/tcp\":{},\"80/udp\":{}}}", image);
	expect(json_object_get(c.config, "ExposedPorts"), "{\"80-81/tcp\":{},\"80/udp\":{}}");
	merge("{\"Cmd\":[\"x\"]}", image);
	expect_members(c.config, "{\"Cmd\":[\"x\"],\"Entrypoint\":[\"/e\"]}");
	merge("{\"Entrypoint\":\"/own\"}", image);
	expect_members(c.config, "{\"Cmd\":null,\"Entrypoint\":[\"/own\"]}");
	merge("{\"Entrypoint\":[\"\"],\"Cmd\":[\"y\"]}", image);
	expect_members(c.config, "{\"Cmd\":[\"y\"],\"Entrypoint\":null}");
	merge("{\"Entrypoint\":[]}", image);
	expect_members(c.config, "{\"Cmd\":[\"sh\"],\"Entrypoint\":[]}");
}

static void test_merge_refused(void **state)
{
	_json_ json_t *image = parse("{\"Env\":7}");

	assert_int_equal(decode("{}", 1047), 0);
	assert_true(container_config_merge(&c, NULL, &err) < 0);
	assert_string_equal(err.text, "no command specified");
	assert_true(container_config_merge(&c, image, &err) < 0);
	assert_string_equal(err.text, "the image's Env must be an array of strings");
}

/* ---- signals, executions, keys */

static void test_signals(void **state)
{
	assert_int_equal(signal_parse("SIGTERM"), SIGTERM);
	assert_int_equal(signal_parse("term"), SIGTERM);
	assert_int_equal(signal_parse("15"), SIGTERM);
	assert_int_equal(signal_parse("SIGRTMIN+3"), 37);
	assert_int_equal(signal_parse("rtmax-1"), 63);
	assert_int_equal(signal_parse("RTMIN"), 34);
	assert_int_equal(signal_parse("64"), 64);
	assert_int_equal(signal_parse("65"), -EINVAL);
	assert_int_equal(signal_parse("0"), -EINVAL);
	assert_int_equal(signal_parse(""), -EINVAL);
	assert_int_equal(signal_parse("SIG"), -EINVAL);
	assert_int_equal(signal_parse("RTMIN+31"), -EINVAL);
	assert_int_equal(signal_parse("RTMIN+-1"), -EINVAL);
	assert_int_equal(container_stop_signal(NULL), SIGTERM);
	assert_int_equal(container_stop_timeout(NULL), 10);
	assert_int_equal(decode("{\"StopTimeout\":0,\"StopSignal\":\"int\"}", 1047), 0);
	assert_int_equal(container_stop_timeout(c.config), 0);
	assert_int_equal(container_stop_signal(c.config), SIGINT);
}

static void exec_refused(const char *text, const char *words)
{
	_json_ json_t *body = parse(text), *exec = NULL;

	assert_true(exec_config_decode(&exec, body, &err) < 0);
	if (!strstr(err.text, words))
		fail_msg("\"%s\", not \"%s\"", err.text, words);
}

static void test_exec(void **state)
{
	_json_ json_t *body = parse("{\"Cmd\":\"id\",\"Tty\":true,\"Env\":null}"), *exec = NULL;

	assert_int_equal(exec_config_decode(&exec, body, &err), 0);
	expect_members(exec, "{\"Cmd\":[\"id\"],\"Tty\":true,\"Env\":[],\"User\":\"\","
			     "\"WorkingDir\":\"\",\"Privileged\":false,\"AttachStdin\":false}");
	exec_refused("{}", "No exec command specified");
	exec_refused("{\"Cmd\":[\"x\"],\"WorkingDir\":\"y\"}", "needs to be an absolute path");
	exec_refused("{\"Cmd\":[\"x\"],\"DetachKeys\":\"ctrl\"}",
		     "Invalid detach keys (ctrl) provided");
	exec_refused("{\"Cmd\":[\"x\"],\"More\":1}", "field More is not supported by cnm");
}

static void test_detach_keys(void **state)
{
	unsigned char keys[16];
	unsigned n;

	assert_int_equal(detach_keys_parse("", keys, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(keys, "\x10\x11", 2);
	assert_int_equal(detach_keys_parse("a,ctrl-A,ctrl-@,ctrl-_,DEL", keys, &n, &err), 0);
	assert_int_equal(n, 5);
	assert_memory_equal(keys, "a\1\0\x1f\x7f", 5);
	assert_true(detach_keys_parse("a,,b", keys, &n, &err) < 0);
	assert_true(detach_keys_parse("a,", keys, &n, &err) < 0);
	assert_true(detach_keys_parse("ctrl-1", keys, &n, &err) < 0);
	assert_true(detach_keys_parse("a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", keys, &n, &err) < 0);
}

/* ---- without memory, anywhere on the way */

static unsigned json_fails_in;

static void *failing_malloc(size_t n)
{
	return json_fails_in > 0 && --json_fails_in == 0 ? NULL : malloc(n);
}

static int decode_and_merge(const json_t *body, const json_t *image)
{
	struct container_config mine = { 0 };
	int r = container_config_decode(&mine, body, 1047, ID, &err);

	if (r == 0)
		r = container_config_merge(&mine, image, &err);
	container_config_free(&mine);
	return r;
}

static void test_no_memory(void **state)
{
	_json_ json_t *body = parse(
		"{\"Env\":[\"A=1\"],\"Labels\":{\"a\":\"b\"},\"MacAddress\":\"02:42:ac:11:00:09\","
		"\"ExposedPorts\":{\"80\":{}},\"Volumes\":{\"/v\":{}},\"HostConfig\":{\"Binds\":[\"/a:/b\",\"n:/c\"],\"Tmpfs\":"
		"{\"/t\":\"\"},\"Mounts\":[{\"Type\":\"tmpfs\",\"Target\":\"/m\"}],\"CapAdd\":[\"kill\"],"
		"\"Memory\":67108864,\"PortBindings\":{\"80\":[{\"HostPort\":\"81\"}],\"82\":[{},{}]},"
		"\"Ulimits\":[{\"Name\":\"core\"}]},\"NetworkingConfig\":"
		"{\"EndpointsConfig\":{\"a\":{\"IPAMConfig\":{\"IPv4Address\":\"10.0.0.9\"}}}}}");
	_json_ json_t *image =
		parse("{\"Env\":[\"B=1\"],\"Cmd\":[\"sh\"],\"Volumes\":{\"/w\":{}}}");
	int r = -1;

	json_set_alloc_funcs(failing_malloc, free);
	for (unsigned n = 1; r < 0; n++) {
		memset(&err, 0, sizeof(err));
		json_fails_in = n;
		r = decode_and_merge(body, image);
		if (r < 0 && !strstr(err.text, "Cannot allocate memory"))
			fail_msg("allocation %u: %s", n, err.text);
		assert_true(n < 20000);
	}
	json_fails_in = 0;
	json_set_alloc_funcs(malloc, free);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_clients, done),
		cmocka_unit_test_teardown(test_plain, done),
		cmocka_unit_test_teardown(test_flags, done),
		cmocka_unit_test_teardown(test_mounts, done),
		cmocka_unit_test_teardown(test_mounts_refused, done),
		cmocka_unit_test_teardown(test_values_refused, done),
		cmocka_unit_test_teardown(test_limits_refused, done),
		cmocka_unit_test_teardown(test_limits, done),
		cmocka_unit_test_teardown(test_endpoints, done),
		cmocka_unit_test_teardown(test_names, done),
		cmocka_unit_test_teardown(test_names_refused, done),
		cmocka_unit_test_teardown(test_ports, done),
		cmocka_unit_test_teardown(test_links, done),
		cmocka_unit_test_teardown(test_merge, done),
		cmocka_unit_test_teardown(test_merge_refused, done),
		cmocka_unit_test_teardown(test_signals, done),
		cmocka_unit_test_teardown(test_no_memory, done),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_detach_keys),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
