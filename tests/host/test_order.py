# SPDX-License-Identifier: LGPL-2.1-or-later
"""No window: rules are in place before a packet can flow. Senders without pause try what must never
arrive, through starts, restarts, kills, connects and publishing; how many packets arrived is counted,
and of flows that must go on, how many were lost."""
import contextlib
import select
import socket
import threading
import time

import pytest

import harness
import traffic
import wire
from traffic_fixtures import host, services, shared_host  # noqa: F401

UP4, UP6, LAN4, LAN6 = harness.UP4, harness.UP6, harness.LAN4, harness.LAN6


FAMILIES = (socket.AF_INET, socket.AF_INET6)


def bound(view, family, port):
    """A socket for datagrams at every address of one family."""
    sock = view.socket(family)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(("0.0.0.0" if family == socket.AF_INET else "::", port))
    sock.settimeout(harness.PATIENCE)
    return sock


class Sender:
    """Datagrams to places, one after the other, without pause."""

    def __init__(self, place, *targets, source_port=0):
        self.targets, self.stopping, self.sent = targets, False, 0
        self.socks = {family: bound(place, family, source_port)
                      for family in {traffic.family_of(address) for address, _ in targets}}
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def _send(self):
        while not self.stopping:
            for address, port in self.targets:
                with contextlib.suppress(OSError):
                    self.socks[traffic.family_of(address)].sendto(b"forbidden", socket.MSG_DONTWAIT,
                                                                  (address, port))
                self.sent += 1
            time.sleep(0)  # others of this process, too

    def stop(self):
        self.stopping = True
        self.thread.join()
        for sock in self.socks.values():
            sock.close()
        return self.sent


class Trap:
    """Counts what comes to a port of a namespace: {sender's address: packets}."""

    def __init__(self):
        self.socks, self.seen = [], {}

    def add(self, view, port):
        self.socks += [wire.patient(bound(view, family, port)) for family in FAMILIES]

    def count(self):
        while ready := select.select(self.socks, [], [], 0)[0]:
            for sock in ready:
                peer = sock.recvfrom(100)[1][0]
                self.seen[peer] = self.seen.get(peer, 0) + 1
        return self.seen

    def close(self):
        for sock in self.socks:
            sock.close()


@pytest.fixture
def trap():
    made = Trap()
    yield made
    made.close()


@pytest.fixture
def senders():
    made = []
    yield made
    for sender in made:
        sender.stop()


def enemies(host, senders):
    """From the LAN by its routes, from another network: to the addresses sandboxes will get."""
    numbers = range(2, 6)
    traffic.routes_from_lan(host, 200)
    traffic.both_families(host, "other", 201)
    host.sandbox("enemy", "other")
    targets = [(at % n, 7000) for n in numbers for at in ("10.200.0.%d", "fd00:200::%d")]
    senders += [Sender(traffic.lan(host), *targets), Sender(host.inside("enemy"), *targets)]


def test_creation(host, senders, trap):
    """Networks and sandboxes come and go while somebody tries to reach them from their first instant."""
    enemies(host, senders)
    for _ in range(4):
        traffic.both_families(host, "net", 200)
        for name in ("a", "b"):
            host.sandbox(name, "net", Confined=True)
            trap.add(host.inside(name), 7000)
        host.disconnect("net", "a")
        host.connect("net", "a")
        for name in ("a", "b"):
            host.remove_sandbox(name)
        host.remove_network("net")
    assert all(sender.sent > 100 for sender in senders)
    assert trap.count() == {}


def test_containers_without_icc(host, senders, trap):
    """Neighbours from the first instant on."""
    for _ in range(3):
        traffic.both_families(host, "net", 200, Options={traffic.BRIDGE + "enable_icc": "false"})
        host.sandbox("a", "net")
        senders.append(Sender(host.inside("a"), *((at % n, 7000) for n in (3, 4) for at in ("10.200.0.%d", "fd00:200::%d"))))
        for name in ("b", "c"):
            host.sandbox(name, "net")
            trap.add(host.inside(name), 7000)
        host.disconnect("net", "b")
        host.connect("net", "b")
        senders.pop().stop()
        for name in ("a", "b", "c"):
            host.remove_sandbox(name)
        host.remove_network("net")
    assert trap.count() == {}


