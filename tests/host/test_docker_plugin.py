# SPDX-License-Identifier: LGPL-2.1-or-later
"""cnmd --docker-plugin: Docker's own daemon, as Debian has it, on networks of cnm's."""
import concurrent.futures
import contextlib
import os
import sys

import pytest

import cluster
import dockerd
import harness
from dockerd import ENDPOINT, NETWORK, call, left, ok

pytest_plugins = ["docker_fixtures"]
pytestmark = pytest.mark.xdist_group("docker-plugin")


def test_a_network(both):
    """Two containers on a network of cnm's, Docker's IPAM or ours."""
    host, docker = both
    for ipam in ((), ("--ipam-driver", "cnm")):
        docker.say("network", "create", "-d", "cnm", *ipam, "blue")
        docker.run("con1", "blue")
        docker.run("con2", "blue")
        assert docker.reaches("con1", docker.address("con2", "blue"))
        assert docker.reaches("con2", "con1")
        assert docker.reaches("con1", harness.LAN4), "the way out"
        docker.say("rm", "-f", "con1", "con2")
        docker.say("network", "rm", "blue")


def test_published_ports(both):
    """From another machine; those that are chosen are shown by cnm. They go with the container."""
    host, docker = both
    docker.say("network", "create", "-d", "cnm", "blue")
    docker.run("con1", "blue", "-p", "8080:80", "-p", "81/udp")
    docker.say("exec", "-d", "con1", "sh", "-c", "while echo hello | nc -l -p 80; do :; done")
    answer = harness.wait_for(lambda: host.run_lan("sh", "-c", "busybox nc -w2 %s 8080 </dev/null" % harness.UP4,
                                                   check=False).out, "an answer")
    assert answer == "hello\n"
    ports = sandbox(host)["Ports"]
    assert {(p["Protocol"], p["First"]) for p in ports} == {("tcp", 80), ("udp", 81)}
    assert all(p["HostFirst"] == 8080 for p in ports if p["First"] == 80)
    assert "already allocated" in docker.refuses("run", "--rm", "--network", "blue", "-p", "8080:80", "busybox", "true")
    docker.say("stop", "-t", "0", "con1")
    assert not host.get("/cnm/v1/sandboxes")
    docker.say("start", "con1")
    assert {p["HostFirst"] for p in sandbox(host)["Ports"] if p["First"] == 80} == {8080}


def sandbox(host):
    """The only one."""
    found, = host.get("/cnm/v1/sandboxes")
    assert found["Foreign"] and found["NetnsPath"] == ""
    return found


@pytest.mark.parametrize("ipam", [(), ("--ipam-driver", "cnm")], ids=["own-ipam", "cnm-ipam"])
def test_the_life_of_a_container(both, ipam):
    """Connect and disconnect, stop, start, restart, a second family."""
    host, docker = both
    docker.say("network", "create", "-d", "cnm", *ipam, "blue")
    docker.say("network", "create", "-d", "cnm", *ipam, "--ipv6", "--subnet", "10.66.0.0/24", "--subnet",
               "fd00:66::/64", "--gateway", "10.66.0.7", "green")
    docker.run("con1", "blue")
    docker.run("con2", "green")
    docker.say("network", "connect", "--ip", "10.66.0.99", "--ip6", "fd00:66::99", "green", "con1")
    assert docker.address("con1", "green") == "10.66.0.99"
    for target in ("10.66.0.99", "fd00:66::99", "con1", "10.66.0.7"):
        assert docker.reaches("con2", target)
    assert "fd00:66::99" in docker.say("exec", "con1", "ip", "addr", "show", "eth1")
    assert [n for n in host.get("/networks") if n["IPAM"]["Config"] == [
        {"Subnet": "10.66.0.0/24", "Gateway": "10.66.0.7"}, {"Subnet": "fd00:66::/64", "Gateway": "fd00:66::1"}]]
    docker.say("network", "disconnect", "green", "con1")
    assert not docker.can_reach("con2", "10.66.0.99")
    docker.say("network", "connect", "green", "con1")
    for verb in ("restart", "stop", "start"):
        docker.say(verb, *(() if verb == "start" else ("-t", "0")), "con1")
    assert docker.reaches("con2", docker.address("con1", "green"))
    assert docker.reaches("con2", docker.address("con1", "green", "GlobalIPv6Address"))
    assert not host.doctor()


