# SPDX-License-Identifier: LGPL-2.1-or-later
"""Links: another name for a container, and a way to its exposed ports where the network keeps its
containers apart."""
import pytest

import containers
import harness
import traffic

pytest_plugins = ["container_fixtures"]
client = containers.fixture_of("docker", "cnm")
NO_ICC = ("-o", traffic.BRIDGE + "enable_icc=false")


@pytest.fixture
def services():
    made = traffic.Services()
    yield made
    made.close()


def address(engine, name, network="bridge", key="IPAddress"):
    return engine.container(name)["NetworkSettings"]["Networks"][network][key]


def hosts(client, name):
    return client.say("exec", name, "cat", "/etc/hosts")


def test_legacy(engine, client):
    """On the default bridge: an entry in /etc/hosts, shown in HostConfig.Links."""
    made = client.run("--name", "target", "-p", "8001:80", "busybox", *containers.HOLD)
    client.run("--name", "con", "--link", "target:db", "--link", "target", "busybox", *containers.HOLD)
    at = address(engine, "target")
    assert "%s\tdb %s target" % (at, made[:12]) in hosts(client, "con")
    assert engine.container("con")["HostConfig"]["Links"] == ["/target:/con/db", "/target:/con/target"]
    assert "1 packets received" in client.say("exec", "con", "ping", "-c1", "-W5", "db")


def test_legacy_follows_the_target(engine, client):
    """Started again, perhaps elsewhere: the names lead to where it is."""
    client.run("--name", "target", "busybox", *containers.HOLD)
    client.run("--name", "con", "--link", "target:db", "busybox", *containers.HOLD)
    client("restart", "-t", "0", "target", check=True)
    harness.wait_for(lambda: address(engine, "target") + "\tdb" in hosts(client, "con"), "the new address in hosts")
    client("restart", "-t", "0", "con", check=True)
    assert address(engine, "target") + "\tdb" in hosts(client, "con")


def test_legacy_refused(engine, client):
    client("network", "create", "net1", check=True)
    client.run("--name", "elsewhere", "--net", "net1", "busybox", *containers.HOLD)
    client("create", "--name", "off", "busybox", "true", check=True)
    for flags, said in (
            (("--link", "nobody:xx"), "could not get container for nobody"),
            (("--link", "elsewhere:xx"), "Cannot link to /elsewhere, as it does not belong to the default network"),
            (("--net", "host", "--link", "off:xx"), "conflicting options: host type networking can't be used with links. "
             "This would result in undefined behavior"),
            (("--net", "container:elsewhere", "--link", "off:xx"),
             "conflicting options: container type network can't be used with links. This would result in undefined behavior")):
        refused = client("run", "--rm", *flags, "busybox", "true")
        assert refused.rc == 125 and said in refused.err, repr(refused)
    refused = client("run", "--rm", "--name", "con", "--link", "off:xx", "busybox", "true")
    assert refused.rc == 125 and "Cannot link to a non running container: /off AS /con/xx" in refused.err, repr(refused)
    malformed = client("run", "--link", "a:b:c", "busybox", "true")
    assert malformed.rc == 125 and "bad format for links: a:b:c" in malformed.err, repr(malformed)


def test_user_defined(engine, client):
    """A name of its own in DNS, and only there; the target may be missing, or come later."""
    client("network", "create", "net1", check=True)
    client.run("--name", "con", "--net", "net1", "--link", "target:nick", "busybox", *containers.HOLD)
    assert client("exec", "con", "ping", "-c1", "-W1", "nick").rc == 1
    client.run("--name", "target", "--net", "net1", "busybox", *containers.HOLD)
    client.run("--name", "other", "--net", "net1", "busybox", *containers.HOLD)
    assert "(%s)" % address(engine, "target", "net1") in client.say("exec", "con", "ping", "-c1", "-W5", "nick")
    assert client("exec", "other", "ping", "-c1", "-W1", "nick").rc == 1
    assert engine.container("con")["NetworkSettings"]["Networks"]["net1"]["Links"] == ["target:nick"]
    assert engine.container("con")["HostConfig"]["Links"] is None


