# SPDX-License-Identifier: LGPL-2.1-or-later
"""Host ports that are taken, addresses that are not there, ports that make no sense: refused with
Docker's words and the owner's name, and nothing has changed (the harness compares dumps of rows, links,
rules and files around every refused request)."""
import contextlib
import os
import socket

import pytest

import harness
import traffic

UP4 = harness.UP4


@pytest.fixture(scope="module")
def shared_net(request, tmp_path_factory):
    """One network for all; the tests make and remove sandboxes."""
    with traffic.host_of_a_file(request, tmp_path_factory.mktemp("host")) as host:
        traffic.both_families(host, "net", 68)
        yield host


@pytest.fixture
def net(shared_net):
    yield shared_net
    for sandbox in shared_net.get("/cnm/v1/sandboxes"):
        shared_net.request_ok("DELETE", "/cnm/v1/sandboxes/" + sandbox["Id"])


def publish(host, name, *specs):
    host.sandbox(name, "net", Publish=traffic.published(*specs))


def refused(host, *specs, publish=None, **how):
    """A sandbox with these ports is refused, without a trace."""
    with traffic.unchanged(host):
        return refused_again(host, publish or traffic.published(*specs), **how)


def refused_again(host, publish, status=500, matching=None):
    """The same without looking for traces."""
    return host.refused("POST", "/cnm/v1/sandboxes", {
        "Name": "late", "Networks": [{"Network": "net"}], "Publish": publish}, status, None, matching)


@contextlib.contextmanager
def process(host, protocol, address, port, listen=True, to=None):
    """A socket of a process of the host: this one."""
    sock = traffic.open_socket(host, traffic.family_of(address), traffic.KINDS[protocol])
    with sock:
        if ":" in address:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != "::")
        sock.bind((address, port))
        if protocol == "tcp" and listen:
            sock.listen(1)
        if to:
            sock.connect(to)
        yield sock


# (published by con, wanted, does it conflict)
OVERLAPS = [
    ("8001:80", "8001:81", True), ("8001:80", "127.0.0.1:8001:80", True), ("127.0.0.1:8001:80", "8001:80", True),
    ("127.0.0.1:8001:80", "192.0.2.2:8001:80", False), ("8001:80", "8001:80/udp", False), ("8001:80", "8002:80", False),
    ("0.0.0.0:8001:80", "[::]:8001:80", False), ("[::]:8001:80", "[::1]:8001:80", True),
    ("[::1]:8001:80", "[2001:db8::2]:8001:80", False), ("[::1]:8001:80", "8001:80", True),
    ("8000-8010:8000-8010", "8005:80", True), ("8005:80", "8000-8010:8000-8010", True),
    ("8000-8010:8000-8010", "8010-8020:8010-8020", True), ("8000-8010:8000-8010", "8011-8020:8011-8020", False),
    ("8000-8010:8000-8010/udp", "8010:80", False), ("127.0.0.1:8000-8200:8000-8200", "8100:80", True),
    ("8001:80", "8000-8001:80-81", True),
]


@pytest.mark.parametrize("first,second,conflict", OVERLAPS, ids=["%s and %s" % o[:2] for o in OVERLAPS])
def test_of_another_container(net, first, second, conflict):
    publish(net, "con", first)
    if not conflict:
        publish(net, "late", second)
        return
    answer = refused(net, second, matching=r"Bind for .* failed: port is already allocated")
    assert "con" in answer.message.split("already allocated")[1], answer


def test_the_very_words(net):
    publish(net, "con", "8001:80")
    answer = refused(net, "8001:80")
    assert answer.message.endswith(
        "Bind for 0.0.0.0:8001 failed: port is already allocated (by container con)"), answer


def test_of_its_own(net):
    """One host port cannot lead to two."""
    refused(net, "8001:80", "8001:81", matching="Bind for 0.0.0.0:8001 failed: port is already allocated")
    refused(net, "8000-8010:8000-8010", "127.0.0.1:8005:80", matching="port is already allocated")
    publish(net, "late", "8001:80", "8001:80")  # said twice


# (protocol, where a process has it, wanted, does it conflict)
HELD = [
    ("tcp", "0.0.0.0", "8001:80", True), ("tcp", "127.0.0.1", "8001:80", True), ("tcp", "::", "8001:80", True),
    ("tcp", "::1", "8001:80", True), ("tcp", "::1", "0.0.0.0:8001:80", False), ("udp", "0.0.0.0", "8001:80/udp", True),
    ("udp", "192.0.2.2", "8001:80/udp", True), ("udp", "192.0.2.2", "127.0.0.1:8001:80/udp", False),
    ("udp", "0.0.0.0", "8001:80", False), ("tcp", "127.0.0.1", "192.0.2.2:8001:80", False),
    ("tcp", "192.0.2.2", "192.0.2.2:8001:80", True), ("udp", "::1", "[::1]:8001:80/udp", True),
]