def test_a_network_of_cnms_own(both):
    """By the option: made if it is not there, used if it is; cnm's sandboxes are beside Docker's. It stays."""
    host, docker = both
    host.subnet("red", "10.67.0.0/24")
    asked = ("network", "create", "-d", "cnm", "--ipam-driver", "cnm", "--ipam-opt", "cnm.network=red", "-o",
             "cnm.network=red")
    # The host has a route to it, so Docker wants to be told that it is meant.
    assert "give it by --subnet 10.67.0.0/24" in docker.refuses(*asked, "ours")
    docker.say(*asked, "--subnet", "10.67.0.0/24", "ours")
    host.sandbox("box", "red")
    docker.run("con1", "ours")
    docker.run("con2", "ours", "--ip", "10.67.0.50")
    assert docker.reaches("con1", host.address("box", "red"))
    assert host.inside("box").reaches("10.67.0.50")
    addresses = [docker.address(name, "ours") for name in ("con1", "con2")] + [host.address("box", "red")]
    assert len(set(addresses)) == 3
    assert "Address already in use" in docker.refuses(
        "run", "--rm", "--network", "ours", "--ip", host.address("box", "red"), "busybox", "true")
    docker.say("rm", "-f", "con1", "con2")
    docker.say("network", "rm", "ours")
    assert host.inspect("red")["Name"] == "red"
    docker.say("network", "create", "-d", "cnm", "--subnet", "10.68.0.0/24", "-o", "cnm.network=pink", "theirs")
    docker.say("network", "rm", "theirs")
    assert host.inspect("pink")["IPAM"]["Config"][0]["Subnet"] == "10.68.0.0/24"
    host.remove_sandbox("box")
    host.remove_network("red")
    host.remove_network("pink")


def test_what_is_refused_is_told(both):
    """cnm's sentences reach the user, and nothing changes."""
    host, docker = both
    host.subnet("red", "10.67.0.0/24")
    before = left(host)
    for said, options in (
            ("com.docker.network.bridge.nonsense", ("-o", "com.docker.network.bridge.nonsense=1")),
            ("Pool overlaps with other one", ("--subnet", "10.67.0.128/25")),
            ("exists in cnm with the subnet 10.67.0.0/24, and Docker would use 10.69.0.0/24",
             ("--subnet", "10.69.0.0/24", "-o", "cnm.network=red")),
            ("is the subnet of network red in cnm: to use that, create it with -o cnm.network=red",
             ("--subnet", "10.67.0.0/24")),
            ("is not internal", ("--subnet", "10.67.0.0/24", "--internal", "-o", "cnm.network=red")),
            ("without the option a=b", ("--subnet", "10.67.0.0/24", "-o", "a=b", "-o", "cnm.network=red")),
            ("network bridge is where", ("-o", "cnm.network=bridge")),
            ("unknown --ipam-opt x", ("--ipam-driver", "cnm", "--ipam-opt", "x=y")),
            ("--ip-range 10.1.1.0/25 does not go with cnm's IPAM",
             ("--ipam-driver", "cnm", "--subnet", "10.1.1.0/24", "--ip-range", "10.1.1.0/25"))):
        assert said in docker.refuses("network", "create", "-d", "cnm", *options, "bad"), said
    assert "create it with -d cnm" in docker.refuses(
        "network", "create", "-d", "cnm-overlay", "--subnet", "10.67.0.0/24", "-o", "cnm.network=red", "bad")
    assert "start cnmd with --cluster-store" in docker.refuses("network", "create", "-d", "cnm-overlay", "bad")
    assert left(host) == before
    host.remove_network("red")


def test_internal_and_apart(both):
    """--internal has no way out; options of the bridge hold."""
    host, docker = both
    docker.say("network", "create", "-d", "cnm", "--internal", "inner")
    docker.say("network", "create", "-d", "cnm", "-o", "com.docker.network.bridge.enable_icc=false", "apart")
    for network in ("inner", "apart"):
        docker.run(network + "1", network)
        docker.run(network + "2", network)
    assert docker.reaches("inner1", "inner2")
    assert not docker.can_reach("inner1", harness.LAN4)
    assert docker.reaches("apart1", harness.LAN4)
    assert not docker.can_reach("apart1", docker.address("apart2", "apart"))


