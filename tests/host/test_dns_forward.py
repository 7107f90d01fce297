# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names that are nobody's here: which servers are asked, from where, what of them is relayed and kept, and that
bad ones and greedy ones harm nobody else."""
import contextlib
import os
import shutil
import struct
import threading
import time

import pytest

import containers
import harness
import names
import traffic
import wire
from containers import words
from names import ask, found
from wire import A, AAAA, NOERROR, NXDOMAIN, REFUSED, SERVFAIL, TXT

pytest_plugins = ["container_fixtures"]
pytestmark = pytest.mark.xdist_group("test_dns_forward")
FAR, ELSEWHERE = "203.0.113.5", "203.0.113.9"
SECOND, THIRD, FOURTH = "192.0.2.11", "192.0.2.12", "192.0.2.13"
# Where nobody is, and where nobody answers.
ABSENT = "192.0.2.200"
# A question that is answered with SERVFAIL is answered within this.
GIVEN_UP = 5 * harness.SLOW


@pytest.fixture
def stack(engine):
    with contextlib.ExitStack() as made:
        yield made


@pytest.fixture
def upstream(engine, stack):
    """upstream(address, script={...}, other=behaviour, place=...): on the LAN, unless there is a place."""
    return lambda *args, **how: stack.enter_context(names.upstream(engine, *args, **how))


@pytest.fixture
def resolv(engine):
    """The host's file."""
    made = names.ResolvConf(engine)
    yield made
    made.restore()
    if not containers.truth.ASKED:
        engine.restart()


def container(engine, name, net="net", **host):
    engine.running(name, host={"NetworkMode": net, **host})
    return traffic.of_container(engine, name)


@pytest.fixture
def net(engine):
    engine.request_ok("POST", "/networks/create", {"Name": "net"})
    return engine


@pytest.fixture
def view(net):
    """A sandbox, from inside."""
    net.sandbox("con", "net")
    return net.inside("con")


def servers(engine, resolv, *addresses, more=""):
    """The host's servers from now on. The daemon sees it by itself; tests of that are at the end."""
    resolv.write(names.nameservers(*addresses, more=more))
    if not containers.truth.ASKED:
        engine.restart()


@pytest.fixture
def asks(engine, resolv):
    return lambda *addresses, **how: servers(engine, resolv, *addresses, **how)


def several(count):
    return ["n%d.example" % i for i in range(count)]


def at_once(place, asked, timeout=GIVEN_UP):
    """{(name, by tcp): reply} of questions that go out together, all from sockets of their own."""
    socks = {}
    try:
        for name, tcp in asked:
            data = names.message(names.question(name))
            socks[name, tcp] = sock = names.connect(place, timeout=timeout, tcp=tcp)
            sock.sendall((struct.pack("!H", len(data)) if tcp else b"") + data)
        end, out = time.monotonic() + timeout, {}
        for (name, tcp), sock in socks.items():
            sock.settimeout(max(0.01, end - time.monotonic()))
            data = sock.recv(names.TCP_MAX)
            out[name, tcp] = names.Reply(data[2:] if tcp else data)
        return out
    finally:
        for sock in socks.values():
            sock.close()


# ------------------------------------------------------------------------------- which, and from where

def test_the_hosts_servers_are_asked_from_the_host(net, upstream, asks):
    """One on the host's own loopback can be used, by UDP and TCP."""
    asks("127.0.0.53")
    server = upstream("127.0.0.53", {"far.example": names.says(FAR)}, place=traffic.outside(net))
    con = container(net, "con")
    for tcp in (False, True):
        assert found(con, "far.example", tcp=tcp) == (NOERROR, [FAR])
        assert found(con, "none.example", tcp=tcp)[0] == NXDOMAIN
    assert {asked.peer[0] for asked in server.asked} == {"127.0.0.1"}


