# SPDX-License-Identifier: LGPL-2.1-or-later
"""The first embedded DNS server at 127.0.0.11: A, AAAA, PTR and forwarding."""
import pytest

import harness
import wire
from wire import A, AAAA, MX, NOERROR, NXDOMAIN, PTR, SERVFAIL


@pytest.fixture
def names(host):
    host.network("net", EnableIPv6=True)
    host.sandbox("con", "net", Hostname="myhost")
    host.sandbox("peer", ("net", {"Aliases": ["nick", "shared"]}))
    host.view = host.inside("con")
    return host


@pytest.fixture
def upstream(host):
    server = wire.Server(host, {("known.example", A): "203.0.113.5"})
    yield server
    server.close()


def reverse(address):
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa"


def test_names_of_a_network(names):
    address = names.address("peer", "net")
    sandbox = names.get("/cnm/v1/sandboxes/peer")["Id"]
    for name in ("peer", "PEER", "peer.", "nick", "shared", sandbox[:12], "peer.net"):
        reply = wire.ask(names.view, name)
        assert (reply.code, reply.texts) == (NOERROR, [address]), name
    assert all(0 < ttl <= 600 for _, _, ttl, _ in wire.ask(names.view, "peer").answers)
    assert wire.ask(names.view, "peer", AAAA).texts == [names.address("peer", "net", 6)]
    assert wire.ask(names.view, "con").texts == [names.address("con", "net")]
    assert wire.ask(names.view, "myhost").texts == [names.address("con", "net")]


def test_over_tcp(names):
    assert wire.ask(names.view, "peer", tcp=True).texts == [names.address("peer", "net")]


def test_no_data_is_no_error(names):
    for kind in (MX, wire.TXT):
        reply = wire.ask(names.view, "peer", kind)
        assert reply.code == NOERROR and not reply.answers
    names.network("four")
    names.sandbox("old", "four")
    names.connect("four", "con")
    reply = wire.ask(names.view, "old", AAAA)
    assert reply.code == NOERROR and not reply.answers


def test_ptr(names):
    assert wire.ask(names.view, reverse(names.address("peer", "net")), PTR).texts == ["peer.net"]


def test_shared_alias_has_all_addresses(names):
    names.sandbox("third", ("net", {"Aliases": ["shared"]}))
    assert wire.ask(names.view, "shared").texts == sorted(
        [names.address("peer", "net"), names.address("third", "net")])


def test_changes_are_seen_at_once(names):
    for _ in range(10):
        names.sandbox("new", "net")
        assert wire.ask(names.view, "new").texts == [names.address("new", "net")]
        names.remove_sandbox("new")
        assert wire.ask(names.view, "new").code in (NXDOMAIN, SERVFAIL)


def test_only_networks_one_is_on(names, upstream):
    names.network("other")
    names.sandbox("hidden", "other")
    assert wire.ask(names.view, "hidden").code == NXDOMAIN
    names.connect("other", "con")
    assert wire.ask(names.view, "hidden").texts == [names.address("hidden", "other")]
    names.disconnect("other", "con")
    assert wire.ask(names.view, "hidden").code == NXDOMAIN


def test_forwarding(names, upstream):
    assert wire.ask(names.view, "known.example").texts == ["203.0.113.5"]
    assert wire.ask(names.view, "known.example", tcp=True, timeout=10).code in (NOERROR, SERVFAIL)
    assert wire.ask(names.view, "unknown.example").code == NXDOMAIN
    assert ("known.example", A) in upstream.asked
    wire.ask(names.view, "peer", AAAA)
    wire.ask(names.view, "peer", MX)
    assert not [name for name, _ in upstream.asked if name == "peer"]


def test_internal_is_not_forwarded(host, upstream):
    host.network("net", Internal=True)
    host.sandbox("con", "net")
    view = host.inside("con")
    assert wire.ask(view, "con").texts == [host.address("con", "net")]
    assert wire.ask(view, "known.example").code == SERVFAIL
    assert not upstream.asked


def test_nobody_answers_upstream(names):
    assert wire.ask(names.view, "known.example", timeout=30).code == SERVFAIL


def test_malformed_queries_do_no_harm(names):
    with names.view.socket() as sock:
        sock.connect(("127.0.0.11", 53))
        for junk in (b"", b"x", b"\0" * 12, b"\xff" * 512, wire.query("peer", A)[:-3],
                     wire.query("peer", A)[:12] + b"\xc0\x0c\0\1\0\1", b"\x12\x34" + b"\1\0" * 250):
            sock.send(junk)
    assert wire.ask(names.view, "peer").texts == [names.address("peer", "net")]


def test_the_programs_of_a_sandbox_resolve(names):
    out = names.cnm("sandbox", "exec", "con", "getent", "ahostsv4", "peer", check=True).out
    assert names.address("peer", "net") in out
    assert names.cnm("sandbox", "exec", "con", "dig", "+short", "peer", check=True).out.strip() == (
        names.address("peer", "net"))


def test_names_answer_after_a_restart(names):
    for kill in (False, True):
        names.restart(kill=kill)
        assert wire.ask(names.view, "peer").texts == [names.address("peer", "net")]


def test_no_query_is_lost_while_the_daemon_is_away(names):
    """The keeper holds the sockets: a query asked meanwhile waits in its buffer."""
    for end in (names.stop, names.kill9):
        end()
        with names.view.socket() as sock:
            sock.settimeout(harness.PATIENCE)
            sock.connect(("127.0.0.11", 53))
            sock.send(wire.query("peer", A))
            names.start()
            assert wire.Reply(sock.recv(4096)).texts == [names.address("peer", "net")]


def test_port_53_of_the_sandbox_is_free(names):
    with names.view.socket() as sock:
        sock.bind(("0.0.0.0", 53))
    assert wire.ask(names.view, "peer").texts


def test_resolv_conf_follows_the_hosts(names, upstream):
    path = names.get("/cnm/v1/sandboxes/con")["ResolvConfPath"]
    with open(names.root + path) as f:
        assert "ndots:0" in f.read()