# ---------------------------------------------------------------------- over hosts


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two hosts of a cluster, with a dockerd on each."""
    with cluster.started(tmp_path_factory.mktemp("pair"), "etcd", hosts=2, options=["--docker-plugin"]) as made:
        made.dockers = [dockerd.Dockerd(host) for host in made.hosts]
        for docker in made.dockers:
            docker.start()
        yield made
        for docker in made.dockers:
            print(docker.log_text()[-4000:], file=sys.stderr)


BLUE = ("network", "create", "-d", "cnm-overlay", "--ipam-driver", "cnm-overlay", "--ipam-opt", "cnm.network=blue",
        "-o", "cnm.network=blue", "blue")


@contextlib.contextmanager
def blue(made):
    """The same network in both dockerds, and nothing left of it."""
    a, b = made.hosts
    one, two = made.dockers
    one.say(*BLUE)
    cluster.knows(b, "blue", None)
    two.say(*BLUE)
    yield a, b, one, two
    for docker in made.dockers:
        for name in docker.say("ps", "-aq").split():
            docker.say("rm", "-f", name)
        docker.say("network", "rm", "blue")
    for host in made.hosts:
        harness.wait_for(lambda: not host.get("/cnm/v1/endpoints") and not host.get("/cnm/v1/sandboxes"),
                         lambda: "nothing left: %r" % host.get("/cnm/v1/endpoints"))
    a.remove_network("blue")
    cluster.forgets(b, "blue")


def test_across_hosts(pair):
    """Containers of two dockerds and a sandbox of cnm's reach one another, each way, and the world."""
    with blue(pair) as (a, b, one, two):
        # Whoever comes first: both have a docker_gwbridge.
        a.sandbox("first", "blue")
        one.run("con1", "blue")
        two.run("con2", "blue")
        b.sandbox("box", "blue")
        at = {"con1": one.address("con1", "blue"), "con2": two.address("con2", "blue"), "box": b.address("box", "blue")}
        assert len(set(at.values())) == 3
        assert one.reaches("con1", at["con2"]) and one.reaches("con1", at["box"])
        assert two.reaches("con2", at["con1"]) and two.reaches("con2", at["box"])
        assert b.inside("box").reaches(at["con1"]) and b.inside("box").reaches(at["con2"])
        # Docker has a network of its own for the way out.
        assert one.reaches("con1", harness.LAN4) and two.reaches("con2", harness.LAN4)
        assert a.inside("first").reaches(harness.LAN4) and b.inside("box").reaches(harness.LAN4)
        # A container that goes is forgotten everywhere, and its address is another's later.
        two.say("rm", "-f", "con2")
        harness.wait_for(lambda: at["con2"] not in str(a.get("/cnm/v1/endpoints")), "it is forgotten")
        one.say("restart", "-t", "0", "con1")
        assert b.inside("box").reaches(one.address("con1", "blue"))
        a.remove_sandbox("first")
        b.remove_sandbox("box")


def test_own_ipam_over_hosts(pair):
    """Docker's IPAM knows of no other host: what it gives twice is refused by cnm."""
    a, b = pair.hosts
    for docker in pair.dockers:
        docker.say("network", "create", "-d", "cnm-overlay", "--subnet", "10.81.0.0/24", "-o", "cnm.network=own", "own")
    one, two = pair.dockers
    one.run("con1", "own", "--ip", "10.81.0.11")
    two.run("con2", "own", "--ip", "10.81.0.12")
    assert one.reaches("con1", "10.81.0.12") and two.reaches("con2", "10.81.0.11")
    assert "Address already in use" in two.refuses(
        "run", "--rm", "--network", "own", "--ip", "10.81.0.11", "busybox", "true")
    for docker in pair.dockers:
        for name in docker.say("ps", "-aq").split():
            docker.say("rm", "-f", name)
        docker.say("network", "rm", "own")
    harness.wait_for(lambda: not a.get("/cnm/v1/endpoints"), "nothing is left")
    b.remove_network("own")
    cluster.forgets(a, "own")


