/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The runtime's configuration, tried with the runtime: each container is run by runc from an image
 * of busybox, and looks at itself from inside. In a mount and a network namespace of the test's
 * own; the containers have another network namespace, so that they do not share their runtime's.
 */
#include "unit.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/str.h"
#include "containers/spec.h"

#define PROFILE "/usr/share/containers/seccomp.json"

static char top[] = "/tmp/cnm-spec-XXXXXX";
static char rootfs[64], netns[64], cgroup[64];
static struct seccomp *seccomp;
static struct cnm_error err;
static struct container_config c;

/* ---- what the tests stand on */

__attribute__((format(printf, 1, 2))) static void shell(const char *fmt, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (system(command) != 0)
		fail_msg("%s", command);
}

static json_t *parse(const char *text)
{
	json_error_t why;
	json_t *j = json_loads(text, 0, &why);

	if (!j)
		fail_msg("%s: %s", text, why.text);
	return j;
}

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	assert_non_null(mkdtemp(top));
	assert_int_equal(unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("tmpfs", top, "tmpfs", 0, NULL), 0);
	snprintf(rootfs, sizeof(rootfs), "%s/rootfs", top);
	snprintf(netns, sizeof(netns), "%s/netns", top);
	snprintf(cgroup, sizeof(cgroup), "/cnm-spec-%d", (int)getpid());
	write_file("netns", "");
	assert_int_equal(mount("/proc/self/ns/net", netns, NULL, MS_BIND, NULL), 0);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	shell("mkdir -p %s/bin %s/etc %s/tmp && cp /bin/busybox %s/bin && "
	      "chroot %s /bin/busybox --install -s /bin",
	      rootfs, rootfs, rootfs, rootfs, rootfs);
	write_file("rootfs/etc/passwd", "# who\nroot:x:0:0:root:/root:/bin/sh\n"
					"bob:x:1000:1001::/home/bob:/bin/sh\nbad:x:y:z\n");
	write_file("rootfs/etc/group", "root:x:0:\nbob:x:1001:\naudio:x:29:ann,bob\nvideo:x:44:\n");
	write_file("hosts", "127.0.0.1 localhost\n");
	return seccomp_open(&seccomp, PROFILE, &err);
}

static int teardown(void **state)
{
	seccomp_close(seccomp);
	umount2(netns, MNT_DETACH);
	umount2(top, MNT_DETACH);
	return rmdir(top);
}

static int done(void **state)
{
	container_config_free(&c);
	return 0;
}

static struct spec_input input(void)
{
	static char path[80];

	snprintf(path, sizeof(path), "%s/hosts", top);
	return (struct spec_input){ .id = "x",
				    .c = &c,
				    .seccomp = seccomp,
				    .rootfs = rootfs,
				    .netns = netns,
				    .hostname = "box",
				    .domainname = "dom.ain",
				    .hosts_path = path,
				    .cgroup = cgroup,
				    .cgroup2 = access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 };
}

static void configure(const char *body)
{
	_json_ json_t *j = parse(body);

	container_config_free(&c);
	memset(&err, 0, sizeof(err));
	if (container_config_decode(&c, j, 1047, "0123456789abcdef", &err) < 0 ||
	    container_config_merge(&c, NULL, &err) < 0)
		fail_msg("%s: %s", body, err.text);
}

static char *spec_text(void)
{
	struct spec_input in = input();
	char *text = NULL;

	if (spec_container(&in, &text, &err) < 0)
		fail_msg("%s", err.text);
	return text;
}

/* What a container says, its errors included. It runs `sh -c script`, with these members besides.
 */
static char *run(const char *script, const char *members)
{
	_json_ json_t *body = parse(members);
	_free_ char *text = NULL, *spec = NULL;
	char command[256];
	struct strbuf said = { 0 };
	char buf[4096];
	size_t n;
	FILE *p;

	json_object_set_new(body, "Cmd", json_pack("[s, s, s]", "sh", "-c", script));
	text = json_text(body);
	configure(text);
	spec = spec_text();
	write_file("config.json", spec);
	snprintf(command, sizeof(command),
		 "cd %s && timeout 60 runc --root %s/runc run x%d 2>&1 </dev/null", top, top,
		 (int)getpid());
	p = popen(command, "re");
	assert_non_null(p);
	while ((n = fread(buf, 1, sizeof(buf), p)) > 0)
		strbuf_addn(&said, buf, n);
	pclose(p);
	return strbuf_take(&said);
}

