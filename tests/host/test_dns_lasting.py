# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names while the daemon comes and goes, beside servers of the containers' own, after damage, and with very many.

CNM_MANY=1000 in the environment: how many sandboxes the last test makes."""
import concurrent.futures
import contextlib
import os
import random
import threading

import pytest

import containers
import harness
import names
import traffic
from names import ask, found, reverse
from wire import AAAA, NOERROR, NXDOMAIN, PTR

pytest_plugins = ["container_fixtures"]
pytestmark = pytest.mark.xdist_group("test_dns_lasting")
FAR, ELSEWHERE = "203.0.113.5", "203.0.113.9"
MANY = int(os.environ.get("CNM_MANY", "300"))


@pytest.fixture
def furnished(engine):
    """Three sandboxes, of which one has a server of its own, and a server outside."""
    if containers.truth.ASKED:
        pytest.skip("about cnm alone")
    traffic.both_families(engine, "net", 66)
    engine.sandbox("con", "net")
    engine.sandbox("peer", ("net", {"Aliases": ["nick", "shared"]}))
    engine.sandbox("own", ("net", {"Aliases": ["shared"], "Links": ["peer:link"]}), Dns=["192.0.2.11"])
    engine.view = engine.inside("con")
    at = {name: engine.address(name, "net") for name in ("con", "peer", "own")}
    engine.local = {"peer": [at["peer"]], "nick.net": [at["peer"]], "shared": [at["peer"], at["own"]], "con": [at["con"]]}
    with names.upstream(engine, script={"kept.example": names.says(FAR, ttl=60)}, other=names.says(FAR)) as engine.server, names.upstream(
            engine, "192.0.2.11", other=names.says(ELSEWHERE)):
        yield engine


def loops(engine):
    """Without a pause: local names, new names outside, those and others from a sandbox with a server of its own."""
    return [names.Loop(engine.view, engine.local),
            names.Loop(engine.view, {"kept.example": [FAR]}, fresh=lambda n: ("a%d.example" % n, [FAR])),
            names.Loop(engine.inside("own"), {"link": engine.local["peer"], "con": engine.local["con"]},
                       fresh=lambda n: ("b%d.example" % n, [ELSEWHERE]))]


@pytest.mark.parametrize("kill", [False, True], ids=["restart", "kill -9"])
def test_no_question_is_lost(furnished, kill):
    """Ten times, each question asked once and answered within a client's first patience."""
    running = loops(furnished)
    try:
        for _ in range(10):
            for loop in running:
                loop.advance(8)
            furnished.restart(kill=kill)
        for loop in running:
            loop.advance(8)
    finally:
        for loop in running:
            loop.stopping = True
    for loop in running:
        assert loop.stop() > 80


def test_changes_between_and_questions_meanwhile(furnished):
    """Each life of the daemon knows what the former one did last."""
    with contextlib.closing(_Stopping(names.Loop(furnished.view, {"peer": furnished.local["peer"]}))):
        for i in range(5):
            furnished.sandbox("new%d" % i, ("net", {"Aliases": ["fresh"]}))
            if i:
                furnished.remove_sandbox("new%d" % (i - 1))
            furnished.kill9()
            with names.connect(furnished.view, timeout=harness.PATIENCE) as sock:
                sock.send(names.message(names.question("fresh")))
                furnished.start()
                reply = names.Reply(sock.recv(4096))
            assert reply.texts == [furnished.address("new%d" % i, "net")]
            assert found(furnished.view, "new%d" % (i - 1))[0] in (NXDOMAIN, NOERROR)


class _Stopping:
    def __init__(self, loop):
        self.close = loop.stop


@pytest.mark.parametrize("kill", [False, True], ids=["stop", "kill -9"])
def test_questions_on_their_way_outlive_it(furnished, kill):
    """Those that a server outside has not answered yet are asked again by the next daemon, and those behind them
    are not forgotten, either."""
    begun = threading.Event()
    furnished.server.script["slow.example"] = lambda asked: (
        names.says(FAR)(asked) if begun.is_set() else names.never(asked))
    waiting = {}
    for name in ("slow.example", "peer", "other.example"):
        sock = waiting[name] = names.connect(furnished.view, timeout=harness.PATIENCE)
        sock.send(names.message(names.question(name)))
        if name == "slow.example":
            harness.wait_for(lambda: furnished.server.times("slow.example"), "it is asked")
    (furnished.kill9 if kill else furnished.stop)()
    begun.set()
    late = waiting["nick"] = names.connect(furnished.view, timeout=harness.PATIENCE)
    late.send(names.message(names.question("nick")))
    furnished.start()
    for name, sock in waiting.items():
        with sock:
            assert names.Reply(sock.recv(4096)).texts == ([FAR] if "example" in name else furnished.local["peer"]), name