def test_the_daemon_is_killed(pair):
    """Traffic goes on without cnmd; what Docker asks meanwhile waits and is done; nothing is lost or left."""
    with blue(pair) as (a, b, one, two):
        one.run("con1", "blue")
        two.run("con2", "blue")
        target = two.address("con2", "blue")
        assert one.reaches("con1", target)
        a.kill9()
        assert one.can_reach("con1", target)
        asked = [("run", "-d", "--name", "con3", "--network", "blue", "busybox", "sleep", "100000"), ("rm", "-f", "con1")]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answers = [pool.submit(one.say, *argv) for argv in asked]
            harness.wait_for(lambda: waiting(a) == 2, "both wait at the socket")
            pair.start(a)
            assert all(answer.result() for answer in answers)
        assert one.reaches("con3", target)
        assert len(a.get("/cnm/v1/sandboxes")) == 1
        assert len([e for e in a.get("/cnm/v1/endpoints") if not e["Host"]]) == 1


def waiting(host):
    """How many connections nobody has taken."""
    return int(host.run("ss", "-xlnH", "src", "/run/docker/plugins/cnm-overlay.sock").words[2])


# ---------------------------------------------------------------------- what breaks


def test_dockerd_is_killed(both):
    """Without live-restore its containers end with it; with it they go on. Either way nothing is left."""
    host, docker = both
    docker.say("network", "create", "-d", "cnm", "--ipam-driver", "cnm", "blue")
    for name in ("con1", "con2"):
        docker.run(name, "blue", "--restart", "always")
    docker.kill9()
    docker.start()
    harness.wait_for(lambda: len(docker.say("ps", "-q").split()) == 2, "both run again")
    assert docker.reaches("con1", docker.address("con2", "blue"))
    assert len(host.get("/cnm/v1/sandboxes")) == len(host.get("/cnm/v1/endpoints")) == 2
    docker.stop()
    docker.start("--live-restore")
    assert docker.reaches("con1", docker.address("con2", "blue"))
    docker.kill9()
    host.kill9()
    host.start()
    docker.start("--live-restore")
    assert docker.reaches("con1", docker.address("con2", "blue"))
    docker.say("network", "disconnect", "blue", "con1")
    docker.say("network", "connect", "blue", "con1")
    assert docker.reaches("con2", docker.address("con1", "blue"))
    assert not host.doctor()


def test_a_container_that_nobody_told_of(both):
    """Its namespace goes while neither daemon looks: cnm withdraws what stood for it."""
    host, docker = both
    docker.say("network", "create", "-d", "cnm", "--ipam-driver", "cnm", "blue")
    docker.run("con1", "blue")
    veth = "veth" + host.get("/cnm/v1/endpoints")[0]["Id"][:7]
    assert host.link(veth)
    host.kill9()
    docker.kill9()
    host.run("ip", "link", "del", veth)
    host.start()
    harness.wait_for(lambda: not host.get("/cnm/v1/sandboxes") and not host.get("/cnm/v1/endpoints"), "it is withdrawn")
    docker.start()
    docker.run("con2", "blue")
    host.run("ip", "link", "del", "veth" + host.get("/cnm/v1/endpoints")[0]["Id"][:7])
    harness.wait_for(lambda: not host.get("/cnm/v1/sandboxes") and not host.get("/cnm/v1/endpoints"), "at once")
    docker.say("restart", "-t", "0", "con2")
    assert docker.reaches("con2", harness.LAN4)


# ---------------------------------------------------------------------- the protocol itself


def test_sockets_without_a_daemon(bare_host):
    """A cnmd that does not serve Docker leaves no socket behind at which dockerd would wait."""
    folder = bare_host.root + "/run/docker/plugins"
    bare_host.start("--docker-plugin")
    assert sorted(os.listdir(folder)) == ["cnm-overlay.sock", "cnm.sock"]
    bare_host.kill9()
    assert len(os.listdir(folder)) == 2
    bare_host.started = None
    bare_host.start()
    assert os.listdir(folder) == []