@pytest.mark.parametrize("kill", [False, True], ids=["clean", "kill"])
def test_restarts(host, senders, trap, kill):
    """Nothing forbidden arrives, nothing of what flows is lost: by published ports, in both families,
    from outside and from the host, and outwards."""
    enemies(host, senders)
    traffic.both_families(host, "net", 200)
    host.sandbox("a", "net", Confined=True, Publish=traffic.published("9000:9000/udp", "9001:9001/udp", "9002:9002/udp"))
    host.sandbox("b", "net", Confined=True)
    for name in ("a", "b"):
        trap.add(host.inside(name), 7000)
    lan, a, b = traffic.lan(host), host.inside("a"), host.inside("b")
    assert traffic.silent(lan, "udp", "10.200.0.2", 7000)
    flows = [wire.UdpFlow(lan, a, UP4, 9000), wire.UdpFlow(lan, a, UP6, 9001), wire.UdpFlow(b, a, UP4, 9002),
             wire.UdpFlow(b, lan, LAN4, 9003)]
    stream = wire.TcpStream(b, lan, LAN6, 9004)
    for _ in range(3):
        host.restart(kill=kill)
        host.wait_healed()
    for flow in flows:
        sent, lost = flow.stop()
        assert sent > 100 and lost == 0, "%d of %d lost" % (lost, sent)
    count, same = stream.stop()
    assert count > 1000 and same
    assert trap.count() == {}


def test_publishing_disturbs_nobody(host):
    """A flow through a published port while others are published and taken away, and networks come and
    go."""
    traffic.both_families(host, "net", 200)
    host.sandbox("a", "net", Publish=traffic.published("9000:9000/udp", "9001:9001/udp"))
    lan = traffic.lan(host)
    flows = [wire.UdpFlow(lan, host.inside("a"), UP4, 9000), wire.UdpFlow(lan, host.inside("a"), UP6, 9001)]
    for number in range(4):
        host.network("n%d" % number, EnableIPv6=True)
        host.sandbox("s%d" % number, "n%d" % number, Publish=traffic.published(
            "%d:80/udp" % (8000 + number), "10000-20000:10000-20000/udp" if number == 0 else "80"))
        host.connect("net", "s%d" % number)
    host.doctor(repair=True)
    for number in range(4):
        host.disconnect("net", "s%d" % number)
        host.remove_sandbox("s%d" % number)
        host.remove_network("n%d" % number)
    for flow in flows:
        sent, lost = flow.stop()
        assert sent > 100 and lost == 0, "%d of %d lost" % (lost, sent)


def test_a_published_port_answers_as_soon_as_it_is_promised(host, services):
    """The first packet after the answer to the request arrives: in both protocols and families."""
    traffic.both_families(host, "net", 200)
    lan = traffic.lan(host)
    for number in range(5):
        host.sandbox("a", "net", Publish=traffic.published("9000:80", "9000:80/udp"))
        view = host.inside("a")
        with contextlib.ExitStack() as stack:
            for at, family in ((UP4, socket.AF_INET), (UP6, socket.AF_INET6)):
                got = stack.enter_context(bound(view, family, 80))
                client = stack.enter_context(traffic.open_socket(lan, family, socket.SOCK_DGRAM))
                client.sendto(b"first", (at, 9000))
                assert got.recv(100) == b"first", number
        host.remove_sandbox("a")


def test_udp_sent_before_it_is_published(host, senders, services):
    """Datagrams without pause, from one socket, since before anybody was there: they arrive once there
    is a container, and after each change of it, without the client doing anything."""
    traffic.both_families(host, "net", 200)
    lan = traffic.lan(host)
    senders.append(Sender(lan, (UP4, 9000), (UP6, 9000), source_port=6000))
    for number in range(4):
        host.sandbox("a", "net", Publish=traffic.published("9000:80/udp"))
        view = host.inside("a")
        for family in FAMILIES:
            with bound(view, family, 80) as got:
                assert got.recvfrom(100)[1][:2] == (LAN4 if family == socket.AF_INET else LAN6, 6000), number
        host.remove_sandbox("a")
