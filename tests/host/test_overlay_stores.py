# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a cluster is for, on three hosts with each kind of store: containers and sandboxes of all hosts on one
network, networks beside it, hosts that come and go. The tests of one store share its hosts."""
import json
import os
import urllib.request

import pytest

import cluster
import cluster_truth
import containers
import harness
import netlink
import stores
from cluster import forgets, knows, overlay
from test_overlay import resolves


def pytest_generate_tests(metafunc):
    """One worker has all of a store's."""
    metafunc.parametrize("three", [pytest.param(kind, marks=pytest.mark.xdist_group("overlay-" + kind))
                                   for kind in stores.KINDS], indirect=True, scope="module")


@pytest.fixture(scope="module")
def three(request, tmp_path_factory):
    with cluster.started(tmp_path_factory.mktemp(request.param), request.param,
                         options=cluster.QUICK + cluster.grace(3)) as made:
        yield made


@pytest.fixture(autouse=True)
def tidy(three):
    yield
    for host in three.hosts:
        host.clear_containers()
        for sandbox in host.get("/cnm/v1/sandboxes"):
            host.remove_sandbox(sandbox["Id"])
    for host in three.hosts:
        for network in host.get("/networks"):
            if network["Name"] not in harness.PREDEFINED:
                host.request("DELETE", "/networks/" + network["Id"])
    cluster_truth.agrees(three)


def clients(three):
    return [containers.client_of(host, "docker") for host in three.hosts]


def fetch(netns, url):
    with netlink.inside(netns):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=harness.PATIENCE) as answer:
            return answer.read()


def serves(container):
    harness.wait_for(lambda: container("wget", "-qO-", "http://127.0.0.1/").rc == 0, "its server has begun")


def beside(host, sandbox):
    """Is it on the gateway network?"""
    return "docker_gwbridge" in [e["NetworkName"] for e in host.get("/cnm/v1/endpoints") if e["SandboxName"] == sandbox]


def test_containers(three):
    """One on each host: ping by address and name, HTTP, 64 KB, both ways between all of them."""
    docker = clients(three)
    docker[0]("network", "create", "-d", "overlay", "--subnet", "10.50.0.0/24", "blue", check=True)
    data, at = [], []
    for number, host in enumerate(three.hosts):
        knows(host, "blue", None)
        docker[number].run("--name", "con%d" % number, "--net", "blue", "--network-alias", "nick%d" % number,
                           "busybox", "sh", "-c", "mkdir -p /www; exec httpd -f -h /www")
        data.append(os.urandom(65536))
        docker[number]("exec", "-i", "con%d" % number, "sh", "-c", "mkdir -p /www; cat >/www/index.html", input=data[number], check=True)
        serves(lambda *argv: docker[number]("exec", "con%d" % number, *argv, text=False))
        at.append(docker[number].say("inspect", "-f", "{{.NetworkSettings.Networks.blue.IPAddress}}",
                                     "con%d" % number).strip())
    for number, host in enumerate(three.hosts):
        own = "con%d" % number
        for other in {0, 1, 2} - {number}:
            knows(host, "blue", "con%d" % other)
            for name in at[other], "con%d" % other, "nick%d.blue" % other:
                docker[number]("exec", own, "ping", "-c1", "-w5", name, check=True)
            got = docker[number]("exec", own, "wget", "-qO-", "http://con%d/" % other, check=True, text=False)
            assert got.out == data[other]
    cluster_truth.agrees(three)


