# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sandboxes: made or adopted, entered, removed."""
import os
import subprocess

import pytest

import harness

SANDBOXES = "/cnm/v1/sandboxes"


def test_shape(host):
    host.network("net")
    sandbox = host.sandbox("con", "net", Hostname="myhost", Labels={"a": "b"})
    shown = host.get(SANDBOXES + "/con")
    assert shown["Id"] == sandbox and shown["Name"] == "con" and shown["Hostname"] == "myhost"
    assert shown["Labels"] == {"a": "b"} and shown["Adopted"] is False and shown["State"] == "ready"
    assert list(shown["Networks"]) == ["net"]
    assert shown["Gateway4"] == "net" or shown["Gateway4"] == host.settings("con", "net")["Gateway"]
    assert [s["Id"] for s in host.get(SANDBOXES)] == [sandbox]
    assert host.get(SANDBOXES + "/" + sandbox[:12])["Name"] == "con"


def test_ls_and_inspect_by_command(host):
    host.network("net")
    sandbox = host.sandbox("con", "net")
    assert sandbox[:12] in host.cnm("sandbox", "ls", check=True).out
    assert host.cnm("sandbox", "inspect", "con", check=True).json[0]["Id"] == sandbox
    missing = host.cnm("sandbox", "inspect", "nobody")
    assert missing.rc == 1 and "nobody" in missing.err


def test_ip_netns_exec_works(host):
    host.network("net")
    host.sandbox("con", "net")
    name = os.path.basename(host.get(SANDBOXES + "/con")["NetnsPath"])
    assert name in host.run("ip", "netns").out
    assert host.address("con", "net") in host.run("ip", "netns", "exec", name, "ip", "addr").out


def test_files(host):
    host.network("net")
    host.sandbox("con", "net", Hostname="myhost")
    shown = host.get(SANDBOXES + "/con")

    def read(field):
        with open(host.root + shown[field]) as f:
            return f.read()
    hosts = read("HostsPath")
    assert "127.0.0.1\tlocalhost" in hosts
    assert "%s\tmyhost" % host.address("con", "net") in hosts
    assert "nameserver 127.0.0.11" in read("ResolvConfPath")
    assert "search example.test" in read("ResolvConfPath")
    assert read("HostnamePath").strip() == "myhost"
    for path, field in (("/etc/hosts", "HostsPath"), ("/etc/resolv.conf", "ResolvConfPath"),
                        ("/etc/hostname", "HostnamePath")):
        assert host.cnm("sandbox", "exec", "con", "cat", path, check=True).out == read(field)
    host.network("more")
    host.connect("more", "con")
    assert host.address("con", "more") in read("HostsPath")
    host.disconnect("more", "con")
    assert len(read("HostsPath").splitlines()) == len(hosts.splitlines())


def test_exec_sees_the_sandboxs_sys(host):
    host.network("net")
    host.sandbox("con", "net")
    out = host.cnm("sandbox", "exec", "con", "ls", "/sys/class/net", check=True).out
    assert out.split() == ["eth0", "lo"]


def test_unprivileged_things_work(host):
    host.sandbox("con")
    view = host.inside("con")
    assert view.run("cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start").out.strip() == "0"
    assert view.reaches("127.0.0.1")


# ------------------------------------------------------------------------------- adoption

@pytest.fixture
def stranger(host):
    """A process with a network namespace of its own."""
    process = subprocess.Popen(host.enter("unshare", "-n", "sh", "-c", "echo; exec sleep infinity"),
                               stdout=subprocess.PIPE)
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_adopt_by_pid(host, stranger):
    host.network("net")
    host.sandbox("con", "net", Pid=stranger.pid)
    shown = host.get(SANDBOXES + "/con")
    assert shown["Adopted"] is True
    out = harness.run_in(os.open("/proc/%d/ns/net" % stranger.pid, os.O_RDONLY), "ip", "addr").out
    assert host.address("con", "net") in out
    assert host.inside("con").reaches(harness.LAN4)
    assert host.cnm("sandbox", "exec", "con", "ip", "addr", check=True).rc == 0


def test_an_adopted_namespace_is_given_back_clean(host, stranger):
    fd = os.open("/proc/%d/ns/net" % stranger.pid, os.O_RDONLY)
    harness.run_in(fd, "ip", "link", "set", "lo", "up")
    harness.run_in(fd, "ip", "addr", "add", "198.51.100.9/32", "dev", "lo")
    host.network("net")
    host.sandbox("con", "net", Pid=stranger.pid)
    host.remove_sandbox("con")
    left = harness.run_in(fd, "ip", "-br", "addr").out
    assert "eth0" not in left and "198.51.100.9" in left
    assert harness.run_in(fd, "nft", "list", "ruleset").out == ""
    os.close(fd)


