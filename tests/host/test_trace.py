# SPDX-License-Identifier: LGPL-2.1-or-later
"""`cnm trace`: what it tells of packets that arrive, and of those that are dropped, and where."""
import contextlib
import json
import signal
import subprocess
import urllib.parse

import harness
import traffic
from traffic_fixtures import host, services, shared_host  # noqa: F401

UP4, LAN4 = harness.UP4, harness.LAN4
BRIDGE = traffic.BRIDGE
SETS = [("inet", "trace4"), ("inet", "trace6"), ("bridge", "btrace4"), ("bridge", "btrace6")]


def elements(host):
    return [e for family, name in SETS for e in traffic.elements(host, name, family)]


class Trace:
    """A trace under way; its steps as they come."""

    def __init__(self, host, source, target, port=None, seconds=60):
        query = {"from": source, "to": target, "time": seconds}
        if port:
            query["port"] = port
        self.connection = harness._UnixConnection(host.socket_path, harness.PATIENCE)
        self.connection.request("GET", "/cnm/v1/trace?" + urllib.parse.urlencode(query))
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.read()
        self.steps = []
        assert self.next()["Text"].startswith("following what goes between %s and %s" % (source, target))

    def next(self):
        step = json.loads(self.response.readline())
        assert set(step) == {"Time", "Packet", "Table", "Chain", "Rule", "Verdict", "In", "Out", "From", "To",
                             "Text"}
        assert step["Text"]
        self.steps.append(step)
        return step

    def until(self, wanted):
        """The first step for which wanted(step) is so."""
        while True:
            step = self.next()
            if wanted(step):
                return step

    def dropped(self):
        return self.until(lambda step: step["Verdict"] == "drop")

    def through(self, target=None):
        return self.until(lambda step: not step["Table"] and step["Verdict"] == "accept"
                          and (target is None or step["To"] == target))

    def close(self):
        self.connection.close()


@contextlib.contextmanager
def tracing(host, *flow, **how):
    trace = Trace(host, *flow, **how)
    try:
        yield trace
    finally:
        trace.close()
    harness.wait_for(lambda: not elements(host), lambda: "no element left: %r" % elements(host))


def send(place, protocol, address, port):
    """One packet, as an own program would."""
    kind = traffic.KINDS[protocol]
    with place.socket(traffic.family_of(address), kind) as sock:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect((address, port))
            if protocol == "udp":
                sock.send(b"x")


def two_networks(host, **more):
    traffic.both_families(host, "backend", 91, **more)
    traffic.both_families(host, "frontend", 92)
    host.sandbox("con1", "backend")
    host.sandbox("con2", "backend")
    host.sandbox("con3", "frontend", Publish=traffic.published("8080:80", "8053:53/udp"))


def test_one_that_arrives(host):
    two_networks(host)
    view = host.inside("con1")
    for address in ("10.91.0.3", "fd00:91::3"):
        with tracing(host, "con1", "con2", "udp/80") as trace:
            send(view, "udp", address, 81)  # of no interest
            send(view, "udp", address, 80)
            end = trace.through("[%s]:80" % address if ":" in address else address + ":80")
            assert end["Packet"] > 0 and end["Text"] == "let through to con2"
            assert end["Out"].startswith("veth") and end["In"].startswith("veth")
            mine = [step for step in trace.steps if step["Packet"] == end["Packet"]]
            assert any(step["Table"] == "bridge cnm" for step in mine)
            assert all(step["Verdict"] != "drop" for step in trace.steps)
            assert all(":81" not in step["To"] for step in trace.steps)


def test_isolation(host):
    two_networks(host)
    with tracing(host, "con1", "con3", "tcp/80") as trace:
        send(host.inside("con1"), "tcp", "10.92.0.2", 80)
        end = trace.dropped()
    assert (end["Table"], end["Chain"], end["Rule"]) == ("inet cnm", "fwd_in", "drop")
    assert end["To"] == "10.92.0.2:80" and end["From"].startswith("10.91.0.2:")
    assert end["Text"] == ("dropped in table inet cnm, chain fwd_in, rule `drop`: nothing lets a packet into "
                           "frontend from outside of it")


def test_no_ping_from_elsewhere(host):
    two_networks(host)
    with tracing(host, "con1", "con3") as trace:
        assert not host.inside("con1").can_ping("10.92.0.2")
        end = trace.dropped()
    assert end["Chain"] == "ping" and end["To"] == "10.92.0.2"
    assert end["Text"].endswith("frontend is not routed, so it is not pinged from elsewhere")


def test_icc(host):
    two_networks(host, Options={BRIDGE + "enable_icc": "false"})
    traffic.bridge_netfilter(host, False)
    with tracing(host, "con1", "con2", "udp/80") as trace:
        send(host.inside("con1"), "udp", "10.91.0.3", 80)
        end = trace.dropped()
    assert (end["Table"], end["Chain"], end["Rule"]) == ("bridge cnm", "between", "drop")
    assert end["Text"].endswith("the network of con1 and con2 has ICC off")


def test_internal(host):
    two_networks(host, Internal=True)
    view = host.inside("con1")
    view.run("ip", "route", "add", "default", "via", "10.91.0.1")
    with tracing(host, "con1", LAN4, "udp/80") as trace:
        send(view, "udp", LAN4, 80)
        end = trace.dropped()
    assert (end["Chain"], end["Rule"]) == ("fwd_out", "iifname @internal drop")
    assert end["Text"].endswith("backend is internal: nothing leaves it")
    with tracing(host, LAN4, "con1", "udp/80") as trace:
        traffic.routes_from_lan(host, 91)
        send(traffic.lan(host), "udp", "10.91.0.2", 80)
        end = trace.dropped()
    assert end["Chain"] == "fwd_internal"
    assert end["Text"].endswith("backend is internal: nothing enters it")


