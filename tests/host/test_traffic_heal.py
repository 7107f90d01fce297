# SPDX-License-Identifier: LGPL-2.1-or-later
"""The operator's chain, and what is mended: rules, elements, sysctls and held ports of publishing, links
and guards. What is damaged is as it was without being asked, and packets flow again."""
import os
import signal

import pytest

import dump
import harness
import traffic
from traffic_fixtures import host, services, shared_host  # noqa: F401

UP4, UP6, LAN4 = harness.UP4, harness.UP6, harness.LAN4


@pytest.fixture(scope="module")
def shared_healthy(request, tmp_path_factory):
    with traffic.host_of_a_file(request, tmp_path_factory.mktemp("host")) as host:
        services = traffic.Services()
        bridge = {traffic.BRIDGE + "name": "brx"}
        traffic.both_families(host, "net", 190, Options=bridge)
        traffic.both_families(host, "apart", 191, Options={traffic.BRIDGE + "enable_icc": "false",
                                                           traffic.BRIDGE + "name": "bry"})
        host.sandbox("con", "net", Confined=True, Publish=traffic.published(
            "8001:80", "8001:80/udp", "192.0.2.2:8002:80", "9000-9009:9000-9009", "[::1]:8003:80"))
        host.sandbox("target", "apart", Confined=True, Exposed=traffic.exposed("80"))
        host.sandbox("source", ("apart", {"Links": ["target:nick"]}), Confined=True)
        for name in ("con", "target", "source"):
            services.add(host.inside(name), name, 80)
        host.lan_place, host.place = traffic.lan(host), traffic.outside(host)
        yield host
        services.close()


@pytest.fixture
def healthy(shared_healthy):
    if not shared_healthy.daemon:
        shared_healthy.start()
    shared_healthy.doctor(repair=True)
    shared_healthy.wait_healed()
    return shared_healthy


def works(host):
    """All of it, in both families."""
    said = traffic.probe_all({
        "published": (host.lan_place, "tcp", UP4, 8001), "udp": (host.lan_place, "udp", UP4, 8001),
        "v6": (host.lan_place, "tcp", UP6, 8001), "one address": (host.lan_place, "tcp", UP4, 8002),
        "localhost": (host.place, "tcp", "127.0.0.1", 8001), "proxy": (host.place, "tcp", "::1", 8003),
        "itself": (host.inside("con"), "tcp", UP4, 8001), "link": (host.inside("source"), "tcp", "10.191.0.2", 80),
        "apart": (host.inside("target"), "tcp", host.address("source", "apart"), 80),
    }, {"published", "udp", "v6", "one address", "localhost", "proxy", "itself", "link"})
    assert said.pop("apart") in ("silent", "refused", "unreachable")
    assert {outcome.split()[0] for outcome in said.values()} == {"con", "target"}, said
    assert said["published"] == "con " + LAN4
    return True


def shape(host):
    return {section: [line for line in lines if "fe80::" not in line]
            for section, lines in harness.lasting(host.dump()).items()}


def mended(host, before, what):
    harness.wait_for(lambda: not dump.difference(before, shape(host)),
                     lambda: "mended: %s\n%s" % (what, dump.difference(before, shape(host))), timeout=5 * harness.SLOW)
    assert host.doctor() == []
    assert works(host)


DAMAGE = [
    "nft flush ruleset", "nft delete table inet cnm", "nft delete table bridge cnm", "nft flush table inet cnm",
    "nft flush chain inet cnm publish", "nft flush chain bridge cnm guard", "nft flush chain bridge cnm between",
    "nft delete element inet cnm pub4any { tcp . 8001 }", "nft flush map inet cnm pub6any", "nft flush map inet cnm range4any",
    "nft delete element inet cnm pub4 { 192.0.2.2 . tcp . 8002 }", "nft flush set inet cnm pinholes4",
    "nft flush set bridge cnm links4", "nft flush set bridge cnm guarded", "nft flush set bridge cnm src4",
    "nft flush set bridge cnm noicc", "nft flush map inet cnm same", "nft flush map inet cnm proxy", "nft flush set inet cnm proxied",
    "nft add element inet cnm pub4any { tcp . 9999 : 10.190.0.2 . 80 }",
    "nft 'delete element inet cnm pub4any { tcp . 8001 }; add element inet cnm pub4any { tcp . 8001 : 10.190.0.99 . 1 }'",
    "for l in $(ls /sys/class/net/brx/brif); do bridge link set dev $l hairpin off; done",
    "ip link del brx", "ip link del bry",
]


@pytest.mark.parametrize("what", DAMAGE)
def test_damage(healthy, what):
    before = shape(healthy)
    healthy.run("sh", "-c", what)
    mended(healthy, before, what)


@pytest.mark.parametrize("what", ["nft flush ruleset", "nft flush map inet cnm pub4any",
                                  "echo 0 >/proc/sys/net/ipv4/conf/brx/route_localnet"])
def test_damage_while_it_was_away(healthy, what):
    before = shape(healthy)
    healthy.kill9()
    healthy.run("sh", "-c", what)
    healthy.start()
    mended(healthy, before, what)


