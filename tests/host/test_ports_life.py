# SPDX-License-Identifier: LGPL-2.1-or-later
"""Published ports over time: restarts of the daemon keep them, stopping frees them at once, and no flow
of the old owner's sticks."""
import contextlib
import socket
import struct

import pytest

import containers
import harness
import machine
import traffic
import wire
from traffic_fixtures import host, services, shared_host  # noqa: F401

UP4, UP6, LAN4, LAN6 = harness.UP4, harness.UP6, harness.LAN4, harness.LAN6


def serve(host, services, name, *ports):
    view = host.inside(name)
    services.add(view, name, *ports)
    return view


def publish(host, services, name, *specs, network="net", **more):
    host.sandbox(name, network, Publish=traffic.published(*specs), **more)
    return serve(host, services, name, 80, 81)


@pytest.fixture
def net(host):
    traffic.both_families(host, "net", 66)
    host.lan_place, host.place = traffic.lan(host), traffic.outside(host)
    return host


def test_shown(net, services):
    """What was asked for, and what it became."""
    publish(net, services, "con", "8001:80", "127.0.0.1:8002:80/udp", "[::1]:8003:81", "9000-9009:9000-9009", "82")
    shown = net.get("/cnm/v1/sandboxes/con")
    assert sorted(map(repr, shown["Publish"])) == sorted(map(repr, traffic.published(
        "8001:80", "127.0.0.1:8002:80/udp", "[::1]:8003:81", "9000-9009:9000-9009", "82")))
    ports = traffic.ports_of(net, "con")
    chosen = [port for port in ports if port[4] == 82]
    assert sorted(set(ports) - set(chosen)) == [
        ("tcp", "0.0.0.0", 8001, 8001, 80, 80), ("tcp", "0.0.0.0", 9000, 9009, 9000, 9009),
        ("tcp", "::", 8001, 8001, 80, 80), ("tcp", "::", 9000, 9009, 9000, 9009),
        ("tcp", "::1", 8003, 8003, 81, 81), ("udp", "127.0.0.1", 8002, 8002, 80, 80)]
    assert [port[1] for port in chosen] == ["0.0.0.0", "::"] and chosen[0][2] == chosen[1][2] >= 32768


def test_by_command(net, services):
    """cnm sandbox create -p and --expose."""
    net.cnm("sandbox", "create", "con", "--net", "net", "-p", "8001:80", "-p", "127.0.0.1:9000-9009:9000-9009/udp",
            "--expose", "90-99", check=True)
    serve(net, services, "con", 80)
    assert traffic.ports_of(net, "con") == [
        ("tcp", "0.0.0.0", 8001, 8001, 80, 80), ("tcp", "::", 8001, 8001, 80, 80),
        ("udp", "127.0.0.1", 9000, 9009, 9000, 9009)]
    assert net.get("/cnm/v1/sandboxes/con")["Exposed"] == traffic.exposed("90-99")
    assert traffic.ask(net.lan_place, "tcp", UP4, 8001) == "con " + LAN4


@pytest.mark.parametrize("kill", [False, True], ids=["clean", "kill"])
def test_restarts_keep_ports(net, services, kill):
    """Also those that were chosen, and connections through them."""
    publish(net, services, "con", "8001:80", "8002:80/udp", "81", "9000:9000")
    before = traffic.ports_of(net, "con")
    chosen = next(port[2] for port in before if port[4] == 81)
    stream = traffic.Stream(net.lan_place, UP4, 9000, net.inside("con"), 9000)
    for _ in range(2):
        net.restart(kill=kill)
        assert traffic.ports_of(net, "con") == before
        assert stream.lives()
        said = traffic.probe_all({(protocol, address, port): (net.lan_place, protocol, address, port)
                                  for protocol, port in (("tcp", 8001), ("udp", 8002), ("tcp", chosen))
                                  for address in (UP4, UP6)})
        assert {outcome.split()[0] for outcome in said.values()} == {"con"}, said
    stream.close()
    net.wait_healed()


def listening(host):
    """{(protocol, port)} that somebody on the host holds, as ss shows it."""
    out = set()
    for line in host.run("ss", "-Hlntu").out.splitlines():
        fields = line.split()
        out.add((fields[0], int(fields[4].rsplit(":", 1)[1])))
    return out


