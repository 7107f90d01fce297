# SPDX-License-Identifier: LGPL-2.1-or-later
"""Containers and networks: modes, addresses that stay, connecting and disconnecting."""
import os
import re

import pytest

import containers
import harness
from containers import words

pytest_plugins = ["container_fixtures"]
client = containers.fixture_of("docker", "cnm")


def settings(engine, name, network):
    return engine.container(name)["NetworkSettings"]["Networks"][network]


def subnet(engine, name, four, **more):
    engine.request_ok("POST", "/networks/create", {"Name": name, "IPAM": {"Config": [{"Subnet": four}]}, **more})


def netns(pid):
    return os.readlink("/proc/%d/ns/net" % pid)


def test_mode_none(engine, client):
    client.run("--name", "con", "--net", "none", "busybox", *containers.HOLD)
    assert client.say("exec", "con", "ls", "/sys/class/net") == "lo\n"
    assert client("exec", "con", "ping", "-c1", "-W1", "127.0.0.1").rc == 0
    assert netns(engine.pid_of("con")) != netns(engine.pid)
    assert list(engine.container("con")["NetworkSettings"]["Networks"]) == ["none"]


def test_mode_host(engine, client):
    client.run("--name", "con", "--net", "host", "busybox", *containers.HOLD)
    assert "up0" in client.say("exec", "con", "ls", "/sys/class/net").split()
    assert netns(engine.pid_of("con")) == netns(engine.pid)
    assert client.say("exec", "con", "hostname") == os.uname().nodename + "\n"
    assert engine.container("con")["HostConfig"]["NetworkMode"] == "host"


def test_mode_container(engine, client):
    client.run("--name", "one", "busybox", *containers.HOLD)
    client.run("--name", "two", "--net", "container:one", "busybox", *containers.HOLD)
    assert netns(engine.pid_of("one")) == netns(engine.pid_of("two"))
    assert client.say("exec", "two", "hostname") == client.say("exec", "one", "hostname")
    assert client.say("exec", "two", "cat", "/etc/hosts") == client.say("exec", "one", "cat", "/etc/hosts")
    mode = engine.container("two")["HostConfig"]["NetworkMode"]
    assert mode == "container:" + engine.container("one")["Id"]


def test_mode_container_refused(engine, client):
    engine.create("off", "true")
    for argv, said in ((("--net", "container:nobody"), "No such container: nobody"),
                       (("--net", "container:off"), "cannot join network of a non running container"),
                       (("--net", "container:off", "-h", "x"), "conflicting options: hostname and the network mode")):
        refused = client("run", "--rm", *argv, "busybox", "true")
        assert refused.rc == 125 and said in refused.err.replace("network namespace of", "network of"), repr(refused)


def test_named_network(engine, client):
    subnet(engine, "net1", "10.41.0.0/24")
    client.run("--name", "con", "--net", "net1", "--ip", "10.41.0.77", "--network-alias", "nick", "busybox", *containers.HOLD)
    found = settings(engine, "con", "net1")
    assert found["IPAddress"] == "10.41.0.77" and found["IPAMConfig"]["IPv4Address"] == "10.41.0.77"
    shown = client.say("run", "--rm", "--net", "net1", "busybox", "ping", "-c1", "-W5", "nick")
    assert "(10.41.0.77)" in shown and "1 packets received" in shown
    busy = client("run", "--rm", "--net", "net1", "--ip", "10.41.0.77", "busybox", "true")
    assert busy.rc == 125 and "Address already in use" in busy.err
    outside = client("run", "--rm", "--net", "net1", "--ip", "10.99.0.1", "busybox", "true")
    assert outside.rc == 125


def test_both_families(engine, client):
    engine.request_ok("POST", "/networks/create", {"Name": "net1", "EnableIPv6": True, "IPAM": {"Config": [
        {"Subnet": "10.42.0.0/24"}, {"Subnet": "fd00:42::/64"}]}})
    client.run("--name", "con", "--net", "net1", "--ip6", "fd00:42::77", "busybox", *containers.HOLD)
    assert settings(engine, "con", "net1")["GlobalIPv6Address"] == "fd00:42::77"
    shown = client.say("run", "--rm", "--net", "net1", "busybox", "ping", "-6", "-c1", "-W5", "fd00:42::77")
    assert "1 packets received" in shown


