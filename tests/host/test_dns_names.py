# SPDX-License-Identifier: LGPL-2.1-or-later
"""The names of a network, asked for at 127.0.0.11 from inside: which there are, for whom, and since when."""
import contextlib
import random
import struct

import pytest

import containers
import harness
import names
import traffic
import wire
from containers import words
from names import FORMERR, ask, found, reverse
from wire import A, AAAA, MX, NOERROR, NXDOMAIN, PTR, REFUSED, SRV, TXT

pytest_plugins = ["container_fixtures"]
pytestmark = pytest.mark.xdist_group("test_dns_names")
NOTHING = (NOERROR, [])
NET4, NET6 = "10.61.0.%d", "fd00:61::%x"


@pytest.fixture
def lan(engine):
    """The host's server knows nothing."""
    with names.upstream(engine) as server:
        yield server


def network(engine, name="net", number=61, **more):
    engine.request_ok("POST", "/networks/create", {"Name": name, "EnableIPv6": True, "IPAM": {"Config": [
        {"Subnet": "10.%d.0.0/24" % number}, {"Subnet": "fd00:%d::/64" % number}]}, **more})


def running(engine, name, net="net", **settings):
    """A container on a network of network(); as a place, with .id and .at: its addresses there."""
    config = {key: settings.pop(key) for key in ("Hostname", "Domainname") if key in settings}
    made = engine.running(name, host={"NetworkMode": net}, networking={net: settings}, **config)
    place = traffic.of_container(engine, name)
    place.id, place.at = made, addresses(engine, name, net)
    return place


def addresses(engine, name, net="net"):
    shown = engine.container(name)["NetworkSettings"]["Networks"][net]
    return shown["IPAddress"], shown["GlobalIPv6Address"]


def connect(engine, name, net="net", **settings):
    engine.request_ok("POST", "/networks/%s/connect" % net, {"Container": name, "EndpointConfig": settings})


def disconnect(engine, name, net="net"):
    engine.request_ok("POST", "/networks/%s/disconnect" % net, {"Container": name})


def post(engine, path):
    engine.request_ok("POST", "/containers/" + path)


@pytest.fixture
def two(engine, lan):
    network(engine)
    engine.con = running(engine, "con")
    engine.peer = running(engine, "peer", Aliases=["nick", "Big.Nick"], Hostname="box.example")
    return engine


# ------------------------------------------------------------------------------- what there is

def test_all_names_of_a_container(two, lan):
    short = two.peer.id[:12]
    for name in ("peer", "nick", "Big.Nick", short, "box.example"):
        for spelled in (name, name.upper(), name.lower(), name + "."):
            assert found(two.con, spelled) == (NOERROR, [two.peer.at[0]]), spelled
        assert found(two.con, name, AAAA) == (NOERROR, [two.peer.at[1]])
        assert found(two.con, name + ".net") == (NOERROR, [two.peer.at[0]])
        assert found(two.peer, name) == (NOERROR, [two.peer.at[0]])
    assert found(two.con, "con") == (NOERROR, [two.con.at[0]])
    assert found(two.peer, "con") == (NOERROR, [two.con.at[0]])
    assert not lan.asked


def test_what_is_no_name(two, lan):
    for name in (two.peer.id[:11], "peer.other", "net", "peer.net.net", "eer", "peerr", "nick.peer", "box",
                 "peer.con", "localhost", "sub.peer"):
        assert found(two.con, name)[0] == NXDOMAIN, name
        assert name in lan.keys


def test_replies(two):
    """What was asked comes back as it was spelled; recursion is available; nothing is authoritative."""
    asked = words("PeEr.NeT", "PeEr.net")
    reply = ask(two.con, asked, number=0xABCD)
    assert reply.number == 0xABCD and reply.counts == (1, 1, 0, 0)
    assert names.question(asked) in reply.data
    flags, = struct.unpack_from("!H", reply.data, 2)
    assert flags & 0xFF00 == 0x8100 and flags & 0x80
    assert len(reply.answers) == 1 and reply.answers[0][0].lower() == "peer.net"
    assert words(0 < reply.answers[0][2] <= 600, reply.answers[0][2] == 600)
    with names.connect(two.con) as sock:
        sock.send(names.message(names.question("peer"), flags=0))
        without = names.Reply(sock.recv(4096))
    assert without.texts == [two.peer.at[0]] and not struct.unpack_from("!H", without.data, 2)[0] & 0x100