def test_servers_of_its_own_are_asked_from_the_sandbox(net, upstream):
    """On its own loopback, and on the LAN; the host's are not asked at all."""
    hosts = upstream(other=names.says(ELSEWHERE))
    con = container(net, "con", Dns=["127.0.0.1"])
    server = upstream("127.0.0.1", {"far.example": names.says(FAR)}, place=con)
    assert found(con, "far.example") == (NOERROR, [FAR])
    assert found(con, "none.example")[0] == NXDOMAIN
    assert len(server.asked) == 2 and not hosts.asked
    other = container(net, "other", Dns=[SECOND])
    on_lan = upstream(SECOND, {"far.example": names.says(FAR)})
    net.run_lan("ip", "route", "replace", "172.16.0.0/12", "via", harness.UP4)
    assert found(other, "far.example") == (NOERROR, [FAR])
    assert on_lan.times("far.example") == 1 and not hosts.asked


def test_an_internal_network_leaks_nothing(engine, upstream):
    engine.request_ok("POST", "/networks/create", {"Name": "inner", "Internal": True})
    engine.request_ok("POST", "/networks/create", {"Name": "net"})
    con = container(engine, "con", "inner")
    capture = wire.Capture(engine.lan.netns, "lan0")
    server = upstream(script={"far.example": names.says(FAR)})
    for name in ("far.example", "single", "1.0.0.127.in-addr.arpa"):
        assert goes_nowhere(con, name)
    assert goes_nowhere(con, "far.example", tcp=True)
    assert found(con, "con")[0] == NOERROR
    engine.request_ok("POST", "/networks/net/connect", {"Container": "con"})
    assert found(con, "far.example") == (NOERROR, [FAR])
    first = capture.wait(lambda frame: frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[36:38] == b"\0\x35")
    assert b"\3far\7example" in first and len(server.asked) == 1
    capture.close()
    engine.request_ok("POST", "/networks/net/disconnect", {"Container": "con"})
    assert goes_nowhere(con, "else.example")
    assert len(server.asked) == 1


def goes_nowhere(place, name, tcp=False):
    """20.10 does not answer then."""
    try:
        return found(place, name, tcp=tcp, timeout=GIVEN_UP)[0] == SERVFAIL
    except OSError:
        return words(False, True)


@containers.cnm_only
def test_an_internal_network_does_not_ask_the_hosts_stub(engine, upstream, asks):
    """Nor what others have asked for before."""
    asks("127.0.0.53")
    server = upstream("127.0.0.53", other=names.says(FAR, ttl=60), place=traffic.outside(engine))
    engine.subnet("inner", "10.64.0.0/24", Internal=True)
    engine.network("net")
    engine.sandbox("con", "inner")
    engine.sandbox("open", "net")
    assert found(engine.inside("open"), "far.example") == (NOERROR, [FAR])
    for tcp in (False, True):
        assert found(engine.inside("con"), "far.example", tcp=tcp)[0] == SERVFAIL
    assert server.times("far.example") == 1


def test_an_internal_network_with_a_server_in_it(engine, upstream):
    engine.request_ok("POST", "/networks/create", {"Name": "inner", "Internal": True, "IPAM": {"Config": [
        {"Subnet": "10.65.0.0/24"}]}})
    hosts = upstream()
    engine.running("server", host={"NetworkMode": "inner"}, networking={"inner": {
        "IPAMConfig": {"IPv4Address": "10.65.0.53"}}})
    server = upstream("10.65.0.53", {"far.example": names.says(FAR)}, place=traffic.of_container(engine, "server"))
    con = container(engine, "con", "inner", Dns=["10.65.0.53"])
    for tcp in (False, True):
        assert found(con, "far.example", tcp=tcp) == (NOERROR, [FAR])
    assert found(con, "none.example")[0] == NXDOMAIN
    assert server.asked and not hosts.asked


