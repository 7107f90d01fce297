# SPDX-License-Identifier: LGPL-2.1-or-later
"""The options of an overlay network as its sandboxes feel them: MTU, several subnets, ICC, anti-spoofing."""
import contextlib
import json
import re
import socket

import pytest

import cluster
import frames
import harness
import segment
import traffic
from cluster import knows, overlay
from wire import TcpStream

pytestmark = pytest.mark.xdist_group("overlay-segment")
MTU = "com.docker.network.driver.mtu"
ICC = "com.docker.network.bridge.enable_icc"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    with cluster.started(tmp_path_factory.mktemp("segment"), "etcd", hosts=2) as made:
        yield made


@pytest.fixture
def pair(hosts):
    yield hosts
    for host in hosts.hosts:
        for sandbox in host.get("/cnm/v1/sandboxes"):
            host.remove_sandbox(sandbox["Id"])
    for host in hosts.hosts:
        for network in host.get("/networks"):
            if network["Name"] not in harness.PREDEFINED:
                host.request("DELETE", "/networks/" + network["Id"])


@pytest.fixture
def ends(pair):
    """s1 and s2 on a network of both families, and what goes on the wire."""
    overlay(pair.hosts, "blue", "10.54.0.0/24", "fd54::/64")
    yield from both_ends(pair)


def both_ends(pair, network="blue", **more):
    for host in pair.hosts:
        host.sandbox("s%d" % host.number, network, **more)
    knows(pair.hosts[0], network, "s2")
    knows(pair.hosts[1], network, "s1")
    with segment.Tap(pair) as tap:
        yield pair, tap


def mtu_of(view, link="eth0"):
    return json.loads(view.run("ip", "-j", "link", "show", "dev", link).out)[0]["mtu"]


def ping(view, to, size):
    return view.run("ping", "-n", "-c1", "-W2", "-M", "do", "-s", str(size), to, check=False)


def came_to(witness):
    """By now; the pings that got no answer were sent after what is looked for."""
    found = []
    witness.sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(witness.sock.recv(65535))
    return found


def transfer(source, target, address, size=1 << 20, port=9001):
    """By TCP, byte by byte."""
    stream = TcpStream(source, target, address, port)
    harness.wait_for(lambda: stream.bytes > size, lambda: "%d bytes came" % stream.bytes)
    came, same = stream.stop()
    assert came >= size and same


@pytest.mark.parametrize("family, header", [(4, 28), (6, 48)])
def test_what_fits(ends, family, header):
    """The largest packet within is one outside; a larger one is told so where it comes from."""
    pair, tap = ends
    a, b = pair.hosts
    one, two, to = a.inside("s1"), b.inside("s2"), b.address("s2", "blue", family)
    assert mtu_of(one) == mtu_of(two) == 1450
    assert one.reaches(to)
    tap.packets()
    assert ping(one, to, 1450 - header).rc == 0
    assert ping(one, to, 1450 - header + 1).rc != 0
    transfer(one, two, to)
    one.run("ping", "-n", "-c1", "-W5", "-M", "dont", "-s", "8000", to)
    seen = tap.packets()
    assert not [p for p in seen if p.fragment]
    assert max(p.length for p in seen if p.inner) == 1500


@pytest.mark.parametrize("given, within", [("1300", 1300), ("9000", 9000)])
def test_given(pair, given, within):
    overlay(pair.hosts, "blue", "10.54.0.0/24", Options={MTU: given})
    for pair, tap in both_ends(pair):
        one, two = pair.hosts[0].inside("s1"), pair.hosts[1].inside("s2")
        assert mtu_of(one) == mtu_of(two) == within
        transfer(one, two, pair.hosts[1].address("s2", "blue"))


def test_a_smaller_path(ends):
    """A hop between the hosts takes less: the sandbox learns of it, and its streams go on unbroken."""
    pair, tap = ends
    a, b = pair.hosts
    one, two, to = a.inside("s1"), b.inside("s2"), b.address("s2", "blue")
    assert one.reaches(to)
    stream = TcpStream(one, two, to)
    a.run("ip", "route", "add", b.underlay + "/32", "dev", "und0", "mtu", "1400")
    try:
        harness.wait_for(lambda: re.search(r"mtu\W+1350", repr(ping(one, to, 1400))), lambda: repr(ping(one, to, 1400)))
        before = stream.bytes
        harness.wait_for(lambda: stream.bytes > before + 200000, "the stream goes on")
        tap.packets()
        transfer(one, two, to, port=9002)
        assert not [p for p in tap.packets() if p.fragment]
        assert stream.stop()[1]
    finally:
        a.run("ip", "route", "del", b.underlay + "/32", "dev", "und0", "mtu", "1400")


def test_it_follows_the_uplink(ends):
    pair, _ = ends
    a = pair.hosts[0]
    one = a.inside("s1")
    a.run("ip", "link", "set", "up0", "mtu", "1400")
    try:
        harness.wait_for(lambda: mtu_of(one) == 1350, lambda: "MTU %d" % mtu_of(one))
        transfer(one, pair.hosts[1].inside("s2"), pair.hosts[1].address("s2", "blue"))
    finally:
        a.run("ip", "link", "set", "up0", "mtu", "1500")
    harness.wait_for(lambda: mtu_of(one) == 1450, lambda: "MTU %d" % mtu_of(one))