@pytest.mark.parametrize("protocol,address,spec,conflict", HELD, ids=["%s %s, %s" % h[:3] for h in HELD])
def test_of_a_process(net, protocol, address, spec, conflict):
    with process(net, protocol, address, 8001):
        if conflict:
            answer = refused(net, spec, matching=r"failed to bind host port .*8001/%s: address already in use" % protocol)
            assert "pid %d" % os.getpid() in answer.message and "python" in answer.message, answer
        else:
            publish(net, "late", spec)
    if conflict:
        publish(net, "late", spec)


def test_listening_within_a_short_range(net):
    """Up to 100 ports are held, so any socket is in the way."""
    with process(net, "tcp", "0.0.0.0", 8050):
        refused(net, "8000-8099:8000-8099", matching="failed to bind host port 0.0.0.0:8050/tcp: address already in use")
    with process(net, "udp", "0.0.0.0", 8050):
        refused(net, "8000-8099:8000-8099/udp", matching="failed to bind host port 0.0.0.0:8050/udp")
    publish(net, "late", "8000-8099:8000-8099", "8000-8099:8000-8099/udp")


def test_listening_within_a_long_range(net):
    """More are only looked at: what listens, and unconnected UDP outside ip_local_port_range."""
    with process(net, "tcp", "127.0.0.1", 8050):
        answer = refused(net, "8000-8999:8000-8999", matching="8050/tcp: address already in use")
        assert "pid %d" % os.getpid() in answer.message
    with process(net, "udp", "0.0.0.0", 8050):
        refused(net, "8000-8999:8000-8999/udp", matching="8050/udp: address already in use")
    with process(net, "tcp", "::", 8050):
        refused(net, "8000-8999:8000-8999", matching="8050/tcp: address already in use")


def test_others_within_a_long_range_are_a_warning(net):
    """A connection, a connected UDP socket, an unconnected one in ip_local_port_range."""
    with process(net, "udp", UP4, 8050, to=(harness.LAN4, 9)), process(net, "udp", "0.0.0.0", 40000):
        net.sandbox("con", "net", Publish=traffic.published("8000-8999:8000-8999/udp", "39000-41000:39000-41000/udp"))
        log = net.log_text()
        assert "40000" in log or "8050" in log, log[-2000:]


def test_an_address_the_host_has_not(net):
    for spec, address in (("192.0.2.77:8001:80", "192.0.2.77"), ("[2001:db8::77]:8001:80", "2001:db8::77"),
                          ("192.0.2.77:8001:80/udp", "192.0.2.77"), ("192.0.2.77:8000-8999:8000-8999", "192.0.2.77")):
        answer = refused(net, spec, matching="cannot assign requested address")
        assert address in answer.message and "no interface of this host has " + address in answer.message, answer


def test_an_address_that_comes_later(net):
    with contextlib.ExitStack() as undo:
        net.run("ip", "addr", "add", "192.0.2.77/24", "dev", "up0")
        undo.callback(net.run, "ip", "addr", "del", "192.0.2.77/24", "dev", "up0")
        publish(net, "con", "192.0.2.77:8001:80")
        net.remove_sandbox("con")


def test_range_of_the_host_onto_one_port(net):
    """The first free one is taken, whoever has the others; none left is said."""
    publish(net, "con", "8000:80")
    with process(net, "tcp", "127.0.0.1", 8001):
        publish(net, "late", "8000-8002:80")
        assert {port[2] for port in traffic.ports_of(net, "late")} == {8002}
        answer = net.api("POST", "/cnm/v1/sandboxes", {
            "Name": "later", "Networks": [{"Network": "net"}], "Publish": traffic.published("8000-8002:80")})
        assert answer.status == 500 and "Bind for 0.0.0.0:8000-8002 failed: all ports are allocated" in answer.message, answer
    publish(net, "later", "8000-8002:80")
    assert {port[2] for port in traffic.ports_of(net, "later")} == {8001}


def test_chosen_ports_avoid_what_is_used(net):
    """And what is reserved; each time another one."""
    net.run("sh", "-ec", "echo 40000 40009 >/proc/sys/net/ipv4/ip_local_port_range")
    net.run("sh", "-ec", "echo 40003 >/proc/sys/net/ipv4/ip_local_reserved_ports")
    try:
        with process(net, "tcp", "127.0.0.1", 40005), process(net, "udp", "0.0.0.0", 40006):
            publish(net, "con", "40001:80")
            seen = []
            for number in range(7):
                publish(net, "c%d" % number, "80")
                ports = {port[2] for port in traffic.ports_of(net, "c%d" % number)}
                assert len(ports) == 1
                seen += ports
            assert sorted(seen) == [40000, 40002, 40004, 40006, 40007, 40008, 40009]
            refused(net, "80", matching="all ports are allocated")
    finally:
        net.run("sh", "-c", "echo 32768 60999 >/proc/sys/net/ipv4/ip_local_port_range; "
                "echo >/proc/sys/net/ipv4/ip_local_reserved_ports")