def test_calls_that_are_repeated(both):
    """Each answers as the first time; back again; and of what never was there is nothing to take away."""
    host, _ = both
    made = {"NetworkID": NETWORK, "Options": {"com.docker.network.generic": {}},
            "IPv4Data": [{"Pool": "10.70.0.0/24", "Gateway": "10.70.0.1/24"}], "IPv6Data": []}
    endpoint = {"NetworkID": NETWORK, "EndpointID": ENDPOINT}
    mac = {"com.docker.network.endpoint.macaddress": "02:42:00:00:00:07"}
    for _ in range(2):
        ok(host, "NetworkDriver.CreateNetwork", made)
    asked = [ok(host, "IpamDriver.RequestAddress", {"PoolID": "10.70.0.0/24", "Address": "", "Options": mac})
             for _ in range(2)]
    assert asked[0] == asked[1]
    interface = {"Address": asked[0]["Address"], "AddressIPv6": "", "MacAddress": "02:42:00:00:00:07"}
    for _ in range(2):
        assert ok(host, "NetworkDriver.CreateEndpoint", dict(endpoint, Interface=interface)) == {"Interface": {}}
    joins = [ok(host, "NetworkDriver.Join", dict(endpoint, SandboxKey="/nowhere")) for _ in range(2)]
    assert joins[0] == joins[1] and joins[0]["Gateway"] == "10.70.0.1"
    assert host.link(joins[0]["InterfaceName"]["SrcName"])["address"] == "02:42:00:00:00:07"
    ports = {"Options": {"com.docker.network.portmap": [{"Proto": 6, "Port": 80, "HostPort": 0, "HostPortEnd": 0}]}}
    shown = []
    for _ in range(2):
        ok(host, "NetworkDriver.ProgramExternalConnectivity", dict(endpoint, **ports))
        shown.append(sandbox(host)["Ports"])
    assert shown[0] == shown[1] and shown[0]
    host.kill9()
    host.start()
    assert sandbox(host)["Ports"] == shown[0]
    for method, body in (("NetworkDriver.RevokeExternalConnectivity", endpoint), ("NetworkDriver.Leave", endpoint),
                         ("NetworkDriver.DeleteEndpoint", endpoint),
                         ("IpamDriver.ReleaseAddress", {"PoolID": "10.70.0.0/24", "Address": asked[0]["Address"][:-3]}),
                         ("IpamDriver.ReleasePool", {"PoolID": "10.70.0.0/24"}),
                         ("NetworkDriver.DeleteNetwork", {"NetworkID": NETWORK})):
        for _ in range(2):
            ok(host, method, body)
    assert not host.get("/cnm/v1/endpoints")


def test_what_dockerd_did_not_come_back_for(both):
    """It is killed between two calls: what was reserved goes with the next start of cnmd."""
    host, _ = both
    ok(host, "NetworkDriver.CreateNetwork", {"NetworkID": NETWORK, "IPv4Data": [{"Pool": "10.70.0.0/24"}]})
    reserve = {"PoolID": "10.70.0.0/24", "Options": {"com.docker.network.endpoint.macaddress": "02:42:00:00:00:07"}}
    at = ok(host, "IpamDriver.RequestAddress", reserve)["Address"]
    assert len(host.get("/cnm/v1/endpoints")) == 1
    host.restart(kill=True)
    harness.wait_for(lambda: not host.get("/cnm/v1/endpoints"), "it is dropped")
    # Docker comes all the same: it gets what it had.
    endpoint = {"NetworkID": NETWORK, "EndpointID": ENDPOINT}
    ok(host, "NetworkDriver.CreateEndpoint", dict(endpoint, Interface={"Address": at, "MacAddress": "02:42:00:00:00:07"}))
    host.restart(kill=True)
    assert ok(host, "NetworkDriver.Join", endpoint)["InterfaceName"]["DstPrefix"] == "eth"
    ok(host, "NetworkDriver.DeleteEndpoint", endpoint)
    ok(host, "NetworkDriver.DeleteNetwork", {"NetworkID": NETWORK})


def test_pools(both):
    """Subnets that are promised are not promised again; each driver has its own."""
    host, _ = both
    request = {"AddressSpace": "cnm-local", "Pool": "", "SubPool": "", "Options": {}, "V6": False}
    mine = [ok(host, "IpamDriver.RequestPool", request, plugin=plugin) for plugin in ("cnm", "cnm", "cnm-overlay")]
    assert len({answer["Pool"] for answer in mine}) == 3
    assert mine[2]["Pool"].startswith("10.")
    # What an overlay network has no need of.
    assert [answer["Data"]["com.docker.network.gateway"].split("/")[0].split(".")[-1] for answer in mine] == ["1", "1", "0"]
    six = ok(host, "IpamDriver.RequestPool", dict(request, V6=True))
    assert six["Pool"].startswith("fd") and six["Pool"].endswith("/64")
    for answer in mine + [six]:
        ok(host, "IpamDriver.ReleasePool", {"PoolID": answer["PoolID"]})
    assert ok(host, "IpamDriver.RequestPool", request)["Pool"] == mine[0]["Pool"]