def test_aliases_and_id_are_names(engine, client):
    subnet(engine, "net1", "10.43.0.0/24")
    made = client.run("--name", "con", "--net", "net1", "busybox", *containers.HOLD)
    for name in ("con", made[:12]):
        assert "1 packets received" in client.say("run", "--rm", "--net", "net1", "busybox", "ping", "-c1", "-W5", name)


def test_files(engine, client):
    subnet(engine, "net1", "10.44.0.0/24")
    client.run("--name", "con", "--net", "net1", "busybox", *containers.HOLD)
    hosts = client.say("exec", "con", "cat", "/etc/hosts")
    assert re.search(r"^10\.44\.0\.2\s+%s$" % engine.container("con")["Config"]["Hostname"], hosts, re.M)
    assert "nameserver 127.0.0.11" in client.say("exec", "con", "cat", "/etc/resolv.conf")
    client("network", "connect", "bridge", "con", check=True)
    address = settings(engine, "con", "bridge")["IPAddress"]
    assert address in client.say("exec", "con", "cat", "/etc/hosts")
    client("network", "disconnect", "bridge", "con", check=True)
    hosts = client.say("exec", "con", "cat", "/etc/hosts")
    assert words(address not in hosts, True) and "10.44.0.2" in hosts
    assert "nameserver 192.0.2.1" in client.say("run", "--rm", "busybox", "cat", "/etc/resolv.conf")


def identity(engine, name, network):
    found = settings(engine, name, network)
    return found["IPAddress"], found["MacAddress"]


@containers.cnm_only
def test_addresses_stay(engine, client):
    """Over stop, start and restart of the container and of the daemon, even where others come between."""
    subnet(engine, "net1", "10.45.0.0/24")
    client.run("--name", "con", "--net", "net1", "busybox", *containers.HOLD)
    before = identity(engine, "con", "net1")

    def same():
        assert identity(engine, "con", "net1") == before
        shown = client.say("exec", "con", "ip", "addr", "show", "dev", "eth0")
        assert before[0] + "/24" in shown and before[1] in shown
    client("stop", "-t", "0", "con", check=True)
    client.run("--name", "other", "--net", "net1", "busybox", *containers.HOLD)
    assert identity(engine, "other", "net1")[0] != before[0]
    client("start", "con", check=True)
    same()
    client("restart", "-t", "0", "con", check=True)
    same()
    engine.restart(kill=True)
    same()
    client("stop", "-t", "0", "con", check=True)
    engine.restart()
    client("start", "con", check=True)
    same()
    assert client("exec", "con", "ping", "-c1", "-W5", "other").rc == 0


def test_a_stopped_one_does_not_hold_its_network(engine, client):
    subnet(engine, "net1", "10.46.0.0/24")
    client.run("--name", "con", "--net", "net1", "busybox", *containers.HOLD)
    busy = client("network", "rm", "net1")
    assert busy.rc == 1 and "has active endpoints" in busy.err
    client("stop", "-t", "0", "con", check=True)
    assert client.say("network", "rm", "net1") == "net1\n"
    gone = client("start", "con")
    assert gone.rc == 1 and "not found" in gone.err
    assert engine.status("con") == "exited"


def test_a_network_made_later(engine, client):
    """It may be missing when the container is created."""
    client("create", "--name", "con", "--net", "later", "busybox", *containers.HOLD, check=True)
    refused = client("start", "con")
    assert refused.rc == 1 and "network later not found" in refused.err
    assert engine.status("con") == "created"
    subnet(engine, "later", "10.47.0.0/24")
    client("start", "con", check=True)
    assert settings(engine, "con", "later")["IPAddress"] == "10.47.0.2"


def test_connect_while_stopped(engine, client):
    subnet(engine, "net1", "10.48.0.0/24")
    subnet(engine, "net2", "10.49.0.0/24")
    client("create", "--name", "con", "--net", "net1", "busybox", *containers.HOLD, check=True)
    client("network", "connect", "--ip", "10.49.0.50", "--alias", "nick", "net2", "con", check=True)
    assert set(engine.container("con")["NetworkSettings"]["Networks"]) == {"net1", "net2"}
    client("start", "con", check=True)
    shown = client.say("exec", "con", "ip", "-o", "-4", "addr")
    assert "eth0" in shown and "10.48.0." in shown and "10.49.0.50/24" in shown
    client("stop", "-t", "0", "con", check=True)
    client("network", "disconnect", "net1", "con", check=True)
    client("start", "con", check=True)
    shown = client.say("exec", "con", "ip", "-o", "-4", "addr")
    assert "10.48.0." not in shown and "10.49.0.50/24" in shown