def test_fifty_thousand_twice(net):
    publish(net, "con", "10000-59999:10000-59999/udp")
    answer = refused(net, "10000-59999:10000-59999/udp", matching="port is already allocated")
    assert "con" in answer.message
    refused(net, "59999:80/udp", matching="Bind for 0.0.0.0:59999 failed: port is already allocated")
    net.remove_sandbox("con")
    publish(net, "late", "10000-59999:10000-59999/udp")


def test_fifty_thousand_one_by_one(net):
    """As the stock client sends a range: joined to one."""
    one_by_one = [{"Protocol": "udp", "HostFirst": port, "First": port} for port in range(10000, 60000)]
    net.sandbox("con", "net", Publish=one_by_one)
    assert traffic.ports_of(net, "con") == [("udp", ip, 10000, 59999, 10000, 59999) for ip in ("0.0.0.0", "::")]
    assert len(traffic.elements(net, "range4any")) == 1
    refused(net, publish=one_by_one, matching="port is already allocated")


def entry(**more):
    return {"Protocol": "tcp", "HostIp": "", "HostFirst": 8001, "HostLast": 8001, "First": 80, "Last": 80, **more}


WRONG = [
    entry(First=0, Last=0), entry(First=65536, Last=65536), entry(HostFirst=65536, HostLast=65536),
    entry(First=81, Last=80), entry(HostFirst=8002, HostLast=8001), entry(First=80, Last=82),
    entry(First=80, Last=82, HostLast=8002), entry(HostFirst=0, HostLast=5), entry(Protocol="icmp"),
    entry(HostIp="nonsense"), entry(HostIp="192.0.2.0/24"), entry(HostIp="[::1]"), entry(HostIp="fe80::1%up0"),
    entry(First=-1), entry(First="80"), entry(First=80.5), entry(HostIp=4), entry(Nonsense=1), "80:80", [], None, 80]


def test_what_makes_no_sense(net):
    with traffic.unchanged(net):
        for wrong in WRONG:
            refused_again(net, [wrong], 400)
            refused_again(net, traffic.published("8001:80") + [wrong], 400)


def test_unequal_ranges(net):
    refused(net, "8000-8001:80-82", status=400, matching="invalid port specification")
    refused(net, "8000-8009:80-81", status=400, matching="invalid port specification")


def test_exposed_that_makes_no_sense(net):
    with traffic.unchanged(net):
        for wrong in ({"Protocol": "tcp", "First": 0, "Last": 0}, {"Protocol": "tcp", "First": 2, "Last": 1}, "80", 80,
                      {"Protocol": "x", "First": 1, "Last": 1}, {"Protocol": "tcp", "First": 65536, "Last": 65536}):
            net.refused("POST", "/cnm/v1/sandboxes", {"Name": "late", "Networks": [{"Network": "net"}], "Exposed": [wrong]}, 400)


def test_by_command(net):
    with traffic.unchanged(net):
        for argv in (("-p", "8000-8001:80-82"), ("-p", "0:0"), ("-p", "65536:80"), ("-p", "x"), ("-p", ""), ("-p", "80/icmp"),
                     ("-p", "1.2.3:80:80"), ("-p", "81-80:80"), ("--expose", "x"), ("--expose", "2-1"), ("--expose", "80/icmp")):
            wrong = net.cnm("sandbox", "create", "late", "--net", "net", *argv)
            assert wrong.rc in (1, 125, 2) and wrong.err.strip(), repr(wrong)


def test_in_the_middle_of_things(net):
    """The last of many ports is taken: those before it are given back, in the kernel, too."""
    with process(net, "tcp", "0.0.0.0", 8099):
        refused(net, *("%d:80" % port for port in range(8000, 8100)), matching="8099/tcp: address already in use")
    publish(net, "late", *("%d:80" % port for port in range(8000, 8100)))


def test_refused_half_way(net):
    """The kernel refuses one of the elements, for an operator's own is in the way: told, and the others
    are taken back; or that was swept away as damage before."""
    net.run("nft", "add element inet cnm pub4any { tcp . 8001 : 10.68.0.99 . 99 }")
    answer = net.request("POST", "/cnm/v1/sandboxes", {
        "Name": "late", "Networks": [{"Network": "net"}], "Publish": traffic.published("8000-8009:80-89")})
    if answer.status != 201:
        assert answer.status == 500 and answer.message, answer
        net.doctor(repair=True)
        assert not traffic.elements(net, "pub4any")
        publish(net, "late", "8000-8009:80-89")
    net.wait_healed()
    assert len(traffic.elements(net, "pub4any")) == 10


def test_network_change_is_refused_too(net):
    """A sandbox that gets its way out by connect finds its port taken: not connected."""
    publish(net, "con", "8001:80")
    net.sandbox("late", Publish=traffic.published("8001:80"))
    assert traffic.ports_of(net, "late") == []
    with traffic.unchanged(net):
        net.refused("POST", "/networks/net/connect", {"Container": "late"}, 500,
                    matching="Bind for 0.0.0.0:8001 failed: port is already allocated")
    net.remove_sandbox("con")
    net.connect("net", "late")
    assert {port[2] for port in traffic.ports_of(net, "late")} == {8001}