def test_connect_with_a_link(engine, client):
    client("network", "create", "net1", check=True)
    client.run("--name", "target", "--net", "net1", "busybox", *containers.HOLD)
    client.run("--name", "con", "busybox", *containers.HOLD)
    client("network", "connect", "--link", "target:nick", "net1", "con", check=True)
    assert "(%s)" % address(engine, "target", "net1") in client.say("exec", "con", "ping", "-c1", "-W5", "nick")


@containers.cnm_only
def test_without_icc(engine, client, services):
    """At exposed and published ports, in one direction, in both families; after restarts of everything."""
    client("network", "create", "--ipv6", *NO_ICC, "net1", check=True)
    client.run("--name", "target", "--net", "net1", "--expose", "80", "-p", "8001:82/udp", "busybox", *containers.HOLD)
    client.run("--name", "con", "--net", "net1", "--link", "target:nick", "busybox", *containers.HOLD)
    client.run("--name", "other", "--net", "net1", "busybox", *containers.HOLD)

    places = {}

    def check(*begun):
        for name in begun:
            places[name] = traffic.of_container(engine, name)
            services.add(places[name], name, 80, 81, 82)
        at = {name: [address(engine, name, "net1", key) for key in ("IPAddress", "GlobalIPv6Address")] for name in places}
        wanted, answering = {}, set()
        for source, target in (("con", "target"), ("other", "target"), ("target", "con")):
            for protocol in ("tcp", "udp"):
                for port in (80, 81, 82):
                    for family in (0, 1):
                        key = source, target, protocol, port, family
                        wanted[key] = places[source], protocol, at[target][family], port
                        if (source, protocol, port) in (("con", "tcp", 80), ("con", "udp", 82)):
                            answering.add(key)
        got = traffic.probe_all(wanted, answering)
        for key, outcome in got.items():
            if key in answering:
                assert outcome == "%s %s" % (key[1], at[key[0]][key[4]]), key
            else:
                assert outcome in ("silent", "refused", "unreachable"), (key, outcome)
    check("target", "con", "other")
    engine.restart(kill=True)
    client("restart", "-t", "0", "con", check=True)
    check("con")
    client("restart", "-t", "0", "target", check=True)
    check("target")


@containers.cnm_only
@pytest.mark.parametrize("netfilter", [0, 1], ids=["bridge-nf-0", "bridge-nf-1"])
def test_sandboxes_without_icc(engine, services, netfilter):
    """The same by the API of sandboxes, where a link may also be to one that does not exist yet, and
    goes with either end."""
    if not traffic.bridge_netfilter(engine, netfilter) and netfilter:
        pytest.skip("this kernel has no br_netfilter loaded")
    traffic.both_families(engine, "net1", 141, Options={traffic.BRIDGE + "enable_icc": "false"})
    engine.sandbox("target", "net1", Exposed=traffic.exposed("80", "90-99/udp"))
    engine.sandbox("con", "net1")
    views = {name: engine.inside(name) for name in ("target", "con")}
    services.add(views["target"], "target", 80, 90, 99)
    question = views["con"], "tcp", "10.141.0.2", 80
    assert traffic.silent(*question)
    engine.disconnect("net1", "con")
    engine.connect("net1", "con", Links=["target:nick"])
    said = traffic.probe_all({
        (protocol, port, at): (views["con"], protocol, at, port) for at in ("10.141.0.2", "fd00:141::2")
        for protocol, port in (("tcp", 80), ("udp", 90), ("udp", 99))})
    assert {outcome.split()[0] for outcome in said.values()} == {"target"}, said
    engine.disconnect("net1", "con")
    assert traffic.elements(engine, "pinholes4") == [] == traffic.elements(engine, "links4", "bridge")
    engine.connect("net1", "con")
    assert traffic.silent(*question)


@containers.cnm_only
@pytest.mark.parametrize("links", [["a:b:c"], [":x"], [4], "x", ["target:" + "x" * 300]], ids=repr)
def test_bad_links(engine, links):
    engine.network("net1")
    engine.sandbox("target", "net1")
    with traffic.unchanged(engine):
        engine.refused("POST", "/cnm/v1/sandboxes", {"Name": "con", "Networks": [
            {"Network": "net1", "EndpointConfig": {"Links": links}}]}, 400)