static void expect(const char *script, const char *members, const char *words)
{
	_free_ char *said = run(script, members);

	if (!strstr(said, words))
		fail_msg("%s said \"%s\", not \"%s\"", script, said, words);
}

/* ---- confinement, from inside */

static const struct {
	const char *script, *words;
} confined[] = {
	{ "grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status | sort -u -k2 | cut -f2 | uniq",
	  "00000000a80425fb\n" },
	{ "grep CapInh /proc/self/status", "0000000000000000" },
	{ "grep Seccomp: /proc/self/status", "Seccomp:\t2" },
	{ "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0" },
	{ "wc -c < /proc/keys", "0\n" },
	{ "ls -d /proc/kcore /sys/firmware/* 2>/dev/null | wc -l; stat -c %t:%T /proc/timer_list",
	  "1:3" },
	{ "echo x > /proc/sys/kernel/hostname", "Read-only file system" },
	{ "mkdir /sys/fs/cgroup/*/x; touch /sys/x", "Read-only file system" },
	{ "unshare -U true", "Operation not permitted" },
	{ "unshare -m true", "Operation not permitted" },
	{ "mount -t tmpfs x /tmp", "permission denied" },
	{ "dmesg", "Operation not permitted" },
	{ "mknod /tmp/kmsg c 1 11 && cat /tmp/kmsg", "Operation not permitted" },
	{ "ls /dev | tr '\\n' ' '",
	  "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero" },
	{ "mount", "shm on /dev/shm type tmpfs (rw,nosuid,nodev,noexec,relatime,size=65536k" },
	{ "mount", "tmpfs on /dev type tmpfs (rw,nosuid,size=65536k,mode=755" },
	{ "mount", "sysfs on /sys type sysfs (ro,nosuid,nodev,noexec,relatime)" },
	{ "echo $$; hostname", "1\nbox\n" },
	{ "cat /etc/hosts", "127.0.0.1 localhost" },
	{ "ls /sys/class/net; env; pwd", "lo\n" },
	{ "env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
	{ "env", "HOME=/root" },
	{ "env", "HOSTNAME=box" },
	{ "cat /proc/self/oom_score_adj; pwd", "0\n/\n" },
};

static void test_confined(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(confined); i++)
		expect(confined[i].script, "{}", confined[i].words);
}

static void test_privileged(void **state)
{
	const char *body = "{\"HostConfig\":{\"Privileged\":true}}";
	int nodes = 0;

	expect("grep Seccomp: /proc/self/status", body, "Seccomp:\t0");
	expect("mount -t tmpfs x /tmp && echo mounted", body, "mounted");
	expect("unshare -U echo apart", body, "apart");
	expect("grep ' /sys ' /proc/mounts", body, "sysfs rw,");
	expect("grep -c ' /proc/sys ' /proc/mounts", body, "0\n");
	expect("ls -l /dev/kmsg", body, "crw");
	for (int i = 0; i < 64; i++)
		nodes += prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1;
	assert_true(nodes > 14);
	expect("grep CapEff /proc/self/status | grep -v 00000000a80425fb", body, "CapEff");
}

static void test_capabilities(void **state)
{
	const char *body = "{\"HostConfig\":{\"CapAdd\":[\"NET_ADMIN\",\"SYS_ADMIN\"],"
			   "\"CapDrop\":[\"ALL\"],\"SecurityOpt\":[\"no-new-privileges\"]}}";

	expect("grep CapEff /proc/self/status", body, "0000000000201000");
	expect("grep NoNewPrivs /proc/self/status", body, "NoNewPrivs:\t1");
	expect("mount -t tmpfs x /tmp && echo mounted", body, "mounted");
	expect("grep Seccomp: /proc/self/status",
	       "{\"HostConfig\":{\"SecurityOpt\":[\"seccomp=unconfined\"]}}", "Seccomp:\t0");
}