def test_the_client_sees_all_hosts(three):
    """network create, ls, inspect, disconnect -f and rm, each on another host than the container's."""
    docker = clients(three)
    made = docker[0].say("network", "create", "-d", "overlay", "blue").strip()
    names = {"con%d" % number for number in range(3)}
    for number, host in enumerate(three.hosts):
        knows(host, "blue", None)
        assert docker[number].say("network", "ls", "--no-trunc", "--filter", "driver=overlay", "--format",
                                  "{{.ID}} {{.Name}} {{.Driver}} {{.Scope}}").split() == [made, "blue", "overlay", "global"]
        docker[number].run("--name", "con%d" % number, "--net", "blue", "busybox", *containers.HOLD)
    shown = []
    for number, host in enumerate(three.hosts):
        for name in names:
            knows(host, "blue", name)
        found = json.loads(docker[number].say("network", "inspect", "blue"))[0]
        shown.append({(c["Name"], c["EndpointID"], c["MacAddress"], c["IPv4Address"])
                      for c in found["Containers"].values()})
        assert {c["Name"]: c.get("Host", "") for c in found["Containers"].values()} == {
            "con%d" % other: "" if other == number else cluster_truth.own_id(three.hosts[other]) for other in range(3)}
    assert shown[0] == shown[1] == shown[2]
    refused = docker[0]("network", "rm", "blue")
    assert refused.rc and all(name in refused.err for name in names), repr(refused)
    docker[0]("network", "disconnect", "blue", "con0", check=True)
    refused = docker[0]("network", "rm", "blue")
    assert refused.rc and "con1" in refused.err and "con2" in refused.err, repr(refused)
    docker[0]("network", "disconnect", "-f", "blue", "con1", check=True)
    b = three.hosts[1]
    harness.wait_for(lambda: not b.container("con1")["NetworkSettings"]["Networks"].get("blue", {}).get("EndpointID"),
                     "its host knows")
    assert "eth0" not in docker[1].say("exec", "con1", "ip", "link")
    docker[2]("rm", "-f", "con2", check=True)
    for host in three.hosts:
        knows(host, "blue", "con2", there=False)
    docker[1]("network", "rm", made[:12], check=True)
    for host in three.hosts:
        forgets(host, "blue")


def test_leaving_and_returning(three):
    """Disconnected from one network it keeps the other; connected again it has the name, and the address it asks for."""
    a, b, c = three.hosts
    overlay(three.hosts, "blue", "10.50.0.0/24")
    overlay(three.hosts, "red", "10.51.0.0/24")
    for number, host in enumerate(three.hosts):
        host.sandbox("s%d" % number, "blue", "red")
    view = a.inside("s0")
    at = {net: b.address("s1", net) for net in ("blue", "red")}
    for _ in range(3):
        for net in at:
            knows(a, net, "s1")
            assert view.reaches(at[net])
            resolves(view, "s1." + net, at[net])
        b.disconnect("blue", "s1")
        knows(a, "blue", "s1", there=False)
        knows(c, "blue", "s1", there=False)
        assert not view.can_ping(at["blue"])
        assert view.can_ping(at["red"])
        resolves(view, "s1.blue")
        b.connect("blue", "s1", IPAMConfig={"IPv4Address": at["blue"]})
    knows(a, "blue", "s1")
    cluster_truth.agrees(three)


def test_a_bridge_network_beside_it(three):
    """The way out and published ports are the gateway network's, then the bridge's, then the gateway network's."""
    a, b, _ = three.hosts
    overlay(three.hosts, "blue", "10.50.0.0/24")
    a.subnet("backend", "10.60.0.0/24")
    docker = clients(three)
    docker[0].run("--name", "web", "--net", "blue", "-p", "8080:80", "busybox", "sh", "-c",
                  "echo it works >/index.html; exec httpd -f -h /")
    serves(lambda *argv: docker[0]("exec", "web", *argv))
    a.sandbox("local", "backend")
    b.sandbox("far", "blue")
    knows(a, "blue", "far")
    knows(b, "blue", "web")

    def works():
        assert fetch(a.lan.netns, "http://192.0.2.2:8080/") == b"it works\n"
        assert fetch(b.inside("far").netns, "http://%s/" % at) == b"it works\n"
        docker[0]("exec", "web", "ping", "-c1", "-w5", "far", check=True)
        docker[0]("exec", "web", "ping", "-c1", "-w5", harness.LAN4, check=True)
    at = a.container("web")["NetworkSettings"]["Networks"]["blue"]["IPAddress"]
    assert beside(a, "web")
    works()
    docker[0]("network", "connect", "backend", "web", check=True)
    assert not beside(a, "web")
    works()
    docker[0]("exec", "web", "ping", "-c1", "-w5", "local", check=True)
    docker[0]("network", "disconnect", "backend", "web", check=True)
    assert beside(a, "web")
    works()
    docker[0]("network", "disconnect", "blue", "web", check=True)
    assert not beside(a, "web")
    docker[0]("network", "connect", "blue", "web", check=True)
    at = a.container("web")["NetworkSettings"]["Networks"]["blue"]["IPAddress"]
    knows(b, "blue", "web")
    works()


