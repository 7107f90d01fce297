# SPDX-License-Identifier: LGPL-2.1-or-later
"""Names: what the embedded DNS server answers a second and how soon, beside a bare responder and
Docker's and Podman's servers; names it asks another server for, beside that asked directly; and
names in numbers, which are to be right from the answer of the request that made them."""
import contextlib
import functools
import itertools
import json
import re
import subprocess
import time

from cnm import QUIET, Engine
from containers import in_turn
from host import Failed, Teller
from rivals import Docker, Podman
from table import number
from traffic import LAN, Lan

EMBEDDED, BESIDE = "127.0.0.11", "127.0.0.12"
BARE = "192.0.2.80"          # what the bare responder answers
OUTSTANDING = 100
LOST = 0.001                 # of what is asked, at most
DISTINCT = 100000
FAR_US = 1000                # how long a server takes that is some way off
KEPT_S = 3600                # TTL of what is to be cached
NETWORKS, NAMES = 4, 10
RATE_GOALS = {"bare": 0.9, "bare inside": 0.9, "Docker": 2.5}
PERCENTILES = "median", "99th percentile"


class Asked:
    """A server, where it is asked from, and for what: a name, or many if there is a "%" in it."""

    def __init__(self, paths, ends, netns, server, name, address):
        self.netns, self.server, self.name, self.address = netns, server, name, address
        self.data = "%s/asked.%d" % (paths.scratch, id(self))
        with open(self.data, "w") as f:
            for i in range(DISTINCT if "%" in name else 1):
                f.write("%s A\n" % name.replace("%", "%d" % i))
        self.lookup = Teller([paths.tool("lookup"), netns, server])
        ends.callback(self.lookup.end)

    def check(self, asked, right):
        """One that is lost now and then is the load's; more, and it is no figure."""
        if asked - right > asked * LOST:
            raise Failed("%d of %d answers of %s for %s are wrong or missing" % (
                asked - right, asked, self.server, self.name))

    def dnsperf(self, seconds):
        """Queries a second, with many outstanding, as far as dnsperf can ask."""
        done = subprocess.run(
            ["nsenter", "--net=" + self.netns, "dnsperf", "-s", self.server, "-d", self.data,
             "-l", str(seconds), "-q", str(OUTSTANDING), "-t", "2"],
            capture_output=True, text=True, timeout=60)
        found = [re.search(what + r"([\d.]+)", done.stdout) for what in (
            r"Queries sent: +", r"NOERROR ", r"Queries per second: +")]
        if not all(found):
            raise Failed("dnsperf asks %s for %s: %s" % (
                self.server, self.name, (done.stderr or done.stdout).strip()[-200:]))
        sent, right, rate = [float(match.group(1)) for match in found]
        self.check(sent, right)
        return rate

    def flood(self, seconds):
        """The same, asked by what costs less than the server."""
        self.lookup.tell("flood %d %d %s %s" % (1000 * seconds, OUTSTANDING, self.name,
                                                self.address))
        came, ns, wrong = [int(word) for word in self.lookup.line().split()]
        self.check(came + wrong, came)
        return came * 1e9 / ns

    def times(self, n):
        """Median and 99th percentile of n queries one after the other, in ms."""
        self.lookup.tell("ask %d %s %s" % (n, self.name, self.address))
        median, p99, wrong = [int(word) for word in self.lookup.line().split()]
        self.check(n, n - wrong)
        return median / 1e6, p99 / 1e6


class Bare:
    """A bare responder."""

    def __init__(self, paths, ends, netns, server, ttl, delay_us=0):
        self.teller = Teller([paths.tool("responder"), netns, server, str(ttl), str(delay_us)])
        ends.callback(self.teller.end)
        if self.teller.line() != "ready\n":
            raise Failed("the bare responder does not run")


class World:
    """A host with cnm, where the sandbox `asker` asks, and a LAN."""

    def __init__(self, paths):
        self.paths, self.ends = paths, contextlib.ExitStack()

    def end(self):
        self.ends.close()

    @functools.cached_property
    def engine(self):
        engine = Engine(self.paths, nameserver=LAN)
        self.ends.callback(engine.end)
        engine.create_network("net")
        for name in ("asker", "target"):
            engine.create_sandbox(name, "net")
        return engine

    @functools.cached_property
    def lan(self):
        lan = Lan(self.engine.host)
        self.ends.callback(lan.end)
        return lan

    @functools.cached_property
    def inside(self):
        return self.engine.netns("asker")

    @functools.cached_property
    def local(self):
        return self.asked(self.inside, EMBEDDED, "target", self.engine.address("target"),
                          self.ends)

    def asked(self, netns, server, name, address, ends):
        return Asked(self.paths, ends, netns, server, name, address)

    def bare(self, ends):
        """At this address itself, in a namespace without rules."""
        Bare(self.paths, ends, self.lan.netns, EMBEDDED, 0)
        return self.asked(self.lan.netns, EMBEDDED, "target", BARE, ends)

    def bare_inside(self, ends):
        """Beside the sandbox's own: packets meet the namespace's rules, but none is theirs."""
        Bare(self.paths, ends, self.inside, BESIDE, 0)
        return self.asked(self.inside, BESIDE, "target", BARE, ends)