static void test_user(void **state)
{
	const char *bob =
		"{\"User\":\"bob\",\"WorkingDir\":\"/new/dir\",\"HostConfig\":{\"GroupAdd\":"
		"[\"video\",\"77\"]}}";

	expect("grep -E 'Cap(Eff|Prm|Amb)' /proc/self/status | cut -f2 | uniq", bob,
	       "0000000000000000\n");
	expect("grep CapBnd /proc/self/status", bob, "00000000a80425fb");
	/* id complains of the bad record above, on its other stream: the order of the two is
	 * nobody's. */
	expect("exec 2>/dev/null; id -u; id -g; grep Groups /proc/self/status", bob,
	       "1000\n1001\nGroups:\t29 44 77 1001");
	expect("echo $HOME; pwd", bob, "/home/bob\n/new/dir\n");
	expect("exec 2>/dev/null; id -u; id -g", "{\"User\":\"4242:audio\"}", "4242\n29\n");
}

static void test_limits(void **state)
{
	const char *body =
		"{\"Env\":[\"A=1\",\"PATH=/bin\",\"HOME\"],\"HostConfig\":"
		"{\"Ulimits\":[{\"Name\":\"nofile\",\"Soft\":100,\"Hard\":200},"
		"{\"Name\":\"core\",\"Soft\":0,\"Hard\":-1}],\"Memory\":67108864,\"PidsLimit\":50,"
		"\"NanoCpus\":500000000,\"CpusetCpus\":\"0\",\"OomScoreAdj\":100,\"ShmSize\":1048576,"
		"\"Sysctls\":{\"net.core.somaxconn\":\"99\",\"kernel.msgmax\":\"9000\"}}}";

	expect("ulimit -n; ulimit -Hn; ulimit -Hc", body, "100\n200\nunlimited\n");
	expect("cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax", body, "99\n9000\n");
	expect("cat /proc/self/oom_score_adj; cat /proc/sys/kernel/domainname", body,
	       "100\ndom.ain\n");
	expect("grep Cpus_allowed_list /proc/self/status", body, "\t0\n");
	expect("cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; true",
	       body, "67108864\n");
	expect("cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max; true", body, "50\n");
	expect("cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max; true", body,
	       "50000");
	expect("mount | grep shm; env", body, "size=1024k");
	expect("env", body, "HOSTNAME=box\n");
	expect("env", body, "A=1\n");
}

static void test_mounts(void **state)
{
	char body[1024];

	snprintf(
		body, sizeof(body),
		"{\"HostConfig\":{\"ReadonlyRootfs\":true,\"Tmpfs\":{\"/run\":\"size=1m,exec\","
		"\"/dev/shm\":\"\"},\"Binds\":[\"%s/made/dir:/rw/below\",\"%s:/rw:ro\"],\"Mounts\":"
		"[{\"Type\":\"tmpfs\",\"Target\":\"/t\",\"TmpfsOptions\":{\"SizeBytes\":1048576,"
		"\"Mode\":1016}}]}}",
		top, top);
	shell("mkdir -p %s/below", top);
	expect("touch /x", body, "Read-only file system");
	expect("touch /etc/hosts", body, "Read-only file system");
	expect("touch /rw/x", body, "Read-only file system");
	expect("touch /rw/below/x /run/x && echo both", body, "both\n");
	expect("grep ' /run ' /proc/mounts", body, "tmpfs rw,nosuid,nodev,relatime,size=1024k");
	expect("grep ' /t ' /proc/mounts", body, "noexec,relatime,size=1024k,mode=1770");
	expect("grep -c ' /dev/shm ' /proc/mounts", body, "1\n");
	expect("cat /etc/hosts", "{\"HostConfig\":{\"Tmpfs\":{\"/etc\":\"\"}}}",
	       "127.0.0.1 localhost");
}