@containers.cnm_only
def test_servers_at_ipv6_addresses(net, upstream, asks, view):
    net.run_lan("ip", "addr", "replace", "fe80::53/64", "dev", "lan0", "nodad")
    net.run("ip", "addr", "replace", "fe80::2/64", "dev", "up0", "nodad")
    lan = traffic.lan(net)
    script = {"far.example": names.says(FAR)}
    upstream(harness.LAN6, script, place=lan)
    asks(harness.LAN6)
    assert found(view, "far.example") == (NOERROR, [FAR])
    scoped = lan.socket(traffic.socket.AF_INET6)
    with scoped:
        scoped.bind(("fe80::53", 53, 0, lan_index(net)))
        scoped.settimeout(GIVEN_UP)
        asks("fe80::53%up0")
        with names.connect(view) as sock:
            sock.send(names.message(names.question("scoped.example")))
            data, peer = scoped.recvfrom(4096)
            behaviour = names.says(ELSEWHERE)
            scoped.sendto(behaviour(names.Asked(data, peer, False))[0][1], peer)
            assert names.Reply(sock.recv(4096)).texts == [ELSEWHERE]
    net.run("ip", "addr", "del", "fe80::2/64", "dev", "up0")


def lan_index(engine):
    return next(link["ifindex"] for link in engine.run_lan("ip", "-j", "link").json if link["ifname"] == "lan0")


# ------------------------------------------------------------------------------- what is relayed

def test_what_is_relayed(net, upstream):
    """Answers of all kinds and sizes, as they came."""
    cname = names.record(5, names.name_of(b"else", b"example"))
    server = upstream(script={
        "far.example": names.says(FAR, ELSEWHERE, "2001:db8:5::1"),
        "alias.example": lambda asked: [(0, names.reply_to(asked, answers=[
            cname, names.record(A, bytes([203, 0, 113, 5]), owner=b"\4else\7example\0")]))],
        "soa.example": names.missing(30),
        "large.example": names.padded(3000), "huge.example": names.padded(60000), "full.example": names.padded(65535)})
    con = container(net, "con")
    assert found(con, "far.example") == (NOERROR, sorted([FAR, ELSEWHERE]))
    assert found(con, "far.example", AAAA) == (NOERROR, ["2001:db8:5::1"])
    assert found(con, "far.example", TXT) == (NOERROR, [])
    alias = ask(con, "alias.example")
    assert [answer[1] for answer in alias.answers] == [5, A] and alias.answers[1][3] == FAR
    missing = ask(con, "soa.example")
    assert missing.code == NXDOMAIN and missing.counts[2] == 1
    assert found(con, "FaR.eXaMpLe")[1] and ask(con, "FaR.eXaMpLe").answers[0][0] == "FaR.eXaMpLe"
    assert found(con, "odd.example", 65280)[0] == NXDOMAIN and server.times("odd.example", 65280) == 1


def test_large_replies(net, upstream):
    """By UDP cut to what the client takes, by TCP whole."""
    upstream(script={"large.example": names.padded(3000), "huge.example": names.padded(60000),
                     "full.example": names.padded(65535)})
    con = container(net, "con")
    for name, size in (("large", 3000), ("huge", 60000), ("full", 65535)):
        name += ".example"
        reply = ask(con, name, TXT)
        assert reply.truncated and len(reply.data) <= 512 and reply.code == NOERROR
        whole = ask(con, name, TXT, tcp=True)
        assert len(whole.data) == size and not whole.truncated
        again = ask(con, name, TXT)
        assert again.truncated and len(again.data) <= 512
    with names.connect(con) as sock:
        sock.send(names.with_edns("large.example", TXT, 4096))
        assert len(sock.recv(names.TCP_MAX)) in range(3000, 3012)


