# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counters: of a network its link's, of a published port the connections, in inspect when it is verbose."""
import json

import pytest

import harness
import traffic
from traffic_fixtures import host, services, shared_host  # noqa: F401

UP4, UP6 = harness.UP4, harness.UP6


def numbers(value):
    """Every number below, by its path."""
    out = {}

    def walk(value, path):
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, path + (key,))
        elif isinstance(value, list):
            for at, inner in enumerate(value):
                walk(inner, path + (at,))
        elif isinstance(value, int) and not isinstance(value, bool):
            out[path] = value
    walk(value, ())
    return out


@pytest.fixture
def net(host, services):
    traffic.both_families(host, "net", 170)
    host.sandbox("con", "net", Publish=traffic.published("8001:80", "8002:80/udp", "9000-9009:9000-9009", "[::1]:8003:80"))
    services.add(host.inside("con"), "con", 80, 9000, 9009)
    return host


def verbose(host):
    shown = host.get("/networks/net?verbose=1")
    assert json.loads(host.cnm("network", "inspect", "-v", "net", check=True).out)[0].keys() == shown.keys()
    return shown


def test_connections_of_a_port(net):
    lan = traffic.lan(net)
    before = numbers(verbose(net))
    for _ in range(7):
        traffic.ask(lan, "tcp", UP4, 8001)
    for _ in range(5):
        traffic.ask(lan, "tcp", UP6, 8001)
    for port in (9000, 9009, 9009):
        traffic.ask(lan, "tcp", UP4, port)
    for _ in range(2):
        traffic.ask(lan, "udp", UP4, 8002)
    after = numbers(verbose(net))
    grown = sorted(after[path] - before.get(path, 0) for path in after
                   if "Connections" in path and after[path] != before.get(path, 0))
    assert grown == [2, 3, 5, 7], {path: value for path, value in after.items() if "Connections" in path}


def test_traffic_of_a_link(net):
    view = net.inside("con")
    before = numbers(verbose(net))
    view.run("ping", "-c5", "-i0.01", "-s1000", "-W5", "10.170.0.1")
    after = numbers(verbose(net))
    grown = [path for path in after if after[path] - before.get(path, 0) >= 5000]
    assert any("ytes" in str(path[-1]) for path in grown), (before, after)


def test_only_when_asked(net):
    plain = net.get("/networks/net")
    assert not [path for path in numbers(plain) if "Connections" in path]
    assert set(plain) <= set(verbose(net))


def test_they_do_not_disturb(net):
    """A dump of rules is the same before and after connections, and doctor has nothing to say."""
    before = net.dump()
    traffic.ask(traffic.lan(net), "tcp", UP4, 8001)
    net.assert_unchanged(before, "a connection")
    assert net.doctor() == []