# --------------------------------------------------------------------------- a local name

def ask_rival(world, ends, kind):
    """Its server, asked for one container from another on a network of theirs."""
    rival = kind(world.paths)
    ends.callback(rival.end)
    rival.create_network("names")
    for name in ("asker", "target"):
        rival.create_container(name, "names")
        rival.start_container(name)
    netns, asker = rival.endpoint("asker", "names")
    address = rival.endpoint("target", "names")[1]["IPAddress"]
    server = world.asked(netns, EMBEDDED if kind is Docker else asker["Gateway"], "target", address,
                         ends)
    server.times(100)
    return server


def find_servers(world, table, ends):
    """What is beside cnm, by name. Who cannot be had is said."""
    servers = {"bare": world.bare(ends), "bare inside": world.bare_inside(ends)}
    for kind in (Docker, Podman):
        try:
            servers[kind.NAME] = ask_rival(world, ends, kind)
        except Failed as failed:
            table.failed("beside " + kind.NAME, failed)
    return servers


def measure_local(world, table, quick):
    table.title("a local name, asked by UDP in a sandbox, beside a bare responder and others")
    n, seconds = (4, 0.3) if quick else (12, 0.5)
    with contextlib.ExitStack() as ends:
        servers = find_servers(world, table, ends)
        asked = [world.local, *servers.values()]
        for how in (Asked.dnsperf, Asked.flood):
            rates = in_turn(n, *(lambda _, one=one: how(one, seconds) for one in asked))
            for name, theirs in zip(servers, rates[1:]):
                table.rates("queries a second by %s, by %s's" % (how.__name__, name),
                            list(zip(rates[0], theirs)), RATE_GOALS.get(name), ("cnm", name))
        show_times(table, asked, servers, quick)


def show_times(table, asked, names, quick):
    """Of the first, by those of each of the others."""
    n, queries = (8, 1000) if quick else (30, 2000)
    times = in_turn(n, *(lambda _, one=one: one.times(queries) for one in asked))
    for i, which in enumerate(PERCENTILES):
        ours, *others = [[pair[i] for pair in of_one] for of_one in times]
        for name, theirs in zip(names, others):
            table.pairs("one outstanding, %s, by %s's" % (which, name), list(zip(ours, theirs)),
                        1.2 if name.startswith("bare") else None, ("cnm", name))


# ------------------------------------------------------------------------------ forwarded names

def measure_cached(world, table, quick):
    table.title("a name of another server's that is cached, by a local name")
    n, seconds = (4, 0.3) if quick else (12, 0.5)
    with contextlib.ExitStack() as ends:
        Bare(world.paths, ends, world.lan.netns, LAN, KEPT_S)
        cached = world.asked(world.inside, EMBEDDED, "cached.example", BARE, ends)
        cached.times(1)
        both = cached, world.local
        for how in (Asked.dnsperf, Asked.flood):
            rates = in_turn(n, *(lambda _, one=one: how(one, seconds) for one in both))
            table.rates("queries a second by %s" % how.__name__, list(zip(*rates)), 0.9,
                        ("cached", "local"))
        times = in_turn(n, *(lambda _, one=one: one.times(1000)[0] for one in both))
        table.pairs("one outstanding, median", list(zip(*times)), None, ("cached", "local"))


def measure_passed_on(world, table, quick):
    """The server is on another machine; directly means from the same sandbox."""
    table.title("a name of another server's that is not cached, by that server asked directly")
    for far in (FAR_US, 0):
        with contextlib.ExitStack() as ends:
            Bare(world.paths, ends, world.lan.netns, LAN, 0, far)
            both = [world.asked(world.inside, server, "%.example", BARE, ends)
                    for server in (EMBEDDED, LAN)]
            show_passed_on(table, both, quick, "in %g ms" % (far / 1000) if far else "at once")