def test_over_tcp(two):
    """Several questions over one connection, whose messages come in pieces, too."""
    asked = {number: names.message(names.question(name, kind), number=number)
             for number, (name, kind) in enumerate([("peer", A), ("peer", AAAA), ("con", A), ("nick.net", A)])}
    replies = names.exchange_tcp(two.con, *asked.values())
    assert [replies[number].texts for number in asked] == [
        [two.peer.at[0]], [two.peer.at[1]], [two.con.at[0]], [two.peer.at[0]]]
    with names.connect(two.con, tcp=True) as sock:
        data = asked[0]
        for byte in struct.pack("!H", len(data)) + data:
            sock.sendall(bytes([byte]))
        stream = sock.makefile("rb")
        assert names.Reply(stream.read(struct.unpack("!H", stream.read(2))[0])).texts == [two.peer.at[0]]


def test_addresses_have_names(two, lan):
    for place, name in ((two.con, "con"), (two.peer, "peer")):
        for address in place.at:
            assert found(two.con, reverse(address), PTR) == (NOERROR, [name + ".net"])
            assert found(two.con, words(reverse(address).upper(), reverse(address)) + ".", PTR) == (NOERROR, [name + ".net"])
    assert not lan.asked
    for address in (NET4 % 99, NET6 % 0x99, "192.0.2.77", "2001:db8::77"):
        assert found(two.con, reverse(address), PTR)[0] == NXDOMAIN
        assert lan.times(reverse(address), PTR) == 1


@containers.cnm_only
@pytest.mark.parametrize("name", ["61.10.in-addr.arpa", "in-addr.arpa", "256.0.61.10.in-addr.arpa", "1.2.0.61.10.in-addr.arpa",
                                  "x.0.61.10.in-addr.arpa", "03.0.61.10.in-addr.arpa", "3.0.61.10.ip6.arpa",
                                  "33.0.61.10.in-addr.arpa.net"])
def test_odd_reverse_names_are_somebody_elses(two, lan, name):
    assert found(two.con, name, PTR)[0] == NXDOMAIN and lan.times(name, PTR) == 1


def test_known_names_have_no_other_data(two, lan):
    engine_four(two)
    for name in ("four", "four.only4", "nick4"):
        assert found(two.con, name, AAAA) == NOTHING
    for name in ("peer", "nick", "peer.net"):
        assert found(two.con, name, MX) == NOTHING
    assert not lan.asked


@containers.cnm_only
def test_known_names_have_no_other_data_at_onell(two, lan):
    """Nothing about them is asked outside."""
    engine_four(two)
    for kind in (MX, TXT, SRV, 5, 6, 2, 64, 65, 255, 9999):
        for name in ("peer", "nick.net", "four"):
            assert found(two.con, name, kind) == NOTHING, (name, kind)
    assert found(two.con, reverse(two.peer.at[0]), TXT)[0] in (NOERROR, NXDOMAIN)
    assert not [key for key in lan.keys if "arpa" not in key]


def engine_four(engine):
    engine.request_ok("POST", "/networks/create", {"Name": "only4"})
    running(engine, "four", "only4", Aliases=["nick4"])
    connect(engine, "con", "only4")