def test_a_published_port(host, services):
    two_networks(host)
    services.add(host.inside("con3"), "con3", 80, 53)
    for name, place in (("con1", host.inside("con1")), (LAN4, traffic.lan(host))):
        with tracing(host, name, "host", "tcp/8080") as trace:
            assert traffic.ask(place, "tcp", UP4, 8080).split()[0] == "con3"
            end = trace.through("10.92.0.2:80")
            assert end["Text"] == "let through to frontend"
            assert any(step["Chain"] == "publish" and "dnat" in step["Rule"] for step in trace.steps)
            # The answers.
            trace.until(lambda step: step["From"] == "10.92.0.2:80")


def test_a_published_port_from_the_host(host, services):
    two_networks(host)
    services.add(host.inside("con3"), "con3", 53)
    with tracing(host, "host", "host", "udp/8053") as trace:
        assert traffic.ask(traffic.outside(host), "udp", "127.0.0.1", 8053).split()[0] == "con3"
        assert trace.through("10.92.0.2:53")["Text"] == "let through to frontend"


def test_outwards(host):
    two_networks(host)
    with tracing(host, "con1", LAN4) as trace:
        assert host.inside("con1").reaches(LAN4)
        end = trace.through(LAN4)
    assert end["Out"] == "up0" and end["Text"] == "let through to up0"
    assert any(step["Chain"] == "postrouting" and "masquerade" in step["Rule"] for step in trace.steps)


def test_somebody_elses_drop(host):
    two_networks(host)
    host.run("nft", "add table ip filter; add chain ip filter FORWARD "
             "{ type filter hook forward priority filter; policy drop; }")
    try:
        with tracing(host, "con1", LAN4) as trace:
            assert not host.inside("con1").can_ping(LAN4)
            end = trace.dropped()
    finally:
        host.run("nft", "delete table ip filter")
    assert end["Text"] == ("dropped in table ip filter, chain FORWARD, by its policy: it is not cnm's; "
                           "docs/FIREWALL.md says how to live with it")


def test_an_operators_rule(host):
    two_networks(host)
    host.run("nft", "add rule inet cnm user ip daddr %s counter drop" % LAN4)
    try:
        with tracing(host, "con1", LAN4) as trace:
            assert not host.inside("con1").can_ping(LAN4)
            end = trace.dropped()
    finally:
        host.run("nft", "flush chain inet cnm user")
    assert end["Chain"] == "user" and end["Text"].endswith("a rule of the operator's")


def test_elements_are_wanted_while_it_runs(host):
    two_networks(host)
    with tracing(host, "con1", "con2"):
        there = elements(host)
        other = Trace(host, "con1", "con2", "tcp/80", seconds=1)  # the same elements
        assert there and elements(host) == there and host.doctor() == []
        host.run("nft", "flush set inet cnm trace4")
        harness.wait_for(lambda: elements(host) == there, "the elements are back")
        assert other.response.read() == b""
        other.close()
        assert elements(host) == there
    assert host.doctor() == []


def test_a_daemon_that_dies(host):
    two_networks(host)
    trace = Trace(host, "con1", "con3")
    assert elements(host)
    host.restart(kill=True)
    trace.close()
    harness.wait_for(lambda: not elements(host), "the comparison at start removes them")


def test_it_ends_in_time(host):
    two_networks(host)
    trace = Trace(host, "con1", "con2", seconds=1)
    assert trace.response.read() == b""
    trace.close()
    assert elements(host) == []


def test_the_command(host):
    two_networks(host)
    shown = host.cnm("trace", "con1", "con3", "-p", "tcp/80", "--time", "1", "--probe", check=True)
    lines = shown.out.splitlines()
    assert lines[0] == "following what goes between con1 and con3, tcp port 80"
    assert any(line.startswith("packet 1, 10.91.0.2:") and line.endswith(" to 10.92.0.2:80") for line in lines)
    assert lines.count("  dropped in table inet cnm, chain fwd_in, rule `drop`: nothing lets a packet into "
                       "frontend from outside of it") >= 1
    steps = host.cnm("trace", "con1", "con2", "--time", "1", "--probe", "--format", "json", check=True)
    told = [json.loads(line) for line in steps.out.splitlines()]
    assert any(step["Text"] == "let through to con2" for step in told)


def test_an_interrupted_command(host):
    two_networks(host)
    # What runs in the background ignores this signal, and so would what it starts.
    command = host.popen("env", "--default-signal=INT", harness.program(harness.COMMAND), "trace", "con1", "con3",
                         "--time", "3600", stdout=subprocess.PIPE, text=True)
    assert command.stdout.readline()
    assert elements(host)
    command.send_signal(signal.SIGINT)
    command.wait(harness.PATIENCE)
    command.stdout.close()
    harness.wait_for(lambda: not elements(host), "the elements are gone")


def test_a_daemon_that_is_told_to_end(host):
    two_networks(host)
    trace = Trace(host, "con1", "con3", seconds=3600)
    host.stop()
    assert trace.response.read() == b""
    trace.close()
    host.start()
    assert elements(host) == []