/* ---- refusals, and what cannot be run */

static void spec_refused(const char *body, const char *words)
{
	struct spec_input in = input();
	char *text = NULL;

	configure(body);
	if (spec_container(&in, &text, &err) >= 0 || err.class != CNM_E_INVALID ||
	    !strstr(err.text, words))
		fail_msg("\"%s\", not \"%s\"", err.text, words);
}

static void test_refused(void **state)
{
	spec_refused("{\"Cmd\":[\"x\"],\"HostConfig\":{\"Mounts\":[{\"Type\":\"bind\",\"Target\":"
		     "\"/x\",\"Source\":\"/nowhere/x\"}]}}",
		     "bind source path does not exist: /nowhere/x");
	spec_refused("{\"Cmd\":[\"x\"],\"User\":\"eve\"}",
		     "unable to find user eve: no matching entries in passwd file");
	spec_refused("{\"Cmd\":[\"x\"],\"User\":\"bob:eve\"}",
		     "unable to find group eve: no matching entries in group file");
	spec_refused("{\"Cmd\":[\"x\"],\"User\":\"2147483648\"}",
		     "uids and gids must be in range 0-2147483647");
	spec_refused("{\"Cmd\":[\"x\"],\"HostConfig\":{\"GroupAdd\":[\"eve\"]}}",
		     "unable to find group eve");
}

static void test_exec(void **state)
{
	_json_ json_t *body =
		parse("{\"Cmd\":[\"id\"],\"Tty\":true,\"Env\":[\"A=2\"],\"User\":\"bob\","
		      "\"Privileged\":true,\"ConsoleSize\":[24,80]}");
	_json_ json_t *exec = NULL, *process = NULL;
	_free_ char *text = NULL, *env = NULL;
	struct spec_input in = input();

	configure("{\"Cmd\":[\"x\"],\"Env\":[\"A=1\"],\"WorkingDir\":\"/w\"}");
	assert_int_equal(exec_config_decode(&exec, body, &err), 0);
	assert_int_equal(spec_exec(&in, exec, &text, &err), 0);
	process = parse(text);
	env = json_dumps(json_object_get(process, "env"), JSON_COMPACT);
	assert_non_null(strstr(env, "\"TERM=xterm\",\"A=2\",\"HOME=/home/bob\""));
	assert_string_equal(json_string_value(json_object_get(process, "cwd")), "/w");
	assert_int_equal(json_integer_value(
				 json_object_get(json_object_get(process, "consoleSize"), "width")),
			 80);
	assert_null(json_object_get(json_object_get(process, "capabilities"), "effective"));
}

/* ---- without memory, anywhere on the way */

static unsigned json_fails_in;

static void *failing_malloc(size_t n)
{
	return json_fails_in > 0 && --json_fails_in == 0 ? NULL : malloc(n);
}

static void test_no_memory(void **state)
{
	struct spec_input in = input();
	char *text = NULL;
	int r = -1;

	configure("{\"Cmd\":[\"x\"],\"User\":\"bob\",\"Env\":[\"A=1\"],\"HostConfig\":{\"Tmpfs\":"
		  "{\"/t\":\"size=1m\"},\"Ulimits\":[{\"Name\":\"core\",\"Soft\":0,\"Hard\":-1}],"
		  "\"GroupAdd\":[\"video\"],\"Memory\":67108864,\"NanoCpus\":100000000}}");
	json_set_alloc_funcs(failing_malloc, free);
	for (unsigned n = 1; r < 0; n += 1 + n / 50) {
		memset(&err, 0, sizeof(err));
		json_fails_in = n;
		r = spec_container(&in, &text, &err);
		assert_true(r == 0 || err.text[0]);
		assert_true(n < 100000);
	}
	json_fails_in = 0;
	json_set_alloc_funcs(malloc, free);
	assert_non_null(strstr(text, "\"hard\":18446744073709551615,\"soft\":0"));
	free(text);
}

/* ---- users of a hostile image */