def test_the_next_server_is_asked(net, upstream, asks):
    """When one cannot (SERVFAIL, REFUSED), not when it says that there is no such name; three at most."""
    asks(harness.LAN4, SECOND, THIRD, FOURTH)
    script = {"unable.example": names.fails(SERVFAIL), "refused.example": names.fails(words(REFUSED, SERVFAIL)),
              "far.example": names.says(FAR), "nowhere.example": names.fails(SERVFAIL)}
    upstream(script=script)
    second = upstream(SECOND, {name: names.says(ELSEWHERE) for name in (*script, "none.example")} | {
        "nowhere.example": names.fails(SERVFAIL)})
    third = upstream(THIRD, {"nowhere.example": names.fails(SERVFAIL)})
    fourth = upstream(FOURTH, other=names.says(ELSEWHERE))
    con = container(net, "con")
    for tcp in (False, True):
        assert found(con, "unable.example", tcp=tcp) == (NOERROR, [ELSEWHERE])
        assert found(con, "refused.example", tcp=tcp) == (NOERROR, [ELSEWHERE])
        assert found(con, "far.example", tcp=tcp) == (NOERROR, [FAR])
        assert found(con, "none.example", tcp=tcp)[0] == words(NXDOMAIN, NOERROR)
        assert found(con, "nowhere.example", tcp=tcp)[0] == SERVFAIL
    assert third.keys == {"nowhere.example"} and not fourth.asked
    assert words("none.example" not in second.keys, True)


def test_ndots(net, upstream, asks):
    """Set by the user, names without a dot are not asked for outside."""
    server = upstream(other=names.says(FAR))
    plain = container(net, "plain")
    assert found(plain, "single") == (NOERROR, [FAR])
    con = container(net, "con", DnsOptions=["ndots:2"])
    for kind in (A, AAAA):
        for name in ("alone", "alone."):
            assert found(con, name, kind) == (NOERROR, [])
    assert found(con, "two.dots") == (NOERROR, [FAR])
    assert found(con, "plain")[1] and found(con, "con")[1]
    assert server.times("alone") == 0


def test_ndots_of_the_host(net, upstream, asks):
    server = upstream(other=names.says(FAR))
    asks(harness.LAN4, more="options ndots:1\n")
    con = container(net, "con")
    assert found(con, "alone") == (NOERROR, [])
    assert found(con, "two.dots") == (NOERROR, [FAR])
    assert server.times("alone") == 0


def test_no_servers(net, asks):
    asks(more="search example.test\n")
    con = container(net, "con")
    if words(True, False):
        assert found(con, "far.example")[0] == SERVFAIL
    assert found(con, "con")[0] == NOERROR


# ------------------------------------------------------------------------------- bad ones

@containers.cnm_only
def test_a_silent_first_server_slows_nobody(net, upstream, asks, view):
    """Twelve questions one after the other, in less time than waiting for it twice would take."""
    asks(harness.LAN4, SECOND)
    silent = upstream(other=names.never)
    upstream(SECOND, other=names.says(FAR))
    begun = time.monotonic()
    for tcp in (False, True):
        for name in several(6):
            assert found(view, ("t" if tcp else "u") + name, tcp=tcp) == (NOERROR, [FAR])
    assert time.monotonic() - begun < 8 * harness.SLOW
    assert silent.asked


@containers.cnm_only
@pytest.mark.parametrize("absent", [ABSENT, "192.0.2.1", "198.51.100.1"], ids=["nobody there", "nobody listens", "far away"])
def test_a_dead_first_server_slows_nobody(net, upstream, asks, view, absent):
    asks(absent, SECOND)
    upstream(SECOND, other=names.says(FAR))
    begun = time.monotonic()
    for name in several(10):
        assert found(view, name) == (NOERROR, [FAR])
    assert time.monotonic() - begun < 8 * harness.SLOW
    assert found(view, "by.tcp", tcp=True) == (NOERROR, [FAR])


@containers.cnm_only
def test_the_first_is_preferred_again(net, upstream, asks, view):
    """Once it answers: servers are there to be asked in their order."""
    asks(harness.LAN4, SECOND)
    upstream(SECOND, other=names.says(ELSEWHERE))
    assert found(view, "far.example") == (NOERROR, [ELSEWHERE])
    upstream(other=names.says(FAR))
    harness.wait_for(lambda: found(view, "far.example") == (NOERROR, [FAR]), "the first answers", every=0.1)
    assert [found(view, name)[1] for name in several(20)].count([FAR]) >= 19