def test_several_subnets(pair):
    """Who is in another subnet of the network is a neighbour all the same, under its own address."""
    a, b = pair.hosts
    overlay(pair.hosts, "blue", "10.54.0.0/24", "10.55.0.0/24", "fd54::/64", "fd55::/64")
    places = {"s1": (a, 54), "s2": (b, 54), "s3": (b, 55), "s4": (a, 55)}
    for name, (host, number) in places.items():
        host.sandbox(name, ("blue", {"IPAMConfig": {
            "IPv4Address": "10.%d.0.1%d" % (number, int(name[1])), "IPv6Address": "fd%d::1%d" % (number, int(name[1]))}}))
    for host in pair.hosts:
        for name in places:
            knows(host, "blue", name)
    services = traffic.Services()
    views = {name: host.inside(name) for name, (host, _) in places.items()}
    for name, view in views.items():
        services.add(view, name, 7000)
    for name, view in views.items():
        for other, (host, _) in places.items():
            for family in 4, 6:
                to = host.address(other, "blue", family)
                assert view.reaches(to)
                source = traffic.answers(other, view, "tcp", to, 7000)
                assert name == other or source == places[name][0].address(name, "blue", family)
    services.close()


def test_no_icc(pair):
    """On one host or on two, they exchange nothing; the way out and published ports are there."""
    a, b = pair.hosts
    overlay(pair.hosts, "blue", "10.54.0.0/24", "fd54::/64", Options={ICC: "false"})
    a.sandbox("s1", "blue", Publish=traffic.published("8080:80"))
    a.sandbox("near", "blue")
    b.sandbox("far", "blue")
    knows(a, "blue", "far")
    knows(b, "blue", "near")
    view, witnesses = a.inside("s1"), [frames.Witness(host.inside(name)) for host, name in ((a, "near"), (b, "far"))]
    sender, mac = frames.Sender(view), frames.mac_of(view)
    for host, name in (a, "near"), (b, "far"):
        for to in frames.mac_of(host.inside(name)), frames.BROADCAST:
            sender.send(frames.ethernet(to, mac, 0x88B5, b"not for you"))
        for family in 4, 6:
            assert not view.can_ping(host.address(name, "blue", family))
    sender.close()
    with segment.Tap(pair) as tap:
        assert not [p for p in tap.carried() if b"not for you" in p.inner]
    for witness in witnesses:
        assert not [frame for frame in came_to(witness) if b"not for you" in frame]
        witness.close()
    assert view.reaches(harness.LAN4)
    with traffic.open_socket(view, socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("0.0.0.0", 80))
        listener.listen()
        with traffic.open_socket(traffic.lan(a), socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(harness.PATIENCE)
            client.connect((harness.UP4, 8080))


def test_spoofing(pair):
    """A confined sandbox sends under its own MAC and address alone: nothing else comes to its neighbours or onto the
    wire."""
    overlay(pair.hosts, "blue", "10.54.0.0/24")
    a, b = pair.hosts
    a.sandbox("s1", "blue", Confined=True)
    a.sandbox("near", "blue")
    b.sandbox("far", "blue")
    knows(a, "blue", "far")
    knows(b, "blue", "s1")
    one, own = a.inside("s1"), frames.mac_of(a.inside("s1"))
    places = {"near": a.inside("near"), "far": b.inside("far")}
    at = {"near": a.address("near", "blue"), "far": b.address("far", "blue"), "s1": a.address("s1", "blue")}
    sender = frames.Sender(one)
    with segment.Tap(pair) as tap:
        for name, view in places.items():
            witness, other = frames.Witness(view), next(v for v in places.values() if v is not view)
            to = frames.mac_of(view)
            for source in "02:aa:bb:cc:dd:ee", frames.mac_of(other):
                sender.send(frames.ethernet(to, source, 0x88B5, b"forged"))
                sender.send(frames.ethernet(frames.BROADCAST, source, 0x88B5, b"forged"))
                sender.send(frames.ethernet(to, source, 0x800, frames.ipv4(
                    at["s1"], at[name], 17, frames.udp(b"forged"))))
            for source in "10.54.0.77", next(at[n] for n in places if n != name):
                sender.send(frames.ethernet(to, own, 0x800, frames.ipv4(source, at[name], 17, frames.udp(b"forged"))))
                sender.send(frames.ethernet(frames.BROADCAST, own, 0x806, frames.arp(
                    1, own, source, "00:00:00:00:00:00", source) + b"forged"))
            sender.send(frames.ethernet(to, own, 0x800, frames.ipv4(at["s1"], at[name], 17, frames.udp(b"honest"))))
            assert not [f for f in witness.until(b"honest") if b"forged" in f], name
            witness.close()
        assert not [p for p in tap.carried() if b"forged" in p.inner]
    sender.close()
    assert one.reaches(b.address("far", "blue")), "no MAC has moved"