def test_internal(three):
    a, b, _ = three.hosts
    overlay(three.hosts, "inner", "10.50.0.0/24", Internal=True)
    for host, name in (a, "one"), (b, "two"):
        host.sandbox(name, "inner")
    knows(a, "inner", "two")
    view = a.inside("one")
    assert view.reaches(b.address("two", "inner"))
    assert view.default_route() is None and set(view.links()) == {"eth0"}
    assert not beside(a, "one")
    assert view.run("ping", "-c1", "-W1", harness.LAN4, check=False).rc == 2, "there is no route"


def test_a_host_that_dies(three):
    """Without a word: what it had stays its own for the grace time, then is another's, who is reached; it comes back
    to a network in which it has lost them, and takes new ones."""
    a, b, c = three.hosts
    overlay(three.hosts, "blue", "10.50.0.0/24")
    where = {"IPAMConfig": {"IPv4Address": "10.50.0.77"}}
    a.sandbox("one", "blue")
    c.sandbox("web", ("blue", where))
    c.sandbox("kept", "blue")
    view, node = a.inside("one"), three.nodes(a)[c.underlay]["Id"]
    knows(a, "blue", "web")
    knows(a, "blue", "kept")
    kept = c.address("kept", "blue")
    assert view.reaches("10.50.0.77")
    assert a.cnm("node", "rm", node).rc != 0, "it is up"
    three.power_off(c)
    three.is_lost(c, on=a)
    shown = a.cnm("node", "inspect", node[:12], check=True).json[0]
    assert (shown["State"], shown["Address"], shown["Endpoints"], shown["Grace"]) == ("lost", c.underlay, 2, 3)
    assert "lost" in [line for line in a.cnm("node", "ls", check=True).out.splitlines() if node[:12] in line][0]
    knows(b, "blue", "web", there=False)
    b.sandbox("web", ("blue", where))
    knows(a, "blue", "web")
    assert view.reaches("10.50.0.77")
    resolves(view, "web", "10.50.0.77")
    resolves(view, "kept")
    three.power_on(c)
    knows(a, "blue", "kept")
    assert view.reaches(kept)
    harness.wait_for(lambda: "blue" not in c.get("/cnm/v1/sandboxes/web")["Networks"], "it is another's")
    assert view.reaches("10.50.0.77")
    c.request_ok("DELETE", "/cnm/v1/sandboxes/web")
    cluster_truth.agrees(three)


def test_a_host_is_removed(three):
    """node rm: what it had is free at once, though its sandboxes run on."""
    a, b, c = three.hosts
    overlay(three.hosts, "blue", "10.50.0.0/24")
    c.sandbox("web", "blue")
    at = c.address("web", "blue")
    knows(a, "blue", "web")
    node = three.nodes(a)[c.underlay]["Id"]
    three.power_off(c)
    three.is_lost(c, on=a)
    a.cnm("node", "rm", node[:12], check=True)
    harness.wait_for(lambda: all(c.underlay not in three.nodes(h) for h in (a, b)), "it is forgotten")
    b.sandbox("taker", ("blue", {"IPAMConfig": {"IPv4Address": at}}))
    three.power_on(c)
    harness.wait_for(lambda: not c.get("/cnm/v1/sandboxes/web")["Networks"], "it has taken note")
    c.connect("blue", "web")
    knows(a, "blue", "web")
    cluster_truth.agrees(three)


def test_two_networks_are_apart(three):
    """Neither by address nor through the gateway network, whose subnet is the same on all hosts."""
    a, b, _ = three.hosts
    overlay(three.hosts, "blue", "10.50.0.0/24")
    overlay(three.hosts, "red", "10.51.0.0/24")
    a.sandbox("one", "blue")
    a.sandbox("near", "red")
    b.sandbox("far", "red")
    knows(a, "red", "far")
    view = a.inside("one")
    assert a.inside("near").reaches(b.address("far", "red"))
    assert not view.can_ping(a.address("near", "red"))
    assert not view.can_ping(b.address("far", "red"))
    assert not view.can_ping(a.inside("near").links()["eth1"][0].split("/")[0]), "no ICC on the gateway network"