@containers.cnm_only
def test_nobody_answers(net, upstream, asks, view):
    """SERVFAIL, in less than a client's patience, whatever it is that they do not answer with."""
    asks(harness.LAN4, ABSENT, SECOND)
    server = upstream(SECOND, other=names.never)
    replies = at_once(view, [(name, tcp) for name in several(20) for tcp in (False, True)])
    assert {reply.code for reply in replies.values()} == {SERVFAIL}
    assert server.asked
    # A slow answer after that is nobody's.
    assert found(view, "con") == (NOERROR, [net.address("con", "net")])


@containers.cnm_only
def test_wrong_replies(net, upstream, asks, view):
    """What is not the reply to what was asked is passed over, and what comes behind it counts; with nothing right,
    it is as if nobody had answered."""
    script = {"only." + kind.replace(" ", "-"): names.only(junk) for kind, junk in names.WRONG.items()}
    right = {"first." + kind.replace(" ", "-"): names.first(junk, names.says(FAR)) for kind, junk in names.WRONG.items()}
    upstream(script={**script, **right})
    asked = [(name, False) for name in (*script, *right)] + [(name, True) for name in script]
    for (name, tcp), reply in at_once(view, asked).items():
        wanted = (NOERROR, [FAR]) if name in right else (SERVFAIL, [])
        assert (reply.code, reply.texts) == wanted, (name, tcp)


@containers.cnm_only
def test_replies_by_strangers(net, upstream, asks, view):
    """From another address or port than was asked."""
    held = []

    def hold(asked):
        held.append(asked)
        return [(1, names.says(FAR)(asked)[0][1])]
    upstream(script={"far.example": hold})
    lan = traffic.lan(net)
    net.run_lan("ip", "addr", "replace", SECOND + "/24", "dev", "lan0")
    with names.connect(view, timeout=GIVEN_UP) as sock:
        sock.send(names.message(names.question("far.example")))
        harness.wait_for(lambda: held, "it is asked")
        forged = names.says(ELSEWHERE)(held[0])[0][1]
        for address, port in ((SECOND, 53), (harness.LAN4, 54)):
            with lan.socket() as stranger:
                stranger.bind((address, port))
                stranger.sendto(forged, held[0].peer)
        assert names.Reply(sock.recv(4096)).texts == [FAR]


@containers.cnm_only
def test_ids_and_ports_cannot_be_guessed(net, upstream, view):
    server = upstream(other=names.says(FAR))
    for i in range(200):
        assert found(view, "n%d.example" % i, number=7)[1] == [FAR]
    ids = [struct.unpack_from("!H", asked.data)[0] for asked in server.asked]
    assert len(set(ids)) > 180 and ids.count(7) < 5
    assert sum(b - a in (1, -1) for a, b in zip(ids, ids[1:])) < 5
    assert len({asked.peer[1] for asked in server.asked}) >= 4


# ------------------------------------------------------------------------------- what is kept

@pytest.fixture
def kept(net, upstream):
    """Two sandboxes that ask one server."""
    net.sandbox("one", "net")
    net.sandbox("two", "net")
    net.one, net.two = net.inside("one"), net.inside("two")
    return net


@containers.cnm_only
def test_answers_are_kept(kept, upstream):
    """As long as they say, for all who ask the same servers, by UDP and TCP, and however it is spelled."""
    server = upstream(script={"kept.example": names.says(FAR, "2001:db8:5::1", ttl=60), "none.example": names.missing(60),
                              "empty.example": names.says(ttl=60)})
    for tcp in (False, True):
        for view in (kept.one, kept.two):
            for name in ("kept.example", "KEPT.Example."):
                reply = ask(view, name, tcp=tcp, number=0x4321)
                assert reply.texts == [FAR] and reply.number == 0x4321 and 0 < reply.answers[0][2] <= 60
                assert names.question(name) in reply.data
                assert found(view, name, AAAA, tcp=tcp) == (NOERROR, ["2001:db8:5::1"])
            assert found(view, "none.example", tcp=tcp) == (NXDOMAIN, [])
            assert found(view, "empty.example", tcp=tcp) == (NOERROR, [])
    assert sorted((asked.key, asked.kind) for asked in server.asked) == [
        ("empty.example", A), ("kept.example", A), ("kept.example", AAAA), ("none.example", A)]


