# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the kernel cannot translate goes through the daemon: ::1, and IPv6 to a container that has IPv4
alone. TCP with half-closes, UDP with a flow each client."""
import contextlib
import hashlib
import os
import socket
import threading

import pytest

import harness
import traffic
from traffic_fixtures import host, services, shared_host  # noqa: F401

UP6, LAN6 = harness.UP6, harness.LAN6


@pytest.fixture
def net(host, services):
    """con has IPv4 alone, dual both."""
    host.subnet("four", "10.180.0.0/24")
    traffic.both_families(host, "both", 181)
    host.sandbox("con", "four", Publish=traffic.published("8001:80", "8001:80/udp", "8002:81", "9000-9009:9000-9009",
                                                          "9000-9009:9000-9009/udp", "[2001:db8::2]:8004:80"))
    host.sandbox("dual", "both", Publish=traffic.published("8011:80", "8011:80/udp", "[::1]:8012:81"))
    for name in ("con", "dual"):
        services.add(host.inside(name), name, 80, 81, 9000, 9009)
    host.lan_place, host.place = traffic.lan(host), traffic.outside(host)
    return host


def test_who_reaches_it(net):
    said = traffic.probe_all({
        (where, protocol, address, port): (place, protocol, address, port)
        for where, place, address in (("lan", net.lan_place, UP6), ("host", net.place, UP6), ("host", net.place, "::1"),
                                      ("container", net.inside("dual"), UP6))
        for protocol in ("tcp", "udp") for port in (8001, 9000, 9009)})
    assert {outcome.split()[0] for outcome in said.values()} == {"con"}, said
    for protocol in ("tcp", "udp"):
        assert traffic.ask(net.place, protocol, "::1", 8011).split()[0] == "dual"
        assert traffic.ask(net.lan_place, protocol, UP6, 8011) == "dual " + LAN6  # not by the proxy
    assert traffic.ask(net.place, "tcp", "::1", 8012).split()[0] == "dual"
    assert traffic.ask(net.lan_place, "tcp", UP6, 8004).split()[0] == "con"
    assert traffic.silent(net.place, "tcp", "::1", 8004) and traffic.silent(net.lan_place, "tcp", UP6, 8012)


def test_the_container_sees_its_gateway(net):
    """The client's address cannot be given to it."""
    assert traffic.ask(net.lan_place, "tcp", UP6, 8001) == "con 10.180.0.1"
    assert traffic.ask(net.lan_place, "udp", UP6, 8001) == "con 10.180.0.1"


def test_large_and_half_closed(net):
    """Both directions at once, each side ends when it likes."""
    view = net.inside("con")
    with contextlib.closing(view.socket(socket.AF_INET, socket.SOCK_STREAM)) as listener:
        listener.bind(("0.0.0.0", 9001))
        listener.listen(4)
        client = traffic.open_socket(net.lan_place, socket.AF_INET6, socket.SOCK_STREAM)
        client.settimeout(harness.PATIENCE)
        client.connect((UP6, 9001))
        far, _ = listener.accept()
        far.settimeout(harness.PATIENCE)
        data = os.urandom(3 << 20)
        sender = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        sender.start()
        got = hashlib.sha256()
        while piece := far.recv(65536):
            got.update(piece)
        sender.join()
        assert got.digest() == hashlib.sha256(data).digest()
        far.sendall(b"after your end")
        assert client.recv(100) == b"after your end"
        far.close()
        assert client.recv(100) == b""
        client.close()


def test_nobody_listens(net):
    """The client hears of it: closed, not left waiting."""
    outcome = traffic.probe_all({0: (net.lan_place, "tcp", UP6, 9005)})[0]
    assert outcome in ("refused", "closed")
    assert traffic.ask(net.lan_place, "tcp", UP6, 8001).split()[0] == "con"