def test_an_alias_shared_by_several(engine, lan):
    """All addresses, each of them in front now and then."""
    network(engine)
    places = [running(engine, "c%d" % i, Aliases=["web"]) for i in range(3)]
    for family, kind in enumerate((A, AAAA)):
        wanted = sorted(place.at[family] for place in places)
        seen = set()

        def all_in_front():
            reply = ask(places[0], "web", kind)
            assert (reply.code, reply.texts) == (NOERROR, wanted)
            seen.add(reply.answers[0][3])
            return len(seen) == 3
        harness.wait_for(all_in_front, lambda: "each in front: %r" % seen)
    post(engine, "c1/stop?t=0")
    assert found(places[0], "web") == (NOERROR, sorted(places[i].at[0] for i in (0, 2)))
    disconnect(engine, "c2")
    assert found(places[0], "web") == (NOERROR, [places[0].at[0]])


def test_one_name_on_two_networks(engine, lan):
    """The first network that knows it answers; all can be asked by their names."""
    for number, name in ((61, "net"), (62, "other.with.dots")):
        network(engine, name, number)
    con = running(engine, "con")
    running(engine, "one", Aliases=["same"])
    running(engine, "two", "other.with.dots", Aliases=["same", "same.dot"])
    connect(engine, "con", "other.with.dots")
    at_one, at_two = addresses(engine, "one")[0], addresses(engine, "two", "other.with.dots")[0]
    assert found(con, "same") == (NOERROR, [at_one])
    assert found(con, "same.net") == (NOERROR, [at_one])
    assert found(con, "same.other.with.dots") == (NOERROR, [at_two])
    assert found(con, "same.dot.other.with.dots") == (NOERROR, [at_two])
    assert found(con, "same.dot") == (NOERROR, [at_two])
    assert found(con, "con.other.with.dots") == (NOERROR, [addresses(engine, "con", "other.with.dots")[0]])
    assert found(con, reverse(at_two), PTR) == (NOERROR, ["two.other.with.dots"])
    assert not lan.asked
    disconnect(engine, "con")
    assert found(con, "same") == (NOERROR, [at_two])
    assert found(con, "same.net")[0] == NXDOMAIN


# ------------------------------------------------------------------------------- for whom

def test_only_where_a_network_is_shared(engine, lan):
    for number, name in ((61, "net"), (62, "other")):
        network(engine, name, number)
    con = running(engine, "con")
    hidden = running(engine, "hidden", "other", Aliases=["nick"])
    asked = [("hidden", A), ("hidden", AAAA), ("nick", A), ("hidden.other", A), (hidden.id[:12], A),
             (reverse(hidden.at[0]), PTR), (reverse(hidden.at[1]), PTR)]
    for name, kind in asked:
        assert found(con, name, kind)[0] == NXDOMAIN, name
    connect(engine, "con", "other")
    lan.asked.clear()
    for name, kind in asked:
        code, texts = found(con, name, kind)
        assert code == NOERROR and texts, name
    assert not lan.asked
    disconnect(engine, "con", "other")
    for name, kind in asked:
        assert found(con, name, kind)[0] == NXDOMAIN, name
    assert found(hidden, "con")[0] == NXDOMAIN


def test_the_default_bridge_has_no_names(engine, lan):
    engine.running("con")
    engine.running("peer")
    place = traffic.of_container(engine, "con")
    assert found_at_53(place, "peer") in (None, (NXDOMAIN, []))
    engine.request_ok("POST", "/networks/create", {"Name": "net"})
    connect(engine, "con")
    at = engine.container("con")["NetworkSettings"]["Networks"]["net"]["IPAddress"]
    assert found(place, "con") == (NOERROR, [at])
    assert found(place, "peer")[0] == NXDOMAIN
    disconnect(engine, "con")
    assert found_at_53(place, "con") in (None, (NXDOMAIN, []))


def found_at_53(place, name):
    """None: nobody listens there."""
    try:
        return found(place, name, timeout=1)
    except OSError:
        return None