def show_passed_on(table, both, quick, how_soon):
    n, queries = (8, 200) if quick else (30, 500)
    for one in both:
        one.times(100)
    times = in_turn(n, *(lambda _, one=one: one.times(queries) for one in both))
    for i, which in enumerate(PERCENTILES):
        table.pairs("one outstanding, %s, it answers %s" % (which, how_soon),
                    [(ours[i], theirs[i]) for ours, theirs in zip(*times)],
                    None if i else 1.3, ("cnm", "directly"))
    if how_soon == "at once":
        rates = in_turn(n // 2, *(lambda _, one=one: one.dnsperf(0.3 if quick else 0.5)
                                  for one in both))
        table.rates("queries a second by dnsperf, it answers at once", list(zip(*rates)), None,
                    ("cnm", "directly"))


# ------------------------------------------------------------------------------ names in numbers

class Many:
    """A host with networks that a sandbox `watcher` is on, to which others are connected, under so
    many names besides their own; each is looked up at once."""

    def __init__(self, paths, ends, aliases):
        self.engine, self.aliases = Engine(paths), aliases
        ends.callback(self.engine.end)
        self.empty = self.engine.resident()[0]
        for i in range(NETWORKS):
            self.engine.client.ask('POST /networks/create {"Name":"net%d","IPAM":{"Config":['
                                   '{"Subnet":"10.%d.0.0/16"}]}}' % (i, 20 + i))
        self.engine.create_sandbox("watcher", "net0")
        for i in range(1, NETWORKS):
            self.engine.connect("net%d" % i, "watcher")
        self.lookup = Teller([paths.tool("lookup"), self.engine.netns("watcher"), EMBEDDED,
                              self.engine.socket])
        ends.callback(self.lookup.end)
        self.count = self.asked = self.wrong = 0
        self.seen, self.sees = [], []  # ms, as another and as the sandbox itself saw its name

    @staticmethod
    def address(i):
        return "10.%d.1.%d" % (20 + i % NETWORKS, 1 + i // NETWORKS)

    def names(self, i):
        return [*("name%d-of-s%d" % (j, i) for j in range(self.aliases)), "s%d" % i]

    def add(self):
        i = self.count
        self.count += 1
        name, names = "s%d" % i, self.names(i)
        self.engine.client.ask('POST /cnm/v1/sandboxes {"Name":"%s"}' % name)
        body = json.dumps({"Container": name, "EndpointConfig": {
            "Aliases": names[:-1], "IPAMConfig": {"IPv4Address": self.address(i)}}},
            separators=(",", ":"))
        itself = i // NETWORKS % 2
        self.lookup.tell("join %s %s %s POST /networks/net%d/connect %s" % (
            self.engine.netns(name) if itself else "-", self.address(i), ",".join(names),
            i % NETWORKS, body))
        status, first, wrong = [int(word) for word in self.lookup.line().split()]
        if status != 200:
            raise Failed("connect %s: status %d" % (name, status))
        (self.sees if itself else self.seen).append(first / 1e6)
        self.asked += len(names)
        self.wrong += wrong

    def ask_all(self):
        for i in range(self.count):
            for name in self.names(i):
                self.lookup.tell("ask 1 %s %s" % (name, self.address(i)))
                self.wrong += int(self.lookup.line().split()[2])
                self.asked += 1


def measure_many(world, table, quick):
    full = 200 if quick else 1000
    table.title("%d sandboxes on %d networks, %d names each besides their own" % (
        full, NETWORKS, NAMES))
    with contextlib.ExitStack() as ends:
        named, others = sides = [Many(world.paths, ends, aliases) for aliases in (NAMES, 0)]
        for side, _ in itertools.product(sides, range(full)):
            side.add()
        time.sleep(QUIET)
        memory = [side.engine.resident()[0] for side in sides]
        named.ask_all()
        table.value("resident memory, more than without the names", memory[0] - memory[1], 8, "MB",
                    "%s MB, %s MB; just started %s MB, %s MB" % (
                        *map(number, memory), number(named.empty), number(others.empty)))
        table.value("answers wrong or missing, from connect's answer on", named.wrong, 0, "",
                    "of %d" % named.asked)
        table.figure("connect's answer to the first right one, elsewhere", named.seen, None, "ms")
        table.figure("connect's answer to the first right one, itself", named.sees, None, "ms")


PARTS = {
    "local names": measure_local,
    "cached names": measure_cached,
    "names passed on": measure_passed_on,
    "names in numbers": measure_many,
}


def measure_names(world, table, quick):
    for what, measure in PARTS.items():
        try:
            measure(world, table, quick)
        except Failed as failed:
            table.failed(what, failed)


SECTIONS = {
    "dns": measure_names,
}