def test_garbage(both):
    """Every call, with what it does not expect: an error that says so, and nothing changed."""
    host, _ = both
    before = left(host)
    methods = ["NetworkDriver." + m for m in (
        "CreateNetwork", "DeleteNetwork", "CreateEndpoint", "DeleteEndpoint", "Join", "Leave",
        "ProgramExternalConnectivity", "RevokeExternalConnectivity")] + [
        "IpamDriver." + m for m in ("RequestPool", "ReleasePool", "RequestAddress", "ReleaseAddress")]
    wrong = [b"", b"null", b"[]", b"{", b"\xff\xfe", b'"x"', b"[" * 100000,
             b'{"NetworkID": 7, "EndpointID": [], "PoolID": {}, "Pool": 1, "Address": false}',
             b'{"NetworkID": "../../etc", "EndpointID": "x", "PoolID": "10.0.0.0", "Pool": "10.0.0.0"}']
    for method in methods:
        for raw in wrong:
            answer = call(host, method, raw=raw)
            assert answer.get("Err") and answer["Err"] == answer["Error"], (method, raw, answer)
    body = {"NetworkID": NETWORK, "EndpointID": ENDPOINT}
    for method, more in (("CreateNetwork", {"IPv4Data": [{"Pool": "10.70.0.0/99"}]}),
                         ("CreateNetwork", {"IPv4Data": [[]]}),
                         ("CreateNetwork", {"IPv4Data": [{}] * 17}),
                         ("CreateNetwork", {"Options": {"com.docker.network.generic": {"a": 1}}}),
                         ("CreateEndpoint", {"Interface": {"Address": "10.70.0.5/24"}}),
                         ("CreateEndpoint", {"Interface": {"MacAddress": "01:00:00:00:00:00"}}),
                         ("Join", {}),
                         ("ProgramExternalConnectivity", {"Options": {"com.docker.network.portmap": [{"Proto": 99}]}}),
                         ("ProgramExternalConnectivity", {})):
        assert call(host, "NetworkDriver." + method, dict(body, **more)).get("Err"), (method, more)
    assert "no call of Docker's plugins" in call(host, "VolumeDriver.List", status=404)["Err"]
    assert left(host) == before


def test_another_address_than_was_requested(both):
    """What Docker says when it makes the endpoint counts; the address that nobody uses makes way when it is asked for."""
    host, _ = both
    ok(host, "NetworkDriver.CreateNetwork", {"NetworkID": NETWORK, "IPv4Data": [{"Pool": "10.70.0.0/24"}]})
    mac = {"com.docker.network.endpoint.macaddress": "02:42:00:00:00:07"}
    at = ok(host, "IpamDriver.RequestAddress", {"PoolID": "10.70.0.0/24", "Options": mac})["Address"]
    first, second = ({"NetworkID": NETWORK, "EndpointID": letter * 64} for letter in "ef")
    ok(host, "NetworkDriver.CreateEndpoint", dict(first, Interface={"Address": "10.70.0.77/24", "MacAddress": "02:42:00:00:00:07"}))
    assert ok(host, "NetworkDriver.CreateEndpoint", dict(second, Interface={"Address": at})) == {
        "Interface": {"MacAddress": "02:42:0a:46:00:" + "%02x" % int(at.split("/")[0].split(".")[-1])}}
    assert sorted(e["IPv4Address"] for e in host.get("/cnm/v1/endpoints")) == sorted([at, "10.70.0.77/24"])
    ok(host, "NetworkDriver.CreateEndpoint", dict(first, EndpointID="b" * 64, Interface={"Address": "10.70.0.77/24"}))
    assert len(host.get("/cnm/v1/sandboxes")) == 2
    # One that is joined makes no way.
    ok(host, "NetworkDriver.Join", second)
    third = {"NetworkID": NETWORK, "EndpointID": "a" * 64}
    assert call(host, "NetworkDriver.CreateEndpoint", dict(third, Interface={"Address": at}))["Err"] == "Address already in use"
    for endpoint in (first, second, dict(first, EndpointID="b" * 64)):
        ok(host, "NetworkDriver.DeleteEndpoint", endpoint)
    ok(host, "NetworkDriver.DeleteNetwork", {"NetworkID": NETWORK})