@containers.cnm_only
def test_and_no_longer(kept, upstream):
    """Asked again once their time is over; what the clients are told is what is left of it."""
    script = {"one.example": names.says(FAR, ttl=1), "two.example": names.says(FAR, ttl=3), "soon.example": names.missing(1)}
    server = upstream(script=script)
    for name in script:
        found(kept.one, name)
    seen = set()

    def all_again():
        seen.update(answer[2] for answer in ask(kept.two, "two.example").answers)
        for name in ("one.example", "soon.example"):
            found(kept.two, name)
        return all(server.times(name) > 1 for name in script)
    harness.wait_for(all_again, "asked again", every=0.05)
    assert {2, 3} <= seen <= {0, 1, 2, 3}, seen
    server.script["one.example"] = names.says(ELSEWHERE, ttl=1)
    harness.wait_for(lambda: found(kept.two, "one.example")[1] == [ELSEWHERE], "the new address", every=0.05)


@containers.cnm_only
def test_what_is_not_kept(kept, upstream):
    """No time to hold, none given for what is missing, failures, what was cut."""
    script = {"zero.example": names.says(FAR), "unknown.example": names.missing(None), "fails.example": names.fails(),
              "refuses.example": names.fails(REFUSED), "large.example": names.padded(3000)}
    server = upstream(script=script)
    for name in script:
        before = None
        for _ in range(3):
            reply = ask(kept.one, name, TXT if name == "large.example" else A)
            assert server.times(name) > (before or 0), name
            before = server.times(name)
            assert reply.truncated == (name == "large.example")
    assert len(ask(kept.one, "large.example", TXT, tcp=True).data) == 3000


@containers.cnm_only
def test_what_was_asked_differently_is_another_answer(kept, upstream):
    """With EDNS or without, and with DNSSEC's records or without."""
    server = upstream(other=names.says(FAR, ttl=60))
    asked = (names.message(names.question("edns.example")), names.with_edns("edns.example"),
             names.with_edns("edns.example", dnssec=True))
    for _ in range(3):
        for data in asked:
            with names.connect(kept.one) as sock:
                sock.send(data)
                assert names.Reply(sock.recv(4096)).texts == [FAR]
    assert 2 <= server.times("edns.example") <= 3


@containers.cnm_only
def test_servers_of_its_own_have_their_own_answers(kept, upstream):
    """Nothing that one sandbox's servers say is believed by another."""
    hosts = upstream(script={"apart.example": names.says(FAR, ttl=60)})
    own = upstream(SECOND, {"apart.example": names.says(ELSEWHERE, ttl=60)})
    kept.sandbox("apart", "net", Dns=[SECOND])
    apart = kept.inside("apart")
    for _ in range(3):
        assert found(kept.one, "apart.example") == (NOERROR, [FAR])
        assert found(apart, "apart.example") == (NOERROR, [ELSEWHERE])
    assert hosts.times("apart.example") == own.times("apart.example") == 1


@containers.cnm_only
def test_a_local_name_comes_before_what_was_kept(kept, upstream):
    upstream(other=names.says(FAR, ttl=60))
    assert found(kept.one, "later") == (NOERROR, [FAR])
    kept.sandbox("later", "net")
    assert found(kept.one, "later") == (NOERROR, [kept.address("later", "net")])
    kept.remove_sandbox("later")
    assert found(kept.one, "later") == (NOERROR, [FAR])