def test_adopt_by_path(host):
    host.run("ip", "netns", "add", "users")
    host.run("ip", "-n", "users", "addr", "add", "198.51.100.9/32", "dev", "lo")
    host.network("net")
    host.cnm("sandbox", "create", "con", "--net", "net", "--netns", "/run/netns/users", check=True)
    assert "198.51.100.9" in host.inside("con").run("ip", "addr").out
    assert host.inside("con").reaches(harness.LAN4)
    host.restart()
    host.wait_healed()
    assert host.inside("con").reaches(harness.LAN4)
    host.remove_sandbox("con")
    assert "198.51.100.9" in host.run("ip", "-n", "users", "addr").out
    host.run("ip", "netns", "del", "users")


@pytest.mark.parametrize("body,status", [
    ({"Name": ""}, 400), ({}, 400), ({"Name": "-x"}, 400), ({"Name": "a/b"}, 400),
    ({"Name": "a b"}, 400), ({"Name": "x" * 300}, 400), ({"Name": 5}, 400),
    ({"Name": "x", "Pid": 999999999}, 404), ({"Name": "x", "Pid": -1}, 400),
    ({"Name": "x", "Pid": "1"}, 400), ({"Name": "x", "Netns": "/nonexistent"}, 404),
    ({"Name": "x", "Netns": "/etc/passwd"}, 400), ({"Name": "x", "Netns": "relative"}, 400),
    ({"Name": "x", "Pid": 1, "Netns": "/run/netns/x"}, 400),
    ({"Name": "x", "Hostname": "bad\nname"}, 400),
    ({"Name": "x", "Networks": [{"Network": "missing"}]}, 404),
    ({"Name": "x", "Networks": [{}]}, 400), ({"Name": "x", "Networks": {}}, 400),
    ({"Name": "x", "Networks": [{"Network": "bridge"}, {"Network": "bridge"}]}, 403),
    ({"Name": "x", "Networks": [{"Network": "host"}, {"Network": "bridge"}]}, 400),
    ({"Name": "x", "Networks": [{"Network": "bridge"}, {"Network": "none"}]}, 400),
    ({"Name": "x", "Networks": [{"Network": "bridge",
                                 "EndpointConfig": {"IPAMConfig": {"IPv4Address": "1.2.3.4"}}}]}, 400),
])
def test_create_refused(host, body, status):
    host.refused("POST", SANDBOXES, body, status)


def test_the_last_network_fails_and_nothing_is_left(host):
    host.network("a")
    host.subnet("b", "10.80.0.0/30")
    host.sandbox("full", "b")
    host.refused("POST", SANDBOXES, {"Name": "con", "Networks": [
        {"Network": "a"}, {"Network": "b"}]}, 500, matching="no available IPv4 addresses")


def test_name_taken(host):
    host.sandbox("con")
    host.refused("POST", SANDBOXES, {"Name": "con"}, 409, matching="con")


def test_one_namespace_one_sandbox(host, stranger):
    host.sandbox("one", Pid=stranger.pid)
    host.refused("POST", SANDBOXES, {"Name": "two", "Pid": stranger.pid}, 403,
                 matching="is already present in sandbox")


def test_a_foreign_pin_is_not_touched(host):
    """A namespace of the name that cnm would choose exists already."""
    host.sandbox("probe")
    path = host.get(SANDBOXES + "/probe")["NetnsPath"]
    if os.path.basename(path) != "probe":
        return  # pins are named by ids, which nobody else takes
    host.remove_sandbox("probe")
    host.run("ip", "netns", "add", "probe")
    host.refused("POST", SANDBOXES, {"Name": "probe"}, 409)
    host.run("ip", "netns", "del", "probe")


def test_remove(host):
    host.network("net")
    host.sandbox("con", "net")
    path = host.root + host.get(SANDBOXES + "/con")["NetnsPath"]
    assert os.path.exists(path)
    host.remove_sandbox("con")
    assert not os.path.exists(path)
    assert host.inspect("net")["Containers"] == {}
    host.refused("DELETE", SANDBOXES + "/con", status=404)


def test_removed_while_something_runs_in_it(host):
    host.network("net")
    host.sandbox("con", "net")
    running = host.popen(harness.program(harness.COMMAND), "sandbox", "exec", "con", "sh", "-c",
                         "echo; exec sleep infinity", stdout=subprocess.PIPE)
    running.stdout.readline()
    host.remove_sandbox("con")
    assert host.inspect("net")["Containers"] == {}
    assert not [link for link in host.dump()["links"] if link.startswith("veth")]
    running.kill()
    running.wait()
    running.stdout.close()


def test_a_namespace_that_went_away(host, stranger):
    host.network("net")
    host.sandbox("con", "net", Pid=stranger.pid)
    stranger.kill()
    stranger.wait()
    host.remove_sandbox("con")
    assert host.inspect("net")["Containers"] == {}


def test_order_of_networks(host):
    for name in ("z", "a", "m"):
        host.network(name)
    host.sandbox("con", "z", "a", "m")
    links = host.inside("con").links()
    for number, name in enumerate(("z", "a", "m")):
        assert links["eth%d" % number][0].split("/")[0] == host.address("con", name)
    host.disconnect("a", "con")
    assert set(host.inside("con").links()) == {"eth0", "eth2"}
    host.connect("a", "con")
    assert set(host.inside("con").links()) == {"eth0", "eth1", "eth2"}