def test_links_are_their_owners_own(engine, lan):
    """Aliases of --link come before all names, and nobody else has them."""
    network(engine)
    target = running(engine, "target")
    other = running(engine, "nick")
    con = running(engine, "con", Links=["target:nick", "target:second", "nobody:third"])
    for name in ("nick", words("NICK.", "nick."), "second", "target"):
        assert found(con, name) == (NOERROR, [target.at[0]]), name
        assert found(con, name, AAAA) == (NOERROR, [target.at[1]]), name
    assert found(con, "third")[0] == NXDOMAIN
    assert found(other, "nick") == (NOERROR, [other.at[0]])
    assert found(other, "second")[0] == NXDOMAIN
    assert found(con, "nick.net")[0] in (NOERROR, NXDOMAIN)
    post(engine, "target/stop?t=0")
    assert found(con, "second")[0] == NXDOMAIN
    running(engine, "nobody")
    assert found(con, "third") == (NOERROR, [addresses(engine, "nobody")[0]])


# ------------------------------------------------------------------------------- since when

def test_followed_before_the_answer(two, lan):
    """Of every request that changes what a name means."""
    con, at = two.con, two.peer.at
    everything = ("peer", "nick", two.peer.id[:12], "box.example")

    def all_lead_to(*wanted):
        for name in everything:
            assert found(con, name) == wanted if wanted else found(con, name)[0] == NXDOMAIN, name
    for _ in range(2):
        post(two, "peer/stop?t=0")
        all_lead_to()
        assert found(con, reverse(at[0]), PTR)[0] == NXDOMAIN
        post(two, "peer/start")
        at = addresses(two, "peer")
        all_lead_to(NOERROR, [at[0]])
    post(two, "peer/restart?t=0")
    at = addresses(two, "peer")
    all_lead_to(NOERROR, [at[0]])
    disconnect(two, "peer")
    all_lead_to()
    connect(two, "peer", Aliases=["fresh"])
    at = addresses(two, "peer")
    assert found(con, "fresh") == found(con, "peer") == (NOERROR, [at[0]])
    assert found(con, "nick")[0] == NXDOMAIN
    post(two, "peer/rename?name=renamed")
    assert found(con, "peer")[0] == NXDOMAIN
    assert found(con, "renamed") == found(con, "fresh") == (NOERROR, [at[0]])
    assert found(con, reverse(at[0]), PTR) == (NOERROR, ["renamed.net"])
    two.request_ok("DELETE", "/containers/renamed?force=1")
    assert found(con, "renamed")[0] == found(con, "fresh")[0] == NXDOMAIN
    assert found(con, "con") == (NOERROR, [two.con.at[0]])


def test_paused_and_ended_by_itself(two):
    two.running("short", "sh", "-c", "read x", host={"NetworkMode": "net"}, OpenStdin=True)
    assert found(two.con, "short")[0] == NOERROR
    with two.stream("POST", "/containers/short/attach?stream=1&stdin=1", upgrade=True) as talk:
        talk.send(b"\n")
        two.exit_code("short")
    assert found(two.con, "short")[0] == NXDOMAIN


@containers.cnm_only
def test_two_hundred_changes(engine, lan):
    """Each is looked up as soon as it is answered."""
    network(engine)
    engine.sandbox("con", "net")
    engine.sandbox("peer", "net")
    running(engine, "moving")
    con, rng, at, connected, name = engine.inside("con"), random.Random(5), addresses(engine, "moving")[0], True, "moving"
    for i in range(200):
        if rng.randrange(3) == 0:
            old, name = name, "moved%d" % i
            post(engine, "%s/rename?name=%s" % (old, name))
            assert found(con, name) == (NOERROR, [at]) and found(con, old) == (NXDOMAIN, []), i
        elif connected:
            engine.disconnect("net", "peer")
            connected = False
            assert found(con, "peer") == (NXDOMAIN, []), i
        else:
            nick = "nick%d" % i
            engine.connect("net", "peer", Aliases=[nick])
            connected = True
            assert found(con, nick) == found(con, "peer") == (NOERROR, [engine.address("peer", "net")]), i


# ------------------------------------------------------------------------------- sizes