# ------------------------------------------------------------------------------- greedy ones

@containers.cnm_only
def test_one_that_floods_starves_nobody(kept, upstream):
    """It is told REFUSED beyond its share; the other's questions are all answered meanwhile, the first time, and
    its own local names are."""
    server = upstream(script={"far.example": names.says(FAR)}, other=names.never)
    stop, codes = threading.Event(), []

    def flood():
        with names.connect(kept.one, timeout=0.001) as sock:
            wire.patient(sock)
            number = 0
            while not stop.is_set():
                for _ in range(50):
                    number += 1
                    sock.send(names.message(names.question("flood%d.example" % number), number=number & 0xFFFF))
                with contextlib.suppress(TimeoutError):
                    while True:
                        codes.append(sock.recv(4096)[3] & 15)
    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    loop = names.Loop(kept.two, {"far.example": [FAR], "two": [kept.address("two", "net")],
                                 "one": [kept.address("one", "net")]}, timeout=4 * harness.SLOW)
    try:
        harness.wait_for(lambda: REFUSED in codes, "its share is used up")
        loop.advance(60)
        own = NOERROR, [kept.address("two", "net")]

        def own_names():
            with contextlib.suppress(TimeoutError):
                return found(kept.one, "two", timeout=1) == own
        for _ in range(10):
            harness.wait_for(own_names, "its own local names")
    finally:
        stop.set()
        thread.join()
    assert loop.stop() >= 60
    assert set(codes) <= {REFUSED, SERVFAIL}
    # What it may have on its way at once; some of what was first has been given up by now.
    assert len({key for key in server.keys if key.startswith("flood")}) >= 1000
    # And it is as before once those are over.
    harness.wait_for(lambda: found(kept.one, "far.example") == (NOERROR, [FAR]), "room again", every=0.1)


@containers.cnm_only
def test_a_removed_one_takes_its_questions_along(kept, upstream):
    upstream(script={"far.example": names.says(FAR)}, other=names.late(1, names.says(ELSEWHERE)))
    for _ in range(5):
        kept.sandbox("short", "net")
        view = kept.inside("short")
        with names.connect(view) as sock, names.connect(view, tcp=True) as stream:
            for i in range(100):
                sock.send(names.message(names.question("slow%d.example" % i), number=i))
            data = names.message(names.question("slow.example"))
            stream.sendall(struct.pack("!H", len(data)) + data)
            kept.remove_sandbox("short")
        assert found(kept.one, "far.example") == (NOERROR, [FAR])


# ------------------------------------------------------------------------------- the host's file changes

def leads_to(view, address):
    """Soon: each question is one that nobody has asked before."""
    number = iter(range(1 << 30))
    said = []

    def asked():
        said[:] = [found(view, "f%d-%s" % (next(number), address), timeout=GIVEN_UP)]
        return said == [(NOERROR, [address])]
    harness.wait_for(asked, lambda: "answers of the one who says %s: %r" % (address, said), every=0.05)
    return True


@containers.cnm_only
def test_a_change_is_seen(kept, upstream, resolv):
    """Written over; what the former servers said is not believed any more."""
    upstream(other=names.says(FAR, ttl=60))
    upstream(SECOND, other=names.says(ELSEWHERE, ttl=60))
    assert found(kept.one, "far.example") == (NOERROR, [FAR])
    for servers, said in (((SECOND,), ELSEWHERE), ((harness.LAN4,), FAR), ((SECOND, harness.LAN4), ELSEWHERE)):
        resolv.write(names.nameservers(*servers))
        assert leads_to(kept.one, said)
        assert found(kept.two, "far.example") == (NOERROR, [said])
    resolv.write("")
    harness.wait_for(lambda: found(kept.one, "none.example")[0] == SERVFAIL, "nobody to ask", every=0.05)
    resolv.write(names.nameservers(harness.LAN4))
    assert leads_to(kept.one, FAR)