def test_what_no_event_tells(healthy):
    """The kernel says nothing of this sysctl: doctor sees it, and mends it when told to."""
    before = shape(healthy)
    healthy.run("sh", "-c", "echo 0 >/proc/sys/net/ipv4/conf/brx/route_localnet")
    found, = healthy.doctor()
    assert (found["Kind"], found["Key"], found["Have"]) == ("sysctl", "net/ipv4/conf/brx/route_localnet", "0")
    healthy.doctor(repair=True)
    mended(healthy, before, "route_localnet")


def test_one_line_in_the_log(healthy):
    """Says what was found."""
    before = len(healthy.log_text())
    healthy.run("nft", "flush", "ruleset")
    harness.wait_for(lambda: traffic_rules(healthy), "the table is back")
    healthy.wait_healed()
    said = healthy.log_text()[before:]
    lines = [line for line in said.splitlines() if "mend" in line or "repair" in line or "firewall" in line]
    assert 1 <= len(lines) <= 3, said


def traffic_rules(host):
    return "table inet cnm" in host.run("nft", "list", "tables").out


def keepers(host):
    return [pid for pid, line in host.processes() if os.path.basename(line.split(" ")[0]) == "cnm-keeper"]


def listening(host, port):
    return ":%d " % port in host.run("ss", "-Hlnt").out


def test_the_keeper_is_killed(healthy):
    """It keeps the ports for a time without daemon. The daemon holds them, too, and gives them to the
    next keeper, which is there when something is to be kept."""
    killed, = keepers(healthy)
    os.kill(killed, signal.SIGKILL)
    harness.wait_for(lambda: keepers(healthy) != [killed], "it has ended")
    assert listening(healthy, 8001) and works(healthy)
    healthy.sandbox("extra", "net", Publish=traffic.published("8009:80"))
    harness.wait_for(lambda: keepers(healthy) not in ([], [killed]), "a new keeper")
    healthy.kill9()
    assert listening(healthy, 8001) and listening(healthy, 8009)
    healthy.start()
    healthy.wait_healed()
    assert works(healthy)
    healthy.remove_sandbox("extra")


def test_in_a_sandbox(healthy):
    before = shape(healthy)
    for what in ("nft flush ruleset", "ip addr flush dev eth0", "ip route del default", "ip link set eth0 down"):
        healthy.inside("con").run("sh", "-c", what)
        mended(healthy, before, what)


# ------------------------------------------------------------------------------- the operator's chain

def user_rules(host):
    return [line.strip() for line in host.run("nft", "list", "chain", "inet", "cnm", "user").out.splitlines()
            if line.startswith("\t\t") and line.strip()]


@pytest.fixture
def with_user_rules(healthy):
    """A drop of what would be let in, with a counter, and a rule about something else."""
    healthy.run("nft", "add rule inet cnm user ip daddr 10.190.0.2 tcp dport 80 ct original proto-dst 8001 "
                "ip saddr 192.0.2.1 drop comment \"mine\"")
    healthy.run("nft", "add rule inet cnm user ip daddr 203.0.113.0/24 accept")
    yield healthy
    healthy.run("nft", "flush", "chain", "inet", "cnm", "user")


def test_user_rules_come_first(with_user_rules):
    host = with_user_rules
    assert traffic.silent(host.lan_place, "tcp", UP4, 8001)
    assert traffic.ask(host.lan_place, "tcp", UP4, 8002) == "con " + LAN4
    assert traffic.ask(host.lan_place, "tcp", UP6, 8001).split()[0] == "con"


def test_user_rules_survive(with_user_rules):
    """Restarts, changes, damage to everything else of the table, repair."""
    host = with_user_rules
    before = user_rules(host)
    assert len(before) == 2
    for act in (host.restart, lambda: host.restart(kill=True), lambda: host.doctor(repair=True),
                lambda: host.run("nft", "flush", "chain", "inet", "cnm", "forward"),
                lambda: host.run("nft", "flush", "map", "inet", "cnm", "pub4any"),
                lambda: host.run("nft", "delete", "table", "bridge", "cnm"),
                lambda: (host.subnet("extra", "10.199.0.0/24"), host.remove_network("extra"))):
        act()
        host.wait_healed()
        harness.wait_for(lambda: traffic.ask(host.lan_place, "tcp", UP4, 8002) == "con " + LAN4, "published again")
        assert user_rules(host) == before
        assert traffic.silent(host.lan_place, "tcp", UP4, 8001)


def test_user_rules_are_no_difference(with_user_rules):
    assert with_user_rules.doctor() == []
    result = with_user_rules.cnm("doctor", check=True)
    assert result.out == "" or with_user_rules.notes


def test_sets_of_the_operators_own_stay(healthy):
    """And chains, in our tables."""
    healthy.run("nft", "add set inet cnm mine { type ipv4_addr; elements = { 203.0.113.9 } }; "
                "add rule inet cnm user ip saddr @mine drop")
    try:
        before = user_rules(healthy)
        healthy.restart()
        healthy.run("nft", "flush", "chain", "inet", "cnm", "forward")
        healthy.wait_healed()
        harness.wait_for(lambda: works(healthy), "all works")
        assert user_rules(healthy) == before
        assert "203.0.113.9" in healthy.run("nft", "list", "set", "inet", "cnm", "mine").out
    finally:
        healthy.run("nft", "flush chain inet cnm user; delete set inet cnm mine")