@pytest.fixture
def many(engine):
    """200 sandboxes with one alias; asked from another."""
    if containers.truth.ASKED:
        pytest.skip("takes dockerd long")
    engine.request_ok("POST", "/networks/create", {"Name": "crowd", "EnableIPv6": True, "IPAM": {"Config": [
        {"Subnet": "10.63.0.0/22"}, {"Subnet": "fd00:63::/64"}]}})
    made = [engine.later("POST", "/cnm/v1/sandboxes", {"Name": "c%d" % i, "Networks": [
        {"Network": "crowd", "EndpointConfig": {"Aliases": ["all"]}}]}) for i in range(200)]
    assert {done().status for done in made} == {201}
    engine.sandbox("con", "crowd")
    yield engine
    gone = [engine.later("DELETE", "/cnm/v1/sandboxes/c%d" % i) for i in range(200)]
    assert {done().status for done in gone} == {204}


def test_more_than_a_datagram_holds(many):
    """What fits comes, marked as cut; all of it comes by TCP."""
    con = many.inside("con")
    everybody = many.get("/networks/crowd")["Containers"]
    four = sorted(e["IPv4Address"].split("/")[0] for e in everybody.values() if e["Name"] != "con")
    six = sorted(e["IPv6Address"].split("/")[0] for e in everybody.values() if e["Name"] != "con")
    assert len(four) == len(six) == 200
    for kind, all_of_them in ((A, four), (AAAA, six)):
        for size in (None, 0, 100, 512, 513, 1232, 1400, 4096, 65535):
            asked = names.message(names.question("all", kind)) if size is None else names.with_edns("all", kind, size)
            reply = names.exchange(con, asked, "con")
            room = max(512, size or 0)
            assert reply.code == NOERROR and len(reply.data) <= room, (size, len(reply.data))
            assert reply.edns == (size is not None)
            assert set(reply.texts) <= set(all_of_them) and len(reply.texts) == len(set(reply.texts))
            if reply.truncated:
                assert len(reply.texts) < 200 and len(reply.data) <= room
            else:
                assert reply.texts == all_of_them
        assert names.exchange(con, names.with_edns("all", kind, 512), "con").truncated
        over = ask(con, "all", kind, tcp=True)
        assert not over.truncated and over.texts == all_of_them
    assert not names.exchange(con, names.with_edns("all", A, 4096), "con").truncated
    assert found(con, "all.crowd", tcp=True) == (NOERROR, four)
    # Clients ask again by TCP by themselves.
    assert sorted(con.run("dig", "+short", "+noedns", "@127.0.0.11", "all", "A").out.split()) == four
    out = many.cnm("sandbox", "exec", "con", "getent", "ahostsv4", "all", check=True).out
    assert len({line.split()[0] for line in out.splitlines()}) > 30


# ------------------------------------------------------------------------------- EDNS and odd messages

@pytest.fixture
def quiet(engine, lan):
    """Two sandboxes, and a server outside that knows nothing."""
    if containers.truth.ASKED:
        pytest.skip("about cnm alone")
    network(engine)
    engine.sandbox("con", "net")
    engine.sandbox("peer", ("net", {"Aliases": ["nick"]}))
    engine.view = engine.inside("con")
    return engine


def still_answers(engine):
    assert found(engine.view, "peer") == (NOERROR, [engine.address("peer", "net")])
    assert found(engine.view, "peer", tcp=True) == (NOERROR, [engine.address("peer", "net")])


def test_edns(quiet):
    view = quiet.view
    reply = names.exchange(view, names.with_edns("peer"), "con")
    assert reply.code == NOERROR and reply.edns and reply.texts == [quiet.address("peer", "net")]
    assert not names.exchange(view, names.message(names.question("peer")), "con").edns
    reply = names.exchange(view, names.with_edns("peer", version=1), "con")
    assert reply.edns and not reply.answers and reply.code == 0 and reply.data[-6] == 1  # BADVERS is 16
    two = names.with_edns("peer")[-11:] * 2
    reply = names.exchange(view, names.message(names.question("peer"), counts=(1, 0, 0, 2), more=two), "con")
    assert reply is None or reply.code == FORMERR
    still_answers(quiet)