@containers.cnm_only
def test_a_question_on_its_way_outlives_a_change(kept, upstream, resolv):
    upstream(other=names.never)
    server = upstream(SECOND, other=names.says(FAR))
    with names.connect(kept.one, timeout=GIVEN_UP) as sock:
        sock.send(names.message(names.question("far.example")))
        resolv.write(names.nameservers(SECOND))
        reply = names.Reply(sock.recv(4096))
    assert reply.code == SERVFAIL or reply.texts == [FAR] and server.asked


FILE = "/run/etc/resolv.conf"


@containers.cnm_only
@pytest.mark.daemon("--resolv-conf", FILE)
def test_a_file_that_comes_late_and_is_replaced(host):
    """It and its folder made after the daemon's start, renamed over, a link to another, a link that is led
    elsewhere, and gone, which changes nothing."""
    host.compare = False
    folder = host.root + os.path.dirname(FILE)
    host.network("net")
    host.sandbox("con", "net")
    view = host.inside("con")

    def put(name, *servers):
        with open("%s/%s" % (folder, name), "w") as f:
            f.write(names.nameservers(*servers))

    def move(old, new="resolv.conf"):
        os.rename("%s/%s" % (folder, old), "%s/%s" % (folder, new))

    def link(target, name="resolv.conf"):
        os.symlink(target, folder + "/new")
        move("new", name)
    with names.upstream(host, other=names.says(FAR)), names.upstream(host, SECOND, other=names.says(ELSEWHERE)):
        assert found(view, "con")[0] == NOERROR
        assert found(view, "far.example")[0] == SERVFAIL
        os.mkdir(folder)
        put("resolv.conf", harness.LAN4)
        assert leads_to(view, FAR)
        put("fresh", SECOND)
        move("fresh")
        assert leads_to(view, ELSEWHERE)
        put("resolv.conf", harness.LAN4)
        assert leads_to(view, FAR)
        os.mkdir(folder + "/stub")
        put("stub/one", SECOND)
        put("stub/two", harness.LAN4)
        link("stub/one")
        assert leads_to(view, ELSEWHERE)
        put("stub/one", harness.LAN4)
        assert leads_to(view, FAR)
        put("stub/fresh", SECOND)
        move("stub/fresh", "stub/one")
        assert leads_to(view, ELSEWHERE)
        link("stub/two")
        assert leads_to(view, FAR)
        link("two", "stub/middle")
        link("stub/middle")
        put("stub/two", SECOND)
        assert leads_to(view, ELSEWHERE)
        os.unlink(folder + "/resolv.conf")
        assert found(view, "gone.example") == (NOERROR, [ELSEWHERE])  # which may only be about to be replaced
        put("fresh", harness.LAN4)
        move("fresh")
        assert leads_to(view, FAR)
    shutil.rmtree(folder)


@containers.cnm_only
@pytest.mark.parametrize("text", [
    "", "nameserver\n", "nameserver 300.1.1.1\n", "nameserver 192.0.2.1 192.0.2.11", "\0" * 5000, "nameserver " + "9" * 100000,
    "nameserver 127.0.0.11\nnameserver 192.0.2.1\n", "# nameserver 192.0.2.11\n; x\n\nnameserver\t192.0.2.1  # ours\n",
    "nameserver 192.0.2.1\r\n", "search " + "x" * 70000 + "\nnameserver 192.0.2.1\n", "nameserver ::ffff:192.0.2.1\n"],
    ids=lambda text: repr(text[:30]))
def test_odd_files_of_the_host(kept, upstream, resolv, text):
    """Whatever is in it: names of the networks are answered, the rest by who is named, if anybody."""
    upstream(other=names.says(FAR))
    resolv.write(text)
    assert found(kept.one, "two") == (NOERROR, [kept.address("two", "net")])
    assert found(kept.one, "far.example", timeout=2 * GIVEN_UP)[0] in (NOERROR, SERVFAIL)
    resolv.restore()
    assert leads_to(kept.one, FAR)