static void user_is(const char *user, long uid, long gid, const char *home)
{
	_json_ json_t *j = NULL;
	_free_ char *at = NULL;

	memset(&err, 0, sizeof(err));
	if (rootfs_user(rootfs, user, &j, &at, &err) < 0)
		fail_msg("%s: %s", user, err.text);
	assert_int_equal(json_integer_value(json_object_get(j, "uid")), uid);
	assert_int_equal(json_integer_value(json_object_get(j, "gid")), gid);
	assert_string_equal(at, home);
}

static void user_refused(const char *user, const char *words)
{
	json_t *j = NULL;
	char *at = NULL;

	if (rootfs_user(rootfs, user, &j, &at, &err) >= 0 || !strstr(err.text, words))
		fail_msg("%s: \"%s\", not \"%s\"", user, err.text, words);
}

static void test_users(void **state)
{
	char long_name[400];

	user_is("", 0, 0, "/root");
	user_is("bob", 1000, 1001, "/home/bob");
	user_is("1000", 1000, 1001, "/home/bob");
	user_is("1000:0", 1000, 0, "/home/bob");
	user_is("7", 7, 0, "/");
	user_is("bob:", 1000, 1001, "/home/bob");
	user_refused("bad", "unable to find user bad: no matching entries in passwd file");
	user_refused("4294967296", "uids and gids must be in range");
	user_refused("0:4294967296", "uids and gids must be in range");
	memset(long_name, 'a', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = 0;
	user_refused(long_name, "invalid user");
	user_refused("a\nb", "invalid user");
}

/* A passwd that is a link out of the root, a directory, a pipe, endless, or not there. */
static void test_hostile_users(void **state)
{
	shell("mv %s/etc/passwd %s/passwd", rootfs, top);
	user_is("", 0, 0, "/");
	user_is("5", 5, 0, "/");
	user_refused("bob", "no matching entries in passwd file");
	shell("ln -s ../../../../../../..%s/passwd %s/etc/passwd", top, rootfs);
	user_refused("bob", "no matching entries in passwd file");
	shell("ln -sf /etc/real %s/etc/passwd; cp %s/passwd %s/etc/real", rootfs, top, rootfs);
	user_is("bob", 1000, 1001, "/home/bob");
	shell("ln -sf passwd %s/etc/passwd", rootfs);
	user_refused("bob", "Too many levels of symbolic links");
	shell("rm %s/etc/passwd; mkdir %s/etc/passwd", rootfs, rootfs);
	user_refused("bob", "is no regular file");
	shell("rmdir %s/etc/passwd; mkfifo %s/etc/passwd", rootfs, rootfs);
	user_refused("bob", "is no regular file");
	shell("rm %s/etc/passwd; truncate -s 2M %s/etc/passwd", rootfs, rootfs);
	user_refused("bob", "of at most 1048576 bytes");
	shell("rm %s/etc/passwd; mv %s/passwd %s/etc/passwd", rootfs, top, rootfs);
}

static void test_seccomp_profile(void **state)
{
	struct seccomp *s = NULL;
	char path[80];

	assert_true(seccomp_open(&s, "/nowhere/seccomp.json", &err) < 0);
	assert_int_equal(err.class, CNM_E_NOT_FOUND);
	assert_non_null(strstr(err.text, "golang-github-containers-common"));
	snprintf(path, sizeof(path), "%s/hosts", top);
	assert_true(seccomp_open(&s, path, &err) < 0);
	assert_int_equal(err.class, CNM_E_INVALID);
	assert_null(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_confined, done),
		cmocka_unit_test_teardown(test_privileged, done),
		cmocka_unit_test_teardown(test_capabilities, done),
		cmocka_unit_test_teardown(test_user, done),
		cmocka_unit_test_teardown(test_limits, done),
		cmocka_unit_test_teardown(test_mounts, done),
		cmocka_unit_test_teardown(test_refused, done),
		cmocka_unit_test_teardown(test_exec, done),
		cmocka_unit_test_teardown(test_no_memory, done),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_hostile_users),
		cmocka_unit_test(test_seccomp_profile),
	};

	return cmocka_run_group_tests_name("spec", tests, setup, teardown);
}