def test_connections_are_kept_over_a_restart(engine, client):
    subnet(engine, "net1", "10.50.0.0/24")
    client.run("--name", "con", "busybox", *containers.HOLD)
    client("network", "connect", "net1", "con", check=True)
    client("restart", "-t", "0", "con", check=True)
    assert set(engine.container("con")["NetworkSettings"]["Networks"]) == {"bridge", "net1"}
    assert "eth1" in client.say("exec", "con", "ip", "link")


def test_connect_refused(engine, client):
    subnet(engine, "net1", "10.51.0.0/24")
    client.run("--name", "con", "--net", "net1", "busybox", *containers.HOLD)
    again = client("network", "connect", "net1", "con")
    assert again.rc == 1 and "endpoint with name con already exists in network net1" in again.err
    for argv in (("connect", "net1", "nobody"), ("disconnect", "net1", "nobody")):
        missing = client("network", *argv)
        assert missing.rc == 1 and words("No such container: nobody", "nobody") in missing.err
    client.run("--name", "on-host", "--net", "host", "busybox", *containers.HOLD)
    refused = client("network", "connect", "net1", "on-host")
    assert refused.rc == 1 and "host" in refused.err


def test_network_inspect_shows_who_is_there(engine, client):
    subnet(engine, "net1", "10.52.0.0/24")
    made = client.run("--name", "con", "--net", "net1", "busybox", *containers.HOLD)
    shown = engine.request("GET", "/networks/net1").json["Containers"]
    assert list(shown) == [made]
    assert shown[made]["Name"] == "con" and shown[made]["IPv4Address"] == "10.52.0.2/24"
    assert shown[made]["EndpointID"] == settings(engine, "con", "net1")["EndpointID"]
    client("stop", "-t", "0", "con", check=True)
    assert engine.request("GET", "/networks/net1").json["Containers"] == {}


def test_rename_is_followed_by_names(engine, client):
    subnet(engine, "net1", "10.53.0.0/24")
    client.run("--name", "con", "--net", "net1", "busybox", *containers.HOLD)
    client("rename", "con", "fresh", check=True)
    assert "1 packets received" in client.say("run", "--rm", "--net", "net1", "busybox", "ping", "-c1", "-W5", "fresh")
    assert engine.request("GET", "/networks/net1").json["Containers"].popitem()[1]["Name"] == "fresh"


def test_several_networks_at_once(engine, stock):
    """By the API of 1.44; the first is the mode's."""
    if containers.truth.ASKED:
        pytest.skip("since API 1.44")
    subnet(engine, "net1", "10.54.0.0/24")
    subnet(engine, "net2", "10.55.0.0/24")
    stock.run("--name", "con", "--network", "name=net1,ip=10.54.0.9", "--network", "name=net2,alias=nick", "busybox",
              *containers.HOLD)
    shown = stock.say("exec", "con", "ip", "-o", "-4", "addr")
    assert "10.54.0.9/24" in shown and "10.55.0.2/24" in shown
    assert "1 packets received" in stock.say("run", "--rm", "--net", "net2", "busybox", "ping", "-c1", "-W5", "nick")


@containers.cnm_only
def test_sandboxes_and_containers_live_side_by_side(engine, client):
    subnet(engine, "net1", "10.56.0.0/24")
    engine.request_ok("POST", "/cnm/v1/sandboxes", {"Name": "box", "Networks": [{"Network": "net1"}]})
    client.run("--name", "con", "--net", "net1", "busybox", *containers.HOLD)
    assert engine.inside("box").reaches(settings(engine, "con", "net1")["IPAddress"])
    assert client("exec", "con", "ping", "-c1", "-W5", "box").rc == 0


def test_packets_between_containers(engine, client):
    """A megabyte by TCP from one to the other."""
    subnet(engine, "net1", "10.57.0.0/24")
    client.run("--name", "server", "--net", "net1", "busybox", "sh", "-c",
               "dd if=/dev/urandom of=/tmp/f bs=65536 count=16 2>/dev/null; md5sum </tmp/f; exec httpd -f -p 9000 -h /tmp")
    harness.wait_for(lambda: client("exec", "server", "sh", "-c", "netstat -ltn | grep :9000").rc == 0, "it listens")
    got = client.say("run", "--rm", "--net", "net1", "busybox", "sh", "-c", "wget -qO- http://server:9000/f | md5sum")
    assert engine.logged("server")[0].decode() == got