def test_by_tcp(furnished):
    """Connections end with the daemon; new ones wait for the next."""
    def ask(sock):
        data = names.message(names.question("peer"))
        sock.sendall(len(data).to_bytes(2, "big") + data)

    def answer(sock):
        with sock.makefile("rb") as stream:
            return names.Reply(stream.read(int.from_bytes(stream.read(2), "big"))).texts
    with names.connect(furnished.view, tcp=True) as sock:
        ask(sock)
        assert answer(sock) == furnished.local["peer"]
        furnished.kill9()
        assert not sock.recv(1)
        later = names.connect(furnished.view, tcp=True, timeout=harness.PATIENCE)
        with later:
            ask(later)
            furnished.start()
            assert answer(later) == furnished.local["peer"]


def test_a_container_over_restarts(furnished):
    """As it is with sandboxes."""
    furnished.running("box", host={"NetworkMode": "net"})
    place = traffic.of_container(furnished, "box")
    loop = names.Loop(place, {"peer": furnished.local["peer"], "box": [
        furnished.container("box")["NetworkSettings"]["Networks"]["net"]["IPAddress"]]})
    for kill in (False, True, True):
        loop.advance(5)
        furnished.restart(kill=kill)
    loop.advance(5)
    loop.stop()


# ------------------------------------------------------------------------------- beside others

def test_a_server_of_the_containers_own(engine):
    """On port 53 of all its addresses: it is asked there, and we at ours."""
    engine.request_ok("POST", "/networks/create", {"Name": "net"})
    for name in ("con", "peer"):
        engine.running(name, host={"NetworkMode": "net"})
    con, peer = (traffic.of_container(engine, name) for name in ("con", "peer"))
    at = engine.container("con")["NetworkSettings"]["Networks"]["net"]["IPAddress"]
    with names.upstream(engine, "0.0.0.0", other=names.says(ELSEWHERE), place=con) as server:
        for place, address in ((peer, at), (con, "127.0.0.1"), (con, at)):
            for tcp in (False, True):
                data = names.message(names.question("some.example"))
                with names.connect(place, tcp=tcp, server=(address, 53)) as sock:
                    sock.sendall((len(data).to_bytes(2, "big") if tcp else b"") + data)
                    got = sock.recv(4096)
                    assert names.Reply(got[2:] if tcp else got).texts == [ELSEWHERE], (address, tcp)
        asked = len(server.asked)
        for place in (con, peer):
            for tcp in (False, True):
                assert found(place, "con", tcp=tcp) == (NOERROR, [at])
        assert len(server.asked) == asked


DAMAGE = ["nft flush ruleset", "for t in $(nft list tables | awk '{print $2 \":\" $3}'); do nft delete table ${t%:*} ${t#*:}; done",
          "nft list tables | awk '{print $2, $3}' | while read f t; do nft flush table $f $t; done",
          "ip addr flush dev lo; ip link set lo down", "ip link set lo down", "ip addr flush dev lo"]


@pytest.mark.parametrize("away", [False, True], ids=["there", "away"])
@pytest.mark.parametrize("what", DAMAGE)
def test_damage_heals(furnished, what, away):
    """Of the sandbox's own rules: by itself, and with the next daemon."""
    if away:
        furnished.kill9()
    furnished.view.run("sh", "-c", what)
    if away:
        furnished.start()

    def answers():
        with contextlib.suppress(OSError):
            return found(furnished.view, "peer", timeout=0.2 * harness.SLOW) == (NOERROR, furnished.local["peer"])
    harness.wait_for(answers, "names are answered again: " + what)
    assert found(furnished.view, "new.example") == (NOERROR, [FAR])
    assert found(furnished.view, "peer", tcp=True) == (NOERROR, furnished.local["peer"])
    furnished.wait_healed()


# ------------------------------------------------------------------------------- very many

NETWORKS = 5


