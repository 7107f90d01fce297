# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each flag of `run` that cnm carries, seen from inside the container; the others refused by name."""
import json
import os
import re

import pytest

import containers

pytest_plugins = ["container_fixtures"]
client = containers.fixture_of("docker", "cnm")


def said(client, *argv):
    """What a container says to its end."""
    return client.say("run", "--rm", *argv)


def test_environment(client):
    shown = said(client, "-e", "A=1", "-e", "B=x y", "-e", "HOME=/else", "busybox", "env").splitlines()
    assert {"A=1", "B=x y", "HOME=/else", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"} <= set(shown)
    assert any(re.fullmatch("HOSTNAME=[0-9a-f]{12}", line) for line in shown)
    assert "TERM=xterm" not in shown
    assert "TERM=xterm\r" in said(client, "-t", "busybox", "env").split("\n")


def test_environment_file(tmp_path, client):
    (tmp_path / "env").write_text("# comment\nA=from file\nB\n")
    assert "A=from file" in said(client, "--env-file", str(tmp_path / "env"), "busybox", "env").splitlines()


def test_directory(client):
    assert said(client, "-w", "/tmp", "busybox", "pwd") == "/tmp\n"
    assert said(client, "-w", "/made/for/it", "busybox", "pwd") == "/made/for/it\n"


def test_user(client):
    ids = ("busybox", "sh", "-c", "id -u; id -g; echo $HOME")
    assert said(client, *ids) == "0\n0\n/root\n"
    assert said(client, "-u", "nobody", *ids).split()[:2] == ["65534", "65534"]
    assert said(client, "-u", "1000", *ids) == "1000\n0\n/\n"
    assert said(client, "-u", "1000:2000", *ids) == "1000\n2000\n/\n"
    assert said(client, "-u", "1000:root", *ids).split()[:2] == ["1000", "0"]
    assert set(said(client, "-u", "1000", "--group-add", "77", "--group-add", "root", "busybox", "id", "-G").split()) == {
        "0", "77"}


def test_hostname(client):
    assert said(client, "-h", "box", "busybox", "sh", "-c", "hostname; cat /etc/hostname") == "box\nbox\n"
    shown = said(client, "-h", "box", "busybox", "cat", "/etc/hosts")
    assert re.search(r"^\d+\.\d+\.\d+\.\d+\s+box$", shown, re.M) and re.search(r"^127\.0\.0\.1\s+localhost", shown, re.M)


def test_entrypoint(client):
    assert said(client, "--entrypoint", "echo", "busybox", "a", "b") == "a b\n"
    assert said(client, "--entrypoint", "/bin/pwd", "busybox") == "/\n"


def test_bind_mounts(tmp_path, engine, client):
    (tmp_path / "file").write_text("content\n")
    os.chmod(tmp_path, 0o755)
    assert said(client, "-v", "%s:/data" % tmp_path, "busybox", "sh", "-c",
                "cat /data/file; echo new >/data/made") == "content\n"
    assert (tmp_path / "made").read_text() == "new\n"
    result = client("run", "--rm", "-v", "%s:/data:ro" % tmp_path, "busybox", "touch", "/data/more")
    assert result.rc == 1 and "Read-only file system" in result.err
    assert said(client, "-v", "%s/file:/etc/one:ro" % tmp_path, "busybox", "cat", "/etc/one") == "content\n"
    client("run", "--name", "con", "-v", "%s:/data:ro" % tmp_path, "busybox", "true", check=True)
    mount, = engine.container("con")["Mounts"]
    assert mount == {"Type": "bind", "Source": str(tmp_path), "Destination": "/data", "Mode": "ro",
                     "RW": False, "Propagation": "rprivate"}


def test_volumes(engine, client):
    write = ("busybox", "sh", "-c", "cat /data/file 2>/dev/null; echo kept >/data/file")
    assert said(client, "-v", "vol:/data", *write) == ""
    assert said(client, "-v", "vol:/data", *write) == "kept\n"
    client("run", "--name", "con", "-v", "vol:/data", "-v", "/anonymous", "busybox", "true", check=True)
    mounts = {m["Destination"]: m for m in engine.container("con")["Mounts"]}
    assert (mounts["/data"]["Type"], mounts["/data"]["Name"]) == ("volume", "vol")
    assert re.fullmatch("[0-9a-f]{64}", mounts["/anonymous"]["Name"])
    listed = {v["Name"] for v in engine.request("GET", "/volumes").json["Volumes"]}
    assert listed == {"vol", mounts["/anonymous"]["Name"]}
    busy = engine.request("DELETE", "/volumes/vol")
    assert busy.status == 409 and "volume is in use" in busy.message
    client("rm", "-v", "con", check=True)
    assert {v["Name"] for v in engine.request("GET", "/volumes").json["Volumes"]} == {"vol"}
    assert engine.request("DELETE", "/volumes/vol").status == 204


def test_a_volume_begins_with_what_is_there(client):
    assert "root:" in said(client, "-v", "fresh:/etc/", "busybox", "cat", "/etc/passwd")


def test_read_only(client):
    result = client("run", "--rm", "--read-only", "--tmpfs", "/scratch", "busybox", "sh", "-c",
                    "echo a >/scratch/file && cat /scratch/file; touch /file")
    assert (result.rc, result.out) == (1, "a\n") and "Read-only file system" in result.err


def test_tmpfs(client):
    shown = said(client, "--tmpfs", "/scratch:size=1m,mode=700", "busybox", "sh", "-c",
                 "grep ' /scratch ' /proc/mounts; stat -c %a /scratch")
    assert shown.startswith("tmpfs /scratch tmpfs rw") and "size=1024k" in shown and shown.endswith("\n700\n")
    assert "noexec" in shown and "nosuid" in shown and "nodev" in shown


def test_ulimit(client):
    assert said(client, "--ulimit", "nofile=321:654", "busybox", "sh", "-c", "ulimit -n; ulimit -Hn") == "321\n654\n"


def test_sysctl(client):
    assert said(client, "--sysctl", "net.ipv4.ip_default_ttl=77", "busybox", "cat",
                "/proc/sys/net/ipv4/ip_default_ttl") == "77\n"
    refused = client("run", "--rm", "--sysctl", "kernel.panic=1", "busybox", "true")
    assert refused.rc == 125


def cgroup_file(engine, name, v1, v2):
    """The container's own limit, as the kernel has it."""
    with open("/proc/%d/cgroup" % engine.pid_of(name)) as f:
        found = {controller: path for line in f for _, controllers, path in [line.strip().split(":", 2)]
                 for controller in controllers.split(",")}
    if v1.split("/")[0] in found:
        path = "/sys/fs/cgroup/%s%s/%s" % (v1.split("/")[0], found[v1.split("/")[0]], v1.split("/")[1])
    else:
        path = "/sys/fs/cgroup%s/%s" % (found[""], v2)
    with open(path) as f:
        return f.read().strip()


def test_limits(engine, client):
    client.run("--name", "con", "--memory", "64m", "--cpus", "0.5", "--pids-limit", "33", "busybox", *containers.HOLD)
    assert cgroup_file(engine, "con", "memory/memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert cgroup_file(engine, "con", "pids/pids.max", "pids.max") == "33"
    if os.path.exists("/sys/fs/cgroup/cpu"):
        quota = int(cgroup_file(engine, "con", "cpu/cpu.cfs_quota_us", ""))
        assert quota * 2 == int(cgroup_file(engine, "con", "cpu/cpu.cfs_period_us", ""))
    host = engine.container("con")["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64 << 20, 500000000, 33)


def test_more_limits(engine, stock):
    """Of those that cnm carries beyond what was asked for: they are carried out."""
    stock.run("--name", "con", "--memory", "64m", "--memory-swap", "64m", "--cpu-shares", "77", "--cpuset-cpus", "0",
              "--shm-size", "1m", "busybox", *containers.HOLD)
    assert stock.say("exec", "con", "df", "-k", "/dev/shm").split()[8] == "1024"
    if os.path.exists("/sys/fs/cgroup/cpu"):
        assert cgroup_file(engine, "con", "memory/memory.memsw.limit_in_bytes", "") == str(64 << 20)
        assert cgroup_file(engine, "con", "cpu/cpu.shares", "") == "77"
        assert cgroup_file(engine, "con", "cpuset/cpuset.cpus", "") == "0"
    assert "Seccomp:\t0" in stock.say("run", "--rm", "--security-opt", "seccomp=unconfined", "busybox", "grep",
                                      "Seccomp:", "/proc/self/status")


def test_pids_limit_is_felt(client):
    result = client("run", "--rm", "--pids-limit", "5", "busybox", "sh", "-c",
                    "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait")
    assert result.rc != 0 and "can't fork" in result.err


def test_out_of_memory(engine, client):
    result = client("run", "--name", "con", "--memory", "16m", "busybox", "sh", "-c",
                    "exec dd if=/dev/zero of=/dev/null bs=64M")
    assert result.rc == 137
    containers.harness.wait_for(lambda: engine.status("con") == "exited", "it has ended")


def test_mac_address(client):
    if containers.words(False, client.name == "docker"):
        pytest.skip("newer clients do not ask 20.10 for it")
    assert "02:42:de:ad:be:ef" in said(client, "--mac-address", "02:42:de:ad:be:ef", "busybox", "ip", "link")


def test_labels(tmp_path, engine, client):
    (tmp_path / "labels").write_text("c=from file\n")
    file = () if client.name == "cnm" else ("--label-file", str(tmp_path / "labels"))
    client("run", "--name", "con", "-l", "a=1", "--label", "b", *file, "busybox", "true", check=True)
    assert engine.container("con")["Config"]["Labels"] == {"a": "1", "b": "", **({"c": "from file"} if file else {})}


def test_dns_and_hosts_flags(client):
    result = client("run", "--rm", "--add-host", "far:192.0.2.99", "busybox", "cat", "/etc/hosts")
    assert re.search(r"^192\.0\.2\.99\s+far$", result.out, re.M), repr(result)
    result = client("run", "--rm", "--dns", "192.0.2.99", "busybox", "cat", "/etc/resolv.conf")
    assert "nameserver 192.0.2.99" in result.out, repr(result)


REFUSED = (
    (("--device", "/dev/fuse"), "--device"), (("--pid", "host"), "--pid"), (("--ipc", "host"), "--ipc"),
    (("--uts", "host"), "--uts"), (("--userns", "host"), "--userns"), (("--gpus", "all"), "--gpus"),
    (("--volumes-from", "other"), "--volumes-from"), (("--oom-kill-disable", "--memory", "1g"), "--oom-kill-disable"),
    (("--storage-opt", "size=1G"), "--storage-opt"), (("--log-driver", "syslog"), "--log-driver"),
    (("--runtime", "other"), "--runtime"), (("--cgroup-parent", "/x"), "--cgroup-parent"),
    (("--init",), "--init"), (("--isolation", "hyperv"), "--isolation"),
    (("--health-cmd", "true"), "--health"), (("--blkio-weight", "100"), "--blkio-weight"))


@containers.cnm_only
@pytest.mark.parametrize("flags,named", REFUSED, ids=[named for _, named in REFUSED])
def test_refused_by_name(engine, stock, flags, named):
    """With the flag a user knows, and nothing is made."""
    before = engine.dump()
    refused = stock("run", "--name", "con", *flags, "busybox", "true")
    assert refused.rc == 125 and named in refused.err and "not supported by cnm" in refused.err, repr(refused)
    engine.assert_unchanged(before, refused)


@containers.cnm_only
def test_refused_status(engine):
    for host in ({"Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse"}]}, {"PidMode": "host"}):
        answer = engine.request("POST", "/containers/create", {"Image": "busybox", "HostConfig": host})
        assert answer.status == 501 and re.search(r"not supported by cnm", answer.message), repr(answer)


def test_empty_and_null_members_pass(engine):
    """What clients send that ask for nothing."""
    made = engine.request("POST", "/containers/create?name=con", {
        "Image": "busybox", "Cmd": ["true"], "Entrypoint": None, "Env": None, "Volumes": {}, "OnBuild": None,
        "Labels": None, "Healthcheck": None, "Shell": None, "StopTimeout": None, "ExposedPorts": None,
        "HostConfig": {"Binds": None, "PortBindings": {}, "Links": None, "Devices": [], "DeviceRequests": None,
                       "Ulimits": None, "Sysctls": None, "PidsLimit": None, "OomKillDisable": None,
                       "CapAdd": None, "Dns": None, "ExtraHosts": [], "VolumesFrom": None, "Mounts": None,
                       "ShmSize": 0, "Isolation": "", "UsernsMode": "", "LogConfig": {"Type": "", "Config": None},
                       "RestartPolicy": {"Name": "", "MaximumRetryCount": 0}, "MemorySwap": 0, "MemorySwappiness": -1,
                       "BlkioDeviceReadBps": None, "ConsoleSize": [0, 0], "MaskedPaths": None, "ReadonlyPaths": None},
        "NetworkingConfig": {"EndpointsConfig": None}})
    assert made.status == 201 and not made.json["Warnings"], repr(made)
    engine.begin("con")
    assert engine.exit_code("con") == 0


def test_bodies_that_make_no_sense(engine):
    for body, status in ((b"", 400), (b"{", 400), (b"[]", 400), (b'{"Image": 3}', 400),
                         (b'{"Image": "busybox", "Cmd": [1]}', 400), (b'{"Image": "busybox", "HostConfig": []}', 400),
                         (b'{"Image": "nosuchimage"}', 404)):
        answer = engine.request("POST", "/containers/create", body, {"Content-Type": "application/json"})
        assert answer.status in (status, containers.words(status, answer.status)), (body, answer)
    answer = engine.request("POST", "/containers/create", {"Image": "nosuchimage"})
    assert answer.message == "No such image: nosuchimage:latest"
    assert json.loads(engine.request("GET", "/containers/json?all=1").text) == []