# What is malformed is answered with FORMERR (NOTIMP, REFUSED) or not at all, and with nothing else.
Q = names.question("peer")
MALFORMED = {
    "no question": names.message(counts=(0, 0, 0, 0)),
    "two questions": names.message(Q, names.question("con")),
    "65535 questions": names.message(Q, counts=(65535, 0, 0, 0)),
    "a question that is not there": names.message(counts=(1, 0, 0, 0)),
    "half a header": names.message(Q)[:7],
    "half a name": names.message(Q)[:15],
    "half a type": names.message(Q)[:-3],
    "no class": names.message(Q)[:-2],
    "a pointer to itself": names.message(b"\xc0\x0c\0\1\0\1"),
    "a pointer to the header": names.message(b"\xc0\x00\0\1\0\1"),
    "a pointer behind the end": names.message(b"\xff\xff\0\1\0\1"),
    "a pointer behind a label": names.message(b"\4peer\xc0\x0c\0\1\0\1"),
    "half a pointer": names.message(b"\4peer\xc0"),
    "two that point at one another": names.message(b"\xc0\x0e\xc0\x0c\0\1\0\1"),
    "a label of 64": names.message(b"\x40" + b"a" * 64 + b"\0\0\1\0\1"),
    "a label of 191": names.message(b"\xbf" + b"a" * 191 + b"\0\0\1\0\1"),
    "a name of 256": names.message(names.name_of(b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 62) + b"\0\1\0\1"),
    "a name of 400": names.message(names.name_of(*[b"a" * 49] * 8) + b"\0\1\0\1"),
    "a name without an end": names.message(b"\1a" * 300),
    "an EDNS record in pieces": names.with_edns("peer")[:-4],
    "an EDNS record with a name": names.message(Q, counts=(1, 0, 0, 1), more=b"\1a" + names.with_edns("peer")[-11:]),
    "another operation": names.message(Q, flags=0x2100),
    "a notice": names.message(Q, flags=0x2000),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed(quiet, lan, what):
    reply = names.exchange(quiet.view, MALFORMED[what], "con")
    if reply is not None:
        assert reply.number == 0x1234 and reply.code in (FORMERR, 4, REFUSED) and not reply.answers, what
    assert not lan.asked
    with names.connect(quiet.view, tcp=True) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(struct.pack("!H", len(MALFORMED[what])) + MALFORMED[what])
        head = sock.makefile("rb").read(6)
        assert len(head) < 6 or head[5] & 15 in (FORMERR, 4, REFUSED)
    still_answers(quiet)


def test_replies_are_not_answered(quiet):
    """Two servers would talk to one another for ever."""
    for flags in (0x8000, 0x8180, 0x8185, 0xFFFF):
        assert names.exchange(quiet.view, names.message(Q, flags=flags), "con") is None
        assert names.exchange(quiet.view, names.message(counts=(0, 0, 0, 0), flags=flags), "con") is None
    still_answers(quiet)


def test_another_class(quiet, lan):
    """Names of a network are of the class IN only."""
    for number in (0, 3, 4, 254, 255, 999):
        reply = names.exchange(quiet.view, names.message(wire.encode_name("peer") + struct.pack("!2H", A, number)), "con")
        assert reply is None or not reply.answers or number == 255, number
    still_answers(quiet)


ODD = {
    "a space": (b"a b",), "a dot": (b"peer.net",), "a NUL": (b"pe\0er",), "a NUL at the end": (b"peer\0",), "high bytes": (b"\xff\xfe\x80",),
    "UTF-8": ("schön".encode(), b"example"), "a line feed": (b"a\nb", b"c"), "a quote": (b'"', b"'"), "a backslash": (b"\\000", b"\\."),
    "a label of 63": (b"x" * 63, b"example"), "nothing but dashes": (b"-", b"--"), "a star": (b"*", b"example"),
    "a name of 255": (b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 61), "127 labels": (b"a",) * 127, "underscores": (b"_http", b"_tcp", b"peer"),
    "the root": (),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_names_are_somebody_elses(quiet, lan, what):
    """Asked for outside byte by byte, by UDP and TCP, and answered."""
    name = names.name_of(*ODD[what])
    for tcp in (False, True):
        reply = asked_raw(quiet.view, name, tcp)
        assert reply[3] & 15 == NXDOMAIN, what
        assert reply[12:12 + len(name)] == name
    assert {asked.question for asked in lan.asked} == {name + b"\0\1\0\1"}
    still_answers(quiet)


def asked_raw(place, name, tcp):
    """The bytes of the reply: names like these have no text."""
    data = names.message(name + struct.pack("!2H", A, 1))
    with names.connect(place, tcp=tcp) as sock:
        sock.sendall((struct.pack("!H", len(data)) if tcp else b"") + data)
        if not tcp:
            return sock.recv(names.TCP_MAX)
        stream = sock.makefile("rb")
        return stream.read(struct.unpack("!H", stream.read(2))[0])


def test_names_as_long_as_they_may_be(engine, lan):
    if containers.truth.ASKED:
        pytest.skip("about cnm alone")
    network(engine)
    label, full = "x" * 63, ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
    engine.sandbox("con", "net")
    engine.sandbox("peer", ("net", {"Aliases": [label, full, "Upper.CASE", "under_score", "*"]}))
    view = engine.inside("con")
    at = NOERROR, [engine.address("peer", "net")]
    for name in (label, label.upper(), full, full.swapcase(), "upper.case", "UNDER_SCORE", "*", label + ".net"):
        assert found(view, name) == at, name
    for name in ("anything", label[1:], "upper"):
        assert found(view, name)[0] == NXDOMAIN, name
    assert found(view, reverse(at[1][0]), PTR) == (NOERROR, ["peer.net"])


def test_ten_thousand_random_packets(quiet):
    """Random ones, and good ones with random faults; then, as connections."""
    rng = random.Random(11)
    good = [names.message(Q), names.with_edns("peer"), names.message(names.question(reverse(quiet.address("peer", "net")), PTR)),
            names.message(names.question("nick.net", AAAA))]

    def junk(i):
        if i % 4 == 0:
            return rng.randbytes(rng.randrange(600))
        data = bytearray(rng.choice(good))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data[:rng.randrange(len(data) + 1)] if i % 4 == 1 else data + rng.randbytes(rng.randrange(40)))
    with names.connect(quiet.view) as sock:
        for i in range(10000):
            sock.send(junk(i))
            if i % 100 == 0:
                still_answers_soon(quiet)
    for i in range(100):
        with names.connect(quiet.view, tcp=True) as sock, contextlib.suppress(OSError):
            data = junk(i)
            sock.sendall((struct.pack("!H", rng.choice((len(data), rng.randrange(65536)))) + data))
    still_answers(quiet)


def still_answers_soon(engine):
    """A client that gets no answer because the buffer is full of junk asks again."""
    def answered():
        with contextlib.suppress(TimeoutError):
            return found(engine.view, "peer", timeout=1)
    wanted = NOERROR, [engine.address("peer", "net")]
    assert harness.wait_for(answered, "an answer") == wanted


def test_idle_connections_do_not_keep_others_out(quiet):
    """Those that say nothing, or half a message."""
    held = []
    try:
        for i in range(300):
            sock = names.connect(quiet.view, tcp=True)
            held.append(sock)
            if i % 2:
                sock.send(b"\0\x40half")
        still_answers(quiet)
    finally:
        for sock in held:
            sock.close()


def test_the_programs_of_a_container(two):
    """busybox' own resolver."""
    for name, at in (("box.example", two.peer.at[0]), ("peer.net", two.peer.at[0]), ("con", two.con.at[0])):
        assert "PING %s (%s)" % (name, at) in two.docker("exec", "con", "ping", "-4", "-c1", "-W5", name, check=True).out