def nicknames(number):
    """Eight: with its name and its id it has ten."""
    return ["%s%d" % (letter, number) for letter in "abcdefg"] + ["all"]


class Crowd:
    """Sandboxes on a few networks, and one on each of these that looks."""

    def __init__(self, host):
        self.host, self.at, self.ids, self.wrong, self.lock = host, {}, {}, [], threading.Lock()
        for net in range(NETWORKS):
            host.request_ok("POST", "/networks/create", {"Name": "m%d" % net, "IPAM": {"Config": [
                {"Subnet": "10.%d.0.0/22" % (70 + net)}]}})
            host.sandbox("look%d" % net, "m%d" % net)
        self.views = [host.inside("look%d" % net) for net in range(NETWORKS)]

    def check(self, number, name, wanted, **how):
        got = found(self.views[number % NETWORKS], name, **how)
        if got != wanted:
            with self.lock:
                self.wrong.append((number, name, got, wanted))

    def some_name(self, number):
        return random.choice(["s%d" % number, self.ids[number][:12], *nicknames(number)[:-1],
                              "s%d.m%d" % (number, number % NETWORKS)])

    def make(self, number):
        """And look at once."""
        name, net = "s%d" % number, "m%d" % (number % NETWORKS)
        made = self.host.request("POST", "/cnm/v1/sandboxes", {"Name": name, "Networks": []})
        assert made.status == 201, repr(made)
        self.ids[number] = made.json["Id"]
        answer = self.host.request("POST", "/networks/%s/connect" % net, {
            "Container": name, "EndpointConfig": {"Aliases": nicknames(number), "IPAMConfig": {
                "IPv4Address": "10.%d.%d.%d" % (70 + number % NETWORKS, 1 + number // NETWORKS // 250,
                                                1 + number // NETWORKS % 250)}}})
        self.at[number] = "10.%d.%d.%d" % (70 + number % NETWORKS, 1 + number // NETWORKS // 250, 1 + number // NETWORKS % 250)
        assert answer.status == 200, repr(answer)
        self.check(number, self.some_name(number), (NOERROR, [self.at[number]]))

    def move(self, number):
        """Off the network and on it again, at another name."""
        name, net = "s%d" % number, "m%d" % (number % NETWORKS)
        self.host.request_ok("POST", "/networks/%s/disconnect" % net, {"Container": name})
        self.check(number, "a%d" % number, (NXDOMAIN, []))
        self.host.request_ok("POST", "/networks/%s/connect" % net, {"Container": name, "EndpointConfig": {
            "Aliases": nicknames(number)[1:] + ["z%d" % number], "IPAMConfig": {"IPv4Address": self.at[number]}}})
        self.check(number, random.choice(["z%d", "s%d", "b%d"]) % number, (NOERROR, [self.at[number]]))

    def remove(self, number):
        self.host.request_ok("DELETE", "/cnm/v1/sandboxes/s%d" % number)
        self.check(number, "s%d" % number, (NXDOMAIN, []))

    def all_of_them(self):
        """Every name, first thing."""
        for number in self.at:
            for name in ("s%d" % number, self.ids[number][:12], "c%d" % number, "s%d.m%d" % (number, number % NETWORKS)):
                self.check(number, name, (NOERROR, [self.at[number]]))
            self.check(number, "s%d" % number, (NOERROR, []), kind=AAAA)
            got = found(self.views[number % NETWORKS], reverse(self.at[number]), PTR)
            if got != (NOERROR, ["s%d.m%d" % (number, number % NETWORKS)]):
                self.wrong.append((number, got))
        for net in range(NETWORKS):
            self.check(net, "all", (NOERROR, sorted(at for number, at in self.at.items() if number % NETWORKS == net)), tcp=True)

    def done(self):
        assert not self.wrong, "%d wrong or missing: %r" % (len(self.wrong), self.wrong[:5])


@containers.cnm_only
def test_very_many(engine):
    """Ten names each: none wrong, none missing, from the answer to the request on."""
    with names.upstream(engine):
        crowd = Crowd(engine)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(crowd.make, range(MANY)))
            crowd.done()
            crowd.all_of_them()
            crowd.done()
            list(pool.map(crowd.move, range(0, MANY, 5)))
            crowd.done()
            engine.restart(kill=True)
            crowd.all_of_them()
            crowd.done()
            list(pool.map(crowd.remove, range(MANY)))
            crowd.done()