def test_ports_are_held(net, services):
    """So that no unaware process takes them, also while the daemon is away. They are free at once
    after the sandbox has gone."""
    publish(net, services, "con", "8001:80", "8001:80/udp", "127.0.0.1:8002:80", "[::1]:8003:80")

    def takes(family, kind, address, port):
        with contextlib.closing(traffic.open_socket(net, family, kind)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((address, port))
                if kind == socket.SOCK_STREAM:
                    sock.listen(1)
                return True
            except OSError as error:
                assert error.errno == 98, error
                return False
    wanted = [(socket.AF_INET, socket.SOCK_STREAM, "0.0.0.0", 8001), (socket.AF_INET, socket.SOCK_STREAM, UP4, 8001),
              (socket.AF_INET, socket.SOCK_DGRAM, "0.0.0.0", 8001), (socket.AF_INET6, socket.SOCK_STREAM, "::", 8001),
              (socket.AF_INET6, socket.SOCK_DGRAM, "::", 8001), (socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1", 8002),
              (socket.AF_INET6, socket.SOCK_STREAM, "::1", 8003)]
    assert {("tcp", 8001), ("udp", 8001), ("tcp", 8002), ("tcp", 8003)} <= listening(net)
    for how in (lambda: None, net.stop, net.start, net.kill9, net.start):
        how()
        assert [takes(*what) for what in wanted] == [False] * len(wanted)
    assert takes(socket.AF_INET, socket.SOCK_STREAM, UP4, 8002)
    net.remove_sandbox("con")
    assert [takes(*what) for what in wanted] == [True] * len(wanted)
    assert not {8001, 8002, 8003} & {port for _, port in listening(net)}


def test_the_next_one_takes_the_port_at_once(net, services):
    for number in range(5):
        name = "con%d" % number
        publish(net, services, name, "8001:80", "8001:80/udp")
        said = traffic.probe_all({(p, a): (net.lan_place, p, a, 8001) for p in ("tcp", "udp") for a in (UP4, UP6)})
        assert {outcome.split()[0] for outcome in said.values()} == {name}, said
        net.remove_sandbox(name)


@pytest.mark.parametrize("address,source", [(UP4, LAN4), (UP6, LAN6)], ids=["ipv4", "ipv6"])
def test_udp_flows_do_not_stick(net, services, address, source):
    """One client, one socket: its datagrams go to the host while nobody is there, to the first owner,
    to nobody, to the second."""
    client = traffic.open_socket(net.lan_place, traffic.family_of(address), socket.SOCK_DGRAM)
    client.bind((source, 7777))
    client.connect((address, 8001))
    client.settimeout(0.2)

    def said():
        with contextlib.suppress(OSError):
            client.send(b"?")
            return client.recv(100).decode()

    def comes_to(name):
        harness.wait_for(lambda: (said() or "").split()[:1] == [name], "%s answers" % name)
    with client:
        said()
        publish(net, services, "one", "8001:80/udp")
        comes_to("one")
        net.remove_sandbox("one")
        assert said() is None
        publish(net, services, "two", "8001:80/udp")
        comes_to("two")
        net.restart(kill=True)
        comes_to("two")


def test_udp_flows_of_the_host_itself_do_not_stick(net, services):
    """By 127.0.0.1 and by ::1, which goes through the proxy."""
    for address in ("127.0.0.1", "::1", UP4, UP6):
        client = traffic.open_socket(net, traffic.family_of(address), socket.SOCK_DGRAM)
        client.connect((address, 8001))
        client.settimeout(0.2)
        with client:
            for name in ("one", "two"):
                publish(net, services, name, "8001:80/udp")

                def said():
                    with contextlib.suppress(OSError):
                        client.send(b"?")
                        return client.recv(100).decode().split()[0]
                harness.wait_for(lambda: said() == name, "%s answers at %s" % (name, address))
                net.remove_sandbox(name)


def test_tcp_flows_do_not_stick(net, services):
    """A connection to the first owner does not become one to the second, which has the same address."""
    net.sandbox("one", ("net", {"IPAMConfig": {"IPv4Address": "10.66.0.50"}}), Publish=traffic.published("8001:80"))
    stream = traffic.Stream(net.lan_place, UP4, 8001, net.inside("one"), 80)
    assert stream.lives() and stream.peer[0] == LAN4
    source = stream.sock.getsockname()
    net.remove_sandbox("one")
    harness.wait_for(lambda: "dport=8001 " not in net.run("conntrack", "-L").out, "its flow is gone")
    net.sandbox("two", ("net", {"IPAMConfig": {"IPv4Address": "10.66.0.51"}}), Publish=traffic.published("8001:80"))
    serve(net, services, "two", 80)
    assert traffic.ask(net.lan_place, "tcp", UP4, 8001) == "two " + LAN4
    stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()
    again = traffic.open_socket(net.lan_place, socket.AF_INET, socket.SOCK_STREAM)
    with again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(source)
        again.settimeout(harness.PATIENCE)
        again.connect((UP4, 8001))
        assert again.recv(100) == b"two " + LAN4.encode()


def test_other_flows_are_left_alone(net, services):
    """Stopping one does not touch the flows of another, nor those it opened itself elsewhere."""
    publish(net, services, "con", "8001:9001", "8002:9002/udp")
    publish(net, services, "other", "8003:80")
    stream = traffic.Stream(net.lan_place, UP4, 8001, net.inside("con"), 9001)
    flow = wire.UdpFlow(net.inside("con"), net.lan_place, LAN4, 9005)
    for _ in range(5):
        net.remove_sandbox("other")
        publish(net, services, "other", "8003:80", "8003:80/udp")
        assert traffic.ask(net.lan_place, "udp", UP4, 8003) == "other " + LAN4
    assert stream.lives()
    stream.close()
    sent, lost = flow.stop()
    assert sent > 0 and lost == 0


def test_way_out_changes(net, services):
    """Ports are published on the network that is the way out; when that one is left, on the next; without
    any, nowhere, after a restart neither."""
    traffic.both_families(net, "next", 67)
    net.sandbox("con", ("net", {"GwPriority": 10}), "next", Publish=traffic.published("8001:80"))
    services.add(net.inside("con"), "con", 80)
    questions = {a: (net.lan_place, "tcp", a, 8001) for a in (UP4, UP6)}
    before = traffic.ports_of(net, "con")
    assert {said.split()[0] for said in traffic.probe_all(questions).values()} == {"con"}
    net.disconnect("net", "con")
    assert traffic.ports_of(net, "con") == before
    assert {said.split()[0] for said in traffic.probe_all(questions).values()} == {"con"}
    net.disconnect("next", "con")
    assert traffic.ports_of(net, "con") == []
    assert set(traffic.probe_all(questions, ()).values()) <= {"silent", "refused"}
    net.restart()
    assert traffic.ports_of(net, "con") == [] and net.doctor() == []
    net.connect("net", "con")
    assert traffic.ports_of(net, "con") == before
    assert {said.split()[0] for said in traffic.probe_all(questions).values()} == {"con"}


def test_a_range_is_one_element(net, services):
    publish(net, services, "con", "10000-59999:10000-59999/udp", "10000-59999:10000-59999")
    services.add(net.inside("con"), "con", 10000, 33333, 59999)
    assert len(traffic.elements(net, "range4any")) == 2 and len(traffic.elements(net, "range6any")) == 2
    said = traffic.probe_all({(p, a, n): (net.lan_place, p, a, n) for p in ("tcp", "udp") for a in (UP4, UP6)
                              for n in (10000, 33333, 59999)})
    assert {outcome.split()[0] for outcome in said.values()} == {"con"}, said
    assert traffic.silent(net.lan_place, "udp", UP4, 9999) and traffic.silent(net.lan_place, "udp", UP4, 60000)
    # The host's own sockets with ports in the range are its own still.
    assert net.place.run("ping", "-c1", "-W5", LAN4).rc == 0
    echo = wire.UdpFlow(net.place, net.lan_place, LAN4, 9005)
    net.remove_sandbox("con")
    _, lost = echo.stop()
    assert lost == 0
    assert not traffic.elements(net, "range4any")


def test_a_range_onto_other_ports(net, services):
    publish(net, services, "con", "8100-8109:9100-9109")
    services.add(net.inside("con"), "con", 9100, 9109)
    for port in (8100, 8109):
        assert traffic.ask(net.lan_place, "tcp", UP4, port) == "con " + LAN4
        assert traffic.ask(net.lan_place, "tcp", UP6, port) == "con " + LAN6


def test_reboot(net, services):
    """Nothing of a bare sandbox is left; its ports are free."""
    publish(net, services, "con", "8001:80", "82")
    machine.reboot(net)
    net.start()
    net.wait_healed()
    assert all(sandbox["Ports"] == [] for sandbox in net.get("/cnm/v1/sandboxes"))
    for sandbox in net.get("/cnm/v1/sandboxes"):
        net.remove_sandbox(sandbox["Id"])
    publish(net, services, "con", "8001:80")
    assert traffic.answers("con", net.lan_place, "tcp", UP4, 8001) == LAN4


def test_dry_run(net, services):
    """The plan names the ports, and nothing is taken."""
    net.compare = True
    plan = net.ok("POST", "/cnm/v1/sandboxes?dry-run=1", {
        "Name": "con", "Networks": [{"Network": "net"}], "Publish": traffic.published("8001:80")})["Plan"]
    net.compare = False
    assert any("8001" in line for line in plan), plan
    assert ("tcp", 8001) not in listening(net)


def of_containers(engine, services):
    """The same container, seen at its ports."""
    services.add(traffic.of_container(engine, "con"), "con", 80, 81)
    return traffic.probe_all({(p, a): (traffic.lan(engine), p, a, 8001) for p in ("tcp", "udp") for a in (UP4, UP6)})


@pytest.fixture(scope="module")
def shared_engine(request, tmp_path_factory):
    with containers.host_with_containers(request, tmp_path_factory.mktemp("engine")) as engine:
        yield engine


def test_containers_keep_theirs(shared_engine, services):
    """Chosen ports over kill -9 of the daemon; all of them over a restart of the container."""
    engine = shared_engine
    ports = traffic.bindings("8001:80", "8001:80/udp", "81")
    engine.running("con", ExposedPorts=dict.fromkeys(ports, {}), host={"PortBindings": ports})
    before = engine.container("con")["NetworkSettings"]["Ports"]
    assert {said.split()[0] for said in of_containers(engine, services).values()} == {"con"}
    engine.restart(kill=True)
    assert engine.container("con")["NetworkSettings"]["Ports"] == before
    engine.request_ok("POST", "/containers/con/restart?t=0")
    assert engine.container("con")["NetworkSettings"]["Ports"]["80/tcp"] == before["80/tcp"]
    assert {said.split()[0] for said in of_containers(engine, services).values()} == {"con"}
    engine.tidy()
