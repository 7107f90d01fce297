# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a container may not do: Docker's confinement probed from inside, and lifted by --privileged."""
import os
import re

import pytest

import containers

pytest_plugins = ["container_fixtures"]
DEVICES = {"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "shm", "mqueue", "fd",
           "stdin", "stdout", "stderr", "core"}


@pytest.fixture
def sh(stock):
    def run(line, *flags):
        return stock("run", "--rm", *flags, "busybox", "sh", "-c", line)
    return run


def fields(text):
    return {line.split(":")[0] + ":": line.partition(":")[2].strip() for line in text.splitlines()}


def test_capabilities_and_seccomp(sh):
    found = fields(sh("grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status").out)
    for kind in ("CapPrm:", "CapEff:", "CapBnd:"):
        assert found[kind] == "00000000a80425fb", found
    assert found["CapAmb:"] == "0000000000000000"
    assert found["Seccomp:"] == "2" and found["NoNewPrivs:"] == "0"


def test_capabilities_of_another_user(sh):
    found = fields(sh("grep -E '^Cap' /proc/self/status", "-u", "1000").out)
    assert found["CapEff:"] == "0000000000000000" and found["CapBnd:"] == "00000000a80425fb"


def test_capabilities_added_and_dropped(sh):
    def effective(*flags):
        return int(fields(sh("grep CapEff /proc/self/status", *flags).out)["CapEff:"], 16)
    usual = 0xa80425fb
    assert effective("--cap-add", "NET_ADMIN") == usual | 1 << 12
    assert effective("--cap-add", "cap_sys_time", "--cap-drop", "MKNOD") == (usual | 1 << 25) & ~(1 << 27)
    assert effective("--cap-drop", "ALL") == 0
    assert effective("--cap-drop", "ALL", "--cap-add", "CHOWN") == 1
    refused = sh("true", "--cap-add", "NONSENSE")
    assert refused.rc == 125 and re.search(r'CAP_NONSENSE', refused.err)


@pytest.mark.parametrize("line", [
    "mount -t tmpfs t /mnt", "mount -t proc p /tmp", "umount /proc", "mount -o remount,rw /sys", "unshare -m true",
    "unshare -U true", "unshare -n true", "ip link add d type dummy", "ip link set eth0 down", "hostname other",
    "date -s @$(date +%s) 2>&1 >/dev/null | grep . && exit 1", "mknod /tmp/d b 8 0 && head -c1 /tmp/d", "v=$(cat /proc/sys/kernel/panic) && echo $v >/proc/sys/kernel/panic",
    "echo 1 >/proc/sys/net/ipv4/ip_forward", "head -c1 /proc/kcore | grep .", "cat /proc/keys | grep .",
    "cat /proc/timer_list | grep .", "ls /sys/firmware | grep .", "mkdir /sys/fs/cgroup/pids/x",
    "echo 1 >/sys/fs/cgroup/pids/cgroup.procs", "nice -n -20 sh -c 'test $(nice) = -20'", "dmesg | grep .",
])
def test_refused(sh, line):
    result = sh(line)
    assert result.rc != 0, repr(result)


def test_mounts(sh):
    mounts = {line.split()[1]: line.split() for line in sh("cat /proc/mounts").out.splitlines()}
    assert mounts["/"][2] == "overlay" and mounts["/proc"][2] == "proc"
    for path in ("/sys", "/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq"):
        assert "ro" in mounts[path][3].split(","), mounts[path]
    for path in ("/proc", "/sys", "/dev/pts", "/dev/mqueue"):
        assert {"nosuid", "noexec"} <= set(mounts[path][3].split(",")), mounts[path]
    assert mounts["/dev/shm"][2] == "tmpfs" and "size=65536k" in mounts["/dev/shm"][3]
    for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"):
        if os.path.exists(path):
            assert mounts[path][2] in ("tmpfs", "devtmpfs"), mounts[path]


def test_devices(sh):
    assert set(sh("ls /dev").out.split()) <= DEVICES
    listed = sh("cat /sys/fs/cgroup/devices/devices.list 2>/dev/null").out
    if listed:
        assert "a *:* rwm" not in listed.splitlines()
    assert sh("echo x >/dev/null && head -c 4 /dev/zero | wc -c").out == "4\n"


def test_own_namespaces(engine, stock):
    stock.run("--name", "con", "busybox", *containers.HOLD)
    pid = engine.pid_of("con")
    for kind in ("pid", "ipc", "uts", "mnt", "net"):
        assert os.readlink("/proc/%d/ns/%s" % (pid, kind)) != os.readlink("/proc/self/ns/" + kind), kind
        assert os.readlink("/proc/%d/ns/%s" % (pid, kind)) != os.readlink("/proc/%d/ns/%s" % (engine.pid, kind)), kind
    assert stock.say("exec", "con", "ps", "-o", "pid,args").splitlines()[1].split() == ["1", "sleep", "100000"]


def test_no_descriptor_is_handed_down(sh):
    assert set(sh("ls /proc/self/fd").out.split()) <= {"0", "1", "2", "3"}  # 3 is ls's own


def test_key_ring_is_its_own(engine, stock):
    """runc gives each container a session key ring of its own; it is not the daemon's."""
    stock.run("--name", "con", "busybox", *containers.HOLD)
    refused = stock("exec", "con", "sh", "-c", "cat /proc/keys; cat /proc/key-users")
    assert "_ses" not in refused.out


@containers.cnm_only  # 20.10 asks for capabilities that the machine itself may not have
def test_privileged(sh):
    found = fields(sh("grep -E '^(CapEff|Seccomp:)' /proc/self/status", "--privileged").out)
    with open("/proc/self/status") as f:
        own = fields(f.read())
    assert found["CapEff:"] == own["CapBnd:"] and found["Seccomp:"] == "0"
    assert sh("mount -t tmpfs t /mnt 2>/dev/null || mount -t tmpfs t /tmp", "--privileged").rc == 0
    assert sh("echo 77 >/proc/sys/net/ipv4/ip_default_ttl && cat /proc/sys/net/ipv4/ip_default_ttl",
              "--privileged").out == "77\n"
    mounts = {line.split()[1]: line.split() for line in sh("cat /proc/mounts", "--privileged").out.splitlines()}
    assert "rw" in mounts["/sys"][3].split(",") and "/proc/kcore" not in mounts and "/proc/sys" not in mounts
    assert {"null", "zero"} <= set(sh("ls /dev", "--privileged").out.split())


@containers.cnm_only
def test_a_privileged_one_leaves_the_host_its_settings(engine, sh):
    with open("/proc/sys/kernel/panic") as f:
        before = f.read()
    sh("ip link add d0 type dummy; sysctl -w net.ipv4.ip_forward=0", "--privileged")
    with open("/proc/sys/kernel/panic") as f:
        assert f.read() == before
    assert engine.link("d0") is None


def test_links_in_its_root_do_not_lead_out(engine, stock, tmp_path):
    """A user is looked up beneath the container's root, whatever the files there are."""
    (tmp_path / "passwd").write_text("secret:x:4242:4242::/:/bin/sh\n")
    stock.run("--name", "con", "busybox", "sh", "-c", "rm /etc/passwd && ln -s %s/passwd /etc/passwd && "
              "ln -s %s /data && echo on && exec sleep 100000" % (tmp_path, tmp_path))
    engine.await_logged("con", b"on\n")
    refused = stock("exec", "-u", "secret", "con", "id")
    assert refused.rc != 0 and "unable to find user secret" in refused.out + refused.err