def test_each_udp_client_has_its_flow(net):
    """Answers go to the one who asked, from the address that was asked."""
    clients = [traffic.open_socket(net.lan_place, socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(20)]
    with contextlib.ExitStack() as stack:
        view = net.inside("con")
        echo = stack.enter_context(contextlib.closing(view.socket()))
        echo.bind(("0.0.0.0", 9002))
        echo.settimeout(harness.PATIENCE)
        for number, client in enumerate(clients):
            stack.enter_context(client)
            client.settimeout(harness.PATIENCE)
            client.connect((UP6, 9002))
            client.send(b"%d" % number)
        peers = {}
        for _ in clients:
            word, peer = echo.recvfrom(100)
            peers[word] = peer
        assert len(set(peers.values())) == len(clients)
        for word, peer in peers.items():
            echo.sendto(b"to " + word, peer)
            echo.sendto(b"and " + word, peer)
        for number, client in enumerate(clients):
            assert {client.recv(100), client.recv(100)} == {b"to %d" % number, b"and %d" % number}
            client.send(b"again")
        again = {echo.recvfrom(100)[1] for _ in clients}
        assert again == set(peers.values())


def test_restarts(net):
    """Its flows are the one exception to losing nothing; new ones are served at once, and an attempt
    while the daemon is away waits."""
    for kill in (False, True):
        net.restart(kill=kill)
        for protocol in ("tcp", "udp"):
            assert traffic.ask(net.lan_place, protocol, UP6, 8001).split()[0] == "con"
            assert traffic.ask(net.place, protocol, "::1", 8011).split()[0] == "dual"
    net.kill9()
    client = traffic.open_socket(net.lan_place, socket.AF_INET6, socket.SOCK_STREAM)
    with client:
        client.settimeout(harness.PATIENCE)
        client.connect((UP6, 8001))
        net.start()
        assert client.recv(100).split()[0] == b"con"


def test_its_own_sockets_are_no_way_in(net):
    """What is sent to where it listens, and was not redirected, is not passed on to anybody."""
    ports = {(entry[0], entry[1]) for entry in _proxy_ports(net)}
    assert {protocol for protocol, _ in ports} == {"tcp", "udp"}
    for protocol, port in ports:
        for place, address in ((net.lan_place, UP6), (net.place, "::1"), (net.inside("dual"), "fd00:181::1")):
            outcome = traffic.probe_all({0: (place, protocol, address, port)}, ())[0]
            assert outcome in ("silent", "refused", "closed"), outcome


def _proxy_ports(host):
    for entry in traffic.elements(host, "proxy"):
        yield entry[0], entry[1]


def test_gone_with_the_container(net):
    client = traffic.open_socket(net.lan_place, socket.AF_INET6, socket.SOCK_STREAM)
    with client:
        client.settimeout(harness.PATIENCE)
        view = net.inside("con")
        with contextlib.closing(view.socket(socket.AF_INET, socket.SOCK_STREAM)) as listener:
            listener.bind(("0.0.0.0", 9003))
            listener.listen(4)
            client.connect((UP6, 9003))
            far, _ = listener.accept()
        net.remove_sandbox("con")
        assert traffic.silent(net.lan_place, "tcp", UP6, 8001) and traffic.silent(net.lan_place, "udp", UP6, 8001)
        far.close()


def test_many_connections(net):
    """At once, and then once more."""
    for _ in range(2):
        said = traffic.probe_all({n: (net.lan_place, "tcp", UP6, 8001) for n in range(300)})
        assert {outcome.split()[0] for outcome in said.values()} == {"con"}
    descriptors = len(os.listdir("/proc/%d/fd" % _daemon(net)))
    traffic.probe_all({n: (net.lan_place, "tcp", UP6, 8001) for n in range(300)})
    harness.wait_for(lambda: len(os.listdir("/proc/%d/fd" % _daemon(net))) <= descriptors, "descriptors are closed")


def _daemon(host):
    """nsenter has become cnmd."""
    return host.daemon.pid
